/* ops_impl.h: what ops.c (session and workers) and ops_req.c (requests) share. Only files named ops*.c include libfuse. */
#ifndef COFFER_FS_OPS_IMPL_H
#define COFFER_FS_OPS_IMPL_H

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 12)

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fs/dir.h"
#include "fs/hand.h"
#include "fs/ops.h"

/* The largest request either way; room for it with its header, which is what libfuse reads at most; for an answer, whole blocks and one more. No macros:
 * <sys/mount.h> has a BLOCK_SIZE of its own. */
#define OPS_IO_MAX (1u << 20)
enum { OPS_IN_ROOM = OPS_IO_MAX + BLOCK_SIZE, OPS_OUT_ROOM = OPS_IO_MAX + 2 * BLOCK_SIZE };
_Static_assert(OPS_IN_ROOM % 4096 == 0 && OPS_OUT_ROOM % 4096 == 0, "whole blocks");
#define OPS_HUGE_PAGE (2u << 20)
/* Whole pages, wherever pages have up to 64 KiB: it is emptied by pages (ops_lock.c), and others' memory may lie behind. */
#define OPS_WORKER_ROOM (((size_t)OPS_IN_ROOM + OPS_OUT_ROOM + 0xffff) & ~(size_t)0xffff)

/* ops_deep.c: a read that is under way. */
struct ops_deep {
	fuse_req_t req;
	struct inode *i;
	uint64_t began_ns;
};
#define OPS_DEEP_MAX 16

struct ops_worker {
	struct ops *ops;
	pthread_t thread;
	void *memory;            /* both buffers */
	struct fuse_buf in;
	uint8_t *out;            /* OPS_OUT_ROOM bytes, aligned */
	atomic_uint wiped;       /* the wipe_gen that it has obeyed */
	uint64_t began_ns;       /* when the request that is being served was taken up */
	struct meter meters[METER_OPS]; /* this worker alone adds */

	struct inode *ahead;     /* ops_ahead.c: a directory to be read ahead, with a reference; or NULL */

	/* ops_deep.c */
	unsigned ndeep, ntaken;
	struct ops_deep deep[OPS_DEEP_MAX];
	struct iofile_early early[OPS_DEEP_MAX];
	uint64_t taken[OPS_DEEP_MAX]; /* numbers of requests that came by the second descriptor */
	bool taking;             /* from it */
	atomic_bool parked;      /* ops_hand.c */
	int kept;                /* length of a request in `in` that is to be served next; 0: none */

	/* ops_uring.c */
	struct ops_ring *ring;   /* NULL: its requests come by /dev/fuse */
	int event_fd;            /* of a ring: other threads want its worker to look */
	atomic_bool left;        /* it has ended, and nothing else has */
};

enum ops_uring {
	OPS_URING_NO,
	OPS_URING_WANTED,        /* the kernel has not been answered yet */
	OPS_URING_AGREED,
};

struct ops {
	struct volume *volume;
	struct ops_params params;
	char *mountpoint;
	struct fuse_session *session;
	bool mounted;
	bool handed;             /* the session goes on with another's connection */
	bool detached;           /* it has been unmounted here */
	dev_t dev;               /* of the mount, once it answers */
	pthread_key_t worker_key;
	bool have_key;
	struct ops_worker *workers;
	unsigned threads;
	atomic_uint started;     /* workers; grows while they are at work */
	int wake_fd;             /* eventfd: somebody called ops_stop, or a worker ended */
	atomic_uint stops, ended;
	atomic_int first_error;
	atomic_ullong requests, errors;
	/* ops_raw.c. All but the last are written by the thread that serves INIT, before there are other requests. */
	uint64_t init_unique;
	size_t init_len, answer_len; /* 0: not remembered; the next two for ops_hand.c */
	uint8_t init[HAND_INIT_MAX], answer[HAND_INIT_MAX];
	bool uring_offered;      /* by the kernel, and every worker has a ring */
	bool kills_priv;         /* FUSE_HANDLE_KILLPRIV_V2 is agreed; else there are no extended attributes */
	atomic_bool init_done;

	int deep_fd;             /* ops_deep.c: a second descriptor of the connection, which does not block; -1: none */

	/* ops_uring.c, ops_uring_start.c */
	atomic_uint uring;       /* enum ops_uring */
	unsigned cpus, rings;    /* queues of the kernel, and workers that serve them, the first ones; 0 when it is not wanted */
	atomic_uint rings_made, rings_failed;
	cpu_set_t allowed;       /* where this process may run */
	pthread_mutex_t late_m;  /* a leaf */
	struct ops_entry *late_first; /* lock: late_m */

