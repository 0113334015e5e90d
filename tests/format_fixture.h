/* format_fixture.h: one fixed volume (the one of tests/golden/vectors.json: epochs 1, 2 and 259), structures filled from a seed,
 * and tags put right again after a structure was changed. For unit tests, fuzz targets and their corpus; failures abort. */
#ifndef COFFER_TESTS_FORMAT_FIXTURE_H
#define COFFER_TESTS_FORMAT_FIXTURE_H

#include "crypt/blockcrypt.h"
#include "format/log_record.h"
#include "format/volume_config.h"

#include <stdio.h>
#include <string.h>

#define FIXTURE_EPOCH 259 /* the newest */

static const uint8_t fixture_uuid[16] = {
	0xc2, 0x84, 0x4e, 0x55, 0x65, 0x9f, 0x73, 0xe3, 0x68, 0xce, 0x5b, 0xb4, 0x2e, 0x59, 0xbc, 0xb4,
};
static const uint8_t fixture_root[32] = {
	0x2b, 0x14, 0xa2, 0xb7, 0xa7, 0xa3, 0xb9, 0x01, 0xf0, 0xaa, 0x39, 0x6f, 0x4e, 0x8d, 0x34, 0xb3,
	0xa4, 0x32, 0xbe, 0x5f, 0x55, 0x31, 0x3a, 0x8c, 0xce, 0xf7, 0x12, 0x62, 0x9a, 0xc4, 0xde, 0x39,
};
static const uint8_t fixture_sealed_ring[168] = {
	0xb0, 0x82, 0x73, 0x87, 0xa2, 0x07, 0xd3, 0x81, 0xde, 0x63, 0x41, 0xfe, 0x31, 0xf5, 0x45, 0x90,
	0x52, 0x06, 0x68, 0xe6, 0x36, 0xb9, 0x1b, 0x03, 0x1a, 0x46, 0x56, 0x0f, 0xb0, 0xcc, 0x3e, 0xe2,
	0x9c, 0x73, 0xb9, 0x40, 0xb1, 0x00, 0x0e, 0xff, 0x99, 0x4b, 0xb6, 0x83, 0x93, 0x46, 0x60, 0xab,
	0x02, 0x51, 0x24, 0x73, 0xab, 0xa0, 0xf8, 0x45, 0x76, 0x31, 0x12, 0xa4, 0xf6, 0x7f, 0x8e, 0x85,
	0xc4, 0xd9, 0x43, 0x9f, 0x45, 0x4a, 0xe9, 0xe9, 0x7b, 0xb2, 0x37, 0xba, 0xf8, 0x25, 0xff, 0x17,
	0xe0, 0x8f, 0x15, 0xbe, 0x6a, 0xea, 0x7f, 0xdf, 0xa4, 0xd2, 0x06, 0x1f, 0x9c, 0x8a, 0xc0, 0xb8,
	0x4d, 0xcf, 0x0e, 0x77, 0x5e, 0x30, 0xac, 0x6a, 0x87, 0x01, 0xf2, 0xb9, 0x4d, 0xa8, 0xe0, 0xc0,
	0x86, 0x22, 0xd8, 0x19, 0x32, 0xc7, 0x99, 0x34, 0x4a, 0x97, 0x1a, 0x3a, 0x00, 0xb0, 0xf1, 0x56,
	0x5e, 0xc8, 0x46, 0x03, 0x21, 0x30, 0x66, 0x23, 0x91, 0xa8, 0x9d, 0xa8, 0xb9, 0xb1, 0xbd, 0x6c,
	0x6c, 0x89, 0xb0, 0xd6, 0x64, 0xd6, 0xdf, 0x42, 0x6a, 0x83, 0xab, 0x44, 0x00, 0xbc, 0xb8, 0x6c,
	0x46, 0x1c, 0x32, 0x0c, 0x4b, 0x16, 0x74, 0x40,
};

/* For what cannot fail in a test that works. */
static inline void fixture_must(bool ok)
{
	if (!ok)
		abort();
}

static inline struct secret *fixture_root_secret(void)
{
	struct secret *s = NULL;

	fixture_must(secret_new_copy(fixture_root, sizeof(fixture_root), &s) == 0);
	return s;
}

