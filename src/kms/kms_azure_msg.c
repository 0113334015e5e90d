/* kms_azure_msg.c: Key Vault's requests and answers (REST, api-version 7.4; docs/kms.md, "Azure"); pure, so that every row of its tables is a unit test.
 *
 * A wrap takes no context. What binds a KEK to its tenant and volume is the root key's own seal (docs/format.md section 2, sealed_root): a KEK that was
 * wrapped for another volume opens here, and then nothing. What we store is "akv1:ALG:VERSION:VALUE": unwrap must name the version that wrapped; host and
 * name are not in it, since those are this host's pin.
 *
 * Bodies are built in secret memory and scanned where they were received. */
#include "kms/kms_azure_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "base/jsonscan.h"

#define API_VERSION "7.4"
#define VALUE_MAX 1400 /* of RSA with 8192 bits: 1366 */
#define REQUEST_MAX (VALUE_MAX + 64)
#define PREFIX "akv1:"
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
#define VALUE_CHARS NAME_CHARS "_"

static const char *const algs[] = { [AZURE_RSA_OAEP_256] = "RSA-OAEP-256", [AZURE_A256KW] = "A256KW" };

/* Of which cloud a vault is, by its name; a token for one is of no use in another. */
static const struct {
	const char *suffix, *resource, *authority;
} clouds[] = {
	{ ".vault.azure.net", "https://vault.azure.net", "https://login.microsoftonline.com" },
	{ ".managedhsm.azure.net", "https://managedhsm.azure.net", "https://login.microsoftonline.com" },
	{ ".vault.azure.cn", "https://vault.azure.cn", "https://login.chinacloudapi.cn" },
	{ ".managedhsm.azure.cn", "https://managedhsm.azure.cn", "https://login.chinacloudapi.cn" },
	{ ".vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", "https://login.microsoftonline.us" },
	{ ".managedhsm.usgovcloudapi.net", "https://managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us" },
};

/* --- where --- */

static bool word_ok(const char *text, size_t max)
{
	size_t n = strspn(text, NAME_CHARS);

	return n > 0 && n <= max && text[n] == '\0';
}

int kms_azure_check(const struct kms_uri *uri)
{
	const char *host = kms_uri_component(uri, 0), *version = kms_uri_component(uri, 3);

	if (!uri->hierarchical || uri->component_count < 3 || uri->component_count > 4 || !url_host_ok(host) ||
	    strcmp(kms_uri_component(uri, 1), "keys") != 0 || !word_ok(kms_uri_component(uri, 2), AZURE_NAME_MAX) ||
	    (version && !word_ok(version, AZURE_VERSION_MAX)))
		return -EINVAL;
	return 0;
}

/* NAME.SUFFIX; of another name: the first cloud, and false. */
static bool cloud_of(const char *host, size_t *ret_i)
{
	size_t i, label = strcspn(host, ".");

	for (i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++) {
		if (label > 0 && strcasecmp(host + label, clouds[i].suffix) == 0) {
			*ret_i = i;
			return true;
		}
	}
	*ret_i = 0;
	return false;
}

int kms_azure_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err,
		    struct azure_place *ret_place)
{
	static const struct kms_conf nothing;
	struct azure_place p = { .tenant = tenant, .conf = conf ? conf : &nothing };
	const char *host = kms_uri_component(uri, 0), *version = kms_uri_component(uri, 3);
	size_t cloud;

	if (!cloud_of(host, &cloud) && !*p.conf->endpoint)
		return kms_fail(err, KMS_CONFIG, "azure-kms: %.128s is not NAME.vault.azure.net, NAME.managedhsm.azure.net or the like; "
				"a credential goes to another host only by endpoint=", host);
	p.resource = clouds[cloud].resource;
	p.authority = clouds[cloud].authority;
	(void)snprintf(p.vault, sizeof(p.vault), "https://%s", host);
	if (!*p.conf->endpoint)
		memcpy(p.origin, p.vault, sizeof(p.origin));
	else if (url_origin_parse(p.conf->endpoint, p.origin) < 0)
		return kms_fail(err, KMS_CONFIG, "azure-kms: endpoint= is not https://HOST[:PORT]");
	(void)snprintf(p.name, sizeof(p.name), "%s", kms_uri_component(uri, 2));
	(void)snprintf(p.version, sizeof(p.version), "%s", version ? version : "");
	*ret_place = p;
	return 0;
}

