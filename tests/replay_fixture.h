/* replay_fixture.h: a volume on a simulated disk, and a writer of logs for it that can also write what no daemon would. A file is kept twice: as the
 * model in struct rfile (what it should read as), and as what lies at home. Change the model, log the change, replay, compare. */
#ifndef COFFER_TESTS_REPLAY_FIXTURE_H
#define COFFER_TESTS_REPLAY_FIXTURE_H

#include "format_fixture.h"
#include "base/hash.h"
#include "io/replay_view.h"
#include "lib/simfs.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RV_FN __attribute__((noinline, unused)) /* frames have a limit */
#define LOG_BLOCKS (LOG_BLOCKS_MIN > 64 ? LOG_BLOCKS_MIN : 64u)
#define GROUPS 4
#define FILES_MAX 80
#define PARTS_MAX 8
#define TX_BLOCKS_MAX 64

struct rfile {
	char name[80];           /* path below the root */
	uint8_t id[FILE_ID_LEN];
	struct lower_handle handle;
	struct file_shape shape;
	struct seal header;      /* of group 0 */
	struct rgroup {
		uint16_t epoch;
		struct seal entries, header;
		struct entry e[GROUP_BLOCKS];
		const uint8_t *cipher[GROUP_BLOCKS];
	} g[GROUPS];
};

struct rvol {
	struct simfs *fs;
	struct lower *l;
	unsigned lacks;          /* of fs */
	int root;
	struct vio_params p;
	uint8_t generation[GENERATION_LEN];
	uint64_t stamp, pos, sequence, durable;
	/* the transaction being made */
	struct rpart {
		struct log_desc d;
		const uint8_t *blk[TX_BLOCKS_MAX];
	} part[PARTS_MAX];
	size_t parts;
	uint64_t tx_pos;         /* where the last one was written */
	unsigned unlinked, quarantined, steps;
	struct rfile f[FILES_MAX];
	struct rfile kept[4];
	unsigned nkept;
};

static RV_FN uint64_t rv_stamp(struct rvol *v)
{
	return v->stamp++;
}

static RV_FN void rv_event(void *ctx, enum vio_event ev, const char *text)
{
	struct rvol *v = ctx;

	(void)text;
	v->unlinked += ev == VIO_EVENT_UNLINKED;
	v->quarantined += ev == VIO_EVENT_QUARANTINE;
}

static RV_FN void rv_step(void *ctx)
{
	struct rvol *v = ctx;

	v->steps++;
}

static RV_FN struct state *rv_state(struct rvol *v, bool read_only)
{
	struct state *s = NULL;

	fixture_must(state_open(v->l, v->root, fixture_ring(), read_only, v->p.rules_off, &s) == 0);
	return s;
}

/* Take the generation, tail and sequence of the state for what is logged next. */
static RV_FN void rv_begin(struct rvol *v, uint64_t tail, uint64_t tail_sequence)
{
	struct state *s = rv_state(v, false);
	struct volume_state st;

	fixture_must(state_new_generation(s, 0, tail, tail_sequence) == 0);
	state_get(s, &st);
	memcpy(v->generation, st.generation, GENERATION_LEN);
	v->pos = tail;
	v->sequence = v->durable = tail_sequence;
	fixture_must(state_stamps(s, 1 << 20, &v->stamp) == 0);
	state_close(s);
}

static RV_FN int rv_open(struct rvol *v, const char *path, int flags)
{
	char name[256];
	int fd = v->root, next;
	size_t len;

	for (; strchr(path, '/'); path += len + 1) {
		len = strcspn(path, "/");
		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		next = v->l->ops->openat(v->l, fd, name, O_RDONLY | O_DIRECTORY, 0);
		if (fd != v->root)
			lower_close(v->l, fd);
		if (next < 0)
			return next;
		fd = next;
	}
	next = v->l->ops->openat(v->l, fd, path, flags, 0600);
	if (fd != v->root)
		lower_close(v->l, fd);
	return next;
}

