/* pick_find.c: the second reading: the numbers of what was looked for. A directory and all in it have one range of numbers, for records come depth first; so what is
 * remembered is as large as the paths are many. But for files with more names: of those each first name that is not picked is remembered until the end, because
 * a later one may be. */
#include "backup/pick_impl.h"

#include <stdio.h>
#include <string.h>

#include "format/layout.h"

/* ---- one entry */

/* What a volume needs, whatever is wanted of it. */
static bool is_own(const struct record_entry *e)
{
	return strcmp(e->name, NAME_VOLUME) == 0 || strcmp(e->name, NAME_STATE) == 0 || strcmp(e->name, NAME_LOG) == 0 || strcmp(e->name, NAME_RESERVE) == 0;
}

/* Of coffer.quarantine what says something of a file that stays damaged, or of stamps; not what was put away there, which may be large. */
static bool is_record_of_damage(const struct record_entry *e)
{
	static const char *const ends[] = { ".log", ".home", ".tombstone", ".state" };
	size_t len = strlen(e->name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && e->type == RECORD_FILE; i++)
		if (len > strlen(ends[i]) && strcmp(e->name + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

/* The first that is wanted in a directory; NULL: none. */
static struct pick_want *wants_in(const struct pick *p, uint64_t parent)
{
	size_t low = 0, high = p->nwants;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->wants[mid].parent < parent)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->nwants && p->wants[low].parent == parent ? &p->wants[low] : NULL;
}

/* Is it what a path ends with, or what a long name needs? */
static bool is_wanted(struct pick *p, const struct record_entry *e)
{
	struct pick_want *w = wants_in(p, e->parent);
	bool wanted = false;

	for (; w && w < p->wants + p->nwants && w->parent == e->parent; w++) {
		struct pick_path *path = &p->paths[w->path];

		if (strcmp(w->name, e->name) != 0)
			continue;
		if (w->kind == PICK_BESIDE) {
			wanted = true;
		} else if (w->kind == PICK_BETWEEN || (path->must_dir && e->type != RECORD_DIR)) {
			path->state = PICK_NOT_DIR;
		} else {
			path->state = PICK_FOUND;
			wanted = true;
		}
	}
	return wanted;
}

static bool is_picked(struct pick *p, uint64_t no, unsigned depth, const struct record_entry *e)
{
	bool wanted;

	if (no == 0)
		return true;
	if (p->under && depth <= p->under_depth)
		p->under = false;
	wanted = is_wanted(p, e); /* also where all is taken: its path is found then */
	if (wanted && e->type == RECORD_DIR && !p->under) {
		p->under = true;
		p->under_depth = depth;
		return true;
	}
	if (wanted || p->under || pick_keeps(p, no))
		return true;
	if (depth == 0 && e->type == RECORD_DIR && strcmp(e->name, NAME_QUARANTINE) == 0) {
		p->quarantine = no;
		return true;
	}
	if (p->quarantine && e->parent == p->quarantine)
		return is_record_of_damage(e);
	return depth == 0 ? is_own(e) : strcmp(e->name, DIR_LINK) == 0 && pick_keeps(p, e->parent);
}

static int take(struct pick *p, uint64_t no)
{
	int r;

	p->entries++;
	if (p->nranges > 0 && p->ranges[p->nranges - 1].end == no) {
		p->ranges[p->nranges - 1].end++;
		return 0;
	}
	r = pick_room(&p->ranges, p->nranges, &p->ranges_max, sizeof(*p->ranges));
	if (r == 0)
		p->ranges[p->nranges++] = (struct pick_range){ no, no + 1 };
	return r;
}

/* ---- other names */

static int remember(struct pick *p, uint64_t no)
{
	int r = pick_room(&p->linked, p->nlinked, &p->linked_max, sizeof(*p->linked));

	if (r == 0)
		p->linked[p->nlinked++] = (struct pick_linked){ .no = no };
	return r;
}

static int by_no(const void *key, const void *linked)
{
	uint64_t no = *(const uint64_t *)key, other = ((const struct pick_linked *)linked)->no;

	return no < other ? -1 : no > other;
}

/* The entry that a picked one is another name of. */
static int need(struct pick *p, uint64_t no)
{
	struct pick_linked *l = p->nlinked ? bsearch(&no, p->linked, p->nlinked, sizeof(*p->linked), by_no) : NULL;

	if (l)
		l->wanted = true;
	return l || pick_what(p, no) == PICK_ALL ? 0 : -EUCLEAN;
}

static int gather_contents(struct pick *p)
{
	p->contents = p->nlinked ? calloc(p->nlinked, sizeof(*p->contents)) : NULL;
	if (p->nlinked && !p->contents)
		return -ENOMEM;
	for (size_t i = 0; i < p->nlinked; i++) {
		if (!p->linked[i].wanted)
			continue;
		p->contents[p->ncontents++] = p->linked[i].no;
		p->bytes += p->linked[i].bytes;
		p->entries++;
	}
	return 0;
}

/* ---- the walk */

static int find_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	struct pick *p = ctx;
	int r = 0;

	p->taking = is_picked(p, no, depth, e);
	p->at_linked = !p->taking && e->flags & RECORD_FLAG_LINKED;
	if (p->taking)
		r = take(p, no);
	if (r == 0 && p->taking && e->type == RECORD_LINK)
		r = need(p, e->number);
	return r == 0 && p->at_linked ? remember(p, no) : r;
}

static int find_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct backup_set_item *item;
	struct pick *p = ctx;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (p->at_linked)
			p->linked[p->nlinked - 1].bytes += pieces[i].len;
		if (!p->taking)
			continue;
		p->bytes += pieces[i].len;
		if (!pieces[i].packed)
			continue;
		r = backup_set_add(&p->packs, pieces[i].pack, &item);
		if (r == 0)
			item->at++;
	}
	return r;
}

/* Of the first path that was not found. */
static int verdict(struct pick *p)
{
	for (size_t i = 0; i < p->npaths; i++) {
		if (p->paths[i].state == PICK_FOUND)
			continue;
		p->bad = p->paths[i].text;
		return p->paths[i].state == PICK_NOT_DIR ? -ENOTDIR : -ENOENT;
	}
	return 0;
}

int pick_find(struct pick *p, const struct repo *r, const struct manifest *m, struct snapshot_spool *spool, struct store_error *err)
{
	struct snapshot_walk w = { .ctx = p, .entry = find_entry, .pieces = find_pieces, .spool = spool };
	int e;

	e = snapshot_walk(r, m, &w, err);
	if (e == -EUCLEAN && !err->message[0])
		(void)snprintf(err->message, sizeof(err->message), "the snapshot: another name of what has no other names");
	if (e == 0)
		e = gather_contents(p);
	return e < 0 ? e : verdict(p);
}
