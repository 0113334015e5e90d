/* simfs_cand.c: what each sector of a file may show after a power cut (simfs_cut.c says what may be visible). */
#include "simfs_cut.h"

#include <string.h>

static int by_sector(const void *a, const void *b)
{
	const struct cut_written *x = a, *y = b;

	if (x->sector != y->sector)
		return x->sector < y->sector ? -1 : 1;
	return x->op < y->op ? -1 : 1;
}

static void list_written(struct cut_file *f)
{
	const struct sim_op *op = f->i->op;
	size_t n = 0;

	for (size_t k = 0; k < f->i->nops; k++)
		if (op[k].kind == OP_WRITE)
			n += op[k].s1 - op[k].s0;
		else
			f->njournal++;
	f->written = sim_alloc((n + 1) * sizeof(*f->written));
	for (size_t k = 0; k < f->i->nops; k++)
		for (uint64_t s = op[k].s0; op[k].kind == OP_WRITE && s < op[k].s1; s++)
			f->written[f->nwritten++] = (struct cut_written){ s, (uint32_t)k };
	qsort(f->written, n, sizeof(*f->written), by_sector);
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	static const uint8_t zeros[SECTOR];

	return a == b || memcmp(a ? a : zeros, b ? b : zeros, SECTOR) == 0;
}

/* Put a candidate of c down, or find it among those there are. */
static void add_version(struct cut_table *t, struct cut_cand *c, struct cut_version v)
{
	/* What makes the file longer is never the same as what was there, even if both are zeros. */
	for (uint32_t k = 0; k < c->n; k++)
		if (same(t->version[c->first + k].b, v.b) && (k > 0 || v.end <= t->size)) {
			c->newest = k;
			return;
		}
	t->version = sim_grow(t->version, &t->version_cap, t->nversion + 1, sizeof(*t->version));
	t->version[t->nversion++] = v;
	c->newest = c->n++;
}

/* The first and last op between which writes to this sector are visible, k ops of the journal surviving. */
static void visible(const struct sim_inode *i, uint64_t sector, size_t k, size_t *ret_from, size_t *ret_to)
{
	size_t journal = 0;

	*ret_from = 0;
	*ret_to = i->nops;
	if (i->nfree == 0)
		return;
	for (size_t n = 0; n < i->nops; n++) {
		const struct sim_op *op = &i->op[n];

		if (op->kind == OP_WRITE)
			continue;
		if (op->kind == OP_FREE && op->s0 <= sector && sector < op->s1) {
			if (journal >= k) {
				*ret_to = n;
				return;
			}
			*ret_from = n;
		}
		journal++;
	}
}

/* The size a write made, or what later surviving truncates left of it. */
static uint64_t size_after(const struct sim_inode *i, size_t w, size_t k)
{
	uint64_t size = i->op[w].size;
	size_t journal = 0;

	for (size_t n = 0; n < i->nops && journal < k; n++) {
		if (i->op[n].kind == OP_WRITE)
			continue;
		if (n > w && i->op[n].size < size)
			size = i->op[n].size;
		journal++;
	}
	return size;
}

static void add_sector(struct cut_table *t, const struct sim_inode *i, const struct cut_written *w, size_t n, size_t k)
{
	struct cut_cand c = { .sector = w->sector, .first = (uint32_t)t->nversion };
	const uint8_t *page = sim_map_page(t->base, c.sector / PAGE_SECTORS);
	struct cut_version v = { .b = page ? page + c.sector % PAGE_SECTORS * SECTOR : NULL };
	size_t from, to;

	visible(i, c.sector, k, &from, &to);
	add_version(t, &c, v);
	for (size_t m = 0; m < n; m++) {
		const struct sim_op *op = &i->op[w[m].op];

		if (w[m].op < from || w[m].op >= to)
			continue;
		v.b = op->blob->b + op->at + (c.sector - op->s0) * SECTOR;
		v.size = size_after(i, w[m].op, k);
		v.end = (c.sector + 1) * SECTOR < v.size ? (c.sector + 1) * SECTOR : v.size;
		add_version(t, &c, v);
	}
	if (c.n == 1) {
		t->nversion = c.first;
		return;
	}
	t->cand = sim_grow(t->cand, &t->cand_cap, t->ncand + 1, sizeof(*t->cand));
	t->cand[t->ncand++] = c;
	t->count = mul_sat(t->count, c.n);
}

struct cut_table *cutter_table(struct cut_file *f, size_t k)
{
	struct cut_table *t = &f->table[k];
	size_t journal = 0, end;

	if (t->base)
		return t;
	t->base = sim_map_ref(f->i->dur);
	t->size = f->i->dur_size;
	t->count = 1;
	for (size_t n = 0; n < f->i->nops && journal < k; n++) {
		if (f->i->op[n].kind == OP_WRITE)
			continue;
		sim_op_apply(&f->i->op[n], &t->base);
		if (f->i->op[n].size != SIZE_KEEP)
			t->size = f->i->op[n].size;
		journal++;
	}
	for (size_t n = 0; n < f->nwritten; n = end) {
		for (end = n; end < f->nwritten && f->written[end].sector == f->written[n].sector; end++)
			;
		add_sector(t, f->i, f->written + n, end - n, k);
	}
	return t;
}

struct cutter *cutter_new(struct simfs *fs)
{
	struct cutter *c = sim_alloc(sizeof(*c));

	c->fs = fs;
	c->file = sim_alloc((fs->ninodes + 1) * sizeof(*c->file));
	for (size_t k = 0; k < fs->ninodes; k++) {
		struct cut_file *f = &c->file[c->n];

		if (fs->inode[k]->nops == 0)
			continue;
		f->i = fs->inode[k];
		list_written(f);
		f->table = sim_alloc((f->njournal + 1) * sizeof(*f->table));
		c->n++;
	}
	return c;
}

void cutter_free(struct cutter *c)
{
	for (size_t n = 0; n < c->n; n++) {
		for (size_t k = 0; k <= c->file[n].njournal; k++) {
			sim_map_unref(c->file[n].table[k].base);
			free(c->file[n].table[k].cand);
			free(c->file[n].table[k].version);
		}
		free(c->file[n].table);
		free(c->file[n].written);
		free(c->file[n].pick);
	}
	free(c->file);
	free(c);
}
