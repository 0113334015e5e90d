/* record.c: see record.h. */
#include "backup/record.h"

#include <string.h>

#include "format/layout.h"

#define ENTRY_FIXED 52u                  /* before the name */
#define PIECE_LEN 45u
#define PIECE_PACK_LEN 36u
#define FLAGS_ALL (RECORD_FLAG_SPACE | RECORD_FLAG_LINKED)
#define BUF_MIN 4096u

void record_buf_done(struct record_buf *b)
{
	free(b->p);
	*b = (struct record_buf){ 0 };
}

int record_buf_add(struct record_buf *b, const void *p, size_t len)
{
	size_t max = b->max ? b->max : BUF_MIN;
	uint8_t *more;

	if (len == 0)
		return 0;
	while (max - b->len < len)
		max *= 2;
	if (max != b->max) {
		more = realloc(b->p, max);
		if (!more)
			return -ENOMEM;
		b->p = more;
		b->max = max;
	}
	memcpy(b->p + b->len, p, len);
	b->len += len;
	return 0;
}

static bool chars_are_sane(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool record_name_is_sane(const char *name, size_t len)
{
	return len > 0 && len <= RECORD_NAME_MAX && chars_are_sane(name, len) && !(len == 1 && name[0] == '.') && !(len == 2 && name[0] == '.' && name[1] == '.');
}

static bool xattr_is_sane(const char *name, size_t len)
{
	size_t prefix = sizeof(RECORD_XATTR_PREFIX) - 1;

	return len > prefix && len <= RECORD_NAME_MAX && memcmp(name, RECORD_XATTR_PREFIX, prefix) == 0 && chars_are_sane(name, len);
}

/* What can be said of an entry by itself. */
static bool entry_is_sane(const struct record_entry *e)
{
	bool root = e->name[0] == '\0';

	if (e->type < RECORD_FILE || e->type > RECORD_LINK || (e->flags & ~FLAGS_ALL) != 0 || e->mode > 07777 || e->mtime_ns > 999999999 ||
	    e->size > RECORD_FILE_MAX || e->nxattrs > RECORD_XATTRS_MAX)
		return false;
	if (root ? e->type != RECORD_DIR || e->parent != 0 : !record_name_is_sane(e->name, strlen(e->name)))
		return false;
	if ((e->type == RECORD_SYMLINK) != (e->target[0] != '\0') || !chars_are_sane(e->target, strlen(e->target)))
		return false;
	if (e->flags & RECORD_FLAG_SPACE && (e->type != RECORD_FILE || e->number != 0))
		return false;
	if (e->flags & RECORD_FLAG_LINKED && (e->type == RECORD_DIR || e->type == RECORD_LINK))
		return false;
	return e->type == RECORD_FILE ? e->number <= e->size : e->size == 0;
}

static int add_lp(struct record_buf *b, const void *p, size_t len)
{
	uint8_t n[2];
	int r;

	layout_put16(n, (uint16_t)len);
	r = record_buf_add(b, n, sizeof(n));
	return r < 0 ? r : record_buf_add(b, p, len);
}

int record_put_entry(struct record_buf *b, const struct record_entry *e)
{
	uint8_t p[ENTRY_FIXED] = { 0 }, n[2];
	int r;

	if (!entry_is_sane(e) || e->xattrs_len > RECORD_MAX - 2 * ENTRY_FIXED - RECORD_NAME_MAX - RECORD_TARGET_MAX)
		return -EINVAL;
	p[0] = RECORD_KIND_ENTRY;
	p[1] = (uint8_t)e->type;
	layout_put16(p + 2, (uint16_t)e->flags);
	layout_put64(p + 4, e->parent);
	layout_put32(p + 12, e->mode);
	layout_put32(p + 16, e->uid);
	layout_put32(p + 20, e->gid);
	layout_put64(p + 24, (uint64_t)e->mtime_s);
	layout_put32(p + 32, e->mtime_ns);
	layout_put64(p + 36, e->size);
	layout_put64(p + 44, e->number);
	r = record_buf_add(b, p, sizeof(p));
	if (r == 0)
		r = add_lp(b, e->name, strlen(e->name));
	if (r == 0)
		r = add_lp(b, e->target, strlen(e->target));
	layout_put16(n, (uint16_t)e->nxattrs);
	if (r == 0)
		r = record_buf_add(b, n, sizeof(n));
	return r < 0 ? r : record_buf_add(b, e->xattrs, e->xattrs_len);
}

static bool piece_is_sane(const struct record_piece *e)
{
	return e->len > 0 && e->len <= RECORD_SEGMENT_LEN && e->off <= RECORD_FILE_MAX && e->off + e->len <= RECORD_FILE_MAX &&
	       (e->packed ? e->len < RECORD_PACKED_BELOW && e->at <= RECORD_PACK_MAX - e->len : e->at == 0);
}

int record_put_pieces(struct record_buf *b, const struct record_piece *pieces, size_t n)
{
	uint8_t p[PIECE_LEN + PIECE_PACK_LEN] = { RECORD_KIND_PIECES };
	int r;

	if (n == 0 || n > RECORD_PIECES_MAX)
		return -EINVAL;
	layout_put16(p + 1, (uint16_t)n);
	r = record_buf_add(b, p, 3);
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct record_piece *e = &pieces[i];

		if (!piece_is_sane(e))
			return -EINVAL;
		layout_put64(p, e->off);
		layout_put32(p + 8, e->len);
		memcpy(p + 12, e->hash, RECORD_HASH_LEN);
		p[44] = e->packed;
		memcpy(p + PIECE_LEN, e->pack, RECORD_HASH_LEN);
		layout_put32(p + PIECE_LEN + RECORD_HASH_LEN, e->at);
		r = record_buf_add(b, p, e->packed ? PIECE_LEN + PIECE_PACK_LEN : PIECE_LEN);
	}
	return r;
}

