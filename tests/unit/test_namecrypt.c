/* test_namecrypt.c: names, link targets, extended attributes. Known answers: crypt_vectors.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "crypt/namecrypt.h"
#include "crypt/siv.h"
#include "crypt_vectors.h"

#define NAMES_EPOCH 3

static const uint8_t root_dir[DIR_ID_LEN];
static const uint8_t some_dir[DIR_ID_LEN] = { 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67,
					      0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f };

static int setup(void **state)
{
	struct name_keys *keys = calloc(1, sizeof(*keys));

	assert_non_null(keys);
	memcpy(keys->name.k, vec_key_name, 64);
	memcpy(keys->symlink.k, vec_key_symlink, 64);
	memcpy(keys->xattr_name.k, vec_key_xattr_name, 64);
	memcpy(keys->xattr_value.k, vec_key_xattr_value, 64);
	*state = keys;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* --- base64url --- */

static void b64url_gives_the_answers_of_rfc_4648(void **state)
{
	static const struct {
		const char *plain, *text;
	} v[] = { { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg" },
		  { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xbf", "-_-_" } };
	char text[16];
	uint8_t back[16];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		len = strlen(v[i].plain);
		assert_int_equal(namecrypt_b64url_encode((const uint8_t *)v[i].plain, len, text), strlen(v[i].text));
		assert_string_equal(text, v[i].text);
		assert_int_equal(namecrypt_b64url_decode(text, strlen(text), back, len), len);
		assert_memory_equal(back, v[i].plain, len);
		if (len > 0)
			assert_int_equal(namecrypt_b64url_decode(text, strlen(text), back, len - 1), -EBADMSG);
	}
}

static void b64url_refuses_all_but_the_one_spelling(void **state)
{
	static const char *const bad[] = { "Z", "Zg==", "Zh", "Zm9", "Zm8=", "Zm9vY", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n",
					   "Zg.", "Z\xc3\xa9" };
	uint8_t out[16];
	size_t i;
	int c;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(namecrypt_b64url_decode(bad[i], strlen(bad[i]), out, sizeof(out)), -EBADMSG);
	/* 64 characters are good, the other 192 are not. */
	for (i = 0, c = 0; c < 256; c++) {
		char text[4] = { 'A', 'A', (char)c, 'A' };
		ssize_t n = namecrypt_b64url_decode(text, 4, out, sizeof(out));

		assert_true(n == 3 || n == -EBADMSG);
		i += n == 3;
	}
	assert_int_equal(i, 64);
}

/* --- names --- */

static void names_give_the_known_answers(void **state)
{
	const struct name_keys *keys = *state;
	char full[LOWER_NAME_FULL_MAX + 1], plain[PLAIN_NAME_MAX + 1], hash[NAME_HASH_LEN + 1];
	char xs[255];
	size_t len;

	assert_int_equal(namecrypt_encrypt(keys, root_dir, "a", 1, full, &len), 0);
	assert_string_equal(full, vec_name_a);
	assert_int_equal(len, strlen(vec_name_a));
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "000000010000000000000001", 24, full, &len), 0);
	assert_string_equal(full, vec_name_wal);
	memset(xs, 'x', sizeof(xs));
	assert_int_equal(namecrypt_encrypt(keys, some_dir, xs, sizeof(xs), full, &len), 0);
	assert_string_equal(full, vec_name_long);
	assert_int_equal(len, LOWER_NAME_FULL_MAX);
	assert_int_equal(namecrypt_hash(full, len, hash), 0);
	assert_string_equal(hash, vec_name_long_hash);
	assert_int_equal(namecrypt_decrypt(keys, some_dir, vec_name_wal, strlen(vec_name_wal), plain, &len), 0);
	assert_string_equal(plain, "000000010000000000000001");
	assert_int_equal(len, 24);
}

