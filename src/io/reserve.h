/* reserve.h: coffer.reserve, the ballast (DESIGN section 5, "Memory and space"): preallocated space that is given up when a checkpoint meets ENOSPC, so
 * that what was acknowledged always finds its place at home. While it is not whole, writes that need new space are refused. Thread safe. */
#ifndef COFFER_IO_RESERVE_H
#define COFFER_IO_RESERVE_H

#include "io/lower.h"

struct reserve;

/* Open or make coffer.reserve and bring it to bytes (larger or smaller). Where fallocate is missing it is written with random bytes. Not being able to fill it
 * is no error: it is then not whole. */
int reserve_open(struct lower *l, int root_fd, uint64_t bytes, struct reserve **ret_r) must_check;
void reserve_close(struct reserve *r);
bool reserve_is_whole(struct reserve *r);
/* Give the space back (truncate to 0, fsync so that it is free): 0, or -ENOSPC when it had none left to give. */
int reserve_spend(struct reserve *r) must_check;
/* Try to fill it again: 0 whole, -ENOSPC (as much is held as before). */
int reserve_refill(struct reserve *r) must_check;
/* reserve_spend() where no reserve is open: replay, which runs before the volume has one. */
int reserve_spend_closed(struct lower *l, int root_fd) must_check;

#endif
