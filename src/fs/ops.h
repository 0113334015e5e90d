/* ops.h: a volume as a mounted filesystem. The only users of libfuse are the files ops*.c; requests are decoded there, answered by
 * plain functions of inode, dir and file, and replied to exactly once.
 *
 *   ops_mount      check the mount point, mount; requests wait
 *   ops_serve      start the workers, call ready() once the mount answers, return when it is gone
 *   ops_unmounted  free
 *   volume_close   by the caller, behind that */
#ifndef COFFER_FS_OPS_H
#define COFFER_FS_OPS_H

#include "fs/volume.h"

struct ops;

#define OPS_THREADS_DEFAULT 8
#define OPS_THREADS_MAX 256

struct ops_params {
	struct volume *volume;   /* borrowed */
	const char *mountpoint;
	const char *source;      /* shown in /proc/self/mounts; NULL: "coffer" */
	unsigned threads;        /* 0: OPS_THREADS_DEFAULT */
	unsigned lock_ms;        /* tests: how long what the kernel holds may take to come when it is locked (0: 10 s), and coming to rest three times that */
	bool allow_other, dev, suid, noexec, nonempty;
	void *ctx;
	/* The mount answers. Called once, from the thread of ops_serve, before requests of others are sure to have been served. */
	void (*ready)(void *ctx, struct ops *o);
};

/* Would ops_mount refuse this mount point, or this host? Asked before a volume is opened; the errors of ops_mount. Logs. */
int ops_check(const char *mountpoint, bool nonempty) must_check;
/* -ENODEV: no usable /dev/fuse on this host; -ENOTEMPTY, -ENOTDIR, -ENOENT, -EACCES, -EBUSY...: the mount point is unfit; -EPERM: not
 * allowed to mount. Logs. */
int ops_mount(const struct ops_params *p, struct ops **ret_o) must_check;
/* Serve until unmounted or stopped. 0, or the first error that made it end. Logs. */
int ops_serve(struct ops *o) must_check;
/* Unmount: plainly if nobody uses it (a copy of the mount in another namespace ends too), else lazily, and then ops_serve returns when the
 * last user is gone. A second call ends at once:
 * users get ENOTCONN, and what the kernel had not handed over is lost. Async-signal-safe. */
void ops_stop(struct ops *o);
/* NULL is fine. */
void ops_unmounted(struct ops *o);

/* Make the kernel hand over what it holds for this mount, commit it, wait. Not from a worker (it would wait for itself). */
int ops_sync(struct ops *o) must_check;

/* Lock: nothing of the volume can be read through this mount or out of this process any more, and whatever the kernel had is handed over and at rest before
 * (DESIGN "Locking", docs/internals.md "Locking"). 0: so it is, also if it was so already. -errno: it is locked, but not everything could be done in order;
 * what is not durable was said, the connection has been ended, and ops_serve returns. Not from a worker; one lock or unlock at a time. Logs. */
int ops_lock(struct ops *o) must_check;
/* The other way, with the bytes of coffer.volume as they are now; the errors of volume_unlock, and then it stays locked. *root is consumed. Logs. */
int ops_unlock(struct ops *o, const uint8_t *config, size_t len, struct secret **root) must_check;
bool ops_is_locked(struct ops *o);

struct ops_stats {
	uint64_t requests, errors;
};
void ops_stats(struct ops *o, struct ops_stats *ret_s);
/* How long requests took from being taken up to being answered, by what they asked. */
void ops_times(const struct ops *o, struct meter_sum ret_sums[static METER_OPS]);

#endif
