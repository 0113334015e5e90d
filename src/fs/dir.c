/* dir.c: looking up and making names (dir.h).
 *
 * Making an entry, in this order, so that a crash anywhere leaves a directory that reads: the directory's id if it has none, a long name's
 * link, the entry, its owner. What fails behind the entry removes it again. */
#include "fs/dir.h"

#include <fcntl.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/dirfd.h"
#include "fs/live.h"
#include "fs/name.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

/* ---- looking */

static int symlink_size(struct volume *v, int dirfd, const char *entry, uint64_t *ret_size)
{
	char lower[SYMLINK_LOWER_MAX + 1], plain[SYMLINK_PLAIN_MAX + 1];
	ssize_t n;
	size_t len;
	int r;

	n = v->lower->ops->readlinkat(v->lower, dirfd, entry, lower, sizeof(lower));
	if (n < 0)
		return (int)n;
	r = namecrypt_symlink_decrypt(v->names, key_ring_names_epoch(v->ring), lower, (size_t)n, plain, &len);
	if (r == 0)
		*ret_size = len;
	return r;
}

static int peek_size(struct volume *v, int dirfd, const char *entry, struct stat *st, uint64_t *ret_size)
{
	struct stat now;
	int fd, r;

	r = reopen_peek(v, dirfd, entry, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->fstat(v->lower, fd, &now);
	if (r == 0 && (now.st_ino != st->st_ino || !S_ISREG(now.st_mode)))
		r = -EIO;
	if (r == 0) {
		*st = now;
		r = vio_peek(v->vio, fd, &now, ret_size);
	}
	lower_close(v->lower, fd);
	return r;
}

int dir_stat(struct volume *v, int dirfd, const char *entry, struct inode_attr *ret_a, bool *ret_bad)
{
	struct inode *held;
	uint64_t size = 0;
	struct stat st;
	int r;

	*ret_bad = false;
	r = v->lower->ops->fstatat(v->lower, dirfd, entry, &st);
	if (r < 0)
		return r;
	if (st.st_dev != v->dev)
		return -EIO;
	if (S_ISREG(st.st_mode)) {
		/* The size of a file in use is known here and maybe not yet below. */
		held = inode_get_ino(v, st.st_ino);
		if (held && !held->bad) {
			inode_attr(v, held, ret_a);
			inode_put(v, held);
			return 0;
		}
		inode_put(v, held);
		r = peek_size(v, dirfd, entry, &st, &size);
		if (r == -EIO || r == -EBADMSG || r == -EUCLEAN) {
			*ret_bad = true;
			size = DIR_BAD_SIZE;
			r = 0;
		}
		if (r < 0)
			return r;
	} else if (S_ISLNK(st.st_mode)) {
		/* One that does not decrypt can still be removed. */
		if (symlink_size(v, dirfd, entry, &size) < 0)
			size = 0;
	} else if (S_ISDIR(st.st_mode)) {
		size = (uint64_t)st.st_size;
	}
	inode_attr_from(&st, size, ret_a);
	return 0;
}

/* From attributes to an inode that the kernel remembers. */
static int remember(struct volume *v, struct inode *dir, const char *entry, const struct inode_attr *a, bool bad, uint64_t closes,
		    struct dir_result *ret_d)
{
	struct dir_result d = { .attr = *a, .bad = bad };
	int r;

	r = inode_remember(v, dir, entry, a, bad, closes, &d.inode);
	if (r < 0)
		return r;
	if (!S_ISDIR(d.inode->type))
		inode_attr(v, d.inode, &d.attr);
	*ret_d = d;
	return 0;
}

void dir_undo(struct volume *v, struct dir_result *d)
{
	inode_forget(v, d->inode->id, 1);
	inode_put(v, take_ptr(d->inode));
}

static int lookup_at(struct volume *v, struct inode *dir, int dirfd, const char *name, struct dir_result *ret_d)
{
	uint8_t id[DIR_ID_LEN];
	struct inode_attr a;
	uint64_t closes, disk = ahead_disk();
	struct name n;
	bool bad;
	int r;

	r = name_dir_id(v, dir, dirfd, id);
	if (r < 0)
		return r;
	r = name_encrypt(v, id, name, &n);
	if (r < 0)
		return r;
	do {
		closes = inode_closes(v);
		r = dir_stat(v, dirfd, n.entry, &a, &bad);
		if (r == 0)
			r = remember(v, dir, n.entry, &a, bad, closes, ret_d);
	} while (r == -EAGAIN);
	if (r == 0 && S_ISREG(a.mode))
		ret_d->ahead = ahead_looked(v, dir, ahead_disk() != disk);
	return r;
}

int dir_lookup(struct volume *v, struct inode *dir, const char *name, struct dir_result *ret_d)
{
	int dirfd, r;

	r = dirfd_get(v, dir, &dirfd);
	if (r < 0)
		return r;
	r = lookup_at(v, dir, dirfd, name, ret_d);
	dirfd_put(v, dir);
	return r;
}

int dir_attr(struct volume *v, struct inode *dir, struct inode_attr *ret_a)
{
	struct stat st;
	int fd, r;

	r = dirfd_get(v, dir, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->fstat(v->lower, fd, &st);
	dirfd_put(v, dir);
	if (r < 0)
		return r;
	inode_attr_from(&st, (uint64_t)st.st_size, ret_a);
	return 0;
}

/* ---- making */

/* What is being made, so that one function can do the common steps. */
struct making {
	uint32_t mode;           /* type and permissions */
	uint64_t rdev;
	const char *target;      /* of a symbolic link, encrypted */
	struct dir_caller who;
	int fd;                  /* a regular file's descriptor */
};

static int make_entry(struct volume *v, int dirfd, const char *entry, struct making *m)
{
	const struct lower_ops *ops = v->lower->ops;

	switch (m->mode & S_IFMT) {
	case S_IFREG:
		return reopen_at(v, dirfd, entry, O_RDWR | O_CREAT | O_EXCL, m->mode & 07777, &m->fd);
	case S_IFDIR:
		return ops->mkdirat(v->lower, dirfd, entry, m->mode & 07777);
	case S_IFLNK:
		return ops->symlinkat(v->lower, m->target, dirfd, entry);
	case S_IFIFO:
	case S_IFSOCK:
		return ops->mknodat(v->lower, dirfd, entry, m->mode, 0);
	case S_IFCHR:
	case S_IFBLK:
		if (!v->options.dev)
			return -EPERM;
		return ops->mknodat(v->lower, dirfd, entry, m->mode, (dev_t)m->rdev);
	default:
		return -EINVAL;
	}
}

/* The new entry becomes the caller's. In a setgid directory the lower filesystem has already taken the directory's group, and for a directory
 * the bit. st is brought up to date. */
static int give_away(struct volume *v, int dirfd, const char *entry, struct making *m, struct stat *st)
{
	uint32_t gid = m->who.gid;
	struct stat dir;
	int r;

	if (st->st_uid == m->who.uid && st->st_gid == gid)
		return 0;
	r = v->lower->ops->fstat(v->lower, dirfd, &dir);
	if (r < 0)
		return r;
	if (dir.st_mode & S_ISGID)
		gid = dir.st_gid;
	if (m->fd >= 0)
		r = v->lower->ops->fchownat(v->lower, m->fd, "", m->who.uid, gid);
	else
		r = v->lower->ops->fchownat(v->lower, dirfd, entry, m->who.uid, gid);
	if (r < 0)
		return r;
	st->st_uid = m->who.uid;
	st->st_gid = gid;
	/* Changing the owner drops these bits. */
	if (m->fd >= 0 && (m->mode & (S_ISUID | S_ISGID)))
		r = v->lower->ops->fchmod(v->lower, m->fd, m->mode & 07777);
	return r;
}

static int finish_entry(struct volume *v, struct inode *dir, int dirfd, const char *entry, struct making *m,
			struct dir_result *ret_d)
{
	struct dir_result d;
	struct inode_attr a;
	struct stat st;
	int r;

	if (m->fd >= 0)
		r = v->lower->ops->fstat(v->lower, m->fd, &st);
	else
		r = v->lower->ops->fstatat(v->lower, dirfd, entry, &st);
	if (r == 0)
		r = give_away(v, dirfd, entry, m, &st);
	if (r < 0)
		return r;
	inode_attr_from(&st, S_ISDIR(st.st_mode) ? (uint64_t)st.st_size : 0, &a);
	do
		r = remember(v, dir, entry, &a, false, inode_closes(v), &d);
	while (r == -EAGAIN);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode))
		name_dir_is_new(v, d.inode);
	if (m->fd >= 0)
		r = live_created(v, d.inode, take_fd(&m->fd), &st);
	if (r < 0) {
		dir_undo(v, &d);
		return r;
	}
	*ret_d = d;
	return 0;
}

