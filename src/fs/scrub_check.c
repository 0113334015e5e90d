/* scrub_check.c: groups in memory against their form and sums (scrub_impl.h). Nothing here trusts a byte: every count is bounded by what was read. */
#include "fs/scrub_impl.h"

#include <string.h>

#include "base/hash.h"

static int collect(struct scrub *s, const struct scrub_problem *p)
{
	struct scrub_problem *list;
	char *path;

	if (s->nheld == s->held_max) {
		size_t max = s->held_max ? s->held_max * 2 : 64;

		list = reallocarray(s->held, max, sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->held = list;
		s->held_max = max;
	}
	path = strdup(p->backing_path);
	if (!path)
		return -ENOMEM;
	s->held[s->nheld] = *p;
	s->held[s->nheld++].backing_path = path;
	return 0;
}

int scrub_tell(struct scrub *s, struct scrub_file *f)
{
	int r = 0;

	if (f->run.count == 0)
		return 0;
	f->run.backing_path = f->path;
	if (s->collect)
		r = collect(s, &f->run);
	else if (s->p->problem)
		s->p->problem(s->p->ctx, &f->run);
	f->run.count = 0;
	return r;
}

int scrub_problem(struct scrub *s, struct scrub_file *f, enum scrub_kind kind, uint64_t number, int error)
{
	struct scrub_problem *run = &f->run;
	int r;

	if (!s->certain) {
		f->suspect = true;
		return 0;
	}
	s->counts.problems++;
	if (run->count && run->kind == kind && (kind == SCRUB_BLOCK || kind == SCRUB_SHORT || kind == SCRUB_GROUP) && run->number + run->count == number) {
		run->count++;
		return 0;
	}
	r = scrub_tell(s, f);
	if (r < 0)
		return r;
	*run = (struct scrub_problem){ .kind = kind, .number = number, .count = 1, .error = error };
	return 0;
}

/* Blocks of a group whose entries are in p; len bytes of it are there. */
static int check_blocks(struct scrub *s, struct scrub_file *f, uint32_t group, const uint8_t *p, size_t len, const bool *in_log)
{
	uint64_t first = (uint64_t)group * GROUP_BLOCKS;
	struct entry e;
	unsigned k;
	int r;

	for (k = 0; k < GROUP_BLOCKS; k++) {
		size_t at = (k + 1) * (size_t)BLOCK_SIZE;

		r = group_entry_parse(p + HEADER_LEN + (size_t)k * ENTRY_LEN, &e);
		if (r < 0)
			return scrub_problem(s, f, SCRUB_GROUP, group, r);
		if (group_entry_is_hole(&e) || in_log[k])
			continue;
		s->counts.blocks++;
		if (at + BLOCK_SIZE > len)
			r = scrub_problem(s, f, SCRUB_SHORT, first + k, 0);
		else if (hash_sum32(p + at, BLOCK_SIZE) != e.sum)
			r = scrub_problem(s, f, SCRUB_BLOCK, first + k, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What group 0 says of the file. 1: go on with it. */
static int first_header(struct scrub *s, struct scrub_file *f, const uint8_t *p, size_t len)
{
	struct group_header h;
	int r;

	f->known = true;
	if (len >= BLOCK_SIZE && layout_is_zero(p, BLOCK_SIZE)) {
		f->over = true;
		return f->size > GROUP_LOWER ? scrub_problem(s, f, SCRUB_HEADER, 0, -ENODATA) : 0;
	}
	r = len < HEADER_LEN ? -EUCLEAN : group_header_parse(p, &h);
	if (r == 0 && h.group != 0)
		r = -EUCLEAN;
	if (r < 0) {
		f->over = true;
		return scrub_problem(s, f, SCRUB_HEADER, 0, r);
	}
	memcpy(f->file_id, h.file_id, FILE_ID_LEN);
	if (!scrub_log_shape(s->log, h.file_id, &f->shape))
		f->shape = h.shape;
	return 1;
}

int scrub_shape(struct scrub *s, struct scrub_file *f, const uint8_t *p, size_t n)
{
	bool certain = s->certain;
	int r;

	s->certain = false;
	r = first_header(s, f, p, n);
	s->certain = certain;
	return r < 0 ? r : 0;
}

/* The header of another group. */
static bool header_fits(const struct scrub_file *f, uint32_t group, const uint8_t *p)
{
	struct group_header h;

	return group_header_parse(p, &h) == 0 && h.group == group && memcmp(h.file_id, f->file_id, FILE_ID_LEN) == 0;
}

int scrub_check_group(struct scrub *s, struct scrub_file *f, uint32_t group, uint8_t *p, size_t len)
{
	bool in_log[GROUP_BLOCKS] = { false }, logged;
	int r;

	if (group == 0) {
		r = first_header(s, f, p, len);
		if (r <= 0)
			return r;
	}
	if (len < BLOCK_SIZE) /* replay may yet write it */
		memset(p + len, 0, BLOCK_SIZE - len);
	logged = scrub_log_group(s->log, f->file_id, group, p, in_log);
	s->counts.groups++;
	if (len < BLOCK_SIZE && !logged) {
		f->over = true; /* whatever lies behind is missing as well */
		return scrub_problem(s, f, SCRUB_SHORT, (uint64_t)group * GROUP_BLOCKS, 0);
	}
	if (!logged && group != 0 && !header_fits(f, group, p))
		return scrub_problem(s, f, SCRUB_GROUP, group, -EUCLEAN);
	return check_blocks(s, f, group, p, len, in_log);
}

int scrub_check_groups(struct scrub *s, struct scrub_file *f, uint32_t first, unsigned count, uint8_t *buf, size_t len)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < count && r == 0; i++) {
		size_t at = i * (size_t)GROUP_LOWER, n = len > at ? len - at : 0;

		if ((first != 0 || i != 0) && (!f->known || !group_exists(&f->shape, first + i) || (f->over && f->shape.alloc_groups == 0)))
			break;
		f->suspect = false;
		r = scrub_check_group(s, f, first + i, buf + at, n < GROUP_LOWER ? n : GROUP_LOWER);
		if (r == 0 && f->suspect)
			r = scrub_suspect_add(s, f, first + i);
		if (f->over)
			break;
	}
	return r;
}
