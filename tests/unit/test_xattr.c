#include "fs_fixture.h"

#include <sys/xattr.h>

#include "fs/xattr.h"
#include "lib/fault.h"

#define BIG 1000

static char list[XATTR_BYTES_MAX];
static char value[XATTR_BYTES_MAX];

/* A backing filesystem without attributes of users (an older tmpfs) has nothing to test. */
static void need_xattrs(void)
{
	if (setxattr(fixture_path, "user.probe", "x", 1, 0) < 0 && errno == EOPNOTSUPP)
		skip();
}

static int put(struct inode *i, const char *name, const char *text, int flags)
{
	return xattr_set(fixture_v, i, name, text, strlen(text), flags);
}

static void assert_value(struct inode *i, const char *name, const char *text)
{
	assert_int_equal(xattr_get(fixture_v, i, name, NULL, 0), strlen(text));
	memset(value, '?', sizeof(value));
	assert_int_equal(xattr_get(fixture_v, i, name, value, sizeof(value)), strlen(text));
	assert_memory_equal(value, text, strlen(text));
}

static size_t below(const struct inode *i)
{
	ssize_t n = listxattr(lower_path(i), list, sizeof(list));
	size_t count = 0, at;

	assert_true(n >= 0);
	for (at = 0; at < (size_t)n; at += strlen(list + at) + 1)
		count += strncmp(list + at, XATTR_LOWER_PREFIX, strlen(XATTR_LOWER_PREFIX)) == 0;
	return count;
}

static void attributes_of_files_and_directories_come_back(void **state)
{
	struct inode *f, *d;
	char lower[BIG];

	(void)state;
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	d = make_dir(fixture_v->root, "d");
	assert_int_equal(put(f, "user.colour", "green", 0), 0);
	assert_int_equal(put(f, "user.empty", "", 0), 0);
	assert_int_equal(put(d, "user.colour", "of a directory", 0), 0);
	assert_value(f, "user.colour", "green");
	assert_value(f, "user.empty", "");
	assert_value(d, "user.colour", "of a directory");
	assert_int_equal(below(f), 2);
	/* Neither name nor value is to be seen. */
	assert_null(memmem(list, sizeof(list), "colour", 6));
	assert_true(listxattr(lower_path(d), lower, sizeof(lower)) > 0);
	assert_int_equal(getxattr(lower_path(d), lower, value, sizeof(value)), strlen("of a directory") + XATTR_VALUE_EXTRA);
	assert_null(memmem(value, sizeof(value), "directory", 9));
	drop(f);
	drop(d);
	fixture_close();
	fixture_open();
	f = find(fixture_v->root, "f");
	assert_value(f, "user.colour", "green");
	assert_int_equal(xattr_remove(fixture_v, f, "user.colour"), 0);
	assert_int_equal(xattr_remove(fixture_v, f, "user.colour"), -ENODATA);
	assert_int_equal(xattr_get(fixture_v, f, "user.colour", value, 10), -ENODATA);
	assert_int_equal(xattr_list(fixture_v, f, list, sizeof(list)), sizeof("user.empty"));
	assert_string_equal(list, "user.empty");
	drop(f);
}

static void flags_sizes_and_names_have_their_errors(void **state)
{
	char name[300] = "user.";
	struct inode *f, *p;
	struct dir_result d;

	(void)state;
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	assert_int_equal(put(f, "user.a", "12345", XATTR_REPLACE), -ENODATA);
	assert_int_equal(put(f, "user.a", "12345", XATTR_CREATE), 0);
	assert_int_equal(put(f, "user.a", "x", XATTR_CREATE), -EEXIST);
	assert_int_equal(xattr_get(fixture_v, f, "user.a", value, 4), -ERANGE);
	assert_int_equal(xattr_get(fixture_v, f, "user.a", value, 5), 5);
	assert_int_equal(xattr_list(fixture_v, f, NULL, 0), 7);
	assert_int_equal(xattr_list(fixture_v, f, list, 6), -ERANGE);
	memset(name + 5, 'n', XATTR_PLAIN_NAME_MAX);
	assert_int_equal(put(f, name, "longest", 0), 0);
	assert_value(f, name, "longest");
	name[5 + XATTR_PLAIN_NAME_MAX] = 'n';
	assert_int_equal(put(f, name, "too long", 0), -ENAMETOOLONG);
	assert_int_equal(xattr_get(fixture_v, f, name, value, 10), -ENODATA);
	assert_int_equal(xattr_remove(fixture_v, f, name), -ENODATA);
	assert_int_equal(put(f, "user.", "x", 0), -EINVAL);
	assert_int_equal(put(f, "security.capability", "x", 0), -EOPNOTSUPP);
	assert_int_equal(put(f, "trusted.x", "x", 0), -EOPNOTSUPP);
	assert_int_equal(put(f, "system.posix_acl_access", "x", 0), -EOPNOTSUPP);
	assert_int_equal(xattr_get(fixture_v, f, "security.capability", value, 10), -EOPNOTSUPP);
	assert_int_equal(xattr_remove(fixture_v, f, "security.capability"), -EOPNOTSUPP);
	assert_int_equal(xattr_set(fixture_v, f, "user.big", value, XATTR_BYTES_MAX + 1, 0), -E2BIG);
	assert_int_equal(xattr_set(fixture_v, f, "user.big", value, XATTR_BYTES_MAX, 0), -E2BIG);
	assert_int_equal(dir_mknod(fixture_v, fixture_v->root, "p", S_IFIFO | 0600, 0, fixture_me, &d), 0);
	p = d.inode;
	assert_int_equal(put(p, "user.a", "x", 0), -EPERM);
	assert_int_equal(xattr_get(fixture_v, p, "user.a", value, 10), -ENODATA);
	assert_int_equal(xattr_list(fixture_v, p, list, sizeof(list)), 0);
	assert_int_equal(xattr_remove(fixture_v, p, "user.a"), -EPERM);
	drop(f);
	drop(p);
}