	/* ops_gate.c, ops_lock.c */
	atomic_uint gate;        /* enum ops_gate */
	atomic_ullong active;    /* requests that were let in and are not answered */
	atomic_uint wipe_gen;    /* raised: each worker wipes what it holds before it waits again */
	pthread_mutex_t wipe_m;  /* held while workers are signalled, and when they are about to be joined */
	bool joining;            /* lock: wipe_m */
	pthread_mutex_t lock_m;  /* held through a lock or an unlock, and when the session is about to end */
	bool closing;            /* lock: lock_m, as is the next */
	int sync_fd;             /* of the mount's root, for the hand-over */
	bool ended_hard;         /* the connection was ended because something could not be locked in order */

	/* ops_hand.c */
	atomic_bool restart_asked;
	atomic_uint restart_token;
	pthread_mutex_t hold_m;  /* a leaf: guards the next three */
	pthread_cond_t hold_cond;
	atomic_bool holding;     /* workers park */
	bool no_syncs;
	unsigned syncs;          /* that are under way */
	uint64_t again_unique;   /* of the request that is served before there are workers */

	/* ops_seek.c */
	pthread_mutex_t seek_m;
	pthread_cond_t seek_cond;
	pthread_t seek_thread;
	bool seek_runs;          /* constant while there are workers */
	bool seek_stop;          /* lock: seek_m, as is the next */
	struct ops_seek_req *seek_first;
	bool seek_wipe, seek_hold;
	bool seek_busy;          /* one is being answered */
};

extern const struct fuse_lowlevel_ops ops_req_table;

static inline struct ops *ops_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct ops_worker *ops_worker_of(fuse_req_t req)
{
	return pthread_getspecific(ops_of(req)->worker_key);
}

/* ops_range.c: requests about ranges of a file. */
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in, struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			 struct fuse_file_info *fi_out, size_t len, int flags);

/* Nobody else changes a volume, so what the kernel was told stays true. */
#define OPS_TIMEOUT_S 86400.0

/* ops_meter.c. */
enum meter_op ops_meter_of(uint32_t opcode);

/* ops_gate.c: who is let in. */
enum ops_gate {
	OPS_GATE_OPEN,
	OPS_GATE_HANDOVER,       /* what the kernel hands over, and nothing else */
	OPS_GATE_SHUT,           /* ENOKEY for all */
};
/* The request in w->in (len bytes): serve it if it is let in, else refuse it. One that begins several reads (ops_deep.c) is served with others inside it. */
void ops_serve_one(struct ops *o, struct ops_worker *w, size_t len);
/* One of those that were let in is answered. */
void ops_gate_leave(struct ops *o);
/* One more of those that were let in goes on behind its worker's back (ops_seek.c). */
void ops_gate_more(struct ops *o);
bool ops_gate_is_open(struct ops *o);

/* ops_lock.c */
/* Install the signal by which waiting workers are reached; before they start. */
int ops_lock_prepare(void) must_check;
/* Forget what this worker holds, if it is asked to. Between requests; not while one is kept: it is served or refused first. */
void ops_lock_wipe_worker(struct ops *o, struct ops_worker *w);
/* Let a worker's read end. Under wipe_m. */
void ops_lock_signal(const struct ops_worker *w);
/* ops_seek.c: begin no other; and: is none being answered, and how many wait? */
void ops_seek_hold(struct ops *o, bool on);
bool ops_seek_rests(struct ops *o, unsigned *ret_queued);
/* ops_seek.c: let its thread wipe what it holds, and wait for that. */
void ops_seek_wipe(struct ops *o);

/* ops_seek.c: lseek to data and holes. Start before the workers; end while they serve, or when the connection is dead. */
int ops_seek_start(struct ops *o) must_check;
void ops_seek_end(struct ops *o);
void ops_seek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);

/* r: 0 or -errno with the meanings of err.h, which become those of a mount. */
void ops_reply_err(fuse_req_t req, int r);
/* Ends d (if r is 0): the kernel has the lookup, or nobody. */
void ops_reply_entry(fuse_req_t req, int r, struct dir_result *d);
void ops_reply_attr(fuse_req_t req, int r, const struct inode_attr *a);
void ops_reply_fill(const struct dir_result *d, struct fuse_entry_param *e);

/* ops_session.c */
int ops_session_new(struct ops *o) must_check;
/* A new one, mounted, or with the connection that was handed over. Logs. */
int ops_session_open(struct ops *o) must_check;
/* umount2 of our mount point. */
int ops_session_detach(struct ops *o, int flags);
/* The connection's end, as far as it is ours. */
void ops_session_unmount(struct ops *o);

