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

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/sessions.h"

#define SESSIONS 128
#define KEY_TEXT_MAX 2048
#define RETRY_MS 10000

struct held {
	struct session session; /* first */
	struct secret *token;
	char accessor[VAULT_ACCESSOR_MAX + 1];
	uint64_t generation;
	uint64_t asked_s;       /* the first lease */
	uint64_t until_ms;      /* 0: does not end */
	uint64_t due_ms;        /* 0: never */
	bool renewable;
};

static void held_clear(void *entry)
{
	struct held *s = entry;

	secret_free(s->token);
	*s = (struct held){ 0 };
}

static struct held tokens[SESSIONS];
static struct sessions sessions = SESSIONS_INIT(tokens, held_clear);

void kms_vault_token_forget(void)
{
	sessions_forget(&sessions);
}

static bool held_valid(const struct held *s, uint64_t refused, uint64_t now)
{
	return s->token && s->generation != refused && (s->until_ms == 0 || now < s->until_ms);
}

/* Two thirds of the lease, and up to a fifteenth less. */
static void held_lease(struct held *s, uint64_t lease_s, bool renewable)
{
	uint64_t now = clock_boot_ms(), lease_ms = lease_s * 1000, chance = 0;

	s->renewable = renewable;
	s->until_ms = lease_s ? now + lease_ms : 0;
	if (secret_random(&chance, sizeof(chance)) < 0)
		chance = 0;
	s->due_ms = lease_s ? now + lease_ms / 3 * 2 - chance % (lease_ms / 15 + 1) : 0;
}

/* --- with the session busy, so that nobody else touches it, and the lock not held --- */

static int log_in(const struct vault_place *p, struct held *s, uint64_t refused, const char *id, uint64_t deadline_ms,
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
	held_lease(s, auth.lease_s, auth.renewable);
	return 0;
}

/* 0, or a reason to log in, or TRANSIENT. */
static int renew(const struct vault_place *p, struct held *s, uint64_t deadline_ms, struct kms_error *err)
{
	struct vault_auth auth = { 0 };
	int r;

	r = kms_vault_token_ask(p, s->token, true, s->asked_s, deadline_ms, err, &auth);
	if (r < 0)
		return r;
	secret_free(auth.token);
	if (auth.lease_s == 0 || auth.lease_s < s->asked_s / 3)
		return kms_fail(err, KMS_AUTH, "the lease comes to its end");
	held_lease(s, auth.lease_s, auth.renewable);
	return 0;
}

static bool outage(const struct kms_error *err)
{
	return err->class == KMS_TRANSIENT || err->class == KMS_THROTTLED;
}

static int held_refresh(const struct vault_place *p, struct held *s, uint64_t refused, const char *id,
			   uint64_t deadline_ms, struct kms_error *err, bool *ret_fresh)
{
	bool valid = held_valid(s, refused, clock_boot_ms());
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

static int key_make(const struct vault_place *p, char ret_key[static KEY_TEXT_MAX])
{
	int n = snprintf(ret_key, KEY_TEXT_MAX, "%s\n%s\n%s\n%s\n%s\n%s\n%s", p->tenant, p->origin, p->conf->ns, p->conf->auth,
			 p->conf->credentials, p->conf->ca_file, p->conf->proxy);

	return n < KEY_TEXT_MAX ? 0 : -EINVAL;
}

/* lock: sessions.m */
static int held_copy(struct held *s, struct vault_token *ret_token)
{
	if (s->generation == 0)
		s->generation = ++sessions.generation;
	s->session.used_ms = clock_boot_ms();
	memcpy(ret_token->accessor, s->accessor, sizeof(ret_token->accessor));
	ret_token->generation = s->generation;
	return secret_new_copy(secret_bytes_const(s->token), secret_len(s->token), &ret_token->token);
}

int kms_vault_token_get(const struct vault_place *p, uint64_t refused, const char *id, uint64_t deadline_ms,
			struct kms_error *err, struct vault_token *ret_token)
{
	struct vault_token t = { 0 };
	char key[KEY_TEXT_MAX];
	struct vault_login l;
	struct held *s;
	int r;

	r = kms_vault_login_parse(p->conf, err, &l);
	if (r < 0)
		return r;
	t.method = l.method;
	if (key_make(p, key) < 0)
		return kms_fail(err, KMS_CONFIG, "hcvault: the tenant's configuration is too long");
	s = sessions_take(&sessions, key, deadline_ms);
	if (!s)
		return kms_fail(err, KMS_TRANSIENT, "hcvault: another login is not over in time");
	if (!held_valid(s, refused, clock_boot_ms()) || (s->due_ms != 0 && clock_boot_ms() >= s->due_ms)) {
		sessions_fetch_begin(&sessions, s);
		r = held_refresh(p, s, refused, id, deadline_ms, err, &t.fresh);
		sessions_fetch_end(&sessions, s);
	}
	if (r >= 0) {
		r = held_copy(s, &t);
		if (r < 0)
			r = kms_fail(err, KMS_TRANSIENT, "hcvault: no locked memory");
	}
	sessions_give(&sessions);
	if (r >= 0)
		*ret_token = t;
	return r;
}
