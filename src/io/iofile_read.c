/* iofile_read.c: reading. Data and missing metadata of up to 1 MiB come in one vectored read, straight into the caller's buffer, are verified and decrypted
 * there. Order matters: which blocks have a version in memory is looked up before home is read, because the checkpoint frees a version only after
 * it is home. The range locks keep writers of these groups out, so cur does not change meanwhile. */
#include "io/vio_impl.h"

#include <string.h>

#define READ_GROUPS 4
#define READ_BLOCKS (VIO_WRITE_MAX / BLOCK_SIZE + 1)

_Static_assert(READ_GROUPS * BLOCK_SIZE == VIO_HEADS_LEN && READ_BLOCKS * BLOCK_SIZE <= VIO_SCRATCH_LEN, "a read has room for its metadata and its edges");

struct rd {
	struct iofile *f;
	uint64_t first, last;            /* blocks */
	uint32_t g0, ngroups;
	struct gnode *g[READ_GROUPS];    /* pinned, NULL: hole or not loaded yet */
	struct gmeta *m[READ_GROUPS];    /* its cur, referenced: a commit may replace group 0's by an equal one */
	bool exists[READ_GROUPS];
	struct dblk *d[READ_BLOCKS];     /* versions in memory, by block - first */
	uint8_t *out;                    /* BLOCK_SIZE aligned, room for all blocks */
	uint8_t *meta;                   /* READ_GROUPS metadata blocks */
	bool meta_read[READ_GROUPS];
	bool early;                      /* out holds what was read from home before anything was locked */
};

static bool at_home(const struct rd *rd, uint64_t b)
{
	unsigned k = layout_group_of_block(b) - rd->g0;

	if (!rd->exists[k] || rd->d[b - rd->first])
		return false;
	return !rd->m[k] || !cache_entry_is_hole(rd->m[k], layout_index_of_block(b));
}

/* Pin what is loaded, take the versions in memory. */
static void rd_look(struct rd *rd)
{
	struct iofile *f = rd->f;

	WITH_LOCK(&f->m);
	for (uint32_t k = 0; k < rd->ngroups; k++) {
		rd->exists[k] = f->has_id && group_exists(&f->cur, rd->g0 + k);
		rd->g[k] = rd->exists[k] ? cache_node_find(f, rd->g0 + k) : NULL;
		if (rd->g[k] && !rd->g[k]->cur)
			rd->g[k] = NULL;
		if (!rd->g[k])
			continue;
		rd->g[k]->pins++;
		rd->m[k] = cache_meta_ref(rd->g[k]->cur);
		if (rd->g[k]->in_lru)
			cache_node_touch(rd->g[k]);
	}
	for (uint64_t b = rd->first; b <= rd->last; b++) {
		struct gnode *g = rd->g[layout_group_of_block(b) - rd->g0];
		unsigned i = layout_index_of_block(b);
		struct dblk *d = g && g->d ? cache_dblk_find(g, i, cache_entry_stamp(g->cur, i)) : NULL;

		rd->d[b - rd->first] = d ? cache_dblk_ref(d) : NULL;
	}
}

static void rd_done(struct rd *rd)
{
	for (uint64_t b = rd->first; b <= rd->last; b++)
		cache_dblk_unref(rd->f->v, rd->d[b - rd->first]);
	for (uint32_t k = 0; k < rd->ngroups; k++) {
		cache_meta_unref(rd->m[k]);
		if (rd->g[k])
			blockio_node_put(rd->g[k]);
	}
}

static void iov_add(struct iovec *iov, int *n, uint8_t *p, size_t len)
{
	if (*n > 0 && (uint8_t *)iov[*n - 1].iov_base + iov[*n - 1].iov_len == p) {
		iov[*n - 1].iov_len += len;
		return;
	}
	iov[*n].iov_base = p;
	iov[(*n)++].iov_len = len;
}

static bool is_metadata(const struct rd *rd, const uint8_t *p)
{
	return p >= rd->meta && p < rd->meta + VIO_HEADS_LEN;
}

/* One read from lo to hi (blocks at home), with the metadata blocks that lie between or just before. Data behind the end of the lower file
 * reads as zeros, and does not verify; a metadata block there is an error, as in blockio_node: one that ends in zeros would verify. */
