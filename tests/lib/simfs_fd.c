/* simfs_fd.c: descriptors: opening, closing, contents, flushes, locks. Numbers start high, so that one that is used with the kernel, or one of the
 * kernel's that is used here, is EBADF. */
#include "simfs_impl.h"

#include <fcntl.h>

#define FD_BASE (1 << 20)

struct sim_fd *sim_fd_of(const struct simfs *fs, int fd)
{
	size_t k = (size_t)(fd - FD_BASE);

	return fd >= FD_BASE && k < fs->nfds && fs->fd[k].ino ? &fs->fd[k] : NULL;
}

int sim_dir_of(struct simfs *fs, int dirfd, struct sim_inode **ret_i)
{
	const struct sim_fd *f = sim_fd_of(fs, dirfd);
	struct sim_inode *i;

	if (!f && dirfd != AT_FDCWD)
		return -EBADF;
	i = sim_inode_get(fs, f ? f->ino : ROOT_INO);
	if (!S_ISDIR(i->mode))
		return -ENOTDIR;
	*ret_i = i;
	return 0;
}

int sim_begin(struct simfs *fs, enum simfs_call call)
{
	if (fs->hook)
		fs->hook(fs->hook_arg, fs, call);
	return call != SIMFS_CALL_FLUSH && (fs->p.lacks & SIMFS_READ_ONLY) ? -EROFS : 0;
}

static bool for_writing(int flags)
{
	return !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

static bool for_reading(int flags)
{
	return !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY;
}

/* May this inode be opened so? */
static int open_check(const struct simfs *fs, const struct sim_inode *i, int flags)
{
	if ((flags & O_DIRECTORY) && !S_ISDIR(i->mode))
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	if (S_ISLNK(i->mode))
		return -ELOOP;
	if (S_ISDIR(i->mode) && (for_writing(flags) || (flags & O_CREAT)))
		return -EISDIR;
	if (S_ISSOCK(i->mode) || S_ISCHR(i->mode) || S_ISBLK(i->mode))
		return -ENXIO;
	if (S_ISFIFO(i->mode))
		return (flags & O_ACCMODE) == O_WRONLY ? -ENXIO : 0;
	if (for_writing(flags) && (fs->p.lacks & SIMFS_READ_ONLY))
		return -EROFS;
	return (flags & O_DIRECT) && (fs->p.lacks & SIMFS_NO_DIRECT) ? -EINVAL : 0;
}

int sim_fd_open(struct simfs *fs, struct sim_inode *i, int flags)
{
	size_t k = 0;
	int r = open_check(fs, i, flags);

	if (r < 0)
		return r;
	while (k < fs->nfds && fs->fd[k].ino)
		k++;
	fs->fd = sim_grow(fs->fd, &fs->fds_cap, k + 1, sizeof(*fs->fd));
	if (k == fs->nfds)
		fs->nfds++;
	fs->fd[k] = (struct sim_fd){ .ino = i->ino, .flags = flags, .lock = F_UNLCK,
				     .err_seq = sim_err_sample(&i->err), .sb_seq = sim_err_sample(&fs->sb_err) };
	i->nopen++;
	return FD_BASE + (int)k;
}

void sim_fd_close(struct simfs *fs, struct sim_fd *f)
{
	struct sim_inode *i = sim_inode_get(fs, f->ino);

	f->ino = 0;
	i->nopen--;
	sim_inode_drop(fs, i);
}

static int sim_openat(struct lower *l, int dirfd, const char *name, int flags, mode_t mode)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r, fd;

	SIM_LOCK(fs);
	r = sim_lookup(fs, dirfd, name, &i);
	if (r == 0 && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (r == -ENOENT && (flags & O_CREAT)) {
		r = sim_begin(fs, SIMFS_CALL_NAME);
		if (r == 0)
			r = sim_create(fs, dirfd, name, S_IFREG | (mode & 07777), &i);
		/* A mode that forbids it does not bind the one who creates. */
		return r < 0 ? r : sim_fd_open(fs, i, flags);
	}
	if (r < 0)
		return r;
	fd = sim_fd_open(fs, i, flags);
	if (fd >= 0 && (flags & O_TRUNC) && for_writing(flags) && S_ISREG(i->mode)) {
		r = sim_begin(fs, SIMFS_CALL_WRITE);
		if (r == 0)
			r = sim_file_truncate(fs, i, 0);
		if (r < 0)
			return r;
	}
	return fd;
}

static int sim_reopen(struct lower *l, int fd, int flags)
{
	struct simfs *fs = sim_of(l);
	struct sim_fd *f;

	SIM_LOCK(fs);
	f = sim_fd_of(fs, fd);
	return f ? sim_fd_open(fs, sim_inode_get(fs, f->ino), flags & ~(O_CREAT | O_EXCL | O_TRUNC)) : -ENOENT;
}

static int sim_close(struct lower *l, int fd)
{
	struct simfs *fs = sim_of(l);
	struct sim_fd *f;

	SIM_LOCK(fs);
	f = sim_fd_of(fs, fd);
	if (!f)
		return -EBADF;
	sim_fd_close(fs, f);
	return 0;
}

/* ---- contents */

static bool misaligned(const struct sim_fd *f, const struct iovec *iov, int n, uint64_t off)
{
	if (!(f->flags & O_DIRECT))
		return false;
	for (int k = 0; k < n; k++)
		if ((uintptr_t)iov[k].iov_base % SECTOR != 0 || iov[k].iov_len % SECTOR != 0)
			return true;
	return off % SECTOR != 0;
}

static int file_of(struct simfs *fs, int fd, bool write, struct sim_fd **ret_f, struct sim_inode **ret_i)
{
	struct sim_fd *f = sim_fd_of(fs, fd);
	struct sim_inode *i;

	if (!f || !(write ? for_writing(f->flags) : for_reading(f->flags)))
		return -EBADF;
	i = sim_inode_get(fs, f->ino);
	if (!S_ISREG(i->mode))
		return S_ISDIR(i->mode) ? -EISDIR : -EINVAL;
	*ret_f = f;
	*ret_i = i;
	return 0;
}

static ssize_t sim_preadv(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	struct sim_fd *f;
	uint64_t left, part, done = 0;
	int r;

	SIM_LOCK(fs);
	r = file_of(fs, fd, false, &f, &i);
	if (r < 0)
		return r;
	if (misaligned(f, iov, n, off))
		return -EINVAL;
	left = off < i->size ? i->size - off : 0;
	for (int k = 0; k < n && left > 0; k++) {
		part = iov[k].iov_len < left ? iov[k].iov_len : left;
		if (part > 0)
			sim_map_read((f->flags & O_DIRECT) && i->dev ? i->dev : i->cur, off + done, iov[k].iov_base, part);
		done += part;
		left -= part;
	}
	return (ssize_t)done;
}

static ssize_t sim_pwritev(struct lower *l, int fd, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	struct sim_fd *f;
	ssize_t done;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_WRITE);
	if (r == 0)
		r = file_of(fs, fd, true, &f, &i);
	if (r < 0)
		return r;
	if (misaligned(f, iov, n, off))
		return -EINVAL;
	done = sim_file_write(fs, i, iov, n, off, dsync);
	if (done >= 0 && (dsync || (f->flags & (O_DSYNC | O_SYNC))))
		r = sim_err_tell(&i->err, &f->err_seq);
	return r < 0 ? r : done;
}

