/* Records, lists, the tree, manifests and what runs remember (src/backup). Whole runs are tests/sh/76-backup.sh and 77-backup-hostile.sh. */
#include "backup/backup_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/text.h"
#include "format/layout.h"

/* The leaves and roots with which RFC 6962 logs test themselves. */
static void merkle_roots_are_those_of_rfc_6962(void **state)
{
	static const struct {
		const char *leaf, *root;
	} rows[] = {
		{ "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
		{ "00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
		{ "10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
		{ "2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
		{ "3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
		{ "40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
		{ "5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
		{ "606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
	};
	struct merkle m = { 0 };
	uint8_t leaf[16], root[MERKLE_LEN];
	char hex[2 * MERKLE_LEN + 1];

	(void)state;
	assert_int_equal(merkle_root(&m, root), 0);
	text_hex(root, sizeof(root), hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].leaf) / 2;

		assert_int_equal(text_hex_parse(rows[i].leaf, len * 2, len, leaf), 0);
		assert_int_equal(merkle_add(&m, leaf, len), 0);
		assert_int_equal(merkle_root(&m, root), 0);
		text_hex(root, sizeof(root), hex);
		assert_string_equal(hex, rows[i].root);
	}
	assert_int_equal(merkle_add(&m, leaf, (size_t)MERKLE_LEAF_MAX + 1), -EINVAL);
}

static struct record_entry some_entry(void)
{
	return (struct record_entry){ .type = RECORD_FILE, .flags = RECORD_FLAG_LINKED, .parent = 3, .mode = 0640, .uid = 7, .gid = 8, .mtime_s = -5, .mtime_ns = 999999999,
				      .size = 9000, .number = 2, .name = "Abc-_9" };
}

static void an_entry_comes_back_as_it_was(void **state)
{
	static const uint8_t xattrs[] = "\x0e\0user.coffer.ab\x03\0xyz";
	AUTO_RECORD_BUF struct record_buf b = { 0 };
	struct record_entry e = some_entry(), back;
	struct record_xattr x;
	size_t at = 0;

	(void)state;
	e.nxattrs = 1;
	e.xattrs = xattrs;
	e.xattrs_len = sizeof(xattrs) - 1;
	assert_int_equal(record_put_entry(&b, &e), 0);
	assert_int_equal(record_kind(b.p, b.len), RECORD_KIND_ENTRY);
	assert_int_equal(record_parse_entry(b.p, b.len, &back), 0);
	assert_int_equal(back.type, e.type);
	assert_int_equal(back.flags, e.flags);
	assert_int_equal(back.parent, 3);
	assert_int_equal(back.mode, 0640);
	assert_int_equal(back.uid, 7);
	assert_int_equal(back.gid, 8);
	assert_int_equal(back.mtime_s, -5);
	assert_int_equal(back.mtime_ns, 999999999);
	assert_int_equal(back.size, 9000);
	assert_int_equal(back.number, 2);
	assert_string_equal(back.name, e.name);
	assert_true(record_next_xattr(&back, &at, &x));
	assert_string_equal(x.name, "user.coffer.ab");
	assert_int_equal(x.len, 3);
	assert_memory_equal(x.value, "xyz", 3);
	assert_false(record_next_xattr(&back, &at, &x));
	for (size_t n = 0; n < b.len; n++) /* cut anywhere it is none */
		assert_int_equal(record_parse_entry(b.p, n, &back), -EUCLEAN);
}

static void entries_that_no_volume_has_are_not_put(void **state)
{
	AUTO_RECORD_BUF struct record_buf b = { 0 };
	AUTO_FREE struct record_entry *bad = calloc(8, sizeof(*bad));

	(void)state;
	assert_non_null(bad);
	for (size_t i = 0; i < 8; i++)
		bad[i] = some_entry();
	memcpy(bad[0].name, "..", 3);
	memcpy(bad[1].name, "a/b", 4);
	bad[2].mode = 010000;
	bad[3].size = RECORD_FILE_MAX + 1;
	bad[4].number = 9001;
	memcpy(bad[5].target, "x", 2);
	bad[6].flags = 4;
	bad[7].type = RECORD_DIR;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(record_put_entry(&b, &bad[i]), -EINVAL);
	assert_int_equal(b.len, 0);
}

static void pieces_come_back_and_lie_one_after_the_other(void **state)
{
	struct record_piece e[2] = { { .len = 4096, .hash = { 1 } }, { .off = 4096, .len = 100, .packed = true, .at = 7, .hash = { 2 }, .pack = { 3 } } };
	AUTO_FREE struct record_piece *back = calloc(RECORD_PIECES_MAX, sizeof(*back));
	struct record_order o = { .pieces_left = 2, .size = 5000, .entries = 1 };
	AUTO_RECORD_BUF struct record_buf b = { 0 };
	size_t n;

	(void)state;
	assert_int_equal(record_put_pieces(&b, e, 2), 0);
	assert_int_equal(record_parse_pieces(b.p, b.len, back, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(back[0].hash, e[0].hash, RECORD_HASH_LEN);
	assert_memory_equal(back[1].pack, e[1].pack, RECORD_HASH_LEN);
	assert_int_equal(back[1].at, 7);
	assert_int_equal(record_parse_pieces(b.p, b.len - 1, back, &n), -EUCLEAN);
	assert_int_equal(record_order_end(&o), -EUCLEAN);
	assert_int_equal(record_order_pieces(&o, e, 2), 0);
	assert_int_equal(record_order_end(&o), 0);
	assert_int_equal(o.bytes, 4196);
	assert_int_equal(record_order_pieces(&o, e, 1), -EUCLEAN);
	e[1].off = 4095;
	o = (struct record_order){ .pieces_left = 2, .size = 5000, .entries = 1 };
	assert_int_equal(record_order_pieces(&o, e, 2), -EUCLEAN);
}

static void sign_it(struct manifest *m)
{
	char uuid[33];
	AUTO_SECRET struct secret *seed = NULL;
	char text[MANIFEST_STATEMENT_MAX];

	assert_int_equal(secret_new(SIGN_SEED_LEN, &seed), 0);
	memset(secret_bytes(seed), 7, SIGN_SEED_LEN);
	assert_int_equal(manifest_statement(m, text), 0);
	text_hex(m->uuid, UUID_LEN, uuid);
	assert_true(backup_statement_ok(text, uuid)); /* what an agent would sign */
	assert_int_equal(sign_public(seed, m->public_key), 0);
	assert_int_equal(sign_make(seed, text, strlen(text), m->signature), 0);
	m->is_signed = true;
}

/* Each line changed, dropped or doubled is no statement; nor is one about another volume. */
static void a_statement_has_one_form(void **state)
{
	static const char uuid[] = "00112233445566778899aabbccddeeff";
	static const char *const parts[] = { "coffer-backup 1", "00112233445566778899aabbccddeeff", "7", "",
					     "1111111111111111111111111111111111111111111111111111111111111111", "2026-01-02T03:04:05Z",
					     "2222222222222222222222222222222222222222222222222222222222222222" };
	static const char *const bad[] = { "coffer-backup 2", "00112233445566778899aabbccddeefe", "-7", "11", "g", "now; and more", "2" };
	char text[600];
	size_t i, j;

	(void)state;
	for (j = 0; j <= 7; j++) { /* part j is bad; 7: none */
		text[0] = '\0';
		for (i = 0; i < 7; i++) {
			strcat(text, i == j ? bad[i] : parts[i]);
			strcat(text, "\n");
		}
		assert_int_equal(backup_statement_ok(text, uuid), j == 7);
	}
	text[strlen(text) - 1] = '\0';
	assert_false(backup_statement_ok(text, uuid));
	strcat(text, "\n\n");
	assert_false(backup_statement_ok(text, uuid));
	assert_false(backup_statement_ok("", uuid));
	assert_false(backup_statement_ok("coffer-backup 1\n", uuid));
	assert_false(backup_statement_ok("coffer-audit-anchor 1\n", uuid));
}

static void a_manifest_comes_back_and_its_signature_holds_all_of_it(void **state)
{
	struct manifest_list lists[2] = { { .hash = { 1 }, .len = 5, .records = 6 }, { .hash = { 2 }, .len = 7, .records = 8 } };
	struct manifest m = { .uuid = { 9 }, .serial = 4, .has_previous = true, .previous = { 5 }, .time = "2026-01-02T03:04:05Z", .way = "unmounted", .clean = true,
			      .entries = 10, .bytes = 11, .root = { 6 }, .lists = lists, .nlists = 2 };
	AUTO_FREE char *json = NULL, *text = NULL;
	AUTO_MANIFEST struct manifest back = { 0 };
	size_t len;

	(void)state;
	assert_int_equal(manifest_put_json(&m, &json), 0);
	sign_it(&m);
	assert_int_equal(manifest_put(&m, json, &text, &len), 0);
	assert_int_equal(manifest_parse(text, len, &back), 0);
	assert_int_equal(back.serial, 4);
	assert_string_equal(back.way, "unmounted");
	assert_int_equal(back.nlists, 2);
	assert_int_equal(back.lists[1].records, 8);
	assert_memory_equal(back.root, m.root, RECORD_HASH_LEN);
	assert_int_equal(manifest_check_signature(&back), 0);
	for (size_t i = 16; i < len; i++) { /* no character of it can be another */
		struct manifest other = { 0 };

		text[i] ^= 1;
		if (manifest_parse(text, len, &other) == 0)
			assert_int_not_equal(manifest_check_signature(&other), 0);
		manifest_done(&other);
		text[i] ^= 1;
	}
	back.is_signed = false;
	assert_int_equal(manifest_check_signature(&back), -ENOENT);
}

static struct secret *root_of(uint8_t key)
{
	struct secret *root = NULL;

	assert_int_equal(secret_new(KEY_LEN, &root), 0);
	memset(secret_bytes(root), key, KEY_LEN);
	return root;
}

static void tag_it(struct manifest *m, uint8_t key)
{
	AUTO_SECRET struct secret *root = root_of(key);
	char text[MANIFEST_STATEMENT_MAX];
	struct key_backup k;

	assert_int_equal(keys_backup(root, m->uuid, &k), 0);
	assert_int_equal(manifest_statement(m, text), 0);
	assert_int_equal(backup_tag_make(&k, m->uuid, text, m->tag), 0);
	m->has_tag = true;
}

static int tag_holds(const struct manifest *m, uint8_t key)
{
	AUTO_SECRET struct secret *root = root_of(key);

	return manifest_check_tag(m, root);
}

static void a_tag_is_of_one_manifest_of_one_volume(void **state)
{
	struct manifest_list list = { .hash = { 1 }, .len = 5, .records = 6 };
	struct manifest m = { .uuid = { 9 }, .serial = 4, .time = "2026-01-02T03:04:05Z", .way = "frozen", .root = { 6 }, .lists = &list, .nlists = 1 };
	AUTO_FREE char *json = NULL, *text = NULL, *json2 = NULL, *bare = NULL;
	AUTO_MANIFEST struct manifest back = { 0 }, old = { 0 };
	struct manifest other = m;
	size_t len, n;

	(void)state;
	assert_int_equal(manifest_put_json(&m, &json), 0);
	assert_int_equal(manifest_put(&m, json, &bare, &n), 0);
	assert_int_equal(manifest_parse(bare, n, &old), 0); /* as all were before there were tags */
	assert_false(old.has_tag);
	assert_int_equal(tag_holds(&old, 3), -ENOENT);
	tag_it(&m, 3);
	assert_int_equal(manifest_put(&m, json, &text, &len), 0);
	assert_int_equal(manifest_parse(text, len, &back), 0);
	assert_true(back.has_tag && !back.is_signed);
	assert_int_equal(tag_holds(&back, 3), 0);
	assert_int_equal(tag_holds(&back, 4), -EBADMSG);
	/* That of another snapshot, of another volume, of no statement. */
	other.serial = 5;
	assert_int_equal(manifest_put_json(&other, &json2), 0);
	memcpy(other.tag, m.tag, sizeof(other.tag));
	other.has_tag = true;
	assert_int_equal(tag_holds(&other, 3), -EBADMSG);
	back.uuid[0] ^= 1;
	assert_int_equal(tag_holds(&back, 3), -EBADMSG);
	back.uuid[0] ^= 1;
	memcpy(back.time, "a time", sizeof("a time"));
	assert_int_equal(tag_holds(&back, 3), -EBADMSG);
	for (size_t i = 0; i < len; i++) { /* no character of it can be another */
		struct manifest changed = { 0 };

		text[i] ^= 1;
		if (manifest_parse(text, len, &changed) == 0)
			assert_int_not_equal(tag_holds(&changed, 3), 0);
		manifest_done(&changed);
		text[i] ^= 1;
	}
	for (size_t i = 0; i < len; i++) { /* nor be missing */
		struct manifest cut = { 0 };

		assert_int_equal(manifest_parse(text, i, &cut), -EUCLEAN);
	}
}

#define H16 "0123456789abcdef"
#define H64 H16 H16 H16 H16
#define H128 H64 H64

static void the_first_line_has_one_form(void **state)
{
	static const char *const bad[] = {
		"", "-", "- ", "- - ", "- - -", "-  -", "-\t-", " - -", "- - " H16, "- - " H64 " ", "- - " H64 "0", "- - " H64 " -", "- " H128, H64 " -", H64,
		H64 " " H128 " ", H64 " " H128 " -", H64 "  " H128, H64 " " H128 "  " H64, "- - " H64 " " H64, "- - 0123456789ABCDEF" H16 H16 H16, "- - - " H64,
	};
	static const char *const good[] = { "- -", "- - " H64, H64 " " H128, H64 " " H128 " " H64 };
	static const size_t nbad = sizeof(bad) / sizeof(bad[0]), n = sizeof(bad) / sizeof(bad[0]) + sizeof(good) / sizeof(good[0]);
	char text[1024];

	(void)state;
	for (size_t i = 0; i < n; i++) {
		AUTO_MANIFEST struct manifest m = { 0 };
		int r, len = snprintf(text, sizeof(text),
				      "coffer-backup 1 %s\n{\"format\":1,\"uuid\":\"" H16 H16 "\",\"serial\":1,\"previous\":\"\",\"time\":\"t\",\"way\":\"w\",\"clean\":true,"
				      "\"frozen_ms\":0,\"rounds\":1,\"problems\":0,\"entries\":1,\"bytes\":0,\"root\":\"" H64 "\",\"lists\":[{\"sha256\":\"" H64
				      "\",\"len\":1,\"records\":1}]}", i < nbad ? bad[i] : good[i - nbad]);

		r = manifest_parse(text, (size_t)len, &m);
		if (r != (i < nbad ? -EUCLEAN : 0))
			fail_msg("row %zu: %d", i, r);
	}
}

static int cache_fd(const struct backup_cache_id *id)
{
	struct record_piece e = { .len = 100, .hash = { 1 } };
	uint64_t meta = 77;
	uint8_t xattrs[] = "two attributes";
	struct backup_cache_file f = { .pieces = &e, .metas = &meta, .n = 1, .xattrs = xattrs, .xattrs_len = sizeof(xattrs), .nxattrs = 2 };
	struct backup_cache_key key = { .size = 100, .ctime_s = 50, .ctime_ns = 60 };
	struct backup_cache_writer w;
	int fd = memfd_create("cache", MFD_CLOEXEC);

	assert_true(fd >= 0);
	backup_cache_begin(&w, fd);
	for (unsigned i = 0; i < 1000; i++) {
		key.ino = (i * 7919) % 1000 + 1;
		e.hash[1] = (uint8_t)key.ino;
		assert_int_equal(backup_cache_add(&w, &key, &f, i != 999), 0);
	}
	assert_int_equal(backup_cache_end(&w, id), 0);
	backup_cache_writer_done(&w);
	return fd;
}

static int count_pieces(void *arg, const struct record_piece *pieces, size_t n)
{
	(void)pieces;
	*(size_t *)arg += n;
	return 0;
}

static void a_run_remembers_files_by_inode_size_and_ctime(void **state)
{
	struct backup_cache_id id = { .uuid = { 1 }, .root_ino = 2, .store = { 3 } }, other = { .uuid = { 1 }, .root_ino = 3, .store = { 3 } };
	struct backup_cache_key key = { .ino = 17, .size = 100, .ctime_s = 50, .ctime_ns = 60 };
	struct backup_cache_file f = { 0 };
	struct backup_cache *c;
	size_t all = 0;
	int fd;

	(void)state;
	fd = cache_fd(&id);
	assert_int_equal(backup_cache_open(&fd, &other, &c), -EUCLEAN);
	fd = cache_fd(&id);
	assert_int_equal(backup_cache_open(&fd, &id, &c), 0);
	assert_int_equal(backup_cache_find(c, &key, &f), 2);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.pieces[0].hash[1], 17);
	assert_int_equal(f.metas[0], 77);
	assert_int_equal(f.nxattrs, 2);
	assert_string_equal((char *)f.xattrs, "two attributes");
	assert_int_equal(f.xattrs_len, strlen("two attributes") + 1);
	backup_cache_file_done(&f);
	key.ctime_ns++;
	assert_int_equal(backup_cache_find(c, &key, &f), 1); /* it has changed, and may still share windows */
	assert_int_equal(f.n, 1);
	backup_cache_file_done(&f);
	key.ctime_ns--;
	key.ino = (999 * 7919) % 1000 + 1; /* not sure of it */
	assert_int_equal(backup_cache_find(c, &key, &f), 1);
	backup_cache_file_done(&f);
	key.ino = 5000;
	assert_int_equal(backup_cache_find(c, &key, &f), 0);
	assert_int_equal(backup_cache_each(c, count_pieces, &all), 0);
	assert_int_equal(all, 1000);
	backup_cache_close(c);
}

static void a_rotten_cache_is_not_believed(void **state)
{
	struct backup_cache_id id = { .uuid = { 1 }, .root_ino = 2, .store = { 3 } };
	struct backup_cache_key key = { .size = 100, .ctime_s = 50, .ctime_ns = 60 };
	unsigned found = 0;

	(void)state;
	for (off_t at = 80; at < 4000; at += 13) {
		struct backup_cache_file f = { 0 };
		struct backup_cache *c;
		int fd = cache_fd(&id);
		uint8_t byte;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		assert_int_equal(backup_cache_open(&fd, &id, &c), 0);
		for (key.ino = 1; key.ino <= 40; key.ino++) {
			if (backup_cache_find(c, &key, &f) == 0)
				continue;
			found++;
			assert_int_equal(f.n, 1);
			assert_int_equal(f.pieces[0].hash[0], 1);
			assert_int_equal(f.pieces[0].hash[1], key.ino);
			assert_int_equal(f.pieces[0].len, 100);
			backup_cache_file_done(&f);
		}
		backup_cache_close(c);
	}
	assert_true(found > 1000);
}

static void a_plan_has_the_data_and_not_the_holes(void **state)
{
	struct record_piece *e = NULL;
	char name[] = "test-backup-XXXXXX";
	int fd = mkstemp(name);
	uint64_t n;

	(void)state;
	assert_true(fd >= 0 && unlink(name) == 0);
	assert_int_equal(ftruncate(fd, 100 << 20), 0);
	assert_int_equal(pwrite(fd, "x", 1, 5000), 1);
	assert_int_equal(pwrite(fd, "x", 1, 50 << 20), 1);
	assert_int_equal(pwrite(fd, "x", 1, (100 << 20) - 1), 1);
	assert_int_equal(backup_plan(fd, 100 << 20, &e, &n), 0);
	for (uint64_t i = 0; i < n; i++) { /* filesystems differ in what they call a hole; none has less than this */
		assert_true(e[i].len > 0 && e[i].off / BACKUP_WINDOW_LEN == (e[i].off + e[i].len - 1) / BACKUP_WINDOW_LEN);
		assert_true(i == 0 || e[i].off >= e[i - 1].off + e[i - 1].len);
	}
	assert_true(n >= 3);
	assert_true(e[0].off <= 5000 && e[n - 1].off + e[n - 1].len == 100 << 20);
	free(e);
	(void)close(fd);
}

static void the_newest_of_each_day_week_and_month_stays(void **state)
{
	/* Oldest first; 2026-01-05 was a Monday. */
	static const struct repo_snapshot list[] = {
		{ .name = "20251130T120000Z-0" }, { .name = "20251231T120000Z-0" }, { .name = "20260101T120000Z-0" }, { .name = "20260104T120000Z-0" },
		{ .name = "20260105T120000Z-0" }, { .name = "20260105T130000Z-0" }, { .name = "20260106T120000Z-0" },
	};
	static const struct {
		struct prune_keep keep;
		const char *kept;
	} rows[] = {
		{ { .last = 2 }, "0000011" },          { { .daily = 2 }, "0000011" },   { { .daily = 3 }, "0001011" },  { { .weekly = 2 }, "0001001" },
		{ { .weekly = 3 }, "1001001" },        { { .monthly = 2 }, "0100001" }, { { .monthly = 9 }, "1100001" }, { { .yearly = 2 }, "0100001" },
		{ { .last = 1, .monthly = 3 }, "1100001" }, { { 0 }, "0000001" },       { { .last = 99 }, "1111111" },
	};
	bool kept[7];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		prune_choose(list, 7, &rows[i].keep, kept);
		for (size_t k = 0; k < 7; k++)
			assert_int_equal(kept[k], rows[i].kept[k] == '1');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merkle_roots_are_those_of_rfc_6962),
		cmocka_unit_test(an_entry_comes_back_as_it_was),
		cmocka_unit_test(entries_that_no_volume_has_are_not_put),
		cmocka_unit_test(pieces_come_back_and_lie_one_after_the_other),
		cmocka_unit_test(a_statement_has_one_form),
		cmocka_unit_test(a_manifest_comes_back_and_its_signature_holds_all_of_it),
		cmocka_unit_test(a_tag_is_of_one_manifest_of_one_volume),
		cmocka_unit_test(the_first_line_has_one_form),
		cmocka_unit_test(a_run_remembers_files_by_inode_size_and_ctime),
		cmocka_unit_test(a_rotten_cache_is_not_believed),
		cmocka_unit_test(the_newest_of_each_day_week_and_month_stays),
		cmocka_unit_test(a_plan_has_the_data_and_not_the_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
