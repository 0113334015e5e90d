#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/progress.h"

static void sizes_have_the_unit_that_reads_best(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" }, { 1536, "1.5 KiB" }, { (1 << 20) - 1, "1.0 MiB" }, { 1ull << 40, "1.0 TiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char text[PROGRESS_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		progress_size(cases[i].bytes, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void the_bar_says_how_far_how_fast_and_how_long(void **state)
{
	char text[PROGRESS_TEXT_MAX];

	(void)state;
	progress_text("scrub", 512 << 20, 2048u << 20, 1000, text);
	assert_string_equal(text, "scrub  25 %  512.0 MiB of 2.0 GiB  512.0 MiB/s  0:03 left");
	progress_text("scrub", 1 << 20, 1ull << 40, 1000, text);
	assert_string_equal(text, "scrub   0 %  1.0 MiB of 1.0 TiB  1.0 MiB/s  17476:15 left");
	progress_text("fsck", 3 << 20, 0, 2000, text);
	assert_string_equal(text, "fsck  3.0 MiB  1.5 MiB/s");
	progress_text("fsck", 0, 1024, 0, text);
	assert_string_equal(text, "fsck   0 %  0 B of 1.0 KiB");
	/* The total was an estimate. */
	progress_text("scrub", 3 << 20, 2 << 20, 1000, text);
	assert_string_equal(text, "scrub 100 %  2.0 MiB of 2.0 MiB  3.0 MiB/s  0:00 left");
	progress_text("scrub", UINT64_MAX, UINT64_MAX, 1, text);
}

static void nothing_is_drawn_when_nobody_looks(void **state)
{
	struct cmd_global g = { .json = true };
	struct progress p;

	(void)state;
	progress_start(&p, &g, "scrub", 1);
	assert_false(p.on);
	g = (struct cmd_global){ .quiet = true };
	progress_start(&p, &g, "scrub", 1);
	assert_false(p.on);
	progress_step(&p, 1);
	progress_clear(&p);
	assert_false(p.drawn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_the_unit_that_reads_best),
		cmocka_unit_test(the_bar_says_how_far_how_fast_and_how_long),
		cmocka_unit_test(nothing_is_drawn_when_nobody_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
