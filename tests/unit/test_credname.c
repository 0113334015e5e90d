/* test_credname.c: the address that systemd binds for LoadCredential=, and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "agent/credname.h"

static int parse(const char *text, size_t len, struct credname *n)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	assert_true(len < sizeof(sa.sun_path));
	memcpy(sa.sun_path + 1, text, len);
	return credname_parse(&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len), n);
}

static void the_forms_that_were_seen_are_read(void **state)
{
	struct credname n;

	(void)state;
	assert_int_equal(parse("2b53511e3a497d6b/unit/coffer@data.service/data.key", 50, &n), 0);
	assert_string_equal(n.unit, "coffer@data.service");
	assert_string_equal(n.id, "data.key");
	assert_int_equal(parse("0/unit/a\\x2db.service/x", 23, &n), 0); /* not zero-padded, and an escaped name */
	assert_string_equal(n.unit, "a\\x2db.service");
}

static void everything_else_is_refused(void **state)
{
	static const char *const rows[] = {
		"", "/unit/a.service/x", "0", "0/unit/", "0/unit/a.service", "0/unit/a.service/", "0/unit//x", "0/unit/a.service/x/y", "0/unit/a.service/.x",
		"0/unit/a.service/x y", "0/unit/a b.service/x", "0/unit/\x80.service/x", "0/cryptsetup/a.service", "G/unit/a.service/x", "A/unit/a.service/x",
		"00000000000000000/unit/a.service/x", "0/UNIT/a.service/x", " 0/unit/a.service/x",
		"0/unit/a/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "0/unit/a.service/x" };
	struct credname n = { .id = "before" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (parse(rows[i], strlen(rows[i]), &n) != -EUCLEAN)
			fail_msg("%s", rows[i]);
	assert_int_equal(parse("0/unit/a.service/x\0y", 20, &n), -EUCLEAN);
	assert_int_equal(parse("0/unit/a\0.service/x", 19, &n), -EUCLEAN);
	/* A file's path, no name at all, and lengths that cannot be. */
	assert_int_equal(credname_parse(&sa, sizeof(sa), &n), -EUCLEAN);
	assert_int_equal(credname_parse(&sa, 0, &n), -EUCLEAN);
	assert_int_equal(credname_parse(&sa, sizeof(sa_family_t), &n), -EUCLEAN);
	assert_int_equal(credname_parse(&sa, sizeof(sa) + 1, &n), -EUCLEAN);
	sa.sun_path[0] = '\0';
	assert_int_equal(credname_parse(&sa, sizeof(sa_family_t) + 1, &n), -EUCLEAN);
	assert_string_equal(n.id, "before");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_forms_that_were_seen_are_read),
		cmocka_unit_test(everything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
