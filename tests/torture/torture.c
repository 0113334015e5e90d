/* torture.c: let the n-th lower call or allocation of a scenario fail, for each n, once or from then on; afterwards kill the process, or cut the power, and
 * mount without faults: what was acknowledged must be there, nothing may be a mixture, and what a call that failed was to change is as it was.
 *
 *	torture                 all; TAP lines
 *	torture SCENARIO HOW N  one run
 *
 * Errors must be the planned one, or -EROFS behind a log that failed; a failed write or truncate changes nothing; reads go on; and behind an fsync that
 * returned 0 the content is durable. Want of memory is -ENOMEM, never damage; it takes nothing that a sync behind it does not make durable, and leaks
 * nothing. How much there is to do is a matter of count alone. */
#include "tests/torture/torture.h"

#include "tests/torture/memory.h"
#include "tests/torture/names.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define B 4096ull
#define G (128ull * 4096)
#define RUN_SECONDS 60            /* of one run, which takes a tenth of a second: this is a hang, also on a slow machine */

struct torture t;
static const char *what_failed;
static uint64_t only;
static unsigned tests, bad_tests;

static const struct how hows[] = {
	{ "EIO-once", FAULT_ALL, EIO, 1, 0, 1 },
	{ "EIO-forever", FAULT_ALL, EIO, FAULT_FOREVER, 0, 1 },
	{ "ENOSPC-once", FAULT_WRITES | FAULT_FLUSHES | FAULT_NAMES, ENOSPC, 1, 0, 1 },
	{ "ENOSPC-forever", FAULT_WRITES | FAULT_FLUSHES | FAULT_NAMES, ENOSPC, FAULT_FOREVER, 0, 1 },
	{ "EIO-half", FAULT_OF(pwritev), EIO, 1, FAULT_PARTIAL, 1 },
};

/* ---- what all runs share */

bool torture_wrong(const char *where, const char *what)
{
	static char text[300];

	if (!t.failed) {
		(void)snprintf(text, sizeof(text), "%s %s %llu (%s): %s: %s", t.scenario, t.how ? t.how->name : "-", (unsigned long long)t.at,
			       t.fault ? fault_what(t.fault) : "-", where, what);
		t.failed = text;
	}
	return false;
}

struct lower *torture_wrap(struct lower *inner)
{
	fault_free(t.fault);
	t.fault = fault_new(inner);
	assert(t.fault);
	return fault_lower(t.fault);
}

void torture_arm(uint64_t n)
{
	if (!t.how->kinds)
		memory_fail(n, t.how->times);
	else
		fault_fail(t.fault, t.how->kinds, n, t.how->err, t.how->times, t.how->flags);
}

bool torture_lift(void)
{
	bool happened = t.how->kinds ? fault_happened(t.fault) : memory_happened();

	memory_fail(0, 0);
	what_failed = t.how->kinds ? fault_what(t.fault) : memory_where();
	fault_fail(t.fault, 0, 0, 0, 0, 0);
	return happened;
}

bool torture_is_legal(int r)
{
	if (!t.how->kinds)
		return r == -ENOMEM || (r == -EROFS && t.how->times > 1);
	return r == -t.how->err || r == -EROFS || r == -EIO;
}

static void on_signal(int sig)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "not ok - %s %s %llu: %s\n", t.scenario, t.how ? t.how->name : "-", (unsigned long long)t.at,
			 sig == SIGALRM ? "hangs" : "crashes");

	if (write(STDOUT_FILENO, text, (size_t)n) != n)
		_exit(2);
	_exit(1);
}

