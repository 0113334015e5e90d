/* test_awscred.c: AWS credentials without a network: texts, files, the environment, and which of them counts. The services are in
 * tests/kms/test_aws.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "net/awscred_impl.h"

static char dir[] = "/tmp/coffer-awscred.XXXXXX";

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(fileio_replace_at(fd, name, text, strlen(text), mode), 0);
	assert_int_equal(fchmodat(fd, name, mode, 0), 0);
	(void)close(fd);
}

static const char *path_of(const char *name)
{
	static char path[2][256];
	static unsigned i;

	i ^= 1;
	(void)snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static int get(const char *source, uint64_t refused, struct awscred_error *err, struct awscred *ret_cred)
{
	struct awscred_conf conf = { "acme", source, "", "", "eu-west-1", "", "" };

	return awscred_get(&conf, refused, clock_boot_ms() + 2000, err, ret_cred);
}

static void is(const struct awscred *c, const char *key, const char *secret, const char *token, const char *kind)
{
	assert_string_equal(c->access_key, key);
	assert_int_equal(secret_len(c->secret_key), strlen(secret));
	assert_memory_equal(secret_bytes_const(c->secret_key), secret, strlen(secret));
	if (token)
		assert_string_equal((const char *)secret_bytes_const(c->token), token);
	else
		assert_null(c->token);
	assert_string_equal(c->kind, kind);
}

static void times_are_read_with_and_without_a_fraction(void **state)
{
	static const char *const bad[] = { "", "2026-11-23", "2026-11-23T20:34:47", "2026-11-23T20:34:47+01:00", "2026-13-23T20:34:47Z", "1969-12-31T23:59:59Z",
					   "2026-11-23 20:34:47Z", "2026-11-23T20:34:47Zx", "2026-11-23T24:34:47Z", "26-11-23T20:34:47Z" };
	int64_t t;
	size_t i;

	(void)state;
	assert_int_equal(awscred_time("2026-11-23T20:34:47Z", &t), 0);
	assert_int_equal(t, 1795466087);
	assert_int_equal(awscred_time("2026-11-23T20:34:47.691030Z", &t), 0);
	assert_int_equal(t, 1795466087);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (awscred_time(bad[i], &t) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
}

#define STS(a, b) \
	"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>" a \
	"<SessionToken>Fwo/+=</SessionToken><Expiration>" b "</Expiration></Credentials><AssumedRoleUser><Arn>x</Arn></AssumedRoleUser>" \
	"</AssumeRoleResult></AssumeRoleResponse>"

static int sts(const char *xml, const char *result, struct awscred *c)
{
	return awscred_parse_sts(xml, strlen(xml), result, c);
}

static void an_answer_of_sts_is_whole_or_none(void **state)
{
	static const char good[] = STS("<SecretAccessKey>s/+e</SecretAccessKey>", "2026-11-23T20:34:47.691030Z");
	struct awscred c = { 0 };

	(void)state;
	assert_int_equal(sts(good, "AssumeRole", &c), 0);
	is(&c, "ASIA1", "s/+e", "Fwo/+=", "role");
	assert_int_equal(c.expires, 1795466087);
	awscred_done(&c);
	assert_int_equal(sts(good, "AssumeRoleWithWebIdentity", &c), -EUCLEAN);
	assert_int_equal(sts(STS("", "2026-11-23T20:34:47Z"), "AssumeRole", &c), -EUCLEAN);
	assert_int_equal(sts(STS("<SecretAccessKey>s</SecretAccessKey>", "soon"), "AssumeRole", &c), -EUCLEAN);
	assert_int_equal(sts(STS("<SecretAccessKey>a b</SecretAccessKey>", "2026-11-23T20:34:47Z"), "AssumeRole", &c), -EUCLEAN);
	assert_int_equal(sts("{}", "AssumeRole", &c), -EUCLEAN);
}

static void refusals_of_sts_are_told_from_what_passes(void **state)
{
	static const struct {
		int status;
		const char *code;
		int r;
	} rows[] = { { 403, "AccessDenied", -EACCES },          { 400, "ExpiredTokenException", -EACCES }, { 400, "InvalidIdentityToken", -EACCES },
		     { 400, "IDPCommunicationError", -EAGAIN }, { 400, "Throttling", -EAGAIN },            { 503, "Unknown", -EAGAIN } };
	char xml[256], code[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)snprintf(xml, sizeof(xml), "<ErrorResponse><Error><Code>%s</Code></Error></ErrorResponse>", rows[i].code);
		assert_int_equal(awscred_classify_sts(rows[i].status, xml, strlen(xml), code, sizeof(code)), rows[i].r);
		assert_string_equal(code, rows[i].code);
	}
	assert_int_equal(awscred_classify_sts(403, "<html/>", 7, code, sizeof(code)), -EAGAIN);
	assert_string_equal(code, "");
}

static int json(const char *text, bool code, struct awscred *c)
{
	return awscred_parse_json(text, strlen(text), code, "imds", c);
}

static void a_metadata_service_s_answer_is_whole_or_none(void **state)
{
	struct awscred c = { 0 };

	(void)state;
	assert_int_equal(json("{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"x\\/y\",\"Token\":\"t=\",\"Expiration\":\"2026-11-23T20:34:47Z\"}",
			      true, &c), 0);
	is(&c, "ASIA2", "x/y", "t=", "imds");
	awscred_done(&c);
	assert_int_equal(json("{\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"x\",\"Token\":\"t\",\"Expiration\":\"2026-11-23T20:34:47Z\"}", false, &c), 0);
	awscred_done(&c);
	assert_int_equal(json("{\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"x\",\"Token\":\"t\",\"Expiration\":\"2026-11-23T20:34:47Z\"}", true, &c), -EACCES);
	assert_int_equal(json("{\"Code\":\"Failed\"}", true, &c), -EACCES);
	assert_int_equal(json("{\"Code\":\"Success\",\"AccessKeyId\":\"A\"}", true, &c), -EUCLEAN);
	assert_int_equal(json("<html>", true, &c), -EUCLEAN);
	assert_int_equal(json("{\"AccessKeyId\":\"A\\n\",\"SecretAccessKey\":\"x\",\"Token\":\"t\",\"Expiration\":\"2026-11-23T20:34:47Z\"}", false, &c), -EUCLEAN);
}

static void value_is(const char *text, const char *profile, const char *key, const char *want)
{
	size_t n;
	const char *p = awscred_profile(text, strlen(text), profile, key, &n);

	if (!want) {
		assert_null(p);
		return;
	}
	assert_non_null(p);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(p, want, n);
}

static void profiles_are_read_as_aws_s_tools_read_them(void **state)
{
	static const char text[] = "aws_access_key_id=outside\n# [default]\n[default]\r\naws_access_key_id = AKID \r\n; aws_secret_access_key=no\n"
				   "s3 =\n  aws_secret_access_key = nested\n[profile two]\naws_access_key_id=A2\n[ three ]\naws_access_key_id==\n[twofold]\nk=v";

	(void)state;
	value_is(text, "default", "aws_access_key_id", "AKID");
	value_is(text, "default", "aws_secret_access_key", NULL);
	value_is(text, "two", "aws_access_key_id", "A2");
	value_is(text, "three", "aws_access_key_id", "=");
	value_is(text, "twofold", "k", "v");
	value_is(text, "four", "k", NULL);
	value_is("", "default", "k", NULL);
}

static void credentials_are_fetched_anew_some_minutes_before_their_end(void **state)
{
	const uint64_t minute = 60000, hour = 60 * minute;
	uint64_t chance, first = 0, last = 0, due;

	(void)state;
	for (chance = 0; chance < 10 * minute; chance += 7919) {
		due = awscred_due_in(hour, chance);
		assert_true(due >= hour - 10 * minute && due <= hour - 5 * minute);
		first = first == 0 || due < first ? due : first;
		last = due > last ? due : last;
	}
	assert_true(last - first > 4 * minute); /* spread: not all at once */
	assert_int_equal(awscred_due_in(8 * minute, 0), 4 * minute);
	assert_int_equal(awscred_due_in(15000, 0), 10000);
	assert_int_equal(awscred_due_in(0, 0), 10000);
}

