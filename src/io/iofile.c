/* iofile.c: a lower file in use: opening and closing it, its descriptors, its keys, and what must be known of its writes to home so that
 * a flush can be believed (L4: after a failed flush everything since the last good one is written again before the next counts).
 *
 * Descriptors are a budget (v->fds_max): the ones nobody uses are closed, oldest first, and opened again through fs. One stays open from the
 * file's first unflushed home write to the good flush, because the kernel tells a write error once, to descriptors that were open then. Should the
 * budget be spent on such ones, some are closed all the same, and what was written to them is read back and written again before it is flushed. */
#include "io/shape.h"
#include "io/vio_impl.h"

#include <fcntl.h>
#include <string.h>

static void list_add(struct iofile *head, struct iofile *f)
{
	f->dirty_prev = head->dirty_prev;
	f->dirty_next = head;
	f->dirty_prev->dirty_next = f;
	head->dirty_prev = f;
}

void iofile_ref(struct iofile *f)
{
	WITH_LOCK(&f->v->m);
	f->refs++;
}

static void file_free(struct iofile *f)
{
	struct vio *v = f->v;

	lock_take(&v->fd_m);
	if (f->fd_next) {
		f->fd_prev->fd_next = f->fd_next;
		f->fd_next->fd_prev = f->fd_prev;
	}
	if (f->fd >= 0)
		v->fds--;
	lock_drop(&v->fd_m);
	lower_close(v->l, f->fd);
	lower_close(v->l, f->fd_direct);
	lock_take(&f->m);
	cache_file_drop_nodes(f);
	lock_drop(&f->m);
	cache_keys_put(v, f->keys);
	lock_done(&f->m);
	lock_done(&f->flush_m);
	pthread_rwlock_destroy(&f->shape_lock);
	free(f);
}

/* The last reference frees; when only the owner's is left, fs hears that the file is idle. */
void iofile_unref(struct iofile *f)
{
	struct vio *v = f->v;
	void *owner = f->owner;
	bool idle, last;

	lock_take(&v->m);
	last = --f->refs == 0;
	idle = f->refs == 1 && !f->gone;
	lock_drop(&v->m);
	/* If it was not the last, fs may have closed it by now. */
	if (last)
		file_free(f);
	else if (idle && v->p.cb.idle)
		v->p.cb.idle(v->p.cb.ctx, owner);
}

void iofile_mark_dirty(struct iofile *f)
{
	f->changed = true;
	iofile_list_dirty(f);
}

void iofile_list_dirty(struct iofile *f)
{
	struct vio *v = f->v;

	WITH_LOCK(&v->m);
	if (f->in_dirty)
		return;
	f->in_dirty = true;
	f->dirty_no = ++v->dirty_no;
	f->refs++;
	list_add(&v->dirty, f);
}

void iofile_mark_home(struct iofile *f)
{
	struct vio *v = f->v;

	WITH_LOCK(&v->m);
	if (f->in_home || f->gone)
		return;
	f->in_home = true;
	f->refs++;
	f->home_prev = v->home.home_prev;
	f->home_next = &v->home;
	f->home_prev->home_next = f;
	v->home.home_prev = f;
}

/* ---- descriptors. lock: v->fd_m */

static void fd_unlink(struct iofile *f)
{
	if (!f->fd_next)
		return;
	f->fd_prev->fd_next = f->fd_next;
	f->fd_next->fd_prev = f->fd_prev;
	f->fd_prev = f->fd_next = NULL;
}

static bool is_unflushed(struct iofile *f)
{
	return atomic_load(&f->home_gen) != atomic_load(&f->home_flushed);
}

static void fd_link(struct iofile *f)
{
	struct iofile *h = is_unflushed(f) ? &f->v->fd_kept : &f->v->fd_lru;

	f->fd_prev = h->fd_prev;
	f->fd_next = h;
	f->fd_prev->fd_next = f;
	h->fd_prev = f;
}

/* Those with unflushed writes only when there are no others; their next flush then believes nothing (iofile_flush_home). */
static void fd_trim(struct vio *v)
{
	while (v->fds > v->fds_max) {
		struct iofile *o = v->fd_lru.fd_next;

		if (o == &v->fd_lru)
			o = v->fd_kept.fd_next;
		if (o == &v->fd_kept)
			return;
		o->fd_lost |= is_unflushed(o);
		fd_unlink(o);
		lower_close(v->l, o->fd);
		lower_close(v->l, o->fd_direct);
		o->fd = o->fd_direct = -1;
		v->fds--;
	}
}

