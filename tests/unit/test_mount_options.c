/* test_mount_options.c: the text behind -o: each word, its other word, and what is refused without being repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tools/mount_options.h"

static struct mount_options good(const char *text)
{
	struct mount_options o;
	char why[128] = "";

	mount_options_init(&o);
	if (mount_options_parse(text, &o, why) < 0)
		fail_msg("%s: %s", text, why);
	return o;
}

static void bad(const char *text, const char *says, const char *never)
{
	struct mount_options o;
	char why[128] = "";

	mount_options_init(&o);
	assert_int_equal(mount_options_parse(text, &o, why), -EINVAL);
	if (!strstr(why, says) || (never && strstr(why, never)))
		fail_msg("%s: %s", text, why);
}

static void the_last_word_counts(void **state)
{
	(void)state;
	assert_true(good("rw,ro").read_only);
	assert_false(good("ro,rw").read_only);
	assert_true(good("nodev,dev").dev && good("suid").suid && good("noexec").noexec && good("unsafe-backing").unsafe_backing);
	assert_true(good("fuse-uring").fuse_uring && !good("fuse-uring,nofuse-uring").fuse_uring && !good("rw").fuse_uring);
	assert_false(good("").dev || good("").suid || good("suid,nosuid").suid || good("noexec,exec").noexec);
	assert_int_equal(good("").allow_other, -1);
	assert_int_equal(good("allow_other").allow_other, 1);
	assert_int_equal(good("allow_other,noallow_other").allow_other, 0);
}

static void values_have_their_limits(void **state)
{
	(void)state;
	assert_int_equal(good("threads=256").threads, 256);
	assert_int_equal(good("commit=1").commit_seconds, 1);
	assert_int_equal(good("cache=64M").cache_bytes, 64 << 20);
	assert_int_equal(good("dirty=1G").dirty_bytes, 1 << 30);
	assert_int_equal(good("log-size=16").log_mib, 16);
	assert_string_equal(good("agent=/run/x.sock").agent, "/run/x.sock");
	bad("threads=0", "option threads=0: not a value", NULL);
	bad("threads=257", "threads", NULL);
	bad("threads=", "threads", NULL);
	bad("dirty=1M", "dirty", NULL);
	bad("cache=1T", "cache", NULL);
	bad("log-size=2000", "log-size", NULL);
	bad("backing-io=fast", "backing-io", NULL);
}

static void commas_can_be_in_a_word(void **state)
{
	(void)state;
	assert_string_equal(good("agent=/run/a\\,b\\\\c,ro").agent, "/run/a,b\\c");
	assert_true(good("agent=/run/a\\,b,ro").read_only);
	assert_string_equal(good(",,agent=/run/a\\,").agent, "/run/a,");
}

static void what_mount_and_systemd_add_is_ignored(void **state)
{
	(void)state;
	(void)good("defaults,_netdev,nofail,auto,noauto,user,nouser,users,atime,noatime,relatime,x-systemd.requires=a.service,comment=x");
}

static void secrets_are_refused_and_not_repeated(void **state)
{
	struct mount_options o;
	char why[128] = "";

	(void)state;
	bad("password=hunter2", "secrets never go into options", "hunter2");
	bad("key=hunter2", "secrets never go into options", "hunter2");
	bad("token=hunter2", "secrets never go into options", "hunter2");
	bad("frob=hunter2", "option frob=: unknown", "hunter2");
	mount_options_init(&o);
	o.sloppy = true;
	assert_int_equal(mount_options_parse("secret=hunter2", &o, why), -EINVAL);
}

static void others_are_refused_unless_sloppy(void **state)
{
	struct mount_options o;
	char why[128] = "";

	(void)state;
	bad("frob", "option frob: unknown", NULL);
	bad("ro,max_read=1", "unknown", NULL);
	bad("remount,ro", "remount: not possible", NULL);
	mount_options_init(&o);
	o.sloppy = true;
	assert_int_equal(mount_options_parse("frob,max_read=1,ro", &o, why), 0);
	assert_true(o.read_only);
	assert_int_equal(mount_options_parse("remount", &o, why), -EINVAL);
	assert_int_equal(mount_options_parse("threads=0", &o, why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_word_counts),
		cmocka_unit_test(values_have_their_limits),
		cmocka_unit_test(commas_can_be_in_a_word),
		cmocka_unit_test(what_mount_and_systemd_add_is_ignored),
		cmocka_unit_test(secrets_are_refused_and_not_repeated),
		cmocka_unit_test(others_are_refused_unless_sloppy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
