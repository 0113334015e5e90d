/* test_tenant_conf.c: tenants.d/NAME.conf, what it means and each way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tenant_conf.h"

static int user_find(void *ctx, const char *name, uid_t *ret_uid)
{
	(void)ctx;
	if (strcmp(name, "broken") == 0)
		return -EIO;
	*ret_uid = strcmp(name, "nobody") == 0 ? 65534 : 1001;
	return strcmp(name, "acme") == 0 || strcmp(name, "nobody") == 0 ? 0 : -ENOENT;
}

static int volume_find(void *ctx, const char *name, uint8_t ret_uuid[static UUID_LEN])
{
	(void)ctx;
	memset(ret_uuid, 7, UUID_LEN);
	if (strcmp(name, "bare") == 0)
		return -ENODATA;
	if (strcmp(name, "bad") == 0)
		return -EUCLEAN;
	return strcmp(name, "db") == 0 ? 0 : -ENOENT;
}

static struct tenant_lookup look = { .user = user_find, .volume = volume_find, .units = true };

static struct tenant *good(const char *text)
{
	struct tenant *t = NULL;
	struct ini_error e = { 0 };
	int r = tenant_conf_parse("acme", text, strlen(text), &look, &t, &e);

	if (r < 0)
		fail_msg("%s: line %u: %s", err_text(r), e.line, e.text);
	return t;
}

static void bad_as(const char *name, const char *text, unsigned line, const char *says)
{
	struct tenant *t = NULL;
	struct ini_error e = { 0 };

	assert_int_equal(tenant_conf_parse(name, text, strlen(text), &look, &t, &e), -EUCLEAN);
	assert_null(t);
	if (e.line != line || !strstr(e.text, says))
		fail_msg("line %u: %s; not line %u: %s", e.line, e.text, line, says);
}

static void bad(const char *text, unsigned line, const char *says)
{
	bad_as("acme", text, line, says);
}

static void an_empty_file_is_the_defaults(void **state)
{
	const struct lease_conf l = LEASE_CONF_DEFAULT;
	AUTO_TENANT struct tenant *t = good("");

	(void)state;
	assert_string_equal(t->name, "acme");
	assert_string_equal(t->kms.tenant, "acme");
	assert_int_equal(t->lease.probe_ms, l.probe_ms);
	assert_int_equal(t->lease.confirm_count, l.confirm_count);
	assert_int_equal(t->lease.confirm_ms, l.confirm_ms);
	assert_int_equal(t->lease.max_stale_ms, l.max_stale_ms);
	assert_int_equal(t->lease.agent_grace_ms, l.agent_grace_ms);
	assert_true(t->lease.auto_unlock);
	assert_int_equal(t->rule_count + t->key_count + t->credential_count, 0);
	assert_false(t->recovery_allowed);
	assert_true(tenant_key_allowed(t, "local:any"));
}

static void every_key_is_taken(void **state)
{
	static const uint8_t uuid[UUID_LEN] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
	AUTO_TENANT struct tenant *t =
		good("[tenant]\nkms=local:one\nkms=local:two\nprobe=10s\nconfirm=5/1m\nmax-stale=2h\nmax-auth=30m\nagent-grace=90\n"
		     "auto-unlock=no\nrecovery=allow\n"
		     "[allow]\nuser=acme\nunit=coffer@acme.service  db.scope\nvolumes=db 0123456789abcdef0123456789abcdef\n"
		     "operations=unlock,seal,unseal,rotate,admin\n[allow 2]\nuser=0\noperations=admin\n"
		     "[kms]\ncredentials=file:/etc/c\nrole-arn=r\nexternal-id=e\nregion=g\nendpoint=https://h\nca-file=/ca\nproxy=p\n"
		     "auth=a\nnamespace=n\nmount=m\n[credential pg]\nfile=/c/pg\nunit=pg.service\nmin-version=3\n");

	(void)state;
	assert_int_equal(t->lease.probe_ms, 10000);
	assert_int_equal(t->lease.confirm_count, 5);
	assert_int_equal(t->lease.confirm_ms, 60000);
	assert_int_equal(t->lease.max_stale_ms, 7200000);
	assert_int_equal(t->lease.max_auth_ms, 1800000);
	assert_int_equal(t->lease.agent_grace_ms, 90000);
	assert_false(t->lease.auto_unlock);
	assert_true(t->recovery_allowed);
	assert_int_equal(t->key_count, 2);
	assert_int_equal(t->rule_count, 2);
	assert_string_equal(t->rules[0].name, "acme [allow]");
	assert_int_equal(t->rules[0].uid, 1001);
	assert_int_equal(t->rules[0].rights, 31);
	assert_int_equal(t->rules[0].units.count, 2);
	assert_true(tenant_words_have(&t->rules[0].units, "db.scope"));
	assert_false(tenant_words_have(&t->rules[0].units, "db"));
	assert_int_equal(t->rules[0].volume_count, 2);
	assert_memory_equal(t->rules[0].volumes[1], uuid, UUID_LEN);
	assert_string_equal(t->rules[1].name, "acme [allow 2]");
	assert_int_equal(t->rules[1].uid, 0);
	assert_int_equal(t->rules[1].rights, TENANT_MAY_ADMIN);
	assert_string_equal(t->kms.credentials, "file:/etc/c");
	assert_string_equal(t->kms.role_arn, "r");
	assert_string_equal(t->kms.external_id, "e");
	assert_string_equal(t->kms.region, "g");
	assert_string_equal(t->kms.endpoint, "https://h");
	assert_string_equal(t->kms.ca_file, "/ca");
	assert_string_equal(t->kms.proxy, "p");
	assert_string_equal(t->kms.auth, "a");
	assert_string_equal(t->kms.ns, "n");
	assert_string_equal(t->kms.mount, "m");
	assert_int_equal(t->credential_count, 1);
	assert_string_equal(t->credentials[0].name, "pg");
	assert_string_equal(t->credentials[0].file, "/c/pg");
	assert_int_equal(t->credentials[0].min_version, 3);
}

static void a_bare_count_confirms_at_once(void **state)
{
	AUTO_TENANT struct tenant *t = good("[tenant]\nprobe=5s\nconfirm=1\n");

	(void)state;
	assert_int_equal(t->lease.confirm_count, 1);
	assert_int_equal(t->lease.confirm_ms, 0);
}

static void keys_are_compared_by_components(void **state)
{
	AUTO_TENANT struct tenant *t = good("[tenant]\nkms=local:one\n");

	(void)state;
	assert_true(tenant_key_allowed(t, "local:one"));
	assert_false(tenant_key_allowed(t, "local:one2"));
	assert_false(tenant_key_allowed(t, "local:on"));
	assert_false(tenant_key_allowed(t, "local:"));
	assert_false(tenant_key_allowed(t, "local:one/two"));
	assert_false(tenant_key_allowed(t, ""));
}

static void a_star_is_one_whole_component(void **state)
{
	struct tenant_kms k = { .any_last = true };
	struct tenant t = { .keys = &k, .key_count = 1 };

	(void)state;
	/* local: keys have one component, so the pattern is made here; the texts that are compared must parse. */
	assert_int_equal(kms_uri_parse("local:x", &k.uri), 0);
	assert_true(tenant_key_allowed(&t, "local:anything"));
	k.uri.hierarchical = true;
	assert_false(tenant_key_allowed(&t, "local:anything"));
	k.uri.hierarchical = false;
	k.uri.component_count = 2;
	assert_false(tenant_key_allowed(&t, "local:anything"));
}

