/* blockio.c: groups and blocks of a file as reads and writes need them, and the rule of the house:
 *
 * The crash table. Each row is a named test of tests/crash/steps.c (crash_after_step_N).
 *
 *   step                                        durable if we die right after               next mount finds           result
 *   1  seal into the dirty table                nothing new                                 last commit                last commit
 *   1b bulk: new data written straight home     blocks that no committed metadata names     last commit                last commit
 *   1c header of an empty file (L7)             an empty file with its file_id              an empty file              last commit
 *   2  bulk flushed, transaction written        any subset of its sectors                   it verifies, or the log    this commit,
 *                                                                                           ends before it             or the last
 *   3  flush of the log returns                 the transaction                             replayed                   this commit
 *   4  state says: durable up to here           the same, vouched for                       replayed                   this commit
 *   5  checkpoint writes home                   transaction, any subset of home sectors     replayed over them         this commit
 *   6  home flushed                             transaction, home                           replayed, same bytes       this commit
 *   7  new tail stored and flushed              home                                        empty log                  this commit
 *   8  lower space given back                   home; what no view has may be gone          empty log                  this commit
 *
 * Truncates and punches take row 1: entries become holes, edges a new version with zeros; below, the space goes in row 8 alone, and only behind a commit that
 * something vouches for. A punch or zeroing of many groups is several such changes, one after the other (iofile_punch.c).
 *
 * There is no write path that overwrites committed data in place: a write to a block that any committed metadata names makes a new version in the
 * dirty table (step 1); only blocks that cur, the commit in flight and the newest durable commit all call holes, and that no unvouched commit has
 * freed (by a cut or a punch), are written straight home (1b). */
#include "io/vio_impl.h"

#include <string.h>

int blockio_integrity(struct iofile *f, enum meter_kind kind, const char *what, uint64_t number)
{
	atomic_fetch_add(&f->v->integrity[kind], 1);
	vio_event(f->v, VIO_EVENT_INTEGRITY, "inode %llu: %s %llu", (unsigned long long)f->ino, what,
		  (unsigned long long)number);
	return -EIO;
}

int blockio_verdict(struct iofile *f, int r, enum meter_kind kind, const char *what, uint64_t number)
{
	return r == 0 || r == -ENOMEM ? r : blockio_integrity(f, kind, what, number);
}

/* ---- range locks: volume-wide, hashed by inode and group; several are taken in rising index order, each once */

static unsigned range_index(const struct iofile *f, uint32_t group)
{
	return (unsigned)(hash_u64x2(f->ino, group) % VIO_RANGE_LOCKS);
}

/* The distinct lock indexes of groups first..last, rising. A request spans at most 3 groups. */
static unsigned range_set(const struct iofile *f, uint32_t first, uint32_t last, unsigned ret_set[static 4])
{
	unsigned n = 0;

	assert(last - first < 4);
	for (uint32_t g = first; g <= last; g++) {
		unsigned x = range_index(f, g), i = 0, j;

		while (i < n && ret_set[i] < x)
			i++;
		if (i < n && ret_set[i] == x)
			continue;
		for (j = n++; j > i; j--)
			ret_set[j] = ret_set[j - 1];
		ret_set[i] = x;
	}
	return n;
}

void blockio_range_lock(struct iofile *f, uint32_t first, uint32_t last, bool exclusive)
{
	unsigned set[4], n = range_set(f, first, last, set);

	for (unsigned i = 0; i < n; i++) {
		if (exclusive)
			pthread_rwlock_wrlock(&f->v->range[set[i]]);
		else
			pthread_rwlock_rdlock(&f->v->range[set[i]]);
	}
}

void blockio_range_unlock(struct iofile *f, uint32_t first, uint32_t last)
{
	unsigned set[4], n = range_set(f, first, last, set);

	while (n > 0)
		pthread_rwlock_unlock(&f->v->range[set[--n]]);
}

/* ---- nodes */

int blockio_node_install(struct iofile *f, uint32_t no, const uint8_t *p, const struct group_header *h)
{
	struct gnode *g;
	struct gmeta *m;
	int r = 0;

	m = cache_meta_new(h->epoch);
	if (!m)
		return -ENOMEM;
	memcpy(m->ent, p + HEADER_LEN, ENTRIES_LEN);
	m->entries = h->entries;
	m->header = h->header;
	m->sealed = true;
	lock_take(&f->m);
	g = cache_node_find(f, no);
	if (!g)
		r = cache_node_add(f, no, &g);
	if (r == 0 && !g->cur) {
		g->cur = cache_meta_ref(m);
		g->com = cache_meta_ref(m);
		g->home = cache_meta_ref(m);
		cache_node_touch(g);
	}
	lock_drop(&f->m);
	cache_meta_unref(m);
	return r;
}

