/* Linked with --wrap. */
#include "alloc_fails_more.h"
#include "fs_fixture.h"

#include "fs/scrub.h"
#include "io/freeze.h"
#include "io/vio_impl.h"
#include "lib/fault.h"

#define CALLS_MAX 2000

static struct lower *below;      /* what a scrub reads through */

static struct {
	unsigned n, io;          /* problems; of these SCRUB_IO */
	enum scrub_kind kind;
	uint64_t number, count;
	char path[512];
	unsigned holds;
	int release;             /* what the first release says */
	const char *heal;        /* flipped back under the hold */
	off_t heal_off;
} saw;

static void note(void *ctx, const struct scrub_problem *p)
{
	(void)ctx;
	saw.n++;
	saw.io += p->kind == SCRUB_IO;
	saw.kind = p->kind;
	saw.number = p->number;
	saw.count = p->count;
	(void)snprintf(saw.path, sizeof(saw.path), "%s", p->backing_path);
}

static int hold(void *ctx)
{
	long was = countdown;
	int r;

	(void)ctx;
	saw.holds++;
	if (saw.heal)
		flip(saw.heal, saw.heal_off);
	saw.heal = NULL;
	countdown = -1; /* the mount's memory is another */
	r = fixture_v ? volume_freeze(fixture_v) : 0;
	countdown = was;
	return r;
}

static int release(void *ctx)
{
	int r = saw.release, rr;
	long was = countdown;

	(void)ctx;
	saw.release = 0;
	countdown = -1;
	rr = fixture_v ? volume_thaw(fixture_v) : 0;
	countdown = was;
	return r < 0 ? r : rr;
}

static int run_scrub(bool live, struct scrub_counts *ret_c)
{
	struct scrub_params p = { .problem = note, .live = live, .hold = live ? hold : NULL, .release = live ? release : NULL };
	int fd = fixture_root(), r;

	saw.n = saw.io = saw.holds = 0;
	r = scrub_run(below ? below : lower_real(), fd, &p, ret_c);
	(void)close(fd);
	return r;
}

/* A file of three groups, a small and an empty one; all home. The large one's path below. */
static const char *make_tree(void)
{
	static char path[4096];
	static uint8_t buf[2 * GROUP_PLAIN];
	struct inode *f = make_file(fixture_v->root, "large"), *d;

	memset(buf, 7, sizeof(buf));
	assert_int_equal(file_write(fixture_v, f, buf, sizeof(buf), 0, false), sizeof(buf));
	assert_int_equal(file_write(fixture_v, f, buf, 3 * BLOCK_SIZE, sizeof(buf), false), 3 * BLOCK_SIZE);
	memcpy(path, lower_path(f), sizeof(path));
	drop(f);
	d = make_dir(fixture_v->root, "dir");
	f = make_file(d, "small");
	put_text(f, "small");
	drop(f);
	drop(make_file(d, "empty"));
	drop(d);
	fixture_close();
	fixture_open();
	return path;
}

static void a_sound_volume_has_no_problems(void **state)
{
	struct scrub_counts c;

	(void)state;
	(void)make_tree();
	for (int live = 0; live < 2; live++) {
		assert_int_equal(run_scrub(live, &c), 0);
		assert_int_equal(saw.n, 0);
		assert_int_equal(c.files, 3);
		assert_int_equal(c.blocks, 2 * GROUP_BLOCKS + 3 + 1);
		assert_int_equal(c.problems, 0);
		assert_int_equal(saw.holds, 0);
	}
}

static void each_rot_is_found_where_it_is(void **state)
{
	static const struct {
		off_t off;
		enum scrub_kind kind;
		uint64_t number;
	} cases[] = {
		{ 0, SCRUB_HEADER, 0 },
		{ 45, SCRUB_HEADER, 0 },                         /* must be zero */
		{ HEADER_LEN + 3 * ENTRY_LEN + 24, SCRUB_BLOCK, 3 }, /* a sum */
		{ BLOCK_SIZE * 5, SCRUB_BLOCK, 4 },
		{ GROUP_LOWER + 12, SCRUB_GROUP, 1 },            /* its number */
		{ GROUP_LOWER + 16, SCRUB_GROUP, 1 },            /* file_id */
		{ 2 * GROUP_LOWER + 3 * BLOCK_SIZE + 1, SCRUB_BLOCK, 258 },
	};
	const char *path = make_tree();
	struct scrub_counts c;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int live = 0; live < 2; live++) {
			flip(path, cases[i].off);
			assert_int_equal(run_scrub(live, &c), 0);
			assert_int_equal(saw.n, 1);
			assert_int_equal(saw.kind, cases[i].kind);
			assert_int_equal(saw.number, cases[i].number);
			assert_string_equal(saw.path, strrchr(path, '/') + 1);
			assert_int_equal(c.problems, 1);
			assert_int_equal(saw.holds, live);
			flip(path, cases[i].off);
		}
	}
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 0);
}

