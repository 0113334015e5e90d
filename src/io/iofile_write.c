/* iofile_write.c: writing (steps 1 and 1b of the crash table in blockio.c).
 *
 * A request is sealed block by block and then becomes visible at once, under f->m. A block goes
 *   - straight home (1b) in a request of VIO_BULK_MIN or more, if no view names it and no unvouched commit freed it; a new group goes with its
 *     metadata block (fresh) if the request has its beginning, so that all is one write and its commit needs one record;
 *   - else into the dirty table (1), and with the next commit into the log.
 * Under way, the shape lock (read) keeps truncates out, range locks keep other users of these groups out, and the commit may gather at any time: it sees
 * cur without this request. */
#include "io/shape.h"
#include "io/vio_impl.h"

#include <string.h>

#define WRITE_GROUPS 4
#define WRITE_BLOCKS (VIO_WRITE_MAX / BLOCK_SIZE + 1)
#define FILL_STEP 512u
#define EDGE_AT (VIO_SCRATCH_LEN - BLOCK_SIZE) /* of the scratch: behind all ciphertext of a request */

struct wr {
	struct iofile *f;
	const uint8_t *src;
	uint64_t off, end;               /* plain bytes */
	uint64_t first, last;            /* blocks */
	uint32_t g0, ngroups;
	struct gnode *g[WRITE_GROUPS];   /* pinned; NULL: the group does not exist in cur */
	struct gmeta *fresh[WRITE_GROUPS];
	struct gmeta *meta[WRITE_GROUPS]; /* what cur becomes, if it is neither fresh nor cur's own */
	bool home[WRITE_BLOCKS];
	struct dblk *d[WRITE_BLOCKS];    /* sealed, for the dirty table */
	struct entry e[WRITE_BLOCKS];
	uint64_t base;                   /* lower offset of scratch[0] */
	uint8_t *scratch;                /* ciphertext that goes home, laid out as at home */
	uint16_t epoch;                  /* of new groups */
};

static uint8_t *home_place(const struct wr *w, uint64_t lower_off)
{
	return w->scratch + (lower_off - w->base);
}

static uint16_t group_epoch(const struct wr *w, unsigned k)
{
	return w->g[k] ? w->g[k]->cur->epoch : w->epoch;
}

/* ---- where each block goes. lock: f->m */

/* L2: may block i of group k be written home before its commit? */
static bool is_new_space(const struct wr *w, unsigned k, uint64_t b)
{
	const struct iofile *f = w->f;
	const struct vio *v = f->v;
	const struct gnode *g = w->g[k] ? w->g[k] : cache_node_find(w->f, w->g0 + k);
	unsigned i = layout_index_of_block(b);

	if (rule_on(&v->p, freed) && iofile_is_freed(f, b, b))
		return false;
	if (g && !g->com && f->in_com && group_exists(&f->com, g->no))
		return false; /* a group that was punched whole without being read */
	if (g && g->com && !cache_entry_is_hole(g->com, i))
		return false;
	if (g && cache_dblk_state(g, i, DBLK_C))
		return false;
	if (!rule_on(&v->p, freeze))
		return true;
	if (g && g->fl && !cache_entry_is_hole(g->fl, i))
		return false;
	if (!g && ((f->in_com && group_exists(&f->com, w->g0 + k)) || (f->in_fl && group_exists(&f->fl, w->g0 + k))))
		return false;
	return !g || !g->cur || cache_entry_is_hole(g->cur, i);
}

/* May the metadata block of group k be written home before its commit? Only group's that no view has, and never group 0's. */
static bool is_new_group(const struct wr *w, unsigned k)
{
	const struct iofile *f = w->f;
	uint32_t no = w->g0 + k;

	if (no == 0 && rule_on(&f->v->p, meta0))
		return false;
	if (no == 0)
		return !f->in_com || !f->in_fl;
	return !w->g[k] && !cache_node_find(w->f, no) && !(f->in_com && group_exists(&f->com, no)) &&
	       !(f->in_fl && group_exists(&f->fl, no));
}

/* Does the request have group k from its first block on? What is behind its end are holes then, if the group is new. */
static bool begins_group(const struct wr *w, unsigned k)
{
	return w->off <= (uint64_t)(w->g0 + k) * GROUP_PLAIN;
}

