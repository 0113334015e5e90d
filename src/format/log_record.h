/* log_record.h: log descriptors and their records (docs/format.md section 7). Pure.
 * Writing: log_desc_begin, then log_desc_add_file / log_desc_add_group (each refuses with -ENOSPC what does not fit: start the
 * next part), then log_desc_seal. Reading: log_desc_open, then log_desc_next until 0. */
#ifndef COFFER_FORMAT_LOG_RECORD_H
#define COFFER_FORMAT_LOG_RECORD_H

#include "format/group.h"
#include "format/volume_state.h"

#define LOG_RECORDS_MAX 4000
#define LOG_FLAG_LAST 1u
#if COFFER_TEST_HOOKS
#define LOG_BLOCKS_MIN 16u   /* so that a crash test meets the end of the ring soon */
#else
#define LOG_BLOCKS_MIN 4096u
#endif
#define LOG_BLOCKS_MAX 262144u

enum log_base { LOG_BASE_HOME = 1, LOG_BASE_EMPTY = 2, LOG_BASE_FRESH = 3 };
enum log_where { LOG_WHERE_LOG = 1, LOG_WHERE_HOME = 2, LOG_WHERE_HOLE = 3 };

struct log_desc {
	uint8_t generation[GENERATION_LEN];
	uint64_t sequence;
	uint64_t durable;
	uint32_t part;
	bool last;
	uint32_t data_blocks;
	uint64_t stamp;
	uint16_t record_bytes;
	uint8_t records[LOG_RECORDS_MAX];
};

struct log_file {
	uint8_t file_id[FILE_ID_LEN];
	struct file_shape shape;
	struct seal header;      /* of group 0 */
	struct lower_handle handle;
};

struct log_block {
	uint8_t index;
	uint8_t where;           /* enum log_where */
	struct entry entry;      /* zero for a hole */
};

struct log_group {
	uint32_t group;
	uint8_t base;            /* enum log_base */
	uint16_t epoch;
	struct seal entries;
	struct seal header;      /* zero for group 0: it is in the FILE record */
	uint8_t block_count;
	struct log_block blocks[GROUP_BLOCKS];
};

/* Bytes of the fixed parts of records. */
#define LOG_SEAL_LEN (8 + TAG_LEN)
#define LOG_FILE_LEN (1 + 1 + 2 + FILE_ID_LEN + 8 + 4 + 1 + LOG_SEAL_LEN)
#define LOG_GAP_LEN 8
#define LOG_GROUP_LEN (1 + 1 + 4 + 1 + 2 + LOG_SEAL_LEN)
#define LOG_HOLE_LEN 2
#define LOG_BLOCK_LEN (LOG_HOLE_LEN + ENTRY_LEN)

/* Bytes a record takes. */
static inline size_t log_file_len(const struct log_file *f)
{
	return LOG_FILE_LEN + (size_t)f->shape.gap_count * LOG_GAP_LEN + f->handle.len;
}

static inline size_t log_group_len(const struct log_group *g)
{
	size_t len = LOG_GROUP_LEN + (g->group ? LOG_SEAL_LEN : 0);
	unsigned i;

	for (i = 0; i < g->block_count; i++)
		len += g->blocks[i].where == LOG_WHERE_HOLE ? LOG_HOLE_LEN : LOG_BLOCK_LEN;
	return len;
}

void log_desc_begin(struct log_desc *d);
/* -ENOSPC: does not fit any more; -EINVAL: a record that log_desc_next would refuse. add_group counts data_blocks. */
int log_desc_add_file(struct log_desc *d, const struct log_file *f) must_check;
int log_desc_add_group(struct log_desc *d, const struct log_group *g) must_check;
/* Under the newest epoch's log tag key; all other fields of d are set by the caller. */
int log_desc_seal(struct blockcrypt *bc, const struct key_ring *ring, const struct log_desc *d,
		  uint8_t ret_p[static BLOCK_SIZE]) must_check;

/* Without a key: form alone, neither uuid nor tag; nothing in it may be believed. -EUCLEAN, -EOPNOTSUPP (version). */
int log_desc_parse(const uint8_t p[static BLOCK_SIZE], struct log_desc *ret_d) must_check;
/* Parse and check the tag; -EBADMSG tag or uuid, -EUCLEAN form, -EOPNOTSUPP version. Records are checked by log_desc_next. */
int log_desc_open(struct blockcrypt *bc, const struct key_ring *ring, const uint8_t p[static BLOCK_SIZE],
		  struct log_desc *ret_d) must_check;

struct log_cursor {
	size_t off;
	uint32_t data_blocks;    /* met so far */
	bool seen_file;
};
enum log_kind { LOG_KIND_END = 0, LOG_KIND_FILE = 1, LOG_KIND_GROUP = 2 };
/* The next record: returns its log_kind (> 0), LOG_KIND_END (0), or -EUCLEAN. c starts zeroed. Shapes, bases, indexes (rising)
 * and counts (at the end: data_blocks) are checked; that a GROUP has a FILE before it is checked in part 0 and is the caller's
 * check in later parts (the FILE may be in an earlier one). ret_f or ret_g is written, by kind. */
int log_desc_next(const struct log_desc *d, struct log_cursor *c, struct log_file *ret_f, struct log_group *ret_g) must_check;

#endif
