/* progress.c: see progress.h. Rate and rest are of the whole time so far: both are steady, and a pause shows as what it is. */
#include "tools/progress.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DRAW_MS 250
#define DEPTH_MAX 256
#define BLOCK_512 512u

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void progress_size(uint64_t bytes, char ret_text[static PROGRESS_SIZE_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes;
	unsigned u = 0;

	for (; n >= 1023.95 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
		n /= 1024;
	(void)snprintf(ret_text, PROGRESS_SIZE_MAX, u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

void progress_text(const char *what, uint64_t done, uint64_t total, uint64_t ms, char ret_text[static PROGRESS_TEXT_MAX])
{
	char at[PROGRESS_SIZE_MAX], of[PROGRESS_SIZE_MAX], rate[PROGRESS_SIZE_MAX];
	uint64_t per_s = ms ? (uint64_t)((double)done * 1000 / (double)ms) : 0, left;

	if (done > total && total)
		done = total; /* the total is an estimate */
	progress_size(done, at);
	progress_size(total, of);
	progress_size(per_s, rate);
	if (!total) {
		(void)snprintf(ret_text, PROGRESS_TEXT_MAX, "%s  %s  %s/s", what, at, rate);
		return;
	}
	left = per_s ? (total - done) / per_s : 0;
	(void)snprintf(ret_text, PROGRESS_TEXT_MAX, per_s ? "%s %3u %%  %s of %s  %s/s  %llu:%02u left" : "%s %3u %%  %s of %s", what,
		       (unsigned)((double)done * 100 / (double)total), at, of, rate, (unsigned long long)(left / 60), (unsigned)(left % 60));
}

void progress_start(struct progress *p, const struct cmd_global *g, const char *what, uint64_t total)
{
	*p = (struct progress){ .on = !g->json && !g->quiet && isatty(STDERR_FILENO) == 1, .what = what, .total = total, .start_ms = now_ms() };
	p->last_ms = p->start_ms;
}

void progress_step(struct progress *p, uint64_t done)
{
	char text[PROGRESS_TEXT_MAX];
	uint64_t now;

	if (!p->on)
		return;
	now = now_ms();
	if (now - p->last_ms < DRAW_MS)
		return;
	p->last_ms = now;
	p->drawn = true;
	progress_text(p->what, done, p->total, now - p->start_ms, text);
	(void)fprintf(stderr, "\r\033[K%s", text);
	(void)fflush(stderr);
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		(void)fputs("\r\033[K", stderr);
	p->drawn = false;
}

static uint64_t tree_bytes(int dirfd, dev_t dev, unsigned depth)
{
	DIR *d = fdopendir(dirfd);
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;
	int fd;

	if (!d) {
		(void)close(dirfd);
		return 0;
	}
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || (depth == 0 && strncmp(e->d_name, "coffer.", 7) == 0))
			continue;
		if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
			continue;
		if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_blocks * BLOCK_512;
		if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
			continue;
		fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0)
			sum += tree_bytes(fd, dev, depth + 1);
	}
	(void)closedir(d);
	return sum;
}

uint64_t progress_tree_bytes(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0) {
		(void)close(fd);
		return 0;
	}
	return tree_bytes(fd, st.st_dev, 0);
}
