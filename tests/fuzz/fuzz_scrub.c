/* fuzz_scrub.c: what a scrub looks at in memory (src/fs/scrub_impl.h): the first chunk of a backing file, whose header says what else there is. The input
 * is what lies at the file's start; the rest of the chunk is zero. Properties: counts and ranges stay within what was read, whatever the header says; a
 * file on which something does not fit is a suspect while it is mounted. */
#include "fs/scrub_impl.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static uint64_t told;

static void on_problem(void *ctx, const struct scrub_problem *p)
{
	(void)ctx;
	assert(p->count >= 1 && p->number + p->count <= (uint64_t)SCRUB_CHUNK_GROUPS * GROUP_BLOCKS);
	told += p->count;
}

static void look(const uint8_t *p, size_t len, bool certain)
{
	static uint8_t buf[SCRUB_CHUNK_LEN];
	struct scrub_params params = { .problem = on_problem };
	struct scrub s = { .p = &params, .certain = certain };
	struct scrub_file f = { .path = (char[]){ "x" }, .fd = -1, .size = len };

	memset(buf, 0, sizeof(buf));
	memcpy(buf, p, len);
	told = 0;
	assert(scrub_check_groups(&s, &f, 0, SCRUB_CHUNK_GROUPS, buf, len) == 0);
	assert(scrub_tell(&s, &f) == 0);
	assert(s.counts.groups <= SCRUB_CHUNK_GROUPS && s.counts.blocks <= (uint64_t)SCRUB_CHUNK_GROUPS * GROUP_BLOCKS);
	assert(told == s.counts.problems);
	assert(certain ? s.nsuspects == 0 : told == 0 && s.nsuspects <= SCRUB_CHUNK_GROUPS);
	scrub_suspect_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	if (len > SCRUB_CHUNK_LEN)
		len = SCRUB_CHUNK_LEN;
	if (len > 0) {
		look(p, len, true);
		look(p, len, false);
	}
	return 0;
}
