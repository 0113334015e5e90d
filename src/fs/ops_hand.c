/* ops_hand.c: a mount that goes on in another program, from both sides (ops.h, "Restart").
 *
 * The one that leaves brings its threads to a halt between two requests, without any that is answered by an error: requests that come meanwhile wait in the kernel. In
 * this order, for each may need those behind it to end:
 *
 *   1 no lock, no unlock (lock_m); no sync begins, those under way end: one that waits in the kernel for WRITE requests could not even be killed
 *   2 the seek thread ends what it is at; what waits for it, and comes now, is handed over as it is: its invalidation needs WRITE requests served
 *   3 each worker ends what it has, and parks
 *
 * The one that comes knows the connection's descriptors. libfuse must have seen an INIT, which the kernel does not send again, so it gets the bytes of the first; the
 * answer is not sent, but must be the one that the kernel was given then: that is what it goes by for ever. */
#include "fs/ops_impl.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/log.h"

#define HOLD_MS 10000u
#define SYNC_MS 60000u
#define PAUSE_MS 1
#define FUSE_DEV makedev(10, 229)

/* ---- the one that leaves: others who ask something of the kernel about this mount */

void ops_hand_enter(struct ops *o)
{
	pthread_mutex_lock(&o->hold_m);
	while (o->no_syncs)
		pthread_cond_wait(&o->hold_cond, &o->hold_m);
	o->syncs++;
	pthread_mutex_unlock(&o->hold_m);
}

void ops_hand_leave(struct ops *o)
{
	pthread_mutex_lock(&o->hold_m);
	o->syncs--;
	pthread_cond_broadcast(&o->hold_cond);
	pthread_mutex_unlock(&o->hold_m);
}

/* ---- workers */

bool ops_hand_held(struct ops *o, struct ops_worker *w)
{
	if (!atomic_load(&o->holding) || w->kept > 0)
		return false;
	pthread_mutex_lock(&o->hold_m);
	atomic_store(&w->parked, true);
	while (atomic_load(&o->holding))
		pthread_cond_wait(&o->hold_cond, &o->hold_m);
	atomic_store(&w->parked, false);
	pthread_mutex_unlock(&o->hold_m);
	return true;
}

static void set_holding(struct ops *o, bool on)
{
	pthread_mutex_lock(&o->hold_m);
	atomic_store(&o->holding, on);
	pthread_cond_broadcast(&o->hold_cond);
	pthread_mutex_unlock(&o->hold_m);
}

static void set_no_syncs(struct ops *o, bool on)
{
	pthread_mutex_lock(&o->hold_m);
	o->no_syncs = on;
	pthread_cond_broadcast(&o->hold_cond);
	pthread_mutex_unlock(&o->hold_m);
}

/* What each step waits for. */
static bool no_syncs(struct ops *o)
{
	bool none;

	pthread_mutex_lock(&o->hold_m);
	none = o->syncs == 0;
	pthread_mutex_unlock(&o->hold_m);
	return none;
}

static bool seek_rests(struct ops *o)
{
	unsigned queued;

	return ops_seek_rests(o, &queued);
}

/* Whoever waits for a request is reached by a signal, again until all have parked: one may come between a look and a read. */
static bool all_parked(struct ops *o)
{
	bool all = true;

	pthread_mutex_lock(&o->wipe_m);
	for (unsigned k = 0; k < o->started; k++) {
		if (atomic_load(&o->workers[k].parked) || atomic_load(&o->workers[k].left))
			continue;
		all = false;
		if (!o->joining && atomic_load(&o->ended) == 0)
			ops_lock_signal(&o->workers[k]);
	}
	pthread_mutex_unlock(&o->wipe_m);
	return all;
}

/* Those that wait for the seek thread are inside as well. */
static bool nobody_inside(struct ops *o)
{
	unsigned queued;

	return ops_seek_rests(o, &queued) && atomic_load(&o->active) == queued;
}

static int until(struct ops *o, bool (*done)(struct ops *o), unsigned ms)
{
	uint64_t end = clock_boot_ms() + ms;

	while (!done(o)) {
		if (atomic_load(&o->ended) > 0 || atomic_load(&o->stops) > 0)
			return -ESHUTDOWN;
		if (clock_boot_ms() > end)
			return -ETIMEDOUT;
		clock_pause_ms(PAUSE_MS);
	}
	return 0;
}

int ops_hold(struct ops *o)
{
	int r;

	pthread_mutex_lock(&o->lock_m);
	if (o->closing || o->ended_hard)
		r = -ESHUTDOWN;
	else if (!ops_gate_is_open(o) || volume_is_locked(o->volume))
		r = -ENOKEY;
	else
		r = o->init_len > 0 && o->answer_len > 0 && !ops_by_uring(o) ? 0 : -EOPNOTSUPP;
	if (r < 0) {
		pthread_mutex_unlock(&o->lock_m);
		return r;
	}
	set_no_syncs(o, true);
	r = until(o, no_syncs, SYNC_MS);
	ops_seek_hold(o, true);
	if (r == 0)
		r = until(o, seek_rests, HOLD_MS);
	if (r == 0) {
		set_holding(o, true);
		r = until(o, all_parked, HOLD_MS);
	}
	if (r == 0)
		r = until(o, nobody_inside, HOLD_MS);
	if (r < 0)
		ops_resume(o);
	return r;
}

