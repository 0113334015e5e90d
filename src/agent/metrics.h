/* metrics.h: metrics in Prometheus's text format over HTTP or in a file (docs/operations.md, "Metrics"): metrics_conf.c where, metrics_http.c the request, metrics_text.c
 * the numbers, metrics_file.c the file, metrics.c sockets. None of this can hold the agent up: connections are few, short and answered from memory on the agent's loop, and what a mount says comes by its
 * link as for `status`. */
#ifndef COFFER_AGENT_METRICS_H
#define COFFER_AGENT_METRICS_H

#include "agent/lease.h"
#include "agent/proto.h"
#include "kms/kms.h"

#define METRICS_PATH_MAX 100             /* of a sockaddr_un */
#define METRICS_REQUEST_MAX 4096
#define METRICS_CONNECTIONS_MAX 16
#define METRICS_CONNECTION_MS 5000       /* from accept to the end of the answer */
#define METRICS_FILE_MS 15000            /* a file is written this often */
#define METRICS_FRESH_MS 500             /* mounts are not asked more often */
#define METRICS_LABEL_MAX 80             /* label `volume` */

/* ---- metrics_conf.c */

enum metrics_kind { METRICS_OFF, METRICS_UNIX, METRICS_TCP, METRICS_FILE };
struct metrics_conf {
	enum metrics_kind kind;
	uint16_t port;
	char path[METRICS_PATH_MAX];
};

/* off, unix:/PATH, 127.0.0.1:PORT or textfile:/PATH.prom. -EINVAL. Pure. */
int metrics_conf_parse(const char *text, struct metrics_conf *ret_conf) must_check;
bool metrics_conf_equal(const struct metrics_conf *a, const struct metrics_conf *b);

/* ---- metrics_http.c */

/* The first len bytes of a connection: 0 the request is not whole yet; else the status of its answer: 200 (ret_head: without a body), 400 not HTTP, 404 another path
 * than /metrics, 405 neither GET nor HEAD, 431 longer than METRICS_REQUEST_MAX, 505 another HTTP. Pure. */
unsigned metrics_http_status(const char *p, size_t len, bool *ret_head) must_check;
/* The head of the answer; its length. */
size_t metrics_http_head(unsigned status, size_t body_len, char ret_head[static 256]);

/* ---- metrics_text.c */

struct metrics_mount {
	char volume[METRICS_LABEL_MAX];  /* its label: no two mounts have the same */
	char uuid[33];
	char tenant[TENANT_LEN_MAX + 1];
	bool ready;
	bool has_stats;
	const struct proto_stats *stats;
	enum lease_state lease;
	bool lease_ends;                 /* else it lasts as long as all is well */
	uint64_t lease_left_ms;
	int64_t done_s[PROTO_DONES];     /* 0: never */
};

struct metrics_view {
	const char *version;
	size_t nmounts;
	const struct metrics_mount *mounts;
	size_t nkms;
	const struct kms_count *kms;
	uint64_t cpu_ns, resident_bytes, start_s; /* of the agent; 0: not known */
};

/* malloc'ed, -ENOMEM. Pure. */
int metrics_text(const struct metrics_view *view, char **ret_text, size_t *ret_len) must_check;
/* What a mount calls its volume as a label: the name if it is one, no path, else the uuid. */
void metrics_label(const char *said, const char *uuid, char ret_label[static METRICS_LABEL_MAX]);

/* ---- metrics_file.c */

/* Replace path: whoever reads it reads the old text or the new one. Not flushed: after a crash it is made anew. -EEXIST: what stands there is no file. */
int metrics_file_put(const char *path, const char *text, size_t len) must_check;

/* ---- metrics.c */

struct agent;
struct metrics;

/* Serve from now on; NULL in *ret_m for off. Logs. */
int metrics_open(const struct metrics_conf *conf, struct metrics **ret_m) must_check;
/* The other one from now on, if it is another; when it cannot be had, none. Logs. */
void metrics_configure(struct metrics **m, struct agent *a, const struct metrics_conf *conf);
/* NULL is fine for all of these. Readable when there is something to do; -1: never. */
int metrics_fd(const struct metrics *m);
/* Do it; also once behind each round of the loop, because an answer waits for what mounts say. */
void metrics_run(struct metrics *m, struct agent *a);
void metrics_free(struct metrics *m);

#endif
