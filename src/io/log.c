/* log.c: the commit (L3): who waits, who leads, and the order in which a transaction becomes durable.
 *
 * One commit runs at a time; whoever asks meanwhile joins the next batch. The leader of a batch is one of those that ask. Its steps, per transaction:
 *   1. L7: files without a header get one (an empty file of their file_id)
 *   2. gather under each file's lock
 *   3. flush what was written home early and is named now
 *   4. make room in the log, by a checkpoint if need be
 *   5. write descriptors and blocks; in parallel lower fsyncs of L7; flush
 *   6. names (L7), then the views move on and the waiters are answered
 * Steps 2 to 6 hold no lock but what they say; nobody waits with a file's lock in hand.
 * A write whose flush fails is written again, byte for byte, at its place (nothing is answered meanwhile); if that fails too the volume turns read-only. */
#include "io/log_tx.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/gather_log.h"

#include <string.h>

#define LOG_TRIES 3
#define LOG_REQS 64
#define LOG_IOV 1024

_Static_assert((LOG_REQS - 1) * LOG_IOV >= VIO_TX_BLOCKS_MAX, "one request more where the ring ends");

/* ---- writing the transaction into the ring */

struct ring_write {
	struct ioq_req req[LOG_REQS + VIO_SYNCFS_MIN]; /* the transaction's writes, then lower fsyncs of L7 */
	struct iovec *iov;
	size_t nreq, niov, nsync;
};

static uint8_t *tx_block(const struct tx *tx, size_t part, size_t k)
{
	return k == 0 ? tx->parts[part]->image : tx->blk[tx->parts[part]->first + k - 1]->buf;
}

/* Describe the whole transaction as write requests from position pos on; wraps around the ring, at most LOG_IOV pieces each. -EMSGSIZE: more than
 * LOG_REQS (a transaction never is: VIO_TX_BLOCKS_MAX). */
static int ring_prepare(const struct tx *tx, uint64_t pos, struct ring_write *w)
{
	struct vio *v = tx->v;
	struct ioq_req *q = NULL;

	w->iov = calloc(log_tx_blocks(tx), sizeof(*w->iov));
	if (!w->iov)
		return -ENOMEM;
	for (size_t part = 0; part < tx->nparts; part++) {
		for (size_t k = 0; k <= tx->parts[part]->d.data_blocks; k++, pos++) {
			uint64_t at = pos % v->log_blocks;

			if (!q || at == 0 || q->iovcnt == LOG_IOV) {
				if (w->nreq == LOG_REQS)
					return -EMSGSIZE;
				q = &w->req[w->nreq++];
				*q = (struct ioq_req){ .op = IOQ_WRITE, .fd = v->log_fd, .off = at * BLOCK_SIZE,
						       .iov = &w->iov[w->niov] };
			}
			w->iov[w->niov].iov_base = tx_block(tx, part, k);
			w->iov[w->niov++].iov_len = BLOCK_SIZE;
			q->iovcnt++;
		}
	}
	return 0;
}

/* The next batch has the file whether anything changes or not: a sync of all must not say that it is durable before it is. lock: f->m */
static void still_due(struct iofile *f)
{
	f->needs_sync = true;
	if (!f->gone)
		iofile_list_dirty(f);
}

/* failed: it ran, and failed. The kernel tells that once, so a later flush that succeeds proves nothing of what is due now. */
static void sync_due_again(struct iofile *f, bool failed)
{
	WITH_LOCK(&f->m);
	f->fails += failed;
	still_due(f);
}

/* Lower fsyncs of L7 run beside the log's flush. A file that cannot be reached fails alone. */
static void sync_prepare(struct tx *tx, struct ring_write *w)
{
	int fd, r;

	if (tx->nsync > VIO_SYNCFS_MIN || !rule_on(&tx->v->p, l7))
		return;
	for (size_t i = 0; i < tx->nsync; i++) {
		r = iofile_fd(tx->sync[i], false, &fd);
		if (r == 0 && tx->sync[i]->fd_lost) { /* an fsync of this descriptor proves nothing of what another one wrote */
			r = iofile_flush_home(tx->sync[i]);
			if (r < 0)
				iofile_fd_put(tx->sync[i]);
		}
		if (r < 0) {
			iofile_fail(tx->sync[i], r);
			sync_due_again(tx->sync[i], false);
			tx->sync_err = r;
			continue;
		}
		w->req[w->nreq + w->nsync++] = (struct ioq_req){ .op = IOQ_FSYNC, .fd = fd, .user = tx->sync[i] };
	}
}

