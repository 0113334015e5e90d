/* kms_vault_token.c: the tokens we have, each for one tenant, server, namespace and way of logging in, so that no tenant's request ever goes
 * out with another's token, and no token to another server.
 *
 *	state            a call finds it        then
 *	none, expired    logs in                good, or the call fails with the login's class
 *	good             uses it                refused by the server: one login, one more try
 *	due (2/3 over)   renews it              not renewed and still valid: used, due again in RETRY_MS; a lease below a third of the first: logs in
 *	busy             waits for the login    to its deadline
 *
 * Process-wide, since any thread that unwraps may come first. No thread of its own: a mount's lease asks its KMS every minute anyway. */
#include "kms/kms_vault_impl.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define SESSIONS 128
#define SESSION_KEY_MAX 2048
#define RETRY_MS 10000

struct session {
	char key[SESSION_KEY_MAX];
	struct secret *token;
	char accessor[VAULT_ACCESSOR_MAX + 1];
	uint64_t generation;
	uint64_t asked_s;    /* the first lease */
	uint64_t until_ms;   /* 0: does not end */
	uint64_t due_ms;     /* 0: never */
	uint64_t used_ms;
	bool renewable, busy;
	unsigned waiting;
};

static struct {
	pthread_mutex_t m;
	pthread_cond_t changed;
	pthread_once_t once;
	uint64_t generation;              /* lock: m; of all sessions, so that none repeats */
	struct session of[SESSIONS];      /* lock: m */
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
	secret_free(s->token);
	*s = (struct session){ 0 };
}

void kms_vault_token_forget(void)
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

/* Wait until nobody logs in for s. lock: sessions.m */
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
	return s->token && s->generation != refused && (s->until_ms == 0 || now < s->until_ms);
}

/* Two thirds of the lease, and up to a fifteenth less. */
static void session_lease(struct session *s, uint64_t lease_s, bool renewable)
{
	uint64_t now = clock_boot_ms(), lease_ms = lease_s * 1000, chance = 0;

	s->renewable = renewable;
	s->until_ms = lease_s ? now + lease_ms : 0;
	if (secret_random(&chance, sizeof(chance)) < 0)
		chance = 0;
	s->due_ms = lease_s ? now + lease_ms / 3 * 2 - chance % (lease_ms / 15 + 1) : 0;
}

/* --- with the session busy, so that nobody else touches it, and the lock not held --- */

static int log_in(const struct vault_place *p, struct session *s, uint64_t refused, const char *id, uint64_t deadline_ms,
		  struct kms_error *err)
{
	struct vault_auth auth = { 0 };
	bool same;
	int r;

	r = kms_vault_login(p, id, deadline_ms, err, &auth);
	if (r < 0)
		return r;
	same = s->token && s->generation == refused && secret_len(s->token) == secret_len(auth.token) &&
	       secret_equal(secret_bytes_const(s->token), secret_bytes_const(auth.token), secret_len(auth.token));
	if (same) {
		secret_free(auth.token);
		return -EALREADY;
	}
	secret_free(s->token);
	s->token = auth.token;
	memcpy(s->accessor, auth.accessor, sizeof(s->accessor));
	s->generation = 0; /* set with the lock held */
	s->asked_s = auth.lease_s;
	session_lease(s, auth.lease_s, auth.renewable);
	return 0;
}

/* 0, or a reason to log in, or TRANSIENT. */
static int renew(const struct vault_place *p, struct session *s, uint64_t deadline_ms, struct kms_error *err)
{
	struct vault_auth auth = { 0 };
	int r;

	r = kms_vault_token_ask(p, s->token, true, s->asked_s, deadline_ms, err, &auth);
	if (r < 0)
		return r;
	secret_free(auth.token);
	if (auth.lease_s == 0 || auth.lease_s < s->asked_s / 3)
		return kms_fail(err, KMS_AUTH, "the lease comes to its end");
	session_lease(s, auth.lease_s, auth.renewable);
	return 0;
}

static bool outage(const struct kms_error *err)
{
	return err->class == KMS_TRANSIENT || err->class == KMS_THROTTLED;
}

static int session_refresh(const struct vault_place *p, struct session *s, uint64_t refused, const char *id,
			   uint64_t deadline_ms, struct kms_error *err, bool *ret_fresh)
{
	bool valid = session_valid(s, refused, clock_boot_ms());
	int r = -1;

	if (valid && s->renewable)
		r = renew(p, s, deadline_ms, err);
	if (r < 0 && !(valid && s->renewable && outage(err))) {
		r = log_in(p, s, refused, id, deadline_ms, err);
		*ret_fresh = r >= 0;
	}
	if (r < 0 && valid) { /* good as long as it lasts */
		s->due_ms = clock_boot_ms() + RETRY_MS;
		return 0;
	}
	return r;
}

/* --- */

static int key_make(const struct vault_place *p, char ret_key[static SESSION_KEY_MAX])
{
	int n = snprintf(ret_key, SESSION_KEY_MAX, "%s\n%s\n%s\n%s\n%s\n%s\n%s", p->tenant, p->origin, p->conf->ns, p->conf->auth,
			 p->conf->credentials, p->conf->ca_file, p->conf->proxy);

	return n < SESSION_KEY_MAX ? 0 : -EINVAL;
}

/* lock: sessions.m */
static int session_copy(struct session *s, struct vault_token *ret_token)
{
	if (s->generation == 0)
		s->generation = ++sessions.generation;
	s->used_ms = clock_boot_ms();
	memcpy(ret_token->accessor, s->accessor, sizeof(ret_token->accessor));
	ret_token->generation = s->generation;
	return secret_new_copy(secret_bytes_const(s->token), secret_len(s->token), &ret_token->token);
}

int kms_vault_token_get(const struct vault_place *p, uint64_t refused, const char *id, uint64_t deadline_ms,
			struct kms_error *err, struct vault_token *ret_token)
{
	struct vault_token t = { 0 };
	char key[SESSION_KEY_MAX];
	struct vault_login l;
	struct session *s;
	int r;

	r = kms_vault_login_parse(p->conf, err, &l);
	if (r < 0)
		return r;
	t.method = l.method;
	if (key_make(p, key) < 0)
		return kms_fail(err, KMS_CONFIG, "hcvault: the tenant's configuration is too long");
	pthread_once(&sessions.once, set_up);
	pthread_mutex_lock(&sessions.m);
	s = session_of(key);
	if (!s || !session_wait(s, deadline_ms)) {
		pthread_mutex_unlock(&sessions.m);
		return kms_fail(err, KMS_TRANSIENT, "hcvault: another login is not over in time");
	}
	if (!session_valid(s, refused, clock_boot_ms()) || (s->due_ms != 0 && clock_boot_ms() >= s->due_ms)) {
		s->busy = true;
		pthread_mutex_unlock(&sessions.m);
		r = session_refresh(p, s, refused, id, deadline_ms, err, &t.fresh);
		pthread_mutex_lock(&sessions.m);
		s->busy = false;
		pthread_cond_broadcast(&sessions.changed);
	}
	if (r >= 0) {
		r = session_copy(s, &t);
		if (r < 0)
			r = kms_fail(err, KMS_TRANSIENT, "hcvault: no locked memory");
	}
	pthread_mutex_unlock(&sessions.m);
	if (r >= 0)
		*ret_token = t;
	return r;
}
