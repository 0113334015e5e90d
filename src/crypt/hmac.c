/* hmac.c: one message, one key; the keyed context dies here, in OpenSSL's wiped heap. */
#include "crypt/hmac.h"

#include <openssl/evp.h>

#include "crypt/algs.h"

DEFINE_AUTO(EVP_MAC_CTX, EVP_MAC_CTX_free)

int hmac_sha256(const void *key, size_t key_len, const void *p, size_t len, uint8_t ret_mac[static HMAC_SHA256_LEN])
{
	AUTO(EVP_MAC_CTX_free_p) EVP_MAC_CTX *ctx = NULL;
	const struct algs *algs;
	size_t n;
	int r;

	r = algs_get(&algs);
	if (r < 0)
		return r;
	ctx = EVP_MAC_CTX_dup(algs->hmac_sha256);
	if (!ctx || EVP_MAC_init(ctx, key, key_len, NULL) != 1 || EVP_MAC_update(ctx, p, len) != 1 ||
	    EVP_MAC_final(ctx, ret_mac, &n, HMAC_SHA256_LEN) != 1)
		return algs_failed(-ENOMEM);
	return 0;
}
