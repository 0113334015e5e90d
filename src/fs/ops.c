/* ops.c: a mount's life: mount point, session, workers, end (ops.h). Requests are in ops_req.c.
 *
 * A pool of blocking workers on one /dev/fuse descriptor. Measured against an event loop and other pools it is the fastest on classic FUSE; 8 threads
 * carry 32 outstanding requests. Each has its own buffers, made once: a fresh page costs more than sealing it. Workers can be cancelled only while
 * they wait for a request. */
#include "fs/ops_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/priv.h"

#define READ_AHEAD_KB 4096
#define QUIET_MS 5000

/* ---- mounting */

int ops_mount(const struct ops_params *p, struct ops **ret_o)
{
	struct ops *o;
	int r;

	r = p->hand ? 0 : ops_check(p->mountpoint, p->nonempty);
	if (r < 0)
		return r;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->volume = p->volume;
	o->params = *p;
	o->threads = p->threads ? p->threads : OPS_THREADS_DEFAULT;
	if (o->threads > OPS_THREADS_MAX)
		o->threads = OPS_THREADS_MAX;
	(void)pthread_mutex_init(&o->wipe_m, NULL);
	(void)pthread_mutex_init(&o->lock_m, NULL);
	(void)pthread_mutex_init(&o->hold_m, NULL);
	(void)pthread_mutex_init(&o->late_m, NULL);
	(void)pthread_cond_init(&o->hold_cond, NULL);
	o->sync_fd = -1;
	o->deep_fd = -1;
	o->wake_fd = eventfd(0, EFD_CLOEXEC);
	/* The name must still mean the same when the working directory has changed. One that was handed over is whole, and asking for it would wait for us. */
	o->mountpoint = p->hand ? strdup(p->mountpoint) : realpath(p->mountpoint, NULL);
	if (o->mountpoint)
		ops_uring_wanted(o);
	o->workers = calloc(o->threads + o->rings, sizeof(*o->workers));
	o->have_key = pthread_key_create(&o->worker_key, NULL) == 0;
	r = o->wake_fd >= 0 && o->mountpoint && o->workers && o->have_key ? 0 : -ENOMEM;
	if (r == 0)
		r = ops_session_open(o);
	if (r < 0) {
		ops_unmounted(o);
		return r;
	}
	*ret_o = o;
	return 0;
}

/* ---- workers */

static int worker_memory(struct ops_worker *w)
{
	int r;

	r = posix_memalign(&w->memory, OPS_HUGE_PAGE, OPS_WORKER_ROOM);
	if (r != 0)
		return -r;
	/* Both buffers but for the last pages of the second: the kernel clears what it gives, and each worker of a mount pays for it. */
	(void)madvise(w->memory, OPS_HUGE_PAGE, MADV_HUGEPAGE);
	(void)madvise(w->memory, OPS_WORKER_ROOM, MADV_DONTDUMP);
	w->out = (uint8_t *)w->memory + OPS_IN_ROOM;
#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
	w->in.mem = w->memory;
#endif
	/* A later libfuse reads as much as it likes, so there it allocates. */
	return 0;
}

void ops_wake(struct ops *o)
{
	const uint64_t one = 1;
	ssize_t n = write(o->wake_fd, &one, sizeof(one));

	(void)n; /* a full counter is awake enough */
}

/* The length of the next request in w->in: one that was kept, or what the kernel has. Else as fuse_session_receive_buf. */
static int next_request(struct ops *o, struct ops_worker *w)
{
	int r = w->kept, old;

	w->kept = 0;
	if (r > 0)
		return r;
	w->ntaken = 0; /* all are answered */
	if (w->ring)
		return ops_uring_next(o, w);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	r = fuse_session_receive_buf(o->session, &w->in);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return r;
}

/* Of a worker that is not needed: the others serve. */
static void *leave(struct ops_worker *w)
{
	atomic_store(&w->left, true);
	return NULL;
}

static void *work(void *arg)
{
	struct ops_worker *w = arg;
	struct ops *o = w->ops;
	int r = 0, old, expected = 0;

	priv_thread();
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	(void)pthread_setspecific(o->worker_key, w);
	if (w->ring && !ops_uring_begin(o, w))
		return leave(w);
	/* What was taken from the kernel is served in any case. */
	while (w->kept > 0 || !fuse_session_exited(o->session)) {
		ops_lock_wipe_worker(o, w);
		if (ops_hand_held(o, w))
			continue;
		r = next_request(o, w);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r == -ECANCELED && w->ring)
			return leave(w);
		if (r <= 0)
			break;
		ops_serve_one(o, w, (size_t)r);
	}
	if (r < 0)
		(void)atomic_compare_exchange_strong(&o->first_error, &expected, r);
	fuse_session_exit(o->session);
	atomic_fetch_add(&o->ended, 1);
	ops_wake(o);
	return NULL;
}

