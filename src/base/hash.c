/* hash.c: which code computes a block's checksum. A distribution compiles for the oldest processor of its architecture, so the compiler's flags
 * say nothing of this one: the choice is made once, at the first sum. A race there is harmless, since all find the same. */
#include "base/hash.h"

#include <stdatomic.h>

static uint32_t portable_sum32(const void *p, size_t n)
{
	return (uint32_t)XXH3_64bits(p, n);
}

static int can_always(void)
{
	return 1;
}

#if defined(__x86_64__)
static int can_avx2(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}
#endif

const struct hash_path hash_paths[] = {
	{ "portable", portable_sum32, can_always },
#if defined(__x86_64__)
	{ "avx2", hash_avx2_sum32, can_avx2 },
#endif
};
const size_t hash_paths_n = sizeof(hash_paths) / sizeof(hash_paths[0]);

uint32_t hash_sum32(const void *p, size_t n)
{
	static _Atomic(const struct hash_path *) chosen;
	const struct hash_path *h = atomic_load_explicit(&chosen, memory_order_relaxed);
	size_t k;

	if (!h) {
		h = &hash_paths[0];
		for (k = 1; k < hash_paths_n; k++)
			if (hash_paths[k].can())
				h = &hash_paths[k];
		atomic_store_explicit(&chosen, h, memory_order_relaxed);
	}
	return h->sum32(p, n);
}
