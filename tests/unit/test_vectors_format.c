/* test_vectors_format.c: src/format/ against tests/golden/vectors.json: what an honest volume holds is parsed, checked and
 * written again byte for byte; what breaks a rule is refused though its tag is good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/group.h"
#include "format/log_record.h"
#include "format/volume_config.h"
#include "format/volume_state.h"
#include "vectors.h"

struct fixture {
	struct json *v;
	struct key_ring *ring;
	struct blockcrypt *bc;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->v = vectors_load();
	f->ring = vec_ring(f->v);
	assert_int_equal(blockcrypt_new(&f->bc), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	blockcrypt_free(f->bc);
	key_ring_free(f->ring);
	json_free(f->v);
	free(f);
	return 0;
}

/* --- coffer.volume --- */

static void the_configuration_opens_with_its_root_key(void **state)
{
	const struct fixture *f = *state;
	const struct json *config = vec_object(f->v, "config"), *slot = vec_object(f->v, "slot");
	AUTO_SECRET struct secret *root = vec_secret(vec_object(f->v, "volume"), "root_key");
	AUTO_SECRET struct secret *other = vec_secret(slot, "kek");
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_FREE uint8_t *again = NULL;
	const char *text = vec_text(config, "text");
	uint8_t want[SEALED_ROOT_LEN];
	char what[128];
	size_t len;

	assert_non_null(c);
	assert_int_equal(volume_config_parse((const uint8_t *)text, strlen(text), c, what), 0);
	vec_hex(vec_object(f->v, "volume"), "uuid", want, UUID_LEN);
	assert_memory_equal(c->uuid, want, UUID_LEN);
	assert_string_equal(c->tenant, vec_text(slot, "tenant"));
	assert_int_equal(c->epoch, vec_int(config, "epoch"));
	assert_int_equal(c->slot_count, 1);
	assert_true(c->slots[0].active);
	vec_hex(slot, "wrapped_kek", want, SEALED_ROOT_LEN);
	assert_int_equal(c->slots[0].wrapped_kek_len, SEALED_ROOT_LEN);
	assert_memory_equal(c->slots[0].wrapped_kek, want, SEALED_ROOT_LEN);
	vec_hex(slot, "sealed_root", want, SEALED_ROOT_LEN);
	assert_memory_equal(c->slots[0].sealed_root, want, SEALED_ROOT_LEN);
	vec_hex(slot, "commitment", want, COMMITMENT_LEN);
	assert_memory_equal(c->slots[0].commitment, want, COMMITMENT_LEN);
	assert_int_equal(volume_config_verify((const uint8_t *)text, strlen(text), c, other, &ring), -EKEYREJECTED);
	assert_int_equal(volume_config_verify((const uint8_t *)text, strlen(text), c, root, &ring), 0);
	assert_int_equal(key_ring_newest(ring), c->epoch);
	/* The same calls in the same order give the same bytes. */
	assert_int_equal(volume_config_put(c, root, &again, &len), 0);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(again, text, len);
}

/* --- groups --- */

static void check_fields(const struct group_header *h, const struct json *fields)
{
	const struct json *gaps = NULL;
	uint8_t want[FILE_ID_LEN];

	vec_hex(fields, "file_id", want, FILE_ID_LEN);
	assert_memory_equal(h->file_id, want, FILE_ID_LEN);
	assert_int_equal(h->flags, vec_int(fields, "flags"));
	assert_int_equal(h->epoch, vec_int(fields, "epoch"));
	assert_int_equal(h->group, vec_int(fields, "group"));
	assert_int_equal(h->shape.size, vec_int(fields, "size"));
	assert_int_equal(h->shape.alloc_groups, vec_int(fields, "alloc_groups"));
	assert_int_equal(json_get_array(fields, "gaps", &gaps), 0);
	assert_int_equal(h->shape.gap_count, json_array_len(gaps));
	assert_int_equal(h->entries.stamp, vec_int(fields, "entries_stamp"));
	assert_int_equal(h->header.stamp, vec_int(fields, "header_stamp"));
	vec_hex(fields, "entries_tag", want, TAG_LEN);
	assert_memory_equal(h->entries.tag, want, TAG_LEN);
	vec_hex(fields, "header_tag", want, TAG_LEN);
	assert_memory_equal(h->header.tag, want, TAG_LEN);
}

