/* cmd_top.c: coffer top: rates of every mount, drawn again and again on a terminal until somebody presses q; with --json one object a mount and line.
 *
 * A rate is the difference of two answers of the agent over the time between them. A mount is the same as long as mount point and process are. Whatever ends this process, the
 * terminal is as it was before. */
#include "tools/progress.h"
#include "tools/status_view.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

#define INTERVAL_MAX_S 3600
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

struct top {
	const struct cmd_global *g;
	struct client *c;
	unsigned interval_s, count;  /* count 0: until q */
	struct json *before, *now;
	uint64_t before_ms, now_ms;
};

struct rates {
	uint64_t operations, read_bytes, write_bytes, commits; /* a second */
	bool known;
};

static volatile sig_atomic_t top_ended;

static void on_signal(int sig)
{
	(void)sig;
	top_ended = 1;
}

/* ---- numbers */

static const struct json *mounts_of(const struct json *o)
{
	const struct json *mounts = NULL;

	return o && json_get_array(o, "mounts", &mounts) >= 0 ? mounts : NULL;
}

static const struct json *mount_before(const struct top *t, const struct json *m)
{
	const struct json *mounts = mounts_of(t->before), *old;
	const char *a, *b;

	for (size_t i = 0; mounts && i < json_array_len(mounts); i++) {
		old = json_array_at(mounts, i);
		if (status_number(old, "pid") == status_number(m, "pid") && json_get_str(old, "mountpoint", &a) >= 0 &&
		    json_get_str(m, "mountpoint", &b) >= 0 && strcmp(a, b) == 0)
			return old;
	}
	return NULL;
}

static uint64_t rate(const struct top *t, const struct json *old, const struct json *m, const char *key)
{
	uint64_t from = status_number(old, key), to = status_number(m, key), ms = t->now_ms - t->before_ms;

	return to < from || ms == 0 ? 0 : (uint64_t)((double)(to - from) * 1000 / (double)ms + 0.5);
}

static struct rates rates_of(const struct top *t, const struct json *m)
{
	const struct json *old = mount_before(t, m);

	if (!old)
		return (struct rates){ 0 };
	return (struct rates){ .operations = rate(t, old, m, "operations"), .read_bytes = rate(t, old, m, "read_bytes"),
			       .write_bytes = rate(t, old, m, "write_bytes"), .commits = rate(t, old, m, "commits"), .known = true };
}

static int sample(struct top *t)
{
	struct json *o;
	int r;

	r = status_ask(t->c, &o);
	if (r != 0)
		return r;
	json_free(t->before);
	t->before = t->now;
	t->before_ms = t->now_ms;
	t->now = o;
	t->now_ms = clock_boot_ms();
	return 0;
}

/* ---- a line a mount */

static int copy_text(struct json *o, const struct json *from, const char *key)
{
	const char *text;

	return from && json_get_str(from, key, &text) >= 0 ? json_put_str(o, key, text) : json_put_null(o, key);
}

static int json_line(const struct top *t, const struct json *m)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_FREE char *text = NULL;
	struct rates x = rates_of(t, m);
	const char *lease;
	int r;

	r = copy_text(o, m, "mountpoint");
	if (r >= 0)
		r = copy_text(o, m, "volume");
	if (r >= 0)
		r = copy_text(o, m, "tenant");
	if (r >= 0)
		r = copy_text(o, m, "state");
	if (r >= 0 && status_part(m, "lease") && json_get_str(status_part(m, "lease"), "state", &lease) >= 0)
		r = json_put_str(o, "lease", lease);
	if (r >= 0)
		r = json_put_int(o, "operations_per_s", (int64_t)x.operations);
	if (r >= 0)
		r = json_put_int(o, "read_bytes_per_s", (int64_t)x.read_bytes);
	if (r >= 0)
		r = json_put_int(o, "write_bytes_per_s", (int64_t)x.write_bytes);
	if (r >= 0)
		r = json_put_int(o, "commits_per_s", (int64_t)x.commits);
	if (r >= 0)
		r = json_put_int(o, "dirty_bytes", (int64_t)status_number(m, "dirty_bytes"));
	if (r >= 0)
		r = json_put_int(o, "log_percent", status_log_percent(m));
	if (r >= 0)
		r = json_put_int(o, "integrity_failures", (int64_t)status_number(m, "integrity_failures"));
	if (r >= 0)
		r = json_dump(o, &text);
	if (r < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "top", "%s", err_text(r));
	(void)puts(text);
	return 0;
}

static void wait_s(unsigned s)
{
	(void)poll(NULL, 0, (int)s * 1000);
}

static int run_json(struct top *t)
{
	const struct json *mounts;
	int r = sample(t);

	for (unsigned n = 0; r == 0 && n < (t->count ? t->count : 1) && !top_ended; n++) {
		wait_s(t->interval_s);
		r = sample(t);
		mounts = mounts_of(t->now);
		for (size_t i = 0; r == 0 && mounts && i < json_array_len(mounts); i++)
			r = json_line(t, json_array_at(mounts, i));
		(void)fflush(stdout);
	}
	return r;
}

/* ---- a screen */

