/* checkpoint.c: bringing committed blocks home and reusing log space (L4). One at a time, under v->ckpt_m. Steps, in this order:
 *   1. store in the state, flushed, what is durable in the log (vouch)
 *   2. write home, per file and under its lock, what the newest durable commit names and is not home yet: blocks, metadata blocks
 *   3. flush every such file, and the names if a file was unlinked whose committed blocks were dropped with it: were its unlink undone by a crash behind the
 *      tail's move, it would be back without them (all other names have been durable since the file's first commit: L7)
 *   4. store as the new tail the place behind the last commit that was durable, and whose files were on the home list, at step 1; flushed
 *   5. only now reuse log space, forget the versions that are home, give lower space back that no view has
 * A home flush that fails: everything of this checkpoint is written again, once; then the volume turns read-only. A home write that meets ENOSPC spends the
 * ballast (reserve.h). */
#include "io/vio_impl.h"

#include "base/log.h"

#include <string.h>

struct ckpt_list {
	struct iofile **f;
	size_t n;
};

static int list_take(struct vio *v, struct ckpt_list *l)
{
	struct iofile *f;
	size_t n = 0;

	WITH_LOCK(&v->m);
	for (f = v->home.home_next; f != &v->home; f = f->home_next)
		n++;
	l->f = calloc(n + 1, sizeof(*l->f));
	if (!l->f)
		return -ENOMEM;
	while ((f = v->home.home_next) != &v->home) {
		f->home_prev->home_next = f->home_next;
		f->home_next->home_prev = f->home_prev;
		f->in_home = false;
		l->f[l->n++] = f; /* the list's reference is ours now */
	}
	return 0;
}

/* ---- writing home. lock: f->m over each group */

/* A write that meets a full disk gives up the ballast once, and goes on. */
static int home_write(struct iofile *f, int fd, const struct iovec *iov, int n, uint64_t off)
{
	struct vio *v = f->v;
	ssize_t w;

	w = v->l->ops->pwritev(v->l, fd, iov, n, off, false);
	if (w == -ENOSPC || w == -EDQUOT) {
		log_warning("the backing filesystem is full; giving up coffer.reserve");
		vio_event(v, VIO_EVENT_NO_RESERVE, "the ballast is spent");
		if (reserve_spend(v->reserve) == 0)
			w = v->l->ops->pwritev(v->l, fd, iov, n, off, false);
	}
	return w < 0 ? (int)w : 0;
}

/* The view the checkpoint brings home. */
static struct gmeta *home_view(struct iofile *f, struct gnode *g)
{
	if (rule_on(&f->v->p, committedmeta) || !g->cur)
		return g->com;
	if (!g->cur->sealed && log_seal_group(f, g->no, g->cur, g->no ? NULL : &f->cur) < 0)
		return g->com;
	return g->cur;
}

/* Is there a committed version of block i that is not home? */
static struct dblk *block_due(const struct gnode *g, unsigned i)
{
	struct dblk *c = cache_dblk_state(g, i, DBLK_C);

	if (!c || c->written || !g->com || cache_entry_stamp(g->com, i) != c->stamp)
		return NULL;
	if (!rule_on(&g->f->v->p, twover) && cache_dblk_state(g, i, DBLK_U))
		return NULL;
	return c;
}

