/* Tests of io/state.c and io/vio_format.c, over a directory and over calls that fail. */
#include "io/state.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/log_record.h"
#include "format_fixture.h"
#include "io/rules.h"
#include "io/vio.h"
#include "trap_lower.h"

#define LOG_BLOCKS LOG_BLOCKS_MIN

struct dir {
	char path[32];
	int fd;
	struct lower *l;
};

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	strcpy(d->path, "state-test-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY);
	assert_true(d->fd >= 0);
	d->l = trap_lower();
	assert_int_equal(state_format(d->l, d->fd, fixture_ring(), LOG_BLOCKS), 0);
	trap_forget();
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { NAME_STATE, NAME_LOG, NAME_RESERVE };
	struct dir *d = *state;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		(void)unlinkat(d->fd, names[i], 0);
	close(d->fd);
	assert_int_equal(rmdir(d->path), 0);
	free(d);
	return 0;
}

static struct state *open_with(struct dir *d, bool read_only, unsigned rules_off)
{
	struct state *s;

	assert_int_equal(state_open(d->l, d->fd, fixture_ring(), read_only, rules_off, &s), 0);
	return s;
}

static struct volume_state get(struct state *s)
{
	struct volume_state v;

	state_get(s, &v);
	return v;
}

/* What a mount after a crash would find. */
static struct volume_state loaded(struct dir *d)
{
	struct state *s = open_with(d, true, 0);
	struct volume_state v = get(s);

	state_close(s);
	return v;
}

static void damage(struct dir *d, unsigned slot)
{
	int fd = openat(d->fd, NAME_STATE, O_RDWR);
	uint8_t b = 0;

	assert_int_equal(pread(fd, &b, 1, slot * STATE_SLOT_LEN + 70), 1);
	b ^= 1;
	assert_int_equal(pwrite(fd, &b, 1, slot * STATE_SLOT_LEN + 70), 1);
	close(fd);
}

static int try_open(struct dir *d)
{
	struct state *s;
	int r;

	r = state_open(d->l, d->fd, fixture_ring(), false, 0, &s);
	if (r == 0)
		state_close(s);
	return r;
}

/* ---- what a new one says ---- */

static void a_new_state_has_an_empty_log_and_no_stamps(void **state)
{
	struct volume_state v = loaded(*state);

	assert_int_equal(v.stamp_limit, 2);
	assert_int_equal(v.log_blocks, LOG_BLOCKS);
	assert_int_equal(v.tail, 0);
	assert_int_equal(v.tail_sequence, 0);
	assert_int_equal(v.durable, 0);
	assert_int_equal(v.flags, STATE_FLAG_CLEAN);
	assert_int_equal(layout_get64(v.generation), 1);
	assert_int_equal(v.serial, 2);
}

static void format_does_not_write_over_a_state(void **state)
{
	struct dir *d = *state;

	assert_int_equal(state_format(d->l, d->fd, fixture_ring(), LOG_BLOCKS), -EEXIST);
}

static void vio_format_writes_log_state_and_reserve(void **state)
{
	struct dir *d = *state;
	struct vio_params p = { .lower = d->l, .root_fd = d->fd, .ring = (struct key_ring *)(uintptr_t)fixture_ring() };
	struct stat st;

	assert_int_equal(vio_format(&p, LOG_BLOCKS), -EEXIST);
	assert_int_equal(fstatat(d->fd, NAME_LOG, &st, 0), -1); /* taken away again */
	assert_int_equal(fstatat(d->fd, NAME_STATE, &st, 0), 0); /* was there before */
	assert_int_equal(unlinkat(d->fd, NAME_STATE, 0), 0);
	assert_int_equal(vio_format(&p, LOG_BLOCKS_MIN - 1), -EINVAL);
	assert_int_equal(vio_format(&p, LOG_BLOCKS_MAX + 1ull), -EINVAL);
	assert_int_equal(vio_format(&p, LOG_BLOCKS), 0);
	assert_int_equal(fstatat(d->fd, NAME_LOG, &st, 0), 0);
	assert_int_equal(st.st_size, (off_t)LOG_BLOCKS * BLOCK_SIZE);
	assert_true(st.st_blocks * 512ll >= st.st_size);
	assert_int_equal(fstatat(d->fd, NAME_RESERVE, &st, 0), 0);
	assert_int_equal(loaded(d).log_blocks, LOG_BLOCKS);
}

