/* tamper.c: thousands of random changes to what is on disk, each mounted and judged.
 *
 *   tamper random ROUNDS N SEED [SECONDS]   in each round new images, N changes of the clean and N
 * of the unclean one tamper one SEED clean|unclean K         one of them again tamper named [SEED]
 * the named cases
 *
 * Each round's changes run in child processes, so that a crash of what is tested is a failure and
 * not the end. */
#include "tests/tamper/tamper.h"

#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Shared with the children. */
static struct shared {
	uint64_t tried, refused, right, eio, emptied, older, cut_off, remounted, failures;
	char now[300];
} * n;

/* ---- what may be read */

/* Is the metadata block of group g of file i that of file `of` in this image? What lies behind the
 * end counts as zero (docs/format.md), but only group 0's is read so. */
static bool same_metadata(const struct change *c, const struct image *im, unsigned i, uint64_t g,
			  unsigned of)
{
	const uint8_t *p = c->raw[i] + g * GL, *q = im->raw[of] + g * GL;
	uint64_t have = c->len[i] > g * GL ? c->len[i] - g * GL : 0;

	have = have < B ? have : B;
	if ((have < B && g > 0) || g * GL + B > im->len[of])
		return false;
	return memcmp(p, q, have) == 0 && all_zero(q + have, B - have) &&
	       (im == c->im || !all_zero(q, B));
}

static bool group_of_some_commit(const struct scene *s, const struct result *r, unsigned i,
				 uint64_t g, unsigned of)
{
	for (unsigned k = 0; k < s->nversions; k++)
		if (group_reads_as(r, i, g, &s->versions[k], of))
			return true;
	for (unsigned k = 0; k < CLONED; k++)
		if (group_reads_as(r, i, g, &s->cloned[k], of))
			return true;
	return false;
}

/* first, of: whose group 0 is there. */
static bool group_allowed(const struct change *c, const struct result *r, unsigned i, uint64_t g,
			  const struct image *first, unsigned of)
{
	uint64_t end = (g + 1) * G < r->f[i].size ? (g + 1) * G : r->f[i].size;
	bool any = false;

	for (uint64_t off = g * G; off < end; off += B)
		any = any || !r->f[i].bad[off / B];
	if (!any ||
	    (group_is_zero(first->v, of, g) && all_zero(r->f[i].plain + g * G, end - g * G)))
		return true;
	if (c->unclean && group_reads_as(r, i, g, c->im->v, of))
		return true;
	for (unsigned d = 0; d <= DONORS; d++) {
		const struct image *im = d < DONORS ? &c->s->donor[d] : c->im;

		if (!im->v || !same_metadata(c, im, i, g, of))
			continue;
		if (group_reads_as(r, i, g, im->v, of))
			return true;
		/* what lies where the image has no group is of an older commit still */
		if (group_is_zero(im->v, of, g) && group_of_some_commit(c->s, r, i, g, of))
			return true;
	}
	return false;
}

static bool allowed_as(const struct change *c, const struct result *r, unsigned i,
		       const struct image *first, unsigned of)
{
	if (!first->v || first->v->size[of] != r->f[i].size)
		return false;
	/* with transactions in the log, what is at home need not be what counts */
	if (!same_metadata(c, first, i, 0, of) && !(c->unclean && first == c->im && of == i))
		return false;
	for (uint64_t g = 0; g * G < r->f[i].size; g++)
		if (!group_allowed(c, r, i, g, first, of))
			return false;
	return true;
}

/* A first metadata block from another file makes it that file, as far as its blocks are there: they
 * are not. */
static bool file_allowed(const struct change *c, const struct result *r, unsigned i)
{
	if (r->f[i].open_r < 0)
		return true;
	if (r->f[i].size == 0 && c->len[i] <= GL &&
	    all_zero(c->raw[i], c->len[i] < B ? c->len[i] : B))
		return true; /* emptied */
	for (unsigned of = 0; of < NAMES; of++) {
		if (allowed_as(c, r, i, c->im, of))
			return true;
		for (unsigned d = 0; d < DONORS; d++)
			if (allowed_as(c, r, i, &c->s->donor[d], of))
				return true;
	}
	return false;
}

static const char *judge_files(const struct change *c, const struct result *r)
{
	for (unsigned i = 0; i < NAMES; i++) {
		if (!c->touched[i] && !reads_whole(r, i, c->im->v))
			return "an untouched file does not read right";
		if (c->touched[i] && !file_allowed(c, r, i))
			return "a file reads as at no state that its bytes are of";
	}
	return NULL;
}

/* With an older state and log in place of the newer: replay may put back whole groups, no more. */
static bool mixture_of_groups(const struct scene *s, const struct result *r, unsigned i)
{
	const struct version *v;
	bool size = r->f[i].open_r < 0;

	for (unsigned k = 0; k < s->nversions + CLONED; k++) {
		v = k < s->nversions ? &s->versions[k] : &s->cloned[k - s->nversions];
		size = size || v->size[i] == r->f[i].size;
	}
	for (uint64_t g = 0; size && r->f[i].open_r == 0 && g * G < r->f[i].size; g++) {
		if (!group_of_some_commit(s, r, i, g, i))
			return false;
	}
	return size;
}

