/* test_backup_live.c: when the last round of a mounted volume's backup counts (backup/backup_live.c). The mount is a callback; time is moved by --wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "backup/backup_impl.h"
#include "backup/snapshot.h"
#include "backup_fixture.h"

#define HOLDS 6 /* that are tried */

static time_t ahead; /* seconds that have passed and were not waited for */

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = __real_clock_gettime(id, ret);

	if (id == CLOCK_BOOTTIME)
		ret->tv_sec += ahead;
	return r;
}

static bool no_room;     /* for what is kept back while the mount holds still */

int __wrap_backup_spool_add(struct backup *b, enum repo_kind kind, const uint8_t *hash, const void *p, size_t len);
int __real_backup_spool_add(struct backup *b, enum repo_kind kind, const uint8_t *hash, const void *p, size_t len);
int __wrap_backup_spool_add(struct backup *b, enum repo_kind kind, const uint8_t *hash, const void *p, size_t len)
{
	return no_room ? -ENOBUFS : __real_backup_spool_add(b, kind, hash, p, len);
}

/* The mount: what its next hold does, by number from 1 on. */
static struct mount {
	unsigned holds;
	unsigned busy;           /* the first holds are somebody else's */
	unsigned slow;           /* those up to here last longer than a mount holds */
	unsigned expired;        /* those up to here are told to have ended by themselves */
} mount_;

static int on_hold(void *ctx)
{
	struct mount *m = ctx;

	if (m->holds++ < m->busy)
		return -EBUSY;
	return 0;
}

static int on_release(void *ctx)
{
	struct mount *m = ctx;

	if (m->holds <= m->slow)
		ahead += 5;
	return m->holds <= m->expired ? -ETIMEDOUT : 0;
}

static int setup(void **state)
{
	mount_ = (struct mount){ 0 };
	no_room = false;
	return backup_setup(state);
}

static int run(struct backup_result *ret_r)
{
	struct backup_params p = { .ctx = &mount_, .store = store, .root_fd = root_fd, .uuid = { 1 }, .threads = 2, .hold = on_hold, .release = on_release };

	return backup_run(&p, ret_r, &err);
}

static void one_hold_will_do(void **state)
{
	struct backup_result res;

	(void)state;
	assert_int_equal(run(&res), 0);
	assert_int_equal(mount_.holds, 1);
	assert_true(res.snapshot[0]);
}

static void one_that_had_ended_by_itself_does_not_count(void **state)
{
	struct backup_result res;

	(void)state;
	mount_.expired = 2;
	assert_int_equal(run(&res), 0);
	assert_int_equal(mount_.holds, 3);
}

/* It may have been another's that was let go. */
static void one_that_was_longer_than_a_mount_holds_does_not_count(void **state)
{
	struct backup_result res;

	(void)state;
	mount_.slow = 1;
	assert_int_equal(run(&res), 0);
	assert_int_equal(mount_.holds, 2);
}

static void it_gives_up_when_none_counts(void **state)
{
	struct backup_result res;

	(void)state;
	mount_.slow = UINT32_MAX;
	assert_int_equal(run(&res), -EAGAIN);
	assert_int_equal(mount_.holds, HOLDS);
}

static void anothers_hold_is_none_of_ours(void **state)
{
	struct backup_result res;

	(void)state;
	mount_.busy = 1;
	mount_.expired = HOLDS; /* of ours all but the last */
	assert_int_equal(run(&res), 0);
	assert_int_equal(mount_.holds, HOLDS + 1);
}

/* Objects and lists alike. */
static void what_there_is_no_room_for_goes_to_the_store_at_once(void **state)
{
	static const uint8_t uuid[UUID_LEN] = { 1 };
	const struct snapshot_walk walk = { .ctx = NULL };
	AUTO_MANIFEST struct manifest m = { 0 };
	uint8_t hash[RECORD_HASH_LEN];
	struct backup_result res;
	struct repo repo;

	(void)state;
	no_room = true;
	assert_int_equal(run(&res), 0);
	assert_int_equal(mount_.holds, 1);
	repo_open(&repo, store, uuid);
	assert_int_equal(repo_manifest(&repo, res.snapshot, &m, hash, &err), 0);
	assert_int_equal(snapshot_walk(&repo, &m, &walk, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_hold_will_do, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(one_that_had_ended_by_itself_does_not_count, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(one_that_was_longer_than_a_mount_holds_does_not_count, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(it_gives_up_when_none_counts, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(anothers_hold_is_none_of_ours, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(what_there_is_no_room_for_goes_to_the_store_at_once, setup, backup_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
