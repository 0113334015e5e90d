/* test_blockcrypt.c: blocks and tags. Known answers: IEEE 1619, and crypt_vectors.py for the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/hash.h"
#include "crypt/blockcrypt.h"
#include "crypt_vectors.h"

struct fixture {
	struct blockcrypt *bc;
	struct file_keys keys;
	struct block_pos pos;
	uint8_t plain[BLOCK_SIZE], cipher[BLOCK_SIZE], out[BLOCK_SIZE];
	uint8_t tag[TAG_LEN];
	uint32_t sum;
};

/* The block of crypt_vectors.py, sealed. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	assert_non_null(f);
	assert_int_equal(blockcrypt_new(&f->bc), 0);
	memcpy(f->keys.tag.k, vec_file_tag, 64);
	memcpy(f->keys.xts.k, vec_file_xts, 64);
	f->pos = (struct block_pos){
		.file_id = vec_file_id, .block = (1ull << 32) + 5, .stamp = 0x0102030405060708, .epoch = 7
	};
	for (i = 0; i < BLOCK_SIZE; i++)
		f->plain[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(blockcrypt_seal(f->bc, &f->keys, &f->pos, f->plain, f->cipher, f->tag, &f->sum), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	blockcrypt_free(f->bc);
	free(f);
	return 0;
}

static void a_block_gives_the_known_ciphertext_tag_and_sum(void **state)
{
	struct fixture *f = *state;
	uint8_t digest[32];

	assert_memory_equal(f->cipher, vec_block_head, 32);
	assert_int_equal(EVP_Digest(f->cipher, BLOCK_SIZE, digest, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(digest, vec_block_sha256, 32);
	assert_memory_equal(f->tag, vec_block_tag, TAG_LEN);
	assert_int_equal(f->sum, hash_sum32(f->cipher, BLOCK_SIZE));
}

static void a_short_payload_gives_the_known_tag(void **state)
{
	struct fixture *f = *state;
	struct egmac_msg h = { .label = 'H', .epoch = 7, .number = 9, .id = vec_file_id, .stamp = f->pos.stamp };
	struct egmac_msg l = { .label = 'L', .epoch = 7, .number = 2, .id = vec_uuid, .stamp = f->pos.stamp };
	struct key_tag log;
	uint8_t tag[TAG_LEN];

	assert_int_equal(blockcrypt_tag(f->bc, &f->keys.tag, &h, f->plain, 496, tag), 0);
	assert_memory_equal(tag, vec_header_tag, TAG_LEN);
	memcpy(log.k, vec_log_tag, 64);
	assert_int_equal(blockcrypt_tag(f->bc, &log, &l, f->plain, 4080, tag), 0);
	assert_memory_equal(tag, vec_log_descriptor_tag, TAG_LEN);
	assert_int_equal(blockcrypt_tag_check(f->bc, &log, &l, f->plain, 4080, tag), 0);
	assert_int_equal(blockcrypt_tag_check(f->bc, &f->keys.tag, &l, f->plain, 4080, tag), -EBADMSG);
	assert_int_equal(blockcrypt_tag(f->bc, &log, &l, f->plain, BLOCK_SIZE + 1, tag), -EINVAL);
}

/* IEEE 1619-2007 annex B, vectors 10 to 14: a data unit of 512 bytes. A block of ours that starts with it starts with its
 * ciphertext, because without stealing XTS handles one 16-byte cell after the other. */
