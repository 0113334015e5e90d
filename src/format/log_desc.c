/* log_desc.c: see log_record.h; implements docs/format.md section 7, descriptors and their records.
 *
 * Writer and reader hold the same rules: log_desc_add_* refuse with -EINVAL what log_desc_next would refuse with -EUCLEAN, so
 * nothing can be logged that replay would not take. The encoding has no slack: a record's bytes follow from its fields, and
 * log_desc_next followed by log_desc_add_* gives the same bytes.
 *
 * Not here, because it needs more than one descriptor: sequence, generation and part against the log's order, one FILE per file
 * and one GROUP per group in a transaction, a FILE in an earlier part, the tags of blocks (io/replay.c). */
#include "format/log_record.h"

#include <string.h>

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_EPOCH = 6,
	AT_UUID = 8,
	AT_GENERATION = 24,
	AT_SEQUENCE = 40,
	AT_DURABLE = 48,
	AT_PART = 56,
	AT_FLAGS = 60,
	AT_RECORD_BYTES = 62,
	AT_DATA_BLOCKS = 64,
	AT_ZERO = 68,
	AT_STAMP = 72,
	AT_RECORDS = 80,
	AT_TAG = 4080,
};

#define LOG_MAGIC "CFRL"
#define MAGIC_LEN 4

_Static_assert(AT_RECORDS + LOG_RECORDS_MAX == AT_TAG && AT_TAG + TAG_LEN == BLOCK_SIZE, "docs/format.md says so");

/* ---- what a record may say ---- */

static bool file_sane(const struct log_file *f)
{
	return group_shape_check(&f->shape) == 0 && f->handle.len <= HANDLE_LEN_MAX && f->header.stamp != 0;
}

static bool group_head_sane(const struct log_group *g)
{
	if (g->group >= GROUPS_MAX || g->block_count > GROUP_BLOCKS)
		return false;
	if (g->base < LOG_BASE_HOME || g->base > LOG_BASE_FRESH)
		return false;
	return g->entries.stamp != 0 && (g->group == 0 || g->header.stamp != 0);
}

/* b may follow a block record of the index before (-1: none). */
static bool block_sane(const struct log_block *b, int before)
{
	if (b->index >= GROUP_BLOCKS || b->index <= before)
		return false;
	if (b->where == LOG_WHERE_HOLE)
		return true;
	return (b->where == LOG_WHERE_LOG || b->where == LOG_WHERE_HOME) && !group_entry_is_hole(&b->entry);
}

static bool group_sane(const struct log_group *g)
{
	int before = -1;
	unsigned i;

	if (!group_head_sane(g))
		return false;
	for (i = 0; i < g->block_count; i++) {
		if (!block_sane(&g->blocks[i], before))
			return false;
		before = g->blocks[i].index;
	}
	return true;
}

/* ---- writing ---- */

void log_desc_begin(struct log_desc *d)
{
	memset(d, 0, sizeof(*d));
}

static uint8_t *put_seal(uint8_t *p, const struct seal *s)
{
	layout_put64(p, s->stamp);
	memcpy(p + 8, s->tag, TAG_LEN);
	return p + LOG_SEAL_LEN;
}

int log_desc_add_file(struct log_desc *d, const struct log_file *f)
{
	size_t len = log_file_len(f);
	uint8_t *p = d->records + d->record_bytes;
	uint32_t i;

	if (!file_sane(f))
		return -EINVAL;
	if (len > (size_t)LOG_RECORDS_MAX - d->record_bytes)
		return -ENOSPC;
	p[0] = LOG_KIND_FILE;
	p[1] = (uint8_t)f->handle.len;
	layout_put16(p + 2, f->handle.type);
	memcpy(p + 4, f->file_id, FILE_ID_LEN);
	layout_put64(p + 20, f->shape.size);
	layout_put32(p + 28, f->shape.alloc_groups);
	p[32] = (uint8_t)f->shape.gap_count;
	p = put_seal(p + 33, &f->header);
	for (i = 0; i < f->shape.gap_count; i++, p += LOG_GAP_LEN) {
		layout_put32(p, f->shape.gaps[i].first);
		layout_put32(p + 4, f->shape.gaps[i].count);
	}
	memcpy(p, f->handle.bytes, f->handle.len);
	d->record_bytes = (uint16_t)(d->record_bytes + len);
	return 0;
}

int log_desc_add_group(struct log_desc *d, const struct log_group *g)
{
	uint8_t *p = d->records + d->record_bytes;
	uint32_t data_blocks = 0;
	size_t len;
	unsigned i;

	if (!group_sane(g))
		return -EINVAL;
	len = log_group_len(g);
	if (len > (size_t)LOG_RECORDS_MAX - d->record_bytes)
		return -ENOSPC;
	p[0] = LOG_KIND_GROUP;
	p[1] = g->block_count;
	layout_put32(p + 2, g->group);
	p[6] = g->base;
	layout_put16(p + 7, g->epoch);
	p = put_seal(p + 9, &g->entries);
	if (g->group != 0)
		p = put_seal(p, &g->header);
	for (i = 0; i < g->block_count; i++) {
		const struct log_block *b = &g->blocks[i];

		p[0] = b->index;
		p[1] = b->where;
		if (b->where != LOG_WHERE_HOLE)
			group_entry_put(&b->entry, p + LOG_HOLE_LEN);
		p += b->where == LOG_WHERE_HOLE ? LOG_HOLE_LEN : LOG_BLOCK_LEN;
		data_blocks += b->where == LOG_WHERE_LOG;
	}
	d->record_bytes = (uint16_t)(d->record_bytes + len);
	d->data_blocks += data_blocks;
	return 0;
}

