/* extent.h: ranges of a regular file: made zero, allocated ahead, searched, copied. The caller has a reference to each inode. */
#ifndef COFFER_FS_EXTENT_H
#define COFFER_FS_EXTENT_H

#include "fs/inode.h"

/* fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE with or without KEEP_SIZE. -EOPNOTSUPP: another mode, or the backing cannot. */
int extent_allocate(struct volume *v, struct inode *i, int mode, uint64_t off, uint64_t len) must_check;
/* lseek(2): SEEK_DATA or SEEK_HOLE. */
int extent_seek(struct volume *v, struct inode *i, uint64_t off, int whence, uint64_t *ret_off) must_check;
/* copy_file_range(2): how much was copied, at most EXTENT_COPY_MAX. buf: as iofile_copy. */
#define EXTENT_COPY_MAX (64u << 20)
ssize_t extent_copy(struct volume *v, struct inode *from, uint64_t off, struct inode *to, uint64_t to_off, size_t len, void *buf) must_check;

#endif
