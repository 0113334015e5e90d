/* volume_config.c: see volume_config.h; implements docs/format.md section 3.
 *
 * The file has two halves: one line with the MAC, then JSON. Whatever is asked of the JSON is asked in this order, so that a
 * volume of a later format is called unsupported, not broken: format, features, algorithms, then the rest. Unknown keys are passed
 * over; they are authentic once the MAC is checked, and a key that must not be passed over is a feature.
 *
 * volume_config_put writes one of the many forms of a configuration, always the same: the order of the page, no white space. */
#include "format/volume_config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "format/layout.h"

#define LINE_START "coffer-volume "
#define LINE_VERSION "1 "
#define EPOCH_DIGITS_MAX 5
#define MAC_TEXT_LEN (2 * CONFIG_MAC_LEN)
#define LINE_LEN_MAX (sizeof(LINE_START LINE_VERSION) - 1 + EPOCH_DIGITS_MAX + 1 + MAC_TEXT_LEN + 1)
#define WHAT_LEN 128
#define WHAT_NAME_MAX 64
#define UUID_TEXT_LEN (2 * UUID_LEN)
#define KEY_RING_LEN_MIN (KEY_RING_LEN_MAX - (EPOCHS_MAX - 1) * 34) /* one epoch */

/* ---- small texts ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool volume_config_tenant_ok(const char *tenant)
{
	return text_is_name(tenant, TENANT_LEN_MAX);
}

void volume_config_uuid_text(const uint8_t uuid[static UUID_LEN], char ret_text[static 33])
{
	text_hex(uuid, UUID_LEN, ret_text);
}

int volume_config_uuid_parse(const char *text, uint8_t ret_uuid[static UUID_LEN])
{
	uint8_t uuid[UUID_LEN];

	if (text_hex_parse(text, strnlen(text, UUID_TEXT_LEN + 1), UUID_LEN, uuid) < 0)
		return -EINVAL;
	memcpy(ret_uuid, uuid, UUID_LEN);
	return 0;
}

/* The two digits at p as a number in lo..hi? */
static bool is_two(const char *p, int lo, int hi)
{
	int n;

	if (!is_digit(p[0]) || !is_digit(p[1]))
		return false;
	n = (p[0] - '0') * 10 + (p[1] - '0');
	return n >= lo && n <= hi;
}

/* RFC 3339 in UTC: 2026-01-02T03:04:05Z, with any fraction, or +00:00 for Z. Days are not counted against the month. */
static bool time_ok(const char *t)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	const size_t len = strnlen(t, TIME_TEXT_MAX);
	size_t i;

	if (len < sizeof(form) || len >= TIME_TEXT_MAX)
		return false;
	for (i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'd' ? !is_digit(t[i]) : t[i] != form[i])
			return false;
	if (!is_two(t + 5, 1, 12) || !is_two(t + 8, 1, 31) || !is_two(t + 11, 0, 23) || !is_two(t + 14, 0, 59) ||
	    !is_two(t + 17, 0, 60))
		return false;
	if (t[i] == '.') {
		if (!is_digit(t[++i]))
			return false;
		while (is_digit(t[i]))
			i++;
	}
	return strcmp(t + i, "Z") == 0 || strcmp(t + i, "+00:00") == 0;
}

/* ---- the line ---- */

struct line {
	uint16_t epoch;
	size_t maced_len;                /* up to and with the last space: what the MAC covers of the line */
	uint8_t mac[CONFIG_MAC_LEN];
	const uint8_t *body;             /* behind the line feed */
	size_t body_len;
};

