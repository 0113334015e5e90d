/* ioq.h: several lower I/Os at once. Two engines with one contract: sync (plain calls through struct lower, in order of
 * submission) and uring (one io_uring; only over lower_real()). Both are tested by the same tests.
 * Contract: a request is whole or failed: short reads are continued (a read that meets the end of the file ends short), short
 * writes are continued; result is the count of bytes or -errno. No order between requests of one batch, and none need have begun
 * before ioq_wait. A queue is used by the thread that made it (a ring has one issuer), but any thread may free it; buffers and
 * iovecs stay valid until the request is done. */
#ifndef COFFER_IO_IOQ_H
#define COFFER_IO_IOQ_H

#include "io/lower.h"

enum ioq_op { IOQ_READ, IOQ_WRITE, IOQ_WRITE_DSYNC, IOQ_FDATASYNC, IOQ_FSYNC };

struct ioq_req {
	enum ioq_op op;
	int fd;
	struct iovec *iov;       /* consumed: may be changed while short counts are continued */
	int iovcnt;              /* <= IOV_MAX */
	uint64_t off;
	ssize_t result;          /* out */
	void *user;              /* the caller's */
	struct ioq_req *next;    /* the queue's */
};

struct ioq;

#define IOQ_DEPTH_MAX 256

int ioq_new_sync(struct lower *l, struct ioq **ret_q) must_check;
/* -EOPNOTSUPP: not lower_real(), or the kernel refuses io_uring (then use sync). depth 1..IOQ_DEPTH_MAX. */
int ioq_new_uring(struct lower *l, unsigned depth, struct ioq **ret_q) must_check;
/* uring where it can be had, else sync; COFFER_IOQ=sync in test builds forces sync. */
int ioq_new(struct lower *l, unsigned depth, struct ioq **ret_q) must_check;
void ioq_free(struct ioq *q);
bool ioq_is_uring(const struct ioq *q);

/* Hand over a request; may block when the queue is full (it then completes others, which ioq_wait returns later). */
int ioq_submit(struct ioq *q, struct ioq_req *r) must_check;
/* The next completed request, in any order; blocks while some are in flight; NULL when none are. */
struct ioq_req *ioq_wait(struct ioq *q);
/* Submit all, wait for all; nothing else is in the queue. 0, or the first failing result (all have ended in any case). A single request is a plain call in
 * both engines (a ring around one call costs 2-3 times the CPU, and a flush in a ring wakes another thread). */
int ioq_run(struct ioq *q, struct ioq_req *reqs, size_t n) must_check;

#endif
