/* slow_sync.c: LD_PRELOAD: a disk that takes its time to flush. */
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

int fsync(int fd)
{
	struct timespec t = { .tv_nsec = 300 * 1000 * 1000 };

	(void)nanosleep(&t, NULL);
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fsync(fd);
}
