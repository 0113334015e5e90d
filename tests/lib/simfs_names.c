/* simfs_names.c: looking names up, and the calls of struct lower that change them. Links are never followed; "." and ".." are understood. */
#include "simfs_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* One component. */
static int step(struct simfs *fs, struct sim_inode *dir, const char *name, struct sim_inode **ret_i)
{
	struct sim_dent *e;

	if (!S_ISDIR(dir->mode))
		return S_ISLNK(dir->mode) ? -ELOOP : -ENOTDIR;
	if (strcmp(name, ".") == 0) {
		*ret_i = dir;
		return 0;
	}
	if (strcmp(name, "..") == 0) {
		*ret_i = sim_inode_find(fs, dir->parent);
		return *ret_i ? 0 : -ENOENT;
	}
	if (strlen(name) > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	e = sim_dents_find(dir->dcur, name);
	if (!e)
		return -ENOENT;
	*ret_i = sim_inode_find(fs, e->ino);
	return 0;
}

/* The directory that the last component is in, and a copy of that component. */
static int walk(struct simfs *fs, int dirfd, const char *path, struct sim_inode **ret_dir, char ret_last[static NAME_LEN_MAX + 1])
{
	struct sim_inode *dir;
	const char *slash;
	size_t len;
	int r;

	if (*path == '\0')
		return -ENOENT;
	r = *path == '/' ? (dir = sim_inode_find(fs, ROOT_INO), 0) : sim_dir_of(fs, dirfd, &dir);
	if (r < 0)
		return r;
	for (;;) {
		while (*path == '/')
			path++;
		slash = strchr(path, '/');
		len = slash ? (size_t)(slash - path) : strlen(path);
		if (len > NAME_LEN_MAX)
			return -ENAMETOOLONG;
		memcpy(ret_last, path, len);
		ret_last[len] = '\0';
		if (!slash)
			break;
		r = step(fs, dir, ret_last, &dir);
		if (r < 0)
			return r;
		path = slash;
	}
	if (!S_ISDIR(dir->mode))
		return S_ISLNK(dir->mode) ? -ELOOP : -ENOTDIR;
	if (len == 0)
		(void)strcpy(ret_last, ".");
	*ret_dir = dir;
	return 0;
}

int sim_lookup(struct simfs *fs, int dirfd, const char *path, struct sim_inode **ret_i)
{
	char last[NAME_LEN_MAX + 1];
	struct sim_inode *dir;
	int r;

	r = walk(fs, dirfd, path, &dir, last);
	return r < 0 ? r : step(fs, dir, last, ret_i);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int sim_create(struct simfs *fs, int dirfd, const char *path, mode_t mode, struct sim_inode **ret_i)
{
	char last[NAME_LEN_MAX + 1];
	struct sim_nop nop = { 0 };
	struct sim_inode *dir, *i;
	int r;

	r = walk(fs, dirfd, path, &dir, last);
	if (r < 0)
		return r;
	if (is_dot(last) || sim_dents_find(dir->dcur, last))
		return -EEXIST;
	if (dir->nlink == 0)
		return -ENOENT; /* removed, but open */
	i = sim_inode_add(fs, fs->next_ino++, mode);
	sim_nop_slot(fs, &nop, dir, last, i->ino);
	sim_nop_commit(fs, &nop);
	*ret_i = i;
	return 0;
}

static int sim_mkdirat(struct lower *l, int dirfd, const char *name, mode_t mode)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_NAME);
	return r < 0 ? r : sim_create(fs, dirfd, name, S_IFDIR | (mode & 07777), &i);
}

static int sim_mknodat(struct lower *l, int dirfd, const char *name, mode_t mode, dev_t dev)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_NAME);
	if (r < 0)
		return r;
	if ((mode & S_IFMT) == 0)
		mode |= S_IFREG;
	if (S_ISDIR(mode) || S_ISLNK(mode))
		return -EINVAL;
	r = sim_create(fs, dirfd, name, mode, &i);
	if (r == 0)
		i->rdev = dev;
	return r;
}

static int sim_symlinkat(struct lower *l, const char *target, int dirfd, const char *name)
{
	struct simfs *fs = sim_of(l);
	struct sim_inode *i;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_NAME);
	if (r < 0)
		return r;
	if (*target == '\0')
		return -ENOENT;
	if (strlen(target) >= PAGE)
		return -ENAMETOOLONG;
	r = sim_create(fs, dirfd, name, S_IFLNK | 0777, &i);
	if (r < 0)
		return r;
	i->target = sim_str_new(target);
	i->size = i->dur_size = strlen(target);
	return 0;
}

