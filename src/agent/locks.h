/* locks.h: what an operator has locked on this host, a volume (every directory of that uuid) or a whole tenant, on disk as `locks.json`: it outlives the
 * agent and the machine, and only `coffer unlock` ends it (docs/protocol.md, "State"). */
#ifndef COFFER_AGENT_LOCKS_H
#define COFFER_AGENT_LOCKS_H

#include "agent/proto.h"

#include <sys/types.h>

#define LOCKS_MAX 1024

struct locks;

struct locks_item {
	char tenant[TENANT_LEN_MAX + 1]; /* empty: a volume, and uuid says which */
	uint8_t uuid[UUID_LEN];
	uint64_t uid;                    /* who locked */
	char since[TIME_TEXT_MAX];
	char reason[PROTO_REASON_MAX];
};

/* -EUCLEAN: what is there cannot be read. The caller must not go on then: it would open what is locked. */
int locks_open(int dirfd, struct locks **ret_l) must_check;
void locks_free(struct locks *l);

/* What keeps this volume of this tenant locked; NULL: nothing. Valid until the next change. */
const struct locks_item *locks_find(const struct locks *l, const uint8_t uuid[static UUID_LEN], const char *tenant);
/* What keeps the tenant as a whole locked. */
const struct locks_item *locks_find_tenant(const struct locks *l, const char *tenant);

/* Durable when it returns; one of the same target is replaced. -ENOSPC: LOCKS_MAX are there. Any other failure: it holds until the agent ends, and no longer. */
int locks_add(struct locks *l, const struct locks_item *lock) must_check;
/* -ENOENT: there is none of exactly this target. */
int locks_remove(struct locks *l, const struct locks_item *target) must_check;

#endif
