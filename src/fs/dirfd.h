/* dirfd.h: descriptors of lower directories: opened when needed, kept in an LRU of bounded length. */
#ifndef COFFER_FS_DIRFD_H
#define COFFER_FS_DIRFD_H

#include "fs/inode.h"

#define DIRFD_MAX 1024

/* The descriptor of a directory; stays open until dirfd_put. Not for readdir, whose position would be shared: dirfd_own. -ENOTDIR, and as
 * reopen_inode. */
int dirfd_get(struct volume *v, struct inode *dir, int *ret_fd) must_check;
void dirfd_put(struct volume *v, struct inode *dir);
/* A descriptor of one's own of the same directory; the caller closes. */
int dirfd_own(struct volume *v, struct inode *dir, int *ret_fd) must_check;
/* Close up to half of the idle descriptors (there are too many). True if any was closed. */
bool dirfd_shrink(struct volume *v);

#endif
