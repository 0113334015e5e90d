/* Tests of replay: which lower file the log means, what becomes of one that fails, and that it may be cut and done again. */
#include "replay_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "crypt/namecrypt.h"
#include "io/reserve.h"
#include "io/rules.h"
#include "lib/fault.h"

static int setup_with(void **state, unsigned lacks)
{
	*state = rv_new(lacks);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 0);
}

static int setup_no_open(void **state)
{
	return setup_with(state, SIMFS_NO_OPEN_HANDLE);
}

static int setup_bare(void **state)
{
	return setup_with(state, SIMFS_NO_HANDLES | SIMFS_NO_DIRECT);
}

static int teardown(void **state)
{
	struct rvol *v = *state;

	assert_int_equal(simfs_open_count(v->fs), 1); /* the root */
	simfs_free(v->fs);
	free(v);
	return 0;
}

#define assert_home(v, f)                                         \
	do {                                                      \
		const char *differs_ = home_differs(v, f);        \
		if (differs_)                                     \
			fail_msg("at home: %s", differs_);        \
	} while (0)

static void make_dir(struct rvol *v, const char *name)
{
	assert_int_equal(v->l->ops->mkdirat(v->l, v->root, name, 0700), 0);
}

static void move(struct rvol *v, struct rfile *f, const char *to)
{
	char dir[80];
	int fd = v->root;

	if (strchr(to, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)strcspn(to, "/"), to);
		fd = rv_open(v, dir, O_RDONLY | O_DIRECTORY);
		assert_true(fd >= 0);
	}
	assert_int_equal(v->l->ops->renameat2(v->l, v->root, f->name, fd, strchr(to, '/') ? strchr(to, '/') + 1 : to, 0), 0);
	if (fd != v->root)
		lower_close(v->l, fd);
	snprintf(f->name, sizeof(f->name), "%s", to);
}

/* As replay(), but opening may fail too. */
static int try_replay(struct rvol *v, struct replay_result *res)
{
	struct state *s = NULL;
	struct stat st;
	int fd, r;

	r = state_open(v->l, v->root, fixture_ring(), false, 0, &s);
	if (r < 0)
		return r;
	fd = lower_open_regular(v->l, v->root, NAME_LOG, O_RDWR, 0, &st);
	r = fd < 0 ? fd : replay_run(&v->p, s, fd, false, false, res);
	lower_close(v->l, fd < 0 ? -1 : fd);
	state_close(s);
	return r;
}

static struct replay_result must(struct rvol *v)
{
	struct replay_result res;

	assert_int_equal(replay(v, &res), 0);
	return res;
}

/* ---- which file */

static void found_where_it_is_now(struct rvol *v)
{
	char name[80];
	struct rfile *f = file_new(v, 0, "a", 2), *g = file_new(v, 1, "b", 2), *h = file_new(v, 2, "c", 1);
	struct replay_result res;
	int fd;

	make_dir(v, "dir");
	make_dir(v, "emptydir");
	tx_one(v, f, 1, 1, 11);
	tx_one(v, g, 1, 1, 12);
	tx_one(v, h, 0, 1, 13);
	move(v, f, "dir/moved");
	snprintf(name, sizeof(name), LONG_PREFIX "%043d", 7); /* an entry like any other, not one of coffer's own */
	move(v, g, name);
	assert_int_equal(v->l->ops->linkat(v->l, v->root, "c", v->root, "c2"), 0); /* hard links are one file */
	assert_int_equal(v->l->ops->symlinkat(v->l, "dir/moved", v->root, "link"), 0);
	assert_int_equal(v->l->ops->mknodat(v->l, v->root, "pipe", S_IFIFO | 0600, 0), 0);
	fd = rv_open(v, "empty", O_RDWR | O_CREAT);
	lower_close(v->l, fd);
	res = must(v);
	assert_int_equal(res.files, 3);
	assert_int_equal(res.unlinked, 0);
	assert_home(v, f);
	assert_home(v, g);
	assert_home(v, h);
}

static void a_file_is_found_by_its_handle_wherever_it_is(void **state)
{
	found_where_it_is_now(*state);
}

static void a_file_is_found_by_a_walk_where_handles_cannot_be_opened(void **state)
{
	found_where_it_is_now(*state);
}

