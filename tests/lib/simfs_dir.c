/* simfs_dir.c: what directories hold, and the journal of names. An operation on names is one or two slots (a name and its new meaning)
 * that take effect together. Each directory has its current entries and its durable ones; the journal leads from these to those.
 * An entry keeps its cookie, also through a crash, as the offset that readdir gives. */
#include "simfs_impl.h"

#include <string.h>

static uint32_t hash_name(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

struct sim_str *sim_str_new(const char *s)
{
	size_t len = strlen(s);
	struct sim_str *n = sim_alloc(sizeof(*n) + len + 1);

	atomic_init(&n->refs, 1);
	n->hash = hash_name(s);
	memcpy(n->s, s, len + 1);
	return n;
}

struct sim_str *sim_str_ref(struct sim_str *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void sim_str_unref(struct sim_str *s)
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		free(s);
}

struct sim_dents *sim_dents_new(void)
{
	struct sim_dents *d = sim_alloc(sizeof(*d));

	atomic_init(&d->refs, 1);
	return d;
}

struct sim_dents *sim_dents_ref(struct sim_dents *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void sim_dents_unref(struct sim_dents *d)
{
	if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t k = 0; k < d->n; k++)
		sim_str_unref(d->at[k].name);
	free(d->at);
	free(d);
}

struct sim_dent *sim_dents_find(const struct sim_dents *d, const char *name)
{
	uint32_t h = hash_name(name);

	for (size_t k = 0; k < d->n; k++)
		if (d->at[k].name->hash == h && strcmp(d->at[k].name->s, name) == 0)
			return &d->at[k];
	return NULL;
}

static struct sim_dents *dents_own(struct sim_dents **dp)
{
	struct sim_dents *d = *dp, *c;

	if (atomic_load_explicit(&d->refs, memory_order_acquire) == 1)
		return d;
	c = sim_dents_new();
	c->at = sim_grow(NULL, &c->cap, d->n + 1, sizeof(*c->at));
	for (c->n = 0; c->n < d->n; c->n++) {
		c->at[c->n] = d->at[c->n];
		(void)sim_str_ref(c->at[c->n].name);
	}
	sim_dents_unref(d);
	*dp = c;
	return c;
}

static void dents_insert(struct sim_dents *d, const struct sim_slot *slot)
{
	size_t k = d->n;

	d->at = sim_grow(d->at, &d->cap, d->n + 1, sizeof(*d->at));
	for (; k > 0 && d->at[k - 1].cookie > slot->cookie; k--)
		d->at[k] = d->at[k - 1];
	d->at[k] = (struct sim_dent){ sim_str_ref(slot->name), slot->ino, slot->cookie };
	d->n++;
}

void sim_dents_set(struct sim_dents **dp, const struct sim_slot *slot)
{
	struct sim_dents *d = dents_own(dp);
	struct sim_dent *e = sim_dents_find(d, slot->name->s);

	if (e && slot->ino) {
		e->ino = slot->ino;
	} else if (e) {
		sim_str_unref(e->name);
		memmove(e, e + 1, (size_t)(d->at + d->n - (e + 1)) * sizeof(*e));
		d->n--;
	} else if (slot->ino) {
		dents_insert(d, slot);
	}
}

void sim_nop_slot(struct simfs *fs, struct sim_nop *nop, struct sim_inode *dir, const char *name, uint64_t ino)
{
	struct sim_dent *e = sim_dents_find(dir->dcur, name);

	nop->slot[nop->n++] = (struct sim_slot){
		.dir = dir->ino,
		.name = e ? sim_str_ref(e->name) : sim_str_new(name),
		.ino = ino,
		.old = e ? e->ino : 0,
		.cookie = e ? e->cookie : fs->next_cookie++,
	};
}

void sim_nop_done(struct sim_nop *nop)
{
	for (unsigned k = 0; k < nop->n; k++)
		sim_str_unref(nop->slot[k].name);
	nop->n = 0;
}

/* A directory has a link of its own, one of its name, and one of each directory in it. */
static void count_link(struct simfs *fs, struct sim_inode *i, struct sim_inode *dir, bool add)
{
	unsigned n = S_ISDIR(i->mode) ? 2 : 1;

	i->nlink = add ? i->nlink + n : i->nlink - n;
	if (S_ISDIR(i->mode))
		dir->nlink = add ? dir->nlink + 1 : dir->nlink - 1;
	if (S_ISDIR(i->mode) && add)
		i->parent = dir->ino;
	fs->tick++;
	i->ctime.tv_sec = (time_t)fs->tick;
	sim_touch(fs, dir);
}

void sim_nop_commit(struct simfs *fs, struct sim_nop *nop)
{
	struct sim_inode *i, *dir;

	for (unsigned k = 0; k < nop->n; k++) {
		const struct sim_slot *s = &nop->slot[k];

		dir = sim_inode_get(fs, s->dir);
		sim_dents_set(&dir->dcur, s);
		if (s->old && (i = sim_inode_find(fs, s->old)))
			count_link(fs, i, dir, false);
	}
	for (unsigned k = 0; k < nop->n; k++)
		if (nop->slot[k].ino)
			count_link(fs, sim_inode_get(fs, nop->slot[k].ino), sim_inode_get(fs, nop->slot[k].dir), true);
	fs->nop = sim_grow(fs->nop, &fs->nops_cap, fs->nnops + 1, sizeof(*fs->nop));
	fs->nop[fs->nnops++] = *nop;
	for (unsigned k = 0; k < nop->n; k++) {
		i = nop->slot[k].old ? sim_inode_find(fs, nop->slot[k].old) : NULL;
		if (i)
			sim_inode_drop(fs, i);
	}
}

/* ---- flushing */

static bool is_about(const struct sim_nop *nop, uint64_t ino, bool as_dir)
{
	for (unsigned k = 0; k < nop->n; k++)
		if (nop->slot[k].ino == ino || nop->slot[k].old == ino || (as_dir && nop->slot[k].dir == ino))
			return true;
	return false;
}

static bool names_it(const struct sim_nop *nop, uint64_t ino)
{
	for (unsigned k = 0; k < nop->n; k++)
		if (nop->slot[k].ino == ino)
			return true;
	return false;
}

static bool share_name(const struct sim_nop *a, const struct sim_nop *b)
{
	for (unsigned k = 0; k < a->n; k++)
		for (unsigned m = 0; m < b->n; m++)
			if (a->slot[k].dir == b->slot[m].dir && strcmp(a->slot[k].name->s, b->slot[m].name->s) == 0)
				return true;
	return false;
}

/* Mark what operation n needs: earlier ones about the same names, and those that lead to its directories. */
static bool mark_needs(const struct simfs *fs, size_t n, bool *mark)
{
	bool more = false, need;

	for (size_t k = 0; k < fs->nnops; k++) {
		need = k < n && share_name(&fs->nop[k], &fs->nop[n]);
		for (unsigned m = 0; m < fs->nop[n].n; m++)
			need = need || names_it(&fs->nop[k], fs->nop[n].slot[m].dir);
		if (need && !mark[k])
			mark[k] = more = true;
	}
	return more;
}

static void mark_btrfs(const struct simfs *fs, const struct sim_inode *i, bool *mark)
{
	bool more;

	for (size_t k = 0; k < fs->nnops; k++)
		mark[k] = is_about(&fs->nop[k], i->ino, S_ISDIR(i->mode));
	do {
		more = false;
		for (size_t k = 0; k < fs->nnops; k++)
			if (mark[k])
				more = mark_needs(fs, k, mark) || more;
	} while (more);
}

static void mark_ext4(const struct simfs *fs, const struct sim_inode *i, bool *mark)
{
	size_t n = fs->nnops;

	while (n > 0 && !is_about(&fs->nop[n - 1], i->ino, S_ISDIR(i->mode)))
		n--;
	memset(mark, true, n);
}

/* Names that lead to a directory that is durable already count only from this mount's operations: those still in the journal. */
void sim_names_flush(struct simfs *fs, const struct sim_inode *i)
{
	bool *mark;
	size_t left = 0;

	if (fs->nnops == 0)
		return;
	mark = sim_alloc(fs->nnops);
	if (!i)
		memset(mark, true, fs->nnops);
	else if (fs->p.mode == SIMFS_EXT4)
		mark_ext4(fs, i, mark);
	else
		mark_btrfs(fs, i, mark);
	for (size_t k = 0; k < fs->nnops; k++) {
		if (!mark[k]) {
			fs->nop[left++] = fs->nop[k];
			continue;
		}
		for (unsigned m = 0; m < fs->nop[k].n; m++)
			sim_dents_set(&sim_inode_get(fs, fs->nop[k].slot[m].dir)->ddur, &fs->nop[k].slot[m]);
		sim_nop_done(&fs->nop[k]);
	}
	fs->nnops = left;
	free(mark);
	sim_collect(fs);
}
