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
	g->freed[0] = g->freed[1] = 0;
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
	for (unsigned i = index; i < GROUP_BLOCKS; i++)
		iofile_forget_block(g, i, false);
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
			r = iofile_seal_zeroed(f, g, layout_index_of_block(blocks - 1), size % BLOCK_SIZE, BLOCK_SIZE, &b, &e);
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
			iofile_put_version(g, layout_index_of_block(blocks - 1), &b, &e);
		if (g) {
			cut_blocks(g, (unsigned)(blocks - (uint64_t)last * GROUP_BLOCKS));
			cache_node_mark_changed(g);
		}
		shape_cut(&f->cur, keep);
		f->cut = true;
		iofile_note_freed(f, blocks, UINT64_MAX);
		iofile_forget_ahead(f, blocks, UINT64_MAX);
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
