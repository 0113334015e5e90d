/* repair_fixture.h: damaged volumes, and what fsck --repair made of them, for the tests of fs/repair.c (fs_fixture.h). */
#ifndef COFFER_TESTS_REPAIR_FIXTURE_H
#define COFFER_TESTS_REPAIR_FIXTURE_H

#include "fs_fixture.h"

#include "fs/repair.h"
#include "io/vio_impl.h"

#define ACTIONS_MAX 64

static struct {
	unsigned n;
	struct repair_action a[ACTIONS_MAX];
	char plain[ACTIONS_MAX][512], to[ACTIONS_MAX][512];
	unsigned problems;
} did;

__attribute__((unused)) static void note_problem(void *ctx, const struct check_problem *p)
{
	(void)ctx;
	did.problems += !p->harmless;
}

__attribute__((unused)) static void note_action(void *ctx, const struct repair_action *a)
{
	(void)ctx;
	assert_true(did.n < ACTIONS_MAX);
	did.a[did.n] = *a;
	(void)snprintf(did.plain[did.n], sizeof(did.plain[0]), "%s", a->plain_path);
	(void)snprintf(did.to[did.n], sizeof(did.to[0]), "%s", a->to ? a->to : "");
	did.n++;
}

__attribute__((unused)) static int repair_now(struct repair_result *ret)
{
	struct repair_params p = { .problem = note_problem, .action = note_action };

	memset(&did, 0, sizeof(did));
	return repair_run(fixture_v, &p, ret);
}

/* Repair; nothing is left, and a second one finds nothing to do. */
__attribute__((unused)) static void repair_all(void)
{
	struct repair_result res;

	assert_int_equal(repair_now(&res), 0);
	for (unsigned i = 0; i < did.n; i++)
		if (did.a[i].kind == REPAIR_FAILED)
			print_error("left: %s: %s\n", did.plain[i], strerror(-did.a[i].error));
	assert_int_equal(res.last.problems, 0);
}

__attribute__((unused)) static void nothing_more_to_repair(void)
{
	struct repair_result res;

	assert_int_equal(repair_now(&res), 0);
	assert_int_equal(did.n, 0);
	assert_int_equal(res.last.problems, 0);
	fixture_close();
	fixture_open();
	assert_int_equal(repair_now(&res), 0);
	assert_int_equal(res.first.problems, 0);
	assert_int_equal(did.n, 0);
}

__attribute__((unused)) static uint8_t content_of(uint64_t off)
{
	return (uint8_t)(off / BLOCK_SIZE * 7 + off % 251 + 1);
}

#define LARGE (2 * GROUP_PLAIN + 3 * BLOCK_SIZE + 100)

/* /dir/large of LARGE bytes (three groups, no hole) beside /dir/good; all home. Its path below. */
__attribute__((unused)) static const char *make_tree(void)
{
	static char path[4096];
	static uint8_t buf[LARGE];
	struct inode *d = make_dir(fixture_v->root, "dir"), *f = make_file(d, "large");
	uint64_t off;

	for (off = 0; off < LARGE; off++)
		buf[off] = content_of(off);
	for (off = 0; off < LARGE; off += VIO_WRITE_MAX / 2) {
		size_t n = LARGE - off < VIO_WRITE_MAX / 2 ? LARGE - off : VIO_WRITE_MAX / 2;

		assert_int_equal(file_write(fixture_v, f, buf + off, n, off, false), n);
	}
	memcpy(path, lower_path(f), sizeof(path));
	drop(f);
	f = make_file(d, "good");
	put_text(f, "good");
	drop(f);
	drop(d);
	fixture_close();
	fixture_open();
	return path;
}

__attribute__((unused)) static struct inode *in_dir(const char *dir, const char *name)
{
	struct inode *d = find(fixture_v->root, dir), *f = find(d, name);

	drop(d);
	return f;
}

/* name of /dir has the content of large but for the bytes from..to, which are zero; and size bytes. */
__attribute__((unused)) static void assert_salvaged(const char *dir, const char *name, uint64_t from, uint64_t to, uint64_t size)
{
	static uint8_t buf[VIO_WRITE_MAX + BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	struct inode *f = in_dir(dir, name);
	struct inode_attr a;
	uint64_t off;

	assert_int_equal(file_getattr(fixture_v, f, &a), 0);
	assert_int_equal(a.size, size);
	for (off = 0; off < size; off += BLOCK_SIZE) {
		ssize_t n = file_read(fixture_v, f, buf, BLOCK_SIZE, off);

		assert_true(n > 0);
		for (ssize_t k = 0; k < n; k++)
			assert_int_equal(buf[k], off + (uint64_t)k >= from && off + (uint64_t)k < to ? 0 : content_of(off + (uint64_t)k));
	}
	drop(f);
}

__attribute__((unused)) static void assert_list(const char *dir, const char *name, const char *text)
{
	struct inode *f = in_dir(dir, name);

	assert_text(f, text);
	drop(f);
}

/* The name is there, and answers EIO; it can be removed. */
__attribute__((unused)) static void assert_tombstone(const char *dir, const char *name)
{
	struct inode *d = find(fixture_v->root, dir), *f = find(d, name);
	uint8_t buf[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));

	assert_int_equal(file_read(fixture_v, f, buf, 10, 0), -EIO);
	assert_int_equal(file_write(fixture_v, f, "x", 1, 0, false), -EIO);
	drop(f);
	assert_int_equal(remove_file(fixture_v, d, name), 0);
	assert_int_equal(lookup_error(d, name), -ENOENT);
	drop(d);
}

/* ---- unclean volumes */

/* What a power cut now would leave behind, closed. */
__attribute__((unused)) static void crash(void)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "cp -a --sparse=always '%s' '%s.cut'", fixture_path, fixture_path);
	assert_int_equal(system(command), 0);
	fixture_close();
	(void)snprintf(command, sizeof(command), "rm -rf '%s' && mv '%s.cut' '%s'", fixture_path, fixture_path, fixture_path);
	assert_int_equal(system(command), 0);
}

__attribute__((unused)) static int open_accepting(bool loss)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true, .accept_log_loss = loss, .remake_state = loss };

	return fixture_open_with(&o, 1, &fixture_v);
}

static off_t log_start; /* of the first transaction */

/* A file that is home, then changed and fsynced `times` times; crashed. Its path below. */
__attribute__((unused)) static const char *make_unclean(unsigned times)
{
	static char path[4096];
	struct inode *f = make_file(fixture_v->root, "file");
	char text[16];

	put_text(f, "home");
	drop(f);
	fixture_close();
	fixture_open();
	f = find(fixture_v->root, "file");
	memcpy(path, lower_path(f), sizeof(path));
	log_start = (off_t)(fixture_v->vio->head % FIXTURE_LOG_BLOCKS * BLOCK_SIZE);
	for (unsigned i = 1; i <= times; i++) {
		(void)snprintf(text, sizeof(text), "log%u", i);
		put_text(f, text);
		assert_int_equal(file_fsync(fixture_v, f, false), 0);
	}
	drop(f);
	crash();
	return path;
}

#endif
