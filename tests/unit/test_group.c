/* test_group.c: metadata blocks: round trips, what is refused, and that nothing slips by a tag. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/group.h"
#include "format_fixture.h"
#include "format_malformed.h"

static int open_own(const uint8_t *p, struct group_header *ret_h)
{
	return group_open(fixture_bc(), fixture_ring(), p + 16, layout_get32(p + 12), p, ret_h);
}

/* ---- entries ---- */

static void an_entry_survives_put_and_parse(void **state)
{
	struct fixture_rng rng = { 2 };
	uint8_t p[ENTRY_LEN], q[ENTRY_LEN];
	struct entry e, f;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		fixture_entry(&rng, &e);
		group_entry_put(&e, p);
		assert_int_equal(group_entry_parse(p, &f), 0);
		assert_memory_equal(&e.tag, &f.tag, TAG_LEN);
		assert_true(e.stamp == f.stamp && e.sum == f.sum && !group_entry_is_hole(&f));
		group_entry_put(&f, q);
		assert_memory_equal(p, q, ENTRY_LEN);
	}
}

static void a_hole_is_all_zero_or_refused(void **state)
{
	uint8_t p[ENTRY_LEN] = { 0 };
	struct entry e = { .stamp = 7 };
	size_t i;

	(void)state;
	assert_int_equal(group_entry_parse(p, &e), 0);
	assert_true(group_entry_is_hole(&e));
	for (i = 8; i < ENTRY_LEN; i++) {
		p[i] = 1;
		e.stamp = 7;
		assert_int_equal(group_entry_parse(p, &e), -EUCLEAN);
		assert_int_equal(e.stamp, 7);
		p[i] = 0;
	}
}

/* ---- shape ---- */

