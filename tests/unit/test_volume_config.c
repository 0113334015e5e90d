/* test_volume_config.c: coffer.volume: round trips, each key's rule, and that the MAC covers every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "format/volume_config.h"
#include "format_fixture.h"
#include "format_malformed.h"

#define WHAT 128

static struct volume_config *config_new(void)
{
	struct volume_config *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	return c;
}

/* Parse and verify with the fixture's root. */
static int open_text(const uint8_t *p, size_t len, struct volume_config *ret_c, char *ret_what)
{
	AUTO_SECRET struct secret *root = fixture_root_secret();
	AUTO_KEY_RING struct key_ring *ring = NULL;
	int r;

	r = volume_config_parse(p, len, ret_c, ret_what);
	if (r < 0)
		return r;
	return volume_config_verify(p, len, ret_c, root, &ring);
}

static uint8_t *put(const struct volume_config *c, size_t *ret_len)
{
	AUTO_SECRET struct secret *root = fixture_root_secret();
	uint8_t *p = NULL;

	assert_int_equal(volume_config_put(c, root, &p, ret_len), 0);
	return p;
}

/* ---- small things ---- */

static void tenants_have_the_stated_characters(void **state)
{
	char name[TENANT_LEN_MAX + 2];

	(void)state;
	assert_true(volume_config_tenant_ok("a"));
	assert_true(volume_config_tenant_ok("AZaz09_-.x"));
	assert_true(volume_config_tenant_ok("-"));
	assert_false(volume_config_tenant_ok(""));
	assert_false(volume_config_tenant_ok(".a"));
	assert_false(volume_config_tenant_ok("a b"));
	assert_false(volume_config_tenant_ok("a/b"));
	assert_false(volume_config_tenant_ok("a\n"));
	assert_false(volume_config_tenant_ok("\xc3\xa4"));
	memset(name, 'x', sizeof(name));
	name[TENANT_LEN_MAX + 1] = '\0';
	assert_false(volume_config_tenant_ok(name));
	name[TENANT_LEN_MAX] = '\0';
	assert_true(volume_config_tenant_ok(name));
}

static void uuids_are_32_lower_case_digits(void **state)
{
	uint8_t uuid[UUID_LEN], back[UUID_LEN] = { 0 };
	char text[33];

	(void)state;
	memcpy(uuid, fixture_uuid, UUID_LEN);
	volume_config_uuid_text(uuid, text);
	assert_string_equal(text, "c2844e55659f73e368ce5bb42e59bcb4");
	assert_int_equal(volume_config_uuid_parse(text, back), 0);
	assert_memory_equal(uuid, back, UUID_LEN);
	assert_int_equal(volume_config_uuid_parse("c2844e55659f73e368ce5bb42e59bcb", back), -EINVAL);
	assert_int_equal(volume_config_uuid_parse("c2844e55659f73e368ce5bb42e59bcb40", back), -EINVAL);
	assert_int_equal(volume_config_uuid_parse("C2844e55659f73e368ce5bb42e59bcb4", back), -EINVAL);
	assert_int_equal(volume_config_uuid_parse("c2844e55659f73e368ce5bb42e59bcbg", back), -EINVAL);
	assert_int_equal(volume_config_uuid_parse("", back), -EINVAL);
}

/* ---- round trips ---- */

static void a_configuration_survives_put_and_parse(void **state)
{
	AUTO_FREE struct volume_config *c = config_new(), *d = config_new();
	struct fixture_rng rng = { 30 };
	char what[WHAT];
	unsigned i;

	(void)state;
	for (i = 0; i < 64; i++) {
		AUTO_FREE uint8_t *p = NULL, *q = NULL;
		size_t len, again;

		fixture_config(&rng, 1 + i % SLOTS_MAX, c);
		p = put(c, &len);
		memset(d, 0xaa, sizeof(*d));
		assert_int_equal(open_text(p, len, d, what), 0);
		assert_memory_equal(c, d, sizeof(*c));
		q = put(d, &again);
		assert_int_equal(len, again);
		assert_memory_equal(p, q, len);
	}
}

