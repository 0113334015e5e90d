/* kms_aws_msg.c: requests and answers of AWS KMS, JSON 1.1 (docs/kms.md, "AWS"); pure, so that every row of its tables is a unit test.
 *
 * KeyId always goes out with Decrypt, though AWS does not need it: it pins the key. What comes back must name the same key, by its ARN. The context goes
 * out as text, since policies and CloudTrail show it. Bodies are built in secret memory and scanned where they were received. */
#include "kms/kms_aws_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/b64.h"
#include "base/env.h"
#include "base/jsonscan.h"
#include "base/text.h"
#include "net/awshost.h"

#define REQUEST_MAX 12288
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* The field of "arn:PARTITION:kms:REGION:ACCOUNT:key" with this number. */
static const char *field(const char *arn, unsigned i, size_t *ret_len)
{
	for (; i > 0; i--) {
		arn = strchr(arn, ':');
		if (!arn)
			return NULL;
		arn++;
	}
	*ret_len = strcspn(arn, ":");
	return arn;
}

static bool field_is(const char *arn, unsigned i, const char *chars, size_t min, size_t max)
{
	size_t n;
	const char *p = field(arn, i, &n);

	return p && n >= min && n <= max && strspn(p, chars) >= n;
}

static bool region_of(const char *arn, char ret_region[static AWS_REGION_MAX + 1])
{
	size_t n;
	const char *p = field(arn, 3, &n);

	if (!p || n > AWS_REGION_MAX)
		return false;
	memcpy(ret_region, p, n);
	ret_region[n] = '\0';
	return awshost_region_ok(ret_region);
}

int kms_aws_check(const struct kms_uri *uri)
{
	const char *arn = kms_uri_component(uri, 0), *id = kms_uri_component(uri, 1), *p;
	char region[AWS_REGION_MAX + 1];
	size_t n;

	if (!uri->hierarchical || uri->component_count != 2 || id[strspn(id, ALNUM "-")] != '\0')
		return -EINVAL;
	if (strncmp(arn, "arn:aws", 7) != 0 || !field_is(arn, 1, "abcdefghijklmnopqrstuvwxyz-", 3, 16) || !region_of(arn, region) ||
	    !field_is(arn, 4, "0123456789", 12, 12))
		return -EINVAL;
	p = field(arn, 2, &n);
	if (n != 3 || strncmp(p, "kms:", 4) != 0)
		return -EINVAL;
	p = field(arn, 5, &n);
	return p && strcmp(p, "key") == 0 ? 0 : -EINVAL;
}

int kms_aws_place(const struct kms_uri *uri, const struct kms_conf *conf, const char *tenant, struct kms_error *err, struct aws_place *ret_place)
{
	static const struct kms_conf nothing;
	struct aws_place p = { .tenant = tenant, .conf = conf ? conf : &nothing };
	const char *bundle = env_get(ENV_AWS_CA_BUNDLE);

	(void)snprintf(p.arn, sizeof(p.arn), "%s/%s", kms_uri_component(uri, 0), kms_uri_component(uri, 1));
	if (!region_of(p.arn, p.region))
		return kms_fail(err, KMS_CONFIG, "aws-kms: the ARN names no region");
	if (*p.conf->region) {
		if (!awshost_region_ok(p.conf->region))
			return kms_fail(err, KMS_CONFIG, "aws-kms: region=%.40s is none", p.conf->region);
		if (strcmp(p.conf->region, p.region) != 0 && !*p.conf->endpoint && !env_get(ENV_AWS_ENDPOINT_URL_KMS) && !env_get(ENV_AWS_ENDPOINT_URL))
			return kms_fail(err, KMS_CONFIG, "aws-kms: region=%s, but the key's ARN says %s, and AWS knows a key in its own region alone; take region= out, or correct kms=",
					p.conf->region, p.region);
		memcpy(p.region, p.conf->region, strlen(p.conf->region) + 1);
	}
	if (awshost_find("kms", p.region, p.conf->endpoint, p.origin) < 0)
		return kms_fail(err, KMS_CONFIG, "aws-kms: endpoint= or AWS_ENDPOINT_URL_KMS is not https://HOST[:PORT], or the region has no such endpoint");
	p.ca_file = *p.conf->ca_file ? p.conf->ca_file : bundle ? bundle : "";
	*ret_place = p;
	return 0;
}

/* --- requests --- */

static void body_text(struct http_request *req, const char *text)
{
	size_t n = strlen(text);

	memcpy(secret_bytes(req->body) + req->body_len, text, n);
	req->body_len += n;
}

static void body_b64(struct http_request *req, const void *p, size_t n)
{
	b64_encode(p, n, (char *)secret_bytes(req->body) + req->body_len);
	req->body_len += B64_LEN(n);
}

/* Headers, and {"KeyId":"ARN" at the start of the body. */
static int start(const struct aws_place *p, const char *target, struct http_request *req)
{
	int r;

	url_root(&req->url, p->origin);
	r = url_done(&req->url);
	if (r >= 0)
		r = secret_new(REQUEST_MAX, &req->body);
	if (r < 0)
		return r;
	req->headers[0] = (struct http_header){ "Content-Type", "application/x-amz-json-1.1" };
	req->headers[1] = (struct http_header){ "X-Amz-Target", target };
	req->id_header = "x-amzn-RequestId";
	req->owner = p->tenant;
	req->ca_file = p->ca_file;
	req->proxy = p->conf->proxy;
	body_text(req, "{\"KeyId\":\"");
	body_text(req, p->arn);
	body_text(req, "\"");
	return 0;
}

