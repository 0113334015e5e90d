/* cmd_backup_verify.c: backup verify: is all of a snapshot there and unrotted, and, with --authentic and the key, is it the volume's? */
#include "tools/cmd_backup.h"
#include "tools/progress.h"

#include "backup/verify.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define SIGNER_MAX 128

struct verifying {
	const struct cmd_global *g;
	const struct cmd_backup_snapshot *s;
	struct progress bar;
	char signer[SIGNER_MAX];
	bool asked, ok;                  /* --authentic, and what came of it */
	struct cmd_backup_key key;
};

static bool on_progress(void *ctx, const struct verify_counts *c)
{
	struct verifying *v = ctx;

	progress_step(&v->bar, c->bytes);
	return !cmd_backup_stopped();
}

static void on_problem(void *ctx, const char *message)
{
	struct verifying *v = ctx;

	progress_clear(&v->bar);
	(void)fprintf(stderr, "coffer: %s\n", message);
}

/* counts NULL: it did not come to that. */
static int report_json(const struct verifying *v, const struct verify_counts *c)
{
	AUTO_JSON struct json *o = json_new_object();
	const struct manifest *m = &v->s->manifest;
	AUTO_FREE char *text = NULL;
	int r;

	r = json_put_str(o, "snapshot", v->s->name);
	if (r == 0 && c)
		r = json_put_int(o, "objects", (int64_t)c->objects);
	if (r == 0 && c)
		r = json_put_int(o, "bytes", (int64_t)c->bytes);
	if (r == 0 && c)
		r = json_put_int(o, "problems", (int64_t)c->problems);
	if (r == 0)
		r = json_put_str(o, "signature", v->signer);
	if (r == 0)
		r = json_put_str(o, "tag", !m->has_tag ? "none" : !v->asked ? "not looked at" : v->ok ? "fits" : "does not fit");
	if (r == 0 && v->asked)
		r = json_put_bool(o, "authentic", v->ok);
	if (r == 0 && v->key.tenant[0])
		r = json_put_str(o, "tenant", v->key.tenant);
	if (r == 0 && v->key.key_uri[0])
		r = json_put_str(o, "key_uri", v->key.key_uri);
	if (r == 0)
		r = json_dump(o, &text);
	if (r < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, v->s->name, "out of memory");
	(void)puts(text);
	return 0;
}

static int report(const struct verifying *v, const struct verify_counts *c)
{
	char bytes[PROGRESS_SIZE_MAX];
	int r = v->g->json ? report_json(v, c) : 0;

	progress_size(c->bytes, bytes);
	if (!v->g->json && !v->g->quiet) {
		(void)printf("%s: %llu objects, %s, %llu problems; %s, %s, ", v->s->name, (unsigned long long)c->objects, bytes, (unsigned long long)c->problems,
			     c->problems ? "NOT complete" : "complete and unrotted", v->signer);
		if (v->asked)
			(void)printf("authentic: tagged with the key of tenant %s (%s)\n", v->key.tenant, cmd_backup_key_by(&v->key));
		else
			(void)puts(cmd_backup_tagged(&v->s->manifest));
	}
	return r ? r : c->problems ? EXIT_CODE_DAMAGE : 0;
}

/* Before anything is fetched: of a manifest that is somebody else's it does not matter whether all of it is there. */
static int authentic(struct verifying *v, const struct cmd_backup_args *a)
{
	int r;

	v->asked = a->authentic;
	if (!v->asked)
		return 0;
	r = v->s->manifest.has_tag ? cmd_backup_authentic(v->g, a, v->s, &v->key, &v->ok) : 0;
	if (r != 0 || v->ok)
		return r;
	r = v->g->json ? report_json(v, NULL) : 0;
	return r ? r : cmd_backup_not_authentic(v->s, &v->key);
}

static int verify(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s)
{
	struct verifying v = { .g = g, .s = s };
	struct verify_params p = { .ctx = &v, .repo = &s->repo, .m = &s->manifest, .threads = (unsigned)a->threads, .progress = on_progress, .problem = on_problem };
	struct store_error err = { 0 };
	struct verify_counts c;
	int r;

	r = cmd_backup_trusted(a, s, sizeof(v.signer), v.signer);
	if (r == 0)
		r = authentic(&v, a);
	if (r != 0)
		return r;
	progress_start(&v.bar, g, "verify", s->manifest.bytes);
	cmd_backup_signals();
	r = verify_run(&p, &c, &err);
	progress_clear(&v.bar);
	if (r < 0)
		return cmd_backup_fail(s->name, r, &err);
	if (c.problems == 0)
		cmd_done_uuid(g, s->name, s->repo.uuid, PROTO_DONE_VERIFY, s->name);
	return report(&v, &c);
}

int cmd_backup_verify(const struct cmd_global *g, int argc, char **argv)
{
	struct cmd_backup_snapshot s = { 0 };
	struct cmd_backup_args a;
	int r;

	r = cmd_backup_args(&a, "backup", CMD_BACKUP_VOLUME | CMD_BACKUP_SIGNER | CMD_BACKUP_AUTHENTIC, argc, argv);
	if (r == 0 && (a.n < 1 || a.n > 2))
		r = cmd_usage("backup", "verify needs STORE or NAME [SNAPSHOT]");
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], a.n == 2 ? a.arg[1] : "latest", &s);
	if (r == 0)
		r = verify(g, &a, &s);
	cmd_backup_close(&s);
	cmd_backup_args_done(&a);
	return r;
}
