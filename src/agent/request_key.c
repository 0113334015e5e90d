/* request_key.c: init, pin, unlock, ack and trust (docs/protocol.md, "Keys"). */
#include "agent/request.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/opener.h"
#include "agent/packet.h"
#include "base/log.h"

/* The config beside the request, parsed and of the instance's uuid. */
static enum proto_class config_take(struct call *k, uint8_t **ret_p, size_t *ret_len,
				    struct volume_config **ret_cfg)
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

static int host_open(const struct agent *a, const char *tenant, struct kms_host *ret_host)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%s/keys", a->options.config_dir) < 0)
		return -ENOMEM;
	ret_host->conf = &tenants_find(a->tenants, tenant)->kms;
	ret_host->key_owner = a->policy.agent_uid;
	ret_host->key_dirfd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return 0; /* without the directory each local: key says so */
}

static enum proto_class hand_over(struct call *k, const struct secret *root)
{
	struct handover *h = &k->c->handover;
	int r;

	r = secret_to_fd(root, &h->fd);
	if (r < 0) {
		h->fd = -1;
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "key: no locked memory: %s", err_text(r));
	}
	k->reply_fd = h->fd;
	h->id = k->req->id;
	h->deadline_ms = packet_now_ms() + AGENT_ACK_MS;
	return PROTO_CLASS_OK;
}

