/* ioq_uring.c: the io_uring engine; the only file that includes liburing for I/O below (fs/ops_uring.c has the other way to FUSE).
 *
 * A request is in one list or in the kernel:
 *
 *   queued     submitted by the caller, no SQE yet; goes to the kernel when the ring is full or somebody waits
 *   in kernel  between io_uring_submit and its completion; counted in in_kernel, never more than depth
 *   done       completed, waits to be fetched
 *
 * A short count moves iov, iovcnt and off on and puts the request back into queued; result counts the bytes so far. Should the kernel
 * refuse the ring for good (out of memory, a seccomp filter), everything not in the kernel is done by plain calls from then
 * on: a request is never lost. A ring has one issuer: the thread that made it. */
#include "io/ioq_impl.h"

#include <sched.h>

#include <liburing.h>

#define TRIES_MAX 1000

struct uring {
	struct ioq q;
	struct io_uring ring;
	unsigned depth;
	unsigned in_kernel;
	bool broken;             /* io_uring_enter fails: plain calls */
	struct ioq_list queued;
	unsigned nqueued;
};

static struct uring *uring_of(struct ioq *q)
{
	return (struct uring *)q;
}

static bool is_write(const struct ioq_req *r)
{
	return r->op == IOQ_WRITE || r->op == IOQ_WRITE_DSYNC;
}

static void prepare(struct io_uring_sqe *sqe, struct ioq_req *r)
{
	switch (r->op) {
	case IOQ_READ:
		io_uring_prep_readv(sqe, r->fd, r->iov, (unsigned)r->iovcnt, r->off);
		break;
	case IOQ_WRITE:
		io_uring_prep_writev(sqe, r->fd, r->iov, (unsigned)r->iovcnt, r->off);
		break;
	case IOQ_WRITE_DSYNC:
		io_uring_prep_writev2(sqe, r->fd, r->iov, (unsigned)r->iovcnt, r->off, RWF_DSYNC);
		break;
	case IOQ_FDATASYNC:
		io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC);
		break;
	case IOQ_FSYNC:
		io_uring_prep_fsync(sqe, r->fd, 0);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

/* Leave out n bytes that are done, and iovecs that are empty. */
static void advance(struct ioq_req *r, size_t n)
{
	r->off += n;
	while (r->iovcnt > 0 && n >= r->iov->iov_len) {
		n -= r->iov->iov_len;
		r->iov++;
		r->iovcnt--;
	}
	if (r->iovcnt > 0) {
		r->iov->iov_base = (uint8_t *)r->iov->iov_base + n;
		r->iov->iov_len -= n;
	}
}

/* The rest of r by plain calls, and what was done before counts. */
static void finish_plain(struct uring *u, struct ioq_req *r)
{
	ssize_t before = r->result;

	ioq_do_plain(u->q.l, r);
	if (r->result >= 0)
		r->result += before;
	else if (r->op == IOQ_READ && before > 0)
		r->result = before;
	ioq_list_put(&u->q.done, r);
}

static void complete(struct uring *u, struct ioq_req *r, int res)
{
	bool rw = r->op == IOQ_READ || is_write(r);

	/* EAGAIN: the descriptor has O_NONBLOCK and the filesystem cannot promise that (IOCB_NOWAIT); a plain call just waits. */
	if (res == -EINTR || res == -EAGAIN || (res == -EOPNOTSUPP && r->op == IOQ_WRITE_DSYNC)) {
		finish_plain(u, r);
		return;
	}
	if (rw && res > 0) {
		r->result += res;
		advance(r, (size_t)res);
		if (r->iovcnt > 0) {
			ioq_list_put(&u->queued, r);
			u->nqueued++;
			return;
		}
	} else if (res < 0) {
		/* A read that got something ends short; the next one meets the error again. */
		if (r->op != IOQ_READ || r->result == 0)
			r->result = res;
	} else if (is_write(r)) {
		r->result = -EIO;
	}
	ioq_list_put(&u->q.done, r);
}

static unsigned reap(struct uring *u)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		complete(u, io_uring_cqe_get_data(cqe), cqe->res);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
	u->in_kernel -= n;
	return n;
}

/* Take the requests whose SQEs the kernel has not consumed out of the ring, and do them by plain calls. Only once nothing is in
 * the kernel: what it still works on must stay where it is. */
