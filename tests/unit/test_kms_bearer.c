/* test_kms_bearer.c: tokens in the cache: whose they are, when they are fetched anew, what an answer to a request for one means. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kms/kms_impl.h"

#include "base/clock.h"

/* --- answers --- */

static void a_tokens_life_is_told_in_three_ways(void **state)
{
	static const char long_lived[] = "{\"access_token\":\"x\",\"expires_in\":99999999}";
	char on[128];
	const char *const good[] = { "{\"access_token\":\"ya29.x\",\"expires_in\":3599,\"token_type\":\"Bearer\"}",
				     "{\"access_token\":\"ya29.x\",\"expires_in\":\"3599\",\"expires_on\":\"1\"}", on };
	struct kms_bearer b = { 0 };
	size_t i;

	(void)state;
	(void)snprintf(on, sizeof(on), "{\"access_token\":\"ya29.x\",\"expires_on\":\"%lld\"}", (long long)time(NULL) + 3600);
	for (i = 0; i < 3; i++) {
		assert_int_equal(kms_bearer_parse(good[i], strlen(good[i]), &b), 0);
		assert_string_equal((const char *)secret_bytes(b.token), "ya29.x");
		assert_in_range(b.life_s, 3590, 3600);
		secret_free(b.token);
		b.token = NULL;
	}
	assert_int_equal(kms_bearer_parse(long_lived, strlen(long_lived), &b), 0);
	assert_int_equal(b.life_s, 86400);
	secret_free(b.token);
}

static void what_holds_no_token_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "[]", "{}", "{\"access_token\":\"x\"}", "{\"expires_in\":1}", "{\"access_token\":\"\",\"expires_in\":1}", "{\"access_token\":1,\"expires_in\":1}",
		"{\"access_token\":\"a b\",\"expires_in\":1}", "{\"access_token\":\"a\\r\\nHost: x\",\"expires_in\":1}", "{\"access_token\":\"x\",\"expires_in\":0}",
		"{\"access_token\":\"x\",\"expires_in\":-1}", "{\"access_token\":\"x\",\"expires_in\":\"1s\"}", "{\"access_token\":\"x\",\"expires_in\":1.5}",
		"{\"access_token\":\"x\",\"expires_on\":\"1\"}", "{\"access_token\":\"x\",\"expires_in\":null}", "{\"access_token\":\"x\",\"access_token\":\"y\",\"expires_in\":1}",
	};
	struct kms_bearer b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_bearer_parse(bad[i], strlen(bad[i]), &b) != -EUCLEAN || b.token)
			fail_msg("taken: %s", bad[i]);
}

static void each_refusal_of_a_token_has_its_class(void **state)
{
	static const struct {
		const char *what;
		int status;
		const char *body;
		enum kms_class class;
		bool alarm;
		const char *code;
	} rows[] = {
		{ "a token", 200, "{\"access_token\":\"x\"}", KMS_OK, false, "" },
		{ "clock, or key of the account", 400, "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}", KMS_AUTH, false, "invalid_grant" },
		{ "account gone", 401, "{\"error\":\"invalid_client\",\"error_description\":\"x\"}", KMS_AUTH, false, "invalid_client" },
		{ "wrong secret", 401, "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret provided.\\r\\nTrace ID: 1\"}", KMS_AUTH, false, "invalid_client" },
		{ "secret over", 401, "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: The provided client secret keys are expired.\"}", KMS_AUTH, true, "invalid_client" },
		{ "application gone", 400, "{\"error\":\"unauthorized_client\",\"error_description\":\"AADSTS700016: Application was not found.\"}", KMS_AUTH, true, "unauthorized_client" },
		{ "no identity", 400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}", KMS_AUTH, false, "invalid_request" },
		{ "forbidden", 403, "{\"error\":\"access_denied\"}", KMS_AUTH, false, "access_denied" },
		{ "metadata not ready", 404, "", KMS_TRANSIENT, false, "" },
		{ "metadata being updated", 410, "{\"error\":\"gone\"}", KMS_TRANSIENT, false, "gone" },
		{ "throttled", 429, "", KMS_THROTTLED, false, "" },
		{ "internal", 500, "<html>", KMS_TRANSIENT, false, "" },
		{ "unavailable", 503, "{\"error\":\"temporarily_unavailable\"}", KMS_TRANSIENT, false, "temporarily_unavailable" },
		{ "redirect", 302, "", KMS_TRANSIENT, true, "" },
		{ "a proxy's page", 403, "<html>", KMS_TRANSIENT, true, "" },
	};
	struct kms_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&err, 0, sizeof(err));
		if (kms_bearer_classify(rows[i].status, rows[i].body, strlen(rows[i].body), &err) != rows[i].class || err.class != rows[i].class ||
		    err.alarm != rows[i].alarm)
			fail_msg("%s: %s, alarm %d", rows[i].what, kms_class_text(err.class), err.alarm);
		assert_string_equal(err.code, rows[i].code);
		assert_null(strchr(err.message, '\n'));
		assert_null(strstr(err.message, "Trace"));
	}
}

