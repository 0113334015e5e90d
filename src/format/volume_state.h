/* volume_state.h: a slot of coffer.state (docs/format.md section 4). Pure. */
#ifndef COFFER_FORMAT_VOLUME_STATE_H
#define COFFER_FORMAT_VOLUME_STATE_H

#include "format/layout.h"

#define STATE_SLOT_LEN 4096
#define STATE_SLOTS 2
#define GENERATION_LEN 16
#define HANDLE_LEN_MAX 128
#define STATE_FLAG_CLEAN 1u

struct lower_handle {
	uint16_t type;
	uint16_t len;            /* 0: none */
	uint8_t bytes[HANDLE_LEN_MAX];
};

struct volume_state {
	uint64_t serial;
	uint64_t stamp_limit;
	uint8_t generation[GENERATION_LEN];
	uint64_t log_blocks;
	uint64_t tail;
	uint64_t tail_sequence;
	uint64_t durable;
	uint32_t flags;
	struct lower_handle root_handle;
	uint64_t fsid;
};

/* Seal s for slot 0 or 1 under the newest epoch; nonce: 8 random bytes of the caller. */
int volume_state_seal(struct blockcrypt *bc, const struct key_ring *ring, const struct volume_state *s, unsigned slot,
		      uint64_t nonce, uint8_t ret_p[static STATE_SLOT_LEN]) must_check;
/* Without a key: form alone, neither uuid nor tag; nothing in it may be believed. -EUCLEAN, -EOPNOTSUPP (version). */
int volume_state_parse(const uint8_t p[static STATE_SLOT_LEN], struct volume_state *ret_s) must_check;
/* The uuid of a slot that has the form of one; as little to be believed. -EUCLEAN, -EOPNOTSUPP. */
int volume_state_uuid(const uint8_t p[static STATE_SLOT_LEN], uint8_t ret_uuid[static UUID_LEN]) must_check;
/* -EBADMSG tag or uuid, -EUCLEAN form, -EOPNOTSUPP version. */
int volume_state_open(struct blockcrypt *bc, const struct key_ring *ring, unsigned slot,
		      const uint8_t p[static STATE_SLOT_LEN], struct volume_state *ret_s) must_check;

#endif
