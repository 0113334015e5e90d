/* ops_ahead.c: reading ahead (fs/ahead.h) by the worker that has just answered, while others serve. It is still inside its request, so whoever locks the volume
 * or hands the mount over waits for it, and it stops for both. */
#include "fs/ops_impl.h"

#include "fs/ahead.h"

/* With fewer there would be nobody to serve meanwhile. */
#define THREADS_MIN 3

static bool go_on(void *ctx)
{
	struct ops *o = ctx;

	return ops_gate_is_open(o) && !atomic_load(&o->holding) && !fuse_session_exited(o->session);
}

void ops_ahead_later(fuse_req_t req, struct inode *dir)
{
	struct ops_worker *w = ops_worker_of(req);

	if (ops_of(req)->threads >= THREADS_MIN && !w->ahead)
		w->ahead = inode_ref(ops_of(req)->volume, dir);
}

void ops_ahead(struct ops *o, struct ops_worker *w)
{
	struct inode *dir = take_ptr(w->ahead);

	if (go_on(o))
		ahead_run(o->volume, dir, go_on, o);
	inode_put(o->volume, dir);
}
