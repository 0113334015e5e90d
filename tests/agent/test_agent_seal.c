/* test_agent_seal.c: sealed credentials: who may seal and unseal, what a file may say of itself, and for how long a key is used that its KMS does not answer for. Keys are
 * fail:file-NAME of the test build: CONFIG/keys/NAME says what is answered. */
#include "agent_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "crypt/credential.h"

#define PATIENCE_MS 60000

struct sealed {
	uint8_t *p;
	size_t len;
	uint64_t version;
};

static void answer(struct agent_fixture *f, const char *name, const char *text)
{
	char path[256], tmp[264];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/keys/%s", f->config, name);
	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	file = fopen(tmp, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(tmp, path), 0);
}

static struct secret *secret_of(const char *text)
{
	struct secret *s;

	assert_int_equal(secret_new_copy(text, strlen(text), &s), 0);
	return s;
}

static int seal(struct agent_fixture *f, const char *tenant, const char *name, uint64_t version, const char *text, struct sealed *ret)
{
	struct secret *plain = secret_of(text);
	int r = client_seal(f->c, tenant, name, version, plain, &ret->p, &ret->len, &ret->version);

	secret_free(plain);
	return r;
}

static int unseal(struct agent_fixture *f, const char *tenant, const char *name, const struct sealed *s, const char *expect)
{
	struct secret *plain = NULL;
	uint64_t version = 0;
	int r = client_unseal(f->c, tenant, name, s->p, s->len, &plain, &version);

	if (r >= 0) {
		assert_int_equal(version, s->version);
		assert_int_equal(secret_len(plain), strlen(expect));
		assert_memory_equal(secret_bytes(plain), expect, strlen(expect));
	}
	secret_free(plain);
	return r;
}

static void refused(struct agent_fixture *f, const char *tenant, const char *name, const struct sealed *s, enum proto_class class, int exit_code, const char *text)
{
	assert_true(unseal(f, tenant, name, s, "") < 0);
	assert_int_equal(client_error(f->c)->class, class);
	assert_int_equal(client_error(f->c)->exit_code, exit_code);
	assert_non_null(strstr(client_error(f->c)->message, text));
}

static void what_was_sealed_opens_as_what_it_is_and_as_nothing_else(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s, t = { 0 };

	assert_int_equal(seal(f, "acme", "db", 0, "hunter2", &s), 0);
	assert_int_equal(s.version, 1);
	assert_int_equal(unseal(f, "acme", "db", &s, "hunter2"), 0);
	refused(f, "acme", "tls.key", &s, PROTO_CLASS_UNTRUSTED, 11, "credential db of tenant acme");
	refused(f, "other", "db", &s, PROTO_CLASS_UNTRUSTED, 11, "credential db of tenant acme");
	assert_int_equal(agent_fixture_audited(f, "\"event\":\"cred.seal\""), 1);
	assert_int_equal(agent_fixture_audited(f, "\"event\":\"cred.open\""), 3);
	assert_int_equal(agent_fixture_audited(f, "\"outcome\":\"refused\""), 2);
	assert_int_equal(agent_fixture_audited(f, "hunter2"), 0);
	s.p[s.len - 1] ^= 1;
	refused(f, "acme", "db", &s, PROTO_CLASS_CORRUPT, 7, "changed");
	s.p[72] ^= 1;
	refused(f, "acme", "db", &s, PROTO_CLASS_CORRUPT, 7, "changed");
	s.p[8] = 2;
	refused(f, "acme", "db", &s, PROTO_CLASS_UNSUPPORTED, 5, "later format");
	s.p[0] ^= 1;
	refused(f, "acme", "db", &s, PROTO_CLASS_NOT_VOLUME, 4, "not a sealed credential");
	t.p = s.p;
	refused(f, "acme", "db", &t, PROTO_CLASS_NOT_VOLUME, 4, "not a sealed credential");
	free(s.p);
}

