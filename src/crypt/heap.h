/* heap.h: the heap given to OpenSSL (keys.h: keys_openssl_heap_init), and by net/http.c to libcurl: neither can be told where its copies of
 * keys and tokens go. Thread safe. */
#ifndef COFFER_CRYPT_HEAP_H
#define COFFER_CRYPT_HEAP_H

#include "base/err.h"

#include <stddef.h>

/* -ENOMEM: the first chunk cannot be locked in memory; -EBUSY: OpenSSL has allocated already. */
int heap_install(void) must_check;

/* malloc(3), realloc(3) and free(3) with this heap; it need not be installed. heap_resize(p, 0) frees. What is freed is wiped. */
void *heap_alloc(size_t n);
void *heap_resize(void *p, size_t n);
void heap_release(void *p);

#endif
