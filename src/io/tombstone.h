/* tombstone.h: what stands in the place of a file that a repair took away: an empty file marked DAMAGED (docs/format.md section 8). It has the name,
 * so nothing that looks for the file takes it for one that was never there, and everything but its removal fails with EIO. */
#ifndef COFFER_IO_TOMBSTONE_H
#define COFFER_IO_TOMBSTONE_H

#include "io/vio.h"

/* Make the empty lower file fd one, under a fresh id, and flush it. */
int tombstone_put(struct vio *v, int fd, uint8_t ret_file_id[static FILE_ID_LEN]) must_check;
/* Could this authentic header, of a lower file so long, be one's? Whether it is says the record in coffer.quarantine. */
bool tombstone_like(const struct group_header *h, uint64_t lower_size);

#endif
