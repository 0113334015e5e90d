#include "repair_fixture.h"

#include "lib/fault.h"

static void a_sound_volume_stays_as_it_is(void **state)
{
	char path[128];
	struct stat st;

	(void)state;
	(void)make_tree();
	repair_all();
	assert_int_equal(did.n, 0);
	(void)snprintf(path, sizeof(path), "%s/" NAME_QUARANTINE, fixture_path);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(lookup_error(fixture_v->root, "lost+found"), -ENOENT);
}

static void a_bad_block_leaves_a_salvaged_file_and_a_tombstone(void **state)
{
	const char *path = make_tree();

	(void)state;
	flip(path, 6 * BLOCK_SIZE + 9);
	repair_all();
	assert_int_equal(did.problems, 1);
	assert_int_equal(did.n, 1);
	assert_int_equal(did.a[0].kind, REPAIR_SALVAGED);
	assert_string_equal(did.plain[0], "/dir/large");
	assert_string_equal(did.to[0], "/dir/large.salvaged");
	assert_int_equal(did.a[0].lost, BLOCK_SIZE);
	assert_int_equal(did.a[0].good, LARGE - BLOCK_SIZE);
	assert_int_equal(did.a[0].unproven, 0);
	nothing_more_to_repair();
	assert_salvaged("dir", "large.salvaged", 5 * BLOCK_SIZE, 6 * BLOCK_SIZE, LARGE);
	assert_list("dir", "large.salvaged.ranges", "20480 4096 lost\n");
	assert_list("dir", "good", "good");
	assert_tombstone("dir", "large");
	nothing_more_to_repair();
}

static void a_bad_group_is_salvaged_by_its_blocks_own_tags(void **state)
{
	const char *path = make_tree();
	struct inode *d;

	(void)state;
	flip(path, (off_t)GROUP_LOWER + 470); /* its entries_stamp */
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_SALVAGED);
	assert_int_equal(did.a[0].unproven, GROUP_PLAIN);
	assert_int_equal(did.a[0].lost, 0);
	assert_salvaged("dir", "large.salvaged", 0, 0, LARGE);
	assert_list("dir", "large.salvaged.ranges", "524288 524288 unproven\n");
	nothing_more_to_repair();
	/* Whoever can do with that puts it over the tombstone. */
	d = find(fixture_v->root, "dir");
	assert_int_equal(rename_entry(fixture_v, d, "large.salvaged", d, "large", 0), 0);
	drop(d);
	assert_salvaged("dir", "large", 0, 0, LARGE);
	nothing_more_to_repair();
}

static void a_group_whose_entries_are_gone_is_lost(void **state)
{
	static const uint8_t zero[BLOCK_SIZE];
	const char *path = make_tree();
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(pwrite(fd, zero, sizeof(zero), GROUP_LOWER), sizeof(zero));
	(void)close(fd);
	repair_all();
	assert_int_equal(did.a[0].lost, GROUP_PLAIN);
	assert_salvaged("dir", "large.salvaged", GROUP_PLAIN, 2 * GROUP_PLAIN, LARGE);
	assert_list("dir", "large.salvaged.ranges", "524288 524288 lost\n");
	nothing_more_to_repair();
}

static void a_lost_header_takes_the_id_from_another_group(void **state)
{
	static const uint8_t zero[BLOCK_SIZE];
	const char *path = make_tree();
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)state;
	/* All of the block: a file longer than a group without a header. */
	assert_int_equal(pwrite(fd, zero, sizeof(zero), 0), sizeof(zero));
	(void)close(fd);
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_SALVAGED);
	assert_int_equal(did.a[0].good, 0);
	assert_int_equal(did.a[0].lost, GROUP_PLAIN);
	assert_int_equal(did.a[0].unproven, GROUP_PLAIN + 4 * BLOCK_SIZE);
	assert_list("dir", "large.salvaged.ranges", "0 524288 lost\n524288 540672 unproven\n");
	nothing_more_to_repair();
	assert_tombstone("dir", "large");
}

static void a_broken_header_sector_keeps_the_entries(void **state)
{
	const char *path = make_tree();

	(void)state;
	flip(path, 40); /* the size */
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_SALVAGED);
	assert_int_equal(did.a[0].unproven, 2 * GROUP_PLAIN + 4 * BLOCK_SIZE);
	assert_int_equal(did.a[0].lost, 0);
	nothing_more_to_repair();
}