bool torture_all(const char *scenario, const struct how *how, torture_run_fn *run, void *arg)
{
	bool happened = true, ok = true;
	uint64_t n, wrong = 0;

	t.n = (struct tally){ 0 };
	t.scenario = scenario;
	t.how = how;
	what_failed = NULL;
	for (n = only ? only : 1; happened && wrong < 5; n += how->stride ? how->stride : 1) {
		t.at = n;
		t.rng.s = n * 0x9e3779b97f4a7c15ull + 1;
		t.failed = NULL;
		t.n.runs++;
		(void)alarm(RUN_SECONDS);
		ok = run(arg, n, &happened);
		if (!ok) {
			(void)printf("# %s; failed: %s\n", t.failed ? t.failed : "?", what_failed ? what_failed : "-");
			wrong++;
		}
		if (only)
			break;
	}
	(void)alarm(0);
	(void)printf("%s - %s %s: %llu runs, %llu states, %llu errors told, %llu read-only, %llu mounts refused, %llu quarantined\n", wrong ? "not ok" : "ok",
		     scenario, how->name, (unsigned long long)t.n.runs, (unsigned long long)t.n.states, (unsigned long long)t.n.told,
		     (unsigned long long)t.n.read_only, (unsigned long long)t.n.refused, (unsigned long long)t.n.quarantined);
	(void)fflush(stdout);
	tests++;
	bad_tests += wrong > 0;
	return wrong == 0;
}

/* ---- states that are left */

/* Mount it without faults and compare. Consumes fs. */
static bool check_state(struct simfs *fs, const struct world *like, const struct oracle *o, bool may_quarantine, const char *where)
{
	struct world *w;
	const char *e;
	int r = 0;

	t.n.states++;
	world_wrap = NULL;
	w = world_from(&fs, VOLUME_DIR, like, 0, &r);
	if (!w)
		return torture_wrong(where, err_text(r));
	e = world_check(w, o, UINT64_MAX);
	if (e && may_quarantine && w->events) {
		t.n.quarantined++;
		e = NULL;
	}
	world_free(w);
	return e ? torture_wrong(where, e) : true;
}

/* The process is killed here, or the power fails. */
static bool check_ends(const struct world *w, bool may_quarantine)
{
	static const enum simfs_choice cuts[] = { SIMFS_OLD, SIMFS_NEW, SIMFS_RANDOM };
	struct simfs *killed = simfs_clone(w->fs);
	bool ok;

	simfs_close_all(killed);
	ok = check_state(killed, w, &w->o, may_quarantine, "after SIGKILL");
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]) && ok; i++)
		ok = check_state(simfs_cut(w->fs, &t.rng, cuts[i]), w, &w->o, may_quarantine, "after a cut");
	return ok;
}

static bool no_descriptors(const struct world *w)
{
	char text[40];

	if (simfs_open_count(w->fs) == 2) /* the disk's root, the volume's */
		return true;
	(void)snprintf(text, sizeof(text), "%u descriptors", simfs_open_count(w->fs));
	return torture_wrong("left open", text);
}

/* ---- scenarios of operations on files */

struct program {
	const char *name;
	struct op op[PROG_MAX];
};

#define W(n, off, len) { OP_WRITE, n, off, len }
#define F(n) { OP_FSYNC, n, 0, 0 }
#define T(n, size) { OP_TRUNCATE, n, size, 0 }
#define P(n, off, len) { OP_PUNCH, n, off, len }
#define Z(n, off, len) { OP_ZERO, n, off, len }
#define A(n, off, len) { OP_ALLOCATE, n, off, len }
#define Y(n, off, len) { OP_COPY, n, off, len }
#define CP { OP_CHECKPOINT, 0, 0, 0 }

static const struct program small = { "small-writes",
	{ W('a', 100, 5000), F('a'), W('a', 4000, 300), T('a', 6000), F('a'), CP, W('a', 3 * B, 2 * B), T('a', 3), W('b', G - 10, 20), F('b'),
	  W('a', 0, 1), { OP_COMMIT_ALL, 0, 0, 0 }, CP, W('b', 1, 9) } };
static const struct program bulk = { "bulk-writes",
	{ W('b', 0, G), W('b', G, G), F('b'), W('b', 2 * G, G / 2), W('b', G / 2, G), F('b'), CP, W('b', 0, 2 * B), T('b', G + 5), W('b', G, G), CP,
	  F('b'), W('a', 3 * B, G) } };
