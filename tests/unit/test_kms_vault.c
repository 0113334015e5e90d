/* test_kms_vault.c: Vault's answers, as OpenBao 2.7.2 gave them or, where it cannot be brought to, as its documentation has them; and the
 * requests we make of them. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kms/kms_vault_impl.h"
#include "kms_fixture.h"

#include "base/clock.h"

#define ERR(text) "{\"errors\":[\"" text "\"]}\n"
#define POLICY_403 ERR("1 error occurred:\\n\\t* permission denied\\n\\n")
#define KEK_B64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define CIPHERTEXT "vault:v1:IE0E7tmD+YPg9PULgstJ43CHSJSXIjR2uyHFlv2GYKtlVhfM8LKKYR8iqiI9HUq3w3BCC/A9DLYvnFWC"
#define ENVELOPE(data, auth)                                                                                             \
	"{\"request_id\":\"2c461ed1-e15c-8df4-edcd-8db6aabf30c4\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0," \
	"\"data\":" data ",\"wrap_info\":null,\"warnings\":null,\"auth\":" auth "}\n"
#define AUTH(lease)                                                                                                        \
	ENVELOPE("null", "{\"client_token\":\"s.xcRcLqcvIbslxWS3plZnOsow\",\"accessor\":\"yiPNvrHWFQ0ISiOZwqOYLYsU\","      \
			 "\"policies\":[\"agent\",\"default\"],\"metadata\":{\"role_name\":\"agent\"},\"lease_duration\":" lease ",\"renewable\":true}")

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3 };
static const struct kms_context acme = { .tenant = "acme", .uuid = uuid };

/* --- classes --- */

static const struct kms_row rows[] = {
	{ "success", 200, ENVELOPE("{}", "null"), KMS_OK, false },
	{ "success without a body", 204, "", KMS_OK, false },
	{ "key deleted, or never there", 400, ERR("encryption key not found"), KMS_REVOKED, false },
	{ "soft delete", 400, ERR("refusing to use soft-deleted key"), KMS_REVOKED, false },
	{ "min_decryption_version", 400, ERR("ciphertext or signature version is disallowed by policy (too old)"), KMS_REVOKED, false },
	{ "version from the future", 400, ERR("invalid ciphertext: version is too new"), KMS_CORRUPT, false },
	{ "no prefix", 400, ERR("invalid ciphertext: no prefix"), KMS_CORRUPT, false },
	{ "too short", 400, ERR("invalid ciphertext length"), KMS_CORRUPT, false },
	{ "another context", 400, ERR("cipher: message authentication failed"), KMS_CORRUPT, false },
	{ "derived key, no context", 400,
	  ERR("missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information "
	      "must be included in order to perform operations with the key"), KMS_BADREQ, false },
	{ "a key that takes no associated data", 400, ERR("associated_data not supported for this key type"), KMS_BADREQ, false },
	{ "an unknown 400", 400, ERR("something new"), KMS_DENIED, false },
	{ "policy refuses", 403, POLICY_403, KMS_DENIED, false },
	{ "token bad, missing, revoked", 403, ERR("permission denied"), KMS_DENIED, false },
	{ "mount gone", 404, ERR("no handler for route \\\"nomount/decrypt/k\\\". route entry not found."), KMS_DENIED, false },
	{ "hidden", 404, "{\"errors\":[]}", KMS_DENIED, false },
	{ "unauthorized", 401, ERR("unauthorized"), KMS_AUTH, false },
	{ "conflict", 409, ERR("conflict"), KMS_DENIED, false },
	{ "gone", 410, ERR("gone"), KMS_DENIED, false },
	{ "method", 405, ERR("unsupported operation"), KMS_BADREQ, false },
	{ "time-out", 408, "", KMS_TRANSIENT, false },
	{ "replica behind", 412, ERR("required index state not present"), KMS_TRANSIENT, false },
	{ "standby of a secondary", 472, "", KMS_TRANSIENT, false },
	{ "performance standby", 473, "", KMS_TRANSIENT, false },
	{ "quota", 429, ERR("request path \\\"transit/decrypt/k\\\": rate limit quota exceeded"), KMS_THROTTLED, false },
	{ "quota, by a proxy", 429, "slow down", KMS_THROTTLED, false },
	{ "internal error", 500, ERR("internal error"), KMS_TRANSIENT, false },
	{ "a backend of its own fails", 502, ERR("bad gateway"), KMS_TRANSIENT, false },
	{ "sealed", 503, ERR("Vault is sealed"), KMS_TRANSIENT, false },
	{ "a load balancer", 503, "<html>no backend</html>", KMS_TRANSIENT, false },
	{ "redirect", 307, "", KMS_TRANSIENT, true },
	{ "captive proxy, 403", 403, "<html>please log in</html>", KMS_TRANSIENT, true },
	{ "captive proxy, 404", 404, "not found", KMS_TRANSIENT, true },
	{ "captive proxy, 400", 400, "{\"error\":\"x\"}", KMS_TRANSIENT, true },
	{ "errors that are no texts", 400, "{\"errors\":[17]}", KMS_TRANSIENT, true },
	{ "empty 401", 401, "", KMS_TRANSIENT, true },
};

