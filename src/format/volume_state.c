/* volume_state.c: see volume_state.h; implements docs/format.md section 4.
 *
 * All of a slot that means something is its first sector, so that a torn write leaves the old slot or the new one. The other
 * 3584 bytes are zero in every slot a reader takes. */
#include "format/volume_state.h"

#include <string.h>

#include "format/log_record.h"

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_EPOCH = 6,
	AT_UUID = 8,
	AT_SERIAL = 24,
	AT_STAMP_LIMIT = 32,
	AT_GENERATION = 40,
	AT_LOG_BLOCKS = 56,
	AT_TAIL = 64,
	AT_TAIL_SEQUENCE = 72,
	AT_DURABLE = 80,
	AT_FLAGS = 88,
	AT_ROOT_HANDLE_TYPE = 92,
	AT_ROOT_HANDLE_LEN = 94,
	AT_ROOT_HANDLE = 96,
	AT_FSID = 224,
	AT_ZERO = 232,
	AT_NONCE = 488,
	AT_TAG = 496,
};

#define STATE_MAGIC "CFRS"
#define MAGIC_LEN 4

_Static_assert(AT_ROOT_HANDLE + HANDLE_LEN_MAX == AT_FSID, "docs/format.md says so");
_Static_assert(AT_TAG + TAG_LEN == SECTOR_SIZE, "docs/format.md says so");

static struct egmac_msg slot_msg(const struct key_ring *ring, uint16_t epoch, unsigned slot, uint64_t nonce)
{
	return (struct egmac_msg){
		.label = 'S', .epoch = epoch, .number = slot, .id = key_ring_uuid(ring), .stamp = nonce,
	};
}

static bool state_in_limits(const struct volume_state *s)
{
	return s->log_blocks >= LOG_BLOCKS_MIN && s->log_blocks <= LOG_BLOCKS_MAX && !(s->flags & ~STATE_FLAG_CLEAN) &&
	       s->root_handle.len <= HANDLE_LEN_MAX;
}

static void state_put(const struct volume_state *s, uint8_t *p)
{
	memset(p, 0, STATE_SLOT_LEN);
	memcpy(p + AT_MAGIC, STATE_MAGIC, MAGIC_LEN);
	layout_put16(p + AT_VERSION, FORMAT_VERSION);
	layout_put64(p + AT_SERIAL, s->serial);
	layout_put64(p + AT_STAMP_LIMIT, s->stamp_limit);
	memcpy(p + AT_GENERATION, s->generation, GENERATION_LEN);
	layout_put64(p + AT_LOG_BLOCKS, s->log_blocks);
	layout_put64(p + AT_TAIL, s->tail);
	layout_put64(p + AT_TAIL_SEQUENCE, s->tail_sequence);
	layout_put64(p + AT_DURABLE, s->durable);
	layout_put32(p + AT_FLAGS, s->flags);
	layout_put16(p + AT_ROOT_HANDLE_TYPE, s->root_handle.type);
	layout_put16(p + AT_ROOT_HANDLE_LEN, s->root_handle.len);
	memcpy(p + AT_ROOT_HANDLE, s->root_handle.bytes, s->root_handle.len);
	layout_put64(p + AT_FSID, s->fsid);
}

int volume_state_seal(struct blockcrypt *bc, const struct key_ring *ring, const struct volume_state *s, unsigned slot,
		      uint64_t nonce, uint8_t ret_p[static STATE_SLOT_LEN])
{
	struct egmac_msg msg = slot_msg(ring, key_ring_newest(ring), slot, nonce);
	uint8_t p[STATE_SLOT_LEN];
	struct key_tag key;
	int r;

	if (slot >= STATE_SLOTS || !state_in_limits(s))
		return -EINVAL;
	state_put(s, p);
	layout_put16(p + AT_EPOCH, msg.epoch);
	memcpy(p + AT_UUID, msg.id, UUID_LEN);
	layout_put64(p + AT_NONCE, nonce);
	r = key_ring_state_tag(ring, msg.epoch, &key);
	if (r < 0)
		return r;
	r = blockcrypt_tag(bc, &key, &msg, p, AT_TAG, p + AT_TAG);
	keys_wipe(&key);
	if (r < 0)
		return r;
	memcpy(ret_p, p, STATE_SLOT_LEN);
	return 0;
}

int volume_state_parse(const uint8_t p[static STATE_SLOT_LEN], struct volume_state *ret_s)
{
	struct volume_state s = {
		.serial = layout_get64(p + AT_SERIAL),
		.stamp_limit = layout_get64(p + AT_STAMP_LIMIT),
		.log_blocks = layout_get64(p + AT_LOG_BLOCKS),
		.tail = layout_get64(p + AT_TAIL),
		.tail_sequence = layout_get64(p + AT_TAIL_SEQUENCE),
		.durable = layout_get64(p + AT_DURABLE),
		.flags = layout_get32(p + AT_FLAGS),
		.root_handle.type = layout_get16(p + AT_ROOT_HANDLE_TYPE),
		.root_handle.len = layout_get16(p + AT_ROOT_HANDLE_LEN),
		.fsid = layout_get64(p + AT_FSID),
	};

	if (memcmp(p + AT_MAGIC, STATE_MAGIC, MAGIC_LEN) != 0)
		return -EUCLEAN;
	if (layout_get16(p + AT_VERSION) != FORMAT_VERSION)
		return -EOPNOTSUPP;
	if (!state_in_limits(&s))
		return -EUCLEAN;
	if (!layout_is_zero(p + AT_ROOT_HANDLE + s.root_handle.len, (size_t)HANDLE_LEN_MAX - s.root_handle.len) ||
	    !layout_is_zero(p + AT_ZERO, AT_NONCE - AT_ZERO) ||
	    !layout_is_zero(p + SECTOR_SIZE, STATE_SLOT_LEN - SECTOR_SIZE))
		return -EUCLEAN;
	memcpy(s.generation, p + AT_GENERATION, GENERATION_LEN);
	memcpy(s.root_handle.bytes, p + AT_ROOT_HANDLE, s.root_handle.len);
	*ret_s = s;
	return 0;
}

int volume_state_uuid(const uint8_t p[static STATE_SLOT_LEN], uint8_t ret_uuid[static UUID_LEN])
{
	struct volume_state s;
	int r;

	r = volume_state_parse(p, &s);
	if (r == 0)
		memcpy(ret_uuid, p + AT_UUID, UUID_LEN);
	return r;
}

int volume_state_open(struct blockcrypt *bc, const struct key_ring *ring, unsigned slot,
		      const uint8_t p[static STATE_SLOT_LEN], struct volume_state *ret_s)
{
	struct egmac_msg msg = slot_msg(ring, layout_get16(p + AT_EPOCH), slot, layout_get64(p + AT_NONCE));
	struct volume_state s;
	struct key_tag key;
	int r;

	if (slot >= STATE_SLOTS)
		return -EINVAL;
	r = volume_state_parse(p, &s);
	if (r < 0)
		return r;
	if (memcmp(p + AT_UUID, msg.id, UUID_LEN) != 0)
		return -EBADMSG;
	r = key_ring_state_tag(ring, msg.epoch, &key);
	if (r < 0)
		return r == -ENOKEY ? -EBADMSG : r; /* no such epoch: no tag of it is good */
	r = blockcrypt_tag_check(bc, &key, &msg, p, AT_TAG, p + AT_TAG);
	keys_wipe(&key);
	if (r < 0)
		return r;
	*ret_s = s;
	return 0;
}
