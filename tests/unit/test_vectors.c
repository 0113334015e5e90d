/* test_vectors.c: src/crypt/ against tests/golden/vectors.json, which an independent program made (tests/interop/). Each
 * vector is computed forward and, where there is a way back, read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "crypt/blockcrypt.h"
#include "crypt/digest.h"
#include "crypt/hkdf.h"
#include "crypt/namecrypt.h"
#include "vectors.h"

static void every_derived_key_is_the_stated_one(void **state)
{
	static const uint8_t salt[] = HKDF_SALT;
	const struct json *all = vec_array(*state, "hkdf");
	size_t i;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		uint8_t key[KEY_LEN], uuid[UUID_LEN], id[FILE_ID_LEN], info[HKDF_INFO_MAX];
		uint8_t want[64], prk[HKDF_PRK_LEN], out[64];
		const uint8_t *file_id = vec_has(v, "file_id") ? id : NULL;
		size_t info_len, len = vec_hex_var(v, "out", want, sizeof(want));

		vec_hex(v, "key", key, sizeof(key));
		vec_hex(v, "uuid", uuid, sizeof(uuid));
		if (file_id)
			vec_hex(v, "file_id", id, sizeof(id));
		assert_int_equal(vec_int(v, "length"), len);
		info_len = hkdf_info_put(vec_text(v, "label"), uuid, file_id, info);
		assert_int_equal(keys_hkdf(salt, sizeof(salt) - 1, key, sizeof(key), info, info_len, out, len), 0);
		assert_memory_equal(out, want, len);
		assert_int_equal(hkdf_extract(key, sizeof(key), prk), 0);
		assert_int_equal(hkdf_expand(prk, vec_text(v, "label"), uuid, file_id, out), 0);
		assert_memory_equal(out, want, len);
	}
}

/* The ring's getters against the same table: each label of docs/format.md section 2 is met. */
static void the_ring_gives_the_stated_keys(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = vec_ring(*state);
	const struct json *all = vec_array(*state, "hkdf");
	const struct name_keys *names = key_ring_names(ring);
	struct file_keys file;
	struct key_tag tag;
	uint8_t want[64], id[FILE_ID_LEN];
	size_t i, met = 0;

	assert_int_equal(key_ring_newest(ring), 259);
	assert_int_equal(key_ring_names_epoch(ring), vec_int(vec_object(*state, "volume"), "names_epoch"));
	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		const char *label = vec_text(v, "label");
		unsigned epoch = 0;

		if (strcmp(vec_text(v, "from"), "R") == 0)
			continue;
		vec_hex(v, "out", want, sizeof(want));
		if (vec_has(v, "file_id"))
			vec_hex(v, "file_id", id, sizeof(id));
		if (strcmp(vec_text(v, "from"), "N") == 0) {
			const struct key_siv *k = strcmp(label, "name") == 0	     ? &names->name :
						  strcmp(label, "symlink") == 0    ? &names->symlink :
						  strcmp(label, "xattr name") == 0 ? &names->xattr_name :
										     &names->xattr_value;

			assert_memory_equal(k->k, want, 64);
			met++;
			continue;
		}
		assert_int_equal(sscanf(vec_text(v, "from"), "M(%u)", &epoch), 1);
		if (strcmp(label, "state tag") == 0) {
			assert_int_equal(key_ring_state_tag(ring, (uint16_t)epoch, &tag), 0);
		} else if (strcmp(label, "log tag") == 0) {
			assert_int_equal(key_ring_log_tag(ring, (uint16_t)epoch, &tag), 0);
		} else {
			assert_int_equal(key_ring_file(ring, (uint16_t)epoch, id, &file), 0);
			assert_int_equal(key_ring_file_tag(ring, (uint16_t)epoch, id, &tag), 0);
			assert_memory_equal(tag.k, file.tag.k, 64);
			if (strcmp(label, "file xts") == 0)
				memcpy(tag.k, file.xts.k, 64);
		}
		assert_memory_equal(tag.k, want, 64);
		met++;
	}
	assert_true(met >= 12);
}

