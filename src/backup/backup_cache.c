/* backup_cache.c: see backup_cache.h. The file, little endian:
 *
 *   head     `CFBC` ‖ version(4) ‖ uuid(16) ‖ root_ino(8) ‖ store(32) ‖ count(8) ‖ index offset(8)
 *   blobs    check(8) ‖ size(8) ‖ ctime_s(8) ‖ ctime_ns(4) ‖ pieces(8) ‖ len(4) ‖ len bytes: xattrs(2) ‖ len(4) ‖ attributes, pieces × meta(8), PIECES records, each
 *            len(4) ‖ record
 *   index    count × ( ino(8) ‖ offset(8) ), inodes rising
 *
 * The head is written last; check is over the rest of the blob. A ctime_ns of all ones fits no file. */
#include "backup/backup_cache.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "format/layout.h"

#define HEAD_LEN 80u
#define BLOB_LEN 40u
#define XATTRS_LEN 6u                    /* count(2) ‖ len(4), in front of them */
#define INDEX_LEN 16u
#define FLUSH_AT (1u << 20)

struct backup_cache {
	uint8_t *p;
	size_t len;
	const uint8_t *index;
	uint64_t count;
	struct record_piece *some;       /* RECORD_PIECES_MAX, to parse into */
};

static void put_head(uint8_t p[static HEAD_LEN], const struct backup_cache_id *id, uint64_t count, uint64_t index)
{
	memcpy(p, "CFBC\2\0\0\0", 8);
	memcpy(p + 8, id->uuid, UUID_LEN);
	layout_put64(p + 24, id->root_ino);
	memcpy(p + 32, id->store, RECORD_HASH_LEN);
	layout_put64(p + 64, count);
	layout_put64(p + 72, index);
}

static int check_head(struct backup_cache *c, const struct backup_cache_id *id)
{
	uint8_t head[HEAD_LEN];
	uint64_t index;

	c->count = layout_get64(c->p + 64);
	index = layout_get64(c->p + 72);
	put_head(head, id, c->count, index);
	if (memcmp(head, c->p, HEAD_LEN) != 0 || index < HEAD_LEN || index > c->len || c->count != (c->len - index) / INDEX_LEN)
		return -EUCLEAN;
	c->index = c->p + index;
	return 0;
}

int backup_cache_open(int *fd, const struct backup_cache_id *id, struct backup_cache **ret_c)
{
	AUTO_CLOSE int own = take_fd(fd);
	struct backup_cache *c;
	struct stat st;
	int r;

	if (fstat(own, &st) < 0 || st.st_size < (off_t)HEAD_LEN)
		return -EUCLEAN;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->len = (size_t)st.st_size;
	c->p = mmap(NULL, c->len, PROT_READ, MAP_PRIVATE, own, 0);
	if (c->p == MAP_FAILED) {
		free(c);
		return -ENOMEM;
	}
	r = check_head(c, id);
	if (r == 0) {
		c->some = calloc(RECORD_PIECES_MAX, sizeof(*c->some));
		r = c->some ? 0 : -ENOMEM;
	}
	if (r < 0) {
		backup_cache_close(c);
		return r;
	}
	*ret_c = c;
	return 0;
}

void backup_cache_close(struct backup_cache *c)
{
	if (!c)
		return;
	(void)munmap(c->p, c->len);
	free(c->some);
	free(c);
}

static const uint8_t *find_blob(const struct backup_cache *c, uint64_t ino, size_t *ret_left)
{
	uint64_t low = 0, high = c->count, at;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (layout_get64(c->index + mid * INDEX_LEN) < ino)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == c->count || layout_get64(c->index + low * INDEX_LEN) != ino)
		return NULL;
	at = layout_get64(c->index + low * INDEX_LEN + 8);
	if (at < HEAD_LEN || at > c->len - BLOB_LEN)
		return NULL;
	*ret_left = c->len - at - BLOB_LEN;
	return c->p + at;
}

