/* pick.c: see pick.h. Paths, and what they are called in a snapshot: pick_survey.c and pick_find.c read the records. */
#include "backup/pick_impl.h"

#include <string.h>

#include "base/text.h"
#include "crypt/digest.h"
#include "format/layout.h"

#define WHOLE_PACK_FROM 16u              /* pieces */

int pick_room(void *list, size_t n, size_t *max, size_t size)
{
	size_t more = *max ? *max * 2 : 16;
	void *p;

	if (n < *max)
		return 0;
	p = reallocarray(*(void **)list, more, size);
	if (!p)
		return -ENOMEM;
	*(void **)list = p;
	*max = more;
	return 0;
}

int pick_new(struct pick **ret_p)
{
	*ret_p = calloc(1, sizeof(**ret_p));
	return *ret_p ? 0 : -ENOMEM;
}

void pick_free(struct pick *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->npaths; i++)
		free(p->paths[i].text);
	free(p->paths);
	free(p->dirs);
	free(p->by_name);
	free(p->wants);
	free(p->keep);
	free(p->ranges);
	free(p->linked);
	free(p->contents);
	backup_set_done(&p->packs);
	free(p);
}

/* ---- paths */

/* The component at *at, which moves on: 1; 0: no more. Empty ones and `.` are none. */
static int component(const char **at, char ret_name[static PLAIN_NAME_MAX + 1])
{
	size_t len;

	for (;; *at += len) {
		*at += strspn(*at, "/");
		len = strcspn(*at, "/");
		if (len == 0)
			return 0;
		if (len != 1 || **at != '.')
			break;
	}
	if (len == 2 && (*at)[0] == '.' && (*at)[1] == '.')
		return -EINVAL;
	if (len > PLAIN_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(ret_name, *at, len);
	ret_name[len] = '\0';
	*at += len;
	return 1;
}

static bool ends_as_dir(const char *path)
{
	size_t len = strlen(path);

	return path[len - 1] == '/' || (len > 1 && path[len - 1] == '.' && path[len - 2] == '/');
}

int pick_add(struct pick *p, const char *path)
{
	char name[PLAIN_NAME_MAX + 1];
	const char *at = path;
	unsigned n = 0;
	int r;

	while ((r = component(&at, name)) > 0)
		n++;
	if (r < 0)
		return r;
	if (n == 0)
		return -EISDIR;
	if (p->npaths == PICK_PATHS_MAX)
		return -E2BIG;
	if (!p->paths)
		p->paths = calloc(PICK_PATHS_MAX, sizeof(*p->paths));
	if (!p->paths)
		return -ENOMEM;
	p->paths[p->npaths] = (struct pick_path){ .text = strdup(path), .must_dir = ends_as_dir(path) };
	if (!p->paths[p->npaths].text)
		return -ENOMEM;
	p->npaths++;
	return 0;
}

const char *pick_bad(const struct pick *p)
{
	return p->bad;
}

/* ---- from plain to lower names */

int pick_mark(const char *name, uint8_t ret_mark[static PICK_MARK_LEN])
{
	uint8_t digest[DIGEST_SHA256_LEN];
	int r = digest_sha256(name, strlen(name), digest);

	if (r == 0)
		memcpy(ret_mark, digest, PICK_MARK_LEN);
	return r;
}

static int want(struct pick *p, uint64_t parent, enum pick_kind kind, uint32_t path, const char *name)
{
	int r = pick_room(&p->wants, p->nwants, &p->wants_max, sizeof(*p->wants));

	if (r < 0)
		return r;
	p->wants[p->nwants] = (struct pick_want){ .parent = parent, .kind = kind, .path = path };
	memcpy(p->wants[p->nwants++].name, name, strlen(name) + 1);
	return 0;
}

static int keep(struct pick *p, uint64_t no)
{
	int r = pick_room(&p->keep, p->nkeep, &p->keep_max, sizeof(*p->keep));

	if (r == 0)
		p->keep[p->nkeep++] = no;
	return r;
}

static int compare(const struct pick_dir *a, uint32_t parent, const uint8_t *mark)
{
	return a->parent < parent ? -1 : a->parent > parent ? 1 : memcmp(a->name, mark, PICK_MARK_LEN);
}

static int by_name(const void *a, const void *b, void *dirs)
{
	const struct pick_dir *d = dirs, *x = &d[*(const uint32_t *)a], *y = &d[*(const uint32_t *)b];

	return compare(x, y->parent, y->name);
}

static int sort_dirs(struct pick *p)
{
	free(p->by_name);
	p->by_name = reallocarray(NULL, p->ndirs, sizeof(*p->by_name));
	if (!p->by_name)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->ndirs; i++)
		p->by_name[i] = i;
	qsort_r(p->by_name, p->ndirs, sizeof(*p->by_name), by_name, p->dirs);
	return 0;
}

