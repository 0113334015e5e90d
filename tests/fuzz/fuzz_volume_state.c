/* fuzz_volume_state.c: slots of coffer.state (src/format/volume_state.h), twice: the bytes as they are, and with the tag put
 * right under the newest epoch. Property: what opens is sealed to the same bytes. */
#include "format/volume_state.h"

#include <assert.h>

#include "format_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	uint8_t slot[STATE_SLOT_LEN] = { 0 }, again[STATE_SLOT_LEN];
	struct volume_state s;
	unsigned index;
	int r;

	if (len >= STATE_SLOT_LEN && volume_state_parse(p, &s) == 0)
		assert(s.log_blocks > 0 && s.root_handle.len <= HANDLE_LEN_MAX);
	if (len >= STATE_SLOT_LEN)
		(void)!volume_state_open(fixture_bc(), fixture_ring(), 0, p, &s);
	if (len > 0)
		memcpy(slot, p, len < STATE_SLOT_LEN ? len : STATE_SLOT_LEN);
	layout_put16(slot + 6, FIXTURE_EPOCH);
	index = slot[488] & 1; /* of the nonce */
	assert(fixture_retag_state(slot, index));
	r = volume_state_open(fixture_bc(), fixture_ring(), index, slot, &s);
	assert(r == 0 || r == -EUCLEAN || r == -EOPNOTSUPP ||
	       (r == -EBADMSG && memcmp(slot + 8, fixture_uuid, UUID_LEN) != 0));
	if (r < 0)
		return 0;
	assert(volume_state_seal(fixture_bc(), fixture_ring(), &s, index, layout_get64(slot + 488), again) == 0);
	assert(memcmp(slot, again, STATE_SLOT_LEN) == 0);
	return 0;
}
