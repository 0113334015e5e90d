/* The HTTP door, as far as it can be seen without TLS: against a server of a few lines on this host's loopback address, which "metadata" requests may
 * reach in the clear. TLS itself is tried against real servers, stage kms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http.h"
#include "net/http_probe.h"

#define LARGE (3u << 20)

/* One connection: reads a request, keeps it, sends the answer, closes. */
static struct {
	int fd;
	uint16_t port;
	pthread_t thread;
	char request[LARGE + 8192];
	size_t request_len;
	const char *answer;
	size_t zeroes;      /* sent behind the answer */
	int drops;          /* sent behind that, one each 700 ms */
	bool hang;          /* then it waits for the client to go */
} srv;

static size_t body_missing(void)
{
	const char *head_end = memmem(srv.request, srv.request_len, "\r\n\r\n", 4);
	const char *said;
	size_t have, want = 0;

	if (!head_end)
		return 1;
	have = srv.request_len - (size_t)(head_end + 4 - srv.request);
	said = memmem(srv.request, (size_t)(head_end - srv.request), "Content-Length: ", 16);
	if (said)
		want = strtoul(said + 16, NULL, 10);
	return want > have ? want - have : 0;
}

static void *serve(void *arg)
{
	static const char zeroes[65536];
	int c = accept(srv.fd, NULL, NULL);
	size_t left;
	ssize_t n;

	(void)arg;
	srv.request_len = 0;
	while (body_missing() > 0) {
		n = read(c, srv.request + srv.request_len, sizeof(srv.request) - srv.request_len);
		if (n <= 0)
			break;
		srv.request_len += (size_t)n;
	}
	n = write(c, srv.answer, strlen(srv.answer));
	for (left = srv.zeroes; n > 0 && left > 0; left -= (size_t)n)
		n = write(c, zeroes, left < sizeof(zeroes) ? left : sizeof(zeroes));
	for (; n > 0 && srv.drops > 0; srv.drops--) {
		(void)poll(NULL, 0, 700);
		n = write(c, zeroes, 1);
	}
	if (srv.hang)
		(void)poll(&(struct pollfd){ .fd = c, .events = POLLIN }, 1, 120000);
	close(c);
	return NULL;
}

static void server_start(const char *answer, size_t zeroes)
{
	srv.answer = answer;
	srv.zeroes = zeroes;
	assert_int_equal(pthread_create(&srv.thread, NULL, serve, NULL), 0);
}

static struct http_request request(void)
{
	struct http_request req = { .owner = "acme", .ca_file = "", .proxy = "http://127.0.0.1:1", .metadata = true, .loopback_ok = true,
				    .timeout_ms = 60000 };
	char origin[64];

	(void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", srv.port);
	url_start(&req.url, origin);
	url_path(&req.url, "latest/token");
	return req;
}

static bool sent(const char *text)
{
	return memmem(srv.request, srv.request_len, text, strlen(text)) != NULL;
}

static void methods_and_headers_are_those_that_were_asked_for(void **state)
{
	struct http_request req = request();
	struct http_answer a;

	(void)state;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"e\"\r\nX-Long: x\r\n\r\nok", 0);
	req.method = "PUT";
	req.headers[0] = (struct http_header){ "X-Ttl", "60" };
	req.want[0] = "etag";
	req.want[1] = "absent";
	assert_int_equal(http_call(&req, &a), 0);
	pthread_join(srv.thread, NULL);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_len, 2);
	assert_memory_equal(secret_bytes_const(a.body), "ok", 2);
	assert_string_equal(a.got[0], "\"e\"");
	assert_string_equal(a.got[1], "");
	assert_true(sent("PUT /latest/token HTTP/1.1\r\n"));
	assert_true(sent("\r\nX-Ttl: 60\r\n"));
	assert_true(sent("\r\nContent-Length: 0\r\n"));
	assert_false(sent("Content-Type"));
	assert_false(sent("Expect"));
	http_answer_done(&a);
}

