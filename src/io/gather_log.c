/* gather_log.c: see gather_log.h. It decrypts the whole file at each gather: for tests with small files. */
#include "io/gather_log.h"

#if COFFER_TEST_HOOKS

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Metadata of a group of cur: from its node, or from home (then it is clean). */
static int entries_of(struct iofile *f, int fd, uint32_t no, uint8_t *p, const uint8_t **ret_ent, uint16_t *ret_epoch)
{
	struct gnode *g = cache_node_find(f, no);
	struct group_header h;
	int r;

	if (g && g->cur) {
		*ret_ent = g->cur->ent;
		*ret_epoch = g->cur->epoch;
		return 0;
	}
	r = lower_pread_full(f->v->l, fd, p, BLOCK_SIZE, layout_group_off(no));
	if (r == 0)
		r = group_open(blockcrypt_get(), f->v->p.ring, f->file_id, no, p, &h);
	*ret_ent = p + HEADER_LEN;
	*ret_epoch = r == 0 ? h.epoch : 0;
	return r;
}

static int plain_block(struct iofile *f, int fd, uint64_t b, const uint8_t *ent, uint16_t epoch, uint8_t *buf)
{
	struct gnode *g = cache_node_find(f, layout_group_of_block(b));
	unsigned i = layout_index_of_block(b);
	struct dblk *d;
	struct entry e;
	int r;

	r = group_entry_parse(ent + i * ENTRY_LEN, &e);
	memset(buf, 0, BLOCK_SIZE);
	if (r < 0 || group_entry_is_hole(&e))
		return r;
	d = g ? cache_dblk_find(g, i, e.stamp) : NULL;
	if (d)
		return blockio_open_block(f, epoch, b, &e, d->buf, buf);
	r = lower_pread_full(f->v->l, fd, buf, BLOCK_SIZE, layout_block_off(b));
	return r < 0 ? r : blockio_open_block(f, epoch, b, &e, buf, buf);
}

void gather_log_file(struct iofile *f, uint64_t sequence)
{
	uint8_t *meta = NULL, *content = NULL;
	uint64_t blocks = layout_blocks(f->cur.size);
	const uint8_t *ent = NULL;
	uint16_t epoch = 0;
	char line[96];
	int fd, r = 0, n;

	if (f->v->p.test_gathered && !f->gone)
		f->v->p.test_gathered(f->v->p.cb.ctx, f->owner, sequence);
	if (f->v->p.gather_log_fd <= 0)
		return;
	fd = f->fd;
	if (fd < 0)
		return;
	meta = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	content = aligned_alloc(BLOCK_SIZE, (blocks + 1) * BLOCK_SIZE);
	for (uint64_t b = 0; meta && content && b < blocks && r == 0; b++) {
		uint32_t no = layout_group_of_block(b);
		bool exists = group_exists(&f->cur, no);

		if (exists && (b == 0 || layout_index_of_block(b) == 0))
			r = entries_of(f, fd, no, meta, &ent, &epoch);
		if (!exists)
			memset(content + b * BLOCK_SIZE, 0, BLOCK_SIZE);
		else if (r == 0)
			r = plain_block(f, fd, b, ent, epoch, content + b * BLOCK_SIZE);
	}
	if (meta && content) {
		n = snprintf(line, sizeof(line), "G %llu %llu %016llx\n", (unsigned long long)f->ino, (unsigned long long)f->cur.size,
			     r < 0 ? 0ull : (unsigned long long)hash_bytes(content, f->cur.size));
		if (write(f->v->p.gather_log_fd, line, (size_t)n) != n)
			abort();
	}
	free(meta);
	free(content);
}

void gather_log_between(struct vio *v)
{
	if (v->p.test_between)
		v->p.test_between(v->p.cb.ctx);
}

#endif
