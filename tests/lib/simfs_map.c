/* simfs_map.c: the bytes of a file as a tree of shared pages. Reference counts are atomic, since two simfs of two threads may share
 * pages; a page that is shared is never written to. */
#include "simfs_impl.h"

#include <stdio.h>
#include <string.h>

static struct sim_page zero_page = { .refs = 1 };

void *sim_alloc(size_t n)
{
	void *p = calloc(1, n);

	if (!p) {
		(void)fputs("simfs: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *sim_grow(void *p, size_t *cap, size_t n, size_t each)
{
	size_t c = *cap ? *cap : 4;

	if (n <= *cap)
		return p;
	while (c < n)
		c *= 2;
	p = realloc(p, c * each);
	if (!p) {
		(void)fputs("simfs: out of memory\n", stderr);
		abort();
	}
	*cap = c;
	return p;
}

static void *take_ref(void *p, atomic_uint *refs)
{
	atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
	return p;
}

static bool drop_ref(atomic_uint *refs)
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static bool is_shared(atomic_uint *refs)
{
	return atomic_load_explicit(refs, memory_order_acquire) > 1;
}

static void page_unref(struct sim_page *p)
{
	if (p && drop_ref(&p->refs))
		free(p);
}

static void node_unref(struct sim_node *n)
{
	if (!drop_ref(&n->refs))
		return;
	for (unsigned i = 0; i < NODE_PAGES; i++)
		page_unref(n->page[i]);
	free(n);
}

struct sim_map *sim_map_new(void)
{
	struct sim_map *m = sim_alloc(sizeof(*m));

	atomic_init(&m->refs, 1);
	return m;
}

struct sim_map *sim_map_ref(struct sim_map *m)
{
	return take_ref(m, &m->refs);
}

void sim_map_unref(struct sim_map *m)
{
	if (!m || !drop_ref(&m->refs))
		return;
	for (size_t i = 0; i < m->n; i++)
		node_unref(m->at[i].node);
	free(m->at);
	free(m);
}

void sim_map_set(struct sim_map **mp, struct sim_map *m)
{
	struct sim_map *old = *mp;

	*mp = sim_map_ref(m);
	sim_map_unref(old);
}

/* Where the node of this index is, or would be. */
static size_t node_place(const struct sim_map *m, uint64_t index)
{
	size_t lo = 0, hi = m->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (m->at[mid].index < index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct sim_node *node_find(const struct sim_map *m, uint64_t index)
{
	size_t i = node_place(m, index);

	return i < m->n && m->at[i].index == index ? m->at[i].node : NULL;
}

static struct sim_map *map_own(struct sim_map **mp)
{
	struct sim_map *m = *mp, *c;

	if (!is_shared(&m->refs))
		return m;
	c = sim_map_new();
	c->at = sim_grow(NULL, &c->cap, m->n + 1, sizeof(*c->at));
	for (size_t i = 0; i < m->n; i++) {
		c->at[i] = m->at[i];
		(void)take_ref(c->at[i].node, &c->at[i].node->refs);
	}
	c->n = m->n;
	c->npages = m->npages;
	sim_map_unref(m);
	*mp = c;
	return c;
}

static struct sim_node *node_own(struct sim_map *m, uint64_t index)
{
	size_t i = node_place(m, index);
	struct sim_node *n, *c;

	if (i == m->n || m->at[i].index != index) {
		c = sim_alloc(sizeof(*c));
		atomic_init(&c->refs, 1);
		m->at = sim_grow(m->at, &m->cap, m->n + 1, sizeof(*m->at));
		memmove(m->at + i + 1, m->at + i, (m->n - i) * sizeof(*m->at));
		m->at[i] = (struct sim_ref){ index, c };
		m->n++;
		return c;
	}
	n = m->at[i].node;
	if (!is_shared(&n->refs))
		return n;
	c = sim_alloc(sizeof(*c));
	atomic_init(&c->refs, 1);
	c->npages = n->npages;
	for (unsigned k = 0; k < NODE_PAGES; k++) {
		c->page[k] = n->page[k];
		if (c->page[k])
			(void)take_ref(c->page[k], &c->page[k]->refs);
	}
	node_unref(n);
	m->at[i].node = c;
	return c;
}

/* A page of our own to write to. */
static uint8_t *page_own(struct sim_map **mp, uint64_t page)
{
	struct sim_map *m = map_own(mp);
	struct sim_node *n = node_own(m, page / NODE_PAGES);
	struct sim_page **at = &n->page[page % NODE_PAGES], *c;

	if (*at && !is_shared(&(*at)->refs))
		return (*at)->b;
	if (*at) {
		c = malloc(sizeof(*c));
		if (!c)
			abort();
		memcpy(c->b, (*at)->b, PAGE);
		page_unref(*at);
	} else {
		c = sim_alloc(sizeof(*c));
		n->npages++;
		m->npages++;
	}
	atomic_init(&c->refs, 1);
	*at = c;
	return c->b;
}

const uint8_t *sim_map_page(const struct sim_map *m, uint64_t page)
{
	const struct sim_node *n = node_find(m, page / NODE_PAGES);

	return n && n->page[page % NODE_PAGES] ? n->page[page % NODE_PAGES]->b : NULL;
}

void sim_map_read(const struct sim_map *m, uint64_t off, void *p, size_t len)
{
	uint8_t *out = p;
	const uint8_t *page;
	size_t in, n;

	while (len > 0) {
		in = off % PAGE;
		n = len < PAGE - in ? len : PAGE - in;
		page = sim_map_page(m, off / PAGE);
		if (page)
			memcpy(out, page + in, n);
		else
			memset(out, 0, n);
		out += n;
		off += n;
		len -= n;
	}
}

void sim_map_write(struct sim_map **mp, uint64_t off, const void *p, size_t len)
{
	const uint8_t *from = p;
	size_t in, n;

	while (len > 0) {
		in = off % PAGE;
		n = len < PAGE - in ? len : PAGE - in;
		memcpy(page_own(mp, off / PAGE) + in, from, n);
		from += n;
		off += n;
		len -= n;
	}
}

void sim_map_put_sector(struct sim_map **mp, uint64_t sector, const uint8_t *p)
{
	uint64_t page = sector / PAGE_SECTORS;

	if (p)
		memcpy(page_own(mp, page) + sector % PAGE_SECTORS * SECTOR, p, SECTOR);
	else if (sim_map_page(*mp, page))
		memset(page_own(mp, page) + sector % PAGE_SECTORS * SECTOR, 0, SECTOR);
}

/* The first node at or behind page p0 that has pages below p1. */
static size_t first_node(const struct sim_map *m, uint64_t p0)
{
	return node_place(m, p0 / NODE_PAGES);
}

bool sim_map_has(const struct sim_map *m, uint64_t p0, uint64_t p1)
{
	for (size_t i = first_node(m, p0); i < m->n && m->at[i].index * NODE_PAGES < p1; i++)
		for (unsigned k = 0; k < NODE_PAGES; k++)
			if (m->at[i].node->page[k] && m->at[i].index * NODE_PAGES + k >= p0 && m->at[i].index * NODE_PAGES + k < p1)
				return true;
	return false;
}

uint64_t sim_map_holes(const struct sim_map *m, uint64_t p0, uint64_t p1)
{
	uint64_t holes = p1 - p0;

	for (uint64_t p = p0; p < p1; p++)
		if (sim_map_page(m, p))
			holes--;
	return holes;
}

void sim_map_free(struct sim_map **mp, uint64_t p0, uint64_t p1)
{
	struct sim_map *m;
	struct sim_node *n;
	uint64_t page;

	if (!sim_map_has(*mp, p0, p1))
		return;
	m = map_own(mp);
	for (size_t i = first_node(m, p0); i < m->n && m->at[i].index * NODE_PAGES < p1;) {
		n = node_own(m, m->at[i].index);
		for (unsigned k = 0; k < NODE_PAGES; k++) {
			page = m->at[i].index * NODE_PAGES + k;
			if (!n->page[k] || page < p0 || page >= p1)
				continue;
			page_unref(n->page[k]);
			n->page[k] = NULL;
			n->npages--;
			m->npages--;
		}
		if (n->npages > 0) {
			i++;
			continue;
		}
		node_unref(n);
		memmove(m->at + i, m->at + i + 1, (m->n - i - 1) * sizeof(*m->at));
		m->n--;
	}
}

void sim_map_allocate(struct sim_map **mp, uint64_t p0, uint64_t p1)
{
	struct sim_map *m = map_own(mp);
	struct sim_node *n;

	for (uint64_t p = p0; p < p1; p++) {
		n = node_own(m, p / NODE_PAGES);
		if (n->page[p % NODE_PAGES])
			continue;
		/* All share one page of zeros: preallocated space costs no memory. */
		n->page[p % NODE_PAGES] = take_ref(&zero_page, &zero_page.refs);
		n->npages++;
		m->npages++;
	}
}
