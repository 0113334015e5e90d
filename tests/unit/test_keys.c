/* test_keys.c: derivation, sealing, key ring, OpenSSL's heap. Known answers: crypt_vectors.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "crypt/backup_tag.h"
#include "crypt/gcm.h"
#include "crypt/hkdf.h"
#include "crypt/keys.h"
#include "crypt_vectors.h"

static struct secret *secret_of(const uint8_t *p, size_t len)
{
	struct secret *s = NULL;

	assert_int_equal(secret_new_copy(p, len, &s), 0);
	return s;
}

#define SECRET_OF(v) secret_of((v), sizeof(v))

/* --- the heap: each case in a child, because OpenSSL takes a heap only before it first allocates --- */

/* Run fn in a child; its result is the exit status. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Do the VmFlags of the mapping that holds p have these two-letter flags? */
static int mapping_has(const void *p, const char *a, const char *b)
{
	char line[512];
	unsigned long from, to, at = (unsigned long)p;
	int inside = 0, found = 0;
	FILE *f = fopen("/proc/self/smaps", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= at && at < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, a) && strstr(line, b);
	}
	fclose(f);
	return found;
}

/* The sanitizers' runtimes turn mlock(2) into nothing. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MLOCK_IS_A_NO_OP 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MLOCK_IS_A_NO_OP 1
#endif
#ifndef MLOCK_IS_A_NO_OP
#define MLOCK_IS_A_NO_OP 0
#endif

static int heap_is_locked(void)
{
	const char *lo = MLOCK_IS_A_NO_OP ? " dd" : " lo";

	uint8_t *small, *large;
	size_t i;

	if (keys_openssl_heap_init() < 0)
		return 1;
	small = OPENSSL_malloc(100);
	large = OPENSSL_malloc(200000);
	if (!small || !large)
		return 2;
	if (!mapping_has(small, lo, " dd") || !mapping_has(large, lo, " dd"))
		return 3;
	memset(small, 0xee, 100);
	OPENSSL_free(small);
	/* The block is still mapped; all of it but the free list's link must be gone. */
	for (i = sizeof(void *); i < 100; i++)
		if (*(volatile uint8_t *)(small + i) != 0)
			return 4;
	OPENSSL_free(large);
	return mapping_has(large, lo, " dd") ? 5 : 0;
}

static void openssl_heap_is_locked_undumped_and_wiped(void **state)
{
	(void)state;
	assert_int_equal(in_child(heap_is_locked), 0);
}

#define HEAP_SLOTS 200

/* Random allocations, each filled with its own byte; a byte that changed or a pointer that is not aligned is an error. */
static void *heap_worker(void *arg)
{
	uint8_t *p[HEAP_SLOTS] = { NULL };
	size_t len[HEAP_SLOTS] = { 0 };
	unsigned seed = (unsigned)(uintptr_t)arg;
	size_t i, j, n;
	int step;

	for (step = 0; step < 20000; step++) {
		i = (size_t)rand_r(&seed) % HEAP_SLOTS;
		for (j = 0; j < len[i]; j++)
			if (p[i][j] != (uint8_t)(i + (uintptr_t)arg))
				return (void *)1;
		n = (size_t)rand_r(&seed) % (rand_r(&seed) % 64 == 0 ? 50000 : 600);
		if (rand_r(&seed) % 3 == 0 || n == 0) {
			OPENSSL_free(p[i]);
			p[i] = NULL;
			len[i] = 0;
			continue;
		}
		p[i] = OPENSSL_realloc(p[i], n);
		if (!p[i] || (uintptr_t)p[i] % 16 != 0)
			return (void *)2;
		for (j = 0; j < n && j < len[i]; j++)
			if (p[i][j] != (uint8_t)(i + (uintptr_t)arg))
				return (void *)3;
		memset(p[i], (int)(i + (uintptr_t)arg), n);
		len[i] = n;
	}
	for (i = 0; i < HEAP_SLOTS; i++)
		OPENSSL_free(p[i]);
	return NULL;
}

