#include "backup/store_rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "backup/store.h"

static void no_rate_never_waits(void **state)
{
	struct store_rate b;

	(void)state;
	store_rate_init(&b, 0, 5);
	assert_int_equal(store_rate_take(&b, UINT64_MAX, 5), 0);
	assert_int_equal(store_rate_take(&b, 1, 5), 0);
}

static void a_second_is_free_then_the_debt_is_waited_for(void **state)
{
	struct store_rate b;

	(void)state;
	store_rate_init(&b, 1000, 0);
	assert_int_equal(store_rate_take(&b, 1000, 0), 0);
	assert_int_equal(store_rate_take(&b, 5000, 0), 0);     /* overdrawn by one request */
	assert_int_equal(store_rate_take(&b, 1000, 0), 5000);
	assert_int_equal(store_rate_take(&b, 1000, 1000), 5000); /* and all after it wait longer */
	assert_int_equal(store_rate_take(&b, 1, 1000000), 0);
	assert_int_equal(store_rate_take(&b, 999, 1000000), 0);  /* what was not used is not saved up */
	assert_int_equal(store_rate_take(&b, 500, 1000000), 0);
	assert_int_equal(store_rate_take(&b, 500, 1000000), 500);
}

/* Many requests of any size: the mean over the whole time is the rate. */
static void the_mean_holds(void **state)
{
	uint64_t now = 0, sent = 0, n, i;
	struct store_rate b;

	(void)state;
	store_rate_init(&b, 1 << 20, 0);
	for (i = 0; i < 1000; i++) {
		n = (i * 7919) % (16 << 20);
		now += store_rate_take(&b, n, now) + i % 3;
		sent += n;
	}
	assert_true(sent * 1000 / (1 << 20) <= now + 1000 + 16000);
	assert_true(sent * 1000 / (1 << 20) >= now - 1000);
}

static void clocks_and_numbers_that_make_no_sense_do_no_harm(void **state)
{
	struct store_rate b;

	(void)state;
	store_rate_init(&b, UINT64_MAX, UINT64_MAX);
	assert_int_equal(store_rate_take(&b, UINT64_MAX, 0), 0);
	(void)store_rate_take(&b, UINT64_MAX, UINT64_MAX);
	assert_int_equal(store_rate_take(&b, 1, UINT64_MAX), 0);
	store_rate_init(&b, 1, 1000);
	assert_int_equal(store_rate_take(&b, 3, 0), 0);
	assert_int_equal(store_rate_take(&b, 0, 0), 2000);
}

