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

static int no_room_for(const char *dir, int r)
{
	if (r == -ENOTEMPTY)
		return cmd_fail(EXIT_CODE_EXISTS, dir, "not empty, and no unfinished restore of the same; nothing is ever overwritten");
	return r < 0 ? cmd_fail(cmd_exit_of(r), dir, "cannot be written: %s", err_text(r)) : 0;
}

static int open_dir(const char *dir, int *ret_fd, bool *ret_made)
{
	AUTO_CLOSE int fd = -1;
	bool made;

	made = mkdir(dir, 0700) == 0;
	if (!made && errno != EEXIST)
		return cmd_fail(cmd_exit_of(-errno), dir, "cannot be made: %s", err_text(-errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cmd_fail(cmd_exit_of(-errno), dir, "cannot be opened: %s", err_text(-errno));
	*ret_made = made;
	*ret_fd = take_fd(&fd);
	return 0;
}

static void report(const struct cmd_global *g, const char *dir, const struct cmd_backup_snapshot *s, const struct restore_counts *c, const char *signer,
		   const struct cmd_backup_key *partial)
{
	char bytes[PROGRESS_SIZE_MAX];

	progress_size(c->bytes, bytes);
	if (c->devices > 0)
		(void)fprintf(stderr, "coffer: %s: %llu devices were left out (--dev)\n", dir, (unsigned long long)c->devices);
	if (s->manifest.problems > 0)
		(void)fprintf(stderr, "coffer: %s: the volume had %llu damaged blocks when it was backed up; they are as they were\n", dir,
			      (unsigned long long)s->manifest.problems);
	if (g->json)
		(void)printf("{\"snapshot\":\"%s\",\"files\":%llu,\"bytes\":%llu,\"partial\":%s,\"signature\":\"%s\",\"tagged\":%s}\n", s->name,
			     (unsigned long long)c->files, (unsigned long long)c->bytes, partial ? "true" : "false", signer, s->manifest.has_tag ? "true" : "false");
	else if (!g->quiet)
		(void)printf("%s: %ssnapshot %s, %llu entries, %s, every byte as it was stored; %s, %s\n", dir, partial ? "a part of " : "", s->name,
			     (unsigned long long)c->files, bytes, signer, partial && s->manifest.has_tag ? "authentic: tagged with the key below" : cmd_backup_tagged(&s->manifest));
	if (!g->json && !g->quiet && partial)
		(void)printf("Its names are by the key of tenant %s (%s). What was not asked for is not in it, and it cannot be backed up as the volume\n", partial->tenant,
			     partial->key_uri);
	if (!g->json && !g->quiet)
		(void)printf("Before it can be mounted here: coffer trust %s\n", dir);
}

static int run(const struct cmd_global *g, const struct restore_params *p, const char *dir, struct restore_counts *ret_c)
{
	struct restoring *v = p->ctx;
	char why[CMD_WHY_MAX] = "";
	struct store_error err;
	int r;

	progress_start(&v->bar, g, "restore", p->pick ? pick_bytes(p->pick) : p->m->bytes);
	cmd_backup_signals();
	log_hold();
	r = restore_run(p, ret_c, &err);
	progress_clear(&v->bar);
	(void)log_release(why, sizeof(why));
	if (r < 0 && !err.message[0] && *why)
		return cmd_fail(cmd_exit_of(r), dir, "stopped: %s", why);
	return r < 0 ? cmd_backup_fail(dir, r, &err) : 0;
}

int cmd_restore_snapshot(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s, const char *dir,
			 struct restore_counts *ret_c, struct cmd_backup_key *ret_k)
{
	struct restoring v;
	struct snapshot_spool spool;
	struct restore_params p = { .ctx = &v, .repo = &s->repo, .m = &s->manifest, .snapshot = s->name, .pick = a->pick, .suid = a->suid, .dev = a->dev,
				    .threads = (unsigned)a->threads, .progress = on_progress };
	AUTO_CLOSE int fd = -1;
	bool made = false;
	int r;

	r = open_dir(dir, &fd, &made);
	if (r != 0)
		return r;
	snapshot_spool_init(&spool, a->pick ? fd : -1, &s->manifest);
	p.root_fd = fd;
	p.spool = &spool;
	r = no_room_for(dir, restore_is_fit(fd));
	if (r == 0 && a->pick)
		r = cmd_restore_pick(g, a->pick, s, dir, fd, &spool, ret_k);
	if (r == 0)
		r = no_room_for(dir, restore_prepare(fd, &s->repo, s->name, a->pick, &p.resume));
	if (r != 0 && made)
		(void)rmdir(dir);
	if (r == 0)
		r = run(g, &p, dir, ret_c);
	snapshot_spool_done(&spool);
	return r;
}

static int restore(const struct cmd_global *g, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s)
{
	struct cmd_backup_key k = { 0 };
	struct restore_counts c;
	char signer[SIGNER_MAX];
	int r;

	r = cmd_backup_trusted(a, s, sizeof(signer), signer);
	if (r == 0)
		r = cmd_restore_snapshot(g, a, s, a->arg[2], &c, &k);
	if (r == 0)
		report(g, a->arg[2], s, &c, signer, a->pick ? &k : NULL);
	return r;
}

int cmd_restore(const struct cmd_global *g, int argc, char **argv)
{
	struct cmd_backup_snapshot s = { 0 };
	struct cmd_backup_args a;
	int r;

	r = cmd_backup_args(&a, "restore", CMD_BACKUP_VOLUME | CMD_BACKUP_SUID_DEV | CMD_BACKUP_SIGNER | CMD_BACKUP_PATHS, argc, argv);
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
