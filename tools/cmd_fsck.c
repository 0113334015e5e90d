/* cmd_fsck.c: fsck, and fsck --repair: with the key, on a volume that is not mounted. */
#include "tools/cmd.h"
#include "tools/progress.h"

#include "backup/restore.h"
#include "base/json.h"
#include "base/log.h"
#include "fs/repair.h"

#include <stdio.h>
#include <string.h>

struct fsck {
	const struct cmd_global *g;
	const char *path;
	bool repair, accept_log_loss;
	/* Problems of neighbouring blocks are told as one. */
	struct check_problem run;
	char *plain, *backing;           /* its paths; NULL: none */
	uint64_t count;
	struct progress bar;
	char part_of[REPO_SNAPSHOT_MAX]; /* empty: it is the whole volume */
};

/* ---- problems */

static void fsck_tell(struct fsck *f)
{
	const struct check_problem *p = &f->run;
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;

	if (!f->plain)
		return;
	progress_clear(&f->bar);
	if (!f->g->json && f->count > 1)
		(void)fprintf(stderr, "coffer: %s: %s: %s (%s, numbers %llu to %llu)\n", f->plain, check_kind_text(p->kind),
			      err_text(p->error), f->backing, (unsigned long long)p->number,
			      (unsigned long long)(p->number + f->count - 1));
	else if (!f->g->json)
		(void)fprintf(stderr, "coffer: %s: %s: %s (%s, number %llu)%s\n", f->plain, check_kind_text(p->kind),
			      err_text(p->error), f->backing, (unsigned long long)p->number, p->harmless ? "; harmless" : "");
	o = f->g->json ? json_new_object() : NULL;
	if (f->g->json && (json_put_str(o, "problem", check_kind_text(p->kind)) < 0 || json_put_str(o, "path", f->plain) < 0 ||
			   json_put_str(o, "backing_path", f->backing) < 0 || json_put_int(o, "number", (int64_t)p->number) < 0 ||
			   json_put_int(o, "count", (int64_t)f->count) < 0 || json_put_bool(o, "harmless", p->harmless) < 0 ||
			   json_dump(o, &text) < 0))
		(void)puts("{\"problem\":\"not printable\"}");
	else if (text)
		(void)puts(text);
	free(take_ptr(f->plain));
	free(take_ptr(f->backing));
}

/* f->backing is what can be printed of it. */
static bool fsck_same(const struct fsck *f, const struct check_problem *p)
{
	AUTO_FREE char *backing = cmd_printable(p->backing_path);

	return backing && strcmp(f->backing, backing) == 0;
}

static void fsck_problem(void *ctx, const struct check_problem *p)
{
	struct fsck *f = ctx;
	struct check_problem *run = &f->run;

	if (f->plain && p->kind == CHECK_BLOCK && run->kind == p->kind && run->error == p->error &&
	    p->number == run->number + f->count && fsck_same(f, p)) {
		f->count++;
		return;
	}
	fsck_tell(f);
	*run = *p;
	f->count = 1;
	f->plain = cmd_printable(p->plain_path);
	f->backing = cmd_printable(p->backing_path);
	if (f->plain && f->backing)
		return;
	(void)fputs("coffer: out of memory: problems are not all told\n", stderr);
	free(take_ptr(f->plain));
	free(take_ptr(f->backing));
}

/* ---- what a repair did */

static const char *action_key(enum repair_kind kind)
{
	static const char *const keys[] = {
		[REPAIR_NOTHING] = "read-again",     [REPAIR_REAPPLIED] = "reapplied",     [REPAIR_SALVAGED] = "salvaged",  [REPAIR_TAKEN] = "taken",
		[REPAIR_QUARANTINED] = "quarantined", [REPAIR_FOUND] = "found",        [REPAIR_DIR_ID] = "directory-id",
		[REPAIR_LINK] = "link-removed",       [REPAIR_FAILED] = "left",
	};

	return keys[kind];
}

static int action_json(const struct repair_action *a, struct json *o)
{
	int r;

	r = json_put_str(o, "repair", action_key(a->kind));
	if (r == 0)
		r = json_put_str(o, "problem", check_kind_text(a->problem));
	if (r == 0)
		r = json_put_str(o, "path", a->plain_path);
	if (r == 0)
		r = json_put_str(o, "backing_path", a->backing_path);
	if (r == 0 && a->to)
		r = json_put_str(o, "to", a->to);
	if (r == 0 && a->kind == REPAIR_SALVAGED)
		r = json_put_int(o, "good_bytes", (int64_t)a->good);
	if (r == 0 && a->kind == REPAIR_SALVAGED)
		r = json_put_int(o, "unproven_bytes", (int64_t)a->unproven);
	if (r == 0 && a->kind == REPAIR_SALVAGED)
		r = json_put_int(o, "lost_bytes", (int64_t)a->lost);
	if (r == 0 && a->kind == REPAIR_FAILED)
		r = json_put_str(o, "error", err_text(a->error));
	return r;
}