static RV_FN void rv_poke(struct rvol *v, const char *path, uint64_t off, const void *p, size_t len)
{
	int fd = rv_open(v, path, O_RDWR);

	fixture_must(fd >= 0 && lower_pwrite(v->l, fd, p, len, off, false) == 0 && v->l->ops->fsync(v->l, fd) == 0);
	lower_close(v->l, fd);
}

static RV_FN void rv_peek(struct rvol *v, const char *path, uint64_t off, void *p, size_t len)
{
	int fd = rv_open(v, path, O_RDONLY);
	ssize_t n;

	fixture_must(fd >= 0);
	n = lower_pread(v->l, fd, p, len, off);
	fixture_must(n >= 0);
	memset((uint8_t *)p + n, 0, len - (size_t)n);
	lower_close(v->l, fd);
}

static RV_FN void rv_flip(struct rvol *v, const char *path, uint64_t off)
{
	uint8_t b;

	rv_peek(v, path, off, &b, 1);
	b ^= 0x10;
	rv_poke(v, path, off, &b, 1);
}

static RV_FN void rv_on(struct rvol *v, struct simfs *fs)
{
	v->fs = fs;
	v->l = simfs_lower(fs);
	v->root = simfs_open_root(fs);
	fixture_must(v->root >= 0);
	v->p.lower = v->l;
	v->p.root_fd = v->root;
}

static RV_FN struct rvol *rv_new(unsigned lacks)
{
	const struct simfs_params sp = { .seed = 1, .mode = SIMFS_EXT4, .lacks = lacks };
	struct rvol *v = calloc(1, sizeof(*v));
	int fd;

	fixture_must(v != NULL);
	v->lacks = lacks;
	rv_on(v, simfs_new(&sp));
	v->p.ring = (struct key_ring *)(uintptr_t)fixture_ring();
	v->p.cb.ctx = v;
	v->p.cb.event = rv_event;
	v->p.cb.step = rv_step;
	fd = rv_open(v, NAME_LOG, O_RDWR | O_CREAT);
	fixture_must(fd >= 0 && v->l->ops->ftruncate(v->l, fd, LOG_BLOCKS * BLOCK_SIZE) == 0);
	lower_close(v->l, fd);
	fixture_must(state_format(v->l, v->root, fixture_ring(), LOG_BLOCKS) == 0);
	rv_begin(v, 0, 0);
	return v;
}

/* ---- the model */

static RV_FN void file_keys(const struct rfile *f, uint16_t epoch, struct file_keys *k)
{
	fixture_must(key_ring_file(fixture_ring(), epoch, f->id, k) == 0);
}

/* Kept until the process ends: copies of a model share them. */
static RV_FN uint8_t *cipher_new(void)
{
	static struct chain {
		struct chain *next;
		uint8_t p[BLOCK_SIZE];
	} *all;
	struct chain *c = malloc(sizeof(*c));

	fixture_must(c != NULL);
	c->next = all;
	all = c;
	return c->p;
}

/* The block becomes 4096 times fill. */
static RV_FN void set(struct rvol *v, struct rfile *f, unsigned g, unsigned i, uint8_t fill)
{
	struct block_pos pos = { .file_id = f->id, .block = g * GROUP_BLOCKS + i, .stamp = rv_stamp(v), .epoch = f->g[g].epoch };
	struct entry *e = &f->g[g].e[i];
	uint8_t *p = cipher_new();
	struct file_keys k;

	memset(p, fill, BLOCK_SIZE);
	file_keys(f, f->g[g].epoch, &k);
	fixture_must(blockcrypt_seal(fixture_bc(), &k, &pos, p, p, e->tag, &e->sum) == 0);
	e->stamp = pos.stamp;
	f->g[g].cipher[i] = p;
}