/* Check a metadata block read from home and make its node. */
int blockio_node_parse(struct iofile *f, uint32_t no, const uint8_t *p)
{
	struct blockcrypt *bc = blockcrypt_get();
	struct group_header h;
	int r;

	if (!bc)
		return -ENOMEM;
	r = group_open(bc, f->v->p.ring, f->file_id, no, p, &h);
	if (r < 0)
		return blockio_verdict(f, r, METER_GROUP, "metadata of group", no);
	r = vio_check_stamps(f->v, &h);
	if (r < 0)
		return blockio_integrity(f, METER_GROUP, "coffer.state is older than group", no);
	return blockio_node_install(f, no, p, &h);
}

static int node_load(struct iofile *f, uint32_t no)
{
	uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	int fd, r;

	r = iofile_fd(f, false, &fd);
	if (r < 0)
		return r;
	r = lower_pread_full(f->v->l, fd, p, BLOCK_SIZE, layout_group_off(no));
	iofile_fd_put(f);
	if (r == -ENODATA)
		return blockio_integrity(f, METER_GROUP, "end of file before group", no);
	if (r < 0)
		return r;
	return blockio_node_parse(f, no, p);
}

int blockio_node(struct iofile *f, uint32_t no, struct gnode **ret_g)
{
	struct gnode *g;
	int r;

	for (;;) {
		lock_take(&f->m);
		g = cache_node_find(f, no);
		if (g && g->cur) {
			g->pins++;
			if (g->in_lru)
				cache_node_touch(g); /* out: it is pinned */
			lock_drop(&f->m);
			*ret_g = g;
			return 0;
		}
		lock_drop(&f->m);
		r = node_load(f, no);
		if (r < 0)
			return r;
	}
}

void blockio_node_put(struct gnode *g)
{
	struct iofile *f = g->f;

	lock_take(&f->m);
	if (--g->pins == 0) {
		if (!g->cur)
			cache_node_free_if_empty(g);
		else
			cache_node_touch(g);
	}
	lock_drop(&f->m);
}

/* ---- one block */

int blockio_open_block(struct iofile *f, uint16_t epoch, uint64_t block, const struct entry *e, const uint8_t *cipher,
		       uint8_t *ret_plain)
{
	struct blockcrypt *bc = blockcrypt_get();
	const struct file_keys *keys;
	struct file_keys own;
	int r;

	if (!bc)
		return -ENOMEM;
	r = iofile_keys(f, epoch, &own, &keys);
	if (r < 0)
		return r;
	r = blockcrypt_open(bc, keys, &(struct block_pos){ f->file_id, block, e->stamp, epoch }, cipher, e->tag, ret_plain);
	if (keys == &own)
		keys_wipe(&own);
	return r;
}

int blockio_block(struct iofile *f, struct gnode *g, unsigned i, uint8_t *ret_plain)
{
	uint64_t block = (uint64_t)g->no * GROUP_BLOCKS + i;
	struct dblk *b;
	struct entry e;
	uint16_t epoch;
	int fd, r;

	lock_take(&f->m);
	cache_entry_get(g->cur, i, &e);
	epoch = g->cur->epoch;
	b = cache_dblk_find(g, i, e.stamp);
	if (b)
		cache_dblk_ref(b);
	lock_drop(&f->m);
	if (group_entry_is_hole(&e)) {
		memset(ret_plain, 0, BLOCK_SIZE);
		return 0;
	}
	if (b) {
		r = blockio_open_block(f, epoch, block, &e, b->buf, ret_plain);
		cache_dblk_unref(f->v, b);
		return blockio_verdict(f, r, METER_BLOCK, "sealed block in memory", block);
	}
	r = iofile_fd(f, false, &fd);
	if (r < 0)
		return r;
	r = lower_pread_full(f->v->l, fd, ret_plain, BLOCK_SIZE, layout_block_off(block));
	iofile_fd_put(f);
	if (r < 0 && r != -ENODATA)
		return r;
	if (r == 0)
		r = blockio_open_block(f, epoch, block, &e, ret_plain, ret_plain);
	return blockio_verdict(f, r, METER_BLOCK, "block", block);
}
