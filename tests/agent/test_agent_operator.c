/* test_agent_operator.c: an operator's lock: stored, told to mounts that speak the protocol by hand, undone by unlock and by nothing else. */
#include "agent_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/packet.h"
#include "base/json.h"

#define PATIENCE_MS 20000

/* Send a request on a raw line. */
static void say(int sock, struct proto_request *req, int fd)
{
	char *text;

	assert_int_equal(proto_request_put(req, &text), 0);
	assert_true(agent_fixture_send(sock, text, fd) >= 0);
	free(text);
}

/* The next packet: an event, or the answer to op. */
static bool hear(int sock, enum proto_op op, struct proto_reply *reply, struct proto_event *ev, int *ret_fd)
{
	static char buf[PROTO_PACKET_MAX + 1];
	bool is_event;
	int n;

	n = agent_fixture_recv(sock, buf, sizeof(buf), PATIENCE_MS, ret_fd);
	assert_true(n > 0);
	assert_int_equal(proto_reply_parse(buf, (size_t)n, op, reply, ev, &is_event), 0);
	return is_event;
}

static void event_wait(int sock, enum proto_push push, struct proto_event *ev)
{
	static struct proto_reply reply;
	int fd = -1;

	assert_true(hear(sock, PROTO_OP_HELLO, &reply, ev, &fd));
	assert_int_equal(ev->push, push);
}

static void event_answer(int sock, struct proto_event *ev, enum proto_class class)
{
	char *text;

	ev->done = true;
	ev->class = class;
	if (class != PROTO_CLASS_OK)
		strcpy(ev->message, "as the test wants");
	assert_int_equal(proto_event_put(ev, &text), 0);
	assert_true(agent_fixture_send(sock, text, -1) >= 0);
	free(text);
}

static int mount_raw(struct agent_fixture *f, struct agent_volume *v, bool locked)
{
	static struct proto_request req;
	static struct proto_reply reply;
	static struct proto_event ev;
	int sock = agent_fixture_raw(f), fd = -1;

	memset(&req, 0, sizeof(req));
	req.id = 50;
	req.op = PROTO_OP_REGISTER;
	req.instance = v->instance;
	req.locked = locked;
	strcpy(req.volume, "data");
	strcpy(req.source, "/srv/data");
	strcpy(req.mountpoint, "/mnt/a");
	say(sock, &req, -1);
	assert_false(hear(sock, PROTO_OP_REGISTER, &reply, &ev, &fd));
	assert_int_equal(reply.class, PROTO_CLASS_OK);
	assert_int_equal(reply.agent_grace_ms, 900000);
	return sock;
}

/* The mount's own `unlock`; its class. */
static enum proto_class relock(int sock, struct agent_volume *v)
{
	static struct proto_request req;
	static struct proto_reply reply;
	static struct proto_event ev;
	int fd = -1, config = -1;
	enum proto_class class;

	memset(&req, 0, sizeof(req));
	req.id = 60;
	req.op = PROTO_OP_UNLOCK;
	req.instance = v->instance;
	strcpy(req.purpose, "relock");
	assert_int_equal(packet_seal(v->config, v->config_len, &config), 0);
	say(sock, &req, config);
	(void)close(config);
	assert_false(hear(sock, PROTO_OP_UNLOCK, &reply, &ev, &fd));
	class = reply.class;
	assert_true((fd >= 0) == (class == PROTO_CLASS_OK));
	if (fd < 0)
		return class;
	(void)close(fd);
	memset(&req, 0, sizeof(req));
	req.id = 61;
	req.op = PROTO_OP_ACK;
	req.of = 60;
	say(sock, &req, -1);
	assert_false(hear(sock, PROTO_OP_ACK, &reply, &ev, &fd));
	assert_int_equal(reply.class, PROTO_CLASS_OK);
	return class;
}

