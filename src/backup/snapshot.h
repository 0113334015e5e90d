/* snapshot.h: all records of a snapshot, one after the other, from a store that may lie: each list has the hash that the manifest says, each record is sane
 * and in its place, and in the end numbers and Merkle root are the manifest's. What was told before that end is only as good as its list's hash. */
#ifndef COFFER_BACKUP_SNAPSHOT_H
#define COFFER_BACKUP_SNAPSHOT_H

#include "backup/repo.h"

/* The lists of one snapshot, kept in a file without a name, for whoever reads them more than once. What cannot be kept is fetched again; all is held against its
 * hash each time. */
struct snapshot_spool {
	int fd;                          /* -1: nothing is kept */
	uint64_t end;
	uint64_t *at;                    /* of each list; 0: not kept */
};
/* Below dirfd, for the lists of m. Never fails: then it keeps nothing. */
void snapshot_spool_init(struct snapshot_spool *s, int dirfd, const struct manifest *m);
void snapshot_spool_done(struct snapshot_spool *s);

/* Return 0 to go on; anything else ends the walk and is returned. Each may be NULL. */
struct snapshot_walk {
	void *ctx;
	/* depth: of the entry's directory below the volume's; no is the entry's number. */
	int (*entry)(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e);
	int (*pieces)(void *ctx, const struct record_piece *pieces, size_t n); /* of the last entry */
	struct snapshot_spool *spool;
};

/* -EUCLEAN, -EBADMSG, -ENOENT with a message, errors of the store, what the walk returned. */
int snapshot_walk(const struct repo *r, const struct manifest *m, const struct snapshot_walk *w, struct store_error *err) must_check;

/* The volume that is meant: by its uuid's digits or a beginning of them, or NULL where the store has one alone. -ENOENT, -EEXIST (more than one), -EINVAL. */
int snapshot_volume(struct store *s, const char *uuid, struct repo *ret_r, struct store_error *err) must_check;
/* A snapshot's full name: `latest`, its name, or a beginning of its name or of its ID. -ENOENT, -EEXIST. */
int snapshot_find(const struct repo *r, const char *text, char ret_name[static REPO_SNAPSHOT_MAX], struct store_error *err) must_check;

/* The bytes of the coffer.volume that a snapshot has: what names its keys. malloc'ed. -ENOENT: it has none; -EUCLEAN: it is none that a volume can have; else as
 * snapshot_walk and repo_get. */
int snapshot_config(const struct repo *r, const struct manifest *m, uint8_t **ret_p, size_t *ret_len, struct store_error *err) must_check;

/* The same for whoever walks anyway: begins as zeros, is told of each entry and of all pieces, and then has it. */
#define SNAPSHOT_CONFIG_PIECES 16        /* of a file of 256 KiB there is one; with holes, a few */
struct snapshot_config {
	bool here, found, bad;           /* here: the pieces that come are its */
	uint64_t size;
	struct record_piece pieces[SNAPSHOT_CONFIG_PIECES];
	size_t n;
};
void snapshot_config_entry(struct snapshot_config *c, uint64_t no, const struct record_entry *e);
void snapshot_config_pieces(struct snapshot_config *c, const struct record_piece *pieces, size_t n);
int snapshot_config_get(const struct repo *r, const struct snapshot_config *c, uint8_t **ret_p, size_t *ret_len, struct store_error *err) must_check;

#endif
