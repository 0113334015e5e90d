/* cmd_audit_show.c: `coffer audit show`: rows for people, or with --json as they are. It shows what is there, also behind a break: whether it is to be
 * believed, verify says. Who is not root asks the agent for the rows of one tenant. */
#include "tools/cmd_audit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

struct show {
	const struct cmd_audit *a;
	uint64_t strange;           /* lines that are no rows */
};

static const char *text_of(const struct json *o, const char *key)
{
	const char *text;

	return json_get_str(o, key, &text) < 0 ? NULL : text;
}

static void peer_say(const struct json *o)
{
	const struct json *peer;
	const char *unit;
	int64_t uid;

	if (json_get_object(o, "peer", &peer) < 0 || json_get_int(peer, "uid", &uid) < 0)
		return;
	unit = text_of(peer, "unit");
	(void)printf(" uid=%lld%s%s", (long long)uid, unit ? " unit=" : "", unit ? unit : "");
}

static void rest_say(const struct json *o)
{
	static const char *const members[] = { "class", "purpose", "key_uri", "mountpoint", "object", "detail", "reason", "policy_id", "req_id",
					       "previous_file", NULL };
	static const char *const numbers[] = { "http", "count", "torn_bytes", "step_ms", "expired_to", NULL };
	const char *text;
	int64_t n;
	size_t i;

	for (i = 0; members[i]; i++) {
		AUTO_FREE char *clean = NULL;

		text = text_of(o, members[i]);
		clean = text ? cmd_printable(text) : NULL;
		if (clean)
			(void)printf(strchr(clean, ' ') ? " %s=\"%s\"" : " %s=%s", members[i], clean);
	}
	for (i = 0; numbers[i]; i++)
		if (json_get_int(o, numbers[i], &n) == 0)
			(void)printf(" %s=%lld", numbers[i], (long long)n);
}

static int row_json(const struct audit_row *row)
{
	AUTO_FREE char *text = NULL;
	int r;

	r = json_dump_sorted(row->o, &text);
	if (r >= 0)
		(void)puts(text);
	return r;
}

static int row_say(void *arg, const struct audit_row *row)
{
	struct show *s = arg;
	const char *tenant, *volume, *outcome;

	if (!row) {
		s->strange++;
		return 0;
	}
	tenant = text_of(row->o, "tenant");
	if (row->ts_ns < s->a->since_ns || (s->a->tenant && (!tenant || strcmp(tenant, s->a->tenant) != 0)))
		return 0;
	if (s->a->g->json)
		return row_json(row);
	volume = text_of(row->o, "volume");
	outcome = text_of(row->o, "outcome");
	(void)printf("%.19sZ %-20s %-8s %-12s %-8.8s", text_of(row->o, "ts"), row->event, outcome ? outcome : "-", tenant ? tenant : "-",
		     volume ? volume : "-");
	peer_say(row->o);
	rest_say(row->o);
	(void)putchar('\n');
	return 0;
}

static int page_say(struct show *s, const char *text, size_t len)
{
	const char *end = text + len, *nl;
	int r = 0;

	for (; r == 0 && text < end && (nl = memchr(text, '\n', (size_t)(end - text))); text = nl + 1) {
		struct audit_row row = { 0 };

		r = audit_row_parse(text, (size_t)(nl - text), &row);
		if (r == -EUCLEAN || r == -EBADMSG || r == -EFBIG)
			r = row_say(s, NULL);
		else if (r == 0)
			r = row_say(s, &row);
		audit_row_done(&row);
	}
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "%s", err_text(r)) : 0;
}

/* The files are root's; a tenant's rows are told to whom its rules give the right. */
static int show_asked(struct show *s)
{
	AUTO_CLIENT struct client *c = client_new(s->a->g->agent);
	uint64_t next = 0;
	int r = 0;

	if (!c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "out of memory");
	if (client_connect(c) < 0)
		return cmd_agent_fail(c, "audit");
	do {
		AUTO_FREE char *text = NULL;
		size_t len;

		if (client_audit(c, s->a->tenant, (uint64_t)s->a->since_ns, next, &text, &len, &next) < 0)
			return cmd_agent_fail(c, s->a->tenant);
		r = page_say(s, text, len);
	} while (r == 0 && next);
	return r;
}

int cmd_audit_show(const struct cmd_audit *a)
{
	struct show s = { .a = a };
	int r;

	if (a->anchors || a->host)
		return cmd_usage("audit", "show verifies nothing: --anchors and --host are for verify and report");
	if (!a->g->json && !a->g->quiet)
		(void)printf("%-20s %-20s %-8s %-12s %-8s\n", "TIME", "EVENT", "OUTCOME", "TENANT", "VOLUME");
	r = a->tenant && !a->named && geteuid() != 0 ? show_asked(&s) : cmd_audit_walk(a, NULL, row_say, &s);
	if (r == 0 && s.strange)
		(void)fprintf(stderr, "coffer: audit log: %llu lines are no rows; coffer audit verify says whether that is all right\n",
			      (unsigned long long)s.strange);
	return r;
}