static void a_file_is_found_on_a_backing_without_handles_and_direct_reads(void **state)
{
	found_where_it_is_now(*state);
}

static void a_walk_reads_large_and_deep_directories(void **state)
{
	struct rvol *v = *state;
	struct rfile *f;
	char path[80] = "d";
	int fd, next;

	for (int i = 0; i < 600; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		fd = rv_open(v, name, O_RDWR | O_CREAT);
		lower_close(v->l, fd);
	}
	fd = v->root;
	for (int i = 0; i < 30; i++) {
		assert_int_equal(v->l->ops->mkdirat(v->l, fd, "d", 0700), 0);
		next = v->l->ops->openat(v->l, fd, "d", O_RDONLY | O_DIRECTORY, 0);
		if (fd != v->root)
			lower_close(v->l, fd);
		fd = next;
		if (i)
			strcat(path, "/d");
	}
	lower_close(v->l, fd);
	strcat(path, "/deep");
	f = file_new(v, 0, path, 1);
	f->handle.len = 0;
	tx_one(v, f, 0, 1, 11);
	assert_int_equal(must(v).files, 1);
	assert_home(v, f);
}

static void a_handle_of_another_file_is_only_a_hint(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1), *g = file_new(v, 1, "b", 1);
	uint8_t before[BLOCK_SIZE], after[BLOCK_SIZE];

	f->handle = g->handle;
	rv_peek(v, "b", 0, before, sizeof(before));
	tx_one(v, f, 0, 1, 11);
	assert_int_equal(must(v).files, 1);
	assert_home(v, f);
	rv_peek(v, "b", 0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
}

static void an_unlinked_file_is_dropped_and_told(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1), *g = file_new(v, 1, "b", 1);
	struct replay_result res;

	tx_one(v, f, 0, 1, 11);
	tx_one(v, g, 0, 1, 12);
	assert_int_equal(v->l->ops->unlinkat(v->l, v->root, "a", 0), 0);
	res = must(v);
	assert_int_equal(res.unlinked, 1);
	assert_int_equal(res.files, 1);
	assert_int_equal(v->unlinked, 1);
	assert_home(v, g);
}

/* A second inode with the bytes of the first. */
static void copy_file(struct rvol *v, const char *from, const char *to)
{
	uint8_t p[BLOCK_SIZE];
	int fd = rv_open(v, to, O_RDWR | O_CREAT);

	assert_true(fd >= 0);
	lower_close(v->l, fd);
	for (unsigned i = 0; i < 3; i++) {
		rv_peek(v, from, i * BLOCK_SIZE, p, BLOCK_SIZE);
		rv_poke(v, to, i * BLOCK_SIZE, p, BLOCK_SIZE);
	}
}

static void a_file_that_is_there_twice_is_the_one_with_the_handle(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "m", 1);
	uint8_t before[BLOCK_SIZE], after[BLOCK_SIZE];

	copy_file(v, "m", "a"); /* found before and behind it, whatever the order is */
	copy_file(v, "m", "z");
	rv_peek(v, "a", 0, before, sizeof(before));
	tx_one(v, f, 0, 1, 11);
	assert_int_equal(must(v).files, 1);
	assert_home(v, f);
	rv_peek(v, "a", 0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	rv_peek(v, "z", 0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
}

static void a_file_that_is_there_twice_without_a_handle_is_refused(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "m", 1);
	struct replay_result res;
	uint64_t digest;

	copy_file(v, "m", "a");
	f->handle.len = 0;
	tx_one(v, f, 0, 1, 11);
	digest = simfs_digest(v->fs);
	assert_int_equal(replay(v, &res), -EUCLEAN);
	assert_true(simfs_digest(v->fs) == digest);
	assert_int_equal(v->l->ops->unlinkat(v->l, v->root, "a", 0), 0);
	assert_int_equal(must(v).files, 1);
	assert_home(v, f);
}