/* Opened once; lives as long as the process. */
static inline const struct key_ring *fixture_ring(void)
{
	static struct key_ring *ring;

	if (!ring) {
		AUTO_SECRET struct secret *root = fixture_root_secret();

		fixture_must(key_ring_open(root, fixture_uuid, fixture_sealed_ring, sizeof(fixture_sealed_ring), &ring) == 0);
	}
	return ring;
}

static inline struct blockcrypt *fixture_bc(void)
{
	struct blockcrypt *bc = blockcrypt_get();

	fixture_must(bc != NULL);
	return bc;
}

/* ---- tags put right again ---- */

static inline void fixture_tag(const struct key_tag *key, char label, uint16_t epoch, uint64_t number, const uint8_t *id,
			       uint64_t stamp, const uint8_t *payload, size_t len, uint8_t *ret_tag)
{
	const struct egmac_msg msg = { .label = label, .epoch = epoch, .number = number, .id = id, .stamp = stamp };

	fixture_must(blockcrypt_tag(fixture_bc(), key, &msg, payload, len, ret_tag) == 0);
}

/* Both tags of a metadata block. Epoch, file_id and group are taken from it; false: an epoch that is not in the ring. */
static inline bool fixture_retag_group(uint8_t p[static BLOCK_SIZE])
{
	uint16_t epoch = layout_get16(p + 8);
	uint64_t group = layout_get32(p + 12);
	uint8_t tag[TAG_LEN];
	struct key_tag key;

	if (key_ring_file_tag(fixture_ring(), epoch, p + 16, &key) < 0)
		return false;
	fixture_tag(&key, 'E', epoch, group, p + 16, layout_get64(p + 464), p + HEADER_LEN, ENTRIES_LEN, tag);
	memcpy(p + 472, tag, TAG_LEN);
	fixture_tag(&key, 'H', epoch, group, p + 16, layout_get64(p + 488), p, HEADER_TAGGED_LEN, tag);
	memcpy(p + 496, tag, TAG_LEN);
	return true;
}

static inline bool fixture_retag_state(uint8_t p[static STATE_SLOT_LEN], unsigned slot)
{
	uint16_t epoch = layout_get16(p + 6);
	uint8_t tag[TAG_LEN];
	struct key_tag key;

	if (key_ring_state_tag(fixture_ring(), epoch, &key) < 0)
		return false;
	fixture_tag(&key, 'S', epoch, slot, fixture_uuid, layout_get64(p + 488), p, 496, tag);
	memcpy(p + 496, tag, TAG_LEN);
	return true;
}

static inline bool fixture_retag_desc(uint8_t p[static BLOCK_SIZE])
{
	uint16_t epoch = layout_get16(p + 6);
	uint8_t tag[TAG_LEN];
	struct key_tag key;

	if (key_ring_log_tag(fixture_ring(), epoch, &key) < 0)
		return false;
	fixture_tag(&key, 'L', epoch, layout_get32(p + 56), fixture_uuid, layout_get64(p + 72), p, 4080, tag);
	memcpy(p + 4080, tag, TAG_LEN);
	return true;
}

