/* tamper_world.c: making the images, mounting a changed one and reading it. */
#include "tests/tamper/tamper.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const names[FILES] = { "a", "b", "c", NAME_LOG, NAME_STATE };

const char *file_name(unsigned i)
{
	return names[i];
}

static int open_dir(struct simfs *fs)
{
	struct lower *l = simfs_lower(fs);
	int dir = l->ops->openat(l, AT_FDCWD, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0);

	assert(dir >= 0);
	return dir;
}

void image_take(struct image *im, struct simfs *fs, const struct version *v)
{
	struct lower *l = simfs_lower(fs);
	int dir = open_dir(fs);

	im->v = v;
	for (unsigned i = 0; i < FILES; i++) {
		struct stat st;
		int fd = lower_open_regular(l, dir, names[i], O_RDONLY, 0, &st);

		assert(fd >= 0 && (uint64_t)st.st_size <= LOWER_MAX / 2);
		im->len[i] = (uint64_t)st.st_size;
		im->raw[i] = malloc(im->len[i] + 1);
		assert(im->raw[i]);
		if (lower_pread_full(l, fd, im->raw[i], im->len[i], 0) < 0)
			abort();
		lower_close(l, fd);
	}
	lower_close(l, dir);
}

void image_drop(struct image *im)
{
	for (unsigned i = 0; i < FILES; i++)
		free(im->raw[i]);
	simfs_free(im->fs);
	memset(im, 0, sizeof(*im));
}

void image_put(struct simfs *fs, unsigned i, const uint8_t *old, uint64_t old_len, const uint8_t *p,
	       uint64_t len)
{
	struct lower *l = simfs_lower(fs);
	uint64_t from = 0, to = len, both = len < old_len ? len : old_len;
	int dir = open_dir(fs);
	struct stat st;

	if (len != old_len) {
		int fd = lower_open_regular(l, dir, names[i], O_RDWR, 0, &st);

		if (fd < 0 || l->ops->ftruncate(l, fd, len) < 0)
			abort();
		lower_close(l, fd);
		simfs_sync(fs);
	}
	while (from < both && old[from] == p[from])
		from++;
	while (len == old_len && to > from && old[to - 1] == p[to - 1])
		to--;
	if (to > from && simfs_poke(fs, dir, names[i], from, p + from, to - from) < 0)
		abort();
	lower_close(l, dir);
}

/* ---- making the images */

static void do_op(struct world *w, enum what what, char name, uint64_t off, uint64_t len)
{
	struct op op = { what, name, off, len };
	char text[64];
	int r = world_op(w, &op);

	if (r == 0)
		return;
	(void)fprintf(stderr, "%s: %s\n", op_text(&op, text, sizeof(text)), err_text(r));
	abort();
}

static void take_version(struct version *v, const struct world *w)
{
	*v = (struct version){ 0 };
	for (int i = 0; i < NAMES; i++) {
		const struct history *h = &w->o.h[w->f[i].uid];

		for (size_t k = 0; k < h->n; k++)
			v->seq = h->s[k].seq > v->seq ? h->s[k].seq : v->seq;
		v->size[i] = w->f[i].size;
		v->plain[i] = calloc(1, w->f[i].size + 1);
		assert(v->plain[i]);
		memcpy(v->plain[i], w->f[i].bytes, w->f[i].size);
	}
}

static void commit(struct scene *s, struct world *w)
{
	do_op(w, OP_COMMIT_ALL, 0, 0, 0);
	assert(s->nversions < VERSIONS_MAX);
	take_version(&s->versions[s->nversions++], w);
}

