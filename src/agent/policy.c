/* policy.c: one decision function. In this order, the first that fits decides; none: deny.
 *
 *	hello     anybody: it tells a version
 *	nobody    uid 65534 is denied everything else, even if the agent itself runs so
 *	a rule    of the tenant's file: uid, unit, volume and operation all match
 *	recover   is no tenant's: the host's root alone opens with a recovery key
 *	rules     whoever wants a key of a tenant that has rules, and matches none: denied, root and the agent's user included
 *	root      uid 0 may everything
 *	self      the agent's own user may all but trust, since writing a pin overrides what the host believed, and recover */
#include "agent/policy.h"

#include <string.h>

#define KEYS (TENANT_MAY_UNLOCK | TENANT_MAY_SEAL | TENANT_MAY_UNSEAL)
#define ANY (KEYS | TENANT_MAY_ROTATE | TENANT_MAY_ADMIN | TENANT_MAY_AUDIT)

/* One of these rights suffices. What is not said here is for operators. */
static unsigned rights_for(enum proto_op op)
{
	switch (op) {
	case PROTO_OP_UNLOCK:
	case PROTO_OP_REGISTER:
	case PROTO_OP_EVENT:
		return TENANT_MAY_UNLOCK;
	case PROTO_OP_SEAL:
		return TENANT_MAY_SEAL;
	case PROTO_OP_UNSEAL:
		return TENANT_MAY_UNSEAL;
	case PROTO_OP_ACK: /* of what came by unlock, init or unseal; it tells nothing */
		return TENANT_MAY_UNLOCK | TENANT_MAY_ADMIN | TENANT_MAY_UNSEAL;
	case PROTO_OP_STATUS:
	case PROTO_OP_SYNC: /* whoever may write may also wait for it */
		return TENANT_MAY_UNLOCK | TENANT_MAY_ADMIN;
	case PROTO_OP_AUDIT:
		return TENANT_MAY_AUDIT | TENANT_MAY_ADMIN;
	default: /* init, pin, trust, freeze, thaw, lock, unlock-tenant, … */
		return TENANT_MAY_ADMIN;
	}
}

static struct policy_verdict verdict(bool allow, const char *rule)
{
	return (struct policy_verdict){ .allow = allow, .rule = rule };
}

static bool volume_fits(const struct tenant_rule *rule, const uint8_t *uuid)
{
	size_t i;

	if (rule->volume_count == 0)
		return true;
	for (i = 0; uuid && i < rule->volume_count; i++)
		if (memcmp(rule->volumes[i], uuid, UUID_LEN) == 0)
			return true;
	return false;
}

static bool peer_fits(const struct tenant_rule *rule, const struct policy_peer *peer)
{
	if (peer->uid == POLICY_UID_NOBODY || rule->uid != peer->uid)
		return false;
	return rule->units.count == 0 || (peer->unit && tenant_words_have(&rule->units, peer->unit));
}

static const struct tenant_rule *rule_of(const struct tenant *t, const struct policy_peer *peer, unsigned rights,
					 const uint8_t *uuid)
{
	size_t i;

	for (i = 0; i < t->rule_count; i++)
		if ((t->rules[i].rights & rights) && peer_fits(&t->rules[i], peer) && volume_fits(&t->rules[i], uuid))
			return &t->rules[i];
	return NULL;
}

/* In any tenant, for any volume. */
static const struct tenant_rule *rule_anywhere(const struct tenants *tenants, const struct policy_peer *peer, unsigned rights)
{
	const struct tenant *t;
	size_t i, j;

	for (i = 0; (t = tenants_at(tenants, i)); i++)
		for (j = 0; j < t->rule_count; j++)
			if ((t->rules[j].rights & rights) && peer_fits(&t->rules[j], peer))
				return &t->rules[j];
	return NULL;
}

static struct policy_verdict host_decide(const struct policy *p, const struct policy_peer *peer, enum proto_op op)
{
	if (peer->uid == 0)
		return verdict(true, "root");
	if (peer->uid == p->agent_uid)
		return verdict(op != PROTO_OP_TRUST && op != PROTO_OP_RECOVER, "self");
	return verdict(false, "default");
}

struct policy_verdict policy_decide(const struct policy *p, const struct tenants *tenants, const struct policy_peer *peer,
				    enum proto_op op, const struct policy_object *about)
{
	const struct tenant *t = about->tenant ? tenants_find(tenants, about->tenant) : NULL;
	const struct tenant_rule *rule;
	unsigned rights = rights_for(op);

	if (op == PROTO_OP_HELLO)
		return verdict(true, "hello");
	if (peer->uid == POLICY_UID_NOBODY)
		return verdict(false, "nobody");
	if (op == PROTO_OP_RECOVER)
		return host_decide(p, peer, op);
	rule = t ? rule_of(t, peer, rights, about->uuid) : rule_anywhere(tenants, peer, rights);
	if (rule)
		return verdict(true, rule->name);
	if (t && t->rule_count && !(rights & ~KEYS))
		return verdict(false, "rules");
	return host_decide(p, peer, op);
}

bool policy_admits(const struct policy *p, const struct tenants *tenants, const struct policy_peer *peer)
{
	if (peer->uid == POLICY_UID_NOBODY)
		return false;
	return peer->uid == 0 || peer->uid == p->agent_uid || rule_anywhere(tenants, peer, ANY);
}
