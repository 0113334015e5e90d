/* locker.c: serves a volume of its own and obeys lines on standard input, so that tests can lock a mount without an agent, and look into the process that
 * serves it. Each line is answered with one: "ok ..." or "error -N".
 *
 *   locker DIR MOUNTPOINT [faults]   DIR: empty, or a volume that locker made; MOUNTPOINT/.. is there
 *   lock | unlock | unlock-wrong | sync | quit
 *   fail | hang                with faults: from now on every flush below fails, or every write waits for ever
 *   search | search-dump       own memory: all that is readable, for keys and planted text; or what a core dump would hold, for keys
 *   plant HEX                  text to search for; each byte is given complemented, so that the order itself is not found
 *   files PATH                 take the keys of the backing file PATH too
 *
 * What is searched for is kept complemented as well, in pieces of 16 bytes: a key schedule of AES begins or ends with them. */
#include "fs/ops.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "config_fixture.h"
#include "crypt/gcm.h"
#include "crypt/hkdf.h"
#include "format/layout.h"
#include "lib/fault.h"

#define PIECE 16
#define PAGE ((size_t)4096)
#define PIECES_MAX 256
#define LOG_BLOCKS 4096
#define FILE_ID_AT 16

static struct {
	char name[24];
	uint8_t not[PIECE];
} pieces[PIECES_MAX];
static size_t npieces;

static uint8_t config[65536];
static size_t config_len;
static uint8_t uuid[UUID_LEN] = { 7, 11, 13 };
static struct volume *volume;
static struct fault *fault;
static atomic_bool hangs;
static struct ops *ops;
static pthread_mutex_t ready_m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready_cond = PTHREAD_COND_INITIALIZER;

static void piece_add(const char *name, const uint8_t *p, size_t len)
{
	for (size_t at = 0; at + PIECE <= len && npieces < PIECES_MAX; at += PIECE, npieces++) {
		(void)snprintf(pieces[npieces].name, sizeof(pieces[0].name), "%s+%zu", name, at);
		for (size_t k = 0; k < PIECE; k++)
			pieces[npieces].not[k] = (uint8_t)~p[at + k];
	}
}

/* Made of nothing that stands anywhere as it is. */
static struct secret *root_key(unsigned which)
{
	struct secret *s = NULL;
	uint32_t x = 2463534242u + which;

	if (secret_new(KEY_LEN, &s) < 0)
		abort();
	for (size_t k = 0; k < KEY_LEN; k++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		secret_bytes(s)[k] = (uint8_t)(x >> 11);
	}
	return s;
}

static void ring_pieces(const struct secret *root, const struct volume_config *c)
{
	struct key_ring *ring = NULL;
	struct key_tag tag;
	uint8_t k[64];

	if (hkdf_root(root, HKDF_ROOT_CONFIG_MAC, uuid, k, 32) < 0)
		abort();
	piece_add("config-mac", k, 32);
	if (hkdf_root(root, HKDF_ROOT_KEY_RING, uuid, k, 32) < 0)
		abort();
	piece_add("ring", k, 32);
	if (key_ring_open(root, uuid, c->key_ring, c->key_ring_len, &ring) < 0)
		abort();
	piece_add("names", (const uint8_t *)key_ring_names(ring), sizeof(struct name_keys));
	if (key_ring_state_tag(ring, 1, &tag) < 0)
		abort();
	piece_add("state", tag.k, sizeof(tag.k));
	if (key_ring_log_tag(ring, 1, &tag) < 0)
		abort();
	piece_add("log", tag.k, sizeof(tag.k));
	key_ring_free(ring);
	keys_wipe(&tag);
	secret_wipe(k, sizeof(k));
}

static int take_file_keys(const char *path)
{
	AUTO_SECRET struct secret *root = root_key(0);
	AUTO_KEY_RING struct key_ring *ring = NULL;
	static struct volume_config c;
	struct file_keys keys;
	char what[128];
	uint8_t head[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0 || read(fd, head, sizeof(head)) != sizeof(head))
		return -EIO;
	(void)close(fd);
	r = volume_config_parse(config, config_len, &c, what);
	if (r == 0)
		r = key_ring_open(root, uuid, c.key_ring, c.key_ring_len, &ring);
	if (r == 0)
		r = key_ring_file(ring, 1, head + FILE_ID_AT, &keys);
	if (r < 0)
		return r;
	piece_add("file", (const uint8_t *)&keys, sizeof(keys));
	keys_wipe(&keys);
	vio_forget_thread();
	return 0;
}

