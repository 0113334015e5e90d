/* ioq.c: the queue's front, and the synchronous engine: a request is done by plain calls when it is submitted, and waits in
 * a list to be fetched. It is the engine over every lower that is not the kernel, where io_uring is refused, and for
 * ThreadSanitizer, which cannot see what a ring orders. */
#include "io/ioq_impl.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "base/env.h"

void ioq_list_put(struct ioq_list *li, struct ioq_req *r)
{
	r->next = NULL;
	if (!li->tail)
		li->tail = &li->head;
	*li->tail = r;
	li->tail = &r->next;
}

struct ioq_req *ioq_list_take(struct ioq_list *li)
{
	struct ioq_req *r = li->head;

	if (!r)
		return NULL;
	li->head = r->next;
	if (!li->head)
		li->tail = NULL;
	r->next = NULL;
	return r;
}

void ioq_do_plain(struct lower *l, struct ioq_req *r)
{
	switch (r->op) {
	case IOQ_READ:
		r->result = l->ops->preadv(l, r->fd, r->iov, r->iovcnt, r->off);
		return;
	case IOQ_WRITE:
	case IOQ_WRITE_DSYNC:
		r->result = l->ops->pwritev(l, r->fd, r->iov, r->iovcnt, r->off, r->op == IOQ_WRITE_DSYNC);
		return;
	case IOQ_FDATASYNC:
		r->result = l->ops->fdatasync(l, r->fd);
		return;
	case IOQ_FSYNC:
		r->result = l->ops->fsync(l, r->fd);
		return;
	}
	r->result = -EINVAL;
}

/* ---- the synchronous engine */

static int sync_submit(struct ioq *q, struct ioq_req *r)
{
	ioq_do_plain(q->l, r);
	ioq_list_put(&q->done, r);
	return 0;
}

static struct ioq_req *sync_wait(struct ioq *q)
{
	return ioq_list_take(&q->done);
}

static void sync_free(struct ioq *q)
{
	free(q);
}

int ioq_new_sync(struct lower *l, struct ioq **ret_q)
{
	static const struct ioq_ops ops = { .submit = sync_submit, .wait = sync_wait, .free = sync_free };
	struct ioq *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->ops = &ops;
	q->l = l;
	*ret_q = q;
	return 0;
}

/* ---- the front */

/* A value that is not "sync" is a mistake in a test, which must not pass for the other engine's sake. */
static bool sync_is_forced(void)
{
#if COFFER_TEST_HOOKS
	const char *v = env_get(ENV_COFFER_IOQ);

	assert(!v || strcmp(v, "sync") == 0);
	return v != NULL;
#else
	return false;
#endif
}

int ioq_new(struct lower *l, unsigned depth, struct ioq **ret_q)
{
	int r;

	if (sync_is_forced())
		return ioq_new_sync(l, ret_q);
	r = ioq_new_uring(l, depth, ret_q);
	return r == -EOPNOTSUPP ? ioq_new_sync(l, ret_q) : r;
}

void ioq_free(struct ioq *q)
{
	if (q)
		q->ops->free(q);
}

bool ioq_is_uring(const struct ioq *q)
{
	return q->uring;
}

static bool req_is_rw(const struct ioq_req *r)
{
	return r->op == IOQ_READ || r->op == IOQ_WRITE || r->op == IOQ_WRITE_DSYNC;
}

int ioq_submit(struct ioq *q, struct ioq_req *r)
{
	int res;

	if (!req_is_rw(r) && r->op != IOQ_FDATASYNC && r->op != IOQ_FSYNC)
		return -EINVAL;
	if (req_is_rw(r) && (r->iovcnt < 0 || r->iovcnt > IOV_MAX))
		return -EINVAL;
	r->result = 0;
	res = q->ops->submit(q, r);
	if (res == 0)
		q->outstanding++;
	return res;
}

struct ioq_req *ioq_wait(struct ioq *q)
{
	struct ioq_req *r;

	if (q->outstanding == 0)
		return NULL;
	r = q->ops->wait(q);
	assert(r);
	q->outstanding--;
	return r;
}

int ioq_run(struct ioq *q, struct ioq_req *reqs, size_t n)
{
	size_t waiting = 0;
	int r;

	assert(q->outstanding == 0);
	/* Alone a request gains nothing from a ring: two calls instead of one, and a flush would wake an io-wq thread. */
	if (n == 1) {
		if (reqs->iovcnt < 0 || reqs->iovcnt > IOV_MAX)
			reqs->result = -EINVAL;
		else
			ioq_do_plain(q->l, reqs);
		return reqs->result < 0 ? (int)reqs->result : 0;
	}
	for (size_t i = 0; i < n; i++) {
		r = ioq_submit(q, &reqs[i]);
		if (r < 0)
			reqs[i].result = r;
		else
			waiting++;
	}
	for (; waiting > 0; waiting--)
		(void)ioq_wait(q);
	for (size_t i = 0; i < n; i++)
		if (reqs[i].result < 0)
			return (int)reqs[i].result;
	return 0;
}