static void each_answer_has_its_class(void **state)
{
	(void)state;
	kms_rows_check(rows, sizeof(rows) / sizeof(rows[0]), kms_vault_classify);
}

static void a_login_that_is_refused_is_auth(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum kms_class class;
	} of[] = {
		{ 200, AUTH("60"), KMS_OK },
		{ 400, ERR("invalid role or secret ID"), KMS_AUTH },
		{ 403, ERR("permission denied"), KMS_AUTH },
		{ 404, ERR("no handler for route"), KMS_AUTH },
		{ 503, ERR("Vault is sealed"), KMS_TRANSIENT },
		{ 429, ERR("quota"), KMS_THROTTLED },
		{ 403, "<html>", KMS_TRANSIENT },
	};
	struct kms_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(kms_vault_classify_login(of[i].status, of[i].body, strlen(of[i].body), &err), of[i].class);
		assert_int_equal(err.class, of[i].class);
	}
}

static void words_tell_a_dead_token_from_a_policy(void **state)
{
	struct kms_error err = { .http_status = 403 };

	(void)state;
	(void)kms_vault_classify(403, ERR("permission denied"), strlen(ERR("permission denied")), &err);
	assert_true(kms_vault_token_refused(&err));
	(void)kms_vault_classify(403, POLICY_403, strlen(POLICY_403), &err);
	assert_false(kms_vault_token_refused(&err));
	assert_string_equal(err.code, "1 error occurred: * permission denied");
}

static void the_code_is_one_printable_line(void **state)
{
	struct kms_error err = { 0 };
	static const char body[] = "{\"errors\":[\"a\\u001b[31m\\nb\"]}";

	(void)state;
	(void)kms_vault_classify(400, body, strlen(body), &err);
	assert_string_equal(err.code, "a\\x1b[31m b");
}

/* --- answers --- */

static void a_wrapped_key_is_taken_with_its_version(void **state)
{
	static const char body[] = ENVELOPE("{\"ciphertext\":\"" CIPHERTEXT "\",\"key_version\":1}", "null");
	static struct kms_wrapped w;
	char id[81];

	(void)state;
	assert_int_equal(kms_vault_parse_encrypt(body, strlen(body), &w), 0);
	assert_int_equal(w.len, strlen(CIPHERTEXT));
	assert_memory_equal(w.bytes, CIPHERTEXT, w.len);
	assert_string_equal(w.key_version, "vault:v1");
	kms_vault_parse_id(body, strlen(body), id, sizeof(id));
	assert_string_equal(id, "2c461ed1-e15c-8df4-edcd-8db6aabf30c4");
}