/* -ENOENT. */
static int find_dir(const struct pick *p, uint32_t parent, const char *name, uint32_t *ret_dir)
{
	size_t low = 0, high = p->ndirs;
	uint8_t mark[PICK_MARK_LEN];
	int r = pick_mark(name, mark);

	while (low < high && r == 0) {
		size_t mid = low + (high - low) / 2;
		int c = compare(&p->dirs[p->by_name[mid]], parent, mark);

		if (c == 0) {
			*ret_dir = p->by_name[mid];
			return 0;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return r < 0 ? r : -ENOENT;
}

/* What a plain name is called in a directory. -ENOENT: nothing has a name there. */
static int lower_name(const struct pick *p, uint32_t dir, const struct name_keys *names, uint16_t names_epoch, const char *plain,
		      char ret_entry[static LOWER_NAME_LEN_MAX + 1], char ret_link[static LOWER_NAME_LEN_MAX + 1])
{
	static const uint8_t root_id[DIR_ID_LEN];
	const struct pick_dir *d = &p->dirs[dir];
	char full[LOWER_NAME_FULL_MAX + 1];
	size_t len;
	int r;

	if (dir > 0 && d->epoch != names_epoch)
		return d->filled || d->epoch ? -EUCLEAN : -ENOENT;
	r = namecrypt_encrypt(names, dir > 0 ? d->id : root_id, plain, strlen(plain), full, &len);
	return r < 0 ? r : namecrypt_entry(full, len, ret_entry, ret_link);
}

/* One component: what to look for in dir; 1: go on in *ret_dir, 0: that is as far as it goes. */
static int step(struct pick *p, uint32_t path, uint32_t dir, const char *entry, const char *link, bool last, uint32_t *ret_dir)
{
	uint64_t no = p->dirs[dir].no;
	int r = 0;

	if (*link)
		r = want(p, no, PICK_BESIDE, path, link);
	if (r == 0 && !last)
		r = find_dir(p, dir, entry, ret_dir);
	if (r == 0 && !last)
		r = keep(p, p->dirs[*ret_dir].no);
	if (r == 0 && !last)
		return 1;
	return r == 0 || r == -ENOENT ? want(p, no, last ? PICK_LAST : PICK_BETWEEN, path, entry) : r;
}

static int resolve(struct pick *p, uint32_t path, const struct name_keys *names, uint16_t names_epoch)
{
	char name[PLAIN_NAME_MAX + 1], next[PLAIN_NAME_MAX + 1], entry[LOWER_NAME_LEN_MAX + 1], link[LOWER_NAME_LEN_MAX + 1];
	const char *at = p->paths[path].text;
	int r = component(&at, name), more = 1;
	uint32_t dir = 0;

	while (r > 0) {
		more = component(&at, next);
		r = lower_name(p, dir, names, names_epoch, name, entry, link);
		if (r == -ENOENT)
			return 0; /* nor will it be found */
		if (r == 0)
			r = step(p, path, dir, entry, link, more == 0, &dir);
		memcpy(name, next, sizeof(name));
	}
	if (r == -EUCLEAN)
		p->bad = p->paths[path].text;
	return r;
}

static int by_parent(const void *a, const void *b)
{
	const struct pick_want *x = a, *y = b;

	return x->parent < y->parent ? -1 : x->parent > y->parent;
}

static int by_no(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int pick_resolve(struct pick *p, const struct name_keys *names, uint16_t names_epoch)
{
	int r = sort_dirs(p);

	p->bad = NULL;
	p->nwants = p->nkeep = 0;
	for (uint32_t i = 0; i < p->npaths && r == 0; i++)
		r = resolve(p, i, names, names_epoch);
	if (r == 0 && p->nwants > 0)
		qsort(p->wants, p->nwants, sizeof(*p->wants), by_parent);
	if (r == 0 && p->nkeep > 0)
		qsort(p->keep, p->nkeep, sizeof(*p->keep), by_no);
	return r;
}

bool pick_keeps(const struct pick *p, uint64_t no)
{
	return p->nkeep > 0 && bsearch(&no, p->keep, p->nkeep, sizeof(no), by_no);
}

/* ---- what was picked */

static int by_range(const void *key, const void *range)
{
	uint64_t no = *(const uint64_t *)key;
	const struct pick_range *g = range;

	return no < g->first ? -1 : no >= g->end;
}

enum pick_what pick_what(const struct pick *p, uint64_t no)
{
	if (p->nranges > 0 && bsearch(&no, p->ranges, p->nranges, sizeof(*p->ranges), by_range))
		return PICK_ALL;
	return p->ncontents > 0 && bsearch(&no, p->contents, p->ncontents, sizeof(no), by_no) ? PICK_CONTENT : PICK_NOT;
}

size_t pick_contents(const struct pick *p, const uint64_t **ret_nos)
{
	*ret_nos = p->contents;
	return p->ncontents;
}

uint64_t pick_entries(const struct pick *p)
{
	return p->entries;
}

uint64_t pick_bytes(const struct pick *p)
{
	return p->bytes;
}

bool pick_whole_pack(const struct pick *p, const uint8_t hash[static RECORD_HASH_LEN])
{
	const struct backup_set_item *i = backup_set_find(&p->packs, hash);

	return i && i->at >= WHOLE_PACK_FROM;
}

int pick_id(const struct pick *p, char ret_id[static PICK_ID_MAX])
{
	AUTO_FREE uint8_t *text = malloc(p->nranges * 16 + 1);
	uint8_t digest[DIGEST_SHA256_LEN];
	int r;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < p->nranges; i++) {
		layout_put64(text + i * 16, p->ranges[i].first);
		layout_put64(text + i * 16 + 8, p->ranges[i].end);
	}
	r = digest_sha256(text, p->nranges * 16, digest);
	if (r == 0)
		text_hex(digest, (PICK_ID_MAX - 1) / 2, ret_id);
	return r;
}
