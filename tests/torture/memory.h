/* memory.h: the allocator of the torture program (linked with --wrap): the n-th allocation fails. Counted are those of the floors under test and of OpenSSL,
 * not those below the lower calls or of the test itself (world_own). One thread at a time. */
#ifndef COFFER_TESTS_TORTURE_MEMORY_H
#define COFFER_TESTS_TORTURE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Before OpenSSL allocates. */
void memory_init(void);
/* The n-th allocation from now on fails, and those after it up to `times` of them. n 0: none. */
void memory_fail(uint64_t n, uint64_t times);
bool memory_happened(void);
/* Where it was, as offsets into the program for addr2line; static. */
const char *memory_where(void);
/* Blocks allocated and not freed. */
long memory_live(void);

#endif
