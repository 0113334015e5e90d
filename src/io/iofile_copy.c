/* iofile_copy.c: a range of one file into another, or elsewhere in the same (copy_file_range(2)). What is read is verified plain text and what is written is sealed
 * anew under the other file's keys: ciphertext never moves as it is, it would not authenticate there. Holes of the source become holes. Pieces of at most
 * VIO_WRITE_MAX bytes, each a write of its own: a crash may show some of them. */
#include "io/vio_impl.h"

struct copy {
	struct iofile *from, *to;
	uint64_t off, to_off, left;
	void *buf;
};

/* Up to which piece the next one goes: nothing is asked of holes shorter than a block. 0 with *ret_hole, or -errno. */
static int next_piece(const struct copy *c, uint64_t *ret_len, bool *ret_hole)
{
	uint64_t end = c->off + c->left, at = 0, most = VIO_WRITE_MAX - c->to_off % VIO_WRITE_MAX;
	int r;

	r = iofile_seek(c->from, c->off, false, &at);
	if (r < 0 && r != -ENXIO)
		return r;
	if (r == -ENXIO || at > end)
		at = end;
	*ret_hole = at - c->off >= BLOCK_SIZE || at == end;
	if (*ret_hole) {
		*ret_len = at - c->off;
		return 0;
	}
	r = iofile_seek(c->from, at, true, &at);
	if (r < 0 && r != -ENXIO)
		return r;
	if (r == -ENXIO || at > end)
		at = end;
	*ret_len = at - c->off < most ? at - c->off : most;
	return 0;
}

static ssize_t copy_piece(const struct copy *c)
{
	uint64_t len = 0, freed;
	bool hole = false;
	ssize_t n;
	int r;

	r = next_piece(c, &len, &hole);
	if (r < 0)
		return r;
	if (hole) {
		r = iofile_punch(c->to, c->to_off, len, IOFILE_GIVE_BACK, &freed);
		return r < 0 ? r : (ssize_t)len;
	}
	n = iofile_read(c->from, c->buf, len, c->off);
	return n <= 0 ? n : iofile_write(c->to, c->buf, (size_t)n, c->to_off, false);
}

ssize_t iofile_copy(struct iofile *from, uint64_t off, struct iofile *to, uint64_t to_off, size_t len, void *buf)
{
	struct copy c = { from, to, off, to_off, len, buf };
	uint64_t size = iofile_size(from), done = 0;
	ssize_t n = 0;

	if (off > FILE_SIZE_MAX || to_off > FILE_SIZE_MAX || len > FILE_SIZE_MAX)
		return -EFBIG;
	if (off >= size)
		return 0;
	if (len > size - off)
		c.left = size - off;
	if (from == to && off < to_off + c.left && to_off < off + c.left)
		return -EINVAL;
	while (c.left > 0) {
		n = copy_piece(&c);
		if (n <= 0)
			break;
		c.off += (uint64_t)n;
		c.to_off += (uint64_t)n;
		c.left -= (uint64_t)n;
		done += (uint64_t)n;
	}
	return done > 0 ? (ssize_t)done : n;
}
