/* notify.c: the only file that includes libsystemd. */
#include "base/notify.h"

#include <string.h>
#include <time.h>

#if HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

#include "base/text.h"

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_status(const char *text)
{
	char line[256] = "STATUS=";

	/* Escaped, so that a newline in it begins no assignment of its own. */
	(void)text_escape(text, strlen(text), line + strlen(line), sizeof(line) - strlen(line));
	(void)sd_notify(0, line);
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_reloading(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

bool notify_extend(unsigned seconds)
{
	return sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu", seconds * 1000000ull) > 0;
}

bool notify_watched(uint64_t *ret_usec)
{
	return sd_watchdog_enabled(0, ret_usec) > 0;
}

void notify_alive(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

int notify_listen_fds(int *ret_fds, size_t max)
{
	int n = sd_listen_fds(1);

	if (n < 0)
		return n;
	if (n == 0)
		return -ENOENT;
	if ((size_t)n > max)
		return -EINVAL;
	for (int i = 0; i < n; i++)
		ret_fds[i] = SD_LISTEN_FDS_START + i;
	return n;
}

int notify_unit_of_pid(pid_t pid, char *ret_unit, size_t size)
{
	AUTO_FREE char *unit = NULL;

	if (sd_pid_get_unit(pid, &unit) < 0)
		return -ENOENT;
	if (strlen(unit) >= size)
		return -ENAMETOOLONG;
	memcpy(ret_unit, unit, strlen(unit) + 1);
	return 0;
}
#else
void notify_ready(void)
{
}

void notify_status(const char *text)
{
	(void)text;
}

void notify_stopping(void)
{
}

void notify_reloading(void)
{
}

bool notify_extend(unsigned seconds)
{
	(void)seconds;
	return false;
}

bool notify_watched(uint64_t *ret_usec)
{
	(void)ret_usec;
	return false;
}

void notify_alive(void)
{
}

int notify_listen_fds(int *ret_fds, size_t max)
{
	(void)ret_fds;
	(void)max;
	return -ENOENT;
}

int notify_unit_of_pid(pid_t pid, char *ret_unit, size_t size)
{
	(void)pid;
	(void)ret_unit;
	(void)size;
	return -EOPNOTSUPP;
}
#endif
