/* fuzz_json.c: what the parser takes is dumped, and the dump parses to the same dump. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_JSON struct json *v = NULL;
	AUTO_JSON struct json *again = NULL;
	AUTO_FREE char *a = NULL;
	AUTO_FREE char *b = NULL;
	static const char *const known[] = { "k", NULL };
	uint8_t bytes[64];
	size_t n;

	if (json_parse(p, len, 65536, &v) < 0)
		return 0;
	(void)json_unknown_key(v, known);
	if (json_get_b64_var(v, "k", bytes, sizeof(bytes), &n) == 0 && n > sizeof(bytes))
		abort();
	if (json_dump(v, &a) < 0 || json_parse(a, strlen(a), SIZE_MAX, &again) < 0 || json_dump(again, &b) < 0)
		abort();
	if (strcmp(a, b) != 0)
		abort();
	return 0;
}
