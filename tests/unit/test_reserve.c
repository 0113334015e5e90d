/* Tests of io/reserve.c. */
#include "io/reserve.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/layout.h"
#include "trap_lower.h"

#define BYTES ((3u << 20) + 4096u)

struct dir {
	char path[32];
	int fd;
	struct lower *l;
};

static int setup(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	strcpy(d->path, "reserve-test-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY);
	assert_true(d->fd >= 0);
	d->l = trap_lower();
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dir *d = *state;

	(void)unlinkat(d->fd, NAME_RESERVE, 0);
	close(d->fd);
	assert_int_equal(rmdir(d->path), 0);
	free(d);
	return 0;
}

static struct reserve *open_bytes(struct dir *d, uint64_t bytes)
{
	struct reserve *r;

	assert_int_equal(reserve_open(d->l, d->fd, bytes, &r), 0);
	return r;
}

static uint64_t length(struct dir *d)
{
	struct stat st;

	assert_int_equal(fstatat(d->fd, NAME_RESERVE, &st, 0), 0);
	assert_true(st.st_blocks * 512ll >= st.st_size); /* allocated, not only long */
	return (uint64_t)st.st_size;
}

static void it_is_whole_when_it_has_its_space(void **state)
{
	struct reserve *r = open_bytes(*state, BYTES);

	assert_true(reserve_is_whole(r));
	assert_int_equal(length(*state), BYTES);
	assert_non_null(strstr(trap.text, "F coffer.reserve\n"));
	reserve_close(r);
	r = open_bytes(*state, BYTES);
	assert_true(reserve_is_whole(r));
	reserve_close(r);
	reserve_close(NULL);
}

static void it_follows_the_size_that_is_wanted(void **state)
{
	reserve_close(open_bytes(*state, BYTES));
	reserve_close(open_bytes(*state, 2 * BYTES));
	assert_int_equal(length(*state), 2 * BYTES);
	reserve_close(open_bytes(*state, BYTES / 4096 / 2 * 4096));
	assert_int_equal(length(*state), BYTES / 4096 / 2 * 4096);
}

static void it_is_spent_once_and_filled_again(void **state)
{
	struct reserve *r = open_bytes(*state, BYTES);

	trap_forget();
	assert_int_equal(reserve_spend(r), 0);
	assert_string_equal(trap.text, "T coffer.reserve 0\nF coffer.reserve\n");
	assert_false(reserve_is_whole(r));
	assert_int_equal(length(*state), 0);
	assert_int_equal(reserve_spend(r), -ENOSPC);
	assert_int_equal(reserve_refill(r), 0);
	assert_true(reserve_is_whole(r));
	assert_int_equal(length(*state), BYTES);
	assert_int_equal(reserve_refill(r), 0);
	reserve_close(r);
}

static void without_fallocate_it_is_written_with_bytes_that_do_not_compress(void **state)
{
	struct dir *d = *state;
	uint8_t p[2][4096];
	struct reserve *r;
	int fd;

	trap.fallocate = (struct trap_fail){ .n = 1, .error = -EOPNOTSUPP, .forever = true };
	r = open_bytes(d, BYTES);
	assert_true(reserve_is_whole(r));
	assert_int_equal(length(d), BYTES);
	fd = openat(d->fd, NAME_RESERVE, O_RDONLY);
	assert_int_equal(pread(fd, p[0], sizeof(p[0]), 0), 4096);
	assert_int_equal(pread(fd, p[1], sizeof(p[1]), BYTES - 4096), 4096);
	assert_false(layout_is_zero(p[0], 4096));
	assert_memory_not_equal(p[0], p[1], 4096);
	close(fd);
	reserve_close(r);
}

static void on_a_full_backing_it_opens_but_is_not_whole(void **state)
{
	struct reserve *r;

	trap.fallocate = (struct trap_fail){ .n = 1, .error = -ENOSPC, .forever = true };
	r = open_bytes(*state, BYTES);
	assert_false(reserve_is_whole(r));
	assert_int_equal(length(*state), 0);
	assert_int_equal(reserve_refill(r), -ENOSPC);
	assert_int_equal(reserve_spend(r), -ENOSPC);
	trap.fallocate.n = 0;
	assert_int_equal(reserve_refill(r), 0);
	assert_true(reserve_is_whole(r));
	reserve_close(r);
}

static void a_failed_attempt_gives_back_what_it_took_and_no_more(void **state)
{
	struct reserve *r;

	reserve_close(open_bytes(*state, BYTES));
	trap.fallocate = (struct trap_fail){ .n = 1, .error = -EOPNOTSUPP, .forever = true };
	trap.write = (struct trap_fail){ .n = 2, .error = -EDQUOT }; /* one MiB is written, the second is not */
	r = open_bytes(*state, 2 * BYTES);
	assert_false(reserve_is_whole(r));
	assert_int_equal(length(*state), BYTES);
	assert_int_equal(reserve_spend(r), 0); /* what it has is worth spending */
	assert_int_equal(length(*state), 0);
	reserve_close(r);
}

static void it_does_not_take_the_last_space(void **state)
{
	struct reserve *r;

	trap.have_free = true;
	trap.free_blocks = BYTES / 4096 - 1;
	r = open_bytes(*state, BYTES);
	assert_false(reserve_is_whole(r));
	assert_null(strstr(trap.text, "T coffer.reserve")); /* nothing was tried */
	trap.free_blocks = BYTES / 4096 * 2;
	assert_int_equal(reserve_refill(r), 0);
	trap.free_blocks = 0; /* what is held already is not asked for again */
	reserve_close(r);
	r = open_bytes(*state, BYTES);
	assert_true(reserve_is_whole(r));
	reserve_close(r);
}

static void other_errors_are_told(void **state)
{
	struct dir *d = *state;
	struct reserve *r;

	trap.fallocate = (struct trap_fail){ .n = 1, .error = -EIO };
	assert_int_equal(reserve_open(d->l, d->fd, BYTES, &r), -EIO);
	assert_int_equal(unlinkat(d->fd, NAME_RESERVE, 0), 0);
	assert_int_equal(symlinkat("elsewhere", d->fd, NAME_RESERVE), 0);
	assert_int_equal(reserve_open(d->l, d->fd, BYTES, &r), -EUCLEAN);
	r = NULL;
	assert_int_equal(unlinkat(d->fd, NAME_RESERVE, 0), 0);
	r = open_bytes(d, BYTES);
	trap.sync = (struct trap_fail){ .n = 1, .error = -EIO };
	assert_int_equal(reserve_spend(r), -EIO);
	assert_false(reserve_is_whole(r));
	reserve_close(r);
}

static void it_can_be_spent_without_being_open(void **state)
{
	struct dir *d = *state;

	assert_int_equal(reserve_spend_closed(d->l, d->fd), -ENOSPC);
	reserve_close(open_bytes(d, BYTES));
	assert_int_equal(reserve_spend_closed(d->l, d->fd), 0);
	assert_int_equal(length(d), 0);
	assert_int_equal(reserve_spend_closed(d->l, d->fd), -ENOSPC);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_whole_when_it_has_its_space),
		T(it_follows_the_size_that_is_wanted),
		T(it_is_spent_once_and_filled_again),
		T(without_fallocate_it_is_written_with_bytes_that_do_not_compress),
		T(on_a_full_backing_it_opens_but_is_not_whole),
		T(a_failed_attempt_gives_back_what_it_took_and_no_more),
		T(it_does_not_take_the_last_space),
		T(other_errors_are_told),
		T(it_can_be_spent_without_being_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
