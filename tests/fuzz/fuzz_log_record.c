/* fuzz_log_record.c: log descriptors and their records (src/format/log_record.h), twice: the bytes as they are, and with the
 * tag put right under the newest epoch. Property: a descriptor whose records are all taken is packed and sealed from them to
 * the same bytes. */
#include "format/log_record.h"

#include <assert.h>

#include "format_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

/* All records of d into *ret_again; what log_desc_next says at the end. */
static int walk(const struct log_desc *d, struct log_desc *ret_again)
{
	struct log_cursor c = { 0 };
	static struct log_group g;
	struct log_file f;
	size_t off = 0;
	int r;

	*ret_again = *d;
	ret_again->record_bytes = 0;
	ret_again->data_blocks = 0;
	memset(ret_again->records, 0, sizeof(ret_again->records));
	while ((r = log_desc_next(d, &c, &f, &g)) > 0) {
		assert(r == LOG_KIND_FILE || r == LOG_KIND_GROUP);
		assert(c.off > off && c.off <= d->record_bytes);
		assert(c.off - off == (r == LOG_KIND_FILE ? log_file_len(&f) : log_group_len(&g)));
		off = c.off;
		r = r == LOG_KIND_FILE ? log_desc_add_file(ret_again, &f) : log_desc_add_group(ret_again, &g);
		assert(r == 0);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	uint8_t block[BLOCK_SIZE] = { 0 }, sealed[BLOCK_SIZE];
	static struct log_desc d, again;
	int r;

	/* As a scrub reads them, without a key. */
	if (len >= BLOCK_SIZE && log_desc_parse(p, &d) == 0)
		(void)walk(&d, &again);
	if (len >= BLOCK_SIZE && log_desc_open(fixture_bc(), fixture_ring(), p, &d) == 0)
		(void)walk(&d, &again);
	if (len > 0)
		memcpy(block, p, len < BLOCK_SIZE ? len : BLOCK_SIZE);
	layout_put16(block + 6, FIXTURE_EPOCH);
	assert(fixture_retag_desc(block));
	r = log_desc_open(fixture_bc(), fixture_ring(), block, &d);
	assert(r == 0 || r == -EUCLEAN || r == -EOPNOTSUPP ||
	       (r == -EBADMSG && memcmp(block + 8, fixture_uuid, UUID_LEN) != 0));
	if (r < 0)
		return 0;
	r = walk(&d, &again);
	assert(r == LOG_KIND_END || r == -EUCLEAN);
	if (r < 0)
		return 0;
	assert(log_desc_seal(fixture_bc(), fixture_ring(), &again, sealed) == 0);
	assert(memcmp(block, sealed, BLOCK_SIZE) == 0);
	return 0;
}
