/* kms_vault_login.c: how a tenant's agent shows itself to Vault: [kms] auth= and credentials= (coffer.conf(5)).
 *
 *	auth=token                         credentials=file:PATH, or env: VAULT_TOKEN, BAO_TOKEN
 *	auth=approle[@MOUNT]:ROLE_ID       credentials=file:PATH of the secret_id; ROLE_ID may be the absolute path of a file, too
 *	auth=kubernetes[@MOUNT]:ROLE       credentials=file:PATH of the JWT, by default the pod's service account
 *	auth=jwt[@MOUNT]:ROLE              credentials=file:PATH of the JWT
 *
 * Files are read again at each login, so they may be replaced at any time. A file that others could have written, or that everybody can read,
 * is refused (a JWT may be readable: pods have it so). Where they are sent is decided by the place alone, which is the host's configuration. */
#include "kms/kms_vault_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"

#define JWT_FILE "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define ROLE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static const struct {
	const char *word;
	enum vault_method method;
	const char *mount, *file;
} methods[] = {
	{ "approle", VAULT_APPROLE, "approle", "" },
	{ "kubernetes", VAULT_JWT, "kubernetes", JWT_FILE },
	{ "jwt", VAULT_JWT, "jwt", "" },
};

/* --- the words --- */

/* Copies the part of text before stop (or all), of at most max - 1 characters out of ROLE_CHARS and more; returns what is behind it, or NULL. */
static const char *part(const char *text, char stop, const char *more, char *out, size_t max)
{
	const char *end = strchr(text, stop);
	size_t n = end ? (size_t)(end - text) : strlen(text), i;

	for (i = 0; i < n; i++)
		if (!strchr(ROLE_CHARS, text[i]) && !strchr(more, text[i]))
			return NULL;
	if (n == 0 || n >= max)
		return NULL;
	memcpy(out, text, n);
	out[n] = '\0';
	return text + n + (end ? 1 : 0);
}

static bool auth_parse(const char *auth, struct vault_login *l)
{
	size_t i, n;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		n = strlen(methods[i].word);
		if (strncmp(auth, methods[i].word, n) != 0 || (auth[n] != '@' && auth[n] != ':'))
			continue;
		l->method = methods[i].method;
		(void)snprintf(l->mount, sizeof(l->mount), "%s", methods[i].mount);
		(void)snprintf(l->file, sizeof(l->file), "%s", methods[i].file);
		auth += n + 1;
		if (auth[-1] == '@') {
			auth = strchr(auth, ':') ? part(auth, ':', "/", l->mount, sizeof(l->mount)) : NULL;
			if (!auth)
				return false;
		}
		if (*auth == '/' && l->method == VAULT_APPROLE) {
			(void)snprintf(l->role_file, sizeof(l->role_file), "%s", auth);
			return true;
		}
		return part(auth, '\0', "", l->role, sizeof(l->role)) != NULL;
	}
	return false;
}

int kms_vault_login_parse(const struct kms_conf *conf, struct kms_error *err, struct vault_login *ret_login)
{
	struct vault_login l = { .method = VAULT_TOKEN };
	const char *c = conf->credentials;

	if (*conf->auth && strcmp(conf->auth, "token") != 0 && !auth_parse(conf->auth, &l))
		return kms_fail(err, KMS_CONFIG, "hcvault: auth=%.64s is not token, approle:ROLE_ID, kubernetes:ROLE or jwt:ROLE",
				conf->auth);
	if (strncmp(c, "file:/", 6) == 0)
		(void)snprintf(l.file, sizeof(l.file), "%s", c + 5);
	else if (*c && strcmp(c, "auto") != 0 && (l.method != VAULT_TOKEN || strcmp(c, "env") != 0))
		return kms_fail(err, KMS_CONFIG, "hcvault: credentials=%.64s does not go with auth=%.64s", c,
				*conf->auth ? conf->auth : "token");
	if (l.method != VAULT_TOKEN && !*l.file)
		return kms_fail(err, KMS_CONFIG, "hcvault: auth=%.64s needs credentials=file:PATH", conf->auth);
	*ret_login = l;
	return 0;
}

/* --- the credential --- */

static int token_read(const struct vault_login *l, struct kms_error *err, struct secret **ret_token)
{
	const char *text;

	if (*l->file)
		return kms_file_word(l->file, VAULT_TOKEN_MAX - 1, false, err, ret_token);
	text = env_get(ENV_VAULT_TOKEN);
	if (!text)
		text = env_get(ENV_BAO_TOKEN);
	if (!text)
		return kms_fail(err, KMS_CONFIG, "hcvault: no token: credentials= is not set, nor VAULT_TOKEN for the agent");
	return kms_file_word_of("VAULT_TOKEN", text, VAULT_TOKEN_MAX - 1, err, ret_token);
}

/* --- the requests --- */

static void put(struct http_request *req, const char *text)
{
	size_t n = strlen(text);

	memcpy(secret_bytes(req->body) + req->body_len, text, n);
	req->body_len += n;
}