static int make_at(struct volume *v, struct inode *dir, int dirfd, const char *name, struct making *m, struct dir_result *ret_d)
{
	uint8_t id[DIR_ID_LEN];
	struct name n;
	bool linked;
	int r;

	r = name_dir_id_make(v, dir, dirfd, id);
	if (r < 0)
		return r;
	r = name_encrypt(v, id, name, &n);
	if (r < 0)
		return r;
	r = name_link_make(v, dir, dirfd, &n, &linked);
	if (r < 0)
		return r;
	r = make_entry(v, dirfd, n.entry, m);
	if (r == 0) {
		r = finish_entry(v, dir, dirfd, n.entry, m, ret_d);
		if (r < 0)
			(void)v->lower->ops->unlinkat(v->lower, dirfd, n.entry, S_ISDIR(m->mode) ? AT_REMOVEDIR : 0);
	}
	if (r < 0 && linked && r != -EEXIST)
		name_link_remove(v, dirfd, &n);
	lower_close(v->lower, m->fd);
	return r;
}

static int make(struct volume *v, struct inode *dir, const char *name, struct making *m, struct dir_result *ret_d)
{
	int dirfd, r;

	if (v->info.read_only)
		return -EROFS;
	r = dirfd_get(v, dir, &dirfd);
	if (r < 0)
		return r;
	r = make_at(v, dir, dirfd, name, m, ret_d);
	dirfd_put(v, dir);
	return r;
}

