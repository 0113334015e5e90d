/* opener.c: slots (DESIGN "Nothing that a volume says about its own keys is believed"; docs/protocol.md, "Keys").
 *
 * Order: a slot is chosen by the pin; the context of the unwrap is the pin's; R must fit the slot's commitment; the MAC of the very bytes
 * that were handed over must fit R. Only then is anything in them true. */
#include "agent/opener.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

static const enum proto_class of_kms[KMS_CLASSES] = {
	[KMS_OK] = PROTO_CLASS_OK,
	[KMS_REVOKED] = PROTO_CLASS_REVOKED,
	[KMS_DENIED] = PROTO_CLASS_KMS_DENIED,
	[KMS_AUTH] = PROTO_CLASS_AUTH,
	[KMS_TRANSIENT] = PROTO_CLASS_TRANSIENT,
	[KMS_THROTTLED] = PROTO_CLASS_THROTTLED,
	[KMS_CORRUPT] = PROTO_CLASS_CORRUPT,
	[KMS_BADREQ] = PROTO_CLASS_BADREQ,
	[KMS_CONFIG] = PROTO_CLASS_CONFIG,
};

enum proto_class opener_class(enum kms_class c)
{
	return c < KMS_CLASSES ? of_kms[c] : PROTO_CLASS_INTERNAL;
}

enum proto_class opener_parse(const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
			      struct volume_config **ret_cfg)
{
	AUTO_FREE struct volume_config *cfg = calloc(1, sizeof(*cfg));
	char what[128] = "";
	int r;

	if (!cfg)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "out of memory");
	r = volume_config_parse(p, len, cfg, what);
	if (r == -EOPNOTSUPP)
		return proto_class_say(message, PROTO_CLASS_UNSUPPORTED, "coffer.volume: not supported: %s", what);
	if (r == -ENOMEM)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "out of memory");
	if (r < 0)
		return proto_class_say(message, PROTO_CLASS_NOT_VOLUME, "coffer.volume: malformed");
	*ret_cfg = take_ptr(cfg);
	return PROTO_CLASS_OK;
}

/* The pinned URI that the slot's names, taken apart; of a recovery key, or of none. */
static bool slot_pinned_as(const struct pin *pin, const struct key_slot *slot, bool recovery, struct kms_uri *ret_uri)
{
	struct kms_uri uri, pinned;
	size_t i;

	if (!slot->active || kms_uri_parse(slot->kms, &uri) < 0 || kms_uri_is_recovery(&uri) != recovery)
		return false;
	for (i = 0; i < pin->kms_count; i++) {
		if (kms_uri_parse(pin->kms[i], &pinned) < 0 || !kms_uri_equal(&uri, &pinned))
			continue;
		*ret_uri = pinned;
		return true;
	}
	return false;
}

static bool slot_pinned(const struct pin *pin, const struct key_slot *slot, struct kms_uri *ret_uri)
{
	return slot_pinned_as(pin, slot, false, ret_uri);
}

static enum proto_class slot_root(const struct secret *kek, const struct pin *pin, const struct key_slot *slot,
				  char message[static PROTO_MESSAGE_MAX], struct secret **ret_root)
{
	AUTO_SECRET struct secret *root = NULL;
	uint8_t commitment[COMMITMENT_LEN];
	int r;

	r = keys_root_open(kek, pin->tenant, pin->instance.uuid, slot->sealed_root, &root);
	if (r == -EKEYREJECTED)
		return proto_class_say(message, PROTO_CLASS_CORRUPT, "key: %s: the sealed root key does not open",
			   slot->kms);
	if (r >= 0)
		r = keys_commitment(root, pin->instance.uuid, commitment);
	if (r < 0)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "key: %s", strerror(-r));
	if (!secret_equal(commitment, slot->commitment, COMMITMENT_LEN))
		return proto_class_say(message, PROTO_CLASS_CORRUPT, "key: %s: the commitment does not fit", slot->kms);
	*ret_root = take_ptr(root);
	return PROTO_CLASS_OK;
}

static enum proto_class slot_unwrap(const struct kms_host *host, const struct pin *pin, const struct key_slot *slot,
				    const struct kms_uri *uri, char message[static PROTO_MESSAGE_MAX],
				    struct kms_error *ret_kms, struct secret **ret_kek)
{
	struct kms_context ctx = { .tenant = pin->tenant, .uuid = pin->instance.uuid };
	int r;

