/* test_kms_aws.c: AWS KMS without a server: places, requests, answers, and every row of its table of errors. Bodies are as local-kms 3.9 and moto 5.2
 * sent them, or, where the test says so, as AWS documents them; tests/kms/test_aws.py has the servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "kms/kms_aws_impl.h"

#define ID "bc436485-5092-42b8-92a3-0aa8b93536dc"
#define ARN "arn:aws:kms:eu-west-1:111122223333:key/" ID
#define URI "aws-kms://" ARN

static const uint8_t uuid[UUID_LEN] = { 0x01, 0x23, [15] = 0xff };
static const struct kms_context ctx = { .tenant = "acme", .uuid = uuid };

static struct aws_place place_of(const char *uri, const struct kms_conf *conf)
{
	struct kms_error err = { 0 };
	struct aws_place p;
	struct kms_uri u;

	assert_int_equal(kms_uri_parse(uri, &u), 0);
	assert_int_equal(kms_aws_place(&u, conf, "acme", &err, &p), 0);
	return p;
}

static void a_key_is_named_by_its_arn_alone(void **state)
{
	static const char *const good[] = {
		URI, "aws-kms://arn:aws-cn:kms:cn-north-1:111122223333:key/" ID, "aws-kms://arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/" ID,
		"aws-kms://arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
	};
	static const char *const bad[] = {
		"aws-kms:" ARN, "aws-kms://arn:aws:kms:eu-west-1:111122223333:alias/x", "aws-kms://" ID, "aws-kms://arn:aws:kms:eu-west-1:111122223333:key",
		"aws-kms://arn:aws:kms:eu-west-1:11112222333:key/" ID, "aws-kms://arn:aws:s3:eu-west-1:111122223333:key/" ID,
		"aws-kms://arn:aws:kms::111122223333:key/" ID, "aws-kms://arn:aws:kms:EU:111122223333:key/" ID, URI "/x", "aws-kms://arn:aws:kms/key",
		"aws-kms://arn:aws:kms:eu-west-1:111122223333:keys/" ID, "aws-kms://arn:aws:kms:eu-west-1:111122223333:key:x/" ID,
		"aws-kms://arn:aws:kms:eu-west-1:111122223333:key/a_b", "aws-kms://alias/x", "aws-kms://arn:google:kms:eu-west-1:111122223333:key/" ID,
	};
	struct kms_uri u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (kms_uri_parse(good[i], &u) < 0)
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (kms_uri_parse(bad[i], &u) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
}

static void place_is(const char *uri, const struct kms_conf *conf, const char *origin, const char *region)
{
	struct aws_place p = place_of(uri, conf);

	assert_string_equal(p.origin, origin);
	assert_string_equal(p.region, region);
	assert_string_equal(p.arn, uri + 10);
}

static void region_and_endpoint_come_from_the_arn_then_configuration_then_environment(void **state)
{
	static const char china[] = "aws-kms://arn:aws-cn:kms:cn-north-1:111122223333:key/" ID;
	static const struct kms_conf conf = { .endpoint = "https://kms.test:9443" }, region = { .region = "us-east-1" }, same = { .region = "eu-west-1" };
	static const struct kms_conf both = { .region = "us-east-1", .endpoint = "https://kms.test" };

	(void)state;
	place_is(URI, NULL, "https://kms.eu-west-1.amazonaws.com", "eu-west-1");
	place_is(china, NULL, "https://kms.cn-north-1.amazonaws.com.cn", "cn-north-1");
	place_is(URI, &conf, "https://kms.test:9443", "eu-west-1");
	place_is(URI, &same, "https://kms.eu-west-1.amazonaws.com", "eu-west-1");
	place_is(URI, &both, "https://kms.test", "us-east-1");
	setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
	place_is(URI, NULL, "https://kms-fips.eu-west-1.amazonaws.com", "eu-west-1");
	setenv("AWS_USE_DUALSTACK_ENDPOINT", "true", 1);
	place_is(URI, NULL, "https://kms-fips.eu-west-1.api.aws", "eu-west-1");
	place_is(china, NULL, "https://kms-fips.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1");
	unsetenv("AWS_USE_FIPS_ENDPOINT");
	place_is(URI, NULL, "https://kms.eu-west-1.api.aws", "eu-west-1");
	setenv("AWS_ENDPOINT_URL", "https://all.test", 1);
	place_is(URI, NULL, "https://all.test", "eu-west-1");
	place_is(URI, &region, "https://all.test", "us-east-1");
	setenv("AWS_ENDPOINT_URL_KMS", "https://kms.example/", 1);
	place_is(URI, NULL, "https://kms.example", "eu-west-1");
	place_is(URI, &conf, "https://kms.test:9443", "eu-west-1");
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	place_is(URI, NULL, "https://kms.eu-west-1.api.aws", "eu-west-1");
	place_is(URI, &conf, "https://kms.test:9443", "eu-west-1");
	unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
	unsetenv("AWS_USE_DUALSTACK_ENDPOINT");
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_KMS");
}

static void configuration_that_cannot_be_meant_is_refused(void **state)
{
	static const struct kms_conf http = { .endpoint = "http://kms.test" }, path = { .endpoint = "https://kms.test/x" }, region = { .region = "EU west" };
	static const struct kms_conf own = { .ca_file = "/own.pem" };
	const struct kms_conf *const bad[] = { &http, &path, &region };
	struct aws_place p;
	struct kms_uri u;
	size_t i;

	(void)state;
	assert_int_equal(kms_uri_parse(URI, &u), 0);
	for (i = 0; i < 3; i++) {
		struct kms_error err = { 0 };

		assert_int_equal(kms_aws_place(&u, bad[i], "acme", &err, &p), kms_class_errno(KMS_CONFIG));
		assert_int_equal(err.class, KMS_CONFIG);
	}
	setenv("AWS_CA_BUNDLE", "/etc/bundle.pem", 1);
	p = place_of(URI, NULL);
	assert_string_equal(p.ca_file, "/etc/bundle.pem");
	p = place_of(URI, &own);
	assert_string_equal(p.ca_file, "/own.pem");
	unsetenv("AWS_CA_BUNDLE");
}

static void a_region_that_is_not_the_key_s_is_told_and_nothing_is_asked(void **state)
{
	static const struct kms_conf region = { .region = "us-east-1" };
	struct kms_error err = { 0 };
	struct aws_place p;
	struct kms_uri u;

	(void)state;
	assert_int_equal(kms_uri_parse(URI, &u), 0);
	assert_int_equal(kms_aws_place(&u, &region, "acme", &err, &p), kms_class_errno(KMS_CONFIG));
	assert_string_equal(err.message, "aws-kms: region=us-east-1, but the key's ARN says eu-west-1, and AWS knows a key in its own region alone; take region= out, or correct kms=");
}

static void request_is(struct http_request *req, const char *target, const char *body)
{
	assert_string_equal(req->url.text, "https://kms.eu-west-1.amazonaws.com/");
	assert_string_equal(req->headers[0].value, "application/x-amz-json-1.1");
	assert_string_equal(req->headers[1].name, "X-Amz-Target");
	assert_string_equal(req->headers[1].value, target);
	assert_string_equal(req->id_header, "x-amzn-RequestId");
	assert_int_equal(req->body_len, strlen(body));
	assert_memory_equal(secret_bytes(req->body), body, req->body_len);
	http_request_done(req);
}

static void requests_name_the_key_and_the_context(void **state)
{
	struct aws_place p = place_of(URI, NULL);
	AUTO_SECRET struct secret *kek = NULL;
	static uint8_t blob[AWS_WRAPPED_MAX + 1];
	struct http_request req;

	(void)state;
	assert_int_equal(secret_new(KEY_LEN, &kek), 0);
	assert_int_equal(kms_aws_build_encrypt(&p, &ctx, kek, &req), 0);
	request_is(&req, "TrentService.Encrypt",
		   "{\"KeyId\":\"" ARN "\",\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"EncryptionContext\":{\"purpose\":\"root\","
		   "\"tenant\":\"acme\",\"volume\":\"012300000000000000000000000000ff\"}}");
	assert_int_equal(kms_aws_build_decrypt(&p, &ctx, (const uint8_t *)"blob", 4, &req), 0);
	request_is(&req, "TrentService.Decrypt",
		   "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"YmxvYg==\",\"EncryptionContext\":{\"purpose\":\"root\","
		   "\"tenant\":\"acme\",\"volume\":\"012300000000000000000000000000ff\"}}");
	assert_int_equal(kms_aws_build_describe(&p, &req), 0);
	request_is(&req, "TrentService.DescribeKey", "{\"KeyId\":\"" ARN "\"}");
	assert_int_equal(kms_aws_build_decrypt(&p, &ctx, blob, AWS_WRAPPED_MAX, &req), 0);
	http_request_done(&req);
	assert_int_equal(kms_aws_build_decrypt(&p, &ctx, blob, AWS_WRAPPED_MAX + 1, &req), -EUCLEAN);
	assert_int_equal(kms_aws_build_decrypt(&p, &ctx, blob, 0, &req), -EUCLEAN);
	assert_int_equal(kms_aws_build_encrypt(&p, &(struct kms_context){ .tenant = "a\"b", .uuid = uuid }, kek, &req), -EINVAL);
	assert_int_equal(kms_aws_build_encrypt(&p, &(struct kms_context){ .tenant = "", .uuid = uuid }, kek, &req), -EINVAL);
}

static int decrypted(const char *body, struct secret **ret_kek)
{
	struct aws_place p = place_of(URI, NULL);

	return kms_aws_parse_decrypt(&p, body, strlen(body), ret_kek);
}

static void an_answer_is_this_key_s_or_none(void **state)
{
	static const char ok[] = "{\"KeyId\":\"" ARN "\",\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"EncryptionAlgorithm\":"
				 "\"SYMMETRIC_DEFAULT\"}";
	static const char blob[] = "{\"CiphertextBlob\":\"S2Fybjph\",\"KeyId\":\"" ARN "\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}";
	static const char other[] = "{\"CiphertextBlob\":\"S2Fybjph\",\"KeyId\":\"arn:aws:kms:eu-west-1:111122223333:key/"
				    "00000000-5092-42b8-92a3-0aa8b93536dc\"}";
	struct aws_place p = place_of(URI, NULL);
	static struct kms_wrapped w;
	struct secret *kek = NULL;

	(void)state;
	assert_int_equal(decrypted(ok, &kek), 0);
	assert_int_equal(secret_len(kek), KEY_LEN);
	secret_free(kek);
	kek = NULL;
	assert_int_equal(decrypted("{\"KeyId\":\"" ARN "\",\"Plaintext\":\"AAAA\"}", &kek), -EKEYREJECTED);
	assert_int_equal(decrypted("{\"KeyId\":\"" ARN "\",\"Plaintext\":\"A\\/AA\"}", &kek), -EUCLEAN);
	assert_int_equal(decrypted("{\"KeyId\":\"" ID "\",\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", &kek), -EUCLEAN);
	assert_int_equal(decrypted("{\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", &kek), -EUCLEAN);
	assert_int_equal(decrypted("{\"KeyId\":\"" ARN "\"}", &kek), -EUCLEAN);
	assert_int_equal(decrypted("", &kek), -EUCLEAN);
	assert_int_equal(decrypted("[]", &kek), -EUCLEAN);
	assert_null(kek);
	assert_int_equal(kms_aws_parse_encrypt(&p, blob, sizeof(blob) - 1, &w), 0);
	assert_int_equal(w.len, 6);
	assert_memory_equal(w.bytes, "Karn:a", 6);
	assert_string_equal(w.key_version, "");
	assert_int_equal(kms_aws_parse_encrypt(&p, other, sizeof(other) - 1, &w), -EUCLEAN);
	assert_int_equal(kms_aws_parse_encrypt(&p, ok, sizeof(ok) - 1, &w), -EUCLEAN);
}

static void the_state_of_a_key_is_read(void **state)
{
	static const char body[] = "{\"KeyMetadata\":{\"AWSAccountId\":\"111122223333\",\"Arn\":\"" ARN "\",\"DeletionDate\":1796070929.5,\"Enabled\":false,"
				   "\"KeyState\":\"PendingDeletion\",\"EncryptionAlgorithms\":[\"SYMMETRIC_DEFAULT\"]}}";
	static const char foreign[] = "{\"KeyMetadata\":{\"Arn\":\"arn:x\",\"KeyState\":\"Disabled\"}}";
	struct aws_place p = place_of(URI, NULL);
	char text[AWS_STATE_MAX];

	(void)state;
	assert_int_equal(kms_aws_parse_describe(&p, body, sizeof(body) - 1, text), 0);
	assert_string_equal(text, "PendingDeletion");
	assert_int_equal(kms_aws_parse_describe(&p, foreign, sizeof(foreign) - 1, text), -EUCLEAN);
	assert_int_equal(kms_aws_state_class("Disabled"), KMS_REVOKED);
	assert_int_equal(kms_aws_state_class("PendingDeletion"), KMS_REVOKED);
	assert_int_equal(kms_aws_state_class("PendingReplicaDeletion"), KMS_REVOKED);
	assert_int_equal(kms_aws_state_class("PendingImport"), KMS_REVOKED);
	assert_int_equal(kms_aws_state_class("Unavailable"), KMS_TRANSIENT);
	assert_int_equal(kms_aws_state_class("Creating"), KMS_TRANSIENT);
	assert_int_equal(kms_aws_state_class("Updating"), KMS_TRANSIENT);
	assert_int_equal(kms_aws_state_class("Enabled"), KMS_TRANSIENT);
}

#define XML(code, text) \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<ErrorResponse><Errors><Error><Code>" code "</Code><Message>" text "</Message><Type>Sender</Type></Error></Errors></ErrorResponse>"
#define JSON(type, text) "{\"__type\":\"" type "\",\"message\":\"" text "\"}"

struct row {
	int status;
	const char *body;
	enum kms_class class;
	const char *code, *in; /* in: stands in the message */
	bool alarm;
};

