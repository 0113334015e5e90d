/* test_volume_lock.c: a volume that gives up its keys and gets them back: what is held in between, who may open it again, and what happens when any lower call
 * or allocation on the way fails. Linked with --wrap. */
#include "alloc_fails.h"
#include "fs_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/text.h"
#include "fs/backing.h"
#include "io/vio_impl.h"
#include "lib/fault.h"

#define CALLS_MAX 4000
#define ALLOCATIONS_MAX 2000

void *__wrap_realloc(void *p, size_t n);
void *__real_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
	return alloc_fails() ? NULL : __real_realloc(p, n);
}

/* ---- */

static int unlock_with(struct volume *v, uint8_t key)
{
	struct secret *root = fixture_key(key);
	int r = volume_unlock(v, fixture_config, fixture_config_len, &root);

	assert_null(root);
	return r;
}

static void what_was_written_is_there_after_a_lock(void **state)
{
	struct inode *file = make_file(fixture_v->root, "file"), *dir = make_dir(fixture_v->root, "dir"), *in, *gone;
	struct volume_stats before, now;

	(void)state;
	in = make_file(dir, "a name of some length, so that it is one of the long ones when it is encrypted: a name of some length, so that it is one of the long ones");
	gone = make_file(dir, "gone");
	put_text(file, "committed");
	assert_int_equal(file_fsync(fixture_v, file, 0), 0);
	put_text(in, "never asked to be");
	put_text(gone, "without a name");
	assert_int_equal(remove_file(fixture_v, dir, "gone"), 0);
	volume_stats(fixture_v, &before);
	assert_int_equal(volume_lock(fixture_v), 0);
	assert_true(volume_is_locked(fixture_v));
	assert_null(fixture_v->vio);
	assert_null(fixture_v->ring);
	assert_null(fixture_v->names);
	volume_stats(fixture_v, &now);
	assert_true(now.io.write_bytes >= before.io.write_bytes && now.files == 0 && !now.io.read_only);
	assert_int_equal(unlock_with(fixture_v, 1), 0);
	assert_false(volume_is_locked(fixture_v));
	assert_text(file, "committed");
	assert_text(in, "never asked to be");
	assert_text(gone, "without a name");
	assert_int_equal(count_entries(dir), 1);
	put_text(file, "and again");
	assert_int_equal(file_fsync(fixture_v, file, 0), 0);
	volume_stats(fixture_v, &now);
	assert_true(now.io.write_bytes > before.io.write_bytes && now.io.commits > before.io.commits);
	drop(gone);
	drop(in);
	drop(file);
	drop(dir);
}

static void a_locked_volume_forgets_and_holds_still(void **state)
{
	struct inode *file = make_file(fixture_v->root, "file"), *gone = make_file(fixture_v->root, "gone");

	(void)state;
	put_text(gone, "text");
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "gone"), 0);
	assert_int_equal(volume_freeze(fixture_v), 0);
	assert_int_equal(volume_lock(fixture_v), 0); /* also one that is frozen */
	assert_int_equal(volume_thaw(fixture_v), -ETIMEDOUT);
	assert_int_equal(volume_lock(fixture_v), 0);
	assert_int_equal(volume_sync(fixture_v), 0);
	assert_int_equal(volume_freeze(fixture_v), 0); /* at rest it is still */
	assert_int_equal(volume_freeze(fixture_v), -EBUSY);
	assert_int_equal(volume_thaw(fixture_v), 0);
	assert_int_equal(volume_thaw(fixture_v), -ETIMEDOUT);
	assert_int_equal(volume_freeze(fixture_v), 0);
	fixture_v->hold_until_ms = 0; /* whoever asked died */
	assert_int_equal(volume_freeze(fixture_v), 0);
	fixture_v->hold_until_ms = 0;
	assert_int_equal(volume_thaw(fixture_v), -ETIMEDOUT);
	assert_int_equal(volume_freeze(fixture_v), 0);
	drop(gone);
	drop(file);
	assert_int_equal(unlock_with(fixture_v, 1), 0);
	assert_int_equal(volume_thaw(fixture_v), -ETIMEDOUT); /* it did not stay so */
	assert_int_equal(unlock_with(fixture_v, 1), 0);
	assert_int_equal(count_entries(fixture_v->root), 1);
}

/* ---- names */

static atomic_bool named;

static void *name_something(void *arg)
{
	(void)arg;
	volume_names_enter(fixture_v);
	atomic_store(&named, true);
	volume_names_leave(fixture_v);
	return NULL;
}

