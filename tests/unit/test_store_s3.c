/* test_store_s3.c: what is said to S3 servers and what they say: bodies that versitygw, s3proxy, moto and rclone sent, and those of AWS's documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/store_s3_msg.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

/* --- places --- */

static struct s3_place place(const char *rest, const char *endpoint, const char *region, bool host_style)
{
	struct s3_place p = { 0 };
	const char *why = "";

	if (store_s3_place(rest, endpoint, region, host_style, &p, &why) < 0)
		fail_msg("%s: %s", rest, why);
	return p;
}

static void assert_url(const struct s3_place *p, const char *key, const char *want)
{
	struct url u;

	store_s3_url(p, key, &u);
	assert_int_equal(url_done(&u), 0);
	assert_string_equal(u.text, want);
}

static void objects_have_urls_in_both_styles(void **state)
{
	struct s3_place p = place("bkt/a/b", "https://acc.r2.cloudflarestorage.com", "", false);

	(void)state;
	assert_string_equal(p.region, "auto");
	assert_false(p.google);
	assert_url(&p, "data/00/x", "https://acc.r2.cloudflarestorage.com/bkt/a/b/data/00/x");
	assert_url(&p, NULL, "https://acc.r2.cloudflarestorage.com/bkt");
	p = place("bkt", "https://s3.eu-west-1.amazonaws.com", "eu-west-1", true);
	assert_url(&p, "x", "https://bkt.s3.eu-west-1.amazonaws.com/x");
	assert_url(&p, NULL, "https://bkt.s3.eu-west-1.amazonaws.com/");
	p = place("bkt/", "https://s3.example.org", "", false);
	assert_string_equal(p.region, "us-east-1");
	assert_url(&p, "x", "https://s3.example.org/bkt/x");
	p = place("bkt/p/", "https://storage.googleapis.com:8443/", "", false);
	assert_true(p.google);
	assert_string_equal(p.region, "auto");
	assert_string_equal(p.prefix, "p/");
	assert_url(&p, "x", "https://storage.googleapis.com:8443/bkt/p/x");
	p = place("bkt", "https://notstorage.googleapis.com", "r", false);
	assert_false(p.google);
}

static void what_is_no_place_is_refused(void **state)
{
	static const char *const rests[] = { "", "/x", "ab", "Bkt", "a_b", "bkt..x", "-bkt", "bkt-", ".bkt", "bkt/../x", "bkt/.x", "bkt//x", "bkt/a b",
					     "bkt?x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct s3_place p;
	const char *why;
	char text[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rests) / sizeof(rests[0]); i++)
		assert_int_equal(store_s3_place(rests[i], "https://h", "", false, &p, &why), -EINVAL);
	assert_int_equal(store_s3_place("bkt", "", "", false, &p, &why), -EINVAL);
	assert_int_equal(store_s3_place("bkt", "http://h", "", false, &p, &why), -EINVAL);
	assert_non_null(strstr(why, "endpoint"));
	assert_int_equal(store_s3_place("bkt", "https://h/path", "", false, &p, &why), -EINVAL);
	assert_int_equal(store_s3_place("bkt", "https://h", "eu/west", false, &p, &why), -EINVAL);
	assert_non_null(strstr(why, "region"));
	assert_int_equal(store_s3_place("b.kt", "https://h", "", true, &p, &why), -EINVAL);
	memset(text, 'a', sizeof(text));
	memcpy(text, "bkt/", 4);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(store_s3_place(text, "https://h", "", false, &p, &why), -EINVAL);
}

/* --- what answers mean --- */

