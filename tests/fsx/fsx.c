/* fsx.c: a random mix of file operations on a mount, checked against byte arrays; unmounts, and kills the mount, in between.
 *
 *   fsx [-n OPS] [-s SEED] [-f FILES] [-m MAXSIZE] [-u EVERY] [-k EVERY] DIR MOUNT UMOUNT KILL
 *
 * MOUNT, UMOUNT and KILL are shell commands. MOUNT gets the descriptor of the gather log in $FSX_LOG_FD (io/gather_log.h: a line for each file and gather of a
 * test build). KILL ends the mount process with SIGKILL and takes the dead mount away.
 * After a kill each file must read exactly as at one of its gathers, not older than the last one that an fsync was answered for. The same seed gives the
 * same operations. At the first difference: seed, number of the operation, the operations before it, and status 1. */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 8
#define LOG_KEEP 400
#define ALIGN 4096u

struct state_seen {
	uint64_t size, hash;
};

struct model {
	char path[512];
	uint8_t *bytes;
	uint64_t size, ino;
	int fd;
	struct state_seen *hist; /* [0]: at mount or creation; then its gathers, in order */
	size_t nhist, max_hist, acked;
	bool ever_synced;        /* its name is durable */
};

static struct {
	const char *dir, *mount, *umount, *kill;
	uint64_t seed, rng, ops, op, maxsize, umount_every, kill_every;
	unsigned files;
	struct model f[FILES_MAX];
	int log_fd;
	off_t log_at;
	char log_path[64];
	char said[LOG_KEEP][96];
	uint8_t *buf;
} x;

static uint64_t rnd(uint64_t n)
{
	x.rng ^= x.rng << 13;
	x.rng ^= x.rng >> 7;
	x.rng ^= x.rng << 17;
	return (x.rng >> 11) % n;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(x.said[x.op % LOG_KEEP], sizeof(x.said[0]), fmt, ap);
	va_end(ap);
}

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
	uint64_t from = x.op > LOG_KEEP - 1 ? x.op - (LOG_KEEP - 1) : 0;
	va_list ap;

	for (uint64_t i = from; i <= x.op; i++)
		(void)fprintf(stderr, "%8llu %s\n", (unsigned long long)i, x.said[i % LOG_KEEP]);
	(void)fprintf(stderr, "fsx: seed %llu, operation %llu: ", (unsigned long long)x.seed, (unsigned long long)x.op);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

/* ---- files and their histories */

static void remember(struct model *m, uint64_t size, uint64_t hash)
{
	if (m->nhist == m->max_hist) {
		m->max_hist = m->max_hist ? m->max_hist * 2 : 64;
		m->hist = realloc(m->hist, m->max_hist * sizeof(*m->hist));
		if (!m->hist)
			die("out of memory");
	}
	m->hist[m->nhist++] = (struct state_seen){ size, hash };
}

static void restart_history(struct model *m)
{
	m->nhist = m->acked = 0;
	remember(m, m->size, hash_bytes(m->bytes, m->size));
}

/* Take in what the daemon has logged since. */
static void read_log(void)
{
	static char text[1 << 16];
	ssize_t n;

	while ((n = pread(x.log_fd, text, sizeof(text) - 1, x.log_at)) > 0) {
		char *line = text, *end;

		text[n] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			unsigned long long ino, size, hash;

			if (sscanf(line, "G %llu %llu %llx", &ino, &size, &hash) != 3)
				die("gather log: not understood: %.40s", line);
			for (unsigned i = 0; i < x.files; i++)
				if (x.f[i].ino == ino)
					remember(&x.f[i], size, hash);
		}
		if (line == text)
			return;
		x.log_at += line - text;
	}
}

