/* doctor_volume.c: a volume's directory and its mount point. What the backing can is tried on a file without a name (O_TMPFILE), so nothing of the volume is touched and
 * nobody sees it; a name is made only for a moment, of the kind that the volume ignores. */
#include "tools/doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "fs/backing.h"

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#define OPEN_TREE_CLONE_ 1
#define SCRATCH "coffer.doctor"          /* encrypted names have no dot; the volume ignores it */
#define SPACE_PERCENT 5
#define BLOCK 4096

/* ---- what the backing filesystem can */

static void fitness(struct doctor *d, int root_fd)
{
	char why[256] = "";
	int r;

	log_hold();
	r = backing_check(lower_real(), root_fd, false);
	(void)log_release(why, sizeof(why));
	doctor_row(d, "backing", r == 0 ? DOCTOR_OK : DOCTOR_FAIL, "ext4, XFS, btrfs or ZFS on a local disk", "%s",
		   r == 0 ? "a filesystem that keeps what was fsynced" : why[0] ? why : err_text(r));
}

static void with_file(struct doctor *d, int fd)
{
	char value[] = "x", path[64];
	int direct;

	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * BLOCK) < 0)
		doctor_row(d, "backing fallocate", DOCTOR_WARN, NULL, "%s: a full disk is met by writes, not before", strerror(errno));
	else if (ftruncate(fd, 4 * BLOCK) < 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, BLOCK) < 0)
		doctor_row(d, "backing fallocate", DOCTOR_WARN, NULL, "no holes (%s): space that a punch freed does not come back", strerror(errno));
	else
		doctor_row(d, "backing fallocate", DOCTOR_OK, NULL, "space is allocated, and given back");
	if (fsetxattr(fd, "user.coffer.doctor", value, 1, 0) < 0)
		doctor_row(d, "backing xattr", DOCTOR_WARN, "mount it with user_xattr", "%s: no extended attributes in the mount", strerror(errno));
	else
		doctor_row(d, "backing xattr", DOCTOR_OK, NULL, "user attributes work");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (direct < 0)
		doctor_row(d, "backing O_DIRECT", DOCTOR_WARN, NULL, "%s: content is cached twice, and slower", strerror(errno));
	else
		doctor_row(d, "backing O_DIRECT", DOCTOR_OK, NULL, "works");
	if (direct >= 0)
		(void)close(direct);
	if (fsync(fd) < 0)
		doctor_row(d, "backing fsync", DOCTOR_FAIL, "look at the disk", "%s", strerror(errno));
}

/* L7: a directory's fsync must make a new link in it durable; that it does not fail is all that can be seen from here. */
static void links(struct doctor *d, int root_fd)
{
	bool made = symlinkat("x", root_fd, SCRATCH) == 0 || errno == EEXIST;
	int r = made ? 0 : -errno, rs;

	rs = fsync(root_fd) < 0 ? -errno : 0;
	if (made)
		(void)unlinkat(root_fd, SCRATCH, 0);
	if (r < 0 || rs < 0)
		doctor_row(d, "backing links", DOCTOR_FAIL, NULL, "%s: %s", r < 0 ? "no symbolic link can be made" : "a directory cannot be flushed",
			   err_text(r < 0 ? r : rs));
	else
		doctor_row(d, "backing links", DOCTOR_OK, NULL, "symbolic links, and their directory is flushed");
}

static void entry_types(struct doctor *d, int root_fd)
{
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool known = true;

	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((e = readdir(dir)))
		known = known && e->d_type != DT_UNKNOWN;
	(void)closedir(dir);
	doctor_row(d, "backing d_type", known ? DOCTOR_OK : DOCTOR_WARN, "XFS: made with ftype=1", "%s",
		   known ? "directories say what their entries are" : "directories do not say what their entries are: listings ask about each");
}