/* ---- parsing */

struct cursor {
	const uint8_t *p;
	size_t left;
};

static const uint8_t *take(struct cursor *c, size_t len)
{
	const uint8_t *p = c->p;

	if (c->left < len)
		return NULL;
	c->p += len;
	c->left -= len;
	return p;
}

static const uint8_t *take_lp(struct cursor *c, size_t max, size_t *ret_len)
{
	const uint8_t *n = take(c, 2);
	size_t len = n ? layout_get16(n) : 0;

	if (!n || len > max)
		return NULL;
	*ret_len = len;
	return take(c, len);
}

/* Text without a zero byte. */
static int take_text(struct cursor *c, size_t max, char *ret_text)
{
	size_t len;
	const uint8_t *p = take_lp(c, max, &len);

	if (!p || memchr(p, 0, len))
		return -EUCLEAN;
	memcpy(ret_text, p, len);
	ret_text[len] = '\0';
	return 0;
}

int record_kind(const uint8_t *p, size_t len)
{
	return len > 0 && len <= RECORD_MAX && (p[0] == RECORD_KIND_ENTRY || p[0] == RECORD_KIND_PIECES) ? p[0] : -EUCLEAN;
}

bool record_next_xattr(const struct record_entry *e, size_t *at, struct record_xattr *ret_x)
{
	struct cursor c = { e->xattrs + *at, e->xattrs_len - *at };

	if (c.left == 0 || take_text(&c, RECORD_NAME_MAX, ret_x->name) < 0)
		return false;
	ret_x->value = take_lp(&c, UINT16_MAX, &ret_x->len);
	*at = e->xattrs_len - c.left;
	return ret_x->value;
}

static int check_xattrs(const struct record_entry *e)
{
	struct record_xattr x;
	size_t at = 0;
	unsigned n = 0;

	while (record_next_xattr(e, &at, &x)) {
		if (!xattr_is_sane(x.name, strlen(x.name)))
			return -EUCLEAN;
		n++;
	}
	return at == e->xattrs_len && n == e->nxattrs ? 0 : -EUCLEAN;
}

int record_parse_entry(const uint8_t *p, size_t len, struct record_entry *ret_e)
{
	struct cursor c = { p, len };
	const uint8_t *f = take(&c, ENTRY_FIXED), *n;

	if (len > RECORD_MAX || !f || f[0] != RECORD_KIND_ENTRY)
		return -EUCLEAN;
	*ret_e = (struct record_entry){
		.type = f[1], .flags = layout_get16(f + 2), .parent = layout_get64(f + 4), .mode = layout_get32(f + 12), .uid = layout_get32(f + 16),
		.gid = layout_get32(f + 20), .mtime_s = (int64_t)layout_get64(f + 24), .mtime_ns = layout_get32(f + 32), .size = layout_get64(f + 36),
		.number = layout_get64(f + 44),
	};
	if (take_text(&c, RECORD_NAME_MAX, ret_e->name) < 0 || take_text(&c, RECORD_TARGET_MAX, ret_e->target) < 0)
		return -EUCLEAN;
	n = take(&c, 2);
	if (!n)
		return -EUCLEAN;
	ret_e->nxattrs = layout_get16(n);
	ret_e->xattrs = c.p;
	ret_e->xattrs_len = c.left;
	return entry_is_sane(ret_e) ? check_xattrs(ret_e) : -EUCLEAN;
}

