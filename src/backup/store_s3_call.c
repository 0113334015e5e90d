/* store_s3_call.c: one request to the server, and its tries.
 *
 *	no connection, lost, time-out      tried again
 *	TLS, certificate, CA file, proxy   not
 *	an answer                          what store_s3_verdict says; a clock that is wrong and credentials that have expired: once more, mended
 *
 * A backup runs for hours, and a server that is overloaded or restarted for a minute must not end it: each call has a budget of its own (struct
 * retry) and S3_PATIENCE_MS, in which it is tried as often as the budget allows. Pauses have full jitter, or are what Retry-After says. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/retry.h"

void store_s3_call_init(struct s3_store *s, struct s3_call *c, const char *method, const char *key, const char *object, const char *what)
{
	*c = (struct s3_call){ .key = key, .object = object, .what = what };
	c->req.method = method;
	store_s3_url(&s->place, key, &c->req.url);
	c->req.body_max = S3_ERROR_BODY_MAX;
	c->req.owner = "store";
	c->req.ca_file = s->ca_file;
	c->req.proxy = s->proxy;
	c->req.id_header = s->place.google ? "x-guploader-uploadid" : "x-amz-request-id";
	c->req.timeout_ms = HTTP_SLOW_MS; /* 16 MiB may take long; what does not move at all may not */
	c->req.stall_ms = S3_STALL_MS;
}

void store_s3_header(struct s3_call *c, const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < HTTP_HEADERS_MAX && c->req.headers[i].name; i++)
		;
	if (i < HTTP_HEADERS_MAX)
		c->req.headers[i] = (struct http_header){ name, value };
	else
		c->req.url.failed = true; /* the request is refused, not sent without it */
}

static void wait_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

/* What is to be done after a try. */
struct trying {
	struct s3_verdict v;
	uint32_t retry_after_ms;
};

static int answer_failed(const struct s3_call *c, const struct http_answer *a, struct store_error *err, struct s3_verdict *ret_v)
{
	struct s3_error e;
	int len;
	const char *host = url_host(c->req.url.text, &len);

	(void)store_s3_error((const char *)a->data, a->data_len, &e);
	*ret_v = store_s3_verdict(a->status, &e);
	err->status = a->status;
	(void)snprintf(err->code, sizeof(err->code), "%s", e.code);
	(void)snprintf(err->request_id, sizeof(err->request_id), "%s", a->id[0] ? a->id : e.request_id);
	return store_fail(err, ret_v->r, "%s: %s: %.*s: %s%s%d%s%s%s%s%s", c->object, c->what, len, host, e.code, e.code[0] ? ", " : "", a->status,
			  ret_v->hint ? ": " : e.message[0] ? ": " : "", ret_v->hint ? ret_v->hint : e.message,
			  e.region[0] ? " (" : "", e.region, e.region[0] ? ")" : "");
}

/* One try. 0: a success. */
static int try_once(struct s3_store *s, struct s3_call *c, struct http_answer *a, struct store_error *err, struct trying *ret_t)
{
	struct s3_signed *g = NULL;
	int r;

	*ret_t = (struct trying){ 0 };
	r = store_s3_sign(s, &c->req, &g, err);
	if (r < 0) {
		ret_t->v.again = r == -ETIMEDOUT;
		return r;
	}
	err->attempts++;
	store_up(&s->s, c->req.data_len);
	r = http_call(&c->req, a);
	store_s3_signed_done(g);
	store_down(&s->s, a->data_len);
	if (r < 0) {
		ret_t->v.again = r == -ETIMEDOUT || r == -ECONNREFUSED;
		c->unsure = c->unsure || ret_t->v.again;
		return store_fail(err, r == -EFBIG ? -EPROTO : r, "%s: %s: %s", c->object, c->what, a->message);
	}
	s->answered = true;
	ret_t->retry_after_ms = a->retry_after_ms;
	if (a->status >= 200 && a->status < 300 && !(c->parse && store_s3_error((const char *)a->data, a->data_len, &(struct s3_error){ 0 })))
		return 0;
	r = answer_failed(c, a, err, &ret_t->v);
	c->unsure = c->unsure || (ret_t->v.again && r == -ETIMEDOUT);
	return r;
}

