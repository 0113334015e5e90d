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

#include <string.h>

#include "base/clock.h"
#include "net/sessions.h"

#define SESSIONS 128
#define RETRY_MS 10000
#define AHEAD_S 300          /* metadata services give a new token within the last five minutes */
#define AHEAD_CHANCE_S 60

struct bearer {
	struct session session;      /* first */
	struct kms_bearer bearer;    /* token: ours */
	uint64_t until_ms, due_ms;
};

static void bearer_clear(void *entry)
{
	struct bearer *s = entry;

	secret_free(s->bearer.token);
	*s = (struct bearer){ 0 };
}

static struct bearer bearers[SESSIONS];
static struct sessions sessions = SESSIONS_INIT(bearers, bearer_clear);

void kms_bearer_forget(void)
{
	sessions_forget(&sessions);
}

static bool bearer_valid(const struct bearer *s, uint64_t refused, uint64_t now)
{
	return s->bearer.token && s->bearer.generation != refused && now < s->until_ms;
}

static void bearer_life(struct bearer *s, uint64_t life_s)
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
static int bearer_fetch(struct bearer *s, const struct kms_bearer_source *source, uint64_t refused, uint64_t deadline_ms, struct kms_error *err,
			 bool *ret_fresh)
{
	bool valid = bearer_valid(s, refused, clock_boot_ms());
	struct kms_bearer b = { 0 };
	int r;

	r = source->fetch(source->arg, deadline_ms, err, &b);
	if (r < 0) {
		s->due_ms = clock_boot_ms() + RETRY_MS;
		return valid ? 0 : r; /* good as long as it lasts */
	}
	if (token_same(s->bearer.token, b.token)) { /* a metadata service's cache: the same one, nearer its end */
		bearer_life(s, b.life_s);
		secret_free(b.token);
		return s->bearer.generation == refused ? -EALREADY : 0;
	}
	secret_free(s->bearer.token);
	s->bearer = b;
	s->bearer.generation = 0; /* set with the lock held */
	bearer_life(s, b.life_s);
	*ret_fresh = true;
	return 0;
}

/* lock: sessions.m */
static int bearer_copy(struct bearer *s, bool fresh, struct kms_error *err, struct kms_bearer *ret_bearer)
{
	struct kms_bearer b;
	int r;

	if (s->bearer.generation == 0)
		s->bearer.generation = ++sessions.generation;
	s->session.used_ms = clock_boot_ms();
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
	struct bearer *s;
	bool fresh = false;
	int r = 0;

	if (strlen(source->key) >= SESSION_KEY_MAX)
		return kms_fail(err, KMS_CONFIG, "the tenant's configuration is too long");
	s = sessions_take(&sessions, source->key, deadline_ms);
	if (!s)
		return kms_fail(err, KMS_TRANSIENT, "another request for a token is not over in time");
	if (!bearer_valid(s, refused, clock_boot_ms()) || clock_boot_ms() >= s->due_ms) {
		sessions_fetch_begin(&sessions, s);
		r = bearer_fetch(s, source, refused, deadline_ms, err, &fresh);
		sessions_fetch_end(&sessions, s);
	}
	if (r >= 0)
		r = bearer_copy(s, fresh, err, ret_bearer);
	sessions_give(&sessions);
	return r;
}
