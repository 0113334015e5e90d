/* lower.c: struct lower over the kernel, and the helpers over any struct lower.
 *
 * Every call is one system call, or the few that make it whole: reads and writes go on after a short count, EINTR is
 * retried (but for close(2), which Linux never leaves undone). Nothing here knows what it moves; nothing is logged.
 * readdir moves the position of the directory's descriptor, so one descriptor serves one reader at a time. */
#include "io/lower.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define ALWAYS_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define GETDENTS_LEN 32768

/* The value of a call that may be interrupted: its result, or -errno. */
#define RETRY(call)                                             \
	({                                                      \
		ssize_t retry_n;                                \
		do                                              \
			retry_n = (call);                       \
		while (retry_n < 0 && errno == EINTR);          \
		retry_n < 0 ? -errno : retry_n;                 \
	})

/* ---- descriptors */

static int real_openat(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	(void)l;
	return (int)RETRY(openat(dirfd, name, flags | ALWAYS_FLAGS, mode));
}

static int real_reopen(struct lower *l, int fd, int flags)
{
	char path[32];

	(void)l;
	/* A "magic" link: it must be followed, and leads to the inode, whatever its name is by now. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	flags &= ~(O_NOFOLLOW | O_CREAT | O_EXCL | O_TRUNC);
	return (int)RETRY(open(path, flags | (ALWAYS_FLAGS & ~O_NOFOLLOW)));
}

static int real_close(struct lower *l, int fd)
{
	(void)l;
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static int real_lock(struct lower *l, int fd, bool exclusive)
{
	struct flock fl = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	int r = (int)RETRY(fcntl(fd, F_OFD_SETLK, &fl));

	(void)l;
	return r == -EACCES ? -EAGAIN : r;
}

/* ---- contents */

static ssize_t rw_once(bool write, int fd, const struct iovec *iov, int n, uint64_t off, int flags)
{
	return write ? RETRY(pwritev2(fd, iov, n, (off_t)off, flags)) : RETRY(preadv(fd, iov, n, (off_t)off));
}

/* Go on until all of iov is done, the end of the file or an error. Returns what was moved, -errno if nothing was, and the error that
 * ended it in *ret_end (0: none). */
static ssize_t rw_all(bool write, int fd, const struct iovec *iov, int n, uint64_t off, int flags, int *ret_end)
{
	size_t done = 0, skip = 0;
	struct iovec part;
	ssize_t got;
	int i = 0;

	*ret_end = 0;
	for (;;) {
		while (i < n && skip >= iov[i].iov_len)
			skip -= iov[i++].iov_len;
		if (i == n)
			return (ssize_t)done;
		/* After a stop inside an iovec: its rest alone, so that the caller's array stays as it is. */
		part = (struct iovec){ (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip };
		got = skip ? rw_once(write, fd, &part, 1, off + done, flags) : rw_once(write, fd, iov + i, n - i, off + done, flags);
		if (got <= 0) {
			*ret_end = (int)got;
			return got < 0 && done == 0 ? got : (ssize_t)done;
		}
		done += (size_t)got;
		skip += (size_t)got;
	}
}

static ssize_t real_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	int end;

	(void)l;
	return rw_all(false, fd, iov, n, off, 0, &end);
}

static size_t iov_sum(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static ssize_t real_pwritev(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	ssize_t done;
	int end;

	done = rw_all(true, fd, iov, n, off, dsync ? RWF_DSYNC : 0, &end);
	if (dsync && done == -EOPNOTSUPP) {
		done = rw_all(true, fd, iov, n, off, 0, &end);
		if (done >= 0 && end == 0)
			end = l->ops->fdatasync(l, fd);
	}
	if (end < 0)
		return end;
	if (done >= 0 && (size_t)done != iov_sum(iov, n))
		return -EIO;
	return done;
}

static int real_fdatasync(struct lower *l, int fd)
{
	(void)l;
	return (int)RETRY(fdatasync(fd));
}

static int real_fsync(struct lower *l, int fd)
{
	(void)l;
	return (int)RETRY(fsync(fd));
}

static int real_syncfs(struct lower *l, int fd)
{
	(void)l;
	return (int)RETRY(syncfs(fd));
}

static int real_ftruncate(struct lower *l, int fd, uint64_t len)
{
	(void)l;
	return (int)RETRY(ftruncate(fd, (off_t)len));
}

static int real_fallocate(struct lower *l, int fd, int mode, uint64_t off, uint64_t len)
{
	(void)l;
	return (int)RETRY(fallocate(fd, mode, (off_t)off, (off_t)len));
}

/* ---- attributes */

static int real_fstat(struct lower *l, int fd, struct stat *ret_st)
{
	struct stat st;

	(void)l;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_st = st;
	return 0;
}

/* Is something mounted there? A bind mount of the same filesystem has its device number, and only this tells. Older kernels do not know. */
static bool is_mount_point(int dirfd, const char *name)
{
	struct statx x;

	return statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &x) == 0 &&
	       (x.stx_attributes & x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT);
}

static int real_fstatat(struct lower *l, int dirfd, const char *name, struct stat *ret_st)
{
	struct stat st;

	(void)l;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode) && is_mount_point(dirfd, name))
		st.st_dev = LOWER_DEV_FOREIGN;
	*ret_st = st;
	return 0;
}

