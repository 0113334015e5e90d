/* backup_cache.c: see backup_cache.h. The file, little endian:
 *
 *   head     `CFBC` ‖ version(4) ‖ uuid(16) ‖ root_ino(8) ‖ store(32) ‖ count(8) ‖ index offset(8)
 *   blobs    check(8) ‖ size(8) ‖ ctime_s(8) ‖ ctime_ns(4) ‖ pieces(8) ‖ len(4) ‖ len bytes: pieces × meta(8), PIECES records, each len(4) ‖ record
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
#define INDEX_LEN 16u
#define FLUSH_AT (1u << 20)

struct backup_cache {
	uint8_t *p;
	size_t len;
	const uint8_t *index;
	uint64_t count;
};

static void put_head(uint8_t p[static HEAD_LEN], const struct backup_cache_id *id, uint64_t count, uint64_t index)
{
	memcpy(p, "CFBC\1\0\0\0", 8);
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

static int parse_pieces(const uint8_t *p, size_t len, struct record_piece *pieces, uint64_t n)
{
	AUTO_FREE struct record_piece *some = calloc(RECORD_PIECES_MAX, sizeof(*some));
	uint64_t have = 0;
	size_t k;

	if (!some)
		return -ENOMEM;
	while (len >= 4) {
		size_t one = layout_get32(p);

		if (one > len - 4 || record_parse_pieces(p + 4, one, some, &k) < 0 || k > n - have)
			return -EUCLEAN;
		memcpy(pieces + have, some, k * sizeof(*some));
		have += k;
		p += 4 + one;
		len -= 4 + one;
	}
	return len == 0 && have == n ? 0 : -EUCLEAN;
}

/* The blob at b with left bytes behind its head, whole. */
static bool blob_is_whole(const uint8_t *b, size_t left)
{
	size_t len = layout_get32(b + 36);

	return len <= left && layout_get64(b + 28) <= len / 8 && hash_bytes(b + 8, BLOB_LEN - 8 + len) == layout_get64(b);
}

void backup_cache_bytes(const struct backup_cache *c, const void **ret_p, size_t *ret_len)
{
	*ret_p = c->p;
	*ret_len = c->len;
}

int backup_cache_each(const struct backup_cache *c, int (*fn)(void *arg, const struct record_piece *pieces, size_t n), void *arg)
{
	const uint8_t *b = c->p + HEAD_LEN;
	int r = 0;

	while (r == 0 && b < c->index && (size_t)(c->index - b) >= BLOB_LEN && blob_is_whole(b, (size_t)(c->index - b) - BLOB_LEN)) {
		AUTO_FREE struct record_piece *pieces = NULL;
		size_t len = layout_get32(b + 36);
		uint64_t n = layout_get64(b + 28);

		pieces = calloc(n ? n : 1, sizeof(*pieces));
		r = pieces ? parse_pieces(b + BLOB_LEN + n * 8, len - n * 8, pieces, n) : -ENOMEM;
		if (r == 0 && n > 0)
			r = fn(arg, pieces, n);
		b += BLOB_LEN + len;
	}
	return r == -EUCLEAN ? 0 : r;
}

void backup_cache_file_done(struct backup_cache_file *f)
{
	free(f->pieces);
	free(f->metas);
	*f = (struct backup_cache_file){ 0 };
}

int backup_cache_find(const struct backup_cache *c, const struct backup_cache_key *key, struct backup_cache_file *ret_f)
{
	struct backup_cache_file f = { 0 };
	size_t left = 0, len;
	const uint8_t *b = c ? find_blob(c, key->ino, &left) : NULL;
	int r;

	if (!b || !blob_is_whole(b, left))
		return 0;
	len = layout_get32(b + 36);
	f.n = layout_get64(b + 28);
	f.pieces = calloc(f.n ? f.n : 1, sizeof(*f.pieces));
	f.metas = calloc(f.n ? f.n : 1, sizeof(*f.metas));
	r = f.pieces && f.metas ? parse_pieces(b + BLOB_LEN + f.n * 8, len - f.n * 8, f.pieces, f.n) : -ENOMEM;
	if (r < 0) {
		backup_cache_file_done(&f);
		return r == -ENOMEM ? r : 0;
	}
	for (uint64_t i = 0; i < f.n; i++)
		f.metas[i] = layout_get64(b + BLOB_LEN + i * 8);
	*ret_f = f;
	return layout_get64(b + 8) == key->size && (int64_t)layout_get64(b + 16) == key->ctime_s && layout_get32(b + 24) == key->ctime_ns ? 2 : 1;
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
	uint8_t head[BLOB_LEN] = { 0 }, index[INDEX_LEN], meta[8];
	size_t at = w->buf.len;
	int r;

	layout_put64(index, key->ino);
	layout_put64(index + 8, w->at + at);
	layout_put64(head + 8, key->size);
	layout_put64(head + 16, (uint64_t)key->ctime_s);
	layout_put32(head + 24, sure ? key->ctime_ns : UINT32_MAX);
	layout_put64(head + 28, f->n);
	r = record_buf_add(&w->buf, head, sizeof(head));
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
