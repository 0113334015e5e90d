/* manifest.c: see manifest.h. */
#include "backup/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "crypt/digest.h"

#define MAGIC "coffer-backup 1 "
#define LINE_MAX_LEN (sizeof(MAGIC) + 2 * SIGN_PUBLIC_LEN + 1 + 2 * SIGN_LEN + 1 + 2 * BACKUP_TAG_LEN + 1)
#define HEX_LEN (2 * RECORD_HASH_LEN)

void manifest_done(struct manifest *m)
{
	free(m->lists);
	m->lists = NULL;
	m->nlists = 0;
}

/* ---- putting */

static int put_hex(struct json *o, const char *key, const uint8_t *p, size_t len)
{
	char text[HEX_LEN + 1];

	text_hex(p, len, text);
	return json_put_str(o, key, text);
}

static int put_u64(struct json *o, const char *key, uint64_t n)
{
	return n > INT64_MAX ? -EINVAL : json_put_int(o, key, (int64_t)n);
}

static int put_lists(struct json *o, const struct manifest *m)
{
	AUTO_JSON struct json *a = json_new_array();
	int r = a ? 0 : -ENOMEM;

	if (m->nlists > MANIFEST_LISTS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < m->nlists && r == 0; i++) {
		AUTO_JSON struct json *l = json_new_object();

		r = l ? put_hex(l, "sha256", m->lists[i].hash, RECORD_HASH_LEN) : -ENOMEM;
		if (r == 0)
			r = put_u64(l, "len", m->lists[i].len);
		if (r == 0)
			r = put_u64(l, "records", m->lists[i].records);
		if (r == 0)
			r = json_append(a, take_ptr(l));
	}
	return r < 0 ? r : json_put_json(o, "lists", take_ptr(a));
}

static int put_numbers(struct json *o, const struct manifest *m)
{
	int r;

	r = put_u64(o, "frozen_ms", m->frozen_ms);
	if (r == 0)
		r = put_u64(o, "rounds", m->rounds);
	if (r == 0)
		r = put_u64(o, "problems", m->problems);
	if (r == 0)
		r = put_u64(o, "entries", m->entries);
	return r < 0 ? r : put_u64(o, "bytes", m->bytes);
}

int manifest_put_json(struct manifest *m, char **ret_json)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	int r;

	r = o ? json_put_int(o, "format", 1) : -ENOMEM;
	if (r == 0)
		r = put_hex(o, "uuid", m->uuid, UUID_LEN);
	if (r == 0)
		r = put_u64(o, "serial", m->serial);
	if (r == 0)
		r = m->has_previous ? put_hex(o, "previous", m->previous, RECORD_HASH_LEN) : json_put_str(o, "previous", "");
	if (r == 0)
		r = json_put_str(o, "time", m->time);
	if (r == 0)
		r = json_put_str(o, "way", m->way);
	if (r == 0)
		r = json_put_bool(o, "clean", m->clean);
	if (r == 0)
		r = put_numbers(o, m);
	if (r == 0)
		r = put_hex(o, "root", m->root, RECORD_HASH_LEN);
	if (r == 0)
		r = put_lists(o, m);
	if (r == 0)
		r = json_dump(o, &text);
	if (r == 0 && strlen(text) > MANIFEST_MAX - LINE_MAX_LEN)
		r = -EINVAL;
	if (r == 0)
		r = digest_sha256(text, strlen(text), m->json_hash);
	if (r == 0)
		*ret_json = take_ptr(text);
	return r;
}

int manifest_put(const struct manifest *m, const char *json, char **ret_text, size_t *ret_len)
{
	char public_key[2 * SIGN_PUBLIC_LEN + 1] = "-", signature[2 * SIGN_LEN + 1] = "-", tag[1 + 2 * BACKUP_TAG_LEN + 1] = "";
	char *text = NULL;
	int n;

	if (m->is_signed) {
		text_hex(m->public_key, SIGN_PUBLIC_LEN, public_key);
		text_hex(m->signature, SIGN_LEN, signature);
	}
	if (m->has_tag) {
		tag[0] = ' ';
		text_hex(m->tag, BACKUP_TAG_LEN, &tag[1]);
	}
	n = asprintf(&text, MAGIC "%s %s%s\n%s", public_key, signature, tag, json);
	if (n < 0)
		return -ENOMEM;
	*ret_text = text;
	*ret_len = (size_t)n;
	return 0;
}

/* ---- parsing */

