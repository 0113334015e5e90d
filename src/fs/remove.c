/* remove.c: removing names (remove.h).
 *
 * There is no count of open files (open is not told to us), so whatever the kernel remembers may be in use: before the last name of such an inode
 * goes, it is pinned, and lives until the kernel forgets it.
 *
 * A directory that looks empty may hold coffer.dir, links of long names that lost their entry in a crash, and entries that do not decrypt. They go
 * first, and only if nothing visible is there; coffer.dir last, and it is put back if the directory then cannot be removed.
 *
 * In a directory whose own coffer.dir is missing or malformed everything would look like garbage, and may yet be had again by whoever finds the
 * link. Its name goes, so that rm -r comes to its end, but what is in it is kept: the directory moves to coffer.quarantine as it is. */
#include "fs/remove.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fs/dirfd.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

#define GARBAGE_DEPTH_MAX 64
#define GARBAGE_BATCH 256
#define HIDDEN_DEEP "coffer.deep."
#define ASIDE_TRIES 100
#define ASIDE_LEN 64

/* Move a directory to a name of its own in another one: PREFIX, its inode number, a counter, SUFFIX. */
static int move_aside(struct volume *v, int dirfd, const char *entry, int newdirfd, const char *prefix, uint64_t ino, const char *suffix,
		      char ret_name[static ASIDE_LEN])
{
	int k, r = -EEXIST;

	for (k = 0; k < ASIDE_TRIES && r == -EEXIST; k++) {
		(void)snprintf(ret_name, ASIDE_LEN, "%s%llu.%d%s", prefix, (unsigned long long)ino, k, suffix);
		r = v->lower->ops->renameat2(v->lower, dirfd, entry, newdirfd, ret_name, RENAME_NOREPLACE);
	}
	return r;
}

/* ---- garbage: whole subtrees that belong to nobody */

struct batch {
	char name[GARBAGE_BATCH][LOWER_NAME_LEN_MAX + 1];
	size_t n;
};

static int collect(void *arg, const struct lower_dirent *e)
{
	struct batch *b = arg;
	size_t len = strlen(e->name);

	if (b->n == GARBAGE_BATCH)
		return 1;
	if (len > LOWER_NAME_LEN_MAX)
		return -EIO;
	memcpy(b->name[b->n++], e->name, len + 1);
	return 0;
}

/* The directory that is being emptied: what is too deep comes up into it. */
struct clearing {
	struct volume *v;
	int fd;
};

static int remove_garbage(struct clearing *c, int dirfd, const char *entry, unsigned depth);

static int empty_garbage(struct clearing *c, int fd, unsigned depth)
{
	struct lower *l = c->v->lower;
	AUTO_FREE struct batch *b = malloc(sizeof(*b));
	size_t i;
	int r;

	if (!b)
		return -ENOMEM;
	do {
		b->n = 0;
		r = l->ops->readdir(l, fd, 0, collect, b);
		for (i = 0; r == 0 && i < b->n; i++)
			r = remove_garbage(c, fd, b->name[i], depth);
	} while (r == 0 && b->n > 0);
	return r;
}

/* Whoever empties that directory goes on until nothing hidden is in it, so it finds this again, without the levels above. */
static int bring_up(struct clearing *c, int dirfd, const char *entry, uint64_t ino)
{
	char name[ASIDE_LEN];

	return move_aside(c->v, dirfd, entry, c->fd, HIDDEN_DEEP, ino, "", name);
}

/* Remove one entry and, if it is a directory of this filesystem, everything below. Never through a symbolic link. */
static int remove_garbage(struct clearing *c, int dirfd, const char *entry, unsigned depth)
{
	struct volume *v = c->v;
	struct stat st;
	int fd, r;

	r = v->lower->ops->fstatat(v->lower, dirfd, entry, &st);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!S_ISDIR(st.st_mode)) {
		r = v->lower->ops->unlinkat(v->lower, dirfd, entry, 0);
		return r == -ENOENT ? 0 : r;
	}
	if (st.st_dev != v->dev)
		return -EBUSY;
	if (depth == GARBAGE_DEPTH_MAX)
		return bring_up(c, dirfd, entry, st.st_ino);
	r = reopen_at(v, dirfd, entry, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return r;
	r = empty_garbage(c, fd, depth + 1);
	lower_close(v->lower, fd);
	if (r < 0)
		return r;
	return v->lower->ops->unlinkat(v->lower, dirfd, entry, AT_REMOVEDIR);
}

/* ---- emptying a directory of the invisible */

struct survey {
	struct volume *v;
	int fd;
	uint8_t id[DIR_ID_LEN];
	size_t hidden;           /* entries other than coffer.dir that nobody can see */
};

