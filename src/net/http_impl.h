/* http_impl.h: between http.c and http_fault.c. */
#ifndef COFFER_NET_HTTP_IMPL_H
#define COFFER_NET_HTTP_IMPL_H

#include "net/http.h"

/* The -errno of http_call for a CURLcode, and the message. os_errno: of connect(2), or 0. error: libcurl's text. */
int http_fault(const char *url, int code, int os_errno, const char *error, char ret_message[static HTTP_MESSAGE_MAX]) must_check;

#endif
