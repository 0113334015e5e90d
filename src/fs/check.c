/* check.c: the walk of a whole volume (check.h). Directories are read in batches, so that no directory position and no large buffer is held while
 * a subdirectory is visited; one descriptor is open per level. Each id and each inode with several links is seen once. */
#include "fs/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "fs/check_file.h"
#include "fs/name.h"
#include "fs/repair.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"
#include "fs/xattr.h"

#define BATCH 256
#define DEPTH_MAX 4096
#define PATH_TEXT_MAX (1u << 20)
#define FSCK_DIR "lost+found"            /* in the root of an ext4 that is all the volume's */

/* ---- a set of 16-byte ids */

struct seen {
	uint8_t (*id)[DIR_ID_LEN];
	size_t slots, used;
};

/* 1: it was there; all-zero ids are not kept (the root's). */
static int seen_add(struct seen *s, const uint8_t *id)
{
	static const uint8_t none[DIR_ID_LEN];
	size_t k;

	if (memcmp(id, none, DIR_ID_LEN) == 0)
		return 0;
	if (s->used * 2 >= s->slots) {
		struct seen n = { .slots = s->slots ? s->slots * 2 : 1024 };

		n.id = calloc(n.slots, DIR_ID_LEN);
		if (!n.id)
			return -ENOMEM;
		for (k = 0; k < s->slots; k++) {
			if (seen_add(&n, s->id[k]) < 0)
				continue; /* cannot be: there is room */
		}
		free(s->id);
		*s = n;
	}
	for (k = hash_bytes(id, DIR_ID_LEN) & (s->slots - 1); memcmp(s->id[k], none, DIR_ID_LEN) != 0; k = (k + 1) & (s->slots - 1)) {
		if (memcmp(s->id[k], id, DIR_ID_LEN) == 0)
			return 1;
	}
	memcpy(s->id[k], id, DIR_ID_LEN);
	s->used++;
	return 0;
}

/* ---- the walk */

struct path {                    /* two texts that grow and are cut back */
	char *text;
	size_t len, room;
};

struct walk {
	struct volume *v;
	const struct check_params *p;
	struct check_counts counts;
	struct path plain, backing;
	struct seen ids, inodes;
	uint8_t *buf;            /* GROUP_LOWER */
	unsigned depth;
	int own;                 /* kind of the entry's own first problem, or -1 */
	int tombs_fd;            /* coffer.quarantine, or -1 */
};

struct batch {
	char name[BATCH][LOWER_NAME_LEN_MAX + 1];
	size_t n;
	int64_t next;            /* offset to go on from */
	bool more;
};

static int path_push(struct path *p, const char *name, size_t len, size_t *ret_old)
{
	size_t need = p->len + len + 2;

	if (need > PATH_TEXT_MAX)
		return -ENAMETOOLONG;
	if (need > p->room) {
		char *t = realloc(p->text, need * 2);

		if (!t)
			return -ENOMEM;
		p->text = t;
		p->room = need * 2;
	}
	*ret_old = p->len;
	if (p->len > 0 && p->text[p->len - 1] != '/')
		p->text[p->len++] = '/';
	memcpy(p->text + p->len, name, len);
	p->len += len;
	p->text[p->len] = '\0';
	return 0;
}

static void path_cut(struct path *p, size_t old)
{
	p->len = old;
	p->text[old] = '\0';
}

static void report(struct walk *w, enum check_kind kind, bool harmless, uint64_t number, int error)
{
	struct check_problem pr = { .kind = kind, .harmless = harmless, .plain_path = w->plain.text, .backing_path = strncmp(w->backing.text, "./", 2) == 0 ? w->backing.text + 2 : w->backing.text,
				    .number = number, .error = error };

	if (w->own < 0)
		w->own = (int)kind;
	if (harmless)
		w->counts.harmless++;
	else
		w->counts.problems++;
	if (w->p->problem)
		w->p->problem(w->p->ctx, &pr);
}

/* Want of memory is not damage: it ends the walk. */
static int report_io(struct walk *w, int error)
{
	if (error == -ENOMEM)
		return error;
	report(w, CHECK_IO, false, 0, error);
	return 0;
}

static void report_content(void *ctx, enum check_kind kind, uint64_t number, int error)
{
	report(ctx, kind, kind == CHECK_TOMBSTONE, number, error);
}

static bool has_record(void *ctx, const uint8_t *file_id)
{
	struct walk *w = ctx;
	char name[REPAIR_NAME_MAX];
	struct stat st;

	if (w->tombs_fd < 0)
		return false;
	repair_record_name(file_id, name);
	return w->v->lower->ops->fstatat(w->v->lower, w->tombs_fd, name, &st) == 0;
}

/* Behind an entry: was something wrong with itself, and can it be mended? */
static int mend(struct walk *w, int dirfd, const uint8_t *id, const char *entry, bool named)
{
	struct check_place at = { .dirfd = dirfd, .id = id, .entry = entry, .plain_path = w->plain.text, .backing_path = w->backing.text + 2, .named = named };

	if (w->own < 0 || !w->p->mend)
		return 0;
	at.kind = (enum check_kind)w->own;
	return w->p->mend(w->p->ctx, &at);
}

