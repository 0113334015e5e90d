/* hash.h: the door to xxHash. Never for authenticity. Short keys are hashed inline; a block is hashed by the widest vectors of this processor
 * (hash.c), with the same result on every processor. */
#ifndef COFFER_BASE_HASH_H
#define COFFER_BASE_HASH_H

#define XXH_INLINE_ALL 1
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

/* The keyless checksum of a ciphertext block: low 32 bits of XXH3-64 (docs/format.md, "Entries"). */
uint32_t hash_sum32(const void *p, size_t n);

/* One way of computing hash_sum32: its name, and whether this processor has it. The first is portable; the last that can be had is the one in use. */
struct hash_path {
	const char *name;
	uint32_t (*sum32)(const void *p, size_t n);
	int (*can)(void);
};
extern const struct hash_path hash_paths[];
extern const size_t hash_paths_n;

/* By AVX2; only where hash_paths has it. */
uint32_t hash_avx2_sum32(const void *p, size_t n);

/* For hash tables. */
static inline uint64_t hash_u64x2(uint64_t a, uint64_t b)
{
	uint64_t v[2] = { a, b };

	return XXH3_64bits(v, sizeof(v));
}

static inline uint64_t hash_bytes(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

#endif