static void fsck_action(void *ctx, const struct repair_action *told)
{
	struct fsck *f = ctx;
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL, *plain = cmd_printable(told->plain_path), *backing = cmd_printable(told->backing_path);
	AUTO_FREE char *to = told->to ? cmd_printable(told->to) : NULL;
	struct repair_action act = *told, *a = &act;

	act.plain_path = plain ? plain : "?";
	act.backing_path = backing ? backing : "?";
	act.to = to;
	fsck_tell(f);
	progress_clear(&f->bar);
	if (f->g->json) {
		o = json_new_object();
		if (action_json(a, o) < 0 || json_dump(o, &text) < 0)
			(void)puts("{\"repair\":\"not printable\"}");
		else
			(void)puts(text);
		return;
	}
	(void)fprintf(stderr, "coffer: %s: repair: %s%s%s", a->plain_path, repair_kind_text(a->kind), a->to ? " to " : "", a->to ? a->to : "");
	if (a->kind == REPAIR_SALVAGED)
		(void)fprintf(stderr, " (%llu bytes good, %llu unproven, %llu lost)", (unsigned long long)a->good, (unsigned long long)a->unproven,
			      (unsigned long long)a->lost);
	if (a->kind == REPAIR_FAILED)
		(void)fprintf(stderr, ": %s", err_text(a->error));
	(void)fprintf(stderr, " (%s)\n", a->backing_path);
}

/* ---- what opening the volume mended: its own files. In words the log has it. */

struct outcome {
	struct check_counts n;           /* of the first pass */
	uint64_t left, actions;
	struct vio_stats io;
};

static bool opened_mended(const struct vio_stats *io)
{
	return io->state_remade || io->log_remade || io->lost_first;
}

static int opened_json(const char *what, const char *file, const struct vio_stats *lost)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	char to[80];
	int r;

	r = json_put_str(o, "repair", what);
	if (r == 0)
		r = json_put_str(o, "backing_path", file);
	if (r == 0 && lost) {
		(void)snprintf(to, sizeof(to), NAME_QUARANTINE "/%llu.ring", (unsigned long long)lost->lost_first);
		r = json_put_str(o, "to", to);
	}
	if (r == 0 && lost)
		r = json_put_int(o, "lost_first", (int64_t)lost->lost_first);
	if (r == 0 && lost)
		r = json_put_int(o, "lost_last", (int64_t)lost->lost_last);
	if (r == 0)
		r = json_dump(o, &text);
	(void)puts(r == 0 ? text : "{\"repair\":\"not printable\"}");
	return 1;
}

/* How many; told if they are to be JSON. */
static uint64_t fsck_opened(const struct fsck *f, const struct vio_stats *io)
{
	if (!f->g->json)
		return (uint64_t)io->state_remade + io->log_remade + (io->lost_first > 0);
	return (io->state_remade ? (uint64_t)opened_json("state-remade", NAME_STATE, NULL) : 0) +
	       (io->log_remade ? (uint64_t)opened_json("log-remade", NAME_LOG, NULL) : 0) +
	       (io->lost_first ? (uint64_t)opened_json("log-cut", NAME_LOG, io) : 0);
}

/* ---- the end */

static int report_json(const struct fsck *f, const struct outcome *u)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	const struct check_counts *n = &u->n;

	if (json_put_int(o, "directories", (int64_t)n->dirs) < 0 || json_put_int(o, "files", (int64_t)n->files) < 0 ||
	    json_put_int(o, "symlinks", (int64_t)n->symlinks) < 0 || json_put_int(o, "blocks", (int64_t)n->blocks) < 0 ||
	    json_put_int(o, "bytes", (int64_t)n->bytes) < 0 || json_put_int(o, "problems", (int64_t)n->problems) < 0 ||
	    json_put_int(o, "harmless", (int64_t)n->harmless) < 0 ||
	    json_put_int(o, "replayed_transactions", (int64_t)u->io.replayed_transactions) < 0)
		return -ENOMEM;
	if (f->repair && (json_put_int(o, "repaired", (int64_t)u->actions) < 0 || json_put_int(o, "left", (int64_t)u->left) < 0))
		return -ENOMEM;
	if (u->io.lost_first && (json_put_int(o, "lost_first", (int64_t)u->io.lost_first) < 0 ||
				 json_put_int(o, "lost_last", (int64_t)u->io.lost_last) < 0))
		return -ENOMEM;
	if (json_dump(o, &text) < 0)
		return -ENOMEM;
	(void)puts(text);
	return 0;
}

static void report_text(const struct fsck *f, const struct outcome *u)
{
	const struct check_counts *n = &u->n;

	(void)printf("%s: %llu directories, %llu files, %llu blocks verified, %llu problems\n", f->path, (unsigned long long)n->dirs,
		     (unsigned long long)n->files, (unsigned long long)n->blocks, (unsigned long long)n->problems);
	if (*f->part_of)
		(void)printf("%s: a part of snapshot %s: whether anything is missing that was not restored nobody looked\n", f->path, f->part_of);
	if (f->repair)
		(void)printf("%s: %llu repaired, %llu left\n", f->path, (unsigned long long)u->actions, (unsigned long long)u->left);
}