static void names_of_every_length_come_back_in_several_directories(void **state)
{
	const struct name_keys *keys = *state;
	char plain[PLAIN_NAME_MAX], full[LOWER_NAME_FULL_MAX + 1], back[PLAIN_NAME_MAX + 1];
	uint8_t dir[DIR_ID_LEN] = { 0 };
	size_t len, full_len, back_len, i, d;

	for (d = 0; d < 4; d++) {
		for (len = 1; len <= PLAIN_NAME_MAX; len++) {
			for (i = 0; i < len; i++) {
				plain[i] = (char)(1 + (i * 31 + len * 7 + d) % 255);
				if (plain[i] == '/')
					plain[i] = 'q';
			}
			if (plain[0] == '.')
				plain[0] = 'q';
			assert_int_equal(namecrypt_encrypt(keys, dir, plain, len, full, &full_len), 0);
			assert_int_equal(full_len, strlen(full));
			assert_int_equal(namecrypt_decrypt(keys, dir, full, full_len, back, &back_len), 0);
			assert_int_equal(back_len, len);
			assert_memory_equal(back, plain, len);
			assert_int_equal(back[len], 0);
		}
		dir[d] = (uint8_t)(0x80 + d);
	}
}

/* docs/format.md section 6: padded to 32, SIV of 16, base64url; above 160 characters, that is above 96 bytes, long. */
static void lower_names_have_the_stated_lengths(void **state)
{
	static const struct {
		size_t plain, lower;
	} table[] = { { 1, 64 }, { 32, 64 }, { 33, 107 }, { 64, 107 }, { 65, 150 }, { 96, 150 }, { 97, 192 },
		      { 128, 192 }, { 129, 235 }, { 160, 235 }, { 161, 278 }, { 192, 278 }, { 193, 320 },
		      { 224, 320 }, { 225, 363 }, { 255, 363 } };
	const struct name_keys *keys = *state;
	char plain[PLAIN_NAME_MAX], full[LOWER_NAME_FULL_MAX + 1];
	size_t i, len;

	memset(plain, 'n', sizeof(plain));
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(namecrypt_encrypt(keys, some_dir, plain, table[i].plain, full, &len), 0);
		assert_int_equal(len, table[i].lower);
		assert_int_equal(namecrypt_is_long(len), table[i].plain > 96);
		assert_null(strchr(full, '.'));
	}
	assert_true(strlen(LONG_PREFIX) + NAME_HASH_LEN <= LOWER_NAME_LEN_MAX);
}

static void what_is_no_name_is_not_encrypted(void **state)
{
	const struct name_keys *keys = *state;
	char full[LOWER_NAME_FULL_MAX + 1], big[256];
	size_t len = 77;

	memset(big, 'b', sizeof(big));
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "", 0, full, &len), -EINVAL);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, ".", 1, full, &len), -EINVAL);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "..", 2, full, &len), -EINVAL);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "a/b", 3, full, &len), -EINVAL);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "a\0b", 3, full, &len), -EINVAL);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, big, 256, full, &len), -ENAMETOOLONG);
	assert_int_equal(len, 77);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "...", 3, full, &len), 0);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, ".a", 2, full, &len), 0);
}

static void assert_not_ours(const struct name_keys *keys, const uint8_t *dir, const char *full, size_t len)
{
	char plain[PLAIN_NAME_MAX + 1], before[PLAIN_NAME_MAX + 1];
	size_t plain_len = 99;

	memset(plain, 0x5a, sizeof(plain));
	memset(before, 0x5a, sizeof(before));
	assert_int_equal(namecrypt_decrypt(keys, dir, full, len, plain, &plain_len), -EBADMSG);
	assert_memory_equal(plain, before, sizeof(plain));
	assert_int_equal(plain_len, 99);
}

static void every_flipped_character_of_a_name_is_refused(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/";
	const struct name_keys *keys = *state;
	char full[LOWER_NAME_FULL_MAX + 1];
	size_t at, i, len = strlen(vec_name_a);

	memcpy(full, vec_name_a, len + 1);
	for (at = 0; at < len; at++) {
		for (i = 0; i < sizeof(alphabet); i++) { /* the NUL too */
			if (alphabet[i] == vec_name_a[at])
				continue;
			full[at] = alphabet[i];
			assert_not_ours(keys, root_dir, full, len);
		}
		full[at] = vec_name_a[at];
	}
	memcpy(full, vec_name_long, LOWER_NAME_FULL_MAX + 1);
	for (at = 0; at < LOWER_NAME_FULL_MAX; at++) {
		full[at] = vec_name_long[at] == 'A' ? 'B' : 'A';
		assert_not_ours(keys, some_dir, full, LOWER_NAME_FULL_MAX);
		full[at] = vec_name_long[at];
	}
}

