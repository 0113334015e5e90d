/* test_snapshot_config.c: one file out of a snapshot (backup/snapshot.h): the one that is meant, whole, or nothing, whatever the store holds and whichever allocation or read
 * fails. Linked with --wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc_fails.h"
#include "backup/merkle.h"
#include "backup/snapshot.h"
#include "crypt/digest.h"

#define RECORDS_MAX 8
#define CALLS_MAX 2000

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
	if (!alloc_fails())
		return __real_pread(fd, p, n, at);
	errno = EIO;
	return -1;
}

static char dir_path[64];
static struct store *store;
static struct repo repo;
static struct store_error err;

/* The snapshot that is being made. */
static struct record_buf records[RECORDS_MAX];
static size_t nrecords;
static struct manifest manifest;

static int setup(void **state)
{
	static const uint8_t uuid[UUID_LEN] = { 9 };
	char uri[80];

	(void)state;
	(void)snprintf(dir_path, sizeof(dir_path), "/tmp/coffer-test-snapshot.XXXXXX");
	if (!mkdtemp(dir_path))
		return -1;
	(void)snprintf(uri, sizeof(uri), "file://%s", dir_path);
	if (store_open(uri, NULL, &store, &err) < 0)
		return -1;
	repo_open(&repo, store, uuid);
	return 0;
}

static void forget(void)
{
	for (size_t i = 0; i < RECORDS_MAX; i++)
		record_buf_done(&records[i]);
	memset(records, 0, sizeof(records));
	nrecords = 0;
	manifest_done(&manifest);
	memset(&manifest, 0, sizeof(manifest));
}

static int teardown(void **state)
{
	(void)state;
	forget();
	store_close(store);
	store = NULL;
	return setenv("D", dir_path, 1) < 0 ? -1 : system("rm -rf $D");
}

/* ---- what it is made of */

struct like {
	enum record_type type;           /* 0: a file */
	unsigned flags;
	uint64_t parent, size, number;
};

static void entry(const char *name, struct like l)
{
	static struct record_entry e;    /* too large for a stack */

	e = (struct record_entry){ .type = l.type ? l.type : RECORD_FILE, .flags = l.flags, .parent = l.parent, .size = l.size, .number = l.number };
	memcpy(e.name, name, strlen(name) + 1);
	assert_int_equal(record_put_entry(&records[nrecords++], &e), 0);
	manifest.entries++;
}

static struct record_piece piece(uint64_t off, const char *text)
{
	struct record_piece e = { .off = off, .len = (uint32_t)strlen(text) };

	assert_int_equal(digest_sha256(text, e.len, e.hash), 0);
	return e;
}

/* As a segment, or in a pack behind something else. */
static struct record_piece stored(uint64_t off, const char *text, bool packed)
{
	struct record_piece e = piece(off, text);
	char pack[100];

	if (!packed) {
		assert_int_equal(repo_put(&repo, REPO_SEGMENT, e.hash, text, e.len, &err), 0);
		return e;
	}
	e.packed = true;
	e.at = (uint32_t)snprintf(pack, sizeof(pack), "before%s", text) - e.len;
	assert_int_equal(digest_sha256(pack, e.at + e.len, e.pack), 0);
	assert_int_equal(repo_put(&repo, REPO_PACK, e.pack, pack, e.at + e.len, &err), 0);
	return e;
}

static void pieces(const struct record_piece *e, size_t n)
{
	assert_int_equal(record_put_pieces(&records[nrecords++], e, n), 0);
	for (size_t i = 0; i < n; i++)
		manifest.bytes += e[i].len;
}

static void begin(void)
{
	forget();
	entry("", (struct like){ .type = RECORD_DIR });
}

static void end(void)
{
	AUTO_RECORD_BUF struct record_buf list = { 0 };
	struct merkle m = { 0 };

	assert_int_equal(record_list_begin(&list), 0);
	for (size_t i = 0; i < nrecords; i++) {
		assert_int_equal(record_list_add(&list, records[i].p, records[i].len), 0);
		assert_int_equal(merkle_add(&m, records[i].p, records[i].len), 0);
	}
	record_list_end(&list, (uint32_t)nrecords);
	assert_int_equal(merkle_root(&m, manifest.root), 0);
	manifest.lists = calloc(1, sizeof(*manifest.lists));
	assert_non_null(manifest.lists);
	manifest.nlists = 1;
	manifest.lists->len = (uint32_t)list.len;
	manifest.lists->records = (uint32_t)nrecords;
	assert_int_equal(digest_sha256(list.p, list.len, manifest.lists->hash), 0);
	assert_int_equal(repo_put(&repo, REPO_LIST, manifest.lists->hash, list.p, list.len, &err), 0);
}

