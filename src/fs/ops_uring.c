/* ops_uring.c: requests by FUSE over io_uring (ops_impl.h), where the mount asks for it and the kernel offers it.
 *
 * The kernel has a queue for each processor and gives a request to the queue of the processor that its caller runs on. A queue is served here by workers that stay on that
 * processor, so that a caller who waits and the worker that serves him never wait for another processor to wake up: that is what is won. Each worker has an io_uring of its own
 * and one entry in the queue: the kernel copies a request into the entry, and sends no other one before that is answered. So workers block as on /dev/fuse, and no
 * request waits behind another as long as its processor has a worker to spare. One that brings or wants much lets its worker run anywhere meanwhile: it computes.
 *
 *   entry      whose it is
 *   IDLE       nobody's: to be registered
 *   ARMED      the kernel's
 *   TAKEN      the worker's, with a request
 *   LATE       the worker's, with a request that another thread answers (ops_seek.c): the worker registers one more entry and goes on, and tells the kernel when it is done
 *
 * What the kernel never sends this way, FORGET and INTERRUPT, comes by /dev/fuse, as does all that comes before each queue has an entry. The kernel answers INIT's flag by
 * making every request wait until that is so; if an entry is refused it goes back to /dev/fuse by itself.
 *
 * Entries cannot be taken back from the kernel, and what it has put into one is lost with the program: a session that has them cannot be handed over (ops_hand.c). */
#include "fs/ops_impl.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <liburing.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "fs/fuse_uring.h"

#define SLOTS 64u                        /* that are filled before the kernel is called */
#define LATE_MAX 1000u                   /* entries of a ring; beyond, a late answer is refused */
#define RESULTS 2048u                    /* more than a ring ever has under way */
#define BIG (128u << 10)
#define SPARES 7u                        /* entries more for many small direct reads (ops_deep.c), once they are seen to wait */
#define PRESSED 16u
#define PAUSE_MS 1
/* A request's header and what its operation has in front of names and data go before the payload, so that libfuse sees what it would have read. */
#define FRONT 4096u
_Static_assert(RESULTS > LATE_MAX + SPARES + 2, "no result is lost");
_Static_assert(FRONT >= sizeof(struct fuse_in_header) + FUSE_URING_OP_IN_OUT_SZ && FRONT + OPS_IO_MAX <= OPS_IN_ROOM, "a request fits into its room");
_Static_assert(FRONT + OPS_OUT_ROOM <= OPS_WORKER_ROOM, "an answer that is made in place of the payload too");

enum entry_state { ENTRY_IDLE, ENTRY_ARMED, ENTRY_TAKEN, ENTRY_LATE };

/* Its worker's alone, but for what says otherwise. */
struct ops_entry {
	struct ops_entry *next;          /* of the same ring */
	struct ops_worker *w;
	enum entry_state state;
	uint64_t unique;
	struct ops_entry *late_next;     /* lock: late_m, as is the next; and room and head while it is in ops.late_first */
	bool done;                       /* it has been answered by another thread */
	uint8_t *room;                   /* OPS_WORKER_ROOM bytes: the worker's, or its own */
	struct iovec iov[2];
	struct fuse_uring_req_header head;
};

struct ops_ring {
	struct io_uring ring;
	unsigned cpu;
	cpu_set_t own;                   /* that processor alone */
	bool made, listening, roams;
	bool served;                     /* the kernel has taken its entry */
	uint64_t event;
	unsigned nentries;
	struct ops_entry *entries;
	unsigned pressed;                /* answers in a row behind which another request waited */
};

/* ---- the ring */

static void run_on(struct ops_ring *r, const cpu_set_t *where, bool roams)
{
	if (pthread_setaffinity_np(pthread_self(), sizeof(*where), where) == 0)
		r->roams = roams;
}

static int make(struct ops_ring *r)
{
	/* Requests are copied in by this thread while it waits, and never under its feet. */
	struct io_uring_params p = { .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, .cq_entries = RESULTS };
	char name[24];
	int e;

	e = io_uring_queue_init_params(SLOTS, &r->ring, &p);
	if (e < 0)
		return e;
	r->made = true;
	(void)snprintf(name, sizeof(name), "coffer-ring%u", r->cpu);
	(void)pthread_setname_np(pthread_self(), name);
	(void)io_uring_register_ring_fd(&r->ring);
	run_on(r, &r->own, false);
	return 0;
}

void ops_uring_kick(const struct ops_worker *w)
{
	const uint64_t one = 1;
	ssize_t n = write(w->event_fd, &one, sizeof(one));

	(void)n; /* a full counter is awake enough */
}

