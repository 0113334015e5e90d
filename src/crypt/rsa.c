/* rsa.c: RS256 through EVP. Everything that OpenSSL keeps of the key lies in the heap of crypt/heap.h and is wiped when freed.
 *
 * As in sign.c: OpenSSL may fail for want of memory and not say so. So what failed is tried again, and is believed only while memory can be had. */
#include "crypt/rsa.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "crypt/algs.h"

#define MEMORY_PROBE 16384

/* A key file without a passphrase must not become a question on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static int failed(void)
{
	void *p = OPENSSL_malloc(MEMORY_PROBE);

	if (!p)
		return algs_failed(-ENOMEM);
	OPENSSL_free(p);
	return algs_failed(-EINVAL);
}

static int key_load(const struct secret *pem, size_t pem_len, EVP_PKEY **ret_key)
{
	BIO *bio = BIO_new_mem_buf(secret_bytes_const(pem), (int)pem_len);
	EVP_PKEY *key;

	if (!bio)
		return algs_failed(-ENOMEM);
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (!key)
		return failed();
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < RSA_SIGN_BITS_MIN ||
	    EVP_PKEY_get_size(key) > RSA_SIGN_MAX) {
		EVP_PKEY_free(key);
		return -EINVAL;
	}
	*ret_key = key;
	return 0;
}

static int sign_once(const struct secret *pem, size_t pem_len, const void *p, size_t len, uint8_t *ret_signature, size_t *ret_len)
{
	size_t got = RSA_SIGN_MAX;
	EVP_PKEY *key = NULL;
	EVP_MD_CTX *ctx;
	int r;

	r = key_load(pem, pem_len, &key);
	if (r < 0)
		return r;
	ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, ret_signature, &got, p, len) != 1)
		r = ctx ? failed() : algs_failed(-ENOMEM);
	else
		*ret_len = got;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}

int rsa_sign(const struct secret *pem, size_t pem_len, const void *p, size_t len, uint8_t ret_signature[static RSA_SIGN_MAX], size_t *ret_len)
{
	int r;

	if (pem_len == 0 || pem_len > secret_len(pem))
		return -EINVAL;
	r = sign_once(pem, pem_len, p, len, ret_signature, ret_len);
	return r == -EINVAL ? sign_once(pem, pem_len, p, len, ret_signature, ret_len) : r;
}
