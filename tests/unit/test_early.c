/* test_early.c: reads in three steps (iofile_early_*): what comes out is what iofile_read would give at the end, whatever happened since the beginning. */
#include "io_fixture.h"

#define SIZE (1u << 20)
#define MANY 16

struct vol {
	struct io_fixture x;
	struct vio_params p;
	unsigned events;
	uint8_t *model, *buf;
};

static int cb_sync_names(void *ctx, void *owner)
{
	(void)ctx;
	(void)owner;
	return 0;
}

static void cb_event(void *ctx, enum vio_event ev, const char *text)
{
	struct vol *t = ctx;

	(void)text;
	t->events += ev == VIO_EVENT_INTEGRITY;
}

/* At rest, with nothing in memory. */
static void remount(struct vol *t)
{
	assert_int_equal(vio_sync(t->x.v), 0);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	for (int i = 0; i < 2; i++) {
		if (t->x.f[i])
			assert_int_equal(iofile_close(t->x.f[i]), 0);
		t->x.f[i] = NULL;
	}
	assert_int_equal(vio_close(t->x.v), 0);
	assert_int_equal(vio_open(&t->p, &t->x.v), 0);
}

static struct iofile *file(struct vol *t)
{
	return io_fixture_file(&t->x, 0);
}

static void put(struct vol *t, uint64_t off, size_t len, unsigned seed)
{
	for (size_t k = 0; k < len; k++)
		t->model[off + k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
	assert_int_equal(iofile_write(file(t), t->model + off, len, off, false), len);
}

/* The metadata of the group at off comes into memory. */
static void warm(struct vol *t, uint64_t off)
{
	assert_int_equal(iofile_read(file(t), t->buf, BLOCK_SIZE, off), BLOCK_SIZE);
}

static int setup(void **state)
{
	struct vol *t = calloc(1, sizeof(*t));

	io_fixture_init(&t->x);
	t->p = (struct vio_params){
		.lower = lower_real(), .root_fd = t->x.root, .ring = t->x.ring, .no_threads = true, .dirty_bytes = 8 << 20, .cache_bytes = 1 << 20,
		.cb = { .ctx = t, .reopen = io_fixture_reopen, .sync_names = cb_sync_names, .event = cb_event },
	};
	assert_int_equal(vio_format(&t->p, IO_FIXTURE_LOG_BLOCKS), 0);
	assert_int_equal(vio_open(&t->p, &t->x.v), 0);
	t->model = calloc(1, SIZE);
	t->buf = aligned_alloc(BLOCK_SIZE, MANY * IOFILE_EARLY_MAX);
	assert_true(t->model && t->buf);
	put(t, 0, SIZE, 1);
	remount(t);
	warm(t, 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct vol *t = *state;

	free(t->model);
	free(t->buf);
	io_fixture_done(&t->x);
	free(t);
	return 0;
}

static void begin(struct vol *t, struct iofile_early *e, unsigned slot, size_t len, uint64_t off)
{
	memset(t->buf + slot * IOFILE_EARLY_MAX, 0xee, IOFILE_EARLY_MAX);
	assert_true(iofile_early_begin(file(t), t->buf + slot * IOFILE_EARLY_MAX, len, off, e));
}

static void end(struct vol *t, struct iofile_early *e)
{
	uint64_t off = e->off;
	size_t len = e->len;

	assert_int_equal(iofile_early_end(e), len);
	assert_memory_equal(e->buf, t->model + off, len);
	assert_int_equal(t->events, 0);
}

static void many_reads_are_under_way_at_once(void **state)
{
	struct vol *t = *state;
	struct iofile_early e[MANY];

	for (unsigned k = 0; k < MANY; k++)
		begin(t, &e[k], k, BLOCK_SIZE * (1 + k % 3), BLOCK_SIZE * (uint64_t)(5 + 7 * k));
	iofile_early_wait(e, MANY);
	for (unsigned k = 0; k < MANY; k++)
		end(t, &e[k]);
	begin(t, e, 0, IOFILE_EARLY_MAX, 0);
	iofile_early_wait(e, 1);
	end(t, e);
}

static bool begins(struct vol *t, size_t len, uint64_t off)
{
	struct iofile_early e;

	if (!iofile_early_begin(file(t), t->buf, len, off, &e))
		return false;
	iofile_early_wait(&e, 1);
	assert_int_equal(iofile_early_end(&e), len);
	return true;
}

static void what_is_not_whole_and_at_home_is_not_begun(void **state)
{
	struct vol *t = *state;
	uint64_t freed;

	assert_true(begins(t, BLOCK_SIZE, 0));
	assert_false(begins(t, 0, 0));
	t->buf += 512;
	assert_false(begins(t, BLOCK_SIZE, 0));
	t->buf -= 512;
	assert_false(begins(t, BLOCK_SIZE, 1));
	assert_false(begins(t, 1000, 0));
	assert_false(begins(t, IOFILE_EARLY_MAX + BLOCK_SIZE, 0));
	assert_false(begins(t, BLOCK_SIZE, SIZE));
	assert_false(begins(t, 2 * BLOCK_SIZE, SIZE - BLOCK_SIZE));
	assert_false(begins(t, 2 * BLOCK_SIZE, GROUP_PLAIN - BLOCK_SIZE));
	assert_false(begins(t, BLOCK_SIZE, GROUP_PLAIN)); /* its metadata is not in memory */
	warm(t, GROUP_PLAIN);
	assert_true(begins(t, BLOCK_SIZE, GROUP_PLAIN));
	put(t, 3 * BLOCK_SIZE, 10, 2);
	assert_false(begins(t, BLOCK_SIZE, 3 * BLOCK_SIZE));
	assert_false(begins(t, 4 * BLOCK_SIZE, 0));
	assert_true(begins(t, 3 * BLOCK_SIZE, 0));
	assert_int_equal(iofile_punch(file(t), 8 * BLOCK_SIZE, BLOCK_SIZE, IOFILE_KEEP_SIZE, &freed), 0);
	assert_false(begins(t, BLOCK_SIZE, 8 * BLOCK_SIZE));
}

static void what_was_written_meanwhile_is_what_is_read(void **state)
{
	struct vol *t = *state;
	struct iofile_early e[2];

	/* once it waits in memory, once it is home again */
	for (int home = 0; home < 2; home++) {
		begin(t, &e[0], 0, 3 * BLOCK_SIZE, 10 * BLOCK_SIZE);
		begin(t, &e[1], 1, BLOCK_SIZE, 20 * BLOCK_SIZE);
		iofile_early_wait(e, 2);
		put(t, 11 * BLOCK_SIZE + 5, 100, 3 + (unsigned)home);
		if (home) {
			assert_int_equal(iofile_fsync(file(t), false), 0);
			assert_int_equal(vio_checkpoint(t->x.v), 0);
		}
		end(t, &e[0]);
		end(t, &e[1]);
		assert_int_equal(iofile_fsync(file(t), false), 0);
		assert_int_equal(vio_checkpoint(t->x.v), 0);
	}
}

static void what_was_cut_or_punched_meanwhile_is_gone(void **state)
{
	struct vol *t = *state;
	struct iofile_early e[3];
	uint64_t freed;

	begin(t, &e[0], 0, 2 * BLOCK_SIZE, 4 * BLOCK_SIZE);
	begin(t, &e[1], 1, 2 * BLOCK_SIZE, 10 * BLOCK_SIZE);
	begin(t, &e[2], 2, 2 * BLOCK_SIZE, 20 * BLOCK_SIZE);
	iofile_early_wait(e, 3);
	assert_int_equal(iofile_punch(file(t), 5 * BLOCK_SIZE, BLOCK_SIZE, IOFILE_KEEP_SIZE | IOFILE_GIVE_BACK, &freed), 0);
	assert_int_equal(iofile_truncate(file(t), 10 * BLOCK_SIZE + 100), 0);
	assert_int_equal(iofile_fsync(file(t), false), 0);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	memset(t->model + 5 * BLOCK_SIZE, 0, BLOCK_SIZE);
	end(t, &e[0]);
	assert_int_equal(iofile_early_end(&e[1]), 100);
	assert_memory_equal(e[1].buf, t->model + 10 * BLOCK_SIZE, 100);
	assert_int_equal(iofile_early_end(&e[2]), 0);
	assert_int_equal(t->events, 0);
}

static void flip(struct vol *t, uint64_t off)
{
	uint64_t at = layout_block_off(off / BLOCK_SIZE) + off % BLOCK_SIZE;
	int fd = openat(t->x.root, t->x.name[0], O_RDWR);
	uint8_t b;

	assert_int_equal(pread(fd, &b, 1, (off_t)at), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, (off_t)at), 1);
	assert_int_equal(fsync(fd), 0);
	(void)close(fd);
}

static void damage_is_eio_and_counted_once(void **state)
{
	struct vol *t = *state;
	struct iofile_early e;

	flip(t, 31 * BLOCK_SIZE + 77);
	begin(t, &e, 0, 2 * BLOCK_SIZE, 30 * BLOCK_SIZE);
	iofile_early_wait(&e, 1);
	assert_int_equal(iofile_early_end(&e), -EIO);
	assert_int_equal(t->events, 1);
}

/* As when a read met a home write half done: what came does not verify, what is there does. */
static void what_did_not_verify_is_read_again(void **state)
{
	struct vol *t = *state;
	struct iofile_early e;

	flip(t, 31 * BLOCK_SIZE + 77);
	begin(t, &e, 0, 3 * BLOCK_SIZE, 30 * BLOCK_SIZE);
	iofile_early_wait(&e, 1);
	flip(t, 31 * BLOCK_SIZE + 77);
	end(t, &e);
}

static void a_read_that_failed_or_came_short_is_made_again(void **state)
{
	static const ssize_t results[] = { -EIO, 0, BLOCK_SIZE };
	struct vol *t = *state;
	struct iofile_early e;

	for (unsigned k = 0; k < 3; k++) {
		begin(t, &e, 0, 2 * BLOCK_SIZE, 30 * BLOCK_SIZE);
		iofile_early_wait(&e, 1);
		memset(e.buf, 0x11, e.len);
		e.req.result = results[k];
		end(t, &e);
	}
}

static void metadata_may_leave_the_cache_meanwhile(void **state)
{
	struct vol *t = *state;
	struct iofile_early e[2];

	t->p.cache_bytes = BLOCK_SIZE;
	remount(t);
	for (uint64_t off = 0; off <= 6 * BLOCK_SIZE; off += 6 * BLOCK_SIZE) {
		warm(t, 0);
		begin(t, &e[0], 1, 2 * BLOCK_SIZE, off);
		iofile_early_wait(e, 1);
		warm(t, GROUP_PLAIN);
		assert_false(iofile_early_begin(file(t), t->buf, BLOCK_SIZE, off, &e[1])); /* it has left */
		end(t, &e[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_reads_are_under_way_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_whole_and_at_home_is_not_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_written_meanwhile_is_what_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_cut_or_punched_meanwhile_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_eio_and_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_did_not_verify_is_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_that_failed_or_came_short_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(metadata_may_leave_the_cache_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
