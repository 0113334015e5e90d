/* kms_gcp_token.c: how a tenant's agent shows itself to Google: [kms] auth= and credentials= (coffer.conf(5)).
 *
 *	credentials=imds           the service account of the machine, from the metadata service
 *	credentials=file:PATH      a service account's key file (JSON)
 *	credentials=env            the file that GOOGLE_APPLICATION_CREDENTIALS names
 *	credentials=auto           env where it is set, else imds
 *	auth=jwt, or nothing       a file's key signs a token for Cloud KMS itself, as Google's own clients do: nobody else is asked
 *	auth=exchange              it signs one that the file's token_uri exchanges
 *
 * The file is read again for each token. Metadata is asked by its address, not by name: what answers without TLS must not be chosen by DNS. */
#include "kms/kms_gcp_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/b64.h"
#include "base/env.h"
#include "base/jsonscan.h"
#include "crypt/rsa.h"

#define METADATA_HOST "169.254.169.254"
#define JWT_MAX 8192
#define JWT_LIFE_S 3600
#define EXCHANGE_MAX (JWT_MAX + 512)
#define EMAIL_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-@:"
#define KID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define URI_CHARS KID_CHARS ":/"

/* --- the words --- */

int kms_gcp_login_parse(const struct gcp_place *p, struct kms_error *err, struct gcp_login *ret_login)
{
	struct gcp_login l = { .tenant = p->tenant, .conf = p->conf, .exchange = strcmp(p->conf->auth, "exchange") == 0 };
	const char *c = *p->conf->credentials ? p->conf->credentials : "auto";
	const char *file = env_get(ENV_GOOGLE_APPLICATION_CREDENTIALS);
	int n;

	if (*p->conf->auth && !l.exchange && strcmp(p->conf->auth, "jwt") != 0)
		return kms_fail(err, KMS_CONFIG, "gcp-kms: auth=%.64s is neither jwt nor exchange", p->conf->auth);
	if (strncmp(c, "file:/", 6) == 0)
		(void)snprintf(l.file, sizeof(l.file), "%s", c + 5);
	else if (strcmp(c, "env") == 0 && !file)
		return kms_fail(err, KMS_CONFIG, "gcp-kms: credentials=env, and GOOGLE_APPLICATION_CREDENTIALS is not set for the agent");
	else if (strcmp(c, "env") == 0 || (strcmp(c, "auto") == 0 && file))
		(void)snprintf(l.file, sizeof(l.file), "%s", file);
	else if (strcmp(c, "auto") != 0 && strcmp(c, "imds") != 0)
		return kms_fail(err, KMS_CONFIG, "gcp-kms: credentials=%.64s is none of auto, env, file:/PATH, imds", c);
	if (!*l.file && *p->conf->auth)
		return kms_fail(err, KMS_CONFIG, "gcp-kms: auth=%.64s needs a service account's file", p->conf->auth);
	n = snprintf(l.key, sizeof(l.key), "gcp-kms\n%s\n%s\n%s\n%d\n%s\n%s", p->tenant, p->origin, l.file, l.exchange, p->conf->ca_file, p->conf->proxy);
	if (n < 0 || (size_t)n >= sizeof(l.key))
		return kms_fail(err, KMS_CONFIG, "gcp-kms: the tenant's configuration is too long");
	*ret_login = l;
	return 0;
}

/* --- the account --- */

/* A member made of some characters only: it goes into JSON, and into what is logged. */
static bool word_of(const struct jsonscan *all, const char *name, const char *chars, char *ret_text, size_t max)
{
	struct jsonscan v;
	size_t n;

	if (jsonscan_member(all, name, &v) < 0 || v.type != '"')
		return false;
	n = jsonscan_text(&v, ret_text, max);
	return n > 0 && n + 1 < max && strspn(ret_text, chars) == n;
}

void kms_gcp_account_done(struct gcp_account *a)
{
	secret_free(a->pem);
	a->pem = NULL;
}

