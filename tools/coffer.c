/* coffer.c: the command coffer(1): global options and the one table of commands. */
#include "tools/cmd.h"

#include "base/env.h"
#include "base/log.h"
#include "crypt/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct cmd commands[] = {
	{ "init", cmd_init, "VOLUME --tenant NAME [--kms URI]... [--recovery-key FILE] [--log-size MiB] [--unsafe-backing]", "make a volume in an empty directory" },
	{ "mount", cmd_mount, "VOLUME MOUNTPOINT [-o OPTIONS] [--foreground]", "mount a volume" },
	{ "umount", cmd_umount, "MOUNTPOINT|NAME", "unmount; returns when all is durable and the volume is free" },
	{ "restart", cmd_restart, "MOUNTPOINT|NAME", "let a mount go on in the program that is installed now, with all that is open in it" },
	{ "sync", cmd_sync, "MOUNTPOINT", "wait until everything handed over is committed" },
	{ "status", cmd_status, "", "mounts of this host" },
	{ "top", cmd_top, "[--interval SECONDS] [--count N]", "what the mounts of this host are doing, now and again" },
	{ "lock", cmd_lock_set, "VOLUME|--tenant T [--reason TEXT]", "take the keys from its mounts and refuse them until unlock" },
	{ "unlock", cmd_lock_end, "VOLUME|--tenant T | VOLUME --recovery-key FILE",
	  "undo lock; a key that its KMS refuses stays refused. Or open with a recovery key while no KMS answers" },
	{ "keys", cmd_keys, "list VOLUME | export VOLUME [FILE] [--uuid UUID] | import VOLUME [FILE]",
	  "the keys of a volume; a copy of coffer.volume from the agent, and back into a volume that lost it" },
	{ "drill", cmd_drill, "VOLUME [--revoke COMMAND --restore COMMAND] [--wait SECONDS]", "lock a scratch volume at work, and measure how long that takes" },
	{ "seal", cmd_seal, "--tenant T --name N [--version V] <SECRET >FILE", "encrypt a credential for a tenant" },
	{ "unseal", cmd_unseal, "--tenant T --name N <FILE >SECRET", "and decrypt it, where policy allows" },
	{ "info", cmd_info, "VOLUME", "what a volume says about itself, without its key" },
	{ "fsck", cmd_fsck, "VOLUME [--repair] [--accept-log-loss]", "verify, or mend, every name, group and block of an unmounted volume" },
	{ "scrub", cmd_scrub, "VOLUME|MOUNTPOINT", "verify the checksums of a volume, mounted or not, without its key" },
	{ "inspect", cmd_inspect, "FILE [--blocks]", "header and group fields of a backing file, without the key" },
	{ "path", cmd_path, "MOUNTPOINT/FILE | BACKING-FILE", "the backing name of a clear one, and back" },
	{ "audit", cmd_audit, "verify|show|report [FILE|DIR]... [--anchors FILE] [--host ID] [--since T] [--tenant NAME] [--html FILE]",
	  "verify, print or sum up the agent's audit log, without the agent" },
	{ "bench", cmd_bench, "[DIR]", "rates of the cryptography here, and of a directory" },
	{ "backup", cmd_backup, "run VOLUME [STORE] [--dry-run] [--force] | list STORE | show STORE [SNAPSHOT] | verify STORE [SNAPSHOT] [--signer KEY] [--authentic] | diff STORE SNAPSHOT [SNAPSHOT] | prune STORE --keep-daily N ... [--dry-run] | drill STORE [SNAPSHOT] [--check COMMAND] [--scratch DIR] [--signer KEY]",
	  "copy a volume's ciphertext into a store (file:///DIR), without its key; look at what is there" },
	{ "restore", cmd_restore, "STORE SNAPSHOT|latest DIR [--path P]... [--suid] [--dev] [--signer KEY]", "a snapshot, or some paths of it, back into a new directory" },
	{ "doctor", cmd_doctor, "[VOLUME|MOUNTPOINT] [--workload sqlite|postgres|duckdb|clickhouse|lucene]", "check this host and a volume, and say what to do" },
	{ "policy", cmd_policy, "aws|gcp|azure|vault|s3|r2|gcs --tenant T [--host] [--trust ARN] [--backup | --prune] [--config DIR]", "print the least that this host needs at a key service or store" },
	{ "trust", cmd_trust, "VOLUME [--older]", "pin a volume on this host; accept one older than last seen" },
};

/* Names that INTERFACE pins and that this version does not have yet. */
static const char *const later[] = { "rekey", "shred", "adopt", "export", NULL };