static void a_form_is_encoded_and_has_an_end(void **state)
{
	struct http_request req = { 0 };

	(void)state;
	assert_int_equal(secret_new(64, &req.body), 0);
	assert_int_equal(kms_bearer_form(&req, 64, "a", "x+/= &~"), 0);
	assert_int_equal(kms_bearer_form(&req, 64, "scope", "b:c"), 0);
	assert_int_equal(req.body_len, strlen("a=x%2B%2F%3D%20%26~&scope=b%3Ac"));
	assert_memory_equal(secret_bytes(req.body), "a=x%2B%2F%3D%20%26~&scope=b%3Ac", req.body_len);
	assert_int_equal(kms_bearer_form(&req, 64, "n", "12345678901"), -EINVAL);
	http_request_done(&req);
}

/* --- the cache --- */

static struct {
	pthread_mutex_t m;
	unsigned fetched, token;  /* token: which one is given; the same number is the same token */
	uint64_t life_s;
	enum kms_class fails;
} issuer = { .m = PTHREAD_MUTEX_INITIALIZER };

static int fetch(const void *arg, uint64_t deadline_ms, struct kms_error *err, struct kms_bearer *ret_bearer)
{
	char text[64];
	int n, r;

	(void)deadline_ms;
	pthread_mutex_lock(&issuer.m);
	issuer.fetched++;
	n = snprintf(text, sizeof(text), "%s-%u", (const char *)arg, issuer.token);
	pthread_mutex_unlock(&issuer.m);
	if (issuer.fails)
		return kms_fail(err, issuer.fails, "the issuer fails");
	*ret_bearer = (struct kms_bearer){ .life_s = issuer.life_s };
	r = secret_new_copy(text, (size_t)n + 1, &ret_bearer->token);
	return r;
}

static int fresh_issuer(void **state)
{
	(void)state;
	kms_bearer_forget();
	issuer.fetched = issuer.token = 0;
	issuer.life_s = 3600;
	issuer.fails = KMS_OK;
	return 0;
}

/* Gets one and compares it. Returns its generation. */
static uint64_t get(const char *key, uint64_t refused, const char *want, bool fresh)
{
	struct kms_bearer_source source = { .key = key, .fetch = fetch, .arg = key };
	struct kms_bearer b = { 0 };
	struct kms_error err = { 0 };

	assert_int_equal(kms_bearer_get(&source, refused, clock_boot_ms() + 10000, &err, &b), 0);
	assert_string_equal((const char *)secret_bytes(b.token), want);
	assert_int_equal(b.fresh, fresh);
	secret_free(b.token);
	return b.generation;
}

static void a_token_is_fetched_once_and_is_its_sources_alone(void **state)
{
	uint64_t a;

	(void)state;
	a = get("a", 0, "a-0", true);
	assert_int_equal(get("a", 0, "a-0", false), a);
	assert_int_equal(issuer.fetched, 1);
	assert_int_not_equal(get("b", 0, "b-0", true), a);
	assert_int_equal(get("a", 0, "a-0", false), a);
	assert_int_equal(issuer.fetched, 2);
}

static void a_refused_token_is_replaced_or_there_is_no_other(void **state)
{
	struct kms_bearer_source source = { .key = "a", .fetch = fetch, .arg = "a" };
	struct kms_error err = { 0 };
	struct kms_bearer b = { 0 };
	uint64_t a;

	(void)state;
	a = get("a", 0, "a-0", true);
	assert_int_equal(kms_bearer_get(&source, a, clock_boot_ms() + 10000, &err, &b), -EALREADY);
	issuer.token = 1;
	assert_int_not_equal(get("a", a, "a-1", true), a);
	assert_int_equal(issuer.fetched, 3);
}