/* Something that another try may mend at once; each but once a call. */
static bool mended(struct s3_store *s, const struct http_answer *a, struct s3_verdict *v, unsigned *done)
{
	if (v->skewed && !(*done & 1) && a->date > 0) {
		*done |= 1;
		s->skew_s = a->date - (int64_t)time(NULL);
		return true;
	}
	if (v->expired && !(*done & 2)) {
		*done |= 2;
		return store_s3_keys_expired(s->keys);
	}
	return false;
}

/* failed_ms: when the first try had failed. A try may last longer than our patience: then there are three all the same. */
static int64_t pause_after(struct s3_store *s, struct retry *budget, const struct trying *t, unsigned attempts, uint64_t failed_ms)
{
	/* The attempts do not end it, the deadline and the budget do; the pause grows up to the last but one. */
	struct retry_try try = { .attempts = attempts < RETRY_ATTEMPTS_MAX ? attempts : RETRY_ATTEMPTS_MAX - 1, .throttled = t->v.throttled,
				 .retry_after_ms = t->retry_after_ms, .now_ms = clock_boot_ms() };

	try.deadline_ms = (s->answered && attempts < 3 ? try.now_ms : failed_ms) + (s->answered ? S3_PATIENCE_MS : S3_PATIENCE_FIRST_MS);
	if (secret_random(&try.random, sizeof(try.random)) < 0)
		try.random = try.now_ms;
	return retry_pause(budget, &try);
}

/* Who may list below the prefix alone is told of a missing object there that he may not have it (AWS asks for ListBucket without any prefix before it says more). Such
 * rights are what `coffer policy s3` gives. */
static int denied(struct s3_store *s, const struct s3_call *c, struct store_error *err)
{
	bool look = c->key && (strcmp(c->req.method, "GET") == 0 || strcmp(c->req.method, "HEAD") == 0) && err->status == 403 &&
		    (err->code[0] == '\0' || strcmp(err->code, "AccessDenied") == 0);

	return look && store_s3_is_missing(s, c->key) ? store_fail(err, -ENOENT, "%s: %s: it is not there", c->object, c->what) : -EACCES;
}

int store_s3_send(struct s3_store *s, struct s3_call *c, struct http_answer *ret_a, struct store_error *err)
{
	struct retry budget = { 0 };
	struct http_answer a = { 0 };
	uint64_t failed_ms = 0;
	unsigned attempts = 0, mendings = 0;
	struct trying t;
	int64_t pause;
	int r;

	if (url_done(&c->req.url) < 0)
		return store_fail(err, -EINVAL, "%s: %s: no request can be made of it", c->object, c->what);
	*err = (struct store_error){ 0 };
	for (;;) {
		attempts++;
		r = try_once(s, c, &a, err, &t);
		if (r == 0) {
			*ret_a = a;
			return 0;
		}
		failed_ms = failed_ms ? failed_ms : clock_boot_ms();
		if (!mended(s, &a, &t.v, &mendings)) {
			pause = t.v.again && !c->once ? pause_after(s, &budget, &t, attempts, failed_ms) : -1;
			http_answer_done(&a);
			if (pause < 0)
				return r == -EACCES ? denied(s, c, err) : r;
			wait_ms(pause);
		}
		http_answer_done(&a);
	}
}

int store_s3_nonsense(const struct s3_call *c, struct http_answer *a, struct store_error *err)
{
	int len;
	const char *host = url_host(c->req.url.text, &len);

	err->status = a->status;
	http_answer_done(a);
	return store_fail(err, -EPROTO, "%s: %s: %.*s: the answer makes no sense", c->object, c->what, len, host);
}
