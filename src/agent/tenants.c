/* tenants.c: snapshots of the host's rules for its tenants. */
#include "agent/tenants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tenants {
	unsigned refs;          /* atomic */
	struct tenant fallback; /* for every tenant without a file */
	char hash[65];
	size_t count;
	struct tenant **list;   /* in the order of names */
};

int tenants_default(struct tenants **ret_t)
{
	struct tenants *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->refs = 1;
	t->fallback.lease = (struct lease_conf)LEASE_CONF_DEFAULT;
	t->fallback.recovery_allowed = true;
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
	size_t i;

	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	for (i = 0; i < t->count; i++)
		tenant_free(t->list[i]);
	free(t->list);
	free(t);
}

/* Where name stands, or would stand. */
static size_t place_of(const struct tenants *ts, const char *name, bool *ret_there)
{
	size_t low = 0, high = ts->count, mid;
	int r;

	*ret_there = false;
	while (low < high) {
		mid = low + (high - low) / 2;
		r = strcmp(ts->list[mid]->name, name);
		if (r == 0) {
			*ret_there = true;
			return mid;
		}
		if (r < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int tenants_add(struct tenants *ts, struct tenant **t)
{
	struct tenant **list;
	bool there;
	size_t at = place_of(ts, (*t)->name, &there);

	if (there)
		return -EEXIST;
	if (ts->count == TENANTS_MAX)
		return -ENOSPC;
	list = realloc(ts->list, (ts->count + 1) * sizeof(struct tenant *));
	if (!list)
		return -ENOMEM;
	ts->list = list;
	memmove(list + at + 1, list + at, (ts->count - at) * sizeof(struct tenant *));
	list[at] = take_ptr(*t);
	ts->count++;
	return 0;
}

const char *tenants_hash(const struct tenants *t)
{
	return t->hash;
}

void tenants_set_hash(struct tenants *t, const char *hex)
{
	(void)snprintf(t->hash, sizeof(t->hash), "%s", hex);
}

const struct tenant *tenants_find(const struct tenants *t, const char *name)
{
	bool there;
	size_t at = place_of(t, name, &there);

	return there ? t->list[at] : &t->fallback;
}

const struct tenant *tenants_at(const struct tenants *t, size_t i)
{
	return i < t->count ? t->list[i] : NULL;
}
