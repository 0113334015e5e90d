/* awscred_source.c: the environment, web identity, containers and instances; and which of them it is.
 *
 * Plain HTTP goes to the metadata addresses of url.h alone, and to loopback where the environment names a container's agent there. IMDS is asked as
 * version 2 says, and never without a token: version 1 would give the credentials to whatever makes this host send a GET. */
#include "net/awscred_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"

#define META_TRY_MS 1000
#define IMDS "http://169.254.169.254"
#define ECS "http://169.254.170.2"
#define META_TOKEN_MAX 4096
#define ROLE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-"

int awscred_env(const struct awscred_fetch *f, struct awscred *ret_cred)
{
	const char *key = env_get(ENV_AWS_ACCESS_KEY_ID), *secret = env_get(ENV_AWS_SECRET_ACCESS_KEY), *token = env_get(ENV_AWS_SESSION_TOKEN);
	int r;

	if (!key && !secret)
		return -ENOENT;
	if (!key || !secret)
		return awscred_fail(f->err, -EINVAL, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: one is set without the other");
	r = awscred_make(key, secret, strlen(secret), token, token ? strlen(token) : 0, "env", ret_cred);
	return r == -EINVAL ? awscred_fail(f->err, r, "AWS_ACCESS_KEY_ID or its fellows: cannot be a credential") : r;
}

int awscred_web(const struct awscred_fetch *f, struct awscred *ret_cred)
{
	const char *file = env_get(ENV_AWS_WEB_IDENTITY_TOKEN_FILE), *role = env_get(ENV_AWS_ROLE_ARN);
	int r;

	if (!role && *f->conf->role_arn && strcmp(f->conf->source, "web") == 0)
		role = f->conf->role_arn;
	if (!file)
		return -ENOENT;
	if (!role)
		return awscred_fail(f->err, -EINVAL, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but no role: AWS_ROLE_ARN or role-arn=");
	r = awscred_assume_web(f, file, role, env_get(ENV_AWS_ROLE_SESSION_NAME), ret_cred);
	if (r >= 0)
		ret_cred->kind = "web";
	return r;
}

/* A URL that the environment gives whole. */
static void url_of(struct http_request *req, const char *origin, const char *path)
{
	const char *p;

	url_start(&req->url, origin);
	for (p = path; *p && !req->url.failed; p++) {
		if (*p <= 0x20 || *p > 0x7e || strchr("#\"\\", *p) || req->url.len == URL_MAX)
			req->url.failed = true;
		else
			req->url.text[req->url.len++] = *p;
	}
	req->url.text[req->url.len] = '\0';
	req->metadata = strncmp(req->url.text, "http:", 5) == 0;
}

/* 0 with a 200, and its body is the caller's; -ENOENT a 404. */
static int metadata(const struct awscred_fetch *f, struct http_request *req, const char *what, struct http_answer *ret_a)
{
	int r;

	r = awscred_ask(f, req, META_TRY_MS, ret_a);
	if (r < 0 || ret_a->status == 200)
		return r;
	r = ret_a->status == 404 ? -ENOENT : -EACCES;
	return awscred_fail(f->err, r, "%s: answered %d", what, ret_a->status);
}

static int parsed(const struct awscred_fetch *f, const struct http_answer *a, bool code, const char *kind, struct awscred *ret_cred)
{
	int r = awscred_parse_json((const char *)secret_bytes_const(a->body), a->body_len, code, kind, ret_cred);

	if (r == -EUCLEAN || r == -EACCES) {
		f->err->alarm = r == -EUCLEAN;
		return awscred_fail(f->err, r == -EACCES ? r : -EAGAIN, "%s: the answer holds no credentials", kind);
	}
	return r < 0 ? awscred_fail(f->err, r, "%s: no locked memory", kind) : 0;
}

/* --- containers --- */

static int pod_token(const struct awscred_fetch *f, struct secret **ret_token)
{
	const char *file = env_get(ENV_AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE), *token = env_get(ENV_AWS_CONTAINER_AUTHORIZATION_TOKEN);
	int r;

	if (file)
		return awscred_file_word(file, META_TOKEN_MAX, f->err, ret_token);
	if (!token)
		return 0;
	if (strlen(token) > META_TOKEN_MAX)
		return awscred_fail(f->err, -EINVAL, "AWS_CONTAINER_AUTHORIZATION_TOKEN: is too long");
	r = secret_new_copy(token, strlen(token) + 1, ret_token);
	return r < 0 ? awscred_fail(f->err, r, "pod: no locked memory") : 0;
}

int awscred_pod(const struct awscred_fetch *f, struct awscred *ret_cred)
{
	const char *relative = env_get(ENV_AWS_CONTAINER_CREDENTIALS_RELATIVE_URI), *full = env_get(ENV_AWS_CONTAINER_CREDENTIALS_FULL_URI);
	AUTO_SECRET struct secret *token = NULL;
	struct http_request req = { .loopback_ok = true };
	struct http_answer a = { 0 };
	int r;

	if (!relative && !full)
		return -ENOENT;
	url_of(&req, relative ? ECS : full, relative ? relative : "");
	if (url_done(&req.url) < 0 || (relative && *relative != '/') || (req.metadata && !url_plain_ok(req.url.text, true)) ||
	    (!req.metadata && strncmp(req.url.text, "https://", 8) != 0))
		return awscred_fail(f->err, -EINVAL, "AWS_CONTAINER_CREDENTIALS_%s_URI: must be of the container's own agent, or https",
				    relative ? "RELATIVE" : "FULL");
	r = pod_token(f, &token);
	if (r < 0)
		return r;
	if (token)
		req.headers[0] = (struct http_header){ "Authorization", (const char *)secret_bytes_const(token) };
	r = metadata(f, &req, "pod", &a);
	if (r >= 0)
		r = parsed(f, &a, false, "pod", ret_cred);
	http_answer_done(&a);
	return r == -ENOENT ? -EACCES : r;
}

/* --- instances --- */

static int imds_token(const struct awscred_fetch *f, const char *origin, struct secret **ret_token)
{
	struct http_request req = { .method = "PUT", .loopback_ok = true, .headers = { { "X-aws-ec2-metadata-token-ttl-seconds", "21600" } } };
	struct http_answer a = { 0 };
	const char *p;
	size_t i;
	int r;

	url_of(&req, origin, "/latest/api/token");
	r = metadata(f, &req, "IMDSv2", &a);
	p = r >= 0 ? (const char *)secret_bytes_const(a.body) : "";
	for (i = 0; r >= 0 && i < a.body_len; i++)
		if (p[i] <= 0x20 || p[i] > 0x7e)
			r = awscred_fail(f->err, -EAGAIN, "IMDSv2: its token makes no sense");
	if (r >= 0 && (a.body_len == 0 || a.body_len > META_TOKEN_MAX))
		r = awscred_fail(f->err, -EAGAIN, "IMDSv2: its token makes no sense");
	if (r >= 0 && secret_new(a.body_len + 1, ret_token) < 0)
		r = awscred_fail(f->err, -ENOMEM, "IMDSv2: no locked memory");
	if (r >= 0)
		memcpy(secret_bytes(*ret_token), p, a.body_len);
	http_answer_done(&a);
	return r == -ENOENT ? -EACCES : r;
}

static int imds_get(const struct awscred_fetch *f, const char *origin, const char *path, const struct secret *token, struct http_answer *ret_a)
{
	struct http_request req = { .loopback_ok = true,
				    .headers = { { "X-aws-ec2-metadata-token", (const char *)secret_bytes_const(token) } } };

	url_of(&req, origin, path);
	return metadata(f, &req, "IMDSv2", ret_a);
}

/* The name of the instance's role is the first line. */
static int imds_role(const struct awscred_fetch *f, const char *origin, const struct secret *token, size_t max, char *ret_path)
{
	static const char dir[] = "/latest/meta-data/iam/security-credentials/";
	struct http_answer a = { 0 };
	const char *p;
	size_t n;
	int r;

	r = imds_get(f, origin, dir, token, &a);
	if (r >= 0) {
		p = (const char *)secret_bytes_const(a.body);
		for (n = 0; n < a.body_len && strchr(ROLE_CHARS, p[n]) && p[n]; n++)
			;
		if (n == 0 || sizeof(dir) + n > max || (n < a.body_len && !strchr("\r\n", p[n])))
			r = awscred_fail(f->err, -EACCES, "IMDSv2: the instance has no role");
		else
			(void)snprintf(ret_path, max, "%s%.*s", dir, (int)n, p);
	} else if (r == -ENOENT) {
		r = awscred_fail(f->err, -EACCES, "IMDSv2: the instance has no role");
	}
	http_answer_done(&a);
	return r;
}

int awscred_imds(const struct awscred_fetch *f, struct awscred *ret_cred)
{
	const char *disabled = env_get(ENV_AWS_EC2_METADATA_DISABLED), *origin = env_get(ENV_AWS_EC2_METADATA_SERVICE_ENDPOINT);
	AUTO_SECRET struct secret *token = NULL;
	struct http_answer a = { 0 };
	char path[256], at[URL_ORIGIN_MAX + 1];
	int r;

	if (disabled && strcmp(disabled, "true") == 0)
		return -ENOENT;
	(void)snprintf(at, sizeof(at), "%s", origin ? origin : IMDS);
	if (*at && at[strlen(at) - 1] == '/')
		at[strlen(at) - 1] = '\0';
	if (!url_plain_ok(at, true))
		return awscred_fail(f->err, -EINVAL, "AWS_EC2_METADATA_SERVICE_ENDPOINT: is no metadata service's address");
	r = imds_token(f, at, &token);
	if (r >= 0)
		r = imds_role(f, at, token, sizeof(path), path);
	if (r >= 0)
		r = imds_get(f, at, path, token, &a);
	if (r >= 0)
		r = parsed(f, &a, true, "imds", ret_cred);
	http_answer_done(&a);
	return r == -ENOENT ? -EACCES : r;
}

/* --- which one --- */

static int auto_files(const struct awscred_fetch *f, struct awscred *ret_cred)
{
	return awscred_files(f, NULL, ret_cred);
}

static const struct {
	const char *word;
	int (*get)(const struct awscred_fetch *f, struct awscred *ret_cred);
	const char *role_kind;
} sources[] = {
	{ "env", awscred_env, "env+role" },   { "web", awscred_web, "web+role" },    { "files", auto_files, "file+role" },
	{ "pod", awscred_pod, "pod+role" },   { "imds", awscred_imds, "imds+role" },
};

#define SOURCES (sizeof(sources) / sizeof(sources[0]))

static int base_of(const struct awscred_fetch *f, struct awscred *ret_cred, const char **ret_role_kind)
{
	const char *s = f->conf->source;
	bool any = !*s || strcmp(s, "auto") == 0;
	int r = -ENOENT;
	size_t i;

	if (strncmp(s, "file:/", 6) == 0) {
		*ret_role_kind = "file+role";
		return awscred_files(f, s + 5, ret_cred);
	}
	for (i = 0; r == -ENOENT && i < SOURCES; i++) {
		if (!any && strcmp(s, sources[i].word) != 0)
			continue;
		*ret_role_kind = sources[i].role_kind;
		r = sources[i].get(f, ret_cred);
	}
	if (r == -ENOENT)
		return awscred_fail(f->err, -EACCES, "no AWS credentials: %s is not set up on this host", any ? "none of env, web, files, pod, imds" : s);
	return r;
}

int awscred_fetch(const struct awscred_fetch *f, struct awscred *ret_cred)
{
	bool direct = strcmp(f->conf->source, "web") == 0 && !env_get(ENV_AWS_ROLE_ARN);
	struct awscred base = { 0 };
	const char *role_kind = "";
	int r;

	r = base_of(f, &base, &role_kind);
	if (r < 0 || !*f->conf->role_arn || direct) {
		if (r >= 0)
			*ret_cred = base;
		return r;
	}
	r = awscred_assume(f, &base, f->conf->role_arn, f->conf->external_id, env_get(ENV_AWS_ROLE_SESSION_NAME), ret_cred);
	awscred_done(&base);
	if (r >= 0)
		ret_cred->kind = role_kind;
	return r;
}
