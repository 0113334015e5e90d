/* test_kms_azure.c: Key Vault's answers as its documentation and its users' reports have them, the requests we make of them, and the tokens. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "kms/kms_azure_impl.h"
#include "kms_fixture.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_A "0123456789abcdef0123456789abcdef"
#define VERSION_B "fedcba9876543210fedcba9876543210"
#define URI "azure-kms://acme.vault.azure.net/keys/kek"
#define KID "https://acme.vault.azure.net/keys/kek/" VERSION_A
#define ERR(code, text) "{\"error\":{\"code\":\"" code "\",\"message\":\"" text "\"}}"
#define INNER(code, text, name, inner) "{\"error\":{\"code\":\"" code "\",\"message\":\"" text "\",\"" name "\":{\"code\":\"" inner "\"}}}"
#define KEK_B64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

/* --- classes --- */

static const struct kms_row rows[] = {
	{ "success", 200, "{}", KMS_OK, false },
	{ "disabled", 403, INNER("Forbidden", "Operation unwrapKey is not allowed on a disabled key.", "innererror", "KeyDisabled"), KMS_REVOKED, false },
	{ "disabled, written otherwise", 403, INNER("Forbidden", "no", "innerError", "KeyDisabled"), KMS_REVOKED, false },
	{ "disabled, by its words", 403, ERR("Forbidden", "Operation unwrapKey is not allowed on a disabled key."), KMS_REVOKED, false },
	{ "expired", 403, ERR("Forbidden", "Operation unwrapKey is not allowed on an expired key."), KMS_REVOKED, false },
	{ "not yet valid", 403, ERR("Forbidden", "Operation unwrapKey is not allowed on a key that is not yet valid."), KMS_REVOKED, false },
	{ "no such key", 404, ERR("KeyNotFound", "A key with (name/id) kek was not found in this key vault."), KMS_REVOKED, false },
	{ "deleted softly", 409, INNER("Conflict", "Key kek is currently in a deleted but recoverable state", "innererror", "ObjectIsDeletedButRecoverable"), KMS_REVOKED, false },
	{ "being deleted", 409, INNER("Conflict", "Key kek is currently being deleted", "innererror", "ObjectIsBeingDeleted"), KMS_REVOKED, false },
	{ "another conflict", 409, ERR("Conflict", "x"), KMS_DENIED, false },
	{ "access policy", 403, INNER("Forbidden", "The user does not have keys unwrapKey permission on key vault", "innererror", "ForbiddenByPolicy"), KMS_DENIED, false },
	{ "role removed", 403, INNER("Forbidden", "Caller is not authorized to perform action on resource.", "innererror", "ForbiddenByRbac"), KMS_DENIED, false },
	{ "access denied", 403, INNER("Forbidden", "x", "innererror", "AccessDenied"), KMS_DENIED, false },
	{ "firewall", 403, INNER("Forbidden", "Client address is not authorized and caller is not a trusted service.", "innererror", "ForbiddenByFirewall"), KMS_DENIED, true },
	{ "private endpoint", 403, INNER("Forbidden", "Public network access is disabled", "innererror", "ForbiddenByConnection"), KMS_DENIED, true },
	{ "vault without that object", 404, ERR("ResourceNotFound", "x"), KMS_DENIED, false },
	{ "gone", 410, ERR("Gone", "x"), KMS_DENIED, false },
	{ "token refused", 401, ERR("Unauthorized", "AKV10032: Invalid issuer."), KMS_AUTH, false },
	{ "not what was wrapped", 400, ERR("BadParameter", "The parameter is incorrect: could not decrypt/unwrap."), KMS_CORRUPT, false },
	{ "a key of another kind", 400, ERR("BadParameter", "The unwrapKey algorithm is not supported by this key type"), KMS_BADREQ, false },
	{ "an unknown 400", 400, ERR("BadParameter", "something new"), KMS_DENIED, false },
	{ "method", 405, ERR("MethodNotAllowed", "x"), KMS_BADREQ, false },
	{ "throttled", 429, ERR("Throttled", "Request was not processed because too many requests were received."), KMS_THROTTLED, false },
	{ "throttled, by a proxy", 429, "slow down", KMS_THROTTLED, false },
	{ "time-out", 408, "", KMS_TRANSIENT, false },
	{ "internal", 500, ERR("InternalServerError", "x"), KMS_TRANSIENT, false },
	{ "gateway", 502, "<html>", KMS_TRANSIENT, false },
	{ "unavailable", 503, ERR("ServiceUnavailable", "x"), KMS_TRANSIENT, false },
	{ "redirect", 302, "", KMS_TRANSIENT, true },
	{ "captive proxy, 403", 403, "<html>please log in</html>", KMS_TRANSIENT, true },
	{ "captive proxy, 404", 404, "not found", KMS_TRANSIENT, true },
	{ "another API's error", 400, "{\"error\":\"invalid_request\"}", KMS_TRANSIENT, true },
	{ "empty 401", 401, "", KMS_TRANSIENT, true },
};

