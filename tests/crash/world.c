/* world.c: a volume on a simulated disk, driven by operations, with the model of what its files hold and the oracle of what a crash may show. */
#include "tests/crash/crash.h"

#include "base/hash.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const uint8_t uuid[UUID_LEN] = { 0xc0, 0xff, 0xe2 };

struct key_ring *crash_ring(void)
{
	static struct key_ring *ring;
	static struct secret *root;
	uint8_t sealed[KEY_RING_LEN_MAX];
	size_t len;

	if (ring)
		return ring;
	if (secret_new(32, &root) < 0 || key_ring_create(root, uuid, sealed, &len) < 0 || key_ring_open(root, uuid, sealed, len, &ring) < 0)
		abort();
	return ring;
}

/* ---- the oracle */

__thread unsigned world_own;

static void remember(struct history *h, uint64_t size, uint64_t hash, uint64_t seq)
{
	if (h->n == h->max) {
		h->max = h->max ? h->max * 2 : 8;
		world_own++;
		h->s = realloc(h->s, h->max * sizeof(*h->s));
		world_own--;
		assert(h->s);
	}
	h->s[h->n++] = (struct seen){ size, hash, seq };
}

static void restart(struct history *h, uint64_t size, uint64_t hash)
{
	h->n = h->acked = 0;
	remember(h, size, hash, 0);
}

void oracle_copy(const struct oracle *from, struct oracle *to)
{
	*to = *from;
	for (unsigned i = 0; i < from->uids; i++) {
		to->h[i].max = from->h[i].n;
		to->h[i].s = malloc((from->h[i].n + 1) * sizeof(struct seen));
		assert(to->h[i].s);
		if (from->h[i].n)
			memcpy(to->h[i].s, from->h[i].s, from->h[i].n * sizeof(struct seen));
	}
}

void oracle_done(struct oracle *o)
{
	for (unsigned i = 0; i < o->uids; i++)
		free(o->h[i].s);
	o->uids = 0;
}

/* ---- callbacks of the volume */

static int cb_reopen(void *ctx, void *owner, int flags)
{
	struct world *w = ctx;
	struct cfile *f = owner;

	return w->l->ops->openat(w->l, w->root, f->name, flags, 0);
}

static int cb_sync_names(void *ctx, void *owner)
{
	struct world *w = ctx;

	(void)owner;
	return w->l->ops->fsync(w->l, w->root);
}

static void cb_event(void *ctx, enum vio_event ev, const char *text)
{
	struct world *w = ctx;

	(void)text;
	w->events += ev == VIO_EVENT_INTEGRITY || ev == VIO_EVENT_QUARANTINE;
}

/* A write may have taken effect in the volume before its thread has moved the model on: both contents are legal. */
static void cb_gathered(void *ctx, void *owner, uint64_t seq)
{
	struct world *w = ctx;
	struct cfile *f = owner;

	pthread_mutex_lock(&w->m);
	if (f->busy)
		remember(&w->o.h[f->uid], f->later_size, hash_bytes(f->later, f->later_size), seq);
	remember(&w->o.h[f->uid], f->size, hash_bytes(f->bytes, f->size), seq);
	pthread_mutex_unlock(&w->m);
}

static void cb_between(void *ctx)
{
	struct world *w = ctx;

	if (w->between)
		w->between(w);
}

static struct vio_params params(struct world *w)
{
	return (struct vio_params){
		.lower = w->l, .root_fd = w->root, .ring = crash_ring(), .no_threads = true, .dirty_bytes = 4 << 20, .cache_bytes = 1 << 20,
		.read_only = w->read_only,
		.rules_off = w->rules_off, .test_gathered = cb_gathered, .test_between = cb_between,
		.cb = { .ctx = w, .reopen = cb_reopen, .sync_names = cb_sync_names, .event = cb_event },
	};
}

/* ---- making and mounting */

struct lower *(*world_wrap)(struct lower *inner);

