/* The threads of backups and restores: every job once, a queue with an end, the first failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "backup/pool.h"

#define JOBS 500

struct job {
	struct pool_job queued;
	unsigned n;
};

static struct {
	struct pool pool;
	bool held;                /* lock: pool.m; threads do not begin */
	pthread_cond_t let_go;
	unsigned times[JOBS];     /* lock: pool.m */
} t;

static void *work(void *arg)
{
	struct job *job;

	(void)arg;
	while ((job = pool_next(&t.pool))) {
		lock_take(&t.pool.m);
		while (t.held)
			lock_wait(&t.pool.m, &t.let_go);
		t.times[job->n]++;
		lock_drop(&t.pool.m);
		pool_ended(&t.pool);
	}
	return NULL;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	pool_init(&t.pool);
	pthread_cond_init(&t.let_go, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pool_stop(&t.pool);
	pool_done(&t.pool);
	pthread_cond_destroy(&t.let_go);
	return 0;
}

static void every_job_is_done_once(void **state)
{
	static struct job jobs[JOBS];
	unsigned i;

	(void)state;
	assert_int_equal(pool_start(&t.pool, 4, work, NULL), 0);
	for (i = 0; i < JOBS; i++) {
		jobs[i].n = i;
		while (!pool_put(&t.pool, &jobs[i], 4))
			pool_pause(&t.pool);
	}
	while (!pool_idle(&t.pool))
		pool_pause(&t.pool);
	for (i = 0; i < JOBS; i++)
		assert_int_equal(t.times[i], 1);
	assert_int_equal(pool_error(&t.pool), 0);
}

static void a_queue_that_is_full_takes_none_and_what_is_in_it_is_done_before_the_end(void **state)
{
	static struct job jobs[4];
	unsigned i;

	(void)state;
	t.held = true;
	assert_int_equal(pool_start(&t.pool, 1, work, NULL), 0);
	for (i = 0; i < 4; i++)
		jobs[i].n = i;
	assert_true(pool_put(&t.pool, &jobs[0], 2));
	do /* until the thread has it */
		lock_take(&t.pool.m), i = t.pool.njobs, lock_drop(&t.pool.m);
	while (i > 0);
	assert_true(pool_put(&t.pool, &jobs[1], 2));
	assert_true(pool_put(&t.pool, &jobs[2], 2));
	assert_false(pool_put(&t.pool, &jobs[3], 2));
	assert_false(pool_idle(&t.pool));
	lock_take(&t.pool.m);
	t.held = false;
	pthread_cond_broadcast(&t.let_go);
	lock_drop(&t.pool.m);
	pool_stop(&t.pool);
	for (i = 0; i < 4; i++)
		assert_int_equal(t.times[i], i < 3);
	assert_true(pool_idle(&t.pool));
}

static void the_first_failure_counts(void **state)
{
	const struct store_error first = { .message = "first" }, second = { .message = "second" };

	(void)state;
	pool_fail(&t.pool, -EIO, &first);
	pool_fail(&t.pool, -ENOSPC, &second);
	assert_int_equal(pool_error(&t.pool), -EIO);
	assert_string_equal(t.pool.store_error.message, "first");
	pool_pause(&t.pool); /* at once: nothing will be done */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_job_is_done_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_queue_that_is_full_takes_none_and_what_is_in_it_is_done_before_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_first_failure_counts, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