static void the_handles_of_a_copy_do_not_touch_the_original(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	uint8_t before[BLOCK_SIZE], after[BLOCK_SIZE];
	int root = v->root, copy;

	tx_one(v, f, 0, 1, 11);
	rv_peek(v, "a", 0, before, sizeof(before));
	assert_int_equal(simfs_copy_tree(v->fs, root, ".", root, "copy"), 0);
	copy = v->l->ops->openat(v->l, root, "copy", O_RDONLY | O_DIRECTORY, 0);
	assert_true(copy >= 0);
	v->root = v->p.root_fd = copy;
	assert_int_equal(must(v).files, 1);
	assert_home(v, f);
	lower_close(v->l, copy);
	v->root = v->p.root_fd = root;
	rv_peek(v, "a", 0, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
}

static void a_file_that_cannot_be_read_is_not_taken_for_unlinked(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct replay_result res;

	f->handle.len = 0;
	tx_one(v, f, 0, 1, 11);
	rv_flip(v, "a", 20); /* its header verifies no more: it may be the one, or not */
	assert_int_equal(replay_how(v, (struct how){ .check_only = true }, &res), 0);
	assert_int_equal(res.quarantined, 1);
	assert_int_equal(res.unlinked, 0);
	assert_int_equal(v->quarantined, 0);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.quarantined, 1);
	assert_int_equal(res.unlinked, 0);
	assert_int_equal(v->quarantined, 1);
}

/* A backing that knows permissions, as those who are not root see it. */
static struct {
	struct lower l;
	struct lower_ops ops;
	struct lower *inner;
	mode_t mode;             /* of what is opened for writing */
} strict;

static int strict_openat(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	(void)l;
	if (strcmp(name, "a") == 0 && (flags & O_ACCMODE) == O_RDWR && !(strict.mode & S_IWUSR))
		return -EACCES;
	if (strcmp(name, "closed") == 0)
		return -EACCES;
	return strict.inner->ops->openat(strict.inner, dirfd, name, flags, mode);
}

static int strict_reopen(struct lower *l, int fd, int flags)
{
	(void)l;
	return (flags & O_ACCMODE) == O_RDWR && !(strict.mode & S_IWUSR) ? -EACCES :
									   strict.inner->ops->reopen(strict.inner, fd, flags);
}

static int strict_fchmod(struct lower *l, int fd, mode_t mode)
{
	(void)l;
	strict.mode = mode;
	return strict.inner->ops->fchmod(strict.inner, fd, mode);
}

#define STRICT(type, name, args, call)                 \
	static type strict_##name args                 \
	{                                              \
		l = strict.inner;                      \
		return l->ops->name call;              \
	}

STRICT(int, close, (struct lower *l, int fd), (l, fd))
STRICT(ssize_t, preadv, (struct lower *l, int fd, const struct iovec *v, int n, uint64_t off), (l, fd, v, n, off))
STRICT(ssize_t, pwritev, (struct lower *l, int fd, const struct iovec *v, int n, uint64_t off, bool d), (l, fd, v, n, off, d))
STRICT(int, fdatasync, (struct lower *l, int fd), (l, fd))
STRICT(int, fsync, (struct lower *l, int fd), (l, fd))
STRICT(int, syncfs, (struct lower *l, int fd), (l, fd))
STRICT(int, fstat, (struct lower *l, int fd, struct stat *st), (l, fd, st))
STRICT(int, fstatat, (struct lower *l, int fd, const char *n, struct stat *st), (l, fd, n, st))
STRICT(int, statfs, (struct lower *l, int fd, struct statvfs *st, uint64_t *f, uint64_t *m), (l, fd, st, f, m))
STRICT(int, futimens, (struct lower *l, int fd, const struct timespec ts[2]), (l, fd, ts))
STRICT(int, readdir, (struct lower *l, int fd, int64_t off, lower_dirent_fn *fn, void *arg), (l, fd, off, fn, arg))
STRICT(int, name_to_handle, (struct lower *l, int fd, struct lower_handle *h), (l, fd, h))

static int strict_open_by_handle(struct lower *l, int fd, const struct lower_handle *h, int flags)
{
	(void)l, (void)fd, (void)h, (void)flags;
	return -EPERM;
}

static void be_strict(struct rvol *v)
{
	strict.ops = (struct lower_ops){
		.openat = strict_openat, .reopen = strict_reopen, .fchmod = strict_fchmod, .close = strict_close,
		.preadv = strict_preadv, .pwritev = strict_pwritev, .fdatasync = strict_fdatasync, .fsync = strict_fsync,
		.syncfs = strict_syncfs, .fstat = strict_fstat, .fstatat = strict_fstatat, .statfs = strict_statfs,
		.futimens = strict_futimens, .readdir = strict_readdir, .name_to_handle = strict_name_to_handle,
		.open_by_handle = strict_open_by_handle,
	};
	strict.l.ops = &strict.ops;
	strict.inner = v->l;
	strict.mode = S_IRUSR;
	v->l = v->p.lower = &strict.l;
}

