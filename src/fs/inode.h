/* inode.h: the inodes of a mount: a table of node ids, which are numbers, never pointers; lower inode numbers lead to the same objects, so
 * hard links share one. An inode holds no descriptor: it knows its parent and lower name (or a handle), and is opened through them when
 * needed (reopen.h). Only one that was unlinked while in use keeps a pin.
 *
 * Life: an inode exists while the kernel remembers it (nlookup), a request or child uses it (refs), or its iofile has something pending.
 * Node ids are never used twice in a mount, so the generation is always INODE_GENERATION.
 *
 * Attributes of all but directories are held here and never asked for again while the inode lives: asking the lower file for its times while
 * it is being written costs the kernel a SETATTR per fsync. */
#ifndef COFFER_FS_INODE_H
#define COFFER_FS_INODE_H

#include <stdatomic.h>

#include "crypt/namecrypt.h"
#include "io/vio.h"

struct volume;

#define INODE_ROOT 1
#define INODE_GENERATION 1
#define INODE_DUE_BITS 4096u

struct inode_attr {
	uint64_t ino, size, blocks; /* blocks of 512 bytes */
	uint64_t rdev;
	uint32_t mode, nlink, uid, gid;
	struct timespec atime, mtime, ctime;
};

enum inode_file_state { INODE_FILE_NONE, INODE_FILE_OPENING, INODE_FILE_LIVE, INODE_FILE_CLOSING };
enum inode_id_state { INODE_ID_UNKNOWN, INODE_ID_NONE, INODE_ID_HAVE };

struct inode_link {              /* member of an LRU list */
	struct inode_link *prev, *next;
};

struct inode_ahead {             /* of a directory: see ahead.h */
	int64_t off;             /* how far it was read ahead */
	uint16_t slow, hits;     /* lookups since then that waited for the disk, and that did not */
	bool over;               /* it was read to its end */
};

/* Everything but the constants is under volume->lock. The kernel remembers as many as it likes, so each byte here counts a million times: what only
 * files have shares its place with what only directories have, and the end of the struct is allocated for directories alone. */
struct inode {
	uint64_t id, ino;        /* node id, lower inode number; constant */
	mode_t type;             /* S_IFMT bits; constant */
	unsigned refs;
	uint64_t nlookup;        /* what the kernel remembers */
	struct inode *next_id, *next_ino;

	struct inode *parent;    /* a reference; NULL: root, or no name is known */
	char *name;              /* lower name in parent */
	struct lower_handle *handle;
	uint32_t renames;        /* differs after each change of parent or name */
	int pin_fd;              /* opened before the last known name went away, or -1 */

	bool gone;               /* its last name went and it could not be pinned: its number may be another's by now, so nobody finds it by that */
	atomic_bool bad;         /* the header did not verify: everything but removal fails; also read without the lock */
	bool times_due;          /* attr's times are not in the lower inode yet */
	bool attr_due;           /* owner, mode, links changed since the last lower fsync */
	bool created;            /* made by this mount, its name not yet synced */
	bool told;               /* entries or attributes that do not decrypt were logged */
	uint16_t moving;         /* renames that may have moved it below, and have not said so here yet */
	struct inode_attr attr;  /* not of directories */

	union {
		struct {         /* regular files: see live.h */
			struct iofile *file;
			enum inode_file_state file_state;
			unsigned file_users;
			uint64_t blocks_home; /* attr.blocks as it was last seen below */
			struct inode_link file_lru;
		};
		struct {         /* directories: see dirfd.h */
			int dirfd;
			unsigned dirfd_users;
			struct inode_link dirfd_lru;
			enum inode_id_state id_state;
		};
	};
	/* Directories only, from here to the end. */
	uint8_t dir_id[DIR_ID_LEN];
	struct inode_ahead ahead;
	uint64_t names_made, names_synced; /* coffer.dir and long-name links made here, and how many of them are durable */
};

struct inode_table {             /* lock: volume->lock */
	struct inode **by_id, **by_ino;
	size_t buckets, count;
	size_t peak;             /* the highest count since memory was last given back */
	uint64_t next_id;
};

int inode_table_init(struct inode_table *t) must_check;
/* Frees the table, not its inodes. */
void inode_table_done(struct inode_table *t);
/* The mount is gone: free all inodes, whatever refers to them. No iofile is live any more. */
void inode_drop_all(struct volume *v);

/* The inode of a node id with a reference, NULL: no such. */
struct inode *inode_get(struct volume *v, uint64_t id);
/* The inode of a lower inode number with a reference, NULL: not held. */
struct inode *inode_get_ino(struct volume *v, uint64_t ino);
struct inode *inode_ref(struct volume *v, struct inode *i);
void inode_put(struct volume *v, struct inode *i); /* NULL is fine */

/* Find or make the inode of what name in parent is, with the given attributes if it is new (or bad), and let the kernel remember it once more.
 * The returned pointer carries a reference too. closes: inode_closes() before the attributes were read. -ESTALE: known under another type;
 * -EAGAIN: a regular file's iofile was closed meanwhile, so the size that was read below may be an old one: read again. */
int inode_remember(struct volume *v, struct inode *parent, const char *name, const struct inode_attr *attr, bool bad,
		   uint64_t closes, struct inode **ret_i) must_check;
/* How many iofiles have been closed. */
uint64_t inode_closes(struct volume *v);
/* The kernel forgets n lookups. Unknown ids are ignored. */
void inode_forget(struct volume *v, uint64_t id, uint64_t n);

/* The numbers of all that the kernel remembers and of the root; malloc'ed. -ENOMEM. */
int inode_numbers(struct volume *v, uint64_t **ret_ids, size_t *ret_n) must_check;

/* The name changed (parent may be NULL: no name is known any more). */
int inode_set_name(struct volume *v, struct inode *i, struct inode *parent, const char *name) must_check;
/* Around a rename below of a lower inode number, and what is done here behind it: meanwhile whoever finds nothing under the known name waits. The
 * inode with a reference, NULL: not held. Between the two nothing is waited for but the lower filesystem. */
struct inode *inode_move_begin(struct volume *v, uint64_t ino);
void inode_move_end(struct volume *v, struct inode *i); /* consumes the reference; NULL is fine */
/* Has i another name than when its renames was read? Waits for the renames that are under way. */
bool inode_has_moved(struct volume *v, const struct inode *i, uint32_t renames);
/* Forget the name if it is this one. */
void inode_drop_name(struct volume *v, struct inode *i, const struct inode *parent, const char *name);

/* For volume_hand.c, with the lock: a new inode that nothing refers to yet (NULL: no memory), and whom there is, without a reference. */
struct inode *inode_add(struct volume *v, uint64_t id, const struct inode_attr *attr);
struct inode *inode_of_id(struct volume *v, uint64_t id);
struct inode *inode_of_ino(struct volume *v, uint64_t ino);

/* Wait until the pins of removed inodes that are being closed now are closed. */
void inode_await_pins(struct volume *v);

/* From a lower stat; size is the plain size. */
void inode_attr_from(const struct stat *st, uint64_t size, struct inode_attr *ret_a);
/* Held attributes; not for directories. */
void inode_attr(struct volume *v, struct inode *i, struct inode_attr *ret_a);
void inode_now(struct timespec *ret_t);

/* LRU lists. */
void inode_link_init(struct inode_link *l);
void inode_link_remove(struct inode_link *l);
void inode_link_push(struct inode_link *head, struct inode_link *l); /* as the youngest */

#endif