bool ops_uring_begin(struct ops *o, struct ops_worker *w)
{
	int e = make(w->ring);
	uint64_t n;

	if (e < 0)
		log_debug("a ring for FUSE: %s", strerror(-e));
	atomic_fetch_add(e == 0 ? &o->rings_made : &o->rings_failed, 1);
	ops_wake(o);
	while (e == 0 && atomic_load(&o->uring) == OPS_URING_WANTED && !fuse_session_exited(o->session)) {
		if (read(w->event_fd, &n, sizeof(n)) < 0 && errno != EINTR)
			return false;
	}
	return e == 0 && atomic_load(&o->uring) == OPS_URING_AGREED;
}

static struct io_uring_sqe *slot(struct ops_ring *r)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&r->ring)))
		(void)io_uring_submit(&r->ring);
	return sqe;
}

static void command(struct ops *o, struct ops_entry *en, enum fuse_uring_cmd op)
{
	struct ops_ring *r = en->w->ring;
	struct io_uring_sqe *sqe = slot(r);
	struct fuse_uring_cmd_req *c = (void *)sqe->cmd;

	memset(sqe, 0, 2 * sizeof(*sqe)); /* IORING_SETUP_SQE128 */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fuse_session_fd(o->session);
	sqe->cmd_op = (uint32_t)op;
	c->qid = (uint16_t)r->cpu;
	if (op == FUSE_IO_URING_CMD_REGISTER) {
		en->iov[0] = (struct iovec){ &en->head, sizeof(en->head) };
		en->iov[1] = (struct iovec){ en->room + FRONT, OPS_IO_MAX };
		sqe->addr = (uint64_t)(uintptr_t)en->iov;
		sqe->len = 2;
	} else {
		c->commit_id = en->unique;
	}
	io_uring_sqe_set_data(sqe, en);
	en->state = ENTRY_ARMED;
}

/* ---- entries */

static struct ops_entry *entry_new(struct ops_worker *w, uint8_t *room)
{
	struct ops_ring *r = w->ring;
	struct ops_entry *en = calloc(1, sizeof(*en));

	if (!en)
		return NULL;
	en->w = w;
	en->room = room;
	en->next = r->entries;
	r->entries = en;
	r->nentries++;
	return en;
}