static void report_xattr(void *ctx, int error)
{
	report(ctx, error == -EBADMSG ? CHECK_XATTR : CHECK_IO, false, 0, error);
}

static bool progress(void *ctx)
{
	struct walk *w = ctx;

	return !w->p->progress || w->p->progress(w->p->ctx, &w->counts);
}

/* ---- what an entry is */

static int check_regular(struct walk *w, int dirfd, const char *entry)
{
	struct check_file_report rep = { .ctx = w, .problem = report_content, .progress = progress, .tombstone = has_record, .counts = &w->counts };
	uint8_t key[DIR_ID_LEN] = { 1 };
	struct stat st;
	int fd, r;

	w->counts.files++;
	r = reopen_at(w->v, dirfd, entry, O_RDONLY, 0, &fd);
	if (r == 0) {
		r = w->v->lower->ops->fstat(w->v->lower, fd, &st);
		if (r < 0)
			lower_close(w->v->lower, fd);
	}
	if (r < 0)
		return report_io(w, r);
	layout_put64(key + 8, st.st_ino);
	r = st.st_nlink > 1 ? seen_add(&w->inodes, key) : 0;
	if (r == 0) {
		r = check_file(vio_lower(w->v->vio), w->v->ring, fd, &st, w->buf, &rep);
		if (r >= 0)
			r = xattr_check(w->v, fd, report_xattr, w);
	}
	lower_close(w->v->lower, fd);
	return r < 0 ? r : 0;
}

static int check_symlink(struct walk *w, int dirfd, const char *entry)
{
	char lower[SYMLINK_LOWER_MAX + 1], plain[SYMLINK_PLAIN_MAX + 1];
	ssize_t n;
	size_t len;
	int r;

	w->counts.symlinks++;
	n = w->v->lower->ops->readlinkat(w->v->lower, dirfd, entry, lower, sizeof(lower));
	if (n < 0)
		return report_io(w, (int)n);
	r = namecrypt_symlink_decrypt(w->v->names, key_ring_names_epoch(w->v->ring), lower, (size_t)n, plain, &len);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		report(w, CHECK_SYMLINK, false, 0, r);
	return 0;
}

static int check_dir(struct walk *w, int dirfd, const char *entry);

static int check_entry(struct walk *w, int dirfd, const char *entry)
{
	struct stat st;
	int r;

	r = w->v->lower->ops->fstatat(w->v->lower, dirfd, entry, &st);
	if (r == 0 && st.st_dev != w->v->dev) {
		report(w, CHECK_TYPE, false, 0, -EXDEV);
		return 0;
	}
	if (r < 0)
		return report_io(w, r);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return check_regular(w, dirfd, entry);
	case S_IFDIR:
		return check_dir(w, dirfd, entry);
	case S_IFLNK:
		return check_symlink(w, dirfd, entry);
	case S_IFCHR:
	case S_IFBLK:
		/* Anybody who edits the disk can plant one; mounts are nodev. */
		report(w, CHECK_TYPE, true, 0, -EUCLEAN);
		return 0;
	default:
		w->counts.others++;
		return 0;
	}
}

/* A link of a long name must have its entry, else it is a harmless leftover. */
static void check_link(struct walk *w, int dirfd, const char *entry)
{
	char other[LOWER_NAME_LEN_MAX + 1];
	struct stat st;

	(void)snprintf(other, sizeof(other), LONG_PREFIX "%.*s", NAME_HASH_LEN, entry + sizeof(LONG_NAME_PREFIX) - 1);
	if (w->v->lower->ops->fstatat(w->v->lower, dirfd, other, &st) == -ENOENT)
		report(w, CHECK_STRAY_LINK, true, 0, 0);
}

static int check_name(struct walk *w, int dirfd, const uint8_t *id, const char *entry)
{
	char plain[PLAIN_NAME_MAX + 1];
	size_t len = 0, old_plain, old_backing;
	int r;

	if (w->depth == 1 && strcmp(entry, FSCK_DIR) == 0)
		return 0; /* the backing filesystem's own */
	r = path_push(&w->backing, entry, strlen(entry), &old_backing);
	if (r < 0)
		return r;
	w->own = -1;
	if (name_is_hidden(entry)) {
		if (strncmp(entry, LONG_NAME_PREFIX, sizeof(LONG_NAME_PREFIX) - 1) == 0)
			check_link(w, dirfd, entry);
		r = mend(w, dirfd, id, entry, false);
		path_cut(&w->backing, old_backing);
		return r;
	}
	r = name_decrypt(w->v, id, dirfd, entry, plain, &len);
	if (r < 0 && r != -ENOMEM) {
		bool is_long = strncmp(entry, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) == 0;

		report(w, r == -EBADMSG ? (is_long ? CHECK_LONG_NAME : CHECK_NAME) : CHECK_IO, false, 0, r);
		r = mend(w, dirfd, id, entry, false);
	} else if (r == 0) {
		r = path_push(&w->plain, plain, len, &old_plain);
		if (r == 0) {
			r = check_entry(w, dirfd, entry);
			if (r == 0)
				r = mend(w, dirfd, id, entry, true);
			path_cut(&w->plain, old_plain);
		}
	}
	path_cut(&w->backing, old_backing);
	return r;
}

