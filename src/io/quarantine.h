/* quarantine.h: what the log held when acknowledged transactions were given up (docs/format.md section 8). What a file that fails replay leaves is
 * replay's own (replay_impl.h). */
#ifndef COFFER_IO_QUARANTINE_H
#define COFFER_IO_QUARANTINE_H

#include "io/lower.h"

/* The whole ring into coffer.quarantine/SEQUENCE.ring, flushed. What cannot be read of it is zero there. Logs. */
int quarantine_log(struct lower *l, int root_fd, int log_fd, uint64_t log_blocks, uint64_t sequence) must_check;

#endif