static int heap_takes_threads(void)
{
	pthread_t t[12];
	uintptr_t i;
	void *bad = NULL;
	int failed = 0;

	if (keys_openssl_heap_init() < 0)
		return 1;
	for (i = 0; i < 12; i++)
		if (pthread_create(&t[i], NULL, heap_worker, (void *)(i + 1)) != 0)
			return 2;
	for (i = 0; i < 12; i++) {
		pthread_join(t[i], &bad);
		if (bad)
			failed = 10 + (int)(uintptr_t)bad;
	}
	return failed;
}

static void openssl_heap_keeps_what_many_threads_put_into_it(void **state)
{
	(void)state;
	assert_int_equal(in_child(heap_takes_threads), 0);
}

static int heap_classes(void)
{
	size_t n;

	if (keys_openssl_heap_init() < 0)
		return 1;
	for (n = 1; n < 70000; n += n < 300 ? 1 : 61) {
		uint8_t *p = OPENSSL_malloc(n), *q = OPENSSL_malloc(n);

		if (!p || !q)
			return 2;
		memset(p, 1, n);
		memset(q, 2, n);
		if (p[0] != 1 || p[n - 1] != 1)
			return 3;
		p = OPENSSL_clear_realloc(p, n, n + 33);
		if (!p || p[0] != 1 || p[n - 1] != 1)
			return 4;
		OPENSSL_free(p);
		OPENSSL_free(q);
	}
	return OPENSSL_malloc((size_t)1 << 41) ? 5 : 0;
}

static void openssl_heap_serves_every_size(void **state)
{
	(void)state;
	assert_int_equal(in_child(heap_classes), 0);
}

static int heap_without_locked_memory(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
		return 1;
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
		return 2;
	return keys_openssl_heap_init() == -ENOMEM ? 0 : 3;
}

static void openssl_heap_says_so_when_memory_cannot_be_locked(void **state)
{
	(void)state;
	if (MLOCK_IS_A_NO_OP)
		skip();
	assert_int_equal(in_child(heap_without_locked_memory), 0);
}

static void openssl_heap_is_refused_when_openssl_has_allocated(void **state)
{
	void *p = OPENSSL_malloc(10);

	(void)state;
	assert_non_null(p);
	OPENSSL_free(p);
	assert_int_equal(keys_openssl_heap_init(), -EBUSY);
}

/* --- derivation --- */

static void hkdf_gives_the_known_answers(void **state)
{
	uint8_t salt[80], ikm[80], info[80], out[82];
	size_t i;

	(void)state;
	for (i = 0; i < 80; i++) {
		ikm[i] = (uint8_t)i;
		salt[i] = (uint8_t)(0x60 + i);
		info[i] = (uint8_t)(0xb0 + i);
	}
	assert_int_equal(keys_hkdf(salt, 80, ikm, 80, info, 80, out, 82), 0);
	assert_memory_equal(out, vec_hkdf2, 82);
	memset(ikm, 0x0b, 22);
	for (i = 0; i < 13; i++)
		salt[i] = (uint8_t)i;
	for (i = 0; i < 10; i++)
		info[i] = (uint8_t)(0xf0 + i);
	assert_int_equal(keys_hkdf(salt, 13, ikm, 22, info, 10, out, 42), 0);
	assert_memory_equal(out, vec_hkdf1, 42);
	assert_int_equal(keys_hkdf(NULL, 0, ikm, 22, NULL, 0, out, 42), 0);
	assert_memory_equal(out, vec_hkdf3, 42);
}

static void hkdf_refuses_lengths_it_cannot_give(void **state)
{
	uint8_t ikm[32] = { 1 }, out[64];

	(void)state;
	assert_int_equal(keys_hkdf(NULL, 0, ikm, 32, NULL, 0, out, 0), -EINVAL);
	assert_int_equal(keys_hkdf(NULL, 0, ikm, 32, NULL, 0, out, 255 * 64 + 1), -EINVAL);
}

static void expanding_in_two_steps_equals_hkdf_in_one(void **state)
{
	static const uint8_t salt[] = HKDF_SALT;
	uint8_t prk[HKDF_PRK_LEN], info[HKDF_INFO_MAX], a[64], b[64];
	size_t len;

	(void)state;
	len = hkdf_info_put(HKDF_MASTER_FILE_XTS, vec_uuid, vec_file_id, info);
	assert_int_equal(hkdf_extract(vec_kek, 32, prk), 0);
	assert_int_equal(hkdf_expand(prk, HKDF_MASTER_FILE_XTS, vec_uuid, vec_file_id, a), 0);
	assert_int_equal(keys_hkdf(salt, sizeof(salt) - 1, vec_kek, 32, info, len, b, 64), 0);
	assert_memory_equal(a, b, 64);
}

