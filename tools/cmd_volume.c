/* cmd_volume.c: init, info, trust: commands about a volume that is not mounted. */
#include "tools/cmd.h"

#include "backup/restore.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LOG_MIB_MIN 16u
#define LOG_MIB_MAX 1024u
#define LOG_MIB_DEFAULT 64u
#define BLOCKS_PER_MIB 256u

/* ---- init */

struct init_args {
	const char *path, *tenant;
	const char *kms[PROTO_KMS_MAX];
	size_t kms_count;
	uint64_t log_mib;
	bool unsafe_backing;
	struct cmd_recovery recovery;
	bool made;               /* the volume is one */
};

static int init_log_size(const char *text, uint64_t *ret_mib)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || n < LOG_MIB_MIN || n > LOG_MIB_MAX)
		return cmd_usage("init", "--log-size: a number of MiB from %u to %u", LOG_MIB_MIN, LOG_MIB_MAX);
	*ret_mib = n;
	return 0;
}

static int init_parse(int argc, char **argv, struct init_args *a)
{
	int r;

	for (int i = 1; i < argc; i++) {
		bool value = i + 1 < argc;

		if (strcmp(argv[i], "--tenant") == 0 && value) {
			a->tenant = argv[++i];
		} else if (strcmp(argv[i], "--kms") == 0 && value) {
			if (a->kms_count == PROTO_KMS_MAX)
				return cmd_usage("init", "--kms: at most %d", PROTO_KMS_MAX);
			a->kms[a->kms_count++] = argv[++i];
		} else if (strcmp(argv[i], "--log-size") == 0 && value) {
			r = init_log_size(argv[++i], &a->log_mib);
			if (r != 0)
				return r;
		} else if (strcmp(argv[i], "--unsafe-backing") == 0) {
			a->unsafe_backing = true;
		} else if (strcmp(argv[i], "--recovery-key") == 0 && value && !a->recovery.file) {
			a->recovery.file = argv[++i];
		} else if (argv[i][0] == '-' || a->path) {
			return cmd_usage("init", "%s: not understood", argv[i]);
		} else {
			a->path = argv[i];
		}
	}
	if (!a->path)
		return cmd_usage("init", "needs VOLUME and --tenant NAME");
	if (a->tenant && !volume_config_tenant_ok(a->tenant))
		return cmd_usage("init", "--tenant: 1 to %d of A-Z a-z 0-9 _ - and, not first, a dot", TENANT_LEN_MAX);
	return 0;
}

/* A volume by its name has a tenant in its file. */
static int init_tenant(struct init_args *a, const struct volume_conf *conf)
{
	if (a->tenant && conf->tenant && strcmp(a->tenant, conf->tenant) != 0)
		return cmd_usage("init", "--tenant: tenant= of volumes.d says %s", conf->tenant);
	if (!a->tenant)
		a->tenant = conf->tenant;
	return a->tenant ? 0 : cmd_usage("init", "needs VOLUME and --tenant NAME");
}

static int init_config(const struct init_args *a, struct volume_config *c, const struct secret *root, uint8_t **ret_p, size_t *ret_len)
{
	int r;

	memcpy(c->tenant, a->tenant, strlen(a->tenant) + 1);
	c->config_version = 1;
	c->epoch = 1;
	if (text_time(time(NULL), sizeof(c->created), c->created) < 0)
		return -EINVAL;
	r = key_ring_create(root, c->uuid, c->key_ring, &c->key_ring_len);
	return r < 0 ? r : volume_config_put(c, root, ret_p, ret_len);
}

static int init_make(const struct cmd_global *g, struct init_args *a, int fd)
{
	struct volume_options o = { .unsafe_backing = a->unsafe_backing };
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_CLIENT struct client *cl = client_new(g->agent);
	AUTO_SECRET struct secret *root = NULL;
	AUTO_FREE uint8_t *p = NULL;
	struct proto_instance inst;
	size_t len;
	int r;

	if (!c || !cl)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, a->path, "out of memory");
	r = client_connect(cl);
	if (r < 0)
		return cmd_agent_fail(cl, "agent");
	r = secret_random(c->uuid, UUID_LEN);
	if (r < 0)
		return cmd_fail(EXIT_CODE_OTHER, a->path, "no random bytes: %s", err_text(r));
	r = client_init(cl, c->uuid, a->tenant, a->kms, a->kms_count, a->recovery.key, c->slots, &c->slot_count, &root);
	if (r < 0)
		return cmd_agent_fail(cl, a->path);
	r = init_config(a, c, root, &p, &len);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), a->path, "cannot write %s: %s", NAME_VOLUME, err_text(r));
	if (a->recovery.file) {
		r = cmd_recovery_write(&a->recovery, a->path, c);
		if (r != 0)
			return r;
	}
	log_hold();
	r = volume_create(lower_real(), fd, p, len, &root, a->log_mib * BLOCKS_PER_MIB, &o);
	if (r < 0)
		return cmd_open_fail(a->path, r, "");
	(void)log_release(NULL, 0);
	a->made = true;
	r = cmd_instance(fd, c->uuid, &inst);
	if (r == 0)
		r = client_pin(cl, p, len, &inst);
	if (r < 0) {
		(void)cmd_agent_fail(cl, a->path);
		return cmd_fail(EXIT_CODE_DENIED, a->path, "made, but not pinned on this host; pin it: coffer trust %s", a->path);
	}
	if (!g->quiet && a->kms_count == 0)
		(void)fprintf(stderr, "coffer: %s: its key is a file of this host (%s): for development, not for tenants' data\n", a->path,
			      c->slots[0].kms);
	return 0;
}

