/* test_kms_gcp.c: Cloud KMS's answers as its documentation and its users' reports have them, the requests we make of them, and the tokens. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "kms/kms_gcp_impl.h"
#include "kms_fixture.h"

#include "base/b64.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "crypt/rsa.h"

#include <fcntl.h>
#include <sys/stat.h>

#define KEY "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
#define URI "gcp-kms://" KEY
#define ERR(code, status, text) "{\n  \"error\": {\n    \"code\": " code ",\n    \"message\": \"" text "\",\n    \"status\": \"" status "\"\n  }\n}\n"
#define WITH(code, status, text, details)                                                                                   \
	"{\"error\":{\"code\":" code ",\"message\":\"" text "\",\"status\":\"" status "\",\"details\":[" details "]}}"
#define INFO(reason) "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"" reason "\",\"domain\":\"googleapis.com\"}"
#define STATE(state) ERR("400", "FAILED_PRECONDITION", KEY "/cryptoKeyVersions/1 is not enabled, current state is: " state ".")
#define KEK_B64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEK_CRC "1188919630" /* CRC-32C of 00 01 … 1f: 46dd794e, RFC 3720 appendix B.4 */

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3 };
static const struct kms_context acme = { .tenant = "acme", .uuid = uuid };

/* --- classes --- */

static const struct kms_row rows[] = {
	{ "success", 200, "{}", KMS_OK, false },
	{ "version disabled", 400, STATE("DISABLED"), KMS_REVOKED, false },
	{ "version to be destroyed", 400, STATE("DESTROY_SCHEDULED"), KMS_REVOKED, false },
	{ "version destroyed", 400, STATE("DESTROYED"), KMS_REVOKED, false },
	{ "external version to be destroyed", 400, STATE("PENDING_EXTERNAL_DESTRUCTION"), KMS_REVOKED, false },
	{ "version not yet made", 400, STATE("PENDING_GENERATION"), KMS_TRANSIENT, false },
	{ "disabled, by a violation", 400,
	  WITH("400", "FAILED_PRECONDITION", "no", "{\"@type\":\"type.googleapis.com/google.rpc.PreconditionFailure\",\"violations\":[{\"type\":\"KEY_DISABLED\"}]}"),
	  KMS_REVOKED, false },
	{ "destroyed, by a violation behind another detail", 400,
	  WITH("400", "FAILED_PRECONDITION", "no", "{\"a\":1},{\"violations\":[{\"type\":\"KEY_DESTROYED\"}]}"), KMS_REVOKED, false },
	{ "external key manager", 400, ERR("400", "FAILED_PRECONDITION", "External key error: the external key manager answered 503"), KMS_TRANSIENT, false },
	{ "external key manager away", 503, ERR("503", "UNAVAILABLE", "External key manager is not reachable"), KMS_TRANSIENT, false },
	{ "no such key", 404, ERR("404", "NOT_FOUND", "CryptoKey " KEY " not found."), KMS_REVOKED, false },
	{ "404 of another status", 404, ERR("404", "UNIMPLEMENTED", "Method not found."), KMS_DENIED, false },
	{ "permission removed", 403,
	  ERR("403", "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource '" KEY "' (or it may not exist)."), KMS_DENIED, false },
	{ "API off", 403, WITH("403", "PERMISSION_DENIED", "Cloud KMS API has not been used in project 1", INFO("SERVICE_DISABLED")), KMS_DENIED, false },
	{ "billing off", 403, WITH("403", "PERMISSION_DENIED", "billing", INFO("BILLING_DISABLED")), KMS_DENIED, false },
	{ "service perimeter", 403, WITH("403", "PERMISSION_DENIED", "Request is prohibited by organization's policy", INFO("VPC_SERVICE_CONTROLS")), KMS_DENIED, false },
	{ "token refused", 401, WITH("401", "UNAUTHENTICATED", "Request had invalid authentication credentials.", INFO("ACCESS_TOKEN_EXPIRED")), KMS_AUTH, false },
	{ "another context, or damaged", 400,
	  ERR("400", "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey."), KMS_CORRUPT, false },
	{ "our checksum", 400, ERR("400", "INVALID_ARGUMENT", "The checksum in field plaintext_crc32c did not match the data in field plaintext."), KMS_TRANSIENT, false },
	{ "an unknown 400", 400, ERR("400", "INVALID_ARGUMENT", "something new"), KMS_DENIED, false },
	{ "conflict", 409, ERR("409", "ABORTED", "x"), KMS_DENIED, false },
	{ "gone", 410, ERR("410", "GONE", "x"), KMS_DENIED, false },
	{ "method", 405, ERR("405", "METHOD_NOT_ALLOWED", "x"), KMS_BADREQ, false },
	{ "quota", 429, ERR("429", "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Cryptographic requests'"), KMS_THROTTLED, false },
	{ "quota, by a proxy", 429, "slow down", KMS_THROTTLED, false },
	{ "time-out", 408, "", KMS_TRANSIENT, false },
	{ "internal", 500, ERR("500", "INTERNAL", "Internal error encountered."), KMS_TRANSIENT, false },
	{ "bad gateway", 502, "<html>", KMS_TRANSIENT, false },
	{ "unavailable", 503, ERR("503", "UNAVAILABLE", "The service is currently unavailable."), KMS_TRANSIENT, false },
	{ "deadline", 504, ERR("504", "DEADLINE_EXCEEDED", "Deadline expired."), KMS_TRANSIENT, false },
	{ "redirect", 302, "", KMS_TRANSIENT, true },
	{ "captive proxy, 403", 403, "<html>please log in</html>", KMS_TRANSIENT, true },
	{ "not this API, 404", 404, "<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", KMS_TRANSIENT, true },
	{ "another API's error", 400, "{\"error\":\"invalid_request\"}", KMS_TRANSIENT, true },
	{ "an error without a status", 403, "{\"error\":{\"code\":403,\"message\":\"x\"}}", KMS_TRANSIENT, true },
	{ "empty 401", 401, "", KMS_TRANSIENT, true },
};