static const struct program punch = { "punch",
	{ P('b', 100, 2 * B), P('b', 0, G), W('b', 5 * B, 100), F('b'), W('b', 0, G), CP, Z('b', G - 7, 4 * G), F('b'), P('b', G, 3 * B), CP,
	  P('a', B, B), F('a'), CP, W('a', B, 9) } };
static const struct program ranges = { "ranges",
	{ A('b', 2 * G, G), W('b', 2 * G, G), F('b'), P('b', 2 * G, 2 * G), CP, Y('b', 0, G), F('c'), Y('a', 10, 2 * B), A('a', 0, 5 * B), F('b'), CP,
	  T('b', 5), F('b'), CP } };
/* What a mount finds in the log. */
static const struct program unclean = { "unclean", { W('a', 0, 3 * B), W('b', 0, G + B), F('a'), F('b'), CP, W('a', B, 3 * B), T('b', G - 1), F('a'),
	W('b', 2 * G, B), F('b'), T('a', 2 * B), F('a') } };
static const struct program base_ops = { "base", { { OP_CREATE, 'a', 0, 0 }, W('a', 0, 3 * B + 7), F('a'), { OP_CREATE, 'b', 0, 0 }, W('b', 0, G + 3 * B),
	F('b'), CP, { OP_CREATE, 'c', 0, 0 } } };

static bool is_op(const struct op *op)
{
	return op->name || op->what != OP_CREATE;
}

static bool run_ops(struct world *w, const struct program *p, bool faulty)
{
	char text[64];
	int r;

	for (size_t i = 0; i < PROG_MAX && is_op(&p->op[i]); i++) {
		r = world_op(w, &p->op[i]);
		t.n.told += r < 0;
		if (r < 0 && (!faulty || !torture_is_legal(r))) {
			torture_wrong(op_text(&p->op[i], text, sizeof(text)), err_text(r));
			return false;
		}
	}
	return true;
}

static struct world *base_world(const struct program *more)
{
	struct world *w;

	world_wrap = NULL;
	w = world_new(1, SIMFS_EXT4, 0);
	if (!run_ops(w, &base_ops, false) || (more && !run_ops(w, more, false)))
		abort();
	simfs_close_all(w->fs);
	return w;
}

struct arg {
	const struct world *base;
	const struct program *p;
};

/* The fault is over: reads give what the model says, a volume that is not read-only can be used. */
static bool check_goes_on(struct world *w)
{
	struct op write = W('a', 5, 100), sync[2] = { F('a'), F('b') };
	const char *e = world_reread(w);
	int r;

	if (e)
		return torture_wrong("behind the fault", e);
	r = world_op(w, &write);
	if (vio_is_read_only(w->v)) {
		t.n.read_only++;
		if (r != -EROFS)
			return torture_wrong("write to a read-only volume", err_text(r));
	} else if (r < 0 && r != -ENOSPC) {
		return torture_wrong("write behind the fault", err_text(r));
	}
	e = world_reread(w);
	if (e)
		return torture_wrong("reading again", e);
	for (int k = 0; k < 2; k++) {
		if (world_op(w, &sync[k]) < 0) /* the error may be told here */
			r = world_op(w, &sync[k]);
		else
			r = 0;
		if (vio_is_read_only(w->v) ? r != -EROFS && r != 0 : r < 0)
			return torture_wrong("the second fsync behind the fault", err_text(r));
	}
	return true;
}

static bool finish(struct world *w, bool ok)
{
	int r;

	ok = ok && check_ends(w, false) && check_goes_on(w) && check_ends(w, false);
	r = world_unmount(w);
	if (ok && r < 0 && r != -EROFS)
		ok = torture_wrong("leaving behind the fault", err_text(r));
	ok = ok && no_descriptors(w) && check_ends(w, false);
	world_free(w);
	return ok;
}

