/* group.c: see group.h; implements docs/format.md section 5, the metadata block of a group.
 *
 * Offsets of the header stand in the enum below, in the order of the page. What is said to be zero is zero for every reader:
 * group_header_parse refuses the header otherwise, so that a later format can give those bytes a meaning without an old program
 * reading past it. Parsing believes nothing and needs no key; group_open and group_open_first are what a reader of data calls.
 *
 * A header is sealed in two steps because the entries' seal is part of what the header's tag covers:
 * group_seal_entries first, then group_seal_header. */
#include "format/group.h"

#include <assert.h>
#include <string.h>

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_FLAGS = 6,
	AT_EPOCH = 8,
	AT_GAP_COUNT = 10,
	AT_GROUP = 12,
	AT_FILE_ID = 16,
	AT_SIZE = 32,
	AT_ALLOC_GROUPS = 40,
	AT_ZERO_1 = 44,
	AT_GAPS = 48,
	AT_ROOT = 240,           /* reserved */
	AT_ZERO_2 = 272,
	AT_ENTRIES_STAMP = 464,
	AT_ENTRIES_TAG = 472,
	AT_HEADER_STAMP = 488,
	AT_HEADER_TAG = 496,
};

#define GROUP_MAGIC "CFRG"
#define MAGIC_LEN 4
#define GAP_LEN 8

_Static_assert(AT_GAPS + GAPS_MAX * GAP_LEN == AT_ROOT, "docs/format.md says so");
_Static_assert(AT_HEADER_TAG == HEADER_TAGGED_LEN && AT_HEADER_TAG + TAG_LEN == HEADER_LEN, "docs/format.md says so");
_Static_assert(HEADER_LEN + ENTRIES_LEN == BLOCK_SIZE, "docs/format.md says so");

/* ---- entries ---- */

void group_entry_put(const struct entry *e, uint8_t ret_p[static ENTRY_LEN])
{
	layout_put64(ret_p, e->stamp);
	memcpy(ret_p + 8, e->tag, TAG_LEN);
	layout_put32(ret_p + 8 + TAG_LEN, e->sum);
}

int group_entry_parse(const uint8_t p[static ENTRY_LEN], struct entry *ret_e)
{
	uint64_t stamp = layout_get64(p);

	if (stamp == 0 && !layout_is_zero(p, ENTRY_LEN))
		return -EUCLEAN;
	ret_e->stamp = stamp;
	memcpy(ret_e->tag, p + 8, TAG_LEN);
	ret_e->sum = layout_get32(p + 8 + TAG_LEN);
	return 0;
}

/* ---- shape ---- */

bool group_exists(const struct file_shape *shape, uint32_t group)
{
	uint32_t i;

	if (group >= shape->alloc_groups)
		return false;
	for (i = 0; i < shape->gap_count && i < GAPS_MAX; i++) {
		const struct gap *g = &shape->gaps[i];

		if (group >= g->first && group - g->first < g->count)
			return false;
	}
	return true;
}

int group_shape_check(const struct file_shape *shape)
{
	uint64_t end = 0; /* behind the gap before; a gap begins above it, so none begins at group 0 and none are adjacent */
	uint32_t i;

	if (shape->size > FILE_SIZE_MAX || shape->gap_count > GAPS_MAX)
		return -EUCLEAN;
	if (shape->alloc_groups == 0 || shape->alloc_groups > GROUPS_MAX)
		return -EUCLEAN;
	for (i = 0; i < shape->gap_count; i++) {
		const struct gap *g = &shape->gaps[i];

		if (g->count == 0 || g->first <= end)
			return -EUCLEAN;
		end = (uint64_t)g->first + g->count; /* of two 32-bit numbers: cannot overflow */
		if (end > shape->alloc_groups)
			return -EUCLEAN;
	}
	return 0;
}

/* ---- header ---- */

static void put_shape(const struct file_shape *s, uint8_t *p)
{
	uint32_t i;

	assert(s->gap_count <= GAPS_MAX);
	layout_put16(p + AT_GAP_COUNT, (uint16_t)s->gap_count);
	layout_put64(p + AT_SIZE, s->size);
	layout_put32(p + AT_ALLOC_GROUPS, s->alloc_groups);
	for (i = 0; i < s->gap_count; i++) {
		layout_put32(p + AT_GAPS + i * GAP_LEN, s->gaps[i].first);
		layout_put32(p + AT_GAPS + i * GAP_LEN + 4, s->gaps[i].count);
	}
}