/* ---- slots ---- */

static void a_store_goes_over_the_older_slot_and_is_flushed(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);

	trap_forget();
	assert_int_equal(state_store(s, 10, 3, 4, false), 0);
	assert_string_equal(trap.text, "W coffer.state 0 4096\nS coffer.state\n");
	assert_int_equal(loaded(d).tail, 10);
	assert_int_equal(loaded(d).flags, 0);
	trap_forget();
	assert_int_equal(state_store(s, 11, 4, 4, true), 0);
	assert_string_equal(trap.text, "W coffer.state 4096 4096\nS coffer.state\n");
	assert_int_equal(loaded(d).tail, 11);
	assert_int_equal(loaded(d).tail_sequence, 4);
	assert_int_equal(loaded(d).durable, 4);
	assert_int_equal(loaded(d).flags, STATE_FLAG_CLEAN);
	assert_int_equal(loaded(d).serial, 4);
	state_close(s);
}

static void after_a_failed_flush_the_same_slot_is_written_again(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);

	trap.sync = (struct trap_fail){ .n = 1, .error = -EIO };
	trap_forget();
	assert_int_equal(state_store(s, 10, 3, 4, false), -EIO);
	assert_int_equal(get(s).tail, 0);
	assert_int_equal(state_store(s, 12, 3, 4, false), 0);
	assert_string_equal(trap.text, "W coffer.state 0 4096\nS coffer.state failed\nW coffer.state 0 4096\nS coffer.state\n");
	assert_int_equal(loaded(d).tail, 12);
	assert_int_equal(loaded(d).serial, 4); /* a serial is not used twice */
	state_close(s);
}

static void a_failed_write_leaves_the_state_as_it_was(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);

	trap.write = (struct trap_fail){ .n = 1, .error = -ENOSPC };
	assert_int_equal(state_store(s, 10, 3, 4, false), -ENOSPC);
	assert_int_equal(loaded(d).tail, 0);
	assert_int_equal(get(s).tail, 0);
	state_close(s);
}

static void the_valid_slot_with_the_higher_serial_counts(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);

	assert_int_equal(state_store(s, 10, 3, 4, false), 0); /* slot 0 */
	assert_int_equal(state_store(s, 11, 4, 4, false), 0); /* slot 1 */
	state_close(s);
	assert_int_equal(loaded(d).tail, 11);
	damage(d, 1);
	assert_int_equal(loaded(d).tail, 10);
	s = open_with(d, false, 0);
	trap_forget();
	assert_int_equal(state_store(s, 12, 5, 5, false), 0);
	assert_string_equal(trap.text, "W coffer.state 4096 4096\nS coffer.state\n"); /* over the damaged one */
	state_close(s);
	assert_int_equal(loaded(d).tail, 12);
}

static void without_a_valid_slot_it_is_refused(void **state)
{
	struct dir *d = *state;

	damage(d, 0);
	assert_int_equal(try_open(d), 0);
	damage(d, 1);
	assert_int_equal(try_open(d), -EBADMSG);
}

