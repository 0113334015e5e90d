/* fuzz_ini.c: whatever the file, each value that is reported is of its type, and each refusal names a line and a reason. */
#include "base/ini.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static const struct ini_key keys[] = {
	{ "s", INI_STRING, true }, { "b", INI_BOOL, false }, { "n", INI_INTEGER, false },
	{ "t", INI_TIME, false },  { "z", INI_SIZE, true },  { NULL, INI_STRING, false },
};
static const struct ini_rule rules[] = { { "a", keys, false }, { "m", keys, true }, { NULL, NULL, false } };

static void look(const struct ini_section *s)
{
	size_t i;

	for (i = 0; i < ini_count(s, "s"); i++) {
		const char *v = ini_string(s, "s", i);

		if (!*v || !text_is_utf8(v, strlen(v)) || ini_line(s, "s", i) == 0)
			abort();
	}
	if (ini_count(s, "n") > 1 || ini_number(s, "n", 0) < 0 || ini_number(s, "t", 0) < 0 ||
	    ini_number(s, "z", 0) > 1LL << 53)
		abort();
	(void)ini_bool(s, "b", false);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_INI struct ini *ini = NULL;
	const struct ini_section *s;
	struct ini_error e = { 0 };
	size_t i;
	int r;

	r = ini_read(p, len, rules, &ini, &e);
	if (r == -EUCLEAN && (e.line == 0 || !e.text[0]))
		abort();
	if (r < 0)
		return 0;
	look(ini_section(ini, "a", 0));
	for (i = 0; (s = ini_section(ini, "m", i)); i++)
		look(s);
	return 0;
}
