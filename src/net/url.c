/* url.c: URLs are built from checked parts by one encoder, and never taken apart again: what is asked is what was meant. */
#include "net/url.h"

#include <string.h>

#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
#define LABEL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"

static bool port_ok(const char *p)
{
	size_t n = strspn(p, "0123456789");
	unsigned port = 0;
	size_t i;

	if (n == 0 || n > 5 || p[n] != '\0' || p[0] == '0')
		return false;
	for (i = 0; i < n; i++)
		port = port * 10 + (unsigned)(p[i] - '0');
	return port <= 65535;
}

bool url_host_ok(const char *text)
{
	const char *p = text;
	size_t n;

	for (;;) {
		n = strspn(p, LABEL);
		if (n == 0 || n > 63 || p[0] == '-' || p[n - 1] == '-')
			return false;
		p += n;
		if (*p != '.')
			break;
		p++;
	}
	if (p - text > URL_HOST_MAX)
		return false;
	return *p == '\0' || (*p == ':' && port_ok(p + 1));
}

int url_origin_parse(const char *text, char ret_origin[static URL_ORIGIN_MAX + 1])
{
	char origin[URL_ORIGIN_MAX + 1];
	size_t len = strnlen(text, URL_ORIGIN_MAX + 2);

	if (len > 8 && text[len - 1] == '/')
		len--;
	if (len > URL_ORIGIN_MAX || strncmp(text, "https://", 8) != 0)
		return -EINVAL;
	memcpy(origin, text, len);
	origin[len] = '\0';
	if (!url_host_ok(origin + 8))
		return -EINVAL;
	memcpy(ret_origin, origin, len + 1);
	return 0;
}

static void put(struct url *u, char c)
{
	if (u->len == URL_MAX) {
		u->failed = true;
		return;
	}
	u->text[u->len++] = c;
	u->text[u->len] = '\0';
}

void url_start(struct url *u, const char *origin)
{
	u->len = 0;
	u->failed = false;
	u->text[0] = '\0';
	while (*origin)
		put(u, *origin++);
}

void url_root(struct url *u, const char *origin)
{
	url_start(u, origin);
	put(u, '/');
}

static void encoded(struct url *u, const char *p, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < n; i++) {
		if (p[i] != '\0' && strchr(UNRESERVED, p[i])) {
			put(u, p[i]);
			continue;
		}
		put(u, '%');
		put(u, hex[(unsigned char)p[i] >> 4]);
		put(u, hex[(unsigned char)p[i] & 15]);
	}
}

static void component(struct url *u, const char *p, size_t n)
{
	if (n == 0 || (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.'))))
		u->failed = true;
	put(u, '/');
	encoded(u, p, n);
}

void url_component(struct url *u, const char *text)
{
	component(u, text, strlen(text));
}

void url_path(struct url *u, const char *path)
{
	size_t n;

	for (;;) {
		n = strcspn(path, "/");
		component(u, path, n);
		if (path[n] == '\0')
			return;
		path += n + 1;
	}
}

void url_verb(struct url *u, const char *verb)
{
	put(u, ':');
	encoded(u, verb, strlen(verb));
}

void url_query(struct url *u, const char *name, const char *value)
{
	put(u, strchr(u->text, '?') ? '&' : '?');
	encoded(u, name, strlen(name));
	put(u, '=');
	encoded(u, value, strlen(value));
}

int url_done(const struct url *u)
{
	return u->failed ? -EINVAL : 0;
}

const char *url_host(const char *url, int *ret_len)
{
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	*ret_len = (int)strcspn(host, "/?");
	return host;
}

bool url_plain_ok(const char *url, bool loopback_ok)
{
	static const char *const hosts[] = { "169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
					     "metadata.google.internal", "127.0.0.1", "[::1]", "localhost" };
	size_t i, n = loopback_ok ? 8 : 5;
	const char *host;
	int len;

	if (strncmp(url, "http://", 7) != 0)
		return false;
	host = url_host(url, &len);
	for (i = 0; i < n; i++) {
		size_t want = strlen(hosts[i]);

		if ((size_t)len >= want && strncmp(host, hosts[i], want) == 0 &&
		    ((size_t)len == want || (host[want] == ':' && strspn(host + want + 1, "0123456789") == (size_t)len - want - 1)))
			return true;
	}
	return false;
}