static void xts_gives_the_vectors_of_ieee_1619(void **state)
{
	static const uint8_t key[64] = {
		0x27, 0x18, 0x28, 0x18, 0x28, 0x45, 0x90, 0x45, 0x23, 0x53, 0x60, 0x28, 0x74, 0x71, 0x35, 0x26,
		0x62, 0x49, 0x77, 0x57, 0x24, 0x70, 0x93, 0x69, 0x99, 0x59, 0x57, 0x49, 0x66, 0x96, 0x76, 0x27,
		0x31, 0x41, 0x59, 0x26, 0x53, 0x58, 0x97, 0x93, 0x23, 0x84, 0x62, 0x64, 0x33, 0x83, 0x27, 0x95,
		0x02, 0x88, 0x41, 0x97, 0x16, 0x93, 0x99, 0x37, 0x51, 0x05, 0x82, 0x09, 0x74, 0x94, 0x45, 0x92,
	};
	static const struct {
		uint64_t unit;
		uint8_t head[32];
	} v[] = {
		{ 0xff, { 0x1c, 0x3b, 0x3a, 0x10, 0x2f, 0x77, 0x03, 0x86, 0xe4, 0x83, 0x6c, 0x99, 0xe3, 0x70, 0xcf, 0x9b,
			  0xea, 0x00, 0x80, 0x3f, 0x5e, 0x48, 0x23, 0x57, 0xa4, 0xae, 0x12, 0xd4, 0x14, 0xa3, 0xe6, 0x3b } },
		{ 0xffff, { 0x77, 0xa3, 0x12, 0x51, 0x61, 0x8a, 0x15, 0xe6, 0xb9, 0x2d, 0x1d, 0x66, 0xdf, 0xfe, 0x7b, 0x50,
			    0xb5, 0x0b, 0xad, 0x55, 0x23, 0x05, 0xba, 0x02, 0x17, 0xa6, 0x10, 0x68, 0x8e, 0xff, 0x7e, 0x11 } },
		{ 0xffffff, { 0xe3, 0x87, 0xaa, 0xa5, 0x8b, 0xa4, 0x83, 0xaf, 0xa7, 0xe8, 0xeb, 0x46, 0x97, 0x78, 0x31, 0x7e,
			      0xcf, 0x4c, 0xf5, 0x73, 0xaa, 0x9d, 0x4e, 0xac, 0x23, 0xf2, 0xcd, 0xf9, 0x14, 0xe4, 0xe2, 0x00 } },
		{ 0xffffffff, { 0xbf, 0x53, 0xd2, 0xda, 0xde, 0x78, 0xe8, 0x22, 0xa4, 0xd9, 0x49, 0xa9, 0xbc, 0x67, 0x66, 0xb0,
				0x1b, 0x06, 0xa8, 0xef, 0x70, 0xd2, 0x67, 0x48, 0xc6, 0xa7, 0xfc, 0x36, 0xd8, 0x0a, 0xe4, 0xc5 } },
		{ 0xffffffffff, { 0x64, 0x49, 0x7e, 0x5a, 0x83, 0x1e, 0x4a, 0x93, 0x2c, 0x09, 0xbe, 0x3e, 0x53, 0x93, 0x37, 0x6d,
				  0xaa, 0x59, 0x95, 0x48, 0xb8, 0x16, 0x03, 0x1d, 0x22, 0x4b, 0xbf, 0x50, 0xa8, 0x18, 0xed, 0x23 } },
	};
	struct fixture *f = *state;
	size_t i;

	memcpy(f->keys.xts.k, key, 64);
	for (i = 0; i < BLOCK_SIZE; i++)
		f->plain[i] = (uint8_t)i;
	f->pos.block = 0;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		f->pos.stamp = v[i].unit;
		assert_int_equal(blockcrypt_seal(f->bc, &f->keys, &f->pos, f->plain, f->cipher, f->tag, &f->sum), 0);
		assert_memory_equal(f->cipher, v[i].head, 32);
		assert_int_equal(blockcrypt_open(f->bc, &f->keys, &f->pos, f->cipher, f->tag, f->out), 0);
		assert_memory_equal(f->out, f->plain, BLOCK_SIZE);
	}
}

static void opening_undoes_sealing_at_any_position(void **state)
{
	static const struct block_pos where[] = {
		{ vec_file_id, 0, 1, 1 },
		{ vec_file_id, 0xffffffff, UINT64_MAX, 65535 },
		{ vec_uuid, (1ull << 36) - 1, 1ull << 63, 2 },
	};
	struct fixture *f = *state;
	size_t i, j;

	for (i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		for (j = 0; j < BLOCK_SIZE; j++)
			f->plain[j] = (uint8_t)rand();
		memset(f->out, 0, BLOCK_SIZE);
		assert_int_equal(blockcrypt_seal(f->bc, &f->keys, &where[i], f->plain, f->cipher, f->tag, &f->sum), 0);
		assert_memory_not_equal(f->cipher, f->plain, BLOCK_SIZE);
		assert_int_equal(blockcrypt_open(f->bc, &f->keys, &where[i], f->cipher, f->tag, f->out), 0);
		assert_memory_equal(f->out, f->plain, BLOCK_SIZE);
		assert_int_equal(blockcrypt_verify(f->bc, &f->keys.tag, &where[i], f->cipher, f->tag), 0);
	}
}

static void sealing_and_opening_work_in_place(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[BLOCK_SIZE], tag[TAG_LEN];
	uint32_t sum;

	memcpy(buf, f->plain, BLOCK_SIZE);
	assert_int_equal(blockcrypt_seal(f->bc, &f->keys, &f->pos, buf, buf, tag, &sum), 0);
	assert_memory_equal(buf, f->cipher, BLOCK_SIZE);
	assert_memory_equal(tag, f->tag, TAG_LEN);
	assert_int_equal(sum, f->sum);
	assert_int_equal(blockcrypt_open(f->bc, &f->keys, &f->pos, buf, tag, buf), 0);
	assert_memory_equal(buf, f->plain, BLOCK_SIZE);
}

