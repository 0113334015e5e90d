/* load.c: the loads of bench.py that an interpreter would be too slow for. `load WHAT PATH ARGS...` prints seconds and units done. Each checks what it
 * reads where it can; any error ends it with a message and exit 1.
 *
 *   seqwrite FILE MIB          1 MiB writes and one fsync
 *   seqread FILE BYTES         the whole file, BYTES a call
 *   mmapread FILE              the whole file, mapped
 *   randread FILE SECONDS      4 KiB preads at random
 *   direct r|w FILE SECONDS    4 KiB with O_DIRECT, 32 under way
 *   randwrite FILE COUNT       4 KiB pwrites at random and one fsync
 *   mixed FILE SECONDS         16 KiB, seven of ten reads, at random
 *   append FILE SECONDS MAX    200-byte records, one fsync at the end
 *   appendsync FILE SECONDS    200-byte records, an fsync each
 *   create|stat|read|delete DIR COUNT   files of 4 KiB, 200 a directory */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096u
#define MIB (1u << 20)
#define DEPTH 32u
#define PER_DIR 200
#define RECORD 200

static uint64_t seed = 88172645463325252u;
static struct timespec started;

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static off_t random_block(long blocks, size_t size)
{
	return (off_t)(random_u64() % (uint64_t)blocks) * (off_t)size;
}

static void *filled(size_t n)
{
	uint64_t *p = aligned_alloc(BLOCK, n);

	if (!p)
		die("memory");
	for (size_t i = 0; i < n / sizeof(*p); i++)
		p[i] = random_u64();
	return p;
}

static double passed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - started.tv_sec) + (double)(now.tv_nsec - started.tv_nsec) / 1e9;
}

static void begin(void)
{
	clock_gettime(CLOCK_MONOTONIC, &started);
}

static void done(double units)
{
	printf("%.6f %.3f\n", passed(), units);
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	if (fd < 0)
		die(path);
	return fd;
}

static long blocks_of(int fd, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)size)
		die("size");
	return (long)(st.st_size / (off_t)size);
}

/* ---- one file */

static void seqwrite(const char *path, long mib)
{
	uint64_t *p = filled(MIB);
	int fd = opened(path, O_RDWR | O_CREAT | O_TRUNC);

	begin();
	for (long i = 0; i < mib; i++) {
		*p = (uint64_t)i;
		if (write(fd, p, MIB) != MIB)
			die("write");
	}
	if (fsync(fd) < 0)
		die("fsync");
	done((double)mib);
}

static void seqread(const char *path, size_t size)
{
	uint8_t *p = filled(size);
	double sum = 0;
	ssize_t n;
	int fd;

	begin();
	fd = opened(path, O_RDONLY);
	while ((n = read(fd, p, size)) > 0)
		sum += (double)n;
	if (n < 0)
		die("read");
	done(sum / MIB);
}

static void mmapread(const char *path)
{
	volatile uint64_t x = 0;
	const uint64_t *p;
	size_t n;
	int fd;

	begin();
	fd = opened(path, O_RDONLY);
	n = (size_t)blocks_of(fd, MIB) * MIB;
	p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	(void)madvise((void *)(uintptr_t)p, n, MADV_SEQUENTIAL);
	for (size_t i = 0; i < n / sizeof(*p); i += 8)
		x += p[i];
	(void)x;
	done((double)n / MIB);
}

static void randread(const char *path, double seconds)
{
	void *p = filled(BLOCK);
	long blocks, n = 0;
	int fd;

	begin();
	fd = opened(path, O_RDONLY);
	blocks = blocks_of(fd, BLOCK);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (; passed() < seconds; n++)
		if (pread(fd, p, BLOCK, random_block(blocks, BLOCK)) != BLOCK)
			die("pread");
	done((double)n);
}

static void randwrite(const char *path, long count)
{
	uint64_t *p = filled(BLOCK);
	int fd = opened(path, O_RDWR);
	long blocks = blocks_of(fd, BLOCK);

	begin();
	for (long i = 0; i < count; i++) {
		*p = (uint64_t)i;
		if (pwrite(fd, p, BLOCK, random_block(blocks, BLOCK)) != BLOCK)
			die("pwrite");
	}
	if (fsync(fd) < 0)
		die("fsync");
	done((double)count);
}

static void direct_start(struct io_uring *ring, bool write, int fd, uint8_t *buf, unsigned slot, long blocks)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		die("ring");
	if (write)
		io_uring_prep_write(sqe, fd, buf + slot * (size_t)BLOCK, BLOCK, (uint64_t)random_block(blocks, BLOCK));
	else
		io_uring_prep_read(sqe, fd, buf + slot * (size_t)BLOCK, BLOCK, (uint64_t)random_block(blocks, BLOCK));
	io_uring_sqe_set_data64(sqe, slot);
}

