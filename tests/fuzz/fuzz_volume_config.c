/* fuzz_volume_config.c: coffer.volume (src/format/volume_config.h), twice: the bytes as they are, and with the MAC put right.
 * Properties: with a right MAC only the ring can be wrong; what parses is written, and reads back as the same. */
#include "format/volume_config.h"

#include <assert.h>

#include "format_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void there_and_back(const struct volume_config *c, const struct secret *root)
{
	AUTO_FREE struct volume_config *d = calloc(1, sizeof(*d));
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_FREE uint8_t *p = NULL;
	char what[128];
	size_t len;
	int r;

	fixture_must(d != NULL);
	r = volume_config_put(c, root, &p, &len);
	assert(r == (c->read_only_only ? -EINVAL : 0));
	if (r < 0)
		return;
	assert(len <= VOLUME_CONFIG_MAX);
	assert(volume_config_parse(p, len, d, what) == 0);
	assert(memcmp(c, d, sizeof(*c)) == 0);
	r = volume_config_verify(p, len, d, root, &ring);
	assert(r == 0 || r == -EKEYREJECTED || r == -EUCLEAN);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_SECRET struct secret *root = fixture_root_secret();
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_FREE uint8_t *copy = NULL;
	char what[128] = "";
	int r;

	fixture_must(c != NULL);
	r = volume_config_parse(p, len, c, what);
	assert(r == 0 || r == -EUCLEAN || r == -EOPNOTSUPP);
	assert((r == -EOPNOTSUPP) == (what[0] != '\0') && strnlen(what, sizeof(what)) < sizeof(what));
	if (r < 0)
		return 0;
	there_and_back(c, root);
	copy = malloc(len);
	fixture_must(copy != NULL);
	memcpy(copy, p, len);
	assert(fixture_remac(copy, len, c->uuid));
	r = volume_config_verify(copy, len, c, root, &ring);
	assert(r == 0 || r == -EKEYREJECTED || r == -EUCLEAN);
	if (memcmp(c->uuid, fixture_uuid, UUID_LEN) == 0 && c->epoch == FIXTURE_EPOCH &&
	    c->key_ring_len == sizeof(fixture_sealed_ring) && memcmp(c->key_ring, fixture_sealed_ring, c->key_ring_len) == 0)
		assert(r == 0);
	return 0;
}
