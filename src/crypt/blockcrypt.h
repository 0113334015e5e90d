/* blockcrypt.h: AES-256-XTS with a stamp tweak and the egmac tag (docs/format.md section 2, "Tags" and "Blocks").
 * A struct blockcrypt holds OpenSSL contexts for one thread; it is re-keyed only when the keys change, so work on one
 * file costs no key schedule (it remembers the last keys by their bytes). Pure. Not thread safe: one per worker, or
 * borrowed from blockcrypt_get (one per thread and process, freed at thread exit). */
#ifndef COFFER_CRYPT_BLOCKCRYPT_H
#define COFFER_CRYPT_BLOCKCRYPT_H

#include "crypt/keys.h"

#define BLOCK_SIZE 4096
#define TAG_LEN 16

struct blockcrypt;

int blockcrypt_new(struct blockcrypt **ret_bc) must_check;
void blockcrypt_free(struct blockcrypt *bc);
DEFINE_AUTO(struct blockcrypt, blockcrypt_free)
/* This thread's own; made at first use, NULL when out of memory. */
struct blockcrypt *blockcrypt_get(void);
/* Free this thread's own, with all keys in it (locking a volume); the next blockcrypt_get makes another. */
void blockcrypt_drop(void);
/* Forget all keys held by these contexts. */
void blockcrypt_forget(struct blockcrypt *bc);

/* One tag over a 48-byte prefix and payload (label, number, id, stamp as in the table of docs/format.md). */
struct egmac_msg {
	char label;              /* 'B' 'E' 'H' 'L' 'S' */
	uint16_t epoch;
	uint64_t number;
	const uint8_t *id;       /* 16 bytes: file_id or uuid */
	uint64_t stamp;
};
int blockcrypt_tag(struct blockcrypt *bc, const struct key_tag *key, const struct egmac_msg *msg, const void *payload,
		   size_t len, uint8_t ret_tag[static TAG_LEN]) must_check;
/* 0 or -EBADMSG; compares in constant time. */
int blockcrypt_tag_check(struct blockcrypt *bc, const struct key_tag *key, const struct egmac_msg *msg,
			 const void *payload, size_t len, const uint8_t tag[static TAG_LEN]) must_check;

/* Where a block belongs. */
struct block_pos {
	const uint8_t *file_id;  /* FILE_ID_LEN bytes */
	uint64_t block;          /* number in the file */
	uint64_t stamp;          /* fresh for every seal, never 0 */
	uint16_t epoch;
};

/* Encrypt plain (BLOCK_SIZE bytes) to ret_cipher, then tag and sum the ciphertext. plain == ret_cipher is allowed.
 * -EINVAL: stamp 0, or the XTS halves are equal. */
int blockcrypt_seal(struct blockcrypt *bc, const struct file_keys *keys, const struct block_pos *pos,
		    const uint8_t *plain, uint8_t *ret_cipher, uint8_t ret_tag[static TAG_LEN],
		    uint32_t *ret_sum) must_check;
/* Check the tag over cipher, then decrypt to ret_plain; cipher == ret_plain is allowed. -EBADMSG: does not verify, and
 * ret_plain is untouched. */
int blockcrypt_open(struct blockcrypt *bc, const struct file_keys *keys, const struct block_pos *pos,
		    const uint8_t *cipher, const uint8_t tag[static TAG_LEN], uint8_t *ret_plain) must_check;
/* Check only (replay): needs the tag key alone. */
int blockcrypt_verify(struct blockcrypt *bc, const struct key_tag *key, const struct block_pos *pos,
		      const uint8_t *cipher, const uint8_t tag[static TAG_LEN]) must_check;

#endif
