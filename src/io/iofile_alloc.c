/* iofile_alloc.c: space allocated ahead (fallocate(2)). It is the lower file's alone: the range stays what it reads as, no group begins to exist, and only the size
 * is recorded. The header is durable first (L7), because the lower file becomes longer than what a file without one may be.
 *
 * What is allocated below: each data block of the range at the place where it will lie, and the metadata blocks of its groups, so that a home write there needs no
 * new space. As long as the iofile lives it knows the last few such ranges; a write into one is let in also while the ballast is spent.
 *
 * It stays until a recorded cut or punch frees it. A cut that has not given its space back yet would take this along: it is brought to rest first. */
#include "io/shape.h"
#include "io/vio_impl.h"

#include <fcntl.h>
#include <string.h>

#define SETTLE_TRIES 3

/* ---- what is known to be allocated. lock: f->m */

bool iofile_is_ahead(const struct iofile *f, uint64_t block)
{
	for (unsigned i = 0; i < f->naheads; i++)
		if (block >= f->ahead[i].first && block < f->ahead[i].end)
			return true;
	return false;
}

void iofile_forget_ahead(struct iofile *f, uint64_t first, uint64_t end)
{
	for (unsigned i = 0; i < f->naheads; i++) {
		struct block_range *x = &f->ahead[i];

		if (first >= x->end || end <= x->first)
			continue;
		if (first <= x->first && end < x->end)
			x->first = end;
		else if (first > x->first)
			x->end = first; /* what lies behind a middle that goes is not remembered */
		else
			f->ahead[i--] = f->ahead[--f->naheads];
	}
}

static void remember(struct iofile *f, uint64_t first, uint64_t end)
{
	struct block_range *x, *least = &f->ahead[0];

	for (unsigned i = 0; i < f->naheads; i++) {
		x = &f->ahead[i];
		if (first <= x->end && end >= x->first) {
			x->first = first < x->first ? first : x->first;
			x->end = end > x->end ? end : x->end;
			return;
		}
		if (x->end - x->first < least->end - least->first)
			least = x;
	}
	x = f->naheads < IOFILE_AHEAD_MAX ? &f->ahead[f->naheads++] : least;
	*x = (struct block_range){ first, end };
}

/* ---- allocating */

/* Neither a cut that waits for its commit nor one whose space waits for the checkpoint. lock: f->m */
static bool is_settled(const struct iofile *f)
{
	return !f->cut && !f->fl_cut && !f->giveback;
}

/* A failing attempt must not fill the disk: look first. What the file has already is not known by place, so it counts as being in the range. */
static int room_for(struct iofile *f, int fd, uint64_t bytes)
{
	struct lower *l = f->v->l;
	uint64_t fsid, magic, unit;
	struct statvfs fs;
	struct stat st;

	if (l->ops->statfs(l, fd, &fs, &fsid, &magic) < 0 || l->ops->fstat(l, fd, &st) < 0)
		return 0;
	unit = fs.f_frsize ? fs.f_frsize : fs.f_bsize;
	if (fs.f_blocks == 0 || unit == 0)
		return 0;
	return bytes / unit > fs.f_bavail + (uint64_t)st.st_blocks * 512 / unit ? -ENOSPC : 0;
}

/* Shape lock held for writing. */
static int allocate_below(struct iofile *f, uint64_t first, uint64_t last)
{
	struct lower *l = f->v->l;
	uint64_t meta = layout_group_off(layout_group_of_block(first)), at = layout_block_off(first);
	uint64_t end = layout_block_off(last) + BLOCK_SIZE;
	int fd, r;

	if (layout_index_of_block(first) == 0)
		at = meta;
	r = iofile_fd(f, false, &fd);
	if (r < 0)
		return r;
	r = room_for(f, fd, end - at);
	if (r == 0 && at != meta)
		r = l->ops->fallocate(l, fd, FALLOC_FL_KEEP_SIZE, meta, BLOCK_SIZE);
	if (r == 0)
		r = l->ops->fallocate(l, fd, FALLOC_FL_KEEP_SIZE, at, end - at);
	iofile_fd_put(f);
	return r == -ENOSYS ? -EOPNOTSUPP : r;
}

/* Space in the range that waits to be given back stays. lock: f->m */
static void keep_freed(struct iofile *f, uint64_t first, uint64_t last)
{
	for (unsigned k = 0; k < f->tab_size && f->punched; k++)
		for (struct gnode *g = f->tab[k]; g; g = g->hash_next)
			for (unsigned i = 0; i < GROUP_BLOCKS && (g->freed[0] || g->freed[1]); i++) {
				uint64_t b = (uint64_t)g->no * GROUP_BLOCKS + i;

				if (b >= first && b <= last)
					g->freed[i / 64] &= ~(1ull << i % 64);
			}
}

