/* client_priv.h: what client.c and client_mount.c share. */
#ifndef COFFER_AGENT_CLIENT_PRIV_H
#define COFFER_AGENT_CLIENT_PRIV_H

#include <string.h>

#include "agent/client.h"
#include "base/text.h"

struct client {
	int fd;                           /* -1: not connected */
	char *path;
	int64_t next_id;
	char version[PROTO_TEXT_MAX];
	int pid;
	struct client_error error;
	/* A registered mount's: what to do with an event that comes before an answer. NULL: there are none. */
	int (*on_event)(void *arg, struct proto_event *ev);
	void *on_event_arg;
	unsigned hello_ms;                /* how long hello may take; 0: CLIENT_DEADLINE_MS */
	struct proto_request req;         /* the one at work; too large for a stack */
};

static inline void client_reply_done_p(struct proto_reply *reply)
{
	proto_reply_done(reply);
}

#define AUTO_CLIENT_REPLY __attribute__((cleanup(client_reply_done_p)))

void client_disconnect(struct client *c);
/* A failure of our side, into c->error; returns r. */
int client_fail(struct client *c, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The line failed with r: disconnects, fills c->error; returns the -errno to give on. */
int client_lost(struct client *c, int r);
/* Clear c->req for this op. */
void client_request_begin(struct client *c, enum proto_op op);
/* Send, wait for its answer; fills c->error on failure. ret_fd may be NULL. */
int client_call(struct client *c, struct proto_request *req, int fd, unsigned ms, struct proto_reply *reply,
		int *ret_fd) must_check;
/* One packet: an answer to a request of op expect, or an event. -ECONNRESET at the end, -ETIMEDOUT. */
int client_receive(struct client *c, uint64_t deadline, enum proto_op expect, struct proto_reply *reply,
		   struct proto_event *ev, bool *ret_is_event, int *ret_fd) must_check;
/* Text that may hold any bytes (paths do) in a form that JSON can carry. */
static inline void client_text_copy(const char *text, size_t size, char *ret_text)
{
	(void)text_escape(text, strlen(text), ret_text, size);
}

#endif