static int get_hex(const struct json *o, const char *key, size_t len, uint8_t *ret_p)
{
	const char *text;
	int r;

	r = json_get_str(o, key, &text);
	return r < 0 || text_hex_parse(text, strlen(text), len, ret_p) < 0 ? -EUCLEAN : 0;
}

static int get_u64(const struct json *o, const char *key, uint64_t max, uint64_t *ret_n)
{
	int64_t n;

	if (json_get_int(o, key, &n) < 0 || n < 0 || (uint64_t)n > max)
		return -EUCLEAN;
	*ret_n = (uint64_t)n;
	return 0;
}

static int get_text(const struct json *o, const char *key, size_t max, char *ret_text)
{
	const char *text;

	if (json_get_str(o, key, &text) < 0 || strlen(text) >= max)
		return -EUCLEAN;
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~')
			return -EUCLEAN;
	memcpy(ret_text, text, strlen(text) + 1);
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, RECORD_HASH_LEN);
}

/* No entry is in a snapshot twice, so no list is; one that could be named again and again would make a little in a store much in memory. */
static int lists_differ(const struct manifest *m)
{
	AUTO_FREE uint8_t (*hashes)[RECORD_HASH_LEN] = calloc(m->nlists, sizeof(*hashes));

	if (!hashes)
		return -ENOMEM;
	for (size_t i = 0; i < m->nlists; i++)
		memcpy(hashes[i], m->lists[i].hash, RECORD_HASH_LEN);
	qsort(hashes, m->nlists, sizeof(*hashes), by_hash);
	for (size_t i = 1; i < m->nlists; i++)
		if (by_hash(hashes[i - 1], hashes[i]) == 0)
			return -EUCLEAN;
	return 0;
}

static int get_lists(const struct json *o, struct manifest *m)
{
	const struct json *a;
	uint64_t len = 0, records = 0;
	size_t n;
	int r = 0;

	if (json_get_array(o, "lists", &a) < 0)
		return -EUCLEAN;
	n = json_array_len(a);
	if (n == 0 || n > MANIFEST_LISTS_MAX)
		return -EUCLEAN;
	m->lists = calloc(n, sizeof(*m->lists));
	if (!m->lists)
		return -ENOMEM;
	m->nlists = n;
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct json *l = json_array_at(a, i);

		r = json_is_object(l) ? get_hex(l, "sha256", RECORD_HASH_LEN, m->lists[i].hash) : -EUCLEAN;
		if (r == 0)
			r = get_u64(l, "len", RECORD_LIST_MAX, &len);
		if (r == 0)
			r = get_u64(l, "records", RECORD_LIST_MAX, &records);
		m->lists[i].len = (uint32_t)len;
		m->lists[i].records = (uint32_t)records;
	}
	return r < 0 ? r : lists_differ(m);
}

static int get_numbers(const struct json *o, struct manifest *m)
{
	static const uint64_t max = INT64_MAX;
	int r;

	r = get_u64(o, "serial", max, &m->serial);
	if (r == 0)
		r = get_u64(o, "frozen_ms", max, &m->frozen_ms);
	if (r == 0)
		r = get_u64(o, "rounds", max, &m->rounds);
	if (r == 0)
		r = get_u64(o, "problems", max, &m->problems);
	if (r == 0)
		r = get_u64(o, "entries", max, &m->entries);
	return r < 0 ? r : get_u64(o, "bytes", max, &m->bytes);
}

static int get_json(const struct json *o, struct manifest *m)
{
	const char *previous;
	uint64_t format = 0;
	int r;

	if (!json_is_object(o) || get_u64(o, "format", INT64_MAX, &format) < 0)
		return -EUCLEAN;
	if (format != 1)
		return -EOPNOTSUPP;
	r = get_hex(o, "uuid", UUID_LEN, m->uuid);
	if (r == 0)
		r = get_numbers(o, m);
	if (r == 0 && json_get_str(o, "previous", &previous) < 0)
		r = -EUCLEAN;
	if (r == 0 && *previous) {
		m->has_previous = true;
		r = get_hex(o, "previous", RECORD_HASH_LEN, m->previous);
	}
	if (r == 0)
		r = get_text(o, "time", sizeof(m->time), m->time);
	if (r == 0)
		r = get_text(o, "way", sizeof(m->way), m->way);
	if (r == 0 && json_get_bool(o, "clean", &m->clean) < 0)
		r = -EUCLEAN;
	if (r == 0)
		r = get_hex(o, "root", RECORD_HASH_LEN, m->root);
	return r < 0 ? r : get_lists(o, m);
}