static void a_short_state_is_refused(void **state)
{
	struct dir *d = *state;
	int fd = openat(d->fd, NAME_STATE, O_RDWR);

	assert_int_equal(ftruncate(fd, STATE_SLOT_LEN), 0);
	assert_int_equal(try_open(d), 0); /* slot 0 is whole */
	assert_int_equal(ftruncate(fd, STATE_SLOT_LEN - 1), 0);
	assert_int_equal(try_open(d), -EBADMSG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(try_open(d), -EBADMSG);
	close(fd);
	assert_int_equal(unlinkat(d->fd, NAME_STATE, 0), 0);
	assert_int_equal(try_open(d), -ENOENT);
	assert_int_equal(symlinkat("/dev/zero", d->fd, NAME_STATE), 0);
	assert_int_equal(try_open(d), -EUCLEAN);
}

static void slots_do_not_stand_in_for_each_other(void **state)
{
	struct dir *d = *state;
	int fd = openat(d->fd, NAME_STATE, O_RDWR);
	uint8_t p[STATE_SLOT_LEN];

	assert_int_equal(pread(fd, p, sizeof(p), STATE_SLOT_LEN), (ssize_t)sizeof(p));
	assert_int_equal(pwrite(fd, p, sizeof(p), 0), (ssize_t)sizeof(p));
	memset(p, 0, sizeof(p));
	assert_int_equal(pwrite(fd, p, sizeof(p), STATE_SLOT_LEN), (ssize_t)sizeof(p));
	close(fd);
	assert_int_equal(try_open(d), -EBADMSG);
}

static void open_flushes_before_it_believes(void **state)
{
	struct dir *d = *state;
	struct state *s;

	trap_forget();
	state_close(open_with(d, false, 0));
	assert_string_equal(trap.text, "F coffer.state\n");
	trap_forget();
	state_close(open_with(d, true, 0));
	assert_string_equal(trap.text, "");
	trap.sync = (struct trap_fail){ .n = 1, .error = -EIO };
	assert_int_equal(state_open(d->l, d->fd, fixture_ring(), false, 0, &s), -EIO);
}

static void it_is_read_where_the_page_cache_cannot_be_passed(void **state)
{
	trap.no_direct = true;
	assert_int_equal(loaded(*state).log_blocks, LOG_BLOCKS);
}

/* ---- generations ---- */

static void a_generation_goes_into_both_slots_one_flushed_before_the_other(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);
	struct volume_state before = get(s), after;

	trap_forget();
	assert_int_equal(state_new_generation(s, 2 * LOG_BLOCKS, 77, 9), 0);
	assert_string_equal(trap.text, "W coffer.state 0 4096\nS coffer.state\nW coffer.state 4096 4096\nS coffer.state\n");
	after = get(s);
	assert_memory_not_equal(after.generation, before.generation, GENERATION_LEN);
	assert_int_equal(layout_get64(after.generation), before.stamp_limit);
	assert_int_equal(after.stamp_limit, before.stamp_limit + STATE_STAMP_RANGE);
	assert_int_equal(after.log_blocks, 2 * LOG_BLOCKS);
	assert_int_equal(after.tail, 77);
	assert_int_equal(after.tail_sequence, 9);
	assert_int_equal(after.durable, 9);
	assert_int_equal(after.flags, 0);
	state_close(s);
	damage(d, 0);
	assert_memory_equal(loaded(d).generation, after.generation, GENERATION_LEN);
	damage(d, 0);
	damage(d, 1);
	assert_memory_equal(loaded(d).generation, after.generation, GENERATION_LEN);
}

static void a_generation_that_is_in_one_slot_only_failed(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);

	trap.sync = (struct trap_fail){ .n = 2, .error = -EIO };
	assert_int_equal(state_new_generation(s, 0, 77, 9), -EIO);
	state_close(s);
}

static void switched_off_rules_show(void **state)
{
#if COFFER_TEST_HOOKS
	struct dir *d = *state;
	struct state *s = open_with(d, false, 1u << RULE_bothslots);

	trap_forget();
	assert_int_equal(state_new_generation(s, 0, 1, 1), 0);
	assert_string_equal(trap.text, "W coffer.state 0 4096\nS coffer.state\n");
	state_close(s);
	trap_forget();
	s = open_with(d, false, 1u << RULE_slotorder | 1u << RULE_mountsync);
	assert_int_equal(state_new_generation(s, 0, 1, 1), 0);
	assert_string_equal(trap.text, "W coffer.state 4096 4096\nW coffer.state 0 4096\nS coffer.state\n");
	state_close(s);
#else
	(void)state;
	skip();
#endif
}