static void a_fresh_volume_opens_through_its_slot(void **state)
{
	AUTO_FREE struct volume_config *c = config_new(), *d = config_new();
	AUTO_SECRET struct secret *kek = NULL, *root = NULL, *got = NULL;
	AUTO_KEY_RING struct key_ring *ring = NULL;
	struct fixture_rng rng = { 31 };
	uint8_t commitment[COMMITMENT_LEN];
	AUTO_FREE uint8_t *p = NULL;
	char what[WHAT];
	size_t len;

	(void)state;
	assert_int_equal(secret_new(KEY_LEN, &kek), 0);
	assert_int_equal(secret_random(secret_bytes(kek), KEY_LEN), 0);
	assert_int_equal(secret_new(KEY_LEN, &root), 0);
	assert_int_equal(secret_random(secret_bytes(root), KEY_LEN), 0);
	fixture_config(&rng, 1, c);
	c->epoch = 1;
	assert_int_equal(keys_root_seal(kek, c->tenant, c->uuid, root, c->slots[0].sealed_root), 0);
	assert_int_equal(keys_commitment(root, c->uuid, c->slots[0].commitment), 0);
	assert_int_equal(key_ring_create(root, c->uuid, c->key_ring, &c->key_ring_len), 0);
	assert_int_equal(volume_config_put(c, root, &p, &len), 0);
	assert_int_equal(volume_config_parse(p, len, d, what), 0);
	assert_int_equal(keys_root_open(kek, d->tenant, d->uuid, d->slots[0].sealed_root, &got), 0);
	assert_int_equal(keys_commitment(got, d->uuid, commitment), 0);
	assert_memory_equal(commitment, d->slots[0].commitment, COMMITMENT_LEN);
	assert_int_equal(volume_config_verify(p, len, d, got, &ring), 0);
	assert_int_equal(key_ring_newest(ring), 1);
}

static void another_root_is_rejected(void **state)
{
	AUTO_FREE struct volume_config *c = config_new(), *d = config_new();
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_SECRET struct secret *root = fixture_root_secret();
	struct fixture_rng rng = { 32 };
	AUTO_FREE uint8_t *p = NULL;
	char what[WHAT];
	size_t len;

	(void)state;
	fixture_config(&rng, 1, c);
	p = put(c, &len);
	assert_int_equal(volume_config_parse(p, len, d, what), 0);
	secret_bytes(root)[31] ^= 1;
	assert_int_equal(volume_config_verify(p, len, d, root, &ring), -EKEYREJECTED);
	assert_null(ring);
}

static void the_line_names_the_newest_epoch_of_the_ring(void **state)
{
	AUTO_FREE struct volume_config *c = config_new(), *d = config_new();
	struct fixture_rng rng = { 33 };
	char what[WHAT];
	uint16_t epoch;
	size_t len;

	(void)state;
	fixture_config(&rng, 1, c);
	for (epoch = 257; epoch <= 261; epoch++) {
		AUTO_FREE uint8_t *p = NULL;

		c->epoch = epoch;
		p = put(c, &len);
		assert_int_equal(open_text(p, len, d, what), epoch == FIXTURE_EPOCH ? 0 : -EKEYREJECTED);
	}
}

static void what_no_reader_takes_is_not_written(void **state)
{
	AUTO_FREE struct volume_config *c = config_new(), *good = config_new();
	AUTO_SECRET struct secret *root = fixture_root_secret();
	struct fixture_rng rng = { 34 };
	AUTO_FREE uint8_t *p = NULL;
	size_t len = 77;

	(void)state;
	fixture_config(&rng, 2, good);
#define REFUSES(change)                                                    \
	do {                                                               \
		memcpy(c, good, sizeof(*c));                               \
		change;                                                    \
		assert_int_equal(volume_config_put(c, root, &p, &len), -EINVAL); \
		assert_null(p);                                            \
		assert_int_equal(len, 77);                                 \
	} while (0)
	REFUSES(c->slot_count = 0);
	REFUSES(c->slot_count = SLOTS_MAX + 1);
	REFUSES(c->epoch = 0);
	REFUSES(c->tenant[0] = '\0');
	REFUSES(c->tenant[0] = '.');
	REFUSES(c->config_version = (uint64_t)INT64_MAX + 1);
	REFUSES(c->created[4] = '/');
	REFUSES(c->read_only_only = true);
	REFUSES(c->key_ring_len = KEY_RING_LEN_MAX + 1);
	REFUSES(c->key_ring_len = 0);
	REFUSES(c->slots[1].kms[0] = '\0');
	REFUSES(c->slots[1].kms[0] = (char)0xff);
	REFUSES(c->slots[1].wrapped_kek_len = 0);
	REFUSES(c->slots[1].wrapped_kek_len = WRAPPED_KEK_MAX + 1);
	REFUSES(c->slots[1].created[0] = '\0');
#undef REFUSES
	assert_int_equal(volume_config_put(good, root, &p, &len), 0);
}

