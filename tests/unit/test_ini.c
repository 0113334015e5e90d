#include "base/ini.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/fileio.h"

static const struct ini_key tenant_keys[] = {
	{ "kms", INI_STRING, true },     { "probe", INI_TIME, false }, { "auto-unlock", INI_BOOL, false },
	{ "confirm", INI_INTEGER, false }, { "cache", INI_SIZE, false }, { NULL, INI_STRING, false },
};
static const struct ini_key allow_keys[] = { { "user", INI_STRING, false }, { NULL, INI_STRING, false } };
static const struct ini_rule rules[] = {
	{ "tenant", tenant_keys, false },
	{ "allow", allow_keys, true },
	{ NULL, NULL, false },
};

static int read_text(const char *text, struct ini **ret_ini, struct ini_error *ret_error)
{
	return ini_read(text, strlen(text), rules, ret_ini, ret_error);
}

static void a_whole_file_is_read(void **state)
{
	AUTO_INI struct ini *ini = NULL;
	const struct ini_section *t, *a;
	struct ini_error e;

	(void)state;
	assert_int_equal(read_text("# comment\r\n"
				   "[tenant]\n"
				   "kms = local:a \r\n"
				   "kms=aws-kms://arn:aws:kms:eu-west-1:1:key/x=y;z\n"
				   "; comment\n"
				   "\n"
				   "probe=15m\n"
				   "auto-unlock=no\n"
				   "confirm=3\n"
				   "cache=64M\n"
				   "[allow]\n"
				   "user=root\n"
				   "[allow 2]\n"
				   "user=\xc3\xa4 b\n"
				   "[allow db-1]",
				   &ini, &e),
			 0);
	t = ini_section(ini, "tenant", 0);
	assert_int_equal(ini_count(t, "kms"), 2);
	assert_string_equal(ini_string(t, "kms", 0), "local:a");
	assert_string_equal(ini_string(t, "kms", 1), "aws-kms://arn:aws:kms:eu-west-1:1:key/x=y;z");
	assert_null(ini_string(t, "kms", 2));
	assert_int_equal(ini_line(t, "kms", 1), 4);
	assert_int_equal(ini_number(t, "probe", 7), 900);
	assert_false(ini_bool(t, "auto-unlock", true));
	assert_int_equal(ini_number(t, "confirm", 7), 3);
	assert_true(ini_number(t, "cache", 7) == 64 << 20);
	assert_null(ini_section(ini, "tenant", 1));

	a = ini_section(ini, "allow", 1);
	assert_string_equal(ini_label(a), "2");
	assert_string_equal(ini_string(a, "user", 0), "\xc3\xa4 b");
	assert_int_equal(ini_section_line(a), 13);
	assert_string_equal(ini_label(ini_section(ini, "allow", 0)), "");
	assert_string_equal(ini_label(ini_section(ini, "allow", 2)), "db-1");
	assert_int_equal(ini_count(ini_section(ini, "allow", 2), "user"), 0);
}

static void what_is_absent_is_the_default(void **state)
{
	AUTO_INI struct ini *ini = NULL;
	struct ini_error e;

	(void)state;
	assert_int_equal(read_text("", &ini, &e), 0);
	assert_null(ini_section(ini, "tenant", 0));
	assert_null(ini_string(NULL, "kms", 0));
	assert_int_equal(ini_number(NULL, "probe", 60), 60);
	assert_true(ini_bool(NULL, "auto-unlock", true));
	assert_int_equal(ini_line(NULL, "kms", 0), 0);
}