static void direct(bool write, const char *path, double seconds)
{
	int fd = opened(path, (write ? O_RDWR : O_RDONLY) | O_DIRECT);
	long blocks = blocks_of(fd, BLOCK), n = 0;
	uint8_t *buf = filled(DEPTH * BLOCK);
	struct io_uring_cqe *cqe;
	unsigned flying = DEPTH;
	struct io_uring ring;

	errno = -io_uring_queue_init(DEPTH, &ring, 0);
	if (errno)
		die("io_uring");
	begin();
	for (unsigned k = 0; k < DEPTH; k++)
		direct_start(&ring, write, fd, buf, k, blocks);
	while (flying > 0) {
		errno = -io_uring_submit_and_wait(&ring, 1);
		if (errno > 0)
			die("io_uring");
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			if (cqe->res != BLOCK) {
				errno = cqe->res < 0 ? -cqe->res : EIO;
				die("direct");
			}
			n++;
			if (passed() < seconds)
				direct_start(&ring, write, fd, buf, (unsigned)io_uring_cqe_get_data64(cqe), blocks);
			else
				flying--;
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	if (write && fsync(fd) < 0)
		die("fsync");
	done((double)n);
}

static void mixed(const char *path, double seconds)
{
	const size_t size = 4 * (size_t)BLOCK;
	void *p = filled(size);
	int fd = opened(path, O_RDWR);
	long blocks = blocks_of(fd, size), n = 0;

	seed += (uint64_t)getpid();
	begin();
	for (; passed() < seconds; n++) {
		off_t at = random_block(blocks, size);
		ssize_t r = random_u64() % 10 < 7 ? pread(fd, p, size, at) : pwrite(fd, p, size, at);

		if (r != (ssize_t)size)
			die("mixed");
	}
	done((double)n);
}

static void append(const char *path, double seconds, long max, bool sync)
{
	int fd = opened(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC);
	void *p = filled(BLOCK);
	long n = 0;

	begin();
	while (n < max && passed() < seconds) {
		for (int i = 0; i < (sync ? 4 : 256); i++, n++) {
			if (write(fd, p, RECORD) != RECORD)
				die("append");
			if (sync && fsync(fd) < 0)
				die("fsync");
		}
	}
	if (fsync(fd) < 0)
		die("fsync");
	done((double)n);
}

/* ---- many files */

static void dir_of(char *q, const char *dir, long i)
{
	snprintf(q, BLOCK, "%s/d%03ld", dir, i / PER_DIR);
}

static void name_of(char *q, const char *dir, long i)
{
	snprintf(q, BLOCK, "%s/d%03ld/file%06ld", dir, i / PER_DIR, i);
}

static void create(const char *dir, long count)
{
	uint64_t *p = filled(BLOCK);
	char q[BLOCK];
	int fd;

	begin();
	if (mkdir(dir, 0755) < 0)
		die(dir);
	for (long i = 0; i < count; i++) {
		dir_of(q, dir, i);
		if (i % PER_DIR == 0 && mkdir(q, 0755) < 0)
			die(q);
		name_of(q, dir, i);
		fd = opened(q, O_WRONLY | O_CREAT | O_EXCL);
		*p = (uint64_t)i;
		if (write(fd, p, BLOCK) != BLOCK || close(fd) < 0)
			die(q);
	}
	done((double)count);
}

static long stat_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;
	long n = 0;

	if (!d)
		die(path);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size != BLOCK)
			die(e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static void stat_all(const char *dir, long count)
{
	char q[BLOCK];
	long n = 0;

	begin();
	for (long i = 0; i < count; i += PER_DIR) {
		dir_of(q, dir, i);
		n += stat_dir(q);
	}
	if (n != count)
		die("a file is missing");
	done((double)count);
}

static void read_all(const char *dir, long count)
{
	uint64_t *p = filled(BLOCK);
	char q[BLOCK];
	int fd;

	begin();
	for (long i = 0; i < count; i++) {
		name_of(q, dir, i);
		fd = opened(q, O_RDONLY);
		if (read(fd, p, BLOCK) != BLOCK || *p != (uint64_t)i)
			die(q);
		close(fd);
	}
	done((double)count);
}

static void delete_all(const char *dir, long count)
{
	char q[BLOCK];

	begin();
	for (long i = 0; i < count; i++) {
		name_of(q, dir, i);
		if (unlink(q) < 0)
			die(q);
		dir_of(q, dir, i);
		if ((i % PER_DIR == PER_DIR - 1 || i == count - 1) && rmdir(q) < 0)
			die(q);
	}
	if (rmdir(dir) < 0)
		die(dir);
	done((double)count);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "", *arg = argc > 3 ? argv[3] : "0";

	if (strcmp(what, "seqwrite") == 0)
		seqwrite(path, atol(arg));
	else if (strcmp(what, "seqread") == 0 && atol(arg) > 0)
		seqread(path, (size_t)atol(arg));
	else if (strcmp(what, "mmapread") == 0)
		mmapread(path);
	else if (strcmp(what, "randread") == 0)
		randread(path, atof(arg));
	else if (strcmp(what, "direct") == 0 && argc > 4)
		direct(*path == 'w', arg, atof(argv[4]));
	else if (strcmp(what, "randwrite") == 0)
		randwrite(path, atol(arg));
	else if (strcmp(what, "mixed") == 0)
		mixed(path, atof(arg));
	else if (strcmp(what, "append") == 0 && argc > 4)
		append(path, atof(arg), atol(argv[4]), false);
	else if (strcmp(what, "appendsync") == 0)
		append(path, atof(arg), INT32_MAX, true);
	else if (strcmp(what, "create") == 0)
		create(path, atol(arg));
	else if (strcmp(what, "stat") == 0)
		stat_all(path, atol(arg));
	else if (strcmp(what, "read") == 0)
		read_all(path, atol(arg));
	else if (strcmp(what, "delete") == 0)
		delete_all(path, atol(arg));
	else
		return 2;
	return 0;
}
