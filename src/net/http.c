/* http.c: the door to libcurl.
 *
 *	call:  slot taken -> easy handle made, on the slot's connection -> transfer -> handle freed -> slot given back
 *
 * The easy handle does not outlive its call, since its buffers held secrets; what is kept is the connection alone. It lives in a CURLSH that
 * belongs to one slot, and a slot belongs to one call at a time, so nothing of libcurl is ever used by two threads and no lock functions are
 * needed. The slots, and that libcurl was set up, are process-wide because curl_global_init() is. */
#include "net/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "crypt/heap.h"
#include "net/header.h"
#include "net/http_impl.h"

#define SLOTS 16
#define KEEP_S 60
#define KEY_MAX 1536

struct slot {
	CURLSH *share;
	char key[KEY_MAX];  /* owner, origin, CA file, proxy; empty: free */
	uint64_t used_ms;
	bool busy;
};

static struct {
	pthread_mutex_t m;
	struct slot slots[SLOTS];  /* lock: m, but for the share of a busy one */
	CURLcode init;
} http = { .m = PTHREAD_MUTEX_INITIALIZER };

DEFINE_AUTO(CURL, curl_easy_cleanup)
DEFINE_AUTO(struct curl_slist, curl_slist_free_all)

/* --- libcurl's memory --- */

static void *curl_alloc(size_t n)
{
	return heap_alloc(n ? n : 1);
}

static void *curl_resize(void *p, size_t n)
{
	return heap_resize(p, n ? n : 1);
}

static char *curl_copy(const char *text)
{
	size_t n = strlen(text) + 1;
	char *p = heap_alloc(n);

	if (p)
		memcpy(p, text, n);
	return p;
}

static void *curl_zeroed(size_t n, size_t size)
{
	size_t len;
	void *p;

	if (__builtin_mul_overflow(n, size, &len))
		return NULL;
	p = curl_alloc(len);
	if (p)
		memset(p, 0, len);
	return p;
}

static void set_up(void)
{
	/* libcurl would write the keys of its sessions to the file that this names. */
	(void)unsetenv("SSLKEYLOGFILE");
	http.init = curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_alloc, heap_release, curl_resize, curl_copy, curl_zeroed);
}

/* --- slots --- */

/* Blanks do not occur in an origin; the other texts are from the host's configuration. */
static int slot_key(const struct http_request *req, char ret_key[static KEY_MAX])
{
	int len, n;
	const char *host = url_host(req->url.text, &len);

	n = snprintf(ret_key, KEY_MAX, "%.*s\n%s\n%s\n%s", (int)(host - req->url.text) + len, req->url.text, req->owner, req->ca_file,
		     req->metadata ? "" : req->proxy);

	return n < KEY_MAX ? 0 : -EINVAL;
}

static void slot_clear(struct slot *s)
{
	(void)curl_share_cleanup(s->share);
	s->share = NULL;
	s->key[0] = '\0';
}

/* One with this key's connection, else an empty one, else the one that was used longest ago. NULL when all are busy: then the connection
 * is not kept. lock: http.m */
static struct slot *slot_choose(const char *key)
{
	struct slot *s, *best = NULL;

	for (s = http.slots; s < http.slots + SLOTS; s++) {
		if (s->busy)
			continue;
		if (s->share && clock_boot_ms() - s->used_ms > KEEP_S * 1000)
			slot_clear(s);
		if (s->share && strcmp(s->key, key) == 0)
			return s;
		if (!best || (best->share && (!s->share || s->used_ms < best->used_ms)))
			best = s;
	}
	if (best && best->share)
		slot_clear(best);
	return best;
}

static struct slot *slot_take(const char *key)
{
	struct slot *s;

	pthread_mutex_lock(&http.m);
	s = slot_choose(key);
	if (s && !s->share) {
		s->share = curl_share_init();
		if (s->share)
			(void)curl_share_setopt(s->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
		(void)snprintf(s->key, sizeof(s->key), "%s", key);
	}
	if (s)
		s->busy = true;
	pthread_mutex_unlock(&http.m);
	return s;
}

static void slot_give(struct slot *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&http.m);
	s->busy = false;
	s->used_ms = clock_boot_ms();
	pthread_mutex_unlock(&http.m);
}

void http_forget(void)
{
	struct slot *s;

	pthread_mutex_lock(&http.m);
	for (s = http.slots; s < http.slots + SLOTS; s++)
		if (!s->busy && s->share)
			slot_clear(s);
	pthread_mutex_unlock(&http.m);
}

/* --- what comes back --- */

struct transfer {
	const struct http_request *req;
	struct http_answer *answer;
	size_t room;     /* of answer->data */
	bool no_memory;
};

