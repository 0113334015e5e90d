/* store_s3_get.c: objects in ranges. Every request has a range, so that every answer says how long it is and where it belongs, and a body that was
 * cut off by something on the way is noticed. From the second range on the object must still be the same one (If-Match). */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>

struct range {
	uint64_t off, size;        /* of the object; out */
	char etag[S3_ETAG_MAX + 1]; /* empty: the first one */
};

/* One range of at most n bytes. -ERANGE: nothing there. The answer's data are what stands in the range, and not empty. */
static int get_range(struct s3_store *s, const char *name, struct range *g, size_t n, struct http_answer *ret_a, struct store_error *err)
{
	uint64_t from, to, size;
	struct http_answer a;
	struct s3_call c;
	char text[64];
	int r;

	store_s3_call_init(s, &c, "GET", name, name, "not got");
	(void)snprintf(text, sizeof(text), "bytes=%llu-%llu", (unsigned long long)g->off, (unsigned long long)(g->off + n - 1));
	store_s3_header(&c, "Range", text);
	if (g->etag[0])
		store_s3_header(&c, "If-Match", g->etag);
	c.req.body_max = n < S3_ERROR_BODY_MAX ? S3_ERROR_BODY_MAX : n;
	c.req.want[0] = "Content-Range";
	c.req.want[1] = "ETag";
	r = store_s3_send(s, &c, &a, err);
	if (r < 0)
		return r;
	if (a.status == 200 && a.got[0][0] == '\0' && g->off == 0) { /* no ranges there, and a small object */
		from = 0;
		size = a.data_len;
		to = size - 1;
	} else if (store_s3_range(a.got[0], &from, &to, &size) < 0) {
		return store_s3_nonsense(&c, &a, err);
	}
	if (from != g->off || a.data_len == 0 || to - from + 1 != a.data_len || a.data_len > n || (a.data_len < n && to + 1 != size))
		return store_s3_nonsense(&c, &a, err);
	g->size = size;
	if (strlen(a.got[1]) <= S3_ETAG_MAX)
		memcpy(g->etag, a.got[1], strlen(a.got[1]) + 1);
	*ret_a = a;
	return 0;
}

/* The ranges behind the first one. */
static int get_rest(struct s3_store *s, const char *name, struct range *g, uint8_t *p, size_t len, struct store_error *err)
{
	uint64_t size = g->size;
	struct http_answer a;
	size_t n;
	int r;

	while (len > 0) {
		n = len < S3_PART ? len : S3_PART;
		r = get_range(s, name, g, n, &a, err);
		if (r < 0)
			return r == -EEXIST || r == -ERANGE ? store_fail(err, -EPROTO, "%s: not got: it was replaced meanwhile", name) : r;
		if (a.data_len != n || g->size != size) {
			http_answer_done(&a);
			return store_fail(err, -EPROTO, "%s: not got: it was replaced meanwhile", name);
		}
		memcpy(p, a.data, n);
		http_answer_done(&a);
		g->off += n;
		p += n;
		len -= n;
	}
	return 0;
}

int store_s3_get(struct store *store, const char *name, uint64_t off, size_t max, void **ret_data, size_t *ret_len, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct range g = { .off = off };
	AUTO_FREE uint8_t *data = NULL;
	struct http_answer a = { 0 };
	uint8_t *whole;
	size_t len = 0;
	int r;

	r = get_range(s, name, &g, max < S3_PART ? max : S3_PART, &a, err);
	if (r < 0 && r != -ERANGE)
		return r;
	*err = (struct store_error){ 0 };
	if (r == 0)
		len = g.size - off < max ? (size_t)(g.size - off) : max;
	data = take_ptr(a.data);
	whole = realloc(data, len ? len : 1);
	if (!whole)
		return store_fail(err, -ENOMEM, "%s: not got: %s", name, err_text(-ENOMEM));
	data = whole;
	g.off = off + a.data_len;
	r = get_rest(s, name, &g, data + a.data_len, len - a.data_len, err);
	if (r < 0)
		return r;
	*ret_data = take_ptr(data);
	*ret_len = len;
	return 0;
}

int store_s3_is(struct store *store, const char *name, const void *data, size_t len, struct store_error *err)
{
	const uint8_t *p = data;
	size_t at = 0, n, got;

	for (;;) {
		AUTO_FREE void *there = NULL;
		int r;

		n = len - at < S3_PART ? len - at : S3_PART;
		/* One byte more than there should be: it must end where ours does. */
		r = store_s3_get(store, name, at, n == len - at ? n + 1 : n, &there, &got, err);
		if (r < 0)
			return r;
		if (got != n || memcmp(there, p + at, n) != 0)
			return store_fail(err, -EEXIST, "%s: not put: it exists", name);
		at += n;
		if (at == len)
			return 0;
	}
}
