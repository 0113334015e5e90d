/* tamper_named.c: changes with a name: what must be noticed, and what the threat model says is not.
 */
#include "tests/tamper/tamper.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* One change under test: put pieces, mount, look. */
struct tcase {
	const struct scene *s;
	const struct image *im;
	struct simfs *fs;
	uint8_t *raw[FILES];
	uint64_t len[FILES];
	struct result r;
};

/* Where an older copy differs from now, both in metadata and data. */
struct spot {
	unsigned i, d;
	uint64_t g, block; /* block: lower offset of a data block that differs */
};

static void start(struct tcase *t, const struct scene *s, const struct image *im)
{
	memset(t, 0, sizeof(*t));
	t->s = s;
	t->im = im;
	for (unsigned i = 0; i < FILES; i++) {
		t->raw[i] = calloc(1, LOWER_MAX);
		assert(t->raw[i]);
		memcpy(t->raw[i], im->raw[i], im->len[i]);
		t->len[i] = im->len[i];
	}
}

static void from(struct tcase *t, unsigned i, const struct image *donor, uint64_t off, uint64_t len)
{
	assert(off + len <= LOWER_MAX);
	memset(t->raw[i] + off, 0, len);
	if (off < donor->len[i])
		memcpy(t->raw[i] + off, donor->raw[i] + off,
		       off + len <= donor->len[i] ? len : donor->len[i] - off);
	if (off + len > t->len[i])
		t->len[i] = off + len;
}

static void whole(struct tcase *t, unsigned i, const struct image *donor)
{
	memcpy(t->raw[i], donor->raw[i], donor->len[i]);
	t->len[i] = donor->len[i];
}

static void go(struct tcase *t, uint64_t min_stamp_limit, bool accept_older)
{
	t->fs = simfs_clone(t->im->fs);
	for (unsigned i = 0; i < FILES; i++)
		image_put(t->fs, i, t->im->raw[i], t->im->len[i], t->raw[i], t->len[i]);
	mount_and_read(t->fs, min_stamp_limit, accept_older, false, &t->r);
}

static void stop(struct tcase *t)
{
	for (unsigned i = 0; i < FILES; i++)
		free(t->raw[i]);
	result_done(&t->r);
	simfs_free(t->fs);
}

static bool others_right(const struct tcase *t, unsigned but)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (i != but && !reads_whole(&t->r, i, t->im->v))
			return false;
	return !t->r.refused && !t->r.strange;
}

static bool all_right(const struct tcase *t)
{
	return others_right(t, NAMES);
}

static uint64_t bad_blocks(const struct tcase *t, unsigned i, uint64_t g)
{
	uint64_t n = 0;

	for (uint64_t b = g * GROUP_BLOCKS; b < (g + 1) * GROUP_BLOCKS && b * B < t->r.f[i].size;
	     b++)
		n += t->r.f[i].bad[b];
	return n;
}

/* A group above 0 whose header, entries and a data block differ. */
static bool find_spot(const struct scene *s, const struct image *im, unsigned d, struct spot *ret)
{
	const struct image *o = &s->donor[d];

	for (unsigned i = 0; i < NAMES; i++)
		for (uint64_t g = 1; (g + 1) * GL <= im->len[i] && (g + 1) * GL <= o->len[i] &&
				     (g + 1) * G <= im->v->size[i] && (g + 1) * G <= o->v->size[i];
		     g++) {
			const uint8_t *p = im->raw[i] + g * GL, *q = o->raw[i] + g * GL;

			if (group_is_zero(im->v, i, g) || group_is_zero(o->v, i, g) ||
			    all_zero(p, B) || all_zero(q, B) || memcmp(p, q, 512) == 0 ||
			    memcmp(p + 512, q + 512, 3584) == 0)
				continue;
			for (uint64_t k = 1; k <= GROUP_BLOCKS; k++)
				if (!all_zero(p + 512 + 28 * (k - 1), 28) &&
				    !all_zero(q + 512 + 28 * (k - 1), 28) &&
				    memcmp(p + k * B, q + k * B, B) != 0) {
					*ret = (struct spot){ i, d, g, g * GL + k * B };
					return true;
				}
		}
	return false;
}

/* What the next mount will find. */
static uint64_t limit_after(const struct tcase *t)
{
	struct image now = { 0 };
	uint64_t limit;

	image_take(&now, t->fs, NULL);
	limit = limit_of(now.raw[STATE], now.len[STATE]);
	image_drop(&now);
	return limit;
}

/* Pieces of an older group: what is put back, and what comes of it. */
enum piece { WHOLE, METADATA, HEADER, ENTRIES, ENTRY, SECTOR, BLOCK, BLOCKS };