static void a_file_cut_short_is_told_as_one_run(void **state)
{
	const char *path = make_tree();
	struct scrub_counts c;

	(void)state;
	assert_int_equal(truncate(path, GROUP_LOWER + 10 * BLOCK_SIZE + 7), 0);
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.kind, SCRUB_SHORT);
	assert_true(c.problems > 100);
	assert_true(saw.n <= 3);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 1);
	assert_int_equal(saw.kind, SCRUB_HEADER);
}

static void what_fits_under_the_hold_is_no_damage(void **state)
{
	const char *path = make_tree();
	struct scrub_counts c;

	(void)state;
	flip(path, BLOCK_SIZE);
	saw.heal = path;
	saw.heal_off = BLOCK_SIZE;
	assert_int_equal(run_scrub(true, &c), 0);
	assert_int_equal(saw.holds, 1);
	assert_int_equal(saw.n, 0);
	assert_int_equal(c.suspects, 1);
}

static void a_hold_that_ran_out_says_nothing(void **state)
{
	const char *path = make_tree();
	struct scrub_counts c;

	(void)state;
	flip(path, BLOCK_SIZE);
	saw.release = -ETIMEDOUT;
	assert_int_equal(run_scrub(true, &c), 0);
	assert_int_equal(saw.holds, 2);
	assert_int_equal(saw.n, 1); /* and not told twice */
	assert_int_equal(c.problems, 1);
	flip(path, BLOCK_SIZE);
}

static void what_is_not_a_file_of_ours_is_passed_over(void **state)
{
	char path[128];
	struct scrub_counts c;
	int fd;

	(void)state;
	(void)make_tree();
	(void)snprintf(path, sizeof(path), "%s/README.txt", fixture_path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "foreign", 7), 7);
	(void)close(fd);
	(void)snprintf(path, sizeof(path), "%s/fifo", fixture_path);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/loop", fixture_path);
	assert_int_equal(symlink("loop", path), 0);
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 0);
}

/* ---- unclean */

/* What a power cut now would leave behind, closed. */
static void crash(void)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "cp -a --sparse=always '%s' '%s.cut'", fixture_path, fixture_path);
	assert_int_equal(system(command), 0);
	fixture_close();
	(void)snprintf(command, sizeof(command), "rm -rf '%s' && mv '%s.cut' '%s'", fixture_path, fixture_path, fixture_path);
	assert_int_equal(system(command), 0);
}

static void the_log_is_laid_over_an_unclean_volume(void **state)
{
	const char *path = make_tree();
	uint64_t head = fixture_v->vio->head % FIXTURE_LOG_BLOCKS;
	struct inode *f = find(fixture_v->root, "large");
	char log[128];
	struct scrub_counts c;

	(void)state;
	put_text(f, "changed");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	put_text(f, "changed again");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	drop(f);
	crash();
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 0);
	/* Home of what the log will write over: nobody reads that any more. */
	flip(path, BLOCK_SIZE);
	flip(path, HEADER_LEN + 20);
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 0);
	flip(path, HEADER_LEN + 20);
	/* But a block that it will not. */
	flip(path, 3 * BLOCK_SIZE);
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 1);
	assert_int_equal(saw.number, 2);
	flip(path, 3 * BLOCK_SIZE);
	/* The log's own rot: the transaction does not count, and home does again. */
	(void)snprintf(log, sizeof(log), "%s/" NAME_LOG, fixture_path);
	flip(log, (off_t)(head + 1) * BLOCK_SIZE);
	assert_int_equal(run_scrub(false, &c), 0);
	assert_int_equal(saw.n, 1);
	assert_int_equal(saw.number, 0);
	assert_int_equal(saw.kind, SCRUB_BLOCK);
	flip(log, (off_t)(head + 1) * BLOCK_SIZE);
	flip(path, BLOCK_SIZE);
	fixture_open();
	f = find(fixture_v->root, "large");
	drop(f);
}

