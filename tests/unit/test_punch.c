/* test_punch.c: holes are punched, zeroed, found and allocated ahead on a simulated disk (tests/crash/world.c has the model of what files hold): what reads see
 * at each step, when lower space goes back, and that a failing lower call leaves the old content or the new. What a power cut does is tests/crash's. */
#include "tests/crash/crash.h"
#include "tests/lib/fault.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define B 4096ull
#define G (128ull * 4096)

static struct fault *fault;

static struct lower *with_fault(struct lower *inner)
{
	fault = fault_new(inner);
	assert_non_null(fault);
	return fault_lower(fault);
}

static int setup(void **state)
{
	world_wrap = with_fault;
	*state = world_new(7, SIMFS_EXT4, 0);
	return 0;
}

static int teardown(void **state)
{
	world_free(*state);
	fault_free(fault);
	world_wrap = NULL;
	return 0;
}

static int try_op(struct world *w, enum what what, uint64_t off, uint64_t len)
{
	struct op op = { what, 'a', off, len };

	return world_op(w, &op);
}

/* It succeeds, and reads are as the model says. */
static void op(struct world *w, enum what what, uint64_t off, uint64_t len)
{
	assert_int_equal(try_op(w, what, off, len), 0);
	assert_null(world_reread(w));
}

static void kill_and_check(struct world *w)
{
	assert_int_equal(try_op(w, OP_KILL, 0, 0), 0);
	assert_null(world_check(w, &w->o, UINT64_MAX));
	world_restart(w);
}

/* Blocks of the lower file. */
static uint64_t space(struct world *w)
{
	struct stat st;
	int fd;

	assert_int_equal(iofile_pin(w->f[0].io, &fd), 0);
	assert_int_equal(w->l->ops->fstat(w->l, fd, &st), 0);
	iofile_unpin(w->f[0].io);
	return (uint64_t)st.st_blocks / 8;
}

static void make(struct world *w, uint64_t len)
{
	op(w, OP_CREATE, 0, 0);
	for (uint64_t at = 0; at < len; at += G)
		op(w, OP_WRITE, at, len - at < G ? len - at : G);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
}

static void a_punched_range_reads_as_zeros_at_every_step(void **state)
{
	static const uint64_t range[][2] = { { 0, 1 }, { 5000, 100 }, { B, B }, { B - 1, B + 2 }, { 3 * B + 7, 9 * B }, { G - 5, 10 },
					     { G, G }, { G - B, G + 2 * B }, { 10, 3 * G }, { 3 * G + 5000, 10 * G }, { 0, 4 * G } };
	struct world *w = *state;

	make(w, 3 * G + 9000);
	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
		op(w, OP_WRITE, range[i][0] > 9 ? range[i][0] - 9 : 0, range[i][1] < G ? range[i][1] + 50 : G);
		op(w, OP_PUNCH, range[i][0], range[i][1]);
		if (i % 3 == 0)
			op(w, OP_WRITE, range[i][0], 100);
		op(w, OP_FSYNC, 0, 0);
		if (i % 2)
			op(w, OP_CHECKPOINT, 0, 0);
		kill_and_check(w);
	}
}

static void space_goes_back_behind_the_checkpoint_of_its_commit(void **state)
{
	struct world *w = *state;
	uint64_t before;

	make(w, 3 * G);
	before = space(w);
	assert_int_equal(before, 3 * 129);
	op(w, OP_PUNCH, G, G);
	assert_int_equal(space(w), before);
	op(w, OP_CHECKPOINT, 0, 0); /* not committed */
	assert_int_equal(space(w), before);
	op(w, OP_FSYNC, 0, 0);
	assert_int_equal(space(w), before);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), before - 128);
	op(w, OP_PUNCH, 2 * B + 5, 5 * B);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), before - 128 - 4);
	assert_true(iofile_is_idle(w->f[0].io));
}

static void space_that_is_in_use_again_stays(void **state)
{
	struct world *w = *state;

	make(w, 3 * G);
	op(w, OP_PUNCH, G, G);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_WRITE, G, G / 2); /* vouches for the punch, then goes home */
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), 3 * 129 - 64);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), 3 * 129 - 64);
	kill_and_check(w);
}

static void zeroing_keeps_space_and_lets_the_file_grow(void **state)
{
	struct world *w = *state;

	make(w, 2 * G);
	op(w, OP_ZERO, 100, G + 5);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_true(space(w) >= 2 * 129);
	op(w, OP_ZERO, 2 * G - 10, G);
	assert_int_equal(iofile_size(w->f[0].io), 3 * G - 10);
	op(w, OP_FSYNC, 0, 0);
	kill_and_check(w);
	assert_int_equal(w->f[0].size, 3 * G - 10);
}

