/* kms_azure_token.c: how a tenant's agent shows itself to Azure: [kms] auth= and credentials= (coffer.conf(5)).
 *
 *	auth=                        credentials=              who we are
 *	identity[:CLIENT_ID]         imds                      the machine's managed identity
 *	                             pod                       the same of a hosted process: IDENTITY_ENDPOINT, IDENTITY_HEADER
 *	                             auto                      pod where those are set, else imds
 *	client:DIRECTORY/CLIENT_ID   file:PATH                 an application, by its secret in a file
 *	workload:DIRECTORY/CLIENT_ID file:PATH, web, auto      an application, by a token of somebody it trusts: a file, or AZURE_FEDERATED_TOKEN_FILE
 *	nothing                      env                       an application of AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET
 *	                             web                       the same two and AZURE_FEDERATED_TOKEN_FILE
 *	                             auto                      env, web, pod, imds: the first for which all is set
 *
 * Files are read again for each token. A secret goes to the authority alone: that of the vault's cloud, or AZURE_AUTHORITY_HOST. */
#include "kms/kms_azure_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"

#define METADATA "http://169.254.169.254"
#define JWT_MAX 16384
#define FORM_MAX (3 * JWT_MAX + 1024)
#define ID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"

/* --- the words --- */

static bool id_take(const char *text, size_t n, char ret_id[static AZURE_ID_MAX + 1])
{
	if (n == 0 || n > AZURE_ID_MAX || strspn(text, ID_CHARS) < n)
		return false;
	memcpy(ret_id, text, n);
	ret_id[n] = '\0';
	return true;
}

/* "DIRECTORY/CLIENT_ID" */
static bool application_take(const char *text, struct azure_login *l)
{
	size_t n = strcspn(text, "/");

	return text[n] == '/' && id_take(text, n, l->directory) && id_take(text + n + 1, strlen(text + n + 1), l->client);
}

static bool application_env(struct azure_login *l)
{
	const char *directory = env_get(ENV_AZURE_TENANT_ID), *client = env_get(ENV_AZURE_CLIENT_ID);

	return directory && client && id_take(directory, strlen(directory), l->directory) && id_take(client, strlen(client), l->client);
}

static bool file_take(const char *path, struct azure_login *l)
{
	return path && path[0] == '/' && (size_t)snprintf(l->file, sizeof(l->file), "%s", path) < sizeof(l->file);
}

static bool hosted(void)
{
	return env_get(ENV_IDENTITY_ENDPOINT) && env_get(ENV_IDENTITY_HEADER);
}

static bool identity_parse(const char *id, const char *c, struct azure_login *l)
{
	if (*id && !id_take(id, strlen(id), l->client))
		return false;
	l->method = strcmp(c, "pod") == 0 || (strcmp(c, "auto") == 0 && hosted()) ? AZURE_POD : AZURE_IMDS;
	return strcmp(c, "auto") == 0 || strcmp(c, "imds") == 0 || (strcmp(c, "pod") == 0 && hosted());
}

static bool environment_parse(const char *c, struct azure_login *l)
{
	bool any = strcmp(c, "auto") == 0;

	if ((any || strcmp(c, "env") == 0) && env_get(ENV_AZURE_CLIENT_SECRET) && application_env(l)) {
		l->method = AZURE_CLIENT;
		return true;
	}
	if ((any || strcmp(c, "web") == 0) && file_take(env_get(ENV_AZURE_FEDERATED_TOKEN_FILE), l) && application_env(l)) {
		l->method = AZURE_WORKLOAD;
		return true;
	}
	l->file[0] = l->directory[0] = l->client[0] = '\0';
	return identity_parse("", c, l);
}

