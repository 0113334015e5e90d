/* server.c: sockets and the loop (docs/protocol.md, "Transport", "Limits").
 *
 * One thread, level-triggered epoll. A connection is: accepted (peer known, else closed) → hello → requests → closed; with a key
 * handed over it waits for the acknowledgement under a deadline; registered it is a mount and may be silent for ever.
 * Whatever is wrong with a connection marks it dead; the dead are swept once a round, so that no pointer dangles within it.
 * Strangers (peers whom policy admits to nothing) are answered one refusal and have few seconds and few connections. */
#include "agent/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "agent/agent_conf.h"
#include "agent/credkeys.h"
#include "agent/credsock.h"
#include "agent/jobs.h"
#include "agent/kept.h"
#include "agent/lease_run.h"
#include "agent/metrics.h"
#include "agent/packet.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"

#define EVENTS_PER_ROUND 64
#define ACCEPTS_PER_ROUND 16
#define TICK_MS 500

/* --- sending --- */

void server_drop(struct agent *a, struct conn *c, const char *why)
{
	(void)a;
	if (c->dead)
		return;
	c->dead = true;
	if (why)
		log_debug("connection of pid %ld closed: %s", (long)c->peer.pid, why);
}

struct conn *server_conn(struct agent *a, uint64_t serial)
{
	struct conn *c;

	for (c = a->conns; c && c->serial != serial; c = c->next)
		;
	return c && !c->dead ? c : NULL;
}

static void send_text(struct agent *a, struct conn *c, const char *text, int fd)
{
	int r;

	if (c->dead)
		return;
	r = packet_send(c->fd, text, fd);
	if (r < 0)
		server_drop(a, c, "it does not read");
}

void server_reply(struct agent *a, struct conn *c, const struct proto_reply *reply, int fd)
{
	struct proto_reply short_reply = { .id = reply->id, .op = reply->op };
	AUTO_FREE char *text = NULL;
	int r;

	r = proto_reply_put(reply, &text);
	if (r < 0) {
		/* Of our own making, or larger than a packet: say so in a form that always fits. */
		fd = -1;
		short_reply.class = request_refuse(&short_reply, PROTO_CLASS_INTERNAL, "the answer cannot be written");
		r = proto_reply_put(&short_reply, &text);
	}
	if (r < 0)
		server_drop(a, c, "out of memory");
	else
		send_text(a, c, text, fd);
}

void server_push(struct agent *a, struct conn *c, const struct proto_event *ev)
{
	AUTO_FREE char *text = NULL;
	int r;

	r = proto_event_put(ev, &text);
	if (r < 0)
		server_drop(a, c, "out of memory");
	else
		send_text(a, c, text, -1);
}

/* --- receiving --- */

static void refuse_bad(struct agent *a, struct conn *c, int64_t id, enum proto_class class, const char *why)
{
	struct proto_reply reply = { .id = id };

	reply.class = request_refuse(&reply, class, "bad request: %s", why);
	server_reply(a, c, &reply, -1);
	c->bad_messages++;
	if (c->bad_messages >= AGENT_BAD_MESSAGES_MAX)
		server_drop(a, c, "too many bad messages");
}

static void message_handle(struct agent *a, struct conn *c, const void *p, size_t len, int fd)
{
	AUTO_FREE struct proto_request *req = malloc(sizeof(*req));
	AUTO_FREE struct proto_event *ev = malloc(sizeof(*ev));
	AUTO_CLOSE int passed = fd;
	enum proto_type type;
	char why[128] = "";
	int64_t id = 0;
	int r;

	if (!req || !ev) {
		server_drop(a, c, "out of memory");
		return;
	}
	r = proto_request_parse(p, len, &type, req, ev, &id, why);
	if (r < 0)
		refuse_bad(a, c, id, r == -EOPNOTSUPP ? PROTO_CLASS_UNSUPPORTED : PROTO_CLASS_BADREQ, why);
	else if (type == PROTO_TYPE_EVENT_DONE)
		relay_event_done(a, c, ev);
	else
		request_handle(a, c, req, take_fd(&passed));
	if (!c->admitted && c->helloed && r >= 0 && type == PROTO_TYPE_REQUEST && req->op != PROTO_OP_HELLO)
		server_drop(a, c, "not admitted");
}

/* One packet; -EAGAIN: none. */
static int conn_read(struct agent *a, struct conn *c)
{
	AUTO_FREE char *buf = malloc(PROTO_PACKET_MAX + 1);
	struct packet_from from = { 0 };
	int fd = -1, r;

	if (!buf)
		return -ENOMEM;
	r = packet_recv(c->fd, buf, PROTO_PACKET_MAX + 1, c->admitted, &fd, &from);
	if (r == -EAGAIN)
		return r;
	if (r == -EMSGSIZE || r == -EPROTO) {
		refuse_bad(a, c, 0, PROTO_CLASS_BADREQ,
			   r == -EMSGSIZE ? "larger than 64 KiB" : "more than one descriptor");
		server_drop(a, c, "not a packet of ours");
		return 0;
	}
	if (r <= 0) {
		server_drop(a, c, NULL);
		return 0;
	}
	/* Without the kernel's word only what was sent before we asked for it (a socket handed over), and that may be hello. */
	if (from.known ? from.pid != c->peer.pid : c->helloed) {
		if (fd >= 0)
			(void)close(fd);
		log_warning("connection of pid %ld used by pid %ld; closed", (long)c->peer.pid, (long)from.pid);
		server_drop(a, c, NULL);
		return 0;
	}
	c->last_ms = clock_boot_ms();
	message_handle(a, c, buf, (size_t)r, fd);
	return 0;
}