static void random_changes(struct world *w, struct simfs_rng *rng, unsigned n)
{
	static const uint64_t sizes[] = { 0, 1,     5000,  10 * B,        G - B,
					  G, G + 1, 2 * G, 3 * G + 3 * B, 5 * G + 7 };

	for (unsigned i = 0; i < n; i++) {
		char name = (char)('a' + simfs_rng_below(rng, NAMES));

		switch (simfs_rng_below(rng, 9)) {
		case 0:
			do_op(w, OP_WRITE, name, simfs_rng_below(rng, 4) * G, G);
			break;
		case 1:
			do_op(w, OP_TRUNCATE, name, sizes[simfs_rng_below(rng, 10)], 0);
			break;
		case 2:
			do_op(w, OP_APPEND, name, 0, 1 + simfs_rng_below(rng, 30 * B));
			break;
		case 3:
			do_op(w, OP_WRITE, name, sizes[simfs_rng_below(rng, 9)],
			      1 + simfs_rng_below(rng, 40 * B));
			break;
		default:
			do_op(w, OP_WRITE, name, simfs_rng_below(rng, 60) * 1700,
			      1 + simfs_rng_below(rng, 3 * B));
			break;
		}
	}
}

static void image_of_clone(struct image *im, struct simfs *fs, const struct version *v, bool keep)
{
	struct simfs *copy = simfs_clone(fs);

	simfs_close_all(copy);
	simfs_sync(copy);
	image_take(im, copy, v);
	if (keep)
		im->fs = copy;
	else
		simfs_free(copy);
}

static void unmount(struct world *w)
{
	do_op(w, OP_CHECKPOINT, 0, 0, 0);
	for (int i = 0; i < NAMES; i++) {
		if (w->f[i].io && iofile_close(w->f[i].io) < 0)
			abort();
		w->f[i].io = NULL;
	}
	if (vio_close(w->v) < 0)
		abort();
	w->v = NULL;
}

/* The same volume, mounted elsewhere and gone its own way: the same keys, and stamps that the
 * original uses as well. */
static void make_clone(struct scene *s, struct simfs *older, const struct world *w,
		       struct simfs_rng *rng)
{
	struct simfs *fs = simfs_clone(older);
	struct world *w2;
	const char *e;
	int r = 0;

	simfs_close_all(fs);
	w2 = world_from(&fs, VOLUME_DIR, w, 0, &r);
	e = w2 ? world_check(w2, &w->o, 0) : err_text(r);
	if (e) {
		(void)fprintf(stderr, "the clone: %s\n", e);
		abort();
	}
	world_restart(w2);
	for (unsigned k = 0; k < CLONED; k++) {
		random_changes(w2, rng, 2);
		do_op(w2, OP_COMMIT_ALL, 0, 0, 0);
		if (k % 2)
			do_op(w2, OP_CHECKPOINT, 0, 0, 0);
		take_version(&s->cloned[k], w2);
	}
	image_of_clone(&s->donor[2], w2->fs, &s->cloned[CLONED - 1], false);
	world_free(w2);
}

static void first_contents(struct world *w, struct simfs_rng *rng)
{
	for (char c = 'a'; c < 'a' + NAMES; c++)
		do_op(w, OP_CREATE, c, 0, 0);
	do_op(w, OP_WRITE, 'a', 0, G);
	do_op(w, OP_WRITE, 'a', G, 3 * B + 5);
	do_op(w, OP_WRITE, 'a', 4 * G + 7, 9 * B); /* a gap */
	do_op(w, OP_WRITE, 'b', 0, 10000);
	do_op(w, OP_WRITE, 'b', 40 * B, 2000); /* holes */
	do_op(w, OP_WRITE, 'c', 0, G);
	do_op(w, OP_WRITE, 'c', G, G);
	do_op(w, OP_WRITE, 'c', 2 * G, 1 + simfs_rng_below(rng, 2 * B));
}