/* {"NAME":"WORD","SECRET_NAME":"SECRET"}; the words were checked. */
static int body_make(struct http_request *req, const char *name, const char *word, const char *secret_name, const char *secret)
{
	size_t len = strlen(name) + strlen(word) + strlen(secret_name) + strlen(secret) + 16;
	const char *texts[] = { "{\"", name, "\":\"", word, "\",\"", secret_name, "\":\"", secret, "\"}" };
	size_t i;
	int r;

	r = secret_new(len, &req->body);
	if (r < 0)
		return r;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		put(req, texts[i]);
	return 0;
}

static int login_build(const struct vault_place *p, const struct vault_login *l, const char *role, const char *secret,
		       struct http_request *ret_req)
{
	struct http_request req = { 0 };
	bool approle = l->method == VAULT_APPROLE;
	int r;

	url_start(&req.url, p->origin);
	url_path(&req.url, "v1/auth");
	url_path(&req.url, l->mount);
	url_component(&req.url, "login");
	r = url_done(&req.url);
	if (r >= 0)
		r = body_make(&req, approle ? "role_id" : "role", role, approle ? "secret_id" : "jwt", secret);
	if (r < 0)
		return r;
	*ret_req = req;
	return 0;
}

/* A token's view of itself, or another way of asking for one: the answer of req. */
static int auth_ask(const struct vault_place *p, struct http_request *req, bool of_auth, uint64_t deadline_ms,
		    struct kms_error *err, struct vault_auth *ret_auth)
{
	struct kms_call call = { .tenant = p->tenant, .deadline_ms = deadline_ms, .classify = kms_vault_classify_login };
	struct http_answer a = { 0 };
	int r;

	r = kms_call(&call, req, err, &a);
	if (r >= 0)
		r = kms_vault_parse_auth((const char *)secret_bytes_const(a.body), a.body_len, of_auth, ret_auth);
	http_answer_done(&a);
	if (r == -EUCLEAN) {
		err->alarm = true;
		return kms_fail(err, KMS_TRANSIENT, "%s: the answer to a login is not Vault's", p->origin + 8);
	}
	if (r < 0 && err->class == KMS_OK)
		return kms_fail(err, KMS_TRANSIENT, "hcvault: no locked memory");
	return r;
}

int kms_vault_token_ask(const struct vault_place *p, const struct secret *token, bool renew, uint64_t asked_s,
			uint64_t deadline_ms, struct kms_error *err, struct vault_auth *ret_auth)
{
	struct http_request req = { 0 };
	char text[64];
	int r = 0;

	url_start(&req.url, p->origin);
	url_path(&req.url, renew ? "v1/auth/token/renew-self" : "v1/auth/token/lookup-self");
	if (renew) {
		int n = snprintf(text, sizeof(text), "{\"increment\":\"%llus\"}", (unsigned long long)asked_s);

		r = secret_new_copy(text, (size_t)n, &req.body);
		req.body_len = (size_t)n;
	}
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "hcvault: no locked memory");
	kms_vault_headers(p, token, NULL, &req);
	r = auth_ask(p, &req, renew, deadline_ms, err, ret_auth);
	http_request_done(&req);
	return r;
}

/* A token from outside: what it says of itself tells whether it is valid, and when to renew it. One that may not ask is used as it is. */
static int token_login(const struct vault_place *p, const struct vault_login *l, uint64_t deadline_ms, struct kms_error *err,
		       struct vault_auth *ret_auth)
{
	AUTO_SECRET struct secret *token = NULL;
	struct vault_auth auth = { 0 };
	int r;

	r = token_read(l, err, &token);
	if (r < 0)
		return r;
	r = kms_vault_token_ask(p, token, false, 0, deadline_ms, err, &auth);
	if (r < 0 && (err->class != KMS_AUTH || err->http_status != 403 || kms_vault_token_refused(err)))
		return r;
	auth.token = take_ptr(token);
	*ret_auth = auth;
	return 0;
}

int kms_vault_login(const struct vault_place *p, const char *id, uint64_t deadline_ms, struct kms_error *err,
		    struct vault_auth *ret_auth)
{
	AUTO_SECRET struct secret *role = NULL;
	AUTO_SECRET struct secret *secret = NULL;
	struct http_request req = { 0 };
	struct vault_login l;
	int r;

	r = kms_vault_login_parse(p->conf, err, &l);
	if (r < 0)
		return r;
	if (l.method == VAULT_TOKEN)
		return token_login(p, &l, deadline_ms, err, ret_auth);
	if (*l.role_file) {
		r = kms_file_word(l.role_file, VAULT_TOKEN_MAX - 1, true, err, &role);
		if (r < 0)
			return r;
	}
	r = l.method == VAULT_JWT ? kms_file_word(l.file, VAULT_JWT_MAX, true, err, &secret) :
				    kms_file_word(l.file, VAULT_TOKEN_MAX - 1, false, err, &secret);
	if (r < 0)
		return r;
	r = login_build(p, &l, role ? (const char *)secret_bytes_const(role) : l.role,
			(const char *)secret_bytes_const(secret), &req);
	if (r < 0)
		return kms_fail(err, r == -EINVAL ? KMS_CONFIG : KMS_TRANSIENT, "hcvault: a login cannot be made: %s", strerror(-r));
	kms_vault_headers(p, NULL, id, &req);
	r = auth_ask(p, &req, true, deadline_ms, err, ret_auth);
	http_request_done(&req);
	return r;
}