static void what_is_no_wrapped_key_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "{}", "[]", ENVELOPE("null", "null"), ENVELOPE("{}", "null"), ENVELOPE("{\"ciphertext\":1}", "null"),
		ENVELOPE("{\"ciphertext\":\"\"}", "null"), ENVELOPE("{\"ciphertext\":\"vault:v1:\"}", "null"),
		ENVELOPE("{\"ciphertext\":\"vault:vx:AAAA\"}", "null"), ENVELOPE("{\"ciphertext\":\"vault:v12345678901:AAAA\"}", "null"),
		ENVELOPE("{\"ciphertext\":\"vault:v1:AA\\u0041A\"}", "null"), ENVELOPE("{\"ciphertext\":\"vault:v1:AA A\"}", "null"),
		ENVELOPE("{\"ciphertext\":\"" CIPHERTEXT "\",\"ciphertext\":\"" CIPHERTEXT "\"}", "null"),
	};
	static struct kms_wrapped w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_vault_parse_encrypt(bad[i], strlen(bad[i]), &w) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
}

static void a_key_is_32_bytes_or_none(void **state)
{
	static const char good[] = ENVELOPE("{\"plaintext\":\"" KEK_B64 "\"}", "null");
	static const struct {
		const char *body;
		int r;
	} bad[] = {
		{ ENVELOPE("{\"plaintext\":\"\"}", "null"), -EKEYREJECTED },
		{ ENVELOPE("{\"plaintext\":\"AAAA\"}", "null"), -EKEYREJECTED },
		{ ENVELOPE("{\"plaintext\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\"}", "null"), -EKEYREJECTED },
		{ ENVELOPE("{\"plaintext\":\"!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}", "null"), -EKEYREJECTED },
		{ ENVELOPE("{\"plaintext\":null}", "null"), -EUCLEAN },
		{ ENVELOPE("null", "null"), -EUCLEAN },
		{ "{\"data\":{\"plaintext\":\"" KEK_B64 "\"}", -EUCLEAN },
	};
	struct secret *kek = NULL;
	size_t i;

	(void)state;
	assert_int_equal(kms_vault_parse_decrypt(good, strlen(good), &kek), 0);
	for (i = 0; i < KEY_LEN; i++)
		assert_int_equal(secret_bytes(kek)[i], i);
	secret_free(kek);
	kek = NULL;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(kms_vault_parse_decrypt(bad[i].body, strlen(bad[i].body), &kek), bad[i].r);
		assert_null(kek);
	}
}

static void a_login_gives_a_token_and_its_lease(void **state)
{
	static const char body[] = AUTH("60");
	static const char self[] = ENVELOPE("{\"accessor\":\"857eFV0Fnd8H7GOPxHfF1Vtm\",\"ttl\":0,\"renewable\":false,\"id\":\"s.x\"}", "null");
	struct vault_auth a = { 0 };

	(void)state;
	assert_int_equal(kms_vault_parse_auth(body, strlen(body), true, &a), 0);
	assert_string_equal((const char *)secret_bytes(a.token), "s.xcRcLqcvIbslxWS3plZnOsow");
	assert_string_equal(a.accessor, "yiPNvrHWFQ0ISiOZwqOYLYsU");
	assert_int_equal(a.lease_s, 60);
	assert_true(a.renewable);
	secret_free(a.token);
	assert_int_equal(kms_vault_parse_auth(self, strlen(self), false, &a), 0);
	assert_null(a.token);
	assert_int_equal(a.lease_s, 0);
	assert_false(a.renewable);
}

static void a_login_without_a_fit_token_is_refused(void **state)
{
	static const char *const bad[] = {
		"", ENVELOPE("null", "null"), AUTH("-1"), AUTH("\"60\""), AUTH("1e9"),
		ENVELOPE("null", "{\"client_token\":\"\",\"lease_duration\":60}"),
		ENVELOPE("null", "{\"client_token\":\"s.x y\",\"lease_duration\":60}"),
		ENVELOPE("null", "{\"client_token\":\"s.\\r\\nHost: x\",\"lease_duration\":60}"),
		ENVELOPE("null", "{\"client_token\":17,\"lease_duration\":60}"),
	};
	struct vault_auth a = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_vault_parse_auth(bad[i], strlen(bad[i]), true, &a) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
}

