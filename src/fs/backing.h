/* backing.h: may this filesystem hold a volume, and may we have the volume? */
#ifndef COFFER_FS_BACKING_H
#define COFFER_FS_BACKING_H

#include "io/lower.h"

#include <stdbool.h>

/* -EMEDIUMTYPE: no symbolic links, or it does not journal truncate, rename and create in order (ext4 data=writeback, ext2, FAT), which unsafe
 * lets pass. Changes nothing. Logs. */
int backing_check(struct lower *l, int root_fd, bool unsafe) must_check;

/* Take the lock, waiting up to wait_ms for a holder who is leaving; one who may write says in coffer.lock who he is. -EBUSY: ret_holder (max bytes)
 * says who has it (of readers, their processes as far as they can be found). Returns the descriptor that holds it. read_only: shared with others who
 * only read; coffer.lock must be there, and is opened for reading alone. */
int backing_lock(struct lower *l, int root_fd, bool read_only, unsigned wait_ms, char *ret_holder, size_t max, int *ret_fd) must_check;

#endif
