/* fuzz_hand.c: what a mount hands over (src/fs/hand.h), twice: the bytes as they are, and with length and hash put right. Property: what is read to the end is written
 * to the same bytes. */
#include "fs/hand.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "format/layout.h"

#define BODY_AT 32u

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void read_all(const uint8_t *p, size_t len)
{
	static struct hand_head h;
	struct hand_in in = { .p = p, .len = len };
	struct hand_out out = { .p = malloc(len + 1), .max = len + 1 };
	struct hand_inode i;
	struct hand_seek s;
	int r;

	assert(out.p);
	r = hand_get_head(&in, &h);
	assert(r == 0 || r == -EUCLEAN || r == -EOPNOTSUPP);
	if (r == 0)
		hand_put_head(&out, &h);
	for (uint32_t k = 0; r == 0 && k < h.seeks; k++) {
		r = hand_get_seek(&in, &s);
		if (r == 0)
			hand_put_seek(&out, &s);
	}
	for (uint64_t k = 0; r == 0 && k < h.inodes; k++) {
		r = hand_get_inode(&in, &i);
		if (r == 0)
			hand_put_inode(&out, &i);
	}
	assert(r == 0 || r == -EUCLEAN || r == -EOPNOTSUPP);
	if (r == 0)
		r = hand_get_end(&in);
	if (r == 0) {
		assert(hand_close(&out) == 0 && out.len == len);
		assert(memcmp(out.p, p, len) == 0);
	}
	free(out.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	uint8_t *right;

	read_all(p, len);
	if (len < BODY_AT)
		return 0;
	right = malloc(len);
	assert(right);
	memcpy(right, p, len);
	layout_put64(right + 16, len);
	layout_put64(right + 24, hash_bytes(right + BODY_AT, len - BODY_AT));
	read_all(right, len);
	free(right);
	return 0;
}
