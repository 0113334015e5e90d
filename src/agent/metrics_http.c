/* metrics_http.c: as much of HTTP/1.0 and 1.1 (RFC 9112) as a scrape needs: a request line, fields that are passed over, no body. Strict about the line, because whoever
 * sends something else is no scraper. */
#include "agent/metrics.h"

#include <stdio.h>
#include <string.h>

#define TARGET "/metrics"

static const char *reason(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}

/* Behind the empty line? Lines may end with LF alone (RFC 9112 section 2.2). */
static bool is_whole(const char *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		if (p[i] == '\n' && (p[i + 1] == '\n' || (p[i + 1] == '\r' && i + 2 < len && p[i + 2] == '\n')))
			return true;
	return false;
}

static bool is_printable(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

static unsigned judge_target(const char *p, size_t len)
{
	size_t n = strlen(TARGET);

	if (len == 0 || p[0] != '/')
		return 400;
	return len >= n && memcmp(p, TARGET, n) == 0 && (len == n || p[n] == '?') ? 200 : 404;
}

/* METHOD SP TARGET SP HTTP/1.x */
static unsigned judge_line(const char *p, size_t len, bool *ret_head)
{
	const char *target = memchr(p, ' ', len), *version;
	size_t method_len, left;

	if (!target || !is_printable(p, len))
		return 400;
	method_len = (size_t)(target - p);
	target++;
	left = len - method_len - 1;
	version = memchr(target, ' ', left);
	if (!version)
		return 400;
	left -= (size_t)(version - target) + 1;
	if (left != 8 || memcmp(version + 1, "HTTP/", 5) != 0)
		return 400;
	if (memcmp(version + 1, "HTTP/1.0", 8) != 0 && memcmp(version + 1, "HTTP/1.1", 8) != 0)
		return 505;
	*ret_head = method_len == 4 && memcmp(p, "HEAD", 4) == 0;
	if (!*ret_head && (method_len != 3 || memcmp(p, "GET", 3) != 0))
		return 405;
	return judge_target(target, (size_t)(version - target));
}

unsigned metrics_http_status(const char *p, size_t len, bool *ret_head)
{
	const char *end = memchr(p, '\n', len);
	size_t n;

	*ret_head = false;
	if (len > METRICS_REQUEST_MAX)
		return 431;
	if (!end)
		return len == METRICS_REQUEST_MAX ? 431 : 0;
	n = (size_t)(end - p);
	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (!is_whole(p, len))
		return len == METRICS_REQUEST_MAX ? 431 : 0;
	return judge_line(p, n, ret_head);
}

size_t metrics_http_head(unsigned status, size_t body_len, char ret_head[static 256])
{
	int n = snprintf(ret_head, 256,
			 "HTTP/1.1 %u %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %zu\r\n"
			 "Cache-Control: no-store\r\nConnection: close\r\n%s\r\n",
			 status, reason(status), body_len, status == 405 ? "Allow: GET, HEAD\r\n" : "");

	return n < 0 ? 0 : (size_t)n;
}
