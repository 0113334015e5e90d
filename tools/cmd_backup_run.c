/* cmd_backup_run.c: backup run: a volume into a store. Needs no key. One that is not mounted is kept from being mounted for writing meanwhile; a mount is asked,
 * through the agent, to hold still at the end. */
#include "tools/cmd_backup.h"
#include "tools/progress.h"

#include "backup/backup.h"
#include "base/env.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "io/scrub_log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_DIR_ROOT "/var/cache/coffer"

struct run {
	const struct cmd_global *g;
	const char *name;                /* as the user gave it */
	const struct cmd_volume *v;
	char *mountpoint;                /* NULL: not mounted */
	struct client *c;                /* while it holds still */
	struct client_error agent;       /* what the agent said last; r 0: nothing */
	struct scrub_log *log;
	struct progress bar;
};

static bool log_shape(void *ctx, const uint8_t file_id[static FILE_ID_LEN], struct file_shape *ret_shape)
{
	return scrub_log_shape(ctx, file_id, ret_shape);
}

static bool log_group(void *ctx, const uint8_t file_id[static FILE_ID_LEN], uint32_t group, uint8_t p[static BLOCK_SIZE], bool in_log[static GROUP_BLOCKS])
{
	return scrub_log_group(ctx, file_id, group, p, in_log);
}

static bool on_progress(void *ctx, const struct backup_counts *c)
{
	struct run *s = ctx;

	progress_step(&s->bar, c->bytes_read + c->bytes_kept);
	return !cmd_backup_stopped();
}

static void on_problem(void *ctx, const char *backing_path, const struct backup_rot *rot)
{
	struct run *s = ctx;
	AUTO_FREE char *path = cmd_printable(backing_path);

	progress_clear(&s->bar);
	(void)cmd_fail(EXIT_CODE_DAMAGE, path ? path : "?", "%llu blocks or groups do not fit their checksums (first in group %llu); stored as they are",
		       (unsigned long long)rot->count, (unsigned long long)rot->group);
}

/* ---- a mount */

static int agent_failed(struct run *s, int r)
{
	if (s->c)
		s->agent = *client_error(s->c);
	client_free(s->c);
	s->c = NULL;
	return r;
}

static int on_hold(void *ctx)
{
	struct run *s = ctx;
	int r;

	s->c = client_new(s->g->agent);
	r = s->c ? client_connect(s->c) : -ENOMEM;
	if (r == 0)
		r = client_freeze(s->c, s->mountpoint, cmd_mounter(s->mountpoint));
	return r < 0 ? agent_failed(s, r) : 0;
}

static int on_release(void *ctx)
{
	struct run *s = ctx;
	int r = client_thaw(s->c, s->mountpoint, cmd_mounter(s->mountpoint));

	if (r < 0 && r != -EBUSY)
		return agent_failed(s, r);
	client_free(s->c);
	s->c = NULL;
	return r == -EBUSY ? -ETIMEDOUT : 0; /* it had ended by itself */
}

/* What is said of a manifest, and who is asked for it. -errno: without that nothing goes on. */
static int statement_begin(struct run *s, const struct manifest *m, char ret_text[static MANIFEST_STATEMENT_MAX], struct client **ret_c)
{
	int r = manifest_statement(m, ret_text);

	if (r < 0)
		return r;
	*ret_c = client_new(s->g->agent);
	return *ret_c ? 0 : -ENOMEM;
}

/* A backup without is better than none, and shown as such. */
static void statement_failed(struct run *s, const struct client *c, const char *what)
{
	progress_clear(&s->bar);
	(void)fprintf(stderr, "coffer: %s: the backup %s: %s\n", s->name, what, client_error(c)->message);
}

/* The host's signature, if there is an agent and it gives one. */
static int on_sign(void *ctx, struct manifest *m)
{
	struct run *s = ctx;
	AUTO_CLIENT struct client *c = NULL;
	char text[MANIFEST_STATEMENT_MAX];
	int r = statement_begin(s, m, text, &c);

	if (r < 0)
		return r;
	r = client_connect(c);
	if (r >= 0)
		r = client_backup_sign(c, &s->v->instance, text, m->public_key, m->signature);
	m->is_signed = r >= 0;
	if (r < 0)
		statement_failed(s, c, "is not signed");
	return 0;
}

/* The tag of the volume's key, if the mount has it now. */
static int on_tag(void *ctx, struct manifest *m)
{
	struct run *s = ctx;
	AUTO_CLIENT struct client *c = NULL;
	char text[MANIFEST_STATEMENT_MAX];
	int r = statement_begin(s, m, text, &c);

	if (r < 0)
		return r;
	r = client_connect(c);
	if (r >= 0)
		r = client_backup_tag(c, s->mountpoint, cmd_mounter(s->mountpoint), text, m->tag);
	m->has_tag = r >= 0;
	if (r < 0)
		statement_failed(s, c, "has no tag of the volume's key");
	return 0;
}

