/* kms_aws_class.c: what an answer of AWS KMS means (docs/kms.md, "AWS"). Pure.
 *
 * An error is JSON with "__type", or, where the gateway or STS speaks, XML with Code: the body decides, not its Content-Type. A definite status with a
 * body that is neither (a proxy's page) is no answer of the KMS: TRANSIENT, with an alarm. A code that is not in the table falls back to the status, and
 * 4xx is DENIED then: confirmed before anything follows, and closed rather than open. */
#include "kms/kms_aws_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonscan.h"
#include "base/text.h"
#include "net/xml.h"

#define WORD_MAX 40 /* longer runs of base64's characters are masked */

enum tell { SILENT, TELL }; /* may the service's words be shown? */

static const struct {
	const char *code;
	enum kms_class class;
	enum tell tell;
} codes[] = {
	{ "DisabledException", KMS_REVOKED, TELL },
	{ "NotFoundException", KMS_REVOKED, TELL },
	{ "KMSInvalidStateException", KMS_TRANSIENT, TELL },
	{ "AccessDeniedException", KMS_DENIED, TELL },
	{ "AccessDenied", KMS_DENIED, TELL },
	{ "InvalidGrantTokenException", KMS_DENIED, SILENT },
	{ "UnrecognizedClientException", KMS_AUTH, TELL },
	{ "InvalidClientTokenId", KMS_AUTH, TELL },
	{ "InvalidAccessKeyId", KMS_AUTH, TELL },
	{ "ExpiredTokenException", KMS_AUTH, TELL },
	{ "ExpiredToken", KMS_AUTH, TELL },
	{ "RequestExpired", KMS_AUTH, SILENT },
	{ "IncompleteSignature", KMS_AUTH, SILENT },
	{ "IncompleteSignatureException", KMS_AUTH, SILENT },
	{ "InvalidSignatureException", KMS_AUTH, SILENT },
	{ "SignatureDoesNotMatch", KMS_AUTH, SILENT },
	{ "MissingAuthenticationToken", KMS_AUTH, SILENT },
	{ "MissingAuthenticationTokenException", KMS_AUTH, SILENT },
	{ "KMSInternalException", KMS_TRANSIENT, SILENT },
	{ "DependencyTimeoutException", KMS_TRANSIENT, SILENT },
	{ "KeyUnavailableException", KMS_TRANSIENT, SILENT },
	{ "InternalFailure", KMS_TRANSIENT, SILENT },
	{ "ServiceUnavailable", KMS_TRANSIENT, SILENT },
	{ "ServiceUnavailableException", KMS_TRANSIENT, SILENT },
	{ "RequestTimeout", KMS_TRANSIENT, SILENT },
	{ "RequestTimeoutException", KMS_TRANSIENT, SILENT },
	{ "ThrottlingException", KMS_THROTTLED, SILENT },
	{ "Throttling", KMS_THROTTLED, SILENT },
	{ "LimitExceededException", KMS_THROTTLED, SILENT },
	{ "RequestLimitExceeded", KMS_THROTTLED, SILENT },
	{ "TooManyRequests", KMS_THROTTLED, SILENT },
	{ "TooManyRequestsException", KMS_THROTTLED, SILENT },
	{ "SlowDown", KMS_THROTTLED, SILENT },
	{ "InvalidCiphertextException", KMS_CORRUPT, SILENT },
	{ "IncorrectKeyException", KMS_CORRUPT, SILENT },
	{ "ValidationException", KMS_BADREQ, SILENT },
	{ "InvalidKeyUsageException", KMS_BADREQ, SILENT },
	{ "InvalidArnException", KMS_BADREQ, SILENT },
	{ "UnsupportedOperationException", KMS_BADREQ, SILENT },
	{ "UnknownOperationException", KMS_BADREQ, SILENT },
	{ "SerializationException", KMS_BADREQ, SILENT },
};

#define CODES (sizeof(codes) / sizeof(codes[0]))

/* "prefix#Code:more" */
static void code_cut(const char *text, char *ret_code, size_t max)
{
	const char *hash = strchr(text, '#');
	char raw[64];

	text = hash ? hash + 1 : text;
	(void)snprintf(raw, sizeof(raw), "%.*s", (int)(strcspn(text, ":") < 60 ? strcspn(text, ":") : 60), text);
	(void)text_escape(raw, strlen(raw), ret_code, max);
}

static bool json_error(const char *body, size_t len, char *ret_code, size_t code_max, char *ret_text, size_t text_max)
{
	struct jsonscan all, v;
	char raw[160] = "";

	if (jsonscan_check(body, len, &all) < 0 || all.type != '{' || jsonscan_member(&all, "__type", &v) < 0 || v.type != '"')
		return false;
	(void)jsonscan_text(&v, raw, sizeof(raw));
	code_cut(raw, ret_code, code_max);
	ret_text[0] = '\0';
	if (jsonscan_member(&all, "message", &v) == 0 || jsonscan_member(&all, "Message", &v) == 0)
		(void)jsonscan_text(&v, ret_text, text_max);
	return true;
}