int kms_gcp_account_parse(const char *text, size_t len, struct gcp_account *ret_account)
{
	struct gcp_account a = { 0 };
	struct jsonscan all, v;
	char type[32];

	if (jsonscan_check(text, len, &all) < 0 || !word_of(&all, "type", KID_CHARS, type, sizeof(type)))
		return -EUCLEAN;
	if (strcmp(type, "service_account") != 0)
		return -EOPNOTSUPP;
	if (!word_of(&all, "client_email", EMAIL_CHARS, a.email, sizeof(a.email)) ||
	    !word_of(&all, "private_key_id", KID_CHARS, a.kid, sizeof(a.kid)) ||
	    (jsonscan_member(&all, "token_uri", &v) != -ENOENT && !word_of(&all, "token_uri", URI_CHARS, a.token_uri, sizeof(a.token_uri))) ||
	    jsonscan_member(&all, "private_key", &v) < 0 || v.type != '"' || v.len == 0 || v.len >= GCP_FILE_MAX)
		return -EUCLEAN;
	if (secret_new(v.len + 1, &a.pem) < 0)
		return -ENOMEM;
	a.pem_len = jsonscan_text(&v, (char *)secret_bytes(a.pem), v.len + 1);
	*ret_account = a;
	return 0;
}

/* --- its tokens --- */

static size_t put_b64(struct secret *s, size_t at, const void *p, size_t n)
{
	return at + b64_url_encode(p, n, (char *)secret_bytes(s) + at);
}

int kms_gcp_jwt(const struct gcp_account *a, const char *aud, const char *scope, int64_t now_s, struct secret **ret_jwt)
{
	AUTO_SECRET struct secret *jwt = NULL;
	char text[GCP_EMAIL_MAX * 2 + GCP_TOKEN_URI_MAX + 512];
	uint8_t signature[RSA_SIGN_MAX];
	size_t at, len;
	int r, n;

	if (secret_new(JWT_MAX, &jwt) < 0)
		return -ENOMEM;
	n = snprintf(text, sizeof(text), "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", a->kid);
	at = put_b64(jwt, 0, text, (size_t)n);
	secret_bytes(jwt)[at++] = '.';
	n = snprintf(text, sizeof(text), "{\"iss\":\"%s\",%s%s\",\"aud\":\"%s\",\"iat\":%lld,\"exp\":%lld}", a->email,
		     scope ? "\"scope\":\"" : "\"sub\":\"", scope ? scope : a->email, aud, (long long)now_s, (long long)now_s + JWT_LIFE_S);
	if (n < 0 || (size_t)n >= sizeof(text))
		return -EINVAL;
	at = put_b64(jwt, at, text, (size_t)n);
	r = rsa_sign(a->pem, a->pem_len, secret_bytes_const(jwt), at, signature, &len);
	if (r < 0)
		return r;
	secret_bytes(jwt)[at++] = '.';
	at = put_b64(jwt, at, signature, len);
	r = secret_new_copy(secret_bytes_const(jwt), at + 1, ret_jwt);
	return r < 0 ? -ENOMEM : 0;
}

/* https://HOST[:PORT]/PATH as a URL that grows. */
static int uri_start(const char *text, struct url *ret_url)
{
	char origin[URL_ORIGIN_MAX + 1], out[URL_ORIGIN_MAX + 1];
	int n;
	const char *host = url_host(text, &n), *path = host + n;

	if (*path != '/' || (size_t)(path - text) >= sizeof(origin))
		return -EINVAL;
	memcpy(origin, text, (size_t)(path - text));
	origin[path - text] = '\0';
	if (url_origin_parse(origin, out) < 0)
		return -EINVAL;
	url_start(ret_url, out);
	url_path(ret_url, path + 1);
	return url_done(ret_url);
}

