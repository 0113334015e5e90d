/* fuzz_metrics.c: the request of whoever connects for metrics, and metrics=. Once a request is whole its verdict stands, whatever comes behind; only /metrics is served. */
#include "agent/metrics.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_request(const char *p, size_t len)
{
	unsigned status = 0, now;
	bool head;

	for (size_t n = 1; n <= len && n <= METRICS_REQUEST_MAX; n++) {
		now = metrics_http_status(p, n, &head);
		if (status && now != status && now != 431)
			abort();
		status = now;
		if (status == 200 && strncmp(p, head ? "HEAD /metrics" : "GET /metrics", head ? 13 : 12) != 0)
			abort();
		if (status)
			break;
	}
	if (len >= METRICS_REQUEST_MAX && metrics_http_status(p, METRICS_REQUEST_MAX, &head) == 0)
		abort();
}

static void check_conf(const uint8_t *p, size_t len)
{
	struct metrics_conf conf;
	char text[256];

	if (len >= sizeof(text))
		return;
	memcpy(text, p, len);
	text[len] = '\0';
	if (metrics_conf_parse(text, &conf) == 0 &&
	    (((conf.kind == METRICS_UNIX || conf.kind == METRICS_FILE) && conf.path[0] != '/') || (conf.kind == METRICS_TCP && conf.port == 0)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	check_request((const char *)p, len);
	check_conf(p, len);
	return 0;
}