/* The model as it is now. */
static RV_FN const struct rfile *keep(struct rvol *v, const struct rfile *f)
{
	fixture_must(v->nkept < sizeof(v->kept) / sizeof(*v->kept));
	v->kept[v->nkept] = *f;
	return &v->kept[v->nkept++];
}

static RV_FN void make_hole(struct rfile *f, unsigned g, unsigned i)
{
	memset(&f->g[g].e[i], 0, sizeof(struct entry));
	f->g[g].cipher[i] = NULL;
}

static RV_FN void make_empty(struct rfile *f, unsigned g)
{
	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		make_hole(f, g, i);
}

static RV_FN void entries_put(const struct rfile *f, unsigned g, uint8_t *p)
{
	for (unsigned i = 0; i < GROUP_BLOCKS; i++)
		group_entry_put(&f->g[g].e[i], p + i * ENTRY_LEN);
}

static RV_FN void header_of(const struct rfile *f, unsigned g, struct group_header *h)
{
	*h = (struct group_header){ .epoch = f->g[g].epoch, .group = g, .entries = f->g[g].entries, .header = f->g[g].header };
	memcpy(h->file_id, f->id, FILE_ID_LEN);
	if (g == 0) {
		h->shape = f->shape;
		h->header = f->header;
	}
}

static RV_FN void seal_entries(struct rvol *v, struct rfile *f, unsigned g)
{
	uint8_t p[ENTRIES_LEN];
	struct group_header h;
	struct file_keys k;

	file_keys(f, f->g[g].epoch, &k);
	entries_put(f, g, p);
	header_of(f, g, &h);
	h.entries.stamp = rv_stamp(v);
	fixture_must(group_seal_entries(fixture_bc(), &k.tag, &h, p) == 0);
	f->g[g].entries = h.entries;
}

static RV_FN void seal_header(struct rvol *v, struct rfile *f, unsigned g)
{
	struct group_header h;
	struct file_keys k;

	file_keys(f, f->g[g].epoch, &k);
	header_of(f, g, &h);
	h.header.stamp = rv_stamp(v);
	fixture_must(group_seal_header(fixture_bc(), &k.tag, &h) == 0);
	if (g == 0)
		f->header = h.header;
	else
		f->g[g].header = h.header;
}

/* ---- home */

static RV_FN void home_meta(struct rvol *v, const struct rfile *f, unsigned g)
{
	uint8_t p[BLOCK_SIZE];
	struct group_header h;

	header_of(f, g, &h);
	group_header_put(&h, p);
	entries_put(f, g, p + HEADER_LEN);
	rv_poke(v, f->name, layout_group_off(g), p, sizeof(p));
}

static RV_FN void home_block(struct rvol *v, const struct rfile *f, unsigned g, unsigned i)
{
	rv_poke(v, f->name, layout_block_off(g * GROUP_BLOCKS + i), f->g[g].cipher[i], BLOCK_SIZE);
}

static RV_FN void home_all(struct rvol *v, const struct rfile *f)
{
	for (unsigned g = 0; g < GROUPS; g++) {
		if (!group_exists(&f->shape, g))
			continue;
		for (unsigned i = 0; i < GROUP_BLOCKS; i++)
			if (f->g[g].cipher[i])
				home_block(v, f, g, i);
		home_meta(v, f, g);
	}
}

/* A file of this many groups, nothing but holes, at home. */
static RV_FN struct rfile *file_new(struct rvol *v, unsigned n, const char *path, uint32_t groups)
{
	struct rfile *f = &v->f[n];
	int fd;

	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", path);
	memset(f->id, (int)(0x40 + n), FILE_ID_LEN);
	f->shape.alloc_groups = groups;
	f->shape.size = groups * GROUP_PLAIN;
	fd = rv_open(v, path, O_RDWR | O_CREAT);
	fixture_must(fd >= 0);
	if (v->l->ops->name_to_handle(v->l, fd, &f->handle) < 0)
		f->handle.len = 0;
	lower_close(v->l, fd);
	for (unsigned g = 0; g < GROUPS; g++) {
		f->g[g].epoch = FIXTURE_EPOCH;
		seal_entries(v, f, g);
		seal_header(v, f, g);
	}
	home_all(v, f);
	return f;
}

