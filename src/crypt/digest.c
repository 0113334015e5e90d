/* digest.c: the one-shot digest. */
#include "crypt/digest.h"

#include <openssl/evp.h>

#include "crypt/algs.h"

int digest_sha256(const void *p, size_t len, uint8_t ret_digest[static DIGEST_SHA256_LEN])
{
	unsigned int n = 0;

	if (EVP_Digest(p, len, ret_digest, &n, EVP_sha256(), NULL) != 1 || n != DIGEST_SHA256_LEN)
		return algs_failed(-ENOMEM);
	return 0;
}