void scene_make(struct scene *s, uint64_t seed, const uint8_t *const *foreign,
		const uint64_t *foreign_len)
{
	struct simfs_rng rng = { seed * 0x9e3779b97f4a7c15ull + 77 };
	struct world *w = world_new(seed, SIMFS_EXT4, 0);
	const struct version *home;

	memset(s, 0, sizeof(*s));
	first_contents(w, &rng);
	for (unsigned age = 0; age < 2; age++) {
		commit(s, w);
		do_op(w, OP_CHECKPOINT, 0, 0, 0);
		image_of_clone(&s->donor[age], w->fs, &s->versions[s->nversions - 1], true);
		random_changes(w, &rng, 5);
	}
	make_clone(s, s->donor[0].fs, w, &rng);
	commit(s, w);
	do_op(w, OP_CHECKPOINT, 0, 0, 0);
	home = &s->versions[s->nversions - 1];
	for (unsigned i = 0; i < 4; i++) {
		random_changes(w, &rng, 1 + (unsigned)simfs_rng_below(&rng, 3));
		/* each file has something in the log */
		do_op(w, OP_WRITE, (char)('a' + i % NAMES), simfs_rng_below(&rng, 30) * 1000, 3000);
		commit(s, w);
	}
	image_of_clone(&s->unclean, w->fs, &s->versions[s->nversions - 1], true);
	image_of_clone(&s->donor[4], w->fs, home, false);
	unmount(w);
	image_of_clone(&s->clean, w->fs, &s->versions[s->nversions - 1], true);
	world_free(w);
	for (unsigned i = 0; foreign && i < FILES; i++) {
		s->donor[3].len[i] = foreign_len[i];
		s->donor[3].raw[i] = malloc(foreign_len[i] + 1);
		assert(s->donor[3].raw[i]);
		memcpy(s->donor[3].raw[i], foreign[i], foreign_len[i]);
	}
}

static void version_drop(struct version *v)
{
	for (int i = 0; i < NAMES; i++)
		free(v->plain[i]);
}

void scene_free(struct scene *s)
{
	image_drop(&s->clean);
	image_drop(&s->unclean);
	for (unsigned i = 0; i < DONORS; i++)
		image_drop(&s->donor[i]);
	for (unsigned i = 0; i < s->nversions; i++)
		version_drop(&s->versions[i]);
	for (unsigned i = 0; i < CLONED; i++)
		version_drop(&s->cloned[i]);
}

uint64_t limit_of(const uint8_t *state, uint64_t state_len)
{
	struct volume_state v;
	uint64_t limit = 0;

	for (unsigned k = 0; k < STATE_SLOTS && (k + 1) * B <= state_len; k++)
		if (volume_state_open(blockcrypt_get(), crash_ring(), k, state + k * B, &v) == 0 &&
		    v.stamp_limit > limit)
			limit = v.stamp_limit;
	return limit;
}

uint64_t header_stamp(const uint8_t *p)
{
	struct group_header h;

	return group_header_parse(p, &h) < 0 ? 0 : h.header.stamp;
}

/* ---- mounting and reading */

struct mount {
	struct lower *l;
	int root;
	struct result *ret;
};

static int cb_reopen(void *ctx, void *owner, int flags)
{
	struct mount *m = ctx;

	return m->l->ops->openat(m->l, m->root, owner, flags, 0);
}

static int cb_sync_names(void *ctx, void *owner)
{
	struct mount *m = ctx;

	(void)owner;
	return m->l->ops->fsync(m->l, m->root);
}

static void cb_event(void *ctx, enum vio_event ev, const char *text)
{
	struct mount *m = ctx;

	(void)ev;
	(void)text;
	m->ret->events++;
}

static void cb_seen(void *ctx, const struct vio_seen *seen)
{
	struct mount *m = ctx;

	m->ret->stamp_limit = seen->stamp_limit;
}

static uint8_t *aligned(void)
{
	static uint8_t *p;

	if (!p)
		p = aligned_alloc(BLOCK_SIZE, SIZE_MAX_MODEL + 2 * BLOCK_SIZE);
	assert(p);
	return p;
}

/* In one read, as a program that copies it; and if that fails block by block, so that each block
 * has an answer. */