static void open_file(struct model *m)
{
	struct stat st;

	m->fd = open(m->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (m->fd < 0 || fstat(m->fd, &st) < 0)
		die("open %s", m->path);
	m->ino = st.st_ino;
}

static void run(const char *what, const char *cmd)
{
	if (system(cmd) != 0)
		die("%s failed: %s", what, cmd);
}

static void read_all(struct model *m, uint8_t *to, uint64_t *ret_size)
{
	struct stat st;
	uint64_t at = 0;
	ssize_t n;

	if (fstat(m->fd, &st) < 0)
		die("fstat %s", m->path);
	if ((uint64_t)st.st_size > x.maxsize)
		die("%s has %lld bytes", m->path, (long long)st.st_size);
	while ((n = pread(m->fd, to + at, x.maxsize + 1 - at, (off_t)at)) > 0)
		at += (uint64_t)n;
	if (n < 0)
		die("read %s at %llu", m->path, (unsigned long long)at);
	if (at != (uint64_t)st.st_size)
		die("%s: read %llu bytes, size %lld", m->path, (unsigned long long)at, (long long)st.st_size);
	*ret_size = at;
}

static void compare_all(struct model *m)
{
	uint64_t size;

	read_all(m, x.buf, &size);
	if (size != m->size)
		die("%s has %llu bytes, should have %llu", m->path, (unsigned long long)size, (unsigned long long)m->size);
	for (uint64_t i = 0; i < size; i++)
		if (x.buf[i] != m->bytes[i])
			die("%s differs at %llu: %02x, should be %02x", m->path, (unsigned long long)i, x.buf[i], m->bytes[i]);
}

/* ---- operations */

static uint64_t some_offset(const struct model *m)
{
	uint64_t off = rnd(3) ? rnd(m->size + 1) : rnd(x.maxsize);

	return rnd(3) ? off : off / ALIGN * ALIGN;
}

static uint64_t some_length(void)
{
	static const uint64_t most[] = { 1, 64, 600, 5000, 9000, 20000, 70000 };

	return 1 + rnd(most[rnd(7)]);
}

/* Where an operation that writes goes: within the largest size. */
static uint64_t place(struct model *m, uint64_t *off)
{
	uint64_t len = some_length();

	*off = some_offset(m);
	if (*off >= x.maxsize)
		*off = x.maxsize - 1;
	return len > x.maxsize - *off ? x.maxsize - *off : len;
}

static void fill(struct model *m, uint64_t off, uint64_t len)
{
	uint64_t v = x.op * 0x9e3779b97f4a7c15ull + off;

	for (uint64_t i = 0; i < len; i++)
		m->bytes[off + i] = (uint8_t)((v += 0x632be59bd9b4e019ull) >> 56);
	if (off + len > m->size)
		m->size = off + len;
}

static void write_at(struct model *m, int fd, uint64_t off, uint64_t len)
{
	ssize_t n = pwrite(fd, m->bytes + off, len, (off_t)off);

	if (n != (ssize_t)len)
		die("write %s at %llu, %llu bytes: %zd", m->path, (unsigned long long)off, (unsigned long long)len, n);
}

static void op_write(struct model *m)
{
	uint64_t off, len = place(m, &off);

	say("write %s %llu+%llu", m->path, (unsigned long long)off, (unsigned long long)len);
	fill(m, off, len);
	write_at(m, m->fd, off, len);
}

static void op_append(struct model *m)
{
	uint64_t off = m->size, len = some_length();
	int fd;

	if (off >= x.maxsize)
		return;
	if (len > x.maxsize - off)
		len = x.maxsize - off;
	say("append %s %llu+%llu", m->path, (unsigned long long)off, (unsigned long long)len);
	fd = open(m->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		die("open %s", m->path);
	fill(m, off, len);
	if (write(fd, m->bytes + off, len) != (ssize_t)len)
		die("append");
	close(fd);
}

static void check_range(struct model *m, const uint8_t *got, uint64_t off, uint64_t len, const char *how)
{
	for (uint64_t i = 0; i < len; i++)
		if (got[i] != m->bytes[off + i])
			die("%s %s differs at %llu: %02x, should be %02x", how, m->path, (unsigned long long)(off + i), got[i],
			    m->bytes[off + i]);
}

static void op_read(struct model *m)
{
	uint64_t off = some_offset(m), len = some_length(), want;
	ssize_t n;

	want = off >= m->size ? 0 : len < m->size - off ? len : m->size - off;
	say("read %s %llu+%llu", m->path, (unsigned long long)off, (unsigned long long)len);
	n = pread(m->fd, x.buf, len, (off_t)off);
	if (n != (ssize_t)want)
		die("read %s at %llu: %zd of %llu", m->path, (unsigned long long)off, n, (unsigned long long)want);
	check_range(m, x.buf, off, want, "read");
}

static void op_direct(struct model *m, bool writing)
{
	uint64_t off = rnd(x.maxsize / ALIGN) * ALIGN, len = (1 + rnd(40)) * ALIGN, want;
	int fd = open(m->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		die("open O_DIRECT %s", m->path);
	if (len > x.maxsize - off)
		len = x.maxsize - off;
	say("direct %s %s %llu+%llu", writing ? "write" : "read", m->path, (unsigned long long)off, (unsigned long long)len);
	if (writing) {
		fill(m, off, len);
		memcpy(x.buf, m->bytes + off, len);
		n = pwrite(fd, x.buf, len, (off_t)off);
		if (n != (ssize_t)len)
			die("direct write: %zd of %llu", n, (unsigned long long)len);
	} else {
		want = off >= m->size ? 0 : len < m->size - off ? len : m->size - off;
		n = pread(fd, x.buf, len, (off_t)off);
		if (n != (ssize_t)want)
			die("direct read: %zd of %llu", n, (unsigned long long)want);
		check_range(m, x.buf, off, want, "direct read");
	}
	close(fd);
}

static void op_mapped(struct model *m, bool writing)
{
	uint64_t off = some_offset(m), len = some_length(), page;
	uint8_t *p;

	if (off >= m->size)
		return;
	if (len > m->size - off)
		len = m->size - off;
	page = off / ALIGN * ALIGN;
	say("mapped %s %s %llu+%llu", writing ? "write" : "read", m->path, (unsigned long long)off, (unsigned long long)len);
	p = mmap(NULL, off - page + len, PROT_READ | (writing ? PROT_WRITE : 0), writing || rnd(2) ? MAP_SHARED : MAP_PRIVATE, m->fd,
		 (off_t)page);
	if (p == MAP_FAILED)
		die("mmap %s", m->path);
	if (writing) {
		fill(m, off, len);
		memcpy(p + (off - page), m->bytes + off, len);
		if (rnd(4) == 0 && msync(p, off - page + len, MS_SYNC) < 0)
			die("msync");
	} else {
		check_range(m, p + (off - page), off, len, "mapped read");
	}
	munmap(p, off - page + len);
}

static void op_truncate(struct model *m)
{
	uint64_t size = rnd(4) == 0 ? rnd(x.maxsize + 1) : rnd(4) == 0 ? 0 : rnd(m->size + ALIGN);

	if (size > x.maxsize)
		size = x.maxsize;
	say("truncate %s %llu", m->path, (unsigned long long)size);
	if (ftruncate(m->fd, (off_t)size) < 0)
		die("ftruncate");
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
}

/* ---- ranges */

static void op_fallocate(struct model *m)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[rnd(6)];
	uint64_t off, len = place(m, &off), end = off + len;

	say("fallocate %x %s %llu+%llu", (unsigned)mode, m->path, (unsigned long long)off, (unsigned long long)len);
	if (fallocate(m->fd, mode, (off_t)off, (off_t)len) < 0)
		die("fallocate %x %s", (unsigned)mode, m->path);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > m->size)
		m->size = end;
	if (end > m->size)
		end = m->size;
	if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) && off < end)
		memset(m->bytes + off, 0, end - off);
}

