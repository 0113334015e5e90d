/* backup_check.c: see backup_check.h. The rules are those of fs/scrub_check.c. */
#include "backup/backup_check.h"

#include <string.h>

#include "base/hash.h"

#define MISSING_MAX 65536u                /* groups behind the end that are looked at */

struct look {
	const struct backup_check *k;
	uint8_t file_id[FILE_ID_LEN];
	struct file_shape shape;
	struct backup_rot rot;
};

static void found(struct look *l, uint64_t group, uint64_t n)
{
	if (n > 0 && l->rot.count == 0)
		l->rot.group = group;
	l->rot.count += n;
}

/* Blocks of a group whose entries are in meta; len bytes of the group are at p. */
static uint64_t check_blocks(const uint8_t *meta, const uint8_t *p, size_t len, const bool *in_log)
{
	struct entry e;
	uint64_t bad = 0;

	for (unsigned k = 0; k < GROUP_BLOCKS; k++) {
		size_t at = (k + 1) * (size_t)BLOCK_SIZE;

		if (group_entry_parse(meta + HEADER_LEN + (size_t)k * ENTRY_LEN, &e) < 0)
			return bad + 1;
		if (!group_entry_is_hole(&e) && !in_log[k])
			bad += at + BLOCK_SIZE > len || hash_sum32(p + at, BLOCK_SIZE) != e.sum;
	}
	return bad;
}

static void check_group(struct look *l, uint32_t group, const uint8_t *p, size_t len)
{
	uint8_t meta[BLOCK_SIZE] = { 0 };
	bool in_log[GROUP_BLOCKS] = { false }, logged;
	struct group_header h;

	memcpy(meta, p, len < BLOCK_SIZE ? len : BLOCK_SIZE);
	logged = l->k->log_group && l->k->log_group(l->k->ctx, l->file_id, group, meta, in_log);
	if (!logged && (len < BLOCK_SIZE || group_header_parse(meta, &h) < 0 || h.group != group || memcmp(h.file_id, l->file_id, FILE_ID_LEN) != 0))
		found(l, group, 1);
	else
		found(l, group, check_blocks(meta, p, len, in_log));
}

/* 1: go on; 0: the file has no groups. */
static int first_header(struct look *l, const uint8_t first[static BLOCK_SIZE], uint64_t size, bool tell)
{
	struct group_header h;

	if (layout_is_zero(first, BLOCK_SIZE)) {
		found(l, 0, size > GROUP_LOWER && tell);
		return 0;
	}
	if (group_header_parse(first, &h) < 0 || h.group != 0) {
		found(l, 0, tell);
		return 0;
	}
	memcpy(l->file_id, h.file_id, FILE_ID_LEN);
	if (!l->k->log_shape || !l->k->log_shape(l->k->ctx, h.file_id, &l->shape))
		l->shape = h.shape;
	return 1;
}

/* Groups of which the file has nothing: the log may have them. */
static void check_missing(struct look *l, uint64_t group)
{
	static const uint8_t none[1];

	for (uint64_t end = group + MISSING_MAX; group < l->shape.alloc_groups && group < end; group++)
		if (group_exists(&l->shape, (uint32_t)group))
			check_group(l, (uint32_t)group, none, 0);
}

int backup_check_window(const struct backup_check *k, const uint8_t first[static BLOCK_SIZE], uint64_t size, uint64_t no, const uint8_t *p, size_t len,
			struct backup_rot *ret_rot)
{
	uint64_t group = no * BACKUP_WINDOW_GROUPS;
	struct look l = { .k = k };

	if (no > GROUPS_MAX / BACKUP_WINDOW_GROUPS)
		return -EINVAL;
	if (first_header(&l, first, size, no == 0)) {
		for (size_t at = 0; at < len && group < GROUPS_MAX; at += GROUP_LOWER, group++)
			if (group_exists(&l.shape, (uint32_t)group))
				check_group(&l, (uint32_t)group, p + at, len - at < GROUP_LOWER ? len - at : GROUP_LOWER);
		if (no * BACKUP_WINDOW_LEN + len >= size)
			check_missing(&l, group);
	}
	*ret_rot = l.rot;
	return 0;
}