static void sync_finish(struct tx *tx, struct ring_write *w, bool ran)
{
	for (size_t i = 0; i < w->nsync; i++) {
		struct ioq_req *q = &w->req[w->nreq + i];
		struct iofile *f = q->user;

		iofile_fd_put(f);
		if (ran && q->result >= 0)
			continue;
		tx->sync_err = ran ? (int)q->result : -EIO;
		iofile_lost(f, tx->sync_err);
		sync_due_again(f, ran);
	}
}

/* Write and flush. One or two requests are written with the flush in them. *sync: L7's fsyncs go along, if they have not been tried yet. */
static int ring_write_once(struct tx *tx, uint64_t pos, bool write, bool *sync)
{
	struct vio *v = tx->v;
	struct ioq *q = vio_ioq(v);
	struct ring_write *w;
	int r = 0;

	w = q ? calloc(1, sizeof(*w)) : NULL;
	if (!w)
		return -ENOMEM;
	if (write)
		r = ring_prepare(tx, pos, w);
	for (size_t i = 0; i < w->nreq && w->nreq <= 2; i++)
		w->req[i].op = IOQ_WRITE_DSYNC;
	if (r == 0 && *sync) {
		*sync = false;
		sync_prepare(tx, w);
	}
	if (r == 0 && w->nreq + w->nsync > 0) {
		(void)!ioq_run(q, w->req, w->nreq + w->nsync);
		for (size_t i = 0; i < w->nreq && r == 0; i++)
			r = w->req[i].result < 0 ? (int)w->req[i].result : 0;
	}
	sync_finish(tx, w, r == 0 || w->nreq > 0);
	if (r == 0 && w->nreq != 1 && w->nreq != 2 && log_tx_blocks(tx) > 0)
		r = v->l->ops->fdatasync(v->l, v->log_fd);
	free(w->iov);
	free(w);
	return r;
}

static int write_log(struct tx *tx, uint64_t pos)
{
	struct vio *v = tx->v;
	bool write = true, sync = true;
	int r;

	for (int i = 0; i < LOG_TRIES; i++) {
		r = ring_write_once(tx, pos, write, &sync);
		if (r == 0)
			return 0;
		log_warning("coffer.log: writing transaction %llu failed (%s); writing it again",
			    (unsigned long long)tx->seq, err_text(r));
		write = rule_on(&v->p, reflush);
	}
	vio_turn_read_only(v, "coffer.log cannot be written", r);
	return -EROFS;
}

/* ---- L7 */

/* What follows the lower fsyncs: the names that lead to the files. Many new files: one flush of everything. */
static int sync_names(struct tx *tx)
{
	struct vio *v = tx->v;
	int r, ret = 0;

	if (tx->nsync == 0 || !rule_on(&v->p, l7))
		return 0;
	if (tx->nsync > VIO_SYNCFS_MIN) {
		r = v->l->ops->syncfs(v->l, v->p.root_fd);
		for (size_t i = 0; i < tx->nsync && r < 0; i++) {
			iofile_lost(tx->sync[i], r);
			sync_due_again(tx->sync[i], true);
		}
		return r;
	}
	for (size_t i = 0; i < tx->nsync; i++) {
		struct iofile *f = tx->sync[i];

		r = v->p.cb.sync_names && !f->gone ? v->p.cb.sync_names(v->p.cb.ctx, f->owner) : 0;
		if (r < 0) {
			iofile_lost(f, r);
			ret = r;
		}
	}
	return ret;
}

