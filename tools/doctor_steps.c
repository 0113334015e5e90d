/* doctor_steps.c: see doctor_work.h. Names are short and the same in all steps: a step leaves nothing behind, whatever happened in it. */
#include "tools/doctor_work.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define A "a"
#define B "b"
#define FILE_LEN (1u << 20)

static int make(int dir, const char *name, int flags, int *ret_fd)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* close, remove, and r. */
static int end(int dir, const char *name, int fd, int r)
{
	if (fd >= 0)
		(void)close(fd);
	(void)unlinkat(dir, name, 0);
	return r;
}

static int write_at(int fd, const void *p, size_t len, off_t off)
{
	ssize_t n = pwrite(fd, p, len, off);

	return n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
}

/* Do len bytes at off read as all of that value? */
static int reads(int fd, size_t len, off_t off, int value)
{
	AUTO_FREE uint8_t *p = malloc(len);
	ssize_t n = p ? pread(fd, p, len, off) : -1;

	if (!p)
		return -ENOMEM;
	if (n < 0)
		return -errno;
	if ((size_t)n != len)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++)
		if (p[i] != (uint8_t)value)
			return -EBADMSG;
	return 0;
}

static int write_value(int fd, size_t len, off_t off, int value)
{
	AUTO_FREE uint8_t *p = malloc(len);

	if (!p)
		return -ENOMEM;
	memset(p, value, len);
	return write_at(fd, p, len, off);
}

/* What fn says in another process; it must not be stuck. */
static int in_child(int (*fn)(int fd), int fd)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)alarm(20);
		_exit(-fn(fd) & 0xff);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ETIMEDOUT;
}

int doctor_step_pages(int dir, size_t page)
{
	int fd = -1, r = make(dir, A, 0, &fd);
	unsigned n = (unsigned)(4 * FILE_LEN / page);

	for (unsigned i = 0; i < n && r == 0; i++)
		r = write_value(fd, page, (off_t)(i * 7 % n * page), (int)(i * 7 % n & 0xff));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	for (unsigned i = 0; i < n && r == 0; i++)
		r = reads(fd, page, (off_t)(i * page), (int)(i & 0xff));
	return end(dir, A, fd, r);
}

int doctor_step_neighbour(int dir)
{
	int fd = -1, other = -1, r = make(dir, A, 0, &fd);

	if (r == 0)
		r = write_value(fd, 8192, 0, 1);
	if (r == 0)
		r = fsync(fd) < 0 ? -errno : 0;
	if (r == 0)
		r = write_value(fd, 100, 4050, 2);
	if (r == 0)
		r = fdatasync(fd) < 0 ? -errno : 0;
	other = r == 0 ? openat(dir, A, O_RDONLY | O_CLOEXEC) : -1;
	if (r == 0)
		r = other < 0 ? -errno : reads(other, 4050, 0, 1);
	if (r == 0)
		r = reads(other, 100, 4050, 2);
	if (r == 0)
		r = reads(other, 8192 - 4150, 4150, 1);
	if (other >= 0)
		(void)close(other);
	return end(dir, A, fd, r);
}

/* ---- locks */

static int range_lock(int fd, short type, off_t from, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = len };

	return fcntl(fd, F_SETLK, &l) < 0 ? -errno : 0;
}

/* SQLite's: a shared range that another reader gets and no writer, and a pending byte that is taken. */
static int child_record(int fd)
{
	int r = range_lock(fd, F_RDLCK, 1073741826, 510);

	if (r == 0)
		r = range_lock(fd, F_WRLCK, 1073741826, 510) == -EAGAIN ? 0 : -EBADMSG;
	if (r == 0)
		r = range_lock(fd, F_WRLCK, 1073741824, 1) == -EAGAIN ? 0 : -EBADMSG;
	return r;
}

int doctor_step_record_locks(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);

	if (r == 0)
		r = range_lock(fd, F_RDLCK, 1073741826, 510);
	if (r == 0)
		r = range_lock(fd, F_WRLCK, 1073741824, 1);
	if (r == 0)
		r = in_child(child_record, fd);
	return end(dir, A, fd, r);
}

static int child_whole(int fd)
{
	return range_lock(fd, F_WRLCK, 0, 0) == -EAGAIN && range_lock(fd, F_RDLCK, 0, 0) == -EAGAIN ? 0 : -EBADMSG;
}

int doctor_step_whole_lock(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);

	if (r == 0)
		r = range_lock(fd, F_WRLCK, 0, 0);
	if (r == 0)
		r = in_child(child_whole, fd);
	return end(dir, A, fd, r);
}

int doctor_step_flock(int dir)
{
	int fd = -1, other = -1, r = make(dir, A, 0, &fd);

	if (r == 0)
		r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (r == 0)
		r = make(dir, A, 0, &other);
	if (r == 0)
		r = flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? 0 : -EBADMSG;
	if (other >= 0)
		(void)close(other);
	return end(dir, A, fd, r);
}