static void tenant_section_faults(void **state)
{
	(void)state;
	bad("[tenant]\nkms=local:a*\n", 2, "is not a key URI");
	bad("[tenant]\nkms=local:a\nkms=*\n", 3, "is not a key URI");
	bad("[tenant]\nkms=nosuch://a/b\n", 2, "no such provider");
	bad("[tenant]\nkms=nosuch://a/*\n", 2, "no such provider");
	bad("[tenant]\nprobe=0\n", 2, "probe= must be from");
	bad("[tenant]\nmax-stale=4000d\n", 2, "max-stale= must be from");
	bad("[tenant]\nmax-auth=x\n", 2, "is not a time");
	bad("[tenant]\nprobe=1h\nmax-stale=1m\n", 2, "must not be longer than");
	bad("[tenant]\nmax-stale=10s\n", 2, "must not be longer than");
	bad("[tenant]\nconfirm=0\n", 2, "COUNT/TIME");
	bad("[tenant]\nconfirm=3/\n", 2, "COUNT/TIME");
	bad("[tenant]\nconfirm=/20s\n", 2, "COUNT/TIME");
	bad("[tenant]\nconfirm=3/20s/4\n", 2, "COUNT/TIME");
	bad("[tenant]\nconfirm=1001\n", 2, "COUNT/TIME");
	bad("[tenant]\nconfirm=11111111111111111111\n", 2, "COUNT/TIME");
	bad("[tenant]\nrecovery=yes\n", 2, "allow or forbid");
	bad("[tenant]\nprobe=1s\nprobe=2s\n", 3, "");
	bad("[tenant]\ncolour=red\n", 2, "");
	bad("[tenants]\n", 1, "unknown section");
	bad("[tenant]\n[tenant 2]\n", 2, "unknown section");
	bad_as(".acme", "", 0, "not a tenant's");
	bad_as("a b", "", 0, "not a tenant's");
}

