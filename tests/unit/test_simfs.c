/* The simulated disk itself: what is pending, what becomes durable, what a cut leaves. test_simfs_model.py compares it with the model. */
#include "../lib/simfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct simfs *fs;
	struct lower *l;
	int root;
	struct simfs_rng rng;
};

static struct fixture x;

static int set_up_as(enum simfs_mode mode, uint64_t capacity)
{
	x.fs = simfs_new(&(struct simfs_params){ .seed = 7, .mode = mode, .capacity = capacity });
	x.l = simfs_lower(x.fs);
	x.root = simfs_open_root(x.fs);
	x.rng.s = 1;
	return x.root < 0 ? -1 : 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_as(SIMFS_EXT4, 0);
}

static int set_up_btrfs(void **state)
{
	(void)state;
	return set_up_as(SIMFS_BTRFS, 0);
}

static int set_up_small(void **state)
{
	(void)state;
	return set_up_as(SIMFS_EXT4, 8);
}

static int tear_down(void **state)
{
	(void)state;
	simfs_free(x.fs);
	return 0;
}

static int make(const char *name)
{
	int fd = x.l->ops->openat(x.l, x.root, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* Sector s of fd is all c. */
static void put(int fd, unsigned s, char c)
{
	char b[512];

	memset(b, c, sizeof(b));
	assert_int_equal(lower_pwrite(x.l, fd, b, sizeof(b), s * 512ull, false), 0);
}

static void put_dsync(int fd, unsigned s, char c)
{
	char b[512];

	memset(b, c, sizeof(b));
	assert_int_equal(lower_pwrite(x.l, fd, b, sizeof(b), s * 512ull, true), 0);
}

/* The sectors of a file as text: '.' zeros, '?' a mixture; "-" no such file. */
static const char *show(struct simfs *fs, const char *name, int flags)
{
	static char text[4][65];
	static unsigned turn;
	static char b[512] __attribute__((aligned(512)));
	char *t = text[turn++ % 4];
	struct lower *l = simfs_lower(fs);
	int root = simfs_open_root(fs), fd = l->ops->openat(l, root, name, O_RDONLY | flags, 0);
	unsigned n = 0;
	ssize_t got;

	lower_close(l, root);
	if (fd < 0)
		return "-";
	for (; n < 64; n++) {
		memset(b, 0, sizeof(b));
		got = lower_pread(l, fd, b, 512, n * 512ull);
		assert_true(got >= 0);
		if (got == 0)
			break;
		t[n] = b[0] ? b[0] : '.';
		if (memcmp(b, b + 1, (size_t)got - 1) != 0)
			t[n] = '?';
	}
	t[n] = '\0';
	lower_close(l, fd);
	return t;
}

#define assert_shows(name, what) assert_string_equal(show(x.fs, name, 0), what)

struct expect {
	const char *const *want;
	const char *name;
	unsigned n, seen;
	uint64_t calls;
};

static int check_cut(void *arg, struct simfs **cut)
{
	struct expect *e = arg;
	const char *t = show(*cut, e->name, 0);
	unsigned k = 0;

	e->calls++;
	assert_false(simfs_is_pending(*cut));
	assert_int_equal(simfs_open_count(*cut), 0);
	while (k < e->n && strcmp(e->want[k], t) != 0)
		k++;
	if (k == e->n)
		fail_msg("a cut leaves %s", t);
	e->seen |= 1u << k;
	return 0;
}

/* A cut leaves exactly these contents of a file. */
static void cuts_are(const char *name, const char *const *want, unsigned n)
{
	struct expect e = { .want = want, .name = name, .n = n };

	assert_int_equal(simfs_cut_all(x.fs, 100000, &x.rng, check_cut, &e), 0);
	assert_int_equal(e.calls, simfs_cut_count(x.fs));
	for (unsigned k = 0; k < n; k++)
		if (!(e.seen & 1u << k))
			fail_msg("no cut leaves %s", want[k]);
}

#define CUTS(name, ...)                                                               \
	do {                                                                          \
		const char *const want_[] = { __VA_ARGS__ };                          \
		cuts_are(name, want_, sizeof(want_) / sizeof(want_[0]));              \
	} while (0)

/* A file "f" of a few durable sectors. */
static int make_durable(const char *sectors)
{
	int fd = make("f");

	for (unsigned s = 0; sectors[s]; s++)
		put(fd, s, sectors[s]);
	simfs_sync(x.fs);
	CUTS("f", sectors);
	return fd;
}

/* ---- contents */

static void each_sector_survives_on_its_own(void **state)
{
	int fd = make_durable("abc");

	(void)state;
	put(fd, 0, 'A');
	put(fd, 2, 'C');
	assert_shows("f", "AbC");
	CUTS("f", "abc", "Abc", "abC", "AbC");
	assert_int_equal(x.l->ops->fdatasync(x.l, fd), 0);
	CUTS("f", "AbC");
}

static void a_sector_survives_in_any_of_its_versions(void **state)
{
	int fd = make_durable("ab");

	(void)state;
	put(fd, 0, '1');
	put(fd, 0, '2');
	put(fd, 0, '1');
	assert_int_equal(simfs_cut_count(x.fs), 3);
	CUTS("f", "ab", "1b", "2b");
}

static void the_newest_state_is_what_was_written_last(void **state)
{
	int fd = make_durable("ab");
	struct simfs *cut;

	(void)state;
	put(fd, 0, '1');
	put(fd, 0, '2');
	put(fd, 0, '1');
	put(fd, 5, 'n');
	cut = simfs_cut(x.fs, &x.rng, SIMFS_NEW);
	assert_string_equal(show(cut, "f", 0), "1b...n");
	assert_int_equal(simfs_digest(cut), simfs_digest(x.fs));
	simfs_free(cut);
	cut = simfs_cut(x.fs, &x.rng, SIMFS_OLD);
	assert_string_equal(show(cut, "f", 0), "ab");
	assert_true(simfs_digest(cut) != simfs_digest(x.fs));
	simfs_free(cut);
}

static void writing_the_same_bytes_makes_nothing_pending(void **state)
{
	int fd = make_durable("ab");

	(void)state;
	put(fd, 0, 'a');
	assert_int_equal(simfs_cut_count(x.fs), 1);
	assert_false(simfs_is_pending(x.fs));
}

static void part_of_a_sector_takes_the_rest_along(void **state)
{
	int fd = make_durable("ab");
	char b[600];
	struct simfs *cut;

	(void)state;
	memset(b, 'x', sizeof(b));
	assert_int_equal(lower_pwrite(x.l, fd, b, 600, 256, false), 0);
	assert_int_equal(simfs_cut_count(x.fs), 4);
	cut = simfs_cut(x.fs, &x.rng, SIMFS_NEW);
	assert_int_equal(simfs_digest(cut), simfs_digest(x.fs));
	simfs_free(cut);
	assert_shows("f", "??");
}

static void a_dsync_write_is_durable_and_others_stay_pending(void **state)
{
	int fd = make_durable("abc");

	(void)state;
	put(fd, 0, 'A');
	put(fd, 1, 'B');
	put_dsync(fd, 1, 'D');
	CUTS("f", "aDc", "ADc");
	put(fd, 1, 'E');
	CUTS("f", "aDc", "ADc", "aEc", "AEc");
	put_dsync(fd, 0, 'A');
	CUTS("f", "ADc", "AEc");
}

static void a_dsync_write_of_the_same_bytes_makes_them_durable(void **state)
{
	int fd = make_durable("ab");

	(void)state;
	put(fd, 0, 'A');
	put(fd, 1, 'B');
	put_dsync(fd, 0, 'A');
	CUTS("f", "Ab", "AB");
}

static void truncates_survive_in_order_and_new_writes_behind_them_only_with_them(void **state)
{
	int fd = make_durable("abcdefghijklmnopqrstuvwx");

	(void)state;
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 4096), 0);
	CUTS("f", "abcdefghijklmnopqrstuvwx", "abcdefgh");
	put(fd, 8, 'I');
	put(fd, 0, 'A');
	CUTS("f", "abcdefghijklmnopqrstuvwx", "Abcdefghijklmnopqrstuvwx", "abcdefgh", "Abcdefgh", "abcdefghI", "AbcdefghI");
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 0), 0);
	CUTS("f", "abcdefghijklmnopqrstuvwx", "Abcdefghijklmnopqrstuvwx", "abcdefgh", "Abcdefgh", "abcdefghI", "AbcdefghI", "");
	assert_int_equal(x.l->ops->fsync(x.l, fd), 0);
	CUTS("f", "");
}

