/* audit_row.c: the bytes of rows and anchors.
 *
 * There is one form for one content: an object with its keys in the order of their bytes, no blanks, UTF-8, integers only, no control
 * characters, so that \" and \\ are the only escapes. A row that reads well but does not come out again as the same bytes was not
 * written by an agent. So every byte of a line is either covered by the hash or fixed by this rule. */
#include "agent/audit_row.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"

#define NS 1000000000LL

void audit_row_time(int64_t ts_ns, char ret_text[static AUDIT_TIME_LEN])
{
	time_t s = (time_t)(ts_ns / NS);
	struct tm tm;

	if (ts_ns < 0 || !gmtime_r(&s, &tm) || strftime(ret_text, AUDIT_TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm) != 19)
		(void)snprintf(ret_text, AUDIT_TIME_LEN, "1970-01-01T00:00:00"); /* a clock that is not set */
	(void)snprintf(ret_text + 19, AUDIT_TIME_LEN - 19, ".%09uZ", ts_ns < 0 ? 0u : (unsigned)(ts_ns % NS));
}

int audit_row_time_parse(const char *text, int64_t *ret_ts_ns)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddddddddZ";
	char again[AUDIT_TIME_LEN];
	struct tm tm = { 0 };
	int64_t ns = 0, ts;
	size_t i;

	if (strlen(text) != sizeof(form) - 1)
		return -EUCLEAN;
	for (i = 0; form[i]; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return -EUCLEAN;
	if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) || tm.tm_year < 70 || tm.tm_year > 330)
		return -EUCLEAN;
	for (i = 20; i < 29; i++)
		ns = ns * 10 + (text[i] - '0');
	ts = (int64_t)timegm(&tm) * NS + ns;
	audit_row_time(ts, again);
	if (strcmp(again, text) != 0) /* the 31st of February */
		return -EUCLEAN;
	*ret_ts_ns = ts;
	return 0;
}

static int hex_get(const struct json *o, const char *key, size_t len, uint8_t *ret_p)
{
	const char *text;
	int r;

	r = json_get_str(o, key, &text);
	return r < 0 ? -EUCLEAN : text_hex_parse(text, strlen(text), len, ret_p);
}

static int hex_put(struct json *o, const char *key, const uint8_t *p, size_t len)
{
	char text[2 * SIGN_LEN + 1];

	text_hex(p, len, text);
	return json_put_str(o, key, text);
}

static int time_get(const struct json *o, int64_t *ret_ts_ns)
{
	const char *text;
	int r;

	r = json_get_str(o, "ts", &text);
	return r < 0 ? -EUCLEAN : audit_row_time_parse(text, ret_ts_ns);
}

static int id_get(const struct json *o, const char *key, const char **ret_text)
{
	uint8_t id[AUDIT_ID_LEN / 2];
	int r;

	r = json_get_str(o, key, ret_text);
	return r < 0 ? -EUCLEAN : text_hex_parse(*ret_text, strlen(*ret_text), sizeof(id), id);
}

static int count_get(const struct json *o, const char *key, int64_t min, int64_t *ret_n)
{
	int r;

	r = json_get_int(o, key, ret_n);
	return r < 0 || *ret_n < min ? -EUCLEAN : 0;
}

/* Parse a line that must be what its own content is written as. */
static int object_parse(const char *line, size_t len, struct json **ret_o)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *again = NULL;
	int64_t v;
	size_t i;
	int r;

	for (i = 0; i < len && len <= AUDIT_ROW_MAX; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			return -EUCLEAN;
	r = json_parse(line, len, AUDIT_ROW_MAX, &o);
	if (r < 0)
		return r;
	if (!json_is_object(o) || json_get_int(o, "v", &v) < 0 || v != AUDIT_VERSION)
		return -EUCLEAN;
	r = json_dump_sorted(o, &again);
	if (r < 0)
		return r;
	if (strlen(again) != len || memcmp(again, line, len) != 0)
		return -EUCLEAN;
	*ret_o = take_ptr(o);
	return 0;
}

