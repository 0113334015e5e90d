/* hmac.c: one message, one key. It is computed on a copy of a context that knows its digest but no key; the keyed copy dies here, in OpenSSL's wiped heap. */
#include "crypt/hmac.h"

#include <openssl/evp.h>

#include "crypt/algs.h"

DEFINE_AUTO(EVP_MAC_CTX, EVP_MAC_CTX_free)

static int mac(EVP_MAC_CTX *of, const void *key, size_t key_len, const void *p, size_t len, uint8_t *ret_mac, size_t mac_len)
{
	AUTO(EVP_MAC_CTX_free_p) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(of);
	size_t n;

	if (!ctx || EVP_MAC_init(ctx, key, key_len, NULL) != 1 || EVP_MAC_update(ctx, p, len) != 1 || EVP_MAC_final(ctx, ret_mac, &n, mac_len) != 1)
		return algs_failed(-ENOMEM);
	return 0;
}

int hmac_sha256(const void *key, size_t key_len, const void *p, size_t len, uint8_t ret_mac[static HMAC_SHA256_LEN])
{
	const struct algs *algs;
	int r;

	r = algs_get(&algs);
	return r < 0 ? r : mac(algs->hmac_sha256, key, key_len, p, len, ret_mac, HMAC_SHA256_LEN);
}

int hmac_sha512(const void *key, size_t key_len, const void *p, size_t len, uint8_t ret_mac[static HMAC_SHA512_LEN])
{
	const struct algs *algs;
	int r;

	r = algs_get(&algs);
	return r < 0 ? r : mac(algs->hmac_sha512, key, key_len, p, len, ret_mac, HMAC_SHA512_LEN);
}
