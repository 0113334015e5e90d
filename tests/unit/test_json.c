#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct json **ret_v)
{
	return json_parse(text, strlen(text), 4096, ret_v);
}

static void parse_refuses_what_is_not_strict_json(void **state)
{
	static const char *const bad[] = {
		"", "{", "{}x", "{\"a\":1,\"a\":2}", "{\"a\":1.5}", "{\"a\":[1,2e3]}", "[1,]",  "\"\xff\"",
		"\"\xc0\x80\"", "\"\\u0000\"", "{\"a\":99999999999999999999}", "nul", "{'a':1}", "[\"\x01\"]",
	};
	struct json *v = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i], &v) != -EUCLEAN)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_null(v);
}

static void parse_refuses_more_than_the_caller_allows(void **state)
{
	AUTO_JSON struct json *v = NULL;

	(void)state;
	assert_int_equal(json_parse("[1]", 3, 2, &v), -EFBIG);
	assert_int_equal(json_parse("[1]", 3, 3, &v), 0);
}

static void parse_refuses_one_level_too_many(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 3] = "";
	AUTO_JSON struct json *v = NULL;
	struct json *none = NULL;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(parse(text, &v), 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_int_equal(parse(text, &none), -EUCLEAN);
}

static void brackets_in_strings_are_not_depth(void **state)
{
	AUTO_JSON struct json *v = NULL;

	(void)state;
	assert_int_equal(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\"]", &v), 0);
}

static void what_is_put_is_dumped_in_order_and_parses_back(void **state)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_JSON struct json *back = NULL;
	struct json *a = json_new_array();
	AUTO_FREE char *text = NULL;
	const struct json *sub;
	const char *s;
	int64_t n;
	bool b;

	(void)state;
	assert_int_equal(json_put_str(o, "z", "t\"\xc3\xa4"), 0);
	assert_int_equal(json_put_int(o, "a", INT64_MIN), 0);
	assert_int_equal(json_put_bool(o, "b", true), 0);
	assert_int_equal(json_put_null(o, "n"), 0);
	assert_int_equal(json_append_str(a, "x"), 0);
	assert_int_equal(json_append(a, json_new_object()), 0);
	assert_int_equal(json_put_json(o, "l", a), 0);
	assert_int_equal(json_dump(o, &text), 0);
	assert_string_equal(text, "{\"z\":\"t\\\"\xc3\xa4\",\"a\":-9223372036854775808,\"b\":true,\"n\":null,"
				  "\"l\":[\"x\",{}]}");

	assert_int_equal(parse(text, &back), 0);
	assert_int_equal(json_get_str(back, "z", &s), 0);
	assert_string_equal(s, "t\"\xc3\xa4");
	assert_int_equal(json_get_int(back, "a", &n), 0);
	assert_true(n == INT64_MIN);
	assert_int_equal(json_get_bool(back, "b", &b), 0);
	assert_true(b);
	assert_int_equal(json_get_array(back, "l", &sub), 0);
	assert_int_equal(json_array_len(sub), 2);
	assert_string_equal(json_text(json_array_at(sub, 0)), "x");
	assert_true(json_is_object(json_array_at(sub, 1)));
	assert_null(json_text(json_array_at(sub, 1)));
	assert_null(json_array_at(sub, 2));
}

static void get_tells_absent_from_wrong_type(void **state)
{
	AUTO_JSON struct json *o = NULL;
	const struct json *sub;
	const char *s;
	int64_t n;
	bool b;

	(void)state;
	assert_int_equal(parse("{\"s\":\"\",\"n\":1,\"o\":{},\"z\":null}", &o), 0);
	assert_int_equal(json_get_str(o, "none", &s), -ENOENT);
	assert_int_equal(json_get_str(o, "n", &s), -EUCLEAN);
	assert_int_equal(json_get_int(o, "s", &n), -EUCLEAN);
	assert_int_equal(json_get_int(o, "z", &n), -EUCLEAN);
	assert_int_equal(json_get_bool(o, "n", &b), -EUCLEAN);
	assert_int_equal(json_get_object(o, "s", &sub), -EUCLEAN);
	assert_int_equal(json_get_array(o, "o", &sub), -EUCLEAN);
	assert_int_equal(json_get_object(o, "o", &sub), 0);
	assert_int_equal(json_get_str(NULL, "s", &s), -EUCLEAN);
}

