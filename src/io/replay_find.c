/* replay_find.c: which lower file is it (DESIGN section 5, "Which file").
 *
 * A file is the one whose header (group 0, its H tag good, whatever its age) has the file_id. The handle in the log is a hint, tried
 * first, and not at all in a copy, whose handles open the original's files. What that does not find is looked for in one walk.
 *
 *   found once (hard links are one)           that is the file
 *   found twice                               the one whose handle the log has; none: refuse the mount
 *   nowhere                                   it was unlinked: dropped, counted
 *   nowhere, but some file could not be read  refuse: it may be that one
 *   nowhere, but some header did not verify   saved in quarantine: it may be that one
 *
 * The walk opens regular files only, follows no symbolic link, and skips coffer's own names but for long ones. */
#include "io/replay_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "crypt/namecrypt.h"

#define NAMES_MAX 256u                   /* of a directory, held at a time */
#define OWN_PREFIX "coffer."

/* ---- a lower file at home ---- */

/* Takes fd. */
static int home_init(struct replay *rp, int fd, struct replay_home *ret_h)
{
	struct replay_home h = { .fd = fd, .direct = -1 };
	int r;

	r = rp->l->ops->fstat(rp->l, fd, &h.st);
	if (r == 0 && !S_ISREG(h.st.st_mode))
		r = -EUCLEAN;
	if (r == 0 && rp->log_direct >= 0) { /* what the log can, its neighbours can */
		r = replay_direct(rp, fd);
		h.direct = r < 0 ? -1 : r;
		r = r == -EINVAL || r >= 0 ? 0 : r;
	}
	if (r < 0) {
		lower_close(rp->l, fd);
		return r;
	}
	*ret_h = h;
	return 0;
}

void replay_home_close(struct replay *rp, struct replay_home *h)
{
	lower_close(rp->l, h->direct);
	lower_close(rp->l, h->fd);
	h->fd = h->direct = -1;
}

int replay_home_read(struct replay *rp, struct replay_home *h, uint64_t off, uint8_t *p)
{
	ssize_t n = -EINVAL;

	if (h->direct >= 0) {
		n = lower_pread(rp->l, h->direct, p, BLOCK_SIZE, off);
		if (n == -EINVAL) {
			lower_close(rp->l, h->direct);
			h->direct = -1;
		}
	}
	if (n == -EINVAL)
		n = lower_pread(rp->l, h->fd, p, BLOCK_SIZE, off);
	if (n < 0)
		return -EIO; /* not n: the backing has errors that look like a verdict, EBADMSG for one */
	memset(p + n, 0, BLOCK_SIZE - (size_t)n);
	return 0;
}

/* 0: ret_h is the header; -EBADMSG, -EUCLEAN, -EOPNOTSUPP: there is none that verifies; -ENOENT: all zero. */
static int home_header(struct replay *rp, struct replay_home *h, struct group_header *ret_h)
{
	AUTO_FREE uint8_t *p = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	int r;

	if (!p)
		return -ENOMEM;
	r = replay_home_read(rp, h, 0, p);
	if (r < 0)
		return r;
	if (layout_is_zero(p, HEADER_LEN))
		return -ENOENT;
	return group_open_first(rp->bc, rp->p->ring, p, ret_h);
}

/* ---- by handle ---- */

static bool handles_usable(const struct replay *rp)
{
	return !rp->no_handles && !state_is_copy(rp->s);
}

static int find_by_handle(struct replay *rp, struct replay_file *f)
{
	struct replay_home h;
	struct group_header head;
	int fd, r;

	if (f->handle.len == 0 || !handles_usable(rp))
		return 0;
	fd = rp->l->ops->open_by_handle(rp->l, rp->p->root_fd, &f->handle, O_RDONLY);
	if (fd < 0) {
		rp->no_handles = fd == -EPERM || fd == -EOPNOTSUPP;
		return fd == -ENOMEM ? fd : 0;
	}
	r = home_init(rp, fd, &h);
	if (r < 0)
		return 0;
	r = home_header(rp, &h, &head);
	if (r == 0 && h.st.st_nlink > 0 && memcmp(head.file_id, f->file_id, FILE_ID_LEN) == 0) {
		f->found = f->by_handle = true;
		f->dev = h.st.st_dev;
		f->ino = h.st.st_ino;
		rp->missing--;
	}
	replay_home_close(rp, &h);
	return r == -ENOMEM ? r : 0;
}

/* ---- by a walk ---- */

/* Directories that are still to be read: paths below the volume directory, "" for itself. */
struct dirs {
	char **path;
	size_t n, max;
};

static int dirs_push(struct dirs *d, const char *dir, const char *name)
{
	char *path, **list;

	if (d->n == d->max) {
		size_t max = d->max ? d->max * 2 : 64;

		list = reallocarray(d->path, max, sizeof(char *));
		if (!list)
			return -ENOMEM;
		d->path = list;
		d->max = max;
	}
	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		return -ENOMEM;
	d->path[d->n++] = path;
	return 0;
}

