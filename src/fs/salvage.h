/* salvage.h: what can still be read of a damaged lower file, block by block, and what cannot. Changes nothing below. */
#ifndef COFFER_FS_SALVAGE_H
#define COFFER_FS_SALVAGE_H

#include "fs/volume.h"
#include "io/reapply.h"

enum salvage_state {
	SALVAGE_LOST,            /* does not verify, or what should say so does not */
	SALVAGE_UNPROVEN,        /* the block is of this file and place, but nothing authentic says that it is the newest */
	SALVAGE_GOOD,            /* as a mount would have served it; never told by range() */
};

struct salvage_params {
	void *ctx;
	/* len bytes of plain text at off; p may be written to. < 0 ends it. Both may be NULL: then it only counts. */
	int (*data)(void *ctx, uint64_t off, uint8_t *p, size_t len);
	/* The plain bytes from off on are in this state: rising, neighbours joined. < 0 ends it. */
	int (*range)(void *ctx, uint64_t off, uint64_t len, enum salvage_state state);
	bool (*progress)(void *ctx); /* false: stop with -EINTR; may be NULL */
};

struct salvage_result {
	uint64_t size;           /* the plain size; if header_lost: the end of the last block that was found */
	uint64_t good, unproven, lost; /* bytes; holes count as good */
	uint64_t bad;            /* blocks that are lost, also behind the end of the file */
	bool header_lost, older; /* older: a file that failed replay, and nothing was saved of what the log had */
};

/* fd: the lower file of v, st its stat. re: what its failed replay saved, or NULL. 0 also when nothing at all was found. */
int salvage_run(struct volume *v, int fd, const struct stat *st, struct reapply *re, const struct salvage_params *p,
		struct salvage_result *ret_res) must_check;
/* Is there anything of this volume in the file (an authentic header, group or block)? 1 or 0. */
int salvage_probe(struct volume *v, int fd, const struct stat *st) must_check;

#endif
