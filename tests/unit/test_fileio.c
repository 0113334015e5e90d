#include "base/fileio.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char dir_path[64];
static int dir;

static int make_dir(void **state)
{
	(void)state;
	(void)snprintf(dir_path, sizeof(dir_path), "/tmp/coffer-test-fileio.XXXXXX");
	if (!mkdtemp(dir_path))
		return -1;
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "f", "f.tmp", "fifo", "link" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(dir, names[i], 0);
	(void)unlinkat(dir, "a/b/c", AT_REMOVEDIR);
	(void)unlinkat(dir, "a/b", AT_REMOVEDIR);
	(void)unlinkat(dir, "a", AT_REMOVEDIR);
	(void)close(dir);
	return rmdir(dir_path);
}

static void replace_then_read_returns_the_bytes(void **state)
{
	AUTO_FREE uint8_t *buf = NULL;
	struct stat st;
	size_t len;

	(void)state;
	assert_int_equal(fileio_replace_at(dir, "f", "old", 3, 0600), 0);
	assert_int_equal(fileio_replace_at(dir, "f", "new\0er", 6, 0640), 0);
	assert_int_equal(fileio_read_at(dir, "f", 6, &buf, &len), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(buf, "new\0er", 7);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(faccessat(dir, "f.tmp", F_OK, 0), -1);
}

static void the_first_line_is_cut_and_an_empty_file_has_none(void **state)
{
	char path[96], text[5] = "old";

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/f", dir_path);
	assert_false(fileio_first_line(path, text, sizeof(text)));
	assert_int_equal(fileio_replace_at(dir, "f", "Y\nN\n", 4, 0600), 0);
	assert_true(fileio_first_line(path, text, sizeof(text)));
	assert_string_equal(text, "Y");
	assert_int_equal(fileio_replace_at(dir, "f", "longer", 6, 0600), 0);
	assert_true(fileio_first_line(path, text, sizeof(text)));
	assert_string_equal(text, "long");
	assert_int_equal(fileio_replace_at(dir, "f", "", 0, 0600), 0);
	assert_false(fileio_first_line(path, text, sizeof(text)));
}

static void replace_gets_past_a_temporary_file_left_by_a_crash(void **state)
{
	int fd;

	(void)state;
	fd = openat(dir, "f.tmp", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(fileio_replace_at(dir, "f", "x", 1, 0600), 0);
	assert_int_equal(faccessat(dir, "f.tmp", F_OK, 0), -1);
}

static void replace_that_fails_leaves_the_old_file_alone(void **state)
{
	AUTO_FREE uint8_t *buf = NULL;
	size_t len;

	(void)state;
	assert_int_equal(fileio_replace_at(dir, "f", "old", 3, 0600), 0);
	assert_int_equal(mkdirat(dir, "f.tmp", 0700), 0);
	assert_int_equal(fileio_replace_at(dir, "f", "new", 3, 0600), -EISDIR);
	assert_int_equal(unlinkat(dir, "f.tmp", AT_REMOVEDIR), 0);
	assert_int_equal(fileio_read_at(dir, "f", 100, &buf, &len), 0);
	assert_string_equal((char *)buf, "old");
}

static void read_refuses_what_is_larger_than_allowed(void **state)
{
	uint8_t *buf = NULL;
	size_t len;

	(void)state;
	assert_int_equal(fileio_replace_at(dir, "f", "1234", 4, 0600), 0);
	assert_int_equal(fileio_read_at(dir, "f", 3, &buf, &len), -EFBIG);
	assert_null(buf);
}

static void read_takes_an_empty_file(void **state)
{
	AUTO_FREE uint8_t *buf = NULL;
	size_t len = 1;

	(void)state;
	assert_int_equal(fileio_replace_at(dir, "f", "", 0, 0600), 0);
	assert_int_equal(fileio_read_at(dir, "f", 10, &buf, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal((char *)buf, "");
}

static void read_takes_files_of_proc_that_say_size_0(void **state)
{
	AUTO_FREE uint8_t *buf = NULL;
	uint8_t *none = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(fileio_read_at(AT_FDCWD, "/proc/version", 4096, &buf, &len), 0);
	assert_true(len > 0);
	assert_int_equal(fileio_read_at(AT_FDCWD, "/proc/version", len - 1, &none, &len), -EFBIG);
	assert_null(none);
}

static void read_refuses_links_fifos_directories_and_nothing(void **state)
{
	uint8_t *buf = NULL;
	size_t len;

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(fileio_read_at(dir, "link", 1 << 20, &buf, &len), -ELOOP);
	assert_int_equal(fileio_read_at(dir, "fifo", 1 << 20, &buf, &len), -EUCLEAN);
	assert_int_equal(fileio_read_at(dir, ".", 1 << 20, &buf, &len), -EUCLEAN);
	assert_int_equal(fileio_read_at(dir, "none", 1 << 20, &buf, &len), -ENOENT);
	assert_null(buf);
}

static void read_full_tells_a_premature_end(void **state)
{
	char buf[4] = "";
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fileio_write_full(p[1], "abc", 3), 0);
	(void)close(p[1]);
	assert_int_equal(fileio_read_full(p[0], buf, 2), 0);
	assert_string_equal(buf, "ab");
	assert_int_equal(fileio_read_full(p[0], buf, 2), -ENODATA);
	(void)close(p[0]);
}

static void mkdirs_makes_all_parents_and_takes_what_exists(void **state)
{
	char path[96], file[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s//a/b/c", dir_path);
	(void)snprintf(file, sizeof(file), "%s/f", dir_path);
	assert_int_equal(fileio_mkdirs(path, 0700), 0);
	assert_int_equal(fileio_mkdirs(path, 0700), 0);
	assert_int_equal(faccessat(dir, "a/b/c", X_OK, 0), 0);
	assert_int_equal(fileio_replace_at(dir, "f", "", 0, 0600), 0);
	assert_int_equal(fileio_mkdirs(file, 0700), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_line_is_cut_and_an_empty_file_has_none, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(replace_then_read_returns_the_bytes, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(replace_gets_past_a_temporary_file_left_by_a_crash, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(replace_that_fails_leaves_the_old_file_alone, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(read_refuses_what_is_larger_than_allowed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(read_takes_an_empty_file, make_dir, remove_dir),
		cmocka_unit_test(read_takes_files_of_proc_that_say_size_0),
		cmocka_unit_test_setup_teardown(read_refuses_links_fifos_directories_and_nothing, make_dir,
						remove_dir),
		cmocka_unit_test(read_full_tells_a_premature_end),
		cmocka_unit_test_setup_teardown(mkdirs_makes_all_parents_and_takes_what_exists, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
