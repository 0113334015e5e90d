/* dir.h: what happens to names: look up, make, link. Removal is in remove.h, renaming in rename.h, listing in readdir.h.
 *
 * The kernel holds a directory exclusively while a name in it is made, removed or moved, and shared while names are looked up or listed; so no
 * two changes of one directory meet here. Directories are inodes with a reference of the caller. All results carry a reference and one
 * lookup of the kernel; whoever cannot deliver them calls dir_undo. */
#ifndef COFFER_FS_DIR_H
#define COFFER_FS_DIR_H

#include "fs/inode.h"

struct dir_result {
	struct inode *inode;     /* reference: inode_put */
	struct inode_attr attr;
	bool bad;                /* the content is damaged: attributes are not to be kept by anybody */
	bool ahead;              /* of a lookup: ahead_run of the directory should follow the answer */
};

/* Who asks. */
struct dir_caller {
	uint32_t uid, gid;
};

/* What bad files are said to be long, so that every read reaches us and fails. */
#define DIR_BAD_SIZE FILE_SIZE_MAX

int dir_lookup(struct volume *v, struct inode *dir, const char *name, struct dir_result *ret_d) must_check;
/* Attributes of the directory itself, from below. */
int dir_attr(struct volume *v, struct inode *dir, struct inode_attr *ret_a) must_check;
/* Attributes of what entry is, before it has an inode: type, plain size, all. ret_bad: its content is damaged. */
int dir_stat(struct volume *v, int dirfd, const char *entry, struct inode_attr *ret_a, bool *ret_bad) must_check;
void dir_undo(struct volume *v, struct dir_result *d);

int dir_create(struct volume *v, struct inode *dir, const char *name, uint32_t mode, struct dir_caller who,
	       struct dir_result *ret_d) must_check;
int dir_mkdir(struct volume *v, struct inode *dir, const char *name, uint32_t mode, struct dir_caller who,
	      struct dir_result *ret_d) must_check;
/* Regular files, FIFOs, sockets; device nodes only with the option dev, else -EPERM. */
int dir_mknod(struct volume *v, struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, struct dir_caller who,
	      struct dir_result *ret_d) must_check;
int dir_symlink(struct volume *v, struct inode *dir, const char *name, const char *target, struct dir_caller who,
		struct dir_result *ret_d) must_check;
/* ret_target has SYMLINK_PLAIN_MAX + 1 bytes, NUL-terminated. */
int dir_readlink(struct volume *v, struct inode *i, char *ret_target) must_check;
int dir_link(struct volume *v, struct inode *i, struct inode *dir, const char *name, struct dir_result *ret_d) must_check;

#endif
