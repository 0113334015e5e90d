/* test_agent_lease.c: mounts of a running agent and a key service whose answers change: what locks them, what does not, what opens them again; and what the agent does
 * meanwhile. The key is fail:file-k of the test build: CONFIG/keys/k says what is answered, k.calls counts. */
#include "agent_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/json.h"

#define PATIENCE_MS 60000
#define RULES "[tenant]\nprobe=1s\nconfirm=2/1s\nmax-stale=5s\nmax-auth=3s\n"

struct fake {
	atomic_int locks, unlocks;
	atomic_bool locked;
	struct agent_volume *v;
	struct client_mount *link;
	char reason[256];
};

static void pause_ms(int ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* --- the key service --- */

static void answer_at(struct agent_fixture *f, const char *name, const char *text)
{
	char dir[160], tmp[200], path[200];
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s/keys", f->config);
	(void)snprintf(tmp, sizeof(tmp), "%s/.new", dir);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fileio_write_full(fd, text, strlen(text)), 0);
	(void)close(fd);
	assert_int_equal(rename(tmp, path), 0);
}

static void answer(struct agent_fixture *f, const char *text)
{
	answer_at(f, "k", text);
}

static size_t calls(struct agent_fixture *f)
{
	char path[200];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/keys/k.calls", f->config);
	return stat(path, &st) < 0 ? 0 : (size_t)st.st_size;
}

/* --- mounts --- */

static int fake_stats(void *arg, struct proto_stats *ret_stats)
{
	(void)arg;
	strcpy(ret_stats->state, "ready");
	strcpy(ret_stats->since, "2026-01-01T00:00:00Z");
	return 0;
}

static int fake_lock(void *arg, const char *reason)
{
	struct fake *m = arg;

	(void)snprintf(m->reason, sizeof(m->reason), "%s", reason);
	atomic_store(&m->locked, true);
	atomic_fetch_add(&m->locks, 1);
	return 0;
}

static int fake_config(void *arg, uint8_t **ret_config, size_t *ret_len)
{
	struct fake *m = arg;

	*ret_config = malloc(m->v->config_len);
	memcpy(*ret_config, m->v->config, m->v->config_len);
	*ret_len = m->v->config_len;
	return 0;
}

static int fake_unlock(void *arg, const uint8_t *config, size_t len, const struct client_unlocked *unlocked, struct secret **root)
{
	struct fake *m = arg;
	bool fits = secret_equal(secret_bytes(*root), secret_bytes(m->v->root), KEY_LEN);

	(void)config;
	(void)len;
	(void)unlocked;
	secret_free(take_ptr(*root));
	if (!fits)
		return -EKEYREJECTED;
	atomic_store(&m->locked, false);
	atomic_fetch_add(&m->unlocks, 1);
	return 0;
}

static const struct client_mount_ops fake_ops = { .stats = fake_stats, .lock = fake_lock, .config = fake_config, .unlock = fake_unlock };

static void mount_start(struct agent_fixture *f, struct fake *m, struct agent_volume *v, const char *mountpoint)
{
	struct client_mount_info info = { .volume = "data", .source = "/srv/data", .mountpoint = mountpoint, .instance = v->instance };

	m->v = v;
	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(client_mount_start(&f->c, &info, &fake_ops, m, &m->link), 0);
	agent_fixture_connect(f);
}

static void wait_for(const char *what, struct fake *m, bool locked)
{
	int ms;

	for (ms = 0; atomic_load(&m->locked) != locked; ms += 20) {
		if (ms >= PATIENCE_MS)
			fail_msg("not in time: %s", what);
		pause_ms(20);
	}
}

/* The lease's state of the only mount, and its reason. */
static void lease_is(struct agent_fixture *f, const char *state, const char *reason, bool locks_at)
{
	const struct json *mounts, *lease;
	const char *is, *why, *at;
	struct json *o = NULL;
	char *text = NULL;
	int ms;
	bool fits;

	for (ms = 0;; ms += 50) {
		assert_int_equal(client_status(f->c, &text), 0);
		assert_int_equal(json_parse(text, strlen(text), PROTO_STATUS_MAX, &o), 0);
		assert_int_equal(json_get_array(o, "mounts", &mounts), 0);
		assert_int_equal(json_get_object(json_array_at(mounts, 0), "lease", &lease), 0);
		assert_int_equal(json_get_str(lease, "state", &is), 0);
		assert_int_equal(json_get_str(lease, "reason", &why), 0);
		fits = strcmp(is, state) == 0 && strstr(why, reason) && (json_get_str(lease, "locks_at", &at) >= 0) == locks_at;
		if (!fits && ms >= PATIENCE_MS)
			fail_msg("lease is not %s: %s", state, text);
		json_free(o);
		free(text);
		if (fits)
			return;
		pause_ms(50);
	}
}