static void what_does_not_decrypt_is_left_out_or_an_error(void **state)
{
	struct inode *f;
	const char *at;

	(void)state;
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	assert_int_equal(put(f, "user.a", "one", 0), 0);
	assert_int_equal(put(f, "user.b", "other", 0), 0);
	assert_int_equal(setxattr(lower_path(f), "user.foreign", "x", 1, 0), 0);
	assert_int_equal(xattr_list(fixture_v, f, list, sizeof(list)), 14);
	assert_int_equal(fixture_v->undecryptable, 0);
	assert_int_equal(setxattr(lower_path(f), XATTR_LOWER_PREFIX "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB", "x", 1, 0), 0);
	assert_int_equal(setxattr(lower_path(f), XATTR_LOWER_PREFIX "!", "x", 1, 0), 0);
	fixture_events = 0;
	assert_int_equal(xattr_list(fixture_v, f, list, sizeof(list)), 14);
	assert_int_equal(fixture_v->undecryptable, 2);
	assert_int_equal(fixture_events, 1);
	assert_int_equal(removexattr(lower_path(f), XATTR_LOWER_PREFIX "!"), 0);
	/* Values are bound to their names: that of one under the name of the other is none. */
	assert_true(listxattr(lower_path(f), list, sizeof(list)) > 0);
	for (at = list; strncmp(at, XATTR_LOWER_PREFIX, strlen(XATTR_LOWER_PREFIX)) != 0 || strstr(at, "QUFBQUFB");)
		at += strlen(at) + 1;
	assert_int_equal(setxattr(lower_path(f), at, "short", 5, 0), 0);
	assert_int_equal((xattr_get(fixture_v, f, "user.a", value, 10) == -EIO) + (xattr_get(fixture_v, f, "user.b", value, 10) == -EIO), 1);
	assert_true(fixture_events > 1);
	drop(f);
}

static void a_changed_attribute_is_due_at_the_next_fsync(void **state)
{
	struct inode *f;

	(void)state;
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	put_text(f, "content");
	assert_int_equal(file_fsync(fixture_v, f, false), 0);
	assert_false(f->attr_due);
	f->attr.ctime.tv_sec = 1;
	assert_int_equal(put(f, "user.a", "x", 0), 0);
	assert_true(f->attr_due);
	assert_true(f->attr.ctime.tv_sec > 1);
	assert_int_equal(file_fsync(fixture_v, f, true), 0);
	assert_false(f->attr_due);
	assert_int_equal(xattr_remove(fixture_v, f, "user.a"), 0);
	assert_true(f->attr_due);
	drop(f);
}

static int each_operation(struct inode *f, struct inode *d)
{
	ssize_t n;
	int r;

	r = put(f, "user.a", "of the file", 0);
	if (r == 0)
		r = put(d, "user.b", "of the directory", 0);
	if (r < 0)
		return r;
	n = xattr_get(fixture_v, f, "user.a", value, sizeof(value));
	if (n < 0)
		return (int)n;
	assert_int_equal(n, 11);
	n = xattr_list(fixture_v, d, list, sizeof(list));
	if (n < 0)
		return (int)n;
	assert_int_equal(n, 7);
	r = xattr_remove(fixture_v, f, "user.a");
	return r < 0 ? r : xattr_remove(fixture_v, d, "user.b");
}

