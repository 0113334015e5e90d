/* test_jobs.c: work on threads: all of it is done, on the loop's thread, whatever happens meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "agent/jobs.h"

struct count {
	unsigned done, cancelled;
	pthread_t thread;
};

struct job {
	struct jobs_item item;
	bool ran;
	int ms;
};

static atomic_uint running, most;

static void run(struct jobs_item *item)
{
	struct job *job = (struct job *)item;
	unsigned now = atomic_fetch_add(&running, 1) + 1, was = atomic_load(&most);

	while (now > was && !atomic_compare_exchange_weak(&most, &was, now))
		;
	if (job->ms)
		(void)poll(NULL, 0, job->ms);
	job->ran = true;
	atomic_fetch_sub(&running, 1);
}

static void done(void *ctx, struct jobs_item *item, bool cancelled)
{
	struct job *job = (struct job *)item;
	struct count *n = ctx;

	assert_true(pthread_equal(pthread_self(), n->thread));
	assert_int_equal(job->ran, !cancelled);
	n->done++;
	n->cancelled += cancelled;
	free(job);
}

static void submit(struct jobs *j, int ms)
{
	struct job *job = calloc(1, sizeof(*job));

	*job = (struct job){ .item = { .run = run, .done = done }, .ms = ms };
	assert_int_equal(jobs_submit(j, &job->item), 0);
}

static void all_jobs_run_side_by_side_and_are_told_on_the_loops_thread(void **state)
{
	struct count n = { .thread = pthread_self() };
	struct jobs *j;

	(void)state;
	atomic_store(&most, 0);
	assert_int_equal(jobs_new(&j), 0);
	for (unsigned i = 0; i < 200; i++)
		submit(j, 5);
	while (n.done < 200) {
		struct pollfd p = { .fd = jobs_fd(j), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 60000), 1);
		jobs_reap(j, &n);
	}
	assert_int_equal(n.cancelled, 0);
	assert_in_range(atomic_load(&most), 2, JOBS_THREADS_MAX);
	jobs_free(j, &n);
	assert_int_equal(n.done, 200);
}

static void the_end_waits_for_what_runs_and_cancels_what_waits(void **state)
{
	struct count n = { .thread = pthread_self() };
	struct jobs *j;

	(void)state;
	assert_int_equal(jobs_new(&j), 0);
	for (unsigned i = 0; i < 100; i++)
		submit(j, 50);
	jobs_free(j, &n);
	assert_int_equal(n.done, 100);
	assert_true(n.cancelled > 0);
}

static void too_many_are_refused(void **state)
{
	struct count n = { .thread = pthread_self() };
	struct job extra = { .item = { .run = run, .done = done } };
	struct jobs *j;

	(void)state;
	assert_int_equal(jobs_new(&j), 0);
	for (unsigned i = 0; i < JOBS_MAX; i++)
		submit(j, i < JOBS_THREADS_MAX ? 100 : 0);
	assert_int_equal(jobs_submit(j, &extra.item), -ENOSPC); /* what is done counts until it is reaped */
	jobs_free(j, &n);
	assert_int_equal(n.done, JOBS_MAX);
	jobs_free(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_jobs_run_side_by_side_and_are_told_on_the_loops_thread),
		cmocka_unit_test(the_end_waits_for_what_runs_and_cancels_what_waits),
		cmocka_unit_test(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