static bool run_program(void *arg, uint64_t n, bool *ret_happened)
{
	const struct arg *a = arg;
	struct simfs *fs = simfs_clone(a->base->fs);
	struct world *w;
	bool ok;

	world_wrap = torture_wrap;
	w = world_attach(&fs, VOLUME_DIR, a->base, 0);
	if (world_mount(w) < 0 || world_check(w, &a->base->o, UINT64_MAX))
		abort();
	world_restart(w);
	torture_arm(n);
	ok = run_ops(w, a->p, true);
	*ret_happened = torture_lift();
	return finish(w, ok);
}

/* Leaving is the scenario. */
static bool run_leave(void *arg, uint64_t n, bool *ret_happened)
{
	const struct arg *a = arg;
	struct simfs *fs = simfs_clone(a->base->fs);
	struct world *w;
	bool ok;
	int r;

	world_wrap = torture_wrap;
	w = world_attach(&fs, VOLUME_DIR, a->base, 0);
	if (world_mount(w) < 0 || world_check(w, &a->base->o, UINT64_MAX))
		abort();
	world_restart(w);
	ok = run_ops(w, a->p, false);
	torture_arm(n);
	r = world_unmount(w);
	*ret_happened = torture_lift();
	t.n.told += r < 0;
	if (r < 0 && r != -EBUSY && !torture_is_legal(r)) /* busy: space could not be given back */
		ok = torture_wrong("leaving", err_text(r));
	ok = ok && no_descriptors(w) && check_ends(w, false);
	world_free(w);
	return ok;
}

static bool mount_of(const struct arg *a, uint64_t n, bool read_only, bool *ret_happened)
{
	struct simfs *fs = simfs_clone(a->base->fs);
	uint64_t before = simfs_digest(fs);
	struct oracle o;
	struct world *w;
	const char *e;
	bool ok = true;
	int r;

	world_wrap = torture_wrap;
	w = world_attach(&fs, VOLUME_DIR, a->base, 0);
	w->read_only = read_only;
	oracle_copy(&a->base->o, &o);
	torture_arm(n);
	r = world_mount(w);
	*ret_happened = torture_lift();
	if (r < 0) {
		t.n.refused++;
		t.n.told++;
		if (!torture_is_legal(r))
			ok = torture_wrong("mounting", err_text(r));
	} else {
		e = world_check(w, &o, UINT64_MAX);
		if (e)
			ok = torture_wrong(w->events ? "mounted, with events" : "mounted", e);
	}
	oracle_copy(&o, &w->o);
	world_kill(w);
	if (ok && read_only && simfs_digest(w->fs) != before)
		ok = torture_wrong("mounted read-only", "something has changed");
	ok = ok && no_descriptors(w) && check_ends(w, false);
	oracle_done(&o);
	world_free(w);
	return ok;
}

static bool run_mount(void *arg, uint64_t n, bool *ret_happened)
{
	return mount_of(arg, n, false, ret_happened);
}

static bool run_look(void *arg, uint64_t n, bool *ret_happened)
{
	return mount_of(arg, n, true, ret_happened);
}

static bool run_format(void *arg, uint64_t n, bool *ret_happened)
{
	struct simfs_params sp = { .seed = 1, .mode = SIMFS_EXT4 };
	struct simfs *fs = simfs_new(&sp);
	struct op write = W('a', 0, 5000), create = { OP_CREATE, 'a', 0, 0 }, sync = F('a');
	struct world *w;
	bool ok = true;
	int r, m = -1;

	if (simfs_lower(fs)->ops->mkdirat(simfs_lower(fs), AT_FDCWD, VOLUME_DIR, 0700) < 0)
		abort();
	simfs_sync(fs);
	world_wrap = torture_wrap;
	w = world_attach(&fs, VOLUME_DIR, arg, 0);
	torture_arm(n);
	r = world_format(w);
	if (r == 0)
		m = world_mount(w);
	*ret_happened = torture_lift();
	t.n.told += r < 0 || m < 0;
	if ((r < 0 && !torture_is_legal(r)) || (r == 0 && m < 0 && !torture_is_legal(m)))
		ok = torture_wrong("format or first mount", err_text(r < 0 ? r : m));
	if (ok && r == 0 && m == 0) {
		r = world_op(w, &create);
		r = r == 0 ? world_op(w, &write) : r;
		r = r == 0 || r == -ENOSPC ? world_op(w, &sync) : r;
		if (r < 0 && !vio_is_read_only(w->v))
			ok = torture_wrong("using a new volume", err_text(r));
		r = 0;
	}
	world_kill(w);
	ok = ok && no_descriptors(w) && (r < 0 || check_ends(w, false));
	world_free(w);
	return ok;
}