/* ops_hand.c */
int ops_hand_open(struct ops *o) must_check;
/* Requests that were handed over, before there are workers. */
void ops_hand_go_on(struct ops *o);
/* A worker without a request: true if it was held here for a while. */
bool ops_hand_held(struct ops *o, struct ops_worker *w);
/* From the thread of ops_serve: a restart, if one was asked for. */
void ops_hand_asked(struct ops *o);
/* Around what another thread than a worker asks of the kernel about this mount and cannot be killed in. */
void ops_hand_enter(struct ops *o);
void ops_hand_leave(struct ops *o);

/* ops.c: let the thread of ops_serve look. Async-signal-safe. */
void ops_wake(struct ops *o);

/* ops_raw.c: with the session's descriptor. */
int ops_raw_install(struct ops *o, int fd) must_check;
void ops_raw_saw_init(struct ops *o, const void *buf, size_t len);
/* Answer a request, from any thread; as writev. */
ssize_t ops_raw_answer(struct ops *o, struct iovec *iov, int count);
/* The number of the request that this thread serves. */
uint64_t ops_raw_unique(fuse_req_t req);
/* FILE_KILL_* that go with this WRITE or SETATTR, as the kernel says. */
unsigned ops_raw_write_kill(fuse_req_t req, struct inode *i);
unsigned ops_raw_setattr_kill(fuse_req_t req, struct inode *i);
/* The same for requests that change content and have no flag for it: if the caller is not root. */
unsigned ops_raw_caller_kill(fuse_req_t req, struct inode *i);

/* ops_deep.c. open: when the session is mounted; close: before it is unmounted. */
void ops_deep_open(struct ops *o);
void ops_deep_close(struct ops *o);
/* Whence this thread reads its next request, what it got, and where the answer to one goes. */
int ops_deep_read_fd(struct ops *o, int fd);
void ops_deep_took(struct ops *o, const void *buf, size_t len);
int ops_deep_write_fd(struct ops *o, int fd, uint64_t unique);
/* True: the read is answered, or will be together with others, and i (a reference) is consumed. False: nothing has happened. */
bool ops_deep_read(fuse_req_t req, struct inode *i, size_t size, off_t off, const struct fuse_file_info *fi) must_check;

/* ops_uring_start.c: sets uring, cpus, rings and allowed, if the mount's parameters ask for it and this host has it; else says why not. */
void ops_uring_wanted(struct ops *o);
/* May the answer to this INIT (its body) agree? And: it has. */
bool ops_uring_offers(const struct ops *o, const void *init_in, size_t len);
void ops_uring_settle(struct ops *o, bool agreed);

/* ops_uring.c. A worker's own ring, on its processor: alloc and free by whoever starts and has joined it; begin, next, idle, wipe and later from its own thread. */
int ops_uring_alloc(struct ops_worker *w, unsigned cpu) must_check;
void ops_uring_free(struct ops_worker *w);
/* True: the kernel has agreed, and requests will come. */
bool ops_uring_begin(struct ops *o, struct ops_worker *w);
/* The length of the next request, which is in w->in then. -EINTR: look around, and ask again; 0: the connection has ended;
 * -ECANCELED: the kernel does not take this worker's entry, and goes back to /dev/fuse; another error: as fuse_session_receive_buf. */
int ops_uring_next(struct ops *o, struct ops_worker *w) must_check;
/* The same beside those that are being served: -EAGAIN or -EINTR if there is none. */
int ops_uring_more(struct ops *o, struct ops_worker *w) must_check;
/* Has it brought nothing that is still to be served, or that another thread answers? */
bool ops_uring_idle(const struct ops_worker *w);
void ops_uring_wipe(struct ops_worker *w);
/* Another thread will answer this request, which is being served. -ENOMEM: it must be answered now. */
int ops_uring_later(struct ops *o, uint64_t unique) must_check;
/* From any thread: false: the request did not come by a ring. Else what writev would have returned, with errno. */
bool ops_uring_answer(struct ops *o, const struct iovec *iov, int count, ssize_t *ret_n);
/* Let its worker look around. From any thread. */
void ops_uring_kick(const struct ops_worker *w);
void ops_uring_kick_all(struct ops *o);

/* ops_ahead.c: read dir ahead behind the answer to this request. later: a reference is taken. */
void ops_ahead_later(fuse_req_t req, struct inode *dir);
void ops_ahead(struct ops *o, struct ops_worker *w);

/* ops_xattr.c */
void ops_xattr_set(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t len, int flags);
void ops_xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ops_xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_xattr_remove(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
