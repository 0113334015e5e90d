/* ops_session.c: the mount point, the FUSE session on it, and its end (ops_impl.h). A session is mounted here, or goes on with the connection of one that was
 * (ops_hand.c): then libfuse knows no mount point, and unmounting is ours. */
#include "fs/ops_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/priv.h"

/* Of /dev/fuse: the misc devices, and FUSE among them. */
#define FUSE_MAJOR 10
#define FUSE_MINOR 229

static int mountpoint_fit(const char *path, bool nonempty)
{
	struct dirent *e;
	DIR *d;
	int r = 0;

	d = opendir(path);
	if (!d)
		return log_ret(-errno, "%s", path);
	while (!nonempty && r == 0) {
		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = -ENOTEMPTY;
	}
	(void)closedir(d);
	if (r < 0)
		log_err("%s: the mount point is not empty", path);
	return r;
}

static int device_there(void)
{
	struct stat st;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR))) {
		log_err("/dev/fuse: another device has this name");
		(void)close(fd);
		return -ENODEV;
	}
	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO)) {
		log_err("/dev/fuse: %s; load the fuse module, or give this container the device", strerror(errno));
		return -ENODEV;
	}
	if (fd >= 0)
		(void)close(fd);
	return 0; /* without permission fusermount3 may still do it */
}

static int session_args(const struct ops_params *p, struct fuse_args *args)
{
	char *opts = NULL, fsname[PATH_MAX + 16];
	struct volume_info info = { 0 };
	int bad;

	if (p->volume) /* else it is only tried */
		volume_info(p->volume, &info);
	(void)snprintf(fsname, sizeof(fsname), "fsname=%s", p->source ? p->source : "coffer");
	bad = fuse_opt_add_opt(&opts, "default_permissions,subtype=coffer") || fuse_opt_add_opt_escaped(&opts, fsname);
	if (p->allow_other)
		bad |= fuse_opt_add_opt(&opts, "allow_other");
	if (info.read_only)
		bad |= fuse_opt_add_opt(&opts, "ro");
	if (p->dev)
		bad |= fuse_opt_add_opt(&opts, "dev");
	if (p->suid)
		bad |= fuse_opt_add_opt(&opts, "suid");
	if (p->noexec)
		bad |= fuse_opt_add_opt(&opts, "noexec");
	if (!bad)
		bad = fuse_opt_add_arg(args, "coffer") || fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, opts);
	free(opts);
	return bad ? -ENOMEM : 0;
}

int ops_session_new(struct ops *o)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r;

	r = session_args(&o->params, &args);
	if (r == 0) {
		o->session = fuse_session_new(&args, &ops_req_table, sizeof(ops_req_table), o);
		if (!o->session)
			r = -EINVAL;
	}
	fuse_opt_free_args(&args);
	return r < 0 ? log_ret(r, "the FUSE session") : 0;
}

int ops_session_open(struct ops *o)
{
	int r;

	r = ops_session_new(o);
	if (r == 0 && o->params.hand)
		return ops_hand_open(o);
	if (r < 0)
		return r;
	priv_mounting(true);
	errno = 0;
	r = fuse_session_mount(o->session, o->mountpoint) == 0 ? 0 : errno ? -errno : -EPERM;
	priv_mounting(false);
	if (r < 0)
		return log_ret(r, "%s: not mounted", o->mountpoint);
	o->mounted = true;
	r = ops_raw_install(o, fuse_session_fd(o->session));
	if (r < 0)
		return log_ret(r, "the FUSE session");
	ops_deep_open(o);
	return 0;
}

int ops_check(const char *mountpoint, bool nonempty)
{
	int r;

	r = mountpoint_fit(mountpoint, nonempty);
	return r == 0 ? device_there() : r;
}

int ops_session_detach(struct ops *o, int flags)
{
	int r;

	priv_mounting(true);
	r = umount2(o->mountpoint, UMOUNT_NOFOLLOW | flags) < 0 ? -errno : 0;
	priv_mounting(false);
	o->detached |= r == 0;
	return r;
}

/* The mount of a session that was handed over. The last descriptor must be closed here, and libfuse closes its own later: so it gets another file. */
static void end_handed(struct ops *o)
{
	struct pollfd p = { .fd = fuse_session_fd(o->session) };
	bool there = !o->detached && poll(&p, 1, 0) == 0;
	AUTO_CLOSE int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		(void)dup3(fd, p.fd, O_CLOEXEC);
	if (there)
		(void)ops_session_detach(o, MNT_DETACH);
}

void ops_session_unmount(struct ops *o)
{
	if (o->handed) {
		end_handed(o);
		return;
	}
	priv_mounting(true);
	fuse_session_unmount(o->session);
	priv_mounting(false);
}
