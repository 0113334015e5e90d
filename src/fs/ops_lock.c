/* ops_lock.c: locking a mount, in the order of docs/internals.md, "Locking". What makes the order necessary: dropping a dirty page makes the kernel send a
 * WRITE during the drop, and a READ that was let in before puts its pages into the kernel's cache behind it.
 *
 *   1 the gate lets in only what the kernel hands over
 *   2 sync the mount, drop every inode's pages and attributes and every name, by a thread that serves nothing; LOCK_MS
 *   3 commit
 *   4 the gate is shut; wait for those inside
 *   5 drop again: what was answered between 2 and 4
 *   6 bring the volume to rest and give up the keys; every thread wipes what it holds
 *   7 if something of this was refused or took too long: end the connection of this mount, drop once more, and serve no longer
 *
 * A request that hangs in the backing filesystem cannot be waited for, and nothing can be wiped below it: then the process ends, with all it holds. What was
 * committed is in the log. */
#include "fs/ops_impl.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/priv.h"
#include "base/secret.h"
#include "fs/name.h"

#define LOCK_MS 10000u
#define REST_MS 120000u                  /* the dirty bound on a slow disk */
#define PAUSE_MS 1
#define WIPE_SIGNAL SIGURG               /* ignored by default, so one that comes from elsewhere does no harm */
#define NOTIFY_INC_EPOCH 8               /* FUSE_NOTIFY_INC_EPOCH, Linux 6.16 */

/* ---- ending the connection */

/* Is the mount still ours at this name? Asks the kernel alone. */
static bool is_our_mount(struct ops *o)
{
	struct statx st;

	return statx(AT_FDCWD, o->mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_INO, &st) == 0 &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == o->dev;
}

