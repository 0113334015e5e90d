/* tamper_change.c: random changes of what is on disk. */
#include "tests/tamper/tamper.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint64_t below(struct change *c, uint64_t limit)
{
	return simfs_rng_below(&c->rng, limit ? limit : 1);
}

static void touch(struct change *c, unsigned i)
{
	if (c->raw[i])
		return;
	c->raw[i] = calloc(1, LOWER_MAX);
	assert(c->raw[i]);
	memcpy(c->raw[i], c->im->raw[i], c->im->len[i]);
	c->len[i] = c->im->len[i];
	c->touched[i] = true;
}

bool all_zero(const uint8_t *p, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* A block of target: of files often metadata, of the log one that is used. */
static uint64_t pick_block(struct change *c, unsigned i)
{
	uint64_t blocks = c->len[i] / B, b = below(c, blocks);

	if (i < NAMES && below(c, 5) < 2)
		return below(c, (c->len[i] + GL - 1) / GL) * (GL / B);
	for (unsigned k = 0; i == LOG && k < 200 && all_zero(c->raw[i] + b * B, B); k++)
		b = below(c, blocks);
	return b;
}

static uint64_t pick_sector(struct change *c, unsigned i)
{
	uint64_t b = pick_block(c, i) * 8;

	return i == STATE && below(c, 4) ? b : b + below(c, 8);
}

/* len bytes at off from p, as far as the target reaches. */
static void put(struct change *c, unsigned i, uint64_t off, const uint8_t *p, uint64_t len)
{
	if (off < c->len[i])
		memmove(c->raw[i] + off, p, off + len <= c->len[i] ? len : c->len[i] - off);
}

static void swap(struct change *c, unsigned i, uint64_t x, uint64_t y, uint64_t len)
{
	uint8_t tmp[B];

	memcpy(tmp, c->raw[i] + x, len);
	put(c, i, x, c->raw[i] + y, len);
	put(c, i, y, tmp, len);
}

static void garble(struct change *c, unsigned i, uint64_t off, uint64_t len)
{
	for (uint64_t k = 0; k < len && off + k < LOWER_MAX; k++)
		c->raw[i][off + k] = (uint8_t)simfs_rng_next(&c->rng);
}

/* ---- changes within the volume; each says what it did */

static void change_bytes(struct change *c, unsigned i, char *text, size_t max)
{
	static const uint8_t zero[B];
	uint64_t b = pick_block(c, i) * B, sec = pick_sector(c, i) * 512, at = sec + below(c, 512),
		 k = below(c, 8);
	unsigned kind = (unsigned)below(c, 6);

	at = at < c->len[i] ? at : 0;
	if (kind == 0)
		c->raw[i][at] ^= (uint8_t)(1u << k);
	else if (kind == 1)
		c->raw[i][at] = (uint8_t)(c->raw[i][at] + 1 + below(c, 255));
	else if (kind == 2)
		put(c, i, sec, zero, 512);
	else if (kind == 3)
		put(c, i, b, zero, B);
	else if (kind == 4)
		garble(c, i, sec, sec + 512 <= c->len[i] ? 512 : 0);
	else
		garble(c, i, at & ~7ull, (at & ~7ull) + 8 <= c->len[i] ? 8 : 0); /* a field */
	(void)snprintf(text, max, "bytes %u at %llu, block %llu", kind, (unsigned long long)at,
		       (unsigned long long)(b / B));
}

static void change_places(struct change *c, unsigned i, char *text, size_t max)
{
	uint64_t x = pick_block(c, i), y = pick_block(c, i), groups = (c->len[i] + GL - 1) / GL, in;
	unsigned kind = (unsigned)below(c, 5), j = (unsigned)below(c, FILES);

	if (kind == 0) {
		swap(c, i, x * B, y * B, B);
	} else if (kind == 1) {
		x = pick_sector(c, i) / 8 * 8 + below(c, 8);
		swap(c, i, x * 512, y * B + x % 8 * 512, 512);
	} else if (kind == 2) { /* the same place of another file, or any */
		y = below(c, 2) ? x : below(c, c->im->len[j] / B);
		if ((y + 1) * B <= c->im->len[j])
			put(c, i, x * B, c->im->raw[j] + y * B, B);
	} else if (kind == 3 && i < NAMES) { /* the same place in another group; two entries */
		in = x % (GL / B);
		y = below(c, groups) * (GL / B) + in;
		if ((y + 1) * B <= c->len[i])
			put(c, i, x * B, c->raw[i] + y * B, B);
	} else {
		x = x / (GL / B) * GL + 512;
		y = x + 28 * below(c, 128);
		x += 28 * below(c, 128);
		if (x + 28 <= c->len[i] && y + 28 <= c->len[i])
			swap(c, i, x, y, 28);
	}
	(void)snprintf(text, max, "places %u, %llu and %llu", kind, (unsigned long long)x,
		       (unsigned long long)y);
}

static void change_length(struct change *c, unsigned i, char *text, size_t max)
{
	uint64_t to = below(c, c->len[i] + 1), more = 1 + below(c, 3 * B);

	switch (below(c, 5)) {
	case 0:
		to = to / B * B;
		break;
	case 1:
		to = to / GL * GL + (below(c, 2) ? B : 0);
		break;
	case 2:
		to = below(c, 3) ? to : 0;
		break;
	default:
		if (c->len[i] + more > LOWER_MAX)
			break;
		to = c->len[i] + more;
		garble(c, i, c->len[i], more);
	}
	c->len[i] = to;
	(void)snprintf(text, max, "length %llu", (unsigned long long)to);
}

/* ---- changes that bring something from an older copy, a clone, another volume */

static void change_from_donor(struct change *c, unsigned i, char *text, size_t max)
{
	unsigned d = (unsigned)below(c, DONORS), kind = (unsigned)below(c, 7);
	const struct image *im = &c->s->donor[d];
	uint64_t b = pick_block(c, i), sec = pick_sector(c, i),
		 g = below(c, (c->len[i] + GL - 1) / GL), off, len;

	c->older_state = c->older_state || i >= NAMES;
	if (kind == 0) {
		off = sec * 512;
		len = 512;
	} else if (kind <= 2) {
		off = b * B;
		len = B;
	} else if (kind == 3) { /* metadata and some data */
		off = g * GL;
		len = (1 + below(c, 128)) * B;
	} else if (kind == 4) { /* data without metadata */
		off = g * GL + B;
		len = GL - B;
	} else if (kind == 5 && i < NAMES) {
		off = g * GL;
		len = GL;
	} else {
		memcpy(c->raw[i], im->raw[i], im->len[i]);
		c->len[i] = im->len[i];
		off = len = 0;
	}
	if (len && off < im->len[i])
		put(c, i, off, im->raw[i] + off, off + len <= im->len[i] ? len : im->len[i] - off);
	(void)snprintf(text, max, "from copy %u: %u, %llu+%llu", d, kind, (unsigned long long)off,
		       (unsigned long long)len);
}

void change_make(struct change *c)
{
	static void (*const kinds[])(struct change *, unsigned, char *, size_t) = {
		change_bytes,  change_bytes,      change_places,
		change_length, change_from_donor, change_from_donor,
	};
	unsigned pick = (unsigned)below(c, 10), times = below(c, 6) ? 1 : 2 + (unsigned)below(c, 2);
	unsigned i = pick < 6 ? (unsigned)below(c, NAMES) : pick < 9 ? LOG : STATE;

	if (!c->unclean && pick == 6)
		i = (unsigned)below(c, NAMES);
	for (unsigned k = 0; k < times; k++) {
		size_t used = strlen(c->text);

		if (i < NAMES && k)
			i = (unsigned)below(c, NAMES);
		else if (k)
			i = below(c, 2) ? LOG : STATE;
		touch(c, i);
		(void)snprintf(c->text + used, sizeof(c->text) - used, "%s%s: ", k ? "; " : "",
			       file_name(i));
		used = strlen(c->text);
		if (c->len[i])
			kinds[below(c, 6)](c, i, c->text + used, sizeof(c->text) - used);
	}
}
