/* jobs.c: a queue, threads that are started as they are needed and then stay, and a list of what is done behind an eventfd. */
#include "agent/jobs.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/thread.h"

struct list {
	struct jobs_item *first, **end;
};

struct jobs {
	struct lock m;           /* all below */
	pthread_cond_t cond;
	struct list waiting, finished;
	unsigned count, idle, nthreads;
	bool stopping;
	pthread_t thread[JOBS_THREADS_MAX];
	int fd;
};

static void list_init(struct list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static void list_add(struct list *l, struct jobs_item *item)
{
	item->next = NULL;
	*l->end = item;
	l->end = &item->next;
}

static struct jobs_item *list_take(struct list *l)
{
	struct jobs_item *item = l->first;

	if (item)
		l->first = item->next;
	if (!l->first)
		l->end = &l->first;
	return item;
}

static struct jobs_item *next(struct jobs *j)
{
	struct jobs_item *item = NULL;

	WITH_LOCK(&j->m);
	while (!j->stopping && !(item = list_take(&j->waiting))) {
		j->idle++;
		lock_wait(&j->m, &j->cond);
		j->idle--;
	}
	return item;
}

static void finished(struct jobs *j, struct jobs_item *item)
{
	const uint64_t one = 1;

	{
		WITH_LOCK(&j->m);
		list_add(&j->finished, item);
	}
	while (write(j->fd, &one, sizeof(one)) < 0 && errno == EINTR) /* full: it is readable already */
		;
}

static void *thread_main(void *p)
{
	struct jobs *j = p;
	struct jobs_item *item;

	while ((item = next(j))) {
		item->run(item);
		finished(j, item);
	}
	return NULL;
}

int jobs_new(struct jobs **ret_j)
{
	struct jobs *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	j->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->fd < 0) {
		r = -errno;
		free(j);
		return r;
	}
	lock_init(&j->m, LOCK_RANK_AGENT);
	pthread_cond_init(&j->cond, NULL);
	list_init(&j->waiting);
	list_init(&j->finished);
	*ret_j = j;
	return 0;
}

int jobs_fd(const struct jobs *j)
{
	return j->fd;
}

int jobs_submit(struct jobs *j, struct jobs_item *item)
{
	int r = 0;

	WITH_LOCK(&j->m);
	if (j->count == JOBS_MAX)
		return -ENOSPC;
	if (j->idle == 0 && j->nthreads < JOBS_THREADS_MAX) {
		r = thread_start(&j->thread[j->nthreads], thread_main, j);
		j->nthreads += r == 0;
	}
	if (r < 0 && j->nthreads == 0)
		return -EAGAIN;
	j->count++;
	list_add(&j->waiting, item);
	pthread_cond_signal(&j->cond);
	return 0;
}

static struct jobs_item *take_finished(struct jobs *j)
{
	struct jobs_item *item;

	WITH_LOCK(&j->m);
	item = list_take(&j->finished);
	j->count -= item != NULL;
	return item;
}

void jobs_reap(struct jobs *j, void *ctx)
{
	struct jobs_item *item;
	uint64_t n;

	while (read(j->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	while ((item = take_finished(j)))
		item->done(ctx, item, false);
}

void jobs_free(struct jobs *j, void *ctx)
{
	struct jobs_item *item;

	if (!j)
		return;
	{
		WITH_LOCK(&j->m);
		j->stopping = true;
		pthread_cond_broadcast(&j->cond);
	}
	for (unsigned i = 0; i < j->nthreads; i++)
		(void)pthread_join(j->thread[i], NULL);
	jobs_reap(j, ctx);
	while ((item = list_take(&j->waiting)))
		item->done(ctx, item, true);
	(void)close(j->fd);
	pthread_cond_destroy(&j->cond);
	lock_done(&j->m);
	free(j);
}