/* The flags are cleared before the fsync, so that a change that comes meanwhile asks for another; who finds them cleared waits for this batch. */
static int collect_sync(struct tx *tx, struct iofile *f)
{
	bool due;
	int r;

	lock_take(&f->m);
	due = f->needs_sync || f->attr_sync;
	f->needs_sync = f->attr_sync = false;
	f->sync_gen = f->home_gen;
	if (due)
		f->named_ticket = f->v->ticket_next - 1; /* the batch that runs */
	lock_drop(&f->m);
	r = due ? log_tx_add_sync(tx, f) : 0;
	if (r < 0)
		sync_due_again(f, false);
	return r;
}

static void sync_done(struct tx *tx, int err)
{
	for (size_t i = 0; i < tx->nsync; i++) {
		struct iofile *f = tx->sync[i];
		bool ok;

		lock_take(&f->m);
		ok = err == 0 && !f->needs_sync && f->fails == f->mended;
		if (err < 0)
			still_due(f);
		else if (ok)
			f->header_durable = atomic_load(&f->has_header);
		lock_drop(&f->m);
		if (ok && rule_on(&tx->v->p, l7))
			iofile_flushed(f, f->sync_gen);
	}
}

/* ---- one transaction */

static int make_room(struct vio *v, uint64_t need)
{
	int r = 0;

	if (need + 1 > v->log_blocks)
		return -EFBIG;
	for (int i = 0; i < 3; i++) {
		if (atomic_load(&v->head) + need - atomic_load(&v->tail) < v->log_blocks || !rule_on(&v->p, logfull))
			return 0;
		r = checkpoint_run(v);
		if (r < 0 && r != -ENOMEM)
			return r;
	}
	return r < 0 ? r : -ENOSPC;
}

/* Before a commit may name what was written home. L7's header alone is flushed by its own fsync, beside the log. */
static int flush_named(struct iofile *f)
{
	bool beside;

	lock_take(&f->m);
	beside = iofile_only_header_due(f);
	lock_drop(&f->m);
	return beside ? 0 : iofile_flush_home(f);
}

static int flush_early(struct tx *tx)
{
	int r, ret = 0;

	if (!rule_on(&tx->v->p, homeflush))
		return 0;
	for (size_t i = 0; i < tx->nfiles; i++) {
		r = flush_named(tx->files[i]);
		if (r < 0)
			ret = r;
	}
	return ret;
}

/* Sealing takes memory (OpenSSL's contexts), and there is no way back: a moment without any must not cost the volume. */
static int seal(struct tx *tx)
{
	int r = -ENOMEM;

	for (int i = 0; i < LOG_TRIES && r == -ENOMEM; i++)
		r = log_tx_seal(tx);
	return r;
}

/* The transaction has been gathered: from here on there is no way back but read-only. */
static int commit_tx(struct tx *tx)
{
	struct vio *v = tx->v;
	uint64_t need = log_tx_blocks(tx), pos = 0, began = meter_now_ns();
	bool sync = true;
	int r, rs;

	if (need > 0) {
		gather_log_between(v);
		r = flush_early(tx);
		if (r == 0)
			r = make_room(v, need);
		if (r == 0)
			r = seal(tx);
		if (r < 0) {
			vio_turn_read_only(v, "a commit failed", r);
			return r;
		}
		pos = atomic_load(&v->head);
		r = write_log(tx, pos);
	} else {
		r = tx->nsync ? ring_write_once(tx, 0, false, &sync) : 0;
	}
	if (r < 0) {
		sync_done(tx, r); /* still due */
		for (size_t i = 0; i < tx->nsync; i++)
			iofile_fail(tx->sync[i], r);
		return r;
	}
	rs = sync_names(tx);
	sync_done(tx, rs);
	if (need > 0) {
		atomic_store(&v->head, pos + need);
		/* what this transaction says of durable is durable itself now */
		if (atomic_load(&v->vouched) < atomic_load(&v->durable))
			atomic_store(&v->vouched, atomic_load(&v->durable));
		atomic_store(&v->seq, tx->seq);
		atomic_store(&v->durable, tx->seq);
		log_tx_finish(tx);
		/* Only now: a checkpoint that moves the tail behind this transaction must find its files on the home list. */
		lock_take(&v->commit_m);
		v->done_seq = tx->seq;
		v->done_pos = pos + need;
		lock_drop(&v->commit_m);
		atomic_fetch_add(&v->commits, 1);
		meter_since(&v->commit_time, began);
		atomic_store(&v->last_commit_ms, clock_boot_ms());
	}
	return rs < 0 ? rs : tx->sync_err;
}

