/* xattr.h: extended attributes: user.* of regular files and directories, name and value encrypted below (docs/format.md section 6). There are no
 * others: security.* and trusted.* would need capabilities that a mount gives up, and whoever edits the disk could plant them; system.* are
 * POSIX ACLs, which are not enforced, so they are not stored either. All of them are -EOPNOTSUPP.
 *
 * An attribute is bound to the volume, its value to its name, neither to a file: exchanged, put back or removed ones are not noticed. */
#ifndef COFFER_FS_XATTR_H
#define COFFER_FS_XATTR_H

#include "fs/inode.h"

/* What the kernel passes at most: a value, and a whole list. */
#define XATTR_BYTES_MAX 65536

/* name is the whole name, "user." with it. flags: XATTR_CREATE (-EEXIST), XATTR_REPLACE (-ENODATA). -ENAMETOOLONG: more than
 * XATTR_PLAIN_NAME_MAX bytes behind "user."; -E2BIG, -ENOSPC, -EDQUOT: as the backing says; -EPERM: neither file nor directory; -EIO: a bad
 * inode. Durable with the next fsync of the inode. */
int xattr_set(struct volume *v, struct inode *i, const char *name, const void *value, size_t len, int flags) must_check;
/* The length of the value; size 0 only asks for it. -ENODATA: none; -ERANGE: longer than size; -EIO: it does not decrypt. Logs. */
ssize_t xattr_get(struct volume *v, struct inode *i, const char *name, void *buf, size_t size) must_check;
/* The length of all names, each with its NUL. Names that do not decrypt are left out, counted, and logged once an inode. -ERANGE. */
ssize_t xattr_list(struct volume *v, struct inode *i, char *buf, size_t size) must_check;
int xattr_remove(struct volume *v, struct inode *i, const char *name) must_check;

/* For check.c: read all attributes of an open lower file; bad is told of each name and each value that does not decrypt (-EBADMSG), and of what the
 * backing filesystem fails with. -ENOMEM. */
int xattr_check(struct volume *v, int fd, void (*bad)(void *ctx, int error), void *ctx) must_check;

#endif
