/* credrules.c: see credrules.h. Whoever serves a credential asks before the KMS is asked, and once more when it has answered: rules and locks may be others by then. */
#include "agent/credrules.h"

#include <stdio.h>
#include <string.h>

/* Of a tenant without kms= lines. */
static void default_key(const char *tenant, char ret_uri[static KMS_URI_MAX + 1])
{
	(void)snprintf(ret_uri, KMS_URI_MAX + 1, "local:%.64s-credentials", tenant);
}

bool credrules_key_allowed(const struct tenants *ts, const char *tenant, const char *uri)
{
	const struct tenant *t = tenants_find(ts, tenant);
	char own[KMS_URI_MAX + 1];

	if (t->key_count)
		return tenant_key_allowed(t, uri);
	default_key(tenant, own);
	return strcmp(uri, own) == 0;
}

static void uri_text(const struct kms_uri *uri, char ret_text[static KMS_URI_MAX + 1])
{
	size_t at = (size_t)snprintf(ret_text, KMS_URI_MAX + 1, "%s:%s", uri->scheme, uri->hierarchical ? "/" : "");

	for (size_t i = 0; i < uri->component_count && at < KMS_URI_MAX; i++)
		at += (size_t)snprintf(ret_text + at, KMS_URI_MAX + 1 - at, "%s%s", i > 0 || uri->hierarchical ? "/" : "", kms_uri_component(uri, i));
}

int credrules_key_for(const struct tenants *ts, const char *tenant, char ret_uri[static KMS_URI_MAX + 1])
{
	const struct tenant *t = tenants_find(ts, tenant);

	for (size_t i = 0; i < t->key_count; i++)
		if (!t->keys[i].any_last) {
			uri_text(&t->keys[i].uri, ret_uri);
			return 0;
		}
	if (t->key_count)
		return -ENOENT;
	default_key(tenant, ret_uri);
	return 0;
}

const struct tenant_credential *credrules_find(const struct tenant *t, const char *name)
{
	for (size_t i = 0; i < t->credential_count; i++)
		if (strcmp(t->credentials[i].name, name) == 0)
			return &t->credentials[i];
	return NULL;
}

int credrules_unit(const struct tenants *ts, const char *unit, const char *name, const struct tenant **ret_t, const struct tenant_credential **ret_c)
{
	const struct tenant_credential *c, *found = NULL;
	const struct tenant *t;

	for (size_t i = 0; (t = tenants_at(ts, i)); i++) {
		c = credrules_find(t, name);
		if (!c || !tenant_words_have(&c->units, unit))
			continue;
		if (found)
			return -EEXIST;
		found = c;
		*ret_t = t;
	}
	*ret_c = found;
	return found ? 0 : -ENOENT;
}

enum proto_class credrules_locked(const struct agent *a, const char *tenant, char message[static PROTO_MESSAGE_MAX])
{
	const struct locks_item *lock = locks_find_tenant(a->locks, tenant);

	if (!lock)
		return PROTO_CLASS_OK;
	return proto_class_say(message, PROTO_CLASS_LOCKED, "tenant locked by uid %llu at %s%s%s; to undo it: coffer unlock --tenant %s", (unsigned long long)lock->uid, lock->since,
		   lock->reason[0] ? ": " : "", lock->reason, tenant);
}

enum proto_class credrules_check(const struct agent *a, const char *tenant, const char *name, const struct credential *c, char message[static PROTO_MESSAGE_MAX])
{
	const struct tenant_credential *rule = credrules_find(tenants_find(a->tenants, tenant), name);

	if (strcmp(c->tenant, tenant) != 0 || strcmp(c->name, name) != 0)
		return proto_class_say(message, PROTO_CLASS_UNTRUSTED, "the file is credential %s of tenant %s", c->name, c->tenant);
	if (rule && c->version < rule->min_version)
		return proto_class_say(message, PROTO_CLASS_OLDER, "version %llu is older than min-version=%llu", (unsigned long long)c->version,
			   (unsigned long long)rule->min_version);
	if (!credrules_key_allowed(a->tenants, tenant, c->key.uri))
		return proto_class_say(message, PROTO_CLASS_DENIED, "no kms= of tenant %s allows %.200s", tenant, c->key.uri);
	return credrules_locked(a, tenant, message);
}

enum proto_class credrules_failed(int r, char message[static PROTO_MESSAGE_MAX])
{
	switch (r) {
	case -EUCLEAN:
		return proto_class_say(message, PROTO_CLASS_NOT_VOLUME, "not a sealed credential");
	case -EOPNOTSUPP:
		return proto_class_say(message, PROTO_CLASS_UNSUPPORTED, "a sealed credential of a later format");
	case -EKEYREJECTED:
		return proto_class_say(message, PROTO_CLASS_CORRUPT, "it does not open: it was changed, or sealed under another key");
	default:
		return proto_class_say(message, PROTO_CLASS_RESOURCE, "%s", err_text(r));
	}
}
