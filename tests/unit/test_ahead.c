#include "fs_fixture.h"

#include <dirent.h>
#include <sys/uio.h>

#include "fs/ahead.h"

#define FILES 40

/* What the volume's names go through: counts what is opened in a directory, and lets the n-th call fail. */
static struct {
	struct lower l;
	struct lower_ops ops;
	unsigned opened, calls, fail;
} spy;

static bool fails(void)
{
	return ++spy.calls == spy.fail;
}

static int spy_openat(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	(void)l;
	if (fails())
		return -EIO;
	spy.opened += !(flags & O_DIRECTORY);
	return lower_real()->ops->openat(lower_real(), dirfd, name, flags, mode);
}

static int spy_fstatat(struct lower *l, int dirfd, const char *name, struct stat *ret_st)
{
	(void)l;
	return fails() ? -EIO : lower_real()->ops->fstatat(lower_real(), dirfd, name, ret_st);
}

static int spy_readdir(struct lower *l, int dirfd, int64_t off, lower_dirent_fn *fn, void *arg)
{
	(void)l;
	return fails() ? -EIO : lower_real()->ops->readdir(lower_real(), dirfd, off, fn, arg);
}

static void spy_on(void)
{
	spy.ops = *lower_real()->ops;
	spy.ops.openat = spy_openat;
	spy.ops.fstatat = spy_fstatat;
	spy.ops.readdir = spy_readdir;
	spy.l = (struct lower){ .ops = &spy.ops, .real = true };
	spy.opened = spy.calls = spy.fail = 0;
	fixture_v->lower = &spy.l;
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static bool twice(void *ctx)
{
	return (*(unsigned *)ctx)++ < 2;
}

static void name_of(char *ret, const char *prefix, unsigned k)
{
	(void)snprintf(ret, 16, "%s%u", prefix, k);
}

/* A directory with n files that nobody holds. */
static struct inode *cold_dir(unsigned n)
{
	struct inode *d = make_dir(fixture_v->root, "d");
	char name[16];

	for (unsigned k = 0; k < n; k++) {
		struct inode *f;

		name_of(name, "f", k);
		f = make_file(d, name);
		put_text(f, "text");
		drop(f);
	}
	drop(d);
	fixture_close();
	fixture_open();
	return find(fixture_v->root, "d");
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Is the first block of the directory's first file in the page cache below? */
static bool is_cached(const struct inode *dir)
{
	char block[BLOCK_SIZE], path[4096];
	struct iovec iov = { block, sizeof(block) };
	struct dirent *e;
	DIR *d;
	ssize_t n;
	int fd;

	d = opendir(lower_path(dir));
	assert_non_null(d);
	do
		e = readdir(d);
	while (e && e->d_type != DT_REG);
	assert_non_null(e);
	(void)snprintf(path, sizeof(path), "%s/%s", lower_path(dir), e->d_name);
	(void)closedir(d);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);
	(void)close(fd);
	return n == BLOCK_SIZE;
}

static void drop_cached(const struct inode *dir)
{
	char path[4096];
	struct dirent *e;
	DIR *d;

	d = opendir(lower_path(dir));
	assert_non_null(d);
	while ((e = readdir(d))) {
		int fd;

		if (e->d_type != DT_REG)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", lower_path(dir), e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(fsync(fd), 0);
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		(void)close(fd);
	}
	(void)closedir(d);
}

static void a_window_brings_the_headers_of_all_files_into_the_cache(void **state)
{
	struct inode *d = cold_dir(FILES);

	(void)state;
	drop_cached(d);
	spy_on();
	ahead_run(fixture_v, d, always, NULL);
	assert_int_equal(spy.opened, FILES);
	assert_true(is_cached(d));
	/* To its end; it begins again only when it is waited for much. */
	assert_true(d->ahead.over);
	assert_false(ahead_looked(fixture_v, d, true));
	drop(d);
}

static void only_regular_files_that_nobody_holds_are_opened(void **state)
{
	struct dir_result r;
	struct inode *d, *f;

	(void)state;
	d = make_dir(fixture_v->root, "d");
	drop(make_dir(d, "dir"));
	drop(make_file(d, "empty"));
	assert_int_equal(dir_mknod(fixture_v, d, "fifo", S_IFIFO | 0600, 0, fixture_me, &r), 0);
	drop(r.inode);
	assert_int_equal(dir_symlink(fixture_v, d, "link", "nowhere", fixture_me, &r), 0);
	drop(r.inode);
	f = make_file(d, "held");
	put_text(f, "text");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	spy_on();
	ahead_run(fixture_v, d, always, NULL);
	assert_int_equal(spy.opened, 0);
	drop(f);
	drop(d);
}

static void it_stops_when_it_is_told_to_and_runs_once_at_a_time(void **state)
{
	struct inode *d = cold_dir(AHEAD_WINDOW + FILES);
	unsigned asked = 0, opened;

	(void)state;
	spy_on();
	fixture_v->ahead_runs = true;
	ahead_run(fixture_v, d, always, NULL);
	assert_int_equal(spy.opened, 0);
	fixture_v->ahead_runs = false;
	ahead_run(fixture_v, d, twice, &asked);
	opened = spy.opened;
	assert_true(opened > 0 && opened < AHEAD_WINDOW);
	assert_false(d->ahead.over);
	/* The next window begins behind the first, so what was left out stays so. */
	ahead_run(fixture_v, d, always, NULL);
	assert_int_equal(spy.opened, opened + FILES);
	assert_true(d->ahead.over);
	drop(d);
}

static void lookups_that_wait_begin_a_window_and_others_do_not(void **state)
{
	struct inode *d = make_dir(fixture_v->root, "d");

	(void)state;
	for (unsigned k = 0; k < 1000; k++)
		assert_false(ahead_looked(fixture_v, d, false));
	assert_false(ahead_looked(fixture_v, d, true));
	assert_false(ahead_looked(fixture_v, d, true));
	assert_true(ahead_looked(fixture_v, d, true));
	drop(d);
}

static void a_window_that_was_of_no_use_has_no_successor(void **state)
{
	struct inode *d = cold_dir(AHEAD_WINDOW + FILES);

	(void)state;
	ahead_run(fixture_v, d, always, NULL);
	assert_false(d->ahead.over);
	for (unsigned k = 0; k < 1000; k++)
		assert_false(ahead_looked(fixture_v, d, true));
	for (unsigned k = 0; k < 31; k++)
		assert_false(ahead_looked(fixture_v, d, false));
	assert_true(ahead_looked(fixture_v, d, false));
	drop(d);
}

static void after_a_useful_window_one_wait_begins_the_next_directory(void **state)
{
	struct inode *d = cold_dir(FILES), *e = make_dir(fixture_v->root, "e");

	(void)state;
	ahead_run(fixture_v, d, always, NULL);
	for (unsigned k = 0; k < FILES; k++)
		assert_false(ahead_looked(fixture_v, d, false));
	assert_true(ahead_looked(fixture_v, e, true));
	drop(e);
	drop(d);
}

static void whatever_call_fails_nothing_is_left_open_and_nobody_is_told(void **state)
{
	struct inode *d = cold_dir(FILES);
	struct stat st;
	unsigned before, n;

	(void)state;
	/* The directory's descriptor is kept for later. */
	ahead_run(fixture_v, d, always, NULL);
	assert_int_equal(fstat(fixture_v->root_fd, &st), 0);
	before = descriptors();
	for (n = 1;; n++) {
		spy_on();
		spy.fail = n;
		d->ahead.off = 0;
		ahead_run(fixture_v, d, always, NULL);
		assert_int_equal(descriptors(), before);
		assert_false(fixture_v->ahead_runs);
		if (spy.calls < n)
			break;
	}
	assert_true(n > 2 * FILES);
	assert_int_equal(spy.opened, FILES);
	fixture_v->lower = lower_real();
	assert_int_equal(lookup_error(d, "f0"), 0);
	assert_int_equal(fixture_events, 0);
	drop(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_window_brings_the_headers_of_all_files_into_the_cache),
		fixture_test(only_regular_files_that_nobody_holds_are_opened),
		fixture_test(it_stops_when_it_is_told_to_and_runs_once_at_a_time),
		fixture_test(lookups_that_wait_begin_a_window_and_others_do_not),
		fixture_test(a_window_that_was_of_no_use_has_no_successor),
		fixture_test(after_a_useful_window_one_wait_begins_the_next_directory),
		fixture_test(whatever_call_fails_nothing_is_left_open_and_nobody_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
