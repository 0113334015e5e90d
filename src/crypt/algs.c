/* algs.c: EVP_*_fetch, once in a process.
 *
 * The table is the floor's one piece of state that hangs from nothing: OpenSSL's own library context is as global, and
 * holds the same objects. It is published by a compare-and-swap, so a failure is not remembered and a race costs one
 * table that is thrown away. The templates are never keyed, hence nothing here is secret. */
#include "crypt/algs.h"

#include <stdatomic.h>
#include <stddef.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

static _Atomic(struct algs *) algs_table;

static void algs_free(struct algs *a)
{
	if (!a)
		return;
	EVP_MAC_CTX_free(a->hmac_sha256);
	EVP_MAC_CTX_free(a->hmac_sha512);
	EVP_MAC_free(a->hmac);
	EVP_MAC_free(a->cmac);
	EVP_KDF_free(a->hkdf);
	EVP_CIPHER_free(a->xts);
	EVP_CIPHER_free(a->gcm);
	EVP_CIPHER_free(a->ecb);
	EVP_CIPHER_free(a->siv);
	free(a);
}
DEFINE_AUTO(struct algs, algs_free)

/* A context of HMAC that knows its digest but no key; NULL when that fails. */
static EVP_MAC_CTX *algs_hmac(EVP_MAC *hmac, char *digest)
{
	OSSL_PARAM params[2];
	EVP_MAC_CTX *ctx;

	if (!hmac)
		return NULL;
	ctx = EVP_MAC_CTX_new(hmac);
	if (!ctx)
		return NULL;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (EVP_MAC_CTX_set_params(ctx, params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

static int algs_new(struct algs **ret_algs)
{
	AUTO(algs_free_p) struct algs *a = NULL;
	char sha256[] = "SHA256", sha512[] = "SHA512"; /* OSSL_PARAM has no const */

	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->xts = EVP_CIPHER_fetch(NULL, "AES-256-XTS", NULL);
	a->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	a->ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
	a->siv = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
	a->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	a->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	a->cmac = EVP_MAC_fetch(NULL, "CMAC", NULL);
	a->hmac_sha256 = algs_hmac(a->hmac, sha256);
	a->hmac_sha512 = algs_hmac(a->hmac, sha512);
	if (!a->xts || !a->gcm || !a->ecb || !a->siv || !a->hkdf || !a->cmac ||
	    !a->hmac_sha256 || !a->hmac_sha512)
		return algs_failed(-EOPNOTSUPP);
	*ret_algs = take_ptr(a);
	return 0;
}

int algs_get(const struct algs **ret_algs)
{
	AUTO(algs_free_p) struct algs *fresh = NULL;
	struct algs *seen = atomic_load_explicit(&algs_table, memory_order_acquire);
	int r;

	if (!seen) {
		r = algs_new(&fresh);
		if (r < 0)
			return r;
		if (atomic_compare_exchange_strong(&algs_table, &seen, fresh))
			seen = take_ptr(fresh);
	}
	*ret_algs = seen;
	return 0;
}

int algs_failed(int r)
{
	unsigned long e;

	for (e = ERR_get_error(); e != 0; e = ERR_get_error())
		if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
			r = -ENOMEM;
	return r;
}
