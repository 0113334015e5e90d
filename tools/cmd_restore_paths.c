/* cmd_restore_paths.c: restore --path: which entries of a snapshot are meant, which the volume's key alone can tell.
 *
 * The key comes from the agent, like every key, and the agent gives it for directories that it knows. So the directory that is restored into is made known to it as scratch
 * (docs/protocol.md, trust): its pin goes with the connection that is kept here, before the first file is fetched. What the snapshot says of tenant and key URI is the
 * agent's to judge, by its policy; that the key fits it the MAC of coffer.volume shows. */
#include "tools/cmd_backup.h"

#include <stdio.h>
#include <string.h>

static int config(const struct cmd_backup_snapshot *s, const struct pick *p, const char *dir, int fd, struct cmd_volume *v)
{
	struct store_error err = { 0 };
	int r;

	r = pick_config(p, &s->repo, &v->config, &v->config_len, &err);
	if (r < 0)
		return cmd_backup_fail(s->name, r, &err);
	r = cmd_volume_parse(s->name, v);
	if (r != 0)
		return r;
	if (memcmp(v->parsed->uuid, s->repo.uuid, UUID_LEN) != 0)
		return cmd_fail(EXIT_CODE_DAMAGE, s->name, "its %s is another volume's", NAME_VOLUME);
	r = cmd_instance(fd, v->parsed->uuid, &v->instance);
	return r < 0 ? cmd_fail(cmd_exit_of(r), dir, "cannot be identified: %s", err_text(r)) : 0;
}

/* *ret_c keeps the pin. */
static int trust(const struct cmd_global *g, const char *dir, const struct cmd_volume *v, struct client **ret_c)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);

	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, dir, "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (client_trust_scratch(c, v->config, v->config_len, &v->instance) < 0 && client_error(c)->class != PROTO_CLASS_EXISTS)
		return cmd_agent_fail(c, dir); /* (EXISTS: somebody trusts it already) */
	*ret_c = take_ptr(c);
	return 0;
}

static int bad_path(const struct pick *p, const char *snapshot, int r)
{
	AUTO_FREE char *path = cmd_printable(pick_bad(p) ? pick_bad(p) : "");

	if (r == -ENOENT)
		return cmd_fail(EXIT_CODE_NOT_FOUND, path ? path : "--path", "not in snapshot %s", snapshot);
	if (r == -ENOTDIR)
		return cmd_fail(EXIT_CODE_NOT_FOUND, path ? path : "--path", "not in snapshot %s: it leads through something that is no directory there; symbolic links are not followed",
				snapshot);
	return cmd_fail(EXIT_CODE_DAMAGE, path ? path : "--path", "a directory on the way has lost its id in snapshot %s", snapshot);
}

/* A tag by another key: names and content may be put together by somebody who has not this one. */
static int look_at_tag(const struct cmd_backup_snapshot *s, const struct secret *root, const struct cmd_backup_key *k)
{
	int r = manifest_check_tag(&s->manifest, root);

	if (r == -EBADMSG)
		return cmd_backup_not_authentic(s, k);
	return r < 0 && r != -ENOENT ? cmd_fail(cmd_exit_of(r), s->name, "the tag cannot be looked at: %s", err_text(r)) : 0;
}

static int resolve(const struct cmd_global *g, const struct cmd_backup_snapshot *s, struct pick *p, const char *dir, int fd, struct cmd_backup_key *ret_k)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLIENT struct client *pin = NULL, *c = NULL;
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_SECRET struct secret *root = NULL;
	struct client_unlocked un;
	int r;

	r = config(s, p, dir, fd, &v);
	if (r == 0)
		r = trust(g, dir, &v, &pin);
	if (r == 0)
		r = cmd_unlock(g, dir, "restore", &v, &c, &un, &root);
	if (r != 0)
		return r;
	memcpy(ret_k->tenant, un.tenant, sizeof(ret_k->tenant));
	memcpy(ret_k->key_uri, un.key_uri, sizeof(ret_k->key_uri));
	r = look_at_tag(s, root, ret_k);
	if (r != 0)
		return r;
	r = volume_config_verify(v.config, v.config_len, v.parsed, root, &ring);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), s->name, "wrong key, or its %s was changed", NAME_VOLUME);
	r = pick_resolve(p, key_ring_names(ring), key_ring_names_epoch(ring));
	if (r == -ENOMEM)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, dir, "out of memory");
	return r < 0 ? bad_path(p, s->name, r) : 0;
}

int cmd_restore_pick(const struct cmd_global *g, struct pick *p, const struct cmd_backup_snapshot *s, const char *dir, int fd, struct snapshot_spool *spool,
		     struct cmd_backup_key *ret_k)
{
	struct store_error err = { 0 };
	int r;

	r = pick_survey(p, &s->repo, &s->manifest, spool, &err);
	if (r < 0)
		return cmd_backup_fail(s->name, r, &err);
	r = resolve(g, s, p, dir, fd, ret_k);
	if (r != 0)
		return r;
	r = pick_find(p, &s->repo, &s->manifest, spool, &err);
	if (r < 0 && pick_bad(p))
		return bad_path(p, s->name, r);
	return r < 0 ? cmd_backup_fail(s->name, r, &err) : 0;
}
