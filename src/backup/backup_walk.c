/* backup_walk.c: the walk over a volume directory, names in order, depth first, never through a symbolic link nor into anything mounted inside. What cannot be an
 * entry of format 1 by its name is counted and left out; what it has at hand of an entry goes into its record as it stands. */
#include "backup/backup_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "format/layout.h"

#define FSCK_DIR "lost+found"            /* of the backing, in the root of an ext4 that is all the volume's */
#define PATH_MAX_LEN (RECORD_DEPTH_MAX * (RECORD_NAME_MAX + 1)) /* so that no path of a snapshot is too long */

struct walk {
	struct backup *b;
	char path[PATH_MAX_LEN];
	size_t len;
};

struct names {
	char **list;
	size_t n, max;
};

static void names_done(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->list[i]);
	free(l->list);
}
#define AUTO_NAMES __attribute__((cleanup(names_done)))

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(int dirfd, struct names *l)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d)
		return -errno;
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			r = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (l->n == l->max) {
			size_t max = l->max ? l->max * 2 : 64;
			void *more = reallocarray(l->list, max, sizeof(*l->list));

			if (!more) {
				r = -ENOMEM;
				break;
			}
			l->list = more;
			l->max = max;
		}
		l->list[l->n] = strdup(e->d_name);
		if (!l->list[l->n]) {
			r = -ENOMEM;
			break;
		}
		l->n++;
	}
	(void)closedir(d);
	if (l->n > 0)
		qsort(l->list, l->n, sizeof(*l->list), by_text);
	return r;
}

/* ---- one entry */

/* *ret_fd: a directory is open. */
static int add_entry(struct backup *b, const struct backup_place *at, const char *name, const struct stat *st, int *ret_fd)
{
	struct backup_item *item = calloc(1, sizeof(*item));
	int r;

	if (!item)
		return -ENOMEM;
	item->clone_fd = -1;
	r = backup_entry(b, at, name, st, item, ret_fd);
	if (r < 0) {
		backup_item_free(b, item);
		return r;
	}
	if (r == 1) {
		backup_dir_ref(b, at->dir);
		item->dir = at->dir;
	}
	lock_take(&b->pool.m);
	b->counts.files++;
	lock_drop(&b->pool.m);
	b->entries++;
	item->work = r == 1;
	*b->items_end = item;
	b->items_end = &item->next;
	b->nitems++;
	r = r == 1 ? backup_plan_jobs(b, item) : 0;
	return r < 0 ? r : backup_emit_until(b, BACKUP_ITEMS_MAX);
}

/* ---- directories */

static int walk_dir(struct walk *w, const struct backup_place *at);

static int skip(struct walk *w)
{
	WITH_LOCK(&w->b->pool.m);
	w->b->counts.skipped++;
	return 0;
}

static bool is_ours(const struct backup_place *at, const char *name)
{
	if (at->depth == 0 && (strcmp(name, NAME_LOCK) == 0 || strcmp(name, FSCK_DIR) == 0))
		return false;
	if (!record_name_is_sane(name, strlen(name)))
		return false;
	return at->quarantine || !strchr(name, '.') || strncmp(name, "coffer.", 7) == 0;
}

static int enter(struct walk *w, const struct backup_place *at, const char *name, int fd)
{
	struct backup_place in = { .entry = w->b->entries - 1, .depth = at->depth + 1, .quarantine = at->quarantine };
	int r;

	if (at->depth == 0 && strcmp(name, NAME_QUARANTINE) == 0)
		in.quarantine = true;
	if (in.depth >= RECORD_DEPTH_MAX)
		return -ELOOP;
	r = backup_dir_new(w->b, fd, at->dir, name, &in.dir);
	if (r == 0)
		r = walk_dir(w, &in);
	backup_dir_unref(w->b, in.dir);
	return r;
}

/* 1: something is mounted there, perhaps of this filesystem. In one call, since there are many files and a mount may hold still for them. */
static int look(const struct backup *b, const struct backup_place *at, const char *name, struct stat *ret_st)
{
	struct statx sx;

	if (statx(at->dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &sx) < 0)
		return -errno;
	*ret_st = (struct stat){ .st_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor), .st_ino = sx.stx_ino, .st_mode = sx.stx_mode, .st_nlink = sx.stx_nlink,
				 .st_uid = sx.stx_uid, .st_gid = sx.stx_gid, .st_rdev = makedev(sx.stx_rdev_major, sx.stx_rdev_minor),
				 .st_size = (off_t)sx.stx_size, .st_mtim = { .tv_sec = sx.stx_mtime.tv_sec, .tv_nsec = sx.stx_mtime.tv_nsec },
				 .st_ctim = { .tv_sec = sx.stx_ctime.tv_sec, .tv_nsec = sx.stx_ctime.tv_nsec } };
	return ret_st->st_dev != b->dev || (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* The entry of w->path, and what is below it. 1: not ours. */
static int entry_here(struct walk *w, const struct backup_place *at, const char *name)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	r = look(w->b, at, name, &st);
	if (r == 0)
		r = add_entry(w->b, at, name, &st, &fd);
	if (w->b->p->hold && (r == -ENOENT || r == -ETXTBSY || r == -ELOOP)) /* it has gone, or is another, and its directory tells */
		return 0;
	if (r < 0 && pool_error(&w->b->pool) == 0)
		(void)log_ret(r, "%s", w->path);
	return r == 0 && S_ISDIR(st.st_mode) ? enter(w, at, name, fd) : r;
}

static int walk_entry(struct walk *w, const struct backup_place *at, const char *name)
{
	size_t len = w->len, add = strlen(name) + (len > 0);
	int r;

	if (!is_ours(at, name))
		return at->depth == 0 && (strcmp(name, NAME_LOCK) == 0 || strcmp(name, FSCK_DIR) == 0) ? 0 : skip(w);
	if (len + add + 1 > sizeof(w->path))
		return -ENAMETOOLONG;
	(void)snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len > 0 ? "/" : "", name);
	w->len += add;
	r = entry_here(w, at, name);
	w->len = len;
	w->path[len] = '\0';
	return r == 1 ? skip(w) : r;
}

static int walk_dir(struct walk *w, const struct backup_place *at)
{
	AUTO_NAMES struct names l = { 0 };
	struct stat st;
	int r;

	r = fstat(at->dir->fd, &st) < 0 ? -errno : backup_live_dir(w->b, w->path, &st);
	if (r == 0)
		r = names_read(at->dir->fd, &l);
	if (r < 0)
		return log_ret(r, "%s", w->path);
	for (size_t i = 0; i < l.n && r == 0; i++)
		r = walk_entry(w, at, l.list[i]);
	return r;
}

int backup_walk(struct backup *b)
{
	AUTO_CLOSE int fd = -1;
	AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
	struct backup_place root = { 0 };
	struct stat st;
	int r;

	if (!w)
		return -ENOMEM;
	w->b = b;
	r = backup_dir_new(b, b->p->root_fd, NULL, "", &root.dir);
	if (r == 0 && fstat(root.dir->fd, &st) < 0)
		r = -errno;
	if (r == 0) {
		b->dev = st.st_dev;
		r = add_entry(b, &root, "", &st, &fd);
	}
	if (r == 0)
		r = walk_dir(w, &root);
	backup_dir_unref(b, root.dir);
	return r;
}
