/* http_probe.h: one handshake with a server, for whoever wants to know why http_call gets no answer, or soon will not: what TLS does it speak, is its certificate
 * good for us, when does that end, what time is it there. The request is HEAD with what the URL says and nothing else, and goes out over TLS 1.3 to a server
 * whose certificate is good, as in http_call. With any other the handshake alone is done again, with less asked of it, and nothing is sent or read. */
#ifndef COFFER_NET_HTTP_PROBE_H
#define COFFER_NET_HTTP_PROBE_H

#include "net/http.h"

#define HTTP_PROBE_TEXT_MAX 160

struct http_probe {
	bool reached;             /* there is somebody; else message says why not */
	const char *version;      /* of TLS, the newest both have: "1.3", "1.2"; NULL: none of these */
	bool trusted;             /* http_call would go on: TLS 1.3, and the certificate is good; else message says why not */
	char subject[HTTP_PROBE_TEXT_MAX], issuer[HTTP_PROBE_TEXT_MAX], names[HTTP_PROBE_TEXT_MAX]; /* its words, cut; may be empty */
	int64_t begins, ends;     /* of the certificate, seconds since 1970; 0: not known */
	int64_t date;             /* the server's clock; 0: not said */
	char message[HTTP_MESSAGE_MAX];
};

/* Of req url, ca_file, proxy and timeout_ms are looked at; the last is for each of the up to three handshakes. 0: see *ret_p. -EINVAL: no https URL; -ENOMEM. Blocks. */
int http_probe(const struct http_request *req, struct http_probe *ret_p) must_check;

#endif
