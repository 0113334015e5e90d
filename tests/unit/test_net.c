/* test_net.c: the pure parts of the net floor: URLs, headers, when to try again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/awshost.h"
#include "net/header.h"
#include "net/retry.h"
#include "net/url.h"

static void hosts_are_names_and_ports_and_nothing_else(void **state)
{
	static const char *const good[] = { "a", "localhost", "vault.example.com", "10.0.0.1", "x-y.z:8200", "h:1", "h:65535" };
	static const char *const bad[] = { "", ":1", "a:", "a:0", "a:65536", "a:99999", "a:08", "a:1x", "u@h", "a b", "a/b", "-a", "a-", "a..b",
					   ".a", "a.", "[::1]", "a_b", "h:1:2", "a?b", "a#b",
					   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!url_host_ok(good[i]))
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_host_ok(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

static void an_origin_is_https_and_a_host(void **state)
{
	static const char *const bad[] = { "http://a", "https://", "https:///", "https://a/b", "https://u:p@a", "HTTPS://a", "a", "https://a//", "" };
	char origin[URL_ORIGIN_MAX + 1];
	size_t i;

	(void)state;
	assert_int_equal(url_origin_parse("https://vault.test:8200", origin), 0);
	assert_string_equal(origin, "https://vault.test:8200");
	assert_int_equal(url_origin_parse("https://vault.test/", origin), 0);
	assert_string_equal(origin, "https://vault.test");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_origin_parse(bad[i], origin) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void a_url_is_encoded_once_and_has_no_way_up(void **state)
{
	static const char *const bad[] = { "", ".", ".." };
	struct url u;
	size_t i;

	(void)state;
	url_start(&u, "https://h");
	url_path(&u, "v1/transit");
	url_component(&u, "a b/%?#\xc3\xa4~");
	assert_int_equal(url_done(&u), 0);
	assert_string_equal(u.text, "https://h/v1/transit/a%20b%2F%25%3F%23%C3%A4~");
	for (i = 0; i < 3; i++) {
		url_start(&u, "https://h");
		url_component(&u, bad[i]);
		url_component(&u, "x");
		assert_int_equal(url_done(&u), -EINVAL);
	}
	url_start(&u, "https://h");
	url_path(&u, "a//b");
	assert_int_equal(url_done(&u), -EINVAL);
}

static void a_custom_method_stands_behind_a_colon(void **state)
{
	struct url u;

	(void)state;
	url_start(&u, "https://h");
	url_component(&u, "k:x");
	url_verb(&u, "decrypt");
	assert_int_equal(url_done(&u), 0);
	assert_string_equal(u.text, "https://h/k%3Ax:decrypt");
}

static void a_query_is_encoded_whole_and_keeps_its_order(void **state)
{
	struct url u;

	(void)state;
	url_start(&u, "https://example.com");
	url_component(&u, "k");
	url_query(&u, "prefix", "a/b c&d=\xc3\xa9");
	url_query(&u, "uploads", "");
	assert_int_equal(url_done(&u), 0);
	assert_string_equal(u.text, "https://example.com/k?prefix=a%2Fb%20c%26d%3D%C3%A9&uploads=");
}

static void a_url_that_is_too_long_is_refused(void **state)
{
	struct url u;
	int i;

	(void)state;
	url_start(&u, "https://h");
	for (i = 0; i < URL_MAX / 3; i++)
		url_component(&u, "\x01");
	assert_int_equal(url_done(&u), -EINVAL);
	assert_true(strlen(u.text) <= URL_MAX);
}

static int value(const char *line, const char *name, char *out, size_t max)
{
	return header_value(line, strlen(line), name, out, max);
}

static void headers_are_found_by_name(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(value("retry-AFTER:  17 \r\n", "Retry-After", out, sizeof(out)), 0);
	assert_string_equal(out, "17");
	assert_int_equal(value("Retry-After:", "Retry-After", out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(value("Retry-After2: 1", "Retry-After", out, sizeof(out)), -ENOENT);
	assert_int_equal(value("Retry", "Retry-After", out, sizeof(out)), -ENOENT);
	assert_int_equal(value("Retry-After: a\x01" "b", "Retry-After", out, sizeof(out)), -EUCLEAN);
	assert_int_equal(value("Retry-After: 0123456789abcdef", "Retry-After", out, sizeof(out)), -EMSGSIZE);
	assert_int_equal(value("Retry-After: 0123456789abcde", "Retry-After", out, sizeof(out)), 0);
}

static void dates_are_those_of_the_calendar(void **state)
{
	static const char *const bad[] = { "", "Wed, 25 Nov 2026 23:51:32 CET", "Wed, 25 Xxx 2026 23:51:32 GMT", "Wed, 25 Nov 2026 24:51:32 GMT",
					   "Wed, 25 Nov 20x6 23:51:32 GMT", "Wednesday, 25-Nov-26 23:51:32 GMT", "Wed, 00 Nov 2026 23:51:32 GMT" };
	int64_t t;
	size_t i;

	(void)state;
	assert_int_equal(header_date("Thu, 01 Jan 1970 00:00:00 GMT", &t), 0);
	assert_int_equal(t, 0);
	assert_int_equal(header_date("Sun, 06 Nov 1994 08:49:37 GMT", &t), 0); /* RFC 9110's */
	assert_int_equal(t, 784111777);
	assert_int_equal(header_date("Thu, 29 Feb 2024 12:00:00 GMT", &t), 0);
	assert_int_equal(t, 1709208000);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(header_date(bad[i], &t), -EUCLEAN);
}