static void a_file_of_which_nothing_is_left_is_taken(void **state)
{
	char path[4096];
	struct inode *f = make_file(fixture_v->root, "small");
	int fd;

	(void)state;
	put_text(f, "small");
	memcpy(path, lower_path(f), sizeof(path));
	drop(f);
	fixture_close();
	fixture_open();
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "rubbish", 7, 0), 7);
	(void)close(fd);
	flip(path, BLOCK_SIZE + 1);
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_TAKEN);
	assert_non_null(strstr(did.to[0], ".entry"));
	nothing_more_to_repair();
	f = find(fixture_v->root, "small");
	drop(f);
	assert_int_equal(lookup_error(fixture_v->root, "lost+found"), -ENOENT);
}

static void each_name_of_a_damaged_file_gets_a_tombstone(void **state)
{
	const char *path = make_tree();
	struct inode *d = find(fixture_v->root, "dir"), *f = find(d, "large");
	struct dir_result l;

	(void)state;
	assert_int_equal(dir_link(fixture_v, f, fixture_v->root, "other", &l), 0);
	drop(l.inode);
	drop(f);
	drop(d);
	fixture_close();
	fixture_open();
	flip(path, BLOCK_SIZE);
	repair_all();
	assert_int_equal(did.n, 2);
	nothing_more_to_repair();
	assert_int_equal(remove_file(fixture_v, fixture_v->root, "other"), 0);
	d = find(fixture_v->root, "dir");
	assert_int_equal(remove_file(fixture_v, d, "large"), 0);
	assert_int_equal((lookup_error(d, "large.salvaged") == 0) + (lookup_error(fixture_v->root, "other.salvaged") == 0), 1);
	drop(d);
}

static void a_symbolic_link_that_does_not_decrypt_is_taken(void **state)
{
	struct dir_result l;
	char path[4096];
	struct inode *f;

	(void)state;
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "link", "target", fixture_me, &l), 0);
	memcpy(path, lower_path(l.inode), sizeof(path));
	drop(l.inode);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("AAAA", path), 0);
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_TAKEN);
	f = find(fixture_v->root, "link");
	assert_int_equal(f->type, S_IFREG);
	drop(f);
	nothing_more_to_repair();
}

/* ---- names */

static void a_file_without_a_name_is_found(void **state)
{
	char path[4096], other[4200];

	(void)state;
	memcpy(path, make_tree(), sizeof(path));
	memcpy(other, path, sizeof(path));
	strcpy(strrchr(other, '/'), "/not-a-name");
	assert_int_equal(rename(path, other), 0);
	repair_all();
	assert_int_equal(did.n, 1);
	assert_int_equal(did.a[0].kind, REPAIR_FOUND);
	assert_int_equal(strncmp(did.to[0], "/lost+found/#", 13), 0);
	assert_salvaged("lost+found", did.to[0] + 12, 0, 0, LARGE);
	nothing_more_to_repair();
}

static void a_foreign_file_is_taken_away(void **state)
{
	char path[128], quarantine[512];
	struct stat st;
	int fd;

	(void)state;
	(void)make_tree();
	(void)snprintf(path, sizeof(path), "%s/README", fixture_path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "foreign", 7), 7);
	(void)close(fd);
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_QUARANTINED);
	assert_int_equal(stat(path, &st), -1);
	(void)snprintf(quarantine, sizeof(quarantine), "%s/" NAME_QUARANTINE "/%.200s", fixture_path, did.to[0]);
	assert_int_equal(stat(quarantine, &st), 0);
	assert_int_equal(st.st_size, 7);
	nothing_more_to_repair();
}

