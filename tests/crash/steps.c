/* steps.c: the crash table at the top of src/io/blockio.c, row by row: a short program, the power cut exactly at one step, and each state that may be left
 * mounted: what replay finds there and what the file then reads as must be what the row says.
 *
 *	steps           all rows; TAP lines
 *	steps crash_after_step_N
 *
 * A step is known by the lower calls that led to it, written as a trace: a home, L log, S state; + written, ! flushed, < cut. */
#include "tests/crash/crash.h"
#include "tests/lib/fault.h"

#include "base/log.h"
#include "format/log_record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define B 4096ull
#define G (128ull * 4096)
#define STATES_CAP 300
#define STATES_MAX 4000
#define LOST_MAX 8               /* states of a row in which the transaction is lost, too */
#define OPS 8

#define N_ { OP_CREATE, 'a', 0, 0 }
#define W_(off, len) { OP_WRITE, 'a', off, len }
#define T_(size) { OP_TRUNCATE, 'a', size, 0 }
#define F_ { OP_FSYNC, 'a', 0, 0 }
#define C_ { OP_CHECKPOINT, 0, 0, 0 }

#define LAST 1u                  /* the file reads as at the commit before the program */
#define THIS 2u                  /* as behind it */

struct row {
	const char *name, *step;
	struct op base[OPS], prog[OPS];
	const char *cut;         /* at each call behind which the whole trace matches this; NULL: behind the program */
	const char *all;         /* what the trace of the whole program matches */
	unsigned shows;          /* all of this is seen in some state, and nothing else */
	unsigned replayed;       /* transactions that the mount of a state which shows THIS finds; one that shows LAST finds none */
	int without;             /* mounting when the transaction's descriptor is lost: 0 the last commit, or an error; 1 do not try */
};

#define BASE { N_, W_(0, 3 * B), F_, C_ }
#define SMALL { W_(100, 2 * B), F_, C_ }
#define WHOLE_SMALL "^L[+]L!S[+]S!(a[+])+a!S[+]S!$"

static const struct row rows[] = {
	{ "crash_after_step_1", "seal into the dirty table", BASE, { W_(100, 2 * B) }, NULL, "^$", LAST, 0, 1 },
	{ "crash_after_step_1b", "new data written straight home", BASE, { W_(G, G) }, NULL, "^(a[+])+$", LAST, 0, 1 },
	{ "crash_after_step_1c", "header of an empty file", { N_, F_ }, { W_(0, 2 * B), F_ }, "^a[+]$", "^a[+](a!)*L[+]L!", LAST, 0, 1 },
	{ "crash_after_step_2", "transaction written", BASE, SMALL, "^L[+]$", WHOLE_SMALL, LAST | THIS, 1, 1 },
	{ "crash_after_step_2", "bulk flushed, transaction written", BASE, { W_(G, G), F_ }, "^(a[+])+a!L[+]$", "^(a[+])+a!L[+]L!$", LAST | THIS, 1, 1 },
	{ "crash_after_step_3", "flush of the log returns", BASE, SMALL, "^L[+]L!$", WHOLE_SMALL, THIS, 1, 0 },
	{ "crash_after_step_4", "state says: durable up to here", BASE, SMALL, "^L[+]L!S[+]S!$", WHOLE_SMALL, THIS, 1, -ENODATA },
	{ "crash_after_step_5", "checkpoint writes home", BASE, SMALL, "^L[+]L!S[+]S!(a[+])+$", WHOLE_SMALL, THIS, 1, -ENODATA },
	{ "crash_after_step_6", "home flushed", BASE, SMALL, "^L[+]L!S[+]S!(a[+])+a!$", WHOLE_SMALL, THIS, 1, -ENODATA },
	{ "crash_after_step_7", "new tail stored and flushed", BASE, SMALL, WHOLE_SMALL, WHOLE_SMALL, THIS, 0, 1 },
	{ "crash_after_step_8", "lower space given back", { N_, W_(0, G), W_(G, G), F_, C_ }, { T_(5000), F_, C_ }, "a<$", "^L[+]L!S[+]S!(a[+])+a!S[+]S!a<$", THIS, 0, 1 },
};

static struct run {
	const struct row *row;
	struct world *w;
	struct fault *fault;
	uint64_t ino[2];         /* log, state */
	char trace[256];
	char now;                /* what the call under way is about; 0: nothing that counts */
	bool writing;            /* and it writes, and has not come to its flush */
	regex_t cut;
	bool armed;
	struct simfs *state[STATES_MAX];
	struct oracle oracle[STATES_MAX];
	unsigned n, cuts;
	struct simfs_rng rng;
	char why[600];
} x;

