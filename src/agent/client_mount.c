/* client_mount.c: the link of a mount to the agent for as long as the mount lives (docs/protocol.md, "Mounts").
 *
 * Two threads. The line thread owns the connection: it registers, answers `stats` at once, sends what is queued, and connects
 * again when the agent went away. The work thread runs the other callbacks, one after the other: a sync may take long and
 * must not keep the line thread from answering. What others hand in (seen, reports) is copied under one leaf lock and never waits.
 *
 *	line    UP: registered    DOWN: next attempt at retry_ms, 1 s doubling to 10 s
 *	queue   seen: newest only    reports: at most REPORTS_MAX, the rest counted    work: at most one event of each kind */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "agent/client_priv.h"
#include "agent/packet.h"
#include "base/lock.h"
#include "base/log.h"

#define REPORTS_MAX 64
#define WORK_MAX 16
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 10000
#define REQUEST_MS 10000
#define STOP_MS 2000

struct report {
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
	struct report reports[REPORTS_MAX];
	size_t work_count;
	struct proto_event work[WORK_MAX];
	size_t done_count;
	struct proto_event done[WORK_MAX];
	uint64_t line;                    /* rises with each connection: answers of an older one are dropped */
	uint64_t work_line[WORK_MAX];
};

static void wake(struct client_mount *m)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(m->wake_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

/* --- what others hand in --- */

void client_mount_seen(struct client_mount *m, const struct proto_seen *now)
{
	if (!m)
		return;
	{
		WITH_LOCK(&m->m);
		m->seen = *now;
		m->has_seen = true;
	}
	wake(m);
}

void client_mount_report(struct client_mount *m, enum proto_kind kind, const char *object, const char *detail)
{
	struct report *report;

	if (!m)
		return;
	{
		WITH_LOCK(&m->m);
		if (m->report_count == REPORTS_MAX) {
			m->reports_lost++;
		} else {
			report = &m->reports[m->report_count++];
			report->kind = kind;
			report->count = 1 + m->reports_lost;
			m->reports_lost = 0;
			client_text_copy(object, sizeof(report->object), report->object);
			client_text_copy(detail, sizeof(report->detail), report->detail);
		}
	}
	wake(m);
}

bool client_mount_linked(struct client_mount *m)
{
	WITH_LOCK(&m->m);
	return m->linked;
}

/* --- work thread --- */

static int work_run(struct client_mount *m, const struct proto_event *ev)
{
	switch (ev->push) {
	case PROTO_PUSH_SYNC:
		return m->ops.sync ? m->ops.sync(m->arg) : -EOPNOTSUPP;
	case PROTO_PUSH_LOCK:
		return m->ops.lock ? m->ops.lock(m->arg, ev->reason) : -EOPNOTSUPP;
	case PROTO_PUSH_UNLOCK:
		return m->ops.unlock ? m->ops.unlock(m->arg) : -EOPNOTSUPP;
	case PROTO_PUSH_FREEZE:
		return m->ops.freeze ? m->ops.freeze(m->arg) : -EOPNOTSUPP;
	case PROTO_PUSH_THAW:
		return m->ops.thaw ? m->ops.thaw(m->arg) : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

static void done_fill(struct proto_event *ev, int r)
{
	ev->done = true;
	ev->class = PROTO_CLASS_OK;
	if (r == -EOPNOTSUPP) {
		ev->class = PROTO_CLASS_UNSUPPORTED;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: not supported by this mount",
			       proto_push_text(ev->push));
	} else if (r < 0) {
		ev->class = PROTO_CLASS_INTERNAL;
		(void)snprintf(ev->message, sizeof(ev->message), "%s: %s", proto_push_text(ev->push), err_text(r));
	}
}

/* Wait for work; false: stop. */
static bool work_next(struct client_mount *m, struct proto_event *ev, uint64_t *line)
{
	WITH_LOCK(&m->m);
	while (m->work_count == 0 && !m->stopping)
		lock_wait(&m->m, &m->work_cond);
	if (m->work_count == 0)
		return false;
	*ev = m->work[0];
	*line = m->work_line[0];
	m->work_count--;
	memmove(m->work, m->work + 1, m->work_count * sizeof(m->work[0]));
	memmove(m->work_line, m->work_line + 1, m->work_count * sizeof(m->work_line[0]));
	return true;
}

static void *work_main(void *p)
{
	struct client_mount *m = p;
	struct proto_event ev;
	uint64_t line;

	while (work_next(m, &ev, &line)) {
		done_fill(&ev, work_run(m, &ev));
		{
			WITH_LOCK(&m->m);
			if (line == m->line && m->done_count < WORK_MAX)
				m->done[m->done_count++] = ev;
		}
		wake(m);
	}
	return NULL;
}

/* --- line thread --- */

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
	done_fill(ev, r);
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
		if (m->work_count == WORK_MAX) {
			full = true;
		} else {
			m->work_line[m->work_count] = m->line;
			m->work[m->work_count++] = *ev;
			pthread_cond_signal(&m->work_cond);
		}
	}
	if (!full)
		return 0;
	done_fill(ev, -EBUSY);
	return event_send(m, ev);
}

