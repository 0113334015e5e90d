/* test_agent_recover.c: several keys, and recovery keys: who opens a volume when its key service is away, and that nobody does while it says no. The keys are
 * fail:file-NAME of the test build: CONFIG/keys/NAME says what is answered. */
#include "agent_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/packet.h"

static void answer(struct agent_fixture *f, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/keys/%s", f->config, name);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static struct secret *key_new(void)
{
	struct secret *s;

	assert_int_equal(secret_new(KEY_LEN, &s), 0);
	assert_int_equal(secret_random(secret_bytes(s), KEY_LEN), 0);
	return s;
}

static void a_second_key_opens_while_the_first_gives_no_answer_and_only_then(void **state)
{
	static const struct {
		const char *first;
		enum proto_class class;
		int exit_code;
	} rows[] = {
		{ "TRANSIENT", PROTO_CLASS_OK, 0 },           { "THROTTLED", PROTO_CLASS_OK, 0 },
		{ "REVOKED", PROTO_CLASS_REVOKED, 12 },       { "DENIED", PROTO_CLASS_KMS_DENIED, 12 },
		{ "AUTH", PROTO_CLASS_AUTH, 12 },             { "CORRUPT", PROTO_CLASS_CORRUPT, 7 },
		{ "CONFIG", PROTO_CLASS_CONFIG, 3 },
	};
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new2(f, "acme", "fail:file-a", "fail:file-b");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		answer(f, "a", rows[i].first);
		if (rows[i].class == PROTO_CLASS_OK)
			assert_int_equal(agent_volume_unlock(f, v), 0);
		else
			agent_volume_refused(f, v, rows[i].class, rows[i].exit_code, "fail:file-a");
	}
	answer(f, "a", "TRANSIENT");
	answer(f, "b", "REVOKED");
	agent_volume_refused(f, v, PROTO_CLASS_REVOKED, 12, "fail:file-b");
	answer(f, "a", "OK");
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void init_makes_a_slot_for_a_recovery_key_which_is_never_tried_by_itself(void **state)
{
	struct agent_fixture *f = *state;
	struct secret *key = key_new();
	struct agent_volume *v = agent_volume_new_recovery(f, "acme", "fail:file-a", NULL, key);
	struct client_keys *k = calloc(1, sizeof(*k));
	uint8_t id[RECOVERY_ID_LEN];
	char uri[64] = "recovery:";

	assert_int_equal(keys_recovery_id(key, id), 0);
	for (size_t i = 0; i < RECOVERY_ID_LEN; i++)
		(void)snprintf(uri + strlen(uri), 3, "%02x", id[i]);
	assert_int_equal(v->cfg->slot_count, 2);
	assert_string_equal(v->cfg->slots[0].kms, "fail:file-a");
	assert_string_equal(v->cfg->slots[1].kms, uri);
	assert_non_null(k);
	assert_int_equal(client_keys(f->c, &v->instance, k), 0);
	assert_int_equal(k->kms_count, 2);
	assert_string_equal(k->kms[1], uri);
	assert_string_equal(k->key_uri, "fail:file-a");
	assert_int_equal(k->config_len, v->config_len);
	assert_memory_equal(k->config, v->config, v->config_len);
	client_keys_done(k);
	v->instance.fsid++;
	assert_int_equal(client_keys(f->c, &v->instance, k), -EPERM);
	assert_int_equal(client_error(f->c)->class, PROTO_CLASS_UNTRUSTED);
	v->instance.fsid--;
	assert_int_equal(agent_fixture_audited(f, uri), 1);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	answer(f, "a", "TRANSIENT");
	agent_volume_refused(f, v, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
	free(k);
	agent_volume_free(v);
	secret_free(key);
}

static int init_with(struct agent_fixture *f, const char *tenant, const char *const *kms, size_t kms_count, const struct secret *key)
{
	struct key_slot *slots = calloc(SLOTS_MAX, sizeof(*slots));
	struct secret *root = NULL;
	uint8_t uuid[UUID_LEN];
	size_t count;
	int r;

	assert_non_null(slots);
	assert_int_equal(secret_random(uuid, UUID_LEN), 0);
	r = client_init(f->c, uuid, tenant, kms, kms_count, key, slots, &count, &root);
	secret_free(root);
	free(slots);
	return r;
}

static void a_tenant_may_forbid_recovery_keys(void **state)
{
	struct agent_fixture *f = *state;
	static const char *const kms[] = { "fail:file-a", "recovery:0011223344556677" };
	struct secret *key = key_new();

	agent_fixture_rules(f, "acme", "[tenant]\nrecovery=forbid\n");
	agent_fixture_rules(f, "silent", "[tenant]\nprobe=60s\n");
	agent_fixture_rules(f, "other", "[tenant]\nrecovery=allow\nkms=fail:file-a\n");
	agent_fixture_reload(f);
	assert_int_equal(init_with(f, "acme", kms, 1, key), -EPERM);
	assert_int_equal(client_error(f->c)->class, PROTO_CLASS_DENIED);
	assert_non_null(strstr(client_error(f->c)->message, "recovery=allow"));
	assert_int_equal(init_with(f, "silent", kms, 1, key), -EPERM);
	assert_int_equal(init_with(f, "other", kms, 1, key), 0);
	assert_int_equal(init_with(f, "acme", kms, 1, NULL), 0);
	/* A slot of a recovery key without that key cannot be wrapped. */
	assert_true(init_with(f, "other", kms, 2, NULL) < 0);
	assert_int_equal(client_error(f->c)->class, PROTO_CLASS_CONFIG);
	secret_free(key);
}

static void what_comes_beside_init_must_be_a_key_and_one_slot_must_be_free(void **state)
{
	static const char *const kms[] = { "fail:file-a", "fail:file-b", "fail:file-c", "fail:file-d", "fail:file-e", "fail:file-f", "fail:file-g", "fail:file-h" };
	struct agent_fixture *f = *state;
	struct secret *key = key_new(), *half;

	assert_int_equal(secret_new(KEY_LEN / 2, &half), 0);
	assert_int_equal(init_with(f, "acme", kms, 1, half), -EPROTO);
	assert_int_equal(client_error(f->c)->class, PROTO_CLASS_BADREQ);
	assert_int_equal(init_with(f, "acme", kms, 8, key), -EPROTO);
	assert_int_equal(init_with(f, "acme", kms, 7, key), 0);
	secret_free(half);
	secret_free(key);
}

static int recover(struct agent_fixture *f, struct agent_volume *v, const struct secret *key, bool *ret_needed)
{
	char uri[KMS_URI_MAX + 1];
	uint64_t ms = 0;
	int r = client_recover(f->c, &v->instance, key, uri, &ms);

	*ret_needed = ms > 0;
	if (r == 0)
		assert_int_equal(strncmp(uri, "recovery:", 9) == 0, ms > 0);
	return r;
}

static void recovered(struct agent_fixture *f, struct agent_volume *v, const struct secret *key)
{
	bool needed;

	assert_int_equal(recover(f, v, key, &needed), 0);
	assert_true(needed);
	assert_int_equal(agent_volume_unlock(f, v), 0);
}

static void not_recovered(struct agent_fixture *f, struct agent_volume *v, const struct secret *key, enum proto_class class)
{
	bool needed;

	assert_int_equal(recover(f, v, key, &needed), proto_class_errno(class));
	assert_int_equal(client_error(f->c)->class, class);
}

static void a_recovery_key_opens_while_no_other_answers(void **state)
{
	static const char *const none[] = { "TRANSIENT", "THROTTLED", "AUTH", "CONFIG", "CORRUPT", "BADREQ" };
	struct agent_fixture *f = *state;
	struct secret *key = key_new();
	struct agent_volume *v = agent_volume_new_recovery(f, "acme", "fail:file-a", "fail:file-b", key);

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		answer(f, "a", none[i]);
		answer(f, "b", none[sizeof(none) / sizeof(none[0]) - 1 - i]);
		assert_int_not_equal(agent_volume_unlock(f, v), 0);
		recovered(f, v, key);
		agent_fixture_connect(f);
		assert_int_equal(agent_volume_unlock(f, v), 0);
		answer(f, "a", "OK"); /* another key answers: from here on that one counts */
		assert_int_equal(agent_volume_unlock(f, v), 0);
	}
	assert_int_equal(agent_fixture_audited(f, "\"key.recovery\""), sizeof(none) / sizeof(none[0]));
	agent_volume_free(v);
	secret_free(key);
}

static void nothing_opens_while_any_other_key_says_no(void **state)
{
	static const struct {
		const char *a, *b;
		enum proto_class class;
	} rows[] = {
		{ "REVOKED", "TRANSIENT", PROTO_CLASS_REVOKED }, { "TRANSIENT", "REVOKED", PROTO_CLASS_REVOKED },
		{ "DENIED", "AUTH", PROTO_CLASS_KMS_DENIED },    { "AUTH", "DENIED", PROTO_CLASS_KMS_DENIED },
		{ "CONFIG", "REVOKED", PROTO_CLASS_REVOKED },
	};
	struct agent_fixture *f = *state;
	struct secret *key = key_new();
	struct agent_volume *v = agent_volume_new_recovery(f, "acme", "fail:file-a", "fail:file-b", key);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		answer(f, "a", rows[i].a);
		answer(f, "b", rows[i].b);
		not_recovered(f, v, key, rows[i].class);
		assert_int_not_equal(agent_volume_unlock(f, v), 0);
		/* Nor with what is kept, when the no comes later; and that ends it. */
		answer(f, "a", "AUTH");
		answer(f, "b", "TRANSIENT");
		recovered(f, v, key);
		answer(f, "a", rows[i].a);
		answer(f, "b", rows[i].b);
		agent_volume_refused(f, v, rows[i].class, 12, "fail:file");
		answer(f, "a", "AUTH");
		answer(f, "b", "TRANSIENT");
		assert_int_not_equal(agent_volume_unlock(f, v), 0);
	}
	agent_volume_free(v);
	secret_free(key);
}