/* ---- one batch */

static bool tx_is_full(const struct tx *tx)
{
	return log_tx_blocks(tx) >= tx->v->pend_hard || tx->nsync >= 4096;
}

/* What could not be committed is still pending: it counts for whoever waits for room, keeps the file open, and is tried again. */
static void back_on_dirty(struct iofile *f)
{
	WITH_LOCK(&f->m);
	if ((f->changed || f->needs_sync) && !f->gone)
		iofile_list_dirty(f);
}

static int add_to_tx(struct tx *tx, struct iofile *f)
{
	int r = 0;

	if (f->gone)
		return 0;
	if (f->changed)
		r = iofile_ident(f, false);
	/* A flush that fails before the file is gathered costs this file's fsync alone. It is also for a file that is here for its lower fsync alone: behind one that
	 * failed, that proves nothing before all was written again. */
	if (r == 0 && rule_on(&tx->v->p, homeflush))
		r = flush_named(f);
	if (r == 0 && f->changed)
		r = log_tx_gather(tx, f);
	if (r == 0)
		r = collect_sync(tx, f);
	if (r == -ESTALE && f->gone)
		return 0; /* discarded meanwhile: nobody asks for it */
	if (r < 0) {
		iofile_fail(f, r);
		back_on_dirty(f);
	}
	return r;
}

/* Take a file off v->dirty (a write from now on puts it back). True: it was on. */
static void off_dirty(struct iofile *f)
{
	struct vio *v = f->v;
	bool was;

	lock_take(&v->m);
	was = f->in_dirty;
	if (was) {
		f->dirty_prev->dirty_next = f->dirty_next;
		f->dirty_next->dirty_prev = f->dirty_prev;
		f->in_dirty = false;
	}
	lock_drop(&v->m);
	if (was)
		iofile_unref(f);
}

/* The first of the list, if it was there when last was the newest number. */
static struct iofile *next_dirty(struct vio *v, uint64_t last)
{
	struct iofile *f;

	WITH_LOCK(&v->m);
	f = v->dirty.dirty_next;
	if (f == &v->dirty || f->dirty_no > last)
		return NULL;
	f->refs++;
	return f;
}

/* From here on whoever asks for f joins the next batch; returns what came behind it in this one. */
static struct iofile *unjoin(struct iofile *f)
{
	WITH_LOCK(&f->v->commit_m);
	f->joined = false;
	return f->join_next;
}

static void drop_list(struct iofile *f)
{
	struct iofile *next;

	for (; f; f = next) {
		next = unjoin(f);
		iofile_unref(f);
	}
}

static int run_list(struct vio *v, struct iofile *list)
{
	struct iofile *f = list, *next;
	struct tx tx;
	int r, ret = 0;

	while (f) {
		log_tx_init(&tx, v);
		tx.seq = atomic_load(&v->seq) + 1;
		for (; f && !tx_is_full(&tx); f = next) {
			next = unjoin(f);
			off_dirty(f);
			r = add_to_tx(&tx, f);
			if (r < 0)
				ret = r;
			iofile_unref(f);
		}
		r = commit_tx(&tx);
		log_tx_done(&tx);
		if (r < 0)
			ret = r;
		if (vio_is_read_only(v)) { /* what failed may be in the log: nothing else may take its place */
			drop_list(f);
			break;
		}
	}
	return ret;
}

