/* request_key.c: init, pin, ack and trust (docs/protocol.md, "Keys"). */
#include "agent/request.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/jobs.h"
#include "agent/opener.h"
#include "agent/packet.h"
#include "agent/unwrap.h"
#include "base/clock.h"
#include "base/log.h"

enum proto_class request_key_config(struct call *k, uint8_t **ret_p, size_t *ret_len, struct volume_config **ret_cfg)
{
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE uint8_t *p = NULL;
	enum proto_class class;
	size_t len;
	int r;

	if (k->fd < 0)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "no coffer.volume beside the request");
	r = packet_read_sealed(k->fd, VOLUME_CONFIG_MAX, &p, &len);
	if (r < 0)
		return request_refuse(k->reply, r == -ENOMEM ? PROTO_CLASS_RESOURCE : PROTO_CLASS_BADREQ,
				      "the descriptor is no sealed memory file of at most 256 KiB");
	class = opener_parse(p, len, k->reply->message, &cfg);
	if (class != PROTO_CLASS_OK)
		return class;
	if (memcmp(cfg->uuid, k->req->instance.uuid, UUID_LEN) != 0)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "coffer.volume is of another volume");
	*ret_p = take_ptr(p);
	*ret_len = len;
	*ret_cfg = take_ptr(cfg);
	return PROTO_CLASS_OK;
}

enum proto_class request_key_free_hands(struct call *k)
{
	if (k->c->handover.fd >= 0)
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "%s: the key before was not acknowledged", proto_op_text(k->req->op));
	if (k->c->waits_for_key)
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "%s: another key is being asked for here", proto_op_text(k->req->op));
	return PROTO_CLASS_OK;
}

enum proto_class request_key_hand_over(struct call *k, const struct secret *root)
{
	struct handover *h = &k->c->handover;
	int r;

	r = secret_to_fd(root, &h->fd);
	if (r < 0) {
		h->fd = -1;
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "key: no locked memory: %s", err_text(r));
	}
	k->reply_fd = h->fd;
	h->len = secret_len(root);
	h->id = k->req->id;
	h->deadline_ms = clock_boot_ms() + AGENT_ACK_MS;
	return PROTO_CLASS_OK;
}

void request_key_handover_end(struct conn *c)
{
	if (c->handover.fd < 0)
		return;
	packet_wipe_secret(c->handover.fd, c->handover.len);
	(void)close(c->handover.fd);
	c->handover.fd = -1;
}

/* --- init and pin: the two halves of making a volume --- */

/* Without a key URI: a fresh local: key named after tenant and volume. Its name must be free: nobody else's key is used by accident. */
static enum proto_class fresh_key(struct call *k, const struct kms_host *host, char kms[static KMS_URI_MAX + 1])
{
	char uuid[33];

