/* blockcrypt.c: one block, one tag (docs/format.md section 2, "Tags" and "Blocks"; docs/crypto.md C5-C9).
 *
 * Three slots of contexts, keyed apart, so that a reader never sets up what only a writer needs:
 *
 *   enc   AES-256-XTS encrypting        keyed by struct key_xts
 *   dec   AES-256-XTS decrypting        keyed by struct key_xts
 *   tag   AES-256-GCM and AES-256-ECB   keyed by struct key_tag
 *
 * A slot remembers the bytes of its key, in secret memory, and is keyed again only for others; with the same key a call sets
 * an IV and no more. `valid` falls before OpenSSL is given a key and rises after, so that a slot never claims a key it has not.
 *
 * OpenSSL compares the halves of an XTS key when encrypting only; here both directions do. Encrypt-then-MAC: a block is
 * decrypted after its tag fitted, never before, and straight into the caller's buffer, which is safe for that reason. */
#include "crypt/blockcrypt.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/hash.h"
#include "crypt/algs.h"

#define PREFIX_LEN 48
#define GMAC_IV_LEN 12
#define MESSAGE_VERSION 1

struct slot_keys {
	struct key_xts enc, dec;
	struct key_tag tag;
};

struct blockcrypt {
	const struct algs *algs;
	EVP_CIPHER_CTX *enc, *dec, *gcm, *ecb;
	struct secret *last;            /* one struct slot_keys */
	struct slot_keys *keys;         /* its bytes */
	bool enc_valid, dec_valid, tag_valid;
};

int blockcrypt_new(struct blockcrypt **ret_bc)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	int r;

	bc = calloc(1, sizeof(*bc));
	if (!bc)
		return -ENOMEM;
	r = algs_get(&bc->algs);
	if (r < 0)
		return r;
	r = secret_new(sizeof(*bc->keys), &bc->last);
	if (r < 0)
		return r;
	bc->keys = (struct slot_keys *)(void *)secret_bytes(bc->last);
	bc->enc = EVP_CIPHER_CTX_new();
	bc->dec = EVP_CIPHER_CTX_new();
	bc->gcm = EVP_CIPHER_CTX_new();
	bc->ecb = EVP_CIPHER_CTX_new();
	if (!bc->enc || !bc->dec || !bc->gcm || !bc->ecb)
		return algs_failed(-ENOMEM);
	*ret_bc = take_ptr(bc);
	return 0;
}

void blockcrypt_forget(struct blockcrypt *bc)
{
	bc->enc_valid = bc->dec_valid = bc->tag_valid = false;
	keys_wipe(bc->keys);
	/* A reset frees, and wipes, the expanded keys. */
	(void)EVP_CIPHER_CTX_reset(bc->enc);
	(void)EVP_CIPHER_CTX_reset(bc->dec);
	(void)EVP_CIPHER_CTX_reset(bc->gcm);
	(void)EVP_CIPHER_CTX_reset(bc->ecb);
}

void blockcrypt_free(struct blockcrypt *bc)
{
	if (!bc)
		return;
	EVP_CIPHER_CTX_free(bc->enc);
	EVP_CIPHER_CTX_free(bc->dec);
	EVP_CIPHER_CTX_free(bc->gcm);
	EVP_CIPHER_CTX_free(bc->ecb);
	secret_free(bc->last);
	free(bc);
}

/* One per thread and process: the only file-scope state here is the name under which a thread finds its own. A child of fork(2) leaves its parent's
 * alone: the contexts are a copy of its own, but the secret memory that says how they are keyed may be shared, and either would then use keys that the
 * other has set. */
static pthread_once_t own_once = PTHREAD_ONCE_INIT;
static pthread_key_t own_key;
static bool own_ready;

static void own_free(void *bc)
{
	blockcrypt_free(bc);
}

static void own_leave(void)
{
	(void)pthread_setspecific(own_key, NULL);
}

static void own_init(void)
{
	own_ready = pthread_key_create(&own_key, own_free) == 0 && pthread_atfork(NULL, NULL, own_leave) == 0;
}

