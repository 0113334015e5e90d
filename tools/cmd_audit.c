/* cmd_audit.c: the arguments of `coffer audit`, its files, and `coffer audit verify`. All of it reads files and asks no agent, so that it can be done on
 * another host, with copies; but for a tenant's own rows, for whom may not read the files (cmd_audit_show.c). */
#include "tools/cmd_audit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"

#define STATE_DIR "/var/lib/coffer"
#define NS 1000000000LL

/* --- arguments --- */

/* An age (90m, 24h, 7d), a day, or a time in UTC. */
static int since_parse(const char *text, int64_t *ret_ns)
{
	static const char rest[] = "0000-00-00T00:00:00.000000000Z";
	char full[AUDIT_TIME_LEN], unit, more;
	size_t len = strlen(text);
	unsigned n;

	if (sscanf(text, "%6u%c%c", &n, &unit, &more) == 2 && strchr("smhd", unit)) {
		*ret_ns = ((int64_t)time(NULL) - (int64_t)n * (unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 86400)) * NS;
		return *ret_ns > 0 ? 0 : -EINVAL;
	}
	if (len == sizeof("2026-01-31T23:59:59Z") - 1 && text[len - 1] == 'Z')
		len--;
	if (len != 10 && len != 19 && len != AUDIT_TIME_LEN - 1)
		return -EINVAL;
	(void)snprintf(full, sizeof(full), "%.*s%s", (int)len, text, rest + len);
	return audit_row_time_parse(full, ret_ns) < 0 ? -EINVAL : 0;
}

static const char **option_of(struct cmd_audit *a, const char *name)
{
	if (strcmp(name, "--anchors") == 0)
		return &a->anchors;
	if (strcmp(name, "--host") == 0)
		return &a->host;
	if (strcmp(name, "--tenant") == 0)
		return &a->tenant;
	if (strcmp(name, "--html") == 0)
		return &a->html;
	return strcmp(name, "--since") == 0 ? &a->since : NULL;
}

static int arguments(struct cmd_audit *a, int argc, char **argv)
{
	const char **to;
	int i;

	for (i = 2; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) != 0) {
			a->paths[a->path_count++] = argv[i];
			continue;
		}
		to = option_of(a, argv[i]);
		if (!to)
			return cmd_usage("audit", "%s: no such option", argv[i]);
		if (i + 1 == argc)
			return cmd_usage("audit", "%s needs a value", argv[i]);
		*to = argv[++i];
	}
	if (a->since && since_parse(a->since, &a->since_ns) < 0)
		return cmd_usage("audit", "--since %s: neither an age (90m, 24h, 7d) nor a day or time (2026-01-31T23:59:59Z)", a->since);
	if (a->html && strcmp(argv[1], "report") != 0)
		return cmd_usage("audit", "--html is of report");
	a->named = a->path_count > 0;
	if (!a->named)
		a->paths[a->path_count++] = (char *)(uintptr_t)STATE_DIR;
	return 0;
}

/* --- files --- */

static int file_walk(const char *path, int fd, struct audit_chain *c, audit_walk_row *each, void *arg)
{
	char prefix[256];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return cmd_fail(EXIT_CODE_OTHER, path, "cannot be read: %s", err_text(-errno));
	(void)snprintf(prefix, sizeof(prefix), "%s%s", path, path[0] && path[strlen(path) - 1] == '/' ? "" : "/");
	if (S_ISDIR(st.st_mode))
		r = audit_walk_dir(c, fd, prefix, each, arg);
	else if (S_ISREG(st.st_mode))
		r = audit_walk_file(c, fd, path, each, arg);
	else
		return cmd_fail(EXIT_CODE_OTHER, path, "neither a file nor a directory");
	if (r == -ENOENT)
		return cmd_fail(EXIT_CODE_NOT_FOUND, path, "no audit log there (audit-*.log)");
	if (r < 0 && r != -EBADMSG)
		return cmd_fail(EXIT_CODE_OTHER, path, "cannot be read: %s", err_text(r));
	return r;
}

