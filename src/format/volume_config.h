/* volume_config.h: coffer.volume (docs/format.md section 3). Pure.
 * Two steps, because the key is inside: volume_config_parse believes nothing and finds the slots; volume_config_verify checks the
 * MAC with the root key that a slot gave, and opens the key ring. */
#ifndef COFFER_FORMAT_VOLUME_CONFIG_H
#define COFFER_FORMAT_VOLUME_CONFIG_H

#include "crypt/keys.h"

#include <stdbool.h>

#define VOLUME_CONFIG_MAX (256 * 1024)
#define TENANT_LEN_MAX 64
#define SLOTS_MAX 16
#define KMS_URI_MAX 512
#define WRAPPED_KEK_MAX 8192
#define KEY_VERSION_MAX 256
#define TIME_TEXT_MAX 32

struct key_slot {
	char kms[KMS_URI_MAX + 1];
	char key_version[KEY_VERSION_MAX + 1];
	uint8_t wrapped_kek[WRAPPED_KEK_MAX];
	size_t wrapped_kek_len;
	uint8_t sealed_root[SEALED_ROOT_LEN];
	uint8_t commitment[COMMITMENT_LEN];
	char created[TIME_TEXT_MAX];
	bool active;
};

struct volume_config {
	uint8_t uuid[UUID_LEN];
	char tenant[TENANT_LEN_MAX + 1];
	uint64_t config_version;
	char created[TIME_TEXT_MAX];
	uint16_t epoch;          /* of the MAC line */
	bool read_only_only;     /* an unknown ro_compat feature */
	size_t slot_count;
	struct key_slot slots[SLOTS_MAX];
	uint8_t key_ring[KEY_RING_LEN_MAX];
	size_t key_ring_len;
};

/* 1..TENANT_LEN_MAX of A-Z a-z 0-9 _ - and, not first, dot. */
bool volume_config_tenant_ok(const char *tenant);
/* 32 lower-case hexadecimal digits and back; -EINVAL. */
void volume_config_uuid_text(const uint8_t uuid[static UUID_LEN], char ret_text[static 33]);
int volume_config_uuid_parse(const char *text, uint8_t ret_uuid[static UUID_LEN]) must_check;

/* Parse without key. -EUCLEAN malformed (not a volume); -EOPNOTSUPP: unknown format, incompat feature or algorithm, and then
 * ret_what (>= 128 bytes) names it. The struct is large: allocate it. */
int volume_config_parse(const uint8_t *p, size_t len, struct volume_config *ret_c, char ret_what[static 128]) must_check;

/* Check the MAC of the same bytes with root, and open the ring. -EKEYREJECTED: MAC, or the epoch of the MAC line is not the ring's
 * newest (wrong key or changed file). */
int volume_config_verify(const uint8_t *p, size_t len, const struct volume_config *c, const struct secret *root,
			 struct key_ring **ret_ring) must_check;

/* Serialise and MAC. malloc'ed, *ret_len bytes. -EINVAL when a field is out of its limits. */
int volume_config_put(const struct volume_config *c, const struct secret *root, uint8_t **ret_p, size_t *ret_len) must_check;

#endif
