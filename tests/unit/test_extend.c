/* test_extend.c: a file that grows in bulk is longer below than it needs, until a checkpoint; a user's allocation is never cut (iofile_extend.c). */
#include "io_fixture.h"

#define MIB (1u << 20)

struct vol {
	struct io_fixture x;
	struct vio_params p;
	struct lower lower;
	struct lower_ops ops;
	uint8_t *buf;
	unsigned made;           /* extensions */
	int refuse;              /* -errno for them; 0: none */
};

static struct vol *the;

static int count_fallocate(struct lower *l, int fd, int mode, uint64_t off, uint64_t len)
{
	if (mode == 0) {
		the->made++;
		if (the->refuse)
			return the->refuse;
	}
	return lower_real()->ops->fallocate(l, fd, mode, off, len);
}

static int cb_sync_names(void *ctx, void *owner)
{
	(void)ctx;
	(void)owner;
	return 0;
}

static struct iofile *file(struct vol *t)
{
	return io_fixture_file(&t->x, 0);
}

static struct stat below(struct vol *t)
{
	struct stat st;

	assert_int_equal(fstatat(t->x.root, t->x.name[0], &st, 0), 0);
	return st;
}

static void grow(struct vol *t, unsigned from, unsigned to)
{
	for (unsigned k = from; k < to; k++) {
		memset(t->buf, (int)k + 1, MIB);
		assert_int_equal(iofile_write(file(t), t->buf, MIB, (uint64_t)k * MIB, false), MIB);
	}
}

static void rest(struct vol *t)
{
	for (int i = 0; i < 2; i++) { /* a cut waits until something vouches for its commit */
		assert_int_equal(iofile_fsync(file(t), false), 0);
		assert_int_equal(vio_checkpoint(t->x.v), 0);
	}
}

static void expect(struct vol *t, unsigned mib)
{
	assert_int_equal(iofile_size(file(t)), (uint64_t)mib * MIB);
	for (unsigned k = 0; k < mib; k++) {
		assert_int_equal(iofile_read(file(t), t->buf, MIB, (uint64_t)k * MIB), MIB);
		assert_true(t->buf[0] == k + 1 && t->buf[MIB - 1] == k + 1);
	}
}

static uint64_t needed(unsigned mib)
{
	return (uint64_t)mib * MIB + mib * 2ull * BLOCK_SIZE;
}

static int setup(void **state)
{
	struct vol *t = calloc(1, sizeof(*t));

	the = t;
	io_fixture_init(&t->x);
	t->ops = *lower_real()->ops;
	t->ops.fallocate = count_fallocate;
	t->lower = (struct lower){ .ops = &t->ops };
	t->p = (struct vio_params){
		.lower = &t->lower, .root_fd = t->x.root, .ring = t->x.ring, .no_threads = true, .dirty_bytes = 8 << 20,
		.cb = { .ctx = t, .reopen = io_fixture_reopen, .sync_names = cb_sync_names },
	};
	t->buf = aligned_alloc(BLOCK_SIZE, MIB + 2 * BLOCK_SIZE);
	assert_non_null(t->buf);
	assert_int_equal(vio_format(&t->p, IO_FIXTURE_LOG_BLOCKS), 0);
	assert_int_equal(vio_open(&t->p, &t->x.v), 0);
	t->made = 0;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct vol *t = *state;

	io_fixture_done(&t->x);
	free(t->buf);
	free(t);
	return 0;
}

static void what_grows_is_made_longer_ahead_and_cut_by_a_checkpoint(void **state)
{
	struct vol *t = *state;

	grow(t, 0, 1);
	assert_int_equal(t->made, 0);
	grow(t, 1, 20);
	assert_in_range(t->made, 2, 6);
	assert_true((uint64_t)below(t).st_size > needed(20));
	rest(t);
	assert_int_equal(below(t).st_size, needed(20));
	assert_true((uint64_t)below(t).st_blocks * 512 < needed(20) + MIB / 2);
	assert_true(iofile_is_idle(file(t)));
	expect(t, 20);
	grow(t, 20, 24);
	assert_true((uint64_t)below(t).st_size > needed(24));
	rest(t);
	assert_int_equal(below(t).st_size, needed(24));
	expect(t, 24);
}

static void what_was_ahead_at_a_crash_does_no_harm(void **state)
{
	struct vol *t = *state;

	grow(t, 0, 5);
	assert_int_equal(iofile_fsync(file(t), false), 0);
	assert_true((uint64_t)below(t).st_size > needed(5));
	io_fixture_crash(&t->x);
	assert_int_equal(vio_open(&t->p, &t->x.v), 0);
	expect(t, 5);
	t->made = 0;
	grow(t, 5, 8);
	assert_int_equal(t->made, 0); /* who opened it does not know what is there */
	rest(t);
	expect(t, 8);
}

static void a_users_allocation_stays(void **state)
{
	struct vol *t = *state;

	grow(t, 0, 6);
	assert_true(t->made > 0);
	assert_int_equal(iofile_allocate(file(t), 6 * MIB, 10 * MIB, true), 0);
	t->made = 0;
	grow(t, 6, 9);
	assert_int_equal(t->made, 0);
	rest(t);
	assert_true((uint64_t)below(t).st_blocks * 512 >= needed(16));
	expect(t, 9);
}

static void a_backing_that_refuses_is_asked_once(void **state)
{
	struct vol *t = *state;

	t->refuse = -ENOSPC;
	grow(t, 0, 6);
	t->refuse = 0;
	grow(t, 6, 12);
	assert_int_equal(t->made, 1);
	rest(t);
	assert_int_equal(below(t).st_size, needed(12));
	expect(t, 12);
}

static void a_place_far_out_is_no_growth(void **state)
{
	struct vol *t = *state;

	grow(t, 0, 2);
	t->made = 0;
	memset(t->buf, 7, MIB);
	assert_int_equal(iofile_write(file(t), t->buf, MIB, 400ull * MIB, false), MIB);
	assert_int_equal(t->made, 0);
	rest(t);
	assert_int_equal(iofile_read(file(t), t->buf, MIB, 400ull * MIB), MIB);
	assert_int_equal(t->buf[5], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_grows_is_made_longer_ahead_and_cut_by_a_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_ahead_at_a_crash_does_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(a_users_allocation_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backing_that_refuses_is_asked_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_place_far_out_is_no_growth, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
