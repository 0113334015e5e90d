/* test_log_record.c: log descriptors: packing, round trips, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/log_record.h"
#include "format_fixture.h"
#include "format_malformed.h"

static int seal(const struct log_desc *d, uint8_t *ret_p)
{
	return log_desc_seal(fixture_bc(), fixture_ring(), d, ret_p);
}

static int open_desc(const uint8_t *p, struct log_desc *ret_d)
{
	return log_desc_open(fixture_bc(), fixture_ring(), p, ret_d);
}

/* Open and walk all records; put them into *ret_again. */
static int walk(const uint8_t *p, struct log_desc *ret_again)
{
	struct log_cursor c = { 0 };
	static struct log_desc d, again;
	static struct log_group g;
	struct log_file f;
	int r;

	r = open_desc(p, &d);
	if (r < 0)
		return r;
	again = d;
	again.record_bytes = 0;
	again.data_blocks = 0;
	memset(again.records, 0, sizeof(again.records));
	while ((r = log_desc_next(&d, &c, &f, &g)) > 0)
		assert_int_equal(r == LOG_KIND_FILE ? log_desc_add_file(&again, &f) : log_desc_add_group(&again, &g), 0);
	if (r == 0)
		*ret_again = again;
	return r;
}

static struct log_file small_file(void)
{
	return (struct log_file){
		.file_id = "0123456789abcdef", .shape.alloc_groups = 1000, .header.stamp = 1, .handle = { 1, 8, "handle.." },
	};
}

static void small_group(struct log_group *ret_g, uint32_t group, unsigned blocks)
{
	unsigned i;

	memset(ret_g, 0, sizeof(*ret_g));
	ret_g->group = group;
	ret_g->base = LOG_BASE_HOME;
	ret_g->epoch = 1;
	ret_g->entries.stamp = 2;
	ret_g->header.stamp = group ? 3 : 0;
	ret_g->block_count = (uint8_t)blocks;
	for (i = 0; i < blocks; i++)
		ret_g->blocks[i] = (struct log_block){ (uint8_t)i, LOG_WHERE_LOG, { .stamp = 4 } };
}

/* Descriptors are static here and below because they are large. */

/* ---- round trips ---- */

static void a_descriptor_survives_seal_open_and_packing_again(void **state)
{
	uint8_t p[BLOCK_SIZE], q[BLOCK_SIZE];
	struct fixture_rng rng = { 20 };
	static struct log_desc d, again;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		fixture_desc(&rng, (unsigned)i % 50, &d);
		memset(p, 0xaa, sizeof(p));
		assert_int_equal(seal(&d, p), 0);
		assert_int_equal(walk(p, &again), 0);
		assert_memory_equal(&d, &again, sizeof(d));
		assert_int_equal(seal(&again, q), 0);
		assert_memory_equal(p, q, sizeof(p));
	}
}

static void records_come_back_field_by_field(void **state)
{
	struct fixture_rng rng = { 21 };
	struct log_group g, got_g;
	struct log_file f, got_f;
	struct log_desc d;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		struct log_cursor c = { 0 };

		fixture_log_file(&rng, &f);
		fixture_log_group(&rng, 100, &g);
		log_desc_begin(&d);
		assert_int_equal(log_desc_add_file(&d, &f), 0);
		assert_int_equal(d.record_bytes, log_file_len(&f));
		assert_int_equal(log_desc_add_group(&d, &g), 0);
		assert_int_equal(d.record_bytes, log_file_len(&f) + log_group_len(&g));
		assert_int_equal(log_desc_next(&d, &c, &got_f, &got_g), LOG_KIND_FILE);
		assert_memory_equal(&f, &got_f, sizeof(f));
		assert_int_equal(log_desc_next(&d, &c, &got_f, &got_g), LOG_KIND_GROUP);
		assert_memory_equal(&g, &got_g, sizeof(g));
		assert_int_equal(log_desc_next(&d, &c, &got_f, &got_g), LOG_KIND_END);
		assert_int_equal(log_desc_next(&d, &c, &got_f, &got_g), LOG_KIND_END);
	}
}

/* ---- packing ---- */

static void forty_scattered_groups_go_into_one_descriptor(void **state)
{
	struct log_file f = small_file();
	struct log_group g;
	static struct log_desc d, again;
	uint8_t p[BLOCK_SIZE];
	unsigned i;

	(void)state;
	log_desc_begin(&d);
	d.stamp = 1;
	assert_int_equal(log_desc_add_file(&d, &f), 0);
	for (i = 0; i < 40; i++) {
		small_group(&g, 1 + 20 * i, 1);
		assert_int_equal(log_desc_add_group(&d, &g), 0);
	}
	assert_int_equal(d.data_blocks, 40);
	assert_int_equal(seal(&d, p), 0);
	assert_int_equal(walk(p, &again), 0);
}

