#include "io/lower.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static char dir_path[64];
static int dir;
static struct lower *l;

static int make_dir(void **state)
{
	(void)state;
	l = lower_real();
	(void)snprintf(dir_path, sizeof(dir_path), "/tmp/coffer-test-lower.XXXXXX");
	if (!mkdtemp(dir_path))
		return -1;
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int empty_dir(void **state)
{
	DIR *d = fdopendir(dup(dir));
	struct dirent *e;

	(void)state;
	if (!d)
		return -1;
	rewinddir(d);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dir, e->d_name, 0) < 0)
			(void)unlinkat(dir, e->d_name, AT_REMOVEDIR);
	return closedir(d);
}

static int remove_dir(void **state)
{
	(void)empty_dir(state);
	(void)close(dir);
	return rmdir(dir_path);
}

static int make_file(const char *name)
{
	int fd = l->ops->openat(l, dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void openat_does_not_follow_a_link_in_the_last_component(void **state)
{
	(void)state;
	lower_close(l, make_file("f"));
	assert_int_equal(l->ops->symlinkat(l, "f", dir, "s"), 0);
	assert_int_equal(l->ops->openat(l, dir, "s", O_RDONLY, 0), -ELOOP);
	assert_int_equal(l->ops->openat(l, dir, "none", O_RDONLY, 0), -ENOENT);
}

static void openat_leaves_no_descriptor_to_a_child(void **state)
{
	int fd = make_file("f");

	(void)state;
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	lower_close(l, fd);
}

static void open_regular_refuses_everything_else_and_does_not_block(void **state)
{
	struct stat st = { .st_ino = 0 };
	int fd;

	(void)state;
	assert_int_equal(l->ops->mknodat(l, dir, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(l->ops->mkdirat(l, dir, "d", 0700), 0);
	assert_int_equal(l->ops->symlinkat(l, "fifo", dir, "s"), 0);
	assert_int_equal(lower_open_regular(l, dir, "fifo", O_RDONLY, 0, &st), -EUCLEAN);
	assert_int_equal(lower_open_regular(l, dir, "fifo", O_WRONLY, 0, &st), -EUCLEAN);
	assert_int_equal(lower_open_regular(l, dir, "d", O_RDONLY, 0, &st), -EUCLEAN);
	assert_int_equal(lower_open_regular(l, dir, "d", O_RDWR, 0, &st), -EUCLEAN);
	assert_int_equal(lower_open_regular(l, dir, "s", O_RDONLY, 0, &st), -EUCLEAN);
	assert_int_equal(lower_open_regular(l, dir, "none", O_RDONLY, 0, &st), -ENOENT);
	assert_int_equal(st.st_ino, 0);
	fd = lower_open_regular(l, dir, "f", O_RDWR | O_CREAT, 0600, &st);
	assert_true(fd >= 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	lower_close(l, fd);
}

static void vectors_go_out_and_come_back(void **state)
{
	char a[3] = "abc", b[1] = "", c[5] = "defgh", x[4], y[16];
	struct iovec out[3] = { { a, 3 }, { b, 0 }, { c, 5 } };
	struct iovec in[2] = { { x, 4 }, { y, 16 } };
	int fd = make_file("f");

	(void)state;
	assert_int_equal(l->ops->pwritev(l, fd, out, 3, 10, false), 8);
	assert_int_equal(l->ops->preadv(l, fd, in, 2, 10), 8);
	assert_memory_equal(x, "abcd", 4);
	assert_memory_equal(y, "efgh", 4);
	assert_int_equal(l->ops->preadv(l, fd, in, 2, 18), 0);
	assert_int_equal(l->ops->pwritev(l, fd, out, 3, 0, true), 8);
	assert_int_equal(lower_pread_full(l, fd, y, 8, 0), 0);
	assert_memory_equal(y, "abcdefgh", 8);
	assert_int_equal(lower_pread_full(l, fd, y, 8, 11), -ENODATA);
	assert_int_equal(lower_pread(l, fd, y, 16, 16), 2);
	lower_close(l, fd);
}

static void a_write_that_is_cut_short_by_a_limit_is_an_error(void **state)
{
	const struct rlimit limit = { 4096, RLIM_INFINITY };
	struct rlimit before;
	static uint8_t big[8192];
	int fd = make_file("f"), r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	r = lower_pwrite(l, fd, big, sizeof(big), 0, false);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(lower_pwrite(l, -1, big, 1, 0, false), -EBADF);
	assert_int_equal(lower_pread(l, -1, big, 1, 0), -EBADF);
	lower_close(l, fd);
}

static void a_full_device_is_enospc(void **state)
{
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	char c = 'x';

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(lower_pwrite(l, fd, &c, 1, 0, false), -ENOSPC);
	assert_int_equal(lower_pwrite(l, fd, &c, 1, 0, true), -ENOSPC);
	lower_close(l, fd);
}

static void reopen_reaches_the_same_inode_after_its_name_is_gone(void **state)
{
	struct stat a, b;
	int fd = make_file("f"), fd2;
	char c = 'x';

	(void)state;
	assert_int_equal(lower_pwrite(l, fd, "y", 1, 0, false), 0);
	assert_int_equal(l->ops->unlinkat(l, dir, "f", 0), 0);
	fd2 = l->ops->reopen(l, fd, O_RDONLY);
	assert_true(fd2 >= 0);
	assert_int_equal(l->ops->fstat(l, fd, &a), 0);
	assert_int_equal(l->ops->fstat(l, fd2, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(lower_pread_full(l, fd2, &c, 1, 0), 0);
	assert_int_equal(c, 'y');
	assert_int_equal(lower_pwrite(l, fd2, "z", 1, 0, false), -EBADF);
	lower_close(l, fd2);
	lower_close(l, fd);
	assert_int_equal(l->ops->reopen(l, fd, O_RDONLY), -ENOENT);
}

struct seen {
	int n, stop_at;
	int64_t off;
	char names[8][16];
};

static int see(void *arg, const struct lower_dirent *e)
{
	struct seen *s = arg;

	if (s->n == s->stop_at)
		return 1;
	(void)snprintf(s->names[s->n++], sizeof(s->names[0]), "%s", e->name);
	s->off = e->off;
	assert_int_equal(e->type, DT_REG);
	return 0;
}

static int refuse(void *arg, const struct lower_dirent *e)
{
	(void)arg;
	(void)e;
	return -ECANCELED;
}

static void readdir_stops_before_an_entry_and_goes_on_there(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct seen s = { .stop_at = 2 };
	unsigned mask = 0;

	(void)state;
	for (int i = 0; i < 5; i++)
		lower_close(l, make_file(names[i]));
	assert_int_equal(l->ops->readdir(l, dir, 0, see, &s), 0);
	assert_int_equal(s.n, 2);
	s.stop_at = 8;
	assert_int_equal(l->ops->readdir(l, dir, s.off, see, &s), 0);
	assert_int_equal(s.n, 5);
	for (int i = 0; i < 5; i++)
		mask |= 1u << (s.names[i][0] - 'a');
	assert_int_equal(mask, 31);
	assert_int_equal(l->ops->readdir(l, dir, s.off, see, &s), 0);
	assert_int_equal(s.n, 5);
	assert_int_equal(l->ops->readdir(l, dir, 0, refuse, NULL), -ECANCELED);
}

static void a_handle_leads_back_to_the_file_until_it_is_gone(void **state)
{
	struct lower_handle h, none = { .len = 0 };
	struct stat a, b;
	int fd = make_file("f"), fd2, r;

	(void)state;
	r = l->ops->name_to_handle(l, fd, &h);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_int_equal(l->ops->fstat(l, fd, &a), 0);
	lower_close(l, fd);
	fd2 = l->ops->open_by_handle(l, dir, &h, O_RDONLY);
	if (fd2 == -EPERM)
		skip();
	assert_true(fd2 >= 0);
	assert_int_equal(l->ops->fstat(l, fd2, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	lower_close(l, fd2);
	assert_int_equal(l->ops->unlinkat(l, dir, "f", 0), 0);
	assert_int_equal(l->ops->open_by_handle(l, dir, &h, O_RDONLY), -ESTALE);
	assert_int_equal(l->ops->open_by_handle(l, dir, &none, O_RDONLY), -EINVAL);
}

static void a_lock_belongs_to_its_open_file(void **state)
{
	int a = make_file("f"), b = l->ops->openat(l, dir, "f", O_RDWR, 0);

	(void)state;
	assert_int_equal(l->ops->lock(l, a, true), 0);
	assert_int_equal(l->ops->lock(l, b, true), -EAGAIN);
	assert_int_equal(l->ops->lock(l, b, false), -EAGAIN);
	assert_int_equal(l->ops->lock(l, a, false), 0);
	assert_int_equal(l->ops->lock(l, b, false), 0);
	assert_int_equal(l->ops->lock(l, b, true), -EAGAIN);
	lower_close(l, a);
	assert_int_equal(l->ops->lock(l, b, true), 0);
	lower_close(l, b);
}

static void names_change_as_asked(void **state)
{
	struct stat st;
	char buf[16];

	(void)state;
	lower_close(l, make_file("a"));
	lower_close(l, make_file("b"));
	assert_int_equal(l->ops->renameat2(l, dir, "a", dir, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(l->ops->renameat2(l, dir, "a", dir, "b", RENAME_EXCHANGE), 0);
	assert_int_equal(l->ops->linkat(l, dir, "a", dir, "c"), 0);
	assert_int_equal(l->ops->fstatat(l, dir, "c", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(l->ops->symlinkat(l, "target", dir, "s"), 0);
	assert_int_equal(l->ops->readlinkat(l, dir, "s", buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "target", 6);
	assert_int_equal(l->ops->fstatat(l, dir, "s", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(l->ops->mkdirat(l, dir, "d", 0700), 0);
	assert_int_equal(l->ops->unlinkat(l, dir, "d", 0), -EISDIR);
	assert_int_equal(l->ops->unlinkat(l, dir, "d", AT_REMOVEDIR), 0);
	assert_int_equal(l->ops->unlinkat(l, dir, "none", 0), -ENOENT);
}

static void attributes_are_set_and_flushed(void **state)
{
	struct timespec ts[2] = { { 1000, 5 }, { 2000, 7 } };
	uint64_t fsid = 0, magic = 0;
	struct statvfs sv = { .f_bsize = 0 };
	struct stat st;
	int fd = make_file("f");

	(void)state;
	assert_int_equal(l->ops->fchmod(l, fd, 0640), 0);
	assert_int_equal(l->ops->futimens(l, fd, ts), 0);
	assert_int_equal(l->ops->ftruncate(l, fd, 5000), 0);
	assert_int_equal(l->ops->futimens(l, fd, ts), 0);
	assert_int_equal(l->ops->fstat(l, fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_size, 5000);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	ts[1].tv_sec = 3000;
	assert_int_equal(l->ops->utimensat(l, dir, "f", ts), 0);
	assert_int_equal(l->ops->fstatat(l, dir, "f", &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 3000);
	assert_int_equal(l->ops->fchownat(l, dir, "f", getuid(), getgid()), 0);
	assert_int_equal(l->ops->fchownat(l, fd, "", getuid(), getgid()), 0);
	assert_int_equal(l->ops->statfs(l, fd, &sv, &fsid, &magic), 0);
	assert_true(sv.f_bsize > 0);
	assert_true(magic != 0);
	assert_int_equal(l->ops->fdatasync(l, fd), 0);
	assert_int_equal(l->ops->fsync(l, dir), 0);
	assert_int_equal(l->ops->syncfs(l, dir), 0);
	assert_int_equal(l->ops->fsync(l, -1), -EBADF);
	lower_close(l, fd);
}

#define T(f) cmocka_unit_test_teardown(f, empty_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(openat_does_not_follow_a_link_in_the_last_component),
		T(openat_leaves_no_descriptor_to_a_child),
		T(open_regular_refuses_everything_else_and_does_not_block),
		T(vectors_go_out_and_come_back),
		T(a_write_that_is_cut_short_by_a_limit_is_an_error),
		T(a_full_device_is_enospc),
		T(reopen_reaches_the_same_inode_after_its_name_is_gone),
		T(readdir_stops_before_an_entry_and_goes_on_there),
		T(a_handle_leads_back_to_the_file_until_it_is_gone),
		T(a_lock_belongs_to_its_open_file),
		T(names_change_as_asked),
		T(attributes_are_set_and_flushed),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