static struct egmac_msg desc_msg(const struct key_ring *ring, uint16_t epoch, const struct log_desc *d)
{
	return (struct egmac_msg){
		.label = 'L', .epoch = epoch, .number = d->part, .id = key_ring_uuid(ring), .stamp = d->stamp,
	};
}

int log_desc_seal(struct blockcrypt *bc, const struct key_ring *ring, const struct log_desc *d,
		  uint8_t ret_p[static BLOCK_SIZE])
{
	struct egmac_msg msg = desc_msg(ring, key_ring_newest(ring), d);
	uint8_t p[BLOCK_SIZE] = { 0 };
	struct key_tag key;
	int r;

	if (d->stamp == 0 || d->record_bytes > LOG_RECORDS_MAX)
		return -EINVAL;
	r = key_ring_log_tag(ring, msg.epoch, &key);
	if (r < 0)
		return r;
	memcpy(p + AT_MAGIC, LOG_MAGIC, MAGIC_LEN);
	layout_put16(p + AT_VERSION, FORMAT_VERSION);
	layout_put16(p + AT_EPOCH, msg.epoch);
	memcpy(p + AT_UUID, msg.id, UUID_LEN);
	memcpy(p + AT_GENERATION, d->generation, GENERATION_LEN);
	layout_put64(p + AT_SEQUENCE, d->sequence);
	layout_put64(p + AT_DURABLE, d->durable);
	layout_put32(p + AT_PART, d->part);
	layout_put16(p + AT_FLAGS, d->last ? LOG_FLAG_LAST : 0);
	layout_put16(p + AT_RECORD_BYTES, d->record_bytes);
	layout_put32(p + AT_DATA_BLOCKS, d->data_blocks);
	layout_put64(p + AT_STAMP, d->stamp);
	memcpy(p + AT_RECORDS, d->records, d->record_bytes);
	r = blockcrypt_tag(bc, &key, &msg, p, AT_TAG, p + AT_TAG);
	keys_wipe(&key);
	if (r < 0)
		return r;
	memcpy(ret_p, p, BLOCK_SIZE);
	return 0;
}

/* ---- reading ---- */

/* Everything but uuid, tag and records. */
static int desc_check(const uint8_t *p)
{
	uint16_t record_bytes = layout_get16(p + AT_RECORD_BYTES);

	if (memcmp(p + AT_MAGIC, LOG_MAGIC, MAGIC_LEN) != 0)
		return -EUCLEAN;
	if (layout_get16(p + AT_VERSION) != FORMAT_VERSION)
		return -EOPNOTSUPP;
	if (layout_get16(p + AT_FLAGS) & ~LOG_FLAG_LAST || layout_get32(p + AT_ZERO) != 0)
		return -EUCLEAN;
	if (layout_get64(p + AT_STAMP) == 0 || record_bytes > LOG_RECORDS_MAX)
		return -EUCLEAN;
	if (!layout_is_zero(p + AT_RECORDS + record_bytes, (size_t)LOG_RECORDS_MAX - record_bytes))
		return -EUCLEAN;
	return 0;
}

int log_desc_parse(const uint8_t p[static BLOCK_SIZE], struct log_desc *ret_d)
{
	struct log_desc d = {
		.sequence = layout_get64(p + AT_SEQUENCE),
		.durable = layout_get64(p + AT_DURABLE),
		.part = layout_get32(p + AT_PART),
		.last = layout_get16(p + AT_FLAGS) & LOG_FLAG_LAST,
		.data_blocks = layout_get32(p + AT_DATA_BLOCKS),
		.stamp = layout_get64(p + AT_STAMP),
		.record_bytes = layout_get16(p + AT_RECORD_BYTES),
	};
	int r;

	r = desc_check(p);
	if (r < 0)
		return r;
	memcpy(d.generation, p + AT_GENERATION, GENERATION_LEN);
	memcpy(d.records, p + AT_RECORDS, d.record_bytes);
	*ret_d = d;
	return 0;
}

int log_desc_open(struct blockcrypt *bc, const struct key_ring *ring, const uint8_t p[static BLOCK_SIZE],
		  struct log_desc *ret_d)
{
	struct egmac_msg msg;
	struct log_desc d;
	struct key_tag key;
	int r;