static void op_copy(struct model *m)
{
	struct model *to = &x.f[rnd(x.files)];
	uint64_t off = some_offset(m), len = some_length(), at, done = 0;
	ssize_t n;

	(void)place(to, &at);
	if (off >= m->size)
		return;
	if (len > m->size - off)
		len = m->size - off;
	if (len > x.maxsize - at)
		len = x.maxsize - at;
	if (m == to && off < at + len && at < off + len)
		return;
	say("copy %s %llu+%llu to %s %llu", m->path, (unsigned long long)off, (unsigned long long)len, to->path, (unsigned long long)at);
	while (done < len) {
		loff_t from = (loff_t)(off + done), dest = (loff_t)(at + done);

		n = copy_file_range(m->fd, &from, to->fd, &dest, len - done, 0);
		if (n <= 0)
			die("copy_file_range at %llu: %zd", (unsigned long long)done, n);
		done += (uint64_t)n;
	}
	memcpy(to->bytes + at, m->bytes + off, len);
	if (at + len > to->size)
		to->size = at + len;
}

/* Every byte that is not zero lies in data, and the end is where it is. */
static void op_seek(struct model *m)
{
	uint64_t at = rnd(2) ? 0 : some_offset(m);
	off_t data, hole;

	say("seek %s %llu", m->path, (unsigned long long)at);
	if (lseek(m->fd, (off_t)m->size, SEEK_HOLE) >= 0 || errno != ENXIO)
		die("SEEK_HOLE at the end of %s", m->path);
	while (at < m->size) {
		data = lseek(m->fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			die("SEEK_DATA %s at %llu", m->path, (unsigned long long)at);
		hole = lseek(m->fd, data < 0 ? (off_t)at : data, SEEK_HOLE);
		for (uint64_t end = data < 0 ? m->size : (uint64_t)data; at < end; at++)
			if (m->bytes[at])
				die("%s: byte %llu is not zero, but in a hole", m->path, (unsigned long long)at);
		if (hole < data || hole < 0 || (uint64_t)hole > m->size)
			die("SEEK_HOLE %s: %lld behind data at %lld", m->path, (long long)hole, (long long)data);
		at = data < 0 ? m->size : (uint64_t)hole;
	}
}

static void op_fsync(struct model *m)
{
	bool data = rnd(2);

	say("%s %s", data ? "fdatasync" : "fsync", m->path);
	if ((data ? fdatasync(m->fd) : fsync(m->fd)) < 0)
		die("fsync %s", m->path);
	read_log();
	m->acked = m->nhist - 1;
	m->ever_synced = true;
	/* what the daemon gathered last is what we wrote */
	if (m->hist[m->acked].size != m->size || m->hist[m->acked].hash != hash_bytes(m->bytes, m->size))
		die("%s: fsync is answered, but the last gather is of another content", m->path);
}

static void close_all(void)
{
	for (unsigned i = 0; i < x.files; i++)
		close(x.f[i].fd);
}

static void op_remount(void)
{
	say("unmount, mount");
	close_all();
	run("unmount", x.umount);
	run("mount", x.mount);
	for (unsigned i = 0; i < x.files; i++) {
		open_file(&x.f[i]);
		compare_all(&x.f[i]);
	}
	read_log();
	for (unsigned i = 0; i < x.files; i++)
		restart_history(&x.f[i]);
}

/* What came back must be one of the gathers from acked on; it is the truth from now on. */
static void accept_after_kill(struct model *m)
{
	struct stat st;
	uint64_t size, hash;
	size_t i;

	if (stat(m->path, &st) < 0) {
		if (m->ever_synced)
			die("%s is gone, though it was fsynced", m->path);
		m->size = 0;
		memset(m->bytes, 0, x.maxsize);
		open_file(m);
		restart_history(m);
		return;
	}
	open_file(m);
	read_all(m, x.buf, &size);
	hash = hash_bytes(x.buf, size);
	for (i = m->acked; i < m->nhist; i++)
		if (m->hist[i].size == size && m->hist[i].hash == hash)
			break;
	if (i == m->nhist)
		die("%s came back with %llu bytes (hash %016llx): no gather from number %zu to %zu is that", m->path,
		    (unsigned long long)size, (unsigned long long)hash, m->acked, m->nhist - 1);
	memcpy(m->bytes, x.buf, size);
	memset(m->bytes + size, 0, x.maxsize - size);
	m->size = size;
	restart_history(m);
}

static void op_kill(void)
{
	say("SIGKILL, mount");
	run("kill", x.kill);
	close_all();
	read_log();
	run("mount", x.mount);
	for (unsigned i = 0; i < x.files; i++)
		accept_after_kill(&x.f[i]);
	read_log();
}

static void one_op(void)
{
	struct model *m = &x.f[rnd(x.files)];
	uint64_t what = rnd(115);

	if (x.kill_every && rnd(x.kill_every) == 0)
		op_kill();
	else if (x.umount_every && rnd(x.umount_every) == 0)
		op_remount();
	else if (what < 24)
		op_write(m);
	else if (what < 46)
		op_read(m);
	else if (what < 58)
		op_append(m);
	else if (what < 66)
		op_truncate(m);
	else if (what < 74)
		op_mapped(m, true);
	else if (what < 84)
		op_mapped(m, false);
	else if (what < 89)
		op_direct(m, true);
	else if (what < 94)
		op_direct(m, false);
	else if (what < 101)
		op_fallocate(m);
	else if (what < 105)
		op_copy(m);
	else if (what < 108)
		op_seek(m);
	else if (what < 114 || rnd(3))
		rnd(3) ? op_read(m) : op_fsync(m);
	else
		compare_all(m);
}

static void start(void)
{
	char text[32];

	(void)snprintf(x.log_path, sizeof(x.log_path), "/tmp/fsx-log-XXXXXX");
	x.log_fd = mkstemp(x.log_path);
	if (x.log_fd < 0)
		die("gather log");
	unlink(x.log_path);
	(void)fcntl(x.log_fd, F_SETFL, O_APPEND);
	(void)snprintf(text, sizeof(text), "%d", x.log_fd);
	setenv("FSX_LOG_FD", text, 1);
	x.buf = aligned_alloc(ALIGN, (x.maxsize + 400000) / ALIGN * ALIGN + ALIGN);
	if (!x.buf)
		die("out of memory");
	run("mount", x.mount);
	for (unsigned i = 0; i < x.files; i++) {
		struct model *m = &x.f[i];

		m->bytes = calloc(1, x.maxsize + 1);
		(void)snprintf(m->path, sizeof(m->path), "%s/fsx%u", x.dir, i);
		if (!m->bytes)
			die("out of memory");
		open_file(m);
		restart_history(m);
	}
}

int main(int argc, char **argv)
{
	int c;

	x.ops = 10000;
	x.seed = 1;
	x.files = 3;
	x.maxsize = 1500000;
	x.umount_every = 5000;
	x.kill_every = 5000;
	while ((c = getopt(argc, argv, "n:s:f:m:u:k:")) != -1) {
		uint64_t v = c == '?' ? 0 : strtoull(optarg, NULL, 10);

		switch (c) {
		case 'n': x.ops = v; break;
		case 's': x.seed = v; break;
		case 'f': x.files = v > FILES_MAX ? FILES_MAX : (unsigned)v; break;
		case 'm': x.maxsize = v; break;
		case 'u': x.umount_every = v; break;
		case 'k': x.kill_every = v; break;
		default: return 2;
		}
	}
	if (argc - optind != 4 || x.files == 0 || x.maxsize < 2 * ALIGN) {
		(void)fprintf(stderr, "usage: fsx [-n OPS] [-s SEED] [-f FILES] [-m MAXSIZE] [-u EVERY] [-k EVERY] DIR MOUNT UMOUNT KILL\n");
		return 2;
	}
	x.dir = argv[optind];
	x.mount = argv[optind + 1];
	x.umount = argv[optind + 2];
	x.kill = argv[optind + 3];
	x.rng = x.seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull;
	start();
	for (x.op = 0; x.op < x.ops; x.op++)
		one_op();
	for (unsigned i = 0; i < x.files; i++)
		compare_all(&x.f[i]);
	close_all();
	run("unmount", x.umount);
	(void)printf("fsx: %llu operations, seed %llu, no difference\n", (unsigned long long)x.ops, (unsigned long long)x.seed);
	return 0;
}
