/* prune.h: take snapshots out of a store, and the objects that no other one needs (docs/backup.md section 6). What object lock holds stays, and all that it needs. One at a time a volume, by a lock in the store that
 * expires; backups may run meanwhile: they look at the end whether something was taken from under them (prune_look). */
#ifndef COFFER_BACKUP_PRUNE_H
#define COFFER_BACKUP_PRUNE_H

#include "backup/snapshot.h"

#define PRUNE_LOCK_S 3600
#define PRUNE_GRACE_S 86400              /* younger objects may be of a backup that is not done */

/* How many to keep: the newest of each of so many days, weeks (from Monday), months, years; and the newest of all, at least one. All in UTC. */
struct prune_keep {
	uint64_t last, daily, weekly, monthly, yearly;
};
#define PRUNE_KEEP_MAX 100000u

struct prune_counts {
	uint64_t kept, snapshots, objects, bytes; /* kept: snapshots; the others: taken away, or that would be */
	uint64_t locked;                 /* snapshots and objects that would have gone, but for object lock */
	int64_t locked_until;            /* the last of them; seconds since 1970, INT64_MAX: by a legal hold */
};

struct prune_params {
	void *ctx;
	const struct repo *repo;
	struct prune_keep keep;
	uint64_t grace_s;
	bool dry_run;
	/* May be NULL. until: not 0: it stays because object lock holds it until then. */
	void (*snapshot)(void *ctx, const char *name, bool kept, int64_t until);
	bool (*progress)(void *ctx);     /* false: stop with -EINTR */
};

/* Which of n snapshots, oldest first by name, stay. Pure. */
void prune_choose(const struct repo_snapshot *list, size_t n, const struct prune_keep *keep, bool *ret_kept);
/* -EBUSY: somebody else prunes (ret_err says until when). A snapshot that stays and cannot be read stops it before anything is taken: -EBADMSG, -EUCLEAN, -ENOENT. */
int prune_run(const struct prune_params *p, struct prune_counts *ret_c, struct store_error *ret_err) must_check;

/* What a backup remembers from its beginning on. */
struct prune_mark {
	bool there;
	uint8_t hash[RECORD_HASH_LEN];   /* of the mark that the last prune has left */
	bool locked;                     /* somebody was pruning then: what was seen in the store may have gone since */
};
int prune_mark(const struct repo *r, struct prune_mark *ret_m, struct store_error *err) must_check;
/* Behind its manifest: 0 if nobody has pruned since, or was about it then; 1 if somebody has or does: then the snapshot's objects must be looked for once he is done. */
int prune_look(const struct repo *r, const struct prune_mark *m, struct store_error *err) must_check;
/* Is a lock there that has not expired? */
int prune_is_locked(const struct repo *r, struct store_error *err) must_check;

#endif