static void the_environment_s_keys_come_first(void **state)
{
	struct awscred_error err;
	struct awscred c = { 0 };

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
	assert_int_equal(get("env", 0, &err, &c), -EINVAL);
	assert_non_null(strstr(err.message, "one is set without the other"));
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	assert_int_equal(get("auto", 0, &err, &c), 0);
	is(&c, "AKENV", "secret", NULL, "env");
	assert_true(c.fresh);
	awscred_done(&c);
	assert_int_equal(get("auto", 0, &err, &c), 0);
	assert_false(c.fresh);
	/* Refused, and nothing else is to be had; then something is. */
	uint64_t refused = c.generation;
	awscred_done(&c);
	assert_int_equal(get("auto", refused, &err, &c), -EALREADY);
	setenv("AWS_SESSION_TOKEN", "tok", 1);
	assert_int_equal(get("auto", refused, &err, &c), 0);
	is(&c, "AKENV", "secret", "tok", "env");
	assert_true(c.fresh && c.generation != refused);
	awscred_done(&c);
	setenv("AWS_SESSION_TOKEN", "a b", 1);
	awscred_forget();
	assert_int_equal(get("auto", 0, &err, &c), -EINVAL);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	awscred_forget();
	assert_int_equal(get("env", 0, &err, &c), -EACCES);
	assert_int_equal(get("pod", 0, &err, &c), -EACCES);
	assert_int_equal(get("web", 0, &err, &c), -EACCES);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	assert_int_equal(get("auto", 0, &err, &c), -EACCES);
	assert_non_null(strstr(err.message, "none of env, web, files, pod, imds"));
	unsetenv("AWS_EC2_METADATA_DISABLED");
}

