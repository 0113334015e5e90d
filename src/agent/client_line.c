/* client_line.c: the thread that owns a mount's connection: it registers, answers `stats` at once, sends what is queued, and connects
 * again when the agent went away. */
#include "agent/client_line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "agent/packet.h"
#include "base/log.h"
#include "base/priv.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000

void client_line_done(struct proto_event *ev, int r)
{
	ev->done = true;
	ev->class = PROTO_CLASS_OK;
	if (r == -EOPNOTSUPP) {
		ev->class = PROTO_CLASS_UNSUPPORTED;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: not supported by this mount",
			       proto_push_text(ev->push));
	} else if (r == -EBUSY) {
		ev->class = PROTO_CLASS_BUSY;
		(void)snprintf(ev->message, sizeof(ev->message), ev->push == PROTO_PUSH_THAW ? "%s: it had ended by itself" : "%s: busy",
			       proto_push_text(ev->push));
	} else if (r < 0) {
		ev->class = PROTO_CLASS_INTERNAL;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: %s", proto_push_text(ev->push), err_text(r));
	}
}

static int event_send(struct client_mount *m, const struct proto_event *ev)
{
	AUTO_FREE char *text = NULL;
	int r;

	r = proto_event_put(ev, &text);
	if (r < 0)
		return r;
	return packet_send(m->c->fd, text, -1);
}

static int stats_answer(struct client_mount *m, struct proto_event *ev)
{
	int r;

	memset(&ev->stats, 0, sizeof(ev->stats));
	r = m->ops.stats ? m->ops.stats(m->arg, &ev->stats) : -EOPNOTSUPP;
	client_line_done(ev, r);
	ev->has_stats = r >= 0;
	return event_send(m, ev);
}

static int event_take(struct client_mount *m, struct proto_event *ev)
{
	bool full = false;

	if (ev->done)
		return -EPROTO;
	if (ev->push == PROTO_PUSH_STATS)
		return stats_answer(m, ev);
	{
		WITH_LOCK(&m->m);
		if (m->work_count == CLIENT_WORK_MAX) {
			full = true;
		} else {
			m->work_line[m->work_count] = m->line;
			m->work[m->work_count++] = *ev;
			pthread_cond_signal(&m->work_cond);
		}
	}
	if (!full)
		return 0;
	client_line_done(ev, -EBUSY);
	return event_send(m, ev);
}

/* A request of our own; events that come before its answer are taken meanwhile. */
static int line_request(struct client_mount *m, enum proto_class *ret_class)
{
	uint64_t deadline = packet_now_ms() + CLIENT_REQUEST_MS;
	struct client *c = m->c;
	AUTO_FREE char *text = NULL;
	bool is_event;
	int r;

	c->req.id = c->next_id++;
	r = proto_request_put(&c->req, &text);
	if (r < 0)
		return r;
	r = packet_send(c->fd, text, -1);
	while (r >= 0) {
		AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
		AUTO_CLOSE int fd = -1;

		r = client_receive(c, deadline, c->req.op, &reply, m->line_event, &is_event, &fd);
		if (r < 0)
			return r;
		if (!is_event) {
			*ret_class = reply.class;
			if (reply.class != PROTO_CLASS_OK)
				log_warning("agent: %s", reply.message);
			return reply.id == c->req.id ? 0 : -EPROTO;
		}
		r = event_take(m, m->line_event);
	}
	return r;
}

void client_line_register(struct client_mount *m)
{
	struct proto_request *req = &m->c->req;

	client_request_begin(m->c, PROTO_OP_REGISTER);
	req->instance = m->instance;
	req->read_only = m->read_only;
	client_text_copy(m->volume, sizeof(req->volume), req->volume);
	client_text_copy(m->source, sizeof(req->source), req->source);
	client_text_copy(m->mountpoint, sizeof(req->mountpoint), req->mountpoint);
}

static bool seen_take(struct client_mount *m, struct proto_seen *ret_seen)
{
	WITH_LOCK(&m->m);
	if (!m->has_seen)
		return false;
	*ret_seen = m->seen;
	m->has_seen = false;
	return true;
}

static void seen_put_back(struct client_mount *m, const struct proto_seen *seen)
{
	WITH_LOCK(&m->m);
	if (m->has_seen)
		return; /* a newer one came meanwhile */
	m->seen = *seen;
	m->has_seen = true;
}

static int seen_send(struct client_mount *m)
{
	enum proto_class class;
	struct proto_seen seen;
	int r;

	if (!seen_take(m, &seen))
		return 0;
	client_request_begin(m->c, PROTO_OP_EVENT);
	m->c->req.kind = PROTO_KIND_SEEN;
	m->c->req.seen = seen;
	r = line_request(m, &class);
	if (r < 0)
		seen_put_back(m, &seen);
	return r;
}

