/* store_s3.c: a store that is a bucket, or what lies below a prefix in one.
 *
 *	put         one request, or parts when it is larger than S3_PART (store_s3_parts.c)
 *	put, excl   one request with a condition, which the server must have been seen to keep (below); parts cannot be had so everywhere
 *	            a lost answer: what exists is ours if it has our bytes
 *	get         ranges of S3_PART (store_s3_get.c)
 *
 * Conditions: If-None-Match:* (AWS, R2 and all that keep to them) or x-goog-if-generation-match:0. There are servers that ignore them without a word,
 * so each is tried out once a store_open: the object S3_CHECK_KEY is put with a condition until it is refused, at most twice. It stays, so that the next
 * time one request is enough, and nothing is deleted, which the credentials may not allow. Its name has a '.' in front: no list has it. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "net/awshost.h"

#define S3_CHECK_KEY ".coffer-conditions"
#define S3_CHECK_TEXT "coffer tries out whether this store keeps conditions (If-None-Match)\n"

struct putting {
	bool unsure;   /* a try before the last one may have been done */
	bool tagged;   /* the answer names what is there now, as every server's does that has put something */
};

static int put_one(struct s3_store *s, const char *key, const char *object, const void *data, size_t len, unsigned flags, struct putting *ret_p,
		   struct store_error *err)
{
	bool excl = (flags & STORE_EXCL) != 0;
	struct s3_lock_headers held;
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(s, &c, "PUT", key, object, "not put");
	c.req.data = len ? data : NULL;
	c.req.data_len = len;
	c.req.fresh = excl; /* so that c.unsure is true when it is */
	c.req.want[0] = "ETag";
	c.parse = true; /* or a snapshot would name an object that is not there */
	store_s3_header(&c, "Content-Type", "application/octet-stream");
	if (excl && s->place.google)
		store_s3_header(&c, "x-goog-if-generation-match", "0");
	else if (excl)
		store_s3_header(&c, "If-None-Match", "*");
	if (flags & STORE_KEEP && s->lock_mode) {
		r = store_s3_lock_headers(s, &c, s->lock_days + ((flags & STORE_KEEP_LONGER) == STORE_KEEP_LONGER ? store_s3_lock_more(s->lock_days) : 0), &held);
		if (r < 0)
			return store_fail(err, r, "%s: not put: %s", object, err_text(r));
	}
	r = store_s3_send(s, &c, &a, err);
	ret_p->unsure = c.unsure;
	ret_p->tagged = r == 0 && a.got[0][0] != '\0';
	if (r == 0)
		http_answer_done(&a);
	return r;
}

/* An object, and not the check of conditions. */
static int put_object(struct s3_store *s, const char *name, const void *data, size_t len, unsigned flags, struct putting *ret_p, struct store_error *err)
{
	int r = put_one(s, name, name, data, len, flags, ret_p, err);

	if (r == 0 && !ret_p->tagged)
		return store_fail(err, -EPROTO, "%s: not put: %.200s: the answer makes no sense", name, s->place.origin + 8);
	return r;
}

static int s3_excl_check(struct store *store, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct putting p;
	int i, r = 0;

	for (i = 0; i < 2 && s->excl == 0; i++) {
		r = put_one(s, S3_CHECK_KEY, s->s.label, S3_CHECK_TEXT, sizeof(S3_CHECK_TEXT) - 1, STORE_EXCL, &p, err);
		if (r == -EEXIST)
			s->excl = 1;
		else if (r == -EOPNOTSUPP)
			s->excl = -1;
		else if (r < 0)
			return r;
	}
	if (s->excl == 0)
		s->excl = -1;
	*err = (struct store_error){ 0 };
	if (s->excl < 0)
		return store_fail(err, -EOPNOTSUPP, "%.200s: the server ignores conditions (If-None-Match): two writers would overwrite each other",
				  s->s.label);
	return 0;
}

static int put_excl(struct s3_store *s, const char *name, const void *data, size_t len, unsigned flags, struct store_error *err)
{
	struct store_error refused;
	struct putting p = { 0 };
	int r = s3_excl_check(&s->s, err);

	if (r < 0)
		return r;
	r = put_object(s, name, data, len, flags, &p, err);
	if (r != -EEXIST || !p.unsure)
		return r;
	refused = *err; /* the server's own word for it */
	r = store_s3_is(&s->s, name, data, len, err);
	if (r == -EEXIST)
		*err = refused;
	return r;
}