static void read_file(struct iofile *io, unsigned i, struct result *ret)
{
	uint64_t size = iofile_size(io), want = size < SIZE_MAX_MODEL ? size : SIZE_MAX_MODEL;
	ssize_t n = iofile_read(io, aligned(), want, 0);

	ret->f[i].size = size;
	if (n == (ssize_t)want) {
		memcpy(ret->f[i].plain, aligned(), want);
		return;
	}
	if (n != -EIO)
		ret->strange = n < 0 ? (int)n : -EPROTO;
	for (uint64_t off = 0; off < want; off += B) {
		uint64_t len = want - off < B ? want - off : B;

		n = iofile_read(io, aligned(), len, off);
		if (n == (ssize_t)len) {
			memcpy(ret->f[i].plain + off, aligned(), len);
			continue;
		}
		if (n != -EIO)
			ret->strange = n < 0 ? (int)n : -EPROTO;
		ret->f[i].bad[off / B] = 1;
		ret->f[i].any_bad = true;
	}
}

static void read_all(struct vio *v, struct mount *m, struct iofile **io)
{
	for (unsigned i = 0; i < NAMES; i++) {
		struct stat st;
		uint64_t peeked;
		int fd = lower_open_regular(m->l, m->root, names[i], O_RDWR, 0, &st), r;

		if (fd < 0)
			abort();
		m->ret->f[i].there = true;
		m->ret->f[i].plain = calloc(1, SIZE_MAX_MODEL);
		m->ret->f[i].bad = calloc(1, SIZE_MAX_MODEL / B);
		assert(m->ret->f[i].plain && m->ret->f[i].bad);
		r = vio_peek(v, fd, &st, &peeked);
		m->ret->f[i].open_r =
			iofile_open(v, fd, &st, (void *)(uintptr_t)names[i], false, &io[i]);
		if (m->ret->f[i].open_r < 0) {
			if (m->ret->f[i].open_r != -EIO)
				m->ret->strange = m->ret->f[i].open_r;
			io[i] = NULL;
			continue;
		}
		read_file(io[i], i, m->ret);
		if (r < 0 || peeked != m->ret->f[i].size)
			m->ret->strange = r < 0 ? r : -ERANGE; /* stat and open must agree */
	}
}

static bool is_clear(int r)
{
	return r == -EBADMSG || r == -EUCLEAN || r == -EKEYREJECTED || r == -ESTALE ||
	       r == -ENODATA || r == -EIO || r == -EOPNOTSUPP;
}

void mount_and_read(struct simfs *fs, uint64_t min_stamp_limit, bool accept_older, bool leave,
		    struct result *ret)
{
	struct mount m = { .l = simfs_lower(fs), .root = open_dir(fs), .ret = ret };
	struct vio_params p = {
		.lower = m.l,
		.root_fd = m.root,
		.ring = crash_ring(),
		.no_threads = true,
		.dirty_bytes = 4 << 20,
		.cache_bytes = 1 << 20,
		.min_stamp_limit = min_stamp_limit,
		.accept_older = accept_older,
		.cb = { .ctx = &m,
			.reopen = cb_reopen,
			.sync_names = cb_sync_names,
			.event = cb_event,
			.seen = cb_seen },
	};
	struct iofile *io[NAMES] = { NULL };
	struct vio *v = NULL;

	memset(ret, 0, sizeof(*ret));
	ret->refused = vio_open(&p, &v);
	if (ret->refused < 0) {
		if (!is_clear(ret->refused))
			ret->strange = ret->refused;
		simfs_close_all(fs);
		return;
	}
	read_all(v, &m, io);
	for (unsigned i = 0; i < NAMES; i++) {
		if (!io[i])
			continue;
		if (!leave)
			iofile_discard(io[i]);
		else if (iofile_close(io[i]) < 0)
			ret->strange = -EBUSY;
	}
	if (!leave)
		vio_abandon(v);
	else if (vio_close(v) < 0)
		ret->strange = -EPIPE;
	simfs_close_all(fs);
}

void result_done(struct result *r)
{
	for (unsigned i = 0; i < NAMES; i++) {
		free(r->f[i].plain);
		free(r->f[i].bad);
	}
	memset(r, 0, sizeof(*r));
}