/* ---- stamps ---- */

static void stamps_are_reserved_in_both_slots_before_the_first(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);
	struct volume_state v;
	uint64_t a, b;

	assert_true(state_stamps_low(s));
	trap_forget();
	assert_int_equal(state_stamps(s, 5, &a), 0);
	assert_int_equal(a, 2);
	assert_string_equal(trap.text, "W coffer.state 0 4096\nS coffer.state\nW coffer.state 4096 4096\nS coffer.state\n");
	trap_forget();
	assert_int_equal(state_stamps(s, 1, &b), 0);
	assert_int_equal(b, a + 5);
	assert_string_equal(trap.text, "");
	assert_false(state_stamps_low(s));
	v = get(s);
	assert_int_equal(v.stamp_limit, 2 + STATE_STAMP_RANGE);
	assert_int_equal(v.tail, 0);
	assert_int_equal(v.flags, STATE_FLAG_CLEAN);
	state_close(s);
	damage(d, 0);
	assert_int_equal(loaded(d).stamp_limit, v.stamp_limit);
	damage(d, 0);
	damage(d, 1);
	assert_int_equal(loaded(d).stamp_limit, v.stamp_limit);
}

static void no_stamp_is_used_twice_after_a_crash(void **state)
{
	struct dir *d = *state;
	uint64_t last = 1, first;
	int i;

	for (i = 0; i < 5; i++) {
		struct state *s = open_with(d, false, 0);

		if (i & 1)
			assert_int_equal(state_new_generation(s, 0, 0, 0), 0);
		assert_true(!(i & 1) || layout_get64(get(s).generation) > last);
		assert_int_equal(state_stamps(s, 1000, &first), 0);
		assert_true(first > last);
		last = first + 999;
		assert_true(last < loaded(d).stamp_limit);
		state_close(s);
	}
}

static void stamps_that_could_not_be_reserved_are_not_given(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);
	uint64_t first = 0;

	trap.sync = (struct trap_fail){ .n = 2, .error = -EIO }; /* one slot has the new limit, the other has not */
	assert_int_equal(state_stamps(s, 1, &first), -EIO);
	assert_int_equal(first, 0);
	assert_int_equal(state_stamps(s, 1, &first), 0);
	assert_true(first >= 2);
	state_close(s);
	assert_true(first < loaded(d).stamp_limit);
}

static void counts_of_stamps_have_limits(void **state)
{
	struct state *s = open_with(*state, false, 0);
	uint64_t first, next;

	assert_int_equal(state_stamps(s, 0, &first), -EINVAL);
	assert_int_equal(state_stamps(s, STATE_STAMP_RANGE / 2 + 1, &first), -EINVAL);
	assert_int_equal(state_stamps(s, STATE_STAMP_RANGE / 2, &first), 0);
	assert_int_equal(state_stamps(s, STATE_STAMP_RANGE / 2, &next), 0);
	assert_int_equal(next, first + STATE_STAMP_RANGE / 2);
	assert_true(state_stamps_low(s));
	assert_int_equal(state_stamps(s, STATE_STAMP_RANGE / 2, &first), 0); /* out of them: reserves */
	assert_int_equal(first, next + STATE_STAMP_RANGE / 2);
	assert_int_equal(state_reserve_stamps(s), 0);
	trap_forget();
	assert_int_equal(state_reserve_stamps(s), 0);
	assert_string_equal(trap.text, "");
	state_close(s);
}

#define THREADS 4
#define TAKES 3000

struct taker {
	struct state *s;
	uint64_t first[TAKES];
};

