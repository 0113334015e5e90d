/* test_agent_mount.c: a mount's lasting link: register, status, sync, what was seen, reports, an agent that comes and goes. */
#include "agent_fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/json.h"

struct fake_mount {
	atomic_int syncs;
	atomic_int sync_result;
	atomic_int sync_ms;
	struct client_mount *link;
};

static void pause_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static int fake_stats(void *arg, struct proto_stats *ret_stats)
{
	struct fake_mount *m = arg;

	(void)strcpy(ret_stats->state, "ready");
	(void)strcpy(ret_stats->since, "2026-01-01T00:00:00Z");
	ret_stats->log_size_bytes = 67108864;
	ret_stats->dirty_bytes = 4096;
	ret_stats->replayed_transactions = (uint64_t)atomic_load(&m->syncs);
	return 0;
}

static int fake_sync(void *arg)
{
	struct fake_mount *m = arg;

	pause_ms(atomic_load(&m->sync_ms));
	atomic_fetch_add(&m->syncs, 1);
	return atomic_load(&m->sync_result);
}

static const struct client_mount_ops fake_ops = { .stats = fake_stats, .sync = fake_sync };

static void mount_start(struct agent_fixture *f, struct agent_volume *v, struct fake_mount *m, const char *mountpoint)
{
	struct client_mount_info info = { .volume = "data", .source = "/srv/data", .mountpoint = mountpoint,
					  .instance = v->instance };

	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(client_mount_start(&f->c, &info, &fake_ops, m, &m->link), 0);
	assert_null(f->c);
	agent_fixture_connect(f);
}

static struct json *status(struct agent_fixture *f)
{
	struct json *o = NULL;
	char *text = NULL;

	assert_int_equal(client_status(f->c, &text), 0);
	assert_int_equal(json_parse(text, strlen(text), PROTO_STATUS_MAX, &o), 0);
	free(text);
	return o;
}

static const struct json *mount_at(const struct json *o, size_t i)
{
	const struct json *a;

	assert_int_equal(json_get_array(o, "mounts", &a), 0);
	return json_array_at(a, i);
}

static void text_is(const struct json *o, const char *key, const char *want)
{
	const char *text;

	assert_int_equal(json_get_str(o, key, &text), 0);
	assert_string_equal(text, want);
}

static void number_is(const struct json *o, const char *key, int64_t want)
{
	int64_t n;

	assert_int_equal(json_get_int(o, key, &n), 0);
	assert_int_equal(n, want);
}

static void status_of_a_host_without_mounts_is_empty(void **state)
{
	struct agent_fixture *f = *state;
	const struct json *agent;
	struct json *o = status(f);

	number_is(o, "version", 1);
	assert_int_equal(json_get_object(o, "agent", &agent), 0);
	number_is(agent, "pid", f->pid);
	assert_null(mount_at(o, 0));
	json_free(o);
}

static void status_shows_what_a_mount_says_and_what_the_agent_knows(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct fake_mount m = { 0 };
	const struct json *mount, *log, *lease;
	char uuid[33];
	struct json *o;

	mount_start(f, v, &m, "/mnt/a");
	o = status(f);
	mount = mount_at(o, 0);
	assert_non_null(mount);
	assert_null(mount_at(o, 1));
	volume_config_uuid_text(v->instance.uuid, uuid);
	text_is(mount, "volume", "data");
	text_is(mount, "uuid", uuid);
	text_is(mount, "tenant", "acme");
	text_is(mount, "source", "/srv/data");
	text_is(mount, "mountpoint", "/mnt/a");
	text_is(mount, "state", "ready");
	number_is(mount, "pid", getpid());
	number_is(mount, "dirty_bytes", 4096);
	number_is(mount, "read_bytes", 0);
	number_is(mount, "integrity_failures", 0);
	assert_int_equal(json_get_object(mount, "log", &log), 0);
	number_is(log, "size_bytes", 67108864);
	assert_int_equal(json_get_object(mount, "lease", &lease), 0);
	text_is(lease, "state", "ACTIVE");
	text_is(lease, "key_uri", v->cfg->slots[0].kms);
	json_free(o);
	client_mount_stop(m.link);
	agent_volume_free(v);
}

