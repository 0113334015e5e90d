/* test_names_memory.c: the n-th allocation fails, for each n, in each operation on names and attributes. It then says -ENOMEM, or had done without, and
 * changes nothing; and it works when memory is back. Linked with --wrap. */
#include "alloc_fails.h"
#include "names_ops.h"

#define ALLOCATIONS_MAX 500     /* of one operation: more means that the loop does not end */

void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

static void each_allocation_may_fail(void **state)
{
	uint64_t before;
	size_t k;
	long n;
	int r;

	(void)state;
	for (k = 0; k < NAMES_OPS; k++) {
		for (n = 0;; n++) {
			assert_true(n < ALLOCATIONS_MAX);
			names_build();
			before = names_picture();
			failed = false;
			countdown = n;
			r = names_ops[k].run();
			countdown = -1;
			if (r == -EOPNOTSUPP && strstr(names_ops[k].name, "xattr"))
				r = 0;
			if (r != (failed ? -ENOMEM : 0) && !(failed && r == 0))
				fail_msg("%s, allocation %ld: %s", names_ops[k].name, n + 1, err_text(r));
			if (r == -ENOMEM && names_picture() != before)
				fail_msg("%s, allocation %ld: it failed, but has changed something", names_ops[k].name, n + 1);
			if (r == -ENOMEM)
				assert_int_equal(names_ops[k].run(), 0);
			names_raze();
			if (!failed)
				break;
		}
		if (n < names_ops[k].at_least)
			fail_msg("%s has only %ld allocations", names_ops[k].name, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(each_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
