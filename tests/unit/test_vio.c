/* test_vio.c: the volume's I/O over a real directory: files against a byte-array model, in one process, with crashes of the process (vio_abandon)
 * and clean closes between. What a power cut does is tests/crash's. */
#include "io_fixture.h"

#define FILES 3
#define MODEL_MAX (3u << 20)

struct vol {
	struct io_fixture x;
	unsigned events;
};

static int cb_sync_names(void *ctx, void *owner)
{
	struct vol *t = ctx;

	(void)owner;
	return fsync(t->x.root) < 0 ? -errno : 0;
}

static void cb_event(void *ctx, enum vio_event ev, const char *text)
{
	struct vol *t = ctx;

	(void)text;
	t->events += ev == VIO_EVENT_INTEGRITY;
}

static struct vio_params params(struct vol *t)
{
	return (struct vio_params){
		.lower = lower_real(), .root_fd = t->x.root, .ring = t->x.ring, .no_threads = true, .dirty_bytes = 8 << 20,
		.cb = { .ctx = t, .reopen = io_fixture_reopen, .sync_names = cb_sync_names, .event = cb_event },
	};
}

static int setup(void **state)
{
	struct vol *t = calloc(1, sizeof(*t));
	struct vio_params p;

	io_fixture_init(&t->x);
	p = params(t);
	assert_int_equal(vio_format(&p, IO_FIXTURE_LOG_BLOCKS), 0);
	assert_int_equal(vio_open(&p, &t->x.v), 0);
	*state = t;
	return 0;
}

static void close_files(struct vol *t, bool discard)
{
	for (int i = 0; i < FILES; i++) {
		if (!t->x.f[i])
			continue;
		if (discard)
			iofile_discard(t->x.f[i]);
		else
			assert_int_equal(iofile_close(t->x.f[i]), 0);
		t->x.f[i] = NULL;
	}
}

static int teardown(void **state)
{
	struct vol *t = *state;

	io_fixture_done(&t->x);
	free(t);
	return 0;
}

static struct iofile *file(struct vol *t, int i)
{
	return io_fixture_file(&t->x, i);
}

/* clean: unmount; else: the process dies. Then mount again. */
static void remount(struct vol *t, bool clean)
{
	struct vio_params p = params(t);

	if (clean) {
		assert_int_equal(vio_sync(t->x.v), 0);
		assert_int_equal(vio_checkpoint(t->x.v), 0);
		close_files(t, false);
		assert_int_equal(vio_close(t->x.v), 0);
	} else {
		close_files(t, true);
		vio_abandon(t->x.v);
	}
	t->x.v = NULL;
	assert_int_equal(vio_open(&p, &t->x.v), 0);
}

static void *aligned(size_t n)
{
	void *p = aligned_alloc(BLOCK_SIZE, (n + 2 * BLOCK_SIZE) / BLOCK_SIZE * BLOCK_SIZE);

	assert_non_null(p);
	return p;
}

static void expect(struct vol *t, int i, const uint8_t *model, size_t size)
{
	uint8_t *got = aligned(size + BLOCK_SIZE);

	assert_int_equal(iofile_size(file(t, i)), size);
	assert_int_equal(iofile_read(file(t, i), got, size + 1, 0), size);
	assert_memory_equal(got, model, size);
	free(got);
}

static void put(struct vol *t, int i, uint8_t *model, size_t *size, size_t off, size_t len, uint32_t seed)
{
	for (size_t k = 0; k < len; k++)
		model[off + k] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
	for (size_t at = 0, n; at < len; at += n) {
		n = len - at < VIO_WRITE_MAX ? len - at : VIO_WRITE_MAX;
		assert_int_equal(iofile_write(file(t, i), model + off + at, n, off + at, false), n);
	}
	if (off + len > *size)
		*size = off + len;
}

static void small_write_reads_back_before_and_after_every_step(void **state)
{
	struct vol *t = *state;
	uint8_t *m = calloc(1, MODEL_MAX);
	size_t size = 0;

	put(t, 0, m, &size, 0, 1, 1);
	expect(t, 0, m, size);
	put(t, 0, m, &size, 4095, 3, 2);
	expect(t, 0, m, size);
	assert_int_equal(iofile_fsync(file(t, 0), false), 0);
	expect(t, 0, m, size);
	assert_int_equal(vio_checkpoint(t->x.v), 0);
	expect(t, 0, m, size);
	put(t, 0, m, &size, 100, 5000, 3);
	assert_int_equal(iofile_fsync(file(t, 0), false), 0);
	remount(t, false);
	expect(t, 0, m, size);
	remount(t, true);
	expect(t, 0, m, size);
	free(m);
}

static int truncateat(struct vol *t, int i, off_t len)
{
	int fd = openat(t->x.root, t->x.name[i], O_RDWR), r;

	assert_true(fd >= 0);
	r = ftruncate(fd, len);
	(void)close(fd);
	return r;
}