static void init(struct world *w, struct simfs *fs, const char *dir, unsigned rules_off)
{
	w->fs = fs;
	w->l = world_wrap ? world_wrap(simfs_lower(fs)) : simfs_lower(fs);
	w->rules_off = rules_off;
	w->top = simfs_open_root(fs);
	w->root = w->l->ops->openat(w->l, w->top, dir, O_RDONLY | O_DIRECTORY, 0);
	w->copy = strcmp(dir, COPY_DIR) == 0;
	pthread_mutex_init(&w->m, NULL);
	for (int i = 0; i < NAMES; i++) {
		w->f[i] = (struct cfile){ .w = w, .name = { (char)('a' + i), '\0' }, .uid = -1 };
		w->f[i].bytes = calloc(1, SIZE_MAX_MODEL);
		w->f[i].later = calloc(1, SIZE_MAX_MODEL);
		w->f[i].room = aligned_alloc(BLOCK_SIZE, VIO_WRITE_MAX + 2 * BLOCK_SIZE);
		assert(w->f[i].bytes && w->f[i].later && w->f[i].room);
		w->o.over[i].uid = -1;
	}
}

struct world *world_new(uint64_t seed, enum simfs_mode mode, unsigned rules_off)
{
	struct world *w = calloc(1, sizeof(*w));
	struct simfs_params sp = { .seed = seed, .mode = mode };
	struct vio_params p;
	struct simfs *fs;

	assert(w);
	fs = simfs_new(&sp);
	if (simfs_lower(fs)->ops->mkdirat(simfs_lower(fs), AT_FDCWD, VOLUME_DIR, 0700) < 0)
		abort();
	init(w, fs, VOLUME_DIR, rules_off);
	p = params(w);
	if (vio_format(&p, LOG_BLOCKS) < 0 || vio_open(&p, &w->v) < 0)
		abort();
	simfs_sync(w->fs);
	return w;
}

struct world *world_attach(struct simfs **fs, const char *dir, const struct world *like, unsigned rules_off)
{
	struct world *w = calloc(1, sizeof(*w));

	assert(w);
	init(w, *fs, dir, rules_off);
	*fs = NULL;
	memcpy(w->ino, like->ino, sizeof(w->ino));
	w->label = like->label;
	return w;
}

int world_format(struct world *w)
{
	struct vio_params p = params(w);

	return vio_format(&p, LOG_BLOCKS);
}

int world_mount(struct world *w)
{
	struct vio_params p = params(w);

	return vio_open(&p, &w->v);
}

struct world *world_from(struct simfs **fs, const char *dir, const struct world *like, unsigned rules_off, int *ret_r)
{
	struct world *w = world_attach(fs, dir, like, rules_off);
	int r = world_mount(w);

	if (r < 0) {
		*ret_r = r;
		world_free(w);
		return NULL;
	}
	return w;
}

static void close_all(struct world *w, bool discard)
{
	for (int i = 0; i < NAMES; i++) {
		if (!w->f[i].io)
			continue;
		if (discard)
			iofile_discard(w->f[i].io);
		else if (iofile_close(w->f[i].io) < 0)
			abort();
		w->f[i].io = NULL;
	}
}

void world_kill(struct world *w)
{
	close_all(w, true);
	if (w->v)
		vio_abandon(w->v);
	w->v = NULL;
}

int world_unmount(struct world *w)
{
	int r = vio_sync(w->v);

	if (r == 0)
		r = vio_checkpoint(w->v);
	for (int i = 0; i < NAMES && r == 0; i++)
		if (w->f[i].io) {
			r = iofile_close(w->f[i].io);
			w->f[i].io = r == 0 ? NULL : w->f[i].io;
		}
	if (r == 0) {
		r = vio_close(w->v);
		w->v = NULL;
	}
	world_kill(w);
	return r;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	world_kill(w);
	simfs_free(w->fs);
	for (int i = 0; i < NAMES; i++) {
		free(w->f[i].bytes);
		free(w->f[i].later);
		free(w->f[i].room);
	}
	oracle_done(&w->o);
	pthread_mutex_destroy(&w->m);
	free(w);
}

/* ---- reading back */

static const char *bad(const char *what, const char *name, long long a, long long b)
{
	static __thread char text[160];

	(void)snprintf(text, sizeof(text), "%s: %s (%lld, %lld)", name, what, a, b);
	return text;
}

static int uid_of(const struct world *w, uint64_t ino)
{
	for (int i = 0; i < UIDS_MAX; i++)
		if (w->ino[i] == ino && ino)
			return i;
	return -1;
}

static uint8_t *read_buffer(void)
{
	static __thread uint8_t *p;

	if (!p)
		p = aligned_alloc(BLOCK_SIZE, SIZE_MAX_MODEL + 2 * BLOCK_SIZE);
	assert(p);
	return p;
}

