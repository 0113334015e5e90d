/* test_metrics.c: the text that Prometheus reads, labels that others chose, the request that asks for it, and the buckets behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/metrics.h"

static struct proto_stats stats;
static struct metrics_mount mount;
static struct kms_count kms;
static struct metrics_view view;
static char *text;

static int setup(void **state)
{
	(void)state;
	stats = (struct proto_stats){ .read_bytes = 4096, .write_bytes = 8192, .log_size_bytes = 1 << 20, .log_used_bytes = 12288, .dirty_bytes = 20480,
				      .replayed_transactions = 3, .has_detail = true };
	stats.detail = (struct proto_detail){ .commits = 7, .reserve_whole = true };
	stats.detail.integrity[METER_BLOCK] = 2;
	mount = (struct metrics_mount){ .volume = "db", .uuid = "0123", .tenant = "acme", .ready = true, .has_stats = true, .stats = &stats,
					.lease = LEASE_STALE, .lease_ends = true, .lease_left_ms = 1500 };
	kms = (struct kms_count){ .provider = "hcvault" };
	kms.ended[KMS_OK] = 11;
	view = (struct metrics_view){ .version = "1.2", .nmounts = 1, .mounts = &mount, .nkms = 1, .kms = &kms, .cpu_ns = 2500000000u, .start_s = 77 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

static void make(void)
{
	size_t len;

	free(text);
	assert_int_equal(metrics_text(&view, &text, &len), 0);
	assert_int_equal(len, strlen(text));
	assert_int_equal(text[len - 1], '\n');
}

/* The whole line stands there, once. */
static void says(const char *line)
{
	size_t len = strlen(line), n = 0;

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		n += strncmp(p, line, len) == 0 && p[len] == '\n';
	if (n != 1)
		fail_msg("%zu times: %s\n%s", n, line, text);
}

static void each_number_has_its_line(void **state)
{
	(void)state;
	make();
	says("coffer_build_info{version=\"1.2\"} 1");
	says("coffer_mount_info{volume=\"db\",tenant=\"acme\",uuid=\"0123\"} 1");
	says("coffer_mount_ready{volume=\"db\"} 1");
	says("coffer_read_bytes_total{volume=\"db\"} 4096");
	says("coffer_write_bytes_total{volume=\"db\"} 8192");
	says("coffer_integrity_failures_total{volume=\"db\",kind=\"block\"} 2");
	says("coffer_integrity_failures_total{volume=\"db\",kind=\"xattr\"} 0");
	says("coffer_log_used_bytes{volume=\"db\"} 12288");
	says("coffer_commits_total{volume=\"db\"} 7");
	says("coffer_replayed_transactions_total{volume=\"db\"} 3");
	says("coffer_dirty_bytes{volume=\"db\"} 20480");
	says("coffer_reserve_whole{volume=\"db\"} 1");
	says("coffer_rekey_remaining_bytes{volume=\"db\"} 0");
	says("coffer_lease_state{volume=\"db\",state=\"STALE\"} 1");
	says("coffer_lease_state{volume=\"db\",state=\"ACTIVE\"} 0");
	says("coffer_lease_remaining_seconds{volume=\"db\"} 1.500000000");
	says("coffer_kms_requests_total{provider=\"hcvault\",class=\"OK\"} 11");
	says("coffer_kms_requests_total{provider=\"hcvault\",class=\"DENIED\"} 0");
	says("process_cpu_seconds_total 2.500000000");
	says("process_start_time_seconds 77");
	says("# TYPE coffer_op_duration_seconds histogram");
	assert_null(strstr(text, "process_resident_memory_bytes"));
}

static void buckets_are_cumulative_and_end_with_all(void **state)
{
	struct meter meter = { 0 };
	struct meter_sum sum = { 0 };

	(void)state;
	meter_add(&meter, 0);
	meter_add(&meter, 10000);          /* a bound is inside its bucket */
	meter_add(&meter, 10001);
	meter_add(&meter, 2000000000);
	meter_add(&meter, 60000000000u);
	meter_read(&meter, &sum);
	assert_int_equal(sum.count[0], 2);
	assert_int_equal(sum.count[1], 1);
	assert_int_equal(sum.count[METER_BOUNDS], 1);
	assert_int_equal(meter_sum_count(&sum), 5);
	meter_sum_add(&sum, &sum);
	assert_int_equal(meter_sum_count(&sum), 10);
	assert_int_equal(sum.sum_ns, 2 * 62000020001u);
	stats.detail.ops[METER_READ] = sum;
	kms.time = sum;
	make();
	says("coffer_op_duration_seconds_bucket{volume=\"db\",op=\"read\",le=\"1e-05\"} 4");
	says("coffer_op_duration_seconds_bucket{volume=\"db\",op=\"read\",le=\"3e-05\"} 6");
	says("coffer_op_duration_seconds_bucket{volume=\"db\",op=\"read\",le=\"3\"} 8");
	says("coffer_op_duration_seconds_bucket{volume=\"db\",op=\"read\",le=\"10\"} 8");
	says("coffer_op_duration_seconds_bucket{volume=\"db\",op=\"read\",le=\"+Inf\"} 10");
	says("coffer_op_duration_seconds_sum{volume=\"db\",op=\"read\"} 124.000040002");
	says("coffer_op_duration_seconds_count{volume=\"db\",op=\"read\"} 10");
	says("coffer_kms_request_duration_seconds_count{provider=\"hcvault\"} 10");
}

