/* merkle.c: see merkle.h. A leaf is hashed behind a byte 0, a node behind a byte 1, so that none can stand for the other. */
#include "backup/merkle.h"

#include <string.h>

#include "crypt/digest.h"

static int node(const uint8_t left[static MERKLE_LEN], const uint8_t right[static MERKLE_LEN], uint8_t ret[static MERKLE_LEN])
{
	uint8_t p[1 + 2 * MERKLE_LEN] = { 1 };

	memcpy(p + 1, left, MERKLE_LEN);
	memcpy(p + 1 + MERKLE_LEN, right, MERKLE_LEN);
	return digest_sha256(p, sizeof(p), ret);
}

int merkle_add(struct merkle *m, const void *leaf, size_t len)
{
	AUTO_FREE uint8_t *p = len <= MERKLE_LEAF_MAX ? malloc(len + 1) : NULL;
	uint8_t h[MERKLE_LEN];
	unsigned i;
	int r;

	if (!p)
		return len <= MERKLE_LEAF_MAX ? -ENOMEM : -EINVAL;
	p[0] = 0;
	memcpy(p + 1, leaf, len);
	r = digest_sha256(p, len + 1, h);
	for (i = 0; r == 0 && m->leaves >> i & 1; i++)
		r = node(m->at[i], h, h);
	if (r < 0)
		return r;
	memcpy(m->at[i], h, MERKLE_LEN);
	m->leaves++;
	return 0;
}

int merkle_root(const struct merkle *m, uint8_t ret_root[static MERKLE_LEN])
{
	uint8_t h[MERKLE_LEN];
	unsigned i = 0;
	int r = 0;

	if (m->leaves == 0)
		return digest_sha256("", 0, ret_root);
	while (!(m->leaves >> i & 1))
		i++;
	memcpy(h, m->at[i], MERKLE_LEN);
	for (i++; i < 64 && r == 0; i++)
		if (m->leaves >> i & 1)
			r = node(m->at[i], h, h);
	if (r == 0)
		memcpy(ret_root, h, MERKLE_LEN);
	return r;
}
