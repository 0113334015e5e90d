/* sign.c: one-shot Ed25519 through EVP. A context lives for one call: a signature a minute is no reason to keep an expanded key. */
#include "crypt/sign.h"

#include <openssl/evp.h>

#include "crypt/algs.h"

static int seed_load(const struct secret *seed, EVP_PKEY **ret_key)
{
	EVP_PKEY *key;

	if (secret_len(seed) != SIGN_SEED_LEN)
		return -EINVAL;
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_bytes_const(seed), SIGN_SEED_LEN);
	if (!key)
		return algs_failed(-EOPNOTSUPP);
	*ret_key = key;
	return 0;
}

int sign_public(const struct secret *seed, uint8_t ret_public[static SIGN_PUBLIC_LEN])
{
	size_t len = SIGN_PUBLIC_LEN;
	EVP_PKEY *key = NULL;
	int r;

	r = seed_load(seed, &key);
	if (r < 0)
		return r;
	if (EVP_PKEY_get_raw_public_key(key, ret_public, &len) != 1 || len != SIGN_PUBLIC_LEN)
		r = algs_failed(-EOPNOTSUPP);
	EVP_PKEY_free(key);
	return r;
}

int sign_make(const struct secret *seed, const void *p, size_t len, uint8_t ret_signature[static SIGN_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t got = SIGN_LEN;
	EVP_PKEY *key = NULL;
	int r;

	r = ctx ? seed_load(seed, &key) : algs_failed(-ENOMEM);
	if (r >= 0 && (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
		       EVP_DigestSign(ctx, ret_signature, &got, p, len) != 1 || got != SIGN_LEN))
		r = algs_failed(-EOPNOTSUPP);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}

int sign_check(const uint8_t public_key[static SIGN_PUBLIC_LEN], const void *p, size_t len,
	       const uint8_t signature[static SIGN_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key;
	int r = 0;

	if (!ctx)
		return algs_failed(-ENOMEM);
	key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_PUBLIC_LEN);
	if (!key || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
		r = algs_failed(-EOPNOTSUPP);
	else if (EVP_DigestVerify(ctx, signature, SIGN_LEN, p, len) != 1)
		r = algs_failed(-EBADMSG);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}