static void versions_rise_and_rules_say_the_least(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s[4], none = { 0 };

	assert_int_equal(seal(f, "acme", "db", 0, "one", &s[0]), 0);
	assert_int_equal(seal(f, "acme", "db", 0, "two", &s[1]), 0);
	assert_int_equal(seal(f, "acme", "db", 7, "seven", &s[2]), 0);
	assert_int_equal(s[0].version + s[1].version * 10 + s[2].version * 100, 721);
	assert_int_equal(seal(f, "acme", "db", 7, "again", &none), -EEXIST);
	assert_int_equal(client_error(f->c)->exit_code, 17);
	assert_int_equal(seal(f, "acme", "db", 3, "older", &none), -EEXIST);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	assert_int_equal(seal(f, "acme", "db", 0, "eight", &s[3]), 0);
	assert_int_equal(s[3].version, 8);
	assert_int_equal(unseal(f, "acme", "db", &s[0], "one"), 0);
	agent_fixture_rules(f, "acme", "[credential db]\nfile=/etc/coffer/db\nunit=a.service\nmin-version=7\n");
	agent_fixture_reload(f);
	refused(f, "acme", "db", &s[1], PROTO_CLASS_OLDER, 23, "min-version=7");
	assert_int_equal(unseal(f, "acme", "db", &s[2], "seven"), 0);
	for (size_t i = 0; i < 4; i++)
		free(s[i].p);
}

static void losing_the_state_directory_loses_no_credential(void **state)
{
	struct agent_fixture *f = *state;
	char path[256];
	struct sealed s, t;

	assert_int_equal(seal(f, "acme", "db", 5, "hunter2", &s), 0);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	(void)snprintf(path, sizeof(path), "%s/credentials/acme.json", f->state);
	assert_int_equal(unlink(path), 0);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	assert_int_equal(unseal(f, "acme", "db", &s, "hunter2"), 0);
	/* A new key seals from here on; the old one opens what it sealed. */
	assert_int_equal(seal(f, "acme", "db", 0, "new", &t), 0);
	assert_int_equal(t.version, 1);
	assert_memory_not_equal(s.p + 24, t.p + 24, CREDENTIAL_ID_LEN);
	assert_int_equal(unseal(f, "acme", "db", &s, "hunter2"), 0);
	assert_int_equal(unseal(f, "acme", "db", &t, "new"), 0);
	free(s.p);
	free(t.p);
}

