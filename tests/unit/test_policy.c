/* test_policy.c: who may ask what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/policy.h"
#include "agent/tenant_conf.h"

#define AGENT 990
#define ACME 1001
#define ADMIN 1002
#define OTHER 1003

static const uint8_t uuid_a[UUID_LEN] = { 0xaa, 1 }, uuid_b[UUID_LEN] = { 0xbb, 2 };

static int user_find(void *ctx, const char *name, uid_t *ret_uid)
{
	(void)ctx;
	(void)name;
	*ret_uid = ACME;
	return 0;
}

static int volume_find(void *ctx, const char *name, uint8_t ret_uuid[static UUID_LEN])
{
	(void)ctx;
	(void)name;
	memcpy(ret_uuid, uuid_a, UUID_LEN);
	return 0;
}

static void add(struct tenants *ts, const char *name, const char *text)
{
	const struct tenant_lookup look = { .user = user_find, .volume = volume_find, .units = true };
	struct tenant *t = NULL;
	struct ini_error e;

	assert_int_equal(tenant_conf_parse(name, text, strlen(text), &look, &t, &e), 0);
	assert_int_equal(tenants_add(ts, &t), 0);
}

/* acme: its user in one unit may use, an operator may administer; bare: a file without rules; other: one volume only. */
static int setup(void **state)
{
	struct tenants *ts;

	assert_int_equal(tenants_default(&ts), 0);
	add(ts, "acme", "[allow]\nuser=acme\nunit=coffer@acme.service\noperations=unlock\n"
			"[allow 2]\nuser=1002\noperations=admin\n");
	add(ts, "bare", "[tenant]\nprobe=30s\n");
	add(ts, "other", "[allow]\nuser=1003\nvolumes=db\noperations=unlock,admin\n");
	add(ts, "sealed", "[allow]\nuser=1011\noperations=seal\n[allow 2]\nuser=1012\noperations=unseal\n[allow 3]\nuser=1013\nvolumes=db\noperations=unseal\n");
	add(ts, "read", "[allow]\nuser=1021\noperations=audit\n[allow 2]\nuser=1022\nvolumes=db\noperations=audit\n[allow 3]\nuser=1023\noperations=unlock,seal,unseal,rotate\n");
	add(ts, "root", "[allow]\nuser=0\nunit=coffer@root.service\noperations=unlock\n");
	*state = ts;
	return 0;
}

static int teardown(void **state)
{
	tenants_unref(*state);
	return 0;
}

static bool may(const struct tenants *ts, uid_t uid, const char *unit, enum proto_op op, const char *tenant,
		const uint8_t *uuid)
{
	const struct policy p = { .agent_uid = AGENT };
	const struct policy_peer peer = { .uid = uid, .unit = unit };
	const struct policy_object about = { .tenant = tenant, .uuid = uuid };

	return policy_decide(&p, ts, &peer, op, &about).allow;
}

static bool admits(const struct tenants *ts, uid_t uid, const char *unit)
{
	const struct policy p = { .agent_uid = AGENT };
	const struct policy_peer peer = { .uid = uid, .unit = unit };

	return policy_admits(&p, ts, &peer);
}

static void a_tenant_without_rules_is_served_to_root(void **state)
{
	static const char *const names[] = { "nofile", "bare" };
	int op;
	size_t i;

	for (i = 0; i < 2; i++) {
		for (op = 0; op < PROTO_OPS; op++) {
			assert_true(may(*state, 0, NULL, (enum proto_op)op, names[i], uuid_a));
			assert_int_equal(may(*state, AGENT, NULL, (enum proto_op)op, names[i], uuid_a), op != PROTO_OP_TRUST && op != PROTO_OP_RECOVER);
			assert_int_equal(may(*state, OTHER, NULL, (enum proto_op)op, names[i], uuid_a), op == PROTO_OP_HELLO);
			assert_int_equal(may(*state, ACME, "coffer@acme.service", (enum proto_op)op, names[i], uuid_a),
					 op == PROTO_OP_HELLO);
		}
	}
}