/* --- requests --- */

static int request_start(const struct azure_place *p, const char *version, const char *verb, struct http_request *req)
{
	url_start(&req->url, p->origin);
	url_component(&req->url, "keys");
	url_component(&req->url, p->name);
	if (version)
		url_component(&req->url, version);
	if (verb)
		url_component(&req->url, verb);
	url_query(&req->url, "api-version", API_VERSION);
	req->owner = p->tenant;
	req->ca_file = p->conf->ca_file;
	req->proxy = p->conf->proxy;
	return url_done(&req->url);
}

int kms_azure_build_get(const struct azure_place *p, struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	r = request_start(p, NULL, NULL, &req);
	if (r < 0)
		return r;
	*ret_req = req;
	return 0;
}

/* {"alg":"ALG","value":" at the start of a body. */
static int body_start(enum azure_alg alg, struct http_request *req)
{
	if (secret_new(REQUEST_MAX, &req->body) < 0)
		return -ENOMEM;
	req->body_len = (size_t)snprintf((char *)secret_bytes(req->body), REQUEST_MAX, "{\"alg\":\"%s\",\"value\":\"", algs[alg]);
	return 0;
}

static void body_end(struct http_request *req)
{
	memcpy(secret_bytes(req->body) + req->body_len, "\"}", 2);
	req->body_len += 2;
}

int kms_azure_build_wrap(const struct azure_place *p, const struct azure_key *key, const struct secret *kek, struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	if (secret_len(kek) != KEY_LEN)
		return -EINVAL;
	r = request_start(p, key->version, "wrapkey", &req);
	if (r >= 0)
		r = body_start(key->alg, &req);
	if (r < 0)
		return r;
	req.body_len += b64_url_encode(secret_bytes_const(kek), KEY_LEN, (char *)secret_bytes(req.body) + req.body_len);
	body_end(&req);
	*ret_req = req;
	return 0;
}

/* What stands before the next ':' of [p, end). NULL: nothing, or too much. */
static const char *field(const char *p, const char *end, char *ret_text, size_t max)
{
	const char *stop = memchr(p, ':', (size_t)(end - p));

	if (!stop || stop == p || (size_t)(stop - p) >= max)
		return NULL;
	memcpy(ret_text, p, (size_t)(stop - p));
	ret_text[stop - p] = '\0';
	return stop + 1;
}

/* "akv1:ALG:VERSION:VALUE" taken apart: where the value begins. */
static const char *wrapped_parse(const char *p, size_t len, struct azure_key *ret_key)
{
	const char *end = p + len, *value;
	char alg[16];
	size_t i;

	if (len < strlen(PREFIX) || strncmp(p, PREFIX, strlen(PREFIX)) != 0)
		return NULL;
	value = field(p + strlen(PREFIX), end, alg, sizeof(alg));
	if (value)
		value = field(value, end, ret_key->version, sizeof(ret_key->version));
	if (!value || !word_ok(ret_key->version, AZURE_VERSION_MAX) || value == end || end - value > VALUE_MAX)
		return NULL;
	for (i = 0; i < (size_t)(end - value); i++)
		if (value[i] == '\0' || !strchr(VALUE_CHARS, value[i]))
			return NULL;
	for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		if (strcmp(alg, algs[i]) == 0) {
			ret_key->alg = (enum azure_alg)i;
			return value;
		}
	}
	return NULL;
}

int kms_azure_build_unwrap(const struct azure_place *p, const uint8_t *wrapped, size_t wrapped_len, struct azure_key *ret_key,
			   struct http_request *ret_req)
{
	struct http_request req = { 0 };
	struct azure_key key = { 0 };
	const char *value = wrapped_parse((const char *)wrapped, wrapped_len, &key);
	size_t n;
	int r;

	if (!value)
		return -EUCLEAN;
	r = request_start(p, key.version, "unwrapkey", &req);
	if (r >= 0)
		r = body_start(key.alg, &req);
	if (r < 0)
		return r;
	n = (size_t)((const char *)wrapped + wrapped_len - value);
	memcpy(secret_bytes(req.body) + req.body_len, value, n);
	req.body_len += n;
	body_end(&req);
	*ret_key = key;
	*ret_req = req;
	return 0;
}