/* Grown by doubling: an answer's length is the server's word, and may be a lie. */
static size_t take_data(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http_answer *a = t->answer;
	size_t len = size * n, room = t->room;
	uint8_t *more;

	if (len > t->req->body_max - a->data_len)
		return 0; /* ends the transfer with CURLE_WRITE_ERROR */
	while (room < a->data_len + len)
		room = room ? room * 2 : 65536;
	if (room > t->room) {
		more = realloc(a->data, room);
		if (!more) {
			t->no_memory = true;
			return 0;
		}
		a->data = more;
		t->room = room;
	}
	memcpy(a->data + a->data_len, p, len);
	a->data_len += len;
	return len;
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	if (len > HTTP_BODY_MAX - t->answer->body_len)
		return 0; /* ends the transfer with CURLE_WRITE_ERROR */
	memcpy(secret_bytes(t->answer->body) + t->answer->body_len, p, len);
	t->answer->body_len += len;
	return len;
}

static size_t take_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http_answer *a = t->answer;
	size_t len = size * n;
	char text[HTTP_ID_MAX + 1];
	int64_t date;
	size_t i;

	if (len >= 5 && strncmp(p, "HTTP/", 5) == 0) { /* a new head, after one of 1xx */
		a->retry_after_ms = 0;
		a->id[0] = '\0';
		memset(a->got, 0, sizeof(a->got));
	}
	for (i = 0; i < HTTP_WANT_MAX && t->req->want[i]; i++)
		if (header_value(p, len, t->req->want[i], a->got[i], sizeof(a->got[i])) == -EMSGSIZE)
			a->got[i][0] = '\0';
	if (header_value(p, len, "Retry-After", text, sizeof(text)) == 0 &&
	    header_retry_after(text, (int64_t)time(NULL), &a->retry_after_ms) < 0)
		a->retry_after_ms = 0;
	if (header_value(p, len, "Date", text, sizeof(text)) == 0 && header_date(text, &date) == 0)
		a->date = date;
	if (t->req->id_header && header_value(p, len, t->req->id_header, text, sizeof(text)) == 0)
		memcpy(a->id, text, strlen(text) + 1);
	return len;
}

/* --- what goes out --- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	(void)arg;
	(void)purpose;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static int header_add(struct curl_slist **list, const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 3;
	struct curl_slist *longer;
	char *line;

	if (strpbrk(value, "\r\n"))
		return -EINVAL;
	line = heap_alloc(n);
	if (!line)
		return -ENOMEM;
	(void)snprintf(line, n, *value ? "%s: %s" : "%s:%s", name, value);
	longer = curl_slist_append(*list, line);
	heap_release(line);
	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int headers_make(const struct http_request *req, struct curl_slist **ret_list)
{
	AUTO(curl_slist_free_all_p) struct curl_slist *list = NULL;
	bool typed = false;
	size_t i;
	int r;

	r = header_add(&list, "Expect", "");
	for (i = 0; r >= 0 && i < HTTP_HEADERS_MAX && req->headers[i].name; i++) {
		typed = typed || strcasecmp(req->headers[i].name, "Content-Type") == 0;
		r = header_add(&list, req->headers[i].name, req->headers[i].value);
	}
	if (r >= 0 && !typed) /* without a body: none, where libcurl would say that it is a form */
		r = header_add(&list, "Content-Type", req->body || req->data ? "application/json" : "");
	if (r < 0)
		return r;
	*ret_list = take_ptr(list);
	return 0;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(c, option, value) == CURLE_OK)

bool http_set_peer(void *c, const struct http_request *req)
{
	bool ok = true;

	SET(CURLOPT_URL, req->url.text);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_PROTOCOLS_STR, req->metadata && url_plain_ok(req->url.text, req->loopback_ok) ? "http" : "https");
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3 | (long)CURL_SSLVERSION_MAX_TLSv1_3);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (*req->ca_file) {
		SET(CURLOPT_CAINFO, req->ca_file);
		SET(CURLOPT_CAPATH, NULL); /* else the system's directory counts as well */
	}
	SET(CURLOPT_PROXY, req->metadata ? "" : req->proxy); /* empty: none, whatever the environment says */
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3 | (long)CURL_SSLVERSION_MAX_TLSv1_3);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	return ok;
}

/* libcurl's POST carries the body of every method that has one: its PUT wants a function to read from. */
static bool set_body(CURL *c, const struct http_request *req, const char *method)
{
	bool ok = true;

	if (strcmp(method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
		return ok;
	}
	if (strcmp(method, "GET") == 0)
		return ok;
	if (req->body || req->data || strcmp(method, "DELETE") != 0) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body ? req->body_len : req->data_len));
		SET(CURLOPT_POSTFIELDS, req->body ? (const void *)secret_bytes_const(req->body) : req->data ? req->data : "");
	}
	SET(CURLOPT_CUSTOMREQUEST, method);
	return ok;
}

