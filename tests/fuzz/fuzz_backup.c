/* fuzz_backup.c: what comes out of a store (src/backup): a manifest, or a list of records; and the file of a run's cache. What parses is put to the same bytes. */
#include "backup/manifest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backup/backup_cache.h"
#include "format/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static bool same_words(const struct manifest *a, const struct manifest *b)
{
	return a->is_signed == b->is_signed && a->has_tag == b->has_tag && memcmp(a->signature, b->signature, SIGN_LEN) == 0 && memcmp(a->tag, b->tag, BACKUP_TAG_LEN) == 0;
}

static void do_manifest(const uint8_t *p, size_t len)
{
	AUTO_MANIFEST struct manifest m = { 0 }, again = { 0 };
	AUTO_FREE char *json = NULL, *text = NULL;
	size_t n;

	if (manifest_parse(p, len, &m) < 0)
		return;
	(void)!manifest_check_signature(&m);
	if (m.nlists == 0 || manifest_put_json(&m, &json) < 0 || manifest_put(&m, json, &text, &n) < 0)
		abort();
	if (manifest_parse(text, n, &again) < 0 || again.nlists != m.nlists || again.serial != m.serial || memcmp(again.root, m.root, sizeof(m.root)) != 0 ||
	    !same_words(&again, &m))
		abort();
}

static void do_record(struct record_order *o, const uint8_t *p, size_t len)
{
	AUTO_FREE struct record_piece *pieces = calloc(RECORD_PIECES_MAX, sizeof(*pieces));
	AUTO_RECORD_BUF struct record_buf b = { 0 };
	struct record_entry e;
	size_t n;

	if (!pieces)
		abort();
	if (record_parse_entry(p, len, &e) == 0) {
		if (record_put_entry(&b, &e) < 0 || b.len != len || memcmp(b.p, p, len) != 0)
			abort();
		if (strchr(e.name, '/') || strchr(e.target, '/') || strcmp(e.name, "..") == 0 || strcmp(e.name, ".") == 0)
			abort();
		(void)!record_order_entry(o, &e);
	} else if (record_parse_pieces(p, len, pieces, &n) == 0) {
		if (record_put_pieces(&b, pieces, n) < 0 || b.len != len || memcmp(b.p, p, len) != 0)
			abort();
		(void)!record_order_pieces(o, pieces, n);
	}
}

static void do_list(const uint8_t *p, size_t len)
{
	AUTO_FREE struct record_order *o = calloc(1, sizeof(*o));
	size_t at = RECORD_LIST_HEAD, n;
	const uint8_t *record;
	uint32_t count;

	if (!o)
		abort();
	if (record_list_open(p, len, &count) < 0)
		return;
	while (record_list_next(p, len, &at, &record, &n) == 1)
		do_record(o, record, n);
	(void)!record_order_end(o);
}

static int nothing(void *arg, const struct record_piece *pieces, size_t n)
{
	(void)arg;
	(void)pieces;
	return n > 0 ? 0 : -EINVAL;
}

static void do_cache(const uint8_t *p, size_t len)
{
	static const struct backup_cache_id id;
	struct backup_cache_key key = { .ino = 1, .size = 100, .ctime_s = 50, .ctime_ns = 60 };
	struct backup_cache_file f = { 0 };
	struct backup_cache *c;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, p, len) != (ssize_t)len)
		abort();
	if (backup_cache_open(&fd, &id, &c) < 0)
		return;
	if (backup_cache_find(c, &key, &f) > 0)
		backup_cache_file_done(&f);
	if (backup_cache_each(c, nothing, NULL) < 0)
		abort();
	backup_cache_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	do_manifest(p, len);
	do_list(p, len);
	if (len < (1u << 16))
		do_cache(p, len);
	return 0;
}