static void shapes_at_the_edge(void **state)
{
	static const struct {
		const char *what;
		struct file_shape shape;
		int want;
	} rows[] = {
		{ "smallest", { .alloc_groups = 1 }, 0 },
		{ "largest", { .size = FILE_SIZE_MAX, .alloc_groups = GROUPS_MAX }, 0 },
		{ "size above 2^48", { .size = FILE_SIZE_MAX + 1, .alloc_groups = 1 }, -EUCLEAN },
		{ "no group 0", { .alloc_groups = 0 }, -EUCLEAN },
		{ "more groups than fit", { .alloc_groups = GROUPS_MAX + 1 }, -EUCLEAN },
		{ "gap of one", { .alloc_groups = 3, .gap_count = 1, .gaps = { { 1, 1 } } }, 0 },
		{ "gap up to the end", { .alloc_groups = 3, .gap_count = 1, .gaps = { { 1, 2 } } }, 0 },
		{ "gap beyond the end", { .alloc_groups = 3, .gap_count = 1, .gaps = { { 1, 3 } } }, -EUCLEAN },
		{ "gap behind the end", { .alloc_groups = 3, .gap_count = 1, .gaps = { { 3, 1 } } }, -EUCLEAN },
		{ "gap with group 0", { .alloc_groups = 3, .gap_count = 1, .gaps = { { 0, 1 } } }, -EUCLEAN },
		{ "empty gap", { .alloc_groups = 3, .gap_count = 1, .gaps = { { 1, 0 } } }, -EUCLEAN },
		{ "gap that wraps", { .alloc_groups = 9, .gap_count = 1, .gaps = { { 2, UINT32_MAX } } }, -EUCLEAN },
		{ "adjacent", { .alloc_groups = 9, .gap_count = 2, .gaps = { { 1, 2 }, { 3, 1 } } }, -EUCLEAN },
		{ "one apart", { .alloc_groups = 9, .gap_count = 2, .gaps = { { 1, 2 }, { 4, 1 } } }, 0 },
		{ "overlapping", { .alloc_groups = 9, .gap_count = 2, .gaps = { { 1, 3 }, { 3, 2 } } }, -EUCLEAN },
		{ "falling", { .alloc_groups = 9, .gap_count = 2, .gaps = { { 4, 1 }, { 1, 1 } } }, -EUCLEAN },
		{ "too many gaps", { .alloc_groups = 99, .gap_count = GAPS_MAX + 1 }, -EUCLEAN },
		{ "gap count that wraps", { .alloc_groups = 99, .gap_count = UINT32_MAX }, -EUCLEAN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = group_shape_check(&rows[i].shape);

		if (r != rows[i].want)
			fprintf(stderr, "%s\n", rows[i].what);
		assert_int_equal(r, rows[i].want);
	}
}

static void a_group_exists_unless_a_gap_or_the_end_holds_it(void **state)
{
	struct file_shape s = { .alloc_groups = 12, .gap_count = 2, .gaps = { { 1, 3 }, { 6, 1 } } };
	static const bool want[14] = { 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0 };
	struct fixture_rng rng = { 3 };
	uint32_t g, k, n;
	int i;

	(void)state;
	for (g = 0; g < 14; g++)
		assert_int_equal(group_exists(&s, g), want[g]);
	assert_false(group_exists(&s, UINT32_MAX));
	for (i = 0; i < 2000; i++) {
		fixture_shape(&rng, &s);
		assert_int_equal(group_shape_check(&s), 0);
		assert_true(group_exists(&s, 0));
		assert_false(group_exists(&s, s.alloc_groups));
		for (k = 0; k < s.gap_count; k++) {
			n = s.gaps[k].first + s.gaps[k].count;
			assert_true(group_exists(&s, s.gaps[k].first - 1));
			assert_false(group_exists(&s, s.gaps[k].first));
			assert_false(group_exists(&s, n - 1));
			assert_int_equal(group_exists(&s, n), n < s.alloc_groups);
		}
	}
}

/* ---- headers and whole blocks ---- */

static void a_header_survives_parse_and_put(void **state)
{
	uint8_t p[BLOCK_SIZE], q[HEADER_LEN];
	struct fixture_rng rng = { 4 };
	struct group_header h, first;
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		uint32_t group = i % 2 ? fixture_below(&rng, GROUPS_MAX) : 0;

		fixture_group(&rng, group, p);
		assert_int_equal(open_own(p, &h), 0);
		assert_int_equal(h.group, group);
		group_header_put(&h, q);
		assert_memory_equal(p, q, HEADER_LEN);
		assert_int_equal(group_open_first(fixture_bc(), fixture_ring(), p, &first), group ? -EBADMSG : 0);
		if (group == 0)
			assert_memory_equal(&h, &first, sizeof(h));
	}
}

static void what_is_sealed_opens(void **state)
{
	AUTO_FREE uint8_t *p = calloc(1, BLOCK_SIZE);
	struct fixture_rng rng = { 5 };
	struct group_header h = { .epoch = FIXTURE_EPOCH }, got;
	struct entry e;
	struct key_tag key;

	(void)state;
	fixture_fill(&rng, h.file_id, FILE_ID_LEN);
	fixture_shape(&rng, &h.shape);
	fixture_entry(&rng, &e);
	group_entry_put(&e, p + HEADER_LEN + 5 * ENTRY_LEN);
	h.entries.stamp = 10;
	h.header.stamp = 11;
	assert_int_equal(key_ring_file_tag(fixture_ring(), FIXTURE_EPOCH, h.file_id, &key), 0);
	assert_int_equal(group_seal_entries(fixture_bc(), &key, &h, p + HEADER_LEN), 0);
	assert_int_equal(group_seal_header(fixture_bc(), &key, &h), 0);
	assert_int_equal(group_check_header(fixture_bc(), &key, &h), 0);
	assert_int_equal(group_check_entries(fixture_bc(), &key, &h, p + HEADER_LEN), 0);
	group_header_put(&h, p);
	assert_int_equal(open_own(p, &got), 0);
	assert_memory_equal(&h, &got, sizeof(h));
	h.shape.size ^= 1;
	assert_int_equal(group_check_header(fixture_bc(), &key, &h), -EBADMSG);
	p[HEADER_LEN + 5 * ENTRY_LEN] ^= 1;
	assert_int_equal(group_check_entries(fixture_bc(), &key, &h, p + HEADER_LEN), -EBADMSG);
}