static void a_state_without_form_ends_it(void **state)
{
	char path[128];
	struct scrub_counts c;

	(void)state;
	fixture_close();
	(void)snprintf(path, sizeof(path), "%s/" NAME_STATE, fixture_path);
	flip(path, 0);
	flip(path, STATE_SLOT_LEN);
	assert_int_equal(run_scrub(false, &c), -EUCLEAN);
	assert_int_equal(run_scrub(true, &c), 0);
	flip(path, STATE_SLOT_LEN);
	assert_int_equal(run_scrub(false, &c), 0);
}

static void a_hostile_log_and_state_only_say_less(void **state)
{
	struct inode *f;
	char log[128], st[128];
	struct scrub_counts c;
	unsigned seed = 7;
	uint64_t head;

	(void)state;
	(void)make_tree();
	head = fixture_v->vio->head % FIXTURE_LOG_BLOCKS;
	f = find(fixture_v->root, "large");
	for (int i = 0; i < 5; i++) {
		put_text(f, "changed");
		assert_int_equal(file_fsync(fixture_v, f, false), 0);
	}
	drop(f);
	crash();
	(void)snprintf(log, sizeof(log), "%s/" NAME_LOG, fixture_path);
	(void)snprintf(st, sizeof(st), "%s/" NAME_STATE, fixture_path);
	for (int i = 0; i < 300; i++) {
		int fd = open(i % 3 ? log : st, O_RDWR | O_CLOEXEC), r;
		off_t off = i % 3 ? (off_t)(head + rand_r(&seed) % 10u) * BLOCK_SIZE + rand_r(&seed) % 200 : rand_r(&seed) % 250 + rand_r(&seed) % 2 * 4096;
		uint64_t was, now = (uint64_t)rand_r(&seed) << (rand_r(&seed) % 40);

		assert_int_equal(pread(fd, &was, sizeof(was), off), sizeof(was));
		assert_int_equal(pwrite(fd, &now, sizeof(now), off), sizeof(now));
		r = run_scrub(false, &c);
		assert_true(r == 0 || r == -EUCLEAN);
		assert_int_equal(pwrite(fd, &was, sizeof(was), off), sizeof(was));
		(void)close(fd);
	}
	fixture_open();
}

/* ---- what fails on the way */

#define ROTTEN_BLOCK (2 * GROUP_BLOCKS + 2)

static const char *make_rot(void)
{
	const char *path = make_tree();

	flip(path, 2 * GROUP_LOWER + 3 * BLOCK_SIZE + 1);
	return path;
}

/* One failing call: then the scrub ends with an error, or tells that it could not read something, or finds the rot all the same. */
static void no_failing_call_hides_rot(void **state)
{
	static const struct { uint64_t kinds, times; } how[] = { { FAULT_ALL & ~FAULT_OF(close), 1 }, { FAULT_OF(preadv), 1 }, { FAULT_OF(preadv), FAULT_FOREVER } };
	struct scrub_counts c;

	(void)state;
	(void)make_rot();
	for (size_t k = 0; k < 2 * sizeof(how) / sizeof(how[0]); k++) {
		bool happened = true, live = k % 2;
		uint64_t n;

		for (n = 1; happened; n++) {
			struct fault *f = fault_new(lower_real());
			int r;

			assert_true(n < CALLS_MAX);
			fault_fail(f, how[k / 2].kinds, n, EIO, how[k / 2].times, 0);
			below = fault_lower(f);
			r = run_scrub(live, &c);
			below = NULL;
			happened = fault_happened(f);
			if (r < 0 ? r != -EIO || !happened : saw.n == 0)
				fail_msg("%s, %s %llu failed: %s, and nothing is told", live ? "mounted" : "not mounted", fault_what(f), (unsigned long long)n, err_text(r));
			/* A read is tried again, so what passes changes nothing; but not while the mount holds still. */
			if (r == 0 && how[k / 2].kinds == FAULT_OF(preadv) && how[k / 2].times == 1) {
				assert_int_equal(saw.n, 1);
				assert_true(saw.kind == SCRUB_BLOCK ? saw.number == ROTTEN_BLOCK : live && saw.io == 1);
				assert_int_equal(c.files, 3);
			}
			fault_free(f);
		}
		assert_true(n > 3);
	}
}