/* ---- memory that runs out */

static struct how memories[] = {
	{ "once", 0, ENOMEM, 1, 0, 1 },
	{ "forever", 0, ENOMEM, FAULT_FOREVER, 0, 4 },
};

#define APPEND(n, len) { OP_APPEND, n, 0, len }

/* Everything that has a buffer of its own: new groups, gaps, cut groups, old versions, a transaction of several parts, replay. */
static const struct program lean = { "memory",
	{ W('a', 100, 5000), APPEND('a', 3000), F('a'), W('a', 4000, 300), T('a', 6000), { OP_COMMIT_ALL, 0, 0, 0 }, CP, W('b', 3 * G + 5, 2 * B), T('b', G / 2),
	  APPEND('b', G), F('b'), W('c', 0, 10), W('a', 0, B), { OP_COMMIT_ALL, 0, 0, 0 } } };

struct lean_thread {
	struct world *w;
	const struct program *p; /* NULL: leave */
	uint64_t n;
	bool happened, ok;
	int r;
};

/* In a thread of its own: what is kept by thread is allocated anew. */
static void *lean_main(void *arg)
{
	struct lean_thread *lt = arg;

	torture_arm(lt->n);
	if (lt->p)
		lt->ok = run_ops(lt->w, lt->p, true);
	else
		lt->r = world_unmount(lt->w);
	lt->happened = torture_lift();
	return NULL;
}

static void lean_run(struct lean_thread *lt)
{
	pthread_t id;

	if (pthread_create(&id, NULL, lean_main, lt) != 0)
		abort();
	pthread_join(id, NULL);
}

/* As check_ends, but two states. */
static bool check_end(const struct world *w)
{
	struct simfs *killed = simfs_clone(w->fs);

	simfs_close_all(killed);
	return check_state(killed, w, &w->o, false, "after SIGKILL") &&
	       check_state(simfs_cut(w->fs, &t.rng, SIMFS_RANDOM), w, &w->o, false, "after a cut");
}

/* What is durable reads as the files do now. */
static bool check_all_there(const struct world *w)
{
	struct simfs *fs = simfs_cut(w->fs, &t.rng, SIMFS_OLD);
	const char *lost = NULL;
	struct world *now;
	int r = 0;

	t.n.states++;
	world_wrap = NULL;
	now = world_from(&fs, VOLUME_DIR, w, 0, &r);
	if (!now)
		return torture_wrong("behind a sync", err_text(r));
	(void)world_check(now, &w->o, UINT64_MAX);
	for (int i = 0; i < NAMES; i++)
		if (now->f[i].size != w->f[i].size || memcmp(now->f[i].bytes, w->f[i].bytes, w->f[i].size) != 0)
			lost = w->f[i].name;
	world_free(now);
	return lost ? torture_wrong("not durable behind a sync: file", lost) : true;
}

/* A file that a commit could not take is in the next: sync brings all to rest, whether or not somebody asks for that file again. */
static bool check_rest(struct world *w)
{
	struct op all = { OP_COMMIT_ALL, 0, 0, 0 };
	int r;

	if (vio_is_read_only(w->v))
		return true;
	r = world_op(w, &all);
	r = r == 0 ? vio_checkpoint(w->v) : r;
	if (r < 0)
		return torture_wrong("sync when there is memory again", err_text(r));
	for (int i = 0; i < NAMES; i++)
		if (w->f[i].io && !iofile_is_idle(w->f[i].io))
			return torture_wrong("behind a sync something is pending in file", w->f[i].name);
	return check_all_there(w);
}