static void commitment_and_config_mac_give_the_known_answers(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	uint8_t out[32];

	(void)state;
	assert_int_equal(keys_commitment(root, vec_uuid, out), 0);
	assert_memory_equal(out, vec_commitment, 32);
	assert_int_equal(keys_config_mac(root, vec_uuid, "coffer-volume 1 7 ", 18, "{}", 2, out), 0);
	assert_memory_equal(out, vec_config_mac, 32);
	/* The MAC is over the joined pieces: where they are cut does not matter. */
	assert_int_equal(keys_config_mac(root, vec_uuid, "coffer-volume 1 7 {}", 20, "", 0, out), 0);
	assert_memory_equal(out, vec_config_mac, 32);
	assert_int_equal(keys_config_mac(root, vec_file_id, "coffer-volume 1 7 {}", 20, "", 0, out), 0);
	assert_memory_not_equal(out, vec_config_mac, 32);
}

static void commitment_of_another_root_differs(void **state)
{
	AUTO_SECRET struct secret *other = SECRET_OF(vec_kek);
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	uint8_t out[32];

	(void)state;
	assert_int_equal(keys_commitment(other, vec_uuid, out), 0);
	assert_memory_not_equal(out, vec_commitment, 32);
	assert_int_equal(keys_commitment(root, vec_file_id, out), 0);
	assert_memory_not_equal(out, vec_commitment, 32);
}

static void a_backups_tag_is_the_stated_one_and_of_that_statement_alone(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_SECRET struct secret *other = SECRET_OF(vec_kek);
	char text[sizeof(vec_backup_statement)];
	uint8_t tag[BACKUP_TAG_LEN];

	(void)state;
	memcpy(text, vec_backup_statement, sizeof(text));
	memcpy(tag, vec_backup_tag, sizeof(tag));
	assert_int_equal(backup_tag_check(root, vec_uuid, text, tag), 0);
	assert_int_equal(backup_tag_check(other, vec_uuid, text, tag), -EBADMSG);
	assert_int_equal(backup_tag_check(root, vec_file_id, text, tag), -EINVAL); /* about another volume */
	for (size_t i = 0; i < sizeof(tag); i++) {
		tag[i] ^= 1;
		assert_int_equal(backup_tag_check(root, vec_uuid, text, tag), -EBADMSG);
		tag[i] ^= 1;
	}
	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		text[i] ^= 1;
		assert_int_not_equal(backup_tag_check(root, vec_uuid, text, tag), 0);
		text[i] ^= 1;
	}
	text[sizeof(text) - 2] = '\0';
	assert_int_equal(backup_tag_check(root, vec_uuid, text, tag), -EINVAL);
}

/* Under another uuid's key, too: the uuid is in the key and in the text. */
static void what_is_no_statement_gets_no_tag(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	struct key_backup key;
	uint8_t tag[BACKUP_TAG_LEN] = { 0 }, none[BACKUP_TAG_LEN] = { 0 };

	(void)state;
	assert_int_equal(keys_backup(root, vec_file_id, &key), 0);
	assert_int_equal(backup_tag_make(&key, vec_file_id, (const char *)vec_backup_statement, tag), -EINVAL);
	assert_int_equal(backup_tag_make(&key, vec_file_id, "coffer-volume 1 7 {}", tag), -EINVAL);
	assert_int_equal(backup_tag_make(&key, vec_file_id, "", tag), -EINVAL);
	assert_memory_equal(tag, none, sizeof(tag));
	assert_int_equal(backup_tag_make(&key, vec_uuid, (const char *)vec_backup_statement, tag), 0);
	assert_memory_not_equal(tag, vec_backup_tag, sizeof(tag));
}