static bool want_direct(const struct vio *v, bool direct)
{
	return v->p.backing == VIO_BACKING_DIRECT || (v->p.backing == VIO_BACKING_AUTO && direct);
}

int iofile_fd(struct iofile *f, bool direct, int *ret_fd)
{
	struct vio *v = f->v;
	int flags = v->p.read_only ? O_RDONLY : O_RDWR, fd;

	lock_take(&v->fd_m);
	f->fd_pins++;
	fd_unlink(f);
	if (f->fd < 0 && f->gone) {
		f->fd_pins--;
		lock_drop(&v->fd_m);
		return -ESTALE; /* its owner is not there to ask */
	}
	if (f->fd < 0) {
		lock_drop(&v->fd_m);
		fd = v->p.cb.reopen(v->p.cb.ctx, f->owner, flags);
		lock_take(&v->fd_m);
		if (fd >= 0 && f->fd < 0) {
			f->fd = fd;
			v->fds++;
		} else if (fd >= 0) {
			lower_close(v->l, fd);
		}
		if (f->fd < 0) {
			f->fd_pins--;
			lock_drop(&v->fd_m);
			return fd;
		}
	}
	if (want_direct(v, direct) && f->fd_direct == -1) {
		fd = v->l->ops->reopen(v->l, f->fd, flags | O_DIRECT);
		f->fd_direct = fd < 0 ? -2 : fd; /* -2: the backing has none */
	}
	*ret_fd = want_direct(v, direct) && f->fd_direct >= 0 ? f->fd_direct : f->fd;
	fd_trim(v);
	lock_drop(&v->fd_m);
	return 0;
}

void iofile_fd_put(struct iofile *f)
{
	struct vio *v = f->v;

	WITH_LOCK(&v->fd_m);
	if (--f->fd_pins == 0) {
		fd_link(f);
		fd_trim(v);
	}
}

int iofile_pin(struct iofile *f, int *ret_fd)
{
	return iofile_fd(f, false, ret_fd);
}

void iofile_unpin(struct iofile *f)
{
	iofile_fd_put(f);
}

/* ---- keys and identity */

int iofile_keys(struct iofile *f, uint16_t epoch, struct file_keys *own, const struct file_keys **ret_keys)
{
	int r;

	if (f->keys && f->keys_epoch == epoch) {
		*ret_keys = f->keys;
		return 0;
	}
	r = key_ring_file(f->v->p.ring, epoch, f->file_id, own);
	if (r < 0)
		return r;
	*ret_keys = own;
	return 0;
}

static int keys_load(struct iofile *f)
{
	int r;

	f->keys_epoch = key_ring_newest(f->v->p.ring);
	if (!f->keys)
		f->keys = cache_keys_get(f->v);
	if (!f->keys)
		return -ENOMEM;
	r = key_ring_file(f->v->p.ring, f->keys_epoch, f->file_id, f->keys);
	if (r < 0) {
		cache_keys_put(f->v, f->keys);
		f->keys = NULL;
	}
	return r;
}

/* Group 0 exists from here on, all holes. It counts as pending, so the file is on the dirty list from now on: whoever waits for room must be able to
 * commit it, also when the write that asked for an id never takes effect. */
int iofile_assign_id(struct iofile *f)
{
	struct gnode *g = NULL;
	int r;

	if (f->has_id)
		return 0;
	r = secret_random(f->file_id, sizeof(f->file_id));
	if (r < 0)
		return r;
	r = keys_load(f);
	if (r < 0)
		return r;
	r = cache_node_add(f, 0, &g);
	if (r < 0)
		return r;
	g->cur = cache_meta_new(f->keys_epoch);
	if (!g->cur) {
		cache_node_free_if_empty(g);
		return -ENOMEM;
	}
	g->base_empty = true;
	cache_node_mark_changed(g);
	f->cur.alloc_groups = 1;
	f->has_id = true;
	iofile_mark_dirty(f);
	return 0;
}

void iofile_fail(struct iofile *f, int err)
{
	WITH_LOCK(&f->m);
	f->err = err;
	f->err_count++;
}

void iofile_lost(struct iofile *f, int err)
{
	WITH_LOCK(&f->m);
	f->lost_err = err;
	f->lost_count++;
}

/* ---- opening */