static void each_answer_has_its_class(void **state)
{
	(void)state;
	kms_rows_check(rows, sizeof(rows) / sizeof(rows[0]), kms_gcp_classify);
}

static void the_code_is_the_reason_or_the_status(void **state)
{
	static const char body[] = WITH("403", "PERMISSION_DENIED", "a\\u001b[31m", INFO("BILLING_DISABLED"));
	struct kms_error err = { 0 };

	(void)state;
	(void)kms_gcp_classify(403, body, strlen(body), &err);
	assert_string_equal(err.code, "BILLING_DISABLED");
	assert_string_equal(err.message, "answered 403: BILLING_DISABLED: a\\x1b[31m");
	(void)kms_gcp_classify(400, STATE("DISABLED"), strlen(STATE("DISABLED")), &err);
	assert_string_equal(err.code, "FAILED_PRECONDITION");
}

/* --- where, and what is asked --- */

static struct gcp_place place_of(const char *text, const struct kms_conf *conf)
{
	struct gcp_place p;
	struct kms_error err;
	struct kms_uri uri;

	assert_int_equal(kms_uri_parse(text, &uri), 0);
	assert_int_equal(kms_gcp_place(&uri, conf, "acme", &err, &p), 0);
	return p;
}

static void a_uri_names_a_key_and_no_version(void **state)
{
	static const char *const bad[] = {
		"gcp-kms:" KEY, "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys", URI "/cryptoKeyVersions/1", "gcp-kms://projects/p/locations/l/keyRings/r/keys/k",
		"gcp-kms://project/p/locations/l/keyRings/r/cryptoKeys/k", "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k:decrypt",
		"gcp-kms://projects/p/locations/l/keyRings/../cryptoKeys/k", "gcp-kms://projects/p/locations/l/keyRings//cryptoKeys/k", "gcp-kms://projects/p@q/locations/l/keyRings/r/cryptoKeys/k",
	};
	struct gcp_place p = place_of("gcp-kms://projects/example.com:p/locations/global/keyRings/r/cryptoKeys/k-1_2", NULL);
	struct kms_uri uri;
	size_t i;

	(void)state;
	assert_string_equal(p.origin, "https://cloudkms.googleapis.com");
	assert_string_equal(p.key, "projects/example.com:p/locations/global/keyRings/r/cryptoKeys/k-1_2");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_uri_parse(bad[i], &uri) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void only_the_host_says_where(void **state)
{
	struct kms_conf conf = { .endpoint = "https://europe-west1-cloudkms.googleapis.com" };
	struct gcp_place p = place_of(URI, &conf);
	struct kms_error err;
	struct kms_uri uri;

	(void)state;
	assert_string_equal(p.origin, conf.endpoint);
	memcpy(conf.endpoint, "http://h", 9);
	assert_int_equal(kms_uri_parse(URI, &uri), 0);
	assert_int_equal(kms_gcp_place(&uri, &conf, "acme", &err, &p), -EINVAL);
	assert_int_equal(err.class, KMS_CONFIG);
}

/* base64 of "coffer/1" NUL, "acme", the uuid, "root", and its CRC-32C */
#define CONTEXT_B64 "Y29mZmVyLzEABABhY21lEAABAgMAAAAAAAAAAAAAAAAABAByb290"
#define CONTEXT_CRC "819628984"

static void requests_bind_the_context_and_carry_all_checksums(void **state)
{
	static const char encrypt[] = "{\"plaintext\":\"" KEK_B64 "\",\"plaintextCrc32c\":\"" KEK_CRC "\",\"additionalAuthenticatedData\":\"" CONTEXT_B64
				      "\",\"additionalAuthenticatedDataCrc32c\":\"" CONTEXT_CRC "\"}";
	static const char decrypt[] = "{\"ciphertext\":\"MTIzNDU2Nzg5\",\"ciphertextCrc32c\":\"3808858755\",\"additionalAuthenticatedData\":\"" CONTEXT_B64
				      "\",\"additionalAuthenticatedDataCrc32c\":\"" CONTEXT_CRC "\"}";
	struct kms_conf conf = { .ca_file = "/ca", .proxy = "http://p:1" };
	struct gcp_place p = place_of(URI, &conf);
	struct secret *kek = kms_kek_make();
	struct http_request req;

	(void)state;
	assert_int_equal(kms_gcp_build_encrypt(&p, &acme, kek, &req), 0);
	assert_string_equal(req.url.text, "https://cloudkms.googleapis.com/v1/" KEY ":encrypt");
	assert_int_equal(req.body_len, strlen(encrypt));
	assert_memory_equal(secret_bytes(req.body), encrypt, req.body_len);
	assert_string_equal(req.owner, "acme");
	assert_string_equal(req.ca_file, "/ca");
	assert_string_equal(req.proxy, "http://p:1");
	http_request_done(&req);
	assert_int_equal(kms_gcp_build_decrypt(&p, &acme, (const uint8_t *)"123456789", 9, &req), 0);
	assert_string_equal(req.url.text, "https://cloudkms.googleapis.com/v1/" KEY ":decrypt");
	assert_int_equal(req.body_len, strlen(decrypt));
	assert_memory_equal(secret_bytes(req.body), decrypt, req.body_len);
	http_request_done(&req);
	secret_free(kek);
}

static void a_wrapped_key_has_a_length(void **state)
{
	static uint8_t large[KMS_WRAPPED_MAX + 1];
	struct gcp_place p = place_of(URI, NULL);
	struct http_request req = { 0 };

	(void)state;
	assert_int_equal(kms_gcp_build_decrypt(&p, &acme, large, 0, &req), -EUCLEAN);
	assert_int_equal(kms_gcp_build_decrypt(&p, &acme, large, sizeof(large), &req), -EUCLEAN);
	assert_int_equal(kms_gcp_build_decrypt(&p, &acme, large, sizeof(large) - 1, &req), 0);
	http_request_done(&req);
}

/* --- answers --- */

#define ENCRYPTED(name, ciphertext, sum, plain, aad)                                                                         \
	"{\n  \"name\": \"" name "\",\n  \"ciphertext\": \"" ciphertext "\",\n  \"ciphertextCrc32c\": " sum                   \
	",\n  \"verifiedPlaintextCrc32c\": " plain ",\n  \"verifiedAdditionalAuthenticatedDataCrc32c\": " aad                 \
	",\n  \"protectionLevel\": \"SOFTWARE\"\n}\n"
#define NAME_7 KEY "/cryptoKeyVersions/7"
#define SUM "\"3808858755\""

static void a_wrapped_key_is_taken_with_its_version(void **state)
{
	static const char *const good[] = { ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", SUM, "true", "true"), ENCRYPTED(NAME_7, "MTIzND\\u00552Nzg5", SUM, "true", "true"),
					    ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", "3808858755", "true", "true") };
	struct gcp_place p = place_of(URI, NULL);
	static struct kms_wrapped w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(&w, 0, sizeof(w));
		assert_int_equal(kms_gcp_parse_encrypt(&p, good[i], strlen(good[i]), &w), 0);
		assert_int_equal(w.len, 9);
		assert_memory_equal(w.bytes, "123456789", 9);
		assert_string_equal(w.key_version, "cryptoKeyVersions/7");
	}
}

static void what_is_not_confirmed_is_refused(void **state)
{
	static const struct {
		const char *body;
		int r;
	} bad[] = {
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", SUM, "false", "true"), -EBADMSG },
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", SUM, "true", "false"), -EBADMSG },
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", SUM, "true", "1"), -EBADMSG },
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", "\"3808858756\"", "true", "true"), -EBADMSG },
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", "\"8103826051\"", "true", "true"), -EBADMSG }, /* the same mod 2^32 */
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", "\"\"", "true", "true"), -EBADMSG },
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg5", "\"3808858755 \"", "true", "true"), -EBADMSG },
		{ ENCRYPTED(NAME_7, "MTIzNDU2Nzg4", SUM, "true", "true"), -EBADMSG },
		{ "{\"name\":\"" NAME_7 "\",\"ciphertext\":\"MTIzNDU2Nzg5\",\"ciphertextCrc32c\":" SUM "}", -EBADMSG },
		{ "{\"name\":\"" NAME_7 "\",\"ciphertext\":\"MTIzNDU2Nzg5\",\"verifiedPlaintextCrc32c\":true,\"verifiedAdditionalAuthenticatedDataCrc32c\":true}", -EBADMSG },
		{ ENCRYPTED(NAME_7, "", SUM, "true", "true"), -EUCLEAN },
		{ ENCRYPTED(NAME_7, "MTIz!DU2Nzg5", SUM, "true", "true"), -EUCLEAN },
		{ ENCRYPTED(KEY, "MTIzNDU2Nzg5", SUM, "true", "true"), -EUCLEAN },
		{ ENCRYPTED(KEY "2/cryptoKeyVersions/7", "MTIzNDU2Nzg5", SUM, "true", "true"), -EUCLEAN },
		{ ENCRYPTED("projects/p/locations/europe-west1/keyRings/r/cryptoKeys/j/cryptoKeyVersions/7", "MTIzNDU2Nzg5", SUM, "true", "true"), -EUCLEAN },
		{ ENCRYPTED(NAME_7 "/x", "MTIzNDU2Nzg5", SUM, "true", "true"), -EUCLEAN },
		{ ENCRYPTED(KEY "/cryptoKeyVersions/", "MTIzNDU2Nzg5", SUM, "true", "true"), -EUCLEAN },
		{ "", -EUCLEAN }, { "[]", -EUCLEAN }, { "{}", -EUCLEAN },
	};
	struct gcp_place p = place_of(URI, NULL);
	static struct kms_wrapped w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_gcp_parse_encrypt(&p, bad[i].body, strlen(bad[i].body), &w) != bad[i].r)
			fail_msg("not %d: %s", bad[i].r, bad[i].body);
}