static void names_wait(int (*end)(struct volume *v))
{
	pthread_t t;

	atomic_store(&named, false);
	assert_int_equal(pthread_create(&t, NULL, name_something, NULL), 0);
	clock_pause_ms(50); /* long enough for one who does not wait */
	assert_false(atomic_load(&named));
	assert_int_equal(end(fixture_v), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(atomic_load(&named));
}

static void names_hold_still_with_the_volume(void **state)
{
	(void)state;
	volume_names_enter(fixture_v); /* one who is inside and stays there holds nobody up for long */
	assert_int_equal(volume_freeze(fixture_v), 0);
	volume_names_leave(fixture_v);
	names_wait(volume_thaw);
	assert_int_equal(volume_freeze(fixture_v), 0);
	names_wait(volume_lock); /* which ends the freeze */
	assert_int_equal(unlock_with(fixture_v, 1), 0);
	(void)name_something(NULL);
}

static void names_go_on_when_nobody_ends_it(void **state)
{
	struct still s;

	(void)state;
	still_init(&s);
	still_hold(&s, 20);
	still_enter(&s);
	still_leave(&s);
	still_end(&s);
	still_done(&s);
}

/* ---- tags of backups */

static int tag_at(const char *when, uint8_t ret_tag[static BACKUP_TAG_LEN], char *ret_text)
{
	char uuid[2 * UUID_LEN + 1];

	text_hex(fixture_v->info.uuid, UUID_LEN, uuid);
	(void)snprintf(ret_text, BACKUP_STATEMENT_MAX, "coffer-backup 1\n%s\n1\n\n%064d\n%s\n%064d\n", uuid, 1, when, 2);
	return volume_backup_tag(fixture_v, ret_text, ret_tag);
}

static void a_hold_that_lasted_gives_one_tag(void **state)
{
	uint8_t tag[BACKUP_TAG_LEN];
	char text[BACKUP_STATEMENT_MAX], now[TIME_TEXT_MAX];
	AUTO_SECRET struct secret *root = fixture_key(1);

	(void)state;
	assert_int_equal(text_time(time(NULL), sizeof(now), now), 0);
	assert_int_equal(tag_at(now, tag, text), -EPERM); /* none yet */
	assert_int_equal(volume_freeze(fixture_v), 0);
	assert_int_equal(tag_at(now, tag, text), -EPERM); /* not over */
	assert_int_equal(volume_thaw(fixture_v), 0);
	assert_int_equal(text_time(fixture_v->held_s, sizeof(now), now), 0);
	assert_int_equal(tag_at("2001-01-01T00:00:00Z", tag, text), -EPERM);
	assert_int_equal(tag_at("2999-01-01T00:00:00Z", tag, text), -EPERM);
	assert_int_equal(tag_at("2026-01-01", tag, text), -EINVAL);
	assert_int_equal(tag_at(now, tag, text), 0);
	assert_int_equal(backup_tag_check(root, fixture_v->info.uuid, text, tag), 0);
	assert_int_equal(volume_backup_check(fixture_v, text, tag), 0); /* that may be asked any time */
	tag[31] ^= 1;
	assert_int_equal(volume_backup_check(fixture_v, text, tag), -EKEYREJECTED);
	text[20] ^= 1;
	assert_int_equal(volume_backup_check(fixture_v, text, tag), -EINVAL);
	assert_int_equal(tag_at(now, tag, text), -EPERM); /* it was of that hold */
	assert_int_equal(volume_freeze(fixture_v), 0);
	lock_take(&fixture_v->vio->freeze.m);
	fixture_v->vio->freeze.state = FREEZE_EXPIRED;
	lock_drop(&fixture_v->vio->freeze.m);
	assert_int_equal(volume_thaw(fixture_v), -ETIMEDOUT);
	assert_int_equal(tag_at(now, tag, text), -EPERM);
}

static void a_locked_volume_tags_nothing(void **state)
{
	uint8_t tag[BACKUP_TAG_LEN];
	char text[BACKUP_STATEMENT_MAX], now[TIME_TEXT_MAX];

	(void)state;
	assert_int_equal(volume_lock(fixture_v), 0);
	assert_int_equal(volume_freeze(fixture_v), 0);
	assert_int_equal(volume_thaw(fixture_v), 0);
	assert_int_equal(text_time(fixture_v->held_s, sizeof(now), now), 0);
	assert_int_equal(tag_at(now, tag, text), -ENOKEY);
	assert_int_equal(volume_backup_check(fixture_v, text, tag), -ENOKEY);
	assert_int_equal(unlock_with(fixture_v, 1), 0);
	assert_int_equal(tag_at(now, tag, text), 0); /* what was at rest then is what the hold was of */
}

static void only_its_own_key_and_config_open_it_again(void **state)
{
	struct inode *file = make_file(fixture_v->root, "file");
	size_t k;

	(void)state;
	put_text(file, "text");
	assert_int_equal(volume_lock(fixture_v), 0);
	assert_int_equal(unlock_with(fixture_v, 2), -EKEYREJECTED);
	for (k = 0; k < fixture_config_len; k += 11) {
		int r;

		fixture_config[k] ^= 0x20;
		r = unlock_with(fixture_v, 1);
		assert_true(r == -EKEYREJECTED || r == -EUCLEAN || r == -EOPNOTSUPP);
		fixture_config[k] ^= 0x20;
	}
	fixture_v->info.uuid[3] ^= 1;
	assert_int_equal(unlock_with(fixture_v, 1), -EKEYREJECTED);
	fixture_v->info.uuid[3] ^= 1;
	fixture_v->info.config_version++;
	assert_int_equal(unlock_with(fixture_v, 1), -ESTALE);
	fixture_v->info.config_version--;
	assert_true(volume_is_locked(fixture_v));
	assert_int_equal(unlock_with(fixture_v, 1), 0);
	assert_text(file, "text");
	drop(file);
}

static void copy_state(const char *from_name, const char *to_name)
{
	static char buf[16384];
	char from[128], to[128];
	ssize_t n;
	int fd;

	(void)snprintf(from, sizeof(from), "%s/%s", fixture_path, from_name);
	(void)snprintf(to, sizeof(to), "%s/%s", fixture_path, to_name);
	fd = open(from, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, buf, sizeof(buf));
	(void)close(fd);
	fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, (size_t)n), n);
	(void)close(fd);
}

