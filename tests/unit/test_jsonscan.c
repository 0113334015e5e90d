/* test_jsonscan.c: values of a JSON text, where they stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/jsonscan.h"

static int check(const char *text)
{
	struct jsonscan v;

	return jsonscan_check(text, strlen(text), &v);
}

static struct jsonscan top(const char *text)
{
	struct jsonscan v;

	assert_int_equal(jsonscan_check(text, strlen(text), &v), 0);
	return v;
}

static void scan_takes_what_json_is(void **state)
{
	static const char *const good[] = {
		"{}", "[]", " [ ] ", "null", "true", "false", "0", "-1", "1.5e+10", "12E-3", "\"\"", "\"\\u0041\\n\\/\"",
		"{\"a\":{\"b\":[1,2,{\"c\":null}]}}\n", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "\"\xc3\xa4\"",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (check(good[i]) != 0)
			fail_msg("refused: %s", good[i]);
}

static void scan_refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"", " ", "{", "[", "\"", "{]", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "01", "+1", "1.", ".5", "1e",
		"-", "tru", "nul", "True", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\t\"", "\"\xff\"", "\"\xc0\x80\"", "1 2", "{} x", "[1 2]",
		"{\"a\":1 \"b\":2}", "\"\\", "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (check(bad[i]) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
}

static void scan_never_reads_behind_the_end(void **state)
{
	static const char text[] = "{\"a\":[true,\"\\u0041x\",-1.5e3,null]}";
	struct jsonscan v;
	size_t n;
	char *p;

	(void)state;
	for (n = 0; n < sizeof(text) - 1; n++) {
		p = test_malloc(n + 1);
		memcpy(p, text, n);
		assert_int_equal(jsonscan_check(p, n, &v), -EUCLEAN);
		test_free(p);
	}
}

static void members_and_elements_are_found(void **state)
{
	struct jsonscan all = top("{\"x\":[1,\"b\",{\"y\":\"z\"}],\"data\" : {\"plaintext\":\"QUJD\"}}");
	struct jsonscan v, w;

	(void)state;
	assert_int_equal(jsonscan_member(&all, "data", &v), 0);
	assert_int_equal(jsonscan_member(&v, "plaintext", &w), 0);
	assert_int_equal(w.type, '"');
	assert_int_equal(w.len, 4);
	assert_memory_equal(w.p, "QUJD", 4);
	assert_int_equal(jsonscan_member(&v, "plain", &w), -ENOENT);
	assert_int_equal(jsonscan_member(&all, "x", &v), 0);
	assert_int_equal(jsonscan_element(&v, 2, &w), 0);
	assert_int_equal(w.type, '{');
	assert_int_equal(jsonscan_element(&v, 3, &w), -ENOENT);
	assert_int_equal(jsonscan_member(&v, "x", &w), -EUCLEAN);
	assert_int_equal(jsonscan_element(&all, 0, &w), -EUCLEAN);
	v = top("{}");
	assert_int_equal(jsonscan_member(&v, "x", &w), -ENOENT);
	v = top("[]");
	assert_int_equal(jsonscan_element(&v, 0, &w), -ENOENT);
}

static void a_key_that_is_there_twice_is_refused(void **state)
{
	struct jsonscan all = top("{\"a\":1,\"b\":2,\"a\":3}"), v;

	(void)state;
	assert_int_equal(jsonscan_member(&all, "a", &v), -EUCLEAN);
	assert_int_equal(jsonscan_member(&all, "b", &v), 0);
}

static void integers_are_exact_or_refused(void **state)
{
	static const char *const bad[] = { "-1", "1.0", "1e3", "9007199254740993", "99999999999999999", "\"1\"", "null" };
	struct jsonscan v;
	uint64_t n = 0;
	size_t i;

	(void)state;
	v = top("9007199254740992");
	assert_int_equal(jsonscan_integer(&v, &n), 0);
	assert_true(n == UINT64_C(9007199254740992));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = top(bad[i]);
		assert_int_equal(jsonscan_integer(&v, &n), -EUCLEAN);
	}
}

static void text_undoes_escapes_and_is_cut(void **state)
{
	struct jsonscan v = top("\"1 error:\\n\\t* \\\"no\\\" \\u0041\\u00e4\\\\\\/\"");
	char out[64], small[4];

	(void)state;
	assert_int_equal(jsonscan_text(&v, out, sizeof(out)), 21);
	assert_string_equal(out, "1 error:\n\t* \"no\" A?\\/");
	assert_int_equal(jsonscan_text(&v, small, sizeof(small)), 3);
	assert_string_equal(small, "1 e");
	v = top("17");
	assert_int_equal(jsonscan_text(&v, out, sizeof(out)), 0);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan_takes_what_json_is),
		cmocka_unit_test(scan_refuses_everything_else),
		cmocka_unit_test(scan_never_reads_behind_the_end),
		cmocka_unit_test(members_and_elements_are_found),
		cmocka_unit_test(a_key_that_is_there_twice_is_refused),
		cmocka_unit_test(integers_are_exact_or_refused),
		cmocka_unit_test(text_undoes_escapes_and_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