/* Before anything is read: is there an agent? */
static int ask_agent(struct run *s)
{
	AUTO_CLIENT struct client *c = client_new(s->g->agent);
	int r = c ? client_connect(c) : -ENOMEM;

	return r < 0 ? c ? cmd_agent_fail(c, "agent") : cmd_fail(EXIT_CODE_NO_RESOURCE, s->name, "out of memory") : 0;
}

/* Where this user's caches lie; a backup without one reads everything. */
static void cache_dir(char ret_dir[static PATH_MAX])
{
	const char *service = env_get(ENV_CACHE_DIRECTORY), *xdg = env_get(ENV_XDG_CACHE_HOME), *home = env_get(ENV_HOME);
	int n;

	if (service && service[0] == '/' && !strchr(service, ':'))
		n = snprintf(ret_dir, PATH_MAX, "%s", service);
	else if (xdg && xdg[0] == '/')
		n = snprintf(ret_dir, PATH_MAX, "%s/coffer", xdg);
	else if (geteuid() == 0 || !home || home[0] != '/')
		n = snprintf(ret_dir, PATH_MAX, "%s", CACHE_DIR_ROOT);
	else
		n = snprintf(ret_dir, PATH_MAX, "%s/.cache/coffer", home);
	if (n >= PATH_MAX || fileio_mkdirs(ret_dir, 0700) < 0)
		ret_dir[0] = '\0';
}

static int report_json(const char *name, const struct backup_result *b)
{
	AUTO_JSON struct json *o = json_new_object();
	const struct backup_counts *c = &b->counts;
	AUTO_FREE char *text = NULL;

	if (json_put_str(o, "snapshot", b->snapshot) < 0 || json_put_int(o, "serial", (int64_t)b->serial) < 0 || json_put_bool(o, "signed", b->is_signed) < 0 ||
	    json_put_bool(o, "tagged", b->has_tag) < 0 ||
	    json_put_int(o, "files", (int64_t)c->files) < 0 || json_put_int(o, "bytes", (int64_t)c->bytes) < 0 ||
	    json_put_int(o, "bytes_read", (int64_t)c->bytes_read) < 0 || json_put_int(o, "bytes_sent", (int64_t)c->bytes_sent) < 0 ||
	    json_put_int(o, "objects_sent", (int64_t)c->objects_sent) < 0 || json_put_int(o, "rounds", (int64_t)b->rounds) < 0 ||
	    json_put_int(o, "frozen_ms", (int64_t)b->frozen_ms) < 0 || json_put_int(o, "problems", (int64_t)c->problems) < 0 ||
	    json_put_int(o, "skipped", (int64_t)c->skipped) < 0 || json_dump(o, &text) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, name, "out of memory");
	(void)puts(text);
	return 0;
}

static int report(const struct run *s, const struct backup_result *b)
{
	const struct backup_counts *c = &b->counts;
	char bytes[PROGRESS_SIZE_MAX], sent[PROGRESS_SIZE_MAX];
	int r = 0;

	if (s->g->json) {
		r = report_json(s->name, b);
	} else if (!s->g->quiet) {
		progress_size(c->bytes, bytes);
		progress_size(c->bytes_sent, sent);
		(void)printf("%s: %s %s, %llu entries, %s, %s%s in %llu objects\n", s->name, b->snapshot[0] ? "snapshot" : "dry run", b->snapshot,
			     (unsigned long long)c->files, bytes, b->snapshot[0] ? "sent " : "to send: ", sent, (unsigned long long)c->objects_sent);
		if (s->mountpoint)
			(void)printf("%s: mounted at %s, which held still for %llu ms\n", s->name, s->mountpoint, (unsigned long long)b->frozen_ms);
		if (c->skipped > 0)
			(void)fprintf(stderr, "coffer: %s: %llu entries are no part of a volume and were left out\n", s->name, (unsigned long long)c->skipped);
	}
	return r ? r : c->problems ? EXIT_CODE_DAMAGE : 0;
}