static void each_answer_has_its_class(void **state)
{
	(void)state;
	kms_rows_check(rows, sizeof(rows) / sizeof(rows[0]), kms_azure_classify);
}

static void the_inner_code_is_the_code(void **state)
{
	static const char body[] = INNER("Forbidden", "a\\u001b[31m\\r\\nCaller: x", "innererror", "ForbiddenByRbac");
	struct kms_error err = { 0 };

	(void)state;
	(void)kms_azure_classify(403, body, strlen(body), &err);
	assert_string_equal(err.code, "ForbiddenByRbac");
	assert_string_equal(err.message, "answered 403: ForbiddenByRbac: a\\x1b[31m");
	(void)kms_azure_classify(404, ERR("KeyNotFound", "x"), strlen(ERR("KeyNotFound", "x")), &err);
	assert_string_equal(err.code, "KeyNotFound");
}

/* --- where, and what is asked --- */

static struct azure_place place_of(const char *text, const struct kms_conf *conf)
{
	struct azure_place p;
	struct kms_error err;
	struct kms_uri uri;

	assert_int_equal(kms_uri_parse(text, &uri), 0);
	assert_int_equal(kms_azure_place(&uri, conf, "acme", &err, &p), 0);
	return p;
}

static void a_uri_names_a_vault_and_a_key(void **state)
{
	static const char *const bad[] = { "azure-kms:acme.vault.azure.net/keys/kek", "azure-kms://acme.vault.azure.net/keys", "azure-kms://acme.vault.azure.net/secrets/kek",
					   "azure-kms://acme.vault.azure.net/keys/a_b", "azure-kms://acme.vault.azure.net/keys/k/" VERSION_A "/x", "azure-kms://acme.vault.azure.net/keys//k",
					   "azure-kms://u@acme.vault.azure.net/keys/k", "azure-kms://acme.vault.azure.net/keys/k/a.b", "azure-kms://acme.vault.azure.net/keys/../k" };
	struct azure_place p = place_of(URI "/" VERSION_A, NULL);
	struct kms_uri uri;
	size_t i;

	(void)state;
	assert_string_equal(p.vault, "https://acme.vault.azure.net");
	assert_string_equal(p.origin, p.vault);
	assert_string_equal(p.name, "kek");
	assert_string_equal(p.version, VERSION_A);
	assert_string_equal(place_of(URI, NULL).version, "");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_uri_parse(bad[i], &uri) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void a_vaults_name_says_of_which_cloud_it_is(void **state)
{
	static const struct {
		const char *host, *resource, *authority;
	} good[] = {
		{ "acme.vault.azure.net", "https://vault.azure.net", "https://login.microsoftonline.com" },
		{ "Acme.Vault.Azure.Net", "https://vault.azure.net", "https://login.microsoftonline.com" },
		{ "acme.managedhsm.azure.net", "https://managedhsm.azure.net", "https://login.microsoftonline.com" },
		{ "acme.vault.azure.cn", "https://vault.azure.cn", "https://login.chinacloudapi.cn" },
		{ "acme.vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", "https://login.microsoftonline.us" },
		{ "acme.managedhsm.usgovcloudapi.net", "https://managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us" },
	};
	static const char *const bad[] = { "vault.azure.net", "a.b.vault.azure.net", "acme.vault.azure.net.evil.test", "acme-vault.azure.net", "evil.test", "acme.vault.azure.net:8443", "localhost" };
	struct kms_conf conf = { .endpoint = "https://private.test:8443" };
	struct azure_place p;
	struct kms_error err;
	struct kms_uri uri;
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		(void)snprintf(text, sizeof(text), "azure-kms://%s/keys/k", good[i].host);
		p = place_of(text, NULL);
		assert_string_equal(p.resource, good[i].resource);
		assert_string_equal(p.authority, good[i].authority);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "azure-kms://%s/keys/k", bad[i]);
		assert_int_equal(kms_uri_parse(text, &uri), 0);
		if (kms_azure_place(&uri, NULL, "acme", &err, &p) != -EINVAL || err.class != KMS_CONFIG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(kms_azure_place(&uri, &conf, "acme", &err, &p), 0);
		assert_string_equal(p.origin, "https://private.test:8443");
	}
	memcpy(conf.endpoint, "http://h", 9);
	assert_int_equal(kms_azure_place(&uri, &conf, "acme", &err, &p), -EINVAL);
}