static int parse_pieces(const struct backup_cache *c, const uint8_t *p, size_t len, struct record_piece *pieces, uint64_t n)
{
	uint64_t have = 0;
	size_t k;

	while (len >= 4) {
		size_t one = layout_get32(p);

		if (one > len - 4 || record_parse_pieces(p + 4, one, c->some, &k) < 0 || k > n - have)
			return -EUCLEAN;
		memcpy(pieces + have, c->some, k * sizeof(*c->some));
		have += k;
		p += 4 + one;
		len -= 4 + one;
	}
	return len == 0 && have == n ? 0 : -EUCLEAN;
}

/* A blob that is whole. */
struct blob {
	uint64_t n;                      /* pieces */
	const uint8_t *xattrs, *metas, *records;
	size_t len, xattrs_len, records_len; /* len: of all that is behind its head */
	unsigned nxattrs;
};

/* The blob at p, with left bytes behind its head; false: it is not whole. */
static bool blob_open(const uint8_t *p, size_t left, struct blob *ret_b)
{
	struct blob b = { .n = layout_get64(p + 28), .len = layout_get32(p + 36), .xattrs = p + BLOB_LEN + XATTRS_LEN };
	size_t rest = b.len - XATTRS_LEN;

	if (b.len > left || b.len < XATTRS_LEN || hash_bytes(p + 8, BLOB_LEN - 8 + b.len) != layout_get64(p))
		return false;
	b.nxattrs = layout_get16(p + BLOB_LEN);
	b.xattrs_len = layout_get32(p + BLOB_LEN + 2);
	if (b.xattrs_len > rest || b.n > (rest - b.xattrs_len) / 8)
		return false;
	b.metas = b.xattrs + b.xattrs_len;
	b.records = b.metas + b.n * 8;
	b.records_len = rest - b.xattrs_len - b.n * 8;
	*ret_b = b;
	return true;
}

void backup_cache_bytes(const struct backup_cache *c, const void **ret_p, size_t *ret_len)
{
	*ret_p = c->p;
	*ret_len = c->len;
}

int backup_cache_each(const struct backup_cache *c, int (*fn)(void *arg, const struct record_piece *pieces, size_t n), void *arg)
{
	const uint8_t *p = c->p + HEAD_LEN;
	struct blob b;
	int r = 0;

	while (r == 0 && p < c->index && (size_t)(c->index - p) >= BLOB_LEN && blob_open(p, (size_t)(c->index - p) - BLOB_LEN, &b)) {
		AUTO_FREE struct record_piece *pieces = calloc(b.n ? b.n : 1, sizeof(*pieces));

		r = pieces ? parse_pieces(c, b.records, b.records_len, pieces, b.n) : -ENOMEM;
		if (r == 0 && b.n > 0)
			r = fn(arg, pieces, b.n);
		p += BLOB_LEN + b.len;
	}
	return r == -EUCLEAN ? 0 : r;
}

void backup_cache_file_done(struct backup_cache_file *f)
{
	free(f->pieces);
	free(f->metas);
	free(f->xattrs);
	*f = (struct backup_cache_file){ 0 };
}

static int fill(const struct backup_cache *c, const struct blob *b, struct backup_cache_file *f)
{
	f->n = b->n;
	f->nxattrs = b->nxattrs;
	f->xattrs_len = b->xattrs_len;
	f->pieces = calloc(b->n ? b->n : 1, sizeof(*f->pieces));
	f->metas = calloc(b->n ? b->n : 1, sizeof(*f->metas));
	f->xattrs = b->xattrs_len > 0 ? malloc(b->xattrs_len) : NULL;
	if (!f->pieces || !f->metas || (b->xattrs_len > 0 && !f->xattrs))
		return -ENOMEM;
	for (uint64_t i = 0; i < b->n; i++)
		f->metas[i] = layout_get64(b->metas + i * 8);
	if (b->xattrs_len > 0)
		memcpy(f->xattrs, b->xattrs, b->xattrs_len);
	return parse_pieces(c, b->records, b->records_len, f->pieces, b->n);
}

int backup_cache_find(const struct backup_cache *c, const struct backup_cache_key *key, struct backup_cache_file *ret_f)
{
	struct backup_cache_file f = { 0 };
	size_t left = 0;
	const uint8_t *p = c ? find_blob(c, key->ino, &left) : NULL;
	struct blob b;
	int r;

	if (!p || !blob_open(p, left, &b))
		return 0;
	r = fill(c, &b, &f);
	if (r < 0) {
		backup_cache_file_done(&f);
		return r == -ENOMEM ? r : 0;
	}
	*ret_f = f;
	return layout_get64(p + 8) == key->size && (int64_t)layout_get64(p + 16) == key->ctime_s && layout_get32(p + 24) == key->ctime_ns ? 2 : 1;
}