	memset(ret_kms, 0, sizeof(*ret_kms));
	r = kms_unwrap(host, uri, &ctx, slot->wrapped_kek, slot->wrapped_kek_len, ret_kms, ret_kek);
	return r < 0 ? proto_class_say(message, opener_class(ret_kms->class), "key: %s", ret_kms->message) : PROTO_CLASS_OK;
}

static enum proto_class slot_open(const struct kms_host *host, const struct pin *pin, const struct key_slot *slot,
				  const struct kms_uri *uri, char message[static PROTO_MESSAGE_MAX],
				  struct kms_error *ret_kms, struct secret **ret_root)
{
	AUTO_SECRET struct secret *kek = NULL;
	enum proto_class class;

	class = slot_unwrap(host, pin, slot, uri, message, ret_kms, &kek);
	return class == PROTO_CLASS_OK ? slot_root(kek, pin, slot, message, ret_root) : class;
}

static enum proto_class config_check(const struct volume_config *cfg, const uint8_t *p, size_t len,
				     const struct secret *root, char message[static PROTO_MESSAGE_MAX])
{
	AUTO_KEY_RING struct key_ring *ring = NULL;
	int r;

	r = volume_config_verify(p, len, cfg, root, &ring);
	if (r == -ENOMEM)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "out of memory");
	if (r < 0)
		return proto_class_say(message, PROTO_CLASS_CORRUPT, 
			   "coffer.volume: its authentication code does not fit the key; it was changed");
	return PROTO_CLASS_OK;
}

unsigned opener_slots(const struct pin *pin, const struct volume_config *cfg)
{
	struct kms_uri uri;
	unsigned n = 0;

	for (size_t i = 0; i < cfg->slot_count; i++)
		n += slot_pinned(pin, &cfg->slots[i], &uri);
	return n;
}

/* What is wrong on our side, or with this host, says nothing about the key: no answer. */
static enum kms_class class_for_lease(enum proto_class class)
{
	for (int c = 0; c < KMS_CLASSES; c++)
		if (of_kms[c] == class)
			return (enum kms_class)c;
	return KMS_TRANSIENT;
}

void opener_probe(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
		  bool (*asks)(const void *arg, unsigned slot, bool had_good), const void *arg, struct opener_answers *ret_answers)
{
	char message[PROTO_MESSAGE_MAX] = "";
	enum proto_class class;
	struct kms_uri uri;
	bool good = false;

	memset(ret_answers, 0, sizeof(*ret_answers));
	for (size_t i = 0; i < cfg->slot_count; i++) {
		AUTO_SECRET struct secret *root = NULL;
		unsigned n = ret_answers->count;

		if (!slot_pinned(pin, &cfg->slots[i], &uri))
			continue;
		ret_answers->count++;
		if (!asks(arg, n, good))
			continue;
		class = slot_open(host, pin, &cfg->slots[i], &uri, message, &ret_answers->kms, &root);
		ret_answers->slot[n].asked = true;
		ret_answers->slot[n].class = class_for_lease(class);
		good = good || class == PROTO_CLASS_OK;
		if (class != PROTO_CLASS_OK)
			memcpy(ret_answers->message, message, sizeof(message));
	}
}

enum proto_class opener_open(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
			     const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
			     struct opener_answers *ret_answers, struct opened *ret_opened)
{
	enum proto_class class = PROTO_CLASS_UNTRUSTED;
	AUTO_SECRET struct secret *root = NULL;
	const struct key_slot *slot = NULL;
	struct kms_uri uri;
	unsigned n;
	size_t i;

	memset(ret_answers, 0, sizeof(*ret_answers));
	(void)proto_class_say(message, class,
		  "key: no slot of coffer.volume has the key pinned on this host; it was changed, or see coffer "
		  "trust VOLUME");
	for (i = 0; i < cfg->slot_count; i++) {
		if (!slot_pinned(pin, &cfg->slots[i], &uri))
			continue;
		slot = &cfg->slots[i];
		class = slot_open(host, pin, slot, &uri, message, &ret_answers->kms, &root);
		n = ret_answers->count++;
		ret_answers->slot[n].asked = true;
		ret_answers->slot[n].class = class_for_lease(class);
		if (class != PROTO_CLASS_TRANSIENT && class != PROTO_CLASS_THROTTLED)
			break;
	}
	if (class != PROTO_CLASS_OK)
		return class;
	class = config_check(cfg, p, len, root, message);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(ret_opened->key_uri, slot->kms, sizeof(ret_opened->key_uri));
	memcpy(ret_opened->commitment, slot->commitment, COMMITMENT_LEN);
	ret_opened->root = take_ptr(root);
	return PROTO_CLASS_OK;
}

