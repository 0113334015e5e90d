/* hand.c: the bytes of a hand-over (hand.h): one cursor each way. A number that does not fit ends the reading: the cursor is then behind the end for good, and every
 * function says -EUCLEAN. */
#include "fs/hand.h"

#include <string.h>

#include "base/hash.h"
#include "format/layout.h"

#define MAGIC "coffhand"
#define MAGIC_LEN 8u
#define KIND_AT 12u
#define TOTAL_AT 16u
#define HASH_AT 24u
#define BODY_AT 32u

/* ---- writing */

static void put(struct hand_out *o, const void *p, size_t n)
{
	if (o->p && o->len <= o->max && n <= o->max - o->len)
		memcpy(o->p + o->len, p, n);
	o->len += n;
}

static void put16(struct hand_out *o, uint16_t v)
{
	uint8_t b[2];

	layout_put16(b, v);
	put(o, b, sizeof(b));
}

static void put32(struct hand_out *o, uint32_t v)
{
	uint8_t b[4];

	layout_put32(b, v);
	put(o, b, sizeof(b));
}

static void put64(struct hand_out *o, uint64_t v)
{
	uint8_t b[8];

	layout_put64(b, v);
	put(o, b, sizeof(b));
}

static void put_some(struct hand_out *o, const void *p, size_t n)
{
	put16(o, (uint16_t)n);
	put(o, p, n);
}

static void put_time(struct hand_out *o, const struct timespec *t)
{
	put64(o, (uint64_t)t->tv_sec);
	put32(o, (uint32_t)t->tv_nsec);
}

void hand_put_head(struct hand_out *o, const struct hand_head *h)
{
	put(o, MAGIC, MAGIC_LEN);
	put32(o, HAND_VERSION);
	put32(o, h->kind);
	put64(o, 0); /* hand_close */
	put64(o, 0);
	put32(o, h->read_only);
	put32(o, h->token);
	put(o, h->uuid, UUID_LEN);
	put64(o, h->root_ino);
	put64(o, h->root_dev);
	put32(o, (uint32_t)h->fuse_fd);
	put32(o, (uint32_t)h->deep_fd);
	put32(o, (uint32_t)h->lock_fd);
	put32(o, (uint32_t)h->watcher);
	put(o, h->told.generation, GENERATION_LEN);
	put64(o, h->told.stamp_limit);
	put64(o, h->next_id);
	put64(o, h->inodes);
	put32(o, h->seeks);
	put(o, h->due, sizeof(h->due));
	put_some(o, h->init, h->init_len);
	put_some(o, h->answer, h->answer_len);
	put_some(o, h->path, strlen(h->path));
	put_some(o, h->mountpoint, strlen(h->mountpoint));
}

void hand_put_seek(struct hand_out *o, const struct hand_seek *s)
{
	put64(o, s->unique);
	put64(o, s->node);
	put64(o, s->off);
	put32(o, s->whence);
}

void hand_put_inode(struct hand_out *o, const struct hand_inode *i)
{
	const struct inode_attr *a = &i->attr;

	put64(o, i->id);
	put64(o, i->parent);
	put64(o, i->nlookup);
	put32(o, i->flags);
	put32(o, (uint32_t)i->pin_fd);
	put64(o, a->ino);
	put64(o, a->size);
	put64(o, a->blocks);
	put64(o, a->rdev);
	put32(o, a->mode);
	put32(o, a->nlink);
	put32(o, a->uid);
	put32(o, a->gid);
	put_time(o, &a->atime);
	put_time(o, &a->mtime);
	put_time(o, &a->ctime);
	put_some(o, i->name, strlen(i->name));
	put16(o, i->handle.type);
	put_some(o, i->handle.bytes, i->handle.len);
}

int hand_close(struct hand_out *o)
{
	if (o->len > HAND_BYTES_MAX)
		return -EFBIG;
	if (o->p && o->len > o->max)
		return -ENOSPC;
	if (o->p) {
		layout_put64(o->p + TOTAL_AT, o->len);
		layout_put64(o->p + HASH_AT, hash_bytes(o->p + BODY_AT, (size_t)(o->len - BODY_AT)));
	}
	return 0;
}

/* ---- reading */

/* n bytes, or zeros from the end on. */
static bool get(struct hand_in *in, void *p, size_t n)
{
	if (in->at > in->len || n > in->len - in->at) {
		in->at = UINT64_MAX;
		memset(p, 0, n);
		return false;
	}
	memcpy(p, in->p + in->at, n);
	in->at += n;
	return true;
}

static uint16_t get16(struct hand_in *in)
{
	uint8_t b[2];

	(void)get(in, b, sizeof(b));
	return layout_get16(b);
}

static uint32_t get32(struct hand_in *in)
{
	uint8_t b[4];

	(void)get(in, b, sizeof(b));
	return layout_get32(b);
}

static uint64_t get64(struct hand_in *in)
{
	uint8_t b[8];

	(void)get(in, b, sizeof(b));
	return layout_get64(b);
}

