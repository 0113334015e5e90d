/* cmd_backup_prune.c: backup prune: which snapshots stay, and the rest goes. */
#include "tools/cmd_backup.h"
#include "tools/progress.h"

#include "backup/prune.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static bool on_progress(void *ctx)
{
	(void)ctx;
	return !cmd_backup_stopped();
}

static const char *when(int64_t until, size_t max, char *ret_text)
{
	if (until == INT64_MAX || text_time((time_t)until, max, ret_text) < 0)
		return "its legal hold ends";
	return ret_text;
}

static void on_snapshot(void *ctx, const char *name, bool kept, int64_t until)
{
	const struct cmd_global *g = ctx;
	char text[TIME_TEXT_MAX];

	if (g->json || g->quiet)
		return;
	if (until)
		(void)printf("locked %s until %s\n", name, when(until, sizeof(text), text));
	else
		(void)printf("%s %s\n", kept ? "keep  " : "remove", name);
}

static int parse_count(const char *text, uint64_t max, uint64_t *ret_n)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || n > max)
		return -EINVAL;
	*ret_n = n;
	return 0;
}

/* Take the options of prune out of argv; the rest is for cmd_backup_args. */
static int keep_args(struct prune_params *p, int *argc, char **argv)
{
	struct prune_keep *k = &p->keep;
	const struct {
		const char *name;
		uint64_t *to;
		uint64_t max;
	} options[] = {
		{ "--keep-last", &k->last, PRUNE_KEEP_MAX },       { "--keep-daily", &k->daily, PRUNE_KEEP_MAX },   { "--keep-weekly", &k->weekly, PRUNE_KEEP_MAX },
		{ "--keep-monthly", &k->monthly, PRUNE_KEEP_MAX }, { "--keep-yearly", &k->yearly, PRUNE_KEEP_MAX }, { "--grace", &p->grace_s, 366ul * 86400 },
	};
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		size_t o = 0;

		while (o < sizeof(options) / sizeof(options[0]) && strcmp(argv[i], options[o].name) != 0)
			o++;
		if (o == sizeof(options) / sizeof(options[0])) {
			argv[n++] = argv[i];
			continue;
		}
		if (i + 1 == *argc || parse_count(argv[i + 1], options[o].max, options[o].to) < 0)
			return cmd_usage("backup", "%s: needs a number", argv[i]);
		i++;
	}
	argv[n] = NULL;
	*argc = n;
	return 0;
}

static bool keeps_any(const struct prune_keep *k)
{
	return k->last || k->daily || k->weekly || k->monthly || k->yearly;
}

/* Without a word on the command line, what volumes.d says. */
static int keep_named(struct prune_keep *k, const struct cmd_backup_args *a)
{
	if (!keeps_any(k)) {
		k->daily = a->keep_daily > 0 ? (uint64_t)a->keep_daily : 0;
		k->weekly = a->keep_weekly > 0 ? (uint64_t)a->keep_weekly : 0;
		k->monthly = a->keep_monthly > 0 ? (uint64_t)a->keep_monthly : 0;
	}
	return keeps_any(k) ? 0 : cmd_usage("backup", "prune needs at least one of --keep-last, --keep-daily, --keep-weekly, --keep-monthly, --keep-yearly, "
					    "or keep-daily= and the like in volumes.d");
}

static int prune(const struct cmd_global *g, struct prune_params *p, const char *uri)
{
	struct store_error err = { 0 };
	char bytes[PROGRESS_SIZE_MAX], until[TIME_TEXT_MAX];
	struct prune_counts c;
	int r;

	cmd_backup_signals();
	r = prune_run(p, &c, &err);
	if (r == -EBUSY)
		return cmd_fail(EXIT_CODE_BUSY, uri, "%s", err.message);
	if (r < 0)
		return cmd_backup_fail(uri, r, &err);
	progress_size(c.bytes, bytes);
	if (g->json)
		(void)printf("{\"kept\":%llu,\"snapshots\":%llu,\"objects\":%llu,\"bytes\":%llu,\"locked\":%llu,\"dry_run\":%s}\n",
			     (unsigned long long)c.kept, (unsigned long long)c.snapshots, (unsigned long long)c.objects, (unsigned long long)c.bytes,
			     (unsigned long long)c.locked, p->dry_run ? "true" : "false");
	else if (!g->quiet)
		(void)printf("%s: %llu snapshots stay; %s %llu snapshots and %llu objects, %s\n", uri, (unsigned long long)c.kept,
			     p->dry_run ? "to remove:" : "removed", (unsigned long long)c.snapshots, (unsigned long long)c.objects, bytes);
	if (c.locked > 0 && !g->json && !g->quiet)
		(void)printf("%s: %llu more stay, held by object lock, the last until %s\n", uri, (unsigned long long)c.locked,
			     when(c.locked_until, sizeof(until), until));
	return 0;
}

int cmd_backup_prune(const struct cmd_global *g, int argc, char **argv)
{
	struct prune_params p = { .ctx = (void *)(uintptr_t)g, .grace_s = PRUNE_GRACE_S, .snapshot = on_snapshot, .progress = on_progress };
	struct cmd_backup_snapshot s = { 0 };
	struct cmd_backup_args a = { 0 };
	int r;

	r = keep_args(&p, &argc, argv);
	if (r != 0)
		return r;
	r = cmd_backup_args(&a, "backup", CMD_BACKUP_VOLUME | CMD_BACKUP_DRY_RUN, argc, argv);
	if (r == 0 && a.n != 1)
		r = cmd_usage("backup", "prune needs STORE or NAME");
	a.prunes = true;
	if (r == 0 && strstr(a.arg[0], "://"))
		r = keep_named(&p.keep, &a);
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], NULL, &s);
	if (r == 0)
		r = keep_named(&p.keep, &a);
	p.repo = &s.repo;
	p.dry_run = a.dry_run;
	if (r == 0)
		r = prune(g, &p, a.arg[0]);
	cmd_backup_close(&s);
	cmd_backup_args_done(&a);
	return r;
}
