/* file.h: contents and attributes of inodes: what the I/O floor does for files, plus the held attributes. The caller has a reference. */
#ifndef COFFER_FS_FILE_H
#define COFFER_FS_FILE_H

#include "fs/inode.h"

#include <sys/statvfs.h>

/* As iofile_read and iofile_write. kernel_times: the data comes out of the kernel's page cache, so the kernel will tell the times itself. */
ssize_t file_read(struct volume *v, struct inode *i, void *buf, size_t len, uint64_t off) must_check;
ssize_t file_write(struct volume *v, struct inode *i, const void *buf, size_t len, uint64_t off, bool kernel_times) must_check;

/* A read in steps, as iofile_early_* (between: iofile_early_wait). begin: false, and then file_read says what is to say; end must follow true. */
bool file_read_begin(struct volume *v, struct inode *i, void *buf, size_t len, uint64_t off, struct iofile_early *ret_e) must_check;
ssize_t file_read_end(struct volume *v, struct inode *i, struct iofile_early *e) must_check;

#define FILE_SET_MODE 1u
#define FILE_SET_UID 2u
#define FILE_SET_GID 4u
#define FILE_SET_SIZE 8u
#define FILE_SET_ATIME 16u
#define FILE_SET_MTIME 32u
#define FILE_SET_CTIME 64u       /* the kernel's own; held, not stored */
#define FILE_KILL_PRIV 128u      /* with a size: as file_kill_priv first; with an owner the lower filesystem does it */
#define FILE_KILL_SGID 256u      /* beside it: set-group-ID even where the group may not execute */

/* Somebody without privileges is about to change the content: clear set-user-ID and set-group-ID. kill: FILE_KILL_*,
 * 0: nothing. */
int file_kill_priv(struct volume *v, struct inode *i, unsigned kill) must_check;
/* Change what set names to what a has, in that order; ret_a: the attributes after it. -EIO on a bad inode's size. */
int file_setattr(struct volume *v, struct inode *i, const struct inode_attr *a, unsigned set, struct inode_attr *ret_a) must_check;
/* Attributes of anything. -EIO: bad. */
int file_getattr(struct volume *v, struct inode *i, struct inode_attr *ret_a) must_check;

/* fsync(2): contents, size, the name if it is new, and without datasync owner and mode. */
int file_fsync(struct volume *v, struct inode *i, bool datasync) must_check;
/* The same for a directory: its entries and every coffer.dir and long-name link that leads to them. */
int file_fsyncdir(struct volume *v, struct inode *dir) must_check;
/* Commit what is pending of the content, if there is an iofile at all (a rename is about to put it over another). */
int file_commit(struct volume *v, struct inode *i) must_check;

int file_statfs(struct volume *v, struct statvfs *ret_st) must_check;

#endif
