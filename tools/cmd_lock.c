/* cmd_lock.c: lock and unlock: an operator's word about a volume or a tenant. */
#include "tools/cmd.h"

#include <stdio.h>
#include <string.h>

struct target {
	const char *tenant, *volume, *reason, *recovery;
	uint8_t uuid[UUID_LEN];
};

static int target_args(const char *name, bool reason, int argc, char **argv, struct target *t)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--tenant") == 0 && i + 1 < argc)
			t->tenant = argv[++i];
		else if (reason && strcmp(argv[i], "--reason") == 0 && i + 1 < argc)
			t->reason = argv[++i];
		else if (!reason && strcmp(argv[i], "--recovery-key") == 0 && i + 1 < argc)
			t->recovery = argv[++i];
		else if (argv[i][0] == '-' || t->volume)
			return cmd_usage(name, "does not understand %s", argv[i]);
		else
			t->volume = argv[i];
	}
	if (t->recovery && t->tenant)
		return cmd_usage(name, "--recovery-key opens one VOLUME");
	return !t->tenant == !t->volume ? cmd_usage(name, "needs a VOLUME or --tenant T") : 0;
}

static int target_find(const struct cmd_global *g, struct target *t)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_FREE char *path = NULL;
	int r;

	if (t->tenant)
		return 0;
	r = cmd_volume_path(g, t->volume, &path);
	if (r == 0)
		r = cmd_volume_open(path, &v);
	if (r == 0)
		memcpy(t->uuid, v.parsed->uuid, UUID_LEN);
	return r;
}

static int target_tell(const struct cmd_global *g, bool lock, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	struct target t = { .reason = "" };
	const char *name;
	uint64_t mounts;
	int r;

	r = target_args(argv[0], lock, argc, argv, &t);
	if (r == 0 && t.recovery)
		return cmd_recovery_bring(g, t.volume, t.recovery);
	if (r == 0)
		r = target_find(g, &t);
	if (r != 0)
		return r;
	name = t.tenant ? t.tenant : t.volume;
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, name, "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	if (lock)
		r = client_lock(c, t.tenant, t.uuid, t.reason, &mounts);
	else
		r = client_lock_end(c, t.tenant, t.uuid, &mounts);
	if (r < 0)
		return cmd_agent_fail(c, name);
	if (!g->quiet)
		(void)printf("%s: %s, and %llu of its mounts here\n", name, lock ? "locked" : "unlocked", (unsigned long long)mounts);
	return 0;
}

int cmd_lock_set(const struct cmd_global *g, int argc, char **argv)
{
	return target_tell(g, true, argc, argv);
}

int cmd_lock_end(const struct cmd_global *g, int argc, char **argv)
{
	return target_tell(g, false, argc, argv);
}