/* The named entries are those of the block; all others are holes. */
static void check_entries(const uint8_t *p, const struct json *v)
{
	const struct json *all = NULL;
	struct entry e;
	uint8_t want[ENTRY_LEN], again[ENTRY_LEN];
	size_t i, j = 0;

	assert_int_equal(json_get_array(v, "entries", &all), 0);
	for (i = 0; i < GROUP_BLOCKS; i++) {
		const struct json *one = j < json_array_len(all) ? json_array_at(all, j) : NULL;

		assert_int_equal(group_entry_parse(p + i * ENTRY_LEN, &e), 0);
		if (!one || vec_int(one, "index") != (int64_t)i) {
			assert_true(group_entry_is_hole(&e));
			continue;
		}
		assert_int_equal(e.stamp, vec_int(one, "stamp"));
		vec_hex(one, "entry", want, ENTRY_LEN);
		group_entry_put(&e, again);
		assert_memory_equal(again, want, ENTRY_LEN);
		j++;
	}
	assert_int_equal(j, json_array_len(all));
}

/* The header and the named entries; some vectors hold the whole as well. */
static void build_block(const struct json *v, uint8_t ret_block[static BLOCK_SIZE])
{
	const struct json *all = NULL;
	uint8_t whole[BLOCK_SIZE];
	size_t i;

	memset(ret_block, 0, BLOCK_SIZE);
	vec_hex(v, "header", ret_block, HEADER_LEN);
	assert_int_equal(json_get_array(v, "entries", &all), 0);
	for (i = 0; i < json_array_len(all); i++) {
		const struct json *one = json_array_at(all, i);

		vec_hex(one, "entry", ret_block + HEADER_LEN + (size_t)vec_int(one, "index") * ENTRY_LEN, ENTRY_LEN);
	}
	if (!vec_has(v, "block"))
		return;
	vec_hex(v, "block", whole, sizeof(whole));
	assert_memory_equal(ret_block, whole, BLOCK_SIZE);
}

static void every_metadata_block_opens_and_is_sealed_again_the_same(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(f->v, "metadata");
	uint8_t block[BLOCK_SIZE], again[HEADER_LEN];
	struct group_header h;
	struct key_tag key;
	size_t i;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		const struct json *fields = vec_object(v, "fields");
		uint8_t file_id[FILE_ID_LEN];

		build_block(v, block);
		vec_hex(fields, "file_id", file_id, sizeof(file_id));
		assert_int_equal(group_open(f->bc, f->ring, file_id, (uint32_t)vec_int(fields, "group"), block, &h), 0);
		check_fields(&h, fields);
		check_entries(block + HEADER_LEN, v);
		assert_int_equal(key_ring_file_tag(f->ring, h.epoch, file_id, &key), 0);
		memset(h.entries.tag, 0, TAG_LEN);
		memset(h.header.tag, 0, TAG_LEN);
		assert_int_equal(group_seal_entries(f->bc, &key, &h, block + HEADER_LEN), 0);
		assert_int_equal(group_seal_header(f->bc, &key, &h), 0);
		group_header_put(&h, again);
		assert_memory_equal(again, block, HEADER_LEN);
		if (h.group == 0)
			assert_int_equal(group_open_first(f->bc, f->ring, block, &h), 0);
		assert_int_equal(group_open(f->bc, f->ring, file_id, h.group + 1, block, &h), -EBADMSG);
	}
}

/* The first vector's gaps are (1, 2) and (4, 1) of 7 groups: a reader that took first for count would not notice itself. */
static void gaps_mean_what_the_first_vector_says(void **state)
{
	static const bool exists[8] = { true, false, false, true, false, true, true, false };
	const struct fixture *f = *state;
	const struct json *v = json_array_at(vec_array(f->v, "metadata"), 0);
	uint8_t block[BLOCK_SIZE];
	struct group_header h;
	uint32_t g;

	assert_string_equal(vec_text(v, "what"), "group 0, two gaps, three blocks");
	build_block(v, block);
	assert_int_equal(group_header_parse(block, &h), 0);
	for (g = 0; g < 8; g++)
		assert_int_equal(group_exists(&h.shape, g), exists[g]);
}