static void a_punch_frees_whole_blocks_and_writes_zeros_at_its_edges(void **state)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int fd = make_durable("abcdefghijklmnopqrstuvwx");

	(void)state;
	assert_int_equal(x.l->ops->fallocate(x.l, fd, mode, 7 * 512, 9 * 512), 0);
	assert_shows("f", "abcdefg.........qrstuvwx");
	CUTS("f", "abcdefghijklmnopqrstuvwx", "abcdefg.ijklmnopqrstuvwx", "abcdefg.........qrstuvwx", "abcdefgh........qrstuvwx");
	put(fd, 9, 'J');
	simfs_sync(x.fs);
	CUTS("f", "abcdefg..J......qrstuvwx");
	assert_int_equal(x.l->ops->fallocate(x.l, fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), -EOPNOTSUPP);
}

static void a_dsync_write_takes_truncates_before_it_along(void **state)
{
	int fd = make_durable("abcdefghijklmnop");

	(void)state;
	put(fd, 0, 'A');
	put(fd, 9, 'J');
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 4096), 0);
	put(fd, 8, 'N');
	put_dsync(fd, 1, 'B');
	CUTS("f", "aBcdefgh", "ABcdefgh", "aBcdefghN", "ABcdefghN");
}

static void growth_may_be_lost_with_the_sectors_that_made_it(void **state)
{
	int fd = make_durable("ab");
	struct simfs *cut;
	struct stat st;
	unsigned sizes = 0;
	int root;

	(void)state;
	put(fd, 3, 'd');
	put(fd, 6, 'g');
	/* "ab.d": sector 3 alone; the size may already be what the write to sector 6 made it only if that survives. */
	CUTS("f", "ab", "ab.d", "ab.d..g", "ab....g");
	for (int n = 0; n < 200; n++) {
		cut = simfs_cut(x.fs, &x.rng, SIMFS_RANDOM);
		root = simfs_open_root(cut);
		assert_int_equal(simfs_lower(cut)->ops->fstatat(simfs_lower(cut), root, "f", &st), 0);
		sizes |= 1u << (st.st_size / 512);
		simfs_free(cut);
	}
	assert_int_equal(sizes, 1u << 2 | 1u << 4 | 1u << 7);
}

