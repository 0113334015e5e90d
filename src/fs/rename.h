/* rename.h: renameat2(2) on plain names. */
#ifndef COFFER_FS_RENAME_H
#define COFFER_FS_RENAME_H

#include "fs/inode.h"

/* flags: 0, RENAME_NOREPLACE or RENAME_EXCHANGE; others -EINVAL. When something is replaced the source is committed first (L3), for
 * EXCHANGE both. */
int rename_entry(struct volume *v, struct inode *dir, const char *name, struct inode *newdir, const char *newname,
		 unsigned flags) must_check;

#endif
