/* doctor.c: rows on standard output as they come, or one object at the end (doctor.h). */
#include "tools/doctor.h"

#include "tools/status_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 768

static const struct {
	const char *word;
	enum status_colour colour;
} results[] = {
	[DOCTOR_OK] = { "ok", STATUS_GOOD },
	[DOCTOR_WARN] = { "warn", STATUS_WARN },
	[DOCTOR_FAIL] = { "FAIL", STATUS_BAD },
};

static const char *const json_words[] = { [DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail" };

static int json_row(struct json *checks, const char *name, enum doctor_result result, const char *advice, const char *text)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	r = json_put_str(o, "name", name);
	if (r >= 0)
		r = json_put_str(o, "result", json_words[result]);
	if (r >= 0)
		r = json_put_str(o, "found", text);
	if (r >= 0)
		r = advice ? json_put_str(o, "advice", advice) : json_put_null(o, "advice");
	return r < 0 ? r : json_append(checks, take_ptr(o));
}

void doctor_row(struct doctor *d, const char *name, enum doctor_result result, const char *advice, const char *fmt, ...)
{
	AUTO_FREE char *safe = NULL;
	char text[TEXT_MAX];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	safe = cmd_printable(text); /* names of files, what others said */
	d->count[result]++;
	if (!safe) {
		d->error = -ENOMEM;
		return;
	}
	if (result == DOCTOR_OK)
		advice = NULL;
	if (d->checks) {
		r = json_row(d->checks, name, result, advice, safe);
		d->error = r < 0 ? r : d->error;
		return;
	}
	if (d->g->quiet && result == DOCTOR_OK)
		return;
	status_column(d->colours, results[result].colour, 6, results[result].word);
	status_column(d->colours, STATUS_BOLD, 22, name);
	(void)printf("%s\n", safe);
	if (advice)
		(void)printf("%28s%s%s%s\n", "", status_colour(d->colours, STATUS_DIM), advice, status_colour(d->colours, STATUS_PLAIN));
}