static bool says_no(enum proto_class class)
{
	return class == PROTO_CLASS_REVOKED || class == PROTO_CLASS_KMS_DENIED;
}

/* opener_open gave class and answers: does any slot say no, those that it did not come to as well? OK: none does. */
static enum proto_class others_ask(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
				   enum proto_class class, char message[static PROTO_MESSAGE_MAX], struct opener_answers *answers)
{
	char what[PROTO_MESSAGE_MAX];
	const unsigned asked = answers->count;
	struct kms_uri uri;
	unsigned n = 0;

	if (says_no(class))
		return class;
	for (size_t i = 0; i < cfg->slot_count; i++) {
		AUTO_SECRET struct secret *root = NULL;

		if (!slot_pinned(pin, &cfg->slots[i], &uri) || n++ < asked)
			continue;
		class = slot_open(host, pin, &cfg->slots[i], &uri, what, &answers->kms, &root);
		answers->slot[answers->count].asked = true;
		answers->slot[answers->count++].class = class_for_lease(class);
		if (says_no(class)) {
			memcpy(message, what, sizeof(what));
			return class;
		}
	}
	return PROTO_CLASS_OK;
}

/* The slot of that recovery key, if it is pinned. */
static const struct key_slot *recovery_slot(const struct pin *pin, const struct volume_config *cfg, const char *text, struct kms_uri *ret_uri)
{
	for (size_t i = 0; i < cfg->slot_count; i++)
		if (strcmp(cfg->slots[i].kms, text) == 0 && slot_pinned_as(pin, &cfg->slots[i], true, ret_uri))
			return &cfg->slots[i];
	return NULL;
}

enum proto_class opener_open_kept(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
				  const uint8_t *p, size_t len, const struct opener_kept *kept, char message[static PROTO_MESSAGE_MAX],
				  struct opener_answers *ret_answers, struct opened *ret_opened)
{
	AUTO_SECRET struct secret *root = NULL;
	const struct key_slot *slot;
	enum proto_class class, no;
	struct kms_uri uri;

	class = opener_open(host, pin, cfg, p, len, message, ret_answers, ret_opened);
	if (class == PROTO_CLASS_OK)
		return class;
	no = others_ask(host, pin, cfg, class, message, ret_answers);
	if (no != PROTO_CLASS_OK)
		return no;
	slot = recovery_slot(pin, cfg, kept->uri, &uri);
	if (!slot)
		return class;
	class = slot_root(kept->kek, pin, slot, message, &root);
	if (class == PROTO_CLASS_OK)
		class = config_check(cfg, p, len, root, message);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(ret_opened->key_uri, slot->kms, sizeof(ret_opened->key_uri));
	memcpy(ret_opened->commitment, slot->commitment, COMMITMENT_LEN);
	ret_opened->root = take_ptr(root);
	return PROTO_CLASS_OK;
}

enum proto_class opener_recover(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
				const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
				struct opener_answers *ret_answers, struct opener_kept *ret_kept)
{
	AUTO_SECRET struct secret *kek = NULL;
	AUTO_SECRET struct secret *root = NULL;
	struct opened opened = { 0 };
	char text[KMS_RECOVERY_URI_MAX];
	uint8_t id[RECOVERY_ID_LEN];
	const struct key_slot *slot;
	enum proto_class class;
	struct kms_uri uri;