/* Take the shape lock for writing when no cut is about to give space back. */
static int lock_settled(struct iofile *f)
{
	bool settled;
	int r;

	for (int i = 0;; i++) {
		pthread_rwlock_wrlock(&f->shape_lock);
		lock_take(&f->m);
		settled = is_settled(f);
		lock_drop(&f->m);
		if (settled || i == SETTLE_TRIES)
			return 0;
		pthread_rwlock_unlock(&f->shape_lock);
		r = log_commit(f->v, f);
		if (r == 0)
			r = checkpoint_run(f->v);
		if (r < 0)
			return r;
	}
}

int iofile_allocate(struct iofile *f, uint64_t off, uint64_t len, bool keep_size)
{
	uint64_t first = off / BLOCK_SIZE, last;
	int r;

	if (len == 0)
		return -EINVAL;
	if (len > FILE_SIZE_MAX || off > FILE_SIZE_MAX - VIO_WRITE_MAX || off + len > FILE_SIZE_MAX - VIO_WRITE_MAX)
		return -EFBIG;
	if (vio_is_read_only(f->v))
		return -EROFS;
	if (!blockcrypt_get())
		return -ENOMEM;
	last = (off + len - 1) / BLOCK_SIZE;
	lock_take(&f->m);
	f->allocated = true; /* before the lock: what iofile_extend.c did goes back first, and nothing of it comes again */
	lock_drop(&f->m);
	r = iofile_ident(f, true);
	if (r == 0)
		r = lock_settled(f);
	if (r < 0)
		return r;
	r = allocate_below(f, first, last);
	if (r == 0) {
		WITH_LOCK(&f->m);
		keep_freed(f, first, last);
		remember(f, first, last + 1);
		f->attr_sync = true; /* the next fsync makes the allocation durable, too */
		if (!keep_size && off + len > f->cur.size) {
			f->cur.size = off + len;
			iofile_mark_dirty(f);
		}
	}
	pthread_rwlock_unlock(&f->shape_lock);
	return r;
}

/* ---- giving back what no group has */

/* Groups lo..hi-1 exist in no view, and nothing of a cut is pending there. lock: f->m */
static bool is_nobodys(const struct iofile *f, uint32_t lo, uint32_t hi)
{
	if ((f->in_com && shape_next(&f->com, lo) < hi) || (f->in_fl && shape_next(&f->fl, lo) < hi))
		return false;
	return !iofile_is_freed(f, (uint64_t)lo * GROUP_BLOCKS, (uint64_t)hi * GROUP_BLOCKS - 1);
}

/* The part of lo..hi-1 that lies below `most` (lower bytes). Space behind the lower file's end is out of reach of a punch, so the file gets longer first. */
static void punch_groups(struct iofile *f, int fd, uint32_t lo, uint32_t hi, uint64_t most, uint64_t *lower_size)
{
	struct lower *l = f->v->l;
	uint64_t at = layout_group_off(lo), end = layout_group_off(hi);

	end = end > most ? most : end;
	if (at >= end)
		return;
	if (end > *lower_size && f->header_durable && l->ops->ftruncate(l, fd, end) == 0)
		*lower_size = end;
	(void)l->ops->fallocate(l, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, end - at);
}

/* Shape lock held for writing. */
static void give_back_locked(struct iofile *f, int fd, uint32_t lo, uint32_t hi)
{
	struct gap gap[GAPS_MAX + 1];
	struct stat st;
	uint64_t most, lower_size;
	uint32_t n = 0;

	if (f->v->l->ops->fstat(f->v->l, fd, &st) < 0)
		return;
	lower_size = most = (uint64_t)st.st_size;
	lock_take(&f->m);
	for (unsigned i = 0; i < f->naheads; i++)
		if (layout_block_off(f->ahead[i].end) > most)
			most = layout_block_off(f->ahead[i].end);
	for (uint32_t i = 0; i <= f->cur.gap_count; i++) {
		struct gap x = i < f->cur.gap_count ? f->cur.gaps[i] : (struct gap){ f->cur.alloc_groups, UINT32_MAX - f->cur.alloc_groups };
		uint32_t a = x.first > lo ? x.first : lo, b = x.first + x.count < hi ? x.first + x.count : hi;

		if (a < b && is_nobodys(f, a, b))
			gap[n++] = (struct gap){ a, b - a };
	}
	lock_drop(&f->m);
	for (uint32_t i = 0; i < n; i++)
		punch_groups(f, fd, gap[i].first, gap[i].first + gap[i].count, most, &lower_size);
}

void iofile_give_back_ahead(struct iofile *f, uint64_t off, uint64_t end)
{
	uint64_t lo = (off + GROUP_PLAIN - 1) / GROUP_PLAIN, hi = end / GROUP_PLAIN;
	int fd;

	if (lo >= hi || iofile_fd(f, false, &fd) < 0)
		return;
	pthread_rwlock_wrlock(&f->shape_lock);
	give_back_locked(f, fd, (uint32_t)lo, (uint32_t)hi);
	lock_take(&f->m);
	iofile_forget_ahead(f, lo * GROUP_BLOCKS, hi * GROUP_BLOCKS);
	lock_drop(&f->m);
	pthread_rwlock_unlock(&f->shape_lock);
	iofile_fd_put(f);
}