/* A request of our own; events that come before its answer are taken meanwhile. */
static int line_request(struct client_mount *m, enum proto_class *ret_class)
{
	uint64_t deadline = packet_now_ms() + REQUEST_MS;
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

static void register_fill(struct client_mount *m)
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

static bool report_first(struct client_mount *m, struct report *ret_report)
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
	struct report report;
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
	register_fill(m);
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

static void *line_main(void *p)
{
	struct client_mount *m = p;
	uint64_t retry_ms = RETRY_MIN_MS, next_try = 0, now;
	int wait_ms, r;

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

/* --- life --- */

static void mount_free(struct client_mount *m)
{
	if (!m)
		return;
	client_free(m->c);
	if (m->wake_fd >= 0)
		(void)close(m->wake_fd);
	free(m->line_event);
	free(m->volume);
	free(m->source);
	free(m->mountpoint);
	pthread_cond_destroy(&m->work_cond);
	lock_done(&m->m);
	free(m);
}
DEFINE_AUTO(struct client_mount, mount_free)

static struct client_mount *mount_new(const struct client_mount_info *info, const struct client_mount_ops *ops,
				      void *arg)
{
	struct client_mount *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	lock_init(&m->m, LOCK_RANK_POOL);
	pthread_cond_init(&m->work_cond, NULL);
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->ops = *ops;
	m->arg = arg;
	m->read_only = info->read_only;
	m->instance = info->instance;
	m->volume = strdup(info->volume);
	m->source = strdup(info->source);
	m->mountpoint = strdup(info->mountpoint);
	m->line_event = malloc(sizeof(*m->line_event));
	if (m->wake_fd < 0 || !m->volume || !m->source || !m->mountpoint || !m->line_event) {
		mount_free(m);
		return NULL;
	}
	return m;
}

/* Threads of ours take no signals: the filesystem's own handling decides. */
static int threads_start(struct client_mount *m)
{
	sigset_t all, old;
	int e;

	(void)sigfillset(&all);
	e = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (e != 0)
		return -e;
	e = pthread_create(&m->work_thread, NULL, work_main, m);
	if (e == 0) {
		e = pthread_create(&m->line_thread, NULL, line_main, m);
		if (e != 0) {
			{
				WITH_LOCK(&m->m);
				m->stopping = true;
				pthread_cond_signal(&m->work_cond);
			}
			(void)pthread_join(m->work_thread, NULL);
		}
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -e;
}

int client_mount_start(struct client **c, const struct client_mount_info *info, const struct client_mount_ops *ops,
		       void *arg, struct client_mount **ret_m)
{
	AUTO(mount_free_p) struct client_mount *m = mount_new(info, ops, arg);
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	int r;

	if (!m)
		return -ENOMEM;
	m->c = *c;
	register_fill(m);
	r = client_call(m->c, &m->c->req, -1, REQUEST_MS, &reply, NULL);
	if (r >= 0) {
		m->linked = true;
		r = threads_start(m);
	}
	if (r < 0) {
		m->c = NULL;
		return r;
	}
	*c = NULL;
	*ret_m = take_ptr(m);
	return 0;
}

void client_mount_stop(struct client_mount *m)
{
	if (!m)
		return;
	{
		WITH_LOCK(&m->m);
		m->stopping = true;
		m->stop_deadline_ms = packet_now_ms() + STOP_MS;
		pthread_cond_signal(&m->work_cond);
	}
	wake(m);
	(void)pthread_join(m->work_thread, NULL);
	wake(m);
	(void)pthread_join(m->line_thread, NULL);
	mount_free(m);
}
