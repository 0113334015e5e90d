/* bench_crypt.c: nanoseconds per operation of the crypt floor, one thread, the best of five rounds. Prints a table; the
 * figures are for comparing builds on one machine. `bench_crypt locked` runs on the locked heap. */
#include "crypt/blockcrypt.h"
#include "crypt/namecrypt.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 5

struct bench {
	struct blockcrypt *bc;
	struct key_ring *ring;
	struct file_keys keys[2];
	struct key_tag tag_key;
	struct block_pos pos;
	uint8_t id[FILE_ID_LEN], other_id[FILE_ID_LEN];
	uint8_t buf[BLOCK_SIZE], cipher[BLOCK_SIZE], tag[TAG_LEN];
	uint32_t sum;
	char lower[LOWER_NAME_FULL_MAX + 1], plain[PLAIN_NAME_MAX + 1];
	size_t lower_len;
};

static int seal(struct bench *b)
{
	b->pos.stamp++;
	return blockcrypt_seal(b->bc, &b->keys[0], &b->pos, b->buf, b->cipher, b->tag, &b->sum);
}

static int open_block(struct bench *b)
{
	return blockcrypt_open(b->bc, &b->keys[0], &b->pos, b->cipher, b->tag, b->buf);
}

static int verify(struct bench *b)
{
	return blockcrypt_verify(b->bc, &b->keys[0].tag, &b->pos, b->cipher, b->tag);
}

static int seal_two_files(struct bench *b)
{
	b->pos.stamp++;
	return blockcrypt_seal(b->bc, &b->keys[b->pos.stamp % 2], &b->pos, b->buf, b->cipher, b->tag, &b->sum);
}

static int tag_header(struct bench *b)
{
	struct egmac_msg msg = { .label = 'H', .epoch = 1, .number = 3, .id = b->id, .stamp = ++b->pos.stamp };

	return blockcrypt_tag(b->bc, &b->keys[0].tag, &msg, b->buf, 496, b->tag);
}

static int file_tag(struct bench *b)
{
	return key_ring_file_tag(b->ring, 1, b->id, &b->tag_key);
}

static int file_keys(struct bench *b)
{
	return key_ring_file(b->ring, 1, b->other_id, &b->keys[1]);
}

static int name_encrypt(struct bench *b)
{
	return namecrypt_encrypt(key_ring_names(b->ring), b->id, "000000010000000000000001", 24, b->lower, &b->lower_len);
}

static int name_decrypt(struct bench *b)
{
	size_t len;

	return namecrypt_decrypt(key_ring_names(b->ring), b->id, b->lower, b->lower_len, b->plain, &len);
}

static int setup(struct bench *b)
{
	AUTO_SECRET struct secret *root = NULL;
	uint8_t sealed[KEY_RING_LEN_MAX];
	size_t len;
	int r;

	b->other_id[0] = 1;
	r = secret_new(KEY_LEN, &root);
	if (r < 0)
		return r;
	r = key_ring_create(root, b->id, sealed, &len);
	if (r < 0)
		return r;
	r = key_ring_open(root, b->id, sealed, len, &b->ring);
	if (r < 0)
		return r;
	r = key_ring_file(b->ring, 1, b->id, &b->keys[0]);
	if (r < 0)
		return r;
	r = key_ring_file(b->ring, 1, b->other_id, &b->keys[1]);
	if (r < 0)
		return r;
	b->pos = (struct block_pos){ .file_id = b->id, .block = 1, .stamp = 1, .epoch = 1 };
	return blockcrypt_new(&b->bc);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int run(const char *name, int (*fn)(struct bench *), struct bench *b, int times)
{
	double best = 0;
	int i, round, r;

	for (round = 0; round < ROUNDS; round++) {
		double start = now_ns(), took;

		for (i = 0; i < times; i++) {
			r = fn(b);
			if (r < 0) {
				fprintf(stderr, "bench_crypt: %s: %s\n", name, strerror(-r));
				return r;
			}
		}
		took = (now_ns() - start) / times;
		best = round == 0 || took < best ? took : best;
	}
	printf("%-32s %8.0f ns\n", name, best);
	return 0;
}

int main(int argc, char **argv)
{
	/* In this order: opening needs what sealing left, decrypting what encrypting left. */
	static const struct {
		const char *name;
		int (*fn)(struct bench *);
		int times;
	} table[] = {
		{ "seal 4 KiB", seal, 50000 },
		{ "open 4 KiB", open_block, 50000 },
		{ "verify 4 KiB", verify, 50000 },
		{ "tag 496 bytes", tag_header, 100000 },
		{ "tag keys of a file", file_tag, 50000 },
		{ "all keys of a file", file_keys, 50000 },
		{ "seal 4 KiB, two files in turn", seal_two_files, 50000 },
		{ "encrypt a name of 24 bytes", name_encrypt, 20000 },
		{ "decrypt a name of 24 bytes", name_decrypt, 20000 },
	};
	static struct bench b;
	size_t i;
	int r = 0;

	if (argc > 1 && strcmp(argv[1], "locked") == 0)
		r = keys_openssl_heap_init();
	if (r == 0)
		r = setup(&b);
	if (r < 0) {
		fprintf(stderr, "bench_crypt: %s\n", strerror(-r));
		return 1;
	}
	for (i = 0; i < sizeof(table) / sizeof(table[0]) && r == 0; i++)
		r = run(table[i].name, table[i].fn, &b, table[i].times);
	blockcrypt_free(b.bc);
	key_ring_free(b.ring);
	return r < 0;
}