	volume_config_uuid_text(k->req->uuid, uuid);
	(void)snprintf(kms, KMS_URI_MAX + 1, "local:%s-%.12s", k->req->tenant, uuid);
	if (host->key_dirfd >= 0 && faccessat(host->key_dirfd, kms + strlen("local:"), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return request_refuse(k->reply, PROTO_CLASS_EXISTS, "key: %s exists already", kms);
	return PROTO_CLASS_OK;
}

static void made_free(struct conn *c)
{
	free(c->made);
	c->made = NULL;
}

/* On its way through a thread. */
struct init_job {
	struct jobs_item item;      /* first */
	struct request_later *later;
	struct tenants *tenants;
	struct kms_host host;
	char tenant[TENANT_LEN_MAX + 1];
	uint8_t uuid[UUID_LEN];
	size_t kms_count;
	char kms[PROTO_KMS_MAX][KMS_URI_MAX + 1];
	struct secret *recovery;    /* host.recovery */
	/* results */
	enum proto_class class;
	char message[PROTO_MESSAGE_MAX];
	struct made *made;
	struct secret *root;
};

static void init_job_free(struct init_job *j)
{
	if (!j)
		return;
	if (j->host.key_dirfd >= 0)
		(void)close(j->host.key_dirfd);
	tenants_unref(j->tenants);
	secret_free(j->root);
	secret_free(j->recovery);
	free(j->made);
	free(j);
}
DEFINE_AUTO(struct init_job, init_job_free)

static void init_run(struct jobs_item *item)
{
	struct init_job *j = (struct init_job *)item;

	j->class = opener_make(&j->host, j->tenant, j->uuid, j->kms_count, j->kms, j->message, j->made->slots, &j->root);
}

static enum proto_class init_give(struct call *k, const void *arg)
{
	struct audit_event e = { .what = "key.generate", .peer = &k->c->peer, .uuid = k->req->uuid, .tenant = k->req->tenant };
	const struct init_job *j = arg;
	struct made *m;
	enum proto_class class;

	if (j->class != PROTO_CLASS_OK)
		return request_refuse(k->reply, j->class, "%s", j->message);
	class = request_allowed(k, k->req->tenant); /* the rules may be others by now */
	if (class == PROTO_CLASS_OK)
		class = request_lock_check(k, NULL, k->req->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_keys_allowed(k, k->req->tenant, j->kms_count, j->kms);
	if (class == PROTO_CLASS_OK && j->recovery)
		class = request_recovery_allowed(k, k->req->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	e.key_uri = j->made->slots[0].kms;
	e.detail = j->recovery ? j->made->slots[j->made->slot_count - 1].kms : NULL;
	class = request_record(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	m = malloc(sizeof(*m));
	k->reply->slots = calloc(j->made->slot_count, sizeof(struct key_slot));
	if (!m || !k->reply->slots) {
		free(m);
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	}
	*m = *j->made;
	k->c->made = m;
	memcpy(k->reply->slots, m->slots, m->slot_count * sizeof(struct key_slot));
	k->reply->slot_count = m->slot_count;
	return request_key_hand_over(k, j->root);
}

static void init_done(void *ctx, struct jobs_item *item, bool cancelled)
{
	AUTO(init_job_free_p) struct init_job *j = (struct init_job *)item;

	if (cancelled)
		j->class = PROTO_CLASS_INTERNAL;
	request_later_answer(ctx, j->later, init_give, j);
}

static enum proto_class init_job_new(struct call *k, struct init_job **ret_j)
{
	AUTO(init_job_free_p) struct init_job *j = calloc(1, sizeof(*j));

	if (!j)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	j->item = (struct jobs_item){ .run = init_run, .done = init_done };
	j->host.key_dirfd = -1;
	j->tenants = tenants_ref(k->a->tenants);
	j->made = calloc(1, sizeof(*j->made));
	if (!j->made || unwrap_host(k->a, j->tenants, k->req->tenant, &j->host) < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	memcpy(j->tenant, k->req->tenant, sizeof(j->tenant));
	memcpy(j->uuid, k->req->uuid, UUID_LEN);
	memcpy(j->kms, k->req->kms, sizeof(j->kms));
	j->kms_count = k->req->kms_count;
	*ret_j = take_ptr(j);
	return PROTO_CLASS_OK;
}

/* A recovery key that came beside the request gets the last slot. */
static enum proto_class init_recovery(struct call *k, struct init_job *j)
{
	char uri[KMS_RECOVERY_URI_MAX];
	enum proto_class class;

	if (k->fd < 0)
		return PROTO_CLASS_OK;
	if (j->kms_count == PROTO_KMS_MAX)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "init: at most %d keys, the recovery key included", PROTO_KMS_MAX);
	class = request_recovery_allowed(k, j->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_keys_brought(k, &j->recovery, uri);
	if (class == PROTO_CLASS_OK)
		memcpy(j->kms[j->kms_count++], uri, sizeof(uri));
	j->host.recovery = j->recovery;
	return class;
}

enum proto_class request_key_init(struct call *k)
{
	AUTO(init_job_free_p) struct init_job *j = NULL;
	enum proto_class class;

	class = request_allowed(k, k->req->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_key_free_hands(k);
	if (class == PROTO_CLASS_OK)
		class = request_lock_check(k, NULL, k->req->tenant);
	if (class == PROTO_CLASS_OK)
		class = init_job_new(k, &j);
	if (!j) /* if and only if the class is not OK */
		return class;
	if (j->kms_count == 0) {
		class = fresh_key(k, &j->host, j->kms[0]);
		if (class != PROTO_CLASS_OK)
			return class;
		j->kms_count = 1;
	}
	class = init_recovery(k, j);
	if (class == PROTO_CLASS_OK)
		class = request_keys_allowed(k, j->tenant, j->kms_count, (const char (*)[KMS_URI_MAX + 1])j->kms);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(j->made->uuid, j->uuid, UUID_LEN);
	memcpy(j->made->tenant, j->tenant, sizeof(j->made->tenant));
	j->made->slot_count = j->kms_count;
	made_free(k->c);
	j->later = request_later_new(k);
	if (!j->later || jobs_submit(k->a->jobs, &j->item) < 0) {
		if (j->later)
			request_later_free(k, j->later);
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "init: too many keys are being asked for already");
	}
	(void)take_ptr(j);
	return PROTO_CLASS_OK;
}

static bool slots_are_made(const struct made *m, const struct volume_config *cfg)
{
	const struct key_slot *a, *b;
	size_t i;

	if (memcmp(m->uuid, cfg->uuid, UUID_LEN) != 0 || strcmp(m->tenant, cfg->tenant) != 0 ||
	    m->slot_count != cfg->slot_count)
		return false;
	for (i = 0; i < m->slot_count; i++) {
		a = &m->slots[i];
		b = &cfg->slots[i];
		if (strcmp(a->kms, b->kms) != 0 || a->wrapped_kek_len != b->wrapped_kek_len || !b->active ||
		    memcmp(a->wrapped_kek, b->wrapped_kek, a->wrapped_kek_len) != 0 ||
		    memcmp(a->sealed_root, b->sealed_root, SEALED_ROOT_LEN) != 0 ||
		    !secret_equal(a->commitment, b->commitment, COMMITMENT_LEN))
			return false;
	}
	return true;
}

/* A pin of what cfg says; keeps what the pin before had seen. */
static void pin_fill(struct pin *pin, const struct proto_instance *in, const struct volume_config *cfg)
{
	size_t i;

	pin->instance = *in;
	memcpy(pin->tenant, cfg->tenant, sizeof(pin->tenant));
	pin->kms_count = 0;
	for (i = 0; i < cfg->slot_count; i++)
		if (cfg->slots[i].active)
			memcpy(pin->kms[pin->kms_count++], cfg->slots[i].kms, KMS_URI_MAX + 1);
	memcpy(pin->key_uri, pin->kms[0], sizeof(pin->key_uri));
	request_time_text(pin->created);
}

void request_key_config_keep(struct call *k, const uint8_t *p, size_t len)
{
	int r = pins_store_config(k->a->pins_dirfd, &k->req->instance, p, len);

	if (r < 0)
		log_warning("a copy of coffer.volume cannot be kept: %s; ignoring", err_text(r));
}

enum proto_class request_key_pin(struct call *k)
{
	struct audit_event e = { .what = "volume.pin", .peer = &k->c->peer, .uuid = k->req->instance.uuid };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	enum proto_class class;
	size_t len;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_key_config(k, &bytes, &len, &cfg);
	if (class != PROTO_CLASS_OK)
		return class;
	class = request_allowed(k, cfg->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	if (!k->c->made || !slots_are_made(k->c->made, cfg))
		return request_refuse(k->reply, PROTO_CLASS_UNTRUSTED,
				      "pin: not the volume that was made on this connection");
	class = request_pin_taken(k, cfg->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	pin_fill(p, &k->req->instance, cfg);
	p->seen.config_version = cfg->config_version;
	e.tenant = p->tenant;
	e.key_uri = p->key_uri;
	class = request_record(k, &e);
	if (class == PROTO_CLASS_OK)
		class = request_pin_keep(k, p);
	if (class != PROTO_CLASS_OK)
		return class;
	request_key_config_keep(k, bytes, len);
	made_free(k->c);
	request_bind(k);
	return PROTO_CLASS_OK;
}

/* --- ack --- */

enum proto_class request_key_ack(struct call *k)
{
	enum proto_class class = request_allowed(k, NULL);

	if (class != PROTO_CLASS_OK)
		return class;
	if (k->c->handover.fd < 0 || k->c->handover.id != k->req->of)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "ack: no key waits for it");
	request_key_handover_end(k->c);
	return PROTO_CLASS_OK;
}

/* --- trust --- */

static void trust_answer(struct proto_reply *reply, const struct pin *p)
{
	memcpy(reply->tenant, p->tenant, sizeof(reply->tenant));
	reply->kms_count = p->kms_count;
	memcpy(reply->kms, p->kms, sizeof(reply->kms));
	reply->seen = p->seen;
}

static enum proto_class trust_check(struct call *k, const struct pin *p)
{
	struct kms_uri uri;
	size_t i;
	int r;

	if (p->kms_count == 0)
		return request_refuse(k->reply, PROTO_CLASS_UNSUPPORTED, "trust: coffer.volume has no active key slot");
	for (i = 0; i < p->kms_count; i++) {
		r = kms_uri_parse(p->kms[i], &uri);
		if (r == -EINVAL)
			return request_refuse(k->reply, PROTO_CLASS_CONFIG, "trust: malformed key URI: %s", p->kms[i]);
	}
	return PROTO_CLASS_OK;
}

enum proto_class request_key_trust(struct call *k)
{
	struct audit_event e = { .what = k->req->older ? "volume.trust_older" : "volume.trust", .peer = &k->c->peer,
				 .uuid = k->req->instance.uuid };
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	char before[TENANT_LEN_MAX + 64] = "";
	enum proto_class class;
	size_t len;
	int r;

	if (k->req->scratch && k->c->has_scratch)
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "trust: one scratch volume a connection");
	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_key_config(k, &bytes, &len, &cfg);
	if (class == PROTO_CLASS_OK)
		class = request_allowed(k, cfg->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_pin_taken(k, cfg->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	r = pins_load(k->a->pins_dirfd, &k->req->instance, p);
	k->reply->known = r >= 0;
	if (k->req->scratch && r != -ENOENT)
		return request_refuse(k->reply, PROTO_CLASS_EXISTS, "trust: this directory is trusted already, and is no scratch volume");
	if (r >= 0 && strcmp(p->tenant, cfg->tenant) != 0)
		(void)snprintf(before, sizeof(before), "was trusted for tenant %s", p->tenant);
	if (r < 0 && r != -ENOENT)
		(void)snprintf(before, sizeof(before), "the pin before could not be read and is replaced");
	r = pins_has_other(k->a->pins_dirfd, &k->req->instance, &k->reply->other_instance);
	if (r < 0)
		return request_refuse(k->reply, PROTO_CLASS_INTERNAL, "the agent's state cannot be read: %s", err_text(r));
	pin_fill(p, &k->req->instance, cfg);
	class = trust_check(k, p);
	if (class == PROTO_CLASS_OK)
		class = request_keys_allowed(k, p->tenant, p->kms_count, (const char (*)[KMS_URI_MAX + 1])p->kms);
	if (class != PROTO_CLASS_OK)
		return class;
	p->seen.older_ok = p->seen.older_ok || k->req->older;
	p->scratch = k->req->scratch;
	if (p->scratch)
		(void)snprintf(before, sizeof(before), "scratch: until the connection ends");
	e.tenant = p->tenant;
	e.key_uri = p->kms[0];
	e.detail = before;
	class = request_record(k, &e);
	if (class == PROTO_CLASS_OK)
		class = request_pin_keep(k, p);
	if (class != PROTO_CLASS_OK)
		return class;
	if (p->scratch) {
		k->c->has_scratch = true;
		k->c->scratch = p->instance;
	}
	trust_answer(k->reply, p);
	return class;
}

void request_key_conn_end(struct agent *a, struct conn *c)
{
	int r = c->has_scratch ? pins_forget_scratch(a->pins_dirfd, &c->scratch) : 0;

	if (r < 0)
		log_warning("the pin of a scratch volume cannot be removed: %s; ignoring", err_text(r));
	c->has_scratch = false;
	made_free(c);
}
