/* test_base_faults.c: the n-th call that can fail fails, for each n, in each operation of the base floor that allocates or
 * touches files. Then the error is what the operation returns, a file is whole, the old or the new one, and nothing leaks
 * (the sanitizers look). Linked with --wrap for the calls below. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"

static long countdown = -1; /* calls until one fails; -1: none does */
static bool failed;
static int with; /* the errno it fails with */

static bool fails(void)
{
	if (countdown != 0) {
		countdown -= countdown > 0;
		return false;
	}
	countdown = -1;
	failed = true;
	errno = with;
	return true;
}

#define WRAP(type, name, bad, params, args)         \
	type __wrap_##name params;                  \
	type __real_##name params;                  \
	type __wrap_##name params                   \
	{                                           \
		return fails() ? (bad) : __real_##name args; \
	}

WRAP(void *, malloc, NULL, (size_t n), (n))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(char *, strdup, NULL, (const char *s), (s))
WRAP(char *, strndup, NULL, (const char *s, size_t n), (s, n))
WRAP(ssize_t, read, -1, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, write, -1, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(int, fsync, -1, (int fd), (fd))
WRAP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(void *, mmap, MAP_FAILED, (void *p, size_t n, int prot, int flags, int fd, off_t at), (p, n, prot, flags, fd, at))

static char dir_path[64], sub_path[96];
static int dir;

static int make_dir(void **state)
{
	(void)state;
	(void)snprintf(dir_path, sizeof(dir_path), "/tmp/coffer-test-faults.XXXXXX");
	if (!mkdtemp(dir_path))
		return -1;
	(void)snprintf(sub_path, sizeof(sub_path), "%s/a/b", dir_path);
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : fileio_replace_at(dir, "f", "old", 3, 0600);
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlinkat(dir, "f", 0);
	(void)unlinkat(dir, "a/b", AT_REMOVEDIR);
	(void)unlinkat(dir, "a", AT_REMOVEDIR);
	(void)close(dir);
	return rmdir(dir_path);
}

static int op_replace(void)
{
	return fileio_replace_at(dir, "f", "new", 3, 0600);
}

static void check_replaced(int r)
{
	AUTO_FREE uint8_t *buf = NULL;
	size_t len;

	assert_int_equal(fileio_read_at(dir, "f", 100, &buf, &len), 0);
	if (strcmp((char *)buf, "new") != 0)
		assert_true(r < 0 && strcmp((char *)buf, "old") == 0);
	assert_int_equal(faccessat(dir, "f.tmp", F_OK, 0), -1);
	assert_int_equal(errno, ENOENT);
}

static int op_read(void)
{
	AUTO_FREE uint8_t *buf = NULL;
	size_t len;

	return fileio_read_at(dir, "f", 100, &buf, &len);
}

static int op_mkdirs(void)
{
	return fileio_mkdirs(sub_path, 0700);
}

static int op_json(void)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_JSON struct json *back = NULL;
	AUTO_FREE char *text = NULL;
	int r = json_put_b64(o, "k", "0123456789", 10);

	if (!o)
		return -ENOMEM;
	if (r == 0)
		r = json_put_int(o, "n", 7);
	if (r == 0)
		r = json_put_json(o, "a", json_new_array());
	if (r == 0)
		r = json_dump(o, &text);
	return r < 0 ? r : json_parse(text, strlen(text), 1000, &back);
}

static int op_conf(void)
{
	static const struct ini_key keys[] = { { "k", INI_STRING, true }, { NULL, INI_STRING, false } };
	static const struct ini_rule rules[] = { { "s", keys, true }, { NULL, NULL, false } };
	AUTO_INI struct ini *ini = NULL;
	struct ini_error e;

	return ini_read("[s]\nk=1\nk=2\n[s 2]\nk=3\n", 22, rules, &ini, &e);
}

static int op_secret(void)
{
	AUTO_SECRET struct secret *s = NULL;
	AUTO_SECRET struct secret *t = NULL;
	AUTO_CLOSE int fd = -1;
	int r = secret_new_copy("0123456789abcdef", 16, &s);

	if (r == 0)
		r = secret_to_fd(s, &fd);
	if (r == 0)
		r = secret_from_fd(fd, 16, &t);
	if (r == 0 && !secret_equal(secret_bytes(s), secret_bytes(t), 16))
		r = -EBADMSG;
	return r;
}

/* r is the operation's result when a call failed with the errno given; may_recover: it may have gone another way. */
static void each_call_fails(int (*op)(void), int error, bool may_recover, void (*check)(int r))
{
	long n;
	int r;

	for (n = 0; n < 10000; n++) {
		failed = false;
		with = error;
		countdown = n;
		r = op();
		countdown = -1;
		if (!failed) {
			assert_int_equal(r, 0);
			assert_true(n > 0);
			return;
		}
		if (!may_recover || r != 0)
			assert_true(r == -error || r == -ENOMEM);
		if (check)
			check(r);
	}
	fail_msg("no end");
}

static void a_file_is_replaced_whole_or_not_at_all(void **state)
{
	(void)state;
	each_call_fails(op_replace, EIO, false, check_replaced);
	each_call_fails(op_replace, ENOSPC, false, check_replaced);
}

static void an_interrupted_call_is_tried_again(void **state)
{
	long n;

	(void)state;
	/* Of the calls of a read only read(2) may be interrupted; of a replacement only write(2). */
	for (n = 0; n < 4; n++) {
		failed = false;
		with = EINTR;
		countdown = n;
		if (op_read() == 0 && failed)
			break;
		countdown = -1;
	}
	assert_true(n < 4);
}

static void reading_says_what_failed(void **state)
{
	(void)state;
	each_call_fails(op_read, EIO, false, NULL);
}

static void making_directories_says_what_failed(void **state)
{
	(void)state;
	each_call_fails(op_mkdirs, EACCES, false, NULL);
}

static void json_and_ini_say_that_memory_is_out(void **state)
{
	(void)state;
	each_call_fails(op_json, ENOMEM, false, NULL);
	each_call_fails(op_conf, ENOMEM, false, NULL);
}

static void secrets_go_another_way_or_say_so(void **state)
{
	(void)state;
	each_call_fails(op_secret, ENOMEM, true, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_replaced_whole_or_not_at_all, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_interrupted_call_is_tried_again, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(reading_says_what_failed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(making_directories_says_what_failed, make_dir, remove_dir),
		cmocka_unit_test(json_and_ini_say_that_memory_is_out),
		cmocka_unit_test(secrets_go_another_way_or_say_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
