/* freeze.c: see freeze.h. A thread of its own holds the commit's turn and the checkpoint's lock, in that order, which is the one in which a commit takes them
 * when the log is full. Without either nothing committed changes, so no space is freed that home still names, and what is written early goes where home
 * names nothing (L2). */
#include "io/freeze.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "io/vio_impl.h"

static int hold(struct vio *v)
{
	int r;

	r = vio_sync(v);
	if (r == 0)
		r = vio_checkpoint(v); /* the bulk of it, before anybody has to wait */
	if (r < 0)
		return r;
	log_turn_take(v);
	r = checkpoint_hold(v);
	if (r < 0)
		log_turn_drop(v);
	return r;
}

static void wait_end(struct freeze *z)
{
	const struct timespec until = clock_after_ms(z->ms);

	WITH_LOCK(&z->m);
	z->state = FREEZE_HELD;
	pthread_cond_broadcast(&z->cond);
	while (z->state == FREEZE_HELD)
		if (!lock_wait_until(&z->m, &z->cond, &until))
			z->state = FREEZE_EXPIRED;
}

static void *holder(void *arg)
{
	struct vio *v = arg;
	struct freeze *z = &v->freeze;
	int r;

	r = hold(v);
	if (r < 0) {
		WITH_LOCK(&z->m);
		z->result = r;
		z->state = FREEZE_FAILED;
		pthread_cond_broadcast(&z->cond);
		return NULL;
	}
	wait_end(z);
	checkpoint_release(v);
	log_turn_drop(v);
	return NULL;
}

/* Whoever asked died: it ended by itself, and nobody came to end it. */
static bool has_expired(struct vio *v)
{
	bool expired;

	lock_take(&v->freeze.m);
	expired = v->freeze.state == FREEZE_EXPIRED;
	lock_drop(&v->freeze.m);
	return expired && freeze_end(v) == -ETIMEDOUT;
}

int freeze_begin(struct vio *v, unsigned ms)
{
	struct freeze *z = &v->freeze;
	int r;

	if (v->p.read_only)
		return 0;
	(void)has_expired(v);
	{
		WITH_LOCK(&z->m);
		if (z->state != FREEZE_NONE)
			return -EBUSY;
		z->state = FREEZE_STARTING;
		z->ms = ms;
	}
	r = -pthread_create(&z->thread, NULL, holder, v);
	if (r == 0) {
		WITH_LOCK(&z->m);
		while (z->state == FREEZE_STARTING)
			lock_wait(&z->m, &z->cond);
		r = z->state == FREEZE_FAILED ? z->result : 0;
	}
	if (r < 0) {
		if (z->state == FREEZE_FAILED)
			(void)pthread_join(z->thread, NULL);
		WITH_LOCK(&z->m);
		z->state = FREEZE_NONE;
	}
	return r;
}

int freeze_end(struct vio *v)
{
	struct freeze *z = &v->freeze;
	bool expired;

	{
		WITH_LOCK(&z->m);
		if (z->state != FREEZE_HELD && z->state != FREEZE_EXPIRED)
			return 0;
		expired = z->state == FREEZE_EXPIRED;
		z->state = FREEZE_ENDING;
		pthread_cond_broadcast(&z->cond);
	}
	(void)pthread_join(z->thread, NULL);
	WITH_LOCK(&z->m);
	z->state = FREEZE_NONE;
	return expired ? -ETIMEDOUT : 0;
}
