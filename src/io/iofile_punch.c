/* iofile_punch.c: ranges become zero: punching a hole and zeroing (L6). A record like any other: whole blocks become holes of cur, the blocks at the edges get a
 * new version with zeros in it, and nothing below changes before the checkpoint, which gives the lower space back (checkpoint_space.c) unless it is to
 * be kept.
 *
 * A group that lies in the range whole becomes a new one of holes that does not build on what is committed (base EMPTY), so it need not be read. Groups that do not
 * exist are holes already; so the work follows from what the file has, not from the length of the range.
 *
 * A request over few groups is one step, with their range locks. A longer one goes in steps of PUNCH_STEP groups that exist, each with the shape lock held for
 * writing, and brings to rest what it did now and then, so that neither the log nor memory fills up. Each step is atomic: a crash shows all of it or nothing. */
#include "io/shape.h"
#include "io/vio_impl.h"

#include <fcntl.h>
#include <string.h>

#define PUNCH_STEP 64u           /* groups: 32 MiB */
#define PUNCH_FEW 4u             /* groups whose range locks can be had together */
#define PUNCH_REST 4096u         /* groups changed before a checkpoint: each holds its metadata in memory until then */

/* One group in a step. */
struct part {
	uint32_t no;
	unsigned first, end;             /* its blocks that become holes */
	struct gnode *g;                 /* pinned; NULL: whole, and not in memory */
	struct gmeta *empty;             /* whole: what cur becomes */
	bool changes;
};

/* A block of which a part becomes zero. */
struct edge {
	uint32_t no;
	unsigned index;
	struct dblk *b;
	struct entry e;
};

struct punch {
	struct iofile *f;
	uint64_t off, end;               /* plain bytes */
	uint64_t grow;                   /* the size becomes at least this; 0: it stays */
	bool give_back;
	struct part part[PUNCH_STEP];
	unsigned n;
	struct edge edge[2];
	unsigned edges;
	uint64_t freed;                  /* blocks that were not holes, or may not have been */
};

/* ---- shared with truncate */

