/* scrub_log.c: see scrub_log.h. The chain is followed as replay follows it (replay_log.c), with sums in the place of tags, and gathered by the same rules
 * into the same tables (replay_gather.c). */
#include "io/scrub_log.h"

#include <fcntl.h>
#include <string.h>

#include "base/hash.h"
#include "io/replay_impl.h"

struct scrub_log {
	struct lower *l;
	int log_fd;
	struct vio_params params;        /* for the tables: no rule is off */
	struct replay rp;
	struct scrub_log_info info;
	uint8_t block[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
};

/* ---- the state */

static int read_state(struct scrub_log *s, int root_fd)
{
	AUTO_FREE uint8_t *p = calloc(STATE_SLOTS, STATE_SLOT_LEN);
	struct volume_state v;
	struct stat st;
	bool found = false;
	ssize_t n;
	int fd;

	if (!p)
		return -ENOMEM;
	fd = lower_open_regular(s->l, root_fd, NAME_STATE, O_RDONLY, 0, &st);
	if (fd < 0)
		return fd;
	n = lower_pread(s->l, fd, p, STATE_SLOTS * STATE_SLOT_LEN, 0);
	lower_close(s->l, fd);
	if (n < 0)
		return (int)n;
	for (unsigned i = 0; i < STATE_SLOTS; i++) {
		if (volume_state_parse(p + (size_t)i * STATE_SLOT_LEN, &v) < 0 || (found && v.serial <= s->rp.st.serial))
			continue;
		s->rp.st = v;
		found = true;
	}
	s->info.clean = found && s->rp.st.flags & STATE_FLAG_CLEAN;
	return found ? 0 : -EUCLEAN;
}

static int open_log(struct scrub_log *s, int root_fd)
{
	struct stat st;

	s->log_fd = lower_open_regular(s->l, root_fd, NAME_LOG, O_RDONLY, 0, &st);
	if (s->log_fd < 0)
		return s->log_fd;
	return (uint64_t)st.st_size / BLOCK_SIZE < s->rp.st.log_blocks ? -EUCLEAN : 0;
}

/* ---- the chain. Below: 1 it fits, 0 it does not, < 0 it could not be told */

static int read_block(struct scrub_log *s, uint64_t pos)
{
	return lower_pread_full(s->l, s->log_fd, s->block, BLOCK_SIZE, pos % s->rp.st.log_blocks * BLOCK_SIZE);
}

static int open_part(struct scrub_log *s, uint64_t pos, uint64_t seq, uint32_t part)
{
	struct replay *rp = &s->rp;
	uint64_t end = rp->st.tail + rp->st.log_blocks;
	int r;

	if (pos >= end)
		return 0;
	r = read_block(s, pos);
	if (r < 0)
		return r;
	r = log_desc_parse(s->block, &rp->d);
	return r == 0 && memcmp(rp->d.generation, rp->st.generation, GENERATION_LEN) == 0 && rp->d.sequence == seq && rp->d.part == part &&
	       rp->d.data_blocks < end - pos;
}

static int check_part(struct scrub_log *s, uint64_t pos)
{
	struct replay *rp = &s->rp;
	struct log_cursor c = { 0 };
	uint64_t at = pos + 1;
	int kind, r;

	while ((kind = log_desc_next(&rp->d, &c, &rp->lf, &rp->lg)) > LOG_KIND_END) {
		for (unsigned i = 0; kind == LOG_KIND_GROUP && i < rp->lg.block_count; i++) {
			if (rp->lg.blocks[i].where != LOG_WHERE_LOG)
				continue;
			r = read_block(s, at++);
			if (r < 0)
				return r;
			if (hash_sum32(s->block, BLOCK_SIZE) != rp->lg.blocks[i].entry.sum)
				return 0;
		}
	}
	return kind == LOG_KIND_END;
}

static int apply_part(struct scrub_log *s, uint64_t pos, struct replay_file **f)
{
	struct replay *rp = &s->rp;
	struct log_cursor c = { 0 };
	uint64_t at = pos + 1;
	int kind, r = 0;

	while (r == 0 && (kind = log_desc_next(&rp->d, &c, &rp->lf, &rp->lg)) > LOG_KIND_END) {
		if (kind == LOG_KIND_FILE) {
			r = replay_gather_file(rp, rp->lf.file_id, f);
			if (r == 0)
				replay_gather_apply_file(rp, *f, &rp->lf);
			continue;
		}
		if (*f && group_exists(&(*f)->shape, rp->lg.group))
			r = replay_gather_apply_group(rp, *f, &rp->lg, at);
		for (unsigned i = 0; i < rp->lg.block_count; i++)
			at += rp->lg.blocks[i].where == LOG_WHERE_LOG;
	}
	s->info.blocks += rp->d.data_blocks;
	return r;
}

/* One transaction: check it (apply false), then go through it again. *pos moves behind it. */
static int transaction(struct scrub_log *s, uint64_t *pos, uint64_t seq, bool apply)
{
	struct replay_file *f = NULL;
	uint64_t at = *pos;
	uint32_t part;
	int r;

	for (part = 0;; part++) {
		r = open_part(s, at, seq, part);
		if (r == 1)
			r = apply ? apply_part(s, at, &f) : check_part(s, at);
		if (r < (apply ? 0 : 1))
			return r;
		at += 1 + (uint64_t)s->rp.d.data_blocks;
		if (s->rp.d.last)
			break;
	}
	*pos = at;
	return 1;
}

static int gather(struct scrub_log *s)
{
	struct replay *rp = &s->rp;
	uint64_t pos = rp->st.tail, next, seq;
	int r;

	for (seq = rp->st.tail_sequence + 1;; seq++) {
		next = pos;
		r = transaction(s, &next, seq, false);
		if (r == 1)
			r = transaction(s, &pos, seq, true);
		if (r != 1)
			break;
		s->info.transactions++;
	}
	if (r == 0 && rp->st.durable >= seq)
		s->info.missing = seq;
	return r;
}

int scrub_log_open(struct lower *l, int root_fd, struct scrub_log **ret_s, struct scrub_log_info *ret_i)
{
	struct scrub_log *s = aligned_alloc(BLOCK_SIZE, (sizeof(*s) + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE);
	int r;

	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->l = l;
	s->log_fd = -1;
	s->rp.p = &s->params;
	r = read_state(s, root_fd);
	if (r == 0)
		r = open_log(s, root_fd);
	if (r == 0 && !s->info.clean)
		r = gather(s);
	if (r < 0) {
		scrub_log_close(s);
		return r;
	}
	*ret_i = s->info;
	*ret_s = s;
	return 0;
}

void scrub_log_close(struct scrub_log *s)
{
	if (!s)
		return;
	lower_close(s->l, s->log_fd < 0 ? -1 : s->log_fd);
	replay_gather_done(&s->rp);
	free(s);
}

/* ---- what it says */

bool scrub_log_shape(struct scrub_log *s, const uint8_t file_id[static FILE_ID_LEN], struct file_shape *ret_shape)
{
	struct replay_file *f = s ? replay_gather_find(&s->rp, file_id) : NULL;

	if (!f || !f->counts)
		return false;
	*ret_shape = f->shape;
	return true;
}

bool scrub_log_group(struct scrub_log *s, const uint8_t file_id[static FILE_ID_LEN], uint32_t group, uint8_t p[static BLOCK_SIZE],
		     bool in_log[static GROUP_BLOCKS])
{
	struct replay_file *f = s ? replay_gather_find(&s->rp, file_id) : NULL;
	const struct replay_group *g = f && f->counts ? replay_gather_group(f, group) : NULL;

	if (!g)
		return false;
	memset(in_log, 0, GROUP_BLOCKS * sizeof(in_log[0]));
	if (g->base == LOG_BASE_EMPTY)
		memset(p + HEADER_LEN, 0, ENTRIES_LEN);
	for (unsigned i = 0; i < g->n; i++) {
		const struct replay_block *b = &g->blocks[i];

		group_entry_put(&b->entry, p + HEADER_LEN + (size_t)b->index * ENTRY_LEN);
		in_log[b->index] = b->pos != REPLAY_NO_POS;
	}
	return true;
}