static void rates_are_numbers_with_units(void **state)
{
	static const char *const bad[] = { "", "0", "0K", "K", "-1", "1k", "1KB", "1 K", "1.5M", "9999999999999999", "2000000G", "1M/s" };
	uint64_t v = 7;
	size_t i;

	(void)state;
	assert_int_equal(store_rate_parse("1", &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(store_rate_parse("20K", &v), 0);
	assert_int_equal(v, 20480);
	assert_int_equal(store_rate_parse("3M", &v), 0);
	assert_int_equal(v, 3 << 20);
	assert_int_equal(store_rate_parse("1024G", &v), 0);
	assert_int_equal(v, (uint64_t)1 << 40);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(store_rate_parse(bad[i], &v), -EINVAL);
	assert_int_equal(v, (uint64_t)1 << 40);
}

static void configuration_is_set_key_by_key(void **state)
{
	struct store_conf c;
	char text[300];

	(void)state;
	store_conf_init(&c);
	assert_false(c.host_style);
	assert_int_equal(store_conf_set(&c, "endpoint", "https://s3.example.org"), 0);
	assert_string_equal(c.endpoint, "https://s3.example.org");
	assert_int_equal(store_conf_set(&c, "region", "auto"), 0);
	assert_int_equal(store_conf_set(&c, "credentials", "file:/etc/keys"), 0);
	assert_int_equal(store_conf_set(&c, "ca-file", "/etc/ca.pem"), 0);
	assert_int_equal(store_conf_set(&c, "proxy", "http://proxy:3128"), 0);
	assert_int_equal(store_conf_set(&c, "path-style", "no"), 0);
	assert_true(c.host_style);
	assert_int_equal(store_conf_set(&c, "path-style", "yes"), 0);
	assert_false(c.host_style);
	assert_int_equal(store_conf_set(&c, "limit-upload", "2M"), 0);
	assert_int_equal(c.limit_upload, 2 << 20);
	assert_int_equal(store_conf_set(&c, "limit-download", "1K"), 0);
	assert_int_equal(c.limit_download, 1024);
	assert_int_equal(store_conf_set(&c, "path-style", "maybe"), -EINVAL);
	assert_int_equal(store_conf_set(&c, "limit-upload", "fast"), -EINVAL);
	assert_int_equal(store_conf_set(&c, "region", ""), -EINVAL);
	assert_int_equal(store_conf_set(&c, "region", "a\nb"), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(store_conf_set(&c, "region", text), -EINVAL);
	assert_string_equal(c.region, "auto");
	assert_int_equal(store_conf_set(&c, "bucket", "x"), -ENOENT);
	assert_int_equal(secret_new_copy("k", 1, &c.key_secret), 0);
	store_conf_done(&c);
	assert_null(c.key_secret);
	assert_string_equal(c.region, "");
}

static int keys(struct store_conf *c, const char *text)
{
	AUTO_SECRET struct secret *s = NULL;

	assert_int_equal(secret_new_copy(text, strlen(text), &s), 0);
	return store_conf_keys(c, s);
}

static void assert_secret(const struct secret *s, const char *want)
{
	assert_int_equal(secret_len(s), strlen(want));
	assert_memory_equal(secret_bytes_const(s), want, strlen(want));
}

static void keys_come_from_a_text_as_from_a_file(void **state)
{
	struct store_conf c;

	(void)state;
	store_conf_init(&c);
	assert_int_equal(keys(&c, "[default]\naws_access_key_id = AKID\naws_secret_access_key=s3cret\naws_session_token=tok"), 0);
	assert_secret(c.key_id, "AKID");
	assert_secret(c.key_secret, "s3cret");
	assert_secret(c.key_token, "tok");
	assert_int_equal(keys(&c, "[default]\naws_access_key_id=A2\naws_secret_access_key=s2\n"), 0);
	assert_secret(c.key_id, "A2");
	assert_null(c.key_token);
	assert_int_equal(keys(&c, "[other]\naws_access_key_id=A2\naws_secret_access_key=s2\n"), -ENOENT);
	assert_null(c.key_id);
	assert_int_equal(keys(&c, "hunter2"), -ENOENT);
	assert_int_equal(keys(&c, "[default]\naws_access_key_id=A2\n"), -ENOENT);
	assert_int_equal(keys(&c, "[default]\naws_access_key_id=A 2\naws_secret_access_key=s2\n"), -EINVAL);
	assert_int_equal(keys(&c, "[default]\naws_access_key_id=A2\naws_secret_access_key=\n"), -EINVAL);
	store_conf_done(&c);
}

static void object_lock_has_a_mode_and_days(void **state)
{
	static const char *const bad[] = { "", "governance", "governance ", "governance x", "governance 0", "governance 05", "governance 7d", "governance -7",
					   "compliance  7", "compliance 36501", "COMPLIANCE 7", "compliance 99999999999999999999" };
	struct store_conf c;

	(void)state;
	store_conf_init(&c);
	assert_int_equal(store_conf_set(&c, "object-lock", "compliance 36500"), 0);
	assert_int_equal(c.lock, STORE_LOCK_COMPLIANCE);
	assert_int_equal(c.lock_days, 36500);
	assert_int_equal(store_conf_set(&c, "object-lock", "governance 7"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(store_conf_set(&c, "object-lock", bad[i]), -EINVAL);
	assert_int_equal(c.lock, STORE_LOCK_GOVERNANCE);
	assert_int_equal(c.lock_days, 7);
	store_conf_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rate_never_waits),
		cmocka_unit_test(a_second_is_free_then_the_debt_is_waited_for),
		cmocka_unit_test(the_mean_holds),
		cmocka_unit_test(clocks_and_numbers_that_make_no_sense_do_no_harm),
		cmocka_unit_test(rates_are_numbers_with_units),
		cmocka_unit_test(configuration_is_set_key_by_key),
		cmocka_unit_test(keys_come_from_a_text_as_from_a_file),
		cmocka_unit_test(object_lock_has_a_mode_and_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
