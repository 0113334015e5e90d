/* secret.c: one mapping a secret.
 *
 *   | guard page, no access | pages: ......[16-aligned secret] | guard page, no access |
 *
 * The secret stands at the end of its pages, so that running past it faults at once (up to 15 bytes of
 * padding aside). Memory locks are not inherited: a program forks before it makes secrets. */
#include "base/secret.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC 0x5345434d
#endif

#define SECRET_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct secret {
	uint8_t *p;
	size_t len;
	uint8_t *map; /* with both guard pages */
	size_t map_len;
};

static int open_secretmem(void)
{
#if HAVE_DECL_SYS_MEMFD_SECRET
	long fd = syscall(SYS_memfd_secret, O_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
#else
	return -ENOSYS;
#endif
}

/* Put memory that is neither swapped nor dumped over pages[len], which is reserved already. */
static int map_pages(uint8_t *pages, size_t len)
{
	AUTO_CLOSE int fd = open_secretmem();

	if (fd >= 0 && ftruncate(fd, (off_t)len) == 0 &&
	    mmap(pages, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
		return 0;

	if (mmap(pages, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -errno;
	if (mlock(pages, len) < 0)
		return -ENOMEM; /* EPERM and EAGAIN mean the same to our callers */
	if (madvise(pages, len, MADV_DONTDUMP) < 0)
		return -errno;
	return 0;
}

int secret_new(size_t len, struct secret **ret_s)
{
	AUTO_SECRET struct secret *s = NULL;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t pages_len;
	void *map;
	int r;

	if (len == 0 || len > SECRET_LEN_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;

	pages_len = (len + page - 1) / page * page;
	map = mmap(NULL, pages_len + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	s->map = map;
	s->map_len = pages_len + 2 * page;
	r = map_pages(s->map + page, pages_len);
	if (r < 0)
		return r;
	s->len = len;
	s->p = s->map + page + (pages_len - len) / 16 * 16;
	*ret_s = take_ptr(s);
	return 0;
}

int secret_new_copy(const void *p, size_t len, struct secret **ret_s)
{
	struct secret *s;
	int r;

	r = secret_new(len, &s);
	if (r < 0)
		return r;
	memcpy(s->p, p, len);
	*ret_s = s;
	return 0;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	if (s->p)
		secret_wipe(s->p, s->len);
	if (s->map)
		(void)munmap(s->map, s->map_len);
	free(s);
}

uint8_t *secret_bytes(struct secret *s)
{
	return s->p;
}

const uint8_t *secret_bytes_const(const struct secret *s)
{
	return s->p;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

void secret_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

#define STACK_STEP 8192u

/* Not inlined, and something is done behind the inner call: else the compiler makes one frame of all. */
static __attribute__((noinline)) void wipe_below(size_t left)
{
	uint8_t p[STACK_STEP];

	secret_wipe(p, sizeof(p));
	if (left > sizeof(p))
		wipe_below(left - sizeof(p));
	__asm__ volatile("" : : "r"(p) : "memory");
}

void secret_wipe_stack(void)
{
	wipe_below(SECRET_STACK_LEN);
}

void secret_hide_stack(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len;
	pthread_attr_t attr;
	void *at;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return;
	if (pthread_attr_getstack(&attr, &at, &len) == 0) {
		uintptr_t from = ((uintptr_t)at + page - 1) / page * page;
		uint8_t *p = (uint8_t *)at + (from - (uintptr_t)at);

		/* Of the first thread's only what has been touched is there; of that it is true all the same. */
		(void)madvise(p, ((uintptr_t)at + len - from) / page * page, MADV_DONTDUMP);
	}
	(void)pthread_attr_destroy(&attr);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a;
	const volatile uint8_t *y = b;
	unsigned diff = 0;
	size_t i;

	for (i = 0; i < n; i++)
		diff |= (unsigned)(x[i] ^ y[i]);
	return diff == 0;
}

int secret_random(void *p, size_t n)
{
	uint8_t *at = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

/* A sealed memfd; its page may be swapped between this call and the receiver's unmapping, which is why
 * secretmem comes first. */
static int open_memfd(void)
{
	int fd = memfd_create("coffer-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : fd;
}

static int fill_fd(int fd, const struct secret *s)
{
	void *m;

	if (ftruncate(fd, (off_t)s->len) < 0)
		return -errno;
	m = mmap(NULL, s->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	memcpy(m, s->p, s->len);
	(void)munmap(m, s->len);
	return 0;
}

int secret_to_fd(const struct secret *s, int *ret_fd)
{
	AUTO_CLOSE int sfd = open_secretmem();
	AUTO_CLOSE int fd = -1;
	int r;

	if (sfd >= 0 && fill_fd(sfd, s) == 0) {
		*ret_fd = take_fd(&sfd);
		return 0;
	}
	fd = open_memfd();
	if (fd < 0)
		return fd;
	r = fill_fd(fd, s);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, SECRET_SEALS) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Nobody can cut this file short while it is mapped, which would be SIGBUS for us: secretmem takes a size
 * once, a memfd must be sealed. */
static int check_fd(int fd, size_t len)
{
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size != len)
		return -EPROTO;
	if ((unsigned long)fs.f_type == SECRETMEM_MAGIC)
		return 0;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SECRET_SEALS) != SECRET_SEALS)
		return -EPROTO;
	return 0;
}

int secret_from_fd(int fd, size_t len, struct secret **ret_s)
{
	void *m;
	int r;

	if (len == 0 || len > SECRET_LEN_MAX)
		return -EINVAL;
	r = check_fd(fd, len);
	if (r < 0)
		return r;
	m = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	r = secret_new_copy(m, len, ret_s);
	(void)munmap(m, len);
	return r;
}

int secret_harden_process(void)
{
	static const struct rlimit none;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
