/* test_net_memory.c: the n-th piece of locked memory is refused, for every n, while XML is read, a request is signed and credentials are made: each says
 * -ENOMEM and leaves nothing behind (with AddressSanitizer), and the first run that is not refused gives the right answer. A server that is probed is never
 * found good then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypt/heap.h"
#include "net/awscred_impl.h"
#include "net/http_probe.h"
#include "net/xml.h"

static long countdown = -1;
static bool failed;

static bool fails(void)
{
	if (countdown < 0 || countdown-- > 0)
		return false;
	failed = true;
	return true;
}

void *__wrap_heap_alloc(size_t n);
void *__real_heap_alloc(size_t n);
void *__wrap_heap_resize(void *p, size_t n);
void *__real_heap_resize(void *p, size_t n);
int __wrap_secret_new(size_t len, struct secret **ret_s);
int __real_secret_new(size_t len, struct secret **ret_s);
int __wrap_secret_new_copy(const void *p, size_t len, struct secret **ret_s);
int __real_secret_new_copy(const void *p, size_t len, struct secret **ret_s);

void *__wrap_heap_alloc(size_t n)
{
	return fails() ? NULL : __real_heap_alloc(n);
}

void *__wrap_heap_resize(void *p, size_t n)
{
	return fails() ? NULL : __real_heap_resize(p, n);
}

int __wrap_secret_new(size_t len, struct secret **ret_s)
{
	return fails() ? -ENOMEM : __real_secret_new(len, ret_s);
}

int __wrap_secret_new_copy(const void *p, size_t len, struct secret **ret_s)
{
	return fails() ? -ENOMEM : __real_secret_new_copy(p, len, ret_s);
}

/* what: 0 and the right answer, or -ENOMEM. */
static void survives(int (*what)(void), unsigned at_least)
{
	unsigned n = 0;
	int r;

	for (;; n++) {
		countdown = n;
		failed = false;
		r = what();
		countdown = -1;
		if (!failed)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_true(n < 1000);
	}
	assert_int_equal(r, 0);
	assert_true(n >= at_least);
}

static const char xml[] = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
			  "<SessionToken>t</SessionToken><Expiration>2026-11-23T20:34:47Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";

static int read_xml(void)
{
	char key[16];
	int r = xml_text(xml, sizeof(xml) - 1, "/AssumeRoleResponse/AssumeRoleResult/Credentials/AccessKeyId", sizeof(key), key);

	assert_true(r < 0 || strcmp(key, "ASIA1") == 0);
	return r;
}

static int read_sts(void)
{
	struct awscred c = { 0 };
	int r = awscred_parse_sts(xml, sizeof(xml) - 1, "AssumeRole", &c);

	assert_true(r < 0 || strcmp(c.access_key, "ASIA1") == 0);
	awscred_done(&c);
	return r;
}

static int read_json(void)
{
	static const char text[] = "{\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"x\",\"Token\":\"t\",\"Expiration\":\"2026-11-23T20:34:47Z\"}";
	struct awscred c = { 0 };
	int r = awscred_parse_json(text, sizeof(text) - 1, false, "pod", &c);

	assert_true(r < 0 || strcmp(c.access_key, "ASIA2") == 0);
	awscred_done(&c);
	return r;
}

static int get_and_sign(void)
{
	const struct awscred_conf conf = { "acme", "env", "", "", "eu-west-1", "", "" };
	struct http_request req = { .data = "x", .data_len = 1 };
	struct awscred_error err;
	struct awscred c = { 0 };
	struct sigv4_signed s;
	struct sigv4_key key;
	int r;

	awscred_forget();
	r = awscred_get(&conf, 0, clock_boot_ms() + 1000, &err, &c);
	if (r >= 0) {
		url_root(&req.url, "https://kms.test");
		key = awscred_key(&c, "eu-west-1", "kms");
		r = sigv4_sign(&key, SIGV4_OTHER, 1795664820, NULL, &req, &s);
		assert_true(r < 0 || strstr(s.authorization, "Credential=AKID/"));
	}
	awscred_done(&c);
	return r;
}

static void xml_is_read_or_not(void **state)
{
	(void)state;
	survives(read_xml, 5);
}

static void an_answer_of_sts_is_read_or_not(void **state)
{
	(void)state;
	survives(read_sts, 3);
	survives(read_json, 3);
}

static void a_request_is_signed_or_not(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_SESSION_TOKEN", "token", 1);
	survives(get_and_sign, 6);
	awscred_forget();
}

/* libcurl does not always say that it was memory. */
static void a_probe_without_memory_finds_nothing_good(void **state)
{
	struct http_request req = { .owner = "", .ca_file = "", .proxy = "", .timeout_ms = 60000 };
	struct http_probe p;
	unsigned n = 0;
	int r;

	(void)state;
	url_root(&req.url, "https://127.0.0.1:1");
	assert_int_equal(http_probe(&req, &p), 0); /* libcurl is set up once */
	do {
		countdown = n++;
		failed = false;
		p = (struct http_probe){ .trusted = true };
		r = http_probe(&req, &p);
		countdown = -1;
		assert_true(r == -ENOMEM || (r == 0 && !p.trusted && !p.version));
		assert_true(n < 1000);
	} while (failed);
	assert_true(n > 10);
	assert_non_null(strstr(p.message, "no connection"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xml_is_read_or_not),
		cmocka_unit_test(an_answer_of_sts_is_read_or_not),
		cmocka_unit_test(a_request_is_signed_or_not),
		cmocka_unit_test(a_probe_without_memory_finds_nothing_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
