/* credsock.c: connections, in an epoll set of their own inside the agent's.
 *
 *	FILE    a thread reads the sealed file
 *	KEY     credkeys.c has been asked
 *	WRITE   the secret, or what stands for "no", as the peer takes it
 *
 * Who gets what is credsock_load.c's. */
#include "agent/credsock_impl.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/listen.h"
#include "base/clock.h"
#include "base/log.h"

#define ACCEPTS_PER_RUN 16
#define EVENTS_PER_RUN 16
#define ACCEPT_PAUSE_MS 1000
#define REFUSAL_LEN (CREDENTIAL_MAX + 1)

/* --- ends --- */

/* The connection is over. What a thread or credkeys.c still holds goes when that comes back. */
static void load_end(struct agent *a, struct load *l)
{
	struct load **at;

	for (at = &a->credsock->loads; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	a->credsock->count--;
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	if (!l->held)
		credsock_load_free(l);
}

/* 1: all is written; 0: the peer must take some first; -errno. */
static int load_write(struct load *l)
{
	static const uint8_t zeros[65536];
	size_t len = l->plain ? secret_len(l->plain) : REFUSAL_LEN, n;
	ssize_t done;

	while (l->at < len) {
		n = len - l->at;
		if (!l->plain && n > sizeof(zeros))
			n = sizeof(zeros);
		done = send(l->fd, l->plain ? secret_bytes_const(l->plain) + l->at : zeros, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno == EAGAIN ? 0 : -errno;
		l->at += (size_t)done;
	}
	return 1;
}

void credsock_answer(struct agent *a, struct load *l)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = l };

	l->state = LOAD_WRITE;
	l->deadline_ms = clock_boot_ms() + CREDSOCK_WRITE_MS;
	free(take_ptr(l->file));
	if (load_write(l) != 0 || epoll_ctl(a->credsock->epoll_fd, EPOLL_CTL_ADD, l->fd, &ev) < 0)
		load_end(a, l);
}

/* --- connections --- */

static void watch(struct credsock *s, bool yes)
{
	struct epoll_event ev = { .events = yes ? EPOLLIN : 0, .data.ptr = NULL };

	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->listen_fd, &ev) < 0)
		log_warning("%s: epoll: %s", CREDSOCK_NAME, strerror(errno));
}

/* -EAGAIN: nobody is there. */
static int accept_one(struct agent *a)
{
	struct credsock *s = a->credsock;
	AUTO_CLOSE int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct load *l;

	if (fd < 0)
		return -errno;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->cred = calloc(1, sizeof(*l->cred));
	l->peer.pidfd = -1;
	l->fd = take_fd(&fd);
	if (!l->cred) {
		credsock_load_free(l);
		return -ENOMEM;
	}
	l->deadline_ms = clock_boot_ms() + CREDSOCK_MS;
	l->next = s->loads;
	s->loads = l;
	s->count++;
	credsock_load_begin(a, l);
	return 0;
}

static void accept_some(struct agent *a)
{
	struct credsock *s = a->credsock;
	int r;

	for (int i = 0; i < ACCEPTS_PER_RUN; i++) {
		if (s->count >= CREDSOCK_CONNECTIONS_MAX) {
			s->accept_ms = UINT64_MAX;
			watch(s, false);
			return;
		}
		r = accept_one(a);
		if (r == -EAGAIN)
			return;
		if (r < 0 && r != -ECONNABORTED && r != -EINTR) {
			log_warning("%s: cannot accept: %s", CREDSOCK_NAME, err_text(r));
			s->accept_ms = clock_boot_ms() + ACCEPT_PAUSE_MS;
			watch(s, false);
			return;
		}
	}
}

static void loads_tick(struct agent *a, uint64_t now)
{
	struct credsock *s = a->credsock;
	struct load *l, *next;

	for (l = s->loads; l; l = next) {
		next = l->next;
		if (now < l->deadline_ms)
			continue;
		if (l->state == LOAD_WRITE) {
			log_warning("LoadCredential of %s in %s: it does not read", l->name.id, l->peer.unit);
			load_end(a, l);
			continue;
		}
		credsock_refuse(a, l, "cred.open", PROTO_CLASS_TRANSIENT, "no file or no key in time");
	}
	if (s->accept_ms && (s->accept_ms == UINT64_MAX ? s->count < CREDSOCK_CONNECTIONS_MAX : now >= s->accept_ms)) {
		s->accept_ms = 0;
		watch(s, true);
	}
}

void credsock_run(struct agent *a)
{
	struct epoll_event events[EVENTS_PER_RUN];
	struct credsock *s = a->credsock;
	int n;

	if (!s || s->leaving)
		return;
	n = epoll_wait(s->epoll_fd, events, EVENTS_PER_RUN, 0);
	for (int i = 0; i < n; i++) {
		struct load *l = events[i].data.ptr; /* only its own event ends a load here */

		if (l && load_write(l) != 0)
			load_end(a, l);
	}
	for (int i = 0; i < n; i++)
		if (!events[i].data.ptr)
			accept_some(a);
	loads_tick(a, clock_boot_ms());
}

/* --- begin and end --- */

static int socket_get(struct agent *a, struct credsock *s)
{
	const char *slash = strrchr(a->options.socket_path, '/');
	AUTO_FREE char *path = NULL;
	int r;

	if (a->options.cred_listen_fd >= 0) {
		s->listen_fd = a->options.cred_listen_fd;
		r = listen_adopt(s->listen_fd, SOCK_STREAM);
		return r < 0 ? log_ret(r, "the socket for credentials handed over by the service manager") : 0;
	}
	if (asprintf(&path, "%.*s" CREDSOCK_NAME, slash ? (int)(slash + 1 - a->options.socket_path) : 0, a->options.socket_path) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = listen_stream(path, 0600, &s->listen_fd);
	if (r < 0)
		return log_ret(r, "%s", path);
	s->path = take_ptr(path);
	return 0;
}

void credsock_open(struct agent *a)
{
	struct epoll_event ours = { .events = EPOLLIN, .data.ptr = NULL }, theirs = { .events = EPOLLIN, .data.ptr = &a->credsock };
	struct credsock *s = calloc(1, sizeof(*s));

	if (!s)
		return;
	s->listen_fd = s->epoll_fd = -1;
	a->credsock = s;
	if (socket_get(a, s) < 0) {
		log_warning("no unit gets credentials (LoadCredential=) from this agent");
		credsock_free(a);
		return;
	}
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &ours) < 0 || epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, s->epoll_fd, &theirs) < 0) {
		log_warning("%s: epoll: %s; no unit gets credentials", CREDSOCK_NAME, strerror(errno));
		credsock_free(a);
	}
}

void credsock_leave(struct agent *a)
{
	struct credsock *s = a->credsock;
	uint64_t deadline = clock_boot_ms() + CREDSOCK_LEAVE_MS;

	if (!s)
		return;
	s->leaving = true;
	/* Whoever is closed on would take it for the end of his credential. */
	while (s->loads && clock_boot_ms() < deadline) {
		struct load *l = s->loads;
		struct pollfd p = { .fd = l->fd, .events = POLLOUT };

		if (load_write(l) == 0)
			(void)poll(&p, 1, 100);
		else
			load_end(a, l);
	}
	while (s->loads)
		load_end(a, s->loads);
}

void credsock_free(struct agent *a)
{
	struct credsock *s = a->credsock;

	if (!s)
		return;
	if (s->path)
		(void)unlink(s->path);
	auto_close_p(&s->listen_fd);
	auto_close_p(&s->epoll_fd);
	free(s->path);
	free(s);
	a->credsock = NULL;
}
