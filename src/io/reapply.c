/* reapply.c: see reapply.h. The records go into the tables of replay (replay_gather.c) by the same rules; what replay refused because one group did not
 * verify can so be had group by group.
 *
 * Nothing here makes a seal: what is written carries those of the log. Only a file whose mark stands is written, so an old log that was left behind cannot
 * put back a file that went on. */
#include "io/reapply.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "io/replay_impl.h"
#include "io/vio_impl.h"

#define NAME_LEN_MAX 80
#define LOG_SUFFIX ".log"
#define HOME_SUFFIX ".home"

struct reapply {
	struct vio *v;
	struct replay rp;        /* its tables alone */
	struct replay_file *f;
	struct replay_group **groups;
	struct group_header head;
	int fd, log_fd, dirfd;
	char name[NAME_LEN_MAX]; /* of the saved log, without its suffix */
	uint8_t block[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
};

/* ---- finding it ---- */

struct newest {
	char prefix[34];         /* the file's id and a dot */
	uint64_t sequence;
	bool found;
};

static int look(void *arg, const struct lower_dirent *e)
{
	struct newest *n = arg;
	unsigned long long seq;
	char *end;

	if (strncmp(e->name, n->prefix, strlen(n->prefix)) != 0)
		return 0;
	errno = 0;
	seq = strtoull(e->name + strlen(n->prefix), &end, 10);
	if (errno || strcmp(end, LOG_SUFFIX) != 0 || (n->found && seq <= n->sequence))
		return 0;
	n->sequence = seq;
	n->found = true;
	return 0;
}

static int find_log(struct reapply *r)
{
	struct newest n = { 0 };
	struct lower *l = r->v->l;
	char id[33], name[NAME_LEN_MAX];
	struct stat st;
	int fd, rc;

	replay_id_text(r->head.file_id, id);
	(void)snprintf(n.prefix, sizeof(n.prefix), "%s.", id);
	fd = l->ops->openat(l, r->dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	rc = l->ops->readdir(l, fd, 0, look, &n);
	lower_close(l, fd);
	if (rc < 0 || !n.found)
		return rc < 0 ? rc : -ENOENT;
	(void)snprintf(r->name, sizeof(r->name), "%s%llu", n.prefix, (unsigned long long)n.sequence);
	(void)snprintf(name, sizeof(name), "%.64s" LOG_SUFFIX, r->name);
	r->log_fd = lower_open_regular(l, r->dirfd, name, O_RDONLY, 0, &st);
	return r->log_fd < 0 ? r->log_fd : 0;
}

/* ---- reading it ---- */

/* A block of the saved log. A disk may fail once, and there is no other copy. */
static int read_saved(struct reapply *r, uint64_t pos, uint8_t *p)
{
	int rc = lower_pread_full(r->v->l, r->log_fd, p, BLOCK_SIZE, pos * BLOCK_SIZE);

	return rc == 0 ? 0 : lower_pread_full(r->v->l, r->log_fd, p, BLOCK_SIZE, pos * BLOCK_SIZE);
}

struct part {
	uint64_t sequence;
	uint32_t part;
	bool ours;               /* GROUPs belong to the file */
};

/* The records of rp->d, which stands at block pos of the saved log. */
static int apply_part(struct reapply *r, uint64_t pos, struct part *p)
{
	struct replay *rp = &r->rp;
	struct log_cursor c = { 0 };
	uint64_t at = pos + 1;
	int kind, rc;

	while ((kind = log_desc_next(&rp->d, &c, &rp->lf, &rp->lg)) > LOG_KIND_END) {
		unsigned i;

		if (kind == LOG_KIND_FILE) {
			p->ours = memcmp(rp->lf.file_id, r->head.file_id, FILE_ID_LEN) == 0;
			if (p->ours)
				replay_gather_apply_file(rp, r->f, &rp->lf);
			continue;
		}
		rc = p->ours ? replay_gather_apply_group(rp, r->f, &rp->lg, at) : 0;
		if (rc < 0)
			return rc;
		for (i = 0; i < rp->lg.block_count; i++)
			at += rp->lg.blocks[i].where == LOG_WHERE_LOG;
	}
	return kind;
}

/* All of it, or as far as it verifies: the last seals then fit less, and the caller sees that. */
static int gather(struct reapply *r)
{
	struct replay *rp = &r->rp;
	struct part p = { .sequence = 0 };
	uint64_t pos = 0;
	int rc;

	rc = replay_gather_file(rp, r->head.file_id, &r->f);
	while (rc == 0) {
		rc = read_saved(r, pos, r->block);
		if (rc == 0)
			rc = log_desc_open(rp->bc, r->v->p.ring, r->block, &rp->d);
		if (rc < 0)
			break;
		if (rp->d.sequence < p.sequence)
			break;
		/* A part that named only others was not saved; what came before it says nothing of what comes behind. */
		if (rp->d.sequence != p.sequence || rp->d.part != p.part + 1)
			p.ours = false;
		p.sequence = rp->d.sequence;
		p.part = rp->d.part;
		rc = apply_part(r, pos, &p);
		pos += 1 + (uint64_t)rp->d.data_blocks;
	}
	if (rc == -ENOMEM)
		return rc;
	return r->f && r->f->counts ? 0 : -EUCLEAN;
}

int reapply_open(struct vio *v, int fd, const struct group_header *head, int quarantine_fd, struct reapply **ret_r)
{
	struct reapply *r;
	int rc;

	r = aligned_alloc(BLOCK_SIZE, (sizeof(*r) + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE);
	if (!r)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->v = v;
	r->fd = fd;
	r->dirfd = quarantine_fd;
	r->log_fd = -1;
	r->head = *head;
	r->rp.p = &v->p;
	r->rp.l = v->l;
	r->rp.bc = blockcrypt_get();
	rc = r->rp.bc ? find_log(r) : -ENOMEM;
	if (rc == 0)
		rc = gather(r);
	if (rc == 0)
		rc = replay_gather_sorted(r->f, &r->groups);
	if (rc < 0) {
		reapply_close(r);
		return rc;
	}
	*ret_r = r;
	return 0;
}

void reapply_close(struct reapply *r)
{
	if (!r)
		return;
	lower_close(r->v->l, r->log_fd);
	free(r->groups);
	replay_gather_done(&r->rp);
	free(r);
}

/* ---- laying it over home ---- */

static void header_of(const struct reapply *r, const struct replay_group *g, uint32_t no, struct group_header *ret_h)
{
	struct group_header h = { .group = no, .epoch = g ? g->epoch : r->head.epoch, .entries = g ? g->entries : r->head.entries };

	memcpy(h.file_id, r->head.file_id, FILE_ID_LEN);
	h.header = no == 0 ? r->f->header : g->header;
	if (no == 0)
		h.shape = r->f->shape;
	*ret_h = h;
}

/* All of it; the first error in reading what was saved. */
static int lay_over(struct reapply *r, const struct replay_group *g, uint8_t *p, size_t *len)
{
	unsigned i;
	int rc, first = 0;

	if (g->base == LOG_BASE_EMPTY)
		memset(p + HEADER_LEN, 0, ENTRIES_LEN);
	for (i = 0; i < g->n; i++) {
		const struct replay_block *b = &g->blocks[i];
		size_t at = (b->index + 1u) * (size_t)BLOCK_SIZE;

		if (g->at[b->index] != i + 1)
			continue;
		group_entry_put(&b->entry, p + HEADER_LEN + (size_t)b->index * ENTRY_LEN);
		if (b->pos == REPLAY_NO_POS)
			continue;
		rc = read_saved(r, b->pos, p + at);
		if (rc < 0)
			memset(p + at, 0, BLOCK_SIZE);
		first = first < 0 ? first : rc;
		if (at + BLOCK_SIZE > *len)
			*len = at + BLOCK_SIZE;
	}
	return first;
}

static int make_over(struct reapply *r, uint32_t no, uint8_t *p, size_t *len)
{
	const struct replay_group *g = replay_gather_group(r->f, no);
	struct group_header h;
	int rc = g ? lay_over(r, g, p, len) : 0;

	if (!g && no != 0)
		return 0;
	header_of(r, g, no, &h);
	group_header_put(&h, p);
	if (*len < BLOCK_SIZE)
		*len = BLOCK_SIZE;
	return rc;
}

int reapply_over(struct reapply *r, uint32_t no, uint8_t *p, size_t *len)
{
	int rc = make_over(r, no, p, len);

	return rc == -ENOMEM ? rc : 0;
}

/* To be written home: so all of it was read. */
static int read_group(struct reapply *r, uint32_t no, uint8_t *p)
{
	ssize_t n = lower_pread(r->v->l, r->fd, p, GROUP_LOWER, layout_group_off(no));
	size_t len;

	if (n < 0)
		return (int)n;
	len = (size_t)n;
	memset(p + len, 0, GROUP_LOWER - len);
	return make_over(r, no, p, &len);
}

/* ---- bringing it home ---- */

static int write_group(struct reapply *r, const struct replay_group *g, uint8_t *p)
{
	struct lower *l = r->v->l;
	unsigned i;
	int rc;

	rc = read_group(r, g->no, p);
	for (i = 0; i < g->n && rc == 0; i++) {
		const struct replay_block *b = &g->blocks[i];
		uint64_t block = (uint64_t)g->no * GROUP_BLOCKS + b->index;

		if (g->at[b->index] == i + 1 && b->pos != REPLAY_NO_POS)
			rc = lower_pwrite(l, r->fd, p + (b->index + 1u) * (size_t)BLOCK_SIZE, BLOCK_SIZE, layout_block_off(block), false);
	}
	if (rc == 0 && g->no != 0)
		rc = lower_pwrite(l, r->fd, p, BLOCK_SIZE, layout_group_off(g->no), false);
	return rc;
}

/* Entries under the mark that still stands, flushed; then the one sector that takes it away. */
static int write_first(struct reapply *r, uint8_t *p)
{
	struct lower *l = r->v->l;
	int rc;

	rc = read_group(r, 0, p);
	if (rc == 0)
		rc = lower_pwrite(l, r->fd, p + HEADER_LEN, ENTRIES_LEN, HEADER_LEN, false);
	if (rc == 0)
		rc = l->ops->fsync(l, r->fd);
	if (rc == 0)
		rc = lower_pwrite(l, r->fd, p, HEADER_LEN, 0, false);
	return rc < 0 ? rc : l->ops->fsync(l, r->fd);
}

static int forget(struct reapply *r, const char *suffix)
{
	char name[NAME_LEN_MAX];
	int rc;

	(void)snprintf(name, sizeof(name), "%.64s%s", r->name, suffix);
	rc = r->v->l->ops->unlinkat(r->v->l, r->dirfd, name, 0);
	return rc == -ENOENT ? 0 : rc;
}

int reapply_home(struct reapply *r)
{
	AUTO_FREE uint8_t *p = aligned_alloc(BLOCK_SIZE, GROUP_LOWER);
	size_t i;
	int rc = 0;

	if (!p)
		return -ENOMEM;
	for (i = 0; i < r->f->groups && rc == 0; i++)
		rc = write_group(r, r->groups[i], p);
	if (rc == 0)
		rc = write_first(r, p);
	if (rc == 0)
		rc = forget(r, LOG_SUFFIX);
	return rc < 0 ? rc : forget(r, HOME_SUFFIX);
}
