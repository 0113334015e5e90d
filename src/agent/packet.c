/* packet.c: SOCK_SEQPACKET with descriptors (docs/protocol.md, "Transport"). */
#include "agent/packet.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/secret.h"

#define SEALS_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define FDS_IN_PACKET 8 /* room to find and close what should not be there */

int packet_send(int sock, const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == iov.iov_len ? 0 : -EMSGSIZE;
}

struct received {
	int fds[FDS_IN_PACKET];
	size_t count;
	bool odd;
};

static void control_take(struct msghdr *msg, struct received *got, struct packet_from *from)
{
	struct cmsghdr *c;
	struct ucred cred;
	size_t n;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
		    c->cmsg_len == CMSG_LEN(sizeof(cred))) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			*from = (struct packet_from){ .known = true, .pid = cred.pid, .uid = cred.uid };
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			if (n > FDS_IN_PACKET - got->count)
				n = FDS_IN_PACKET - got->count; /* cannot be: the control buffer has no room for more */
			memcpy(got->fds + got->count, CMSG_DATA(c), n * sizeof(int));
			got->count += n;
		} else {
			got->odd = true;
		}
	}
}

int packet_recv(int sock, void *buf, size_t size, bool want_fd, int *ret_fd, struct packet_from *ret_from)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_IN_PACKET * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
	struct packet_from from = { 0 };
	struct received got = { .count = 0 };
	ssize_t n;
	size_t i;
	int r = 0;

	/* Without room for descriptors the kernel discards them: closing one of a hostile filesystem could make us wait. */
	msg.msg_controllen = want_fd ? sizeof(control.bytes) : CMSG_SPACE(sizeof(struct ucred));
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	control_take(&msg, &got, &from);
	if (msg.msg_flags & MSG_TRUNC)
		r = -EMSGSIZE;
	else if (got.odd || got.count > 1 || (want_fd && (msg.msg_flags & MSG_CTRUNC)))
		r = -EPROTO;
	if (r < 0 || !want_fd) {
		for (i = 0; i < got.count; i++)
			(void)close(got.fds[i]);
		got.count = 0;
	}
	*ret_from = from;
	if (r < 0)
		return r;
	*ret_fd = got.count == 1 ? got.fds[0] : -1;
	return (int)n;
}

int packet_wait(int sock, bool writing, uint64_t deadline_ms)
{
	struct pollfd p = { .fd = sock, .events = writing ? POLLOUT : POLLIN };
	uint64_t now;
	int r;

	for (;;) {
		now = clock_boot_ms();
		if (now >= deadline_ms)
			return -ETIMEDOUT;
		r = poll(&p, 1, deadline_ms - now > 60000 ? 60000 : (int)(deadline_ms - now));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

int packet_seal(const void *p, size_t len, int *ret_fd)
{
	AUTO_CLOSE int fd = -1;
	int r;

	fd = memfd_create("coffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = fileio_write_full(fd, p, len);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, SEALS_ALL) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

int packet_read_sealed(int fd, size_t max, uint8_t **ret_p, size_t *ret_len)
{
	AUTO_FREE uint8_t *p = NULL;
	struct stat st;
	size_t done = 0;
	ssize_t n;
	int seals;

	/* Only memory files know seals, so from here on no foreign filesystem is asked. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS_ALL) != SEALS_ALL)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EPROTO;
	p = malloc((size_t)st.st_size + 1);
	if (!p)
		return -ENOMEM;
	while (done < (size_t)st.st_size) {
		n = pread(fd, p + done, (size_t)st.st_size - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPROTO;
		done += (size_t)n;
	}
	p[done] = '\0';
	*ret_p = take_ptr(p);
	*ret_len = done;
	return 0;
}

/* Memory of this kernel, not a file of somebody's filesystem? memfd knows seals; secretmem is on the one device that all of it is on, and statx does not wait
 * when it is told not to. */
static bool is_memory(int fd)
{
	AUTO_SECRET struct secret *s = NULL;
	AUTO_CLOSE int own = -1;
	struct statx x;
	struct stat st;

	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	if (secret_new(1, &s) < 0 || secret_to_fd(s, &own) < 0 || fcntl(own, F_GET_SEALS) >= 0 || fstat(own, &st) < 0)
		return false;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &x) < 0)
		return false;
	return makedev(x.stx_dev_major, x.stx_dev_minor) == st.st_dev;
}

int packet_read_secret(int fd, size_t len, struct secret **ret_s)
{
	int r;

	if (!is_memory(fd))
		return -EPROTO;
	r = secret_from_fd(fd, len, ret_s);
	if (r >= 0)
		packet_wipe_secret(fd, len);
	return r;
}

void packet_wipe_secret(int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return;
	secret_wipe(p, len);
	(void)munmap(p, len);
}
