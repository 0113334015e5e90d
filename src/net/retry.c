/* retry.c: see the header for the rules. The clock is one that never goes back; a jump forward only refills. */
#include "net/retry.h"

static void refill(struct retry *s, uint64_t now_ms)
{
	uint64_t seconds = now_ms > s->refilled_ms ? (now_ms - s->refilled_ms) / 1000 : 0;

	s->spent = seconds >= s->spent ? 0 : s->spent - (uint32_t)seconds;
	s->refilled_ms = s->spent == 0 ? now_ms : s->refilled_ms + seconds * 1000;
}

bool retry_call(struct retry *s, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	if (s->failures < RETRY_FAILURES)
		return true;
	if (now_ms < s->opened_ms + RETRY_OPEN_MS) {
		*ret_wait_ms = s->opened_ms + RETRY_OPEN_MS - now_ms;
		return false;
	}
	s->opened_ms = now_ms;
	return true;
}

void retry_ended(struct retry *s, bool answered, uint64_t now_ms)
{
	if (answered) {
		s->failures = 0;
		if (s->spent > 0)
			s->spent--;
		return;
	}
	if (s->failures < RETRY_FAILURES)
		s->failures++;
	if (s->failures == RETRY_FAILURES)
		s->opened_ms = now_ms;
}

int64_t retry_pause(struct retry *s, const struct retry_try *t)
{
	uint64_t most = t->throttled ? RETRY_BASE_THROTTLED_MS : RETRY_BASE_MS;
	uint64_t pause;

	if (t->attempts >= RETRY_ATTEMPTS_MAX)
		return -1;
	most <<= t->attempts - 1;
	if (most > RETRY_CAP_MS)
		most = RETRY_CAP_MS;
	pause = t->retry_after_ms > 0 ? t->retry_after_ms : t->random % (most + 1);
	if (t->now_ms + pause >= t->deadline_ms)
		return -1;
	refill(s, t->now_ms);
	if (s->spent + RETRY_COST > RETRY_BUDGET)
		return -1;
	s->spent += RETRY_COST;
	return (int64_t)pause;
}