static void size_column(bool known, uint64_t bytes, const char *per, int width)
{
	char text[PROGRESS_SIZE_MAX], whole[PROGRESS_SIZE_MAX + 4];

	progress_size(bytes, text);
	(void)snprintf(whole, sizeof(whole), "%s%s", text, per);
	(void)printf("%*s", width, known ? whole : "-");
}

static void draw_mount(const struct top *t, const struct json *m, bool colours, int width)
{
	struct rates x = rates_of(t, m);
	char text[STATUS_TEXT_MAX];
	enum status_colour c;
	const char *word;

	(void)status_text(m, "mountpoint", text);
	if ((int)strlen(text) > width - 2)
		(void)memmove(text, text + strlen(text) - (size_t)(width - 2), (size_t)(width - 1)); /* its end tells more */
	status_column(colours, STATUS_BOLD, width, text);
	word = status_state(m, text, &c);
	status_column(colours, c, 11, word);
	word = status_lease(m, text, &c);
	status_column(colours, c, 9, word);
	(void)printf("%8llu", (unsigned long long)x.operations);
	size_column(x.known, x.read_bytes, "/s", 13);
	size_column(x.known, x.write_bytes, "/s", 13);
	(void)printf("%7llu", (unsigned long long)x.commits);
	size_column(true, status_number(m, "dirty_bytes"), "", 11);
	(void)printf("%5u %%", status_log_percent(m));
	c = status_number(m, "integrity_failures") ? STATUS_BAD : STATUS_PLAIN;
	(void)snprintf(text, sizeof(text), "%8llu", (unsigned long long)status_number(m, "integrity_failures"));
	status_column(colours, c, 8, text);
	(void)fputs("\033[K\r\n", stdout);
}

static void draw(const struct top *t)
{
	const struct json *mounts = mounts_of(t->now);
	size_t n = mounts ? json_array_len(mounts) : 0, rows;
	bool colours = status_has_colours();
	struct winsize w = { .ws_row = 24, .ws_col = 80 };
	int width;

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
	rows = w.ws_row > 4 ? w.ws_row - 4u : 1;
	width = w.ws_col > 108 ? w.ws_col - 90 : 18;
	(void)printf("\033[Hcoffer top: %zu mount%s, every %u s; q ends\033[K\r\n\033[K\r\n", n, n == 1 ? "" : "s", t->interval_s);
	(void)printf("%s%-*s%-11s%-9s%8s%13s%13s%7s%11s%7s%8s%s\033[K\r\n", status_colour(colours, STATUS_DIM), width, "MOUNTPOINT", "STATE", "LEASE",
		     "OPS/S", "READ", "WRITE", "COM/S", "NOT HOME", "LOG", "DAMAGE", status_colour(colours, STATUS_PLAIN));
	for (size_t i = 0; i < n && i < rows; i++)
		draw_mount(t, json_array_at(mounts, i), colours, width);
	if (n > rows)
		(void)printf("and %zu more\033[K", n - rows);
	(void)fputs("\033[J", stdout);
	(void)fflush(stdout);
}

/* True: somebody wants to end it. */
static bool wait_key(unsigned s)
{
	uint64_t until = clock_boot_ms() + (uint64_t)s * 1000, now;
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	while (!top_ended && (now = clock_boot_ms()) < until) {
		if (poll(&p, 1, (int)(until - now)) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == '\003')
			return true;
	}
	return top_ended;
}

static int run_screen(struct top *t)
{
	struct termios before, raw;
	bool have = tcgetattr(STDIN_FILENO, &before) == 0;
	unsigned n = 0;
	int r = sample(t);

	if (r != 0)
		return r;
	if (have) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	(void)fputs(ENTER, stdout);
	do {
		draw(t);
		n++;
		if (wait_key(t->interval_s))
			break;
		r = sample(t);
	} while (r == 0 && (t->count == 0 || n < t->count));
	(void)fputs(LEAVE, stdout);
	(void)fflush(stdout);
	if (have)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return r;
}

/* ---- arguments */

static bool number_parse(const char *text, unsigned max, unsigned *ret_n)
{
	char *end;
	unsigned long n;

	if (!text || text[0] < '1' || text[0] > '9')
		return false;
	n = strtoul(text, &end, 10);
	if (*end || n > max)
		return false;
	*ret_n = (unsigned)n;
	return true;
}

int cmd_top(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_CLIENT struct client *c = client_new(g->agent);
	struct sigaction on = { .sa_handler = on_signal };
	struct top t = { .g = g, .c = c, .interval_s = 1 };
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--interval") == 0 && number_parse(argv[i + 1], INTERVAL_MAX_S, &t.interval_s))
			i++;
		else if (strcmp(argv[i], "--count") == 0 && number_parse(argv[i + 1], 1000000, &t.count))
			i++;
		else
			return cmd_usage("top", "%s: not understood", argv[i]);
	}
	if (!g->json && isatty(STDOUT_FILENO) != 1)
		return cmd_usage("top", "standard output is no terminal; coffer --json top prints lines");
	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "top", "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "agent");
	(void)sigaction(SIGINT, &on, NULL);
	(void)sigaction(SIGTERM, &on, NULL);
	(void)sigaction(SIGHUP, &on, NULL);
	r = g->json ? run_json(&t) : run_screen(&t);
	json_free(t.before);
	json_free(t.now);
	return r;
}