static int start_worker(struct ops *o, bool ring)
{
	struct ops_worker *w = &o->workers[o->started];
	int r;

	w->ops = o;
	r = worker_memory(w);
	if (r == 0 && ring)
		r = ops_uring_alloc(w, o->started % o->cpus);
	if (r < 0)
		return r;
	r = pthread_create(&w->thread, NULL, work, w);
	if (r == 0)
		o->started++;
	return -r;
}

/* More of those that read /dev/fuse. */
static int start_workers(struct ops *o, unsigned n)
{
	int r = 0;

	for (; n > 0 && r == 0; n--)
		r = start_worker(o, false);
	return r;
}

static bool has_said(struct ops *o)
{
	return atomic_load(&o->rings_made) + atomic_load(&o->rings_failed) == o->rings;
}

static bool is_settled(struct ops *o)
{
	return atomic_load(&o->uring) != OPS_URING_WANTED || atomic_load(&o->ended) > 0;
}

static void until(struct ops *o, bool (*done)(struct ops *o))
{
	uint64_t n;

	while (!done(o))
		if (read(o->wake_fd, &n, sizeof(n)) < 0 && errno != EINTR)
			return;
	ops_wake(o); /* somebody may have meant another */
}

/* All rings are there before one worker reads INIT and answers it. Afterwards little comes by /dev/fuse, or everything. */
static int start_with_rings(struct ops *o)
{
	int r = 0;

	for (unsigned k = 0; k < o->rings && r == 0; k++)
		r = start_worker(o, true);
	if (r < 0)
		return r;
	until(o, has_said);
	r = start_workers(o, 1);
	if (r < 0)
		return r;
	until(o, is_settled);
	return start_workers(o, atomic_load(&o->uring) == OPS_URING_AGREED && o->threads > 1 ? 1 : o->threads - 1);
}

static void join_workers(struct ops *o, bool cancel)
{
	unsigned k;

	pthread_mutex_lock(&o->wipe_m);
	o->joining = true;
	pthread_mutex_unlock(&o->wipe_m);
	for (k = 0; cancel && k < o->started; k++)
		(void)pthread_cancel(o->workers[k].thread);
	ops_uring_kick_all(o);
	for (k = 0; k < o->started; k++)
		(void)pthread_join(o->workers[k].thread, NULL);
	/* What the kernel has of a ring is a user of the connection. */
	for (k = 0; k < o->started; k++)
		ops_uring_free(&o->workers[k]);
	o->started = 0;
}

/* ---- serving */

/* Readahead is what keeps several large reads in flight; the kernel's default for FUSE is 128 KiB. Only root may. */
static void set_read_ahead(dev_t dev)
{
	char path[64], text[16];
	int fd, len;

	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = snprintf(text, sizeof(text), "%d", READ_AHEAD_KB);
	if (write(fd, text, (size_t)len) != len)
		log_debug("%s: not set", path);
	(void)close(fd);
}

/* As any user of the mount would: through the kernel, by its name, from a thread that serves nothing. */
static int read_root(const struct ops *o, struct stat *ret_st)
{
	DIR *d;
	int r;

	if (stat(o->mountpoint, ret_st) < 0)
		return -errno;
	d = opendir(o->mountpoint);
	if (!d)
		return errno == EACCES ? 0 : -errno; /* closed to its own user: the mode was told */
	errno = 0;
	r = readdir(d) ? 0 : -errno;
	(void)closedir(d);
	return r;
}

static int wait_answer(struct ops *o)
{
	struct stat st;
	int r;

	r = read_root(o, &st);
	if (r < 0)
		return log_ret(r, "%s: mounted, but its root cannot be read", o->mountpoint);
	o->dev = st.st_dev;
	set_read_ahead(st.st_dev);
	if (o->params.ready)
		o->params.ready(o->params.ctx, o);
	return 0;
}

/* True: nobody of this mount namespace can see it any more, so it should end by itself. */
static bool unmount_now(struct ops *o)
{
	int r = ops_session_detach(o, 0);

	if (r == 0 || r == -EINVAL || r == -ENOENT)
		return true;
	if (r == -EBUSY)
		log_warning("%s: in use; it disappears now and ends with its last user", o->mountpoint);
	if (ops_session_detach(o, MNT_DETACH) < 0)
		ops_session_unmount(o);
	return false;
}

/* Stopped and unmounted here, but still alive: a copy of the mount lives in another mount namespace. The kernel hands over what it holds as
 * long as there is something, so we end when nothing has come for a while. */
