/* siv.c: AES-256-SIV through EVP.
 *
 * What one must know about OpenSSL 3.0's: a context does one message per key setup; the SIV goes in before the text when
 * opening and comes out after it when sealing; each update without an output is one more associated string; and a message
 * of no bytes never reaches the cipher, so that its SIV, which is S2V over the strings alone, is computed here with CMAC
 * (rare: empty values of extended attributes; the context is made anew, for an unkeyed one of CMAC cannot be copied).
 * A context lives for one message, so no key outlives a call. */
#include "crypt/siv.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "crypt/algs.h"

DEFINE_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
DEFINE_AUTO(EVP_MAC_CTX, EVP_MAC_CTX_free)

/* Multiply by x in GF(2^128), big endian (RFC 5297 section 2.3). */
static void dbl(uint8_t d[static SIV_LEN])
{
	uint8_t carry = d[0] >> 7;
	size_t i;

	for (i = 0; i < SIV_LEN - 1; i++)
		d[i] = (uint8_t)(d[i] << 1 | d[i + 1] >> 7);
	d[SIV_LEN - 1] = (uint8_t)(d[SIV_LEN - 1] << 1 ^ (carry ? 0x87 : 0));
}

static int cmac(EVP_MAC_CTX *ctx, const struct key_siv *key, const uint8_t *p, size_t len, uint8_t ret_mac[static SIV_LEN])
{
	char cipher[] = "AES-256-CBC";
	OSSL_PARAM params[2];
	size_t n;

	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (EVP_MAC_init(ctx, key->k, KEY_LEN, params) != 1 || EVP_MAC_update(ctx, p, len) != 1 ||
	    EVP_MAC_final(ctx, ret_mac, &n, SIV_LEN) != 1 || n != SIV_LEN)
		return algs_failed(-ENOMEM);
	return 0;
}

/* S2V(K1, ad, "") of RFC 5297 section 2.4: D = CMAC(0); D = dbl(D) ^ CMAC(ad); CMAC(dbl(D) ^ 10*). */
static int siv_of_nothing(const struct algs *algs, const struct key_siv *key, const uint8_t *ad, size_t ad_len,
			  uint8_t ret_siv[static SIV_LEN])
{
	static const uint8_t zero[SIV_LEN];
	AUTO(EVP_MAC_CTX_free_p) EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(algs->cmac);
	uint8_t d[SIV_LEN], mac[SIV_LEN];
	size_t i;
	int r;

	if (!ctx)
		return algs_failed(-ENOMEM);
	r = cmac(ctx, key, zero, sizeof(zero), d);
	if (r < 0)
		return r;
	if (ad) {
		r = cmac(ctx, key, ad, ad_len, mac);
		if (r < 0)
			return r;
		dbl(d);
		for (i = 0; i < SIV_LEN; i++)
			d[i] ^= mac[i];
	}
	dbl(d);
	d[0] ^= 0x80;
	return cmac(ctx, key, d, sizeof(d), ret_siv);
}

int siv_seal(const struct key_siv *key, const uint8_t *ad, size_t ad_len, const uint8_t *plain, size_t len,
	     uint8_t *ret_out)
{
	AUTO(EVP_CIPHER_CTX_free_p) EVP_CIPHER_CTX *ctx = NULL;
	const struct algs *algs;
	int n, r;

	if (len > SIV_TEXT_MAX || ad_len > SIV_TEXT_MAX || (ad && ad_len == 0))
		return -EINVAL;
	r = algs_get(&algs);
	if (r < 0)
		return r;
	if (len == 0)
		return siv_of_nothing(algs, key, ad, ad_len, ret_out);
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx || EVP_EncryptInit_ex2(ctx, algs->siv, key->k, NULL, NULL) != 1 ||
	    (ad && EVP_EncryptUpdate(ctx, NULL, &n, ad, (int)ad_len) != 1) ||
	    EVP_EncryptUpdate(ctx, ret_out + SIV_LEN, &n, plain, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, ret_out + SIV_LEN + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SIV_LEN, ret_out) != 1)
		return algs_failed(-ENOMEM);
	return 0;
}

static int siv_open_nothing(const struct algs *algs, const struct key_siv *key, const uint8_t *ad, size_t ad_len,
			    const uint8_t siv[static SIV_LEN])
{
	uint8_t own[SIV_LEN];
	int r;

	r = siv_of_nothing(algs, key, ad, ad_len, own);
	if (r < 0)
		return r;
	return secret_equal(own, siv, SIV_LEN) ? 0 : -EBADMSG;
}

/* Any text but the empty one. */
static int siv_open_text(const struct algs *algs, const struct key_siv *key, const uint8_t *ad, size_t ad_len,
			 const uint8_t *in, size_t len, uint8_t *ret_plain)
{
	AUTO(EVP_CIPHER_CTX_free_p) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t siv[SIV_LEN];
	int n;

	memcpy(siv, in, sizeof(siv));
	if (!ctx || EVP_DecryptInit_ex2(ctx, algs->siv, key->k, NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SIV_LEN, siv) != 1 ||
	    (ad && EVP_DecryptUpdate(ctx, NULL, &n, ad, (int)ad_len) != 1))
		return algs_failed(-ENOMEM);
	if (EVP_DecryptUpdate(ctx, ret_plain, &n, in + SIV_LEN, (int)(len - SIV_LEN)) != 1 ||
	    EVP_DecryptFinal_ex(ctx, ret_plain + (len - SIV_LEN), &n) != 1)
		return algs_failed(-EBADMSG);
	return 0;
}

int siv_open(const struct key_siv *key, const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
	     uint8_t *ret_plain)
{
	const struct algs *algs;
	int r;

	if (ad_len > SIV_TEXT_MAX || (ad && ad_len == 0))
		return -EINVAL;
	if (len < SIV_LEN || len > SIV_TEXT_MAX + SIV_LEN)
		return -EBADMSG;
	r = algs_get(&algs);
	if (r < 0)
		return r;
	if (len == SIV_LEN)
		return siv_open_nothing(algs, key, ad, ad_len, in);
	r = siv_open_text(algs, key, ad, ad_len, in, len, ret_plain);
	/* OpenSSL allocates while it checks, and says of a failure only that it was one. What does not fit does not fit the
	 * second time either; what lacked memory then gets it, or lacks it for the context too. */
	if (r == -EBADMSG)
		r = siv_open_text(algs, key, ad, ad_len, in, len, ret_plain);
	return r;
}