static void a_token_is_fetched_anew_before_its_end(void **state)
{
	struct timespec t = { .tv_nsec = 20 * 1000000 };
	uint64_t end;

	(void)state;
	issuer.life_s = 3; /* due when two thirds are over */
	(void)get("a", 0, "a-0", true);
	issuer.token = 1;
	end = clock_boot_ms() + 60000;
	while (issuer.fetched == 1 && clock_boot_ms() < end) {
		struct kms_bearer_source source = { .key = "a", .fetch = fetch, .arg = "a" };
		struct kms_bearer b = { 0 };
		struct kms_error err = { 0 };

		assert_int_equal(kms_bearer_get(&source, 0, end, &err, &b), 0);
		secret_free(b.token);
		(void)nanosleep(&t, NULL);
	}
	assert_int_equal(issuer.fetched, 2);
}

static void a_token_is_used_to_its_end_when_no_other_is_to_be_had(void **state)
{
	struct kms_bearer_source source = { .key = "a", .fetch = fetch, .arg = "a" };
	struct timespec t = { .tv_nsec = 50 * 1000000 };
	struct kms_error err = { 0 };
	struct kms_bearer b = { 0 };
	uint64_t end = clock_boot_ms() + 60000;
	int r;

	(void)state;
	issuer.life_s = 3;
	(void)get("a", 0, "a-0", true);
	issuer.fails = KMS_TRANSIENT;
	do { /* the second fetch fails, and the token still serves */
		r = kms_bearer_get(&source, 0, end, &err, &b);
		assert_true(r == 0 || issuer.fetched > 1);
		secret_free(b.token);
		b.token = NULL;
		(void)nanosleep(&t, NULL);
	} while (r == 0 && clock_boot_ms() < end);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(err.class, KMS_TRANSIENT);
	assert_true(issuer.fetched >= 3);
}

static void a_failed_fetch_says_why(void **state)
{
	struct kms_bearer_source source = { .key = "a", .fetch = fetch, .arg = "a" };
	struct kms_error err = { 0 };
	struct kms_bearer b = { 0 };

	(void)state;
	issuer.fails = KMS_AUTH;
	assert_int_equal(kms_bearer_get(&source, 0, clock_boot_ms() + 1000, &err, &b), -EACCES);
	assert_int_equal(err.class, KMS_AUTH);
	issuer.fails = KMS_OK;
	(void)get("a", 0, "a-0", true);
}

static void *many_thread(void *arg)
{
	char key[8];

	(void)snprintf(key, sizeof(key), "%s", (const char *)arg);
	for (int i = 0; i < 50; i++) {
		struct kms_bearer_source source = { .key = key, .fetch = fetch, .arg = key };
		struct kms_bearer b = { 0 };
		struct kms_error err = { 0 };

		if (kms_bearer_get(&source, 0, clock_boot_ms() + 60000, &err, &b) < 0 || strncmp((const char *)secret_bytes(b.token), key, strlen(key)) != 0)
			return arg;
		secret_free(b.token);
	}
	return NULL;
}

static void threads_share_one_fetch(void **state)
{
	static char keys[4][4] = { "k0", "k1", "k2", "k3" };
	pthread_t t[16];
	void *bad;
	size_t i;

	(void)state;
	for (i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many_thread, keys[i % 4]), 0);
	for (i = 0; i < 16; i++) {
		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(issuer.fetched, 4);
}

#define CACHE_TEST(f) cmocka_unit_test_setup(f, fresh_issuer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tokens_life_is_told_in_three_ways),
		cmocka_unit_test(what_holds_no_token_is_refused),
		cmocka_unit_test(each_refusal_of_a_token_has_its_class),
		cmocka_unit_test(a_form_is_encoded_and_has_an_end),
		CACHE_TEST(a_token_is_fetched_once_and_is_its_sources_alone),
		CACHE_TEST(a_refused_token_is_replaced_or_there_is_no_other),
		CACHE_TEST(a_token_is_fetched_anew_before_its_end),
		CACHE_TEST(a_token_is_used_to_its_end_when_no_other_is_to_be_had),
		CACHE_TEST(a_failed_fetch_says_why),
		CACHE_TEST(threads_share_one_fetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
