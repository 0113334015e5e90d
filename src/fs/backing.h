/* backing.h: may this filesystem hold a volume, and may we have the volume? */
#ifndef COFFER_FS_BACKING_H
#define COFFER_FS_BACKING_H

#include "io/lower.h"

#include <stdbool.h>

/* Lines of coffer.lock behind the first, which names the holder: what the holder says when he leaves, or who was there before him and what he said. */
#define BACKING_AT_REST "at rest"
#define BACKING_NOT_AT_REST "not at rest: "
#define BACKING_BEFORE "before "         /* then that holder's pid, a blank, his verdict */
#define BACKING_RESTART "restart "       /* then a token, and "done" or "refused: WHY": the answer to `coffer restart` */
#define BACKING_VERDICT_MAX 128
#define BACKING_LOCK_MAX 512             /* no coffer.lock of ours is longer */

/* -EMEDIUMTYPE: no symbolic links, or it does not journal truncate, rename and create in order (ext4 data=writeback, ext2, FAT), which unsafe
 * lets pass. Changes nothing. Logs. */
int backing_check(struct lower *l, int root_fd, bool unsafe) must_check;

/* Take the lock, waiting up to wait_ms for a holder who is leaving; one who may write says in coffer.lock who he is. -EBUSY: ret_holder (max bytes)
 * says who has it (of readers, their processes as far as they can be found). Returns the descriptor that holds it. read_only: shared with others who
 * only read; coffer.lock must be there, and is opened for reading alone. */
int backing_lock(struct lower *l, int root_fd, bool read_only, unsigned wait_ms, char *ret_holder, size_t max, int *ret_fd) must_check;
/* Is fd, which was inherited with the lock, coffer.lock of this directory, and locked? -ESTALE, -EAGAIN. */
int backing_lock_kept(struct lower *l, int root_fd, bool read_only, int fd) must_check;
/* This boot of this host, as coffer.lock names it; "unknown" where the kernel does not tell. */
void backing_boot_id(char *ret_id, size_t max);
/* coffer.lock anew: who we are, and one more line with its newline. */
int backing_say(struct lower *l, int lock_fd, const char *line) must_check;
/* Before the one who may write gives the lock back: leave in coffer.lock whether everything was brought to rest (err 0) or why not, for `coffer umount`. */
int backing_say_rest(struct lower *l, int lock_fd, int err) must_check;

#endif
