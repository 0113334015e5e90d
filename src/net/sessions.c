/* sessions.c: see sessions.h. Tables are small, and asked once a call over the network: a walk is cheap enough. */
#include "net/sessions.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static struct session *entry_at(const struct sessions *t, size_t i)
{
	return (struct session *)(void *)((char *)t->of + i * t->size);
}

/* lock: t->m. NULL: there is none; *ret_oldest: what could be used for it, or NULL. */
static struct session *find(struct sessions *t, const char *key, struct session **ret_oldest)
{
	struct session *s;
	size_t i;

	*ret_oldest = NULL;
	for (i = 0; i < t->count; i++) {
		s = entry_at(t, i);
		if (strcmp(s->key, key) == 0)
			return s;
		if (!s->busy && s->waiting == 0 && (!*ret_oldest || s->used_ms < (*ret_oldest)->used_ms))
			*ret_oldest = s;
	}
	return NULL;
}

/* Until nobody fetches for s. lock: t->m */
static bool await(struct sessions *t, struct session *s, uint64_t deadline_ms)
{
	uint64_t now = clock_boot_ms();
	const struct timespec until = clock_after_ms(deadline_ms > now ? deadline_ms - now : 0);
	int r = 0;

	s->waiting++;
	while (s->busy && r == 0)
		r = pthread_cond_clockwait(&t->changed, &t->m, CLOCK_MONOTONIC, &until);
	s->waiting--;
	return !s->busy;
}

void *sessions_take(struct sessions *t, const char *key, uint64_t deadline_ms)
{
	struct session *s, *oldest;

	pthread_mutex_lock(&t->m);
	s = find(t, key, &oldest);
	if (!s && oldest) {
		t->clear(oldest);
		(void)snprintf(oldest->key, sizeof(oldest->key), "%s", key);
		s = oldest;
	}
	if (s && await(t, s, deadline_ms))
		return s;
	pthread_mutex_unlock(&t->m);
	return NULL;
}

void *sessions_peek(struct sessions *t, const char *key)
{
	struct session *oldest;

	pthread_mutex_lock(&t->m);
	return find(t, key, &oldest);
}

void sessions_give(struct sessions *t)
{
	pthread_mutex_unlock(&t->m);
}

void sessions_fetch_begin(struct sessions *t, void *entry)
{
	struct session *s = entry;

	s->busy = true;
	pthread_mutex_unlock(&t->m);
}

void sessions_fetch_end(struct sessions *t, void *entry)
{
	struct session *s = entry;

	pthread_mutex_lock(&t->m);
	s->busy = false;
	pthread_cond_broadcast(&t->changed);
}

void sessions_forget(struct sessions *t)
{
	size_t i;

	pthread_mutex_lock(&t->m);
	for (i = 0; i < t->count; i++)
		if (!entry_at(t, i)->busy && entry_at(t, i)->waiting == 0)
			t->clear(entry_at(t, i));
	pthread_mutex_unlock(&t->m);
}
