/* repair_name.c: what has lost its name, and directories that have lost their id (repair_impl.h).
 *
 * A name is bound to its directory's id, a file's content only to the file, a directory's names only to the directory: so whoever has lost his name can
 * still be read, and gets one in /lost+found. What nothing of this volume vouches for is taken away. */
#include "fs/repair_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs/dir.h"
#include "fs/name.h"
#include "fs/remove.h"
#include "fs/reopen.h"
#include "fs/salvage.h"

#define DEPTH_MAX 64
#define SAMPLE_MAX 8
#define BATCH 256
#define ID_DIGITS 32

/* ---- plain paths */

void repair_drop(struct repair *rp, struct inode *i)
{
	if (!i)
		return;
	inode_forget(rp->v, i->id, 1);
	inode_put(rp->v, i);
}

int repair_parent(struct repair *rp, const char *plain_path, struct inode **ret_dir, const char **ret_name)
{
	struct inode *dir = NULL;
	char part[PLAIN_NAME_MAX + 1];
	struct dir_result d;
	const char *end;
	int r;

	for (plain_path++; (end = strchr(plain_path, '/')); plain_path = end + 1) {
		if ((size_t)(end - plain_path) >= sizeof(part)) {
			repair_drop(rp, dir);
			return -ENAMETOOLONG;
		}
		memcpy(part, plain_path, (size_t)(end - plain_path));
		part[end - plain_path] = '\0';
		r = dir_lookup(rp->v, dir ? dir : rp->v->root, part, &d);
		repair_drop(rp, dir);
		if (r < 0)
			return r;
		dir = d.inode;
	}
	if (!dir) { /* the root, with a lookup like the others */
		lock_take(&rp->v->lock);
		rp->v->root->nlookup++;
		lock_drop(&rp->v->lock);
		dir = inode_ref(rp->v, rp->v->root);
	}
	*ret_dir = dir;
	*ret_name = plain_path;
	return 0;
}

int repair_found_dir(struct repair *rp, struct inode **ret_dir)
{
	static const struct dir_caller nobody = { 0, 0 };
	struct dir_result d;
	int r;

	r = dir_lookup(rp->v, rp->v->root, REPAIR_FOUND_DIR, &d);
	if (r == -ENOENT) {
		r = dir_mkdir(rp->v, rp->v->root, REPAIR_FOUND_DIR, 0700, nobody, &d);
		rp->made_found |= r == 0;
	}
	if (r < 0)
		return r;
	if (!S_ISDIR(d.inode->type)) {
		repair_drop(rp, d.inode);
		return -ENOTDIR;
	}
	*ret_dir = d.inode;
	return 0;
}

void repair_tidy(struct repair *rp)
{
	struct volume *v = rp->v;
	int r;

	r = v->lower->ops->unlinkat(v->lower, v->root_fd, NAME_QUARANTINE, AT_REMOVEDIR);
	if (rp->made_found)
		r = remove_dir(v, v->root, REPAIR_FOUND_DIR);
	(void)r; /* -ENOTEMPTY: they are needed */
}

/* ---- entries of a directory */

struct names {
	char name[BATCH][LOWER_NAME_LEN_MAX + 1];
	size_t n;
	int64_t next;
	bool more;
};

static int collect(void *arg, const struct lower_dirent *e)
{
	struct names *b = arg;
	size_t len = strlen(e->name);

	if (b->n == BATCH) {
		b->more = true;
		return 1;
	}
	if (len <= LOWER_NAME_LEN_MAX && !name_is_hidden(e->name))
		memcpy(b->name[b->n++], e->name, len + 1);
	b->next = e->off;
	return 0;
}

/* The entries behind *off; false in more: these were the last. */
static int list(struct repair *rp, int dirfd, int64_t off, struct names *b)
{
	b->n = 0;
	b->more = false;
	return rp->v->lower->ops->readdir(rp->v->lower, dirfd, off, collect, b);
}

/* Does any of the first entries decrypt under this id? 1 yes; 0 no, or there is none. */
static int id_fits(struct repair *rp, int dirfd, const uint8_t *id)
{
	AUTO_FREE struct names *b = malloc(sizeof(*b));
	char plain[PLAIN_NAME_MAX + 1];
	size_t i, len;
	int r;

	r = b ? list(rp, dirfd, 0, b) : -ENOMEM;
	for (i = 0; r == 0 && i < b->n && i < SAMPLE_MAX; i++) {
		r = name_decrypt(rp->v, id, dirfd, b->name[i], plain, &len);
		if (r == 0)
			return 1;
		r = r == -EBADMSG ? 0 : r;
	}
	return r;
}

/* ---- ids */