static int fsck_report(const struct fsck *f, const struct outcome *u)
{
	if (u->io.lost_first && !f->g->json)
		(void)fprintf(stderr, "coffer: %s: the log: transactions %llu to %llu were acknowledged and are missing: dropped, as accepted\n", f->path,
			      (unsigned long long)u->io.lost_first, (unsigned long long)u->io.lost_last);
	if (f->g->json && report_json(f, u) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, f->path, "out of memory");
	if (!f->g->json && !f->g->quiet)
		report_text(f, u);
	if (u->left)
		return EXIT_CODE_DAMAGE;
	return u->n.problems || opened_mended(&u->io) ? EXIT_CODE_REPAIRED : 0;
}

static bool fsck_progress(void *ctx, const struct check_counts *n)
{
	struct fsck *f = ctx;

	progress_step(&f->bar, n->bytes);
	return true;
}

static int fsck_run(struct fsck *f, struct volume *vol, struct outcome *u)
{
	struct check_params check = { .ctx = f, .problem = fsck_problem, .progress = fsck_progress };
	struct repair_params repair = { .ctx = f, .problem = fsck_problem, .action = fsck_action, .progress = fsck_progress };
	struct repair_result res;
	int r;

	if (!f->repair) {
		r = check_run(vol, &check, &u->n);
		u->left = r == 0 ? u->n.problems : 0;
	} else {
		r = repair_run(vol, &repair, &res);
		if (r == 0) {
			u->n = res.first;
			u->left = res.last.problems;
			u->actions += res.actions;
		}
	}
	fsck_tell(f);
	progress_clear(&f->bar);
	return r;
}

/* ---- the command */

static int fsck_volume(struct fsck *f)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLIENT struct client *c = NULL;
	AUTO_SECRET struct secret *root = NULL;
	char holder[VOLUME_HOLDER_MAX] = "";
	struct volume_options o = { .accept_log_loss = f->accept_log_loss, .remake_state = f->accept_log_loss };
	struct volume_events e = { 0 };
	struct outcome u = { 0 };
	struct volume_stats st;
	struct client_unlocked un;
	struct volume *vol;
	int r, rc;

	r = cmd_volume_open(f->path, &v);
	if (r == 0 && restore_partial_of(v.root_fd, f->part_of) < 0)
		f->part_of[0] = '\0';
	if (r == 0)
		r = cmd_descriptors(f->path);
	if (r == 0)
		r = cmd_unlock(f->g, f->path, f->repair ? "repair" : "fsck", &v, &c, &un, &root);
	if (r != 0)
		return r;
	o.min_stamp_limit = un.seen.stamp_limit;
	memcpy(o.seen_generation, un.seen.generation, GENERATION_LEN);
	o.accept_older = un.seen.older_ok;
	o.read_only = !f->repair; /* looking writes nothing, not even a replay */
	progress_start(&f->bar, f->g, "fsck", 0);
	f->bar.total = f->bar.on ? progress_tree_bytes(v.root_fd) : 0;
	log_hold();
	r = volume_open(lower_real(), take_fd(&v.root_fd), v.config, v.config_len, &root, &o, &e, holder, &vol);
	if (r < 0)
		return cmd_open_fail(f->path, r, holder);
	(void)log_release(NULL, 0);
	volume_stats(vol, &st);
	u.actions = fsck_opened(f, &st.io);
	r = fsck_run(f, vol, &u);
	volume_stats(vol, &st);
	u.io = st.io;
	rc = volume_close(vol);
	if (r < 0 || rc < 0)
		return cmd_fail(cmd_exit_of(r < 0 ? r : rc), f->path, "stopped: %s%s", err_text(r < 0 ? r : rc),
				f->repair ? "; run it again: what was done stays done" : "");
	return fsck_report(f, &u);
}

int cmd_fsck(const struct cmd_global *g, int argc, char **argv)
{
	struct fsck f = { .g = g };
	AUTO_FREE char *path = NULL;
	const char *volume = NULL;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--repair") == 0)
			f.repair = true;
		else if (strcmp(argv[i], "--accept-log-loss") == 0)
			f.accept_log_loss = true;
		else if (argv[i][0] == '-' || volume)
			return cmd_usage("fsck", "%s: not understood", argv[i]);
		else
			volume = argv[i];
	}
	if (!volume)
		return cmd_usage("fsck", "needs one VOLUME");
	if (f.accept_log_loss && !f.repair)
		return cmd_usage("fsck", "--accept-log-loss: only with --repair");
	r = cmd_volume_path(g, volume, &path);
	if (r != 0)
		return r;
	f.path = path;
	return fsck_volume(&f);
}