static struct agent_volume *volume_with(struct agent_fixture *f, const char *rules)
{
	struct agent_volume *v;

	agent_fixture_rules(f, "acme", rules);
	agent_fixture_reload(f);
	answer(f, "OK");
	v = agent_volume_new(f, "acme", "fail:file-k");
	return v;
}

static void done(struct fake *m, struct agent_volume *v)
{
	client_mount_stop(m->link);
	agent_volume_free(v);
}

/* --- what locks --- */

static void a_revoked_key_locks_and_a_good_answer_opens(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, RULES);
	struct fake m = { 0 };
	size_t before;

	mount_start(f, &m, v, "/mnt/a");
	lease_is(f, "ACTIVE", "", false);
	for (before = calls(f); calls(f) < before + 3; ) /* it is really asked */
		pause_ms(20);
	answer(f, "REVOKED");
	wait_for("the lock", &m, true);
	assert_non_null(strstr(m.reason, "revoked"));
	lease_is(f, "LOCKED", "revoked", false);
	assert_int_equal(agent_fixture_audited(f, "key.revoked_seen"), 1);
	answer(f, "OK");
	wait_for("the unlock", &m, false);
	lease_is(f, "ACTIVE", "", false);
	assert_int_equal(agent_fixture_audited(f, "\"key.lock\""), 1);
	assert_int_equal(agent_fixture_audited(f, "\"key.unlock\""), 1);
	assert_int_equal(atomic_load(&m.locks), 1);
	done(&m, v);
}

static void a_refusal_is_confirmed_before_it_locks(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "[tenant]\nprobe=1s\nconfirm=3/1s\nmax-stale=1h\n");
	struct fake m = { 0 };

	mount_start(f, &m, v, "/mnt/a");
	answer(f, "DENIED");
	lease_is(f, "SUSPECT", "refused as asked", true);
	answer(f, "OK");
	lease_is(f, "ACTIVE", "", false);
	assert_int_equal(atomic_load(&m.locks), 0);
	answer(f, "DENIED");
	wait_for("the lock", &m, true);
	assert_non_null(strstr(m.reason, "refuses"));
	assert_true(agent_fixture_audited(f, "key.suspect") >= 2);
	done(&m, v);
}

static void an_outage_is_borne_until_max_stale(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, RULES);
	struct fake m = { 0 };
	uint64_t begin;

	mount_start(f, &m, v, "/mnt/a");
	begin = clock_boot_ms();
	answer(f, "TRANSIENT");
	lease_is(f, "STALE", "refused as asked", true);
	assert_int_equal(atomic_load(&m.locks), 0);
	wait_for("the lock", &m, true);
	assert_true(clock_boot_ms() - begin >= 5000);
	assert_non_null(strstr(m.reason, "max-stale"));
	answer(f, "OK");
	wait_for("the unlock", &m, false);
	assert_int_equal(agent_fixture_audited(f, "key.stale_begin"), 1);
	done(&m, v);
}

static void our_own_credential_refused_locks_after_max_auth(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "[tenant]\nprobe=1s\nmax-stale=1h\nmax-auth=2s\n");
	struct fake m = { 0 };

	mount_start(f, &m, v, "/mnt/a");
	answer(f, "AUTH");
	wait_for("the lock", &m, true);
	assert_non_null(strstr(m.reason, "credential"));
	done(&m, v);
}

static void without_auto_unlock_it_waits_for_an_operator(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, RULES "auto-unlock=no\n");
	struct fake m = { 0 };
	uint64_t mounts;
	size_t before;

	mount_start(f, &m, v, "/mnt/a");
	answer(f, "REVOKED");
	wait_for("the lock", &m, true);
	/* an operator does not override the KMS */
	assert_int_equal(client_lock_end(f->c, "acme", NULL, &mounts), -EBUSY);
	assert_true(atomic_load(&m.locked));
	/* that was asked for, so it opens when it may; of a later lock the next probe says nothing */
	answer(f, "OK");
	wait_for("the unlock", &m, false);
	answer(f, "REVOKED");
	wait_for("the second lock", &m, true);
	answer(f, "OK");
	for (before = calls(f); calls(f) < before + 3; )
		pause_ms(20);
	assert_true(atomic_load(&m.locked));
	assert_int_equal(client_lock_end(f->c, "acme", NULL, &mounts), 0);
	assert_int_equal(mounts, 1);
	assert_false(atomic_load(&m.locked));
	lease_is(f, "ACTIVE", "", false);
	done(&m, v);
}

