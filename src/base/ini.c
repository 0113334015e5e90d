/* ini.c: libinih splits and trims lines; what it would pass over in silence is refused by our line reader before
 * libinih sees it: lines longer than its buffer (it cuts them in two), indented lines (it appends them to the value
 * before), text behind "]", ':' for '=', comments behind a value. The reader also counts lines and opens sections, which
 * libinih does not report. */
#include "base/ini.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ini.h>

#include "base/text.h"

#define NAME_MAX_LEN 49 /* libinih's MAX_SECTION - 1 */
#define LINE_MAX_LEN 1024
#define NUMBER_MAX (1LL << 53) /* what JSON can hold, too */

struct entry {
	struct entry *next;
	const struct ini_key *key;
	unsigned line;
	char value[];
};

struct ini_section {
	struct ini_section *next;
	const struct ini_rule *rule;
	unsigned line;
	struct entry *entries, **entries_end;
	char label[NAME_MAX_LEN + 1];
};

struct ini {
	struct ini_section *sections, **sections_end;
};

/* What one ini_read() is at. */
struct reader {
	const char *at, *end;
	unsigned line;
	const struct ini_rule *rules;
	struct ini *ini;
	struct ini_section *now;
	struct ini_error error;
	int r; /* 0, or why we stopped */
};

__attribute__((format(printf, 2, 3))) static void refuse(struct reader *rd, const char *fmt, ...)
{
	va_list ap;

	if (rd->r < 0)
		return;
	rd->r = -EUCLEAN;
	rd->error.line = rd->line;
	va_start(ap, fmt);
	(void)vsnprintf(rd->error.text, sizeof(rd->error.text), fmt, ap);
	va_end(ap);
}

int ini_refuse(struct ini_error *ret_error, unsigned line, const char *fmt, ...)
{
	va_list ap;

	ret_error->line = line;
	va_start(ap, fmt);
	(void)vsnprintf(ret_error->text, sizeof(ret_error->text), fmt, ap);
	va_end(ap);
	return -EUCLEAN;
}

int ini_value_bool(const char *text, bool *ret_b)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret_b = i % 2;
			return 0;
		}
	}
	return -EUCLEAN;
}

static int64_t unit_of(enum ini_type type, char c)
{
	static const struct {
		enum ini_type type;
		char c;
		int64_t n;
	} units[] = {
		{ INI_TIME, 's', 1 },        { INI_TIME, 'm', 60 },         { INI_TIME, 'h', 3600 },
		{ INI_TIME, 'd', 86400 },    { INI_SIZE, 'K', 1LL << 10 }, { INI_SIZE, 'M', 1LL << 20 },
		{ INI_SIZE, 'G', 1LL << 30 },
	};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].type == type && units[i].c == c)
			return units[i].n;
	}
	return 0;
}

int ini_value_number(const char *text, enum ini_type type, int64_t *ret_n)
{
	int64_t n = 0, unit;

	if (*text < '0' || *text > '9')
		return -EUCLEAN;
	for (; *text >= '0' && *text <= '9'; text++) {
		n = n * 10 + (*text - '0');
		if (n > NUMBER_MAX)
			return -ERANGE;
	}
	if (*text) {
		unit = unit_of(type, *text);
		if (unit == 0 || text[1])
			return -EUCLEAN;
		if (n > NUMBER_MAX / unit)
			return -ERANGE;
		n *= unit;
	}
	*ret_n = n;
	return 0;
}

static void check_value(struct reader *rd, const struct ini_key *key, const char *value)
{
	static const char *const wants[] = {
		[INI_BOOL] = "yes or no",
		[INI_INTEGER] = "a number",
		[INI_TIME] = "a time such as 60s, 15m, 24h or 7d",
		[INI_SIZE] = "a size such as 512K, 64M or 1G",
	};
	int64_t n;
	bool b;
	int r = 0;

	if (!*value) {
		refuse(rd, "%s= has no value", key->name);
		return;
	}
	if (key->type == INI_BOOL)
		r = ini_value_bool(value, &b);
	else if (key->type != INI_STRING)
		r = ini_value_number(value, key->type, &n);
	if (r == -ERANGE)
		refuse(rd, "%s=%.40s is too large", key->name, value);
	else if (r < 0)
		refuse(rd, "%s=%.40s is not %s", key->name, value, wants[key->type]);
}

