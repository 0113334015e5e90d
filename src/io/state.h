/* state.h: coffer.state of an open volume: the two slots written in turn, and the stamps they reserve (docs/format.md section 4).
 * Rules (docs/internals.md): a store goes over the slot that is not the last one known durable, and is flushed before it counts; a
 * new generation and new stamp limits are stored in both slots, one flushed before the other is written. Thread safe. */
#ifndef COFFER_IO_STATE_H
#define COFFER_IO_STATE_H

#include "format/volume_state.h"
#include "io/lower.h"

#define STATE_STAMP_RANGE (1ull << 24) /* reserved at a time: 64 GiB of blocks */

struct state;

/* Write both slots of a new volume: no stamps reserved yet (stamp 1 is the generation's, the limit is 2), empty log of log_blocks. O_EXCL. */
int state_format(struct lower *l, int root_fd, const struct key_ring *ring, uint64_t log_blocks) must_check;

/* Write v into both slots, one flushed before the other, over whatever stands there (state_remake.h). serial rises from v's on. */
int state_put_both(struct lower *l, int root_fd, const struct key_ring *ring, const struct volume_state *v) must_check;

/* Flush coffer.state, read both slots past the page cache, keep the valid one with the highest serial. -EBADMSG: none is valid;
 * -EOPNOTSUPP: a slot of another format version and none that is valid; -ENOENT. read_only: opened O_RDONLY, nothing is flushed.
 * rules_off: vio_params' (test builds; else 0). */
int state_open(struct lower *l, int root_fd, const struct key_ring *ring, bool read_only, unsigned rules_off,
	       struct state **ret_s) must_check;
void state_close(struct state *s);

/* A copy of what was last stored (or loaded). */
void state_get(struct state *s, struct volume_state *ret_v);
/* Is this directory the one the state was written in (root handle and fsid agree)? If not it is a copy: handles are ignored. */
bool state_is_copy(struct state *s);

/* Store tail and durable in one slot and flush it. From then on log space before tail may be reused, and everything up to durable is
 * vouched for. After a failure -errno, and the slot counts as unknown: the next store goes over the same slot. */
int state_store(struct state *s, uint64_t tail, uint64_t tail_sequence, uint64_t durable, bool clean) must_check;
/* A new generation (a fresh stamp and 8 random bytes) with this tail, the current root handle and fsid, and STATE_STAMP_RANGE new stamps, in both
 * slots. log_blocks 0: unchanged. */
int state_new_generation(struct state *s, uint64_t log_blocks, uint64_t tail, uint64_t tail_sequence) must_check;
/* Reserve further stamps without touching tail or generation, in both slots: before a DAMAGED header is sealed by replay. Nothing is
 * written while more than half a range is left. */
int state_reserve_stamps(struct state *s) must_check;

/* n consecutive stamps, none ever used before; reserves more when they ran out (then it blocks). -EINVAL: n is 0 or above half a range. */
int state_stamps(struct state *s, uint64_t n, uint64_t *ret_first) must_check;
/* A stamp that lies at home: is it neither from before this mount nor taken in it? One atomic load. */
bool state_stamp_is_ahead(const struct state *s, uint64_t stamp);
/* What is stored next, and the stamps taken from now on, begin at limit if that is above the state's: it was found to be older than what was used. */
void state_skip_to(struct state *s, uint64_t limit);
/* Should somebody call state_reserve_stamps in the background (less than half a range is left)? */
bool state_stamps_low(struct state *s);

#endif
