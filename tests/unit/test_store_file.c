/* test_store_file.c: a store that is a directory: what is put is got, whole or not at all, whichever call fails; nothing outside of it is touched. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/store.h"

static _Atomic long countdown = -1; /* calls until one fails; -1: none does. (Threads race where none fails.) */
static bool failed, unlink_failed, no_tmpfile;

static bool fails(void)
{
	if (countdown < 0)
		return false;
	if (countdown != 0) {
		countdown--;
		return false;
	}
	countdown = -1;
	failed = true;
	errno = EIO;
	return true;
}

#define WRAP(type, name, bad, params, args)                                   \
	type __wrap_##name params;                                            \
	type __real_##name params;                                            \
	type __wrap_##name params                                             \
	{                                                                     \
		return fails() ? (bad) : __real_##name args;                  \
	}

WRAP(void *, malloc, NULL, (size_t n), (n))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(char *, strdup, NULL, (const char *s), (s))
WRAP(ssize_t, write, -1, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pread, -1, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, fsync, -1, (int fd), (fd))
WRAP(int, mkdirat, -1, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(int, linkat, -1, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
WRAP(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(DIR *, fdopendir, NULL, (int fd), (fd))

int __wrap_unlinkat(int dir, const char *path, int flags);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags)
{
	if (!fails())
		return __real_unlinkat(dir, path, flags);
	unlink_failed = true;
	return -1;
}

int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	unsigned mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, unsigned) : 0;
	va_end(args);
	if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return fails() ? -1 : __real_openat(dir, path, flags, mode);
}

static char dir_path[64], out_path[64], uri[80];
static struct store *s;
static struct store_error e;

static int make(void **state)
{
	(void)state;
	no_tmpfile = false;
	(void)snprintf(dir_path, sizeof(dir_path), "/tmp/coffer-test-store.XXXXXX");
	(void)snprintf(out_path, sizeof(out_path), "/tmp/coffer-test-store.XXXXXX");
	if (!mkdtemp(dir_path) || !mkdtemp(out_path))
		return -1;
	(void)snprintf(uri, sizeof(uri), "file://%s", dir_path);
	return store_open(uri, NULL, &s, &e);
}

/* $D is the store's directory, $O one outside of it. */
static int run(const char *command)
{
	return setenv("D", dir_path, 1) < 0 || setenv("O", out_path, 1) < 0 ? -1 : system(command);
}

static int undo(void **state)
{
	(void)state;
	store_close(s);
	s = NULL;
	return run("rm -rf $D $O");
}

static int put(const char *name, const char *text, unsigned flags)
{
	return store_put(s, name, text, strlen(text), flags, &e);
}

/* The object's text, or NULL and r in *ret_r. Static. */
static const char *got(const char *name, int *ret_r)
{
	static char text[64];
	AUTO_FREE void *data = NULL;
	size_t len = 0;

	*ret_r = store_get(s, name, 0, sizeof(text) - 1, &data, &len, &e);
	if (*ret_r < 0)
		return NULL;
	memcpy(text, data, len);
	text[len] = '\0';
	return text;
}

static void assert_object(const char *name, const char *want)
{
	int r;
	const char *text = got(name, &r);

	assert_int_equal(r, 0);
	assert_string_equal(text, want);
}

static void names_are_relative_and_plain(void **state)
{
	static const char *const good[] = { "a", "a/b", "A-Z_0.9/x..y", "0/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f" };
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/../b", ".a", "a/.b", "a b", "a\nb", "\xc3\xa4", "a\\b",
					   "0/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g" };
	static const char *const prefixes[] = { "", "a", "a/", "a/b", "a.b/" };
	static const char *const none[] = { "/", "/a", "a//", ".", "a/.", "a b", "*" };
	char text[STORE_NAME_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(store_name_ok(good[i]) && store_prefix_ok(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_FREE void *data = NULL;
		uint64_t size;
		size_t len;

		assert_false(store_name_ok(bad[i]));
		assert_int_equal(store_put(s, bad[i], "x", 1, 0, &e), -EINVAL);
		assert_int_equal(store_get(s, bad[i], 0, 1, &data, &len, &e), -EINVAL);
		assert_int_equal(store_head(s, bad[i], &size, &e), -EINVAL);
		assert_int_equal(store_delete(s, bad[i], &e), -EINVAL);
	}
	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		assert_true(store_prefix_ok(prefixes[i]));
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_false(store_prefix_ok(none[i]));
		assert_int_equal(store_list(s, none[i], NULL, NULL, &e), -EINVAL);
	}
	memset(text, 'a', sizeof(text));
	text[STORE_COMPONENT_MAX] = '/';
	text[2 * STORE_COMPONENT_MAX + 1] = '/';
	text[STORE_NAME_MAX] = '\0';
	assert_true(store_name_ok(text));
	text[STORE_NAME_MAX] = 'a';
	text[STORE_NAME_MAX + 1] = '\0';
	assert_false(store_name_ok(text));
	text[STORE_COMPONENT_MAX + 1] = '\0';
	text[STORE_COMPONENT_MAX] = 'a';
	assert_false(store_name_ok(text));
}

