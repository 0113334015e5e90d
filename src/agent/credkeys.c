/* credkeys.c: entries.
 *
 *	no key, flight out       first unwrap: waiters get what it says; a refusal ends the entry
 *	key, lease ACTIVE        given at once ("hit"): the KMS was asked within probe=
 *	key, lease STALE         given at once ("stale") while nobody answers, or our own credential is refused; else the KMS is asked for this request
 *	key, lease SUSPECT       the KMS is asked for this request, and what it says counts
 *	lease LOCKED             the key is wiped, the entry ends; the next who asks makes a new one
 *
 * A flight owns copies of all it needs. An entry that is to end while its flight is out is forgotten: out of the list, its key wiped, freed by the flight. */
#include "agent/credkeys.h"

#include <stdio.h>
#include <string.h>

#include "agent/credrules.h"
#include "agent/jobs.h"
#include "agent/opener.h"
#include "agent/request.h"
#include "agent/unwrap.h"
#include "base/clock.h"
#include "base/log.h"

struct waiter {
	struct waiter *next;
	credkeys_fn fn;
	void *arg;
};

struct credkeys {
	struct credkeys *next;
	char tenant[TENANT_LEN_MAX + 1];
	struct credential_key wrapped;
	struct secret *key;            /* NULL: not opened yet */
	bool making;                   /* wrapped has nothing but its URI yet */
	bool flying, forgotten;
	struct lease lease;            /* with a key */
	enum lease_state said;
	uint64_t said_ms, used_ms;
	struct kms_error kms;          /* what was said last */
	struct waiter *waiters;        /* in the order they came */
};

struct flight {
	struct jobs_item item;         /* first */
	struct credkeys *entry;
	struct tenants *tenants;
	struct kms_host host;
	bool make;
	char tenant[TENANT_LEN_MAX + 1];
	struct credential_key wrapped;
	/* results */
	enum kms_class class;
	char message[PROTO_MESSAGE_MAX];
	struct kms_error kms;
	struct secret *key;
};

static const struct lease_conf *conf_of(const struct agent *a, const struct credkeys *e)
{
	return &tenants_find(a->tenants, e->tenant)->lease;
}

static uint32_t random_number(void)
{
	uint32_t n = 0;

	if (secret_random(&n, sizeof(n)) < 0)
		n = (uint32_t)clock_boot_ms(); /* it spreads probes, no more */
	return n;
}

static void flight_free(struct flight *f)
{
	if (!f)
		return;
	if (f->host.key_dirfd >= 0)
		(void)close(f->host.key_dirfd);
	tenants_unref(f->tenants);
	secret_free(f->key);
	free(f);
}
DEFINE_AUTO(struct flight, flight_free)

static void entry_free(struct credkeys *e)
{
	struct waiter *w;

	while ((w = e->waiters)) {
		e->waiters = w->next;
		free(w);
	}
	secret_free(e->key);
	free(e);
}

static void entry_end(struct agent *a, struct credkeys *e)
{
	struct credkeys **at;

	for (at = &a->credkeys; *at && *at != e; at = &(*at)->next)
		;
	if (*at)
		*at = e->next;
	secret_free(e->key);
	e->key = NULL;
	e->forgotten = true;
	if (!e->flying)
		entry_free(e);
}

/* --- on a thread --- */

static int key_make(struct flight *f, const struct kms_uri *uri)
{
	struct kms_context ctx = { .tenant = f->tenant, .uuid = f->wrapped.id };
	AUTO_FREE struct kms_wrapped *wrapped = calloc(1, sizeof(*wrapped));
	AUTO_SECRET struct secret *key = NULL;
	int r;

	if (!wrapped)
		return kms_fail(&f->kms, KMS_TRANSIENT, "out of memory");
	r = secret_random(f->wrapped.id, sizeof(f->wrapped.id));
	if (r >= 0)
		r = secret_new(KEY_LEN, &key);
	if (r >= 0)
		r = secret_random(secret_bytes(key), KEY_LEN);
	if (r < 0)
		return kms_fail(&f->kms, KMS_TRANSIENT, "no locked memory: %s", err_text(r));
	r = kms_prepare(&f->host, uri, &f->kms);
	if (r >= 0)
		r = kms_wrap(&f->host, uri, &ctx, key, &f->kms, wrapped);
	if (r < 0)
		return r;
	if (wrapped->len > sizeof(f->wrapped.wrapped) || strlen(wrapped->key_version) >= sizeof(f->wrapped.version))
		return kms_fail(&f->kms, KMS_BADREQ, "%s: what it wrapped is too long", f->wrapped.uri);
	memcpy(f->wrapped.wrapped, wrapped->bytes, wrapped->len);
	f->wrapped.wrapped_len = wrapped->len;
	(void)snprintf(f->wrapped.version, sizeof(f->wrapped.version), "%s", wrapped->key_version);
	f->key = take_ptr(key);
	return 0;
}

