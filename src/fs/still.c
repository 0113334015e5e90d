/* still.c: see still.h. Nobody's correctness hangs on it: who copies looks at the directories himself (backup_live.c). Without it a volume in which names never
 * stop changing could not be copied at all. So one who is inside and waits for a commit, which is held by then, is not waited for for ever. */
#include "fs/still.h"

#include "base/clock.h"

void still_init(struct still *s)
{
	*s = (struct still){ .held = false };
	lock_init(&s->m, LOCK_RANK_POOL);
	pthread_cond_init(&s->cond, NULL);
}

void still_done(struct still *s)
{
	pthread_cond_destroy(&s->cond);
	lock_done(&s->m);
}

void still_enter(struct still *s)
{
	WITH_LOCK(&s->m);
	while (s->held)
		if (!lock_wait_until(&s->m, &s->cond, &s->until))
			s->held = false; /* whoever asked for it has died */
	s->inside++;
}

void still_leave(struct still *s)
{
	WITH_LOCK(&s->m);
	if (--s->inside == 0 && s->held)
		pthread_cond_broadcast(&s->cond);
}

void still_hold(struct still *s, unsigned ms)
{
	const struct timespec enough = clock_after_ms(STILL_INSIDE_MS);

	WITH_LOCK(&s->m);
	s->held = true;
	s->until = clock_after_ms(ms);
	while (s->inside > 0 && lock_wait_until(&s->m, &s->cond, &enough))
		;
}

void still_end(struct still *s)
{
	WITH_LOCK(&s->m);
	s->held = false;
	pthread_cond_broadcast(&s->cond);
}
