/* simfs_flush.c: the ops of a file, how they become durable, and how they are lost.
 *
 *   cur = the cache. dev = dur with all ops applied; the same as cur (and then NULL) until a flush fails. A flush makes dur what dev is.
 *
 * A flush that fails takes some of the newest versions of pending sectors out of the ops. What is left is pending as before, so
 * that a cut may or may not find it; truncates and the like stay, they are of the filesystem's own journal. */
#include "simfs_impl.h"

#include <fnmatch.h>
#include <string.h>

struct sim_blob *sim_blob_new(size_t len)
{
	struct sim_blob *b = malloc(sizeof(*b) + len);

	if (!b)
		abort();
	atomic_init(&b->refs, 1);
	return b;
}

struct sim_blob *sim_blob_ref(struct sim_blob *b)
{
	if (b)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void sim_blob_unref(struct sim_blob *b)
{
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

void sim_op_push(struct sim_inode *i, struct sim_op op)
{
	i->op = sim_grow(i->op, &i->ops_cap, i->nops + 1, sizeof(*i->op));
	i->op[i->nops++] = op;
	i->nfree += op.kind == OP_FREE;
}

void sim_ops_clear(struct sim_inode *i)
{
	for (size_t k = 0; k < i->nops; k++)
		sim_blob_unref(i->op[k].blob);
	i->nops = 0;
	i->nfree = 0;
}

void sim_op_apply(const struct sim_op *op, struct sim_map **mp)
{
	switch (op->kind) {
	case OP_WRITE:
		sim_map_write(mp, op->s0 * SECTOR, op->blob->b + op->at, (op->s1 - op->s0) * SECTOR);
		break;
	case OP_FREE:
		sim_map_free(mp, op->s0 / PAGE_SECTORS, op->s1 / PAGE_SECTORS);
		break;
	case OP_ALLOC:
		sim_map_allocate(mp, op->s0 / PAGE_SECTORS, op->s1 / PAGE_SECTORS);
		break;
	case OP_SIZE:
		break;
	}
}

static void flush_all(struct sim_inode *i)
{
	sim_map_set(&i->dur, i->dev ? i->dev : i->cur);
	i->dur_size = i->size;
	sim_ops_clear(i);
}

void sim_file_flush(struct simfs *fs, struct sim_inode *i)
{
	if (i->nops == 0)
		return;
	if (sim_fault_hits(fs, i))
		sim_file_lose(fs, i, 0, fs->fault.err);
	else
		flush_all(i);
}

/* Take sectors s0..s1-1 out of the writes among the ops. */
static void ops_cut(struct sim_inode *i, uint64_t s0, uint64_t s1)
{
	size_t n = i->nops, cap = 0;
	struct sim_op *old = i->op, op, part;

	i->op = sim_grow(NULL, &cap, n + 1, sizeof(*i->op));
	i->ops_cap = cap;
	i->nops = 0;
	i->nfree = 0;
	for (size_t k = 0; k < n; k++) {
		op = old[k];
		if (op.kind != OP_WRITE || op.s1 <= s0 || s1 <= op.s0) {
			sim_op_push(i, op);
			continue;
		}
		part = op;
		if (op.s0 < s0) {
			part.s1 = s0;
			part.blob = sim_blob_ref(op.blob);
			sim_op_push(i, part);
		}
		part = op;
		if (op.s1 > s1) {
			part.s0 = s1;
			part.at += (s1 - op.s0) * SECTOR;
			part.blob = sim_blob_ref(op.blob);
			sim_op_push(i, part);
		}
		sim_blob_unref(op.blob);
	}
	free(old);
}

static void clamp_sizes(struct sim_inode *i, uint64_t size)
{
	for (size_t k = 0; k < i->nops; k++)
		if (i->op[k].kind == OP_WRITE && i->op[k].size > size)
			i->op[k].size = size;
}

/* What is not a write becomes durable, in order; the writes stay, without what was freed. */
static void flush_journal(struct sim_inode *i)
{
	struct sim_op *old = i->op;
	size_t n = i->nops;

	i->op = NULL;
	i->nops = i->ops_cap = 0;
	i->nfree = 0;
	for (size_t k = 0; k < n; k++) {
		if (old[k].kind == OP_WRITE) {
			sim_op_push(i, old[k]);
			continue;
		}
		sim_op_apply(&old[k], &i->dur);
		if (old[k].kind == OP_FREE)
			ops_cut(i, old[k].s0, old[k].s1);
		if (old[k].size != SIZE_KEEP) {
			i->dur_size = old[k].size;
			clamp_sizes(i, old[k].size);
		}
	}
	free(old);
}

void sim_file_flush_last(struct simfs *fs, struct sim_inode *i)
{
	struct sim_op w = i->op[i->nops - 1];
	uint64_t end;

	(void)fs;
	if (i->nops == 1 && !i->dev) {
		flush_all(i);
		return;
	}
	i->nops--;
	flush_journal(i);
	ops_cut(i, w.s0, w.s1);
	sim_op_apply(&w, &i->dur);
	end = w.s1 * SECTOR < w.size ? w.s1 * SECTOR : w.size;
	if (end > i->dur_size)
		i->dur_size = end;
	sim_blob_unref(w.blob);
}

/* ---- what is lost */

struct version {
	uint64_t sector;
	size_t op;
	bool lost;
};

static int by_sector(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	if (x->sector != y->sector)
		return x->sector < y->sector ? -1 : 1;
	return x->op < y->op ? -1 : 1;
}

static int by_op(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	if (x->op != y->op)
		return x->op < y->op ? -1 : 1;
	return x->sector < y->sector ? -1 : 1;
}

static size_t count_sectors(const struct sim_inode *i, size_t first)
{
	size_t n = 0;

	for (size_t k = first; k < i->nops; k++)
		if (i->op[k].kind == OP_WRITE)
			n += i->op[k].s1 - i->op[k].s0;
	return n;
}

/* Every version that could be lost; of each sector the newest ones are. */
static struct version *choose_lost(struct simfs *fs, const struct sim_inode *i, size_t first, size_t n)
{
	struct version *v = sim_alloc((n + 1) * sizeof(*v));
	bool all = simfs_rng_below(&fs->rng, 2) == 0;
	size_t at = 0, end, kept;

	for (size_t k = first; k < i->nops; k++)
		for (uint64_t s = i->op[k].s0; i->op[k].kind == OP_WRITE && s < i->op[k].s1; s++)
			v[at++] = (struct version){ s, k, false };
	qsort(v, n, sizeof(*v), by_sector);
	for (at = 0; at < n; at = end) {
		for (end = at; end < n && v[end].sector == v[at].sector; end++)
			;
		kept = all ? 0 : simfs_rng_below(&fs->rng, end - at + 1);
		for (size_t k = at + kept; k < end; k++)
			v[k].lost = true;
	}
	qsort(v, n, sizeof(*v), by_op);
	return v;
}

static void drop_lost(struct sim_inode *i, size_t first, const struct version *v)
{
	struct sim_op *old = i->op, op;
	size_t n = i->nops;

	i->op = NULL;
	i->nops = i->ops_cap = 0;
	i->nfree = 0;
	for (size_t k = 0; k < n; k++) {
		if (k < first || old[k].kind != OP_WRITE) {
			sim_op_push(i, old[k]);
			continue;
		}
		for (uint64_t s = old[k].s0; s < old[k].s1; s++, v++) {
			if (v->lost)
				continue;
			op = old[k];
			op.s0 = s;
			op.s1 = s + 1;
			op.at += (s - old[k].s0) * SECTOR;
			op.blob = sim_blob_ref(op.blob);
			sim_op_push(i, op);
		}
		sim_blob_unref(old[k].blob);
	}
	free(old);
}

static void set_err(struct sim_err *e, int err)
{
	if (e->told || e->seq == 0)
		e->seq++;
	e->told = false;
	e->err = err;
}

void sim_file_lose(struct simfs *fs, struct sim_inode *i, size_t first, int err)
{
	size_t n = count_sectors(i, first);
	struct version *v = choose_lost(fs, i, first, n);

	drop_lost(i, first, v);
	free(v);
	if (i->dev)
		sim_map_set(&i->dev, i->dur);
	else
		i->dev = sim_map_ref(i->dur);
	for (size_t k = 0; k < i->nops; k++)
		sim_op_apply(&i->op[k], &i->dev);
	set_err(&i->err, err);
	set_err(&fs->sb_err, err);
}

void sim_file_drop_cache(struct simfs *fs, struct sim_inode *i)
{
	uint64_t before;

	if (i->nopen == 0)
		i->err.told = true; /* the inode is forgotten, and with it its error */
	if (!i->dev)
		return;
	before = i->cur->npages;
	sim_map_set(&i->cur, i->dev);
	sim_map_unref(i->dev);
	i->dev = NULL;
	if (i->nlink > 0 || i->nopen > 0)
		fs->used += i->cur->npages - before;
}

/* ---- planned faults, and who is told */

bool sim_name_matches(const struct simfs *fs, const struct sim_inode *i, const char *pattern)
{
	if (!pattern)
		return true;
	for (size_t k = 0; k < fs->ninodes; k++) {
		const struct sim_dents *d = fs->inode[k]->dcur;

		for (size_t n = 0; d && n < d->n; n++)
			if (d->at[n].ino == i->ino && fnmatch(pattern, d->at[n].name->s, 0) == 0)
				return true;
	}
	return false;
}

bool sim_fault_hits(struct simfs *fs, const struct sim_inode *i)
{
	if (!fs->fault.armed || !sim_name_matches(fs, i, fs->fault.pattern))
		return false;
	if (fs->fault.after > 0) {
		fs->fault.after--;
		return false;
	}
	fs->fault.armed = false;
	fs->fault.happened = true;
	return true;
}

unsigned sim_err_sample(const struct sim_err *e)
{
	return e->seq > 0 && !e->told ? e->seq - 1 : e->seq;
}

int sim_err_tell(struct sim_err *e, unsigned *seen)
{
	if (*seen == e->seq)
		return 0;
	*seen = e->seq;
	e->told = true;
	return -e->err;
}