static void each_fault_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *says;
	} bad[] = {
		{ "[tenant]\nkmss=x\n", 2, "unknown key kmss= in [tenant]" },
		{ "[other]\n", 1, "unknown section [other]" },
		{ "[tenant 2]\n", 1, "unknown section [tenant 2]" },
		{ "[Tenant]\n", 1, "unknown section [Tenant]" },
		{ "kms=x\n", 1, "kms= stands before any [section]" },
		{ "[tenant]\nprobe=1s\n\nprobe=2s\n", 4, "probe= stands in line 2 already" },
		{ "[tenant]\n[allow]\n[tenant]\n", 3, "section [tenant] stands in line 1 already" },
		{ "[allow]\n[allow]\n", 2, "section [allow] stands in line 1 already; label it, as in [... 2]" },
		{ "[allow 2]\n[allow 2]\n", 2, "section [allow 2] stands in line 1 already; label it, as in [... 2]" },
		{ "[tenant]\nprobe=1x\n", 2, "probe=1x is not a time such as 60s, 15m, 24h or 7d" },
		{ "[tenant]\nprobe=1K\n", 2, "probe=1K is not a time such as 60s, 15m, 24h or 7d" },
		{ "[tenant]\nprobe=-1\n", 2, "probe=-1 is not a time such as 60s, 15m, 24h or 7d" },
		{ "[tenant]\nconfirm=3s\n", 2, "confirm=3s is not a number" },
		{ "[tenant]\ncache=64MB\n", 2, "cache=64MB is not a size such as 512K, 64M or 1G" },
		{ "[tenant]\ncache=9999999999G\n", 2, "cache=9999999999G is too large" },
		{ "[tenant]\nauto-unlock=maybe\n", 2, "auto-unlock=maybe is not yes or no" },
		{ "[tenant]\nkms=\n", 2, "kms= has no value" },
		{ "[tenant]\nkms\n", 2, "neither a [section] nor key=value" },
		{ "[tenant]\nkms: x=y\n", 2, "neither a [section] nor key=value" },
		{ "[tenant]\n=x\n", 2, "neither a [section] nor key=value" },
		{ "[tenant]\nkms=a\n more\n", 3, "the line begins with a blank: lines are not continued" },
		{ "[tenant]\nkms=a ; why\n", 2, "a comment stands on a line of its own" },
		{ "[tenant] # x\n", 1, "not a [section]" },
		{ "[tenant\n", 1, "not a [section]" },
		{ "[]\n", 1, "not a [section]" },
		{ "[allow  2]\n", 1, "not a [section]" },
		{ "[allow 2 ]\n", 1, "not a [section]" },
		{ "[tenant]\nkms=\x1b[2J\n", 2, "a control character" },
		{ "[tenant]\nkms=\xff\n", 2, "not UTF-8" },
		{ "\xef\xbb\xbf[tenant]\n", 1, "neither a [section] nor key=value" },
	};
	struct ini *ini = NULL;
	struct ini_error e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&e, 0, sizeof(e));
		if (read_text(bad[i].text, &ini, &e) != -EUCLEAN)
			fail_msg("accepted: %s", bad[i].text);
		assert_string_equal(e.text, bad[i].says);
		assert_int_equal(e.line, bad[i].line);
	}
	assert_null(ini);
	assert_int_equal(ini_read("[tenant]\0", 9, rules, &ini, &e), -EUCLEAN);
	assert_string_equal(e.text, "a control character");
}

static void long_lines_are_read_whole_or_refused(void **state)
{
	char text[2048] = "[tenant]\nkms=";
	size_t at = strlen(text), n;
	struct ini_error e;

	(void)state;
	/* Longest length that is taken: whatever the limit of the libinih at hand, nothing is cut. */
	for (n = 150; n < sizeof(text) - at; n++) {
		AUTO_INI struct ini *ini = NULL;
		int r;

		memset(text + at, 'x', n);
		r = ini_read(text, at + n, rules, &ini, &e);
		if (r < 0) {
			assert_int_equal(r, -EUCLEAN);
			assert_int_equal(e.line, 2);
			assert_non_null(strstr(e.text, "longer than"));
			return;
		}
		assert_int_equal(strlen(ini_string(ini_section(ini, "tenant", 0), "kms", 0)), n);
	}
	fail_msg("no limit found");
}

