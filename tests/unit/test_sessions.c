/* The table of what is fetched and kept: one entry a key, one fetch at a time, the oldest makes room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "net/sessions.h"

struct entry {
	struct session session;
	int value;
};

static unsigned cleared;

static void clear(void *entry)
{
	struct entry *e = entry;

	cleared += e->value != 0;
	*e = (struct entry){ 0 };
}

static struct entry of[3];
static struct sessions table = SESSIONS_INIT(of, clear);

static struct entry *put(const char *key, int value, uint64_t used_ms)
{
	struct entry *e = sessions_take(&table, key, 0);

	assert_non_null(e);
	assert_string_equal(e->session.key, key);
	e->value = value;
	e->session.used_ms = used_ms;
	sessions_give(&table);
	return e;
}

static int set_up(void **state)
{
	(void)state;
	sessions_forget(&table);
	cleared = 0;
	return 0;
}

static void a_key_has_one_entry_and_the_oldest_makes_room(void **state)
{
	struct entry *a = put("a", 1, 30), *b = put("b", 2, 10);

	(void)state;
	assert_ptr_not_equal(a, b);
	(void)put("c", 3, 20);
	assert_ptr_equal(put("a", 1, 30), a);
	assert_int_equal(cleared, 0);
	assert_ptr_equal(put("d", 4, 40), b); /* in place of b */
	assert_int_equal(cleared, 1);
	assert_null(sessions_peek(&table, "b"));
	sessions_give(&table);
	assert_ptr_equal(sessions_peek(&table, "a"), a);
	sessions_give(&table);
}

static void what_is_busy_is_waited_for_to_the_deadline_and_never_cleared(void **state)
{
	struct entry *a = sessions_take(&table, "a", 0), *b;
	uint64_t begin = clock_boot_ms();

	(void)state;
	a->value = 1;
	sessions_fetch_begin(&table, a);
	assert_null(sessions_take(&table, "a", begin + 50));
	assert_true(clock_boot_ms() >= begin + 50);
	assert_null(sessions_take(&table, "a", 0)); /* over already */
	sessions_forget(&table);
	assert_int_equal(cleared, 0);
	(void)put("x", 2, 1);
	(void)put("y", 3, 2);
	b = put("z", 4, 3); /* x goes, not a, which was never used */
	assert_ptr_not_equal(a, b);
	assert_int_equal(cleared, 1);
	sessions_fetch_end(&table, a);
	sessions_give(&table);
	assert_ptr_equal(sessions_take(&table, "a", 0), a);
	sessions_give(&table);
	sessions_forget(&table);
	assert_int_equal(cleared, 4);
}

static void a_table_in_which_all_are_busy_has_no_room(void **state)
{
	static const char *const keys[] = { "a", "b", "c" };
	struct entry *e[3];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		e[i] = sessions_take(&table, keys[i], 0);
		assert_non_null(e[i]);
		sessions_fetch_begin(&table, e[i]);
	}
	assert_null(sessions_take(&table, "d", 0));
	for (i = 0; i < 3; i++) {
		sessions_fetch_end(&table, e[i]);
		sessions_give(&table);
	}
	assert_non_null(sessions_take(&table, "d", 0));
	sessions_give(&table);
}

static void *wait_for_a(void *arg)
{
	struct entry *e = sessions_take(&table, "a", clock_boot_ms() + 60000);

	*(int *)arg = e ? e->value : -1;
	if (e)
		sessions_give(&table);
	return NULL;
}

static void whoever_waits_gets_what_was_fetched(void **state)
{
	struct entry *a = sessions_take(&table, "a", 0);
	pthread_t threads[4];
	int got[4] = { 0 };
	unsigned waiting = 0;
	size_t i;

	(void)state;
	sessions_fetch_begin(&table, a);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_a, &got[i]), 0);
	while (waiting < 4) {
		(void)sessions_peek(&table, "a");
		waiting = a->session.waiting;
		sessions_give(&table);
	}
	a->value = 7;
	sessions_fetch_end(&table, a);
	sessions_give(&table);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(got[i], 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_key_has_one_entry_and_the_oldest_makes_room, set_up),
		cmocka_unit_test_setup(what_is_busy_is_waited_for_to_the_deadline_and_never_cleared, set_up),
		cmocka_unit_test_setup(a_table_in_which_all_are_busy_has_no_room, set_up),
		cmocka_unit_test_setup(whoever_waits_gets_what_was_fetched, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