int kms_gcp_build_exchange(const struct gcp_account *a, const struct secret *jwt, struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	r = uri_start(a->token_uri, &req.url);
	if (r < 0)
		return r;
	if (secret_new(EXCHANGE_MAX, &req.body) < 0)
		return -ENOMEM;
	req.headers[0] = (struct http_header){ .name = "Content-Type", .value = "application/x-www-form-urlencoded" };
	r = kms_bearer_form(&req, EXCHANGE_MAX, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
	if (r >= 0) {
		static const char name[] = "&assertion=";
		size_t n = secret_len(jwt) - 1; /* of characters that a form takes as they are */

		memcpy(secret_bytes(req.body) + req.body_len, name, sizeof(name) - 1);
		memcpy(secret_bytes(req.body) + req.body_len + sizeof(name) - 1, secret_bytes_const(jwt), n);
		req.body_len += sizeof(name) - 1 + n;
	}
	*ret_req = req;
	return r;
}

static int exchanged(const struct gcp_login *l, const struct gcp_account *a, const struct secret *jwt, uint64_t deadline_ms,
		     struct kms_error *err, struct kms_bearer *b)
{
	struct http_request req = { 0 };
	int r;

	r = kms_gcp_build_exchange(a, jwt, &req);
	if (r == -EINVAL)
		return kms_fail(err, KMS_CONFIG, "%s: its token_uri is no https:// URL", l->file);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "gcp-kms: no locked memory");
	req.owner = l->tenant;
	req.ca_file = l->conf->ca_file;
	req.proxy = l->conf->proxy;
	r = kms_bearer_ask(l->tenant, &req, NULL, deadline_ms, err, b);
	http_request_done(&req);
	return r;
}

static int of_account(const struct gcp_login *l, const struct gcp_account *a, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *b)
{
	AUTO_SECRET struct secret *jwt = NULL;
	int r;

	r = kms_gcp_jwt(a, l->exchange ? a->token_uri : GCP_AUDIENCE, l->exchange ? GCP_SCOPE : NULL, (int64_t)time(NULL), &jwt);
	if (r == -EINVAL)
		return kms_fail(err, KMS_CONFIG, "%s: its private key is no RSA key of 2048 bits or more", l->file);
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "gcp-kms: no locked memory");
	(void)snprintf(b->who, sizeof(b->who), "%.90s", a->email);
	if (l->exchange)
		return exchanged(l, a, jwt, deadline_ms, err, b);
	b->token = take_ptr(jwt);
	b->life_s = JWT_LIFE_S;
	return 0;
}

static int of_file(const struct gcp_login *l, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *b)
{
	AUTO_SECRET struct secret *text = NULL;
	struct gcp_account a = { 0 };
	size_t len;
	int r;

	r = kms_file_read(l->file, GCP_FILE_MAX, false, err, &text, &len);
	if (r < 0)
		return r;
	r = kms_gcp_account_parse((const char *)secret_bytes_const(text), len, &a);
	if (r == -EOPNOTSUPP)
		return kms_fail(err, KMS_CONFIG, "%s: its type is not service_account; no other is known to this version", l->file);
	if (r < 0)
		return kms_fail(err, r == -ENOMEM ? KMS_TRANSIENT : KMS_CONFIG, "%s: %s", l->file,
				r == -ENOMEM ? "no locked memory" : "is no service account's key file");
	r = of_account(l, &a, deadline_ms, err, b);
	kms_gcp_account_done(&a);
	return r;
}

static int of_metadata(const struct gcp_login *l, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *b)
{
	const char *host = env_get(ENV_GCE_METADATA_HOST);
	struct http_request req = { .metadata = true, .owner = l->tenant, .ca_file = "", .proxy = "", .want = { "Metadata-Flavor" } };
	char origin[URL_ORIGIN_MAX + 1];

	if (!host)
		host = METADATA_HOST;
	(void)snprintf(origin, sizeof(origin), "http://%.*s", URL_HOST_MAX, host);
	if (!url_host_ok(host) || !url_plain_ok(origin, false))
		return kms_fail(err, KMS_CONFIG, "gcp-kms: GCE_METADATA_HOST=%.100s is no address of a metadata service", host);
	url_start(&req.url, origin);
	url_path(&req.url, "computeMetadata/v1/instance/service-accounts/default/token");
	req.headers[0] = (struct http_header){ .name = "Metadata-Flavor", .value = "Google" };
	(void)snprintf(b->who, sizeof(b->who), "metadata");
	return kms_bearer_ask(l->tenant, &req, "Google", deadline_ms, err, b);
}

int kms_gcp_fetch(const void *arg, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *ret_bearer)
{
	const struct gcp_login *l = arg;
	struct kms_bearer b = { 0 };
	int r;

	r = *l->file ? of_file(l, deadline_ms, err, &b) : of_metadata(l, deadline_ms, err, &b);
	if (r < 0)
		return r;
	*ret_bearer = b;
	return 0;
}
