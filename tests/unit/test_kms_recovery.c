/* test_kms_recovery.c: slots of recovery keys open with that key at hand, and never by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "kms/kms.h"

static const uint8_t uuid[UUID_LEN] = { 1, 2, 3 }, other_uuid[UUID_LEN] = { 9 };
static const struct kms_context acme = { .tenant = "acme", .uuid = uuid };

struct fixture {
	struct secret *key, *other, *kek;
	struct kms_host host;
	struct kms_uri uri;
	struct kms_wrapped wrapped;
	struct kms_error err;
};

static struct secret *random_key(void)
{
	struct secret *s;

	assert_int_equal(secret_new(KEY_LEN, &s), 0);
	assert_int_equal(secret_random(secret_bytes(s), KEY_LEN), 0);
	return s;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char text[KMS_RECOVERY_URI_MAX];
	uint8_t id[RECOVERY_ID_LEN];

	f->key = random_key();
	f->other = random_key();
	f->kek = random_key();
	f->host = (struct kms_host){ .recovery = f->key, .key_dirfd = -1 };
	assert_int_equal(keys_recovery_id(f->key, id), 0);
	kms_recovery_uri(id, text);
	assert_int_equal(kms_uri_parse(text, &f->uri), 0);
	assert_int_equal(kms_prepare(&f->host, &f->uri, &f->err), 0);
	assert_int_equal(kms_wrap(&f->host, &f->uri, &acme, f->kek, &f->err, &f->wrapped), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	secret_free(f->key);
	secret_free(f->other);
	secret_free(f->kek);
	free(f);
	return 0;
}

static void refused(struct fixture *f, const struct kms_context *ctx, enum kms_class class)
{
	struct secret *kek = NULL;

	memset(&f->err, 0, sizeof(f->err));
	assert_int_equal(kms_unwrap(&f->host, &f->uri, ctx, f->wrapped.bytes, f->wrapped.len, &f->err, &kek),
			 kms_class_errno(class));
	assert_int_equal(f->err.class, class);
	assert_null(kek);
}

static void it_opens_with_its_key(void **state)
{
	struct fixture *f = *state;
	struct secret *kek;

	assert_true(kms_uri_is_recovery(&f->uri));
	assert_int_equal(kms_unwrap(&f->host, &f->uri, &acme, f->wrapped.bytes, f->wrapped.len, &f->err, &kek), 0);
	assert_true(secret_equal(secret_bytes(kek), secret_bytes(f->kek), KEY_LEN));
	secret_free(kek);
}

static void it_never_opens_by_itself(void **state)
{
	struct fixture *f = *state;

	f->host.recovery = NULL;
	refused(f, &acme, KMS_CONFIG);
	assert_int_equal(kms_wrap(&f->host, &f->uri, &acme, f->kek, &f->err, &f->wrapped), kms_class_errno(KMS_CONFIG));
}

static void another_recovery_key_is_told(void **state)
{
	struct fixture *f = *state;

	f->host.recovery = f->other;
	refused(f, &acme, KMS_CONFIG);
	assert_non_null(strstr(f->err.message, "another recovery key"));
}

static void damage_and_other_volumes_are_corrupt(void **state)
{
	struct fixture *f = *state;
	struct kms_context globex = { .tenant = "globex", .uuid = uuid }, copy = { .tenant = "acme", .uuid = other_uuid };

	refused(f, &globex, KMS_CORRUPT);
	refused(f, &copy, KMS_CORRUPT);
	for (size_t i = 0; i < f->wrapped.len; i++) {
		f->wrapped.bytes[i] ^= 1;
		refused(f, &acme, KMS_CORRUPT);
		f->wrapped.bytes[i] ^= 1;
	}
	f->wrapped.len--;
	refused(f, &acme, KMS_CORRUPT);
}

static void other_forms_of_the_uri_are_refused(void **state)
{
	static const char *const bad[] = { "recovery:", "recovery:0123456789abcde", "recovery:0123456789abcdef0", "recovery:0123456789ABCDEF",
					   "recovery:0123456789abcdeg", "recovery://0123456789abcdef", "recovery:0123456789abcdef/x" };
	struct kms_uri uri;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(kms_uri_parse(bad[i], &uri), -EINVAL);
	assert_int_equal(kms_uri_parse("recovery:0123456789abcdef", &uri), 0);
	assert_int_equal(kms_uri_parse("local:x", &uri), 0);
	assert_false(kms_uri_is_recovery(&uri));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_opens_with_its_key, setup, teardown),
		cmocka_unit_test_setup_teardown(it_never_opens_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(another_recovery_key_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_and_other_volumes_are_corrupt, setup, teardown),
		cmocka_unit_test(other_forms_of_the_uri_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
