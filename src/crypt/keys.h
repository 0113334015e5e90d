/* keys.h: from the root key to every other key (docs/format.md section 2). Distinct keys are distinct types, so that
 * swapping two does not compile. Pure: bytes in, bytes or -errno out; the only effects are OpenSSL's. All returned key
 * structs are wiped by their owner (AUTO_WIPE_KEY or keys_wipe_*). */
#ifndef COFFER_CRYPT_KEYS_H
#define COFFER_CRYPT_KEYS_H

#include "base/err.h"
#include "base/secret.h"

#include <stddef.h>
#include <stdint.h>

#define KEY_LEN 32
#define UUID_LEN 16
#define FILE_ID_LEN 16
#define COMMITMENT_LEN 32
#define SEALED_ROOT_LEN 60 /* iv 12, ciphertext 32, tag 16 */
#define CONFIG_MAC_LEN 32
#define EPOCHS_MAX 64
#define KEY_RING_LEN_MAX (12 + 4 + 32 + 2 + EPOCHS_MAX * 34 + 16)

struct key_tag {                 /* egmac: K1 || K2 */
	uint8_t k[64];
};
struct key_xts {
	uint8_t k[64];
};
struct key_siv {
	uint8_t k[64];
};
struct key_mac {                 /* HMAC-SHA-256 of coffer.volume */
	uint8_t k[32];
};

struct key_backup {              /* HMAC-SHA-256 of a backup's statement (backup_tag.h) */
	uint8_t k[32];
};

/* Tag keys and content key of one file in one epoch. */
struct file_keys {
	struct key_tag tag;
	struct key_xts xts;
};

struct name_keys {
	struct key_siv name, symlink, xattr_name, xattr_value;
};

/* Wipes any key object: AUTO_KEY(struct key_xts) k; */
#define keys_wipe(p) secret_wipe((p), sizeof(*(p)))

/* The opened key ring: names keys, one extracted master per live epoch, and the backup MAC key of R, in secret memory. Immutable after
 * key_ring_open, so any thread may use it. */
struct key_ring;

/* Open R out of a slot: AES-256-GCM under kek, AAD from tenant and uuid. -EKEYREJECTED: wrong KEK, tenant or uuid. */
int keys_root_open(const struct secret *kek, const char *tenant, const uint8_t uuid[static UUID_LEN],
		   const uint8_t sealed[static SEALED_ROOT_LEN], struct secret **ret_root) must_check;
int keys_root_seal(const struct secret *kek, const char *tenant, const uint8_t uuid[static UUID_LEN],
		   const struct secret *root, uint8_t ret_sealed[static SEALED_ROOT_LEN]) must_check;

/* The same shape for local: keys: wraps a KEK under the 32-byte file key, AAD label "coffer kek". */
int keys_kek_wrap(const struct secret *file_key, const char *tenant, const uint8_t uuid[static UUID_LEN],
		  const struct secret *kek, uint8_t ret_wrapped[static SEALED_ROOT_LEN]) must_check;
int keys_kek_unwrap(const struct secret *file_key, const char *tenant, const uint8_t uuid[static UUID_LEN],
		    const uint8_t wrapped[static SEALED_ROOT_LEN], struct secret **ret_kek) must_check;

/* What names a recovery key without saying anything about it: by HKDF, label "recovery id". */
#define RECOVERY_ID_LEN 8
int keys_recovery_id(const struct secret *key, uint8_t ret_id[static RECOVERY_ID_LEN]) must_check;

int keys_commitment(const struct secret *root, const uint8_t uuid[static UUID_LEN],
		    uint8_t ret_commitment[static COMMITMENT_LEN]) must_check;

/* HMAC-SHA-256 over two pieces, under the config MAC key derived from root. */
int keys_config_mac(const struct secret *root, const uint8_t uuid[static UUID_LEN], const void *a, size_t a_len,
		    const void *b, size_t b_len, uint8_t ret_mac[static CONFIG_MAC_LEN]) must_check;

/* The key of backups' tags. Of R, not of an epoch: a tag stands as long as the volume does. */
int keys_backup(const struct secret *root, const uint8_t uuid[static UUID_LEN], struct key_backup *ret_key) must_check;

/* A new ring with names_epoch 1, epoch 1 and random masters, sealed under R. ret_sealed has room for KEY_RING_LEN_MAX. */
int key_ring_create(const struct secret *root, const uint8_t uuid[static UUID_LEN],
		    uint8_t ret_sealed[static KEY_RING_LEN_MAX], size_t *ret_len) must_check;
/* -EKEYREJECTED: the seal does not fit; -EUCLEAN: authentic but malformed. */
int key_ring_open(const struct secret *root, const uint8_t uuid[static UUID_LEN], const uint8_t *sealed, size_t len,
		  struct key_ring **ret_ring) must_check;
void key_ring_free(struct key_ring *ring);
DEFINE_AUTO(struct key_ring, key_ring_free)
#define AUTO_KEY_RING AUTO(key_ring_free_p)

const uint8_t *key_ring_uuid(const struct key_ring *ring);       /* UUID_LEN bytes */
uint16_t key_ring_newest(const struct key_ring *ring);
uint16_t key_ring_names_epoch(const struct key_ring *ring);
const struct name_keys *key_ring_names(const struct key_ring *ring);
const struct key_backup *key_ring_backup(const struct key_ring *ring);

/* Per-epoch keys; -ENOKEY: no such epoch in the ring. The tag keys alone suffice to read a header. */
int key_ring_state_tag(const struct key_ring *ring, uint16_t epoch, struct key_tag *ret_key) must_check;
int key_ring_log_tag(const struct key_ring *ring, uint16_t epoch, struct key_tag *ret_key) must_check;
int key_ring_file_tag(const struct key_ring *ring, uint16_t epoch, const uint8_t file_id[static FILE_ID_LEN],
		      struct key_tag *ret_key) must_check;
int key_ring_file(const struct key_ring *ring, uint16_t epoch, const uint8_t file_id[static FILE_ID_LEN],
		  struct file_keys *ret_keys) must_check;

/* HKDF-SHA-512 (RFC 5869), for the above and for test vectors. */
int keys_hkdf(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len, const uint8_t *info,
	      size_t info_len, uint8_t *ret_out, size_t out_len) must_check;

/* Give OpenSSL a heap that is locked in memory, left out of core dumps and wiped on free (expanded AES keys live there).
 * Call first in main, before any other OpenSSL use, and after any fork that goes on working (locks are not inherited).
 * -ENOMEM when RLIMIT_MEMLOCK does not allow it; -EBUSY too late. */
int keys_openssl_heap_init(void) must_check;

#endif
