/* repair_file.c: a file with damaged content (repair_impl.h). What is readable of it is copied as any user would write it, under a working name in
 * /lost+found; only when the copy is durable does it get its place beside the original, and only then is the original taken away. So a repair that is cut
 * has lost nothing, and the next one begins the file again.
 *
 * Not mended in place: a hole or zeros where data was would be served as if they were the file's, and whoever reads them cannot know. */
#include "fs/repair_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs/dir.h"
#include "fs/file.h"
#include "fs/name.h"
#include "fs/remove.h"
#include "fs/rename.h"
#include "fs/reopen.h"
#include "fs/salvage.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif

#define SUFFIX ".salvaged"
#define LIST_SUFFIX ".salvaged.ranges"
#define LIST_CHUNK 65536u
#define TRIES_MAX 1000u

struct copy {
	struct repair *rp;
	const struct check_place *at;
	struct inode *found;     /* /lost+found */
	struct inode *data, *list; /* being written there */
	char data_name[64], list_name[64];
	uint8_t text[LIST_CHUNK];
	size_t text_len;
	uint64_t list_off;
	struct salvage_result res;
};

/* ---- writing the copy */

static int on_data(void *ctx, uint64_t off, uint8_t *p, size_t len)
{
	struct copy *c = ctx;
	ssize_t n = file_write(c->rp->v, c->data, p, len, off, false);

	return n < 0 ? (int)n : 0;
}

static int list_flush(struct copy *c)
{
	ssize_t n = c->text_len ? file_write(c->rp->v, c->list, c->text, c->text_len, c->list_off, false) : 0;

	if (n < 0)
		return (int)n;
	c->list_off += c->text_len;
	c->text_len = 0;
	return 0;
}

static int on_range(void *ctx, uint64_t off, uint64_t len, enum salvage_state state)
{
	struct copy *c = ctx;

	c->text_len += (size_t)snprintf((char *)c->text + c->text_len, LIST_CHUNK - c->text_len, "%llu %llu %s\n", (unsigned long long)off,
					(unsigned long long)len, state == SALVAGE_LOST ? "lost" : "unproven");
	return c->text_len > LIST_CHUNK - 128 ? list_flush(c) : 0;
}

static bool on_progress(void *ctx)
{
	struct copy *c = ctx;
	const struct repair_params *p = c->rp->p;

	return !p->progress || p->progress(p->ctx, &c->rp->res.last);
}

static int make(struct copy *c, const char *name, const struct stat *st, struct inode **ret_i)
{
	struct dir_caller who = { st->st_uid, st->st_gid };
	struct dir_result d;
	int r;

	r = remove_file(c->rp->v, c->found, name); /* of a repair that was cut */
	if (r == 0 || r == -ENOENT)
		r = dir_create(c->rp->v, c->found, name, st->st_mode & 0777, who, &d);
	if (r == 0)
		*ret_i = d.inode;
	return r;
}

static int set_size(struct copy *c, const struct stat *st)
{
	struct inode_attr a = { .size = c->res.size, .mode = st->st_mode, .mtime = st->st_mtim }, got;

	return file_setattr(c->rp->v, c->data, &a, FILE_SET_SIZE | FILE_SET_MTIME, &got);
}

static int write_copy(struct copy *c, int fd, const struct stat *st, struct reapply *re)
{
	struct salvage_params p = { .ctx = c, .data = on_data, .range = on_range, .progress = on_progress };
	struct volume *v = c->rp->v;
	int r;

	r = make(c, c->data_name, st, &c->data);
	if (r == 0)
		r = make(c, c->list_name, st, &c->list);
	if (r == 0)
		r = salvage_run(v, fd, st, re, &p, &c->res);
	if (r == 0)
		r = list_flush(c);
	if (r == 0)
		r = set_size(c, st);
	if (r == 0)
		r = file_fsync(v, c->data, false);
	return r < 0 ? r : file_fsync(v, c->list, false);
}

/* ---- giving it its place */

/* NAME.salvaged, or NAME.salvaged.1, …; the name is cut where it would be too long. */
static void beside(const char *name, const char *suffix, unsigned n, char ret_name[static PLAIN_NAME_MAX + 1])
{
	char tail[64];
	int keep;

	if (n == 0)
		(void)snprintf(tail, sizeof(tail), "%s", suffix);
	else
		(void)snprintf(tail, sizeof(tail), "%s.%u", suffix, n);
	keep = PLAIN_NAME_MAX - (int)strlen(tail);
	(void)snprintf(ret_name, PLAIN_NAME_MAX + 1, "%.*s%s", keep, name, tail);
}

/* -EEXIST: the name is taken. */
static int lookup_free(struct volume *v, struct inode *dir, const char *name)
{
	struct dir_result d;
	int r;

	r = dir_lookup(v, dir, name, &d);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	dir_undo(v, &d);
	return -EEXIST;
}

