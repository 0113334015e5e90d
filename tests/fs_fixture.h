/* fs_fixture.h: a volume in a directory of its own for the tests of src/fs, which call what requests call, without FUSE. */
#ifndef COFFER_TESTS_FS_FIXTURE_H
#define COFFER_TESTS_FS_FIXTURE_H

#include "fs/volume_impl.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config_fixture.h"
#include "fs/dir.h"
#include "fs/file.h"
#include "fs/name.h"
#include "fs/readdir.h"
#include "fs/remove.h"
#include "fs/rename.h"

#define FIXTURE_LOG_BLOCKS 4096

static char fixture_path[64];
static uint8_t *fixture_config;
static size_t fixture_config_len;
static struct volume *fixture_v;
static char fixture_holder[VOLUME_HOLDER_MAX];
static unsigned fixture_events;

__attribute__((unused)) static void fixture_event(void *ctx, enum vio_event ev, const char *text)
{
	(void)ctx;
	(void)text;
	if (ev == VIO_EVENT_INTEGRITY)
		fixture_events++;
}

static struct secret *fixture_key(uint8_t first)
{
	uint8_t bytes[KEY_LEN] = { first };
	struct secret *s;

	assert_int_equal(secret_new_copy(bytes, sizeof(bytes), &s), 0);
	return s;
}

static void fixture_make_config(void)
{
	static const uint8_t uuid[UUID_LEN] = { 7 };
	static struct volume_config c;
	struct secret *root = fixture_key(1);

	config_fixture_fill(&c, uuid);
	assert_int_equal(key_ring_create(root, c.uuid, c.key_ring, &c.key_ring_len), 0);
	assert_int_equal(volume_config_put(&c, root, &fixture_config, &fixture_config_len), 0);
	secret_free(root);
}

static int fixture_root(void)
{
	int fd = open(fixture_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int fixture_open_with(const struct volume_options *o, uint8_t key, struct volume **ret_v)
{
	struct volume_events e = { .event = fixture_event };
	struct secret *root = fixture_key(key);

	return volume_open(lower_real(), fixture_root(), fixture_config, fixture_config_len, &root, o, &e, fixture_holder, ret_v);
}

static void fixture_open(void)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true };

	assert_int_equal(fixture_open_with(&o, 1, &fixture_v), 0);
}

/* One bit of a file below. */
__attribute__((unused)) static void flip(const char *path, off_t off)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t b;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, off), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, off), 1);
	(void)close(fd);
}

__attribute__((unused)) static void fixture_close(void)
{
	assert_int_equal(volume_close(take_ptr(fixture_v)), 0);
}

static int fixture_setup(void **state)
{
	struct volume_options o = { .unsafe_backing = true, .dirty_bytes = 1 << 20 };
	struct secret *root = fixture_key(1);
	int fd, r;

	(void)state;
	fixture_events = 0;
	(void)snprintf(fixture_path, sizeof(fixture_path), "/tmp/coffer-test-fs.XXXXXX");
	if (!mkdtemp(fixture_path))
		return -1;
	fixture_make_config();
	fd = fixture_root();
	r = volume_create(lower_real(), fd, fixture_config, fixture_config_len, &root, FIXTURE_LOG_BLOCKS, &o);
	(void)close(fd);
	if (r < 0)
		return r;
	fixture_open();
	return 0;
}

static int fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int fixture_teardown(void **state)
{
	(void)state;
	if (fixture_v && volume_close(take_ptr(fixture_v)) < 0)
		return -1;
	free(take_ptr(fixture_config));
	return nftw(fixture_path, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#define fixture_test(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

/* ---- short forms; results are asserted */

static const struct dir_caller fixture_me = { 0, 0 };

/* The kernel's view: an inode with one lookup and one reference. Pair with drop(). */
__attribute__((unused)) static struct inode *make_file(struct inode *dir, const char *name)
{
	struct dir_result d;

	assert_int_equal(dir_create(fixture_v, dir, name, 0644, fixture_me, &d), 0);
	return d.inode;
}

__attribute__((unused)) static struct inode *make_dir(struct inode *dir, const char *name)
{
	struct dir_result d;

	assert_int_equal(dir_mkdir(fixture_v, dir, name, 0755, fixture_me, &d), 0);
	return d.inode;
}

__attribute__((unused)) static struct inode *find(struct inode *dir, const char *name)
{
	struct dir_result d;

	assert_int_equal(dir_lookup(fixture_v, dir, name, &d), 0);
	return d.inode;
}

__attribute__((unused)) static int lookup_error(struct inode *dir, const char *name)
{
	struct dir_result d;
	int r;

	r = dir_lookup(fixture_v, dir, name, &d);
	if (r == 0)
		dir_undo(fixture_v, &d);
	return r;
}

/* The kernel forgets it, and so do we. */
__attribute__((unused)) static void drop(struct inode *i)
{
	inode_forget(fixture_v, i->id, 1);
	inode_put(fixture_v, i);
}

__attribute__((unused)) static void put_text(struct inode *i, const char *text)
{
	assert_int_equal(file_write(fixture_v, i, text, strlen(text), 0, false), strlen(text));
}

__attribute__((unused)) static void assert_text(struct inode *i, const char *text)
{
	static uint8_t buf[4 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	ssize_t n = file_read(fixture_v, i, buf, BLOCK_SIZE, 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static size_t fixture_entry_size(size_t len, bool plus)
{
	(void)plus;
	return 24 + len;
}

/* How many entries a listing shows, "." and ".." left out; -errno. */
__attribute__((unused)) static int count_entries(struct inode *dir)
{
	struct readdir_list l;
	int r, n;

	r = readdir_list(fixture_v, dir, 0, 1 << 20, fixture_entry_size, true, &l);
	if (r < 0)
		return r;
	n = (int)l.n - 2;
	readdir_done(fixture_v, &l, 0);
	return n;
}

/* The path below of an inode; static. */
__attribute__((unused)) static const char *lower_path(const struct inode *i)
{
	static char path[4096];
	size_t at = sizeof(path) - 1;

	path[at] = '\0';
	for (; i->parent; i = i->parent) {
		size_t len = strlen(i->name);

		assert_true(len + 1 + sizeof(fixture_path) < at);
		at -= len;
		memcpy(path + at, i->name, len);
		path[--at] = '/';
	}
	at -= strlen(fixture_path);
	memcpy(path + at, fixture_path, strlen(fixture_path));
	memmove(path, path + at, sizeof(path) - at);
	return path;
}

#endif