static int write_group(struct iofile *f, struct gnode *g, int fd, uint8_t *image)
{
	struct iovec iov[GROUP_BLOCKS + 1];
	struct gmeta *m = home_view(f, g);
	uint64_t start = 0, off = layout_group_off(g->no);
	bool meta = g->com && m != g->home;
	int n = 0, r;

	if (meta) {
		log_meta_image(f, g->no, m, g->no ? NULL : m == g->cur && m != g->com ? &f->cur : &f->com, image);
		iov[n++] = (struct iovec){ image, BLOCK_SIZE };
		start = off;
	}
	for (unsigned i = 0; i <= GROUP_BLOCKS; i++) {
		struct dblk *c = i < GROUP_BLOCKS && g->d ? block_due(g, i) : NULL;

		if (c) {
			if (n == 0)
				start = off + (i + 1) * (uint64_t)BLOCK_SIZE;
			iov[n++] = (struct iovec){ c->buf, BLOCK_SIZE };
			c->written = true;
			continue;
		}
		if (n == 0)
			continue;
		r = home_write(f, fd, iov, n, start);
		if (r < 0)
			return r;
		iofile_note_home_locked(f, start, (uint64_t)n * BLOCK_SIZE);
		n = 0;
	}
	if (meta) {
		cache_meta_set(&g->home, cache_meta_ref(m));
		if (g->no == 0)
			f->home_shape = f->com;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The numbers of the groups on the file's home list, rising. */
static int due_groups(struct iofile *f, uint32_t **ret_no, size_t *ret_n)
{
	size_t n = 0;

	WITH_LOCK(&f->m);
	for (struct gnode *g = f->home_list; g; g = g->home_next)
		n++;
	*ret_no = calloc(n + 1, sizeof(**ret_no));
	if (!*ret_no)
		return -ENOMEM;
	*ret_n = n;
	for (struct gnode *g = f->home_list; g; g = g->home_next)
		(*ret_no)[--n] = g->no;
	qsort(*ret_no, *ret_n, sizeof(**ret_no), by_number);
	return 0;
}

static int vouch(struct vio *v, uint64_t durable);

/* A commit that came meanwhile may have moved com on: what it names goes home only once the state vouches for it. Returns with f->m held, or an error
 * without. */
static int lock_vouched(struct iofile *f)
{
	struct vio *v = f->v;
	int r;

	for (;;) {
		lock_take(&f->m);
		if (f->com_seq <= atomic_load(&v->vouched) || !rule_on(&v->p, vouch))
			return 0;
		lock_drop(&f->m);
		r = vouch(v, atomic_load(&v->durable));
		if (r < 0)
			return r;
	}
}

static int write_file(struct iofile *f)
{
	struct vio *v = f->v;
	AUTO_FREE uint32_t *no = NULL;
	uint8_t *image;
	size_t n = 0;
	int fd, r;

	if (f->gone)
		return 0;
	r = due_groups(f, &no, &n);
	if (r < 0 || n == 0)
		return r;
	image = cache_buf_get(v);
	if (!image)
		return -ENOMEM;
	r = iofile_fd(f, false, &fd);
	if (r == 0) {
		for (size_t i = 0; i < n && r == 0; i++) {
			struct gnode *g;

			r = lock_vouched(f);
			if (r < 0)
				break;
			g = cache_node_find(f, no[i]);
			r = g && g->home_pending ? write_group(f, g, fd, image) : 0;
			lock_drop(&f->m);
		}
		if (r == 0 && v->p.cb.home_written && !f->gone)
			v->p.cb.home_written(v->p.cb.ctx, f->owner, fd);
		iofile_fd_put(f);
	}
	cache_buf_put(v, image);
	return r == -ESTALE && f->gone ? 0 : r; /* discarded meanwhile, so v->names_due is set */
}

/* ---- flushing */

/* Many files: one flush of the whole backing filesystem; what each had written before it began is covered, if it has never failed: it does not say for
 * which file it did. */
static int flush_many(struct vio *v, struct ckpt_list *l)
{
	uint64_t *gen = calloc(l->n + 1, sizeof(*gen));
	int r;

	if (!gen)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		WITH_LOCK(&l->f[i]->m);
		gen[i] = l->f[i]->home_gen;
	}
	r = v->l->ops->syncfs(v->l, v->ckpt_fd);
	v->syncfs_failed |= r < 0;
	for (size_t i = 0; i < l->n && r == 0; i++) {
		iofile_flushed(l->f[i], gen[i]);
		if (l->f[i]->home_flushed < gen[i])
			r = iofile_flush_home(l->f[i]); /* a lower fsync of it failed */
	}
	free(gen);
	return r;
}

static int flush_files(struct vio *v, struct ckpt_list *l)
{
	bool names;
	int r, ret = 0;

	lock_take(&v->m);
	names = v->names_due;
	v->names_due = false;
	lock_drop(&v->m);
	if ((names || l->n > VIO_SYNCFS_MIN) && !v->syncfs_failed && flush_many(v, l) == 0)
		return 0;
	if (names) {
		r = v->l->ops->syncfs(v->l, v->ckpt_fd);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < l->n; i++) {
		r = iofile_flush_home(l->f[i]); /* also of one discarded meanwhile: its unlink may not be durable */
		if (r < 0)
			ret = r;
	}
	return ret;
}

/* Versions that are home and flushed go; groups that are home leave the list. lock: f->m */
static void settle(struct iofile *f)
{
	struct gnode *g, *list = take_ptr(f->home_list);

	while ((g = list)) {
		list = g->home_next;
		g->home_pending = false;
		vio_pend(f->v, 0, -1);
		for (unsigned i = 0; i < GROUP_BLOCKS && g->d; i++) {
			struct dblk *c = cache_dblk_state(g, i, DBLK_C);

			if (c && c->written)
				cache_dblk_drop(g, i, c);
		}
		if (g->com && (g->com != g->home || (g->d && cache_node_has_committed(g))))
			cache_node_mark_home(g);
		else if (g->cur)
			cache_node_touch(g);
		else
			cache_node_free_if_empty(g);
	}
}

/* ---- the checkpoint. lock: v->ckpt_m */

static int vouch(struct vio *v, uint64_t durable)
{
	struct volume_state st;
	int r;

	if (!rule_on(&v->p, vouch))
		return 0;
	state_get(v->state, &st);
	r = 0;
	if (st.durable < durable)
		r = state_store(v->state, atomic_load(&v->tail), atomic_load(&v->tail_seq), durable, false);
	if (r == 0 && atomic_load(&v->vouched) < durable)
		atomic_store(&v->vouched, durable);
	return r;
}

/* Want of memory is no reason to give up the volume: a checkpoint that ends early has changed nothing that a later one does not do again. */
static void failed(struct vio *v, const char *what, int r)
{
	if (r == -ENOMEM)
		log_warning("%s: out of memory; trying again later", what);
	else
		vio_turn_read_only(v, what, r);
}

int checkpoint_vouch(struct vio *v)
{
	int r;

	WITH_LOCK(&v->ckpt_m);
	r = vouch(v, atomic_load(&v->durable));
	if (r < 0)
		failed(v, "coffer.state cannot be written", r);
	return r;
}

static int bring_home(struct vio *v, struct ckpt_list *l)
{
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++)
		r = write_file(l->f[i]);
	if (r < 0 || !rule_on(&v->p, tailorder))
		return r;
	return flush_files(v, l);
}

