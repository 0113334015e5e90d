/* cache.c: what a file's groups and blocks look like in memory: nodes, their views, sealed versions of blocks, and the pools they
 * come from. See vio_impl.h for what the views mean. No I/O happens here.
 *
 * Invariants:
 *   - a view is never changed while shared: cache_node_own makes cur private first
 *   - a node is on the LRU only if cur == com == home, no fl, no versions, no pins, no space to give back, not on any list
 *   - a DBLK_U has the stamp of cur, a DBLK_C that of com */
#include "io/vio_impl.h"

#include <string.h>
#include <sys/mman.h>

#define POOL_CHUNK (1u << 20)
#define KEYS_CHUNK 65536u
#define TAB_MIN 4u

struct gmeta *cache_meta_new(uint16_t epoch)
{
	struct gmeta *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	atomic_init(&m->refs, 1);
	m->epoch = epoch;
	return m;
}

struct gmeta *cache_meta_dup(const struct gmeta *m)
{
	struct gmeta *n = malloc(sizeof(*n));

	if (!n)
		return NULL;
	atomic_init(&n->refs, 1);
	n->epoch = m->epoch;
	n->sealed = m->sealed;
	n->entries = m->entries;
	n->header = m->header;
	memcpy(n->ent, m->ent, sizeof(n->ent));
	return n;
}

struct gmeta *cache_meta_ref(struct gmeta *m)
{
	if (m)
		atomic_fetch_add(&m->refs, 1);
	return m;
}

void cache_meta_unref(struct gmeta *m)
{
	if (m && atomic_fetch_sub(&m->refs, 1) == 1)
		free(m);
}

void cache_meta_set(struct gmeta **slot, struct gmeta *m)
{
	cache_meta_unref(*slot);
	*slot = m;
}

uint64_t cache_entry_stamp(const struct gmeta *m, unsigned i)
{
	return layout_get64(m->ent + i * ENTRY_LEN);
}

bool cache_entry_is_hole(const struct gmeta *m, unsigned i)
{
	return cache_entry_stamp(m, i) == 0;
}

void cache_entry_get(const struct gmeta *m, unsigned i, struct entry *ret_e)
{
	const uint8_t *p = m->ent + i * ENTRY_LEN;

	ret_e->stamp = layout_get64(p);
	memcpy(ret_e->tag, p + 8, TAG_LEN);
	ret_e->sum = layout_get32(p + 24);
}

void cache_entry_set(struct gmeta *m, unsigned i, const struct entry *e)
{
	uint8_t *p = m->ent + i * ENTRY_LEN;

	m->sealed = false;
	if (e)
		group_entry_put(e, p);
	else
		memset(p, 0, ENTRY_LEN);
}

/* ---- pools */