static uint64_t bad_sector;

static ssize_t bad_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t end = off;

	for (int k = 0; k < n; k++)
		end += iov[k].iov_len;
	return off <= bad_sector && bad_sector < end ? -EIO : lower_real()->ops->preadv(l, fd, iov, n, off);
}

/* A sector that cannot be read costs its group, not what is read in the same call, nor what lies behind. */
static void a_bad_sector_hides_no_other_group(void **state)
{
	struct lower_ops ops = *lower_real()->ops;
	struct lower bad = { .ops = &ops };
	struct scrub_counts c;

	(void)state;
	ops.preadv = bad_preadv;
	(void)make_rot();
	bad_sector = GROUP_LOWER + 9 * BLOCK_SIZE; /* read in one call with group 0 */
	for (int live = 0; live < 2; live++) {
		below = &bad;
		assert_int_equal(run_scrub(live, &c), 0);
		below = NULL;
		assert_int_equal(saw.n, 2);
		assert_int_equal(saw.io, 1);
		assert_int_equal(c.problems, 2);
		assert_int_equal(c.files, 3);
		assert_int_equal(c.blocks, GROUP_BLOCKS + 3 + 1);
	}
}

static void want_of_memory_is_no_rot(void **state)
{
	struct scrub_counts c;

	(void)state;
	(void)make_rot();
	for (int k = 0; k < 4; k++) {
		bool happened = true, live = k % 2;
		long n;

		for (n = 0; happened; n++) {
			int r;

			assert_true(n < CALLS_MAX);
			failed = false;
			for_good = k / 2;
			countdown = n;
			r = run_scrub(live, &c);
			countdown = -1;
			happened = failed;
			if (r < 0)
				assert_true(r == -ENOMEM && happened);
			else
				assert_true(saw.n == 1 && saw.number == ROTTEN_BLOCK && c.problems == 1);
		}
		assert_true(n > 5);
	}
}

/* ---- freezing */

static void a_freeze_brings_all_home_and_ends_by_itself(void **state)
{
	struct inode *f = make_file(fixture_v->root, "f");
	struct vio *v = fixture_v->vio;

	(void)state;
	put_text(f, "one");
	assert_int_equal(freeze_begin(v, 60000), 0);
	assert_true(v->home.home_next == &v->home);
	assert_int_equal(freeze_begin(v, 60000), -EBUSY);
	assert_int_equal(freeze_end(v), 0);
	assert_int_equal(freeze_end(v), 0);
	assert_int_equal(freeze_begin(v, 1), 0);
	put_text(f, "two");
	assert_int_equal(file_fsync(fixture_v, f, false), 0); /* returns when it has ended */
	assert_int_equal(freeze_end(v), -ETIMEDOUT);
	/* Nobody ends it: the next one may begin all the same, and so may the end of the volume. */
	assert_int_equal(freeze_begin(v, 1), 0);
	assert_int_equal(volume_sync(fixture_v), 0);
	assert_int_equal(freeze_begin(v, 60000), 0);
	drop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_sound_volume_has_no_problems),
		fixture_test(each_rot_is_found_where_it_is),
		fixture_test(a_file_cut_short_is_told_as_one_run),
		fixture_test(what_fits_under_the_hold_is_no_damage),
		fixture_test(a_hold_that_ran_out_says_nothing),
		fixture_test(what_is_not_a_file_of_ours_is_passed_over),
		fixture_test(the_log_is_laid_over_an_unclean_volume),
		fixture_test(a_state_without_form_ends_it),
		fixture_test(a_hostile_log_and_state_only_say_less),
		fixture_test(no_failing_call_hides_rot),
		fixture_test(a_bad_sector_hides_no_other_group),
		fixture_test(want_of_memory_is_no_rot),
		fixture_test(a_freeze_brings_all_home_and_ends_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
