/* kms_bearer.c: the OAuth tokens we have, each of one source (kms_impl.h), so that no tenant's request ever goes out with another's token, and no
 * token to another service.
 *
 *	state              a call finds it        then
 *	none, expired      fetches                good, or the call fails with the fetch's class
 *	good               uses it                refused by the service: one fetch, one more try
 *	due (near its end) fetches                cannot, and still valid: used, due again in RETRY_MS
 *	busy               waits for the fetch    to its deadline
 *
 * Process-wide, and without a thread of its own, as kms_vault_token.c is and for its reasons. */
#include "kms/kms_impl.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define SESSIONS 128
#define SESSION_KEY_MAX 3072
#define RETRY_MS 10000
#define AHEAD_S 300          /* metadata services give a new token within the last five minutes */
#define AHEAD_CHANCE_S 60

struct session {
	char key[SESSION_KEY_MAX];
	struct kms_bearer bearer;    /* token: ours */
	uint64_t until_ms, due_ms, used_ms;
	bool busy;
	unsigned waiting;
};

static struct {
	pthread_mutex_t m;
	pthread_cond_t changed;
	pthread_once_t once;
	uint64_t generation;         /* lock: m; of all sessions, so that none repeats */
	struct session of[SESSIONS]; /* lock: m */
} sessions = { .m = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static void set_up(void)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&sessions.changed, &a);
	pthread_condattr_destroy(&a);
}

static void session_clear(struct session *s)
{
	secret_free(s->bearer.token);
	*s = (struct session){ 0 };
}

void kms_bearer_forget(void)
{
	struct session *s;

	pthread_mutex_lock(&sessions.m);
	for (s = sessions.of; s < sessions.of + SESSIONS; s++)
		if (!s->busy && s->waiting == 0)
			session_clear(s);
	pthread_mutex_unlock(&sessions.m);
}

/* lock: sessions.m. NULL: all are in use at this moment. */
static struct session *session_of(const char *key)
{
	struct session *s, *oldest = NULL;

	for (s = sessions.of; s < sessions.of + SESSIONS; s++) {
		if (strcmp(s->key, key) == 0)
			return s;
		if (!s->busy && s->waiting == 0 && (!oldest || s->used_ms < oldest->used_ms))
			oldest = s;
	}
	if (oldest) {
		session_clear(oldest);
		(void)snprintf(oldest->key, sizeof(oldest->key), "%s", key);
	}
	return oldest;
}

/* Wait until nobody fetches for s. lock: sessions.m */
static bool session_wait(struct session *s, uint64_t deadline_ms)
{
	uint64_t now = clock_boot_ms(), left = deadline_ms > now ? deadline_ms - now : 0;
	struct timespec t;
	int r = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(left % 1000) * 1000000;
	t.tv_sec += (time_t)(left / 1000) + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	s->waiting++;
	while (s->busy && r == 0)
		r = pthread_cond_timedwait(&sessions.changed, &sessions.m, &t);
	s->waiting--;
	return !s->busy;
}

static bool session_valid(const struct session *s, uint64_t refused, uint64_t now)
{
	return s->bearer.token && s->bearer.generation != refused && now < s->until_ms;
}

static void session_life(struct session *s, uint64_t life_s)
{
	uint64_t now = clock_boot_ms(), life_ms = life_s * 1000, chance = 0;

	if (secret_random(&chance, sizeof(chance)) < 0)
		chance = 0;
	s->until_ms = now + life_ms;
	if (life_s > 3 * AHEAD_S)
		s->due_ms = s->until_ms - AHEAD_S * 1000 - chance % (AHEAD_CHANCE_S * 1000);
	else
		s->due_ms = now + life_ms / 3 * 2;
}

static bool token_same(const struct secret *a, const struct secret *b)
{
	return a && secret_len(a) == secret_len(b) && secret_equal(secret_bytes_const(a), secret_bytes_const(b), secret_len(a));
}

/* With the session busy, so that nobody else touches it, and the lock not held. */
static int session_fetch(struct session *s, const struct kms_bearer_source *source, uint64_t refused, uint64_t deadline_ms, struct kms_error *err,
			 bool *ret_fresh)
{
	bool valid = session_valid(s, refused, clock_boot_ms());
	struct kms_bearer b = { 0 };
	int r;

	r = source->fetch(source->arg, deadline_ms, err, &b);
	if (r < 0) {
		s->due_ms = clock_boot_ms() + RETRY_MS;
		return valid ? 0 : r; /* good as long as it lasts */
	}
	if (token_same(s->bearer.token, b.token)) { /* a metadata service's cache: the same one, nearer its end */
		session_life(s, b.life_s);
		secret_free(b.token);
		return s->bearer.generation == refused ? -EALREADY : 0;
	}
	secret_free(s->bearer.token);
	s->bearer = b;
	s->bearer.generation = 0; /* set with the lock held */
	session_life(s, b.life_s);
	*ret_fresh = true;
	return 0;
}

/* lock: sessions.m */
static int session_copy(struct session *s, bool fresh, struct kms_error *err, struct kms_bearer *ret_bearer)
{
	struct kms_bearer b;
	int r;

	if (s->bearer.generation == 0)
		s->bearer.generation = ++sessions.generation;
	s->used_ms = clock_boot_ms();
	b = s->bearer;
	b.fresh = fresh;
	r = secret_new_copy(secret_bytes_const(s->bearer.token), secret_len(s->bearer.token), &b.token);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "no locked memory");
	*ret_bearer = b;
	return 0;
}

int kms_bearer_get(const struct kms_bearer_source *source, uint64_t refused, uint64_t deadline_ms, struct kms_error *err,
		   struct kms_bearer *ret_bearer)
{
	struct session *s;
	bool fresh = false;
	int r = 0;

	if (strlen(source->key) >= SESSION_KEY_MAX)
		return kms_fail(err, KMS_CONFIG, "the tenant's configuration is too long");
	pthread_once(&sessions.once, set_up);
	pthread_mutex_lock(&sessions.m);
	s = session_of(source->key);
	if (!s || !session_wait(s, deadline_ms)) {
		pthread_mutex_unlock(&sessions.m);
		return kms_fail(err, KMS_TRANSIENT, "another request for a token is not over in time");
	}
	if (!session_valid(s, refused, clock_boot_ms()) || clock_boot_ms() >= s->due_ms) {
		s->busy = true;
		pthread_mutex_unlock(&sessions.m);
		r = session_fetch(s, source, refused, deadline_ms, err, &fresh);
		pthread_mutex_lock(&sessions.m);
		s->busy = false;
		pthread_cond_broadcast(&sessions.changed);
	}
	if (r >= 0)
		r = session_copy(s, fresh, err, ret_bearer);
	pthread_mutex_unlock(&sessions.m);
	return r;
}
