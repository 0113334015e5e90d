/* crash.c: the explorer. Runs programs, cuts the power at their lower calls, mounts what is left, checks; and shows that each rule is needed.
 *
 *   crash random N SEED [seconds]      N random programs, as far as so many processor seconds go, some of two threads, some on a backing that loses sibling names
 *   crash directed | crash trace N     the smallest traces of every rule, all rules on; one of them
 *   crash off RULE|all                 with the rule switched off: some trace must fail ("ok"), else "not ok"
 *
 * States per cut: all if they are few, else samples. Some states are mounted with a hook of their own, so that replay is cut too; some are copied to another
 * directory first, or damaged in one sector of log or state (then mounting may be refused, but nothing that is vouched for may be missing); some are those of a
 * SIGKILL, where nothing pending is lost yet. */
#include "tests/crash/crash.h"

#include "base/log.h"
#include "format/log_record.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define B 4096ull
#define G (128ull * 4096)
#define CAP 14
#define CAP_DEEP 4
#define QUEUE_MAX 60000

struct state {
	struct simfs *fs;
	unsigned oracle;         /* index into x.oracles */
	bool killed;             /* not a cut: everything pending is still pending */
};

static struct explorer {
	struct simfs_rng rng;
	unsigned rules_off;
	struct world *w;
	struct state *q;
	size_t nq;
	struct oracle *oracles;
	unsigned noracles, max_oracles;
	bool cutting;
	unsigned every;          /* cut at one in so many calls */
	uint64_t cap;
	double until;            /* no more cuts are taken or tried behind this time; 0: no end */
	struct {
		uint64_t programs, cuts, states, deep, copies, damaged, refused, killed, read_only;
	} n;
	const char *what;        /* the violation */
	char where[200];
} x;

/* Processor seconds: what a bound leaves to be tried is then the same on a busy machine. */
static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool time_is_over(void)
{
	return x.until > 0 && now() > x.until;
}

/* ---- taking cuts, inside the hook */

static unsigned snapshot(struct world *w)
{
	if (x.noracles == x.max_oracles) {
		x.max_oracles = x.max_oracles ? x.max_oracles * 2 : 64;
		x.oracles = realloc(x.oracles, x.max_oracles * sizeof(*x.oracles));
		assert(x.oracles);
	}
	pthread_mutex_lock(&w->m);
	oracle_copy(&w->o, &x.oracles[x.noracles]);
	pthread_mutex_unlock(&w->m);
	return x.noracles++;
}

static void enqueue(struct simfs *fs, unsigned oracle, bool killed)
{
	if (x.nq == QUEUE_MAX) {
		simfs_free(fs);
		return;
	}
	x.q[x.nq++] = (struct state){ fs, oracle, killed };
}

static int take(void *arg, struct simfs **cut)
{
	enqueue(*cut, *(unsigned *)arg, false);
	*cut = NULL;
	return 0;
}

static void on_call(void *arg, struct simfs *fs, enum simfs_call call)
{
	unsigned o;

	(void)call;
	if (!x.cutting || time_is_over() || simfs_rng_below(&x.rng, x.every) != 0)
		return;
	x.n.cuts++;
	o = snapshot(arg);
	(void)simfs_cut_all(fs, x.cap, &x.rng, take, &o);
	if (simfs_rng_below(&x.rng, x.rules_off ? 2 : 6) == 0) {
		struct simfs *clone = simfs_clone(fs);

		simfs_close_all(clone);
		enqueue(clone, o, true);
	}
}

/* ---- what comes of a state */

static bool fail(const char *what, const char *where)
{
	if (!x.what) {
		x.what = what;
		(void)snprintf(x.where, sizeof(x.where), "%s", where);
	}
	return false;
}

/* Cuts of the mount itself: the same oracle, since replay only repeats what is in the log. */
struct deep {
	struct simfs *fs[CAP_DEEP * 4];
	unsigned n;
};

static int deep_take(void *arg, struct simfs **cut)
{
	struct deep *d = arg;

	if (d->n == sizeof(d->fs) / sizeof(d->fs[0]))
		return 1;
	d->fs[d->n++] = *cut;
	*cut = NULL;
	return 0;
}