static void dirs_done(struct dirs *d)
{
	while (d->n > 0)
		free(d->path[--d->n]);
	free(d->path);
}

/* Open the directory that path names, one component at a time, so that no symbolic link leads away. */
static int open_dir(struct replay *rp, const char *path, int *ret_fd)
{
	char name[NAME_MAX + 1];
	int fd = -1, next;

	do {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX) {
			lower_close(rp->l, fd);
			return -ENAMETOOLONG;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		next = rp->l->ops->openat(rp->l, fd < 0 ? rp->p->root_fd : fd, len ? name : ".", O_RDONLY | O_DIRECTORY, 0);
		lower_close(rp->l, fd);
		if (next < 0)
			return next;
		fd = next;
		path += len + (path[len] == '/');
	} while (*path);
	*ret_fd = fd;
	return 0;
}

struct names {
	struct {
		uint8_t type;
		char name[NAME_MAX + 1];
	} e[NAMES_MAX];
	size_t n;
	int64_t off;             /* behind the last one */
};

static int names_add(void *arg, const struct lower_dirent *e)
{
	struct names *names = arg;
	size_t len = strlen(e->name);

	if (names->n == NAMES_MAX)
		return 1;
	names->off = e->off;
	if (len > NAME_MAX)
		return 0;
	if (strncmp(e->name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0 && strncmp(e->name, LONG_PREFIX, strlen(LONG_PREFIX)) != 0)
		return 0;
	names->e[names->n].type = e->type;
	memcpy(names->e[names->n++].name, e->name, len + 1);
	return 0;
}

/* Is the handle of this inode the one the log has? */
static bool handle_fits(struct replay *rp, const struct replay_file *f, int fd)
{
	struct lower_handle h;

	if (f->handle.len == 0 || state_is_copy(rp->s) || rp->l->ops->name_to_handle(rp->l, fd, &h) < 0)
		return false;
	return h.type == f->handle.type && h.len == f->handle.len && memcmp(h.bytes, f->handle.bytes, h.len) == 0;
}

/* h, at dir/name, has the header of f. */
static int found(struct replay *rp, struct replay_file *f, const struct replay_home *h, const char *dir, const char *name)
{
	bool fits;
	char *path;

	if (f->by_handle || (f->found && f->dev == h->st.st_dev && f->ino == h->st.st_ino))
		return 0;
	fits = handle_fits(rp, f, h->fd);
	if (f->found && (f->handle_fits || !fits)) {
		f->twice = !f->handle_fits;
		return 0;
	}
	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		return -ENOMEM;
	free(f->path);
	f->path = path;
	f->dev = h->st.st_dev;
	f->ino = h->st.st_ino;
	f->handle_fits = fits;
	f->twice = false;
	if (!f->found)
		rp->missing--;
	f->found = true;
	return 0;
}

static int look_at_file(struct replay *rp, int dirfd, const char *dir, const char *name)
{
	struct group_header head;
	struct replay_file *f;
	struct replay_home h;
	int fd, r;

	fd = rp->l->ops->openat(rp->l, dirfd, name, O_RDONLY, 0);
	if (fd == -ENOENT || fd == -ELOOP || fd == -ENXIO)
		return 0;
	r = fd < 0 ? fd : home_init(rp, fd, &h);
	if (r == -EUCLEAN)
		return 0;
	if (r == 0) {
		r = home_header(rp, &h, &head);
		f = r == 0 ? replay_gather_find(rp, head.file_id) : NULL;
		if (f && f->counts)
			r = found(rp, f, &h, dir, name);
		replay_home_close(rp, &h);
	}
	switch (r) {
	case 0:
	case -ENOENT:
	case -ENOMEM:
		return r == -ENOMEM ? r : 0;
	case -EBADMSG:
	case -EUCLEAN:
	case -EOPNOTSUPP:
		/* Names with a dot are none of ours, but for long ones. */
		rp->unknown += !strchr(name, '.') || strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0;
		return 0;
	default:
		log_warning("a lower file cannot be read: %s", err_text(r));
		rp->unreadable++;
		return 0;
	}
}

static int look_at(struct replay *rp, struct dirs *d, int dirfd, const char *dir, uint8_t type, const char *name)
{
	struct stat st;
	int r;

	if (type == DT_UNKNOWN || type == DT_DIR) {
		r = rp->l->ops->fstatat(rp->l, dirfd, name, &st);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
	}
	if (type == DT_DIR) /* what is mounted inside is none of the volume's, and may be a loop */
		return st.st_dev == rp->dev ? dirs_push(d, dir, name) : 0;
	return type == DT_REG ? look_at_file(rp, dirfd, dir, name) : 0;
}

static int walk_dir(struct replay *rp, struct dirs *d, struct names *names, const char *dir)
{
	int64_t off = 0;
	int fd, r;
	size_t i;

	r = open_dir(rp, dir, &fd);
	if (r == -ENOENT || r == -ENOMEM)
		return r == -ENOENT ? 0 : r;
	if (r < 0) {
		log_warning("a lower directory cannot be read: %s", err_text(r));
		rp->unreadable++;
		return 0;
	}
	do {
		names->n = 0;
		names->off = off;
		r = rp->l->ops->readdir(rp->l, fd, off, names_add, names);
		for (i = 0; i < names->n && r == 0; i++)
			r = look_at(rp, d, fd, dir, names->e[i].type, names->e[i].name);
		if (names->off == off)
			break;
		off = names->off;
	} while (r == 0);
	lower_close(rp->l, fd);
	return r < 0 ? log_ret(r, "a lower directory") : 0;
}

static int walk(struct replay *rp)
{
	AUTO_FREE struct names *names = malloc(sizeof(*names));
	struct dirs d = { 0 };
	struct stat st;
	int r;

	r = names ? rp->l->ops->fstat(rp->l, rp->p->root_fd, &st) : -ENOMEM;
	if (r < 0)
		return r;
	rp->dev = st.st_dev;
	r = dirs_push(&d, "", "");
	while (r == 0 && d.n > 0) {
		AUTO_FREE char *dir = d.path[--d.n];

		replay_step(rp);
		r = walk_dir(rp, &d, names, dir);
	}
	dirs_done(&d);
	return r;
}

/* ---- all of them ---- */

static int unlinked(struct replay *rp, struct replay_file *f)
{
	char id[33];

	replay_id_text(f->file_id, id);
	if (rp->unreadable)
		return log_ret(-EIO, "file %s of the log is not found, and some lower files cannot be read", id);
	if (rp->unknown) {
		f->failed = true;
		rp->res.quarantined++;
		log_err("file %s of the log is not found, and some headers do not verify", id);
		replay_event(rp, VIO_EVENT_QUARANTINE, "file %s of the log is not found, and some headers do not verify", id);
		return rp->check_only ? 0 : quarantine_file(rp, f, NULL, NULL);
	}
	rp->res.unlinked++;
	replay_event(rp, VIO_EVENT_UNLINKED, "file %s of the log is not there any more", id);
	return 0;
}

static int judge(struct replay *rp, struct replay_file *f)
{
	char id[33];

	if (!f->counts)
		return 0;
	if (f->twice) {
		replay_id_text(f->file_id, id);
		return log_ret(-EUCLEAN, "file %s of the log is there twice; remove the copy", id);
	}
	return f->found ? 0 : unlinked(rp, f);
}

int replay_find(struct replay *rp)
{
	size_t i;
	int r = 0;

	for (i = 0; i < rp->nfiles; i++)
		rp->missing += rp->files[i]->counts;
	for (i = 0; i < rp->nfiles && r == 0; i++) {
		if (rp->files[i]->counts)
			r = find_by_handle(rp, rp->files[i]);
	}
	if (r == 0 && rp->missing > 0)
		r = walk(rp);
	for (i = 0; i < rp->nfiles && r == 0; i++)
		r = judge(rp, rp->files[i]);
	return r;
}

static int open_path(struct replay *rp, const char *path, int flags)
{
	const char *name = strrchr(path, '/');
	AUTO_FREE char *dir = name ? strndup(path, (size_t)(name - path)) : strdup("");
	int dirfd, fd, r;

	if (!dir)
		return -ENOMEM;
	r = open_dir(rp, dir, &dirfd);
	if (r < 0)
		return r;
	fd = rp->l->ops->openat(rp->l, dirfd, name ? name + 1 : path, flags, 0);
	lower_close(rp->l, dirfd);
	return fd;
}

static int open_found(struct replay *rp, const struct replay_file *f, int flags)
{
	if (f->by_handle)
		return rp->l->ops->open_by_handle(rp->l, rp->p->root_fd, &f->handle, flags);
	return open_path(rp, f->path, flags);
}

/* A file whose owner has made it read-only is his all the same: without privilege the mode is lent while it is opened. */
static int open_lent(struct replay *rp, const struct replay_file *f, int flags)
{
	struct stat st;
	int fd, rw, r;

	fd = open_found(rp, f, O_RDONLY);
	if (fd < 0)
		return fd;
	r = rp->l->ops->fstat(rp->l, fd, &st);
	if (r == 0)
		r = rp->l->ops->fchmod(rp->l, fd, (st.st_mode & 07777) | S_IRUSR | S_IWUSR);
	rw = r < 0 ? r : rp->l->ops->reopen(rp->l, fd, flags);
	if (r == 0)
		r = rp->l->ops->fchmod(rp->l, fd, st.st_mode & 07777);
	lower_close(rp->l, fd);
	if (r < 0 && rw >= 0)
		lower_close(rp->l, rw);
	return r < 0 ? r : rw;
}

int replay_find_open(struct replay *rp, const struct replay_file *f, int flags, struct replay_home *ret_h)
{
	int fd;

	fd = open_found(rp, f, flags);
	if (fd == -EACCES && flags != O_RDONLY)
		fd = open_lent(rp, f, flags);
	return fd < 0 ? fd : home_init(rp, fd, ret_h);
}
