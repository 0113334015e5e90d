/* test_layout.c: offsets of plain and lower files, little endian, against the text of docs/format.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/layout.h"
#include "format_fixture.h"

static uint64_t lower_len_of(uint64_t size)
{
	return size == 0 ? 0 : layout_block_off(layout_blocks(size) - 1) + BLOCK_SIZE;
}

/* The table "Worked sizes": files written from the start to size. */
static void worked_sizes_are_those_of_the_page(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t groups;
		uint64_t lower_len;
		uint32_t last_index; /* of the last entry that is not a hole, in the last group */
	} rows[] = {
		{ 1, 1, 8192, 0 },
		{ 4096, 1, 8192, 0 },
		{ 4097, 1, 12288, 1 },
		{ 524288, 1, 528384, 127 },
		{ 524289, 2, 536576, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t last = layout_block_of(rows[i].size - 1);

		assert_int_equal(layout_groups(rows[i].size), rows[i].groups);
		assert_int_equal(lower_len_of(rows[i].size), rows[i].lower_len);
		assert_int_equal(layout_group_of_block(last), rows[i].groups - 1);
		assert_int_equal(layout_index_of_block(last), rows[i].last_index);
	}
	assert_int_equal(layout_blocks(0), 0);
	assert_int_equal(layout_groups(0), 0);
}

/* The row of the table with a hole: one byte at 2 MiB. */
static void a_byte_at_2_mib_lies_in_group_4(void **state)
{
	const uint64_t block = layout_block_of(2097152);
	const struct file_shape shape = { .size = 2097153, .alloc_groups = 5, .gap_count = 1, .gaps = { { 1, 3 } } };
	uint32_t g;

	(void)state;
	assert_int_equal(layout_group_of_block(block), 4);
	assert_int_equal(layout_index_of_block(block), 0);
	assert_int_equal(layout_block_off(block) + BLOCK_SIZE, 2121728);
	assert_int_equal(group_shape_check(&shape), 0);
	for (g = 0; g < 7; g++)
		assert_int_equal(group_exists(&shape, g), g == 0 || g == 4);
}

static void every_block_has_its_own_place_behind_its_metadata(void **state)
{
	struct fixture_rng rng = { 1 };
	int i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		uint64_t block = fixture_rand(&rng) % (FILE_SIZE_MAX / BLOCK_SIZE);
		uint64_t g = block / 128, k = block % 128;

		assert_int_equal(layout_group_of_block(block), g);
		assert_int_equal(layout_index_of_block(block), k);
		assert_int_equal(layout_group_off(layout_group_of_block(block)), g * 528384);
		assert_int_equal(layout_block_off(block), g * 528384 + 4096 + k * 4096);
	}
}

static void the_largest_file_does_not_overflow(void **state)
{
	(void)state;
	assert_int_equal(layout_groups(FILE_SIZE_MAX), GROUPS_MAX);
	assert_int_equal(GROUPS_MAX, 1u << 29);
	assert_int_equal(lower_len_of(FILE_SIZE_MAX), (uint64_t)GROUPS_MAX * 528384);
	assert_true(lower_len_of(FILE_SIZE_MAX) < (uint64_t)INT64_MAX);
	assert_int_equal(layout_blocks(FILE_SIZE_MAX - 1), FILE_SIZE_MAX / BLOCK_SIZE);
	assert_int_equal(layout_blocks(UINT64_MAX), (UINT64_MAX >> 12) + 1);
	assert_int_equal(layout_group_off(UINT32_MAX), (uint64_t)UINT32_MAX * 528384);
}

static void integers_are_little_endian_at_any_address(void **state)
{
	uint8_t p[16];
	size_t at;

	(void)state;
	for (at = 0; at < 8; at++) {
		memset(p, 0xff, sizeof(p));
		layout_put64(p + at, 0x0807060504030201u);
		assert_memory_equal(p + at, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
		assert_int_equal(layout_get64(p + at), 0x0807060504030201u);
		layout_put32(p + at, 0x84838281u);
		assert_memory_equal(p + at, "\x81\x82\x83\x84\x05", 5);
		assert_int_equal(layout_get32(p + at), 0x84838281u);
		layout_put16(p + at, 0xf2f1);
		assert_memory_equal(p + at, "\xf1\xf2\x83", 3);
		assert_int_equal(layout_get16(p + at), 0xf2f1);
	}
}

static void zero_means_every_byte(void **state)
{
	uint8_t p[600] = { 0 };
	size_t len, i;

	(void)state;
	p[0] = 1;
	assert_true(layout_is_zero(p, 0));
	p[0] = 0;
	for (len = 1; len < sizeof(p); len += 37) {
		assert_true(layout_is_zero(p, len));
		for (i = 0; i < len; i++) {
			p[i] = 0x80;
			assert_false(layout_is_zero(p, len));
			p[i] = 0;
		}
		p[len] = 1;
		assert_true(layout_is_zero(p, len));
		p[len] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worked_sizes_are_those_of_the_page),
		cmocka_unit_test(a_byte_at_2_mib_lies_in_group_4),
		cmocka_unit_test(every_block_has_its_own_place_behind_its_metadata),
		cmocka_unit_test(the_largest_file_does_not_overflow),
		cmocka_unit_test(integers_are_little_endian_at_any_address),
		cmocka_unit_test(zero_means_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