static void status_of_more_mounts_than_fit_a_packet_shows_them_all(void **state)
{
	enum { MANY = 150 };
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	static struct fake_mount m[MANY];
	char mountpoint[64];
	struct json *o;
	char *text;

	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(mountpoint, sizeof(mountpoint), "/srv/a/rather/long/way/to/the/mount/point/%u", i);
		mount_start(f, v, &m[i], mountpoint);
	}
	assert_int_equal(client_status(f->c, &text), 0);
	assert_true(strlen(text) > PROTO_PACKET_MAX);
	free(text);
	o = status(f);
	text_is(mount_at(o, 0), "mountpoint", mountpoint); /* the newest first */
	text_is(mount_at(o, MANY - 1), "mountpoint", "/srv/a/rather/long/way/to/the/mount/point/0");
	text_is(mount_at(o, MANY - 1), "state", "ready");
	assert_null(mount_at(o, MANY));
	json_free(o);
	for (unsigned i = 0; i < MANY; i++)
		client_mount_stop(m[i].link);
	agent_volume_free(v);
}

static void a_mount_that_leaves_leaves_the_status(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct fake_mount m = { 0 };
	struct json *o;
	int i, there = 1;

	mount_start(f, v, &m, "/mnt/a");
	client_mount_stop(m.link);
	for (i = 0; i < 100 && there; i++) {
		o = status(f);
		there = mount_at(o, 0) != NULL;
		json_free(o);
		pause_ms(20);
	}
	assert_false(there);
	agent_volume_free(v);
}

static void sync_reaches_the_mount_and_its_result_comes_back(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct fake_mount m = { 0 };

	mount_start(f, v, &m, "/mnt/a");
	assert_int_equal(client_sync(f->c, "/mnt/a", -1), 0);
	assert_int_equal(atomic_load(&m.syncs), 1);
	atomic_store(&m.sync_result, -EIO);
	assert_int_equal(client_sync(f->c, "/mnt/a", -1), -EIO);
	assert_int_equal(atomic_load(&m.syncs), 2);
	assert_int_equal(client_sync(f->c, "/mnt/b", -1), -ENOTCONN);
	assert_int_equal(client_error(f->c)->exit_code, 14);
	client_mount_stop(m.link);
	agent_volume_free(v);
}

static void *sync_main(void *p)
{
	struct client *c = client_new(p);
	static int r;

	r = client_connect(c);
	if (r >= 0)
		r = client_sync(c, "/mnt/a", -1);
	client_free(c);
	return &r;
}

static void status_is_answered_while_a_sync_runs(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct fake_mount m = { .sync_ms = 1500 };
	const struct json *mount;
	bool answering = false;
	struct json *o;
	pthread_t t;
	void *r;

	mount_start(f, v, &m, "/mnt/a");
	assert_int_equal(pthread_create(&t, NULL, sync_main, f->socket), 0);
	pause_ms(300);
	o = status(f);
	mount = mount_at(o, 0);
	assert_int_equal(json_get_bool(mount, "answering", &answering), 0);
	assert_true(answering);
	number_is(mount, "dirty_bytes", 4096);
	assert_int_equal(atomic_load(&m.syncs), 0);
	json_free(o);
	assert_int_equal(pthread_join(t, &r), 0);
	assert_int_equal(*(int *)r, 0);
	client_mount_stop(m.link);
	agent_volume_free(v);
}

static void a_mount_that_does_not_answer_does_not_hold_up_status(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_request *req = calloc(1, sizeof(*req));
	int sock = agent_fixture_raw(f);
	uint64_t start = clock_boot_ms();
	bool answering = true;
	char buf[1024], *text = NULL;
	struct json *o;

	req->id = 2;
	req->op = PROTO_OP_REGISTER;
	req->instance = v->instance;
	(void)strcpy(req->mountpoint, "/mnt/silent");
	assert_int_equal(proto_request_put(req, &text), 0);
	assert_int_equal(agent_fixture_send(sock, text, -1), 0);
	assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, NULL) > 0);
	assert_non_null(strstr(buf, "\"ok\":true"));
	o = status(f);
	assert_true(clock_boot_ms() - start < 6000);
	assert_int_equal(json_get_bool(mount_at(o, 0), "answering", &answering), 0);
	assert_false(answering);
	json_free(o);
	(void)close(sock);
	free(text);
	free(req);
	agent_volume_free(v);
}

