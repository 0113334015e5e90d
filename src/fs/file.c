/* file.c: contents and attributes (file.h).
 *
 * Times: with the writeback cache the kernel owns mtime and ctime of regular files and tells them by SETATTR. They are held; the lower inode gets
 * mtime at once when nothing is pending, else behind the home writes, which would change it (live.c). ctime cannot be set below: it is held for
 * as long as the inode is.
 * Sizes: the iofile has the one size; attr.size is what it was when there is no iofile. */
#include "fs/file.h"

#include <fcntl.h>

#include "fs/dir.h"
#include "fs/dirfd.h"
#include "fs/live.h"
#include "fs/name.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

#define BLOCK_512 512u

/* ---- contents */

ssize_t file_read(struct volume *v, struct inode *i, void *buf, size_t len, uint64_t off)
{
	struct iofile *f;
	ssize_t n;
	int r;

	r = live_get(v, i, &f);
	if (r < 0)
		return r;
	n = iofile_read(f, buf, len, off);
	live_put(v, i);
	return n;
}

bool file_read_begin(struct volume *v, struct inode *i, void *buf, size_t len, uint64_t off, struct iofile_early *ret_e)
{
	struct iofile *f;

	if (live_get(v, i, &f) < 0)
		return false;
	if (iofile_early_begin(f, buf, len, off, ret_e))
		return true;
	live_put(v, i);
	return false;
}

ssize_t file_read_end(struct volume *v, struct inode *i, struct iofile_early *e)
{
	ssize_t n = iofile_early_end(e);

	live_put(v, i);
	return n;
}

/* Written: held size, blocks and times unless the kernel will tell them. Blocks are an estimate: what was added at the end, and in a file with
 * holes whatever may have filled one; too many rather than too few, because archivers skip what has too few. */
static void wrote(struct volume *v, struct inode *i, uint64_t end, size_t len, bool kernel_times)
{
	uint64_t grown, full;
	WITH_LOCK(&v->lock);

	full = (i->attr.size + BLOCK_512 - 1) / BLOCK_512;
	if (end > i->attr.size) {
		grown = end - i->attr.size;
		i->attr.blocks += ((grown < len ? grown : len) + BLOCK_512 - 1) / BLOCK_512;
		i->attr.size = end;
	} else if (i->attr.blocks < full) {
		i->attr.blocks += (len + BLOCK_512 - 1) / BLOCK_512;
		if (i->attr.blocks > full)
			i->attr.blocks = full;
	}
	if (!kernel_times) {
		inode_now(&i->attr.mtime);
		i->attr.ctime = i->attr.mtime;
		i->times_due = true;
	}
}

ssize_t file_write(struct volume *v, struct inode *i, const void *buf, size_t len, uint64_t off, bool kernel_times)
{
	struct iofile *f;
	ssize_t n;
	int r;

	if (v->info.read_only)
		return -EROFS;
	r = live_get(v, i, &f);
	if (r < 0)
		return r;
	n = iofile_write(f, buf, len, off, false);
	if (n > 0)
		wrote(v, i, off + (uint64_t)n, (size_t)n, kernel_times);
	live_put(v, i);
	return n;
}

static int truncate_to(struct volume *v, struct inode *i, uint64_t size)
{
	struct iofile *f;
	int r;

	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	r = live_get(v, i, &f);
	if (r < 0)
		return r;
	r = iofile_truncate(f, size);
	if (r == 0) {
		uint64_t most = (size + BLOCK_512 - 1) / BLOCK_512;

		lock_take(&v->lock);
		i->attr.size = size;
		if (i->attr.blocks > most)
			i->attr.blocks = most;
		inode_now(&i->attr.mtime);
		i->attr.ctime = i->attr.mtime;
		i->times_due = true;
		lock_drop(&v->lock);
	}
	live_put(v, i);
	return r;
}

/* ---- attributes */