static void rows_are(const struct row *rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const struct row *w = &rows[i];
		struct kms_error err = { 0 };

		if (kms_aws_classify(w->status, w->body, strlen(w->body), &err) != w->class || err.class != w->class ||
		    strcmp(err.code, w->code) != 0 || err.alarm != w->alarm || (w->in && !strstr(err.message, w->in)))
			fail_msg("%d %s: %s alarm=%d code=%s: %s", w->status, w->body, kms_class_text(err.class), err.alarm, err.code, err.message);
	}
}

static void what_servers_answer_is_told_apart(void **state)
{
	static const struct row rows[] = {
		{ 200, "{}", KMS_OK, "", NULL, false },
		{ 400, JSON("DisabledException", ARN " is disabled."), KMS_REVOKED, "DisabledException", "is disabled.", false },
		{ 400, JSON("NotFoundException", "Key 'arn' does not exist"), KMS_REVOKED, "NotFoundException", "does not exist", false },
		{ 400, JSON("KMSInvalidStateException", ARN " is pending deletion."), KMS_REVOKED, "KMSInvalidStateException", NULL, false },
		{ 400, JSON("KMSInvalidStateException", ARN " is pending import."), KMS_REVOKED, "KMSInvalidStateException", NULL, false },
		{ 400, JSON("KMSInvalidStateException", ARN " is pending replica deletion."), KMS_REVOKED, "KMSInvalidStateException", NULL, false },
		{ 400, JSON("KMSInvalidStateException", ARN " is Unavailable."), KMS_TRANSIENT, "KMSInvalidStateException", NULL, true },
		{ 400, "{\"__type\":\"InvalidCiphertextException\"}", KMS_CORRUPT, "InvalidCiphertextException", NULL, false },
		{ 403, XML("AccessDenied", "User: arn:aws:iam::123456789012:user/none is not authorized to perform: kms:Decrypt"), KMS_DENIED,
		  "AccessDenied", "user/none is not authorized to perform: kms:Decrypt", false },
		{ 403, XML("InvalidClientTokenId", "The security token included in the request is invalid."), KMS_AUTH, "InvalidClientTokenId", NULL, false },
		{ 403, XML("SignatureDoesNotMatch", "The request signature we calculated does not match"), KMS_AUTH, "SignatureDoesNotMatch", NULL, false },
		{ 501, "Passed X-Amz-Target is not implemented", KMS_TRANSIENT, "", "501", false },
		{ 500, "<!doctype html><title>500</title>", KMS_TRANSIENT, "", "500", false },
	};

	(void)state;
	rows_are(rows, sizeof(rows) / sizeof(rows[0]));
}

