/* kms_vault.c: HashiCorp Vault and OpenBao, secrets engine Transit: hcvault://HOST[:PORT]/MOUNT/keys/NAME (docs/kms.md, "Vault").
 *
 *	prepare   asks to decrypt what no key can: tells that the key is there and may be used, before encrypt could make it
 *	wrap      encrypt, then decrypt what came back and compare: a volume whose key would not open is never made
 *	unwrap    decrypt
 *
 * A 403 means a policy, or a token that is no longer valid. So the token is got anew and the request made once more; refused again, the
 * refusal is the key owner's (DENIED). */
#include "kms/kms_vault_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define ID_LEN 32

#define NOT_OURS "the wrapped key is no ciphertext of Transit"

struct vault_call {
	struct vault_place place;
	char id[ID_LEN + 1];
	uint64_t deadline_ms;
	struct kms_error *err;
};

static int call_start(struct vault_call *c, const struct kms_host *host, const struct kms_uri *uri, const char *tenant,
		      struct kms_error *err)
{
	uint8_t random[ID_LEN / 2];
	int r;

	c->err = err;
	c->deadline_ms = kms_deadline(host);
	r = secret_random(random, sizeof(random));
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "hcvault: no random numbers");
	text_hex(random, sizeof(random), c->id);
	return kms_vault_place(uri, host->conf, tenant, err, &c->place);
}

/* One request with the tenant's token. */
static int send(struct vault_call *c, struct http_request *req, uint64_t refused, struct vault_token *t, struct http_answer *ret_answer)
{
	static const char *const methods[] = { [VAULT_TOKEN] = "token", [VAULT_APPROLE] = "approle", [VAULT_JWT] = "jwt" };
	struct kms_call call = { .tenant = c->place.tenant, .deadline_ms = c->deadline_ms, .classify = kms_vault_classify };
	struct kms_error login = { 0 };
	unsigned before = c->err->attempts;
	int r;

	r = kms_vault_token_get(&c->place, refused, c->id, c->deadline_ms, &login, t);
	if (r == -EALREADY)
		return r;
	if (r < 0) {
		*c->err = login;
		c->err->attempts = before;
		(void)snprintf(c->err->request_id, sizeof(c->err->request_id), "%s", c->id);
		return r;
	}
	(void)snprintf(c->err->credential, sizeof(c->err->credential), "%s%s%s", methods[t->method],
		       t->accessor[0] ? " accessor=" : "", t->accessor);
	(void)snprintf(c->err->request_id, sizeof(c->err->request_id), "%s", c->id);
	kms_vault_headers(&c->place, t->token, c->id, req);
	r = kms_call(&call, req, c->err, ret_answer);
	secret_free(t->token);
	t->token = NULL;
	return r;
}

static int exchange(struct vault_call *c, struct http_request *req, struct http_answer *ret_answer)
{
	struct vault_token t = { 0 };
	int r;

	r = send(c, req, 0, &t, ret_answer);
	if (r < 0 && c->err->class == KMS_DENIED && c->err->http_status == 403 && !t.fresh)
		r = send(c, req, t.generation, &t, ret_answer);
	/* No other token is to be had, and this one is valid. */
	return r == -EALREADY ? kms_class_errno(c->err->class) : r;
}

static int unparsed(const struct vault_call *c, int r)
{
	if (r == -EKEYREJECTED)
		return kms_fail(c->err, KMS_CORRUPT, "%s: what was decrypted is no key of ours", c->place.origin + 8);
	if (r == -ENOMEM)
		return kms_fail(c->err, KMS_TRANSIENT, "no locked memory");
	c->err->alarm = true;
	return kms_fail(c->err, KMS_TRANSIENT, "%s: the answer is not Transit's", c->place.origin + 8);
}

static void id_of_answer(const struct vault_call *c, const struct http_answer *a)
{
	char id[sizeof(c->err->request_id)];

	kms_vault_parse_id((const char *)secret_bytes_const(a->body), a->body_len, id, sizeof(id));
	if (id[0])
		memcpy(c->err->request_id, id, sizeof(id));
}

static int decrypt(struct vault_call *c, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len,
		   struct secret **ret_kek)
{
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	r = kms_vault_build_decrypt(&c->place, ctx, wrapped, wrapped_len, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		id_of_answer(c, &a);
		r = kms_vault_parse_decrypt((const char *)secret_bytes_const(a.body), a.body_len, ret_kek);
		if (r < 0)
			r = unparsed(c, r);
	}
	http_request_done(&req);
	http_answer_done(&a);
	return r;
}

static int encrypt(struct vault_call *c, const struct kms_context *ctx, const struct secret *kek, struct kms_wrapped *ret_wrapped)
{
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	r = kms_vault_build_encrypt(&c->place, ctx, kek, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		id_of_answer(c, &a);
		r = kms_vault_parse_encrypt((const char *)secret_bytes_const(a.body), a.body_len, ret_wrapped);
		if (r < 0)
			r = unparsed(c, r);
	}
	http_request_done(&req);
	http_answer_done(&a);
	return r;
}

/* A version that no key has yet: "version is too new" from a key that is there, whatever versions it still decrypts. */
static int vault_prepare(const struct kms_host *host, const struct kms_uri *uri, struct kms_error *err)
{
	static const char nobodys[] = "vault:v999999999:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	static const uint8_t uuid[UUID_LEN];
	const char *tenant = host->conf && *host->conf->tenant ? host->conf->tenant : "-";
	struct kms_context ctx = { .tenant = tenant, .uuid = uuid };
	AUTO_SECRET struct secret *kek = NULL;
	struct vault_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, tenant, err);
	if (r >= 0)
		r = decrypt(&c, &ctx, (const uint8_t *)nobodys, sizeof(nobodys) - 1, &kek);
	if (r < 0 && err->class == KMS_CORRUPT) {
		err->class = KMS_OK;
		err->message[0] = '\0';
		return 0;
	}
	return kms_name_key(err, "hcvault", c.place.key, r);
}

static int vault_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
		      const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *again = NULL;
	struct vault_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = encrypt(&c, ctx, kek, ret_wrapped);
	if (r >= 0)
		r = decrypt(&c, ctx, ret_wrapped->bytes, ret_wrapped->len, &again);
	if (r >= 0 && !kms_same_kek(kek, again))
		r = kms_fail(err, KMS_CORRUPT, "%s: what was wrapped unwraps to something else", c.place.origin + 8);
	return kms_name_key(err, "hcvault", c.place.key, r);
}

static int vault_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
			const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err, struct secret **ret_kek)
{
	struct vault_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = decrypt(&c, ctx, wrapped, wrapped_len, ret_kek);
	return kms_name_key(err, "hcvault", c.place.key, r);
}

const struct kms_ops kms_vault = {
	.scheme = "hcvault",
	.check = kms_vault_check,
	.prepare = vault_prepare,
	.wrap = vault_wrap,
	.unwrap = vault_unwrap,
};
