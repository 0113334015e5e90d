/* cmd_bench.c: bench: what the cryptography does on this processor, and what a directory does, be it in a mount or beside one. Quick and bounded: each row takes
 * about a second, so figures are for comparing and for finding what is badly wrong, not for publishing. What the caches had a part in is said. */
#include "tools/cmd.h"

#include "base/hash.h"
#include "base/json.h"
#include "crypt/namecrypt.h"
#include "format/layout.h"
#include "tools/progress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ROW_S 1.0
#define FILE_MAX (256ull << 20)
#define CHUNK (1u << 20)
#define SMALL_MAX 2000u

struct bench {
	const struct cmd_global *g;
	int dirfd, fd;
	uint8_t *buf;            /* CHUNK */
	struct blockcrypt *bc;
	struct file_keys keys;
	struct key_ring *ring;
	struct block_pos pos;
	uint8_t id[FILE_ID_LEN], tag[TAG_LEN], cipher[BLOCK_SIZE];
	char lower[LOWER_NAME_FULL_MAX + 1];
	uint64_t written;        /* of the file */
	uint64_t n;              /* operations of the row so far */
	uint32_t sum;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- rows: one operation each; > 0: no more of them */

static int row_seal(struct bench *b)
{
	b->pos.stamp++;
	return blockcrypt_seal(b->bc, &b->keys, &b->pos, b->buf, b->cipher, b->tag, &b->sum);
}

static int row_open(struct bench *b)
{
	return blockcrypt_open(b->bc, &b->keys, &b->pos, b->cipher, b->tag, b->buf);
}

static int row_verify(struct bench *b)
{
	return blockcrypt_verify(b->bc, &b->keys.tag, &b->pos, b->cipher, b->tag);
}

static int row_sum(struct bench *b)
{
	b->sum ^= hash_sum32(b->cipher, BLOCK_SIZE);
	b->cipher[0]++;
	return 0;
}

static int row_name(struct bench *b)
{
	size_t len;

	return namecrypt_encrypt(key_ring_names(b->ring), b->id, "pg_wal_0000000100000001", 23, b->lower, &len);
}

static int row_write(struct bench *b)
{
	if (b->written >= FILE_MAX)
		return 1;
	if (pwrite(b->fd, b->buf, CHUNK, (off_t)b->written) != (ssize_t)CHUNK)
		return errno ? -errno : -EIO;
	b->written += CHUNK;
	return 0;
}

static int row_read(struct bench *b)
{
	if ((b->n + 1) * CHUNK > b->written)
		return 1;
	return pread(b->fd, b->buf, CHUNK, (off_t)(b->n * CHUNK)) == (ssize_t)CHUNK ? 0 : -EIO;
}

static int row_random_read(struct bench *b)
{
	uint64_t blocks = b->written / BLOCK_SIZE;

	return pread(b->fd, b->buf, BLOCK_SIZE, (off_t)(hash_u64x2(b->n, 1) % blocks * BLOCK_SIZE)) == BLOCK_SIZE ? 0 : -EIO;
}

static int row_overwrite_sync(struct bench *b)
{
	uint64_t blocks = b->written / BLOCK_SIZE;

	if (pwrite(b->fd, b->buf, BLOCK_SIZE, (off_t)(hash_u64x2(b->n, 2) % blocks * BLOCK_SIZE)) != BLOCK_SIZE)
		return errno ? -errno : -EIO;
	return fdatasync(b->fd) < 0 ? -errno : 0;
}

static int row_append_sync(struct bench *b)
{
	if (pwrite(b->fd, b->buf, 200, (off_t)(b->written + b->n * 200)) != 200)
		return errno ? -errno : -EIO;
	return fdatasync(b->fd) < 0 ? -errno : 0;
}

static int row_create(struct bench *b)
{
	char name[32];
	int fd;

	if (b->n >= SMALL_MAX)
		return 1;
	(void)snprintf(name, sizeof(name), "small-%llu", (unsigned long long)b->n);
	fd = openat(b->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, b->buf, BLOCK_SIZE) != BLOCK_SIZE) {
		(void)close(fd);
		return -EIO;
	}
	return close(fd) < 0 ? -errno : 0;
}

static int row_delete(struct bench *b)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "small-%llu", (unsigned long long)b->n);
	if (unlinkat(b->dirfd, name, 0) < 0)
		return errno == ENOENT ? 1 : -errno;
	return 0;
}

/* ---- running them */

static int tell(const struct bench *b, const char *name, uint64_t unit, uint64_t n, double seconds, const char *caching)
{
	double per_s = seconds > 0 ? (double)n / seconds : 0;
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;
	char rate[PROGRESS_SIZE_MAX];

	if (b->g->json) {
		o = json_new_object();
		if (json_put_str(o, "bench", name) < 0 || json_put_int(o, "per_second", (int64_t)per_s) < 0 ||
		    (unit && json_put_int(o, "bytes_per_second", (int64_t)(per_s * (double)unit)) < 0) || json_put_int(o, "operations", (int64_t)n) < 0 ||
		    json_put_int(o, "milliseconds", (int64_t)(seconds * 1000)) < 0 || (*caching && json_put_str(o, "caching", caching) < 0) ||
		    json_dump(o, &text) < 0)
			return -ENOMEM;
		(void)puts(text);
		return 0;
	}
	progress_size((uint64_t)(per_s * (double)unit), rate);
	if (unit)
		(void)printf("%-34s %10s/s  %s\n", name, rate, caching);
	else
		(void)printf("%-34s %12.0f/s  %s\n", name, per_s, caching);
	return 0;
}