#if COFFER_TEST_HOOKS
/* The rule "gaps" switched off: what lies at home decides, not what group 0 says. Not inlined: two aligned blocks make one frame too large. */
static __attribute__((noinline)) void believe_home(struct iofile *f)
{
	uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	struct file_shape was = f->cur;
	struct group_header h;

	for (uint32_t i = 0; i < was.gap_count && !rule_on(&f->v->p, gaps); i++)
		for (uint32_t g = was.gaps[i].first; g < was.gaps[i].first + was.gaps[i].count; g++)
			if (lower_pread_full(f->v->l, f->fd, p, BLOCK_SIZE, layout_group_off(g)) == 0 &&
			    group_open(blockcrypt_get(), f->v->p.ring, f->file_id, g, p, &h) == 0)
				shape_add(&f->cur, g, g);
}
#else
static void believe_home(struct iofile *f)
{
	(void)f;
}
#endif

static int load_group0(struct iofile *f, const uint8_t *p, const struct group_header *h)
{
	struct blockcrypt *bc = blockcrypt_get();
	struct group_header full;
	struct gnode *g;
	int r;

	memcpy(f->file_id, h->file_id, FILE_ID_LEN);
	r = keys_load(f);
	if (r < 0)
		return r;
	r = group_open(bc, f->v->p.ring, f->file_id, 0, p, &full);
	if (r < 0)
		return r;
	lock_take(&f->m);
	r = cache_node_add(f, 0, &g);
	if (r == 0) {
		g->cur = cache_meta_new(full.epoch);
		if (g->cur) {
			memcpy(g->cur->ent, p + HEADER_LEN, ENTRIES_LEN);
			g->cur->entries = full.entries;
			g->cur->header = full.header;
			g->cur->sealed = true;
			g->com = cache_meta_ref(g->cur);
			g->home = cache_meta_ref(g->cur);
			f->cur = f->com = f->home_shape = full.shape;
			believe_home(f);
			f->has_id = f->in_com = true;
			f->has_header = f->header_durable = true;
			cache_node_touch(g);
		} else {
			r = -ENOMEM;
		}
	}
	lock_drop(&f->m);
	return r;
}

int iofile_open(struct vio *v, int fd, const struct stat *st, void *owner, bool created, struct iofile **ret_f)
{
	uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	struct group_header h;
	struct iofile *f;
	int r;

	f = calloc(1, sizeof(*f));
	if (!f) {
		lower_close(v->l, fd);
		return -ENOMEM;
	}
	f->v = v;
	f->owner = owner;
	f->ino = st->st_ino;
	f->dev = st->st_dev;
	f->fd = fd;
	f->fd_direct = -1;
	f->refs = 1;
	f->freed_low = UINT64_MAX;
	f->needs_sync = created;
	lock_rw_init(&f->shape_lock);
	lock_init(&f->m, LOCK_RANK_FILE);
	lock_init(&f->flush_m, LOCK_RANK_FLUSH);
	lock_take(&v->fd_m);
	v->fds++;
	fd_link(f);
	lock_drop(&v->fd_m);
	r = vio_read_header(v, fd, st, p, &h);
	if (r == 1)
		r = load_group0(f, p, &h);
	if (r == 0 && v->l->ops->name_to_handle(v->l, fd, &f->handle) < 0)
		f->handle.len = 0;
	if (r < 0) {
		file_free(f);
		return vio_header_error(v, st, r);
	}
	lock_take(&v->fd_m);
	fd_trim(v);
	lock_drop(&v->fd_m);
	*ret_f = f;
	return 0;
}

bool iofile_is_idle(struct iofile *f)
{
	struct vio *v = f->v;

	WITH_LOCK(&v->m);
	return f->refs == 1;
}

int iofile_close(struct iofile *f)
{
	struct vio *v = f->v;

	lock_take(&v->m);
	if (f->refs != 1) {
		lock_drop(&v->m);
		return -EBUSY;
	}
	f->refs = 0;
	lock_drop(&v->m);
	file_free(f);
	return 0;
}

/* What the lists and a running commit hold goes when they let go; the owner is not called any more. */
void iofile_discard(struct iofile *f)
{
	struct vio *v = f->v;

	lock_take(&v->m);
	f->gone = true;
	if (f->in_dirty || f->in_home || f->refs > 1)
		v->names_due = true;
	if (f->in_dirty) {
		f->dirty_prev->dirty_next = f->dirty_next;
		f->dirty_next->dirty_prev = f->dirty_prev;
		f->in_dirty = false;
		f->refs--;
	}
	if (f->in_home) {
		f->home_prev->home_next = f->home_next;
		f->home_next->home_prev = f->home_prev;
		f->in_home = false;
		f->refs--;
	}
	lock_drop(&v->m);
	iofile_unref(f);
}

uint64_t iofile_size(struct iofile *f)
{
	WITH_LOCK(&f->m);
	return f->cur.size;
}
