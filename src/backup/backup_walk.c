/* backup_walk.c: the walk over a volume directory, names in order, depth first, never through a symbolic link nor into anything mounted inside. What cannot be an
 * entry of format 1 by its name is counted and left out; what it has at hand of an entry goes into its record as it stands. */
#include "backup/backup_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/hash.h"
#include "base/log.h"
#include "format/layout.h"

#define FSCK_DIR "lost+found"            /* of the backing, in the root of an ext4 that is all the volume's */
#define PATH_MAX_LEN (RECORD_DEPTH_MAX * (RECORD_NAME_MAX + 1)) /* so that no path of a snapshot is too long */
#define XATTRS_LEN_MAX (256u * 1024)
#define LINKS_MIN 1024u
#define LONG_PREFIX "coffer.long."

struct walk {
	struct backup *b;
	char path[PATH_MAX_LEN];
	size_t len;
};

struct place {
	struct backup_dir *dir;
	uint64_t entry;                  /* the directory's */
	unsigned depth;
	bool quarantine;                 /* or below it */
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

/* Attributes of an open file or directory, ours alone. */
static int read_xattrs(int fd, struct record_buf *out, unsigned *ret_n)
{
	AUTO_FREE char *list = malloc(XATTRS_LEN_MAX);
	AUTO_FREE uint8_t *value = malloc(UINT16_MAX);
	uint8_t n[2];
	ssize_t len, have;
	int r = 0;

	if (!list || !value)
		return -ENOMEM;
	have = flistxattr(fd, list, XATTRS_LEN_MAX);
	if (have < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *name = list; name < list + have && r == 0; name += strlen(name) + 1) {
		if (strncmp(name, RECORD_XATTR_PREFIX, sizeof(RECORD_XATTR_PREFIX) - 1) != 0)
			continue;
		len = fgetxattr(fd, name, value, UINT16_MAX);
		if (len < 0 && errno == ENODATA)
			continue;
		if (len < 0)
			return -errno;
		layout_put16(n, (uint16_t)strlen(name));
		r = record_buf_add(out, n, sizeof(n));
		if (r == 0)
			r = record_buf_add(out, name, strlen(name));
		layout_put16(n, (uint16_t)len);
		if (r == 0)
			r = record_buf_add(out, n, sizeof(n));
		if (r == 0)
			r = record_buf_add(out, value, (size_t)len);
		++*ret_n;
	}
	return r;
}

static int make_record(struct backup_item *item, const struct record_entry *e)
{
	struct record_buf b = { 0 };
	int r;

	r = record_put_entry(&b, e);
	if (r < 0) {
		record_buf_done(&b);
		return r;
	}
	item->record = realloc(b.p, b.len); /* thousands wait for their turn */
	if (!item->record)
		item->record = b.p;
	item->record_len = b.len;
	return 0;
}

static void fill(struct record_entry *e, const struct stat *st, const char *name, uint64_t parent)
{
	*e = (struct record_entry){ .parent = parent, .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid, .mtime_s = st->st_mtim.tv_sec,
				    .mtime_ns = (uint32_t)st->st_mtim.tv_nsec };
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	if (st->st_nlink > 1 && !S_ISDIR(st->st_mode))
		e->flags |= RECORD_FLAG_LINKED;
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		e->type = RECORD_FILE;
		e->size = (uint64_t)st->st_size;
		break;
	case S_IFDIR:
		e->type = RECORD_DIR;
		break;
	case S_IFLNK:
		e->type = RECORD_SYMLINK;
		break;
	case S_IFIFO:
		e->type = RECORD_FIFO;
		break;
	case S_IFSOCK:
		e->type = RECORD_SOCKET;
		break;
	default:
		e->type = S_ISCHR(st->st_mode) ? RECORD_CHAR : RECORD_BLOCK;
		e->number = ((uint64_t)major(st->st_rdev) << 32) | minor(st->st_rdev);
	}
}

