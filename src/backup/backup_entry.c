/* backup_entry.c: one entry of the walk: its record, and where its content comes from. What it has at hand of an entry goes into its record as it stands. A file whose inode, size and ctime are
 * those that are remembered is not opened: its attributes are remembered, too. */
#include "backup/backup_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/hash.h"
#include "format/layout.h"

#define XATTRS_LEN_MAX (256u * 1024)
#define LINKS_MIN 1024u
#define LONG_PREFIX "coffer.long."

/* Attributes of an open file or directory, ours alone, as an ENTRY record has them. */
static int read_xattrs(struct backup *b, int fd, struct record_buf *out, unsigned *ret_n)
{
	char *list, *value;
	uint8_t n[2];
	ssize_t len, have;
	int r = 0;

	if (!b->xattrs)
		b->xattrs = malloc(XATTRS_LEN_MAX + (size_t)UINT16_MAX);
	if (!b->xattrs)
		return -ENOMEM;
	list = b->xattrs;
	value = list + XATTRS_LEN_MAX;
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

static bool is_space(const struct backup *b, const struct backup_place *at, const char *name)
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

/* What is remembered of the file: 1: all, and it is there, so that it need not even be opened. Else what is, if anything, is its old state. */
static int from_cache(struct backup *b, struct backup_item *item)
{
	int r;

	r = backup_cache_find(b->cache, &item->key, &item->old);
	if (r < 2 || !all_there(b, item->old.pieces, item->old.n))
		return r < 0 ? r : 0;
	item->now = item->old;
	item->old = (struct backup_cache_file){ 0 };
	return 1;
}

static int64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

/* The content of an open file that is not as it is remembered: what of it is to be read. 1: there is something. */
static int plan(struct backup *b, struct backup_item *item, int fd)
{
	int r;

	item->clone_fd = backup_clone(b, fd, item->key.size);
	r = backup_plan(item->clone_fd >= 0 ? item->clone_fd : fd, item->key.size, &item->now.pieces, &item->now.n);
	if (r == 0 && item->now.n > 0) {
		item->now.metas = calloc(item->now.n, sizeof(*item->now.metas));
		r = item->now.metas ? 1 : -ENOMEM;
	}
	return r;
}

static void keep(struct backup *b, const struct backup_item *item)
{
	WITH_LOCK(&b->pool.m);
	for (uint64_t i = 0; i < item->now.n; i++)
		b->counts.bytes_kept += item->now.pieces[i].len;
}

static int open_entry(const struct backup_place *at, const char *name, const struct stat *st, int *ret_fd)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (S_ISDIR(st->st_mode) ? O_DIRECTORY : 0), fd;
	struct stat now;

	if (!*name)
		fd = fcntl(at->dir->fd, F_DUPFD_CLOEXEC, 0);
	else
		fd = openat(at->dir->fd, name, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(at->dir->fd, name, flags);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return fstat(fd, &now) < 0 ? -errno : now.st_ino == st->st_ino && now.st_mode == st->st_mode ? 0 : -ETXTBSY;
}

/* An entry that is no other name of one that we have had. 1: it has windows to read. */
static int describe(struct backup *b, const struct backup_place *at, int fd, struct record_entry *e, struct backup_item *item, bool known)
{
	AUTO_RECORD_BUF struct record_buf xattrs = { 0 };
	ssize_t len;
	int r = 0;

	if (e->type == RECORD_SYMLINK) {
		len = readlinkat(at->dir->fd, item->name, e->target, RECORD_TARGET_MAX);
		if (len < 0)
			return -errno;
		e->target[len] = '\0';
	}
	if (fd >= 0) {
		r = read_xattrs(b, fd, &xattrs, &item->now.nxattrs);
		item->now.xattrs_len = xattrs.len;
		item->now.xattrs = take_ptr(xattrs.p);
	}
	e->nxattrs = item->now.nxattrs;
	e->xattrs = item->now.xattrs;
	e->xattrs_len = item->now.xattrs_len;
	if (e->type == RECORD_FILE && is_space(b, at, item->name))
		e->flags |= RECORD_FLAG_SPACE;
	if (r == 0)
		r = make_record(item, e);
	if (known && r == 0)
		keep(b, item);
	if (r < 0 || known || e->type != RECORD_FILE || e->flags & RECORD_FLAG_SPACE)
		return r;
	return plan(b, item, fd);
}

/* A regular file with content: what is remembered of it is asked for before it is opened. 1: all of it is as it was. */
static int look_up(struct backup *b, const struct backup_place *at, const struct stat *st, struct backup_item *item)
{
	item->is_file = true;
	item->checked = !at->quarantine && (strncmp(item->name, "coffer.", 7) != 0 || strncmp(item->name, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) == 0);
	item->key = (struct backup_cache_key){ .ino = st->st_ino, .size = (uint64_t)st->st_size, .ctime_s = st->st_ctim.tv_sec,
					       .ctime_ns = (uint32_t)st->st_ctim.tv_nsec };
	item->cacheable = st->st_ctim.tv_sec + BACKUP_RACY_S < now_s();
	return from_cache(b, item);
}

int backup_entry(struct backup *b, const struct backup_place *at, const char *name, const struct stat *st, struct backup_item *item, int *ret_fd)
{
	AUTO_FREE struct record_entry *e = malloc(sizeof(*e));
	bool known = false;
	int r = 0;

	if (!e)
		return -ENOMEM;
	(void)snprintf(item->name, sizeof(item->name), "%s", name);
	if (S_ISREG(st->st_mode) && !is_space(b, at, name)) {
		r = look_up(b, at, st, item);
		known = r == 1;
	}
	if (r >= 0 && !known && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
		r = open_entry(at, name, st, ret_fd);
	if (r < 0)
		return r;
	fill(e, st, name, at->entry);
	if (!(e->flags & RECORD_FLAG_LINKED))
		return describe(b, at, *ret_fd, e, item, known);
	r = find_link(b, st->st_ino, &e->number);
	if (r != 1)
		return r < 0 ? r : describe(b, at, *ret_fd, e, item, known);
	*e = (struct record_entry){ .type = RECORD_LINK, .parent = at->entry, .number = e->number };
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	item->is_file = false;
	backup_cache_file_done(&item->now);
	backup_cache_file_done(&item->old);
	return make_record(item, e);
}
