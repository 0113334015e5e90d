/* cmd_audit_html.c: `coffer audit report --html FILE`: the evidence page. One file, no script, nothing loaded; it says so itself to the browser (Content-Security-Policy). Every text
 * of the log is somebody else's and passes put(); of each kind of event the newest NOTES_MAX are kept, so memory does not grow with the log. */
#include "tools/cmd_audit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"

#define NOTES_MAX 500
#define WHAT_MAX 1024

enum section { ROTATIONS, REFUSALS, LOCKS, DRILLS, BACKUPS, DAMAGE, TRUST, SECTIONS };

static const struct {
	const char *id, *title, *none;
	const char *events[16];  /* with outcome ok, or for all: see section_of */
} sections[SECTIONS] = {
	[ROTATIONS] = { "rotations", "Keys made and rotated", "No key was made or rotated in this time.",
			{ "key.generate", "key.rotate", "key.rewrap", "key.export", "key.import", NULL } },
	[REFUSALS] = { "refusals", "Refused or failed", "Nothing was refused, and nothing failed.", { NULL } },
	[LOCKS] = { "locks", "Locked and unlocked", "Nothing was locked.",
		    { "operator.lock", "operator.unlock", "key.lock", "key.unlock", "key.revoked_seen", "key.suspect", "key.stale_begin",
		      "key.stale_end", NULL } },
	[DRILLS] = { "drills", "Drills", "No drill was held in this time: coffer drill.", { "drill", "backup.drill", NULL } },
	[BACKUPS] = { "backups", "Backups and proofs", "No backup was recorded in this time.",
		      { "backup", "backup.run", "backup.verify", "backup.verified", "restore", "scrub", NULL } },
	[DAMAGE] = { "damage", "Damage and recovery", "No mount met anything damaged.", { "mount.integrity", "mount.replay", "volume.older", NULL } },
	[TRUST] = { "trust", "Trusted, and opened in an emergency", "Nothing was pinned or trusted anew.",
		    { "volume.pin", "volume.trust", "volume.trust_older", "key.recovery", NULL } },
};

struct note {
	int64_t ts_ns;
	uint64_t seq;
	char *event, *outcome, *volume, *what;
};

struct notes {
	struct note n[NOTES_MAX];
	uint64_t count;          /* all; n[] is a ring */
};

struct cmd_audit_html {
	struct notes of[SECTIONS];
	int64_t first_ns, last_ns;
};

struct cmd_audit_html *cmd_audit_html_new(void)
{
	return calloc(1, sizeof(struct cmd_audit_html));
}

static void note_clear(struct note *n)
{
	free(n->event);
	free(n->outcome);
	free(n->volume);
	free(n->what);
	*n = (struct note){ 0 };
}

void cmd_audit_html_free(struct cmd_audit_html *h)
{
	for (unsigned s = 0; h && s < SECTIONS; s++)
		for (unsigned i = 0; i < NOTES_MAX; i++)
			note_clear(&h->of[s].n[i]);
	free(h);
}

/* ---- rows */

static const char *text_of(const struct json *o, const char *key)
{
	const char *text;

	return json_get_str(o, key, &text) < 0 ? "" : text;
}

/* SECTIONS: of none. */
static unsigned section_of(const char *event, bool good)
{
	for (unsigned s = 0; s < SECTIONS; s++)
		for (unsigned i = 0; sections[s].events[i]; i++)
			if (strcmp(sections[s].events[i], event) == 0)
				return good || s == LOCKS || s == DRILLS || s == BACKUPS || s == DAMAGE ? s : REFUSALS;
	return good ? SECTIONS : REFUSALS;
}

/* "key URI, class X, reason, by uid N unit U" of what there is. */
static void what_of(const struct json *o, char ret_what[static WHAT_MAX])
{
	static const char *const keys[] = { "key_uri", "key_version", "class", "reason", "object", "detail", "purpose", "mountpoint", "req_id", NULL };
	const struct json *peer;
	int64_t uid;
	size_t at = 0;
	int n;

	ret_what[0] = '\0';
	for (unsigned i = 0; keys[i] && at < WHAT_MAX; i++) {
		const char *text = text_of(o, keys[i]);

		if (!text[0])
			continue;
		n = snprintf(ret_what + at, WHAT_MAX - at, "%s%s: %s", at ? "; " : "", keys[i], text);
		at += n > 0 ? (size_t)n : 0;
	}
	if (at < WHAT_MAX && json_get_object(o, "peer", &peer) >= 0 && json_get_int(peer, "uid", &uid) >= 0)
		(void)snprintf(ret_what + at, WHAT_MAX - at, "%sby uid %" PRId64 "%s%s", at ? "; " : "", uid,
			       text_of(peer, "unit")[0] ? " unit " : "", text_of(peer, "unit"));
}

