/* test_volume_conf.c: volumes.d/NAME.conf, what it means and each way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/volume_conf.h"

static void bad(const char *text, unsigned line, const char *says)
{
	struct volume_conf c = { .keep_daily = 77 };
	struct ini_error e = { 0 };

	assert_int_equal(volume_conf_parse(text, strlen(text), &c, &e), -EUCLEAN);
	if (e.line != line || !strstr(e.text, says))
		fail_msg("line %u: %s; not line %u: %s", e.line, e.text, line, says);
	assert_null(c.source); /* whole or not at all */
	assert_int_equal(c.keep_daily, 77);
}

static void all_keys_are_read(void **state)
{
	static const char text[] = "[volume]\nsource=/srv/acme\nmountpoint=/mnt/a b\ntenant=acme-1\nuuid=0123456789abcdef0123456789abcdef\n"
				   "options=ro,x-y=1\nuser=postgres\n[backup]\nstore=s3://b/p\nschedule=*-*-* 02:30 UTC\nkeep-daily=7\nkeep-monthly=0\n"
				   "[store]\nendpoint=https://h:9000\nregion=r\ncredentials=file:/c\nprune-credentials=sealed:/p\nca-file=/x.pem\npath-style=no\n"
				   "object-lock=governance 30\n";
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };
	struct ini_error e;

	(void)state;
	assert_int_equal(volume_conf_parse(text, strlen(text), &c, &e), 0);
	assert_string_equal(c.source, "/srv/acme");
	assert_string_equal(c.mountpoint, "/mnt/a b");
	assert_string_equal(c.tenant, "acme-1");
	assert_true(c.has_uuid);
	assert_int_equal(c.uuid[1], 0x23);
	assert_string_equal(c.options, "ro,x-y=1");
	assert_string_equal(c.user, "postgres");
	assert_string_equal(c.store, "s3://b/p");
	assert_string_equal(c.schedule, "*-*-* 02:30 UTC");
	assert_int_equal(c.keep_daily, 7);
	assert_int_equal(c.keep_weekly, -1);
	assert_int_equal(c.keep_monthly, 0);
	assert_string_equal(c.endpoint, "https://h:9000");
	assert_string_equal(c.region, "r");
	assert_string_equal(c.credentials, "file:/c");
	assert_string_equal(c.prune_credentials, "sealed:/p");
	assert_string_equal(c.ca_file, "/x.pem");
	assert_string_equal(c.object_lock, "governance 30");
	assert_int_equal(c.path_style, 0);
}

static void what_is_not_said_is_empty(void **state)
{
	static const char text[] = "[volume]\nsource=/srv/acme\n";
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };
	struct ini_error e;

	(void)state;
	assert_int_equal(volume_conf_parse(text, strlen(text), &c, &e), 0);
	assert_true(!c.mountpoint && !c.tenant && !c.has_uuid && !c.options && !c.user && !c.store && !c.schedule && !c.endpoint);
	assert_int_equal(c.keep_daily, -1);
	assert_int_equal(c.path_style, -1);
}

static void faults_are_told_with_their_line(void **state)
{
	(void)state;
	bad("", 0, "source= of [volume] must be there");
	bad("[volume]\nuser=x\n", 1, "source= of [volume] must be there");
	bad("[volume]\nsource=srv\n", 2, "absolute path");
	bad("[volume]\nsource=/srv\nsauce=/x\n", 3, "sauce");
	bad("[volume]\nsource=/srv\n[colour]\n", 3, "colour");
	bad("[volume]\nsource=/srv\nsource=/srv2\n", 3, "source");
	bad("[volume]\nsource=/srv\n[volume]\n", 3, "volume");
	bad("[volume]\nsource=/srv\nmountpoint=mnt\n", 3, "mountpoint=");
	bad("[volume]\nsource=/srv\ntenant=a/b\n", 3, "tenant=");
	bad("[volume]\nsource=/srv\ntenant=.a\n", 3, "tenant=");
	bad("[volume]\nsource=/srv\nuuid=0123456789ABCDEF0123456789abcdef\n", 3, "uuid=");
	bad("[volume]\nsource=/srv\nuuid=01234567-89ab-cdef-0123-456789abcdef\n", 3, "uuid=");
	bad("[volume]\nsource=/srv\nuser=a b\n", 3, "user=");
	bad("[volume]\nsource=/srv\n[backup]\nstore=ftp://x/y\n", 4, "store=");
	bad("[volume]\nsource=/srv\n[backup]\nstore=s3:///x\n", 4, "store=");
	bad("[volume]\nsource=/srv\n[backup]\nschedule=daily\\\n", 4, "schedule=");
	bad("[volume]\nsource=/srv\n[backup]\nschedule=%i\n", 4, "schedule=");
	bad("[volume]\nsource=/srv\n[backup]\nkeep-daily=-1\n", 4, "keep-daily");
	bad("[volume]\nsource=/srv\n[backup]\nkeep-daily=100001\n", 4, "at most");
	bad("[volume]\nsource=/srv\n[store]\nendpoint=https://user:pw@h\n", 4, "endpoint=");
	bad("[volume]\nsource=/srv\n[store]\ncredentials=AKIAsecret\n", 4, "credentials=");
	bad("[volume]\nsource=/srv\n[store]\ncredentials=sealed:keys\n", 4, "credentials=");
	bad("[volume]\nsource=/srv\n[store]\nprune-credentials=sealed:\n", 4, "prune-credentials=");
	bad("[volume]\nsource=/srv\n[store]\nca-file=x.pem\n", 4, "ca-file=");
	bad("[volume]\nsource=/srv\n[store]\nobject-lock=30\n", 4, "object-lock=");
	bad("[volume]\nsource=/srv\n[store]\nobject-lock=governance 0\n", 4, "object-lock=");
	bad("[volume]\nsource=/srv\n[store]\nobject-lock=governance 30 --force\n", 4, "object-lock=");
	bad("[volume]\nsource=/srv\n[store]\npath-style=maybe\n", 4, "path-style");
}

static void sizes_have_caps(void **state)
{
	static char text[INI_BYTES_MAX + 64];
	struct volume_conf c = { 0 };
	struct ini_error e = { 0 };
	int n;

	(void)state;
	n = snprintf(text, sizeof(text), "[volume]\nsource=/srv\noptions=");
	memset(text + n, 'x', VOLUME_CONF_OPTIONS_MAX + 1);
	bad(text, 3, "");
	memset(text, '#', sizeof(text) - 1);
	assert_int_equal(volume_conf_parse(text, sizeof(text) - 1, &c, &e), -EUCLEAN);
	assert_non_null(strstr(e.text, "larger than"));
}

static void names_are_file_names_without_surprises(void **state)
{
	char name[252];

	(void)state;
	assert_true(volume_conf_name_ok("acme") && volume_conf_name_ok("a-b_c.d@e") && volume_conf_name_ok("a\\x2fb"));
	assert_false(volume_conf_name_ok("") || volume_conf_name_ok(".a") || volume_conf_name_ok("..") || volume_conf_name_ok("a/b"));
	assert_false(volume_conf_name_ok("a b") || volume_conf_name_ok("a\n") || volume_conf_name_ok("\xc3\xa4"));
	memset(name, 'x', 251);
	name[251] = '\0';
	assert_false(volume_conf_name_ok(name));
	name[250] = '\0';
	assert_true(volume_conf_name_ok(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_keys_are_read),
		cmocka_unit_test(what_is_not_said_is_empty),
		cmocka_unit_test(faults_are_told_with_their_line),
		cmocka_unit_test(sizes_have_caps),
		cmocka_unit_test(names_are_file_names_without_surprises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
