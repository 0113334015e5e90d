/* checkpoint_space.c: step 8 of the crash table: lower space that a recorded cut or punch freed goes back to the backing filesystem, behind the checkpoint
 * that has brought that commit home.
 *
 * What may go: what neither cur nor the commit in flight nor the newest durable commit names and no version in memory is due for, once something vouches for that
 * commit (else a mount could fall back behind it). Metadata blocks of groups that exist stay. Space that nobody cut or punched stays too: it was allocated ahead
 * (iofile_alloc.c).
 *
 * A cut (f->giveback) shortens the lower file, with the shape lock held for writing. A punch (bits in g->freed) is given back group by group under the
 * group's range lock, which keeps out a bulk write that is about to use the same blocks again. */
#include "io/vio_impl.h"

#include "base/log.h"

#include <fcntl.h>
#include <string.h>

/* The end of what any view has in the lower file. Shape lock held for writing; lock: f->m */
static uint64_t lower_end(struct iofile *f)
{
	uint32_t last = f->in_com ? f->com.alloc_groups : 0;
	struct gnode *g;
	unsigned n = GROUP_BLOCKS;

	if (rule_on(&f->v->p, cutviews)) {
		if (f->cur.alloc_groups > last)
			last = f->cur.alloc_groups;
		if (f->in_fl && f->fl.alloc_groups > last)
			last = f->fl.alloc_groups;
	}
	if (last == 0)
		return 0;
	g = cache_node_find(f, last - 1);
	if (g && g->cur && (g->com || !f->in_com || !group_exists(&f->com, last - 1)))
		for (; n > 0; n--)
			if (!cache_entry_is_hole(g->cur, n - 1) || (g->fl && !cache_entry_is_hole(g->fl, n - 1)) ||
			    (g->com && !cache_entry_is_hole(g->com, n - 1)))
				break;
	return layout_group_off(last - 1) + (n + 1) * (uint64_t)BLOCK_SIZE;
}

/* What lies behind the end of the lower file (allocated ahead) goes with it, so it is cut also if it is not longer. */
static void give_back_end(struct iofile *f, int fd)
{
	struct vio *v = f->v;
	struct stat st;
	uint64_t end;

	pthread_rwlock_wrlock(&f->shape_lock);
	lock_take(&f->m);
	f->giveback = false;
	f->extended = 0;
	end = lower_end(f);
	lock_drop(&f->m);
	if (end > 0 && v->l->ops->fstat(v->l, fd, &st) == 0 &&
	    v->l->ops->ftruncate(v->l, fd, (uint64_t)st.st_size > end ? end : (uint64_t)st.st_size) < 0) {
		lock_take(&f->m);
		f->giveback = true; /* space only: the next checkpoint tries again */
		lock_drop(&f->m);
	}
	pthread_rwlock_unlock(&f->shape_lock);
}

/* ---- punched blocks */

/* The numbers of the groups that have freed blocks. */
static int freed_groups(struct iofile *f, uint32_t **ret_no, size_t *ret_n)
{
	uint32_t *no;
	size_t n = 0;

	WITH_LOCK(&f->m);
	no = calloc(f->nodes + 1, sizeof(*no));
	if (!no)
		return -ENOMEM;
	for (unsigned i = 0; i < f->tab_size; i++)
		for (struct gnode *g = f->tab[i]; g; g = g->hash_next)
			if (g->freed[0] || g->freed[1])
				no[n++] = g->no;
	f->punched = false;
	*ret_no = no;
	*ret_n = n;
	return 0;
}

static bool has_bit(const uint64_t bits[static 2], unsigned i)
{
	return bits[i / 64] >> i % 64 & 1;
}

/* May the lower space of block i go? cur has the group. lock: f->m */
static bool is_unnamed(const struct gnode *g, unsigned i)
{
	if (!g->com || !cache_entry_is_hole(g->com, i) || (g->d && g->d[i]))
		return false;
	return !rule_on(&g->f->v->p, cutviews) ||
	       (cache_entry_is_hole(g->cur, i) && !(g->fl && !cache_entry_is_hole(g->fl, i)));
}

/* The blocks of group no that go now, which need not be remembered any more. lock: f->m */
static void take_freed(struct iofile *f, uint32_t no, uint64_t ret_go[static 2])
{
	struct gnode *g = cache_node_find(f, no);

	ret_go[0] = ret_go[1] = 0;
	if (!g)
		return;
	for (unsigned i = 0; i < GROUP_BLOCKS && g->cur; i++)
		if (has_bit(g->freed, i) && is_unnamed(g, i))
			ret_go[i / 64] |= 1ull << i % 64;
	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		if (!g->cur || has_bit(ret_go, i) || !cache_entry_is_hole(g->cur, i)) /* gone, going, or in use again */
			g->freed[i / 64] &= ~(1ull << i % 64);
	if (g->freed[0] || g->freed[1])
		f->punched = true;
	cache_node_touch(g);
}

/* What the backing cannot punch stays allocated. */
static void punch_runs(struct iofile *f, int fd, uint32_t no, const uint64_t go[static 2])
{
	struct lower *l = f->v->l;
	unsigned i = 0, n;
	int r;

	while (i < GROUP_BLOCKS) {
		for (n = 0; i + n < GROUP_BLOCKS && has_bit(go, i + n); n++)
			;
		if (n > 0) {
			r = l->ops->fallocate(l, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					      layout_block_off((uint64_t)no * GROUP_BLOCKS + i), n * (uint64_t)BLOCK_SIZE);
			if (r < 0)
				log_debug("inode %llu: space is not given back: %s", (unsigned long long)f->ino, err_text(r));
		}
		i += n + 1;
	}
}

static void give_back_punched(struct iofile *f, int fd)
{
	AUTO_FREE uint32_t *no = NULL;
	uint64_t go[2];
	size_t n = 0;

	if (freed_groups(f, &no, &n) < 0)
		return;
	for (size_t k = 0; k < n; k++) {
		pthread_rwlock_rdlock(&f->shape_lock);
		blockio_range_lock(f, no[k], no[k], true);
		lock_take(&f->m);
		take_freed(f, no[k], go);
		lock_drop(&f->m);
		punch_runs(f, fd, no[k], go);
		blockio_range_unlock(f, no[k], no[k]);
		pthread_rwlock_unlock(&f->shape_lock);
	}
}

void checkpoint_give_back(struct iofile *f)
{
	struct vio *v = f->v;
	bool cut, punched;
	int fd;

	lock_take(&f->m);
	cut = f->giveback && f->com_seq <= atomic_load(&v->vouched);
	punched = f->punched && f->com_seq <= atomic_load(&v->vouched);
	lock_drop(&f->m);
	if ((!cut && !punched) || f->gone || iofile_fd(f, false, &fd) < 0)
		return;
	if (cut)
		give_back_end(f, fd);
	if (punched)
		give_back_punched(f, fd);
	if (v->p.cb.home_written)
		v->p.cb.home_written(v->p.cb.ctx, f->owner, fd);
	iofile_fd_put(f);
}
