/* test_lease.c: each row of the lease table (docs/operations.md), its boundaries to the millisecond, what comes in an odd order, and what must hold whatever comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/lease.h"

#define T0 1000000ull

static struct lease_conf conf;
static struct lease l;

static int setup(void **state)
{
	(void)state;
	conf = (struct lease_conf)LEASE_CONF_DEFAULT;
	assert_int_equal(lease_begin(&l, &conf, T0, 1, false, true, false, 0), 0);
	return 0;
}

/* What a probe at now asks is answered by class[slot]; returns the actions. */
static unsigned probe_slots(uint64_t now, const enum kms_class *class)
{
	unsigned tick;
	bool good = false;

	lease_probe_now(&l, now);
	tick = lease_tick(&l, &conf, now);
	assert_true(tick & LEASE_PROBE);
	for (unsigned i = 0; i < l.nslots; i++) {
		if (!lease_asks(&l, i, good))
			continue;
		lease_answer(&l, now, i, class[i]);
		good = good || class[i] == KMS_OK;
	}
	return (tick & ~(unsigned)LEASE_PROBE) | lease_probed(&l, &conf, now, 0);
}

static unsigned probe(uint64_t now, enum kms_class class)
{
	return probe_slots(now, &class);
}

/* --- the rows of the table --- */

static void all_is_well_while_answers_are_good(void **state)
{
	(void)state;
	for (uint64_t t = T0; t < T0 + 10 * 60000; t += 60000) {
		assert_int_equal(probe(t, KMS_OK), 0);
		assert_int_equal(l.state, LEASE_ACTIVE);
		assert_int_equal(lease_locks_at_ms(&l, &conf), 0);
	}
	assert_int_equal(l.since_ms, T0);
}

static void probes_are_ten_percent_around_their_time(void **state)
{
	(void)state;
	for (uint32_t rnd = 0; rnd < 200000; rnd += 777) {
		assert_int_equal(lease_begin(&l, &conf, T0, 1, false, true, false, rnd), 0);
		assert_in_range(l.probe_at_ms, T0 + 54000, T0 + 66000);
		assert_int_equal(lease_tick(&l, &conf, l.probe_at_ms - 1), 0);
		assert_int_equal(lease_tick(&l, &conf, l.probe_at_ms), LEASE_PROBE);
		assert_int_equal(lease_tick(&l, &conf, l.probe_at_ms + 99999), 0); /* one at a time */
	}
}

static void revoked_locks_at_once(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_REVOKED), LEASE_LOCK);
	assert_int_equal(l.state, LEASE_LOCKED);
	assert_int_equal(l.class, KMS_REVOKED);
	assert_int_equal(lease_tick(&l, &conf, T0 + 1), 0); /* told once */
}

static void denied_is_suspect_until_confirmed(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_DENIED), 0);
	assert_int_equal(l.state, LEASE_SUSPECT);
	assert_int_equal(l.probe_at_ms, T0 + 5000);
	assert_int_equal(probe(T0 + 5000, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 10000, KMS_DENIED), 0); /* three, but not over 20 s */
	assert_int_equal(probe(T0 + 19999, KMS_DENIED), 0);
	assert_int_equal(l.state, LEASE_SUSPECT);
	assert_int_equal(probe(T0 + 20000, KMS_DENIED), LEASE_LOCK);
	assert_int_equal(l.class, KMS_DENIED);
}

static void two_refusals_do_not_lock_however_far_apart(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 60000, KMS_DENIED), 0);
	assert_int_equal(lease_tick(&l, &conf, T0 + 80000) & LEASE_LOCK, 0);
	assert_int_equal(l.state, LEASE_SUSPECT);
}

static void confirm_of_one_locks_with_the_first_refusal(void **state)
{
	(void)state;
	conf.confirm_count = 1;
	conf.confirm_ms = 0;
	assert_int_equal(probe(T0, KMS_DENIED), LEASE_LOCK);
}

static void a_good_answer_clears_suspicion(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 5000, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 10000, KMS_OK), 0);
	assert_int_equal(l.state, LEASE_ACTIVE);
	assert_int_equal(probe(T0 + 20000, KMS_DENIED), 0); /* counted anew */
	assert_int_equal(l.state, LEASE_SUSPECT);
}