/* -ENOTEMPTY at the first visible entry. */
static int survey_entry(void *arg, const struct lower_dirent *e)
{
	char plain[PLAIN_NAME_MAX + 1];
	struct survey *s = arg;
	size_t len;
	int r;

	if (strcmp(e->name, DIR_LINK) == 0)
		return 0;
	s->hidden++;
	if (name_is_hidden(e->name))
		return 0;
	r = name_decrypt(s->v, s->id, s->fd, e->name, plain, &len);
	if (r == 0)
		return -ENOTEMPTY;
	return r == -EBADMSG ? 0 : r;
}

static int remove_hidden(void *arg, const struct lower_dirent *e)
{
	struct survey *s = arg;

	if (strcmp(e->name, DIR_LINK) == 0)
		return 0;
	return remove_garbage(&(struct clearing){ s->v, s->fd }, s->fd, e->name, 0);
}

/* fd: the directory, opened for this. Leaves coffer.dir alone in it. -ENOENT: it has no id, and nothing at all. */
static int clear_hidden(struct volume *v, struct inode *child, int fd, uint8_t *ret_id)
{
	struct survey s = { .v = v, .fd = fd };
	int r;

	r = name_dir_id(v, child, fd, s.id);
	if (r < 0)
		return r;
	r = v->lower->ops->readdir(v->lower, fd, 0, survey_entry, &s);
	while (r == 0 && s.hidden > 0) {
		/* Removing while reading may skip some: look again until there is nothing. */
		r = v->lower->ops->readdir(v->lower, fd, 0, remove_hidden, &s);
		s.hidden = 0;
		if (r == 0)
			r = v->lower->ops->readdir(v->lower, fd, 0, survey_entry, &s);
	}
	if (r == 0)
		memcpy(ret_id, s.id, DIR_ID_LEN);
	return r;
}

/* Empty the lower directory that child is, so that rmdir or rename can remove it. It is pinned, so that it keeps working for whoever has it as working
 * directory; but not before it is seen to be empty, or each rmdir of a full one would cost a descriptor for as long as the kernel remembers it. */
static int empty_dir(struct volume *v, struct inode *child, struct remove_target *t)
{
	int fd, r, pinned = 0;

	r = dirfd_own(v, child, &fd);
	if (r < 0)
		return r;
	r = clear_hidden(v, child, fd, t->id);
	if (r == 0 || r == -ENOENT)
		pinned = reopen_pin(v, child, 1);
	if (pinned < 0) {
		r = pinned;
	} else if (r == 0) {
		r = v->lower->ops->unlinkat(v->lower, fd, DIR_LINK, 0);
		t->has_id = r == 0;
		name_dir_id_forget(v, child);
	} else if (r == -ENOENT) {
		r = 0;
	}
	lower_close(v->lower, fd);
	return r;
}

/* ---- targets */

int remove_prepare(struct volume *v, int dirfd, const char *entry, const struct stat *st, struct remove_target *ret_t)
{
	struct remove_target t = { .nlink = (uint32_t)st->st_nlink };
	int r = 0;

	if (st->st_dev != v->dev)
		return -EBUSY;
	t.inode = inode_get_ino(v, st->st_ino);
	if (S_ISDIR(st->st_mode) && !t.inode)
		return -ESTALE; /* callers look it up first */
	if (t.inode && t.inode->type != (st->st_mode & S_IFMT))
		r = -EIO;
	else if (t.inode && S_ISDIR(st->st_mode))
		r = empty_dir(v, t.inode, &t);
	else if (t.inode)
		r = reopen_pin(v, t.inode, (uint32_t)st->st_nlink);
	if (r == -EIO && t.inode && !S_ISDIR(st->st_mode)) {
		t.unpinned = st->st_nlink == 1;
		r = 0; /* what cannot be opened any more can still be removed */
	}
	if (r < 0) {
		if (t.has_id)
			remove_restore(v, dirfd, entry, &t);
		else
			inode_put(v, t.inode);
		return r;
	}
	*ret_t = t;
	return 0;
}

void remove_restore(struct volume *v, int dirfd, const char *entry, struct remove_target *t)
{
	char target[DIR_LINK_TARGET_MAX];
	int fd, r = 0;

	if (t->has_id) {
		r = reopen_at(v, dirfd, entry, O_RDONLY | O_DIRECTORY, 0, &fd);
		if (r == 0) {
			r = namecrypt_dir_link_put(t->id, key_ring_names_epoch(v->ring), target);
			if (r == 0)
				r = v->lower->ops->symlinkat(v->lower, target, fd, DIR_LINK);
			lower_close(v->lower, fd);
		}
	}
	if (r < 0 && r != -EEXIST)
		log_warning("an empty directory could not get its coffer.dir back: %s", err_text(r));
	inode_put(v, t->inode);
}

void remove_done(struct volume *v, struct inode *dir, const char *entry, struct remove_target *t)
{
	if (!t->inode)
		return;
	inode_drop_name(v, t->inode, dir, entry);
	lock_take(&v->lock);
	if (S_ISDIR(t->inode->type))
		t->inode->attr.nlink = 0;
	else
		t->inode->attr.nlink = t->nlink > 0 ? t->nlink - 1 : 0;
	t->inode->attr_due = t->inode->attr.nlink > 0;
	t->inode->gone = t->unpinned;
	inode_now(&t->inode->attr.ctime);
	lock_drop(&v->lock);
	inode_put(v, t->inode);
}