static void file_gives(const char *text, mode_t mode, int want, const char *message)
{
	struct awscred_error err;
	struct awscred c = { 0 };
	char source[300];
	int r;

	write_file("credentials", text, mode);
	(void)snprintf(source, sizeof(source), "file:%s", path_of("credentials"));
	awscred_forget();
	r = get(source, 0, &err, &c);
	if (r != want || (message && !strstr(err.message, message)))
		fail_msg("%d, not %d: %s", r, want, err.message);
	if (r >= 0)
		is(&c, "AKFILE", "sec", NULL, "file");
	awscred_done(&c);
}

#define KEYS "[default]\naws_access_key_id=AKFILE\naws_secret_access_key=sec\n"

static void a_file_that_others_may_read_or_write_is_refused(void **state)
{
	(void)state;
	file_gives(KEYS, 0600, 0, NULL);
	file_gives(KEYS, 0640, 0, NULL);
	file_gives(KEYS, 0644, -EINVAL, "others may not read it");
	file_gives(KEYS, 0620, -EINVAL, "others may not write it");
	file_gives("", 0600, -EINVAL, "has 0 bytes");
	file_gives("[other]\naws_access_key_id=AKFILE\n", 0600, -EACCES, "no keys in profile default");
	file_gives("[default]\naws_access_key_id=AK FILE\naws_secret_access_key=sec\n", 0600, -EINVAL, "cannot be a credential");
	file_gives("[default]\ncredential_process=/bin/true\n", 0600, -EINVAL, "credential_process is not supported");
	file_gives("[default]\nrole_arn=arn:r\n", 0600, -EINVAL, "needs source_profile");
	file_gives("[default]\nrole_arn=arn:r\ncredential_source=Magic\n", 0600, -EINVAL, "Magic is not known");
	file_gives("[default]\nrole_arn=arn:r\ncredential_source=Environment\n", 0600, -EACCES, "has no credentials");
	file_gives("[default]\nrole_arn=arn:r\nsource_profile=b\n[b]\nrole_arn=arn:s\nsource_profile=default\n", 0600, -EINVAL, "or a circle");
	file_gives("[default]\nrole_arn=arn:r\nsource_profile=b\n", 0600, -EINVAL, "[b] has no keys");
	assert_int_equal(unlink(path_of("credentials")), 0);
	assert_int_equal(symlink("/etc", path_of("credentials")), 0);
	struct awscred_error err;
	struct awscred c = { 0 };
	char source[300];

	(void)snprintf(source, sizeof(source), "file:%s", path_of("credentials"));
	assert_int_equal(get(source, 0, &err, &c), -EINVAL);
	assert_int_equal(unlink(path_of("credentials")), 0);
	awscred_forget();
	assert_int_equal(get(source, 0, &err, &c), -EACCES);
}