static void names_of_other_lengths_directories_and_keys_are_refused(void **state)
{
	const struct name_keys *keys = *state;
	struct name_keys other = *keys;
	char longer[LOWER_NAME_FULL_MAX + 8];
	size_t len;

	for (len = 0; len < strlen(vec_name_wal); len++)
		assert_not_ours(keys, some_dir, vec_name_wal, len);
	memset(longer, 'A', sizeof(longer));
	memcpy(longer, vec_name_long, LOWER_NAME_FULL_MAX);
	for (len = LOWER_NAME_FULL_MAX + 1; len <= sizeof(longer); len++)
		assert_not_ours(keys, some_dir, longer, len);
	assert_not_ours(keys, root_dir, vec_name_wal, strlen(vec_name_wal));
	other.name = keys->symlink;
	assert_not_ours(&other, some_dir, vec_name_wal, strlen(vec_name_wal));
	assert_not_ours(keys, some_dir, "coffer.dir", 10);
}

static void authentic_text_that_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = { vec_bad_name_dot, vec_bad_name_dotdot, vec_bad_name_slash, vec_bad_name_nul_inside,
					   vec_bad_name_nothing, vec_bad_name_padding, vec_bad_name_unpadded };
	const struct name_keys *keys = *state;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_not_ours(keys, root_dir, bad[i], strlen(bad[i]));
}

static void equal_names_are_equal_in_one_directory_only(void **state)
{
	const struct name_keys *keys = *state;
	char a[LOWER_NAME_FULL_MAX + 1], b[LOWER_NAME_FULL_MAX + 1];
	size_t n;

	assert_int_equal(namecrypt_encrypt(keys, some_dir, "base", 4, a, &n), 0);
	assert_int_equal(namecrypt_encrypt(keys, some_dir, "base", 4, b, &n), 0);
	assert_string_equal(a, b);
	assert_int_equal(namecrypt_encrypt(keys, root_dir, "base", 4, b, &n), 0);
	assert_string_not_equal(a, b);
}

/* --- coffer.dir --- */

static void directory_links_come_back(void **state)
{
	static const uint16_t epochs[] = { 1, 9, 10, 12345, 65535 };
	char target[DIR_LINK_TARGET_MAX];
	uint8_t id[DIR_ID_LEN];
	uint16_t epoch;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
		assert_int_equal(namecrypt_dir_link_put(some_dir, epochs[i], target), 0);
		assert_int_equal(namecrypt_dir_link_parse(target, strlen(target), id, &epoch), 0);
		assert_memory_equal(id, some_dir, DIR_ID_LEN);
		assert_int_equal(epoch, epochs[i]);
	}
	assert_string_equal(target, "606162636465666768696a6b6c6d6e6f.65535");
	assert_int_equal(namecrypt_dir_link_put(some_dir, 0, target), -EINVAL);
}

static void malformed_directory_links_are_unclean(void **state)
{
#define ID "606162636465666768696a6b6c6d6e6f"
	static const char *const bad[] = {
		"", ID, ID ".", ID ".0", ID ".01", ID ".65536", ID ".99999", ID ".123456", ID ".1 ", ID ".-1", ID ".+1", ID "-1",
		"6" ID ".1", "606162636465666768696A6b6c6d6e6f.1", "606162636465666768696g6b6c6d6e6f.1", ".1", ID ".1x",
	};
	uint8_t id[DIR_ID_LEN], before[DIR_ID_LEN];
	uint16_t epoch = 4711;
	size_t i;

	(void)state;
	memset(id, 0x77, sizeof(id));
	memset(before, 0x77, sizeof(before));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(namecrypt_dir_link_parse(bad[i], strlen(bad[i]), id, &epoch), -EUCLEAN);
	assert_memory_equal(id, before, DIR_ID_LEN);
	assert_int_equal(epoch, 4711);
}

/* --- symbolic links --- */

