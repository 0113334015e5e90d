/* simfs_more.c: what tests do to a simfs from outside: changing bytes, copying trees, comparing. */
#include "simfs.h"

#include <fcntl.h>
#include <string.h>

#include "base/hash.h"
#include "simfs_impl.h"

int simfs_poke(struct simfs *fs, int dirfd, const char *name, uint64_t off, const void *p, size_t len)
{
	struct sim_inode *i;
	uint64_t before;
	int r;

	SIM_LOCK(fs);
	r = sim_lookup(fs, dirfd, name, &i);
	if (r < 0)
		return r;
	if (!S_ISREG(i->mode) || off > i->size || len > i->size - off || off > i->dur_size || len > i->dur_size - off)
		return -EINVAL;
	before = i->cur->npages;
	sim_map_write(&i->cur, off, p, len);
	fs->used += i->cur->npages - before;
	sim_map_write(&i->dur, off, p, len);
	if (i->dev)
		sim_map_write(&i->dev, off, p, len);
	return 0;
}

/* ---- copying */

struct pair {
	uint64_t from, to;
};

struct copying {
	struct simfs *fs;
	uint64_t first;          /* inodes from here on are copies: the copy may be made below its original */
	struct pair *pair;       /* what has been copied, for hard links */
	size_t n, cap;
};

static struct sim_inode *copy_inode(struct copying *c, const struct sim_inode *from)
{
	struct sim_inode *i = sim_inode_add(c->fs, c->fs->next_ino++, from->mode);

	i->uid = from->uid;
	i->gid = from->gid;
	i->rdev = from->rdev;
	i->atime = from->atime;
	i->mtime = from->mtime;
	i->size = i->dur_size = from->size;
	if (from->cur) {
		sim_map_set(&i->cur, from->cur);
		sim_map_set(&i->dur, from->cur);
		c->fs->used += i->cur->npages;
	}
	if (from->target)
		i->target = sim_str_ref(from->target);
	c->pair = sim_grow(c->pair, &c->cap, c->n + 1, sizeof(*c->pair));
	c->pair[c->n++] = (struct pair){ from->ino, i->ino };
	return i;
}

static uint64_t copied(const struct copying *c, uint64_t ino)
{
	for (size_t k = 0; k < c->n; k++)
		if (c->pair[k].from == ino)
			return c->pair[k].to;
	return 0;
}

static void copy_into(struct copying *c, struct sim_inode *dir, const char *name, const struct sim_inode *from)
{
	uint64_t ino = copied(c, from->ino);
	struct sim_inode *i = ino ? sim_inode_find(c->fs, ino) : copy_inode(c, from);
	struct sim_nop nop = { 0 };
	struct sim_dents *d;

	sim_nop_slot(c->fs, &nop, dir, name, i->ino);
	sim_nop_commit(c->fs, &nop);
	if (ino || !from->dcur)
		return;
	d = sim_dents_ref(from->dcur);
	for (size_t k = 0; k < d->n; k++)
		if (d->at[k].ino < c->first)
			copy_into(c, i, d->at[k].name->s, sim_inode_get(c->fs, d->at[k].ino));
	sim_dents_unref(d);
}

int simfs_copy_tree(struct simfs *fs, int dirfd, const char *name, int newdirfd, const char *newname)
{
	struct copying c = { .fs = fs, .first = fs->next_ino };
	struct sim_inode *from, *dir;
	int r;

	SIM_LOCK(fs);
	r = sim_lookup(fs, dirfd, name, &from);
	if (r == 0)
		r = sim_dir_of(fs, newdirfd, &dir);
	if (r < 0)
		return r;
	if (strchr(newname, '/') || sim_dents_find(dir->dcur, newname))
		return -EEXIST;
	simfs_sync(fs);
	copy_into(&c, dir, newname, from);
	simfs_sync(fs);
	free(c.pair);
	return 0;
}

/* ---- comparing */

static uint64_t digest_map(const struct sim_map *m, uint64_t size)
{
	static const uint8_t zeros[PAGE];
	uint64_t h = size;

	for (size_t k = 0; k < m->n; k++)
		for (unsigned p = 0; p < NODE_PAGES; p++) {
			const struct sim_page *page = m->at[k].node->page[p];

			if (page && memcmp(page->b, zeros, PAGE) != 0)
				h = hash_u64x2(h, hash_u64x2(m->at[k].index * NODE_PAGES + p, hash_bytes(page->b, PAGE)));
		}
	return h;
}

static uint64_t digest_inode(const struct simfs *fs, const struct sim_inode *i)
{
	uint64_t h = hash_u64x2(i->mode, (uint64_t)i->uid << 32 | i->gid), sum = 0;

	if (i->cur)
		return hash_u64x2(h, digest_map(i->cur, i->size));
	if (i->target)
		return hash_u64x2(h, hash_bytes(i->target->s, strlen(i->target->s)));
	/* A sum: the order of the entries is no matter. */
	for (size_t k = 0; i->dcur && k < i->dcur->n; k++)
		sum += hash_u64x2(hash_bytes(i->dcur->at[k].name->s, strlen(i->dcur->at[k].name->s)),
				  hash_u64x2(i->dcur->at[k].ino, digest_inode(fs, sim_inode_get(fs, i->dcur->at[k].ino))));
	return hash_u64x2(h, sum);
}

uint64_t simfs_digest(struct simfs *fs)
{
	SIM_LOCK(fs);
	return digest_inode(fs, sim_inode_get(fs, ROOT_INO));
}
