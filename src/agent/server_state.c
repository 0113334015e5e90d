/* server_state.c: the state directory (docs/protocol.md, "State"): one agent at a time, and nothing served without all of it; and what the loop waits for. */
#include "agent/agent.h"
#include "agent/agent_conf.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/jobs.h"
#include "agent/listen.h"
#include "agent/pins.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/notify.h"

int server_state_open(struct agent *a, struct agent_conf *ret_conf)
{
	const char *dir = a->options.state_dir;
	int r;

	r = fileio_mkdirs(dir, 0700);
	if (r < 0)
		return log_ret(r, "%s", dir);
	a->state_dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->state_dirfd < 0)
		return log_ret(-errno, "%s", dir);
	a->state_lock_fd = openat(a->state_dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (a->state_lock_fd < 0)
		return log_ret(-errno, "%s/lock", dir);
	if (flock(a->state_lock_fd, LOCK_EX | LOCK_NB) < 0)
		return log_ret(-EBUSY, "%s: another agent uses this state", dir);
	if (mkdirat(a->state_dirfd, "volumes", 0700) < 0 && errno != EEXIST)
		return log_ret(-errno, "%s/volumes", dir);
	a->pins_dirfd = openat(a->state_dirfd, "volumes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a->pins_dirfd < 0)
		return log_ret(-errno, "%s/volumes", dir);
	r = pins_sweep_scratch(a->pins_dirfd);
	if (r < 0)
		log_warning("%s/volumes: pins of scratch volumes cannot be removed: %s; ignoring", dir, err_text(r));
	if (mkdirat(a->state_dirfd, "credentials", 0700) < 0 && errno != EEXIST)
		return log_ret(-errno, "%s/credentials", dir);
	a->creds_dirfd = openat(a->state_dirfd, "credentials", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a->creds_dirfd < 0)
		return log_ret(-errno, "%s/credentials", dir);
	r = locks_open(a->state_dirfd, &a->locks);
	if (r < 0)
		return log_ret(r, "%s/locks.json: cannot be read; without it what an operator locked would be opened", dir);
	r = agent_conf_load(a->options.config_dir, ret_conf);
	if (r < 0)
		return r;
	log_set_level(ret_conf->log_level);
	memcpy(a->conf_hash, ret_conf->hash, sizeof(a->conf_hash));
	return audit_open(a->state_dirfd, &ret_conf->audit, a->options.version, &a->audit);
}

int server_state_socket(struct agent *a)
{
	int r;

	if (a->options.listen_fd >= 0) {
		a->listen_fd = a->options.listen_fd;
		r = listen_adopt(a->listen_fd, SOCK_SEQPACKET);
		return r < 0 ? log_ret(r, "the socket handed over by the service manager") : 0;
	}
	r = listen_bind(a->options.socket_path, &a->listen_fd, &a->socket_lock_fd);
	if (r == -EBUSY)
		return log_ret(r, "%s: an agent serves it already", a->options.socket_path);
	if (r < 0)
		return log_ret(r, "%s", a->options.socket_path);
	a->own_socket = true;
	return 0;
}

int server_state_signals(struct agent *a)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signal_fd < 0 ? -errno : 0;
}

int server_state_watch(struct agent *a)
{
	const struct {
		int fd;
		void *ptr; /* tells events apart */
	} watched[] = {
		{ a->listen_fd, &a->listen_fd }, { a->clock_fd, &a->clock_fd },    { jobs_fd(a->jobs), &a->jobs },
		{ audit_fd(a->audit), &a->audit }, { a->signal_fd, &a->signal_fd },
	};
	struct epoll_event ev = { .events = EPOLLIN };
	size_t i;

	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (a->epoll_fd < 0)
		return -errno;
	for (i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		ev.data.ptr = watched[i].ptr;
		if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, watched[i].fd, &ev) < 0)
			return -errno;
	}
	return 0;
}

void server_state_alive(struct agent *a)
{
	uint64_t usec = 0, now = clock_boot_ms();

	if (now < a->alive_ms)
		return;
	if (!notify_watched(&usec)) {
		a->alive_ms = UINT64_MAX;
		return;
	}
	notify_alive();
	a->alive_ms = now + usec / 4000; /* four times as often as must be */
}
