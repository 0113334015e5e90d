/* memory.c: malloc and its like, wrapped (memory.h). */
#include "tests/torture/memory.h"

#include "tests/crash/crash.h"
#include "tests/lib/fault.h"

#include <assert.h>
#include <errno.h>
#include <execinfo.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEPTH 14

extern const char __executable_start;

static uint64_t first, most, seen;
static bool happened;
static void *frames[DEPTH];
static int depth;
static atomic_long live;

#define WRAPS(X)                                                                    \
	X(void *, malloc, (size_t n), (n))                                          \
	X(void *, calloc, (size_t n, size_t size), (n, size))                       \
	X(void *, aligned_alloc, (size_t align, size_t n), (align, n))              \
	X(char *, strdup, (const char *s), (s))                                     \
	X(char *, strndup, (const char *s, size_t n), (s, n))

#define DECLARE(type, name, params, args)                                           \
	type __wrap_##name params;                                                  \
	type __real_##name params;
WRAPS(DECLARE)
void *__wrap_realloc(void *p, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
int __wrap_posix_memalign(void **ret_p, size_t align, size_t n);
int __real_posix_memalign(void **ret_p, size_t align, size_t n);
void __wrap_free(void *p);
void __real_free(void *p);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);

static bool fails(void)
{
	if (!first || fault_below || world_own)
		return false;
	seen++;
	if (seen < first || seen - first >= most)
		return false;
	if (!happened) {
		happened = true;
		world_own++; /* backtrace allocates when it is first called */
		depth = backtrace(frames, DEPTH);
		world_own--;
	}
	errno = ENOMEM;
	return true;
}

static void *got(void *p)
{
	if (p)
		(void)atomic_fetch_add(&live, 1);
	return p;
}

#define DEFINE(type, name, params, args)                                            \
	type __wrap_##name params                                                   \
	{                                                                           \
		return fails() ? NULL : got(__real_##name args);                    \
	}
WRAPS(DEFINE)

void *__wrap_realloc(void *p, size_t n)
{
	void *q;

	if (fails())
		return NULL;
	q = __real_realloc(p, n);
	return p ? q : got(q);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	void *q;

	if (fails())
		return NULL;
	q = __real_reallocarray(p, n, size);
	return p ? q : got(q);
}

int __wrap_posix_memalign(void **ret_p, size_t align, size_t n)
{
	int r = fails() ? ENOMEM : __real_posix_memalign(ret_p, align, n);

	if (r == 0)
		(void)got(*ret_p);
	return r;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return fails() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, off);
}

void __wrap_free(void *p)
{
	if (p)
		(void)atomic_fetch_sub(&live, 1);
	__real_free(p);
}

static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

void memory_init(void)
{
	int r = CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);

	assert(r == 1);
	(void)r;
}

void memory_fail(uint64_t n, uint64_t times)
{
	first = n;
	most = times;
	seen = 0;
	if (n)
		happened = false;
}

bool memory_happened(void)
{
	return happened;
}

const char *memory_where(void)
{
	static char text[DEPTH * 20];
	size_t at = 0;

	text[0] = '\0';
	for (int i = 1; i < depth; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %tx", (const char *)frames[i] - &__executable_start);
	return text;
}

long memory_live(void)
{
	return atomic_load(&live);
}