	class = opener_open(host, pin, cfg, p, len, message, ret_answers, &opened);
	secret_free(opened.root);
	memcpy(ret_kept->uri, opened.key_uri, sizeof(ret_kept->uri));
	if (class == PROTO_CLASS_OK)
		return class;
	class = others_ask(host, pin, cfg, class, message, ret_answers);
	if (class != PROTO_CLASS_OK)
		return class;
	if (keys_recovery_id(host->recovery, id) < 0)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "out of memory");
	kms_recovery_uri(id, text);
	slot = recovery_slot(pin, cfg, text, &uri);
	if (!slot)
		return proto_class_say(message, PROTO_CLASS_CORRUPT, "key: %s is no pinned key of this volume", text);
	class = slot_unwrap(host, pin, slot, &uri, message, &ret_answers->kms, &kek);
	if (class == PROTO_CLASS_OK)
		class = slot_root(kek, pin, slot, message, &root);
	if (class == PROTO_CLASS_OK)
		class = config_check(cfg, p, len, root, message);
	if (class != PROTO_CLASS_OK)
		return class;
	memcpy(ret_kept->uri, slot->kms, sizeof(ret_kept->uri));
	ret_kept->kek = take_ptr(kek);
	return PROTO_CLASS_OK;
}

static enum proto_class slot_make(const struct kms_host *host, const struct kms_context *ctx, const char *text,
				  const struct secret *root, char message[static PROTO_MESSAGE_MAX],
				  struct key_slot *ret_slot)
{
	AUTO_FREE struct kms_wrapped *wrapped = calloc(1, sizeof(*wrapped));
	AUTO_SECRET struct secret *kek = NULL;
	struct kms_error err = { 0 };
	struct kms_uri uri;
	int r;

	if (!wrapped)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "out of memory");
	r = kms_uri_parse(text, &uri);
	if (r == -EOPNOTSUPP)
		return proto_class_say(message, PROTO_CLASS_UNSUPPORTED, "key: %s: no such provider in this version", text);
	if (r < 0)
		return proto_class_say(message, PROTO_CLASS_CONFIG, "key: %s: malformed key URI", text);
	r = kms_prepare(host, &uri, &err);
	if (r < 0)
		return proto_class_say(message, opener_class(err.class), "key: %s", err.message);
	r = secret_new(KEY_LEN, &kek);
	if (r >= 0)
		r = secret_random(secret_bytes(kek), KEY_LEN);
	if (r < 0)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "key: %s", strerror(-r));
	r = kms_wrap(host, &uri, ctx, kek, &err, wrapped);
	if (r < 0)
		return proto_class_say(message, opener_class(err.class), "key: %s", err.message);
	memcpy(ret_slot->kms, text, strlen(text) + 1);
	memcpy(ret_slot->key_version, wrapped->key_version, sizeof(ret_slot->key_version));
	memcpy(ret_slot->wrapped_kek, wrapped->bytes, wrapped->len);
	ret_slot->wrapped_kek_len = wrapped->len;
	ret_slot->active = true;
	r = keys_root_seal(kek, ctx->tenant, ctx->uuid, root, ret_slot->sealed_root);
	if (r >= 0)
		r = keys_commitment(root, ctx->uuid, ret_slot->commitment);
	return r < 0 ? proto_class_say(message, PROTO_CLASS_RESOURCE, "key: %s", strerror(-r)) : PROTO_CLASS_OK;
}

enum proto_class opener_make(const struct kms_host *host, const char *tenant, const uint8_t uuid[static UUID_LEN],
			     size_t kms_count, const char (*kms)[KMS_URI_MAX + 1],
			     char message[static PROTO_MESSAGE_MAX], struct key_slot *ret_slots,
			     struct secret **ret_root)
{
	struct kms_context ctx = { .tenant = tenant, .uuid = uuid };
	AUTO_SECRET struct secret *root = NULL;
	enum proto_class class;
	time_t now = time(NULL);
	size_t i;
	int r;

	r = secret_new(KEY_LEN, &root);
	if (r >= 0)
		r = secret_random(secret_bytes(root), KEY_LEN);
	if (r < 0)
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "key: %s", strerror(-r));
	for (i = 0; i < kms_count; i++) {
		memset(&ret_slots[i], 0, sizeof(ret_slots[i]));
		class = slot_make(host, &ctx, kms[i], root, message, &ret_slots[i]);
		if (class != PROTO_CLASS_OK)
			return class;
		if (text_time(now, sizeof(ret_slots[i].created), ret_slots[i].created) < 0)
			return proto_class_say(message, PROTO_CLASS_INTERNAL, "no time");
	}
	*ret_root = take_ptr(root);
	return PROTO_CLASS_OK;
}