static void every_header_that_breaks_a_rule_is_refused(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(vec_object(f->v, "reject"), "headers");
	uint8_t block[BLOCK_SIZE] = { 0 }, file_id[FILE_ID_LEN];
	struct group_header h;
	size_t i;

	vec_hex(vec_object(json_array_at(vec_array(f->v, "metadata"), 0), "fields"), "file_id", file_id, FILE_ID_LEN);
	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		struct key_tag key;
		int r;

		vec_hex(v, "header", block, HEADER_LEN);
		/* The entries' tag is not there, so a header that passed would fail at E: look at the header alone. */
		r = group_header_parse(block, &h);
		if (r == 0)
			r = key_ring_file_tag(f->ring, h.epoch, file_id, &key);
		if (r == 0)
			r = group_check_header(f->bc, &key, &h);
		if (r == 0)
			fail_msg("accepted: %s", vec_text(v, "why"));
		r = group_open(f->bc, f->ring, file_id, (uint32_t)vec_int(v, "group"), block, &h);
		assert_true(r == -EBADMSG || r == -EUCLEAN || r == -EOPNOTSUPP || r == -ENOKEY);
	}
}

/* --- coffer.state --- */

static void every_state_slot_opens_and_is_sealed_again_the_same(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(f->v, "state");
	uint8_t slot[STATE_SLOT_LEN] = { 0 }, again[STATE_SLOT_LEN], want[HANDLE_LEN_MAX];
	struct volume_state s;
	size_t i, len;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i), *fields = vec_object(v, "fields");
		unsigned index = (unsigned)vec_int(v, "index");

		vec_hex(v, "slot", slot, 512);
		assert_int_equal(volume_state_open(f->bc, f->ring, index, slot, &s), 0);
		assert_int_equal(s.serial, vec_int(fields, "serial"));
		assert_int_equal(s.stamp_limit, vec_int(fields, "stamp_limit"));
		assert_int_equal(s.log_blocks, vec_int(fields, "log_blocks"));
		assert_int_equal(s.tail, vec_int(fields, "tail"));
		assert_int_equal(s.tail_sequence, vec_int(fields, "tail_sequence"));
		assert_int_equal(s.durable, vec_int(fields, "durable"));
		assert_int_equal(s.flags, vec_int(fields, "flags"));
		assert_int_equal(s.fsid, vec_int(fields, "fsid"));
		vec_hex(fields, "generation", want, GENERATION_LEN);
		assert_memory_equal(s.generation, want, GENERATION_LEN);
		assert_int_equal(s.root_handle.type, vec_int(fields, "root_handle_type"));
		len = vec_hex_var(fields, "root_handle", want, sizeof(want));
		assert_int_equal(s.root_handle.len, len);
		assert_memory_equal(s.root_handle.bytes, want, len);
		assert_int_equal(volume_state_open(f->bc, f->ring, 1 - index, slot, &s), -EBADMSG);
		if (vec_int(fields, "epoch") != key_ring_newest(f->ring))
			continue; /* sealing is under the newest epoch */
		assert_int_equal(volume_state_seal(f->bc, f->ring, &s, index, (uint64_t)vec_int(fields, "nonce"), again), 0);
		assert_memory_equal(again, slot, STATE_SLOT_LEN);
	}
}

static void every_state_slot_that_breaks_a_rule_is_refused(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(vec_object(f->v, "reject"), "slots");
	struct volume_state s;
	size_t i;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		uint8_t slot[STATE_SLOT_LEN] = { 0 };

		vec_hex_var(v, "slot", slot, sizeof(slot));
		if (volume_state_open(f->bc, f->ring, (unsigned)vec_int(v, "index"), slot, &s) == 0)
			fail_msg("accepted: %s", vec_text(v, "why"));
	}
}

/* --- coffer.log --- */

