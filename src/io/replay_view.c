/* replay_view.c: reading through the log (replay_view.h).
 *
 *   block of a lower file                      what a reader gets
 *   metadata of a group with records           home's (or zeros: EMPTY), the recorded entries over it, the header by the log
 *   metadata of group 0 without a record       home's, the header by the log: each FILE seals it anew
 *   metadata of group 0 of a file that failed  home's with DAMAGED in its header, which no tag fits
 *   data that the log holds                    that, from its position in the ring
 *   all else                                   home's
 *
 * That is byte for byte what replay_file.c would have written home, so readers verify it as ever: H, E, B. Tables do not change once they are
 * made, so nothing is locked. A file is known by its inode: hard links are one, and a second file of the same file_id that "Which
 * file" did not choose is read as it lies there, as behind a replay. */
#include "io/replay_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "io/replay_impl.h"

struct replay_view {
	struct replay *rp;
	struct lower *l;                 /* below the one that is patched */
	int log_fd;
	struct replay_file **slot;       /* open-addressed by inode; at most half full */
	size_t slots, files;
};

/* ---- which file */

static size_t slot_of(const struct replay_view *view, dev_t dev, ino_t ino)
{
	size_t i = hash_u64x2(dev, ino) & (view->slots - 1);

	while (view->slot[i] && (view->slot[i]->dev != dev || view->slot[i]->ino != ino))
		i = (i + 1) & (view->slots - 1);
	return i;
}

static int make_slots(struct replay_view *view)
{
	const struct replay *rp = view->rp;
	size_t i;

	for (view->slots = 2; view->slots < 2 * rp->nfiles; view->slots *= 2)
		;
	view->slot = calloc(view->slots, sizeof(struct replay_file *));
	if (!view->slot)
		return -ENOMEM;
	for (i = 0; i < rp->nfiles; i++) {
		struct replay_file *f = rp->files[i];

		if (!f->counts || !f->found || f->skipped)
			continue;
		view->slot[slot_of(view, f->dev, f->ino)] = f;
		view->files++;
	}
	return 0;
}

static int file_of(const struct replay_view *view, int fd, const struct replay_file **ret_f)
{
	struct stat st;
	int r;

	r = view->l->ops->fstat(view->l, fd, &st);
	if (r < 0)
		return r;
	*ret_f = view->slot[slot_of(view, st.st_dev, st.st_ino)];
	return 0;
}

/* ---- what a block becomes */

/* Home's metadata block in p. True: it was changed. */
static bool patch_meta(const struct replay_file *f, const struct replay_group *g, uint8_t *p)
{
	struct group_header home = { 0 }, h;

	if (f->failed) {
		if (group_header_parse(p, &home) < 0)
			return false; /* no better than what it should become */
		home.flags |= GROUP_FLAG_DAMAGED;
		group_header_put(&home, p);
		return true;
	}
	if (g && g->base == LOG_BASE_EMPTY)
		memset(p, 0, BLOCK_SIZE);
	else if (!g && group_header_parse(p, &home) < 0)
		return false;
	replay_file_header(f, g, &home, &h);
	replay_file_image(g, &h, p);
	return true;
}

/* A walk through the blocks of one read. */
struct patch {
	const struct replay_view *view;
	const struct replay_file *f;
	const struct iovec *iov;
	size_t at;               /* in iov[0] */
	uint64_t off, end, last; /* in the lower file; last: behind the last block that is not home's */
};

static uint8_t *here(const struct patch *x)
{
	return (uint8_t *)x->iov->iov_base + x->at;
}

static void step(struct patch *x, size_t blocks)
{
	x->off += blocks * BLOCK_SIZE;
	x->at += blocks * BLOCK_SIZE;
	while (x->off < x->end && x->at >= x->iov->iov_len) {
		x->at -= x->iov->iov_len;
		x->iov++;
	}
}

