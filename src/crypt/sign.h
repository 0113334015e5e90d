/* sign.h: Ed25519 (RFC 8032) for anchors of the audit log (docs/protocol.md, "Audit log"). The key is its 32-byte seed, in secret
 * memory. What is signed begins with a label of its own, so that no signature can stand for another use; that is the caller's. Pure,
 * thread safe. */
#ifndef COFFER_CRYPT_SIGN_H
#define COFFER_CRYPT_SIGN_H

#include "base/err.h"
#include "base/secret.h"

#include <stddef.h>
#include <stdint.h>

#define SIGN_SEED_LEN 32
#define SIGN_PUBLIC_LEN 32
#define SIGN_LEN 64

/* -EINVAL: seed is not SIGN_SEED_LEN bytes; -ENOMEM; -EOPNOTSUPP: this OpenSSL has no Ed25519. */
int sign_public(const struct secret *seed, uint8_t ret_public[static SIGN_PUBLIC_LEN]) must_check;
int sign_make(const struct secret *seed, const void *p, size_t len, uint8_t ret_signature[static SIGN_LEN]) must_check;
/* -EBADMSG: not by that key over those bytes. */
int sign_check(const uint8_t public_key[static SIGN_PUBLIC_LEN], const void *p, size_t len,
	       const uint8_t signature[static SIGN_LEN]) must_check;

#endif