/* Of an entry that is not the worker's own. The kernel asks for room for the largest request; what is never touched costs nothing. */
static struct ops_entry *entry_more(struct ops_worker *w)
{
	uint8_t *room = mmap(NULL, OPS_WORKER_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct ops_entry *en;

	if (room == MAP_FAILED)
		return NULL;
	(void)madvise(room, OPS_WORKER_ROOM, MADV_DONTDUMP);
	en = entry_new(w, room);
	if (!en)
		(void)munmap(room, OPS_WORKER_ROOM);
	return en;
}

int ops_uring_alloc(struct ops_worker *w, unsigned cpu)
{
	w->ring = calloc(1, sizeof(*w->ring));
	if (!w->ring)
		return -ENOMEM;
	w->ring->cpu = cpu;
	CPU_SET(cpu, &w->ring->own);
	w->event_fd = eventfd(0, EFD_CLOEXEC);
	if (w->event_fd < 0)
		return -errno;
	return entry_new(w, w->memory) ? 0 : -ENOMEM;
}

void ops_uring_free(struct ops_worker *w)
{
	struct ops_ring *r = w->ring;
	struct ops_entry *en;

	if (!r)
		return;
	if (r->made)
		io_uring_queue_exit(&r->ring);
	while ((en = r->entries)) {
		r->entries = en->next;
		if (en->room != w->memory)
			(void)munmap(en->room, OPS_WORKER_ROOM);
		free(en);
	}
	if (w->event_fd >= 0)
		(void)close(w->event_fd);
	free(r);
	w->ring = NULL;
	w->in.mem = NULL; /* it was in one of the rooms */
}

/* ---- requests */

/* Give the kernel what it may have, and listen to other threads. */
static void arm(struct ops *o, struct ops_worker *w)
{
	struct ops_ring *r = w->ring;

	for (struct ops_entry *en = r->entries; en; en = en->next)
		if (en->state == ENTRY_IDLE)
			command(o, en, FUSE_IO_URING_CMD_REGISTER);
	if (!r->listening) {
		struct io_uring_sqe *sqe = slot(r);

		io_uring_prep_read(sqe, w->event_fd, &r->event, sizeof(r->event), 0);
		io_uring_sqe_set_data(sqe, &r->event);
		r->listening = true;
	}
}

/* The kernel fetches answers out of their entries before this returns. */
static int submit(struct ops_ring *r)
{
	int e;

	do {
		e = io_uring_submit(&r->ring);
	} while (e == -EINTR || e == -EAGAIN || e == -EBUSY);
	return e;
}

/* What other threads have answered. */
static int commit_late(struct ops *o, struct ops_ring *r)
{
	pthread_mutex_lock(&o->late_m);
	for (struct ops_entry *en = r->entries; en; en = en->next) {
		if (en->state == ENTRY_LATE && en->done) {
			en->done = false;
			command(o, en, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
		}
	}
	pthread_mutex_unlock(&o->late_m);
	return submit(r);
}

/* Does it compute more than it waits? */
static bool is_much(const struct ops_ring *r, const struct ops_entry *en)
{
	const struct fuse_in_header *h = (const void *)en->head.in_out;
	const struct fuse_read_in *in = (const void *)en->head.op_in;

	if (h->opcode == FUSE_READ)
		return in->size >= BIG || (r->nentries > 1 && (in->flags & O_DIRECT));
	return en->head.ring_ent_in_out.payload_sz >= BIG;
}

/* The request as /dev/fuse would have given it, in w->in. Its length; -EPROTO. */
static int compose(struct ops *o, struct ops_worker *w, struct ops_entry *en)
{
	const struct fuse_in_header *h = (const void *)en->head.in_out;
	uint32_t payload = en->head.ring_ent_in_out.payload_sz, op_len;
	bool much, in_place;
	uint8_t *start;

	if (payload > OPS_IO_MAX || h->len < sizeof(*h) + payload || h->len - sizeof(*h) - payload > sizeof(en->head.op_in))
		return -EPROTO;
	op_len = h->len - (uint32_t)sizeof(*h) - payload;
	start = en->room + FRONT - op_len - sizeof(*h);
	memcpy(start, h, sizeof(*h));
	memcpy(start + sizeof(*h), en->head.op_in, op_len);
	w->in.mem = start;
	w->in.size = h->len;
	/* An answer that is large and needs nothing of the request's payload is made where the kernel will fetch it. */
	in_place = h->opcode == FUSE_READ || h->opcode == FUSE_READDIR || h->opcode == FUSE_READDIRPLUS;
	w->out = in_place ? en->room + FRONT : (uint8_t *)w->memory + OPS_IN_ROOM;
	en->state = ENTRY_TAKEN;
	w->ring->served = true;
	en->unique = en->head.ring_ent_in_out.commit_id;
	much = is_much(w->ring, en);
	if (much != w->ring->roams)
		run_on(w->ring, much ? &o->allowed : &w->ring->own, much);
	return (int)h->len;
}

/* An entry has come back. As ops_uring_next. */
static int brought(struct ops *o, struct ops_worker *w, struct ops_entry *en, int res)
{
	if (res == 0)
		return compose(o, w, en);
	en->state = ENTRY_IDLE;
	switch (res) {
	case -ENOTCONN:
	case -ECONNABORTED:
	case -ENODEV:
		return 0;
	case -ENOENT: /* whoever asked has been given an error meanwhile */
		return -EINTR;
	case -EAGAIN:
	case -ENOMEM:
		clock_pause_ms(PAUSE_MS);
		return -EINTR;
	default:
		return log_ret(w->ring->served ? res : -ECANCELED, "a request by io_uring: %s", strerror(-res));
	}
}

/* What has come back, if anything has. As ops_uring_next. */
static int take_back(struct ops *o, struct ops_worker *w)
{
	struct ops_ring *r = w->ring;
	struct io_uring_cqe *cqe;
	void *data;
	int e, res;

	if (io_uring_peek_cqe(&r->ring, &cqe) != 0)
		return -EINTR;
	data = io_uring_cqe_get_data(cqe);
	res = cqe->res;
	io_uring_cqe_seen(&r->ring, cqe);
	if (data != &r->event)
		return brought(o, w, data, res);
	r->listening = false;
	e = commit_late(o, r);
	return e < 0 ? log_ret(e, "an answer by io_uring") : -EINTR;
}

int ops_uring_next(struct ops *o, struct ops_worker *w)
{
	struct ops_ring *r = w->ring;
	int e;

	arm(o, w);
	if (io_uring_cq_ready(&r->ring) == 0) {
		e = io_uring_submit_and_wait(&r->ring, 1);
		if (e < 0 && e != -EINTR && e != -EAGAIN && e != -EBUSY)
			return log_ret(e, "waiting for requests by io_uring");
	}
	return take_back(o, w);
}

int ops_uring_more(struct ops *o, struct ops_worker *w)
{
	struct ops_ring *r = w->ring;

	while (r->pressed >= PRESSED && r->nentries <= SPARES && entry_more(w))
		;
	if (r->nentries == 1)
		return -EAGAIN;
	arm(o, w);
	if (io_uring_cq_ready(&r->ring) == 0)
		(void)io_uring_submit_and_get_events(&r->ring);
	return take_back(o, w);
}

bool ops_uring_idle(const struct ops_worker *w)
{
	const struct ops_entry *en = w->ring->entries;

	for (; en && en->state != ENTRY_LATE; en = en->next)
		;
	return !en && io_uring_cq_ready(&w->ring->ring) == 0;
}

void ops_uring_wipe(struct ops_worker *w)
{
	for (struct ops_entry *en = w->ring->entries; en; en = en->next) {
		secret_wipe(&en->head, sizeof(en->head));
		if (en->room != w->memory && madvise(en->room, OPS_WORKER_ROOM, MADV_DONTNEED) < 0)
			secret_wipe(en->room, OPS_WORKER_ROOM);
	}
}

/* ---- answers */

/* Into the entry, where the kernel will fetch it. The length of all, or -1. */
static ssize_t put_answer(struct ops_entry *en, const struct iovec *iov, int count)
{
	uint8_t *to = en->room + FRONT;
	size_t n = 0;

	memcpy(en->head.in_out, iov[0].iov_base, sizeof(struct fuse_out_header));
	for (int k = 1; k < count; k++) {
		if (iov[k].iov_len > OPS_IO_MAX - n) {
			errno = EINVAL;
			return -1;
		}
		if (to + n != iov[k].iov_base)
			memmove(to + n, iov[k].iov_base, iov[k].iov_len);
		n += iov[k].iov_len;
	}
	en->head.ring_ent_in_out.payload_sz = (uint32_t)n;
	return (ssize_t)(sizeof(struct fuse_out_header) + n);
}

static bool answer_late(struct ops *o, const struct iovec *iov, int count, ssize_t *ret_n)
{
	const struct fuse_out_header *h = iov[0].iov_base;
	struct ops_entry *en, **at;

	pthread_mutex_lock(&o->late_m);
	for (at = &o->late_first; *at && (*at)->unique != h->unique; at = &(*at)->late_next)
		;
	en = *at;
	if (en) {
		*at = en->late_next;
		*ret_n = put_answer(en, iov, count);
		en->done = true;
	}
	pthread_mutex_unlock(&o->late_m);
	if (en)
		ops_uring_kick(en->w);
	return en;
}

static struct ops_entry *taken_by(const struct ops_worker *w, uint64_t unique)
{
	struct ops_entry *en = w && w->ring ? w->ring->entries : NULL;

	while (en && (en->state != ENTRY_TAKEN || en->unique != unique))
		en = en->next;
	return en;
}

bool ops_uring_answer(struct ops *o, const struct iovec *iov, int count, ssize_t *ret_n)
{
	const struct fuse_out_header *h = iov[0].iov_base;
	struct ops_worker *w;
	struct ops_entry *en;
	int e;

	if (!ops_by_uring(o) || h->unique == 0)
		return false;
	w = pthread_getspecific(o->worker_key);
	en = taken_by(w, h->unique);
	if (!en)
		return answer_late(o, iov, count, ret_n);
	*ret_n = put_answer(en, iov, count);
	if (*ret_n < 0)
		return true;
	command(o, en, FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
	e = submit(w->ring);
	if (e < 0) {
		errno = -e;
		*ret_n = -1;
	}
	w->ring->pressed = io_uring_cq_ready(&w->ring->ring) > 0 ? w->ring->pressed + 1 : 0;
	return true;
}

/* One that the kernel has, or will be given before this worker waits again. */
static bool has_another(const struct ops_ring *r)
{
	const struct ops_entry *en;

	for (en = r->entries; en && en->state != ENTRY_ARMED && en->state != ENTRY_IDLE; en = en->next)
		;
	return en;
}

int ops_uring_later(struct ops *o, uint64_t unique)
{
	struct ops_worker *w = pthread_getspecific(o->worker_key);
	struct ops_entry *en = taken_by(w, unique);

	if (!en)
		return 0; /* it did not come this way */
	if (!has_another(w->ring) && (w->ring->nentries > LATE_MAX || !entry_more(w)))
		return -ENOMEM;
	en->state = ENTRY_LATE;
	pthread_mutex_lock(&o->late_m);
	en->late_next = o->late_first;
	o->late_first = en;
	pthread_mutex_unlock(&o->late_m);
	return 0;
}