static void answers_have_their_meaning(void **state)
{
	static const struct {
		int status, r;
		bool again, throttled, skewed;
		const char *body;
	} rows[] = {
		{ 404, -ENOENT, 0, 0, 0, HEAD "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><RequestId>GVR1</RequestId></Error>" },
		{ 404, -ENOENT, 0, 0, 0, HEAD "<Error>\n  <Code>NoSuchKey</Code>\n  <Resource>nokey</Resource>\n</Error>" },
		{ 404, -ENODEV, 0, 0, 0, HEAD "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>" },
		{ 404, -ENOENT, 0, 0, 0, "" },
		{ 412, -EEXIST, 0, 0, 0, HEAD "<Error><Code>PreconditionFailed</Code><Condition>If-None-Match</Condition></Error>" },
		{ 412, -EEXIST, 0, 0, 0, "" },
		{ 409, -EBUSY, 1, 0, 0, HEAD "<Error><Code>ConditionalRequestConflict</Code></Error>" },
		{ 403, -EACCES, 0, 0, 1, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>RequestTimeTooSkewed</Code><Message>Forbidden</Message></Error>" },
		{ 403, -EACCES, 0, 0, 0, HEAD "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>AWS4-HMAC-SHA256&#xA;x</StringToSign></Error>" },
		{ 403, -EACCES, 0, 0, 0, "" },
		{ 400, -ESTALE, 0, 0, 0, HEAD "<Error><Code>InvalidPart</Code></Error>" },
		{ 404, -ESTALE, 0, 0, 0, HEAD "<Error><Code>NoSuchUpload</Code></Error>" },
		{ 416, -ERANGE, 0, 0, 0, HEAD "<Error><Code>InvalidRange</Code><ActualObjectSize>5</ActualObjectSize></Error>" },
		{ 500, -ETIMEDOUT, 1, 0, 0, "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>" },
		{ 200, -ETIMEDOUT, 1, 0, 0, HEAD "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>" },
		{ 503, -EBUSY, 1, 1, 0, HEAD "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>" },
		{ 503, -EBUSY, 1, 1, 0, "" },
		{ 429, -EBUSY, 1, 1, 0, "" },
		{ 502, -ETIMEDOUT, 1, 0, 0, "<html>" },
		{ 501, -EOPNOTSUPP, 0, 0, 0, "" },
		{ 507, -ENOSPC, 0, 0, 0, "" },
		{ 301, -EINVAL, 0, 0, 0, HEAD "<Error><Code>PermanentRedirect</Code><Endpoint>x</Endpoint></Error>" },
		{ 400, -EINVAL, 0, 0, 0, HEAD "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>" },
		{ 400, -EPROTO, 1, 0, 0, HEAD "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>" },
		{ 400, -EPROTO, 0, 0, 0, HEAD "<Error><Code>EntityTooSmall</Code></Error>" },
		{ 302, -EPROTO, 0, 0, 0, "" },
		{ 204, -EPROTO, 0, 0, 0, "" },
	};
	struct s3_verdict v;
	struct s3_error e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)store_s3_error(rows[i].body, strlen(rows[i].body), &e);
		v = store_s3_verdict(rows[i].status, &e);
		if (v.r != rows[i].r || v.again != rows[i].again || v.throttled != rows[i].throttled || v.skewed != rows[i].skewed)
			fail_msg("row %zu: %d again=%d", i, v.r, v.again);
	}
	assert_true(store_s3_error(rows[0].body, strlen(rows[0].body), &e));
	assert_string_equal(e.code, "NoSuchKey");
	assert_string_equal(e.request_id, "GVR1");
	assert_true(store_s3_error(rows[22].body, strlen(rows[22].body), &e));
	assert_string_equal(e.region, "eu-central-1");
}

static void what_is_no_error_is_none_and_texts_are_printable(void **state)
{
	static const char *const none[] = { "", "x", "<Error/>", "<Error><Code></Code></Error>", "<Errors><Code>x</Code></Errors>", "<Error><Code>x</Code>",
					    "<!DOCTYPE Error [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>" };
	const char *text = "<Error><Code>A&#10;B</Code><Message>\x1b[31m</Message></Error>", *wild = "<Error><Code>A&#10;B</Code><Message>&#127;</Message></Error>";
	struct s3_error e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_false(store_s3_error(none[i], strlen(none[i]), &e));
		assert_string_equal(e.code, "");
	}
	assert_false(store_s3_error(text, strlen(text), &e)); /* an escape character is no XML */
	assert_true(store_s3_error(wild, strlen(wild), &e));
	assert_string_equal(e.code, "A\\x0aB");
	assert_string_equal(e.message, "\\x7f");
}