struct blockcrypt *blockcrypt_get(void)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *fresh = NULL;
	struct blockcrypt *bc;

	if (pthread_once(&own_once, own_init) != 0 || !own_ready)
		return NULL;
	bc = pthread_getspecific(own_key);
	if (bc)
		return bc;
	if (blockcrypt_new(&fresh) < 0 || pthread_setspecific(own_key, fresh) != 0)
		return NULL;
	secret_hide_stack();
	return take_ptr(fresh);
}

void blockcrypt_drop(void)
{
	struct blockcrypt *bc;

	if (pthread_once(&own_once, own_init) != 0 || !own_ready)
		return;
	bc = pthread_getspecific(own_key);
	own_leave();
	blockcrypt_free(bc);
}

/* Constant in time as secret_equal(), and by words: it runs twice a block. */
static bool same_key(const uint8_t a[static 2 * KEY_LEN], const uint8_t b[static 2 * KEY_LEN])
{
	uint64_t x[2 * KEY_LEN / 8], y[2 * KEY_LEN / 8], differ = 0;
	size_t i;

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	for (i = 0; i < sizeof(x) / sizeof(x[0]); i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

/* Key one XTS slot; encrypting decides which. */
static int key_xts(struct blockcrypt *bc, const struct key_xts *key, bool encrypting)
{
	EVP_CIPHER_CTX *ctx = encrypting ? bc->enc : bc->dec;
	struct key_xts *last = encrypting ? &bc->keys->enc : &bc->keys->dec;
	bool *valid = encrypting ? &bc->enc_valid : &bc->dec_valid;

	if (*valid && same_key(last->k, key->k))
		return 0;
	if (secret_equal(key->k, key->k + KEY_LEN, KEY_LEN))
		return -EINVAL;
	*valid = false;
	if (EVP_CipherInit_ex2(ctx, bc->algs->xts, key->k, NULL, encrypting, NULL) != 1)
		return algs_failed(-ENOMEM);
	memcpy(last->k, key->k, sizeof(key->k));
	*valid = true;
	return 0;
}

static int key_tag(struct blockcrypt *bc, const struct key_tag *key)
{
	struct key_tag *last = &bc->keys->tag;

	if (bc->tag_valid && same_key(last->k, key->k))
		return 0;
	bc->tag_valid = false;
	if (EVP_EncryptInit_ex2(bc->gcm, bc->algs->gcm, key->k, NULL, NULL) != 1 ||
	    EVP_EncryptInit_ex2(bc->ecb, bc->algs->ecb, key->k + KEY_LEN, NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(bc->ecb, 0) != 1)
		return algs_failed(-ENOMEM);
	memcpy(last->k, key->k, sizeof(key->k));
	bc->tag_valid = true;
	return 0;
}

static void put_le(uint8_t *p, uint64_t v, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* label(1) version(1) epoch(2) zero(4) number(8) id(16) stamp(8) zero(8) */
static void prefix_put(const struct egmac_msg *msg, uint8_t ret_p[static PREFIX_LEN])
{
	memset(ret_p, 0, PREFIX_LEN);
	ret_p[0] = (uint8_t)msg->label;
	ret_p[1] = MESSAGE_VERSION;
	put_le(ret_p + 2, msg->epoch, 2);
	put_le(ret_p + 8, msg->number, 8);
	memcpy(ret_p + 16, msg->id, 16);
	put_le(ret_p + 32, msg->stamp, 8);
}

/* The prefix is three whole AES blocks, so GHASH takes the payload in its aligned bulk form. */
int blockcrypt_tag(struct blockcrypt *bc, const struct key_tag *key, const struct egmac_msg *msg, const void *payload,
		   size_t len, uint8_t ret_tag[static TAG_LEN])
{
	uint8_t iv[GMAC_IV_LEN], prefix[PREFIX_LEN], gmac[TAG_LEN];
	int n, r;

	if (len > BLOCK_SIZE)
		return -EINVAL;
	r = key_tag(bc, key);
	if (r < 0)
		return r;
	put_le(iv, msg->stamp, 8);
	put_le(iv + 8, msg->number, 4);
	prefix_put(msg, prefix);
	r = 0;
	if (EVP_EncryptInit_ex2(bc->gcm, NULL, NULL, iv, NULL) != 1 ||
	    EVP_EncryptUpdate(bc->gcm, NULL, &n, prefix, PREFIX_LEN) != 1 ||
	    EVP_EncryptUpdate(bc->gcm, NULL, &n, payload, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(bc->gcm, gmac, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(bc->gcm, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, gmac) != 1 ||
	    EVP_EncryptUpdate(bc->ecb, ret_tag, &n, gmac, TAG_LEN) != 1 || n != TAG_LEN)
		r = algs_failed(-ENOMEM);
	secret_wipe(gmac, sizeof(gmac));
	return r;
}

int blockcrypt_tag_check(struct blockcrypt *bc, const struct key_tag *key, const struct egmac_msg *msg,
			 const void *payload, size_t len, const uint8_t tag[static TAG_LEN])
{
	uint8_t own[TAG_LEN];
	int r;

	r = blockcrypt_tag(bc, key, msg, payload, len, own);
	if (r < 0)
		return r;
	if (!secret_equal(own, tag, TAG_LEN))
		r = -EBADMSG;
	/* The right tag for a forged message is nobody's business. */
	secret_wipe(own, sizeof(own));
	return r;
}

static struct egmac_msg block_msg(const struct block_pos *pos)
{
	return (struct egmac_msg){
		.label = 'B',
		.epoch = pos->epoch,
		.number = pos->block,
		.id = pos->file_id,
		.stamp = pos->stamp,
	};
}

/* XTS over one block; ctx is keyed. */
static int xts(EVP_CIPHER_CTX *ctx, const struct block_pos *pos, const uint8_t *in, uint8_t *ret_out)
{
	uint8_t tweak[16];
	int n;

	put_le(tweak, pos->stamp, 8);
	put_le(tweak + 8, pos->block, 8);
	if (EVP_CipherInit_ex2(ctx, NULL, NULL, tweak, -1, NULL) != 1 ||
	    EVP_CipherUpdate(ctx, ret_out, &n, in, BLOCK_SIZE) != 1 || n != BLOCK_SIZE)
		return algs_failed(-ENOMEM);
	return 0;
}

int blockcrypt_seal(struct blockcrypt *bc, const struct file_keys *keys, const struct block_pos *pos,
		    const uint8_t *plain, uint8_t *ret_cipher, uint8_t ret_tag[static TAG_LEN], uint32_t *ret_sum)
{
	const struct egmac_msg msg = block_msg(pos);
	int r;

	if (pos->stamp == 0)
		return -EINVAL;
	/* Both slots are keyed before the first byte is written, which may be over the plain text. */
	r = key_xts(bc, &keys->xts, true);
	if (r < 0)
		return r;
	r = key_tag(bc, &keys->tag);
	if (r < 0)
		return r;
	r = xts(bc->enc, pos, plain, ret_cipher);
	if (r < 0)
		return r;
	r = blockcrypt_tag(bc, &keys->tag, &msg, ret_cipher, BLOCK_SIZE, ret_tag);
	if (r < 0)
		return r;
	*ret_sum = hash_sum32(ret_cipher, BLOCK_SIZE);
	return 0;
}

int blockcrypt_verify(struct blockcrypt *bc, const struct key_tag *key, const struct block_pos *pos,
		      const uint8_t *cipher, const uint8_t tag[static TAG_LEN])
{
	const struct egmac_msg msg = block_msg(pos);

	return blockcrypt_tag_check(bc, key, &msg, cipher, BLOCK_SIZE, tag);
}

int blockcrypt_open(struct blockcrypt *bc, const struct file_keys *keys, const struct block_pos *pos,
		    const uint8_t *cipher, const uint8_t tag[static TAG_LEN], uint8_t *ret_plain)
{
	int r;

	r = key_xts(bc, &keys->xts, false);
	if (r < 0)
		return r;
	r = blockcrypt_verify(bc, &keys->tag, pos, cipher, tag);
	if (r < 0)
		return r;
	return xts(bc->dec, pos, cipher, ret_plain);
}