/* With a message. */
static int refused(void)
{
	uint8_t *p = NULL;
	size_t len = 0;
	int r;

	if (manifest.nlists == 0)
		end();
	r = snapshot_config(&repo, &manifest, &p, &len, &err);
	assert_null(p);
	assert_int_equal(len, 0);
	assert_true(err.message[0] != '\0');
	return r;
}

/* ---- */

/* With other files around it, one of the same name elsewhere, and a hole: "one", 5 zeros, "two", "!". */
static void good(void)
{
	struct record_piece other = stored(0, "of another file", true), e[3];

	begin();
	entry("abc", (struct like){ .size = 15, .number = 1 });
	pieces(&other, 1);
	e[0] = stored(0, "one", true);
	e[1] = stored(8, "two", false);
	e[2] = stored(11, "!", true);
	entry("coffer.volume", (struct like){ .size = 13, .number = 3 });
	pieces(e, 3);
	entry("def", (struct like){ .type = RECORD_DIR });
	entry("coffer.volume", (struct like){ .size = 15, .number = 1, .parent = 3 });
	pieces(&other, 1);
	end();
}

static void it_is_the_one_of_the_root_and_whole(void **state)
{
	AUTO_FREE uint8_t *p = NULL;
	size_t len;

	(void)state;
	good();
	assert_int_equal(snapshot_config(&repo, &manifest, &p, &len, &err), 0);
	assert_int_equal(len, 13);
	assert_memory_equal(p, "one\0\0\0\0\0two!\0", 13);
}

static void what_no_volume_has_is_refused(void **state)
{
	struct record_piece e = stored(0, "text", true), many[17];

	(void)state;
	begin();
	entry("abc", (struct like){ .size = 4, .number = 1 });
	pieces(&e, 1);
	assert_int_equal(refused(), -ENOENT);
	begin();
	entry("coffer.volume", (struct like){ .type = RECORD_DIR });
	assert_int_equal(refused(), -EUCLEAN);
	begin();
	entry("coffer.volume", (struct like){ .size = 0 });
	assert_int_equal(refused(), -EUCLEAN);
	begin();
	entry("coffer.volume", (struct like){ .size = VOLUME_CONFIG_MAX + 1 });
	assert_int_equal(refused(), -EUCLEAN);
	begin();
	entry("coffer.volume", (struct like){ .size = 4096, .flags = RECORD_FLAG_SPACE });
	assert_int_equal(refused(), -EUCLEAN);
	begin();
	for (size_t i = 0; i < 17; i++)
		many[i] = stored(4 * i, "text", true);
	entry("coffer.volume", (struct like){ .size = 100, .number = 17 });
	pieces(many, 17);
	assert_int_equal(refused(), -EUCLEAN);
	begin();
	for (size_t i = 0; i < 2; i++) {
		entry("coffer.volume", (struct like){ .size = 4, .number = 1 });
		pieces(&e, 1);
	}
	assert_int_equal(refused(), -EUCLEAN);
}

static void a_piece_that_is_not_what_its_record_says_is_refused(void **state)
{
	struct record_piece e[4] = { stored(0, "some", true), stored(0, "some", true), stored(0, "some", false), piece(0, "gone") };
	static const int want[4] = { -EBADMSG, -EBADMSG, -EBADMSG, -ENOENT };

	(void)state;
	e[0].at--;
	e[1].at += 2; /* behind the end of its pack */
	e[2].len--;
	for (size_t i = 0; i < 4; i++) {
		begin();
		entry("coffer.volume", (struct like){ .size = 4, .number = 1 });
		pieces(&e[i], 1);
		assert_int_equal(refused(), want[i]);
	}
	good();
	manifest.root[0] ^= 1;
	assert_int_equal(refused(), -EBADMSG);
}

static void each_allocation_and_read_may_fail(void **state)
{
	long n;

	(void)state;
	good();
	for (n = 0; n < CALLS_MAX; n++) {
		AUTO_FREE uint8_t *p = NULL;
		size_t len = 0;
		int r;

		failed = false;
		countdown = n;
		r = snapshot_config(&repo, &manifest, &p, &len, &err);
		countdown = -1;
		assert_int_equal(r == 0, p != NULL);
		assert_true(failed || r == 0);
		assert_true(r == 0 || r == -ENOMEM || r == -EIO);
		assert_true(r < 0 || (len == 13 && memcmp(p, "one\0\0\0\0\0two!", 12) == 0));
		if (!failed)
			break;
	}
	assert_true(n > 5 && n < CALLS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_the_one_of_the_root_and_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(what_no_volume_has_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_piece_that_is_not_what_its_record_says_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(each_allocation_and_read_may_fail, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