/* As AWS documents them; no server at hand answers so. */
static void the_table_s_other_codes_have_their_classes(void **state)
{
	static const struct {
		int status;
		const char *type;
		enum kms_class class;
	} codes[] = {
		{ 400, "AccessDeniedException", KMS_DENIED },           { 400, "InvalidGrantTokenException", KMS_DENIED },
		{ 400, "UnrecognizedClientException", KMS_AUTH },       { 400, "ExpiredTokenException", KMS_AUTH },
		{ 403, "ExpiredToken", KMS_AUTH },                      { 400, "IncompleteSignature", KMS_AUTH },
		{ 400, "InvalidSignatureException", KMS_AUTH },         { 403, "MissingAuthenticationToken", KMS_AUTH },
		{ 400, "MissingAuthenticationTokenException", KMS_AUTH }, { 400, "RequestExpired", KMS_AUTH },
		{ 500, "KMSInternalException", KMS_TRANSIENT },         { 500, "DependencyTimeoutException", KMS_TRANSIENT },
		{ 500, "KeyUnavailableException", KMS_TRANSIENT },      { 503, "ServiceUnavailable", KMS_TRANSIENT },
		{ 400, "RequestTimeout", KMS_TRANSIENT },               { 400, "ThrottlingException", KMS_THROTTLED },
		{ 400, "LimitExceededException", KMS_THROTTLED },       { 400, "RequestLimitExceeded", KMS_THROTTLED },
		{ 400, "TooManyRequests", KMS_THROTTLED },              { 503, "SlowDown", KMS_THROTTLED },
		{ 429, "Whatever", KMS_THROTTLED },                     { 400, "IncorrectKeyException", KMS_CORRUPT },
		{ 400, "ValidationException", KMS_BADREQ },             { 400, "InvalidKeyUsageException", KMS_BADREQ },
		{ 400, "InvalidArnException", KMS_BADREQ },             { 400, "UnsupportedOperationException", KMS_BADREQ },
		{ 400, "SomethingNew", KMS_DENIED },                    { 403, "SomethingNew", KMS_DENIED },
		{ 404, "SomethingNew", KMS_DENIED },                    { 401, "SomethingNew", KMS_AUTH },
		{ 500, "SomethingNew", KMS_TRANSIENT },                 { 408, "SomethingNew", KMS_TRANSIENT },
		{ 413, "SomethingNew", KMS_BADREQ },
	};
	char json[256], prefixed[256], xml[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		const struct row rows[] = { { codes[i].status, json, codes[i].class, codes[i].type, codes[i].type, false },
					    { codes[i].status, prefixed, codes[i].class, codes[i].type, codes[i].type, false },
					    { codes[i].status, xml, codes[i].class, codes[i].type, codes[i].type, false } };

		(void)snprintf(json, sizeof(json), "{\"__type\":\"%s\",\"Message\":\"x\"}", codes[i].type);
		(void)snprintf(prefixed, sizeof(prefixed), "{\"__type\":\"com.amazonaws.kms#%s:http\"}", codes[i].type);
		(void)snprintf(xml, sizeof(xml), "<ErrorResponse xmlns=\"u\"><Error><Type>Sender</Type><Code>%s</Code></Error></ErrorResponse>", codes[i].type);
		rows_are(rows, 3);
	}
}

