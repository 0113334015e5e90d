/* tombstone.c: see tombstone.h. Written at once and not through the log: nobody knows the file before it is whole and flushed. */
#include "io/tombstone.h"

#include <string.h>

#include "base/secret.h"
#include "io/vio_impl.h"

static int seal(struct vio *v, struct group_header *h, uint8_t *p)
{
	struct blockcrypt *bc = blockcrypt_get();
	struct key_tag key;
	uint64_t stamp;
	int r;

	if (!bc)
		return -ENOMEM;
	r = state_stamps(v->state, 2, &stamp);
	if (r == 0)
		r = key_ring_file_tag(v->p.ring, h->epoch, h->file_id, &key);
	if (r < 0)
		return r;
	h->entries.stamp = stamp;
	h->header.stamp = stamp + 1;
	r = group_seal_entries(bc, &key, h, p + HEADER_LEN);
	if (r == 0)
		r = group_seal_header(bc, &key, h);
	keys_wipe(&key);
	if (r == 0)
		group_header_put(h, p);
	return r;
}

int tombstone_put(struct vio *v, int fd, uint8_t ret_file_id[static FILE_ID_LEN])
{
	uint8_t p[BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE))) = { 0 };
	struct group_header h = { .flags = GROUP_FLAG_DAMAGED, .epoch = key_ring_newest(v->p.ring), .shape.alloc_groups = 1 };
	int r;

	r = secret_random(h.file_id, FILE_ID_LEN);
	if (r == 0)
		r = seal(v, &h, p);
	if (r == 0)
		r = lower_pwrite(v->l, fd, p, sizeof(p), 0, false);
	if (r == 0)
		r = v->l->ops->fsync(v->l, fd);
	if (r < 0)
		return r;
	memcpy(ret_file_id, h.file_id, FILE_ID_LEN);
	return 0;
}

bool tombstone_like(const struct group_header *h, uint64_t lower_size)
{
	return h->flags & GROUP_FLAG_DAMAGED && h->shape.size == 0 && h->shape.alloc_groups == 1 && lower_size == BLOCK_SIZE;
}
