/* fuzz_gcp.c: Google's answers, those of token endpoints, and a service account's file. The first two bytes are the status (mod 600), the rest is the body.
 * Property: only 200 is a success; what is said of an answer is one printable line; what was taken as a wrapped key can be sent again; what was taken as a
 * token fits a header; what of a file goes into a token needs no escapes. */
#include "kms/kms_gcp_impl.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void printable(const char *text)
{
	for (; *text; text++)
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void classes(int status, const char *body, size_t len)
{
	struct kms_error err = { 0 };
	enum kms_class class;

	class = kms_gcp_classify(status, body, len, &err);
	assert(class == err.class && (class == KMS_OK) == (status == 200));
	printable(err.code);
	memset(&err, 0, sizeof(err));
	class = kms_bearer_classify(status, body, len, &err);
	assert(class == err.class && class != KMS_DENIED && class != KMS_REVOKED && (class == KMS_OK) == (status == 200));
	printable(err.code);
}

static void wrapped(const char *body, size_t len)
{
	static const uint8_t uuid[UUID_LEN];
	struct gcp_place place = { .tenant = "t", .origin = "https://h", .key = "projects/p/locations/l/keyRings/r/cryptoKeys/k" };
	static const struct kms_conf conf;
	static struct kms_wrapped w;
	struct http_request req;

	if (kms_gcp_parse_encrypt(&place, body, len, &w) < 0)
		return;
	printable(w.key_version);
	place.conf = &conf;
	assert(kms_gcp_build_decrypt(&place, &(struct kms_context){ .tenant = "t", .uuid = uuid }, w.bytes, w.len, &req) == 0);
	http_request_done(&req);
}

static void account(const char *text, size_t len)
{
	struct http_request req = { 0 };
	struct gcp_account a = { 0 };
	struct secret *jwt = NULL;

	if (kms_gcp_account_parse(text, len, &a) < 0)
		return;
	printable(a.email);
	assert(!strpbrk(a.email, "\"\\") && !strpbrk(a.kid, "\"\\") && !strpbrk(a.token_uri, "\"\\"));
	if (kms_gcp_jwt(&a, a.token_uri, NULL, 0, &jwt) == 0) {
		printable((const char *)secret_bytes_const(jwt));
		if (kms_gcp_build_exchange(&a, jwt, &req) == 0)
			assert(strncmp(req.url.text, "https://", 8) == 0);
		http_request_done(&req);
		secret_free(jwt);
	}
	kms_gcp_account_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct kms_bearer b = { 0 };
	struct secret *kek = NULL;
	const char *body;

	if (len < 2)
		return 0;
	body = (const char *)p + 2;
	len -= 2;
	classes((p[0] | p[1] << 8) % 600, body, len);
	wrapped(body, len);
	if (kms_gcp_parse_decrypt(body, len, &kek) == 0)
		assert(secret_len(kek) == KEY_LEN);
	secret_free(kek);
	if (kms_bearer_parse(body, len, &b) == 0) {
		assert(b.life_s > 0);
		printable((const char *)secret_bytes_const(b.token));
	}
	secret_free(b.token);
	account(body, len);
	return 0;
}
