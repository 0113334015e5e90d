/* kms.c: the list of providers, key URIs and error classes. All traffic with a KMS passes kms_wrap and kms_unwrap, so that
 * it can move to a helper process without touching the agent. */
#include "kms/kms_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT_LEN_MAX 128

static const struct kms_ops *const providers[] = {
	&kms_local,
	&kms_aws,
	&kms_vault,
	&kms_gcp,
	&kms_azure,
	&kms_recovery,
#if COFFER_TEST_HOOKS
	&kms_failing,
#endif
};

static const struct {
	const char *text;
	int r;
} classes[KMS_CLASSES] = {
	[KMS_OK] = { "OK", 0 },
	[KMS_REVOKED] = { "REVOKED", -ENOKEY },
	[KMS_DENIED] = { "DENIED", -ENOKEY },
	[KMS_AUTH] = { "AUTH", -EACCES },
	[KMS_TRANSIENT] = { "TRANSIENT", -EAGAIN },
	[KMS_THROTTLED] = { "THROTTLED", -EAGAIN },
	[KMS_CORRUPT] = { "CORRUPT", -EKEYREJECTED },
	[KMS_BADREQ] = { "BADREQ", -EPROTO },
	[KMS_CONFIG] = { "CONFIG", -EINVAL },
};

const char *kms_class_text(enum kms_class c)
{
	return c < KMS_CLASSES ? classes[c].text : "?";
}

int kms_class_errno(enum kms_class c)
{
	return c < KMS_CLASSES ? classes[c].r : -EIO;
}

int kms_fail(struct kms_error *err, enum kms_class c, const char *fmt, ...)
{
	va_list ap;

	err->class = c;
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return kms_class_errno(c);
}

int kms_context_put(const struct kms_context *ctx, uint8_t ret_p[static KMS_CONTEXT_MAX], size_t *ret_len)
{
	const struct {
		const void *p;
		size_t len;
	} piece[] = { { ctx->tenant, strnlen(ctx->tenant, 65) }, { ctx->uuid, UUID_LEN }, { "root", 4 } };
	size_t i, n = 9;

	if (piece[0].len > 64)
		return -EINVAL;
	memcpy(ret_p, "coffer/1", 9);
	for (i = 0; i < 3; i++) {
		ret_p[n++] = (uint8_t)piece[i].len;
		ret_p[n++] = 0;
		memcpy(ret_p + n, piece[i].p, piece[i].len);
		n += piece[i].len;
	}
	*ret_len = n;
	return 0;
}

static const struct kms_ops *provider_of(const char *scheme)
{
	size_t i;

	for (i = 0; i < sizeof(providers) / sizeof(providers[0]); i++)
		if (strcmp(providers[i]->scheme, scheme) == 0)
			return providers[i];
	return NULL;
}

static bool component_ok(const char *p)
{
	size_t n;

	if (strcmp(p, ".") == 0 || strcmp(p, "..") == 0)
		return false;
	n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+=-");
	return n > 0 && n <= COMPONENT_LEN_MAX && p[n] == '\0';
}

/* Cut the text behind the scheme at each '/'. */
static int components_cut(struct kms_uri *uri, char *p)
{
	char *slash;

	for (;;) {
		if (uri->component_count == KMS_COMPONENTS_MAX)
			return -EINVAL;
		slash = strchr(p, '/');
		if (slash)
			*slash = '\0';
		if (!component_ok(p))
			return -EINVAL;
		uri->component_at[uri->component_count++] = (uint16_t)(p - uri->text);
		if (!slash)
			return 0;
		p = slash + 1;
	}
}

