/* extent.c: ranges of a file (extent.h). What they hold is the I/O floor's; here are the attributes that follow.
 *
 * st_blocks: what a punch frees is taken off at once, as an estimate; the lower inode's count is taken when nothing is pending any more (live.c). */
#include "fs/extent.h"

#include <fcntl.h>
#include <unistd.h>

#include "fs/live.h"
#include "fs/volume_impl.h"

#define BLOCK_512 (BLOCK_SIZE / 512)

/* The content changed: size, times, blocks taken off or put on. A file with a size is never said to have no blocks: tools take that for one great hole. The
 * kernel tells its own times later (writeback cache). */
static void changed(struct volume *v, struct inode *i, struct iofile *f, int64_t blocks)
{
	int64_t now, size = (int64_t)iofile_size(f);
	WITH_LOCK(&v->lock);

	now = (int64_t)i->attr.blocks + blocks * BLOCK_512;
	i->attr.blocks = now > BLOCK_512 ? (uint64_t)now : size > 0 ? BLOCK_512 : 0;
	i->attr.size = (uint64_t)size;
	inode_now(&i->attr.mtime);
	i->attr.ctime = i->attr.mtime;
	i->times_due = true;
}

/* Allocated blocks show in the lower inode at once. */
static void count_blocks(struct volume *v, struct inode *i, struct iofile *f)
{
	struct stat st;
	int fd;

	if (iofile_pin(f, &fd) < 0)
		return;
	if (v->lower->ops->fstat(v->lower, fd, &st) == 0) {
		lock_take(&v->lock);
		if ((uint64_t)st.st_blocks > i->attr.blocks)
			i->attr.blocks = (uint64_t)st.st_blocks;
		lock_drop(&v->lock);
	}
	iofile_unpin(f);
}

static int allocate(struct iofile *f, int mode, uint64_t off, uint64_t len, uint64_t *ret_freed)
{
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int r;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
		return iofile_allocate(f, off, len, keep);
	case FALLOC_FL_PUNCH_HOLE:
		return keep ? iofile_punch(f, off, len, IOFILE_KEEP_SIZE | IOFILE_GIVE_BACK, ret_freed) : -EOPNOTSUPP;
	case FALLOC_FL_ZERO_RANGE:
		r = iofile_allocate(f, off, len, true);
		return r < 0 ? r : iofile_punch(f, off, len, keep ? IOFILE_KEEP_SIZE : 0, ret_freed);
	default:
		return -EOPNOTSUPP;
	}
}

int extent_allocate(struct volume *v, struct inode *i, int mode, uint64_t off, uint64_t len)
{
	struct iofile *f;
	uint64_t freed = 0;
	int r;

	if (v->info.read_only)
		return -EROFS;
	r = live_get(v, i, &f);
	if (r < 0)
		return r;
	r = allocate(f, mode, off, len, &freed);
	if (r == 0 || freed > 0) /* some steps of a long one may be done */
		changed(v, i, f, mode & FALLOC_FL_ZERO_RANGE ? 0 : -(int64_t)freed);
	if (r == 0 && !(mode & FALLOC_FL_PUNCH_HOLE))
		count_blocks(v, i, f);
	live_put(v, i);
	return r;
}

int extent_seek(struct volume *v, struct inode *i, uint64_t off, int whence, uint64_t *ret_off)
{
	struct iofile *f;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	r = live_get(v, i, &f);
	if (r < 0)
		return r;
	r = iofile_seek(f, off, whence == SEEK_HOLE, ret_off);
	live_put(v, i);
	return r;
}

ssize_t extent_copy(struct volume *v, struct inode *from, uint64_t off, struct inode *to, uint64_t to_off, size_t len, void *buf)
{
	struct iofile *f, *g;
	uint64_t size;
	ssize_t n;
	int r;

	if (v->info.read_only)
		return -EROFS;
	r = live_get(v, from, &f);
	if (r < 0)
		return r;
	r = live_get(v, to, &g);
	if (r < 0) {
		live_put(v, from);
		return r;
	}
	size = iofile_size(g);
	n = iofile_copy(f, off, g, to_off, len < EXTENT_COPY_MAX ? len : EXTENT_COPY_MAX, buf);
	if (n > 0)
		changed(v, to, g, to_off + (uint64_t)n > size ? n / BLOCK_SIZE + 1 : 0);
	live_put(v, to);
	live_put(v, from);
	return n;
}