static void what_is_put_is_got_whole_and_in_ranges(void **state)
{
	AUTO_FREE void *data = NULL, *none = NULL, *end = NULL;
	uint64_t size;
	size_t len;

	(void)state;
	assert_int_equal(put("a/b/c", "0123456789", 0), 0);
	assert_object("a/b/c", "0123456789");
	assert_int_equal(store_head(s, "a/b/c", &size, &e), 0);
	assert_int_equal(size, 10);
	assert_int_equal(store_get(s, "a/b/c", 3, 4, &data, &len, &e), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(data, "3456", 4);
	assert_int_equal(store_get(s, "a/b/c", 8, 100, &end, &len, &e), 0);
	assert_int_equal(len, 2);
	assert_memory_equal(end, "89", 2);
	assert_int_equal(store_get(s, "a/b/c", 10, 5, &none, &len, &e), 0);
	assert_int_equal(len, 0);
	assert_non_null(none);
	assert_int_equal(store_put(s, "empty", NULL, 0, 0, &e), 0);
	assert_object("empty", "");
	assert_int_equal(store_get(s, "empty", 0, 0, &none, &len, &e), -EINVAL);
	assert_int_equal(store_put(s, "x", "", STORE_OBJECT_MAX + 1, 0, &e), -EINVAL);
	assert_int_equal(store_put(s, "x", "", 0, 8, &e), -EINVAL);
	assert_int_equal(store_put(s, "x", "", STORE_EXCL_MAX + 1, STORE_EXCL, &e), -EINVAL);
	assert_int_equal(store_head(s, "x", &size, &e), -ENOENT);
	assert_string_equal(e.message, "x: not found: No such file or directory");
	assert_int_equal(store_head(s, "a/x", &size, NULL), -ENOENT);
	assert_int_equal(store_head(s, "y/x", &size, &e), -ENOENT);
}

static void exclusive_puts_replace_nothing_others_replace_all(void **state)
{
	(void)state;
	assert_int_equal(store_excl_check(s, &e), 0);
	for (int i = 0; i < 2; i++) {
		no_tmpfile = i == 1;
		assert_int_equal(put("d/x", "first", STORE_EXCL), 0);
		assert_int_equal(put("d/x", "second one", STORE_EXCL), -EEXIST);
		assert_object("d/x", "first");
		assert_int_equal(put("d/x", "2", 0), 0);
		assert_object("d/x", "2");
		assert_int_equal(store_delete(s, "d/x", &e), 0);
		assert_int_equal(store_delete(s, "d/x", &e), 0);
		assert_int_equal(store_delete(s, "none/x", &e), 0);
	}
}

static void a_directory_that_was_removed_is_made_again(void **state)
{
	(void)state;
	assert_int_equal(put("d/e/x", "1", 0), 0);
	assert_int_equal(run("rm -r $D/d"), 0);
	assert_int_equal(put("d/e/x", "2", 0), 0);
	assert_object("d/e/x", "2");
}

struct seen {
	char text[256];
	int stop_after;
};

static int note(void *arg, const char *name, uint64_t size, int64_t mtime_s)
{
	struct seen *seen = arg;
	size_t at = strlen(seen->text);

	assert_true(mtime_s > 1600000000);
	(void)snprintf(seen->text + at, sizeof(seen->text) - at, "%s=%u ", name, (unsigned)size);
	return --seen->stop_after == 0 ? 7 : 0;
}

static int count(const char *prefix, const char *want)
{
	struct seen seen = { .stop_after = 0 };
	int n = 0;

	assert_int_equal(store_list(s, prefix, note, &seen, &e), 0);
	for (const char *p = seen.text; *p; p++)
		n += *p == ' ';
	if (want)
		assert_non_null(strstr(seen.text, want));
	return n;
}

static void a_list_has_each_object_and_nothing_else(void **state)
{
	struct seen seen = { .stop_after = 2 };

	(void)state;
	assert_int_equal(count("", NULL), 0);
	assert_int_equal(put("snap/1", "x", 0), 0);
	assert_int_equal(put("snap/2", "xx", 0), 0);
	assert_int_equal(put("snap-3", "xxx", 0), 0);
	assert_int_equal(put("data/ab/abcd", "", 0), 0);
	assert_int_equal(run("touch $D/.put-1 \"$D/not a name\" "), 0);
	assert_int_equal(run("ln -s $O $D/link"), 0);
	assert_int_equal(run("touch $O/inner; ln -s inner $D/soft"), 0);
	assert_int_equal(count("", "snap-3=3 "), 4);
	assert_int_equal(count("snap", "snap/2=2 "), 3);
	assert_int_equal(count("snap/", "snap/1=1 "), 2);
	assert_int_equal(count("data/ab/abc", "data/ab/abcd=0 "), 1);
	assert_int_equal(count("data/ab/abcd", NULL), 1);
	assert_int_equal(count("data/ab/abcde", NULL), 0);
	assert_int_equal(count("none/", NULL), 0);
	assert_int_equal(store_list(s, "", note, &seen, &e), 7);
}

static void links_lead_nowhere(void **state)
{
	AUTO_FREE void *data = NULL;
	uint64_t size;
	size_t len;

	(void)state;
	assert_int_equal(run("echo out >$O/f"), 0);
	assert_int_equal(run("ln -s $O $D/d"), 0);
	assert_int_equal(run("ln -s $O/f $D/f"), 0);
	assert_int_equal(put("d/new", "x", 0), -EUCLEAN);
	assert_int_equal(put("d/new", "x", STORE_EXCL), -EUCLEAN);
	assert_int_equal(put("f", "x", STORE_EXCL), -EUCLEAN);
	assert_int_equal(store_get(s, "f", 0, 9, &data, &len, &e), -EUCLEAN);
	assert_int_equal(store_get(s, "d/f", 0, 9, &data, &len, &e), -EUCLEAN);
	assert_int_equal(store_head(s, "d/f", &size, &e), -EUCLEAN);
	assert_int_equal(store_delete(s, "d/f", &e), -EUCLEAN);
	assert_int_equal(put("f", "x", 0), 0); /* the link is replaced, not what it names */
	assert_object("f", "x");
	assert_int_equal(run("test \"$(ls $O)\" = f && grep -qx out $O/f"), 0);
	assert_int_equal(put("f/x", "x", 0), -EUCLEAN);
	assert_int_equal(put("dir/x", "x", 0), 0);
	assert_int_equal(put("dir", "x", 0), -EUCLEAN);
	assert_int_equal(put("dir", "x", STORE_EXCL), -EUCLEAN);
	assert_int_equal(store_get(s, "dir", 0, 9, &data, &len, &e), -EUCLEAN);
}

static void what_killed_puts_left_is_swept_when_it_is_old(void **state)
{
	uint64_t n = 9;

	(void)state;
	assert_int_equal(put("d/x", "x", 0), 0);
	assert_int_equal(run("touch -d '3 days ago' $D/d/.put-old $D/.put-old2"), 0);
	assert_int_equal(run("touch -d '3 days ago' $D/d/x $D/.other"), 0);
	assert_int_equal(run("touch $D/d/.put-young; mkdir $D/.put-dir"), 0);
	assert_int_equal(store_sweep(s, 86400, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(run("test -e $D/d/.put-young -a -e $D/.other"), 0);
	assert_object("d/x", "x");
}

static void a_store_that_is_not_there_is_named(void **state)
{
	struct store *none = NULL;

	(void)state;
	assert_int_equal(store_open("file:///nonexistent/dir", NULL, &none, &e), -ENOENT);
	assert_non_null(strstr(e.message, "file:///nonexistent/dir: No such file or directory; the directory must exist"));
	assert_int_equal(store_open("file:///etc/passwd", NULL, &none, &e), -ENOTDIR);
	assert_int_equal(store_open("file://relative", NULL, &none, &e), -EINVAL);
	assert_int_equal(store_open("ftp://host/x", NULL, &none, NULL), -EINVAL);
	assert_int_equal(store_open("", NULL, &none, &e), -EINVAL);
	assert_null(none);
	assert_string_equal(store_label(s), uri);
}

/* One of two that put the same name at once wins, every time. */
#define ROUNDS 200

static void *racer(void *arg)
{
	const char *text = arg;
	char name[32];
	intptr_t won = 0;
	int i, r;

	for (i = 0; i < ROUNDS; i++) {
		(void)snprintf(name, sizeof(name), "race/%d", i);
		r = store_put(s, name, text, 1, STORE_EXCL, NULL);
		if (r != 0 && r != -EEXIST)
			return (void *)(intptr_t)-1;
		won += r == 0;
	}
	return (void *)won;
}

static void of_two_writers_one_wins(void **state)
{
	char a[] = "a", b[] = "b";
	void *won_a, *won_b;
	pthread_t one, two;

	(void)state;
	assert_int_equal(pthread_create(&one, NULL, racer, a), 0);
	assert_int_equal(pthread_create(&two, NULL, racer, b), 0);
	assert_int_equal(pthread_join(one, &won_a), 0);
	assert_int_equal(pthread_join(two, &won_b), 0);
	assert_true((intptr_t)won_a >= 0 && (intptr_t)won_b >= 0);
	assert_int_equal((intptr_t)won_a + (intptr_t)won_b, ROUNDS);
}

/* --- each call fails once --- */

static bool leftover(void)
{
	return run("find $D -name '.put-*' | grep -q .") == 0;
}

static int op_put(bool excl)
{
	return put("n/m/x", "new", excl ? STORE_EXCL : 0);
}

static void puts_fail_whole(bool excl, bool tmpfile)
{
	const char *before = excl ? NULL : "old", *text;
	int r, got_r;
	long n;

	no_tmpfile = !tmpfile;
	for (n = 0; n < 1000; n++) {
		assert_int_equal(run("rm -rf $D/n"), 0);
		if (!excl)
			assert_int_equal(put("n/m/x", "old", 0), 0);
		store_close(s);
		assert_int_equal(store_open(uri, NULL, &s, &e), 0);
		failed = unlink_failed = false;
		countdown = n;
		r = op_put(excl);
		countdown = -1;
		text = got("n/m/x", &got_r);
		if (!failed) {
			assert_int_equal(r, 0);
			assert_string_equal(text, "new");
			assert_true(n > 4);
			return;
		}
		assert_true(r == 0 || r == -EIO || r == -ENOMEM);
		if (r == 0 || (text && strcmp(text, "new") == 0))
			assert_string_equal(text, "new"); /* with a failure: the directory's sync */
		else if (before)
			assert_string_equal(text, before);
		else
			assert_int_equal(got_r, -ENOENT);
		assert_true(!leftover() || unlink_failed);
		assert_int_equal(run("find $D -name '.put-*' -delete"), 0);
	}
	fail_msg("no end");
}

static void whatever_call_of_a_put_fails_it_is_whole_or_not_there(void **state)
{
	(void)state;
	puts_fail_whole(true, true);
	puts_fail_whole(true, false);
	puts_fail_whole(false, true);
	puts_fail_whole(false, false);
}

static int read_all(void)
{
	struct seen seen = { .stop_after = 0 };
	AUTO_FREE void *data = NULL;
	size_t len;
	int r = store_get(s, "d/x", 0, 9, &data, &len, &e);

	return r < 0 ? r : store_list(s, "", note, &seen, &e);
}

static void failing_reads_say_so(void **state)
{
	struct store *other = NULL;
	uint64_t swept;
	long n;
	int r;

	(void)state;
	assert_int_equal(put("d/x", "x", 0), 0);
	for (n = 0; n < 100; n++) {
		failed = false;
		countdown = n;
		r = read_all();
		countdown = -1;
		if (!failed)
			break;
		assert_true(r == -EIO || r == -ENOMEM);
		assert_true(e.message[0] != '\0');
	}
	assert_int_equal(r, 0);
	assert_true(n > 3);
	for (n = 0; n < 100; n++) {
		failed = false;
		countdown = n;
		r = store_open(uri, NULL, &other, &e);
		countdown = -1;
		if (!failed)
			break;
		assert_true(r < 0);
	}
	store_close(other);
	assert_int_equal(run("touch -d '3 days ago' $D/d/.put-old"), 0);
	for (n = 0; n < 100; n++) {
		failed = false;
		countdown = n;
		r = store_sweep(s, 1, &swept, &e);
		countdown = -1;
		if (!failed)
			break;
		assert_true(r == -EIO || r == -ENOMEM);
	}
	assert_int_equal(swept, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_are_relative_and_plain, make, undo),
		cmocka_unit_test_setup_teardown(what_is_put_is_got_whole_and_in_ranges, make, undo),
		cmocka_unit_test_setup_teardown(exclusive_puts_replace_nothing_others_replace_all, make, undo),
		cmocka_unit_test_setup_teardown(a_directory_that_was_removed_is_made_again, make, undo),
		cmocka_unit_test_setup_teardown(a_list_has_each_object_and_nothing_else, make, undo),
		cmocka_unit_test_setup_teardown(links_lead_nowhere, make, undo),
		cmocka_unit_test_setup_teardown(what_killed_puts_left_is_swept_when_it_is_old, make, undo),
		cmocka_unit_test_setup_teardown(a_store_that_is_not_there_is_named, make, undo),
		cmocka_unit_test_setup_teardown(of_two_writers_one_wins, make, undo),
		cmocka_unit_test_setup_teardown(whatever_call_of_a_put_fails_it_is_whole_or_not_there, make, undo),
		cmocka_unit_test_setup_teardown(failing_reads_say_so, make, undo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
