/* client.h: a program's line to coffer-agent (docs/protocol.md). Links no provider code.
 *
 *	AUTO_CLIENT struct client *c = client_new(agent_path);   (NULL: the default socket)
 *
 *	r = client_connect(c);
 *	if (r >= 0)
 *		r = client_unlock(c, "mount", config, config_len, &instance, &unlocked, &root);
 *	if (r < 0) {
 *		e = client_error(c);
 *		... e->message is one clear line, e->exit_code the exit code for it
 *	}
 *	... volume_config_verify(), read coffer.state under the ring, then
 *	r = client_seen_check(&unlocked, &now);                 (-ESTALE: older than last seen, exit 23)
 *	... mount, then hand the connection over to the link that lives as long as the mount:
 *	r = client_mount_start(&c, &info, &ops, arg, &link);
 *	... after each flush of coffer.state or coffer.volume:
 *	client_mount_seen(link, &now);
 *	... client_mount_stop(link);
 *
 * A connection belongs to the process that made it: the kernel's word on the peer is compared at each message, so
 * fork before client_connect, not after. One struct client is for one thread at a time; a struct client_mount is
 * thread safe. Nothing here logs but client_mount's own thread. */
#ifndef COFFER_AGENT_CLIENT_H
#define COFFER_AGENT_CLIENT_H

#include "agent/proto.h"
#include "base/err.h"
#include "base/secret.h"
#include "format/volume_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_SOCKET_DEFAULT "/run/coffer/agent.sock"
#define CLIENT_DEADLINE_MS 60000
#define CLIENT_SYNC_DEADLINE_MS 3600000

struct client;

struct client_error {
	int r;                             /* -errno */
	enum proto_class class;            /* PROTO_CLASS_OK when the failure is on our side */
	int exit_code;                     /* enum coffer_exit */
	char message[PROTO_MESSAGE_MAX];   /* "<what failed>: <reason>[; <what to do>]", without the object */
};

/* NULL: out of memory. path is copied. */
struct client *client_new(const char *path);
/* Wipes what may be left, closes. NULL is fine. */
void client_free(struct client *c);
DEFINE_AUTO(struct client, client_free)
#define AUTO_CLIENT AUTO(client_free_p)

/* Have a backup's statement (crypt/backup_statement.h) signed by this host's backup key. */
int client_backup_sign(struct client *c, const struct proto_instance *instance, const char *statement, uint8_t ret_public[static SIGN_PUBLIC_LEN],
		       uint8_t ret_signature[static SIGN_LEN]) must_check;
/* Have it tagged by the key of the volume that is mounted there (mounter: as for client_sync), of a hold that lasted to its end (client_thaw). -ENOKEY: the mount is locked;
 * -EPERM: not allowed, or the mount was not held still for it. */
int client_backup_tag(struct client *c, const char *mountpoint, int64_t mounter, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN]) must_check;
/* Is this the tag of that statement by the key of the volume that is mounted there? The mount says it; no key is asked for. -EKEYREJECTED: it is not. */
int client_backup_check(struct client *c, const char *mountpoint, int64_t mounter, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN]) must_check;
/* Tell that a scrub, a backup or its verification has ended well, on any connection; the audit log and metrics have it then. */
int client_done(struct client *c, const struct proto_instance *instance, enum proto_done what, const char *detail) must_check;

/* Connect and say hello. -ECONNREFUSED: no agent (not there, or nobody accepts): exit code 10, and the message says how
 * to start it. -EACCES, -EPROTO, -ETIMEDOUT. */
int client_connect(struct client *c) must_check;
/* Why the last call on c failed; belongs to c. */
const struct client_error *client_error(const struct client *c);
/* What the agent said in hello. */
const char *client_agent_version(const struct client *c);
int client_agent_pid(const struct client *c);

/* init, first half: the agent makes root key and slots. kms_count 0: a fresh `local:` key. The slots are ready to go into
 * coffer.volume; ret_slots has room for SLOTS_MAX and is filled only on success. R's commitment is checked on the copy.
 * recovery: a new recovery key, whose slot comes last; or NULL. */
int client_init(struct client *c, const uint8_t uuid[static UUID_LEN], const char *tenant, const char *const *kms,
		size_t kms_count, const struct secret *recovery, struct key_slot *ret_slots, size_t *ret_slot_count, struct secret **ret_root) must_check;
