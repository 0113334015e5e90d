/* layout.h: plain offset <-> block <-> group <-> lower offset (docs/format.md section 5). Header only, pure arithmetic. */
#ifndef COFFER_FORMAT_LAYOUT_H
#define COFFER_FORMAT_LAYOUT_H

#include "crypt/blockcrypt.h"

#include <stdbool.h>

#define FORMAT_VERSION 1
#define GROUP_BLOCKS 128u
#define GROUP_PLAIN (GROUP_BLOCKS * (uint64_t)BLOCK_SIZE)            /* 512 KiB */
#define GROUP_LOWER ((GROUP_BLOCKS + 1) * (uint64_t)BLOCK_SIZE)      /* 516 KiB */
#define FILE_SIZE_MAX (1ull << 48)
#define GROUPS_MAX (FILE_SIZE_MAX / GROUP_PLAIN)                     /* 2^29 */
#define SECTOR_SIZE 512u

#define NAME_VOLUME "coffer.volume"
#define NAME_STATE "coffer.state"
#define NAME_LOG "coffer.log"
#define NAME_RESERVE "coffer.reserve"
#define NAME_LOCK "coffer.lock"
#define NAME_QUARANTINE "coffer.quarantine"

static inline uint64_t layout_block_of(uint64_t off_plain)
{
	return off_plain / BLOCK_SIZE;
}

static inline uint32_t layout_group_of_block(uint64_t block)
{
	return (uint32_t)(block / GROUP_BLOCKS);
}

static inline uint32_t layout_index_of_block(uint64_t block)
{
	return (uint32_t)(block % GROUP_BLOCKS);
}

/* Lower offset of a group's metadata block. */
static inline uint64_t layout_group_off(uint32_t group)
{
	return group * GROUP_LOWER;
}

/* Lower offset of a data block. */
static inline uint64_t layout_block_off(uint64_t block)
{
	return layout_group_off(layout_group_of_block(block)) + (layout_index_of_block(block) + 1) * (uint64_t)BLOCK_SIZE;
}

/* Blocks that hold size plain bytes. */
static inline uint64_t layout_blocks(uint64_t size)
{
	return size / BLOCK_SIZE + (size % BLOCK_SIZE != 0);
}

/* Groups that hold size plain bytes. */
static inline uint32_t layout_groups(uint64_t size)
{
	return (uint32_t)(size / GROUP_PLAIN + (size % GROUP_PLAIN != 0));
}

static inline void layout_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline uint16_t layout_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline void layout_put32(uint8_t *p, uint32_t v)
{
	layout_put16(p, (uint16_t)v);
	layout_put16(p + 2, (uint16_t)(v >> 16));
}

static inline uint32_t layout_get32(const uint8_t *p)
{
	return layout_get16(p) | (uint32_t)layout_get16(p + 2) << 16;
}

static inline void layout_put64(uint8_t *p, uint64_t v)
{
	layout_put32(p, (uint32_t)v);
	layout_put32(p + 4, (uint32_t)(v >> 32));
}

static inline uint64_t layout_get64(const uint8_t *p)
{
	return layout_get32(p) | (uint64_t)layout_get32(p + 4) << 32;
}

/* All of len bytes zero? */
bool layout_is_zero(const void *p, size_t len);

_Static_assert(GROUP_LOWER == 528384, "docs/format.md says so");

#endif