static void a_mounts_connection_unlocks_nothing_else(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_request *req = calloc(1, sizeof(*req));
	int sock = agent_fixture_raw(f), i;
	static const enum proto_op ops[] = { PROTO_OP_REGISTER, PROTO_OP_UNLOCK };
	char buf[1024], *text;

	for (i = 0; i < 2; i++) {
		req->id = i + 2;
		req->op = ops[i];
		req->instance = v->instance;
		assert_int_equal(proto_request_put(req, &text), 0);
		assert_int_equal(agent_fixture_send(sock, text, -1), 0);
		assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, NULL) > 0);
		assert_non_null(strstr(buf, i == 0 ? "\"ok\":true" : "a mount's already"));
		free(text);
	}
	(void)close(sock);
	free(req);
	agent_volume_free(v);
}

static void a_sync_ends_when_its_mount_dies(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_request *req = calloc(1, sizeof(*req));
	int sock = agent_fixture_raw(f);
	char buf[1024], *text = NULL;
	pthread_t t;
	void *r;

	req->id = 2;
	req->op = PROTO_OP_REGISTER;
	req->instance = v->instance;
	(void)strcpy(req->mountpoint, "/mnt/a");
	assert_int_equal(proto_request_put(req, &text), 0);
	assert_int_equal(agent_fixture_send(sock, text, -1), 0);
	assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, NULL) > 0);
	assert_int_equal(pthread_create(&t, NULL, sync_main, f->socket), 0);
	assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, NULL) > 0);
	assert_non_null(strstr(buf, "\"event\":\"sync\""));
	(void)close(sock);
	assert_int_equal(pthread_join(t, &r), 0);
	assert_int_equal(*(int *)r, -ENOTCONN);
	free(text);
	free(req);
	agent_volume_free(v);
}

static struct proto_seen seen_of(uint64_t limit)
{
	struct proto_seen s = { .config_version = 5, .stamp_limit = limit };

	s.generation[0] = (uint8_t)(limit >> 8);
	return s;
}

/* What the agent would tell the next mount. */
static struct proto_seen seen_now(struct agent_fixture *f, struct agent_volume *v)
{
	struct client_unlocked u;
	struct secret *root = NULL;

	assert_int_equal(client_unlock(f->c, "test", v->config, v->config_len, &v->instance, &u, &root), 0);
	secret_free(root);
	return u.seen;
}

static void what_a_mount_made_durable_is_remembered_over_a_restart(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_seen s = seen_of(1 << 20), older = seen_of(1 << 19);
	struct client_unlocked u = { 0 };
	struct client_trusted t;
	struct fake_mount m = { 0 };

	mount_start(f, v, &m, "/mnt/a");
	client_mount_seen(m.link, &s);
	client_mount_stop(m.link); /* sends what is queued */
	assert_int_equal(agent_fixture_stop(f, SIGKILL), -SIGKILL);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	u.seen = seen_now(f, v);
	assert_memory_equal(&u.seen, &s, sizeof(s));
	assert_int_equal(client_seen_check(&u, &s), 0);
	assert_int_equal(client_seen_check(&u, &older), -ESTALE);
	assert_int_equal(client_trust(f->c, v->config, v->config_len, &v->instance, true, &t), 0);
	u.seen = seen_now(f, v);
	assert_int_equal(client_seen_check(&u, &older), 0);
	/* the older one, once mounted, is what counts from then on */
	mount_start(f, v, &m, "/mnt/a");
	client_mount_seen(m.link, &older);
	client_mount_stop(m.link);
	u.seen = seen_now(f, v);
	assert_memory_equal(&u.seen, &older, sizeof(older));
	agent_volume_free(v);
}

static void an_older_seen_is_not_believed(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_seen s = seen_of(1 << 20), older = seen_of(1 << 19), now;
	struct fake_mount m = { 0 };
	char *text;

	mount_start(f, v, &m, "/mnt/a");
	client_mount_seen(m.link, &s);
	pause_ms(300);
	client_mount_seen(m.link, &older);
	client_mount_stop(m.link);
	now = seen_now(f, v);
	assert_memory_equal(&now, &s, sizeof(s));
	text = agent_fixture_audit(f);
	assert_non_null(strstr(text, "\"event\":\"volume.seen\""));
	free(text);
	agent_volume_free(v);
}

