/* test_credential.c: sealed credentials: the file of another implementation opens, each change of a byte is refused, and so is each rule of the head broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypt/credential.h"
#include "crypt_vectors.h"

static struct secret *secret_of(const void *p, size_t len)
{
	struct secret *s;

	assert_int_equal(secret_new_copy(p, len, &s), 0);
	return s;
}

static int open_file(const struct secret *key, const uint8_t *p, size_t len, struct secret **ret_plain)
{
	struct credential *c = malloc(sizeof(*c));
	int r;

	assert_non_null(c);
	r = credential_parse(p, len, c);
	if (r >= 0)
		r = credential_open(key, c, p, len, ret_plain);
	free(c);
	return r;
}

static void a_file_of_another_implementation_opens(void **state)
{
	AUTO_SECRET struct secret *key = secret_of(vec_root, KEY_LEN);
	AUTO_SECRET struct secret *plain = NULL;
	static struct credential c;

	(void)state;
	assert_int_equal(credential_parse(vec_credential, sizeof(vec_credential), &c), 0);
	assert_string_equal(c.tenant, "acme");
	assert_string_equal(c.name, "db.password");
	assert_int_equal(c.version, 3);
	assert_string_equal(c.key.uri, "local:acme");
	assert_string_equal(c.key.version, "7");
	assert_int_equal(c.key.wrapped_len, 9);
	assert_memory_equal(c.key.id, vec_uuid, CREDENTIAL_ID_LEN);
	assert_int_equal(credential_open(key, &c, vec_credential, sizeof(vec_credential), &plain), 0);
	assert_int_equal(secret_len(plain), 14);
	assert_memory_equal(secret_bytes(plain), "correct horse\n", 14);
}

/* Bytes that lead to the key or name it are not authenticated (a key may be wrapped anew): URI, version and wrapped bytes. Whoever changes them gets another key, which
 * the commitment refuses. */
static void every_flipped_bit_is_refused_but_of_what_only_leads_to_the_key(void **state)
{
	AUTO_SECRET struct secret *key = secret_of(vec_root, KEY_LEN);
	const size_t from = CREDENTIAL_FIXED_LEN + 2 + 4 + 2 + 11, to = from + 2 + 10 + 2 + 1 + 2 + 9;
	uint8_t p[sizeof(vec_credential)];
	int r;

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++)
		for (int bit = 0; bit < 8; bit++) {
			struct secret *plain = NULL;

			memcpy(p, vec_credential, sizeof(p));
			p[i] ^= (uint8_t)(1 << bit);
			r = open_file(key, p, sizeof(p), &plain);
			if (i < from || i >= to) {
				assert_true(r == -EKEYREJECTED || r == -EUCLEAN || r == -EOPNOTSUPP);
				assert_null(plain);
			}
			secret_free(plain);
		}
}

static void another_key_is_refused_by_the_commitment(void **state)
{
	AUTO_SECRET struct secret *key = secret_of(vec_kek, KEY_LEN);
	AUTO_SECRET struct secret *short_key = secret_of(vec_kek, KEY_LEN - 1);
	struct secret *plain = NULL;

	(void)state;
	assert_int_equal(open_file(key, vec_credential, sizeof(vec_credential), &plain), -EKEYREJECTED);
	assert_int_equal(open_file(short_key, vec_credential, sizeof(vec_credential), &plain), -EINVAL);
	assert_null(plain);
}

static void make(struct credential *c)
{
	memset(c, 0, sizeof(*c));
	(void)snprintf(c->tenant, sizeof(c->tenant), "acme");
	(void)snprintf(c->name, sizeof(c->name), "tls.key");
	c->version = 1;
	(void)snprintf(c->key.uri, sizeof(c->key.uri), "local:acme");
	c->key.wrapped_len = 60;
}

