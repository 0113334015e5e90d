/* test_backup_beside.c: a backup and a prune at the same time (docs/backup.md section 6): whichever way they meet, no snapshot that is there names an object that is gone. The other
 * one is what a callback does in the middle of the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "backup/prune.h"
#include "backup_fixture.h"
#include "crypt/digest.h"

#define FILES 40u                        /* "file 0" and so on, 1 MiB of their number each: segments of their own */
#define FILE_LEN ((size_t)RECORD_PACKED_BELOW)

static const uint8_t uuid[UUID_LEN] = { 1 };
static struct repo repo;

static int setup(void **state)
{
	int r = backup_setup(state);

	if (r == 0)
		repo_open(&repo, store, uuid);
	return r;
}

static void make_file(unsigned n)
{
	AUTO_FREE uint8_t *p = malloc(FILE_LEN);
	char name[16];

	assert_non_null(p);
	memset(p, (int)n, FILE_LEN);
	(void)snprintf(name, sizeof(name), "f%u", n);
	assert_int_equal(fileio_replace_at(root_fd, name, p, FILE_LEN, 0600), 0);
}

static int back_up_with(int (*sign)(void *ctx, struct manifest *m), struct backup_result *ret_r)
{
	struct backup_params p = { .store = store, .root_fd = root_fd, .uuid = { 1 }, .clean = true, .threads = 2, .sign = sign };

	return backup_run(&p, ret_r, &err);
}

static void back_up(void)
{
	struct backup_result res;

	assert_int_equal(back_up_with(NULL, &res), 0);
}

static int prune_with(bool (*progress)(void *ctx), struct prune_counts *ret_c)
{
	const struct prune_params p = { .repo = &repo, .keep = { .last = 1 }, .progress = progress };

	return prune_run(&p, ret_c, &err);
}

static int no_piece_is_missing(void *ctx, const struct record_piece *pieces, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE uint8_t *p = NULL;

		assert_int_equal(repo_get_piece(&repo, &pieces[i], &p, &err), 0);
	}
	return 0;
}

/* All snapshots are whole. */
static size_t all_are_whole(void)
{
	const struct snapshot_walk walk = { .pieces = no_piece_is_missing };
	AUTO_FREE struct repo_snapshot *list = NULL;
	uint8_t hash[RECORD_HASH_LEN];
	size_t n;

	assert_int_equal(repo_snapshots(&repo, &list, &n, &err), 0);
	for (size_t i = 0; i < n; i++) {
		AUTO_MANIFEST struct manifest m = { 0 };

		assert_int_equal(repo_manifest(&repo, list[i].name, &m, hash, &err), 0);
		assert_int_equal(snapshot_walk(&repo, &m, &walk, &err), 0);
	}
	return n;
}

/* ---- */

/* What the prune that was under way does to its end: the object of file 0, which no snapshot needs, goes, and the lock. */
static int a_prune_ends(void *ctx, struct manifest *m)
{
	static uint8_t content[FILE_LEN];
	uint8_t hash[RECORD_HASH_LEN];
	char name[REPO_NAME_MAX];

	(void)ctx;
	(void)m;
	assert_int_equal(digest_sha256(content, FILE_LEN, hash), 0);
	repo_object_name(&repo, REPO_SEGMENT, hash, name);
	assert_int_equal(store_delete(store, name, &err), 0);
	(void)snprintf(name, sizeof(name), "%s/lock", repo.uuid_text);
	return store_delete(store, name, &err);
}

static void a_prune_is_under_way(void)
{
	char name[REPO_NAME_MAX], text[64];

	(void)snprintf(name, sizeof(name), "%s/lock", repo.uuid_text);
	(void)snprintf(text, sizeof(text), "{\"id\":\"x\",\"until\":%lld}", (long long)time(NULL) + 1000);
	assert_int_equal(store_put(store, name, text, strlen(text), 0, &err), 0);
	(void)snprintf(name, sizeof(name), "%s/pruned", repo.uuid_text);
	assert_int_equal(store_put(store, name, "x", 1, 0, &err), 0);
}

/* It had left its mark before the backup began, and takes away what the backup has seen by then. */
static void a_backup_that_began_during_a_prune_is_whole_or_none(void **state)
{
	struct backup_result res;

	(void)state;
	make_file(0);
	back_up();
	assert_int_equal(unlinkat(root_fd, "f0", 0), 0);
	back_up();
	assert_int_equal(all_are_whole(), 2);
	assert_int_equal(system("rm \"$D\"/store/*/snapshots/*"), 0); /* (the prune's first step, and the second snapshot with it) */
	a_prune_is_under_way();
	make_file(0);
	assert_int_equal(back_up_with(a_prune_ends, &res), -ESTALE);
	assert_int_equal(all_are_whole(), 0);
	assert_int_equal(back_up_with(NULL, &res), 0);
	assert_int_equal(all_are_whole(), 1);
}

static void one_that_lost_nothing_is_kept(void **state)
{
	struct backup_result res;

	(void)state;
	make_file(1);
	a_prune_is_under_way();
	assert_int_equal(back_up_with(a_prune_ends, &res), 0);
	assert_int_equal(all_are_whole(), 1);
}

static unsigned asked;

static bool stop_soon(void *ctx)
{
	(void)ctx;
	return ++asked < FILES / 2;
}

/* Where it asks is where it keeps its lock. */
static void a_prune_asks_while_it_reads_one_snapshot(void **state)
{
	struct prune_counts c;
	char name[REPO_NAME_MAX];
	uint64_t size;

	(void)state;
	for (unsigned i = 0; i < FILES; i++)
		make_file(i);
	back_up();
	assert_int_equal(prune_with(stop_soon, &c), -EINTR);
	(void)snprintf(name, sizeof(name), "%s/pruned", repo.uuid_text);
	assert_int_equal(store_head(store, name, &size, &err), -ENOENT); /* it had only read */
	assert_int_equal(all_are_whole(), 1);
	assert_int_equal(prune_with(NULL, &c), 0);
	assert_int_equal(c.kept, 1);
	assert_int_equal(c.objects, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_backup_that_began_during_a_prune_is_whole_or_none, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(one_that_lost_nothing_is_kept, setup, backup_teardown),
		cmocka_unit_test_setup_teardown(a_prune_asks_while_it_reads_one_snapshot, setup, backup_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