static void requests_name_key_version_and_algorithm(void **state)
{
	static const char wrap[] = "{\"alg\":\"RSA-OAEP-256\",\"value\":\"" KEK_B64 "\"}", unwrap[] = "{\"alg\":\"A256KW\",\"value\":\"-_8\"}";
	static const char wrapped[] = "akv1:A256KW:" VERSION_B ":-_8";
	struct kms_conf conf = { .endpoint = "https://private.test", .ca_file = "/ca", .proxy = "http://p:1" };
	struct azure_place p = place_of(URI, &conf);
	struct azure_key key = { .version = VERSION_A };
	struct secret *kek = kms_kek_make();
	struct http_request req;

	(void)state;
	assert_int_equal(kms_azure_build_get(&p, &req), 0);
	assert_string_equal(req.url.text, "https://private.test/keys/kek?api-version=7.4");
	assert_null(req.body);
	assert_int_equal(kms_azure_build_wrap(&p, &key, kek, &req), 0);
	assert_string_equal(req.url.text, "https://private.test/keys/kek/" VERSION_A "/wrapkey?api-version=7.4");
	assert_int_equal(req.body_len, strlen(wrap));
	assert_memory_equal(secret_bytes(req.body), wrap, req.body_len);
	assert_string_equal(req.owner, "acme");
	assert_string_equal(req.ca_file, "/ca");
	assert_string_equal(req.proxy, "http://p:1");
	http_request_done(&req);
	assert_int_equal(kms_azure_build_unwrap(&p, (const uint8_t *)wrapped, strlen(wrapped), &key, &req), 0);
	assert_string_equal(req.url.text, "https://private.test/keys/kek/" VERSION_B "/unwrapkey?api-version=7.4");
	assert_int_equal(req.body_len, strlen(unwrap));
	assert_memory_equal(secret_bytes(req.body), unwrap, req.body_len);
	assert_int_equal(key.alg, AZURE_A256KW);
	assert_string_equal(key.version, VERSION_B);
	http_request_done(&req);
	secret_free(kek);
}

