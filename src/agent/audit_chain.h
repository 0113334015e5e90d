/* audit_chain.h: is this audit log whole? Fed line by line, in constant memory, with the log's public key taken from its own first row and, if somebody
 * kept them, its anchors (docs/protocol.md, "Audit log"). Pure but for the caller's next_anchor. */
#ifndef COFFER_AGENT_AUDIT_CHAIN_H
#define COFFER_AGENT_AUDIT_CHAIN_H

#include "agent/audit_row.h"

#include <stdbool.h>

#define AUDIT_CHAIN_TORN_MAX (4 * AUDIT_ROW_MAX)

struct audit_chain;

/* The next line of the anchors: 1, 0 at the end, -errno. It is used until the next call. */
typedef int audit_chain_next(void *arg, const char **ret_line, size_t *ret_len);

struct audit_chain_report {
	uint64_t rows, files;
	uint64_t first_seq, last_seq;
	int64_t first_ts_ns, last_ts_ns;
	char host_id[AUDIT_ID_LEN];         /* empty: there was no row */
	uint64_t signed_seq;                /* newest row under a signature in the log itself; 0: none */
	uint64_t anchors;                   /* that fitted */
	uint64_t anchored_seq;              /* newest row under an anchor; 0: none */
	int64_t unanchored_ns;              /* time of the first row behind it; 0: there is none */
	uint64_t anchors_of_others, anchors_unreadable;
	uint64_t torn, jumps;               /* rows audit.torn and clock.jump */
	bool end_torn;                      /* the last line is no row and has no line feed: a crash, or the agent writes just now */
	bool broken;                        /* then what is below names the first defect */
	char file[AUDIT_FILE_LEN + 224];
	uint64_t line, seq;                 /* seq: the row, 0: none */
	char why[200];
};

/* host_id: the one it must be, or NULL; next: NULL without anchors. */
int audit_chain_new(const char *host_id, audit_chain_next *next, void *arg, struct audit_chain **ret_c) must_check;
void audit_chain_free(struct audit_chain *c);
DEFINE_AUTO(struct audit_chain, audit_chain_free)
#define AUTO_AUDIT_CHAIN AUTO(audit_chain_free_p)

/* Another file begins. */
void audit_chain_file(struct audit_chain *c, const char *name);
/* Its next line; whole: with a line feed. 1: a row that fits, *ret_row until the next call; 0: no row, which may be all right; -EBADMSG: the log is broken, or was before;
 * other -errno: not looked at. */
int audit_chain_line(struct audit_chain *c, const char *line, size_t len, bool whole, const struct audit_row **ret_row) must_check;
/* A line that is no row whatever it says: too long. */
void audit_chain_too_long(struct audit_chain *c);
/* All is read. 0, -EBADMSG. */
int audit_chain_end(struct audit_chain *c) must_check;
const struct audit_chain_report *audit_chain_report(const struct audit_chain *c);

#endif