static int make_volume(const char *dir)
{
	struct volume_options o = { .unsafe_backing = true };
	AUTO_SECRET struct secret *root = root_key(0);
	static struct volume_config c;
	AUTO_FREE uint8_t *text = NULL;
	struct secret *again;
	char path[4096];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/../locker.config", dir);
	config_fixture_fill(&c, uuid);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	config_len = (size_t)read(fd, config, sizeof(config));
	if (config_len == 0) {
		r = key_ring_create(root, uuid, c.key_ring, &c.key_ring_len);
		if (r == 0)
			r = volume_config_put(&c, root, &text, &config_len);
		if (r < 0 || write(fd, text, config_len) != (ssize_t)config_len)
			return -EIO;
		memcpy(config, text, config_len);
		again = root_key(0);
		r = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (r < 0)
			return -errno;
		r = volume_create(lower_real(), r, config, config_len, &again, LOG_BLOCKS, &o);
		if (r < 0)
			return r;
	} else if (volume_config_parse(config, config_len, &c, path) < 0) {
		return -EUCLEAN;
	}
	(void)close(fd);
	piece_add("root", secret_bytes_const(root), KEY_LEN);
	ring_pieces(root, &c);
	return 0;
}

/* ---- searching */

static uint8_t first[65536]; /* the first two bytes of some piece */

/* A look at each byte of the process is not to be noted for each byte. */
#define UNWATCHED __attribute__((no_sanitize("thread")))

UNWATCHED static bool is_here(const uint8_t *p, const uint8_t *not)
{
	for (size_t k = 0; k < PIECE; k++)
		if ((p[k] ^ not[k]) != 0xff)
			return false;
	return true;
}

UNWATCHED static unsigned search_range(const uint8_t *p, size_t len, const char *name, bool keys)
{
	unsigned found = 0;

	for (size_t at = 0; at + PIECE <= len; at++) {
		if (!first[p[at] << 8 | p[at + 1]])
			continue;
		for (size_t i = 0; i < npieces; i++) {
			if (!is_here(p + at, pieces[i].not) || (keys && strcmp(pieces[i].name, "planted") == 0))
				continue;
			found++;
			(void)fprintf(stderr, "found %s in %s\n", pieces[i].name, name);
		}
	}
	return found;
}

/* Pages that nobody has touched hold nothing, and most of a thread's stack is such. */
static bool is_there(const uint8_t *p)
{
	static int fd = -1;
	uint64_t entry = 0;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * sizeof(entry))) != sizeof(entry))
		return true;
	return entry >> 62 != 0;
}

/* Through a copy, because what others map and unmap meanwhile is not there any more; secret memory cannot be copied so, but it stays. */
static unsigned search_map(const uint8_t *p, size_t len, const char *name, bool keys)
{
	static uint8_t *copy;
	unsigned found = 0;

	if (!copy)
		copy = mmap(NULL, PAGE + PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		abort();
	if (p == copy)
		return 0;
	for (size_t at = 0; at < len; at += PAGE) {
		size_t n = len - at < PAGE + PIECE ? len - at : PAGE + PIECE;
		union {
			const uint8_t *from;
			void *there;
		} u = { .from = p + at };
		struct iovec here = { copy, n }, there = { u.there, n };
		ssize_t got;

		if (!is_there(p + at))
			continue;
		got = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
		if (got > 0)
			found += search_range(copy, (size_t)got, name, keys);
		else if (strstr(name, "secretmem"))
			found += search_range(p + at, n, name, keys);
	}
	secret_wipe(copy, PAGE + PIECE);
	return found;
}

/* ThreadSanitizer's shadow: terabytes, of which one look at each page takes hours; it holds no byte of ours. */
static bool is_shadow(size_t len)
{
#if defined(__SANITIZE_THREAD__)
	return len > 1ull << 32;
#else
	(void)len;
	return false;
#endif
}

/* dump: for keys alone, in what a core dump would hold. */
static int search(bool dump)
{
	static char line[4096], name[4096];
	unsigned long from = 0, to = 0, a, b;
	unsigned found = 0, maps = 0;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool readable = false;
	char perms[8];

	if (!f)
		return -errno;
	for (size_t i = 0; i < npieces; i++)
		first[(pieces[i].not[0] ^ 0xff) << 8 | (pieces[i].not[1] ^ 0xff)] = 1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &a, &b, perms) == 3) {
			from = a; /* a line that is none may have begun like one */
			to = b;
			(void)snprintf(name, sizeof(name), "%s", line);
			name[strcspn(name, "\n")] = '\0';
			readable = perms[0] == 'r' && !strstr(line, "[v");
		} else if (strncmp(line, "VmFlags:", 8) == 0 && readable && !(dump && strstr(line, " dd")) && !is_shadow(to - from)) {
			maps++;
			found += search_map((const uint8_t *)from, to - from, name, dump); /* NOLINT: an address is what it is */
		}
	}
	(void)fclose(f);
	(void)fprintf(stderr, "searched %u mappings for %zu pieces: %u\n", maps, npieces, found);
	return (int)found;
}

