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
/* The same and "/": the root itself. */
void url_root(struct url *u, const char *origin);
/* "/" and one path component, everything but A-Z a-z 0-9 - . _ ~ as %XX. "", "." and ".." are refused. */
void url_component(struct url *u, const char *text);
/* The components of a path "a/b"; refused when one is empty. */
void url_path(struct url *u, const char *path);
/* ":VERB" behind the last component: a custom method, as Google has them. */
void url_verb(struct url *u, const char *verb);
/* "?NAME=VALUE", or "&NAME=VALUE" behind another one; both encoded as a component is, '/' too. */
void url_query(struct url *u, const char *name, const char *value);
/* -EINVAL: something was refused, or the URL is longer than URL_MAX. */
int url_done(const struct url *u) must_check;

/* HOST[:PORT] of a URL: where it begins, and its length; it is not ended there. */
const char *url_host(const char *url, int *ret_len);
/* May this URL be asked without TLS? http:// and one of 169.254.169.254, 169.254.170.2, 169.254.170.23, [fd00:ec2::23],
 * metadata.google.internal, and with loopback_ok 127.0.0.1, [::1], localhost; with a port or without. */
bool url_plain_ok(const char *url, bool loopback_ok) must_check;

#endif