static void link_targets_come_back_and_give_the_known_answer(void **state)
{
	static const size_t lens[] = { 1, 31, 32, 33, 255, 1000, 2976, 2999, 3000 };
	const struct name_keys *keys = *state;
	char plain[SYMLINK_PLAIN_MAX], lower[SYMLINK_LOWER_MAX + 1], back[SYMLINK_PLAIN_MAX + 1];
	size_t i, len, back_len;

	assert_int_equal(namecrypt_symlink_encrypt(keys, NAMES_EPOCH, "../pg_wal", 9, lower, &len), 0);
	assert_string_equal(lower, vec_symlink);
	assert_int_equal(len, strlen(vec_symlink));
	memset(plain, '/', sizeof(plain));
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		assert_int_equal(namecrypt_symlink_encrypt(keys, NAMES_EPOCH, plain, lens[i], lower, &len), 0);
		assert_true(len <= SYMLINK_LOWER_MAX);
		assert_int_equal(len, strlen(lower));
		assert_int_equal(namecrypt_symlink_decrypt(keys, NAMES_EPOCH, lower, len, back, &back_len), 0);
		assert_int_equal(back_len, lens[i]);
		assert_memory_equal(back, plain, back_len);
		assert_int_equal(back[back_len], 0);
	}
}

static void link_targets_beyond_the_limits_are_refused(void **state)
{
	const struct name_keys *keys = *state;
	char plain[SYMLINK_PLAIN_MAX + 1], lower[SYMLINK_LOWER_MAX + 1];
	size_t len;

	memset(plain, 't', sizeof(plain));
	assert_int_equal(namecrypt_symlink_encrypt(keys, NAMES_EPOCH, plain, 3001, lower, &len), -ENAMETOOLONG);
	assert_int_equal(namecrypt_symlink_encrypt(keys, NAMES_EPOCH, "", 0, lower, &len), -EINVAL);
	assert_int_equal(namecrypt_symlink_encrypt(keys, NAMES_EPOCH, "a\0b", 3, lower, &len), -EINVAL);
}

static void forged_link_targets_are_refused(void **state)
{
	const struct name_keys *keys = *state;
	char lower[SYMLINK_LOWER_MAX + 1], plain[SYMLINK_PLAIN_MAX + 1];
	size_t at, n, len = strlen(vec_symlink);
	int r;

	memcpy(lower, vec_symlink, len + 1);
	for (at = 0; at < len; at++) {
		lower[at] = vec_symlink[at] == 'A' ? 'B' : 'A';
		r = namecrypt_symlink_decrypt(keys, NAMES_EPOCH, lower, len, plain, &n);
		/* The first 16 bits are the epoch. */
		assert_int_equal(r, at < 2 ? -ENOKEY : r == -ENOKEY && at == 2 ? -ENOKEY : -EBADMSG);
		lower[at] = vec_symlink[at];
		assert_int_equal(namecrypt_symlink_decrypt(keys, NAMES_EPOCH, lower, at, plain, &n), -EBADMSG);
	}
	assert_int_equal(namecrypt_symlink_decrypt(keys, NAMES_EPOCH + 1, lower, len, plain, &n), -ENOKEY);
	assert_int_equal(namecrypt_symlink_decrypt(keys, NAMES_EPOCH, vec_bad_symlink_nul, strlen(vec_bad_symlink_nul), plain,
						   &n), -EBADMSG);
	assert_int_equal(namecrypt_symlink_decrypt(keys, NAMES_EPOCH, vec_bad_symlink_long, strlen(vec_bad_symlink_long), plain,
						   &n), -EBADMSG);
}

/* --- extended attributes --- */

