/* tenants.c: snapshots of the host's rules for its tenants. */
#include "agent/tenants.h"

#include <stdlib.h>

struct tenants {
	unsigned refs;          /* atomic */
	struct tenant fallback; /* for every tenant without a file */
};

int tenants_default(struct tenants **ret_t)
{
	struct tenants *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->refs = 1;
	t->fallback.lease = (struct lease_conf)LEASE_CONF_DEFAULT;
	*ret_t = t;
	return 0;
}

struct tenants *tenants_ref(struct tenants *t)
{
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void tenants_unref(struct tenants *t)
{
	if (t && __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(t);
}

const struct tenant *tenants_find(const struct tenants *t, const char *name)
{
	(void)name;
	return &t->fallback;
}