static void retry_after_is_seconds_or_a_date_within_bounds(void **state)
{
	uint32_t ms;

	(void)state;
	assert_int_equal(header_retry_after("17", 0, &ms), 0);
	assert_int_equal(ms, 17000);
	assert_int_equal(header_retry_after("0", 0, &ms), 0);
	assert_int_equal(ms, 1);
	assert_int_equal(header_retry_after("99999999999999999999", 0, &ms), 0);
	assert_int_equal(ms, HEADER_RETRY_MAX_MS);
	assert_int_equal(header_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 - 3, &ms), 0);
	assert_int_equal(ms, 3000);
	assert_int_equal(header_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111777 + 3, &ms), 0);
	assert_int_equal(ms, 1);
	assert_int_equal(header_retry_after("1.5", 0, &ms), -EUCLEAN);
	assert_int_equal(header_retry_after("soon", 0, &ms), -EUCLEAN);
}

/* --- retry --- */

static struct retry_try a_try(unsigned attempts)
{
	return (struct retry_try){ .attempts = attempts, .now_ms = 1000000, .deadline_ms = 1015000, .random = UINT64_MAX };
}

static void pauses_grow_and_are_drawn_by_lot(void **state)
{
	struct retry s = { 0 };
	struct retry_try t;
	uint64_t random;
	int64_t pause;
	unsigned n;

	(void)state;
	for (n = 1; n < RETRY_ATTEMPTS_MAX; n++) {
		for (random = 0; random < 2000; random += 7) {
			memset(&s, 0, sizeof(s));
			t = a_try(n);
			t.random = random;
			pause = retry_pause(&s, &t);
			assert_true(pause >= 0 && pause <= RETRY_BASE_MS << (n - 1));
			t.throttled = true;
			pause = retry_pause(&s, &t);
			assert_true(pause >= 0 && pause <= RETRY_BASE_THROTTLED_MS << (n - 1));
		}
	}
	t = a_try(3);
	t.random = 401 * 5 - 1; /* the greatest of its range */
	assert_int_equal(retry_pause(&s, &t), 400);
}

static void attempts_and_deadline_end_a_call(void **state)
{
	struct retry s = { 0 };
	struct retry_try t = a_try(RETRY_ATTEMPTS_MAX);

	(void)state;
	assert_int_equal(retry_pause(&s, &t), -1);
	t = a_try(1);
	t.deadline_ms = t.now_ms;
	assert_int_equal(retry_pause(&s, &t), -1);
	assert_int_equal(s.spent, 0);
}

static void retry_after_wins_unless_it_is_beyond_the_deadline(void **state)
{
	struct retry s = { 0 };
	struct retry_try t = a_try(1);

	(void)state;
	t.retry_after_ms = 7000;
	assert_int_equal(retry_pause(&s, &t), 7000);
	t.retry_after_ms = 15000;
	assert_int_equal(retry_pause(&s, &t), -1);
}

