/* cmd.h: what the commands of coffer(1) share. One file a family; coffer.c has the table. */
#ifndef COFFER_TOOLS_CMD_H
#define COFFER_TOOLS_CMD_H

#include "agent/client.h"
#include "base/err.h"
#include "base/volume_conf.h"
#include "fs/backing.h"
#include "fs/volume.h"

#include <stdbool.h>

#define CMD_CONFIG_DIR "/etc/coffer"

struct cmd_global {
	bool json, quiet;
	const char *agent;       /* socket path; NULL: the default */
	const char *config;      /* configuration directory */
};

struct cmd {
	const char *name;
	int (*run)(const struct cmd_global *g, int argc, char **argv); /* argv[0] is the name; returns an exit code */
	const char *args;
	const char *summary;
};

/* "coffer: OBJECT: WHAT" on standard error; returns code. WHAT reads "<what failed>: <reason>[; <what to do>]". */
int cmd_fail(enum coffer_exit code, const char *object, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Wrong use of the command: the message and its usage line; EXIT_CODE_USAGE. */
int cmd_usage(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The exit code of a -errno that volume_* or the lower layer gave. */
enum coffer_exit cmd_exit_of(int r);
/* What the agent's client said about its last failure. */
int cmd_agent_fail(const struct client *c, const char *object);

/* OpenSSL's heap into locked memory, before its first use and behind any fork (locks are not inherited); 0, or an exit code after a message. */
int cmd_lock_heap(void) must_check;

/* As many descriptors as this process may have, before a volume is opened: too few would stop it half-way. 0, or an exit code after a message. */
int cmd_descriptors(const char *object) must_check;

/* The file volumes.d/NAME.conf. 0, or an exit code after a message. */
int cmd_volume_conf(const struct cmd_global *g, const char *name, struct volume_conf *ret_c) must_check;
/* Where a VOLUME is: a path if it holds a slash (ret_c is then empty), else source= of volumes.d/NAME.conf. A volume there that is not the one of uuid= and
 * tenant= is refused. malloc'ed path; 0, or an exit code after a message. */
int cmd_volume_find(const struct cmd_global *g, const char *volume, struct volume_conf *ret_c, char **ret_path) must_check;
/* The path alone. */
int cmd_volume_path(const struct cmd_global *g, const char *volume, char **ret_path) must_check;

/* A volume directory that was opened, with the bytes of its coffer.volume and who it is. */
struct cmd_volume {
	int root_fd;
	uint8_t *config;
	size_t config_len;
	struct volume_config *parsed;
	struct proto_instance instance;
};

#define CMD_VOLUME_INIT { .root_fd = -1 }
void cmd_volume_done(struct cmd_volume *v);
#define AUTO_CMD_VOLUME __attribute__((cleanup(cmd_volume_done)))
/* 0, or an exit code after a message. */
int cmd_volume_open(const char *path, struct cmd_volume *ret_v) must_check;
/* The same of the bytes of a coffer.volume, v->config, that came from elsewhere: v->parsed. */
int cmd_volume_parse(const char *path, struct cmd_volume *v) must_check;
/* The instance of an open volume directory. -errno. */
int cmd_instance(int root_fd, const uint8_t uuid[static UUID_LEN], struct proto_instance *ret_i) must_check;
/* What cmd_keys.c gives to cmd_keys_copy.c. */
int cmd_keys_export(const struct cmd_global *g, int argc, char **argv) must_check;
int cmd_keys_import(const struct cmd_global *g, int argc, char **argv) must_check;
/* init's recovery key: file is made at once, so that one that is there is refused before anything else is made; it is written and durable before the
 * volume is one; it goes with an init that fails. Exit codes after a message. */
struct cmd_recovery {
	const char *file;        /* NULL: none is wanted */
	int fd;                  /* -1: not begun */
	struct secret *key;
};
int cmd_recovery_begin(struct cmd_recovery *r) must_check;
int cmd_recovery_write(struct cmd_recovery *r, const char *volume, const struct volume_config *c) must_check;
void cmd_recovery_end(struct cmd_recovery *r, bool keep);
/* unlock --recovery-key. */
int cmd_recovery_bring(const struct cmd_global *g, const char *volume, const char *file) must_check;
/* Make the name of path durable: fsync of the directory it is in. -errno. */
int cmd_dir_sync(const char *path) must_check;
/* Keep writers out of a volume: *ret_lock holds coffer.lock, or stays as it is when there is none yet; or find the mount that has it, *ret_mountpoint (malloc'ed). name: for
 * messages; source: its realpath. 0, or an exit code after a message. */
int cmd_claim(const char *name, const char *source, int root_fd, int *ret_lock, char **ret_mountpoint) must_check;
/* Connect and unlock; 0, or an exit code after a message. */
int cmd_unlock(const struct cmd_global *g, const char *path, const char *purpose, const struct cmd_volume *v, struct client **ret_c,
	       struct client_unlocked *ret_u, struct secret **ret_root) must_check;
/* Tell the agent, if there is one, that this was done with a volume (client.h); that it cannot be told is a warning. */
void cmd_done(const struct cmd_global *g, const char *name, const struct proto_instance *instance, enum proto_done what, const char *detail);
/* The same of a volume that this host may or may not have. */
void cmd_done_uuid(const struct cmd_global *g, const char *name, const uint8_t uuid[static UUID_LEN], enum proto_done what, const char *detail);
#define CMD_WHY_MAX 512
/* The message for a failed volume_open or volume_create behind log_hold(): the first error logged is the reason. */
int cmd_open_fail(const char *path, int r, const char *holder);

/* realpath of the parent only: the mount itself may be dead, and is not touched. malloc'ed; NULL: there is no such parent. */
char *cmd_absolute(const char *dir);
/* Source directory of the coffer mount that is on top at this absolute path, and a mount point of a source: malloc'ed, NULL if there is none. Never touches
 * a mount. */
char *cmd_mount_source(const char *mountpoint);
char *cmd_mountpoint_of_source(const char *source);
/* The uid that serves the coffer mount on top at this absolute path; -1: it cannot be known. */
int64_t cmd_mounter(const char *mountpoint);
/* The mount at a path, or of a name of volumes.d: both malloc'ed. 0, or an exit code after a message. */
int cmd_mount_find(const struct cmd_global *g, const char *name, char **ret_dir, char **ret_source) must_check;
/* Who has a volume, by its coffer.lock. */
struct cmd_holder {
	int fd;                         /* coffer.lock; -1: there is none. The caller closes */
	bool writes;                    /* somebody who may write holds it: he will leave his verdict */
	char text[BACKING_LOCK_MAX];    /* what it said when it was opened */
};
/* -errno. */
int cmd_holder_open(const char *source, struct cmd_holder *ret_h) must_check;
/* What it says now (BACKING_LOCK_MAX bytes), and who holds it: F_UNLCK, F_RDLCK, F_WRLCK. -errno. */
int cmd_holder_read(const struct cmd_holder *h, short *ret_type, char *ret_text) must_check;
/* Unmount what cmd_mount_source() said is at dir; name is for messages. Returns when all is durable and the volume is free. flags: 0;
 * MNT_DETACH: returns when it has disappeared; MNT_FORCE: ends the connection first, and what the kernel held is lost. 0, or an exit code after a message. */
int cmd_unmount(const char *name, const char *dir, const char *source, int flags) must_check;
/* The coffer mount point that an absolute path is in, malloc'ed, and what is behind it in path; NULL: none. */
char *cmd_mount_above(const char *path, const char **ret_rest);

/* Text from outside for a line or a JSON string (base/text.h); malloc'ed, NULL: out of memory. */
char *cmd_printable(const char *text);

/* The directory for a new volume, made if it is not there (*ret_made), and empty: what an unfinished init left is removed. 0, or an exit code after a
 * message. *ret_fd keeps a lock on it. */
int cmd_init_dir(const struct cmd_global *g, const char *path, int *ret_fd, bool *ret_made) must_check;

int cmd_audit(const struct cmd_global *g, int argc, char **argv);
int cmd_bench(const struct cmd_global *g, int argc, char **argv);
int cmd_drill(const struct cmd_global *g, int argc, char **argv);
int cmd_init(const struct cmd_global *g, int argc, char **argv);
int cmd_keys(const struct cmd_global *g, int argc, char **argv);
int cmd_mount(const struct cmd_global *g, int argc, char **argv);
int cmd_lock_set(const struct cmd_global *g, int argc, char **argv);
int cmd_lock_end(const struct cmd_global *g, int argc, char **argv);
int cmd_umount(const struct cmd_global *g, int argc, char **argv);
int cmd_restart(const struct cmd_global *g, int argc, char **argv);
int cmd_sync(const struct cmd_global *g, int argc, char **argv);
int cmd_status(const struct cmd_global *g, int argc, char **argv);
int cmd_info(const struct cmd_global *g, int argc, char **argv);
int cmd_fsck(const struct cmd_global *g, int argc, char **argv);
int cmd_inspect(const struct cmd_global *g, int argc, char **argv);
int cmd_path(const struct cmd_global *g, int argc, char **argv);
int cmd_seal(const struct cmd_global *g, int argc, char **argv);
int cmd_unseal(const struct cmd_global *g, int argc, char **argv);
int cmd_policy(const struct cmd_global *g, int argc, char **argv);
int cmd_scrub(const struct cmd_global *g, int argc, char **argv);
int cmd_top(const struct cmd_global *g, int argc, char **argv);
int cmd_backup(const struct cmd_global *g, int argc, char **argv);
int cmd_restore(const struct cmd_global *g, int argc, char **argv);
int cmd_doctor(const struct cmd_global *g, int argc, char **argv);
int cmd_trust(const struct cmd_global *g, int argc, char **argv);
/* mount.coffer(8): mount(8)'s calling rules and exit bits. by_fuse: called by mount.fuse3, as "coffer SPEC DIR -o OPTIONS". */
int cmd_mount_helper(bool by_fuse, int argc, char **argv);
/* The same for umount(8), with umount's. */
int cmd_umount_helper(int argc, char **argv);

#endif
