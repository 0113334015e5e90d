/* audit_chain.c: the rules that a row, its neighbours and the anchors must keep.
 *
 *	each row             its bytes have their one form and fit its hash (audit_row.c)
 *	first of all         audit.genesis, number 1; or audit.rotate, when a later audit.expire says that what was before was dropped
 *	first of a file      audit.genesis or audit.rotate, with the public key that host_id is made from
 *	the others           number one higher, prev the hash of the row before, the same host_id, time since boot not lower in one boot, real time not lower
 *	                     unless it is clock.jump
 *	audit.anchor         signs prev
 *	a line that is none  bytes that the next row, audit.torn, has length and SHA-256 of; or, without a line feed,
 *	                     the end of everything
 *	an anchor            signed by the host key; the hash of the row it names; rising numbers; none behind the last row */
#include "agent/audit_chain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/audit_files.h"
#include "base/json.h"
#include "base/text.h"

struct audit_chain {
	struct audit_chain_report report;
	char want_host[AUDIT_ID_LEN];
	audit_chain_next *next;
	void *arg;
	struct audit_row row;                /* the last that fitted; o stays until the next */
	char boot_id[AUDIT_ID_LEN];
	uint8_t public_key[SIGN_PUBLIC_LEN];
	bool file_begins;
	uint64_t name_seq;                   /* what the file's name says; 0: nothing */
	uint64_t expired_to;
	bool has_anchor;                     /* the next one, not compared yet */
	struct audit_anchor anchor;
	uint64_t anchor_line;
	uint8_t anchored_hash[AUDIT_HASH_LEN];
	uint64_t torn_line;                  /* where the torn bytes begin; 0: there are none */
	size_t torn_len;
	bool ends_whole;                     /* the last line had a line feed */
	char torn[AUDIT_CHAIN_TORN_MAX];
};

static int broken_at(struct audit_chain *c, uint64_t line, uint64_t seq, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int broken_at(struct audit_chain *c, uint64_t line, uint64_t seq, const char *fmt, ...)
{
	va_list ap;

	if (c->report.broken)
		return -EBADMSG;
	c->report.broken = true;
	c->report.line = line;
	c->report.seq = seq;
	va_start(ap, fmt);
	(void)vsnprintf(c->report.why, sizeof(c->report.why), fmt, ap);
	va_end(ap);
	return -EBADMSG;
}

int audit_chain_new(const char *host_id, audit_chain_next *next, void *arg, struct audit_chain **ret_c)
{
	struct audit_chain *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (host_id)
		(void)snprintf(c->want_host, sizeof(c->want_host), "%s", host_id);
	c->next = next;
	c->arg = arg;
	*ret_c = c;
	return 0;
}

void audit_chain_free(struct audit_chain *c)
{
	if (!c)
		return;
	audit_row_done(&c->row);
	free(c);
}

const struct audit_chain_report *audit_chain_report(const struct audit_chain *c)
{
	return &c->report;
}

void audit_chain_file(struct audit_chain *c, const char *name)
{
	const char *base = strrchr(name, '/');

	if (c->report.broken)
		return;
	c->report.files++;
	c->report.line = 0;
	(void)snprintf(c->report.file, sizeof(c->report.file), "%s", name);
	c->file_begins = true;
	c->name_seq = audit_files_seq(base ? base + 1 : name);
}

/* --- anchors --- */

static int anchor_broken(struct audit_chain *c, const char *why)
{
	char ts[AUDIT_TIME_LEN];

	audit_row_time(c->anchor.ts_ns, ts);
	return broken_at(c, c->report.line, c->anchor.seq, "%s (anchor in line %" PRIu64 ", of %s)", why, c->anchor_line, ts);
}

static int anchor_take(struct audit_chain *c, const char *line, size_t len)
{
	struct audit_anchor a;
	int r;

	r = audit_row_anchor_parse(line, len, &a);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		c->report.anchors_unreadable += len > 0;
		return 0;
	}
	if (strcmp(a.host_id, c->report.host_id) != 0) {
		c->report.anchors_of_others++;
		return 0;
	}
	c->anchor = a;
	r = audit_row_anchor_check(&a, c->public_key);
	if (r == -EBADMSG)
		return anchor_broken(c, "an anchor is not signed by this host's key");
	if (r < 0)
		return r;
	if (a.seq < c->report.anchored_seq)
		return anchor_broken(c, "anchors go back: the log was begun anew, or is not the one that was anchored");
	if (a.seq == c->report.anchored_seq && memcmp(a.hash, c->anchored_hash, AUDIT_HASH_LEN) != 0)
		return anchor_broken(c, "two anchors of the same row differ");
	c->has_anchor = true;
	return 0;
}

/* The next anchor of this host, if there is one. */
static int anchor_pull(struct audit_chain *c)
{
	const char *line;
	size_t len;
	int r;

	c->has_anchor = false;
	while (c->next && !c->has_anchor) {
		r = c->next(c->arg, &line, &len);
		if (r < 0)
			return r;
		c->anchor_line++;
		if (r == 0)
			c->next = NULL;
		else
			r = anchor_take(c, line, len);
		if (r < 0)
			return r;
	}
	return 0;
}

