/* peer.c: SO_PEERCRED says who connected; a pidfd makes sure that the number goes on meaning that process. Linux 6.5 and
 * later hands the pidfd of the connecting process itself (SO_PEERPIDFD). Before, it is opened by number, with the start time read
 * before and after: equal means that the number was not reused in between. (A number reused between connect and accept
 * stays unnoticed there; the new owner would have to run as the same uid for it to matter, since uid is of the connect.) */
#include "agent/peer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/fileio.h"
#include "base/notify.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define STAT_MAX 4096
#define START_TIME_FIELD 22
#define PEER_START_UNKNOWN UINT64_MAX

/* Field 22 of /proc/PID/stat; field 2 may hold blanks and parentheses, so count from the last ')'. */
static int start_time_parse(const char *text, uint64_t *ret_t)
{
	const char *p = strrchr(text, ')');
	char *end;
	int field;

	if (!p)
		return -EPERM;
	for (field = 2; field < START_TIME_FIELD; field++) {
		p = strchr(p, ' ');
		if (!p)
			return -EPERM;
		p++;
	}
	errno = 0;
	*ret_t = strtoull(p, &end, 10);
	return errno != 0 || end == p ? -EPERM : 0;
}

static int start_time_read(pid_t pid, uint64_t *ret_t)
{
	AUTO_CLOSE int fd = -1;
	char path[32], text[STAT_MAX];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -EPERM;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	return start_time_parse(text, ret_t);
}

static bool has_exited(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/* By number, as far as a number can be trusted. */
static int pidfd_by_pid(pid_t pid, uint64_t *ret_start, int *ret_fd)
{
	AUTO_CLOSE int fd = -1;
	uint64_t before, after;
	int r;

	r = start_time_read(pid, &before);
	if (r < 0)
		return r;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	r = start_time_read(pid, &after);
	if (r < 0)
		return r;
	if (before != after)
		return -ESRCH;
	*ret_start = after;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int pidfd_get(int sock, pid_t pid, uint64_t *ret_start, int *ret_fd)
{
	socklen_t len = sizeof(int);
	int fd = -1;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) < 0)
		return errno == ENOPROTOOPT || errno == EOPNOTSUPP ? pidfd_by_pid(pid, ret_start, ret_fd) : -ESRCH;
	/* The pidfd alone suffices; the start time is a second witness where /proc shows it (hidepid=). */
	if (start_time_read(pid, ret_start) < 0)
		*ret_start = PEER_START_UNKNOWN;
	*ret_fd = fd;
	return 0;
}

int peer_identify(int sock, struct peer *ret_p)
{
	struct peer p = { .pidfd = -1 };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int r;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (cred.pid <= 0)
		return -EPERM; /* of another pid namespace */
	p.pid = cred.pid;
	p.uid = cred.uid;
	r = pidfd_get(sock, cred.pid, &p.start_time, &p.pidfd);
	if (r < 0)
		return r;
	r = notify_unit_of_pid(cred.pid, p.unit, sizeof(p.unit));
	if (r < 0)
		p.unit[0] = '\0';
	r = peer_check(&p);
	if (r < 0) {
		peer_done(&p);
		return r;
	}
	*ret_p = p;
	return 0;
}

int peer_check(const struct peer *p)
{
	uint64_t t;
	int r;

	if (has_exited(p->pidfd))
		return -ESRCH;
	if (p->start_time == PEER_START_UNKNOWN)
		return 0;
	r = start_time_read(p->pid, &t);
	if (r < 0)
		return r;
	return t == p->start_time && !has_exited(p->pidfd) ? 0 : -ESRCH;
}

static ssize_t uid_map_read(const char *of, char ret_text[static STAT_MAX])
{
	AUTO_CLOSE int fd = -1;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%s/uid_map", of);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : read(fd, ret_text, STAT_MAX);
}

bool peer_shares_users(const struct peer *p)
{
	char own[STAT_MAX], its[STAT_MAX], pid[24];
	ssize_t n;

	(void)snprintf(pid, sizeof(pid), "%ld", (long)p->pid);
	n = uid_map_read("self", own);
	return n > 0 && uid_map_read(pid, its) == n && memcmp(own, its, (size_t)n) == 0 && peer_check(p) == 0;
}

void peer_done(struct peer *p)
{
	if (p->pidfd >= 0)
		(void)close(p->pidfd);
	p->pidfd = -1;
}