/* init, second half, on the same connection, once coffer.volume is durable: pins the new instance on this host. */
int client_pin(struct client *c, const void *config, size_t config_len, const struct proto_instance *instance) must_check;

struct client_unlocked {
	char tenant[TENANT_LEN_MAX + 1];
	char key_uri[KMS_URI_MAX + 1];
	char credential[PROTO_CREDENTIAL_MAX]; /* of the agent at its key service, by name; empty: it has none, or did not say */
	struct proto_seen seen;
};

/* The root key of a pinned volume. purpose stands in the audit log: "mount", "fsck", "info", … The descriptor is mapped,
 * copied and closed, the commitment checked on the copy, the hand-over acknowledged. -EPERM denied or not pinned, -ESTALE
 * older, -ENOKEY the KMS refused, -EKEYREJECTED wrong key or changed config, … (client_error has class and exit code) */
int client_unlock(struct client *c, const char *purpose, const void *config, size_t config_len,
		  const struct proto_instance *instance, struct client_unlocked *ret_unlocked,
		  struct secret **ret_root) must_check;
/* Compare what coffer.state and coffer.volume say (now) with what the agent last saw: -ESTALE when older and not allowed. */
int client_seen_check(const struct client_unlocked *unlocked, const struct proto_seen *now) must_check;
/* Tell the agent that the check refused, for the audit log; for a client that has unlocked but not client_mount_start. */
int client_report(struct client *c, enum proto_kind kind, const char *object, const char *detail, uint64_t count) must_check;

/* Rows of the audit log about a tenant, as lines, at most a page (PROTO_STATUS_MAX): from row from_seq on and from since_ns on. *ret_next: where to go on, 0: these were the last.
 * malloc'ed, ended by NUL. */
int client_audit(struct client *c, const char *tenant, uint64_t since_ns, uint64_t from_seq, char **ret_text, size_t *ret_len, uint64_t *ret_next) must_check;

struct client_trusted {
	char tenant[TENANT_LEN_MAX + 1];
	size_t kms_count;
	char kms[SLOTS_MAX][KMS_URI_MAX + 1];
	bool known;          /* this instance had a pin already */
	bool other_instance; /* the uuid is pinned for another directory as well: this is a copy or a restore */
	struct proto_seen seen;
};

/* Pin what the config says for this instance; older: accept an older state at the next unlock. */
int client_trust(struct client *c, const void *config, size_t config_len, const struct proto_instance *instance,
		 bool older, struct client_trusted *ret_trusted) must_check;

/* The same for a directory that is nobody's yet, as long as this connection is there: a restore that is looked at and thrown away. */
int client_trust_scratch(struct client *c, const void *config, size_t config_len, const struct proto_instance *instance) must_check;

struct client_keys {
	char tenant[TENANT_LEN_MAX + 1];
	size_t kms_count;    /* what is pinned */
	char kms[SLOTS_MAX][KMS_URI_MAX + 1];
	char key_uri[KMS_URI_MAX + 1]; /* the one that opened last */
	struct proto_seen seen;
	uint8_t *config;     /* the agent's copy of coffer.volume, which it has verified; NULL: it has none */
	size_t config_len;
};

/* What the agent knows about the keys of a pinned volume; nothing of it is secret. Caller: client_keys_done. */
int client_keys(struct client *c, const struct proto_instance *instance, struct client_keys *ret_keys) must_check;
void client_keys_done(struct client_keys *k);

/* Bring a recovery key: while no other key of the volume answers, and none says no, the agent opens the volume with it for *ret_ms ms; 0: another key opens it,
 * and this one is not needed. ret_uri (KMS_URI_MAX + 1 bytes): which one does. */
int client_recover(struct client *c, const struct proto_instance *instance, const struct secret *key, char *ret_uri, uint64_t *ret_ms) must_check;

/* Seal a secret for a tenant; version 0: one above the newest that this host has sealed. The file, malloc'ed. -EEXIST: that version, or a newer one, was sealed. */
int client_seal(struct client *c, const char *tenant, const char *name, uint64_t version, const struct secret *plain, uint8_t **ret_file, size_t *ret_len,
		uint64_t *ret_version) must_check;