static void a_whole_group_goes_into_one_descriptor_with_its_file(void **state)
{
	struct log_group g;
	struct log_file f = small_file();
	static struct log_desc d, again;
	uint8_t p[BLOCK_SIZE];

	(void)state;
	small_group(&g, 7, 128);
	log_desc_begin(&d);
	d.stamp = 1;
	assert_int_equal(log_desc_add_file(&d, &f), 0);
	assert_int_equal(log_desc_add_group(&d, &g), 0);
	assert_int_equal(d.data_blocks, 128);
	assert_int_equal(seal(&d, p), 0);
	assert_int_equal(walk(p, &again), 0);
	assert_memory_equal(&d, &again, sizeof(d));
}

static void what_does_not_fit_changes_nothing(void **state)
{
	struct log_file f = small_file();
	static struct log_desc d, before;
	struct log_group g;
	unsigned n;
	int r;

	(void)state;
	/* Fill to the last byte: FILE 65, then groups of 33 + 24 + 30, and holes of 2 bytes for the rest. */
	log_desc_begin(&d);
	assert_int_equal(log_desc_add_file(&d, &f), 0);
	assert_int_equal(d.record_bytes, 65);
	for (n = 0;; n++) {
		small_group(&g, 1 + 2 * n, 1);
		before = d;
		r = log_desc_add_group(&d, &g);
		if (r < 0)
			break;
	}
	assert_int_equal(r, -ENOSPC);
	assert_memory_equal(&d, &before, sizeof(d));
	assert_int_equal(n, (4000 - 65) / 87);
	f.shape.gap_count = 0;
	f.handle.len = (uint16_t)(LOG_RECORDS_MAX - d.record_bytes); /* 20 left: too few for any FILE */
	assert_int_equal(log_desc_add_file(&d, &f), -ENOSPC);
	assert_memory_equal(&d, &before, sizeof(d));
}

static void the_last_byte_of_the_records_can_be_used(void **state)
{
	struct log_group g;
	struct log_file f = small_file();
	static struct log_desc d, again;
	uint8_t p[BLOCK_SIZE];

	(void)state;
	small_group(&g, 0, 128);
	for (f.handle.len = 69; f.handle.len <= 71; f.handle.len++) {
		log_desc_begin(&d);
		d.stamp = 1;
		memset(f.handle.bytes, 0xff, f.handle.len);
		assert_int_equal(log_desc_add_group(&d, &g), 0);
		assert_int_equal(log_desc_add_file(&d, &f), f.handle.len <= 70 ? 0 : -ENOSPC);
		d.part = 1;
		assert_int_equal(seal(&d, p), 0);
		assert_int_equal(walk(p, &again), 0);
		if (f.handle.len == 70)
			assert_int_equal(d.record_bytes, LOG_RECORDS_MAX);
	}
}

/* The same with the GROUP last: 57 + 70 of a FILE, 33 + 3840 of the GROUP. */
static void a_group_can_end_at_the_last_byte(void **state)
{
	struct log_file f = small_file();
	struct log_group g;
	struct log_desc d;

	(void)state;
	small_group(&g, 0, 128);
	for (f.handle.len = 69; f.handle.len <= 71; f.handle.len++) {
		log_desc_begin(&d);
		assert_int_equal(log_desc_add_file(&d, &f), 0);
		assert_int_equal(log_desc_add_group(&d, &g), f.handle.len <= 70 ? 0 : -ENOSPC);
	}
}

static void what_no_reader_takes_is_not_packed(void **state)
{
	static struct log_desc d;
	struct log_group g;
	struct log_file f;
	uint8_t p[BLOCK_SIZE];

	(void)state;
	log_desc_begin(&d);
	f = small_file(), f.handle.len = HANDLE_LEN_MAX + 1;
	assert_int_equal(log_desc_add_file(&d, &f), -EINVAL);
	f = small_file(), f.header.stamp = 0;
	assert_int_equal(log_desc_add_file(&d, &f), -EINVAL);
	f = small_file(), f.shape.alloc_groups = 0;
	assert_int_equal(log_desc_add_file(&d, &f), -EINVAL);
	f = small_file(), f.shape.gap_count = GAPS_MAX + 1;
	assert_int_equal(log_desc_add_file(&d, &f), -EINVAL);
	small_group(&g, GROUPS_MAX, 1);
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.block_count = 129;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.base = 4;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.base = 0;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.entries.stamp = 0;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.header.stamp = 0;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 2), g.blocks[1].index = 0;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.blocks[0].index = 128;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.blocks[0].where = 0;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	small_group(&g, 1, 1), g.blocks[0].entry.stamp = 0;
	assert_int_equal(log_desc_add_group(&d, &g), -EINVAL);
	assert_int_equal(d.record_bytes, 0);
	assert_int_equal(seal(&d, p), -EINVAL); /* stamp 0 */
}

