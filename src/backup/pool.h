/* pool.h: the threads that work for a walk: it puts jobs into a short queue and waits while that is full, and whoever fails first ends it for all. Whoever embeds a
 * pool may keep its own data under the pool's lock. */
#ifndef COFFER_BACKUP_POOL_H
#define COFFER_BACKUP_POOL_H

#include "backup/store.h"
#include "base/lock.h"

#define POOL_THREADS_MAX 32

/* First in the user's own job. */
struct pool_job {
	struct pool_job *next;
};

struct pool {
	struct lock m;
	pthread_cond_t wake, done;       /* for threads; for the walk */
	struct pool_job *jobs, **jobs_end; /* lock: m, as are the next five */
	unsigned njobs, busy;
	bool ending;
	int error;                       /* the first; 0: none */
	struct store_error store_error;  /* of it */
	pthread_t threads[POOL_THREADS_MAX];
	unsigned nthreads;
};

void pool_init(struct pool *p);
/* Behind pool_stop. */
void pool_done(struct pool *p);
/* Start the threads, at most POOL_THREADS_MAX, each with work(arg). -ENOMEM; then, too, pool_stop. */
int pool_start(struct pool *p, unsigned threads, void *(*work)(void *arg), void *arg) must_check;
/* Let the threads finish what is in the queue, and end. Once more is fine. */
void pool_stop(struct pool *p);

/* From a thread: the next job, NULL: no more will come. */
void *pool_next(struct pool *p);
/* From a thread: that job is done. */
void pool_ended(struct pool *p);

/* Put a job into the queue, unless most are in it: false. */
bool pool_put(struct pool *p, void *job, unsigned most) must_check;
/* Are all jobs done? */
bool pool_idle(struct pool *p) must_check;
/* A moment, or until something is done. */
void pool_pause(struct pool *p);

/* The first failure counts; err may be NULL. */
void pool_fail(struct pool *p, int r, const struct store_error *err);
int pool_error(struct pool *p) must_check;

#endif
