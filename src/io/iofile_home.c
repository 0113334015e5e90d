/* iofile_home.c: writes to home and when they may be believed. A home write counts only after a flush that began behind it; what was written
 * since the last good flush is remembered as a few ranges, and after a failed flush it is read back, compared with the entries that name it, and written
 * again before the next flush (RELIABILITY: the kernel tells an error once and leaves pages clean that are lost). */
#include "io/vio_impl.h"

#include "base/log.h"

#include <string.h>

/* lock: f->m */
void iofile_note_home_locked(struct iofile *f, uint64_t off, uint64_t len)
{
	unsigned i, best = 0;
	uint64_t end = off + len, cost = UINT64_MAX;

	f->home_gen++;
	for (i = 0; i < f->next; i++) {
		uint64_t lo = off < f->ext[i].off ? off : f->ext[i].off, hi = end > f->ext[i].end ? end : f->ext[i].end;
		uint64_t grow = (hi - lo) - (f->ext[i].end - f->ext[i].off);

		if (off <= f->ext[i].end && end >= f->ext[i].off)
			grow = 0;
		if (grow < cost) {
			cost = grow;
			best = i;
		}
	}
	if (f->next < VIO_EXTENTS_MAX && cost != 0) {
		best = f->next++;
		f->ext[best].off = off;
		f->ext[best].end = end;
		return;
	}
	if (off < f->ext[best].off)
		f->ext[best].off = off;
	if (end > f->ext[best].end)
		f->ext[best].end = end;
}

void iofile_note_home(struct iofile *f, uint64_t off, uint64_t len)
{
	WITH_LOCK(&f->m);
	iofile_note_home_locked(f, off, len);
}

/* The gnode of a lower block, and which entry it is (-1: the metadata block). lock: f->m */
static struct gnode *node_at(struct iofile *f, uint64_t lower_off, int *ret_i)
{
	*ret_i = (int)(lower_off % GROUP_LOWER / BLOCK_SIZE) - 1;
	return cache_node_find(f, (uint32_t)(lower_off / GROUP_LOWER));
}

/* Does the view say that block i of its group lies at home? */
static bool is_at_home(const struct gnode *g, const struct gmeta *m, unsigned i)
{
	return m && !cache_entry_is_hole(m, i) && !cache_dblk_find(g, i, cache_entry_stamp(m, i));
}

/* Does what was read back fit the entry that says it lies at home? All views that say so name the same version. 1 yes, 0 nobody names it, -EIO it is
 * lost. lock: f->m */
static int still_good(struct iofile *f, const struct gnode *g, unsigned i, const uint8_t *p)
{
	const struct gmeta *m = is_at_home(g, g->cur, i) ? g->cur : is_at_home(g, g->fl, i) ? g->fl : g->com;
	struct blockcrypt *bc = blockcrypt_get();
	struct block_pos pos = { f->file_id, (uint64_t)g->no * GROUP_BLOCKS + i, 0, 0 };
	const struct file_keys *keys;
	struct file_keys own;
	struct entry e;
	int r;

	if (!is_at_home(g, m, i))
		return 0;
	if (!bc)
		return -ENOMEM;
	cache_entry_get(m, i, &e);
	pos.stamp = e.stamp;
	pos.epoch = m->epoch;
	r = iofile_keys(f, m->epoch, &own, &keys);
	if (r < 0)
		return r;
	r = blockcrypt_verify(bc, &keys->tag, &pos, p, e.tag);
	if (keys == &own)
		keys_wipe(&own);
	if (r == -ENOMEM)
		return r;
	return r < 0 ? -EIO : 1;
}

static int header_still_good(struct iofile *f, const uint8_t *p)
{
	struct blockcrypt *bc = blockcrypt_get();
	struct group_header h;
	int r;

	if (!bc)
		return -ENOMEM;
	r = group_open_first(bc, f->v->p.ring, p, &h);
	if (r == -ENOMEM)
		return r;
	return r < 0 || memcmp(h.file_id, f->file_id, FILE_ID_LEN) != 0 ? -EIO : 1;
}

/* What must stand at lower offset off: *p is what was read back, and becomes what to write. 1 write it, 0 nobody needs it. lock: f->m */
static int home_bytes(struct iofile *f, uint64_t off, uint8_t *p)
{
	struct gmeta *m = NULL;
	struct dblk *b;
	struct gnode *g;
	int i;

	g = node_at(f, off, &i);
	if (g && i < 0)
		m = g->fresh ? g->cur : g->home;
	if (m) {
		log_meta_image(f, g->no, m, g->no ? NULL : &f->home_shape, p);
		return 1;
	}
	if (off == 0)
		return header_still_good(f, p);
	if (!g || i < 0)
		return 0;
	b = cache_dblk_state(g, (unsigned)i, DBLK_C);
	if (b && b->written) {
		memcpy(p, b->buf, BLOCK_SIZE);
		return 1;
	}
	return still_good(f, g, (unsigned)i, p);
}

/* Under the group's lock, because who writes new blocks home holds that alone, and under the file's, because the checkpoint does. */
static int rewrite_block(struct iofile *f, int fd, uint64_t off, uint8_t *p)
{
	uint32_t no = (uint32_t)(off / GROUP_LOWER);
	struct vio *v = f->v;
	ssize_t n;
	int r;

	blockio_range_lock(f, no, no, false);
	lock_take(&f->m);
	n = lower_pread(v->l, fd, p, BLOCK_SIZE, off);
	r = n < 0 ? (int)n : 0;
	if (r == 0) {
		memset(p + n, 0, BLOCK_SIZE - (size_t)n);
		r = home_bytes(f, off, p);
	}
	if (r > 0)
		r = lower_pwrite(v->l, fd, p, BLOCK_SIZE, off, false);
	lock_drop(&f->m);
	blockio_range_unlock(f, no, no);
	if (r == -EIO && n >= 0)
		blockio_integrity(f, METER_BLOCK, "lost by a failed flush, lower offset", off);
	return r;
}