void request_key_handover_end(struct conn *c)
{
	if (c->handover.fd < 0)
		return;
	packet_wipe_secret(c->handover.fd, KEY_LEN);
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

static enum proto_class init_make(struct call *k, const struct kms_host *host, struct secret **ret_root)
{
	AUTO_FREE char (*kms)[KMS_URI_MAX + 1] = calloc(PROTO_KMS_MAX, KMS_URI_MAX + 1);
	size_t count = k->req->kms_count;
	enum proto_class class;

	made_free(k->c);
	k->c->made = calloc(1, sizeof(*k->c->made));
	if (!k->c->made || !kms)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	memcpy(kms, k->req->kms, sizeof(k->req->kms));
	if (count == 0) {
		class = fresh_key(k, host, kms[0]);
		if (class != PROTO_CLASS_OK)
			return class;
		count = 1;
	}
	class = request_keys_allowed(k, k->req->tenant, count, (const char (*)[KMS_URI_MAX + 1])kms);
	if (class != PROTO_CLASS_OK)
		return class;
	class = opener_make(host, k->req->tenant, k->req->uuid, count, kms, k->reply->message, k->c->made->slots,
			    ret_root);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(k->c->made->uuid, k->req->uuid, UUID_LEN);
	memcpy(k->c->made->tenant, k->req->tenant, sizeof(k->c->made->tenant));
	k->c->made->slot_count = count;
	return PROTO_CLASS_OK;
}

enum proto_class request_key_init(struct call *k)
{
	struct audit_event e = { .what = "key.generate", .peer = &k->c->peer, .uuid = k->req->uuid, .tenant = k->req->tenant };
	struct kms_host host = { .key_dirfd = -1 };
	AUTO_SECRET struct secret *root = NULL;
	AUTO_CLOSE int key_dirfd = -1;
	enum proto_class class;

	class = request_allowed(k, k->req->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	if (k->c->handover.fd >= 0)
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "init: the key before was not acknowledged");
	class = request_lock_check(k, NULL, k->req->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	if (host_open(k->a, k->req->tenant, &host) < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	key_dirfd = host.key_dirfd;
	class = init_make(k, &host, &root);
	if (class != PROTO_CLASS_OK) {
		made_free(k->c);
		return class;
	}
	e.key_uri = k->c->made->slots[0].kms;
	class = request_record(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	k->reply->slots = calloc(k->c->made->slot_count, sizeof(struct key_slot));
	if (!k->reply->slots)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	memcpy(k->reply->slots, k->c->made->slots, k->c->made->slot_count * sizeof(struct key_slot));
	k->reply->slot_count = k->c->made->slot_count;
	return hand_over(k, root);
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

static void config_keep(struct call *k, const uint8_t *p, size_t len)
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
	class = config_take(k, &bytes, &len, &cfg);
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
	config_keep(k, bytes, len);
	made_free(k->c);
	request_bind(k);
	return PROTO_CLASS_OK;
}

/* --- unlock --- */

static enum proto_class unlock_decide(struct call *k, const struct volume_config *cfg, struct pin *p)
{
	enum proto_class class;

	/* By the tenant that the config claims; it must be the pin's, so a claim can only deny. Asked before the pin is
	 * looked at, so that whoever is denied learns nothing from it. */
	class = request_allowed(k, cfg->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	class = request_pin_find(k, p);
	if (class == PROTO_CLASS_OK && strcmp(p->tenant, cfg->tenant) != 0)
		class = request_refuse(k->reply, PROTO_CLASS_UNTRUSTED,
				       "coffer.volume names tenant %s, but this host trusts it for tenant %s; it was changed",
				       cfg->tenant, p->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_lock_check(k, p->instance.uuid, p->tenant);
	if (class == PROTO_CLASS_OK)
		return request_keys_allowed(k, p->tenant, p->kms_count, (const char (*)[KMS_URI_MAX + 1])p->kms);
	if (class != PROTO_CLASS_OK)
		request_record_refusal(k, "key.unwrap", cfg->tenant, class);
	return class;
}

static enum proto_class unlock_open(struct call *k, const struct pin *p, const struct volume_config *cfg,
				    const uint8_t *bytes, size_t len, struct opened *opened)
{
	struct kms_host host = { .key_dirfd = -1 };
	AUTO_CLOSE int key_dirfd = -1;
	enum proto_class class;

	if (host_open(k->a, p->tenant, &host) < 0)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	key_dirfd = host.key_dirfd;
	class = opener_open(&host, p, cfg, bytes, len, k->reply->message, opened);
	if (class == PROTO_CLASS_OK && cfg->config_version < p->seen.config_version && !p->seen.older_ok)
		class = request_refuse(k->reply, PROTO_CLASS_OLDER,
				       "coffer.volume is older than this host has seen (version %llu, seen %llu); to use it "
				       "nevertheless: coffer trust --older VOLUME",
				       (unsigned long long)cfg->config_version,
				       (unsigned long long)p->seen.config_version);
	if (class != PROTO_CLASS_OK)
		request_record_refusal(k, class == PROTO_CLASS_OLDER ? "volume.older" : "key.unwrap", p->tenant, class);
	return class;
}

static enum proto_class unlock_give(struct call *k, struct pin *p, const struct opened *opened)
{
	struct audit_event e = { .what = "key.unwrap", .peer = &k->c->peer, .uuid = p->instance.uuid, .tenant = p->tenant,
				 .key_uri = opened->key_uri, .purpose = k->req->purpose };
	struct proto_reply *reply = k->reply;
	enum proto_class class;

	class = request_record(k, &e);
	if (class != PROTO_CLASS_OK)
		return class;
	if (strcmp(p->key_uri, opened->key_uri) != 0) {
		memcpy(p->key_uri, opened->key_uri, sizeof(p->key_uri));
		class = request_pin_keep(k, p);
		if (class != PROTO_CLASS_OK)
			return class;
	}
	memcpy(reply->tenant, p->tenant, sizeof(reply->tenant));
	memcpy(reply->key_uri, opened->key_uri, sizeof(reply->key_uri));
	memcpy(reply->commitment, opened->commitment, COMMITMENT_LEN);
	reply->seen = p->seen;
	request_bind(k);
	return hand_over(k, opened->root);
}

enum proto_class request_key_unlock(struct call *k)
{
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_SECRET struct secret *root = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	struct opened opened = { 0 };
	enum proto_class class;
	size_t len;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	if (k->c->handover.fd >= 0)
		return request_refuse(k->reply, PROTO_CLASS_BUSY, "unlock: the key before was not acknowledged");
	if (k->c->mount && (!k->c->mount->locked || !request_mount_bound(k, &k->req->instance)))
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "unlock: this connection is a mount's already, and not locked");
	class = config_take(k, &bytes, &len, &cfg);
	if (class == PROTO_CLASS_OK)
		class = unlock_decide(k, cfg, p);
	if (class == PROTO_CLASS_OK)
		class = unlock_open(k, p, cfg, bytes, len, &opened);
	root = opened.root; /* also of a volume that opened and was refused as older */
	if (class == PROTO_CLASS_OK)
		class = unlock_give(k, p, &opened);
	if (class == PROTO_CLASS_OK)
		config_keep(k, bytes, len);
	return class;
}

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

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = config_take(k, &bytes, &len, &cfg);
	if (class == PROTO_CLASS_OK)
		class = request_allowed(k, cfg->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_pin_taken(k, cfg->tenant);
	if (class != PROTO_CLASS_OK)
		return class;
	r = pins_load(k->a->pins_dirfd, &k->req->instance, p);
	k->reply->known = r >= 0;
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
	e.tenant = p->tenant;
	e.key_uri = p->kms[0];
	e.detail = before;
	class = request_record(k, &e);
	if (class == PROTO_CLASS_OK)
		class = request_pin_keep(k, p);
	if (class == PROTO_CLASS_OK)
		trust_answer(k->reply, p);
	return class;
}