static void lease_is(struct agent_fixture *f, int mount, const char *want, const char *reason)
{
	static struct proto_request req = { .id = 70, .op = PROTO_OP_STATUS };
	static struct proto_reply reply;
	static struct proto_event ev;
	const struct json *a, *lease;
	struct json *o;
	const char *text;
	uint8_t *p;
	size_t len;
	int sock = agent_fixture_raw(f), fd = -1;

	say(sock, &req, -1);
	event_wait(mount, PROTO_PUSH_STATS, &ev);
	event_answer(mount, &ev, PROTO_CLASS_UNSUPPORTED);
	assert_false(hear(sock, PROTO_OP_STATUS, &reply, &ev, &fd));
	assert_int_equal(packet_read_sealed(fd, PROTO_STATUS_MAX, &p, &len), 0);
	assert_int_equal(json_parse(p, len, PROTO_STATUS_MAX, &o), 0);
	assert_int_equal(json_get_array(o, "mounts", &a), 0);
	assert_int_equal(json_get_object(json_array_at(a, 0), "lease", &lease), 0);
	assert_int_equal(json_get_str(lease, "state", &text), 0);
	assert_string_equal(text, want);
	assert_int_equal(json_get_str(lease, "reason", &text), 0);
	assert_non_null(strstr(text, reason));
	json_free(o);
	free(p);
	(void)close(fd);
	(void)close(sock);
}

/* `lock` or `unlock-tenant` on a line of its own, not waited for. */
static int operator(struct agent_fixture *f, enum proto_op op, struct agent_volume *v, const char *tenant, const char *reason)
{
	static struct proto_request req;
	int sock = agent_fixture_raw(f);

	memset(&req, 0, sizeof(req));
	req.id = 80;
	req.op = op;
	if (tenant)
		strcpy(req.tenant, tenant);
	else
		memcpy(req.uuid, v->instance.uuid, UUID_LEN);
	strcpy(req.reason, reason);
	say(sock, &req, -1);
	return sock;
}

static void operator_hears(int sock, enum proto_op op, enum proto_class class, uint64_t mounts)
{
	static struct proto_reply reply;
	static struct proto_event ev;
	int fd = -1;

	assert_false(hear(sock, op, &reply, &ev, &fd));
	assert_int_equal(reply.class, class);
	if (class == PROTO_CLASS_OK)
		assert_int_equal(reply.mounts, mounts);
	(void)close(sock);
}

static void a_lock_is_told_to_the_mount_and_unlock_gives_the_key_again(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL), *other = agent_volume_new(f, "umbra", NULL);
	static struct proto_event ev;
	int m = mount_raw(f, v, false), op;
	char *audit;

	assert_int_equal(relock(m, v), PROTO_CLASS_BADREQ); /* it is not locked */
	op = operator(f, PROTO_OP_LOCK, v, NULL, "key ceremony");
	event_wait(m, PROTO_PUSH_LOCK, &ev);
	assert_non_null(strstr(ev.reason, "key ceremony"));
	event_answer(m, &ev, PROTO_CLASS_OK);
	operator_hears(op, PROTO_OP_LOCK, PROTO_CLASS_OK, 1);
	lease_is(f, m, "LOCKED", "key ceremony");
	agent_volume_refused(f, v, PROTO_CLASS_LOCKED, 12, "key ceremony; to undo it: coffer unlock VOLUME");
	assert_int_equal(relock(m, v), PROTO_CLASS_LOCKED);
	assert_int_equal(agent_volume_unlock(f, other), 0);
	op = operator(f, PROTO_OP_UNLOCK_TENANT, v, NULL, "");
	event_wait(m, PROTO_PUSH_UNLOCK, &ev);
	assert_int_equal(relock(m, v), PROTO_CLASS_OK);
	event_answer(m, &ev, PROTO_CLASS_OK);
	operator_hears(op, PROTO_OP_UNLOCK_TENANT, PROTO_CLASS_OK, 1);
	lease_is(f, m, "ACTIVE", "");
	assert_int_equal(agent_volume_unlock(f, v), 0);
	audit = agent_fixture_audit(f);
	assert_non_null(strstr(audit, "\"key.lock\""));
	assert_non_null(strstr(audit, "\"key.unlock\""));
	free(audit);
	(void)close(m);
	agent_volume_free(v);
	agent_volume_free(other);
}

static void a_tenants_lock_outlives_a_killed_agent(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	static struct proto_event ev;
	int m, op;

	operator_hears(operator(f, PROTO_OP_LOCK, v, "acme", ""), PROTO_OP_LOCK, PROTO_CLASS_OK, 0);
	(void)agent_fixture_stop(f, SIGKILL);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	agent_volume_refused(f, v, PROTO_CLASS_LOCKED, 12, "coffer unlock --tenant");
	m = mount_raw(f, v, false);
	event_wait(m, PROTO_PUSH_LOCK, &ev);
	event_answer(m, &ev, PROTO_CLASS_INTERNAL); /* said in the log; it counts as locked */
	/* A lock of the volume is another lock: undoing it does not open. */
	operator_hears(operator(f, PROTO_OP_UNLOCK_TENANT, v, NULL, ""), PROTO_OP_UNLOCK_TENANT, PROTO_CLASS_OK, 0);
	lease_is(f, m, "LOCKED", "tenant locked by uid");
	op = operator(f, PROTO_OP_UNLOCK_TENANT, v, "acme", "");
	event_wait(m, PROTO_PUSH_UNLOCK, &ev);
	event_answer(m, &ev, PROTO_CLASS_TRANSIENT);
	operator_hears(op, PROTO_OP_UNLOCK_TENANT, PROTO_CLASS_BUSY, 0);
	lease_is(f, m, "LOCKED", "");
	(void)close(m);
	agent_volume_free(v);
}