/* The secret of a sealed file, if it is that credential of that tenant. */
int client_unseal(struct client *c, const char *tenant, const char *name, const void *file, size_t len, struct secret **ret_plain, uint64_t *ret_version) must_check;

/* The text of `coffer status --json` (one JSON object, INTERFACE "status"); malloc'ed. */
int client_status(struct client *c, char **ret_text) must_check;
/* Wait until the mount at mountpoint has committed everything. mounter, here and below: the uid that serves it, as the caller's mountinfo says (user_id=), so
 * that nobody else answers for it; -1: not known. Exit code 14: not mounted. */
int client_sync(struct client *c, const char *mountpoint, int64_t mounter) must_check;

/* Let the mount hold still what lies below it, for at most 5 s (io/freeze.h); the end of it. -EBUSY: somebody else does, or it had ended by itself. */
int client_freeze(struct client *c, const char *mountpoint, int64_t mounter) must_check;
int client_thaw(struct client *c, const char *mountpoint, int64_t mounter) must_check;

/* An operator's lock of a tenant, or, tenant NULL, of a volume: stored, its mounts locked. ret_mounts: how many. -EBUSY: it is stored, but a mount has
 * not obeyed. */
int client_lock(struct client *c, const char *tenant, const uint8_t *uuid, const char *reason, uint64_t *ret_mounts) must_check;
/* The end of it; mounts are asked to open again, which the KMS may refuse: -EBUSY. */
int client_lock_end(struct client *c, const char *tenant, const uint8_t *uuid, uint64_t *ret_mounts) must_check;

/* --- a mount's lasting link --- */

struct client_mount;

struct client_mount_info {
	const char *volume;     /* as the user named it */
	const char *source;     /* directory of the volume */
	const char *mountpoint; /* absolute */
	bool read_only;
	struct proto_instance instance;
};

#define CLIENT_GRACE_MS 900000 /* while no agent has said otherwise */

/* Called from the link's threads, no lock held: stats from one, so that it is answered while a sync runs; lock, config and unlock from another, one after the
 * other, so that no sync holds them up; the rest from a third. NULL: answered "not supported". Return 0 or -errno. */
struct client_mount_ops {
	int (*stats)(void *arg, struct proto_stats *ret_stats); /* must not wait for I/O */
	int (*sync)(void *arg);
	/* Give up the keys. Also when the agent has been away for longer than it allowed (CLOCK_BOOTTIME). What it returns, the mount is locked then. */
	int (*lock)(void *arg, const char *reason);
	/* For an unlock: the bytes of coffer.volume as they are now, malloc'ed, at most VOLUME_CONFIG_MAX. The link asks for the key with them. */
	int (*config)(void *arg, uint8_t **ret_config, size_t *ret_len);
	/* Take the key; *root is consumed. On failure the mount stays locked. */
	int (*unlock)(void *arg, const uint8_t *config, size_t len, const struct client_unlocked *unlocked, struct secret **root);
	int (*freeze)(void *arg);
	int (*thaw)(void *arg);
	/* Tag the statement of a backup. */
	int (*backup_tag)(void *arg, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN]);
	/* Is it this one? -EKEYREJECTED. */
	int (*backup_check)(void *arg, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN]);
};

/* Register and start the threads. On success *c is taken over and NULL; on failure (no memory, no threads) it is still the caller's.
 * info and ops are copied, arg is not. When the agent goes away, or does not take us now (client_mount_linked), the link connects again (1 s, then up to 10 s)
 * for as long as it lives; after the agent's grace it has the mount locked. */
int client_mount_start(struct client **c, const struct client_mount_info *info, const struct client_mount_ops *ops,
		       void *arg, struct client_mount **ret_m) must_check;
/* Tell what is durable in the volume now. Never blocks, may be called with any lock held; only the newest is kept until sent. */
void client_mount_seen(struct client_mount *m, const struct proto_seen *now);
/* Report damage or a replay's loss. Never blocks; when too many are queued the rest is counted. */
void client_mount_report(struct client_mount *m, enum proto_kind kind, const char *object, const char *detail);
/* Is the agent there? */
bool client_mount_linked(struct client_mount *m);
/* Send what is queued (at most 2 s), leave, join the threads, free. NULL is fine. */
void client_mount_stop(struct client_mount *m);

#endif
