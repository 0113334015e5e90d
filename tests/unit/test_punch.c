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

/* The backing has no room left; the ballast is spent. */
static void fill_disk(struct world *w)
{
	struct op more[] = { { OP_CREATE, 'b', 0, 0 }, { OP_WRITE, 'b', 0, 20 * B }, { OP_FSYNC, 'b', 0, 0 } };

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(world_op(w, &more[i]), 0);
	simfs_set_capacity(w->fs, simfs_used(w->fs));
	assert_int_equal(vio_checkpoint(w->v), 0); /* has to spend it */
	simfs_set_capacity(w->fs, simfs_used(w->fs));
	more[1].off = 30 * B;
	assert_int_equal(world_op(w, &more[1]), -ENOSPC);
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

/* ---- where data and holes are */

static void seek_is(struct world *w, uint64_t off, uint64_t data, uint64_t hole)
{
	uint64_t got = 0;
	int r = iofile_seek(w->f[0].io, off, false, &got);

	if (data == UINT64_MAX) {
		assert_int_equal(r, -ENXIO);
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(got, data);
	}
	r = iofile_seek(w->f[0].io, off, true, &got);
	if (hole == UINT64_MAX) {
		assert_int_equal(r, -ENXIO);
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(got, hole);
	}
}

static void data_and_holes_are_found_before_and_after_they_come_home(void **state)
{
	struct world *w = *state;

	op(w, OP_CREATE, 0, 0);
	seek_is(w, 0, UINT64_MAX, UINT64_MAX);
	op(w, OP_TRUNCATE, 5 * G + 100, 0);
	seek_is(w, 7, UINT64_MAX, 7);
	op(w, OP_WRITE, 2 * G + 3 * B + 5, 2 * B);
	op(w, OP_WRITE, 5 * G, 100);
	for (int k = 0; k < 4; k++) {
		seek_is(w, 0, 2 * G + 3 * B, 0);
		seek_is(w, 2 * G + 3 * B + 77, 2 * G + 3 * B + 77, 2 * G + 6 * B);
		seek_is(w, 2 * G + 6 * B, 5 * G, 2 * G + 6 * B);
		seek_is(w, 5 * G + 99, 5 * G + 99, 5 * G + 100);
		seek_is(w, 5 * G + 100, UINT64_MAX, UINT64_MAX);
		if (k == 0)
			op(w, OP_FSYNC, 0, 0);
		else if (k == 1)
			op(w, OP_CHECKPOINT, 0, 0);
		else
			kill_and_check(w);
	}
	op(w, OP_PUNCH, 2 * G + 4 * B, B);
	seek_is(w, 2 * G + 3 * B, 2 * G + 3 * B, 2 * G + 4 * B);
	seek_is(w, 2 * G + 4 * B, 2 * G + 5 * B, 2 * G + 4 * B);
	op(w, OP_PUNCH, 5 * G, 100);
	seek_is(w, 3 * G, UINT64_MAX, 3 * G);
}

/* ---- space allocated ahead */

static void allocated_space_stays_until_it_is_punched_or_cut(void **state)
{
	struct world *w = *state;
	uint64_t before;

	make(w, G + 3 * B);
	before = space(w);
	op(w, OP_ALLOCATE, 3 * G + 2 * B, 2 * G);
	assert_int_equal(iofile_size(w->f[0].io), 5 * G + 2 * B);
	assert_int_equal(space(w), before + 2 * 128 + 3);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), before + 2 * 128 + 3);
	op(w, OP_WRITE, 4 * G, G);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), before + 2 * 128 + 3);
	op(w, OP_PUNCH, 3 * G, G); /* nobody ever had it */
	assert_int_equal(space(w), before + 128 + 4);
	op(w, OP_TRUNCATE, G, 0);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), 129);
	kill_and_check(w);
}

static void a_cut_before_does_not_take_what_is_allocated_after(void **state)
{
	struct world *w = *state;

	make(w, 4 * G);
	op(w, OP_TRUNCATE, G, 0);
	op(w, OP_PUNCH, 0, B);
	op(w, OP_ALLOCATE, 0, 3 * G);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), 3 * 129);
	kill_and_check(w);
}