static void the_limits_themselves_can_be_written(void **state)
{
	AUTO_FREE struct volume_config *c = config_new(), *d = config_new();
	struct fixture_rng rng = { 35 };
	char what[WHAT];
	unsigned i;

	(void)state;
	fixture_config(&rng, SLOTS_MAX, c);
	c->slots[SLOTS_MAX - 1].wrapped_kek_len = WRAPPED_KEK_MAX;
	c->key_ring_len = KEY_RING_LEN_MAX;
	for (i = 0; i < 2; i++) {
		AUTO_FREE uint8_t *p = NULL;
		size_t len;

		c->config_version = i ? INT64_MAX : 0;
		p = put(c, &len);
		assert_int_equal(volume_config_parse(p, len, d, what), 0);
		assert_memory_equal(c, d, sizeof(*c));
	}
}

/* ---- what is refused ---- */

#define CREATED "2026-01-02T03:04:05Z"
#define UUID_TEXT "c2844e55659f73e368ce5bb42e59bcb4"

/* A configuration of one slot in text, with a wrapped KEK of 3 bytes. */
static const char valid_body[] =
	"{\"format\":1,\"uuid\":\"" UUID_TEXT "\",\"tenant\":\"tenant-a\",\"config_version\":1,"
	"\"created\":\"" CREATED "\",\"content\":\"xts-stamp\",\"tag\":\"egmac\",\"names\":\"siv\","
	"\"features\":{\"compat\":[],\"ro_compat\":[],\"incompat\":[]},"
	"\"slots\":[{\"kms\":\"local:test\",\"key_version\":\"\",\"wrapped_kek\":\"AAEC\",\"sealed_root\":\""
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"commitment\":\""
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"context\":{\"tenant\":\"tenant-a\",\"volume\":\"" UUID_TEXT "\","
	"\"purpose\":\"root\"},\"created\":\"" CREATED "\",\"state\":\"active\"}],\"key_ring\":\"";

/* line ‖ body ‖ ring ‖ "}", with the first `from` behind the line replaced by `to`, under a right MAC. malloc'ed. */
static uint8_t *text_with(const char *line, const char *from, const char *to, size_t *ret_len)
{
	AUTO_FREE char *body = NULL, *all = NULL;
	AUTO_JSON struct json *o = json_new_object();
	const char *b64;
	char *at, *out;
	int n;

	assert_int_equal(json_put_b64(o, "k", fixture_sealed_ring, sizeof(fixture_sealed_ring)), 0);
	assert_int_equal(json_get_str(o, "k", &b64), 0);
	assert_true(asprintf(&body, "%s%s\"}\n", valid_body, b64) > 0);
	at = strstr(body, from);
	assert_non_null(at);
	n = asprintf(&all, "%s%064d\n%.*s%s%s", line, 0, (int)(at - body), body, to, at + strlen(from));
	assert_true(n > 0);
	out = take_ptr(all);
	*ret_len = (size_t)n;
	assert_true(fixture_remac((uint8_t *)out, (size_t)n, fixture_uuid));
	return (uint8_t *)out;
}

struct change {
	const char *rule, *from, *to;
	int want;
	const char *what; /* for -EOPNOTSUPP */
};