/* What is at home is the model, block for block? NULL or what differs. */
static RV_FN const char *home_differs(struct rvol *v, const struct rfile *f)
{
	static char what[64];
	uint8_t p[BLOCK_SIZE], want[ENTRIES_LEN];
	struct group_header h;

	for (unsigned g = 0; g < GROUPS; g++) {
		if (!group_exists(&f->shape, g))
			continue;
		snprintf(what, sizeof(what), "%.40s group %u", f->name, g);
		rv_peek(v, f->name, layout_group_off(g), p, BLOCK_SIZE);
		entries_put(f, g, want);
		if (group_open(fixture_bc(), fixture_ring(), f->id, g, p, &h) < 0 || memcmp(p + HEADER_LEN, want, ENTRIES_LEN) != 0)
			return what;
		if (h.flags || (g == 0 && memcmp(&h.shape, &f->shape, sizeof(h.shape)) != 0))
			return what;
		for (unsigned i = 0; i < GROUP_BLOCKS; i++) {
			snprintf(what, sizeof(what), "%.40s block %u/%u", f->name, g, i);
			if (!f->g[g].cipher[i])
				continue;
			rv_peek(v, f->name, layout_block_off(g * GROUP_BLOCKS + i), p, BLOCK_SIZE);
			if (memcmp(p, f->g[g].cipher[i], BLOCK_SIZE) != 0)
				return what;
		}
	}
	return NULL;
}

/* ---- a transaction */

static RV_FN struct rpart *tx_last(struct rvol *v)
{
	return &v->part[v->parts - 1];
}

static RV_FN void tx_part(struct rvol *v)
{
	fixture_must(v->parts < PARTS_MAX);
	memset(&v->part[v->parts++], 0, sizeof(struct rpart));
	log_desc_begin(&tx_last(v)->d);
}

static RV_FN void tx_begin(struct rvol *v)
{
	v->parts = 0;
	tx_part(v);
}

/* FILE with the model's shape; group0: its entries have changed, so their seal is new too. */
static RV_FN void tx_file(struct rvol *v, struct rfile *f, bool group0)
{
	struct log_file lf = { .shape = f->shape, .handle = f->handle };

	if (group0)
		seal_entries(v, f, 0);
	seal_header(v, f, 0);
	memcpy(lf.file_id, f->id, FILE_ID_LEN);
	lf.header = f->header;
	fixture_must(log_desc_add_file(&tx_last(v)->d, &lf) == 0);
}

/* GROUP with these blocks, as the model has them; where as in log_record.h. Group 0 comes behind tx_file(…, true). */
struct rec {
	unsigned index;
	enum log_where where;
};

static RV_FN void tx_group(struct rvol *v, struct rfile *f, unsigned g, enum log_base base, unsigned n, const struct rec *recs)
{
	struct log_group lg = { .group = g, .base = (uint8_t)base, .epoch = f->g[g].epoch, .block_count = (uint8_t)n };
	struct rpart *p = tx_last(v);

	if (g != 0) {
		seal_entries(v, f, g);
		seal_header(v, f, g);
		lg.header = f->g[g].header;
	}
	lg.entries = f->g[g].entries;
	for (unsigned k = 0; k < n; k++) {
		unsigned i = recs[k].index;

		lg.blocks[k] = (struct log_block){ .index = (uint8_t)i, .where = (uint8_t)recs[k].where, .entry = f->g[g].e[i] };
		if (recs[k].where == LOG_WHERE_LOG)
			p->blk[p->d.data_blocks + k] = f->g[g].cipher[i];
		fixture_must(p->d.data_blocks + k < TX_BLOCKS_MAX);
	}
	/* close the gaps that records without a block left */
	for (unsigned k = 0, to = p->d.data_blocks; k < n; k++)
		if (recs[k].where == LOG_WHERE_LOG)
			p->blk[to++] = p->blk[p->d.data_blocks + k];
	fixture_must(log_desc_add_group(&p->d, &lg) == 0);
}

