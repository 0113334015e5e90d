/* fuzz_audit.c: the audit log as somebody may have left it. The first byte chooses:
 *
 *   even    lines of a log; and, behind a line "--", anchors
 *   odd     one row, its prev and hash put right before, so that what is behind the hash is reached
 *
 * Properties: a row that is taken comes out again as the same bytes; what the chain says it has seen is there. */
#include "agent/audit_chain.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct text {
	const char *p;
	size_t len;
};

/* 1 a line, 0 the end. */
static int line_next(void *arg, const char **ret_line, size_t *ret_len)
{
	struct text *t = arg;
	const char *nl = memchr(t->p, '\n', t->len);
	size_t n = nl ? (size_t)(nl - t->p) : t->len;

	if (t->len == 0)
		return 0;
	*ret_line = t->p;
	*ret_len = n;
	n += nl ? 1 : 0;
	t->p += n;
	t->len -= n;
	return 1;
}

static void row_again(const struct audit_row *row, const char *line, size_t len)
{
	char *text = NULL;

	assert(json_dump_sorted(row->o, &text) == 0);
	assert(strlen(text) == len && memcmp(text, line, len) == 0);
	free(text);
}

static void log_read(struct text log, struct text anchors, bool with_anchors)
{
	struct audit_chain *c = NULL;
	const struct audit_row *row;
	struct audit_anchor anchor;
	uint64_t rows = 0;
	const char *line;
	size_t len;
	int r;

	assert(audit_chain_new(NULL, with_anchors ? line_next : NULL, &anchors, &c) == 0);
	audit_chain_file(c, "audit-00000000000000000001.log");
	while (line_next(&log, &line, &len) > 0) {
		r = audit_chain_line(c, line, len, log.p == line + len + 1, &row);
		if (r > 0) {
			rows++;
			row_again(row, line, len);
		}
		if (audit_row_anchor_parse(line, len, &anchor) == 0)
			assert(anchor.seq > 0 && memchr(anchor.file, '\0', sizeof(anchor.file)));
	}
	r = audit_chain_end(c);
	assert((r == -EBADMSG) == audit_chain_report(c)->broken);
	assert(audit_chain_report(c)->rows == rows);
	assert(rows > 0 || r < 0);
	audit_chain_free(c);
}

static void row_mended(const char *p, size_t len)
{
	uint8_t prev[AUDIT_HASH_LEN] = { 0 }, hash[AUDIT_HASH_LEN];
	struct audit_row row = { 0 };
	struct json *o = NULL;
	char *line = NULL;

	if (json_parse(p, len, AUDIT_ROW_MAX, &o) < 0)
		return;
	json_drop(o, "hash");
	if (json_is_object(o) && audit_row_put(o, prev, hash, &line) == 0) {
		if (audit_row_parse(line, strlen(line), &row) == 0) {
			row_again(&row, line, strlen(line));
			log_read((struct text){ line, strlen(line) }, (struct text){ "", 0 }, false);
			audit_row_done(&row);
		}
		free(line);
	}
	json_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	char *copy, *at;

	if (len == 0 || len > 65536)
		return 0;
	copy = malloc(len); /* with a NUL behind it: one byte went to the choice */
	assert(copy);
	memcpy(copy, p + 1, len - 1);
	copy[len - 1] = '\0';
	at = memmem(copy, len - 1, "\n--\n", 4);
	if (p[0] % 2)
		row_mended(copy, len - 1);
	else if (at)
		log_read((struct text){ copy, (size_t)(at + 1 - copy) }, (struct text){ at + 4, (size_t)(copy + len - 1 - (at + 4)) }, true);
	else
		log_read((struct text){ copy, len - 1 }, (struct text){ "", 0 }, false);
	free(copy);
	return 0;
}