static void a_read_only_file_is_written_without_privilege_and_keeps_its_mode(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct stat st;

	tx_one(v, f, 0, 1, 11);
	be_strict(v);
	assert_int_equal(strict.inner->ops->fstatat(strict.inner, v->root, "a", &st), 0);
	assert_int_equal(must(v).files, 1);
	v->l = v->p.lower = strict.inner;
	assert_home(v, f);
	assert_int_equal(strict.mode, st.st_mode & 07777);
}

static void a_directory_that_cannot_be_read_matters_only_if_a_file_is_missing(void **state)
{
	struct rvol *v = *state;
	struct rfile *f, *g = file_new(v, 1, "b", 1);
	struct replay_result res;

	make_dir(v, "closed");
	f = file_new(v, 0, "closed/f", 1);
	tx_one(v, g, 0, 1, 11);
	be_strict(v);
	assert_int_equal(must(v).files, 1);
	v->l = v->p.lower = strict.inner;
	assert_home(v, g);
	tx_one(v, f, 0, 1, 12);
	be_strict(v);
	assert_int_equal(replay(v, &res), -EIO); /* it may be in there */
	v->l = v->p.lower = strict.inner;
	assert_int_equal(must(v).files, 2);
	assert_home(v, f);
}

/* ---- a file that fails */

static size_t quarantine_file_len(struct rvol *v, const struct rfile *f, uint64_t seq, const char *suffix, uint8_t *p, size_t max)
{
	char path[128];
	size_t n = (size_t)snprintf(path, sizeof(path), NAME_QUARANTINE "/");
	struct stat st;
	int fd;

	for (unsigned i = 0; i < FILE_ID_LEN; i++)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "%02x", f->id[i]);
	snprintf(path + n, sizeof(path) - n, ".%llu.%s", (unsigned long long)seq, suffix);
	fd = rv_open(v, path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(v->l->ops->fstat(v->l, fd, &st), 0);
	assert_true((size_t)st.st_size <= max);
	assert_int_equal(lower_pread_full(v->l, fd, p, (size_t)st.st_size, 0), 0);
	lower_close(v->l, fd);
	return (size_t)st.st_size;
}

/* "a" fails, "b" does not; three transactions, of which two name "a". */
static struct rfile *one_fails(struct rvol *v)
{
	struct rfile *f = file_new(v, 0, "a", 2), *g = file_new(v, 1, "b", 1);

	tx_one(v, f, 1, 1, 11);
	tx_one(v, g, 0, 1, 12);
	tx_one(v, f, 0, 2, 13);
	rv_flip(v, "a", layout_group_off(1) + HEADER_LEN + 50 * ENTRY_LEN); /* an entry the log does not hold */
	return f;
}

