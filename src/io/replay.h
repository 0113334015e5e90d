/* replay.h: mounting after a crash (L5; docs/format.md section 7). Reads the log past the page cache, computes for each file_id the final
 * state, finds the files, checks every touched group against its last seal, and only then writes: blocks, groups, header. Writes the logged
 * seals, takes no new ones (but for a DAMAGED header), so it may be cut anywhere and repeated. */
#ifndef COFFER_IO_REPLAY_H
#define COFFER_IO_REPLAY_H

#include "io/state.h"
#include "io/vio.h"

struct replay_result {
	uint64_t head;           /* position behind the last transaction that counts */
	uint64_t sequence;       /* its sequence */
	uint64_t transactions;   /* how many were replayed */
	uint64_t files, unlinked, quarantined;
	uint64_t lost_first, lost_last; /* with accept_log_loss: acknowledged transactions that are missing; 0: none */
};

/* log_fd: coffer.log opened for reading past the page cache where the backing can (O_DIRECT), of st_size at least log_blocks blocks.
 * Flushes what it believes first (log, state, syncfs of the backing), then everything it wrote. Does not store the state: the caller calls
 * state_new_generation next. -ENODATA: an acknowledged transaction is missing. With accept_log_loss what is missing is dropped, and ret_res says what
 * (fsck --repair). check_only: compute and check, write nothing; a bad file is counted, not quarantined, and no event is told. Logs. */
int replay_run(const struct vio_params *p, struct state *s, int log_fd, bool accept_log_loss, bool check_only,
	       struct replay_result *ret_res) must_check;

/* For a read-only volume: the same with check_only, but events are told, and what was computed is kept for replay_view_new. p, s and
 * log_fd are borrowed until replay_free. */
struct replay;
int replay_look(const struct vio_params *p, struct state *s, int log_fd, struct replay_result *ret_res, struct replay **ret_rp) must_check;
void replay_free(struct replay *rp);      /* NULL is fine */

#endif