static void on_mount_call(void *arg, struct simfs *fs, enum simfs_call call)
{
	(void)call;
	if (simfs_rng_below(&x.rng, 3) == 0)
		(void)simfs_cut_all(fs, CAP_DEEP, &x.rng, deep_take, arg);
}

static bool check_mounted(struct simfs **fs, const char *dir, const struct oracle *o, uint64_t least, const char *where, struct deep *d)
{
	struct world *w2;
	const char *e;
	int r = 0;

	if (d)
		simfs_set_hook(*fs, on_mount_call, d);
	w2 = world_from(fs, dir, x.w, x.rules_off, &r);
	if (!w2) {
		if (least != UINT64_MAX) {
			x.n.refused++;
			return true;
		}
		return fail(err_text(r), where);
	}
	simfs_set_hook(w2->fs, NULL, NULL);
	e = world_check(w2, o, least);
	if (e && least != UINT64_MAX && w2->events) {
		e = NULL; /* one bad sector can cost a file (EIO), loudly */
		x.n.refused++;
	}
	world_free(w2);
	return e ? fail(e, where) : true;
}

static bool check_deep(const struct state *s, struct deep *d)
{
	bool ok = true;

	for (unsigned i = 0; i < d->n; i++) {
		if (ok) {
			x.n.deep++;
			ok = check_mounted(&d->fs[i], VOLUME_DIR, &x.oracles[s->oracle], UINT64_MAX, "after a cut of the mount", NULL);
		}
		simfs_free(d->fs[i]);
	}
	return ok;
}

/* A copy of the volume beside the original: it must be whole, and the original untouched by it. */
static bool check_copy(const struct state *s)
{
	struct simfs *fs = simfs_clone(s->fs);
	const struct oracle *o = &x.oracles[s->oracle];
	struct simfs *again;
	struct world *w2;
	const char *e;
	int r = 0;

	x.n.copies++;
	if (simfs_copy_tree(fs, AT_FDCWD, VOLUME_DIR, AT_FDCWD, COPY_DIR) < 0)
		abort();
	w2 = world_from(&fs, COPY_DIR, x.w, x.rules_off, &r);
	if (!w2)
		return fail(err_text(r), "mounting a copy");
	e = world_check(w2, o, UINT64_MAX);
	again = simfs_clone(w2->fs);
	simfs_close_all(again);
	world_free(w2);
	if (e) {
		simfs_free(again);
		return fail(e, "in a copy");
	}
	return check_mounted(&again, VOLUME_DIR, o, UINT64_MAX, "in the original, after its copy was mounted", NULL);
}

/* Mounted read-only, a state shows what it shows mounted read-write, refusals and damage too, and stays as it is. */
static bool check_read_only(struct simfs *fs, const char *where)
{
	struct shown ro, rw;
	bool changed, any;

	x.n.read_only++;
	world_show(fs, x.w, x.rules_off, true, &ro, &changed);
	if (changed)
		return fail("a read-only mount changed something", where);
	world_show(fs, x.w, x.rules_off, false, &rw, &any);
	return memcmp(&ro, &rw, sizeof(ro)) == 0 ? true : fail("a read-only mount shows something else", where);
}

/* The highest sequence that something intact calls durable. */
static uint64_t vouched(struct simfs *fs)
{
	struct lower *l = simfs_lower(fs);
	struct blockcrypt *bc = blockcrypt_get();
	uint8_t p[BLOCK_SIZE];
	struct volume_state st = { 0 }, slot;
	struct log_desc *d = malloc(sizeof(*d));
	uint64_t most = 0;
	int dir, fd;

	dir = l->ops->openat(l, AT_FDCWD, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0);
	fd = l->ops->openat(l, dir, NAME_STATE, O_RDONLY, 0);
	for (unsigned i = 0; i < STATE_SLOTS; i++)
		if (lower_pread_full(l, fd, p, BLOCK_SIZE, i * BLOCK_SIZE) == 0 && volume_state_open(bc, crash_ring(), i, p, &slot) == 0 &&
		    slot.serial > st.serial)
			st = slot;
	lower_close(l, fd);
	most = st.durable;
	fd = l->ops->openat(l, dir, NAME_LOG, O_RDONLY, 0);
	for (uint64_t b = 0; b < LOG_BLOCKS; b++)
		if (lower_pread_full(l, fd, p, BLOCK_SIZE, b * BLOCK_SIZE) == 0 && log_desc_open(bc, crash_ring(), p, d) == 0 &&
		    memcmp(d->generation, st.generation, GENERATION_LEN) == 0 && d->durable > most)
			most = d->durable;
	lower_close(l, fd);
	lower_close(l, dir);
	free(d);
	return most;
}

