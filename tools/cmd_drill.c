/* cmd_drill.c: drill: prove on a scratch volume how long it takes from "no" to locked, as seen from outside, and that nothing acknowledged is lost.
 *
 *	mount -> clients at work -> refuse -> watch until nothing can be read -> allow -> watch until it is back -> unmount -> tell the audit log
 *
 * Who refuses is an operator's lock of this volume, or a command that disables the key where it lives. Mounting and unmounting is done by this program,
 * started again, so that what is drilled is what is used. Whatever happens, what was refused is allowed again and the mount is taken away. */
#include "tools/cmd.h"
#include "tools/cmd_spawn.h"
#include "tools/drill.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

#define WAIT_S 300
#define WAIT_MAX_S 200000
#define PAUSE_MS 20
#define STEP_MS 30000

struct run {
	const struct cmd_global *g;
	const char *name;              /* as the user gave it */
	const char *revoke, *restore;  /* commands; NULL: an operator's lock */
	unsigned wait_s;
	char *path;
	struct cmd_volume v;
	char mnt[64];
	bool mounted, refused;
	struct drill d;
	double command_s, read_s, cache_s, all_s, back_s;
	uint64_t acked;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* --- other programs --- */

static int run_command(const char *what, const char *text)
{
	const char *argv[] = { "sh", "-c", text, NULL };
	int r = cmd_spawn("/bin/sh", (char *const *)(uintptr_t)argv);

	if (r == 0)
		return 0;
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, what, "cannot be started: %s", err_text(r)) :
		       cmd_fail(EXIT_CODE_OTHER, what, "the command ended with %d", r);
}

/* --- refuse and allow --- */

static int operators_word(const struct run *t, bool lock)
{
	AUTO_CLIENT struct client *c = client_new(t->g->agent);
	uint64_t mounts;
	int r;

	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, t->name, "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	r = lock ? client_lock(c, NULL, t->v.parsed->uuid, "drill", &mounts) : client_lock_end(c, NULL, t->v.parsed->uuid, &mounts);
	return r < 0 ? cmd_agent_fail(c, t->name) : 0;
}

static int refuse(struct run *t)
{
	t->refused = true; /* also when it fails half-way */
	return t->revoke ? run_command("--revoke", t->revoke) : operators_word(t, true);
}

static int allow(struct run *t)
{
	int r = t->revoke ? run_command("--restore", t->restore) : operators_word(t, false);

	t->refused = r != 0;
	return r;
}

/* --- watching --- */

static double since(uint64_t ms)
{
	return (double)(clock_boot_ms() - ms) / 1000;
}

static int await(struct run *t, const char *what, int (*test)(struct run *t), uint64_t start, double *ret_s)
{
	uint64_t end = clock_boot_ms() + t->wait_s * 1000ull;
	int r;

	for (;;) {
		r = test(t);
		if (r < 0)
			return cmd_fail(EXIT_CODE_OTHER, t->name, "%s: %s", what, err_text(r));
		*ret_s = since(start);
		if (r)
			return 0;
		if (interrupted)
			return cmd_fail(EXIT_CODE_INTERRUPTED, t->name, "interrupted");
		if (clock_boot_ms() > end)
			return cmd_fail(EXIT_CODE_OTHER, t->name, "%s: not within %u s", what, t->wait_s);
		clock_pause_ms(PAUSE_MS);
	}
}

static int reads_no_more(struct run *t)
{
	int r = drill_reads(&t->d);

	return r < 0 ? r : !r;
}

static int reads_again(struct run *t)
{
	int r = drill_reads(&t->d);

	return r == -ENOKEY ? 0 : r;
}

static int cache_empty(struct run *t)
{
	long n = drill_resident(&t->d);

	return n < 0 ? (int)n : n == 0;
}