/* The MAC of a configuration whose first line has the usual form; uuid: the one its JSON names. */
static inline bool fixture_remac(uint8_t *p, size_t len, const uint8_t uuid[static UUID_LEN])
{
	AUTO_SECRET struct secret *root = fixture_root_secret();
	uint8_t *lf = memchr(p, '\n', len);
	uint8_t mac[CONFIG_MAC_LEN];
	char text[2 * CONFIG_MAC_LEN + 1];
	size_t i, head;

	if (!lf || lf - p < (ptrdiff_t)sizeof(text) - 1)
		return false;
	head = (size_t)(lf - p) - 2 * CONFIG_MAC_LEN;
	fixture_must(keys_config_mac(root, uuid, p, head, lf + 1, len - (size_t)(lf + 1 - p), mac) == 0);
	for (i = 0; i < CONFIG_MAC_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", mac[i]);
	memcpy(p + head, text, 2 * CONFIG_MAC_LEN);
	return true;
}

/* ---- structures from a seed ---- */

struct fixture_rng {
	uint64_t x;
};

/* splitmix64 */
static inline uint64_t fixture_rand(struct fixture_rng *g)
{
	uint64_t z = g->x += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0..n-1 */
static inline uint32_t fixture_below(struct fixture_rng *g, uint64_t n)
{
	return (uint32_t)(fixture_rand(g) % n);
}

static inline void fixture_fill(struct fixture_rng *g, void *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		((uint8_t *)p)[i] = (uint8_t)fixture_rand(g);
}

static inline void fixture_seal(struct fixture_rng *g, struct seal *ret_s)
{
	ret_s->stamp = fixture_rand(g) | 1;
	fixture_fill(g, ret_s->tag, TAG_LEN);
}

static inline void fixture_entry(struct fixture_rng *g, struct entry *ret_e)
{
	ret_e->stamp = fixture_rand(g) | 1;
	fixture_fill(g, ret_e->tag, TAG_LEN);
	ret_e->sum = (uint32_t)fixture_rand(g);
}

static inline void fixture_shape(struct fixture_rng *g, struct file_shape *ret_s)
{
	uint64_t end = 0, gaps = fixture_below(g, GAPS_MAX + 1);

	memset(ret_s, 0, sizeof(*ret_s));
	ret_s->size = fixture_rand(g) % (FILE_SIZE_MAX + 1);
	while (ret_s->gap_count < gaps) {
		struct gap *gap = &ret_s->gaps[ret_s->gap_count++];

		gap->first = (uint32_t)end + 1 + fixture_below(g, 1000);
		gap->count = 1 + fixture_below(g, 1u << fixture_below(g, 20));
		end = (uint64_t)gap->first + gap->count;
	}
	ret_s->alloc_groups = (uint32_t)end + 1 + fixture_below(g, GROUPS_MAX - end);
}

/* A metadata block sealed under one of the epochs. group 0 gets a shape. */
static inline void fixture_group(struct fixture_rng *g, uint32_t group, uint8_t ret_p[static BLOCK_SIZE])
{
	static const uint16_t epochs[] = { 1, 2, FIXTURE_EPOCH };
	struct group_header h = { .epoch = epochs[fixture_below(g, 3)], .group = group };
	struct entry e;
	unsigned i;

	fixture_fill(g, h.file_id, FILE_ID_LEN);
	fixture_seal(g, &h.entries);
	fixture_seal(g, &h.header);
	if (group == 0) {
		fixture_shape(g, &h.shape);
		h.flags = fixture_below(g, 4) == 0 ? GROUP_FLAG_DAMAGED : 0;
	}
	group_header_put(&h, ret_p);
	memset(ret_p + HEADER_LEN, 0, ENTRIES_LEN);
	for (i = 0; i < GROUP_BLOCKS; i++) {
		if (fixture_below(g, 3) == 0)
			continue;
		fixture_entry(g, &e);
		group_entry_put(&e, ret_p + HEADER_LEN + i * ENTRY_LEN);
	}
	fixture_must(fixture_retag_group(ret_p));
}

static inline void fixture_handle(struct fixture_rng *g, struct lower_handle *ret_h)
{
	memset(ret_h, 0, sizeof(*ret_h));
	ret_h->type = (uint16_t)fixture_rand(g);
	ret_h->len = (uint16_t)fixture_below(g, HANDLE_LEN_MAX + 1);
	fixture_fill(g, ret_h->bytes, ret_h->len);
}

static inline void fixture_state(struct fixture_rng *g, struct volume_state *ret_s)
{
	memset(ret_s, 0, sizeof(*ret_s));
	ret_s->serial = fixture_rand(g);
	ret_s->stamp_limit = fixture_rand(g);
	fixture_fill(g, ret_s->generation, GENERATION_LEN);
	ret_s->log_blocks = LOG_BLOCKS_MIN + fixture_below(g, LOG_BLOCKS_MAX - LOG_BLOCKS_MIN + 1);
	ret_s->tail = fixture_rand(g);
	ret_s->tail_sequence = fixture_rand(g);
	ret_s->durable = fixture_rand(g);
	ret_s->flags = fixture_below(g, 2);
	fixture_handle(g, &ret_s->root_handle);
	ret_s->fsid = fixture_rand(g);
}

static inline void fixture_log_file(struct fixture_rng *g, struct log_file *ret_f)
{
	memset(ret_f, 0, sizeof(*ret_f));
	fixture_fill(g, ret_f->file_id, FILE_ID_LEN);
	fixture_shape(g, &ret_f->shape);
	fixture_seal(g, &ret_f->header);
	fixture_handle(g, &ret_f->handle);
}

/* Up to max_blocks BLOCK records. */
static inline void fixture_log_group(struct fixture_rng *g, unsigned max_blocks, struct log_group *ret_g)
{
	unsigned i, index = fixture_below(g, 3);

	memset(ret_g, 0, sizeof(*ret_g));
	ret_g->group = fixture_below(g, 3) ? fixture_below(g, GROUPS_MAX) : 0;
	ret_g->base = (uint8_t)(LOG_BASE_HOME + fixture_below(g, 3));
	ret_g->epoch = (uint16_t)fixture_rand(g);
	fixture_seal(g, &ret_g->entries);
	if (ret_g->group)
		fixture_seal(g, &ret_g->header);
	for (i = 0; i < max_blocks && index < GROUP_BLOCKS; i++, index += 1 + fixture_below(g, 4)) {
		struct log_block *b = &ret_g->blocks[ret_g->block_count++];

		b->index = (uint8_t)index;
		b->where = (uint8_t)(LOG_WHERE_LOG + fixture_below(g, 3));
		if (b->where != LOG_WHERE_HOLE)
			fixture_entry(g, &b->entry);
	}
}

/* A descriptor with a FILE and as many groups as go in after it, up to max_groups; not sealed. */
static inline void fixture_desc(struct fixture_rng *g, unsigned max_groups, struct log_desc *ret_d)
{
	struct log_group lg;
	struct log_file lf;
	unsigned i;

	log_desc_begin(ret_d);
	fixture_fill(g, ret_d->generation, GENERATION_LEN);
	ret_d->sequence = fixture_rand(g);
	ret_d->durable = fixture_rand(g);
	ret_d->part = fixture_below(g, 3);
	ret_d->last = fixture_below(g, 2);
	ret_d->stamp = fixture_rand(g) | 1;
	fixture_log_file(g, &lf);
	fixture_must(log_desc_add_file(ret_d, &lf) == 0);
	for (i = 0; i < max_groups; i++) {
		fixture_log_group(g, fixture_below(g, 12), &lg);
		if (log_desc_add_group(ret_d, &lg) < 0)
			break;
	}
}

/* slots 1..SLOTS_MAX, with the fixture's own ring. */
static inline void fixture_config(struct fixture_rng *g, size_t slots, struct volume_config *ret_c)
{
	size_t i;

	memset(ret_c, 0, sizeof(*ret_c));
	memcpy(ret_c->uuid, fixture_uuid, UUID_LEN);
	snprintf(ret_c->tenant, sizeof(ret_c->tenant), "tenant-%u.x_Y", fixture_below(g, 100000));
	ret_c->config_version = fixture_rand(g) >> 1;
	snprintf(ret_c->created, sizeof(ret_c->created), "2026-%02u-02T03:04:05Z", 1 + fixture_below(g, 12));
	ret_c->epoch = FIXTURE_EPOCH;
	ret_c->slot_count = slots;
	for (i = 0; i < slots; i++) {
		struct key_slot *s = &ret_c->slots[i];

		snprintf(s->kms, sizeof(s->kms), "local:key-%u", fixture_below(g, 1000));
		snprintf(s->key_version, sizeof(s->key_version), "%.*s", (int)fixture_below(g, 5), "v1/\"\\");
		s->wrapped_kek_len = 1 + fixture_below(g, i == 0 ? 100 : WRAPPED_KEK_MAX);
		fixture_fill(g, s->wrapped_kek, s->wrapped_kek_len);
		fixture_fill(g, s->sealed_root, SEALED_ROOT_LEN);
		fixture_fill(g, s->commitment, COMMITMENT_LEN);
		snprintf(s->created, sizeof(s->created), "2026-01-02T03:04:%02u.%uZ", fixture_below(g, 60), fixture_below(g, 1000));
		s->active = fixture_below(g, 2);
	}
	ret_c->key_ring_len = sizeof(fixture_sealed_ring);
	memcpy(ret_c->key_ring, fixture_sealed_ring, sizeof(fixture_sealed_ring));
}

#endif
