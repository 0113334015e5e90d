/* replay_log.c: the ring: which transactions count, and is one missing that was acknowledged (docs/format.md section 7).
 *
 * A transaction is looked at twice. First all of it is checked, to its last block, without a trace in the tables (but for files that
 * are known by number). Then its descriptors are read once more, checked once more, and applied.
 *
 * A block of the ring that cannot be read is not the same as one that does not verify: to take it for the end of the log could drop
 * what was acknowledged because of a fault that may pass. So reading fails, unless the caller accepts loss. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/replay_impl.h"

/* ---- reading ---- */

int replay_log_init(struct replay *rp, int log_fd)
{
	int r;

	rp->log_fd = log_fd;
	rp->log_direct = -1;
	rp->chunk = aligned_alloc(BLOCK_SIZE, REPLAY_CHUNK_BLOCKS * BLOCK_SIZE);
	rp->spare = aligned_alloc(BLOCK_SIZE, BLOCK_SIZE);
	if (!rp->chunk || !rp->spare)
		return -ENOMEM;
	if (rule_on(rp->p, directlog)) {
		r = replay_direct(rp, log_fd);
		if (r < 0 && r != -EINVAL)
			return log_ret(r, NAME_LOG);
		rp->log_direct = r < 0 ? -1 : r;
	}
	return 0;
}

void replay_log_trim(struct replay *rp)
{
	free(take_ptr(rp->chunk));
	free(take_ptr(rp->spare));
	rp->chunk_n = 0;
}

void replay_log_done(struct replay *rp)
{
	lower_close(rp->l, rp->log_direct);
	replay_log_trim(rp);
}

/* n blocks from index on, not around the end of the ring. */
static int ring_pread(struct replay *rp, uint64_t index, size_t n, uint8_t *p)
{
	int r = -EINVAL;

	if (rp->log_direct >= 0) {
		r = lower_pread_full(rp->l, rp->log_direct, p, n * BLOCK_SIZE, index * BLOCK_SIZE);
		if (r == -EINVAL) { /* opened, but not meant */
			lower_close(rp->l, rp->log_direct);
			rp->log_direct = -1;
		}
	}
	if (r == -EINVAL)
		r = lower_pread_full(rp->l, rp->log_fd, p, n * BLOCK_SIZE, index * BLOCK_SIZE);
	return r;
}

/* A block that cannot be read, when that is accepted, is one of zeros, which verifies as nothing. */
static int ring_read(struct replay *rp, uint64_t index, size_t n, uint8_t *p)
{
	size_t i, bad = 0;
	int r;

	r = ring_pread(rp, index, n, p);
	if (r == 0)
		return 0;
	if (!rp->accept_log_loss) {
		(void)log_ret(r, "%s: block %llu cannot be read", NAME_LOG, (unsigned long long)index);
		return -EIO; /* not r: the backing has errors that look like a verdict, EBADMSG for one */
	}
	for (i = 0; i < n; i++) {
		if (ring_pread(rp, index + i, 1, p + i * BLOCK_SIZE) < 0) {
			memset(p + i * BLOCK_SIZE, 0, BLOCK_SIZE);
			bad++;
		}
	}
	if (bad > 0)
		log_warning("%s: %zu of %zu blocks from %llu on cannot be read", NAME_LOG, bad, n, (unsigned long long)index);
	return 0;
}

static bool in_chunk(const struct replay *rp, uint64_t pos)
{
	return pos >= rp->chunk_pos && pos - rp->chunk_pos < rp->chunk_n;
}

/* The block at pos, until the next call; reads ahead from there. */
static int block_ahead(struct replay *rp, uint64_t pos, const uint8_t **ret_p)
{
	uint64_t index = pos % rp->st.log_blocks, n = rp->st.log_blocks - index;
	int r;

	if (!in_chunk(rp, pos)) {
		if (n > REPLAY_CHUNK_BLOCKS)
			n = REPLAY_CHUNK_BLOCKS;
		rp->chunk_n = 0;
		r = ring_read(rp, index, n, rp->chunk);
		if (r < 0)
			return r;
		rp->chunk_pos = pos;
		rp->chunk_n = n;
	}
	*ret_p = rp->chunk + (pos - rp->chunk_pos) * BLOCK_SIZE;
	return 0;
}

/* The same for a look back, which leaves what was read ahead where it is. */
static int block_back(struct replay *rp, uint64_t pos, const uint8_t **ret_p)
{
	int r;

	if (in_chunk(rp, pos))
		return block_ahead(rp, pos, ret_p);
	r = ring_read(rp, pos % rp->st.log_blocks, 1, rp->spare);
	if (r < 0)
		return r;
	*ret_p = rp->spare;
	return 0;
}

