/* tamper_compare.c: what was read against what was written. */
#include "tests/tamper/tamper.h"

#include <string.h>

/* len bytes at off of v's file, zeros behind its end. */
static bool same_bytes(const struct version *v, unsigned i, uint64_t off, const uint8_t *p,
		       uint64_t len)
{
	uint64_t have = off < v->size[i] ? v->size[i] - off : 0;

	have = have < len ? have : len;
	if (have && memcmp(v->plain[i] + off, p, have) != 0)
		return false;
	for (uint64_t k = have; k < len; k++)
		if (p[k])
			return false;
	return true;
}

bool group_reads_as(const struct result *r, unsigned i, uint64_t g, const struct version *v,
		    unsigned of)
{
	uint64_t end = (g + 1) * G < r->f[i].size ? (g + 1) * G : r->f[i].size;

	for (uint64_t off = g * G; off < end; off += B)
		if (!r->f[i].bad[off / B] &&
		    !same_bytes(v, of, off, r->f[i].plain + off, end - off < B ? end - off : B))
			return false;
	return true;
}

bool group_is_zero(const struct version *v, unsigned i, uint64_t g)
{
	for (uint64_t off = g * G; off < v->size[i] && off < (g + 1) * G; off++)
		if (v->plain[i][off])
			return false;
	return true;
}

bool reads_as(const struct result *r, unsigned i, const struct version *v)
{
	if (r->f[i].open_r < 0)
		return true;
	if (r->f[i].size != v->size[i])
		return false;
	for (uint64_t g = 0; g * G < v->size[i]; g++)
		if (!group_reads_as(r, i, g, v, i))
			return false;
	return true;
}

bool reads_whole(const struct result *r, unsigned i, const struct version *v)
{
	return r->f[i].open_r == 0 && !r->f[i].any_bad && reads_as(r, i, v);
}

uint64_t vouched_for(const uint8_t *state, uint64_t state_len, const uint8_t *log, uint64_t log_len)
{
	struct volume_state st = { 0 }, slot;
	static struct log_desc d;
	uint64_t most;

	for (unsigned i = 0; i < STATE_SLOTS && (i + 1) * B <= state_len; i++)
		if (volume_state_open(blockcrypt_get(), crash_ring(), i, state + i * B, &slot) ==
			    0 &&
		    slot.serial > st.serial)
			st = slot;
	most = st.durable;
	for (uint64_t b = 0; (b + 1) * B <= log_len; b++)
		if (log_desc_open(blockcrypt_get(), crash_ring(), log + b * B, &d) == 0 &&
		    memcmp(d.generation, st.generation, GENERATION_LEN) == 0 && d.durable > most)
			most = d.durable;
	return most;
}