struct row {
	const char *name;
	int (*fn)(struct bench *b);
	uint64_t unit;           /* bytes an operation; 0: operations are told */
	bool flush;              /* an fsync of the file at the end counts */
	bool drop;               /* the page cache forgets the file before */
	const char *caching;
};

static int run_row(struct bench *b, const struct row *row)
{
	double start, end;
	int r = 0;

	if (row->drop)
		(void)posix_fadvise(b->fd, 0, 0, POSIX_FADV_DONTNEED);
	b->n = 0;
	start = now();
	while (r == 0 && !stopped && now() - start < ROW_S) {
		r = row->fn(b);
		b->n += r == 0;
	}
	if (r >= 0 && row->flush)
		r = fsync(b->fd) < 0 ? -errno : r;
	end = now();
	if (stopped)
		return -EINTR;
	return r < 0 ? r : tell(b, row->name, row->unit, b->n, end - start, row->caching);
}

static const struct row crypt_rows[] = {
	{ "seal 4 KiB (XTS, tag, sum)", row_seal, BLOCK_SIZE, false, false, "" },
	{ "open 4 KiB (tag, XTS)", row_open, BLOCK_SIZE, false, false, "" },
	{ "verify 4 KiB (tag)", row_verify, BLOCK_SIZE, false, false, "" },
	{ "checksum 4 KiB (scrub)", row_sum, BLOCK_SIZE, false, false, "" },
	{ "encrypt a name", row_name, 0, false, false, "" },
};

static const struct row dir_rows[] = {
	{ "write 1 MiB, then fsync", row_write, CHUNK, true, false, "at most 256 MiB; the fsync counts" },
	{ "read 1 MiB", row_read, CHUNK, false, true, "this file's pages were dropped; caches below were not" },
	{ "read 1 MiB again", row_read, CHUNK, false, false, "from the page cache" },
	{ "read 4 KiB at random", row_random_read, 0, false, true, "as above, and pages come back as it runs" },
	{ "overwrite 4 KiB, fdatasync each", row_overwrite_sync, 0, false, false, "" },
	{ "append 200 bytes, fdatasync each", row_append_sync, 0, false, false, "" },
	{ "create a file of 4 KiB", row_create, 0, false, false, "at most 2000; none is flushed" },
	{ "delete it", row_delete, 0, false, false, "" },
};

static int run_rows(struct bench *b, const struct row *rows, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = run_row(b, &rows[i]);
	return r;
}

/* ---- keys of nobody, and a directory of our own */

static int make_keys(struct bench *b)
{
	AUTO_SECRET struct secret *root = NULL;
	uint8_t key[KEY_LEN], uuid[UUID_LEN], sealed[KEY_RING_LEN_MAX];
	size_t len;
	int r;

	r = secret_random(key, sizeof(key));
	if (r == 0)
		r = secret_random(uuid, sizeof(uuid));
	if (r == 0)
		r = secret_random(b->id, sizeof(b->id));
	if (r == 0)
		r = secret_new_copy(key, sizeof(key), &root);
	if (r == 0)
		r = key_ring_create(root, uuid, sealed, &len);
	if (r == 0)
		r = key_ring_open(root, uuid, sealed, len, &b->ring);
	if (r == 0)
		r = key_ring_file(b->ring, 1, b->id, &b->keys);
	secret_wipe(key, sizeof(key));
	b->pos = (struct block_pos){ .file_id = b->id, .stamp = 1, .epoch = 1 };
	return r;
}

static int in_dir(struct bench *b, const char *dir)
{
	char name[64];
	int at, r;

	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	(void)snprintf(name, sizeof(name), ".coffer-bench.%ld", (long)getpid());
	r = mkdirat(at, name, 0700) < 0 ? -errno : 0;
	b->dirfd = r == 0 ? openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	b->fd = b->dirfd < 0 ? -1 : openat(b->dirfd, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r == 0)
		r = b->fd < 0 ? -errno : run_rows(b, dir_rows, sizeof(dir_rows) / sizeof(dir_rows[0]));
	if (b->fd >= 0)
		(void)close(b->fd);
	for (b->n = 0; b->dirfd >= 0 && row_delete(b) == 0; b->n++)
		;
	if (b->dirfd >= 0) {
		(void)unlinkat(b->dirfd, "file", 0);
		(void)close(b->dirfd);
	}
	(void)unlinkat(at, name, AT_REMOVEDIR);
	(void)close(at);
	return r;
}

static int bench(struct bench *b, const char *dir)
{
	int r;

	b->bc = blockcrypt_get();
	if (!b->bc || posix_memalign((void **)&b->buf, BLOCK_SIZE, CHUNK) != 0)
		return -ENOMEM;
	r = secret_random(b->buf, 4096);
	for (size_t at = 4096; r == 0 && at < CHUNK; at += 4096) /* nothing that compresses or deduplicates within a block */
		memcpy(b->buf + at, b->buf, 4096);
	if (r == 0)
		r = make_keys(b);
	if (r == 0)
		r = run_rows(b, crypt_rows, sizeof(crypt_rows) / sizeof(crypt_rows[0]));
	return r == 0 && dir ? in_dir(b, dir) : r;
}

int cmd_bench(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE struct bench *b = calloc(1, sizeof(*b));
	struct sigaction sa = { .sa_handler = on_signal };
	int r;

	if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
		return cmd_usage("bench", "needs at most one DIR");
	if (!b)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "bench", "out of memory");
	(void)sigemptyset(&sa.sa_mask);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	b->g = g;
	b->dirfd = b->fd = -1;
	r = bench(b, argc == 2 ? argv[1] : NULL);
	keys_wipe(&b->keys);
	key_ring_free(b->ring);
	free(b->buf);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), argc == 2 ? argv[1] : "bench", "stopped: %s", err_text(r));
	return 0;
}