static void what_no_reader_takes_is_not_sealed(void **state)
{
	static const uint8_t entries[ENTRIES_LEN];
	struct group_header good = {
		.epoch = 1, .shape.alloc_groups = 1, .entries.stamp = 1, .header.stamp = 2,
	};
	struct blockcrypt *bc = fixture_bc();
	struct group_header h;
	struct key_tag key;

	(void)state;
	assert_int_equal(key_ring_file_tag(fixture_ring(), 1, good.file_id, &key), 0);
	h = good;
	assert_int_equal(group_seal_header(bc, &key, &h), 0);
	h = good, h.entries.stamp = 0;
	assert_int_equal(group_seal_entries(bc, &key, &h, entries), -EINVAL);
	assert_int_equal(group_seal_header(bc, &key, &h), -EINVAL);
	h = good, h.header.stamp = 0;
	assert_int_equal(group_seal_header(bc, &key, &h), -EINVAL);
	h = good, h.flags = 2;
	assert_int_equal(group_seal_header(bc, &key, &h), -EINVAL);
	h = good, h.flags = GROUP_FLAG_DAMAGED;
	assert_int_equal(group_seal_header(bc, &key, &h), 0);
	h.group = 1;
	assert_int_equal(group_seal_header(bc, &key, &h), -EINVAL);
	h = good, h.shape.alloc_groups = 0;
	assert_int_equal(group_seal_header(bc, &key, &h), -EINVAL);
	h = good, h.group = GROUPS_MAX;
	assert_int_equal(group_seal_entries(bc, &key, &h, entries), -EINVAL);
	assert_int_equal(group_seal_header(bc, &key, &h), -EINVAL);
}

/* Group 0 with alloc_groups 9 and gaps (2, 1), (5, 2); all entries but the first are holes. */
static void valid_first(uint8_t p[static BLOCK_SIZE])
{
	struct group_header h = {
		.epoch = FIXTURE_EPOCH, .file_id = "0123456789abcdef",
		.shape = { .size = 4096, .alloc_groups = 9, .gap_count = 2, .gaps = { { 2, 1 }, { 5, 2 } } },
		.entries.stamp = 1, .header.stamp = 2,
	};
	struct entry e = { .stamp = 3, .tag = "tag", .sum = 4 };

	memset(p, 0, BLOCK_SIZE);
	group_header_put(&h, p);
	group_entry_put(&e, p + HEADER_LEN);
	assert_true(fixture_retag_group(p));
}

static void valid_other(uint8_t p[static BLOCK_SIZE])
{
	struct group_header h = {
		.epoch = FIXTURE_EPOCH, .file_id = "0123456789abcdef", .group = 3, .entries.stamp = 1, .header.stamp = 2,
	};

	memset(p, 0, BLOCK_SIZE);
	group_header_put(&h, p);
	assert_true(fixture_retag_group(p));
}