static void the_budget_stops_a_storm_and_comes_back(void **state)
{
	struct retry s = { .refilled_ms = 1000000 };
	struct retry_try t = a_try(1);
	int n = 0;

	(void)state;
	while (retry_pause(&s, &t) >= 0)
		n++;
	assert_int_equal(n, RETRY_BUDGET / RETRY_COST);
	t.now_ms += RETRY_COST * 1000;
	t.deadline_ms += RETRY_COST * 1000;
	assert_true(retry_pause(&s, &t) >= 0);
	assert_int_equal(retry_pause(&s, &t), -1);
	for (n = 0; n < RETRY_COST; n++)
		retry_ended(&s, true, t.now_ms);
	assert_true(retry_pause(&s, &t) >= 0);
}

static void the_breaker_opens_tries_one_and_closes(void **state)
{
	struct retry s = { 0 };
	uint64_t wait = 0, now = 50000;
	int i;

	(void)state;
	for (i = 0; i < RETRY_FAILURES; i++) {
		assert_true(retry_call(&s, now, &wait));
		retry_ended(&s, false, now);
	}
	assert_false(retry_call(&s, now + 1000, &wait));
	assert_int_equal(wait, RETRY_OPEN_MS - 1000);
	now += RETRY_OPEN_MS;
	assert_true(retry_call(&s, now, &wait));   /* the trial … */
	assert_false(retry_call(&s, now, &wait));  /* … and no second beside it */
	retry_ended(&s, false, now + 10);
	assert_false(retry_call(&s, now + RETRY_OPEN_MS, &wait));
	now += 10 + RETRY_OPEN_MS;
	assert_true(retry_call(&s, now, &wait));
	retry_ended(&s, true, now);
	assert_true(retry_call(&s, now, &wait));
	assert_true(retry_call(&s, now, &wait));
}

static void answers_between_failures_keep_it_closed(void **state)
{
	struct retry s = { 0 };
	uint64_t wait;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		retry_ended(&s, i % RETRY_FAILURES == 0, 1000);
		assert_true(retry_call(&s, 1000, &wait));
	}
}

static void aws_s_hosts_are_by_service_region_and_partition(void **state)
{
	static const struct {
		const char *service, *region;
		bool fips, dual;
		const char *origin;
	} hosts[] = {
		{ "kms", "eu-west-1", false, false, "https://kms.eu-west-1.amazonaws.com" },
		{ "sts", "us-east-1", true, true, "https://sts-fips.us-east-1.api.aws" },
		{ "s3", "eu-west-1", false, false, "https://s3.eu-west-1.amazonaws.com" },
		{ "s3", "eu-west-1", false, true, "https://s3.dualstack.eu-west-1.amazonaws.com" },
		{ "s3", "us-east-1", true, false, "https://s3-fips.us-east-1.amazonaws.com" },
		{ "s3", "us-east-1", true, true, "https://s3-fips.dualstack.us-east-1.amazonaws.com" },
		{ "s3", "cn-north-1", false, true, "https://s3.dualstack.cn-north-1.amazonaws.com.cn" },
	};
	char origin[URL_ORIGIN_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		assert_int_equal(awshost_origin(hosts[i].service, hosts[i].region, hosts[i].fips, hosts[i].dual, origin), 0);
		assert_string_equal(origin, hosts[i].origin);
	}
	assert_int_equal(awshost_origin("s3", "us-iso-east-1", false, true, origin), -EINVAL);
	assert_int_equal(awshost_origin("s3", "EU", false, false, origin), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aws_s_hosts_are_by_service_region_and_partition),
		cmocka_unit_test(hosts_are_names_and_ports_and_nothing_else),
		cmocka_unit_test(an_origin_is_https_and_a_host),
		cmocka_unit_test(a_url_is_encoded_once_and_has_no_way_up),
		cmocka_unit_test(a_custom_method_stands_behind_a_colon),
		cmocka_unit_test(a_query_is_encoded_whole_and_keeps_its_order),
		cmocka_unit_test(a_url_that_is_too_long_is_refused),
		cmocka_unit_test(headers_are_found_by_name),
		cmocka_unit_test(dates_are_those_of_the_calendar),
		cmocka_unit_test(retry_after_is_seconds_or_a_date_within_bounds),
		cmocka_unit_test(pauses_grow_and_are_drawn_by_lot),
		cmocka_unit_test(attempts_and_deadline_end_a_call),
		cmocka_unit_test(retry_after_wins_unless_it_is_beyond_the_deadline),
		cmocka_unit_test(the_budget_stops_a_storm_and_comes_back),
		cmocka_unit_test(the_breaker_opens_tries_one_and_closes),
		cmocka_unit_test(answers_between_failures_keep_it_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