static void a_long_name_whose_link_is_gone_is_found_and_a_stray_link_removed(void **state)
{
	char name[PLAIN_NAME_MAX + 1] = "", path[4096], link[4200];
	struct inode *f;

	(void)state;
	memset(name, 'n', PLAIN_NAME_MAX);
	f = make_file(fixture_v->root, name);
	put_text(f, "long");
	memcpy(path, lower_path(f), sizeof(path));
	drop(f);
	fixture_close();
	fixture_open();
	(void)snprintf(link, sizeof(link), "%s/coffer.name.%s", fixture_path, strrchr(path, '.') + 1);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("x", link), 0);
	repair_all();
	assert_int_equal(did.a[0].kind == REPAIR_FOUND || did.a[1].kind == REPAIR_FOUND, 1);
	nothing_more_to_repair();
	assert_int_equal(access(link, F_OK), -1);
	f = find(fixture_v->root, "lost+found");
	assert_int_equal(count_entries(f), 1);
	drop(f);
}

/* The directory that the large file is in, below. */
static const char *dir_below(void)
{
	static char dir[4096];

	memcpy(dir, make_tree(), sizeof(dir));
	*strrchr(dir, '/') = '\0';
	return dir;
}

static void change_id(const char *dir, unsigned at, char to)
{
	char path[4200], text[64] = "";

	(void)snprintf(path, sizeof(path), "%s/" DIR_LINK, dir);
	assert_true(readlink(path, text, sizeof(text) - 1) > 0);
	text[at] = text[at] == to ? (to == '0' ? '1' : '0') : to;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(text, path), 0);
}

static void a_directory_id_with_one_wrong_character_is_put_right(void **state)
{
	static const struct {
		unsigned at;
		char to;
	} cases[] = { { 5, '0' }, { 0, 'f' }, { 31, 'x' }, { 32, 'y' }, { 33, '7' } };
	const char *dir = dir_below();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		change_id(dir, cases[i].at, cases[i].to);
		repair_all();
		assert_int_equal(did.a[0].kind, REPAIR_DIR_ID);
		assert_list("dir", "good", "good");
		assert_salvaged("dir", "large", 0, 0, LARGE);
		nothing_more_to_repair();
	}
}

static void a_directory_without_an_id_gives_up_what_can_be_read(void **state)
{
	char path[4200];
	struct inode *d = make_dir(fixture_v->root, "dir"), *sub = make_dir(d, "sub"), *f = make_file(sub, "below");

	(void)state;
	put_text(f, "below");
	drop(f);
	f = make_file(d, "file");
	put_text(f, "file");
	drop(f);
	(void)snprintf(path, sizeof(path), "%.4000s/" DIR_LINK, lower_path(d));
	drop(sub);
	drop(d);
	fixture_close();
	fixture_open();
	assert_int_equal(unlink(path), 0);
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_TAKEN);
	f = find(fixture_v->root, "dir");
	assert_int_equal(f->type, S_IFREG); /* a tombstone: not an empty directory */
	drop(f);
	d = find(fixture_v->root, "lost+found");
	assert_int_equal(count_entries(d), 2);
	drop(d);
	nothing_more_to_repair();
}

static void a_copy_of_a_directory_is_left(void **state)
{
	char command[9000], dir[4096];
	struct repair_result res;
	struct inode *i;

	(void)state;
	memcpy(dir, dir_below(), sizeof(dir));
	drop(make_dir(fixture_v->root, "copy"));
	i = find(fixture_v->root, "copy");
	(void)snprintf(command, sizeof(command), "rmdir '%s' && cp -a '%s' '%s'", lower_path(i), dir, lower_path(i));
	drop(i);
	assert_int_equal(system(command), 0);
	assert_int_equal(repair_now(&res), 0);
	assert_int_equal(res.last.problems, 1);
	assert_int_equal(did.n, 1);
	assert_int_equal(did.a[0].kind, REPAIR_FAILED);
	assert_int_equal(did.a[0].error, -EEXIST);
}

/* ---- the log and the state */

static void fill(const char *name, off_t off, size_t len)
{
	char path[128];
	uint8_t *p = malloc(len);
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", fixture_path, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	memset(p, 0xaa, len);
	assert_int_equal(pwrite(fd, p, len, off), len);
	(void)close(fd);
	free(p);
}

static uint64_t stamp_limit(void)
{
	struct volume_state st;

	state_get(fixture_v->vio->state, &st);
	return st.stamp_limit;
}