int dir_create(struct volume *v, struct inode *dir, const char *name, uint32_t mode, struct dir_caller who,
	       struct dir_result *ret_d)
{
	struct making m = { .mode = (mode & 07777) | S_IFREG, .who = who, .fd = -1 };

	return make(v, dir, name, &m, ret_d);
}

int dir_mkdir(struct volume *v, struct inode *dir, const char *name, uint32_t mode, struct dir_caller who,
	      struct dir_result *ret_d)
{
	struct making m = { .mode = (mode & 07777) | S_IFDIR, .who = who, .fd = -1 };

	return make(v, dir, name, &m, ret_d);
}

int dir_mknod(struct volume *v, struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, struct dir_caller who,
	      struct dir_result *ret_d)
{
	struct making m = { .mode = mode, .rdev = rdev, .who = who, .fd = -1 };

	if ((mode & S_IFMT) == 0)
		m.mode |= S_IFREG;
	if (S_ISDIR(m.mode) || S_ISLNK(m.mode))
		return -EINVAL;
	return make(v, dir, name, &m, ret_d);
}

int dir_symlink(struct volume *v, struct inode *dir, const char *name, const char *target, struct dir_caller who,
		struct dir_result *ret_d)
{
	char lower[SYMLINK_LOWER_MAX + 1];
	struct making m = { .mode = S_IFLNK | 0777, .target = lower, .who = who, .fd = -1 };
	size_t len;
	int r;

	r = namecrypt_symlink_encrypt(v->names, key_ring_names_epoch(v->ring), target, strlen(target), lower, &len);
	if (r < 0)
		return r == -EINVAL ? -ENOENT : r;
	r = make(v, dir, name, &m, ret_d);
	if (r < 0)
		return r;
	/* What is held is the plain length. */
	lock_take(&v->lock);
	ret_d->inode->attr.size = strlen(target);
	ret_d->attr.size = strlen(target);
	lock_drop(&v->lock);
	return 0;
}

