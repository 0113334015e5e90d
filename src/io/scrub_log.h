/* scrub_log.h: what the log of an unclean volume has to say, without a key: its records by their form, its blocks by their sums. For a scrub, which lays them
 * over what lies at home. Authenticates nothing: a forger is not its business. */
#ifndef COFFER_IO_SCRUB_LOG_H
#define COFFER_IO_SCRUB_LOG_H

#include "format/group.h"
#include "io/lower.h"

struct scrub_log;

struct scrub_log_info {
	bool clean;              /* the volume was unmounted: the log held nothing */
	uint64_t transactions, blocks; /* that fit, and the blocks in them whose sums fit */
	uint64_t missing;        /* sequence of a transaction that was acknowledged and does not fit; 0: none */
};

/* Reads coffer.state and coffer.log below root_fd. -EUCLEAN: no slot of the state has the right form, or the log is shorter than it says. */
int scrub_log_open(struct lower *l, int root_fd, struct scrub_log **ret_s, struct scrub_log_info *ret_i) must_check;
void scrub_log_close(struct scrub_log *s); /* NULL is fine */

/* The shape that the log gives a file; false: it does not name it. */
bool scrub_log_shape(struct scrub_log *s, const uint8_t file_id[static FILE_ID_LEN], struct file_shape *ret_shape);
/* Lay the log's entries of a group over its metadata block p; in_log[i]: the block was checked where it stands in the log. False: not named, nothing is
 * changed. Then neither header nor entries at home need be whole: replay rebuilds them. */
bool scrub_log_group(struct scrub_log *s, const uint8_t file_id[static FILE_ID_LEN], uint32_t group, uint8_t p[static BLOCK_SIZE],
		     bool in_log[static GROUP_BLOCKS]);

#endif