static void a_file_that_fails_is_saved_and_marked_and_the_others_are_not(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = one_fails(v);
	static uint8_t p[1 << 20], home[4][BLOCK_SIZE], now[BLOCK_SIZE], log[4 * BLOCK_SIZE];
	static const uint64_t off[4] = { GROUP_LOWER + 2 * 4096, GROUP_LOWER, 3 * 4096, 0 }; /* group 1: block 1, metadata; group 0: block 2, metadata */
	struct group_header old, h;
	struct replay_result res;

	for (unsigned i = 0; i < 4; i++)
		rv_peek(v, "a", off[i], home[i], BLOCK_SIZE);
	rv_peek(v, NAME_LOG, 0, log, 2 * BLOCK_SIZE);
	rv_peek(v, NAME_LOG, 4 * BLOCK_SIZE, log + 2 * BLOCK_SIZE, 2 * BLOCK_SIZE);
	assert_int_equal(group_open_first(fixture_bc(), fixture_ring(), home[3], &old), 0);
	res = must(v);
	assert_int_equal(res.quarantined, 1);
	assert_int_equal(res.files, 1);
	assert_int_equal(v->quarantined, 1);
	assert_home(v, &v->f[1]);

	assert_int_equal(quarantine_file_len(v, f, 3, "log", p, 1 << 20), sizeof(log));
	assert_memory_equal(p, log, sizeof(log));
	assert_int_equal(quarantine_file_len(v, f, 3, "home", p, 1 << 20), 4 * 2 * BLOCK_SIZE);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(layout_get64(p + i * 2 * BLOCK_SIZE), off[i]);
		assert_true(layout_is_zero(p + i * 2 * BLOCK_SIZE + 8, BLOCK_SIZE - 8));
		assert_memory_equal(p + i * 2 * BLOCK_SIZE + BLOCK_SIZE, home[i], BLOCK_SIZE);
	}
	/* Nothing but the header has changed, and of it the flag and its seal. */
	for (unsigned i = 0; i < 3; i++) {
		rv_peek(v, "a", off[i], now, BLOCK_SIZE);
		assert_memory_equal(now, home[i], BLOCK_SIZE);
	}
	rv_peek(v, "a", 0, now, BLOCK_SIZE);
	assert_memory_equal(now + HEADER_LEN, home[3] + HEADER_LEN, ENTRIES_LEN);
	assert_int_equal(group_open_first(fixture_bc(), fixture_ring(), now, &h), 0);
	assert_int_equal(h.flags, GROUP_FLAG_DAMAGED);
	assert_true(h.header.stamp > v->stamp); /* a fresh one: reserved behind all that were */
	h.flags = old.flags;
	h.header = old.header;
	assert_memory_equal(&h, &old, sizeof(h));
}

static void a_marked_file_is_skipped_the_next_time(void **state)
{
	struct rvol *v = *state;
	struct replay_result res;
	uint64_t digest;

	(void)one_fails(v);
	assert_int_equal(must(v).quarantined, 1);
	digest = simfs_digest(v->fs);
	res = must(v);
	assert_int_equal(res.quarantined, 0);
	assert_int_equal(res.transactions, 3);
	assert_int_equal(res.files, 1);
	assert_true(simfs_digest(v->fs) == digest);
}

static void a_check_counts_and_changes_nothing(void **state)
{
	struct rvol *v = *state;
	struct replay_result res;
	uint64_t digest;

	(void)one_fails(v);
	digest = simfs_digest(v->fs);
	simfs_set_lacks(v->fs, SIMFS_READ_ONLY);
	assert_int_equal(replay_how(v, (struct how){ .check_only = true }, &res), 0);
	simfs_set_lacks(v->fs, 0);
	assert_int_equal(res.transactions, 3);
	assert_int_equal(res.files, 1);
	assert_int_equal(res.quarantined, 1);
	assert_true(simfs_digest(v->fs) == digest);
	assert_int_equal(v->quarantined, 0);
}

static void a_wrong_header_seal_fails_though_the_entries_are_right(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);

	set(v, f, 0, 1, 1);
	tx_begin(v);
	tx_file(v, f, true);
	v->part[0].d.records[20] ^= 1; /* the size: sealed into the log, not into the header */
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 1, LOG_WHERE_LOG });
	tx_commit(v);
	assert_int_equal(must(v).quarantined, 1);
}

static void times_of_lower_files_stay(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = one_fails(v);
	struct stat before[2], after[2];
	int fd[2] = { rv_open(v, f->name, O_RDONLY), rv_open(v, "b", O_RDONLY) };

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(v->l->ops->fstat(v->l, fd[i], &before[i]), 0);
	(void)must(v);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(v->l->ops->fstat(v->l, fd[i], &after[i]), 0);
		assert_memory_equal(&after[i].st_mtim, &before[i].st_mtim, sizeof(struct timespec));
		lower_close(v->l, fd[i]);
	}
}

/* ---- space */

static void a_full_backing_costs_the_ballast(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct reserve *r;
	struct replay_result res;

	for (unsigned i = 0; i < 6; i++)
		tx_one(v, f, 0, 3 * i, (uint8_t)i);
	assert_int_equal(reserve_open(v->l, v->root, 16 * BLOCK_SIZE, &r), 0);
	assert_true(reserve_is_whole(r));
	reserve_close(r);
	simfs_set_capacity(v->fs, simfs_used(v->fs) + 2);
	res = must(v);
	assert_int_equal(res.files, 1);
	assert_home(v, f);
}

