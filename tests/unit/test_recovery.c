/* test_recovery.c: recovery keys as text: what was written comes back, and each slip of the hand is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/recovery.h"

static char line[RECOVERY_TEXT_MAX + 2];
static size_t line_len;

static struct secret *key_new(void)
{
	struct secret *key;

	assert_int_equal(secret_new(KEY_LEN, &key), 0);
	for (size_t i = 0; i < KEY_LEN; i++)
		secret_bytes(key)[i] = (uint8_t)(i * 7 + 1);
	return key;
}

static int setup(void **state)
{
	struct secret *key = key_new(), *text;

	(void)state;
	assert_int_equal(recovery_put(key, &text), 0);
	assert_int_equal(secret_len(text), RECOVERY_LINE_LEN);
	memset(line, 0, sizeof(line));
	line_len = secret_len(text);
	memcpy(line, secret_bytes_const(text), line_len);
	secret_free(text);
	secret_free(key);
	return 0;
}

static int parse(const char *p, size_t len)
{
	struct secret *got = NULL, *key = key_new();
	int r = recovery_parse(p, len, &got);

	if (r >= 0)
		assert_true(secret_equal(secret_bytes(got), secret_bytes(key), KEY_LEN));
	else
		assert_null(got);
	secret_free(got);
	secret_free(key);
	return r;
}

static void what_was_written_reads_back(void **state)
{
	(void)state;
	/* the ID by another implementation of HKDF-SHA-512 */
	assert_memory_equal(line, "coffer-recovery-1 57145c88d113edc6 01080f16-", 44);
	assert_int_equal(line[line_len - 1], '\n');
	assert_int_equal(parse(line, line_len), 0);
	assert_int_equal(parse(line, line_len - 1), 0); /* without its line feed */
}

static void notes_capitals_and_line_ends_of_editors_do_no_harm(void **state)
{
	char text[RECOVERY_TEXT_MAX];

	(void)state;
	(void)snprintf(text, sizeof(text), "# for the safe\n\n  \n%.*s \t\r\n# end", (int)line_len - 1, line);
	assert_int_equal(parse(text, strlen(text)), 0);
	for (char *p = line + 18; *p; p++)
		if (*p >= 'a' && *p <= 'f')
			*p = (char)(*p - 'a' + 'A');
	assert_int_equal(parse(line, line_len), 0);
}

static void each_mistyped_digit_is_found(void **state)
{
	(void)state;
	for (size_t i = 18; i < line_len - 1; i++) {
		char was = line[i];

		line[i] = was == '0' ? '1' : '0';
		if (was == ' ' || was == '-')
			assert_int_equal(parse(line, line_len), -EINVAL);
		else
			assert_int_equal(parse(line, line_len), -EBADMSG);
		line[i] = 'g';
		assert_int_equal(parse(line, line_len), -EINVAL);
		line[i] = was;
	}
}

static void what_is_no_recovery_key_is_refused(void **state)
{
	char text[2 * RECOVERY_LINE_LEN + 8];
	size_t n;

	(void)state;
	assert_int_equal(parse("", 0), -EINVAL);
	assert_int_equal(parse("# nothing\n", 10), -EINVAL);
	for (n = 1; n < line_len - 1; n++)
		assert_int_equal(parse(line, n), -EINVAL);
	n = (size_t)snprintf(text, sizeof(text), "%s%s", line, line);
	assert_int_equal(parse(text, n), -EINVAL); /* which of them? */
	line[16] = '2'; /* of a later version */
	assert_int_equal(parse(line, line_len), -EINVAL);
}

static void a_large_file_is_refused_before_it_is_read(void **state)
{
	(void)state;
	memset(line + line_len, '\n', RECOVERY_TEXT_MAX - line_len + 1);
	assert_int_equal(parse(line, RECOVERY_TEXT_MAX), 0);
	assert_int_equal(parse(line, RECOVERY_TEXT_MAX + 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_was_written_reads_back, setup),
		cmocka_unit_test_setup(notes_capitals_and_line_ends_of_editors_do_no_harm, setup),
		cmocka_unit_test_setup(each_mistyped_digit_is_found, setup),
		cmocka_unit_test_setup(what_is_no_recovery_key_is_refused, setup),
		cmocka_unit_test_setup(a_large_file_is_refused_before_it_is_read, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