/* --- ranges and times --- */

static void ranges_and_times_are_read_or_refused(void **state)
{
	static const char *const ranges[] = { "", "bytes", "bytes 3-6", "bytes 3-6/*", "bytes 6-3/10", "bytes 0-10/10", "bytes */10", "bytes 0-1/2x", "bits 0-1/2",
					      "bytes 0-1/99999999999999999999" };
	static const char *const times[] = { "", "2026-11-25", "2026-11-25T23:51:32", "2026-13-25T23:51:32Z", "2026-11-25 23:51:32Z", "2026-11-25T23:51:32.Zx",
					     "x026-11-25T23:51:32Z", "2026-11-25T24:00:00Z", "1969-11-25T23:51:32Z", "2026-11-25T23:51:32+01:00" };
	uint64_t from, to, size;
	int64_t t;
	size_t i;

	(void)state;
	assert_int_equal(store_s3_range("bytes 3-6/10", &from, &to, &size), 0);
	assert_true(from == 3 && to == 6 && size == 10);
	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		assert_int_equal(store_s3_range(ranges[i], &from, &to, &size), -EUCLEAN);
	assert_int_equal(store_s3_time("2026-11-25T23:51:32.000Z", &t), 0);
	assert_int_equal(t, 1795650692);
	assert_int_equal(store_s3_time("1970-01-01T00:00:00Z", &t), 0);
	assert_int_equal(t, 0);
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_int_equal(store_s3_time(times[i], &t), -EUCLEAN);
}

/* --- lists --- */

struct seen {
	char text[1024];
	int stop;
};

static int note(void *arg, const struct s3_entry *e)
{
	struct seen *s = arg;
	size_t at = strlen(s->text);

	(void)snprintf(s->text + at, sizeof(s->text) - at, "%s=%u@%lld%s%s ", e->key, (unsigned)e->size, (long long)e->time_s, e->upload_id[0] ? "#" : "",
		       e->upload_id);
	return s->stop;
}

static const struct s3_place at = { .prefix = "p/" };

static int objects(const char *body, struct seen *s, struct s3_page *page)
{
	*page = (struct s3_page){ 0 };
	return store_s3_objects(&at, body, strlen(body), note, s, page);
}

#define OBJECT(key, size) "<Contents><Key>" key "</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;fb&quot;</ETag><Size>" size \
			  "</Size><StorageClass>STANDARD</StorageClass></Contents>"

