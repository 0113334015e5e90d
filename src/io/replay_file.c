/* replay_file.c: one file: every group that the log touched is built and checked against its last seal; only then is anything written,
 * blocks, then groups by falling number, group 0's with the header last.
 *
 * What is written carries the seals that the log has; none is made. So a replay that is cut leaves a home from which the next one
 * computes the same: of every image it writes, the entries that the log does not hold are as they were at home before.
 *
 * Group 0 is always written, because each FILE seals its header anew; when no GROUP 0 came its entries and their seal are home's. */
#include "io/replay_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct work {
	struct replay *rp;
	struct replay_file *f;
	struct replay_home h;
	struct group_header head;        /* at home, verified, whatever its age */
	struct replay_group **groups;    /* by falling number */
	struct replay_group *zero;       /* group 0 of them, or NULL */
	uint8_t *p;                      /* BLOCK_SIZE: a metadata block */
	uint8_t *run;                    /* GROUP_BLOCKS blocks */
};

/* ---- building and checking ---- */

void replay_file_header(const struct replay_file *f, const struct replay_group *g, const struct group_header *home,
			struct group_header *ret_h)
{
	struct group_header h = { .group = g ? g->no : 0 };

	memcpy(h.file_id, f->file_id, FILE_ID_LEN);
	h.epoch = g ? g->epoch : home->epoch;
	h.entries = g ? g->entries : home->entries;
	if (h.group == 0)
		h.shape = f->shape;
	h.header = h.group == 0 ? f->header : g->header;
	*ret_h = h;
}

void replay_file_image(const struct replay_group *g, const struct group_header *h, uint8_t *p)
{
	unsigned i;

	for (i = 0; g && i < g->n; i++)
		group_entry_put(&g->blocks[i].entry, p + HEADER_LEN + (size_t)g->blocks[i].index * ENTRY_LEN);
	group_header_put(h, p);
}

/* Blocks in the log must have been sealed under the epoch that the group ends with. */
static bool one_epoch(const struct replay_group *g)
{
	unsigned i;

	for (i = 0; i < g->n; i++) {
		if (g->blocks[i].pos != REPLAY_NO_POS && g->blocks[i].epoch != g->epoch)
			return false;
	}
	return true;
}

/* What stands at home below the records. With the rule seal switched off only home's own seal can say that it is whole. */
static int base_of(struct work *w, const struct replay_group *g, uint8_t *p)
{
	uint32_t no = g ? g->no : 0;
	struct group_header h;
	int r;

	if (g && g->base == LOG_BASE_EMPTY) {
		memset(p, 0, BLOCK_SIZE);
		return 0;
	}
	r = replay_home_read(w->rp, &w->h, layout_group_off(no), p);
	if (r < 0 || rule_on(w->rp->p, seal))
		return r;
	return group_open(w->rp->bc, w->rp->p->ring, w->f->file_id, no, p, &h);
}

/* The metadata block as it must become, in w->p. g NULL: group 0 without a record. -EBADMSG: the seals do not fit. */
static int image(struct work *w, const struct replay_group *g)
{
	const struct key_tag *key;
	struct group_header h;
	int r;

	r = base_of(w, g, w->p);
	if (r < 0)
		return r;
	replay_file_header(w->f, g, &w->head, &h);
	replay_file_image(g, &h, w->p);
	if (!rule_on(w->rp->p, seal))
		return 0;
	if (g && !one_epoch(g))
		return -EBADMSG;
	r = replay_tag_key(w->rp, h.epoch, w->f->file_id, &key);
	if (r == 0)
		r = group_check_header(w->rp->bc, key, &h);
	if (r == 0)
		r = group_check_entries(w->rp->bc, key, &h, w->p + HEADER_LEN);
	return r;
}

static int check_all(struct work *w)
{
	size_t i;
	int r = 0;

	for (i = 0; i < w->f->groups && r == 0; i++)
		r = image(w, w->groups[i]);
	if (r == 0 && !w->zero)
		r = image(w, NULL);
	return r;
}

/* ---- writing ---- */

static int put(struct work *w, const uint8_t *p, size_t len, uint64_t off)
{
	return lower_pwrite(w->rp->l, w->h.fd, p, len, off, false);
}

/* Read n blocks that stand one after the other in the log and at home, from index on, and look at them again: time has passed. */
static int fetch(struct work *w, const struct replay_group *g, unsigned index, unsigned n)
{
	const struct key_tag *key;
	unsigned i;
	int r;

	r = replay_log_read(w->rp, g->blocks[g->at[index] - 1].pos, n, w->run);
	if (r == 0)
		r = replay_tag_key(w->rp, g->epoch, w->f->file_id, &key);
	for (i = 0; i < n && r == 0 && rule_on(w->rp->p, whole); i++) {
		const struct entry *e = &g->blocks[g->at[index + i] - 1].entry;
		struct block_pos at = {
			.file_id = w->f->file_id, .block = (uint64_t)g->no * GROUP_BLOCKS + index + i, .stamp = e->stamp,
			.epoch = g->epoch,
		};

		r = blockcrypt_verify(w->rp->bc, key, &at, w->run + (size_t)i * BLOCK_SIZE, e->tag);
	}
	return r == -EBADMSG ? log_ret(-EIO, "%s: a block changed while it was read", NAME_LOG) : r;
}

