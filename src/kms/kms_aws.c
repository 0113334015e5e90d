/* kms_aws.c: AWS KMS: aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID (docs/kms.md, "AWS").
 *
 *	wrap      Encrypt, then Decrypt what came back and compare: a volume whose key would not open is never made
 *	unwrap    Decrypt; DescribeKey only to explain a KMSInvalidStateException that does not say which state
 *
 * A refused signature may be our clock: signed once more with the server's time. A refusal otherwise may be old credentials: fetched anew, and the
 * request made once more; refused again, or where there are no others, it counts. */
#include "kms/kms_aws_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/awscred.h"

#define SKEW_MIN_S 60

#define NOT_OURS "the wrapped key is no ciphertext of AWS KMS"

struct aws_call {
	struct aws_place place;
	struct awscred_conf cred_conf;
	uint64_t deadline_ms;
	struct kms_error *err;
};

static int call_start(struct aws_call *c, const struct kms_host *host, const struct kms_uri *uri, const char *tenant, struct kms_error *err)
{
	const struct kms_conf *conf;
	int r;

	c->err = err;
	c->deadline_ms = kms_deadline(host);
	r = kms_aws_place(uri, host->conf, tenant, err, &c->place);
	if (r < 0)
		return r;
	conf = c->place.conf;
	c->cred_conf = (struct awscred_conf){ .owner = tenant, .source = conf->credentials, .role_arn = conf->role_arn, .external_id = conf->external_id,
					      .region = c->place.region, .ca_file = c->place.ca_file, .proxy = conf->proxy };
	return 0;
}

static int say(const struct aws_call *c, int r)
{
	const char *id = strrchr(c->place.arn, '/');

	return kms_name_key(c->err, "aws-kms", id ? id + 1 : "", r);
}

static int credentials(struct aws_call *c, uint64_t refused, struct awscred *ret_cred)
{
	struct awscred_error e;
	enum kms_class class;
	int r;

	r = awscred_get(&c->cred_conf, refused, c->deadline_ms, &e, ret_cred);
	if (r >= 0 || r == -EALREADY)
		return r;
	class = r == -EINVAL ? KMS_CONFIG : r == -EACCES ? KMS_AUTH : KMS_TRANSIENT;
	if (strcmp(e.code, "AccessDenied") == 0) /* of STS: whoever owns the role does not let us have it (any more) */
		class = KMS_DENIED;
	c->err->alarm = e.alarm;
	c->err->http_status = 0;
	(void)snprintf(c->err->code, sizeof(c->err->code), "%s", e.code);
	return kms_fail(c->err, class, "credentials: %.230s", e.message);
}

static int send(struct aws_call *c, struct http_request *req, const struct awscred *cred, int64_t *ret_date, struct http_answer *ret_answer)
{
	struct kms_call call = { .tenant = c->place.tenant, .deadline_ms = c->deadline_ms, .classify = kms_aws_classify, .ret_date = ret_date };
	struct sigv4_key key = awscred_key(cred, c->place.region, "kms");
	struct sigv4_signed s;
	int r;

	(void)snprintf(c->err->credential, sizeof(c->err->credential), "%s %.64s", cred->kind, cred->access_key);
	r = sigv4_sign(&key, SIGV4_OTHER, awscred_now(cred), NULL, req, &s);
	if (r < 0)
		return kms_fail(c->err, r == -EINVAL ? KMS_CONFIG : KMS_TRANSIENT, "the request cannot be signed: %s", strerror(-r));
	return kms_call(&call, req, c->err, ret_answer);
}

/* Is it the clock? Then it is told to whoever signs next. */
static bool clock_mends(struct aws_call *c, const struct awscred *cred, int64_t date)
{
	int64_t ahead = date - awscred_now(cred);

	if (!kms_aws_time_refused(c->err) || date == 0 || (ahead <= SKEW_MIN_S && ahead >= -SKEW_MIN_S))
		return false;
	awscred_skew(&c->cred_conf, cred->skew_s + ahead);
	return true;
}

static int exchange(struct aws_call *c, struct http_request *req, struct http_answer *ret_answer)
{
	bool timed = false, renewed = false;
	uint64_t refused = 0;

	for (;;) {
		struct awscred cred = { 0 };
		int64_t date = 0;
		bool again;
		int r;

		r = credentials(c, refused, &cred);
		if (r < 0) /* no others are to be had: the refusal stands */
			return r == -EALREADY ? kms_class_errno(c->err->class) : r;
		r = send(c, req, &cred, &date, ret_answer);
		again = false;
		if (r < 0 && !timed && clock_mends(c, &cred, date))
			again = timed = true;
		else if (r < 0 && !renewed && !cred.fresh && (c->err->class == KMS_AUTH || c->err->class == KMS_DENIED)) {
			again = renewed = true;
			refused = cred.generation;
		}
		awscred_done(&cred);
		if (!again)
			return r;
	}
}

