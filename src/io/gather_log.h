/* gather_log.h: test builds only (COFFER_TEST_HOOKS): a line for each file and gather, so that a stress test knows which contents a crash may show.
 * Line: "G INO SIZE HASH\n" (XXH3-64 of the plain content, hexadecimal), written with one write(2) to params.gather_log_fd before the transaction
 * is written.
 * params.test_gathered is called as well, and params.test_between when a transaction has all its files. */
#ifndef COFFER_IO_GATHER_LOG_H
#define COFFER_IO_GATHER_LOG_H

#include "io/vio_impl.h"

#if COFFER_TEST_HOOKS
/* lock: f->m */
void gather_log_file(struct iofile *f, uint64_t sequence);
void gather_log_between(struct vio *v); /* no lock */
#else
static inline void gather_log_file(struct iofile *f, uint64_t sequence)
{
	(void)f;
	(void)sequence;
}

static inline void gather_log_between(struct vio *v)
{
	(void)v;
}
#endif

#endif