/* Where to damage the log: often in the newest descriptor that verifies. */
static uint64_t log_sector(struct simfs *fs, int dir)
{
	struct lower *l = simfs_lower(fs);
	struct log_desc *d = malloc(sizeof(*d));
	uint64_t best = 0, seq = 0;
	uint8_t p[BLOCK_SIZE];
	int fd = l->ops->openat(l, dir, NAME_LOG, O_RDONLY, 0);

	for (uint64_t b = 0; b < LOG_BLOCKS && simfs_rng_below(&x.rng, 200) != 0; b++)
		if (lower_pread_full(l, fd, p, BLOCK_SIZE, b * BLOCK_SIZE) == 0 && log_desc_open(blockcrypt_get(), crash_ring(), p, d) == 0 &&
		    d->sequence >= seq) {
			seq = d->sequence;
			best = b;
		}
	lower_close(l, fd);
	free(d);
	return best * 8 + simfs_rng_below(&x.rng, 16);
}

static bool check_damaged(const struct state *s)
{
	struct simfs *fs = simfs_clone(s->fs);
	struct lower *l = simfs_lower(fs);
	uint8_t rot[512];
	bool log = simfs_rng_below(&x.rng, 4) != 0;
	uint64_t least;
	int dir, r;

	x.n.damaged++;
	dir = l->ops->openat(l, AT_FDCWD, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0);
	memset(rot, (int)(1 + simfs_rng_below(&x.rng, 255)), sizeof(rot));
	r = simfs_poke(fs, dir, log ? NAME_LOG : NAME_STATE, (log ? log_sector(fs, dir) : simfs_rng_below(&x.rng, 16)) * 512, rot, sizeof(rot));
	assert(r == 0);
	lower_close(l, dir);
	simfs_close_all(fs);
	if (!x.rules_off && simfs_rng_below(&x.rng, 4) == 0 && !check_read_only(fs, log ? "with a bad sector in the log" : "with a bad sector in the state")) {
		simfs_free(fs);
		return false;
	}
	least = vouched(fs);
	return check_mounted(&fs, VOLUME_DIR, &x.oracles[s->oracle], least, log ? "with a bad sector in the log" : "with a bad sector in the state",
			     NULL);
}

static bool check_state(struct state *s)
{
	struct deep d = { .n = 0 };
	bool deep = s->killed || simfs_rng_below(&x.rng, 8) == 0, ok = true;

	x.n.states++;
	x.n.killed += s->killed;
	if (!s->killed && simfs_rng_below(&x.rng, 12) == 0)
		ok = check_copy(s);
	if (ok && !s->killed && simfs_rng_below(&x.rng, 4) == 0)
		ok = check_damaged(s);
	if (ok && !x.rules_off && simfs_rng_below(&x.rng, 12) == 0)
		ok = check_read_only(s->fs, s->killed ? "after SIGKILL" : "after a cut");
	if (ok)
		ok = check_mounted(&s->fs, VOLUME_DIR, &x.oracles[s->oracle], UINT64_MAX, s->killed ? "after SIGKILL" : "after a cut",
				   deep ? &d : NULL);
	if (ok)
		return check_deep(s, &d);
	for (unsigned i = 0; i < d.n; i++)
		simfs_free(d.fs[i]);
	return false;
}

static bool drain(void)
{
	bool ok = !x.what;

	for (size_t i = 0; i < x.nq; i++) {
		if (ok && !time_is_over())
			ok = check_state(&x.q[i]);
		simfs_free(x.q[i].fs);
	}
	x.nq = 0;
	for (unsigned i = 0; i < x.noracles; i++)
		oracle_done(&x.oracles[i]);
	x.noracles = 0;
	return ok;
}

/* ---- programs */

static bool legal_failure(const struct op *prog, size_t n, int r)
{
	(void)r;
	for (size_t i = 0; i < n; i++)
		if (prog[i].what == OP_FAIL_LOG || prog[i].what == OP_FAIL_HOME)
			return true;
	return false;
}