static int route(struct wr *w, bool bulk)
{
	struct iofile *f = w->f;
	bool whole_reserve = reserve_is_whole(f->v->reserve);
	bool fresh[WRITE_GROUPS] = { false };

	WITH_LOCK(&f->m);
	for (uint64_t b = w->first; b <= w->last; b++) {
		unsigned k = layout_group_of_block(b) - w->g0, i = layout_index_of_block(b);
		bool hole = !w->g[k] || cache_entry_is_hole(w->g[k]->cur, i);

		if (hole && !whole_reserve && !iofile_is_ahead(f, b))
			return -ENOSPC;
		w->home[b - w->first] = bulk && is_new_space(w, k, b);
		if (i == 0)
			fresh[k] = bulk && begins_group(w, k) && is_new_group(w, k);
		fresh[k] = fresh[k] && w->home[b - w->first];
	}
	for (unsigned k = 0; k < w->ngroups; k++) {
		if (!fresh[k])
			continue;
		w->fresh[k] = cache_meta_new(w->epoch);
		if (!w->fresh[k])
			return -ENOMEM;
	}
	return 0;
}

/* ---- sealing */

/* The plain text of block b: from the caller, or an edge merged with what is there. */
static int plain_of(struct wr *w, uint64_t b, uint8_t *edge, const uint8_t **ret_p)
{
	uint64_t lo = b * BLOCK_SIZE, from = w->off > lo ? w->off : lo;
	uint64_t to = w->end < lo + BLOCK_SIZE ? w->end : lo + BLOCK_SIZE;
	unsigned k = layout_group_of_block(b) - w->g0;
	int r = 0;

	if (to - from == BLOCK_SIZE) {
		*ret_p = w->src + (lo - w->off);
		return 0;
	}
	if (w->g[k])
		r = blockio_block(w->f, w->g[k], layout_index_of_block(b), edge);
	else
		memset(edge, 0, BLOCK_SIZE);
	if (r < 0)
		return r;
	memcpy(edge + (from - lo), w->src + (from - w->off), to - from);
	*ret_p = edge;
	return 0;
}

static int seal_block(struct wr *w, uint64_t b, uint64_t stamp, uint8_t *edge)
{
	struct iofile *f = w->f;
	unsigned k = layout_group_of_block(b) - w->g0;
	struct block_pos pos = { f->file_id, b, stamp, group_epoch(w, k) };
	struct entry *e = &w->e[b - w->first];
	const struct file_keys *keys;
	struct file_keys own;
	const uint8_t *plain;
	uint8_t *to;
	int r;

	r = plain_of(w, b, edge, &plain);
	if (r < 0)
		return r;
	if (w->home[b - w->first]) {
		to = home_place(w, layout_block_off(b));
	} else {
		w->d[b - w->first] = cache_dblk_new(f->v);
		if (!w->d[b - w->first])
			return -ENOMEM;
		w->d[b - w->first]->stamp = stamp;
		to = w->d[b - w->first]->buf;
	}
	r = iofile_keys(f, pos.epoch, &own, &keys);
	if (r < 0)
		return r;
	e->stamp = stamp;
	r = blockcrypt_seal(blockcrypt_get(), keys, &pos, plain, to, e->tag, &e->sum);
	if (keys == &own)
		keys_wipe(&own);
	if (r == 0 && w->fresh[k])
		cache_entry_set(w->fresh[k], layout_index_of_block(b), e);
	return r;
}

_Static_assert((WRITE_BLOCKS + WRITE_GROUPS) * BLOCK_SIZE <= EDGE_AT, "a request's ciphertext and its edge fit the scratch");

static int seal_all(struct wr *w)
{
	uint8_t *edge = w->scratch + EDGE_AT;
	uint64_t stamp;
	int r;

	if (!blockcrypt_get())
		return -ENOMEM;
	r = state_stamps(w->f->v->state, w->last - w->first + 1, &stamp);
	if (r < 0)
		return r;
	for (uint64_t b = w->first; b <= w->last; b++) {
		r = seal_block(w, b, stamp + (b - w->first), edge);
		if (r < 0)
			return r;
	}
	for (unsigned k = 0; k < w->ngroups; k++) {
		if (!w->fresh[k])
			continue;
		r = log_seal_group(w->f, w->g0 + k, w->fresh[k], w->g0 + k ? NULL : &w->f->cur);
		if (r < 0)
			return r;
		log_meta_image(w->f, w->g0 + k, w->fresh[k], w->g0 + k ? NULL : &w->f->cur,
			       home_place(w, layout_group_off(w->g0 + k)));
	}
	return 0;
}

/* ---- home */

