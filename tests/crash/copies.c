/* copies.c: every order in which a running volume may be copied, against the rule of docs/backup.md section 4. Random programs on a simulated disk, with one more
 * actor: a copier that reads the home files piece by piece, in any order, at any lower call of the mount, and remembers of each copy what verified, by the product's
 * own code (backup_check_window, backup_reuse_meta). Then the mount holds still, the copier takes again what is not the same by its metadata, while writes that
 * need no commit go on; what it has then is put beside the volume, with an empty log, and mounted: each file must be as at the last commit before the hold.
 * Several such backups a program, across kills; so copies are of use for generations.
 *
 *   copies random N SEED [SECONDS]
 *   copies off reread|verify|hold|all   without this part of the rule something must fail ("ok"), else "not ok" */
#include "tests/crash/crash.h"

#include "backup/backup_impl.h"
#include "base/log.h"
#include "io/freeze.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define B 4096ull
#define ROOM (BACKUP_WINDOW_LEN + BLOCK_SIZE)
#define BACKUPS 3
#define HOLD_MS 600000u
#define STATE_LEN ((size_t)STATE_SLOTS * STATE_SLOT_LEN)

enum part { REREAD, VERIFY, HOLD, PARTS };
static const char *const part_names[] = { "reread", "verify", "hold" };

struct copy {
	uint64_t ino, meta;              /* meta 0: it did not verify; ino 0: none */
	size_t len;
	uint8_t *bytes;                  /* ROOM */
};

static struct {
	struct simfs_rng rng;
	struct world *w;
	bool off[PARTS], copying;
	struct copy have[NAMES * 2];     /* in the store */
	unsigned next;                   /* of have, to be replaced */
	struct copy now;                 /* under way; ino 0: none */
	size_t at;
	char name[2];                    /* of it */
	struct {
		unsigned long long programs, backups, pieces, kept, reread, torn, writes;
	} n;
	const char *what;
} x;

static uint64_t below(uint64_t n)
{
	return simfs_rng_below(&x.rng, n);
}