static void a_mount_comes_back_while_the_log_cannot_be_written(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct client_mount_info info = { .volume = "data", .source = "/srv/data", .mountpoint = "/mnt/a", .instance = v->instance };
	struct rlimit none = { 0, RLIM_INFINITY }, old;
	struct fake_mount m = { 0 };

	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &none, &old), 0);
	assert_int_equal(client_mount_start(&f->c, &info, &fake_ops, &m, &m.link), 0);
	agent_fixture_connect(f);
	agent_volume_refused(f, v, PROTO_CLASS_AUDIT, 21, "audit log");
	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &old, NULL), 0);
	agent_fixture_connect(f);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	client_mount_stop(m.link);
	agent_volume_free(v);
}

static void damage_that_a_mount_reports_is_audited(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct fake_mount m = { 0 };
	char *text;
	int i;

	mount_start(f, v, &m, "/mnt/a");
	client_mount_report(m.link, PROTO_KIND_INTEGRITY, "file", "q3Zk/\xff block 7");
	for (i = 0; i < 500; i++)
		client_mount_report(m.link, PROTO_KIND_REPLAY, "file", "again");
	client_mount_stop(m.link);
	text = agent_fixture_audit(f);
	assert_non_null(strstr(text, "\"event\":\"mount.integrity\""));
	assert_non_null(strstr(text, "q3Zk/\\\\xff block 7"));
	assert_non_null(strstr(text, "\"event\":\"mount.register\""));
	assert_non_null(strstr(text, "\"tenant\":\"acme\""));
	free(text);
	agent_volume_free(v);
}

static void a_client_may_report_that_its_volume_is_older(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	char *text;

	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(client_report(f->c, PROTO_KIND_OLDER, "state", "stamp limit", 1), 0);
	text = agent_fixture_audit(f);
	assert_non_null(strstr(text, "\"event\":\"volume.older\""));
	free(text);
	agent_fixture_connect(f);
	assert_int_equal(client_report(f->c, PROTO_KIND_OLDER, "state", "stamp limit", 1), -EPROTO);
	agent_volume_free(v);
}

static void a_mount_outlives_the_agent_and_links_again(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_seen s = seen_of(1 << 20), now;
	struct fake_mount m = { 0 };
	struct json *o;
	int i;

	mount_start(f, v, &m, "/mnt/a");
	assert_true(client_mount_linked(m.link));
	assert_int_equal(agent_fixture_stop(f, SIGKILL), -SIGKILL);
	for (i = 0; i < 250 && client_mount_linked(m.link); i++)
		pause_ms(20);
	assert_false(client_mount_linked(m.link));
	client_mount_seen(m.link, &s); /* kept until the agent is back */
	agent_fixture_start(f);
	for (i = 0; i < 750 && !client_mount_linked(m.link); i++)
		pause_ms(20);
	assert_true(client_mount_linked(m.link));
	agent_fixture_connect(f);
	o = status(f);
	text_is(mount_at(o, 0), "mountpoint", "/mnt/a");
	text_is(mount_at(o, 0), "tenant", "acme");
	json_free(o);
	assert_int_equal(client_sync(f->c, "/mnt/a", -1), 0);
	client_mount_stop(m.link);
	now = seen_now(f, v);
	assert_memory_equal(&now, &s, sizeof(s));
	agent_volume_free(v);
}

static void a_mount_may_stop_while_there_is_no_agent(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct fake_mount m = { 0 };
	uint64_t start;

	mount_start(f, v, &m, "/mnt/a");
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	start = clock_boot_ms();
	client_mount_stop(m.link);
	assert_true(clock_boot_ms() - start < 3000);
	agent_volume_free(v);
}

static void without_an_agent_the_message_says_how_to_start_it(void **state)
{
	struct agent_fixture *f = *state;
	struct client *c = client_new(f->socket);

	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	assert_int_equal(client_connect(c), -ECONNREFUSED);
	assert_int_equal(client_error(c)->exit_code, 10);
	assert_non_null(strstr(client_error(c)->message, "start it"));
	client_free(c);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, agent_fixture_setup, agent_fixture_teardown)

/* --- a slow disk --- */

static void one_byte(int fd, bool write_it)
{
	char c = 'x';

	assert_int_equal(write_it ? write(fd, &c, 1) : read(fd, &c, 1), 1);
}

/* Unlocks when it has said so, and says when it has the key. */
static pid_t unlocker(struct agent_fixture *f, struct agent_volume *v, int *ret_fd)
{
	int p[2];
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		agent_fixture_connect(f);
		one_byte(p[1], true);
		if (agent_volume_unlock(f, v) != 0)
			_exit(1);
		one_byte(p[1], true);
		_exit(0);
	}
	(void)close(p[1]);
	*ret_fd = p[0];
	return pid;
}

