/* kms_bearer_ask.c: asking an OAuth token endpoint or a metadata service for a token, and using one.
 *
 * A refusal of a request that went out with a token from the cache may be the token's: so one is fetched, and the request made once more. Refused again, or
 * when there is no other token, the refusal is what it says. */
#include "kms/kms_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/jsonscan.h"
#include "base/text.h"

#define LIFE_MAX_S 86400

/* --- answers --- */

/* The one member's number, also where it was written as a string. */
static int number_of(const struct jsonscan *all, const char *name, uint64_t *ret_n)
{
	struct jsonscan v;
	int r;

	r = jsonscan_member(all, name, &v);
	if (r < 0)
		return r;
	if (v.type == '"')
		v.type = 'n';
	return v.len > 0 && v.len == strspn(v.p, "0123456789") ? jsonscan_integer(&v, ret_n) : -EUCLEAN;
}

static int life_of(const struct jsonscan *all, uint64_t *ret_life_s)
{
	uint64_t n, now = (uint64_t)time(NULL);
	int r;

	r = number_of(all, "expires_in", &n);
	if (r == -ENOENT) {
		r = number_of(all, "expires_on", &n);
		n = r >= 0 && n > now ? n - now : 0;
	}
	if (r < 0 || n == 0)
		return -EUCLEAN;
	*ret_life_s = n < LIFE_MAX_S ? n : LIFE_MAX_S;
	return 0;
}

/* A header is made of it: printable, without blanks. */
static bool token_ok(const struct jsonscan *v)
{
	size_t i;

	for (i = 0; i < v->len; i++)
		if (v->p[i] <= 0x20 || v->p[i] > 0x7e || v->p[i] == '\\')
			return false;
	return v->type == '"' && v->len > 0 && v->len < KMS_BEARER_MAX;
}

int kms_bearer_parse(const char *body, size_t len, struct kms_bearer *ret_bearer)
{
	struct jsonscan all, v;
	uint64_t life_s;
	int r;

	if (jsonscan_check(body, len, &all) < 0 || life_of(&all, &life_s) < 0 || jsonscan_member(&all, "access_token", &v) < 0 || !token_ok(&v))
		return -EUCLEAN;
	r = secret_new(v.len + 1, &ret_bearer->token);
	if (r < 0)
		return -ENOMEM;
	memcpy(secret_bytes(ret_bearer->token), v.p, v.len);
	ret_bearer->life_s = life_s;
	return 0;
}

/* The first line of a member's text. */
static void text_of(const struct jsonscan *all, const char *name, char *ret_text, size_t max)
{
	struct jsonscan v;
	char text[256];

	ret_text[0] = '\0';
	if (jsonscan_member(all, name, &v) < 0 || v.type != '"')
		return;
	(void)jsonscan_text(&v, text, sizeof(text));
	(void)text_escape(text, strcspn(text, "\r\n"), ret_text, max);
}

/* An application that is gone, and a secret that is over, are nobody's passing trouble. */
static bool somebody_must_look(const char *text)
{
	return strncmp(text, "AADSTS700016", 12) == 0 || strncmp(text, "AADSTS7000222", 13) == 0;
}

enum kms_class kms_bearer_classify(int status, const char *body, size_t len, struct kms_error *err)
{
	char code[sizeof(err->code)] = "", text[160] = "";
	enum kms_class class;
	struct jsonscan all;
	bool ours = jsonscan_check(body, len, &all) == 0 && all.type == '{';

	if (ours) {
		text_of(&all, "error", code, sizeof(code));
		text_of(&all, "error_description", text, sizeof(text));
	}
	memcpy(err->code, code, sizeof(code));
	if (status == 200) {
		err->message[0] = '\0';
		err->class = KMS_OK;
		return KMS_OK;
	}
	class = status == 429 ? KMS_THROTTLED : status < 400 || status >= 500 || status == 404 || status == 408 || status == 410 || status == 425 ? KMS_TRANSIENT : KMS_AUTH;
	if (status < 400 || (class == KMS_AUTH && !ours)) {
		err->alarm = true;
		(void)kms_fail(err, KMS_TRANSIENT, "a request for a token was answered %d with what is no answer to it", status);
		return KMS_TRANSIENT;
	}
	err->alarm = somebody_must_look(text);
	(void)kms_fail(err, class, "no token, answered %d: %s%s%s", status, code, *code && *text ? ": " : "", text);
	return class;
}

