/* audit_flush.c: making rows durable without holding up the agent's loop. Rows are written by the loop, in order; a thread flushes them, as many as there are by one call, and then tells an
 * anchor if one is due. So a slow disk delays the keys whose rows it has, and nothing else.
 *
 *	state    who has the job       goes on when
 *	IDLE     the loop              a row is not flushed yet: audit_kick
 *	ASKED    the thread            it is done, or has failed; the eventfd tells
 *	DONE     the loop              audit_reap
 *
 * Each flush has a file description of its own: the kernel tells each description once of pages that could not be written, so that neither this thread nor a flush on the loop can hide a failure
 * from the other. What failed is lost for all that was written up to then. */
#include "agent/audit_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"

enum flush_state { IDLE, ASKED, DONE };

struct audit_flusher {
	struct lock m;
	pthread_cond_t cond;
	pthread_t thread;
	int event_fd;
	enum flush_state state;     /* lock: m */
	bool stop;                  /* lock: m */
	/* the job: of the thread while ASKED, else the loop's */
	int fd, dirfd;
	uint64_t seq;
	char path[4096], *line;     /* of the anchor, or NULL */
	int r, anchor_r;
};

static void job_do(struct audit_flusher *f)
{
	f->r = fdatasync(f->fd) < 0 ? -errno : 0;
	f->anchor_r = f->r >= 0 && f->line ? audit_anchor_write(f->dirfd, f->path, f->line) : f->r;
}

static bool job_wait(struct audit_flusher *f)
{
	WITH_LOCK(&f->m);
	while (f->state != ASKED && !f->stop)
		lock_wait(&f->m, &f->cond);
	return f->state == ASKED;
}

static void state_set(struct audit_flusher *f, enum flush_state state)
{
	WITH_LOCK(&f->m);
	f->state = state;
	pthread_cond_broadcast(&f->cond);
}

static enum flush_state state_get(struct audit_flusher *f)
{
	WITH_LOCK(&f->m);
	return f->state;
}

static void *thread_main(void *p)
{
	const uint64_t one = 1;
	struct audit_flusher *f = p;

	while (job_wait(f)) {
		job_do(f);
		state_set(f, DONE);
		while (write(f->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	return NULL;
}

int audit_thread_start(struct audit *a)
{
	struct audit_flusher *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->fd = -1;
	f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->event_fd < 0) {
		r = -errno;
		free(f);
		return r;
	}
	f->dirfd = a->dirfd;
	lock_init(&f->m, LOCK_RANK_AGENT);
	pthread_cond_init(&f->cond, NULL);
	r = thread_start(&f->thread, thread_main, f);
	if (r < 0) {
		(void)close(f->event_fd);
		free(f);
		return r;
	}
	a->flusher = f;
	return 0;
}

int audit_fd(const struct audit *a)
{
	return a->flusher ? a->flusher->event_fd : -1;
}

/* The row of an anchor, and its text, when one is due. */
static char *anchor_begin(struct audit *a)
{
	char *line = NULL;
	int r;

	if (!a->anchor_wanted || a->pos.torn || a->pos.leave || a->rows_since_anchor == 0)
		return NULL;
	r = audit_anchor_prepare(a, &line);
	if (r < 0)
		audit_anchor_told(a, r, NULL, 0);
	return line;
}

void audit_kick(struct audit *a)
{
	struct audit_flusher *f = a->flusher;
	char *line;

	if (!f || state_get(f) != IDLE)
		return;
	line = anchor_begin(a);
	a->anchor_wanted = false;
	f->seq = a->pos.next_seq - 1;
	if (f->seq <= a->flushed_seq || f->seq <= a->lost_seq) {
		free(line);
		return;
	}
	f->line = line;
	(void)snprintf(f->path, sizeof(f->path), "%s", audit_anchor_path(a));
	f->fd = openat(a->dirfd, a->pos.file, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	f->r = f->anchor_r = f->fd < 0 ? -errno : 0;
	state_set(f, f->fd < 0 ? DONE : ASKED);
	if (f->fd < 0)
		audit_reap(a);
}

void audit_reap(struct audit *a)
{
	struct audit_flusher *f = a->flusher;
	uint64_t n;

	while (f && read(f->event_fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	if (!f || state_get(f) != DONE)
		return;
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	if (f->r >= 0) {
		if (f->seq > a->flushed_seq)
			a->flushed_seq = f->seq;
	} else {
		log_err("audit log: %s: cannot be flushed: %s", a->pos.file, err_text(f->r));
		a->pos.leave = true;
		a->lost_seq = a->pos.next_seq - 1;
	}
	if (f->line)
		audit_anchor_told(a, f->anchor_r, f->r >= 0 ? f->line : NULL, f->seq);
	free(take_ptr(f->line));
	state_set(f, IDLE);
}

void audit_settle(struct audit *a)
{
	struct audit_flusher *f = a->flusher;

	if (!f)
		return;
	{
		WITH_LOCK(&f->m);
		while (f->state == ASKED)
			lock_wait(&f->m, &f->cond);
	}
	audit_reap(a);
}

void audit_thread_stop(struct audit *a)
{
	struct audit_flusher *f = a->flusher;

	if (!f)
		return;
	audit_settle(a);
	{
		WITH_LOCK(&f->m);
		f->stop = true;
		pthread_cond_broadcast(&f->cond);
	}
	(void)pthread_join(f->thread, NULL);
	(void)close(f->event_fd);
	pthread_cond_destroy(&f->cond);
	lock_done(&f->m);
	free(f);
	a->flusher = NULL;
}

enum audit_fate audit_fate(const struct audit *a, uint64_t seq)
{
	if (seq <= a->lost_seq)
		return AUDIT_LOST;
	return seq <= a->flushed_seq ? AUDIT_DURABLE : AUDIT_PENDING;
}
