/* namecrypt.h: plain names, symbolic link targets and extended attributes to their lower form and back (docs/format.md
 * section 6). AES-256-SIV through EVP. Pure, thread safe. Buffers are the caller's; results are NUL-terminated text
 * except where a length is returned. */
#ifndef COFFER_CRYPT_NAMECRYPT_H
#define COFFER_CRYPT_NAMECRYPT_H

#include "crypt/keys.h"

#include <stdbool.h>
#include <sys/types.h>

#define DIR_ID_LEN 16
#define PLAIN_NAME_MAX 255
#define LOWER_NAME_INLINE_MAX 160          /* longer ones take the long-name form */
#define LOWER_NAME_FULL_MAX 363            /* b64url of 16 + 256 bytes */
#define LOWER_NAME_LEN_MAX 255
#define NAME_HASH_LEN 43
#define LONG_PREFIX "coffer.long."
#define LONG_NAME_PREFIX "coffer.name."
#define DIR_LINK "coffer.dir"
#define DIR_LINK_TARGET_MAX 40             /* 32 hex digits, dot, epoch, NUL */
#define SYMLINK_PLAIN_MAX 3000
#define SYMLINK_LOWER_MAX 4095
#define XATTR_PLAIN_NAME_MAX 150           /* without "user." */
#define XATTR_LOWER_PREFIX "user.coffer."
#define XATTR_VALUE_EXTRA 18               /* epoch and SIV */

/* The whole lower name (b64url) of a plain name in the directory of this id; len without NUL, ret_full has
 * LOWER_NAME_FULL_MAX + 1 bytes. -EINVAL: empty, ".", "..", a slash or NUL in it; -ENAMETOOLONG: above 255 bytes. */
int namecrypt_encrypt(const struct name_keys *keys, const uint8_t dir_id[static DIR_ID_LEN], const char *plain,
		      size_t len, char ret_full[static LOWER_NAME_FULL_MAX + 1], size_t *ret_len) must_check;
/* Back; ret_plain has PLAIN_NAME_MAX + 1 bytes. -EBADMSG: not ours (any reason: characters, length, SIV, padding). */
int namecrypt_decrypt(const struct name_keys *keys, const uint8_t dir_id[static DIR_ID_LEN], const char *full,
		      size_t len, char ret_plain[static PLAIN_NAME_MAX + 1], size_t *ret_len) must_check;

/* Does this whole lower name take the long form? */
static inline bool namecrypt_is_long(size_t full_len)
{
	return full_len > LOWER_NAME_INLINE_MAX;
}
/* b64url(SHA-256(full)), NUL-terminated. */
int namecrypt_hash(const char *full, size_t len, char ret_hash[static NAME_HASH_LEN + 1]) must_check;
/* The lower entry of a whole lower name, and, where it takes the long form, the link beside it; else that is empty. */
int namecrypt_entry(const char *full, size_t len, char ret_entry[static LOWER_NAME_LEN_MAX + 1], char ret_link[static LOWER_NAME_LEN_MAX + 1]) must_check;

/* coffer.dir: the link target of an id and epoch, and back. -EUCLEAN malformed. */
int namecrypt_dir_link_put(const uint8_t dir_id[static DIR_ID_LEN], uint16_t names_epoch,
			   char ret_target[static DIR_LINK_TARGET_MAX]) must_check;
int namecrypt_dir_link_parse(const char *target, size_t len, uint8_t ret_dir_id[static DIR_ID_LEN],
			     uint16_t *ret_names_epoch) must_check;

/* Symbolic link targets. ret_lower has SYMLINK_LOWER_MAX + 1 bytes; -ENAMETOOLONG above SYMLINK_PLAIN_MAX; -EINVAL empty. */
int namecrypt_symlink_encrypt(const struct name_keys *keys, uint16_t names_epoch, const char *plain, size_t len,
			      char ret_lower[static SYMLINK_LOWER_MAX + 1], size_t *ret_len) must_check;
/* ret_plain has SYMLINK_PLAIN_MAX + 1 bytes; -EBADMSG not ours; -ENOKEY another names epoch. */
int namecrypt_symlink_decrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower, size_t len,
			      char ret_plain[static SYMLINK_PLAIN_MAX + 1], size_t *ret_len) must_check;

/* Extended attributes: name without "user." -> whole lower name with XATTR_LOWER_PREFIX, and back; values. */
int namecrypt_xattr_name_encrypt(const struct name_keys *keys, uint16_t names_epoch, const char *plain, size_t len,
				 char ret_lower[static LOWER_NAME_LEN_MAX + 1]) must_check;
int namecrypt_xattr_name_decrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower,
				 char ret_plain[static XATTR_PLAIN_NAME_MAX + 1], size_t *ret_len) must_check;
/* ret_out has len + XATTR_VALUE_EXTRA bytes. lower_name is the encrypted name, which the value is bound to. */
int namecrypt_xattr_value_encrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower_name,
				  const uint8_t *plain, size_t len, uint8_t *ret_out) must_check;
/* ret_plain has len - XATTR_VALUE_EXTRA bytes; -EBADMSG. */
int namecrypt_xattr_value_decrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower_name,
				  const uint8_t *in, size_t len, uint8_t *ret_plain) must_check;

/* b64url, strict; encode writes a NUL behind 4/3 len; decode returns the length or -EBADMSG, and may have written to ret_p. */
size_t namecrypt_b64url_encode(const uint8_t *p, size_t len, char *ret_text);
ssize_t namecrypt_b64url_decode(const char *text, size_t len, uint8_t *ret_p, size_t max) must_check;

#endif
