/* backup_reuse.c: a window of a file that has changed need not be read, if the metadata blocks of its groups are those of the copy that is in the store: every
 * change of a block's committed content gives its entry a stamp that was never used, and the group's seals with it. So 64 KiB tell of 8 MiB. Only windows
 * that verified when they were copied have a number here; what lies where no entry names anything may differ, and means nothing. */
#include "backup/backup_impl.h"

#include <string.h>

#include "base/hash.h"

static uint64_t number(const uint8_t metas[static BACKUP_METAS_LEN])
{
	uint64_t h = hash_bytes(metas, BACKUP_METAS_LEN);

	return h ? h : 1;
}

uint64_t backup_reuse_meta(uint8_t metas[static BACKUP_METAS_LEN], const uint8_t *window, size_t len)
{
	memset(metas, 0, BACKUP_METAS_LEN);
	for (unsigned i = 0; i < BACKUP_WINDOW_GROUPS; i++) {
		size_t at = i * (size_t)GROUP_LOWER, n = len > at ? len - at : 0;

		memcpy(metas + i * (size_t)BLOCK_SIZE, window + (n ? at : 0), n < BLOCK_SIZE ? n : BLOCK_SIZE);
	}
	return number(metas);
}

/* The pieces of the old state that are those of the unit: where they begin, or NULL. */
static const struct record_piece *old_pieces(struct backup *b, const struct backup_unit *u)
{
	const struct backup_cache_file *old = &u->item->old;
	const struct record_piece *now = u->item->now.pieces + u->first;
	uint64_t low = 0, high = old->n;
	bool ok = true;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (old->pieces[mid].off < now[0].off)
			low = mid + 1;
		else
			high = mid;
	}
	if (old->n - low < u->n || old->metas[low] == 0)
		return NULL;
	WITH_LOCK(&b->pool.m);
	for (uint64_t i = 0; i < u->n && ok; i++) {
		const struct record_piece *e = &old->pieces[low + i];

		ok = e->off == now[i].off && e->len == now[i].len &&
		     (e->packed ? backup_set_find(&b->packs, e->pack) : backup_set_find(&b->segments, e->hash));
	}
	return ok ? &old->pieces[low] : NULL;
}

int backup_reuse_window(struct backup *b, int fd, uint8_t metas[static BACKUP_METAS_LEN], const struct backup_unit *u)
{
	const struct record_piece *e = u->item->checked && u->item->old.n > 0 ? old_pieces(b, u) : NULL;
	uint64_t base = u->window * BACKUP_WINDOW_LEN, size = u->item->key.size, meta;

	if (!e)
		return 0;
	memset(metas, 0, BACKUP_METAS_LEN);
	for (unsigned i = 0; i < BACKUP_WINDOW_GROUPS; i++) {
		uint64_t at = base + i * (uint64_t)GROUP_LOWER;
		ssize_t n = at < size ? pread(fd, metas + i * (size_t)BLOCK_SIZE, BLOCK_SIZE, (off_t)at) : 0;

		if (n < 0)
			return 0; /* reading all of it says why */
	}
	meta = number(metas);
	if (meta != u->item->old.metas[e - u->item->old.pieces])
		return 0;
	memcpy(u->item->now.pieces + u->first, e, u->n * sizeof(*e));
	WITH_LOCK(&b->pool.m);
	for (uint64_t i = 0; i < u->n; i++) {
		u->item->now.metas[u->first + i] = meta;
		b->counts.bytes_kept += e[i].len;
	}
	return 1;
}
