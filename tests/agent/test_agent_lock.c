/* test_agent_lock.c: a mount's link to an agent that locks and unlocks it, goes away, hangs, or does not take it. The agent is made here, so that it can do
 * what a good one never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/packet.h"
#include "crypt/keys.h"

#define PATIENCE_MS 30000
#define POLL_MS 20

/* ---- the agent */

struct fake_agent {
	char path[64];
	int listener;
	pthread_t thread;
	atomic_int fd;               /* of the mount, -1 */
	atomic_bool stop, hang, deaf, refuse_register, refuse_unlock, wrong_key, stats_first;
	atomic_uint grace_ms, registers, registered_locked, unlocks, acks, pings;
	pthread_mutex_t m;
	struct proto_event done[8];  /* lock: m. answers to events */
	size_t ndone;
};

static struct proto_instance instance = { .uuid = { 1, 2, 3 } };

static void key_bytes(uint8_t first, uint8_t ret_key[static KEY_LEN])
{
	memset(ret_key, 0, KEY_LEN);
	ret_key[0] = first;
}

static void push(struct fake_agent *a, enum proto_push what, int64_t id)
{
	struct proto_event ev = { .push = what, .id = id };
	char *text;

	if (what == PROTO_PUSH_LOCK)
		(void)strcpy(ev.reason, "a test");
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_true(packet_send(atomic_load(&a->fd), text, -1) >= 0);
	free(text);
}

static int unlock_answer(struct fake_agent *a, struct proto_reply *reply)
{
	uint8_t key[KEY_LEN];
	struct secret *s;
	int fd = -1;

	atomic_fetch_add(&a->unlocks, 1);
	if (atomic_load(&a->stats_first))
		push(a, PROTO_PUSH_STATS, 900);
	if (atomic_load(&a->refuse_unlock)) {
		reply->class = PROTO_CLASS_REVOKED;
		(void)strcpy(reply->message, "the key is gone");
		return -1;
	}
	key_bytes(7, key);
	assert_int_equal(secret_new_copy(key, KEY_LEN, &s), 0);
	(void)strcpy(reply->tenant, "acme");
	(void)strcpy(reply->key_uri, "local:test");
	assert_int_equal(keys_commitment(s, instance.uuid, reply->commitment), 0);
	reply->commitment[0] ^= atomic_load(&a->wrong_key);
	assert_int_equal(secret_to_fd(s, &fd), 0);
	secret_free(s);
	return fd;
}

static void answer(struct fake_agent *a, int sock, const struct proto_request *req)
{
	struct proto_reply reply = { .id = req->id, .op = req->op };
	char *text;
	int fd = -1;

	switch (req->op) {
	case PROTO_OP_HELLO:
		(void)strcpy(reply.version, "test");
		reply.pid = getpid();
		atomic_fetch_add(&a->pings, 1);
		break;
	case PROTO_OP_REGISTER:
		reply.agent_grace_ms = atomic_load(&a->grace_ms);
		if (atomic_load(&a->refuse_register)) {
			reply.class = PROTO_CLASS_DENIED;
			(void)strcpy(reply.message, "not now");
			break;
		}
		atomic_fetch_add(&a->registers, 1);
		atomic_store(&a->registered_locked, req->locked);
		atomic_store(&a->fd, sock);
		break;
	case PROTO_OP_UNLOCK:
		assert_string_equal(req->purpose, "relock");
		fd = unlock_answer(a, &reply);
		break;
	case PROTO_OP_ACK:
		atomic_fetch_add(&a->acks, 1);
		break;
	default:
		break;
	}
	assert_int_equal(proto_reply_put(&reply, &text), 0);
	(void)!packet_send(sock, text, fd);
	if (fd >= 0)
		(void)close(fd);
	free(text);
}

static void take(struct fake_agent *a, int sock, const char *p, size_t len)
{
	struct proto_request *req = calloc(1, sizeof(*req));
	struct proto_event *ev = calloc(1, sizeof(*ev));
	enum proto_type type;
	char why[128];
	int64_t id;

	assert_int_equal(proto_request_parse(p, len, &type, req, ev, &id, why), 0);
	if (type == PROTO_TYPE_REQUEST) {
		if (!atomic_load(&a->hang))
			answer(a, sock, req);
	} else {
		pthread_mutex_lock(&a->m);
		assert_true(a->ndone < 8);
		a->done[a->ndone++] = *ev;
		pthread_mutex_unlock(&a->m);
	}
	free(ev);
	free(req);
}