/* ---- a directory that has lost its id */

/* Are there entries, and no id under which they could be read? */
static bool is_lost(struct volume *v, struct inode *child)
{
	uint8_t id[DIR_ID_LEN];
	bool lost = false;
	int fd, r;

	if (dirfd_own(v, child, &fd) < 0)
		return false;
	r = name_read_id(v, fd, id);
	if (r == -EUCLEAN)
		lost = true;
	else if (r == -ENOENT)
		lost = name_dir_is_empty(v, fd) == 0;
	lower_close(v->lower, fd);
	return lost;
}

static int quarantine_open(struct volume *v)
{
	struct lower *l = v->lower;
	int fd, r;

	r = l->ops->mkdirat(l, v->root_fd, NAME_QUARANTINE, 0700);
	if (r < 0 && r != -EEXIST)
		return r;
	fd = l->ops->openat(l, v->root_fd, NAME_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
	return fd == -ENOTDIR || fd == -ELOOP ? -EIO : fd;
}

static int quarantine_lost(struct volume *v, int dirfd, const char *entry, uint64_t ino)
{
	int fd = quarantine_open(v), r;
	char name[ASIDE_LEN];

	if (fd < 0)
		return fd;
	r = move_aside(v, dirfd, entry, fd, "", ino, ".lost", name);
	lower_close(v->lower, fd);
	if (r == 0)
		log_warning("directory inode %llu has no id: removed from its name, kept as %s/%s", (unsigned long long)ino, NAME_QUARANTINE, name);
	return r;
}

/* ---- the two operations */

/* Encrypt the name in dir and stat it. */
static int find(struct volume *v, struct inode *dir, int dirfd, const char *name, struct name *n, struct stat *st)
{
	uint8_t id[DIR_ID_LEN];
	int r;

	r = name_dir_id(v, dir, dirfd, id);
	if (r == 0)
		r = name_encrypt(v, id, name, n);
	if (r == 0)
		r = v->lower->ops->fstatat(v->lower, dirfd, n->entry, st);
	return r;
}

/* The directory's name goes, and what is in it is kept. */
static int remove_lost(struct volume *v, struct inode *dir, int dirfd, const struct name *n, const struct stat *st)
{
	struct remove_target t = { .inode = inode_get_ino(v, st->st_ino) };
	int r;

	r = t.inode ? reopen_pin(v, t.inode, 1) : -ESTALE;
	if (r == 0)
		r = quarantine_lost(v, dirfd, n->entry, st->st_ino);
	if (r < 0) {
		inode_put(v, t.inode);
		return r;
	}
	remove_done(v, dir, n->entry, &t);
	name_link_remove(v, dirfd, n);
	return 0;
}

static int remove_at(struct volume *v, struct inode *dir, int dirfd, const char *name, bool is_dir)
{
	struct remove_target t;
	struct inode_attr a;
	struct inode *held = NULL;
	struct name n;
	struct stat st;
	int r;

	r = find(v, dir, dirfd, name, &n, &st);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode) != is_dir)
		return is_dir ? -ENOTDIR : -EISDIR;
	if (is_dir) {
		inode_attr_from(&st, 0, &a);
		r = inode_remember(v, dir, n.entry, &a, false, 0, &held);
		if (r < 0)
			return r;
	}
	r = remove_prepare(v, dirfd, n.entry, &st, &t);
	if (r == 0 && is_dir)
		inode_await_pins(v);
	if (r == 0) {
		r = v->lower->ops->unlinkat(v->lower, dirfd, n.entry, is_dir ? AT_REMOVEDIR : 0);
		if (r == 0) {
			remove_done(v, dir, n.entry, &t);
			name_link_remove(v, dirfd, &n);
		} else {
			remove_restore(v, dirfd, n.entry, &t);
		}
	} else if (r == -EIO && is_dir && is_lost(v, held)) {
		r = remove_lost(v, dir, dirfd, &n, &st);
	}
	if (held) {
		inode_forget(v, held->id, 1);
		inode_put(v, held);
	}
	return r;
}

static int remove_name(struct volume *v, struct inode *dir, const char *name, bool is_dir)
{
	int dirfd, r;

	if (v->info.read_only)
		return -EROFS;
	r = dirfd_get(v, dir, &dirfd);
	if (r < 0)
		return r;
	r = remove_at(v, dir, dirfd, name, is_dir);
	dirfd_put(v, dir);
	return r;
}

int remove_file(struct volume *v, struct inode *dir, const char *name)
{
	return remove_name(v, dir, name, false);
}

int remove_dir(struct volume *v, struct inode *dir, const char *name)
{
	return remove_name(v, dir, name, true);
}