static void an_empty_file_can_be_punched_and_zeroed(void **state)
{
	struct world *w = *state;

	op(w, OP_CREATE, 0, 0);
	op(w, OP_PUNCH, 5, G);
	assert_true(iofile_is_idle(w->f[0].io));
	op(w, OP_ZERO, 5, 10);
	assert_int_equal(iofile_size(w->f[0].io), 15);
	op(w, OP_FSYNC, 0, 0);
	kill_and_check(w);
}

/* Many groups with a block each, far behind what the model holds. */
static void a_long_punch_goes_in_steps_over_what_exists(void **state)
{
	struct world *w = *state;
	struct iofile *f;
	uint64_t freed, at = 40000 * G;
	uint8_t *p = aligned_alloc(B, 2 * B), zero[B] = { 0 };

	op(w, OP_CREATE, 0, 0);
	f = w->f[0].io;
	memset(p, 7, B);
	for (uint64_t g = 0; g < 200; g++)
		assert_int_equal(iofile_write(f, p, B, at + g * G, false), B);
	assert_int_equal(vio_sync(w->v), 0);
	assert_int_equal(vio_checkpoint(w->v), 0);
	assert_int_equal(iofile_punch(f, at + 1, FILE_SIZE_MAX, IOFILE_KEEP_SIZE | IOFILE_GIVE_BACK, &freed), 0);
	assert_true(freed >= 199);
	assert_int_equal(iofile_size(f), at + 199 * G + B);
	assert_int_equal(vio_sync(w->v), 0);
	assert_int_equal(vio_checkpoint(w->v), 0);
	for (uint64_t g = 0; g < 200; g++) {
		assert_int_equal(iofile_read(f, p, B, at + g * G), B);
		assert_int_equal(p[0], g ? 0 : 7);
		assert_memory_equal(p + 1, zero, B - 1);
	}
	assert_true(space(w) < 203);
	iofile_discard(f);
	w->f[0].io = NULL;
	w->f[0].uid = -1;
	free(p);
}

static void limits_are_refused_before_anything_changes(void **state)
{
	struct world *w = *state;
	uint64_t freed;

	make(w, B);
	assert_int_equal(iofile_punch(w->f[0].io, 0, 0, IOFILE_KEEP_SIZE, &freed), -EINVAL);
	assert_int_equal(iofile_punch(w->f[0].io, 5, UINT64_MAX, IOFILE_KEEP_SIZE, &freed), -EINVAL);
	assert_int_equal(iofile_punch(w->f[0].io, 0, FILE_SIZE_MAX, 0, &freed), -EFBIG);
	assert_null(world_reread(w));
}

/* One lower call fails: what is read then is the old content or the new, and the next attempt is whole. */
static void after_a_failing_lower_call_the_old_content_or_the_new_is_there(void **state)
{
	static const int errors[] = { EIO, ENOSPC };
	struct world *w = *state;
	bool happened = true;
	int r = 0;

	make(w, 3 * G);
	for (int k = 0; k < 2; k++) {
		happened = true;
		for (uint64_t n = 1; happened; n++) {
			op(w, OP_WRITE, G - 2 * B, 5 * B);
			op(w, OP_FSYNC, 0, 0);
			op(w, OP_CHECKPOINT, 0, 0);
			assert_int_equal(try_op(w, OP_KILL, 0, 0), 0); /* nothing is in memory, so home is read */
			assert_null(world_check(w, &w->o, UINT64_MAX));
			world_restart(w);
			fault_fail(fault, FAULT_OF(preadv) | FAULT_OF(fallocate), n, errors[k], 1, 0);
			r = try_op(w, OP_PUNCH, G - B - 10, 2 * B + 50);
			if (r == 0)
				r = try_op(w, OP_FSYNC, 0, 0);
			if (r == 0)
				r = try_op(w, OP_CHECKPOINT, 0, 0);
			assert_true(r == 0 || r == -errors[k] || r == -EIO);
			happened = fault_happened(fault);
			fault_fail(fault, 0, 0, 0, 0, 0);
			assert_null(world_reread(w));
			op(w, OP_PUNCH, G - B - 10, 2 * B + 50);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_punched_range_reads_as_zeros_at_every_step, setup, teardown),
		cmocka_unit_test_setup_teardown(space_goes_back_behind_the_checkpoint_of_its_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(space_that_is_in_use_again_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(zeroing_keeps_space_and_lets_the_file_grow, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_file_can_be_punched_and_zeroed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_punch_goes_in_steps_over_what_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_are_refused_before_anything_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(after_a_failing_lower_call_the_old_content_or_the_new_is_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
