/* kms_failing.c: `fail:CLASS`, test builds only: wraps with a key everybody knows, so that a volume can be made, and never
 * unwraps: each attempt is refused with that class. In other builds this file is empty. */
#include "kms/kms.h"

#include <string.h>

#if COFFER_TEST_HOOKS
static enum kms_class class_of(const struct kms_uri *uri)
{
	int c;

	for (c = KMS_OK + 1; c < KMS_CLASSES; c++)
		if (strcmp(kms_class_text((enum kms_class)c), kms_uri_component(uri, 0)) == 0)
			return (enum kms_class)c;
	return KMS_OK;
}

static int failing_check(const struct kms_uri *uri)
{
	if (uri->hierarchical || uri->component_count != 1 || class_of(uri) == KMS_OK)
		return -EINVAL;
	return 0;
}

static int failing_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *key = NULL;
	int r;

	(void)host;
	r = secret_new(KEY_LEN, &key);
	if (r >= 0)
		r = keys_kek_wrap(key, ctx->tenant, ctx->uuid, kek, ret_wrapped->bytes);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "fail:%s: cannot wrap", kms_uri_component(uri, 0));
	ret_wrapped->len = SEALED_ROOT_LEN;
	ret_wrapped->key_version[0] = '\0';
	return 0;
}

static int failing_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			  const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err,
			  struct secret **ret_kek)
{
	(void)host;
	(void)ctx;
	(void)wrapped;
	(void)wrapped_len;
	(void)ret_kek;
	return kms_fail(err, class_of(uri), "fail:%s: refused as asked", kms_uri_component(uri, 0));
}

const struct kms_ops kms_failing = {
	.scheme = "fail",
	.check = failing_check,
	.wrap = failing_wrap,
	.unwrap = failing_unwrap,
};
#endif
