/* retry.h: whether a failed request is made again, and when. Pure: time and chance come in as numbers. One struct retry for each
 * provider and tenant, so that one tenant's broken KMS costs no other's requests; the caller locks it.
 *
 *   a call = up to RETRY_ATTEMPTS_MAX tries; between two of them rand(0, min(RETRY_CAP_MS, base * 2^n)), or what Retry-After says
 *   budget   each further try costs RETRY_COST of RETRY_BUDGET tokens; a call that was answered gives 1 back, and so does each second
 *   breaker  closed -(RETRY_FAILURES failed calls in a row)-> open -(RETRY_OPEN_MS)-> half open: one call goes out; answered: closed, else open */
#ifndef COFFER_NET_RETRY_H
#define COFFER_NET_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RETRY_ATTEMPTS_MAX 4
#define RETRY_BASE_MS 100
#define RETRY_BASE_THROTTLED_MS 500
#define RETRY_CAP_MS 5000
#define RETRY_BUDGET 100
#define RETRY_COST 5
#define RETRY_FAILURES 5
#define RETRY_OPEN_MS 5000

struct retry {
	uint32_t spent;          /* of RETRY_BUDGET */
	uint64_t refilled_ms;    /* up to when time has given back */
	uint32_t failures;       /* calls in a row without an answer */
	uint64_t opened_ms;      /* when failures reached the limit, or the last trial went out */
};

/* May a call go out now? false: the breaker is open, for another *ret_wait_ms. True also counts the trial of a half-open breaker. */
bool retry_call(struct retry *s, uint64_t now_ms, uint64_t *ret_wait_ms);
/* How the call ended: answered = by anything but an outage. */
void retry_ended(struct retry *s, bool answered, uint64_t now_ms);

struct retry_try {
	unsigned attempts;       /* made so far in this call, 1.. */
	bool throttled;
	uint32_t retry_after_ms; /* 0: not said */
	uint64_t now_ms, deadline_ms;
	uint64_t random;         /* 64 random bits */
};

/* After a try without an answer: the pause before the next one, or -1: give up (attempts, deadline or budget are used up). */
int64_t retry_pause(struct retry *s, const struct retry_try *t);

#endif