static int unparsed(const struct aws_call *c, int r)
{
	if (r == -EKEYREJECTED)
		return kms_fail(c->err, KMS_CORRUPT, "%s: what was decrypted is no key of ours", c->place.origin + 8);
	if (r == -ENOMEM)
		return kms_fail(c->err, KMS_TRANSIENT, "no locked memory");
	c->err->alarm = true;
	return kms_fail(c->err, KMS_TRANSIENT, "%s: the answer is not of this key, or not of AWS KMS", c->place.origin + 8);
}

/* Which state is it that forbids the use? What cannot be learnt leaves the first answer as it is: an outage, with an alarm. */
static int explain(struct aws_call *c, int r)
{
	struct kms_error first = *c->err, second = *c->err;
	struct aws_call d = *c;
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	char state[AWS_STATE_MAX];
	int asked;

	d.err = &second;
	asked = kms_aws_build_describe(&c->place, &req);
	if (asked >= 0)
		asked = exchange(&d, &req, &a);
	if (asked >= 0)
		asked = kms_aws_parse_describe(&c->place, (const char *)secret_bytes_const(a.body), a.body_len, state);
	http_request_done(&req);
	http_answer_done(&a);
	*c->err = first;
	c->err->attempts = second.attempts;
	if (asked < 0)
		return r;
	c->err->alarm = kms_aws_state_class(state) != KMS_REVOKED;
	return kms_fail(c->err, kms_aws_state_class(state), "%.150s (KeyState %s%s)", first.message, state,
			c->err->alarm ? ": the key store is unavailable" : "");
}

static int decrypt(struct aws_call *c, const struct kms_context *ctx, const uint8_t *wrapped, size_t wrapped_len, struct secret **ret_kek)
{
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	r = kms_aws_build_decrypt(&c->place, ctx, wrapped, wrapped_len, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		r = kms_aws_parse_decrypt(&c->place, (const char *)secret_bytes_const(a.body), a.body_len, ret_kek);
		if (r < 0)
			r = unparsed(c, r);
	} else if (kms_aws_state_unknown(c->err)) {
		r = explain(c, r);
	}
	http_request_done(&req);
	http_answer_done(&a);
	return r;
}

static int encrypt(struct aws_call *c, const struct kms_context *ctx, const struct secret *kek, struct kms_wrapped *ret_wrapped)
{
	struct http_request req = { 0 };
	struct http_answer a = { 0 };
	int r;

	r = kms_aws_build_encrypt(&c->place, ctx, kek, &req);
	if (r < 0)
		return kms_unbuilt(c->err, r, NOT_OURS);
	r = exchange(c, &req, &a);
	if (r >= 0) {
		r = kms_aws_parse_encrypt(&c->place, (const char *)secret_bytes_const(a.body), a.body_len, ret_wrapped);
		if (r < 0)
			r = unparsed(c, r);
	} else if (kms_aws_state_unknown(c->err)) {
		r = explain(c, r);
	}
	http_request_done(&req);
	http_answer_done(&a);
	return r;
}

static int aws_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx, const struct secret *kek,
		    struct kms_error *err, struct kms_wrapped *ret_wrapped)
{
	AUTO_SECRET struct secret *again = NULL;
	struct aws_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = encrypt(&c, ctx, kek, ret_wrapped);
	if (r >= 0)
		r = decrypt(&c, ctx, ret_wrapped->bytes, ret_wrapped->len, &again);
	if (r >= 0 && !kms_same_kek(kek, again))
		r = kms_fail(err, KMS_CORRUPT, "%s: what was wrapped unwraps to something else", c.place.origin + 8);
	return say(&c, r);
}

static int aws_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx, const uint8_t *wrapped,
		      size_t wrapped_len, struct kms_error *err, struct secret **ret_kek)
{
	struct aws_call c = { 0 };
	int r;

	r = call_start(&c, host, uri, ctx->tenant, err);
	if (r >= 0)
		r = decrypt(&c, ctx, wrapped, wrapped_len, ret_kek);
	return say(&c, r);
}

const struct kms_ops kms_aws = {
	.scheme = "aws-kms",
	.check = kms_aws_check,
	.wrap = aws_wrap,
	.unwrap = aws_unwrap,
};
