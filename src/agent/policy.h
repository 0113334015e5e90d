/* policy.h: who may ask what (docs/protocol.md, "Who may ask what"). Pure: facts in, verdict out; the facts are the
 * kernel's and systemd's word on the peer, never the peer's own. */
#ifndef COFFER_AGENT_POLICY_H
#define COFFER_AGENT_POLICY_H

#include "agent/proto.h"

#include <stdbool.h>
#include <sys/types.h>

#define POLICY_UID_NOBODY 65534 /* also what an unmapped uid of a user namespace looks like: matches nothing */

/* The loaded policy. The rules of tenants.d will stand here; without them a host serves its root. */
struct policy {
	uid_t agent_uid; /* the user the agent runs as */
};

struct policy_peer {
	uid_t uid;
	const char *unit; /* system unit, NULL: none */
};

struct policy_verdict {
	bool allow;
	const char *rule; /* which rule said so, for the audit log; static */
};

/* tenant: whose data it is about; NULL where the op is about none. */
struct policy_verdict policy_decide(const struct policy *p, const struct policy_peer *peer, enum proto_op op,
				    const char *tenant);

/* May this peer do anything but say hello? What such a peer sends beside its messages is not even received. */
bool policy_admits(const struct policy *p, const struct policy_peer *peer);

#endif
