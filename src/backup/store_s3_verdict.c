/* store_s3_verdict.c: what an answer that is no success means. The code decides where there is one, else the status: HEAD has no body, and what stands
 * in front of a server (nginx, a load balancer) answers in HTML. */
#include <string.h>

#include "backup/store_s3_msg.h"
#include "base/text.h"
#include "net/xml.h"

#define AGAIN 1
#define THROTTLED 2
#define SKEWED 4
#define EXPIRED 8

static const struct {
	const char *code;
	int r;
	unsigned flags;
	const char *hint;
} codes[] = {
	{ "InternalError", -ETIMEDOUT, AGAIN, NULL },
	{ "ServiceUnavailable", -EBUSY, AGAIN | THROTTLED, NULL },
	{ "SlowDown", -EBUSY, AGAIN | THROTTLED, NULL },
	{ "TooManyRequests", -EBUSY, AGAIN | THROTTLED, NULL },
	{ "RequestTimeout", -ETIMEDOUT, AGAIN, NULL },
	{ "OperationAborted", -EBUSY, AGAIN, NULL },
	{ "ConditionalRequestConflict", -EBUSY, AGAIN, NULL },
	{ "BadDigest", -EPROTO, AGAIN, "what arrived is not what was sent" },
	{ "XAmzContentSHA256Mismatch", -EPROTO, AGAIN, "what arrived is not what was sent" },
	{ "IncompleteBody", -EPROTO, AGAIN, "what arrived is not what was sent" },
	{ "RequestTimeTooSkewed", -EACCES, SKEWED, "this host's clock and the server's differ by too much" },
	{ "AccessDenied", -EACCES, 0, "the credentials may not do this" },
	{ "InvalidAccessKeyId", -EACCES, EXPIRED, "there is no such access key" },
	{ "XAdminUserNotFound", -EACCES, EXPIRED, "there is no such access key" }, /* versitygw, with 404 */
	{ "SignatureDoesNotMatch", -EACCES, 0, "the secret key is wrong, or a proxy changes requests" },
	{ "ExpiredToken", -EACCES, EXPIRED, "the session token has expired" },
	{ "InvalidToken", -EACCES, EXPIRED, "the session token is not valid" },
	{ "PreconditionFailed", -EEXIST, 0, "it exists" },
	{ "NoSuchKey", -ENOENT, 0, NULL },
	{ "NoSuchBucket", -ENODEV, 0, "there is no such bucket" },
	{ "NoSuchUpload", -ESTALE, 0, NULL },
	{ "InvalidPart", -ESTALE, 0, NULL }, /* versitygw of an upload that is not there */
	{ "InvalidRange", -ERANGE, 0, NULL },
	{ "PermanentRedirect", -EINVAL, 0, "the bucket is elsewhere: set endpoint= and region=" },
	{ "TemporaryRedirect", -EINVAL, 0, "the bucket is elsewhere: set endpoint= and region=" },
	{ "AuthorizationHeaderMalformed", -EINVAL, 0, "the region is not the bucket's: set region=" },
	{ "IllegalLocationConstraintException", -EINVAL, 0, "the region is not the bucket's: set region=" },
	{ "NotImplemented", -EOPNOTSUPP, 0, NULL },
	{ "QuotaExceeded", -ENOSPC, 0, NULL },
	{ "InsufficientStorage", -ENOSPC, 0, NULL },
	{ "XMinioStorageFull", -ENOSPC, 0, NULL },
};

static const struct {
	int status, r;
	unsigned flags;
	const char *hint;
} statuses[] = {
	{ 301, -EINVAL, 0, "the bucket is elsewhere: set endpoint= and region=" },
	{ 307, -EINVAL, 0, "the bucket is elsewhere: set endpoint= and region=" },
	{ 401, -EACCES, 0, NULL },
	{ 403, -EACCES, 0, NULL },
	{ 404, -ENOENT, 0, NULL },
	{ 407, -EACCES, 0, "the proxy wants a password" },
	{ 408, -ETIMEDOUT, AGAIN, NULL },
	{ 409, -EBUSY, AGAIN, NULL },
	{ 412, -EEXIST, 0, "it exists" },
	{ 416, -ERANGE, 0, NULL },
	{ 429, -EBUSY, AGAIN | THROTTLED, NULL },
	{ 501, -EOPNOTSUPP, 0, NULL },
	{ 503, -EBUSY, AGAIN | THROTTLED, NULL },
	{ 507, -ENOSPC, 0, NULL },
};

static struct s3_verdict verdict(int r, unsigned flags, const char *hint)
{
	return (struct s3_verdict){ .r = r, .again = (flags & AGAIN) != 0, .throttled = (flags & THROTTLED) != 0,
				    .skewed = (flags & SKEWED) != 0, .expired = (flags & EXPIRED) != 0, .hint = hint };
}

struct s3_verdict store_s3_verdict(int status, const struct s3_error *e)
{
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(e->code, codes[i].code) == 0)
			return verdict(codes[i].r, codes[i].flags, codes[i].hint);
	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (status == statuses[i].status)
			return verdict(statuses[i].r, statuses[i].flags, statuses[i].hint);
	if (status >= 500)
		return verdict(-ETIMEDOUT, AGAIN, NULL);
	return verdict(-EPROTO, 0, NULL);
}

/* --- <Error> --- */

static int take(void *arg, const char *path, const char *text, size_t len)
{
	struct s3_error *e = arg;
	const struct {
		const char *path;
		char *to;
		size_t max;
	} fields[] = {
		{ "/Error/Code", e->code, sizeof(e->code) },
		{ "/Error/Message", e->message, sizeof(e->message) },
		{ "/Error/Region", e->region, sizeof(e->region) },
		{ "/Error/RequestId", e->request_id, sizeof(e->request_id) },
	};
	size_t i;

	for (i = 0; text && i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(path, fields[i].path) == 0)
			(void)text_escape(text, len, fields[i].to, fields[i].max);
	return 0;
}

bool store_s3_error(const char *body, size_t len, struct s3_error *ret_e)
{
	struct s3_error e = { 0 };

	*ret_e = e;
	if (len == 0 || len > S3_ANSWER_MAX || xml_read(body, len, take, &e) < 0 || e.code[0] == '\0')
		return false;
	*ret_e = e;
	return true;
}