static const struct entry *find(const struct ini_section *s, const char *key, size_t i)
{
	const struct entry *e;

	for (e = s ? s->entries : NULL; e; e = e->next) {
		if (strcmp(e->key->name, key) == 0 && i-- == 0)
			return e;
	}
	return NULL;
}

static void open_section(struct reader *rd, const struct ini_rule *rule, const char *label)
{
	const struct ini_section *o;
	struct ini_section *s;

	for (o = rd->ini->sections; o; o = o->next) {
		if (o->rule == rule && strcmp(o->label, label) == 0) {
			refuse(rd, "section [%s%s%s] stands in line %u already%s", rule->section, *label ? " " : "",
			       label, o->line, rule->many ? "; label it, as in [... 2]" : "");
			return;
		}
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		rd->r = -ENOMEM;
		return;
	}
	s->rule = rule;
	s->line = rd->line;
	s->entries_end = &s->entries;
	memcpy(s->label, label, strlen(label) + 1);
	*rd->ini->sections_end = s;
	rd->ini->sections_end = &s->next;
	rd->now = s;
}

/* name is what stands between the brackets. */
static void enter_section(struct reader *rd, const char *name)
{
	const char *space = strchr(name, ' ');
	size_t len = space ? (size_t)(space - name) : strlen(name);
	const struct ini_rule *rule;

	for (rule = rd->rules; rule->section; rule++) {
		if (strlen(rule->section) == len && strncmp(rule->section, name, len) == 0)
			break;
	}
	if (!rule->section || (space && !rule->many))
		refuse(rd, "unknown section [%s]", name);
	else
		open_section(rd, rule, space ? space + 1 : "");
}

/* Letters, digits, '-', '_', '.', and one space between name and label. */
static bool section_name_ok(const char *p, size_t len)
{
	size_t i, spaces = 0;

	for (i = 0; i < len; i++) {
		if (p[i] == ' ' && i > 0 && i + 1 < len)
			spaces++;
		else if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
			   (p[i] >= '0' && p[i] <= '9') || p[i] == '-' || p[i] == '_' || p[i] == '.'))
			return false;
	}
	return len > 0 && len <= NAME_MAX_LEN && spaces <= 1;
}

/* A line as it stands in the file, n bytes, trailing blanks removed. */
static void check_line(struct reader *rd, const char *p, size_t n)
{
	char name[NAME_MAX_LEN + 1];
	const char *close, *eq;
	size_t i;

	if (n == 0 || p[0] == '#' || p[0] == ';')
		return;
	if (p[0] == ' ' || p[0] == '\t') {
		refuse(rd, "the line begins with a blank: lines are not continued");
		return;
	}
	if (p[0] == '[') {
		close = memchr(p, ']', n);
		if (!close || close + 1 != p + n || !section_name_ok(p + 1, n - 2)) {
			refuse(rd, "not a [section]");
			return;
		}
		memcpy(name, p + 1, n - 2);
		name[n - 2] = '\0';
		enter_section(rd, name);
		return;
	}
	eq = memchr(p, '=', n);
	if (!eq || eq == p || memchr(p, ':', (size_t)(eq - p))) {
		refuse(rd, "neither a [section] nor key=value");
		return;
	}
	for (i = 1; i < n; i++) {
		if (p[i] == ';' && (p[i - 1] == ' ' || p[i - 1] == '\t'))
			refuse(rd, "a comment stands on a line of its own");
	}
}

static size_t trimmed(const char *p, size_t n)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	return n;
}

static void check_bytes(struct reader *rd, const char *p, size_t n)
{
	size_t i;

	if (!text_is_utf8(p, n))
		refuse(rd, "not UTF-8");
	for (i = 0; i < n; i++) {
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			refuse(rd, "a control character");
	}
}

/* Called by libinih for the next line; its buffer is buf[max]. */
static char *read_line(char *buf, int max, void *stream)
{
	struct reader *rd = stream;
	const char *nl;
	size_t n, keep;

	if (rd->r < 0 || rd->at == rd->end)
		return NULL;
	rd->line++;
	nl = memchr(rd->at, '\n', (size_t)(rd->end - rd->at));
	n = (size_t)((nl ? nl : rd->end) - rd->at);
	keep = n > 0 && rd->at[n - 1] == '\r' ? n - 1 : n;
	check_bytes(rd, rd->at, keep);
	keep = trimmed(rd->at, keep);
	if (max < 3 || keep > (size_t)max - 3)
		refuse(rd, "longer than %d bytes", max - 3);
	check_line(rd, rd->at, keep);
	if (rd->r < 0)
		return NULL;
	memcpy(buf, rd->at, keep);
	memcpy(buf + keep, "\n", 2);
	rd->at += n + (nl ? 1 : 0);
	return buf;
}