/* Everybody who waits gets an error, and nobody can ask any more. Where this is not allowed to us, ops_serve closes the device in the end. */
static void end_connection(struct ops *o)
{
	if (o->ended_hard)
		return;
	o->ended_hard = true;
	log_err("%s: could not be locked in order: ending the connection; unmount and mount again", o->mountpoint);
	if (!is_our_mount(o))
		return;
	priv_mounting(true);
	if (umount2(o->mountpoint, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno != EBUSY)
		log_warning("%s: the connection ends with this process: %s", o->mountpoint, strerror(errno));
	priv_mounting(false);
}

static _Noreturn void die(struct ops *o, const char *why)
{
	log_err("%s: locking: %s; this process ends now, with all keys; what was committed is in the log", o->mountpoint, why);
	end_connection(o);
	_exit(1);
}

/* ---- steps with a limit of time */

struct step {
	struct ops *o;
	int (*fn)(struct ops *o);
	int result;
};

static unsigned limit(const struct ops *o)
{
	return o->params.lock_ms ? o->params.lock_ms : LOCK_MS;
}

static unsigned rest_limit(const struct ops *o)
{
	return o->params.lock_ms ? 3 * o->params.lock_ms : REST_MS;
}

static void *step_main(void *arg)
{
	struct step *s = arg;

	s->result = s->fn(s->o);
	vio_forget_thread();
	return NULL;
}

static bool joined_in(pthread_t t, unsigned ms)
{
#if defined(__SANITIZE_THREAD__)
	const clockid_t clock = CLOCK_REALTIME;
#else
	const clockid_t clock = CLOCK_MONOTONIC;
#endif
	struct timespec until;

	(void)clock_gettime(clock, &until);
	until.tv_sec += ms / 1000;
#if defined(__SANITIZE_THREAD__)
	/* ThreadSanitizer of gcc 12 does not know the other call: it would take the thread for one that goes on, and end the process at the next with its id. */
	return pthread_timedjoin_np(t, NULL, &until) == 0;
#else
	return pthread_clockjoin_np(t, NULL, clock, &until) == 0;
#endif
}

/* fn's result; -ETIMEDOUT: it took too long, and the connection is ended. Without a thread to be had there is no limit. */
static int in_time(struct ops *o, int (*fn)(struct ops *o), unsigned ms)
{
	struct step s = { .o = o, .fn = fn };
	pthread_t t;

	if (pthread_create(&t, NULL, step_main, &s) != 0)
		return fn(o);
	if (joined_in(t, ms))
		return s.result;
	log_err("%s: locking: the time is over", o->mountpoint);
	end_connection(o);
	if (!joined_in(t, limit(o)))
		die(o, "the backing filesystem does not answer");
	return -ETIMEDOUT;
}

/* ---- what the kernel holds */

static int bump_epoch(struct ops *o)
{
	const struct fuse_out_header out = { .len = sizeof(out), .error = NOTIFY_INC_EPOCH };

	return write(fuse_session_fd(o->session), &out, sizeof(out)) < 0 ? -errno : 0;
}

/* Its name in the kernel, if it is there. A name alone tells no more than that it exists: without one, its inode is dropped all the same. */
static int drop_name(struct ops *o, struct inode *i)
{
	char plain[PLAIN_NAME_MAX + 1];
	uint64_t parent;
	size_t len;
	int r;

	if (volume_is_locked(o->volume))
		return 0; /* nobody here knows names any more */
	r = name_of_inode(o->volume, i, &parent, plain, &len);
	if (r == 0)
		r = fuse_lowlevel_notify_inval_entry(o->session, parent, plain, len);
	secret_wipe(plain, sizeof(plain));
	return r == -ENOENT ? 0 : r;
}

static int drop_one(struct ops *o, uint64_t id, bool names)
{
	struct inode *i;
	int r;

	r = fuse_lowlevel_notify_inval_inode(o->session, id, 0, 0);
	if (r == -ENOENT)
		r = 0;
	i = names ? inode_get(o->volume, id) : NULL;
	if (i) {
		int rn = drop_name(o, i);

		r = r < 0 ? r : rn;
		inode_put(o->volume, i);
	}
	return r;
}

/* All names first, where the kernel can: then the pages, then names one by one, so that their memory is given back too. */
static int drop_all(struct ops *o)
{
	AUTO_FREE uint64_t *ids = NULL;
	bool epoch = bump_epoch(o) == 0;
	size_t n = 0, k;
	int r, ret = 0;

	r = inode_numbers(o->volume, &ids, &n);
	if (r < 0)
		return log_ret(r, "%s: what the kernel holds cannot be dropped", o->mountpoint);
	for (k = 0; k < n; k++) {
		r = drop_one(o, ids[k], false);
		if (r < 0)
			ret = r;
	}
	for (k = 0; k < n; k++) {
		r = drop_one(o, ids[k], true);
		if (r < 0 && !epoch)
			ret = r;
	}
	return ret < 0 ? log_ret(ret, "%s: the kernel does not drop what it holds", o->mountpoint) : 0;
}

static int hand_over(struct ops *o)
{
	int r = 0;

	if (o->sync_fd >= 0 && syncfs(o->sync_fd) < 0)
		log_warning("%s: what the kernel holds cannot be written: %s", o->mountpoint, strerror(errno)); /* dropping tries again */
	auto_close_p(&o->sync_fd);
	r = drop_all(o);
	return r;
}

/* ---- what we hold */

static int commit(struct ops *o)
{
	return volume_sync(o->volume);
}

static int rest(struct ops *o)
{
	return volume_lock(o->volume);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool drained(struct ops *o, unsigned ms)
{
	uint64_t end = now_ms() + ms;

	while (atomic_load(&o->active) > 0) {
		if (now_ms() > end)
			return false;
		clock_pause_ms(PAUSE_MS);
	}
	return true;
}

static void on_wipe_signal(int sig)
{
	(void)sig; /* it has done its work: a read ended with EINTR */
}

int ops_lock_prepare(void)
{
	struct sigaction sa = { .sa_handler = on_wipe_signal }; /* no SA_RESTART */

	(void)sigemptyset(&sa.sa_mask);
	return sigaction(WIPE_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

void ops_lock_wipe_worker(struct ops *o, struct ops_worker *w)
{
	unsigned gen = atomic_load(&o->wipe_gen);

	/* A request that is kept lies in what would be wiped. Nobody waits for it meanwhile: behind the gate it is refused at once, and the worker is here again
	 * with nothing kept, for only a read that was let in keeps another. */
	if (w->kept > 0 || atomic_load(&w->wiped) == gen || (w->ring && !ops_uring_idle(w)))
		return;
	if (w->ring)
		ops_uring_wipe(w);
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	secret_wipe(w->in.mem, w->in.mem_size);
#endif
	if (madvise(w->memory, OPS_WORKER_ROOM, MADV_DONTNEED) < 0)
		secret_wipe(w->memory, OPS_WORKER_ROOM);
	vio_forget_thread();
	atomic_store(&w->wiped, gen);
}

void ops_lock_signal(const struct ops_worker *w)
{
	if (w->ring)
		ops_uring_kick(w);
	else
		(void)pthread_kill(w->thread, WIPE_SIGNAL);
}

/* One signal may come between a worker's look and its read: so again until all have obeyed. */
static bool signal_workers(struct ops *o, unsigned gen)
{
	bool left = false;
	unsigned k;

	pthread_mutex_lock(&o->wipe_m);
	for (k = 0; k < o->started && !o->joining && atomic_load(&o->ended) == 0; k++) {
		if (atomic_load(&o->workers[k].wiped) == gen || atomic_load(&o->workers[k].left))
			continue;
		left = true;
		ops_lock_signal(&o->workers[k]);
	}
	pthread_mutex_unlock(&o->wipe_m);
	return left;
}

static void wipe_threads(struct ops *o)
{
	unsigned gen = atomic_fetch_add(&o->wipe_gen, 1) + 1;
	uint64_t end = now_ms() + limit(o);

	while (signal_workers(o, gen)) {
		if (now_ms() > end)
			die(o, "a worker cannot be reached");
		clock_pause_ms(PAUSE_MS);
	}
	ops_seek_wipe(o);
	vio_forget_thread();
}

/* ---- all of it */

static int keep_first(int r, int next)
{
	return r < 0 ? r : next;
}

static int lock_steps(struct ops *o)
{
	int r;

	atomic_store(&o->gate, OPS_GATE_HANDOVER);
	r = in_time(o, hand_over, limit(o));
	if (in_time(o, commit, rest_limit(o)) < 0)
		log_warning("%s: locking: the commit failed; trying again", o->mountpoint);
	atomic_store(&o->gate, OPS_GATE_SHUT);
	if (!drained(o, limit(o)))
		die(o, "a request does not end");
	r = keep_first(r, in_time(o, drop_all, limit(o)));
	r = keep_first(r, in_time(o, rest, rest_limit(o)));
	wipe_threads(o);
	return r;
}

int ops_lock(struct ops *o)
{
	int r;

	pthread_mutex_lock(&o->lock_m);
	r = o->closing ? -ESHUTDOWN : 0;
	if (r == 0 && !volume_is_locked(o->volume)) {
		/* Behind the gate it could not be opened. */
		o->sync_fd = is_our_mount(o) ? open(o->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		r = lock_steps(o);
		if (r < 0) {
			log_err("%s: locked, but not in order: %s; what no fsync vouched for may be lost", o->mountpoint, err_text(r));
			end_connection(o);
			(void)!in_time(o, drop_all, limit(o)); /* what could not be written back before is dropped now */
			ops_stop(o);
			ops_stop(o); /* no more waiting for anybody */
		}
	} else if (r == 0 && o->ended_hard) {
		r = -EIO;
	}
	pthread_mutex_unlock(&o->lock_m);
	return r;
}

int ops_unlock(struct ops *o, const uint8_t *config, size_t len, struct secret **root)
{
	int r;

	pthread_mutex_lock(&o->lock_m);
	r = o->closing || o->ended_hard ? -ESHUTDOWN : volume_unlock(o->volume, config, len, root);
	secret_free(take_ptr(*root));
	if (r == 0)
		atomic_store(&o->gate, OPS_GATE_OPEN);
	pthread_mutex_unlock(&o->lock_m);
	return r;
}

bool ops_is_locked(struct ops *o)
{
	return !ops_gate_is_open(o);
}