static void a_section_name_of_50_bytes_is_refused_not_cut(void **state)
{
	char text[64] = "[allow ";
	struct ini *ini = NULL;
	struct ini_error e;

	(void)state;
	memset(text + 7, 'x', 44);
	memcpy(text + 51, "]", 2);
	assert_int_equal(read_text(text, &ini, &e), -EUCLEAN);
	memcpy(text + 50, "]", 2);
	assert_int_equal(read_text(text, &ini, &e), 0);
	assert_int_equal(strlen(ini_label(ini_section(ini, "allow", 0))), 43);
	ini_free(ini);
}

static void too_large_a_file_is_refused(void **state)
{
	static char big[INI_BYTES_MAX + 1];
	struct ini *ini = NULL;
	struct ini_error e;

	(void)state;
	memset(big, '\n', sizeof(big));
	assert_int_equal(ini_read(big, sizeof(big), rules, &ini, &e), -EFBIG);
	assert_int_equal(ini_read(big, sizeof(big) - 1, rules, &ini, &e), 0);
	ini_free(ini);
}

static void numbers_hold_to_their_limits(void **state)
{
	int64_t n = 0;

	(void)state;
	assert_int_equal(ini_value_number("9007199254740992", INI_INTEGER, &n), 0);
	assert_true(n == 1LL << 53);
	assert_int_equal(ini_value_number("9007199254740993", INI_INTEGER, &n), -ERANGE);
	assert_int_equal(ini_value_number("99999999999999999999999999", INI_INTEGER, &n), -ERANGE);
	assert_int_equal(ini_value_number("8388608G", INI_SIZE, &n), 0);
	assert_true(n == 1LL << 53);
	assert_int_equal(ini_value_number("8388609G", INI_SIZE, &n), -ERANGE);
	assert_int_equal(ini_value_number("20s", INI_TIME, &n), 0);
	assert_true(n == 20);
	assert_int_equal(ini_value_number("7d", INI_TIME, &n), 0);
	assert_true(n == 604800);
	assert_int_equal(ini_value_number("", INI_TIME, &n), -EUCLEAN);
	assert_int_equal(ini_value_number("s", INI_TIME, &n), -EUCLEAN);
	assert_int_equal(ini_value_number("1ss", INI_TIME, &n), -EUCLEAN);
	assert_int_equal(ini_value_number("+1", INI_INTEGER, &n), -EUCLEAN);
}

static void conf_tells_absent_from_unfit(void **state)
{
	struct ini *ini = NULL;
	char name[] = "/tmp/coffer-test-conf.XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fileio_write_full(fd, "[tenant]\nprobe=5s\n", 18), 0);
	assert_int_equal(conf_load_at(AT_FDCWD, name, name, rules, &ini), 0);
	assert_int_equal(ini_number(ini_section(ini, "tenant", 0), "probe", 0), 5);
	ini_free(ini);
	ini = NULL;
	assert_int_equal(fileio_write_full(fd, "x\n", 2), 0);
	assert_int_equal(conf_load_at(AT_FDCWD, name, "t.conf", rules, &ini), -EUCLEAN);
	(void)close(fd);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(conf_load_at(AT_FDCWD, name, name, rules, &ini), -ENOENT);
	assert_int_equal(conf_load_at(AT_FDCWD, "/tmp", "/tmp", rules, &ini), -EUCLEAN);
	assert_null(ini);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_file_is_read),
		cmocka_unit_test(what_is_absent_is_the_default),
		cmocka_unit_test(each_fault_is_refused_with_its_line),
		cmocka_unit_test(long_lines_are_read_whole_or_refused),
		cmocka_unit_test(a_section_name_of_50_bytes_is_refused_not_cut),
		cmocka_unit_test(too_large_a_file_is_refused),
		cmocka_unit_test(numbers_hold_to_their_limits),
		cmocka_unit_test(conf_tells_absent_from_unfit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
