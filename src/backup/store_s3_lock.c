/* store_s3_lock.c: object lock: until a time that the put says nobody can take the object away, nor shorten the time.
 *
 *	put        x-amz-object-lock-mode, -retain-until-date, and a checksum of the body, which S3 wants with them
 *	hold on    HEAD says until when; PutObjectRetention where that is too short. It can only grow
 *	drop       HEAD says which version it is and whether it is held; that version is deleted. A plain DELETE would put a marker in front of it in such a
 *	           bucket, held or not, and neither free its space nor be refused
 *
 * Objects are held for a quarter longer than asked (a day at least), so that most of those that the next runs use again need no more than the HEAD.
 * The object S3_LOCK_KEY is put once, and looked at: a server that takes the headers and passes over them is found out. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/b64.h"
#include "base/text.h"
#include "crypt/digest.h"

#define S3_LOCK_KEY ".coffer-object-lock"
#define S3_LOCK_TEXT "coffer tries out whether this bucket has object lock\n"
#define DAY_S 86400
#define SUM_LEN 32
#define VERSIONS_MAX 64u          /* of one object: two threads, or two runs, may put the same one */

unsigned store_s3_lock_more(unsigned days)
{
	return days / 4 + 1;
}

/* By the server's clock. */
static int64_t now_s(struct s3_store *s)
{
	return (int64_t)time(NULL) + s->skew_s;
}

static int until_text(struct s3_store *s, unsigned days, char ret_text[static 32])
{
	return text_time((time_t)(now_s(s) + (int64_t)days * DAY_S), 32, ret_text);
}

static int sum_text(const void *data, size_t len, char ret_text[static 48])
{
	uint8_t sum[SUM_LEN];
	int r = digest_sha256(len ? data : "", len, sum);

	if (r == 0)
		b64_encode(sum, sizeof(sum), ret_text);
	return r;
}

int store_s3_lock_headers(struct s3_store *s, struct s3_call *c, unsigned days, struct s3_lock_headers *h)
{
	int r;

	r = until_text(s, days, h->until);
	if (r == 0)
		r = sum_text(c->req.data, c->req.data_len, h->sum);
	if (r < 0)
		return r;
	store_s3_header(c, "x-amz-checksum-sha256", h->sum);
	store_s3_header(c, "x-amz-object-lock-mode", s->lock_mode);
	store_s3_header(c, "x-amz-object-lock-retain-until-date", h->until);
	store_s3_header(c, "x-amz-sdk-checksum-algorithm", "SHA256");
	return 0;
}

/* ---- what the server says of an object */

struct held {
	int64_t until;           /* 0: not held */
	bool compliance;
	char version[HTTP_GOT_MAX];
};

static int look(struct s3_store *s, const char *key, const char *object, struct held *ret_h, struct store_error *err)
{
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(s, &c, "HEAD", key, object, "its lock is not known");
	c.req.want[0] = "x-amz-object-lock-retain-until-date";
	c.req.want[1] = "x-amz-object-lock-legal-hold";
	c.req.want[2] = "x-amz-version-id";
	c.req.want[3] = "x-amz-object-lock-mode";
	r = store_s3_send(s, &c, &a, err);
	if (r < 0)
		return r;
	ret_h->until = 0;
	if (strcmp(a.got[1], "ON") == 0)
		ret_h->until = INT64_MAX;
	else if (a.got[0][0] && store_s3_time(a.got[0], &ret_h->until) < 0)
		return store_s3_nonsense(&c, &a, err);
	ret_h->compliance = strcmp(a.got[3], "COMPLIANCE") == 0;
	memcpy(ret_h->version, a.got[2], sizeof(ret_h->version));
	http_answer_done(&a);
	return 0;
}

int store_s3_lock_until(struct store *store, const char *name, int64_t *ret_until, struct store_error *err)
{
	struct held h;
	int r = look(store_s3_of(store), name, name, &h, err);

	if (r == 0)
		*ret_until = h.until > now_s(store_s3_of(store)) ? h.until : 0;
	return r;
}

/* ---- does the bucket have it? */

static int try_put(struct s3_store *s, struct store_error *err)
{
	struct s3_lock_headers h;
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(s, &c, "PUT", S3_LOCK_KEY, s->s.label, "object lock cannot be tried out");
	c.req.data = S3_LOCK_TEXT;
	c.req.data_len = sizeof(S3_LOCK_TEXT) - 1;
	store_s3_header(&c, "Content-Type", "application/octet-stream");
	r = store_s3_lock_headers(s, &c, 1, &h);
	if (r == 0)
		r = store_s3_send(s, &c, &a, err);
	if (r == 0)
		http_answer_done(&a);
	return r;
}