static void a_wrapped_key_cannot_speak_for_us(void **state)
{
	static const char *const bad[] = { "", "akv1:", "akv1:RSA-OAEP-256:" VERSION_A, "akv1:RSA-OAEP-256:" VERSION_A ":", "akv1:RSA-OAEP:" VERSION_A ":AAAA",
					   "akv1:RSA-OAEP-256::AAAA", "akv1:RSA-OAEP-256:../x:AAAA", "akv1:RSA-OAEP-256:a/b:AAAA", "akv1:RSA-OAEP-256:" VERSION_A ":AA\"A",
					   "akv1:RSA-OAEP-256:" VERSION_A ":AA==", "akv2:RSA-OAEP-256:" VERSION_A ":AAAA", "akv1:RSA-OAEP-256:" VERSION_A ":AA:A",
					   "akv1:RSA-OAEP-256:" VERSION_A VERSION_A "0:AAAA" };
	static char large[2000] = "akv1:RSA-OAEP-256:" VERSION_A ":";
	struct azure_place p = place_of(URI, NULL);
	struct http_request req = { 0 };
	struct azure_key key;
	size_t i, n = strlen(large);

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_azure_build_unwrap(&p, (const uint8_t *)bad[i], strlen(bad[i]), &key, &req) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
	memset(large + n, 'A', sizeof(large) - n);
	assert_int_equal(kms_azure_build_unwrap(&p, (const uint8_t *)large, n + 1401, &key, &req), -EUCLEAN);
	assert_int_equal(kms_azure_build_unwrap(&p, (const uint8_t *)large, n + 1400, &key, &req), 0);
	http_request_done(&req);
}

/* --- answers --- */

#define KEY_OF(kid, kty) "{\"key\":{\"kid\":\"" kid "\",\"kty\":" kty ",\"key_ops\":[\"wrapKey\"],\"n\":\"AQAB\",\"e\":\"AQAB\"},\"attributes\":{\"enabled\":true}}"

static void the_newest_version_and_how_it_wraps(void **state)
{
	static const struct {
		const char *body;
		int r;
		enum azure_alg alg;
	} of[] = {
		{ KEY_OF(KID, "\"RSA\""), 0, AZURE_RSA_OAEP_256 }, { KEY_OF(KID, "\"RSA-HSM\""), 0, AZURE_RSA_OAEP_256 },
		{ KEY_OF(KID, "\"oct-HSM\""), 0, AZURE_A256KW },
		{ KEY_OF("https://ACME.vault.azure.net/keys/KEK/" VERSION_A, "\"RSA\""), 0, AZURE_RSA_OAEP_256 },
		{ KEY_OF(KID, "\"EC\""), -EOPNOTSUPP, 0 }, { KEY_OF(KID, "7"), -EUCLEAN, 0 },
		{ KEY_OF("https://evil.vault.azure.net/keys/kek/" VERSION_A, "\"RSA\""), -EUCLEAN, 0 },
		{ KEY_OF("https://acme.vault.azure.net/keys/kek2/" VERSION_A, "\"RSA\""), -EUCLEAN, 0 },
		{ KEY_OF("https://acme.vault.azure.net/keys/kek", "\"RSA\""), -EUCLEAN, 0 },
		{ KEY_OF("https://acme.vault.azure.net/keys/kek/", "\"RSA\""), -EUCLEAN, 0 },
		{ KEY_OF("https://acme.vault.azure.net/keys/kek/" VERSION_A "/x", "\"RSA\""), -EUCLEAN, 0 },
		{ "{}", -EUCLEAN, 0 }, { "", -EUCLEAN, 0 },
	};
	struct azure_place p = place_of(URI, NULL);
	struct azure_key key;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		if (kms_azure_parse_get(&p, of[i].body, strlen(of[i].body), &key) != of[i].r)
			fail_msg("not %d: %s", of[i].r, of[i].body);
		if (of[i].r == 0) {
			assert_int_equal(key.alg, of[i].alg);
			assert_string_equal(key.version, VERSION_A);
		}
	}
}

#define DONE(kid, value) "{\"kid\":\"" kid "\",\"value\":" value "}"

