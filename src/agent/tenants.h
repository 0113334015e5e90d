/* tenants.h: the host's rules for its tenants (INTERFACE "Configuration"; coffer.conf(5)), one immutable snapshot at a time. A snapshot is shared
 * between the loop and threads that unwrap: take a reference for as long as a pointer into it is used. */
#ifndef COFFER_AGENT_TENANTS_H
#define COFFER_AGENT_TENANTS_H

#include "agent/lease.h"
#include "base/err.h"
#include "kms/kms.h"

struct tenants;

/* What holds for one tenant. */
struct tenant {
	char name[65];
	struct lease_conf lease;
	struct kms_conf kms;
	bool recovery_allowed; /* recovery=allow */
};

/* The rules of a host without tenants.d: root's own volumes, every value its default. One reference. */
int tenants_default(struct tenants **ret_t) must_check;
struct tenants *tenants_ref(struct tenants *t);
/* From any thread. NULL is fine. */
void tenants_unref(struct tenants *t);
DEFINE_AUTO(struct tenants, tenants_unref)
#define AUTO_TENANTS AUTO(tenants_unref_p)

/* Never NULL: a tenant without a file has the defaults. Valid while t is. */
const struct tenant *tenants_find(const struct tenants *t, const char *name);

#endif