static void attribute_names_come_back_and_give_the_known_answer(void **state)
{
	const struct name_keys *keys = *state;
	char plain[XATTR_PLAIN_NAME_MAX + 1], lower[LOWER_NAME_LEN_MAX + 1], back[XATTR_PLAIN_NAME_MAX + 1];
	size_t len, back_len;

	assert_int_equal(namecrypt_xattr_name_encrypt(keys, NAMES_EPOCH, "checksum", 8, lower), 0);
	assert_string_equal(lower, vec_xattr_name);
	memset(plain, '.', sizeof(plain));
	for (len = 1; len <= XATTR_PLAIN_NAME_MAX; len++) {
		assert_int_equal(namecrypt_xattr_name_encrypt(keys, NAMES_EPOCH, plain, len, lower), 0);
		assert_true(strlen(lower) <= LOWER_NAME_LEN_MAX);
		assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, lower, back, &back_len), 0);
		assert_int_equal(back_len, len);
		assert_memory_equal(back, plain, len);
		assert_int_equal(back[len], 0);
	}
	assert_int_equal(namecrypt_xattr_name_encrypt(keys, NAMES_EPOCH, plain, 151, lower), -ENAMETOOLONG);
	assert_int_equal(namecrypt_xattr_name_encrypt(keys, NAMES_EPOCH, plain, 0, lower), -EINVAL);
	assert_int_equal(namecrypt_xattr_name_encrypt(keys, NAMES_EPOCH, "a\0b", 3, lower), -EINVAL);
}

static void forged_attribute_names_are_refused(void **state)
{
	const struct name_keys *keys = *state;
	char lower[300], back[XATTR_PLAIN_NAME_MAX + 1];
	size_t at, n, len = strlen(vec_xattr_name), prefix = strlen(XATTR_LOWER_PREFIX);

	memcpy(lower, vec_xattr_name, len + 1);
	for (at = 0; at < len; at++) {
		lower[at] = vec_xattr_name[at] == 'A' ? 'B' : 'A';
		assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, lower, back, &n),
				 at == prefix || at == prefix + 1 ? -ENOKEY : -EBADMSG);
		lower[at] = vec_xattr_name[at];
	}
	assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH + 1, lower, back, &n), -ENOKEY);
	assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, "user.coffer.", back, &n), -EBADMSG);
	assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, "user.coffer", back, &n), -EBADMSG);
	assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, "", back, &n), -EBADMSG);
	assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, vec_bad_xattr_nul, back, &n), -EBADMSG);
	memset(lower, 'A', sizeof(lower) - 1);
	lower[sizeof(lower) - 1] = '\0';
	memcpy(lower, XATTR_LOWER_PREFIX, prefix);
	assert_int_equal(namecrypt_xattr_name_decrypt(keys, NAMES_EPOCH, lower, back, &n), -EBADMSG);
}

static void attribute_values_give_the_known_answers(void **state)
{
	const struct name_keys *keys = *state;
	const uint8_t plain[] = "0123456789abcdefXYZ";
	uint8_t out[64], back[64], none[1] = { 0 };

	assert_int_equal(namecrypt_xattr_value_encrypt(keys, NAMES_EPOCH, vec_xattr_name, plain, 19, out), 0);
	assert_memory_equal(out, vec_xattr_value, sizeof(vec_xattr_value));
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, out, 19 + XATTR_VALUE_EXTRA, back), 0);
	assert_memory_equal(back, plain, 19);
	assert_int_equal(namecrypt_xattr_value_encrypt(keys, NAMES_EPOCH, vec_xattr_name, none, 0, out), 0);
	assert_memory_equal(out, vec_xattr_value_empty, XATTR_VALUE_EXTRA);
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, out, XATTR_VALUE_EXTRA, none), 0);
	assert_int_equal(siv_seal(&keys->symlink, NULL, 0, none, 0, out), 0);
	assert_memory_equal(out, vec_siv_empty_no_string, SIV_LEN);
	assert_int_equal(siv_open(&keys->symlink, NULL, 0, out, SIV_LEN, back), 0);
}

static void attribute_values_of_many_lengths_come_back(void **state)
{
	static const size_t lens[] = { 1, 15, 16, 17, 4096, 65535, 65536 };
	const struct name_keys *keys = *state;
	uint8_t *plain = malloc(65537), *out = malloc(65537 + XATTR_VALUE_EXTRA), *back = malloc(65537);
	size_t i, j;

	assert_true(plain && out && back);
	for (j = 0; j < 65537; j++)
		plain[j] = (uint8_t)rand();
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		assert_int_equal(namecrypt_xattr_value_encrypt(keys, NAMES_EPOCH, vec_xattr_name, plain, lens[i], out), 0);
		assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, out,
							       lens[i] + XATTR_VALUE_EXTRA, back), 0);
		assert_memory_equal(back, plain, lens[i]);
	}
	assert_int_equal(namecrypt_xattr_value_encrypt(keys, NAMES_EPOCH, vec_xattr_name, plain, 65537, out), -E2BIG);
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, out, 65537 + XATTR_VALUE_EXTRA, back),
			 -EBADMSG);
	free(plain);
	free(out);
	free(back);
}