static void a_lost_state_is_made_anew_without_losing_the_log(void **state)
{
	uint64_t first;
	struct inode *f;

	(void)state;
	(void)make_unclean(3);
	fill(NAME_STATE, 0, STATE_SLOTS * STATE_SLOT_LEN);
	assert_int_equal(open_accepting(false), -EBADMSG);
	assert_int_equal(open_accepting(true), 0);
	f = find(fixture_v->root, "file");
	assert_text(f, "log3");
	drop(f);
	first = stamp_limit();
	assert_true(first > 1ull << 48);
	repair_all();
	nothing_more_to_repair();
	/* Again, and the log is gone as well: the record of the first time keeps the stamps apart. */
	fixture_close();
	fill(NAME_STATE, 0, STATE_SLOTS * STATE_SLOT_LEN);
	fill(NAME_LOG, 0, FIXTURE_LOG_BLOCKS * BLOCK_SIZE);
	assert_int_equal(open_accepting(true), 0);
	assert_true(stamp_limit() >= first + (1ull << 48));
	f = find(fixture_v->root, "file");
	assert_text(f, "log3");
	drop(f);
	nothing_more_to_repair();
}

static void a_lost_state_begins_behind_a_transaction_that_was_half_written_over(void **state)
{
	struct inode *f;

	(void)state;
	(void)make_unclean(3);
	/* Log: descriptor and block of each commit. Of the first only the descriptor is left, as when the ring has come round. */
	fill(NAME_LOG, log_start + BLOCK_SIZE, BLOCK_SIZE);
	fill(NAME_STATE, 0, STATE_SLOTS * STATE_SLOT_LEN);
	assert_int_equal(open_accepting(true), 0);
	f = find(fixture_v->root, "file");
	assert_text(f, "log3");
	drop(f);
	nothing_more_to_repair();
}

static void both_lost_leave_what_is_home(void **state)
{
	char path[128];
	struct inode *f;

	(void)state;
	(void)make_unclean(2);
	fill(NAME_STATE, 0, STATE_SLOTS * STATE_SLOT_LEN);
	(void)snprintf(path, sizeof(path), "%s/" NAME_LOG, fixture_path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_accepting(false), -EBADMSG);
	assert_int_equal(open_accepting(true), 0);
	f = find(fixture_v->root, "file");
	assert_text(f, "home");
	drop(f);
	nothing_more_to_repair();
}

static void a_log_that_is_gone_is_made_anew(void **state)
{
	char path[128];
	struct inode *f;

	(void)state;
	(void)make_unclean(2);
	(void)snprintf(path, sizeof(path), "%s/" NAME_LOG, fixture_path);
	assert_int_equal(truncate(path, 3 * BLOCK_SIZE), 0);
	assert_int_equal(open_accepting(false), -EUCLEAN);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_accepting(false), -ENOENT);
	assert_int_equal(open_accepting(true), 0);
	f = find(fixture_v->root, "file");
	assert_text(f, "home");
	drop(f);
	nothing_more_to_repair();
}

static void a_gap_in_the_log_is_given_up_when_accepted(void **state)
{
	struct volume_stats st;
	char path[128];
	struct inode *f;

	(void)state;
	(void)make_unclean(4);
	fill(NAME_LOG, log_start + 2 * BLOCK_SIZE, BLOCK_SIZE);
	assert_int_equal(open_accepting(false), -ENODATA);
	assert_int_equal(open_accepting(true), 0);
	volume_stats(fixture_v, &st);
	assert_int_equal(st.io.replayed_transactions, 1);
	assert_true(st.io.lost_first > 0);
	assert_int_equal(st.io.lost_last, st.io.lost_first + 1); /* the fourth was never said to be durable by a later one */
	f = find(fixture_v->root, "file");
	assert_text(f, "log1");
	drop(f);
	(void)snprintf(path, sizeof(path), "%s/" NAME_QUARANTINE "/%llu.ring", fixture_path, (unsigned long long)st.io.lost_first);
	assert_int_equal(access(path, F_OK), 0);
	repair_all();
	nothing_more_to_repair();
}

static void lose_the_state(void)
{
	fill(NAME_STATE, 0, STATE_SLOTS * STATE_SLOT_LEN);
}

static void break_the_log(void)
{
	fill(NAME_LOG, log_start + 2 * BLOCK_SIZE, BLOCK_SIZE);
}

