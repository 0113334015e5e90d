/* fuzz_pick.c: a path, a zero byte, and a list of records as a store may have it: which of them does the path mean (src/backup/pick.h)? What is picked hangs together,
 * whatever the list says: the directory of each is picked, and another name's content. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backup/merkle.h"
#include "backup/pick.h"
#include "crypt/digest.h"

#define ENTRIES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct entries {
	uint64_t n, bytes;
	struct {
		uint64_t parent, of;
		bool link;
	} e[ENTRIES_MAX];
};

/* So much of a manifest as a walk needs. False: the walk would refuse it. */
static bool describe(const uint8_t *p, size_t len, struct manifest *m, struct entries *all)
{
	AUTO_FREE struct record_piece *pieces = calloc(RECORD_PIECES_MAX, sizeof(*pieces));
	AUTO_FREE struct record_order *o = calloc(1, sizeof(*o));
	struct merkle merkle = { 0 };
	size_t at = RECORD_LIST_HEAD, n, k;
	struct record_entry e;
	const uint8_t *r;

	if (!pieces || !o)
		abort();
	if (record_list_open(p, len, &m->lists[0].records) < 0)
		return false;
	for (uint32_t i = 0; i < m->lists[0].records; i++) {
		if (record_list_next(p, len, &at, &r, &n) != 1 || merkle_add(&merkle, r, n) < 0)
			return false;
		if (record_parse_entry(r, n, &e) == 0) {
			if (o->entries == ENTRIES_MAX || record_order_entry(o, &e) < 0)
				return false;
			all->e[o->entries - 1].parent = e.parent;
			all->e[o->entries - 1].of = e.number;
			all->e[o->entries - 1].link = e.type == RECORD_LINK;
		} else if (record_parse_pieces(r, n, pieces, &k) < 0 || record_order_pieces(o, pieces, k) < 0) {
			return false;
		}
	}
	m->entries = all->n = o->entries;
	m->bytes = o->bytes;
	m->lists[0].len = (uint32_t)len;
	return at == len && record_order_end(o) == 0 && merkle_root(&merkle, m->root) == 0 && digest_sha256(p, len, m->lists[0].hash) == 0;
}

static void look(const struct pick *p, const struct entries *all)
{
	uint64_t picked = 0;

	for (uint64_t no = 0; no < all->n; no++) {
		enum pick_what what = pick_what(p, no);

		picked += what != PICK_NOT;
		if (what == PICK_ALL && no > 0 && pick_what(p, all->e[no].parent) != PICK_ALL)
			abort();
		if (what == PICK_ALL && all->e[no].link && pick_what(p, all->e[no].of) == PICK_NOT)
			abort();
	}
	if (pick_what(p, 0) != PICK_ALL || pick_what(p, all->n) != PICK_NOT || picked != pick_entries(p))
		abort();
}

static void pick(const char *path, const struct manifest *m, struct snapshot_spool *spool, const struct entries *all)
{
	AUTO_PICK struct pick *p = NULL;
	struct store_error err = { 0 };
	struct repo none = { 0 }; /* never asked: the list is kept */
	struct name_keys keys;
	char id[PICK_ID_MAX];
	int r;

	for (unsigned i = 0; i < sizeof(keys); i++)
		((uint8_t *)&keys)[i] = (uint8_t)i;
	if (pick_new(&p) < 0)
		abort();
	r = pick_add(p, path);
	if (r == 0)
		r = pick_survey(p, &none, m, spool, &err);
	if (r == 0)
		r = pick_resolve(p, &keys, 1);
	if (r == 0)
		r = pick_find(p, &none, m, spool, &err);
	if ((r == -ENOENT || r == -ENOTDIR) != (pick_bad(p) && r != -EUCLEAN))
		abort();
	if (r == 0 && pick_id(p, id) < 0)
		abort();
	if (r == 0)
		look(p, all);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_FREE struct entries *all = calloc(1, sizeof(*all));
	const uint8_t *zero = memchr(p, 0, len), *list = zero ? zero + 1 : p;
	size_t list_len = zero ? len - (size_t)(list - p) : 0;
	struct manifest_list lists[1] = { 0 };
	struct manifest m = { .lists = lists, .nlists = 1 };
	uint64_t at = 1;
	struct snapshot_spool spool = { .fd = memfd_create("fuzz", MFD_CLOEXEC), .at = &at };

	if (!all || spool.fd < 0)
		abort();
	if (zero && describe(list, list_len, &m, all)) {
		if (pwrite(spool.fd, list, list_len, 1) != (ssize_t)list_len)
			abort();
		pick((const char *)p, &m, &spool, all);
	}
	(void)close(spool.fd);
	return 0;
}