/* --- where, and what is asked --- */

static struct vault_place place_of(const char *text, const struct kms_conf *conf)
{
	struct vault_place p;
	struct kms_error err;
	struct kms_uri uri;

	assert_int_equal(kms_uri_parse(text, &uri), 0);
	assert_int_equal(kms_vault_place(&uri, conf, "acme", &err, &p), 0);
	return p;
}

static void a_uri_names_host_mount_and_key(void **state)
{
	static const char *const bad[] = { "hcvault:h/transit/keys/k", "hcvault://h/keys/k", "hcvault://h/transit/k", "hcvault://h/transit/keys",
					   "hcvault://h/transit/key/k", "hcvault://u@h/transit/keys/k", "hcvault://h:0/transit/keys/k",
					   "hcvault://h/tran:sit/keys/k", "hcvault://h/transit/keys/a@b", "hcvault://h/../keys/k", "hcvault://h//keys/k" };
	struct vault_place p = place_of("hcvault://vault.test:8200/team/transit/keys/acme-prod", NULL);
	struct kms_uri uri;
	size_t i;

	(void)state;
	assert_string_equal(p.origin, "https://vault.test:8200");
	assert_string_equal(p.mount, "team/transit");
	assert_string_equal(p.key, "acme-prod");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_uri_parse(bad[i], &uri) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void the_host_configuration_wins(void **state)
{
	struct kms_conf conf = { .endpoint = "https://other.test", .mount = "a/b" };
	struct vault_place p = place_of("hcvault://vault.test/transit/keys/k", &conf);

	(void)state;
	assert_string_equal(p.origin, "https://other.test");
	assert_string_equal(p.mount, "a/b");
}

static void an_unusable_configuration_says_so(void **state)
{
	static const struct kms_conf bad[] = {
		{ .endpoint = "http://vault.test" }, { .endpoint = "https://vault.test/v1" }, { .endpoint = "vault.test" },
		{ .mount = "/a" }, { .mount = "a/" }, { .mount = "a//b" }, { .mount = "../sys" }, { .mount = "a?b" }, { .ns = "a\nb" }, { .ns = "a b" },
	};
	struct vault_place p;
	struct kms_error err;
	struct kms_uri uri;
	size_t i;

	(void)state;
	assert_int_equal(kms_uri_parse("hcvault://h/transit/keys/k", &uri), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(kms_vault_place(&uri, &bad[i], "acme", &err, &p), -EINVAL);
		assert_int_equal(err.class, KMS_CONFIG);
	}
}

/* base64 of "coffer/1" NUL, "acme", the uuid, "root" */
#define CONTEXT_B64 "Y29mZmVyLzEABABhY21lEAABAgMAAAAAAAAAAAAAAAAABAByb290"

static void requests_bind_the_context_twice(void **state)
{
	struct vault_place p = place_of("hcvault://vault.test/transit/keys/k", NULL);
	static const char encrypt[] = "{\"plaintext\":\"" KEK_B64 "\",\"associated_data\":\"" CONTEXT_B64 "\",\"context\":\"" CONTEXT_B64 "\"}";
	static const char decrypt[] = "{\"ciphertext\":\"" CIPHERTEXT "\",\"associated_data\":\"" CONTEXT_B64 "\",\"context\":\"" CONTEXT_B64 "\"}";
	struct http_request req;
	struct secret *kek;
	uint8_t i;

	(void)state;
	assert_int_equal(secret_new(KEY_LEN, &kek), 0);
	for (i = 0; i < KEY_LEN; i++)
		secret_bytes(kek)[i] = i;
	assert_int_equal(kms_vault_build_encrypt(&p, &acme, kek, &req), 0);
	assert_string_equal(req.url.text, "https://vault.test/v1/transit/encrypt/k");
	assert_int_equal(req.body_len, strlen(encrypt));
	assert_memory_equal(secret_bytes(req.body), encrypt, req.body_len);
	http_request_done(&req);
	assert_int_equal(kms_vault_build_decrypt(&p, &acme, (const uint8_t *)CIPHERTEXT, strlen(CIPHERTEXT), &req), 0);
	assert_string_equal(req.url.text, "https://vault.test/v1/transit/decrypt/k");
	assert_int_equal(req.body_len, strlen(decrypt));
	assert_memory_equal(secret_bytes(req.body), decrypt, req.body_len);
	http_request_done(&req);
	secret_free(kek);
}

static void a_wrapped_key_cannot_speak_for_us(void **state)
{
	struct vault_place p = place_of("hcvault://vault.test/transit/keys/k", NULL);
	static const char *const bad[] = { "", "vault:v1:", "vault:v1:AA\",\"x\":\"", "AAAA", "vault:v1:AA\nAA", "vault:v1", "xault:v1:AAAA" };
	static uint8_t large[KMS_WRAPPED_MAX + 1];
	struct http_request req = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(kms_vault_build_decrypt(&p, &acme, (const uint8_t *)bad[i], strlen(bad[i]), &req), -EUCLEAN);
	memset(large, 'A', sizeof(large));
	memcpy(large, "vault:v1:", 9);
	assert_int_equal(kms_vault_build_decrypt(&p, &acme, large, sizeof(large), &req), -EUCLEAN);
	assert_int_equal(kms_vault_build_decrypt(&p, &acme, large, sizeof(large) - 1, &req), 0);
	http_request_done(&req);
}

static void the_context_tells_tenants_and_volumes_apart(void **state)
{
	static const uint8_t other[UUID_LEN] = { 1, 2, 4 };
	uint8_t a[KMS_CONTEXT_MAX], b[KMS_CONTEXT_MAX];
	char name[70];
	size_t n, m;

	(void)state;
	assert_int_equal(kms_context_put(&acme, a, &n), 0);
	assert_int_equal(kms_context_put(&(struct kms_context){ .tenant = "acme", .uuid = other }, b, &m), 0);
	assert_true(n == m && memcmp(a, b, n) != 0);
	assert_int_equal(kms_context_put(&(struct kms_context){ .tenant = "acmf", .uuid = uuid }, b, &m), 0);
	assert_true(n == m && memcmp(a, b, n) != 0);
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	assert_int_equal(kms_context_put(&(struct kms_context){ .tenant = name, .uuid = uuid }, b, &m), 0);
	assert_int_equal(m, KMS_CONTEXT_MAX);
	name[64] = 'x';
	name[65] = '\0';
	assert_int_equal(kms_context_put(&(struct kms_context){ .tenant = name, .uuid = uuid }, b, &m), -EINVAL);
}

static void headers_carry_token_namespace_and_id(void **state)
{
	struct kms_conf conf = { .ns = "team/a", .ca_file = "/ca", .proxy = "http://p:1" };
	struct vault_place p = place_of("hcvault://vault.test/transit/keys/k", &conf);
	struct http_request req = { 0 };
	struct secret *token;

	(void)state;
	assert_int_equal(secret_new_copy("s.token", 8, &token), 0);
	kms_vault_headers(&p, token, "id1", &req);
	kms_vault_headers(&p, token, "id2", &req); /* again, for the second try */
	assert_string_equal(req.headers[0].name, "X-Vault-Request");
	assert_string_equal(req.headers[1].name, "X-Vault-Token");
	assert_string_equal(req.headers[1].value, "s.token");
	assert_string_equal(req.headers[2].name, "X-Vault-Namespace");
	assert_string_equal(req.headers[2].value, "team/a");
	assert_string_equal(req.headers[3].value, "id2");
	assert_null(req.headers[4].name);
	assert_string_equal(req.owner, "acme");
	assert_string_equal(req.ca_file, "/ca");
	assert_string_equal(req.proxy, "http://p:1");
	secret_free(token);
}

/* --- logging in --- */

static void words_of_auth_and_credentials_are_understood(void **state)
{
	static const struct {
		struct kms_conf conf;
		struct vault_login want;
	} of[] = {
		{ { .auth = "" }, { .method = VAULT_TOKEN } },
		{ { .auth = "token", .credentials = "env" }, { .method = VAULT_TOKEN } },
		{ { .credentials = "file:/t" }, { .method = VAULT_TOKEN, .file = "/t" } },
		{ { .auth = "approle:r-1", .credentials = "file:/s" }, { .method = VAULT_APPROLE, .mount = "approle", .role = "r-1", .file = "/s" } },
		{ { .auth = "approle@a/b:/role", .credentials = "file:/s" },
		  { .method = VAULT_APPROLE, .mount = "a/b", .role_file = "/role", .file = "/s" } },
		{ { .auth = "kubernetes:coffer" },
		  { .method = VAULT_JWT, .mount = "kubernetes", .role = "coffer", .file = "/var/run/secrets/kubernetes.io/serviceaccount/token" } },
		{ { .auth = "kubernetes@k8s:coffer", .credentials = "file:/j" },
		  { .method = VAULT_JWT, .mount = "k8s", .role = "coffer", .file = "/j" } },
		{ { .auth = "jwt:coffer", .credentials = "file:/j" }, { .method = VAULT_JWT, .mount = "jwt", .role = "coffer", .file = "/j" } },
	};
	struct vault_login l;
	struct kms_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		memset(&l, 0xff, sizeof(l));
		assert_int_equal(kms_vault_login_parse(&of[i].conf, &err, &l), 0);
		assert_int_equal(l.method, of[i].want.method);
		assert_string_equal(l.mount, of[i].want.mount);
		assert_string_equal(l.role, of[i].want.role);
		assert_string_equal(l.role_file, of[i].want.role_file);
		assert_string_equal(l.file, of[i].want.file);
	}
}

