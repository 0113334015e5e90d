/* http_impl.h: between http.c, http_fault.c and http_probe.c. */
#ifndef COFFER_NET_HTTP_IMPL_H
#define COFFER_NET_HTTP_IMPL_H

#include "net/http.h"

/* The -errno of http_call for a CURLcode, and the message. os_errno: of connect(2), or 0. error: libcurl's text. */
int http_fault(const char *url, int code, int os_errno, const char *error, char ret_message[static HTTP_MESSAGE_MAX]) must_check;

/* libcurl is set up once, with our heap. -ENOMEM. */
int http_set_up(void) must_check;
/* Whom a CURL * talks to, and how it knows: url, ca_file, proxy, metadata, loopback_ok. false: out of memory. */
bool http_set_peer(void *c, const struct http_request *req) must_check;

#endif