static void a_refused_unlock_makes_the_mounts_of_the_volume_ask(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "[tenant]\nprobe=1h\nmax-stale=24h\n");
	struct fake m = { 0 };

	mount_start(f, &m, v, "/mnt/a");
	answer(f, "REVOKED");
	agent_volume_refused(f, v, PROTO_CLASS_REVOKED, 12, "refused as asked");
	wait_for("the lock", &m, true); /* long before its hour */
	done(&m, v);
}

static void another_slot_serves_an_outage_of_the_first(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "[tenant]\nprobe=1s\nmax-stale=1h\n"), *two;
	struct fake m = { 0 };

	agent_volume_free(v);
	two = agent_volume_new2(f, "acme", "fail:file-k", "fail:file-j");
	mount_start(f, &m, two, "/mnt/a");
	answer(f, "TRANSIENT");
	lease_is(f, "STALE", "refused as asked", true);
	assert_int_equal(agent_volume_unlock(f, two), 0); /* by the second */
	answer_at(f, "j", "REVOKED");
	wait_for("the lock", &m, true); /* what the second says counts as much */
	done(&m, two);
}

/* --- an agent that comes and goes --- */

static void a_new_agent_asks_about_mounts_that_come_back(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, RULES);
	struct fake m = { 0 };

	mount_start(f, &m, v, "/mnt/a");
	assert_int_equal(agent_fixture_stop(f, SIGKILL), -SIGKILL);
	answer(f, "REVOKED"); /* while nobody asks */
	agent_fixture_start(f);
	agent_fixture_connect(f);
	wait_for("the lock", &m, true);
	assert_int_equal(agent_fixture_stop(f, SIGKILL), -SIGKILL);
	answer(f, "OK");
	agent_fixture_start(f);
	agent_fixture_connect(f);
	wait_for("the unlock", &m, false); /* it came back locked, and the key is good */
	done(&m, v);
}

/* --- threads --- */

/* A process that is connected, and unlocks when the last descriptor of go[1] is closed. */
static pid_t unlock_in_child_at(struct agent_fixture *f, struct agent_volume *v, const int go[2], int up)
{
	pid_t pid = fork();
	char c;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(go[1]);
		agent_fixture_connect(f);
		if (write(up, "1", 1) != 1 || read(go[0], &c, 1) != 0)
			_exit(2);
		_exit(agent_volume_unlock(f, v) == 0 ? 0 : 1);
	}
	return pid;
}

static pid_t unlock_in_child(struct agent_fixture *f, struct agent_volume *v)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		agent_fixture_connect(f);
		_exit(agent_volume_unlock(f, v) == 0 ? 0 : 1);
	}
	return pid;
}

static void children_end_well(pid_t *pid, unsigned n)
{
	int status;

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
}

static void those_who_want_the_same_key_share_one_call(void **state)
{
	enum { MANY = 30 };
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "");
	pid_t pid[MANY];
	int go[2], up[2];
	size_t before;
	char c;

	answer(f, "OK 4000");
	before = calls(f);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	for (unsigned i = 0; i < MANY; i++)
		pid[i] = unlock_in_child_at(f, v, go, up[1]);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(read(up[0], &c, 1), 1);
	(void)close(go[1]); /* now */
	children_end_well(pid, MANY);
	(void)close(go[0]);
	(void)close(up[0]);
	(void)close(up[1]);
	assert_in_range(calls(f) - before, 1, MANY / 3); /* one, but on a machine that needs seconds for 30 requests */
	assert_true(agent_fixture_audited(f, "\"key.unwrap\"") >= MANY); /* each has its row */
	agent_volume_free(v);
}

