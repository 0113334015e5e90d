/* namecrypt.c: names, link targets, extended attributes (docs/format.md section 6; docs/crypto.md C10-C12).
 *
 * Everything is AES-256-SIV under a key of its own, then base64url. Names and link targets are padded with zero bytes to a
 * multiple of 32 first, which hides their length up to 32; neither may hold a zero byte, so the padding comes off again
 * without doubt. SIV decrypts before it can check, so every open works in a buffer of its own and copies out at the end.
 *
 * One lower form per plain one: characters outside the alphabet, unused bits that are not zero and padding longer than
 * needed are all refused, so that an entry cannot be planted twice under two spellings. */
#include "crypt/namecrypt.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "crypt/digest.h"
#include "crypt/siv.h"

#define PAD 32
#define EPOCH_LEN 2
#define NAME_PADDED_MAX 256
#define NAME_SEALED_MAX (SIV_LEN + NAME_PADDED_MAX)
#define SYMLINK_PADDED_MAX ((SYMLINK_PLAIN_MAX + PAD - 1) / PAD * PAD)
#define SYMLINK_SEALED_MAX (EPOCH_LEN + SIV_LEN + SYMLINK_PADDED_MAX)
#define XATTR_SEALED_MAX (EPOCH_LEN + SIV_LEN + XATTR_PLAIN_NAME_MAX)
#define XATTR_PREFIX_LEN (sizeof(XATTR_LOWER_PREFIX) - 1)
#define B64URL_LEN(n) (((n) * 4 + 2) / 3)

_Static_assert(XATTR_VALUE_EXTRA == EPOCH_LEN + SIV_LEN, "docs/format.md says so");
_Static_assert(B64URL_LEN(NAME_SEALED_MAX) == LOWER_NAME_FULL_MAX, "docs/format.md says so");
_Static_assert(B64URL_LEN(SYMLINK_SEALED_MAX) <= SYMLINK_LOWER_MAX, "a link target must fit");
_Static_assert(XATTR_PREFIX_LEN + B64URL_LEN(XATTR_SEALED_MAX) <= LOWER_NAME_LEN_MAX, "an xattr name must fit");
_Static_assert(B64URL_LEN(DIGEST_SHA256_LEN) == NAME_HASH_LEN, "docs/format.md says so");

static const char b64url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t namecrypt_b64url_encode(const uint8_t *p, size_t len, char *ret_text)
{
	unsigned bits = 0, have = 0;
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			ret_text[n++] = b64url_alphabet[bits >> (have - 6) & 63];
	}
	if (have > 0)
		ret_text[n++] = b64url_alphabet[bits << (6 - have) & 63];
	ret_text[n] = '\0';
	return n;
}

/* The value of a character, -1 outside the alphabet. */
static int b64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t namecrypt_b64url_decode(const char *text, size_t len, uint8_t *ret_p, size_t max)
{
	unsigned bits = 0, have = 0;
	size_t i, n = 0;

	if (len % 4 == 1 || len / 4 * 3 + len % 4 * 3 / 4 > max)
		return -EBADMSG;
	for (i = 0; i < len; i++) {
		int v = b64url_value(text[i]);

		if (v < 0)
			return -EBADMSG;
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			ret_p[n++] = (uint8_t)(bits >> have);
		}
	}
	if (bits & ((1u << have) - 1))
		return -EBADMSG;
	return (ssize_t)n;
}

static size_t padded_len(size_t len)
{
	return (len + PAD - 1) / PAD * PAD;
}

/* The length without zero bytes at the end, 0 when the padding is not what padded_len() makes or a zero byte is inside. */
static size_t unpadded_len(const uint8_t *p, size_t padded)
{
	size_t len = padded;

	while (len > 0 && p[len - 1] == 0)
		len--;
	if (len == 0 || padded_len(len) != padded || memchr(p, 0, len))
		return 0;
	return len;
}

