/* hkdf.c: RFC 5869 in the two halves that the key ring needs apart: extract once per epoch, expand once per file.
 *
 * No key of format 1 is longer than 64 bytes, so that an expand is one HMAC-SHA-512 over info || 0x01. keys_hkdf() does
 * the same in one call through EVP_KDF, and the tests compare the two. */
#include "crypt/hkdf.h"

#include <assert.h>
#include <string.h>

#include "crypt/hmac.h"

_Static_assert(HKDF_PRK_LEN == HMAC_SHA512_LEN, "HKDF is with SHA-512");

static size_t lp_put(uint8_t *p, const void *x, size_t len)
{
	p[0] = (uint8_t)len;
	p[1] = (uint8_t)(len >> 8);
	memcpy(p + 2, x, len);
	return 2 + len;
}

size_t hkdf_info_put(const char *label, const uint8_t uuid[static UUID_LEN], const uint8_t *file_id,
		     uint8_t ret_info[static HKDF_INFO_MAX])
{
	size_t len = strlen(label);

	assert(len <= HKDF_LABEL_MAX);
	len = lp_put(ret_info, label, len);
	len += lp_put(ret_info + len, uuid, UUID_LEN);
	if (file_id)
		len += lp_put(ret_info + len, file_id, FILE_ID_LEN);
	return len;
}

int hkdf_extract(const uint8_t *ikm, size_t ikm_len, uint8_t ret_prk[static HKDF_PRK_LEN])
{
	return hmac_sha512(HKDF_SALT, sizeof(HKDF_SALT) - 1, ikm, ikm_len, ret_prk);
}

int hkdf_expand(const uint8_t prk[static HKDF_PRK_LEN], const char *label, const uint8_t uuid[static UUID_LEN],
		const uint8_t *file_id, uint8_t ret_out[static HKDF_PRK_LEN])
{
	uint8_t info[HKDF_INFO_MAX + 1];
	size_t len = hkdf_info_put(label, uuid, file_id, info);

	info[len++] = 1;
	return hmac_sha512(prk, HKDF_PRK_LEN, info, len, ret_out);
}

int hkdf_root(const struct secret *root, const char *label, const uint8_t uuid[static UUID_LEN], uint8_t *ret_out,
	      size_t len)
{
	static const uint8_t salt[] = HKDF_SALT;
	uint8_t info[HKDF_INFO_MAX];
	size_t info_len;

	if (secret_len(root) != KEY_LEN)
		return -EINVAL;
	info_len = hkdf_info_put(label, uuid, NULL, info);
	return keys_hkdf(salt, sizeof(salt) - 1, secret_bytes_const(root), KEY_LEN, info, info_len, ret_out, len);
}
