/* metrics.c: the sockets that metrics are scraped from, in an epoll set of their own inside the agent's.
 *
 *	READ    until the request is whole
 *	WAIT    until every mount has said its numbers, or had AGENT_STATS_MS for it; many may wait for the same asking
 *	WRITE   as the peer takes it
 *
 * Whoever is slow loses his connection after METRICS_CONNECTION_MS; when there are too many, the oldest that has not asked for anything yet goes first. An answer is made
 * once for all that wait for it, and mounts are asked at most every METRICS_FRESH_MS, however often somebody scrapes. */
#include "agent/metrics.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/log.h"

#define ACCEPTS_PER_RUN 4
#define ACCEPT_PAUSE_MS 1000
#define BACKLOG 64

/* Shared by all that asked together. */
struct answer {
	unsigned refs;
	char *text;
	size_t len;
};

enum scrape_state { SCRAPE_NONE, SCRAPE_READ, SCRAPE_WAIT, SCRAPE_WRITE };

struct scrape {
	enum scrape_state state;
	int fd;
	uint64_t began_ms;
	char in[METRICS_REQUEST_MAX];
	size_t in_len;
	bool head_only;
	char head[256];
	size_t head_len, at;   /* at: of head and text together */
	struct answer *answer; /* NULL: no body */
};

struct metrics {
	struct metrics_conf conf;
	int listen_fd, epoll_fd;
	time_t start;
	uint64_t accept_ms;    /* the listener is not watched until then; 0: it is */
	uint64_t asked_ms;     /* the mounts; 0: never */
	struct answer *last;   /* what they said then; NULL: they have not all answered yet */
	bool file_fails;       /* said already */
	struct scrape scrapes[METRICS_CONNECTIONS_MAX];
};

static void answer_unref(struct answer *s)
{
	if (!s || --s->refs > 0)
		return;
	free(s->text);
	free(s);
}

static void scrape_end(struct scrape *s)
{
	if (s->state == SCRAPE_NONE)
		return;
	(void)shutdown(s->fd, SHUT_WR);
	(void)close(s->fd);
	answer_unref(s->answer);
	*s = (struct scrape){ .fd = -1 };
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++)
		scrape_end(&m->scrapes[i]);
	if ((m->listen_fd >= 0 && m->conf.kind == METRICS_UNIX) || (m->conf.kind == METRICS_FILE && m->asked_ms))
		(void)unlink(m->conf.path); /* numbers that nobody makes any more are worse than none */
	auto_close_p(&m->listen_fd);
	auto_close_p(&m->epoll_fd);
	answer_unref(m->last);
	free(m);
}
DEFINE_AUTO(struct metrics, metrics_free)

/* ---- listening */

/* Beside the name and renamed over it, as listen.c does: a scraper meets the old socket or the new one. */
static int listen_unix(const char *path, int *ret_fd)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (snprintf(sa.sun_path, sizeof(sa.sun_path), "%s.new", path) >= (int)sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	if (unlink(sa.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	if (chmod(sa.sun_path, 0660) < 0 || listen(fd, BACKLOG) < 0 || rename(sa.sun_path, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(sa.sun_path);
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int listen_tcp(uint16_t port, int *ret_fd)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int metrics_open(const struct metrics_conf *conf, struct metrics **ret_m)
{
	AUTO(metrics_free_p) struct metrics *m = NULL;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int r;

	*ret_m = NULL;
	if (conf->kind == METRICS_OFF)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->conf = *conf;
	m->listen_fd = m->epoll_fd = -1;
	m->start = time(NULL);
	if (conf->kind == METRICS_FILE) { /* the loop's rounds write it; no socket */
		*ret_m = take_ptr(m);
		return 0;
	}
	r = conf->kind == METRICS_UNIX ? listen_unix(conf->path, &m->listen_fd) : listen_tcp(conf->port, &m->listen_fd);
	if (r < 0)
		return conf->kind == METRICS_UNIX ? log_ret(r, "metrics=unix:%s", conf->path) :
						    log_ret(r, "metrics=127.0.0.1:%u", (unsigned)conf->port);
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll_fd < 0 || epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, m->listen_fd, &ev) < 0)
		return log_ret(-errno, "metrics: epoll");
	*ret_m = take_ptr(m);
	return 0;
}

void metrics_configure(struct metrics **m, struct agent *a, const struct metrics_conf *conf)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = m };

	if (*m && metrics_conf_equal(&(*m)->conf, conf))
		return;
	metrics_free(take_ptr(*m));
	if (metrics_open(conf, m) < 0 || !*m)
		return; /* logged; keys matter more than their numbers */
	if ((*m)->conf.kind == METRICS_FILE)
		return;
	if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, (*m)->epoll_fd, &ev) < 0) {
		log_warning("metrics: epoll: %s; they are not served", strerror(errno));
		metrics_free(take_ptr(*m));
	}
}