static void a_grown_file_that_lost_its_last_sector_may_be_long_all_the_same(void **state)
{
	static const char *const want[] = { "ab", "abc", "abc.", "ab.." };
	unsigned seen = 0;
	int fd = make_durable("ab");

	(void)state;
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 4 * 512), 0);
	put(fd, 2, 'c');
	/* Without the truncate the sector makes the file 3 sectors long, or as long as it was then: one or the other for each state. */
	for (int n = 0; n < 100; n++) {
		struct expect e = { .want = want, .name = "f", .n = 4 };

		assert_int_equal(simfs_cut_all(x.fs, 10, &x.rng, check_cut, &e), 0);
		assert_int_equal(e.calls, 4);
		seen |= e.seen;
	}
	assert_int_equal(seen, 15);
}

static void zeros_appended_are_a_change(void **state)
{
	int fd = make_durable("ab");

	(void)state;
	put(fd, 2, '\0');
	CUTS("f", "ab", "ab.");
	assert_int_equal(x.l->ops->fdatasync(x.l, fd), 0);
	CUTS("f", "ab.");
}

static void bytes_behind_the_end_never_come_back(void **state)
{
	int fd = make("f");
	char b[100];

	(void)state;
	memset(b, 'x', sizeof(b));
	assert_int_equal(lower_pwrite(x.l, fd, b, 100, 0, false), 0);
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 10), 0);
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 100), 0);
	assert_int_equal(lower_pread_full(x.l, fd, b, 100, 0), 0);
	assert_memory_equal(b, "xxxxxxxxxx\0\0\0", 13);
}

/* ---- a failed flush */

static void a_failed_flush_loses_sectors_that_the_cache_still_shows(void **state)
{
	unsigned lost = 0, kept = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 40; seed++) {
		int fd;

		simfs_free(x.fs);
		x.fs = simfs_new(&(struct simfs_params){ .seed = seed });
		x.l = simfs_lower(x.fs);
		x.root = simfs_open_root(x.fs);
		fd = make_durable("ab");
		put(fd, 0, 'A');
		simfs_fail_flush(x.fs, "f", EIO, 0);
		assert_int_equal(x.l->ops->fdatasync(x.l, fd), -EIO);
		assert_true(simfs_flush_failed(x.fs));
		assert_int_equal(x.l->ops->fdatasync(x.l, fd), 0);
		assert_shows("f", "Ab");
		if (strcmp(show(x.fs, "f", O_DIRECT), "ab") == 0) {
			lost++;
			CUTS("f", "ab");
			put(fd, 0, 'A'); /* the same bytes: but now they count */
			CUTS("f", "ab", "Ab");
			assert_string_equal(show(x.fs, "f", O_DIRECT), "Ab");
			simfs_drop_caches(x.fs);
			assert_shows("f", "Ab");
		} else {
			kept++;
			assert_string_equal(show(x.fs, "f", O_DIRECT), "Ab");
			CUTS("f", "Ab");
		}
	}
	assert_true(lost > 0);
	assert_true(kept > 0);
}

static void dropping_the_cache_shows_what_was_lost(void **state)
{
	int fd = make_durable("ab");

	(void)state;
	do {
		put(fd, 0, 'A');
		put(fd, 0, 'a');
		put(fd, 0, 'A');
		simfs_fail_flush(x.fs, NULL, ENOSPC, 0);
		assert_int_equal(x.l->ops->fsync(x.l, fd), -ENOSPC);
	} while (strcmp(show(x.fs, "f", O_DIRECT), "ab") != 0);
	assert_shows("f", "Ab");
	simfs_drop_caches(x.fs);
	assert_shows("f", "ab");
}

static void a_failed_dsync_write_hurts_no_other_sector(void **state)
{
	int fd = make_durable("abc");
	char b[512];
	int r;

	(void)state;
	put(fd, 0, 'A');
	simfs_fail_flush(x.fs, "f", EIO, 1);
	memset(b, 'B', sizeof(b));
	r = lower_pwrite(x.l, fd, b, 512, 512, true);
	assert_int_equal(r, 0);
	memset(b, 'C', sizeof(b));
	assert_int_equal(lower_pwrite(x.l, fd, b, 512, 1024, true), -EIO);
	assert_shows("f", "ABC");
	assert_int_equal(x.l->ops->fdatasync(x.l, fd), 0);
	assert_true(strncmp(show(x.fs, "f", O_DIRECT), "AB", 2) == 0);
}

static void a_flush_error_is_told_once_to_each_who_had_the_file_open(void **state)
{
	int fd = make_durable("ab"), early, late;

	(void)state;
	early = x.l->ops->openat(x.l, x.root, "f", O_RDONLY, 0);
	put(fd, 0, 'A');
	assert_int_equal(simfs_fail_writeback(x.fs, "f", EIO), 1);
	assert_int_equal(simfs_fail_writeback(x.fs, "none", EIO), 0);
	late = x.l->ops->openat(x.l, x.root, "f", O_RDONLY, 0);
	assert_int_equal(x.l->ops->fsync(x.l, late), -EIO); /* nobody was told yet */
	assert_int_equal(x.l->ops->fsync(x.l, late), 0);
	assert_int_equal(x.l->ops->fsync(x.l, early), -EIO);
	assert_int_equal(x.l->ops->fdatasync(x.l, fd), -EIO);
	assert_int_equal(x.l->ops->fdatasync(x.l, fd), 0);
	lower_close(x.l, late);
	late = x.l->ops->openat(x.l, x.root, "f", O_RDONLY, 0);
	assert_int_equal(x.l->ops->fsync(x.l, late), 0);
	assert_int_equal(x.l->ops->syncfs(x.l, x.root), -EIO);
	assert_int_equal(x.l->ops->syncfs(x.l, x.root), 0);
}

