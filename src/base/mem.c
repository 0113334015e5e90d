/* mem.c: the heap (mem.h), where the C library lets us have a say.
 *
 * By default each thread allocates from an arena of its own. What one worker freed another cannot use then, and a table that every worker adds
 * to grows with each round of forgetting and remembering, up to once a worker. Small objects come from per-thread caches anyway, so one arena
 * for all costs nothing that could be measured. */
#include "base/mem.h"

#include "base/mem.h"

#if HAVE_DECL_MALLOPT || HAVE_DECL_MALLOC_TRIM
#include <malloc.h>
#endif

void mem_init(void)
{
#if HAVE_DECL_MALLOPT
	(void)mallopt(M_ARENA_MAX, 1);
#endif
}

void mem_trim(void)
{
#if HAVE_DECL_MALLOC_TRIM
	(void)malloc_trim(0);
#endif
}
