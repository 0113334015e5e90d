/* sigv4.c: the canonical request, and the chain of HMACs over it.
 *
 *	canonical  method \n path \n query, sorted \n "name:value\n" of each header, sorted by name \n names \n hash of the body
 *	signed     algorithm \n date \n DAY/region/service/terminator \n hash of canonical
 *	key        HMAC(HMAC(HMAC(HMAC(prefix + secret key, DAY), region), service), terminator)
 *
 * Headers are sorted by name, parameters by encoded name and then by encoded value: not as whole lines, where '-' and '=' would decide. */
#include "net/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"
#include "crypt/digest.h"
#include "crypt/hmac.h"

#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
#define BLANKS " \t\r\n\f\v"
#define DAY_LEN 8
#define NAMES_MAX (SIGV4_CANONICAL_MAX / 64)
#define SCOPE_MAX (DAY_LEN + 2 * SIGV4_NAME_MAX + 32)

const struct sigv4_names sigv4_aws = { "AWS4-HMAC-SHA256", "AWS4", "aws4_request", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256" };
const struct sigv4_names sigv4_goog = { "GOOG4-HMAC-SHA256", "GOOG4", "goog4_request", "x-goog-date", "x-goog-security-token",
					"x-goog-content-sha256" };

/* --- text that grows up to a maximum --- */

struct out {
	char *p;
	size_t len, max;   /* max counts the NUL */
	bool failed;
};

static void put(struct out *o, const char *p, size_t n)
{
	if (o->failed || n >= o->max - o->len) {
		o->failed = true;
		return;
	}
	memcpy(o->p + o->len, p, n);
	o->len += n;
	o->p[o->len] = '\0';
}

static void put_text(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

/* keep: characters that stay beside the unreserved ones. */
static void put_encoded(struct out *o, const char *p, size_t n, const char *keep)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < n; i++) {
		char code[3] = { '%', hex[(unsigned char)p[i] >> 4], hex[(unsigned char)p[i] & 15] };

		if (p[i] != '\0' && (strchr(UNRESERVED, p[i]) || strchr(keep, p[i])))
			put(o, p + i, 1);
		else
			put(o, code, 3);
	}
}

/* --- the path --- */

/* A segment of a path in order to be normalised: "" and "." go, ".." takes the one before with it. */
static void segment(struct out *o, const char *p, size_t n, const char *keep)
{
	if (n == 0 || (n == 1 && p[0] == '.'))
		return;
	if (n == 2 && p[0] == '.' && p[1] == '.') {
		while (o->len > 0 && o->p[--o->len] != '/')
			;
		return;
	}
	put(o, "/", 1);
	put_encoded(o, p, n, keep);
}

static void put_path(struct out *o, const char *path, unsigned flags)
{
	const char *keep = flags & SIGV4_TWICE ? "/" : "/%";
	struct out inner = { .p = o->p + o->len, .max = o->max - o->len, .failed = o->failed };
	const char *p = path;
	size_t n;

	if (!(flags & SIGV4_NORMALIZE)) {
		put_encoded(o, *path ? path : "/", *path ? strlen(path) : 1, keep);
		return;
	}
	for (;;) {
		n = strcspn(p, "/");
		segment(&inner, p, n, keep);
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
	if (inner.len == 0 || (p > path && *p == '\0'))
		put(&inner, "/", 1);
	o->failed = inner.failed;
	o->len += inner.len;
}

/* --- the query --- */

struct parameter {
	size_t name_at, name_len, value_at, value_len; /* in the encoded text */
};

static int text_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int d = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return d != 0 ? d : a_len < b_len ? -1 : a_len > b_len;
}

static int parameter_order(const char *text, const struct parameter *a, const struct parameter *b)
{
	int d = text_order(text + a->name_at, a->name_len, text + b->name_at, b->name_len);

	return d != 0 ? d : text_order(text + a->value_at, a->value_len, text + b->value_at, b->value_len);
}