static void what_was_put_back_while_it_was_locked_is_noticed(void **state)
{
	(void)state;
	copy_state(NAME_STATE, "coffer.old");
	fixture_close();
	fixture_open();
	assert_int_equal(volume_lock(fixture_v), 0);
	copy_state(NAME_STATE, "coffer.new");
	copy_state("coffer.old", NAME_STATE);
	assert_int_equal(unlock_with(fixture_v, 1), -ESTALE);
	copy_state("coffer.new", NAME_STATE);
	assert_int_equal(unlock_with(fixture_v, 1), 0);
}

static void a_crash_while_it_is_locked_finds_a_clean_volume(void **state)
{
	struct inode *file = make_file(fixture_v->root, "file");
	struct volume_stats s;
	struct volume *dead;

	(void)state;
	put_text(file, "text");
	assert_int_equal(volume_lock(fixture_v), 0);
	dead = take_ptr(fixture_v);
	lower_close(dead->lower, dead->lock_fd); /* as the kernel would */
	dead->lock_fd = -1;
	fixture_open();
	volume_stats(fixture_v, &s);
	assert_int_equal(s.io.replayed_transactions, 0);
	assert_int_equal(s.io.log_used_bytes, 0);
	drop(find(fixture_v->root, "file"));
	inode_put(dead, file);
	(void)!volume_close(dead);
}

static void closing_while_it_is_locked_leaves_it_at_rest(void **state)
{
	struct inode *file = make_file(fixture_v->root, "file");

	(void)state;
	put_text(file, "text");
	drop(file);
	assert_int_equal(volume_lock(fixture_v), 0);
	fixture_close();
	fixture_open();
	file = find(fixture_v->root, "file");
	assert_text(file, "text");
	drop(file);
}

/* ---- faults */

static struct fault *fault;

static void fault_open(void)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true };
	struct secret *root = fixture_key(1);

	assert_int_equal(volume_open(fault_lower(fault), fixture_root(), fixture_config, fixture_config_len, &root, &o, NULL, fixture_holder, &fixture_v), 0);
}

/* Two files: "safe" is fsynced and must be there whatever happens, "late" only handed over. */
static void prepare(struct inode **ret_safe, struct inode **ret_late)
{
	struct dir_result d;

	*ret_safe = dir_lookup(fixture_v, fixture_v->root, "safe", &d) == 0 ? d.inode : make_file(fixture_v->root, "safe");
	*ret_late = dir_lookup(fixture_v, fixture_v->root, "late", &d) == 0 ? d.inode : make_file(fixture_v->root, "late");
	put_text(*ret_safe, "safe");
	assert_int_equal(file_fsync(fixture_v, *ret_safe, 0), 0);
	put_text(*ret_late, "late");
}

static void check_safe(void)
{
	struct inode *safe = find(fixture_v->root, "safe");

	assert_text(safe, "safe");
	drop(safe);
}