static bool words_parse(const char *auth, const char *c, struct azure_login *l)
{
	const char *file = strncmp(c, "file:/", 6) == 0 ? c + 5 : NULL;

	if (!*auth)
		return environment_parse(c, l);
	if (strncmp(auth, "identity", 8) == 0 && (auth[8] == '\0' || (auth[8] == ':' && auth[9])))
		return identity_parse(auth[8] ? auth + 9 : "", c, l);
	if (strncmp(auth, "client:", 7) == 0) {
		l->method = AZURE_CLIENT;
		return application_take(auth + 7, l) && file_take(file, l);
	}
	if (strncmp(auth, "workload:", 9) == 0) {
		l->method = AZURE_WORKLOAD;
		if (!file && (strcmp(c, "auto") == 0 || strcmp(c, "web") == 0))
			file = env_get(ENV_AZURE_FEDERATED_TOKEN_FILE);
		return application_take(auth + 9, l) && file_take(file, l);
	}
	return false;
}

int kms_azure_login_parse(const struct azure_place *p, struct kms_error *err, struct azure_login *ret_login)
{
	struct azure_login l = { .tenant = p->tenant, .conf = p->conf, .resource = p->resource };
	const char *c = *p->conf->credentials ? p->conf->credentials : "auto";
	const char *authority = env_get(ENV_AZURE_AUTHORITY_HOST);
	int n;

	if (!words_parse(p->conf->auth, c, &l))
		return kms_fail(err, KMS_CONFIG, "azure-kms: credentials=%.64s does not go with auth=%.64s and the agent's environment", c, p->conf->auth);
	if (url_origin_parse(authority ? authority : p->authority, l.authority) < 0)
		return kms_fail(err, KMS_CONFIG, "azure-kms: AZURE_AUTHORITY_HOST is not https://HOST[:PORT]");
	n = snprintf(l.key, sizeof(l.key), "azure-kms\n%s\n%s\n%s\n%d\n%s\n%s\n%s\n%s\n%s\n%s", p->tenant, p->origin, l.resource, (int)l.method, l.authority,
		     l.directory, l.client, l.file, p->conf->ca_file, p->conf->proxy);
	if (n < 0 || (size_t)n >= sizeof(l.key))
		return kms_fail(err, KMS_CONFIG, "azure-kms: the tenant's configuration is too long");
	*ret_login = l;
	return 0;
}

/* --- requests --- */

static void header(struct http_request *req, size_t i, const char *name, const char *value)
{
	req->headers[i] = (struct http_header){ .name = name, .value = value };
}

/* http://HOST[:PORT]/PATH of this host or of a metadata service; a query is ours to add. */
static int endpoint_start(const char *text, struct url *ret_url)
{
	char origin[URL_ORIGIN_MAX + 1];
	const char *path;
	int len;

	path = url_host(text, &len);
	path += len;
	if (!url_plain_ok(text, true) || *path != '/' || strchr(path, '?') || (size_t)(path - text) >= sizeof(origin))
		return -EINVAL;
	memcpy(origin, text, (size_t)(path - text));
	origin[path - text] = '\0';
	url_start(ret_url, origin);
	url_path(ret_url, path + 1);
	return url_done(ret_url);
}

static int build_identity(const struct azure_login *l, struct http_request *req)
{
	const char *endpoint = env_get(ENV_IDENTITY_ENDPOINT), *secret = env_get(ENV_IDENTITY_HEADER);

	req->metadata = true;
	header(req, 0, "Metadata", "true");
	if (l->method == AZURE_POD) {
		req->loopback_ok = true;
		if (!endpoint || !secret || endpoint_start(endpoint, &req->url) < 0)
			return -EINVAL;
		header(req, 1, "X-IDENTITY-HEADER", secret);
		url_query(&req->url, "api-version", "2019-08-01");
	} else {
		url_start(&req->url, METADATA);
		url_path(&req->url, "metadata/identity/oauth2/token");
		url_query(&req->url, "api-version", "2018-02-01");
	}
	url_query(&req->url, "resource", l->resource);
	if (*l->client)
		url_query(&req->url, "client_id", l->client);
	return url_done(&req->url);
}