static void the_slot_opens(void **state)
{
	const struct json *volume = vec_object(*state, "volume"), *slot = vec_object(*state, "slot");
	AUTO_SECRET struct secret *local = vec_secret(slot, "local_key");
	AUTO_SECRET struct secret *kek = NULL;
	AUTO_SECRET struct secret *root = NULL;
	uint8_t uuid[UUID_LEN], sealed[SEALED_ROOT_LEN], want[KEY_LEN], commitment[COMMITMENT_LEN];

	vec_hex(volume, "uuid", uuid, sizeof(uuid));
	vec_hex(slot, "wrapped_kek", sealed, sizeof(sealed));
	assert_int_equal(keys_kek_unwrap(local, vec_text(slot, "tenant"), uuid, sealed, &kek), 0);
	vec_hex(slot, "kek", want, sizeof(want));
	assert_memory_equal(secret_bytes(kek), want, KEY_LEN);
	vec_hex(slot, "sealed_root", sealed, sizeof(sealed));
	assert_int_equal(keys_root_open(kek, vec_text(slot, "tenant"), uuid, sealed, &root), 0);
	vec_hex(volume, "root_key", want, sizeof(want));
	assert_memory_equal(secret_bytes(root), want, KEY_LEN);
	vec_hex(slot, "commitment", want, sizeof(want));
	assert_int_equal(keys_commitment(root, uuid, commitment), 0);
	assert_memory_equal(commitment, want, COMMITMENT_LEN);
}

static void the_configuration_has_the_stated_mac(void **state)
{
	const struct json *config = vec_object(*state, "config");
	AUTO_SECRET struct secret *root = vec_secret(vec_object(*state, "volume"), "root_key");
	const char *body = vec_text(config, "body");
	uint8_t uuid[UUID_LEN], want[CONFIG_MAC_LEN], mac[CONFIG_MAC_LEN];
	char head[64];
	int head_len;

	vec_hex(vec_object(*state, "volume"), "uuid", uuid, sizeof(uuid));
	vec_hex(config, "mac", want, sizeof(want));
	head_len = snprintf(head, sizeof(head), "coffer-volume 1 %d ", (int)vec_int(config, "epoch"));
	assert_int_equal(keys_config_mac(root, uuid, head, (size_t)head_len, body, strlen(body), mac), 0);
	assert_memory_equal(mac, want, sizeof(mac));
}

static void every_tag_is_the_stated_one(void **state)
{
	const struct json *all = vec_array(*state, "egmac");
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	uint8_t id[16], payload[BLOCK_SIZE], want[TAG_LEN], tag[TAG_LEN];
	struct key_tag key;
	size_t i, len;

	assert_int_equal(blockcrypt_new(&bc), 0);
	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		struct egmac_msg msg = {
			.label = vec_text(v, "label")[0],
			.epoch = (uint16_t)vec_int(v, "epoch"),
			.number = (uint64_t)vec_int(v, "number"),
			.id = id,
			.stamp = (uint64_t)vec_int(v, "stamp"),
		};

		len = (size_t)vec_int(v, "payload_length");
		assert_true(len <= sizeof(payload));
		vec_pattern(payload, len, vec_int(v, "payload_seed"));
		vec_hex(v, "id", id, sizeof(id));
		vec_hex(v, "keys", key.k, sizeof(key.k));
		vec_hex(v, "tag", want, sizeof(want));
		assert_int_equal(blockcrypt_tag(bc, &key, &msg, payload, len, tag), 0);
		assert_memory_equal(tag, want, TAG_LEN);
		assert_int_equal(blockcrypt_tag_check(bc, &key, &msg, payload, len, want), 0);
	}
}

