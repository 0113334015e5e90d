/* verify.h: is all of a snapshot in the store, and is it what it was? Fetches every object it needs once. Says nothing of what the ciphertext means: complete
 * and unrotted as the manifest describes, and the manifest is whose signature it carries. */
#ifndef COFFER_BACKUP_VERIFY_H
#define COFFER_BACKUP_VERIFY_H

#include "backup/snapshot.h"

#define VERIFY_THREADS_MAX 32u

struct verify_counts {
	uint64_t objects, objects_done, bytes;
	uint64_t problems;
};

struct verify_params {
	void *ctx;
	const struct repo *repo;
	const struct manifest *m;
	unsigned threads;
	bool (*progress)(void *ctx, const struct verify_counts *c); /* by the calling thread; false: stop with -EINTR */
	void (*problem)(void *ctx, const char *message);            /* by any thread, one at a time */
};

/* 0 also when there were problems with objects. A manifest or list that does not fit is -EBADMSG, -EUCLEAN or -ENOENT with a message. */
int verify_run(const struct verify_params *p, struct verify_counts *ret_c, struct store_error *ret_err) must_check;

#endif
