/* kms_gcp.c: Google Cloud KMS: gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K (docs/kms.md, "Google").
 *
 *	wrap      encrypt, then decrypt what came back and compare: a volume whose key would not open is never made
 *	unwrap    decrypt
 *
 * There is nothing to prepare: encrypt never makes a key. An answer whose checksums are wrong is asked for once more; wrong again, it is CORRUPT. */
#include "kms/kms_gcp_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define ID_LEN 32
#define REASON "coffer/"

#define NOT_OURS "the wrapped key is empty or too long"

struct gcp_call {
	struct gcp_place place;
	struct gcp_login login;
	char reason[sizeof(REASON) + ID_LEN];
	uint64_t deadline_ms;
	struct kms_error *err;
};

static int call_start(struct gcp_call *c, const struct kms_host *host, const struct kms_uri *uri, const char *tenant, struct kms_error *err)
{
	uint8_t random[ID_LEN / 2];
	int r;

	c->err = err;
	c->deadline_ms = kms_deadline(host);
	r = secret_random(random, sizeof(random));
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "gcp-kms: no random numbers");
	memcpy(c->reason, REASON, sizeof(REASON) - 1);
	text_hex(random, sizeof(random), c->reason + sizeof(REASON) - 1);
	r = kms_gcp_place(uri, host->conf, tenant, err, &c->place);
	return r < 0 ? r : kms_gcp_login_parse(&c->place, err, &c->login);
}

static int exchange(struct gcp_call *c, struct http_request *req, struct http_answer *ret_answer)
{
	struct kms_bearer_source source = { .key = c->login.key, .fetch = kms_gcp_fetch, .arg = &c->login };
	struct kms_call call = { .tenant = c->place.tenant, .deadline_ms = c->deadline_ms, .classify = kms_gcp_classify };

	/* What the caller says of his reason stands in Google's audit log: there our request is found again. */
	memset(req->headers, 0, sizeof(req->headers));
	req->headers[0] = (struct http_header){ .name = "X-Goog-Request-Reason", .value = c->reason };
	(void)snprintf(c->err->request_id, sizeof(c->err->request_id), "%s", c->reason + sizeof(REASON) - 1);
	return kms_bearer_call(&source, &call, req, c->err, ret_answer);
}

static int say(const struct gcp_call *c, int r)
{
	const char *key = strrchr(c->place.key, '/');

	return kms_name_key(c->err, "gcp-kms", key ? key + 1 : "", r);
}

static int unparsed(const struct gcp_call *c, int r)
{
	if (r == -EKEYREJECTED)
		return kms_fail(c->err, KMS_CORRUPT, "what was decrypted is no key of ours");
	if (r == -EBADMSG)
		return kms_fail(c->err, KMS_CORRUPT, "%s: a checksum (CRC32C) is wrong or not confirmed, twice", c->place.origin + 8);
	if (r == -ENOMEM)
		return kms_fail(c->err, KMS_TRANSIENT, "no locked memory");
	c->err->alarm = true;
	return kms_fail(c->err, KMS_TRANSIENT, "%s: the answer is not Cloud KMS's, or is about another key", c->place.origin + 8);
}

/* One exchange, and another when it was damaged on the way; wrapped or kek is what is wanted. */
static int ask(struct gcp_call *c, struct http_request *req, struct kms_wrapped *wrapped, struct secret **kek)
{
	struct http_answer a = { 0 };
	unsigned tries = 0;
	int r;

	do {
		r = exchange(c, req, &a);
		if (r < 0)
			return r;
		if (wrapped)
			r = kms_gcp_parse_encrypt(&c->place, (const char *)secret_bytes_const(a.body), a.body_len, wrapped);
		else
			r = kms_gcp_parse_decrypt((const char *)secret_bytes_const(a.body), a.body_len, kek);
		http_answer_done(&a);
	} while (r == -EBADMSG && ++tries < 2);
	return r < 0 ? unparsed(c, r) : 0;
}

static int decrypt(struct gcp_call *c, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len, struct secret **ret_kek)
{
	struct http_request req = { 0 };
	int r;

	r = kms_gcp_build_decrypt(&c->place, ctx, wrapped, wrapped_len, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = ask(c, &req, NULL, ret_kek);
	http_request_done(&req);
	return r;
}

static int encrypt(struct gcp_call *c, const struct kms_context *ctx, const struct secret *kek, struct kms_wrapped *ret_wrapped)
{
	struct http_request req = { 0 };
	int r;

	r = kms_gcp_build_encrypt(&c->place, ctx, kek, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = ask(c, &req, ret_wrapped, NULL);
	http_request_done(&req);
	return r;
}

static int gcp_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx, const struct secret *kek,
		    struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *again = NULL;
	struct gcp_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = encrypt(&c, ctx, kek, ret_wrapped);
	if (r >= 0)
		r = decrypt(&c, ctx, ret_wrapped->bytes, ret_wrapped->len, &again);
	if (r >= 0 && !kms_same_kek(kek, again))
		r = kms_fail(err, KMS_CORRUPT, "what was wrapped unwraps to something else");
	return say(&c, r);
}

static int gcp_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx, const uint8_t *wrapped,
		      size_t wrapped_len, struct kms_error *err, struct secret **ret_kek)
{
	struct gcp_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = decrypt(&c, ctx, wrapped, wrapped_len, ret_kek);
	return say(&c, r);
}

const struct kms_ops kms_gcp = {
	.scheme = "gcp-kms",
	.check = kms_gcp_check,
	.wrap = gcp_wrap,
	.unwrap = gcp_unwrap,
};
