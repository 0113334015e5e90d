/* kms_vault_msg.c: Transit's requests and answers (docs/kms.md, "Vault"); pure, so that every row of its tables is a unit test.
 *
 * The context goes out twice, as associated_data and as context: the first binds with an AEAD key, the second is mixed into a derived key and
 * passed over by others. So a blob is always bound, whatever the key's type, and nobody has to say it or may read the key's settings.
 *
 * Bodies are built in secret memory and scanned where they were received; nothing of a body is copied but what is asked for. Every text that
 * goes into a body is base64 or was checked to need no escapes. */
#include "kms/kms_vault_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/b64.h"
#include "base/jsonscan.h"
#include "base/text.h"

#define REQUEST_MAX (KMS_WRAPPED_MAX + 4096)
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

int kms_vault_check(const struct kms_uri *uri)
{
	size_t n = uri->component_count, i;

	if (!uri->hierarchical || n < 4 || !url_host_ok(kms_uri_component(uri, 0)) ||
	    strcmp(kms_uri_component(uri, n - 2), "keys") != 0)
		return -EINVAL;
	for (i = 1; i < n; i++)
		if (kms_uri_component(uri, i)[strspn(kms_uri_component(uri, i), NAME_CHARS)] != '\0')
			return -EINVAL;
	return 0;
}

/* "a/b": components that check would accept. */
static bool path_ok(const char *path)
{
	size_t n;

	for (;;) {
		n = strspn(path, NAME_CHARS);
		if (n == 0 || n > VAULT_NAME_MAX || (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		if (path[n] == '\0')
			return true;
		if (path[n] != '/')
			return false;
		path += n + 1;
	}
}

static bool mount_of_uri(const struct kms_uri *uri, char ret_mount[static VAULT_MOUNT_MAX + 1])
{
	size_t i, at = 0;

	for (i = 1; i + 2 < uri->component_count; i++) {
		at += (size_t)snprintf(ret_mount + at, VAULT_MOUNT_MAX + 1 - at, "%s%s", i > 1 ? "/" : "",
				       kms_uri_component(uri, i));
		if (at > VAULT_MOUNT_MAX)
			return false;
	}
	return true;
}

int kms_vault_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err,
		    struct vault_place *ret_place)
{
	static const struct kms_conf nothing;
	struct vault_place p = { .tenant = tenant, .conf = conf ? conf : &nothing };

	if (!*p.conf->endpoint)
		(void)snprintf(p.origin, sizeof(p.origin), "https://%s", kms_uri_component(uri, 0));
	else if (url_origin_parse(p.conf->endpoint, p.origin) < 0)
		return kms_fail(err, KMS_CONFIG, "hcvault: endpoint= is not https://HOST[:PORT]");
	if (!*p.conf->mount ? !mount_of_uri(uri, p.mount) :
			      !path_ok(p.conf->mount) || strlen(p.conf->mount) > VAULT_MOUNT_MAX)
		return kms_fail(err, KMS_CONFIG, "hcvault: the mount path is malformed or too long");
	if (*p.conf->mount)
		memcpy(p.mount, p.conf->mount, strlen(p.conf->mount) + 1);
	if (*p.conf->ns && !path_ok(p.conf->ns))
		return kms_fail(err, KMS_CONFIG, "hcvault: namespace= is malformed");
	(void)snprintf(p.key, sizeof(p.key), "%s", kms_uri_component(uri, uri->component_count - 1));
	*ret_place = p;
	return 0;
}

/* --- requests --- */

static void header(struct http_request *req, const char *name, const char *value)
{
	size_t i = 0;

	while (req->headers[i].name)
		i++;
	req->headers[i] = (struct http_header){ .name = name, .value = value };
}

void kms_vault_headers(const struct vault_place *p, const struct secret *token, const char *id, struct http_request *req)
{
	memset(req->headers, 0, sizeof(req->headers));
	header(req, "X-Vault-Request", "true");
	if (token)
		header(req, "X-Vault-Token", (const char *)secret_bytes_const(token));
	if (*p->conf->ns)
		header(req, "X-Vault-Namespace", p->conf->ns);
	if (id)
		header(req, "X-Correlation-Id", id);
	req->owner = p->tenant;
	req->ca_file = p->conf->ca_file;
	req->proxy = p->conf->proxy;
}

static void url_key(const struct vault_place *p, const char *verb, struct url *ret_url)
{
	url_start(ret_url, p->origin);
	url_component(ret_url, "v1");
	url_path(ret_url, p->mount);
	url_component(ret_url, verb);
	url_component(ret_url, p->key);
}

static void body_text(struct http_request *req, const void *p, size_t n)
{
	memcpy(secret_bytes(req->body) + req->body_len, p, n);
	req->body_len += n;
}

static void body_b64(struct http_request *req, const void *p, size_t n)
{
	b64_encode(p, n, (char *)secret_bytes(req->body) + req->body_len);
	req->body_len += B64_LEN(n);
}

/* {"NAME":"  at the start of a body of REQUEST_MAX bytes. */
static int body_start(struct http_request *req, const char *name)
{
	int r = secret_new(REQUEST_MAX, &req->body);

	if (r < 0)
		return r;
	body_text(req, "{\"", 2);
	body_text(req, name, strlen(name));
	body_text(req, "\":\"", 3);
	return 0;
}

static int body_context(struct http_request *req, const struct kms_context *ctx)
{
	static const char a[] = "\",\"associated_data\":\"", c[] = "\",\"context\":\"";
	uint8_t p[KMS_CONTEXT_MAX];
	size_t len;
	int r;

	r = kms_context_put(ctx, p, &len);
	if (r < 0)
		return r;
	body_text(req, a, sizeof(a) - 1);
	body_b64(req, p, len);
	body_text(req, c, sizeof(c) - 1);
	body_b64(req, p, len);
	body_text(req, "\"}", 2);
	return 0;
}

int kms_vault_build_encrypt(const struct vault_place *p, const struct kms_context *ctx, const struct secret *kek,
			    struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	url_key(p, "encrypt", &req.url);
	r = url_done(&req.url);
	if (r >= 0)
		r = body_start(&req, "plaintext");
	if (r >= 0) {
		body_b64(&req, secret_bytes_const(kek), secret_len(kek));
		r = body_context(&req, ctx);
	}
	if (r < 0) {
		http_request_done(&req);
		return r;
	}
	*ret_req = req;
	return 0;
}

/* "vault:vN:BASE64": the length of "vault:vN", 0 if it is none. */
static size_t ciphertext_version(const char *p, size_t len)
{
	size_t n, i;

	if (len < 8 || strncmp(p, "vault:v", 7) != 0)
		return 0;
	for (n = 7; n < len && n < 17 && p[n] >= '0' && p[n] <= '9'; n++)
		;
	if (n == 7 || n == len || p[n] != ':' || n + 1 == len)
		return 0;
	for (i = n + 1; i < len; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", p[i]) || p[i] == '\0')
			return 0;
	return n;
}

int kms_vault_build_decrypt(const struct vault_place *p, const struct kms_context *ctx, const uint8_t *wrapped,
			    size_t wrapped_len, struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	if (wrapped_len > KMS_WRAPPED_MAX || ciphertext_version((const char *)wrapped, wrapped_len) == 0)
		return -EUCLEAN;
	url_key(p, "decrypt", &req.url);
	r = url_done(&req.url);
	if (r >= 0)
		r = body_start(&req, "ciphertext");
	if (r >= 0) {
		body_text(&req, wrapped, wrapped_len);
		r = body_context(&req, ctx);
	}
	if (r < 0) {
		http_request_done(&req);
		return r;
	}
	*ret_req = req;
	return 0;
}

/* --- answers --- */

/* A string of the object "outer" that stands there without escapes. */
static int plain_string(const char *body, size_t len, const char *outer, const char *name, struct jsonscan *ret_v)
{
	struct jsonscan all, inner, v;

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, outer, &inner) < 0 ||
	    jsonscan_member(&inner, name, &v) < 0 || v.type != '"' || memchr(v.p, '\\', v.len))
		return -EUCLEAN;
	*ret_v = v;
	return 0;
}

