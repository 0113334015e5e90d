/* simfs_cut.c: the states that a power cut may leave.
 *
 * For each file: a prefix of its journal (k of its ops that are no writes), and then for each sector that was written one of its candidates:
 * what lies there once the prefix is applied, or what a write that is visible made of it. Visible: after the last surviving op that freed the
 * sector, before the first lost one. For the names: a prefix of their journal. A state is a choice of all these; what nothing leads
 * to from the root is gone. */
#include "simfs_cut.h"

#include <string.h>

static void choose_k(struct cut_file *f, size_t k)
{
	size_t n = cutter_table(f, k)->ncand;

	f->k = k;
	f->pick = sim_grow(f->pick, &f->pick_cap, n + 1, sizeof(*f->pick));
	memset(f->pick, 0, n * sizeof(*f->pick));
}

static void choose_side(struct cut_file *f, bool newest)
{
	const struct cut_table *t = cutter_table(f, f->k);

	for (size_t n = 0; n < t->ncand; n++)
		f->pick[n] = newest ? t->cand[n].newest : 0;
	f->full_size = newest;
}

/* One sector of all goes its own way. */
static void flip_one(struct cutter *c, struct simfs_rng *rng)
{
	uint64_t total = 0, at;

	for (size_t n = 0; n < c->n; n++)
		total += cutter_table(&c->file[n], c->file[n].k)->ncand;
	if (total == 0)
		return;
	at = simfs_rng_below(rng, total);
	for (size_t n = 0; n < c->n; n++) {
		const struct cut_table *t = cutter_table(&c->file[n], c->file[n].k);

		if (at < t->ncand) {
			c->file[n].pick[at] = (uint32_t)simfs_rng_below(rng, t->cand[at].n);
			return;
		}
		at -= t->ncand;
	}
}

static void choose(struct cutter *c, struct simfs_rng *rng, enum simfs_choice choice)
{
	bool newest = choice == SIMFS_NEW || choice == SIMFS_NEARLY_NEW;
	bool exact = choice == SIMFS_OLD || choice == SIMFS_NEW;

	c->names = exact ? (newest ? c->fs->nnops : 0) : simfs_rng_below(rng, c->fs->nnops + 1);
	for (size_t n = 0; n < c->n; n++) {
		struct cut_file *f = &c->file[n];

		choose_k(f, exact ? (newest ? f->njournal : 0) : simfs_rng_below(rng, f->njournal + 1));
		choose_side(f, newest);
		if (!exact)
			f->full_size = simfs_rng_below(rng, 2);
		for (size_t m = 0; choice == SIMFS_RANDOM && m < f->table[f->k].ncand; m++)
			f->pick[m] = (uint32_t)simfs_rng_below(rng, f->table[f->k].cand[m].n);
	}
	if (exact || choice == SIMFS_RANDOM)
		return;
	for (uint64_t flips = simfs_rng_below(rng, 3) == 0 ? 2 : 1; flips > 0; flips--)
		flip_one(c, rng);
}

static uint64_t file_count(struct cut_file *f)
{
	uint64_t n = 0;

	for (size_t k = 0; k <= f->njournal; k++)
		n = add_sat(n, cutter_table(f, k)->count);
	return n;
}

static uint64_t count_all(struct cutter *c)
{
	uint64_t n = c->fs->nnops + 1;

	for (size_t k = 0; k < c->n && n < UINT64_MAX; k++)
		n = mul_sat(n, file_count(&c->file[k]));
	return n;
}

/* Choice number x of all; fewer than 2^64 there are. */
static void choose_number(struct cutter *c, struct simfs_rng *rng, uint64_t x)
{
	c->names = x % (c->fs->nnops + 1);
	x /= c->fs->nnops + 1;
	for (size_t n = 0; n < c->n; n++) {
		struct cut_file *f = &c->file[n];
		uint64_t within = x % file_count(f);
		size_t k = 0;

		x /= file_count(f);
		while (within >= cutter_table(f, k)->count)
			within -= cutter_table(f, k++)->count;
		choose_k(f, k);
		f->full_size = simfs_rng_below(rng, 2);
		for (size_t m = 0; m < f->table[k].ncand; m++) {
			f->pick[m] = (uint32_t)(within % f->table[k].cand[m].n);
			within /= f->table[k].cand[m].n;
		}
	}
}

/* ---- for everybody */

struct simfs *simfs_cut(struct simfs *fs, struct simfs_rng *rng, enum simfs_choice choice)
{
	struct cutter *c;
	struct simfs *cut;

	SIM_LOCK(fs);
	c = cutter_new(fs);
	choose(c, rng, choice);
	cut = cutter_make(c, simfs_rng_next(rng));
	cutter_free(c);
	return cut;
}

uint64_t simfs_cut_count(struct simfs *fs)
{
	struct cutter *c;
	uint64_t n;

	SIM_LOCK(fs);
	c = cutter_new(fs);
	n = count_all(c);
	cutter_free(c);
	return n;
}

static enum simfs_choice sampled(uint64_t n, struct simfs_rng *rng)
{
	if (n < 2)
		return n == 0 ? SIMFS_OLD : SIMFS_NEW;
	if (n % 3 != 0)
		return SIMFS_RANDOM;
	return simfs_rng_below(rng, 2) ? SIMFS_NEARLY_OLD : SIMFS_NEARLY_NEW;
}

int simfs_cut_all(struct simfs *fs, uint64_t cap, struct simfs_rng *rng, simfs_cut_fn *fn, void *arg)
{
	struct cutter *c;
	struct simfs *cut;
	uint64_t total;
	int r = 0;

	SIM_LOCK(fs);
	c = cutter_new(fs);
	total = count_all(c);
	for (uint64_t n = 0; n < (total < cap ? total : cap) && r == 0; n++) {
		if (total <= cap)
			choose_number(c, rng, n);
		else
			choose(c, rng, sampled(n, rng));
		cut = cutter_make(c, simfs_rng_next(rng));
		r = fn(arg, &cut);
		simfs_free(cut);
	}
	cutter_free(c);
	return r;
}