/* Encode the parameter that stands at p into o, and put it to its place in list. */
static void parameter_add(struct out *o, const char *p, size_t n, struct parameter *list, size_t count)
{
	const char *equals = memchr(p, '=', n);
	size_t name_len = equals ? (size_t)(equals - p) : n, i;
	struct parameter new = { .name_at = o->len };

	put_encoded(o, p, name_len, "%");
	new.name_len = o->len - new.name_at;
	new.value_at = o->len;
	if (equals)
		put_encoded(o, equals + 1, n - name_len - 1, "%");
	new.value_len = o->len - new.value_at;
	for (i = count; i > 0 && parameter_order(o->p, &new, &list[i - 1]) < 0; i--)
		list[i] = list[i - 1];
	list[i] = new;
}

static void put_query(struct out *o, const char *query)
{
	struct parameter list[SIGV4_PARAMETERS_MAX];
	char text[3 * URL_MAX + 1] = "";
	struct out encoded = { .p = text, .max = sizeof(text) };
	size_t count = 0, i, n;

	for (;;) {
		n = strcspn(query, "&");
		if (n > 0) {
			if (count == SIGV4_PARAMETERS_MAX) {
				o->failed = true;
				return;
			}
			parameter_add(&encoded, query, n, list, count++);
		}
		if (query[n] == '\0')
			break;
		query += n + 1;
	}
	for (i = 0; i < count; i++) {
		put(o, "&", i > 0);
		put(o, text + list[i].name_at, list[i].name_len);
		put(o, "=", 1);
		put(o, text + list[i].value_at, list[i].value_len);
	}
	o->failed = o->failed || encoded.failed;
}

/* --- headers --- */

/* Blanks around the value are cut, those inside are one. */
static void put_value(struct out *o, const char *p)
{
	size_t n;

	p += strspn(p, BLANKS);
	while (*p) {
		n = strcspn(p, BLANKS);
		put(o, p, n);
		p += n;
		p += strspn(p, BLANKS);
		put(o, " ", *p != '\0');
	}
}

static void put_lower(struct out *o, const char *p)
{
	char c;

	for (; *p; p++) {
		c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		put(o, &c, 1);
	}
}

/* By name; headers of one name stay in their order, and their values become one list. */
static size_t headers_sort(const struct sigv4_request *req, const struct http_header *ret_sorted[static SIGV4_HEADERS_MAX])
{
	size_t i, k;

	for (i = 0; i < req->header_count; i++) {
		for (k = i; k > 0 && strcasecmp(req->headers[i].name, ret_sorted[k - 1]->name) < 0; k--)
			ret_sorted[k] = ret_sorted[k - 1];
		ret_sorted[k] = &req->headers[i];
	}
	return i;
}

static void put_headers(struct out *o, struct out *names, const struct http_header *const *sorted, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (i > 0 && strcasecmp(sorted[i]->name, sorted[i - 1]->name) == 0) {
			o->len -= !o->failed; /* the line end before */
			put(o, ",", 1);
		} else {
			put(names, ";", i > 0);
			put_lower(names, sorted[i]->name);
			put_lower(o, sorted[i]->name);
			put(o, ":", 1);
		}
		put_value(o, sorted[i]->value);
		put(o, "\n", 1);
	}
}

int sigv4_canonical(const struct sigv4_request *req, unsigned flags, size_t max, char *ret_text, char ret_names[static NAMES_MAX])
{
	const struct http_header *sorted[SIGV4_HEADERS_MAX];
	struct out o = { .p = ret_text, .max = max }, names = { .p = ret_names, .max = NAMES_MAX };
	size_t count;

	if (req->header_count > SIGV4_HEADERS_MAX || max == 0)
		return -EINVAL;
	ret_text[0] = ret_names[0] = '\0';
	count = headers_sort(req, sorted);
	put_text(&o, req->method);
	put(&o, "\n", 1);
	put_path(&o, req->path, flags);
	put(&o, "\n", 1);
	put_query(&o, req->query);
	put(&o, "\n", 1);
	put_headers(&o, &names, sorted, count);
	put(&o, "\n", 1);
	put_text(&o, ret_names);
	put(&o, "\n", 1);
	put_text(&o, req->hash);
	return o.failed || names.failed ? -EINVAL : 0;
}

