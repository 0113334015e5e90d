/* kms_call.c: the loop around the HTTP door that all providers share: tries, pauses, and what no answer means.
 *
 *	no connection, time-out, lost           TRANSIENT   tried again
 *	TLS, certificate, no HTTP, too large    TRANSIENT   not tried again, alarm: max-stale runs on, since nobody on the wire may hold a
 *	                                                    revocation off for ever
 *	CA file, proxy                          CONFIG
 *	an answer                               what the provider's classify says; TRANSIENT and THROTTLED are tried again
 *
 * The health of each provider and tenant (struct retry) is process-wide, as the connections in net/http.c are: every thread that unwraps must
 * see that the server is down. */
#include "kms/kms_impl.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/retry.h"

#define HEALTHS 128
#define HEALTH_KEY_MAX (URL_ORIGIN_MAX + 66)

struct health {
	char key[HEALTH_KEY_MAX + 1]; /* tenant, blank, origin */
	uint64_t used_ms;
	struct retry retry;
};

static struct {
	pthread_mutex_t m;
	struct health of[HEALTHS];    /* lock: m */
} healths = { .m = PTHREAD_MUTEX_INITIALIZER };

void kms_call_forget(void)
{
	pthread_mutex_lock(&healths.m);
	memset(healths.of, 0, sizeof(healths.of));
	pthread_mutex_unlock(&healths.m);
}

/* The one that was asked for, else the one not used for longest, made new. lock: healths.m */
static struct retry *health_of(const char *key)
{
	struct health *h, *oldest = &healths.of[0];

	for (h = healths.of; h < healths.of + HEALTHS; h++) {
		if (strcmp(h->key, key) == 0) {
			h->used_ms = clock_boot_ms();
			return &h->retry;
		}
		if (h->used_ms < oldest->used_ms)
			oldest = h;
	}
	*oldest = (struct health){ .used_ms = clock_boot_ms() };
	(void)snprintf(oldest->key, sizeof(oldest->key), "%s", key);
	return &oldest->retry;
}

static bool health_call(const char *key, uint64_t *ret_wait_ms)
{
	bool may;

	pthread_mutex_lock(&healths.m);
	may = retry_call(health_of(key), clock_boot_ms(), ret_wait_ms);
	pthread_mutex_unlock(&healths.m);
	return may;
}

static void health_ended(const char *key, bool answered)
{
	pthread_mutex_lock(&healths.m);
	retry_ended(health_of(key), answered, clock_boot_ms());
	pthread_mutex_unlock(&healths.m);
}

static int64_t health_pause(const char *key, const struct retry_try *t)
{
	int64_t pause;

	pthread_mutex_lock(&healths.m);
	pause = retry_pause(health_of(key), t);
	pthread_mutex_unlock(&healths.m);
	return pause;
}

/* classify does not know whom it judges. */
static void name_host(const struct http_request *req, struct kms_error *err)
{
	char text[KMS_MESSAGE_MAX];
	int len;
	const char *host = url_host(req->url.text, &len);

	memcpy(text, err->message, sizeof(text));
	(void)snprintf(err->message, sizeof(err->message), "%.*s: %.200s", len, host, text);
}

/* One try. Returns its class, with message and more in err. *ret_again: an answer may still come. */
static enum kms_class try_once(const struct kms_call *call, struct http_request *req, struct kms_error *err,
			       struct http_answer *a, bool *ret_again)
{
	uint64_t start = clock_boot_ms();
	enum kms_class class;
	int r;

	req->timeout_ms = call->deadline_ms <= start		  ? 1 :
			  call->deadline_ms - start < HTTP_TRY_MS ? (uint32_t)(call->deadline_ms - start) :
								    HTTP_TRY_MS;
	err->attempts++;
	err->http_status = 0;
	err->alarm = false;
	r = http_call(req, a);
	err->latency_ms = (uint32_t)(clock_boot_ms() - start);
	if (r < 0) {
		err->alarm = r == -EPROTO || r == -EFBIG;
		*ret_again = !err->alarm && r != -EINVAL;
		class = r == -EINVAL ? KMS_CONFIG : KMS_TRANSIENT;
		(void)kms_fail(err, class, "%s", a->message);
		return class;
	}
	err->http_status = a->status;
	if (a->id[0])
		(void)snprintf(err->request_id, sizeof(err->request_id), "%s", a->id);
	if (call->ret_date && a->date != 0)
		*call->ret_date = a->date;
	class = call->classify(a->status, (const char *)secret_bytes_const(a->body), a->body_len, err);
	*ret_again = (class == KMS_TRANSIENT || class == KMS_THROTTLED) && !err->alarm;
	if (class != KMS_OK)
		name_host(req, err);
	err->class = class;
	return class;
}

static void wait_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

static int64_t pause_after(const struct kms_call *call, const char *key, const struct kms_error *err, unsigned attempts,
			   const struct http_answer *a)
{
	struct retry_try t = { .attempts = attempts, .throttled = err->class == KMS_THROTTLED,
			       .retry_after_ms = a->retry_after_ms, .now_ms = clock_boot_ms(), .deadline_ms = call->deadline_ms };

	if (secret_random(&t.random, sizeof(t.random)) < 0)
		t.random = t.now_ms;
	return health_pause(key, &t);
}

int kms_call(const struct kms_call *call, struct http_request *req, struct kms_error *err, struct http_answer *ret_answer)
{
	char key[HEALTH_KEY_MAX + 1];
	struct http_answer a = { 0 };
	unsigned attempts = 0;
	bool again = false;
	uint64_t wait = 0;
	int64_t pause;
	int len;
	const char *host = url_host(req->url.text, &len);

	(void)snprintf(key, sizeof(key), "%s %.*s", call->tenant, (int)(host - req->url.text) + len, req->url.text);
	if (!health_call(key, &wait))
		return kms_fail(err, KMS_TRANSIENT, "%s: not asked, the last %d calls had no answer; again in %llu ms",
				key + strlen(call->tenant) + 1 + (host - req->url.text), RETRY_FAILURES, (unsigned long long)wait);
	for (;;) {
		attempts++;
		if (try_once(call, req, err, &a, &again) == KMS_OK || !again)
			break;
		pause = pause_after(call, key, err, attempts, &a);
		if (pause < 0)
			break;
		http_answer_done(&a);
		wait_ms(pause);
	}
	health_ended(key, err->class != KMS_TRANSIENT && err->class != KMS_THROTTLED);
	if (err->class == KMS_OK) {
		*ret_answer = a;
		return 0;
	}
	http_answer_done(&a);
	return kms_class_errno(err->class);
}