int record_parse_pieces(const uint8_t *p, size_t len, struct record_piece ret_pieces[static RECORD_PIECES_MAX], size_t *ret_n)
{
	struct cursor c = { p, len };
	const uint8_t *f = take(&c, 3);
	size_t n = f ? layout_get16(f + 1) : 0;

	if (n == 0 || n > RECORD_PIECES_MAX || f[0] != RECORD_KIND_PIECES)
		return -EUCLEAN;
	for (size_t i = 0; i < n; i++) {
		struct record_piece *e = &ret_pieces[i];

		f = take(&c, PIECE_LEN);
		if (!f || f[44] > 1)
			return -EUCLEAN;
		*e = (struct record_piece){ .off = layout_get64(f), .len = layout_get32(f + 8), .packed = f[44] };
		memcpy(e->hash, f + 12, RECORD_HASH_LEN);
		if (e->packed) {
			f = take(&c, PIECE_PACK_LEN);
			if (!f)
				return -EUCLEAN;
			memcpy(e->pack, f, RECORD_HASH_LEN);
			e->at = layout_get32(f + RECORD_HASH_LEN);
		}
		if (!piece_is_sane(e))
			return -EUCLEAN;
	}
	*ret_n = n;
	return c.left == 0 ? 0 : -EUCLEAN;
}

/* ---- lists */

int record_list_begin(struct record_buf *b)
{
	uint8_t head[RECORD_LIST_HEAD] = { 'C', 'F', 'B', 'L', 1 };

	return record_buf_add(b, head, sizeof(head));
}

int record_list_add(struct record_buf *b, const void *record, size_t len)
{
	uint8_t n[4];
	int r;

	layout_put32(n, (uint32_t)len);
	r = record_buf_add(b, n, sizeof(n));
	return r < 0 ? r : record_buf_add(b, record, len);
}

void record_list_end(struct record_buf *b, uint32_t count)
{
	layout_put32(b->p + 8, count);
}

int record_list_open(const uint8_t *p, size_t len, uint32_t *ret_count)
{
	static const uint8_t head[8] = { 'C', 'F', 'B', 'L', 1 };

	if (len < RECORD_LIST_HEAD || len > RECORD_LIST_MAX || memcmp(p, head, sizeof(head)) != 0)
		return -EUCLEAN;
	*ret_count = layout_get32(p + 8);
	return 0;
}

int record_list_next(const uint8_t *p, size_t len, size_t *at, const uint8_t **ret_record, size_t *ret_len)
{
	struct cursor c = { p + *at, len - *at };
	const uint8_t *n = take(&c, 4);

	if (*at == len)
		return 0;
	*ret_len = n ? layout_get32(n) : 0;
	*ret_record = n && *ret_len <= RECORD_MAX ? take(&c, *ret_len) : NULL;
	if (!*ret_record)
		return -EUCLEAN;
	*at = len - c.left;
	return 1;
}

/* ---- order */

int record_order_entry(struct record_order *o, const struct record_entry *e)
{
	bool root = e->name[0] == '\0';

	if (o->pieces_left > 0 || root != (o->entries == 0))
		return -EUCLEAN;
	if (!root) {
		while (o->depth > 0 && o->path[o->depth] != e->parent)
			o->depth--;
		if (o->path[o->depth] != e->parent)
			return -EUCLEAN;
	}
	if (e->type == RECORD_LINK && e->number >= o->entries)
		return -EUCLEAN;
	if (e->type == RECORD_DIR && !root) {
		if (o->depth + 1 >= RECORD_DEPTH_MAX)
			return -EUCLEAN;
		o->path[++o->depth] = o->entries;
	}
	o->pieces_left = e->type == RECORD_FILE ? e->number : 0;
	o->end = 0;
	o->size = e->size;
	o->entries++;
	return 0;
}

int record_order_pieces(struct record_order *o, const struct record_piece *pieces, size_t n)
{
	if (n > o->pieces_left)
		return -EUCLEAN;
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].off < o->end || pieces[i].off + pieces[i].len > o->size)
			return -EUCLEAN;
		o->end = pieces[i].off + pieces[i].len;
		if (__builtin_add_overflow(o->bytes, pieces[i].len, &o->bytes))
			return -EUCLEAN;
	}
	o->pieces_left -= n;
	return 0;
}

int record_order_end(const struct record_order *o)
{
	return o->pieces_left == 0 && o->entries > 0 ? 0 : -EUCLEAN;
}