static void check_file_record(const struct log_file *file, const struct json *v)
{
	uint8_t want[HANDLE_LEN_MAX];
	size_t len;

	assert_string_equal(vec_text(v, "kind"), "FILE");
	vec_hex(v, "file_id", want, FILE_ID_LEN);
	assert_memory_equal(file->file_id, want, FILE_ID_LEN);
	assert_int_equal(file->shape.size, vec_int(v, "size"));
	assert_int_equal(file->shape.alloc_groups, vec_int(v, "alloc_groups"));
	assert_int_equal(file->header.stamp, vec_int(v, "header_stamp"));
	vec_hex(v, "header_tag", want, TAG_LEN);
	assert_memory_equal(file->header.tag, want, TAG_LEN);
	assert_int_equal(file->handle.type, vec_int(v, "handle_type"));
	len = vec_hex_var(v, "handle", want, sizeof(want));
	assert_int_equal(file->handle.len, len);
	assert_memory_equal(file->handle.bytes, want, len);
}

static void check_group_record(const struct log_group *g, const struct json *v)
{
	const struct json *blocks = NULL;
	uint8_t want[ENTRY_LEN], entry[ENTRY_LEN];
	size_t i;

	assert_string_equal(vec_text(v, "kind"), "GROUP");
	assert_int_equal(g->group, vec_int(v, "group"));
	assert_int_equal(g->base, vec_int(v, "base"));
	assert_int_equal(g->epoch, vec_int(v, "epoch"));
	assert_int_equal(g->entries.stamp, vec_int(v, "entries_stamp"));
	vec_hex(v, "entries_tag", want, TAG_LEN);
	assert_memory_equal(g->entries.tag, want, TAG_LEN);
	if (g->group != 0) {
		assert_int_equal(g->header.stamp, vec_int(v, "header_stamp"));
		vec_hex(v, "header_tag", want, TAG_LEN);
		assert_memory_equal(g->header.tag, want, TAG_LEN);
	}
	assert_int_equal(json_get_array(v, "blocks", &blocks), 0);
	assert_int_equal(g->block_count, json_array_len(blocks));
	for (i = 0; i < g->block_count; i++) {
		const struct json *b = json_array_at(blocks, i);

		assert_int_equal(g->blocks[i].index, vec_int(b, "index"));
		assert_int_equal(g->blocks[i].where, vec_int(b, "where"));
		if (g->blocks[i].where == LOG_WHERE_HOLE)
			continue;
		vec_hex(b, "entry", want, ENTRY_LEN);
		group_entry_put(&g->blocks[i].entry, entry);
		assert_memory_equal(entry, want, ENTRY_LEN);
	}
}

/* Walk the records of d against those of v, adding each to again. */
static void check_records(const struct log_desc *d, const struct json *v, struct log_desc *again)
{
	struct log_cursor cursor = { 0 };
	const struct json *all = NULL;
	static struct log_group group;
	static struct log_file file;
	size_t i;

	assert_int_equal(json_get_array(v, "records", &all), 0);
	for (i = 0; i < json_array_len(all); i++) {
		int kind = log_desc_next(d, &cursor, &file, &group);

		if (kind == LOG_KIND_FILE) {
			check_file_record(&file, json_array_at(all, i));
			assert_int_equal(log_desc_add_file(again, &file), 0);
		} else {
			assert_int_equal(kind, LOG_KIND_GROUP);
			check_group_record(&group, json_array_at(all, i));
			assert_int_equal(log_desc_add_group(again, &group), 0);
		}
	}
	assert_int_equal(log_desc_next(d, &cursor, &file, &group), LOG_KIND_END);
}

