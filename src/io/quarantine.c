/* quarantine.c: a file that fails replay must not heal into an older one (docs/format.md section 8): what the log has of it, and what
 * replay would have written over, is saved; then its header is sealed anew with DAMAGED. Only when all of that is flushed may the tail move.
 *
 * Cut at any point, the next mount does it again from the same log: files of the same names with the same bytes. A header that has the
 * flag already ends it earlier (replay_file.c). The stamp of the new seal is reserved in both state slots before it is used. */
#include "io/quarantine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/replay_impl.h"

#define COPY_BLOCKS 128u
#define NAME_LEN_MAX 80

struct save {
	struct replay *rp;
	const struct replay_file *f;
	int fd;
	uint64_t off;
	bool ours;               /* GROUPs belong to the file: its FILE was the last one */
	uint8_t *p;              /* COPY_BLOCKS blocks */
};

static int append(struct save *s, const uint8_t *p, size_t len)
{
	int r;

	r = lower_pwrite(s->rp->l, s->fd, p, len, s->off, false);
	if (r == 0)
		s->off += len;
	return r;
}

/* Does the descriptor in rp->d name the file? */
static int names_file(struct save *s)
{
	struct replay *rp = s->rp;
	struct log_cursor c = { 0 };
	bool names = false;
	int kind;

	if (rp->d.part == 0)
		s->ours = false;
	while ((kind = log_desc_next(&rp->d, &c, &rp->lf, &rp->lg)) > LOG_KIND_END) {
		if (kind == LOG_KIND_FILE)
			s->ours = memcmp(rp->lf.file_id, s->f->file_id, FILE_ID_LEN) == 0;
		names |= s->ours;
	}
	return kind < 0 ? kind : names;
}

static int save_desc(struct replay *rp, uint64_t pos, void *arg)
{
	struct save *s = arg;
	uint64_t left = 1 + (uint64_t)rp->d.data_blocks;
	int r;

	r = names_file(s);
	if (r <= 0)
		return r;
	for (r = 0; left > 0 && r == 0;) {
		size_t n = left < COPY_BLOCKS ? (size_t)left : COPY_BLOCKS;

		r = replay_log_read(rp, pos, n, s->p);
		if (r == 0)
			r = append(s, s->p, n * BLOCK_SIZE);
		pos += n;
		left -= n;
	}
	return r;
}

static int save_log(struct save *s, struct replay_home *h)
{
	(void)h;
	return replay_log_each(s->rp, save_desc, s);
}

/* One block of home. What cannot be read has no copy, if that is accepted. */
static int save_block(struct save *s, struct replay_home *h, uint64_t off)
{
	int r;

	memset(s->p, 0, BLOCK_SIZE);
	layout_put64(s->p, off);
	r = replay_home_read(s->rp, h, off, s->p + BLOCK_SIZE);
	if (r == -EIO && s->rp->accept_log_loss)
		return 0;
	return r < 0 ? r : append(s, s->p, 2 * (size_t)BLOCK_SIZE);
}

static int save_home(struct save *s, struct replay_home *h)
{
	AUTO_FREE struct replay_group **groups = NULL;
	bool zero = false;
	unsigned index;
	size_t i;
	int r;

	r = replay_gather_sorted(s->f, &groups);
	for (i = 0; r == 0 && i < s->f->groups; i++) {
		const struct replay_group *g = groups[i];

		zero |= g->no == 0;
		for (index = 0; index < GROUP_BLOCKS && r == 0; index++) {
			if (g->at[index] && g->blocks[g->at[index] - 1].pos != REPLAY_NO_POS)
				r = save_block(s, h, layout_block_off((uint64_t)g->no * GROUP_BLOCKS + index));
		}
		if (r == 0)
			r = save_block(s, h, layout_group_off(g->no));
	}
	if (r == 0 && !zero)
		r = save_block(s, h, 0);
	return r;
}

static int save_to(struct replay *rp, const struct replay_file *f, int dirfd, const char *suffix, struct replay_home *h,
		   int (*fn)(struct save *, struct replay_home *))
{
	AUTO_FREE uint8_t *p = aligned_alloc(BLOCK_SIZE, COPY_BLOCKS * BLOCK_SIZE);
	struct save s = { .rp = rp, .f = f, .p = p };
	char id[33], name[NAME_LEN_MAX];
	struct stat st;
	int r;

	if (!p)
		return -ENOMEM;
	replay_id_text(f->file_id, id);
	snprintf(name, sizeof(name), "%s.%llu.%s", id, (unsigned long long)rp->res.sequence, suffix);
	s.fd = lower_open_regular(rp->l, dirfd, name, O_RDWR | O_CREAT | O_TRUNC, 0600, &st);
	if (s.fd < 0)
		return s.fd;
	r = fn(&s, h);
	if (r == 0)
		r = rp->l->ops->fsync(rp->l, s.fd);
	lower_close(rp->l, s.fd);
	return r;
}

