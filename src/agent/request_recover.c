/* request_recover.c: break-glass: root brings a recovery key while no key service answers (docs/protocol.md, "Recovery keys"). What it may open is decided twice, like an
 * unlock: before the other keys are asked, and when they have answered. */
#include "agent/request.h"

#include <string.h>

#include "agent/jobs.h"
#include "agent/kept.h"
#include "agent/packet.h"
#include "agent/unwrap.h"
#include "base/clock.h"

struct recover_job {
	struct jobs_item item;      /* first */
	struct request_later *later;
	struct tenants *tenants;
	struct kms_host host;
	struct secret *recovery;    /* host.recovery */
	char uri[KMS_RECOVERY_URI_MAX];
	struct pin pin;
	struct volume_config *cfg;
	uint8_t *bytes;
	size_t len;
	/* results */
	enum proto_class class;
	char message[PROTO_MESSAGE_MAX];
	struct opener_answers answers;
	struct opener_kept kept;
};

static void recover_job_free(struct recover_job *j)
{
	if (!j)
		return;
	if (j->host.key_dirfd >= 0)
		(void)close(j->host.key_dirfd);
	tenants_unref(j->tenants);
	secret_free(j->recovery);
	secret_free(j->kept.kek);
	free(j->cfg);
	free(j->bytes);
	free(j);
}
DEFINE_AUTO(struct recover_job, recover_job_free)

static void recover_run(struct jobs_item *item)
{
	struct recover_job *j = (struct recover_job *)item;

	j->class = opener_recover(&j->host, &j->pin, j->cfg, j->bytes, j->len, j->message, &j->answers, &j->kept);
}

/* Policy lets in root alone; the rest is what this host believes, and what is forbidden. */
static enum proto_class recover_decide(struct call *k, struct pin *p)
{
	enum proto_class class;

	class = request_pin_allowed(k, p);
	if (class == PROTO_CLASS_OK)
		class = request_recovery_allowed(k, p->tenant);
	return class == PROTO_CLASS_OK ? request_lock_check(k, p->instance.uuid, p->tenant) : class;
}

static enum proto_class recover_keep(struct call *k, const struct pin *p, struct recover_job *j)
{
	uint64_t ms = tenants_find(k->a->tenants, p->tenant)->lease.max_stale_ms;
	int r;

	if (!j->kept.kek)
		return PROTO_CLASS_OK; /* it was not needed */
	r = kept_add(k->a, p, &j->kept, clock_boot_ms() + ms);
	if (r < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "recover: the key cannot be kept: %s", err_text(r));
	k->reply->kept_ms = ms;
	return PROTO_CLASS_OK;
}

static enum proto_class recover_give(struct call *k, const void *arg)
{
	struct recover_job *j = *(struct recover_job *const *)arg;
	struct audit_event e = { .what = "key.recovery", .peer = &k->c->peer, .uuid = k->req->instance.uuid, .tenant = j->pin.tenant, .key_uri = j->uri };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	enum proto_class class;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	kept_answers(k->a, &j->pin.instance, &j->answers);
	class = recover_decide(k, p);
	if (class == PROTO_CLASS_OK && j->class != PROTO_CLASS_OK)
		class = request_refuse(k->reply, j->class, "%s", j->message);
	if (class != PROTO_CLASS_OK) {
		request_record_refusal(k, "key.recovery", j->pin.tenant, class, NULL);
		return class;
	}
	e.detail = j->kept.kek ? NULL : "not needed: another key opens";
	class = request_record(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(k->reply->key_uri, j->kept.uri, sizeof(k->reply->key_uri));
	return recover_keep(k, p, j);
}

static void recover_done(void *ctx, struct jobs_item *item, bool cancelled)
{
	AUTO(recover_job_free_p) struct recover_job *j = (struct recover_job *)item;

	if (cancelled)
		j->class = PROTO_CLASS_INTERNAL;
	request_later_answer(ctx, j->later, recover_give, &j);
}

/* What is opened is the agent's copy: the descriptor beside the request is the key's. */
static enum proto_class recover_load(struct call *k, struct recover_job *j)
{
	int r;

	r = pins_load_config(k->a->pins_dirfd, &j->pin.instance, &j->bytes, &j->len);
	if (r < 0)
		return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "recover: the agent has no copy of coffer.volume: %s", err_text(r));
	if (unwrap_host(k->a, j->tenants, j->pin.tenant, &j->host) < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	return opener_parse(j->bytes, j->len, k->reply->message, &j->cfg);
}

enum proto_class request_recover_start(struct call *k)
{
	AUTO(recover_job_free_p) struct recover_job *j = calloc(1, sizeof(*j));
	enum proto_class class;

	if (!j)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	j->item = (struct jobs_item){ .run = recover_run, .done = recover_done };
	j->host.key_dirfd = -1;
	j->tenants = tenants_ref(k->a->tenants);
	class = request_allowed(k, NULL);
	if (class != PROTO_CLASS_OK)
		return class;
	class = request_key_free_hands(k);
	if (class == PROTO_CLASS_OK)
		class = request_keys_brought(k, &j->recovery, j->uri);
	if (class == PROTO_CLASS_OK)
		class = recover_decide(k, &j->pin);
	if (class == PROTO_CLASS_OK)
		class = recover_load(k, j);
	if (class != PROTO_CLASS_OK) {
		request_record_refusal(k, "key.recovery", j->pin.tenant[0] ? j->pin.tenant : NULL, class, NULL);
		return class;
	}
	j->host.recovery = j->recovery;
	j->later = request_later_new(k);
	if (!j->later || jobs_submit(k->a->jobs, &j->item) < 0) {
		if (j->later)
			request_later_free(k, j->later);
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "recover: too many keys are being asked for already");
	}
	(void)take_ptr(j);
	return PROTO_CLASS_OK;
}
