/* request_unlock.c: a volume's key for who may have it (docs/protocol.md, "Keys"). In two halves: what is decided before the KMS is asked, and, when a thread has the
 * answer, what is decided once more, because rules, locks and pins may have changed meanwhile. */
#include "agent/request.h"

#include <string.h>

#include "agent/kept.h"
#include "agent/lease_run.h"
#include "agent/unwrap.h"
#include "base/text.h"

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
	request_record_refusal(k, "key.unwrap", cfg->tenant, class, NULL);
	return class;
}

static enum proto_class unlock_give(struct call *k, struct pin *p, const struct opened *opened, const struct kms_error *kms)
{
	struct audit_event e = { .what = "key.unwrap", .peer = &k->c->peer, .uuid = p->instance.uuid, .tenant = p->tenant,
				 .key_uri = opened->key_uri, .purpose = k->req->purpose };
	struct proto_reply *reply = k->reply;
	enum proto_class class;

	request_record_kms(&e, kms);
	class = request_record_key(k, &e);
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
	(void)text_escape(kms->credential, strlen(kms->credential), reply->credential, sizeof(reply->credential));
	reply->seen = p->seen;
	request_bind(k);
	return request_key_hand_over(k, opened->root);
}

/* A key that was kept when the unwrap began is still. */
static enum proto_class kept_check(struct call *k, const struct opened *opened)
{
	struct kms_uri uri;

	if (kms_uri_parse(opened->key_uri, &uri) < 0 || !kms_uri_is_recovery(&uri) || kept_has(k->a, &k->req->instance))
		return PROTO_CLASS_OK;
	return request_refuse(k->reply, PROTO_CLASS_TRANSIENT, "the recovery key of this volume is not kept any longer; ask again");
}

/* A mount that was locked opens again: what its slots said counts for its lease, and may forbid it. */
static enum proto_class lease_check(struct call *k, const struct unwrap_result *result)
{
	if (!k->c->mount || lease_run_may_open(k->a, k->c, result->answers))
		return PROTO_CLASS_OK;
	return request_refuse(k->reply, PROTO_CLASS_TRANSIENT, "a key of this volume has not answered for too long; it opens when that one does");
}

static enum proto_class unlock_finish(struct call *k, const void *arg)
{
	const struct unwrap_result *result = arg;
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	enum proto_class class;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_pin_allowed(k, p);
	if (class == PROTO_CLASS_OK)
		class = request_lock_check(k, p->instance.uuid, p->tenant);
	if (class == PROTO_CLASS_OK)
		class = request_keys_allowed(k, p->tenant, p->kms_count, (const char (*)[KMS_URI_MAX + 1])p->kms);
	if (class != PROTO_CLASS_OK)
		return class;
	if (result->class != PROTO_CLASS_OK)
		class = request_refuse(k->reply, result->class, "%s", result->message);
	else if (result->config_version < p->seen.config_version && !p->seen.older_ok)
		class = request_refuse(k->reply, PROTO_CLASS_OLDER,
				       "coffer.volume is older than this host has seen (version %llu, seen %llu); to use it "
				       "nevertheless: coffer trust --older VOLUME",
				       (unsigned long long)result->config_version, (unsigned long long)p->seen.config_version);
	else
		class = kept_check(k, result->opened);
	if (class == PROTO_CLASS_OK)
		class = lease_check(k, result);
	if (class != PROTO_CLASS_OK) {
		request_record_refusal(k, class == PROTO_CLASS_OLDER ? "volume.older" : "key.unwrap", p->tenant, class, &result->answers->kms);
		lease_run_refused(k->a, p->instance.uuid, class);
		return class;
	}
	class = unlock_give(k, p, result->opened, &result->answers->kms);
	if (class == PROTO_CLASS_OK)
		request_key_config_keep(k, result->bytes, result->len);
	return class;
}

static void unlock_done(struct agent *a, void *arg, const struct unwrap_result *result)
{
	request_later_answer(a, arg, unlock_finish, result);
}

enum proto_class request_unlock_start(struct call *k)
{
	AUTO_FREE struct pin *p = calloc(1, sizeof(*p));
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	struct request_later *later;
	enum proto_class class;
	size_t len;

	if (!p)
		return request_refuse(k->reply, PROTO_CLASS_RESOURCE, "out of memory");
	class = request_key_free_hands(k);
	if (class != PROTO_CLASS_OK)
		return class;
	if (k->c->mount && (!k->c->mount->locked || !request_mount_bound(k, &k->req->instance)))
		return request_refuse(k->reply, PROTO_CLASS_BADREQ, "unlock: this connection is a mount's already, and not locked");
	class = request_key_config(k, &bytes, &len, &cfg);
	if (class == PROTO_CLASS_OK)
		class = unlock_decide(k, cfg, p);
	if (class != PROTO_CLASS_OK)
		return class;
	later = request_later_new(k);
	if (later && unwrap_start(k->a, p, &cfg, &bytes, len, unlock_done, later) >= 0)
		return PROTO_CLASS_OK;
	if (later)
		request_later_free(k, later);
	return request_refuse(k->reply, PROTO_CLASS_BUSY, "unlock: too many keys are being asked for already");
}