static void a_full_backing_without_ballast_is_told_and_cured_later(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct replay_result res;

	for (unsigned i = 0; i < 6; i++)
		tx_one(v, f, 0, 3 * i, (uint8_t)i);
	simfs_set_capacity(v->fs, simfs_used(v->fs) + 2);
	assert_int_equal(replay(v, &res), -ENOSPC);
	simfs_set_capacity(v->fs, 0);
	assert_int_equal(must(v).files, 1);
	assert_home(v, f);
}

/* ---- what is believed, and what is durable */

static void more_files_than_descriptors_are_flushed_at_once(void **state)
{
	struct rvol *v = *state;
	char name[16];
	struct simfs_rng rng = { 5 };
	struct simfs *cut;

	for (unsigned n = 0; n < FILES_MAX; n++) {
		snprintf(name, sizeof(name), "f%u", n);
		(void)file_new(v, n, name, 1);
	}
	for (unsigned n = 0; n < FILES_MAX; n += 8) {
		tx_begin(v);
		for (unsigned k = 0; k < 8; k++) {
			v->f[n + k].shape.size = n + k;
			tx_file(v, &v->f[n + k], false);
		}
		tx_commit(v);
	}
	assert_int_equal(must(v).files, FILES_MAX);
	cut = simfs_cut(v->fs, &rng, SIMFS_OLD);
	simfs_free(v->fs);
	rv_on(v, cut);
	for (unsigned n = 0; n < FILES_MAX; n++)
		assert_home(v, &v->f[n]);
}

static void what_only_the_cache_shows_is_not_believed(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	const struct rfile *before = keep(v, f);
	uint64_t pos = v->pos;
	uint8_t p[2 * BLOCK_SIZE];
	struct replay_result res;
	int fd;

	/* The flush of a transaction loses it, and who had written it is killed. */
	set(v, f, 0, 1, 11);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 1, LOG_WHERE_LOG });
	tx_fields(v);
	fd = rv_open(v, NAME_LOG, O_RDWR);
	assert_int_equal(log_desc_seal(fixture_bc(), fixture_ring(), &v->part[0].d, p), 0);
	memcpy(p + BLOCK_SIZE, v->part[0].blk[0], BLOCK_SIZE);
	assert_int_equal(lower_pwrite(v->l, fd, p, sizeof(p), pos * BLOCK_SIZE, false), 0);
	simfs_fail_flush(v->fs, NAME_LOG, EIO, 0);
	for (int i = 0; i < 3 && !simfs_flush_failed(v->fs); i++)
		(void)v->l->ops->fdatasync(v->l, fd);
	assert_true(simfs_flush_failed(v->fs));
	lower_close(v->l, fd);
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 0); /* of what was lost nothing, with this seed, had become durable before */
	assert_home(v, before);
#if COFFER_TEST_HOOKS
	v->p.rules_off = 1u << RULE_directlog;
	assert_int_equal(replay(v, &res), 0);
	assert_int_equal(res.transactions, 1); /* believed */
#endif
}

static void what_is_believed_is_durable_first(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 1);
	struct replay_result res;
	struct simfs_rng rng = { 3 };
	struct simfs *cut;
	uint8_t b = 1;
	int fd;

	tx_one(v, f, 0, 1, 11);
	fd = rv_open(v, NAME_LOG, O_RDWR); /* pending in the log: where nothing matters, but it shows whether replay flushed */
	assert_int_equal(lower_pwrite(v->l, fd, &b, 1, (LOG_BLOCKS - 1) * BLOCK_SIZE, false), 0);
	lower_close(v->l, fd);
	assert_int_equal(replay_how(v, (struct how){ .check_only = true }, &res), 0);
	assert_true(simfs_is_pending(v->fs));
	simfs_fail_flush(v->fs, "a", EIO, 0);
	assert_int_equal(replay(v, &res), 0); /* written again, and flushed */
	assert_true(simfs_flush_failed(v->fs));
	assert_false(simfs_is_pending(v->fs));
	cut = simfs_cut(v->fs, &rng, SIMFS_OLD);
	simfs_free(v->fs);
	rv_on(v, cut);
	assert_home(v, f);
}

/* ---- cut anywhere, done again */