static void wait_quiet(struct ops *o)
{
	struct pollfd p = { .fd = o->wake_fd, .events = POLLIN };
	uint64_t before;
	uint64_t n;

	do {
		before = atomic_load(&o->requests);
		if (poll(&p, 1, QUIET_MS) > 0 && read(o->wake_fd, &n, sizeof(n)) < 0)
			return;
	} while (atomic_load(&o->ended) == 0 && atomic_load(&o->stops) < 2 && atomic_load(&o->requests) != before);
}

static void serve(struct ops *o)
{
	bool stopping = false;
	uint64_t n;

	while (atomic_load(&o->ended) == 0 && atomic_load(&o->stops) < 2) {
		if (read(o->wake_fd, &n, sizeof(n)) < 0 && errno != EINTR)
			return;
		if (!stopping && atomic_load(&o->stops) == 0 && atomic_load(&o->ended) == 0)
			ops_hand_asked(o);
		if (stopping || atomic_load(&o->stops) != 1 || atomic_load(&o->ended) > 0)
			continue;
		stopping = true;
		if (!unmount_now(o))
			continue;
		wait_quiet(o);
		return;
	}
}

/* The kernel asks for the attributes when somebody wants them next. Only attributes, so this waits for nothing. */
static void forget_attr(void *ctx, uint64_t id)
{
	struct ops *o = ctx;

	(void)fuse_lowlevel_notify_inval_inode(o->session, id, -1, 0);
}

int ops_serve(struct ops *o)
{
	bool gone;
	int r;

	(void)umask(0);
	volume_watch(o->volume, forget_attr, o);
	r = ops_lock_prepare();
	if (r == 0)
		r = ops_seek_start(o);
	if (r == 0)
		ops_hand_go_on(o);
	if (r == 0)
		r = o->rings > 0 ? start_with_rings(o) : start_workers(o, o->threads);
	if (r == 0)
		r = wait_answer(o);
	if (r == 0)
		serve(o);
	gone = atomic_load(&o->ended) > 0;
	if (!gone)
		log_warning("%s: ended while in use, perhaps in another mount namespace", o->mountpoint);
	volume_watch(o->volume, NULL, NULL);
	ops_seek_end(o);
	fuse_session_exit(o->session);
	/* Unmounted: all of them get ENODEV. Else they may wait for ever. */
	join_workers(o, !gone || atomic_load(&o->first_error) != 0);
	/* Somebody may be locking: what he tells the kernel goes through the session. */
	pthread_mutex_lock(&o->lock_m);
	o->closing = true;
	pthread_mutex_unlock(&o->lock_m);
	/* The last descriptor that is closed ends the connection, also where it could not be ended by force. */
	ops_deep_close(o);
	/* Whoever still waits gets ENOTCONN now, not after the volume has come to rest. */
	if (o->mounted)
		ops_session_unmount(o);
	o->mounted = false;
	if (r == 0)
		r = atomic_load(&o->first_error);
	return r;
}

void ops_stop(struct ops *o)
{
	int saved = errno;

	atomic_fetch_add(&o->stops, 1);
	ops_wake(o);
	errno = saved;
}

void ops_unmounted(struct ops *o)
{
	unsigned k;

	if (!o)
		return;
	ops_deep_close(o);
	if (o->mounted)
		ops_session_unmount(o);
	if (o->session)
		fuse_session_destroy(o->session);
	for (k = 0; o->workers && k < o->threads + o->rings; k++) {
		ops_uring_free(&o->workers[k]);
		if (o->workers[k].in.mem && o->workers[k].in.mem != o->workers[k].memory)
			free(o->workers[k].in.mem);
		free(o->workers[k].memory);
	}
	if (o->have_key)
		(void)pthread_key_delete(o->worker_key);
	if (o->wake_fd >= 0)
		(void)close(o->wake_fd);
	(void)pthread_mutex_destroy(&o->wipe_m);
	(void)pthread_mutex_destroy(&o->lock_m);
	(void)pthread_mutex_destroy(&o->hold_m);
	(void)pthread_mutex_destroy(&o->late_m);
	(void)pthread_cond_destroy(&o->hold_cond);
	free(o->workers);
	free(o->mountpoint);
	free(o);
}

static int sync_now(struct ops *o)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (volume_is_locked(o->volume))
		return 0; /* everything came to rest before */
	fd = open(o->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* After a lazy unmount the name is somebody else's. */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev == o->dev && syncfs(fd) < 0)
		return -errno;
	return volume_sync(o->volume);
}

int ops_sync(struct ops *o)
{
	int r;

	ops_hand_enter(o);
	r = sync_now(o);
	ops_hand_leave(o);
	return r;
}

void ops_stats(struct ops *o, struct ops_stats *ret_s)
{
	ret_s->requests = atomic_load(&o->requests);
	ret_s->errors = atomic_load(&o->errors);
}