static bool piece(const struct scene *s, const struct spot *at, enum piece what)
{
	const struct image *o = &s->donor[at->d];
	uint64_t base = at->g * GL, entry = base + 512 + ((at->block - base) / B - 1) * 28, bad;
	/* A clone that lived longer has stamps that this state never reserved. */
	bool newer = header_stamp(o->raw[at->i] + base) >=
		     limit_of(s->clean.raw[STATE], s->clean.len[STATE]);
	struct tcase t;
	bool ok;

	start(&t, s, &s->clean);
	switch (what) {
	case WHOLE:
		from(&t, at->i, o, base, GL);
		break;
	case METADATA:
		from(&t, at->i, o, base, B);
		break;
	case HEADER:
		from(&t, at->i, o, base, 512);
		break;
	case ENTRIES:
		from(&t, at->i, o, base + 512, 3584);
		break;
	case ENTRY:
		from(&t, at->i, o, entry, 28);
		break;
	case SECTOR:
		from(&t, at->i, o, entry / 512 * 512, 512);
		break;
	case BLOCK:
		from(&t, at->i, o, at->block, B);
		break;
	case BLOCKS:
		from(&t, at->i, o, base + B, GL - B);
		break;
	}
	go(&t, 0, false);
	bad = bad_blocks(&t, at->i, at->g);
	ok = others_right(&t, at->i) && t.r.f[at->i].open_r == 0 &&
	     t.r.f[at->i].size == t.im->v->size[at->i];
	for (uint64_t g = 0; ok && g * G < t.r.f[at->i].size; g++)
		ok = g == at->g || (bad_blocks(&t, at->i, g) == 0 &&
				    group_reads_as(&t.r, at->i, g, t.im->v, at->i));
	if (newer && (what == WHOLE || what == METADATA))
		ok = ok && bad == GROUP_BLOCKS && t.r.stamp_limit > limit_after(&t);
	else if (what == WHOLE)
		ok = ok && bad == 0 && group_reads_as(&t.r, at->i, at->g, o->v, at->i) &&
		     !group_reads_as(&t.r, at->i, at->g, t.im->v, at->i);
	else if (what == METADATA)
		ok = ok && bad > 0 && group_reads_as(&t.r, at->i, at->g, o->v, at->i);
	else if (what == BLOCK)
		ok = ok && bad == 1 && group_reads_as(&t.r, at->i, at->g, t.im->v, at->i);
	else if (what == BLOCKS)
		ok = ok && bad > 0 && group_reads_as(&t.r, at->i, at->g, t.im->v, at->i);
	else
		ok = ok && bad == GROUP_BLOCKS;
	stop(&t);
	return ok;
}

/* Group 0's header of a version of another size, with the entries of now. */
static bool older_size(const struct scene *s)
{
	unsigned tried = 0;
	bool ok = true;

	for (unsigned i = 0; i < NAMES; i++)
		for (unsigned d = 0; d < 3; d++) {
			const struct image *o = &s->donor[d];
			struct tcase t;

			if (o->v->size[i] == s->clean.v->size[i] || o->len[i] < B ||
			    memcmp(o->raw[i] + 512, s->clean.raw[i] + 512, 3584) == 0)
				continue;
			tried++;
			start(&t, s, &s->clean);
			from(&t, i, o, 0, 512);
			go(&t, 0, false);
			for (uint64_t g = 0; t.r.f[i].open_r == 0 && g < 1; g++)
				ok = ok && bad_blocks(&t, i, g) ==
						   (t.r.f[i].size < G ? (t.r.f[i].size + B - 1) / B
								      : GROUP_BLOCKS);
			ok = ok && others_right(&t, i);
			stop(&t);
		}
	return ok && tried;
}

static bool older_file(const struct scene *s)
{
	bool ok = true, differs = false;

	for (unsigned i = 0; i < NAMES; i++) {
		struct tcase t;

		start(&t, s, &s->clean);
		whole(&t, i, &s->donor[0]);
		go(&t, 0, false);
		ok = ok && others_right(&t, i) && reads_whole(&t.r, i, s->donor[0].v);
		differs = differs || !reads_as(&t.r, i, s->clean.v);
		stop(&t);
	}
	return ok && differs;
}