static void a_wrapped_key_is_kept_with_its_whole_identifier(void **state)
{
	static const char good[] = DONE(KID, "\"-_8\"");
	static const char *const bad[] = { DONE(KID, "\"\""), DONE(KID, "\"A\""), DONE(KID, "\"AA==\""), DONE(KID, "\"AA+A\""), DONE(KID, "null"),
					   DONE("https://acme.vault.azure.net/keys/kek/" VERSION_B, "\"-_8\""), DONE("https://acme.vault.azure.net/keys/other/" VERSION_A, "\"-_8\""),
					   DONE("https://other.vault.azure.net/keys/kek/" VERSION_A, "\"-_8\""), "{\"value\":\"-_8\"}", DONE("http://acme.vault.azure.net/keys/kek/" VERSION_A, "\"-_8\""),
					   DONE(KID "\",\"kid\":\"" KID, "\"-_8\""), "{}", "" };
	struct azure_place p = place_of(URI, NULL);
	struct azure_key key = { .version = VERSION_A }, again;
	static struct kms_wrapped w;
	struct http_request req;
	size_t i;

	(void)state;
	assert_int_equal(kms_azure_parse_wrap(&p, &key, good, strlen(good), &w), 0);
	assert_int_equal(w.len, strlen("akv1:RSA-OAEP-256:" VERSION_A ":-_8"));
	assert_memory_equal(w.bytes, "akv1:RSA-OAEP-256:" VERSION_A ":-_8", w.len);
	assert_string_equal(w.key_version, KID);
	assert_int_equal(kms_azure_build_unwrap(&p, w.bytes, w.len, &again, &req), 0);
	assert_string_equal(again.version, VERSION_A);
	http_request_done(&req);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_azure_parse_wrap(&p, &key, bad[i], strlen(bad[i]), &w) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
}

static void a_key_is_32_bytes_of_the_version_that_was_asked(void **state)
{
	static const char good[] = DONE(KID, "\"" KEK_B64 "\"");
	static const struct {
		const char *body;
		int r;
	} bad[] = {
		{ DONE(KID, "\"\""), -EKEYREJECTED }, { DONE(KID, "\"AAAA\""), -EKEYREJECTED }, { DONE(KID, "\"" KEK_B64 "g\""), -EKEYREJECTED },
		{ DONE(KID, "\"" KEK_B64 "=\""), -EKEYREJECTED }, { DONE(KID, "\"!" KEK_B64 "\""), -EKEYREJECTED }, { DONE(KID, "null"), -EUCLEAN },
		{ DONE("https://acme.vault.azure.net/keys/kek/" VERSION_B, "\"" KEK_B64 "\""), -EUCLEAN },
		{ DONE("https://evil.test/keys/kek/" VERSION_A, "\"" KEK_B64 "\""), -EUCLEAN }, { "{}", -EUCLEAN },
	};
	struct azure_place p = place_of(URI, NULL);
	struct azure_key key = { .version = VERSION_A };
	struct secret *kek = NULL;
	uint8_t k;
	size_t i;

	(void)state;
	assert_int_equal(kms_azure_parse_unwrap(&p, &key, good, strlen(good), &kek), 0);
	for (k = 0; k < KEY_LEN; k++)
		assert_int_equal(secret_bytes(kek)[k], k);
	secret_free(kek);
	kek = NULL;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (kms_azure_parse_unwrap(&p, &key, bad[i].body, strlen(bad[i].body), &kek) != bad[i].r)
			fail_msg("not %d: %s", bad[i].r, bad[i].body);
		assert_null(kek);
	}
}

/* --- logging in --- */

static const char *const variables[] = { "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER" };