static void plant(const char *hex)
{
	for (; strlen(hex) >= 2 * PIECE && npieces < PIECES_MAX; hex += 2 * PIECE, npieces++) {
		(void)snprintf(pieces[npieces].name, sizeof(pieces[0].name), "planted");
		for (size_t k = 0; k < PIECE; k++) {
			unsigned byte = 0;

			(void)sscanf(hex + 2 * k, "%2x", &byte);
			pieces[npieces].not[k] = (uint8_t)byte;
		}
	}
}

/* ---- faults */

static void maybe_hang(void *arg, enum fault_kind kind, int fd, bool before)
{
	(void)arg;
	(void)fd;
	while (before && kind == FAULT_KIND_pwritev && atomic_load(&hangs))
		(void)pause();
}

/* ---- serving */

static void on_ready(void *ctx, struct ops *o)
{
	(void)ctx;
	pthread_mutex_lock(&ready_m);
	ops = o;
	pthread_cond_broadcast(&ready_cond);
	pthread_mutex_unlock(&ready_m);
}

static void *serve(void *arg)
{
	static int r;

	r = ops_serve(arg);
	return &r;
}

static int obey(char *line)
{
	struct secret *root;
	int r = 0;

	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "lock") == 0) {
		r = ops_lock(ops);
	} else if (strncmp(line, "unlock", 6) == 0) {
		root = root_key(line[6] != '\0');
		r = ops_unlock(ops, config, config_len, &root);
	} else if (strcmp(line, "fail") == 0) {
		fault_fail(fault, FAULT_FLUSHES, 1, EIO, FAULT_FOREVER, 0);
	} else if (strcmp(line, "hang") == 0) {
		atomic_store(&hangs, true);
	} else if (strcmp(line, "sync") == 0) {
		r = ops_sync(ops);
	} else if (strncmp(line, "plant ", 6) == 0) {
		plant(line + 6);
	} else if (strncmp(line, "files ", 6) == 0) {
		r = take_file_keys(line + 6);
	} else if (strncmp(line, "search", 6) == 0) {
		r = search(line[6] != '\0');
	} else {
		r = -EINVAL;
	}
	(void)printf(r < 0 ? "error %d\n" : "ok %d\n", r);
	(void)fflush(stdout);
	return r;
}

int main(int argc, char **argv)
{
	struct volume_options o = { .unsafe_backing = true };
	struct ops_params p = { .threads = 8, .allow_other = true, .ready = on_ready, .fuse_uring = getenv("LOCKER_FUSE_URING") };
	struct secret *root;
	struct lower *l = lower_real();
	struct ops *session;
	static char line[65536], holder[VOLUME_HOLDER_MAX];
	pthread_t t;
	void *served;
	int fd, r;

	if (argc < 3 || keys_openssl_heap_init() < 0)
		return 2;
	if (argc > 3) {
		fault = fault_new(l);
		fault_watch(fault, maybe_hang, NULL);
		l = fault_lower(fault);
		p.lock_ms = 1000;
	}
	r = make_volume(argv[1]);
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	root = root_key(0);
	if (r == 0)
		r = volume_open(l, fd, config, config_len, &root, &o, NULL, holder, &volume);
	if (r < 0)
		return (void)fprintf(stderr, "locker: %s: %s\n", argv[1], strerror(-r)), 1;
	p.volume = volume;
	p.mountpoint = argv[2];
	if (ops_mount(&p, &session) < 0 || pthread_create(&t, NULL, serve, session) != 0)
		return 1;
	pthread_mutex_lock(&ready_m);
	while (!ops)
		pthread_cond_wait(&ready_cond, &ready_m);
	pthread_mutex_unlock(&ready_m);
	vio_forget_thread();
	(void)puts("ok ready");
	(void)fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0)
		(void)obey(line);
	ops_stop(ops);
	(void)pthread_join(t, &served);
	ops_unmounted(session);
	r = volume_close(volume);
	(void)printf("ok served %d closed %d\n", *(int *)served, r);
	return r < 0 ? 1 : 0;
}