static bool report_first(struct client_mount *m, struct client_report_item *ret_report)
{
	WITH_LOCK(&m->m);
	if (m->report_count == 0)
		return false;
	*ret_report = m->reports[0];
	return true;
}

static void report_drop_first(struct client_mount *m)
{
	WITH_LOCK(&m->m);
	m->report_count--;
	memmove(m->reports, m->reports + 1, m->report_count * sizeof(m->reports[0]));
}

static int reports_send(struct client_mount *m)
{
	enum proto_class class;
	struct client_report_item report;
	int r;

	while (report_first(m, &report)) {
		client_request_begin(m->c, PROTO_OP_EVENT);
		m->c->req.kind = report.kind;
		m->c->req.count = report.count;
		memcpy(m->c->req.object, report.object, sizeof(report.object));
		memcpy(m->c->req.detail, report.detail, sizeof(report.detail));
		r = line_request(m, &class);
		if (r < 0)
			return r;
		report_drop_first(m);
	}
	return 0;
}

static int done_send(struct client_mount *m)
{
	struct proto_event *ev = m->line_event;
	int r = 0;

	while (r >= 0) {
		{
			WITH_LOCK(&m->m);
			if (m->done_count == 0)
				return 0;
			*ev = m->done[0];
			m->done_count--;
			memmove(m->done, m->done + 1, m->done_count * sizeof(m->done[0]));
		}
		r = event_send(m, ev);
	}
	return r;
}

static void linked_set(struct client_mount *m, bool linked)
{
	WITH_LOCK(&m->m);
	m->linked = linked;
	m->line++;
	m->done_count = 0;
}

static int line_up(struct client_mount *m)
{
	enum proto_class class = PROTO_CLASS_OK;
	int r;

	r = client_connect(m->c);
	if (r < 0)
		return r;
	client_line_register(m);
	r = line_request(m, &class);
	if (r >= 0 && class != PROTO_CLASS_OK)
		r = proto_class_errno(class);
	if (r < 0) {
		client_disconnect(m->c);
		return r;
	}
	linked_set(m, true);
	log_info("linked to the agent again");
	return 0;
}

static void line_lost(struct client_mount *m, int r)
{
	client_disconnect(m->c);
	linked_set(m, false);
	log_warning("the agent is gone (%s); the mount goes on and connects again", err_text(r));
}

/* Is the end near, and may we leave? */
static bool line_finished(struct client_mount *m, uint64_t now, int *wait_ms)
{
	WITH_LOCK(&m->m);
	if (!m->stopping)
		return false;
	if (now >= m->stop_deadline_ms || m->c->fd < 0)
		return true;
	if (!m->has_seen && m->report_count == 0 && m->work_count == 0 && m->done_count == 0)
		return true;
	if (*wait_ms < 0 || *wait_ms > 100)
		*wait_ms = 100;
	return false;
}

static int line_serve(struct client_mount *m, short revents)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_CLOSE int fd = -1;
	bool is_event = false;
	int r = 0;

	if (revents) {
		r = client_receive(m->c, packet_now_ms() + 1, PROTO_OP_HELLO, &reply, m->line_event, &is_event, &fd);
		if (r == -ETIMEDOUT)
			r = 0;
		else if (r >= 0)
			r = is_event ? event_take(m, m->line_event) : -EPROTO;
	}
	if (r >= 0)
		r = done_send(m);
	if (r >= 0)
		r = seen_send(m);
	if (r >= 0)
		r = reports_send(m);
	return r;
}

static void wake_drain(struct client_mount *m)
{
	uint64_t n;

	if (read(m->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warning("eventfd: %s; ignoring", strerror(errno));
}

void *client_line_main(void *p)
{
	struct client_mount *m = p;
	uint64_t retry_ms = RETRY_MIN_MS, next_try = 0, now;
	int wait_ms, r;

	priv_thread();
	for (;;) {
		struct pollfd fds[2] = { { .fd = m->wake_fd, .events = POLLIN }, { .fd = m->c->fd, .events = POLLIN } };

		now = packet_now_ms();
		wait_ms = m->c->fd >= 0 ? -1 : (int)(next_try > now ? next_try - now : 0);
		if (line_finished(m, now, &wait_ms))
			return NULL;
		r = poll(fds, 2, wait_ms);
		if (r < 0 && errno != EINTR)
			log_warning("poll: %s; ignoring", strerror(errno));
		wake_drain(m);
		if (m->c->fd >= 0) {
			r = line_serve(m, r > 0 ? fds[1].revents : 0);
			if (r < 0) {
				line_lost(m, r);
				retry_ms = RETRY_MIN_MS;
				next_try = packet_now_ms() + retry_ms;
			}
		} else if (packet_now_ms() >= next_try) {
			if (line_up(m) < 0) {
				next_try = packet_now_ms() + retry_ms;
				retry_ms = retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : retry_ms * 2;
			}
		}
	}
}