static int real_statfs(struct lower *l, int fd, struct statvfs *ret_st, uint64_t *ret_fsid, uint64_t *ret_magic)
{
	struct statvfs sv;
	struct statfs sf;
	int r;

	(void)l;
	r = (int)RETRY(fstatvfs(fd, &sv));
	if (r == 0)
		r = (int)RETRY(fstatfs(fd, &sf));
	if (r < 0)
		return r;
	*ret_st = sv;
	*ret_fsid = (uint32_t)sf.f_fsid.__val[0] | (uint64_t)(uint32_t)sf.f_fsid.__val[1] << 32;
	*ret_magic = (uint64_t)sf.f_type;
	return 0;
}

static int real_futimens(struct lower *l, int fd, const struct timespec ts[2])
{
	(void)l;
	return futimens(fd, ts) < 0 ? -errno : 0;
}

static int real_utimensat(struct lower *l, int dirfd, const char *name, const struct timespec ts[2])
{
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);

	(void)l;
	return utimensat(dirfd, name, ts, flags) < 0 ? -errno : 0;
}

static int real_fchmod(struct lower *l, int fd, mode_t mode)
{
	char path[32];
	int r = (int)RETRY(fchmod(fd, mode));

	(void)l;
	if (r != -EBADF)
		return r;
	/* An O_PATH descriptor, as of a socket, which cannot be opened. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (int)RETRY(chmod(path, mode));
}

static int real_fchownat(struct lower *l, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);

	(void)l;
	return (int)RETRY(fchownat(dirfd, name, uid, gid, flags));
}

static ssize_t real_fgetxattr(struct lower *l, int fd, const char *name, void *value, size_t max)
{
	(void)l;
	return RETRY(fgetxattr(fd, name, value, max));
}

static int real_fsetxattr(struct lower *l, int fd, const char *name, const void *value, size_t len, int flags)
{
	(void)l;
	return (int)RETRY(fsetxattr(fd, name, value, len, flags));
}

static ssize_t real_flistxattr(struct lower *l, int fd, char *list, size_t max)
{
	(void)l;
	return RETRY(flistxattr(fd, list, max));
}

static int real_fremovexattr(struct lower *l, int fd, const char *name)
{
	(void)l;
	return (int)RETRY(fremovexattr(fd, name));
}

/* ---- names */

static int real_mkdirat(struct lower *l, int dirfd, const char *name, mode_t mode)
{
	(void)l;
	return mkdirat(dirfd, name, mode) < 0 ? -errno : 0;
}

static int real_mknodat(struct lower *l, int dirfd, const char *name, mode_t mode, dev_t dev)
{
	(void)l;
	return mknodat(dirfd, name, mode, dev) < 0 ? -errno : 0;
}

static int real_symlinkat(struct lower *l, const char *target, int dirfd, const char *name)
{
	(void)l;
	return symlinkat(target, dirfd, name) < 0 ? -errno : 0;
}

static ssize_t real_readlinkat(struct lower *l, int dirfd, const char *name, char *buf, size_t max)
{
	ssize_t n = readlinkat(dirfd, name, buf, max);

	(void)l;
	return n < 0 ? -errno : n;
}

static int real_linkat(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new)
{
	char path[32];

	(void)l;
	if (*old)
		return linkat(olddirfd, old, newdirfd, new, 0) < 0 ? -errno : 0;
	/* A magic link, as in reopen: AT_EMPTY_PATH would need a capability. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", olddirfd);
	return linkat(AT_FDCWD, path, newdirfd, new, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int real_unlinkat(struct lower *l, int dirfd, const char *name, int flags)
{
	(void)l;
	return unlinkat(dirfd, name, flags) < 0 ? -errno : 0;
}

static int real_renameat2(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new, unsigned flags)
{
	(void)l;
	return renameat2(olddirfd, old, newdirfd, new, flags) < 0 ? -errno : 0;
}

struct kernel_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

/* One buffer of entries. 0 to go on, 1 when fn has had enough. */
static int give_entries(const uint8_t *buf, size_t len, lower_dirent_fn *fn, void *arg)
{
	const struct kernel_dirent64 *d;
	struct lower_dirent e;
	int r;

	for (size_t at = 0; at < len; at += d->d_reclen) {
		d = (const void *)(buf + at);
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		e = (struct lower_dirent){ .ino = d->d_ino, .type = d->d_type, .name = d->d_name, .off = d->d_off };
		r = fn(arg, &e);
		if (r != 0)
			return r < 0 ? r : 1;
	}
	return 0;
}

static int real_readdir(struct lower *l, int dirfd, int64_t off, lower_dirent_fn *fn, void *arg)
{
	AUTO_FREE uint8_t *buf = malloc(GETDENTS_LEN);
	ssize_t n;
	int r;

	(void)l;
	if (!buf)
		return -ENOMEM;
	if (lseek(dirfd, off, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		n = RETRY(syscall(SYS_getdents64, dirfd, buf, GETDENTS_LEN));
		if (n <= 0)
			return (int)n;
		r = give_entries(buf, (size_t)n, fn, arg);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

/* ---- handles */

union handle_buf {
	struct file_handle fh;
	uint8_t bytes[sizeof(struct file_handle) + HANDLE_LEN_MAX];
};

static int real_name_to_handle(struct lower *l, int fd, struct lower_handle *ret_h)
{
	union handle_buf b = { .fh.handle_bytes = HANDLE_LEN_MAX };
	int mount_id;

	(void)l;
	if (name_to_handle_at(fd, "", &b.fh, &mount_id, AT_EMPTY_PATH) < 0)
		return errno == EOVERFLOW ? -EOPNOTSUPP : -errno;
	if (b.fh.handle_bytes == 0 || b.fh.handle_bytes > HANDLE_LEN_MAX || b.fh.handle_type < 0 || b.fh.handle_type > UINT16_MAX)
		return -EOPNOTSUPP;
	memset(ret_h, 0, sizeof(*ret_h));
	ret_h->type = (uint16_t)b.fh.handle_type;
	ret_h->len = (uint16_t)b.fh.handle_bytes;
	memcpy(ret_h->bytes, b.fh.f_handle, b.fh.handle_bytes);
	return 0;
}

static int real_open_by_handle(struct lower *l, int anyfd, const struct lower_handle *h, int flags)
{
	union handle_buf b = { .fh.handle_bytes = h->len, .fh.handle_type = h->type };

	(void)l;
	if (h->len == 0 || h->len > HANDLE_LEN_MAX)
		return -EINVAL;
	memcpy(b.fh.f_handle, h->bytes, h->len);
	return (int)RETRY(open_by_handle_at(anyfd, &b.fh, flags | ALWAYS_FLAGS));
}

struct lower *lower_real(void)
{
	static const struct lower_ops ops = {
		.openat = real_openat, .reopen = real_reopen, .close = real_close, .preadv = real_preadv, .pwritev = real_pwritev,
		.fdatasync = real_fdatasync, .fsync = real_fsync, .syncfs = real_syncfs, .ftruncate = real_ftruncate,
		.fallocate = real_fallocate, .fstat = real_fstat, .fstatat = real_fstatat, .statfs = real_statfs,
		.futimens = real_futimens, .utimensat = real_utimensat, .fchmod = real_fchmod, .fchownat = real_fchownat,
		.mkdirat = real_mkdirat, .mknodat = real_mknodat, .symlinkat = real_symlinkat, .readlinkat = real_readlinkat,
		.linkat = real_linkat, .unlinkat = real_unlinkat, .renameat2 = real_renameat2, .readdir = real_readdir,
		.name_to_handle = real_name_to_handle, .open_by_handle = real_open_by_handle, .lock = real_lock,
		.fgetxattr = real_fgetxattr, .fsetxattr = real_fsetxattr, .flistxattr = real_flistxattr,
		.fremovexattr = real_fremovexattr,
	};
	static struct lower real = { .ops = &ops, .real = true };

	return &real;
}

/* ---- over any lower */

ssize_t lower_pread(struct lower *l, int fd, void *p, size_t len, uint64_t off)
{
	struct iovec iov = { p, len };

	return l->ops->preadv(l, fd, &iov, 1, off);
}

int lower_pread_full(struct lower *l, int fd, void *p, size_t len, uint64_t off)
{
	ssize_t n = lower_pread(l, fd, p, len, off);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -ENODATA;
}

int lower_pwrite(struct lower *l, int fd, const void *p, size_t len, uint64_t off, bool dsync)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };
	ssize_t n = l->ops->pwritev(l, fd, &iov, 1, off, dsync);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;
}

int lower_open_regular(struct lower *l, int dirfd, const char *name, int flags, mode_t mode, struct stat *ret_st)
{
	struct stat st;
	int fd, r;

	/* What stands there in disguise is not opened: that can have effects, as of a device. */
	if (!(flags & O_EXCL) && l->ops->fstatat(l, dirfd, name, &st) == 0 && !S_ISREG(st.st_mode))
		return -EUCLEAN;
	fd = l->ops->openat(l, dirfd, name, flags, mode);
	/* A symbolic link, a directory, a socket or a FIFO without a reader never come to fstat. */
	if (fd == -ELOOP || fd == -EISDIR || fd == -ENXIO)
		return -EUCLEAN;
	if (fd < 0)
		return fd;
	r = l->ops->fstat(l, fd, &st);
	if (r == 0 && !S_ISREG(st.st_mode))
		r = -EUCLEAN;
	if (r < 0) {
		lower_close(l, fd);
		return r;
	}
	*ret_st = st;
	return fd;
}

void lower_close(struct lower *l, int fd)
{
	if (fd >= 0)
		(void)l->ops->close(l, fd);
}