/* Open the file of this name, if it is there, and read it whole into the model. 1, 0 not there, -errno. */
static int load(struct world *w, struct cfile *f)
{
	struct stat st;
	ssize_t n;
	int fd, r;

	fd = lower_open_regular(w->l, w->root, f->name, w->read_only ? O_RDONLY : O_RDWR, 0, &st);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	r = iofile_open(w->v, fd, &st, f, false, &f->io);
	if (r < 0)
		return r;
	if (w->copy) { /* a copy has inodes of its own */
		int orig = w->l->ops->openat(w->l, w->top, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0);

		r = w->l->ops->fstatat(w->l, orig, f->name, &st);
		lower_close(w->l, orig);
		if (r < 0)
			return r;
	}
	f->uid = uid_of(w, st.st_ino);
	f->size = iofile_size(f->io);
	if (f->size > SIZE_MAX_MODEL)
		return -EFBIG;
	n = iofile_read(f->io, read_buffer(), SIZE_MAX_MODEL, 0);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n != f->size)
		return -EPROTO;
	memcpy(f->bytes, read_buffer(), f->size);
	memset(f->bytes + f->size, 0, SIZE_MAX_MODEL - f->size);
	return 1;
}

static const char *check_file(const struct world *w, const struct oracle *o, const struct cfile *f, uint64_t least)
{
	const struct history *h = &o->h[f->uid];
	uint64_t hash = hash_bytes(f->bytes, f->size);
	size_t k = h->acked;

	if (least != UINT64_MAX) {
		size_t vouched = 0;

		for (size_t i = 0; i < h->n; i++)
			if (h->s[i].seq <= least)
				vouched = i;
		k = vouched < k ? vouched : k;
	} else if (o->over[f->name[0] - 'a'].uid == f->uid && o->over[f->name[0] - 'a'].k > k) {
		k = o->over[f->name[0] - 'a'].k;
	}
	(void)w;
	while (k > 0 && h->s[k].seq != 0 && h->s[k - 1].seq == h->s[k].seq) /* one gather, two contents that it may have seen */
		k--;
	for (size_t i = k; i < h->n; i++)
		if (h->s[i].size == f->size && h->s[i].hash == hash)
			return NULL;
	for (size_t i = 0; i < k; i++)
		if (h->s[i].size == f->size && h->s[i].hash == hash)
			return bad("reads as at a commit older than the acknowledged one", f->name, (long long)i, (long long)k);
	return bad("a mixture, like none of its commits (size, commits)", f->name, (long long)f->size, (long long)h->n);
}

const char *world_check(struct world *w, const struct oracle *o, uint64_t least)
{
	bool found[UIDS_MAX] = { false };
	const char *e;
	int r;

	for (int i = 0; i < NAMES; i++) {
		struct cfile *f = &w->f[i];

		r = load(w, f);
		if (r < 0)
			return bad("cannot be read (error, size)", f->name, -r, (long long)f->size);
		if (r == 0)
			continue;
		if (f->uid < 0)
			return bad("a file that nobody made", f->name, 0, 0);
		found[f->uid] = true;
		e = check_file(w, o, f, least);
		if (e)
			return e;
	}
	for (unsigned u = 0; u < o->uids; u++)
		if (o->h[u].exists && !found[u])
			return bad("an fsynced file is gone", "names", u, 0);
	return w->events ? bad("integrity events", "volume", w->events, 0) : NULL;
}

const char *world_reread(struct world *w)
{
	ssize_t n;

	for (int i = 0; i < NAMES; i++) {
		struct cfile *f = &w->f[i];

		if (f->uid < 0 || !f->io)
			continue;
		n = iofile_read(f->io, read_buffer(), SIZE_MAX_MODEL, 0);
		if (n < 0)
			return bad("reading while mounted fails", f->name, -n, 0);
		if ((uint64_t)n != f->size || memcmp(read_buffer(), f->bytes, f->size) != 0)
			return bad("reading while mounted is not what was written", f->name, n, (long long)f->size);
	}
	return NULL;
}