static void each_lower_call_may_fail(void **state)
{
	struct fault *fault = fault_new(lower_real());
	struct inode *f, *d;
	unsigned n;
	int r;

	(void)state;
	assert_non_null(fault);
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	d = make_dir(fixture_v->root, "d");
	fixture_v->lower = fault_lower(fault);
	for (n = 1;; n++) {
		fault_fail(fault, FAULT_ALL & ~FAULT_OF(close), n, EIO, 1, 0);
		r = each_operation(f, d);
		if (!fault_happened(fault))
			break;
		assert_int_equal(r, -EIO);
		fault_fail(fault, 0, 0, 0, 0, 0);
		(void)!xattr_remove(fixture_v, f, "user.a");
		(void)!xattr_remove(fixture_v, d, "user.b");
	}
	assert_int_equal(r, 0);
	assert_true(n > 10);
	fault_fail(fault, FAULT_OF(fsetxattr), 1, ENOSPC, 1, 0);
	assert_int_equal(put(f, "user.a", "x", 0), -ENOSPC);
	fixture_v->lower = lower_real();
	fault_free(fault);
	drop(f);
	drop(d);
}

static void count_bad(void *ctx, int error)
{
	assert_int_equal(error, -EIO);
	(*(unsigned *)ctx)++;
}

static void a_check_tells_what_cannot_be_read(void **state)
{
	struct fault *fault = fault_new(lower_real());
	unsigned n, bad;
	struct inode *f;
	int fd;

	(void)state;
	assert_non_null(fault);
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	assert_int_equal(put(f, "user.a", "x", 0), 0);
	assert_int_equal(put(f, "user.b", "x", 0), 0);
	fd = open(lower_path(f), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	fixture_v->lower = fault_lower(fault);
	for (n = 1;; n++) {
		bad = 0;
		fault_fail(fault, FAULT_ALL, n, EIO, 1, 0);
		assert_int_equal(xattr_check(fixture_v, fd, count_bad, &bad), 0);
		if (!fault_happened(fault))
			break;
		assert_int_equal(bad, 1);
	}
	assert_int_equal(n, 5);
	assert_int_equal(bad, 0);
	fixture_v->lower = lower_real();
	fault_free(fault);
	(void)close(fd);
	drop(f);
}

static void a_read_only_volume_shows_attributes_and_changes_none(void **state)
{
	struct inode *f;

	(void)state;
	need_xattrs();
	f = make_file(fixture_v->root, "f");
	assert_int_equal(put(f, "user.a", "x", 0), 0);
	fixture_v->info.read_only = true;
	assert_value(f, "user.a", "x");
	assert_int_equal(put(f, "user.a", "y", 0), -EROFS);
	assert_int_equal(xattr_remove(fixture_v, f, "user.a"), -EROFS);
	fixture_v->info.read_only = false;
	drop(f);
}

static void a_write_without_privileges_clears_the_bits(void **state)
{
	static const struct {
		uint32_t before, after;
	} row[] = { { 04755, 0755 }, { 06755, 0755 }, { 02745, 02745 }, { 06744, 02744 }, { 01777, 01777 }, { 0644, 0644 } };
	struct inode_attr a;
	struct stat st;
	struct inode *f;
	size_t k;

	(void)state;
	f = make_file(fixture_v->root, "f");
	for (k = 0; k < sizeof(row) / sizeof(row[0]); k++) {
		a.mode = row[k].before;
		assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MODE, &a), 0);
		assert_int_equal(file_kill_priv(fixture_v, f, FILE_KILL_PRIV), 0);
		assert_int_equal(file_getattr(fixture_v, f, &a), 0);
		assert_int_equal(a.mode & 07777, row[k].after);
		a.mode = row[k].before;
		assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MODE, &a), 0);
		a.size = 5;
		assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_SIZE | FILE_KILL_PRIV, &a), 0);
		assert_int_equal(a.mode & 07777, row[k].after);
		assert_int_equal(stat(lower_path(f), &st), 0);
		assert_int_equal(st.st_mode & 07777, row[k].after);
	}
	/* Not of the group: set-group-ID goes in any case, also when the owner changes. */
	a.mode = 02745;
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MODE, &a), 0);
	assert_int_equal(file_kill_priv(fixture_v, f, FILE_KILL_PRIV | FILE_KILL_SGID), 0);
	assert_int_equal(f->attr.mode & 07777, 0745);
	a.mode = 06744;
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_MODE, &a), 0);
	a.gid = getegid();
	assert_int_equal(file_setattr(fixture_v, f, &a, FILE_SET_GID | FILE_KILL_PRIV | FILE_KILL_SGID, &a), 0);
	assert_int_equal(a.mode & 07777, 0744);
	assert_int_equal(stat(lower_path(f), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0744);
	drop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(attributes_of_files_and_directories_come_back),
		fixture_test(flags_sizes_and_names_have_their_errors),
		fixture_test(what_does_not_decrypt_is_left_out_or_an_error),
		fixture_test(a_changed_attribute_is_due_at_the_next_fsync),
		fixture_test(each_lower_call_may_fail),
		fixture_test(a_check_tells_what_cannot_be_read),
		fixture_test(a_read_only_volume_shows_attributes_and_changes_none),
		fixture_test(a_write_without_privileges_clears_the_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
