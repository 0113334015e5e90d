/* url.h: where a request goes, and what its URL is. Pure. */
#ifndef COFFER_NET_URL_H
#define COFFER_NET_URL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define URL_HOST_MAX 253
#define URL_ORIGIN_MAX (8 + URL_HOST_MAX + 6) /* https://HOST:PORT */
#define URL_MAX 2048

/* HOST or HOST:PORT: labels of letters, digits and inner '-', joined by '.', and a port of 1..65535. Nothing else: no user, no literal IPv6 address. */
bool url_host_ok(const char *text) must_check;
/* "https://HOST[:PORT]", a '/' at the end allowed: writes it without that. -EINVAL anything else. */
int url_origin_parse(const char *text, char ret_origin[static URL_ORIGIN_MAX + 1]) must_check;

/* A URL that grows. Once something was refused it stays failed. */
struct url {
	char text[URL_MAX + 1];
	size_t len;
	bool failed;
};

/* origin is one that url_origin_parse wrote. */
void url_start(struct url *u, const char *origin);
/* "/" and one path component, everything but A-Z a-z 0-9 - . _ ~ as %XX. "", "." and ".." are refused. */
void url_component(struct url *u, const char *text);
/* The components of a path "a/b"; refused when one is empty. */
void url_path(struct url *u, const char *path);
/* -EINVAL: something was refused, or the URL is longer than URL_MAX. */
int url_done(const struct url *u) must_check;

#endif
