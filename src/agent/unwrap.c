/* unwrap.c: flights. A flight owns copies of all it needs and a reference to the rules of the moment, so the loop may go on, reload or lose the connection. */
#include "agent/unwrap.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/jobs.h"
#include "agent/kept.h"

struct waiter {
	struct waiter *next;
	unwrap_fn fn;
	void *arg;
};

struct flight {
	struct jobs_item item;      /* first */
	struct flight *next;        /* of the agent's list, until done */
	struct tenants *tenants;
	struct kms_host host;
	struct pin pin;
	struct volume_config *cfg;
	uint8_t *bytes;             /* NULL: a probe */
	size_t len;
	uint32_t must;
	struct opener_kept kept;    /* of a recovery key, or kek NULL */
	struct waiter *waiters;     /* in the order they came */
	/* results */
	enum proto_class class;
	char message[PROTO_MESSAGE_MAX];
	struct opened opened;
	struct opener_answers answers;
};

int unwrap_host(const struct agent *a, const struct tenants *tenants, const char *tenant, struct kms_host *ret_host)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/keys", a->options.config_dir) < 0)
		return -ENOMEM;
	*ret_host = (struct kms_host){ .conf = &tenants_find(tenants, tenant)->kms, .key_owner = a->policy.agent_uid };
	ret_host->key_dirfd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return 0; /* without the directory each local: key says so */
}

static void flight_free(struct flight *f)
{
	struct waiter *w;

	if (!f)
		return;
	while ((w = f->waiters)) {
		f->waiters = w->next;
		free(w);
	}
	secret_free(f->opened.root);
	secret_free(f->kept.kek);
	if (f->host.key_dirfd >= 0)
		(void)close(f->host.key_dirfd);
	tenants_unref(f->tenants);
	free(f->cfg);
	free(f->bytes);
	free(f);
}
DEFINE_AUTO(struct flight, flight_free)

/* --- on a thread --- */

static bool asks(const void *arg, unsigned slot, bool had_good)
{
	const struct flight *f = arg;

	return !had_good || (f->must >> slot & 1);
}

static void flight_run(struct jobs_item *item)
{
	struct flight *f = (struct flight *)item;

	if (f->bytes && f->kept.kek)
		f->class = opener_open_kept(&f->host, &f->pin, f->cfg, f->bytes, f->len, &f->kept, f->message, &f->answers, &f->opened);
	else if (f->bytes)
		f->class = opener_open(&f->host, &f->pin, f->cfg, f->bytes, f->len, f->message, &f->answers, &f->opened);
	else
		opener_probe(&f->host, &f->pin, f->cfg, asks, f, &f->answers);
}

/* --- on the loop --- */

static void flight_unlist(struct agent *a, struct flight *f)
{
	struct flight **at;

	for (at = &a->flights; *at && *at != f; at = &(*at)->next)
		;
	if (*at)
		*at = f->next;
}

static void flight_done(void *ctx, struct jobs_item *item, bool cancelled)
{
	AUTO(flight_free_p) struct flight *f = (struct flight *)item;
	struct unwrap_result result = { .class = f->class, .message = f->message, .opened = &f->opened, .answers = &f->answers,
					.bytes = f->bytes, .len = f->len, .config_version = f->cfg->config_version };
	struct agent *a = ctx;
	struct waiter *w;

	flight_unlist(a, f); /* whoever comes from here on begins a new one */
	kept_answers(a, &f->pin.instance, &f->answers);
	if (cancelled) {
		result.class = PROTO_CLASS_INTERNAL;
		result.message = "the agent ends";
	}
	for (w = f->waiters; w; w = w->next)
		w->fn(a, w->arg, &result);
}

static int waiter_add(struct flight *f, unwrap_fn fn, void *arg)
{
	struct waiter *w = calloc(1, sizeof(*w)), **at;

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->arg = arg;
	for (at = &f->waiters; *at; at = &(*at)->next)
		;
	*at = w;
	return 0;
}

/* The rules must be the same, too: after a reload the key may be elsewhere. */
static struct flight *flight_find(struct agent *a, const struct pin *pin, const uint8_t *bytes, size_t len)
{
	struct flight *f;

	for (f = a->flights; f; f = f->next)
		if (f->bytes && f->tenants == a->tenants && !f->kept.kek == !kept_has(a, &pin->instance) && f->len == len && memcmp(f->bytes, bytes, len) == 0 &&
		    proto_instance_equal(&f->pin.instance, &pin->instance) && f->pin.kms_count == pin->kms_count &&
		    memcmp(f->pin.kms, pin->kms, sizeof(pin->kms)) == 0)
			return f;
	return NULL;
}

/* Takes *cfg over. */
static int flight_new(struct agent *a, const struct pin *pin, struct volume_config **cfg, struct flight **ret_f)
{
	AUTO(flight_free_p) struct flight *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->host.key_dirfd = -1;
	f->item = (struct jobs_item){ .run = flight_run, .done = flight_done };
	f->tenants = tenants_ref(a->tenants);
	f->pin = *pin;
	r = unwrap_host(a, f->tenants, pin->tenant, &f->host);
	if (r < 0)
		return r;
	f->cfg = take_ptr(*cfg);
	*ret_f = take_ptr(f);
	return 0;
}

static int flight_start(struct agent *a, struct flight **f, unwrap_fn fn, void *arg)
{
	int r;

	r = waiter_add(*f, fn, arg);
	if (r >= 0)
		r = jobs_submit(a->jobs, &(*f)->item);
	if (r < 0)
		return r;
	(*f)->next = a->flights;
	a->flights = take_ptr(*f);
	return 0;
}

int unwrap_start(struct agent *a, const struct pin *pin, struct volume_config **cfg, uint8_t **bytes, size_t len, unwrap_fn fn, void *arg)
{
	AUTO(flight_free_p) struct flight *f = NULL;
	struct flight *other = flight_find(a, pin, *bytes, len);
	int r;

	if (other)
		return waiter_add(other, fn, arg);
	r = flight_new(a, pin, cfg, &f);
	if (r < 0)
		return r;
	r = kept_copy(a, &pin->instance, &f->kept);
	if (r < 0 && r != -ENOENT)
		return r;
	f->bytes = take_ptr(*bytes);
	f->len = len;
	return flight_start(a, &f, fn, arg);
}

int unwrap_probe(struct agent *a, const struct pin *pin, struct volume_config **cfg, uint32_t must, unwrap_fn fn, void *arg)
{
	AUTO(flight_free_p) struct flight *f = NULL;
	int r;

	r = flight_new(a, pin, cfg, &f);
	if (r < 0)
		return r;
	f->must = must;
	return flight_start(a, &f, fn, arg);
}