static void a_state_that_cannot_be_read_is_told_and_not_replaced(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s, none = { 0 };
	char path[256];
	FILE *file;

	assert_int_equal(seal(f, "acme", "db", 0, "x", &s), 0);
	(void)snprintf(path, sizeof(path), "%s/credentials/acme.json", f->state);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs("{\"version\":1}", file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(seal(f, "acme", "db", 0, "x", &none), -EIO);
	assert_non_null(strstr(client_error(f->c)->message, "credentials/acme.json"));
	assert_int_equal(unseal(f, "acme", "db", &s, "x"), 0);
	free(s.p);
}

static void the_rules_say_which_key_not_the_file(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed local, s, b, none = { 0 };

	assert_int_equal(seal(f, "acme", "db", 0, "local", &local), 0);
	agent_fixture_rules(f, "acme", "[tenant]\nkms=fail:file-a\n");
	agent_fixture_rules(f, "star", "[tenant]\nkms=hcvault://vault/transit/keys/*\n");
	agent_fixture_reload(f);
	refused(f, "acme", "db", &local, PROTO_CLASS_DENIED, 11, "local:acme-credentials");
	assert_int_equal(agent_fixture_audited(f, "\"class\":\"DENIED\""), 1);
	assert_int_equal(seal(f, "acme", "db", 0, "a", &s), 0); /* a key of the other KMS was made */
	assert_int_equal(unseal(f, "acme", "db", &s, "a"), 0);
	/* Another key put first seals from then on, and what the one before sealed opens. */
	agent_fixture_rules(f, "acme", "[tenant]\nkms=fail:file-b\nkms=fail:file-a\n");
	agent_fixture_reload(f);
	assert_int_equal(seal(f, "acme", "db", 0, "b", &b), 0);
	assert_int_equal(unseal(f, "acme", "db", &b, "b"), 0);
	assert_int_equal(unseal(f, "acme", "db", &s, "a"), 0);
	assert_memory_not_equal(s.p + 24, b.p + 24, CREDENTIAL_ID_LEN);
	agent_fixture_rules(f, "acme", "[tenant]\nkms=fail:file-b\n");
	agent_fixture_reload(f);
	refused(f, "acme", "db", &s, PROTO_CLASS_DENIED, 11, "fail:file-a");
	assert_int_equal(unseal(f, "acme", "db", &b, "b"), 0);
	free(b.p);
	assert_int_equal(seal(f, "star", "db", 0, "a", &none), -EINVAL);
	assert_int_equal(client_error(f->c)->exit_code, 3);
	/* Without kms= lines a file may name this tenant's own local: key and no other. */
	agent_fixture_rules(f, "acme", "[tenant]\nprobe=60s\n");
	agent_fixture_reload(f);
	refused(f, "acme", "db", &s, PROTO_CLASS_DENIED, 11, "fail:file-a");
	assert_int_equal(unseal(f, "acme", "db", &local, "local"), 0);
	free(local.p);
	free(s.p);
}

static void sealing_and_unsealing_are_rights_of_their_own(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s, none = { 0 };

	agent_fixture_rules(f, "acme", "[allow]\nuser=0\noperations=seal\n");
	agent_fixture_rules(f, "other", "[allow]\nuser=0\noperations=unseal\n");
	agent_fixture_reload(f);
	assert_int_equal(seal(f, "acme", "db", 0, "x", &s), 0);
	refused(f, "acme", "db", &s, PROTO_CLASS_DENIED, 11, "denied by policy");
	assert_int_equal(seal(f, "other", "db", 0, "x", &none), -EPERM);
	refused(f, "other", "db", &s, PROTO_CLASS_UNTRUSTED, 11, "tenant acme");
	agent_fixture_rules(f, "acme", "[allow]\nuser=0\noperations=unseal\n");
	agent_fixture_reload(f);
	assert_int_equal(unseal(f, "acme", "db", &s, "x"), 0);
	free(s.p);
}

static void an_operators_lock_takes_the_key(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s, none = { 0 };
	uint64_t mounts;

	assert_int_equal(seal(f, "acme", "db", 0, "x", &s), 0);
	assert_int_equal(client_lock(f->c, "acme", NULL, "audit", &mounts), 0);
	refused(f, "acme", "db", &s, PROTO_CLASS_LOCKED, 12, "audit");
	assert_int_equal(seal(f, "acme", "db", 0, "x", &none), -ENOKEY);
	assert_int_equal(client_lock_end(f->c, "acme", NULL, &mounts), 0);
	assert_int_equal(unseal(f, "acme", "db", &s, "x"), 0);
	/* not from memory */
	assert_int_equal(agent_fixture_audited(f, "\"cache\":\"miss\""), 2);
	free(s.p);
}

/* Ask until it is answered so. */
static void until(struct agent_fixture *f, const struct sealed *s, const char *expect, enum proto_class class)
{
	uint64_t deadline = clock_boot_ms() + PATIENCE_MS;
	int r;

	do {
		r = unseal(f, "acme", "db", s, expect);
		if (class == PROTO_CLASS_OK ? r >= 0 : r < 0 && client_error(f->c)->class == class)
			return;
		(void)usleep(50000);
	} while (clock_boot_ms() < deadline);
	fail_msg("not class %s, but %s", proto_class_text(class), r < 0 ? client_error(f->c)->message : "OK");
}

static void until_audited(struct agent_fixture *f, const char *text)
{
	uint64_t deadline = clock_boot_ms() + PATIENCE_MS;

	while (agent_fixture_audited(f, text) == 0 && clock_boot_ms() < deadline)
		(void)usleep(50000);
	assert_true(agent_fixture_audited(f, text) > 0);
}

static void an_outage_is_borne_and_a_refusal_is_not(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s;

	agent_fixture_rules(f, "acme", "[tenant]\nkms=fail:file-a\nprobe=1s\nconfirm=2/1s\nmax-stale=1h\n");
	agent_fixture_reload(f);
	assert_int_equal(seal(f, "acme", "db", 0, "x", &s), 0);
	answer(f, "a", "TRANSIENT");
	until_audited(f, "key.stale_begin");
	assert_int_equal(unseal(f, "acme", "db", &s, "x"), 0);
	assert_true(agent_fixture_audited(f, "\"cache\":\"stale\"") > 0);
	answer(f, "a", "OK");
	until_audited(f, "key.stale_end");
	answer(f, "a", "REVOKED");
	until(f, &s, "x", PROTO_CLASS_REVOKED);
	assert_int_equal(client_error(f->c)->exit_code, 12);
	until_audited(f, "key.revoked_seen");
	/* An outage behind it gives the key to nobody: it is gone. */
	answer(f, "a", "TRANSIENT");
	refused(f, "acme", "db", &s, PROTO_CLASS_TRANSIENT, 13, "fail:file-a");
	answer(f, "a", "OK");
	assert_int_equal(unseal(f, "acme", "db", &s, "x"), 0);
	/* A first refusal wants confirming before the key goes, but nothing is opened meanwhile. */
	answer(f, "a", "DENIED");
	until(f, &s, "x", PROTO_CLASS_KMS_DENIED);
	answer(f, "a", "OK");
	until(f, &s, "x", PROTO_CLASS_OK);
	/* What is no answer about the key opens nothing either. */
	answer(f, "a", "CONFIG");
	until(f, &s, "x", PROTO_CLASS_CONFIG);
	free(s.p);
}

static void an_outage_is_borne_for_max_stale_and_no_longer(void **state)
{
	struct agent_fixture *f = *state;
	struct sealed s;

	agent_fixture_rules(f, "acme", "[tenant]\nkms=fail:file-a\nprobe=1s\nmax-stale=3s\n");
	agent_fixture_reload(f);
	assert_int_equal(seal(f, "acme", "db", 0, "x", &s), 0);
	answer(f, "a", "TRANSIENT");
	until_audited(f, "key.stale_begin");
	until(f, &s, "x", PROTO_CLASS_TRANSIENT);
	answer(f, "a", "OK");
	until(f, &s, "x", PROTO_CLASS_OK);
	free(s.p);
}

static size_t calls(struct agent_fixture *f, const char *name)
{
	char path[256];
	FILE *file;
	long n;

	(void)snprintf(path, sizeof(path), "%s/keys/%s.calls", f->config, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	(void)fseek(file, 0, SEEK_END);
	n = ftell(file);
	(void)fclose(file);
	return (size_t)n;
}

static void many_who_ask_at_once_are_one_question_to_the_kms(void **state)
{
	struct agent_fixture *f = *state;
	struct proto_request *req = calloc(1, sizeof(*req));
	struct proto_reply *reply = calloc(1, sizeof(*reply));
	static char buf[PROTO_PACKET_MAX + 1];
	struct proto_event ev;
	struct sealed s;
	int sock[8], fd;
	char *text;
	bool is_event;

	assert_true(req && reply);
	agent_fixture_rules(f, "acme", "[tenant]\nkms=fail:file-a\nprobe=1h\n");
	agent_fixture_reload(f);
	assert_int_equal(seal(f, "acme", "db", 0, "x", &s), 0);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	answer(f, "a", "OK 1500");
	agent_fixture_start(f);
	agent_fixture_connect(f);
	req->id = 2;
	req->op = PROTO_OP_UNSEAL;
	(void)strcpy(req->tenant, "acme");
	(void)strcpy(req->name, "db");
	assert_int_equal(proto_request_put(req, &text), 0);
	for (size_t i = 0; i < 8; i++) {
		sock[i] = agent_fixture_raw(f);
		assert_int_equal(packet_seal(s.p, s.len, &fd), 0);
		assert_true(agent_fixture_send(sock[i], text, fd) >= 0);
		(void)close(fd);
	}
	/* Meanwhile the agent serves others. */
	assert_true(client_lock_end(f->c, "other", NULL, &s.version) >= 0);
	for (size_t i = 0; i < 8; i++) {
		int got = -1, n = agent_fixture_recv(sock[i], buf, sizeof(buf), PATIENCE_MS, &got);

		assert_true(n > 0);
		assert_int_equal(proto_reply_parse(buf, (size_t)n, PROTO_OP_UNSEAL, reply, &ev, &is_event), 0);
		assert_int_equal(reply->class, PROTO_CLASS_OK);
		assert_int_equal(reply->size, 1);
		assert_true(got >= 0);
		(void)close(got);
		(void)close(sock[i]);
	}
	assert_int_equal(calls(f, "a"), 1);
	free(text);
	free(req);
	free(reply);
	free(s.p);
}

/* What a peer may send beside a request, and does not. */
static void what_comes_beside_a_request_must_be_what_it_says(void **state)
{
	static const struct {
		const char *text;
		bool secret;
		const char *expect;
	} rows[] = {
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"acme\",\"name\":\"db\",\"size\":7}", false, "no secret of that size" },
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"acme\",\"name\":\"db\",\"size\":8}", true, "no secret of that size" },
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"acme\",\"name\":\"db\",\"size\":0}", true, "1 byte to 1 MiB" },
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"acme\",\"name\":\"db\",\"size\":1048577}", true, "1 byte to 1 MiB" },
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"acme\",\"name\":\"../db\",\"size\":7}", true, "missing or malformed" },
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"..\",\"name\":\"db\",\"size\":7}", true, "missing or malformed" },
		{ "{\"v\":1,\"id\":2,\"op\":\"seal\",\"tenant\":\"acme\",\"name\":\"db\",\"size\":7,\"version\":-1}", true, "missing or malformed" },
		{ "{\"v\":1,\"id\":2,\"op\":\"unseal\",\"tenant\":\"acme\",\"name\":\"db\"}", false, "no file beside" },
		{ "{\"v\":1,\"id\":2,\"op\":\"unseal\",\"tenant\":\"acme\",\"name\":\"db\"}", true, "not a sealed" },
		{ "{\"v\":1,\"id\":2,\"op\":\"unseal\",\"tenant\":\"acme\",\"name\":\"db\",\"version\":1}", false, "unknown member" },
	};
	struct agent_fixture *f = *state;
	static char buf[PROTO_PACKET_MAX + 1];
	struct secret *plain = secret_of("hunter2");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int sock = agent_fixture_raw(f), fd = -1, got = -1, n;

		if (rows[i].secret)
			assert_int_equal(strstr(rows[i].text, "unseal") ? packet_seal("hunter2", 7, &fd) : secret_to_fd(plain, &fd), 0);
		assert_true(agent_fixture_send(sock, rows[i].text, fd) >= 0);
		n = agent_fixture_recv(sock, buf, sizeof(buf) - 1, PATIENCE_MS, &got);
		assert_true(n > 0 && got < 0);
		buf[n] = '\0';
		if (!strstr(buf, rows[i].expect))
			fail_msg("%s: %s", rows[i].text, buf);
		if (fd >= 0)
			(void)close(fd);
		(void)close(sock);
	}
	secret_free(plain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_sealed_opens_as_what_it_is_and_as_nothing_else),
		TEST(versions_rise_and_rules_say_the_least),
		TEST(losing_the_state_directory_loses_no_credential),
		TEST(a_state_that_cannot_be_read_is_told_and_not_replaced),
		TEST(the_rules_say_which_key_not_the_file),
		TEST(sealing_and_unsealing_are_rights_of_their_own),
		TEST(an_operators_lock_takes_the_key),
		TEST(an_outage_is_borne_and_a_refusal_is_not),
		TEST(an_outage_is_borne_for_max_stale_and_no_longer),
		TEST(many_who_ask_at_once_are_one_question_to_the_kms),
		TEST(what_comes_beside_a_request_must_be_what_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
