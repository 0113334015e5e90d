/* kms_recovery.c: `recovery:ID`, the slot that a recovery key opens. The key is nowhere on this host: whoever asks must bring it (kms_host.recovery),
 * so such a slot never opens by itself. ID is keys_recovery_id of the key, in hexadecimal.
 *
 *	no key was brought                     CONFIG    nothing was asked of anybody, so it says nothing about the volume
 *	another recovery key was brought       CONFIG
 *	the wrapped KEK does not open          CORRUPT   damaged, or of another volume */
#include "kms/kms.h"

#include <string.h>

#include "base/text.h"

#define ID_DIGITS (2 * RECOVERY_ID_LEN)

static int recovery_check(const struct kms_uri *uri)
{
	const char *id = kms_uri_component(uri, 0);

	if (uri->hierarchical || uri->component_count != 1 || strlen(id) != ID_DIGITS ||
	    strspn(id, "0123456789abcdef") != ID_DIGITS)
		return -EINVAL;
	return 0;
}

void kms_recovery_uri(const uint8_t id[static RECOVERY_ID_LEN], char ret_text[static KMS_RECOVERY_URI_MAX])
{
	static const char scheme[] = "recovery:";

	memcpy(ret_text, scheme, sizeof(scheme));
	text_hex(id, RECOVERY_ID_LEN, ret_text + sizeof(scheme) - 1);
}

bool kms_uri_is_recovery(const struct kms_uri *uri)
{
	return strcmp(uri->scheme, "recovery") == 0;
}

/* The key that was brought, if it is the one that uri names. */
static int key_of(const struct kms_host *host, const struct kms_uri *uri, struct kms_error *err,
		  const struct secret **ret_key)
{
	const char *id = kms_uri_component(uri, 0);
	char text[KMS_RECOVERY_URI_MAX];
	uint8_t own[RECOVERY_ID_LEN];
	int r;

	if (!host->recovery)
		return kms_fail(err, KMS_CONFIG, "recovery:%s: opens with the recovery key alone", id);
	r = keys_recovery_id(host->recovery, own);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "recovery:%s: %s", id, strerror(-r));
	kms_recovery_uri(own, text);
	if (strcmp(text + strlen("recovery:"), id) != 0)
		return kms_fail(err, KMS_CONFIG, "recovery:%s: this is another recovery key (%s)", id, text);
	*ret_key = host->recovery;
	return 0;
}

static int recovery_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			 const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	const struct secret *key;
	int r;

	r = key_of(host, uri, err, &key);
	if (r < 0)
		return r;
	r = keys_kek_wrap(key, ctx->tenant, ctx->uuid, kek, ret_wrapped->bytes);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "recovery:%s: cannot wrap: %s", kms_uri_component(uri, 0), strerror(-r));
	ret_wrapped->len = SEALED_ROOT_LEN;
	ret_wrapped->key_version[0] = '\0';
	return 0;
}

static int recovery_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			   const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err,
			   struct secret **ret_kek)
{
	const char *id = kms_uri_component(uri, 0);
	const struct secret *key;
	int r;

	r = key_of(host, uri, err, &key);
	if (r < 0)
		return r;
	if (wrapped_len != SEALED_ROOT_LEN)
		return kms_fail(err, KMS_CORRUPT, "recovery:%s: the wrapped key has a wrong length", id);
	r = keys_kek_unwrap(key, ctx->tenant, ctx->uuid, wrapped, ret_kek);
	if (r == -EKEYREJECTED)
		return kms_fail(err, KMS_CORRUPT, "recovery:%s: the wrapped key does not open", id);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "recovery:%s: cannot unwrap: %s", id, strerror(-r));
	return 0;
}

const struct kms_ops kms_recovery = {
	.scheme = "recovery",
	.check = recovery_check,
	.wrap = recovery_wrap,
	.unwrap = recovery_unwrap,
};
