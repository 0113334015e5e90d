/* journal.c: one datagram an entry, FIELD=value a line. */
#include "base/journal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define IOV_HEAD 1
#define IOV_FIELD 4 /* name, equals sign, value, line feed */

/* What iov_base wants is not const; sendmsg writes nothing there. */
static struct iovec piece(const char *text)
{
	union {
		const char *in;
		void *out;
	} p = { .in = text };

	return (struct iovec){ .iov_base = p.out, .iov_len = strlen(text) };
}

int journal_send(const char *socket_path, const char *ident, int priority, const char *message, const struct journal_field *fields, size_t count)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct iovec iov[IOV_HEAD + IOV_FIELD * JOURNAL_FIELDS_MAX];
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct msghdr msg = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov };
	AUTO_FREE char *head = NULL;
	size_t n = 0;

	if (fd < 0)
		return -errno;
	if (strchr(message, '\n') || strlen(socket_path) >= sizeof(to.sun_path) || count > JOURNAL_FIELDS_MAX)
		return -EINVAL;
	memcpy(to.sun_path, socket_path, strlen(socket_path) + 1);
	if (asprintf(&head, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n", priority, ident, message) < 0)
		return -ENOMEM;
	iov[n++] = piece(head);
	for (size_t i = 0; i < count; i++) {
		if (strchr(fields[i].value, '\n'))
			return -EINVAL;
		iov[n++] = piece(fields[i].name);
		iov[n++] = piece("=");
		iov[n++] = piece(fields[i].value);
		iov[n++] = piece("\n");
	}
	msg.msg_iovlen = n;
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}