static void what_is_not_aws_s_is_no_answer(void **state)
{
	static const struct row rows[] = {
		{ 400, "<html><body>Bad Request</body></html>", KMS_TRANSIENT, "", "not of AWS", true },
		{ 403, "{\"error\":\"captive portal\"}", KMS_TRANSIENT, "", "not of AWS", true },
		{ 404, "", KMS_TRANSIENT, "", "not of AWS", true },
		{ 302, "", KMS_TRANSIENT, "", "a redirect", true },
		{ 204, "", KMS_TRANSIENT, "", "not of AWS", true },
		{ 502, "<html>Bad Gateway</html>", KMS_TRANSIENT, "", "502", false },
		{ 429, "", KMS_THROTTLED, "", "429", false },
		{ 408, "", KMS_TRANSIENT, "", "408", false },
	};

	(void)state;
	rows_are(rows, sizeof(rows) / sizeof(rows[0]));
}

static void a_key_of_another_region_is_our_mistake_not_its_owner_s_will(void **state)
{
	static const struct row rows[] = { { 400, JSON("NotFoundException", "Invalid arn us-east-1"), KMS_BADREQ, "NotFoundException", "Invalid arn", false } };

	(void)state;
	rows_are(rows, 1);
}

static void a_server_s_words_are_masked_or_not_shown(void **state)
{
	static const char echo[] = JSON("ValidationException", "1 validation error detected: Value 'c2VjcmV0' at 'Plaintext' failed");
	static const char denied[] = JSON("AccessDeniedException", "you AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= may\\nnot");
	static const char wrong[] = JSON("InvalidSignatureException", "x-amz-security-token:FwoGZXIvYXdzEBYa");
	struct kms_error err = { 0 };

	(void)state;
	assert_int_equal(kms_aws_classify(400, echo, sizeof(echo) - 1, &err), KMS_BADREQ);
	assert_string_equal(err.message, "ValidationException");
	assert_int_equal(kms_aws_classify(400, denied, sizeof(denied) - 1, &err), KMS_DENIED);
	assert_string_equal(err.message, "AccessDeniedException: you ... may\\x0anot");
	assert_int_equal(kms_aws_classify(400, wrong, sizeof(wrong) - 1, &err), KMS_AUTH);
	assert_string_equal(err.message, "InvalidSignatureException");
	assert_true(kms_aws_time_refused(&err));
	assert_int_equal(kms_aws_classify(400, denied, sizeof(denied) - 1, &err), KMS_DENIED);
	assert_false(kms_aws_time_refused(&err));
}