void world_show(struct simfs *fs, const struct world *like, unsigned rules_off, bool read_only, struct shown *ret_s, bool *ret_changed)
{
	struct simfs *clone = simfs_clone(fs);
	struct shown s = { 0 };
	uint64_t before;
	struct world *w;

	simfs_close_all(clone);
	before = simfs_digest(clone);
	if (read_only)
		simfs_set_lacks(clone, SIMFS_READ_ONLY);
	w = world_attach(&clone, VOLUME_DIR, like, rules_off);
	w->read_only = read_only;
	s.r = world_mount(w);
	for (int i = 0; i < NAMES && s.r == 0; i++) {
		s.file[i] = load(w, &w->f[i]);
		s.size[i] = s.file[i] > 0 ? w->f[i].size : 0;
		s.hash[i] = s.file[i] > 0 ? hash_bytes(w->f[i].bytes, w->f[i].size) : 0;
	}
	world_kill(w);
	*ret_changed = simfs_digest(w->fs) != before;
	world_free(w);
	*ret_s = s;
}

/* Files were loaded by world_check. */
void world_restart(struct world *w)
{
	oracle_done(&w->o);
	w->o.uids = UIDS_MAX;
	memset(w->o.h, 0, sizeof(w->o.h));
	for (int i = 0; i < NAMES; i++) {
		struct cfile *f = &w->f[i];

		w->o.over[i].uid = -1;
		if (f->uid < 0)
			continue;
		restart(&w->o.h[f->uid], f->size, hash_bytes(f->bytes, f->size));
		w->o.h[f->uid].exists = true;
	}
}

/* ---- operations */

static void begin(struct cfile *f, uint64_t size)
{
	pthread_mutex_lock(&f->w->m);
	memcpy(f->later, f->bytes, SIZE_MAX_MODEL);
	f->later_size = size;
	pthread_mutex_unlock(&f->w->m);
}

static void end(struct cfile *f, bool done)
{
	pthread_mutex_lock(&f->w->m);
	if (done) {
		memcpy(f->bytes, f->later, SIZE_MAX_MODEL);
		f->size = f->later_size;
	}
	f->busy = false;
	pthread_mutex_unlock(&f->w->m);
}

static int op_write(struct cfile *f, uint64_t off, uint64_t len, bool threads)
{
	uint64_t size = off + len > f->size ? off + len : f->size;
	uint32_t v = ++f->w->label * 2654435761u;
	ssize_t n;

	if (off + len > SIZE_MAX_MODEL)
		return 0;
	begin(f, size);
	for (uint64_t i = 0; i < len; i++)
		f->later[off + i] = (uint8_t)((v = v * 1664525u + 1013904223u) >> 24 | 1);
	f->busy = threads;
	n = iofile_write(f->io, f->later + off, len, off, false);
	end(f, n == (ssize_t)len);
	return n < 0 ? (int)n : 0;
}

static int op_truncate(struct cfile *f, uint64_t size, bool threads)
{
	int r;

	if (size > SIZE_MAX_MODEL)
		return 0;
	begin(f, size);
	if (size < f->size)
		memset(f->later + size, 0, f->size - size);
	f->busy = threads;
	r = iofile_truncate(f->io, size);
	end(f, r == 0);
	return r;
}

/* zero: keeps the lower space, and the size grows. */
static int op_punch(struct cfile *f, uint64_t off, uint64_t len, bool zero, bool threads)
{
	uint64_t freed;
	int r;

	if (off + len > SIZE_MAX_MODEL)
		return 0;
	begin(f, zero && off + len > f->size ? off + len : f->size);
	memset(f->later + off, 0, len);
	f->busy = threads;
	r = iofile_punch(f->io, off, len, zero ? 0 : IOFILE_KEEP_SIZE | IOFILE_GIVE_BACK, &freed);
	end(f, r == 0);
	return r;
}

static int op_allocate(struct cfile *f, uint64_t off, uint64_t len, bool threads)
{
	int r;

	if (off + len > SIZE_MAX_MODEL)
		return 0;
	begin(f, off + len > f->size ? off + len : f->size);
	f->busy = threads;
	r = iofile_allocate(f->io, off, len, false);
	end(f, r == 0);
	return r;
}

/* The next piece that is copied at once, as iofile_copy.c makes them: a copy is atomic by pieces only. */
static uint64_t copy_piece(const struct cfile *f, uint64_t off, uint64_t to_off, uint64_t len)
{
	uint64_t at = 0, most = VIO_WRITE_MAX - to_off % VIO_WRITE_MAX;

	if (iofile_seek(f->io, off, false, &at) < 0 || at >= off + len)
		return len;
	if (at - off >= BLOCK_SIZE)
		return at - off;
	if (iofile_seek(f->io, at, true, &at) < 0 || at > off + len)
		at = off + len;
	return at - off < most ? at - off : most;
}

