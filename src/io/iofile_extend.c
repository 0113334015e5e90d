/* iofile_extend.c: a file that grows in bulk is allocated, and made longer, a piece ahead below.
 *
 * A direct write that extends its file has the backing's inode lock for itself until the disk is done, so a file that was written by eight workers was
 * written by one at a time. Writes inside the file go side by side. Nothing but the lower length and unwritten space changes: the lower length says nothing
 * (docs/format.md), no group begins to exist, and the header is durable before (L7).
 *
 * What was not needed goes back with the next checkpoint behind a commit, as a cut's space does (checkpoint_space.c), which would take along what a user has
 * allocated behind the end. So this is for files that this mount has made, in the life of the iofile that made them, until somebody allocates; an iofile that was
 * closed and opened again does not know. After a crash the piece that was ahead stays until the file is cut. Never fails: without it everything is as before. */
#include "io/vio_impl.h"

#define AHEAD_MIN (1u << 20)             /* of a file that is as long already: small ones are not worth it */
#define AHEAD_MAX (16u << 20)
#define FAR (32u << 20)                  /* requests overtake each other; what is further out is no growth but another place */
#define ROOM 64u                         /* pieces that must be free on the backing: on a full one others need the space more */

static bool has_room(struct iofile *f, int fd, uint64_t len)
{
	uint64_t fsid, magic, unit;
	struct statvfs fs;

	if (f->v->l->ops->statfs(f->v->l, fd, &fs, &fsid, &magic) < 0)
		return false;
	unit = fs.f_frsize ? fs.f_frsize : fs.f_bsize;
	return unit > 0 && fs.f_bavail / ROOM >= len / unit;
}

/* The piece from *ret_from on that is due before a write up to end; 0: none. It counts as there from now on, so that one worker makes it. */
static uint64_t claim(struct iofile *f, uint64_t start, uint64_t end, uint64_t *ret_from)
{
	uint64_t from, len;
	WITH_LOCK(&f->m);

	from = f->extended ? f->extended : start;
	if (!f->header_durable || f->header_gen == 0 || f->allocated || f->cur.size < AHEAD_MIN || end <= f->extended)
		return 0;
	if (start > layout_block_off(f->cur.size / BLOCK_SIZE) + FAR || start > from + FAR)
		return 0;
	len = from < AHEAD_MAX ? from : AHEAD_MAX;
	if (len < AHEAD_MIN)
		len = AHEAD_MIN;
	if (len < end - from)
		len = end - from;
	f->extended = from + len;
	f->giveback = true;
	*ret_from = from;
	return len;
}

void iofile_extend(struct iofile *f, uint64_t first, uint64_t last)
{
	uint64_t from, len;
	int fd;

	len = claim(f, layout_block_off(first), layout_block_off(last) + BLOCK_SIZE, &from);
	if (len == 0 || iofile_fd(f, false, &fd) < 0)
		return;
	if (!has_room(f, fd, len) || f->v->l->ops->fallocate(f->v->l, fd, 0, from, len) < 0) {
		WITH_LOCK(&f->m);
		f->allocated = true; /* not again */
	}
	iofile_fd_put(f);
}
