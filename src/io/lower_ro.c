/* lower_ro.c: see lower_ro.h. Each call goes to the layer below or is refused here; there is no third way. */
#include "io/lower_ro.h"

#include <fcntl.h>

static struct lower_ro *ro_of(struct lower *l)
{
	return (struct lower_ro *)(void *)l; /* l is its first member */
}

static struct lower *inner_of(struct lower *l)
{
	return ro_of(l)->inner;
}

/* ---- descriptors */

static bool for_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

/* Only the owner, or who may act as one, is permitted O_NOATIME. O_PATH reads nothing. */
static int with_noatime(int flags)
{
	return flags & O_PATH ? flags : flags | O_NOATIME;
}

static int ro_openat(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	struct lower *in = inner_of(l);
	int fd;

	if (for_writing(flags))
		return -EROFS;
	fd = in->ops->openat(in, dirfd, name, with_noatime(flags), mode);
	return fd == -EPERM ? in->ops->openat(in, dirfd, name, flags, mode) : fd;
}

static int ro_reopen(struct lower *l, int fd, int flags)
{
	struct lower *in = inner_of(l);
	int again;

	if (for_writing(flags))
		return -EROFS;
	again = in->ops->reopen(in, fd, with_noatime(flags));
	return again == -EPERM ? in->ops->reopen(in, fd, flags) : again;
}

static int ro_open_by_handle(struct lower *l, int anyfd, const struct lower_handle *h, int flags)
{
	struct lower *in = inner_of(l);
	int fd;

	if (for_writing(flags))
		return -EROFS;
	fd = in->ops->open_by_handle(in, anyfd, h, with_noatime(flags));
	return fd == -EPERM ? in->ops->open_by_handle(in, anyfd, h, flags) : fd;
}

static int ro_close(struct lower *l, int fd)
{
	return inner_of(l)->ops->close(inner_of(l), fd);
}

static int ro_lock(struct lower *l, int fd, bool exclusive)
{
	return exclusive ? -EROFS : inner_of(l)->ops->lock(inner_of(l), fd, false);
}

/* ---- reading */

static ssize_t ro_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	struct lower_ro *ro = ro_of(l);
	ssize_t got;

	got = ro->inner->ops->preadv(ro->inner, fd, iov, n, off);
	return got < 0 || !ro->patch ? got : ro->patch(ro->ctx, fd, iov, n, off, got);
}

static int ro_fstat(struct lower *l, int fd, struct stat *ret_st)
{
	return inner_of(l)->ops->fstat(inner_of(l), fd, ret_st);
}

static int ro_fstatat(struct lower *l, int dirfd, const char *name, struct stat *ret_st)
{
	return inner_of(l)->ops->fstatat(inner_of(l), dirfd, name, ret_st);
}

static int ro_statfs(struct lower *l, int fd, struct statvfs *ret_st, uint64_t *ret_fsid, uint64_t *ret_magic)
{
	return inner_of(l)->ops->statfs(inner_of(l), fd, ret_st, ret_fsid, ret_magic);
}

static ssize_t ro_readlinkat(struct lower *l, int dirfd, const char *name, char *buf, size_t max)
{
	return inner_of(l)->ops->readlinkat(inner_of(l), dirfd, name, buf, max);
}

static int ro_readdir(struct lower *l, int dirfd, int64_t off, lower_dirent_fn *fn, void *arg)
{
	return inner_of(l)->ops->readdir(inner_of(l), dirfd, off, fn, arg);
}

static int ro_name_to_handle(struct lower *l, int fd, struct lower_handle *ret_h)
{
	return inner_of(l)->ops->name_to_handle(inner_of(l), fd, ret_h);
}

/* ---- what would change something */

static int ro_flush(struct lower *l, int fd)
{
	(void)l;
	(void)fd;
	return 0;
}

static ssize_t ro_pwritev(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	(void)l;
	(void)fd;
	(void)iov;
	(void)n;
	(void)off;
	(void)dsync;
	return -EROFS;
}

static int ro_ftruncate(struct lower *l, int fd, uint64_t len)
{
	(void)l;
	(void)fd;
	(void)len;
	return -EROFS;
}

static int ro_fallocate(struct lower *l, int fd, int mode, uint64_t off, uint64_t len)
{
	(void)l;
	(void)fd;
	(void)mode;
	(void)off;
	(void)len;
	return -EROFS;
}