static const struct change changes[] = {
	{ "unknown keys are ignored", "{\"format\"", "{\"later\":{\"a\":[1]},\"format\"", 0, NULL },
	{ "unknown keys of a slot are ignored", "{\"kms\"", "{\"later\":null,\"kms\"", 0, NULL },
	{ "white space is JSON", "{\"format\":1,", " {\t\"format\" : 1 ,\n", 0, NULL },
	{ "format", "\"format\":1", "\"format\":2", -EOPNOTSUPP, "format 2" },
	{ "format is an integer", "\"format\":1", "\"format\":\"1\"", -EUCLEAN, NULL },
	{ "format is there", "\"format\":1,", "", -EUCLEAN, NULL },
	{ "no duplicate keys", "\"format\":1", "\"format\":1,\"format\":1", -EUCLEAN, NULL },
	{ "one object", "}\n", "}\n{}", -EUCLEAN, NULL },
	{ "an object", "{\"format\"", "[{\"format\"", -EUCLEAN, NULL },
	{ "UTF-8", "tenant-a", "tenant-\xff", -EUCLEAN, NULL },
	{ "uuid of 32 digits", "\"uuid\":\"c2", "\"uuid\":\"c", -EUCLEAN, NULL },
	{ "uuid in lower case", "\"uuid\":\"c2", "\"uuid\":\"C2", -EUCLEAN, NULL },
	{ "uuid is there", "\"uuid\"", "\"uuix\"", -EUCLEAN, NULL },
	{ "tenant's characters", "\"tenant\":\"tenant-a\"", "\"tenant\":\"tenant a\"", -EUCLEAN, NULL },
	{ "tenant not empty", "\"tenant\":\"tenant-a\"", "\"tenant\":\"\"", -EUCLEAN, NULL },
	{ "tenant's length", "\"tenant\":\"",
	  "\"tenant\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", -EUCLEAN, NULL },
	{ "config_version is an integer", "\"config_version\":1", "\"config_version\":1.5", -EUCLEAN, NULL },
	{ "config_version is unsigned", "\"config_version\":1", "\"config_version\":-1", -EUCLEAN, NULL },
	{ "created is RFC 3339", CREATED, "2026-01-02 03:04:05Z", -EUCLEAN, NULL },
	{ "created is UTC", CREATED, "2026-01-02T03:04:05+01:00", -EUCLEAN, NULL },
	{ "created has a zone", CREATED, "2026-01-02T03:04:05", -EUCLEAN, NULL },
	{ "created has a month", CREATED, "2026-13-02T03:04:05Z", -EUCLEAN, NULL },
	{ "created has a day", CREATED, "2026-01-32T03:04:05Z", -EUCLEAN, NULL },
	{ "created has a day above 0", CREATED, "2026-01-00T03:04:05Z", -EUCLEAN, NULL },
	{ "created has an hour", CREATED, "2026-01-02T24:04:05Z", -EUCLEAN, NULL },
	{ "created has a minute", CREATED, "2026-01-02T03:60:05Z", -EUCLEAN, NULL },
	{ "created has a second", CREATED, "2026-01-02T03:04:61Z", -EUCLEAN, NULL },
	{ "created may have a leap second", CREATED, "2026-12-31T23:59:60Z", 0, NULL },
	{ "created has digits", CREATED, "2026-01-0aT03:04:05Z", -EUCLEAN, NULL },
	{ "created of 31 characters", CREATED, "2026-01-02T03:04:05.1234567890Z", 0, NULL },
	{ "created of 32 characters", CREATED, "2026-01-02T03:04:05.12345678901Z", -EUCLEAN, NULL },
	{ "created not empty", CREATED, "", -EUCLEAN, NULL },
	{ "created may have a fraction", CREATED, "2026-01-02T03:04:05.123Z", 0, NULL },
	{ "created's fraction has digits", CREATED, "2026-01-02T03:04:05.Z", -EUCLEAN, NULL },
	{ "created may say +00:00", CREATED, "2026-01-02T03:04:05+00:00", 0, NULL },
	{ "content reserved", "xts-stamp", "xts-pos", -EOPNOTSUPP, "content algorithm \"xts-pos\"" },
	{ "tag reserved", "egmac", "hmac-sha256-128", -EOPNOTSUPP, "tag algorithm \"hmac-sha256-128\"" },
	{ "names reserved", "\"siv\"", "\"kw\"", -EOPNOTSUPP, "names algorithm \"kw\"" },
	{ "content unknown", "xts-stamp", "\xc3\xa4\\n", -EOPNOTSUPP, "content algorithm \"???\"" },
	{ "content is there", "\"content\"", "\"contents\"", -EUCLEAN, NULL },
	{ "compat unknown is ignored", "\"compat\":[]", "\"compat\":[\"foo\"]", 0, NULL },
	{ "incompat unknown", "\"incompat\":[]", "\"incompat\":[\"foo\",\"bar\"]", -EOPNOTSUPP,
	  "incompat feature \"foo\"" },
	{ "incompat with odd characters", "\"incompat\":[]", "\"incompat\":[\" ~\\u007f\"]", -EOPNOTSUPP,
	  "incompat feature \" ~?\"" },
	{ "incompat of strings", "\"incompat\":[]", "\"incompat\":[1]", -EUCLEAN, NULL },
	{ "compat of strings", "\"compat\":[]", "\"compat\":[[]]", -EUCLEAN, NULL },
	{ "ro_compat is an array", "\"ro_compat\":[]", "\"ro_compat\":{}", -EUCLEAN, NULL },
	{ "features are there", "\"features\"", "\"feature\"", -EUCLEAN, NULL },
	{ "slots are there", "\"slots\"", "\"slot\"", -EUCLEAN, NULL },
	{ "a slot is an object", "\"slots\":[", "\"slots\":[[],", -EUCLEAN, NULL },
	{ "at least one slot", "\"slots\":[", "\"slots\":[],\"x\":[", -EUCLEAN, NULL },
	{ "kms is there", "\"kms\"", "\"kmz\"", -EUCLEAN, NULL },
	{ "kms is not empty", "local:test", "", -EUCLEAN, NULL },
	{ "key_version is there", "\"key_version\":\"\",", "", -EUCLEAN, NULL },
	{ "wrapped_kek is base64", "AAEC", "AAE", -EUCLEAN, NULL },
	{ "wrapped_kek is strict base64", "AAEC", "AAF=", -EUCLEAN, NULL },
	{ "wrapped_kek is not empty", "AAEC", "", -EUCLEAN, NULL },
	{ "sealed_root has 60 bytes", "\"sealed_root\":\"AAAA", "\"sealed_root\":\"", -EUCLEAN, NULL },
	{ "commitment has 32 bytes", "\"commitment\":\"AAAA", "\"commitment\":\"", -EUCLEAN, NULL },
	{ "context is there", "\"context\"", "\"contexts\"", -EUCLEAN, NULL },
	{ "context names the tenant", "\"context\":{\"tenant\":\"tenant-a", "\"context\":{\"tenant\":\"tenant-b", -EUCLEAN,
	  NULL },
	{ "context names the volume", "\"volume\":\"c2", "\"volume\":\"c3", -EUCLEAN, NULL },
	{ "context names the purpose", "\"purpose\":\"root\"", "\"purpose\":\"data\"", -EUCLEAN, NULL },
	{ "a slot may be retired", "\"state\":\"active\"", "\"state\":\"retired\"", 0, NULL },
	{ "a slot has a known state", "\"state\":\"active\"", "\"state\":\"lost\"", -EUCLEAN, NULL },
	{ "key_ring is there", "\"key_ring\"", "\"key_rink\"", -EUCLEAN, NULL },
	{ "key_ring is base64", "\"key_ring\":\"", "\"key_ring\":\"*", -EUCLEAN, NULL },
	{ "key_ring is the root key's", "\"key_ring\":\"s", "\"key_ring\":\"t", -EKEYREJECTED, NULL },
	{ "later formats may lack all else", "\"format\":1,\"uuid\"", "\"format\":9,\"uuix\"", -EOPNOTSUPP, "format 9" },
};