/* --- connections --- */

static void conn_free(struct agent *a, struct conn *c)
{
	relay_forget(a, c);
	request_lock_forget(a, c);
	if (c->mount && !a->stopping) {
		struct audit_event e = { .what = "mount.gone", .peer = &c->peer, .uuid = c->instance.uuid,
					 .tenant = c->mount->tenant, .mountpoint = c->mount->said->mountpoint };

		audit_note(a->audit, &e);
	}
	if (c->handover.fd >= 0)
		log_warning("pid %ld left without acknowledging its key", (long)c->peer.pid);
	request_key_handover_end(c);
	request_mount_free(c);
	request_key_conn_end(a, c);
	a->conn_count--;
	if (!c->admitted)
		a->stranger_count--;
	peer_done(&c->peer);
	(void)close(c->fd);
	free(c);
}

static void sweep(struct agent *a)
{
	struct conn **at = &a->conns, *c;

	while (*at) {
		c = *at;
		if (!c->dead) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		conn_free(a, c);
		at = &a->conns; /* relays that ended may have marked others */
	}
}

static bool stranger_fits(const struct agent *a, uid_t uid)
{
	const struct conn *c;
	unsigned n = 0;

	if (a->stranger_count >= AGENT_STRANGERS_MAX)
		return false;
	for (c = a->conns; c; c = c->next)
		if (!c->admitted && c->peer.uid == uid)
			n++;
	return n < AGENT_STRANGERS_PER_UID;
}

/* Consumes *fd on success. */
static int conn_new(struct agent *a, int *fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN };
	struct policy_peer who;
	int r;

	if (!c)
		return -ENOMEM;
	c->handover.fd = -1;
	r = peer_identify(*fd, &c->peer);
	if (r < 0) {
		free(c);
		return r;
	}
	who = request_who(c);
	c->admitted = policy_admits(&a->policy, a->tenants, &who);
	ev.data.ptr = c;
	if (!c->admitted && !stranger_fits(a, c->peer.uid))
		r = -EMFILE;
	else if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, *fd, &ev) < 0)
		r = -errno;
	if (r < 0) {
		peer_done(&c->peer);
		free(c);
		return r;
	}
	c->fd = take_fd(fd);
	c->serial = ++a->next_serial;
	c->accepted_ms = c->last_ms = clock_boot_ms();
	c->next = a->conns;
	a->conns = c;
	a->conn_count++;
	if (!c->admitted)
		a->stranger_count++;
	return 0;
}

/* The listener stays readable while there is no descriptor to accept with: without a pause the loop would do nothing else. */
static void accept_pause(struct agent *a, int err)
{
	struct epoll_event ev = { .data.ptr = &a->listen_fd };

	if (!a->accept_fails)
		log_warning("cannot accept: %s; trying again every %d ms", strerror(err), AGENT_ACCEPT_PAUSE_MS);
	a->accept_fails = true;
	if (epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, a->listen_fd, &ev) == 0)
		a->accept_again_ms = clock_boot_ms() + AGENT_ACCEPT_PAUSE_MS;
}

static void accept_resume(struct agent *a, uint64_t now)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &a->listen_fd };

	if (a->accept_again_ms && now >= a->accept_again_ms && epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, a->listen_fd, &ev) == 0)
		a->accept_again_ms = 0;
}

static void accept_some(struct agent *a)
{
	int i, r;

	for (i = 0; i < ACCEPTS_PER_ROUND; i++) {
		AUTO_CLOSE int fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
				accept_pause(a, errno);
			return;
		}
		if (a->accept_fails)
			log_info("accepting again");
		a->accept_fails = false;
		if (a->conn_count >= AGENT_CONNECTIONS_MAX)
			continue; /* closed: the peer sees the end of the connection at once */
		r = conn_new(a, &fd);
		if (r < 0)
			log_debug("connection refused: %s", err_text(r));
	}
}

/* --- deadlines --- */

static void conn_tick(struct agent *a, struct conn *c, uint64_t now)
{
	if (c->handover.fd >= 0 && now >= c->handover.deadline_ms)
		server_drop(a, c, "a key was not acknowledged in time");
	else if (!c->admitted && now - c->accepted_ms >= AGENT_STRANGER_MS)
		server_drop(a, c, "not admitted");
	else if (!c->helloed && now - c->accepted_ms >= AGENT_HELLO_MS)
		server_drop(a, c, "no hello");
	else if (!c->mount && !c->has_scratch && !c->relays && !c->waits_for_key && now - c->last_ms >= AGENT_IDLE_MS)
		server_drop(a, c, "idle");
}

