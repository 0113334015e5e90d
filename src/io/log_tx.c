/* log_tx.c: gathering a transaction: what a file's pending changes look like as records, and what follows when they are durable.
 *
 * Gathering happens under the file's lock and moves the views on: fl becomes cur, versions U become F. Since one commit runs at a time, fl is empty
 * when a gather begins, and what a changed group differs from is com. Finishing moves fl to com and F to C; a C that com does not name any more is dropped. */
#include "io/log_tx.h"

#include "io/gather_log.h"

#include <string.h>

void log_tx_init(struct tx *tx, struct vio *v)
{
	*tx = (struct tx){ .v = v };
}

void log_tx_done(struct tx *tx)
{
	for (size_t i = 0; i < tx->nparts; i++) {
		cache_buf_put(tx->v, tx->parts[i]->image);
		free(tx->parts[i]);
	}
	for (size_t i = 0; i < tx->nblk; i++)
		cache_dblk_unref(tx->v, tx->blk[i]);
	for (size_t i = 0; i < tx->nfiles; i++)
		iofile_unref(tx->files[i]);
	for (size_t i = 0; i < tx->nsync; i++)
		iofile_unref(tx->sync[i]);
	free(tx->parts);
	free(tx->blk);
	free(tx->files);
	free(tx->sync);
}

/* Room for n more elements. */
static int grow(void *parray, size_t have, size_t *max, size_t n, size_t elem)
{
	size_t want = *max;
	void *p;

	if (have + n <= *max)
		return 0;
	while (want < have + n)
		want = want ? want * 2 : 16;
	p = realloc(*(void **)parray, want * elem);
	if (!p)
		return -ENOMEM;
	*(void **)parray = p;
	*max = want;
	return 0;
}

int log_tx_add_sync(struct tx *tx, struct iofile *f)
{
	int r;

	r = grow(&tx->sync, tx->nsync, &tx->sync_max, 1, sizeof(*tx->sync));
	if (r < 0)
		return r;
	iofile_ref(f);
	tx->sync[tx->nsync++] = f;
	return 0;
}

static int part_new(struct tx *tx)
{
	struct tx_part *p, **parts;

	parts = realloc(tx->parts, (tx->nparts + 1) * sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	tx->parts = parts;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->image = cache_buf_get(tx->v);
	if (!p->image) {
		free(p);
		return -ENOMEM;
	}
	log_desc_begin(&p->d);
	p->first = tx->nblk;
	parts[tx->nparts++] = p;
	return 0;
}

static int add_file(struct tx *tx, const struct log_file *lf)
{
	int r;

	r = tx->nparts ? log_desc_add_file(&tx->parts[tx->nparts - 1]->d, lf) : -ENOSPC;
	if (r != -ENOSPC)
		return r;
	r = part_new(tx);
	return r < 0 ? r : log_desc_add_file(&tx->parts[tx->nparts - 1]->d, lf);
}

static int add_group(struct tx *tx, const struct log_group *lg)
{
	int r;

	r = log_desc_add_group(&tx->parts[tx->nparts - 1]->d, lg);
	if (r != -ENOSPC)
		return r;
	r = part_new(tx);
	return r < 0 ? r : log_desc_add_group(&tx->parts[tx->nparts - 1]->d, lg);
}

/* ---- sealing and images */

int log_seal_group(struct iofile *f, uint32_t no, struct gmeta *m, const struct file_shape *shape)
{
	struct group_header h = { .epoch = m->epoch, .group = no };
	struct blockcrypt *bc = blockcrypt_get();
	const struct file_keys *keys;
	struct file_keys own;
	uint64_t stamp;
	int r;

	if (!bc)
		return -ENOMEM;
	r = state_stamps(f->v->state, 2, &stamp);
	if (r < 0)
		return r;
	r = iofile_keys(f, m->epoch, &own, &keys);
	if (r < 0)
		return r;
	memcpy(h.file_id, f->file_id, FILE_ID_LEN);
	if (shape)
		h.shape = *shape;
	h.entries = m->entries;
	if (!m->sealed) {
		h.entries.stamp = stamp;
		r = group_seal_entries(bc, &keys->tag, &h, m->ent);
	}
	if (r == 0) {
		h.header.stamp = stamp + 1;
		r = group_seal_header(bc, &keys->tag, &h);
	}
	if (keys == &own)
		keys_wipe(&own);
	if (r < 0)
		return r;
	m->entries = h.entries;
	m->header = h.header;
	m->sealed = true;
	return 0;
}

void log_meta_image(const struct iofile *f, uint32_t no, const struct gmeta *m, const struct file_shape *shape, uint8_t *ret_p)
{
	struct group_header h = { .epoch = m->epoch, .group = no, .entries = m->entries, .header = m->header };

	memcpy(h.file_id, f->file_id, FILE_ID_LEN);
	if (shape)
		h.shape = *shape;
	group_header_put(&h, ret_p);
	memcpy(ret_p + HEADER_LEN, m->ent, ENTRIES_LEN);
}

/* ---- gathering. lock: f->m */

/* Does the group's record list index i, and as what? */
static bool block_record(const struct gnode *g, unsigned i, struct log_block *ret_b, struct dblk **ret_d)
{
	uint64_t stamp = cache_entry_stamp(g->cur, i);
	uint64_t before = g->base_empty || !g->com ? 0 : cache_entry_stamp(g->com, i);

	*ret_d = NULL;
	if (stamp == before)
		return false;
	memset(ret_b, 0, sizeof(*ret_b));
	ret_b->index = (uint8_t)i;
	if (stamp == 0) {
		ret_b->where = LOG_WHERE_HOLE;
		return true;
	}
	cache_entry_get(g->cur, i, &ret_b->entry);
	*ret_d = cache_dblk_find(g, i, stamp);
	ret_b->where = *ret_d ? LOG_WHERE_LOG : LOG_WHERE_HOME;
	assert(*ret_d || g->uhome[i / 64] >> i % 64 & 1);
	return true;
}

static uint8_t base_of(const struct vio *v, const struct gnode *g)
{
	if (g->fresh)
		return LOG_BASE_FRESH;
	return g->base_empty && rule_on(&v->p, baseempty) ? LOG_BASE_EMPTY : LOG_BASE_HOME;
}

/* Records and in-log blocks of one changed group. The views move in gather_done. */
static int gather_group(struct tx *tx, struct gnode *g)
{
	struct log_group lg = { .group = g->no, .base = base_of(tx->v, g), .epoch = g->cur->epoch };
	size_t nblk = tx->nblk;
	struct dblk *d;
	int r;

	if (g->no != 0 && !g->fresh) {
		r = log_seal_group(g->f, g->no, g->cur, NULL);
		if (r < 0)
			return r;
	}
	lg.entries = g->cur->entries;
	if (g->no != 0)
		lg.header = g->cur->header;
	r = grow(&tx->blk, tx->nblk, &tx->blk_max, GROUP_BLOCKS, sizeof(*tx->blk));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < GROUP_BLOCKS && lg.base != LOG_BASE_FRESH; i++) {
		if (!block_record(g, i, &lg.blocks[lg.block_count], &d))
			continue;
		lg.block_count++;
		if (d)
			tx->blk[nblk++] = d;
	}
	r = add_group(tx, &lg);
	if (r < 0)
		return r;
	for (; tx->nblk < nblk; tx->nblk++)
		cache_dblk_ref(tx->blk[tx->nblk]);
	return 0;
}

