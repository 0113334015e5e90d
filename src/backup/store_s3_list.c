/* store_s3_list.c: lists, page by page, and what uploads that were killed have left. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAGES_MAX 1000000 /* 10^9 objects; a server that gives the same page for ever ends, too */

struct listing {
	store_each *each;
	void *arg;
};

static int pass_on(void *arg, const struct s3_entry *e)
{
	const struct listing *l = arg;

	return store_name_ok(e->key) ? l->each(l->arg, e->key, e->size, e->time_s) : 0;
}

/* The whole key that something begins with, for a query. */
static void query_prefix(struct s3_store *s, struct url *u, const char *prefix)
{
	char text[S3_PREFIX_MAX + STORE_NAME_MAX + 3];

	(void)snprintf(text, sizeof(text), "%s%s", s->place.prefix, prefix);
	url_query(u, "prefix", text);
}

static int list_page(struct s3_store *s, const char *prefix, s3_each *each, void *arg, struct s3_page *page, struct store_error *err)
{
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(s, &c, "GET", NULL, s->s.label, "not listed");
	c.req.body_max = S3_ANSWER_MAX;
	c.parse = true;
	url_query(&c.req.url, "list-type", "2");
	url_query(&c.req.url, "encoding-type", "url");
	query_prefix(s, &c.req.url, prefix);
	if (page->more)
		url_query(&c.req.url, "continuation-token", page->token);
	r = store_s3_send(s, &c, &a, err);
	if (r < 0)
		return r == -ENOENT ? -ENODEV : r;
	*page = (struct s3_page){ 0 };
	r = store_s3_objects(&s->place, (const char *)a.data, a.data_len, each, arg, page);
	if (r == -EUCLEAN)
		return store_s3_nonsense(&c, &a, err);
	http_answer_done(&a);
	return r;
}

int store_s3_list(struct store *store, const char *prefix, store_each *each, void *arg, struct store_error *err)
{
	struct s3_store *s = store_s3_of(store);
	struct listing l = { .each = each, .arg = arg };
	struct s3_page page = { 0 };
	unsigned i;
	int r;

	for (i = 0; i < PAGES_MAX; i++) {
		r = list_page(s, prefix, pass_on, &l, &page, err);
		if (r != 0 || !page.more)
			return r;
	}
	return store_fail(err, -EPROTO, "%.200s: not listed: the list does not end", s->s.label);
}

/* --- one key --- */

struct seeking {
	const char *key;
	bool found;
};

static int seek(void *arg, const struct s3_entry *e)
{
	struct seeking *k = arg;

	k->found = k->found || strcmp(e->key, k->key) == 0;
	return 0;
}

/* No key of ours is the beginning of many others. */
bool store_s3_is_missing(struct s3_store *s, const char *key)
{
	struct seeking k = { .key = key };
	struct store_error err = { 0 };
	struct s3_page page = { 0 };

	return list_page(s, key, seek, &k, &page, &err) == 0 && !page.more && !k.found;
}

/* --- sweep --- */

struct sweeping {
	struct s3_store *s;
	int64_t before;
	uint64_t n;
	struct store_error *err;
};

static int sweep_one(void *arg, const struct s3_entry *e)
{
	struct sweeping *w = arg;
	struct http_answer a;
	struct s3_call c;
	int r;

	if (!store_name_ok(e->key) || e->time_s > w->before)
		return 0;
	store_s3_call_init(w->s, &c, "DELETE", e->key, e->key, "its old parts are not cleared away");
	url_query(&c.req.url, "uploadId", e->upload_id);
	r = store_s3_send(w->s, &c, &a, w->err);
	if (r == 0)
		http_answer_done(&a);
	else if (r != -ENOENT && r != -ESTALE)
		return r;
	w->n++;
	return 0;
}

static int sweep_page(struct sweeping *w, struct s3_page *page)
{
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(w->s, &c, "GET", NULL, w->s->s.label, "uploads are not listed");
	c.req.body_max = S3_ANSWER_MAX;
	c.parse = true;
	url_query(&c.req.url, "uploads", "");
	url_query(&c.req.url, "encoding-type", "url");
	query_prefix(w->s, &c.req.url, "");
	if (page->more) {
		url_query(&c.req.url, "key-marker", page->marker);
		url_query(&c.req.url, "upload-id-marker", page->id_marker);
	}
	r = store_s3_send(w->s, &c, &a, w->err);
	if (r < 0)
		return r == -ENOENT ? -ENODEV : r;
	*page = (struct s3_page){ 0 };
	r = store_s3_uploads(&w->s->place, (const char *)a.data, a.data_len, sweep_one, w, page);
	if (r == -EUCLEAN)
		return store_s3_nonsense(&c, &a, w->err);
	http_answer_done(&a);
	return r;
}

int store_s3_sweep(struct store *store, uint64_t age_s, uint64_t *ret_n, struct store_error *err)
{
	struct sweeping w = { .s = store_s3_of(store), .err = err };
	struct s3_page page = { 0 };
	int64_t now = (int64_t)time(NULL) + w.s->skew_s;
	unsigned i;
	int r;

	w.before = now < 0 || age_s > (uint64_t)now ? 0 : now - (int64_t)age_s;
	for (i = 0; i < PAGES_MAX; i++) {
		r = sweep_page(&w, &page);
		if (r < 0)
			return r;
		if (!page.more)
			break;
	}
	*ret_n = w.n;
	return 0;
}