static void allow_section_faults(void **state)
{
	(void)state;
	bad("[allow]\noperations=unlock\n", 1, "needs user=");
	bad("[allow]\nuser=acme\n", 1, "needs operations=");
	bad("[allow]\nuser=ghost\noperations=unlock\n", 2, "no such user");
	bad("[allow]\nuser=broken\noperations=unlock\n", 2, "cannot be looked up");
	bad("[allow]\nuser=nobody\noperations=unlock\n", 2, "never matches");
	bad("[allow]\nuser=65534\noperations=unlock\n", 2, "never matches");
	bad("[allow]\nuser=4294967295\noperations=unlock\n", 2, "neither a user nor a uid");
	bad("[allow]\nuser=10x\noperations=unlock\n", 2, "neither a user nor a uid");
	bad("[allow]\nuser=acme\noperations=unlock,fly\n", 3, "'fly' is none of");
	bad("[allow]\nuser=acme\noperations=unlock,\n", 3, "is none of");
	bad("[allow]\nuser=acme\noperations=,\n", 3, "is none of");
	bad("[allow]\nuser=acme\noperations=un\n", 3, "'un' is none of");
	bad("[allow]\nuser=acme\noperations=seal,seal\n", 3, "twice");
	bad("[allow]\nuser=acme\nunit=coffer@*.service\noperations=unlock\n", 3, "no patterns");
	bad("[allow]\nuser=acme\nunit=coffer@.service\noperations=unlock\n", 3, "template");
	bad("[allow]\nuser=acme\nunit=coffer\noperations=unlock\n", 3, "not the name of a service");
	bad("[allow]\nuser=acme\nunit=.service\noperations=unlock\n", 3, "not the name of a service");
	bad("[allow]\nuser=acme\nunit=a.service b/c.service\noperations=unlock\n", 3, "not the name of a service");
	bad("[allow]\nuser=acme\nvolumes=ghost\noperations=unlock\n", 3, "there is no volumes.d/ghost.conf");
	bad("[allow]\nuser=acme\nvolumes=db bare\noperations=unlock\n", 3, "has no uuid=");
	bad("[allow]\nuser=acme\nvolumes=bad\noperations=unlock\n", 3, "volumes.d/bad.conf");
	bad("[allow]\nuser=acme\nvolumes=../db\noperations=unlock\n", 3, "neither a name");
	bad("[allow]\nuser=acme\noperations=unlock\n[allow]\nuser=acme\noperations=unlock\n", 4, "stands in line 1 already");
}

static void a_build_without_units_refuses_them(void **state)
{
	(void)state;
	look.units = false;
	bad("[allow]\nuser=acme\nunit=a.service\noperations=unlock\n", 3, "libsystemd");
	bad("[credential pg]\nfile=/a\nunit=a.service\n", 3, "libsystemd");
	look.units = true;
}