/* SHA-256(label || prev || the row without hash). */
static int hash_make(const struct json *o, const uint8_t prev[static AUDIT_HASH_LEN], uint8_t ret_hash[static AUDIT_HASH_LEN])
{
	static const char label[] = AUDIT_LABEL_ROW;
	const size_t at = sizeof(label) - 1 + AUDIT_HASH_LEN;
	AUTO_FREE char *text = NULL, *buf = NULL;
	size_t len;
	int r;

	r = json_dump_sorted(o, &text);
	if (r < 0)
		return r;
	len = strlen(text);
	buf = malloc(at + len);
	if (!buf)
		return -ENOMEM;
	memcpy(buf, label, sizeof(label) - 1);
	memcpy(buf + sizeof(label) - 1, prev, AUDIT_HASH_LEN);
	memcpy(buf + at, text, len);
	return digest_sha256(buf, at + len, ret_hash);
}

static int row_fields(struct audit_row *row)
{
	int64_t seq;
	int r;

	r = count_get(row->o, "seq", 1, &seq);
	if (r >= 0)
		r = count_get(row->o, "mono_ns", 0, &row->mono_ns);
	if (r >= 0)
		r = time_get(row->o, &row->ts_ns);
	if (r >= 0)
		r = id_get(row->o, "host_id", &row->host_id);
	if (r >= 0)
		r = id_get(row->o, "boot_id", &row->boot_id);
	if (r >= 0 && json_get_str(row->o, "event", &row->event) < 0)
		r = -EUCLEAN;
	if (r >= 0)
		r = hex_get(row->o, "prev", AUDIT_HASH_LEN, row->prev);
	if (r >= 0)
		r = hex_get(row->o, "hash", AUDIT_HASH_LEN, row->hash);
	if (r >= 0)
		row->seq = (uint64_t)seq;
	return r;
}

int audit_row_parse(const char *line, size_t len, struct audit_row *ret_row)
{
	struct audit_row row = { 0 };
	uint8_t hash[AUDIT_HASH_LEN];
	int r;

	r = object_parse(line, len, &row.o);
	if (r < 0)
		return r;
	r = row_fields(&row);
	if (r >= 0) {
		json_drop(row.o, "hash");
		r = hash_make(row.o, row.prev, hash);
	}
	if (r >= 0 && memcmp(hash, row.hash, AUDIT_HASH_LEN) != 0)
		r = -EBADMSG;
	if (r >= 0)
		r = hex_put(row.o, "hash", row.hash, AUDIT_HASH_LEN);
	if (r < 0) {
		audit_row_done(&row);
		return r;
	}
	*ret_row = row;
	return 0;
}

void audit_row_done(struct audit_row *row)
{
	if (row->o)
		json_free(row->o);
	*row = (struct audit_row){ 0 };
}

int audit_row_put(struct json *o, const uint8_t prev[static AUDIT_HASH_LEN], uint8_t ret_hash[static AUDIT_HASH_LEN],
		  char **ret_line)
{
	AUTO_FREE char *line = NULL;
	uint8_t hash[AUDIT_HASH_LEN];
	int r;

	r = json_put_int(o, "v", AUDIT_VERSION);
	if (r >= 0)
		r = hex_put(o, "prev", prev, AUDIT_HASH_LEN);
	if (r >= 0)
		r = hash_make(o, prev, hash);
	if (r >= 0)
		r = hex_put(o, "hash", hash, AUDIT_HASH_LEN);
	if (r >= 0)
		r = json_dump_sorted(o, &line);
	if (r < 0)
		return r;
	if (strlen(line) > AUDIT_ROW_MAX)
		return -EMSGSIZE;
	memcpy(ret_hash, hash, sizeof(hash));
	*ret_line = take_ptr(line);
	return 0;
}

int audit_row_host_id(const uint8_t public_key[static SIGN_PUBLIC_LEN], char ret_id[static AUDIT_ID_LEN])
{
	uint8_t buf[sizeof(AUDIT_LABEL_HOST) - 1 + SIGN_PUBLIC_LEN], digest[DIGEST_SHA256_LEN];
	int r;

	memcpy(buf, AUDIT_LABEL_HOST, sizeof(AUDIT_LABEL_HOST) - 1);
	memcpy(buf + sizeof(AUDIT_LABEL_HOST) - 1, public_key, SIGN_PUBLIC_LEN);
	r = digest_sha256(buf, sizeof(buf), digest);
	if (r >= 0)
		text_hex(digest, AUDIT_ID_LEN / 2, ret_id);
	return r;
}

#define SIGNED_LEN (sizeof(AUDIT_LABEL_SIGNATURE) - 1 + AUDIT_HASH_LEN)

