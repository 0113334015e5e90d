/* cmd_scrub.c: scrub: checksums, without a key. A mounted volume is read below its mount, which is asked, through the agent, to hold still while what did not
 * fit is read again. One that is not mounted is kept from being mounted for writing meanwhile. */
#include "tools/cmd.h"
#include "tools/progress.h"

#include "base/json.h"
#include "base/log.h"
#include "fs/scrub.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct scrub_run {
	const struct cmd_global *g;
	const char *name;                /* as the user gave it */
	char *source, *mountpoint;       /* mountpoint NULL: not mounted */
	struct client *c;
	struct progress bar;
};

static void on_problem(void *ctx, const struct scrub_problem *p)
{
	struct scrub_run *s = ctx;
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL, *path = cmd_printable(p->backing_path);

	progress_clear(&s->bar);
	if (!s->g->json) {
		(void)fprintf(stderr, "coffer: %s: %s%s%s (number %llu, %llu in all)\n", path ? path : "?", scrub_kind_text(p->kind), p->error ? ": " : "",
			      p->error ? err_text(p->error) : "", (unsigned long long)p->number, (unsigned long long)p->count);
		return;
	}
	o = json_new_object();
	if (json_put_str(o, "problem", scrub_kind_text(p->kind)) < 0 || json_put_str(o, "backing_path", path ? path : "?") < 0 ||
	    json_put_int(o, "number", (int64_t)p->number) < 0 || json_put_int(o, "count", (int64_t)p->count) < 0 || json_dump(o, &text) < 0)
		(void)puts("{\"problem\":\"not printable\"}");
	else
		(void)puts(text);
}

static bool on_progress(void *ctx, const struct scrub_counts *c)
{
	struct scrub_run *s = ctx;

	progress_step(&s->bar, c->bytes);
	return true;
}

static int on_hold(void *ctx)
{
	struct scrub_run *s = ctx;

	return client_freeze(s->c, s->mountpoint, cmd_mounter(s->mountpoint));
}

static int on_release(void *ctx)
{
	struct scrub_run *s = ctx;
	int r = client_thaw(s->c, s->mountpoint, cmd_mounter(s->mountpoint));

	return r == -EBUSY ? -ETIMEDOUT : r; /* it had ended by itself */
}

static int report(const struct scrub_run *s, const struct scrub_counts *n, double seconds)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;
	char bytes[PROGRESS_SIZE_MAX], rate[PROGRESS_SIZE_MAX];

	if (s->g->json) {
		o = json_new_object();
		if (json_put_int(o, "files", (int64_t)n->files) < 0 || json_put_int(o, "groups", (int64_t)n->groups) < 0 ||
		    json_put_int(o, "blocks", (int64_t)n->blocks) < 0 || json_put_int(o, "bytes", (int64_t)n->bytes) < 0 ||
		    json_put_int(o, "problems", (int64_t)n->problems) < 0 || json_put_bool(o, "mounted", s->mountpoint) < 0 ||
		    json_dump(o, &text) < 0)
			return cmd_fail(EXIT_CODE_NO_RESOURCE, s->name, "out of memory");
		(void)puts(text);
	} else if (!s->g->quiet) {
		progress_size(n->bytes, bytes);
		progress_size(seconds > 0 ? (uint64_t)((double)n->bytes / seconds) : 0, rate);
		(void)printf("%s: %llu files, %llu blocks, %s in %.1f s (%s/s), %llu problems\n", s->name, (unsigned long long)n->files,
			     (unsigned long long)n->blocks, bytes, seconds, rate, (unsigned long long)n->problems);
	}
	return n->problems ? EXIT_CODE_DAMAGE : 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run(struct scrub_run *s, int root_fd)
{
	struct scrub_params p = { .ctx = s, .problem = on_problem, .progress = on_progress, .live = s->mountpoint };
	struct scrub_counts n;
	char why[CMD_WHY_MAX] = "";
	double start;
	int r;

	if (s->mountpoint) {
		p.hold = on_hold;
		p.release = on_release;
	}
	progress_start(&s->bar, s->g, "scrub", 0);
	if (s->bar.on)
		s->bar.total = progress_tree_bytes(root_fd);
	start = now();
	log_hold();
	r = scrub_run(lower_real(), root_fd, &p, &n);
	progress_clear(&s->bar);
	(void)log_release(why, sizeof(why));
	if (r < 0 && s->c && client_error(s->c)->r == r)
		return cmd_agent_fail(s->c, s->name);
	if (r < 0)
		return cmd_fail(r == -EUCLEAN ? EXIT_CODE_DAMAGE : cmd_exit_of(r), s->name, "stopped: %s", *why ? why : err_text(r));
	return report(s, &n, now() - start);
}

static int connect_agent(struct scrub_run *s)
{
	int r;

	s->c = client_new(s->g->agent);
	if (!s->c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->name, "out of memory");
	r = client_connect(s->c);
	return r < 0 ? cmd_agent_fail(s->c, "agent") : 0;
}

static int scrub(struct scrub_run *s)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLOSE int lock = -1;
	int r;

	r = cmd_volume_open(s->source, &v);
	if (r == 0)
		r = cmd_descriptors(s->name);
	if (r == 0 && !s->mountpoint)
		r = cmd_claim(s->source, s->source, v.root_fd, &lock, &s->mountpoint);
	if (r == 0 && s->mountpoint)
		r = connect_agent(s);
	if (r == 0)
		r = run(s, v.root_fd);
	if (r == 0)
		cmd_done(s->g, s->name, &v.instance, PROTO_DONE_SCRUB, "");
	return r;
}

int cmd_scrub(const struct cmd_global *g, int argc, char **argv)
{
	struct scrub_run s = { .g = g };
	AUTO_FREE char *path = NULL;
	int r = 0;

	if (argc != 2 || argv[1][0] == '-')
		return cmd_usage("scrub", "needs one VOLUME or MOUNTPOINT");
	s.name = argv[1];
	s.mountpoint = cmd_absolute(argv[1]);
	s.source = s.mountpoint ? cmd_mount_source(s.mountpoint) : NULL;
	if (!s.source) {
		free(take_ptr(s.mountpoint));
		r = cmd_volume_path(g, argv[1], &path);
		s.source = r == 0 ? realpath(path, NULL) : NULL;
		if (r == 0 && !s.source)
			r = cmd_fail(cmd_exit_of(-errno), path, "cannot be opened: %s", err_text(-errno));
	}
	if (r == 0)
		r = scrub(&s);
	client_free(s.c);
	free(s.source);
	free(s.mountpoint);
	return r;
}
