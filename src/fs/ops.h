/* ops.h: a volume as a mounted filesystem. The only users of libfuse are the files ops*.c; requests are decoded there, answered by
 * plain functions of inode, dir and file, and replied to exactly once.
 *
 *   ops_mount      check the mount point, mount; requests wait
 *   ops_serve      start the workers, call ready() once the mount answers, return when it is gone
 *   ops_unmounted  free
 *   volume_close   by the caller, behind that */
#ifndef COFFER_FS_OPS_H
#define COFFER_FS_OPS_H

#include "fs/hand.h"
#include "fs/volume.h"

struct ops;

#define OPS_THREADS_DEFAULT 8
#define OPS_THREADS_MAX 256

/* Restart: a mount goes on in another program, with all that is open in it (docs/internals.md, "Follow one restart"). In the one that leaves, from the thread of
 * ops_serve, whose restart() was called:
 *
 *   ops_hold       nobody is inside; requests wait in the kernel
 *   volume_lock    everything at rest, the keys given up
 *   ops_hand_*, volume_hand_*      into the bytes of hand.h; and the program is executed
 *   volume_unlock, ops_resume      if that fails: it goes on here
 *
 * The one that comes opens the volume, takes over its inodes, and then calls ops_mount and ops_serve with hand set. */
struct ops_hand {
	const struct hand_head *head;
	const struct hand_seek *seeks; /* head->seeks of them */
};

struct ops_params {
	const struct ops_hand *hand; /* NULL: mount; else the mount that was handed over. Borrowed until ready() */
	struct volume *volume;   /* borrowed */
	const char *mountpoint;
	const char *source;      /* shown in /proc/self/mounts; NULL: "coffer" */
	unsigned threads;        /* 0: OPS_THREADS_DEFAULT */
	unsigned lock_ms;        /* tests: how long what the kernel holds may take to come when it is locked (0: 10 s), and coming to rest three times that */
	bool allow_other, dev, suid, noexec, nonempty;
	bool fuse_uring;         /* requests by FUSE over io_uring where the kernel offers it (docs/internals.md, "Follow one request"); such a mount cannot be handed over */
	void *ctx;
	/* The mount answers. Called once, from the thread of ops_serve, before requests of others are sure to have been served. */
	void (*ready)(void *ctx, struct ops *o);
	/* ops_ask_restart was called. From the thread of ops_serve. When it returns it has not happened. NULL: never. */
	void (*restart)(void *ctx, struct ops *o, uint32_t token);
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

/* Async-signal-safe. A second one before the first was heard takes its place. */
void ops_ask_restart(struct ops *o, uint32_t token);
/* FUSE over io_uring on this host: 1: the kernel offers it; 0: it would, but is not to; -ENOENT: it does not have it. */
int ops_uring_offered(void) must_check;
/* Its requests come by io_uring: it can be neither held nor handed over. */
bool ops_by_uring(const struct ops *o);
/* ops_stop was called. */
bool ops_is_stopping(struct ops *o);
/* 0: until ops_resume nothing is served, locked or synced. -ENOKEY: it is locked; -ESHUTDOWN: it is ending; -ETIMEDOUT: a request or a sync does not end; -EOPNOTSUPP. */
int ops_hold(struct ops *o) must_check;
void ops_resume(struct ops *o);
/* Instead of ops_resume: it cannot go on here. The connection is ended, and ops_serve returns r. */
void ops_hold_failed(struct ops *o, int r);
/* What the head says of the connection, h->seeks included; those; and whether its descriptors are inherited by what is executed. */
void ops_hand_head(struct ops *o, struct hand_head *h);
void ops_hand_seeks(struct ops *o, struct hand_out *out);
int ops_hand_fds(struct ops *o, bool on) must_check;
/* Would this program promise the kernel what it has been promised? -EPROTO: no. Without a mount. Logs. */
int ops_hand_same(const struct hand_head *h) must_check;

struct ops_stats {
	uint64_t requests, errors;
};
void ops_stats(struct ops *o, struct ops_stats *ret_s);
/* How long requests took from being taken up to being answered, by what they asked. */
void ops_times(const struct ops *o, struct meter_sum ret_sums[static METER_OPS]);

#endif