static void flight_run(struct jobs_item *item)
{
	struct flight *f = (struct flight *)item;
	struct kms_context ctx = { .tenant = f->tenant, .uuid = f->wrapped.id };
	struct kms_uri uri;
	int r;

	r = kms_uri_parse(f->wrapped.uri, &uri);
	if (r < 0)
		r = kms_fail(&f->kms, KMS_CONFIG, "%s: %s", f->wrapped.uri, r == -EOPNOTSUPP ? "no such provider in this version" : "malformed key URI");
	else if (f->make)
		r = key_make(f, &uri);
	else
		r = kms_unwrap(&f->host, &uri, &ctx, f->wrapped.wrapped, f->wrapped.wrapped_len, &f->kms, &f->key);
	f->class = r < 0 ? f->kms.class : KMS_OK;
	if (r < 0)
		(void)snprintf(f->message, sizeof(f->message), "credential key: %s", f->kms.message);
}

/* --- on the loop --- */

static void answer_all(struct agent *a, struct credkeys *e, const struct credkeys_answer *answer)
{
	struct waiter *w = e->waiters, *next;

	e->waiters = NULL;
	for (; w; w = next) {
		next = w->next;
		w->fn(a, w->arg, answer);
		free(w);
	}
}

static void report(struct agent *a, struct credkeys *e, uint64_t now)
{
	static const char *const rows[LEASE_STATES] = {
		[LEASE_STALE] = "key.stale_begin", [LEASE_SUSPECT] = "key.suspect", [LEASE_LOCKED] = "key.revoked_seen", [LEASE_ACTIVE] = "key.stale_end",
	};
	struct audit_event row = { .what = rows[e->lease.state], .uuid = e->wrapped.id, .tenant = e->tenant, .key_uri = e->wrapped.uri, .object = "credentials",
				   .class = e->lease.class == KMS_OK ? NULL : kms_class_text(e->lease.class), .detail = e->kms.message[0] ? e->kms.message : NULL };

	if (e->lease.state == e->said)
		return;
	if (e->said == LEASE_STALE)
		row.stale_for_s = (now - e->said_ms) / 1000;
	request_record_kms(&row, &e->kms);
	log_warning("credentials of %s: key lease %s: %s", e->tenant, lease_state_text(e->lease.state), e->kms.message);
	if (e->lease.state != LEASE_LOCKED || e->lease.class == KMS_REVOKED || e->lease.class == KMS_DENIED)
		audit_note(a->audit, &row);
	e->said = e->lease.state;
	e->said_ms = now;
}

/* A probe, or an unwrap that somebody waits for, of a key that is there. False: the lease is over. */
static bool lease_take(struct agent *a, struct credkeys *e, enum kms_class class)
{
	uint64_t now = clock_boot_ms();
	unsigned actions;

	lease_answer(&e->lease, now, 0, class);
	actions = lease_probed(&e->lease, conf_of(a, e), now, random_number());
	report(a, e, now);
	return !(actions & LEASE_LOCK);
}

static void entry_begin(struct agent *a, struct credkeys *e, struct flight *f)
{
	uint64_t now = clock_boot_ms();

	e->key = take_ptr(f->key);
	e->wrapped = f->wrapped;
	e->making = false;
	e->said = LEASE_ACTIVE;
	e->said_ms = e->used_ms = now;
	/* Not locked, fresh, no operator's lock: it wants nothing done. */
	if (lease_begin(&e->lease, conf_of(a, e), now, 1, false, true, false, random_number()))
		lease_probe_now(&e->lease, now);
}

static void flight_done(void *ctx, struct jobs_item *item, bool cancelled)
{
	AUTO(flight_free_p) struct flight *f = (struct flight *)item;
	struct credkeys_answer answer = { .class = opener_class(f->class), .message = f->message, .kms = &f->kms, .cache = "miss" };
	struct credkeys *e = f->entry;
	struct agent *a = ctx;
	bool keep;

	e->flying = false;
	e->kms = f->kms;
	if (cancelled) {
		answer.class = PROTO_CLASS_INTERNAL;
		answer.message = "the agent ends";
	}
	if (e->key)
		keep = lease_take(a, e, f->class);
	else
		keep = answer.class == PROTO_CLASS_OK;
	if (!e->key && !e->forgotten && keep)
		entry_begin(a, e, f);
	if (answer.class == PROTO_CLASS_OK) {
		answer.key = e->key ? e->key : f->key; /* forgotten: callers see the lock that did that */
		answer.wrapped = e->key ? &e->wrapped : &f->wrapped;
	}
	e->flying = true; /* what a waiter does must not free it */
	answer_all(a, e, &answer);
	e->flying = false;
	if (e->forgotten)
		entry_free(e);
	else if (!keep || cancelled)
		entry_end(a, e);
}

static int flight_start(struct agent *a, struct credkeys *e)
{
	AUTO(flight_free_p) struct flight *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->item = (struct jobs_item){ .run = flight_run, .done = flight_done };
	f->host.key_dirfd = -1;
	f->tenants = tenants_ref(a->tenants);
	f->entry = e;
	f->make = e->making;
	f->wrapped = e->wrapped;
	memcpy(f->tenant, e->tenant, sizeof(f->tenant));
	r = unwrap_host(a, f->tenants, e->tenant, &f->host);
	if (r >= 0)
		r = jobs_submit(a->jobs, &f->item);
	if (r < 0)
		return r;
	(void)take_ptr(f);
	e->flying = true;
	return 0;
}

