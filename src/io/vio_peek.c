/* vio_peek.c: what a lower file's first block says, without making an iofile of it: what lookups and directory listings need. The size comes from group 0's
 * header, which H authenticates; a listing reads the headers of a whole reply in one batch. */
#include "io/vio_impl.h"

#include <string.h>

/* What the first n bytes of a lower file say: 1 a header, 0 none (an empty file), or -errno. p has BLOCK_SIZE bytes, zero behind n. */
static int judge_header(struct vio *v, const struct stat *st, const uint8_t *p, struct group_header *ret_h)
{
	struct blockcrypt *bc = blockcrypt_get();
	int r;

	if (!bc)
		return -ENOMEM;
	if (layout_is_zero(p, BLOCK_SIZE))
		return (uint64_t)st->st_size <= GROUP_LOWER ? 0 : -EUCLEAN;
	r = group_open_first(bc, v->p.ring, p, ret_h);
	if (r < 0)
		return r;
	r = vio_check_stamps(v, ret_h);
	if (r < 0)
		return r;
	return ret_h->flags & GROUP_FLAG_DAMAGED ? -EUCLEAN : 1;
}

int vio_read_header(struct vio *v, int fd, const struct stat *st, uint8_t *p, struct group_header *ret_h)
{
	ssize_t n;

	if (st->st_size == 0)
		return 0;
	n = lower_pread(v->l, fd, p, BLOCK_SIZE, 0);
	if (n < 0)
		return (int)n;
	memset(p + n, 0, BLOCK_SIZE - (size_t)n);
	return judge_header(v, st, p, ret_h);
}

int vio_header_error(struct vio *v, const struct stat *st, int r)
{
	if (r != -EBADMSG && r != -EUCLEAN && r != -EOPNOTSUPP && r != -ENOKEY && r != -EKEYEXPIRED)
		return r;
	atomic_fetch_add(&v->integrity[METER_HEADER], 1);
	vio_event(v, VIO_EVENT_INTEGRITY, r == -EKEYEXPIRED ? "inode %llu: header is newer than coffer.state" : "inode %llu: header does not verify",
		  (unsigned long long)st->st_ino);
	return -EIO;
}

int vio_peek(struct vio *v, int fd, const struct stat *st, uint64_t *ret_size)
{
	uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	struct group_header h;
	int r;

	r = vio_read_header(v, fd, st, p, &h);
	if (r < 0)
		return vio_header_error(v, st, r);
	*ret_size = r ? h.shape.size : 0;
	return 0;
}

struct peek {
	struct ioq_req req;
	struct iovec iov;
	uint8_t *p;
};

static int peek_read(struct vio *v, const int *fds, const struct stat *st, size_t n, struct peek *pk, uint8_t *buf)
{
	struct ioq *q = vio_ioq(v);
	size_t i, done = 0, want = 0;
	int r;

	if (!q)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		pk[i].p = buf + i * BLOCK_SIZE;
		if (st[i].st_size == 0)
			continue;
		pk[i].iov = (struct iovec){ pk[i].p, BLOCK_SIZE };
		pk[i].req = (struct ioq_req){ .op = IOQ_READ, .fd = fds[i], .iov = &pk[i].iov, .iovcnt = 1 };
		r = ioq_submit(q, &pk[i].req);
		if (r < 0)
			pk[i].req.result = r;
		else
			want++;
	}
	for (; done < want; done++)
		if (!ioq_wait(q))
			return -EIO;
	return 0;
}

int vio_peek_batch(struct vio *v, const int *fds, const struct stat *st, size_t n, uint64_t *ret_size, int *ret_r)
{
	AUTO_FREE struct peek *pk = calloc(n + 1, sizeof(*pk));
	AUTO_FREE uint8_t *buf = aligned_alloc(BLOCK_SIZE, (n + 1) * BLOCK_SIZE);
	struct group_header h;
	int r;

	if (!pk || !buf)
		return -ENOMEM;
	r = peek_read(v, fds, st, n, pk, buf);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		ssize_t got = pk[i].req.result;

		ret_size[i] = 0;
		ret_r[i] = 0;
		if (st[i].st_size == 0)
			continue;
		if (got >= 0) {
			memset(pk[i].p + got, 0, BLOCK_SIZE - (size_t)got);
			r = judge_header(v, &st[i], pk[i].p, &h);
		} else {
			r = (int)got;
		}
		if (r < 0)
			ret_r[i] = vio_header_error(v, &st[i], r);
		else if (r > 0)
			ret_size[i] = h.shape.size;
	}
	return 0;
}

void vio_peek_ahead(struct vio *v, const int *fds, size_t n)
{
	AUTO_FREE struct ioq_req *reqs = calloc(n + 1, sizeof(*reqs));
	AUTO_FREE struct iovec *iov = calloc(n + 1, sizeof(*iov));
	AUTO_FREE uint8_t *buf = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE); /* one for all: nobody looks at it */
	struct ioq *q = vio_ioq(v);

	if (!reqs || !iov || !buf || !q)
		return;
	for (size_t i = 0; i < n; i++) {
		iov[i] = (struct iovec){ buf, BLOCK_SIZE };
		reqs[i] = (struct ioq_req){ .op = IOQ_READ, .fd = fds[i], .iov = &iov[i], .iovcnt = 1 };
	}
	if (n > 0 && ioq_run(q, reqs, n) < 0)
		return; /* whoever wants it will meet the error */
}