static void a_mount_that_comes_back_locked_is_asked_to_open_again(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	static struct proto_event ev;
	int m = mount_raw(f, v, true), op, second;

	event_wait(m, PROTO_PUSH_UNLOCK, &ev);
	assert_int_equal(relock(m, v), PROTO_CLASS_OK);
	event_answer(m, &ev, PROTO_CLASS_OK);
	/* Two who lock: each is answered. A mount that goes away has no keys. */
	op = operator(f, PROTO_OP_LOCK, v, NULL, "one");
	event_wait(m, PROTO_PUSH_LOCK, &ev);
	second = operator(f, PROTO_OP_LOCK, v, NULL, "two");
	event_wait(m, PROTO_PUSH_LOCK, &ev);
	operator_hears(op, PROTO_OP_LOCK, PROTO_CLASS_BUSY, 0);
	(void)close(m);
	operator_hears(second, PROTO_OP_LOCK, PROTO_CLASS_OK, 1);
	agent_volume_free(v);
}

static int backup_sign(struct agent_fixture *f, const struct agent_volume *v, const char *uuid, uint8_t ret_key[static SIGN_PUBLIC_LEN], char *text)
{
	uint8_t signature[SIGN_LEN];
	int r;

	(void)snprintf(text, BACKUP_STATEMENT_MAX, "coffer-backup 1\n%s\n1\n\n%064d\n2026-01-02T03:04:05Z\n%064d\n", uuid, 1, 2);
	r = client_backup_sign(f->c, &v->instance, text, ret_key, signature);
	if (r == 0) {
		assert_int_equal(sign_check(ret_key, text, strlen(text), signature), 0);
		text[20] ^= 1;
		assert_int_equal(sign_check(ret_key, text, strlen(text), signature), -EBADMSG);
	}
	return r;
}

/* With one key, over restarts; of a volume that is pinned, and about that one alone. */
static void the_host_signs_for_backups_and_for_nothing_else(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL), *stranger = agent_volume_init(f, "acme", NULL);
	uint8_t key[SIGN_PUBLIC_LEN], again[SIGN_PUBLIC_LEN];
	char text[BACKUP_STATEMENT_MAX], uuid[33];

	volume_config_uuid_text(v->instance.uuid, uuid);
	assert_int_equal(backup_sign(f, v, uuid, key, text), 0);
	assert_int_equal(agent_fixture_audited(f, "\"backup.sign\""), 1);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	assert_int_equal(backup_sign(f, v, uuid, again, text), 0);
	assert_memory_equal(key, again, sizeof(key));
	assert_int_equal(backup_sign(f, v, "00112233445566778899aabbccddeeff", key, text), -EPROTO);
	assert_int_equal(client_backup_sign(f->c, &v->instance, "coffer-backup 1\n", key, (uint8_t *)text), -EPROTO);
	volume_config_uuid_text(stranger->instance.uuid, uuid);
	assert_int_not_equal(backup_sign(f, stranger, uuid, key, text), 0);
	assert_int_equal(client_error(f->c)->exit_code, 11);
	assert_int_equal(agent_fixture_audited(f, "\"backup.sign\""), 2);
	agent_volume_free(stranger);
	agent_volume_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_lock_is_told_to_the_mount_and_unlock_gives_the_key_again, agent_fixture_setup,
						agent_fixture_teardown),
		cmocka_unit_test_setup_teardown(a_tenants_lock_outlives_a_killed_agent, agent_fixture_setup, agent_fixture_teardown),
		cmocka_unit_test_setup_teardown(a_mount_that_comes_back_locked_is_asked_to_open_again, agent_fixture_setup,
						agent_fixture_teardown),
		cmocka_unit_test_setup_teardown(the_host_signs_for_backups_and_for_nothing_else, agent_fixture_setup, agent_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
