/* ops_seek.c: lseek to data and holes. The kernel asks us without handing over what it has not written back, so data that programs have written a moment
 * ago may be in no table of ours, and a copying tool that believed our holes would lose it. Before an answer the kernel is made to write back all pages
 * of the file from the offset on, by invalidating them. That waits for WRITE requests, so it is done by a thread that serves none.
 *
 * Kernels before 6.16 hand written pages to WRITE requests in copies, and nothing tells when those have arrived. There the answer is ENOSYS, for good: the
 * kernel itself then says that all of a file is data. */
#include "fs/ops_impl.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/priv.h"
#include "fs/extent.h"

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 16
#define END_SECONDS 5

struct ops_seek_req {
	struct ops_seek_req *next;
	fuse_req_t req;
	uint64_t unique;
	fuse_ino_t ino;
	uint64_t off;
	int whence;
};

static bool kernel_waits(void)
{
	struct utsname u;
	unsigned major, minor;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
}

/* -ENOENT: the kernel has forgotten the inode, so it has no pages of it. Any other failure: what we know may be too little. */
static void answer(struct ops *o, const struct ops_seek_req *s)
{
	struct inode *i = inode_get(o->volume, s->ino);
	uint64_t at = 0, from = s->off / BLOCK_SIZE * BLOCK_SIZE;
	struct volume_info info;
	int r = 0;

	volume_info(o->volume, &info);
	if (!ops_gate_is_open(o))
		r = -ENOKEY;
	else if (!info.read_only)
		r = fuse_lowlevel_notify_inval_inode(o->session, s->ino, (off_t)from, 0);
	if (r < 0 && r != -ENOENT)
		r = r == -ENOKEY ? r : -ENOSYS;
	else
		r = i ? extent_seek(o->volume, i, s->off, s->whence, &at) : -ESTALE;
	inode_put(o->volume, i);
	if (r == -ENXIO || r == -ENOSYS)
		(void)fuse_reply_err(s->req, -r); /* no error of ours */
	else if (r < 0)
		ops_reply_err(s->req, r);
	else
		(void)fuse_reply_lseek(s->req, (off_t)at);
}

static void *seek_main(void *arg)
{
	struct ops *o = arg;
	struct ops_seek_req *s;

	priv_thread();
	pthread_mutex_lock(&o->seek_m);
	for (;;) {
		while ((!o->seek_first || o->seek_hold) && !o->seek_stop && !o->seek_wipe)
			pthread_cond_wait(&o->seek_cond, &o->seek_m);
		if (o->seek_wipe) {
			vio_forget_thread();
			o->seek_wipe = false;
			pthread_cond_broadcast(&o->seek_cond);
			continue;
		}
		s = o->seek_first;
		if (!s)
			break;
		o->seek_first = s->next;
		o->seek_busy = true;
		pthread_mutex_unlock(&o->seek_m);
		answer(o, s);
		free(s);
		ops_gate_leave(o);
		pthread_mutex_lock(&o->seek_m);
		o->seek_busy = false;
	}
	pthread_mutex_unlock(&o->seek_m);
	return NULL;
}

int ops_seek_start(struct ops *o)
{
	int r;

	if (!kernel_waits())
		return 0;
	(void)pthread_mutex_init(&o->seek_m, NULL);
	(void)pthread_cond_init(&o->seek_cond, NULL);
	r = pthread_create(&o->seek_thread, NULL, seek_main, o);
	o->seek_runs = r == 0;
	return -r;
}

void ops_seek_wipe(struct ops *o)
{
	if (!o->seek_runs)
		return;
	pthread_mutex_lock(&o->seek_m);
	o->seek_wipe = !o->seek_stop;
	pthread_cond_broadcast(&o->seek_cond);
	while (o->seek_wipe && !o->seek_stop)
		pthread_cond_wait(&o->seek_cond, &o->seek_m);
	pthread_mutex_unlock(&o->seek_m);
}

void ops_seek_hold(struct ops *o, bool on)
{
	if (!o->seek_runs)
		return;
	pthread_mutex_lock(&o->seek_m);
	o->seek_hold = on;
	pthread_cond_broadcast(&o->seek_cond);
	pthread_mutex_unlock(&o->seek_m);
}

bool ops_seek_rests(struct ops *o, unsigned *ret_queued)
{
	bool rests;

	*ret_queued = 0;
	if (!o->seek_runs)
		return true;
	pthread_mutex_lock(&o->seek_m);
	rests = !o->seek_busy;
	for (const struct ops_seek_req *s = o->seek_first; s; s = s->next)
		++*ret_queued;
	pthread_mutex_unlock(&o->seek_m);
	return rests;
}

void ops_hand_seeks(struct ops *o, struct hand_out *out)
{
	if (!o->seek_runs)
		return;
	pthread_mutex_lock(&o->seek_m);
	for (const struct ops_seek_req *s = o->seek_first; s; s = s->next)
		hand_put_seek(out, &(struct hand_seek){ .unique = s->unique, .node = s->ino, .off = s->off, .whence = (uint32_t)s->whence });
	pthread_mutex_unlock(&o->seek_m);
}

void ops_seek_end(struct ops *o)
{
	struct timespec until;

	if (!o->seek_runs)
		return;
	pthread_mutex_lock(&o->seek_m);
	o->seek_stop = true;
	pthread_cond_broadcast(&o->seek_cond);
	pthread_mutex_unlock(&o->seek_m);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_SECONDS;
	if (pthread_timedjoin_np(o->seek_thread, NULL, &until) != 0) {
		/* It waits for a WRITE that nobody serves any more: everybody gets an error now. */
		priv_mounting(true);
		(void)umount2(o->mountpoint, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW);
		priv_mounting(false);
		(void)pthread_join(o->seek_thread, NULL);
	}
	o->seek_runs = false;
	(void)pthread_cond_destroy(&o->seek_cond);
	(void)pthread_mutex_destroy(&o->seek_m);
}

void ops_seek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct ops *o = ops_of(req);
	struct ops_seek_req *s, **at;

	(void)fi;
	if (!o->seek_runs) {
		(void)fuse_reply_err(req, ENOSYS);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		ops_reply_err(req, -ENOMEM);
		return;
	}
	if (ops_uring_later(o, ops_raw_unique(req)) < 0) {
		free(s);
		ops_reply_err(req, -ENOMEM);
		return;
	}
	*s = (struct ops_seek_req){ .req = req, .unique = ops_raw_unique(req), .ino = ino, .off = (uint64_t)off, .whence = whence };
	ops_gate_more(o);
	pthread_mutex_lock(&o->seek_m);
	for (at = &o->seek_first; *at; at = &(*at)->next)
		;
	*at = s;
	pthread_cond_broadcast(&o->seek_cond);
	pthread_mutex_unlock(&o->seek_m);
}