static int watch_it_lock(struct run *t, uint64_t start)
{
	int r;

	r = await(t, "it can still be read", reads_no_more, start, &t->read_s);
	if (r == 0)
		r = await(t, "the kernel still holds pages of it", cache_empty, start, &t->cache_s);
	if (r != 0)
		return r;
	r = drill_mapping_ends(&t->d);
	if (r <= 0)
		return cmd_fail(EXIT_CODE_OTHER, t->name, "its mapping can still be read");
	r = drill_writer_ends(&t->d, STEP_MS);
	if (r < 0)
		return cmd_fail(EXIT_CODE_OTHER, t->name, "a writer was not ended by ENOKEY, but: %s", err_text(r));
	t->all_s = since(start);
	t->acked = *t->d.acked;
	return 0;
}

static int watch_it_open(struct run *t, uint64_t start)
{
	int r = await(t, "it does not open again", reads_again, start, &t->back_s);

	if (r != 0)
		return r;
	r = drill_written(&t->d);
	return r < 0 ? cmd_fail(EXIT_CODE_DAMAGE, t->name, "a write that was acknowledged is not there: %s", err_text(r)) : 0;
}

/* --- the volume --- */

/* A volume with anything in it is somebody's. */
static int check_scratch(const struct run *t)
{
	DIR *d = opendir(t->mnt);
	const struct dirent *e;
	int r = 0;

	if (!d)
		return cmd_fail(cmd_exit_of(-errno), t->name, "its root: %s", err_text(-errno));
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = EXIT_CODE_EXISTS;
	(void)closedir(d);
	return r ? cmd_fail(EXIT_CODE_EXISTS, t->name, "has something in it; drill wants a scratch volume, an empty one: coffer init") : 0;
}

static int mount_it(struct run *t)
{
	const char *tmp = "/tmp/coffer-drill-XXXXXX";
	int r;

	memcpy(t->mnt, tmp, strlen(tmp) + 1);
	if (!mkdtemp(t->mnt)) {
		t->mnt[0] = '\0';
		return cmd_fail(cmd_exit_of(-errno), "/tmp", "no mount point: %s", err_text(-errno));
	}
	r = cmd_spawn_self(t->g, "mount", t->path, t->mnt);
	t->mounted = r == 0;
	return r;
}

/* Everything back as it was; the first failure counts. */
static int put_back(struct run *t, int r)
{
	int s;

	if (t->refused) {
		s = allow(t);
		r = r ? r : s;
		if (s == 0 && t->mounted) /* so that the files can go; its failure was told */
			(void)await(t, "it does not open again", reads_again, clock_boot_ms(), &t->back_s);
	}
	drill_end(&t->d);
	if (t->mounted) {
		s = cmd_spawn_self(t->g, "umount", t->mnt, NULL);
		r = r ? r : s;
	}
	if (t->mnt[0] && rmdir(t->mnt) < 0 && r == 0)
		r = cmd_fail(EXIT_CODE_OTHER, t->mnt, "is left behind: %s", err_text(-errno));
	return r;
}

/* --- the result --- */

static int print_json(const struct run *t)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	const struct { const char *key; double s; } times[] = {
		{ "read_ms", t->read_s }, { "page_cache_ms", t->cache_s }, { "clients_ms", t->all_s }, { "back_ms", t->back_s }, { "command_ms", t->command_s },
	};
	char uuid[33];
	int r;

	volume_config_uuid_text(t->v.parsed->uuid, uuid);
	r = json_put_str(o, "uuid", uuid);
	if (r >= 0)
		r = json_put_str(o, "tenant", t->v.parsed->tenant);
	if (r >= 0)
		r = json_put_str(o, "by", t->revoke ? "command" : "operator");
	for (size_t i = 0; r >= 0 && i < sizeof(times) / sizeof(times[0]); i++)
		r = json_put_int(o, times[i].key, (int64_t)(times[i].s * 1000));
	if (r >= 0)
		r = json_put_int(o, "acknowledged", (int64_t)t->acked);
	if (r >= 0)
		r = json_dump(o, &text);
	return r < 0 || puts(text) < 0 ? EXIT_CODE_NO_RESOURCE : 0;
}

