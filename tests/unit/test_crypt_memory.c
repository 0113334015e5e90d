/* test_crypt_memory.c: the n-th allocation of OpenSSL fails, for each n, in each operation of the crypt floor. Then the
 * operation says -ENOMEM (never "forged" or "wrong key", and never success with another result), gives nothing away, and
 * works again when memory is back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "crypt/backup_tag.h"
#include "crypt/blockcrypt.h"
#include "crypt/digest.h"
#include "crypt/namecrypt.h"
#include "crypt/rsa.h"
#include "crypt/sign.h"
#include "crypt_vectors.h"

#define ALLOCATIONS_MAX 3000    /* of one operation: more means that the loop does not end */

static long countdown = -1;     /* allocations until one fails; -1: none does */
static int for_good;            /* after that one all fail */

static int fails(void)
{
	if (countdown < 0)
		return 0;
	if (countdown == 0)
		return for_good ? 1 : countdown-- == 0;
	countdown--;
	return 0;
}

static void *short_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails() ? NULL : malloc(n);
}

static void *short_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails() ? NULL : realloc(p, n);
}

static void short_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static struct {
	struct secret *root, *kek;
	struct key_ring *ring;
	struct file_keys keys;
	struct block_pos pos;
	uint8_t plain[BLOCK_SIZE], cipher[BLOCK_SIZE], tag[TAG_LEN];
} fix;

static int op_derive(void)
{
	struct file_keys keys;
	int r = key_ring_file(fix.ring, 7, vec_file_id, &keys);

	return r < 0 ? r : memcmp(keys.xts.k, vec_file_xts, 64);
}

static int op_commitment(void)
{
	uint8_t out[COMMITMENT_LEN];
	int r = keys_commitment(fix.root, vec_uuid, out);

	return r < 0 ? r : memcmp(out, vec_commitment, sizeof(out));
}

static int op_config_mac(void)
{
	uint8_t out[CONFIG_MAC_LEN];
	int r = keys_config_mac(fix.root, vec_uuid, "coffer-volume 1 7 ", 18, "{}", 2, out);

	return r < 0 ? r : memcmp(out, vec_config_mac, sizeof(out));
}

static int op_backup_tag(void)
{
	return backup_tag_check(fix.root, vec_uuid, (const char *)vec_backup_statement, vec_backup_tag);
}

static int op_root_open(void)
{
	AUTO_SECRET struct secret *root = NULL;
	int r = keys_root_open(fix.kek, "acme", vec_uuid, vec_sealed_root, &root);

	return r < 0 ? r : memcmp(secret_bytes(root), vec_root, KEY_LEN);
}

static int op_root_seal(void)
{
	uint8_t sealed[SEALED_ROOT_LEN];

	return keys_root_seal(fix.kek, "acme", vec_uuid, fix.root, sealed);
}

static int op_ring(void)
{
	AUTO_KEY_RING struct key_ring *ring = NULL;
	uint8_t sealed[KEY_RING_LEN_MAX];
	size_t len;
	int r = key_ring_create(fix.root, vec_uuid, sealed, &len);

	return r < 0 ? r : key_ring_open(fix.root, vec_uuid, sealed, len, &ring);
}

static int op_blocks(void)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	uint8_t cipher[BLOCK_SIZE], out[BLOCK_SIZE], tag[TAG_LEN];
	uint32_t sum;
	int r = blockcrypt_new(&bc);

	if (r < 0)
		return r;
	r = blockcrypt_seal(bc, &fix.keys, &fix.pos, fix.plain, cipher, tag, &sum);
	if (r < 0)
		return r;
	r = blockcrypt_open(bc, &fix.keys, &fix.pos, cipher, tag, out);
	return r < 0 ? r : memcmp(tag, fix.tag, TAG_LEN) | memcmp(cipher, fix.cipher, BLOCK_SIZE) |
				   memcmp(out, fix.plain, BLOCK_SIZE);
}

static int op_rekeying(void)
{
	/* Contexts that live on: a key that could not be set must not be taken for set the next time. */
	static struct blockcrypt *bc;
	struct file_keys other = fix.keys;
	uint8_t cipher[BLOCK_SIZE], tag[TAG_LEN];
	uint32_t sum;
	int r = bc ? 0 : blockcrypt_new(&bc);

	other.xts.k[0] ^= 1;
	other.tag.k[0] ^= 1;
	if (r == 0)
		r = blockcrypt_seal(bc, &other, &fix.pos, fix.plain, cipher, tag, &sum);
	if (r == 0)
		r = blockcrypt_seal(bc, &fix.keys, &fix.pos, fix.plain, cipher, tag, &sum);
	if (r == 0)
		r = memcmp(tag, fix.tag, TAG_LEN) | memcmp(cipher, fix.cipher, BLOCK_SIZE);
	if (r == 0) {
		blockcrypt_free(bc);
		bc = NULL;
	} else if (bc) {
		blockcrypt_forget(bc);
	}
	return r;
}

static int op_names(void)
{
	const struct name_keys *keys = key_ring_names(fix.ring);
	char full[LOWER_NAME_FULL_MAX + 1], plain[PLAIN_NAME_MAX + 1], hash[NAME_HASH_LEN + 1];
	uint8_t dir[DIR_ID_LEN] = { 0 };
	size_t len;
	int r = namecrypt_encrypt(keys, dir, "a", 1, full, &len);

	if (r < 0)
		return r;
	r = namecrypt_hash(full, len, hash);
	if (r < 0)
		return r;
	r = namecrypt_decrypt(keys, dir, full, len, plain, &len);
	return r < 0 ? r : strcmp(full, vec_name_a) | strcmp(plain, "a");
}