static void every_descriptor_opens_and_is_sealed_again_the_same(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(f->v, "log");
	static struct log_desc d, again;
	uint8_t p[BLOCK_SIZE], q[BLOCK_SIZE], want[GENERATION_LEN];
	size_t i;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i), *fields = vec_object(v, "fields");

		vec_hex(v, "descriptor", p, sizeof(p));
		assert_int_equal(log_desc_open(f->bc, f->ring, p, &d), 0);
		vec_hex(fields, "generation", want, GENERATION_LEN);
		assert_memory_equal(d.generation, want, GENERATION_LEN);
		assert_int_equal(d.sequence, vec_int(fields, "sequence"));
		assert_int_equal(d.durable, vec_int(fields, "durable"));
		assert_int_equal(d.part, vec_int(fields, "part"));
		assert_int_equal(d.last, vec_int(fields, "flags"));
		assert_int_equal(d.record_bytes, vec_int(fields, "record_bytes"));
		assert_int_equal(d.data_blocks, vec_int(fields, "data_blocks"));
		assert_int_equal(d.stamp, vec_int(fields, "stamp"));
		log_desc_begin(&again);
		check_records(&d, v, &again);
		assert_int_equal(again.record_bytes, d.record_bytes);
		assert_int_equal(again.data_blocks, d.data_blocks);
		assert_memory_equal(again.records, d.records, d.record_bytes);
		if (vec_int(fields, "epoch") != key_ring_newest(f->ring))
			continue; /* sealing is under the newest epoch */
		memcpy(again.generation, d.generation, GENERATION_LEN);
		again.sequence = d.sequence;
		again.durable = d.durable;
		again.part = d.part;
		again.last = d.last;
		again.stamp = d.stamp;
		assert_int_equal(log_desc_seal(f->bc, f->ring, &again, q), 0);
		assert_memory_equal(q, p, BLOCK_SIZE);
	}
}

static void every_descriptor_that_breaks_a_rule_is_refused(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(vec_object(f->v, "reject"), "descriptors");
	const struct json *base = json_array_at(vec_array(f->v, "log"), 0);
	static struct log_desc d;
	static struct log_group group;
	static struct log_file file;
	size_t i, j;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i), *patches = vec_array(v, "patches");
		struct log_cursor cursor = { 0 };
		uint8_t p[BLOCK_SIZE];
		int r;

		vec_hex(base, "descriptor", p, sizeof(p));
		for (j = 0; j < json_array_len(patches); j++) {
			size_t off = (size_t)vec_int(json_array_at(patches, j), "offset");

			assert_true(off < sizeof(p));
			vec_hex_var(json_array_at(patches, j), "bytes", p + off, sizeof(p) - off);
		}
		r = log_desc_open(f->bc, f->ring, p, &d);
		while (r == 0) {
			r = log_desc_next(&d, &cursor, &file, &group);
			if (r == LOG_KIND_END)
				fail_msg("accepted: %s", vec_text(v, "why"));
			r = r < 0 ? r : 0;
		}
	}
}

/* Rules between records, which hold across parts too: log_desc_next (see log_record.h) leaves them to whoever puts the
 * parts of a transaction together. */
static bool is_between_records(const char *why)
{
	static const char *const rules[] = {
		"a GROUP in a gap of its FILE", "a GROUP at alloc_groups", "two FILEs for one file",
		"two GROUPs for one group", "two GROUPs for one group, a file between",
	};
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(why, rules[i]) == 0)
			return true;
	return false;
}

static void every_record_that_breaks_a_rule_is_refused(void **state)
{
	const struct fixture *f = *state;
	const struct json *all = vec_array(vec_object(f->v, "reject"), "records");
	static struct log_group group;
	static struct log_file file;
	size_t i, left = 0;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		struct log_cursor cursor = { 0 };
		static struct log_desc d;
		int r = 1;

		log_desc_begin(&d);
		d.last = true;
		d.stamp = 1;
		d.data_blocks = (uint32_t)vec_int(v, "data_blocks");
		d.record_bytes = (uint16_t)vec_hex_var(v, "records", d.records, sizeof(d.records));
		while (r > 0)
			r = log_desc_next(&d, &cursor, &file, &group);
		if (r == 0 && !is_between_records(vec_text(v, "why")))
			fail_msg("accepted: %s", vec_text(v, "why"));
		left += r == 0;
	}
	assert_true(left <= 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_configuration_opens_with_its_root_key),
		TEST(every_metadata_block_opens_and_is_sealed_again_the_same),
		TEST(gaps_mean_what_the_first_vector_says),
		TEST(every_header_that_breaks_a_rule_is_refused),
		TEST(every_state_slot_opens_and_is_sealed_again_the_same),
		TEST(every_state_slot_that_breaks_a_rule_is_refused),
		TEST(every_descriptor_opens_and_is_sealed_again_the_same),
		TEST(every_descriptor_that_breaks_a_rule_is_refused),
		TEST(every_record_that_breaks_a_rule_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