static void what_was_not_committed_is_gone_after_a_crash(void **state)
{
	struct vol *t = *state;
	uint8_t *m = calloc(1, MODEL_MAX), *old = calloc(1, MODEL_MAX);
	size_t size = 0, old_size;

	put(t, 0, m, &size, 0, 9000, 1);
	assert_int_equal(iofile_fsync(file(t, 0), false), 0);
	memcpy(old, m, MODEL_MAX);
	old_size = size;
	put(t, 0, m, &size, 3000, 20000, 2);
	remount(t, false);
	expect(t, 0, old, old_size);
	free(m);
	free(old);
}

static void bulk_write_goes_home_and_survives(void **state)
{
	struct vol *t = *state;
	uint8_t *m = calloc(1, MODEL_MAX);
	size_t size = 0;

	put(t, 1, m, &size, 0, 2500000, 7);
	expect(t, 1, m, size);
	assert_int_equal(iofile_fsync(file(t, 1), false), 0);
	expect(t, 1, m, size);
	put(t, 1, m, &size, 700000, 300000, 8);
	expect(t, 1, m, size);
	assert_int_equal(iofile_fsync(file(t, 1), false), 0);
	remount(t, false);
	expect(t, 1, m, size);
	remount(t, true);
	expect(t, 1, m, size);
	assert_int_equal(iofile_truncate(file(t, 1), 0), 0);
	size = 0;
	memset(m, 0, MODEL_MAX);
	put(t, 1, m, &size, 0, 2000000, 9);
	expect(t, 1, m, size);
	assert_int_equal(iofile_fsync(file(t, 1), false), 0);
	remount(t, false);
	expect(t, 1, m, size);
	free(m);
}

static void gaps_beyond_the_limit_are_filled(void **state)
{
	struct vol *t = *state;
	uint8_t b[1] = { 'x' }, *got = aligned(BLOCK_SIZE);

	for (uint64_t i = 0; i < 60; i++)
		assert_int_equal(iofile_write(file(t, 0), b, 1, (2 + 3 * i) * GROUP_PLAIN + i, false), 1);
	assert_int_equal(iofile_fsync(file(t, 0), false), 0);
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 60; i++) {
			assert_int_equal(iofile_read(file(t, 0), got, 1, (2 + 3 * i) * GROUP_PLAIN + i), 1);
			assert_int_equal(got[0], 'x');
			assert_int_equal(iofile_read(file(t, 0), got, 1, (3 + 3 * i) * GROUP_PLAIN), i < 59 ? 1 : 0);
			if (i < 59)
				assert_int_equal(got[0], 0);
		}
		remount(t, round == 1);
	}
	free(got);
}

struct op_log {
	char what;
	int file;
	size_t a, b;
};

static uint32_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return (uint32_t)(*s >> 11);
}

struct model {
	uint8_t *now, *synced;
	size_t size, synced_size;
	bool exact;              /* nothing was written since the last fsync */
};

static size_t some_length(uint64_t *s)
{
	switch (rnd(s) % 4) {
	case 0:
		return 1 + rnd(s) % 5000;
	case 1:
		return 4096 * (1 + rnd(s) % 8);
	case 2:
		return 1 + rnd(s) % 60000;
	default:
		return 1 + rnd(s) % 800000;
	}
}

static void model_op(struct vol *t, struct model *m, int i, uint64_t *s)
{
	size_t off = rnd(s) % (MODEL_MAX / 2), len = some_length(s);

	if (rnd(s) % 2)
		off = off / BLOCK_SIZE * BLOCK_SIZE;
	if (rnd(s) % 3 == 0)
		off = m->size;
	if (off + len > MODEL_MAX)
		len = MODEL_MAX - off;
	switch (rnd(s) % 12) {
	case 0:
	case 1:
		len = rnd(s) % 3 ? rnd(s) % MODEL_MAX : rnd(s) % 10000;
		assert_int_equal(iofile_truncate(file(t, i), len), 0);
		if (len < m->size)
			memset(m->now + len, 0, m->size - len);
		m->size = len;
		m->exact = false;
		break;
	case 2:
	case 3:
	case 4:
		assert_int_equal(iofile_fsync(file(t, i), false), 0);
		memcpy(m->synced, m->now, MODEL_MAX);
		m->synced_size = m->size;
		m->exact = true;
		break;
	case 5:
		assert_int_equal(vio_checkpoint(t->x.v), 0);
		break;
	default:
		if (len == 0)
			break;
		put(t, i, m->now, &m->size, off, len, rnd(s));
		m->exact = false;
	}
}

/* A crash of the process: each file reads as at its last fsync (no other commit happens without threads, unless memory pressure commits; then as now). */
static void after_crash(struct vol *t, struct model *m, int i)
{
	uint8_t *got = aligned(MODEL_MAX + BLOCK_SIZE);
	size_t size = (size_t)iofile_size(file(t, i));

	assert_int_equal(iofile_read(file(t, i), got, MODEL_MAX, 0), size);
	assert_true(size == m->synced_size);
	assert_memory_equal(got, m->synced, size);
	memset(m->now, 0, MODEL_MAX);
	memcpy(m->now, got, size);
	m->size = size;
	m->exact = true;
	free(got);
}