static int waiter_add(struct credkeys *e, credkeys_fn fn, void *arg)
{
	struct waiter *w = calloc(1, sizeof(*w)), **at;

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->arg = arg;
	for (at = &e->waiters; *at; at = &(*at)->next)
		;
	*at = w;
	return 0;
}

/* Room for one more: the one that nobody has used for the longest time goes. -ENOSPC: all are being asked for. */
static int room_make(struct agent *a)
{
	struct credkeys *e, *oldest = NULL;
	unsigned n = 0;

	for (e = a->credkeys; e; e = e->next) {
		n++;
		if (!e->flying && (!oldest || e->used_ms < oldest->used_ms))
			oldest = e;
	}
	if (n < CREDKEYS_MAX)
		return 0;
	if (!oldest)
		return -ENOSPC;
	entry_end(a, oldest);
	return 0;
}

static int entry_new(struct agent *a, const char *tenant, const struct credential_key *key, bool making, credkeys_fn fn, void *arg)
{
	struct credkeys *e;
	int r = room_make(a);

	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	(void)snprintf(e->tenant, sizeof(e->tenant), "%s", tenant);
	e->wrapped = *key;
	e->making = making;
	r = waiter_add(e, fn, arg);
	if (r >= 0)
		r = flight_start(a, e);
	if (r < 0) {
		entry_free(e);
		return r;
	}
	e->next = a->credkeys;
	a->credkeys = e;
	return 0;
}

static struct credkeys *entry_find(const struct agent *a, const char *tenant, const struct credential_key *as, bool making)
{
	struct credkeys *e;

	for (e = a->credkeys; e; e = e->next)
		if (e->making == making && strcmp(e->tenant, tenant) == 0 && strcmp(e->wrapped.uri, as->uri) == 0 && memcmp(e->wrapped.id, as->id, sizeof(as->id)) == 0 &&
		    e->wrapped.wrapped_len == as->wrapped_len && memcmp(e->wrapped.wrapped, as->wrapped, as->wrapped_len) == 0)
			return e;
	return NULL;
}

/* NULL: the KMS is asked. */
static const char *usable(const struct credkeys *e)
{
	if (!e->key)
		return NULL;
	if (e->lease.state == LEASE_ACTIVE)
		return "hit";
	if (e->lease.state == LEASE_STALE && (e->lease.class == KMS_TRANSIENT || e->lease.class == KMS_THROTTLED || e->lease.class == KMS_AUTH))
		return "stale";
	return NULL;
}

int credkeys_open(struct agent *a, const char *tenant, const struct credential_key *key, credkeys_fn fn, void *arg)
{
	struct credkeys *e = entry_find(a, tenant, key, false);
	struct credkeys_answer answer = { .class = PROTO_CLASS_OK, .message = "" };
	int r;

	if (!e)
		return entry_new(a, tenant, key, false, fn, arg);
	e->used_ms = clock_boot_ms();
	answer.cache = usable(e);
	if (answer.cache) {
		answer.key = e->key;
		answer.wrapped = &e->wrapped;
		answer.kms = NULL;
		fn(a, arg, &answer);
		return 0;
	}
	if (!e->flying) {
		r = flight_start(a, e);
		if (r < 0)
			return r;
	}
	return waiter_add(e, fn, arg);
}

int credkeys_make(struct agent *a, const char *tenant, const char *uri, credkeys_fn fn, void *arg)
{
	AUTO_FREE struct credential_key *key = calloc(1, sizeof(*key));
	struct credkeys *e;

	if (!key)
		return -ENOMEM;
	(void)snprintf(key->uri, sizeof(key->uri), "%s", uri);
	e = entry_find(a, tenant, key, true);
	return e ? waiter_add(e, fn, arg) : entry_new(a, tenant, key, true, fn, arg);
}

void credkeys_lock(struct agent *a, const char *tenant)
{
	struct credkeys *e, *next;

	for (e = a->credkeys; e; e = next) {
		next = e->next;
		if (strcmp(e->tenant, tenant) == 0)
			entry_end(a, e);
	}
}

void credkeys_tick(struct agent *a, uint64_t now_ms)
{
	struct credkeys *e, *next;
	unsigned actions;

	for (e = a->credkeys; e; e = next) {
		next = e->next;
		if (!e->key)
			continue;
		if (!credrules_key_allowed(a->tenants, e->tenant, e->wrapped.uri)) {
			entry_end(a, e);
			continue;
		}
		actions = lease_tick(&e->lease, conf_of(a, e), now_ms);
		report(a, e, now_ms);
		if (actions & LEASE_LOCK)
			entry_end(a, e);
		else if ((actions & LEASE_PROBE) && !e->flying && flight_start(a, e) < 0 && !lease_take(a, e, KMS_TRANSIENT))
			entry_end(a, e);
	}
}

void credkeys_free_all(struct agent *a)
{
	while (a->credkeys)
		entry_end(a, a->credkeys);
}