void group_header_put(const struct group_header *h, uint8_t ret_p[static HEADER_LEN])
{
	memset(ret_p, 0, HEADER_LEN);
	memcpy(ret_p + AT_MAGIC, GROUP_MAGIC, MAGIC_LEN);
	layout_put16(ret_p + AT_VERSION, FORMAT_VERSION);
	layout_put16(ret_p + AT_FLAGS, h->flags);
	layout_put16(ret_p + AT_EPOCH, h->epoch);
	layout_put32(ret_p + AT_GROUP, h->group);
	memcpy(ret_p + AT_FILE_ID, h->file_id, FILE_ID_LEN);
	if (h->group == 0)
		put_shape(&h->shape, ret_p);
	layout_put64(ret_p + AT_ENTRIES_STAMP, h->entries.stamp);
	memcpy(ret_p + AT_ENTRIES_TAG, h->entries.tag, TAG_LEN);
	layout_put64(ret_p + AT_HEADER_STAMP, h->header.stamp);
	memcpy(ret_p + AT_HEADER_TAG, h->header.tag, TAG_LEN);
}

static int parse_shape(const uint8_t *p, struct file_shape *ret_s)
{
	struct file_shape s = { .size = layout_get64(p + AT_SIZE), .alloc_groups = layout_get32(p + AT_ALLOC_GROUPS) };
	uint32_t i;
	int r;

	s.gap_count = layout_get16(p + AT_GAP_COUNT);
	if (s.gap_count > GAPS_MAX)
		return -EUCLEAN;
	for (i = 0; i < s.gap_count; i++) {
		s.gaps[i].first = layout_get32(p + AT_GAPS + i * GAP_LEN);
		s.gaps[i].count = layout_get32(p + AT_GAPS + i * GAP_LEN + 4);
	}
	r = group_shape_check(&s);
	if (r < 0)
		return r;
	if (!layout_is_zero(p + AT_GAPS + i * GAP_LEN, (GAPS_MAX - i) * GAP_LEN))
		return -EUCLEAN;
	*ret_s = s;
	return 0;
}

/* The fields marked "group 0 only" in a header of another group. */
static bool has_no_shape(const uint8_t *p)
{
	return layout_get16(p + AT_FLAGS) == 0 && layout_get16(p + AT_GAP_COUNT) == 0 &&
	       layout_is_zero(p + AT_SIZE, AT_ROOT - AT_SIZE);
}

int group_header_parse(const uint8_t p[static HEADER_LEN], struct group_header *ret_h)
{
	struct group_header h = {
		.flags = layout_get16(p + AT_FLAGS),
		.epoch = layout_get16(p + AT_EPOCH),
		.group = layout_get32(p + AT_GROUP),
		.entries.stamp = layout_get64(p + AT_ENTRIES_STAMP),
		.header.stamp = layout_get64(p + AT_HEADER_STAMP),
	};
	int r;

	if (memcmp(p + AT_MAGIC, GROUP_MAGIC, MAGIC_LEN) != 0)
		return -EUCLEAN;
	if (layout_get16(p + AT_VERSION) != FORMAT_VERSION)
		return -EOPNOTSUPP;
	if (h.flags & ~GROUP_FLAG_DAMAGED || h.group >= GROUPS_MAX)
		return -EUCLEAN;
	if (h.entries.stamp == 0 || h.header.stamp == 0)
		return -EUCLEAN;
	if (!layout_is_zero(p + AT_ZERO_1, AT_GAPS - AT_ZERO_1) ||
	    !layout_is_zero(p + AT_ROOT, AT_ENTRIES_STAMP - AT_ROOT))
		return -EUCLEAN;
	if (h.group != 0 && !has_no_shape(p))
		return -EUCLEAN;
	if (h.group == 0) {
		r = parse_shape(p, &h.shape);
		if (r < 0)
			return r;
	}
	memcpy(h.file_id, p + AT_FILE_ID, FILE_ID_LEN);
	memcpy(h.entries.tag, p + AT_ENTRIES_TAG, TAG_LEN);
	memcpy(h.header.tag, p + AT_HEADER_TAG, TAG_LEN);
	*ret_h = h;
	return 0;
}

/* ---- seals ---- */

static struct egmac_msg entries_msg(const struct group_header *h)
{
	return (struct egmac_msg){
		.label = 'E', .epoch = h->epoch, .number = h->group, .id = h->file_id, .stamp = h->entries.stamp,
	};
}