static void random_programs_match_a_byte_array(void **state)
{
	struct vol *t = *state;
	const char *env = getenv("VIO_SEED");
	uint64_t s = env ? strtoull(env, NULL, 0) : 88172645463325252ull;
	struct model m[FILES];
	int rounds = getenv("VIO_OPS") ? atoi(getenv("VIO_OPS")) : 600;

	for (int i = 0; i < FILES; i++)
		m[i] = (struct model){ calloc(1, MODEL_MAX), calloc(1, MODEL_MAX), 0, 0, true };
	for (int n = 0; n < rounds; n++) {
		int i = (int)(rnd(&s) % FILES);

		model_op(t, &m[i], i, &s);
		if (rnd(&s) % 8 == 0)
			expect(t, i, m[i].now, m[i].size);
		if (rnd(&s) % 60 == 0) {
			/* so that pressure commits cannot blur what is expected: all is committed, then some is not */
			for (i = 0; i < FILES; i++) {
				assert_int_equal(iofile_fsync(file(t, i), false), 0);
				memcpy(m[i].synced, m[i].now, MODEL_MAX);
				m[i].synced_size = m[i].size;
			}
			if (rnd(&s) % 2)
				assert_int_equal(vio_checkpoint(t->x.v), 0);
			put(t, 0, m[0].now, &m[0].size, 5000, 3000, 5);
			remount(t, false);
			for (i = 0; i < FILES; i++)
				after_crash(t, &m[i], i);
		}
		if (rnd(&s) % 100 == 0) {
			remount(t, true);
			for (i = 0; i < FILES; i++)
				expect(t, i, m[i].now, m[i].size);
		}
	}
	for (int i = 0; i < FILES; i++) {
		expect(t, i, m[i].now, m[i].size);
		free(m[i].now);
		free(m[i].synced);
	}
	assert_int_equal(t->events, 0);
}

/* What is pending of a file must be within reach of a commit, or writers wait for room for ever. */
static void a_first_write_of_all_that_may_wait_finds_room(void **state)
{
	struct vol *t = *state;
	uint8_t *m = calloc(1, MODEL_MAX);
	struct vio_params p = params(t);
	size_t size = 0;

	assert_int_equal(vio_close(t->x.v), 0);
	p.dirty_bytes = VIO_WRITE_MAX;
	assert_int_equal(vio_open(&p, &t->x.v), 0);
	(void)alarm(20);
	put(t, 0, m, &size, 0, VIO_WRITE_MAX, 1);
	put(t, 1, m, &size, 0, VIO_WRITE_MAX, 2);
	(void)alarm(0);
	expect(t, 1, m, size);
	free(m);
}

static void a_flipped_byte_is_eio_and_counted(void **state)
{
	struct vol *t = *state;
	uint8_t *m = calloc(1, MODEL_MAX), *got = aligned(10 * BLOCK_SIZE), b;
	size_t size = 0;
	int fd;

	put(t, 0, m, &size, 0, 30000, 1);
	remount(t, true);
	fd = openat(t->x.root, t->x.name[0], O_RDWR);
	assert_int_equal(pread(fd, &b, 1, 2 * BLOCK_SIZE + 17), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, 2 * BLOCK_SIZE + 17), 1);
	assert_int_equal(iofile_read(file(t, 0), got, BLOCK_SIZE, 0), BLOCK_SIZE);
	assert_int_equal(iofile_read(file(t, 0), got, BLOCK_SIZE, BLOCK_SIZE), -EIO);
	assert_int_equal(t->events, 1);
	close(fd);
	free(m);
	free(got);
}

/* Its entries behind the cut are zero, so what is left verifies; read alone or with data, it is not whole. */
static void a_metadata_block_that_is_cut_is_eio(void **state)
{
	struct vol *t = *state;
	uint8_t *m = calloc(1, MODEL_MAX), *got = aligned(BLOCK_SIZE);
	size_t size = 0;

	for (unsigned k = 0; k < 2; k++) {
		put(t, (int)k, m, &size, 0, 100, 1);
		put(t, (int)k, m, &size, GROUP_PLAIN + 2 * BLOCK_SIZE, BLOCK_SIZE, 2);
	}
	remount(t, true);
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(iofile_size(file(t, (int)k)), GROUP_PLAIN + 3 * BLOCK_SIZE);
		assert_int_equal(truncateat(t, (int)k, (off_t)layout_group_off(1) + 1000), 0);
		assert_int_equal(iofile_read(file(t, (int)k), got, BLOCK_SIZE, GROUP_PLAIN + k * BLOCK_SIZE), -EIO);
		assert_int_equal(t->events, k + 1);
	}
	free(m);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(small_write_reads_back_before_and_after_every_step, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_committed_is_gone_after_a_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(bulk_write_goes_home_and_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(gaps_beyond_the_limit_are_filled, setup, teardown),
		cmocka_unit_test_setup_teardown(random_programs_match_a_byte_array, setup, teardown),
		cmocka_unit_test_setup_teardown(a_first_write_of_all_that_may_wait_finds_room, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flipped_byte_is_eio_and_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_metadata_block_that_is_cut_is_eio, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