/* ---- what is refused ---- */

/* FILE with a gap (at 80) and two groups: group 0 (at 153) with three blocks, group 5 (at 248). */
static void valid(uint8_t p[static BLOCK_SIZE])
{
	static struct log_group zero, five;
	struct log_file f = small_file();
	struct log_desc d;

	small_group(&zero, 0, 3);
	small_group(&five, 5, 1);
	f.shape.gap_count = 1;
	f.shape.gaps[0] = (struct gap){ 2, 2 };
	zero.blocks[1].where = LOG_WHERE_HOME;
	zero.blocks[2] = (struct log_block){ 2, LOG_WHERE_HOLE, { 0 } };
	log_desc_begin(&d);
	d.sequence = 9;
	d.durable = 8;
	d.last = true;
	d.stamp = 7;
	assert_int_equal(log_desc_add_file(&d, &f), 0);
	assert_int_equal(log_desc_add_group(&d, &zero), 0);
	assert_int_equal(log_desc_add_group(&d, &five), 0);
	assert_int_equal(d.record_bytes, 255);
	assert_int_equal(seal(&d, p), 0);
}

static const struct malformed bad[] = {
	{ "magic", 0, 4, 0x4c524644, -EUCLEAN },
	{ "version", 4, 2, 2, -EOPNOTSUPP },
	{ "uuid", 8, 1, 0, -EBADMSG },
	{ "flags but last are zero", 60, 2, 3, -EUCLEAN },
	{ "flags but last are zero, highest", 60, 2, 0x8000, -EUCLEAN },
	{ "record_bytes at most 4000", 62, 2, 4001, -EUCLEAN },
	{ "record_bytes at most 4000, highest", 62, 2, 0xffff, -EUCLEAN },
	{ "zero behind the records", 62, 2, 254, -EUCLEAN },
	{ "record_bytes ends with a record", 62, 2, 256, -EUCLEAN },
	{ "zero behind the records, first", 80 + 255, 1, 1, -EUCLEAN },
	{ "zero behind the records, last", 4079, 1, 1, -EUCLEAN },
	{ "data_blocks is the number of where = 1, fewer", 64, 4, 1, -EUCLEAN },
	{ "data_blocks is the number of where = 1, more", 64, 4, 3, -EUCLEAN },
	{ "data_blocks is the number of where = 1, highest", 64, 4, UINT32_MAX, -EUCLEAN },
	{ "zero at 68", 68, 1, 1, -EUCLEAN },
	{ "zero at 71", 71, 1, 0x80, -EUCLEAN },
	{ "stamp is not 0", 72, 8, 0, -EUCLEAN },
	{ "kind 0", 80, 1, 0, -EUCLEAN },
	{ "kind 3", 80, 1, 3, -EUCLEAN },
	{ "a GROUP has a FILE before it", 80, 1, 2, -EUCLEAN },
	{ "handle_len at most 128", 81, 1, 129, -EUCLEAN },
	{ "handle_len within the records", 81, 1, 128, -EUCLEAN },
	{ "FILE: size at most 2^48", 100, 8, FILE_SIZE_MAX + 1, -EUCLEAN },
	{ "FILE: alloc_groups at least 1", 108, 4, 0, -EUCLEAN },
	{ "FILE: gaps below alloc_groups", 108, 4, 3, -EUCLEAN },
	{ "FILE: gap_count at most 24", 112, 1, 25, -EUCLEAN },
	{ "FILE: gap_count within the records", 112, 1, 24, -EUCLEAN },
	{ "FILE: header_stamp is not 0", 113, 8, 0, -EUCLEAN },
	{ "FILE: gaps never hold group 0", 137, 4, 0, -EUCLEAN },
	{ "FILE: gaps are not empty", 141, 4, 0, -EUCLEAN },
	{ "GROUP: block_count at most 128", 154, 1, 129, -EUCLEAN },
	{ "GROUP: block_count is the number of BLOCK records", 154, 1, 2, -EUCLEAN },
	{ "GROUP: group below 2^29", 250, 4, GROUPS_MAX, -EUCLEAN },
	{ "GROUP: base 0", 159, 1, 0, -EUCLEAN },
	{ "GROUP: base 4", 159, 1, 4, -EUCLEAN },
	{ "GROUP: entries_stamp is not 0", 162, 8, 0, -EUCLEAN },
	{ "GROUP: header_stamp is not 0", 248 + 33, 8, 0, -EUCLEAN },
	{ "BLOCK: index below 128", 186, 1, 128, -EUCLEAN },
	{ "BLOCK: index rising", 216, 1, 0, -EUCLEAN },
	{ "BLOCK: where 0", 187, 1, 0, -EUCLEAN },
	{ "BLOCK: where 4", 187, 1, 4, -EUCLEAN },
	{ "BLOCK: a hole has no entry", 187, 1, 3, -EUCLEAN },
	{ "BLOCK: a stamp is never 0", 188, 8, 0, -EUCLEAN },
};