static int op_copy(struct cfile *f, struct cfile *to, uint64_t off, uint64_t len, bool threads)
{
	uint64_t to_off = off + len, n;
	ssize_t r;

	if (off >= f->size || to_off + len > SIZE_MAX_MODEL)
		return 0;
	len = len < f->size - off ? len : f->size - off;
	for (; len > 0; off += n, to_off += n, len -= n) {
		n = copy_piece(f, off, to_off, len);
		begin(to, to_off + n > to->size ? to_off + n : to->size);
		memcpy(to->later + to_off, f->bytes + off, n);
		to->busy = threads;
		r = iofile_copy(f->io, off, to->io, to_off, n, f->room);
		end(to, r == (ssize_t)n);
		if (r != (ssize_t)n)
			return r < 0 ? (int)r : -EPROTO;
	}
	return 0;
}

static int op_create(struct world *w, struct cfile *f)
{
	struct stat st;
	int fd, r;

	if (f->uid >= 0 || w->o.uids == UIDS_MAX)
		return 0;
	/* known to the oracle before the disk can show it */
	f->uid = (int)w->o.uids++;
	memset(&w->o.h[f->uid], 0, sizeof(w->o.h[0]));
	f->size = 0;
	memset(f->bytes, 0, SIZE_MAX_MODEL);
	restart(&w->o.h[f->uid], 0, hash_bytes(f->bytes, 0));
	fd = lower_open_regular(w->l, w->root, f->name, O_RDWR | O_CREAT | O_EXCL, 0600, &st);
	if (fd < 0)
		return fd;
	w->ino[f->uid] = st.st_ino;
	r = iofile_open(w->v, fd, &st, f, true, &f->io);
	return r;
}

static void drop(struct cfile *f)
{
	if (f->io)
		iofile_discard(f->io);
	f->io = NULL;
	f->uid = -1;
}

static int op_unlink(struct world *w, struct cfile *f)
{
	int r;

	pthread_mutex_lock(&w->m);
	w->o.h[f->uid].exists = false;
	pthread_mutex_unlock(&w->m);
	r = w->l->ops->unlinkat(w->l, w->root, f->name, 0);
	drop(f);
	return r;
}

/* Rename over an existing file: the source is committed first (L3; fs does it). */
static int op_rename(struct world *w, struct cfile *f, struct cfile *to)
{
	struct history *h = &w->o.h[f->uid];
	uint8_t *b;
	int r = 0;

	if (to->uid < 0 || to == f)
		return 0;
	if (rule_on(w, rename))
		r = iofile_fsync(f->io, false);
	if (r < 0)
		return r;
	if (rule_on(w, rename)) {
		h->acked = h->n - 1;
		h->exists = true;
	}
	w->o.h[to->uid].exists = false;
	w->o.over[to->name[0] - 'a'].uid = f->uid;
	/* the content at the rename is the last gathered one, or (rule off) one that was never gathered */
	w->o.over[to->name[0] - 'a'].k = h->n - 1;
	if (!rule_on(w, rename) && (h->s[h->n - 1].hash != hash_bytes(f->bytes, f->size) || h->s[h->n - 1].size != f->size))
		w->o.over[to->name[0] - 'a'].k = h->n;
	r = w->l->ops->renameat2(w->l, w->root, f->name, w->root, to->name, 0);
	if (r < 0)
		return r;
	drop(to);
	/* the owner of the iofile is its cfile: open it anew under the new name */
	b = to->bytes;
	to->bytes = f->bytes;
	f->bytes = b;
	to->size = f->size;
	to->uid = f->uid;
	f->uid = -1;
	if (!rule_on(w, rename)) {
		iofile_discard(f->io);
		f->io = NULL;
		return -ESTALE; /* the end of this program */
	}
	r = vio_checkpoint(w->v);
	if (r == 0)
		r = iofile_close(f->io);
	f->io = NULL;
	if (r == 0) {
		struct stat st;
		int fd = lower_open_regular(w->l, w->root, to->name, O_RDWR, 0, &st);

		r = fd < 0 ? fd : iofile_open(w->v, fd, &st, to, false, &to->io);
	}
	return r;
}

