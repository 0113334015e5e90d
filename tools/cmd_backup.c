/* cmd_backup.c: backup: the table of its commands, and what they share: options, the store, failures, signals. */
#include "tools/cmd_backup.h"

#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(const struct cmd_global *g, int argc, char **argv);
} commands[] = {
	{ "run", cmd_backup_run },       { "list", cmd_backup_list }, { "show", cmd_backup_show },
	{ "verify", cmd_backup_verify }, { "diff", cmd_backup_diff },
	{ "prune", cmd_backup_prune },   { "drill", cmd_backup_drill },
};

int cmd_backup(const struct cmd_global *g, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(g, argc - 1, argv + 1);
	return cmd_usage("backup", argc > 1 ? "%s: no such command" : "needs one of its commands", argc > 1 ? argv[1] : "");
}

/* ---- options */

static int store_option(struct cmd_backup_args *a, const char *name, const char *option, const char *value)
{
	static const char *const keys[] = { "endpoint", "region", "credentials", "ca-file", "proxy", "object-lock", "limit-upload", "limit-download", NULL };
	int r;

	for (size_t i = 0; keys[i]; i++) {
		if (strcmp(option + 2, keys[i]) != 0)
			continue;
		if (!value)
			return cmd_usage(name, "%s: needs a value", option);
		r = store_conf_set(&a->conf, keys[i], value);
		return r < 0 ? cmd_usage(name, "%s %s: not a value for it", option, value) : -1;
	}
	return 0;
}

static int parse_threads(const char *text, uint64_t *ret_n)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || n < 1 || n > 32)
		return -EINVAL;
	*ret_n = n;
	return 0;
}

static int add_path(struct cmd_backup_args *a, const char *name, const char *path)
{
	int r = a->pick ? 0 : pick_new(&a->pick);

	if (r == 0)
		r = pick_add(a->pick, path);
	if (r == -EINVAL)
		return cmd_usage(name, "--path %s: has `..` in it", path);
	if (r == -EISDIR)
		return cmd_usage(name, "--path %s: is the whole volume; say no --path for that", path);
	if (r == -E2BIG)
		return cmd_usage(name, "--path: at most %u", PICK_PATHS_MAX);
	if (r == -ENAMETOOLONG)
		return cmd_usage(name, "--path %s: no name is so long", path);
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory") : 0;
}

/* One option at argv[*i]: 0, or an exit code. */
static int one_option(struct cmd_backup_args *a, const char *name, unsigned options, char **argv, int *i)
{
	const char *o = argv[*i], *value = argv[*i + 1];
	int r;

	if (strcmp(o, "--dry-run") == 0 && options & CMD_BACKUP_DRY_RUN) {
		a->dry_run = true;
	} else if (strcmp(o, "--force") == 0 && options & CMD_BACKUP_FORCE) {
		a->force = true;
	} else if (strcmp(o, "--authentic") == 0 && options & CMD_BACKUP_AUTHENTIC) {
		a->authentic = true;
	} else if (strcmp(o, "--suid") == 0 && options & CMD_BACKUP_SUID_DEV) {
		a->suid = true;
	} else if (strcmp(o, "--dev") == 0 && options & CMD_BACKUP_SUID_DEV) {
		a->dev = true;
	} else if (strcmp(o, "--volume") == 0 && options & CMD_BACKUP_VOLUME && value) {
		a->volume = value;
		++*i;
	} else if (strcmp(o, "--signer") == 0 && options & CMD_BACKUP_SIGNER && value) {
		if (strlen(value) != 2 * SIGN_PUBLIC_LEN || strspn(value, "0123456789abcdef") != 2 * SIGN_PUBLIC_LEN)
			return cmd_usage(name, "--signer %s: not a public key: 64 hexadecimal digits, as list shows them", value);
		a->signer = value;
		++*i;
	} else if (strcmp(o, "--path") == 0 && options & CMD_BACKUP_PATHS && value) {
		r = add_path(a, name, value);
		if (r != 0)
			return r;
		++*i;
	} else if (strcmp(o, "--parallel") == 0 && value) {
		if (parse_threads(value, &a->threads) < 0)
			return cmd_usage(name, "--parallel %s: must be 1 to 32", value);
		++*i;
	} else {
		r = strncmp(o, "--", 2) == 0 ? store_option(a, name, o, value) : 0;
		if (r == 0)
			return cmd_usage(name, "%s: not understood", o);
		if (r > 0)
			return r;
		++*i;
	}
	return 0;
}