struct cuts {
	struct rvol *v;          /* as the test made it: models, results */
	struct simfs_rng rng;
	uint64_t want;           /* digest of the home files after a replay that is not cut; 0: only that it works */
	unsigned runs;
	int depth;
};

static int done_again(void *arg, struct simfs **cut);

static void hook(void *arg, struct simfs *fs, enum simfs_call call)
{
	struct cuts *c = arg;

	(void)call;
	(void)simfs_cut_all(fs, 12, &c->rng, done_again, c);
}

static uint64_t homes(struct rvol *v)
{
	uint64_t h = 0;
	uint8_t p[BLOCK_SIZE];

	for (unsigned n = 0; n < 3; n++)
		for (uint64_t off = 0; off < 2 * GROUP_LOWER; off += BLOCK_SIZE) {
			rv_peek(v, v->f[n].name, off, p, BLOCK_SIZE);
			if (n == 2) /* the one that fails: its new seal has random stamps above */
				memset(p, 0, HEADER_LEN);
			h = hash_u64x2(h, hash_bytes(p, BLOCK_SIZE));
		}
	return h;
}

struct again {
	struct cuts *c;
	struct simfs *fs;
};

static void *in_thread(void *arg)
{
	struct again *a = arg;
	struct cuts *c = a->c;
	struct rvol *v = calloc(1, sizeof(*v));
	uint8_t p[BLOCK_SIZE];
	struct replay_result res;
	struct group_header h;

	*v = *c->v;
	rv_on(v, a->fs);
	v->p.cb.ctx = v;
	if (c->depth++ == 0 && c->runs % 7 == 0)
		simfs_set_hook(a->fs, hook, c); /* and cut again */
	fixture_must(replay(v, &res) == 0);
	simfs_set_hook(a->fs, NULL, NULL);
	c->depth--;
	fixture_must(res.transactions == c->v->sequence);
	fixture_must(home_differs(v, &v->f[0]) == NULL && home_differs(v, &v->f[1]) == NULL);
	fixture_must(homes(v) == c->want);
	rv_peek(v, v->f[2].name, 0, p, BLOCK_SIZE);
	fixture_must(group_open_first(fixture_bc(), fixture_ring(), p, &h) == 0 && h.flags == GROUP_FLAG_DAMAGED);
	c->runs++;
	lower_close(v->l, v->root);
	free(v);
	return NULL;
}

/* In a thread of its own: the one that was cut holds locks. */
static int done_again(void *arg, struct simfs **cut)
{
	struct again a = { arg, *cut };
	pthread_t id;

	fixture_must(pthread_create(&id, NULL, in_thread, &a) == 0 && pthread_join(id, NULL) == 0);
	return 0;
}

static void it_may_be_cut_at_any_call_and_done_again(void **state)
{
	struct rvol *v = *state, *w = calloc(1, sizeof(*w));
	struct cuts c = { .v = v, .rng = { 11 } };
	struct rfile *f = file_new(v, 0, "a", 2), *g = file_new(v, 1, "b", 2), *h = file_new(v, 2, "c", 2);
	struct replay_result res;

	set(v, f, 0, 0, 1);
	set(v, f, 1, 0, 2);
	tx_begin(v);
	tx_file(v, f, true);
	TX_GROUP(v, f, 0, LOG_BASE_HOME, { 0, LOG_WHERE_LOG });
	TX_GROUP(v, f, 1, LOG_BASE_HOME, { 0, LOG_WHERE_LOG });
	tx_commit(v);
	tx_one(v, g, 1, 127, 3);
	tx_one(v, h, 1, 1, 4);
	tx_one(v, f, 0, 1, 5);
	rv_flip(v, "c", layout_group_off(1) + HEADER_LEN + 50 * ENTRY_LEN);
	simfs_sync(v->fs);
	*w = *v;
	rv_on(w, simfs_clone(v->fs));
	w->p.cb.ctx = w;
	assert_int_equal(replay(w, &res), 0);
	assert_int_equal(res.quarantined, 1);
	c.want = homes(w);
	simfs_free(w->fs);
	free(w);
	simfs_set_hook(v->fs, hook, &c);
	assert_int_equal(replay(v, &res), 0);
	simfs_set_hook(v->fs, NULL, NULL);
	assert_true(homes(v) == c.want);
	assert_true(c.runs > 100);
}

