/* drill.c: see drill.h. Everything is asked of the kernel as any process of the host would ask it. */
#include "tools/drill.h"

#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define PAGES (DRILL_BYTES / PAGE)
#define BYTE 0xd5
#define PAUSE_MS 20

static int at(const struct drill *d, const char *name, int flags)
{
	char path[4096];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", d->dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

static int fill(int fd)
{
	uint8_t page[PAGE];
	unsigned i;

	memset(page, BYTE, sizeof(page));
	for (i = 0; i < PAGES; i++)
		if (pwrite(fd, page, sizeof(page), (off_t)i * PAGE) != (ssize_t)sizeof(page))
			return errno ? -errno : -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

/* The writer's whole life; its exit status is the errno that ended it. */
static void write_until_refused(const struct drill *d)
{
	int fd = at(d, DRILL_WRITTEN, O_WRONLY | O_CREAT | O_EXCL);
	uint64_t n;

	if (fd < 0)
		_exit(-fd);
	for (n = 1;; n++) {
		if (pwrite(fd, &n, sizeof(n), (off_t)((n - 1) % PAGES * sizeof(n))) != (ssize_t)sizeof(n) || fsync(fd) < 0)
			_exit(errno ? errno : EIO);
		__atomic_store_n(d->acked, n, __ATOMIC_RELEASE);
	}
}

int drill_begin(const char *dir, struct drill *ret_d)
{
	struct drill *d = ret_d;
	void *p;
	int r;

	*d = (struct drill){ .dir = dir, .fd = -1 };
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	d->acked = p;
	r = at(d, DRILL_FILE, O_RDWR | O_CREAT | O_EXCL);
	if (r < 0)
		return r;
	d->fd = r;
	r = fill(d->fd);
	if (r < 0)
		return r;
	p = mmap(NULL, DRILL_BYTES, PROT_READ, MAP_SHARED | MAP_POPULATE, d->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	d->map = p;
	d->writer = fork();
	if (d->writer == 0)
		write_until_refused(d);
	return d->writer < 0 ? -errno : 0;
}

/* 1 content, 0 ENOKEY. */
static int page_reads(int fd)
{
	uint8_t page[PAGE];
	ssize_t n = pread(fd, page, sizeof(page), 0);

	if (n < 0)
		return errno == ENOKEY ? 0 : -errno;
	return n == (ssize_t)sizeof(page) && page[0] == BYTE && page[PAGE - 1] == BYTE ? 1 : -EIO;
}

int drill_reads(const struct drill *d)
{
	int fd = at(d, DRILL_FILE, O_RDONLY), r;

	if (fd < 0 && fd != -ENOKEY)
		return fd;
	r = fd < 0 ? 0 : page_reads(fd);
	if (fd >= 0)
		(void)close(fd);
	return r != 0 ? r : page_reads(d->fd);
}

long drill_resident(const struct drill *d)
{
	unsigned char in[PAGES];
	long n = 0;
	size_t i;

	if (mincore(d->map, DRILL_BYTES, in) < 0)
		return -errno;
	for (i = 0; i < PAGES; i++)
		n += in[i] & 1;
	return n;
}

int drill_mapping_ends(const struct drill *d)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)signal(SIGBUS, SIG_DFL);
		_exit(*(volatile const uint8_t *)d->map == BYTE ? 1 : 2);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS ? 1 : 0;
}

int drill_writer_ends(struct drill *d, unsigned ms)
{
	int status;
	pid_t pid;

	for (;;) {
		pid = waitpid(d->writer, &status, WNOHANG);
		if (pid < 0)
			return -errno;
		if (pid > 0)
			break;
		if (ms < PAUSE_MS)
			return -ETIMEDOUT;
		ms -= PAUSE_MS;
		clock_pause_ms(PAUSE_MS);
	}
	d->writer = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 0)
		return -ECHILD;
	return WEXITSTATUS(status) == ENOKEY ? 0 : -WEXITSTATUS(status);
}

int drill_written(const struct drill *d)
{
	uint64_t got[PAGES] = { 0 }, acked = __atomic_load_n(d->acked, __ATOMIC_ACQUIRE), n;
	int fd = at(d, DRILL_WRITTEN, O_RDONLY);
	ssize_t r;

	if (fd < 0)
		return fd;
	r = pread(fd, got, sizeof(got), 0);
	n = r < 0 ? (uint64_t)errno : 0;
	(void)close(fd);
	if (n)
		return -(int)n;
	/* The newest PAGES of them: older ones were written over. A write behind the last acknowledged one may be there, too. */
	for (n = acked > PAGES ? acked - PAGES + 1 : 1; n <= acked; n++)
		if (got[(n - 1) % PAGES] != n && got[(n - 1) % PAGES] != n + PAGES)
			return -EIO;
	return 0;
}

void drill_end(struct drill *d)
{
	static const char *const names[] = { DRILL_FILE, DRILL_WRITTEN };
	char path[4096];
	size_t i;

	if (d->writer > 0) {
		(void)kill(d->writer, SIGKILL);
		(void)waitpid(d->writer, NULL, 0);
	}
	if (d->map)
		(void)munmap(d->map, DRILL_BYTES);
	if (d->fd >= 0)
		(void)close(d->fd);
	if (d->acked)
		(void)munmap(d->acked, PAGE);
	for (i = 0; d->fd >= 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (snprintf(path, sizeof(path), "%s/%s", d->dir, names[i]) < (int)sizeof(path))
			(void)unlink(path);
	*d = (struct drill){ .fd = -1 };
}
