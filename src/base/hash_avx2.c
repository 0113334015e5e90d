/* hash_avx2.c: XXH3 by AVX2, whatever the compiler's flags say. Everything that this file compiles needs AVX2, so it has nothing but the sum, and
 * hash.c calls that only where the processor has it. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define XXH_VECTOR 2 /* XXH_AVX2; clang does not define __AVX2__ for a target attribute */
#include "base/hash.h"

uint32_t hash_avx2_sum32(const void *p, size_t n)
{
	return (uint32_t)XXH3_64bits(p, n);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