/* --- the signature --- */

int sigv4_date(int64_t now_seconds, char ret_date[static SIGV4_DATE_LEN + 1])
{
	time_t t = (time_t)now_seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
		return -EINVAL;
	return strftime(ret_date, SIGV4_DATE_LEN + 1, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE_LEN ? 0 : -EINVAL;
}

static int hash_hex(const void *p, size_t len, char ret_hex[static SIGV4_HASH_LEN + 1])
{
	uint8_t digest[DIGEST_SHA256_LEN];
	int r;

	r = digest_sha256(p, len, digest);
	if (r < 0)
		return r;
	text_hex(digest, sizeof(digest), ret_hex);
	return 0;
}

static int chain(const struct sigv4_key *key, const char *day, const char *text, uint8_t k[static HMAC_SHA256_LEN])
{
	const char *links[] = { key->region, key->service, key->names->terminator, text };
	size_t prefix_len = strlen(key->names->prefix), i;
	AUTO_SECRET struct secret *start = NULL;
	int r;

	r = secret_new(prefix_len + secret_len(key->secret_key), &start);
	if (r < 0)
		return r;
	memcpy(secret_bytes(start), key->names->prefix, prefix_len);
	memcpy(secret_bytes(start) + prefix_len, secret_bytes_const(key->secret_key), secret_len(key->secret_key));
	r = hmac_sha256(secret_bytes(start), secret_len(start), day, DAY_LEN, k);
	for (i = 0; r >= 0 && i < sizeof(links) / sizeof(links[0]); i++)
		r = hmac_sha256(k, HMAC_SHA256_LEN, links[i], strlen(links[i]), k);
	return r;
}

static bool key_ok(const struct sigv4_key *key)
{
	return strlen(key->access_key) <= SIGV4_ACCESS_KEY_MAX && secret_len(key->secret_key) <= SIGV4_SECRET_KEY_MAX &&
	       strlen(key->region) <= SIGV4_NAME_MAX && strlen(key->service) <= SIGV4_NAME_MAX;
}

static int signature(const struct sigv4_key *key, const char *date, const char *scope, const char *canonical,
		     char ret_hex[static SIGV4_HASH_LEN + 1])
{
	char text[SIGV4_DATE_LEN + SCOPE_MAX + SIGV4_HASH_LEN + 32], hash[SIGV4_HASH_LEN + 1];
	uint8_t k[HMAC_SHA256_LEN];
	int r;

	r = hash_hex(canonical, strlen(canonical), hash);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%s\n%s\n%s\n%s", key->names->algorithm, date, scope, hash);
	r = chain(key, date, text, k);
	if (r >= 0)
		text_hex(k, sizeof(k), ret_hex);
	secret_wipe(k, sizeof(k));
	return r;
}

int sigv4_authorization(const struct sigv4_key *key, const char *date, const struct sigv4_request *req, unsigned flags,
			char ret_value[static SIGV4_AUTHORIZATION_MAX])
{
	char names[NAMES_MAX], scope[SCOPE_MAX], hex[SIGV4_HASH_LEN + 1];
	AUTO_SECRET struct secret *canonical = NULL;
	int r, n;

	if (!key_ok(key) || strlen(date) != SIGV4_DATE_LEN)
		return -EINVAL;
	r = secret_new(SIGV4_CANONICAL_MAX, &canonical);
	if (r < 0)
		return r;
	r = sigv4_canonical(req, flags, SIGV4_CANONICAL_MAX, (char *)secret_bytes(canonical), names);
	if (r < 0)
		return r;
	(void)snprintf(scope, sizeof(scope), "%.8s/%s/%s/%s", date, key->region, key->service, key->names->terminator);
	r = signature(key, date, scope, (const char *)secret_bytes_const(canonical), hex);
	if (r < 0)
		return r;
	n = snprintf(ret_value, SIGV4_AUTHORIZATION_MAX, "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s", key->names->algorithm,
		     key->access_key, scope, names, hex);
	return n < SIGV4_AUTHORIZATION_MAX ? 0 : -EINVAL;
}

/* --- an http_request --- */

static int header_set(struct http_request *req, const char *name, const char *value)
{
	struct http_header *h;

	for (h = req->headers; h < req->headers + HTTP_HEADERS_MAX; h++) {
		if (h->name && strcasecmp(h->name, name) != 0)
			continue;
		*h = (struct http_header){ name, value };
		return 0;
	}
	return -EINVAL;
}

/* HOST[:PORT] as libcurl will send it: without the port that the scheme has anyway. */
static int host_of(const char *url, char ret_host[static URL_HOST_MAX + 7])
{
	bool tls = strncmp(url, "https:", 6) == 0;
	const char *usual = tls ? ":443" : ":80";
	int len, usual_len = (int)strlen(usual);
	const char *host = url_host(url, &len);

	if (len > usual_len && strncmp(host + len - usual_len, usual, (size_t)usual_len) == 0)
		len -= usual_len;
	if (len == 0 || len > URL_HOST_MAX + 6)
		return -EINVAL;
	memcpy(ret_host, host, (size_t)len);
	ret_host[len] = '\0';
	return 0;
}

/* The headers of the request without Authorization, and Host. */
static size_t headers_signed(const struct http_request *req, const char *host, struct http_header ret_headers[static SIGV4_HEADERS_MAX])
{
	size_t n = 1, i;

	ret_headers[0] = (struct http_header){ "host", host };
	for (i = 0; i < HTTP_HEADERS_MAX && req->headers[i].name; i++)
		if (strcasecmp(req->headers[i].name, "authorization") != 0)
			ret_headers[n++] = req->headers[i];
	return n;
}

static int body_hash(const struct http_request *req, const char *hash, char ret_hash[static SIGV4_HASH_LEN + 1])
{
	if (hash) {
		if (strlen(hash) > SIGV4_HASH_LEN)
			return -EINVAL;
		memcpy(ret_hash, hash, strlen(hash) + 1);
		return 0;
	}
	if (req->body)
		return hash_hex(secret_bytes_const(req->body), req->body_len, ret_hash);
	return hash_hex(req->data ? req->data : "", req->data ? req->data_len : 0, ret_hash);
}

static int headers_add(const struct sigv4_key *key, unsigned flags, struct http_request *req, const struct sigv4_signed *s)
{
	int r;

	r = header_set(req, key->names->date, s->date);
	if (r >= 0 && flags & SIGV4_CONTENT)
		r = header_set(req, key->names->content, s->hash);
	if (r >= 0 && key->token)
		r = header_set(req, key->names->token, (const char *)secret_bytes_const(key->token));
	return r;
}

int sigv4_sign(const struct sigv4_key *key, unsigned flags, int64_t now_seconds, const char *hash, struct http_request *req, struct sigv4_signed *s)
{
	struct http_header headers[SIGV4_HEADERS_MAX];
	struct sigv4_request q = { .headers = headers, .hash = s->hash, .query = "" };
	char path[URL_MAX + 1];
	const char *at;
	char *query;
	int r, len;

	q.method = req->method ? req->method : req->body || req->data ? "POST" : "GET";
	at = url_host(req->url.text, &len);
	(void)snprintf(path, sizeof(path), "%s", at + len);
	query = strchr(path, '?');
	if (query) {
		*query = '\0';
		q.query = query + 1;
	}
	q.path = path;
	r = url_done(&req->url) < 0 ? -EINVAL : sigv4_date(now_seconds, s->date);
	if (r >= 0)
		r = host_of(req->url.text, s->host);
	if (r >= 0)
		r = body_hash(req, hash, s->hash);
	if (r >= 0)
		r = headers_add(key, flags, req, s);
	if (r < 0)
		return r;
	q.header_count = headers_signed(req, s->host, headers);
	r = sigv4_authorization(key, s->date, &q, flags, s->authorization);
	return r < 0 ? r : header_set(req, "authorization", s->authorization);
}
