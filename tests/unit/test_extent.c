#include "fs_fixture.h"

#include "fs/extent.h"
#include "fs/live.h"

#define B 4096u
#define G (128u * 4096u)
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static uint8_t room[VIO_WRITE_MAX + 2 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
static uint64_t told;

static void watcher(void *ctx, uint64_t id)
{
	(void)ctx;
	told = id;
}

static struct inode *make_full(const char *name, size_t groups)
{
	struct inode *f = make_file(fixture_v->root, name);

	memset(room, 7, G);
	for (size_t g = 0; g < groups; g++)
		assert_int_equal(file_write(fixture_v, f, room, G, g * G, false), G);
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	return f;
}

static struct inode_attr attr_of(struct inode *f)
{
	struct inode_attr a;

	assert_int_equal(file_getattr(fixture_v, f, &a), 0);
	return a;
}

static void come_to_rest(void)
{
	assert_int_equal(volume_sync(fixture_v), 0);
	assert_int_equal(vio_checkpoint(fixture_v->vio), 0);
}

static void blocks_follow_a_punch_and_are_counted_when_it_is_home(void **state)
{
	struct inode *f = make_full("f", 4);
	uint64_t before;

	(void)state;
	come_to_rest();
	before = attr_of(f).blocks;
	assert_true(before >= 4 * G / 512);
	assert_int_equal(extent_allocate(fixture_v, f, PUNCH, G, 2 * G), 0);
	assert_int_equal(attr_of(f).blocks, before - 2 * G / 512);
	assert_int_equal(attr_of(f).size, 4 * G);
	volume_watch(fixture_v, watcher, NULL);
	come_to_rest();
	assert_int_equal(told, f->id);
	assert_in_range(attr_of(f).blocks, 2 * G / 512, 2 * G / 512 + 64);
	assert_int_equal(extent_allocate(fixture_v, f, PUNCH, 0, 9 * G), 0);
	assert_in_range(attr_of(f).blocks, 1, 64);
	volume_watch(fixture_v, NULL, NULL);
	drop(f);
}

static void sizes_and_times_follow_the_modes(void **state)
{
	struct inode *f = make_full("f", 1);
	struct timespec old = { 1, 2 };

	(void)state;
	f->attr.mtime = f->attr.ctime = old;
	assert_int_equal(extent_allocate(fixture_v, f, FALLOC_FL_KEEP_SIZE, 0, 3 * G), 0);
	assert_int_equal(attr_of(f).size, G);
	assert_true(attr_of(f).blocks >= 3 * G / 512);
	assert_true(attr_of(f).mtime.tv_sec > 1 && attr_of(f).ctime.tv_sec > 1);
	assert_int_equal(extent_allocate(fixture_v, f, 0, 0, 2 * G), 0);
	assert_int_equal(attr_of(f).size, 2 * G);
	assert_int_equal(extent_allocate(fixture_v, f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5, 3 * G), 0);
	assert_int_equal(attr_of(f).size, 2 * G);
	assert_int_equal(extent_allocate(fixture_v, f, FALLOC_FL_ZERO_RANGE, 5, 3 * G), 0);
	assert_int_equal(attr_of(f).size, 3 * G + 5);
	assert_int_equal(file_read(fixture_v, f, room, 100, 0), 100);
	assert_true(room[4] == 7 && room[5] == 0);
	f->attr.mtime = old;
	assert_int_equal(extent_allocate(fixture_v, f, PUNCH, 0, 1), 0);
	assert_true(attr_of(f).mtime.tv_sec > 1);
	drop(f);
}

static void other_modes_are_refused(void **state)
{
	static const int modes[] = { FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE,
				     FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, PUNCH | FALLOC_FL_ZERO_RANGE, 0x1000 };
	struct inode *f = make_full("f", 1);
	uint64_t at;

	(void)state;
	for (size_t k = 0; k < sizeof(modes) / sizeof(modes[0]); k++)
		assert_int_equal(extent_allocate(fixture_v, f, modes[k], 0, G), -EOPNOTSUPP);
	assert_int_equal(extent_seek(fixture_v, f, 0, SEEK_SET, &at), -EINVAL);
	assert_int_equal(attr_of(f).size, G);
	drop(f);
}

static void data_is_found_and_copied(void **state)
{
	struct inode *f = make_full("f", 1), *g = make_file(fixture_v->root, "g");
	uint64_t at = 0;

	(void)state;
	assert_int_equal(extent_allocate(fixture_v, f, PUNCH, B, 9 * B), 0);
	assert_int_equal(extent_seek(fixture_v, f, 0, SEEK_HOLE, &at), 0);
	assert_int_equal(at, B);
	assert_int_equal(extent_seek(fixture_v, f, B, SEEK_DATA, &at), 0);
	assert_int_equal(at, 10 * B);
	assert_int_equal(extent_copy(fixture_v, f, 0, g, 100, 2 * G, room), G);
	assert_int_equal(attr_of(g).size, G + 100);
	assert_int_equal(file_read(fixture_v, g, room, 2 * B, 0), 2 * B);
	assert_true(room[99] == 0 && room[100] == 7 && room[B + 99] == 7 && room[B + 100] == 0);
	assert_int_equal(extent_seek(fixture_v, g, 2 * B, SEEK_DATA, &at), 0);
	assert_int_equal(at, 10 * B);
	assert_int_equal(extent_copy(fixture_v, f, 0, f, 5, 10, room), -EINVAL);
	drop(g);
	drop(f);
}

static void a_read_only_volume_refuses_changes_and_finds_data(void **state)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true, .read_only = true };
	struct inode *f = make_full("f", 1);
	uint64_t at = 0;

	(void)state;
	drop(f);
	fixture_close();
	assert_int_equal(fixture_open_with(&o, 1, &fixture_v), 0);
	f = find(fixture_v->root, "f");
	assert_int_equal(extent_allocate(fixture_v, f, 0, 0, 2 * G), -EROFS);
	assert_int_equal(extent_allocate(fixture_v, f, PUNCH, 0, B), -EROFS);
	assert_int_equal(extent_copy(fixture_v, f, 0, f, G, 10, room), -EROFS);
	assert_int_equal(extent_seek(fixture_v, f, 0, SEEK_HOLE, &at), 0);
	assert_int_equal(at, G);
	drop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(blocks_follow_a_punch_and_are_counted_when_it_is_home),
		fixture_test(sizes_and_times_follow_the_modes),
		fixture_test(other_modes_are_refused),
		fixture_test(data_is_found_and_copied),
		fixture_test(a_read_only_volume_refuses_changes_and_finds_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
