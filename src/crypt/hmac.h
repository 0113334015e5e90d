/* hmac.h: HMAC (RFC 2104): with SHA-256 for the signatures that clouds ask of requests (net/sigv4.h), with SHA-512 for HKDF (crypt/hkdf.h). Not for our own keys:
 * those are types (crypt/keys.h). Pure, thread safe. */
#ifndef COFFER_CRYPT_HMAC_H
#define COFFER_CRYPT_HMAC_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HMAC_SHA256_LEN 32
#define HMAC_SHA512_LEN 64

/* ret_mac may be key: a chain of them needs one buffer, which the caller wipes. -ENOMEM, -EOPNOTSUPP. */
int hmac_sha256(const void *key, size_t key_len, const void *p, size_t len, uint8_t ret_mac[static HMAC_SHA256_LEN]) must_check;
int hmac_sha512(const void *key, size_t key_len, const void *p, size_t len, uint8_t ret_mac[static HMAC_SHA512_LEN]) must_check;

#endif
