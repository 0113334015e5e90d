/* test_backup_clone.c: clones of what the last round of a backup reads (backup/backup_clone.c). ioctl(FICLONE) is a copy here, so that every filesystem has it; wherever it or what it needs
 * fails, files are read while the mount holds still, and the snapshot has the same in it. Real clones are tests/sh/78-backup-clones.sh. Linked with --wrap. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "alloc_fails_more.h"
#include "backup/backup_impl.h"
#include "backup_fixture.h"
#include "base/log.h"

#define CLONE _IOW(0x94, 9, int)
#define FILES 8u                         /* of LEN bytes, the last one of LONG */
#define LEN 5000u
#define LONG (3u << 20)
#define ALLOCS_MAX 4000

static const uint8_t uuid[UUID_LEN] = { 1 };

/* ---- what can fail */

static atomic_uint cloned;
static unsigned clone_fails_at;          /* that one, and all behind it; 0: none */
static bool no_tmpfile, little_space, few_descriptors;

void *__wrap_realloc(void *p, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return alloc_fails() ? NULL : __real_realloc(p, n);
}

/* len bytes of a file into another, which may be open with O_DIRECT. */
static int copy(int to, int from)
{
	static uint8_t buf[LONG + 1];
	int flags = fcntl(to, F_GETFL);
	ssize_t n = pread(from, buf, sizeof(buf), 0);

	if (n < 0 || fcntl(to, F_SETFL, flags & ~O_DIRECT) < 0 || pwrite(to, buf, (size_t)n, 0) != n || fcntl(to, F_SETFL, flags) < 0)
		return -1;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...)
{
	va_list args;
	int from;

	va_start(args, what);
	from = va_arg(args, int);
	va_end(args);
	assert_int_equal(what, CLONE);
	if (clone_fails_at > 0 && cloned + 1 >= clone_fails_at) {
		errno = EOPNOTSUPP;
		return -1;
	}
	cloned++;
	return copy(fd, from);
}

int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
	va_list args;
	unsigned mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) || unnamed ? va_arg(args, unsigned) : 0;
	va_end(args);
	if (unnamed && no_tmpfile && dir == root_fd) {
		errno = EROFS;
		return -1;
	}
	return __real_openat(dir, path, flags, mode);
}

int __wrap_fstatvfs(int fd, struct statvfs *ret_s);
int __wrap_fstatvfs(int fd, struct statvfs *ret_s)
{
	(void)fd;
	*ret_s = (struct statvfs){ .f_frsize = 4096, .f_bavail = little_space ? 200000 : 1ull << 30 };
	return 0;
}

int __wrap_getrlimit(int what, struct rlimit *ret_rl);
int __real_getrlimit(int what, struct rlimit *ret_rl);
int __wrap_getrlimit(int what, struct rlimit *ret_rl)
{
	int r = __real_getrlimit(what, ret_rl);

	if (r == 0 && few_descriptors)
		ret_rl->rlim_cur = 4; /* two of them for clones */
	return r;
}

/* ---- a mount that writes until the last round */

static unsigned generation;
static long fail_from = -1;              /* allocations of what comes behind the first hold's beginning */

static void fill(uint8_t *p, size_t len, unsigned n)
{
	memset(p, (int)(n * 16 + generation), len);
}

static size_t len_of(unsigned n)
{
	return n + 1 == FILES ? LONG : LEN;
}

static void write_files(void)
{
	static uint8_t content[LONG];
	char name[16];

	generation++;
	for (unsigned i = 0; i < FILES; i++) {
		int fd;

		fill(content, len_of(i), i);
		(void)snprintf(name, sizeof(name), "f%u", i);
		fd = openat(root_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0 && pwrite(fd, content, len_of(i), 0) == (ssize_t)len_of(i));
		(void)close(fd);
	}
}

/* A directory that has just changed is seen to be steady behind a tick of the clock; nobody has to wait here for more. */
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	const struct timespec tick = { .tv_nsec = 12000000 };

	return __real_nanosleep(t->tv_sec > 0 || t->tv_nsec > tick.tv_nsec ? &tick : t, left);
}

static int on_hold(void *ctx)
{
	(void)ctx;
	write_files();
	countdown = fail_from;
	return 0;
}

static int on_release(void *ctx)
{
	(void)ctx;
	return 0;
}

static int setup(void **state)
{
	cloned = 0;
	clone_fails_at = 0;
	no_tmpfile = little_space = few_descriptors = false;
	failed = false;
	fail_from = -1;
	return backup_setup(state);
}

