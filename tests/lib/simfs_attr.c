/* simfs_attr.c: attributes, handles, and reading directories and links. Attributes are durable at once: nothing in a volume rests on when they are. */
#include "simfs_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define SIM_MAGIC 0x51f5u
#define STATFS_BLOCKS (1u << 24) /* said where there is no capacity */

static void fill_stat(const struct simfs *fs, const struct sim_inode *i, struct stat *ret_st)
{
	*ret_st = (struct stat){
		.st_dev = (dev_t)(fs->p.seed & 0xffff) + 1,
		.st_ino = i->ino,
		.st_mode = i->mode,
		.st_nlink = i->nlink,
		.st_uid = i->uid,
		.st_gid = i->gid,
		.st_rdev = i->rdev,
		.st_size = (off_t)i->size,
		.st_blksize = PAGE,
		.st_blocks = i->cur ? (blkcnt_t)(i->cur->npages * PAGE_SECTORS) : 0,
		.st_atim = i->atime,
		.st_mtim = i->mtime,
		.st_ctim = i->ctime,
	};
}

/* The inode of a descriptor, or of a name; "" is the descriptor itself. */
static int inode_at(struct simfs *fs, int fd, const char *name, struct sim_inode **ret_i)
{
	const struct sim_fd *f;

	if (*name)
		return sim_lookup(fs, fd, name, ret_i);
	f = sim_fd_of(fs, fd);
	if (!f)
		return -EBADF;
	*ret_i = sim_inode_get(fs, f->ino);
	return 0;
}

static int sim_fstat(struct lower *l, int fd, struct stat *ret_st)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	r = inode_at(fs, fd, "", &i);
	if (r == 0)
		fill_stat(fs, i, ret_st);
	return r;
}

static int sim_fstatat(struct lower *l, int dirfd, const char *name, struct stat *ret_st)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	r = sim_lookup(fs, dirfd, name, &i);
	if (r == 0)
		fill_stat(fs, i, ret_st);
	return r;
}

static int sim_statfs(struct lower *l, int fd, struct statvfs *ret_st, uint64_t *ret_fsid, uint64_t *ret_magic)
{
	struct simfs *fs = sim_of(l);
	uint64_t blocks, left;

	SIM_LOCK(fs);
	if (!sim_fd_of(fs, fd))
		return -EBADF;
	blocks = fs->p.capacity ? fs->p.capacity : STATFS_BLOCKS;
	left = blocks > fs->used ? blocks - fs->used : 0;
	*ret_st = (struct statvfs){
		.f_bsize = PAGE, .f_frsize = PAGE, .f_blocks = blocks, .f_bfree = left, .f_bavail = left,
		.f_files = 1 << 20, .f_ffree = (1 << 20) - fs->ninodes, .f_favail = (1 << 20) - fs->ninodes,
		.f_fsid = fs->p.seed, .f_namemax = NAME_LEN_MAX,
	};
	*ret_fsid = fs->p.seed;
	*ret_magic = SIM_MAGIC;
	return 0;
}

static void set_time(struct simfs *fs, struct timespec *t, const struct timespec *to)
{
	if (to->tv_nsec == UTIME_NOW)
		*t = (struct timespec){ .tv_sec = (time_t)++fs->tick };
	else if (to->tv_nsec != UTIME_OMIT)
		*t = *to;
}

static int set_times(struct simfs *fs, int fd, const char *name, const struct timespec ts[2])
{
	static const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct sim_inode *i;
	int r = inode_at(fs, fd, name, &i);

	if (r < 0)
		return r;
	if (fs->p.lacks & SIMFS_READ_ONLY)
		return -EROFS;
	set_time(fs, &i->atime, ts ? &ts[0] : &now[0]);
	set_time(fs, &i->mtime, ts ? &ts[1] : &now[1]);
	i->ctime = (struct timespec){ .tv_sec = (time_t)++fs->tick };
	return 0;
}

static int sim_futimens(struct lower *l, int fd, const struct timespec ts[2])
{
	SIM_LOCK(sim_of(l));
	return set_times(sim_of(l), fd, "", ts);
}

static int sim_utimensat(struct lower *l, int dirfd, const char *name, const struct timespec ts[2])
{
	SIM_LOCK(sim_of(l));
	return *name ? set_times(sim_of(l), dirfd, name, ts) : -ENOENT;
}

static int sim_fchmod(struct lower *l, int fd, mode_t mode)
{
	struct simfs *fs = sim_of(l);
	const struct sim_fd *f;
	struct sim_inode *i;

	SIM_LOCK(fs);
	f = sim_fd_of(fs, fd);
	if (!f || (f->flags & O_PATH))
		return -EBADF;
	if (fs->p.lacks & SIMFS_READ_ONLY)
		return -EROFS;
	i = sim_inode_get(fs, f->ino);
	i->mode = (i->mode & S_IFMT) | (mode & 07777);
	return 0;
}

static int sim_fchownat(struct lower *l, int dirfd, const char *name, uid_t uid, gid_t gid)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	r = inode_at(fs, dirfd, name, &i);
	if (r == 0 && (fs->p.lacks & SIMFS_READ_ONLY))
		r = -EROFS;
	if (r < 0)
		return r;
	if (uid != (uid_t)-1)
		i->uid = uid;
	if (gid != (gid_t)-1)
		i->gid = gid;
	return 0;
}