/* Group 0's header is sealed with the file's new shape, in a gmeta of its own if cur is shared. */
static int gather_file_record(struct tx *tx, struct iofile *f, struct gnode *g0)
{
	struct log_file lf = { .shape = f->cur, .handle = f->handle };
	struct gmeta *m;
	int r;

	if (atomic_load(&g0->cur->refs) > 1) {
		m = cache_meta_dup(g0->cur);
		if (!m)
			return -ENOMEM;
		cache_meta_set(&g0->cur, m);
	}
	g0->fresh = false;
	r = log_seal_group(f, 0, g0->cur, &f->cur);
	if (r < 0)
		return r;
	memcpy(lf.file_id, f->file_id, FILE_ID_LEN);
	lf.header = g0->cur->header;
	return add_file(tx, &lf);
}

/* fl = cur for one group; its U versions are in the log now. */
static void move_group(struct iofile *f, struct gnode *g)
{
	cache_meta_set(&g->fl, cache_meta_ref(g->cur));
	if (g->fresh) {
		cache_meta_set(&g->home, cache_meta_ref(g->cur));
		g->fresh = false;
	}
	for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++) {
		struct dblk *u = cache_dblk_state(g, i, DBLK_U);

		if (!u)
			continue;
		u->state = DBLK_F;
		vio_pend(f->v, -1, 0);
	}
	g->uhome[0] = g->uhome[1] = 0;
	g->base_empty = false;
	g->fl_next = f->fl_list;
	f->fl_list = g;
}

static void gather_done(struct tx *tx, struct iofile *f, struct gnode *g0)
{
	struct gnode *g;
	bool had0 = g0->changed;

	while ((g = f->changed_list)) {
		f->changed_list = g->changed_next;
		g->changed = false;
		vio_pend(f->v, -1, 0);
		if (g->cur)
			move_group(f, g);
		else
			cache_node_free_if_empty(g);
	}
	if (!had0)
		move_group(f, g0);
	f->fl = f->cur;
	f->in_fl = true;
	f->fl_cut = f->cut;
	f->changed = f->cut = false;
	if (f->freed_low != UINT64_MAX && f->freed_seq == UINT64_MAX)
		f->freed_seq = tx->seq;
	f->named_ticket = f->v->ticket_next - 1; /* the batch that runs */
	iofile_ref(f);
	tx->files[tx->nfiles++] = f;
}

/* Where a transaction stood, so that a file whose gathering fails leaves no trace. */
struct mark {
	size_t nparts, nblk;
	uint16_t record_bytes;
	uint32_t data_blocks;
};

static struct mark mark(const struct tx *tx)
{
	struct mark m = { .nparts = tx->nparts, .nblk = tx->nblk };

