/* test_names_memory.c: the n-th allocation fails, for each n, in each operation on names and attributes. It then says -ENOMEM, or had done without, and
 * changes nothing; and it works when memory is back. Linked with --wrap. */
#include "alloc_fails.h"
#include "fs_fixture.h"

#include <sys/xattr.h>

#include "fs/xattr.h"

#define ALLOCATIONS_MAX 500     /* of one operation: more means that the loop does not end */

void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

/* ---- operations: on "old", a file with an attribute, "dir", a directory with a file, and names that are not there */

static struct inode *root, *old, *dir;
static char long_name[256];

static int keep(int r, struct dir_result *d)
{
	if (r == 0)
		drop(d->inode);
	return r;
}

static int run_create(void)
{
	struct dir_result d;

	return keep(dir_create(fixture_v, root, "new", 0644, fixture_me, &d), &d);
}

static int run_create_long(void)
{
	struct dir_result d;

	return keep(dir_create(fixture_v, root, long_name, 0644, fixture_me, &d), &d);
}

static int run_mkdir(void)
{
	struct dir_result d;

	return keep(dir_mkdir(fixture_v, root, "new", 0755, fixture_me, &d), &d);
}

static int run_fifo(void)
{
	struct dir_result d;

	return keep(dir_mknod(fixture_v, root, "new", S_IFIFO | 0600, 0, fixture_me, &d), &d);
}

static int run_symlink(void)
{
	struct dir_result d;

	return keep(dir_symlink(fixture_v, root, "new", "target", fixture_me, &d), &d);
}

static int run_link(void)
{
	struct dir_result d;

	return keep(dir_link(fixture_v, old, root, "new", &d), &d);
}

static int run_rename(void)
{
	return rename_entry(fixture_v, dir, "in", root, "new", 0);
}

static int run_rename_over(void)
{
	return rename_entry(fixture_v, dir, "in", root, "old", 0);
}

static int run_exchange(void)
{
	return rename_entry(fixture_v, root, "dir", root, "old", RENAME_EXCHANGE);
}

static int run_unlink(void)
{
	return remove_file(fixture_v, dir, "in");
}

static int run_rmdir(void)
{
	return remove_dir(fixture_v, root, "empty");
}

static int run_lookup(void)
{
	struct dir_result d;

	return keep(dir_lookup(fixture_v, root, "old", &d), &d);
}

static int run_list(void)
{
	int n = count_entries(root);

	return n < 0 ? n : 0;
}

static int run_setxattr(void)
{
	return xattr_set(fixture_v, old, "user.b", "value", 5, 0);
}

static int run_getxattr(void)
{
	char value[10];
	ssize_t n = xattr_get(fixture_v, old, "user.a", value, sizeof(value));

	return n < 0 ? (int)n : 0;
}

static int run_listxattr(void)
{
	char list[100];
	ssize_t n = xattr_list(fixture_v, dir, list, sizeof(list));

	return n < 0 ? (int)n : 0;
}

static int run_removexattr(void)
{
	return xattr_remove(fixture_v, old, "user.a");
}

static int run_chmod(void)
{
	struct inode_attr a = { .mode = 0600 };

	return file_setattr(fixture_v, old, &a, FILE_SET_MODE, &a);
}

static const struct {
	const char *name;
	int (*run)(void);
	unsigned at_least;       /* allocations that it has */
} ops[] = {
	{ "create", run_create, 2 },     { "create a long name", run_create_long, 2 }, { "mkdir", run_mkdir, 2 },         { "fifo", run_fifo, 2 },
	{ "symlink", run_symlink, 2 },   { "link", run_link, 1 },                      { "rename", run_rename, 0 },       { "rename over", run_rename_over, 0 },
	{ "exchange", run_exchange, 1 }, { "unlink", run_unlink, 0 },                  { "rmdir", run_rmdir, 1 },         { "lookup", run_lookup, 1 },
	{ "list", run_list, 3 },         { "setxattr", run_setxattr, 1 },              { "getxattr", run_getxattr, 1 },   { "listxattr", run_listxattr, 1 },
	{ "removexattr", run_removexattr, 0 }, { "chmod", run_chmod, 0 },
};

static void build(void)
{
	root = fixture_v->root;
	old = make_file(root, "old");
	put_text(old, "content");
	(void)!xattr_set(fixture_v, old, "user.a", "v", 1, 0);
	dir = make_dir(root, "dir");
	drop(make_file(dir, "in"));
	drop(make_dir(root, "empty"));
}

static void raze(void)
{
	static const char *const files[] = { "new", "old", "dir", long_name }, *const dirs[] = { "new", "old", "dir", "empty" };
	size_t k;

	drop(old);
	drop(dir);
	for (k = 0; k < 2; k++) {
		struct dir_result d;

		if (dir_lookup(fixture_v, root, k ? "old" : "dir", &d) < 0)
			continue;
		if (S_ISDIR(d.inode->type))
			(void)!remove_file(fixture_v, d.inode, "in");
		drop(d.inode);
	}
	for (k = 0; k < 4; k++) {
		(void)!remove_file(fixture_v, root, files[k]);
		(void)!remove_dir(fixture_v, root, dirs[k]);
	}
	assert_int_equal(count_entries(root), 0);
}

/* What the tree looks like: names, types, links and content of "old". */
static unsigned picture(void)
{
	static const char *const names[] = { "new", "old", "dir", "empty" };
	struct dir_result d;
	unsigned p = (unsigned)count_entries(root);
	size_t k;

	for (k = 0; k < 4; k++) {
		p *= 31;
		if (dir_lookup(fixture_v, root, names[k], &d) < 0)
			continue;
		p += d.attr.mode + d.attr.nlink * 7 + (S_ISDIR(d.attr.mode) ? (unsigned)count_entries(d.inode) * 13 : 0);
		drop(d.inode);
	}
	return p;
}

static void each_allocation_may_fail(void **state)
{
	unsigned before;
	size_t k;
	long n;
	int r;

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (k = 0; k < sizeof(ops) / sizeof(ops[0]); k++) {
		for (n = 0;; n++) {
			assert_true(n < ALLOCATIONS_MAX);
			build();
			before = picture();
			failed = false;
			countdown = n;
			r = ops[k].run();
			countdown = -1;
			if (r == -EOPNOTSUPP && strstr(ops[k].name, "xattr"))
				r = 0;
			if (r != (failed ? -ENOMEM : 0) && !(failed && r == 0))
				fail_msg("%s, allocation %ld: %s", ops[k].name, n + 1, err_text(r));
			if (r == -ENOMEM && picture() != before)
				fail_msg("%s, allocation %ld: it failed, but has changed something", ops[k].name, n + 1);
			if (r == -ENOMEM)
				assert_int_equal(ops[k].run(), 0);
			raze();
			if (!failed)
				break;
		}
		if (n < ops[k].at_least)
			fail_msg("%s has only %ld allocations", ops[k].name, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(each_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