static void any_failing_call_leaves_a_volume_that_replays(void **state)
{
	struct rvol *v = *state, *w = calloc(1, sizeof(*w));
	struct rfile *f = file_new(v, 0, "a", 2), *g = file_new(v, 1, "b", 2);
	struct replay_result res;
	uint64_t n, happened = 1, told = 0;

	(void)file_new(v, 2, "c", 2);
	g->handle.len = 0; /* so that there is a walk */
	tx_one(v, f, 1, 1, 11);
	tx_one(v, g, 1, 127, 3);
	tx_one(v, &v->f[2], 1, 1, 4);
	rv_flip(v, "c", layout_group_off(1) + HEADER_LEN + 50 * ENTRY_LEN);
	simfs_sync(v->fs);
	for (n = 1; happened; n++) {
		struct fault *fault;
		int r;

		*w = *v;
		rv_on(w, simfs_clone(v->fs));
		w->p.cb.ctx = w;
		fault = fault_new(w->l);
		assert_non_null(fault);
		w->l = w->p.lower = fault_lower(fault);
		fault_fail(fault, FAULT_ALL & ~FAULT_OF(close), n, EIO, 1, n % 2 ? FAULT_PARTIAL : 0);
		r = try_replay(w, &res);
		happened = fault_happened(fault);
		if (r < 0)
			told++;
		if (r < 0 && r != -EIO)
			fail_msg("failing %s, call %llu: %d", fault_what(fault), (unsigned long long)n, r);
		assert_int_equal(simfs_open_count(w->fs), 2); /* the root; the clone has the descriptor of the other too */
		fault_free(fault);
		w->l = w->p.lower = simfs_lower(w->fs);
		if (r == 0) /* it said that all is well */
			assert_true(home_differs(w, f) == NULL && home_differs(w, g) == NULL);
		assert_int_equal(replay(w, &res), 0);
		assert_home(w, f);
		assert_home(w, g);
		simfs_free(w->fs);
	}
	assert_true(n > 60);
	assert_true(told > 20);
	free(w);
}

static void doing_it_twice_changes_nothing(void **state)
{
	struct rvol *v = *state;
	struct rfile *f = file_new(v, 0, "a", 2);
	uint64_t digest;

	tx_one(v, f, 0, 1, 11);
	tx_one(v, f, 1, 1, 12);
	tx_one(v, f, 0, 1, 13);
	(void)must(v);
	digest = simfs_digest(v->fs);
	(void)must(v);
	assert_true(simfs_digest(v->fs) == digest);
	assert_home(v, f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T_WITH(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_is_found_by_its_handle_wherever_it_is),
		T_WITH(a_file_is_found_by_a_walk_where_handles_cannot_be_opened, setup_no_open),
		T_WITH(a_file_is_found_on_a_backing_without_handles_and_direct_reads, setup_bare),
		T(a_walk_reads_large_and_deep_directories),
		T(a_handle_of_another_file_is_only_a_hint),
		T(an_unlinked_file_is_dropped_and_told),
		T_WITH(a_file_that_is_there_twice_is_the_one_with_the_handle, setup_no_open),
		T(a_file_that_is_there_twice_without_a_handle_is_refused),
		T(the_handles_of_a_copy_do_not_touch_the_original),
		T(a_file_that_cannot_be_read_is_not_taken_for_unlinked),
		T(a_read_only_file_is_written_without_privilege_and_keeps_its_mode),
		T(a_directory_that_cannot_be_read_matters_only_if_a_file_is_missing),
		T(a_file_that_fails_is_saved_and_marked_and_the_others_are_not),
		T(a_marked_file_is_skipped_the_next_time),
		T(a_check_counts_and_changes_nothing),
		T(a_wrong_header_seal_fails_though_the_entries_are_right),
		T(times_of_lower_files_stay),
		T(a_full_backing_costs_the_ballast),
		T(a_full_backing_without_ballast_is_told_and_cured_later),
		T(more_files_than_descriptors_are_flushed_at_once),
		T(what_only_the_cache_shows_is_not_believed),
		T(what_is_believed_is_durable_first),
		T(it_may_be_cut_at_any_call_and_done_again),
		T(any_failing_call_leaves_a_volume_that_replays),
		T(doing_it_twice_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
