/* readdir.c: listing (readdir.h). Three passes over what fits into one reply: names, then stats and the headers of regular files in
 * batches, then inodes. An entry that vanishes between the passes is left out of the attributes, and the kernel will ask for it. */
#include "fs/readdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "base/secret.h"
#include "fs/dirfd.h"
#include "fs/name.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"

#define ENTRIES_MIN 32
#define ENTRIES_MAX 4096

struct listing {
	struct volume *v;
	struct inode *dir;
	int fd;
	bool plus;
	uint8_t id[DIR_ID_LEN];
	size_t room;
	readdir_size_fn *size;
	struct readdir_list *l;
};

/* Freed memory must not keep the names: somebody may lock the volume. */
static void entries_free(struct readdir_list *l)
{
	if (l->e)
		secret_wipe(l->e, l->n * sizeof(*l->e));
	free(l->e);
}

/* Room for one more, NULL: none in the reply. -ENOMEM by *ret_r. */
static struct readdir_entry *add(struct listing *s, size_t name_len, int *ret_r)
{
	size_t need = s->size(name_len, s->plus);
	struct readdir_list *l = s->l;

	*ret_r = 0;
	if (need > s->room || l->n == ENTRIES_MAX)
		return NULL;
	if (l->n == l->max) {
		size_t max = l->max ? l->max * 2 : ENTRIES_MIN;
		struct readdir_entry *e = calloc(max, sizeof(*e));

		if (!e) {
			*ret_r = -ENOMEM;
			return NULL;
		}
		if (l->n > 0)
			memcpy(e, l->e, l->n * sizeof(*e));
		entries_free(l);
		l->e = e;
		l->max = max;
	}
	s->room -= need;
	memset(&l->e[l->n], 0, sizeof(l->e[l->n]));
	l->e[l->n].len = name_len;
	return &l->e[l->n++];
}

static int add_dot(struct listing *s, const char *name, uint64_t ino, uint64_t off)
{
	struct readdir_entry *e;
	int r;

	e = add(s, strlen(name), &r);
	if (!e)
		return r < 0 ? r : 1;
	memcpy(e->name, name, e->len + 1);
	e->off = off;
	e->ino = ino;
	e->type = S_IFDIR;
	return 0;
}

static int add_entry(void *arg, const struct lower_dirent *d)
{
	char plain[PLAIN_NAME_MAX + 1];
	struct listing *s = arg;
	struct readdir_entry *e;
	size_t len;
	int r;

	if (name_is_hidden(d->name))
		return 0;
	r = name_decrypt(s->v, s->id, s->fd, d->name, plain, &len);
	if (r == -EBADMSG) {
		name_undecryptable(s->v, s->dir);
		return 0;
	}
	if (r < 0)
		return r;
	e = add(s, len, &r);
	if (!e)
		return r < 0 ? r : 1;
	memcpy(e->name, plain, len + 1);
	memcpy(e->entry, d->name, strlen(d->name) + 1);
	e->off = (uint64_t)d->off;
	e->ino = d->ino;
	e->type = d->type == DT_UNKNOWN ? 0 : (uint32_t)DTTOIF(d->type);
	return 0;
}

static uint64_t parent_ino(struct listing *s)
{
	WITH_LOCK(&s->v->lock);

	return s->dir->parent ? s->dir->parent->ino : s->dir->ino;
}

static int list_names(struct listing *s, uint64_t off)
{
	int r = 0;

	if (off == 0) {
		r = add_dot(s, ".", s->dir->ino, READDIR_OFF_DOT);
		off = READDIR_OFF_DOT;
	}
	if (r == 0 && off == READDIR_OFF_DOT) {
		r = add_dot(s, "..", parent_ino(s), READDIR_OFF_DOTDOT);
		off = READDIR_OFF_DOTDOT;
	}
	if (r != 0)
		return r < 0 ? r : 0;
	if (off == READDIR_OFF_DOTDOT)
		off = 0;
	r = name_dir_id(s->v, s->dir, s->fd, s->id);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return s->v->lower->ops->readdir(s->v->lower, s->fd, (int64_t)off, add_entry, s);
}

/* ---- attributes */

struct batch {
	int *fds;
	struct stat *st;
	uint64_t *size;
	int *r;
	size_t *index;           /* into the list */
	size_t n;
};

static void batch_done(struct volume *v, struct batch *b)
{
	size_t k;

	for (k = 0; k < b->n; k++)
		lower_close(v->lower, b->fds[k]);
	free(b->fds);
	free(b->st);
	free(b->size);
	free(b->r);
	free(b->index);
}

