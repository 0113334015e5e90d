/* test_sigv4.c: signatures. The expected ones were made with botocore; AWS's published cases, and random requests against botocore, are in
 * tests/kms/test_sigv4.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "net/sigv4.h"

#define NOW 1795664820 /* 2026-11-26 03:47:00 */
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct secret *secrets[4];
static size_t secret_count;

static struct secret *text_secret(const char *text, size_t len)
{
	struct secret *s;

	assert_int_equal(secret_new_copy(text, len, &s), 0);
	secrets[secret_count++] = s;
	return s;
}

static struct sigv4_key key_of(const char *service)
{
	static const char secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

	return (struct sigv4_key){ .names = &sigv4_aws, .access_key = "AKIDEXAMPLE", .secret_key = text_secret(secret, sizeof(secret) - 1),
				   .region = "eu-west-1", .service = service };
}


static int secrets_done(void **state)
{
	(void)state;
	while (secret_count > 0)
		secret_free(secrets[--secret_count]);
	return 0;
}

static const char *header_of(const struct http_request *req, const char *name)
{
	const char *found = NULL;
	size_t i;

	for (i = 0; i < HTTP_HEADERS_MAX && req->headers[i].name; i++)
		if (strcmp(req->headers[i].name, name) == 0) {
			assert_null(found);
			found = req->headers[i].value;
		}
	return found;
}

static void url_set(struct http_request *req, const char *text)
{
	url_start(&req->url, text);
}

static void a_kms_request_is_signed_as_botocore_does(void **state)
{
	struct http_request req = { .data = "{\"KeyId\":\"k\"}", .data_len = 13,
				    .headers = { { "Content-Type", "application/x-amz-json-1.1" }, { "X-Amz-Target", "TrentService.Decrypt" } } };
	struct sigv4_key key = key_of("kms");
	struct sigv4_signed s;

	(void)state;
	key.token = text_secret("token/+=", sizeof("token/+="));
	url_set(&req, "https://kms.eu-west-1.amazonaws.com/");
	assert_int_equal(sigv4_sign(&key, SIGV4_OTHER, NOW, NULL, &req, &s), 0);
	assert_string_equal(header_of(&req, "x-amz-date"), "20261126T034700Z");
	assert_string_equal(header_of(&req, "x-amz-security-token"), "token/+=");
	assert_null(header_of(&req, "x-amz-content-sha256"));
	assert_string_equal(header_of(&req, "authorization"),
			    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/eu-west-1/kms/aws4_request, "
			    "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
			    "Signature=af38ff01d333292291786504c70ef03e307fb588cf5c75cacd943b007ba6cc37");
}

static void signing_again_replaces_what_was_signed(void **state)
{
	struct http_request req = { .data = "{\"KeyId\":\"k\"}", .data_len = 13,
				    .headers = { { "Content-Type", "application/x-amz-json-1.1" }, { "X-Amz-Target", "TrentService.Decrypt" } } };
	struct sigv4_key key = key_of("kms");
	struct sigv4_signed s, again;

	(void)state;
	key.token = text_secret("token/+=", sizeof("token/+="));
	url_set(&req, "https://kms.eu-west-1.amazonaws.com:443/");
	assert_int_equal(sigv4_sign(&key, SIGV4_OTHER, NOW + 600, NULL, &req, &again), 0);
	assert_int_equal(sigv4_sign(&key, SIGV4_OTHER, NOW, NULL, &req, &s), 0);
	assert_string_not_equal(again.authorization, s.authorization);
	assert_non_null(strstr(header_of(&req, "authorization"), "af38ff01d333292291786504c70ef03e307fb588cf5c75cacd943b007ba6cc37"));
}

