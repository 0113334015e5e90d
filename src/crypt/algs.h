/* algs.h: the algorithms of OpenSSL that this floor uses, fetched once (a fetch costs more than a tag). Of the crypt floor
 * alone. Thread safe. */
#ifndef COFFER_CRYPT_ALGS_H
#define COFFER_CRYPT_ALGS_H

#include "base/err.h"

#include <openssl/types.h>

struct algs {
	EVP_CIPHER *xts, *gcm, *ecb, *siv;   /* AES-256 each */
	EVP_KDF *hkdf;
	EVP_MAC *hmac, *cmac;
	/* Never keyed: EVP_MAC_CTX_dup, then EVP_MAC_init with a key alone, so that no call looks a digest up. */
	EVP_MAC_CTX *hmac_sha256, *hmac_sha512;
};

/* The one table; lives as long as the process. -EOPNOTSUPP: this OpenSSL lacks one of them (or memory). */
int algs_get(const struct algs **ret_algs) must_check;

/* Drop what a failed call left in this thread's error queue, so that nobody takes it for his own. Returns r, or -ENOMEM if
 * that is what the queue says: a name must not look forged because memory was short. */
int algs_failed(int r);

#endif
