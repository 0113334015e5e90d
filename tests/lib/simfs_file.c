/* simfs_file.c: writing, cutting and preallocating. Each change is made to the cache and put down as an op of the file; blocks of
 * 4 KiB are what a truncate or punch frees, the edges are zeros that are written. Bytes behind the size are always zero. */
#include "simfs_impl.h"

#include <fcntl.h>
#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return n / to + (n % to != 0);
}

static uint64_t space_left(const struct simfs *fs)
{
	if (fs->p.capacity == 0)
		return UINT64_MAX;
	return fs->p.capacity > fs->used ? fs->p.capacity - fs->used : 0;
}

/* How many of len bytes at off find space. */
static uint64_t fitting(const struct simfs *fs, const struct sim_inode *i, uint64_t off, uint64_t len)
{
	uint64_t left = space_left(fs);

	if (left == UINT64_MAX)
		return len;
	for (uint64_t p = off / PAGE; p < round_up(off + len, PAGE); p++)
		if (!sim_map_page(i->cur, p) && left-- == 0)
			return p * PAGE > off ? p * PAGE - off : 0;
	return len;
}

static bool same_sector(const struct sim_map *m, uint64_t sector, const uint8_t *p)
{
	static const uint8_t zeros[SECTOR];
	const uint8_t *page = sim_map_page(m, sector / PAGE_SECTORS);

	return memcmp(page ? page + sector % PAGE_SECTORS * SECTOR : zeros, p, SECTOR) == 0;
}

static void change_cache(struct simfs *fs, struct sim_inode *i, const struct sim_op *op)
{
	uint64_t before = i->cur->npages;

	sim_op_apply(op, &i->cur);
	if (i->dev)
		sim_op_apply(op, &i->dev);
	fs->used += i->cur->npages - before;
}

/* The op for these sectors; where it changes nothing whether it survives or not, only for those that differ. */
static void push_writes(struct sim_inode *i, const struct sim_op *op, bool all)
{
	struct sim_op run = *op;
	uint64_t s;

	if (all || i->dev || i->nfree > 0) {
		run.blob = sim_blob_ref(op->blob);
		sim_op_push(i, run);
		return;
	}
	for (s = op->s0; s < op->s1;) {
		if (same_sector(i->cur, s, op->blob->b + (s - op->s0) * SECTOR)) {
			s++;
			continue;
		}
		run.s0 = s;
		run.at = (s - op->s0) * SECTOR;
		while (s < op->s1 && !same_sector(i->cur, s, op->blob->b + (s - op->s0) * SECTOR))
			s++;
		run.s1 = s;
		run.blob = sim_blob_ref(op->blob);
		sim_op_push(i, run);
	}
}

static void gather(struct sim_blob *blob, size_t skip, const struct iovec *iov, int n, size_t len)
{
	uint8_t *at = blob->b + skip;
	size_t part;

	for (int k = 0; k < n && len > 0; k++) {
		part = iov[k].iov_len < len ? iov[k].iov_len : len;
		if (part > 0)
			memcpy(at, iov[k].iov_base, part);
		at += part;
		len -= part;
	}
}

/* Whole sectors: what the write does not cover comes from the cache. */
static struct sim_op write_op(const struct sim_inode *i, const struct iovec *iov, int n, uint64_t off, uint64_t len)
{
	struct sim_op op = { .kind = OP_WRITE, .s0 = off / SECTOR, .s1 = round_up(off + len, SECTOR), .at = 0 };

	op.size = i->size > off + len ? i->size : off + len;
	op.blob = sim_blob_new((op.s1 - op.s0) * SECTOR);
	if (off % SECTOR != 0)
		sim_map_read(i->cur, op.s0 * SECTOR, op.blob->b, SECTOR);
	if ((off + len) % SECTOR != 0)
		sim_map_read(i->cur, (op.s1 - 1) * SECTOR, op.blob->b + (op.s1 - 1 - op.s0) * SECTOR, SECTOR);
	gather(op.blob, off % SECTOR, iov, n, len);
	return op;
}