int cmd_audit_html_row(struct cmd_audit_html *h, const struct audit_row *row)
{
	char what[WHAT_MAX];
	struct note *n;
	unsigned s;

	if (!h)
		return 0;
	if (!h->first_ns)
		h->first_ns = row->ts_ns;
	h->last_ns = row->ts_ns;
	s = section_of(row->event, strcmp(text_of(row->o, "outcome"), "ok") == 0);
	if (s == SECTIONS)
		return 0;
	n = &h->of[s].n[h->of[s].count++ % NOTES_MAX];
	note_clear(n);
	what_of(row->o, what);
	*n = (struct note){ .ts_ns = row->ts_ns, .seq = row->seq, .event = strdup(row->event), .outcome = strdup(text_of(row->o, "outcome")),
			    .volume = strdup(text_of(row->o, "volume")), .what = strdup(what) };
	return n->event && n->outcome && n->volume && n->what ? 0 : -ENOMEM;
}

/* ---- the page */

static const char style[] =
	"body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1c1e21}"
	"h1{font-size:1.6em;margin:0}h2{font-size:1.15em;margin:2em 0 .4em;border-bottom:1px solid #ccd0d5}"
	"td.e{white-space:nowrap;font:.92em ui-monospace,monospace}th.n{text-align:right}"
	"table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25em .7em .25em 0;border-bottom:1px solid #eceef0}"
	"th{font-weight:600;color:#60666d}td.n{text-align:right}td.t{white-space:nowrap}code,td.c{font-family:ui-monospace,monospace;font-size:.92em;"
	"overflow-wrap:anywhere}.verdict{margin:1.2em 0;padding:.8em 1em;border-left:.5em solid}.whole{border-color:#2b8a3e;background:#ebfbee}"
	".broken{border-color:#c92a2a;background:#fff5f5}.none,.more{color:#60666d}.bad{color:#c92a2a;font-weight:600}"
	"nav a{margin-right:1em}@media print{body{margin:0;max-width:none;font-size:11px}nav{display:none}tr{break-inside:avoid}}";