/* Per op: who may ask it about acme. Letters: u the user in its unit, U elsewhere, a the operator, r root, s the agent's user, o another tenant's. */
static void the_table(void **state)
{
	static const struct {
		enum proto_op op;
		const char *who;
	} rows[] = {
		{ PROTO_OP_HELLO, "uUarso" }, { PROTO_OP_INIT, "ars" },   { PROTO_OP_PIN, "ars" },
		{ PROTO_OP_UNLOCK, "u" },     { PROTO_OP_ACK, "uars" },   { PROTO_OP_TRUST, "ar" },
		{ PROTO_OP_REGISTER, "u" },   { PROTO_OP_EVENT, "u" },    { PROTO_OP_STATUS, "uars" },
		{ PROTO_OP_SYNC, "uars" },    { PROTO_OP_FREEZE, "ars" }, { PROTO_OP_THAW, "ars" },
		{ PROTO_OP_LOCK, "ars" },     { PROTO_OP_UNLOCK_TENANT, "ars" },
		{ PROTO_OP_KEYS, "ars" },
		{ PROTO_OP_RECOVER, "r" },    { PROTO_OP_SEAL, "" },      { PROTO_OP_UNSEAL, "" },
		{ PROTO_OP_DONE, "ars" },     { PROTO_OP_AUDIT, "ars" },
		{ PROTO_OP_BACKUP_SIGN, "ars" }, { PROTO_OP_BACKUP_TAG, "ars" },
	};
	static const struct {
		char letter;
		uid_t uid;
		const char *unit;
	} peers[] = {
		{ 'u', ACME, "coffer@acme.service" }, { 'U', ACME, "coffer@acme.services" }, { 'U', ACME, "user@1001.service" },
		{ 'U', ACME, NULL },                  { 'U', ACME, "" },                     { 'a', ADMIN, NULL },
		{ 'a', ADMIN, "ssh.service" },        { 'r', 0, NULL },                      { 'r', 0, "coffer@acme.service" },
		{ 's', AGENT, NULL },                 { 'o', OTHER, "coffer@acme.service" }, { 'o', 4711, "coffer@acme.service" },
	};
	size_t i, j;

	assert_int_equal(sizeof(rows) / sizeof(rows[0]), PROTO_OPS);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (j = 0; j < sizeof(peers) / sizeof(peers[0]); j++) {
			if (may(*state, peers[j].uid, peers[j].unit, rows[i].op, "acme", uuid_a) !=
			    (strchr(rows[i].who, peers[j].letter) != NULL))
				fail_msg("%s for uid %d in %s", proto_op_text(rows[i].op), (int)peers[j].uid,
					 peers[j].unit ? peers[j].unit : "no unit");
		}
	}
}

static void root_is_one_peer_of_many_where_a_rule_names_it(void **state)
{
	assert_true(may(*state, 0, "coffer@root.service", PROTO_OP_UNLOCK, "root", uuid_a));
	assert_false(may(*state, 0, NULL, PROTO_OP_UNLOCK, "root", uuid_a));
	assert_true(may(*state, 0, NULL, PROTO_OP_FREEZE, "root", uuid_a));
}

/* A log is read by who may administer, or may read it; reading is not using. Rows are of a tenant, so a rule for single volumes is none. */
static void reading_the_log_is_a_right_of_its_own(void **state)
{
	assert_true(may(*state, 1021, NULL, PROTO_OP_AUDIT, "read", NULL));
	assert_false(may(*state, 1022, NULL, PROTO_OP_AUDIT, "read", NULL));
	assert_false(may(*state, 1023, NULL, PROTO_OP_AUDIT, "read", NULL));
	assert_true(may(*state, 0, NULL, PROTO_OP_AUDIT, "read", NULL));
	assert_false(may(*state, 1021, NULL, PROTO_OP_AUDIT, "acme", NULL));
	assert_false(may(*state, 1021, NULL, PROTO_OP_AUDIT, "nofile", NULL));
	assert_false(may(*state, 1021, NULL, PROTO_OP_UNLOCK, "read", uuid_a));
	assert_false(may(*state, 1021, NULL, PROTO_OP_STATUS, "read", uuid_a));
	assert_false(may(*state, 1021, NULL, PROTO_OP_LOCK, "read", NULL));
	assert_true(admits(*state, 1021, NULL));
}