/* Written for people: characters that are not plain ASCII become '?', long names are cut. */
static int unsupported(char ret_what[static WHAT_LEN], const char *what, const char *name)
{
	char shown[WHAT_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < WHAT_NAME_MAX && name[i]; i++)
		shown[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
	shown[i] = '\0';
	(void)snprintf(ret_what, WHAT_LEN, "%s \"%s\"", what, shown);
	return -EOPNOTSUPP;
}

static int unsupported_format(char ret_what[static WHAT_LEN], long long format)
{
	(void)snprintf(ret_what, WHAT_LEN, "format %lld", format);
	return -EOPNOTSUPP;
}

/* Another version than ours in the line: "coffer-volume N ", N up to 999. */
static int line_version(const char *t, size_t len, char ret_what[static WHAT_LEN])
{
	size_t i = sizeof(LINE_START) - 1;
	long long n = 0;
	size_t digits;

	if (len < i || memcmp(t, LINE_START, i) != 0)
		return -EUCLEAN;
	for (digits = 0; digits < 3 && i < len && is_digit(t[i]); digits++, i++)
		n = n * 10 + (t[i] - '0');
	if (i == len || t[i] != ' ' || n == 0)
		return -EUCLEAN;
	return n == FORMAT_VERSION ? 0 : unsupported_format(ret_what, n);
}

static int line_parse(const uint8_t *p, size_t len, struct line *ret_l, char ret_what[static WHAT_LEN])
{
	const char *t = (const char *)p;
	struct line l = { 0 };
	uint32_t epoch = 0;
	size_t i, start;
	int r;

	if (len > VOLUME_CONFIG_MAX)
		return -EUCLEAN;
	r = line_version(t, len, ret_what);
	if (r < 0)
		return r;
	i = start = sizeof(LINE_START LINE_VERSION) - 1;
	/* Fewer bytes than the longest line has are too few for the shortest line and an object. */
	if (len < LINE_LEN_MAX || memcmp(t, LINE_START LINE_VERSION, start) != 0)
		return -EUCLEAN;
	for (; i < start + EPOCH_DIGITS_MAX && is_digit(t[i]); i++)
		epoch = epoch * 10 + (uint32_t)(t[i] - '0');
	/* No leading zero, so also not 0. */
	if (i == start || t[start] == '0' || epoch > UINT16_MAX || t[i] != ' ')
		return -EUCLEAN;
	l.epoch = (uint16_t)epoch;
	l.maced_len = ++i;
	if (text_hex_parse(t + i, MAC_TEXT_LEN, CONFIG_MAC_LEN, l.mac) < 0 || t[i + MAC_TEXT_LEN] != '\n')
		return -EUCLEAN;
	i += MAC_TEXT_LEN + 1;
	l.body = p + i;
	l.body_len = len - i;
	*ret_l = l;
	return 0;
}

/* ---- the object ---- */

/* What the callers of json_get_* make of its answers: all that is not memory is form. */
static int form_error(int r)
{
	return r == 0 || r == -ENOMEM ? r : -EUCLEAN;
}

static int get_text(const struct json *o, const char *key, char *ret_text, size_t size)
{
	const char *text;
	size_t len;
	int r;

	r = json_get_str(o, key, &text);
	if (r < 0)
		return form_error(r);
	len = strlen(text);
	if (len >= size)
		return -EUCLEAN;
	memcpy(ret_text, text, len + 1);
	return 0;
}

static int get_time(const struct json *o, char ret_text[static TIME_TEXT_MAX])
{
	int r = get_text(o, "created", ret_text, TIME_TEXT_MAX);

	if (r < 0)
		return r;
	return time_ok(ret_text) ? 0 : -EUCLEAN;
}

/* An array of strings, of which format 1 knows none: ret_first is the first, NULL when it is empty. */
static int get_feature(const struct json *features, const char *kind, const char **ret_first)
{
	const struct json *a;
	size_t i;
	int r;

	r = json_get_array(features, kind, &a);
	if (r < 0)
		return form_error(r);
	for (i = 0; i < json_array_len(a); i++)
		if (!json_text(json_array_at(a, i)))
			return -EUCLEAN;
	*ret_first = i ? json_text(json_array_at(a, 0)) : NULL;
	return 0;
}

static int check_format(const struct json *o, char ret_what[static WHAT_LEN])
{
	int64_t format;
	int r;

	r = json_get_int(o, "format", &format);
	if (r < 0)
		return form_error(r);
	return format == FORMAT_VERSION ? 0 : unsupported_format(ret_what, format);
}

static int check_features(const struct json *o, bool *ret_read_only, char ret_what[static WHAT_LEN])
{
	const char *compat, *ro_compat, *incompat;
	const struct json *features;
	int r;

	r = json_get_object(o, "features", &features);
	if (r < 0)
		return form_error(r);
	r = get_feature(features, "incompat", &incompat);
	if (r < 0)
		return r;
	if (incompat)
		return unsupported(ret_what, "incompat feature", incompat);
	r = get_feature(features, "ro_compat", &ro_compat);
	if (r < 0)
		return r;
	r = get_feature(features, "compat", &compat);
	if (r < 0)
		return r;
	*ret_read_only = ro_compat;
	return 0;
}

static const struct {
	const char *key, *id, *what;
} algorithms[] = {
	{ "content", "xts-stamp", "content algorithm" },
	{ "tag", "egmac", "tag algorithm" },
	{ "names", "siv", "names algorithm" },
};

#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

static int check_algorithms(const struct json *o, char ret_what[static WHAT_LEN])
{
	const char *id;
	size_t i;
	int r;

	for (i = 0; i < ALGORITHMS; i++) {
		r = json_get_str(o, algorithms[i].key, &id);
		if (r < 0)
			return form_error(r);
		if (strcmp(id, algorithms[i].id) != 0)
			return unsupported(ret_what, algorithms[i].what, id);
	}
	return 0;
}

static int get_uuid(const struct json *o, const char *key, uint8_t ret_uuid[static UUID_LEN])
{
	const char *text;
	int r;

	r = json_get_str(o, key, &text);
	if (r < 0)
		return form_error(r);
	return volume_config_uuid_parse(text, ret_uuid) < 0 ? -EUCLEAN : 0;
}

/* A slot is made for one volume of one tenant; its context says so to the KMS. */
static int check_context(const struct json *slot, const struct volume_config *c)
{
	const char *tenant, *purpose;
	uint8_t uuid[UUID_LEN];
	const struct json *o;
	int r;

	r = json_get_object(slot, "context", &o);
	if (r < 0)
		return form_error(r);
	r = get_uuid(o, "volume", uuid);
	if (r < 0)
		return r;
	r = json_get_str(o, "tenant", &tenant);
	if (r < 0)
		return form_error(r);
	r = json_get_str(o, "purpose", &purpose);
	if (r < 0)
		return form_error(r);
	if (strcmp(tenant, c->tenant) != 0 || memcmp(uuid, c->uuid, UUID_LEN) != 0 || strcmp(purpose, "root") != 0)
		return -EUCLEAN;
	return 0;
}

static int parse_slot(const struct json *o, const struct volume_config *c, struct key_slot *ret_s)
{
	const char *state;
	int r;

	if (!json_is_object(o))
		return -EUCLEAN;
	r = get_text(o, "kms", ret_s->kms, sizeof(ret_s->kms));
	if (r < 0)
		return r;
	r = get_text(o, "key_version", ret_s->key_version, sizeof(ret_s->key_version));
	if (r < 0)
		return r;
	r = json_get_b64_var(o, "wrapped_kek", ret_s->wrapped_kek, WRAPPED_KEK_MAX, &ret_s->wrapped_kek_len);
	if (r < 0)
		return form_error(r);
	r = json_get_b64(o, "sealed_root", ret_s->sealed_root, SEALED_ROOT_LEN);
	if (r < 0)
		return form_error(r);
	r = json_get_b64(o, "commitment", ret_s->commitment, COMMITMENT_LEN);
	if (r < 0)
		return form_error(r);
	r = get_time(o, ret_s->created);
	if (r < 0)
		return r;
	r = json_get_str(o, "state", &state);
	if (r < 0)
		return form_error(r);
	ret_s->active = strcmp(state, "active") == 0;
	if (!ret_s->active && strcmp(state, "retired") != 0)
		return -EUCLEAN;
	if (ret_s->kms[0] == '\0' || ret_s->wrapped_kek_len == 0)
		return -EUCLEAN;
	return check_context(o, c);
}

static int parse_slots(const struct json *o, struct volume_config *c)
{
	const struct json *slots;
	size_t i;
	int r;

	r = json_get_array(o, "slots", &slots);
	if (r < 0)
		return form_error(r);
	c->slot_count = json_array_len(slots);
	if (c->slot_count == 0 || c->slot_count > SLOTS_MAX)
		return -EUCLEAN;
	for (i = 0; i < c->slot_count; i++) {
		r = parse_slot(json_array_at(slots, i), c, &c->slots[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_object(const struct json *o, struct volume_config *c, char ret_what[static WHAT_LEN])
{
	int64_t version;
	int r;

	r = check_format(o, ret_what);
	if (r < 0)
		return r;
	r = check_features(o, &c->read_only_only, ret_what);
	if (r < 0)
		return r;
	r = check_algorithms(o, ret_what);
	if (r < 0)
		return r;
	r = get_uuid(o, "uuid", c->uuid);
	if (r < 0)
		return r;
	r = get_text(o, "tenant", c->tenant, sizeof(c->tenant));
	if (r < 0)
		return r;
	r = json_get_int(o, "config_version", &version);
	if (r < 0)
		return form_error(r);
	if (version < 0 || !volume_config_tenant_ok(c->tenant))
		return -EUCLEAN;
	c->config_version = (uint64_t)version;
	r = get_time(o, c->created);
	if (r < 0)
		return r;
	r = json_get_b64_var(o, "key_ring", c->key_ring, KEY_RING_LEN_MAX, &c->key_ring_len);
	if (r < 0)
		return form_error(r);
	if (c->key_ring_len < KEY_RING_LEN_MIN)
		return -EUCLEAN;
	return parse_slots(o, c);
}

int volume_config_parse(const uint8_t *p, size_t len, struct volume_config *ret_c, char ret_what[static 128])
{
	AUTO_FREE struct volume_config *c = NULL;
	AUTO_JSON struct json *o = NULL;
	struct line l;
	int r;

	r = line_parse(p, len, &l, ret_what);
	if (r < 0)
		return r;
	r = json_parse(l.body, l.body_len, VOLUME_CONFIG_MAX, &o);
	if (r < 0)
		return form_error(r);
	if (!json_is_object(o))
		return -EUCLEAN;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->epoch = l.epoch;
	r = parse_object(o, c, ret_what);
	if (r < 0)
		return r;
	memcpy(ret_c, c, sizeof(*c));
	return 0;
}

int volume_config_verify(const uint8_t *p, size_t len, const struct volume_config *c, const struct secret *root,
			 struct key_ring **ret_ring)
{
	AUTO_KEY_RING struct key_ring *ring = NULL;
	uint8_t mac[CONFIG_MAC_LEN];
	char what[WHAT_LEN];
	struct line l;
	int r;

	r = line_parse(p, len, &l, what);
	if (r < 0)
		return r;
	r = keys_config_mac(root, c->uuid, p, l.maced_len, l.body, l.body_len, mac);
	if (r < 0)
		return r;
	if (!secret_equal(mac, l.mac, CONFIG_MAC_LEN))
		return -EKEYREJECTED;
	r = key_ring_open(root, c->uuid, c->key_ring, c->key_ring_len, &ring);
	if (r < 0)
		return r;
	if (key_ring_newest(ring) != l.epoch || c->epoch != l.epoch)
		return -EKEYREJECTED;
	*ret_ring = take_ptr(ring);
	return 0;
}
