/* cmd_status.c: coffer status: every mount of this host in a line, and below it what somebody should do something about. */
#include "tools/progress.h"
#include "tools/status_view.h"

#include <stdio.h>
#include <string.h>

#define PLACE_MIN 12
#define PLACE_MAX 48

static int place_width(const struct json *mounts)
{
	char text[STATUS_TEXT_MAX];
	size_t widest = PLACE_MIN, n;

	for (size_t i = 0; i < json_array_len(mounts); i++) {
		n = strlen(status_text(json_array_at(mounts, i), "mountpoint", text));
		if (n > widest)
			widest = n < PLACE_MAX ? n : PLACE_MAX;
	}
	return (int)widest + 2;
}

static void note(bool colours, enum status_colour c, const char *what, const char *text)
{
	(void)printf("  %s%s%s%s\n", status_colour(colours, c), what, text, status_colour(colours, STATUS_PLAIN));
}

/* The lines below a mount: nothing when all is well. */
static void notes(const struct json *m, bool colours)
{
	const struct json *lease = status_part(m, "lease");
	char reason[STATUS_TEXT_MAX], text[STATUS_TEXT_MAX], line[3 * STATUS_TEXT_MAX];
	enum status_colour c;
	uint64_t n;

	(void)status_lease(m, text, &c);
	if (c != STATUS_GOOD) {
		(void)snprintf(line, sizeof(line), "%s since %s: ", text, status_text(lease, "since", reason));
		note(colours, c, line, status_text(lease, "reason", text));
	}
	(void)status_text(lease, "locks_at", text);
	if (strcmp(text, "-") != 0)
		note(colours, STATUS_WARN, "locks at ", text);
	if (strcmp(status_state(m, text, &c), "failed") == 0)
		note(colours, STATUS_BAD, "turned read-only: the log or the disk below failed; what was acknowledged is safe; see the journal", "");
	else if (strcmp(text, "ready") == 0 && strcmp(status_state(m, text, &c), "silent") == 0)
		note(colours, STATUS_BAD, "does not answer; the numbers are the last it said", "");
	n = status_number(m, "integrity_failures");
	if (n) {
		(void)snprintf(text, sizeof(text), "%llu time%s something did not verify; the journal names the files; coffer fsck",
			       (unsigned long long)n, n == 1 ? "" : "s");
		note(colours, STATUS_BAD, text, "");
	}
	n = status_number(m, "replayed_transactions");
	if (n) {
		(void)snprintf(text, sizeof(text), "was not unmounted the last time: %llu transactions were replayed", (unsigned long long)n);
		note(colours, STATUS_DIM, text, "");
	}
}

static void size_column(const struct json *m, const char *key, int width)
{
	char text[PROGRESS_SIZE_MAX];

	progress_size(status_number(m, key), text);
	(void)printf("%*s", width, text);
}

static void mount_line(const struct json *m, bool colours, int place)
{
	char text[STATUS_TEXT_MAX];
	enum status_colour c;
	const char *word;
	bool ro;

	status_column(colours, STATUS_BOLD, place, status_text(m, "mountpoint", text));
	status_column(colours, STATUS_PLAIN, 14, status_text(m, "tenant", text));
	word = status_state(m, text, &c);
	status_column(colours, c, 11, word);
	word = status_lease(m, text, &c);
	status_column(colours, c, 9, word);
	(void)printf("%8llu ", (unsigned long long)status_number(m, "pid"));
	size_column(m, "dirty_bytes", 11);
	(void)printf("%5u %%", status_log_percent(m));
	size_column(m, "read_bytes", 11);
	size_column(m, "write_bytes", 11);
	(void)printf("%8llu%s\n", (unsigned long long)status_number(m, "integrity_failures"),
		     json_get_bool(m, "read_only", &ro) >= 0 && ro ? "  ro" : "");
	notes(m, colours);
}

static int status_print(const struct json *o)
{
	bool colours = status_has_colours();
	const struct json *mounts;
	int place, r;

	r = json_get_array(o, "mounts", &mounts);
	if (r < 0)
		return cmd_fail(EXIT_CODE_OTHER, "agent", "its answer is not understood: %s", err_text(r));
	if (json_array_len(mounts) == 0) {
		(void)puts("nothing is mounted");
		return 0;
	}
	place = place_width(mounts);
	(void)printf("%s%-*s%-14s%-11s%-9s%8s %11s%7s%11s%11s%8s%s\n", status_colour(colours, STATUS_DIM), place, "MOUNTPOINT", "TENANT", "STATE",
		     "LEASE", "PID", "NOT HOME", "LOG", "READ", "WRITTEN", "DAMAGE", status_colour(colours, STATUS_PLAIN));
	for (size_t i = 0; i < json_array_len(mounts); i++)
		mount_line(json_array_at(mounts, i), colours, place);
	return 0;
}

int cmd_status(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;
	int r;

	(void)argv;
	if (argc != 1)
		return cmd_usage("status", "takes no arguments");
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "status", "out of memory");
	r = client_connect(c);
	if (r < 0) {
		if (g->json)
			(void)puts("{\"version\":1,\"agent\":{\"reachable\":false},\"mounts\":[]}");
		return cmd_agent_fail(c, "agent");
	}
	if (g->json) {
		r = client_status(c, &text);
		if (r < 0)
			return cmd_agent_fail(c, "agent");
		(void)puts(text);
		return 0;
	}
	r = status_ask(c, &o);
	return r ? r : status_print(o);
}
