#include "base/bulk.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BOUNCE (1u << 20)
#define AT_ONCE (8u << 20)

static int plain(int fd, const uint8_t *p, size_t len, uint64_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* not for len > 0; but never loop on it */
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* A descriptor of its own, because the flag is of the description and others may write through fd. Below 0: not to be had. */
static int open_direct(int fd)
{
	char self[40];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return open(self, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

/* Writes whole blocks as far as it can: how many bytes. What stopped it, if anything did, a plain write of the rest will say. */
static size_t direct(int fd, const uint8_t *p, size_t len, uint64_t off)
{
	bool aligned = (uintptr_t)p % BULK_BLOCK == 0;
	AUTO_FREE uint8_t *bounce = aligned ? NULL : aligned_alloc(BULK_BLOCK, BOUNCE);
	size_t at = 0, n, most = aligned ? AT_ONCE : BOUNCE;
	ssize_t done;

	if (!aligned && !bounce)
		return 0;
	while (len - at >= BULK_BLOCK) {
		n = len - at < most ? len - at : most;
		n -= n % BULK_BLOCK;
		if (bounce)
			memcpy(bounce, p + at, n);
		done = pwrite(fd, bounce ? bounce : p + at, n, (off_t)(off + at));
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			break;
		at += (size_t)done;
		if (done % BULK_BLOCK != 0)
			break;
	}
	return at;
}

int bulk_write_at(int fd, const void *p, size_t len, uint64_t off)
{
	AUTO_CLOSE int own = -1;
	size_t done = 0;

	if (len >= BULK_FROM && off % BULK_BLOCK == 0)
		own = open_direct(fd);
	if (own >= 0)
		done = direct(own, p, len, off);
	return plain(fd, (const uint8_t *)p + done, len - done, off + done);
}
