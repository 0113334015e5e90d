/* client_line.c: the thread that owns a mount's connection: it registers, answers `stats` at once, sends what is queued, asks for the key of a locked mount
 * when the agent lets it, and connects again when the agent went away.
 *
 * It also is the mount's own clock: an agent that is away for longer than it allowed cannot revoke anything any more, so the mount is locked then. Away means
 * the connection has ended, or that the agent, asked something small now and then, does not answer. CLOCK_BOOTTIME: a host that sleeps is no excuse. */
#include "agent/client_line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/priv.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000
#define REQUEST_MIN_MS 1000
#define PING_MIN_MS 500
#define PING_MAX_MS 30000
#define GONE_REASON "agent gone"

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
	} else if (r == -ENOKEY) {
		ev->class = PROTO_CLASS_KMS_DENIED;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: the mount is locked", proto_push_text(ev->push));
	} else if (r == -EKEYREJECTED && ev->push == PROTO_PUSH_BACKUP_TAG) {
		ev->class = PROTO_CLASS_CORRUPT;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: not by the key of this volume", proto_push_text(ev->push));
	} else if (r == -EPERM && ev->push == PROTO_PUSH_BACKUP_TAG) {
		ev->class = PROTO_CLASS_DENIED;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: not of a backup for which this mount held still", proto_push_text(ev->push));
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
	ev->stats.has_detail = r >= 0 && ev->wants_detail;
	return event_send(m, ev);
}

bool client_queue_put(struct client_queue *q, const struct proto_event *ev, uint64_t line)
{
	if (q->count == CLIENT_WORK_MAX)
		return false;
	q->line[q->count] = line;
	q->ev[q->count++] = *ev;
	pthread_cond_signal(&q->cond);
	return true;
}

/* arg: the mount. */
static int event_take(void *arg, struct proto_event *ev)
{
	struct client_mount *m = arg;
	bool full;

	if (ev->done)
		return -EPROTO;
	if (ev->push == PROTO_PUSH_STATS)
		return stats_answer(m, ev);
	{
		WITH_LOCK(&m->m);
		full = !client_queue_put(ev->push == PROTO_PUSH_LOCK || ev->push == PROTO_PUSH_UNLOCK ? &m->locks : &m->work, ev, m->line);
	}
	if (!full)
		return 0;
	client_line_done(ev, -EBUSY);
	return event_send(m, ev);
}

/* An agent that may be away for a second only may not think for ten. */
static uint64_t request_ms(const struct client_mount *m)
{
	if (m->agent_grace_ms >= CLIENT_REQUEST_MS)
		return CLIENT_REQUEST_MS;
	return m->agent_grace_ms < REQUEST_MIN_MS ? REQUEST_MIN_MS : m->agent_grace_ms;
}

/* A request of our own; events that come before its answer are taken meanwhile. */
static int line_request(struct client_mount *m, enum proto_class *ret_class)
{
	uint64_t deadline = clock_boot_ms() + request_ms(m);
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
		m->heard_ms = clock_boot_ms();
		if (!is_event) {
			*ret_class = reply.class;
			if (c->req.op == PROTO_OP_REGISTER && reply.agent_grace_ms)
				m->agent_grace_ms = reply.agent_grace_ms;
			if (reply.class != PROTO_CLASS_OK)
				log_warning("agent: %s", reply.message);
			return reply.id == c->req.id ? 0 : -EPROTO;
		}
		r = event_take(m, m->line_event);
	}
	return r;
}

int client_line_register(struct client_mount *m)
{
	enum proto_class class = PROTO_CLASS_OK;
	struct proto_request *req = &m->c->req;
	int r;

	client_request_begin(m->c, PROTO_OP_REGISTER);
	req->instance = m->instance;
	req->read_only = m->read_only;
	client_text_copy(m->volume, sizeof(req->volume), req->volume);
	client_text_copy(m->source, sizeof(req->source), req->source);
	client_text_copy(m->mountpoint, sizeof(req->mountpoint), req->mountpoint);
	lock_take(&m->m);
	req->locked = m->locked;
	lock_drop(&m->m);
	r = line_request(m, &class);
	return r >= 0 && class != PROTO_CLASS_OK ? proto_class_errno(class) : r;
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
	if (linked)
		m->gone_told = false;
}

/* ---- the key of a locked mount */

static void ask_end(struct client_mount *m, int result, const struct client_unlocked *u, struct secret **root)
{
	WITH_LOCK(&m->m);
	if (m->ask != CLIENT_ASK_WANTED)
		return;
	m->ask = CLIENT_ASK_DONE;
	m->ask_result = result;
	if (result >= 0) {
		m->ask_unlocked = *u;
		m->ask_root = take_ptr(*root);
	}
	pthread_cond_signal(&m->ask_cond);
}

static int ask_send(struct client_mount *m)
{
	AUTO_SECRET struct secret *root = NULL;
	struct client_unlocked u;
	bool wanted;
	int r;

	lock_take(&m->m);
	wanted = m->ask == CLIENT_ASK_WANTED;
	lock_drop(&m->m);
	if (!wanted)
		return 0;
	r = client_unlock(m->c, "relock", m->ask_config, m->ask_len, &m->instance, &u, &root);
	if (r < 0)
		log_warning("agent: %s", client_error(m->c)->message);
	m->heard_ms = clock_boot_ms();
	ask_end(m, r, &u, &root);
	return m->c->fd < 0 ? -ECONNRESET : 0;
}