static void the_time_of_a_statement_is_within_or_not(void **state)
{
	static const char at[] = "2026-01-02T03:04:05Z", before[] = "2026-01-02T03:04:04Z", behind[] = "2026-01-02T03:04:06Z";
	char text[sizeof(vec_backup_statement)], *time;

	(void)state;
	memcpy(text, vec_backup_statement, sizeof(text));
	assert_true(backup_statement_within(text, at, at));
	assert_true(backup_statement_within(text, before, behind));
	assert_false(backup_statement_within(text, behind, behind));
	assert_false(backup_statement_within(text, before, before));
	assert_false(backup_statement_within(text, "", behind));
	assert_false(backup_statement_within(text, before, "9"));
	time = strchr(text, 'T');
	assert_non_null(time);
	memmove(time, time + 1, strlen(time)); /* one of another form has no order */
	assert_false(backup_statement_within(text, before, behind));
}

static void a_root_of_another_length_is_refused(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_SECRET struct secret *half = secret_of(vec_root, 16);
	struct secret *none = NULL;
	struct key_ring *ring = NULL;
	uint8_t out[SEALED_ROOT_LEN];

	(void)state;
	assert_int_equal(keys_commitment(half, vec_uuid, out), -EINVAL);
	assert_int_equal(keys_config_mac(half, vec_uuid, "", 0, "", 0, out), -EINVAL);
	assert_int_equal(backup_tag_check(half, vec_uuid, (const char *)vec_backup_statement, vec_backup_tag), -EINVAL);
	assert_int_equal(keys_root_seal(root, "acme", vec_uuid, half, out), -EINVAL);
	assert_int_equal(keys_root_seal(half, "acme", vec_uuid, root, out), -EINVAL);
	assert_int_equal(keys_root_open(half, "acme", vec_uuid, vec_sealed_root, &none), -EINVAL);
	assert_int_equal(key_ring_open(half, vec_uuid, vec_ring, sizeof(vec_ring), &ring), -EINVAL);
	assert_null(none);
	assert_null(ring);
}

/* --- sealing --- */

static void gcm_opens_the_published_vector(void **state)
{
	/* McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16 */
	static const uint8_t half_key[16] = { 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
					      0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08 };
	static const uint8_t aad[20] = { 0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
					 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2 };
	static const uint8_t in[12 + 60 + 16] = {
		0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88, 0x52, 0x2d, 0xc1,
		0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d, 0x64, 0x3a,
		0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa, 0x8c,
		0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38,
		0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62, 0x76, 0xfc, 0x6e,
		0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b,
	};
	static const uint8_t plain_head[8] = { 0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5 };
	uint8_t key[32], out[60];

	(void)state;
	memcpy(key, half_key, 16);
	memcpy(key + 16, half_key, 16);
	assert_int_equal(gcm_open(key, aad, sizeof(aad), in, sizeof(in), out), 0);
	assert_memory_equal(out, plain_head, sizeof(plain_head));
	assert_int_equal(gcm_open(key, aad, sizeof(aad) - 1, in, sizeof(in), out), -EKEYREJECTED);
	assert_int_equal(gcm_open(key, aad, sizeof(aad), in, GCM_EXTRA - 1, out), -EKEYREJECTED);
	assert_int_equal(gcm_seal(key, aad, sizeof(aad), in, GCM_LEN_MAX + 1, out), -EINVAL);
}

static void root_opens_from_the_known_seal(void **state)
{
	AUTO_SECRET struct secret *kek = SECRET_OF(vec_kek);
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_SECRET struct secret *out = NULL;
	AUTO_SECRET struct secret *out_kek = NULL;

	(void)state;
	assert_int_equal(keys_root_open(kek, "acme", vec_uuid, vec_sealed_root, &out), 0);
	assert_int_equal(secret_len(out), 32);
	assert_memory_equal(secret_bytes(out), vec_root, 32);
	assert_int_equal(keys_kek_unwrap(root, "acme", vec_uuid, vec_wrapped_kek, &out_kek), 0);
	assert_memory_equal(secret_bytes(out_kek), vec_kek, 32);
}

