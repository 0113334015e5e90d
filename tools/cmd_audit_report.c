/* cmd_audit_report.c: `coffer audit report --tenant NAME`: what an auditor samples, out of the log: which keys, who used them and how often, what was
 * refused or failed, when it was locked, and whether the log is whole. Memory grows with the number of different keys, volumes and peers, not of rows. */
#include "tools/cmd_audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

#define TALLY_MAX 10000        /* different ones of a kind; beyond that they are counted together */

static const struct {
	const char *key, *title;
} kinds[CMD_AUDIT_KINDS] = {
	[CMD_AUDIT_KEYS] = { "keys", "keys used" },
	[CMD_AUDIT_USERS] = { "peers", "who was given a key" },
	[CMD_AUDIT_VOLUMES] = { "volumes", "volumes" },
	[CMD_AUDIT_REFUSALS] = { "refusals", "refused or failed" },
	[CMD_AUDIT_LOCKS] = { "locks", "locked, unlocked, trusted, damaged" },
};

struct report {
	const struct cmd_audit *a;
	struct cmd_audit_sums s;
	struct cmd_audit_html *html;  /* NULL: no page is wanted */
};

static int tally(struct cmd_audit_tallies *all, const char *name, int64_t ts_ns)
{
	struct cmd_audit_tally *t;
	size_t i;

	if (all->count >= TALLY_MAX)
		name = "others";
	for (i = 0; i < all->count && strcmp(all->t[i].name, name) != 0; i++)
		;
	if (i == all->count) {
		t = reallocarray(all->t, all->count + 1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		all->t = t;
		t[i] = (struct cmd_audit_tally){ .name = strdup(name), .first_ns = ts_ns };
		if (!t[i].name)
			return -ENOMEM;
		all->count++;
	}
	all->t[i].count++;
	all->t[i].last_ns = ts_ns;
	return 0;
}

static const char *text_of(const struct json *o, const char *key)
{
	const char *text;

	return json_get_str(o, key, &text) < 0 ? "" : text;
}

static int user_tally(struct report *p, const struct audit_row *row)
{
	const struct json *peer;
	char name[512];
	int64_t uid;

	if (json_get_object(row->o, "peer", &peer) < 0 || json_get_int(peer, "uid", &uid) < 0)
		return 0;
	(void)snprintf(name, sizeof(name), "uid %" PRId64 "%s%s", uid, text_of(peer, "unit")[0] ? " unit " : "", text_of(peer, "unit"));
	return tally(&p->s.of[CMD_AUDIT_USERS], name, row->ts_ns);
}

static int use_tally(struct report *p, const struct audit_row *row)
{
	char name[2048];
	int r;

	p->s.uses++;
	(void)snprintf(name, sizeof(name), "%s%s%s", text_of(row->o, "key_uri"), text_of(row->o, "key_version")[0] ? " version " : "",
		       text_of(row->o, "key_version"));
	r = tally(&p->s.of[CMD_AUDIT_KEYS], name, row->ts_ns);
	return r < 0 ? r : user_tally(p, row);
}

static bool is_of_locks(const char *event)
{
	static const char *const events[] = { "key.lock", "key.unlock", "key.revoked_seen", "volume.pin", "volume.trust", "volume.trust_older",
					      "mount.integrity", "mount.replay", NULL };
	size_t i;

	for (i = 0; events[i]; i++)
		if (strcmp(event, events[i]) == 0)
			return true;
	return false;
}

/* Of the tenant, or of no tenant (an operator's lock of one volume) and of a volume that was the tenant's before. */
static bool is_ours(const struct report *p, const struct audit_row *row)
{
	const char *tenant = text_of(row->o, "tenant"), *volume = text_of(row->o, "volume");

	if (tenant[0] || !volume[0])
		return strcmp(tenant, p->a->tenant) == 0;
	for (size_t i = 0; i < p->s.of[CMD_AUDIT_VOLUMES].count; i++)
		if (strcmp(p->s.of[CMD_AUDIT_VOLUMES].t[i].name, volume) == 0)
			return true;
	return false;
}

static int row_count(void *arg, const struct audit_row *row)
{
	struct report *p = arg;
	const char *outcome = text_of(row->o, "outcome"), *volume = text_of(row->o, "volume");
	const bool good = strcmp(outcome, "ok") == 0;
	char name[512];
	int r = 0;

	if (!is_ours(p, row) || row->ts_ns < p->a->since_ns)
		return 0;
	p->s.rows++;
	if (volume[0])
		r = tally(&p->s.of[CMD_AUDIT_VOLUMES], volume, row->ts_ns);
	if (r >= 0 && good && (strcmp(row->event, "key.unwrap") == 0 || strcmp(row->event, "key.generate") == 0))
		r = use_tally(p, row);
	if (r >= 0 && is_of_locks(row->event))
		r = tally(&p->s.of[CMD_AUDIT_LOCKS], row->event, row->ts_ns);
	if (r >= 0 && !good) {
		(void)snprintf(name, sizeof(name), "%s %s %s", row->event, outcome, text_of(row->o, "class"));
		r = tally(&p->s.of[CMD_AUDIT_REFUSALS], name, row->ts_ns);
	}
	return r < 0 ? r : cmd_audit_html_row(p->html, row);
}

static void kind_say(const struct report *p, enum cmd_audit_kind k)
{
	char first[AUDIT_TIME_LEN], last[AUDIT_TIME_LEN];
	size_t i;

	(void)printf("\n%s:\n", kinds[k].title);
	if (p->s.of[k].count == 0)
		(void)puts("  none");
	for (i = 0; i < p->s.of[k].count; i++) {
		const struct cmd_audit_tally *t = &p->s.of[k].t[i];

		audit_row_time(t->first_ns, first);
		audit_row_time(t->last_ns, last);
		(void)printf("  %8" PRIu64 "  %.19sZ  %.19sZ  %s\n", t->count, first, last, t->name);
	}
}

static int kind_put(const struct report *p, enum cmd_audit_kind k, struct json *o)
{
	AUTO_JSON struct json *a = json_new_array();
	char ts[AUDIT_TIME_LEN];
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < p->s.of[k].count; i++) {
		const struct cmd_audit_tally *t = &p->s.of[k].t[i];
		AUTO_JSON struct json *v = json_new_object();

		r = json_put_str(v, "name", t->name);
		if (r >= 0)
			r = json_put_int(v, "count", (int64_t)t->count);
		audit_row_time(t->first_ns, ts);
		if (r >= 0)
			r = json_put_str(v, "first", ts);
		audit_row_time(t->last_ns, ts);
		if (r >= 0)
			r = json_put_str(v, "last", ts);
		if (r >= 0)
			r = json_append(a, take_ptr(v));
	}
	return r < 0 ? r : json_put_json(o, kinds[k].key, take_ptr(a));
}