#define DECRYPTED(plaintext, sum) "{\"plaintext\":" plaintext ",\"plaintextCrc32c\":" sum ",\"usedPrimary\":true,\"protectionLevel\":\"HSM\"}"

static void a_key_is_32_bytes_whose_checksum_is_right(void **state)
{
	static const char *const good[] = { DECRYPTED("\"" KEK_B64 "\"", "\"" KEK_CRC "\""), DECRYPTED("\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\\u003d\"", KEK_CRC) };
	static const struct {
		const char *body;
		int r;
	} bad[] = {
		{ DECRYPTED("\"" KEK_B64 "\"", "\"1188919631\""), -EBADMSG },
		{ "{\"plaintext\":\"" KEK_B64 "\"}", -EBADMSG },
		{ DECRYPTED("\"!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"", "\"" KEK_CRC "\""), -EBADMSG },
		{ DECRYPTED("\"\"", "\"0\""), -EKEYREJECTED },
		{ DECRYPTED("\"MTIzNDU2Nzg5\"", SUM), -EKEYREJECTED },
		{ DECRYPTED("\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\"", "\"1\""), -EKEYREJECTED },
		{ DECRYPTED("null", "\"0\""), -EUCLEAN },
		{ DECRYPTED("\"" KEK_B64 "\",\"plaintext\":\"" KEK_B64 "\"", "\"" KEK_CRC "\""), -EUCLEAN },
		{ "{}", -EUCLEAN }, { "", -EUCLEAN },
	};
	struct secret *kek = NULL;
	uint8_t k;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(kms_gcp_parse_decrypt(good[i], strlen(good[i]), &kek), 0);
		for (k = 0; k < KEY_LEN; k++)
			assert_int_equal(secret_bytes(kek)[k], k);
		secret_free(kek);
		kek = NULL;
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (kms_gcp_parse_decrypt(bad[i].body, strlen(bad[i].body), &kek) != bad[i].r)
			fail_msg("not %d: %s", bad[i].r, bad[i].body);
		assert_null(kek);
	}
}