/* ---- names */

/* The names in the root after a cut, sorted by age, one letter each. */
static const char *names(struct simfs *fs);

static int add_name(void *arg, const struct lower_dirent *e)
{
	char *t = arg;

	(void)snprintf(t + strlen(t), 64 - strlen(t), "%s ", e->name);
	return 0;
}

static const char *names(struct simfs *fs)
{
	static char text[64];
	struct lower *l = simfs_lower(fs);
	int root = simfs_open_root(fs);

	text[0] = '\0';
	assert_int_equal(l->ops->readdir(l, root, 0, add_name, text), 0);
	lower_close(l, root);
	return text;
}

static int check_names(void *arg, struct simfs **cut)
{
	struct expect *e = arg;
	const char *t = names(*cut);
	unsigned k = 0;

	while (k < e->n && strcmp(e->want[k], t) != 0)
		k++;
	if (k == e->n)
		fail_msg("a cut leaves the names %s", t);
	e->seen |= 1u << k;
	return 0;
}

static void names_are(const char *const *want, unsigned n)
{
	struct expect e = { .want = want, .n = n };

	assert_int_equal(simfs_cut_all(x.fs, 1000, &x.rng, check_names, &e), 0);
	assert_int_equal(e.seen, (1u << n) - 1);
}

#define NAMES(...)                                                                    \
	do {                                                                          \
		const char *const want_[] = { __VA_ARGS__ };                          \
		names_are(want_, sizeof(want_) / sizeof(want_[0]));                   \
	} while (0)

static void any_prefix_of_the_names_survives(void **state)
{
	(void)state;
	lower_close(x.l, make("a"));
	lower_close(x.l, make("b"));
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "c", 0), 0);
	assert_int_equal(x.l->ops->unlinkat(x.l, x.root, "b", 0), 0);
	NAMES("", "a ", "a b ", "b c ", "c ");
	assert_int_equal(x.l->ops->fsync(x.l, x.root), 0);
	NAMES("c ");
}

static void on_ext4_fsync_of_a_file_makes_all_names_before_its_own_durable(void **state)
{
	int a, b;

	(void)state;
	a = make("a");
	b = make("b");
	lower_close(x.l, make("c"));
	assert_int_equal(x.l->ops->fdatasync(x.l, b), 0);
	NAMES("", "a ", "a b ", "a b c ");
	assert_int_equal(x.l->ops->fsync(x.l, b), 0);
	NAMES("a b ", "a b c ");
	assert_int_equal(x.l->ops->fsync(x.l, a), 0);
	NAMES("a b ", "a b c ");
	assert_int_equal(x.l->ops->syncfs(x.l, a), 0);
	NAMES("a b c ");
}

static void on_btrfs_fsync_of_a_file_makes_no_sibling_durable(void **state)
{
	struct lower *l = x.l;
	struct simfs *cut;
	struct stat st;
	int d, f, root;

	(void)state;
	lower_close(l, make("a"));
	assert_int_equal(l->ops->mkdirat(l, x.root, "d", 0700), 0);
	d = l->ops->openat(l, x.root, "d", O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(l->ops->symlinkat(l, "secret", d, "coffer.dir"), 0);
	f = l->ops->openat(l, d, "f", O_RDWR | O_CREAT, 0600);
	assert_true(f >= 0);
	assert_int_equal(l->ops->fsync(l, f), 0);
	cut = simfs_cut(x.fs, &x.rng, SIMFS_OLD);
	assert_string_equal(names(cut), "d ");
	root = simfs_open_root(cut);
	assert_int_equal(simfs_lower(cut)->ops->fstatat(simfs_lower(cut), root, "d/f", &st), 0);
	assert_int_equal(simfs_lower(cut)->ops->fstatat(simfs_lower(cut), root, "d/coffer.dir", &st), -ENOENT);
	simfs_free(cut);
	NAMES("d ", "a d ");
	assert_int_equal(l->ops->fsync(l, d), 0);
	cut = simfs_cut(x.fs, &x.rng, SIMFS_OLD);
	root = simfs_open_root(cut);
	assert_int_equal(simfs_lower(cut)->ops->fstatat(simfs_lower(cut), root, "d/coffer.dir", &st), 0);
	assert_int_equal(st.st_ino > 0 && S_ISLNK(st.st_mode), 1);
	simfs_free(cut);
	assert_int_equal(l->ops->fsync(l, x.root), 0);
	NAMES("a d ");
}

static void on_btrfs_a_name_that_was_another_s_comes_with_that_other_one(void **state)
{
	int fd;

	(void)state;
	lower_close(x.l, make("a"));
	simfs_sync(x.fs);
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "b", 0), 0);
	fd = make("a");
	assert_int_equal(x.l->ops->fsync(x.l, fd), 0);
	/* Were only the new "a" durable, the old one would be in no place. */
	NAMES("b a ");
}