static void without_answers_it_is_stale_until_max_stale(void **state)
{
	static const enum kms_class classes[] = { KMS_TRANSIENT, KMS_THROTTLED, KMS_CORRUPT, KMS_BADREQ, KMS_CONFIG };

	(void)state;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		assert_int_equal(lease_begin(&l, &conf, T0, 1, false, true, false, 0), 0);
		assert_int_equal(probe(T0, classes[i]), 0);
		assert_int_equal(l.state, LEASE_STALE);
		assert_int_equal(l.class, classes[i]);
		assert_in_range(l.probe_at_ms, T0 + 9000, T0 + 11000);
		assert_int_equal(lease_locks_at_ms(&l, &conf), T0 + conf.max_stale_ms);
		assert_int_equal(probe(T0 + conf.max_stale_ms - 1, classes[i]), 0);
		assert_int_equal(lease_tick(&l, &conf, T0 + conf.max_stale_ms), LEASE_LOCK);
	}
}

static void max_stale_locks_without_another_answer(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_TRANSIENT), 0);
	assert_int_equal(lease_tick(&l, &conf, T0 + 20000), LEASE_PROBE); /* and that one hangs */
	assert_int_equal(lease_next_ms(&l, &conf), T0 + conf.max_stale_ms);
	assert_int_equal(lease_tick(&l, &conf, T0 + conf.max_stale_ms), LEASE_LOCK);
}

static void our_own_credential_refused_locks_after_max_auth(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_AUTH), 0);
	assert_int_equal(l.state, LEASE_STALE);
	assert_int_equal(l.class, KMS_AUTH);
	assert_int_equal(lease_locks_at_ms(&l, &conf), T0 + conf.max_auth_ms);
	assert_int_equal(probe(T0 + conf.max_auth_ms - 1, KMS_AUTH), 0);
	assert_int_equal(lease_tick(&l, &conf, T0 + conf.max_auth_ms), LEASE_LOCK);
}

static void locked_unlocks_with_a_good_answer(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_REVOKED), LEASE_LOCK);
	assert_int_equal(probe(T0 + 60000, KMS_TRANSIENT), 0);
	assert_int_equal(probe(T0 + 120000, KMS_OK), LEASE_UNLOCK);
	assert_int_equal(l.state, LEASE_LOCKED); /* until the mount says so */
	assert_int_equal(lease_tick(&l, &conf, T0 + 999999), 0);
	(void)!lease_unlocked(&l, &conf, T0 + 121000, true);
	assert_int_equal(l.state, LEASE_ACTIVE);
	assert_int_equal(l.since_ms, T0 + 121000);
}

static void a_mount_that_did_not_unlock_is_tried_again(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_REVOKED), LEASE_LOCK);
	assert_int_equal(probe(T0 + 60000, KMS_OK), LEASE_UNLOCK);
	(void)!lease_unlocked(&l, &conf, T0 + 61000, false);
	assert_int_equal(l.state, LEASE_LOCKED);
	assert_int_equal(probe(T0 + 120000, KMS_OK), LEASE_UNLOCK);
}

static void without_auto_unlock_an_operator_is_asked(void **state)
{
	(void)state;
	conf.auto_unlock = false;
	assert_int_equal(probe(T0, KMS_REVOKED), LEASE_LOCK);
	assert_int_equal(probe(T0 + 60000, KMS_OK), 0);
	lease_operator_unlock(&l, T0 + 70000);
	assert_int_equal(probe(T0 + 70000, KMS_OK), LEASE_UNLOCK);
	(void)!lease_unlocked(&l, &conf, T0 + 70001, true);
	assert_int_equal(l.state, LEASE_ACTIVE);
}

/* --- operators --- */

static void an_operators_lock_is_undone_by_an_operator_alone(void **state)
{
	(void)state;
	assert_int_equal(lease_operator_lock(&l, T0), LEASE_LOCK);
	assert_int_equal(lease_operator_lock(&l, T0 + 1), 0);
	assert_int_equal(l.state, LEASE_LOCKED);
	lease_probe_now(&l, T0 + 5);
	assert_int_equal(lease_tick(&l, &conf, T0 + 1000000), 0); /* nobody asks the KMS meanwhile */
	assert_int_equal(lease_next_ms(&l, &conf), UINT64_MAX);
	lease_operator_unlock(&l, T0 + 1000000);
	assert_int_equal(probe(T0 + 1000000, KMS_OK), LEASE_UNLOCK);
}

