/* test_backup_held.c: object lock (backup/backup_lock.c): no manifest is put before all that it names is held, and none at all if something cannot be. The store is a directory whose
 * locks are kept here; whichever allocation, thread or call to it fails, that stays so. Linked with --wrap. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <time.h>

#include <cmocka.h>

#include "alloc_fails_more.h"
#include "backup/store_impl.h"
#include "backup_fixture.h"

#define FILES 6u                        /* a segment each, and as many small ones in a pack */
#define TRIES_MAX 3000

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	return alloc_fails() ? EAGAIN : __real_pthread_create(t, attr, start, arg);
}

static time_t ahead;                     /* of time(2) */

time_t __wrap_time(time_t *t);
time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t)
{
	time_t now = __real_time(NULL) + ahead;

	if (t)
		*t = now;
	return now;
}

/* ---- a store that locks */

static struct store_ops ops;
static const struct store_ops *plain;
static atomic_uint lists;                /* that were put */
static atomic_uint asked, manifests, asked_before; /* objects that were to be held; manifests that were put, and how many had been asked about by then */
static atomic_uint fail_at;              /* that one is refused; 0: none */

static int on_lock_check(struct store *s, struct store_error *e)
{
	(void)s;
	(void)e;
	return 0;
}

static int on_lock_extend(struct store *s, const char *name, struct store_error *e)
{
	uint64_t size;
	int r = plain->head(s, name, &size, e);

	if (r < 0)
		return r;
	return atomic_fetch_add(&asked, 1) + 1 == fail_at ? store_fail(e, -EACCES, "%s: not held for longer", name) : 0;
}

static int on_put(struct store *s, const char *name, const void *data, size_t len, unsigned flags, struct store_error *e)
{
	if (strstr(name, "/snapshots/")) {
		atomic_fetch_add(&manifests, 1);
		asked_before = asked;
	}
	lists += strstr(name, "/lists/") != NULL;
	return plain->put(s, name, data, len, flags, e);
}

static void make_files(void)
{
	static uint8_t content[RECORD_PACKED_BELOW];
	char name[16];

	for (unsigned i = 0; i < FILES; i++) {
		memset(content, (int)i + 1, sizeof(content));
		(void)snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(fileio_replace_at(root_fd, name, content, sizeof(content), 0600), 0);
		(void)snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(fileio_replace_at(root_fd, name, content, 100, 0600), 0);
	}
}

static int setup(void **state)
{
	int r = backup_setup(state);

	if (r < 0)
		return r;
	plain = store->ops;
	ops = *plain;
	ops.lock_check = on_lock_check;
	ops.lock_extend = on_lock_extend;
	ops.put = on_put;
	store->ops = &ops;
	store->locks = true;
	asked = manifests = asked_before = fail_at = lists = 0;
	ahead = 0;
	make_files();
	return 0;
}

/* ---- */

static long fail_from = -1;              /* allocations of the steps behind the walk */

static int begin_to_fail(void *ctx, struct manifest *m)
{
	(void)ctx;
	(void)m;
	failed = false;
	countdown = fail_from;
	return 0;
}

static int back_up(void)
{
	struct backup_params p = { .store = store, .root_fd = root_fd, .uuid = { 1 }, .clean = true, .threads = 2, .sign = begin_to_fail };
	struct backup_result res;
	int r = backup_run(&p, &res, &err);

	countdown = -1;
	return r;
}

/* Segments, the pack, and the lists. */
static void what_a_run_uses_again_is_held_before_its_manifest(void **state)
{
	(void)state;
	assert_int_equal(back_up(), 0);
	assert_int_equal(asked, 0); /* it has put them so itself */
	assert_int_equal(back_up(), 0);
	assert_int_equal(asked, FILES + 1 + 1);
	assert_int_equal(asked_before, FILES + 1 + 1);
	assert_int_equal(manifests, 2);
}

/* Of what it sent first half a day of the surplus is over. */
static int time_passes(void *ctx, struct manifest *m)
{
	(void)ctx;
	(void)m;
	ahead += 13 * 3600;
	return 0;
}

static void a_run_that_took_long_asks_about_its_own_too(void **state)
{
	struct backup_params p = { .store = store, .root_fd = root_fd, .uuid = { 1 }, .clean = true, .threads = 2, .sign = time_passes };
	struct backup_result res;

	(void)state;
	assert_int_equal(backup_run(&p, &res, &err), 0);
	assert_int_equal(asked_before, FILES + 1 + 1);
}

static void no_manifest_names_what_cannot_be_held(void **state)
{
	(void)state;
	assert_int_equal(back_up(), 0);
	for (unsigned i = 1; i <= FILES + 2; i++) {
		asked = 0;
		fail_at = i;
		assert_int_equal(back_up(), -EACCES);
		assert_non_null(strstr(err.message, "not held for longer"));
		assert_int_equal(manifests, 1);
	}
	fail_at = 0;
	assert_int_equal(back_up(), 0);
	assert_int_equal(manifests, 2);
}

static void whatever_fails_there_is_no_manifest_before_all_is_held(void **state)
{
	unsigned was;
	int r;

	(void)state;
	assert_int_equal(back_up(), 0);
	for (fail_from = 0; fail_from < TRIES_MAX; fail_from++) {
		asked = asked_before = 0;
		was = manifests;
		r = back_up();
		assert_true(failed || r == 0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(manifests == was || asked_before == FILES + 2);
		assert_true(r < 0 || manifests == was + 1);
		if (!failed)
			break;
	}
	assert_true(fail_from > 10 && fail_from < TRIES_MAX);
	fail_from = -1;
}

/* Before there is any work: the first thread, the second. */
static void a_run_without_its_threads_leaves_what_it_found(void **state)
{
	(void)state;
	for (long n = 0; n < 3; n++) {
		int fd;

		countdown = n;
		failed = false;
		assert_int_equal(back_up(), -ENOMEM);
		fd = dup(0);
		assert_true(fd >= 0); /* standard input is open as it was */
		(void)close(fd);
		assert_int_equal(manifests, 0);
	}
}

/* Where nothing is locked, and so nothing is to be held. */
static void a_list_that_is_there_is_not_sent_again(void **state)
{
	(void)state;
	store->locks = false;
	assert_int_equal(back_up(), 0);
	assert_int_equal(lists, 1);
	assert_int_equal(back_up(), 0);
	assert_int_equal(lists, 1);
	assert_int_equal(system("rm \"$D\"/store/*/lists/*/*"), 0);
	assert_int_equal(back_up(), 0);
	assert_int_equal(lists, 2);
	assert_int_equal(unlinkat(root_fd, "s0", 0), 0);
	assert_int_equal(back_up(), 0);
	assert_int_equal(lists, 3);
	assert_int_equal(asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_a_run_uses_again_is_held_before_its_manifest, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(a_run_that_took_long_asks_about_its_own_too, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(no_manifest_names_what_cannot_be_held, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(whatever_fails_there_is_no_manifest_before_all_is_held, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(a_list_that_is_there_is_not_sent_again, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(a_run_without_its_threads_leaves_what_it_found, setup, backup_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
