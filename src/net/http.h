/* http.h: one HTTPS request and its answer; the door to libcurl. TLS 1.3 only, certificates always checked, HTTP/1.1, no redirects, no cookies,
 * nothing from the environment. Thread safe; blocks up to the deadline, so it is called from threads that may wait. The process ignores SIGPIPE:
 * OpenSSL writes to sockets that may be closed.
 *
 * Plain HTTP is spoken to the clouds' metadata services alone, which are link-local by design, and only when the request says so (url_plain_ok).
 *
 * Secrets: requests are built from secret memory, and the answer's body is received into it. What libcurl and OpenSSL copy of them lies in the
 * heap of crypt/heap.h: locked, left out of core dumps, wiped when freed; a connection that is kept keeps no buffer. What this cannot reach:
 * copies in registers and stack slots, and the TLS keys of a kept connection, which stay in that heap until it ends.
 *
 * A connection is kept for a minute and used again for the same owner, origin, CA file and proxy only: tenants never share one. */
#ifndef COFFER_NET_HTTP_H
#define COFFER_NET_HTTP_H

#include "base/err.h"
#include "base/secret.h"
#include "net/url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_MAX 65536
#define HTTP_BULK_MAX (32u << 20)
#define HTTP_HEADERS_MAX 12
#define HTTP_WANT_MAX 4
#define HTTP_GOT_MAX 256
#define HTTP_MESSAGE_MAX 200
#define HTTP_ID_MAX 80
#define HTTP_CONNECT_MS 3000
#define HTTP_TRY_MS 5000
#define HTTP_BULK_MS 120000
#define HTTP_SLOW_MS (15u * 60 * 1000)

/* The value may lie in secret memory. */
struct http_header {
	const char *name, *value;
};

struct http_request {
	struct url url;
	const char *method;        /* GET, HEAD, PUT, POST or DELETE; NULL: POST when there is a body, else GET */
	struct http_header headers[HTTP_HEADERS_MAX]; /* up to the first without a name; a body without a Content-Type is application/json */
	struct secret *body;       /* owned: http_request_done */
	size_t body_len;
	const void *data;          /* instead of body, when it is no secret: at most HTTP_BULK_MAX bytes; not copied */
	size_t data_len;
	size_t body_max;           /* 0: the answer's body is a secret of at most HTTP_BODY_MAX bytes; else it is ordinary memory of at most this,
				    * which is at most HTTP_BULK_MAX */
	const char *id_header;     /* a header of the answer that names the request, or NULL */
	const char *want[HTTP_WANT_MAX]; /* headers of the answer to keep, up to the first NULL */
	const char *owner;         /* the tenant */
	const char *ca_file;       /* empty: the system's authorities */
	const char *proxy;         /* http://HOST:PORT; empty: none */
	bool fresh;                /* on a new connection. A request on a kept one that turns out to be closed is sent again by libcurl itself, and nobody
				    * learns that it may have been done twice */
	bool metadata;             /* the URL may be http:// if url_plain_ok; never through the proxy */
	bool loopback_ok;          /* with metadata: this host's own agents count, too */
	uint32_t timeout_ms;       /* at most HTTP_TRY_MS counts, with data or body_max HTTP_BULK_MS, with stall_ms HTTP_SLOW_MS */
	uint32_t stall_ms;         /* so long, in whole seconds and some more, nothing need move in either direction; 0: not looked at */
};

struct http_answer {
	int status;                /* 100..599 */
	struct secret *body;       /* HTTP_BODY_MAX bytes, of which body_len were received; owned: http_answer_done. NULL with body_max */
	size_t body_len;
	uint8_t *data;             /* with body_max; NULL when nothing came; owned: http_answer_done */
	size_t data_len;
	uint32_t retry_after_ms;   /* 0: not said */
	int64_t date;              /* of the server, seconds since 1970; 0: not said */
	char id[HTTP_ID_MAX + 1];
	char got[HTTP_WANT_MAX][HTTP_GOT_MAX]; /* the values of want[]; empty: absent, malformed or longer */
	char message[HTTP_MESSAGE_MAX]; /* of a failure: names the host and what; no secret */
};

/* 0: the server answered, whatever its status. Else there is no answer, message says why, and
 * -ETIMEDOUT the time is over; -ECONNREFUSED no connection, or it was lost; -EPROTO TLS, the certificate, or not HTTP: somebody must look;
 * -EFBIG a larger answer than is allowed; -EINVAL the CA file, proxy, URL or method cannot be used; -ENOMEM. Call http_answer_done in any case. */
int http_call(const struct http_request *req, struct http_answer *ret_answer) must_check;
void http_request_done(struct http_request *req);
void http_answer_done(struct http_answer *a);

/* Close the connections that are kept. */
void http_forget(void);

#endif