static int write_run(struct wr *w, uint64_t off, uint64_t end)
{
	struct vio *v = w->f->v;
	struct iovec iov = { home_place(w, off), end - off };
	ssize_t n;
	int fd, r;

	r = iofile_fd(w->f, end - off >= VIO_BULK_MIN, &fd);
	if (r < 0)
		return r;
	n = v->l->ops->pwritev(v->l, fd, &iov, 1, off, false);
	if (n >= 0)
		iofile_note_home(w->f, off, end - off); /* before the descriptor may be closed */
	iofile_fd_put(w->f);
	return n < 0 ? (int)n : 0;
}

static int write_home(struct wr *w)
{
	uint64_t run = 0, end = 0;
	int r;

	for (uint64_t b = w->first; b <= w->last; b++) {
		unsigned k = layout_group_of_block(b) - w->g0;
		uint64_t off = layout_block_off(b);

		if (!w->home[b - w->first])
			continue;
		if (layout_index_of_block(b) == 0 && w->fresh[k])
			off -= BLOCK_SIZE;
		if (off != end) {
			r = end ? write_run(w, run, end) : 0;
			if (r < 0)
				return r;
			run = off;
		}
		end = layout_block_off(b) + BLOCK_SIZE;
	}
	return end ? write_run(w, run, end) : 0;
}

/* ---- taking effect. lock: f->m. First all that can fail, for each group, then all that changes something */

/* Free what is there for versions of blocks when there are none. */
static void trim_versions(struct gnode *g)
{
	if (g->ndblk > 0)
		return;
	free(g->d);
	g->d = NULL;
}

static int prepare_group(struct wr *w, unsigned k)
{
	struct gnode *g = cache_node_find(w->f, w->g0 + k);
	int r;

	if (!g) {
		r = cache_node_add(w->f, w->g0 + k, &g);
		if (r < 0)
			return r;
	}
	if (!g->cur && !w->fresh[k])
		w->meta[k] = cache_meta_new(w->epoch);
	else if (g->cur && atomic_load(&g->cur->refs) > 1)
		w->meta[k] = cache_meta_dup(g->cur);
	if (!w->meta[k] && (g->cur ? atomic_load(&g->cur->refs) > 1 : !w->fresh[k]))
		return -ENOMEM;
	if (!g->d)
		g->d = calloc(GROUP_BLOCKS, sizeof(*g->d));
	return g->d ? 0 : -ENOMEM;
}

static int prepare_groups(struct wr *w)
{
	unsigned k = 0;
	int r = 0;

	while (k < w->ngroups && r == 0)
		r = prepare_group(w, k++);
	while (r < 0 && k-- > 0) {
		struct gnode *g = cache_node_find(w->f, w->g0 + k);

		if (g) {
			trim_versions(g);
			cache_node_free_if_empty(g);
		}
	}
	return r;
}

static void apply_group(struct wr *w, unsigned k)
{
	struct gnode *g = cache_node_find(w->f, w->g0 + k);

	if (!g->cur) {
		g->cur = w->fresh[k] ? cache_meta_ref(w->fresh[k]) : take_ptr(w->meta[k]);
		g->base_empty = true;
		g->fresh = w->fresh[k] != NULL;
		g->uhome[0] = g->uhome[1] = 0;
	} else {
		if (w->meta[k])
			cache_meta_set(&g->cur, take_ptr(w->meta[k]));
		g->fresh = false;
	}
	cache_node_mark_changed(g);
}

static void apply_block(struct wr *w, uint64_t b)
{
	unsigned k = layout_group_of_block(b) - w->g0, i = layout_index_of_block(b);
	struct gnode *g = cache_node_find(w->f, w->g0 + k);
	struct dblk *old = cache_dblk_state(g, i, DBLK_U);

	if (old) {
		/* keep g->d: the count must not fall to zero here */
		g->ndblk++;
		cache_dblk_drop(g, i, old);
		g->ndblk--;
	}
	if (!g->fresh)
		cache_entry_set(g->cur, i, &w->e[b - w->first]);
	if (w->home[b - w->first]) {
		g->uhome[i / 64] |= 1ull << i % 64;
		return;
	}
	g->uhome[i / 64] &= ~(1ull << i % 64);
	vio_pend(w->f->v, 1, 0);
	w->d[b - w->first]->next = g->d[i];
	g->d[i] = take_ptr(w->d[b - w->first]);
	g->ndblk++;
}