static void usage(FILE *to)
{
	(void)fputs("usage: coffer [--json] [--quiet] [--agent PATH] COMMAND ...\n\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		(void)fprintf(to, "  coffer %s %s\n      %s\n", commands[i].name, commands[i].args, commands[i].summary);
	(void)fputs("\nVOLUME is a path if it contains a slash, else a name of " CMD_CONFIG_DIR "/volumes.d. See coffer(1).\n", to);
}

int cmd_fail(enum coffer_exit code, const char *object, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "coffer: %s: ", object);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return (int)code;
}

int cmd_usage(const char *name, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "coffer: %s: ", name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			(void)fprintf(stderr, "usage: coffer %s %s\n", name, commands[i].args);
	return EXIT_CODE_USAGE;
}

static int run(const struct cmd_global *g, int argc, char **argv)
{
	int r;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, argv[0]) == 0) {
			r = commands[i].run == cmd_mount || commands[i].run == cmd_doctor ? 0 : cmd_lock_heap(); /* mount forks first, doctor tells */
			return r ? r : commands[i].run(g, argc, argv);
		}
	for (size_t i = 0; later[i]; i++)
		if (strcmp(later[i], argv[0]) == 0)
			return cmd_fail(EXIT_CODE_UNSUPPORTED, argv[0], "not in this version (coffer " PACKAGE_VERSION ")");
	(void)cmd_fail(EXIT_CODE_USAGE, argv[0], "no such command; see coffer --help");
	return EXIT_CODE_USAGE;
}

static int start_process(void)
{
	int r;

	log_set_ident("coffer");
	log_set_level(LOG_LEVEL_WARNING);
	r = secret_harden_process();
	if (r < 0)
		return cmd_fail(EXIT_CODE_OTHER, "process", "cannot be protected from dumps: %s", err_text(r));
	return 0;
}

int cmd_lock_heap(void)
{
	int r;

	r = keys_openssl_heap_init();
	if (r < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "memory", "cannot be locked for keys: %s; raise the limit of locked memory "
				"(ulimit -l)", err_text(r));
	return 0;
}

/* Global options may stand before the command. Returns the index of the command, or -(exit code) - 1. */
static int globals(struct cmd_global *g, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			g->json = true;
		} else if (strcmp(argv[i], "--quiet") == 0) {
			g->quiet = true;
		} else if (strcmp(argv[i], "--agent") == 0 && i + 1 < argc) {
			g->agent = argv[++i];
		} else if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return -EXIT_CODE_OK - 1;
		} else if (strcmp(argv[i], "--version") == 0) {
			(void)puts("coffer " PACKAGE_VERSION);
			return -EXIT_CODE_OK - 1;
		} else {
			return -cmd_fail(EXIT_CODE_USAGE, argv[i], "no such option; see coffer --help") - 1;
		}
	}
	return i;
}

/* --json and --quiet may also stand behind the command, as people type them. */
static int behind(struct cmd_global *g, int argc, char **argv)
{
	int n = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			g->json = true;
		else if (strcmp(argv[i], "--quiet") == 0)
			g->quiet = true;
		else if (strcmp(argv[i], "--agent") == 0 && i + 1 < argc)
			g->agent = argv[++i];
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

int main(int argc, char **argv)
{
	struct cmd_global g = { .agent = env_get(ENV_COFFER_AGENT), .config = CMD_CONFIG_DIR };
	const char *base = strrchr(argv[0] ? argv[0] : "coffer", '/');
	int i, r;

	base = base ? base + 1 : argv[0];
	r = start_process();
	if (r != 0)
		return r;
	if (base && (strcmp(base, "mount.coffer") == 0 || strcmp(base, "mount.fuse.coffer") == 0))
		return cmd_mount_helper(false, argc, argv);
	if (base && (strcmp(base, "umount.coffer") == 0 || strcmp(base, "umount.fuse.coffer") == 0))
		return cmd_umount_helper(argc, argv);
	if (argc > 3 && strchr(argv[1], '/') && strcmp(argv[3], "-o") == 0) /* mount.fuse3 SPEC DIR -o OPTIONS: no command has a slash */
		return cmd_mount_helper(true, argc, argv);
	i = globals(&g, argc, argv);
	if (i < 0)
		return -i - 1;
	if (i == argc) {
		usage(stderr);
		return EXIT_CODE_USAGE;
	}
	if (argc > i + 1 && strcmp(argv[i + 1], "--help") == 0) {
		usage(stdout);
		return EXIT_CODE_OK;
	}
	argc = behind(&g, argc - i, argv + i);
	return run(&g, argc, argv + i);
}
