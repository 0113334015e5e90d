/* test_hash.c: the checksum of a block is the same whatever code computes it. */
#include "base/crc32c.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LEN 4096

static uint8_t data[LEN + 64];

static int fill(void **state)
{
	uint64_t x = 88172645463325252u;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (uint8_t)x;
	}
	return 0;
}

static void the_sum_of_nothing_is_the_published_one(void **state)
{
	(void)state;
	/* xxHash's own value of XXH3_64bits of no bytes is 0x2d06800538d394c2; of blocks see test_vectors */
	assert_int_equal(hash_sum32("", 0), 0x38d394c2);
}

static void every_path_finds_the_same_sum(void **state)
{
	size_t paths = 0;

	(void)state;
	for (size_t k = 0; k < hash_paths_n; k++) {
		if (!hash_paths[k].can())
			continue;
		paths++;
		for (size_t n = 0; n <= LEN; n += n < 1100 ? 1 : 37)
			assert_int_equal(hash_paths[k].sum32(data, n), hash_paths[0].sum32(data, n));
		/* a block stands on a page, but nothing says so */
		for (size_t at = 0; at < 64; at++)
			assert_int_equal(hash_paths[k].sum32(data + at, LEN), hash_paths[0].sum32(data + at, LEN));
	}
	assert_true(paths >= 1);
}

static void a_changed_byte_changes_the_sum_on_every_path(void **state)
{
	uint32_t before;

	(void)state;
	for (size_t k = 0; k < hash_paths_n; k++) {
		if (!hash_paths[k].can())
			continue;
		for (size_t at = 0; at < LEN; at += 61) {
			before = hash_paths[k].sum32(data, LEN);
			data[at] ^= 1;
			assert_int_not_equal(hash_paths[k].sum32(data, LEN), before);
			data[at] ^= 1;
		}
	}
}

static void what_is_used_is_a_path_of_this_processor(void **state)
{
	(void)state;
	assert_true(hash_paths[0].can());
	assert_string_equal(hash_paths[0].name, "portable");
	assert_int_equal(hash_sum32(data, LEN), hash_paths[0].sum32(data, LEN));
}

static void crc32c_is_the_published_one(void **state)
{
	uint8_t of[32];

	(void)state;
	assert_int_equal(crc32c("", 0), 0);
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	/* RFC 3720 appendix B.4 */
	memset(of, 0, sizeof(of));
	assert_int_equal(crc32c(of, sizeof(of)), 0x8a9136aa);
	memset(of, 0xff, sizeof(of));
	assert_int_equal(crc32c(of, sizeof(of)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(of); i++)
		of[i] = (uint8_t)i;
	assert_int_equal(crc32c(of, sizeof(of)), 0x46dd794e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sum_of_nothing_is_the_published_one),
		cmocka_unit_test(every_path_finds_the_same_sum),
		cmocka_unit_test(a_changed_byte_changes_the_sum_on_every_path),
		cmocka_unit_test(crc32c_is_the_published_one),
		cmocka_unit_test(what_is_used_is_a_path_of_this_processor),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