static int apply(struct wr *w)
{
	struct iofile *f = w->f;
	int r;

	WITH_LOCK(&f->m);
	r = prepare_groups(w);
	if (r < 0)
		return r;
	for (unsigned k = 0; k < w->ngroups; k++)
		apply_group(w, k);
	for (uint64_t b = w->first; b <= w->last; b++)
		apply_block(w, b);
	for (unsigned k = 0; k < w->ngroups; k++)
		trim_versions(cache_node_find(f, w->g0 + k));
	shape_add(&f->cur, w->g0, w->g0 + w->ngroups - 1);
	if (w->end > f->cur.size)
		f->cur.size = w->end;
	iofile_mark_dirty(f);
	return 0;
}

static int write_locked(struct wr *w, bool bulk)
{
	struct iofile *f = w->f;
	bool exists;
	int r;

	for (unsigned k = 0; k < w->ngroups; k++) {
		lock_take(&f->m);
		exists = group_exists(&f->cur, w->g0 + k);
		lock_drop(&f->m);
		r = exists ? blockio_node(f, w->g0 + k, &w->g[k]) : 0;
		if (r < 0)
			return r;
	}
	r = route(w, bulk);
	if (r < 0)
		return r;
	r = seal_all(w);
	if (r < 0)
		return r;
	r = write_home(w);
	if (r < 0)
		return r;
	return apply(w);
}

static void wr_done(struct wr *w)
{
	for (unsigned k = 0; k < w->ngroups; k++) {
		cache_meta_unref(w->fresh[k]);
		cache_meta_unref(w->meta[k]);
		if (w->g[k])
			blockio_node_put(w->g[k]);
	}
	for (uint64_t b = w->first; b <= w->last; b++)
		cache_dblk_unref(w->f->v, w->d[b - w->first]);
}

/* ---- gaps */

/* lock: f->m */
static int fill_group(struct iofile *f, uint32_t no)
{
	struct gnode *g = cache_node_find(f, no);
	int r;

	if (!g) {
		r = cache_node_add(f, no, &g);
		if (r < 0)
			return r;
	}
	g->cur = cache_meta_new(f->keys_epoch);
	if (!g->cur) {
		cache_node_free_if_empty(g);
		return -ENOMEM;
	}
	g->base_empty = true;
	g->uhome[0] = g->uhome[1] = 0;
	cache_node_mark_changed(g);
	shape_add(&f->cur, no, no);
	return 0;
}

/* Fill the smallest gap, at most FILL_STEP groups of it, with groups of holes. Shape lock held for writing. */
static int fill_gap(struct iofile *f)
{
	struct gap gap;
	uint32_t n, done = 0;
	int r = 0;

	WITH_LOCK(&f->m);
	gap = shape_smallest_gap(&f->cur);
	n = gap.count < FILL_STEP ? gap.count : FILL_STEP;
	while (done < n && r == 0) {
		r = fill_group(f, gap.first + done);
		done += r == 0;
	}
	if (done > 0)
		iofile_mark_dirty(f);
	return r;
}

static void groups_of(uint64_t off, size_t len, uint32_t *ret_first, uint32_t *ret_last)
{
	*ret_first = layout_group_of_block(off / BLOCK_SIZE);
	*ret_last = layout_group_of_block((off + len - 1) / BLOCK_SIZE);
}

/* For reading, if the request can never need a gap more than there may be, whatever else is under way. */
static bool claim_shape(struct iofile *f, size_t len, uint64_t off)
{
	uint32_t first, last;
	bool ok;

	groups_of(off, len, &first, &last);
	pthread_rwlock_rdlock(&f->shape_lock);
	lock_take(&f->m);
	ok = shape_gaps_after(&f->cur, first, last) + f->claims < GAPS_MAX;
	f->claims += ok;
	lock_drop(&f->m);
	if (!ok)
		pthread_rwlock_unlock(&f->shape_lock);
	return ok;
}

/* Reserve room for a request, then take the shape lock: for reading if it may be, else for writing, after the gaps it needs are free. *ret_off: where
 * it goes. Room is had in one piece: who held some and waited for more would wait for others that do the same. */
