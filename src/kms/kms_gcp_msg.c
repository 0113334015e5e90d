/* kms_gcp_msg.c: Cloud KMS's requests and answers (REST v1; docs/kms.md, "Google"); pure, so that every row of its tables is a unit test.
 *
 * Each field goes out with its CRC-32C, and comes back with one, as decimal text: what was damaged between the two programs, behind TLS's back, is found
 * before it is stored or used. An answer that does not confirm our checksums is refused.
 *
 * Bodies are built in secret memory and scanned where they were received. */
#include "kms/kms_gcp_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/b64.h"
#include "base/crc32c.h"
#include "base/jsonscan.h"

#define REQUEST_MAX (B64_LEN(KMS_WRAPPED_MAX) + 1024)
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define VERSIONS "/cryptoKeyVersions/"

int kms_gcp_check(const struct kms_uri *uri)
{
	static const char *const words[] = { "projects", "locations", "keyRings", "cryptoKeys" };
	size_t i;

	if (!uri->hierarchical || uri->component_count != 8)
		return -EINVAL;
	for (i = 0; i < 4; i++) {
		const char *name = kms_uri_component(uri, 2 * i + 1);

		if (strcmp(kms_uri_component(uri, 2 * i), words[i]) != 0)
			return -EINVAL;
		/* Projects of a domain are DOMAIN:NAME. */
		if (name[strspn(name, i == 0 ? NAME_CHARS ":" : NAME_CHARS)] != '\0')
			return -EINVAL;
	}
	return 0;
}

int kms_gcp_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err,
		  struct gcp_place *ret_place)
{
	static const struct kms_conf nothing;
	struct gcp_place p = { .tenant = tenant, .conf = conf ? conf : &nothing };
	size_t i, at = 0;

	if (!*p.conf->endpoint)
		memcpy(p.origin, GCP_ORIGIN, sizeof(GCP_ORIGIN));
	else if (url_origin_parse(p.conf->endpoint, p.origin) < 0)
		return kms_fail(err, KMS_CONFIG, "gcp-kms: endpoint= is not https://HOST[:PORT]");
	for (i = 0; i < uri->component_count; i++) /* all of them fit: they are of one URI */
		at += (size_t)snprintf(p.key + at, sizeof(p.key) - at, "%s%s", i > 0 ? "/" : "", kms_uri_component(uri, i));
	*ret_place = p;
	return 0;
}

/* --- requests --- */

static void put_text(struct http_request *req, const char *text)
{
	size_t n = strlen(text);

	memcpy(secret_bytes(req->body) + req->body_len, text, n);
	req->body_len += n;
}

/* "NAME":"BASE64","NAMECrc32c":"NUMBER" */
static void put_bytes(struct http_request *req, const char *name, const void *p, size_t n)
{
	char sum[16];

	put_text(req, "\"");
	put_text(req, name);
	put_text(req, "\":\"");
	b64_encode(p, n, (char *)secret_bytes(req->body) + req->body_len);
	req->body_len += B64_LEN(n);
	put_text(req, "\",\"");
	put_text(req, name);
	put_text(req, "Crc32c\":\"");
	(void)snprintf(sum, sizeof(sum), "%u", (unsigned)crc32c(p, n));
	put_text(req, sum);
	put_text(req, "\"");
}

static int build(const struct gcp_place *p, const char *verb, const char *field, const void *bytes, size_t len, const struct kms_context *ctx,
		 struct http_request *ret_req)
{
	struct http_request req = { 0 };
	uint8_t aad[KMS_CONTEXT_MAX];
	size_t aad_len;
	int r;

	r = kms_context_put(ctx, aad, &aad_len);
	if (r < 0)
		return r;
	url_start(&req.url, p->origin);
	url_component(&req.url, "v1");
	url_path(&req.url, p->key);
	url_verb(&req.url, verb);
	r = url_done(&req.url);
	if (r < 0)
		return r;
	r = secret_new(REQUEST_MAX, &req.body);
	if (r < 0)
		return -ENOMEM;
	put_text(&req, "{");
	put_bytes(&req, field, bytes, len);
	put_text(&req, ",");
	put_bytes(&req, "additionalAuthenticatedData", aad, aad_len);
	put_text(&req, "}");
	req.owner = p->tenant;
	req.ca_file = p->conf->ca_file;
	req.proxy = p->conf->proxy;
	*ret_req = req;
	return 0;
}

int kms_gcp_build_encrypt(const struct gcp_place *p, const struct kms_context *ctx, const struct secret *kek, struct http_request *ret_req)
{
	return build(p, "encrypt", "plaintext", secret_bytes_const(kek), secret_len(kek), ctx, ret_req);
}