ssize_t sim_file_write(struct simfs *fs, struct sim_inode *i, const struct iovec *iov, int n, uint64_t off, bool dsync)
{
	uint64_t want = 0, len;
	struct sim_op op;

	for (int k = 0; k < n; k++)
		want += iov[k].iov_len;
	if (off > INT64_MAX - want)
		return -EFBIG;
	if (want == 0)
		return 0;
	len = fitting(fs, i, off, want);
	if (len > 0) {
		op = write_op(i, iov, n, off, len);
		push_writes(i, &op, dsync || op.size > i->size);
		change_cache(fs, i, &op);
		sim_blob_unref(op.blob);
		i->size = op.size;
		sim_touch(fs, i);
	}
	if (len < want)
		return -ENOSPC;
	if (dsync)
		(void)sim_begin(fs, SIMFS_CALL_FLUSH); /* written, not durable yet: a cut here tears it */
	if (dsync && sim_fault_hits(fs, i))
		sim_file_lose(fs, i, i->nops - 1, fs->fault.err);
	else if (dsync)
		sim_file_flush_last(fs, i);
	return (ssize_t)len;
}

/* Zeros within one block, as far as the file goes and there is anything else. */
static void write_zeros(struct simfs *fs, struct sim_inode *i, uint64_t off, uint64_t end)
{
	static uint8_t zeros[PAGE];
	struct iovec iov = { zeros, 0 };
	struct sim_op op;

	end = min_u64(end, i->size);
	if (off >= end || !sim_map_page(i->cur, off / PAGE))
		return;
	iov.iov_len = end - off;
	op = write_op(i, &iov, 1, off, end - off);
	push_writes(i, &op, false);
	change_cache(fs, i, &op);
	sim_blob_unref(op.blob);
}

/* Free whole blocks, and set the size unless it is SIZE_KEEP. */
static void free_blocks(struct simfs *fs, struct sim_inode *i, uint64_t p0, uint64_t p1, uint64_t size)
{
	struct sim_op op = { .kind = OP_SIZE, .s0 = p0 * PAGE_SECTORS, .s1 = p1 * PAGE_SECTORS, .size = size };

	if (p0 < p1 && (sim_map_has(i->cur, p0, p1) || (i->dev && sim_map_has(i->dev, p0, p1))))
		op.kind = OP_FREE;
	else if (size == SIZE_KEEP || size == i->size)
		return;
	sim_op_push(i, op);
	change_cache(fs, i, &op);
	if (size != SIZE_KEEP)
		i->size = size;
}

int sim_file_truncate(struct simfs *fs, struct sim_inode *i, uint64_t size)
{
	if (size > INT64_MAX)
		return -EFBIG;
	if (size % PAGE != 0)
		write_zeros(fs, i, size, (size / PAGE + 1) * PAGE);
	if (size > i->size)
		free_blocks(fs, i, 0, 0, size);
	else
		free_blocks(fs, i, round_up(size, PAGE), SECTOR_END / PAGE_SECTORS, size);
	sim_touch(fs, i);
	return 0;
}

static void punch(struct simfs *fs, struct sim_inode *i, uint64_t off, uint64_t end)
{
	uint64_t p0 = round_up(off, PAGE), p1 = end / PAGE;

	if (p0 > p1) {
		write_zeros(fs, i, off, end);
		return;
	}
	if (off % PAGE != 0)
		write_zeros(fs, i, off, p0 * PAGE);
	if (end % PAGE != 0)
		write_zeros(fs, i, p1 * PAGE, end);
	free_blocks(fs, i, p0, p1, SIZE_KEEP);
}

int sim_file_allocate(struct simfs *fs, struct sim_inode *i, int mode, uint64_t off, uint64_t len)
{
	struct sim_op op = { .kind = OP_ALLOC, .size = SIZE_KEEP };
	uint64_t holes;

	if (fs->p.lacks & SIMFS_NO_FALLOCATE)
		return -EOPNOTSUPP;
	if (len == 0 || off > INT64_MAX || len > INT64_MAX - off)
		return -EINVAL;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		punch(fs, i, off, off + len);
		sim_touch(fs, i);
		return 0;
	}
	if (mode & ~FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	op.s0 = off / PAGE * PAGE_SECTORS;
	op.s1 = round_up(off + len, PAGE) * PAGE_SECTORS;
	holes = sim_map_holes(i->cur, op.s0 / PAGE_SECTORS, op.s1 / PAGE_SECTORS);
	if (holes > space_left(fs))
		return -ENOSPC;
	if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > i->size)
		op.size = off + len;
	if (holes > 0 || op.size != SIZE_KEEP) {
		sim_op_push(i, op);
		change_cache(fs, i, &op);
		if (op.size != SIZE_KEEP)
			i->size = op.size;
	}
	sim_touch(fs, i);
	return 0;
}
