/* heap.h: the heap given to OpenSSL (keys.h: keys_openssl_heap_init). Of the crypt floor alone. Thread safe. */
#ifndef COFFER_CRYPT_HEAP_H
#define COFFER_CRYPT_HEAP_H

#include "base/err.h"

/* -ENOMEM: the first chunk cannot be locked in memory; -EBUSY: OpenSSL has allocated already. */
int heap_install(void) must_check;

#endif