/* Log or state were touched: all files as at one commit, none behind what is vouched for. */
static const char *judge_log(const struct change *c, const struct result *r)
{
	const uint8_t *state = c->raw[STATE] ? c->raw[STATE] : c->im->raw[STATE],
		      *log = c->raw[LOG] ? c->raw[LOG] : c->im->raw[LOG];
	uint64_t least = vouched_for(state, c->raw[STATE] ? c->len[STATE] : c->im->len[STATE], log,
				     c->raw[LOG] ? c->len[LOG] : c->im->len[LOG]);
	unsigned k;

	for (k = c->s->nversions; k-- > 0;) {
		const struct version *v = &c->s->versions[k];

		if (v->seq >= least && reads_as(r, 0, v) && reads_as(r, 1, v) &&
		    reads_as(r, 2, v)) {
			n->cut_off += v != c->im->v;
			return NULL;
		}
	}
	if (c->older_state && mixture_of_groups(c->s, r, 0) && mixture_of_groups(c->s, r, 1) &&
	    mixture_of_groups(c->s, r, 2))
		return NULL;
	return "files read as at no commit, or as before one that is vouched for";
}

/* The beginning of a file was sealed after the state: then state and log are older, and replay says
 * so. */
static bool newer_than_state(const struct change *c)
{
	uint64_t limit = limit_of(c->im->raw[STATE], c->im->len[STATE]);

	for (unsigned i = 0; i < NAMES; i++)
		if (c->touched[i] && c->len[i] >= B && header_stamp(c->raw[i]) >= limit)
			return true;
	return false;
}

static const char *judge(const struct change *c, const struct result *r)
{
	if (r->strange)
		return "an error that is not one of the clear ones";
	if (r->refused)
		return c->touched[LOG] || c->touched[STATE] ||
				       (r->refused == -ESTALE && newer_than_state(c))
			       ? NULL
			       : "damage in a file keeps the volume from being mounted";
	return c->touched[LOG] || c->touched[STATE] ? judge_log(c, r) : judge_files(c, r);
}

/* For who has to find out: what each group that was read agrees with. */
static void explain(const struct scene *s, const struct result *r)
{
	for (unsigned i = 0; i < NAMES && !r->refused; i++)
		for (uint64_t g = 0; r->f[i].open_r == 0 && g * G < r->f[i].size; g++) {
			uint64_t bad = 0;

			for (uint64_t b = g * GROUP_BLOCKS;
			     b < (g + 1) * GROUP_BLOCKS && b * B < r->f[i].size; b++)
				bad += r->f[i].bad[b];
			(void)printf("#   %s group %llu: %llu blocks EIO, else as at commits",
				     file_name(i), (unsigned long long)g, (unsigned long long)bad);
			for (unsigned k = 0; k < s->nversions; k++)
				if (group_reads_as(r, i, g, &s->versions[k], i))
					(void)printf(" %u", k);
			for (unsigned k = 0; k < CLONED; k++)
				if (group_reads_as(r, i, g, &s->cloned[k], i))
					(void)printf(" clone %u", k);
			(void)printf("\n");
		}
}

static void tally(const struct change *c, const struct result *r)
{
	bool eio = false, right = true, empty = false;

	if (r->refused) {
		n->refused++;
		return;
	}
	for (unsigned i = 0; i < NAMES; i++) {
		eio = eio || r->f[i].open_r < 0 || r->f[i].any_bad;
		empty = empty || (r->f[i].open_r == 0 && r->f[i].size == 0 && c->im->v->size[i]);
		right = right && reads_whole(r, i, c->im->v);
	}
	if (right)
		n->right++;
	else if (eio)
		n->eio++;
	else if (empty)
		n->emptied++;
	else
		n->older++;
}

/* One change, mounted; then, for some, unmounted and mounted again: what was wrong may not turn
 * into something else. */
