/* iofile_seek.c: where data and holes are (lseek(2), SEEK_DATA and SEEK_HOLE), from authenticated metadata as reads see it, also of what waits for a
 * commit. A group that does not exist is a hole and costs nothing; of one that exists the metadata block is read unless it is in memory. One group is looked
 * at under its locks, then the next: what writers do behind our back is theirs. */
#include "io/shape.h"
#include "io/vio_impl.h"

/* The first block of group no, from index i on, that is a hole (or is not); GROUP_BLOCKS: none. Shape and range lock held. */
static int look(struct iofile *f, uint32_t no, unsigned i, bool hole, unsigned *ret_i)
{
	struct gnode *g;
	int r;

	r = blockio_node(f, no, &g);
	if (r < 0)
		return r;
	lock_take(&f->m);
	while (i < GROUP_BLOCKS && cache_entry_is_hole(g->cur, i) != hole)
		i++;
	lock_drop(&f->m);
	blockio_node_put(g);
	*ret_i = i;
	return 0;
}

/* One group from *at on. 1: *at is it, 0: *at is where to go on. */
static int seek_group(struct iofile *f, bool hole, uint64_t *at, uint64_t *ret_size)
{
	uint32_t no = layout_group_of_block(*at / BLOCK_SIZE), next;
	unsigned i = layout_index_of_block(*at / BLOCK_SIZE), found = 0;
	int r;

	lock_take(&f->m);
	*ret_size = f->cur.size;
	next = f->has_id ? shape_next(&f->cur, no) : UINT32_MAX;
	lock_drop(&f->m);
	if (next != no) {
		if (!hole)
			*at = next == UINT32_MAX ? UINT64_MAX : (uint64_t)next * GROUP_PLAIN;
		return hole;
	}
	blockio_range_lock(f, no, no, false);
	r = look(f, no, i, hole, &found);
	blockio_range_unlock(f, no, no);
	if (r < 0)
		return r;
	if (found != i)
		*at = ((uint64_t)no * GROUP_BLOCKS + found) * BLOCK_SIZE;
	return found < GROUP_BLOCKS;
}

int iofile_seek(struct iofile *f, uint64_t off, bool hole, uint64_t *ret_off)
{
	uint64_t at = off, size = iofile_size(f);
	int r = 0;

	while (r == 0 && at < size) {
		pthread_rwlock_rdlock(&f->shape_lock);
		r = seek_group(f, hole, &at, &size);
		pthread_rwlock_unlock(&f->shape_lock);
		cache_trim(f->v, CACHE_TRIM_STEP);
	}
	if (r < 0)
		return r;
	if (off >= size || (!hole && at >= size))
		return -ENXIO;
	*ret_off = at < size ? at : size;
	return 0;
}
