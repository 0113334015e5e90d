/* http_probe.c: up to three handshakes, each on a connection of its own:
 *
 *	AS_EVER   TLS 1.3, everything checked, and HEAD: what http_call does. Good: done
 *	ANY_NEW   TLS 1.3, nothing checked: then it is the certificate, and here are its dates and names
 *	ANY_OLD   TLS 1.2, nothing checked: then it is the version
 *
 * The last two say and read nothing (CURLOPT_CONNECT_ONLY). */
#include "net/http_probe.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "net/header.h"
#include "net/http_impl.h"

enum attempt { AS_EVER, ANY_NEW, ANY_OLD };

DEFINE_AUTO(CURL, curl_easy_cleanup)

#define SET(option, value) (ok = ok && curl_easy_setopt(c, option, value) == CURLE_OK)

static size_t take_date(char *line, size_t size, size_t n, void *arg)
{
	struct http_probe *p = arg;
	char text[HTTP_ID_MAX + 1];
	int64_t date;

	if (header_value(line, size * n, "Date", text, sizeof(text)) == 0 && header_date(text, &date) == 0)
		p->date = date;
	return size * n;
}

static bool set(CURL *c, const struct http_request *req, enum attempt how, struct http_probe *p, char error[static CURL_ERROR_SIZE])
{
	uint32_t ms = req->timeout_ms < HTTP_TRY_MS ? req->timeout_ms : HTTP_TRY_MS;
	bool ok = http_set_peer(c, req);

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(ms ? ms : 1));
	SET(CURLOPT_TIMEOUT_MS, (long)(ms ? ms : 1));
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_USERAGENT, "coffer/" PACKAGE_VERSION);
	SET(CURLOPT_ERRORBUFFER, error);
	SET(CURLOPT_CERTINFO, 1L);
	SET(CURLOPT_NOBODY, 1L);
	SET(CURLOPT_HEADERFUNCTION, take_date);
	SET(CURLOPT_HEADERDATA, p);
	if (how == AS_EVER)
		return ok;
	SET(CURLOPT_CONNECT_ONLY, 1L);
	SET(CURLOPT_SSL_VERIFYPEER, 0L);
	SET(CURLOPT_SSL_VERIFYHOST, 0L);
	if (how == ANY_OLD)
		SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2 | (long)CURL_SSLVERSION_MAX_TLSv1_2);
	return ok;
}

static void take_field(const char *line, const char *name, char *ret_text, size_t max)
{
	size_t n = strlen(name);

	if (strncmp(line, name, n) == 0 && line[n] == ':' && ret_text[0] == '\0')
		(void)snprintf(ret_text, max, "%s", line + n + 1);
}

static int64_t date_of(const char *text)
{
	time_t t = *text ? curl_getdate(text, NULL) : -1;

	return t > 0 ? (int64_t)t : 0;
}

/* The server's own, the first of its chain. */
static void take_certificate(CURL *c, struct http_probe *p)
{
	struct curl_certinfo *info = NULL;
	char begins[64] = "", ends[64] = "";

	if (curl_easy_getinfo(c, CURLINFO_CERTINFO, &info) != CURLE_OK || !info || info->num_of_certs < 1)
		return;
	for (const struct curl_slist *l = info->certinfo[0]; l; l = l->next) {
		take_field(l->data, "Subject", p->subject, sizeof(p->subject));
		take_field(l->data, "Issuer", p->issuer, sizeof(p->issuer));
		take_field(l->data, "X509v3 Subject Alternative Name", p->names, sizeof(p->names));
		take_field(l->data, "Start date", begins, sizeof(begins));
		take_field(l->data, "Expire date", ends, sizeof(ends));
	}
	p->begins = date_of(begins);
	p->ends = date_of(ends);
}

/* Was there a handshake to its end? What fails behind it is HTTP, and no matter here. -ENOMEM. */
static int attempt(const struct http_request *req, enum attempt how, struct http_probe *p, bool *ret_done)
{
	AUTO(curl_easy_cleanup_p) CURL *c = curl_easy_init();
	char error[CURL_ERROR_SIZE] = "";
	curl_off_t shaken = 0;
	CURLcode code;
	long os = 0;
	int r;

	if (!c || !set(c, req, how, p, error))
		return -ENOMEM;
	code = curl_easy_perform(c);
	(void)curl_easy_getinfo(c, CURLINFO_APPCONNECT_TIME_T, &shaken);
	*ret_done = code == CURLE_OK || (shaken > 0 && code != CURLE_SSL_CONNECT_ERROR && code != CURLE_PEER_FAILED_VERIFICATION);
	if (*ret_done)
		take_certificate(c, p);
	if (how != AS_EVER || *ret_done)
		return 0;
	if (code == CURLE_COULDNT_CONNECT)
		(void)curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os);
	r = http_fault(req->url.text, (int)code, (int)os, *error ? error : curl_easy_strerror(code), p->message);
	p->reached = code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION;
	return r == -ENOMEM ? r : 0;
}

int http_probe(const struct http_request *req, struct http_probe *ret_p)
{
	struct http_probe p = { 0 };
	bool done = false;
	int r;

	if (url_done(&req->url) < 0 || strncmp(req->url.text, "https://", 8) != 0)
		return -EINVAL;
	r = http_set_up();
	if (r >= 0)
		r = attempt(req, AS_EVER, &p, &p.trusted);
	if (r >= 0 && p.trusted) {
		p.reached = true;
		p.version = "1.3";
	}
	if (r >= 0 && p.reached && !p.trusted) {
		r = attempt(req, ANY_NEW, &p, &done);
		p.version = done ? "1.3" : NULL;
	}
	if (r >= 0 && p.reached && !p.version) {
		r = attempt(req, ANY_OLD, &p, &done);
		p.version = done ? "1.2" : NULL;
	}
	if (r < 0)
		return r;
	*ret_p = p;
	return 0;
}
