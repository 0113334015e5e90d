/* reapply.h: a file that failed replay, and what was saved of it in coffer.quarantine (docs/format.md section 8): its records laid over what lies at home,
 * once more. Used by fsck --repair on an open volume that nobody else uses. */
#ifndef COFFER_IO_REAPPLY_H
#define COFFER_IO_REAPPLY_H

#include "io/vio.h"

struct reapply;

/* fd: the lower file (borrowed, O_RDWR); head: its authentic header, marked DAMAGED. quarantine_fd: borrowed. The newest saved log of the file
 * counts: a marked file is skipped by every replay, so there is no other. -ENOENT: nothing was saved; -EUCLEAN: nothing of it verifies. */
int reapply_open(struct vio *v, int fd, const struct group_header *head, int quarantine_fd, struct reapply **ret_r) must_check;
void reapply_close(struct reapply *r); /* NULL is fine */

/* Make of group no as it lies at home what replay would have left: GROUP_LOWER bytes at p, of which *len are there (the rest is zero). Nothing of it is
 * verified: that is the caller's, by the seals that are in it. A block that cannot be read from what was saved becomes zeros, which verify as nothing.
 * -ENOMEM. */
int reapply_over(struct reapply *r, uint32_t no, uint8_t *p, size_t *len) must_check;
/* Every group that the log touched verified: write it home, the header last and alone, so that the mark goes only when all else is flushed. May be cut and
 * repeated. Removes what was saved. */
int reapply_home(struct reapply *r) must_check;

#endif