static bool no_leak(long before)
{
	char text[40];

	if (memory_live() == before)
		return true;
	(void)snprintf(text, sizeof(text), "%ld blocks", memory_live() - before);
	return torture_wrong("leaked", text);
}

static struct world *lean_world(const struct world *base)
{
	struct simfs *fs = simfs_clone(base->fs);

	world_wrap = torture_wrap;
	return world_attach(&fs, VOLUME_DIR, base, 0);
}

static bool run_lean(void *arg, uint64_t n, bool *ret_happened)
{
	const struct arg *a = arg;
	long before = memory_live();
	struct world *w = lean_world(a->base);
	struct lean_thread lt = { .w = w, .p = a->p, .n = n };
	bool ok;
	int r;

	if (world_mount(w) < 0 || world_check(w, &a->base->o, UINT64_MAX))
		abort();
	world_restart(w);
	lean_run(&lt);
	*ret_happened = lt.happened;
	ok = lt.ok && check_end(w);
	if (ok && vio_is_read_only(w->v) && t.how->times == 1)
		ok = torture_wrong("out of memory once", "read-only for good");
	ok = ok && (n % 2 == 0 ? check_goes_on(w) : check_rest(w)) && check_end(w);
	r = world_unmount(w);
	if (ok && r < 0 && (r != -EROFS || t.how->times == 1))
		ok = torture_wrong("leaving when there is memory again", err_text(r));
	ok = ok && no_descriptors(w) && check_end(w);
	world_free(w);
	return no_leak(before) && ok;
}

static bool run_lean_leave(void *arg, uint64_t n, bool *ret_happened)
{
	const struct arg *a = arg;
	long before = memory_live();
	struct world *w = lean_world(a->base);
	struct lean_thread lt = { .w = w, .n = n };
	bool ok;

	if (world_mount(w) < 0 || world_check(w, &a->base->o, UINT64_MAX))
		abort();
	world_restart(w);
	ok = run_ops(w, a->p, false);
	lean_run(&lt);
	*ret_happened = lt.happened;
	if (ok && lt.r < 0 && lt.r != -ENOMEM)
		ok = torture_wrong("leaving", err_text(lt.r));
	ok = ok && no_descriptors(w) && check_end(w);
	world_free(w);
	return no_leak(before) && ok;
}

static void *lean_mount_main(void *arg)
{
	struct lean_thread *lt = arg;

	torture_arm(lt->n);
	lt->r = world_mount(lt->w);
	lt->happened = torture_lift();
	return NULL;
}

static bool lean_mount_of(const struct arg *a, uint64_t n, bool read_only, bool *ret_happened)
{
	long before = memory_live();
	struct world *w = lean_world(a->base);
	struct lean_thread lt = { .w = w, .n = n };
	uint64_t digest = simfs_digest(w->fs);
	struct oracle o;
	const char *e;
	pthread_t id;
	bool ok = true;

	w->read_only = read_only;
	oracle_copy(&a->base->o, &o);
	if (pthread_create(&id, NULL, lean_mount_main, &lt) != 0)
		abort();
	pthread_join(id, NULL);
	*ret_happened = lt.happened;
	t.n.refused += lt.r < 0;
	if (lt.r < 0 && lt.r != -ENOMEM)
		ok = torture_wrong("mounting", err_text(lt.r));
	e = lt.r == 0 ? world_check(w, &o, UINT64_MAX) : NULL;
	if (e)
		ok = torture_wrong(w->events ? "mounted, with events" : "mounted", e);
	oracle_done(&w->o);
	oracle_copy(&o, &w->o);
	world_kill(w);
	if (ok && read_only && simfs_digest(w->fs) != digest)
		ok = torture_wrong("mounted read-only", "something has changed");
	ok = ok && no_descriptors(w) && check_end(w);
	oracle_done(&o);
	world_free(w);
	return no_leak(before) && ok;
}