static void put(FILE *f, const char *text)
{
	for (const char *c = text; *c; c++) {
		switch (*c) {
		case '&':
			(void)fputs("&amp;", f);
			break;
		case '<':
			(void)fputs("&lt;", f);
			break;
		case '>':
			(void)fputs("&gt;", f);
			break;
		case '"':
			(void)fputs("&quot;", f);
			break;
		case '\'':
			(void)fputs("&#39;", f);
			break;
		default:
			(void)fputc((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c, f);
		}
	}
}

static void cell(FILE *f, const char *class, const char *text)
{
	(void)fprintf(f, "<td%s%s%s>", class ? " class=\"" : "", class ? class : "", class ? "\"" : "");
	put(f, text);
	(void)fputs("</td>", f);
}

static void time_cell(FILE *f, int64_t ns)
{
	char ts[AUDIT_TIME_LEN];

	audit_row_time(ns, ts);
	(void)fprintf(f, "<td class=\"t\">%.10s %.8s</td>", ts, ts + 11);
}

static void number_cell(FILE *f, uint64_t n)
{
	(void)fprintf(f, "<td class=\"n\">%" PRIu64 "</td>", n);
}

static void heading(FILE *f, const char *id, const char *title)
{
	(void)fprintf(f, "<h2 id=\"%s\">%s</h2>\n", id, title);
}

static void tallies(FILE *f, const char *id, const char *title, const char *name, const char *none, const struct cmd_audit_tallies *all)
{
	heading(f, id, title);
	if (all->count == 0) {
		(void)fprintf(f, "<p class=\"none\">%s</p>\n", none);
		return;
	}
	(void)fprintf(f, "<table><thead><tr><th>%s</th><th>first (UTC)</th><th>last (UTC)</th><th class=\"n\">times</th></tr></thead><tbody>\n", name);
	for (size_t i = 0; i < all->count; i++) {
		(void)fputs("<tr>", f);
		cell(f, "c", all->t[i].name);
		time_cell(f, all->t[i].first_ns);
		time_cell(f, all->t[i].last_ns);
		number_cell(f, all->t[i].count);
		(void)fputs("</tr>\n", f);
	}
	(void)fputs("</tbody></table>\n", f);
}

static void section(FILE *f, unsigned s, const struct notes *all)
{
	uint64_t kept = all->count < NOTES_MAX ? all->count : NOTES_MAX;

	heading(f, sections[s].id, sections[s].title);
	if (all->count == 0) {
		(void)fprintf(f, "<p class=\"none\">%s</p>\n", sections[s].none);
		return;
	}
	if (kept < all->count)
		(void)fprintf(f, "<p class=\"more\">%" PRIu64 " in all; the newest %d:</p>\n", all->count, NOTES_MAX);
	(void)fputs("<table><thead><tr><th>when (UTC)</th><th>row</th><th>event</th><th>outcome</th><th>volume</th><th>what</th></tr></thead><tbody>\n", f);
	for (uint64_t i = all->count - kept; i < all->count; i++) {
		const struct note *n = &all->n[i % NOTES_MAX];

		(void)fputs("<tr>", f);
		time_cell(f, n->ts_ns);
		number_cell(f, n->seq);
		cell(f, "e", n->event);
		cell(f, strcmp(n->outcome, "ok") == 0 ? NULL : "bad", n->outcome);
		cell(f, "c", n->volume);
		cell(f, NULL, n->what);
		(void)fputs("</tr>\n", f);
	}
	(void)fputs("</tbody></table>\n", f);
}

static void verdict(FILE *f, const struct cmd_audit *a, const struct audit_chain_report *p)
{
	char ts[AUDIT_TIME_LEN];

	if (p->broken) {
		(void)fprintf(f, "<div class=\"verdict broken\"><strong>The log is BROKEN</strong> at row %" PRIu64 ": ", p->seq);
		put(f, p->why);
		(void)fputs(" (", f);
		put(f, p->file);
		(void)fputs("). What stands below is of the rows before.</div>\n", f);
		return;
	}
	(void)fprintf(f, "<div class=\"verdict whole\"><strong>The log is whole</strong>: %" PRIu64 " rows in %" PRIu64 " files, %" PRIu64 " to %" PRIu64 ", each chained to the one before; ",
		      p->rows, p->files, p->first_seq, p->last_seq);
	(void)fprintf(f, "signed by the host up to row %" PRIu64 "; ", p->signed_seq);
	if (p->anchors == 0)
		(void)fputs("<span class=\"bad\">no anchors were given: that nothing was cut off at its end, or replaced by who controls the host, is not proven</span>.", f);
	else
		(void)fprintf(f, "fits %" PRIu64 " anchors, up to row %" PRIu64 "%s", p->anchors, p->anchored_seq,
			      a->anchors ? "." : "; these lay beside the log, which proves little if the same person could change both.");
	if (p->unanchored_ns) {
		audit_row_time(p->unanchored_ns, ts);
		(void)fprintf(f, " Unanchored since %.10s %.8s UTC.", ts, ts + 11);
	}
	(void)fprintf(f, " %" PRIu64 " torn rows closed off, %" PRIu64 " jumps of the clock recorded.</div>\n", p->torn, p->jumps);
}

static void period(FILE *f, const struct cmd_audit_html *h, const struct cmd_audit *a, const struct cmd_audit_sums *sums)
{
	char first[AUDIT_TIME_LEN], last[AUDIT_TIME_LEN], now[TIME_TEXT_MAX] = "?";

	audit_row_time(a->since_ns ? a->since_ns : h->first_ns, first);
	audit_row_time(h->last_ns, last);
	if (text_time(time(NULL), sizeof(now), now) < 0)
		now[0] = '\0';
	(void)fputs("<p>", f);
	if (sums->rows == 0)
		(void)fputs("There is no row of this tenant in this time. ", f);
	else
		(void)fprintf(f, "From %.10s %.8s to %.10s %.8s UTC: %" PRIu64 " rows of this tenant; its keys were given %" PRIu64 " times. ", first, first + 11, last,
			      last + 11, sums->rows, sums->uses);
	(void)fprintf(f, "Made %s by coffer " PACKAGE_VERSION " out of the log itself, without the agent.</p>\n", now);
}

static void page(FILE *f, const struct cmd_audit_html *h, const struct cmd_audit *a, const struct cmd_audit_sums *sums,
		 const struct audit_chain_report *chain)
{
	(void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width\"><title>Keys of tenant ", f);
	put(f, a->tenant);
	(void)fprintf(f, "</title>\n<style>%s</style></head><body>\n<h1>Keys of tenant ", style);
	put(f, a->tenant);
	(void)fputs("</h1>\n<p>Host <code>", f);
	put(f, chain->host_id[0] ? chain->host_id : "unknown");
	(void)fputs("</code></p>\n", f);
	period(f, h, a, sums);
	verdict(f, a, chain);
	(void)fputs("<nav><a href=\"#keys\">keys</a><a href=\"#peers\">peers</a><a href=\"#volumes\">volumes</a>", f);
	for (unsigned s = 0; s < SECTIONS; s++)
		(void)fprintf(f, "<a href=\"#%s\">%s</a>", sections[s].id, sections[s].id);
	(void)fputs("</nav>\n", f);
	tallies(f, "keys", "Key inventory", "key", "No key was used.", &sums->of[CMD_AUDIT_KEYS]);
	tallies(f, "peers", "Who was given a key", "peer", "Nobody.", &sums->of[CMD_AUDIT_USERS]);
	tallies(f, "volumes", "Volumes", "volume", "None.", &sums->of[CMD_AUDIT_VOLUMES]);
	for (unsigned s = 0; s < SECTIONS; s++)
		section(f, s, &h->of[s]);
	(void)fputs("<h2 id=\"again\">To check this again</h2>\n<p><code>coffer audit verify --anchors ANCHORS FILE...</code> on copies of the log and of the anchors that "
		    "somebody else keeps; docs/protocol.md has all that another program needs to do the same.</p>\n</body></html>\n", f);
}

int cmd_audit_html_write(const struct cmd_audit_html *h, const struct cmd_audit *a, const struct cmd_audit_sums *sums,
			 const struct audit_chain_report *chain, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int r = 0;

	if (!f) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	page(f, h, a, sums, chain);
	if (fflush(f) != 0 || ferror(f))
		r = errno ? -errno : -EIO;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	return r;
}