int cmd_backup_args(struct cmd_backup_args *a, const char *name, unsigned options, int argc, char **argv)
{
	int r = 0;

	*a = (struct cmd_backup_args){ .threads = CMD_BACKUP_THREADS, .keep_daily = -1, .keep_weekly = -1, .keep_monthly = -1 };
	store_conf_init(&a->conf);
	for (int i = 1; i < argc && r == 0; i++) {
		if (argv[i][0] == '-')
			r = one_option(a, name, options, argv, &i);
		else if (a->n == CMD_BACKUP_ARGS_MAX)
			r = cmd_usage(name, "%s: too many arguments", argv[i]);
		else
			a->arg[a->n++] = argv[i];
	}
	return r;
}

void cmd_backup_args_done(struct cmd_backup_args *a)
{
	store_conf_done(&a->conf);
	free(a->store);
	free(a->source);
	pick_free(a->pick);
	free(a->tenant);
}

/* ---- failures */

int cmd_backup_fail(const char *object, int r, const struct store_error *err)
{
	const char *message = err && err->message[0] ? err->message : err_text(r);

	switch (r) {
	case -EINTR:
		return cmd_fail(EXIT_CODE_INTERRUPTED, object, "interrupted; say it again to go on");
	case -EBADMSG:
	case -EUCLEAN:
		return cmd_fail(EXIT_CODE_DAMAGE, object, "%s", message);
	case -EACCES:
	case -EPROTO:
	case -ETIMEDOUT:
	case -ECONNREFUSED:
		return cmd_fail(EXIT_CODE_STORE, object, "%s", message);
	case -ETXTBSY:
		return cmd_fail(EXIT_CODE_BUSY, object, "a file changed while it was read; somebody else writes there");
	default:
		return cmd_fail(err && err->message[0] && r != -ENOENT && r != -EEXIST && r != -ENOSPC ? EXIT_CODE_STORE : cmd_exit_of(r), object, "%s",
				message);
	}
}

/* ---- stores */

int cmd_backup_store(const struct cmd_global *g, struct cmd_backup_args *a, const char *uri, struct store **ret_s)
{
	struct store_error err = { 0 };
	int r;

	r = strncmp(uri, "s3://", 5) == 0 ? cmd_backup_sealed(g, a) : 0;
	if (r != 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to connections that a server has closed */
	r = store_open(uri, &a->conf, ret_s, &err);
	if (r == -EINVAL)
		return cmd_fail(EXIT_CODE_USAGE, uri, "%s", err.message[0] ? err.message : "not a store");
	return r < 0 ? cmd_fail(EXIT_CODE_STORE, uri, "%s", err.message[0] ? err.message : err_text(r)) : 0;
}

int cmd_backup_open(const struct cmd_global *g, struct cmd_backup_args *a, const char *uri, const char *snapshot, struct cmd_backup_snapshot *ret_s)
{
	struct store_error err = { 0 };
	int r;

	*ret_s = (struct cmd_backup_snapshot){ 0 };
	r = cmd_backup_named(g, a, uri, &uri);
	if (r == 0)
		r = cmd_backup_store(g, a, uri, &ret_s->store);
	if (r != 0)
		return r;
	r = snapshot_volume(ret_s->store, a->volume, &ret_s->repo, &err);
	if (r == 0 && snapshot)
		r = snapshot_find(&ret_s->repo, snapshot, ret_s->name, &err);
	if (r == 0 && snapshot)
		r = repo_manifest(&ret_s->repo, ret_s->name, &ret_s->manifest, ret_s->hash, &err);
	return r < 0 ? cmd_backup_fail(uri, r, &err) : 0;
}

void cmd_backup_close(struct cmd_backup_snapshot *s)
{
	manifest_done(&s->manifest);
	store_close(s->store);
	s->store = NULL;
}

int cmd_backup_signer(const struct manifest *m, size_t max, char *ret_text)
{
	char key[2 * SIGN_PUBLIC_LEN + 1];
	int r = manifest_check_signature(m);

	text_hex(m->public_key, SIGN_PUBLIC_LEN, key);
	if (r == -ENOENT)
		(void)snprintf(ret_text, max, "not signed");
	else if (r == 0)
		(void)snprintf(ret_text, max, "signed by %s", key);
	return r == -ENOENT ? 0 : r;
}

int cmd_backup_trusted(const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, size_t max, char *ret_text)
{
	char key[2 * SIGN_PUBLIC_LEN + 1];

	if (cmd_backup_signer(&s->manifest, max, ret_text) < 0)
		return cmd_fail(EXIT_CODE_DAMAGE, s->name, "the manifest's signature does not fit: it was changed");
	text_hex(s->manifest.public_key, SIGN_PUBLIC_LEN, key);
	if (a->signer && (!s->manifest.is_signed || strcmp(key, a->signer) != 0))
		return cmd_fail(EXIT_CODE_WRONG_KEY, s->name, "%s, not by --signer: somebody else has put it there", ret_text);
	return 0;
}

/* ---- signals */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals = 1;
}

void cmd_backup_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
}

bool cmd_backup_stopped(void)
{
	return signals;
}
