/* cmd_audit.h: what `coffer audit verify`, `show` and `report` share. */
#ifndef COFFER_TOOLS_CMD_AUDIT_H
#define COFFER_TOOLS_CMD_AUDIT_H

#include "agent/audit_walk.h"
#include "tools/cmd.h"

struct cmd_audit {
	const struct cmd_global *g;
	char **paths;               /* files and directories */
	int path_count;
	const char *anchors, *host, *tenant, *since;
	int64_t since_ns;           /* 0: from the beginning */
};

/* Walk all that was named, in order. c may be NULL (audit_walk.h). 0, an exit code after a message, or -EBADMSG: the chain is broken. */
int cmd_audit_walk(const struct cmd_audit *a, struct audit_chain *c, audit_walk_row *each, void *arg) must_check;
/* The same with a chain and the anchors that were named or that are there. 0 or an exit code after a message; 21: the log is broken, which is said. */
int cmd_audit_verify(const struct cmd_audit *a, audit_walk_row *each, void *arg, struct audit_chain_report *ret_report) must_check;
/* What verify says of a whole log, on standard output or into o. */
void cmd_audit_say(const struct audit_chain_report *p);
int cmd_audit_put(struct json *o, const struct audit_chain_report *p) must_check;

int cmd_audit_show(const struct cmd_audit *a);
int cmd_audit_report(const struct cmd_audit *a);

#endif