static void tick(struct agent *a)
{
	uint64_t now = clock_boot_ms();
	struct conn *c;

	relay_tick(a, now);
	request_lock_tick(a, now);
	lease_run_tick(a, now);
	kept_tick(a, now);
	credkeys_tick(a, now);
	accept_resume(a, now);
	audit_tick(a->audit);
	for (c = a->conns; c; c = c->next)
		conn_tick(a, c, now);
}

/* --- start --- */

int server_open(const struct agent_options *options, struct agent **ret_a)
{
	AUTO_AGENT struct agent *a = calloc(1, sizeof(*a));
	struct audit_event e = { .what = "agent.start" };
	struct agent_conf conf;
	int r;

	if (!a)
		return -ENOMEM;
	a->options = *options;
	a->policy.agent_uid = geteuid();
	a->listen_fd = a->epoll_fd = a->signal_fd = a->clock_fd = -1;
	a->state_dirfd = a->pins_dirfd = a->creds_dirfd = a->state_lock_fd = a->socket_lock_fd = -1;
	r = reload_first(a);
	if (r < 0)
		return r;
	r = lease_run_clock_open(&a->clock_fd);
	if (r < 0)
		return log_ret(r, "clock");
	r = jobs_new(&a->jobs);
	if (r < 0)
		return log_ret(r, "threads");
	r = server_state_signals(a);
	if (r < 0)
		return log_ret(r, "signals");
	r = server_state_open(a, &conf);
	if (r < 0)
		return r;
	audit_note(a->audit, &e); /* mounts that are there must be able to come back, recorded or not */
	reload_record(a);
	r = audit_thread_start(a->audit);
	if (r < 0)
		return log_ret(r, "threads");
	r = server_state_socket(a);
	if (r < 0)
		return r;
	r = server_state_watch(a);
	if (r < 0)
		return log_ret(r, "epoll");
	metrics_configure(&a->metrics, a, &conf.metrics);
	credsock_open(a);
	*ret_a = take_ptr(a);
	return 0;
}

static void signal_handle(struct agent *a)
{
	struct signalfd_siginfo si;

	while (read(a->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(a);
		else
			a->stopping = true;
	}
}

int server_run(struct agent *a)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	uint64_t next_tick = 0;
	int i, n;

	while (!a->stopping) {
		n = epoll_wait(a->epoll_fd, events, EVENTS_PER_ROUND, TICK_MS);
		if (n < 0 && errno != EINTR)
			return log_ret(-errno, "epoll");
		for (i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (events[i].data.ptr == &a->listen_fd)
				accept_some(a);
			else if (events[i].data.ptr == &a->signal_fd)
				signal_handle(a);
			else if (events[i].data.ptr == &a->clock_fd)
				lease_run_clock_jumped(a, a->clock_fd);
			else if (events[i].data.ptr == &a->jobs)
				jobs_reap(a->jobs, a);
			else if (events[i].data.ptr == &a->audit)
				audit_reap(a->audit);
			else if (events[i].data.ptr != &a->metrics && events[i].data.ptr != &a->credsock && !c->dead && conn_read(a, c) == -ENOMEM)
				server_drop(a, c, "out of memory");
		}
		metrics_run(a->metrics, a);
		credsock_run(a);
		if (clock_boot_ms() >= next_tick) {
			tick(a);
			server_state_alive(a);
			next_tick = clock_boot_ms() + TICK_MS;
		}
		audit_kick(a->audit);
		request_held_release(a);
		sweep(a);
	}
	notify_stopping();
	return 0;
}

void server_free(struct agent *a)
{
	struct audit_event e = { .what = "agent.stop" };
	struct conn *c;

	if (!a)
		return;
	credsock_leave(a);
	jobs_free(a->jobs, a);
	request_held_free_all(a);
	kept_free_all(a);
	credkeys_free_all(a);
	credsock_free(a);
	metrics_free(a->metrics);
	relay_free_all(a);
	while (a->conns) {
		c = a->conns;
		a->conns = c->next;
		conn_free(a, c);
	}
	if (a->audit)
		audit_note(a->audit, &e);
	if (a->own_socket)
		(void)unlink(a->options.socket_path);
	audit_free(a->audit);
	locks_free(a->locks);
	tenants_unref(a->tenants);
	auto_close_p(&a->listen_fd);
	auto_close_p(&a->epoll_fd);
	auto_close_p(&a->signal_fd);
	auto_close_p(&a->clock_fd);
	auto_close_p(&a->pins_dirfd);
	auto_close_p(&a->creds_dirfd);
	auto_close_p(&a->state_dirfd);
	auto_close_p(&a->socket_lock_fd);
	auto_close_p(&a->state_lock_fd);
	free(a);
}
