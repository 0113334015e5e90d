/* fuzz_text.c: text and base64. What is escaped is printable UTF-8 within its bounds; what decodes encodes to the same. */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/b64.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_escape(const char *p, size_t len)
{
	char out[97];
	size_t n, i, max = len % 96 + 1;

	memset(out, 'Z', sizeof(out));
	n = text_escape(p, len, out, max);
	if (n >= max || out[n] != '\0' || out[max] != 'Z' || !text_is_utf8(out, n))
		abort();
	for (i = 0; i < n; i++) {
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			abort();
	}
}

static void check_b64(const char *p, size_t len)
{
	uint8_t out[256];
	char back[B64_LEN(sizeof(out)) + 1];
	size_t n;

	if (b64_decode(p, len, out, sizeof(out), &n) < 0)
		return;
	b64_encode(out, n, back);
	if (strlen(back) != len || memcmp(back, p, len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	check_escape((const char *)p, len);
	check_b64((const char *)p, len);
	return 0;
}
