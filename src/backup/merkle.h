/* merkle.h: the root of a Merkle tree over leaves that come one after the other (RFC 6962 section 2.1, SHA-256), in memory for 64 hashes. Pure. */
#ifndef COFFER_BACKUP_MERKLE_H
#define COFFER_BACKUP_MERKLE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define MERKLE_LEN 32
#define MERKLE_LEAF_MAX (512u * 1024)

/* Begins as zeros. */
struct merkle {
	uint64_t leaves;
	uint8_t at[64][MERKLE_LEN];      /* of whole trees of 2^i leaves, where leaves has bit i */
};

/* -ENOMEM; -EINVAL: longer than MERKLE_LEAF_MAX. */
int merkle_add(struct merkle *m, const void *leaf, size_t len) must_check;
/* m can go on. Of no leaves it is the hash of nothing. */
int merkle_root(const struct merkle *m, uint8_t ret_root[static MERKLE_LEN]) must_check;

#endif