/* ---- memory */

static int child_shared(int fd)
{
	volatile uint8_t *p = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	if (p[100] != 1)
		return -EBADMSG;
	p[32000] = 2;
	return 0;
}

int doctor_step_shared_memory(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);
	volatile uint8_t *p = MAP_FAILED;

	if (r == 0 && ftruncate(fd, 32768) < 0)
		r = -errno;
	if (r == 0) {
		p = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		r = p == MAP_FAILED ? -errno : 0;
	}
	if (r == 0) {
		p[100] = 1;
		r = in_child(child_shared, fd);
	}
	if (r == 0)
		r = p[32000] == 2 ? 0 : -EBADMSG;
	if (p != MAP_FAILED)
		(void)munmap((void *)(uintptr_t)p, 32768);
	return end(dir, A, fd, r);
}

int doctor_step_mapped_read(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);
	uint8_t *p = MAP_FAILED;

	if (r == 0)
		r = write_value(fd, FILE_LEN, 0, 7);
	if (r == 0)
		r = fsync(fd) < 0 ? -errno : 0;
	if (r == 0) {
		p = mmap(NULL, FILE_LEN, PROT_READ, MAP_SHARED, fd, 0);
		r = p == MAP_FAILED ? -errno : 0;
	}
	(void)end(dir, A, fd, 0);
	for (size_t i = 0; i < FILE_LEN && r == 0; i += 4096)
		r = p[i] == 7 ? 0 : -EBADMSG;
	if (p != MAP_FAILED)
		(void)munmap(p, FILE_LEN);
	return r;
}

/* ---- files */

int doctor_step_journal(int dir)
{
	int fd = -1, r = make(dir, A, O_EXCL, &fd);

	if (r == 0)
		r = write_value(fd, 4608, 0, 3);
	if (r == 0 && (fsync(fd) < 0 || fsync(dir) < 0 || unlinkat(dir, A, 0) < 0 || fsync(dir) < 0))
		r = -errno;
	if (r == 0)
		r = faccessat(dir, A, F_OK, 0) < 0 && errno == ENOENT ? 0 : -EBADMSG;
	return end(dir, A, fd, r);
}

int doctor_step_append(int dir)
{
	int fd = -1, r = make(dir, A, O_APPEND, &fd);
	uint8_t record[300];
	struct stat st;

	memset(record, 5, sizeof(record));
	for (int i = 0; i < 100 && r == 0; i++) {
		r = write(fd, record, sizeof(record)) == (ssize_t)sizeof(record) ? 0 : -EIO;
		if (r == 0 && i % 10 == 0 && fdatasync(fd) < 0)
			r = -errno;
	}
	if (r == 0)
		r = fstat(fd, &st) < 0 ? -errno : st.st_size == 100 * (off_t)sizeof(record) ? 0 : -EBADMSG;
	if (r == 0)
		r = reads(fd, 100 * sizeof(record), 0, 5);
	return end(dir, A, fd, r);
}

int doctor_step_truncate(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);

	if (r == 0)
		r = write_value(fd, 20000, 0, 9);
	if (r == 0 && (ftruncate(fd, 5000) < 0 || ftruncate(fd, 20000) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r == 0)
		r = reads(fd, 5000, 0, 9);
	if (r == 0)
		r = reads(fd, 15000, 5000, 0);
	return end(dir, A, fd, r);
}

int doctor_step_allocate(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);

	if (r == 0)
		r = -posix_fallocate(fd, 0, FILE_LEN);
	if (r == 0)
		r = reads(fd, FILE_LEN, 0, 0);
	if (r == 0)
		r = write_value(fd, 8192, 65536, 4);
	if (r == 0 && sync_file_range(fd, 0, FILE_LEN, SYNC_FILE_RANGE_WRITE) < 0)
		r = -errno;
	if (r == 0 && posix_fadvise(fd, 0, FILE_LEN, POSIX_FADV_DONTNEED) != 0)
		r = -EIO;
	if (r == 0)
		r = fdatasync(fd) < 0 ? -errno : reads(fd, 8192, 65536, 4);
	return end(dir, A, fd, r);
}

static int make_with(int dir, const char *name, int value)
{
	int fd = -1, r = make(dir, name, 0, &fd);

	if (r == 0)
		r = write_value(fd, 5000, 0, value);
	if (r == 0)
		r = fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int has(int dir, const char *name, int value)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), r = fd < 0 ? -errno : reads(fd, 5000, 0, value);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

int doctor_step_replace(int dir)
{
	int r = make_with(dir, A, 1);

	if (r == 0)
		r = make_with(dir, B, 2);
	if (r == 0 && (renameat(dir, B, dir, A) < 0 || fsync(dir) < 0))
		r = -errno;
	if (r == 0)
		r = has(dir, A, 2);
	(void)unlinkat(dir, B, 0);
	return end(dir, A, -1, r);
}