static void words_that_mean_nothing_are_refused(void **state)
{
	static const struct kms_conf bad[] = {
		{ .auth = "tokens" }, { .auth = "approle" }, { .auth = "approle:" }, { .auth = "approle:r" }, { .auth = "approle@:r", .credentials = "file:/s" },
		{ .auth = "approle@m", .credentials = "file:/s" }, { .auth = "approle:a\"b", .credentials = "file:/s" }, { .auth = "jwt:r" },
		{ .auth = "kubernetes:/file" }, { .auth = "kubernetes:r", .credentials = "env" }, { .credentials = "imds" }, { .credentials = "file:relative" },
		{ .auth = "approle@a:b:c", .credentials = "file:/s" }, { .auth = "approlex:r", .credentials = "file:/s" },
	};
	struct vault_login l;
	struct kms_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (kms_vault_login_parse(&bad[i], &err, &l) != -EINVAL)
			fail_msg("taken: auth=%s credentials=%s", bad[i].auth, bad[i].credentials);
		assert_int_equal(err.class, KMS_CONFIG);
	}
}

static void put_file(const char *path, const char *text, mode_t mode)
{
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

/* Nobody listens at port 9 of this host in a test; what is wrong with a file is told before anybody is asked. */
static void a_credential_file_that_others_reach_is_refused(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		enum kms_class class;
		const char *says;
	} of[] = {
		{ "s.token\n", 0600, KMS_TRANSIENT, "127.0.0.1:9" },
		{ "s.token", 0640, KMS_TRANSIENT, "127.0.0.1:9" },
		{ "s.token", 0604, KMS_CONFIG, "mode 0604" },
		{ "s.token", 0620, KMS_CONFIG, "mode 0620" },
		{ "s.token", 0602, KMS_CONFIG, "mode 0602" },
		{ "", 0600, KMS_CONFIG, "0 bytes" },
		{ "\n \n", 0600, KMS_CONFIG, "is empty" },
		{ "two words", 0600, KMS_CONFIG, "more than one word" },
		{ "a\r\nX-Header: b", 0600, KMS_CONFIG, "more than one word" },
		{ "quo\"te", 0600, KMS_CONFIG, "more than one word" },
	};
	char path[] = "/tmp/coffer-vault-XXXXXX";
	struct kms_conf conf = { 0 };
	struct vault_place p;
	struct vault_auth a;
	struct kms_error err;
	size_t i;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(conf.credentials, sizeof(conf.credentials), "file:%s", path);
	p = place_of("hcvault://127.0.0.1:9/transit/keys/k", &conf);
	for (i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		put_file(path, of[i].text, of[i].mode);
		memset(&err, 0, sizeof(err));
		kms_call_forget();
		assert_int_equal(kms_vault_login(&p, "id", clock_boot_ms() + 1, &err, &a), kms_class_errno(of[i].class));
		assert_int_equal(err.class, of[i].class);
		if (!strstr(err.message, of[i].says))
			fail_msg("%s", err.message);
	}
	(void)unlink(path);
	assert_int_equal(kms_vault_login(&p, "id", clock_boot_ms() + 1, &err, &a), -EACCES);
	assert_int_equal(err.class, KMS_AUTH);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(kms_vault_login(&p, "id", clock_boot_ms() + 1, &err, &a), -EINVAL);
	(void)rmdir(path);
}