static int lock_shape(struct iofile *f, size_t len, uint64_t off, bool append, uint64_t need, bool *ret_claimed, uint64_t *ret_off)
{
	struct vio *v = f->v;
	uint32_t first, last;
	int r;

	r = vio_reserve(v, need);
	if (r < 0)
		return r;
	*ret_off = off;
	*ret_claimed = !append && claim_shape(f, len, off);
	if (*ret_claimed)
		return 0;
	vio_unreserve(v, need);
	for (;;) {
		r = vio_reserve(v, need + FILL_STEP);
		if (r < 0)
			return r;
		pthread_rwlock_wrlock(&f->shape_lock);
		if (append)
			*ret_off = f->cur.size;
		groups_of(*ret_off, len, &first, &last);
		if (shape_gaps_after(&f->cur, first, last) <= GAPS_MAX) {
			vio_unreserve(v, FILL_STEP);
			return 0;
		}
		r = fill_gap(f);
		pthread_rwlock_unlock(&f->shape_lock);
		vio_unreserve(v, need + FILL_STEP);
		if (r < 0)
			return r;
		cache_trim(v, 2 * FILL_STEP); /* what earlier steps made is home by now */
	}
}

/* A bulk write that meets space freed by a commit nothing vouches for yet: commit the cut and store the state, once, so that the data need not go
 * through the log. */
static int vouch_for_cuts(struct iofile *f, uint64_t first_block, uint64_t last_block)
{
	struct vio *v = f->v;
	bool wait;
	int r;

	lock_take(&f->m);
	wait = iofile_is_freed(f, first_block, last_block);
	lock_drop(&f->m);
	if (!wait || !rule_on(&v->p, freed))
		return 0;
	r = log_commit(v, f);
	return r < 0 ? r : checkpoint_vouch(v);
}

static int prepare(struct iofile *f, bool bulk, uint64_t off, uint64_t end)
{
	int r;

	lock_take(&f->m);
	r = iofile_assign_id(f);
	lock_drop(&f->m);
	if (r < 0 || !bulk)
		return r;
	if (end > GROUP_PLAIN && !f->header_durable) {
		r = iofile_ident(f, true);
		if (r < 0)
			return r;
	}
	return vouch_for_cuts(f, off / BLOCK_SIZE, (end - 1) / BLOCK_SIZE);
}

static ssize_t write_some(struct iofile *f, const uint8_t *buf, size_t len, uint64_t off, bool append)
{
	struct wr w = { .f = f, .src = buf, .epoch = key_ring_newest(f->v->p.ring) };
	uint64_t need = len / BLOCK_SIZE + 2 + WRITE_GROUPS;
	bool bulk = len >= VIO_BULK_MIN, claimed;
	int r;

	w.scratch = vio_scratch(f->v);
	if (!w.scratch)
		return -ENOMEM;
	r = prepare(f, bulk, off, off + len);
	if (r < 0)
		return r;
	r = lock_shape(f, len, off, append, need, &claimed, &w.off);
	if (r < 0)
		return r;
	w.end = w.off + len;
	if (append && w.end > GROUP_PLAIN && !f->header_durable)
		bulk = false; /* others have moved the end on since prepare (L7) */
	w.first = w.off / BLOCK_SIZE;
	w.last = (w.end - 1) / BLOCK_SIZE;
	w.g0 = layout_group_of_block(w.first);
	w.ngroups = layout_group_of_block(w.last) - w.g0 + 1;
	w.base = layout_index_of_block(w.first) ? layout_block_off(w.first) : layout_group_off(w.g0);
	if (bulk)
		iofile_extend(f, w.first, w.last);
	blockio_range_lock(f, w.g0, w.g0 + w.ngroups - 1, true);
	r = write_locked(&w, bulk);
	wr_done(&w);
	blockio_range_unlock(f, w.g0, w.g0 + w.ngroups - 1);
	if (claimed) {
		lock_take(&f->m);
		f->claims--;
		lock_drop(&f->m);
	}
	pthread_rwlock_unlock(&f->shape_lock);
	vio_unreserve(f->v, need);
	return r < 0 ? r : (ssize_t)len;
}

ssize_t iofile_write(struct iofile *f, const void *buf, size_t len, uint64_t off, bool append)
{
	ssize_t n;

	if (len == 0)
		return 0;
	if (len > VIO_WRITE_MAX)
		return -EINVAL;
	if (append)
		off = iofile_size(f); /* for the limits; the place is taken under the lock */
	if (off > FILE_SIZE_MAX - VIO_WRITE_MAX || off + len > FILE_SIZE_MAX - VIO_WRITE_MAX)
		return -EFBIG;
	if (vio_is_read_only(f->v))
		return -EROFS;
	n = write_some(f, buf, len, off, append);
	cache_trim(f->v, CACHE_TRIM_STEP);
	if (n > 0)
		atomic_fetch_add(&f->v->write_bytes, (uint64_t)n);
	return n;
}
