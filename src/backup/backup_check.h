/* backup_check.h: a window of a backing file in memory against its form and its checksums, without a key (docs/format.md section 5). What `coffer scrub` does, on
 * what a backup reads anyway. Pure: every count is bounded by what is there. */
#ifndef COFFER_BACKUP_BACKUP_CHECK_H
#define COFFER_BACKUP_BACKUP_CHECK_H

#include "format/group.h"

#define BACKUP_WINDOW_GROUPS 16u
#define BACKUP_WINDOW_LEN (BACKUP_WINDOW_GROUPS * (size_t)GROUP_LOWER)

struct backup_check {
	void *ctx;
	/* What the log of an unclean volume lays over home (io/scrub_log.h); NULL: nothing. */
	bool (*log_shape)(void *ctx, const uint8_t file_id[static FILE_ID_LEN], struct file_shape *ret_shape);
	bool (*log_group)(void *ctx, const uint8_t file_id[static FILE_ID_LEN], uint32_t group, uint8_t p[static BLOCK_SIZE], bool in_log[static GROUP_BLOCKS]);
};

/* What does not fit: blocks and groups; first is the number of the first one, or of its group. */
struct backup_rot {
	uint64_t count;
	uint64_t group;
};

/* Of a file of size bytes: its first block (group 0's metadata, zeros behind the end) and its window no, len bytes at p. The last window tells what is missing behind it. */
int backup_check_window(const struct backup_check *k, const uint8_t first[static BLOCK_SIZE], uint64_t size, uint64_t no, const uint8_t *p, size_t len,
			struct backup_rot *ret_rot) must_check;

#endif