static void a_rule_for_volumes_is_for_these(void **state)
{
	assert_true(may(*state, OTHER, NULL, PROTO_OP_UNLOCK, "other", uuid_a));
	assert_false(may(*state, OTHER, NULL, PROTO_OP_UNLOCK, "other", uuid_b));
	assert_false(may(*state, OTHER, NULL, PROTO_OP_UNLOCK, "other", NULL));
	assert_false(may(*state, OTHER, NULL, PROTO_OP_STATUS, "other", uuid_b));
	assert_true(may(*state, OTHER, NULL, PROTO_OP_TRUST, "other", uuid_a));
	assert_false(may(*state, OTHER, NULL, PROTO_OP_TRUST, "acme", uuid_a));
}

/* Whoever may seal need not be able to read it again; a rule for volumes is for no credential. */
static void sealing_unsealing_and_unlocking_are_three_rights(void **state)
{
	assert_true(may(*state, 1011, NULL, PROTO_OP_SEAL, "sealed", NULL));
	assert_false(may(*state, 1011, NULL, PROTO_OP_UNSEAL, "sealed", NULL));
	assert_false(may(*state, 1011, NULL, PROTO_OP_UNLOCK, "sealed", uuid_a));
	assert_true(may(*state, 1012, NULL, PROTO_OP_UNSEAL, "sealed", NULL));
	assert_false(may(*state, 1012, NULL, PROTO_OP_SEAL, "sealed", NULL));
	assert_false(may(*state, 1013, NULL, PROTO_OP_UNSEAL, "sealed", NULL));
	assert_false(may(*state, 0, NULL, PROTO_OP_UNSEAL, "sealed", NULL));
	assert_true(may(*state, 0, NULL, PROTO_OP_UNSEAL, "bare", NULL));
	assert_true(may(*state, 1012, NULL, PROTO_OP_ACK, NULL, NULL));
}

static void nobody_matches_nothing_even_if_the_agent_runs_so(void **state)
{
	const struct policy p = { .agent_uid = POLICY_UID_NOBODY };
	const struct policy_peer peer = { .uid = POLICY_UID_NOBODY, .unit = "coffer@acme.service" };
	static const char *const names[] = { NULL, "acme", "bare" };
	int op;
	size_t i;

	for (i = 0; i < 3; i++) {
		for (op = 0; op < PROTO_OPS; op++) {
			const struct policy_object about = { .tenant = names[i] };

			assert_int_equal(policy_decide(&p, *state, &peer, (enum proto_op)op, &about).allow,
					 op == PROTO_OP_HELLO);
		}
	}
	assert_false(policy_admits(&p, *state, &peer));
}

static void who_may_anything_is_admitted(void **state)
{
	assert_true(admits(*state, 0, NULL));
	assert_true(admits(*state, AGENT, NULL));
	assert_true(admits(*state, ADMIN, NULL));
	assert_true(admits(*state, OTHER, NULL));
	assert_true(admits(*state, ACME, "coffer@acme.service"));
	assert_false(admits(*state, ACME, NULL));
	assert_false(admits(*state, 4711, "coffer@acme.service"));
}

static void the_verdict_names_its_rule(void **state)
{
	const struct policy p = { .agent_uid = AGENT };
	const struct policy_object about = { .tenant = "acme", .uuid = uuid_a };
	struct policy_peer peer = { .uid = ADMIN };

	assert_string_equal(policy_decide(&p, *state, &peer, PROTO_OP_STATUS, &about).rule, "acme [allow 2]");
	peer.uid = 0;
	assert_string_equal(policy_decide(&p, *state, &peer, PROTO_OP_UNLOCK, &about).rule, "rules");
	assert_string_equal(policy_decide(&p, *state, &peer, PROTO_OP_STATUS, &about).rule, "root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tenant_without_rules_is_served_to_root),
		cmocka_unit_test(the_table),
		cmocka_unit_test(root_is_one_peer_of_many_where_a_rule_names_it),
		cmocka_unit_test(reading_the_log_is_a_right_of_its_own),
		cmocka_unit_test(a_rule_for_volumes_is_for_these),
		cmocka_unit_test(sealing_unsealing_and_unlocking_are_three_rights),
		cmocka_unit_test(nobody_matches_nothing_even_if_the_agent_runs_so),
		cmocka_unit_test(who_may_anything_is_admitted),
		cmocka_unit_test(the_verdict_names_its_rule),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