static void lose_both(void)
{
	char path[128];

	lose_the_state();
	(void)snprintf(path, sizeof(path), "%s/" NAME_LOG, fixture_path);
	assert_int_equal(unlink(path), 0);
}

static void copy_of(const char *from, const char *to)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "rm -rf '%s' && cp -a --sparse=always '%s' '%s'", to, from, to);
	assert_int_equal(system(command), 0);
}

/* Cut at the odd ones (nothing reaches the disk from there on), one failure at the others; then once more, as a user would. */
static void an_opening_that_gives_up_what_is_lost_can_be_cut_and_made_again(void **state)
{
	static const struct {
		void (*damage)(void);
		const char *text;
	} cases[] = { { lose_the_state, "log4" }, { break_the_log, "log1" }, { lose_both, "home" } };
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true, .accept_log_loss = true, .remake_state = true };
	char whole[80], damaged[80];

	(void)state;
	(void)snprintf(whole, sizeof(whole), "%s.whole", fixture_path);
	(void)snprintf(damaged, sizeof(damaged), "%s.damaged", fixture_path);
	(void)make_unclean(4);
	copy_of(fixture_path, whole);
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		bool happened = true;
		uint64_t n;

		copy_of(whole, fixture_path);
		cases[k].damage();
		copy_of(fixture_path, damaged);
		for (n = 1; happened; n += 1 + n / 8) {
			struct fault *fault = fault_new(lower_real());
			struct secret *root = fixture_key(1);
			struct volume *v = NULL;
			struct inode *f;
			int r;

			fault_fail(fault, n % 2 ? FAULT_WRITES | FAULT_NAMES | FAULT_FLUSHES | FAULT_OF(openat) : FAULT_ALL & ~FAULT_OF(close), n, EIO,
				   n % 2 ? FAULT_FOREVER : 1, 0);
			r = volume_open(fault_lower(fault), fixture_root(), fixture_config, fixture_config_len, &root, &o, NULL, fixture_holder, &v);
			happened = fault_happened(fault);
			if (r < 0 && !happened)
				fail_msg("case %zu, call %llu: %s", k, (unsigned long long)n, err_text(r));
			fault_fail(fault, 0, 0, 0, 0, 0);
			r = r == 0 ? volume_close(v) : 0;
			assert_true(r == 0 || (happened && r == -EROFS));
			fault_free(fault);
			assert_int_equal(open_accepting(true), 0);
			f = find(fixture_v->root, "file");
			assert_text(f, cases[k].text);
			drop(f);
			assert_true(cases[k].damage == break_the_log || stamp_limit() > 1ull << 48);
			repair_all();
			fixture_close();
			copy_of(damaged, fixture_path);
		}
		assert_true(n > 10);
	}
	copy_of("/dev/null", whole);
	copy_of("/dev/null", damaged);
	assert_int_equal(remove(whole) + remove(damaged), 0);
	assert_int_equal(open_accepting(true), 0);
}

static void a_file_that_failed_replay_is_whole_again_when_home_is(void **state)
{
	const char *path = make_unclean(2);
	struct inode *f;

	(void)state;
	flip(path, HEADER_LEN + 5 * ENTRY_LEN); /* an entry that the log does not have */
	assert_int_equal(open_accepting(false), 0);
	f = find(fixture_v->root, "file");
	assert_true(f->bad);
	drop(f);
	fixture_close();
	flip(path, HEADER_LEN + 5 * ENTRY_LEN);
	fixture_open();
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_REAPPLIED);
	f = find(fixture_v->root, "file");
	assert_text(f, "log2");
	drop(f);
	nothing_more_to_repair();
}

static void a_file_that_failed_replay_is_salvaged_with_what_the_log_had(void **state)
{
	const char *path = make_unclean(2);
	struct inode *f;

	(void)state;
	flip(path, HEADER_LEN + 5 * ENTRY_LEN);
	assert_int_equal(open_accepting(false), 0);
	repair_all();
	assert_int_equal(did.a[0].kind, REPAIR_SALVAGED);
	assert_int_equal(did.a[0].unproven, 4);
	f = find(fixture_v->root, "file.salvaged");
	assert_text(f, "log2");
	drop(f);
	nothing_more_to_repair();
}