/* The entry that an inode with several names has already: true; else it is this one. */
static int find_link(struct backup *b, uint64_t ino, uint64_t *ret_entry)
{
	struct backup_links *more, *l;
	size_t i, k;

	if (b->nlinks * 2 >= b->links_max) {
		size_t max = b->links_max ? b->links_max * 2 : LINKS_MIN;

		more = calloc(max, sizeof(*more));
		if (!more)
			return -ENOMEM;
		for (i = 0; i < b->links_max; i++) {
			if (b->links[i].ino == 0)
				continue;
			for (k = (size_t)hash_u64x2(b->links[i].ino, 0) & (max - 1); more[k].ino; k = (k + 1) & (max - 1))
				;
			more[k] = b->links[i];
		}
		free(b->links);
		b->links = more;
		b->links_max = max;
	}
	for (i = (size_t)hash_u64x2(ino, 0) & (b->links_max - 1);; i = (i + 1) & (b->links_max - 1)) {
		l = &b->links[i];
		if (l->ino == ino) {
			*ret_entry = l->entry;
			return 1;
		}
		if (l->ino == 0)
			break;
	}
	*l = (struct backup_links){ .ino = ino, .entry = b->entries };
	b->nlinks++;
	return 0;
}

static bool is_space(const struct backup *b, const struct place *at, const char *name)
{
	return at->depth == 0 && (strcmp(name, NAME_RESERVE) == 0 || (b->manifest.clean && strcmp(name, NAME_LOG) == 0));
}

/* All pieces that the cache names are where it says? */
static bool all_there(struct backup *b, const struct record_piece *pieces, uint64_t n)
{
	bool ok = true;

	WITH_LOCK(&b->pool.m);
	for (uint64_t i = 0; i < n && ok; i++)
		ok = pieces[i].packed ? backup_set_find(&b->packs, pieces[i].pack) : backup_set_find(&b->segments, pieces[i].hash);
	return ok;
}

/* 1: the item has its pieces. Else what is remembered of it, if anything, is its old state. */
static int from_cache(struct backup *b, struct backup_item *item)
{
	int r;

	r = backup_cache_find(b->cache, &item->key, &item->old);
	if (r < 2 || !all_there(b, item->old.pieces, item->old.n))
		return r < 0 ? r : 0;
	item->now = item->old;
	item->old = (struct backup_cache_file){ 0 };
	lock_take(&b->pool.m);
	for (uint64_t i = 0; i < item->now.n; i++)
		b->counts.bytes_kept += item->now.pieces[i].len;
	lock_drop(&b->pool.m);
	return 1;
}

static int64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

/* The content of a regular file whose record is made: from the cache, or planned. 1: there is something to read. */
static int content(struct backup *b, const struct place *at, struct backup_item *item, int fd, const struct stat *st)
{
	int r;

	item->is_file = true;
	item->checked = !at->quarantine && (strncmp(item->name, "coffer.", 7) != 0 || strncmp(item->name, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) == 0);
	item->key = (struct backup_cache_key){ .ino = st->st_ino, .size = (uint64_t)st->st_size, .ctime_s = st->st_ctim.tv_sec,
					       .ctime_ns = (uint32_t)st->st_ctim.tv_nsec };
	item->cacheable = st->st_ctim.tv_sec + BACKUP_RACY_S < now_s();
	r = from_cache(b, item);
	if (r != 0)
		return r < 0 ? r : 0;
	item->clone_fd = backup_clone(b, fd, item->key.size);
	r = backup_plan(item->clone_fd >= 0 ? item->clone_fd : fd, item->key.size, &item->now.pieces, &item->now.n);
	if (r == 0 && item->now.n > 0) {
		item->now.metas = calloc(item->now.n, sizeof(*item->now.metas));
		r = item->now.metas ? 1 : -ENOMEM;
	}
	return r;
}