static int anchors_compare(struct audit_chain *c, const struct audit_row *row)
{
	const struct audit_anchor *a = &c->anchor;
	int r;

	while (c->has_anchor && a->seq <= row->seq) {
		const uint8_t *hash = a->seq == row->seq ? row->hash : a->seq + 1 == row->seq ? row->prev : NULL;

		/* Only of rows before the first can there be anchors left here. */
		if (hash && memcmp(hash, a->hash, AUDIT_HASH_LEN) != 0)
			return anchor_broken(c, "the row is not the one that was anchored");
		c->report.anchors++;
		c->report.anchored_seq = a->seq;
		memcpy(c->anchored_hash, a->hash, AUDIT_HASH_LEN);
		c->report.unanchored_ns = 0;
		r = anchor_pull(c);
		if (r < 0)
			return r;
	}
	if (!c->report.unanchored_ns && c->report.anchored_seq < row->seq)
		c->report.unanchored_ns = row->ts_ns;
	return 0;
}

/* --- rows --- */

static int key_get(const struct audit_row *row, uint8_t ret_key[static SIGN_PUBLIC_LEN])
{
	char id[AUDIT_ID_LEN];
	const char *text;
	int r;

	r = json_get_str(row->o, "public_key", &text);
	if (r >= 0)
		r = text_hex_parse(text, strlen(text), SIGN_PUBLIC_LEN, ret_key);
	if (r >= 0)
		r = audit_row_host_id(ret_key, id);
	return r == -ENOMEM ? r : r < 0 || strcmp(id, row->host_id) != 0 ? -EBADMSG : 0;
}

static int begins_file(struct audit_chain *c, const struct audit_row *row, bool is_first_of_all)
{
	const bool genesis = strcmp(row->event, "audit.genesis") == 0;
	uint8_t key[SIGN_PUBLIC_LEN];
	int r;

	if (!genesis && strcmp(row->event, "audit.rotate") != 0)
		return broken_at(c, c->report.line, row->seq, "the file does not begin with the first row it had");
	if (c->name_seq && c->name_seq != row->seq)
		return broken_at(c, c->report.line, row->seq, "the file does not begin with the row it is named after");
	r = key_get(row, key);
	if (r == -EBADMSG)
		return broken_at(c, c->report.line, row->seq, "its public_key is not that of its host_id");
	if (r < 0)
		return r;
	if (is_first_of_all)
		memcpy(c->public_key, key, sizeof(key));
	return 0;
}

static int is_first(struct audit_chain *c, const struct audit_row *row)
{
	static const uint8_t zeros[AUDIT_HASH_LEN];
	int r;

	if (c->want_host[0] && strcmp(c->want_host, row->host_id) != 0)
		return broken_at(c, c->report.line, row->seq, "the log is of host %s", row->host_id);
	if ((strcmp(row->event, "audit.genesis") == 0) != (row->seq == 1) ||
	    (row->seq == 1) != (memcmp(row->prev, zeros, sizeof(zeros)) == 0))
		return broken_at(c, c->report.line, row->seq, "it is not the first row of a log or of a file");
	r = begins_file(c, row, true);
	if (r < 0)
		return r;
	memcpy(c->report.host_id, row->host_id, AUDIT_ID_LEN);
	c->report.first_seq = row->seq;
	c->report.first_ts_ns = row->ts_ns;
	return anchor_pull(c);
}

static int clocks_check(struct audit_chain *c, const struct audit_row *row)
{
	if (strcmp(row->boot_id, c->boot_id) == 0 && row->mono_ns < c->row.mono_ns)
		return broken_at(c, c->report.line, row->seq, "the time since boot goes back");
	if (row->ts_ns < c->row.ts_ns && strcmp(row->event, "clock.jump") != 0)
		return broken_at(c, c->report.line, row->seq, "the clock goes back, and no clock.jump row says so");
	return 0;
}

static int follows(struct audit_chain *c, const struct audit_row *row)
{
	const uint64_t line = c->report.line, last = c->row.seq;
	int r;

	if (strcmp(row->host_id, c->report.host_id) != 0)
		return broken_at(c, line, row->seq, "it is of another host");
	if (row->seq > last + 1)
		return broken_at(c, line, row->seq, "rows are missing before it: %" PRIu64 " to %" PRIu64, last + 1, row->seq - 1);
	if (row->seq <= last)
		return broken_at(c, line, row->seq, "it stands behind row %" PRIu64 ": repeated, inserted or out of order", last);
	if (memcmp(row->prev, c->row.hash, AUDIT_HASH_LEN) != 0)
		return broken_at(c, line, row->seq, "it does not follow the row before it: one of them was replaced");
	if (strcmp(row->event, "audit.genesis") == 0)
		return broken_at(c, line, row->seq, "a log begins within the log");
	r = clocks_check(c, row);
	if (r >= 0 && c->file_begins)
		r = begins_file(c, row, false);
	return r;
}

