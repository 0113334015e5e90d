/* key_ring.c: the masters of a volume, and every per-epoch key (docs/format.md section 2; declared in keys.h).
 *
 * A master is extracted once, when the ring is opened; what is kept is its PRK, 64 bytes an epoch, in secret memory. Keys
 * of a file are expanded from it on demand: two or four compressions of SHA-512, no state, no lock. The four keys of the
 * names live ready in secret memory, because a name costs less than deriving its key, and so does the backup MAC key, because R is not kept.
 *
 * Plain text of the ring: version(1) zero(1) names_epoch(2) N(32) count(2), then count times epoch(2) M(32). */
#include "crypt/keys.h"

#include <string.h>

#include "crypt/gcm.h"
#include "crypt/hkdf.h"

#define RING_VERSION 1
#define RING_HEAD_LEN (4 + KEY_LEN + 2)
#define RING_EPOCH_LEN (2 + KEY_LEN)
#define RING_PLAIN_MAX (RING_HEAD_LEN + EPOCHS_MAX * RING_EPOCH_LEN)
#define RING_AAD_LABEL "coffer key ring"
#define RING_AAD_LEN (2 + sizeof(RING_AAD_LABEL) - 1 + 2 + UUID_LEN)

_Static_assert(RING_PLAIN_MAX + GCM_EXTRA == KEY_RING_LEN_MAX, "docs/format.md says so");

struct key_ring {
	uint8_t uuid[UUID_LEN];
	uint16_t names_epoch;
	size_t count;
	uint16_t epochs[EPOCHS_MAX];    /* rising */
	struct secret *prks;            /* count times HKDF_PRK_LEN */
	struct secret *names;           /* one struct name_keys */
	struct secret *backup;          /* one struct key_backup */
};

struct ring_key {
	uint8_t k[GCM_KEY_LEN];
};