/* --- logging in --- */

static void words_of_auth_and_credentials_are_understood(void **state)
{
	static const struct {
		struct kms_conf conf;
		const char *env, *file; /* file NULL: refused */
		bool exchange;
	} of[] = {
		{ { .auth = "" }, NULL, "", false },
		{ { .credentials = "auto" }, "/e.json", "/e.json", false },
		{ { .credentials = "imds" }, "/e.json", "", false },
		{ { .credentials = "env", .auth = "exchange" }, "/e.json", "/e.json", true },
		{ { .credentials = "file:/f.json", .auth = "jwt" }, "/e.json", "/f.json", false },
		{ { .credentials = "file:/f.json", .auth = "exchange" }, NULL, "/f.json", true },
		{ { .credentials = "env" }, NULL, NULL, false },
		{ { .credentials = "pod" }, NULL, NULL, false },
		{ { .credentials = "file:f.json" }, NULL, NULL, false },
		{ { .credentials = "imds", .auth = "jwt" }, NULL, NULL, false },
		{ { .credentials = "file:/f.json", .auth = "token" }, NULL, NULL, false },
	};
	struct gcp_login l;
	struct kms_error err;
	struct gcp_place p;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		(void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
		if (of[i].env)
			(void)setenv("GOOGLE_APPLICATION_CREDENTIALS", of[i].env, 1);
		p = place_of(URI, &of[i].conf);
		r = kms_gcp_login_parse(&p, &err, &l);
		assert_int_equal(r, of[i].file ? 0 : -EINVAL);
		if (!of[i].file) {
			assert_int_equal(err.class, KMS_CONFIG);
			continue;
		}
		assert_string_equal(l.file, of[i].file);
		assert_int_equal(l.exchange, of[i].exchange);
	}
	(void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
}

static EVP_PKEY *rsa; /* of the tests below; nothing is signed with it but here */

static int rsa_make(void **state)
{
	(void)state;
	rsa = EVP_RSA_gen(2048);
	return rsa ? 0 : -1;
}

static int rsa_done(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	return 0;
}

/* A service account's file as Google's console writes it, with this key. */
static char *file_text(EVP_PKEY *key, const char *token_uri)
{
	static char text[8192];
	BIO *bio = BIO_new(BIO_s_mem());
	const char *pem;
	long n, i;
	char *p = text;

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &pem);
	p += sprintf(p, "{\n  \"type\": \"service_account\",\n  \"project_id\": \"p\",\n  \"private_key_id\": \"kid1\",\n  \"private_key\": \"");
	for (i = 0; i < n; i++)
		p += pem[i] == '\n' ? sprintf(p, "\\n") : sprintf(p, "%c", pem[i]);
	(void)sprintf(p, "\",\n  \"client_email\": \"agent@p.iam.gserviceaccount.com\",\n  \"client_id\": \"1\",\n  \"token_uri\": \"%s\"\n}\n", token_uri);
	BIO_free(bio);
	return text;
}