/* Everything about an open or linked entry but its place in the queue. 1: it has windows to read. */
static int describe(struct walk *w, const struct place *at, const char *name, const struct stat *st, int fd, struct backup_item *item)
{
	AUTO_FREE struct record_entry *e = malloc(sizeof(*e));
	AUTO_RECORD_BUF struct record_buf xattrs = { 0 };
	ssize_t len;
	int r = 0;

	if (!e)
		return -ENOMEM;
	fill(e, st, name, at->entry);
	(void)snprintf(item->name, sizeof(item->name), "%s", name);
	if (e->flags & RECORD_FLAG_LINKED) {
		r = find_link(w->b, st->st_ino, &e->number);
		if (r < 0)
			return r;
		if (r == 1) {
			*e = (struct record_entry){ .type = RECORD_LINK, .parent = at->entry, .number = e->number };
			(void)snprintf(e->name, sizeof(e->name), "%s", name);
			return make_record(item, e);
		}
	}
	if (e->type == RECORD_SYMLINK) {
		len = readlinkat(at->dir->fd, name, e->target, RECORD_TARGET_MAX);
		if (len < 0)
			return -errno;
		e->target[len] = '\0';
	}
	if (fd >= 0)
		r = read_xattrs(fd, &xattrs, &e->nxattrs);
	e->xattrs = xattrs.p;
	e->xattrs_len = xattrs.len;
	if (e->type == RECORD_FILE && is_space(w->b, at, name))
		e->flags |= RECORD_FLAG_SPACE;
	if (r == 0)
		r = make_record(item, e);
	return r < 0 || e->type != RECORD_FILE || e->flags & RECORD_FLAG_SPACE ? r : content(w->b, at, item, fd, st);
}

static int add_entry(struct walk *w, const struct place *at, const char *name, const struct stat *st, int fd)
{
	struct backup *b = w->b;
	struct backup_item *item = calloc(1, sizeof(*item));
	int r;

	if (!item)
		return -ENOMEM;
	item->clone_fd = -1;
	r = describe(w, at, name, st, fd, item);
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

static int walk_dir(struct walk *w, const struct place *at);

static int skip(struct walk *w)
{
	WITH_LOCK(&w->b->pool.m);
	w->b->counts.skipped++;
	return 0;
}

static bool is_ours(const struct place *at, const char *name)
{
	if (at->depth == 0 && (strcmp(name, NAME_LOCK) == 0 || strcmp(name, FSCK_DIR) == 0))
		return false;
	if (!record_name_is_sane(name, strlen(name)))
		return false;
	return at->quarantine || !strchr(name, '.') || strncmp(name, "coffer.", 7) == 0;
}

static int enter(struct walk *w, const struct place *at, const char *name, int fd)
{
	struct place in = { .entry = w->b->entries - 1, .depth = at->depth + 1, .quarantine = at->quarantine };
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

static int open_entry(const struct place *at, const char *name, const struct stat *st, int *ret_fd)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (S_ISDIR(st->st_mode) ? O_DIRECTORY : 0), fd;
	struct stat now;

	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return 0;
	fd = openat(at->dir->fd, name, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(at->dir->fd, name, flags);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return fstat(fd, &now) < 0 ? -errno : now.st_ino == st->st_ino && now.st_mode == st->st_mode ? 0 : -ETXTBSY;
}

/* Something is mounted there, perhaps of this filesystem. */
static bool is_foreign(const struct backup *b, const struct place *at, const char *name, const struct stat *st)
{
	struct statx sx;

	if (st->st_dev != b->dev)
		return true;
	return statx(at->dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &sx) == 0 && (sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* The entry of w->path, and what is below it. 1: not ours. */
static int entry_here(struct walk *w, const struct place *at, const char *name)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r;

	r = fstatat(at->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 ? -errno : 0;
	if (r == 0)
		r = is_foreign(w->b, at, name, &st) ? 1 : open_entry(at, name, &st, &fd);
	if (w->b->p->hold && (r == -ENOENT || r == -ETXTBSY || r == -ELOOP)) /* it has gone, or is another, and its directory tells */
		return 0;
	if (r == 0)
		r = add_entry(w, at, name, &st, fd);
	if (r < 0 && pool_error(&w->b->pool) == 0)
		(void)log_ret(r, "%s", w->path);
	return r == 0 && S_ISDIR(st.st_mode) ? enter(w, at, name, fd) : r;
}

static int walk_entry(struct walk *w, const struct place *at, const char *name)
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

static int walk_dir(struct walk *w, const struct place *at)
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
	AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
	struct place root = { 0 };
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
		r = add_entry(w, &root, "", &st, root.dir->fd);
	}
	if (r == 0)
		r = walk_dir(w, &root);
	backup_dir_unref(b, root.dir);
	return r;
}
