/* rename.c: moving names (rename.h). A name is encrypted anew under the id of the directory it moves to. Order: the new long name's link, the commit
 * of what replaces something, the target made ready to go, the lower rename, then what is left over of the old name.
 *
 * A crash between the lower rename and the end leaves at most a long-name link without an entry, which means nothing. */
#include "fs/rename.h"

#include <stdio.h>
#include <string.h>

#include "fs/dirfd.h"
#include "fs/file.h"
#include "fs/name.h"
#include "fs/remove.h"
#include "fs/volume_impl.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#endif

struct end {                     /* one end of a rename */
	struct inode *dir;
	int dirfd;
	struct name n;
	struct stat st;
	bool exists;
	bool linked;             /* we made the long name's link */
};

static int find_end(struct volume *v, struct end *e, const char *name, bool make)
{
	uint8_t id[DIR_ID_LEN];
	int r;

	if (make)
		r = name_dir_id_make(v, e->dir, e->dirfd, id);
	else
		r = name_dir_id(v, e->dir, e->dirfd, id);
	if (r < 0)
		return r;
	r = name_encrypt(v, id, name, &e->n);
	if (r < 0)
		return r;
	r = v->lower->ops->fstatat(v->lower, e->dirfd, e->n.entry, &e->st);
	e->exists = r == 0;
	return r == -ENOENT ? 0 : r;
}

static int commit(struct volume *v, const struct end *e)
{
	struct inode *i = inode_get_ino(v, e->st.st_ino);
	int r = 0;

	if (i && S_ISREG(i->type))
		r = file_commit(v, i);
	inode_put(v, i);
	return r;
}

/* The inode is now called new. Without memory for a name it has none, and its handle or an error serve. */
static void moved(struct volume *v, struct inode *i, const struct end *old, const struct end *new)
{
	if (!i)
		return;
	if (inode_set_name(v, i, new->dir, new->n.entry) < 0)
		inode_drop_name(v, i, old->dir, old->n.entry);
	lock_take(&v->lock);
	i->attr_due = true;
	inode_now(&i->attr.ctime);
	lock_drop(&v->lock);
}

/* Where the lower filesystem knows no NOREPLACE a look before will do: nobody else writes here. */
static int renameat2_below(struct volume *v, struct end *a, struct end *b, unsigned flags)
{
	int r;

	r = v->lower->ops->renameat2(v->lower, a->dirfd, a->n.entry, b->dirfd, b->n.entry, flags);
	if (r == -EINVAL && flags == RENAME_NOREPLACE && !b->exists)
		r = v->lower->ops->renameat2(v->lower, a->dirfd, a->n.entry, b->dirfd, b->n.entry, 0);
	return r;
}

static int lower_rename(struct volume *v, struct end *a, struct end *b, unsigned flags)
{
	struct inode *i = inode_move_begin(v, a->st.st_ino);
	struct inode *other = flags == RENAME_EXCHANGE ? inode_move_begin(v, b->st.st_ino) : NULL;
	int r;

	r = renameat2_below(v, a, b, flags);
	if (r == 0) {
		moved(v, i, a, b);
		moved(v, other, b, a);
	}
	inode_move_end(v, other);
	inode_move_end(v, i);
	return r;
}

static int exchange(struct volume *v, struct end *a, struct end *b)
{
	int r;

	r = commit(v, a);
	if (r == 0)
		r = commit(v, b);
	return r < 0 ? r : lower_rename(v, a, b, RENAME_EXCHANGE);
}

static int replace(struct volume *v, struct end *a, struct end *b)
{
	struct remove_target t;
	struct inode *held = NULL;
	struct inode_attr attr;
	int r;

	if (S_ISDIR(b->st.st_mode) != S_ISDIR(a->st.st_mode))
		return S_ISDIR(b->st.st_mode) ? -EISDIR : -ENOTDIR;
	r = commit(v, a);
	if (r < 0)
		return r;
	if (S_ISDIR(b->st.st_mode)) {
		inode_attr_from(&b->st, 0, &attr);
		r = inode_remember(v, b->dir, b->n.entry, &attr, false, 0, &held);
		if (r < 0)
			return r;
	}
	r = remove_prepare(v, b->dirfd, b->n.entry, &b->st, &t);
	if (r == 0) {
		r = lower_rename(v, a, b, 0);
		if (r == 0)
			remove_done(v, b->dir, b->n.entry, &t);
		else
			remove_restore(v, b->dirfd, b->n.entry, &t);
	}
	if (held) {
		inode_forget(v, held->id, 1);
		inode_put(v, held);
	}
	return r;
}

static int rename_ends(struct volume *v, struct end *a, struct end *b, unsigned flags)
{
	int r;

	if (!a->exists || (flags == RENAME_EXCHANGE && !b->exists))
		return -ENOENT;
	if (a->st.st_dev != v->dev || (b->exists && b->st.st_dev != v->dev))
		return -EBUSY;
	if (flags == RENAME_NOREPLACE && b->exists)
		return -EEXIST;
	/* Two names of one inode, or one name: nothing happens (rename(2)). */
	if (b->exists && a->st.st_ino == b->st.st_ino)
		return 0;
	if (flags == RENAME_EXCHANGE)
		return exchange(v, a, b);
	r = name_link_make(v, b->dir, b->dirfd, &b->n, &b->linked);
	if (r == 0)
		r = b->exists ? replace(v, a, b) : lower_rename(v, a, b, flags);
	if (r < 0) {
		if (b->linked && !b->exists)
			name_link_remove(v, b->dirfd, &b->n);
		return r;
	}
	name_link_remove(v, a->dirfd, &a->n);
	return 0;
}

static int rename_at(struct volume *v, struct end *a, const char *name, struct end *b, const char *newname, unsigned flags)
{
	int r;

	r = find_end(v, a, name, false);
	if (r == 0)
		r = find_end(v, b, newname, true);
	if (r == 0)
		r = rename_ends(v, a, b, flags);
	return r;
}

int rename_entry(struct volume *v, struct inode *dir, const char *name, struct inode *newdir, const char *newname,
		 unsigned flags)
{
	struct end a = { .dir = dir }, b = { .dir = newdir };
	int r;

	if (v->info.read_only)
		return -EROFS;
	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	r = dirfd_get(v, dir, &a.dirfd);
	if (r < 0)
		return r;
	r = dirfd_get(v, newdir, &b.dirfd);
	if (r == 0) {
		r = rename_at(v, &a, name, &b, newname, flags);
		dirfd_put(v, newdir);
	}
	dirfd_put(v, dir);
	return r;
}