static void sealed_root_opens_and_two_seals_differ(void **state)
{
	AUTO_SECRET struct secret *kek = SECRET_OF(vec_kek);
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_SECRET struct secret *out = NULL;
	AUTO_SECRET struct secret *out_kek = NULL;
	uint8_t a[SEALED_ROOT_LEN], b[SEALED_ROOT_LEN];

	(void)state;
	assert_int_equal(keys_root_seal(kek, "acme", vec_uuid, root, a), 0);
	assert_int_equal(keys_root_seal(kek, "acme", vec_uuid, root, b), 0);
	assert_memory_not_equal(a, b, GCM_IV_LEN);
	assert_memory_not_equal(a + GCM_IV_LEN, b + GCM_IV_LEN, 32);
	assert_int_equal(keys_root_open(kek, "acme", vec_uuid, a, &out), 0);
	assert_memory_equal(secret_bytes(out), vec_root, 32);
	assert_int_equal(keys_kek_wrap(root, "acme", vec_uuid, kek, a), 0);
	assert_int_equal(keys_kek_unwrap(root, "acme", vec_uuid, a, &out_kek), 0);
	assert_memory_equal(secret_bytes(out_kek), vec_kek, 32);
}

static void sealed_root_is_refused_for_another_key_tenant_uuid_or_use(void **state)
{
	AUTO_SECRET struct secret *kek = SECRET_OF(vec_kek);
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	struct secret *out = NULL;
	char long_tenant[257];

	(void)state;
	assert_int_equal(keys_root_open(root, "acme", vec_uuid, vec_sealed_root, &out), -EKEYREJECTED);
	assert_int_equal(keys_root_open(kek, "acmf", vec_uuid, vec_sealed_root, &out), -EKEYREJECTED);
	assert_int_equal(keys_root_open(kek, "acm", vec_uuid, vec_sealed_root, &out), -EKEYREJECTED);
	assert_int_equal(keys_root_open(kek, "", vec_uuid, vec_sealed_root, &out), -EKEYREJECTED);
	assert_int_equal(keys_root_open(kek, "acme", vec_file_id, vec_sealed_root, &out), -EKEYREJECTED);
	assert_int_equal(keys_kek_unwrap(kek, "acme", vec_uuid, vec_sealed_root, &out), -EKEYREJECTED);
	memset(long_tenant, 'a', 256);
	long_tenant[256] = '\0';
	assert_int_equal(keys_root_open(kek, long_tenant, vec_uuid, vec_sealed_root, &out), -EINVAL);
	assert_null(out);
}

static void every_flipped_bit_of_a_sealed_root_is_refused(void **state)
{
	AUTO_SECRET struct secret *kek = SECRET_OF(vec_kek);
	struct secret *out = NULL;
	uint8_t sealed[SEALED_ROOT_LEN];
	size_t bit;

	(void)state;
	memcpy(sealed, vec_sealed_root, sizeof(sealed));
	for (bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(keys_root_open(kek, "acme", vec_uuid, sealed, &out), -EKEYREJECTED);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_null(out);
}

/* --- the key ring --- */

static struct key_ring *known_ring(void)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	struct key_ring *ring = NULL;

	assert_int_equal(key_ring_open(root, vec_uuid, vec_ring, sizeof(vec_ring), &ring), 0);
	return ring;
}

static void key_ring_gives_the_known_keys(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = known_ring();
	const struct name_keys *names = key_ring_names(ring);
	struct file_keys file;
	struct key_tag tag;

	(void)state;
	assert_memory_equal(key_ring_uuid(ring), vec_uuid, UUID_LEN);
	assert_int_equal(key_ring_newest(ring), 7);
	assert_int_equal(key_ring_names_epoch(ring), 3);
	assert_memory_equal(names->name.k, vec_key_name, 64);
	assert_memory_equal(names->symlink.k, vec_key_symlink, 64);
	assert_memory_equal(names->xattr_name.k, vec_key_xattr_name, 64);
	assert_memory_equal(names->xattr_value.k, vec_key_xattr_value, 64);
	assert_int_equal(key_ring_state_tag(ring, 7, &tag), 0);
	assert_memory_equal(tag.k, vec_state_tag, 64);
	assert_int_equal(key_ring_log_tag(ring, 7, &tag), 0);
	assert_memory_equal(tag.k, vec_log_tag, 64);
	assert_int_equal(key_ring_file_tag(ring, 1, vec_file_id, &tag), 0);
	assert_memory_equal(tag.k, vec_file_tag_1, 64);
	assert_int_equal(key_ring_file(ring, 7, vec_file_id, &file), 0);
	assert_memory_equal(file.tag.k, vec_file_tag, 64);
	assert_memory_equal(file.xts.k, vec_file_xts, 64);
	keys_wipe(&file);
	keys_wipe(&tag);
}