#define TX_GROUP(v, f, g, base, ...)                                                                    \
	tx_group(v, f, g, base, sizeof((struct rec[]){ __VA_ARGS__ }) / sizeof(struct rec), (struct rec[]){ __VA_ARGS__ })

/* Write it at v->pos; next is where the following one goes. */
static RV_FN void tx_write(struct rvol *v)
{
	v->tx_pos = v->pos;
	for (size_t k = 0; k < v->parts; k++) {
		struct log_desc *d = &v->part[k].d;
		uint8_t p[BLOCK_SIZE];

		fixture_must(log_desc_seal(fixture_bc(), fixture_ring(), d, p) == 0);
		rv_poke(v, NAME_LOG, v->pos++ % LOG_BLOCKS * BLOCK_SIZE, p, sizeof(p));
		for (unsigned i = 0; i < d->data_blocks; i++)
			rv_poke(v, NAME_LOG, v->pos++ % LOG_BLOCKS * BLOCK_SIZE, v->part[k].blk[i], BLOCK_SIZE);
	}
}

static RV_FN void tx_fields(struct rvol *v)
{
	v->sequence++;
	for (size_t k = 0; k < v->parts; k++) {
		struct log_desc *d = &v->part[k].d;

		memcpy(d->generation, v->generation, GENERATION_LEN);
		d->sequence = v->sequence;
		d->durable = v->durable;
		d->part = (uint32_t)k;
		d->last = k + 1 == v->parts;
		d->stamp = rv_stamp(v);
	}
}

/* A transaction that is durable when the next begins. */
static RV_FN void tx_commit(struct rvol *v)
{
	tx_fields(v);
	tx_write(v);
	v->durable = v->sequence;
}

/* One block of group g, changed and logged. */
static RV_FN void tx_one(struct rvol *v, struct rfile *f, unsigned g, unsigned i, uint8_t fill)
{
	set(v, f, g, i, fill);
	tx_begin(v);
	tx_file(v, f, g == 0);
	TX_GROUP(v, f, g, LOG_BASE_HOME, { i, LOG_WHERE_LOG });
	tx_commit(v);
}

/* ---- a view, and what replay must make of the same state */

#define LOOK_LEN (GROUPS * GROUP_LOWER)

struct looked {
	int r;
	struct replay_result res;
	uint64_t hash[FILES_MAX]; /* of the lower file, but for blocks of zeros at its end; 0: it is not there */
	bool verifies[FILES_MAX]; /* its header does */
};

static RV_FN void look_at_files(struct rvol *v, struct lower *l, struct looked *ret)
{
	uint8_t *p = aligned_alloc(BLOCK_SIZE, LOOK_LEN);
	struct lower *was = v->l;
	struct group_header h;

	fixture_must(p != NULL);
	v->l = l;
	for (unsigned i = 0; i < FILES_MAX; i++) {
		int fd = v->f[i].name[0] ? rv_open(v, v->f[i].name, O_RDONLY) : -ENOENT;
		ssize_t n;

		ret->hash[i] = 0;
		if (fd < 0)
			continue;
		memset(p, 0, BLOCK_SIZE);
		n = lower_pread(l, fd, p, LOOK_LEN, 0);
		fixture_must(n >= 0);
		lower_close(l, fd);
		memset(p + n, 0, (size_t)-n % BLOCK_SIZE);
		for (n += -n & (BLOCK_SIZE - 1); n > 0 && layout_is_zero(p + n - BLOCK_SIZE, BLOCK_SIZE); n -= BLOCK_SIZE)
			;
		ret->hash[i] = hash_bytes(p, (size_t)n) | 1;
		ret->verifies[i] = group_open_first(fixture_bc(), fixture_ring(), p, &h) == 0;
	}
	v->l = was;
	free(p);
}

