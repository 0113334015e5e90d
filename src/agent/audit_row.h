/* audit_row.h: one row of the audit log and one anchor, as structs and as bytes (docs/protocol.md, "Audit log"). Pure. What is read comes from a
 * file that somebody may have changed: everything about a row's form is checked, its bytes against its own hash; what it says of its
 * neighbours is audit_chain.h's business. */
#ifndef COFFER_AGENT_AUDIT_ROW_H
#define COFFER_AGENT_AUDIT_ROW_H

#include "base/err.h"
#include "crypt/digest.h"
#include "crypt/sign.h"

#include <stdint.h>

#define AUDIT_ROW_MAX 16384         /* bytes of a row or an anchor without its line feed */
#define AUDIT_HASH_LEN DIGEST_SHA256_LEN
#define AUDIT_HEX_LEN (2 * AUDIT_HASH_LEN + 1)
#define AUDIT_ID_LEN 33             /* text of host_id and boot_id: 32 hexadecimal digits */
#define AUDIT_TIME_LEN 31           /* 2026-01-31T23:59:59.123456789Z */
#define AUDIT_FILE_LEN 32           /* audit-00000000000000000001.log */

#define AUDIT_VERSION 1
#define AUDIT_LABEL_ROW "coffer-audit-v1"
#define AUDIT_LABEL_SIGNATURE "coffer-audit-signature-v1"
#define AUDIT_LABEL_ANCHOR "coffer-anchor-v1"
#define AUDIT_LABEL_HOST "coffer-host-v1"

struct json;

struct audit_row {
	struct json *o;                     /* all members; audit_row_done */
	uint64_t seq;
	int64_t ts_ns;                      /* since 1970 */
	int64_t mono_ns;                    /* since boot */
	const char *event, *host_id, *boot_id; /* in o */
	uint8_t prev[AUDIT_HASH_LEN], hash[AUDIT_HASH_LEN];
};

/* A line without its line feed. -EUCLEAN: no row, or not in the one form that its content has; -EBADMSG: the hash is not that of the rest;
 * -EFBIG, -ENOMEM. */
int audit_row_parse(const char *line, size_t len, struct audit_row *ret_row) must_check;
void audit_row_done(struct audit_row *row);
/* Give o (all members but these) prev and hash, and its text, malloc'ed, without line feed. -EMSGSIZE beyond AUDIT_ROW_MAX. */
int audit_row_put(struct json *o, const uint8_t prev[static AUDIT_HASH_LEN], uint8_t ret_hash[static AUDIT_HASH_LEN],
		  char **ret_line) must_check;

/* What somebody else holds: up to row seq the log was this. */
struct audit_anchor {
	uint64_t seq;
	int64_t ts_ns;
	uint8_t hash[AUDIT_HASH_LEN];       /* of row seq */
	char host_id[AUDIT_ID_LEN];
	char file[AUDIT_FILE_LEN];          /* that has row seq */
	uint8_t signature[SIGN_LEN];
};

/* What stands before the first { is passed over: lines of a journal have something there. The signature is not checked. */
int audit_row_anchor_parse(const char *line, size_t len, struct audit_anchor *ret_anchor) must_check;
/* -EBADMSG: not signed by that key. */
int audit_row_anchor_check(const struct audit_anchor *anchor, const uint8_t public_key[static SIGN_PUBLIC_LEN]) must_check;
/* Signs, and gives its text, malloc'ed, without line feed. */
int audit_row_anchor_put(struct audit_anchor *anchor, const struct secret *seed, char **ret_line) must_check;

/* The signature that an audit.anchor row holds: over everything up to the row before it, by that row's hash. */
int audit_row_sign(const struct secret *seed, const uint8_t hash[static AUDIT_HASH_LEN], uint8_t ret_signature[static SIGN_LEN]) must_check;
int audit_row_sign_check(const struct audit_row *row, const uint8_t public_key[static SIGN_PUBLIC_LEN]) must_check;

/* host_id of a public key. */
int audit_row_host_id(const uint8_t public_key[static SIGN_PUBLIC_LEN], char ret_id[static AUDIT_ID_LEN]) must_check;

/* The text form of a time, both ways; parsing is strict: -EUCLEAN. */
void audit_row_time(int64_t ts_ns, char ret_text[static AUDIT_TIME_LEN]);
int audit_row_time_parse(const char *text, int64_t *ret_ts_ns) must_check;

#endif
