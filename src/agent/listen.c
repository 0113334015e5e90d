/* listen.c: bind beside the name, then rename over it: who connects meets the old socket or the new one, never none.
 * The lock file keeps two starting agents apart; the trial connect finds a live agent that does not hold it (one that the service
 * manager's socket serves). */
#include "agent/listen.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fileio.h"

#define BACKLOG 128

static int address_fill(const char *path, const char *suffix, struct sockaddr_un *ret_sa)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n;

	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s%s", path, suffix);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	*ret_sa = sa;
	return 0;
}

static int socket_new(int type, int *ret_fd)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* -EBUSY a live agent, 0 none. */
static int trial_connect(const char *path)
{
	AUTO_CLOSE int fd = -1;
	struct sockaddr_un sa;
	int r;

	r = address_fill(path, "", &sa);
	if (r < 0)
		return r;
	r = socket_new(SOCK_SEQPACKET, &fd);
	if (r < 0)
		return r;
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN)
		return -EBUSY;
	if (errno == ENOENT || errno == ECONNREFUSED)
		return 0;
	return errno == EPROTOTYPE ? -EEXIST : -errno;
}

/* Only a socket is ever replaced. */
static int place_check(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISSOCK(st.st_mode) ? 0 : -EEXIST;
}

static int lock_take_file(const char *path, int *ret_fd)
{
	AUTO_FREE char *name = NULL;
	AUTO_CLOSE int fd = -1;

	if (asprintf(&name, "%s.lock", path) < 0)
		return -ENOMEM;
	fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int directory_make(const char *path)
{
	AUTO_FREE char *dir = strdup(path);
	char *slash;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return fileio_mkdirs(dir, 0755);
}

int listen_adopt(int fd, int type)
{
	int v = 0, one = 1;
	socklen_t len = sizeof(v);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &len) < 0 || v != type)
		return -EINVAL;
	len = sizeof(v);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &len) < 0 || v != 1)
		return -EINVAL;
	/* Accepted connections inherit it: each packet then tells which process sent it. */
	if (type == SOCK_SEQPACKET && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0)
		return -errno;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int bind_beside(const char *path, int type, mode_t mode, int *ret_fd)
{
	AUTO_CLOSE int fd = -1;
	struct sockaddr_un sa;
	int r;

	r = address_fill(path, ".new", &sa);
	if (r < 0)
		return r;
	r = socket_new(type, &fd);
	if (r < 0)
		return r;
	if (unlink(sa.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	if (chmod(sa.sun_path, mode) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r >= 0)
		r = listen_adopt(fd, type);
	if (r >= 0 && rename(sa.sun_path, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(sa.sun_path);
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int listen_bind(const char *path, int *ret_fd, int *ret_lock_fd)
{
	AUTO_CLOSE int lock_fd = -1;
	int r;

	r = directory_make(path);
	if (r >= 0)
		r = place_check(path);
	if (r >= 0)
		r = lock_take_file(path, &lock_fd);
	if (r >= 0)
		r = trial_connect(path);
	if (r >= 0)
		r = bind_beside(path, SOCK_SEQPACKET, 0666, ret_fd);
	if (r < 0)
		return r;
	*ret_lock_fd = take_fd(&lock_fd);
	return 0;
}

int listen_stream(const char *path, mode_t mode, int *ret_fd)
{
	int r = place_check(path);

	return r < 0 ? r : bind_beside(path, SOCK_STREAM, mode, ret_fd);
}
