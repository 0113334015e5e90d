/* lease.c: the machine of lease.h. Nothing is decided by the order in which things come in: each slot has its clocks, and the state follows from the clocks and the time.
 *
 *	revoked                                         LOCKED   a definite answer
 *	denials >= confirm_count, over confirm_ms       LOCKED   a definite answer, given often enough
 *	now >= bad + max_stale                          LOCKED   nobody answered for too long
 *	now >= auth + max_auth                          LOCKED   deleting our credential is a refusal too
 *	some denials                                    SUSPECT
 *	bad                                             STALE
 *
 * Only a good answer stops a clock. So whoever sits on the wire, or answers nonsense now and then, cannot hold a lock off: an outage between two refusals does not
 * start the count anew, and one in the middle of max-auth lets that clock run on. What that costs: a short refusal right before a long outage locks by the
 * shorter of the two limits. The worst slot decides for the mount. */
#include "agent/lease.h"

#include <string.h>

static const char *const states[LEASE_STATES] = { "ACTIVE", "STALE", "SUSPECT", "LOCKED" };

const char *lease_state_text(enum lease_state s)
{
	return s < LEASE_STATES ? states[s] : "?";
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Never the past's end: sums of configured times stay far below. */
static uint64_t end_of(uint64_t from, uint64_t ms)
{
	return from > UINT64_MAX - ms ? UINT64_MAX : from + ms;
}

/* --- one slot --- */

/* When it locks by itself; UINT64_MAX: never. A refusal wants confirming, so it has no such time. */
static uint64_t slot_locks_at(const struct lease_slot *s, const struct lease_conf *conf)
{
	uint64_t at = UINT64_MAX;

	if (s->bad_ms)
		at = end_of(s->bad_ms, conf->max_stale_ms);
	if (s->auth_ms)
		at = least(at, end_of(s->auth_ms, conf->max_auth_ms));
	return at;
}

static bool slot_confirmed(const struct lease_slot *s, const struct lease_conf *conf, uint64_t now)
{
	return s->denials > 0 && s->denials >= conf->confirm_count && now - s->denied_ms >= conf->confirm_ms;
}

static enum lease_state slot_state(const struct lease_slot *s, const struct lease_conf *conf, uint64_t now)
{
	if (s->revoked || now >= slot_locks_at(s, conf))
		return LEASE_LOCKED;
	if (s->denials > 0)
		return LEASE_SUSPECT;
	return s->bad_ms ? LEASE_STALE : LEASE_ACTIVE;
}

static void slot_good(struct lease_slot *s)
{
	bool asked = s->asked;

	memset(s, 0, sizeof(*s));
	s->asked = asked;
}

void lease_answer(struct lease *l, uint64_t now_ms, unsigned slot, enum kms_class class)
{
	struct lease_slot *s;

	if (slot >= l->nslots)
		return;
	s = &l->slot[slot];
	s->asked = true;
	if (class == KMS_OK) {
		slot_good(s);
		return;
	}
	s->class = class;
	if (!s->bad_ms)
		s->bad_ms = now_ms;
	if (class == KMS_AUTH && !s->auth_ms)
		s->auth_ms = now_ms;
	s->revoked = s->revoked || class == KMS_REVOKED;
	if (class != KMS_DENIED)
		return;
	if (s->denials++ == 0)
		s->denied_ms = now_ms;
}

/* --- all of them --- */

static void state_set(struct lease *l, enum lease_state state, enum kms_class class, uint64_t now)
{
	if (l->state != state)
		l->since_ms = now;
	l->state = state;
	l->class = class;
}

/* The worst slot, and why. */
static enum lease_state worst(const struct lease *l, const struct lease_conf *conf, uint64_t now, enum kms_class *ret_class)
{
	enum lease_state state, all = LEASE_ACTIVE;

	*ret_class = KMS_OK;
	for (unsigned i = 0; i < l->nslots; i++) {
		state = slot_state(&l->slot[i], conf, now);
		if (state <= all)
			continue;
		all = state;
		*ret_class = l->slot[i].class;
	}
	return all;
}

/* Refusals become a lock only with an answer: confirmed ones are marked as they come. */
static void confirm(struct lease *l, const struct lease_conf *conf, uint64_t now)
{
	for (unsigned i = 0; i < l->nslots; i++)
		if (l->slot[i].asked && l->slot[i].class == KMS_DENIED && slot_confirmed(&l->slot[i], conf, now))
			l->slot[i].revoked = true;
}

static unsigned settle(struct lease *l, const struct lease_conf *conf, uint64_t now)
{
	enum kms_class class;
	enum lease_state state;

	if (l->state == LEASE_LOCKED)
		return 0;
	state = worst(l, conf, now, &class);
	state_set(l, state, class, now);
	return state == LEASE_LOCKED ? LEASE_LOCK : 0;
}

static void schedule(struct lease *l, const struct lease_conf *conf, uint64_t now, uint32_t rnd)
{
	uint64_t ms = conf->probe_ms;

	if (l->state == LEASE_STALE)
		ms = least(ms, LEASE_STALE_MS);
	else if (l->state == LEASE_SUSPECT)
		ms = least(ms, LEASE_SUSPECT_MS);
	if (l->state != LEASE_SUSPECT) /* confirm= counts on the others' punctuality */
		ms = ms - ms / 10 + (ms / 5 ? rnd % (ms / 5) : 0);
	l->probe_at_ms = end_of(now, ms);
}

unsigned lease_begin(struct lease *l, const struct lease_conf *conf, uint64_t now_ms, unsigned nslots, bool locked, bool fresh,
		     bool operator_locked, uint32_t rnd)
{
	memset(l, 0, sizeof(*l));
	l->nslots = nslots < LEASE_SLOTS_MAX ? nslots : LEASE_SLOTS_MAX;
	l->since_ms = now_ms;
	l->operator_locked = operator_locked;
	l->state = locked || operator_locked ? LEASE_LOCKED : LEASE_ACTIVE;
	if (fresh && !locked)
		schedule(l, conf, now_ms, rnd);
	else
		l->probe_at_ms = now_ms + rnd % LEASE_SPREAD_MS;
	return operator_locked && !locked ? LEASE_LOCK : 0;
}

static bool probe_due(const struct lease *l, uint64_t now)
{
	return !l->probing && !l->unlocking && !l->operator_locked && now >= l->probe_at_ms;
}

unsigned lease_tick(struct lease *l, const struct lease_conf *conf, uint64_t now_ms)
{
	unsigned actions = settle(l, conf, now_ms);

	if (probe_due(l, now_ms)) {
		l->probing = true;
		for (unsigned i = 0; i < l->nslots; i++)
			l->slot[i].asked = false;
		actions |= LEASE_PROBE;
	}
	return actions;
}

uint64_t lease_next_ms(const struct lease *l, const struct lease_conf *conf)
{
	uint64_t at = l->probing || l->unlocking || l->operator_locked ? UINT64_MAX : l->probe_at_ms;

	for (unsigned i = 0; i < l->nslots && l->state != LEASE_LOCKED; i++)
		at = least(at, slot_locks_at(&l->slot[i], conf));
	return at;
}

bool lease_asks(const struct lease *l, unsigned slot, bool had_good)
{
	if (slot >= l->nslots)
		return false;
	return !had_good || l->slot[slot].denials > 0 || l->slot[slot].revoked;
}

/* Did a slot give the key, and none refuse? What gave it makes the outage of the slots behind it, which were not asked any more, a matter of the past: nobody
 * depends on them. */
static bool take_good(struct lease *l)
{
	bool good = false, refused = false;

	for (unsigned i = 0; i < l->nslots; i++) {
		struct lease_slot *s = &l->slot[i];

		if (good && !s->asked)
			slot_good(s);
		good = good || (s->asked && s->class == KMS_OK);
		refused = refused || (s->asked && (s->class == KMS_DENIED || s->class == KMS_REVOKED));
	}
	return good && !refused;
}

unsigned lease_probed(struct lease *l, const struct lease_conf *conf, uint64_t now_ms, uint32_t rnd)
{
	enum kms_class class;
	unsigned actions = 0;
	bool good;

	l->probing = false;
	good = take_good(l);
	confirm(l, conf, now_ms);
	if (l->state != LEASE_LOCKED) {
		actions = settle(l, conf, now_ms);
	} else if (good && worst(l, conf, now_ms, &class) != LEASE_LOCKED && !l->operator_locked && !l->unlocking && (conf->auto_unlock || l->wanted)) {
		l->unlocking = true;
		actions = LEASE_UNLOCK;
	}
	schedule(l, conf, now_ms, rnd);
	return actions;
}

void lease_probe_now(struct lease *l, uint64_t now_ms)
{
	l->probe_at_ms = least(l->probe_at_ms, now_ms);
}

unsigned lease_operator_lock(struct lease *l, uint64_t now_ms)
{
	bool was = l->state == LEASE_LOCKED && !l->unlocking;

	l->operator_locked = true;
	l->wanted = false;
	l->unlocking = false;
	state_set(l, LEASE_LOCKED, KMS_OK, now_ms);
	return was ? 0 : LEASE_LOCK;
}

void lease_operator_unlock(struct lease *l, uint64_t now_ms)
{
	l->operator_locked = false;
	l->wanted = l->state == LEASE_LOCKED;
	lease_probe_now(l, now_ms);
}

void lease_opening(struct lease *l)
{
	l->unlocking = l->state == LEASE_LOCKED && !l->operator_locked;
}

bool lease_may_open(const struct lease *l, const struct lease_conf *conf, uint64_t now_ms)
{
	enum kms_class class;

	return l->unlocking && !l->operator_locked && worst(l, conf, now_ms, &class) != LEASE_LOCKED;
}

unsigned lease_unlocked(struct lease *l, const struct lease_conf *conf, uint64_t now_ms, bool ok)
{
	if (!l->unlocking)
		return 0; /* locked again meanwhile */
	l->unlocking = false;
	if (!ok)
		return 0;
	l->wanted = false;
	state_set(l, LEASE_ACTIVE, KMS_OK, now_ms);
	return settle(l, conf, now_ms);
}

uint64_t lease_locks_at_ms(const struct lease *l, const struct lease_conf *conf)
{
	uint64_t at = UINT64_MAX;

	if (l->state == LEASE_LOCKED)
		return 0;
	for (unsigned i = 0; i < l->nslots; i++)
		at = least(at, slot_locks_at(&l->slot[i], conf));
	return at == UINT64_MAX ? 0 : at;
}