static void a_recovery_key_is_not_used_when_it_is_not_needed(void **state)
{
	struct agent_fixture *f = *state;
	struct secret *key = key_new();
	struct agent_volume *v = agent_volume_new_recovery(f, "acme", "fail:file-a", "fail:file-b", key);
	bool needed = true;

	assert_int_equal(recover(f, v, key, &needed), 0);
	assert_false(needed);
	answer(f, "a", "TRANSIENT");
	assert_int_equal(recover(f, v, key, &needed), 0);
	assert_false(needed);
	assert_int_equal(agent_fixture_audited(f, "not needed"), 2);
	answer(f, "b", "TRANSIENT");
	agent_volume_refused(f, v, PROTO_CLASS_TRANSIENT, 13, "fail:file-b");
	agent_volume_free(v);
	secret_free(key);
}

static void what_is_kept_ends(void **state)
{
	struct agent_fixture *f = *state;
	struct secret *key = key_new();
	struct agent_volume *v;
	int r = 0;

	agent_fixture_rules(f, "acme", "[tenant]\nrecovery=allow\nmax-stale=24h\n");
	agent_fixture_reload(f);
	v = agent_volume_new_recovery(f, "acme", "fail:file-a", NULL, key);
	answer(f, "a", "TRANSIENT");
	recovered(f, v, key);
	{ /* with the agent */
		assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
		agent_fixture_start(f);
		agent_fixture_connect(f);
		agent_volume_refused(f, v, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
	}
	{ /* with an operator's lock */
		uint64_t mounts;

		recovered(f, v, key);
		assert_int_equal(client_lock(f->c, NULL, v->instance.uuid, "", &mounts), 0);
		not_recovered(f, v, key, PROTO_CLASS_LOCKED);
		assert_int_equal(client_lock_end(f->c, NULL, v->instance.uuid, &mounts), 0);
		agent_volume_refused(f, v, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
	}
	{ /* with the tenant's leave */
		recovered(f, v, key);
		agent_fixture_rules(f, "acme", "[tenant]\nrecovery=forbid\n");
		agent_fixture_reload(f);
		agent_volume_refused(f, v, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
		not_recovered(f, v, key, PROTO_CLASS_DENIED);
	}
	{ /* with its time */
		agent_fixture_rules(f, "acme", "[tenant]\nrecovery=allow\nmax-stale=3s\nmax-auth=3s\nprobe=1s\n");
		agent_fixture_reload(f);
		recovered(f, v, key);
		for (int i = 0; i < 600 && r == 0; i++) {
			(void)usleep(50000);
			r = agent_volume_unlock(f, v);
		}
		assert_int_equal(r, -EAGAIN);
	}
	agent_volume_free(v);
	secret_free(key);
}

static void other_keys_and_other_directories_do_not_recover(void **state)
{
	struct agent_fixture *f = *state;
	struct secret *key = key_new(), *wrong = key_new(), *half;
	struct agent_volume *v = agent_volume_new_recovery(f, "acme", "fail:file-a", NULL, key);
	struct agent_volume *plain = agent_volume_new(f, "acme", "fail:file-a");

	assert_int_equal(secret_new(KEY_LEN / 2, &half), 0);
	answer(f, "a", "TRANSIENT");
	not_recovered(f, v, wrong, PROTO_CLASS_CORRUPT);
	not_recovered(f, plain, key, PROTO_CLASS_CORRUPT);
	not_recovered(f, v, half, PROTO_CLASS_BADREQ);
	v->instance.fsid++;
	not_recovered(f, v, key, PROTO_CLASS_UNTRUSTED);
	v->instance.fsid--;
	agent_volume_refused(f, v, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
	recovered(f, v, key);
	/* Bytes that were changed do not open with it either; those before do. */
	v->cfg->slots[1].sealed_root[3] ^= 1;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "recovery:");
	v->cfg->slots[1].sealed_root[3] ^= 1;
	agent_volume_rewrite(v);
	v->config[v->config_len - 3] ^= 1;
	assert_int_not_equal(agent_volume_unlock(f, v), 0);
	agent_volume_rewrite(v);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_refused(f, plain, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
	agent_volume_free(v);
	agent_volume_free(plain);
	secret_free(half);
	secret_free(wrong);
	secret_free(key);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_second_key_opens_while_the_first_gives_no_answer_and_only_then),
		TEST(init_makes_a_slot_for_a_recovery_key_which_is_never_tried_by_itself),
		TEST(a_tenant_may_forbid_recovery_keys),
		TEST(what_comes_beside_init_must_be_a_key_and_one_slot_must_be_free),
		TEST(a_recovery_key_opens_while_no_other_answers),
		TEST(nothing_opens_while_any_other_key_says_no),
		TEST(a_recovery_key_is_not_used_when_it_is_not_needed),
		TEST(what_is_kept_ends),
		TEST(other_keys_and_other_directories_do_not_recover),
	};

	if (geteuid() != 0)
		return 77; /* the policy without tenants.d is for root */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
