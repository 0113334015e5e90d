/* digest.h: SHA-256 of public bytes: chains of audit lines, names of state files. Not for keys (crypt/keys.h). Pure. */
#ifndef COFFER_CRYPT_DIGEST_H
#define COFFER_CRYPT_DIGEST_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_LEN 32

/* -ENOMEM (nothing else can fail). */
int digest_sha256(const void *p, size_t len, uint8_t ret_digest[static DIGEST_SHA256_LEN]) must_check;

#endif
