/* awscred.c: the credentials we have, each for one tenant and one way of getting them.
 *
 *	state             a call finds it         then
 *	none, refused     fetches                 good, or the call fails as the fetch did
 *	good              uses it                 refused by the service: one fetch, one more try of the caller's
 *	due (5..10 min    fetches                 fetched, or kept and due again in RETRY_MS
 *	before its end)
 *	over              fetches                 where nobody answered: kept, since an outage of the source must not be worse than the service's own no
 *	busy              waits for the fetch     to its deadline
 *
 * Process-wide, since any thread may come first; no thread of its own. */
#include "net/awscred_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/sessions.h"

#define ENTRIES 128
#define RETRY_MS 10000
#define EARLY_MS (5u * 60 * 1000)

struct entry {
	struct session session; /* first; its lock is for skew_s in any case */
	struct awscred cred;    /* access_key empty: none so far */
	uint64_t until_ms;      /* 0: does not end */
	uint64_t due_ms;        /* 0: never */
	int64_t skew_s;
};

int awscred_fail(struct awscred_error *err, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return r;
}

void awscred_done(struct awscred *cred)
{
	secret_free(cred->secret_key);
	secret_free(cred->token);
	*cred = (struct awscred){ 0 };
}

struct sigv4_key awscred_key(const struct awscred *cred, const char *region, const char *service)
{
	return (struct sigv4_key){ .names = &sigv4_aws, .access_key = cred->access_key, .secret_key = cred->secret_key, .token = cred->token,
				   .region = region, .service = service };
}

int64_t awscred_now(const struct awscred *cred)
{
	return (int64_t)time(NULL) + cred->skew_s;
}

static void entry_clear(void *entry)
{
	struct entry *e = entry;

	awscred_done(&e->cred);
	*e = (struct entry){ 0 };
}

static struct entry entries_of[ENTRIES];
static struct sessions entries = SESSIONS_INIT(entries_of, entry_clear);

void awscred_forget(void)
{
	sessions_forget(&entries);
}

static int entry_key(const struct awscred_conf *c, char ret_key[static SESSION_KEY_MAX])
{
	int n = snprintf(ret_key, SESSION_KEY_MAX, "%s\n%s\n%s\n%s\n%s\n%s\n%s", c->owner, c->source, c->role_arn, c->external_id, c->region, c->ca_file,
			 c->proxy);

	return n < SESSION_KEY_MAX ? 0 : -EINVAL;
}

static bool entry_have(const struct entry *e, uint64_t refused)
{
	return e->cred.access_key[0] && e->cred.generation != refused;
}

static bool same(const struct secret *a, const struct secret *b)
{
	if (!a || !b)
		return a == b;
	return secret_len(a) == secret_len(b) && secret_equal(secret_bytes_const(a), secret_bytes_const(b), secret_len(a));
}

/* A source may give the same again until shortly before its end (IMDS does): so never at once. */
uint64_t awscred_due_in(uint64_t life_ms, uint64_t chance)
{
	uint64_t early = EARLY_MS + chance % EARLY_MS, due = life_ms > 2 * early ? life_ms - early : life_ms / 2;

	return due > RETRY_MS ? due : RETRY_MS;
}

static void entry_times(struct entry *e, int64_t now_s)
{
	uint64_t now = clock_boot_ms(), life, chance = 0;

	e->until_ms = e->due_ms = 0;
	if (e->cred.expires == 0)
		return;
	life = e->cred.expires > now_s ? (uint64_t)(e->cred.expires - now_s) * 1000 : 0;
	if (secret_random(&chance, sizeof(chance)) < 0)
		chance = 0;
	e->until_ms = now + life;
	e->due_ms = now + awscred_due_in(life, chance);
}

/* With e busy, so that nobody else touches its credential, and the lock not held. */
static int entry_fetch(struct entry *e, const struct awscred_conf *conf, int64_t skew_s, uint64_t refused, uint64_t deadline_ms, struct awscred_error *err)
{
	struct awscred_fetch f = { .conf = conf, .deadline_ms = deadline_ms, .skew_s = skew_s, .err = err };
	struct awscred new = { 0 };
	bool old;
	int r;

	r = awscred_fetch(&f, &new);
	if (r < 0) {
		if (!entry_have(e, refused) || (r != -EAGAIN && e->until_ms != 0 && clock_boot_ms() >= e->until_ms))
			return r;
		e->due_ms = clock_boot_ms() + RETRY_MS;
		return 0;
	}
	old = e->cred.access_key[0] && strcmp(e->cred.access_key, new.access_key) == 0 && same(e->cred.secret_key, new.secret_key) &&
	      same(e->cred.token, new.token);
	if (old && e->cred.generation == refused) {
		awscred_done(&new);
		return -EALREADY;
	}
	new.generation = old ? e->cred.generation : 0; /* 0: set with the lock held */
	new.fresh = !old;
	awscred_done(&e->cred);
	e->cred = new;
	entry_times(e, (int64_t)time(NULL) + skew_s);
	return 0;
}

/* lock: entries.m */
static int entry_copy(struct entry *e, struct awscred *ret_cred)
{
	struct awscred c = e->cred;
	int r;

	c.secret_key = c.token = NULL;
	c.skew_s = e->skew_s;
	e->session.used_ms = clock_boot_ms();
	e->cred.fresh = false;
	r = secret_new_copy(secret_bytes_const(e->cred.secret_key), secret_len(e->cred.secret_key), &c.secret_key);
	if (r >= 0 && e->cred.token)
		r = secret_new_copy(secret_bytes_const(e->cred.token), secret_len(e->cred.token), &c.token);
	if (r < 0) {
		awscred_done(&c);
		return r;
	}
	*ret_cred = c;
	return 0;
}

/* lock: entries.m, given up while it is fetched */
static int entry_ready(struct entry *e, const struct awscred_conf *conf, uint64_t refused, uint64_t deadline_ms, struct awscred_error *err)
{
	int64_t skew_s = e->skew_s; /* which others may set meanwhile */
	int r;

	if (entry_have(e, refused) && (e->due_ms == 0 || clock_boot_ms() < e->due_ms))
		return 0;
	sessions_fetch_begin(&entries, e);
	r = entry_fetch(e, conf, skew_s, refused, deadline_ms, err);
	sessions_fetch_end(&entries, e);
	if (e->cred.access_key[0] && e->cred.generation == 0)
		e->cred.generation = ++entries.generation;
	return r;
}

int awscred_get(const struct awscred_conf *conf, uint64_t refused, uint64_t deadline_ms, struct awscred_error *err, struct awscred *ret_cred)
{
	char key[SESSION_KEY_MAX];
	struct entry *e;
	int r;

	*err = (struct awscred_error){ 0 };
	if (entry_key(conf, key) < 0)
		return awscred_fail(err, -EINVAL, "the configuration of AWS credentials is too long");
	e = sessions_take(&entries, key, deadline_ms);
	if (!e)
		return awscred_fail(err, -EAGAIN, "another fetch of AWS credentials is not over in time");
	r = entry_ready(e, conf, refused, deadline_ms, err);
	if (r >= 0) {
		r = entry_copy(e, ret_cred);
		if (r < 0)
			r = awscred_fail(err, -ENOMEM, "AWS credentials: no locked memory");
	}
	sessions_give(&entries);
	return r;
}

void awscred_skew(const struct awscred_conf *conf, int64_t skew_s)
{
	char key[SESSION_KEY_MAX];
	struct entry *e;

	if (entry_key(conf, key) < 0)
		return;
	e = sessions_peek(&entries, key);
	if (e)
		e->skew_s = skew_s;
	sessions_give(&entries);
}
