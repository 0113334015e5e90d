/* readdir.h: listing a directory. An entry's offset is the lower directory's cookie behind it, so offsets stay good while others change the
 * directory; "." and ".." have two high numbers that no filesystem gives out. */
#ifndef COFFER_FS_READDIR_H
#define COFFER_FS_READDIR_H

#include "fs/dir.h"

#define READDIR_OFF_DOT 0x7fffffff00000001ull
#define READDIR_OFF_DOTDOT 0x7fffffff00000002ull

struct readdir_entry {
	char name[PLAIN_NAME_MAX + 1];
	char entry[LOWER_NAME_LEN_MAX + 1]; /* of the lower directory; empty for "." and ".." */
	size_t len;              /* of name */
	uint64_t off;            /* behind it */
	uint64_t ino;
	uint32_t type;           /* S_IFMT bits, 0: not known */
	struct dir_result got;   /* plus: inode NULL where there are no attributes */
};

/* Says how much room an entry of this name takes; readdir_list stops before the one that does not fit. */
typedef size_t readdir_size_fn(size_t name_len, bool plus);

struct readdir_list {
	struct readdir_entry *e;
	size_t n, max;
};

/* List from off on what fits into room. plus: with inodes and attributes, sizes read in one batch; each one delivered counts as a lookup:
 * readdir_done(l, first) undoes those from index first on that were not delivered, and frees. -EIO: a directory without its id. */
int readdir_list(struct volume *v, struct inode *dir, uint64_t off, size_t room, readdir_size_fn *size, bool plus,
		 struct readdir_list *ret_l) must_check;
void readdir_done(struct volume *v, struct readdir_list *l, size_t first);

#endif
