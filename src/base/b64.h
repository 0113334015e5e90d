/* b64.h: standard base64 with padding (RFC 4648 section 4), and base64url without (section 5), strict: what decodes has exactly one encoding.
 * No branch and no table lookup depends on the bytes, which may be key bytes. Pure. */
#ifndef COFFER_BASE_B64_H
#define COFFER_BASE_B64_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Characters for len bytes, without the NUL; len is below 2^31 by contract. */
#define B64_LEN(len) (((len) + 2) / 3 * 4)

/* Writes B64_LEN(len) characters and a NUL. */
void b64_encode(const void *p, size_t len, char *out);

/* Decode n characters into at most max bytes of out. -EUCLEAN malformed, -EMSGSIZE more than max bytes;
 * then the contents of out are unspecified. */
int b64_decode(const char *text, size_t n, void *out, size_t max, size_t *ret_len) must_check;

/* The same in base64url; returns the length, which is below B64_LEN(len) when len is no multiple of 3. */
size_t b64_url_encode(const void *p, size_t len, char *out);
int b64_url_decode(const char *text, size_t n, void *out, size_t max, size_t *ret_len) must_check;

#endif