static bool wrong(const char *what, long long number)
{
	if (!x.why[0])
		(void)snprintf(x.why, sizeof(x.why), "%s (%lld), trace %s", what, number, x.trace);
	return false;
}

/* ---- cutting */

static int take(void *arg, struct simfs **cut)
{
	(void)arg;
	assert(x.n < STATES_MAX);
	oracle_copy(&x.w->o, &x.oracle[x.n]);
	x.state[x.n++] = *cut;
	*cut = NULL;
	return 0;
}

static void cut_here(void)
{
	x.cuts++;
	(void)simfs_cut_all(x.w->fs, STATES_CAP, &x.rng, take, NULL);
}

static void note(char what)
{
	size_t len = strlen(x.trace);

	assert(len + 2 < sizeof(x.trace));
	x.trace[len] = x.now;
	x.trace[len + 1] = what;
	x.trace[len + 2] = '\0';
	if (x.row->cut && regexec(&x.cut, x.trace, 0, NULL, 0) == 0)
		cut_here();
}

/* Inside a write that flushes what it wrote: all is written, nothing is durable. */
static void on_call(void *arg, struct simfs *fs, enum simfs_call call)
{
	(void)arg;
	(void)fs;
	if (call != SIMFS_CALL_FLUSH || !x.now || !x.writing)
		return;
	note('+');
	x.writing = false;
}

static char file_of(int fd)
{
	struct lower *l = simfs_lower(x.w->fs);
	struct stat st;

	if (l->ops->fstat(l, fd, &st) < 0)
		abort();
	return st.st_ino == x.ino[0] ? 'L' : st.st_ino == x.ino[1] ? 'S' : st.st_ino == x.w->ino[0] ? 'a' : 0;
}

static void on_lower(void *arg, enum fault_kind kind, int fd, bool before)
{
	(void)arg;
	if (!x.armed)
		return;
	if (before) {
		x.now = file_of(fd);
		x.writing = kind == FAULT_KIND_pwritev;
		return;
	}
	if (x.now && kind == FAULT_KIND_pwritev)
		note(x.writing ? '+' : '!');
	else if (x.now && kind != FAULT_KIND_fallocate)
		note(kind == FAULT_KIND_ftruncate ? '<' : '!');
	x.now = 0;
	x.writing = false;
}

/* ---- what is left */

static unsigned content_of(const struct cfile *f, const uint8_t *const bytes[2], const uint64_t size[2])
{
	unsigned is = 0;

	for (int k = 0; k < 2; k++)
		if (f->size == size[k] && memcmp(f->bytes, bytes[k], size[k]) == 0)
			is |= k ? THIS : LAST;
	return is;
}

/* Make the newest descriptor in the log unreadable: what a bad sector would do. */
static void lose_newest(struct simfs *fs)
{
	struct lower *l = simfs_lower(fs);
	struct log_desc *d = malloc(sizeof(*d));
	static const uint8_t rot[512] = { 1 };
	uint64_t best = 0, seq = 0;
	uint8_t p[BLOCK_SIZE];
	int dir = l->ops->openat(l, AT_FDCWD, VOLUME_DIR, O_RDONLY | O_DIRECTORY, 0), fd = l->ops->openat(l, dir, NAME_LOG, O_RDONLY, 0);

	assert(d);
	for (uint64_t b = 0; b < LOG_BLOCKS; b++)
		if (lower_pread_full(l, fd, p, BLOCK_SIZE, b * BLOCK_SIZE) == 0 && log_desc_open(blockcrypt_get(), crash_ring(), p, d) == 0 &&
		    d->sequence > seq) {
			seq = d->sequence;
			best = b;
		}
	free(d);
	if (seq == 0 || simfs_poke(fs, dir, NAME_LOG, best * BLOCK_SIZE, rot, sizeof(rot)) < 0)
		abort();
	simfs_close_all(fs);
}

struct two {
	const uint8_t *bytes[2];
	uint64_t size[2];
};

/* Mounts (takes fs) and says what the file reads as; 0: something is wrong. */
static unsigned look(struct simfs **fs, const struct oracle *o, uint64_t least, const struct two *two, uint64_t *ret_replayed, int *ret_r)
{
	struct vio_stats s;
	struct world *w;
	unsigned is = 0;
	const char *e;

	*ret_r = 0;
	w = world_from(fs, VOLUME_DIR, x.w, 0, ret_r);
	if (!w)
		return 0;
	e = world_check(w, o, least);
	vio_stats(w->v, &s);
	*ret_replayed = s.replayed_transactions;
	if (e)
		(void)wrong(e, 0);
	else
		is = content_of(&w->f[0], two->bytes, two->size);
	world_free(w);
	return is;
}