int cmd_init(const struct cmd_global *g, int argc, char **argv)
{
	struct init_args a = { .log_mib = LOG_MIB_DEFAULT, .recovery.fd = -1 };
	AUTO_VOLUME_CONF struct volume_conf conf = { 0 };
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	bool made = false;
	int r;

	r = init_parse(argc, argv, &a);
	if (r == 0)
		r = cmd_volume_find(g, a.path, &conf, &path);
	if (r == 0)
		r = init_tenant(&a, &conf);
	if (r != 0)
		return r;
	a.path = path;
	if (a.recovery.file)
		r = cmd_recovery_begin(&a.recovery);
	if (r == 0)
		r = cmd_init_dir(g, path, &fd, &made);
	if (r == 0)
		r = init_make(g, &a, fd);
	cmd_recovery_end(&a.recovery, a.made);
	if (r != 0 && made)
		(void)rmdir(path); /* only if nothing is in it */
	return r;
}

/* ---- info */

static int info_slots(const struct volume_config *c, struct json *o)
{
	struct json *a = json_new_array(), *s;
	int r = 0;

	for (size_t i = 0; i < c->slot_count && r == 0; i++) {
		s = json_new_object();
		r = json_put_str(s, "kms", c->slots[i].kms);
		if (r == 0)
			r = json_put_str(s, "key_version", c->slots[i].key_version);
		if (r == 0)
			r = json_put_str(s, "created", c->slots[i].created);
		if (r == 0)
			r = json_put_str(s, "state", c->slots[i].active ? "active" : "retired");
		if (r == 0)
			r = json_append(a, s);
		else
			json_free(s);
	}
	if (r < 0) {
		json_free(a);
		return r;
	}
	return json_put_json(o, "slots", a);
}

static int info_json(const struct volume_config *c, const char *uuid, const char *part_of, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	r = json_put_int(o, "format", FORMAT_VERSION);
	if (r == 0)
		r = json_put_str(o, "uuid", uuid);
	if (r == 0)
		r = json_put_str(o, "tenant", c->tenant);
	if (r == 0)
		r = json_put_int(o, "config_version", (int64_t)c->config_version);
	if (r == 0)
		r = json_put_str(o, "created", c->created);
	if (r == 0)
		r = json_put_int(o, "epoch", c->epoch);
	if (r == 0)
		r = json_put_bool(o, "authenticated", false);
	if (r == 0 && *part_of)
		r = json_put_str(o, "part_of", part_of);
	if (r == 0)
		r = info_slots(c, o);
	return r < 0 ? r : json_dump(o, ret_text);
}

int cmd_info(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_FREE char *path = NULL, *text = NULL;
	const struct volume_config *c;
	char uuid[33], part_of[REPO_SNAPSHOT_MAX];
	int r;

	if (argc != 2)
		return cmd_usage("info", "needs one VOLUME");
	r = cmd_volume_path(g, argv[1], &path);
	if (r == 0)
		r = cmd_volume_open(path, &v);
	if (r != 0)
		return r;
	c = v.parsed;
	volume_config_uuid_text(c->uuid, uuid);
	r = restore_partial_of(v.root_fd, part_of);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), path, RESTORE_PARTIAL ": %s", err_text(r));
	if (g->json) {
		r = info_json(c, uuid, part_of, &text);
		if (r < 0)
			return cmd_fail(cmd_exit_of(r), path, "%s", err_text(r));
		(void)puts(text);
		return 0;
	}
	(void)printf("volume   %s\nuuid     %s\ntenant   %s\nformat   %d, epoch %u, configuration %llu of %s\n", path, uuid, c->tenant,
		     FORMAT_VERSION, c->epoch, (unsigned long long)c->config_version, c->created);
	for (size_t i = 0; i < c->slot_count; i++)
		(void)printf("key      %s%s\n", c->slots[i].kms, c->slots[i].active ? "" : " (retired)");
	if (*part_of)
		(void)printf("part     of snapshot %s: what was not restored is not in it\n", part_of);
	(void)puts("(read without the key: not authenticated)");
	return 0;
}

/* ---- trust */

int cmd_trust(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLIENT struct client *c = NULL;
	AUTO_FREE struct client_trusted *t = calloc(1, sizeof(*t));
	AUTO_FREE char *path = NULL;
	const char *volume = NULL;
	bool older = false;
	char uuid[33];
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--older") == 0)
			older = true;
		else if (argv[i][0] == '-' || volume)
			return cmd_usage("trust", "%s: not understood", argv[i]);
		else
			volume = argv[i];
	}
	if (!volume)
		return cmd_usage("trust", "needs one VOLUME");
	r = cmd_volume_path(g, volume, &path);
	if (r == 0)
		r = cmd_volume_open(path, &v);
	if (r != 0)
		return r;
	c = client_new(g->agent);
	if (!c || !t)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, path, "out of memory");
	r = client_connect(c);
	if (r < 0)
		return cmd_agent_fail(c, "agent");
	r = client_trust(c, v.config, v.config_len, &v.instance, older, t);
	if (r < 0)
		return cmd_agent_fail(c, path);
	volume_config_uuid_text(v.parsed->uuid, uuid);
	if (g->quiet)
		return 0;
	(void)printf("%s: uuid %s, tenant %s\n", path, uuid, t->tenant);
	for (size_t i = 0; i < t->kms_count; i++)
		(void)printf("  key %s\n", t->kms[i]);
	(void)printf("  %s on this host%s%s\n", t->known ? "was pinned already" : "pinned", t->other_instance ? "; another directory has the same uuid: "
		     "this one is a copy or a restore" : "", older ? "; an older state is accepted once" : "");
	return 0;
}