/* What a read-only volume would show, on a copy of the disk that refuses every change and must be as before. */
static RV_FN void look(struct rvol *v, struct looked *ret)
{
	struct simfs *fs = simfs_clone(v->fs);
	uint64_t before = simfs_digest(fs);
	struct replay_view *view = NULL;
	struct vio_params p = v->p;
	struct replay *rp = NULL;
	struct state *s;
	struct lower_ro ro;
	int fd = -1;

	memset(ret, 0, sizeof(*ret));
	simfs_set_lacks(fs, v->lacks | SIMFS_READ_ONLY);
	lower_ro_init(&ro, simfs_lower(fs));
	p.lower = &ro.l;
	p.cb.event = NULL;
	ret->r = state_open(p.lower, v->root, p.ring, true, p.rules_off, &s);
	if (ret->r == 0) {
		fd = p.lower->ops->openat(p.lower, v->root, NAME_LOG, O_RDONLY, 0);
		ret->r = fd < 0 ? fd : replay_look(&p, s, fd, &ret->res, &rp);
	}
	if (ret->r == 0)
		ret->r = replay_view_new(&rp, &view);
	if (ret->r == 0) {
		replay_view_install(view, &ro);
		look_at_files(v, p.lower, ret);
	}
	replay_view_free(view);
	lower_close(p.lower, fd);
	state_close(s);
	fixture_must(simfs_digest(fs) == before);
	simfs_free(fs);
}

/* replay ended with r, and where it did not fail for want of something, home is what the view has shown. */
static RV_FN void looked_the_same(struct rvol *v, const struct looked *was, int r, const struct replay_result *res)
{
	struct looked now;

	if (r != 0 && r != -ENODATA && r != -EUCLEAN && r != -EBADMSG)
		return;
	fixture_must(was->r == r);
	if (r != 0)
		return;
	fixture_must(was->res.head == res->head && was->res.sequence == res->sequence && was->res.files == res->files &&
		     was->res.unlinked == res->unlinked && was->res.quarantined == res->quarantined);
	look_at_files(v, v->l, &now);
	for (unsigned i = 0; i < FILES_MAX; i++) {
		uint8_t p[HEADER_LEN];
		struct group_header h = { 0 };

		if (v->f[i].name[0] && now.hash[i])
			rv_peek(v, v->f[i].name, 0, p, sizeof(p));
		if (now.hash[i] && now.verifies[i] && group_header_parse(p, &h) == 0 && (h.flags & GROUP_FLAG_DAMAGED) &&
		    now.hash[i] != was->hash[i])
			fixture_must(!was->verifies[i]); /* EIO in both */
		else
			fixture_must(now.hash[i] == was->hash[i]);
	}
}

/* ---- replay */

struct how {
	bool accept_log_loss, check_only;
};

static RV_FN int replay_how(struct rvol *v, struct how how, struct replay_result *res)
{
	struct state *s = rv_state(v, how.check_only);
	int fd = rv_open(v, NAME_LOG, how.check_only ? O_RDONLY : O_RDWR);
	static atomic_uint turn; /* tests that replay at every cut need not look each time */
	struct looked *was = calloc(1, sizeof(*was));
	bool plain = v->l == simfs_lower(v->fs) && !how.accept_log_loss && !how.check_only && (turn++ < 100 || turn % 16 == 0);
	int r;

	fixture_must(fd >= 0 && was);
	if (plain)
		look(v, was);
	memset(res, 0xee, sizeof(*res));
	r = replay_run(&v->p, s, fd, how.accept_log_loss, how.check_only, res);
	if (plain)
		looked_the_same(v, was, r, res);
	free(was);
	lower_close(v->l, fd);
	state_close(s);
	return r;
}

static RV_FN int replay(struct rvol *v, struct replay_result *res)
{
	return replay_how(v, (struct how){ 0 }, res);
}

#endif
