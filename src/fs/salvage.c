/* salvage.c: see salvage.h. The order of trust is that of every reader as long as it holds; where it breaks, less is claimed:
 *
 *   header and entries of the group verify   its blocks are good or lost
 *   they do not                              a block whose own tag fits its entry is unproven; holes of such a group are lost, for an entry of zeros
 *                                            says nothing by itself
 *   group 0's header does not verify         the file's id comes from the header of another group, or from group 0's own if a block agrees; shape and
 *                                            size are unknown: every group that lies there is looked at, and all of it is unproven
 *
 * A block's tag binds it to file, place, epoch and stamp, so what is called unproven was written there once by this volume; an older
 * entry with its older block is what cannot be told apart. */
#include "fs/salvage.h"

#include <string.h>

#include "fs/volume_impl.h"

struct run {
	struct volume *v;
	struct reapply *re;
	const struct salvage_params *p;
	struct blockcrypt *bc;
	int fd;
	uint64_t lower_size;
	uint8_t *buf;            /* GROUP_LOWER */
	size_t len;              /* of it that is there */
	struct group_header first; /* of it only file_id and epoch, if res.header_lost */
	struct salvage_result res;
	uint64_t at, from;       /* told up to at; from is where the state began */
	enum salvage_state state;
	uint8_t states[GROUP_BLOCKS];
	struct file_keys keys;   /* of keys_epoch, if have_keys */
	uint16_t keys_epoch;
	bool have_keys;
};

#define HOLE (SALVAGE_GOOD + 1)         /* in states: nothing to write, and as good as it says */
#define HOLE_UNPROVEN (HOLE + 1)

/* ---- reading */

static int read_home(struct run *s, uint32_t no)
{
	ssize_t n;
	unsigned k;

	n = lower_pread(s->v->lower, s->fd, s->buf, GROUP_LOWER, layout_group_off(no));
	if (n >= 0) {
		memset(s->buf + n, 0, GROUP_LOWER - (size_t)n);
		s->len = (size_t)n;
		return 0;
	}
	if (n == -ENOMEM)
		return (int)n;
	/* One bad sector must not take the others away. */
	memset(s->buf, 0, GROUP_LOWER);
	for (k = 0; k <= GROUP_BLOCKS; k++) {
		n = lower_pread(s->v->lower, s->fd, s->buf + k * (size_t)BLOCK_SIZE, BLOCK_SIZE,
				layout_group_off(no) + k * (uint64_t)BLOCK_SIZE);
		if (n == -ENOMEM)
			return (int)n;
		if (n < 0)
			memset(s->buf + k * (size_t)BLOCK_SIZE, 0, BLOCK_SIZE);
	}
	s->len = GROUP_LOWER;
	return 0;
}

static int read_group(struct run *s, uint32_t no)
{
	int r = read_home(s, no);

	return r == 0 && s->re ? reapply_over(s->re, no, s->buf, &s->len) : r;
}

/* ---- telling */

static int flush_range(struct run *s)
{
	uint64_t end = s->at < s->res.size || s->res.header_lost ? s->at : s->res.size;

	if (s->state == SALVAGE_GOOD || end <= s->from || !s->p->range)
		return 0;
	return s->p->range(s->p->ctx, s->from, end - s->from, s->state);
}

/* The bytes from s->at to end are in this state. */
static int tell(struct run *s, uint64_t end, enum salvage_state state)
{
	uint64_t n;
	int r;

	if (!s->res.header_lost && end > s->res.size)
		end = s->res.size;
	if (end <= s->at)
		return 0;
	n = end - s->at;
	*(state == SALVAGE_GOOD ? &s->res.good : state == SALVAGE_LOST ? &s->res.lost : &s->res.unproven) += n;
	if (state != s->state) {
		r = flush_range(s);
		if (r < 0)
			return r;
		s->state = state;
		s->from = s->at;
	}
	s->at = end;
	return 0;
}

/* ---- one group */

/* Decrypt block k of the group in place; -EBADMSG. */
static int open_block(struct run *s, uint32_t no, unsigned k, uint16_t epoch, const struct entry *e)
{
	struct block_pos pos = { .file_id = s->first.file_id, .block = (uint64_t)no * GROUP_BLOCKS + k, .stamp = e->stamp, .epoch = epoch };
	uint8_t *data = s->buf + (k + 1) * (size_t)BLOCK_SIZE;
	int r;

	if (!s->have_keys || s->keys_epoch != epoch) {
		s->have_keys = false;
		r = key_ring_file(s->v->ring, epoch, s->first.file_id, &s->keys);
		if (r < 0)
			return r == -ENOKEY ? -EBADMSG : r;
		s->keys_epoch = epoch;
		s->have_keys = true;
	}
	return blockcrypt_open(s->bc, &s->keys, &pos, data, e->tag, data);
}

