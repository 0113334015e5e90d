/* fuzz_vault.c: Vault's answers. The first two bytes are the status (mod 600), the rest is the body. Property: only 200 and 204 are successes; what is
 * said of an answer is one printable line; what was taken as a wrapped key can be sent again, as it is. */
#include "kms/kms_vault_impl.h"

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

	class = kms_vault_classify(status, body, len, &err);
	assert(class == err.class && (class == KMS_OK) == (status == 200 || status == 204));
	printable(err.message);
	printable(err.code);
	(void)kms_vault_token_refused(&err);
	memset(&err, 0, sizeof(err));
	class = kms_vault_classify_login(status, body, len, &err);
	assert(class == err.class && class != KMS_DENIED && class != KMS_REVOKED);
}

static void wrapped(const char *body, size_t len)
{
	static const uint8_t uuid[UUID_LEN];
	struct vault_place place = { .tenant = "t", .origin = "https://h", .mount = "transit", .key = "k" };
	static struct kms_wrapped w;
	struct http_request req;

	if (kms_vault_parse_encrypt(body, len, &w) < 0)
		return;
	printable(w.key_version);
	assert(kms_vault_build_decrypt(&place, &(struct kms_context){ .tenant = "t", .uuid = uuid }, w.bytes, w.len, &req) == 0);
	assert(memcmp(secret_bytes(req.body), "{\"ciphertext\":\"", 15) == 0 && memcmp(secret_bytes(req.body) + 15, w.bytes, w.len) == 0);
	http_request_done(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct vault_auth auth = { 0 };
	struct secret *kek = NULL;
	const char *body;
	char id[81];

	if (len < 2)
		return 0;
	body = (const char *)p + 2;
	len -= 2;
	classes((p[0] | p[1] << 8) % 600, body, len);
	wrapped(body, len);
	if (kms_vault_parse_decrypt(body, len, &kek) == 0)
		assert(secret_len(kek) == KEY_LEN);
	secret_free(kek);
	if (kms_vault_parse_auth(body, len, true, &auth) == 0)
		printable((const char *)secret_bytes(auth.token));
	secret_free(auth.token);
	memset(&auth, 0, sizeof(auth));
	if (kms_vault_parse_auth(body, len, false, &auth) == 0)
		assert(!auth.token);
	printable(auth.accessor);
	kms_vault_parse_id(body, len, id, sizeof(id));
	printable(id);
	return 0;
}
