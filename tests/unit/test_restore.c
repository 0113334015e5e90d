/* test_restore.c: snapshots of odd directories come back (backup/restore.h), and cost little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "backup/restore.h"
#include "backup_fixture.h"

#define DEEP 1000u                       /* directories, one in the other; a snapshot may have 1024 */
#define PAIRS 1500u                      /* of names, in the last of them */
#define MEMORY_MAX ((size_t)160 << 20)   /* their paths would be 365 MiB */
#define DESCRIPTORS (3u * DEEP)

static const uint8_t uuid[UUID_LEN] = { 1 };
static int to_fd = -1;                   /* dir_path/r */

static int setup(void **state)
{
	struct rlimit rl;
	char path[96];
	int r;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -1;
	rl.rlim_cur = rl.rlim_max;
	if (rl.rlim_max < DESCRIPTORS || setrlimit(RLIMIT_NOFILE, &rl) < 0)
		return -1;
	r = backup_setup(state);
	(void)snprintf(path, sizeof(path), "%s/r", dir_path);
	if (r == 0 && mkdir(path, 0700) == 0)
		to_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r == 0 && to_fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)close(to_fd);
	return backup_teardown(state);
}

/* The last of depth directories below dir, each with a name of len times c; made, if they are to be. */
static int chain(int dir, char c, size_t len, unsigned depth, bool make)
{
	int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0), next;
	char name[RECORD_NAME_MAX + 1];

	memset(name, c, len);
	name[len] = '\0';
	for (unsigned i = 0; i < depth; i++) {
		assert_true(!make || mkdirat(fd, name, 0700) == 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(fd);
		fd = next;
	}
	return fd;
}

static void back_up_and_restore(void)
{
	const struct backup_params b = { .store = store, .root_fd = root_fd, .uuid = { 1 }, .clean = true, .threads = 2 };
	AUTO_MANIFEST struct manifest m = { 0 };
	struct restore_params p = { .m = &m, .root_fd = to_fd, .threads = 2 };
	uint8_t hash[RECORD_HASH_LEN];
	struct restore_counts counts;
	struct backup_result res;
	struct repo repo;

	assert_int_equal(backup_run(&b, &res, &err), 0);
	repo_open(&repo, store, uuid);
	assert_int_equal(repo_manifest(&repo, res.snapshot, &m, hash, &err), 0);
	p.repo = &repo;
	p.snapshot = res.snapshot;
	assert_int_equal(restore_prepare(to_fd, &repo, res.snapshot, NULL, &p.resume), 0);
	assert_int_equal(restore_run(&p, &counts, &err), 0);
	assert_int_equal(counts.files, res.counts.files);
}

/* Longer than any path that the kernel takes. */
static void other_names_come_back_however_long_their_paths_are(void **state)
{
	int a = chain(root_fd, 'a', 200, 40, true), b = chain(root_fd, 'b', 200, 40, true);
	AUTO_FREE uint8_t *p = NULL;
	struct stat st;
	size_t len;

	(void)state;
	assert_int_equal(fileio_replace_at(a, "one", "content", 7, 0600), 0);
	assert_int_equal(linkat(a, "one", b, "two", 0), 0);
	assert_int_equal(linkat(a, "one", a, "three", 0), 0);
	assert_int_equal(linkat(a, "one", root_fd, "zzz", 0), 0);
	back_up_and_restore();
	(void)close(a);
	(void)close(b);
	b = chain(to_fd, 'b', 200, 40, false);
	assert_int_equal(fstatat(b, "two", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_nlink, 4);
	assert_int_equal(fileio_read_at(to_fd, "zzz", 100, &p, &len), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(p, "content", 7);
	(void)close(b);
}

static size_t peak(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return (size_t)u.ru_maxrss * 1024;
}

static void names_in_deep_directories_cost_no_more_than_others(void **state)
{
	int fd = chain(root_fd, 'd', RECORD_NAME_MAX, DEEP, true);
	size_t before = peak();
	char one[16], two[16];
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < PAIRS; i++) {
		(void)snprintf(one, sizeof(one), "a%u", i);
		(void)snprintf(two, sizeof(two), "b%u", i);
		assert_int_equal(fileio_replace_at(fd, one, one, strlen(one), 0600), 0);
		assert_int_equal(linkat(fd, one, fd, two, 0), 0);
	}
	back_up_and_restore();
	(void)close(fd);
	fd = chain(to_fd, 'd', RECORD_NAME_MAX, DEEP, false);
	assert_int_equal(fstatat(fd, "b7", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_nlink, 2);
	(void)close(fd);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_true(peak() - before < MEMORY_MAX);
#else
	(void)before; /* their own memory is more */
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(other_names_come_back_however_long_their_paths_are, setup, teardown),
		cmocka_unit_test_setup_teardown(names_in_deep_directories_cost_no_more_than_others, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