/* The states of a group's blocks, those that verify decrypted. good: what to call them; holes: entries of zeros say something. */
static int judge_blocks(struct run *s, uint32_t no, uint16_t epoch, enum salvage_state good, bool holes)
{
	struct entry e;
	unsigned k;
	int r;

	for (k = 0; k < GROUP_BLOCKS; k++) {
		s->states[k] = SALVAGE_LOST;
		r = group_entry_parse(s->buf + HEADER_LEN + (size_t)k * ENTRY_LEN, &e);
		if (r == 0 && group_entry_is_hole(&e)) {
			if (holes)
				s->states[k] = good == SALVAGE_GOOD ? HOLE : HOLE_UNPROVEN;
			continue;
		}
		r = r == 0 ? open_block(s, no, k, epoch, &e) : r;
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			s->states[k] = (uint8_t)good;
	}
	return 0;
}

/* A group whose seals fit: 1. What the log had may not fit while what lies at home does: then that, which is older. */
static int judge_sealed(struct run *s, uint32_t no)
{
	struct group_header h;
	bool older = s->res.header_lost || s->res.older;
	int r;

	r = group_open(s->bc, s->v->ring, s->first.file_id, no, s->buf, &h);
	if (r < 0 && r != -ENOMEM && s->re) {
		r = read_home(s, no);
		older = true;
		if (r == 0)
			r = group_open(s->bc, s->v->ring, s->first.file_id, no, s->buf, &h);
		if (r < 0 && r != -ENOMEM)
			return read_group(s, no); /* neither: block by block, of the newer */
	}
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = judge_blocks(s, no, h.epoch, older ? SALVAGE_UNPROVEN : SALVAGE_GOOD, true);
	return r < 0 ? r : 1;
}

static int judge_group(struct run *s, uint32_t no)
{
	uint16_t epoch;
	int r;

	r = judge_sealed(s, no);
	if (r != 0)
		return r < 0 ? r : 0;
	epoch = layout_get16(s->buf + 8); /* docs/format.md section 5; not authentic, but a block's tag will say */
	r = judge_blocks(s, no, epoch, SALVAGE_UNPROVEN, false);
	for (unsigned k = 0; k < GROUP_BLOCKS && r == 0; k++)
		if (s->states[k] != SALVAGE_LOST)
			return 0;
	return r < 0 || epoch == s->first.epoch ? r : judge_blocks(s, no, s->first.epoch, SALVAGE_UNPROVEN, false);
}

static bool is_data(const struct run *s, unsigned k)
{
	return s->states[k] == SALVAGE_GOOD || s->states[k] == SALVAGE_UNPROVEN;
}