static bool run_lean_mount(void *arg, uint64_t n, bool *ret_happened)
{
	return lean_mount_of(arg, n, false, ret_happened);
}

static bool run_lean_look(void *arg, uint64_t n, bool *ret_happened)
{
	return lean_mount_of(arg, n, true, ret_happened);
}

/* ---- a disk that is full */

static bool expect(bool so, const char *what)
{
	return so ? true : torture_wrong("full disk", what);
}

static bool is_whole(struct world *w)
{
	struct vio_stats s;

	vio_stats(w->v, &s);
	return s.reserve_whole;
}

/* Write on until there is no room; -ENOSPC. */
static int fill(struct world *w, char name, uint64_t step)
{
	int r = 0;

	for (uint64_t off = 0; off + step <= SIZE_MAX_MODEL && r == 0; off += step) {
		struct op write = W(name, off, step), sync = F(name);

		r = world_op(w, &write);
		if (r == 0)
			r = world_op(w, &sync);
	}
	return r;
}

static bool full_disk(struct world *w, uint64_t free_blocks, uint64_t step)
{
	struct op sync = F('a'), cp = CP, un[] = { { OP_UNLINK, 'b', 0, 0 }, { OP_UNLINK, 'c', 0, 0 } }, more = W('a', G, B), over = W('a', 10, 100);
	uint64_t used = simfs_used(w->fs);
	bool ok;

	simfs_set_capacity(w->fs, used + free_blocks);
	ok = expect(is_whole(w), "the ballast is whole at first") && expect(fill(w, 'b', step) == -ENOSPC || fill(w, 'c', step) == -ENOSPC, "no room in the end") &&
	     !world_reread(w) && check_ends(w, false);
	if (!ok)
		return expect(false, "filling it");
	/* what is accepted finds its place, though others take the last room behind it */
	simfs_set_capacity(w->fs, 0);
	ok = expect(world_op(w, &cp) == 0, "checkpoint with room") && expect(is_whole(w), "ballast with room");
	for (uint64_t off = 0; off < G && ok; off += B) {
		struct op one = W('a', 2 * G + off, B);

		ok = expect(world_op(w, &one) == 0, "small writes with room");
	}
	ok = ok && expect(world_op(w, &sync) == 0, "fsync");
	simfs_set_capacity(w->fs, simfs_used(w->fs));
	ok = ok && check_ends(w, false) && expect(world_op(w, &cp) == 0, "a checkpoint on a full disk takes the ballast") &&
	     expect(!is_whole(w), "the ballast was spent") && expect(world_op(w, &more) == -ENOSPC, "then new space is refused") &&
	     expect(!world_reread(w), "reading") && check_ends(w, false);
	ok = ok && expect(world_op(w, &un[0]) == 0 && world_op(w, &un[1]) == 0, "unlink on a full disk");
	simfs_set_capacity(w->fs, simfs_used(w->fs) + 16384);
	ok = ok && expect(world_op(w, &over) == 0 && world_op(w, &sync) == 0, "overwriting") && expect(world_op(w, &cp) == 0, "checkpoint") && expect(is_whole(w), "the ballast is whole again") &&
	     expect(world_op(w, &more) == 0 && world_op(w, &sync) == 0, "writes work again") && check_ends(w, false);
	return ok;
}

static void full_disks(const struct world *base)
{
	static const struct { uint64_t room, step; } c[] = { { 0, B }, { 1, B }, { 40, 700 }, { 200, 3 * B }, { 300, G }, { 150, G / 2 + 100 } };
	struct how how = { "full", 0, ENOSPC, 0, 0, 1 };

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct simfs *fs = simfs_clone(base->fs);
		struct world *w;
		bool ok;

		t.scenario = "full-disk";
		t.how = &how;
		t.at = c[i].room;
		t.failed = NULL;
		world_wrap = torture_wrap;
		w = world_attach(&fs, VOLUME_DIR, base, 0);
		if (world_mount(w) < 0 || world_check(w, &base->o, UINT64_MAX))
			abort();
		world_restart(w);
		(void)alarm(RUN_SECONDS);
		ok = full_disk(w, c[i].room, c[i].step);
		(void)alarm(0);
		world_free(w);
		(void)printf("%s - a disk with %llu free blocks, written %llu bytes at a time%s%s\n", ok ? "ok" : "not ok", (unsigned long long)c[i].room,
			     (unsigned long long)c[i].step, ok ? "" : ": ", ok ? "" : t.failed);
		tests++;
		bad_tests += !ok;
	}
}

