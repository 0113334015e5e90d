#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/b64.h"

static void utf8_takes_the_first_and_last_of_each_length(void **state)
{
	static const char *const good[] = { "\x01", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
					    "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t n = strlen(good[i]);

		assert_int_equal(text_utf8_len(good[i], n), n);
		assert_int_equal(text_utf8_len(good[i], n - 1), 0); /* cut short */
		assert_true(text_is_utf8(good[i], n));
	}
	assert_true(text_is_utf8("", 0));
}

static void utf8_refuses_overlong_surrogates_and_strays(void **state)
{
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
					   "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
					   "\xff", "\xc3\x28", "\xe2\x82\x28", "\xf0\x9f\x98\x28" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_utf8_len(bad[i], strlen(bad[i])), 0);
}

static void check_escape(const char *in, size_t max, const char *want)
{
	char out[64];

	memset(out, 'Z', sizeof(out));
	assert_int_equal(text_escape(in, strlen(in), out, max), strlen(want));
	assert_string_equal(out, want);
	assert_int_equal(out[max], 'Z');
}

static void escape_leaves_text_and_shows_what_acts_on_terminals(void **state)
{
	(void)state;
	check_escape("plain \xc3\xa4 \xf0\x9f\x98\x80", 40, "plain \xc3\xa4 \xf0\x9f\x98\x80");
	check_escape("a\nb\x1b[2J\x7f\\", 40, "a\\x0ab\\x1b[2J\\x7f\\x5c");
	check_escape("\xc2\x9b\xff", 40, "\\xc2\\x9b\\xff"); /* C1 CSI; a stray */
	check_escape("\xe2\x80\xae", 40, "\\xe2\\x80\\xae"); /* right-to-left override */
}

static void escape_cuts_between_characters_and_says_so(void **state)
{
	(void)state;
	check_escape("12345678", 9, "12345678");
	check_escape("12345678", 8, "1234...");
	check_escape("1234\xc3\xa4\xc3\xa4", 8, "1234...");
	check_escape("123\n\n", 8, "123...");
	check_escape("\n\n", 4, "...");
	check_escape("abc", 1, "");
}

static void mask_leaves_printable_ascii_alone(void **state)
{
	char text[] = "a ~\n\t\x1b[2J\x7f\xc3\xa4\xff z";

	(void)state;
	text_mask(text);
	assert_string_equal(text, "a ~???[2J???? z");
}

static void b64_url_every_length_comes_back_without_padding(void **state)
{
	uint8_t in[67], out[67];
	char text[B64_LEN(67) + 1], padded[B64_LEN(67) + 1];
	size_t n, len, i;

	(void)state;
	for (i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 251 + 239);
	for (n = 0; n <= sizeof(in); n++) {
		len = b64_url_encode(in, n, text);
		assert_int_equal(len, strlen(text));
		b64_encode(in, n, padded);
		assert_int_equal(strlen(text), strcspn(padded, "="));
		for (i = 0; text[i]; i++)
			assert_int_equal(text[i], padded[i] == '+' ? '-' : padded[i] == '/' ? '_' : padded[i]);
		assert_int_equal(b64_url_decode(text, strlen(text), out, n, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(in, out, n);
		if (n > 0)
			assert_int_equal(b64_url_decode(text, strlen(text), out, n - 1, &len), -EMSGSIZE);
	}
}

static void b64_url_takes_one_form_only(void **state)
{
	static const char *const bad[] = { "A", "AAAAA", "AA==", "AB", "AAB", "AA+A", "AA/A", "AA A", "AAA=" };
	uint8_t out[8];
	size_t len, i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (b64_url_decode(bad[i], strlen(bad[i]), out, sizeof(out), &len) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(b64_url_decode("-_8", 3, out, sizeof(out), &len), 0);
	assert_int_equal(len, 2);
	assert_memory_equal(out, "\xfb\xff", 2);
}

static void b64_every_length_comes_back_and_one_character_less_does_not(void **state)
{
	uint8_t in[67], out[67];
	char text[B64_LEN(67) + 1];
	size_t n, i, len;

	(void)state;
	for (i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 37 + 11);
	for (n = 1; n <= sizeof(in); n++) {
		b64_encode(in, n, text);
		assert_int_equal(strlen(text), B64_LEN(n));
		assert_int_equal(b64_decode(text, strlen(text), out, n, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(in, out, n);
		assert_int_equal(b64_decode(text, strlen(text) - 1, out, n, &len), -EUCLEAN);
		assert_int_equal(b64_decode(text, strlen(text), out, n - 1, &len), -EMSGSIZE);
	}
}

static void time_is_utc_to_the_second(void **state)
{
	char text[32];

	(void)state;
	assert_int_equal(text_time(0, sizeof(text), text), 0);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	assert_int_equal(text_time(1772509445, 21, text), 0);
	assert_string_equal(text, "2026-03-03T03:44:05Z");
	assert_int_equal(text_time(0, 20, text), -EINVAL);
	assert_int_equal(text_time((time_t)INT64_MAX, sizeof(text), text), -EINVAL);
}

static void hex_comes_back_and_everything_else_is_refused(void **state)
{
	static const char *const bad[] = { "", "0", "000", "00000", "0g00", "00:0", "00/0", "0`00", "00FF", "0 00" };
	uint8_t in[256], out[256];
	char text[2 * 256 + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(255 - i);
	text_hex(in, sizeof(in), text);
	assert_int_equal(strlen(text), 2 * sizeof(in));
	assert_memory_equal(text, "fffefdfc", 8);
	assert_int_equal(text_hex_parse(text, strlen(text), sizeof(out), out), 0);
	assert_memory_equal(in, out, sizeof(in));
	text_hex(in, 0, text);
	assert_string_equal(text, "");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_hex_parse(bad[i], strlen(bad[i]), 2, out), -EUCLEAN);
	assert_int_equal(text_hex_parse("0a1b more", 4, 2, out), 0); /* no more than len is looked at */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_takes_the_first_and_last_of_each_length),
		cmocka_unit_test(utf8_refuses_overlong_surrogates_and_strays),
		cmocka_unit_test(escape_leaves_text_and_shows_what_acts_on_terminals),
		cmocka_unit_test(escape_cuts_between_characters_and_says_so),
		cmocka_unit_test(mask_leaves_printable_ascii_alone),
		cmocka_unit_test(time_is_utc_to_the_second),
		cmocka_unit_test(hex_comes_back_and_everything_else_is_refused),
		cmocka_unit_test(b64_url_every_length_comes_back_without_padding),
		cmocka_unit_test(b64_url_takes_one_form_only),
		cmocka_unit_test(b64_every_length_comes_back_and_one_character_less_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