static int write_id(struct repair *rp, int dirfd, const uint8_t *id)
{
	struct lower *l = rp->v->lower;
	char target[DIR_LINK_TARGET_MAX];
	int r;

	r = namecrypt_dir_link_put(id, key_ring_names_epoch(rp->v->ring), target);
	if (r < 0)
		return r;
	r = l->ops->unlinkat(l, rp->qfd, "id", 0);
	if (r < 0 && r != -ENOENT)
		return r;
	r = l->ops->symlinkat(l, target, rp->qfd, "id");
	if (r == 0)
		r = l->ops->renameat2(l, rp->qfd, "id", dirfd, DIR_LINK, 0);
	return r < 0 ? r : l->ops->fsync(l, dirfd);
}

/* Try the id in text with each of its digits changed. 1: one fits. */
static int try_digits(struct repair *rp, int dirfd, char *text, uint8_t *ret_id)
{
	static const char digits[] = "0123456789abcdef";
	uint16_t epoch;
	unsigned i, k;
	int r;

	for (i = 0; i < ID_DIGITS; i++) {
		char old = text[i];

		for (k = 0; k < 16; k++) {
			text[i] = digits[k];
			if (namecrypt_dir_link_parse(text, strlen(text), ret_id, &epoch) < 0)
				continue;
			r = id_fits(rp, dirfd, ret_id);
			if (r != 0)
				return r;
		}
		text[i] = old;
	}
	return 0;
}

/* A link whose id, epoch or dot has one wrong character. 1: put right. */
static int restore_id(struct repair *rp, int dirfd)
{
	struct lower *l = rp->v->lower;
	char text[DIR_LINK_TARGET_MAX + ID_DIGITS], right[DIR_LINK_TARGET_MAX];
	uint8_t id[DIR_ID_LEN] = { 0 };
	ssize_t n;
	int r;

	n = l->ops->readlinkat(l, dirfd, DIR_LINK, text, sizeof(text) - 1);
	if (n < 0 && n != -ENOENT && n != -EINVAL)
		return (int)n;
	if (n < ID_DIGITS)
		return 0;
	/* What stands behind the id is known. */
	r = namecrypt_dir_link_put(id, key_ring_names_epoch(rp->v->ring), right);
	if (r < 0)
		return r;
	(void)snprintf(text + ID_DIGITS, sizeof(text) - ID_DIGITS, "%s", right + ID_DIGITS);
	r = try_digits(rp, dirfd, text, id);
	if (r != 1)
		return r;
	r = write_id(rp, dirfd, id);
	return r < 0 ? r : 1;
}

/* ---- is it ours? 1 yes, 0 no */

