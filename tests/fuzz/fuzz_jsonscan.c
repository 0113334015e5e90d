/* fuzz_jsonscan.c: any text. Property: what the scanner takes, jansson's reader takes too, but for reals, duplicate keys, a NUL in a text and
 * surrogates, which that one refuses beyond the grammar; and every value of it can be found. The other way round it holds but for a NUL behind
 * a value, which jansson takes for the end. */
#include "base/json.h"
#include "base/jsonscan.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void look(const struct jsonscan *v, int depth)
{
	struct jsonscan sub;
	char text[32];
	uint64_t n;
	size_t i;
	int r;

	assert(depth <= JSONSCAN_DEPTH_MAX);
	assert(jsonscan_text(v, text, sizeof(text)) < sizeof(text) && memchr(text, '\0', sizeof(text)));
	if (jsonscan_integer(v, &n) == 0)
		assert(v->type == 'n');
	r = jsonscan_member(v, "data", &sub);
	assert(v->type == '{' || r == -EUCLEAN);
	if (r == 0)
		look(&sub, depth + 1);
	for (i = 0; i < 4 && jsonscan_element(v, i, &sub) == 0; i++)
		look(&sub, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct json *all = NULL;
	struct jsonscan v;
	bool scanned = jsonscan_check((const char *)p, len, &v) == 0;

	if (scanned)
		look(&v, 0);
	if (json_parse(p, len, 1 << 20, &all) == 0) {
		assert(scanned || memchr(p, '\0', len));
		json_free(all);
	}
	return 0;
}