/* By a descriptor: what stands at a name may be exchanged for another link between a look and the reading. */
int dir_readlink(struct volume *v, struct inode *i, char *ret_target)
{
	char lower[SYMLINK_LOWER_MAX + 1];
	ssize_t n;
	size_t len;
	int fd, r;

	if (!S_ISLNK(i->type))
		return -EINVAL;
	r = reopen_inode(v, i, O_PATH, &fd);
	if (r < 0)
		return r;
	n = v->lower->ops->readlinkat(v->lower, fd, "", lower, sizeof(lower));
	lower_close(v->lower, fd);
	if (n < 0)
		return (int)n;
	r = namecrypt_symlink_decrypt(v->names, key_ring_names_epoch(v->ring), lower, (size_t)n, ret_target, &len);
	if (r < 0)
		return r == -ENOMEM ? r : -EIO;
	return 0;
}

/* ---- hard links */

/* The name that was known is gone, though others are there: by a descriptor. */
static int link_nameless(struct volume *v, struct inode *i, int dirfd, const char *entry)
{
	int fd, r;

	r = reopen_inode(v, i, O_PATH, &fd);
	if (r < 0)
		return r;
	r = v->lower->ops->linkat(v->lower, fd, "", dirfd, entry);
	lower_close(v->lower, fd);
	return r;
}

/* linkat from the inode's known name; what arrives must be the inode. */
static int link_lower(struct volume *v, struct inode *i, int dirfd, const char *entry)
{
	char old[LOWER_NAME_LEN_MAX + 1];
	struct inode *parent;
	struct stat st;
	int fd, r;

	r = reopen_name(v, i, &parent, &fd, old);
	if (r == 0) {
		r = v->lower->ops->linkat(v->lower, fd, old, dirfd, entry);
		dirfd_put(v, parent);
		inode_put(v, parent);
	} else if (r == -ENOENT) {
		r = link_nameless(v, i, dirfd, entry);
	}
	if (r < 0)
		return r;
	r = v->lower->ops->fstatat(v->lower, dirfd, entry, &st);
	if (r == 0 && st.st_ino == i->ino)
		return 0;
	(void)v->lower->ops->unlinkat(v->lower, dirfd, entry, 0);
	return r < 0 ? r : -EIO;
}

/* One more link, or one less again. ret_a: what it has now. */
static void count_link(struct volume *v, struct inode *i, int more, struct inode_attr *ret_a)
{
	WITH_LOCK(&v->lock);

	i->attr.nlink += (uint32_t)more;
	i->attr_due = true;
	inode_now(&i->attr.ctime);
	*ret_a = i->attr;
}

static int link_at(struct volume *v, struct inode *i, struct inode *dir, int dirfd, const char *name, struct dir_result *ret_d)
{
	uint8_t id[DIR_ID_LEN];
	struct inode_attr a;
	struct name n;
	bool linked;
	int r;

	r = name_dir_id_make(v, dir, dirfd, id);
	if (r < 0)
		return r;
	r = name_encrypt(v, id, name, &n);
	if (r < 0)
		return r;
	r = name_link_make(v, dir, dirfd, &n, &linked);
	if (r < 0)
		return r;
	r = link_lower(v, i, dirfd, n.entry);
	if (r == 0) {
		count_link(v, i, 1, &a);
		r = remember(v, dir, n.entry, &a, i->bad, inode_closes(v), ret_d);
		if (r < 0 && v->lower->ops->unlinkat(v->lower, dirfd, n.entry, 0) == 0)
			count_link(v, i, -1, &a);
	}
	if (r < 0 && linked && r != -EEXIST)
		name_link_remove(v, dirfd, &n);
	return r;
}

int dir_link(struct volume *v, struct inode *i, struct inode *dir, const char *name, struct dir_result *ret_d)
{
	int dirfd, r;

	if (v->info.read_only)
		return -EROFS;
	if (S_ISDIR(i->type))
		return -EPERM;
	r = dirfd_get(v, dir, &dirfd);
	if (r < 0)
		return r;
	r = link_at(v, i, dir, dirfd, name, ret_d);
	dirfd_put(v, dir);
	return r;
}
