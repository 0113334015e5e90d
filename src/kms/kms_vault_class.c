/* kms_vault_class.c: what an answer of Vault or OpenBao means (docs/kms.md, "Vault"). Pure.
 *
 * The words were read from OpenBao's source and seen from its server; another wording falls back to what the status says. A definite status
 * with a body that is not of this API (a proxy's page) is no answer of the KMS: TRANSIENT, with an alarm. */
#include "kms/kms_vault_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonscan.h"
#include "base/text.h"

static const struct {
	const char *words;
	enum kms_class class;
} of_400[] = {
	{ "encryption key not found", KMS_REVOKED },
	{ "soft-deleted key", KMS_REVOKED },
	{ "disallowed by policy (too old)", KMS_REVOKED },
	{ "message authentication failed", KMS_CORRUPT },
	{ "invalid ciphertext", KMS_CORRUPT },
	{ "missing 'context' for key derivation", KMS_BADREQ },
	{ "associated_data", KMS_BADREQ },
	{ "associated data", KMS_BADREQ },
};

/* Lists come as "1 error occurred:\n\t* TEXT\n\n": on one line. Returns the new length. */
static size_t blanks_squeeze(char *text, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		bool blank = text[i] == ' ' || text[i] == '\n' || text[i] == '\t';

		if (blank && (n == 0 || text[n - 1] == ' '))
			continue;
		text[n++] = blank ? ' ' : text[i];
	}
	return n > 0 && text[n - 1] == ' ' ? n - 1 : n;
}

/* The first of "errors", for a line of text. -EUCLEAN: not an error of this API. */
static int error_text(const char *body, size_t len, char *ret_text, size_t max)
{
	struct jsonscan all, errors, first;
	char text[192];
	size_t n;

	if (jsonscan_check(body, len, &all) < 0 || jsonscan_member(&all, "errors", &errors) < 0 || errors.type != '[')
		return -EUCLEAN;
	if (jsonscan_element(&errors, 0, &first) < 0) {
		ret_text[0] = '\0';
		return 0;
	}
	if (first.type != '"')
		return -EUCLEAN;
	n = blanks_squeeze(text, jsonscan_text(&first, text, sizeof(text)));
	(void)text_escape(text, n, ret_text, max);
	return 0;
}

static enum kms_class of_words(const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(of_400) / sizeof(of_400[0]); i++)
		if (strstr(text, of_400[i].words))
			return of_400[i].class;
	return KMS_DENIED; /* confirmed before anything follows */
}

static enum kms_class of_status(int status, const char *text)
{
	if (status == 204)
		return KMS_OK;
	return status == 400 ? of_words(text) : kms_status_class(status);
}

enum kms_class kms_vault_classify(int status, const char *body, size_t len, struct kms_error *err)
{
	char text[sizeof(err->message) - 64] = "";
	bool ours = error_text(body, len, text, sizeof(text)) == 0;
	enum kms_class class = of_status(status, text);

	err->class = class;
	err->code[0] = '\0';
	if (class == KMS_OK) {
		err->message[0] = '\0';
		return class;
	}
	if (!kms_foreign(status, ours, "Vault's", err))
		(void)kms_fail(err, class, *text ? "answered %d: %s" : "answered %d", status, text);
	(void)snprintf(err->code, sizeof(err->code), "%.60s", text);
	return err->class;
}

enum kms_class kms_vault_classify_login(int status, const char *body, size_t len, struct kms_error *err)
{
	enum kms_class class = kms_vault_classify(status, body, len, err);

	if (class == KMS_OK || class == KMS_TRANSIENT || class == KMS_THROTTLED)
		return class;
	err->class = KMS_AUTH;
	return KMS_AUTH;
}

bool kms_vault_token_refused(const struct kms_error *err)
{
	return err->http_status == 403 &&
	       (strcmp(err->code, "permission denied") == 0 || strstr(err->code, "invalid token") || strstr(err->code, "bad token"));
}