static bool try_one(const struct scene *s, uint64_t seed, bool unclean, uint64_t k)
{
	struct change c = { .s = s, .im = unclean ? &s->unclean : &s->clean, .unclean = unclean };
	const char *e = NULL;
	struct simfs *fs;
	struct result r;

	c.rng.s = (seed * 2 + unclean) * 0x9e3779b97f4a7c15ull + k * 0xd1b54a32d192ed03ull + 5;
	(void)simfs_rng_next(&c.rng);
	change_make(&c);
	(void)snprintf(n->now, sizeof(n->now), "tamper one %llu %s %llu: %s",
		       (unsigned long long)seed, unclean ? "unclean" : "clean",
		       (unsigned long long)k, c.text);
	fs = simfs_clone(c.im->fs);
	for (unsigned i = 0; i < FILES; i++)
		if (c.touched[i])
			image_put(fs, i, c.im->raw[i], c.im->len[i], c.raw[i], c.len[i]);
	for (unsigned again = 0; again < 2 && !e; again++) {
		mount_and_read(fs, 0, false, (k + again) % 2, &r);
		e = judge(&c, &r);
		if (e)
			(void)printf("# %s\n#   %s%s (refused %d, odd %d, a %d %llu, b %d %llu, c "
				     "%d %llu)\n",
				     n->now, e, again ? ", at the second mount" : "", r.refused,
				     r.strange, r.f[0].open_r, (unsigned long long)r.f[0].size,
				     r.f[1].open_r, (unsigned long long)r.f[1].size, r.f[2].open_r,
				     (unsigned long long)r.f[2].size);
		if (e)
			explain(s, &r);
		if (!again)
			tally(&c, &r);
		n->remounted += again;
		result_done(&r);
		if (k % 4)
			break;
	}
	n->tried++;
	n->failures += e != NULL;
	simfs_free(fs);
	for (unsigned i = 0; i < FILES; i++)
		free(c.raw[i]);
	return !e;
}

/* ---- rounds */

/* Files of a volume with other keys: made in a child, whose key ring is its own. */
struct foreign {
	uint64_t len[FILES];
	uint8_t raw[FILES][LOWER_MAX / 2];
};

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	n->failures++;
	(void)printf("# a child ended with status %#x: %s\n", (unsigned)status, n->now);
}

static const struct foreign *make_foreign(void)
{
	struct foreign *f =
		mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert(f != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		static struct scene s;

		scene_make(&s, 4711, NULL, NULL);
		for (unsigned i = 0; i < FILES; i++) {
			f->len[i] = s.clean.len[i];
			memcpy(f->raw[i], s.clean.raw[i], s.clean.len[i]);
		}
		_exit(0);
	}
	reap(pid);
	return f;
}

static void make_scene(struct scene *s, uint64_t seed, const struct foreign *f)
{
	const uint8_t *raw[FILES];

	for (unsigned i = 0; i < FILES; i++)
		raw[i] = f->raw[i];
	scene_make(s, seed, raw, f->len);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int random_rounds(uint64_t rounds, uint64_t count, uint64_t seed, double seconds)
{
	const struct foreign *f = make_foreign();
	static struct scene s;
	double until = now() + seconds;

	for (uint64_t round = 0; round < rounds && now() < until && n->failures < 20; round++) {
		make_scene(&s, seed + round, f);
		for (int unclean = 0; unclean < 2; unclean++) {
			pid_t pid;

			(void)fflush(stdout);
			pid = fork();
			if (pid == 0) {
				if (!freopen("/dev/null", "w",
					     stderr)) /* each refusal is told there */
					_exit(1);
				for (uint64_t k = 0; k < count && n->failures < 20; k++)
					(void)try_one(&s, seed + round, unclean, k);
				(void)fflush(stdout);
				_exit(0);
			}
			reap(pid);
		}
		scene_free(&s);
	}
	(void)printf("# %llu changes: %llu refused, %llu with EIO, %llu all right, %llu older "
		     "groups or files, %llu emptied; log cut off in %llu; "
		     "%llu mounted again\n",
		     (unsigned long long)n->tried, (unsigned long long)n->refused,
		     (unsigned long long)n->eio, (unsigned long long)n->right,
		     (unsigned long long)n->older, (unsigned long long)n->emptied,
		     (unsigned long long)n->cut_off, (unsigned long long)n->remounted);
	(void)printf("%s 1 - whatever is changed on disk: the right bytes or an error\n",
		     n->failures ? "not ok" : "ok");
	(void)printf("%s 2 - all outcomes were met\n1..2\n",
		     n->refused && n->eio && n->right && n->older && n->emptied && n->cut_off
			     ? "ok"
			     : "not ok");
	return n->failures != 0;
}

int main(int argc, char **argv)
{
	static struct scene s;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	log_set_level(LOG_LEVEL_ERR);
	n = mmap(NULL, sizeof(*n), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(n != MAP_FAILED);
	if (argc >= 5 && strcmp(argv[1], "random") == 0)
		return random_rounds(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
				     strtoull(argv[4], NULL, 10),
				     argc > 5 ? strtod(argv[5], NULL) : 1e9);
	if (argc == 5 && strcmp(argv[1], "one") == 0) {
		make_scene(&s, strtoull(argv[2], NULL, 10), make_foreign());
		return !try_one(&s, strtoull(argv[2], NULL, 10), strcmp(argv[3], "unclean") == 0,
				strtoull(argv[4], NULL, 10));
	}
	if (argc >= 2 && strcmp(argv[1], "named") == 0)
		return named_cases(argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	(void)fprintf(stderr, "usage: tamper random ROUNDS N SEED [SECONDS] | one SEED "
			      "clean|unclean K | named [SEED]\n");
	return 2;
}
