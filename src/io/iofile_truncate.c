/* iofile_truncate.c: a file's end moves (L6). A cut is a record like any other: nothing below changes before the checkpoint. */
#include "io/shape.h"
#include "io/vio_impl.h"

#include <string.h>

#define TRUNCATE_RESERVE 8u

/* Group g leaves cur; what the commit in flight and the newest durable commit name stays. lock: f->m */
static void cut_node(struct gnode *g)
{
	if (!g->cur)
		return;
	for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++) {
		struct dblk *u = cache_dblk_state(g, i, DBLK_U);

		if (u)
			cache_dblk_drop(g, i, u);
	}
	cache_meta_set(&g->cur, NULL);
	g->uhome[0] = g->uhome[1] = 0;
	g->fresh = g->base_empty = false;
	cache_node_touch(g); /* out of the LRU */
	cache_node_free_if_empty(g);
}

/* lock: f->m */
static void cut_groups(struct iofile *f, uint32_t keep)
{
	for (unsigned i = 0; i < f->tab_size; i++) {
		struct gnode *g = f->tab[i], *next;

		for (; g; g = next) {
			next = g->hash_next;
			if (g->no >= keep)
				cut_node(g);
		}
	}
}

/* Blocks from index on become holes. cur is already private. lock: f->m */
static void cut_blocks(struct gnode *g, unsigned index)
{
	for (unsigned i = index; i < GROUP_BLOCKS; i++) {
		struct dblk *u = cache_dblk_state(g, i, DBLK_U);

		if (u)
			cache_dblk_drop(g, i, u);
		cache_entry_set(g->cur, i, NULL);
		g->uhome[i / 64] &= ~(1ull << i % 64);
	}
}

/* The last block's bytes from size on become zero: a new version of it. */
static int seal_tail(struct iofile *f, struct gnode *g, uint64_t size, struct dblk **ret_b, struct entry *ret_e)
{
	uint8_t plain[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	uint64_t block = size / BLOCK_SIZE, stamp;
	const struct file_keys *keys;
	struct file_keys own;
	struct dblk *b;
	int r;

	r = blockio_block(f, g, layout_index_of_block(block), plain);
	if (r < 0)
		return r;
	memset(plain + size % BLOCK_SIZE, 0, BLOCK_SIZE - size % BLOCK_SIZE);
	r = state_stamps(f->v->state, 1, &stamp);
	if (r < 0)
		return r;
	r = iofile_keys(f, g->cur->epoch, &own, &keys);
	if (r < 0)
		return r;
	b = cache_dblk_new(f->v);
	r = b ? blockcrypt_seal(blockcrypt_get(), keys, &(struct block_pos){ f->file_id, block, stamp, g->cur->epoch }, plain,
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

/* lock: f->m. Cannot fail: cur is private and g->d is there. */
static void put_tail(struct gnode *g, unsigned i, struct dblk **b, const struct entry *e)
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

/* Everything that can fail happens before anything changes. Shape lock held for writing. */
static int cut(struct iofile *f, uint64_t size)
{
	uint64_t blocks = layout_blocks(size);
	uint32_t keep = layout_groups(size), last = keep ? keep - 1 : 0;
	struct gnode *g = NULL;
	struct dblk *b = NULL;
	struct entry e = { 0 };
	int r = 0;

	if (group_exists(&f->cur, last) && (size % GROUP_PLAIN != 0 || keep == 0)) {
		r = blockio_node(f, last, &g);
		if (r < 0)
			return r;
		if (size % BLOCK_SIZE != 0 && !cache_entry_is_hole(g->cur, layout_index_of_block(blocks - 1)))
			r = seal_tail(f, g, size, &b, &e);
	}
	lock_take(&f->m);
	if (r == 0 && g)
		r = cache_node_own(g);
	if (r == 0 && b && !g->d) {
		g->d = calloc(GROUP_BLOCKS, sizeof(*g->d));
		if (!g->d)
			r = -ENOMEM;
	}
	if (r == 0) {
		cut_groups(f, keep ? keep : 1);
		if (b)
			put_tail(g, layout_index_of_block(blocks - 1), &b, &e);
		if (g) {
			cut_blocks(g, (unsigned)(blocks - (uint64_t)last * GROUP_BLOCKS));
			cache_node_mark_changed(g);
		}
		shape_cut(&f->cur, keep);
		f->cut = true;
		if (blocks < f->freed_low || f->freed_seq <= atomic_load(&f->v->vouched))
			f->freed_low = blocks;
		f->freed_seq = UINT64_MAX;
	}
	lock_drop(&f->m);
	cache_dblk_unref(f->v, b);
	if (g)
		blockio_node_put(g);
	return r;
}

static int truncate_locked(struct iofile *f, uint64_t size)
{
	int r = 0, fd;

	if (size == f->cur.size)
		return 0;
	lock_take(&f->m);
	r = iofile_assign_id(f);
	lock_drop(&f->m);
	if (r == 0 && size < f->cur.size)
		r = cut(f, size);
	if (r < 0)
		return r;
	lock_take(&f->m);
	f->cur.size = size;
	iofile_mark_dirty(f);
	lock_drop(&f->m);
	if (!rule_on(&f->v->p, cutlate) && iofile_fd(f, false, &fd) == 0) {
		r = f->v->l->ops->ftruncate(f->v->l, fd, layout_group_off(f->cur.alloc_groups));
		iofile_fd_put(f);
	}
	return r;
}

int iofile_truncate(struct iofile *f, uint64_t size)
{
	int r;

	if (size > FILE_SIZE_MAX - VIO_WRITE_MAX)
		return -EFBIG;
	if (vio_is_read_only(f->v))
		return -EROFS;
	if (!blockcrypt_get())
		return -ENOMEM;
	r = vio_reserve(f->v, TRUNCATE_RESERVE);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&f->shape_lock);
	r = truncate_locked(f, size);
	pthread_rwlock_unlock(&f->shape_lock);
	vio_unreserve(f->v, TRUNCATE_RESERVE);
	return r;
}