static void each_broken_rule_refuses_an_authentic_descriptor(void **state)
{
	struct log_desc again;
	uint8_t p[BLOCK_SIZE];
	size_t i;

	(void)state;
	valid(p);
	assert_int_equal(p[80], LOG_KIND_FILE);
	assert_int_equal(p[153], LOG_KIND_GROUP);
	assert_int_equal(p[248], LOG_KIND_GROUP);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		valid(p);
		assert_int_equal(walk(p, &again), 0);
		malformed_apply(&bad[i], p);
		assert_true(fixture_retag_desc(p));
		malformed_expect(&bad[i], walk(p, &again));
	}
}

/* Each length of records that is not the end of one. */
static void cut_records_are_refused(void **state)
{
	struct log_desc again;
	uint8_t p[BLOCK_SIZE];
	uint16_t n;

	(void)state;
	for (n = 1; n < 255; n++) {
		valid(p);
		memset(p + 80 + n, 0, 4000u - n);
		layout_put16(p + 62, n);
		layout_put32(p + 64, n >= 168 ? 1 : 0);
		assert_true(fixture_retag_desc(p));
		assert_int_equal(walk(p, &again), n == 73 || n == 168 ? 0 : -EUCLEAN);
	}
}

static void a_group_may_come_first_in_a_later_part(void **state)
{
	struct log_group g;
	static struct log_desc d, again;
	uint8_t p[BLOCK_SIZE];

	(void)state;
	small_group(&g, 5, 1);
	log_desc_begin(&d);
	d.stamp = 1;
	assert_int_equal(log_desc_add_group(&d, &g), 0);
	assert_int_equal(seal(&d, p), 0);
	assert_int_equal(walk(p, &again), -EUCLEAN);
	d.part = 1;
	assert_int_equal(seal(&d, p), 0);
	assert_int_equal(walk(p, &again), 0);
}

static void an_epoch_that_is_not_in_the_ring_is_refused(void **state)
{
	struct log_desc d;
	uint8_t p[BLOCK_SIZE];

	(void)state;
	valid(p);
	layout_put16(p + 6, 2);
	assert_int_equal(open_desc(p, &d), -EBADMSG);
	assert_true(fixture_retag_desc(p));
	assert_int_equal(open_desc(p, &d), 0);
	layout_put16(p + 6, 7);
	assert_int_equal(open_desc(p, &d), -EBADMSG);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct log_desc d;
	uint8_t p[BLOCK_SIZE];
	size_t bit;

	(void)state;
	valid(p);
	d.sequence = 99;
	for (bit = 0; bit < sizeof(p) * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(is_refusal(open_desc(p, &d)));
		assert_int_equal(d.sequence, 99);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(open_desc(p, &d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_survives_seal_open_and_packing_again),
		cmocka_unit_test(records_come_back_field_by_field),
		cmocka_unit_test(forty_scattered_groups_go_into_one_descriptor),
		cmocka_unit_test(a_whole_group_goes_into_one_descriptor_with_its_file),
		cmocka_unit_test(what_does_not_fit_changes_nothing),
		cmocka_unit_test(the_last_byte_of_the_records_can_be_used),
		cmocka_unit_test(a_group_can_end_at_the_last_byte),
		cmocka_unit_test(what_no_reader_takes_is_not_packed),
		cmocka_unit_test(each_broken_rule_refuses_an_authentic_descriptor),
		cmocka_unit_test(cut_records_are_refused),
		cmocka_unit_test(a_group_may_come_first_in_a_later_part),
		cmocka_unit_test(an_epoch_that_is_not_in_the_ring_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