	if (tx->nparts) {
		m.record_bytes = tx->parts[tx->nparts - 1]->d.record_bytes;
		m.data_blocks = tx->parts[tx->nparts - 1]->d.data_blocks;
	}
	return m;
}

static void roll_back(struct tx *tx, const struct mark *m)
{
	for (; tx->nparts > m->nparts; tx->nparts--) {
		cache_buf_put(tx->v, tx->parts[tx->nparts - 1]->image);
		free(tx->parts[tx->nparts - 1]);
	}
	for (; tx->nblk > m->nblk; tx->nblk--)
		cache_dblk_unref(tx->v, tx->blk[tx->nblk - 1]);
	if (tx->nparts) {
		struct log_desc *d = &tx->parts[tx->nparts - 1]->d;

		memset(d->records + m->record_bytes, 0, sizeof(d->records) - m->record_bytes);
		d->record_bytes = m->record_bytes;
		d->data_blocks = m->data_blocks;
	}
}

int log_tx_gather(struct tx *tx, struct iofile *f)
{
	struct mark at = mark(tx);
	struct gnode *g, *g0;
	int r;

	r = grow(&tx->files, tx->nfiles, &tx->files_max, 1, sizeof(*tx->files));
	if (r < 0)
		return r;
	g0 = NULL;
	if (f->changed) {
		blockio_range_lock(f, 0, 0, false);
		r = blockio_node(f, 0, &g0); /* it may have been evicted: only the size or another group changed */
		blockio_range_unlock(f, 0, 0);
		if (r < 0)
			return r;
	}
	lock_take(&f->m);
	if (f->changed) {
		r = g0 ? gather_file_record(tx, f, g0) : -EAGAIN;
		for (g = f->changed_list; g && r == 0; g = g->changed_next)
			if (g->cur)
				r = gather_group(tx, g);
		if (r == 0) {
			gather_log_file(f, tx->seq);
			gather_done(tx, f, g0);
		} else {
			roll_back(tx, &at);
		}
	}
	lock_drop(&f->m);
	if (g0)
		blockio_node_put(g0);
	return r;
}

/* ---- writing */

uint64_t log_tx_blocks(const struct tx *tx)
{
	return tx->nparts + tx->nblk;
}

int log_tx_seal(struct tx *tx)
{
	struct vio *v = tx->v;
	struct volume_state st;
	uint64_t stamp;
	int r;

	state_get(v->state, &st);
	r = state_stamps(v->state, tx->nparts, &stamp);
	for (size_t i = 0; i < tx->nparts && r == 0; i++) {
		struct log_desc *d = &tx->parts[i]->d;

		memcpy(d->generation, st.generation, GENERATION_LEN);
		d->sequence = tx->seq;
		d->durable = atomic_load(&v->durable);
		d->part = (uint32_t)i;
		d->last = i + 1 == tx->nparts;
		d->stamp = stamp + i;
		r = log_desc_seal(blockcrypt_get(), v->p.ring, d, tx->parts[i]->image);
	}
	return r;
}

/* ---- durable */

static void finish_group(struct iofile *f, struct gnode *g)
{
	cache_meta_set(&g->com, take_ptr(g->fl));
	for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++) {
		uint64_t stamp = cache_entry_stamp(g->com, i);
		struct dblk *b, *next;

		for (b = g->d[i]; b; b = next) {
			next = b->next;
			if (b->state == DBLK_F)
				b->state = DBLK_C;
			if (b->state == DBLK_C && b->stamp != stamp) {
				cache_dblk_drop(g, i, b);
				if (!g->d)
					break;
			}
		}
	}
	if (g->com != g->home || g->d)
		cache_node_mark_home(g);
	cache_node_touch(g);
	(void)f;
}

/* Groups that the commit cut: the newest durable commit has them no more. */
static void finish_cut(struct iofile *f)
{
	for (unsigned n = 0; n < f->tab_size; n++) {
		struct gnode *g, *next;

		for (g = f->tab[n]; g; g = next) {
			next = g->hash_next;
			if (!g->com || group_exists(&f->com, g->no))
				continue;
			cache_meta_set(&g->com, NULL);
			cache_meta_set(&g->home, NULL);
			for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++) {
				struct dblk *c = cache_dblk_state(g, i, DBLK_C);

				if (c)
					cache_dblk_drop(g, i, c);
			}
			cache_node_free_if_empty(g);
		}
	}
	f->giveback = true;
}

static void finish_file(struct iofile *f, uint64_t seq)
{
	struct gnode *g;

	WITH_LOCK(&f->m);
	while ((g = f->fl_list)) {
		f->fl_list = g->fl_next;
		finish_group(f, g);
	}
	f->com = f->fl;
	f->com_seq = seq;
	f->in_com = true;
	f->in_fl = false;
	if (f->fl_cut)
		finish_cut(f);
	f->fl_cut = false;
	iofile_mark_home(f);
}

void log_tx_finish(struct tx *tx)
{
	for (size_t i = 0; i < tx->nfiles; i++)
		finish_file(tx->files[i], tx->seq);
}