/* The next word of the line: the digits of n bytes, or, where n bytes may be missing, "-". Words are apart by one blank; *p is behind it, and NULL behind the last. */
static int parse_word(const char **p, const char *end, size_t n, uint8_t *ret_bytes, bool *ret_there)
{
	const char *word = *p, *blank;
	size_t len;

	if (!word)
		return -EUCLEAN;
	blank = memchr(word, ' ', (size_t)(end - word));
	len = (size_t)((blank ? blank : end) - word);
	*p = blank ? blank + 1 : NULL;
	*ret_there = len != 1 || *word != '-';
	return *ret_there && text_hex_parse(word, len, n, ret_bytes) < 0 ? -EUCLEAN : 0;
}

/* The line, without its line feed. Snapshots of volumes that were not mounted, and all of before there were tags, have no third word. */
static int parse_line(const char *line, size_t len, struct manifest *m)
{
	static const size_t magic = sizeof(MAGIC) - 1;
	const char *p, *end = line + len;
	bool has_signature = false;
	int r;

	if (len < magic || memcmp(line, MAGIC, magic) != 0)
		return -EUCLEAN;
	p = line + magic;
	r = parse_word(&p, end, SIGN_PUBLIC_LEN, m->public_key, &m->is_signed);
	if (r == 0)
		r = parse_word(&p, end, SIGN_LEN, m->signature, &has_signature);
	if (r == 0 && p) {
		r = parse_word(&p, end, BACKUP_TAG_LEN, m->tag, &m->has_tag);
		if (r == 0 && !m->has_tag)
			r = -EUCLEAN; /* there is one spelling of "none" */
	}
	return r < 0 || p || m->is_signed != has_signature ? -EUCLEAN : 0;
}

int manifest_parse(const void *p, size_t len, struct manifest *ret_m)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_MANIFEST struct manifest m = { 0 };
	const char *text = p, *end;
	size_t at;
	int r;

	if (len > MANIFEST_MAX)
		return -EFBIG;
	end = memchr(text, '\n', len < LINE_MAX_LEN ? len : LINE_MAX_LEN);
	if (!end)
		return -EUCLEAN;
	at = (size_t)(end - text) + 1;
	r = parse_line(text, at - 1, &m);
	if (r == 0)
		r = json_parse(text + at, len - at, MANIFEST_MAX, &o);
	if (r == 0)
		r = get_json(o, &m);
	if (r == 0)
		r = digest_sha256(text + at, len - at, m.json_hash);
	if (r < 0)
		return r;
	*ret_m = m;
	m.lists = NULL;
	return 0;
}

/* ---- signatures and tags */

int manifest_statement(const struct manifest *m, char ret_text[static MANIFEST_STATEMENT_MAX])
{
	char uuid[2 * UUID_LEN + 1], previous[HEX_LEN + 1] = "", root[HEX_LEN + 1], hash[HEX_LEN + 1];
	int n;

	text_hex(m->uuid, UUID_LEN, uuid);
	if (m->has_previous)
		text_hex(m->previous, RECORD_HASH_LEN, previous);
	text_hex(m->root, RECORD_HASH_LEN, root);
	text_hex(m->json_hash, RECORD_HASH_LEN, hash);
	n = snprintf(ret_text, MANIFEST_STATEMENT_MAX, "coffer-backup 1\n%s\n%llu\n%s\n%s\n%s\n%s\n", uuid, (unsigned long long)m->serial, previous, root,
		     m->time, hash);
	return n < 0 || n >= MANIFEST_STATEMENT_MAX ? -EINVAL : 0;
}

int manifest_check_signature(const struct manifest *m)
{
	char text[MANIFEST_STATEMENT_MAX];
	int r;

	if (!m->is_signed)
		return -ENOENT;
	r = manifest_statement(m, text);
	return r < 0 ? r : sign_check(m->public_key, text, strlen(text), m->signature);
}

int manifest_check_tag(const struct manifest *m, const struct secret *root)
{
	char text[MANIFEST_STATEMENT_MAX];
	int r;

	if (!m->has_tag)
		return -ENOENT;
	r = manifest_statement(m, text);
	if (r == 0)
		r = backup_tag_check(root, m->uuid, text, m->tag);
	return r == -EINVAL ? -EBADMSG : r; /* of no statement there is no tag */
}
