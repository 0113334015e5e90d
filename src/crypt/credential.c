/* credential.c: docs/format.md section 9.
 *
 *	magic 8 | format 2 | zero 2 | head_len 4 | version 8 | key id 16 | salt 32 | commitment 32 | lp(tenant) lp(name) lp(uri) lp(key version) lp(wrapped)
 *	iv 12 | ciphertext | tag 16
 *
 * Each secret has a key of its own, derived from the tenant's credential key and a random salt, and used once: so the random IV is a second belt, and no number of
 * secrets wears the tenant's key out. GCM does not commit to its key; the commitment, derived beside it, does, and is compared first. Bound by GCM: tenant, name,
 * version. What else the head has is either derived from (id, salt), compared (commitment), or only leads to the key (URI, wrapped), so that a key may be wrapped anew
 * without the secret. */
#include "crypt/credential.h"

#include "base/text.h"
#include "crypt/gcm.h"
#include "crypt/hkdf.h"

#include <string.h>

#define AAD_LABEL "coffer credential"
#define AAD_MAX (2 + sizeof(AAD_LABEL) + 2 * (2 + CREDENTIAL_NAME_MAX) + 8)

static void le_put(uint8_t *p, size_t n, uint64_t v)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t le_get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static size_t lp_put(uint8_t *p, const void *x, size_t len)
{
	le_put(p, 2, len);
	memcpy(p + 2, x, len);
	return 2 + len;
}

/* The next lp() of a head that ends at end: its length, and *at behind it. -EUCLEAN: longer than max, or than the head. */
static int lp_get(const uint8_t *p, size_t end, size_t max, size_t *at, void *ret)
{
	size_t len;

	if (end - *at < 2)
		return -EUCLEAN;
	len = (size_t)le_get(p + *at, 2);
	*at += 2;
	if (len > max || len > end - *at)
		return -EUCLEAN;
	memcpy(ret, p + *at, len);
	*at += len;
	return (int)len;
}

/* The same for text of printable ASCII without blanks; ret has room for max + 1. */
static int text_get(const uint8_t *p, size_t end, size_t max, size_t *at, char *ret)
{
	int n = lp_get(p, end, max, at, ret);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		if (ret[i] <= ' ' || ret[i] > '~')
			return -EUCLEAN;
	ret[n] = '\0';
	return 0;
}

static int head_check(const struct credential *c)
{
	if (!text_is_name(c->tenant, CREDENTIAL_NAME_MAX) || !text_is_name(c->name, CREDENTIAL_NAME_MAX) || c->version == 0 || c->version > INT64_MAX ||
	    !c->key.uri[0] || c->key.wrapped_len == 0 || c->key.wrapped_len > CREDENTIAL_WRAPPED_MAX)
		return -EUCLEAN;
	return 0;
}

int credential_parse(const uint8_t *p, size_t len, struct credential *ret_c)
{
	struct credential *c = ret_c;
	size_t at = CREDENTIAL_FIXED_LEN, end;
	int r;

	memset(c, 0, sizeof(*c));
	if (len < CREDENTIAL_FIXED_LEN || memcmp(p, CREDENTIAL_MAGIC, 8) != 0)
		return -EUCLEAN;
	if (le_get(p + 8, 2) != CREDENTIAL_FORMAT)
		return -EOPNOTSUPP;
	end = (size_t)le_get(p + 12, 4);
	if (le_get(p + 10, 2) != 0 || end < CREDENTIAL_FIXED_LEN || end > CREDENTIAL_HEAD_MAX || len < end + CREDENTIAL_EXTRA + 1 ||
	    len - end - CREDENTIAL_EXTRA > CREDENTIAL_MAX)
		return -EUCLEAN;
	c->version = le_get(p + 16, 8);
	memcpy(c->key.id, p + 24, sizeof(c->key.id));
	memcpy(c->salt, p + 40, sizeof(c->salt));
	memcpy(c->commitment, p + 72, sizeof(c->commitment));
	r = text_get(p, end, CREDENTIAL_NAME_MAX, &at, c->tenant);
	if (r >= 0)
		r = text_get(p, end, CREDENTIAL_NAME_MAX, &at, c->name);
	if (r >= 0)
		r = text_get(p, end, CREDENTIAL_URI_MAX, &at, c->key.uri);
	if (r >= 0)
		r = text_get(p, end, CREDENTIAL_KEY_VERSION_MAX, &at, c->key.version);
	if (r >= 0)
		r = lp_get(p, end, CREDENTIAL_WRAPPED_MAX, &at, c->key.wrapped);
	if (r < 0)
		return r;
	c->key.wrapped_len = (size_t)r;
	c->head_len = end;
	c->plain_len = len - end - CREDENTIAL_EXTRA;
	return at == end ? head_check(c) : -EUCLEAN;
}