/* "s" of env is AZURE_CLIENT_SECRET; i the two ids, f the file, p the endpoint of a pod. */
static void environment(const char *env)
{
	size_t i;

	for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		(void)unsetenv(variables[i]);
	if (strchr(env, 'i')) {
		(void)setenv("AZURE_TENANT_ID", "dir-1", 1);
		(void)setenv("AZURE_CLIENT_ID", "app-1", 1);
	}
	if (strchr(env, 's'))
		(void)setenv("AZURE_CLIENT_SECRET", "secret", 1);
	if (strchr(env, 'f'))
		(void)setenv("AZURE_FEDERATED_TOKEN_FILE", "/fed.jwt", 1);
	if (strchr(env, 'p')) {
		(void)setenv("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token", 1);
		(void)setenv("IDENTITY_HEADER", "hdr", 1);
	}
}

static void words_of_auth_and_credentials_are_understood(void **state)
{
	static const struct {
		struct kms_conf conf;
		const char *env;
		enum azure_method method;
		const char *directory, *client, *file; /* directory NULL: refused */
	} of[] = {
		{ { .auth = "" }, "", AZURE_IMDS, "", "", "" },
		{ { .auth = "" }, "p", AZURE_POD, "", "", "" },
		{ { .auth = "" }, "ifp", AZURE_WORKLOAD, "dir-1", "app-1", "/fed.jwt" },
		{ { .auth = "" }, "isfp", AZURE_CLIENT, "dir-1", "app-1", "" },
		{ { .auth = "" }, "s", AZURE_IMDS, "", "", "" },
		{ { .auth = "" }, "f", AZURE_IMDS, "", "", "" },
		{ { .credentials = "env" }, "isf", AZURE_CLIENT, "dir-1", "app-1", "" },
		{ { .credentials = "web" }, "isf", AZURE_WORKLOAD, "dir-1", "app-1", "/fed.jwt" },
		{ { .credentials = "imds" }, "isfp", AZURE_IMDS, "", "", "" },
		{ { .credentials = "pod" }, "isfp", AZURE_POD, "", "", "" },
		{ { .auth = "identity" }, "isf", AZURE_IMDS, "", "", "" },
		{ { .auth = "identity:app-2", .credentials = "imds" }, "p", AZURE_IMDS, "", "app-2", "" },
		{ { .auth = "identity:app-2" }, "p", AZURE_POD, "", "app-2", "" },
		{ { .auth = "client:dir.example/app-2", .credentials = "file:/s" }, "isf", AZURE_CLIENT, "dir.example", "app-2", "/s" },
		{ { .auth = "workload:dir-2/app-2", .credentials = "file:/j" }, "f", AZURE_WORKLOAD, "dir-2", "app-2", "/j" },
		{ { .auth = "workload:dir-2/app-2" }, "f", AZURE_WORKLOAD, "dir-2", "app-2", "/fed.jwt" },
		{ { .credentials = "env" }, "if", 0, NULL, NULL, NULL }, { { .credentials = "web" }, "is", 0, NULL, NULL, NULL },
		{ { .credentials = "pod" }, "is", 0, NULL, NULL, NULL }, { { .credentials = "file:/s" }, "is", 0, NULL, NULL, NULL },
		{ { .auth = "client:dir/app" }, "s", 0, NULL, NULL, NULL }, { { .auth = "client:dir", .credentials = "file:/s" }, "", 0, NULL, NULL, NULL },
		{ { .auth = "client:/app", .credentials = "file:/s" }, "", 0, NULL, NULL, NULL }, { { .auth = "client:dir/", .credentials = "file:/s" }, "", 0, NULL, NULL, NULL },
		{ { .auth = "client:dir/a/b", .credentials = "file:/s" }, "", 0, NULL, NULL, NULL }, { { .auth = "client:d?r/a", .credentials = "file:/s" }, "", 0, NULL, NULL, NULL },
		{ { .auth = "workload:dir/app" }, "", 0, NULL, NULL, NULL }, { { .auth = "identity:" }, "", 0, NULL, NULL, NULL },
		{ { .auth = "identity:a&b" }, "", 0, NULL, NULL, NULL }, { { .auth = "identity", .credentials = "env" }, "is", 0, NULL, NULL, NULL },
		{ { .auth = "identityx" }, "", 0, NULL, NULL, NULL }, { { .auth = "token" }, "", 0, NULL, NULL, NULL },
	};
	struct azure_login l;
	struct kms_error err;
	struct azure_place p;
	size_t i;
	int r;

	(void)state;
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		environment(of[i].env);
		p = place_of(URI, &of[i].conf);
		r = kms_azure_login_parse(&p, &err, &l);
		if (r != (of[i].directory ? 0 : -EINVAL))
			fail_msg("auth=%s credentials=%s with %s: %d", of[i].conf.auth, of[i].conf.credentials, of[i].env, r);
		if (r < 0) {
			assert_int_equal(err.class, KMS_CONFIG);
			continue;
		}
		assert_int_equal(l.method, of[i].method);
		assert_string_equal(l.directory, of[i].directory);
		assert_string_equal(l.client, of[i].client);
		assert_string_equal(l.file, of[i].file);
		assert_string_equal(l.authority, "https://login.microsoftonline.com");
	}
	environment("");
}