static bool fail(const char *what)
{
	x.what = x.what ? x.what : what;
	return false;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the copier */

static uint64_t meta_of(const struct copy *c)
{
	static uint8_t metas[BACKUP_METAS_LEN];

	return backup_reuse_meta(metas, c->bytes, c->len);
}

static bool verifies(const struct copy *c)
{
	struct backup_check none = { 0 };
	struct backup_rot rot = { 0 };

	if (backup_check_window(&none, c->bytes, c->len, 0, c->bytes, c->len, &rot) < 0)
		abort();
	return rot.count == 0;
}

static struct copy *find(uint64_t ino)
{
	for (unsigned i = 0; i < NAMES * 2; i++)
		if (x.have[i].ino == ino)
			return &x.have[i];
	return NULL;
}

static void keep(const struct copy *c)
{
	struct copy *to = find(c->ino);
	bool whole = verifies(c);
	uint8_t *bytes;

	if (!to) {
		to = &x.have[x.next];
		x.next = (x.next + 1) % (NAMES * 2);
	}
	bytes = to->bytes;
	*to = *c;
	to->bytes = bytes;
	memcpy(bytes, c->bytes, c->len < BLOCK_SIZE ? BLOCK_SIZE : c->len);
	x.n.torn += !whole;
	to->meta = whole || x.off[VERIFY] ? meta_of(c) : 0;
}

static int stat_name(struct lower *l, int dir, const char *name, struct stat *ret_st)
{
	int r = l->ops->fstatat(l, dir, name, ret_st);

	assert(r < 0 || (size_t)ret_st->st_size <= BACKUP_WINDOW_LEN);
	return r;
}

/* len bytes at off of a file that is not shorter. */
static bool read_at(struct lower *l, int dir, const char *name, uint8_t *p, size_t len, uint64_t off)
{
	int fd = l->ops->openat(l, dir, name, O_RDONLY, 0), r;

	if (fd < 0)
		return false;
	r = len ? lower_pread_full(l, fd, p, len, off) : 0;
	lower_close(l, fd);
	return r == 0;
}

static void start(struct lower *l, int dir)
{
	struct stat st;

	x.name[0] = (char)('a' + below(NAMES));
	x.now.ino = 0;
	if (stat_name(l, dir, x.name, &st) < 0)
		return;
	x.now.ino = st.st_ino;
	x.now.len = (size_t)st.st_size;
	x.at = 0;
	memset(x.now.bytes, 0, BLOCK_SIZE);
}

/* Some bytes more of the copy that is under way. */
static size_t some(size_t left)
{
	size_t most = below(3) == 0 ? left : 512 * (1 + below(below(2) ? 40 : 400));

	return most < left ? most : left;
}

/* Another piece of some file. */
static void step(struct lower *l, int dir)
{
	struct stat st;
	size_t n;

	if (x.now.ino == 0)
		start(l, dir);
	if (!x.now.ino || stat_name(l, dir, x.name, &st) < 0 || st.st_ino != x.now.ino || x.at > (size_t)st.st_size) {
		x.now.ino = 0;
		return;
	}
	n = some(x.now.len - x.at);
	x.n.pieces++;
	if (!read_at(l, dir, x.name, x.now.bytes + x.at, n, x.at))
		x.now.ino = 0; /* it became shorter under the copy */
	x.at += n;
	if (x.now.ino && x.at == x.now.len) {
		keep(&x.now);
		x.now.ino = 0;
	}
}

/* A few, out of what the disk shows now. */
static void copy_some(struct simfs *fs)
{
	struct simfs *clone;
	struct lower *l;
	int dir;

	if (!x.copying || below(2))
		return;
	clone = simfs_clone(fs);
	simfs_close_all(clone);
	l = simfs_lower(clone);
	dir = l->ops->openat(l, AT_FDCWD, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0);
	if (below(3) == 0) { /* a fast one: all of a file at one moment */
		x.now.ino = 0;
		do
			step(l, dir);
		while (x.now.ino);
	} else {
		for (uint64_t n = 1 + below(3); n > 0; n--)
			step(l, dir);
	}
	simfs_free(clone);
}

static void on_call(void *arg, struct simfs *fs, enum simfs_call call)
{
	(void)arg;
	(void)call;
	copy_some(fs);
}

/* ---- while the mount holds still */

/* Buffered writes go on: few, so that none has to wait for a commit. */
static bool write_something(unsigned *left)
{
	struct op op = { OP_WRITE, (char)('a' + below(NAMES)), below(30) * 1700, 1 + below(6 * B) };

	if (*left == 0 || x.off[HOLD] || below(3) != 0)
		return true;
	(*left)--;
	x.n.writes++;
	return world_op(x.w, &op) >= 0 || fail("a write while it is held");
}

static bool same_as_kept(const struct copy *c, const struct stat *st, const char *name)
{
	struct copy head = { .len = (size_t)st->st_size, .bytes = x.now.bytes };

	if (!c || c->len != (size_t)st->st_size)
		return false;
	if (x.off[REREAD])
		return true;
	return c->meta && read_at(x.w->l, x.w->root, name, head.bytes, head.len, 0) && meta_of(&head) == c->meta;
}

/* The copy of this name, as the hold's round has it. */
static bool take(const char *name, struct copy **ret_c, unsigned *writes)
{
	struct lower *l = x.w->l;
	struct stat st;
	size_t n;

	*ret_c = NULL;
	if (stat_name(l, x.w->root, name, &st) < 0)
		return true;
	*ret_c = find(st.st_ino);
	if (same_as_kept(*ret_c, &st, name)) {
		x.n.kept++;
		return true;
	}
	x.n.reread++;
	x.now.ino = st.st_ino;
	x.now.len = (size_t)st.st_size;
	memset(x.now.bytes, 0, BLOCK_SIZE);
	for (x.at = 0; x.at < x.now.len; x.at += n) {
		n = some(x.now.len - x.at);
		if (!read_at(l, x.w->root, name, x.now.bytes + x.at, n, x.at))
			return fail("a file became shorter while the mount held still");
		if (!write_something(writes))
			return false;
	}
	if (!x.off[HOLD] && !verifies(&x.now))
		return fail("what was copied while the mount held still does not verify");
	keep(&x.now);
	x.now.ino = 0;
	*ret_c = find(st.st_ino);
	return true;
}

static void put(struct lower *l, int dir, const char *name, const uint8_t *p, size_t len)
{
	int fd = l->ops->openat(l, dir, name, O_RDWR, 0);

	if (fd < 0 || l->ops->ftruncate(l, fd, 0) < 0 || (len && lower_pwrite(l, fd, p, len, 0, false) < 0))
		abort();
	lower_close(l, fd);
}

/* What was copied, mounted beside the volume. */
static bool check(struct copy *const c[NAMES], const uint8_t *state, const struct oracle *o)
{
	static const uint8_t log[LOG_BLOCKS * B];
	struct simfs *fs = simfs_clone(x.w->fs);
	struct lower *l = simfs_lower(fs);
	struct world *w2;
	const char *e;
	int dir, r = 0;

	if (simfs_copy_tree(fs, AT_FDCWD, VOLUME_DIR, AT_FDCWD, COPY_DIR) < 0)
		abort();
	dir = l->ops->openat(l, AT_FDCWD, COPY_DIR, O_RDONLY | O_DIRECTORY, 0);
	for (int i = 0; i < NAMES; i++)
		if (c[i])
			put(l, dir, (char[2]){ (char)('a' + i), '\0' }, c[i]->bytes, c[i]->len);
	put(l, dir, NAME_STATE, state, STATE_LEN);
	put(l, dir, NAME_LOG, log, sizeof(log));
	simfs_sync(fs);
	simfs_close_all(fs);
	w2 = world_from(&fs, COPY_DIR, x.w, 0, &r);
	if (!w2)
		return fail(err_text(r));
	e = world_check(w2, o, UINT64_MAX);
	world_free(w2);
	return e ? fail(e) : true;
}

/* All that was written before the hold must be there. */
static void expect_last(struct oracle *o)
{
	oracle_copy(&x.w->o, o);
	for (unsigned i = 0; i < o->uids; i++)
		o->h[i].acked = o->h[i].n ? o->h[i].n - 1 : 0;
}

static bool backup(void)
{
	static uint8_t state[2][STATE_LEN];
	unsigned writes = 3;
	struct copy *c[NAMES];
	struct oracle o;
	bool ok = true;
	unsigned first = (unsigned)below(NAMES);

	x.n.backups++;
	x.copying = false;
	if (!x.off[HOLD] && freeze_begin(x.w->v, HOLD_MS) < 0)
		return fail("it does not hold still");
	expect_last(&o);
	ok = read_at(x.w->l, x.w->root, NAME_STATE, state[0], STATE_LEN, 0);
	for (unsigned i = 0; i < NAMES && ok; i++)
		ok = take(x.w->f[(first + i) % NAMES].name, &c[(first + i) % NAMES], &writes);
	ok = ok && read_at(x.w->l, x.w->root, NAME_STATE, state[1], STATE_LEN, 0);
	if (ok && memcmp(state[0], state[1], STATE_LEN) != 0)
		ok = fail("the state changed while the mount held still");
	ok = ok && check(c, state[0], &o);
	if (!x.off[HOLD] && freeze_end(x.w->v) < 0)
		ok = fail("the hold had ended");
	oracle_done(&o);
	return ok;
}

/* ---- programs */

static bool run_op(const struct op *op)
{
	const char *e;
	int r = world_op(x.w, op);

	if (r < 0)
		return fail(err_text(r));
	if (op->what == OP_KILL) {
		e = world_check(x.w, &x.w->o, UINT64_MAX);
		if (e)
			return fail(e);
		world_restart(x.w);
	}
	return true;
}

static bool run_program(uint64_t seed, bool tell)
{
	struct op prog[BACKUPS * PROG_MAX] = { { OP_CREATE, 'a', 0, 0 } };
	unsigned n = 0, backups = 0;
	char text[64];
	bool ok = true;

	x.n.programs++;
	x.rng.s = seed * 0x9e3779b97f4a7c15ull + 1;
	x.what = NULL;
	x.now.ino = 0;
	for (unsigned i = 0; i < NAMES * 2; i++)
		x.have[i].ino = x.have[i].meta = 0;
	x.w = world_new(seed, SIMFS_EXT4, 0);
	simfs_set_hook(x.w->fs, on_call, NULL);
	for (; backups < BACKUPS && ok; backups++) {
		unsigned until = n + 2 + (unsigned)below(PROG_MAX - 2);

		for (; n < until && ok; n++) {
			if (n > 0)
				prog[n] = op_random(&x.rng, (char)('a' + below(2)), true);
			if (prog[n].what == OP_FAIL_LOG || prog[n].what == OP_FAIL_HOME)
				prog[n] = (struct op){ OP_COMMIT_ALL, 0, 0, 0 };
			x.copying = true;
			ok = run_op(&prog[n]);
			copy_some(x.w->fs);
		}
		ok = ok && backup();
	}
	x.copying = false;
	if (!ok && tell) {
		(void)printf("# seed %llu, backup %u: %s\n", (unsigned long long)seed, backups, x.what);
		for (unsigned i = 0; i < n; i++)
			(void)printf("#   %s\n", op_text(&prog[i], text, sizeof(text)));
	}
	world_free(x.w);
	x.w = NULL;
	return ok;
}

static unsigned random_programs(uint64_t count, uint64_t seed, double seconds, bool tell)
{
	double until = now() + seconds;
	unsigned bad = 0;

	for (uint64_t i = 0; i < count && now() < until && bad < 3; i++)
		bad += !run_program(seed + i, tell);
	return bad;
}

static int parts_off(const char *name)
{
	unsigned n = 0, bad = 0;

	for (int p = 0; p < PARTS; p++) {
		if (strcmp(name, "all") != 0 && strcmp(name, part_names[p]) != 0)
			continue;
		x.off[p] = true;
		bool found = random_programs(3000, 1, 20, false) > 0;
		x.off[p] = false;
		bad += !found;
		(void)printf("%s %u - a backup without %s: %s\n", found ? "ok" : "not ok", ++n, part_names[p], found ? x.what : "nothing fails");
	}
	(void)printf("1..%u\n", n);
	return n == 0 || bad > 0;
}

int main(int argc, char **argv)
{
	unsigned bad;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_LEVEL_ERR);
	x.now.bytes = calloc(1, ROOM);
	assert(x.now.bytes);
	for (unsigned i = 0; i < NAMES * 2; i++) {
		x.have[i].bytes = calloc(1, ROOM);
		assert(x.have[i].bytes);
	}
	if (argc == 3 && strcmp(argv[1], "off") == 0)
		return parts_off(argv[2]);
	if (argc < 4 || strcmp(argv[1], "random") != 0) {
		(void)fprintf(stderr, "usage: copies random N SEED [SECONDS] | off reread|verify|hold|all\n");
		return 2;
	}
	bad = random_programs(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argc > 4 ? strtod(argv[4], NULL) : 1e9, true);
	(void)printf("# %llu programs, %llu backups, %llu pieces copied (%llu copies torn), in holds %llu files kept, %llu copied, %llu writes\n", x.n.programs, x.n.backups,
		     x.n.pieces, x.n.torn, x.n.kept, x.n.reread, x.n.writes);
	(void)printf("%s 1 - a volume at work, copied in every order\n1..1\n", bad ? "not ok" : "ok");
	return bad != 0;
}
