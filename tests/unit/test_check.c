#include "fs_fixture.h"

#include <sys/xattr.h>

#include "fs/check.h"
#include "fs/xattr.h"

static struct {
	unsigned n, harmless;
	enum check_kind kind;
	uint64_t number;
	char plain[512], backing[512];
} found;

static void note(void *ctx, const struct check_problem *p)
{
	(void)ctx;
	found.n++;
	found.harmless += p->harmless;
	found.kind = p->kind;
	found.number = p->number;
	(void)snprintf(found.plain, sizeof(found.plain), "%s", p->plain_path);
	(void)snprintf(found.backing, sizeof(found.backing), "%s", p->backing_path);
}

static void run_check(struct check_counts *ret_c)
{
	struct check_params p = { .problem = note };

	memset(&found, 0, sizeof(found));
	assert_int_equal(check_run(fixture_v, &p, ret_c), 0);
	assert_int_equal(ret_c->problems + ret_c->harmless, found.n);
}

/* A tree with a file of three groups (one of them a gap), a small one with a long name, a link and a FIFO; the volume is reopened, so that all
 * is home. Returns the path below of the large file. */
static const char *make_tree(void)
{
	static char path[4096];
	char name[PLAIN_NAME_MAX + 1] = "";
	struct inode *d = make_dir(fixture_v->root, "dir"), *f = make_file(d, "large");
	struct dir_result l;

	memset(name, 'n', PLAIN_NAME_MAX);
	put_text(f, "start");
	assert_int_equal(file_write(fixture_v, f, "end", 3, 2 * GROUP_PLAIN + 5000, false), 3);
	memcpy(path, lower_path(f), sizeof(path));
	drop(f);
	f = make_file(d, name);
	put_text(f, "small");
	drop(f);
	assert_int_equal(dir_symlink(fixture_v, d, "link", "target", fixture_me, &l), 0);
	drop(l.inode);
	assert_int_equal(dir_mknod(fixture_v, d, "pipe", S_IFIFO | 0600, 0, fixture_me, &l), 0);
	drop(l.inode);
	drop(make_file(d, "empty"));
	drop(make_dir(d, "nothing"));
	drop(d);
	fixture_close();
	fixture_open();
	return path;
}

static void a_sound_volume_has_no_problems(void **state)
{
	struct check_counts c;

	(void)state;
	(void)make_tree();
	run_check(&c);
	assert_int_equal(found.n, 0);
	assert_int_equal(c.dirs, 3);
	assert_int_equal(c.files, 3);
	assert_int_equal(c.symlinks, 1);
	assert_int_equal(c.others, 1);
	assert_int_equal(c.groups, 3);
	assert_int_equal(c.blocks, 3);
}

static void each_damage_is_found_where_it_is(void **state)
{
	static const struct {
		off_t off;
		enum check_kind kind;
		uint64_t number;
	} cases[] = {
		{ 40, CHECK_HEADER, 0 },                            /* the size in group 0's header */
		{ HEADER_LEN + 100, CHECK_GROUP, 0 },               /* an entry, though of a hole */
		{ BLOCK_SIZE + 7, CHECK_BLOCK, 0 },
		{ 2 * GROUP_LOWER + 20, CHECK_GROUP, 2 },           /* group 2's header */
		{ 2 * GROUP_LOWER + 2 * BLOCK_SIZE, CHECK_BLOCK, 257 },
	};
	const char *path = make_tree();
	struct check_counts c;
	size_t k;

	(void)state;
	for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		flip(path, cases[k].off);
		run_check(&c);
		assert_int_equal(found.n, 1);
		assert_int_equal(found.kind, cases[k].kind);
		assert_int_equal(found.number, cases[k].number);
		assert_string_equal(found.plain, "/dir/large");
		assert_non_null(strstr(path, found.backing + 2));
		flip(path, cases[k].off);
	}
	run_check(&c);
	assert_int_equal(found.n, 0);
}

static void a_file_cut_short_is_found(void **state)
{
	const char *path = make_tree();
	struct check_counts c;

	(void)state;
	assert_int_equal(truncate(path, 2 * GROUP_LOWER), 0);
	run_check(&c);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.kind, CHECK_GROUP);
	assert_int_equal(found.number, 2);
}

