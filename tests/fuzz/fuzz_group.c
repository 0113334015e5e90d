/* fuzz_group.c: metadata blocks (src/format/group.h), twice: the bytes as they are, and with both tags put right, so that
 * changes come past them. Properties: what parses is put to the same bytes; with right tags no tag is complained of. */
#include "format/group.h"

#include <assert.h>

#include "format_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void raw(const uint8_t *p, size_t len)
{
	uint8_t again[HEADER_LEN];
	struct group_header h;

	if (len < HEADER_LEN)
		return;
	if (group_header_parse(p, &h) == 0) {
		group_header_put(&h, again);
		assert(memcmp(p, again, HEADER_LEN) == 0);
		assert(h.group != 0 || group_exists(&h.shape, 0));
	}
	(void)!group_open_first(fixture_bc(), fixture_ring(), p, &h);
	if (len >= BLOCK_SIZE)
		(void)!group_open(fixture_bc(), fixture_ring(), p + 16, layout_get32(p + 12), p, &h);
}

static void tagged(uint8_t p[static BLOCK_SIZE])
{
	uint8_t again[BLOCK_SIZE];
	struct group_header h;
	struct entry e;
	unsigned i;
	int r;

	if (!fixture_retag_group(p)) {
		layout_put16(p + 8, FIXTURE_EPOCH);
		assert(fixture_retag_group(p));
	}
	r = group_open(fixture_bc(), fixture_ring(), p + 16, layout_get32(p + 12), p, &h);
	assert(r == 0 || r == -EUCLEAN || r == -EOPNOTSUPP);
	if (r < 0)
		return;
	group_header_put(&h, again);
	for (i = 0; i < GROUP_BLOCKS; i++) {
		assert(group_entry_parse(p + HEADER_LEN + i * ENTRY_LEN, &e) == 0);
		group_entry_put(&e, again + HEADER_LEN + i * ENTRY_LEN);
	}
	assert(memcmp(p, again, BLOCK_SIZE) == 0);
	r = group_open_first(fixture_bc(), fixture_ring(), p, &h);
	assert(r == (h.group == 0 ? 0 : -EBADMSG));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	uint8_t block[BLOCK_SIZE] = { 0 };

	raw(p, len);
	if (len > 0)
		memcpy(block, p, len < BLOCK_SIZE ? len : BLOCK_SIZE);
	tagged(block);
	return 0;
}