static int sim_ftruncate(struct lower *l, int fd, uint64_t len)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	struct sim_fd *f;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_WRITE);
	if (r == 0)
		r = file_of(fs, fd, true, &f, &i);
	if (r == -EBADF && sim_fd_of(fs, fd))
		r = -EINVAL; /* what Linux says of a descriptor that is not for writing */
	return r < 0 ? r : sim_file_truncate(fs, i, len);
}

static int sim_fallocate(struct lower *l, int fd, int mode, uint64_t off, uint64_t len)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	struct sim_fd *f;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_WRITE);
	if (r == 0)
		r = file_of(fs, fd, true, &f, &i);
	return r < 0 ? r : sim_file_allocate(fs, i, mode, off, len);
}

/* ---- flushes */

static int flush(struct lower *l, int fd, bool names)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	struct sim_fd *f;

	SIM_LOCK(fs);
	(void)sim_begin(fs, SIMFS_CALL_FLUSH);
	f = sim_fd_of(fs, fd);
	if (!f || (f->flags & O_PATH))
		return -EBADF;
	i = sim_inode_get(fs, f->ino);
	if (!S_ISREG(i->mode) && !S_ISDIR(i->mode))
		return -EINVAL;
	sim_file_flush(fs, i);
	if (names)
		sim_names_flush(fs, i);
	return sim_err_tell(&i->err, &f->err_seq);
}

static int sim_fdatasync(struct lower *l, int fd)
{
	return flush(l, fd, false);
}

static int sim_fsync(struct lower *l, int fd)
{
	return flush(l, fd, true);
}

static int sim_syncfs(struct lower *l, int fd)
{
	struct simfs *fs = sim_of(l);
	struct sim_fd *f;

	SIM_LOCK(fs);
	(void)sim_begin(fs, SIMFS_CALL_FLUSH);
	f = sim_fd_of(fs, fd);
	if (!f || (f->flags & O_PATH))
		return -EBADF;
	for (size_t k = 0; k < fs->ninodes; k++)
		sim_file_flush(fs, fs->inode[k]);
	sim_names_flush(fs, NULL);
	return sim_err_tell(&fs->sb_err, &f->sb_seq);
}

/* ---- locks */

static int sim_lock(struct lower *l, int fd, bool exclusive)
{
	struct simfs *fs = sim_of(l);
	struct sim_fd *f;

	SIM_LOCK(fs);
	f = sim_fd_of(fs, fd);
	if (!f || !(exclusive ? for_writing(f->flags) : for_reading(f->flags)))
		return -EBADF;
	for (size_t k = 0; k < fs->nfds; k++)
		if (&fs->fd[k] != f && fs->fd[k].ino == f->ino && fs->fd[k].lock != F_UNLCK && (exclusive || fs->fd[k].lock == F_WRLCK))
			return -EAGAIN;
	f->lock = exclusive ? F_WRLCK : F_RDLCK;
	return 0;
}

void sim_fd_fill(struct lower_ops *ops)
{
	ops->openat = sim_openat;
	ops->reopen = sim_reopen;
	ops->close = sim_close;
	ops->preadv = sim_preadv;
	ops->pwritev = sim_pwritev;
	ops->ftruncate = sim_ftruncate;
	ops->fallocate = sim_fallocate;
	ops->fdatasync = sim_fdatasync;
	ops->fsync = sim_fsync;
	ops->syncfs = sim_syncfs;
	ops->lock = sim_lock;
}
