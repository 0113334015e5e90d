/* reopen.c: from an inode back to an open lower file (reopen.h). Names may change while we look: a name is read under the lock, tried
 * without it, and tried again when it has changed meanwhile; a rename that is under way below is waited for. */
#include "fs/reopen.h"

#include <string.h>

#include "base/log.h"
#include "fs/dirfd.h"
#include "fs/live.h"
#include "fs/volume_impl.h"

#define RENAME_TRIES 16

/* A mount without root's capabilities may not open what its own user has closed to himself, such as a file of mode 0444 for writing, which
 * whoever had it open before may still write. Permissions are the kernel's business, so open it by way of a moment's wider mode. ref: a
 * descriptor that refers to it. */
static int open_own(struct volume *v, int ref, int flags)
{
	const struct lower_ops *ops = v->lower->ops;
	struct stat st;
	int fd, r;

	r = ops->fstat(v->lower, ref, &st);
	if (r < 0)
		return r;
	if (st.st_uid != geteuid() || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return -EACCES;
	r = ops->fchmod(v->lower, ref, (st.st_mode & 07777) | (S_ISDIR(st.st_mode) ? 0700 : 0600));
	if (r < 0)
		return r;
	fd = ops->reopen(v->lower, ref, flags);
	r = ops->fchmod(v->lower, ref, st.st_mode & 07777);
	if (r < 0)
		log_warning("inode %llu: its mode could not be put back: %s", (unsigned long long)st.st_ino, err_text(r));
	return fd;
}

static int open_own_at(struct volume *v, int dirfd, const char *name, int flags)
{
	int ref, fd;

	if (!v->lower->real || geteuid() == 0 || v->info.read_only || (flags & (O_CREAT | O_PATH)))
		return -EACCES;
	ref = v->lower->ops->openat(v->lower, dirfd, name, O_PATH, 0);
	if (ref < 0)
		return ref;
	fd = open_own(v, ref, flags);
	lower_close(v->lower, ref);
	return fd;
}

int reopen_at(struct volume *v, int dirfd, const char *name, int flags, mode_t mode, int *ret_fd)
{
	int fd;

	fd = v->lower->ops->openat(v->lower, dirfd, name, flags, mode);
	if ((fd == -EMFILE || fd == -ENFILE) && dirfd_shrink(v))
		fd = v->lower->ops->openat(v->lower, dirfd, name, flags, mode);
	if (fd == -EACCES)
		fd = open_own_at(v, dirfd, name, flags);
	if (fd < 0)
		return fd == -EMFILE ? -ENFILE : fd;
	*ret_fd = fd;
	return 0;
}

int reopen_peek(struct volume *v, int dirfd, const char *name, int *ret_fd)
{
	int r;

	/* Only its owner may, and root. */
	r = reopen_at(v, dirfd, name, O_RDONLY | O_NOATIME, 0, ret_fd);
	return r == -EPERM ? reopen_at(v, dirfd, name, O_RDONLY, 0, ret_fd) : r;
}

static bool is_inode(const struct volume *v, const struct inode *i, const struct stat *st)
{
	return st->st_ino == i->ino && st->st_dev == v->dev && (st->st_mode & S_IFMT) == i->type;
}

/* Is fd the inode? If not it is closed. */
static int checked(struct volume *v, struct inode *i, int fd, int *ret_fd)
{
	struct stat st;
	int r;

	r = v->lower->ops->fstat(v->lower, fd, &st);
	if (r == 0 && !is_inode(v, i, &st))
		r = -ESTALE;
	if (r < 0) {
		lower_close(v->lower, fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* The parent (with a reference) and name of an inode as they are now. -ENOENT: none. */
static int current_name(struct volume *v, struct inode *i, struct inode **ret_parent, char *ret_name, uint32_t *ret_renames)
{
	size_t len;
	WITH_LOCK(&v->lock);

	*ret_renames = i->renames;
	if (!i->parent)
		return -ENOENT;
	len = strlen(i->name);
	assert(len <= LOWER_NAME_LEN_MAX);
	memcpy(ret_name, i->name, len + 1);
	i->parent->refs++;
	*ret_parent = i->parent;
	return 0;
}

int reopen_name(struct volume *v, struct inode *i, struct inode **ret_parent, int *ret_dirfd, char *ret_name)
{
	int tries, r = -ENOENT;

	for (tries = 0; tries < RENAME_TRIES; tries++) {
		struct inode *parent = NULL;
		uint32_t renames;
		struct stat st;
		int fd = -1;

		r = current_name(v, i, &parent, ret_name, &renames);
		if (r < 0)
			return r;
		r = dirfd_get(v, parent, &fd);
		if (r == 0) {
			r = v->lower->ops->fstatat(v->lower, fd, ret_name, &st);
			if (r == 0 && !is_inode(v, i, &st))
				r = -ESTALE;
			if (r == 0) {
				*ret_parent = parent;
				*ret_dirfd = fd;
				return 0;
			}
			dirfd_put(v, parent);
		}
		inode_put(v, parent);
		if (!inode_has_moved(v, i, renames))
			break;
	}
	return r == -ENOENT || r == -ESTALE ? -EIO : r;
}

/* What stands there now is the inode? Asked before it is opened: opening a device, or the other end of a FIFO, may do something. */
static int stands_there(struct volume *v, struct inode *i, int dirfd, const char *name, int flags)
{
	struct stat st;
	int r;

	if (flags & (O_PATH | O_DIRECTORY))
		return 0;
	r = v->lower->ops->fstatat(v->lower, dirfd, name, &st);
	if (r < 0)
		return r;
	return is_inode(v, i, &st) ? 0 : -ESTALE;
}

static int by_name(struct volume *v, struct inode *i, int flags, int *ret_fd)
{
	char name[LOWER_NAME_LEN_MAX + 1];
	int tries, r = -ENOENT;

	for (tries = 0; tries < RENAME_TRIES; tries++) {
		struct inode *parent = NULL;
		uint32_t renames;
		int dirfd, fd = -1;

		r = current_name(v, i, &parent, name, &renames);
		if (r < 0)
			return r;
		r = dirfd_get(v, parent, &dirfd);
		if (r == 0) {
			r = stands_there(v, i, dirfd, name, flags);
			if (r == 0)
				r = reopen_at(v, dirfd, name, flags, 0, &fd);
			dirfd_put(v, parent);
		}
		inode_put(v, parent);
		if (r == 0)
			r = checked(v, i, fd, ret_fd);
		if (r == 0 || !inode_has_moved(v, i, renames))
			break;
	}
	return r;
}

static int by_handle(struct volume *v, struct inode *i, int flags, int *ret_fd)
{
	struct lower_handle h;
	int fd;

	lock_take(&v->lock);
	if (!i->handle) {
		lock_drop(&v->lock);
		return -ENOENT;
	}
	h = *i->handle;
	lock_drop(&v->lock);
	fd = v->lower->ops->open_by_handle(v->lower, v->root_fd, &h, flags);
	if (fd < 0)
		return fd;
	return checked(v, i, fd, ret_fd);
}

static int pin_of(struct volume *v, struct inode *i)
{
	WITH_LOCK(&v->lock);

	return i->pin_fd;
}

/* -ENOENT: there is no pin. */
static int by_pin(struct volume *v, struct inode *i, int flags, int *ret_fd)
{
	int pin = pin_of(v, i), fd;

	if (pin < 0)
		return -ENOENT;
	fd = v->lower->ops->reopen(v->lower, pin, flags);
	if (fd == -EMFILE && dirfd_shrink(v))
		fd = v->lower->ops->reopen(v->lower, pin, flags);
	if (fd == -EACCES && geteuid() != 0 && !v->info.read_only)
		fd = open_own(v, pin, flags);
	if (fd < 0)
		return fd == -EMFILE ? -ENFILE : fd;
	*ret_fd = fd;
	return 0;
}

int reopen_inode(struct volume *v, struct inode *i, int flags, int *ret_fd)
{
	int r;

	if (i == v->root)
		return reopen_at(v, v->root_fd, ".", flags | O_DIRECTORY, 0, ret_fd);
	r = by_pin(v, i, flags, ret_fd);
	if (r != -ENOENT)
		return r;
	r = by_name(v, i, flags, ret_fd);
	if (r == -ENOENT || r == -ESTALE) {
		int r2 = by_handle(v, i, flags, ret_fd);

		/* Who takes the last name away pins first: while we looked, perhaps. */
		if (r2 < 0)
			r2 = by_pin(v, i, flags, ret_fd);
		if (r2 == 0)
			return 0;
	}
	if (r == -ENOENT || r == -ESTALE || r == -ELOOP || r == -ENXIO || r == -ENOTDIR) {
		log_err("inode %llu: another file stands in its place", (unsigned long long)i->ino);
		return -EIO;
	}
	return r;
}

int reopen_owner(void *ctx, void *owner, int flags)
{
	struct inode *i = live_inode(ctx, owner);
	int fd = -1, r;

	if (!i)
		return -ESTALE;
	r = reopen_inode(ctx, i, flags, &fd);
	inode_put(ctx, i);
	return r < 0 ? r : fd;
}

/* Keep fd, or, when other links remain, only a handle: the kernel may remember such an inode for long. Consumes fd. */
static int keep(struct volume *v, struct inode *i, int fd, uint32_t nlink)
{
	AUTO_FREE struct lower_handle *h = NULL;

	if (nlink > 1 && v->handles) {
		h = malloc(sizeof(*h));
		if (h && v->lower->ops->name_to_handle(v->lower, fd, h) < 0) {
			free(h);
			h = NULL;
		}
	}
	lock_take(&v->lock);
	if (h && !i->handle) {
		i->handle = take_ptr(h);
	} else if (!h && i->pin_fd < 0) {
		i->pin_fd = fd;
		fd = -1;
	}
	lock_drop(&v->lock);
	lower_close(v->lower, fd);
	return 0;
}

int reopen_pin(struct volume *v, struct inode *i, uint32_t nlink)
{
	int fd = -1, r;
	bool have;

	lock_take(&v->lock);
	have = i->pin_fd >= 0 || (nlink > 1 && i->handle);
	lock_drop(&v->lock);
	if (have)
		return 0;
	/* O_PATH costs the lower filesystem nothing; a simulated one may not have it. */
	r = reopen_inode(v, i, v->lower->real ? O_PATH : O_RDONLY, &fd);
	if (r < 0)
		return r;
	return keep(v, i, fd, nlink);
}
