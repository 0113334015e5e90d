/* check_file.c: a file's header, groups and blocks against their tags (docs/format.md section 5). The order of trust is that of every reader: H of
 * group 0, then for each group that exists its own H and E, then through its entries each block's B. A group whose metadata fails says nothing
 * about its blocks, so those are not reported. */
#include "fs/check_file.h"

#include <string.h>

#include "io/tombstone.h"

struct file {
	struct lower *l;
	const struct key_ring *ring;
	struct blockcrypt *bc;
	int fd;
	uint8_t *buf;
	struct group_header first;
	const struct check_file_report *rep;
};

static void problem(const struct file *f, enum check_kind kind, uint64_t number, int error)
{
	f->rep->problem(f->rep->ctx, kind, number, error);
}

/* The blocks of a group of which len bytes are in buf. */
static int check_blocks(struct file *f, uint32_t group, const struct group_header *h, size_t len)
{
	struct block_pos pos = { .file_id = f->first.file_id, .epoch = h->epoch };
	struct key_tag key;
	unsigned k;
	int r;

	r = key_ring_file_tag(f->ring, h->epoch, f->first.file_id, &key);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		problem(f, CHECK_GROUP, group, r);
		return 0;
	}
	for (k = 0; k < GROUP_BLOCKS; k++) {
		const uint8_t *raw = f->buf + HEADER_LEN + (size_t)k * ENTRY_LEN;
		const uint8_t *data = f->buf + (k + 1) * (size_t)BLOCK_SIZE;
		struct entry e;

		r = group_entry_parse(raw, &e);
		if (r == 0 && group_entry_is_hole(&e))
			continue;
		pos.block = (uint64_t)group * GROUP_BLOCKS + k;
		pos.stamp = e.stamp;
		f->rep->counts->blocks++;
		if (r == 0 && (k + 2) * (size_t)BLOCK_SIZE > len)
			r = -ENODATA;
		if (r == 0)
			r = blockcrypt_verify(f->bc, &key, &pos, data, e.tag);
		if (r == -ENOMEM)
			break;
		if (r < 0)
			problem(f, CHECK_BLOCK, pos.block, r);
	}
	keys_wipe(&key);
	return r == -ENOMEM ? r : 0;
}

static int check_group(struct file *f, uint32_t group)
{
	struct group_header h;
	ssize_t n;
	int r;

	f->rep->counts->groups++;
	n = lower_pread(f->l, f->fd, f->buf, GROUP_LOWER, layout_group_off(group));
	if (n == -ENOMEM)
		return (int)n;
	if (n < 0) {
		problem(f, CHECK_IO, group, (int)n);
		return 0;
	}
	f->rep->counts->bytes += (uint64_t)n;
	/* The header of an empty file may be all that a cut left: reading takes the rest of its block for zeros, and its entries are holes. */
	if (group == 0 && n > 0 && n < BLOCK_SIZE) {
		memset(f->buf + n, 0, BLOCK_SIZE - (size_t)n);
		n = BLOCK_SIZE;
	}
	r = n < BLOCK_SIZE ? -ENODATA : group_open(f->bc, f->ring, f->first.file_id, group, f->buf, &h);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		problem(f, CHECK_GROUP, group, r);
		return 0;
	}
	return check_blocks(f, group, &h, (size_t)n);
}

/* 1: there is a header, and f->first is it; 0: an empty file, or it was reported; -ENOMEM. */
static int check_header(struct file *f, const struct stat *st)
{
	ssize_t n;
	int r;

	if (st->st_size == 0)
		return 0;
	memset(f->buf, 0, BLOCK_SIZE);
	n = lower_pread(f->l, f->fd, f->buf, BLOCK_SIZE, 0);
	if (n == -ENOMEM)
		return (int)n;
	if (n < 0) {
		problem(f, CHECK_IO, 0, (int)n);
		return 0;
	}
	if (layout_is_zero(f->buf, BLOCK_SIZE)) {
		if ((uint64_t)st->st_size > GROUP_LOWER)
			problem(f, CHECK_HEADER, 0, -ENODATA);
		return 0;
	}
	r = group_open_first(f->bc, f->ring, f->buf, &f->first);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		/* Only words hang on that flag: without a tag anybody may have set it; a read-only replay does (io/replay_view.c). */
		bool damaged = r == -EBADMSG && group_header_parse(f->buf, &f->first) == 0 && (f->first.flags & GROUP_FLAG_DAMAGED);

		problem(f, damaged ? CHECK_DAMAGED : CHECK_HEADER, 0, damaged ? -EIO : r);
		return 0;
	}
	if (f->first.flags & GROUP_FLAG_DAMAGED) {
		problem(f, tombstone_like(&f->first, (uint64_t)st->st_size) && f->rep->tombstone(f->rep->ctx, f->first.file_id) ?
			CHECK_TOMBSTONE : CHECK_DAMAGED, 0, -EIO);
		return 0;
	}
	return 1;
}

int check_file(struct lower *l, const struct key_ring *ring, int fd, const struct stat *st, uint8_t *buf,
	       const struct check_file_report *rep)
{
	struct file f = { .l = l, .ring = ring, .bc = blockcrypt_get(), .fd = fd, .buf = buf, .rep = rep };
	uint32_t group;
	int r;

	if (!f.bc)
		return -ENOMEM;
	r = check_header(&f, st);
	if (r <= 0)
		return r;
	for (group = 0; group < f.first.shape.alloc_groups; group++) {
		if (!group_exists(&f.first.shape, group))
			continue;
		r = check_group(&f, group);
		if (r < 0)
			return r;
		if (!rep->progress(rep->ctx))
			return -EINTR;
	}
	return 0;
}