static void a_token_of_the_environment_is_a_word_too(void **state)
{
	struct vault_place p = place_of("hcvault://127.0.0.1:9/transit/keys/k", NULL);
	struct kms_error err = { 0 };
	struct vault_auth a;

	(void)state;
	(void)unsetenv("VAULT_TOKEN");
	(void)unsetenv("BAO_TOKEN");
	assert_int_equal(kms_vault_login(&p, "id", clock_boot_ms() + 1, &err, &a), -EINVAL);
	assert_int_equal(err.class, KMS_CONFIG);
	assert_int_equal(setenv("BAO_TOKEN", "s.a b", 1), 0);
	assert_int_equal(kms_vault_login(&p, "id", clock_boot_ms() + 1, &err, &a), -EINVAL);
	assert_int_equal(setenv("VAULT_TOKEN", "s.ab", 1), 0);
	kms_call_forget();
	assert_int_equal(kms_vault_login(&p, "id", clock_boot_ms() + 1, &err, &a), -EAGAIN);
	assert_null(strstr(err.message, "s.ab"));
	(void)unsetenv("VAULT_TOKEN");
	(void)unsetenv("BAO_TOKEN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_has_its_class),
		cmocka_unit_test(a_login_that_is_refused_is_auth),
		cmocka_unit_test(words_tell_a_dead_token_from_a_policy),
		cmocka_unit_test(the_code_is_one_printable_line),
		cmocka_unit_test(a_wrapped_key_is_taken_with_its_version),
		cmocka_unit_test(what_is_no_wrapped_key_is_refused),
		cmocka_unit_test(a_key_is_32_bytes_or_none),
		cmocka_unit_test(a_login_gives_a_token_and_its_lease),
		cmocka_unit_test(a_login_without_a_fit_token_is_refused),
		cmocka_unit_test(a_uri_names_host_mount_and_key),
		cmocka_unit_test(the_host_configuration_wins),
		cmocka_unit_test(an_unusable_configuration_says_so),
		cmocka_unit_test(requests_bind_the_context_twice),
		cmocka_unit_test(a_wrapped_key_cannot_speak_for_us),
		cmocka_unit_test(the_context_tells_tenants_and_volumes_apart),
		cmocka_unit_test(headers_carry_token_namespace_and_id),
		cmocka_unit_test(words_of_auth_and_credentials_are_understood),
		cmocka_unit_test(words_that_mean_nothing_are_refused),
		cmocka_unit_test(a_credential_file_that_others_reach_is_refused),
		cmocka_unit_test(a_token_of_the_environment_is_a_word_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
