/* client_line.h: the state of a mount's lasting link, shared by client_mount.c (what others hand in, the work thread, life) and
 * client_line.c (the line thread, which owns the connection).
 *
 *	line    UP: registered    DOWN: next attempt at retry_ms, 1 s doubling to 10 s
 *	queue   seen: newest only    reports: at most CLIENT_REPORTS_MAX, the rest counted    work, locks: what was pushed, in order
 *	ask     NONE > WANTED (the lock thread has a config) > DONE (the line thread has an answer, or lost the line) > NONE
 *	clock   DOWN, and agent_grace_ms after the agent was heard last: the line thread has the mount locked */
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

struct client_queue {
	pthread_cond_t cond;
	size_t count;
	struct proto_event ev[CLIENT_WORK_MAX];
	uint64_t line[CLIENT_WORK_MAX];   /* which connection it came on; CLIENT_NO_LINE: it is our own */
};

#define CLIENT_NO_LINE UINT64_MAX

enum client_ask { CLIENT_ASK_NONE, CLIENT_ASK_WANTED, CLIENT_ASK_DONE };

struct client_mount {
	struct client *c;
	struct client_mount_ops ops;
	void *arg;
	char *volume, *source, *mountpoint;
	bool read_only;
	struct proto_instance instance;

	pthread_t line_thread, work_thread, lock_thread;
	int wake_fd;                      /* eventfd: something is queued, answered or stopping */
	struct proto_event *line_event;   /* line thread only */

	struct lock m;
	bool linked;                      /* lock: m, as all below */
	bool stopping;
	uint64_t stop_deadline_ms;
	bool has_seen;
	struct proto_seen seen;
	size_t report_count;
	uint64_t reports_lost;
	struct client_report_item reports[CLIENT_REPORTS_MAX];
	struct client_queue work, locks;
	size_t done_count;
	struct proto_event done[CLIENT_WORK_MAX];
	uint64_t line;                    /* rises with each connection: answers of an older one are dropped */
	bool locked;                      /* the mount has no keys: the last lock or unlock said so */
	bool gone_told;                   /* the lock for want of an agent is queued or done */
	enum client_ask ask;
	pthread_cond_t ask_cond;
	uint8_t *ask_config;              /* the line thread's from WANTED to DONE */
	size_t ask_len;
	int ask_result;
	struct client_unlocked ask_unlocked;
	struct secret *ask_root;

	uint64_t agent_grace_ms, heard_ms; /* line thread only: its word on how long to go on without it, and when it was heard last */
};

/* Queue an event. False: there is no room. lock: m */
bool client_queue_put(struct client_queue *q, const struct proto_event *ev, uint64_t line);

/* The line thread's main; p is the struct client_mount. */
void *client_line_main(void *p);
/* Before anything else of this file, with the client that will be the line. */
void client_line_begin(struct client_mount *m);
/* Register, and take what the agent says of its grace. Events that come before the answer are taken. */
int client_line_register(struct client_mount *m) must_check;
/* Make ev the answer to itself: r of the callback. */
void client_line_done(struct proto_event *ev, int r);

#endif