int iofile_seal_zeroed(struct iofile *f, struct gnode *g, unsigned i, size_t from, size_t to, struct dblk **ret_b,
		       struct entry *ret_e)
{
	uint8_t plain[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	uint64_t block = (uint64_t)g->no * GROUP_BLOCKS + i, stamp;
	const struct file_keys *keys;
	struct file_keys own;
	struct dblk *b;
	uint16_t epoch;
	int r;

	lock_take(&f->m);
	epoch = g->cur->epoch;
	lock_drop(&f->m);
	r = blockio_block(f, g, i, plain);
	if (r < 0)
		return r;
	memset(plain + from, 0, to - from);
	r = state_stamps(f->v->state, 1, &stamp);
	if (r < 0)
		return r;
	r = iofile_keys(f, epoch, &own, &keys);
	if (r < 0)
		return r;
	b = cache_dblk_new(f->v);
	r = b ? blockcrypt_seal(blockcrypt_get(), keys, &(struct block_pos){ f->file_id, block, stamp, epoch }, plain,
				b->buf, ret_e->tag, &ret_e->sum) : -ENOMEM;
	secret_wipe(plain, sizeof(plain));
	if (keys == &own)
		keys_wipe(&own);
	if (r < 0) {
		cache_dblk_unref(f->v, b);
		return r;
	}
	ret_e->stamp = b->stamp = stamp;
	*ret_b = b;
	return 0;
}

void iofile_put_version(struct gnode *g, unsigned i, struct dblk **b, const struct entry *e)
{
	struct dblk *old = cache_dblk_state(g, i, DBLK_U);

	if (old) {
		g->ndblk++; /* keep g->d */
		cache_dblk_drop(g, i, old);
		g->ndblk--;
	}
	cache_entry_set(g->cur, i, e);
	g->uhome[i / 64] &= ~(1ull << i % 64);
	vio_pend(g->f->v, 1, 0);
	(*b)->next = g->d[i];
	g->d[i] = take_ptr(*b);
	g->ndblk++;
}

void iofile_forget_block(struct gnode *g, unsigned i, bool whole)
{
	struct dblk *u = cache_dblk_state(g, i, DBLK_U);

	if (!whole)
		cache_entry_set(g->cur, i, NULL);
	if (u)
		cache_dblk_drop(g, i, u);
	g->uhome[i / 64] &= ~(1ull << i % 64);
}

void iofile_note_freed(struct iofile *f, uint64_t first, uint64_t end)
{
	bool vouched = f->freed_seq <= atomic_load(&f->v->vouched);

	if (vouched || first < f->freed_low)
		f->freed_low = first;
	if (vouched || end > f->freed_end)
		f->freed_end = end;
	f->freed_seq = UINT64_MAX;
}

bool iofile_is_freed(const struct iofile *f, uint64_t first, uint64_t last)
{
	return last >= f->freed_low && first < f->freed_end && f->freed_seq > atomic_load(&f->v->vouched);
}

/* ---- preparing a step: everything that can fail. Range or shape lock held */

/* The blocks of group no that become holes; false: it is not whole. */
static bool blocks_of(const struct punch *p, uint32_t no, unsigned *ret_first, unsigned *ret_end)
{
	uint64_t lo = (uint64_t)no * GROUP_BLOCKS, hi = lo + GROUP_BLOCKS;
	uint64_t first = (p->off + BLOCK_SIZE - 1) / BLOCK_SIZE, end = p->end / BLOCK_SIZE;

	first = first < lo ? lo : first > hi ? hi : first;
	end = end < first ? first : end > hi ? hi : end;
	*ret_first = (unsigned)(first - lo);
	*ret_end = (unsigned)(end - lo);
	return first == lo && end == hi;
}

static int seal_edge(struct punch *p, struct part *t, uint64_t block)
{
	uint64_t lo = block * BLOCK_SIZE, from = p->off > lo ? p->off - lo : 0;
	uint64_t to = p->end < lo + BLOCK_SIZE ? p->end - lo : BLOCK_SIZE;
	struct edge *e = &p->edge[p->edges];
	unsigned i = layout_index_of_block(block);
	bool hole;
	int r;

	if (layout_group_of_block(block) != t->no || to <= from || to - from == BLOCK_SIZE)
		return 0;
	lock_take(&p->f->m);
	hole = cache_entry_is_hole(t->g->cur, i);
	lock_drop(&p->f->m);
	if (hole)
		return 0;
	r = iofile_seal_zeroed(p->f, t->g, i, from, to, &e->b, &e->e);
	if (r < 0)
		return r;
	e->no = t->no;
	e->index = i;
	p->edges++;
	t->changes = true;
	return 0;
}

/* Is one of the part's blocks not a hole? lock: f->m, because a commit may replace group 0's cur by an equal one */
static bool has_data(const struct part *t)
{
	unsigned i = t->first;

	while (i < t->end && cache_entry_is_hole(t->g->cur, i))
		i++;
	return i < t->end;
}

static int prepare_whole(struct iofile *f, struct part *t)
{
	lock_take(&f->m);
	t->g = cache_node_find(f, t->no);
	if (t->g && !t->g->cur)
		t->g = NULL;
	t->changes = !t->g || has_data(t);
	if (t->g) {
		t->g->pins++;
		cache_node_touch(t->g);
	}
	lock_drop(&f->m);
	t->empty = t->changes ? cache_meta_new(key_ring_newest(f->v->p.ring)) : NULL;
	return t->changes && !t->empty ? -ENOMEM : 0;
}

static int prepare_part(struct punch *p, struct part *t)
{
	struct iofile *f = p->f;
	int r;

	if (blocks_of(p, t->no, &t->first, &t->end))
		return prepare_whole(f, t);
	r = blockio_node(f, t->no, &t->g);
	if (r < 0)
		return r;
	lock_take(&f->m);
	t->changes = has_data(t);
	lock_drop(&f->m);
	r = seal_edge(p, t, p->off / BLOCK_SIZE);
	if (r == 0 && (p->end - 1) / BLOCK_SIZE != p->off / BLOCK_SIZE)
		r = seal_edge(p, t, (p->end - 1) / BLOCK_SIZE);
	return r;
}

/* The next groups that exist, at most max and none behind last. Returns where the next step begins. */
static uint64_t collect(struct punch *p, uint64_t from, uint32_t last, unsigned max)
{
	WITH_LOCK(&p->f->m);

	p->n = p->edges = 0;
	while (p->n < max && from <= last) {
		uint32_t no = shape_next(&p->f->cur, (uint32_t)from);

		if (no > last)
			return (uint64_t)last + 1;
		p->part[p->n++] = (struct part){ .no = no };
		from = (uint64_t)no + 1;
	}
	return from;
}

/* ---- taking effect. lock: f->m */

/* Private cur, a node, room for versions: what apply needs so that it cannot fail. */
static int own_all(struct punch *p)
{
	struct gnode *g;
	int r = 0;

	for (unsigned k = 0; k < p->n && r == 0; k++) {
		struct part *t = &p->part[k];

		g = cache_node_find(p->f, t->no);
		if (t->changes && !g)
			r = cache_node_add(p->f, t->no, &g); /* without a view, if the step fails: like one that is cut */
		if (t->changes && r == 0 && !t->empty)
			r = cache_node_own(t->g);
	}
	for (unsigned k = 0; k < p->edges && r == 0; k++) {
		g = cache_node_find(p->f, p->edge[k].no);
		if (!g->d)
			g->d = calloc(GROUP_BLOCKS, sizeof(*g->d));
		r = g->d ? 0 : -ENOMEM;
	}
	return r;
}

static void drop_empty_nodes(struct punch *p)
{
	for (unsigned k = 0; k < p->n; k++) {
		struct gnode *g = cache_node_find(p->f, p->part[k].no);

		if (g && g->d && g->ndblk == 0) {
			free(g->d);
			g->d = NULL;
		}
		if (g)
			cache_node_free_if_empty(g);
	}
}

static void apply_part(struct punch *p, struct part *t)
{
	struct gnode *g = cache_node_find(p->f, t->no);
	uint64_t lo = (uint64_t)t->no * GROUP_BLOCKS;

	for (unsigned i = t->first; i < t->end && t->changes; i++) {
		p->freed += !g->cur || !cache_entry_is_hole(g->cur, i);
		iofile_forget_block(g, i, t->empty);
	}
	if (t->empty) {
		cache_meta_set(&g->cur, take_ptr(t->empty));
		g->base_empty = true;
		g->fresh = false;
	}
	if (t->changes)
		cache_node_mark_changed(g);
	if (t->end == t->first)
		return;
	if (t->changes)
		iofile_note_freed(p->f, lo + t->first, lo + t->end);
	if (!p->give_back)
		return;
	iofile_forget_ahead(p->f, lo + t->first, lo + t->end);
	for (unsigned i = t->first; i < t->end; i++)
		g->freed[i / 64] |= 1ull << i % 64;
	p->f->punched = true;
	cache_node_touch(g); /* out of the LRU until the checkpoint has been by */
}

static int apply(struct punch *p)
{
	struct iofile *f = p->f;
	bool dirty;
	int r = 0;

	WITH_LOCK(&f->m);
	dirty = p->grow > f->cur.size;
	if (dirty)
		r = iofile_assign_id(f);
	if (r == 0)
		r = own_all(p);
	if (r < 0) {
		drop_empty_nodes(p);
		return r;
	}
	for (unsigned k = 0; k < p->edges; k++) /* first: they keep g->d */
		iofile_put_version(cache_node_find(f, p->edge[k].no), p->edge[k].index, &p->edge[k].b, &p->edge[k].e);
	for (unsigned k = 0; k < p->n; k++) {
		dirty = dirty || p->part[k].changes;
		apply_part(p, &p->part[k]);
	}
	if (p->grow > f->cur.size)
		f->cur.size = p->grow;
	if (dirty)
		iofile_mark_dirty(f);
	if (f->punched)
		iofile_mark_home(f);
	return 0;
}

static int step_locked(struct punch *p)
{
	int r = 0;

	for (unsigned k = 0; k < p->n && r == 0; k++)
		r = prepare_part(p, &p->part[k]);
	if (r == 0)
		r = apply(p);
	for (unsigned k = 0; k < p->n; k++) {
		cache_meta_unref(p->part[k].empty);
		if (p->part[k].g)
			blockio_node_put(p->part[k].g);
	}
	for (unsigned k = 0; k < p->edges; k++)
		cache_dblk_unref(p->f->v, p->edge[k].b);
	return r;
}

/* ---- the request */

/* What lies behind the size is zero: the last block goes whole. */
static void round_end(struct punch *p)
{
	WITH_LOCK(&p->f->m);

	if (p->end >= p->f->cur.size && p->grow == 0)
		p->end = (p->end + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
}

#if COFFER_TEST_HOOKS
/* The rule "cutlate" switched off: the space goes at once. */
static void punch_now(struct punch *p)
{
	struct lower *l = p->f->v->l;
	int fd;

	if (rule_on(&p->f->v->p, cutlate) || iofile_fd(p->f, false, &fd) < 0)
		return;
	for (unsigned k = 0; k < p->n; k++)
		if (p->part[k].end > p->part[k].first)
			(void)l->ops->fallocate(l, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						layout_group_off(p->part[k].no) + (1 + p->part[k].first) * (uint64_t)BLOCK_SIZE,
						(p->part[k].end - p->part[k].first) * (uint64_t)BLOCK_SIZE);
	iofile_fd_put(p->f);
}
#else
static void punch_now(struct punch *p)
{
	(void)p;
}
#endif

/* One step from group *at on, which moves. */
static int step(struct punch *p, uint64_t *at, uint32_t last)
{
	struct iofile *f = p->f;
	uint32_t first = (uint32_t)*at;
	bool few = last - first < PUNCH_FEW;
	uint64_t end = p->end, grow = p->grow, need = (few ? PUNCH_FEW : PUNCH_STEP) + 4;
	int r;

	r = vio_reserve(f->v, need);
	if (r < 0)
		return r;
	if (few) {
		pthread_rwlock_rdlock(&f->shape_lock);
		blockio_range_lock(f, first, last, true);
	} else {
		pthread_rwlock_wrlock(&f->shape_lock);
	}
	*at = collect(p, *at, last, PUNCH_STEP);
	if (*at <= last)
		p->grow = 0; /* with the last step */
	else
		round_end(p);
	r = step_locked(p);
	if (r == 0)
		punch_now(p);
	if (few)
		blockio_range_unlock(f, first, last);
	pthread_rwlock_unlock(&f->shape_lock);
	vio_unreserve(f->v, need);
	p->end = end;
	p->grow = grow;
	return r;
}

int iofile_punch(struct iofile *f, uint64_t off, uint64_t len, unsigned flags, uint64_t *ret_freed)
{
	struct punch *p;
	uint64_t at, rest = 0;
	uint32_t last;
	int r = 0;

	if (len == 0 || off > UINT64_MAX - len)
		return -EINVAL;
	if (vio_is_read_only(f->v))
		return -EROFS;
	if (!(flags & IOFILE_KEEP_SIZE) && off + len > FILE_SIZE_MAX - VIO_WRITE_MAX)
		return -EFBIG;
	*ret_freed = 0;
	if (off >= FILE_SIZE_MAX)
		return 0;
	if (!blockcrypt_get())
		return -ENOMEM;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->f = f;
	p->off = off;
	p->end = off + len < FILE_SIZE_MAX ? off + len : FILE_SIZE_MAX;
	p->grow = flags & IOFILE_KEEP_SIZE ? 0 : p->end;
	p->give_back = flags & IOFILE_GIVE_BACK;
	at = off / GROUP_PLAIN;
	last = (uint32_t)((p->end - 1) / GROUP_PLAIN);
	while (at <= last && r == 0) {
		r = step(p, &at, last);
		rest += p->n;
		if (r == 0 && rest >= PUNCH_REST) {
			rest = 0;
			r = log_commit(f->v, f);
			if (r == 0)
				r = checkpoint_run(f->v);
			cache_trim(f->v, PUNCH_REST);
		}
	}
	if (r == 0 && p->give_back)
		iofile_give_back_ahead(f, off, p->end);
	*ret_freed = p->freed;
	free(p);
	cache_trim(f->v, PUNCH_REST);
	return r;
}