static void a_ring_makes_the_tags_of_its_root(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = known_ring();
	uint8_t tag[BACKUP_TAG_LEN];

	(void)state;
	assert_int_equal(backup_tag_make(key_ring_backup(ring), key_ring_uuid(ring), (const char *)vec_backup_statement, tag), 0);
	assert_memory_equal(tag, vec_backup_tag, sizeof(tag));
}

static void key_ring_has_no_key_for_an_epoch_it_does_not_hold(void **state)
{
	static const uint16_t absent[] = { 0, 2, 6, 8, 0x0107, 65535 };
	AUTO_KEY_RING struct key_ring *ring = known_ring();
	struct file_keys file, before;
	struct key_tag tag;
	size_t i;

	(void)state;
	memset(&file, 0x5a, sizeof(file));
	before = file;
	tag = file.tag;
	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		assert_int_equal(key_ring_state_tag(ring, absent[i], &tag), -ENOKEY);
		assert_int_equal(key_ring_log_tag(ring, absent[i], &tag), -ENOKEY);
		assert_int_equal(key_ring_file_tag(ring, absent[i], vec_file_id, &tag), -ENOKEY);
		assert_int_equal(key_ring_file(ring, absent[i], vec_file_id, &file), -ENOKEY);
	}
	assert_memory_equal(&file, &before, sizeof(file));
	assert_memory_equal(&tag, &before.tag, sizeof(tag));
}

static void a_created_ring_opens_with_fresh_keys_each_time(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_KEY_RING struct key_ring *a = NULL;
	AUTO_KEY_RING struct key_ring *b = NULL;
	uint8_t sealed[KEY_RING_LEN_MAX];
	struct key_tag ta, tb;
	size_t len = 0;

	(void)state;
	assert_int_equal(key_ring_create(root, vec_uuid, sealed, &len), 0);
	assert_int_equal(len, 12 + 4 + 32 + 2 + 34 + 16);
	assert_int_equal(key_ring_open(root, vec_uuid, sealed, len, &a), 0);
	assert_int_equal(key_ring_newest(a), 1);
	assert_int_equal(key_ring_names_epoch(a), 1);
	assert_int_equal(key_ring_create(root, vec_uuid, sealed, &len), 0);
	assert_int_equal(key_ring_open(root, vec_uuid, sealed, len, &b), 0);
	assert_int_equal(key_ring_state_tag(a, 1, &ta), 0);
	assert_int_equal(key_ring_state_tag(b, 1, &tb), 0);
	assert_memory_not_equal(ta.k, tb.k, 64);
	assert_memory_not_equal(key_ring_names(a)->name.k, key_ring_names(b)->name.k, 64);
}

static void a_ring_may_hold_64_epochs(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_KEY_RING struct key_ring *ring = NULL;
	struct key_tag tag;
	unsigned e;

	(void)state;
	assert_int_equal(sizeof(vec_ring_64), KEY_RING_LEN_MAX);
	assert_int_equal(key_ring_open(root, vec_uuid, vec_ring_64, sizeof(vec_ring_64), &ring), 0);
	assert_int_equal(key_ring_newest(ring), 64);
	for (e = 1; e <= 64; e++)
		assert_int_equal(key_ring_log_tag(ring, (uint16_t)e, &tag), 0);
	assert_int_equal(key_ring_log_tag(ring, 65, &tag), -ENOKEY);
}

static void an_authentic_but_malformed_ring_is_unclean(void **state)
{
#define BAD(what) { vec_bad_ring_##what, sizeof(vec_bad_ring_##what) }
	static const struct {
		const uint8_t *p;
		size_t len;
	} bad[] = { BAD(version), BAD(zero), BAD(names_epoch), BAD(no_epochs), BAD(count), BAD(count_low),
		    BAD(epoch_zero), BAD(falling), BAD(twice), BAD(short), BAD(trailing) };
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	struct key_ring *ring = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(key_ring_open(root, vec_uuid, bad[i].p, bad[i].len, &ring), -EUCLEAN);
	assert_null(ring);
}

