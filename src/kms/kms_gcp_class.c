/* kms_gcp_class.c: what an answer of Cloud KMS means (docs/kms.md, "Google"). Pure.
 *
 * {"error":{"code":400,"message":"…","status":"FAILED_PRECONDITION","details":[…]}}. A precondition that failed is a revocation only where it names
 * the state of the key: those of an external key manager (Cloud EKM) that does not answer come with the same status. A definite status with a body that is
 * not of this API is no answer of the KMS: TRANSIENT, with an alarm. */
#include "kms/kms_gcp_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonscan.h"
#include "base/text.h"

#define DETAILS_MAX 16

struct gcp_error {
	char status[48];
	char reason[64];   /* of google.rpc.ErrorInfo, or a violation's type */
	char message[256];
};

static void text_of(const struct jsonscan *v, const char *name, char *ret_text, size_t max)
{
	struct jsonscan m;
	char text[256];

	if (jsonscan_member(v, name, &m) == 0 && m.type == '"')
		(void)text_escape(text, jsonscan_text(&m, text, sizeof(text)), ret_text, max);
}

/* ErrorInfo has a reason; PreconditionFailure a list of violations, each of a type. */
static void reason_of(const struct jsonscan *details, char *ret_reason, size_t max)
{
	struct jsonscan d, list, v;
	size_t i;

	for (i = 0; i < DETAILS_MAX && jsonscan_element(details, i, &d) == 0 && !*ret_reason; i++) {
		if (d.type != '{')
			continue;
		text_of(&d, "reason", ret_reason, max);
		if (!*ret_reason && jsonscan_member(&d, "violations", &list) == 0 && list.type == '[' && jsonscan_element(&list, 0, &v) == 0 &&
		    v.type == '{')
			text_of(&v, "type", ret_reason, max);
	}
}

static bool error_parse(const char *body, size_t len, struct gcp_error *e)
{
	struct jsonscan all, error, v;

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, "error", &error) < 0 || error.type != '{' ||
	    jsonscan_member(&error, "status", &v) < 0 || v.type != '"')
		return false;
	text_of(&error, "status", e->status, sizeof(e->status));
	text_of(&error, "message", e->message, sizeof(e->message));
	if (jsonscan_member(&error, "details", &v) == 0 && v.type == '[')
		reason_of(&v, e->reason, sizeof(e->reason));
	return *e->status != '\0';
}

static bool revoked(const struct gcp_error *e)
{
	static const char *const states[] = { "DISABLED", "DESTROY_SCHEDULED", "DESTROYED", "PENDING_EXTERNAL_DESTRUCTION",
					      "EXTERNAL_DESTRUCTION_FAILED" };
	static const char words[] = "is not enabled, current state is: ";
	const char *state = strstr(e->message, words);
	size_t i, n;

	if (strcmp(e->reason, "KEY_DISABLED") == 0 || strcmp(e->reason, "KEY_DESTROYED") == 0)
		return true;
	if (!state)
		return false;
	state += strlen(words);
	n = strspn(state, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strlen(states[i]) == n && strncmp(states[i], state, n) == 0)
			return true;
	return false;
}

static enum kms_class of_400(const struct gcp_error *e)
{
	if (strcmp(e->status, "FAILED_PRECONDITION") == 0)
		return revoked(e) ? KMS_REVOKED : KMS_TRANSIENT;
	if (strstr(e->message, "Decryption failed"))
		return KMS_CORRUPT;
	if (strstr(e->message, "did not match the data in field")) /* our checksum: damaged on the way */
		return KMS_TRANSIENT;
	if (strcmp(e->reason, "API_KEY_INVALID") == 0)
		return KMS_AUTH;
	return KMS_DENIED; /* confirmed before anything follows */
}

static enum kms_class of_status(int status, const struct gcp_error *e)
{
	if (status == 400)
		return of_400(e);
	if (status == 404 && strcmp(e->status, "NOT_FOUND") == 0)
		return KMS_REVOKED;
	return kms_status_class(status);
}

/* The name of the key, which is long and known, left out. */
static const char *telling(const char *message)
{
	const char *version = strstr(message, "cryptoKeyVersions/");

	return version && strncmp(message, "projects/", 9) == 0 ? version : message;
}

enum kms_class kms_gcp_classify(int status, const char *body, size_t len, struct kms_error *err)
{
	struct gcp_error e = { 0 };
	bool ours = error_parse(body, len, &e);
	enum kms_class class = of_status(status, &e);

	err->class = class;
	err->code[0] = '\0';
	err->message[0] = '\0';
	if (class == KMS_OK)
		return class;
	(void)snprintf(err->code, sizeof(err->code), "%s", *e.reason ? e.reason : e.status);
	if (!kms_foreign(status, ours, "Cloud KMS's", err))
		(void)kms_fail(err, class, "answered %d: %s: %.180s", status, err->code, telling(e.message));
	return err->class;
}
