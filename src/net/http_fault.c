/* http_fault.c: what a transfer's failure means, and in whose words it is told. */
#include "net/http_impl.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

static const struct {
	CURLcode code;
	int r;
	const char *text;
} faults[] = {
	{ CURLE_COULDNT_RESOLVE_HOST, -ECONNREFUSED, "the name cannot be resolved" },
	{ CURLE_COULDNT_RESOLVE_PROXY, -ECONNREFUSED, "the proxy's name cannot be resolved" },
	{ CURLE_COULDNT_CONNECT, -ECONNREFUSED, "no connection" },
	{ CURLE_GOT_NOTHING, -ECONNREFUSED, "the connection was closed without an answer" },
	{ CURLE_RECV_ERROR, -ECONNREFUSED, "the connection was lost" },
	{ CURLE_SEND_ERROR, -ECONNREFUSED, "the connection was lost" },
	{ CURLE_PARTIAL_FILE, -ECONNREFUSED, "the connection was lost in the middle of the answer" },
	{ CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, "no answer in time" },
	{ CURLE_WRITE_ERROR, -EFBIG, "the answer is larger than is allowed" },
	{ CURLE_SSL_CACERT_BADFILE, -EINVAL, "the CA file cannot be used" },
	{ CURLE_OUT_OF_MEMORY, -ENOMEM, "no (locked) memory" },
	{ CURLE_UNSUPPORTED_PROTOCOL, -EINVAL, "not https" },
	{ CURLE_URL_MALFORMAT, -EINVAL, "the URL is malformed" },
};

/* OpenSSL's texts for one cause differ by who says it first. */
static const struct {
	const char *in, *text;
} tls_faults[] = {
	{ "alert protocol version", "the server does not speak TLS 1.3, which is required" },
	{ "unsupported protocol", "the server does not speak TLS 1.3, which is required" },
	{ "wrong version number", "the server does not speak TLS (1.3 is required)" },
	{ "unable to get local issuer", "the server's certificate is from an authority that is not trusted here" },
	{ "self-signed certificate", "the server's certificate is from an authority that is not trusted here" },
	{ "certificate is not yet valid", "the server's certificate is not valid yet" },
	{ "certificate has expired", "the server's certificate has expired" },
	{ "no alternative certificate subject name", "the server's certificate is for another name" },
	{ "does not match target host name", "the server's certificate is for another name" },
};

int http_fault(const char *url, int code, int os_errno, const char *error, char ret_message[static HTTP_MESSAGE_MAX])
{
	bool tls = code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION;
	const char *text = NULL;
	int r = -EPROTO, len;
	const char *host = url_host(url, &len);
	size_t i;

	for (i = 0; tls && !text && i < sizeof(tls_faults) / sizeof(tls_faults[0]); i++)
		if (strstr(error, tls_faults[i].in))
			text = tls_faults[i].text;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if ((int)faults[i].code == code) {
			r = faults[i].r;
			text = faults[i].text;
		}
	}
	if (text && os_errno != 0)
		(void)snprintf(ret_message, HTTP_MESSAGE_MAX, "%.*s: %s: %s", len, host, text, strerror(os_errno));
	else if (text)
		(void)snprintf(ret_message, HTTP_MESSAGE_MAX, "%.*s: %s", len, host, text);
	else
		(void)snprintf(ret_message, HTTP_MESSAGE_MAX, "%.*s: %s%.150s", len, host,
			       code == CURLE_SSL_CONNECT_ERROR ? "TLS 1.3: " : "", error);
	return r;
}
