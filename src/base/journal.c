/* journal.c: one datagram an entry, FIELD=value a line. */
#include "base/journal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int journal_send(const char *socket_path, const char *ident, int priority, const char *message, const char *field,
		 const char *value)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	AUTO_FREE char *text = NULL;
	int n;

	if (fd < 0)
		return -errno;
	if (strchr(message, '\n') || strchr(value, '\n') || strlen(socket_path) >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, socket_path, strlen(socket_path) + 1);
	n = asprintf(&text, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n%s=%s\n", priority, ident, message, field, value);
	if (n < 0)
		return -ENOMEM;
	if (sendto(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}