static void *agent_main(void *arg)
{
	static char buf[PROTO_PACKET_MAX + 1];
	struct fake_agent *a = arg;
	int sock = -1;

	while (!atomic_load(&a->stop)) {
		struct pollfd p[2] = { { .fd = a->listener, .events = POLLIN }, { .fd = sock, .events = POLLIN } };
		struct packet_from from;
		int fd = -1, r = -1;

		(void)poll(p, 2, POLL_MS);
		if (atomic_load(&a->deaf) && sock >= 0) { /* gone: the connection ends, and no other is taken */
			atomic_store(&a->fd, -1);
			(void)close(sock);
			sock = -1;
			continue;
		}
		if (p[0].revents && sock < 0 && !atomic_load(&a->deaf))
			sock = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC);
		if (p[1].revents)
			r = packet_recv(sock, buf, sizeof(buf), true, &fd, &from);
		if (fd >= 0)
			(void)close(fd);
		if (r > 0) {
			take(a, sock, buf, (size_t)r);
		} else if (p[1].revents && r != -EAGAIN) {
			atomic_store(&a->fd, -1);
			(void)close(sock);
			sock = -1;
		}
	}
	if (sock >= 0)
		(void)close(sock);
	return NULL;
}

/* ---- the mount */

struct fake_mount {
	struct client_mount *link;
	atomic_uint locks, unlocks, syncs;
	atomic_bool sync_hangs, lock_fails, unlock_fails;
	char reason[64];
};

static int fake_stats(void *arg, struct proto_stats *ret_s)
{
	(void)arg;
	(void)strcpy(ret_s->state, "ready");
	(void)strcpy(ret_s->since, "2026-01-01T00:00:00Z");
	ret_s->locked = true;
	return 0;
}

static int fake_sync(void *arg)
{
	struct fake_mount *m = arg;
	struct timespec t = { .tv_nsec = POLL_MS * 1000000 };

	while (atomic_load(&m->sync_hangs))
		(void)nanosleep(&t, NULL);
	atomic_fetch_add(&m->syncs, 1);
	return 0;
}

static int fake_lock(void *arg, const char *reason)
{
	struct fake_mount *m = arg;

	(void)snprintf(m->reason, sizeof(m->reason), "%s", reason);
	atomic_fetch_add(&m->locks, 1);
	return atomic_load(&m->lock_fails) ? -EIO : 0;
}

static int fake_config(void *arg, uint8_t **ret_config, size_t *ret_len)
{
	(void)arg;
	*ret_config = (uint8_t *)strdup("a config");
	*ret_len = 8;
	return 0;
}

static int fake_unlock(void *arg, const uint8_t *config, size_t len, const struct client_unlocked *u, struct secret **root)
{
	struct fake_mount *m = arg;
	uint8_t key[KEY_LEN];

	key_bytes(7, key);
	assert_int_equal(len, 8);
	assert_memory_equal(config, "a config", 8);
	assert_string_equal(u->tenant, "acme");
	assert_memory_equal(secret_bytes_const(*root), key, KEY_LEN);
	secret_free(take_ptr(*root));
	if (atomic_load(&m->unlock_fails))
		return -EKEYREJECTED;
	atomic_fetch_add(&m->unlocks, 1);
	return 0;
}

static const struct client_mount_ops fake_ops = { .stats = fake_stats, .sync = fake_sync, .lock = fake_lock, .config = fake_config, .unlock = fake_unlock };

/* ---- both */

struct pair {
	struct fake_agent a;
	struct fake_mount m;
};

static void wait_until(bool (*yes)(struct pair *p, unsigned n), struct pair *p, unsigned n)
{
	struct timespec t = { .tv_nsec = POLL_MS * 1000000 };

	for (int i = 0; i < PATIENCE_MS / POLL_MS; i++) {
		if (yes(p, n))
			return;
		(void)nanosleep(&t, NULL);
	}
	fail_msg("it does not come to that");
}

static bool has_registers(struct pair *p, unsigned n)
{
	return atomic_load(&p->a.registers) >= n && client_mount_linked(p->m.link);
}

static bool has_locks(struct pair *p, unsigned n)
{
	return atomic_load(&p->m.locks) >= n;
}

static bool has_syncs(struct pair *p, unsigned n)
{
	return atomic_load(&p->m.syncs) >= n;
}