static void what_is_not_known_has_no_sample(void **state)
{
	(void)state;
	mount.has_stats = mount.ready = mount.lease_ends = false;
	make();
	says("coffer_mount_ready{volume=\"db\"} 0");
	says("coffer_lease_state{volume=\"db\",state=\"STALE\"} 1");
	assert_null(strstr(text, "coffer_read_bytes_total{"));
	assert_null(strstr(text, "coffer_commits_total{"));
	assert_null(strstr(text, "coffer_op_duration_seconds_bucket{"));
	assert_null(strstr(text, "coffer_lease_remaining_seconds{"));
	mount.has_stats = true;
	stats.has_detail = false; /* a mount of before */
	make();
	says("coffer_read_bytes_total{volume=\"db\"} 4096");
	assert_null(strstr(text, "coffer_commits_total{"));
}

static void a_name_cannot_leave_its_label(void **state)
{
	(void)state;
	strcpy(mount.volume, "a\"} 1\nx\\");
	make();
	says("coffer_mount_ready{volume=\"a\\\"} 1?x\\\\\"} 1");
	metrics_label("pgdata", "0123", mount.volume);
	assert_string_equal(mount.volume, "pgdata");
	metrics_label("/srv/secret/pgdata", "0123", mount.volume);
	assert_string_equal(mount.volume, "0123");
	metrics_label("", "0123", mount.volume);
	assert_string_equal(mount.volume, "0123");
}

static unsigned ask(const char *request, bool *head)
{
	bool ignored;

	return metrics_http_status(request, strlen(request), head ? head : &ignored);
}

static void a_request_is_answered_when_it_is_whole(void **state)
{
	const char *whole = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
	bool head;

	(void)state;
	for (size_t n = 0; n < strlen(whole); n++)
		assert_int_equal(metrics_http_status(whole, n, &head), 0);
	assert_int_equal(ask(whole, &head), 200);
	assert_false(head);
	assert_int_equal(ask("HEAD /metrics?x=1 HTTP/1.0\n\n", &head), 200);
	assert_true(head);
	assert_int_equal(ask("GET /metrics HTTP/1.1\n\r\n", NULL), 200);
}

static void what_is_no_scrape_is_refused(void **state)
{
	char large[METRICS_REQUEST_MAX + 2];
	bool head;

	(void)state;
	assert_int_equal(ask("GET / HTTP/1.1\r\n\r\n", NULL), 404);
	assert_int_equal(ask("GET /metricsx HTTP/1.1\r\n\r\n", NULL), 404);
	assert_int_equal(ask("GET metrics HTTP/1.1\r\n\r\n", NULL), 400);
	assert_int_equal(ask("GET  /metrics HTTP/1.1\r\n\r\n", NULL), 400);
	assert_int_equal(ask("GET /metrics\r\n\r\n", NULL), 400);
	assert_int_equal(ask("GET /metrics HTTP/1.1 \r\n\r\n", NULL), 400);
	assert_int_equal(ask("GET /me\ttrics HTTP/1.1\r\n\r\n", NULL), 400);
	assert_int_equal(ask("\r\n\r\n", NULL), 400);
	assert_int_equal(ask("POST /metrics HTTP/1.1\r\n\r\n", NULL), 405);
	assert_int_equal(ask("get /metrics HTTP/1.1\r\n\r\n", NULL), 405);
	assert_int_equal(ask("GET /metrics HTTP/2.0\r\n\r\n", NULL), 505);
	memset(large, 'x', sizeof(large));
	assert_int_equal(metrics_http_status(large, METRICS_REQUEST_MAX - 1, &head), 0);
	assert_int_equal(metrics_http_status(large, METRICS_REQUEST_MAX, &head), 431);
	memcpy(large, "GET /metrics HTTP/1.1\r\nA: ", 26);
	assert_int_equal(metrics_http_status(large, METRICS_REQUEST_MAX, &head), 431);
	assert_int_equal(metrics_http_status(large, METRICS_REQUEST_MAX + 1, &head), 431);
}

static void an_answer_says_how_long_it_is(void **state)
{
	char head[256];
	size_t n;

	(void)state;
	n = metrics_http_head(200, 1234, head);
	assert_int_equal(n, strlen(head));
	assert_non_null(strstr(head, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(head, "\r\nContent-Length: 1234\r\n"));
	assert_string_equal(head + n - 4, "\r\n\r\n");
	n = metrics_http_head(405, SIZE_MAX, head);
	assert_non_null(strstr(head, "\r\nAllow: GET, HEAD\r\n"));
	assert_string_equal(head + n - 4, "\r\n\r\n");
}

static void a_file_is_replaced_by_another_and_nothing_else_is(void **state)
{
	char dir[] = "/tmp/coffer-metrics-XXXXXX", path[64], got[16];
	int old, fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/a.prom", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(metrics_file_put(path, "one", 3), -EEXIST);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(metrics_file_put(path, "one", 3), 0);
	old = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(metrics_file_put(path, "other", 5), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(old, got, sizeof(got)), 3);
	assert_memory_equal(got, "one", 3);
	assert_int_equal(read(fd, got, sizeof(got)), 5);
	assert_memory_equal(got, "other", 5);
	(void)close(old);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* nothing is left beside it */
	assert_int_equal(metrics_file_put(path, "one", 3), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_number_has_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(buckets_are_cumulative_and_end_with_all, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_known_has_no_sample, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_cannot_leave_its_label, setup, teardown),
		cmocka_unit_test(a_request_is_answered_when_it_is_whole),
		cmocka_unit_test(what_is_no_scrape_is_refused),
		cmocka_unit_test(an_answer_says_how_long_it_is),
		cmocka_unit_test(a_file_is_replaced_by_another_and_nothing_else_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
