/* bulk.h: large writes of what is not read again soon (backups, restored volumes), past the page cache where the filesystem can: pages of the cache are
 * neither filled nor taken from those who need them. open(2), "O_DIRECT". Not the data path of a volume: that is io/lower.h. */
#ifndef COFFER_BASE_BULK_H
#define COFFER_BASE_BULK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BULK_FROM (256u << 10) /* bytes; what is shorter goes through the page cache */
#define BULK_BLOCK 4096u       /* what offset, length and memory of a direct write are multiples of */

/* pwrite(2) all of len bytes at off, over EINTR and short counts. fd is open for writing, without O_APPEND; its flags and its offset stay as they are, so
 * threads may write to different places of one file. What has come to the disk, only fsync says. p of any alignment; where it is a multiple of BULK_BLOCK
 * nothing is copied. A filesystem that refuses direct writes gets others. -errno. */
int bulk_write_at(int fd, const void *p, size_t len, uint64_t off) must_check;

#endif
