/* mount_link.c: what the agent asks of a mount: numbers, a sync, to hold still, to give up its keys and to take them again. Called from the threads of the link
 * (agent/client.h), while the mount is served. The roof carries the secret from one tower to the other. */
#include "tools/mount_link.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "fs/backing.h"

#include <stdio.h>
#include <string.h>

static int on_stats(void *arg, struct proto_stats *ret_s)
{
	struct mounting *m = arg;
	struct volume_stats v;
	struct proto_stats s = { 0 };

	volume_stats(m->volume, &v);
	s.locked = volume_is_locked(m->volume);
	(void)snprintf(s.state, sizeof(s.state), "%s", v.io.read_only && !m->o.read_only ? "failed" :
		       ops_is_locked(m->ops) && !s.locked ? "draining" : "ready");
	s.read_only = v.io.read_only;
	if (text_time(m->since, sizeof(s.since), s.since) < 0)
		return -EINVAL;
	s.log_size_bytes = v.io.log_size_bytes;
	s.log_used_bytes = v.io.log_used_bytes;
	if (v.io.last_commit_ms)
		s.last_commit_age_ms = clock_boot_ms() - v.io.last_commit_ms;
	s.dirty_bytes = v.io.dirty_bytes;
	s.read_bytes = v.io.read_bytes;
	s.write_bytes = v.io.write_bytes;
	s.replayed_transactions = v.io.replayed_transactions;
	for (unsigned k = 0; k < METER_KINDS; k++)
		s.integrity_failures += s.detail.integrity[k] = v.integrity[k];
	s.detail.commits = v.io.commits;
	s.detail.reserve_whole = v.io.reserve_whole;
	s.detail.commit = v.io.commit;
	s.detail.checkpoint = v.io.checkpoint;
	ops_times(m->ops, s.detail.ops);
	*ret_s = s;
	return 0;
}

static int on_sync(void *arg)
{
	struct mounting *m = arg;

	return ops_sync(m->ops);
}

static int on_lock(void *arg, const char *reason)
{
	struct mounting *m = arg;
	int r;

	log_warning("%s: locking: %s", m->mountpoint, reason);
	r = ops_lock(m->ops);
	if (r == 0) {
		log_warning("%s: locked: %s", m->mountpoint, reason);
		mounting_tell("locked", reason);
	}
	return r;
}

/* What lies there may be another volume by now. */
static int on_config(void *arg, uint8_t **ret_config, size_t *ret_len)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	struct mounting *m = arg;

	if (cmd_volume_open(m->path, &v) != 0)
		return -EIO;
	if (memcmp(v.instance.uuid, m->instance.uuid, UUID_LEN) != 0 || v.instance.fsid != m->instance.fsid ||
	    v.instance.handle_len != m->instance.handle_len || memcmp(v.instance.handle, m->instance.handle, v.instance.handle_len) != 0) {
		log_err("%s: another directory than the one that is mounted", m->path);
		return -ESTALE;
	}
	m->seen.config_version = v.parsed->config_version;
	*ret_config = take_ptr(v.config);
	*ret_len = v.config_len;
	return 0;
}

static int on_unlock(void *arg, const uint8_t *config, size_t len, const struct client_unlocked *unlocked, struct secret **root)
{
	struct mounting *m = arg;
	int r;

	if (m->seen.config_version < unlocked->seen.config_version && !unlocked->seen.older_ok) {
		log_err("%s: " NAME_VOLUME " is older than this host has seen", m->path);
		r = -ESTALE;
	} else {
		r = ops_unlock(m->ops, config, len, root);
	}
	secret_free(take_ptr(*root));
	if (r == 0) {
		log_info("%s: unlocked", m->mountpoint);
		mounting_tell("serving", m->mountpoint);
	}
	else {
		log_err("%s: stays locked: %s", m->mountpoint, err_text(r));
	}
	return r;
}

static int on_freeze(void *arg)
{
	struct mounting *m = arg;

	return volume_freeze(m->volume);
}

static int on_thaw(void *arg)
{
	struct mounting *m = arg;
	int r = volume_thaw(m->volume);

	return r == -ETIMEDOUT ? -EBUSY : r; /* the class that says so */
}

static int on_backup_tag(void *arg, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN])
{
	struct mounting *m = arg;

	return volume_backup_tag(m->volume, statement, ret_tag);
}

static int on_backup_check(void *arg, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN])
{
	struct mounting *m = arg;

	return volume_backup_check(m->volume, statement, tag);
}

const struct client_mount_ops mount_link_ops = {
	.stats = on_stats, .sync = on_sync, .lock = on_lock, .config = on_config, .unlock = on_unlock, .freeze = on_freeze, .thaw = on_thaw,
	.backup_tag = on_backup_tag, .backup_check = on_backup_check,
};