static uint32_t time_limit(const struct http_request *req)
{
	uint32_t most = req->stall_ms ? HTTP_SLOW_MS : req->data || req->body_max ? HTTP_BULK_MS : HTTP_TRY_MS;

	return req->timeout_ms < most ? req->timeout_ms : most;
}

static bool set_transfer(CURL *c, const struct http_request *req, struct transfer *t, struct curl_slist *headers,
			 CURLSH *share, char error[static CURL_ERROR_SIZE])
{
	uint32_t ms = time_limit(req);
	bool ok = true;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs is left to itself: the deadline holds */
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(ms < HTTP_CONNECT_MS ? ms : HTTP_CONNECT_MS));
	SET(CURLOPT_TIMEOUT_MS, (long)(ms ? ms : 1));
	if (req->stall_ms) { /* libcurl looks at the mean of some seconds */
		SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
		SET(CURLOPT_LOW_SPEED_TIME, (long)(req->stall_ms + 999) / 1000);
	}
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* nghttp2 has a heap of its own */
	SET(CURLOPT_USERAGENT, "coffer/" PACKAGE_VERSION);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_SHARE, share);
	SET(CURLOPT_FRESH_CONNECT, req->fresh ? 1L : 0L);
	SET(CURLOPT_MAXCONNECTS, 1L);
	SET(CURLOPT_MAXAGE_CONN, (long)KEEP_S);
	SET(CURLOPT_ERRORBUFFER, error);
	SET(CURLOPT_WRITEFUNCTION, req->body_max ? take_data : take_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, t);
	return ok;
}

/* --- the call --- */

static const char *method_of(const struct http_request *req)
{
	static const char *const methods[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };
	size_t i;

	if (!req->method)
		return req->body || req->data ? "POST" : "GET";
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(req->method, methods[i]) == 0)
			return methods[i];
	return NULL;
}

static int failed(const struct http_request *req, CURL *c, CURLcode code, const char *error, struct http_answer *a)
{
	long os = 0;

	if (code == CURLE_COULDNT_CONNECT)
		(void)curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os);
	if (*error == '\0')
		error = curl_easy_strerror(code);
	return http_fault(req->url.text, (int)code, (int)os, error, a->message);
}

static int perform(const struct http_request *req, const char *method, struct slot *slot, struct http_answer *a)
{
	struct transfer t = { .req = req, .answer = a };
	AUTO(curl_slist_free_all_p) struct curl_slist *headers = NULL;
	AUTO(curl_easy_cleanup_p) CURL *c = curl_easy_init();
	char error[CURL_ERROR_SIZE] = "";
	CURLcode code;
	long status = 0;
	int r;

	r = headers_make(req, &headers);
	if (r < 0 || !c || !http_set_peer(c, req) ||
	    !set_transfer(c, req, &t, headers, slot ? slot->share : NULL, error) || !set_body(c, req, method)) {
		(void)snprintf(a->message, sizeof(a->message), "%s",
			       r == -EINVAL ? "a header has a line end in it" : "no (locked) memory");
		return r == -EINVAL ? r : -ENOMEM;
	}
	code = curl_easy_perform(c);
	if (t.no_memory)
		code = CURLE_OUT_OF_MEMORY;
	if (code != CURLE_OK)
		return failed(req, c, code, error, a);
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	a->status = (int)status;
	return 0;
}

static bool scheme_ok(const struct http_request *req)
{
	return strncmp(req->url.text, "https://", 8) == 0 || (req->metadata && url_plain_ok(req->url.text, req->loopback_ok));
}

int http_set_up(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_up);
	return http.init == CURLE_OK ? 0 : -ENOMEM;
}

int http_call(const struct http_request *req, struct http_answer *ret_answer)
{
	struct http_answer *a = ret_answer;
	const char *method = method_of(req);
	char key[KEY_MAX];
	struct slot *slot;
	int r, up = http_set_up();

	*a = (struct http_answer){ 0 };
	if (!method || req->data_len > HTTP_BULK_MAX || req->body_max > HTTP_BULK_MAX || url_done(&req->url) < 0 || !scheme_ok(req) ||
	    slot_key(req, key) < 0) {
		(void)snprintf(a->message, sizeof(a->message), "no request can be made of it");
		return -EINVAL;
	}
	r = req->body_max ? 0 : secret_new(HTTP_BODY_MAX, &a->body);
	if (r < 0 || up < 0) {
		(void)snprintf(a->message, sizeof(a->message), "no (locked) memory");
		return -ENOMEM;
	}
	slot = slot_take(key);
	r = perform(req, method, slot, a);
	slot_give(slot);
	return r;
}

void http_request_done(struct http_request *req)
{
	secret_free(req->body);
	req->body = NULL;
}

void http_answer_done(struct http_answer *a)
{
	secret_free(a->body);
	a->body = NULL;
	free(a->data);
	a->data = NULL;
}
