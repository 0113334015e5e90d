/* cmd_backup.h: what the commands of backups share (cmd_backup*.c, cmd_restore.c). */
#ifndef COFFER_TOOLS_CMD_BACKUP_H
#define COFFER_TOOLS_CMD_BACKUP_H

#include "backup/restore.h"
#include "tools/cmd.h"

#define CMD_BACKUP_THREADS 4u
#define CMD_BACKUP_ARGS_MAX 4

/* The arguments of one command. */
struct cmd_backup_args {
	const char *command;             /* "backup run" */
	const char *arg[CMD_BACKUP_ARGS_MAX];
	int n;
	struct store_conf conf;
	const char *volume;              /* --volume: a uuid or its beginning */
	uint64_t threads;                /* --parallel */
	const char *signer;              /* --signer: a public key in hexadecimal; NULL: anybody's, or none */
	bool dry_run, force, suid, dev;
	bool authentic;                  /* --authentic */
	struct pick *pick;               /* --path; NULL: all. Owned */
	bool prunes;                     /* by the store's prune-credentials=, where it has them */
	/* cmd_backup_named: */
	char *store, *tenant;            /* owned; tenant NULL: not said */
	char *source;                    /* where the volume is, or was; owned */
	char uuid[2 * UUID_LEN + 1];
	int64_t keep_daily, keep_weekly, keep_monthly; /* -1: not said */
};

/* Which options a command takes besides those of the store. */
#define CMD_BACKUP_VOLUME 1u
#define CMD_BACKUP_DRY_RUN 2u
#define CMD_BACKUP_FORCE 4u
#define CMD_BACKUP_SUID_DEV 8u
#define CMD_BACKUP_SIGNER 16u
#define CMD_BACKUP_AUTHENTIC 256u
#define CMD_BACKUP_PATHS 32u

/* 0, or an exit code after a message. name: the command's in coffer.c. */
int cmd_backup_args(struct cmd_backup_args *a, const char *name, unsigned options, int argc, char **argv) must_check;
void cmd_backup_args_done(struct cmd_backup_args *a);

/* The store of STORE or of NAME, which volumes.d has: then *ret_uri, and what a has of options is filled up from there. 0, or an exit code after a message. */
int cmd_backup_named(const struct cmd_global *g, struct cmd_backup_args *a, const char *name, const char **ret_uri) must_check;

/* The message for an error of src/backup, and its exit code: what the store says, else the reason. */
int cmd_backup_fail(const char *object, int r, const struct store_error *err);

/* A store, and in it a volume and perhaps a snapshot. */
struct cmd_backup_snapshot {
	struct store *store;
	struct repo repo;
	char name[REPO_SNAPSHOT_MAX];
	struct manifest manifest;
	uint8_t hash[RECORD_HASH_LEN];
};
int cmd_backup_store(const struct cmd_global *g, struct cmd_backup_args *a, const char *uri, struct store **ret_s) must_check;
/* cmd_backup_sealed.c: credentials=sealed:PATH: the keys of that file, by the agent. 0, or an exit code after a message. */
int cmd_backup_sealed(const struct cmd_global *g, struct cmd_backup_args *a) must_check;
/* uri: STORE or NAME. */
int cmd_backup_open(const struct cmd_global *g, struct cmd_backup_args *a, const char *uri, const char *snapshot, struct cmd_backup_snapshot *ret_s) must_check;
void cmd_backup_close(struct cmd_backup_snapshot *s);

/* Say by whom it is signed: "signed by HEX", "not signed"; -EBADMSG: the signature does not fit. */
int cmd_backup_signer(const struct manifest *m, size_t max, char *ret_text) must_check;
/* The same for a snapshot that is to be used: 0, or an exit code after a message, also when --signer wants another's signature. */
int cmd_backup_trusted(const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, size_t max, char *ret_text) must_check;

/* What a manifest says of a tag, without a key: "tagged", or why it has none. */
const char *cmd_backup_tagged(const struct manifest *m);
/* Whose key a snapshot was held against. */
struct cmd_backup_key {
	char tenant[TENANT_LEN_MAX + 1];
	char key_uri[KMS_URI_MAX + 1];   /* empty: the mount has looked, which has the key */
};
/* Is the snapshot's tag by the volume's key? Where the volume is on this host its mount says it, or, not mounted, its pin says whose key is asked for; else it is what the
 * snapshot itself says of its keys, which this host's rules must allow. *ret_ok; 0, or an exit code after a message: then it is not known. */
int cmd_backup_authentic(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, struct cmd_backup_key *ret_k, bool *ret_ok) must_check;
/* The same with the directory v of a connection that may unlock it. */
int cmd_backup_authentic_with(struct client *c, const char *path, const struct cmd_volume *v, const struct cmd_backup_snapshot *s, struct cmd_backup_key *ret_k,
			      bool *ret_ok) must_check;
/* For people: which key that is. */
const char *cmd_backup_key_by(const struct cmd_backup_key *k);
/* The message for a tag that is not by that key, or not there; EXIT_CODE_WRONG_KEY. */
int cmd_backup_not_authentic(const struct cmd_backup_snapshot *s, const struct cmd_backup_key *k);

/* SIGINT and SIGTERM are counted from here on; has one come? */
void cmd_backup_signals(void);
bool cmd_backup_stopped(void);

/* A snapshot whose signature was looked at, into a directory: an exit code after a message. ret_k: by which key single paths were found; else it stays as it is. */
int cmd_restore_snapshot(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, const char *dir,
			 struct restore_counts *ret_c, struct cmd_backup_key *ret_k) must_check;

/* Find p in the snapshot, with the volume's key, which the agent gives for the directory as long as this lasts: *ret_k; a tag must be by it. dir is what fd was opened as.
 * An exit code after a message. */
int cmd_restore_pick(const struct cmd_global *g, struct pick *p, const struct cmd_backup_snapshot *s, const char *dir, int fd, struct snapshot_spool *spool,
		     struct cmd_backup_key *ret_k) must_check;

int cmd_backup_run(const struct cmd_global *g, int argc, char **argv);
int cmd_backup_list(const struct cmd_global *g, int argc, char **argv);
int cmd_backup_show(const struct cmd_global *g, int argc, char **argv);
int cmd_backup_verify(const struct cmd_global *g, int argc, char **argv);
int cmd_backup_prune(const struct cmd_global *g, int argc, char **argv);
int cmd_backup_drill(const struct cmd_global *g, int argc, char **argv);
int cmd_backup_diff(const struct cmd_global *g, int argc, char **argv);

#endif
