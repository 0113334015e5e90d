/* config_fixture.h: a coffer.volume for tests that need no agent: one slot that nobody can open, of tenant demo. */
#ifndef COFFER_TESTS_CONFIG_FIXTURE_H
#define COFFER_TESTS_CONFIG_FIXTURE_H

#include "format/volume_config.h"

#include <string.h>

/* All but the key ring and the MAC. */
static inline void config_fixture_fill(struct volume_config *c, const uint8_t uuid[static UUID_LEN])
{
	memset(c, 0, sizeof(*c));
	memcpy(c->uuid, uuid, UUID_LEN);
	memcpy(c->tenant, "demo", 5);
	memcpy(c->created, "2026-11-24T00:00:00Z", 21);
	c->config_version = 1;
	c->epoch = 1;
	c->slot_count = 1;
	memcpy(c->slots[0].kms, "local:test", 11);
	memcpy(c->slots[0].created, c->created, sizeof(c->created));
	c->slots[0].wrapped_kek_len = SEALED_ROOT_LEN;
	c->slots[0].active = true;
}

#endif