static void a_secret_goes_to_the_authority_alone(void **state)
{
	static const char *const bad[] = { "http://login.test", "login.test", "https://login.test/x", "https://u@login.test" };
	struct azure_place p = place_of(URI, NULL);
	struct azure_login l;
	struct kms_error err;
	size_t i;

	(void)state;
	environment("is");
	(void)setenv("AZURE_AUTHORITY_HOST", "https://login.test:8443/", 1);
	assert_int_equal(kms_azure_login_parse(&p, &err, &l), 0);
	assert_string_equal(l.authority, "https://login.test:8443");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)setenv("AZURE_AUTHORITY_HOST", bad[i], 1);
		assert_int_equal(kms_azure_login_parse(&p, &err, &l), -EINVAL);
	}
	environment("");
}

static struct http_request token_request(const char *env, const struct kms_conf *conf, const char *word)
{
	struct azure_place p = place_of(URI, conf);
	struct http_request req = { 0 };
	struct secret *secret;
	static struct azure_login l;
	struct kms_error err;

	environment(env);
	assert_int_equal(secret_new_copy(word, strlen(word) + 1, &secret), 0);
	assert_int_equal(kms_azure_login_parse(&p, &err, &l), 0);
	assert_int_equal(kms_azure_build_token(&l, secret, &req), 0);
	secret_free(secret);
	return req;
}

static void tokens_are_asked_for_as_microsofts_clients_do(void **state)
{
	static const char client[] = "grant_type=client_credentials&client_id=app-1&scope=https%3A%2F%2Fvault.azure.net%2F.default&client_secret=s3cret%2B%2F%3D";
	static const char workload[] = "grant_type=client_credentials&client_id=app-1&scope=https%3A%2F%2Fvault.azure.net%2F.default"
				       "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c";
	static const struct kms_conf nothing, user = { .auth = "identity:app-2", .credentials = "imds" }, pod = { .credentials = "pod" };
	struct http_request req;

	(void)state;
	req = token_request("", &nothing, "-");
	assert_string_equal(req.url.text, "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net");
	assert_string_equal(req.headers[0].name, "Metadata");
	assert_true(req.metadata && !req.loopback_ok && !req.body);
	req = token_request("", &user, "-");
	assert_non_null(strstr(req.url.text, "&client_id=app-2"));
	req = token_request("p", &pod, "-");
	assert_string_equal(req.url.text, "http://localhost:8081/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net");
	assert_string_equal(req.headers[1].name, "X-IDENTITY-HEADER");
	assert_string_equal(req.headers[1].value, "hdr");
	assert_true(req.metadata && req.loopback_ok);
	req = token_request("is", &nothing, "s3cret+/=");
	assert_string_equal(req.url.text, "https://login.microsoftonline.com/dir-1/oauth2/v2.0/token");
	assert_false(req.metadata);
	assert_int_equal(req.body_len, strlen(client));
	assert_memory_equal(secret_bytes(req.body), client, req.body_len);
	http_request_done(&req);
	req = token_request("if", &nothing, "a.b.c");
	assert_int_equal(req.body_len, strlen(workload));
	assert_memory_equal(secret_bytes(req.body), workload, req.body_len);
	http_request_done(&req);
	environment("");
}

