/* backup.h: take a snapshot of a volume directory into a store (docs/backup.md). Without any key: what is read is ciphertext, and is only held against its
 * checksums. What the store has is not sent again, so a run that was cut goes on where it was. */
#ifndef COFFER_BACKUP_BACKUP_H
#define COFFER_BACKUP_BACKUP_H

#include "backup/backup_check.h"
#include "backup/repo.h"

#define BACKUP_THREADS_MAX 32u

struct backup_counts {
	uint64_t files;                  /* looked at */
	uint64_t bytes;                  /* that the snapshot has */
	uint64_t bytes_read, bytes_kept; /* read now; of files that were not read again */
	uint64_t bytes_sent, objects_sent;
	uint64_t problems;               /* blocks and groups that do not fit */
	uint64_t skipped;                /* entries that are not ours */
};

struct backup_params {
	void *ctx;
	struct store *store;
	int root_fd;                     /* borrowed */
	uint8_t uuid[UUID_LEN];
	bool clean;                      /* coffer.log holds nothing */
	struct backup_check check;       /* ctx is its own */
	const char *cache_dir;           /* absolute, exists; NULL: nothing is remembered */
	bool force;                      /* read all */
	bool dry_run;                    /* read, send nothing */
	unsigned threads;                /* 1..BACKUP_THREADS_MAX */
	/* Mounted: let the mount bring all that is committed home and hold it still; release says -ETIMEDOUT if it did not hold to the end. Both, or NULL. */
	int (*hold)(void *ctx);
	int (*release)(void *ctx);
	/* By one thread, no lock held. false: stop with -EINTR. */
	bool (*progress)(void *ctx, const struct backup_counts *c);
	/* By any thread, one at a time. */
	void (*problem)(void *ctx, const char *backing_path, const struct backup_rot *rot);
	/* Sign m->json_hash and what manifest_statement names: fills public_key, signature, is_signed. NULL, or left unsigned: so it is stored. */
	int (*sign)(void *ctx, struct manifest *m);
	/* Have the mount tag the same: fills tag, has_tag. NULL: not mounted. */
	int (*tag)(void *ctx, struct manifest *m);
};

struct backup_result {
	char snapshot[REPO_SNAPSHOT_MAX]; /* empty: a dry run */
	uint8_t hash[RECORD_HASH_LEN];
	uint64_t serial;
	bool is_signed, has_tag;
	uint64_t rounds, frozen_ms;
	struct backup_counts counts;
};

/* -EINTR; -ESTALE: a prune took objects that it relied on; -EAGAIN: a mounted volume changes faster than it can be copied; -ETXTBSY: a file changed while it was read, of a volume that nobody should have written; errors of the store (ret_err says more) and of the backing
 * filesystem (ret_err.message is empty, the error is logged). */
int backup_run(const struct backup_params *p, struct backup_result *ret_r, struct store_error *ret_err) must_check;

#endif
