/* jobs.h: work that may take long (a KMS that is far away), on threads of its own, so that the agent's loop never waits. A job is whatever its owner puts behind a
 * struct jobs_item; run sees nothing but that, on a thread; done is called on the loop's thread, by jobs_reap. */
#ifndef COFFER_AGENT_JOBS_H
#define COFFER_AGENT_JOBS_H

#include "base/err.h"

#include <stdbool.h>

#define JOBS_THREADS_MAX 16
#define JOBS_MAX 2048           /* waiting and running */

struct jobs;

struct jobs_item {
	struct jobs_item *next;
	void (*run)(struct jobs_item *item);
	/* cancelled: run was not called, the agent ends. Frees the item. */
	void (*done)(void *ctx, struct jobs_item *item, bool cancelled);
};

int jobs_new(struct jobs **ret_j) must_check;
/* Waits for those that run, then done of all, cancelled where they had not begun. NULL is fine. */
void jobs_free(struct jobs *j, void *ctx);
/* Readable when something is done. */
int jobs_fd(const struct jobs *j);
/* The item is the pool's until done. -ENOSPC: JOBS_MAX are there; -EAGAIN: no thread to be had. */
int jobs_submit(struct jobs *j, struct jobs_item *item) must_check;
void jobs_reap(struct jobs *j, void *ctx);

#endif