static void a_marked_file_of_which_nothing_was_saved_gets_a_tombstone_of_its_own(void **state)
{
	char command[256];
	const char *path = make_tree();

	(void)state;
	flip(path, BLOCK_SIZE);
	repair_all();
	/* Somebody cleans up, and forgets the name. */
	(void)snprintf(command, sizeof(command), "rm -r '%s/" NAME_QUARANTINE "'", fixture_path);
	assert_int_equal(system(command), 0);
	repair_all();
	assert_int_equal(did.problems, 1);
	nothing_more_to_repair();
	assert_tombstone("dir", "large");
}

static bool reads_as_log2(const char *name)
{
	static uint8_t buf[2 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	struct inode *f;
	ssize_t n;
	bool there = lookup_error(fixture_v->root, name) == 0;

	if (!there)
		return false;
	f = find(fixture_v->root, name);
	there = !f->bad;
	n = there ? file_read(fixture_v, f, buf, BLOCK_SIZE, 0) : 0;
	there = n == 4 && memcmp(buf, "log2", 4) == 0;
	drop(f);
	return there;
}

static void a_read_that_fails_once_while_a_file_is_put_back_loses_nothing(void **state)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true };
	struct repair_params p = { .action = note_action };
	char saved[80], command[512];
	struct repair_result res;
	struct fault *fault;
	bool happened = true;
	uint64_t n;

	(void)state;
	memcpy(command, make_unclean(2), sizeof(command));
	flip(command, HEADER_LEN + 5 * ENTRY_LEN);
	assert_int_equal(open_accepting(false), 0);
	fixture_close();
	flip(command, HEADER_LEN + 5 * ENTRY_LEN);
	(void)snprintf(saved, sizeof(saved), "%s.saved", fixture_path);
	(void)snprintf(command, sizeof(command), "cp -a --sparse=always '%s' '%s'", fixture_path, saved);
	assert_int_equal(system(command), 0);
	for (n = 1; happened; n++) {
		struct secret *root = fixture_key(1);

		fault = fault_new(lower_real());
		assert_int_equal(volume_open(fault_lower(fault), fixture_root(), fixture_config, fixture_config_len, &root, &o, NULL, fixture_holder, &fixture_v), 0);
		fault_fail(fault, FAULT_OF(preadv), n, EIO, 1, 0);
		if (repair_run(fixture_v, &p, &res) < 0)
			assert_true(fault_happened(fault));
		happened = fault_happened(fault);
		fault_fail(fault, 0, 0, 0, 0, 0);
		fixture_close();
		fault_free(fault);
		fixture_open();
		repair_all();
		if (!reads_as_log2("file") && !reads_as_log2("file.salvaged"))
			fail_msg("read %llu failed, and what was fsynced is gone: %s %d", (unsigned long long)n, repair_kind_text(did.n ? did.a[0].kind : 0), did.n);
		fixture_close();
		(void)snprintf(command, sizeof(command), "rm -rf '%s' && cp -a --sparse=always '%s' '%s'", fixture_path, saved, fixture_path);
		assert_int_equal(system(command), 0);
	}
	assert_true(n > 10);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", saved);
	assert_int_equal(system(command), 0);
	fixture_open();
}

/* ---- a repair that is cut */

static struct fault *cut;

/* With times 1 one call fails, and the repair goes on or stops as it likes. */
static int repair_cut_after(uint64_t n, uint64_t times)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 100, .unsafe_backing = true };
	struct secret *root = fixture_key(1);
	struct repair_params p = { 0 };
	struct repair_result res;
	struct volume *v;
	int r;

	cut = fault_new(lower_real());
	r = volume_open(fault_lower(cut), fixture_root(), fixture_config, fixture_config_len, &root, &o, NULL, fixture_holder, &v);
	assert_int_equal(r, 0);
	/* From the n-th change on nothing reaches the disk any more. */
	fault_fail(cut, times == 1 ? FAULT_ALL & ~FAULT_OF(close) : FAULT_WRITES | FAULT_NAMES | FAULT_FLUSHES | FAULT_OF(fchmod) | FAULT_OF(fchownat), n, EIO, times, 0);
	r = repair_run(v, &p, &res);
	r = volume_close(v) < 0 ? -EIO : r;
	r = fault_happened(cut);
	fault_free(cut);
	return r;
}