#define RESULT_MAX 256
static void result_text(const struct run *t, char ret_text[static RESULT_MAX])
{
	(void)snprintf(ret_text, RESULT_MAX,
		       "by %s: read(2) ended after %.1f s, page cache empty after %.1f s, mappings and writer ended after %.1f s; back after %.1f s; "
		       "%llu acknowledged writes, all there",
		       t->revoke ? "command" : "an operator's lock", t->read_s, t->cache_s, t->all_s, t->back_s, (unsigned long long)t->acked);
}

/* A drill that is not in the log has proved nothing to an auditor. Who tells must be one who may have the key. */
static int tell(const struct run *t)
{
	AUTO_CLIENT struct client *c = NULL;
	AUTO_SECRET struct secret *root = NULL;
	struct client_unlocked u;
	char text[RESULT_MAX];
	int r;

	result_text(t, text);
	r = cmd_unlock(t->g, t->path, "drill", &t->v, &c, &u, &root);
	if (r != 0)
		return r;
	if (client_report(c, PROTO_KIND_DRILL, "volume", text, 1) < 0)
		return cmd_agent_fail(c, t->name);
	if (t->g->json)
		return print_json(t);
	if (!t->g->quiet)
		(void)printf("%s: %s\n", t->name, text);
	return 0;
}

static int drill_it(struct run *t)
{
	uint64_t start;
	int r;

	r = mount_it(t);
	if (r == 0)
		r = check_scratch(t);
	if (r != 0)
		return r;
	r = drill_begin(t->mnt, &t->d);
	if (r == 0)
		r = drill_reads(&t->d) == 1 ? 0 : -EIO;
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), t->name, "its files cannot be made: %s", err_text(r));
	start = clock_boot_ms();
	r = refuse(t);
	t->command_s = since(start);
	if (r == 0) /* an operator's lock has done its work when it returns, so its time counts; a command's does not */
		r = watch_it_lock(t, t->revoke ? clock_boot_ms() : start);
	if (r != 0)
		return r;
	r = allow(t);
	return r ? r : watch_it_open(t, clock_boot_ms());
}

static int arguments(struct run *t, int argc, char **argv)
{
	char *end;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--revoke") == 0 && i + 1 < argc)
			t->revoke = argv[++i];
		else if (strcmp(argv[i], "--restore") == 0 && i + 1 < argc)
			t->restore = argv[++i];
		else if (strcmp(argv[i], "--wait") == 0 && i + 1 < argc) {
			unsigned long n = strtoul(argv[++i], &end, 10);

			if (*end != '\0' || n < 1 || n > WAIT_MAX_S || argv[i][0] < '0' || argv[i][0] > '9')
				return cmd_usage("drill", "--wait wants 1 to %d seconds", WAIT_MAX_S);
			t->wait_s = (unsigned)n;
		} else if (argv[i][0] == '-' || t->name) {
			return cmd_usage("drill", "does not understand %s", argv[i]);
		} else {
			t->name = argv[i];
		}
	}
	if (!t->name)
		return cmd_usage("drill", "needs a VOLUME");
	return !t->revoke != !t->restore ? cmd_usage("drill", "--revoke and --restore go together") : 0;
}

int cmd_drill(const struct cmd_global *g, int argc, char **argv)
{
	struct run t = { .g = g, .wait_s = WAIT_S, .v = CMD_VOLUME_INIT, .d = { .fd = -1 } };
	struct sigaction sa = { .sa_handler = on_signal };
	int r;

	r = arguments(&t, argc, argv);
	if (r != 0)
		return r;
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	r = cmd_volume_path(g, t.name, &t.path);
	if (r == 0)
		r = cmd_volume_open(t.path, &t.v);
	if (r == 0)
		r = put_back(&t, drill_it(&t));
	if (r == 0)
		r = tell(&t);
	cmd_volume_done(&t.v);
	free(t.path);
	return r;
}