static void an_answer_under_way_does_not_undo_an_operators_lock(void **state)
{
	(void)state;
	lease_probe_now(&l, T0);
	assert_int_equal(lease_tick(&l, &conf, T0), LEASE_PROBE);
	assert_int_equal(lease_operator_lock(&l, T0 + 1), LEASE_LOCK);
	lease_answer(&l, T0 + 2, 0, KMS_OK);
	assert_int_equal(lease_probed(&l, &conf, T0 + 2, 0), 0);
	assert_int_equal(l.state, LEASE_LOCKED);
	/* nor does a mount that was about to unlock */
	lease_operator_unlock(&l, T0 + 3);
	assert_int_equal(probe(T0 + 4, KMS_OK), LEASE_UNLOCK);
	assert_int_equal(lease_operator_lock(&l, T0 + 5), LEASE_LOCK);
	(void)!lease_unlocked(&l, &conf, T0 + 6, true);
	assert_int_equal(l.state, LEASE_LOCKED);
}

static void an_operator_who_unlocks_during_a_probe_asks_the_mount_once(void **state)
{
	(void)state;
	conf.auto_unlock = false;
	assert_int_equal(probe(T0, KMS_REVOKED), LEASE_LOCK);
	lease_probe_now(&l, T0 + 10);
	assert_int_equal(lease_tick(&l, &conf, T0 + 10), LEASE_PROBE);
	lease_operator_unlock(&l, T0 + 11);
	lease_opening(&l); /* the event is on its way */
	lease_answer(&l, T0 + 12, 0, KMS_OK);
	assert_int_equal(lease_probed(&l, &conf, T0 + 12, 0), 0);
	assert_int_equal(lease_unlocked(&l, &conf, T0 + 13, true), 0);
	assert_int_equal(l.state, LEASE_ACTIVE);
}

static void an_operators_unlock_does_not_override_the_kms(void **state)
{
	(void)state;
	assert_int_equal(lease_operator_lock(&l, T0), LEASE_LOCK);
	lease_operator_unlock(&l, T0 + 1);
	assert_int_equal(probe(T0 + 1, KMS_REVOKED), 0);
	assert_int_equal(l.state, LEASE_LOCKED);
	assert_int_equal(probe(T0 + 60000, KMS_OK), LEASE_UNLOCK); /* what was asked for still stands */
}

/* --- what comes in an odd order --- */

static void an_outage_between_refusals_does_not_start_the_count_anew(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 5000, KMS_TRANSIENT), 0);
	assert_int_equal(l.state, LEASE_SUSPECT);
	assert_int_equal(probe(T0 + 10000, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 20000, KMS_TRANSIENT), 0);
	assert_int_equal(probe(T0 + 25000, KMS_DENIED), LEASE_LOCK);
}

static void a_refusal_is_not_confirmed_by_silence(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 5000, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 10000, KMS_DENIED), 0);
	assert_int_equal(probe(T0 + 30000, KMS_TRANSIENT), 0);
	assert_int_equal(l.state, LEASE_SUSPECT);
	assert_int_equal(lease_tick(&l, &conf, T0 + conf.max_stale_ms) & LEASE_LOCK, LEASE_LOCK); /* but that has its end, too */
}

static void an_outage_does_not_stop_the_clock_of_our_credential(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_AUTH), 0);
	assert_int_equal(probe(T0 + 60000, KMS_TRANSIENT), 0);
	assert_int_equal(lease_locks_at_ms(&l, &conf), T0 + conf.max_auth_ms);
	assert_int_equal(lease_tick(&l, &conf, T0 + conf.max_auth_ms) & LEASE_LOCK, LEASE_LOCK);
}

static void a_suspended_machine_locks_when_it_wakes_too_late(void **state)
{
	(void)state;
	assert_int_equal(probe(T0, KMS_TRANSIENT), 0);
	assert_int_equal(lease_tick(&l, &conf, T0 + 10 * conf.max_stale_ms) & LEASE_LOCK, LEASE_LOCK);
}

static void a_clock_that_jumped_asks_at_once(void **state)
{
	(void)state;
	assert_int_equal(lease_tick(&l, &conf, T0 + 10), 0);
	lease_probe_now(&l, T0 + 10);
	assert_int_equal(lease_tick(&l, &conf, T0 + 10), LEASE_PROBE);
}

/* --- mounts that come --- */