/* ---- writing */

void backup_cache_begin(struct backup_cache_writer *w, int fd)
{
	*w = (struct backup_cache_writer){ .fd = fd, .at = HEAD_LEN };
}

static int flush(struct backup_cache_writer *w)
{
	ssize_t n = w->buf.len > 0 ? pwrite(w->fd, w->buf.p, w->buf.len, (off_t)w->at) : 0;

	if (n != (ssize_t)w->buf.len)
		return n < 0 ? -errno : -ENOSPC;
	w->at += w->buf.len;
	w->buf.len = 0;
	return 0;
}

static int add_pieces(struct record_buf *b, const struct record_piece *pieces, uint64_t n)
{
	uint8_t len[4] = { 0 };
	int r = 0;

	while (n > 0 && r == 0) {
		size_t k = n < RECORD_PIECES_MAX ? (size_t)n : RECORD_PIECES_MAX, at = b->len;

		r = record_buf_add(b, len, sizeof(len));
		if (r == 0)
			r = record_put_pieces(b, pieces, k);
		if (r == 0)
			layout_put32(b->p + at, (uint32_t)(b->len - at - 4));
		pieces += k;
		n -= k;
	}
	return r;
}

int backup_cache_add(struct backup_cache_writer *w, const struct backup_cache_key *key, const struct backup_cache_file *f, bool sure)
{
	uint8_t head[BLOB_LEN + XATTRS_LEN] = { 0 }, index[INDEX_LEN], meta[8];
	size_t at = w->buf.len;
	int r;

	layout_put64(index, key->ino);
	layout_put64(index + 8, w->at + at);
	layout_put64(head + 8, key->size);
	layout_put64(head + 16, (uint64_t)key->ctime_s);
	layout_put32(head + 24, sure ? key->ctime_ns : UINT32_MAX);
	layout_put64(head + 28, f->n);
	layout_put16(head + BLOB_LEN, (uint16_t)f->nxattrs);
	layout_put32(head + BLOB_LEN + 2, (uint32_t)f->xattrs_len);
	r = record_buf_add(&w->buf, head, sizeof(head));
	if (r == 0)
		r = record_buf_add(&w->buf, f->xattrs, f->xattrs_len);
	for (uint64_t i = 0; i < f->n && r == 0; i++) {
		layout_put64(meta, f->metas ? f->metas[i] : 0);
		r = record_buf_add(&w->buf, meta, sizeof(meta));
	}
	if (r == 0)
		r = add_pieces(&w->buf, f->pieces, f->n);
	if (r == 0)
		r = record_buf_add(&w->index, index, sizeof(index));
	if (r < 0)
		return r;
	layout_put32(w->buf.p + at + 36, (uint32_t)(w->buf.len - at - BLOB_LEN));
	layout_put64(w->buf.p + at, hash_bytes(w->buf.p + at + 8, w->buf.len - at - 8));
	w->count++;
	return w->buf.len < FLUSH_AT ? 0 : flush(w);
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = layout_get64(a), y = layout_get64(b);

	return x < y ? -1 : x > y;
}

int backup_cache_end(struct backup_cache_writer *w, const struct backup_cache_id *id)
{
	uint8_t head[HEAD_LEN];
	uint64_t index;
	int r;

	r = flush(w);
	if (r < 0)
		return r;
	index = w->at;
	if (w->count > 0)
		qsort(w->index.p, w->count, INDEX_LEN, by_ino);
	r = record_buf_add(&w->buf, w->index.p, w->index.len);
	if (r == 0)
		r = flush(w);
	if (r < 0)
		return r;
	put_head(head, id, w->count, index);
	return pwrite(w->fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) ? 0 : -EIO;
}

void backup_cache_writer_done(struct backup_cache_writer *w)
{
	record_buf_done(&w->buf);
	record_buf_done(&w->index);
}