/* chown and chmod of the lower inode. A symbolic link has no mode that could be set. */
static int store_owner(struct volume *v, struct inode *i, int fd, const struct inode_attr *a, unsigned set)
{
	uid_t uid = set & FILE_SET_UID ? a->uid : (uid_t)-1;
	gid_t gid = set & FILE_SET_GID ? a->gid : (gid_t)-1;
	int r = 0;

	if (set & (FILE_SET_UID | FILE_SET_GID))
		r = v->lower->ops->fchownat(v->lower, fd, "", uid, gid);
	if (r == 0 && (set & FILE_SET_MODE))
		r = v->lower->ops->fchmod(v->lower, fd, a->mode & 07777);
	if (r < 0 || S_ISDIR(i->type))
		return r;
	lock_take(&v->lock);
	if (set & FILE_SET_UID)
		i->attr.uid = a->uid;
	if (set & FILE_SET_GID)
		i->attr.gid = a->gid;
	if (set & FILE_SET_MODE)
		i->attr.mode = (i->attr.mode & S_IFMT) | (a->mode & 07777);
	i->attr_due = true;
	inode_now(&i->attr.ctime);
	lock_drop(&v->lock);
	return 0;
}

/* A descriptor for attribute calls on anything but directories: files and directories are opened, others only referred to. */
static int attr_fd(struct volume *v, struct inode *i, int *ret_fd)
{
	int flags = O_PATH;

	if (S_ISREG(i->type))
		flags = O_RDONLY;
	else if (S_ISDIR(i->type))
		flags = O_RDONLY | O_DIRECTORY;
	return reopen_inode(v, i, flags, ret_fd);
}

/* Chowning drops setuid bits below, so the mode that results is asked for once. */
static int mode_after_chown(struct volume *v, struct inode *i, int fd, unsigned set)
{
	struct stat st;
	int r;

	r = v->lower->ops->fstat(v->lower, fd, &st);
	if (r == 0 && (set & FILE_KILL_SGID) && (st.st_mode & S_ISGID)) {
		st.st_mode &= ~(mode_t)S_ISGID;
		r = v->lower->ops->fchmod(v->lower, fd, st.st_mode & 07777);
	}
	if (r < 0)
		return r;
	lock_take(&v->lock);
	i->attr.mode = st.st_mode;
	lock_drop(&v->lock);
	return 0;
}

static int change_owner(struct volume *v, struct inode *i, const struct inode_attr *a, unsigned set)
{
	int fd, r;

	if (v->info.read_only)
		return -EROFS;
	r = attr_fd(v, i, &fd);
	if (r < 0)
		return r;
	r = store_owner(v, i, fd, a, set);
	if (r == 0 && !(set & FILE_SET_MODE) && !S_ISDIR(i->type) && !S_ISLNK(i->type) && (i->attr.mode & (S_ISUID | S_ISGID)))
		r = mode_after_chown(v, i, fd, set);
	lower_close(v->lower, fd);
	return r;
}

int file_kill_priv(struct volume *v, struct inode *i, unsigned kill)
{
	struct inode_attr a;
	uint32_t mode;

	if (kill == 0 || !S_ISREG(i->type))
		return 0;
	inode_attr(v, i, &a);
	mode = a.mode & ~(uint32_t)S_ISUID;
	if ((mode & S_IXGRP) || (kill & FILE_KILL_SGID))
		mode &= ~(uint32_t)S_ISGID;
	if (mode == a.mode)
		return 0;
	a.mode = mode;
	return change_owner(v, i, &a, FILE_SET_MODE);
}

/* Directories hold no times here. */
static int store_dir_times(struct volume *v, struct inode *i, const struct inode_attr *a, unsigned set)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	int fd, r;

	if (!(set & (FILE_SET_ATIME | FILE_SET_MTIME)))
		return 0;
	if (set & FILE_SET_ATIME)
		ts[0] = a->atime;
	if (set & FILE_SET_MTIME)
		ts[1] = a->mtime;
	r = dirfd_get(v, i, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->futimens(v->lower, fd, ts);
	dirfd_put(v, i);
	return r;
}

static bool hold_times(struct volume *v, struct inode *i, const struct inode_attr *a, unsigned set)
{
	WITH_LOCK(&v->lock);

	if (set & FILE_SET_ATIME)
		i->attr.atime = a->atime;
	if (set & FILE_SET_MTIME)
		i->attr.mtime = a->mtime;
	if (set & FILE_SET_CTIME)
		i->attr.ctime = a->ctime;
	else
		inode_now(&i->attr.ctime);
	if (!(set & (FILE_SET_ATIME | FILE_SET_MTIME)) || i->attr.nlink == 0)
		return false;
	i->times_due = true;
	return true;
}

