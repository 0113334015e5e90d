/* fuzz_azure.c: Key Vault's answers, and what we stored of them. The first two bytes are the status (mod 600), the rest is the body.
 * Property: only 200 is a success; what is said of an answer is one printable line; what was taken as a wrapped key can be sent again and names the version that
 * it was made with; what is sent of a stored one is JSON. */
#include "kms/kms_azure_impl.h"

#include <assert.h>
#include <string.h>

#include "base/jsonscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void printable(const char *text)
{
	for (; *text; text++)
		assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static bool stored(const struct azure_place *place, const uint8_t *p, size_t len, struct azure_key *ret_key)
{
	struct http_request req = { 0 };
	struct jsonscan v;

	if (kms_azure_build_unwrap(place, p, len, ret_key, &req) < 0)
		return false;
	printable(ret_key->version);
	assert(jsonscan_check((const char *)secret_bytes_const(req.body), req.body_len, &v) == 0);
	http_request_done(&req);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const struct kms_conf conf;
	static struct kms_wrapped w;
	struct azure_place place = { .tenant = "t", .conf = &conf, .vault = "https://acme.vault.azure.net", .origin = "https://acme.vault.azure.net", .name = "kek" };
	struct azure_key key = { .version = "0123456789abcdef0123456789abcdef" }, found, again;
	struct kms_error err = { 0 };
	struct secret *kek = NULL;
	const char *body;

	if (len < 2)
		return 0;
	body = (const char *)p + 2;
	len -= 2;
	assert((kms_azure_classify((p[0] | p[1] << 8) % 600, body, len, &err) == KMS_OK) == ((p[0] | p[1] << 8) % 600 == 200));
	printable(err.code);
	(void)stored(&place, p + 2, len, &again);
	if (kms_azure_parse_get(&place, body, len, &found) == 0)
		printable(found.version);
	if (kms_azure_parse_wrap(&place, &key, body, len, &w) == 0) {
		printable(w.key_version);
		assert(stored(&place, w.bytes, w.len, &again) && strcmp(again.version, key.version) == 0 && again.alg == key.alg);
	}
	if (kms_azure_parse_unwrap(&place, &key, body, len, &kek) == 0)
		assert(secret_len(kek) == KEY_LEN);
	secret_free(kek);
	return 0;
}