static const struct malformed bad_first[] = {
	{ "magic", 0, 4, 0x47524644, -EUCLEAN },
	{ "version", 4, 2, 2, -EOPNOTSUPP },
	{ "version 0", 4, 2, 0, -EOPNOTSUPP },
	{ "flags but DAMAGED are zero", 6, 2, 2, -EUCLEAN },
	{ "flags but DAMAGED are zero, highest", 6, 2, 0x8001, -EUCLEAN },
	{ "gap_count at most 24", 10, 2, 25, -EUCLEAN },
	{ "gap_count at most 24, highest", 10, 2, 0xffff, -EUCLEAN },
	{ "gap_count holds all gaps", 10, 2, 1, -EUCLEAN },
	{ "gap_count holds no empty gap", 10, 2, 3, -EUCLEAN },
	{ "group below 2^29", 12, 4, GROUPS_MAX, -EUCLEAN },
	{ "a shape in group 0 only", 12, 4, 1, -EUCLEAN },
	{ "size at most 2^48", 32, 8, FILE_SIZE_MAX + 1, -EUCLEAN },
	{ "alloc_groups at least 1", 40, 4, 0, -EUCLEAN },
	{ "alloc_groups at most 2^29", 40, 4, GROUPS_MAX + 1, -EUCLEAN },
	{ "gaps below alloc_groups", 40, 4, 6, -EUCLEAN },
	{ "zero at 44", 44, 1, 1, -EUCLEAN },
	{ "zero at 47", 47, 1, 0x80, -EUCLEAN },
	{ "gaps never hold group 0", 48, 4, 0, -EUCLEAN },
	{ "gaps are not empty", 52, 4, 0, -EUCLEAN },
	{ "gaps are not adjacent", 52, 4, 3, -EUCLEAN },
	{ "gaps are disjoint", 52, 4, 4, -EUCLEAN },
	{ "gaps are sorted", 48, 4, 7, -EUCLEAN },
	{ "gaps do not wrap", 60, 4, UINT32_MAX, -EUCLEAN },
	{ "zero behind the gaps", 64, 1, 1, -EUCLEAN },
	{ "zero behind the gaps, last", 239, 1, 1, -EUCLEAN },
	{ "root is zero", 240, 1, 1, -EUCLEAN },
	{ "root is zero, last", 271, 1, 1, -EUCLEAN },
	{ "zero at 272", 272, 1, 1, -EUCLEAN },
	{ "zero at 463", 463, 1, 0x80, -EUCLEAN },
	{ "entries_stamp is not 0", 464, 8, 0, -EUCLEAN },
	{ "header_stamp is not 0", 488, 8, 0, -EUCLEAN },
	{ "a stamp is never 0", 512, 8, 0, -EUCLEAN },
	{ "a hole is all zero", 512 + 28 + 8, 1, 1, -EUCLEAN },
	{ "a hole is all zero, last", 4095, 1, 0x80, -EUCLEAN },
};

static const struct malformed bad_other[] = {
	{ "DAMAGED in group 0 only", 6, 2, 1, -EUCLEAN },
	{ "gap_count in group 0 only", 10, 2, 1, -EUCLEAN },
	{ "size in group 0 only", 32, 8, 1, -EUCLEAN },
	{ "alloc_groups in group 0 only", 40, 4, 1, -EUCLEAN },
	{ "gaps in group 0 only", 48, 1, 1, -EUCLEAN },
	{ "gaps in group 0 only, last", 239, 1, 1, -EUCLEAN },
	{ "root is zero", 255, 1, 1, -EUCLEAN },
	{ "zero at 44", 45, 1, 1, -EUCLEAN },
	{ "zero at 272", 300, 1, 1, -EUCLEAN },
	{ "group 0 has a shape", 12, 4, 0, -EUCLEAN },
	{ "group below 2^29", 12, 4, GROUPS_MAX, -EUCLEAN },
};

static void check_table(const struct malformed *rows, size_t n, void (*valid)(uint8_t p[static BLOCK_SIZE]))
{
	struct group_header h;
	uint8_t p[BLOCK_SIZE];
	size_t i;

	for (i = 0; i < n; i++) {
		valid(p);
		assert_int_equal(open_own(p, &h), 0);
		malformed_apply(&rows[i], p);
		assert_true(fixture_retag_group(p));
		malformed_expect(&rows[i], open_own(p, &h));
	}
}

static void each_broken_rule_refuses_an_authentic_block(void **state)
{
	(void)state;
	check_table(bad_first, sizeof(bad_first) / sizeof(bad_first[0]), valid_first);
	check_table(bad_other, sizeof(bad_other) / sizeof(bad_other[0]), valid_other);
}