static int change_times(struct volume *v, struct inode *i, const struct inode_attr *a, unsigned set)
{
	struct iofile *f;
	bool later;

	if (v->info.read_only)
		return -EROFS;
	if (S_ISDIR(i->type))
		return store_dir_times(v, i, a, set);
	if (!hold_times(v, i, a, set))
		return 0;
	/* The kernel's own mtime (no atime with it) comes with every bit of written data, which will set the lower one behind its home writes;
	 * writing it now would cost a journal entry each. What a user sets goes below at once if nothing is pending. */
	f = live_peek(v, i);
	later = f && (!(set & FILE_SET_ATIME) || !iofile_is_idle(f));
	if (f)
		live_put(v, i);
	return later ? 0 : live_store_times(v, i);
}

int file_getattr(struct volume *v, struct inode *i, struct inode_attr *ret_a)
{
	struct iofile *f;

	if (S_ISDIR(i->type))
		return dir_attr(v, i, ret_a);
	inode_attr(v, i, ret_a);
	if (!S_ISREG(i->type))
		return 0;
	if (i->bad)
		return -EIO;
	f = live_peek(v, i);
	if (f) {
		ret_a->size = iofile_size(f);
		live_put(v, i);
	}
	return 0;
}

int file_setattr(struct volume *v, struct inode *i, const struct inode_attr *a, unsigned set, struct inode_attr *ret_a)
{
	int r = 0;

	if (set & (FILE_SET_MODE | FILE_SET_UID | FILE_SET_GID))
		r = change_owner(v, i, a, set);
	if (r == 0 && (set & FILE_SET_SIZE) && (set & FILE_KILL_PRIV))
		r = file_kill_priv(v, i, set);
	if (r == 0 && (set & FILE_SET_SIZE))
		r = v->info.read_only ? -EROFS : truncate_to(v, i, a->size);
	if (r == 0 && (set & (FILE_SET_ATIME | FILE_SET_MTIME | FILE_SET_CTIME)))
		r = change_times(v, i, a, set);
	if (r < 0)
		return r;
	return file_getattr(v, i, ret_a);
}

/* ---- durability */

struct due {
	bool attr, name;
};

static struct due take_due(struct volume *v, struct inode *i)
{
	struct due d;
	WITH_LOCK(&v->lock);

	d.attr = i->attr_due;
	d.name = i->created && i->attr.nlink > 0;
	i->attr_due = false;
	return d;
}

static void put_back_due(struct volume *v, struct inode *i, struct due d)
{
	WITH_LOCK(&v->lock);

	i->attr_due |= d.attr;
}

/* fsync of an inode without iofile: all of its content is home and flushed; what remains is the inode and its names. */
static int sync_inode(struct volume *v, struct inode *i, struct due d)
{
	int fd, r = 0;

	if (d.attr || d.name) {
		r = attr_fd(v, i, &fd);
		if (r < 0)
			return r;
		r = S_ISREG(i->type) ? v->lower->ops->fsync(v->lower, fd) : 0;
		lower_close(v->lower, fd);
	}
	if (r == 0 && (d.name || !S_ISREG(i->type)))
		r = name_sync_new(v, i);
	return r;
}

int file_fsync(struct volume *v, struct inode *i, bool datasync)
{
	struct iofile *f;
	struct due d;
	int r;

	(void)datasync; /* the times are the only difference, and they are not promised */
	if (S_ISDIR(i->type))
		return file_fsyncdir(v, i);
	if (i->bad)
		return -EIO;
	d = take_due(v, i);
	f = S_ISREG(i->type) ? live_peek(v, i) : NULL;
	if (f) {
		r = iofile_fsync(f, d.attr);
		live_put(v, i);
	} else {
		r = sync_inode(v, i, d);
	}
	if (r < 0)
		put_back_due(v, i, d);
	return r;
}

int file_fsyncdir(struct volume *v, struct inode *dir)
{
	return name_sync(v, dir, true);
}

int file_commit(struct volume *v, struct inode *i)
{
	struct iofile *f = live_peek(v, i);
	struct due d;
	int r;

	if (!f)
		return 0;
	d = take_due(v, i);
	r = iofile_fsync(f, d.attr);
	live_put(v, i);
	if (r < 0)
		put_back_due(v, i, d);
	return r;
}

int file_statfs(struct volume *v, struct statvfs *ret_st)
{
	uint64_t fsid, magic;
	int r;

	r = v->lower->ops->statfs(v->lower, v->root_fd, ret_st, &fsid, &magic);
	if (r == 0)
		ret_st->f_namemax = PLAIN_NAME_MAX;
	return r;
}