static int torn_check(struct audit_chain *c, const struct audit_row *row)
{
	uint8_t digest[AUDIT_HASH_LEN], said[AUDIT_HASH_LEN];
	const char *hex;
	int64_t bytes;
	int r;

	if (!c->torn_line) {
		if (strcmp(row->event, "audit.torn") == 0)
			return broken_at(c, c->report.line, row->seq, "the torn bytes that it speaks of are not there");
		return 0;
	}
	if (strcmp(row->event, "clock.jump") == 0)
		return 0;
	if (strcmp(row->event, "audit.torn") != 0)
		return broken_at(c, c->torn_line, row->seq, "the line is no row: it was changed, or no agent wrote it");
	r = digest_sha256(c->torn, c->torn_len, digest);
	if (r < 0)
		return r;
	if (json_get_int(row->o, "torn_bytes", &bytes) < 0 || bytes != (int64_t)c->torn_len ||
	    json_get_str(row->o, "torn_sha256", &hex) < 0 || text_hex_parse(hex, strlen(hex), sizeof(said), said) < 0 ||
	    memcmp(said, digest, sizeof(said)) != 0)
		return broken_at(c, c->torn_line, row->seq, "the torn bytes were changed");
	c->torn_line = 0;
	c->torn_len = 0;
	return 0;
}

static int event_check(struct audit_chain *c, const struct audit_row *row)
{
	int64_t to;
	int r;

	if (strcmp(row->event, "audit.anchor") == 0) {
		r = audit_row_sign_check(row, c->public_key);
		if (r == -EBADMSG)
			return broken_at(c, c->report.line, row->seq, "its signature is not this host's");
		if (r < 0)
			return r;
		c->report.signed_seq = row->seq - 1;
	}
	if (strcmp(row->event, "audit.expire") == 0 && json_get_int(row->o, "expired_to", &to) == 0 && to > 0 &&
	    (uint64_t)to < row->seq && (uint64_t)to > c->expired_to)
		c->expired_to = (uint64_t)to;
	c->report.torn += strcmp(row->event, "audit.torn") == 0;
	c->report.jumps += strcmp(row->event, "clock.jump") == 0;
	return 0;
}

static int row_check(struct audit_chain *c, const struct audit_row *row)
{
	int r;

	r = c->report.rows ? follows(c, row) : is_first(c, row);
	if (r >= 0)
		r = torn_check(c, row);
	if (r >= 0)
		r = event_check(c, row);
	if (r >= 0)
		r = anchors_compare(c, row);
	return r;
}

/* Several torn lines are one piece: the line feeds between them belong to it. */
static int torn_add(struct audit_chain *c, const char *line, size_t len)
{
	if (c->torn_line) {
		if (c->torn_len + 1 + len > sizeof(c->torn))
			return broken_at(c, c->torn_line, c->row.seq + 1, "no agent leaves so much that is no row");
		c->torn[c->torn_len++] = '\n';
	} else {
		c->torn_line = c->report.line;
	}
	memcpy(c->torn + c->torn_len, line, len);
	c->torn_len += len;
	return 0;
}

int audit_chain_line(struct audit_chain *c, const char *line, size_t len, bool whole, const struct audit_row **ret_row)
{
	struct audit_row row = { 0 };
	int r;

	if (c->report.broken)
		return -EBADMSG;
	c->report.line++;
	c->ends_whole = whole;
	r = audit_row_parse(line, len, &row);
	if (r == -EBADMSG)
		return broken_at(c, c->report.line, c->row.seq + 1, "its content does not fit its hash: it was changed");
	if (r == -EUCLEAN)
		return torn_add(c, line, len);
	if (r == -EFBIG)
		audit_chain_too_long(c);
	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	r = row_check(c, &row);
	if (r < 0) {
		audit_row_done(&row);
		return r;
	}
	audit_row_done(&c->row);
	c->row = row;
	c->file_begins = false;
	memcpy(c->boot_id, row.boot_id, AUDIT_ID_LEN);
	c->report.rows++;
	c->report.last_seq = row.seq;
	c->report.last_ts_ns = row.ts_ns;
	*ret_row = &c->row;
	return 1;
}

void audit_chain_too_long(struct audit_chain *c)
{
	(void)broken_at(c, c->report.line + 1, c->row.seq + 1, "the line is longer than any row");
}

int audit_chain_end(struct audit_chain *c)
{
	const struct audit_chain_report *p = &c->report;

	if (p->broken)
		return -EBADMSG;
	if (p->rows == 0)
		return broken_at(c, 0, 0, "there is no row");
	if (c->has_anchor)
		return anchor_broken(c, "the end of the log is missing: there was such a row");
	if (p->anchors_of_others && !p->anchors)
		return broken_at(c, 0, 0, "no anchor is of this log's host: the log was replaced, or the anchors are another's");
	if (p->first_seq > c->expired_to + 1)
		return broken_at(c, 0, p->first_seq, "rows before it are missing, and no audit.expire row says that they were dropped");
	if (c->torn_line && c->ends_whole)
		return broken_at(c, c->torn_line, c->row.seq + 1, "the line is no row: it was changed, or no agent wrote it");
	c->report.end_torn = c->torn_line != 0;
	return 0;
}