static int body_context(struct http_request *req, const struct kms_context *ctx)
{
	char uuid[2 * UUID_LEN + 1];
	size_t n = strnlen(ctx->tenant, 65);

	if (n == 0 || n > 64 || ctx->tenant[strspn(ctx->tenant, ALNUM "._-")] != '\0')
		return -EINVAL;
	text_hex(ctx->uuid, UUID_LEN, uuid);
	body_text(req, "\",\"EncryptionContext\":{\"purpose\":\"root\",\"tenant\":\"");
	body_text(req, ctx->tenant);
	body_text(req, "\",\"volume\":\"");
	body_text(req, uuid);
	body_text(req, "\"}}");
	return 0;
}

static int crypt_build(const struct aws_place *p, const char *target, const char *name, const void *bytes, size_t len, const struct kms_context *ctx,
		       struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	r = start(p, target, &req);
	if (r >= 0) {
		body_text(&req, name);
		body_b64(&req, bytes, len);
		r = body_context(&req, ctx);
	}
	if (r < 0) {
		http_request_done(&req);
		return r;
	}
	*ret_req = req;
	return 0;
}

int kms_aws_build_encrypt(const struct aws_place *p, const struct kms_context *ctx, const struct secret *kek, struct http_request *ret_req)
{
	if (secret_len(kek) != KEY_LEN)
		return -EINVAL;
	return crypt_build(p, "TrentService.Encrypt", ",\"Plaintext\":\"", secret_bytes_const(kek), KEY_LEN, ctx, ret_req);
}

int kms_aws_build_decrypt(const struct aws_place *p, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len,
			  struct http_request *ret_req)
{
	if (wrapped_len == 0 || wrapped_len > AWS_WRAPPED_MAX)
		return -EUCLEAN;
	return crypt_build(p, "TrentService.Decrypt", ",\"CiphertextBlob\":\"", wrapped, wrapped_len, ctx, ret_req);
}

int kms_aws_build_describe(const struct aws_place *p, struct http_request *ret_req)
{
	struct http_request req = { 0 };
	int r;

	r = start(p, "TrentService.DescribeKey", &req);
	if (r < 0)
		return r;
	body_text(&req, "}");
	*ret_req = req;
	return 0;
}

/* --- answers --- */

/* A string without escapes that is a member of o. */
static int plain_string(const struct jsonscan *o, const char *name, struct jsonscan *ret_v)
{
	struct jsonscan v;

	if (jsonscan_member(o, name, &v) < 0 || v.type != '"' || memchr(v.p, '\\', v.len))
		return -EUCLEAN;
	*ret_v = v;
	return 0;
}

static int whole(const char *body, size_t len, struct jsonscan *ret_v)
{
	return jsonscan_check(body, len, ret_v) < 0 || ret_v->type != '{' ? -EUCLEAN : 0;
}

static bool key_is(const struct aws_place *p, const struct jsonscan *o, const char *name)
{
	struct jsonscan v;

	return plain_string(o, name, &v) == 0 && v.len == strlen(p->arn) && memcmp(v.p, p->arn, v.len) == 0;
}

int kms_aws_parse_encrypt(const struct aws_place *p, const char *body, size_t len, struct kms_wrapped *ret_wrapped)
{
	struct jsonscan all, v;
	size_t n;

	if (whole(body, len, &all) < 0 || !key_is(p, &all, "KeyId") || plain_string(&all, "CiphertextBlob", &v) < 0 ||
	    b64_decode(v.p, v.len, ret_wrapped->bytes, AWS_WRAPPED_MAX, &n) < 0 || n == 0)
		return -EUCLEAN;
	ret_wrapped->len = n;
	ret_wrapped->key_version[0] = '\0'; /* AWS chooses the material by the blob */
	return 0;
}

int kms_aws_parse_decrypt(const struct aws_place *p, const char *body, size_t len, struct secret **ret_kek)
{
	AUTO_SECRET struct secret *kek = NULL;
	struct jsonscan all, v;
	size_t n;
	int r;

	if (whole(body, len, &all) < 0 || !key_is(p, &all, "KeyId") || plain_string(&all, "Plaintext", &v) < 0)
		return -EUCLEAN;
	r = secret_new(KEY_LEN, &kek);
	if (r < 0)
		return r;
	if (b64_decode(v.p, v.len, secret_bytes(kek), KEY_LEN, &n) < 0 || n != KEY_LEN)
		return -EKEYREJECTED;
	*ret_kek = take_ptr(kek);
	return 0;
}

int kms_aws_parse_describe(const struct aws_place *p, const char *body, size_t len, char ret_state[static AWS_STATE_MAX])
{
	struct jsonscan all, o, v;

	if (whole(body, len, &all) < 0 || jsonscan_member(&all, "KeyMetadata", &o) < 0 || o.type != '{' || !key_is(p, &o, "Arn") ||
	    plain_string(&o, "KeyState", &v) < 0 || v.len == 0 || v.len >= AWS_STATE_MAX)
		return -EUCLEAN;
	memcpy(ret_state, v.p, v.len);
	ret_state[v.len] = '\0';
	return ret_state[strspn(ret_state, ALNUM)] == '\0' ? 0 : -EUCLEAN;
}