static int s3_put(struct store *store, const char *name, const void *data, size_t len, unsigned flags, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct putting p;

	if (flags & STORE_EXCL)
		return put_excl(s, name, data, len, flags, err);
	if (len > S3_PART && flags & STORE_KEEP && s->lock_mode) /* nothing of ours is; each part would need its own sum */
		return store_fail(err, -EINVAL, "%s: an object of %zu bytes is not put with object lock", name, len);
	if (len > S3_PART)
		return store_s3_put_parts(store, name, data, len, err);
	return put_object(s, name, data, len, flags, &p, err);
}

static int s3_head(struct store *store, const char *name, uint64_t *ret_size, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct http_answer a;
	struct s3_call c;
	uint64_t size = 0;
	const char *p;
	int r;

	store_s3_call_init(s, &c, "HEAD", name, name, "not found");
	c.req.want[0] = "Content-Length";
	r = store_s3_send(s, &c, &a, err);
	if (r < 0)
		return r;
	for (p = a.got[0]; *p >= '0' && *p <= '9' && size < INT64_MAX / 10; p++)
		size = size * 10 + (uint64_t)(*p - '0');
	if (p == a.got[0] || *p != '\0')
		return store_s3_nonsense(&c, &a, err);
	http_answer_done(&a);
	*ret_size = size;
	return 0;
}

static int s3_delete(struct store *store, const char *name, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(s, &c, "DELETE", name, name, "not deleted");
	r = store_s3_send(s, &c, &a, err);
	if (r == 0)
		http_answer_done(&a);
	return r == -ENOENT ? 0 : r;
}

static void s3_close(struct store *store)
{
	struct s3_store *s = store_s3_of(store);

	store_s3_keys_free(s->keys);
	free(s);
}

static const struct store_ops s3_ops = {
	.close = s3_close,
	.put = s3_put,
	.get = store_s3_get,
	.head = s3_head,
	.list = store_s3_list,
	.delete = s3_delete,
	.excl_check = s3_excl_check,
	.sweep = store_s3_sweep,
	.lock_check = store_s3_lock_check,
	.lock_until = store_s3_lock_until,
	.lock_extend = store_s3_lock_extend,
	.drop = store_s3_drop,
};

/* The first that says something. */
static const char *first(const char *a, const char *b, const char *c)
{
	return a && *a ? a : b && *b ? b : c && *c ? c : "";
}

int store_s3_new(const char *rest, const struct store_conf *conf, struct store **ret_s, struct store_error *err)
{
	const char *why = "the endpoint is not https://HOST or https://HOST:PORT", *region;
	char origin[URL_ORIGIN_MAX + 1];
	AUTO_FREE struct s3_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return store_fail(err, -ENOMEM, "s3://%.200s: %s", rest, err_text(-ENOMEM));
	region = first(conf->region, env_get(ENV_AWS_REGION), env_get(ENV_AWS_DEFAULT_REGION));
	if (awshost_find("s3", *region ? region : S3_REGION, conf->endpoint, origin) < 0 || store_s3_place(rest, origin, region, conf->host_style, &s->place, &why) < 0)
		return store_fail(err, -EINVAL, "s3://%.200s: %s", rest, why);
	if (conf->lock != STORE_LOCK_NONE && s->place.google)
		return store_fail(err, -EOPNOTSUPP, "s3://%.200s: object-lock= is not spoken with Google; let the bucket retain objects by a rule of its own", rest);
	s->lock_mode = conf->lock == STORE_LOCK_COMPLIANCE ? "COMPLIANCE" : conf->lock == STORE_LOCK_GOVERNANCE ? "GOVERNANCE" : NULL;
	s->lock_days = conf->lock_days;
	memcpy(s->ca_file, conf->ca_file, sizeof(s->ca_file));
	memcpy(s->proxy, conf->proxy, sizeof(s->proxy));
	r = store_s3_keys_new(conf, &s->place, &s->keys, err);
	if (r < 0)
		return r;
	if (asprintf(&s->s.label, "s3://%s at %s", rest, s->place.origin + 8) < 0) {
		store_s3_keys_free(s->keys);
		return store_fail(err, -ENOMEM, "s3://%.200s: %s", rest, err_text(-ENOMEM));
	}
	s->s.ops = &s3_ops;
	*ret_s = &take_ptr(s)->s;
	return 0;
}