static void lists_give_our_objects_page_by_page(void **state)
{
	struct s3_page page;
	struct seen s = { .stop = 0 };

	(void)state;
	assert_int_equal(objects(HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name><Prefix>p/</Prefix><KeyCount>205</KeyCount>"
				      "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>" OBJECT("p/a/b", "434234") OBJECT("q/a", "1") OBJECT("p/", "0")
				      OBJECT("p/x%2Fy%20z", "7") "</ListBucketResult>", &s, &page), 0);
	assert_string_equal(s.text, "a/b=434234@1255369830 x/y z=7@1255369830 ");
	assert_false(page.more);
	s.text[0] = '\0';
	assert_int_equal(objects("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken>"
				 OBJECT("p/k", "5") "</ListBucketResult>", &s, &page), 0);
	assert_true(page.more);
	assert_string_equal(page.token, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
	assert_int_equal(objects("<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>", &s, &page), 0);
	assert_int_equal(objects("<ListBucketResult/>", &s, &page), 0);
	s.stop = 3;
	assert_int_equal(objects("<ListBucketResult>" OBJECT("p/k", "5") OBJECT("p/l", "5") "</ListBucketResult>", &s, &page), 3);
	s.stop = -EIO;
	assert_int_equal(objects("<ListBucketResult>" OBJECT("p/k", "5") "</ListBucketResult>", &s, &page), -EIO);
}

static void lists_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "<html/>", "<Error><Code>ListBucketResult</Code></Error>", "<ListBucketResult>", "<ListBucketResult><Contents><Key>p/a</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents>x</Contents></ListBucketResult>", "<ListBucketResult>" OBJECT("p/a", "-1") "</ListBucketResult>",
		"<ListBucketResult>" OBJECT("p/a", "99999999999999999999") "</ListBucketResult>", "<ListBucketResult>" OBJECT("p/a", "") "</ListBucketResult>",
		"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
		"<ListBucketResult><Contents><Key>p/a</Key><Size>1</Size><LastModified>now</LastModified></Contents></ListBucketResult>",
	};
	struct seen s = { .stop = 0 };
	struct s3_page page;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (objects(bad[i], &s, &page) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
}

static void uploads_that_are_not_complete_are_listed(void **state)
{
	const char *body = HEAD "<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>bucket</Bucket><KeyMarker></KeyMarker>"
				"<NextKeyMarker>p/my-movie%2em2ts</NextKeyMarker><NextUploadIdMarker>YW55IGlkZWEg</NextUploadIdMarker><MaxUploads>3</MaxUploads>"
				"<IsTruncated>true</IsTruncated><Upload><Key>p/my-divisor</Key><UploadId>XMgbGlrZSBlbHZpbmc</UploadId><Initiator><ID>arn</ID>"
				"<DisplayName>u</DisplayName></Initiator><Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload></ListMultipartUploadsResult>";
	const char *none = "<ListMultipartUploadsResult><Upload><Key>p/a</Key></Upload></ListMultipartUploadsResult>";
	struct seen s = { .stop = 0 };
	struct s3_page page;

	(void)state;
	assert_int_equal(store_s3_uploads(&at, body, strlen(body), note, &s, &page), 0);
	assert_string_equal(s.text, "my-divisor=0@1289422113#XMgbGlrZSBlbHZpbmc ");
	assert_true(page.more);
	assert_string_equal(page.marker, "p/my-movie.m2ts");
	assert_string_equal(page.id_marker, "YW55IGlkZWEg");
	assert_int_equal(store_s3_uploads(&at, none, strlen(none), note, &s, &page), -EUCLEAN);
}

/* --- parts --- */

static int completed(const char *body, struct s3_error *e)
{
	return store_s3_completed(body, strlen(body), e);
}

static void uploads_are_named_and_completed(void **state)
{
	static const char etags[2][S3_ETAG_MAX + 1] = { "\"a54357aff0632cce46d942af68356b38\"", "b" }, bad[1][S3_ETAG_MAX + 1] = { "\"<" };
	const char *created = HEAD "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket><Key>k</Key><UploadId>VXBsb2Fk</UploadId>"
				   "</InitiateMultipartUploadResult>";
	char id[S3_UPLOAD_ID_MAX + 1], *text = NULL;
	struct s3_error e;
	size_t len;

	(void)state;
	assert_int_equal(store_s3_upload_id(created, strlen(created), id), 0);
	assert_string_equal(id, "VXBsb2Fk");
	assert_int_equal(store_s3_upload_id("<a/>", 4, id), -EUCLEAN);
	assert_int_equal(store_s3_upload_id("", 0, id), -EUCLEAN);
	assert_int_equal(store_s3_complete(etags, 2, &text, &len), 0);
	assert_string_equal(text, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a54357aff0632cce46d942af68356b38\"</ETag></Part>"
				  "<Part><PartNumber>2</PartNumber><ETag>b</ETag></Part></CompleteMultipartUpload>");
	assert_int_equal(len, strlen(text));
	free(text);
	assert_int_equal(store_s3_complete(bad, 1, &text, &len), -EINVAL);
	assert_int_equal(store_s3_complete(etags, 0, &text, &len), -EINVAL);
	assert_int_equal(completed(HEAD "<CompleteMultipartUploadResult xmlns=\"x\"><Location>l</Location><ETag>\"e-2\"</ETag></CompleteMultipartUploadResult>", &e), 0);
	assert_int_equal(completed("<CompleteMultipartUploadResult/>", &e), 0);
	assert_int_equal(completed(HEAD "<Error><Code>InternalError</Code></Error>", &e), -EUCLEAN);
	assert_string_equal(e.code, "InternalError");
	assert_int_equal(completed("", &e), -EUCLEAN);
	assert_int_equal(completed("<html/>", &e), -EUCLEAN);
	assert_int_equal(completed("<CompleteMultipartUploadResult>", &e), -EUCLEAN);
	assert_int_equal(completed("<CompleteMultipartUploadResults/>", &e), -EUCLEAN);
}

