/* sign.c: one-shot Ed25519 through EVP. A context lives for one call: a signature a minute is no reason to keep an expanded key.
 *
 * OpenSSL's Ed25519 does not say so when memory is short within: a good signature would look forged. So what failed is tried again, and is believed
 * only while memory can be had. */
#include "crypt/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypt/algs.h"

#define MEMORY_PROBE 4096 /* more than any piece of a signature */

static int failed(int r)
{
	void *p = OPENSSL_malloc(MEMORY_PROBE);

	if (!p)
		return algs_failed(-ENOMEM);
	OPENSSL_free(p);
	return algs_failed(r);
}

static int seed_load(const struct secret *seed, EVP_PKEY **ret_key)
{
	EVP_PKEY *key;

	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_bytes_const(seed), SIGN_SEED_LEN);
	if (!key)
		return failed(-EOPNOTSUPP);
	*ret_key = key;
	return 0;
}

static int public_once(const struct secret *seed, uint8_t *ret_public)
{
	size_t len = SIGN_PUBLIC_LEN;
	EVP_PKEY *key = NULL;
	int r;

	r = seed_load(seed, &key);
	if (r < 0)
		return r;
	if (EVP_PKEY_get_raw_public_key(key, ret_public, &len) != 1 || len != SIGN_PUBLIC_LEN)
		r = failed(-EOPNOTSUPP);
	EVP_PKEY_free(key);
	return r;
}

int sign_public(const struct secret *seed, uint8_t ret_public[static SIGN_PUBLIC_LEN])
{
	int r;

	if (secret_len(seed) != SIGN_SEED_LEN)
		return -EINVAL;
	r = public_once(seed, ret_public);
	return r == -EOPNOTSUPP ? public_once(seed, ret_public) : r;
}

static int make_once(const struct secret *seed, const void *p, size_t len, uint8_t *ret_signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t got = SIGN_LEN;
	EVP_PKEY *key = NULL;
	int r;

	r = ctx ? seed_load(seed, &key) : algs_failed(-ENOMEM);
	if (r >= 0 && (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
		       EVP_DigestSign(ctx, ret_signature, &got, p, len) != 1 || got != SIGN_LEN))
		r = failed(-EOPNOTSUPP);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}

int sign_make(const struct secret *seed, const void *p, size_t len, uint8_t ret_signature[static SIGN_LEN])
{
	int r;

	if (secret_len(seed) != SIGN_SEED_LEN)
		return -EINVAL;
	r = make_once(seed, p, len, ret_signature);
	return r == -EOPNOTSUPP ? make_once(seed, p, len, ret_signature) : r;
}

static int check_once(const uint8_t *public_key, const void *p, size_t len, const uint8_t *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key;
	int r = 0;

	if (!ctx)
		return algs_failed(-ENOMEM);
	key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_PUBLIC_LEN);
	if (!key || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
		r = failed(-EOPNOTSUPP);
	else if (EVP_DigestVerify(ctx, signature, SIGN_LEN, p, len) != 1)
		r = failed(-EBADMSG);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}

int sign_check(const uint8_t public_key[static SIGN_PUBLIC_LEN], const void *p, size_t len,
	       const uint8_t signature[static SIGN_LEN])
{
	int r;

	r = check_once(public_key, p, len, signature);
	return r == -EBADMSG || r == -EOPNOTSUPP ? check_once(public_key, p, len, signature) : r;
}