static void acknowledge(struct world *w, struct cfile *f, size_t upto)
{
	pthread_mutex_lock(&w->m);
	if (upto > w->o.h[f->uid].acked)
		w->o.h[f->uid].acked = upto;
	w->o.h[f->uid].exists = true;
	pthread_mutex_unlock(&w->m);
}

static size_t gathers(struct world *w, const struct cfile *f)
{
	size_t n;

	pthread_mutex_lock(&w->m);
	n = w->o.h[f->uid].n;
	pthread_mutex_unlock(&w->m);
	return n;
}

/* The first gather behind the call is durable when it returns, or if there is none the last before it. */
static int op_fsync(struct world *w, struct cfile *f)
{
	size_t before = gathers(w, f);
	int r = iofile_fsync(f->io, false);

	if (r == 0)
		acknowledge(w, f, gathers(w, f) > before ? before : before - 1);
	return r;
}

static int op_commit_all(struct world *w)
{
	size_t before[NAMES] = { 0 };
	int r;

	for (int i = 0; i < NAMES; i++)
		before[i] = w->f[i].uid < 0 ? 0 : gathers(w, &w->f[i]);
	r = vio_sync(w->v);
	for (int i = 0; i < NAMES && r == 0; i++) /* a file that was never written is in no commit */
		if (before[i] && gathers(w, &w->f[i]) > 1)
			acknowledge(w, &w->f[i], gathers(w, &w->f[i]) > before[i] ? before[i] : before[i] - 1);
	return r;
}

/* SIGKILL and mount: nothing below is lost, nothing is flushed. */
static int op_kill(struct world *w)
{
	struct vio_params p = params(w);
	int r;

	close_all(w, true);
	vio_abandon(w->v);
	w->v = NULL;
	simfs_close_all(w->fs);
	w->top = simfs_open_root(w->fs);
	w->root = w->l->ops->openat(w->l, w->top, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0);
	p.root_fd = w->root;
	for (int i = 0; i < NAMES; i++)
		w->f[i].uid = -1;
	r = vio_open(&p, &w->v);
	return r < 0 ? -EUCLEAN : 0;
}

int world_op(struct world *w, const struct op *op)
{
	struct cfile *f = &w->f[op->name ? op->name - 'a' : 0];

	switch (op->what) {
	case OP_COMMIT_ALL:
		return op_commit_all(w);
	case OP_CHECKPOINT:
		return vio_checkpoint(w->v);
	case OP_KILL:
		return op_kill(w);
	case OP_FAIL_LOG:
		simfs_fail_flush(w->fs, NAME_LOG, EIO, 0);
		return 0;
	case OP_FAIL_HOME:
		simfs_fail_flush(w->fs, "[a-c]", EIO, 0);
		return 0;
	case OP_CREATE:
		return op_create(w, f);
	default:
		break;
	}
	if (f->uid < 0)
		return 0;
	switch (op->what) {
	case OP_WRITE:
		return op_write(f, op->off, op->len, w->threads);
	case OP_APPEND:
		return op_write(f, f->size, op->len, w->threads);
	case OP_TRUNCATE:
		return op_truncate(f, op->off, w->threads);
	case OP_PUNCH:
	case OP_ZERO:
		return op_punch(f, op->off, op->len, op->what == OP_ZERO, w->threads);
	case OP_ALLOCATE:
		return op_allocate(f, op->off, op->len, w->threads);
	case OP_COPY: /* to the end of the range, in the next file if it is there (threads have a file each) */
		return op_copy(f, w->f[(f - w->f + 1) % NAMES].uid < 0 || w->threads ? f : &w->f[(f - w->f + 1) % NAMES], op->off, op->len, w->threads);
	case OP_FSYNC:
		return op_fsync(w, f);
	case OP_UNLINK:
		return op_unlink(w, f);
	case OP_RENAME:
		return op_rename(w, f, &w->f[op->off]);
	default:
		abort();
	}
}

const char *op_text(const struct op *op, char *buf, size_t n)
{
	static const char *const names[] = { "create", "write", "append", "truncate", "fsync", "commit-all", "checkpoint", "rename", "unlink",
					     "kill", "fail-log", "fail-home", "punch", "zero",
					     "allocate", "copy" };

	(void)snprintf(buf, n, "%s %c %llu+%llu", names[op->what], op->name ? op->name : '-', (unsigned long long)op->off,
		       (unsigned long long)op->len);
	return buf;
}