/* What the state says of durable never falls: home may have what a later commit than seq named (lock_vouched). */
static int store_tail(struct vio *v, uint64_t pos, uint64_t seq, bool clean)
{
	uint64_t vouched = atomic_load(&v->vouched);
	int r;

	if (!rule_on(&v->p, reuseorder)) {
		atomic_store(&v->tail, pos);
		atomic_store(&v->tail_seq, seq);
		return 0;
	}
	r = state_store(v->state, pos, seq, vouched > seq ? vouched : seq, clean && pos == atomic_load(&v->head));
	if (r < 0)
		return r;
	atomic_store(&v->tail_seq, seq);
	atomic_store(&v->tail, pos);
	return 0;
}

static void list_done(struct ckpt_list *l, bool ok)
{
	for (size_t i = 0; i < l->n; i++) {
		struct iofile *f = l->f[i];

		if (ok)
			checkpoint_give_back(f);
		lock_take(&f->m);
		if (f->home_list || f->giveback || f->punched)
			iofile_mark_home(f);
		lock_drop(&f->m);
		iofile_unref(f);
	}
	free(l->f);
}

/* lock: v->ckpt_m */
static int run(struct vio *v, bool clean)
{
	struct ckpt_list l = { 0 };
	uint64_t pos, seq, began = meter_now_ns();
	int r;

	lock_take(&v->commit_m);
	pos = v->done_pos;
	seq = v->done_seq;
	lock_drop(&v->commit_m);
	r = vouch(v, atomic_load(&v->durable));
	if (r == 0)
		r = list_take(v, &l);
	if (r == 0)
		r = bring_home(v, &l);
	if (r == 0)
		r = store_tail(v, pos, seq, clean);
	if (r == 0 && !rule_on(&v->p, tailorder))
		r = flush_files(v, &l);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		WITH_LOCK(&l.f[i]->m);
		settle(l.f[i]);
	}
	if (r == 0) {
		atomic_fetch_add(&v->checkpoints, 1);
		meter_since(&v->checkpoint_time, began);
	}
	list_done(&l, r == 0);
	return r;
}

/* lock: v->ckpt_m */
static int run_or_fail(struct vio *v, bool clean)
{
	int r = run(v, clean);

	if (r < 0)
		failed(v, "a checkpoint failed", r);
	return r;
}

static bool is_nothing_to_do(struct vio *v)
{
	WITH_LOCK(&v->m);

	return atomic_load(&v->tail) == atomic_load(&v->head) && v->home.home_next == &v->home;
}

int checkpoint_run(struct vio *v)
{
	struct volume_state st;
	bool clean;
	int r;

	WITH_LOCK(&v->ckpt_m);
	if (vio_is_read_only(v))
		return -EROFS;
	state_get(v->state, &st);
	clean = v->stopping;
	if (is_nothing_to_do(v) && !(clean && !(st.flags & STATE_FLAG_CLEAN)))
		return 0;
	r = run_or_fail(v, clean);
	if (!reserve_is_whole(v->reserve) && reserve_refill(v->reserve) == 0)
		vio_event(v, VIO_EVENT_RESERVE, "the ballast is whole again");
	return r;
}

int checkpoint_hold(struct vio *v)
{
	int r = 0;

	lock_take(&v->ckpt_m);
	if (vio_is_read_only(v))
		r = -EROFS;
	else if (!is_nothing_to_do(v))
		r = run_or_fail(v, false);
	if (r < 0)
		lock_drop(&v->ckpt_m);
	return r;
}

void checkpoint_release(struct vio *v)
{
	lock_drop(&v->ckpt_m);
}