/* Part i of the token, decoded. */
static size_t part(const char *jwt, int i, uint8_t *out, size_t max)
{
	size_t n;

	for (; i > 0; i--)
		jwt = strchr(jwt, '.') + 1;
	assert_int_equal(b64_url_decode(jwt, strcspn(jwt, "."), out, max, &n), 0);
	return n;
}

static void a_token_is_signed_by_the_account(void **state)
{
	const char *text = file_text(rsa, "https://oauth2.googleapis.com/token");
	struct gcp_account a = { 0 };
	uint8_t out[1024];
	const char *jwt;
	struct secret *s;
	EVP_MD_CTX *ctx;
	size_t n;

	(void)state;
	assert_int_equal(kms_gcp_account_parse(text, strlen(text), &a), 0);
	assert_string_equal(a.email, "agent@p.iam.gserviceaccount.com");
	assert_string_equal(a.token_uri, "https://oauth2.googleapis.com/token");
	assert_int_equal(kms_gcp_jwt(&a, GCP_AUDIENCE, NULL, 1000, &s), 0);
	jwt = (const char *)secret_bytes_const(s);
	out[part(jwt, 0, out, sizeof(out))] = '\0';
	assert_string_equal((char *)out, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"kid1\"}");
	out[part(jwt, 1, out, sizeof(out))] = '\0';
	assert_string_equal((char *)out, "{\"iss\":\"agent@p.iam.gserviceaccount.com\",\"sub\":\"agent@p.iam.gserviceaccount.com\","
					 "\"aud\":\"https://cloudkms.googleapis.com/\",\"iat\":1000,\"exp\":4600}");
	n = part(jwt, 2, out, sizeof(out));
	ctx = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, rsa), 1);
	assert_int_equal(EVP_DigestVerify(ctx, out, n, (const uint8_t *)jwt, (size_t)(strrchr(jwt, '.') - jwt)), 1);
	EVP_MD_CTX_free(ctx);
	secret_free(s);

	assert_int_equal(kms_gcp_jwt(&a, a.token_uri, GCP_SCOPE, 1000, &s), 0);
	out[part((const char *)secret_bytes_const(s), 1, out, sizeof(out))] = '\0';
	assert_string_equal((char *)out, "{\"iss\":\"agent@p.iam.gserviceaccount.com\",\"scope\":\"https://www.googleapis.com/auth/cloudkms\","
					 "\"aud\":\"https://oauth2.googleapis.com/token\",\"iat\":1000,\"exp\":4600}");
	secret_free(s);
	kms_gcp_account_done(&a);
}