static void damaged_names_are_found(void **state)
{
	char dir[1024], path[1100], other[128];
	struct check_counts c;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s", make_tree());
	*strrchr(dir, '/') = '\0';
	(void)snprintf(path, sizeof(path), "%s/not-a-name", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	run_check(&c);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.kind, CHECK_NAME);
	assert_string_equal(found.plain, "/dir");
	assert_int_equal(rmdir(path), 0);

	(void)snprintf(path, sizeof(path), "%s/coffer.name.stray", dir);
	assert_int_equal(symlink("x", path), 0);
	run_check(&c);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.harmless, 1);
	assert_int_equal(found.kind, CHECK_STRAY_LINK);
	assert_int_equal(unlink(path), 0);

	(void)snprintf(path, sizeof(path), "%s/" DIR_LINK, dir);
	(void)snprintf(other, sizeof(other), "%s/away", fixture_path);
	assert_int_equal(rename(path, other), 0);
	run_check(&c);
	assert_int_equal(found.n, 2); /* the link in the root is not a name either */
	assert_int_equal(rename(other, path), 0);
	run_check(&c);
	assert_int_equal(found.n, 0);
}

static void a_directory_id_used_twice_is_found(void **state)
{
	char dir[1024], command[4096];
	struct check_counts c;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s", make_tree());
	*strrchr(dir, '/') = '\0';
	/* Under another valid name of the root: that of a directory made for it and moved away. */
	drop(make_dir(fixture_v->root, "copy"));
	{
		struct inode *i = find(fixture_v->root, "copy");

		(void)snprintf(command, sizeof(command), "rmdir '%s' && cp -a '%s' '%s'", lower_path(i), dir, lower_path(i));
		drop(i);
	}
	assert_int_equal(system(command), 0);
	run_check(&c);
	assert_int_equal(found.kind, CHECK_DIR_ID);
	assert_int_equal(found.n, 1);
}

static bool stop_at_once(void *ctx, const struct check_counts *c)
{
	(void)ctx;
	(void)c;
	return false;
}

static void it_can_be_stopped(void **state)
{
	struct check_params p = { .problem = note, .progress = stop_at_once };
	struct check_counts c = { .dirs = 77 };

	(void)state;
	(void)make_tree();
	assert_int_equal(check_run(fixture_v, &p, &c), -EINTR);
	assert_int_equal(c.dirs, 77);
}

/* Twice: of a file whose two names are one inode, and of a directory. */
static void attributes_that_do_not_decrypt_are_told(void **state)
{
	char lower[1000];
	struct check_counts c;
	struct inode *f, *d;
	struct dir_result l;

	(void)state;
	f = make_file(fixture_v->root, "f");
	d = make_dir(fixture_v->root, "d");
	if (xattr_set(fixture_v, f, "user.a", "value", 5, 0) == -EOPNOTSUPP)
		skip();
	assert_int_equal(xattr_set(fixture_v, d, "user.a", "value", 5, 0), 0);
	assert_int_equal(dir_link(fixture_v, f, fixture_v->root, "g", &l), 0);
	drop(l.inode);
	assert_int_equal(setxattr(lower_path(f), "user.foreign", "x", 1, 0), 0);
	run_check(&c);
	assert_int_equal(found.n, 0);
	assert_int_equal(setxattr(lower_path(f), XATTR_LOWER_PREFIX "planted", "x", 1, 0), 0);
	run_check(&c);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.kind, CHECK_XATTR);
	assert_int_equal(removexattr(lower_path(f), XATTR_LOWER_PREFIX "planted"), 0);
	assert_true(listxattr(lower_path(d), lower, sizeof(lower)) > 0);
	assert_int_equal(setxattr(lower_path(d), lower, "cut", 3, 0), 0);
	run_check(&c);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.kind, CHECK_XATTR);
	assert_string_equal(found.plain, "/d");
	assert_non_null(strstr(check_kind_text(found.kind), "attribute"));
	drop(f);
	drop(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(a_sound_volume_has_no_problems),
		fixture_test(each_damage_is_found_where_it_is),
		fixture_test(a_file_cut_short_is_found),
		fixture_test(damaged_names_are_found),
		fixture_test(a_directory_id_used_twice_is_found),
		fixture_test(it_can_be_stopped),
		fixture_test(attributes_that_do_not_decrypt_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
