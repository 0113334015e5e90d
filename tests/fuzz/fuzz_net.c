/* fuzz_net.c: what a server sends in its head, and what goes into a URL. Property: values stay within their bounds and hold no control character; a
 * URL has the origin it was started with, and no character that ends a path. */
#include "net/header.h"
#include "net/url.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void header(const char *p, size_t len)
{
	static const char *const names[] = { "Retry-After", "Date", "X-Request-Id" };
	char out[64];
	int64_t date;
	uint32_t ms;
	size_t i, k;

	for (i = 0; i < 3; i++) {
		if (header_value(p, len, names[i], out, sizeof(out)) < 0)
			continue;
		for (k = 0; out[k]; k++)
			assert(out[k] >= 0x20 && out[k] <= 0x7e);
		if (header_date(out, &date) == 0)
			assert(date >= 0);
		if (header_retry_after(out, 1795000000, &ms) == 0)
			assert(ms >= 1 && ms <= HEADER_RETRY_MAX_MS);
	}
}

static void url(const char *text)
{
	char origin[URL_ORIGIN_MAX + 1] = "https://h";
	static struct url u;
	bool given = url_origin_parse(text, origin) == 0;

	assert(!given || url_host_ok(origin + 8));
	url_start(&u, origin);
	url_path(&u, text);
	url_component(&u, text);
	if (url_done(&u) < 0)
		return;
	assert(u.len == strlen(u.text) && u.len <= URL_MAX && strncmp(u.text, origin, strlen(origin)) == 0);
	assert(!strpbrk(u.text + 8, " ?#\\\"\r\n@") && !strstr(u.text + 8, "/../") && !strstr(u.text + 8, "//"));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static char text[4096];

	header((const char *)p, len);
	if (len >= sizeof(text))
		return 0;
	memcpy(text, p, len);
	text[len] = '\0';
	url(text);
	return 0;
}