static void an_object_s_path_is_signed_as_it_is(void **state)
{
	struct http_request req = { .headers = { { "Range", "bytes=0-5" } } };
	struct sigv4_key key = key_of("s3");
	struct sigv4_signed s;

	(void)state;
	url_set(&req, "https://s3.eu-west-1.amazonaws.com:8443/bkt/odd/a%3Db%20c%2B%25~/../x?uploads&prefix=a%2Fb&list-type=2");
	assert_int_equal(sigv4_sign(&key, SIGV4_S3, NOW, NULL, &req, &s), 0);
	assert_string_equal(header_of(&req, "x-amz-content-sha256"), NOTHING);
	assert_string_equal(header_of(&req, "authorization"),
			    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/eu-west-1/s3/aws4_request, "
			    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
			    "Signature=7d56596b0b9d24c0e815822580378c1e53ad2a749273672f94b5a7dc0c9836b5");
	assert_int_equal(sigv4_sign(&key, SIGV4_S3, NOW, SIGV4_UNSIGNED, &req, &s), 0);
	assert_string_equal(header_of(&req, "x-amz-content-sha256"), SIGV4_UNSIGNED);
	assert_null(strstr(s.authorization, "7d56596b"));
}

static void other_services_want_the_path_normalised_and_encoded_twice(void **state)
{
	struct http_request req = { .data = "x", .data_len = 1, .headers = { { "My-Header", "  a   b " } } };
	struct sigv4_key key = key_of("service");
	struct sigv4_signed s;

	(void)state;
	url_set(&req, "https://example.amazonaws.com/a//b/./c%20d/../e/?b=2&a=1&a-b=3&a=0");
	assert_int_equal(sigv4_sign(&key, SIGV4_OTHER, NOW, NULL, &req, &s), 0);
	assert_non_null(strstr(s.authorization, "SignedHeaders=host;my-header;x-amz-date, "
						"Signature=3ed9a5f47b456b231c4a514059e654ccfa4a568a0af4e316ec0e61a0d614ddd7"));
}

static void google_s_names_are_used_alone(void **state)
{
	struct http_request req = { .method = "PUT", .data = "x", .data_len = 1 };
	struct sigv4_key key = key_of("storage");
	struct sigv4_signed s;

	(void)state;
	key.names = &sigv4_goog;
	url_set(&req, "https://storage.googleapis.com/b/k");
	assert_int_equal(sigv4_sign(&key, SIGV4_S3, NOW, NULL, &req, &s), 0);
	assert_non_null(header_of(&req, "x-goog-date"));
	assert_non_null(header_of(&req, "x-goog-content-sha256"));
	assert_null(header_of(&req, "x-amz-date"));
	assert_int_equal(strncmp(s.authorization, "GOOG4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261126/eu-west-1/storage/goog4_request, "
				 "SignedHeaders=host;x-goog-content-sha256;x-goog-date, Signature=", 147), 0);
}

static void canonical_is(unsigned flags, const char *path, const char *query, const char *want)
{
	const struct http_header headers[] = { { "X-Amz-Meta-A-B", "1" }, { "host", "h" }, { "x-amz-meta-a", " two \t words " },
					       { "X-AMZ-META-A", "again" } };
	const struct sigv4_request req = { "GET", path, query, headers, 4, SIGV4_UNSIGNED };
	char text[2048], names[SIGV4_CANONICAL_MAX / 64], full[2048];

	assert_int_equal(sigv4_canonical(&req, flags, sizeof(text), text, names), 0);
	assert_string_equal(names, "host;x-amz-meta-a;x-amz-meta-a-b");
	(void)snprintf(full, sizeof(full), "GET\n%s\nhost:h\nx-amz-meta-a:two words,again\nx-amz-meta-a-b:1\n\nhost;x-amz-meta-a;x-amz-meta-a-b\n%s",
		       want, SIGV4_UNSIGNED);
	assert_string_equal(text, full);
}

