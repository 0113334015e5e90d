/* keys.c: what is done with R, the root key, and with the KEK around it (docs/format.md section 2; docs/crypto.md C1-C4).
 *
 *   KEK --GCM--> R --HKDF--> config MAC key, ring key (key_ring.c), commitment, backup MAC key
 *
 * Every derived key is made where it is used and wiped there; none is kept. */
#include "crypt/keys.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypt/algs.h"
#include "crypt/gcm.h"
#include "crypt/heap.h"
#include "crypt/hkdf.h"

#define TENANT_MAX 255
#define AAD_LABEL_MAX 16
#define AAD_MAX (2 + AAD_LABEL_MAX + 2 + TENANT_MAX + 2 + UUID_LEN)
#define AAD_ROOT "coffer root key"
#define AAD_KEK "coffer kek"

_Static_assert(SEALED_ROOT_LEN == KEY_LEN + GCM_EXTRA, "docs/format.md says so");

DEFINE_AUTO(EVP_KDF_CTX, EVP_KDF_CTX_free)
DEFINE_AUTO(EVP_MAC_CTX, EVP_MAC_CTX_free)

static void key_mac_wipe(struct key_mac *k)
{
	keys_wipe(k);
}

int keys_openssl_heap_init(void)
{
	return heap_install();
}

/* lp(label) || lp(tenant) || lp(uuid) */
static int seal_aad(const char *label, const char *tenant, const uint8_t uuid[static UUID_LEN],
		    uint8_t ret_aad[static AAD_MAX], size_t *ret_len)
{
	const struct {
		const void *p;
		size_t len;
	} piece[3] = { { label, strlen(label) }, { tenant, strlen(tenant) }, { uuid, UUID_LEN } };
	size_t i, n = 0;

	if (piece[0].len > AAD_LABEL_MAX || piece[1].len > TENANT_MAX)
		return -EINVAL;
	for (i = 0; i < 3; i++) {
		ret_aad[n++] = (uint8_t)piece[i].len;
		ret_aad[n++] = (uint8_t)(piece[i].len >> 8);
		memcpy(ret_aad + n, piece[i].p, piece[i].len);
		n += piece[i].len;
	}
	*ret_len = n;
	return 0;
}

static int key_seal(const char *label, const struct secret *under, const char *tenant,
		    const uint8_t uuid[static UUID_LEN], const struct secret *key,
		    uint8_t ret_sealed[static SEALED_ROOT_LEN])
{
	uint8_t aad[AAD_MAX];
	size_t aad_len;
	int r;

	if (secret_len(under) != KEY_LEN || secret_len(key) != KEY_LEN)
		return -EINVAL;
	r = seal_aad(label, tenant, uuid, aad, &aad_len);
	if (r < 0)
		return r;
	return gcm_seal(secret_bytes_const(under), aad, aad_len, secret_bytes_const(key), KEY_LEN, ret_sealed);
}

static int key_open(const char *label, const struct secret *under, const char *tenant,
		    const uint8_t uuid[static UUID_LEN], const uint8_t sealed[static SEALED_ROOT_LEN],
		    struct secret **ret_key)
{
	AUTO_SECRET struct secret *key = NULL;
	uint8_t aad[AAD_MAX];
	size_t aad_len;
	int r;

	if (secret_len(under) != KEY_LEN)
		return -EINVAL;
	r = seal_aad(label, tenant, uuid, aad, &aad_len);
	if (r < 0)
		return r;
	r = secret_new(KEY_LEN, &key);
	if (r < 0)
		return r;
	r = gcm_open(secret_bytes_const(under), aad, aad_len, sealed, SEALED_ROOT_LEN, secret_bytes(key));
	if (r < 0)
		return r;
	*ret_key = take_ptr(key);
	return 0;
}

int keys_kek_wrap(const struct secret *file_key, const char *tenant, const uint8_t uuid[static UUID_LEN],
		  const struct secret *kek, uint8_t ret_wrapped[static SEALED_ROOT_LEN])
{
	return key_seal(AAD_KEK, file_key, tenant, uuid, kek, ret_wrapped);
}

int keys_kek_unwrap(const struct secret *file_key, const char *tenant, const uint8_t uuid[static UUID_LEN],
		    const uint8_t wrapped[static SEALED_ROOT_LEN], struct secret **ret_kek)
{
	return key_open(AAD_KEK, file_key, tenant, uuid, wrapped, ret_kek);
}