int doctor_step_hard_link(int dir)
{
	struct stat st;
	int r = make_with(dir, A, 6);

	if (r == 0 && (linkat(dir, A, dir, B, 0) < 0 || unlinkat(dir, A, 0) < 0 || fstatat(dir, B, &st, 0) < 0))
		r = -errno;
	if (r == 0)
		r = has(dir, B, 6);
	(void)unlinkat(dir, A, 0);
	return end(dir, B, -1, r);
}

int doctor_step_symlink(int dir)
{
	char text[64];
	ssize_t n;
	int r = make_with(dir, A, 8);

	if (r == 0 && symlinkat(A, dir, B) < 0)
		r = -errno;
	n = r == 0 ? readlinkat(dir, B, text, sizeof(text)) : 0;
	if (r == 0)
		r = n == 1 && text[0] == A[0] ? has(dir, B, 8) : -EBADMSG;
	(void)unlinkat(dir, B, 0);
	return end(dir, A, -1, r);
}

int doctor_step_direct(int dir)
{
	void *p = NULL;
	int fd = -1, r = make(dir, A, O_DIRECT, &fd);

	if (r == 0)
		r = -posix_memalign(&p, 4096, 65536);
	if (r == 0) {
		memset(p, 11, 65536);
		r = write_at(fd, p, 65536, 0);
	}
	if (r == 0) {
		memset(p, 0, 65536);
		r = pread(fd, p, 65536, 0) == 65536 ? 0 : -EIO;
	}
	if (r == 0)
		r = ((uint8_t *)p)[0] == 11 && ((uint8_t *)p)[65535] == 11 ? 0 : -EBADMSG;
	free(p);
	return end(dir, A, fd, r);
}

int doctor_step_open_removed(int dir)
{
	int fd = -1, r = make(dir, A, 0, &fd);

	if (r == 0 && unlinkat(dir, A, 0) < 0)
		r = -errno;
	if (r == 0)
		r = write_value(fd, 9000, 0, 12);
	if (r == 0)
		r = fsync(fd) < 0 ? -errno : reads(fd, 9000, 0, 12);
	return end(dir, A, fd, r);
}

int doctor_step_flush_readonly(int dir)
{
	int r = make_with(dir, A, 13), fd = r == 0 ? openat(dir, A, O_RDONLY | O_CLOEXEC) : -1;

	if (r == 0)
		r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	return end(dir, A, fd, r);
}

/* ---- directories */

int doctor_step_private(int dir)
{
	struct stat st;
	int r = mkdirat(dir, A, 0777) < 0 ? -errno : 0;

	if (r == 0 && (fchmodat(dir, A, 0700, 0) < 0 || fstatat(dir, A, &st, AT_SYMLINK_NOFOLLOW) < 0))
		r = -errno;
	if (r == 0)
		r = (st.st_mode & 07777) == 0700 && st.st_uid == geteuid() ? 0 : -EBADMSG;
	(void)unlinkat(dir, A, AT_REMOVEDIR);
	return r;
}

/* The files of a part, in a directory of that name. */
static int part_make(int dir, const char *name, int value)
{
	static const char *const files[] = { "data.bin", "data.mrk", "checksums.txt" };
	int fd, r = mkdirat(dir, name, 0750) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < 3 && r == 0; i++)
		r = make_with(fd, files[i], value);
	if (r == 0)
		r = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return r;
}

static void part_remove(int dir, const char *name)
{
	static const char *const files[] = { "data.bin", "data.mrk", "checksums.txt" };
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < 3 && fd >= 0; i++)
		(void)unlinkat(fd, files[i], 0);
	if (fd >= 0)
		(void)close(fd);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

int doctor_step_part(int dir)
{
	int r = part_make(dir, "tmp_part", 14);

	if (r == 0 && (renameat(dir, "tmp_part", dir, "part") < 0 || fsync(dir) < 0))
		r = -errno;
	if (r == 0)
		r = has(dir, "part/data.mrk", 14);
	part_remove(dir, "tmp_part");
	part_remove(dir, "part");
	if (r == 0)
		r = faccessat(dir, "part", F_OK, 0) < 0 ? 0 : -EBADMSG;
	return r;
}

int doctor_step_exchange(int dir)
{
	int r = part_make(dir, A, 15);

	if (r == 0)
		r = part_make(dir, B, 16);
	if (r == 0 && renameat2(dir, A, dir, B, RENAME_EXCHANGE) < 0)
		r = -errno;
	if (r == 0)
		r = has(dir, A "/data.bin", 16);
	if (r == 0)
		r = has(dir, B "/data.bin", 15);
	part_remove(dir, A);
	part_remove(dir, B);
	return r;
}