static void every_flipped_bit_of_an_attribute_value_is_refused(void **state)
{
	const struct name_keys *keys = *state;
	char other[LOWER_NAME_LEN_MAX + 1];
	uint8_t in[sizeof(vec_xattr_value)], back[19], before[19];
	size_t bit;

	memset(back, 0x33, sizeof(back));
	memset(before, 0x33, sizeof(before));
	memcpy(in, vec_xattr_value, sizeof(in));
	for (bit = 0; bit < 8 * sizeof(in); bit++) {
		in[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, in, sizeof(in), back),
				 bit < 16 ? -ENOKEY : -EBADMSG);
		in[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(namecrypt_xattr_name_encrypt(keys, NAMES_EPOCH, "other", 5, other), 0);
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, other, in, sizeof(in), back), -EBADMSG);
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, in, XATTR_VALUE_EXTRA - 1, back),
			 -EBADMSG);
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, in, XATTR_VALUE_EXTRA, back), -EBADMSG);
	assert_memory_equal(back, before, sizeof(back));
	memcpy(in, vec_xattr_value_empty, XATTR_VALUE_EXTRA);
	in[5] ^= 1;
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, vec_xattr_name, in, XATTR_VALUE_EXTRA, back), -EBADMSG);
	assert_int_equal(namecrypt_xattr_value_encrypt(keys, NAMES_EPOCH, "user.other", back, 1, in), -EBADMSG);
	assert_int_equal(namecrypt_xattr_value_decrypt(keys, NAMES_EPOCH, "user.other", vec_xattr_value,
						       sizeof(vec_xattr_value), back), -EBADMSG);
}

static void siv_refuses_what_openssl_would_ignore(void **state)
{
	const struct name_keys *keys = *state;
	uint8_t buf[64] = { 0 };

	assert_int_equal(siv_seal(&keys->name, buf, 0, buf, 16, buf), -EINVAL);
	assert_int_equal(siv_open(&keys->name, buf, 0, buf, 32, buf), -EINVAL);
	assert_int_equal(siv_seal(&keys->name, NULL, 0, buf, SIV_TEXT_MAX + 1, buf), -EINVAL);
	assert_int_equal(siv_open(&keys->name, NULL, 0, buf, SIV_LEN - 1, buf), -EBADMSG);
	assert_int_equal(siv_open(&keys->name, NULL, 0, buf, SIV_LEN, buf), -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(b64url_gives_the_answers_of_rfc_4648),
		TEST(b64url_refuses_all_but_the_one_spelling),
		TEST(names_give_the_known_answers),
		TEST(names_of_every_length_come_back_in_several_directories),
		TEST(lower_names_have_the_stated_lengths),
		TEST(what_is_no_name_is_not_encrypted),
		TEST(every_flipped_character_of_a_name_is_refused),
		TEST(names_of_other_lengths_directories_and_keys_are_refused),
		TEST(authentic_text_that_is_no_name_is_refused),
		TEST(equal_names_are_equal_in_one_directory_only),
		TEST(directory_links_come_back),
		TEST(malformed_directory_links_are_unclean),
		TEST(link_targets_come_back_and_give_the_known_answer),
		TEST(link_targets_beyond_the_limits_are_refused),
		TEST(forged_link_targets_are_refused),
		TEST(attribute_names_come_back_and_give_the_known_answer),
		TEST(forged_attribute_names_are_refused),
		TEST(attribute_values_give_the_known_answers),
		TEST(attribute_values_of_many_lengths_come_back),
		TEST(every_flipped_bit_of_an_attribute_value_is_refused),
		TEST(siv_refuses_what_openssl_would_ignore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