static void an_exchange_goes_to_the_files_token_uri(void **state)
{
	static const char form[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c";
	static const char *const bad[] = { "", "http://h/token", "https://h", "https:///token", "ftp://h/t", "https://u@h/t", "https://h/../t", "https://h//t" };
	struct gcp_account a = { .token_uri = "https://oauth2.googleapis.com/token" };
	struct http_request req = { 0 };
	struct secret *jwt;
	size_t i;

	(void)state;
	assert_int_equal(secret_new_copy("a.b.c", 6, &jwt), 0);
	assert_int_equal(kms_gcp_build_exchange(&a, jwt, &req), 0);
	assert_string_equal(req.url.text, "https://oauth2.googleapis.com/token");
	assert_string_equal(req.headers[0].value, "application/x-www-form-urlencoded");
	assert_int_equal(req.body_len, strlen(form));
	assert_memory_equal(secret_bytes(req.body), form, req.body_len);
	http_request_done(&req);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(a.token_uri, sizeof(a.token_uri), "%s", bad[i]);
		if (kms_gcp_build_exchange(&a, jwt, &req) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	}
	secret_free(jwt);
}

#define ACCOUNT(type, email, kid, key, uri)                                                                                  \
	"{\"type\":" type ",\"client_email\":" email ",\"private_key_id\":" kid ",\"private_key\":" key ",\"token_uri\":" uri "}"

static void a_file_that_is_no_service_accounts_is_refused(void **state)
{
	static const struct {
		const char *text;
		int r;
	} bad[] = {
		{ "", -EUCLEAN }, { "{}", -EUCLEAN }, { "[]", -EUCLEAN },
		{ ACCOUNT("\"authorized_user\"", "\"a@b\"", "\"k\"", "\"x\"", "\"https://h/t\""), -EOPNOTSUPP },
		{ ACCOUNT("\"external_account\"", "\"a@b\"", "\"k\"", "\"x\"", "\"https://h/t\""), -EOPNOTSUPP },
		{ ACCOUNT("\"service_account\"", "\"\"", "\"k\"", "\"x\"", "\"https://h/t\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "\"a\\\",\\\"x\"", "\"k\"", "\"x\"", "\"https://h/t\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "1", "\"k\"", "\"x\"", "\"https://h/t\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "\"a@b\"", "\"k\\\"\"", "\"x\"", "\"https://h/t\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "\"a@b\"", "\"k\"", "\"\"", "\"https://h/t\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "\"a@b\"", "\"k\"", "null", "\"https://h/t\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "\"a@b\"", "\"k\"", "\"x\"", "\"https://h/t?a=b\""), -EUCLEAN },
		{ ACCOUNT("\"service_account\"", "\"a@b\"", "\"k\"", "\"x\"", "7"), -EUCLEAN },
	};
	static const char unusable[] = ACCOUNT("\"service_account\"", "\"a@b\"", "\"k\"", "\"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n\"", "\"https://h/t\"");
	struct gcp_account a = { 0 };
	struct secret *jwt = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (kms_gcp_account_parse(bad[i].text, strlen(bad[i].text), &a) != bad[i].r)
			fail_msg("not %d: %s", bad[i].r, bad[i].text);
		assert_null(a.pem);
	}
	assert_int_equal(kms_gcp_account_parse(unusable, strlen(unusable), &a), 0);
	assert_int_equal(kms_gcp_jwt(&a, "x", NULL, 0, &jwt), -EINVAL);
	assert_null(jwt);
	kms_gcp_account_done(&a);
}