int metrics_fd(const struct metrics *m)
{
	return m ? m->epoll_fd : -1;
}

/* ---- the numbers */

/* Two mounts of one label would make the whole answer invalid for its reader. */
static void label_make_unique(struct metrics_mount *mounts, size_t n)
{
	char first[METRICS_LABEL_MAX - 12];
	unsigned no = 2;

	(void)snprintf(first, sizeof(first), "%.*s", (int)sizeof(first) - 1, mounts[n].volume);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(mounts[i].volume, mounts[n].volume) != 0)
			continue;
		(void)snprintf(mounts[n].volume, sizeof(mounts[n].volume), "%s#%u", first, no++);
		i = SIZE_MAX; /* and compare with all again */
	}
}

static void mount_view(const struct agent *a, const struct conn *c, struct metrics_mount *ret_m)
{
	const struct mount *m = c->mount;
	uint64_t at = lease_locks_at_ms(&m->lease, &tenants_find(a->tenants, m->tenant)->lease), now = clock_boot_ms();
	bool answers = m->has_stats && m->stats_id == 0;

	*ret_m = (struct metrics_mount){ .ready = answers && !m->locked && strcmp(m->stats.state, "ready") == 0, .has_stats = answers,
					 .stats = &m->stats, .lease = m->locked ? LEASE_LOCKED : m->lease.state,
					 .lease_ends = m->locked || m->lease.state == LEASE_LOCKED || at != 0 };
	if (ret_m->lease != LEASE_LOCKED && at > now)
		ret_m->lease_left_ms = at - now;
	memcpy(ret_m->done_s, m->done_s, sizeof(ret_m->done_s));
	volume_config_uuid_text(c->instance.uuid, ret_m->uuid);
	(void)snprintf(ret_m->tenant, sizeof(ret_m->tenant), "%s", m->tenant);
	metrics_label(m->said->volume, ret_m->uuid, ret_m->volume);
}

static void process_view(const struct metrics *m, struct metrics_view *v)
{
	AUTO_CLOSE int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	unsigned long pages = 0;
	struct timespec t = { 0 };
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	if (n > 0 && sscanf(text, "%*u %lu", &pages) == 1)
		v->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0)
		v->cpu_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	v->start_s = (uint64_t)m->start;
}

static int answer_make(struct metrics *m, const struct agent *a)
{
	AUTO_FREE struct metrics_mount *mounts = calloc(AGENT_CONNECTIONS_MAX, sizeof(*mounts));
	struct answer *answer = calloc(1, sizeof(*answer));
	struct kms_count kms[KMS_COUNTS_MAX];
	struct metrics_view v = { .version = a->options.version, .mounts = mounts, .kms = kms };
	int r = -ENOMEM;

	if (mounts && answer) {
		v.nkms = kms_counts(kms);
		for (const struct conn *c = a->conns; c && v.nmounts < AGENT_CONNECTIONS_MAX; c = c->next) {
			if (!c->mount || c->dead)
				continue;
			mount_view(a, c, &mounts[v.nmounts]);
			label_make_unique(mounts, v.nmounts++);
		}
		process_view(m, &v);
		r = metrics_text(&v, &answer->text, &answer->len);
	}
	if (r < 0) {
		free(answer);
		return r;
	}
	answer->refs = 1;
	answer_unref(m->last);
	m->last = answer;
	return 0;
}

/* ---- one connection */