int kms_vault_parse_encrypt(const char *body, size_t len, struct kms_wrapped *ret_wrapped)
{
	struct jsonscan v;
	size_t version;

	if (plain_string(body, len, "data", "ciphertext", &v) < 0 || v.len > KMS_WRAPPED_MAX)
		return -EUCLEAN;
	version = ciphertext_version(v.p, v.len);
	if (version == 0)
		return -EUCLEAN;
	memcpy(ret_wrapped->bytes, v.p, v.len);
	ret_wrapped->len = v.len;
	memcpy(ret_wrapped->key_version, v.p, version);
	ret_wrapped->key_version[version] = '\0';
	return 0;
}

int kms_vault_parse_decrypt(const char *body, size_t len, struct secret **ret_kek)
{
	AUTO_SECRET struct secret *kek = NULL;
	struct jsonscan v;
	size_t n;
	int r;

	if (plain_string(body, len, "data", "plaintext", &v) < 0)
		return -EUCLEAN;
	r = secret_new(KEY_LEN, &kek);
	if (r < 0)
		return r;
	if (b64_decode(v.p, v.len, secret_bytes(kek), KEY_LEN, &n) < 0 || n != KEY_LEN)
		return -EKEYREJECTED;
	*ret_kek = take_ptr(kek);
	return 0;
}

void kms_vault_parse_id(const char *body, size_t len, char *ret_id, size_t max)
{
	struct jsonscan all, v;
	char text[128];

	ret_id[0] = '\0';
	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, "request_id", &v) < 0)
		return;
	(void)text_escape(text, jsonscan_text(&v, text, sizeof(text)), ret_id, max);
}

/* A header is made of it: printable, without blanks. */
static bool token_ok(const struct jsonscan *v)
{
	size_t i;

	for (i = 0; i < v->len; i++)
		if (v->p[i] <= 0x20 || v->p[i] > 0x7e)
			return false;
	return v->len > 0 && v->len < VAULT_TOKEN_MAX;
}

int kms_vault_parse_auth(const char *body, size_t len, bool of_auth, struct vault_auth *ret_auth)
{
	AUTO_SECRET struct secret *token = NULL;
	struct vault_auth auth = { 0 };
	struct jsonscan all, o, v;
	int r;

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, of_auth ? "auth" : "data", &o) < 0 || o.type != '{')
		return -EUCLEAN;
	if (jsonscan_member(&o, "accessor", &v) == 0) {
		char text[VAULT_ACCESSOR_MAX + 1];

		(void)text_escape(text, jsonscan_text(&v, text, sizeof(text)), auth.accessor, sizeof(auth.accessor));
	}
	if (jsonscan_member(&o, of_auth ? "lease_duration" : "ttl", &v) < 0 || jsonscan_integer(&v, &auth.lease_s) < 0)
		return -EUCLEAN;
	auth.renewable = jsonscan_member(&o, "renewable", &v) == 0 && v.type == 't';
	if (of_auth) {
		if (plain_string(body, len, "auth", "client_token", &v) < 0 || !token_ok(&v))
			return -EUCLEAN;
		r = secret_new(v.len + 1, &token);
		if (r < 0)
			return r;
		memcpy(secret_bytes(token), v.p, v.len);
	}
	auth.token = take_ptr(token);
	*ret_auth = auth;
	return 0;
}