static void each_broken_rule_refuses_an_authentic_configuration(void **state)
{
	AUTO_FREE struct volume_config *c = config_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *ch = &changes[i];
		AUTO_FREE uint8_t *p = NULL;
		char what[WHAT] = "-";
		size_t len;
		int r;

		p = text_with("coffer-volume 1 259 ", ch->from, ch->to, &len);
		r = open_text(p, len, c, what);
		if (r != ch->want || (ch->what && strcmp(what, ch->what) != 0))
			fprintf(stderr, "rule \"%s\": got %d, want %d, what: %s\n", ch->rule, r, ch->want, what);
		assert_int_equal(r, ch->want);
		if (ch->what)
			assert_string_equal(what, ch->what);
		if (r == 0)
			assert_false(c->read_only_only);
	}
}

static void the_line_has_one_form(void **state)
{
	static const struct {
		const char *line;
		int want;
	} rows[] = {
		{ "coffer-volume 1 259 ", 0 },
		{ "coffer-volume 2 259 ", -EOPNOTSUPP },
		{ "coffer-volume 10 259 ", -EOPNOTSUPP },
		{ "coffer-volume 0 259 ", -EUCLEAN },
		{ "coffer-volume 01 259 ", -EUCLEAN },
		{ "coffer-volume 1111 259 ", -EUCLEAN },
		{ "coffer-volume  259 ", -EUCLEAN },
		{ "coffer-volumes 1 259 ", -EUCLEAN },
		{ "Coffer-volume 1 259 ", -EUCLEAN },
		{ "coffer-volume 1 0259 ", -EUCLEAN },
		{ "coffer-volume 1 0 ", -EUCLEAN },
		{ "coffer-volume 1  ", -EUCLEAN },
		{ "coffer-volume 1 65536 ", -EUCLEAN },
		{ "coffer-volume 1 99999 ", -EUCLEAN },
		{ "coffer-volume 1 100000 ", -EUCLEAN },
		{ "coffer-volume 1 65535 ", -EKEYREJECTED },
		{ "coffer-volume 1 2 ", -EKEYREJECTED },
		{ "coffer-volume 1 +259 ", -EUCLEAN },
		{ "coffer-volume 1 259  ", -EUCLEAN },
		{ "coffer-volume 1 259 0", -EUCLEAN },
		{ "coffer-volume 1 259\t", -EUCLEAN },
		{ "", -EUCLEAN },
	};
	AUTO_FREE struct volume_config *c = config_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO_FREE uint8_t *p = NULL;
		char what[WHAT];
		size_t len;
		int r;

		p = text_with(rows[i].line, "}", "}", &len);
		r = open_text(p, len, c, what);
		if (r != rows[i].want)
			fprintf(stderr, "line \"%s\": got %d\n", rows[i].line, r);
		assert_int_equal(r, rows[i].want);
	}
}

