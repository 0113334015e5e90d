/* repair_impl.h: what repair*.c share; private to them. All functions: 0 or -errno unless they say otherwise. */
#ifndef COFFER_FS_REPAIR_IMPL_H
#define COFFER_FS_REPAIR_IMPL_H

#include "fs/repair.h"
#include "fs/volume_impl.h"
#include "io/reapply.h"

#define REPAIR_PATH_MAX 8192
#define REPAIR_FOUND_DIR "lost+found"

struct repair {
	struct volume *v;
	const struct repair_params *p;
	int qfd;                 /* coffer.quarantine */
	uint64_t fixed;          /* in this pass */
	uint64_t *told;          /* hashes of failures that were told */
	size_t ntold;
	struct repair_result res;
	bool made_found;         /* /lost+found is ours */
	char to[REPAIR_PATH_MAX]; /* of the action being made */
};

/* ---- repair_move.c: between the volume and coffer.quarantine */
int repair_quarantine_open(struct repair *rp) must_check;
/* Put a tombstone in the place of entry and entry into quarantine, in one step where the backing can exchange names; durable. rp->to: its name there. */
int repair_take(struct repair *rp, int dirfd, const char *entry, const struct stat *st) must_check;
/* Into quarantine, and nothing in its place. rp->to. */
int repair_take_nameless(struct repair *rp, int dirfd, const char *entry, const struct stat *st) must_check;
/* Is this inode in quarantine already (taken under another of its names)? */
bool repair_has_taken(struct repair *rp, const struct stat *st);
/* Into /lost+found, under a name made of inode numbers; rp->to is the plain path. parent_ino 0: none. */
int repair_find_place(struct repair *rp, int dirfd, const char *entry, const struct stat *st, uint64_t parent_ino) must_check;
/* Everything so far is home and durable: the walk reads what lies there. */
int repair_settle(struct repair *rp) must_check;

/* ---- repair_file.c: contents */
/* A regular file with damaged content at `at`. Fills a; a->kind REPAIR_FAILED: left as it is. */
int repair_file(struct repair *rp, const struct check_place *at, struct repair_action *a) must_check;

/* ---- repair_name.c: entries without a name, directories without an id */
int repair_nameless(struct repair *rp, const struct check_place *at, struct repair_action *a) must_check;
int repair_dir(struct repair *rp, const struct check_place *at, struct repair_action *a) must_check;
/* /lost+found with a reference and a lookup, made if need be. */
int repair_found_dir(struct repair *rp, struct inode **ret_dir) must_check;
void repair_drop(struct repair *rp, struct inode *i);
/* Remove coffer.quarantine and a /lost+found of ours if nothing is in them. */
void repair_tidy(struct repair *rp);
/* The directory that a plain path's last component is in; *ret_name points into the path. */
int repair_parent(struct repair *rp, const char *plain_path, struct inode **ret_dir, const char **ret_name) must_check;

#endif
