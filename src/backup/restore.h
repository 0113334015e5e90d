/* restore.h: a snapshot back into a directory of its own (docs/backup.md section 5). The store and what it says are hostile until they are proved right: every object has the
 * hash that its name says, every entry is one component that format 1 can have, opened below the directory and through no link, and what a backing directory
 * never holds is refused. coffer.volume comes last, so half a restore is no volume. */
#ifndef COFFER_BACKUP_RESTORE_H
#define COFFER_BACKUP_RESTORE_H

#include "backup/pick.h"

#define RESTORE_MARKER "coffer.restore"
#define RESTORE_PARTIAL "coffer.partial" /* in the root of what was restored in part: "coffer-partial 1 UUID SNAPSHOT\n" */
#define RESTORE_THREADS_MAX 32u

struct restore_counts {
	uint64_t files, bytes, bytes_kept; /* kept: were there already, and right */
	uint64_t devices;                  /* left out */
};

struct restore_params {
	void *ctx;
	const struct repo *repo;
	const struct manifest *m;
	const char *snapshot;
	const struct pick *pick;         /* behind pick_find; NULL: all */
	struct snapshot_spool *spool;    /* or NULL */
	int root_fd;                     /* borrowed */
	bool resume;                     /* restore_prepare said so */
	bool suid, dev;                  /* give set-user-ID and set-group-ID; make devices */
	unsigned threads;
	/* By the calling thread. false: stop with -EINTR; the next one goes on. */
	bool (*progress)(void *ctx, const struct restore_counts *c);
};

/* Could it be a directory for a restore? It is empty, or has a marker. -ENOTEMPTY. */
int restore_is_fit(int root_fd) must_check;
/* Is it a directory for this snapshot, and these entries of it (NULL: all)? Makes the marker. -ENOTEMPTY: something else is there. */
int restore_prepare(int root_fd, const struct repo *r, const char *snapshot, const struct pick *pick, bool *ret_resume) must_check;
/* What a volume is a part of: the name of the snapshot; empty: it is none. Nothing vouches for it. -errno. */
int restore_partial_of(int root_fd, char ret_snapshot[static REPO_SNAPSHOT_MAX]) must_check;
/* -EINTR, -EUCLEAN, -EBADMSG, -ENOENT (with a message), -ENOSPC, errors of the store and of the filesystem (no message; logged). */
int restore_run(const struct restore_params *p, struct restore_counts *ret_c, struct store_error *ret_err) must_check;

#endif
