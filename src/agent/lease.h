/* lease.h: how long a mount may go on with a key that its KMS was last asked about (DESIGN section 6, "Lease"; the table for operators is in
 * docs/operations.md). A pure machine: what happened goes in with the time it happened, what is to be done comes out. All timers are here.
 *
 * A lease looks at every key slot of the volume that this host pinned ("slot" below is its index among them). Slots are asked in their order until one gives the
 * key; a later one is asked only while those before it give no answer, or while it has refused and that wants confirming. Each keeps its own clocks, so that a
 * key in one KMS cannot hide for longer than max-stale that another KMS is out of reach; then only an answer of that one unlocks.
 *
 * Times are milliseconds of CLOCK_BOOTTIME: a suspended machine counts. No locks: the agent's loop owns every lease. */
#ifndef COFFER_AGENT_LEASE_H
#define COFFER_AGENT_LEASE_H

#include "kms/kms.h"

#include <stdbool.h>
#include <stdint.h>

/* [tenant] of tenants.d/NAME.conf: probe=, confirm=, max-stale=, max-auth=, agent-grace=, auto-unlock=. */
struct lease_conf {
	uint64_t probe_ms;       /* between two real unwraps while all is well, +-10 % */
	unsigned confirm_count;  /* refusals (DENIED) that lock, … */
	uint64_t confirm_ms;     /* … over at least this long */
	uint64_t max_stale_ms;   /* without any answer */
	uint64_t max_auth_ms;    /* while our own credential is refused */
	uint64_t agent_grace_ms; /* without an agent, counted by the mount */
	bool auto_unlock;        /* a good answer unlocks, unless an operator locked */
};

#define LEASE_CONF_DEFAULT                                                                                            \
	{                                                                                                             \
		.probe_ms = 60000, .confirm_count = 3, .confirm_ms = 20000, .max_stale_ms = 24ull * 3600 * 1000,      \
		.max_auth_ms = 3600ull * 1000, .agent_grace_ms = 15ull * 60 * 1000, .auto_unlock = true,              \
	}

#define LEASE_SLOTS_MAX 16      /* SLOTS_MAX of a volume */
#define LEASE_SUSPECT_MS 5000   /* between probes while a refusal wants confirming */
#define LEASE_STALE_MS 10000    /* … while there is no answer */
#define LEASE_SPREAD_MS 5000    /* the first probes of mounts that come back together lie within this */

enum lease_state { LEASE_ACTIVE, LEASE_STALE, LEASE_SUSPECT, LEASE_LOCKED, LEASE_STATES };

/* What the caller does now; more than one may be set. */
enum lease_action {
	LEASE_PROBE = 1,   /* ask the KMS: lease_asks, then lease_answer for each that was asked, then lease_probed */
	LEASE_LOCK = 2,    /* the mount must lock */
	LEASE_UNLOCK = 4,  /* the mount may have its key again; lease_unlocked says how it went */
};

/* Clocks of one slot; 0: not running. */
struct lease_slot {
	bool asked;                /* in the probe under way */
	enum kms_class class;      /* the last answer, KMS_OK when good or never asked */
	uint64_t bad_ms;           /* since when there was no good answer */
	uint64_t auth_ms;          /* since when our credential was refused, by a definite answer */
	uint64_t denied_ms;        /* the first of the refusals */
	unsigned denials;
	bool revoked;
};

struct lease {
	enum lease_state state;
	uint64_t since_ms;         /* when it became so */
	enum kms_class class;      /* why: of the slot that decides; KMS_OK: an operator, the agent's absence, or all is well */
	unsigned nslots;
	struct lease_slot slot[LEASE_SLOTS_MAX];
	bool operator_locked;
	bool wanted;               /* an operator asked to unlock: auto-unlock=no does not hold it back */
	bool probing, unlocking;
	uint64_t probe_at_ms;
};

/* A mount has registered. locked: it is locked already (it locked itself, or the agent before us had it lock). fresh: its key was unwrapped just now, so that the
 * first probe has time; else it is due within LEASE_SPREAD_MS. operator_locked: somebody's `coffer lock` stands. rnd: any random number. Returns actions. */
unsigned lease_begin(struct lease *l, const struct lease_conf *conf, uint64_t now_ms, unsigned nslots, bool locked, bool fresh,
		     bool operator_locked, uint32_t rnd) must_check;

/* Whatever time brings. Call at lease_next_ms, or more often. Returns actions. */
unsigned lease_tick(struct lease *l, const struct lease_conf *conf, uint64_t now_ms) must_check;
uint64_t lease_next_ms(const struct lease *l, const struct lease_conf *conf);

/* Of the probe under way, in the order of the slots: is this one asked? had_good: one before it gave the key. */
bool lease_asks(const struct lease *l, unsigned slot, bool had_good);
void lease_answer(struct lease *l, uint64_t now_ms, unsigned slot, enum kms_class class);
/* The probe is over. rnd: any random number. Returns actions. */
unsigned lease_probed(struct lease *l, const struct lease_conf *conf, uint64_t now_ms, uint32_t rnd) must_check;

/* Ask soon, whatever the timers say: the real-time clock jumped, as after a suspended machine. */
void lease_probe_now(struct lease *l, uint64_t now_ms);
/* An operator locks, or takes that back; the latter never overrides the KMS: it asks it. Returns actions. */
unsigned lease_operator_lock(struct lease *l, uint64_t now_ms) must_check;
void lease_operator_unlock(struct lease *l, uint64_t now_ms);
/* The mount has, or has not, its key again. Returns actions. */
unsigned lease_unlocked(struct lease *l, const struct lease_conf *conf, uint64_t now_ms, bool ok) must_check;
/* The mount is asked to open before a probe said that it may: an operator does not wait for the next one. Whether it gets its key is asked of lease_may_open, with the
 * answers of that unwrap in. */
void lease_opening(struct lease *l);
bool lease_may_open(const struct lease *l, const struct lease_conf *conf, uint64_t now_ms);

/* When it locks if nothing gets better; 0: it does not, or is locked. */
uint64_t lease_locks_at_ms(const struct lease *l, const struct lease_conf *conf);
const char *lease_state_text(enum lease_state s);

#endif