/* --- opening --- */

static void stores_want_credentials_and_say_where_they_are(void **state)
{
	struct store_conf c;
	struct store_error e;
	struct store *s = NULL;

	(void)state;
	store_conf_init(&c);
	assert_int_equal(store_open("s3://B", &c, &s, &e), -EINVAL);
	assert_non_null(strstr(e.message, "s3://B: not a bucket's name"));
	assert_int_equal(secret_new_copy("id", 2, &c.key_id), 0);
	assert_int_equal(secret_new_copy("secret", 6, &c.key_secret), 0);
	assert_int_equal(secret_new_copy("token", 5, &c.key_token), 0);
	assert_int_equal(store_conf_set(&c, "endpoint", "https://localhost:9"), 0);
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), 0);
	assert_string_equal(store_label(s), "s3://bkt/p at localhost:9");
	store_close(s);
	s = NULL;
	c.endpoint[0] = '\0';
	assert_int_equal(store_conf_set(&c, "region", "cn-north-1"), 0);
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), 0);
	assert_string_equal(store_label(s), "s3://bkt/p at s3.cn-north-1.amazonaws.com.cn");
	store_close(s);
	s = NULL;
	assert_int_equal(store_conf_set(&c, "region", "a/b"), 0);
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), -EINVAL);
	assert_int_equal(store_conf_set(&c, "region", "auto"), 0);
	assert_int_equal(store_conf_set(&c, "credentials", "file:relative"), 0);
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), -EINVAL);
	assert_non_null(strstr(e.message, "credentials=file:relative: not auto"));
	assert_int_equal(store_conf_set(&c, "credentials", "sealed:/etc/keys"), 0); /* somebody has opened them */
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), 0);
	store_close(s);
	s = NULL;
	secret_free(take_ptr(c.key_id));
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), -EINVAL); /* or not */
	assert_int_equal(store_conf_set(&c, "credentials", "auto"), 0);
	assert_int_equal(secret_new_copy("a b", 3, &c.key_id), 0);
	assert_int_equal(store_open("s3://bkt/p", &c, &s, &e), -EINVAL);
	assert_null(s);
	store_conf_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_have_urls_in_both_styles),
		cmocka_unit_test(what_is_no_place_is_refused),
		cmocka_unit_test(answers_have_their_meaning),
		cmocka_unit_test(what_is_no_error_is_none_and_texts_are_printable),
		cmocka_unit_test(ranges_and_times_are_read_or_refused),
		cmocka_unit_test(lists_give_our_objects_page_by_page),
		cmocka_unit_test(lists_that_make_no_sense_are_refused),
		cmocka_unit_test(uploads_that_are_not_complete_are_listed),
		cmocka_unit_test(uploads_are_named_and_completed),
		cmocka_unit_test(stores_want_credentials_and_say_where_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
