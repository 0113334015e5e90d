#include "../lib/fault.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/simfs.h"

/* Replace "f" by new bytes, atomically. Every call is looked at. */
static int replace(struct lower *l, int root, char c)
{
	char b[4096];
	int fd, r, r2;

	memset(b, c, sizeof(b));
	fd = l->ops->openat(l, root, "f.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = lower_pwrite(l, fd, b, sizeof(b), 0, false);
	if (r == 0)
		r = l->ops->fsync(l, fd);
	r2 = l->ops->close(l, fd);
	if (r == 0)
		r = r2;
	if (r == 0)
		r = l->ops->renameat2(l, root, "f.tmp", root, "f", 0);
	return r < 0 ? r : l->ops->fsync(l, root);
}

static char first_byte(struct lower *l, int root)
{
	int fd = l->ops->openat(l, root, "f", O_RDONLY, 0);
	char c = '-';

	if (fd >= 0)
		assert_int_equal(lower_pread_full(l, fd, &c, 1, 0), 0);
	lower_close(l, fd);
	return c;
}

static void every_call_of_a_scenario_can_fail_over(struct lower *inner, int root)
{
	struct fault *f = fault_new(inner);
	uint64_t total, n;
	char now = 'a';

	assert_int_equal(replace(fault_lower(f), root, 'a'), 0);
	total = fault_calls(f, FAULT_ALL);
	assert_int_equal(total, 6);
	assert_int_equal(fault_calls(f, FAULT_FLUSHES), 2);
	assert_false(fault_happened(f));
	assert_string_equal(fault_what(f), "none");
	for (n = 1;; n++) {
		int r;

		fault_fail(f, FAULT_ALL, n, EIO, 1, 0);
		r = replace(fault_lower(f), root, 'b');
		if (!fault_happened(f))
			break;
		assert_int_equal(r, -EIO);
		now = n < 6 ? now : 'b'; /* the last call fails after the rename */
		assert_int_equal(first_byte(inner, root), now);
	}
	assert_int_equal(n, total + 1);
	fault_fail(f, FAULT_FLUSHES, 2, ENOSPC, 1, 0);
	assert_int_equal(replace(fault_lower(f), root, 'c'), -ENOSPC);
	assert_string_equal(fault_what(f), "fsync");
	assert_int_equal(first_byte(inner, root), 'c');
	fault_fail(f, FAULT_OF(pwritev), 1, EIO, FAULT_FOREVER, 0);
	assert_int_equal(replace(fault_lower(f), root, 'd'), -EIO);
	assert_int_equal(replace(fault_lower(f), root, 'd'), -EIO);
	fault_fail(f, FAULT_OF(pwritev), 1, EIO, 1, 0);
	assert_int_equal(replace(fault_lower(f), root, 'd'), -EIO);
	assert_int_equal(replace(fault_lower(f), root, 'd'), 0);
	fault_fail(f, 0, 0, 0, 0, 0);
	assert_int_equal(replace(fault_lower(f), root, 'e'), 0);
	fault_free(f);
}

static void every_call_can_fail_over_simfs(void **state)
{
	struct simfs *fs = simfs_new(&(struct simfs_params){ .seed = 1 });

	(void)state;
	every_call_of_a_scenario_can_fail_over(simfs_lower(fs), simfs_open_root(fs));
	assert_int_equal(simfs_open_count(fs), 1); /* a failing close closes */
	simfs_free(fs);
}

static void every_call_can_fail_over_the_kernel(void **state)
{
	char path[] = "/tmp/coffer-test-fault.XXXXXX";
	int root;

	(void)state;
	assert_non_null(mkdtemp(path));
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	every_call_of_a_scenario_can_fail_over(lower_real(), root);
	(void)unlinkat(root, "f", 0);
	(void)unlinkat(root, "f.tmp", 0);
	(void)close(root);
	assert_int_equal(rmdir(path), 0);
}

static void a_partial_failure_has_done_the_first_half(void **state)
{
	struct simfs *fs = simfs_new(&(struct simfs_params){ .seed = 1 });
	struct fault *f = fault_new(simfs_lower(fs));
	struct lower *l = fault_lower(f);
	char b[4096], c[4096];
	struct iovec iov[3] = { { b, 1000 }, { b, 96 }, { b, 3000 } };
	struct stat st;
	int fd = l->ops->openat(l, simfs_open_root(fs), "f", O_RDWR | O_CREAT, 0600);

	(void)state;
	memset(b, 'x', sizeof(b));
	fault_fail(f, FAULT_OF(pwritev) | FAULT_OF(preadv), 1, ENOSPC, 1, FAULT_PARTIAL);
	assert_int_equal(l->ops->pwritev(l, fd, iov, 3, 0, true), -ENOSPC);
	assert_int_equal(l->ops->fstat(l, fd, &st), 0);
	assert_int_equal(st.st_size, 2048);
	assert_int_equal(lower_pwrite(l, fd, b, sizeof(b), 0, false), 0);
	fault_fail(f, FAULT_OF(preadv), 1, EIO, 1, FAULT_PARTIAL);
	assert_int_equal(lower_pread(l, fd, c, sizeof(c), 0), 2048);
	assert_memory_equal(b, c, 2048);
	assert_int_equal(lower_pread(l, fd, c, sizeof(c), 0), 4096);
	fault_fail(f, FAULT_OF(preadv), 1, EIO, 1, FAULT_PARTIAL);
	assert_int_equal(lower_pread(l, fd, c, 600, 0), -EIO); /* no whole sector in half of it */
	fault_free(f);
	simfs_free(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_can_fail_over_simfs),
		cmocka_unit_test(every_call_can_fail_over_the_kernel),
		cmocka_unit_test(a_partial_failure_has_done_the_first_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
