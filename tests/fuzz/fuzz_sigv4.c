/* fuzz_sigv4.c: canonical requests. The first byte has the flags; lines of the rest are path, query, then headers "name:value". Property: the lines
 * have the form of a canonical request, whatever came in; what is normalised has no empty component, and no way up; what is canonical stays what it is when
 * it is made canonical again (once encoded). */
#include "net/sigv4.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static const char *line(char **at)
{
	char *p = *at, *end = p + strcspn(p, "\n");

	*at = *end ? end + 1 : end;
	*end = '\0';
	return p;
}

static void encoded(const char *p, size_t n, const char *also)
{
	size_t i;

	for (i = 0; i < n; i++)
		assert(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%", p[i]) || strchr(also, p[i]));
}

static void look(char *text, unsigned flags, const struct sigv4_request *req)
{
	static char again[SIGV4_CANONICAL_MAX], names[SIGV4_CANONICAL_MAX / 64], copy[SIGV4_CANONICAL_MAX];
	struct sigv4_request second = *req;
	char *at = copy;

	memcpy(copy, text, strlen(text) + 1);
	assert(strcmp(line(&at), "GET") == 0);
	second.path = line(&at);
	second.query = line(&at);
	if (flags & SIGV4_NORMALIZE)
		assert(second.path[0] == '/' && !strstr(second.path, "//") && !strstr(second.path, "/../"));
	encoded(second.path, strlen(second.path), "/");
	encoded(second.query, strlen(second.query), "=&");
	if (flags & SIGV4_TWICE)
		return;
	if (sigv4_canonical(&second, flags, sizeof(again), again, names) == 0)
		assert(strcmp(again, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static char in[8192], text[SIGV4_CANONICAL_MAX], names[SIGV4_CANONICAL_MAX / 64];
	struct http_header headers[SIGV4_HEADERS_MAX];
	struct sigv4_request req = { .method = "GET", .headers = headers, .hash = SIGV4_UNSIGNED };
	unsigned flags;
	char *at = in;
	char *colon;

	if (len < 1 || len >= sizeof(in))
		return 0;
	flags = p[0] & SIGV4_OTHER;
	memcpy(in, p + 1, len - 1);
	in[len - 1] = '\0';
	req.path = line(&at);
	req.query = line(&at);
	while (*at && req.header_count < SIGV4_HEADERS_MAX) {
		headers[req.header_count].name = line(&at);
		colon = strchr(headers[req.header_count].name, ':');
		if (!colon)
			break;
		*colon = '\0';
		headers[req.header_count++].value = colon + 1;
	}
	if (sigv4_canonical(&req, flags, sizeof(text), text, names) == 0)
		look(text, flags, &req);
	return 0;
}