static void mounts_that_come_back_are_asked_about_within_five_seconds(void **state)
{
	(void)state;
	for (uint32_t rnd = 0; rnd < 100000; rnd += 331) {
		assert_int_equal(lease_begin(&l, &conf, T0, 1, false, false, false, rnd), 0);
		assert_int_equal(l.state, LEASE_ACTIVE);
		assert_in_range(l.probe_at_ms, T0, T0 + LEASE_SPREAD_MS - 1);
	}
}

static void a_mount_that_comes_locked_unlocks_with_a_good_answer(void **state)
{
	(void)state;
	assert_int_equal(lease_begin(&l, &conf, T0, 1, true, false, false, 0), 0);
	assert_int_equal(l.state, LEASE_LOCKED);
	assert_int_equal(probe(T0 + 10, KMS_OK), LEASE_UNLOCK);
}

static void a_mount_under_an_operators_lock_is_told_if_it_is_not_locked(void **state)
{
	(void)state;
	assert_int_equal(lease_begin(&l, &conf, T0, 1, true, false, true, 0), 0);
	assert_int_equal(lease_begin(&l, &conf, T0, 1, false, false, true, 0), LEASE_LOCK);
	assert_int_equal(l.state, LEASE_LOCKED);
}

/* --- several slots --- */

static void slots3(void)
{
	assert_int_equal(lease_begin(&l, &conf, T0, 3, false, true, false, 0), 0);
}

static void a_later_slot_is_asked_only_while_the_ones_before_are_silent(void **state)
{
	(void)state;
	slots3();
	assert_true(lease_asks(&l, 0, false));
	assert_false(lease_asks(&l, 1, true));
	assert_true(lease_asks(&l, 1, false));
	assert_false(lease_asks(&l, 3, false));
}

static void another_slot_serves_an_outage_but_no_longer_than_max_stale(void **state)
{
	const enum kms_class out[] = { KMS_TRANSIENT, KMS_OK, KMS_REVOKED }, back[] = { KMS_OK, KMS_OK, KMS_OK };

	(void)state;
	slots3();
	assert_int_equal(probe_slots(T0, out), 0);
	assert_int_equal(l.state, LEASE_STALE);
	assert_int_equal(probe_slots(T0 + conf.max_stale_ms - 1, out), 0);
	assert_int_equal(lease_tick(&l, &conf, T0 + conf.max_stale_ms), LEASE_LOCK);
	assert_int_equal(probe_slots(T0 + conf.max_stale_ms + 1, out), 0); /* only an answer of the silent one unlocks */
	assert_int_equal(probe_slots(T0 + conf.max_stale_ms + 2, back), LEASE_UNLOCK);
}

static void a_refusal_of_any_slot_that_is_asked_counts(void **state)
{
	const enum kms_class second[] = { KMS_TRANSIENT, KMS_REVOKED, KMS_OK }, denied[] = { KMS_TRANSIENT, KMS_DENIED, KMS_OK };
	const enum kms_class first_back[] = { KMS_OK, KMS_DENIED, KMS_OK };

	(void)state;
	slots3();
	assert_int_equal(probe_slots(T0, second), LEASE_LOCK);
	slots3();
	assert_int_equal(probe_slots(T0, denied), 0);
	assert_int_equal(l.state, LEASE_SUSPECT);
	assert_int_equal(probe_slots(T0 + 10000, first_back), 0); /* it is still asked, though the first gives the key */
	assert_int_equal(l.state, LEASE_SUSPECT);
	assert_int_equal(probe_slots(T0 + 20000, first_back), LEASE_LOCK);
	assert_int_equal(probe_slots(T0 + 80000, first_back), 0); /* and holds the lock */
}

static void the_outage_of_a_slot_that_nobody_needs_is_forgotten(void **state)
{
	const enum kms_class out[] = { KMS_TRANSIENT, KMS_TRANSIENT, KMS_OK }, back[] = { KMS_OK, KMS_TRANSIENT, KMS_OK };

	(void)state;
	slots3();
	assert_int_equal(probe_slots(T0, out), 0);
	assert_int_equal(probe_slots(T0 + 10000, back), 0);
	assert_int_equal(l.state, LEASE_ACTIVE);
	assert_int_equal(lease_locks_at_ms(&l, &conf), 0);
}

/* --- whatever comes --- */

static uint32_t seed;

