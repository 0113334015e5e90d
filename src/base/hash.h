/* hash.h: the door to xxHash. Never for authenticity. Header only. */
#ifndef COFFER_BASE_HASH_H
#define COFFER_BASE_HASH_H

#define XXH_INLINE_ALL 1
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

/* The keyless checksum of a ciphertext block: low 32 bits of XXH3-64 (docs/format.md, "Entries"). */
static inline uint32_t hash_sum32(const void *p, size_t n)
{
	return (uint32_t)XXH3_64bits(p, n);
}

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