/* of: bytes that stay of the file; -1: all, but the first block is zeros. */
static bool emptied(const struct scene *s, unsigned i, int64_t of, bool noticed)
{
	struct tcase t;
	struct image after = { 0 };
	bool ok;

	start(&t, s, &s->clean);
	if (of < 0)
		memset(t.raw[i], 0, B);
	else
		t.len[i] = (uint64_t)of;
	if (of < 0 && !noticed)
		t.len[i] = t.len[i] < GL ? t.len[i] : GL;
	go(&t, 0, false);
	ok = others_right(&t, i) &&
	     (noticed ? t.r.f[i].open_r == -EIO : t.r.f[i].open_r == 0 && t.r.f[i].size == 0);
	image_take(&after, t.fs, NULL);
	ok = ok && after.len[i] == t.len[i] &&
	     memcmp(after.raw[i], t.raw[i], t.len[i]) == 0; /* nothing was cut */
	image_drop(&after);
	stop(&t);
	return ok;
}

/* The log of a clone: none of the clone's transactions may be taken. */
static bool clones_log(const struct scene *s, bool unclean)
{
	const struct image *im = unclean ? &s->unclean : &s->clean;
	struct tcase t;
	bool ok;

	start(&t, s, im);
	whole(&t, LOG, &s->donor[2]);
	go(&t, 0, false);
	ok = unclean ? t.r.refused == -ENODATA : all_right(&t);
	/* what no state slot vouches for is the newest transactions cut off */
	for (unsigned k = 0; k < s->nversions && unclean && !t.r.refused; k++)
		ok = ok ||
		     (s->versions[k].seq >= vouched_for(t.raw[STATE], t.len[STATE], NULL, 0) &&
		      reads_whole(&t.r, 0, &s->versions[k]) &&
		      reads_whole(&t.r, 1, &s->versions[k]) &&
		      reads_whole(&t.r, 2, &s->versions[k]));
	stop(&t);
	return ok;
}

/* which: bit 0 slot 0, bit 1 slot 1. */
static bool slots(const struct scene *s, const struct image *im, unsigned which)
{
	struct tcase t;
	bool ok;

	start(&t, s, im);
	for (unsigned k = 0; k < 2; k++)
		if (which & 1u << k)
			t.raw[STATE][k * B + 100] ^= 4;
	go(&t, 0, false);
	ok = which == 3 ? t.r.refused == -EBADMSG : all_right(&t);
	stop(&t);
	return ok;
}

static bool swapped_slots(const struct scene *s)
{
	struct tcase t;
	bool ok;

	start(&t, s, &s->clean);
	memcpy(t.raw[STATE], s->clean.raw[STATE] + B, B);
	memcpy(t.raw[STATE] + B, s->clean.raw[STATE], B);
	go(&t, 0, false);
	ok = t.r.refused == -EBADMSG;
	stop(&t);
	return ok;
}

static bool older_volume(const struct scene *s, bool accept)
{
	struct simfs *fs = simfs_clone(s->clean.fs);
	struct tcase t;
	uint64_t limit;
	bool ok;

	mount_and_read(fs, 0, false, true, &t.r);
	limit = t.r.stamp_limit;
	result_done(&t.r);
	simfs_free(fs);
	start(&t, s, &s->donor[0]);
	go(&t, limit, accept);
	ok = limit > 0;
	if (accept)
		ok = ok && all_right(&t);
	else
		ok = ok && t.r.refused == -ESTALE;
	stop(&t);
	return ok;
}

/* The files of a volume that lived on, the state and log of before: its stamps say so, this mount
 * tells the host, the next one is refused; once accepted, all is there. */
static bool state_put_back(const struct scene *s)
{
	const struct image *now = &s->donor[2];
	struct tcase t;
	struct result r;
	uint64_t told;
	bool ok;

	start(&t, s, &s->donor[0]);
	for (unsigned i = 0; i < NAMES; i++)
		whole(&t, i, now);
	go(&t, 0, false);
	told = t.r.stamp_limit;
	ok = !t.r.refused && !t.r.strange && t.r.events > 0 && told > limit_after(&t);
	for (unsigned i = 0; i < NAMES; i++)
		ok = ok && (t.r.f[i].open_r == -EIO || reads_as(&t.r, i, now->v));
	mount_and_read(t.fs, told, false, false, &r);
	ok = ok && r.refused == -ESTALE;
	result_done(&r);
	mount_and_read(t.fs, told, true, true, &r);
	ok = ok && !r.refused && r.events == 0;
	for (unsigned i = 0; i < NAMES; i++)
		ok = ok && reads_whole(&r, i, now->v);
	result_done(&r);
	stop(&t);
	return ok;
}