static int batch_init(struct batch *b, size_t n)
{
	memset(b, 0, sizeof(*b));
	b->fds = calloc(n, sizeof(*b->fds));
	b->st = calloc(n, sizeof(*b->st));
	b->size = calloc(n, sizeof(*b->size));
	b->r = calloc(n, sizeof(*b->r));
	b->index = calloc(n, sizeof(*b->index));
	return b->fds && b->st && b->size && b->r && b->index ? 0 : -ENOMEM;
}

static bool is_held(struct volume *v, uint64_t ino)
{
	struct inode *i = inode_get_ino(v, ino);
	bool held = i && !i->bad;

	inode_put(v, i);
	return held;
}

/* Open regular files that nobody holds, from entry k on, until the batch is full; returns where to go on. What cannot be opened (too many
 * descriptors, gone) is left out. */
static size_t batch_open(struct listing *s, struct batch *b, size_t k)
{
	const struct lower_ops *ops = s->v->lower->ops;

	for (; k < s->l->n && b->n < s->v->batch_max; k++) {
		struct readdir_entry *e = &s->l->e[k];
		int fd;

		if (!S_ISREG(e->type) || is_held(s->v, e->ino))
			continue;
		/* A directory may lie about types, and opening a device may do something. */
		if (ops->fstatat(s->v->lower, s->fd, e->entry, &b->st[b->n]) < 0 || !S_ISREG(b->st[b->n].st_mode))
			continue;
		if (reopen_peek(s->v, s->fd, e->entry, &fd) < 0)
			continue;
		if (ops->fstat(s->v->lower, fd, &b->st[b->n]) < 0 || !S_ISREG(b->st[b->n].st_mode) ||
		    b->st[b->n].st_dev != s->v->dev) {
			lower_close(s->v->lower, fd);
			continue;
		}
		b->index[b->n] = k;
		b->fds[b->n++] = fd;
	}
	return k;
}

static void give_inode(struct listing *s, struct readdir_entry *e, const struct inode_attr *a, uint64_t closes)
{
	struct inode *i;

	if (inode_remember(s->v, s->dir, e->entry, a, false, closes, &i) < 0)
		return;
	e->got.inode = i;
	e->got.attr = *a;
	if (!S_ISDIR(i->type))
		inode_attr(s->v, i, &e->got.attr);
}

/* Regular files: sizes in batches. A bad one gets no inode here; looking it up says what is wrong. */
static int fill_batch(struct listing *s, size_t *k)
{
	uint64_t closes = inode_closes(s->v);
	struct inode_attr a;
	struct batch b;
	size_t j;
	int r;

	r = batch_init(&b, s->v->batch_max);
	if (r == 0) {
		*k = batch_open(s, &b, *k);
		if (b.n > 0)
			r = vio_peek_batch(s->v->vio, b.fds, b.st, b.n, b.size, b.r);
		for (j = 0; r == 0 && j < b.n; j++) {
			if (b.r[j] < 0)
				continue;
			inode_attr_from(&b.st[j], b.size[j], &a);
			give_inode(s, &s->l->e[b.index[j]], &a, closes);
		}
	}
	batch_done(s->v, &b);
	return r;
}

static int fill_files(struct listing *s)
{
	size_t k = 0;
	int r = 0;

	while (r == 0 && k < s->l->n)
		r = fill_batch(s, &k);
	return r;
}

static void fill_others(struct listing *s)
{
	struct inode_attr a;
	uint64_t closes;
	bool bad;
	size_t k;

	for (k = 0; k < s->l->n; k++) {
		struct readdir_entry *e = &s->l->e[k];

		if (e->got.inode || e->entry[0] == '\0' || (S_ISREG(e->type) && !is_held(s->v, e->ino)))
			continue;
		closes = inode_closes(s->v);
		if (dir_stat(s->v, s->fd, e->entry, &a, &bad) == 0 && !bad)
			give_inode(s, e, &a, closes);
	}
}

int readdir_list(struct volume *v, struct inode *dir, uint64_t off, size_t room, readdir_size_fn *size, bool plus,
		 struct readdir_list *ret_l)
{
	struct readdir_list l = { 0 };
	struct listing s = { .v = v, .dir = dir, .plus = plus, .room = room, .size = size, .l = &l };
	int r;

	r = dirfd_own(v, dir, &s.fd);
	if (r < 0)
		return r;
	r = list_names(&s, off);
	if (r == 0 && plus && l.n > 0) {
		r = fill_files(&s);
		if (r == 0)
			fill_others(&s);
	}
	lower_close(v->lower, s.fd);
	if (r < 0) {
		readdir_done(v, &l, 0);
		return r;
	}
	*ret_l = l;
	return 0;
}

void readdir_done(struct volume *v, struct readdir_list *l, size_t first)
{
	size_t k;

	for (k = 0; k < l->n; k++) {
		struct inode *i = l->e[k].got.inode;

		if (!i)
			continue;
		if (k >= first)
			inode_forget(v, i->id, 1);
		inode_put(v, i);
	}
	entries_free(l);
}
