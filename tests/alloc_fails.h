/* alloc_fails.h: the n-th allocation from now fails, once or with all behind it. For one test program, linked with --wrap of what it includes: malloc and calloc here; a test that wraps more
 * asks alloc_fails() there. */
#ifndef COFFER_TESTS_ALLOC_FAILS_H
#define COFFER_TESTS_ALLOC_FAILS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static _Atomic long countdown = -1; /* allocations until one fails, of all threads; below 0: none does */
static atomic_bool failed;
static bool for_good;           /* and so do all behind that one, until countdown is -1 again */

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);

static bool alloc_fails(void)
{
	if (countdown < 0 || atomic_fetch_sub(&countdown, 1) != 0)
		return false;
	if (for_good)
		countdown = 0;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return alloc_fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return alloc_fails() ? NULL : __real_calloc(n, size);
}

#endif
