/* cmd_audit.h: what `coffer audit verify`, `show` and `report` share. */
#ifndef COFFER_TOOLS_CMD_AUDIT_H
#define COFFER_TOOLS_CMD_AUDIT_H

#include "agent/audit_walk.h"
#include "tools/cmd.h"

struct cmd_audit {
	const struct cmd_global *g;
	char **paths;               /* files and directories */
	bool named;                 /* they were; else it is the agent's own */
	int path_count;
	const char *anchors, *host, *tenant, *since;
	const char *html;           /* report: the page to write, or NULL */
	int64_t since_ns;           /* 0: from the beginning */
};

/* Walk all that was named, in order. c may be NULL (audit_walk.h). 0, an exit code after a message, or -EBADMSG: the chain is broken. */
int cmd_audit_walk(const struct cmd_audit *a, struct audit_chain *c, audit_walk_row *each, void *arg) must_check;
/* The same with a chain and the anchors that were named or that are there. 0 or an exit code after a message; 21: the log is broken, which is said. */
int cmd_audit_verify(const struct cmd_audit *a, audit_walk_row *each, void *arg, struct audit_chain_report *ret_report) must_check;
/* What verify says of a whole log, on standard output or into o. */
void cmd_audit_say(const struct audit_chain_report *p);
int cmd_audit_put(struct json *o, const struct audit_chain_report *p) must_check;

/* ---- report: how often what was met */

struct cmd_audit_tally {
	char *name;
	uint64_t count;
	int64_t first_ns, last_ns;
};

struct cmd_audit_tallies {
	struct cmd_audit_tally *t;
	size_t count;
};

enum cmd_audit_kind { CMD_AUDIT_KEYS, CMD_AUDIT_USERS, CMD_AUDIT_VOLUMES, CMD_AUDIT_REFUSALS, CMD_AUDIT_LOCKS, CMD_AUDIT_KINDS };

struct cmd_audit_sums {
	struct cmd_audit_tallies of[CMD_AUDIT_KINDS];
	uint64_t rows, uses;
};

/* ---- cmd_audit_html.c: the same, and what happened when, as a page that needs nothing from outside */

struct cmd_audit_html;
struct cmd_audit_html *cmd_audit_html_new(void);  /* NULL: out of memory */
void cmd_audit_html_free(struct cmd_audit_html *h);
DEFINE_AUTO(struct cmd_audit_html, cmd_audit_html_free)
#define AUTO_CMD_AUDIT_HTML AUTO(cmd_audit_html_free_p)
/* A row of the tenant. NULL is fine. -ENOMEM. */
int cmd_audit_html_row(struct cmd_audit_html *h, const struct audit_row *row) must_check;
/* The whole page into that file, mode 0600. -errno. */
int cmd_audit_html_write(const struct cmd_audit_html *h, const struct cmd_audit *a, const struct cmd_audit_sums *sums,
			 const struct audit_chain_report *chain, const char *path) must_check;

int cmd_audit_show(const struct cmd_audit *a);
int cmd_audit_report(const struct cmd_audit *a);

#endif