static int sim_linkat(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new)
{
	struct simfs *fs = sim_of(l);
	char last[NAME_LEN_MAX + 1];
	struct sim_nop nop = { 0 };
	struct sim_inode *i, *dir;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_NAME);
	if (r == 0)
		r = sim_lookup(fs, olddirfd, old, &i);
	if (r == 0)
		r = walk(fs, newdirfd, new, &dir, last);
	if (r < 0)
		return r;
	if (is_dot(last) || sim_dents_find(dir->dcur, last))
		return -EEXIST;
	if (S_ISDIR(i->mode))
		return -EPERM;
	sim_nop_slot(fs, &nop, dir, last, i->ino);
	sim_nop_commit(fs, &nop);
	return 0;
}

static int sim_unlinkat(struct lower *l, int dirfd, const char *name, int flags)
{
	struct simfs *fs = sim_of(l);
	char last[NAME_LEN_MAX + 1];
	struct sim_nop nop = { 0 };
	struct sim_inode *i, *dir;
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_NAME);
	if (r == 0)
		r = walk(fs, dirfd, name, &dir, last);
	if (r == 0)
		r = is_dot(last) ? -EINVAL : step(fs, dir, last, &i);
	if (r < 0)
		return r;
	if (!(flags & AT_REMOVEDIR) && S_ISDIR(i->mode))
		return -EISDIR;
	if ((flags & AT_REMOVEDIR) && !S_ISDIR(i->mode))
		return -ENOTDIR;
	if (S_ISDIR(i->mode) && i->dcur->n > 0)
		return -ENOTEMPTY;
	sim_nop_slot(fs, &nop, dir, last, 0);
	sim_nop_commit(fs, &nop);
	return 0;
}

/* May a (in da) take the place of b, or change places with it? */
static int rename_allowed(struct simfs *fs, const struct sim_inode *a, const struct sim_inode *b, const struct sim_inode *to, unsigned flags)
{
	if (S_ISDIR(a->mode))
		for (const struct sim_inode *d = to;; d = sim_inode_find(fs, d->parent)) {
			if (d == a)
				return -EINVAL; /* into itself */
			if (d->ino == ROOT_INO)
				break;
		}
	if (!b)
		return flags & RENAME_EXCHANGE ? -ENOENT : 0;
	if (flags & RENAME_EXCHANGE)
		return 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (S_ISDIR(a->mode) && !S_ISDIR(b->mode))
		return -ENOTDIR;
	if (!S_ISDIR(a->mode) && S_ISDIR(b->mode))
		return -EISDIR;
	return S_ISDIR(b->mode) && b->dcur->n > 0 ? -ENOTEMPTY : 0;
}

static int sim_renameat2(struct lower *l, int olddirfd, const char *old, int newdirfd, const char *new, unsigned flags)
{
	struct simfs *fs = sim_of(l);
	char from[NAME_LEN_MAX + 1], to[NAME_LEN_MAX + 1];
	struct sim_inode *a, *b = NULL, *da, *db;
	struct sim_nop nop = { 0 };
	int r;

	SIM_LOCK(fs);
	r = sim_begin(fs, SIMFS_CALL_NAME);
	if (r == 0 && ((flags & ~(RENAME_EXCHANGE | RENAME_NOREPLACE)) || flags == (RENAME_EXCHANGE | RENAME_NOREPLACE) ||
		       ((flags & RENAME_EXCHANGE) && (fs->p.lacks & SIMFS_NO_EXCHANGE))))
		r = -EINVAL;
	if (r == 0)
		r = walk(fs, olddirfd, old, &da, from);
	if (r == 0)
		r = walk(fs, newdirfd, new, &db, to);
	if (r == 0)
		r = is_dot(from) || is_dot(to) ? -EBUSY : step(fs, da, from, &a);
	if (r < 0)
		return r;
	r = step(fs, db, to, &b);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && a == b)
		return flags & RENAME_NOREPLACE ? -EEXIST : 0;
	r = rename_allowed(fs, a, b, db, flags);
	if (r == 0 && (flags & RENAME_EXCHANGE))
		r = rename_allowed(fs, b, a, da, flags);
	if (r < 0)
		return r;
	sim_nop_slot(fs, &nop, da, from, flags & RENAME_EXCHANGE ? b->ino : 0);
	sim_nop_slot(fs, &nop, db, to, a->ino);
	sim_nop_commit(fs, &nop);
	return 0;
}

void sim_names_fill(struct lower_ops *ops)
{
	ops->mkdirat = sim_mkdirat;
	ops->mknodat = sim_mknodat;
	ops->symlinkat = sim_symlinkat;
	ops->linkat = sim_linkat;
	ops->unlinkat = sim_unlinkat;
	ops->renameat2 = sim_renameat2;
}
