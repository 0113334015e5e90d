/* cmd_spawn.c: see cmd_spawn.h. */
#include "tools/cmd_spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define PAUSE_MS 50
#define GRACE_MS 10000 /* from SIGTERM to SIGKILL */

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_OTHER;
}

int cmd_spawn(const char *path, char *const argv[])
{
	pid_t pid;
	int status, r;

	r = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (r != 0)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status_of(status);
}

int cmd_spawn_self(const struct cmd_global *g, const char *command, const char *a, const char *b)
{
	const char *argv[8] = { "coffer", "--quiet" };
	size_t n = 2;
	int r;

	if (g->agent) {
		argv[n++] = "--agent";
		argv[n++] = g->agent;
	}
	argv[n++] = command;
	argv[n++] = a;
	argv[n] = b;
	r = cmd_spawn("/proc/self/exe", (char *const *)(uintptr_t)argv);
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, command, "cannot be started: %s", err_text(r)) : r;
}

/* ---- a shell */

static int start_shell(const char *text, const char *dir, pid_t *ret_pid)
{
	const char *argv[] = { "sh", "-c", text, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	r = posix_spawnattr_init(&attr);
	if (r != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	r = posix_spawn_file_actions_addchdir_np(&actions, dir);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	if (r == 0)
		r = posix_spawnattr_setpgroup(&attr, 0);
	if (r == 0)
		r = posix_spawn(ret_pid, "/bin/sh", &actions, &attr, (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int cmd_spawn_shell(const char *text, const char *dir, bool (*stop)(void))
{
	uint64_t kill_ms = 0;
	int status, r;
	pid_t pid, got;

	r = start_shell(text, dir, &pid);
	if (r < 0)
		return r;
	for (;;) {
		got = waitpid(pid, &status, WNOHANG);
		if (got == pid)
			break;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (stop() && !kill_ms) {
			(void)kill(-pid, SIGTERM);
			kill_ms = clock_boot_ms() + GRACE_MS;
		}
		if (kill_ms && clock_boot_ms() > kill_ms)
			(void)kill(-pid, SIGKILL);
		clock_pause_ms(PAUSE_MS);
	}
	(void)kill(-pid, SIGKILL); /* what it left behind would keep the mount */
	return kill_ms ? -EINTR : status_of(status);
}