static void *take(void *arg)
{
	struct taker *t = arg;

	for (int i = 0; i < TAKES; i++)
		if (state_stamps(t->s, STATE_STAMP_RANGE / 4096, &t->first[i]) < 0)
			return NULL;
	return t;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void threads_never_get_the_same_stamp(void **state)
{
	struct state *s = open_with(*state, false, 0);
	struct taker *t = calloc(THREADS, sizeof(*t));
	uint64_t *all = calloc(THREADS * TAKES, sizeof(*all));
	pthread_t id[THREADS];
	void *ok;
	int i;

	for (i = 0; i < THREADS; i++) {
		t[i].s = s;
		assert_int_equal(pthread_create(&id[i], NULL, take, &t[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(id[i], &ok), 0);
		assert_non_null(ok);
		memcpy(all + (size_t)i * TAKES, t[i].first, sizeof(t[i].first));
	}
	qsort(all, THREADS * TAKES, sizeof(*all), by_value);
	for (i = 1; i < THREADS * TAKES; i++)
		assert_true(all[i] - all[i - 1] >= STATE_STAMP_RANGE / 4096);
	assert_true(all[i - 1] < get(s).stamp_limit);
	state_close(s);
	free(all);
	free(t);
}

/* ---- copies ---- */

static void the_original_is_no_copy_and_another_directory_is(void **state)
{
	struct dir *d = *state;
	struct state *s = open_with(d, false, 0);
	uint8_t p[STATE_SLOTS * STATE_SLOT_LEN];
	char copy[] = "state-copy-XXXXXX";
	int from, to, dir;

	assert_false(state_is_copy(s));
	state_close(s);
	assert_non_null(mkdtemp(copy));
	dir = open(copy, O_RDONLY | O_DIRECTORY);
	from = openat(d->fd, NAME_STATE, O_RDONLY);
	to = openat(dir, NAME_STATE, O_RDWR | O_CREAT, 0600);
	assert_int_equal(pread(from, p, sizeof(p), 0), (ssize_t)sizeof(p));
	assert_int_equal(pwrite(to, p, sizeof(p), 0), (ssize_t)sizeof(p));
	close(from);
	close(to);
	assert_int_equal(state_open(d->l, dir, fixture_ring(), false, 0, &s), 0);
	assert_true(state_is_copy(s));
	assert_int_equal(state_new_generation(s, 0, 0, 0), 0); /* from now on this is the one */
	state_close(s);
	assert_int_equal(state_open(d->l, dir, fixture_ring(), false, 0, &s), 0);
	assert_false(state_is_copy(s));
	state_close(s);
	unlinkat(dir, NAME_STATE, 0);
	close(dir);
	rmdir(copy);
}

static void a_backing_without_handles_is_no_copy_of_itself(void **state)
{
	struct dir *d = *state;
	struct state *s;

	trap.no_handles = true;
	s = open_with(d, false, 0);
	assert_true(state_is_copy(s)); /* it had them when this was written */
	assert_int_equal(state_new_generation(s, 0, 0, 0), 0);
	state_close(s);
	s = open_with(d, false, 0);
	assert_false(state_is_copy(s));
	assert_int_equal(get(s).root_handle.len, 0);
	state_close(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_state_has_an_empty_log_and_no_stamps),
		T(format_does_not_write_over_a_state),
		T(vio_format_writes_log_state_and_reserve),
		T(a_store_goes_over_the_older_slot_and_is_flushed),
		T(after_a_failed_flush_the_same_slot_is_written_again),
		T(a_failed_write_leaves_the_state_as_it_was),
		T(the_valid_slot_with_the_higher_serial_counts),
		T(without_a_valid_slot_it_is_refused),
		T(a_short_state_is_refused),
		T(slots_do_not_stand_in_for_each_other),
		T(open_flushes_before_it_believes),
		T(it_is_read_where_the_page_cache_cannot_be_passed),
		T(a_generation_goes_into_both_slots_one_flushed_before_the_other),
		T(a_generation_that_is_in_one_slot_only_failed),
		T(switched_off_rules_show),
		T(stamps_are_reserved_in_both_slots_before_the_first),
		T(no_stamp_is_used_twice_after_a_crash),
		T(stamps_that_could_not_be_reserved_are_not_given),
		T(counts_of_stamps_have_limits),
		T(threads_never_get_the_same_stamp),
		T(the_original_is_no_copy_and_another_directory_is),
		T(a_backing_without_handles_is_no_copy_of_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
