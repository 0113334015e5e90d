/* cmd_live.c: umount, sync, status: commands about mounts. */
#include "tools/cmd.h"

#include "base/json.h"
#include "base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define FREE_POLL_MS 20
#define FREE_WAIT_MS 600000
#define HOLDER_MAX 256
#define STATUS_MAX (16u << 20)

struct holder {
	int fd;                  /* coffer.lock; -1: there is none */
	char text[HOLDER_MAX];   /* who had it before we unmounted */
};

static int holder_open(const char *source, struct holder *ret_h)
{
	char path[PATH_MAX];
	ssize_t n;

	*ret_h = (struct holder){ .fd = -1 };
	if (snprintf(path, sizeof(path), "%s/%s", source, NAME_LOCK) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	ret_h->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (ret_h->fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = pread(ret_h->fd, ret_h->text, sizeof(ret_h->text) - 1, 0);
	return n < 0 ? -errno : 0;
}

/* Wait until that holder does not write to the volume any more: the lock is free, or somebody who waited for it has it already. */
static int holder_wait(const struct holder *h)
{
	struct timespec pause = { .tv_nsec = FREE_POLL_MS * 1000000L };
	char now[HOLDER_MAX] = "";
	struct flock fl;

	for (int i = 0; h->fd >= 0 && i < FREE_WAIT_MS / FREE_POLL_MS; i++) {
		fl = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET };
		if (fcntl(h->fd, F_OFD_GETLK, &fl) < 0 || pread(h->fd, now, sizeof(now) - 1, 0) < 0)
			return -errno;
		if (fl.l_type == F_UNLCK || (*now && strcmp(now, h->text) != 0))
			return 0;
		memset(now, 0, sizeof(now));
		(void)nanosleep(&pause, NULL);
	}
	return h->fd < 0 ? 0 : -EBUSY;
}

static int fusermount(const char *dir)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "--", dir, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

/* What a name of volumes.d has as mountpoint=; malloc'ed or NULL, nothing is said. */
static char *mountpoint_of(const struct cmd_global *g, const char *name)
{
	char *dir = NULL, *options = NULL, path[PATH_MAX];

	if (strchr(name, '/') || snprintf(path, sizeof(path), "%s/volumes.d/%s.conf", g->config, name) >= (int)sizeof(path) ||
	    access(path, F_OK) < 0 || cmd_volume_mount(g, name, &dir, &options) != 0)
		return NULL;
	free(options);
	return dir;
}

int cmd_umount(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE char *dir = NULL, *source = NULL;
	struct holder h;
	struct stat st;
	int r, rh;

	if (argc != 2)
		return cmd_usage("umount", "needs one MOUNTPOINT");
	dir = cmd_absolute(argv[1]);
	source = dir ? cmd_mount_source(dir) : NULL;
	if (!source) {
		free(dir);
		dir = mountpoint_of(g, argv[1]);
		source = dir ? cmd_mount_source(dir) : NULL;
	}
	if (!source)
		return cmd_fail(EXIT_CODE_MOUNT_POINT, argv[1], "no coffer volume is mounted there");
	rh = holder_open(source, &h);
	r = umount2(dir, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
	if (r == -EBUSY && stat(dir, &st) < 0 && errno == ENOTCONN)
		r = umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0; /* dead: only its users' open files are left */
	if (r == -EPERM)
		r = fusermount(dir);
	if (r == 0) {
		r = rh < 0 ? rh : holder_wait(&h);
		auto_close_p(&h.fd);
		return r < 0 ? cmd_fail(EXIT_CODE_BUSY, source, "unmounted, but perhaps still being written: %s", err_text(r)) : 0;
	}
	auto_close_p(&h.fd);
	if (r == -EBUSY)
		return cmd_fail(EXIT_CODE_BUSY, argv[1], "in use: close what is open in it, or leave it as working directory");
	return cmd_fail(EXIT_CODE_OTHER, argv[1], "not unmounted: %s", err_text(r));
}

int cmd_sync(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = NULL;
	AUTO_FREE char *dir = NULL, *source = NULL;
	int r;

	if (argc != 2)
		return cmd_usage("sync", "needs one MOUNTPOINT");
	dir = cmd_absolute(argv[1]);
	source = dir ? cmd_mount_source(dir) : NULL;
	if (!source)
		return cmd_fail(EXIT_CODE_MOUNT_POINT, argv[1], "no coffer volume is mounted there");
	c = client_new(g->agent);
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, argv[1], "out of memory");
	r = client_connect(c);
	if (r < 0)
		return cmd_agent_fail(c, "agent");
	r = client_sync(c, dir);
	return r < 0 ? cmd_agent_fail(c, argv[1]) : 0;
}

/* ---- status */

static const char *text_of(const struct json *o, const char *key)
{
	const char *s;

	return json_get_str(o, key, &s) < 0 ? "-" : s;
}

static int64_t number_of(const struct json *o, const char *key)
{
	int64_t n;

	return json_get_int(o, key, &n) < 0 ? 0 : n;
}

static int status_print(const char *text)
{
	AUTO_JSON struct json *o = NULL;
	const struct json *mounts, *m, *lease;
	int r;

	r = json_parse(text, strlen(text), STATUS_MAX, &o);
	if (r == 0)
		r = json_get_array(o, "mounts", &mounts);
	if (r < 0)
		return r;
	if (json_array_len(mounts) == 0) {
		(void)puts("nothing is mounted");
		return 0;
	}
	(void)printf("%-24s %-12s %-10s %-8s %8s %10s %6s\n", "MOUNTPOINT", "TENANT", "STATE", "LEASE", "PID", "DIRTY KiB", "ERRORS");
	for (size_t i = 0; i < json_array_len(mounts); i++) {
		m = json_array_at(mounts, i);
		(void)printf("%-24s %-12s %-10s %-8s %8lld %10lld %6lld\n", text_of(m, "mountpoint"), text_of(m, "tenant"),
			     text_of(m, "state"), json_get_object(m, "lease", &lease) < 0 ? "-" : text_of(lease, "state"),
			     (long long)number_of(m, "pid"), (long long)number_of(m, "dirty_bytes") / 1024,
			     (long long)number_of(m, "integrity_failures"));
	}
	return 0;
}

int cmd_status(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	AUTO_FREE char *text = NULL;
	int r;

	(void)argv;
	if (argc != 1)
		return cmd_usage("status", "takes no arguments");
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "status", "out of memory");
	r = client_connect(c);
	if (r < 0) {
		if (g->json)
			(void)puts("{\"version\":1,\"agent\":{\"reachable\":false},\"mounts\":[]}");
		return cmd_agent_fail(c, "agent");
	}
	r = client_status(c, &text);
	if (r < 0)
		return cmd_agent_fail(c, "agent");
	if (g->json) {
		(void)puts(text);
		return 0;
	}
	r = status_print(text);
	return r < 0 ? cmd_fail(EXIT_CODE_OTHER, "agent", "its answer is not understood: %s", err_text(r)) : 0;
}