static bool xml_error(const char *body, size_t len, char *ret_code, size_t code_max, char *ret_text, size_t text_max)
{
	static const char *const forms[] = { "/ErrorResponse/Error", "/ErrorResponse/Errors/Error", "/Error", "/Response/Errors/Error" };
	char path[64], raw[160];
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/Code", forms[i]);
		if (xml_text(body, len, path, sizeof(raw), raw) < 0)
			continue;
		code_cut(raw, ret_code, code_max);
		(void)snprintf(path, sizeof(path), "%s/Message", forms[i]);
		if (xml_text(body, len, path, text_max, ret_text) < 0)
			ret_text[0] = '\0';
		return true;
	}
	return false;
}

static size_t run(const char *p)
{
	return strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
}

/* What could be key bytes or a token goes; the rest is one printable line. */
static void words_put(const char *text, char *out, size_t max)
{
	char masked[512];
	size_t n = 0, k;

	while (*text && n < sizeof(masked) - 4) {
		k = run(text);
		if (k >= WORD_MAX) {
			memcpy(masked + n, "...", 3);
			n += 3;
			text += k;
			continue;
		}
		k = k ? k : 1;
		if (k > sizeof(masked) - 4 - n)
			break;
		memcpy(masked + n, text, k);
		n += k;
		text += k;
	}
	(void)text_escape(masked, n, out, max);
}

enum kms_class kms_aws_state_class(const char *state)
{
	static const char *const gone[] = { "Disabled", "PendingDeletion", "PendingReplicaDeletion", "PendingImport" };
	size_t i;

	for (i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		if (strcmp(state, gone[i]) == 0)
			return KMS_REVOKED;
	return KMS_TRANSIENT;
}

/* The exceptions to the table, which are told by words. */
static enum kms_class by_words(const char *code, const char *text, enum kms_class class, struct kms_error *err)
{
	if (strcmp(code, "KMSInvalidStateException") == 0) {
		if (strstr(text, "pending deletion") || strstr(text, "pending import") || strstr(text, "pending replica deletion"))
			return KMS_REVOKED;
		err->alarm = true; /* not tried again: DescribeKey says more */
		return KMS_TRANSIENT;
	}
	/* A key of another region: our configuration, not its owner's will. */
	if (strcmp(code, "NotFoundException") == 0 && strstr(text, "Invalid arn"))
		return KMS_BADREQ;
	return class;
}

/* The answer is an error of AWS. */
static enum kms_class coded(int status, const char *code, const char *text, struct kms_error *err)
{
	enum kms_class class = status >= 500 ? KMS_TRANSIENT : kms_status_class(status);
	char words[KMS_MESSAGE_MAX - 64] = "";
	size_t i;

	for (i = 0; i < CODES; i++) {
		if (strcmp(code, codes[i].code) != 0)
			continue;
		class = by_words(code, text, codes[i].class, err);
		if (codes[i].tell == TELL)
			words_put(text, words, sizeof(words));
	}
	(void)kms_fail(err, class, "%s%s%.180s", code, *words ? ": " : "", words);
	(void)snprintf(err->code, sizeof(err->code), "%.60s", code);
	return class;
}

enum kms_class kms_aws_classify(int status, const char *body, size_t len, struct kms_error *err)
{
	char code[64], text[512];

	err->class = KMS_OK;
	err->code[0] = err->message[0] = '\0';
	if (status == 200)
		return KMS_OK;
	if (status >= 400 &&
	    (json_error(body, len, code, sizeof(code), text, sizeof(text)) || xml_error(body, len, code, sizeof(code), text, sizeof(text))))
		return coded(status, code, text, err);
	if (status >= 500 || status == 429 || status == 408 || status == 425) {
		(void)kms_fail(err, kms_status_class(status), "answered %d", status);
		return err->class;
	}
	err->class = kms_status_class(status);
	if (!kms_foreign(status, false, "of AWS", err)) /* 2xx but for 200 */
		(void)kms_fail(err, KMS_TRANSIENT, "answered %d with a body that is not of AWS", status);
	err->alarm = true;
	return err->class;
}

bool kms_aws_state_unknown(const struct kms_error *err)
{
	return err->class == KMS_TRANSIENT && strcmp(err->code, "KMSInvalidStateException") == 0;
}

bool kms_aws_time_refused(const struct kms_error *err)
{
	return err->class == KMS_AUTH && (strcmp(err->code, "InvalidSignatureException") == 0 || strcmp(err->code, "SignatureDoesNotMatch") == 0 ||
					  strcmp(err->code, "RequestExpired") == 0);
}
