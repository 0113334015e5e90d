/* status_view.c: see status_view.h. */
#include "tools/status_view.h"

#include "base/env.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool status_has_colours(void)
{
	const char *term = env_get(ENV_TERM);

	return isatty(STDOUT_FILENO) == 1 && !env_get(ENV_NO_COLOR) && term && strcmp(term, "dumb") != 0;
}

const char *status_colour(bool colours, enum status_colour c)
{
	static const char *const codes[] = {
		[STATUS_PLAIN] = "\033[0m", [STATUS_GOOD] = "\033[32m", [STATUS_WARN] = "\033[33m",
		[STATUS_BAD] = "\033[1;31m", [STATUS_DIM] = "\033[2m",  [STATUS_BOLD] = "\033[1m",
	};

	return colours ? codes[c] : "";
}

int status_ask(struct client *c, struct json **ret_status)
{
	AUTO_FREE char *text = NULL;
	int r;

	r = client_status(c, &text);
	if (r < 0)
		return cmd_agent_fail(c, "agent");
	r = json_parse(text, strlen(text), PROTO_STATUS_MAX, ret_status);
	return r < 0 ? cmd_fail(EXIT_CODE_OTHER, "agent", "its answer is not understood: %s", err_text(r)) : 0;
}

/* What is no text for a terminal becomes '?': control characters, also those of two bytes. Who sent it has escaped what he took from outside; it is not escaped again. */
static void text_tame(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || ((unsigned char)*s == 0xc2 && (unsigned char)s[1] < 0xa0))
			*s = '?';
}

const char *status_text(const struct json *o, const char *key, char ret_text[static STATUS_TEXT_MAX])
{
	const char *s;

	if (!o || json_get_str(o, key, &s) < 0)
		s = "-";
	(void)snprintf(ret_text, STATUS_TEXT_MAX, "%s", s);
	text_tame(ret_text);
	return ret_text;
}

uint64_t status_number(const struct json *o, const char *key)
{
	int64_t n;

	return !o || json_get_int(o, key, &n) < 0 || n < 0 ? 0 : (uint64_t)n;
}

const struct json *status_part(const struct json *mount, const char *key)
{
	const struct json *v;

	return json_get_object(mount, key, &v) < 0 ? NULL : v;
}

static bool flag(const struct json *o, const char *key)
{
	bool b;

	return json_get_bool(o, key, &b) >= 0 && b;
}

const char *status_state(const struct json *mount, char ret_text[static STATUS_TEXT_MAX], enum status_colour *ret_colour)
{
	bool answering;

	(void)status_text(mount, "state", ret_text);
	*ret_colour = strcmp(ret_text, "ready") == 0 ? STATUS_GOOD : strcmp(ret_text, "failed") == 0 ? STATUS_BAD : STATUS_WARN;
	if (json_get_bool(mount, "answering", &answering) >= 0 && !answering) {
		*ret_colour = STATUS_BAD;
		return "silent";
	}
	if (flag(mount, "locked")) {
		*ret_colour = STATUS_BAD;
		return "locked";
	}
	return ret_text;
}

const char *status_lease(const struct json *mount, char ret_text[static STATUS_TEXT_MAX], enum status_colour *ret_colour)
{
	(void)status_text(status_part(mount, "lease"), "state", ret_text);
	*ret_colour = strcmp(ret_text, "ACTIVE") == 0 ? STATUS_GOOD : strcmp(ret_text, "LOCKED") == 0 ? STATUS_BAD : STATUS_WARN;
	return ret_text;
}

unsigned status_log_percent(const struct json *mount)
{
	const struct json *log = status_part(mount, "log");
	uint64_t size = status_number(log, "size_bytes"), used = status_number(log, "used_bytes");

	return size ? (unsigned)((double)used * 100 / (double)size) : 0;
}

/* Columns a terminal gives it: continuation bytes of UTF-8 take none. */
static int columns(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void status_column(bool colours, enum status_colour c, int width, const char *text)
{
	int pad = width - columns(text);

	(void)printf("%s%s%s%*s", c == STATUS_PLAIN ? "" : status_colour(colours, c), text, c == STATUS_PLAIN ? "" : status_colour(colours, STATUS_PLAIN),
		     pad > 0 ? pad : 1, "");
}
