/* policy.c: one decision function. Rules in order, the first that fits decides; none: deny.
 *
 *	hello     anybody: it tells a version
 *	nobody    uid 65534 is denied everything else, even if the agent itself runs so
 *	root      uid 0 may everything
 *	self      the agent's own user may all but trust: writing a pin overrides what the host believed */
#include "agent/policy.h"

static struct policy_verdict verdict(bool allow, const char *rule)
{
	return (struct policy_verdict){ .allow = allow, .rule = rule };
}

struct policy_verdict policy_decide(const struct policy *p, const struct policy_peer *peer, enum proto_op op,
				    const char *tenant)
{
	(void)tenant;
	if (op == PROTO_OP_HELLO)
		return verdict(true, "hello");
	if (peer->uid == POLICY_UID_NOBODY)
		return verdict(false, "nobody");
	if (peer->uid == 0)
		return verdict(true, "root");
	if (peer->uid == p->agent_uid)
		return verdict(op != PROTO_OP_TRUST, "self");
	return verdict(false, "default");
}

bool policy_admits(const struct policy *p, const struct policy_peer *peer)
{
	int op;

	for (op = 0; op < PROTO_OPS; op++)
		if (op != PROTO_OP_HELLO && policy_decide(p, peer, (enum proto_op)op, NULL).allow)
			return true;
	return false;
}
