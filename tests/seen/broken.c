/* broken.c: preloaded, a filesystem that lacks what engines need: for the test of coffer doctor. BROKEN names one thing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is(const char *what)
{
	const char *broken = getenv("BROKEN");

	return broken && strcmp(broken, what) == 0;
}

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
	if (is("exchange") && flags) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, a, to, b, flags);
}

/* Each lock is granted, as on some network filesystems. */
int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return is("locks") && cmd == F_SETLK ? 0 : (int)syscall(SYS_fcntl, fd, cmd, arg);
}

/* What was written reads as zeros. */
ssize_t pread(int fd, void *p, size_t n, off_t off)
{
	if (!is("reads"))
		return syscall(SYS_pread64, fd, p, n, off);
	memset(p, 0, n);
	return (ssize_t)n;
}

ssize_t __pread_chk(int fd, void *p, size_t n, off_t off, size_t room);
ssize_t __pread_chk(int fd, void *p, size_t n, off_t off, size_t room)
{
	(void)room;
	return pread(fd, p, n, off);
}