static struct egmac_msg header_msg(const struct group_header *h)
{
	return (struct egmac_msg){
		.label = 'H', .epoch = h->epoch, .number = h->group, .id = h->file_id, .stamp = h->header.stamp,
	};
}

int group_seal_entries(struct blockcrypt *bc, const struct key_tag *key, struct group_header *h,
		       const uint8_t entries[static ENTRIES_LEN])
{
	struct egmac_msg msg = entries_msg(h);

	if (h->entries.stamp == 0 || h->group >= GROUPS_MAX)
		return -EINVAL;
	return blockcrypt_tag(bc, key, &msg, entries, ENTRIES_LEN, h->entries.tag);
}

int group_seal_header(struct blockcrypt *bc, const struct key_tag *key, struct group_header *h)
{
	struct egmac_msg msg = header_msg(h);
	uint8_t p[HEADER_LEN];

	/* What no reader would take must not get a seal. */
	if (h->header.stamp == 0 || h->entries.stamp == 0 || h->group >= GROUPS_MAX)
		return -EINVAL;
	if (h->flags & ~GROUP_FLAG_DAMAGED || (h->flags && h->group != 0))
		return -EINVAL;
	if (h->group == 0 && group_shape_check(&h->shape) < 0)
		return -EINVAL;
	group_header_put(h, p);
	return blockcrypt_tag(bc, key, &msg, p, HEADER_TAGGED_LEN, h->header.tag);
}

int group_check_header(struct blockcrypt *bc, const struct key_tag *key, const struct group_header *h)
{
	struct egmac_msg msg = header_msg(h);
	uint8_t p[HEADER_LEN];

	group_header_put(h, p);
	return blockcrypt_tag_check(bc, key, &msg, p, HEADER_TAGGED_LEN, h->header.tag);
}

int group_check_entries(struct blockcrypt *bc, const struct key_tag *key, const struct group_header *h,
			const uint8_t entries[static ENTRIES_LEN])
{
	struct egmac_msg msg = entries_msg(h);

	return blockcrypt_tag_check(bc, key, &msg, entries, ENTRIES_LEN, h->entries.tag);
}

/* ---- reading ---- */

/* The tag key a header asks for. An epoch that is not in the ring makes a tag that cannot be good. */
static int header_key(const struct key_ring *ring, const struct group_header *h, struct key_tag *ret_key)
{
	int r = key_ring_file_tag(ring, h->epoch, h->file_id, ret_key);

	return r == -ENOKEY ? -EBADMSG : r;
}

static int check_entries_form(const uint8_t entries[static ENTRIES_LEN])
{
	struct entry e;
	size_t i;
	int r;

	for (i = 0; i < GROUP_BLOCKS; i++) {
		r = group_entry_parse(entries + i * ENTRY_LEN, &e);
		if (r < 0)
			return r;
	}
	return 0;
}

int group_open(struct blockcrypt *bc, const struct key_ring *ring, const uint8_t file_id[static FILE_ID_LEN],
	       uint32_t group, const uint8_t p[static BLOCK_SIZE], struct group_header *ret_h)
{
	struct group_header h;
	struct key_tag key;
	int r;

	r = group_header_parse(p, &h);
	if (r < 0)
		return r;
	if (memcmp(h.file_id, file_id, FILE_ID_LEN) != 0 || h.group != group)
		return -EBADMSG;
	r = header_key(ring, &h, &key);
	if (r < 0)
		return r;
	r = group_check_header(bc, &key, &h);
	if (r == 0)
		r = group_check_entries(bc, &key, &h, p + HEADER_LEN);
	keys_wipe(&key);
	if (r < 0)
		return r;
	r = check_entries_form(p + HEADER_LEN);
	if (r < 0)
		return r;
	*ret_h = h;
	return 0;
}

int group_open_first(struct blockcrypt *bc, const struct key_ring *ring, const uint8_t p[static HEADER_LEN],
		     struct group_header *ret_h)
{
	struct group_header h;
	struct key_tag key;
	int r;

	r = group_header_parse(p, &h);
	if (r < 0)
		return r;
	if (h.group != 0)
		return -EBADMSG;
	r = header_key(ring, &h, &key);
	if (r < 0)
		return r;
	r = group_check_header(bc, &key, &h);
	keys_wipe(&key);
	if (r < 0)
		return r;
	*ret_h = h;
	return 0;
}