static void an_unknown_ro_compat_feature_makes_it_read_only(void **state)
{
	AUTO_FREE struct volume_config *c = config_new();
	AUTO_FREE uint8_t *p = NULL;
	char what[WHAT];
	size_t len;

	(void)state;
	p = text_with("coffer-volume 1 259 ", "\"ro_compat\":[]", "\"ro_compat\":[\"x\"]", &len);
	assert_int_equal(open_text(p, len, c, what), 0);
	assert_true(c->read_only_only);
}

static void a_long_feature_name_is_cut(void **state)
{
	AUTO_FREE struct volume_config *c = config_new();
	AUTO_FREE uint8_t *p = NULL;
	char to[400], what[WHAT];
	size_t len;

	(void)state;
	snprintf(to, sizeof(to), "\"incompat\":[\"%0300d\"]", 0);
	p = text_with("coffer-volume 1 259 ", "\"incompat\":[]", to, &len);
	assert_int_equal(open_text(p, len, c, what), -EOPNOTSUPP);
	assert_int_equal(strlen(what), strlen("incompat feature \"\"") + 64);
}

/* Limits of slots, counted from both sides. */
static void slots_hold_to_their_limits(void **state)
{
	static const struct {
		const char *key;
		size_t max;
	} rows[] = { { "\"kms\":\"", KMS_URI_MAX - sizeof("local:test") + 1 }, { "\"key_version\":\"", KEY_VERSION_MAX } };
	AUTO_FREE struct volume_config *c = config_new();
	char what[WHAT];
	size_t i, len;
	int over;

	(void)state;
	for (i = 0; i < 2; i++) {
		for (over = 0; over < 2; over++) {
			AUTO_FREE uint8_t *p = NULL;
			char to[800];

			snprintf(to, sizeof(to), "%s%0*d", rows[i].key, (int)rows[i].max + over, 0);
			p = text_with("coffer-volume 1 259 ", rows[i].key, to, &len);
			assert_int_equal(open_text(p, len, c, what), over ? -EUCLEAN : 0);
		}
	}
	/* 16 slots and 17; a wrapped KEK of 8192 bytes and 8193 */
	for (over = 0; over < 2; over++) {
		AUTO_FREE char *to = strdup("\"slots\":[");
		AUTO_FREE uint8_t *p = NULL;
		const char *slot = strstr(valid_body, "{\"kms\""), *end = strstr(slot, "],\"key_ring\"");

		for (i = 0; i < SLOTS_MAX - 1 + (size_t)over; i++) {
			AUTO_FREE char *before = take_ptr(to);

			assert_true(asprintf(&to, "%s%.*s,", before, (int)(end - slot), slot) > 0);
		}
		p = text_with("coffer-volume 1 259 ", "\"slots\":[", to, &len);
		assert_int_equal(open_text(p, len, c, what), over ? -EUCLEAN : 0);
	}
	for (over = 0; over < 2; over++) {
		AUTO_FREE uint8_t *p = NULL;
		char to[10940];

		/* 8190 bytes, and the last two or three */
		snprintf(to, sizeof(to), "%010920d%s", 0, over ? "AAEC" : "AAE=");
		p = text_with("coffer-volume 1 259 ", "AAEC", to, &len);
		assert_int_equal(open_text(p, len, c, what), over ? -EUCLEAN : 0);
		if (!over)
			assert_int_equal(c->slots[0].wrapped_kek_len, WRAPPED_KEK_MAX);
	}
}

