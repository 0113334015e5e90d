/* test_format_memory.c: the n-th allocation fails, for each n, in each operation of the format floor. Then the operation says
 * -ENOMEM, never "malformed", "forged" or "wrong key", and works again when memory is back. Linked with --wrap for our own and
 * jansson's allocations; OpenSSL is given the same allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "format_fixture.h"

#define ALLOCATIONS_MAX 5000    /* of one operation: more means that the loop does not end */

static long countdown = -1;     /* allocations until one fails; -1: none does */
static bool for_good;           /* after that one all fail */

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);

static bool fails(void)
{
	if (countdown < 0)
		return false;
	if (countdown == 0)
		return for_good || countdown-- == 0;
	countdown--;
	return false;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return realloc(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static struct {
	struct volume_config *config;
	struct secret *root;
	uint8_t *text;
	size_t len;
	uint8_t block[BLOCK_SIZE], slot[STATE_SLOT_LEN], desc[BLOCK_SIZE];
	struct volume_state state;
	struct log_desc log;
} fix;

static int op_config_put(void)
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len;
	int r = volume_config_put(fix.config, fix.root, &p, &len);

	if (r == 0)
		assert_true(len == fix.len && memcmp(p, fix.text, len) == 0);
	return r;
}

static int op_config_open(void)
{
	static struct volume_config c;
	AUTO_KEY_RING struct key_ring *ring = NULL;
	char what[128];
	int r = volume_config_parse(fix.text, fix.len, &c, what);

	if (r < 0)
		return r;
	assert_memory_equal(&c, fix.config, sizeof(c));
	return volume_config_verify(fix.text, fix.len, &c, fix.root, &ring);
}

/* Each with contexts of its own, so that their making is in it. */
static int op_group(void)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	struct group_header h;
	struct key_tag key;
	int r = blockcrypt_new(&bc);

	if (r == 0)
		r = group_open(bc, fixture_ring(), fix.block + 16, 0, fix.block, &h);
	if (r == 0)
		r = group_open_first(bc, fixture_ring(), fix.block, &h);
	if (r == 0)
		r = key_ring_file_tag(fixture_ring(), h.epoch, h.file_id, &key);
	if (r == 0)
		r = group_seal_entries(bc, &key, &h, fix.block + HEADER_LEN);
	if (r == 0)
		r = group_seal_header(bc, &key, &h);
	return r;
}

static int op_state(void)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	uint8_t p[STATE_SLOT_LEN];
	struct volume_state s;
	int r = blockcrypt_new(&bc);

	if (r == 0)
		r = volume_state_open(bc, fixture_ring(), 0, fix.slot, &s);
	if (r == 0)
		r = volume_state_seal(bc, fixture_ring(), &s, 0, 1, p);
	return r;
}

static int op_log(void)
{
	AUTO(blockcrypt_free_p) struct blockcrypt *bc = NULL;
	static struct log_desc d;
	uint8_t p[BLOCK_SIZE];
	int r = blockcrypt_new(&bc);

	if (r == 0)
		r = log_desc_open(bc, fixture_ring(), fix.desc, &d);
	if (r == 0)
		r = log_desc_seal(bc, fixture_ring(), &d, p);
	return r;
}

static void without_memory(int (*op)(void))
{
	long n, total;
	int r;

	/* Once in peace: what OpenSSL makes once in a process is not ours to test. */
	assert_int_equal(op(), 0);
	countdown = ALLOCATIONS_MAX;
	r = op();
	total = ALLOCATIONS_MAX - countdown;
	countdown = -1;
	assert_int_equal(r, 0);
	assert_in_range(total, 1, ALLOCATIONS_MAX - 1);
	for (n = 0; n < 2 * total; n++) {
		for_good = n % 2;
		countdown = n / 2;
		r = op();
		countdown = -1;
		/* Some library may do without. */
		if (r != 0 && r != -ENOMEM)
			fprintf(stderr, "allocation %ld%s: %d\n", n / 2, n % 2 ? " and all behind it" : "", r);
		assert_true(r == 0 || r == -ENOMEM);
		if (for_good && n < 2)
			assert_int_equal(r, -ENOMEM);
		assert_int_equal(op(), 0);
	}
}

static void writing_a_configuration_without_memory_says_so(void **state)
{
	(void)state;
	without_memory(op_config_put);
}

static void opening_a_configuration_without_memory_says_so(void **state)
{
	(void)state;
	without_memory(op_config_open);
}

static void groups_without_memory_say_so(void **state)
{
	(void)state;
	without_memory(op_group);
}

static void slots_without_memory_say_so(void **state)
{
	(void)state;
	without_memory(op_state);
}

static void descriptors_without_memory_say_so(void **state)
{
	(void)state;
	without_memory(op_log);
}

static int setup(void **state)
{
	struct fixture_rng rng = { 50 };

	(void)state;
	fix.config = calloc(1, sizeof(*fix.config));
	assert_non_null(fix.config);
	fixture_config(&rng, 2, fix.config);
	fix.root = fixture_root_secret();
	assert_int_equal(volume_config_put(fix.config, fix.root, &fix.text, &fix.len), 0);
	fixture_group(&rng, 0, fix.block);
	fixture_state(&rng, &fix.state);
	assert_int_equal(volume_state_seal(fixture_bc(), fixture_ring(), &fix.state, 0, 1, fix.slot), 0);
	fixture_desc(&rng, 9, &fix.log);
	assert_int_equal(log_desc_seal(fixture_bc(), fixture_ring(), &fix.log, fix.desc), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(fix.config);
	free(fix.text);
	secret_free(fix.root);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writing_a_configuration_without_memory_says_so),
		cmocka_unit_test(opening_a_configuration_without_memory_says_so),
		cmocka_unit_test(groups_without_memory_say_so),
		cmocka_unit_test(slots_without_memory_say_so),
		cmocka_unit_test(descriptors_without_memory_say_so),
	};

	/* Before OpenSSL allocates anything. */
	if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
		return 99;
	return cmocka_run_group_tests(tests, setup, teardown);
}
