/* cmd_keys.c: keys: what keys a volume has, and what this host knows of them. Nothing that is shown is secret, or authenticated. */
#include "tools/cmd.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

struct listed {
	struct cmd_volume v;
	bool asked;              /* the agent has answered; else nothing is known of pins */
	bool pinned;             /* the directory is */
	struct client_keys keys; /* when it is pinned */
};

/* An agent that is not there, or does not tell us, is no failure: what the volume says is shown without it. */
static int ask(const struct cmd_global *g, struct listed *l)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	int r;

	if (!c)
		return -ENOMEM;
	r = client_connect(c);
	if (r == 0)
		r = client_keys(c, &l->v.instance, &l->keys);
	l->pinned = r == 0;
	l->asked = r == 0 || client_error(c)->class == PROTO_CLASS_UNTRUSTED;
	if (!l->asked && !g->quiet)
		(void)fprintf(stderr, "coffer: agent: what is pinned is not known: %s\n", client_error(c)->message);
	return 0;
}

static bool slot_pinned(const struct listed *l, const struct key_slot *s)
{
	for (size_t i = 0; l->pinned && s->active && i < l->keys.kms_count; i++)
		if (strcmp(l->keys.kms[i], s->kms) == 0)
			return true;
	return false;
}

static bool slot_opened(const struct listed *l, const struct key_slot *s)
{
	return l->pinned && s->active && strcmp(l->keys.key_uri, s->kms) == 0;
}

static int slot_json(const struct listed *l, const struct key_slot *s, struct json *a)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	r = json_put_str(o, "kms", s->kms);
	if (r == 0)
		r = json_put_str(o, "key_version", s->key_version);
	if (r == 0)
		r = json_put_str(o, "state", s->active ? "active" : "retired");
	if (r == 0)
		r = json_put_str(o, "created", s->created);
	if (r == 0 && l->asked)
		r = json_put_bool(o, "pinned", slot_pinned(l, s));
	if (r == 0 && l->asked)
		r = json_put_bool(o, "opened_last", slot_opened(l, s));
	return r < 0 ? r : json_append(a, take_ptr(o));
}

static int list_json(const struct listed *l, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_JSON struct json *a = json_new_array();
	const struct volume_config *c = l->v.parsed;
	char uuid[33];
	int r = 0;

	volume_config_uuid_text(c->uuid, uuid);
	for (size_t i = 0; i < c->slot_count && r == 0; i++)
		r = slot_json(l, &c->slots[i], a);
	if (r == 0)
		r = json_put_str(o, "uuid", uuid);
	if (r == 0)
		r = json_put_str(o, "tenant", c->tenant);
	if (r == 0)
		r = json_put_int(o, "config_version", (int64_t)c->config_version);
	if (r == 0 && l->asked)
		r = json_put_bool(o, "pinned", l->pinned);
	if (r == 0)
		r = json_put_json(o, "slots", take_ptr(a));
	return r < 0 ? r : json_dump(o, ret_text);
}

static void list_text(const struct listed *l)
{
	const struct volume_config *c = l->v.parsed;
	const struct key_slot *s;

	for (size_t i = 0; i < c->slot_count; i++) {
		s = &c->slots[i];
		(void)printf("%s\n  %s since %s%s%s", s->kms, s->active ? "active" : "retired", s->created, s->key_version[0] ? ", version " : "",
			     s->key_version);
		if (l->asked && s->active)
			(void)printf(", %s", slot_pinned(l, s) ? "pinned on this host" : "not pinned on this host");
		(void)printf("%s\n", slot_opened(l, s) ? ", opened last" : "");
	}
}

static int keys_list(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE struct listed *l = calloc(1, sizeof(*l));
	AUTO_FREE char *path = NULL, *text = NULL;
	int r;

	if (argc != 2)
		return cmd_usage("keys", "list needs one VOLUME");
	if (!l)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, argv[1], "out of memory");
	l->v = (struct cmd_volume)CMD_VOLUME_INIT;
	r = cmd_volume_path(g, argv[1], &path);
	if (r == 0)
		r = cmd_volume_open(path, &l->v);
	if (r == 0) {
		r = ask(g, l);
		if (r == 0 && g->json)
			r = list_json(l, &text);
		if (r < 0)
			r = cmd_fail(cmd_exit_of(r), path, "%s", err_text(r));
		else if (text)
			(void)puts(text);
		else
			list_text(l);
	}
	client_keys_done(&l->keys);
	cmd_volume_done(&l->v);
	return r;
}

int cmd_keys(const struct cmd_global *g, int argc, char **argv)
{
	static const char *const later[] = { "rewrap", "rotate", "prove-unused" };

	if (argc < 2)
		return cmd_usage("keys", "needs list, export or import");
	if (strcmp(argv[1], "list") == 0)
		return keys_list(g, argc - 1, argv + 1);
	if (strcmp(argv[1], "export") == 0)
		return cmd_keys_export(g, argc - 1, argv + 1);
	if (strcmp(argv[1], "import") == 0)
		return cmd_keys_import(g, argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (strcmp(argv[1], later[i]) == 0)
			return cmd_fail(EXIT_CODE_UNSUPPORTED, "keys", "%s: not in this version (coffer " PACKAGE_VERSION ")", argv[1]);
	return cmd_usage("keys", "does not understand %s", argv[1]);
}
