/* cmd_live.c: umount, sync: commands about mounts. */
#include "tools/cmd.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/backing.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FREE_POLL_MS 20
#define FREE_WAIT_MS 600000

int cmd_holder_read(const struct cmd_holder *h, short *ret_type, char *ret_text)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	ssize_t n;

	if (fcntl(h->fd, F_OFD_GETLK, &fl) < 0)
		return -errno;
	n = pread(h->fd, ret_text, BACKING_LOCK_MAX - 1, 0); /* after the lock: who leaves says so first */
	if (n < 0)
		return -errno;
	ret_text[n] = '\0';
	*ret_type = fl.l_type;
	return 0;
}

int cmd_holder_open(const char *source, struct cmd_holder *ret_h)
{
	char path[PATH_MAX];
	short type;
	int r;

	*ret_h = (struct cmd_holder){ .fd = -1 };
	if (snprintf(path, sizeof(path), "%s/%s", source, NAME_LOCK) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	ret_h->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (ret_h->fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = cmd_holder_read(ret_h, &type, ret_h->text);
	ret_h->writes = r == 0 && type != F_UNLCK;
	return r;
}

static bool same_line(const char *a, const char *b)
{
	size_t n = strcspn(a, "\n");

	return n == strcspn(b, "\n") && memcmp(a, b, n) == 0;
}

/* Wait until that holder does not write to the volume any more: the lock is free, or somebody who waited for it has it already. ret_now: what
 * coffer.lock says then. */
static int holder_wait(const struct cmd_holder *h, char *ret_now)
{
	short type;
	int r;

	for (int i = 0; i < FREE_WAIT_MS / FREE_POLL_MS; i++) {
		r = cmd_holder_read(h, &type, ret_now);
		if (r < 0)
			return r;
		if (type == F_UNLCK || (*ret_now && !same_line(ret_now, h->text)))
			return 0;
		clock_pause_ms(FREE_POLL_MS);
	}
	return -EBUSY;
}

/* Did that holder bring everything to rest, as far as coffer.lock says? NULL: yes; else why not. Cuts up now. */
static const char *holder_verdict(const struct cmd_holder *h, char *now)
{
	const char *pid = strstr(h->text, " pid ");
	char *line = strchr(now, '\n'), *end;

	if (!line || !pid)
		return "it does not say";
	line++;
	if (!same_line(now, h->text)) {
		if (strncmp(line, BACKING_BEFORE, strlen(BACKING_BEFORE)) != 0 ||
		    strtol(line + strlen(BACKING_BEFORE), &end, 10) != strtol(pid + 5, NULL, 10) || *end != ' ')
			return "others have had the volume since, and it is not known";
		line = end + 1;
	}
	line[strcspn(line, "\n")] = '\0';
	text_mask(line);
	if (strcmp(line, BACKING_AT_REST) == 0)
		return NULL;
	if (strncmp(line, BACKING_NOT_AT_REST, strlen(BACKING_NOT_AT_REST)) == 0)
		return line + strlen(BACKING_NOT_AT_REST);
	return "the mount process died before it was done";
}

/* The rest of umount, once the mount is gone. */
static int await_rest(const char *name, const char *source, const struct cmd_holder *h, int rh)
{
	char now[BACKING_LOCK_MAX] = "";
	const char *why;

	if (rh == 0 && h->fd >= 0)
		rh = holder_wait(h, now);
	if (rh < 0)
		return cmd_fail(EXIT_CODE_BUSY, source, "unmounted, but perhaps still being written: %s", err_text(rh));
	why = h->writes ? holder_verdict(h, now) : NULL; /* who reads leaves nothing behind, and a mount that was dead before has said what it could */
	return why ? cmd_fail(EXIT_CODE_OTHER, name, "not everything could be brought to rest: %s; what was committed is in the log and comes home "
			      "at the next mount, the journal says more", why) : 0;
}

static int fusermount(const char *dir, bool lazy)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", lazy ? "-uz" : "-u", "--", dir, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

/* What a name of volumes.d has as mountpoint=; malloc'ed or NULL, nothing is said of a name that is not there. */
static char *mountpoint_of(const struct cmd_global *g, const char *name)
{
	AUTO_VOLUME_CONF struct volume_conf conf = { 0 };
	char path[PATH_MAX];

	if (strchr(name, '/') || snprintf(path, sizeof(path), "%s/volumes.d/%s.conf", g->config, name) >= (int)sizeof(path) ||
	    access(path, F_OK) < 0 || cmd_volume_conf(g, name, &conf) != 0)
		return NULL;
	return take_ptr(conf.mountpoint);
}

/* Does nobody hold that lock, to read or to write? */
static bool is_free(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type == F_UNLCK;
}

/* Has its process died? Asked past what the kernel remembers of the root. A mount of one user does not answer root: then the volume's lock, which dies with its
 * holder, tells. */
static bool is_dead(const char *dir, const struct cmd_holder *h)
{
	struct statx st;

	if (statx(AT_FDCWD, dir, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_MODE, &st) == 0)
		return false;
	return errno == ENOTCONN || errno == ECONNABORTED || (errno == EACCES && is_free(h->fd));
}

int cmd_unmount(const char *name, const char *dir, const char *source, int flags)
{
	bool lazy = flags & MNT_DETACH;
	struct cmd_holder h;
	int r, rh;

	rh = cmd_holder_open(source, &h);
	r = umount2(dir, UMOUNT_NOFOLLOW | flags) < 0 ? -errno : 0;
	if (r == -EBUSY && is_dead(dir, &h))
		r = umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0; /* dead: only its users' open files are left */
	if (r == -EPERM)
		r = fusermount(dir, lazy);
	if (r == 0) {
		r = lazy ? 0 : await_rest(name, source, &h, rh);
		auto_close_p(&h.fd);
		return r;
	}
	auto_close_p(&h.fd);
	if (r == -EBUSY)
		return cmd_fail(EXIT_CODE_BUSY, name, "in use: close what is open in it, or leave it as working directory");
	return cmd_fail(EXIT_CODE_OTHER, name, "not unmounted: %s", err_text(r));
}

int cmd_mount_find(const struct cmd_global *g, const char *name, char **ret_dir, char **ret_source)
{
	AUTO_FREE char *dir = cmd_absolute(name);
	AUTO_FREE char *source = dir ? cmd_mount_source(dir) : NULL;

	if (!source) {
		free(take_ptr(dir));
		dir = mountpoint_of(g, name);
		source = dir ? cmd_mount_source(dir) : NULL;
	}
	if (!source)
		return cmd_fail(EXIT_CODE_MOUNT_POINT, name, "no coffer volume is mounted there");
	*ret_dir = take_ptr(dir);
	*ret_source = take_ptr(source);
	return 0;
}

int cmd_umount(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE char *dir = NULL, *source = NULL;
	int r;

	if (argc != 2)
		return cmd_usage("umount", "needs one MOUNTPOINT");
	r = cmd_mount_find(g, argv[1], &dir, &source);
	return r == 0 ? cmd_unmount(argv[1], dir, source, 0) : r;
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
	r = client_sync(c, dir, cmd_mounter(dir));
	return r < 0 ? cmd_agent_fail(c, argv[1]) : 0;
}
