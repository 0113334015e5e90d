/* cmd_doctor.c: coffer doctor: is this host, and this volume, fit for what is promised? */
#include "tools/doctor.h"
#include "tools/status_view.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void target_done(struct doctor_target *t)
{
	free(t->source);
	free(t->mountpoint);
}

/* A mount point, or a volume by path or name. */
static int target_find(const struct cmd_global *g, const char *name, struct doctor_target *t)
{
	AUTO_VOLUME_CONF struct volume_conf conf = { 0 };
	AUTO_FREE char *path = NULL;
	int r;

	t->name = name;
	if (strchr(name, '/')) {
		t->mountpoint = cmd_absolute(name);
		t->source = t->mountpoint ? cmd_mount_source(t->mountpoint) : NULL;
		t->mounted = t->source != NULL;
		if (t->mounted)
			return 0;
		free(take_ptr(t->mountpoint));
	}
	r = cmd_volume_find(g, name, &conf, &path);
	if (r != 0)
		return r;
	t->source = realpath(path, NULL);
	if (!t->source)
		return cmd_fail(cmd_exit_of(-errno), path, "cannot be opened: %s", err_text(-errno));
	t->mountpoint = cmd_mountpoint_of_source(t->source);
	t->mounted = t->mountpoint != NULL;
	if (!t->mountpoint && conf.mountpoint)
		t->mountpoint = strdup(conf.mountpoint);
	return 0;
}

static int finish(struct doctor *d)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;
	int r = d->error;

	if (!d->g->json) {
		if (!d->g->quiet)
			(void)printf("%u ok, %u warnings, %u failed\n", d->count[DOCTOR_OK], d->count[DOCTOR_WARN], d->count[DOCTOR_FAIL]);
	} else {
		o = json_new_object();
		if (r >= 0)
			r = json_put_int(o, "version", 1);
		if (r >= 0)
			r = json_put_bool(o, "ok", d->count[DOCTOR_FAIL] == 0);
		if (r >= 0)
			r = json_put_json(o, "checks", take_ptr(d->checks));
		if (r >= 0)
			r = json_dump(o, &text);
		if (r >= 0)
			(void)puts(text);
	}
	if (r < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "doctor", "%s", err_text(r));
	return d->count[DOCTOR_FAIL] ? EXIT_CODE_HOST_LACKS : 0;
}

static int engine_run(struct doctor *d, const char *engine, const struct doctor_target *t)
{
	if (!t->mounted)
		return cmd_fail(EXIT_CODE_MOUNT_POINT, t->name, "is not mounted; --workload works in a mount: coffer mount");
	return doctor_work(d, engine, t->mountpoint) == -ENOENT ? cmd_usage("doctor", "--workload is one of %s", doctor_engines()) : 0;
}

static int run(struct doctor *d, const char *name, const char *engine)
{
	struct doctor_target t = { 0 };
	int r = 0;

	if (name)
		r = target_find(d->g, name, &t);
	if (r == 0 && engine)
		r = engine_run(d, engine, &t);
	if (r == 0 && !engine) {
		doctor_host(d);
		doctor_agent(d);
		if (name) {
			doctor_key(d, &t);
			doctor_volume(d, &t);
		}
	}
	if (r == 0)
		r = finish(d);
	target_done(&t);
	return r;
}

int cmd_doctor(const struct cmd_global *g, int argc, char **argv)
{
	struct doctor d = { .g = g, .colours = !g->json && status_has_colours() };
	const char *name = NULL, *engine = NULL;
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--workload") == 0 && argv[i + 1])
			engine = argv[++i];
		else if (argv[i][0] == '-' || name)
			return cmd_usage("doctor", "%s: not understood", argv[i]);
		else
			name = argv[i];
	}
	if (engine && !name)
		return cmd_usage("doctor", "--workload needs a MOUNTPOINT or VOLUME");
	if (g->json) {
		d.checks = json_new_array();
		if (!d.checks)
			return cmd_fail(EXIT_CODE_NO_RESOURCE, "doctor", "out of memory");
	}
	r = run(&d, name, engine);
	json_free(d.checks);
	return r;
}