int kms_uri_parse(const char *text, struct kms_uri *ret_uri)
{
	struct kms_uri uri = { 0 };
	const struct kms_ops *ops;
	size_t scheme_len, len = strnlen(text, KMS_URI_LEN_MAX + 1);
	char *p;
	int r;

	if (len > KMS_URI_LEN_MAX)
		return -EINVAL;
	memcpy(uri.text, text, len + 1);
	scheme_len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	if (scheme_len == 0 || scheme_len >= sizeof(uri.scheme) || text[scheme_len] != ':')
		return -EINVAL;
	memcpy(uri.scheme, text, scheme_len);
	p = uri.text + scheme_len + 1;
	if (p[0] == '/' && p[1] == '/') {
		uri.hierarchical = true;
		p += 2;
	}
	r = components_cut(&uri, p);
	if (r < 0)
		return r;
	ops = provider_of(uri.scheme);
	if (!ops)
		return -EOPNOTSUPP;
	r = ops->check(&uri);
	if (r < 0)
		return r;
	*ret_uri = uri;
	return 0;
}

const char *kms_uri_component(const struct kms_uri *uri, size_t i)
{
	return i < uri->component_count ? uri->text + uri->component_at[i] : NULL;
}

bool kms_uri_equal(const struct kms_uri *a, const struct kms_uri *b)
{
	size_t i;

	if (strcmp(a->scheme, b->scheme) != 0 || a->hierarchical != b->hierarchical ||
	    a->component_count != b->component_count)
		return false;
	for (i = 0; i < a->component_count; i++)
		if (strcmp(kms_uri_component(a, i), kms_uri_component(b, i)) != 0)
			return false;
	return true;
}

bool kms_uri_text_equal(const char *a, const char *b)
{
	struct kms_uri ua, ub;

	return kms_uri_parse(a, &ua) >= 0 && kms_uri_parse(b, &ub) >= 0 && kms_uri_equal(&ua, &ub);
}

int kms_prepare(const struct kms_host *host, const struct kms_uri *uri, struct kms_error *err)
{
	const struct kms_ops *ops = provider_of(uri->scheme);

	*err = (struct kms_error){ 0 };
	if (!ops)
		return kms_fail(err, KMS_CONFIG, "%s: no such provider in this build", uri->scheme);
	return ops->prepare ? ops->prepare(host, uri, err) : 0;
}

_Static_assert(sizeof(providers) / sizeof(providers[0]) <= KMS_COUNTS_MAX, "each provider is counted");

static int counted(const struct kms_ops *ops, int r, const struct kms_error *err, uint64_t began_ns)
{
	for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++)
		if (providers[i] == ops)
			kms_count_ended(i, r < 0 ? err->class : KMS_OK, began_ns);
	return r;
}

size_t kms_counts(struct kms_count ret_counts[static KMS_COUNTS_MAX])
{
	size_t n = sizeof(providers) / sizeof(providers[0]);

	for (size_t i = 0; i < n; i++) {
		ret_counts[i] = (struct kms_count){ .provider = providers[i]->scheme };
		kms_count_get(i, &ret_counts[i]);
	}
	return n;
}

int kms_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
	     const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	const struct kms_ops *ops = provider_of(uri->scheme);
	uint64_t began = meter_now_ns();

	*err = (struct kms_error){ 0 };
	if (!ops)
		return kms_fail(err, KMS_CONFIG, "%s: no such provider in this build", uri->scheme);
	return counted(ops, ops->wrap(host, uri, ctx, kek, err, ret_wrapped), err, began);
}

int kms_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
	       const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err, struct secret **ret_kek)
{
	const struct kms_ops *ops = provider_of(uri->scheme);
	AUTO_SECRET struct secret *kek = NULL;
	uint64_t began = meter_now_ns();
	int r;

	*err = (struct kms_error){ 0 };
	if (!ops)
		return kms_fail(err, KMS_CONFIG, "%s: no such provider in this build", uri->scheme);
	r = counted(ops, ops->unwrap(host, uri, ctx, wrapped, wrapped_len, err, &kek), err, began);
	if (r < 0)
		return r;
	if (secret_len(kek) != KEY_LEN)
		return kms_fail(err, KMS_CORRUPT, "%s: the unwrapped key has a wrong length", uri->scheme);
	*ret_kek = take_ptr(kek);
	return 0;
}
