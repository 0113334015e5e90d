/* remove.h: unlink and rmdir. */
#ifndef COFFER_FS_REMOVE_H
#define COFFER_FS_REMOVE_H

#include "fs/inode.h"
#include "fs/name.h"

int remove_file(struct volume *v, struct inode *dir, const char *name) must_check;
/* Also removes what the user cannot see: entries that do not decrypt, links of long names without an entry. -ENOTEMPTY. */
int remove_dir(struct volume *v, struct inode *dir, const char *name) must_check;

/* For rename, which may remove a target: entry, of which st is the stat, is about to go. Makes sure that whoever uses it can go on, and empties a
 * directory of all that is invisible. ret_id: what to put back with remove_restore if it stays after all (has_id says whether). */
struct remove_target {
	struct inode *inode;     /* reference, or NULL: nobody uses it */
	uint32_t nlink;          /* names it has below: the attributes that are held may be of before somebody else's link or unlink */
	bool unpinned;           /* its last name, and it cannot be opened */
	bool has_id;
	uint8_t id[DIR_ID_LEN];
};
int remove_prepare(struct volume *v, int dirfd, const char *entry, const struct stat *st, struct remove_target *ret_t) must_check;
void remove_restore(struct volume *v, int dirfd, const char *entry, struct remove_target *t);
/* It is gone: one link less. */
void remove_done(struct volume *v, struct inode *dir, const char *entry, struct remove_target *t);

#endif