static void files_of_the_environment_and_profiles_are_found(void **state)
{
	struct awscred_error err;
	struct awscred c = { 0 };

	(void)state;
	awscred_forget();
	write_file("credentials", "[work]\naws_access_key_id=AKWORK\naws_secret_access_key=sec\naws_session_token=tok\n", 0600);
	write_file("config", "[profile work]\nregion=eu-west-1\n", 0644);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path_of("credentials"), 1);
	setenv("AWS_CONFIG_FILE", path_of("config"), 1);
	setenv("AWS_PROFILE", "work", 1);
	assert_int_equal(get("auto", 0, &err, &c), 0);
	is(&c, "AKWORK", "sec", "tok", "file");
	awscred_done(&c);
	awscred_forget();
	setenv("AWS_PROFILE", "absent", 1);
	assert_int_equal(get("auto", 0, &err, &c), -EACCES);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	unsetenv("AWS_CONFIG_FILE");
	unsetenv("AWS_PROFILE");
	/* $HOME/.aws */
	assert_int_equal(mkdir(path_of(".aws"), 0700), 0);
	write_file(".aws/credentials", KEYS, 0600);
	setenv("HOME", dir, 1);
	awscred_forget();
	assert_int_equal(get("auto", 0, &err, &c), 0);
	is(&c, "AKFILE", "sec", NULL, "file");
	awscred_done(&c);
	assert_int_equal(unlink(path_of(".aws/credentials")), 0);
	assert_int_equal(rmdir(path_of(".aws")), 0);
	(void)unlink(path_of("credentials"));
	(void)unlink(path_of("config"));
}

static void nobody_else_s_address_is_asked_without_tls(void **state)
{
	static const char *const bad[] = { "http://example.com/creds", "http://169.254.169.254.example.com/", "ftp://127.0.0.1/", "http://127.0.0.1:80@x/", "x" };
	struct awscred_error err;
	struct awscred c = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i], 1);
		awscred_forget();
		assert_int_equal(get("pod", 0, &err, &c), -EINVAL);
	}
	unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.com/", 1);
	assert_int_equal(get("pod", 0, &err, &c), -EINVAL);
	unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://example.com", 1);
	assert_int_equal(get("imds", 0, &err, &c), -EINVAL);
	unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
}

static void a_clock_s_offset_is_kept_for_its_tenant(void **state)
{
	struct awscred_conf conf = { "acme", "env", "", "", "eu-west-1", "", "" }, other = { "other", "env", "", "", "eu-west-1", "", "" };
	struct awscred_error err;
	struct awscred c = { 0 };

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AK", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	awscred_forget();
	assert_int_equal(awscred_get(&conf, 0, clock_boot_ms() + 1000, &err, &c), 0);
	assert_int_equal(c.skew_s, 0);
	awscred_done(&c);
	awscred_skew(&conf, 1200);
	assert_int_equal(awscred_get(&conf, 0, clock_boot_ms() + 1000, &err, &c), 0);
	assert_int_equal(c.skew_s, 1200);
	assert_true(awscred_now(&c) >= (int64_t)time(NULL) + 1199);
	awscred_done(&c);
	assert_int_equal(awscred_get(&other, 0, clock_boot_ms() + 1000, &err, &c), 0);
	assert_int_equal(c.skew_s, 0);
	awscred_done(&c);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
}

static int clean(void **state)
{
	char name[128];
	size_t i = 0;

	(void)state;
	while (environ[i]) {
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(environ[i], "="), environ[i]);
		if (strncmp(name, "AWS_", 4) == 0)
			unsetenv(name);
		else
			i++;
	}
	setenv("HOME", "/nonexistent", 1);
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	awscred_forget();
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read_with_and_without_a_fraction),
		cmocka_unit_test(an_answer_of_sts_is_whole_or_none),
		cmocka_unit_test(refusals_of_sts_are_told_from_what_passes),
		cmocka_unit_test(a_metadata_service_s_answer_is_whole_or_none),
		cmocka_unit_test(profiles_are_read_as_aws_s_tools_read_them),
		cmocka_unit_test(credentials_are_fetched_anew_some_minutes_before_their_end),
		cmocka_unit_test(the_environment_s_keys_come_first),
		cmocka_unit_test(a_file_that_others_may_read_or_write_is_refused),
		cmocka_unit_test(files_of_the_environment_and_profiles_are_found),
		cmocka_unit_test(nobody_else_s_address_is_asked_without_tls),
		cmocka_unit_test(a_clock_s_offset_is_kept_for_its_tenant),
	};

	return cmocka_run_group_tests(tests, clean, remove_dir);
}