int replay_log_read(struct replay *rp, uint64_t pos, size_t n, uint8_t *p)
{
	while (n > 0) {
		uint64_t index = pos % rp->st.log_blocks, m = rp->st.log_blocks - index;
		int r;

		if (m > n)
			m = n;
		r = ring_read(rp, index, m, p);
		if (r < 0)
			return r;
		pos += m;
		n -= m;
		p += m * BLOCK_SIZE;
	}
	return 0;
}

/* ---- does a transaction count? Below: 1 yes, 0 no, < 0 it could not be told */

static bool is_verdict(int r)
{
	return r == -EBADMSG || r == -EUCLEAN || r == -EOPNOTSUPP || r == -EINVAL;
}

/* Is p descriptor number part of transaction seq? Then it stands in rp->d. */
static int desc_open(struct replay *rp, const uint8_t *p, uint64_t seq, uint32_t part)
{
	int r;

	r = log_desc_open(rp->bc, rp->p->ring, p, &rp->d);
	if (r < 0)
		return is_verdict(r) ? 0 : r;
	return memcmp(rp->d.generation, rp->st.generation, GENERATION_LEN) == 0 && rp->d.sequence == seq && rp->d.part == part;
}

/* The blocks of rp->lg in the log, from pos on. */
static int check_blocks(struct replay *rp, const struct replay_file *f, uint64_t pos)
{
	const struct log_group *lg = &rp->lg;
	const struct key_tag *key;
	const uint8_t *p;
	unsigned i;
	int r;

	r = replay_tag_key(rp, lg->epoch, f->file_id, &key);
	for (i = 0; i < lg->block_count && r == 0; i++) {
		const struct log_block *b = &lg->blocks[i];
		struct block_pos at = {
			.file_id = f->file_id, .block = (uint64_t)lg->group * GROUP_BLOCKS + b->index,
			.stamp = b->entry.stamp, .epoch = lg->epoch,
		};

		if (b->where != LOG_WHERE_LOG || !rule_on(rp->p, whole))
			continue;
		r = block_ahead(rp, pos++, &p);
		if (r == 0)
			r = blockcrypt_verify(rp->bc, key, &at, p, b->entry.tag);
	}
	return r;
}

static uint32_t blocks_in_log(const struct log_group *lg)
{
	uint32_t n = 0;
	unsigned i;

	for (i = 0; i < lg->block_count; i++)
		n += lg->blocks[i].where == LOG_WHERE_LOG;
	return n;
}

/* The records of rp->d, which stands at pos. *f: the file that GROUPs belong to. */
static int check_records(struct replay *rp, uint64_t pos, struct replay_file **f)
{
	struct log_cursor c = { 0 };
	uint64_t at = pos + 1;
	int kind, r = 0;

	while (r == 0) {
		kind = log_desc_next(&rp->d, &c, &rp->lf, &rp->lg);
		if (kind <= LOG_KIND_END)
			return kind;
		if (kind == LOG_KIND_FILE) {
			r = replay_gather_file(rp, rp->lf.file_id, f);
			if (r == 0)
				r = replay_gather_seen(rp, *f, REPLAY_WHOLE_FILE);
			continue;
		}
		if (!*f || !group_exists(&rp->lf.shape, rp->lg.group)) /* rp->lf: the last FILE, maybe of an earlier part */
			return -EUCLEAN;
		r = replay_gather_seen(rp, *f, rp->lg.group);
		if (r == 0)
			r = check_blocks(rp, *f, at);
		at += blocks_in_log(&rp->lg);
	}
	return r;
}

/* One part at pos. */
static int check_part(struct replay *rp, uint64_t pos, uint64_t seq, uint32_t part, struct replay_file **f)
{
	uint64_t end = rp->st.tail + rp->st.log_blocks;
	const uint8_t *p;
	int r;

	if (pos >= end)
		return 0;
	r = block_ahead(rp, pos, &p);
	if (r < 0)
		return r;
	r = desc_open(rp, p, seq, part);
	if (r <= 0)
		return r;
	if (rp->d.data_blocks >= end - pos)
		return 0;
	r = check_records(rp, pos, f);
	if (r < 0)
		return is_verdict(r) ? 0 : r;
	return 1;
}

/* The transaction at pos; *ret_end is the position behind it. */
static int check_transaction(struct replay *rp, uint64_t pos, uint64_t seq, uint64_t *ret_end)
{
	struct replay_file *f = NULL;
	uint32_t part;
	int r;

	replay_gather_forget_seen(rp);
	for (part = 0;; part++) {
		r = check_part(rp, pos, seq, part, &f);
		if (r == 0 && part > 0 && !rule_on(rp->p, lastmark))
			break;
		if (r <= 0)
			return r;
		pos += 1 + (uint64_t)rp->d.data_blocks;
		if (rp->d.last)
			break;
	}
	*ret_end = pos;
	return 1;
}