/* One vector of "blocks": seal, compare everything, open. */
static void check_block(struct blockcrypt *bc, const struct key_ring *ring, const struct json *v)
{
	static uint8_t cipher[BLOCK_SIZE], out[BLOCK_SIZE], want[BLOCK_SIZE];
	uint8_t plain[BLOCK_SIZE] = { 0 };
	uint8_t id[FILE_ID_LEN], digest[DIGEST_SHA256_LEN], tag[TAG_LEN];
	struct file_keys keys;
	struct block_pos pos = {
		.file_id = id,
		.block = (uint64_t)vec_int(v, "number"),
		.stamp = (uint64_t)vec_int(v, "stamp"),
		.epoch = (uint16_t)vec_int(v, "epoch"),
	};
	uint32_t sum;

	vec_hex(v, "file_id", id, sizeof(id));
	assert_int_equal(key_ring_file(ring, pos.epoch, id, &keys), 0);
	if (vec_has(v, "plain_text"))
		vec_hex_var(v, "plain_text", plain, sizeof(plain));
	else
		vec_pattern(plain, sizeof(plain), vec_int(v, "plain_seed"));
	assert_int_equal(blockcrypt_seal(bc, &keys, &pos, plain, cipher, tag, &sum), 0);
	vec_hex(v, "ciphertext_head", want, 32);
	assert_memory_equal(cipher, want, 32);
	vec_hex(v, "ciphertext_sha256", want, sizeof(digest));
	assert_int_equal(digest_sha256(cipher, BLOCK_SIZE, digest), 0);
	assert_memory_equal(digest, want, sizeof(digest));
	if (vec_has(v, "ciphertext")) {
		vec_hex(v, "ciphertext", want, BLOCK_SIZE);
		assert_memory_equal(cipher, want, BLOCK_SIZE);
	}
	vec_hex(v, "tag", want, TAG_LEN);
	assert_memory_equal(tag, want, TAG_LEN);
	assert_int_equal(sum, vec_int(v, "sum"));
	assert_int_equal(hash_sum32(cipher, BLOCK_SIZE), sum);
	assert_int_equal(blockcrypt_open(bc, &keys, &pos, cipher, want, out), 0);
	assert_memory_equal(out, plain, BLOCK_SIZE);
}

static void every_block_is_the_stated_one(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = vec_ring(*state);
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	const struct json *all = vec_array(*state, "blocks");
	size_t i;

	assert_int_equal(blockcrypt_new(&bc), 0);
	for (i = 0; i < json_array_len(all); i++)
		check_block(bc, ring, json_array_at(all, i));
}

static void every_name_is_the_stated_one(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = vec_ring(*state);
	const struct name_keys *keys = key_ring_names(ring);
	const struct json *all = vec_array(*state, "names");
	char full[LOWER_NAME_FULL_MAX + 1], plain[PLAIN_NAME_MAX + 1], hash[NAME_HASH_LEN + 1];
	uint8_t dir[DIR_ID_LEN], raw[PLAIN_NAME_MAX];
	size_t i, len, full_len, plain_len;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		const char *name = (const char *)raw;

		vec_hex(v, "dir_id", dir, sizeof(dir));
		if (vec_has(v, "name")) {
			name = vec_text(v, "name");
			len = strlen(name);
		} else {
			len = vec_hex_var(v, "name_hex", raw, sizeof(raw));
		}
		assert_int_equal(namecrypt_encrypt(keys, dir, name, len, full, &full_len), 0);
		assert_string_equal(full, vec_text(v, "lower"));
		assert_int_equal(namecrypt_decrypt(keys, dir, full, full_len, plain, &plain_len), 0);
		assert_int_equal(plain_len, len);
		assert_memory_equal(plain, name, len);
		assert_int_equal(namecrypt_is_long(full_len), vec_has(v, "hash"));
		if (vec_has(v, "hash")) {
			assert_int_equal(namecrypt_hash(full, full_len, hash), 0);
			assert_string_equal(hash, vec_text(v, "hash"));
		}
	}
}

static void what_a_reader_of_names_must_refuse_is_refused(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = vec_ring(*state);
	const struct json *reject = vec_object(*state, "reject");
	const struct json *all = vec_array(reject, "lower_names");
	char plain[PLAIN_NAME_MAX + 1];
	uint8_t dir[DIR_ID_LEN];
	size_t i, len;

	vec_hex(reject, "dir_id", dir, sizeof(dir));
	for (i = 0; i < json_array_len(all); i++) {
		const char *lower = vec_text(json_array_at(all, i), "lower");

		if (namecrypt_decrypt(key_ring_names(ring), dir, lower, strlen(lower), plain, &len) != -EBADMSG)
			fail_msg("accepted: %s", vec_text(json_array_at(all, i), "why"));
	}
}