/* ---- directories */

static int collect(void *arg, const struct lower_dirent *e)
{
	struct batch *b = arg;
	size_t len = strlen(e->name);

	if (b->n == BATCH) {
		b->more = true;
		return 1;
	}
	if (len <= LOWER_NAME_LEN_MAX)
		memcpy(b->name[b->n++], e->name, len + 1);
	b->next = e->off;
	return 0;
}

static int check_entries(struct walk *w, int fd, const uint8_t *id)
{
	AUTO_FREE struct batch *b = calloc(1, sizeof(*b));
	size_t k;
	int r;

	if (!b)
		return -ENOMEM;
	do {
		b->n = 0;
		b->more = false;
		r = w->v->lower->ops->readdir(w->v->lower, fd, b->next, collect, b);
		if (r < 0)
			return report_io(w, r);
		for (k = 0; k < b->n; k++) {
			r = check_name(w, fd, id, b->name[k]);
			if (r < 0)
				return r;
		}
		if (!progress(w))
			return -EINTR;
	} while (b->more);
	return 0;
}

/* 1: id is known, go on; 0: nothing to be gone through. */
static int check_id(struct walk *w, int fd, uint8_t *id)
{
	int r, empty;

	r = name_read_id(w->v, fd, id);
	empty = r == -ENOENT ? name_dir_is_empty(w->v, fd) : 0;
	if (empty == 1)
		return 0;
	if (empty < 0 || r == -ENOMEM)
		return report_io(w, empty < 0 ? empty : r);
	if (r < 0) {
		report(w, CHECK_DIR_ID, false, 0, r == -ENOENT ? -ENODATA : r);
		return 0;
	}
	r = seen_add(&w->ids, id);
	if (r == 1)
		report(w, CHECK_DIR_ID, false, 0, -EEXIST);
	return r < 0 ? r : 1;
}

static int check_dir(struct walk *w, int dirfd, const char *entry)
{
	uint8_t id[DIR_ID_LEN] = { 0 };
	int fd, own, r;

	w->counts.dirs++;
	if (w->depth == DEPTH_MAX) {
		report(w, CHECK_IO, false, 0, -ENAMETOOLONG);
		return 0;
	}
	r = reopen_at(w->v, dirfd, entry, O_RDONLY | O_DIRECTORY, 0, &fd);
	if (r < 0)
		return report_io(w, r);
	w->depth++;
	r = w->depth > 1 ? check_id(w, fd, id) : 1;
	own = w->own;
	if (r == 1)
		r = check_entries(w, fd, id);
	if (r == 0)
		r = xattr_check(w->v, fd, report_xattr, w);
	w->own = own;
	w->depth--;
	lower_close(w->v->lower, fd);
	return r;
}

int check_run(struct volume *v, const struct check_params *p, struct check_counts *ret_c)
{
	struct walk w = { .v = v, .p = p, .own = -1 };
	size_t old;
	int r;

	r = posix_memalign((void **)&w.buf, BLOCK_SIZE, GROUP_LOWER) ? -ENOMEM : 0;
	if (r == 0)
		r = path_push(&w.plain, "/", 1, &old);
	if (r == 0)
		r = path_push(&w.backing, ".", 1, &old);
	w.tombs_fd = v->lower->ops->openat(v->lower, v->root_fd, NAME_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
	if (r == 0)
		r = check_dir(&w, v->root_fd, ".");
	lower_close(v->lower, w.tombs_fd < 0 ? -1 : w.tombs_fd);
	free(w.buf);
	free(w.plain.text);
	free(w.backing.text);
	free(w.ids.id);
	free(w.inodes.id);
	if (r == 0)
		*ret_c = w.counts;
	return r;
}

const char *check_kind_text(enum check_kind kind)
{
	switch (kind) {
	case CHECK_DIR_ID:
		return "the directory's id is missing, malformed or used twice";
	case CHECK_NAME:
		return "the name does not decrypt";
	case CHECK_LONG_NAME:
		return "the long name's link is missing or does not fit";
	case CHECK_STRAY_LINK:
		return "a long name's link without an entry";
	case CHECK_SYMLINK:
		return "the symbolic link's target does not decrypt";
	case CHECK_TYPE:
		return "a type of file that does not belong here";
	case CHECK_HEADER:
		return "the header does not verify";
	case CHECK_DAMAGED:
		return "marked as damaged by a replay";
	case CHECK_GROUP:
		return "the group's metadata does not verify";
	case CHECK_BLOCK:
		return "the block does not verify";
	case CHECK_XATTR:
		return "an extended attribute does not decrypt";
	case CHECK_IO:
		return "the backing filesystem failed";
	case CHECK_TOMBSTONE:
		return "stands for a file that a repair took away; remove it, or put the file back from a backup";
	}
	return "unknown";
}