/* A cut in the one moment in which the copy had its place and its list had not. */
static void assert_again(void)
{
	struct inode *d = find(fixture_v->root, "dir");

	if (lookup_error(d, "large.salvaged.1") == 0) {
		assert_salvaged("dir", "large.salvaged.1", 5 * BLOCK_SIZE, 6 * BLOCK_SIZE, LARGE);
		assert_list("dir", "large.salvaged.ranges.1", "20480 4096 lost\n");
	} else {
		assert_list("dir", "large.salvaged.ranges", "20480 4096 lost\n");
	}
	drop(d);
}

static void a_repair_that_is_cut_can_be_run_again(void **state)
{
	char saved[80], command[512], large[4096], foreign[128];
	uint64_t n;
	int fd;

	(void)state;
	memcpy(large, make_tree(), sizeof(large));
	fixture_close();
	flip(large, 6 * BLOCK_SIZE + 9);
	(void)snprintf(foreign, sizeof(foreign), "%s/README", fixture_path);
	fd = open(foreign, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	(void)close(fd);
	(void)snprintf(saved, sizeof(saved), "%s.saved", fixture_path);
	(void)snprintf(command, sizeof(command), "cp -a --sparse=always '%s' '%s'", fixture_path, saved);
	assert_int_equal(system(command), 0);
	for (n = 1;; n += 1 + n / 12) {
		/* Cut at the odd ones, one failure at the others. */
		int happened = repair_cut_after(n, n % 2 ? FAULT_FOREVER : 1);

		fixture_open();
		repair_all();
		assert_salvaged("dir", "large.salvaged", 5 * BLOCK_SIZE, 6 * BLOCK_SIZE, LARGE);
		assert_again();
		assert_list("dir", "good", "good");
		assert_tombstone("dir", "large");
		fixture_close();
		if (!happened)
			break;
		(void)snprintf(command, sizeof(command), "rm -rf '%s' && cp -a --sparse=always '%s' '%s'", fixture_path, saved, fixture_path);
		assert_int_equal(system(command), 0);
	}
	assert_true(n > 30);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", saved);
	assert_int_equal(system(command), 0);
	fixture_open();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_sound_volume_stays_as_it_is),
		fixture_test(a_bad_block_leaves_a_salvaged_file_and_a_tombstone),
		fixture_test(a_bad_group_is_salvaged_by_its_blocks_own_tags),
		fixture_test(a_group_whose_entries_are_gone_is_lost),
		fixture_test(a_lost_header_takes_the_id_from_another_group),
		fixture_test(a_broken_header_sector_keeps_the_entries),
		fixture_test(a_file_of_which_nothing_is_left_is_taken),
		fixture_test(each_name_of_a_damaged_file_gets_a_tombstone),
		fixture_test(a_symbolic_link_that_does_not_decrypt_is_taken),
		fixture_test(a_file_without_a_name_is_found),
		fixture_test(a_foreign_file_is_taken_away),
		fixture_test(a_long_name_whose_link_is_gone_is_found_and_a_stray_link_removed),
		fixture_test(a_directory_id_with_one_wrong_character_is_put_right),
		fixture_test(a_directory_without_an_id_gives_up_what_can_be_read),
		fixture_test(a_copy_of_a_directory_is_left),
		fixture_test(a_lost_state_is_made_anew_without_losing_the_log),
		fixture_test(a_lost_state_begins_behind_a_transaction_that_was_half_written_over),
		fixture_test(both_lost_leave_what_is_home),
		fixture_test(a_log_that_is_gone_is_made_anew),
		fixture_test(a_gap_in_the_log_is_given_up_when_accepted),
		fixture_test(an_opening_that_gives_up_what_is_lost_can_be_cut_and_made_again),
		fixture_test(a_file_that_failed_replay_is_whole_again_when_home_is),
		fixture_test(a_file_that_failed_replay_is_salvaged_with_what_the_log_had),
		fixture_test(a_read_that_fails_once_while_a_file_is_put_back_loses_nothing),
		fixture_test(a_marked_file_of_which_nothing_was_saved_gets_a_tombstone_of_its_own),
		fixture_test(a_repair_that_is_cut_can_be_run_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