/* At most max bytes. */
static size_t get_some(struct hand_in *in, void *p, size_t max)
{
	size_t n = get16(in);

	if (n > max) {
		in->at = UINT64_MAX;
		n = 0;
	}
	return get(in, p, n) ? n : 0;
}

/* The same as text: no NUL in it, and one behind it. size: room for both. */
static void get_text(struct hand_in *in, char *p, size_t size)
{
	size_t n = get_some(in, p, size - 1);

	if (memchr(p, '\0', n))
		in->at = UINT64_MAX;
	p[n] = '\0';
}

static void get_time(struct hand_in *in, struct timespec *ret_t)
{
	uint32_t nsec;

	ret_t->tv_sec = (time_t)get64(in);
	nsec = get32(in);
	if (nsec >= 1000000000)
		in->at = UINT64_MAX;
	ret_t->tv_nsec = (long)nsec;
}

/* -1 or a descriptor. */
static int get_fd(struct hand_in *in)
{
	uint32_t v = get32(in);

	if (v != UINT32_MAX && v > INT32_MAX)
		in->at = UINT64_MAX;
	return (int)v;
}

static int verdict(const struct hand_in *in)
{
	return in->at > in->len ? -EUCLEAN : 0;
}

static int get_frame(struct hand_in *in, uint32_t *ret_kind)
{
	const uint8_t *p = in->p;

	if (in->len < BODY_AT || memcmp(p, MAGIC, MAGIC_LEN) != 0)
		return -EUCLEAN;
	if (layout_get32(p + MAGIC_LEN) != HAND_VERSION)
		return -EOPNOTSUPP;
	if (in->len > HAND_BYTES_MAX || layout_get64(p + TOTAL_AT) != in->len ||
	    layout_get64(p + HASH_AT) != hash_bytes(p + BODY_AT, (size_t)(in->len - BODY_AT)))
		return -EUCLEAN;
	*ret_kind = layout_get32(p + KIND_AT);
	in->at = BODY_AT;
	return *ret_kind == HAND_ASK || *ret_kind == HAND_TAKE ? 0 : -EUCLEAN;
}

int hand_get_head(struct hand_in *in, struct hand_head *ret_h)
{
	struct hand_head *h = ret_h;
	uint32_t kind, read_only;
	int r;

	r = get_frame(in, &kind);
	if (r < 0)
		return r;
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	read_only = get32(in);
	h->read_only = read_only == 1;
	h->token = get32(in);
	(void)get(in, h->uuid, UUID_LEN);
	h->root_ino = get64(in);
	h->root_dev = get64(in);
	h->fuse_fd = get_fd(in);
	h->deep_fd = get_fd(in);
	h->lock_fd = get_fd(in);
	h->watcher = get_fd(in);
	(void)get(in, h->told.generation, GENERATION_LEN);
	h->told.stamp_limit = get64(in);
	h->next_id = get64(in);
	h->inodes = get64(in);
	h->seeks = get32(in);
	(void)get(in, h->due, sizeof(h->due));
	h->init_len = get_some(in, h->init, sizeof(h->init));
	h->answer_len = get_some(in, h->answer, sizeof(h->answer));
	get_text(in, h->path, sizeof(h->path));
	get_text(in, h->mountpoint, sizeof(h->mountpoint));
	if (read_only > 1 || h->watcher < 0 || h->seeks > HAND_SEEKS_MAX || h->next_id <= INODE_ROOT || !*h->path || !*h->mountpoint)
		return -EUCLEAN;
	return verdict(in);
}

int hand_get_seek(struct hand_in *in, struct hand_seek *ret_s)
{
	ret_s->unique = get64(in);
	ret_s->node = get64(in);
	ret_s->off = get64(in);
	ret_s->whence = get32(in);
	return verdict(in);
}

static bool is_type(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

static bool is_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int hand_get_inode(struct hand_in *in, struct hand_inode *ret_i)
{
	struct hand_inode *i = ret_i;
	struct inode_attr *a = &i->attr;

	memset(i, 0, sizeof(*i));
	i->id = get64(in);
	i->parent = get64(in);
	i->nlookup = get64(in);
	i->flags = get32(in);
	i->pin_fd = get_fd(in);
	a->ino = get64(in);
	a->size = get64(in);
	a->blocks = get64(in);
	a->rdev = get64(in);
	a->mode = get32(in);
	a->nlink = get32(in);
	a->uid = get32(in);
	a->gid = get32(in);
	get_time(in, &a->atime);
	get_time(in, &a->mtime);
	get_time(in, &a->ctime);
	get_text(in, i->name, sizeof(i->name));
	i->handle.type = get16(in);
	i->handle.len = (uint16_t)get_some(in, i->handle.bytes, sizeof(i->handle.bytes));
	if (i->id < INODE_ROOT || (i->flags & ~(uint32_t)HAND_FLAGS) || !is_type(a->mode) || (i->parent ? !is_name(i->name) : *i->name))
		return -EUCLEAN;
	return verdict(in);
}

int hand_get_end(const struct hand_in *in)
{
	return in->at == in->len ? 0 : -EUCLEAN;
}