static void small_and_other_keys_sign_nothing(void **state)
{
	EVP_PKEY *const keys[] = { EVP_RSA_gen(1024), EVP_EC_gen("P-256") };
	struct gcp_account a;
	struct secret *jwt = NULL;
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		text = file_text(keys[i], "https://h/t");
		assert_int_equal(kms_gcp_account_parse(text, strlen(text), &a), 0);
		assert_int_equal(kms_gcp_jwt(&a, "x", NULL, 0, &jwt), -EINVAL);
		kms_gcp_account_done(&a);
		EVP_PKEY_free(keys[i]);
	}
}

static struct gcp_login login_of(const struct kms_conf *conf)
{
	struct gcp_place p = place_of(URI, conf);
	struct gcp_login l;
	struct kms_error err;

	assert_int_equal(kms_gcp_login_parse(&p, &err, &l), 0);
	return l;
}

static void a_file_that_others_reach_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		int r;
	} of[] = { { 0600, 0 }, { 0640, 0 }, { 0604, -EINVAL }, { 0620, -EINVAL }, { 0602, -EINVAL } };
	const char *text = file_text(rsa, "https://oauth2.googleapis.com/token");
	char path[] = "/tmp/coffer-gcp-XXXXXX";
	struct kms_conf conf = { 0 };
	struct kms_error err = { 0 };
	struct kms_bearer b = { 0 };
	struct gcp_login l;
	int fd = mkstemp(path);
	size_t i;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fileio_write_full(fd, text, strlen(text)), 0);
	(void)snprintf(conf.credentials, sizeof(conf.credentials), "file:%s", path);
	l = login_of(&conf);
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		assert_int_equal(fchmod(fd, of[i].mode), 0);
		assert_int_equal(kms_gcp_fetch(&l, clock_boot_ms() + 1, &err, &b), of[i].r);
		if (of[i].r < 0) {
			assert_int_equal(err.class, KMS_CONFIG);
			assert_non_null(strstr(err.message, path));
			continue;
		}
		assert_string_equal(b.who, "agent@p.iam.gserviceaccount.com");
		assert_int_equal(b.life_s, 3600);
		secret_free(b.token);
		b.token = NULL;
	}
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(ftruncate(fd, 20), 0);
	assert_int_equal(kms_gcp_fetch(&l, clock_boot_ms() + 1, &err, &b), -EINVAL);
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(kms_gcp_fetch(&l, clock_boot_ms() + 1, &err, &b), -EACCES);
	assert_int_equal(err.class, KMS_AUTH);
}