static void the_canonical_request_is_sorted_and_encoded(void **state)
{
	(void)state;
	canonical_is(SIGV4_S3, "/", "", "/\n");
	canonical_is(SIGV4_S3, "", "", "/\n");
	canonical_is(SIGV4_OTHER, "", "", "/\n");
	canonical_is(SIGV4_S3, "//a/../b+c d%20", "&&", "//a/../b%2Bc%20d%20\n");
	canonical_is(SIGV4_OTHER, "//a/../b+c d%20/", "", "/b%2Bc%20d%2520/\n");
	canonical_is(SIGV4_NORMALIZE, "/../..", "", "/\n");
	canonical_is(SIGV4_NORMALIZE, "/a/b/..", "", "/a\n");
	canonical_is(SIGV4_NORMALIZE, "/a/./", "", "/a/\n");
	canonical_is(SIGV4_S3, "/", "b&a=2&a=10&a-b=1&a", "/\na=&a=10&a=2&a-b=1&b=");
	canonical_is(SIGV4_S3, "/", "x=a=b&x=%2F&y=\xe1\x88\xb4", "/\nx=%2F&x=a%3Db&y=%E1%88%B4");
}

static void what_cannot_be_signed_is_refused(void **state)
{
	struct http_header headers[SIGV4_HEADERS_MAX + 1];
	struct sigv4_request req = { "GET", "/", "", headers, SIGV4_HEADERS_MAX + 1, NOTHING };
	char text[64], names[SIGV4_CANONICAL_MAX / 64], many[4 * SIGV4_PARAMETERS_MAX] = "", date[SIGV4_DATE_LEN + 1], value[SIGV4_AUTHORIZATION_MAX];
	struct http_request full = { .method = "GET" };
	struct sigv4_key key = key_of("s3");
	struct sigv4_signed s;
	size_t i;

	(void)state;
	for (i = 0; i < SIGV4_HEADERS_MAX + 1; i++)
		headers[i] = (struct http_header){ "x", "y" };
	assert_int_equal(sigv4_canonical(&req, 0, sizeof(text), text, names), -EINVAL);
	req.header_count = 1;
	assert_int_equal(sigv4_canonical(&req, 0, 8, text, names), -EINVAL);
	assert_int_equal(sigv4_canonical(&req, 0, 1, text, names), -EINVAL);
	assert_int_equal(sigv4_canonical(&req, 0, 0, text, names), -EINVAL);
	for (i = 0; i < SIGV4_PARAMETERS_MAX + 1; i++)
		(void)strcat(many, "a&");
	req.query = many;
	assert_int_equal(sigv4_authorization(&key, "20261126T034700Z", &req, 0, value), -EINVAL);
	req.query = "";
	assert_int_equal(sigv4_authorization(&key, "20261126T034700", &req, 0, value), -EINVAL);
	assert_int_equal(sigv4_authorization(&key, "20261126T034700Z", &req, 0, value), 0);
	key.region = "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr";
	assert_int_equal(sigv4_authorization(&key, "20261126T034700Z", &req, 0, value), -EINVAL);
	key.region = "r";
	assert_int_equal(sigv4_date(INT64_C(253402300800), date), -EINVAL);
	assert_int_equal(sigv4_date(INT64_C(-2208988801), date), -EINVAL);
	url_set(&full, "https://h/");
	for (i = 0; i < HTTP_HEADERS_MAX; i++)
		full.headers[i] = (struct http_header){ "x", "y" };
	assert_int_equal(sigv4_sign(&key, SIGV4_S3, NOW, NULL, &full, &s), -EINVAL);
	full.headers[0].name = NULL;
	full.url.failed = true;
	assert_int_equal(sigv4_sign(&key, SIGV4_S3, NOW, NULL, &full, &s), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_kms_request_is_signed_as_botocore_does, secrets_done),
		cmocka_unit_test_teardown(signing_again_replaces_what_was_signed, secrets_done),
		cmocka_unit_test_teardown(an_object_s_path_is_signed_as_it_is, secrets_done),
		cmocka_unit_test_teardown(other_services_want_the_path_normalised_and_encoded_twice, secrets_done),
		cmocka_unit_test_teardown(google_s_names_are_used_alone, secrets_done),
		cmocka_unit_test_teardown(the_canonical_request_is_sorted_and_encoded, secrets_done),
		cmocka_unit_test_teardown(what_cannot_be_signed_is_refused, secrets_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
