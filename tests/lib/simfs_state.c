/* simfs_state.c: makes a new simfs of what was chosen to survive a power cut. */
#include "simfs_cut.h"

#include <string.h>

static void make_file(const struct cut_file *f, struct sim_inode *to)
{
	static const uint8_t zeros[PAGE];
	const struct cut_table *t = &f->table[f->k];
	uint64_t size = t->size, full = t->size;
	const uint8_t *page;

	sim_map_set(&to->dur, t->base);
	for (size_t n = 0; n < t->ncand; n++) {
		const struct cut_version *v = &t->version[t->cand[n].first + f->pick[n]];

		if (f->pick[n] == 0)
			continue;
		sim_map_put_sector(&to->dur, t->cand[n].sector, v->b);
		if (v->end > size)
			size = v->end;
		if (v->end > t->size && v->size > full)
			full = v->size;
	}
	to->size = f->full_size && full > size ? full : size;
	/* Nothing but zeros behind the end. */
	page = to->size % PAGE != 0 ? sim_map_page(to->dur, to->size / PAGE) : NULL;
	if (page && memcmp(page + to->size % PAGE, zeros, PAGE - to->size % PAGE) != 0)
		sim_map_write(&to->dur, to->size, zeros, PAGE - to->size % PAGE);
}

/* What is found below the root, by index in fs->inode. */
struct found {
	struct sim_dents *d;     /* of directories */
	uint64_t parent;
	unsigned nlink;
};

static size_t index_of(const struct simfs *fs, uint64_t ino)
{
	size_t lo = 0, hi = fs->ninodes, mid;

	while (lo + 1 < hi) {
		mid = lo + (hi - lo) / 2;
		if (fs->inode[mid]->ino <= ino)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void find_below(const struct simfs *fs, struct found *found, size_t dir)
{
	for (size_t k = 0; k < found[dir].d->n; k++) {
		size_t at = index_of(fs, found[dir].d->at[k].ino);

		if (!found[at].d) {
			found[at].nlink++;
			continue;
		}
		found[dir].nlink++;
		if (found[at].nlink > 0)
			continue;
		found[at].nlink = 2;
		found[at].parent = fs->inode[dir]->ino;
		find_below(fs, found, at);
	}
}

static struct found *find_all(const struct simfs *fs, size_t names)
{
	struct found *found = sim_alloc(fs->ninodes * sizeof(*found));
	size_t root = index_of(fs, ROOT_INO);

	for (size_t k = 0; k < fs->ninodes; k++)
		if (fs->inode[k]->ddur)
			found[k].d = sim_dents_ref(fs->inode[k]->ddur);
	for (size_t n = 0; n < names; n++)
		for (unsigned k = 0; k < fs->nop[n].n; k++)
			sim_dents_set(&found[index_of(fs, fs->nop[n].slot[k].dir)].d, &fs->nop[n].slot[k]);
	found[root].nlink = 2;
	found[root].parent = ROOT_INO;
	find_below(fs, found, root);
	return found;
}

static void make_inode(struct simfs *cut, const struct sim_inode *from, const struct found *found, const struct cut_file *f)
{
	struct sim_inode *i = sim_alloc(sizeof(*i));

	i->ino = from->ino;
	i->mode = from->mode;
	i->uid = from->uid;
	i->gid = from->gid;
	i->rdev = from->rdev;
	i->atime = from->atime;
	i->mtime = from->mtime;
	i->ctime = from->ctime;
	i->nlink = found->nlink;
	i->size = from->dur_size;
	if (from->target)
		i->target = sim_str_ref(from->target);
	if (found->d) {
		i->dcur = sim_dents_ref(found->d);
		i->ddur = sim_dents_ref(found->d);
		i->parent = found->parent;
	}
	if (from->dur) {
		i->dur = sim_map_ref(from->dur);
		if (f)
			make_file(f, i);
		i->cur = sim_map_ref(i->dur);
		cut->used += i->cur->npages;
	}
	i->dur_size = i->size;
	cut->inode = sim_grow(cut->inode, &cut->inodes_cap, cut->ninodes + 1, sizeof(struct sim_inode *));
	cut->inode[cut->ninodes++] = i;
}

struct simfs *cutter_make(struct cutter *c, uint64_t seed)
{
	struct simfs *fs = c->fs, *cut = sim_new_empty(&fs->p);
	struct found *found = find_all(fs, c->names);
	size_t f = 0;

	cut->rng.s = seed;
	cut->next_ino = fs->next_ino;
	cut->next_cookie = fs->next_cookie;
	cut->tick = fs->tick;
	for (size_t k = 0; k < fs->ninodes; k++) {
		while (f < c->n && c->file[f].i->ino < fs->inode[k]->ino)
			f++;
		if (found[k].nlink > 0)
			make_inode(cut, fs->inode[k], &found[k], f < c->n && c->file[f].i == fs->inode[k] ? &c->file[f] : NULL);
		sim_dents_unref(found[k].d);
	}
	free(found);
	return cut;
}
