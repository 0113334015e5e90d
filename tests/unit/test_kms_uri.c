/* test_kms_uri.c: key URIs are compared component by component, and classes have one meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "kms/kms.h"

static int parse(const char *text)
{
	struct kms_uri uri;

	return kms_uri_parse(text, &uri);
}

static void a_local_key_is_one_component(void **state)
{
	struct kms_uri uri;

	(void)state;
	assert_int_equal(kms_uri_parse("local:acme-1.key_2", &uri), 0);
	assert_string_equal(uri.scheme, "local");
	assert_int_equal(uri.component_count, 1);
	assert_string_equal(kms_uri_component(&uri, 0), "acme-1.key_2");
	assert_null(kms_uri_component(&uri, 1));
}

static void names_that_could_be_paths_are_refused(void **state)
{
	static const char *const bad[] = {
		"local:", "local:.", "local:..", "local:.hidden", "local:a/b", "local:/etc/shadow", "local:../x",
		"local://x", "local:a b", "local:a\n", "local:a%2f", "local:a?x", "local:a#x", "local:a:b", "local:a@b",
		"local", ":x", "", "LOCAL:x", "local :x", "local:a//b", "local:\xc3\xa9",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i]) != -EINVAL)
			fail_msg("not refused: %s", bad[i]);
}

static void a_name_longer_than_128_bytes_is_refused(void **state)
{
	char text[KMS_URI_LEN_MAX + 16];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "local:", 6);
	text[6 + 128] = '\0';
	assert_int_equal(parse(text), 0);
	text[6 + 128] = 'a';
	text[6 + 129] = '\0';
	assert_int_equal(parse(text), -EINVAL);
	text[6 + 129] = 'a';
	text[KMS_URI_LEN_MAX + 1] = '\0';
	assert_int_equal(parse(text), -EINVAL);
}

static void a_provider_of_another_version_is_named_as_such(void **state)
{
	(void)state;
	assert_int_equal(parse("kmip://kms.example.com/1234"), -EOPNOTSUPP);
	assert_int_equal(parse("hcvault://vault.example:8200/transit/keys/acme"), 0);
	assert_int_equal(parse("kmip://kms.example:5696/1234"), -EOPNOTSUPP);
	assert_int_equal(parse("aws-kms://a//b"), -EINVAL);
	assert_int_equal(parse("aws-kms://a/../b"), -EINVAL);
}

static void comparison_is_never_by_prefix(void **state)
{
	(void)state;
	assert_true(kms_uri_text_equal("local:acme", "local:acme"));
	assert_false(kms_uri_text_equal("local:acme", "local:acme2"));
	assert_false(kms_uri_text_equal("local:acme2", "local:acme"));
	assert_false(kms_uri_text_equal("local:acme", "local:Acme"));
	assert_false(kms_uri_text_equal("local:acme", "nonsense"));
	assert_false(kms_uri_text_equal("nonsense", "nonsense"));
}

static void a_copied_uri_keeps_its_components(void **state)
{
	struct kms_uri a, b;

	(void)state;
	assert_int_equal(kms_uri_parse("local:acme", &a), 0);
	b = a;
	memset(&a, 0, sizeof(a));
	assert_string_equal(kms_uri_component(&b, 0), "acme");
}

static void failures_carry_class_errno_and_text(void **state)
{
	struct kms_error err = { 0 };
	int c;

	(void)state;
	assert_int_equal(kms_fail(&err, KMS_REVOKED, "key %s", "x"), -ENOKEY);
	assert_int_equal(err.class, KMS_REVOKED);
	assert_string_equal(err.message, "key x");
	for (c = KMS_OK + 1; c < KMS_CLASSES; c++)
		assert_true(kms_class_errno((enum kms_class)c) < 0);
	assert_string_equal(kms_class_text(KMS_THROTTLED), "THROTTLED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_local_key_is_one_component),
		cmocka_unit_test(names_that_could_be_paths_are_refused),
		cmocka_unit_test(a_name_longer_than_128_bytes_is_refused),
		cmocka_unit_test(a_provider_of_another_version_is_named_as_such),
		cmocka_unit_test(comparison_is_never_by_prefix),
		cmocka_unit_test(a_copied_uri_keeps_its_components),
		cmocka_unit_test(failures_carry_class_errno_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