static void put_refuses_bad_text_and_consumes_values_on_failure(void **state)
{
	AUTO_JSON struct json *o = json_new_object();

	(void)state;
	assert_int_equal(json_put_str(o, "a", "\xff"), -EINVAL);
	assert_int_equal(json_put_str(o, "\xff", "a"), -EINVAL);
	assert_int_equal(json_put_str(NULL, "a", "a"), -EINVAL);
	assert_int_equal(json_put_json(o, "a", NULL), -ENOMEM);
	assert_int_equal(json_put_json(NULL, "a", json_new_array()), -EINVAL);
	assert_int_equal(json_append(o, json_new_array()), -EINVAL);
	assert_int_equal(json_append(NULL, NULL), -ENOMEM);
}

static void unknown_key_names_the_first_stranger(void **state)
{
	static const char *const known[] = { "v", "id", NULL };
	AUTO_JSON struct json *o = NULL;
	AUTO_JSON struct json *p = NULL;

	(void)state;
	assert_int_equal(parse("{\"id\":1,\"x\":1,\"y\":1}", &o), 0);
	assert_string_equal(json_unknown_key(o, known), "x");
	assert_int_equal(parse("{\"id\":1}", &p), 0);
	assert_null(json_unknown_key(p, known));
}

static void b64_matches_rfc_4648_both_ways(void **state)
{
	static const char *const enc[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	char back[8];
	const char *s;
	size_t i, len;

	(void)state;
	for (i = 0; i <= 6; i++) {
		AUTO_JSON struct json *o = json_new_object();

		assert_int_equal(json_put_b64(o, "k", "foobar", i), 0);
		assert_int_equal(json_get_str(o, "k", &s), 0);
		assert_string_equal(s, enc[i]);
		assert_int_equal(json_get_b64(o, "k", back, i), 0);
		assert_memory_equal(back, "foobar", i);
		assert_int_equal(json_get_b64(o, "k", back, i + 1), -EUCLEAN);
		assert_int_equal(json_get_b64_var(o, "k", back, 8, &len), 0);
		assert_int_equal(len, i);
		if (i > 0)
			assert_int_equal(json_get_b64_var(o, "k", back, i - 1, &len), -EUCLEAN);
	}
}

static void b64_of_every_byte_comes_back(void **state)
{
	AUTO_JSON struct json *o = json_new_object();
	uint8_t all[256], back[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	assert_int_equal(json_put_b64(o, "k", all, sizeof(all)), 0);
	assert_int_equal(json_get_b64(o, "k", back, sizeof(back)), 0);
	assert_memory_equal(all, back, sizeof(all));
}

static void b64_refuses_what_is_not_canonical(void **state)
{
	static const char *const bad[] = { "Zg=", "Zg", "Z===", "====", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==", "Zm 9v",
					   "Zm9-", "Zm9_", "Zm9v\n", "=Zm9", "Zm9\xc3\xa4==" };
	uint8_t out[16];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_JSON struct json *o = json_new_object();

		assert_int_equal(json_put_str(o, "k", bad[i]), 0);
		if (json_get_b64_var(o, "k", out, sizeof(out), &len) != -EUCLEAN)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void a_sorted_dump_does_not_depend_on_the_order_of_insertion(void **state)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL, *less = NULL;

	(void)state;
	assert_int_equal(json_put_int(o, "b", 2), 0);
	assert_int_equal(json_put_int(o, "a_", 1), 0);
	assert_int_equal(json_put_int(o, "Z", 0), 0);
	assert_int_equal(json_put_int(o, "a", 1), 0);
	assert_int_equal(json_dump_sorted(o, &text), 0);
	assert_string_equal(text, "{\"Z\":0,\"a\":1,\"a_\":1,\"b\":2}");
	json_drop(o, "a_");
	json_drop(o, "absent");
	json_drop(NULL, "a");
	assert_int_equal(json_dump_sorted(o, &less), 0);
	assert_string_equal(less, "{\"Z\":0,\"a\":1,\"b\":2}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_refuses_what_is_not_strict_json),
		cmocka_unit_test(parse_refuses_more_than_the_caller_allows),
		cmocka_unit_test(parse_refuses_one_level_too_many),
		cmocka_unit_test(brackets_in_strings_are_not_depth),
		cmocka_unit_test(what_is_put_is_dumped_in_order_and_parses_back),
		cmocka_unit_test(a_sorted_dump_does_not_depend_on_the_order_of_insertion),
		cmocka_unit_test(get_tells_absent_from_wrong_type),
		cmocka_unit_test(put_refuses_bad_text_and_consumes_values_on_failure),
		cmocka_unit_test(unknown_key_names_the_first_stranger),
		cmocka_unit_test(b64_matches_rfc_4648_both_ways),
		cmocka_unit_test(b64_of_every_byte_comes_back),
		cmocka_unit_test(b64_refuses_what_is_not_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
