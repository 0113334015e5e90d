/* test_sign.c: Ed25519 against the vectors of RFC 8032 section 7.1, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypt/sign.h"

static const struct vector {
	const char *seed, *public_key, *message, *signature;
} vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

static size_t hex(const char *text, uint8_t *p)
{
	unsigned v;
	size_t i;

	for (i = 0; text[2 * i]; i++) {
		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		p[i] = (uint8_t)v;
	}
	return i;
}

static struct secret *seed_of(const struct vector *v)
{
	uint8_t seed[SIGN_SEED_LEN];
	struct secret *s = NULL;

	assert_int_equal(hex(v->seed, seed), SIGN_SEED_LEN);
	assert_int_equal(secret_new_copy(seed, sizeof(seed), &s), 0);
	return s;
}

static void the_vectors_of_rfc_8032_hold(void **state)
{
	uint8_t message[8], want[SIGN_LEN], got[SIGN_LEN], want_public[SIGN_PUBLIC_LEN], public_key[SIGN_PUBLIC_LEN];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		AUTO_SECRET struct secret *seed = seed_of(&vectors[i]);

		len = hex(vectors[i].message, message);
		assert_int_equal(hex(vectors[i].signature, want), SIGN_LEN);
		assert_int_equal(hex(vectors[i].public_key, want_public), SIGN_PUBLIC_LEN);
		assert_int_equal(sign_public(seed, public_key), 0);
		assert_memory_equal(public_key, want_public, SIGN_PUBLIC_LEN);
		assert_int_equal(sign_make(seed, message, len, got), 0);
		assert_memory_equal(got, want, SIGN_LEN);
		assert_int_equal(sign_check(public_key, message, len, got), 0);
	}
}

static void every_flipped_bit_of_a_signature_is_refused(void **state)
{
	AUTO_SECRET struct secret *seed = seed_of(&vectors[2]);
	uint8_t message[2] = { 0xaf, 0x82 }, public_key[SIGN_PUBLIC_LEN], signature[SIGN_LEN];
	size_t i;

	(void)state;
	assert_int_equal(sign_public(seed, public_key), 0);
	assert_int_equal(sign_make(seed, message, sizeof(message), signature), 0);
	for (i = 0; i < 8 * (size_t)SIGN_LEN; i++) {
		signature[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(sign_check(public_key, message, sizeof(message), signature), -EBADMSG);
		signature[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (i = 0; i < 8 * sizeof(message); i++) {
		message[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_equal(sign_check(public_key, message, sizeof(message), signature), -EBADMSG);
		message[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(sign_check(public_key, message, sizeof(message), signature), 0);
}

static void another_hosts_key_does_not_verify(void **state)
{
	AUTO_SECRET struct secret *seed = seed_of(&vectors[0]), *other = seed_of(&vectors[1]);
	uint8_t public_key[SIGN_PUBLIC_LEN], signature[SIGN_LEN];

	(void)state;
	assert_int_equal(sign_public(other, public_key), 0);
	assert_int_equal(sign_make(seed, "a", 1, signature), 0);
	assert_int_equal(sign_check(public_key, "a", 1, signature), -EBADMSG);
}

static void a_seed_of_another_length_is_refused(void **state)
{
	AUTO_SECRET struct secret *seed = NULL;
	uint8_t out[SIGN_LEN] = { 0 }, zero[SIGN_LEN] = { 0 };

	(void)state;
	assert_int_equal(secret_new(SIGN_SEED_LEN - 1, &seed), 0);
	assert_int_equal(sign_public(seed, out), -EINVAL);
	assert_int_equal(sign_make(seed, "a", 1, out), -EINVAL);
	assert_memory_equal(out, zero, sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_8032_hold),
		cmocka_unit_test(every_flipped_bit_of_a_signature_is_refused),
		cmocka_unit_test(another_hosts_key_does_not_verify),
		cmocka_unit_test(a_seed_of_another_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
