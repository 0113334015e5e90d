/* alloc_fails_more.h: the other ways to allocate fail as well. For a test program linked with --wrap of all that is here, beside those of alloc_fails.h. */
#ifndef COFFER_TESTS_ALLOC_FAILS_MORE_H
#define COFFER_TESTS_ALLOC_FAILS_MORE_H

#include "alloc_fails.h"

#include <errno.h>

void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);
int __wrap_posix_memalign(void **ret_p, size_t align, size_t n);
char *__wrap_strdup(const char *s);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
int __real_posix_memalign(void **ret_p, size_t align, size_t n);
char *__real_strdup(const char *s);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return alloc_fails() ? NULL : __real_aligned_alloc(align, n);
}

int __wrap_posix_memalign(void **ret_p, size_t align, size_t n)
{
	return alloc_fails() ? ENOMEM : __real_posix_memalign(ret_p, align, n);
}

char *__wrap_strdup(const char *s)
{
	return alloc_fails() ? NULL : __real_strdup(s);
}

#endif