/* --- answers --- */

/* "https://VAULT/keys/NAME/VERSION", vault and name being the ones of p, whatever their case: that of a vault's and a key's name does not count. */
static bool kid_of(const struct azure_place *p, const struct jsonscan *o, char *ret_version, size_t max)
{
	char kid[URL_ORIGIN_MAX + AZURE_NAME_MAX + AZURE_VERSION_MAX + 16], begin[URL_ORIGIN_MAX + AZURE_NAME_MAX + 16];
	struct jsonscan v;
	size_t n;

	if (jsonscan_member(o, "kid", &v) < 0 || v.type != '"' || jsonscan_text(&v, kid, sizeof(kid)) + 1 == sizeof(kid))
		return false;
	n = (size_t)snprintf(begin, sizeof(begin), "%s/keys/%s/", p->vault, p->name);
	if (strncasecmp(kid, begin, n) != 0 || !word_ok(kid + n, AZURE_VERSION_MAX))
		return false;
	(void)snprintf(ret_version, max, "%s", kid + n);
	return true;
}

int kms_azure_parse_get(const struct azure_place *p, const char *body, size_t len, struct azure_key *ret_key)
{
	struct jsonscan all, key, kty;
	struct azure_key k = { 0 };
	char text[16];

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, "key", &key) < 0 || key.type != '{' ||
	    !kid_of(p, &key, k.version, sizeof(k.version)) || jsonscan_member(&key, "kty", &kty) < 0 || kty.type != '"')
		return -EUCLEAN;
	(void)jsonscan_text(&kty, text, sizeof(text));
	if (strcmp(text, "oct") == 0 || strcmp(text, "oct-HSM") == 0)
		k.alg = AZURE_A256KW;
	else if (strcmp(text, "RSA") != 0 && strcmp(text, "RSA-HSM") != 0)
		return -EOPNOTSUPP;
	*ret_key = k;
	return 0;
}

/* The value of an answer that is about this version of this key. */
static int value_of(const struct azure_place *p, const struct azure_key *key, const char *body, size_t len, struct jsonscan *ret_v)
{
	char version[AZURE_VERSION_MAX + 1];
	struct jsonscan all;

	if (jsonscan_check(body, len, &all) < 0 || !kid_of(p, &all, version, sizeof(version)) || strcasecmp(version, key->version) != 0 ||
	    jsonscan_member(&all, "value", ret_v) < 0 || ret_v->type != '"')
		return -EUCLEAN;
	return 0;
}

int kms_azure_parse_wrap(const struct azure_place *p, const struct azure_key *key, const char *body, size_t len,
			 struct kms_wrapped *ret_wrapped)
{
	uint8_t bytes[VALUE_MAX];
	struct jsonscan v;
	size_t n;
	int r;

	r = value_of(p, key, body, len, &v);
	if (r < 0 || v.len == 0 || v.len > VALUE_MAX || b64_url_decode(v.p, v.len, bytes, sizeof(bytes), &n) < 0)
		return -EUCLEAN;
	ret_wrapped->len = (size_t)snprintf((char *)ret_wrapped->bytes, sizeof(ret_wrapped->bytes), PREFIX "%s:%s:%.*s", algs[key->alg], key->version,
					    (int)v.len, v.p);
	r = snprintf(ret_wrapped->key_version, sizeof(ret_wrapped->key_version), "%s/keys/%s/%s", p->vault, p->name, key->version);
	return r < (int)sizeof(ret_wrapped->key_version) ? 0 : -EUCLEAN;
}

int kms_azure_parse_unwrap(const struct azure_place *p, const struct azure_key *key, const char *body, size_t len, struct secret **ret_kek)
{
	AUTO_SECRET struct secret *kek = NULL;
	struct jsonscan v;
	size_t n;
	int r;

	r = value_of(p, key, body, len, &v);
	if (r < 0)
		return r;
	if (secret_new(KEY_LEN, &kek) < 0)
		return -ENOMEM;
	if (b64_url_decode(v.p, v.len, secret_bytes(kek), KEY_LEN, &n) < 0 || n != KEY_LEN)
		return -EKEYREJECTED;
	*ret_kek = take_ptr(kek);
	return 0;
}