void ops_resume(struct ops *o)
{
	set_holding(o, false);
	ops_seek_hold(o, false);
	set_no_syncs(o, false);
	pthread_mutex_unlock(&o->lock_m);
}

void ops_hold_failed(struct ops *o, int r)
{
	int expected = 0;

	(void)atomic_compare_exchange_strong(&o->first_error, &expected, r);
	atomic_store(&o->gate, OPS_GATE_SHUT);
	fuse_session_exit(o->session);
	ops_resume(o);
}

bool ops_is_stopping(struct ops *o)
{
	return atomic_load(&o->stops) > 0;
}

void ops_ask_restart(struct ops *o, uint32_t token)
{
	atomic_store(&o->restart_token, token);
	atomic_store(&o->restart_asked, true);
	ops_wake(o);
}

void ops_hand_asked(struct ops *o)
{
	if (atomic_exchange(&o->restart_asked, false) && o->params.restart)
		o->params.restart(o->params.ctx, o, atomic_load(&o->restart_token));
}

/* ---- what it hands over */

void ops_hand_head(struct ops *o, struct hand_head *h)
{
	unsigned queued = 0;

	h->fuse_fd = fuse_session_fd(o->session);
	h->deep_fd = o->deep_fd;
	h->init_len = o->init_len;
	memcpy(h->init, o->init, o->init_len);
	h->answer_len = o->answer_len;
	memcpy(h->answer, o->answer, o->answer_len);
	(void)ops_seek_rests(o, &queued);
	h->seeks = queued;
}

int ops_hand_fds(struct ops *o, bool on)
{
	int flags = on ? 0 : FD_CLOEXEC;

	if (fcntl(fuse_session_fd(o->session), F_SETFD, flags) < 0 || (o->deep_fd >= 0 && fcntl(o->deep_fd, F_SETFD, flags) < 0))
		return -errno;
	return 0;
}

/* ---- the one that comes */

static bool is_fuse(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == FUSE_DEV && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* libfuse has seen an INIT then. -EPROTO: it would be answered otherwise than it was. */
static int replay_init(struct ops *o)
{
	const struct hand_head *h = o->params.hand->head;
	uint8_t bytes[HAND_INIT_MAX];
	struct fuse_buf buf = { .mem = bytes, .size = h->init_len };
	const struct fuse_in_header *in = (const void *)bytes;

	memcpy(bytes, h->init, h->init_len);
	if (h->init_len < sizeof(*in) || in->opcode != FUSE_INIT || in->len != h->init_len)
		return -EUCLEAN;
	ops_raw_saw_init(o, bytes, h->init_len);
	fuse_session_process_buf(o->session, &buf);
	if (!atomic_load(&o->init_done) || o->answer_len != h->answer_len || memcmp(o->answer, h->answer, h->answer_len) != 0)
		return log_ret(-EPROTO, "the kernel would be promised something else than it was when this was mounted");
	return 0;
}

int ops_hand_open(struct ops *o)
{
	const struct hand_head *h = o->params.hand->head;
	int r;

	if (!is_fuse(h->fuse_fd) || (h->deep_fd >= 0 && !is_fuse(h->deep_fd)))
		return log_ret(-EUCLEAN, "the connection that was handed over");
	r = ops_raw_install(o, h->fuse_fd);
	if (r < 0)
		return log_ret(r, "the FUSE session");
	o->handed = true;
	o->mounted = true;
	o->deep_fd = h->deep_fd;
	return replay_init(o);
}

int ops_hand_same(const struct hand_head *h)
{
	const struct ops_hand hand = { .head = h };
	struct ops o = { .params = { .hand = &hand }, .deep_fd = -1 };
	AUTO_CLOSE int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (pthread_key_create(&o.worker_key, NULL) != 0)
		return -ENOMEM;
	r = ops_session_new(&o);
	if (r == 0)
		r = ops_raw_install(&o, fd);
	if (r == 0) {
		fd = -1; /* the session's */
		o.handed = true;
		r = replay_init(&o);
	}
	if (o.session)
		fuse_session_destroy(o.session);
	(void)pthread_key_delete(o.worker_key);
	return r;
}

/* One that was taken and not answered, as the kernel had sent it. */
static void again(struct ops *o, const struct hand_seek *s)
{
	struct {
		struct fuse_in_header h;
		struct fuse_lseek_in in;
	} request = {
		.h = { .len = sizeof(request), .opcode = FUSE_LSEEK, .unique = s->unique, .nodeid = s->node },
		.in = { .offset = s->off, .whence = s->whence },
	};
	struct fuse_buf buf = { .mem = &request, .size = sizeof(request) };

	o->again_unique = s->unique;
	fuse_session_process_buf(o->session, &buf);
}

void ops_hand_go_on(struct ops *o)
{
	const struct ops_hand *hand = o->params.hand;

	for (uint32_t k = 0; hand && k < hand->head->seeks; k++)
		again(o, &hand->seeks[k]);
	o->params.hand = NULL; /* borrowed until here */
}