int kms_gcp_build_decrypt(const struct gcp_place *p, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len,
			  struct http_request *ret_req)
{
	if (wrapped_len == 0 || wrapped_len > KMS_WRAPPED_MAX)
		return -EUCLEAN;
	return build(p, "decrypt", "ciphertext", wrapped, wrapped_len, ctx, ret_req);
}

/* --- answers --- */

/* A member's base64, with escapes or without. -EUCLEAN, -EMSGSIZE, -ENOMEM. */
static int bytes_of(const struct jsonscan *all, const char *name, void *out, size_t max, size_t *ret_len)
{
	AUTO_SECRET struct secret *text = NULL;
	struct jsonscan v;
	size_t n;

	if (jsonscan_member(all, name, &v) < 0 || v.type != '"')
		return -EUCLEAN;
	if (v.len == 0 || !memchr(v.p, '\\', v.len))
		return b64_decode(v.p, v.len, out, max, ret_len);
	if (v.len >= SECRET_LEN_MAX)
		return -EMSGSIZE;
	if (secret_new(v.len + 1, &text) < 0)
		return -ENOMEM;
	n = jsonscan_text(&v, (char *)secret_bytes(text), v.len + 1);
	return b64_decode((const char *)secret_bytes_const(text), n, out, max, ret_len);
}

/* An int64 is a string in Google's JSON. */
static bool sum_is(const struct jsonscan *all, const char *name, const void *p, size_t n)
{
	struct jsonscan v;
	uint64_t sum;

	if (jsonscan_member(all, name, &v) < 0 || (v.type != '"' && v.type != 'n') || v.len == 0 || v.len != strspn(v.p, "0123456789"))
		return false;
	v.type = 'n';
	return jsonscan_integer(&v, &sum) == 0 && sum == crc32c(p, n);
}

static bool confirmed(const struct jsonscan *all, const char *name)
{
	struct jsonscan v;

	return jsonscan_member(all, name, &v) == 0 && v.type == 't';
}

/* "KEY/cryptoKeyVersions/N": what of it is not the key's name. */
static bool version_of(const struct gcp_place *p, const struct jsonscan *all, char ret_version[static KMS_VERSION_LEN_MAX + 1])
{
	char name[KMS_URI_LEN_MAX + 64];
	size_t key = strlen(p->key), n;
	struct jsonscan v;
	const char *digits;

	if (jsonscan_member(all, "name", &v) < 0 || v.type != '"')
		return false;
	n = jsonscan_text(&v, name, sizeof(name));
	if (n <= key || n + 1 == sizeof(name) || strncmp(name, p->key, key) != 0 || strncmp(name + key, VERSIONS, strlen(VERSIONS)) != 0)
		return false;
	digits = name + key + strlen(VERSIONS);
	if (*digits == '\0' || strlen(digits) > 20 || digits[strspn(digits, "0123456789")] != '\0')
		return false;
	(void)snprintf(ret_version, KMS_VERSION_LEN_MAX + 1, "%s", name + key + 1);
	return true;
}

int kms_gcp_parse_encrypt(const struct gcp_place *p, const char *body, size_t len, struct kms_wrapped *ret_wrapped)
{
	struct jsonscan all;
	int r;

	if (jsonscan_check(body, len, &all) < 0 || !version_of(p, &all, ret_wrapped->key_version))
		return -EUCLEAN;
	r = bytes_of(&all, "ciphertext", ret_wrapped->bytes, sizeof(ret_wrapped->bytes), &ret_wrapped->len);
	if (r < 0)
		return r == -ENOMEM ? r : -EUCLEAN;
	if (ret_wrapped->len == 0)
		return -EUCLEAN;
	if (!confirmed(&all, "verifiedPlaintextCrc32c") || !confirmed(&all, "verifiedAdditionalAuthenticatedDataCrc32c") ||
	    !sum_is(&all, "ciphertextCrc32c", ret_wrapped->bytes, ret_wrapped->len))
		return -EBADMSG;
	return 0;
}

int kms_gcp_parse_decrypt(const char *body, size_t len, struct secret **ret_kek)
{
	AUTO_SECRET struct secret *kek = NULL;
	struct jsonscan all, v;
	size_t n = 0;
	int r;

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, "plaintext", &v) < 0 || v.type != '"')
		return -EUCLEAN;
	if (secret_new(KEY_LEN, &kek) < 0)
		return -ENOMEM;
	r = bytes_of(&all, "plaintext", secret_bytes(kek), KEY_LEN, &n);
	if (r == -ENOMEM)
		return r;
	if (r == -EMSGSIZE || (r >= 0 && n != KEY_LEN))
		return -EKEYREJECTED;
	if (r < 0 || !sum_is(&all, "plaintextCrc32c", secret_bytes_const(kek), KEY_LEN))
		return -EBADMSG;
	*ret_kek = take_ptr(kek);
	return 0;
}