static void ring_key_wipe(struct ring_key *k)
{
	keys_wipe(k);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

/* lp(label) || lp(uuid) */
static void ring_aad(const uint8_t uuid[static UUID_LEN], uint8_t ret_aad[static RING_AAD_LEN])
{
	size_t len = sizeof(RING_AAD_LABEL) - 1;

	put16(ret_aad, len);
	memcpy(ret_aad + 2, RING_AAD_LABEL, len);
	put16(ret_aad + 2 + len, UUID_LEN);
	memcpy(ret_aad + 2 + len + 2, uuid, UUID_LEN);
}

int key_ring_create(const struct secret *root, const uint8_t uuid[static UUID_LEN],
		    uint8_t ret_sealed[static KEY_RING_LEN_MAX], size_t *ret_len)
{
	const size_t len = RING_HEAD_LEN + RING_EPOCH_LEN;
	__attribute__((cleanup(ring_key_wipe))) struct ring_key key = { { 0 } };
	AUTO_SECRET struct secret *plain = NULL;
	uint8_t aad[RING_AAD_LEN];
	uint8_t *p;
	int r;

	r = hkdf_root(root, HKDF_ROOT_KEY_RING, uuid, key.k, sizeof(key.k));
	if (r < 0)
		return r;
	r = secret_new(len, &plain);
	if (r < 0)
		return r;
	p = secret_bytes(plain);
	p[0] = RING_VERSION;
	put16(p + 2, 1);
	r = secret_random(p + 4, KEY_LEN);
	if (r < 0)
		return r;
	put16(p + 4 + KEY_LEN, 1);
	put16(p + RING_HEAD_LEN, 1);
	r = secret_random(p + RING_HEAD_LEN + 2, KEY_LEN);
	if (r < 0)
		return r;
	ring_aad(uuid, aad);
	r = gcm_seal(key.k, aad, sizeof(aad), p, len, ret_sealed);
	if (r < 0)
		return r;
	*ret_len = len + GCM_EXTRA;
	return 0;
}

/* The form of an authentic ring: -EUCLEAN. */
static int ring_check(const uint8_t *p, size_t len)
{
	uint16_t last = 0;
	size_t count, i;

	if (len < RING_HEAD_LEN || p[0] != RING_VERSION || p[1] != 0 || get16(p + 2) == 0)
		return -EUCLEAN;
	count = get16(p + 4 + KEY_LEN);
	if (count == 0 || count > EPOCHS_MAX || len != RING_HEAD_LEN + count * RING_EPOCH_LEN)
		return -EUCLEAN;
	for (i = 0; i < count; i++) {
		uint16_t epoch = get16(p + RING_HEAD_LEN + i * RING_EPOCH_LEN);

		if (epoch <= last)
			return -EUCLEAN;
		last = epoch;
	}
	return 0;
}

/* The four keys of the names master. */
static int ring_names(struct key_ring *ring, const uint8_t master[static KEY_LEN])
{
	AUTO_SECRET struct secret *prk = NULL;
	struct name_keys *names;
	const uint8_t *p;
	int r;

	r = secret_new(HKDF_PRK_LEN, &prk);
	if (r < 0)
		return r;
	r = secret_new(sizeof(*names), &ring->names);
	if (r < 0)
		return r;
	names = (struct name_keys *)(void *)secret_bytes(ring->names);
	r = hkdf_extract(master, KEY_LEN, secret_bytes(prk));
	if (r < 0)
		return r;
	p = secret_bytes_const(prk);
	r = hkdf_expand(p, HKDF_NAMES_NAME, ring->uuid, NULL, names->name.k);
	if (r < 0)
		return r;
	r = hkdf_expand(p, HKDF_NAMES_SYMLINK, ring->uuid, NULL, names->symlink.k);
	if (r < 0)
		return r;
	r = hkdf_expand(p, HKDF_NAMES_XATTR_NAME, ring->uuid, NULL, names->xattr_name.k);
	if (r < 0)
		return r;
	return hkdf_expand(p, HKDF_NAMES_XATTR_VALUE, ring->uuid, NULL, names->xattr_value.k);
}

/* Fill an empty ring from plain text that ring_check() passed. */
static int ring_load(struct key_ring *ring, const uint8_t *p)
{
	size_t i;
	int r;

	ring->names_epoch = get16(p + 2);
	ring->count = get16(p + 4 + KEY_LEN);
	r = ring_names(ring, p + 4);
	if (r < 0)
		return r;
	r = secret_new(ring->count * HKDF_PRK_LEN, &ring->prks);
	if (r < 0)
		return r;
	for (i = 0; i < ring->count; i++) {
		const uint8_t *at = p + RING_HEAD_LEN + i * RING_EPOCH_LEN;

		ring->epochs[i] = get16(at);
		r = hkdf_extract(at + 2, KEY_LEN, secret_bytes(ring->prks) + i * HKDF_PRK_LEN);
		if (r < 0)
			return r;
	}
	return 0;
}

static int ring_backup(struct key_ring *ring, const struct secret *root)
{
	int r;

	r = secret_new(sizeof(struct key_backup), &ring->backup);
	return r < 0 ? r : keys_backup(root, ring->uuid, (struct key_backup *)(void *)secret_bytes(ring->backup));
}

int key_ring_open(const struct secret *root, const uint8_t uuid[static UUID_LEN], const uint8_t *sealed, size_t len,
		  struct key_ring **ret_ring)
{
	__attribute__((cleanup(ring_key_wipe))) struct ring_key key = { { 0 } };
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_SECRET struct secret *plain = NULL;
	uint8_t aad[RING_AAD_LEN];
	int r;

	if (len <= GCM_EXTRA || len > KEY_RING_LEN_MAX)
		return -EKEYREJECTED;
	r = hkdf_root(root, HKDF_ROOT_KEY_RING, uuid, key.k, sizeof(key.k));
	if (r < 0)
		return r;
	r = secret_new(len - GCM_EXTRA, &plain);
	if (r < 0)
		return r;
	ring_aad(uuid, aad);
	r = gcm_open(key.k, aad, sizeof(aad), sealed, len, secret_bytes(plain));
	if (r < 0)
		return r;
	r = ring_check(secret_bytes_const(plain), secret_len(plain));
	if (r < 0)
		return r;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	memcpy(ring->uuid, uuid, UUID_LEN);
	r = ring_load(ring, secret_bytes_const(plain));
	if (r == 0)
		r = ring_backup(ring, root);
	if (r < 0)
		return r;
	*ret_ring = take_ptr(ring);
	return 0;
}

void key_ring_free(struct key_ring *ring)
{
	if (!ring)
		return;
	secret_free(ring->prks);
	secret_free(ring->names);
	secret_free(ring->backup);
	free(ring);
}

const uint8_t *key_ring_uuid(const struct key_ring *ring)
{
	return ring->uuid;
}

uint16_t key_ring_newest(const struct key_ring *ring)
{
	return ring->epochs[ring->count - 1];
}

uint16_t key_ring_names_epoch(const struct key_ring *ring)
{
	return ring->names_epoch;
}

const struct name_keys *key_ring_names(const struct key_ring *ring)
{
	return (const struct name_keys *)(const void *)secret_bytes_const(ring->names);
}

const struct key_backup *key_ring_backup(const struct key_ring *ring)
{
	return (const struct key_backup *)(const void *)secret_bytes_const(ring->backup);
}

/* NULL: no such epoch. Newest first: that is the one asked for. */
static const uint8_t *ring_prk(const struct key_ring *ring, uint16_t epoch)
{
	size_t i = ring->count;

	while (i-- > 0)
		if (ring->epochs[i] == epoch)
			return secret_bytes_const(ring->prks) + i * HKDF_PRK_LEN;
	return NULL;
}

/* ret_k: 64 bytes. -ENOKEY: no such epoch. */
static int ring_expand(const struct key_ring *ring, uint16_t epoch, const char *label, const uint8_t *file_id,
		       uint8_t ret_k[static HKDF_PRK_LEN])
{
	const uint8_t *prk = ring_prk(ring, epoch);

	if (!prk)
		return -ENOKEY;
	return hkdf_expand(prk, label, ring->uuid, file_id, ret_k);
}

int key_ring_state_tag(const struct key_ring *ring, uint16_t epoch, struct key_tag *ret_key)
{
	return ring_expand(ring, epoch, HKDF_MASTER_STATE_TAG, NULL, ret_key->k);
}

int key_ring_log_tag(const struct key_ring *ring, uint16_t epoch, struct key_tag *ret_key)
{
	return ring_expand(ring, epoch, HKDF_MASTER_LOG_TAG, NULL, ret_key->k);
}

int key_ring_file_tag(const struct key_ring *ring, uint16_t epoch, const uint8_t file_id[static FILE_ID_LEN],
		      struct key_tag *ret_key)
{
	return ring_expand(ring, epoch, HKDF_MASTER_FILE_TAG, file_id, ret_key->k);
}

int key_ring_file(const struct key_ring *ring, uint16_t epoch, const uint8_t file_id[static FILE_ID_LEN],
		  struct file_keys *ret_keys)
{
	int r;

	r = ring_expand(ring, epoch, HKDF_MASTER_FILE_TAG, file_id, ret_keys->tag.k);
	if (r < 0)
		return r;
	r = ring_expand(ring, epoch, HKDF_MASTER_FILE_XTS, file_id, ret_keys->xts.k);
	if (r < 0)
		keys_wipe(ret_keys);
	return r;
}
