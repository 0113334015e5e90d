#include "base/lock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct lock outer, inner, range_a, range_b;

static int make_locks(void **state)
{
	(void)state;
	lock_init(&outer, LOCK_RANK_CKPT);
	lock_init(&inner, LOCK_RANK_POOL);
	lock_init(&range_a, LOCK_RANK_RANGE);
	lock_init(&range_b, LOCK_RANK_RANGE);
	return 0;
}

static void in_order(void)
{
	WITH_LOCK(&outer);
	WITH_LOCK(&inner);
}

static void against_order(void)
{
	lock_take(&inner);
	lock_take(&outer);
}

static void twice(void)
{
	lock_take(&outer);
	lock_take(&outer);
}

static void ranges_beside_each_other(void)
{
	lock_take(&range_a);
	lock_take(&range_b);
	lock_drop(&range_a);
	lock_drop(&range_b);
	lock_take(&outer);
	lock_drop(&outer);
}

/* Signal that ended a child which ran f(), 0 when it came through. */
static int ends_with(void (*f)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		(void)alarm(20);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void locks_in_order_pass(void **state)
{
	(void)state;
	assert_int_equal(ends_with(in_order), 0);
	assert_int_equal(ends_with(ranges_beside_each_other), 0);
}

static void a_lock_against_the_order_aborts_in_developer_builds(void **state)
{
	(void)state;
	assert_int_equal(ends_with(against_order), COFFER_DEVELOPER ? SIGABRT : 0);
#if COFFER_DEVELOPER
	assert_int_equal(ends_with(twice), SIGABRT);
#else
	(void)twice;
#endif
}

static void with_lock_drops_at_the_end_of_the_scope(void **state)
{
	(void)state;
	in_order();
	assert_int_equal(pthread_mutex_trylock(&outer.m), 0);
	assert_int_equal(pthread_mutex_trylock(&inner.m), 0);
	(void)pthread_mutex_unlock(&inner.m);
	(void)pthread_mutex_unlock(&outer.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locks_in_order_pass),
		cmocka_unit_test(a_lock_against_the_order_aborts_in_developer_builds),
		cmocka_unit_test(with_lock_drops_at_the_end_of_the_scope),
	};

	return cmocka_run_group_tests(tests, make_locks, NULL);
}
