/* names_ops.h: each operation on names, attributes and ranges of a file, for the tests in which something below it fails (fs_fixture.h): names_ops[], and around
 * each run of one of them names_build() and names_raze(). */
#ifndef COFFER_TESTS_NAMES_OPS_H
#define COFFER_TESTS_NAMES_OPS_H

#include "fs_fixture.h"

#include <sys/xattr.h>

#include "fs/extent.h"
#include "fs/xattr.h"

/* ---- operations: on "old", a file with an attribute, "dir", a directory with a file, "link", a symbolic link, and names that are not there */

static struct inode *root, *old, *dir, *link_at;
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

static int run_chown(void)
{
	struct inode_attr a = { .uid = 7, .gid = 8 };

	return file_setattr(fixture_v, old, &a, FILE_SET_UID | FILE_SET_GID, &a);
}

static int run_utimens(void)
{
	struct inode_attr a = { .atime = { 1000, 1 }, .mtime = { 2000, 2 } };

	return file_setattr(fixture_v, link_at, &a, FILE_SET_ATIME | FILE_SET_MTIME, &a);
}

static int run_truncate(void)
{
	struct inode_attr a = { .size = 3 };

	return file_setattr(fixture_v, old, &a, FILE_SET_SIZE, &a);
}

static int run_readlink(void)
{
	char target[SYMLINK_PLAIN_MAX + 1];
	int r = dir_readlink(fixture_v, link_at, target);

	if (r == 0)
		assert_string_equal(target, "target");
	return r;
}

static int run_statfs(void)
{
	struct statvfs st;

	return file_statfs(fixture_v, &st);
}

static int run_allocate(void)
{
	return extent_allocate(fixture_v, old, FALLOC_FL_KEEP_SIZE, 0, 3 * BLOCK_SIZE);
}

static int run_punch(void)
{
	return extent_allocate(fixture_v, old, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3);
}

static int run_zero(void)
{
	return extent_allocate(fixture_v, old, FALLOC_FL_ZERO_RANGE, 2, 2 * BLOCK_SIZE);
}

static int run_seek(void)
{
	uint64_t at;
	int r = extent_seek(fixture_v, old, 0, SEEK_DATA, &at);

	if (r == 0)
		assert_int_equal(at, 0);
	return r;
}

static int run_copy(void)
{
	static uint8_t buf[VIO_WRITE_MAX + 2 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	ssize_t n = extent_copy(fixture_v, old, 0, old, BLOCK_SIZE, 7, buf);

	return n < 0 ? (int)n : 0;
}

static const struct {
	const char *name;
	int (*run)(void);
	unsigned at_least;       /* allocations that it has */
} names_ops[] = {
	{ "create", run_create, 2 },     { "create a long name", run_create_long, 2 }, { "mkdir", run_mkdir, 2 },         { "fifo", run_fifo, 2 },
	{ "symlink", run_symlink, 2 },   { "link", run_link, 1 },                      { "rename", run_rename, 0 },       { "rename over", run_rename_over, 0 },
	{ "exchange", run_exchange, 1 }, { "unlink", run_unlink, 0 },                  { "rmdir", run_rmdir, 1 },         { "lookup", run_lookup, 1 },
	{ "list", run_list, 3 },         { "setxattr", run_setxattr, 1 },              { "getxattr", run_getxattr, 1 },   { "listxattr", run_listxattr, 1 },
	{ "removexattr", run_removexattr, 0 }, { "chmod", run_chmod, 0 },
	{ "chown", run_chown, 0 },       { "utimens", run_utimens, 0 },                { "truncate", run_truncate, 0 },   { "readlink", run_readlink, 0 },
	{ "statfs", run_statfs, 0 },     { "fallocate", run_allocate, 0 },             { "punch", run_punch, 0 },         { "zero", run_zero, 0 },
	{ "seek", run_seek, 0 },         { "copy", run_copy, 0 },
};
#define NAMES_OPS (sizeof(names_ops) / sizeof(names_ops[0]))

static void names_build(void)
{
	struct dir_result d;

	memset(long_name, 'n', sizeof(long_name) - 1);
	root = fixture_v->root;
	old = make_file(root, "old");
	put_text(old, "content");
	(void)!xattr_set(fixture_v, old, "user.a", "v", 1, 0);
	dir = make_dir(root, "dir");
	drop(make_file(dir, "in"));
	drop(make_dir(root, "empty"));
	assert_int_equal(dir_symlink(fixture_v, root, "link", "target", fixture_me, &d), 0);
	link_at = d.inode;
}

static void names_raze(void)
{
	static const char *const files[] = { "new", "old", "dir", "link", long_name }, *const dirs[] = { "new", "old", "dir", "empty" };
	size_t k;

	drop(old);
	drop(dir);
	drop(link_at);
	for (k = 0; k < 2; k++) {
		struct dir_result d;

		if (dir_lookup(fixture_v, root, k ? "old" : "dir", &d) < 0)
			continue;
		if (S_ISDIR(d.inode->type))
			(void)!remove_file(fixture_v, d.inode, "in");
		drop(d.inode);
	}
	for (k = 0; k < sizeof(files) / sizeof(files[0]); k++)
		(void)!remove_file(fixture_v, root, files[k]);
	for (k = 0; k < sizeof(dirs) / sizeof(dirs[0]); k++)
		(void)!remove_dir(fixture_v, root, dirs[k]);
	assert_int_equal(count_entries(root), 0);
}

/* What the tree looks like: names, types, owners, links; attributes and content of "old" as long as it has its name: one that cannot be pinned while it loses that
 * is EIO for whoever has it (docs/internals.md). */
static uint64_t names_picture(void)
{
	static const char *const names[] = { "new", "old", "dir", "empty", "link", long_name };
	static uint8_t buf[4 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	uint64_t p = (uint64_t)count_entries(root);
	bool has_name = false;
	struct inode_attr a;
	char value[10];
	ssize_t n;
	size_t k;

	for (k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		struct dir_result d;

		p *= 31;
		if (dir_lookup(fixture_v, root, names[k], &d) < 0)
			continue;
		has_name |= d.inode == old;
		p += d.attr.mode + d.attr.nlink * 7 + d.attr.uid * 17 + (S_ISDIR(d.attr.mode) ? (unsigned)count_entries(d.inode) * 13 : 0);
		drop(d.inode);
	}
	n = has_name ? file_read(fixture_v, old, buf, 3 * BLOCK_SIZE, 0) : 0;
	for (ssize_t i = 0; i < n; i++)
		p = p * 31 + buf[i];
	p = p * 31 + (uint64_t)n;
	if (file_getattr(fixture_v, link_at, &a) == 0)
		p = p * 31 + (a.mtime.tv_sec == 2000);
	for (k = 0; k < 2 && has_name; k++)
		p = p * 31 + (uint64_t)xattr_get(fixture_v, old, k ? "user.b" : "user.a", value, sizeof(value));
	return p;
}

#endif