static void metadata_is_asked_at_its_own_addresses_alone(void **state)
{
	static const char *const bad[] = { "example.com", "127.0.0.1:80", "169.254.169.254@example.com", "169.254.169.254/x?", "169.254.169.254.example.com" };
	struct kms_conf conf = { .credentials = "imds" };
	struct gcp_login l = login_of(&conf);
	struct kms_bearer b = { 0 };
	struct kms_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&err, 0, sizeof(err));
		(void)setenv("GCE_METADATA_HOST", bad[i], 1);
		kms_call_forget();
		if (kms_gcp_fetch(&l, clock_boot_ms() + 1, &err, &b) != -EINVAL || err.class != KMS_CONFIG)
			fail_msg("%s: %s", bad[i], err.message);
	}
	(void)unsetenv("GCE_METADATA_HOST");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_has_its_class),
		cmocka_unit_test(the_code_is_the_reason_or_the_status),
		cmocka_unit_test(a_uri_names_a_key_and_no_version),
		cmocka_unit_test(only_the_host_says_where),
		cmocka_unit_test(requests_bind_the_context_and_carry_all_checksums),
		cmocka_unit_test(a_wrapped_key_has_a_length),
		cmocka_unit_test(a_wrapped_key_is_taken_with_its_version),
		cmocka_unit_test(what_is_not_confirmed_is_refused),
		cmocka_unit_test(a_key_is_32_bytes_whose_checksum_is_right),
		cmocka_unit_test(words_of_auth_and_credentials_are_understood),
		cmocka_unit_test(a_token_is_signed_by_the_account),
		cmocka_unit_test(an_exchange_goes_to_the_files_token_uri),
		cmocka_unit_test(a_file_that_is_no_service_accounts_is_refused),
		cmocka_unit_test(small_and_other_keys_sign_nothing),
		cmocka_unit_test(a_file_that_others_reach_is_refused),
		cmocka_unit_test(metadata_is_asked_at_its_own_addresses_alone),
	};

	return cmocka_run_group_tests(tests, rsa_make, rsa_done);
}
