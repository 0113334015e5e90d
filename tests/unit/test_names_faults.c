/* test_names_faults.c: the n-th lower call fails, for each n, in each operation on names, attributes and ranges. It then says so, or had done without; all of it is
 * done or nothing; it works when the disk does again; no descriptor is left open, and fsck finds nothing but harmless leftovers. */
#include "names_ops.h"

#include <dirent.h>

#include "fs/check.h"
#include "io/vio_impl.h"
#include "lib/fault.h"

#define CALLS_MAX 500           /* of one operation: more means that the loop does not end */

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void told(void *ctx, const struct check_problem *p)
{
	(void)ctx;
	if (!p->harmless)
		print_error("%s: %s\n", p->backing_path, check_kind_text(p->kind));
}

static void is_whole(const char *name, uint64_t n)
{
	struct check_params p = { .problem = told };
	struct check_counts c;

	assert_int_equal(check_run(fixture_v, &p, &c), 0);
	if (c.problems)
		fail_msg("%s, call %llu: fsck finds %llu problems", name, (unsigned long long)n, (unsigned long long)c.problems);
}

/* Through the layer in which calls fail, or not. */
static void go_through(struct lower *l)
{
	fixture_v->lower = l;
	fixture_v->vio->l = l;
}

static void each_lower_call_may_fail(void **state)
{
	struct fault *fault = fault_new(lower_real());
	size_t k;

	(void)state;
	assert_non_null(fault);
	for (k = 0; k < NAMES_OPS; k++) {
		uint64_t n, before, after;
		const char *what;
		bool happened = true;
		unsigned fds;
		int r;

		names_build();
		r = names_ops[k].run();
		if (r == -EOPNOTSUPP)
			happened = false; /* not on this disk */
		else
			assert_int_equal(r, 0);
		after = names_picture();
		names_raze();
		fds = open_descriptors();
		for (n = 1; happened; n++) {
			assert_true(n < CALLS_MAX);
			names_build();
			before = names_picture();
			go_through(fault_lower(fault));
			fault_fail(fault, FAULT_ALL & ~FAULT_OF(close), n, EIO, 1, 0);
			r = names_ops[k].run();
			happened = fault_happened(fault);
			what = fault_what(fault);
			fault_fail(fault, 0, 0, 0, 0, 0);
			go_through(lower_real());
			if (r != 0 && !(happened && r == -EIO))
				fail_msg("%s, call %llu (%s): %s", names_ops[k].name, (unsigned long long)n, what, err_text(r));
			if (names_picture() != (r == 0 ? after : before) && names_picture() != after)
				fail_msg("%s, call %llu (%s): half of it was done", names_ops[k].name, (unsigned long long)n, what);
			if (r < 0 && names_picture() == before && before != after)
				assert_int_equal(names_ops[k].run(), 0);
			is_whole(names_ops[k].name, n);
			names_raze();
			if (open_descriptors() != fds)
				fail_msg("%s, call %llu: %u descriptors, not %u", names_ops[k].name, (unsigned long long)n, open_descriptors(), fds);
		}
	}
	fault_free(fault);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(each_lower_call_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