static void give_up(struct uring *u, struct ioq_list *handed)
{
	struct ioq_req *r;

	u->broken = true;
	while ((r = ioq_list_take(handed)))
		finish_plain(u, r);
}

/* Wait for one completion of those in the kernel. */
static void reap_one(struct uring *u)
{
	struct io_uring_cqe *cqe;

	while (reap(u) == 0)
		if (io_uring_wait_cqe(&u->ring, &cqe) < 0)
			(void)sched_yield();
}

/* Give all that is queued to the kernel. */
static void flush(struct uring *u)
{
	struct ioq_list handed = { NULL, NULL };
	struct ioq_req *r;
	unsigned tries = 0;
	int n;

	while (u->nqueued > 0 && u->in_kernel + io_uring_sq_ready(&u->ring) < u->depth) {
		r = ioq_list_take(&u->queued);
		u->nqueued--;
		prepare(io_uring_get_sqe(&u->ring), r);
		ioq_list_put(&handed, r);
	}
	while (handed.head) {
		n = io_uring_submit(&u->ring);
		for (int i = 0; i < n; i++)
			(void)ioq_list_take(&handed);
		if (n > 0) {
			u->in_kernel += (unsigned)n;
			tries = 0;
		} else if (n == -EINTR) {
			continue;
		} else if (u->in_kernel > 0) {
			reap_one(u);
		} else if ((n != -EAGAIN && n != -EBUSY && n != 0) || tries++ == TRIES_MAX) {
			give_up(u, &handed);
		} else {
			(void)sched_yield();
		}
	}
}

static void flush_plain(struct uring *u)
{
	struct ioq_req *r;

	while ((r = ioq_list_take(&u->queued))) {
		u->nqueued--;
		finish_plain(u, r);
	}
}

static int uring_submit(struct ioq *q, struct ioq_req *r)
{
	struct uring *u = uring_of(q);

	/* Nothing to move: readv of no bytes is no question to the kernel about the end of the file. */
	if (r->op == IOQ_READ || is_write(r))
		advance(r, 0);
	if (u->broken || ((r->op == IOQ_READ || is_write(r)) && r->iovcnt == 0)) {
		finish_plain(u, r);
		return 0;
	}
	while (u->in_kernel + u->nqueued >= u->depth && !u->broken) {
		flush(u);
		if (u->in_kernel > 0)
			reap_one(u);
	}
	if (u->broken) {
		flush_plain(u);
		finish_plain(u, r);
		return 0;
	}
	ioq_list_put(&u->queued, r);
	u->nqueued++;
	return 0;
}

static struct ioq_req *uring_wait(struct ioq *q)
{
	struct uring *u = uring_of(q);
	struct ioq_req *r;

	for (;;) {
		if (u->broken)
			flush_plain(u);
		else if (u->nqueued > 0)
			flush(u);
		r = ioq_list_take(&q->done);
		if (r || (u->in_kernel == 0 && u->nqueued == 0))
			return r;
		if (u->in_kernel > 0)
			reap_one(u);
	}
}

static void uring_free(struct ioq *q)
{
	struct uring *u = uring_of(q);

	/* Buffers are the caller's: none may be written to after this. */
	while (u->in_kernel > 0)
		reap_one(u);
	io_uring_queue_exit(&u->ring);
	free(u);
}

/* Completions by the task that waits, no interrupts of what it does meanwhile (Linux 6.1), else as the kernel likes. */
static int ring_new(unsigned depth, struct io_uring *ret_ring)
{
	int r = io_uring_queue_init(depth, ret_ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	return r == -EINVAL ? io_uring_queue_init(depth, ret_ring, 0) : r;
}

int ioq_new_uring(struct lower *l, unsigned depth, struct ioq **ret_q)
{
	static const struct ioq_ops ops = { .submit = uring_submit, .wait = uring_wait, .free = uring_free };
	struct uring *u;

	if (depth == 0 || depth > IOQ_DEPTH_MAX)
		return -EINVAL;
	if (!l->real)
		return -EOPNOTSUPP;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	if (ring_new(depth, &u->ring) < 0) {
		free(u);
		return -EOPNOTSUPP;
	}
	(void)io_uring_ring_dontfork(&u->ring);
	u->q.ops = &ops;
	u->q.l = l;
	u->q.uring = true;
	u->depth = depth;
	*ret_q = &u->q;
	return 0;
}
