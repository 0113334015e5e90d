/* rsa.h: RSA signatures with SHA-256 and PKCS #1 v1.5 padding (RFC 7518 section 3.3, "RS256"), for the tokens that a service account of Google
 * signs. Pure, thread safe. The key is parsed for each call and wiped behind it: one signature an hour. */
#ifndef COFFER_CRYPT_RSA_H
#define COFFER_CRYPT_RSA_H

#include "base/err.h"
#include "base/secret.h"

#include <stddef.h>
#include <stdint.h>

#define RSA_SIGN_BITS_MIN 2048
#define RSA_SIGN_MAX 1024 /* of a key of 8192 bits */

/* Sign len bytes of p by the private key whose PEM text (PKCS #8 or #1, no passphrase) is the first pem_len bytes of pem. -EINVAL: it is no RSA
 * key of RSA_SIGN_BITS_MIN to 8 * RSA_SIGN_MAX bits; -ENOMEM. */
int rsa_sign(const struct secret *pem, size_t pem_len, const void *p, size_t len, uint8_t ret_signature[static RSA_SIGN_MAX],
	       size_t *ret_len) must_check;

#endif
