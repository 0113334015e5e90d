/* siv.h: AES-256-SIV (RFC 5297) with at most one associated string: SIV(16) || ciphertext. Of the crypt floor alone. Pure,
 * thread safe. */
#ifndef COFFER_CRYPT_SIV_H
#define COFFER_CRYPT_SIV_H

#include "crypt/keys.h"

#define SIV_LEN 16
#define SIV_TEXT_MAX 65536

/* ad NULL: no associated string (not the same as an empty one, which is refused: -EINVAL). ret_out has len + SIV_LEN bytes.
 * -EINVAL above SIV_TEXT_MAX. */
int siv_seal(const struct key_siv *key, const uint8_t *ad, size_t ad_len, const uint8_t *plain, size_t len,
	     uint8_t *ret_out) must_check;
/* ret_plain has len - SIV_LEN bytes; on failure they are not what they were: the caller lends a buffer of his own.
 * -EBADMSG. */
int siv_open(const struct key_siv *key, const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
	     uint8_t *ret_plain) must_check;

#endif
