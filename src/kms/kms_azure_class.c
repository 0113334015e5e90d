/* kms_azure_class.c: what an answer of Key Vault or Managed HSM means (docs/kms.md, "Azure"). Pure.
 *
 * {"error":{"code":"Forbidden","message":"…","innererror":{"code":"KeyDisabled"}}}; innererror is written innerError, too. A definite status with a body that
 * is not of this API is no answer of the KMS: TRANSIENT, with an alarm. */
#include "kms/kms_azure_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonscan.h"
#include "base/text.h"

struct azure_error {
	char code[64];
	char inner[64];
	char message[256];
};

static void text_of(const struct jsonscan *v, const char *name, char *ret_text, size_t max)
{
	struct jsonscan m;
	char text[256];

	if (jsonscan_member(v, name, &m) == 0 && m.type == '"') {
		(void)jsonscan_text(&m, text, sizeof(text));
		(void)text_escape(text, strcspn(text, "\r\n"), ret_text, max);
	}
}

static bool error_parse(const char *body, size_t len, struct azure_error *e)
{
	struct jsonscan all, error, inner;

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, "error", &error) < 0 || error.type != '{')
		return false;
	text_of(&error, "code", e->code, sizeof(e->code));
	text_of(&error, "message", e->message, sizeof(e->message));
	if ((jsonscan_member(&error, "innererror", &inner) == 0 || jsonscan_member(&error, "innerError", &inner) == 0) && inner.type == '{')
		text_of(&inner, "code", e->inner, sizeof(e->inner));
	return *e->code != '\0';
}

static bool is(const struct azure_error *e, const char *code)
{
	return strcmp(e->code, code) == 0 || strcmp(e->inner, code) == 0;
}

static bool says(const struct azure_error *e, const char *words)
{
	return strstr(e->message, words) != NULL;
}

static enum kms_class of_400(const struct azure_error *e)
{
	if (says(e, "not supported") || says(e, "not permitted on this key"))
		return KMS_BADREQ;
	if (is(e, "BadParameter") && (says(e, "decrypt") || says(e, "unwrap")))
		return KMS_CORRUPT;
	return KMS_DENIED; /* confirmed before anything follows */
}

static enum kms_class of_403(const struct azure_error *e)
{
	if (is(e, "KeyDisabled") || is(e, "KeyExpired") || is(e, "KeyNotYetValid") || says(e, "not allowed on a disabled key") ||
	    says(e, "not allowed on an expired key") || says(e, "not yet valid"))
		return KMS_REVOKED;
	return KMS_DENIED;
}

static enum kms_class of_409(const struct azure_error *e)
{
	return is(e, "ObjectIsDeletedButRecoverable") || is(e, "ObjectIsBeingDeleted") ? KMS_REVOKED : KMS_DENIED;
}

static enum kms_class of_status(int status, const struct azure_error *e)
{
	switch (status) {
	case 400:
		return of_400(e);
	case 403:
		return of_403(e);
	case 404:
		return is(e, "KeyNotFound") ? KMS_REVOKED : KMS_DENIED;
	case 409:
		return of_409(e);
	default:
		return kms_status_class(status);
	}
}

enum kms_class kms_azure_classify(int status, const char *body, size_t len, struct kms_error *err)
{
	struct azure_error e = { 0 };
	bool ours = error_parse(body, len, &e);
	enum kms_class class = of_status(status, &e);

	err->class = class;
	err->code[0] = '\0';
	err->message[0] = '\0';
	if (class == KMS_OK)
		return class;
	(void)snprintf(err->code, sizeof(err->code), "%s", *e.inner ? e.inner : e.code);
	if (!kms_foreign(status, ours, "Key Vault's", err)) {
		/* A network rule is a mistake of the vault's owner more often than his will. */
		err->alarm = is(&e, "ForbiddenByFirewall") || is(&e, "ForbiddenByConnection");
		(void)kms_fail(err, class, "answered %d: %s: %.180s", status, err->code, e.message);
	}
	return err->class;
}