static void a_delete_has_no_body_and_a_head_gets_none(void **state)
{
	struct http_request req = request();
	struct http_answer a;

	(void)state;
	req.method = "DELETE";
	server_start("HTTP/1.1 204 No Content\r\n\r\n", 0);
	assert_int_equal(http_call(&req, &a), 0);
	pthread_join(srv.thread, NULL);
	assert_int_equal(a.status, 204);
	assert_true(sent("DELETE /latest/token "));
	assert_false(sent("Content-Length"));
	http_answer_done(&a);

	req.method = "HEAD";
	req.want[0] = "Content-Length";
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n", 0);
	assert_int_equal(http_call(&req, &a), 0);
	pthread_join(srv.thread, NULL);
	assert_string_equal(a.got[0], "12345");
	assert_int_equal(a.body_len, 0);
	http_answer_done(&a);
}

static void bulk_goes_out_whole_and_with_its_own_type(void **state)
{
	struct http_request req = request();
	struct http_answer a;
	char *data = malloc(LARGE);

	(void)state;
	assert_non_null(data);
	memset(data, 'd', LARGE);
	req.method = "PUT";
	req.headers[0] = (struct http_header){ "content-type", "application/octet-stream" };
	req.data = data;
	req.data_len = LARGE;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0);
	assert_int_equal(http_call(&req, &a), 0);
	pthread_join(srv.thread, NULL);
	assert_true(srv.request_len > LARGE);
	assert_memory_equal(srv.request + srv.request_len - LARGE, data, LARGE);
	assert_false(sent("application/json"));
	http_answer_done(&a);
	free(data);
}

static void bulk_comes_in_up_to_its_cap(void **state)
{
	struct http_request req = request();
	struct http_answer a;

	(void)state;
	req.body_max = LARGE;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n", LARGE);
	assert_int_equal(http_call(&req, &a), 0);
	pthread_join(srv.thread, NULL);
	assert_int_equal(a.data_len, LARGE);
	assert_null(a.body);
	http_answer_done(&a);

	req.body_max = LARGE - 1;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n", LARGE);
	assert_int_equal(http_call(&req, &a), -EFBIG);
	pthread_join(srv.thread, NULL);
	assert_non_null(strstr(a.message, "larger than is allowed"));
	http_answer_done(&a);
	assert_null(a.data);
}

static void slow_is_no_fault_where_something_moves(void **state)
{
	struct http_request req = request();
	struct http_answer a;

	(void)state;
	req.body_max = 100;
	req.stall_ms = 30000;
	srv.drops = 6;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0);
	assert_int_equal(http_call(&req, &a), 0);
	pthread_join(srv.thread, NULL);
	assert_int_equal(a.data_len, 6);
	http_answer_done(&a);

	srv.hang = true;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0);
	assert_int_equal(http_call(&req, &a), -ETIMEDOUT);
	assert_non_null(strstr(a.message, "no answer in time"));
	http_answer_done(&a);
	http_forget();
	pthread_join(srv.thread, NULL);
	srv.hang = false;
}

static void an_answer_that_is_cut_is_none(void **state)
{
	struct http_request req = request();
	struct http_answer a;

	(void)state;
	req.body_max = LARGE;
	server_start("HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n", LARGE - 7);
	assert_int_equal(http_call(&req, &a), -ECONNREFUSED);
	pthread_join(srv.thread, NULL);
	http_answer_done(&a);
}

static void nothing_else_is_asked_in_the_clear(void **state)
{
	struct http_request req = request();
	struct http_answer a;

	(void)state;
	req.loopback_ok = false;
	assert_int_equal(http_call(&req, &a), -EINVAL);
	http_answer_done(&a);
	req = request();
	req.metadata = false;
	assert_int_equal(http_call(&req, &a), -EINVAL);
	http_answer_done(&a);
	req = request();
	req.method = "BREW";
	assert_int_equal(http_call(&req, &a), -EINVAL);
	http_answer_done(&a);
	req = request();
	req.body_max = HTTP_BULK_MAX + 1;
	assert_int_equal(http_call(&req, &a), -EINVAL);
	http_answer_done(&a);
}