static void more_than_256_kib_are_refused(void **state)
{
	AUTO_FREE struct volume_config *c = config_new();
	AUTO_FREE uint8_t *p = NULL, *q = malloc(VOLUME_CONFIG_MAX + 1);
	char what[WHAT];
	size_t len;

	(void)state;
	p = text_with("coffer-volume 1 259 ", "}", "}", &len);
	memset(q, '\n', VOLUME_CONFIG_MAX + 1);
	memcpy(q, p, len);
	assert_true(fixture_remac(q, VOLUME_CONFIG_MAX, fixture_uuid));
	assert_int_equal(open_text(q, VOLUME_CONFIG_MAX, c, what), 0);
	assert_true(fixture_remac(q, VOLUME_CONFIG_MAX + 1, fixture_uuid));
	assert_int_equal(open_text(q, VOLUME_CONFIG_MAX + 1, c, what), -EUCLEAN);
}

/* Also that no byte behind the end is read: each prefix stands at the end of its own allocation. */
static void every_cut_is_refused(void **state)
{
	AUTO_FREE struct volume_config *c = config_new();
	AUTO_FREE uint8_t *p = NULL;
	char what[WHAT];
	size_t len, n;
	int r;

	(void)state;
	p = text_with("coffer-volume 1 259 ", "}", "}", &len);
	for (n = 0; n < len; n++) {
		AUTO_FREE uint8_t *q = malloc(n + !n);

		memcpy(q, p, n);
		r = open_text(q, n, c, what);
		assert_true(r == -EUCLEAN || (r == -EKEYREJECTED && n == len - 1)); /* but for the line feed it is whole */
	}
}

static void every_flipped_bit_is_refused(void **state)
{
	AUTO_FREE struct volume_config *c = config_new();
	AUTO_FREE uint8_t *p = NULL;
	char what[WHAT];
	size_t len, bit;
	int r;

	(void)state;
	p = text_with("coffer-volume 1 259 ", "}", "}", &len);
	assert_int_equal(open_text(p, len, c, what), 0);
	for (bit = 0; bit < len * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		r = open_text(p, len, c, what);
		assert_true(r == -EUCLEAN || r == -EOPNOTSUPP || r == -EKEYREJECTED);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tenants_have_the_stated_characters),
		cmocka_unit_test(uuids_are_32_lower_case_digits),
		cmocka_unit_test(a_configuration_survives_put_and_parse),
		cmocka_unit_test(a_fresh_volume_opens_through_its_slot),
		cmocka_unit_test(another_root_is_rejected),
		cmocka_unit_test(the_line_names_the_newest_epoch_of_the_ring),
		cmocka_unit_test(what_no_reader_takes_is_not_written),
		cmocka_unit_test(the_limits_themselves_can_be_written),
		cmocka_unit_test(each_broken_rule_refuses_an_authentic_configuration),
		cmocka_unit_test(the_line_has_one_form),
		cmocka_unit_test(an_unknown_ro_compat_feature_makes_it_read_only),
		cmocka_unit_test(a_long_feature_name_is_cut),
		cmocka_unit_test(slots_hold_to_their_limits),
		cmocka_unit_test(more_than_256_kib_are_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