static int rd_home(struct rd *rd, uint64_t lo, uint64_t hi)
{
	struct vio *v = rd->f->v;
	struct iovec iov[2 * READ_GROUPS];
	uint64_t off = layout_block_off(lo);
	size_t want = 0, got, skip;
	int n = 0, fd, r;
	ssize_t len;

	for (uint64_t b = lo; b <= hi; b++) {
		unsigned k = layout_group_of_block(b) - rd->g0;

		if (layout_index_of_block(b) == 0 && (b != lo || (rd->exists[k] && !rd->g[k]))) {
			iov_add(iov, &n, rd->meta + k * (size_t)BLOCK_SIZE, BLOCK_SIZE);
			rd->meta_read[k] = true;
			if (b == lo)
				off -= BLOCK_SIZE;
		}
		iov_add(iov, &n, rd->out + (b - rd->first) * BLOCK_SIZE, BLOCK_SIZE);
	}
	for (int i = 0; i < n; i++)
		want += iov[i].iov_len;
	r = iofile_fd(rd->f, want >= VIO_BULK_MIN, &fd);
	if (r < 0)
		return r;
	len = v->l->ops->preadv(v->l, fd, iov, n, off);
	iofile_fd_put(rd->f);
	if (len < 0)
		return (int)len;
	got = (size_t)len;
	for (int i = 0; i < n && got < want; i++) {
		skip = got < iov[i].iov_len ? got : iov[i].iov_len;
		if (skip < iov[i].iov_len && is_metadata(rd, iov[i].iov_base))
			return blockio_integrity(rd->f, METER_GROUP, "end of file in the metadata of the groups from", rd->g0);
		memset((uint8_t *)iov[i].iov_base + skip, 0, iov[i].iov_len - skip);
		got -= skip;
		want -= iov[i].iov_len;
	}
	return 0;
}

/* Nodes of the groups whose metadata came with the data; the first group's comes alone when the request begins inside it. */
static int rd_nodes(struct rd *rd, bool before)
{
	int r;

	for (uint32_t k = 0; k < rd->ngroups; k++) {
		if (!rd->exists[k] || rd->g[k])
			continue;
		if (before && !(k == 0 && layout_index_of_block(rd->first) != 0))
			continue;
		if (rd->meta_read[k]) {
			r = blockio_node_parse(rd->f, rd->g0 + k, rd->meta + k * (size_t)BLOCK_SIZE);
			if (r < 0)
				return r;
		}
		r = blockio_node(rd->f, rd->g0 + k, &rd->g[k]);
		if (r < 0)
			return r;
		lock_take(&rd->f->m);
		rd->m[k] = cache_meta_ref(rd->g[k]->cur);
		lock_drop(&rd->f->m);
	}
	return 0;
}

/* *ret_b: the block that does not verify. */
static int rd_open(struct rd *rd, uint64_t *ret_b)
{
	struct iofile *f = rd->f;
	struct entry e;
	int r;

	for (uint64_t b = rd->first; b <= rd->last; b++) {
		unsigned k = layout_group_of_block(b) - rd->g0, i = layout_index_of_block(b);
		uint8_t *p = rd->out + (b - rd->first) * BLOCK_SIZE;
		struct dblk *d = rd->d[b - rd->first];
		struct gmeta *m = rd->m[k];

		if (!m || cache_entry_is_hole(m, i)) {
			memset(p, 0, BLOCK_SIZE);
			continue;
		}
		cache_entry_get(m, i, &e);
		r = blockio_open_block(f, m->epoch, b, &e, d ? d->buf : p, p);
		if (r < 0) {
			*ret_b = b;
			return r;
		}
	}
	return 0;
}

static int read_blocks(struct rd *rd)
{
	uint64_t lo, hi, bad = 0;
	int r;

	rd_look(rd);
	r = rd_nodes(rd, true);
	if (r < 0)
		return r;
	for (lo = rd->first; lo <= rd->last && !at_home(rd, lo); lo++)
		;
	for (hi = rd->last; hi > lo && !at_home(rd, hi); hi--)
		;
	rd->early = rd->early && rd->g[0];
	if (lo <= rd->last && !rd->early) {
		r = rd_home(rd, lo, hi);
		if (r < 0)
			return r;
	}
	r = rd_nodes(rd, false);
	if (r < 0)
		return r;
	r = rd_open(rd, &bad);
	if (r == -EBADMSG && rd->early && lo <= rd->last) {
		/* Written meanwhile. No other error has been counted, and nobody can write now. */
		r = rd_home(rd, lo, hi);
		if (r < 0)
			return r;
		r = rd_open(rd, &bad);
	}
	return blockio_verdict(rd->f, r, METER_BLOCK, "block", bad);
}

