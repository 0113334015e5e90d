/* client_mount.c: the link of a mount to the agent for as long as the mount lives (docs/protocol.md, "Mounts").
 *
 * Three threads. The line thread (client_line.c) owns the connection. The work thread runs the callbacks but `stats`, one after the
 * other: a sync may take long and must not keep the line thread from answering. The lock thread runs lock and unlock, because a sync that hangs must not keep
 * a mount from being locked. What others hand in (seen, reports) is copied under one leaf lock and never waits. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "agent/client_line.h"
#include "agent/packet.h"
#include "base/clock.h"
#include "base/priv.h"
#include "base/thread.h"

#define STOP_MS 2000

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
		if (!m->has_seen || !proto_seen_is_older(now, &m->seen)) /* several threads tell */
			m->seen = *now;
		m->has_seen = true;
	}
	wake(m);
}

void client_mount_report(struct client_mount *m, enum proto_kind kind, const char *object, const char *detail)
{
	struct client_report_item *report;

	if (!m)
		return;
	{
		WITH_LOCK(&m->m);
		if (m->report_count == CLIENT_REPORTS_MAX) {
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

/* --- work threads --- */

/* The key for a locked mount, by way of the line thread. -ECONNRESET: the line was lost meanwhile. */
static int ask(struct client_mount *m, uint8_t **config, size_t len, struct client_unlocked *ret_u, struct secret **ret_root)
{
	int r = -ECONNRESET;

	{
		WITH_LOCK(&m->m);
		if (!m->linked || m->stopping)
			return -ECONNRESET;
		m->ask_config = take_ptr(*config);
		m->ask_len = len;
		m->ask = CLIENT_ASK_WANTED;
	}
	wake(m);
	WITH_LOCK(&m->m);
	while (m->ask != CLIENT_ASK_DONE && !m->stopping)
		lock_wait(&m->m, &m->ask_cond);
	if (m->ask != CLIENT_ASK_DONE)
		return r; /* the line thread may still be at it: what it has is freed with the mount */
	m->ask = CLIENT_ASK_NONE;
	r = m->ask_result;
	*config = take_ptr(m->ask_config);
	*ret_u = m->ask_unlocked;
	*ret_root = take_ptr(m->ask_root);
	return r;
}

static int unlock_run(struct client_mount *m)
{
	AUTO_SECRET struct secret *root = NULL;
	AUTO_FREE uint8_t *config = NULL;
	struct client_unlocked u;
	size_t len;
	int r;

	if (!m->ops.config || !m->ops.unlock)
		return -EOPNOTSUPP;
	r = m->ops.config(m->arg, &config, &len);
	if (r >= 0)
		r = ask(m, &config, len, &u, &root);
	if (r >= 0)
		r = m->ops.unlock(m->arg, config, len, &u, &root);
	return r;
}

static void locked_set(struct client_mount *m, bool locked)
{
	WITH_LOCK(&m->m);
	m->locked = locked;
}

static int work_run(struct client_mount *m, struct proto_event *ev)
{
	int r;

	switch (ev->push) {
	case PROTO_PUSH_SYNC:
		return m->ops.sync ? m->ops.sync(m->arg) : -EOPNOTSUPP;
	case PROTO_PUSH_LOCK:
		if (!m->ops.lock)
			return -EOPNOTSUPP;
		r = m->ops.lock(m->arg, ev->reason);
		locked_set(m, true);
		return r;
	case PROTO_PUSH_UNLOCK:
		r = unlock_run(m);
		if (r >= 0)
			locked_set(m, false);
		return r;
	case PROTO_PUSH_FREEZE:
		return m->ops.freeze ? m->ops.freeze(m->arg) : -EOPNOTSUPP;
	case PROTO_PUSH_THAW:
		return m->ops.thaw ? m->ops.thaw(m->arg) : -EOPNOTSUPP;
	case PROTO_PUSH_BACKUP_TAG:
		if (ev->has_tag) /* it goes back as it came */
			return m->ops.backup_check ? m->ops.backup_check(m->arg, ev->statement, ev->tag) : -EOPNOTSUPP;
		r = m->ops.backup_tag ? m->ops.backup_tag(m->arg, ev->statement, ev->tag) : -EOPNOTSUPP;
		ev->has_tag = r >= 0;
		return r;
	default:
		return -EOPNOTSUPP;
	}
}

/* Wait for work; false: stop. */
static bool work_next(struct client_mount *m, struct client_queue *q, struct proto_event *ev, uint64_t *line)
{
	WITH_LOCK(&m->m);
	while (q->count == 0 && !m->stopping)
		lock_wait(&m->m, &q->cond);
	if (q->count == 0)
		return false;
	*ev = q->ev[0];
	*line = q->line[0];
	q->count--;
	memmove(q->ev, q->ev + 1, q->count * sizeof(q->ev[0]));
	memmove(q->line, q->line + 1, q->count * sizeof(q->line[0]));
	return true;
}

static void serve_queue(struct client_mount *m, struct client_queue *q)
{
	struct proto_event ev;
	uint64_t line;

	while (work_next(m, q, &ev, &line)) {
		client_line_done(&ev, work_run(m, &ev));
		{
			WITH_LOCK(&m->m);
			if (line == m->line && m->done_count < CLIENT_WORK_MAX)
				m->done[m->done_count++] = ev;
		}
		wake(m);
	}
}

static void *work_main(void *p)
{
	struct client_mount *m = p;

	priv_thread();
	serve_queue(m, &m->work);
	return NULL;
}

static void *lock_main(void *p)
{
	struct client_mount *m = p;

	priv_thread_ending();
	serve_queue(m, &m->locks);
	return NULL;
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
	free(m->ask_config);
	secret_free(m->ask_root);
	pthread_cond_destroy(&m->work.cond);
	pthread_cond_destroy(&m->locks.cond);
	pthread_cond_destroy(&m->ask_cond);
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
	pthread_cond_init(&m->work.cond, NULL);
	pthread_cond_init(&m->locks.cond, NULL);
	pthread_cond_init(&m->ask_cond, NULL);
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

static void stop_work(struct client_mount *m)
{
	WITH_LOCK(&m->m);
	m->stopping = true;
	m->stop_deadline_ms = clock_boot_ms() + STOP_MS;
	pthread_cond_signal(&m->work.cond);
	pthread_cond_signal(&m->locks.cond);
	pthread_cond_signal(&m->ask_cond);
}

/* They take no signals: the filesystem's own handling decides. */
static int threads_start(struct client_mount *m)
{
	int r;

	r = thread_start(&m->work_thread, work_main, m);
	if (r < 0)
		return r;
	r = thread_start(&m->lock_thread, lock_main, m);
	if (r == 0) {
		r = thread_start(&m->line_thread, client_line_main, m);
		if (r == 0)
			return 0;
		stop_work(m);
		(void)pthread_join(m->lock_thread, NULL);
	}
	stop_work(m);
	(void)pthread_join(m->work_thread, NULL);
	return r;
}

int client_mount_start(struct client **c, const struct client_mount_info *info, const struct client_mount_ops *ops,
		       void *arg, struct client_mount **ret_m)
{
	AUTO(mount_free_p) struct client_mount *m = mount_new(info, ops, arg);
	int r;

	if (!m)
		return -ENOMEM;
	m->c = *c;
	client_line_begin(m);
	m->linked = client_line_register(m) >= 0;
	if (!m->linked)
		client_disconnect(m->c); /* it is asked again, under the clock */
	r = threads_start(m);
	if (r < 0) {
		m->c->on_event = NULL;
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
	stop_work(m);
	wake(m);
	(void)pthread_join(m->work_thread, NULL);
	(void)pthread_join(m->lock_thread, NULL);
	wake(m);
	(void)pthread_join(m->line_thread, NULL);
	mount_free(m);
}
