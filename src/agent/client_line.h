/* client_line.h: the state of a mount's lasting link, shared by client_mount.c (what others hand in, the work thread, life) and
 * client_line.c (the line thread, which owns the connection).
 *
 *	line    UP: registered    DOWN: next attempt at retry_ms, 1 s doubling to 10 s
 *	queue   seen: newest only    reports: at most CLIENT_REPORTS_MAX, the rest counted    work: what was pushed, in order */
#ifndef COFFER_AGENT_CLIENT_LINE_H
#define COFFER_AGENT_CLIENT_LINE_H

#include <pthread.h>

#include "agent/client_priv.h"
#include "base/lock.h"

#define CLIENT_REPORTS_MAX 64
#define CLIENT_WORK_MAX 16
#define CLIENT_REQUEST_MS 10000

struct client_report_item {
	enum proto_kind kind;
	char object[PROTO_TEXT_MAX];
	char detail[PROTO_DETAIL_MAX];
	uint64_t count;
};

struct client_mount {
	struct client *c;
	struct client_mount_ops ops;
	void *arg;
	char *volume, *source, *mountpoint;
	bool read_only;
	struct proto_instance instance;

	pthread_t line_thread, work_thread;
	int wake_fd;                      /* eventfd: something is queued, answered or stopping */
	struct proto_event *line_event;   /* line thread only */

	struct lock m;
	pthread_cond_t work_cond;
	bool linked;                      /* lock: m, as all below */
	bool stopping;
	uint64_t stop_deadline_ms;
	bool has_seen;
	struct proto_seen seen;
	size_t report_count;
	uint64_t reports_lost;
	struct client_report_item reports[CLIENT_REPORTS_MAX];
	size_t work_count;
	struct proto_event work[CLIENT_WORK_MAX];
	size_t done_count;
	struct proto_event done[CLIENT_WORK_MAX];
	uint64_t line;                    /* rises with each connection: answers of an older one are dropped */
	uint64_t work_line[CLIENT_WORK_MAX];
};


/* The line thread's main; p is the struct client_mount. */
void *client_line_main(void *p);
/* Fill c->req with the mount's register. */
void client_line_register(struct client_mount *m);
/* Make ev the answer to itself: r of the callback. */
void client_line_done(struct proto_event *ev, int r);

#endif