static void each_lower_call_of_a_lock_may_fail(void **state)
{
	unsigned n, broken = 0;

	(void)state;
	fixture_close();
	fault = fault_new(lower_real());
	for (n = 1; n < CALLS_MAX; n++) {
		struct inode *safe, *late;
		bool happened;
		int r, rc;

		fault_fail(fault, 0, 0, 0, 0, 0);
		fault_open();
		prepare(&safe, &late);
		fault_fail(fault, FAULT_ALL, n, EIO, n % 2 ? 1 : FAULT_FOREVER, 0);
		r = volume_lock(fixture_v);
		happened = fault_happened(fault);
		fault_fail(fault, 0, 0, 0, 0, 0);
		assert_true(volume_is_locked(fixture_v) && !fixture_v->ring && !fixture_v->vio);
		assert_true(happened || r == 0);
		rc = unlock_with(fixture_v, 1);
		if (r < 0) {
			broken++;
			assert_int_equal(rc, -EIO); /* what was lost must not look as if it were there */
			assert_int_equal(volume_lock(fixture_v), r);
		} else {
			assert_int_equal(rc, 0);
			assert_text(safe, "safe");
			assert_text(late, "late");
		}
		drop(safe);
		drop(late);
		assert_true(volume_close(take_ptr(fixture_v)) == (r < 0 ? r : 0));
		fault_open();
		check_safe();
		assert_int_equal(volume_close(take_ptr(fixture_v)), 0);
		if (!happened)
			break;
	}
	assert_true(n < CALLS_MAX && broken > 5);
	fault_free(fault);
	fixture_open();
}

static void each_lower_call_of_an_unlock_may_fail(void **state)
{
	unsigned n, refused = 0;
	bool happened = true;

	(void)state;
	fixture_close();
	fault = fault_new(lower_real());
	fault_open();
	for (n = 1; n < CALLS_MAX && happened; n++) {
		struct inode *safe, *late;
		int r;

		prepare(&safe, &late);
		assert_int_equal(volume_lock(fixture_v), 0);
		fault_fail(fault, FAULT_ALL, n, EIO, 1, 0);
		r = unlock_with(fixture_v, 1);
		happened = fault_happened(fault);
		fault_fail(fault, 0, 0, 0, 0, 0);
		if (r < 0) {
			refused++;
			assert_true(happened && volume_is_locked(fixture_v) && !fixture_v->ring && !fixture_v->vio);
			assert_int_equal(unlock_with(fixture_v, 1), 0);
		}
		assert_text(safe, "safe");
		assert_text(late, "late");
		drop(safe);
		drop(late);
	}
	assert_true(n < CALLS_MAX && refused > 5);
	assert_int_equal(volume_close(take_ptr(fixture_v)), 0);
	fault_free(fault);
	fixture_open();
}

static void each_allocation_of_a_lock_and_an_unlock_may_fail(void **state)
{
	long n;

	(void)state;
	for (n = 0; n < ALLOCATIONS_MAX; n++) {
		struct inode *safe, *late;
		struct secret *root;
		int r;

		prepare(&safe, &late);
		failed = false;
		root = fixture_key(1);
		countdown = n;
		r = volume_lock(fixture_v);
		if (r == 0)
			r = volume_unlock(fixture_v, fixture_config, fixture_config_len, &root);
		countdown = -1;
		secret_free(root);
		assert_true(failed || r == 0);
		assert_true(r == 0 || volume_is_locked(fixture_v));
		if (r < 0 && fixture_v->lock_error == 0) {
			assert_int_equal(unlock_with(fixture_v, 1), 0);
			assert_text(late, "late");
		}
		drop(safe);
		drop(late);
		if (volume_is_locked(fixture_v)) {
			assert_int_equal(unlock_with(fixture_v, 1), -EIO);
			assert_true(volume_close(take_ptr(fixture_v)) < 0);
			fixture_open();
		}
		check_safe();
		if (!failed)
			break;
	}
	assert_true(n > 5 && n < ALLOCATIONS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(what_was_written_is_there_after_a_lock),
		fixture_test(a_locked_volume_forgets_and_holds_still),
		fixture_test(names_hold_still_with_the_volume),
		fixture_test(names_go_on_when_nobody_ends_it),
		fixture_test(a_hold_that_lasted_gives_one_tag),
		fixture_test(a_locked_volume_tags_nothing),
		fixture_test(only_its_own_key_and_config_open_it_again),
		fixture_test(what_was_put_back_while_it_was_locked_is_noticed),
		fixture_test(a_crash_while_it_is_locked_finds_a_clean_volume),
		fixture_test(closing_while_it_is_locked_leaves_it_at_rest),
		fixture_test(each_lower_call_of_a_lock_may_fail),
		fixture_test(each_lower_call_of_an_unlock_may_fail),
		fixture_test(each_allocation_of_a_lock_and_an_unlock_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
