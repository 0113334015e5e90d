/* cmd_restore.c: restore: a snapshot into a directory of its own, which is then a volume that this host does not know yet (coffer trust). */
#include "tools/cmd_backup.h"
#include "tools/progress.h"

#include "backup/restore.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SIGNER_MAX 128

struct restoring {
	struct progress bar;
};

static bool on_progress(void *ctx, const struct restore_counts *c)
{
	struct restoring *v = ctx;

	progress_step(&v->bar, c->bytes);
	return !cmd_backup_stopped();
}

static int open_dir(const char *dir, const struct cmd_backup_snapshot *s, int *ret_fd, bool *ret_resume)
{
	AUTO_CLOSE int fd = -1;
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return cmd_fail(cmd_exit_of(-errno), dir, "cannot be made: %s", err_text(-errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cmd_fail(cmd_exit_of(-errno), dir, "cannot be opened: %s", err_text(-errno));
	r = restore_prepare(fd, &s->repo, s->name, ret_resume);
	if (r == -ENOTEMPTY)
		return cmd_fail(EXIT_CODE_EXISTS, dir, "not empty, and no unfinished restore of this snapshot; nothing is ever overwritten");
	if (r < 0)
		return cmd_fail(cmd_exit_of(r), dir, "cannot be written: %s", err_text(r));
	*ret_fd = take_fd(&fd);
	return 0;
}

static void report(const struct cmd_global *g, const char *dir, const struct cmd_backup_snapshot *s, const struct restore_counts *c, const char *signer)
{
	char bytes[PROGRESS_SIZE_MAX];

	progress_size(c->bytes, bytes);
	if (c->devices > 0)
		(void)fprintf(stderr, "coffer: %s: %llu devices were left out (--dev)\n", dir, (unsigned long long)c->devices);
	if (s->manifest.problems > 0)
		(void)fprintf(stderr, "coffer: %s: the volume had %llu damaged blocks when it was backed up; they are as they were\n", dir,
			      (unsigned long long)s->manifest.problems);
	if (g->json)
		(void)printf("{\"snapshot\":\"%s\",\"files\":%llu,\"bytes\":%llu,\"signature\":\"%s\",\"tagged\":%s}\n", s->name, (unsigned long long)c->files,
			     (unsigned long long)c->bytes, signer, s->manifest.has_tag ? "true" : "false");
	else if (!g->quiet)
		(void)printf("%s: snapshot %s, %llu entries, %s, every byte as it was stored; %s, %s\nBefore it can be mounted here: coffer trust %s\n", dir, s->name,
			     (unsigned long long)c->files, bytes, signer, cmd_backup_tagged(&s->manifest), dir);
}

int cmd_restore_snapshot(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, const char *dir,
			 struct restore_counts *ret_c)
{
	struct restoring v;
	struct restore_params p = { .ctx = &v, .repo = &s->repo, .m = &s->manifest, .snapshot = s->name, .suid = a->suid, .dev = a->dev,
				    .threads = (unsigned)a->threads, .progress = on_progress };
	char why[CMD_WHY_MAX] = "";
	struct store_error err;
	AUTO_CLOSE int fd = -1;
	int r;

	r = open_dir(dir, s, &fd, &p.resume);
	if (r != 0)
		return r;
	p.root_fd = fd;
	progress_start(&v.bar, g, "restore", s->manifest.bytes);
	cmd_backup_signals();
	log_hold();
	r = restore_run(&p, ret_c, &err);
	progress_clear(&v.bar);
	(void)log_release(why, sizeof(why));
	if (r < 0 && !err.message[0] && *why)
		return cmd_fail(cmd_exit_of(r), dir, "stopped: %s", why);
	return r < 0 ? cmd_backup_fail(dir, r, &err) : 0;
}

static int restore(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s)
{
	struct restore_counts c;
	char signer[SIGNER_MAX];
	int r;

	r = cmd_backup_trusted(a, s, sizeof(signer), signer);
	if (r == 0)
		r = cmd_restore_snapshot(g, a, s, a->arg[2], &c);
	if (r == 0)
		report(g, a->arg[2], s, &c, signer);
	return r;
}

int cmd_restore(const struct cmd_global *g, int argc, char **argv)
{
	struct cmd_backup_snapshot s = { 0 };
	struct cmd_backup_args a;
	int r;

	r = cmd_backup_args(&a, "restore", CMD_BACKUP_VOLUME | CMD_BACKUP_SUID_DEV | CMD_BACKUP_SIGNER, argc, argv);
	if (r == 0 && a.n != 3)
		r = cmd_usage("restore", "needs STORE or NAME, SNAPSHOT or latest, and DIR");
	if (r == 0)
		r = cmd_descriptors(a.arg[2]);
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], a.arg[1], &s);
	if (r == 0)
		r = restore(g, &a, &s);
	cmd_backup_close(&s);
	cmd_backup_args_done(&a);
	return r;
}