static void what_is_sealed_opens_and_two_seals_share_nothing(void **state)
{
	static const size_t lens[] = { 1, 15, 16, 17, 4096, CREDENTIAL_MAX };
	AUTO_SECRET struct secret *key = secret_of(vec_root, KEY_LEN);

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		AUTO_SECRET struct secret *in = NULL;
		AUTO_SECRET struct secret *out = NULL;
		AUTO_FREE uint8_t *a = NULL, *b = NULL;
		static struct credential c, d;
		size_t a_len, b_len;

		assert_int_equal(secret_new(lens[i], &in), 0);
		assert_int_equal(secret_random(secret_bytes(in), lens[i]), 0);
		make(&c);
		make(&d);
		assert_int_equal(credential_seal(key, &c, in, &a, &a_len), 0);
		assert_int_equal(credential_seal(key, &d, in, &b, &b_len), 0);
		assert_true(a_len <= CREDENTIAL_FILE_MAX && a_len == b_len);
		assert_memory_not_equal(c.salt, d.salt, CREDENTIAL_SALT_LEN);
		assert_memory_not_equal(c.commitment, d.commitment, COMMITMENT_LEN);
		assert_memory_not_equal(a + c.head_len, b + d.head_len, 12);
		assert_int_equal(open_file(key, a, a_len, &out), 0);
		assert_int_equal(secret_len(out), lens[i]);
		assert_memory_equal(secret_bytes(out), secret_bytes(in), lens[i]);
		/* one byte more or less is another file */
		secret_free(take_ptr(out));
		assert_int_equal(open_file(key, a, a_len - 1, &out), lens[i] == 1 ? -EUCLEAN : -EKEYREJECTED);
		assert_null(out);
	}
}

static void what_is_out_of_limits_is_not_sealed(void **state)
{
	AUTO_SECRET struct secret *key = secret_of(vec_root, KEY_LEN);
	AUTO_SECRET struct secret *in = secret_of("x", 1);
	static struct credential c;
	uint8_t *p = NULL;
	size_t len;

	(void)state;
	for (int i = 0; i < 7; i++) {
		make(&c);
		switch (i) {
		case 0:
			c.version = 0;
			break;
		case 1:
			c.tenant[0] = '\0';
			break;
		case 2:
			(void)snprintf(c.name, sizeof(c.name), "a/b");
			break;
		case 3:
			c.key.uri[0] = '\0';
			break;
		case 4:
			c.key.wrapped_len = 0;
			break;
		case 5:
			c.key.wrapped_len = CREDENTIAL_WRAPPED_MAX + 1;
			break;
		default:
			c.version = (uint64_t)INT64_MAX + 1;
		}
		assert_int_equal(credential_seal(key, &c, in, &p, &len), -EINVAL);
		assert_null(p);
	}
}

/* The rules of a head, each broken once. */
static void a_malformed_head_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		int r;
	} rows[] = {
		{ 0, 'C', -EUCLEAN },                          /* magic */
		{ 8, 2, -EOPNOTSUPP },                         /* format */
		{ 10, 1, -EUCLEAN },                           /* zero, verified */
		{ 12, CREDENTIAL_FIXED_LEN - 1, -EUCLEAN },    /* head_len below its least */
		{ 14, 0x01, -EUCLEAN },                        /* above the file's end */
		{ 16, 0, -EUCLEAN },                           /* version 0 */
		{ 23, 0x80, -EUCLEAN },                        /* version of 64 bits */
		{ CREDENTIAL_FIXED_LEN, 0, -EUCLEAN },         /* no tenant, and a head that does not end where it says */
		{ CREDENTIAL_FIXED_LEN, 65, -EUCLEAN },        /* too long a tenant */
		{ CREDENTIAL_FIXED_LEN + 2, '.', -EUCLEAN },   /* no name of a tenant */
		{ CREDENTIAL_FIXED_LEN + 3, ' ', -EUCLEAN },   /* a blank */
		{ CREDENTIAL_FIXED_LEN + 3, 0x80, -EUCLEAN },  /* not ASCII */
		{ CREDENTIAL_FIXED_LEN + 8, '/', -EUCLEAN },   /* a name with a slash */
	};
	uint8_t p[sizeof(vec_credential)];
	static struct credential c;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(p, vec_credential, sizeof(p));
		p[rows[i].at] = rows[i].value;
		assert_int_equal(credential_parse(p, sizeof(p), &c), rows[i].r);
	}
	for (size_t len = 0; len < sizeof(vec_credential) - 14; len++)
		assert_int_equal(credential_parse(vec_credential, len, &c), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_another_implementation_opens),
		cmocka_unit_test(every_flipped_bit_is_refused_but_of_what_only_leads_to_the_key),
		cmocka_unit_test(another_key_is_refused_by_the_commitment),
		cmocka_unit_test(what_is_sealed_opens_and_two_seals_share_nothing),
		cmocka_unit_test(what_is_out_of_limits_is_not_sealed),
		cmocka_unit_test(a_malformed_head_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