static void space_behind_the_end_keeps_the_size(void **state)
{
	struct world *w = *state;

	make(w, 100);
	assert_int_equal(iofile_allocate(w->f[0].io, 0, 2 * G, true), 0);
	assert_int_equal(iofile_size(w->f[0].io), 100);
	assert_int_equal(space(w), 2 * 129);
	assert_int_equal(iofile_allocate(w->f[0].io, 0, 0, true), -EINVAL);
	assert_int_equal(iofile_allocate(w->f[0].io, 5, FILE_SIZE_MAX, true), -EFBIG);
	op(w, OP_WRITE, B, 3 * B);
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), 2 * 129);
}

/* What was allocated can be written when nothing else can. */
static void a_full_disk_takes_writes_into_what_was_allocated(void **state)
{
	struct world *w = *state;

	make(w, B);
	op(w, OP_ALLOCATE, 0, 2 * G);
	fill_disk(w);
	assert_int_equal(iofile_allocate(w->f[0].io, 2 * G, 3 * G, false), -ENOSPC);
	for (uint64_t at = 0; at < 2 * G; at += G) {
		op(w, OP_WRITE, at, G);
		op(w, OP_WRITE, at + 5, 9 * B);
		op(w, OP_FSYNC, 0, 0);
		op(w, OP_CHECKPOINT, 0, 0);
	}
	kill_and_check(w);
}

static void a_backing_that_cannot_allocate_is_told(void **state)
{
	struct world *w = *state;

	make(w, B);
	fault_fail(fault, FAULT_OF(fallocate), 1, EOPNOTSUPP, FAULT_FOREVER, 0);
	assert_int_equal(try_op(w, OP_ALLOCATE, 0, G), -EOPNOTSUPP);
	assert_null(world_reread(w));
	op(w, OP_PUNCH, 0, B); /* reads as zeros; the space stays */
	op(w, OP_FSYNC, 0, 0);
	op(w, OP_CHECKPOINT, 0, 0);
	assert_int_equal(space(w), 2);
	fault_fail(fault, 0, 0, 0, 0, 0);
}

/* ---- copies */

static void a_copy_is_sealed_anew_and_keeps_holes(void **state)
{
	struct op other[] = { { OP_CREATE, 'b', 0, 0 }, { OP_COPY, 'a', 0, G + 777 } };
	struct world *w = *state;
	uint8_t *buf = aligned_alloc(B, VIO_WRITE_MAX + 2 * B);
	uint64_t at = 0;

	op(w, OP_CREATE, 0, 0);
	op(w, OP_WRITE, 100, 3 * B);
	op(w, OP_WRITE, G - 5, 9000);
	op(w, OP_WRITE, 4 * G + 5, B);
	assert_int_equal(world_op(w, &other[0]), 0);
	assert_int_equal(world_op(w, &other[1]), 0);
	op(w, OP_COPY, 5, G);
	assert_int_equal(iofile_copy(w->f[0].io, 0, w->f[1].io, 0, 8 * G, buf), 4 * G + 5 + B); /* many pieces; to the end */
	assert_int_equal(iofile_size(w->f[1].io), 4 * G + 5 + B);
	w->f[1].size = 4 * G + 5 + B;
	memcpy(w->f[1].bytes, w->f[0].bytes, w->f[1].size);
	assert_null(world_reread(w));
	assert_int_equal(iofile_seek(w->f[1].io, 3 * G, false, &at), 0);
	assert_int_equal(at, 4 * G);
	assert_int_equal(iofile_copy(w->f[0].io, 5 * G, w->f[1].io, 0, 1, buf), 0);
	assert_int_equal(iofile_copy(w->f[0].io, 0, w->f[0].io, 99, 100, buf), -EINVAL);
	assert_null(world_reread(w));
	free(buf);
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
		cmocka_unit_test_setup_teardown(data_and_holes_are_found_before_and_after_they_come_home, setup, teardown),
		cmocka_unit_test_setup_teardown(allocated_space_stays_until_it_is_punched_or_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_before_does_not_take_what_is_allocated_after, setup, teardown),
		cmocka_unit_test_setup_teardown(space_behind_the_end_keeps_the_size, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_takes_writes_into_what_was_allocated, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backing_that_cannot_allocate_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_is_sealed_anew_and_keeps_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(after_a_failing_lower_call_the_old_content_or_the_new_is_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