/* Files that become dirty meanwhile, or are put back because they failed, are not this batch's. */
static int run_all(struct vio *v)
{
	struct iofile *f;
	bool end = false;
	uint64_t last;
	struct tx tx;
	int r, ret = 0;

	lock_take(&v->m);
	last = v->dirty_no;
	lock_drop(&v->m);
	while (!end) {
		log_tx_init(&tx, v);
		tx.seq = atomic_load(&v->seq) + 1;
		while (!tx_is_full(&tx)) {
			f = next_dirty(v, last);
			if (!f) {
				end = true;
				break;
			}
			if (f->in_fl) { /* written again since this transaction gathered it: a transaction names a file once */
				iofile_unref(f);
				break;
			}
			off_dirty(f);
			r = add_to_tx(&tx, f);
			if (r < 0)
				ret = r;
			iofile_unref(f);
		}
		r = commit_tx(&tx);
		log_tx_done(&tx);
		if (r < 0)
			ret = r;
		if (vio_is_read_only(v))
			break;
	}
	return ret;
}

/* lock: v->commit_m, held again on return */
static void lead(struct vio *v)
{
	struct iofile *list = take_ptr(v->join);
	bool all = v->join_all;
	uint64_t ticket = v->ticket_next++;
	int r = 0;

	v->commit_running = true;
	v->join_all = false;
	lock_drop(&v->commit_m);
	if (vio_is_read_only(v)) {
		r = -EROFS;
		drop_list(list);
	} else {
		r = run_list(v, list);
		if (all && !vio_is_read_only(v)) {
			int ra = run_all(v);

			r = ra < 0 ? ra : r;
		}
	}
	lock_take(&v->commit_m);
	if (r < 0) {
		v->batch_err = r;
		v->batch_err_count++;
	}
	v->ticket_done = ticket;
	v->commit_running = false;
	pthread_cond_broadcast(&v->commit_cond);
}

static void join(struct vio *v, struct iofile *f)
{
	if (!f) {
		v->join_all = true;
		return;
	}
	if (f->joined)
		return;
	f->joined = true;
	iofile_ref(f);
	f->join_next = v->join;
	v->join = f;
}

int log_commit(struct vio *v, struct iofile *f)
{
	uint64_t ticket, errs;
	int r = 0;

	WITH_LOCK(&v->commit_m);
	errs = v->batch_err_count;
	join(v, f);
	ticket = v->ticket_next;
	while (v->ticket_done < ticket) {
		if (v->commit_running)
			lock_wait(&v->commit_m, &v->commit_cond);
		else
			lead(v);
	}
	if (!f && v->batch_err_count != errs)
		r = v->batch_err;
	return vio_is_read_only(v) ? -EROFS : r;
}

void log_turn_take(struct vio *v)
{
	WITH_LOCK(&v->commit_m);
	while (v->commit_running)
		lock_wait(&v->commit_m, &v->commit_cond);
	v->commit_running = true;
}

void log_turn_drop(struct vio *v)
{
	WITH_LOCK(&v->commit_m);
	v->commit_running = false;
	pthread_cond_broadcast(&v->commit_cond);
}

static void wait_ticket(struct vio *v, uint64_t ticket)
{
	WITH_LOCK(&v->commit_m);
	while (v->ticket_done < ticket && v->commit_running)
		lock_wait(&v->commit_m, &v->commit_cond);
}

int iofile_fsync(struct iofile *f, bool attr_changed)
{
	struct vio *v = f->v;
	bool pending;
	uint64_t ticket, errs, told;
	int r = 0;

	lock_take(&f->m);
	errs = f->err_count;
	told = f->lost_told;
	if (attr_changed)
		f->attr_sync = true;
	pending = f->changed || f->needs_sync || f->attr_sync;
	ticket = f->named_ticket;
	lock_drop(&f->m);
	if (pending) {
		if (rule_on(&v->p, homeflush))
			r = iofile_flush_home(f); /* outside the commit's turn, which flushes only what came since */
		if (r == 0)
			r = log_commit(v, f);
	} else {
		wait_ticket(v, ticket);
		if (vio_is_read_only(v) && !v->p.read_only)
			r = -EROFS; /* what was gathered last may have failed with the log */
	}
	lock_take(&f->m);
	if (f->err_count != errs)
		r = f->err;
	if (f->lost_count != told) {
		r = f->lost_err;
		f->lost_told = f->lost_count;
	}
	lock_drop(&f->m);
	return r;
}