static void an_identity_is_asked_of_this_host_alone(void **state)
{
	static const char *const bad[] = { "http://example.com/msi", "https://localhost/msi", "http://localhost", "http://localhost/msi?x=y", "localhost:80/x",
					   "http://localhost@example.com/msi", "http://localhost/../msi", "http://169.254.169.254.example.com/x" };
	static const struct kms_conf pod = { .credentials = "pod" };
	struct azure_place p = place_of(URI, &pod);
	struct kms_bearer b = { 0 };
	struct azure_login l;
	struct kms_error err;
	size_t i;

	(void)state;
	environment("p");
	assert_int_equal(kms_azure_login_parse(&p, &err, &l), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)setenv("IDENTITY_ENDPOINT", bad[i], 1);
		if (kms_azure_fetch(&l, clock_boot_ms() + 1, &err, &b) != -EINVAL || err.class != KMS_CONFIG)
			fail_msg("%s: %s", bad[i], err.message);
	}
	environment("");
}

static void a_secrets_file_that_others_reach_is_refused(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *says;
	} of[] = { { "s3cret~.-", 0604, "mode 0604" }, { "s3cret", 0620, "mode 0620" }, { "", 0600, "0 bytes" }, { "two words", 0600, "more than one word" } };
	char path[] = "/tmp/coffer-azure-XXXXXX";
	struct kms_conf conf = { .auth = "client:dir/app" };
	struct kms_bearer b = { 0 };
	struct azure_place p;
	struct azure_login l;
	struct kms_error err;
	int fd = mkstemp(path);
	size_t i;

	(void)state;
	assert_true(fd >= 0);
	environment("");
	(void)snprintf(conf.credentials, sizeof(conf.credentials), "file:%s", path);
	p = place_of(URI, &conf);
	assert_int_equal(kms_azure_login_parse(&p, &err, &l), 0);
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, of[i].text, strlen(of[i].text), 0), (ssize_t)strlen(of[i].text));
		assert_int_equal(fchmod(fd, of[i].mode), 0);
		assert_int_equal(kms_azure_fetch(&l, clock_boot_ms() + 1, &err, &b), -EINVAL);
		if (!strstr(err.message, of[i].says))
			fail_msg("%s", err.message);
	}
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(kms_azure_fetch(&l, clock_boot_ms() + 1, &err, &b), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_has_its_class),
		cmocka_unit_test(the_inner_code_is_the_code),
		cmocka_unit_test(a_uri_names_a_vault_and_a_key),
		cmocka_unit_test(a_vaults_name_says_of_which_cloud_it_is),
		cmocka_unit_test(requests_name_key_version_and_algorithm),
		cmocka_unit_test(a_wrapped_key_cannot_speak_for_us),
		cmocka_unit_test(the_newest_version_and_how_it_wraps),
		cmocka_unit_test(a_wrapped_key_is_kept_with_its_whole_identifier),
		cmocka_unit_test(a_key_is_32_bytes_of_the_version_that_was_asked),
		cmocka_unit_test(words_of_auth_and_credentials_are_understood),
		cmocka_unit_test(a_secret_goes_to_the_authority_alone),
		cmocka_unit_test(tokens_are_asked_for_as_microsofts_clients_do),
		cmocka_unit_test(an_identity_is_asked_of_this_host_alone),
		cmocka_unit_test(a_secrets_file_that_others_reach_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
