/* group.h: a group's metadata block: header sector and entries (docs/format.md section 5). Pure.
 * The order of trust: header tag (H), then through it the entries' tag (E), then through an entry a block's tag (B). */
#ifndef COFFER_FORMAT_GROUP_H
#define COFFER_FORMAT_GROUP_H

#include "format/layout.h"

#define GAPS_MAX 24
#define ENTRY_LEN 28
#define ENTRIES_LEN (GROUP_BLOCKS * ENTRY_LEN) /* 3584 */
#define HEADER_LEN 512
#define HEADER_TAGGED_LEN 496
#define GROUP_FLAG_DAMAGED 1u

struct entry {                   /* as in memory and, byte for byte, on disk: see group_entry_put */
	uint64_t stamp;          /* 0 with all else zero: a hole */
	uint8_t tag[TAG_LEN];
	uint32_t sum;
};

struct gap {
	uint32_t first, count;
};

/* What only group 0's header holds. */
struct file_shape {
	uint64_t size;
	uint32_t alloc_groups;
	uint32_t gap_count;
	struct gap gaps[GAPS_MAX];
};

struct seal {
	uint64_t stamp;
	uint8_t tag[TAG_LEN];
};

struct group_header {
	uint16_t flags;
	uint16_t epoch;
	uint32_t group;
	uint8_t file_id[FILE_ID_LEN];
	struct file_shape shape; /* all zero unless group is 0 */
	struct seal entries;
	struct seal header;
};

static inline bool group_entry_is_hole(const struct entry *e)
{
	return e->stamp == 0;
}

void group_entry_put(const struct entry *e, uint8_t ret_p[static ENTRY_LEN]);
/* -EUCLEAN: stamp 0 but not all zero. */
int group_entry_parse(const uint8_t p[static ENTRY_LEN], struct entry *ret_e) must_check;

/* Does the group exist in this shape (below alloc_groups, in no gap)? */
bool group_exists(const struct file_shape *shape, uint32_t group);
/* Sorted, disjoint, not adjacent, not empty, group 0 in none, below alloc_groups, alloc_groups in 1..GROUPS_MAX,
 * size <= FILE_SIZE_MAX; -EUCLEAN. */
int group_shape_check(const struct file_shape *shape) must_check;

/* Serialise the header with the seals it carries into the first 512 bytes (no crypto). */
void group_header_put(const struct group_header *h, uint8_t ret_p[static HEADER_LEN]);
/* Parse without key: magic, version, zero bytes, shape, flags; -EUCLEAN, -EOPNOTSUPP (version). For `inspect` and before H
 * is checked: nothing in it may be believed yet. */
int group_header_parse(const uint8_t p[static HEADER_LEN], struct group_header *ret_h) must_check;

/* Take a new seal for the entries: h->entries.stamp must be set, h->entries.tag is written. entries: the 3584 bytes. */
int group_seal_entries(struct blockcrypt *bc, const struct key_tag *key, struct group_header *h,
		       const uint8_t entries[static ENTRIES_LEN]) must_check;
/* Take a new seal for the header: h->header.stamp must be set, h->header.tag is written. */
int group_seal_header(struct blockcrypt *bc, const struct key_tag *key, struct group_header *h) must_check;

/* 0 or -EBADMSG. check_header serialises h and checks h->header; check_entries checks h->entries over entries. */
int group_check_header(struct blockcrypt *bc, const struct key_tag *key, const struct group_header *h) must_check;
int group_check_entries(struct blockcrypt *bc, const struct key_tag *key, const struct group_header *h,
			const uint8_t entries[static ENTRIES_LEN]) must_check;

/* Read a whole metadata block from disk: parse, compare file_id and group with what is expected (-EBADMSG), check H, then
 * E, then every entry's form. keys by epoch come from ring. ret_entries: the 3584 raw bytes are p + HEADER_LEN. */
int group_open(struct blockcrypt *bc, const struct key_ring *ring, const uint8_t file_id[static FILE_ID_LEN],
	       uint32_t group, const uint8_t p[static BLOCK_SIZE], struct group_header *ret_h) must_check;
/* Group 0 of a file whose id is not known yet: takes file_id out of the header, which H then confirms. Header only
 * (entries not checked): what lookup needs for the size. */
int group_open_first(struct blockcrypt *bc, const struct key_ring *ring, const uint8_t p[static HEADER_LEN],
		     struct group_header *ret_h) must_check;

#endif