static void another_place_is_refused(void **state)
{
	struct group_header h = { .group = 77 };
	uint8_t p[BLOCK_SIZE], id[FILE_ID_LEN];

	(void)state;
	valid_other(p);
	memcpy(id, p + 16, FILE_ID_LEN);
	assert_int_equal(group_open(fixture_bc(), fixture_ring(), id, 3, p, &h), 0);
	h.group = 77;
	assert_int_equal(group_open(fixture_bc(), fixture_ring(), id, 4, p, &h), -EBADMSG);
	id[15] ^= 1;
	assert_int_equal(group_open(fixture_bc(), fixture_ring(), id, 3, p, &h), -EBADMSG);
	assert_int_equal(group_open_first(fixture_bc(), fixture_ring(), p, &h), -EBADMSG);
	/* Moved with its number changed, the tag still knows. */
	layout_put32(p + 12, 4);
	assert_int_equal(group_open(fixture_bc(), fixture_ring(), p + 16, 4, p, &h), -EBADMSG);
	assert_int_equal(h.group, 77);
}

static void an_epoch_that_is_not_in_the_ring_is_refused(void **state)
{
	struct group_header h;
	uint8_t p[BLOCK_SIZE];

	(void)state;
	valid_first(p);
	layout_put16(p + 8, 3);
	assert_int_equal(open_own(p, &h), -EBADMSG);
	assert_int_equal(group_open_first(fixture_bc(), fixture_ring(), p, &h), -EBADMSG);
	layout_put16(p + 8, 0);
	assert_int_equal(open_own(p, &h), -EBADMSG);
	layout_put16(p + 8, 2); /* in the ring, but not the one it was sealed under */
	assert_int_equal(open_own(p, &h), -EBADMSG);
}

/* Old entries under a new header, or the other way round: what a torn write or a rollback of half a block makes. */
static void entries_of_another_time_are_refused(void **state)
{
	uint8_t old[BLOCK_SIZE], new[BLOCK_SIZE];
	struct group_header h;

	(void)state;
	valid_first(old);
	memcpy(new, old, BLOCK_SIZE);
	layout_put64(new + 512, 9);
	layout_put64(new + 464, 8);
	layout_put64(new + 488, 9);
	assert_true(fixture_retag_group(new));
	assert_int_equal(open_own(new, &h), 0);
	memcpy(new + HEADER_LEN, old + HEADER_LEN, ENTRIES_LEN);
	assert_int_equal(open_own(new, &h), -EBADMSG);
	/* Two entries swapped. */
	valid_first(new);
	memcpy(new + HEADER_LEN + ENTRY_LEN, new + HEADER_LEN, ENTRY_LEN);
	memset(new + HEADER_LEN, 0, ENTRY_LEN);
	assert_int_equal(open_own(new, &h), -EBADMSG);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct fixture_rng rng = { 6 };
	struct group_header h;
	uint8_t p[BLOCK_SIZE], id[FILE_ID_LEN];
	size_t bit;

	(void)state;
	fixture_group(&rng, 0, p);
	memcpy(id, p + 16, FILE_ID_LEN);
	for (bit = 0; bit < (size_t)BLOCK_SIZE * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(is_refusal(group_open(fixture_bc(), fixture_ring(), id, 0, p, &h)));
		if (bit < HEADER_LEN * 8)
			assert_true(is_refusal(group_open_first(fixture_bc(), fixture_ring(), p, &h)));
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(group_open(fixture_bc(), fixture_ring(), id, 0, p, &h), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_survives_put_and_parse),
		cmocka_unit_test(a_hole_is_all_zero_or_refused),
		cmocka_unit_test(shapes_at_the_edge),
		cmocka_unit_test(a_group_exists_unless_a_gap_or_the_end_holds_it),
		cmocka_unit_test(a_header_survives_parse_and_put),
		cmocka_unit_test(what_is_sealed_opens),
		cmocka_unit_test(what_no_reader_takes_is_not_sealed),
		cmocka_unit_test(each_broken_rule_refuses_an_authentic_block),
		cmocka_unit_test(another_place_is_refused),
		cmocka_unit_test(an_epoch_that_is_not_in_the_ring_is_refused),
		cmocka_unit_test(entries_of_another_time_are_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