static void only_an_unsaid_state_is_asked_about(void **state)
{
	struct kms_error err = { 0 };
	static const char unsaid[] = JSON("KMSInvalidStateException", "the key is not in a state for this"), said[] = JSON("KMSInvalidStateException",
															  "is pending deletion.");

	(void)state;
	(void)kms_aws_classify(400, unsaid, sizeof(unsaid) - 1, &err);
	assert_true(kms_aws_state_unknown(&err));
	(void)kms_aws_classify(400, said, sizeof(said) - 1, &err);
	assert_false(kms_aws_state_unknown(&err));
	(void)kms_aws_classify(500, "", 0, &err);
	assert_false(kms_aws_state_unknown(&err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_named_by_its_arn_alone),
		cmocka_unit_test(region_and_endpoint_come_from_the_arn_then_configuration_then_environment),
		cmocka_unit_test(configuration_that_cannot_be_meant_is_refused),
		cmocka_unit_test(requests_name_the_key_and_the_context),
		cmocka_unit_test(an_answer_is_this_key_s_or_none),
		cmocka_unit_test(the_state_of_a_key_is_read),
		cmocka_unit_test(what_servers_answer_is_told_apart),
		cmocka_unit_test(the_table_s_other_codes_have_their_classes),
		cmocka_unit_test(what_is_not_aws_s_is_no_answer),
		cmocka_unit_test(a_region_that_is_not_the_key_s_is_told_and_nothing_is_asked),
		cmocka_unit_test(a_key_of_another_region_is_our_mistake_not_its_owner_s_will),
		cmocka_unit_test(a_server_s_words_are_masked_or_not_shown),
		cmocka_unit_test(only_an_unsaid_state_is_asked_about),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