int keys_root_seal(const struct secret *kek, const char *tenant, const uint8_t uuid[static UUID_LEN],
		   const struct secret *root, uint8_t ret_sealed[static SEALED_ROOT_LEN])
{
	return key_seal(AAD_ROOT, kek, tenant, uuid, root, ret_sealed);
}

int keys_root_open(const struct secret *kek, const char *tenant, const uint8_t uuid[static UUID_LEN],
		   const uint8_t sealed[static SEALED_ROOT_LEN], struct secret **ret_root)
{
	return key_open(AAD_ROOT, kek, tenant, uuid, sealed, ret_root);
}

int keys_commitment(const struct secret *root, const uint8_t uuid[static UUID_LEN],
		    uint8_t ret_commitment[static COMMITMENT_LEN])
{
	return hkdf_root(root, HKDF_ROOT_COMMITMENT, uuid, ret_commitment, COMMITMENT_LEN);
}

int keys_backup(const struct secret *root, const uint8_t uuid[static UUID_LEN], struct key_backup *ret_key)
{
	return hkdf_root(root, HKDF_ROOT_BACKUP_MAC, uuid, ret_key->k, sizeof(ret_key->k));
}

int keys_recovery_id(const struct secret *key, uint8_t ret_id[static RECOVERY_ID_LEN])
{
	static const uint8_t no_uuid[UUID_LEN];
	uint8_t id[KEY_LEN];
	int r;

	r = hkdf_root(key, HKDF_RECOVERY_ID, no_uuid, id, sizeof(id));
	if (r < 0)
		return r;
	memcpy(ret_id, id, RECOVERY_ID_LEN);
	return 0;
}

int keys_config_mac(const struct secret *root, const uint8_t uuid[static UUID_LEN], const void *a, size_t a_len,
		    const void *b, size_t b_len, uint8_t ret_mac[static CONFIG_MAC_LEN])
{
	__attribute__((cleanup(key_mac_wipe))) struct key_mac key = { { 0 } };
	AUTO(EVP_MAC_CTX_free_p) EVP_MAC_CTX *ctx = NULL;
	const struct algs *algs;
	size_t n;
	int r;

	r = algs_get(&algs);
	if (r < 0)
		return r;
	r = hkdf_root(root, HKDF_ROOT_CONFIG_MAC, uuid, key.k, sizeof(key.k));
	if (r < 0)
		return r;
	ctx = EVP_MAC_CTX_dup(algs->hmac_sha256);
	if (!ctx || EVP_MAC_init(ctx, key.k, sizeof(key.k), NULL) != 1 || EVP_MAC_update(ctx, a, a_len) != 1 ||
	    EVP_MAC_update(ctx, b, b_len) != 1 || EVP_MAC_final(ctx, ret_mac, &n, CONFIG_MAC_LEN) != 1)
		return algs_failed(-ENOMEM);
	return 0;
}

/* OSSL_PARAM has no const: OpenSSL only reads these. */
static OSSL_PARAM octets(const char *name, const uint8_t *p, size_t len)
{
	static const uint8_t nothing;
	union {
		const uint8_t *in;
		uint8_t *out;
	} u = { .in = len > 0 ? p : &nothing };

	return OSSL_PARAM_construct_octet_string(name, u.out, len);
}

int keys_hkdf(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len, const uint8_t *info,
	      size_t info_len, uint8_t *ret_out, size_t out_len)
{
	AUTO(EVP_KDF_CTX_free_p) EVP_KDF_CTX *ctx = NULL;
	char digest[] = "SHA512";
	OSSL_PARAM params[5];
	const struct algs *algs;
	int r;

	if (out_len == 0 || out_len > 255 * 64)
		return -EINVAL;
	r = algs_get(&algs);
	if (r < 0)
		return r;
	ctx = EVP_KDF_CTX_new(algs->hkdf);
	if (!ctx)
		return algs_failed(-ENOMEM);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	params[1] = octets(OSSL_KDF_PARAM_SALT, salt, salt_len);
	params[2] = octets(OSSL_KDF_PARAM_KEY, ikm, ikm_len);
	params[3] = octets(OSSL_KDF_PARAM_INFO, info, info_len);
	params[4] = OSSL_PARAM_construct_end();
	if (EVP_KDF_derive(ctx, ret_out, out_len, params) != 1)
		return algs_failed(-ENOMEM);
	return 0;
}