static int report_json(const struct report *p, const struct audit_chain_report *chain)
{
	AUTO_JSON struct json *o = json_new_object(), *c = json_new_object();
	AUTO_FREE char *text = NULL;
	int k, r;

	r = json_put_int(o, "version", 1);
	if (r >= 0)
		r = json_put_str(o, "tenant", p->a->tenant);
	if (r >= 0)
		r = json_put_int(o, "rows", (int64_t)p->s.rows);
	if (r >= 0)
		r = json_put_int(o, "key_uses", (int64_t)p->s.uses);
	for (k = 0; r >= 0 && k < CMD_AUDIT_KINDS; k++)
		r = kind_put(p, (enum cmd_audit_kind)k, o);
	if (r >= 0)
		r = cmd_audit_put(c, chain);
	if (r >= 0)
		r = json_put_json(o, "log", take_ptr(c));
	if (r >= 0)
		r = json_dump(o, &text);
	if (r >= 0)
		(void)puts(text);
	return r;
}

static void report_say(const struct report *p, const struct audit_chain_report *chain)
{
	int k;

	(void)printf("tenant %s: %" PRIu64 " rows, keys were given %" PRIu64 " times\n", p->a->tenant, p->s.rows, p->s.uses);
	for (k = 0; k < CMD_AUDIT_KINDS; k++)
		kind_say(p, (enum cmd_audit_kind)k);
	(void)puts("\nthe log:");
	if (chain->broken)
		(void)printf("BROKEN at row %" PRIu64 ": %s; what is above is of the rows before\n", chain->seq, chain->why);
	else
		cmd_audit_say(chain);
}

int cmd_audit_report(const struct cmd_audit *a)
{
	struct audit_chain_report chain = { 0 };
	struct report p = { .a = a };
	size_t i;
	AUTO_CMD_AUDIT_HTML struct cmd_audit_html *html = a->html ? cmd_audit_html_new() : NULL;
	int code, k, r = 0;

	if (a->html && !html)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "out of memory");
	p.html = html;
	if (!a->tenant)
		return cmd_usage("audit", "report needs --tenant NAME");
	code = cmd_audit_verify(a, row_count, &p, &chain);
	if (code == 0 || code == EXIT_CODE_AUDIT_BROKEN) {
		if (html)
			r = cmd_audit_html_write(html, a, &p.s, &chain, a->html);
		else if (a->g->json)
			r = report_json(&p, &chain);
		else
			report_say(&p, &chain);
	}
	for (k = 0; k < CMD_AUDIT_KINDS; k++) {
		for (i = 0; i < p.s.of[k].count; i++)
			free(p.s.of[k].t[i].name);
		free(p.s.of[k].t);
	}
	if (r < 0 && html)
		return cmd_fail(cmd_exit_of(r), a->html, "cannot be written: %s", err_text(r));
	return r < 0 ? cmd_fail(EXIT_CODE_NO_RESOURCE, "audit", "%s", err_text(r)) : code;
}