/* back: how many of the last transactions lose their descriptor. */
static bool cut_log(const struct scene *s, unsigned back)
{
	uint64_t last = s->versions[s->nversions - 1].seq, at = 0;
	struct log_desc *d = malloc(sizeof(*d));
	struct tcase t;
	bool ok;

	assert(d);
	start(&t, s, &s->unclean);
	for (uint64_t b = 0; (b + 1) * B <= t.len[LOG]; b++)
		if (log_desc_open(blockcrypt_get(), crash_ring(), t.raw[LOG] + b * B, d) == 0 &&
		    d->sequence == last - back && d->part == 0) {
			memset(t.raw[LOG] + b * B, 0, B);
			at = b;
		}
	go(&t, 0, false);
	if (back == 0)
		ok = !t.r.refused && !t.r.strange;
	else
		ok = t.r.refused == -ENODATA;
	for (unsigned i = 0; ok && back == 0 && i < NAMES; i++)
		ok = reads_whole(&t.r, i, &s->versions[s->nversions - 2]);
	stop(&t);
	free(d);
	return ok && at;
}

static int report(bool ok, const char *text)
{
	static unsigned n;

	(void)printf("%s %u - %s\n", ok ? "ok" : "not ok", ++n, text);
	return !ok;
}

static int pieces(const struct scene *s, const struct spot *older, const struct spot *clone)
{
	static const struct {
		enum piece what;
		const char *text;
	} p[] = {
		{ WHOLE, "a whole group put back reads as it was: not noticed" },
		{ METADATA, "metadata without its data blocks: EIO for those that changed, the "
			    "others as they were then" },
		{ HEADER, "header n with entries m: the group is EIO" },
		{ ENTRIES, "entries n with header m: the group is EIO" },
		{ ENTRY, "one entry put back: the group is EIO" },
		{ SECTOR, "one sector of entries put back: the group is EIO" },
		{ BLOCK, "one data block put back: it alone is EIO" },
		{ BLOCKS, "all data blocks put back without metadata: EIO for those that changed" },
	};
	char text[160];
	int failed = 0;

	for (unsigned k = 0; k < sizeof(p) / sizeof(p[0]); k++) {
		failed += report(piece(s, older, p[k].what), p[k].text);
		(void)snprintf(text, sizeof(text), "from a clone: %s",
			       p[k].what <= METADATA ? "a group or its metadata that the state is older "
						       "than is EIO, the next mount is refused"
						     : p[k].text);
		failed += report(piece(s, clone, p[k].what), text);
	}
	return failed;
}

int named_cases(uint64_t seed)
{
	static struct scene s;
	struct spot older, clone;
	int failed = 0;

	for (;; seed++, scene_free(&s)) {
		scene_make(&s, seed, NULL, NULL);
		if (find_spot(&s, &s.clean, 0, &older) && find_spot(&s, &s.clean, 2, &clone) &&
		    s.clean.len[1] > GL && s.clean.v->size[1] > G)
			break;
	}
	(void)printf("# seed %llu\n", (unsigned long long)seed);
	failed += pieces(&s, &older, &clone);
	failed += report(older_size(&s),
			 "the header of a longer or shorter version with the entries of now: EIO");
	failed += report(older_file(&s), "a whole file put back reads as it was: not noticed");
	failed += report(emptied(&s, 1, 0, false), "a file cut to nothing is empty: not noticed");
	failed += report(emptied(&s, 1, -1, false), "a zeroed first block with no group behind is "
						    "an empty file: not noticed, nothing is cut");
	failed += report(emptied(&s, 1, -1, true),
			 "a zeroed first block with data behind it is EIO, nothing is cut");
	failed += report(emptied(&s, 1, 100, true), "a file cut within its header is EIO");
	failed +=
		report(clones_log(&s, false), "the log of a clone in a clean volume is not taken");
	failed += report(clones_log(&s, true),
			 "the log of a clone in an unclean volume is refused, or taken for none");
	failed += report(slots(&s, &s.clean, 1) && slots(&s, &s.clean, 2),
			 "a clean volume with one damaged state slot reads right");
	failed += report(slots(&s, &s.unclean, 1) && slots(&s, &s.unclean, 2),
			 "so does an unclean one");
	failed += report(slots(&s, &s.clean, 3) && slots(&s, &s.unclean, 3),
			 "two damaged state slots are refused");
	failed += report(swapped_slots(&s), "state slots that changed places are refused");
	failed += report(older_volume(&s, false), "a whole older volume is refused");
	failed += report(older_volume(&s, true), "and reads as it was then when it is accepted");
	failed += report(state_put_back(&s), "older state and log under newer files: EIO, the next "
					     "mount is refused, accepted it reads");
	failed += report(
		cut_log(&s, 0),
		"the newest transaction cut off: all files as at the commit before, not noticed");
	failed +=
		report(cut_log(&s, 1) && cut_log(&s, 2), "an older transaction cut out is refused");
	(void)printf("1..%u\n", 2 * 8 + 17);
	scene_free(&s);
	return failed != 0;
}