int replay_log_is_whole(struct replay *rp)
{
	uint64_t end;

	return check_transaction(rp, rp->st.tail, rp->st.tail_sequence + 1, &end);
}

/* ---- going through them ---- */

/* What was checked before is not what stands there now. */
static int changed(uint64_t pos)
{
	return log_ret(-EIO, "%s: block at position %llu changed while it was read", NAME_LOG, (unsigned long long)pos);
}

/* Each descriptor from pos to end, where transactions stand that count, the first with sequence seq. */
static int each_desc(struct replay *rp, uint64_t pos, uint64_t end, uint64_t seq, replay_desc_fn *fn, void *arg)
{
	uint32_t part = 0;
	const uint8_t *p;
	int r;

	while (pos < end) {
		uint64_t next;
		bool last;

		r = block_back(rp, pos, &p);
		if (r < 0)
			return r;
		r = desc_open(rp, p, seq, part);
		if (r < 0)
			return r;
		if (r == 0)
			return changed(pos);
		next = pos + 1 + rp->d.data_blocks;
		last = rp->d.last;
		r = fn(rp, pos, arg);
		if (r < 0)
			return r;
		part = last ? 0 : part + 1;
		seq += last;
		pos = next;
	}
	return 0;
}

int replay_log_each(struct replay *rp, replay_desc_fn *fn, void *arg)
{
	return each_desc(rp, rp->st.tail, rp->res.head, rp->st.tail_sequence + 1, fn, arg);
}

static int apply_desc(struct replay *rp, uint64_t pos, void *arg)
{
	struct replay_file **f = arg;
	struct log_cursor c = { 0 };
	uint64_t at = pos + 1;
	int kind, r;

	replay_step(rp);
	while ((kind = log_desc_next(&rp->d, &c, &rp->lf, &rp->lg)) > LOG_KIND_END) {
		if (kind == LOG_KIND_FILE) {
			r = replay_gather_file(rp, rp->lf.file_id, f);
			if (r < 0)
				return r;
			replay_gather_apply_file(rp, *f, &rp->lf);
			continue;
		}
		if (!*f)
			return changed(pos);
		r = replay_gather_apply_group(rp, *f, &rp->lg, at);
		if (r < 0)
			return r;
		at += blocks_in_log(&rp->lg);
	}
	return kind;
}

int replay_log_gather(struct replay *rp)
{
	uint64_t pos = rp->st.tail, end, seq = rp->st.tail_sequence;
	struct replay_file *f;
	int r;

	for (;;) {
		r = check_transaction(rp, pos, seq + 1, &end);
		if (r <= 0)
			break;
		f = NULL;
		r = each_desc(rp, pos, end, seq + 1, apply_desc, &f);
		if (r < 0)
			break;
		pos = end;
		seq++;
		rp->res.transactions++;
	}
	rp->res.head = pos;
	rp->res.sequence = seq;
	return r;
}

/* ---- what must not be missing ---- */

/* Offsets of a descriptor's fields, docs/format.md section 7: a look before the tag is worth checking. */
enum { AT_GENERATION = 24, AT_DURABLE = 48 };

static bool may_vouch(const struct replay *rp, const uint8_t *p, uint64_t missing)
{
	return memcmp(p, "CFRL", 4) == 0 && memcmp(p + AT_GENERATION, rp->st.generation, GENERATION_LEN) == 0 &&
	       layout_get64(p + AT_DURABLE) >= missing;
}

/* Loss is accepted: remember the highest that was acknowledged, and go on looking. */
static int missing_is(struct replay *rp, uint64_t missing, uint64_t durable, const char *who)
{
	if (!rp->accept_log_loss)
		return log_ret(-ENODATA, "%s: transaction %llu is missing, but %s says that it was durable", NAME_LOG,
			       (unsigned long long)missing, who);
	rp->res.lost_first = missing;
	if (durable > rp->res.lost_last)
		rp->res.lost_last = durable;
	return 0;
}

int replay_log_check_durable(struct replay *rp)
{
	uint64_t missing = rp->res.sequence + 1, i;
	const uint8_t *p;
	int r = 0;

	if (!rule_on(rp->p, durable))
		return 0;
	if (rp->st.durable >= missing)
		r = missing_is(rp, missing, rp->st.durable, NAME_STATE);
	for (i = 0; i < rp->st.log_blocks && r == 0; i++) {
		r = block_ahead(rp, i, &p);
		if (r < 0)
			return r;
		if (!may_vouch(rp, p, missing))
			continue;
		r = log_desc_open(rp->bc, rp->p->ring, p, &rp->d);
		if (r < 0 && !is_verdict(r))
			return r;
		r = r < 0 ? 0 : missing_is(rp, missing, rp->d.durable, "another descriptor");
	}
	return r;
}