static bool check_lost(struct simfs *fs, const struct two *two)
{
	uint64_t replayed = 0;
	unsigned is;
	int r;

	lose_newest(fs);
	is = look(&fs, &x.w->o, 0, two, &replayed, &r);
	if (r != x.row->without)
		return wrong("mounting without the transaction", r);
	return r < 0 || is == LAST || wrong("without the transaction it is not the last commit", is);
}

static bool check_states(const struct two *two)
{
	unsigned seen = 0, is;
	uint64_t replayed = 0;
	bool ok = true;
	int r;

	for (unsigned k = 0; k < x.n; k++) {
		struct simfs *copy = ok && k < LOST_MAX && x.row->without != 1 ? simfs_clone(x.state[k]) : NULL;

		is = ok ? look(&x.state[k], &x.oracle[k], UINT64_MAX, two, &replayed, &r) : 0;
		if (ok && is != LAST && is != THIS)
			ok = wrong("a state that does not mount, or shows neither commit", r);
		if (ok && replayed != (is == THIS ? x.row->replayed : 0))
			ok = wrong("transactions replayed", (long long)replayed);
		seen |= is;
		if (copy)
			ok = check_lost(copy, two) && ok;
		simfs_free(x.state[k]);
		oracle_done(&x.oracle[k]);
	}
	return ok && (seen == x.row->shows || wrong("the states show other commits than the row says", seen));
}

/* ---- a row */

static struct lower *wrap(struct lower *inner)
{
	x.fault = fault_new(inner);
	assert(x.fault);
	return fault_lower(x.fault);
}

static bool run_ops(const struct op *op)
{
	char text[64];
	int r;

	for (int i = 0; i < OPS && (op[i].what || op[i].name); i++) {
		r = world_op(x.w, &op[i]);
		if (r < 0)
			return wrong(op_text(&op[i], text, sizeof(text)), r);
	}
	return true;
}

static uint64_t ino_of(const char *name)
{
	struct stat st;

	if (x.w->l->ops->fstatat(x.w->l, x.w->root, name, &st) < 0)
		abort();
	return st.st_ino;
}

static bool matches(const char *pattern)
{
	regex_t re;
	bool yes;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		abort();
	yes = regexec(&re, x.trace, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

static bool run_row(const struct row *row, unsigned number)
{
	struct two two;
	uint8_t *last;
	bool ok;

	memset(&x, 0, sizeof(x));
	x.row = row;
	x.rng.s = number + 1;
	if (regcomp(&x.cut, row->cut ? row->cut : "", REG_EXTENDED | REG_NOSUB) != 0)
		abort();
	world_wrap = wrap;
	x.w = world_new(number + 1, SIMFS_EXT4, 0);
	world_wrap = NULL;
	x.ino[0] = ino_of(NAME_LOG);
	x.ino[1] = ino_of(NAME_STATE);
	ok = run_ops(row->base);
	last = malloc(SIZE_MAX_MODEL);
	assert(last);
	memcpy(last, x.w->f[0].bytes, SIZE_MAX_MODEL);
	two = (struct two){ { last, x.w->f[0].bytes }, { x.w->f[0].size, 0 } };
	fault_watch(x.fault, on_lower, NULL);
	simfs_set_hook(x.w->fs, on_call, NULL);
	x.armed = true;
	ok = ok && run_ops(row->prog);
	if (ok && !row->cut)
		cut_here();
	x.armed = false;
	simfs_set_hook(x.w->fs, NULL, NULL);
	two.size[1] = x.w->f[0].size;
	if (ok && !matches(row->all))
		ok = wrong("the program takes other steps than the table says", 0);
	if (ok && x.cuts == 0)
		ok = wrong("the step was never reached", 0);
	ok = check_states(&two) && ok;
	(void)printf("%s %u - %s: %s: %u cuts, %u states%s%s\n", ok ? "ok" : "not ok", number, row->name, row->step, x.cuts, x.n, ok ? "" : ": ",
		     ok ? "" : x.why);
	world_free(x.w);
	fault_free(x.fault);
	regfree(&x.cut);
	free(last);
	return ok;
}

int main(int argc, char **argv)
{
	unsigned n = 0, bad = 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_LEVEL_ERR);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (argc < 2 || strcmp(argv[1], rows[i].name) == 0)
			bad += !run_row(&rows[i], ++n);
	(void)printf("1..%u\n", n);
	return n == 0 || bad > 0;
}
