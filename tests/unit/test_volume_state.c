/* test_volume_state.c: the slots of coffer.state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/log_record.h"
#include "format/volume_state.h"
#include "format_fixture.h"
#include "format_malformed.h"

static int seal(const struct volume_state *s, unsigned slot, uint8_t *ret_p)
{
	return volume_state_seal(fixture_bc(), fixture_ring(), s, slot, 0x1122334455667788u + slot, ret_p);
}

static int open_slot(unsigned slot, const uint8_t *p, struct volume_state *ret_s)
{
	return volume_state_open(fixture_bc(), fixture_ring(), slot, p, ret_s);
}

static void valid(uint8_t p[static STATE_SLOT_LEN])
{
	const struct volume_state s = {
		.serial = 1, .stamp_limit = 2, .log_blocks = LOG_BLOCKS_MIN, .root_handle = { 1, 8, "handle.." },
	};

	assert_int_equal(seal(&s, 0, p), 0);
}

static void a_state_survives_seal_and_open(void **state)
{
	uint8_t p[STATE_SLOT_LEN], q[STATE_SLOT_LEN];
	struct fixture_rng rng = { 10 };
	struct volume_state s, t;
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		fixture_state(&rng, &s);
		memset(p, 0xaa, sizeof(p));
		assert_int_equal(seal(&s, i % 2, p), 0);
		assert_int_equal(open_slot(i % 2, p, &t), 0);
		assert_memory_equal(&s, &t, sizeof(s));
		assert_int_equal(seal(&t, i % 2, q), 0);
		assert_memory_equal(p, q, sizeof(p));
		/* The index is under the tag. */
		assert_int_equal(open_slot(1 - i % 2, p, &t), -EBADMSG);
	}
}

static void the_uuid_is_read_without_a_key_from_what_has_the_form_of_a_slot(void **state)
{
	uint8_t p[STATE_SLOT_LEN], uuid[UUID_LEN] = { 0 };

	(void)state;
	valid(p);
	p[500] ^= 1; /* the tag is not looked at */
	assert_int_equal(volume_state_uuid(p, uuid), 0);
	assert_memory_equal(uuid, key_ring_uuid(fixture_ring()), UUID_LEN);
	p[0] ^= 1;
	uuid[0] ^= 1;
	assert_int_equal(volume_state_uuid(p, uuid), -EUCLEAN);
	assert_int_equal(uuid[0] ^ 1, key_ring_uuid(fixture_ring())[0]);
}

static void what_no_reader_takes_is_not_sealed(void **state)
{
	struct volume_state good = { .log_blocks = LOG_BLOCKS_MAX }, s;
	uint8_t p[STATE_SLOT_LEN] = { 1 };

	(void)state;
	s = good, s.log_blocks = LOG_BLOCKS_MAX + 1;
	assert_int_equal(seal(&s, 0, p), -EINVAL);
	s = good, s.log_blocks = LOG_BLOCKS_MIN - 1;
	assert_int_equal(seal(&s, 0, p), -EINVAL);
	s = good, s.flags = 2;
	assert_int_equal(seal(&s, 0, p), -EINVAL);
	s = good, s.root_handle.len = HANDLE_LEN_MAX + 1;
	assert_int_equal(seal(&s, 0, p), -EINVAL);
	assert_int_equal(seal(&good, STATE_SLOTS, p), -EINVAL);
	assert_int_equal(p[0], 1);
	assert_int_equal(seal(&good, 1, p), 0);
	assert_int_equal(open_slot(STATE_SLOTS, p, &s), -EINVAL);
}

static const struct malformed bad[] = {
	{ "magic", 0, 4, 0x53524644, -EUCLEAN },
	{ "version", 4, 2, 2, -EOPNOTSUPP },
	{ "log_blocks at least 4096", 56, 8, LOG_BLOCKS_MIN - 1, -EUCLEAN },
	{ "log_blocks at least 4096, zero", 56, 8, 0, -EUCLEAN },
	{ "log_blocks at most 262144", 56, 8, LOG_BLOCKS_MAX + 1, -EUCLEAN },
	{ "log_blocks at most 262144, highest", 56, 8, UINT64_MAX, -EUCLEAN },
	{ "flags but clean are zero", 88, 4, 2, -EUCLEAN },
	{ "flags but clean are zero, highest", 88, 4, 0x80000000, -EUCLEAN },
	{ "root_handle_len at most 128", 94, 2, 129, -EUCLEAN },
	{ "root_handle_len at most 128, highest", 94, 2, 0xffff, -EUCLEAN },
	{ "zero behind the handle", 94, 2, 7, -EUCLEAN },
	{ "zero behind the handle, first", 104, 1, 1, -EUCLEAN },
	{ "zero behind the handle, last", 223, 1, 1, -EUCLEAN },
	{ "zero at 232", 232, 1, 1, -EUCLEAN },
	{ "zero at 479", 479, 1, 0x80, -EUCLEAN },
	{ "zero at 480", 480, 1, 1, -EUCLEAN },
	{ "zero at 487", 487, 1, 1, -EUCLEAN },
	{ "zero behind the sector", 512, 1, 1, -EUCLEAN },
	{ "zero behind the sector, last", 4095, 1, 1, -EUCLEAN },
	{ "uuid", 8, 1, 0, -EBADMSG },
};

static void each_broken_rule_refuses_an_authentic_slot(void **state)
{
	uint8_t p[STATE_SLOT_LEN];
	struct volume_state s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		valid(p);
		assert_int_equal(open_slot(0, p, &s), 0);
		malformed_apply(&bad[i], p);
		assert_true(fixture_retag_state(p, 0));
		malformed_expect(&bad[i], open_slot(0, p, &s));
	}
}

static void slots_of_older_epochs_open_those_of_unknown_ones_do_not(void **state)
{
	uint8_t p[STATE_SLOT_LEN];
	struct volume_state s;

	(void)state;
	valid(p);
	layout_put16(p + 6, 2);
	assert_int_equal(open_slot(0, p, &s), -EBADMSG);
	assert_true(fixture_retag_state(p, 0));
	assert_int_equal(open_slot(0, p, &s), 0);
	layout_put16(p + 6, 3);
	assert_int_equal(open_slot(0, p, &s), -EBADMSG);
	memset(p, 0, sizeof(p));
	assert_int_equal(open_slot(0, p, &s), -EUCLEAN);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct volume_state s, untouched = { .serial = 99 };
	uint8_t p[STATE_SLOT_LEN];
	size_t bit;

	(void)state;
	valid(p);
	for (bit = 0; bit < sizeof(p) * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		s = untouched;
		assert_true(is_refusal(open_slot(0, p, &s)));
		assert_int_equal(s.serial, 99);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(open_slot(0, p, &s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_survives_seal_and_open),
		cmocka_unit_test(the_uuid_is_read_without_a_key_from_what_has_the_form_of_a_slot),
		cmocka_unit_test(what_no_reader_takes_is_not_sealed),
		cmocka_unit_test(each_broken_rule_refuses_an_authentic_slot),
		cmocka_unit_test(slots_of_older_epochs_open_those_of_unknown_ones_do_not),
		cmocka_unit_test(every_flipped_bit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
