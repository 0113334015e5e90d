/* cmd_backup_named.c: volumes.d/NAME.conf where a store is wanted: [backup] says which, [store] how it is reached, [volume] whose snapshots. What the
 * command line says goes before. A STORE that is given as one is taken as it stands: [store] is about the other one. */
#include "tools/cmd_backup.h"

#include <string.h>

static int set(struct cmd_backup_args *a, const char *name, const char *key, const char *have, const char *value)
{
	if (!value || *have)
		return 0;
	return store_conf_set(&a->conf, key, value) < 0 ? cmd_fail(EXIT_CODE_CONFIG, name, "[store] %s=%s: not a value for it", key, value) : 0;
}

static int take_store(struct cmd_backup_args *a, const char *name, const struct volume_conf *c)
{
	int r;

	r = set(a, name, "endpoint", a->conf.endpoint, c->endpoint);
	if (r == 0)
		r = set(a, name, "region", a->conf.region, c->region);
	if (r == 0)
		r = set(a, name, "credentials", a->conf.credentials, a->prunes && c->prune_credentials ? c->prune_credentials : c->credentials);
	if (r == 0)
		r = set(a, name, "ca-file", a->conf.ca_file, c->ca_file);
	if (r == 0)
		r = set(a, name, "object-lock", a->conf.lock == STORE_LOCK_NONE ? "" : "said", c->object_lock);
	if (r == 0 && c->path_style >= 0)
		r = set(a, name, "path-style", "", c->path_style ? "yes" : "no");
	return r;
}

/* The uuid that the file says, or that the volume has; a volume that is lost has none, and then the store must have one alone. */
static int take_uuid(struct cmd_backup_args *a, const struct volume_conf *c)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;

	if (a->volume)
		return 0;
	if (c->has_uuid)
		volume_config_uuid_text(c->uuid, a->uuid);
	else if (access(c->source, F_OK) < 0)
		return 0;
	else if (cmd_volume_open(c->source, &v) == 0)
		volume_config_uuid_text(v.parsed->uuid, a->uuid);
	a->volume = a->uuid[0] ? a->uuid : NULL;
	return 0;
}

int cmd_backup_named(const struct cmd_global *g, struct cmd_backup_args *a, const char *name, const char **ret_uri)
{
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };
	int r;

	if (a->store || strstr(name, "://")) {
		*ret_uri = a->store ? a->store : name;
		return 0;
	}
	if (strchr(name, '/'))
		return cmd_fail(EXIT_CODE_USAGE, name, "not a store; say s3://BUCKET/PREFIX or file:///DIR, or the name of a volume in volumes.d");
	r = cmd_volume_conf(g, name, &c);
	if (r == 0 && !c.store)
		r = cmd_fail(EXIT_CODE_CONFIG, name, "volumes.d/%s.conf has no store= in [backup]; write it there, or say STORE", name);
	if (r == 0)
		r = take_store(a, name, &c);
	if (r == 0)
		r = take_uuid(a, &c);
	if (r != 0)
		return r;
	a->keep_daily = c.keep_daily;
	a->keep_weekly = c.keep_weekly;
	a->keep_monthly = c.keep_monthly;
	a->store = take_ptr(c.store);
	a->source = take_ptr(c.source);
	a->tenant = take_ptr(c.tenant);
	*ret_uri = a->store;
	return 0;
}
