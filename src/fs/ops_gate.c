/* ops_gate.c: who is let in: every request passes here before libfuse decodes it, so that no operation can be forgotten (ops_impl.h).
 *
 *   gate       let in
 *   OPEN       everything
 *   HANDOVER   WRITE, FSYNC, FLUSH, RELEASE, SETATTR of times alone: what the kernel sends when it gives up what it holds
 *   SHUT       nothing
 *
 * FORGET, INTERRUPT and the ends of the connection always pass: they read and tell nothing, and FORGET has no answer. All others are answered with ENOKEY.
 * Who was let in counts as active until he is answered, so whoever turns the gate can wait until nobody is inside that came through as it stood before.
 * Reads that one worker has under way together (ops_deep.c) are inside the first of them, which counts until all are answered.
 *
 * Who changes a name waits in front of the gate while the volume holds still for a copy (fs/still.h), seconds at most: like a worker that waits for a commit. */
#include "fs/ops_impl.h"

#include <linux/fuse.h>
#include <sys/uio.h>

#include "base/secret.h"

#define TIMES (FATTR_ATIME | FATTR_MTIME | FATTR_CTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW | FATTR_FH | FATTR_LOCKOWNER)

static bool always(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT || opcode == FUSE_INIT || opcode == FUSE_DESTROY;
}

static bool hands_over(const struct fuse_in_header *h, size_t len)
{
	const struct fuse_setattr_in *in = (const void *)(h + 1);

	switch (h->opcode) {
	case FUSE_WRITE:
	case FUSE_FSYNC:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return true;
	case FUSE_SETATTR:
		return len >= sizeof(*h) + sizeof(*in) && (in->valid & ~(uint32_t)TIMES) == 0;
	default:
		return false;
	}
}

static bool passes(unsigned gate, const struct fuse_in_header *h, size_t len)
{
	if (gate == OPS_GATE_OPEN || always(h->opcode))
		return true;
	return gate == OPS_GATE_HANDOVER && hands_over(h, len);
}

/* What came with it stays nowhere. */
static void refuse(struct ops *o, struct ops_worker *w, const struct fuse_in_header *h, size_t len)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = -ENOKEY, .unique = h->unique };
	struct iovec iov = { &out, sizeof(out) };
	ssize_t n;

	secret_wipe(w->in.mem, len);
	atomic_fetch_add_explicit(&o->errors, 1, memory_order_relaxed);
	n = ops_raw_answer(o, &iov, 1);
	(void)n; /* nobody waits for it any more */
}

static bool changes_names(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_CREATE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return true;
	default:
		return false;
	}
}

/* May the request in w->in be served? Then ops_gate_leave comes behind it. Else it has been answered. */
static bool enter(struct ops *o, struct ops_worker *w, size_t len)
{
	struct fuse_in_header h = { 0 };

	atomic_fetch_add(&o->active, 1);
	if (len < sizeof(h))
		return true; /* libfuse will say what it thinks of that */
	h = *(const struct fuse_in_header *)w->in.mem;
	if (passes(atomic_load(&o->gate), w->in.mem, len))
		return true;
	refuse(o, w, &h, len);
	ops_gate_leave(o);
	return false;
}

static void serve(struct ops *o, struct ops_worker *w, size_t len, enum meter_op op, uint64_t began)
{
	unsigned deep = w->ndeep;

	atomic_fetch_add_explicit(&o->requests, 1, memory_order_relaxed);
	if (!enter(o, w, len))
		return;
	w->began_ns = began;
	fuse_session_process_buf(o->session, &w->in);
	if (w->ndeep <= deep) /* else it is under way behind the first, and counted when it is answered */
		meter_since(&w->meters[op], began);
	if (w->ahead)
		ops_ahead(o, w);
	ops_gate_leave(o);
}

void ops_serve_one(struct ops *o, struct ops_worker *w, size_t len)
{
	const struct fuse_in_header *h = w->in.mem;
	uint64_t began = meter_now_ns();
	bool whole = len >= sizeof(*h), names = whole && o->volume && changes_names(h->opcode);

	if (names)
		volume_names_enter(o->volume);
	serve(o, w, len, whole ? ops_meter_of(h->opcode) : METER_OTHER, began);
	if (names)
		volume_names_leave(o->volume);
}

void ops_gate_more(struct ops *o)
{
	atomic_fetch_add(&o->active, 1);
}

void ops_gate_leave(struct ops *o)
{
	atomic_fetch_sub(&o->active, 1);
}

bool ops_gate_is_open(struct ops *o)
{
	return atomic_load(&o->gate) == OPS_GATE_OPEN;
}
