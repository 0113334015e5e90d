/* kms_impl.h: what the providers over HTTP share. Of the kms floor alone. */
#ifndef COFFER_KMS_KMS_IMPL_H
#define COFFER_KMS_KMS_IMPL_H

#include "kms/kms.h"
#include "net/http.h"

/* One operation at a provider. classify is pure: from an answer to its class, with code and message put into err. */
struct kms_call {
	const char *tenant;
	uint64_t deadline_ms;
	enum kms_class (*classify)(int status, const char *body, size_t len, struct kms_error *err);
};

/* Make the request until there is an answer, by the rules of net/retry.h. 0: answered with success; the caller parses, and frees the answer. Else
 * -errno of err->class; ret_answer holds nothing. Fills err but for credential. */
int kms_call(const struct kms_call *call, struct http_request *req, struct kms_error *err,
	     struct http_answer *ret_answer) must_check;
/* Forget what is known of the providers' health. For tests. */
void kms_call_forget(void);

/* kms_count.c: one call of provider n of the list ended. */
void kms_count_ended(size_t n, enum kms_class class, uint64_t began_ns);
void kms_count_get(size_t n, struct kms_count *ret_count);

#endif