/* The agent again, with this source of C before the C library's functions; false: there is no compiler. */
static bool agent_preloaded(struct agent_fixture *f, const char *source)
{
	char command[512], so[128];

	(void)snprintf(so, sizeof(so), "%s/preload.so", f->dir);
	(void)snprintf(command, sizeof(command), "${CC:-cc} -shared -fPIC -O1 -o %s %s", so, source);
	if (system(command) != 0)
		return false;
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	setenv("LD_PRELOAD", so, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
	agent_fixture_start(f);
	unsetenv("LD_PRELOAD");
	unsetenv("ASAN_OPTIONS");
	agent_fixture_connect(f);
	return true;
}

/* A flush takes 0.3 s (tests/mount/slow_sync.c). The key whose row it is waits; others are served meanwhile. */
static void a_slow_disk_holds_up_the_key_and_not_the_agent(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct pollfd done = { .events = POLLIN };
	char source[256];
	int status, served = 0;
	uint64_t ms;
	pid_t pid;

	(void)snprintf(source, sizeof(source), "%s/tests/mount/slow_sync.c", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
	if (!agent_preloaded(f, source)) {
		agent_volume_free(v);
		skip();
	}
	pid = unlocker(f, v, &done.fd);
	one_byte(done.fd, false);
	for (ms = clock_boot_ms(); poll(&done, 1, 0) == 0; served++) {
		AUTO_FREE char *text = NULL;

		assert_int_equal(client_status(f->c, &text), 0);
	}
	ms = clock_boot_ms() - ms;
	one_byte(done.fd, false);
	(void)close(done.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	print_message("a key came after %llu ms; %d others were answered meanwhile\n", (unsigned long long)ms, served);
	assert_true(ms >= 250);
	assert_true(served >= 30); /* without the thread: those before its request came, about ten */
	agent_volume_free(v);
}

/* No audit, no unlock: also when it is the thread that finds out. */
static void a_key_whose_row_is_lost_stays(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	char source[128], flag[128];
	FILE *file;

	(void)snprintf(source, sizeof(source), "%s/fail.c", f->dir);
	(void)snprintf(flag, sizeof(flag), "%s/fail", f->dir);
	file = fopen(source, "w");
	assert_non_null(file);
	(void)fprintf(file, "#include <errno.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n"
			    "int fdatasync(int fd) { if (access(\"%s\", F_OK) == 0) { errno = EIO; return -1; } return (int)syscall(SYS_fdatasync, fd); }\n", flag);
	assert_int_equal(fclose(file), 0);
	if (!agent_preloaded(f, source)) {
		agent_volume_free(v);
		skip();
	}
	assert_int_equal(agent_volume_unlock(f, v), 0);
	file = fopen(flag, "w");
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	agent_volume_refused(f, v, PROTO_CLASS_AUDIT, 21, "the audit log cannot be written");
	agent_volume_refused(f, v, PROTO_CLASS_AUDIT, 21, "the audit log cannot be written");
	assert_int_equal(unlink(flag), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_of_a_host_without_mounts_is_empty),
		TEST(status_shows_what_a_mount_says_and_what_the_agent_knows),
		TEST(status_of_more_mounts_than_fit_a_packet_shows_them_all),
		TEST(a_mount_that_leaves_leaves_the_status),
		TEST(sync_reaches_the_mount_and_its_result_comes_back),
		TEST(status_is_answered_while_a_sync_runs),
		TEST(a_mount_that_does_not_answer_does_not_hold_up_status),
		TEST(a_mounts_connection_unlocks_nothing_else),
		TEST(a_sync_ends_when_its_mount_dies),
		TEST(what_a_mount_made_durable_is_remembered_over_a_restart),
		TEST(an_older_seen_is_not_believed),
		TEST(a_mount_comes_back_while_the_log_cannot_be_written),
		TEST(damage_that_a_mount_reports_is_audited),
		TEST(a_client_may_report_that_its_volume_is_older),
		TEST(a_mount_outlives_the_agent_and_links_again),
		TEST(a_mount_may_stop_while_there_is_no_agent),
		TEST(without_an_agent_the_message_says_how_to_start_it),
		TEST(a_slow_disk_holds_up_the_key_and_not_the_agent),
		TEST(a_key_whose_row_is_lost_stays),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