/* Hand over the decrypted blocks, neighbours at once. */
static int give_data(struct run *s, uint32_t no)
{
	uint64_t base = (uint64_t)no * GROUP_PLAIN;
	unsigned k, n;
	int r;

	for (k = 0; k < GROUP_BLOCKS; k += n) {
		uint64_t off = base + k * (uint64_t)BLOCK_SIZE;
		size_t len;

		for (n = 0; k + n < GROUP_BLOCKS && is_data(s, k + n); n++)
			;
		len = n * (size_t)BLOCK_SIZE;
		if (n == 0) {
			n = 1;
			continue;
		}
		if (s->res.header_lost)
			s->res.size = off + len;
		else if (off >= s->res.size)
			continue;
		else if (off + len > s->res.size)
			len = (size_t)(s->res.size - off);
		r = s->p->data ? s->p->data(s->p->ctx, off, s->buf + (k + 1) * (size_t)BLOCK_SIZE, len) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Without a size a hole may as well lie behind the end. */
static enum salvage_state state_of(const struct run *s, uint8_t state)
{
	if (state == HOLE_UNPROVEN)
		return s->res.header_lost ? SALVAGE_LOST : SALVAGE_UNPROVEN;
	return state == HOLE ? SALVAGE_GOOD : state;
}

static int give_group(struct run *s, uint32_t no)
{
	uint64_t base = (uint64_t)no * GROUP_PLAIN;
	unsigned k;
	int r;

	r = give_data(s, no);
	for (k = 0; k < GROUP_BLOCKS; k++)
		s->res.bad += s->states[k] == SALVAGE_LOST;
	for (k = 0; k < GROUP_BLOCKS && r == 0; k++)
		r = tell(s, base + (k + 1) * (uint64_t)BLOCK_SIZE, state_of(s, s->states[k]));
	return r;
}

static int do_group(struct run *s, uint32_t no)
{
	int r;

	r = tell(s, (uint64_t)no * GROUP_PLAIN, s->res.header_lost ? SALVAGE_LOST : SALVAGE_GOOD); /* groups that do not exist: holes */
	if (r == 0)
		r = read_group(s, no);
	if (r == 0)
		r = judge_group(s, no);
	if (r == 0)
		r = give_group(s, no);
	return r == 0 && s->p->progress && !s->p->progress(s->p->ctx) ? -EINTR : r;
}

/* ---- the header */

/* Does the header of group no name this file, by its own tag? 1 yes, 0 no. */
static int names_itself(struct run *s, uint32_t no, const uint8_t *p, struct group_header *ret_h)
{
	struct group_header h;
	struct key_tag key;
	int r;

	if (group_header_parse(p, &h) < 0 || h.group != no)
		return 0;
	r = key_ring_file_tag(s->v->ring, h.epoch, h.file_id, &key);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = group_check_header(s->bc, &key, &h);
	keys_wipe(&key);
	if (r == 0)
		*ret_h = h;
	return r == -ENOMEM ? r : r == 0;
}

/* The file's id, when group 0's header does not verify: 1 found. */
static int find_id(struct run *s)
{
	uint64_t no, groups = (s->lower_size + GROUP_LOWER - 1) / GROUP_LOWER;
	uint8_t p[HEADER_LEN];
	unsigned k;
	int r;

	for (no = 1; no < groups && no < GROUPS_MAX; no++) {
		r = 0;
		if (lower_pread(s->v->lower, s->fd, p, sizeof(p), layout_group_off((uint32_t)no)) == HEADER_LEN)
			r = names_itself(s, (uint32_t)no, p, &s->first);
		if (r != 0)
			return r;
		if (s->p->progress && no % GROUP_BLOCKS == 0 && !s->p->progress(s->p->ctx))
			return -EINTR;
	}
	/* What stands in the broken header itself is right if a block says so. */
	r = read_group(s, 0);
	if (r < 0 || s->len < HEADER_LEN)
		return r;
	memcpy(s->first.file_id, s->buf + 16, FILE_ID_LEN);
	s->first.epoch = key_ring_newest(s->v->ring);
	r = judge_group(s, 0);
	for (k = 0; k < GROUP_BLOCKS && r == 0; k++)
		if (is_data(s, k))
			return 1;
	return r;
}

/* 1: s->first is known, as far as res says. */
static int find_first(struct run *s)
{
	int r;

	r = read_group(s, 0);
	if (r < 0)
		return r;
	r = s->len < HEADER_LEN ? -ENODATA : group_open_first(s->bc, s->v->ring, s->buf, &s->first);
	if (r == -ENOMEM)
		return r;
	if (r == 0) {
		s->res.size = s->first.shape.size;
		s->res.older = (s->first.flags & GROUP_FLAG_DAMAGED) && !s->re;
		return 1;
	}
	s->res.header_lost = true;
	return find_id(s);
}

static int init(struct run *s)
{
	s->bc = blockcrypt_get();
	return s->bc && posix_memalign((void **)&s->buf, BLOCK_SIZE, GROUP_LOWER) == 0 ? 0 : -ENOMEM;
}

static int do_all(struct run *s)
{
	uint64_t no, groups = s->res.header_lost ? (s->lower_size + GROUP_LOWER - 1) / GROUP_LOWER : s->first.shape.alloc_groups;
	int r = 0;

	s->state = SALVAGE_GOOD;
	for (no = 0; no < groups && no < GROUPS_MAX && r == 0; no++)
		if (s->res.header_lost || group_exists(&s->first.shape, (uint32_t)no))
			r = do_group(s, (uint32_t)no);
	if (r == 0 && !s->res.header_lost)
		r = tell(s, s->res.size, SALVAGE_GOOD);
	if (r == 0 && s->res.header_lost && s->at > s->res.size) {
		/* What is lost behind the last block that was found may never have been. */
		s->res.lost -= s->at - s->res.size;
		s->at = s->res.size;
	}
	return r < 0 ? r : flush_range(s);
}

int salvage_run(struct volume *v, int fd, const struct stat *st, struct reapply *re, const struct salvage_params *p,
		struct salvage_result *ret_res)
{
	struct run s = { .v = v, .fd = fd, .re = re, .p = p, .lower_size = (uint64_t)st->st_size };
	int r;

	r = init(&s);
	if (r == 0)
		r = find_first(&s);
	if (r == 1)
		r = do_all(&s);
	keys_wipe(&s.keys);
	free(s.buf);
	if (r == 0)
		*ret_res = s.res;
	return r;
}

int salvage_probe(struct volume *v, int fd, const struct stat *st)
{
	static const struct salvage_params none;
	struct run s = { .v = v, .fd = fd, .p = &none, .lower_size = (uint64_t)st->st_size };
	int r;

	r = init(&s);
	if (r == 0)
		r = find_first(&s);
	keys_wipe(&s.keys);
	free(s.buf);
	return r;
}