static int build_application(const struct azure_login *l, const struct secret *secret, struct http_request *req)
{
	const char *word = (const char *)secret_bytes_const(secret);
	char scope[128];
	int r;

	url_start(&req->url, l->authority);
	url_component(&req->url, l->directory);
	url_path(&req->url, "oauth2/v2.0/token");
	r = url_done(&req->url);
	if (r < 0)
		return r;
	if (secret_new(FORM_MAX, &req->body) < 0)
		return -ENOMEM;
	header(req, 0, "Content-Type", "application/x-www-form-urlencoded");
	(void)snprintf(scope, sizeof(scope), "%s/.default", l->resource);
	r = kms_bearer_form(req, FORM_MAX, "grant_type", "client_credentials");
	if (r >= 0)
		r = kms_bearer_form(req, FORM_MAX, "client_id", l->client);
	if (r >= 0)
		r = kms_bearer_form(req, FORM_MAX, "scope", scope);
	if (r >= 0 && l->method == AZURE_WORKLOAD)
		r = kms_bearer_form(req, FORM_MAX, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
	return r < 0 ? r : kms_bearer_form(req, FORM_MAX, l->method == AZURE_WORKLOAD ? "client_assertion" : "client_secret", word);
}

int kms_azure_build_token(const struct azure_login *l, const struct secret *secret, struct http_request *ret_req)
{
	struct http_request req = { .owner = l->tenant, .ca_file = l->conf->ca_file, .proxy = l->conf->proxy };
	int r;

	r = l->method == AZURE_CLIENT || l->method == AZURE_WORKLOAD ? build_application(l, secret, &req) : build_identity(l, &req);
	if (r < 0) {
		http_request_done(&req);
		return r;
	}
	*ret_req = req;
	return 0;
}

/* --- the token --- */

static int secret_read(const struct azure_login *l, struct kms_error *err, struct secret **ret_secret)
{
	const char *text;

	if (l->method == AZURE_WORKLOAD) /* pods have it readable */
		return kms_file_word(l->file, JWT_MAX - 1, true, err, ret_secret);
	if (*l->file)
		return kms_file_word(l->file, AZURE_SECRET_MAX - 1, false, err, ret_secret);
	text = env_get(ENV_AZURE_CLIENT_SECRET);
	if (!text)
		return kms_fail(err, KMS_CONFIG, "azure-kms: AZURE_CLIENT_SECRET is not set for the agent");
	return kms_file_word_of("AZURE_CLIENT_SECRET", text, AZURE_SECRET_MAX - 1, err, ret_secret);
}

int kms_azure_fetch(const void *arg, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *ret_bearer)
{
	static const char *const kinds[] = { [AZURE_IMDS] = "imds", [AZURE_POD] = "pod", [AZURE_CLIENT] = "client", [AZURE_WORKLOAD] = "workload" };
	AUTO_SECRET struct secret *secret = NULL;
	const struct azure_login *l = arg;
	struct http_request req = { 0 };
	struct kms_bearer b = { 0 };
	int r = 0;

	if (l->method == AZURE_CLIENT || l->method == AZURE_WORKLOAD)
		r = secret_read(l, err, &secret);
	if (r < 0)
		return r;
	r = kms_azure_build_token(l, secret, &req);
	if (r == -EINVAL)
		return kms_fail(err, KMS_CONFIG, "azure-kms: a token cannot be asked for%s", l->method == AZURE_POD ? ": IDENTITY_ENDPOINT is not "
				"http://HOST/PATH of this host" : "");
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "azure-kms: no locked memory");
	(void)snprintf(b.who, sizeof(b.who), "%s%s%s", kinds[l->method], *l->client ? " " : "", l->client);
	r = kms_bearer_ask(l->tenant, &req, NULL, deadline_ms, err, &b);
	http_request_done(&req);
	if (r < 0)
		return r;
	*ret_bearer = b;
	return 0;
}
