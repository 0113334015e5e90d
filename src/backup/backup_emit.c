/* backup_emit.c: items that are done become records, in the order of the walk: into the Merkle tree, the lists, and what the next run may know. */
#include "backup/backup_impl.h"

#include <string.h>

#include "crypt/digest.h"
#include "format/layout.h"

#define NUMBER_AT 44u                    /* in an ENTRY record (record.c) */

void backup_item_free(struct backup *b, struct backup_item *item)
{
	if (!item)
		return;
	backup_dir_unref(b, item->dir);
	backup_clone_close(b, item->clone_fd);
	free(item->record);
	backup_cache_file_done(&item->now);
	backup_cache_file_done(&item->old);
	free(item);
}

/* ---- records and lists */

static int list_end(struct backup *b)
{
	struct manifest *m = &b->manifest;
	struct manifest_list *l;
	struct store_error err = { 0 };
	bool there;
	int r;

	if (b->list_records == 0)
		return 0;
	if (m->nlists == MANIFEST_LISTS_MAX)
		return -EFBIG;
	if (m->nlists == b->lists_max) {
		size_t max = b->lists_max ? b->lists_max * 2 : 4;
		void *more = reallocarray(m->lists, max, sizeof(*m->lists));

		if (!more)
			return -ENOMEM;
		m->lists = more;
		b->lists_max = max;
	}
	l = &m->lists[m->nlists];
	record_list_end(&b->list, b->list_records);
	*l = (struct manifest_list){ .len = (uint32_t)b->list.len, .records = b->list_records };
	r = digest_sha256(b->list.p, b->list.len, l->hash);
	there = r == 0 && backup_set_find(&b->lists, l->hash); /* the same list of an earlier snapshot */
	if (r == 0 && !there && b->frozen) {
		lock_take(&b->pool.m);
		r = backup_spool_add(b, REPO_LIST, l->hash, b->list.p, b->list.len);
		lock_drop(&b->pool.m);
	}
	if (r == -ENOBUFS || (r == 0 && !there && !b->p->hold)) /* no room: at once, as objects are */
		r = b->p->dry_run ? 0 : repo_put(&b->repo, REPO_LIST, l->hash, b->list.p, b->list.len, &err);
	if (r < 0) {
		pool_fail(&b->pool, r, &err);
		return r;
	}
	m->nlists++;
	b->list.len = 0;
	b->list_records = 0;
	return 0;
}

static int record_out(struct backup *b, const uint8_t *p, size_t len)
{
	int r = 0;

	if (b->list_records > 0 && b->list.len + 4 + len > RECORD_LIST_MAX)
		r = list_end(b);
	if (r == 0 && b->list_records == 0)
		r = record_list_begin(&b->list);
	if (r == 0)
		r = record_list_add(&b->list, p, len);
	if (r == 0)
		r = merkle_add(&b->merkle, p, len);
	b->list_records += r == 0;
	return r;
}

static int emit(struct backup *b, struct backup_item *item)
{
	uint64_t n = item->now.n;
	int r;

	if (item->is_file)
		layout_put64(item->record + NUMBER_AT, n);
	r = record_out(b, item->record, item->record_len);
	for (uint64_t i = 0; i < n && r == 0; i += RECORD_PIECES_MAX) {
		b->record.len = 0;
		r = record_put_pieces(&b->record, item->now.pieces + i, n - i < RECORD_PIECES_MAX ? (size_t)(n - i) : RECORD_PIECES_MAX);
		if (r == 0)
			r = record_out(b, b->record.p, b->record.len);
	}
	b->manifest.entries++;
	for (uint64_t i = 0; i < n; i++)
		b->manifest.bytes += item->now.pieces[i].len;
	if (r == 0 && item->is_file && b->writer.fd >= 0)
		r = backup_cache_add(&b->writer, &item->key, &item->now, item->cacheable && !item->rotten);
	return r;
}

/* ---- the queue */

static bool is_done(struct backup *b, const struct backup_item *item)
{
	WITH_LOCK(&b->pool.m);
	return item->work == 0;
}

int backup_emit_until(struct backup *b, size_t max)
{
	struct backup_item *item;
	int r = 0;

	if (b->nitems > max && b->items && !is_done(b, b->items)) /* what it waits for may still be with us */
		r = backup_plan_flush(b);
	while (r == 0 && (item = b->items)) {
		if (!is_done(b, item)) {
			if (b->nitems <= max)
				break;
			r = backup_work_wait(b);
			continue;
		}
		r = pool_error(&b->pool); /* of work that failed nothing is told */
		if (r == 0)
			r = emit(b, item);
		if (r < 0)
			break;
		b->items = item->next;
		if (!b->items)
			b->items_end = &b->items;
		b->nitems--;
		backup_item_free(b, item);
	}
	return r;
}

int backup_emit_end(struct backup *b)
{
	int r;

	r = backup_plan_flush(b);
	if (r == 0)
		r = backup_emit_until(b, 0);
	if (r == 0)
		r = list_end(b);
	return r < 0 ? r : merkle_root(&b->merkle, b->manifest.root);
}
