/* metrics_conf.c: metrics= of coffer.conf: where metrics are served. Nothing but a socket or a file in the filesystem and the loopback address: what they tell is for
 * this host. Pure. */
#include "agent/metrics.h"

#include <stdlib.h>
#include <string.h>

#define TCP "127.0.0.1:"
#define UNIX "unix:"
#define TEXTFILE "textfile:"
#define TEXTFILE_END ".prom"

/* node_exporter's collector reads names with this end alone; the text beside it while it is written has another one. */
static bool is_textfile(const char *p)
{
	size_t n = strlen(p), end = strlen(TEXTFILE_END);

	return p[0] == '/' && n < METRICS_PATH_MAX && n > end && p[n - end - 1] != '/' && strcmp(p + n - end, TEXTFILE_END) == 0;
}

int metrics_conf_parse(const char *text, struct metrics_conf *ret_conf)
{
	struct metrics_conf conf = { .kind = METRICS_OFF };
	const char *p;
	unsigned long port;
	char *end;

	if (strncmp(text, UNIX, strlen(UNIX)) == 0) {
		p = text + strlen(UNIX);
		if (p[0] != '/' || strlen(p) >= sizeof(conf.path))
			return -EINVAL;
		conf.kind = METRICS_UNIX;
		memcpy(conf.path, p, strlen(p) + 1);
	} else if (strncmp(text, TEXTFILE, strlen(TEXTFILE)) == 0) {
		p = text + strlen(TEXTFILE);
		if (!is_textfile(p))
			return -EINVAL;
		conf.kind = METRICS_FILE;
		memcpy(conf.path, p, strlen(p) + 1);
	} else if (strncmp(text, TCP, strlen(TCP)) == 0) {
		p = text + strlen(TCP);
		if (p[0] < '1' || p[0] > '9')
			return -EINVAL;
		port = strtoul(p, &end, 10);
		if (*end || port > UINT16_MAX)
			return -EINVAL;
		conf.kind = METRICS_TCP;
		conf.port = (uint16_t)port;
	} else if (strcmp(text, "off") != 0) {
		return -EINVAL;
	}
	*ret_conf = conf;
	return 0;
}

bool metrics_conf_equal(const struct metrics_conf *a, const struct metrics_conf *b)
{
	return a->kind == b->kind && a->port == b->port && strcmp(a->path, b->path) == 0;
}