static uint32_t random_number(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

/* A model with less in it: when did each slot last give the key, when was it last asked and what of? From that follow bounds that must hold. */
static void no_order_of_events_holds_a_lock_off(void **state)
{
	(void)state;
	for (unsigned run = 0; run < 300; run++) {
		uint64_t now = T0, bad = 0, auth = 0;
		bool locked = false, op = false;

		seed = run + 1;
		assert_int_equal(lease_begin(&l, &conf, now, 1, false, true, false, random_number()), 0);
		for (unsigned i = 0; i < 400; i++) {
			unsigned actions, kind = random_number() % 16;
			enum kms_class class = (enum kms_class)(random_number() % KMS_CLASSES);

			now += random_number() % (random_number() % 8 == 0 ? 7200000u : 30000u);
			if (kind == 0) {
				actions = lease_operator_lock(&l, now);
				op = true;
			} else if (kind == 1) {
				lease_operator_unlock(&l, now);
				op = false;
				actions = 0;
			} else if (op || l.unlocking) {
				actions = lease_tick(&l, &conf, now);
				assert_int_equal(actions & LEASE_PROBE, 0);
			} else {
				actions = probe(now, class);
				if (class == KMS_OK)
					bad = auth = 0;
				else if (!bad)
					bad = now;
				if (class == KMS_AUTH && !auth)
					auth = now;
				assert_true(!(actions & LEASE_UNLOCK) || class == KMS_OK);
				if (class == KMS_REVOKED)
					assert_int_equal(l.state, LEASE_LOCKED);
			}
			locked = (locked || (actions & LEASE_LOCK)) && l.state == LEASE_LOCKED;
			if (actions & LEASE_UNLOCK && random_number() % 2) {
				(void)!lease_unlocked(&l, &conf, now, random_number() % 4 > 0);
				locked = l.state == LEASE_LOCKED;
			}
			assert_int_equal(l.state == LEASE_LOCKED, locked);
			assert_true(!op || locked);
			if (kind == 1)
				continue; /* what time has brought is seen at the next tick */
			if ((bad && now >= bad + conf.max_stale_ms) || (auth && now >= auth + conf.max_auth_ms))
				assert_int_equal(l.state, LEASE_LOCKED);
		}
	}
}

#define LEASE_TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEASE_TEST(all_is_well_while_answers_are_good),
		LEASE_TEST(probes_are_ten_percent_around_their_time),
		LEASE_TEST(revoked_locks_at_once),
		LEASE_TEST(denied_is_suspect_until_confirmed),
		LEASE_TEST(two_refusals_do_not_lock_however_far_apart),
		LEASE_TEST(confirm_of_one_locks_with_the_first_refusal),
		LEASE_TEST(a_good_answer_clears_suspicion),
		LEASE_TEST(without_answers_it_is_stale_until_max_stale),
		LEASE_TEST(max_stale_locks_without_another_answer),
		LEASE_TEST(our_own_credential_refused_locks_after_max_auth),
		LEASE_TEST(locked_unlocks_with_a_good_answer),
		LEASE_TEST(a_mount_that_did_not_unlock_is_tried_again),
		LEASE_TEST(without_auto_unlock_an_operator_is_asked),
		LEASE_TEST(an_operators_lock_is_undone_by_an_operator_alone),
		LEASE_TEST(an_answer_under_way_does_not_undo_an_operators_lock),
		LEASE_TEST(an_operator_who_unlocks_during_a_probe_asks_the_mount_once),
		LEASE_TEST(an_operators_unlock_does_not_override_the_kms),
		LEASE_TEST(an_outage_between_refusals_does_not_start_the_count_anew),
		LEASE_TEST(a_refusal_is_not_confirmed_by_silence),
		LEASE_TEST(an_outage_does_not_stop_the_clock_of_our_credential),
		LEASE_TEST(a_suspended_machine_locks_when_it_wakes_too_late),
		LEASE_TEST(a_clock_that_jumped_asks_at_once),
		LEASE_TEST(mounts_that_come_back_are_asked_about_within_five_seconds),
		LEASE_TEST(a_mount_that_comes_locked_unlocks_with_a_good_answer),
		LEASE_TEST(a_mount_under_an_operators_lock_is_told_if_it_is_not_locked),
		LEASE_TEST(a_later_slot_is_asked_only_while_the_ones_before_are_silent),
		LEASE_TEST(another_slot_serves_an_outage_but_no_longer_than_max_stale),
		LEASE_TEST(a_refusal_of_any_slot_that_is_asked_counts),
		LEASE_TEST(the_outage_of_a_slot_that_nobody_needs_is_forgotten),
		LEASE_TEST(no_order_of_events_holds_a_lock_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