static int pool_grow(struct vio *v)
{
	void **chunks;
	uint8_t *p;

	chunks = realloc(v->pool_chunks, (v->pool_nchunks + 1) * sizeof(*chunks));
	if (!chunks)
		return -ENOMEM;
	v->pool_chunks = chunks;
	p = mmap(NULL, POOL_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	chunks[v->pool_nchunks++] = p;
	for (size_t off = 0; off < POOL_CHUNK; off += BLOCK_SIZE) {
		*(void **)(void *)(p + off) = v->pool_free;
		v->pool_free = p + off;
	}
	return 0;
}

uint8_t *cache_buf_get(struct vio *v)
{
	uint8_t *p;

	WITH_LOCK(&v->pool_m);
	if (!v->pool_free && pool_grow(v) < 0)
		return NULL;
	p = v->pool_free;
	v->pool_free = *(void **)(void *)p;
	return p;
}

void cache_buf_put(struct vio *v, uint8_t *buf)
{
	if (!buf)
		return;
	WITH_LOCK(&v->pool_m);
	*(void **)(void *)buf = v->pool_free;
	v->pool_free = buf;
}

struct file_keys *cache_keys_get(struct vio *v)
{
	struct secret **chunks;
	struct file_keys *k;

	WITH_LOCK(&v->pool_m);
	if (!v->keys_free) {
		chunks = realloc(v->keys_chunks, (v->keys_nchunks + 1) * sizeof(*chunks));
		if (!chunks)
			return NULL;
		v->keys_chunks = chunks;
		if (secret_new(KEYS_CHUNK, &chunks[v->keys_nchunks]) < 0)
			return NULL;
		k = (struct file_keys *)(void *)secret_bytes(chunks[v->keys_nchunks++]);
		for (size_t i = 0; i < KEYS_CHUNK / sizeof(*k); i++) {
			*(void **)(void *)&k[i] = v->keys_free;
			v->keys_free = &k[i];
		}
	}
	k = v->keys_free;
	v->keys_free = *(void **)(void *)k;
	return k;
}

void cache_keys_put(struct vio *v, struct file_keys *k)
{
	if (!k)
		return;
	keys_wipe(k);
	WITH_LOCK(&v->pool_m);
	*(void **)(void *)k = v->keys_free;
	v->keys_free = k;
}

void cache_init(struct vio *v)
{
	v->lru.lru_prev = v->lru.lru_next = &v->lru;
}

void cache_done(struct vio *v)
{
	for (size_t i = 0; i < v->pool_nchunks; i++)
		munmap(v->pool_chunks[i], POOL_CHUNK);
	free(v->pool_chunks);
	for (size_t i = 0; i < v->keys_nchunks; i++)
		secret_free(v->keys_chunks[i]);
	free(v->keys_chunks);
}

/* ---- versions of a block */

struct dblk *cache_dblk_new(struct vio *v)
{
	struct dblk *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->buf = cache_buf_get(v);
	if (!b->buf) {
		free(b);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	vio_pend(v, 0, 1);
	return b;
}

struct dblk *cache_dblk_ref(struct dblk *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void cache_dblk_unref(struct vio *v, struct dblk *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	cache_buf_put(v, b->buf);
	free(b);
	vio_pend(v, 0, -1);
}

struct dblk *cache_dblk_find(const struct gnode *g, unsigned i, uint64_t stamp)
{
	struct dblk *b = g->d ? g->d[i] : NULL;

	while (b && b->stamp != stamp)
		b = b->next;
	return b;
}

struct dblk *cache_dblk_state(const struct gnode *g, unsigned i, enum dblk_state st)
{
	struct dblk *b = g->d ? g->d[i] : NULL;

	while (b && b->state != st)
		b = b->next;
	return b;
}

bool cache_node_has_committed(const struct gnode *g)
{
	for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++)
		if (cache_dblk_state(g, i, DBLK_C))
			return true;
	return false;
}

void cache_dblk_drop(struct gnode *g, unsigned i, struct dblk *b)
{
	struct dblk **p = &g->d[i];

	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
	b->next = NULL;
	if (--g->ndblk == 0) {
		free(g->d);
		g->d = NULL;
	}
	if (b->state == DBLK_U)
		vio_pend(g->f->v, -1, 0);
	cache_dblk_unref(g->f->v, b);
}

/* ---- nodes */

static struct gnode **node_slot(struct iofile *f, uint32_t no)
{
	struct gnode **p = &f->tab[(no * 2654435761u) & (f->tab_size - 1)];

	while (*p && (*p)->no != no)
		p = &(*p)->hash_next;
	return p;
}

static int tab_grow(struct iofile *f)
{
	unsigned old_size = f->tab_size, size = old_size ? old_size * 4 : TAB_MIN;
	struct gnode **old = f->tab, **tab = calloc(size, sizeof(*tab));

	if (!tab)
		return -ENOMEM;
	f->tab = tab;
	f->tab_size = size;
	for (unsigned i = 0; i < old_size; i++) {
		while (old[i]) {
			struct gnode *g = old[i], **p = &tab[(g->no * 2654435761u) & (size - 1)];

			old[i] = g->hash_next;
			g->hash_next = *p;
			*p = g;
		}
	}
	free(old);
	return 0;
}

struct gnode *cache_node_find(struct iofile *f, uint32_t no)
{
	return f->tab ? *node_slot(f, no) : NULL;
}

int cache_node_add(struct iofile *f, uint32_t no, struct gnode **ret_g)
{
	struct gnode *g, **p;
	int r;

	if (f->nodes >= f->tab_size) {
		r = tab_grow(f);
		if (r < 0)
			return r;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->f = f;
	g->no = no;
	p = node_slot(f, no);
	assert(!*p);
	*p = g;
	f->nodes++;
	lock_take(&f->v->m);
	f->v->nodes++;
	lock_drop(&f->v->m);
	*ret_g = g;
	return 0;
}

/* lock: v->m */
static void lru_out(struct gnode *g)
{
	if (!g->in_lru)
		return;
	g->lru_prev->lru_next = g->lru_next;
	g->lru_next->lru_prev = g->lru_prev;
	g->in_lru = false;
}

static void node_free(struct gnode *g)
{
	struct iofile *f = g->f;
	struct gnode **p = node_slot(f, g->no);

	assert(*p == g);
	*p = g->hash_next;
	f->nodes--;
	lock_take(&f->v->m);
	lru_out(g);
	f->v->nodes--;
	lock_drop(&f->v->m);
	if (g->d) {
		for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++)
			while (g->d && g->d[i])
				cache_dblk_drop(g, i, g->d[i]);
	}
	if (g->changed)
		vio_pend(f->v, -1, 0);
	if (g->home_pending)
		vio_pend(f->v, 0, -1);
	cache_meta_unref(g->cur);
	cache_meta_unref(g->fl);
	cache_meta_unref(g->com);
	cache_meta_unref(g->home);
	free(g);
}

static bool node_is_clean(const struct gnode *g)
{
	return g->cur && g->cur == g->com && g->com == g->home && !g->fl && !g->d && !g->changed && !g->home_pending &&
	       !g->freed[0] && !g->freed[1] && !g->pins && !(g->no == 0 && g->f->changed);
}

void cache_node_free_if_empty(struct gnode *g)
{
	if (!g->cur && !g->fl && !g->com && !g->pins && !g->changed && !g->home_pending)
		node_free(g);
}

void cache_node_touch(struct gnode *g)
{
	struct vio *v = g->f->v;

	WITH_LOCK(&v->m);
	lru_out(g);
	if (!node_is_clean(g))
		return;
	g->lru_prev = v->lru.lru_prev;
	g->lru_next = &v->lru;
	g->lru_prev->lru_next = g;
	v->lru.lru_prev = g;
	g->in_lru = true;
}

int cache_node_own(struct gnode *g)
{
	struct gmeta *m;

	if (atomic_load(&g->cur->refs) > 1) {
		m = cache_meta_dup(g->cur);
		if (!m)
			return -ENOMEM;
		cache_meta_set(&g->cur, m);
	}
	g->fresh = false;
	return 0;
}

void cache_node_mark_changed(struct gnode *g)
{
	if (g->changed)
		return;
	g->changed = true;
	g->changed_next = g->f->changed_list;
	g->f->changed_list = g;
	vio_pend(g->f->v, 1, 0);
	lock_take(&g->f->v->m);
	lru_out(g);
	lock_drop(&g->f->v->m);
}

void cache_node_mark_home(struct gnode *g)
{
	if (g->home_pending)
		return;
	g->home_pending = true;
	g->home_next = g->f->home_list;
	g->f->home_list = g;
	vio_pend(g->f->v, 0, 1); /* the views that wait with it cannot be evicted */
	lock_take(&g->f->v->m);
	lru_out(g);
	lock_drop(&g->f->v->m);
}

void cache_file_drop_nodes(struct iofile *f)
{
	for (unsigned i = 0; i < f->tab_size; i++)
		while (f->tab[i])
			node_free(f->tab[i]);
	f->changed_list = f->fl_list = f->home_list = NULL;
	free(f->tab);
	f->tab = NULL;
	f->tab_size = 0;
}

/* The victim's file lock ranks below v->m, so it is only tried; a file in use is skipped by moving its node to the young end. */
void cache_trim(struct vio *v, uint64_t most)
{
	uint64_t max = v->p.cache_bytes / BLOCK_SIZE;

	for (uint64_t tries = 0; tries < most; tries++) {
		struct gnode *g;
		struct iofile *f;

		lock_take(&v->m);
		g = v->lru.lru_next;
		if (v->nodes <= max || g == &v->lru) {
			lock_drop(&v->m);
			return;
		}
		if (tries == 0 && most > v->nodes)
			most = v->nodes; /* each once: of a file in use they go round */
		f = g->f;
		lru_out(g);
		if (pthread_mutex_trylock(&f->m.m) != 0) {
			g->lru_prev = v->lru.lru_prev;
			g->lru_next = &v->lru;
			g->lru_prev->lru_next = g;
			v->lru.lru_prev = g;
			g->in_lru = true;
			lock_drop(&v->m);
			continue;
		}
		lock_drop(&v->m);
		if (node_is_clean(g))
			node_free(g);
		pthread_mutex_unlock(&f->m.m);
	}
}