static size_t descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* ---- what is in the snapshot */

static struct manifest manifest;
static struct repo repo;
static unsigned files_seen;
static int at;                           /* the file whose pieces come; -1: another */

static int on_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	(void)ctx;
	(void)no;
	(void)depth;
	at = e->name[0] == 'f' ? e->name[1] - '0' : -1;
	if (at >= 0)
		assert_int_equal(e->size, len_of((unsigned)at));
	files_seen += at >= 0;
	return 0;
}

static int on_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	static uint8_t content[LONG];

	(void)ctx;
	for (size_t i = 0; i < n && at >= 0; i++) {
		AUTO_FREE uint8_t *p = NULL;

		assert_int_equal(repo_get_piece(&repo, &pieces[i], &p, &err), 0);
		fill(content, len_of((unsigned)at), (unsigned)at);
		assert_memory_equal(p, content + pieces[i].off, pieces[i].len);
	}
	return 0;
}

/* All files as they were when the mount held still. */
static void snapshot_is_right(const struct backup_result *res, const char *way)
{
	const struct snapshot_walk walk = { .entry = on_entry, .pieces = on_pieces };
	uint8_t hash[RECORD_HASH_LEN];

	repo_open(&repo, store, uuid);
	assert_int_equal(repo_manifest(&repo, res->snapshot, &manifest, hash, &err), 0);
	if (way)
		assert_string_equal(manifest.way, way);
	files_seen = 0;
	assert_int_equal(snapshot_walk(&repo, &manifest, &walk, &err), 0);
	assert_int_equal(files_seen, FILES);
	manifest_done(&manifest);
	assert_int_equal(system("rm \"$D\"/store/*/snapshots/*"), 0); /* or the next one waits for another second */
}

static int back_up(struct backup_result *ret_res)
{
	struct backup_params p = { .store = store, .root_fd = root_fd, .uuid = { 1 }, .threads = 2, .hold = on_hold, .release = on_release };
	size_t before = descriptors();
	char why[100];
	int r;

	log_hold();
	r = backup_run(&p, ret_res, &err);
	countdown = -1;
	(void)log_release(why, sizeof(why));
	assert_int_equal(descriptors(), before);
	return r;
}

/* ---- */

static void what_the_last_round_reads_is_cloned(void **state)
{
	struct backup_result res;

	(void)state;
	assert_int_equal(back_up(&res), 0);
	assert_true(cloned >= FILES);
	snapshot_is_right(&res, "cloned");
}

static void what_cannot_be_cloned_is_read_at_once(void **state)
{
	struct backup_result res;

	(void)state;
	for (unsigned i = 1; i <= FILES; i += 3) {
		cloned = 0;
		clone_fails_at = i;
		assert_int_equal(back_up(&res), 0);
		assert_int_equal(cloned, i - 1);
		snapshot_is_right(&res, "frozen");
	}
}

static void none_is_cloned(void)
{
	struct backup_result res;

	assert_int_equal(back_up(&res), 0);
	assert_int_equal(cloned, 0);
	snapshot_is_right(&res, "frozen");
}

static void without_a_nameless_file_none_is_cloned(void **state)
{
	(void)state;
	no_tmpfile = true;
	none_is_cloned();
}

static void without_much_space_none_is_cloned(void **state)
{
	(void)state;
	little_space = true;
	none_is_cloned();
}

static void clones_leave_descriptors_for_others(void **state)
{
	struct backup_result res;

	(void)state;
	few_descriptors = true;
	assert_int_equal(back_up(&res), 0);
	assert_int_equal(cloned, 2);
	snapshot_is_right(&res, "frozen");
}

static void whichever_allocation_fails_there_is_a_right_snapshot_or_none(void **state)
{
	struct backup_result res;
	int r;

	(void)state;
	for (fail_from = 0; fail_from < ALLOCS_MAX; fail_from++) {
		failed = false;
		cloned = 0;
		r = back_up(&res);
		if (r != 0 && !(failed && r == -ENOMEM))
			fail_msg("allocation %ld: %d, %s", fail_from, r, err.message);
		if (r == 0)
			snapshot_is_right(&res, NULL);
		if (!failed)
			break;
	}
	assert_true(fail_from > 50 && fail_from < ALLOCS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_last_round_reads_is_cloned, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_cloned_is_read_at_once, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(without_a_nameless_file_none_is_cloned, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(without_much_space_none_is_cloned, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(clones_leave_descriptors_for_others, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(whichever_allocation_fails_there_is_a_right_snapshot_or_none, setup, backup_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