/* At most VIO_WRITE_MAX bytes; len is inside the file. */
static int read_some(struct iofile *f, uint8_t *buf, size_t len, uint64_t off, bool early)
{
	struct rd rd = { .f = f, .first = off / BLOCK_SIZE, .last = (off + len - 1) / BLOCK_SIZE, .early = early };
	bool bounce = off % BLOCK_SIZE != 0 || (uintptr_t)buf % BLOCK_SIZE != 0;
	int r;

	rd.meta = vio_heads(f->v);
	rd.out = bounce ? vio_scratch(f->v) : buf;
	if (!rd.meta || !rd.out)
		return -ENOMEM;
	rd.g0 = layout_group_of_block(rd.first);
	rd.ngroups = layout_group_of_block(rd.last) - rd.g0 + 1;
	blockio_range_lock(f, rd.g0, rd.g0 + rd.ngroups - 1, false);
	r = read_blocks(&rd);
	rd_done(&rd);
	blockio_range_unlock(f, rd.g0, rd.g0 + rd.ngroups - 1);
	if (r == 0 && bounce)
		memcpy(buf, rd.out + off % BLOCK_SIZE, len);
	return r;
}

static ssize_t read_all(struct iofile *f, void *buf, size_t len, uint64_t off, bool early)
{
	uint64_t size;
	size_t done = 0;
	int r = 0;

	pthread_rwlock_rdlock(&f->shape_lock);
	size = iofile_size(f);
	if (off >= size)
		len = 0;
	else if (len > size - off)
		len = (size_t)(size - off);
	while (done < len && r == 0) {
		size_t n = len - done < VIO_WRITE_MAX ? len - done : VIO_WRITE_MAX;

		r = read_some(f, (uint8_t *)buf + done, n, off + done, early);
		if (r == 0)
			done += n;
	}
	pthread_rwlock_unlock(&f->shape_lock);
	cache_trim(f->v, CACHE_TRIM_STEP);
	atomic_fetch_add(&f->v->read_bytes, done);
	/* never short for an error: to the kernel a short read is the end of the file, and it would show zeros behind it */
	return r < 0 ? r : (ssize_t)done;
}

ssize_t iofile_read(struct iofile *f, void *buf, size_t len, uint64_t off)
{
	return read_all(f, buf, len, off, false);
}

/* ---- several at once */

/* Do all blocks lie at home, as far as is known in memory? */
static bool all_at_home(struct iofile *f, size_t len, uint64_t off)
{
	uint64_t first = off / BLOCK_SIZE, last = (off + len - 1) / BLOCK_SIZE;
	uint32_t no = layout_group_of_block(first);
	struct gnode *g;
	WITH_LOCK(&f->m);

	if (layout_group_of_block(last) != no || off + len > f->cur.size || !f->has_id || !group_exists(&f->cur, no))
		return false;
	g = cache_node_find(f, no);
	if (!g || !g->cur)
		return false;
	for (uint64_t b = first; b <= last; b++) {
		unsigned i = layout_index_of_block(b);

		if (cache_entry_is_hole(g->cur, i) || cache_dblk_find(g, i, cache_entry_stamp(g->cur, i)))
			return false;
	}
	return true;
}

bool iofile_early_begin(struct iofile *f, void *buf, size_t len, uint64_t off, struct iofile_early *ret_e)
{
	int fd;

	if ((uintptr_t)buf % BLOCK_SIZE != 0 || len == 0 || len > IOFILE_EARLY_MAX || len % BLOCK_SIZE != 0 || off % BLOCK_SIZE != 0)
		return false;
	if (!all_at_home(f, len, off))
		return false;
	if (iofile_fd(f, true, &fd) < 0)
		return false;
	ret_e->f = f;
	ret_e->buf = buf;
	ret_e->len = len;
	ret_e->off = off;
	ret_e->iov = (struct iovec){ buf, len };
	ret_e->req = (struct ioq_req){ .op = IOQ_READ, .fd = fd, .off = layout_block_off(off / BLOCK_SIZE) };
	return true;
}

void iofile_early_wait(struct iofile_early *e, size_t n)
{
	struct ioq *q = vio_ioq(e->f->v);
	int r;

	for (size_t k = 0; k < n; k++) {
		e[k].req.iov = &e[k].iov;
		e[k].req.iovcnt = 1;
		e[k].req.result = -ENOMEM;
	}
	if (q && n == 1) {
		r = ioq_run(q, &e->req, 1);
		(void)r; /* is in the request too */
		return;
	}
	for (size_t k = 0; q && k < n; k++) {
		r = ioq_submit(q, &e[k].req);
		if (r < 0)
			e[k].req.result = r;
	}
	while (q && ioq_wait(q))
		;
}

ssize_t iofile_early_end(struct iofile_early *e)
{
	iofile_fd_put(e->f);
	return read_all(e->f, e->buf, e->len, e->off, e->req.result == (ssize_t)e->len);
}
