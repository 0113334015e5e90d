/* test_repair_memory.c: the n-th allocation of a check and of a repair fails, ours or OpenSSL's, once or from there on. Either may end with -ENOMEM, but want of
 * memory is no damage: nothing is told that is not so, nothing readable is given up, and the next repair comes to the end it would have come to. Linked with
 * --wrap. */
#include "alloc_fails_more.h"
#include "repair_fixture.h"

#include <stdlib.h>

#include <openssl/crypto.h>

#define ALLOCATIONS_MAX 100000  /* of one repair: more means that the loop does not end */

void *__wrap_realloc(void *p, size_t n);
void *__real_realloc(void *p, size_t n);

void *__wrap_realloc(void *p, size_t n)
{
	return alloc_fails() ? NULL : __real_realloc(p, n);
}

static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return alloc_fails() ? NULL : __real_malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return alloc_fails() ? NULL : __real_realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* ---- volumes: damaged and closed, and what a repair leaves of them */

static char long_name[200];

static void make_sound(void)
{
	struct inode *d = make_dir(fixture_v->root, "emptied"), *f;
	struct dir_result l;

	drop(make_file(d, "f"));
	assert_int_equal(remove_file(fixture_v, d, "f"), 0);
	drop(d);
	drop(make_dir(fixture_v->root, "empty"));
	assert_int_equal(dir_symlink(fixture_v, fixture_v->root, "link", "target", fixture_me, &l), 0);
	drop(l.inode);
	memset(long_name, 'n', sizeof(long_name) - 1);
	f = make_file(fixture_v->root, long_name);
	put_text(f, "text");
	drop(f);
	fixture_close();
}

static void is_sound(void)
{
	char target[SYMLINK_PLAIN_MAX + 1], path[128];
	struct inode *i = find(fixture_v->root, "link");

	assert_int_equal(i->type, S_IFLNK);
	assert_int_equal(dir_readlink(fixture_v, i, target), 0);
	assert_string_equal(target, "target");
	drop(i);
	for (int k = 0; k < 2; k++) {
		i = find(fixture_v->root, k ? "empty" : "emptied");
		assert_int_equal(i->type, S_IFDIR);
		assert_int_equal(count_entries(i), 0);
		drop(i);
	}
	i = find(fixture_v->root, long_name);
	assert_text(i, "text");
	drop(i);
	(void)snprintf(path, sizeof(path), "%s/" NAME_QUARANTINE, fixture_path);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(count_entries(fixture_v->root), 4);
}

static void make_bad_block(void)
{
	flip(make_tree(), 6 * BLOCK_SIZE + 9);
	fixture_close();
}

static void is_salvaged(void)
{
	struct inode *d = find(fixture_v->root, "dir");
	bool again = lookup_error(d, "large.salvaged.1") == 0; /* it ended where the copy had its place and its list had not */

	drop(d);
	assert_salvaged("dir", again ? "large.salvaged.1" : "large.salvaged", 5 * BLOCK_SIZE, 6 * BLOCK_SIZE, LARGE);
	assert_list("dir", again ? "large.salvaged.ranges.1" : "large.salvaged.ranges", "20480 4096 lost\n");
	assert_list("dir", "good", "good");
	assert_tombstone("dir", "large");
}

static void make_no_header(void)
{
	static const uint8_t zero[BLOCK_SIZE];
	int fd = open(make_tree(), O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, zero, sizeof(zero), 0), sizeof(zero));
	(void)close(fd);
	fixture_close();
}

static void is_without_its_first_group(void)
{
	struct inode *d = find(fixture_v->root, "dir");
	bool again = lookup_error(d, "large.salvaged.1") == 0;

	drop(d);
	assert_list("dir", again ? "large.salvaged.ranges.1" : "large.salvaged.ranges", "0 524288 lost\n524288 540672 unproven\n");
	assert_tombstone("dir", "large");
}

/* A file, a symbolic link and a directory with a file in it. */
static void make_nameless(void)
{
	char path[4096], other[4200];
	struct inode *d;

	make_sound();
	fixture_open();
	d = find(fixture_v->root, "empty");
	drop(make_file(d, "in"));
	drop(d);
	for (int k = 0; k < 3; k++) {
		static const char *const names[] = { "file", "link", "empty" };
		struct inode *i = k ? find(fixture_v->root, names[k]) : make_file(fixture_v->root, names[k]);

		if (k == 0)
			put_text(i, "text");
		memcpy(path, lower_path(i), sizeof(path));
		drop(i);
		(void)snprintf(other, sizeof(other), "%s/no-name-%d", fixture_path, k);
		assert_int_equal(rename(path, other), 0);
	}
	fixture_close();
}