static void other_section_faults(void **state)
{
	(void)state;
	bad("[kms]\ncredentials=guess\n", 2, "is none of auto");
	bad("[kms]\ncredentials=file:relative\n", 2, "is none of auto");
	bad("[kms]\nca-file=ca.pem\n", 2, "absolute");
	bad("[kms]\nregion=0123456789012345678901234567890123456789012345678901234567890123456789\n", 2, "longer than 63");
	bad("[credential]\nfile=/a\nunit=a.service\n", 1, "the name must have");
	bad("[credential pg]\nunit=a.service\n", 1, "needs file=");
	bad("[credential pg]\nfile=a\nunit=a.service\n", 2, "needs file=");
	bad("[credential pg]\nfile=/a\n", 1, "needs unit=");
}

/* head, then n times: before, a number, after. */
static char *many(const char *head, const char *before, const char *after, int n)
{
	char *text = calloc(1, INI_BYTES_MAX), *p = text;
	int i;

	assert_non_null(text);
	p += sprintf(p, "%s", head);
	for (i = 0; i < n; i++)
		p += sprintf(p, "%s%d%s", before, i, after);
	return text;
}

static void counts_have_caps(void **state)
{
	AUTO_FREE char *kms = many("[tenant]\n", "kms=local:k", "\n", TENANT_KMS_MAX + 1);
	AUTO_FREE char *allow = many("", "[allow ", "]\nuser=0\noperations=admin\n", TENANT_RULES_MAX + 1);
	AUTO_FREE char *units = many("[allow]\nuser=0\noperations=admin\nunit=", "u", ".service ", TENANT_WORDS_MAX + 1);
	AUTO_FREE char *creds = many("", "[credential c", "]\nfile=/c\nunit=u.service\n", TENANT_CREDENTIALS_MAX + 1);
	AUTO_FREE char *large = many("", "# comment ", " of the many that make a file too large for any reader\n", 900);
	AUTO_FREE char *whole = calloc(1, INI_BYTES_MAX + 2);
	struct tenant *t = NULL;
	struct ini_error e = { 0 };

	(void)state;
	bad(kms, TENANT_KMS_MAX + 2, "more than 32 kms=");
	bad(allow, 3 * TENANT_RULES_MAX + 1, "more than 64 [allow]");
	bad(units, 4, "more than 64 words");
	bad(creds, 3 * TENANT_CREDENTIALS_MAX + 1, "more than 256 [credential]");
	assert_int_equal(tenant_conf_parse("acme", large, strlen(large), &look, &t, &e), 0);
	tenant_free(t);
	t = NULL;
	assert_non_null(whole);
	memset(whole, '#', INI_BYTES_MAX + 1);
	bad(whole, 0, "larger than");
}

static void snapshots_find_by_name(void **state)
{
	static const char *const names[] = { "m", "a", "z", "b" };
	AUTO_TENANTS struct tenants *ts = NULL;
	struct tenant *t;
	struct ini_error e;
	size_t i;

	(void)state;
	assert_int_equal(tenants_default(&ts), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(tenant_conf_parse(names[i], "", 0, &look, &t, &e), 0);
		assert_int_equal(tenants_add(ts, &t), 0);
		assert_null(t);
	}
	assert_int_equal(tenant_conf_parse("b", "", 0, &look, &t, &e), 0);
	assert_int_equal(tenants_add(ts, &t), -EEXIST);
	tenant_free(t);
	for (i = 0; i < 4; i++)
		assert_string_equal(tenants_find(ts, names[i])->name, names[i]);
	assert_string_equal(tenants_find(ts, "c")->name, "");
	assert_string_equal(tenants_at(ts, 1)->name, "b");
	assert_null(tenants_at(ts, 4));
	assert_ptr_equal(tenants_ref(ts), ts);
	tenants_unref(ts);
	assert_string_equal(tenants_find(ts, "z")->name, "z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_is_the_defaults),
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(a_bare_count_confirms_at_once),
		cmocka_unit_test(keys_are_compared_by_components),
		cmocka_unit_test(a_star_is_one_whole_component),
		cmocka_unit_test(tenant_section_faults),
		cmocka_unit_test(allow_section_faults),
		cmocka_unit_test(a_build_without_units_refuses_them),
		cmocka_unit_test(other_section_faults),
		cmocka_unit_test(counts_have_caps),
		cmocka_unit_test(snapshots_find_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