/* ---- is the agent there? */

static uint64_t ping_every(const struct client_mount *m)
{
	uint64_t ms = m->agent_grace_ms / 3;

	return ms < PING_MIN_MS ? PING_MIN_MS : ms > PING_MAX_MS ? PING_MAX_MS : ms;
}

static int ping_send(struct client_mount *m)
{
	enum proto_class class;

	if (clock_boot_ms() - m->heard_ms < ping_every(m))
		return 0;
	client_request_begin(m->c, PROTO_OP_HELLO);
	return line_request(m, &class);
}

static void shorten(int *wait_ms, uint64_t now, uint64_t until)
{
	uint64_t ms = until > now ? until - now : 0;

	if (*wait_ms < 0 || ms < (uint64_t)*wait_ms)
		*wait_ms = (int)ms;
}

/* The mount's own clock. */
static void gone_look(struct client_mount *m, uint64_t now, int *wait_ms)
{
	const struct proto_event ev = { .push = PROTO_PUSH_LOCK, .reason = GONE_REASON };

	if (m->c->fd >= 0) {
		shorten(wait_ms, now, m->heard_ms + ping_every(m));
		return;
	}
	WITH_LOCK(&m->m);
	if (m->locked || m->gone_told)
		return;
	if (now - m->heard_ms < m->agent_grace_ms)
		shorten(wait_ms, now, m->heard_ms + m->agent_grace_ms);
	else
		m->gone_told = client_queue_put(&m->locks, &ev, CLIENT_NO_LINE);
}

static int line_up(struct client_mount *m)
{
	int r;

	r = client_connect(m->c);
	if (r < 0)
		return r;
	r = client_line_register(m);
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
	ask_end(m, -ECONNRESET, NULL, NULL);
	log_warning("the agent is gone (%s); the mount goes on for %llu s and connects again", err_text(r),
		    (unsigned long long)m->agent_grace_ms / 1000);
}

/* Is the end near, and may we leave? */
static bool line_finished(struct client_mount *m, uint64_t now, int *wait_ms)
{
	WITH_LOCK(&m->m);
	if (!m->stopping)
		return false;
	if (now >= m->stop_deadline_ms || m->c->fd < 0)
		return true;
	if (!m->has_seen && m->report_count == 0 && m->work.count == 0 && m->locks.count == 0 && m->done_count == 0)
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
		r = client_receive(m->c, clock_boot_ms() + 1, PROTO_OP_HELLO, &reply, m->line_event, &is_event, &fd);
		if (r == -ETIMEDOUT) {
			r = 0;
		} else if (r >= 0) {
			m->heard_ms = clock_boot_ms();
			r = is_event ? event_take(m, m->line_event) : -EPROTO;
		}
	}
	if (r >= 0)
		r = done_send(m);
	if (r >= 0)
		r = seen_send(m);
	if (r >= 0)
		r = reports_send(m);
	if (r >= 0)
		r = ask_send(m);
	if (r >= 0)
		r = ping_send(m);
	return r;
}

static void wake_drain(struct client_mount *m)
{
	uint64_t n;

	if (read(m->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_warning("eventfd: %s; ignoring", strerror(errno));
}

void client_line_begin(struct client_mount *m)
{
	m->agent_grace_ms = CLIENT_GRACE_MS;
	m->heard_ms = clock_boot_ms();
	m->c->on_event = event_take;
	m->c->on_event_arg = m;
	m->c->hello_ms = CLIENT_REQUEST_MS;
}

void *client_line_main(void *p)
{
	struct client_mount *m = p;
	uint64_t retry_ms = RETRY_MIN_MS, next_try = 0, now;
	int wait_ms, r;

	priv_thread();
	for (;;) {
		struct pollfd fds[2] = { { .fd = m->wake_fd, .events = POLLIN }, { .fd = m->c->fd, .events = POLLIN } };

		now = clock_boot_ms();
		wait_ms = m->c->fd >= 0 ? -1 : (int)(next_try > now ? next_try - now : 0);
		if (line_finished(m, now, &wait_ms))
			return NULL;
		gone_look(m, now, &wait_ms);
		r = poll(fds, 2, wait_ms);
		if (r < 0 && errno != EINTR)
			log_warning("poll: %s; ignoring", strerror(errno));
		wake_drain(m);
		if (m->c->fd >= 0) {
			r = line_serve(m, r > 0 ? fds[1].revents : 0);
			if (r < 0) {
				line_lost(m, r);
				retry_ms = RETRY_MIN_MS;
				next_try = clock_boot_ms() + retry_ms;
			}
		} else if (clock_boot_ms() >= next_try) {
			if (line_up(m) < 0) {
				next_try = clock_boot_ms() + retry_ms;
				retry_ms = retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : retry_ms * 2;
			}
		}
	}
}