static void exchange_and_noreplace_do_what_they_say(void **state)
{
	int a = make("a"), b = make("b");

	(void)state;
	put(a, 0, 'a');
	put(b, 0, 'b');
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "b", RENAME_NOREPLACE), -EEXIST);
	simfs_sync(x.fs);
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "b", RENAME_EXCHANGE), 0);
	assert_shows("a", "b");
	assert_shows("b", "a");
	CUTS("a", "a", "b");
	CUTS("b", "a", "b");
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "none", RENAME_EXCHANGE), -ENOENT);
	simfs_set_lacks(x.fs, SIMFS_NO_EXCHANGE);
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "b", RENAME_EXCHANGE), -EINVAL);
}

static void a_rename_over_a_file_is_whole_or_not_at_all(void **state)
{
	int a = make("a"), b = make("b");
	struct stat st;

	(void)state;
	put(a, 0, 'a');
	put(b, 0, 'b');
	simfs_sync(x.fs);
	assert_int_equal(x.l->ops->renameat2(x.l, x.root, "a", x.root, "b", 0), 0);
	NAMES("a b ", "b ");
	CUTS("b", "a", "b");
	assert_int_equal(x.l->ops->fstat(x.l, b, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	put(b, 0, 'c'); /* still there for who has it open, and for a cut that loses the rename */
	CUTS("b", "a", "b", "c");
}

static void an_open_file_lives_without_a_name(void **state)
{
	int fd = make_durable("ab");
	struct lower_handle h;
	char b[512];

	(void)state;
	assert_int_equal(x.l->ops->name_to_handle(x.l, fd, &h), 0);
	assert_int_equal(x.l->ops->unlinkat(x.l, x.root, "f", 0), 0);
	simfs_sync(x.fs);
	CUTS("f", "-");
	assert_int_equal(lower_pread_full(x.l, fd, b, 512, 512), 0);
	assert_int_equal(b[7], 'b');
	lower_close(x.l, fd);
	assert_int_equal(x.l->ops->open_by_handle(x.l, x.root, &h, O_RDONLY), -ESTALE);
	assert_int_equal(simfs_used(x.fs), 0);
}

static void links_count_and_directories_know_their_parent(void **state)
{
	struct lower *l = x.l;
	struct stat st;

	(void)state;
	lower_close(l, make("a"));
	assert_int_equal(l->ops->linkat(l, x.root, "a", x.root, "b"), 0);
	assert_int_equal(l->ops->mkdirat(l, x.root, "d", 0700), 0);
	assert_int_equal(l->ops->mkdirat(l, x.root, "d/e", 0700), 0);
	assert_int_equal(l->ops->fstatat(l, x.root, "b", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(l->ops->fstatat(l, x.root, "d", &st), 0);
	assert_int_equal(st.st_nlink, 3);
	assert_int_equal(l->ops->renameat2(l, x.root, "d", x.root, "d/e/f", 0), -EINVAL);
	assert_int_equal(l->ops->unlinkat(l, x.root, "d", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(l->ops->unlinkat(l, x.root, "a", AT_REMOVEDIR), -ENOTDIR);
	assert_int_equal(l->ops->unlinkat(l, x.root, "d", 0), -EISDIR);
	assert_int_equal(l->ops->renameat2(l, x.root, "d/e", x.root, "e", 0), 0);
	assert_int_equal(l->ops->fstatat(l, x.root, "e/..", &st), 0);
	assert_int_equal(st.st_nlink, 4);
	assert_int_equal(l->ops->mkdirat(l, x.root, "a", 0700), -EEXIST);
	assert_int_equal(l->ops->mkdirat(l, x.root, "a/x", 0700), -ENOTDIR);
	assert_int_equal(l->ops->linkat(l, x.root, "d", x.root, "g"), -EPERM);
}

struct stop {
	int n;
	int64_t off;
	char text[64];
};

static int stop_after_two(void *arg, const struct lower_dirent *e)
{
	struct stop *s = arg;

	if (s->n++ == 2)
		return 1;
	s->off = e->off;
	return add_name(s->text, e);
}

static void readdir_goes_on_where_it_stopped_whatever_changed(void **state)
{
	struct stop s = { .n = 0 };

	(void)state;
	lower_close(x.l, make("a"));
	lower_close(x.l, make("b"));
	lower_close(x.l, make("c"));
	assert_int_equal(x.l->ops->readdir(x.l, x.root, 0, stop_after_two, &s), 0);
	assert_string_equal(s.text, "a b ");
	assert_int_equal(x.l->ops->unlinkat(x.l, x.root, "a", 0), 0);
	lower_close(x.l, make("d"));
	assert_int_equal(x.l->ops->readdir(x.l, x.root, s.off, add_name, s.text), 0);
	assert_string_equal(s.text, "a b c d ");
}

/* ---- handles, locks, space, the rest */

static void old_handles_open_the_originals_after_a_copy(void **state)
{
	struct lower *l = x.l;
	struct lower_handle h;
	struct stat a, b;
	int d, f, fd;

	(void)state;
	assert_int_equal(l->ops->mkdirat(l, x.root, "v", 0700), 0);
	d = l->ops->openat(l, x.root, "v", O_RDONLY | O_DIRECTORY, 0);
	f = l->ops->openat(l, d, "f", O_RDWR | O_CREAT, 0600);
	put(f, 0, 'f');
	assert_int_equal(l->ops->linkat(l, d, "f", d, "g"), 0);
	assert_int_equal(l->ops->name_to_handle(l, f, &h), 0);
	assert_int_equal(simfs_copy_tree(x.fs, x.root, "v", x.root, "w"), 0);
	assert_false(simfs_is_pending(x.fs));
	assert_shows("w/f", "f");
	put(f, 0, 'F');
	assert_shows("w/f", "f");
	assert_int_equal(l->ops->fstatat(l, x.root, "w/f", &a), 0);
	assert_int_equal(l->ops->fstatat(l, x.root, "w/g", &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_nlink, 2);
	fd = l->ops->open_by_handle(l, x.root, &h, O_RDONLY);
	assert_int_equal(l->ops->fstat(l, fd, &b), 0);
	assert_int_not_equal(a.st_ino, b.st_ino);
	assert_int_equal(simfs_copy_tree(x.fs, x.root, "v", d, "inside"), 0);
	assert_shows("v/inside/f", "F");
	assert_int_equal(simfs_copy_tree(x.fs, x.root, "v", x.root, "w"), -EEXIST);
}

static void handles_and_inode_numbers_survive_a_cut(void **state)
{
	int fd = make_durable("ab"), root;
	struct simfs *cut;
	struct lower_handle h;
	struct lower *l;

	(void)state;
	assert_int_equal(x.l->ops->name_to_handle(x.l, fd, &h), 0);
	cut = simfs_cut(x.fs, &x.rng, SIMFS_RANDOM);
	l = simfs_lower(cut);
	root = simfs_open_root(cut);
	assert_true(l->ops->open_by_handle(l, root, &h, O_RDONLY) >= 0);
	h.bytes[0] ^= 1;
	assert_int_equal(l->ops->open_by_handle(l, root, &h, O_RDONLY), -ESTALE);
	simfs_set_lacks(cut, SIMFS_NO_OPEN_HANDLE);
	assert_int_equal(l->ops->open_by_handle(l, root, &h, O_RDONLY), -EPERM);
	simfs_set_lacks(cut, SIMFS_NO_HANDLES);
	assert_int_equal(l->ops->name_to_handle(l, root, &h), -EOPNOTSUPP);
	simfs_free(cut);
}

static void a_lock_ends_with_its_descriptor_or_a_kill(void **state)
{
	int a = make("f"), b = x.l->ops->openat(x.l, x.root, "f", O_RDWR, 0);
	struct simfs *c;
	int d, root;

	(void)state;
	assert_int_equal(x.l->ops->lock(x.l, a, true), 0);
	assert_int_equal(x.l->ops->lock(x.l, b, true), -EAGAIN);
	assert_int_equal(x.l->ops->lock(x.l, b, false), -EAGAIN);
	c = simfs_clone(x.fs);
	assert_int_equal(simfs_lower(c)->ops->lock(simfs_lower(c), b, true), -EAGAIN);
	simfs_close_all(c);
	root = simfs_open_root(c);
	d = simfs_lower(c)->ops->openat(simfs_lower(c), root, "f", O_RDWR, 0);
	assert_int_equal(simfs_lower(c)->ops->lock(simfs_lower(c), d, true), 0);
	simfs_free(c);
	lower_close(x.l, a);
	assert_int_equal(x.l->ops->lock(x.l, b, true), 0);
}

static void a_clone_goes_its_own_way(void **state)
{
	int fd = make_durable("ab");
	struct simfs *c;

	(void)state;
	put(fd, 0, 'A');
	c = simfs_clone(x.fs);
	assert_int_equal(simfs_cut_count(c), 2);
	assert_int_equal(simfs_lower(c)->ops->fdatasync(simfs_lower(c), fd), 0);
	assert_int_equal(simfs_cut_count(c), 1);
	assert_int_equal(simfs_cut_count(x.fs), 2);
	assert_int_equal(lower_pwrite(simfs_lower(c), fd, "z", 1, 600, false), 0);
	assert_shows("f", "Ab");
	simfs_free(c);
}

static void space_ends_and_comes_back(void **state)
{
	static char b[8 * 4096];
	int fd = make("f"), g = make("g");
	struct statvfs sv;
	uint64_t fsid, magic;

	(void)state;
	assert_int_equal(lower_pwrite(x.l, fd, b, 6 * 4096, 0, false), 0);
	assert_int_equal(x.l->ops->statfs(x.l, fd, &sv, &fsid, &magic), 0);
	assert_int_equal(sv.f_bavail, 2);
	assert_int_equal(lower_pwrite(x.l, fd, b, 2 * 4096, 0, false), 0); /* in place */
	assert_int_equal(lower_pwrite(x.l, g, b, 3 * 4096, 100, false), -ENOSPC);
	assert_int_equal(simfs_used(x.fs), 8); /* what went before the error is there */
	assert_int_equal(x.l->ops->fallocate(x.l, g, 0, 1 << 20, 1), -ENOSPC);
	assert_int_equal(x.l->ops->ftruncate(x.l, fd, 4096), 0);
	assert_int_equal(simfs_used(x.fs), 3);
	assert_int_equal(x.l->ops->fallocate(x.l, g, FALLOC_FL_KEEP_SIZE, 1 << 20, 5 * 4096), 0);
	assert_int_equal(lower_pwrite(x.l, g, b, 4096, 1 << 19, false), -ENOSPC);
	assert_int_equal(lower_pwrite(x.l, g, b, 5 * 4096, 1 << 20, false), 0);
	assert_int_equal(x.l->ops->unlinkat(x.l, x.root, "g", 0), 0);
	assert_int_equal(simfs_used(x.fs), 8);
	lower_close(x.l, g);
	assert_int_equal(simfs_used(x.fs), 1);
}

static void direct_io_wants_alignment(void **state)
{
	static char b[1024] __attribute__((aligned(512)));
	int fd = make_durable("ab"), d = x.l->ops->reopen(x.l, fd, O_RDWR | O_DIRECT);

	(void)state;
	assert_true(d >= 0);
	assert_int_equal(lower_pread(x.l, d, b, 1024, 0), 1024);
	assert_int_equal(lower_pread(x.l, d, b, 512, 512 * 2), 0);
	assert_int_equal(lower_pread(x.l, d, b + 1, 512, 0), -EINVAL);
	assert_int_equal(lower_pread(x.l, d, b, 511, 0), -EINVAL);
	assert_int_equal(lower_pread(x.l, d, b, 512, 1), -EINVAL);
	simfs_set_lacks(x.fs, SIMFS_NO_DIRECT);
	assert_int_equal(x.l->ops->reopen(x.l, fd, O_RDWR | O_DIRECT), -EINVAL);
}

static void descriptors_are_checked(void **state)
{
	int fd = make_durable("ab"), ro = x.l->ops->reopen(x.l, fd, O_RDONLY);
	char b[1];

	(void)state;
	assert_int_equal(lower_pwrite(x.l, ro, "x", 1, 0, false), -EBADF);
	assert_int_equal(lower_pread(x.l, 0, b, 1, 0), -EBADF);
	assert_int_equal(lower_pread(x.l, x.root, b, 1, 0), -EISDIR);
	assert_int_equal(x.l->ops->close(x.l, ro), 0);
	assert_int_equal(x.l->ops->close(x.l, ro), -EBADF);
	simfs_set_lacks(x.fs, SIMFS_READ_ONLY);
	assert_int_equal(lower_pwrite(x.l, fd, "x", 1, 0, false), -EROFS);
	assert_int_equal(x.l->ops->openat(x.l, x.root, "f", O_RDWR, 0), -EROFS);
	assert_int_equal(x.l->ops->mkdirat(x.l, x.root, "d", 0700), -EROFS);
}

static void poke_changes_bytes_everywhere(void **state)
{
	int fd = make_durable("ab");
	char b[512];

	(void)state;
	(void)fd;
	memset(b, 'X', sizeof(b));
	assert_int_equal(simfs_poke(x.fs, x.root, "f", 0, b, 512), 0);
	assert_shows("f", "Xb");
	CUTS("f", "Xb");
	assert_int_equal(simfs_poke(x.fs, x.root, "f", 600, b, 512), -EINVAL);
	assert_int_equal(simfs_poke(x.fs, x.root, "none", 0, b, 1), -ENOENT);
}

struct hooked {
	unsigned calls[3];
	uint64_t states;
};

static int count_state(void *arg, struct simfs **cut)
{
	(void)cut;
	++*(uint64_t *)arg;
	return 0;
}

static void hook(void *arg, struct simfs *fs, enum simfs_call call)
{
	struct hooked *h = arg;

	h->calls[call]++;
	assert_int_equal(simfs_cut_all(fs, 50, &x.rng, count_state, &h->states), 0);
}

static void the_hook_runs_before_the_call_and_may_cut(void **state)
{
	int fd = make_durable("ab");
	struct hooked h = { .states = 0 };

	(void)state;
	simfs_set_hook(x.fs, hook, &h);
	put(fd, 0, 'A');                                                  /* 1 state before it */
	put(fd, 1, 'B');                                                  /* 2 */
	assert_int_equal(x.l->ops->fdatasync(x.l, fd), 0);                /* 4 */
	assert_int_equal(x.l->ops->unlinkat(x.l, x.root, "f", 0), 0);     /* 1 */
	assert_int_equal(x.l->ops->openat(x.l, x.root, "f", O_RDONLY, 0), -ENOENT);
	assert_int_equal(h.states, 8);
	assert_int_equal(h.calls[SIMFS_CALL_WRITE], 2);
	assert_int_equal(h.calls[SIMFS_CALL_FLUSH], 1);
	assert_int_equal(h.calls[SIMFS_CALL_NAME], 1);
}

static int take_cut(void *arg, struct simfs **cut)
{
	*(struct simfs **)arg = *cut;
	*cut = NULL;
	return 17;
}

static void a_cut_can_be_taken_and_ends_the_row(void **state)
{
	struct simfs *cut = NULL;

	(void)state;
	(void)make_durable("ab");
	assert_int_equal(simfs_cut_all(x.fs, 50, &x.rng, take_cut, &cut), 17);
	assert_string_equal(show(cut, "f", 0), "ab");
	simfs_free(cut);
}

static void a_huge_number_of_states_is_sampled_and_the_corners_are_there(void **state)
{
	int fd = make_durable("ab");
	uint64_t n = 0;

	(void)state;
	for (unsigned s = 0; s < 200; s++)
		put(fd, s, 'x');
	assert_int_equal(simfs_cut_count(x.fs), UINT64_MAX);
	assert_int_equal(simfs_cut_all(x.fs, 30, &x.rng, count_state, &n), 0);
	assert_int_equal(n, 30);
}

static void the_same_seed_gives_the_same_states(void **state)
{
	int fd = make_durable("ab");
	uint64_t first[20];

	(void)state;
	for (unsigned s = 0; s < 30; s++)
		put(fd, s, (char)('a' + s % 20));
	for (int round = 0; round < 2; round++) {
		x.rng.s = 5;
		for (int n = 0; n < 20; n++) {
			struct simfs *cut = simfs_cut(x.fs, &x.rng, SIMFS_RANDOM);

			if (round == 0)
				first[n] = simfs_digest(cut);
			else
				assert_int_equal(simfs_digest(cut), first[n]);
			simfs_free(cut);
		}
	}
	assert_int_not_equal(first[0], first[1]);
}

struct worker {
	struct simfs *fs;
	int root;
	char name[8];
	int bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct lower *l = simfs_lower(w->fs);
	char b[512], c[512];
	int fd = l->ops->openat(l, w->root, w->name, O_RDWR | O_CREAT, 0600);

	for (int n = 0; n < 300; n++) {
		memset(b, n, sizeof(b));
		w->bad |= lower_pwrite(l, fd, b, sizeof(b), n % 20 * 512ull, n % 7 == 0) < 0;
		w->bad |= lower_pread_full(l, fd, c, sizeof(c), n % 20 * 512ull) < 0 || memcmp(b, c, sizeof(b)) != 0;
		if (n % 10 == 0)
			w->bad |= l->ops->fsync(l, fd) < 0;
	}
	lower_close(l, fd);
	return NULL;
}

/* One file each in one simfs, and one more thread in a clone that shares all pages. */
static void threads_may_share_a_simfs_and_its_pages(void **state)
{
	struct worker w[3] = { { .name = "f" }, { .name = "g" }, { .name = "f" } };
	struct simfs *clone, *cut;
	pthread_t t[3];

	(void)state;
	(void)make_durable("abcdefghijklmnopqrstuvwxyz");
	clone = simfs_clone(x.fs);
	for (int k = 0; k < 3; k++) {
		w[k].fs = k < 2 ? x.fs : clone;
		w[k].root = simfs_open_root(w[k].fs);
		assert_int_equal(pthread_create(&t[k], NULL, work, &w[k]), 0);
	}
	for (int n = 0; n < 100; n++) {
		cut = simfs_cut(x.fs, &x.rng, SIMFS_RANDOM);
		assert_int_equal(strlen(show(cut, "f", 0)), 26);
		simfs_free(cut);
	}
	for (int k = 0; k < 3; k++) {
		assert_int_equal(pthread_join(t[k], NULL), 0);
		assert_int_equal(w[k].bad, 0);
	}
	simfs_free(clone);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define T_BTRFS(f) cmocka_unit_test_setup_teardown(f, set_up_btrfs, tear_down)
#define T_SMALL(f) cmocka_unit_test_setup_teardown(f, set_up_small, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_sector_survives_on_its_own),
		T(a_sector_survives_in_any_of_its_versions),
		T(the_newest_state_is_what_was_written_last),
		T(writing_the_same_bytes_makes_nothing_pending),
		T(part_of_a_sector_takes_the_rest_along),
		T(a_dsync_write_is_durable_and_others_stay_pending),
		T(a_dsync_write_of_the_same_bytes_makes_them_durable),
		T(truncates_survive_in_order_and_new_writes_behind_them_only_with_them),
		T(a_punch_frees_whole_blocks_and_writes_zeros_at_its_edges),
		T(a_dsync_write_takes_truncates_before_it_along),
		T(growth_may_be_lost_with_the_sectors_that_made_it),
		T(a_grown_file_that_lost_its_last_sector_may_be_long_all_the_same),
		T(zeros_appended_are_a_change),
		T(bytes_behind_the_end_never_come_back),
		T(a_failed_flush_loses_sectors_that_the_cache_still_shows),
		T(dropping_the_cache_shows_what_was_lost),
		T(a_failed_dsync_write_hurts_no_other_sector),
		T(a_flush_error_is_told_once_to_each_who_had_the_file_open),
		T(any_prefix_of_the_names_survives),
		T(on_ext4_fsync_of_a_file_makes_all_names_before_its_own_durable),
		T_BTRFS(on_btrfs_fsync_of_a_file_makes_no_sibling_durable),
		T_BTRFS(on_btrfs_a_name_that_was_another_s_comes_with_that_other_one),
		T(exchange_and_noreplace_do_what_they_say),
		T(a_rename_over_a_file_is_whole_or_not_at_all),
		T(an_open_file_lives_without_a_name),
		T(links_count_and_directories_know_their_parent),
		T(readdir_goes_on_where_it_stopped_whatever_changed),
		T(old_handles_open_the_originals_after_a_copy),
		T(handles_and_inode_numbers_survive_a_cut),
		T(a_lock_ends_with_its_descriptor_or_a_kill),
		T(a_clone_goes_its_own_way),
		T_SMALL(space_ends_and_comes_back),
		T(direct_io_wants_alignment),
		T(descriptors_are_checked),
		T(poke_changes_bytes_everywhere),
		T(the_hook_runs_before_the_call_and_may_cut),
		T(a_cut_can_be_taken_and_ends_the_row),
		T(a_huge_number_of_states_is_sampled_and_the_corners_are_there),
		T(the_same_seed_gives_the_same_states),
		T(threads_may_share_a_simfs_and_its_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