static void signed_bytes(const uint8_t hash[static AUDIT_HASH_LEN], uint8_t ret_p[static SIGNED_LEN])
{
	memcpy(ret_p, AUDIT_LABEL_SIGNATURE, sizeof(AUDIT_LABEL_SIGNATURE) - 1);
	memcpy(ret_p + sizeof(AUDIT_LABEL_SIGNATURE) - 1, hash, AUDIT_HASH_LEN);
}

int audit_row_sign(const struct secret *seed, const uint8_t hash[static AUDIT_HASH_LEN], uint8_t ret_signature[static SIGN_LEN])
{
	uint8_t p[SIGNED_LEN];

	signed_bytes(hash, p);
	return sign_make(seed, p, sizeof(p), ret_signature);
}

int audit_row_sign_check(const struct audit_row *row, const uint8_t public_key[static SIGN_PUBLIC_LEN])
{
	uint8_t p[SIGNED_LEN], signature[SIGN_LEN];
	int r;

	r = hex_get(row->o, "signature", SIGN_LEN, signature);
	if (r < 0)
		return -EBADMSG;
	signed_bytes(row->prev, p);
	return sign_check(public_key, p, sizeof(p), signature);
}

/* Label and the anchor's text without its signature, malloc'ed. */
static int anchor_signed(const struct audit_anchor *a, struct json **ret_o, char **ret_p)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	char ts[AUDIT_TIME_LEN];
	int r;

	audit_row_time(a->ts_ns, ts);
	r = json_put_int(o, "v", AUDIT_VERSION);
	if (r >= 0)
		r = json_put_int(o, "seq", (int64_t)a->seq);
	if (r >= 0)
		r = json_put_str(o, "ts", ts);
	if (r >= 0)
		r = json_put_str(o, "host_id", a->host_id);
	if (r >= 0)
		r = json_put_str(o, "file", a->file);
	if (r >= 0)
		r = hex_put(o, "hash", a->hash, AUDIT_HASH_LEN);
	if (r >= 0)
		r = json_dump_sorted(o, &text);
	if (r < 0)
		return r;
	if (asprintf(ret_p, "%s%s", AUDIT_LABEL_ANCHOR, text) < 0)
		return -ENOMEM;
	*ret_o = take_ptr(o);
	return 0;
}

int audit_row_anchor_put(struct audit_anchor *anchor, const struct secret *seed, char **ret_line)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *p = NULL;
	int r;

	r = anchor_signed(anchor, &o, &p);
	if (r >= 0)
		r = sign_make(seed, p, strlen(p), anchor->signature);
	if (r >= 0)
		r = hex_put(o, "signature", anchor->signature, SIGN_LEN);
	return r < 0 ? r : json_dump_sorted(o, ret_line);
}

int audit_row_anchor_parse(const char *line, size_t len, struct audit_anchor *ret_anchor)
{
	static const char *const known[] = { "v", "seq", "ts", "host_id", "file", "hash", "signature", NULL };
	const char *at = memchr(line, '{', len), *host_id, *file;
	AUTO_JSON struct json *o = NULL;
	struct audit_anchor a = { 0 };
	int64_t seq;
	int r;

	if (!at)
		return -EUCLEAN;
	r = object_parse(at, len - (size_t)(at - line), &o);
	if (r < 0)
		return r;
	r = count_get(o, "seq", 1, &seq);
	if (r >= 0)
		r = time_get(o, &a.ts_ns);
	if (r >= 0)
		r = id_get(o, "host_id", &host_id);
	if (r >= 0)
		r = hex_get(o, "hash", AUDIT_HASH_LEN, a.hash);
	if (r >= 0)
		r = hex_get(o, "signature", SIGN_LEN, a.signature);
	if (r < 0 || json_unknown_key(o, known) || json_get_str(o, "file", &file) < 0 || strlen(file) >= sizeof(a.file))
		return -EUCLEAN;
	a.seq = (uint64_t)seq;
	memcpy(a.host_id, host_id, sizeof(a.host_id));
	memcpy(a.file, file, strlen(file) + 1);
	*ret_anchor = a;
	return 0;
}

int audit_row_anchor_check(const struct audit_anchor *anchor, const uint8_t public_key[static SIGN_PUBLIC_LEN])
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *p = NULL;
	int r;

	r = anchor_signed(anchor, &o, &p);
	return r < 0 ? r : sign_check(public_key, p, strlen(p), anchor->signature);
}