static int write_blocks(struct work *w, const struct replay_group *g)
{
	unsigned index, n;
	int r = 0;

	for (index = 0; index < GROUP_BLOCKS && r == 0; index += n) {
		const struct replay_block *b = replay_gather_logged(g, index), *next;

		n = 1;
		if (!b)
			continue;
		for (; index + n < GROUP_BLOCKS; n++) {
			next = replay_gather_logged(g, index + n);
			if (!next || next->pos != b->pos + n)
				break;
		}
		r = fetch(w, g, index, n);
		if (r == 0)
			r = put(w, w->run, (size_t)n * BLOCK_SIZE, layout_block_off((uint64_t)g->no * GROUP_BLOCKS + index));
	}
	return r;
}

static int write_meta(struct work *w, const struct replay_group *g)
{
	int r;

	r = image(w, g);
	if (r == -EBADMSG)
		return log_ret(-EIO, "a lower file changed while it was read");
	return r < 0 ? r : put(w, w->p, BLOCK_SIZE, layout_group_off(g ? g->no : 0));
}

static int write_once(struct work *w)
{
	const struct timespec ts[2] = { w->h.st.st_atim, w->h.st.st_mtim };
	struct lower *l = w->rp->l;
	size_t i;
	int r = 0;

	for (i = 0; i < w->f->groups && r == 0; i++) {
		replay_step(w->rp);
		r = write_blocks(w, w->groups[i]);
	}
	for (i = 0; i < w->f->groups && r == 0; i++)
		r = write_meta(w, w->groups[i]);
	if (r == 0 && !w->zero)
		r = write_meta(w, NULL);
	if (r < 0)
		return r;
	/* What the user was told of the times is not ours to change; not being the owner is no reason to fail. */
	(void)l->ops->futimens(l, w->h.fd, ts);
	return 0;
}

/* A flush tells errors of before this mount, too, once a file; and one that fails loses what was written. So a failed one is not the end: what is
 * written again, and then flushed, counts. */
static int write_all(struct work *w, bool flush)
{
	struct lower *l = w->rp->l;
	int r;

	r = write_once(w);
	if (r < 0 || !flush)
		return r;
	r = l->ops->fsync(l, w->h.fd);
	if (r == 0)
		return 0;
	log_warning("inode %llu: flush of the backing file failed (%s); writing again", (unsigned long long)w->h.st.st_ino, err_text(r));
	r = write_once(w);
	return r < 0 ? r : l->ops->fsync(l, w->h.fd);
}

/* ---- the file ---- */

static int failed(struct work *w, int why)
{
	struct replay *rp = w->rp;
	char id[33];
	int r;

	replay_id_text(w->f->file_id, id);
	log_err("file %s (inode %llu): replay failed: %s", id, (unsigned long long)w->h.st.st_ino, err_text(why));
	if (!w->f->failed)
		rp->res.quarantined++;
	w->f->failed = true;
	r = rp->check_only ? 0 : quarantine_file(rp, w->f, &w->h, &w->head);
	if (r < 0)
		return r;
	replay_event(rp, VIO_EVENT_QUARANTINE, "file %s (inode %llu) failed replay", id, (unsigned long long)w->h.st.st_ino);
	return 0;
}

static int read_header(struct work *w)
{
	int r;

	r = replay_home_read(w->rp, &w->h, 0, w->p);
	if (r == 0)
		r = group_open_first(w->rp->bc, w->rp->p->ring, w->p, &w->head);
	if (r == 0 && memcmp(w->head.file_id, w->f->file_id, FILE_ID_LEN) != 0)
		r = -EBADMSG;
	if (r == 0 && !w->rp->p->accept_older && state_stamp_is_ahead(w->rp->s, w->head.header.stamp)) {
		replay_event(w->rp, VIO_EVENT_INTEGRITY, "inode %llu: header is newer than coffer.state", (unsigned long long)w->h.st.st_ino);
		return log_ret(-ESTALE, "state or log were put back: a lower file (inode %llu) is newer",
			       (unsigned long long)w->h.st.st_ino);
	}
	/* It did verify when the file was found. */
	return r == -ENOMEM || r == 0 ? r : log_ret(-EIO, "the header of a lower file changed while it was read");
}

static int run(struct work *w, bool flush)
{
	struct replay *rp = w->rp;
	int r;

	r = read_header(w);
	if (r < 0)
		return r;
	if (w->head.flags & GROUP_FLAG_DAMAGED) {
		log_warning("inode %llu: marked as damaged by an earlier replay, skipped", (unsigned long long)w->h.st.st_ino);
		w->f->skipped = true;
		return 0;
	}
	r = check_all(w);
	if (r == -EBADMSG || r == -EUCLEAN || (r == -EIO && rp->accept_log_loss))
		return failed(w, r);
	if (r < 0)
		return log_ret(r, "inode %llu", (unsigned long long)w->h.st.st_ino);
	rp->res.files++;
	return rp->check_only ? 0 : write_all(w, flush);
}

int replay_file_run(struct replay *rp, struct replay_file *f, bool flush)
{
	AUTO_FREE uint8_t *p = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	AUTO_FREE uint8_t *blocks = aligned_alloc(BLOCK_SIZE, GROUP_BLOCKS * BLOCK_SIZE);
	AUTO_FREE struct replay_group **groups = NULL;
	struct work w = { .rp = rp, .f = f, .p = p, .run = blocks };
	int r;

	if (!p || !blocks)
		return -ENOMEM;
	r = replay_gather_sorted(f, &groups);
	if (r < 0)
		return r;
	w.groups = groups;
	if (f->groups > 0 && groups[f->groups - 1]->no == 0)
		w.zero = groups[f->groups - 1];
	r = replay_find_open(rp, f, rp->check_only ? O_RDONLY : O_RDWR, &w.h);
	if (r < 0)
		return log_ret(r, "a lower file that the log names");
	r = run(&w, flush);
	replay_home_close(rp, &w.h);
	return r;
}
