/* repair.h: fsck --repair: mend an open volume that is not mounted, or take away what cannot be mended, so that what is left verifies. Keeps every readable
 * byte: docs/operations.md ("After damage") says what becomes of what, docs/format.md section 8 how coffer.quarantine is laid out.
 *
 * Every step leaves the volume as sound as it was or sounder, and none relies on an earlier one having been made by the same run: whoever is cut
 * runs it again. */
#ifndef COFFER_FS_REPAIR_H
#define COFFER_FS_REPAIR_H

#include "fs/check.h"

enum repair_kind {
	REPAIR_NOTHING,          /* read again, it verifies: what failed has passed */
	REPAIR_REAPPLIED,        /* a file that had failed replay is whole again */
	REPAIR_SALVAGED,         /* what is readable is in `to`; the damaged file is in quarantine, its name a tombstone */
	REPAIR_TAKEN,            /* nothing is readable: to quarantine, its name a tombstone */
	REPAIR_QUARANTINED,      /* without a name, and nothing of this volume: to quarantine */
	REPAIR_FOUND,            /* without a name, but of this volume: now `to`, below /lost+found */
	REPAIR_DIR_ID,           /* a directory has its id again */
	REPAIR_LINK,             /* a long name's link without an entry was removed */
	REPAIR_FAILED,           /* left as it is: error */
};

struct repair_action {
	enum repair_kind kind;
	enum check_kind problem;
	const char *plain_path, *backing_path; /* as of struct check_problem */
	const char *to;          /* a plain path, or a name in coffer.quarantine; NULL */
	uint64_t good, unproven, lost; /* REPAIR_SALVAGED: bytes */
	int error;               /* REPAIR_FAILED: -errno */
};

struct repair_params {
	void *ctx;
	void (*problem)(void *ctx, const struct check_problem *p); /* those of the first pass */
	void (*action)(void *ctx, const struct repair_action *a);
	bool (*progress)(void *ctx, const struct check_counts *c);
};

struct repair_result {
	struct check_counts first, last; /* of the first pass and of the last, which mended nothing: its problems are left */
	uint64_t actions;        /* that changed something */
};

/* 0 also when damage is left. -EINTR stopped; -errno when it could not go on: run it again. Logs. */
int repair_run(struct volume *v, const struct repair_params *p, struct repair_result *ret_res) must_check;
/* "salvaged to", for messages. */
const char *repair_kind_text(enum repair_kind kind);

/* The record in coffer.quarantine of a tombstone with this id. */
#define REPAIR_NAME_MAX 80
void repair_record_name(const uint8_t file_id[static FILE_ID_LEN], char ret_name[static REPAIR_NAME_MAX]);

#endif
