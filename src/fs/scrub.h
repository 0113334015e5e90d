/* scrub.h: find rot without a key: the form of every header and entry, and the checksum (`sum`, docs/format.md section 5) of every block, read past the page
 * cache with many requests in flight. Says nothing against a forger: that is fsck, with the key.
 *
 * Works on a volume directory, mounted or not. Not mounted and unclean: the log's records are laid over (io/scrub_log.h). Mounted: what does not fit is only
 * suspected, and read again while the mount holds home still (hold); what then does not fit is damage. */
#ifndef COFFER_FS_SCRUB_H
#define COFFER_FS_SCRUB_H

#include "format/group.h"
#include "io/scrub_log.h"

enum scrub_kind {
	SCRUB_BLOCK,             /* the block's sum does not fit */
	SCRUB_GROUP,             /* a group's header or entries have not the form */
	SCRUB_HEADER,            /* group 0's, or there is none where one must be */
	SCRUB_SHORT,             /* the file ends before the block or group */
	SCRUB_IO,                /* the backing filesystem failed */
	SCRUB_LOG,               /* a transaction that was acknowledged is missing; number: its sequence */
};

struct scrub_problem {
	enum scrub_kind kind;
	const char *backing_path; /* relative to the volume directory */
	uint64_t number;         /* first block, or group */
	uint64_t count;          /* neighbouring blocks of which the same is true */
	int error;               /* SCRUB_IO: -errno */
};

struct scrub_counts {
	uint64_t files, groups, blocks, bytes, problems, suspects;
};

struct scrub_params {
	void *ctx;
	void (*problem)(void *ctx, const struct scrub_problem *p);
	bool (*progress)(void *ctx, const struct scrub_counts *c); /* false: stop with -EINTR; may be NULL */
	bool live;               /* mounted: the state and log are not looked at */
	/* Bring all that is committed home and hold it still; release says -ETIMEDOUT if it did not hold to the end. Both, or NULL. */
	int (*hold)(void *ctx);
	int (*release)(void *ctx);
};

/* root_fd: borrowed. 0 also when there were problems. */
int scrub_run(struct lower *l, int root_fd, const struct scrub_params *p, struct scrub_counts *ret_c) must_check;
const char *scrub_kind_text(enum scrub_kind kind);

#endif