static bool name_ok(const void *p, size_t len)
{
	const char *name = p;

	if (len == 0 || len > PLAIN_NAME_MAX || memchr(name, 0, len) || memchr(name, '/', len))
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

int namecrypt_encrypt(const struct name_keys *keys, const uint8_t dir_id[static DIR_ID_LEN], const char *plain, size_t len,
		      char ret_full[static LOWER_NAME_FULL_MAX + 1], size_t *ret_len)
{
	uint8_t padded[NAME_PADDED_MAX] = { 0 };
	uint8_t sealed[NAME_SEALED_MAX];
	int r;

	if (len > PLAIN_NAME_MAX)
		return -ENAMETOOLONG;
	if (!name_ok(plain, len))
		return -EINVAL;
	memcpy(padded, plain, len);
	r = siv_seal(&keys->name, dir_id, DIR_ID_LEN, padded, padded_len(len), sealed);
	if (r < 0)
		return r;
	*ret_len = namecrypt_b64url_encode(sealed, SIV_LEN + padded_len(len), ret_full);
	return 0;
}

int namecrypt_decrypt(const struct name_keys *keys, const uint8_t dir_id[static DIR_ID_LEN], const char *full, size_t len,
		      char ret_plain[static PLAIN_NAME_MAX + 1], size_t *ret_len)
{
	uint8_t sealed[NAME_SEALED_MAX], plain[NAME_PADDED_MAX];
	size_t padded, plain_len;
	ssize_t n;
	int r;

	n = namecrypt_b64url_decode(full, len, sealed, sizeof(sealed));
	if (n <= SIV_LEN)
		return -EBADMSG;
	padded = (size_t)n - SIV_LEN;
	if (padded % PAD != 0)
		return -EBADMSG;
	r = siv_open(&keys->name, dir_id, DIR_ID_LEN, sealed, (size_t)n, plain);
	if (r < 0)
		return r;
	plain_len = unpadded_len(plain, padded);
	if (!name_ok(plain, plain_len))
		return -EBADMSG;
	memcpy(ret_plain, plain, plain_len);
	ret_plain[plain_len] = '\0';
	*ret_len = plain_len;
	return 0;
}

int namecrypt_hash(const char *full, size_t len, char ret_hash[static NAME_HASH_LEN + 1])
{
	uint8_t digest[DIGEST_SHA256_LEN];
	int r;

	r = digest_sha256(full, len, digest);
	if (r < 0)
		return r;
	(void)namecrypt_b64url_encode(digest, sizeof(digest), ret_hash);
	return 0;
}

int namecrypt_entry(const char *full, size_t len, char ret_entry[static LOWER_NAME_LEN_MAX + 1], char ret_link[static LOWER_NAME_LEN_MAX + 1])
{
	char hash[NAME_HASH_LEN + 1];
	int r;

	ret_link[0] = '\0';
	if (!namecrypt_is_long(len)) {
		memcpy(ret_entry, full, len + 1);
		return 0;
	}
	r = namecrypt_hash(full, len, hash);
	if (r < 0)
		return r;
	(void)snprintf(ret_entry, LOWER_NAME_LEN_MAX + 1, LONG_PREFIX "%s", hash);
	(void)snprintf(ret_link, LOWER_NAME_LEN_MAX + 1, LONG_NAME_PREFIX "%s", hash);
	return 0;
}

int namecrypt_dir_link_put(const uint8_t dir_id[static DIR_ID_LEN], uint16_t names_epoch,
			   char ret_target[static DIR_LINK_TARGET_MAX])
{
	char digits[5];
	size_t n = 0, out;

	if (names_epoch == 0)
		return -EINVAL;
	text_hex(dir_id, DIR_ID_LEN, ret_target);
	out = 2 * DIR_ID_LEN;
	ret_target[out++] = '.'; /* over the NUL of the digits */
	for (; names_epoch > 0; names_epoch = (uint16_t)(names_epoch / 10))
		digits[n++] = (char)('0' + names_epoch % 10);
	while (n > 0)
		ret_target[out++] = digits[--n];
	ret_target[out] = '\0';
	return 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int namecrypt_dir_link_parse(const char *target, size_t len, uint8_t ret_dir_id[static DIR_ID_LEN],
			     uint16_t *ret_names_epoch)
{
	const size_t at = 2 * DIR_ID_LEN + 1;
	uint8_t id[DIR_ID_LEN];
	unsigned epoch = 0;
	size_t i;

	if (len <= at || len >= DIR_LINK_TARGET_MAX || target[at - 1] != '.' || target[at] == '0')
		return -EUCLEAN;
	for (i = 0; i < DIR_ID_LEN; i++) {
		int high = hex_value(target[2 * i]), low = hex_value(target[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EUCLEAN;
		id[i] = (uint8_t)(high << 4 | low);
	}
	for (i = at; i < len; i++) {
		if (target[i] < '0' || target[i] > '9')
			return -EUCLEAN;
		epoch = epoch * 10 + (unsigned)(target[i] - '0');
	}
	if (epoch > UINT16_MAX)
		return -EUCLEAN;
	memcpy(ret_dir_id, id, DIR_ID_LEN);
	*ret_names_epoch = (uint16_t)epoch;
	return 0;
}

static void epoch_put(uint8_t *p, uint16_t epoch)
{
	p[0] = (uint8_t)epoch;
	p[1] = (uint8_t)(epoch >> 8);
}

static bool epoch_is(const uint8_t *p, uint16_t epoch)
{
	return (p[0] | p[1] << 8) == epoch;
}

int namecrypt_symlink_encrypt(const struct name_keys *keys, uint16_t names_epoch, const char *plain, size_t len,
			      char ret_lower[static SYMLINK_LOWER_MAX + 1], size_t *ret_len)
{
	uint8_t padded[SYMLINK_PADDED_MAX] = { 0 };
	uint8_t sealed[SYMLINK_SEALED_MAX];
	int r;

	if (len > SYMLINK_PLAIN_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(plain, 0, len))
		return -EINVAL;
	memcpy(padded, plain, len);
	epoch_put(sealed, names_epoch);
	r = siv_seal(&keys->symlink, NULL, 0, padded, padded_len(len), sealed + EPOCH_LEN);
	if (r < 0)
		return r;
	*ret_len = namecrypt_b64url_encode(sealed, EPOCH_LEN + SIV_LEN + padded_len(len), ret_lower);
	return 0;
}

int namecrypt_symlink_decrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower, size_t len,
			      char ret_plain[static SYMLINK_PLAIN_MAX + 1], size_t *ret_len)
{
	uint8_t sealed[SYMLINK_SEALED_MAX], plain[SYMLINK_PADDED_MAX];
	size_t padded, plain_len;
	ssize_t n;
	int r;

	n = namecrypt_b64url_decode(lower, len, sealed, sizeof(sealed));
	if (n <= EPOCH_LEN + SIV_LEN)
		return -EBADMSG;
	padded = (size_t)n - EPOCH_LEN - SIV_LEN;
	if (padded % PAD != 0)
		return -EBADMSG;
	if (!epoch_is(sealed, names_epoch))
		return -ENOKEY;
	r = siv_open(&keys->symlink, NULL, 0, sealed + EPOCH_LEN, (size_t)n - EPOCH_LEN, plain);
	if (r < 0)
		return r;
	plain_len = unpadded_len(plain, padded);
	if (plain_len == 0 || plain_len > SYMLINK_PLAIN_MAX)
		return -EBADMSG;
	memcpy(ret_plain, plain, plain_len);
	ret_plain[plain_len] = '\0';
	*ret_len = plain_len;
	return 0;
}

int namecrypt_xattr_name_encrypt(const struct name_keys *keys, uint16_t names_epoch, const char *plain, size_t len,
				 char ret_lower[static LOWER_NAME_LEN_MAX + 1])
{
	uint8_t sealed[XATTR_SEALED_MAX];
	int r;

	if (len > XATTR_PLAIN_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || memchr(plain, 0, len))
		return -EINVAL;
	epoch_put(sealed, names_epoch);
	r = siv_seal(&keys->xattr_name, NULL, 0, (const uint8_t *)plain, len, sealed + EPOCH_LEN);
	if (r < 0)
		return r;
	memcpy(ret_lower, XATTR_LOWER_PREFIX, XATTR_PREFIX_LEN);
	(void)namecrypt_b64url_encode(sealed, EPOCH_LEN + SIV_LEN + len, ret_lower + XATTR_PREFIX_LEN);
	return 0;
}

/* epoch || X of a lower name: its length, -EBADMSG (form), -ENOKEY (another epoch). */
static ssize_t xattr_name_decode(uint16_t names_epoch, const char *lower, uint8_t ret_sealed[static XATTR_SEALED_MAX])
{
	size_t len = strnlen(lower, LOWER_NAME_LEN_MAX + 1);
	ssize_t n;

	if (len < XATTR_PREFIX_LEN || strncmp(lower, XATTR_LOWER_PREFIX, XATTR_PREFIX_LEN) != 0)
		return -EBADMSG;
	n = namecrypt_b64url_decode(lower + XATTR_PREFIX_LEN, len - XATTR_PREFIX_LEN, ret_sealed, XATTR_SEALED_MAX);
	if (n <= EPOCH_LEN + SIV_LEN)
		return -EBADMSG;
	return epoch_is(ret_sealed, names_epoch) ? n : -ENOKEY;
}

int namecrypt_xattr_name_decrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower,
				 char ret_plain[static XATTR_PLAIN_NAME_MAX + 1], size_t *ret_len)
{
	uint8_t sealed[XATTR_SEALED_MAX], plain[XATTR_PLAIN_NAME_MAX];
	size_t len;
	ssize_t n;
	int r;

	n = xattr_name_decode(names_epoch, lower, sealed);
	if (n < 0)
		return (int)n;
	len = (size_t)n - EPOCH_LEN - SIV_LEN;
	r = siv_open(&keys->xattr_name, NULL, 0, sealed + EPOCH_LEN, (size_t)n - EPOCH_LEN, plain);
	if (r < 0)
		return r;
	if (memchr(plain, 0, len))
		return -EBADMSG;
	memcpy(ret_plain, plain, len);
	ret_plain[len] = '\0';
	*ret_len = len;
	return 0;
}

int namecrypt_xattr_value_encrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower_name,
				  const uint8_t *plain, size_t len, uint8_t *ret_out)
{
	uint8_t name[XATTR_SEALED_MAX];
	ssize_t n;
	int r;

	if (len > SIV_TEXT_MAX)
		return -E2BIG;
	n = xattr_name_decode(names_epoch, lower_name, name);
	if (n < 0)
		return (int)n;
	r = siv_seal(&keys->xattr_value, name + EPOCH_LEN, (size_t)n - EPOCH_LEN, plain, len, ret_out + EPOCH_LEN);
	if (r < 0)
		return r;
	epoch_put(ret_out, names_epoch);
	return 0;
}

int namecrypt_xattr_value_decrypt(const struct name_keys *keys, uint16_t names_epoch, const char *lower_name,
				  const uint8_t *in, size_t len, uint8_t *ret_plain)
{
	AUTO_FREE uint8_t *plain = NULL;
	uint8_t name[XATTR_SEALED_MAX];
	ssize_t n;
	int r;

	if (len < XATTR_VALUE_EXTRA || len > SIV_TEXT_MAX + XATTR_VALUE_EXTRA)
		return -EBADMSG;
	n = xattr_name_decode(names_epoch, lower_name, name);
	if (n < 0)
		return (int)n;
	if (!epoch_is(in, names_epoch))
		return -ENOKEY;
	plain = malloc(len);
	if (!plain)
		return -ENOMEM;
	r = siv_open(&keys->xattr_value, name + EPOCH_LEN, (size_t)n - EPOCH_LEN, in + EPOCH_LEN, len - EPOCH_LEN, plain);
	if (r == 0 && len > XATTR_VALUE_EXTRA)
		memcpy(ret_plain, plain, len - XATTR_VALUE_EXTRA);
	secret_wipe(plain, len);
	return r;
}