static int rewrite_all(struct iofile *f, int fd)
{
	struct gap_extent *ext;
	unsigned n;
	uint8_t *p;
	int r = 0, r1;

	p = cache_buf_get(f->v);
	ext = malloc(sizeof(f->ext));
	if (!p || !ext) {
		cache_buf_put(f->v, p);
		free(ext);
		return -ENOMEM;
	}
	lock_take(&f->m);
	n = f->next;
	memcpy(ext, f->ext, sizeof(f->ext));
	lock_drop(&f->m);
	for (unsigned i = 0; i < n; i++)
		for (uint64_t off = ext[i].off / BLOCK_SIZE * BLOCK_SIZE; off < ext[i].end; off += BLOCK_SIZE) {
			r1 = rewrite_block(f, fd, off, p);
			if (r1 < 0)
				r = r1;
		}
	cache_buf_put(f->v, p);
	free(ext);
	return r;
}

/* Ranges written since generation gen stay. After a lower fsync that failed no flush proves anything, until all was written again. */
void iofile_flushed(struct iofile *f, uint64_t gen)
{
	WITH_LOCK(&f->m);
	if (f->fails != f->mended)
		return;
	if (gen > f->home_flushed)
		f->home_flushed = gen;
	if (f->home_gen == gen)
		f->next = 0;
}

bool iofile_only_header_due(const struct iofile *f)
{
	return f->home_gen == f->header_gen && f->home_flushed + 1 == f->header_gen && f->fails == f->mended;
}

static uint64_t fails_of(struct iofile *f)
{
	WITH_LOCK(&f->m);
	return f->fails;
}

/* All that was due when fails were known has been written again and flushed. -EIO: one more failed meanwhile. */
static int mend(struct iofile *f, uint64_t fails)
{
	WITH_LOCK(&f->m);
	f->mended = fails;
	return f->fails == fails ? 0 : -EIO;
}

/* Flush, and write everything again that a failed flush may have lost, or one whose error went to a descriptor that is closed. */
static int flush_fd(struct iofile *f, int fd)
{
	struct vio *v = f->v;
	uint64_t fails = fails_of(f);
	int r = 0, lost = 0;

	if (!f->fd_lost && fails == f->mended) { /* pinned: fd_lost cannot change; mended is ours while we have flush_m */
		r = v->l->ops->fdatasync(v->l, fd);
		if (r == 0)
			return mend(f, fails);
		log_warning("inode %llu: flush of the backing file failed (%s); writing again",
			    (unsigned long long)f->ino, err_text(r));
	}
	if (rule_on(&v->p, rewrite))
		lost = rewrite_all(f, fd);
	r = v->l->ops->fdatasync(v->l, fd);
	if (r == 0)
		f->fd_lost = false;
	return r < 0 || lost < 0 ? -EIO : mend(f, fails);
}

int iofile_flush_home(struct iofile *f)
{
	struct vio *v = f->v;
	uint64_t gen;
	int fd, r;

	WITH_LOCK(&f->flush_m);
	gen = atomic_load(&f->home_gen);
	if (gen == atomic_load(&f->home_flushed))
		return 0;
	r = iofile_fd(f, false, &fd);
	if (r == -ESTALE && f->gone) {
		/* Discarded meanwhile. Flushing all makes its unlink durable too, so no replay meets the file. */
		r = v->l->ops->syncfs(v->l, v->p.root_fd);
		if (r == 0)
			iofile_flushed(f, gen);
		return r;
	}
	if (r < 0)
		return r;
	r = flush_fd(f, fd);
	if (r == 0)
		iofile_flushed(f, gen);
	else
		iofile_lost(f, r);
	iofile_fd_put(f);
	return r;
}

/* L7: the header of an empty file with this file_id. It says nothing about content; replay finds the file by it. Written under the file's lock,
 * so that it can never land on top of the real header. */
static int ident_locked(struct iofile *f, int fd, uint8_t *p)
{
	struct file_shape empty = { .alloc_groups = 1 };
	struct gmeta *m;
	int r;

	r = iofile_assign_id(f);
	if (r < 0)
		return r;
	m = cache_meta_new(f->keys_epoch);
	if (!m)
		return -ENOMEM;
	r = log_seal_group(f, 0, m, &empty);
	if (r == 0) {
		log_meta_image(f, 0, m, &empty, p);
		r = lower_pwrite(f->v->l, fd, p, BLOCK_SIZE, 0, false);
	}
	cache_meta_unref(m);
	if (r < 0)
		return r;
	iofile_note_home_locked(f, 0, BLOCK_SIZE);
	f->header_gen = f->home_gen;
	f->has_header = true;
	f->needs_sync = true;
	return 0;
}

int iofile_ident(struct iofile *f, bool flush)
{
	uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	int fd, r = 0;

	if (!f->has_header && rule_on(&f->v->p, ident)) {
		r = iofile_fd(f, false, &fd);
		if (r < 0)
			return r;
		lock_take(&f->m);
		if (!f->has_header)
			r = ident_locked(f, fd, p);
		lock_drop(&f->m);
		iofile_fd_put(f);
	}
	if (r < 0 || !flush || f->header_durable)
		return r;
	r = iofile_flush_home(f);
	if (r == 0)
		f->header_durable = atomic_load(&f->has_header);
	return r;
}
