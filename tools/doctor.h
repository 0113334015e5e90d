/* doctor.h: what coffer-doctor(1) finds: rows, one a check. doctor.c keeps and shows them; the others make them: doctor_host.c the host, doctor_keys.c agent and key services, doctor_tls.c the way to
 * these, doctor_volume.c a volume's directory and mount point, doctor_foreign.c what in it is not ours, doctor_work.c what engines do to a mount. None of them stops at a finding. */
#ifndef COFFER_TOOLS_DOCTOR_H
#define COFFER_TOOLS_DOCTOR_H

#include "base/json.h"
#include "tools/cmd.h"

enum doctor_result { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	const struct cmd_global *g;
	bool colours;
	unsigned count[3];       /* of each result */
	struct json *checks;     /* with --json: what is to be printed */
	int error;               /* -ENOMEM while it was made */
};

/* One row: the name of the check, how it went, what was found. advice: what to do about it, or NULL. */
void doctor_row(struct doctor *d, const char *name, enum doctor_result result, const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

void doctor_host(struct doctor *d);
/* The agent, and every mount it knows. */
void doctor_agent(struct doctor *d);

/* What is looked at beside the host. */
struct doctor_target {
	const char *name;        /* as the user gave it */
	char *source;            /* the volume's directory, absolute */
	char *mountpoint;        /* absolute: where it is mounted, or where volumes.d wants it; NULL */
	bool mounted;
};

/* Its key: really unwrapped, as for fsck. */
void doctor_key(struct doctor *d, const struct doctor_target *t);
/* Handshakes with its key services: those that this host pinned, asked of the agent; without one those that its tenants.d lists. What a volume names for itself is not asked. */
void doctor_tls(struct doctor *d, struct client *c, const struct cmd_volume *v);
void doctor_volume(struct doctor *d, const struct doctor_target *t);
void doctor_foreign(struct doctor *d, const struct doctor_target *t, int root_fd);
/* Run what that engine does in a scratch directory of the mount. -ENOENT: no such engine. */
int doctor_work(struct doctor *d, const char *engine, const char *mountpoint) must_check;
/* "sqlite, postgres, …" */
const char *doctor_engines(void);

#endif
