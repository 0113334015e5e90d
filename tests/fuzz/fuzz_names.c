/* fuzz_names.c: what lies in a lower directory, read back (src/crypt/namecrypt.h). The first byte chooses the reader:
 *
 *   0..4   raw: the bytes are a lower name, coffer.dir target, link target, attribute name, attribute value
 *   5..8   the bytes are plain: encrypt, decrypt, compare; so the readers behind the SIV are reached
 *
 * Properties: what a reader accepts is encrypted to the same lower form again; what a writer accepts comes back. */
#include "crypt/namecrypt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

#define EPOCH 0x4141                    /* "QUE" and a bit in base64url */
#define TEXT_MAX 8192

static const uint8_t dir_id[DIR_ID_LEN] = { 1, 2, 3 };

static const struct name_keys *fixed_keys(void)
{
	static struct name_keys keys;
	size_t i;

	for (i = 0; i < 64; i++) {
		keys.name.k[i] = (uint8_t)i;
		keys.symlink.k[i] = (uint8_t)(i + 64);
		keys.xattr_name.k[i] = (uint8_t)(i + 128);
		keys.xattr_value.k[i] = (uint8_t)(i + 192);
	}
	return &keys;
}

static void read_name(const struct name_keys *keys, const char *text, size_t len)
{
	char plain[PLAIN_NAME_MAX + 1], again[LOWER_NAME_FULL_MAX + 1];
	size_t plain_len, again_len;

	if (namecrypt_decrypt(keys, dir_id, text, len, plain, &plain_len) < 0)
		return;
	assert(namecrypt_encrypt(keys, dir_id, plain, plain_len, again, &again_len) == 0);
	assert(again_len == len && memcmp(again, text, len) == 0);
}

static void read_dir_link(const char *text, size_t len)
{
	char again[DIR_LINK_TARGET_MAX];
	uint8_t id[DIR_ID_LEN];
	uint16_t epoch;

	if (namecrypt_dir_link_parse(text, len, id, &epoch) < 0)
		return;
	assert(namecrypt_dir_link_put(id, epoch, again) == 0);
	assert(strlen(again) == len && memcmp(again, text, len) == 0);
}

static void read_symlink(const struct name_keys *keys, const char *text, size_t len)
{
	char plain[SYMLINK_PLAIN_MAX + 1], again[SYMLINK_LOWER_MAX + 1];
	size_t plain_len, again_len;

	if (namecrypt_symlink_decrypt(keys, EPOCH, text, len, plain, &plain_len) < 0)
		return;
	assert(namecrypt_symlink_encrypt(keys, EPOCH, plain, plain_len, again, &again_len) == 0);
	assert(again_len == len && memcmp(again, text, len) == 0);
}

static void read_xattr_name(const struct name_keys *keys, const char *text)
{
	char plain[XATTR_PLAIN_NAME_MAX + 1], again[LOWER_NAME_LEN_MAX + 1];
	size_t plain_len;

	if (namecrypt_xattr_name_decrypt(keys, EPOCH, text, plain, &plain_len) < 0)
		return;
	assert(namecrypt_xattr_name_encrypt(keys, EPOCH, plain, plain_len, again) == 0);
	assert(strcmp(again, text) == 0);
}

static void value_there_and_back(const struct name_keys *keys, const char *lower, const uint8_t *p, size_t len)
{
	static uint8_t sealed[TEXT_MAX + XATTR_VALUE_EXTRA], back[TEXT_MAX];

	assert(namecrypt_xattr_value_encrypt(keys, EPOCH, lower, p, len, sealed) == 0);
	assert(namecrypt_xattr_value_decrypt(keys, EPOCH, lower, sealed, len + XATTR_VALUE_EXTRA, back) == 0);
	assert(memcmp(back, p, len) == 0);
}

static void write_name(const struct name_keys *keys, const char *text, size_t len)
{
	char full[LOWER_NAME_FULL_MAX + 1], back[PLAIN_NAME_MAX + 1];
	size_t full_len, back_len;

	if (namecrypt_encrypt(keys, dir_id, text, len, full, &full_len) < 0)
		return;
	assert(namecrypt_decrypt(keys, dir_id, full, full_len, back, &back_len) == 0);
	assert(back_len == len && memcmp(back, text, len) == 0);
}

static void write_symlink(const struct name_keys *keys, const char *text, size_t len)
{
	char lower[SYMLINK_LOWER_MAX + 1], back[SYMLINK_PLAIN_MAX + 1];
	size_t lower_len, back_len;

	if (namecrypt_symlink_encrypt(keys, EPOCH, text, len, lower, &lower_len) < 0)
		return;
	assert(namecrypt_symlink_decrypt(keys, EPOCH, lower, lower_len, back, &back_len) == 0);
	assert(back_len == len && memcmp(back, text, len) == 0);
}

static void write_xattr_name(const struct name_keys *keys, const char *text, size_t len)
{
	char lower[LOWER_NAME_LEN_MAX + 1], back[XATTR_PLAIN_NAME_MAX + 1];
	size_t back_len;

	if (namecrypt_xattr_name_encrypt(keys, EPOCH, text, len, lower) < 0)
		return;
	assert(namecrypt_xattr_name_decrypt(keys, EPOCH, lower, back, &back_len) == 0);
	assert(back_len == len && memcmp(back, text, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	const struct name_keys *keys = fixed_keys();
	char lower[LOWER_NAME_LEN_MAX + 1], text[TEXT_MAX + 1];
	static uint8_t value[TEXT_MAX];

	if (len == 0 || len > TEXT_MAX)
		return 0;
	len--;
	memcpy(text, p + 1, len);
	text[len] = '\0';
	assert(namecrypt_xattr_name_encrypt(keys, EPOCH, "k", 1, lower) == 0);
	switch (p[0] % 9) {
	case 0:
		read_name(keys, text, len);
		break;
	case 1:
		read_dir_link(text, len);
		break;
	case 2:
		read_symlink(keys, text, len);
		break;
	case 3:
		read_xattr_name(keys, text);
		break;
	case 4:
		/* Whatever is accepted is authentic; a forged one shows by the assertions of 8. */
		(void)!namecrypt_xattr_value_decrypt(keys, EPOCH, lower, p + 1, len, value);
		break;
	case 5:
		write_name(keys, text, len);
		break;
	case 6:
		write_symlink(keys, text, len);
		break;
	case 7:
		write_xattr_name(keys, text, len);
		break;
	default:
		value_there_and_back(keys, lower, p + 1, len);
	}
	return 0;
}