static int open_dir(struct lower *l, int root_fd)
{
	int r = l->ops->mkdirat(l, root_fd, NAME_QUARANTINE, 0700);

	if (r < 0 && r != -EEXIST)
		return r;
	return l->ops->openat(l, root_fd, NAME_QUARANTINE, O_RDONLY | O_DIRECTORY, 0);
}

static int save_all(struct replay *rp, const struct replay_file *f, struct replay_home *h)
{
	struct lower *l = rp->l;
	int dirfd, r;

	dirfd = open_dir(l, rp->p->root_fd);
	if (dirfd < 0)
		return dirfd == -ENOTDIR || dirfd == -ELOOP ? -EUCLEAN : dirfd; /* another thing has its name */
	r = save_to(rp, f, dirfd, "log", h, save_log);
	if (r == 0 && h)
		r = save_to(rp, f, dirfd, "home", h, save_home);
	if (r == 0)
		r = l->ops->fsync(l, dirfd);
	lower_close(l, dirfd);
	return r < 0 ? r : l->ops->fsync(l, rp->p->root_fd);
}

/* Seal home's header anew, with the flag and otherwise as it is. */
static int mark_damaged(struct replay *rp, struct replay_home *h, const struct group_header *head)
{
	const struct timespec ts[2] = { h->st.st_atim, h->st.st_mtim };
	struct group_header d = *head;
	const struct key_tag *key;
	uint8_t p[HEADER_LEN];
	int r;

	r = state_reserve_stamps(rp->s);
	if (r == 0)
		r = state_stamps(rp->s, 1, &d.header.stamp);
	if (r == 0)
		r = replay_tag_key(rp, d.epoch, d.file_id, &key);
	if (r < 0)
		return r;
	d.flags |= GROUP_FLAG_DAMAGED;
	r = group_seal_header(rp->bc, key, &d);
	if (r < 0)
		return r;
	group_header_put(&d, p);
	r = lower_pwrite(rp->l, h->fd, p, sizeof(p), 0, false);
	if (r < 0)
		return r;
	(void)rp->l->ops->futimens(rp->l, h->fd, ts);
	return rp->l->ops->fsync(rp->l, h->fd);
}

int quarantine_file(struct replay *rp, const struct replay_file *f, struct replay_home *h, const struct group_header *head)
{
	int r;

	r = save_all(rp, f, h);
	if (r == 0 && head)
		r = mark_damaged(rp, h, head);
	return r < 0 ? log_ret(r, NAME_QUARANTINE) : 0;
}

static int copy_ring(struct lower *l, int log_fd, uint64_t log_blocks, int fd)
{
	AUTO_FREE uint8_t *p = aligned_alloc(BLOCK_SIZE, COPY_BLOCKS * BLOCK_SIZE);
	uint64_t at;
	int r = p ? 0 : -ENOMEM;

	for (at = 0; at < log_blocks && r == 0; at += COPY_BLOCKS) {
		size_t n = log_blocks - at < COPY_BLOCKS ? (size_t)(log_blocks - at) : COPY_BLOCKS;

		memset(p, 0, n * BLOCK_SIZE);
		if (lower_pread(l, log_fd, p, n * BLOCK_SIZE, at * BLOCK_SIZE) < 0)
			memset(p, 0, n * BLOCK_SIZE);
		r = lower_pwrite(l, fd, p, n * BLOCK_SIZE, at * BLOCK_SIZE, false);
	}
	return r < 0 ? r : l->ops->fsync(l, fd);
}

int quarantine_log(struct lower *l, int root_fd, int log_fd, uint64_t log_blocks, uint64_t sequence)
{
	char name[NAME_LEN_MAX];
	struct stat st;
	int dirfd, fd, r;

	dirfd = open_dir(l, root_fd);
	if (dirfd < 0)
		return log_ret(dirfd, NAME_QUARANTINE);
	snprintf(name, sizeof(name), "%llu.ring", (unsigned long long)sequence);
	fd = lower_open_regular(l, dirfd, name, O_RDWR | O_CREAT | O_TRUNC, 0600, &st);
	r = fd < 0 ? fd : copy_ring(l, log_fd, log_blocks, fd);
	if (fd >= 0)
		lower_close(l, fd);
	if (r == 0)
		r = l->ops->fsync(l, dirfd);
	lower_close(l, dirfd);
	if (r == 0)
		r = l->ops->fsync(l, root_fd);
	return r < 0 ? log_ret(r, NAME_QUARANTINE) : 0;
}
