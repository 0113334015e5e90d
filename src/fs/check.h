/* check.h: verify a whole volume: every directory id, name, long-name link, symbolic link target, extended attribute, header, group and block. Changes
 * nothing. The volume is open (so its log has been replayed) and not mounted: what is read is what lies at home. */
#ifndef COFFER_FS_CHECK_H
#define COFFER_FS_CHECK_H

#include "fs/volume.h"

enum check_kind {
	CHECK_DIR_ID,            /* coffer.dir missing in a non-empty directory, malformed, or found twice */
	CHECK_NAME,              /* an entry that does not decrypt */
	CHECK_LONG_NAME,         /* a long entry without its link, or a link whose hash does not fit */
	CHECK_STRAY_LINK,        /* a coffer.name link without an entry: harmless */
	CHECK_SYMLINK,           /* target does not decrypt */
	CHECK_TYPE,              /* a type that cannot be, or another filesystem mounted inside */
	CHECK_HEADER,            /* group 0's header does not verify, or is missing where one must be */
	CHECK_DAMAGED,           /* marked DAMAGED by replay */
	CHECK_GROUP,             /* a group's metadata does not verify */
	CHECK_BLOCK,             /* a block does not verify */
	CHECK_XATTR,             /* an extended attribute's name or value does not decrypt */
	CHECK_IO,                /* the backing filesystem failed */
	CHECK_TOMBSTONE,         /* what a repair left in the place of a file that it took away: harmless */
};
#define CHECK_KINDS (CHECK_TOMBSTONE + 1)

struct check_problem {
	enum check_kind kind;
	bool harmless;           /* not damage: nothing that a user can read is concerned */
	const char *plain_path;  /* from the root of the mount, "/a/b"; where the name is unreadable the directory it is in */
	const char *backing_path; /* relative to the volume directory */
	uint64_t number;         /* group or block; 0 otherwise */
	int error;               /* -errno */
};

struct check_counts {
	uint64_t dirs, files, symlinks, others, groups, blocks, bytes;
	uint64_t problems, harmless;
};

/* Where a problem is, for whoever mends it; for the call alone. */
struct check_place {
	enum check_kind kind;    /* the first of its own problems; not of what is below it */
	int dirfd;               /* the directory that entry is in, and its id */
	const uint8_t *id;
	const char *entry;       /* lower name */
	const char *plain_path;  /* of the entry if it is named, else of the directory */
	const char *backing_path;
	bool named;              /* its name decrypts */
};

struct check_params {
	void *ctx;
	void (*problem)(void *ctx, const struct check_problem *p);
	/* From time to time; return false to stop (-EINTR). May be NULL. */
	bool (*progress)(void *ctx, const struct check_counts *c);
	/* Behind the problems of an entry; it may be gone afterwards, and others may be there. < 0 ends the walk with that. May be NULL. */
	int (*mend)(void *ctx, const struct check_place *at);
};

/* 0 also when there were problems: look at ret_c. -EINTR stopped; -errno when it could not go on. */
int check_run(struct volume *v, const struct check_params *p, struct check_counts *ret_c) must_check;
/* "name does not decrypt", for messages. */
const char *check_kind_text(enum check_kind kind);

#endif