static bool has_unlocks(struct pair *p, unsigned n)
{
	return atomic_load(&p->a.unlocks) >= n;
}

static bool has_done(struct pair *p, unsigned n)
{
	bool yes;

	pthread_mutex_lock(&p->a.m);
	yes = p->a.ndone >= n;
	pthread_mutex_unlock(&p->a.m);
	return yes;
}

static enum proto_class class_of(struct pair *p, int64_t id)
{
	enum proto_class class = PROTO_CLASSES;

	pthread_mutex_lock(&p->a.m);
	for (size_t k = 0; k < p->a.ndone; k++)
		if (p->a.done[k].id == id)
			class = p->a.done[k].class;
	pthread_mutex_unlock(&p->a.m);
	return class;
}

static void mount_start(struct pair *p)
{
	struct client_mount_info info = { .volume = "data", .source = "/srv/data", .mountpoint = "/mnt/a", .instance = instance };
	struct client *c = client_new(p->a.path);

	assert_int_equal(client_connect(c), 0);
	assert_int_equal(client_mount_start(&c, &info, &fake_ops, &p->m, &p->m.link), 0);
	assert_null(c);
}

static int setup(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct pair *p = calloc(1, sizeof(*p));

	(void)snprintf(p->a.path, sizeof(p->a.path), "/tmp/coffer-test-lock.%d", getpid());
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", p->a.path);
	(void)unlink(p->a.path);
	p->a.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	atomic_store(&p->a.fd, -1);
	pthread_mutex_init(&p->a.m, NULL);
	if (bind(p->a.listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(p->a.listener, 4) < 0 ||
	    pthread_create(&p->a.thread, NULL, agent_main, &p->a) != 0)
		return -1;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	client_mount_stop(p->m.link);
	atomic_store(&p->a.stop, true);
	(void)pthread_join(p->a.thread, NULL);
	(void)close(p->a.listener);
	(void)unlink(p->a.path);
	free(p);
	return 0;
}

static bool is_alone(struct pair *p, unsigned n)
{
	(void)n;
	return !client_mount_linked(p->m.link);
}

/* Then it has registered that often. */
static void leave_and_come_back(struct pair *p, unsigned registers)
{
	atomic_store(&p->a.deaf, true);
	wait_until(is_alone, p, 0);
	atomic_store(&p->a.deaf, false);
	wait_until(has_registers, p, registers);
}

/* ---- */

static void a_mount_is_locked_and_gets_its_key_back(void **state)
{
	struct pair *p = *state;

	mount_start(p);
	assert_int_equal(atomic_load(&p->a.registered_locked), 0);
	push(&p->a, PROTO_PUSH_LOCK, 1);
	wait_until(has_done, p, 1);
	assert_int_equal(class_of(p, 1), PROTO_CLASS_OK);
	assert_string_equal(p->m.reason, "a test");
	push(&p->a, PROTO_PUSH_LOCK, 2);
	wait_until(has_done, p, 2);
	assert_int_equal(class_of(p, 2), PROTO_CLASS_OK);
	atomic_store(&p->a.stats_first, true); /* events come while the key is on its way */
	push(&p->a, PROTO_PUSH_UNLOCK, 3);
	wait_until(has_done, p, 4);
	assert_int_equal(class_of(p, 3), PROTO_CLASS_OK);
	assert_int_equal(class_of(p, 900), PROTO_CLASS_OK);
	assert_int_equal(atomic_load(&p->m.unlocks), 1);
	assert_int_equal(atomic_load(&p->a.acks), 1);
}

static void a_refused_key_leaves_it_locked(void **state)
{
	struct pair *p = *state;

	mount_start(p);
	push(&p->a, PROTO_PUSH_LOCK, 1);
	atomic_store(&p->a.refuse_unlock, true);
	push(&p->a, PROTO_PUSH_UNLOCK, 2);
	wait_until(has_done, p, 2);
	assert_int_equal(class_of(p, 2), PROTO_CLASS_KMS_DENIED);
	atomic_store(&p->a.refuse_unlock, false);
	atomic_store(&p->a.wrong_key, true);
	push(&p->a, PROTO_PUSH_UNLOCK, 3);
	wait_until(has_done, p, 3);
	assert_int_equal(class_of(p, 3), PROTO_CLASS_INTERNAL);
	atomic_store(&p->a.wrong_key, false);
	atomic_store(&p->m.unlock_fails, true);
	push(&p->a, PROTO_PUSH_UNLOCK, 4);
	wait_until(has_done, p, 4);
	assert_int_equal(class_of(p, 4), PROTO_CLASS_INTERNAL);
	assert_int_equal(atomic_load(&p->m.unlocks), 0);
	leave_and_come_back(p, 2);
	assert_int_equal(atomic_load(&p->a.registered_locked), 1);
}

static void a_lock_does_not_wait_for_a_sync(void **state)
{
	struct pair *p = *state;

	mount_start(p);
	atomic_store(&p->m.sync_hangs, true);
	push(&p->a, PROTO_PUSH_SYNC, 1);
	push(&p->a, PROTO_PUSH_LOCK, 2);
	wait_until(has_done, p, 1);
	assert_int_equal(class_of(p, 2), PROTO_CLASS_OK);
	assert_int_equal(atomic_load(&p->m.syncs), 0);
	atomic_store(&p->m.sync_hangs, false);
	wait_until(has_syncs, p, 1);
}

static void a_mount_whose_agent_stays_away_locks_itself_and_says_so(void **state)
{
	struct pair *p = *state;

	atomic_store(&p->a.grace_ms, 600);
	mount_start(p);
	assert_int_equal(atomic_load(&p->m.locks), 0);
	atomic_store(&p->a.deaf, true);
	wait_until(has_locks, p, 1);
	assert_string_equal(p->m.reason, "agent gone");
	atomic_store(&p->a.deaf, false);
	wait_until(has_registers, p, 2);
	assert_int_equal(atomic_load(&p->a.registered_locked), 1);
	assert_int_equal(atomic_load(&p->m.locks), 1);
	push(&p->a, PROTO_PUSH_UNLOCK, 1);
	wait_until(has_done, p, 1);
	assert_int_equal(class_of(p, 1), PROTO_CLASS_OK);
	atomic_store(&p->a.deaf, true); /* and again */
	wait_until(has_locks, p, 2);
}

static void a_mount_whose_agent_comes_back_in_time_goes_on(void **state)
{
	struct pair *p = *state;

	atomic_store(&p->a.grace_ms, 3600000);
	mount_start(p);
	leave_and_come_back(p, 2);
	leave_and_come_back(p, 3);
	assert_int_equal(atomic_load(&p->a.registered_locked), 0);
	assert_int_equal(atomic_load(&p->m.locks), 0);
}

static void an_agent_that_hangs_counts_as_gone(void **state)
{
	struct pair *p = *state;

	atomic_store(&p->a.grace_ms, 1500);
	mount_start(p);
	atomic_store(&p->a.hang, true);
	wait_until(has_locks, p, 1);
	assert_string_equal(p->m.reason, "agent gone");
}

static void an_agent_that_answers_is_not_gone(void **state)
{
	struct timespec t = { .tv_sec = 3 };
	struct pair *p = *state;

	atomic_store(&p->a.grace_ms, 1500);
	mount_start(p);
	(void)nanosleep(&t, NULL);
	assert_true(atomic_load(&p->a.pings) > 2);
	assert_int_equal(atomic_load(&p->m.locks), 0);
}

static void a_mount_that_is_not_taken_asks_again(void **state)
{
	struct pair *p = *state;

	atomic_store(&p->a.refuse_register, true);
	mount_start(p);
	assert_false(client_mount_linked(p->m.link));
	atomic_store(&p->a.refuse_register, false);
	wait_until(has_registers, p, 1);
}

static void a_mount_may_end_while_it_waits_for_its_key(void **state)
{
	struct pair *p = *state;

	atomic_store(&p->a.grace_ms, 1000);
	mount_start(p);
	push(&p->a, PROTO_PUSH_LOCK, 1);
	wait_until(has_done, p, 1);
	atomic_store(&p->a.refuse_unlock, true);
	push(&p->a, PROTO_PUSH_UNLOCK, 2);
	wait_until(has_unlocks, p, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mount_is_locked_and_gets_its_key_back),
		TEST(a_refused_key_leaves_it_locked),
		TEST(a_lock_does_not_wait_for_a_sync),
		TEST(a_mount_whose_agent_stays_away_locks_itself_and_says_so),
		TEST(a_mount_whose_agent_comes_back_in_time_goes_on),
		TEST(an_agent_that_hangs_counts_as_gone),
		TEST(an_agent_that_answers_is_not_gone),
		TEST(a_mount_that_is_not_taken_asks_again),
		TEST(a_mount_may_end_while_it_waits_for_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
