/* reopen.h: open the lower file of an inode again: through its pin, else its parent and name, else its handle. What is found must be the same
 * inode of the same type, else -EIO: whoever puts another file in its place gets an error, never data into or out of that. Never blocks on
 * a FIFO. */
#ifndef COFFER_FS_REOPEN_H
#define COFFER_FS_REOPEN_H

#include "fs/inode.h"

#include <fcntl.h>

/* flags: O_RDONLY, O_RDWR or O_PATH, and O_DIRECTORY for directories. -EIO, -ENFILE (too many descriptors, after idle ones were closed),
 * -ENOENT: it has no name and no pin. The caller closes. */
int reopen_inode(struct volume *v, struct inode *i, int flags, int *ret_fd) must_check;
/* The same as callback of struct vio_callbacks. */
int reopen_owner(void *ctx, void *owner, int flags);

/* openat below a directory descriptor; frees descriptors and tries again when there are too many. -ENFILE. */
int reopen_at(struct volume *v, int dirfd, const char *name, int flags, mode_t mode, int *ret_fd) must_check;

/* The same, to read the header of a regular file: a stat is no access, and must not make the lower filesystem store a time. */
int reopen_peek(struct volume *v, int dirfd, const char *name, int *ret_fd) must_check;

/* The parent's descriptor and the lower name of an inode, checked just now to be it. name has LOWER_NAME_LEN_MAX + 1 bytes. Pair with
 * dirfd_put(v, *ret_parent) and inode_put. -ENOENT: no name is known. */
int reopen_name(struct volume *v, struct inode *i, struct inode **ret_parent, int *ret_dirfd, char *ret_name) must_check;

/* One of the inode's nlink links is about to go: make sure that it can be opened afterwards, if anybody may still want it. nlink: as it is below just now
 * (directories: 1). */
int reopen_pin(struct volume *v, struct inode *i, uint32_t nlink) must_check;

#endif