	r = log_desc_parse(p, &d);
	if (r < 0)
		return r;
	msg = desc_msg(ring, layout_get16(p + AT_EPOCH), &d);
	if (memcmp(p + AT_UUID, msg.id, UUID_LEN) != 0)
		return -EBADMSG;
	r = key_ring_log_tag(ring, msg.epoch, &key);
	if (r < 0)
		return r == -ENOKEY ? -EBADMSG : r; /* no such epoch: no tag of it is good */
	r = blockcrypt_tag_check(bc, &key, &msg, p, AT_TAG, p + AT_TAG);
	keys_wipe(&key);
	if (r < 0)
		return r;
	*ret_d = d;
	return 0;
}

/* What is left of the records; no parser below looks behind end. */
struct log_bytes {
	const uint8_t *p, *end;
};

/* The next len bytes, NULL when there are fewer. */
static const uint8_t *take(struct log_bytes *b, size_t len)
{
	const uint8_t *p = b->p;

	if (len > (size_t)(b->end - p))
		return NULL;
	b->p += len;
	return p;
}

static void get_seal(const uint8_t *p, struct seal *ret_s)
{
	ret_s->stamp = layout_get64(p);
	memcpy(ret_s->tag, p + 8, TAG_LEN);
}

static int parse_file(struct log_bytes *b, struct log_file *ret_f)
{
	const uint8_t *p = take(b, LOG_FILE_LEN);
	struct log_file f = { 0 };
	uint32_t i;

	if (!p)
		return -EUCLEAN;
	f.handle.len = p[1];
	f.handle.type = layout_get16(p + 2);
	memcpy(f.file_id, p + 4, FILE_ID_LEN);
	f.shape.size = layout_get64(p + 20);
	f.shape.alloc_groups = layout_get32(p + 28);
	f.shape.gap_count = p[32];
	get_seal(p + 33, &f.header);
	if (f.shape.gap_count > GAPS_MAX || f.handle.len > HANDLE_LEN_MAX)
		return -EUCLEAN;
	for (i = 0; i < f.shape.gap_count; i++) {
		p = take(b, LOG_GAP_LEN);
		if (!p)
			return -EUCLEAN;
		f.shape.gaps[i].first = layout_get32(p);
		f.shape.gaps[i].count = layout_get32(p + 4);
	}
	p = take(b, f.handle.len);
	if (!p)
		return -EUCLEAN;
	memcpy(f.handle.bytes, p, f.handle.len);
	if (!file_sane(&f))
		return -EUCLEAN;
	*ret_f = f;
	return 0;
}

static int parse_block(struct log_bytes *b, int before, struct log_block *ret_b)
{
	const uint8_t *p = take(b, LOG_HOLE_LEN);
	int r;

	if (!p)
		return -EUCLEAN;
	ret_b->index = p[0];
	ret_b->where = p[1];
	if (ret_b->where != LOG_WHERE_HOLE) {
		p = take(b, ENTRY_LEN);
		if (!p)
			return -EUCLEAN;
		r = group_entry_parse(p, &ret_b->entry);
		if (r < 0)
			return r;
	}
	return block_sane(ret_b, before) ? 0 : -EUCLEAN;
}

static int parse_group(struct log_bytes *b, struct log_group *ret_g)
{
	const uint8_t *p = take(b, LOG_GROUP_LEN);
	struct log_group g = { 0 };
	int before = -1;
	unsigned i;
	int r;

	if (!p)
		return -EUCLEAN;
	g.block_count = p[1];
	g.group = layout_get32(p + 2);
	g.base = p[6];
	g.epoch = layout_get16(p + 7);
	get_seal(p + 9, &g.entries);
	if (g.group != 0) {
		p = take(b, LOG_SEAL_LEN);
		if (!p)
			return -EUCLEAN;
		get_seal(p, &g.header);
	}
	if (!group_head_sane(&g))
		return -EUCLEAN;
	for (i = 0; i < g.block_count; i++) {
		r = parse_block(b, before, &g.blocks[i]);
		if (r < 0)
			return r;
		before = g.blocks[i].index;
	}
	*ret_g = g;
	return 0;
}

static uint32_t data_blocks_of(const struct log_group *g)
{
	uint32_t n = 0;
	unsigned i;

	for (i = 0; i < g->block_count; i++)
		n += g->blocks[i].where == LOG_WHERE_LOG;
	return n;
}

int log_desc_next(const struct log_desc *d, struct log_cursor *c, struct log_file *ret_f, struct log_group *ret_g)
{
	struct log_bytes b = { d->records + c->off, d->records + d->record_bytes };
	int kind;
	int r;

	if (b.p == b.end)
		return c->data_blocks == d->data_blocks ? LOG_KIND_END : -EUCLEAN;
	kind = *b.p;
	switch (kind) {
	case LOG_KIND_FILE:
		r = parse_file(&b, ret_f);
		c->seen_file = true;
		break;
	case LOG_KIND_GROUP:
		/* The first part begins a transaction, so no FILE can stand before it. */
		r = d->part == 0 && !c->seen_file ? -EUCLEAN : parse_group(&b, ret_g);
		break;
	default:
		r = -EUCLEAN;
	}
	if (r < 0)
		return r;
	if (kind == LOG_KIND_GROUP)
		c->data_blocks += data_blocks_of(ret_g);
	c->off = (size_t)(b.p - d->records);
	return kind;
}