static int ro_futimens(struct lower *l, int fd, const struct timespec ts[2])
{
	(void)l;
	(void)fd;
	(void)ts;
	return -EROFS;
}

static int ro_utimensat(struct lower *l, int dirfd, const char *name, const struct timespec ts[2])
{
	(void)name;
	return ro_futimens(l, dirfd, ts);
}

static int ro_fchmod(struct lower *l, int fd, mode_t mode)
{
	(void)l;
	(void)fd;
	(void)mode;
	return -EROFS;
}

static int ro_fchownat(struct lower *l, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	(void)l;
	(void)dirfd;
	(void)name;
	(void)uid;
	(void)gid;
	return -EROFS;
}

static int ro_mkdirat(struct lower *l, int dirfd, const char *name, mode_t mode)
{
	(void)name;
	return ro_fchmod(l, dirfd, mode);
}

static int ro_mknodat(struct lower *l, int dirfd, const char *name, mode_t mode, dev_t dev)
{
	(void)dev;
	return ro_mkdirat(l, dirfd, name, mode);
}

static int ro_symlinkat(struct lower *l, const char *target, int dirfd, const char *name)
{
	(void)target;
	return ro_mkdirat(l, dirfd, name, 0);
}

static int ro_linkat(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new)
{
	(void)l;
	(void)olddirfd;
	(void)old;
	(void)newdirfd;
	(void)new;
	return -EROFS;
}

static int ro_unlinkat(struct lower *l, int dirfd, const char *name, int flags)
{
	(void)l;
	(void)dirfd;
	(void)name;
	(void)flags;
	return -EROFS;
}

static int ro_renameat2(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new, unsigned flags)
{
	(void)flags;
	return ro_linkat(l, olddirfd, old, newdirfd, new);
}

static ssize_t ro_fgetxattr(struct lower *l, int fd, const char *name, void *value, size_t max)
{
	return inner_of(l)->ops->fgetxattr(inner_of(l), fd, name, value, max);
}

static ssize_t ro_flistxattr(struct lower *l, int fd, char *list, size_t max)
{
	return inner_of(l)->ops->flistxattr(inner_of(l), fd, list, max);
}

static int ro_fsetxattr(struct lower *l, int fd, const char *name, const void *value, size_t len, int flags)
{
	(void)l, (void)fd, (void)name, (void)value, (void)len, (void)flags;
	return -EROFS;
}

static int ro_fremovexattr(struct lower *l, int fd, const char *name)
{
	(void)l, (void)fd, (void)name;
	return -EROFS;
}

/* ---- making */

void lower_ro_init(struct lower_ro *ro, struct lower *inner)
{
	static const struct lower_ops ops = {
		.openat = ro_openat, .reopen = ro_reopen, .close = ro_close, .preadv = ro_preadv, .pwritev = ro_pwritev,
		.fdatasync = ro_flush, .fsync = ro_flush, .syncfs = ro_flush, .ftruncate = ro_ftruncate,
		.fallocate = ro_fallocate, .fstat = ro_fstat, .fstatat = ro_fstatat, .statfs = ro_statfs,
		.futimens = ro_futimens, .utimensat = ro_utimensat, .fchmod = ro_fchmod, .fchownat = ro_fchownat,
		.mkdirat = ro_mkdirat, .mknodat = ro_mknodat, .symlinkat = ro_symlinkat, .readlinkat = ro_readlinkat,
		.linkat = ro_linkat, .unlinkat = ro_unlinkat, .renameat2 = ro_renameat2, .readdir = ro_readdir,
		.name_to_handle = ro_name_to_handle, .open_by_handle = ro_open_by_handle, .lock = ro_lock,
		.fgetxattr = ro_fgetxattr, .flistxattr = ro_flistxattr, .fsetxattr = ro_fsetxattr, .fremovexattr = ro_fremovexattr,
	};

	*ro = (struct lower_ro){ .l = { .ops = &ops, .real = inner->real }, .inner = inner };
}

void lower_ro_set_patch(struct lower_ro *ro, lower_ro_patch_fn *fn, void *ctx)
{
	ro->patch = fn;
	ro->ctx = ctx;
	ro->l.real = false; /* whoever goes around l would read what is below */
}
