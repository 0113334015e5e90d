/* store_s3_parts.c: what is larger than a part: created, sent part by part, completed. Until it is completed nothing is to be seen under the name; what
 * was sent before a kill costs space until store_sweep, or the bucket's own rule, clears it away.
 *
 * An upload that the server forgot in the middle is begun once more. Complete may answer 200 with an error in it; and when its answer was lost, and the
 * upload is gone at the next try, the object has our bytes or it was not done. */
#include "backup/store_s3_impl.h"

#include <stdio.h>
#include <string.h>

struct upload {
	struct s3_store *s;
	const char *name;
	const uint8_t *data;
	size_t len, parts;
	char id[S3_UPLOAD_ID_MAX + 1];
	char (*etags)[S3_ETAG_MAX + 1];
};

static int create(struct upload *u, struct store_error *err)
{
	struct http_answer a;
	struct s3_call c;
	int r;

	store_s3_call_init(u->s, &c, "POST", u->name, u->name, "not put");
	url_query(&c.req.url, "uploads", "");
	c.parse = true;
	store_s3_header(&c, "Content-Type", "application/octet-stream");
	r = store_s3_send(u->s, &c, &a, err);
	if (r < 0)
		return r;
	r = store_s3_upload_id((const char *)a.data, a.data_len, u->id);
	if (r == -EUCLEAN)
		return store_s3_nonsense(&c, &a, err);
	http_answer_done(&a);
	return r;
}

static int send_part(struct upload *u, size_t i, struct store_error *err)
{
	struct http_answer a;
	struct s3_call c;
	char number[24];
	int r;

	store_s3_call_init(u->s, &c, "PUT", u->name, u->name, "not put");
	(void)snprintf(number, sizeof(number), "%zu", i + 1);
	url_query(&c.req.url, "partNumber", number);
	url_query(&c.req.url, "uploadId", u->id);
	store_s3_header(&c, "Content-Type", "application/octet-stream");
	c.req.data = u->data + i * S3_PART;
	c.req.data_len = i + 1 < u->parts ? S3_PART : u->len - i * S3_PART;
	c.req.want[0] = "ETag";
	r = store_s3_send(u->s, &c, &a, err);
	if (r < 0)
		return r;
	if (a.got[0][0] == '\0' || strlen(a.got[0]) > S3_ETAG_MAX)
		return store_s3_nonsense(&c, &a, err);
	memcpy(u->etags[i], a.got[0], strlen(a.got[0]) + 1);
	http_answer_done(&a);
	return 0;
}

static int complete(struct upload *u, struct store_error *err)
{
	AUTO_FREE char *text = NULL;
	struct http_answer a;
	struct s3_error e;
	struct s3_call c;
	size_t len;
	int r;

	r = store_s3_complete((const char (*)[S3_ETAG_MAX + 1])u->etags, u->parts, &text, &len);
	if (r < 0)
		return store_fail(err, r == -EINVAL ? -EPROTO : r, "%s: not put: the parts cannot be named", u->name);
	store_s3_call_init(u->s, &c, "POST", u->name, u->name, "not put");
	url_query(&c.req.url, "uploadId", u->id);
	store_s3_header(&c, "Content-Type", "application/xml");
	c.parse = true;
	c.req.data = text;
	c.req.data_len = len;
	r = store_s3_send(u->s, &c, &a, err);
	if (r == -ESTALE || r == -ENOENT) { /* s3proxy says NoSuchKey */
		r = store_s3_is(&u->s->s, u->name, u->data, u->len, err);
		return r == -EEXIST || r == -ENOENT ? -ESTALE : r;
	}
	if (r < 0)
		return r;
	r = store_s3_completed((const char *)a.data, a.data_len, &e);
	if (r == -EUCLEAN)
		return store_s3_nonsense(&c, &a, err);
	http_answer_done(&a);
	return r;
}

/* Best effort: what is left is swept some time. */
static void give_up(struct upload *u)
{
	struct store_error err;
	struct http_answer a;
	struct s3_call c;

	store_s3_call_init(u->s, &c, "DELETE", u->name, u->name, "not cleared away");
	url_query(&c.req.url, "uploadId", u->id);
	c.once = true;
	if (store_s3_send(u->s, &c, &a, &err) == 0)
		http_answer_done(&a);
}

static int put_once(struct upload *u, struct store_error *err)
{
	size_t i;
	int r = create(u, err);

	if (r < 0)
		return r;
	for (i = 0; r == 0 && i < u->parts; i++)
		r = send_part(u, i, err);
	if (r == 0)
		r = complete(u, err);
	if (r < 0)
		give_up(u);
	return r;
}

int store_s3_put_parts(struct store *store, const char *name, const void *data, size_t len, struct store_error *err)
{
	struct upload u = { .s = store_s3_of(store), .name = name, .data = data, .len = len, .parts = (len + S3_PART - 1) / S3_PART };
	int r;

	u.etags = calloc(u.parts, sizeof(*u.etags));
	if (!u.etags)
		return store_fail(err, -ENOMEM, "%s: not put: %s", name, err_text(-ENOMEM));
	r = put_once(&u, err);
	if (r == -ESTALE)
		r = put_once(&u, err);
	free(u.etags);
	return r == -ESTALE ? -EPROTO : r;
}
