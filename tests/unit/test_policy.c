/* test_policy.c: who may ask what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/policy.h"

static bool may(uid_t agent, uid_t uid, enum proto_op op)
{
	struct policy p = { .agent_uid = agent };
	struct policy_peer peer = { .uid = uid };

	return policy_decide(&p, &peer, op, "acme").allow;
}

static void root_may_everything(void **state)
{
	int op;

	(void)state;
	for (op = 0; op < PROTO_OPS; op++)
		assert_true(may(990, 0, (enum proto_op)op));
}

static void the_agents_user_may_all_but_trust(void **state)
{
	int op;

	(void)state;
	for (op = 0; op < PROTO_OPS; op++)
		assert_int_equal(may(990, 990, (enum proto_op)op), op != PROTO_OP_TRUST);
}

static void everybody_else_may_only_say_hello(void **state)
{
	int op;

	(void)state;
	for (op = 0; op < PROTO_OPS; op++)
		assert_int_equal(may(990, 1000, (enum proto_op)op), op == PROTO_OP_HELLO);
}

static void nobody_matches_nothing_even_if_the_agent_runs_so(void **state)
{
	int op;

	(void)state;
	for (op = 0; op < PROTO_OPS; op++)
		assert_int_equal(may(POLICY_UID_NOBODY, POLICY_UID_NOBODY, (enum proto_op)op),
				 op == PROTO_OP_HELLO);
}

static void a_unit_name_alone_opens_nothing(void **state)
{
	struct policy p = { .agent_uid = 990 };
	struct policy_peer peer = { .uid = 1000, .unit = "coffer@acme.service" };

	(void)state;
	assert_false(policy_decide(&p, &peer, PROTO_OP_UNLOCK, "acme").allow);
	assert_false(policy_admits(&p, &peer));
}

static void only_root_and_the_agents_user_are_admitted(void **state)
{
	struct policy p = { .agent_uid = 990 };
	struct policy_peer peer = { .uid = 0 };

	(void)state;
	assert_true(policy_admits(&p, &peer));
	peer.uid = 990;
	assert_true(policy_admits(&p, &peer));
	peer.uid = 991;
	assert_false(policy_admits(&p, &peer));
	peer.uid = POLICY_UID_NOBODY;
	assert_false(policy_admits(&p, &peer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_may_everything),
		cmocka_unit_test(the_agents_user_may_all_but_trust),
		cmocka_unit_test(everybody_else_may_only_say_hello),
		cmocka_unit_test(nobody_matches_nothing_even_if_the_agent_runs_so),
		cmocka_unit_test(a_unit_name_alone_opens_nothing),
		cmocka_unit_test(only_root_and_the_agents_user_are_admitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