static int run(struct run *s, const struct cmd_backup_args *a, const struct cmd_volume *v, struct store *store, bool clean)
{
	struct backup_params p = { .ctx = s, .store = store, .root_fd = v->root_fd, .clean = clean, .force = a->force, .dry_run = a->dry_run,
				   .threads = (unsigned)a->threads, .progress = on_progress, .problem = on_problem, .sign = on_sign };
	char dir[PATH_MAX], why[CMD_WHY_MAX] = "";
	struct backup_result b;
	struct store_error err;
	int r;

	s->v = v;
	memcpy(p.uuid, v->parsed->uuid, UUID_LEN);
	if (s->log && !clean)
		p.check = (struct backup_check){ .ctx = s->log, .log_shape = log_shape, .log_group = log_group };
	if (s->mountpoint) {
		p.hold = on_hold;
		p.release = on_release;
		p.tag = on_tag;
	}
	cache_dir(dir);
	p.cache_dir = dir[0] ? dir : NULL;
	progress_start(&s->bar, s->g, "backup", 0);
	if (s->bar.on)
		s->bar.total = progress_tree_bytes(v->root_fd);
	cmd_backup_signals();
	log_hold();
	r = backup_run(&p, &b, &err);
	progress_clear(&s->bar);
	(void)log_release(r < 0 ? why : NULL, sizeof(why));
	if (r < 0 && s->agent.r == r)
		return cmd_fail((enum coffer_exit)s->agent.exit_code, s->mountpoint, "%s", s->agent.message);
	if (r == -ESTALE)
		return cmd_fail(EXIT_CODE_BUSY, s->name, "no snapshot: a prune took objects away that it relied on; say it again");
	if (r == -EAGAIN)
		return cmd_fail(EXIT_CODE_BUSY, s->name, "no snapshot: more changes than can be copied while the mount holds still (5 s); try "
				"when less is written, or unmount it");
	if (r < 0 && r != -EINTR && !err.message[0] && *why)
		return cmd_fail(r == -ETXTBSY ? EXIT_CODE_BUSY : cmd_exit_of(r), s->name, "stopped: %s", why);
	if (r < 0)
		return cmd_backup_fail(s->name, r, &err);
	if (b.snapshot[0]) /* metrics, an alert and the audit log wait for it; without an agent nobody does */
		cmd_done(s->g, s->name, &v->instance, PROTO_DONE_BACKUP, b.snapshot);
	return report(s, &b);
}

static int claim(struct run *s, const char *path, int root_fd, int *ret_lock)
{
	AUTO_FREE char *real = realpath(path, NULL);
	int r;

	if (!real)
		return cmd_fail(cmd_exit_of(-errno), s->name, "cannot be opened: %s", err_text(-errno));
	r = cmd_claim(s->name, real, root_fd, ret_lock, &s->mountpoint);
	return r == 0 && s->mountpoint ? ask_agent(s) : r;
}

static int open_log(struct run *s, int root_fd, bool *ret_clean)
{
	struct scrub_log_info info;
	int r;

	r = scrub_log_open(lower_real(), root_fd, &s->log, &info);
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), s->name, "%s or %s: %s", NAME_STATE, NAME_LOG, err_text(r));
	*ret_clean = info.clean;
	return info.missing == 0 ? 0 : cmd_fail(EXIT_CODE_DAMAGE, s->name, "the log lacks transaction %llu, which was acknowledged; coffer fsck says more",
						(unsigned long long)info.missing);
}

/* Its newest snapshot would be one that most files are gone from, and prune would keep that. */
static int no_part(const char *name, int root_fd)
{
	char of[REPO_SNAPSHOT_MAX];
	int r = restore_partial_of(root_fd, of);

	if (r < 0)
		return cmd_fail(cmd_exit_of(r), name, RESTORE_PARTIAL ": %s", err_text(r));
	return *of ? cmd_fail(EXIT_CODE_UNSUPPORTED, name, "not backed up: it is a part of snapshot %s; if it is to be the whole volume from now on, remove "
			      RESTORE_PARTIAL " first", of) : 0;
}

int cmd_backup_run(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO(store_close_p) struct store *store = NULL;
	struct run s = { .g = g };
	struct cmd_backup_args a;
	AUTO_FREE char *path = NULL;
	const char *uri = NULL;
	AUTO_CLOSE int lock = -1;
	bool clean = false;
	int r;

	r = cmd_backup_args(&a, "backup", CMD_BACKUP_DRY_RUN | CMD_BACKUP_FORCE, argc, argv);
	if (r == 0 && (a.n < 1 || a.n > 2))
		r = cmd_usage("backup", "run needs VOLUME and STORE, or NAME");
	s.name = a.arg[0];
	if (r == 0)
		r = cmd_volume_path(g, s.name, &path);
	if (r == 0)
		r = cmd_descriptors(s.name);
	if (r == 0)
		r = cmd_volume_open(path, &v);
	if (r == 0)
		r = no_part(s.name, v.root_fd);
	if (r == 0)
		r = claim(&s, path, v.root_fd, &lock);
	if (r == 0)
		r = cmd_backup_named(g, &a, a.n == 2 ? a.arg[1] : s.name, &uri);
	if (r == 0)
		r = cmd_backup_store(g, &a, uri, &store);
	if (r == 0 && !s.mountpoint)
		r = open_log(&s, v.root_fd, &clean);
	if (r == 0)
		r = run(&s, &a, &v, store, clean);
	scrub_log_close(s.log);
	client_free(s.c);
	free(s.mountpoint);
	cmd_backup_args_done(&a);
	return r;
}