/* Three connections, each answered in the clear whatever it says. */
static void *serve_plain(void *arg)
{
	char p[4096];
	ssize_t n;
	int c;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		c = accept(srv.fd, NULL, NULL);
		n = read(c, p, sizeof(p));
		n = n > 0 ? write(c, "HTTP/1.1 400 No\r\n\r\n", 19) : -1;
		while (n > 0)
			n = read(c, p, sizeof(p));
		close(c);
	}
	return NULL;
}

static void a_probe_tells_nobody_from_somebody_without_tls(void **state)
{
	struct http_request req = request();
	struct http_probe p;
	char origin[64];

	(void)state;
	assert_int_equal(http_probe(&req, &p), -EINVAL);
	req.proxy = "";
	url_root(&req.url, "https://127.0.0.1:1");
	assert_int_equal(http_probe(&req, &p), 0);
	assert_false(p.reached || p.trusted || p.version);
	assert_non_null(strstr(p.message, "127.0.0.1:1: no connection"));

	(void)snprintf(origin, sizeof(origin), "https://127.0.0.1:%u", srv.port);
	url_root(&req.url, origin);
	assert_int_equal(pthread_create(&srv.thread, NULL, serve_plain, NULL), 0);
	assert_int_equal(http_probe(&req, &p), 0);
	pthread_join(srv.thread, NULL);
	assert_true(p.reached);
	assert_false(p.trusted || p.version);
	assert_non_null(strstr(p.message, "the server does not speak TLS"));
}

static void plain_hosts_are_the_metadata_services(void **state)
{
	static const char *const good[] = { "http://169.254.169.254/x", "http://169.254.170.2", "http://169.254.170.23/v1/credentials",
					    "http://[fd00:ec2::23]/v1", "http://metadata.google.internal/a", "http://169.254.169.254:80/x" };
	static const char *const bad[] = { "https://169.254.169.254/", "http://169.254.169.2549/", "http://169.254.169.254.example.com/",
					   "http://169.254.169.254@example.com/", "http://example.com/169.254.169.254", "http://169.254.169.254:80x/",
					   "http://127.0.0.1/", "http://localhost/", "ftp://169.254.169.254/", "http://", "" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(url_plain_ok(good[i], false));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(url_plain_ok(bad[i], false));
	assert_true(url_plain_ok("http://127.0.0.1:8080/", true));
	assert_true(url_plain_ok("http://localhost/", true));
	assert_true(url_plain_ok("http://[::1]:1/", true));
	assert_false(url_plain_ok("http://127.0.0.2/", true));
}

static int set_up(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	srv.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (srv.fd < 0 || bind(srv.fd, (struct sockaddr *)&in, len) < 0 || listen(srv.fd, 4) < 0 ||
	    getsockname(srv.fd, (struct sockaddr *)&in, &len) < 0)
		return -1;
	srv.port = ntohs(in.sin_port);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_forget();
	close(srv.fd);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(methods_and_headers_are_those_that_were_asked_for),
		cmocka_unit_test(a_delete_has_no_body_and_a_head_gets_none),
		cmocka_unit_test(bulk_goes_out_whole_and_with_its_own_type),
		cmocka_unit_test(bulk_comes_in_up_to_its_cap),
		cmocka_unit_test(slow_is_no_fault_where_something_moves),
		cmocka_unit_test(an_answer_that_is_cut_is_none),
		cmocka_unit_test(nothing_else_is_asked_in_the_clear),
		cmocka_unit_test(a_probe_tells_nobody_from_somebody_without_tls),
		cmocka_unit_test(plain_hosts_are_the_metadata_services),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
