/* policy.h: who may ask what (docs/protocol.md, "Who may ask what"). Pure: facts and rules in, verdict out; the facts are the
 * kernel's and systemd's word on the peer, never the peer's own. */
#ifndef COFFER_AGENT_POLICY_H
#define COFFER_AGENT_POLICY_H

#include "agent/proto.h"
#include "agent/tenants.h"

#include <stdbool.h>
#include <sys/types.h>

#define POLICY_UID_NOBODY 65534 /* also what an unmapped uid of a user namespace looks like: matches nothing */

struct policy {
	uid_t agent_uid; /* the user the agent runs as */
};

struct policy_peer {
	uid_t uid;
	const char *unit; /* system unit, NULL: none */
};

/* What it is about. */
struct policy_object {
	const char *tenant;  /* NULL: not known yet, or nobody's; then one right in any tenant suffices, and the handler asks again */
	const uint8_t *uuid; /* UUID_LEN bytes; NULL: no volume, and rules that name volumes do not match */
};

struct policy_verdict {
	bool allow;
	const char *rule; /* which rule said so, for the audit log; valid as long as the tenants */
};

struct policy_verdict policy_decide(const struct policy *p, const struct tenants *tenants, const struct policy_peer *peer,
				    enum proto_op op, const struct policy_object *about);

/* May this peer do anything but say hello? What such a peer sends beside its messages is not even received. */
bool policy_admits(const struct policy *p, const struct tenants *tenants, const struct policy_peer *peer);

#endif