static ssize_t sim_readlinkat(struct lower *l, int dirfd, const char *name, char *buf, size_t max)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	size_t len;
	int r;

	SIM_LOCK(fs);
	r = inode_at(fs, dirfd, name, &i);
	if (r < 0)
		return r;
	if (!S_ISLNK(i->mode))
		return -EINVAL;
	len = strlen(i->target->s);
	len = len < max ? len : max;
	memcpy(buf, i->target->s, len);
	return (ssize_t)len;
}

/* ---- directories */

static uint8_t type_of(mode_t mode)
{
	return (uint8_t)((mode & S_IFMT) >> 12); /* DT_* are the same numbers */
}

/* fn runs without the mutex: it may have locks of its own to take. */
static int give_entries(struct simfs *fs, const struct sim_dents *d, int64_t off, lower_dirent_fn *fn, void *arg)
{
	struct lower_dirent e;
	struct sim_inode *i;
	int r;

	for (size_t k = 0; k < d->n; k++) {
		if (d->at[k].cookie <= off)
			continue;
		e = (struct lower_dirent){ .ino = d->at[k].ino, .type = DT_UNKNOWN, .name = d->at[k].name->s, .off = d->at[k].cookie };
		pthread_mutex_lock(&fs->m);
		i = sim_inode_find(fs, e.ino);
		if (i)
			e.type = type_of(i->mode);
		pthread_mutex_unlock(&fs->m);
		r = fn(arg, &e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return 0;
}

static int dents_of(struct simfs *fs, int dirfd, struct sim_dents **ret_d)
{
	const struct sim_fd *f;
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	f = sim_fd_of(fs, dirfd);
	r = !f || (f->flags & O_PATH) ? -EBADF : sim_dir_of(fs, dirfd, &i);
	if (r == 0)
		*ret_d = sim_dents_ref(i->dcur);
	return r;
}

static int sim_readdir(struct lower *l, int dirfd, int64_t off, lower_dirent_fn *fn, void *arg)
{
	struct simfs *fs = sim_of(l);
	struct sim_dents *d;
	int r;

	r = dents_of(fs, dirfd, &d);
	if (r < 0)
		return r;
	r = give_entries(fs, d, off, fn, arg);
	sim_dents_unref(d);
	return r;
}

/* ---- handles */

struct handle {
	uint64_t fsid;
	uint64_t ino;
};

static int sim_name_to_handle(struct lower *l, int fd, struct lower_handle *ret_h)
{
	struct simfs *fs = sim_of(l);
	const struct sim_fd *f;
	struct handle h;

	SIM_LOCK(fs);
	f = sim_fd_of(fs, fd);
	if (!f)
		return -EBADF;
	if (fs->p.lacks & SIMFS_NO_HANDLES)
		return -EOPNOTSUPP;
	h = (struct handle){ .fsid = fs->p.seed, .ino = f->ino };
	memset(ret_h, 0, sizeof(*ret_h));
	ret_h->type = 1;
	ret_h->len = sizeof(h);
	memcpy(ret_h->bytes, &h, sizeof(h));
	return 0;
}

static int sim_open_by_handle(struct lower *l, int anyfd, const struct lower_handle *lh, int flags)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	struct handle h;

	SIM_LOCK(fs);
	if (!sim_fd_of(fs, anyfd))
		return -EBADF;
	if (fs->p.lacks & SIMFS_NO_HANDLES)
		return -EOPNOTSUPP;
	if (fs->p.lacks & SIMFS_NO_OPEN_HANDLE)
		return -EPERM;
	if (lh->len == 0 || lh->len > HANDLE_LEN_MAX)
		return -EINVAL;
	if (lh->len != sizeof(h) || lh->type != 1)
		return -ESTALE;
	memcpy(&h, lh->bytes, sizeof(h));
	i = h.fsid == fs->p.seed ? sim_inode_find(fs, h.ino) : NULL;
	if (!i || (i->nlink == 0 && i->nopen == 0))
		return -ESTALE;
	return sim_fd_open(fs, i, flags & ~(O_CREAT | O_EXCL | O_TRUNC));
}

/* A filesystem without extended attributes. */
static ssize_t sim_fgetxattr(struct lower *l, int fd, const char *name, void *value, size_t max)
{
	(void)l, (void)fd, (void)name, (void)value, (void)max;
	return -EOPNOTSUPP;
}

static int sim_fsetxattr(struct lower *l, int fd, const char *name, const void *value, size_t len, int flags)
{
	(void)l, (void)fd, (void)name, (void)value, (void)len, (void)flags;
	return -EOPNOTSUPP;
}

static ssize_t sim_flistxattr(struct lower *l, int fd, char *list, size_t max)
{
	(void)l, (void)fd, (void)list, (void)max;
	return -EOPNOTSUPP;
}

static int sim_fremovexattr(struct lower *l, int fd, const char *name)
{
	(void)l, (void)fd, (void)name;
	return -EOPNOTSUPP;
}

void sim_attr_fill(struct lower_ops *ops)
{
	ops->fstat = sim_fstat;
	ops->fstatat = sim_fstatat;
	ops->statfs = sim_statfs;
	ops->futimens = sim_futimens;
	ops->utimensat = sim_utimensat;
	ops->fchmod = sim_fchmod;
	ops->fchownat = sim_fchownat;
	ops->readlinkat = sim_readlinkat;
	ops->readdir = sim_readdir;
	ops->name_to_handle = sim_name_to_handle;
	ops->open_by_handle = sim_open_by_handle;
	ops->fgetxattr = sim_fgetxattr;
	ops->fsetxattr = sim_fsetxattr;
	ops->flistxattr = sim_flistxattr;
	ops->fremovexattr = sim_fremovexattr;
}