static int dir_is_ours(struct repair *rp, int dirfd, const char *entry)
{
	uint8_t id[DIR_ID_LEN];
	int fd, r;

	r = reopen_at(rp->v, dirfd, entry, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return r;
	r = name_read_id(rp->v, fd, id);
	if (r == 0)
		r = id_fits(rp, fd, id);
	else if (r == -ENOENT || r == -EUCLEAN)
		r = 0;
	lower_close(rp->v->lower, fd);
	return r;
}

static int file_is_ours(struct repair *rp, int dirfd, const char *entry, const struct stat *st)
{
	int fd, r;

	r = reopen_at(rp->v, dirfd, entry, O_RDONLY, 0, &fd);
	if (r < 0)
		return r;
	r = salvage_probe(rp->v, fd, st);
	lower_close(rp->v->lower, fd);
	return r;
}

static int is_ours(struct repair *rp, int dirfd, const char *entry, const struct stat *st)
{
	char lower[SYMLINK_LOWER_MAX + 1], plain[SYMLINK_PLAIN_MAX + 1];
	ssize_t n;
	size_t len;
	int r;

	if (st->st_dev != rp->v->dev)
		return -EXDEV;
	if (S_ISDIR(st->st_mode))
		return dir_is_ours(rp, dirfd, entry);
	if (S_ISREG(st->st_mode))
		return file_is_ours(rp, dirfd, entry, st);
	if (!S_ISLNK(st->st_mode))
		return 0;
	n = rp->v->lower->ops->readlinkat(rp->v->lower, dirfd, entry, lower, sizeof(lower));
	if (n < 0)
		return (int)n;
	r = namecrypt_symlink_decrypt(rp->v->names, key_ring_names_epoch(rp->v->ring), lower, (size_t)n, plain, &len);
	return r == -ENOMEM ? r : r == 0;
}

/* ---- directories whose names are lost */

static int rescue_below(struct repair *rp, int fd, uint64_t ino, unsigned depth, uint64_t *moved);

/* What is ours of one entry goes to /lost+found; the rest stays. */
static int rescue(struct repair *rp, int dirfd, const char *entry, uint64_t parent_ino, unsigned depth, uint64_t *moved)
{
	struct stat st;
	int fd, r;

	r = rp->v->lower->ops->fstatat(rp->v->lower, dirfd, entry, &st);
	if (r < 0)
		return r;
	r = is_ours(rp, dirfd, entry, &st);
	if (r == 1) {
		++*moved;
		return repair_find_place(rp, dirfd, entry, &st, parent_ino);
	}
	if (r < 0 || !S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
		return r == -ENOMEM ? r : 0;
	r = reopen_at(rp->v, dirfd, entry, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = rescue_below(rp, fd, st.st_ino, depth + 1, moved);
	lower_close(rp->v->lower, fd);
	return r;
}

static int rescue_below(struct repair *rp, int fd, uint64_t ino, unsigned depth, uint64_t *moved)
{
	AUTO_FREE struct names *b = malloc(sizeof(*b));
	uint64_t before;
	int64_t off;
	size_t i;
	int r = b ? 0 : -ENOMEM;

	/* Moving while reading may hide some: again until nothing moves. */
	do {
		before = *moved;
		off = 0;
		do {
			r = r < 0 ? r : list(rp, fd, off, b);
			for (i = 0; r == 0 && i < b->n; i++)
				r = rescue(rp, fd, b->name[i], ino, depth, moved);
			off = r == 0 ? b->next : 0;
		} while (r == 0 && b->more);
	} while (r == 0 && *moved > before);
	return r;
}

static int rescue_dir(struct repair *rp, int dirfd, const char *entry, const struct stat *st)
{
	uint64_t moved = 0;
	int fd, r;

	r = reopen_at(rp->v, dirfd, entry, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return r;
	r = rescue_below(rp, fd, st->st_ino, 0, &moved);
	lower_close(rp->v->lower, fd);
	return r;
}

int repair_dir(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	struct lower *l = rp->v->lower;
	uint8_t id[DIR_ID_LEN];
	struct stat st;
	int fd, r;

	r = l->ops->fstatat(l, at->dirfd, at->entry, &st);
	if (r == 0)
		r = reopen_at(rp->v, at->dirfd, at->entry, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return r;
	r = name_read_id(rp->v, fd, id) == 0 ? -EEXIST : restore_id(rp, fd); /* a copy of another: which one goes is not ours to say */
	lower_close(l, fd);
	if (r == 1)
		a->kind = REPAIR_DIR_ID;
	if (r != 0)
		return r < 0 ? r : 0;
	r = rescue_dir(rp, at->dirfd, at->entry, &st);
	if (r == 0)
		r = repair_take(rp, at->dirfd, at->entry, &st);
	a->kind = REPAIR_TAKEN;
	a->to = rp->to;
	return r;
}

/* ---- entries without a name */

/* The directory that the entry is in may be what is wrong. 1: its id was put right, or has been meanwhile. */
static int other_id(struct repair *rp, const struct check_place *at)
{
	char plain[PLAIN_NAME_MAX + 1];
	uint8_t id[DIR_ID_LEN];
	struct stat dir, root;
	size_t len;
	int r;

	r = rp->v->lower->ops->fstat(rp->v->lower, at->dirfd, &dir);
	if (r == 0)
		r = rp->v->lower->ops->fstat(rp->v->lower, rp->v->root_fd, &root);
	if (r < 0 || dir.st_ino == root.st_ino)
		return r;
	r = name_read_id(rp->v, at->dirfd, id);
	if (r < 0)
		return r;
	r = memcmp(id, at->id, DIR_ID_LEN) != 0 ? name_decrypt(rp->v, id, at->dirfd, at->entry, plain, &len) : -EBADMSG;
	if (r == 0 || r == -ENOMEM)
		return r == 0 ? 1 : r;
	r = id_fits(rp, at->dirfd, id);
	if (r != 0)
		return r < 0 ? r : 0;
	return restore_id(rp, at->dirfd);
}

int repair_nameless(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	char plain[PLAIN_NAME_MAX + 1];
	struct stat st;
	size_t len;
	int r;

	r = name_decrypt(rp->v, at->id, at->dirfd, at->entry, plain, &len);
	if (r == 0)
		a->kind = REPAIR_NOTHING;
	if (r == 0 || r == -ENOMEM)
		return r;
	r = other_id(rp, at);
	if (r == 1)
		a->kind = REPAIR_DIR_ID;
	if (r != 0)
		return r < 0 ? r : 0;
	r = rp->v->lower->ops->fstatat(rp->v->lower, at->dirfd, at->entry, &st);
	if (r == 0)
		r = is_ours(rp, at->dirfd, at->entry, &st);
	if (r < 0)
		return r;
	a->to = rp->to;
	a->kind = r ? REPAIR_FOUND : REPAIR_QUARANTINED;
	if (r)
		return repair_find_place(rp, at->dirfd, at->entry, &st, 0);
	if (S_ISDIR(st.st_mode))
		r = rescue_dir(rp, at->dirfd, at->entry, &st);
	return r < 0 ? r : repair_take_nameless(rp, at->dirfd, at->entry, &st);
}