/* It was refused for the lock, not for who asks or what ails the server. */
static bool has_none(int r, const struct store_error *err)
{
	return r == -EOPNOTSUPP || strcmp(err->code, "InvalidRequest") == 0 || strcmp(err->code, "InvalidArgument") == 0 ||
	       strcmp(err->code, "ObjectLockConfigurationNotFoundError") == 0 || strcmp(err->code, "InvalidBucketObjectLockConfiguration") == 0;
}

int store_s3_lock_check(struct store *store, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct held h = { .until = 0 };
	int r = 0;

	if (s->lock_seen == 0) { /* behind a put that said yes, -ENOENT is a server that does not mean it */
		r = look(s, S3_LOCK_KEY, s->s.label, &h, err);
		if (r == -ENOENT || (r == 0 && h.until <= now_s(s))) {
			r = try_put(s, err);
			if (r == 0)
				r = look(s, S3_LOCK_KEY, s->s.label, &h, err);
		}
		if (r < 0 && r != -ENOENT && !has_none(r, err))
			return r;
		s->lock_seen = r == 0 && h.until > now_s(s) ? 1 : -1;
	}
	*err = (struct store_error){ 0 };
	if (s->lock_seen < 0)
		return store_fail(err, -EOPNOTSUPP, "%.200s: the bucket has no object lock, or these credentials may not see it (s3:GetObjectRetention): make it "
				  "with object lock, or leave object-lock= out", s->s.label);
	return 0;
}

/* ---- holding on, and letting go */

/* What is held already keeps its mode: to change that is another right. */
static int retain(struct s3_store *s, const char *name, const struct held *h, struct store_error *err)
{
	const char *mode = h->until <= now_s(s) ? s->lock_mode : h->compliance ? "COMPLIANCE" : "GOVERNANCE";
	char until[32], sum[48], body[256];
	struct http_answer a;
	struct s3_call c;
	int n, r;

	store_s3_call_init(s, &c, "PUT", name, name, "not held for longer");
	url_query(&c.req.url, "retention", "");
	if (h->version[0])
		url_query(&c.req.url, "versionId", h->version);
	r = until_text(s, s->lock_days + store_s3_lock_more(s->lock_days), until);
	if (r < 0)
		return r;
	n = snprintf(body, sizeof(body), "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>",
		     mode, until);
	if (n < 0 || (size_t)n >= sizeof(body))
		return store_fail(err, -EINVAL, "%s: not held for longer: the request is too long", name);
	r = sum_text(body, (size_t)n, sum);
	if (r < 0)
		return r;
	c.req.data = body;
	c.req.data_len = (size_t)n;
	store_s3_header(&c, "Content-Type", "application/xml");
	store_s3_header(&c, "x-amz-checksum-sha256", sum);
	store_s3_header(&c, "x-amz-sdk-checksum-algorithm", "SHA256");
	r = store_s3_send(s, &c, &a, err);
	if (r == 0)
		http_answer_done(&a);
	return r;
}

int store_s3_lock_extend(struct store *store, const char *name, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct held h;
	int r = look(s, name, name, &h, err);

	/* The manifest that names it is held for the days, from a moment on. */
	if (r < 0 || (h.until > 0 && h.until >= now_s(s) + (int64_t)s->lock_days * DAY_S + DAY_S / 2))
		return r;
	return retain(s, name, &h, err);
}

/* The version that is there now. 1: it is gone, and another may have come to light behind it. */
static int drop_one(struct s3_store *s, const char *name, int64_t *ret_until, struct store_error *err)
{
	struct http_answer a;
	struct s3_call c;
	struct held h;
	int r = look(s, name, name, &h, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (h.until > now_s(s)) {
		*ret_until = h.until;
		return store_fail(err, -EPERM, "%s: not deleted: object lock holds it", name);
	}
	store_s3_call_init(s, &c, "DELETE", name, name, "not deleted");
	if (h.version[0])
		url_query(&c.req.url, "versionId", h.version);
	r = store_s3_send(s, &c, &a, err);
	if (r == 0)
		http_answer_done(&a);
	if (r < 0 && r != -ENOENT) /* a lost answer's second try finds none */
		return r;
	return h.version[0] != '\0' && strcmp(h.version, "null") != 0;
}

int store_s3_drop(struct store *store, const char *name, int64_t *ret_until, struct store_error *err)
{
	int r = 1;

	for (unsigned i = 0; i < VERSIONS_MAX && r == 1; i++)
		r = drop_one(store_s3_of(store), name, ret_until, err);
	return r == 1 ? store_fail(err, -EBUSY, "%s: not deleted: more than %u versions of it", name, VERSIONS_MAX) : r;
}