static int place(struct copy *c, struct inode *dir, const char *name)
{
	char data[PLAIN_NAME_MAX + 1], list[PLAIN_NAME_MAX + 1];
	struct volume *v = c->rp->v;
	const char *path = c->at->plain_path;
	unsigned n = 0;
	int r;

	do {
		beside(name, SUFFIX, n, data);
		beside(name, LIST_SUFFIX, n, list);
		/* Cut between the two, the next repair makes both again under the next number. */
		r = lookup_free(v, dir, list);
		if (r == 0)
			r = rename_entry(v, c->found, c->data_name, dir, data, RENAME_NOREPLACE);
		if (r == 0)
			r = rename_entry(v, c->found, c->list_name, dir, list, RENAME_NOREPLACE);
	} while (r == -EEXIST && ++n < TRIES_MAX);
	if (r == 0)
		r = file_fsyncdir(v, dir);
	if (r == 0)
		(void)snprintf(c->rp->to, sizeof(c->rp->to), "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path, data);
	return r;
}

static int place_copy(struct copy *c)
{
	struct inode *dir;
	const char *name;
	int r;

	r = repair_parent(c->rp, c->at->plain_path, &dir, &name);
	if (r < 0)
		return r;
	r = place(c, dir, name);
	repair_drop(c->rp, dir);
	return r;
}

static void copy_done(struct copy *c, bool placed)
{
	struct volume *v = c->rp->v;

	repair_drop(c->rp, c->data);
	repair_drop(c->rp, c->list);
	c->data = c->list = NULL;
	if (!placed && c->found) {
		/* If these stay they are made again, or lie there for the next repair to remove. */
		if (remove_file(v, c->found, c->data_name) < 0 || remove_file(v, c->found, c->list_name) < 0)
			(void)0;
	}
	repair_drop(c->rp, c->found);
	free(c);
}

/* ---- the file */

static int salvage(struct repair *rp, const struct check_place *at, int fd, const struct stat *st, struct reapply *re, struct repair_action *a)
{
	struct copy *c = calloc(1, sizeof(*c));
	bool any = false;
	int r;

	if (!c)
		return -ENOMEM;
	c->rp = rp;
	c->at = at;
	(void)snprintf(c->data_name, sizeof(c->data_name), "#%llu.part", (unsigned long long)st->st_ino);
	(void)snprintf(c->list_name, sizeof(c->list_name), "#%llu.ranges.part", (unsigned long long)st->st_ino);
	r = repair_found_dir(rp, &c->found);
	if (r == 0)
		r = write_copy(c, fd, st, re);
	any = r == 0 && (c->res.good || c->res.unproven || (c->res.size == 0 && !c->res.header_lost));
	if (any)
		r = place_copy(c);
	if (r == 0) {
		a->good = c->res.good;
		a->unproven = c->res.unproven;
		a->lost = c->res.lost;
		a->kind = any ? REPAIR_SALVAGED : REPAIR_TAKEN;
	}
	copy_done(c, r == 0 && any);
	return r < 0 ? r : repair_settle(rp);
}

/* Does all of the file verify with what was saved of it? 1 yes. */
static int is_whole(struct repair *rp, int fd, const struct stat *st, struct reapply *re)
{
	static const struct salvage_params none;
	struct salvage_result res;
	int r;

	r = salvage_run(rp->v, fd, st, re, &none, &res);
	return r < 0 ? r : !res.header_lost && !res.older && res.bad == 0 && res.lost == 0 && res.unproven == 0;
}

static int with_saved(struct repair *rp, const struct check_place *at, int fd, const struct stat *st, struct reapply *re, struct repair_action *a)
{
	int r = is_whole(rp, fd, st, re);

	if (r == 1) {
		a->kind = REPAIR_REAPPLIED;
		return reapply_home(re);
	}
	return r < 0 ? r : salvage(rp, at, fd, st, re, a);
}

static int mend(struct repair *rp, const struct check_place *at, int fd, const struct stat *st, struct repair_action *a)
{
	struct volume *v = rp->v;
	uint8_t p[HEADER_LEN];
	struct group_header head;
	struct blockcrypt *bc = blockcrypt_get();
	struct reapply *re = NULL;
	ssize_t n;
	int r;

	if (!bc)
		return -ENOMEM;
	if (repair_has_taken(rp, st)) {
		a->kind = REPAIR_TAKEN; /* and copied, under another of its names */
		return 0;
	}
	n = lower_pread(v->lower, fd, p, sizeof(p), 0);
	if (n < 0) /* a disk may fail once, and without the header nobody asks what was saved */
		n = lower_pread(v->lower, fd, p, sizeof(p), 0);
	r = n == HEADER_LEN ? group_open_first(bc, v->ring, p, &head) : -ENODATA;
	if (r == -ENOMEM)
		return r;
	if (r == 0 && head.flags & GROUP_FLAG_DAMAGED) {
		r = reapply_open(v->vio, fd, &head, rp->qfd, &re);
		if (r < 0 && r != -ENOENT && r != -EUCLEAN)
			return r;
	}
	if (re) {
		r = with_saved(rp, at, fd, st, re, a);
	} else {
		r = is_whole(rp, fd, st, NULL); /* a disk may fail once */
		a->kind = REPAIR_NOTHING;
		if (r != 1)
			r = r < 0 ? r : salvage(rp, at, fd, st, NULL, a);
		else
			r = 0;
	}
	reapply_close(re);
	return r;
}

int repair_file(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	struct lower *l = rp->v->lower;
	char to[REPAIR_PATH_MAX];
	struct stat st;
	int fd, r;

	r = reopen_at(rp->v, at->dirfd, at->entry, O_RDWR, 0, &fd);
	if (r < 0)
		return r;
	rp->to[0] = '\0';
	r = l->ops->fstat(l, fd, &st);
	if (r == 0)
		r = mend(rp, at, fd, &st, a);
	lower_close(l, fd);
	if (r < 0 || a->kind == REPAIR_REAPPLIED || a->kind == REPAIR_NOTHING)
		return r;
	(void)snprintf(to, sizeof(to), "%s", rp->to);
	r = repair_take(rp, at->dirfd, at->entry, &st);
	if (r == 0 && a->kind == REPAIR_SALVAGED)
		(void)snprintf(rp->to, sizeof(rp->to), "%s", to);
	a->to = rp->to;
	return r;
}