/* --- requests --- */

int kms_bearer_form(struct http_request *req, size_t max, const char *name, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t n = strlen(name), at = req->body_len;
	uint8_t *p = secret_bytes(req->body);

	if (at + n + 2 + 3 * strlen(value) > max)
		return -EINVAL;
	if (at > 0)
		p[at++] = '&';
	memcpy(p + at, name, n);
	at += n;
	p[at++] = '=';
	for (; *value; value++) {
		if (strchr(plain, *value)) {
			p[at++] = (uint8_t)*value;
			continue;
		}
		p[at++] = '%';
		p[at++] = (uint8_t)hex[(unsigned char)*value >> 4];
		p[at++] = (uint8_t)hex[(unsigned char)*value & 15];
	}
	req->body_len = at;
	return 0;
}

static int foreign(const struct http_request *req, struct kms_error *err, const char *what)
{
	int len;
	const char *host = url_host(req->url.text, &len);

	err->alarm = true;
	return kms_fail(err, KMS_TRANSIENT, "%.*s: %s", len, host, what);
}

int kms_bearer_ask(const char *tenant, struct http_request *req, const char *want, uint64_t deadline_ms, struct kms_error *err,
		   struct kms_bearer *ret_bearer)
{
	struct kms_call call = { .tenant = tenant, .deadline_ms = deadline_ms, .classify = kms_bearer_classify };
	struct http_answer a = { 0 };
	int r;

	r = kms_call(&call, req, err, &a);
	if (r < 0)
		return r;
	if (req->want[0] && strcmp(a.got[0], want) != 0) {
		r = foreign(req, err, "the answer is not that of the metadata service");
	} else {
		r = kms_bearer_parse((const char *)secret_bytes_const(a.body), a.body_len, ret_bearer);
		if (r == -ENOMEM)
			r = kms_fail(err, KMS_TRANSIENT, "no locked memory");
		else if (r < 0)
			r = foreign(req, err, "the answer to a request for a token holds none");
	}
	http_answer_done(&a);
	return r;
}

/* --- use --- */

static int header_set(struct http_request *req, const struct secret *token, struct secret **ret_value)
{
	AUTO_SECRET struct secret *value = NULL;
	size_t i = 0;
	int r;

	r = secret_new(7 + secret_len(token), &value);
	if (r < 0)
		return r;
	memcpy(secret_bytes(value), "Bearer ", 7);
	memcpy(secret_bytes(value) + 7, secret_bytes_const(token), secret_len(token));
	while (req->headers[i].name && strcmp(req->headers[i].name, "Authorization") != 0)
		i++;
	req->headers[i] = (struct http_header){ .name = "Authorization", .value = (const char *)secret_bytes_const(value) };
	*ret_value = take_ptr(value);
	return 0;
}

static int send(const struct kms_bearer_source *source, const struct kms_call *call, struct http_request *req, struct kms_error *err,
		struct kms_bearer *b, struct http_answer *ret_answer)
{
	uint64_t refused = b->generation;
	AUTO_SECRET struct secret *value = NULL;
	struct kms_error ask = { 0 };
	int r;

	r = kms_bearer_get(source, refused, call->deadline_ms, &ask, b);
	if (r == -EALREADY)
		return r;
	if (r < 0) {
		ask.attempts = err->attempts;
		memcpy(ask.request_id, err->request_id, sizeof(ask.request_id));
		*err = ask;
		return r;
	}
	memcpy(err->credential, b->who, sizeof(b->who));
	r = header_set(req, b->token, &value);
	secret_free(b->token);
	b->token = NULL;
	if (r < 0)
		return kms_fail(err, KMS_TRANSIENT, "no locked memory");
	return kms_call(call, req, err, ret_answer);
}

int kms_bearer_call(const struct kms_bearer_source *source, const struct kms_call *call, struct http_request *req, struct kms_error *err,
		    struct http_answer *ret_answer)
{
	struct kms_bearer b = { 0 };
	int r;

	r = send(source, call, req, err, &b, ret_answer);
	if (r < 0 && (err->http_status == 401 || err->http_status == 403) && (err->class == KMS_AUTH || err->class == KMS_DENIED) && b.generation && !b.fresh)
		r = send(source, call, req, err, &b, ret_answer);
	/* No other token is to be had, and this one is refused. */
	return r == -EALREADY ? kms_class_errno(err->class) : r;
}