/* ---- */

static bool chosen(char *const *argv, const char *scenario, const char *how)
{
	return !argv[0] || (strcmp(argv[0], scenario) == 0 && (!argv[1] || strcmp(argv[1], how) == 0));
}

int main(int argc, char **argv)
{
	struct world *files, *log;
	struct simfs *disk;
	static struct world empty;
	struct scenario {
		const char *name;
		torture_run_fn *run;
		struct arg arg;
		void *direct;
		unsigned stride; /* many allocations of one kind: not each of them */
	};

	bool ok;

	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20); /* keep the models' memory: half the time went into page faults */
	(void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
	memory_init();
	files = base_world(NULL);
	log = base_world(&unclean);
	disk = names_base();

	struct scenario s[] = {
		{ "small-writes", run_program, { files, &small }, NULL, 1 }, { "bulk-writes", run_program, { files, &bulk }, NULL, 1 },
		{ "punch", run_program, { files, &punch }, NULL, 1 }, { "ranges", run_program, { files, &ranges }, NULL, 1 },
		{ "leave", run_leave, { files, &unclean }, NULL, 1 }, { "mount", run_mount, { log, NULL }, NULL, 1 },
		{ "mount-read-only", run_look, { log, NULL }, NULL, 1 },
		{ "format", run_format, { NULL, NULL }, &empty, 1 }, { "names", names_run, { NULL, NULL }, disk, 1 },
	}, m[] = {
		{ "memory", run_lean, { files, &lean }, NULL, 1 }, { "memory-bulk", run_lean, { files, &bulk }, NULL, 3 },
		{ "memory-punch", run_lean, { files, &punch }, NULL, 7 }, { "memory-ranges", run_lean, { files, &ranges }, NULL, 7 },
		{ "memory-leave", run_lean_leave, { files, &unclean }, NULL, 1 }, { "memory-mount", run_lean_mount, { log, NULL }, NULL, 1 },
		{ "memory-mount-read-only", run_lean_look, { log, NULL }, NULL, 1 },
		{ "memory-names", names_run, { NULL, NULL }, disk, 17 },
	};

	argv++;
	only = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
	(void)signal(SIGALRM, on_signal);
	(void)signal(SIGABRT, on_signal);
	(void)signal(SIGSEGV, on_signal);
	for (size_t i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		for (size_t k = 0; k < sizeof(hows) / sizeof(hows[0]); k++)
			if (chosen(argv, s[i].name, hows[k].name))
				(void)torture_all(s[i].name, &hows[k], s[i].run, s[i].direct ? s[i].direct : &s[i].arg);
	t.how = &memories[0];
	(void)run_lean(&m[0].arg, 0, &ok); /* what is allocated once in a process */
	for (size_t i = 0; i < sizeof(m) / sizeof(m[0]); i++)
		for (size_t k = 0; k < sizeof(memories) / sizeof(memories[0]); k++) {
			memories[k].stride *= m[i].stride;
			if (chosen(argv, m[i].name, memories[k].name))
				(void)torture_all(m[i].name, &memories[k], m[i].run, m[i].direct ? m[i].direct : &m[i].arg);
			memories[k].stride /= m[i].stride;
		}
	if (!argv[0] || strcmp(argv[0], "full-disk") == 0)
		full_disks(files);
	(void)printf("# %u tests, %u failed\n", tests, bad_tests);
	world_free(files);
	world_free(log);
	simfs_free(disk);
	fault_free(t.fault);
	return bad_tests > 0;
}
