/* check_file.h: verify one lower regular file as it lies at home (or, read through l = vio_lower(), as replay would leave it), group by group. Used by check.c. */
#ifndef COFFER_FS_CHECK_FILE_H
#define COFFER_FS_CHECK_FILE_H

#include "fs/check.h"

/* Where problems go; number is a group or block. */
struct check_file_report {
	void *ctx;
	void (*problem)(void *ctx, enum check_kind kind, uint64_t number, int error);
	bool (*progress)(void *ctx); /* false: stop */
	bool (*tombstone)(void *ctx, const uint8_t *file_id); /* does coffer.quarantine have a record of this one? */
	struct check_counts *counts;
};

/* buf: GROUP_LOWER bytes, aligned. 0 also after problems; -EINTR stopped. */
int check_file(struct lower *l, const struct key_ring *ring, int fd, const struct stat *st, uint8_t *buf,
	       const struct check_file_report *rep) must_check;

#endif
