/* gcm.c: AES-256-GCM for keys at rest (docs/format.md section 2: sealed_root, wrapped_kek, key_ring).
 *
 * A random 96-bit IV is fit for these records: a key seals a handful of them in its life (docs/crypto.md has the count).
 * GCM does not commit to its key: whoever opens a root key compares its commitment before he uses it. */
#include "crypt/gcm.h"

#include "base/secret.h"
#include "crypt/algs.h"

#include <openssl/evp.h>

DEFINE_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

int gcm_seal(const uint8_t key[static GCM_KEY_LEN], const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
	     uint8_t *ret_out)
{
	AUTO(EVP_CIPHER_CTX_free_p) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t *cipher = ret_out + GCM_IV_LEN;
	uint8_t iv[GCM_IV_LEN];
	const struct algs *algs;
	int n, r;

	if (len > GCM_LEN_MAX || aad_len > GCM_LEN_MAX)
		return -EINVAL;
	r = algs_get(&algs);
	if (r < 0)
		return r;
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return algs_failed(-ENOMEM);
	r = secret_random(iv, sizeof(iv));
	if (r < 0)
		return r;
	if (EVP_EncryptInit_ex2(ctx, algs->gcm, key, iv, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1 ||
	    EVP_EncryptUpdate(ctx, cipher, &n, plain, (int)len) != 1 || EVP_EncryptFinal_ex(ctx, cipher + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, cipher + len) != 1)
		return algs_failed(-ENOMEM);
	for (n = 0; n < GCM_IV_LEN; n++)
		ret_out[n] = iv[n];
	return 0;
}

int gcm_open(const uint8_t key[static GCM_KEY_LEN], const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len,
	     uint8_t *ret_plain)
{
	AUTO(EVP_CIPHER_CTX_free_p) EVP_CIPHER_CTX *ctx = NULL;
	uint8_t tag[GCM_TAG_LEN];
	const struct algs *algs;
	size_t plain_len, i;
	int n, r;

	if (len < GCM_EXTRA || len > GCM_LEN_MAX + GCM_EXTRA || aad_len > GCM_LEN_MAX)
		return -EKEYREJECTED;
	plain_len = len - GCM_EXTRA;
	r = algs_get(&algs);
	if (r < 0)
		return r;
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return algs_failed(-ENOMEM);
	for (i = 0; i < GCM_TAG_LEN; i++)
		tag[i] = in[len - GCM_TAG_LEN + i];
	if (EVP_DecryptInit_ex2(ctx, algs->gcm, key, in, NULL) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, tag) != 1)
		return algs_failed(-ENOMEM);
	if (EVP_DecryptUpdate(ctx, ret_plain, &n, in + GCM_IV_LEN, (int)plain_len) != 1 ||
	    EVP_DecryptFinal_ex(ctx, ret_plain + plain_len, &n) != 1) {
		secret_wipe(ret_plain, plain_len);
		return algs_failed(-EKEYREJECTED);
	}
	return 0;
}