static void different_keys_are_asked_for_side_by_side_and_status_does_not_wait(void **state)
{
	enum { MANY = 16 };
	struct agent_fixture *f = *state;
	struct agent_volume *v[MANY], *first = volume_with(f, "");
	uint64_t begin, status_ms;
	pid_t pid[MANY];
	char *text;

	for (unsigned i = 0; i < MANY; i++)
		v[i] = agent_volume_new(f, "acme", "fail:file-k");
	answer(f, "OK 2000");
	begin = clock_boot_ms();
	for (unsigned i = 0; i < MANY; i++)
		pid[i] = unlock_in_child(f, v[i]);
	pause_ms(300);
	status_ms = clock_boot_ms();
	assert_int_equal(client_status(f->c, &text), 0);
	status_ms = clock_boot_ms() - status_ms;
	children_end_well(pid, MANY);
	assert_true(clock_boot_ms() - begin < MANY * 2000 / 2);
	assert_true(status_ms < 1500);
	free(text);
	for (unsigned i = 0; i < MANY; i++)
		agent_volume_free(v[i]);
	agent_volume_free(first);
}

/* As at boot: every volume's mount asks at once, each in a process of its own, 32 of them at a time. COFFER_LOAD=1000 for the figure of docs/performance.md. */
static void many_volumes_are_unlocked_at_boot(void **state)
{
	enum { PROCESSES = 32 };
	unsigned many = getenv("COFFER_LOAD") ? (unsigned)atoi(getenv("COFFER_LOAD")) : 64;
	struct agent_fixture *f = *state;
	struct agent_volume **v = calloc(many, sizeof(struct agent_volume *)), *first = volume_with(f, "");
	pid_t pid[PROCESSES];
	size_t before;
	uint64_t ms;

	for (unsigned i = 0; i < many; i++)
		v[i] = agent_volume_new(f, "acme", "fail:file-k");
	answer(f, "OK 50"); /* milliseconds: a KMS of the same region */
	before = calls(f);
	ms = clock_boot_ms();
	for (unsigned n = 0; n < PROCESSES; n++) {
		pid[n] = fork();
		assert_true(pid[n] >= 0);
		if (pid[n] > 0)
			continue;
		for (unsigned i = n; i < many; i += PROCESSES) {
			agent_fixture_connect(f);
			if (agent_volume_unlock(f, v[i]) != 0)
				_exit(1);
		}
		_exit(0);
	}
	children_end_well(pid, PROCESSES);
	ms = clock_boot_ms() - ms;
	print_message("%u volumes unlocked in %llu ms: %llu a second, %zu calls of the KMS (50 ms each)\n", many, (unsigned long long)ms,
		      (unsigned long long)(many * 1000ull / (ms ? ms : 1)), calls(f) - before);
	assert_int_equal(calls(f) - before, many);
	for (unsigned i = 0; i < many; i++)
		agent_volume_free(v[i]);
	free(v);
	agent_volume_free(first);
}

static void a_connection_that_ends_during_its_unwrap_gets_nothing(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "");
	pid_t pid;
	int status;

	answer(f, "OK 1500");
	pid = unlock_in_child(f, v);
	pause_ms(700);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	answer(f, "OK");
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void the_agent_ends_while_it_is_asked(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = volume_with(f, "");
	int status;
	pid_t pid;

	answer(f, "OK 1500");
	pid = unlock_in_child(f, v);
	pause_ms(500);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	answer(f, "OK");
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

#define LEASE_TEST(name) cmocka_unit_test_setup_teardown(name, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEASE_TEST(a_revoked_key_locks_and_a_good_answer_opens),
		LEASE_TEST(a_refusal_is_confirmed_before_it_locks),
		LEASE_TEST(an_outage_is_borne_until_max_stale),
		LEASE_TEST(our_own_credential_refused_locks_after_max_auth),
		LEASE_TEST(without_auto_unlock_it_waits_for_an_operator),
		LEASE_TEST(a_refused_unlock_makes_the_mounts_of_the_volume_ask),
		LEASE_TEST(another_slot_serves_an_outage_of_the_first),
		LEASE_TEST(a_new_agent_asks_about_mounts_that_come_back),
		LEASE_TEST(those_who_want_the_same_key_share_one_call),
		LEASE_TEST(different_keys_are_asked_for_side_by_side_and_status_does_not_wait),
		LEASE_TEST(many_volumes_are_unlocked_at_boot),
		LEASE_TEST(a_connection_that_ends_during_its_unwrap_gets_nothing),
		LEASE_TEST(the_agent_ends_while_it_is_asked),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