static void is_found(void)
{
	struct inode *found = find(fixture_v->root, "lost+found");
	unsigned files = 0, links = 0, dirs = 0;
	struct readdir_list l;

	assert_int_equal(readdir_list(fixture_v, found, 0, 1 << 20, fixture_entry_size, true, &l), 0);
	for (size_t k = 0; k < l.n; k++) {
		struct inode *i = l.e[k].entry[0] ? find(found, l.e[k].name) : NULL;

		files += i && S_ISREG(i->type);
		links += i && S_ISLNK(i->type);
		dirs += i && S_ISDIR(i->type) && count_entries(i) == 1;
		if (i && S_ISREG(i->type))
			assert_text(i, "text");
		if (i)
			drop(i);
	}
	readdir_done(fixture_v, &l, 0);
	drop(found);
	assert_true(files == 1 && links == 1 && dirs == 1);
}

static void make_wrong_id(void)
{
	char dir[4096], path[4200], text[64] = "";

	memcpy(dir, make_tree(), sizeof(dir));
	*strrchr(dir, '/') = '\0';
	(void)snprintf(path, sizeof(path), "%s/" DIR_LINK, dir);
	assert_true(readlink(path, text, sizeof(text) - 1) > 0);
	text[1] = text[1] == '0' ? '1' : '0';
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(text, path), 0);
	fixture_close();
}

static void has_its_id(void)
{
	assert_list("dir", "good", "good");
	assert_salvaged("dir", "large", 0, 0, LARGE);
}

static void make_failed_replay(void)
{
	char path[4096];

	memcpy(path, make_unclean(2), sizeof(path));
	flip(path, HEADER_LEN + 5 * ENTRY_LEN);
	assert_int_equal(open_accepting(false), 0);
	fixture_close();
}

/* Four bytes, of which the log's records vouch alone. */
static void is_what_the_log_had(void)
{
	struct inode *d = fixture_v->root, *f = find(d, lookup_error(d, "file.salvaged.1") == 0 ? "file.salvaged.1" : "file.salvaged");

	assert_text(f, "log2");
	drop(f);
}

struct repair_case {
	void (*make)(void), (*is_mended)(void);
	bool sound;
};

/* ---- */

static void arm(long n, bool ever)
{
	failed = false;
	for_good = ever;
	countdown = n;
}

static bool disarm(void)
{
	countdown = -1;
	for_good = false;
	return failed;
}

static void copy_of(const char *from, const char *to)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "rm -rf '%s' && cp -a --sparse=always '%s' '%s'", to, from, to);
	assert_int_equal(system(command), 0);
}

/* With the n-th failing, and all behind it (ever); did it happen? */
static bool try_one(const struct repair_case *c, long n, bool ever)
{
	struct check_params check = { .problem = note_problem };
	struct repair_params repair = { .problem = note_problem };
	struct check_counts counts = { 0 };
	struct repair_result res;
	bool happened;
	int r, ended;

	memset(&did, 0, sizeof(did));
	fixture_open();
	arm(n, ever);
	r = check_run(fixture_v, &check, &counts);
	happened = disarm();
	if (r != 0 && !(happened && r == -ENOMEM))
		fail_msg("allocation %ld of a check: %s", n, err_text(r));
	if (c->sound && did.problems)
		fail_msg("allocation %ld of a check: damage is told", n);
	arm(n, ever);
	r = repair_run(fixture_v, &repair, &res);
	happened = disarm() || happened;
	ended = volume_close(take_ptr(fixture_v)); /* read-only from a commit on that memory never sufficed for */
	if (ended != 0 && !(ever && ended == -EROFS))
		fail_msg("allocation %ld of a repair: leaving: %s", n, err_text(ended));
	if (r != 0 && !(happened && (r == -ENOMEM || (ever && r == -EROFS))))
		fail_msg("allocation %ld of a repair: %s", n, err_text(r));
	fixture_open();
	repair_all();
	c->is_mended();
	fixture_close();
	return happened;
}

static void each_allocation_may_fail(void **state)
{
	const struct repair_case *c = *state;
	bool happened = true;
	char saved[80];
	long n;

	c->make();
	(void)snprintf(saved, sizeof(saved), "%s.saved", fixture_path);
	copy_of(fixture_path, saved);
	/* Most are OpenSSL's, the same for each block and name: of those behind the first few a sample. */
	for (n = 0; happened; n += 1 + n / 4) {
		assert_true(n < ALLOCATIONS_MAX);
		happened = try_one(c, n, n % 2);
		copy_of(saved, fixture_path);
	}
	assert_true(n > 10);
	copy_of("/dev/null", saved);
	assert_int_equal(remove(saved), 0);
	fixture_open();
}

#define CASE(name, ...)                                                                                                                  \
	{ "while memory is short: " name, each_allocation_may_fail, fixture_setup, fixture_teardown, &(struct repair_case){ __VA_ARGS__ } }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE("a sound volume stays as it is", make_sound, is_sound, true),
		CASE("a file with a bad block is salvaged", make_bad_block, is_salvaged, false),
		CASE("a file without a header is salvaged", make_no_header, is_without_its_first_group, false),
		CASE("what has no name is found", make_nameless, is_found, false),
		CASE("a directory gets its id again", make_wrong_id, has_its_id, false),
		CASE("a file that failed replay is salvaged with what the log had", make_failed_replay, is_what_the_log_had, false),
	};

	/* Before OpenSSL allocates anything. */
	if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
		return 99;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
