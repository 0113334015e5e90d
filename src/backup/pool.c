/* pool.c: see pool.h. */
#include "backup/pool.h"

#include "base/clock.h"
#include "base/thread.h"

#define PAUSE_MS 200

void pool_init(struct pool *p)
{
	*p = (struct pool){ 0 };
	lock_init(&p->m, LOCK_RANK_POOL);
	pthread_cond_init(&p->wake, NULL);
	pthread_cond_init(&p->done, NULL);
	p->jobs_end = &p->jobs;
}

void pool_done(struct pool *p)
{
	pthread_cond_destroy(&p->wake);
	pthread_cond_destroy(&p->done);
	lock_done(&p->m);
}

int pool_start(struct pool *p, unsigned threads, void *(*work)(void *arg), void *arg)
{
	int r = 0;

	for (; p->nthreads < threads && p->nthreads < POOL_THREADS_MAX && r == 0; p->nthreads += r == 0)
		r = thread_start(&p->threads[p->nthreads], work, arg);
	return r == -EAGAIN ? -ENOMEM : r;
}

void pool_stop(struct pool *p)
{
	lock_take(&p->m);
	p->ending = true;
	pthread_cond_broadcast(&p->wake);
	lock_drop(&p->m);
	while (p->nthreads > 0)
		(void)pthread_join(p->threads[--p->nthreads], NULL);
}

void *pool_next(struct pool *p)
{
	struct pool_job *job;

	WITH_LOCK(&p->m);
	while (!p->jobs && !p->ending)
		lock_wait(&p->m, &p->wake);
	job = p->jobs;
	if (!job)
		return NULL;
	p->jobs = job->next;
	if (!p->jobs)
		p->jobs_end = &p->jobs;
	p->njobs--;
	p->busy++;
	pthread_cond_broadcast(&p->done);
	return job;
}

void pool_ended(struct pool *p)
{
	WITH_LOCK(&p->m);
	p->busy--;
	pthread_cond_broadcast(&p->done);
}

bool pool_put(struct pool *p, void *job, unsigned most)
{
	struct pool_job *j = job;

	WITH_LOCK(&p->m);
	if (p->njobs >= most)
		return false;
	j->next = NULL;
	*p->jobs_end = j;
	p->jobs_end = &j->next;
	p->njobs++;
	pthread_cond_signal(&p->wake);
	return true;
}

bool pool_idle(struct pool *p)
{
	WITH_LOCK(&p->m);
	return p->njobs == 0 && p->busy == 0;
}

void pool_pause(struct pool *p)
{
	const struct timespec until = clock_after_ms(PAUSE_MS);

	WITH_LOCK(&p->m);
	if (p->error == 0)
		(void)lock_wait_until(&p->m, &p->done, &until);
}

void pool_fail(struct pool *p, int r, const struct store_error *err)
{
	WITH_LOCK(&p->m);
	if (p->error == 0) {
		p->error = r;
		if (err)
			p->store_error = *err;
	}
	pthread_cond_broadcast(&p->wake);
	pthread_cond_broadcast(&p->done);
}

int pool_error(struct pool *p)
{
	WITH_LOCK(&p->m);
	return p->error;
}