static int op_attributes(void)
{
	const struct name_keys *keys = key_ring_names(fix.ring);
	uint8_t out[64], back[1];
	int r = namecrypt_xattr_value_encrypt(keys, 3, vec_xattr_name, NULL, 0, out);

	if (r < 0)
		return r;
	r = namecrypt_xattr_value_decrypt(keys, 3, vec_xattr_name, out, XATTR_VALUE_EXTRA, back);
	return r < 0 ? r : memcmp(out, vec_xattr_value_empty, XATTR_VALUE_EXTRA);
}

static int op_signatures(void)
{
	uint8_t public_key[SIGN_PUBLIC_LEN], signature[SIGN_LEN];
	int r = sign_public(fix.root, public_key); /* any 32 bytes are a seed */

	if (r >= 0)
		r = sign_make(fix.root, "a", 1, signature);
	return r < 0 ? r : sign_check(public_key, "a", 1, signature);
}

static void without_memory(int (*op)(void))
{
	long n, total;
	int r;

	/* Once in peace: what OpenSSL makes once in a process is not ours to test. */
	assert_int_equal(op(), 0);
	countdown = ALLOCATIONS_MAX;
	assert_int_equal(op(), 0);
	total = ALLOCATIONS_MAX - countdown;
	assert_in_range(total, 1, ALLOCATIONS_MAX - 1);
	for (n = 0; n < 2 * total; n++) {
		for_good = n % 2;
		countdown = n / 2;
		r = op();
		countdown = -1;
		/* OpenSSL may do without; but for good, nothing does. */
		if (r != 0 || for_good)
			assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(op(), 0);
}

#define WITHOUT_MEMORY(op)                                 \
	static void op##_says_so_without_memory(void **state) \
	{                                                  \
		(void)state;                               \
		without_memory(op);                        \
	}

WITHOUT_MEMORY(op_derive)
WITHOUT_MEMORY(op_commitment)
WITHOUT_MEMORY(op_config_mac)
WITHOUT_MEMORY(op_backup_tag)
WITHOUT_MEMORY(op_root_open)
WITHOUT_MEMORY(op_root_seal)
WITHOUT_MEMORY(op_ring)
WITHOUT_MEMORY(op_blocks)
WITHOUT_MEMORY(op_rekeying)
WITHOUT_MEMORY(op_names)
WITHOUT_MEMORY(op_attributes)
WITHOUT_MEMORY(op_signatures)

/* Such a key has thousands of allocations, so only some of them fail. */
static void a_token_is_signed_rightly_or_not_without_memory(void **state)
{
	uint8_t want[RSA_SIGN_MAX], got[RSA_SIGN_MAX];
	size_t want_len, got_len;
	EVP_PKEY *key = EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_mem());
	struct secret *pem;
	const char *text;
	long len, total, n;
	int r;

	(void)state;
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &text);
	assert_int_equal(secret_new_copy(text, (size_t)len, &pem), 0);
	BIO_free(bio);
	EVP_PKEY_free(key);
	assert_int_equal(rsa_sign(pem, (size_t)len, "a", 1, want, &want_len), 0);
	countdown = 1000000;
	assert_int_equal(rsa_sign(pem, (size_t)len, "a", 1, want, &want_len), 0);
	total = 1000000 - countdown;
	for (n = 0; n < 2 * total; n += total / 150 | 1) {
		for_good = n % 2;
		countdown = n / 2;
		r = rsa_sign(pem, (size_t)len, "a", 1, got, &got_len);
		countdown = -1;
		if (r != 0)
			assert_int_equal(r, -ENOMEM);
		else
			assert_true(got_len == want_len && memcmp(got, want, got_len) == 0);
	}
	assert_int_equal(rsa_sign(pem, (size_t)len, "a", 1, got, &got_len), 0);
	secret_free(pem);
}

static int setup(void **state)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	uint32_t sum;

	(void)state;
	assert_int_equal(CRYPTO_set_mem_functions(short_malloc, short_realloc, short_free), 1);
	assert_int_equal(secret_new_copy(vec_root, KEY_LEN, &fix.root), 0);
	assert_int_equal(secret_new_copy(vec_kek, KEY_LEN, &fix.kek), 0);
	assert_int_equal(key_ring_open(fix.root, vec_uuid, vec_ring, sizeof(vec_ring), &fix.ring), 0);
	assert_int_equal(key_ring_file(fix.ring, 7, vec_file_id, &fix.keys), 0);
	fix.pos = (struct block_pos){ .file_id = vec_file_id, .block = 3, .stamp = 4, .epoch = 7 };
	assert_int_equal(blockcrypt_new(&bc), 0);
	assert_int_equal(blockcrypt_seal(bc, &fix.keys, &fix.pos, fix.plain, fix.cipher, fix.tag, &sum), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	key_ring_free(fix.ring);
	secret_free(fix.root);
	secret_free(fix.kek);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(op_derive_says_so_without_memory),
		cmocka_unit_test(op_commitment_says_so_without_memory),
		cmocka_unit_test(op_config_mac_says_so_without_memory),
		cmocka_unit_test(op_backup_tag_says_so_without_memory),
		cmocka_unit_test(op_root_open_says_so_without_memory),
		cmocka_unit_test(op_root_seal_says_so_without_memory),
		cmocka_unit_test(op_ring_says_so_without_memory),
		cmocka_unit_test(op_blocks_says_so_without_memory),
		cmocka_unit_test(op_rekeying_says_so_without_memory),
		cmocka_unit_test(op_names_says_so_without_memory),
		cmocka_unit_test(op_attributes_says_so_without_memory),
		cmocka_unit_test(op_signatures_says_so_without_memory),
		cmocka_unit_test(a_token_is_signed_rightly_or_not_without_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
