/* kms_azure.c: Azure Key Vault and Managed HSM: azure-kms://HOST/keys/NAME[/VERSION] (docs/kms.md, "Azure").
 *
 *	wrap      without a VERSION: ask which is the newest; wrapkey; then unwrapkey what came back and compare. A disabled key still wraps, so only this
 *	          tells that the volume will open
 *	unwrap    unwrapkey, with the version that wrapped
 *
 * wrapkey is asked of the service though the public key would do: else its log would not know of it. There is nothing to prepare. */
#include "kms/kms_azure_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define ID_LEN 36 /* of a GUID as text */

#define NOT_OURS "the wrapped key is none of Key Vault's"

struct azure_call {
	struct azure_place place;
	struct azure_login login;
	char id[ID_LEN + 1];
	uint64_t deadline_ms;
	struct kms_error *err;
};

static int call_start(struct azure_call *c, const struct kms_host *host, const struct kms_uri *uri, const char *tenant, struct kms_error *err)
{
	char hex[33];
	uint8_t random[16];
	int r;

	c->err = err;
	c->deadline_ms = kms_deadline(host);
	r = secret_random(random, sizeof(random));
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "azure-kms: no random numbers");
	text_hex(random, sizeof(random), hex);
	(void)snprintf(c->id, sizeof(c->id), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	r = kms_azure_place(uri, host->conf, tenant, err, &c->place);
	return r < 0 ? r : kms_azure_login_parse(&c->place, err, &c->login);
}

static int exchange(struct azure_call *c, struct http_request *req, struct http_answer *ret_answer)
{
	struct kms_bearer_source source = { .key = c->login.key, .fetch = kms_azure_fetch, .arg = &c->login };
	struct kms_call call = { .tenant = c->place.tenant, .deadline_ms = c->deadline_ms, .classify = kms_azure_classify };

	/* The service logs it: there our request is found again. */
	req->headers[0] = (struct http_header){ .name = "x-ms-client-request-id", .value = c->id };
	memcpy(c->err->request_id, c->id, sizeof(c->id));
	return kms_bearer_call(&source, &call, req, c->err, ret_answer);
}

static int unparsed(const struct azure_call *c, int r)
{
	if (r == -EKEYREJECTED)
		return kms_fail(c->err, KMS_CORRUPT, "what was unwrapped is no key of ours");
	if (r == -ENOMEM)
		return kms_fail(c->err, KMS_TRANSIENT, "no locked memory");
	if (r == -EOPNOTSUPP)
		return kms_fail(c->err, KMS_CONFIG, "is neither an RSA key nor one of AES, and wraps nothing");
	c->err->alarm = true;
	return kms_fail(c->err, KMS_TRANSIENT, "%s: the answer is not Key Vault's, or is about another key", c->place.origin + 8);
}

static const char *text(const struct http_answer *a)
{
	return (const char *)secret_bytes_const(a->body);
}

/* The version that wraps, and how: of the URI, else as the vault says. */
static int key_find(struct azure_call *c, struct azure_key *ret_key)
{
	struct azure_key key = { .alg = AZURE_RSA_OAEP_256 };
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	if (*c->place.version) {
		memcpy(key.version, c->place.version, sizeof(key.version));
		*ret_key = key;
		return 0;
	}
	r = kms_azure_build_get(&c->place, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		r = kms_azure_parse_get(&c->place, text(&a), a.body_len, ret_key);
		if (r < 0)
			r = unparsed(c, r);
	}
	http_answer_done(&a);
	return r;
}

static int wrap_key(struct azure_call *c, const struct azure_key *key, const struct secret *kek, struct kms_wrapped *ret_wrapped)
{
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	r = kms_azure_build_wrap(&c->place, key, kek, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		r = kms_azure_parse_wrap(&c->place, key, text(&a), a.body_len, ret_wrapped);
		if (r < 0)
			r = unparsed(c, r);
	}
	http_request_done(&req);
	http_answer_done(&a);
	return r;
}

static int unwrap_key(struct azure_call *c, const uint8_t *wrapped, size_t wrapped_len, struct secret **ret_kek)
{
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	struct azure_key key;
	int r;

	r = kms_azure_build_unwrap(&c->place, wrapped, wrapped_len, &key, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		r = kms_azure_parse_unwrap(&c->place, &key, text(&a), a.body_len, ret_kek);
		if (r < 0)
			r = unparsed(c, r);
	}
	http_request_done(&req);
	http_answer_done(&a);
	return r;
}

static int azure_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx, const struct secret *kek,
		      struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *again = NULL;
	struct azure_call c = { 0 };
	struct azure_key key;
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = key_find(&c, &key);
	if (r >= 0)
		r = wrap_key(&c, &key, kek, ret_wrapped);
	if (r >= 0)
		r = unwrap_key(&c, ret_wrapped->bytes, ret_wrapped->len, &again);
	if (r >= 0 && !kms_same_kek(kek, again))
		r = kms_fail(err, KMS_CORRUPT, "what was wrapped unwraps to something else");
	return kms_name_key(err, "azure-kms", c.place.name, r);
}

static int azure_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx, const uint8_t *wrapped,
			size_t wrapped_len, struct kms_error *err, struct secret **ret_kek)
{
	struct azure_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = unwrap_key(&c, wrapped, wrapped_len, ret_kek);
	return kms_name_key(err, "azure-kms", c.place.name, r);
}

const struct kms_ops kms_azure = {
	.scheme = "azure-kms",
	.check = kms_azure_check,
	.wrap = azure_wrap,
	.unwrap = azure_unwrap,
};
