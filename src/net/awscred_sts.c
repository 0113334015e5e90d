/* awscred_sts.c: roles. STS is asked in the region of the tenant's key, and its answer is the only one that is XML. */
#include "net/awscred_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/awshost.h"

#define FORM_MAX 32768
#define SESSION_MAX 64
#define WEB_TOKEN_MAX 20000
#define DURATION "3600"

/* NAME=VALUE of a form behind what is there; what is no unreserved character is encoded. */
static int form(struct http_request *req, const char *name, const char *value)
{
	static const char keep[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", hex[] = "0123456789ABCDEF";
	char *out = (char *)secret_bytes(req->body);
	size_t n = req->body_len;

	if (strlen(name) + 2 + 3 * strlen(value) > FORM_MAX - n)
		return -EINVAL;
	n += (size_t)snprintf(out + n, FORM_MAX - n, "%s%s=", n > 0 ? "&" : "", name);
	for (; *value; value++) {
		if (strchr(keep, *value)) {
			out[n++] = *value;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[(unsigned char)*value >> 4];
		out[n++] = hex[(unsigned char)*value & 15];
	}
	req->body_len = n;
	return 0;
}

/* What CloudTrail will show: the tenant. */
static void session_name(const struct awscred_fetch *f, char ret_name[static SESSION_MAX + 1])
{
	char *p;

	(void)snprintf(ret_name, SESSION_MAX + 1, "coffer-%.50s", f->conf->owner);
	for (p = ret_name; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+=,.@-", *p))
			*p = '-';
}

static int build(const struct awscred_fetch *f, const char *action, const char *role_arn, const char *session, struct http_request *req)
{
	char origin[URL_ORIGIN_MAX + 1], name[SESSION_MAX + 1];
	int r;

	if (awshost_find("sts", f->conf->region, "", origin) < 0)
		return awscred_fail(f->err, -EINVAL, "STS: no such region, or AWS_ENDPOINT_URL_STS is not https://HOST[:PORT]");
	if (secret_new(FORM_MAX + 1, &req->body) < 0)
		return awscred_fail(f->err, -ENOMEM, "STS: no locked memory");
	session_name(f, name);
	url_root(&req->url, origin);
	req->headers[0] = (struct http_header){ "Content-Type", "application/x-www-form-urlencoded" };
	r = form(req, "Action", action);
	if (r >= 0)
		r = form(req, "Version", "2011-06-15");
	if (r >= 0)
		r = form(req, "RoleArn", role_arn);
	if (r >= 0)
		r = form(req, "RoleSessionName", session && *session ? session : name);
	if (r >= 0)
		r = form(req, "DurationSeconds", DURATION);
	return r < 0 ? awscred_fail(f->err, r, "STS: the role's name is too long") : 0;
}

static int parse(const struct awscred_fetch *f, const char *action, const struct http_answer *a, struct awscred *ret_cred)
{
	const char *body = (const char *)secret_bytes_const(a->body);
	int r;

	if (a->status == 200) {
		r = awscred_parse_sts(body, a->body_len, action, ret_cred);
		if (r >= 0)
			return 0;
		f->err->alarm = r == -EUCLEAN;
		return awscred_fail(f->err, r == -EUCLEAN ? -EAGAIN : r, "STS: %s", r == -EUCLEAN ? "the answer makes no sense" : "no locked memory");
	}
	r = awscred_classify_sts(a->status, body, a->body_len, f->err->code, sizeof(f->err->code));
	return awscred_fail(f->err, r, "STS: %s answered %d %s", action, a->status, f->err->code);
}

static bool skewed(const char *code)
{
	return strcmp(code, "SignatureDoesNotMatch") == 0 || strcmp(code, "RequestExpired") == 0 || strcmp(code, "InvalidSignatureException") == 0;
}

static int assume_once(const struct awscred_fetch *f, const struct awscred *with, struct http_request *req, int64_t now, int64_t *ret_date,
		       struct awscred *ret_cred)
{
	struct sigv4_key key = awscred_key(with, f->conf->region, "sts");
	struct http_answer a = { 0 };
	struct sigv4_signed s;
	int r;

	r = sigv4_sign(&key, SIGV4_OTHER, now, NULL, req, &s);
	if (r < 0)
		return awscred_fail(f->err, r == -EINVAL ? r : -ENOMEM, "STS: the request cannot be signed");
	r = awscred_ask(f, req, HTTP_TRY_MS, &a);
	if (r >= 0) {
		*ret_date = a.date;
		r = parse(f, "AssumeRole", &a, ret_cred);
	}
	http_answer_done(&a);
	return r;
}

int awscred_assume(const struct awscred_fetch *f, const struct awscred *with, const char *role_arn, const char *external_id, const char *session,
		   struct awscred *ret_cred)
{
	struct http_request req = { 0 };
	int64_t now = (int64_t)time(NULL), date = 0;
	int r;

	r = build(f, "AssumeRole", role_arn, session, &req);
	if (r >= 0 && *external_id)
		r = form(&req, "ExternalId", external_id);
	if (r >= 0)
		r = assume_once(f, with, &req, now + f->skew_s, &date, ret_cred);
	if (r == -EACCES && skewed(f->err->code) && date != 0 && (date - now - f->skew_s > 60 || date - now - f->skew_s < -60))
		r = assume_once(f, with, &req, date, &date, ret_cred);
	http_request_done(&req);
	return r;
}

int awscred_assume_web(const struct awscred_fetch *f, const char *token_file, const char *role_arn, const char *session, struct awscred *ret_cred)
{
	AUTO_SECRET struct secret *token = NULL;
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	r = awscred_file_word(token_file, WEB_TOKEN_MAX, f->err, &token);
	if (r < 0)
		return r;
	r = build(f, "AssumeRoleWithWebIdentity", role_arn, session, &req);
	if (r >= 0 && form(&req, "WebIdentityToken", (const char *)secret_bytes_const(token)) < 0)
		r = awscred_fail(f->err, -EINVAL, "%.200s: is too long", token_file);
	if (r >= 0)
		r = awscred_ask(f, &req, HTTP_TRY_MS, &a);
	if (r >= 0)
		r = parse(f, "AssumeRoleWithWebIdentity", &a, ret_cred);
	http_answer_done(&a);
	http_request_done(&req);
	return r;
}