/* Called by libinih for each key=value, the section being rd->now. */
static int take_entry(void *user, const char *section, const char *name, const char *value)
{
	struct reader *rd = user;
	const struct ini_key *key;
	const struct entry *before;
	struct entry *e;

	(void)section;
	if (!rd->now) {
		refuse(rd, "%.49s= stands before any [section]", name);
		return 0;
	}
	for (key = rd->now->rule->keys; key->name && strcmp(key->name, name) != 0; key++)
		;
	if (!key->name) {
		refuse(rd, "unknown key %.49s= in [%s]", name, rd->now->rule->section);
		return 0;
	}
	before = find(rd->now, name, 0);
	if (before && !key->many)
		refuse(rd, "%s= stands in line %u already", name, before->line);
	check_value(rd, key, value);
	if (rd->r < 0)
		return 0;
	e = calloc(1, sizeof(*e) + strlen(value) + 1);
	if (!e) {
		rd->r = -ENOMEM;
		return 0;
	}
	e->key = key;
	e->line = rd->line;
	memcpy(e->value, value, strlen(value) + 1);
	*rd->now->entries_end = e;
	rd->now->entries_end = &e->next;
	return 1;
}

/* A libinih built as distributions do has its settings in variables, the same for all who use it in this process. */
static void set_up_inih(void)
{
#if HAVE_DECL_INI_MAX_LINE
	ini_max_line = LINE_MAX_LEN + 3;
	ini_use_stack = true;
	ini_allow_multiline = false;
#endif
}

int ini_read(const void *p, size_t len, const struct ini_rule *rules, struct ini **ret_ini, struct ini_error *ret_error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	AUTO_INI struct ini *ini = NULL;
	struct reader rd = { .at = p, .rules = rules };
	int r;

	if (len > INI_BYTES_MAX)
		return -EFBIG;
	pthread_once(&once, set_up_inih);
	ini = calloc(1, sizeof(*ini));
	if (!ini)
		return -ENOMEM;
	ini->sections_end = &ini->sections;
	rd.end = rd.at + len;
	rd.ini = ini;

	r = ini_parse_stream(read_line, &rd, take_entry, &rd);
	if (rd.r == 0 && r != 0) /* libinih found fault where we did not */
		refuse(&rd, "not understood");
	if (rd.r == -EUCLEAN)
		*ret_error = rd.error;
	if (rd.r < 0)
		return rd.r;
	*ret_ini = take_ptr(ini);
	return 0;
}

void ini_free(struct ini *ini)
{
	struct ini_section *s;
	struct entry *e;

	while (ini && (s = ini->sections)) {
		while ((e = s->entries)) {
			s->entries = e->next;
			free(e);
		}
		ini->sections = s->next;
		free(s);
	}
	free(ini);
}

const struct ini_section *ini_section(const struct ini *ini, const char *name, size_t i)
{
	const struct ini_section *s;

	for (s = ini->sections; s; s = s->next) {
		if (strcmp(s->rule->section, name) == 0 && i-- == 0)
			return s;
	}
	return NULL;
}

const char *ini_label(const struct ini_section *s)
{
	return s->label;
}

size_t ini_count(const struct ini_section *s, const char *key)
{
	size_t n = 0;

	while (find(s, key, n))
		n++;
	return n;
}

const char *ini_string(const struct ini_section *s, const char *key, size_t i)
{
	const struct entry *e = find(s, key, i);

	return e ? e->value : NULL;
}

bool ini_bool(const struct ini_section *s, const char *key, bool otherwise)
{
	const struct entry *e = find(s, key, 0);
	bool b;

	return e && ini_value_bool(e->value, &b) == 0 ? b : otherwise;
}

int64_t ini_number(const struct ini_section *s, const char *key, int64_t otherwise)
{
	const struct entry *e = find(s, key, 0);
	int64_t n;

	return e && ini_value_number(e->value, e->key->type, &n) == 0 ? n : otherwise;
}

unsigned ini_section_line(const struct ini_section *s)
{
	return s->line;
}

unsigned ini_line(const struct ini_section *s, const char *key, size_t i)
{
	const struct entry *e = find(s, key, i);

	return e ? e->line : 0;
}