int cmd_audit_walk(const struct cmd_audit *a, struct audit_chain *c, audit_walk_row *each, void *arg)
{
	struct stat st, before = { 0 };
	int fd, i, r = 0;

	for (i = 0; r == 0 && i < a->path_count; i++) {
		fd = open(a->paths[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return cmd_fail(errno == ENOENT ? EXIT_CODE_NOT_FOUND : EXIT_CODE_OTHER, a->paths[i], "cannot be read: %s",
					err_text(-errno));
		/* The link to the newest file often stands behind it: audit*.log. */
		if (fstat(fd, &st) < 0 || st.st_ino != before.st_ino || st.st_dev != before.st_dev)
			r = file_walk(a->paths[i], fd, c, each, arg);
		before = st;
		(void)close(fd);
	}
	return r;
}

/* -1: none. Anchors that nobody named but that lie beside the log are better than none. */
static int anchors_open(const struct cmd_audit *a, int *ret_fd)
{
	AUTO_FREE char *path = NULL;
	int fd;

	*ret_fd = -1;
	if (a->anchors && strcmp(a->anchors, "-") == 0)
		fd = dup(STDIN_FILENO);
	else if (a->anchors)
		fd = open(a->anchors, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	else if (asprintf(&path, "%s/" AUDIT_FILES_ANCHORS, a->paths[0]) >= 0)
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	else
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "out of memory");
	if (fd < 0 && a->anchors)
		return cmd_fail(EXIT_CODE_OTHER, a->anchors, "anchors cannot be read: %s", err_text(-errno));
	*ret_fd = fd;
	return 0;
}

static int broken_say(const struct audit_chain_report *p)
{
	char object[512];

	if (p->line)
		(void)snprintf(object, sizeof(object), "%s:%" PRIu64, p->file, p->line);
	else
		(void)snprintf(object, sizeof(object), "audit log");
	if (p->seq)
		return cmd_fail(EXIT_CODE_AUDIT_BROKEN, object, "row %" PRIu64 ": %s", p->seq, p->why);
	return cmd_fail(EXIT_CODE_AUDIT_BROKEN, object, "%s", p->why);
}

int cmd_audit_verify(const struct cmd_audit *a, audit_walk_row *each, void *arg, struct audit_chain_report *ret_report)
{
	AUTO_FREE struct audit_lines *lines = malloc(sizeof(*lines));
	AUTO_AUDIT_CHAIN struct audit_chain *c = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	if (!lines)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "out of memory");
	r = anchors_open(a, &fd);
	if (r != 0)
		return r;
	audit_lines_init(lines, fd);
	if (fd >= 0 && audit_lines_stop_here(lines) < 0)
		return cmd_fail(EXIT_CODE_OTHER, "audit", "anchors cannot be read: %s", err_text(-errno));
	if (audit_chain_new(a->host, fd >= 0 ? audit_walk_anchor : NULL, lines, &c) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "out of memory");
	r = cmd_audit_walk(a, c, each, arg);
	if (r == 0) {
		r = audit_chain_end(c);
		if (r < 0 && r != -EBADMSG)
			r = cmd_fail(EXIT_CODE_OTHER, "audit", "%s", err_text(r));
	}
	*ret_report = *audit_chain_report(c);
	return r == -EBADMSG ? broken_say(ret_report) : r;
}

/* --- verify --- */

void cmd_audit_say(const struct audit_chain_report *p)
{
	char a[AUDIT_TIME_LEN], b[AUDIT_TIME_LEN];

	audit_row_time(p->first_ts_ns, a);
	audit_row_time(p->last_ts_ns, b);
	(void)printf("host %s: rows %" PRIu64 " to %" PRIu64 " in %" PRIu64 " file%s, %s to %s\n", p->host_id, p->first_seq, p->last_seq,
		     p->files, p->files == 1 ? "" : "s", a, b);
	if (p->signed_seq)
		(void)printf("signed in the log to row %" PRIu64 "\n", p->signed_seq);
	if (p->anchored_seq)
		(void)printf("anchored to row %" PRIu64 " (%" PRIu64 " anchors)\n", p->anchored_seq, p->anchors);
	if (p->unanchored_ns) {
		audit_row_time(p->unanchored_ns, a);
		(void)printf("unanchored since %s (row %" PRIu64 ")\n", a, (p->anchored_seq >= p->first_seq ? p->anchored_seq : p->first_seq - 1) + 1);
	}
	if (p->anchors_of_others || p->anchors_unreadable)
		(void)printf("of the anchors, %" PRIu64 " are of other hosts and %" PRIu64 " lines are none\n", p->anchors_of_others, p->anchors_unreadable);
	if (p->jumps)
		(void)printf("the clock was set %" PRIu64 " time%s\n", p->jumps, p->jumps == 1 ? "" : "s");
	if (p->torn)
		(void)printf("%" PRIu64 " torn row%s, closed off\n", p->torn, p->torn == 1 ? "" : "s");
	if (p->end_torn)
		(void)puts("the last line is torn: a crash, or the agent was writing");
}

int cmd_audit_put(struct json *o, const struct audit_chain_report *p)
{
	const struct {
		const char *key;
		uint64_t n;
	} numbers[] = {
		{ "rows", p->rows }, { "files", p->files }, { "first_seq", p->first_seq }, { "last_seq", p->last_seq },
		{ "signed_seq", p->signed_seq }, { "anchors", p->anchors }, { "anchored_seq", p->anchored_seq },
		{ "anchors_of_others", p->anchors_of_others }, { "anchors_unreadable", p->anchors_unreadable },
		{ "torn", p->torn }, { "clock_jumps", p->jumps },
	};
	char ts[AUDIT_TIME_LEN];
	size_t i;
	int r;

	r = json_put_bool(o, "whole", !p->broken);
	if (r >= 0)
		r = json_put_str(o, "host_id", p->host_id);
	for (i = 0; r >= 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		r = json_put_int(o, numbers[i].key, (int64_t)numbers[i].n);
	audit_row_time(p->unanchored_ns, ts);
	if (r >= 0)
		r = p->unanchored_ns ? json_put_str(o, "unanchored_since", ts) : json_put_null(o, "unanchored_since");
	if (r >= 0)
		r = json_put_bool(o, "end_torn", p->end_torn);
	if (r < 0 || !p->broken)
		return r;
	r = json_put_str(o, "broken_why", p->why);
	if (r >= 0 && p->seq)
		r = json_put_int(o, "broken_seq", (int64_t)p->seq);
	if (r >= 0 && p->line)
		r = json_put_int(o, "broken_line", (int64_t)p->line);
	return r;
}

static int verify(const struct cmd_audit *a)
{
	AUTO_JSON struct json *o = json_new_object();
	struct audit_chain_report report = { 0 };
	AUTO_FREE char *text = NULL;
	int code, r;

	if (a->tenant || a->since)
		return cmd_usage("audit", "verify takes neither --tenant nor --since: a chain is verified whole");
	code = cmd_audit_verify(a, NULL, NULL, &report);
	if (code != 0 && code != EXIT_CODE_AUDIT_BROKEN)
		return code;
	if (!a->g->json) {
		if (code == 0 && !a->g->quiet)
			cmd_audit_say(&report);
		return code;
	}
	r = json_put_int(o, "version", 1);
	if (r >= 0)
		r = cmd_audit_put(o, &report);
	if (r >= 0)
		r = json_dump(o, &text);
	if (r < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "%s", err_text(r));
	(void)puts(text);
	return code;
}

int cmd_audit(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE char **paths = calloc((size_t)argc + 1, sizeof(*paths));
	struct cmd_audit a = { .g = g, .paths = paths };
	int r;

	if (!paths)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "out of memory");
	if (argc < 2)
		return cmd_usage("audit", "verify, show or report?");
	r = arguments(&a, argc, argv);
	if (r != 0)
		return r;
	if (strcmp(argv[1], "verify") == 0)
		return verify(&a);
	if (strcmp(argv[1], "show") == 0)
		return cmd_audit_show(&a);
	if (strcmp(argv[1], "report") == 0)
		return cmd_audit_report(&a);
	return cmd_usage("audit", "%s: neither verify nor show nor report", argv[1]);
}
