/* hkdf.h: extract and labelled expand of HKDF-SHA-512, and every label of format 1 (docs/format.md section 2). Of the crypt
 * floor alone. Pure, thread safe; the caller wipes results. */
#ifndef COFFER_CRYPT_HKDF_H
#define COFFER_CRYPT_HKDF_H

#include "crypt/keys.h"

#define HKDF_SALT "coffer format 1"      /* of every extract; 15 bytes, no NUL */

/* Labels, by what they are expanded from. */
#define HKDF_ROOT_CONFIG_MAC "config mac"
#define HKDF_ROOT_KEY_RING "key ring"
#define HKDF_ROOT_COMMITMENT "commitment"
#define HKDF_ROOT_BACKUP_MAC "backup mac"
#define HKDF_RECOVERY_ID "recovery id"
#define HKDF_CREDENTIAL_KEY "credential"
#define HKDF_CREDENTIAL_COMMITMENT "cred commitment"
#define HKDF_NAMES_NAME "name"
#define HKDF_NAMES_SYMLINK "symlink"
#define HKDF_NAMES_XATTR_NAME "xattr name"
#define HKDF_NAMES_XATTR_VALUE "xattr value"
#define HKDF_MASTER_STATE_TAG "state tag"
#define HKDF_MASTER_LOG_TAG "log tag"
#define HKDF_MASTER_FILE_TAG "file tag"
#define HKDF_MASTER_FILE_XTS "file xts"

#define HKDF_PRK_LEN 64
#define HKDF_LABEL_MAX 16
#define HKDF_INFO_MAX (2 + HKDF_LABEL_MAX + 2 + UUID_LEN + 2 + FILE_ID_LEN)

/* lp(label) || lp(uuid), and || lp(file_id) unless that is NULL; returns the length. */
size_t hkdf_info_put(const char *label, const uint8_t uuid[static UUID_LEN], const uint8_t *file_id,
		     uint8_t ret_info[static HKDF_INFO_MAX]);
/* PRK = HMAC-SHA-512(HKDF_SALT, ikm). */
int hkdf_extract(const uint8_t *ikm, size_t ikm_len, uint8_t ret_prk[static HKDF_PRK_LEN]) must_check;
/* The first output block, which is all that format 1 ever takes: HMAC-SHA-512(PRK, info || 0x01). */
int hkdf_expand(const uint8_t prk[static HKDF_PRK_LEN], const char *label, const uint8_t uuid[static UUID_LEN],
		const uint8_t *file_id, uint8_t ret_out[static HKDF_PRK_LEN]) must_check;

/* A key of len bytes (at most HKDF_PRK_LEN) of the root key: extract and expand in one, through EVP_KDF.
 * -EINVAL: root is not KEY_LEN bytes. */
int hkdf_root(const struct secret *root, const char *label, const uint8_t uuid[static UUID_LEN], uint8_t *ret_out,
	      size_t len) must_check;

#endif