static void scrape_watch(const struct metrics *m, struct scrape *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (epoll_ctl(m->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
		scrape_end(s);
}

static void scrape_write(const struct metrics *m, struct scrape *s)
{
	for (;;) {
		bool in_head = s->at < s->head_len;
		const char *p = in_head ? s->head + s->at : s->answer ? s->answer->text + (s->at - s->head_len) : NULL;
		size_t left = in_head ? s->head_len - s->at : s->answer ? s->answer->len - (s->at - s->head_len) : 0;
		ssize_t n;

		if (left == 0) {
			scrape_end(s);
			return;
		}
		n = send(s->fd, p, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			scrape_watch(m, s, EPOLLOUT);
			return;
		}
		if (n < 0) {
			scrape_end(s);
			return;
		}
		s->at += (size_t)n;
	}
}

/* answer may be NULL. */
static void scrape_answer(const struct metrics *m, struct scrape *s, unsigned status, struct answer *answer)
{
	s->head_len = metrics_http_head(status, answer ? answer->len : 0, s->head);
	if (answer && !s->head_only) {
		answer->refs++;
		s->answer = answer;
	}
	s->state = SCRAPE_WRITE;
	scrape_write(m, s);
}

static void scrape_read(struct metrics *m, struct scrape *s)
{
	ssize_t n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
	unsigned status;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		scrape_end(s);
		return;
	}
	s->in_len += (size_t)n;
	status = metrics_http_status(s->in, s->in_len, &s->head_only);
	if (status == 200) {
		s->state = SCRAPE_WAIT;
		scrape_watch(m, s, 0);
	} else if (status) {
		scrape_answer(m, s, status, NULL);
	}
}

static struct scrape *place_find(struct metrics *m)
{
	struct scrape *s, *oldest = NULL;

	for (s = m->scrapes; s < m->scrapes + METRICS_CONNECTIONS_MAX; s++) {
		if (s->state == SCRAPE_NONE)
			return s;
		if (s->state == SCRAPE_READ && (!oldest || s->began_ms < oldest->began_ms))
			oldest = s;
	}
	if (oldest)
		scrape_end(oldest);
	return oldest;
}

static void listener_watch(struct metrics *m, bool watch)
{
	struct epoll_event ev = { .events = watch ? EPOLLIN : 0, .data.ptr = NULL };

	if (epoll_ctl(m->epoll_fd, EPOLL_CTL_MOD, m->listen_fd, &ev) == 0)
		m->accept_ms = watch ? 0 : clock_boot_ms() + ACCEPT_PAUSE_MS;
}

static void accept_some(struct metrics *m)
{
	for (int i = 0; i < ACCEPTS_PER_RUN; i++) {
		AUTO_CLOSE int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct scrape *s = fd < 0 ? NULL : place_find(m);
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

		if (fd < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
				listener_watch(m, false); /* out of descriptors: it would stay readable */
			return;
		}
		if (!s || epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
			continue;
		*s = (struct scrape){ .state = SCRAPE_READ, .fd = take_fd(&fd), .began_ms = clock_boot_ms() };
	}
}

/* ---- the loop's round */

/* Ask for what waits, and answer it when all is there. */
static void waiting_serve(struct metrics *m, struct agent *a, uint64_t now)
{
	struct scrape *s, *end = m->scrapes + METRICS_CONNECTIONS_MAX;
	bool waits = false;
	int r = 0;

	for (s = m->scrapes; s < end; s++)
		waits = waits || s->state == SCRAPE_WAIT;
	if (!waits)
		return;
	if (m->asked_ms == 0 || now - m->asked_ms >= METRICS_FRESH_MS + (m->last ? 0 : AGENT_STATS_MS)) {
		m->asked_ms = now;
		answer_unref(take_ptr(m->last));
		relay_stats_ask(a);
	}
	if (!m->last) {
		if (relay_stats_outstanding(a) && now - m->asked_ms < AGENT_STATS_MS)
			return;
		r = answer_make(m, a);
	}
	for (s = m->scrapes; s < end; s++)
		if (s->state == SCRAPE_WAIT)
			scrape_answer(m, s, r < 0 ? 503 : 200, r < 0 ? NULL : m->last);
}

static void file_write(struct metrics *m, struct agent *a, uint64_t now)
{
	int r;

	if (m->asked_ms == 0 || now - m->asked_ms >= METRICS_FILE_MS) {
		m->asked_ms = now;
		answer_unref(take_ptr(m->last));
		relay_stats_ask(a);
	}
	if (m->last || (relay_stats_outstanding(a) && now - m->asked_ms < AGENT_STATS_MS))
		return;
	r = answer_make(m, a);
	if (r >= 0)
		r = metrics_file_put(m->conf.path, m->last->text, m->last->len);
	if (r < 0 && !m->file_fails)
		log_err("metrics=textfile:%s: %s; trying again every %d s", m->conf.path, err_text(r), METRICS_FILE_MS / 1000);
	m->file_fails = r < 0;
}

void metrics_run(struct metrics *m, struct agent *a)
{
	struct epoll_event events[METRICS_CONNECTIONS_MAX + 1];
	uint64_t now;
	int n;

	if (!m)
		return;
	if (m->conf.kind == METRICS_FILE) {
		file_write(m, a, clock_boot_ms());
		return;
	}
	n = epoll_wait(m->epoll_fd, events, METRICS_CONNECTIONS_MAX + 1, 0);
	for (int i = 0; i < n; i++) {
		struct scrape *s = events[i].data.ptr;

		if (!s)
			accept_some(m);
		else if (s->state == SCRAPE_READ)
			scrape_read(m, s);
		else if (s->state == SCRAPE_WRITE)
			scrape_write(m, s);
		else if (s->state == SCRAPE_WAIT)
			scrape_end(s); /* only its end is told then */
	}
	now = clock_boot_ms(); /* not older than any that was accepted just now */
	waiting_serve(m, a, now);
	if (m->accept_ms && now >= m->accept_ms)
		listener_watch(m, true);
	for (struct scrape *s = m->scrapes; s < m->scrapes + METRICS_CONNECTIONS_MAX; s++)
		if (s->state != SCRAPE_NONE && now - s->began_ms >= METRICS_CONNECTION_MS)
			scrape_end(s);
}