/* Every refusal: -EBADMSG, and not one byte of the output written. */
static void assert_refused(struct fixture *f)
{
	uint8_t before[BLOCK_SIZE];

	memset(before, 0xa5, sizeof(before));
	memset(f->out, 0xa5, sizeof(f->out));
	assert_int_equal(blockcrypt_open(f->bc, &f->keys, &f->pos, f->cipher, f->tag, f->out), -EBADMSG);
	assert_memory_equal(f->out, before, BLOCK_SIZE);
	assert_int_equal(blockcrypt_verify(f->bc, &f->keys.tag, &f->pos, f->cipher, f->tag), -EBADMSG);
}

static void assert_opens(struct fixture *f)
{
	assert_int_equal(blockcrypt_open(f->bc, &f->keys, &f->pos, f->cipher, f->tag, f->out), 0);
	assert_memory_equal(f->out, f->plain, BLOCK_SIZE);
}

static void every_flipped_bit_of_the_ciphertext_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t bit;

	for (bit = 0; bit < 8 * BLOCK_SIZE; bit++) {
		f->cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(f);
		f->cipher[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_opens(f);
}

static void every_flipped_bit_of_the_tag_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t bit;

	for (bit = 0; bit < 8 * TAG_LEN; bit++) {
		f->tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(f);
		f->tag[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_opens(f);
}

static void every_flipped_bit_of_the_position_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t id[FILE_ID_LEN];
	size_t bit;

	for (bit = 0; bit < 64; bit++) {
		f->pos.stamp ^= 1ull << bit;
		assert_refused(f);
		f->pos.stamp ^= 1ull << bit;
		f->pos.block ^= 1ull << bit;
		assert_refused(f);
		f->pos.block ^= 1ull << bit;
	}
	for (bit = 0; bit < 16; bit++) {
		f->pos.epoch ^= (uint16_t)(1u << bit);
		assert_refused(f);
		f->pos.epoch ^= (uint16_t)(1u << bit);
	}
	memcpy(id, vec_file_id, sizeof(id));
	f->pos.file_id = id;
	for (bit = 0; bit < 8 * FILE_ID_LEN; bit++) {
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(f);
		id[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_opens(f);
}

static void every_flipped_bit_of_the_tag_key_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t bit;

	for (bit = 0; bit < 8 * 64; bit++) {
		f->keys.tag.k[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(f);
		f->keys.tag.k[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_opens(f);
}

static void each_field_of_a_message_changes_the_tag(void **state)
{
	static const char labels[] = { 'B', 'E', 'H', 'L', 'S' };
	struct fixture *f = *state;
	struct egmac_msg msg = { .label = 'B', .epoch = 7, .number = f->pos.block, .id = vec_file_id, .stamp = f->pos.stamp };
	size_t i;

	for (i = 0; i < sizeof(labels); i++) {
		msg.label = labels[i];
		assert_int_equal(blockcrypt_tag_check(f->bc, &f->keys.tag, &msg, f->cipher, BLOCK_SIZE, f->tag),
				 labels[i] == 'B' ? 0 : -EBADMSG);
	}
	msg.label = 'B';
	assert_int_equal(blockcrypt_tag_check(f->bc, &f->keys.tag, &msg, f->cipher, BLOCK_SIZE - 1, f->tag), -EBADMSG);
	assert_int_equal(blockcrypt_tag_check(f->bc, &f->keys.tag, &msg, f->cipher, 0, f->tag), -EBADMSG);
	/* The number is in the nonce with 32 bits only, and whole in the message. */
	msg.number ^= 1ull << 40;
	assert_int_equal(blockcrypt_tag_check(f->bc, &f->keys.tag, &msg, f->cipher, BLOCK_SIZE, f->tag), -EBADMSG);
}

static void equal_halves_of_an_xts_key_are_refused_both_ways(void **state)
{
	struct fixture *f = *state;
	struct file_keys bad = f->keys;
	uint8_t cipher[BLOCK_SIZE];

	memcpy(bad.xts.k + 32, bad.xts.k, 32);
	memset(cipher, 0x11, sizeof(cipher));
	memset(f->out, 0x11, sizeof(f->out));
	assert_int_equal(blockcrypt_seal(f->bc, &bad, &f->pos, f->plain, cipher, f->tag, &f->sum), -EINVAL);
	assert_memory_equal(cipher, f->out, BLOCK_SIZE);
	assert_int_equal(blockcrypt_open(f->bc, &bad, &f->pos, f->cipher, f->tag, f->out), -EINVAL);
	assert_memory_equal(cipher, f->out, BLOCK_SIZE);
	assert_opens(f);
}

static void a_stamp_of_zero_is_never_sealed(void **state)
{
	struct fixture *f = *state;

	f->pos.stamp = 0;
	assert_int_equal(blockcrypt_seal(f->bc, &f->keys, &f->pos, f->plain, f->cipher, f->tag, &f->sum), -EINVAL);
}

static void changing_keys_back_and_forth_keeps_them_apart(void **state)
{
	struct fixture *f = *state;
	struct file_keys other;
	uint8_t cipher[BLOCK_SIZE], tag[TAG_LEN];
	uint32_t sum;
	int i;

	memset(&other, 0x42, sizeof(other));
	other.xts.k[0] = 0;
	for (i = 0; i < 3; i++) {
		assert_int_equal(blockcrypt_seal(f->bc, &other, &f->pos, f->plain, cipher, tag, &sum), 0);
		assert_memory_not_equal(cipher, f->cipher, BLOCK_SIZE);
		assert_opens(f);
		assert_int_equal(blockcrypt_open(f->bc, &other, &f->pos, cipher, tag, f->out), 0);
		assert_memory_equal(f->out, f->plain, BLOCK_SIZE);
		assert_int_equal(blockcrypt_open(f->bc, &other, &f->pos, f->cipher, f->tag, f->out), -EBADMSG);
	}
	/* Only the content key differs: the tag fits, and the plain text is another. */
	other = f->keys;
	other.xts.k[1] ^= 1;
	assert_int_equal(blockcrypt_open(f->bc, &other, &f->pos, f->cipher, f->tag, f->out), 0);
	assert_memory_not_equal(f->out, f->plain, BLOCK_SIZE);
	assert_opens(f);
}

static void contexts_that_forgot_their_keys_work_again(void **state)
{
	struct fixture *f = *state;
	uint8_t cipher[BLOCK_SIZE], tag[TAG_LEN];
	uint32_t sum;

	assert_opens(f);
	blockcrypt_forget(f->bc);
	assert_opens(f);
	blockcrypt_forget(f->bc);
	blockcrypt_forget(f->bc);
	assert_int_equal(blockcrypt_seal(f->bc, &f->keys, &f->pos, f->plain, cipher, tag, &sum), 0);
	assert_memory_equal(cipher, f->cipher, BLOCK_SIZE);
	assert_memory_equal(tag, f->tag, TAG_LEN);
	blockcrypt_free(NULL);
}

static void *own_worker(void *arg)
{
	struct blockcrypt **ret = arg;

	*ret = blockcrypt_get();
	return blockcrypt_get() == *ret ? NULL : arg;
}

static void each_thread_has_contexts_of_its_own(void **state)
{
	struct blockcrypt *mine = blockcrypt_get(), *theirs = NULL;
	pthread_t t;
	void *bad;

	(void)state;
	assert_non_null(mine);
	assert_ptr_equal(blockcrypt_get(), mine);
	assert_int_equal(pthread_create(&t, NULL, own_worker, &theirs), 0);
	assert_int_equal(pthread_join(t, &bad), 0);
	assert_null(bad);
	assert_non_null(theirs);
	assert_ptr_not_equal(theirs, mine);
}

/* Secret memory may be shared with a child, so which key a context has must not be remembered there for both. */
static void a_child_has_contexts_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct file_keys other = f->keys;
	uint8_t cipher[BLOCK_SIZE], tag[TAG_LEN];
	int status;
	pid_t pid;

	other.xts.k[0] ^= 1;
	assert_int_equal(blockcrypt_seal(blockcrypt_get(), &other, &f->pos, f->plain, cipher, tag, &f->sum), 0);
	assert_int_equal(blockcrypt_open(blockcrypt_get(), &f->keys, &f->pos, f->cipher, f->tag, f->out), 0);
	pid = fork();
	if (pid == 0)
		_exit(blockcrypt_open(blockcrypt_get(), &other, &f->pos, cipher, tag, f->out) < 0 || memcmp(f->out, f->plain, BLOCK_SIZE) != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(blockcrypt_open(blockcrypt_get(), &other, &f->pos, cipher, tag, f->out), 0);
	assert_memory_equal(f->out, f->plain, BLOCK_SIZE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_block_gives_the_known_ciphertext_tag_and_sum),
		TEST(a_short_payload_gives_the_known_tag),
		TEST(xts_gives_the_vectors_of_ieee_1619),
		TEST(opening_undoes_sealing_at_any_position),
		TEST(sealing_and_opening_work_in_place),
		TEST(every_flipped_bit_of_the_ciphertext_is_refused),
		TEST(every_flipped_bit_of_the_tag_is_refused),
		TEST(every_flipped_bit_of_the_position_is_refused),
		TEST(every_flipped_bit_of_the_tag_key_is_refused),
		TEST(each_field_of_a_message_changes_the_tag),
		TEST(equal_halves_of_an_xts_key_are_refused_both_ways),
		TEST(a_stamp_of_zero_is_never_sealed),
		TEST(changing_keys_back_and_forth_keeps_them_apart),
		TEST(contexts_that_forgot_their_keys_work_again),
		TEST(each_thread_has_contexts_of_its_own),
		TEST(a_child_has_contexts_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