static bool run_ops(const struct op *prog, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *e;
		char text[64];
		int r;

		r = world_op(x.w, &prog[i]);
		if (r < 0 && r != -ESTALE && !legal_failure(prog, n, r))
			return fail(err_text(r), op_text(&prog[i], text, sizeof(text)));
		if (prog[i].what == OP_KILL && r == 0) {
			e = world_check(x.w, &x.w->o, UINT64_MAX);
			if (e)
				return fail(e, "after kill");
			world_restart(x.w);
		}
		if (r < 0)
			return drain();
		e = world_reread(x.w);
		if (e)
			return fail(e, op_text(&prog[i], text, sizeof(text)));
		if (!drain())
			return false;
	}
	return true;
}

/* setup runs without cuts. */
static bool run_program(const struct op *setup, size_t nsetup, const struct op *prog, size_t n, uint64_t seed, enum simfs_mode mode)
{
	bool ok;

	x.n.programs++;
	x.what = NULL;
	x.w = world_new(seed, mode, x.rules_off);
	x.cutting = false;
	simfs_set_hook(x.w->fs, on_call, x.w);
	ok = run_ops(setup, nsetup);
	x.cutting = true;
	ok = ok && run_ops(prog, n);
	if (ok)
		on_call(x.w, x.w->fs, SIMFS_CALL_FLUSH); /* and a cut behind the last call */
	x.cutting = false;
	ok = drain() && ok;
	world_free(x.w);
	x.w = NULL;
	return ok;
}

/* ---- two threads */

struct thread {
	struct world *w;
	struct op prog[PROG_MAX];
	size_t n;
	int r;
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	for (size_t i = 0; i < t->n && t->r == 0; i++)
		t->r = world_op(t->w, &t->prog[i]);
	return NULL;
}

/* Each thread has a file; with shared, the second only commits the first one's. */
static bool run_threads(uint64_t seed, bool shared)
{
	struct op make[] = { { OP_CREATE, 'a', 0, 0 }, { OP_CREATE, 'b', 0, 0 }, { OP_WRITE, 'a', 0, 3 * B }, { OP_FSYNC, 'a', 0, 0 } };
	struct thread t[2] = { 0 };
	pthread_t id[2];
	const char *e;
	bool ok;

	x.n.programs++;
	x.what = NULL;
	x.w = world_new(seed, SIMFS_EXT4, x.rules_off);
	x.cutting = false;
	ok = run_ops(make, 4);
	simfs_set_hook(x.w->fs, on_call, x.w);
	x.w->threads = x.cutting = true;
	for (int k = 0; k < 2; k++) {
		t[k].w = x.w;
		t[k].n = 6 + simfs_rng_below(&x.rng, 6);
		for (size_t i = 0; i < t[k].n; i++) {
			t[k].prog[i] = op_random(&x.rng, k ? 'b' : 'a', false);
			if (shared && k)
				t[k].prog[i] = (struct op){ i % 3 == 2 ? OP_CHECKPOINT : OP_FSYNC, 'a', 0, 0 };
			else if (shared && simfs_rng_below(&x.rng, 2))
				t[k].prog[i] = (struct op){ OP_WRITE, 'a', G, G / 2 };
		}
		if (pthread_create(&id[k], NULL, thread_main, &t[k]) != 0)
			abort();
	}
	for (int k = 0; k < 2; k++)
		pthread_join(id[k], NULL);
	x.cutting = x.w->threads = false;
	if (t[0].r < 0 || t[1].r < 0)
		ok = fail(err_text(t[0].r < 0 ? t[0].r : t[1].r), "in a thread");
	e = ok ? world_reread(x.w) : NULL;
	if (e)
		ok = fail(e, "after two threads");
	ok = drain() && ok;
	world_free(x.w);
	x.w = NULL;
	return ok;
}

/* ---- a write between the gathering of a transaction and its way to the disk */

static struct op between_op;

static void write_between(struct world *w)
{
	struct thread t = { .w = w, .prog = { between_op }, .n = 1 };
	pthread_t id;

	w->between = NULL;
	if (pthread_create(&id, NULL, thread_main, &t) != 0 || pthread_join(id, NULL) != 0 || t.r < 0)
		abort();
}