static void abilities(struct doctor *d, int root_fd)
{
	AUTO_CLOSE int fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int err = errno;

	if (fd < 0 && (err == EROFS || err == EACCES)) {
		doctor_row(d, "backing", DOCTOR_WARN, NULL, "%s: what it can was not tried; only -o ro works here", strerror(err));
		return;
	}
	if (fd < 0) {
		doctor_row(d, "backing O_TMPFILE", DOCTOR_WARN, NULL, "%s: nothing here needs it, but it is unusual", strerror(err));
		fd = openat(root_fd, SCRATCH, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		(void)unlinkat(root_fd, SCRATCH, 0);
	} else {
		doctor_row(d, "backing O_TMPFILE", DOCTOR_OK, NULL, "works");
	}
	if (fd >= 0)
		with_file(d, fd);
	links(d, root_fd);
	entry_types(d, root_fd);
}

/* ---- room */

static void room(struct doctor *d, int root_fd)
{
	struct stat log = { 0 }, reserve = { 0 };
	struct statvfs v;

	if (fstatat(root_fd, NAME_LOG, &log, AT_SYMLINK_NOFOLLOW) == 0)
		doctor_row(d, "log", DOCTOR_OK, NULL, "%llu MiB; commits of more wait for a checkpoint (log-size=)", (unsigned long long)log.st_size >> 20);
	if (fstatat(root_fd, NAME_RESERVE, &reserve, AT_SYMLINK_NOFOLLOW) < 0 || reserve.st_size == 0)
		doctor_row(d, "ballast", DOCTOR_WARN, "make room below; a mount fills it again by itself",
			   "there is none: on a full disk what was committed may not find its place at once");
	else if ((uint64_t)reserve.st_blocks * 512 < (uint64_t)reserve.st_size)
		doctor_row(d, "ballast", DOCTOR_WARN, "make room below; a mount fills it again by itself", "of %llu MiB only %llu are there",
			   (unsigned long long)reserve.st_size >> 20, (unsigned long long)reserve.st_blocks * 512 >> 20);
	else
		doctor_row(d, "ballast", DOCTOR_OK, NULL, "%llu MiB are set aside for a full disk", (unsigned long long)reserve.st_size >> 20);
	if (fstatvfs(root_fd, &v) == 0 && v.f_blocks > 0) {
		uint64_t percent = (uint64_t)v.f_bavail * 100 / v.f_blocks;

		doctor_row(d, "space", percent < SPACE_PERCENT ? DOCTOR_WARN : DOCTOR_OK, "make room before writes meet ENOSPC",
			   "%llu %% of the backing are free, %llu MiB", (unsigned long long)percent,
			   (unsigned long long)v.f_bavail * v.f_frsize >> 20);
	}
}

/* ---- the bare mount point */

/* The directory that a mount hides: through a copy of its parent's mount, which takes no mounts along. */
static int open_bare(const struct doctor_target *t, int *ret_fd)
{
	AUTO_FREE char *parent = strdup(t->mountpoint);
	AUTO_CLOSE int tree = -1;
	char *slash = parent ? strrchr(parent, '/') : NULL;
	int fd;

	if (!slash)
		return -ENOMEM;
	if (!t->mounted) {
		fd = open(t->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		*slash = '\0';
		tree = (int)syscall(SYS_open_tree, AT_FDCWD, *parent ? parent : "/", OPEN_TREE_CLONE_ | O_CLOEXEC);
		if (tree < 0)
			return -errno;
		fd = openat(tree, slash + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static void mount_point(struct doctor *d, const struct doctor_target *t)
{
	DIR *dir = NULL;
	struct dirent *e;
	unsigned n = 0;
	int fd = -1, flags = 0, r = open_bare(t, &fd);

	if (r < 0 || !(dir = fdopendir(fd))) {
		doctor_row(d, "mount point", r == -ENOENT ? DOCTOR_FAIL : DOCTOR_WARN, r == -EPERM ? "run it as root" : "make the directory",
			   "%s: what is below the mount cannot be looked at: %s", t->mountpoint, err_text(r < 0 ? r : -errno));
		return;
	}
	while ((e = readdir(dir)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	(void)ioctl(dirfd(dir), FS_IOC_GETFLAGS, &flags);
	(void)closedir(dir);
	if (n > 0)
		doctor_row(d, "mount point", DOCTOR_FAIL,
			   "something wrote there, in plain, while nothing was mounted: move it into the mount; then chattr +i the bare directory",
			   "%s has %u entries of its own below the mount", t->mountpoint, n);
	else
		doctor_row(d, "mount point", flags & FS_IMMUTABLE_FL ? DOCTOR_OK : DOCTOR_WARN,
			   "unmounted: chattr +i DIR; a database that starts too early then fails instead of filling it", "%s is empty below the mount%s",
			   t->mountpoint, flags & FS_IMMUTABLE_FL ? ", and immutable" : ", but could be written to while nothing is mounted");
}

void doctor_volume(struct doctor *d, const struct doctor_target *t)
{
	AUTO_CLOSE int fd = open(t->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		doctor_row(d, "volume", DOCTOR_FAIL, NULL, "%s: %s", t->source, strerror(errno));
		return;
	}
	fitness(d, fd);
	abilities(d, fd);
	room(d, fd);
	if (t->mountpoint)
		mount_point(d, t);
	doctor_foreign(d, t, fd);
}