/* The blocks of g from index on that stand one after the other in the log as here: read them at once. */
static int patch_data(struct patch *x, const struct replay_group *g, unsigned index, size_t *ret_n)
{
	const struct replay_block *b = replay_gather_logged(g, index), *next;
	uint64_t ring = x->view->rp->st.log_blocks, room = (x->iov->iov_len - x->at) / BLOCK_SIZE;
	size_t n = 1;
	int r;

	*ret_n = 1;
	if (!b)
		return 0;
	if (room > ring - b->pos % ring)
		room = ring - b->pos % ring;
	for (; n < room && index + n < GROUP_BLOCKS; n++) {
		next = replay_gather_logged(g, index + (unsigned)n);
		if (!next || next->pos != b->pos + n)
			break;
	}
	r = lower_pread_full(x->view->l, x->view->log_fd, here(x), n * BLOCK_SIZE, b->pos % ring * BLOCK_SIZE);
	if (r < 0)
		return -EIO; /* not r: the backing has errors that look like a verdict, EBADMSG for one */
	*ret_n = n;
	x->last = x->off + n * BLOCK_SIZE;
	return 0;
}

static int patch_blocks(struct patch *x)
{
	const struct replay_group *g;
	size_t n;
	int r;

	while (x->off < x->end) {
		uint32_t no = (uint32_t)(x->off / GROUP_LOWER);
		unsigned place = (unsigned)(x->off % GROUP_LOWER / BLOCK_SIZE); /* 0: metadata, else 1 + index */

		g = x->f->failed ? NULL : replay_gather_group(x->f, no);
		n = 1;
		if (place == 0 && (g || no == 0)) {
			if (patch_meta(x->f, g, here(x)))
				x->last = x->off + BLOCK_SIZE;
		} else if (place > 0 && g) {
			r = patch_data(x, g, place - 1, &n);
			if (r < 0)
				return r;
		}
		step(x, n);
	}
	return 0;
}

/* ---- between a read and its reader */

/* What home did not have is zero, as if the file were longer. */
static void zero_behind(const struct iovec *iov, int n, size_t got)
{
	for (int i = 0; i < n; i++) {
		size_t skip = got < iov[i].iov_len ? got : iov[i].iov_len;

		memset((uint8_t *)iov[i].iov_base + skip, 0, iov[i].iov_len - skip);
		got -= skip;
	}
}

static ssize_t view_patch(void *ctx, int fd, const struct iovec *iov, int n, uint64_t off, ssize_t got)
{
	struct patch x = { .view = ctx, .iov = iov, .off = off, .end = off };
	uint64_t len = (uint64_t)got;
	int i, r;

	r = file_of(x.view, fd, &x.f);
	if (r < 0 || !x.f)
		return r < 0 ? r : got;
	for (i = 0; i < n; i++) {
		if (iov[i].iov_len % BLOCK_SIZE != 0 || (uintptr_t)iov[i].iov_base % BLOCK_SIZE != 0)
			return -EINVAL;
		x.end += iov[i].iov_len;
	}
	if (off % BLOCK_SIZE != 0)
		return -EINVAL;
	zero_behind(iov, n, (size_t)got);
	step(&x, 0); /* past what is empty */
	r = patch_blocks(&x);
	if (r < 0)
		return r;
	return (ssize_t)(x.last > off + len ? x.last - off : len);
}

/* ---- making */

int replay_view_new(struct replay **rp, struct replay_view **ret_view)
{
	struct replay_view *view = calloc(1, sizeof(*view));
	int r = -ENOMEM;

	if (view) {
		view->rp = take_ptr(*rp);
		view->log_fd = view->rp->log_direct >= 0 ? view->rp->log_direct : view->rp->log_fd;
		r = make_slots(view);
	}
	if (r < 0) {
		replay_free(take_ptr(*rp));
		replay_view_free(view);
		return r;
	}
	replay_log_trim(view->rp);
	*ret_view = view;
	return 0;
}

void replay_view_free(struct replay_view *view)
{
	if (!view)
		return;
	replay_free(view->rp);
	free(view->slot);
	free(view);
}

void replay_view_install(struct replay_view *view, struct lower_ro *ro)
{
	view->l = ro->inner;
	if (view->files > 0)
		lower_ro_set_patch(ro, view_patch, view);
}