static void a_ring_is_refused_for_another_root_uuid_length_or_bit(void **state)
{
	AUTO_SECRET struct secret *root = SECRET_OF(vec_root);
	AUTO_SECRET struct secret *other = SECRET_OF(vec_kek);
	struct key_ring *ring = NULL;
	uint8_t sealed[KEY_RING_LEN_MAX + 1] = { 0 };
	size_t bit, len = sizeof(vec_ring);

	(void)state;
	assert_int_equal(key_ring_open(other, vec_uuid, vec_ring, len, &ring), -EKEYREJECTED);
	assert_int_equal(key_ring_open(root, vec_file_id, vec_ring, len, &ring), -EKEYREJECTED);
	assert_int_equal(key_ring_open(root, vec_uuid, vec_ring, len - 1, &ring), -EKEYREJECTED);
	assert_int_equal(key_ring_open(root, vec_uuid, vec_ring, 0, &ring), -EKEYREJECTED);
	assert_int_equal(key_ring_open(root, vec_uuid, vec_ring, GCM_EXTRA, &ring), -EKEYREJECTED);
	assert_int_equal(key_ring_open(root, vec_uuid, sealed, sizeof(sealed), &ring), -EKEYREJECTED);
	memcpy(sealed, vec_ring, len);
	for (bit = 0; bit < 8 * len; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(key_ring_open(root, vec_uuid, sealed, len, &ring), -EKEYREJECTED);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_null(ring);
	key_ring_free(NULL);
}

static void *derive_worker(void *arg)
{
	const struct key_ring *ring = arg;
	struct file_keys file;
	int i;

	for (i = 0; i < 2000; i++)
		if (key_ring_file(ring, 7, vec_file_id, &file) < 0 || memcmp(file.xts.k, vec_file_xts, 64) != 0 ||
		    memcmp(file.tag.k, vec_file_tag, 64) != 0)
			return arg;
	return NULL;
}

static void many_threads_may_use_one_ring(void **state)
{
	AUTO_KEY_RING struct key_ring *ring = known_ring();
	pthread_t t[4];
	void *bad;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, derive_worker, ring), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: their children need an OpenSSL that has not allocated. */
		cmocka_unit_test(openssl_heap_is_locked_undumped_and_wiped),
		cmocka_unit_test(openssl_heap_keeps_what_many_threads_put_into_it),
		cmocka_unit_test(openssl_heap_serves_every_size),
		cmocka_unit_test(openssl_heap_says_so_when_memory_cannot_be_locked),
		cmocka_unit_test(openssl_heap_is_refused_when_openssl_has_allocated),
		cmocka_unit_test(hkdf_gives_the_known_answers),
		cmocka_unit_test(hkdf_refuses_lengths_it_cannot_give),
		cmocka_unit_test(expanding_in_two_steps_equals_hkdf_in_one),
		cmocka_unit_test(commitment_and_config_mac_give_the_known_answers),
		cmocka_unit_test(commitment_of_another_root_differs),
		cmocka_unit_test(a_backups_tag_is_the_stated_one_and_of_that_statement_alone),
		cmocka_unit_test(what_is_no_statement_gets_no_tag),
		cmocka_unit_test(the_time_of_a_statement_is_within_or_not),
		cmocka_unit_test(a_root_of_another_length_is_refused),
		cmocka_unit_test(gcm_opens_the_published_vector),
		cmocka_unit_test(root_opens_from_the_known_seal),
		cmocka_unit_test(sealed_root_opens_and_two_seals_differ),
		cmocka_unit_test(sealed_root_is_refused_for_another_key_tenant_uuid_or_use),
		cmocka_unit_test(every_flipped_bit_of_a_sealed_root_is_refused),
		cmocka_unit_test(key_ring_gives_the_known_keys),
		cmocka_unit_test(a_ring_makes_the_tags_of_its_root),
		cmocka_unit_test(key_ring_has_no_key_for_an_epoch_it_does_not_hold),
		cmocka_unit_test(a_created_ring_opens_with_fresh_keys_each_time),
		cmocka_unit_test(a_ring_may_hold_64_epochs),
		cmocka_unit_test(an_authentic_but_malformed_ring_is_unclean),
		cmocka_unit_test(a_ring_is_refused_for_another_root_uuid_length_or_bit),
		cmocka_unit_test(many_threads_may_use_one_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