size_t credential_head_put(const struct credential *c, uint8_t p[static CREDENTIAL_HEAD_MAX])
{
	size_t at = CREDENTIAL_FIXED_LEN;

	memcpy(p, CREDENTIAL_MAGIC, 8);
	le_put(p + 8, 2, CREDENTIAL_FORMAT);
	le_put(p + 10, 2, 0);
	le_put(p + 16, 8, c->version);
	memcpy(p + 24, c->key.id, sizeof(c->key.id));
	memcpy(p + 40, c->salt, sizeof(c->salt));
	memcpy(p + 72, c->commitment, sizeof(c->commitment));
	at += lp_put(p + at, c->tenant, strlen(c->tenant));
	at += lp_put(p + at, c->name, strlen(c->name));
	at += lp_put(p + at, c->key.uri, strlen(c->key.uri));
	at += lp_put(p + at, c->key.version, strlen(c->key.version));
	at += lp_put(p + at, c->key.wrapped, c->key.wrapped_len);
	le_put(p + 12, 4, at);
	return at;
}

static size_t aad_put(const struct credential *c, uint8_t ret_aad[static AAD_MAX])
{
	size_t at;

	at = lp_put(ret_aad, AAD_LABEL, sizeof(AAD_LABEL) - 1);
	at += lp_put(ret_aad + at, c->tenant, strlen(c->tenant));
	at += lp_put(ret_aad + at, c->name, strlen(c->name));
	le_put(ret_aad + at, 8, c->version);
	return at + 8;
}

static int derive(const struct secret *key, const struct credential *c, const char *label, uint8_t ret_out[static KEY_LEN])
{
	uint8_t info[HKDF_INFO_MAX];

	if (secret_len(key) != KEY_LEN)
		return -EINVAL;
	return keys_hkdf(c->salt, sizeof(c->salt), secret_bytes_const(key), KEY_LEN, info, hkdf_info_put(label, c->key.id, NULL, info), ret_out, KEY_LEN);
}

int credential_seal(const struct secret *key, struct credential *c, const struct secret *plain, uint8_t **ret_file, size_t *ret_len)
{
	AUTO_FREE uint8_t *p = NULL;
	uint8_t own[KEY_LEN], aad[AAD_MAX];
	size_t len = secret_len(plain);
	int r;

	if (head_check(c) < 0 || len > CREDENTIAL_MAX)
		return -EINVAL;
	p = malloc(CREDENTIAL_HEAD_MAX + CREDENTIAL_EXTRA + len);
	if (!p)
		return -ENOMEM;
	r = secret_random(c->salt, sizeof(c->salt));
	if (r >= 0)
		r = derive(key, c, HKDF_CREDENTIAL_COMMITMENT, c->commitment);
	if (r >= 0)
		r = derive(key, c, HKDF_CREDENTIAL_KEY, own);
	if (r < 0)
		return r;
	c->plain_len = len;
	c->head_len = credential_head_put(c, p);
	r = gcm_seal(own, aad, aad_put(c, aad), secret_bytes_const(plain), len, p + c->head_len);
	secret_wipe(own, sizeof(own));
	if (r < 0)
		return r;
	*ret_len = c->head_len + CREDENTIAL_EXTRA + len;
	*ret_file = take_ptr(p);
	return 0;
}

int credential_open(const struct secret *key, const struct credential *c, const uint8_t *file, size_t len, struct secret **ret_plain)
{
	AUTO_SECRET struct secret *plain = NULL;
	uint8_t own[KEY_LEN], commitment[COMMITMENT_LEN], aad[AAD_MAX];
	int r;

	if (len != c->head_len + CREDENTIAL_EXTRA + c->plain_len)
		return -EINVAL;
	r = derive(key, c, HKDF_CREDENTIAL_COMMITMENT, commitment);
	if (r < 0)
		return r;
	if (!secret_equal(commitment, c->commitment, COMMITMENT_LEN))
		return -EKEYREJECTED;
	r = secret_new(c->plain_len, &plain);
	if (r >= 0)
		r = derive(key, c, HKDF_CREDENTIAL_KEY, own);
	if (r < 0)
		return r;
	r = gcm_open(own, aad, aad_put(c, aad), file + c->head_len, len - c->head_len, secret_bytes(plain));
	secret_wipe(own, sizeof(own));
	if (r < 0)
		return r;
	*ret_plain = take_ptr(plain);
	return 0;
}
