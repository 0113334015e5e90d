/* cmd_backup_authentic.c: is a snapshot by somebody who had the volume's key? (docs/backup.md section 2, "Tag".)
 *
 * Where the volume is mounted its mount has the key and says yes or no, to whom may administer it. Else the key is the root key, by an unlock like any other: policy, pin,
 * key service, a row of the audit log. Where the volume's own directory is on this host, its pin says which key that must be. Elsewhere the snapshot's coffer.volume says it, and that is anybody's word until the rules of this host (kms= of its tenant) or the person who
 * reads the line have looked at it: so tenant and key are always named. */
#include "tools/cmd_backup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fileio.h"

#define SCRATCH "/var/tmp/coffer-verify-XXXXXX"

const char *cmd_backup_tagged(const struct manifest *m)
{
	if (m->has_tag)
		return "tagged";
	return strcmp(m->way, "unmounted") == 0 ? "no tag: it was not mounted" : "no tag, though it was mounted";
}

const char *cmd_backup_key_by(const struct cmd_backup_key *k)
{
	return k->key_uri[0] ? k->key_uri : "as its mount has it";
}

int cmd_backup_not_authentic(const struct cmd_backup_snapshot *s, const struct cmd_backup_key *k)
{
	if (!s->manifest.has_tag)
		return cmd_fail(EXIT_CODE_WRONG_KEY, s->name, "not authentic: it has %s; of such a one nobody can say that it is not somebody else's",
				cmd_backup_tagged(&s->manifest));
	return cmd_fail(EXIT_CODE_WRONG_KEY, s->name, "NOT authentic: its tag is not by the key of tenant %s (%s); who put it there had not that key", k->tenant, cmd_backup_key_by(k));
}

int cmd_backup_authentic_with(struct client *c, const char *path, const struct cmd_volume *v, const struct cmd_backup_snapshot *s, struct cmd_backup_key *ret_k,
			      bool *ret_ok)
{
	AUTO_SECRET struct secret *root = NULL;
	struct client_unlocked u;
	int r;

	if (client_unlock(c, "backup-verify", v->config, v->config_len, &v->instance, &u, &root) < 0)
		return cmd_agent_fail(c, path);
	r = manifest_check_tag(&s->manifest, root);
	if (r < 0 && r != -EBADMSG && r != -ENOENT)
		return cmd_fail(cmd_exit_of(r), path, "the tag cannot be looked at: %s", err_text(r));
	memcpy(ret_k->tenant, u.tenant, sizeof(ret_k->tenant));
	memcpy(ret_k->key_uri, u.key_uri, sizeof(ret_k->key_uri));
	*ret_ok = r == 0;
	return 0;
}

/* The volume's directory as volumes.d has it: 0 and *ret_here, or an exit code. */
static int open_source(const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, struct cmd_volume *v, bool *ret_here)
{
	char file[PATH_MAX];
	int r;

	if (!a->source || snprintf(file, sizeof(file), "%s/%s", a->source, NAME_VOLUME) >= (int)sizeof(file) || access(file, F_OK) < 0)
		return 0; /* it is lost, or never was here */
	r = cmd_volume_open(a->source, v);
	*ret_here = r == 0 && memcmp(v->parsed->uuid, s->repo.uuid, UUID_LEN) == 0;
	return r;
}

/* 1: there is no mount that could say it. */
static int by_mount(struct client *c, const struct cmd_backup_args *a, const struct cmd_volume *v, const struct cmd_backup_snapshot *s, struct cmd_backup_key *ret_k,
		    bool *ret_ok)
{
	AUTO_FREE char *source = realpath(a->source, NULL), *mountpoint = source ? cmd_mountpoint_of_source(source) : NULL;
	char text[MANIFEST_STATEMENT_MAX];
	int r;

	if (!mountpoint)
		return 1;
	if (manifest_statement(&s->manifest, text) < 0)
		return cmd_fail(EXIT_CODE_DAMAGE, s->name, "the manifest is malformed");
	r = client_backup_check(c, mountpoint, cmd_mounter(mountpoint), text, s->manifest.tag);
	if (r == -ENOTCONN || r == -EOPNOTSUPP) /* of an agent that it has not found again, or of before there were tags */
		return 1;
	if (r < 0 && r != -EKEYREJECTED)
		return cmd_agent_fail(c, mountpoint);
	memcpy(ret_k->tenant, v->parsed->tenant, sizeof(ret_k->tenant));
	*ret_ok = r == 0;
	return 0;
}

static int write_config(const struct cmd_backup_snapshot *s, const char *dir)
{
	AUTO_CLOSE int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE uint8_t *p = NULL;
	struct store_error err;
	size_t len;
	int r;

	r = snapshot_config(&s->repo, &s->manifest, &p, &len, &err);
	if (r < 0)
		return cmd_backup_fail(s->name, r, &err);
	r = dirfd < 0 ? -EIO : fileio_replace_at(dirfd, NAME_VOLUME, p, len, 0600);
	return r < 0 ? cmd_fail(cmd_exit_of(r), dir, "cannot be written: %s", err_text(r)) : 0;
}

/* Trusted as long as the connection is there. */
static int open_scratch(const struct cmd_backup_snapshot *s, const char *dir, struct client *c, struct cmd_volume *v)
{
	int r;

	r = write_config(s, dir);
	if (r == 0)
		r = cmd_volume_open(dir, v);
	if (r == 0 && memcmp(v->parsed->uuid, s->repo.uuid, UUID_LEN) != 0)
		r = cmd_fail(EXIT_CODE_DAMAGE, s->name, "its %s is another volume's", NAME_VOLUME);
	if (r != 0)
		return r;
	return client_trust_scratch(c, v->config, v->config_len, &v->instance) < 0 ? cmd_agent_fail(c, s->name) : 0;
}

static int by_scratch(struct client *c, const struct cmd_backup_snapshot *s, struct cmd_backup_key *ret_k, bool *ret_ok)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	char dir[] = SCRATCH, file[sizeof(SCRATCH) + sizeof(NAME_VOLUME)];
	int r;

	if (!mkdtemp(dir))
		return cmd_fail(cmd_exit_of(-errno), dir, "no scratch directory: %s", err_text(-errno));
	r = open_scratch(s, dir, c, &v);
	if (r == 0)
		r = cmd_backup_authentic_with(c, s->name, &v, s, ret_k, ret_ok);
	(void)snprintf(file, sizeof(file), "%s/%s", dir, NAME_VOLUME);
	if ((unlink(file) < 0 && errno != ENOENT) || rmdir(dir) < 0)
		return cmd_fail(EXIT_CODE_OTHER, dir, "is left behind: %s", err_text(-errno));
	return r;
}

int cmd_backup_authentic(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, struct cmd_backup_key *ret_k, bool *ret_ok)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	bool here = false;
	int r;

	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->name, "out of memory");
	r = open_source(a, s, &v, &here);
	if (r != 0)
		return r;
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (!here)
		return by_scratch(c, s, ret_k, ret_ok);
	r = by_mount(c, a, &v, s, ret_k, ret_ok);
	return r == 1 ? cmd_backup_authentic_with(c, a->source, &v, s, ret_k, ret_ok) : r;
}