static void directory_links_are_the_stated_ones(void **state)
{
	const struct json *all = vec_array(*state, "coffer_dir");
	char target[DIR_LINK_TARGET_MAX];
	uint8_t dir[DIR_ID_LEN], id[DIR_ID_LEN];
	uint16_t epoch;
	size_t i;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);

		vec_hex(v, "dir_id", dir, sizeof(dir));
		assert_int_equal(namecrypt_dir_link_put(dir, (uint16_t)vec_int(v, "names_epoch"), target), 0);
		assert_string_equal(target, vec_text(v, "target"));
		assert_int_equal(namecrypt_dir_link_parse(target, strlen(target), id, &epoch), 0);
		assert_memory_equal(id, dir, sizeof(id));
		assert_int_equal(epoch, vec_int(v, "names_epoch"));
	}
}

static void every_link_target_is_the_stated_one(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = vec_ring(*state);
	const struct name_keys *keys = key_ring_names(ring);
	uint16_t epoch = key_ring_names_epoch(ring);
	const struct json *all = vec_array(*state, "symlinks");
	char lower[SYMLINK_LOWER_MAX + 1], plain[SYMLINK_PLAIN_MAX + 1];
	size_t i, len, plain_len;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		const char *target = vec_text(v, "target");

		assert_int_equal(namecrypt_symlink_encrypt(keys, epoch, target, strlen(target), lower, &len), 0);
		assert_string_equal(lower, vec_text(v, "lower"));
		assert_int_equal(namecrypt_symlink_decrypt(keys, epoch, lower, len, plain, &plain_len), 0);
		assert_string_equal(plain, target);
	}
}

static void every_attribute_is_the_stated_one(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = vec_ring(*state);
	const struct name_keys *keys = key_ring_names(ring);
	uint16_t epoch = key_ring_names_epoch(ring);
	const struct json *all = vec_array(*state, "xattrs");
	char lower[LOWER_NAME_LEN_MAX + 1], plain[XATTR_PLAIN_NAME_MAX + 1];
	uint8_t value[4096], want[4096 + XATTR_VALUE_EXTRA], out[4096 + XATTR_VALUE_EXTRA];
	size_t i, len, plain_len;

	for (i = 0; i < json_array_len(all); i++) {
		const struct json *v = json_array_at(all, i);
		const char *name = vec_text(v, "name");

		assert_int_equal(namecrypt_xattr_name_encrypt(keys, epoch, name, strlen(name), lower), 0);
		assert_string_equal(lower, vec_text(v, "lower_name"));
		assert_int_equal(namecrypt_xattr_name_decrypt(keys, epoch, lower, plain, &plain_len), 0);
		assert_string_equal(plain, name);
		len = vec_hex_var(v, "value", value, sizeof(value));
		vec_hex(v, "lower_value", want, len + XATTR_VALUE_EXTRA);
		assert_int_equal(namecrypt_xattr_value_encrypt(keys, epoch, lower, value, len, out), 0);
		assert_memory_equal(out, want, len + XATTR_VALUE_EXTRA);
		assert_int_equal(namecrypt_xattr_value_decrypt(keys, epoch, lower, want, len + XATTR_VALUE_EXTRA, out), 0);
		if (len > 0)
			assert_memory_equal(out, value, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_derived_key_is_the_stated_one),
		cmocka_unit_test(the_ring_gives_the_stated_keys),
		cmocka_unit_test(the_slot_opens),
		cmocka_unit_test(the_configuration_has_the_stated_mac),
		cmocka_unit_test(every_tag_is_the_stated_one),
		cmocka_unit_test(every_block_is_the_stated_one),
		cmocka_unit_test(every_name_is_the_stated_one),
		cmocka_unit_test(what_a_reader_of_names_must_refuse_is_refused),
		cmocka_unit_test(directory_links_are_the_stated_ones),
		cmocka_unit_test(every_link_target_is_the_stated_one),
		cmocka_unit_test(every_attribute_is_the_stated_one),
	};

	return cmocka_run_group_tests(tests, vectors_setup, vectors_teardown);
}