/* The last of prog comes between, the one before commits. */
static bool run_between(const struct op *prog, size_t n, uint64_t seed)
{
	const char *e;
	bool ok;

	x.n.programs++;
	x.what = NULL;
	x.w = world_new(seed, SIMFS_EXT4, x.rules_off);
	x.cutting = false;
	ok = run_ops(prog, n - 2);
	simfs_set_hook(x.w->fs, on_call, x.w);
	x.w->threads = x.cutting = true;
	x.w->between = write_between;
	between_op = prog[n - 1];
	ok = run_ops(&prog[n - 2], 1) && ok;
	if (x.w->between)
		ok = fail("nothing was gathered", "in a commit");
	x.cutting = x.w->threads = false;
	e = ok ? world_reread(x.w) : NULL;
	if (e)
		ok = fail(e, "after a write in a commit");
	ok = drain() && ok;
	world_free(x.w);
	x.w = NULL;
	return ok;
}

/* ---- random programs */

static void print_violation(const char *kind, uint64_t seed, const struct op *setup, size_t nsetup, const struct op *prog, size_t n)
{
	char text[64];

	(void)printf("# %s, seed %llu: %s; %s\n", kind, (unsigned long long)seed, x.what ? x.what : "?", x.where);
	for (size_t i = 0; i < nsetup; i++)
		(void)printf("#   setup %s\n", op_text(&setup[i], text, sizeof(text)));
	for (size_t i = 0; i < n; i++)
		(void)printf("#   %s\n", op_text(&prog[i], text, sizeof(text)));
}

static int random_programs(uint64_t count, uint64_t seed, double seconds, bool quiet)
{
	double until = now() + seconds;
	struct op prog[PROG_MAX];
	uint64_t i, violations = 0;

	for (i = 0; i < count && now() < until && violations < 3; i++) {
		uint64_t s = seed + i * 1000003;
		size_t n;
		bool ok;

		x.rng.s = s * 0x9e3779b97f4a7c15ull + 1;
		x.every = 1;
		x.cap = CAP;
		if (i % 6 == 5) {
			x.every = 3;
			ok = run_threads(s, i % 12 == 5);
			n = 0;
		} else {
			n = 3 + simfs_rng_below(&x.rng, 9);
			prog[0] = (struct op){ OP_CREATE, 'a', 0, 0 };
			for (size_t k = 1; k < n; k++)
				prog[k] = op_random(&x.rng, (char)('a' + (simfs_rng_below(&x.rng, 4) == 0)), true);
			ok = run_program(NULL, 0, prog, n, s, i % 5 == 4 ? SIMFS_BTRFS : SIMFS_EXT4);
		}
		if (!ok) {
			violations++;
			if (!quiet)
				print_violation(n ? "program" : "threads", s, NULL, 0, prog, n);
		}
	}
	if (!quiet)
		(void)printf("# %llu programs, %llu cuts, %llu states, %llu cut again in replay, %llu killed, %llu copies, %llu damaged (%llu refused), "
			     "%llu read-only\n",
			     (unsigned long long)x.n.programs, (unsigned long long)x.n.cuts, (unsigned long long)x.n.states,
			     (unsigned long long)x.n.deep, (unsigned long long)x.n.killed, (unsigned long long)x.n.copies,
			     (unsigned long long)x.n.damaged, (unsigned long long)x.n.refused, (unsigned long long)x.n.read_only);
	return (int)violations;
}

#include "tests/crash/traces.h"

int main(int argc, char **argv)
{
	int r;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_LEVEL_ERR);
	x.q = calloc(QUEUE_MAX, sizeof(*x.q));
	assert(x.q);
	if (argc >= 4 && strcmp(argv[1], "random") == 0) {
		r = random_programs(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argc > 4 ? strtod(argv[4], NULL) : 1e9, false);
		(void)printf("%s 1 - random programs with every cut\n1..1\n", r ? "not ok" : "ok");
		return r != 0;
	}
	if (argc == 2 && strcmp(argv[1], "directed") == 0)
		return directed(NTRACES, 0);
	if (argc == 3 && strcmp(argv[1], "trace") == 0)
		return directed(1, strtoul(argv[2], NULL, 10) - 1);
	if (argc == 3 && strcmp(argv[1], "off") == 0)
		return rules_off(argv[2]);
	(void)fprintf(stderr, "usage: crash random N SEED [SECONDS] | directed | off RULE|all\n");
	return 2;
}
