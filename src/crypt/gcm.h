/* gcm.h: AES-256-GCM with a random IV, for the few records that seal keys and credentials: iv(12) || ciphertext || tag(16). Not for blocks
 * or names. Of the crypt floor alone. Pure but for the IV; thread safe. */
#ifndef COFFER_CRYPT_GCM_H
#define COFFER_CRYPT_GCM_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define GCM_KEY_LEN 32
#define GCM_IV_LEN 12
#define GCM_TAG_LEN 16
#define GCM_EXTRA (GCM_IV_LEN + GCM_TAG_LEN)
#define GCM_LEN_MAX (1u << 20)      /* a sealed credential; all else is much smaller */

/* ret_out has len + GCM_EXTRA bytes. -EINVAL above GCM_LEN_MAX. */
int gcm_seal(const uint8_t key[static GCM_KEY_LEN], const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
	     uint8_t *ret_out) must_check;
/* ret_plain has len - GCM_EXTRA bytes, and is wiped again if the tag does not fit: -EKEYREJECTED. */
int gcm_open(const uint8_t key[static GCM_KEY_LEN], const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
	     uint8_t *ret_plain) must_check;

#endif
