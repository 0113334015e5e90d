/* kms_shared.c: what is alike in all providers over HTTP: how long a call may take, what statuses mean where nothing else is said, and in whose name a failure
 * is told. */
#include "kms/kms_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

uint64_t kms_deadline(const struct kms_host *host)
{
	return host->deadline_ms ? host->deadline_ms : clock_boot_ms() + KMS_CALL_MS;
}

bool kms_same_kek(const struct secret *kek, const struct secret *again)
{
	return secret_len(kek) == KEY_LEN && secret_len(again) == KEY_LEN && secret_equal(secret_bytes_const(kek), secret_bytes_const(again), KEY_LEN);
}

enum kms_class kms_status_class(int status)
{
	switch (status) {
	case 200:
		return KMS_OK;
	case 401:
		return KMS_AUTH;
	case 400:
	case 403:
	case 404:
	case 409:
	case 410:
		return KMS_DENIED; /* confirmed before anything follows */
	case 429:
		return KMS_THROTTLED;
	case 405:
	case 413:
	case 415:
	case 422:
		return KMS_BADREQ;
	default: /* 408, 412, 425, 472, 473, 499, 5xx, and redirects */
		return KMS_TRANSIENT;
	}
}

bool kms_foreign(int status, bool ours, const char *whose, struct kms_error *err)
{
	if (status >= 400 && status < 500 && !ours && err->class != KMS_THROTTLED) {
		err->alarm = err->class != KMS_TRANSIENT;
		(void)kms_fail(err, KMS_TRANSIENT, "answered %d with a body that is not %s", status, whose);
		return true;
	}
	if (status >= 300 && status < 400) {
		err->alarm = true;
		(void)kms_fail(err, KMS_TRANSIENT, "answered %d, a redirect; it is not followed: endpoint= must name the right server", status);
		return true;
	}
	return false;
}

int kms_unbuilt(struct kms_error *err, int r, const char *corrupt)
{
	if (r == -EUCLEAN)
		return kms_fail(err, KMS_CORRUPT, "%s", corrupt);
	return kms_fail(err, r == -EINVAL ? KMS_CONFIG : KMS_TRANSIENT, "no request can be made: %s", strerror(-r));
}

int kms_name_key(struct kms_error *err, const char *scheme, const char *key, int r)
{
	size_t n = strlen(scheme);
	char text[KMS_MESSAGE_MAX];

	if (r >= 0 || (strncmp(err->message, scheme, n) == 0 && err->message[n] == ':'))
		return r;
	memcpy(text, err->message, sizeof(text));
	n = (size_t)snprintf(err->message, sizeof(err->message), "%s: key %.64s: ", scheme, key);
	(void)snprintf(err->message + n, sizeof(err->message) - n, "%.*s", (int)(sizeof(err->message) - n - 1), text);
	return r;
}
