/* test_agent_hostile.c: what a hostile or broken client can send, and what comes of it: a refusal, never a hang, a key or
 * the agent's end. */
#include "agent_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/packet.h"

#define STRANGER 54321

static char buf[PROTO_PACKET_MAX + 1];

static void answered(int sock, const char *text)
{
	int r = agent_fixture_recv(sock, buf, sizeof(buf), 10000, NULL);

	if (r <= 0 || !strstr(buf, text))
		fail_msg("no answer with %s, but %d: %s", text, r, r > 0 ? buf : "");
}

static void ended(int sock)
{
	int r;

	do
		r = agent_fixture_recv(sock, buf, sizeof(buf), 20000, NULL);
	while (r > 0);
	assert_int_equal(r, 0);
	(void)close(sock);
}

static void garbage_is_refused_and_ends_the_connection_at_the_eighth(void **state)
{
	static const char *const garbage[] = { "x", "{", "[]", "{\"v\":1}", "\xff\xfe", "null", "{\"id\":1}" };
	struct agent_fixture *f = *state;
	int sock = agent_fixture_raw(f);
	size_t i;

	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		assert_int_equal(agent_fixture_send(sock, garbage[i], -1), 0);
		answered(sock, "\"class\":\"BADREQ\"");
	}
	assert_int_equal(agent_fixture_send(sock, "{\"v\":1,\"id\":9,\"op\":\"status\"}", -1), 0);
	answered(sock, "\"id\":9,\"ok\":true");
	assert_int_equal(agent_fixture_send(sock, "x", -1), 0);
	answered(sock, "\"class\":\"BADREQ\"");
	ended(sock);
	agent_fixture_connect(f);
}

static void random_packets_do_not_end_the_agent(void **state)
{
	struct agent_fixture *f = *state;
	uint32_t seed = 20261124;
	int i, sock = -1, r;
	size_t k, len;

	for (i = 0; i < 3000; i++) {
		if (sock < 0)
			sock = agent_fixture_raw(f);
		len = 1 + (seed >> 8) % 400;
		for (k = 0; k < len; k++) {
			seed = seed * 1664525 + 1013904223;
			buf[k] = (char)((seed >> 24) | 1);
		}
		buf[len] = '\0';
		r = agent_fixture_send(sock, buf, -1);
		if (r < 0) {
			(void)close(sock);
			sock = -1;
		}
	}
	(void)close(sock);
	agent_fixture_connect(f);
}

static void a_packet_beyond_64_kib_ends_the_connection(void **state)
{
	struct agent_fixture *f = *state;
	int sock = agent_fixture_raw(f), size = 1 << 20;
	char *big = malloc(PROTO_PACKET_MAX + 3);

	memset(big, ' ', PROTO_PACKET_MAX + 2);
	big[PROTO_PACKET_MAX + 2] = '\0';
	assert_int_equal(setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(agent_fixture_send(sock, big, -1), 0);
	answered(sock, "64 KiB");
	ended(sock);
	free(big);
}

static void nothing_is_served_before_hello(void **state)
{
	struct agent_fixture *f = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->socket);
	assert_int_equal(connect(sock, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(agent_fixture_send(sock, "{\"v\":1,\"id\":1,\"op\":\"status\"}", -1), 0);
	answered(sock, "hello");
	assert_int_equal(agent_fixture_send(sock, "{\"v\":2,\"id\":2,\"op\":\"hello\"}", -1), 0);
	answered(sock, "\"class\":\"UNSUPPORTED\"");
	(void)close(sock);
}

/* --- descriptors --- */

static const char unlock_text[] =
	"{\"v\":1,\"id\":5,\"op\":\"unlock\",\"purpose\":\"t\",\"instance\":{\"uuid\":\"00112233445566778899aabbccddeeff\","
	"\"handle_type\":1,\"handle\":\"\",\"fsid\":\"0000000000000000\"}}";

static void unlock_with(struct agent_fixture *f, int fd, const char *text)
{
	int sock = agent_fixture_raw(f);

	assert_int_equal(agent_fixture_send(sock, unlock_text, fd), 0);
	answered(sock, text);
	(void)close(sock);
	if (fd >= 0)
		(void)close(fd);
}

static void a_config_must_come_in_a_sealed_memory_file(void **state)
{
	struct agent_fixture *f = *state;
	int pipe_fds[2], fd, sealed;
	char *big = calloc(1, VOLUME_CONFIG_MAX + 1);

	unlock_with(f, -1, "no coffer.volume");
	unlock_with(f, open("/etc/passwd", O_RDONLY), "no sealed memory file");
	unlock_with(f, open("/dev/zero", O_RDONLY), "no sealed memory file");
	assert_int_equal(pipe(pipe_fds), 0);
	unlock_with(f, pipe_fds[0], "no sealed memory file");
	(void)close(pipe_fds[1]);
	fd = memfd_create("x", MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, "x", 1), 1);
	unlock_with(f, dup(fd), "no sealed memory file");
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	unlock_with(f, fd, "no sealed memory file");
	assert_int_equal(packet_seal(big, VOLUME_CONFIG_MAX + 1, &sealed), 0);
	unlock_with(f, sealed, "no sealed memory file");
	assert_int_equal(packet_seal("not a volume", 12, &sealed), 0);
	unlock_with(f, sealed, "\"class\":\"NOTVOLUME\"");
	assert_int_equal(packet_seal("", 0, &sealed), 0);
	unlock_with(f, sealed, "\"class\":\"NOTVOLUME\"");
	free(big);
}

static unsigned agent_descriptors(struct agent_fixture *f)
{
	char command[128];
	unsigned n = 0;
	FILE *p;

	(void)snprintf(command, sizeof(command), "ls /proc/%ld/fd | wc -l", (long)f->pid);
	p = popen(command, "r");
	assert_int_equal(fscanf(p, "%u", &n), 1);
	(void)pclose(p);
	return n;
}

static void many_descriptors_in_a_packet_end_the_connection_and_stay_nowhere(void **state)
{
	struct agent_fixture *f = *state;
	unsigned before = agent_descriptors(f);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(100 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = buf, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
	static const int counts[] = { 2, 3, 8, 9, 100 };
	int fds[100], sock, k;
	struct cmsghdr *c;
	size_t i;

	for (k = 0; k < 100; k++)
		fds[k] = 0;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		sock = agent_fixture_raw(f);
		msg.msg_controllen = CMSG_SPACE((size_t)counts[i] * sizeof(int));
		c = &control.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)counts[i] * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)counts[i] * sizeof(int));
		assert_int_equal(sendmsg(sock, &msg, 0), 1);
		answered(sock, "BADREQ");
		ended(sock);
	}
	agent_fixture_connect(f);
	assert_true(agent_descriptors(f) <= before + 1);
}

/* --- who --- */

/* Run in a child with this uid; its exit status. */
static int as_uid(uid_t uid, int (*fn)(struct agent_fixture *f, struct agent_volume *v), struct agent_fixture *f,
		  struct agent_volume *v)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(99);
		_exit(fn(f, v));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_unlock(struct agent_fixture *f, struct agent_volume *v)
{
	struct client *c = client_new(f->socket);
	struct client_unlocked unlocked;
	struct secret *root = NULL;
	int r;

	r = client_connect(c);
	if (r >= 0)
		r = client_unlock(c, "test", v->config, v->config_len, &v->instance, &unlocked, &root);
	return r >= 0 ? 0 : client_error(c)->exit_code;
}

static int try_everything_else(struct agent_fixture *f, struct agent_volume *v)
{
	struct client *c = client_new(f->socket);
	struct client_trusted t;
	struct key_slot *slots = calloc(SLOTS_MAX, sizeof(*slots));
	struct secret *root = NULL;
	char *text = NULL;
	size_t n;

	if (client_connect(c) < 0 || client_status(c, &text) >= 0 || client_error(c)->exit_code != 11)
		return 1;
	if (client_connect(c) < 0 || client_sync(c, "/", -1) >= 0 || client_error(c)->exit_code != 11)
		return 2;
	if (client_connect(c) < 0 ||
	    client_trust(c, v->config, v->config_len, &v->instance, false, &t) >= 0)
		return 3;
	if (client_connect(c) < 0 ||
	    client_init(c, v->instance.uuid, "acme", NULL, 0, NULL, slots, &n, &root) >= 0 ||
	    client_error(c)->exit_code != 11)
		return 4;
	if (client_connect(c) < 0 || client_pin(c, v->config, v->config_len, &v->instance) >= 0)
		return 5;
	return 0;
}

static void another_user_is_denied_everything(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	char *text;

	assert_int_equal(as_uid(STRANGER, try_unlock, f, v), EXIT_CODE_DENIED);
	assert_int_equal(as_uid(65534, try_unlock, f, v), EXIT_CODE_DENIED);
	assert_int_equal(as_uid(0, try_unlock, f, v), 0);
	assert_int_equal(as_uid(STRANGER, try_everything_else, f, v), 0);
	assert_int_equal(as_uid(65534, try_everything_else, f, v), 0);
	text = agent_fixture_audit(f);
	assert_non_null(strstr(text, "\"event\":\"peer.denied\""));
	assert_non_null(strstr(text, "\"uid\":54321"));
	free(text);
	agent_volume_free(v);
}

static int try_trust(struct agent_fixture *f, struct agent_volume *v)
{
	struct client *c = client_new(f->socket);
	struct client_trusted t;
	int r;

	r = client_connect(c);
	if (r >= 0)
		r = client_trust(c, v->config, v->config_len, &v->instance, false, &t);
	return r >= 0 ? 0 : client_error(c)->exit_code;
}

static void an_agent_of_its_own_user_serves_root_and_that_user(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	char key[256];
	struct stat st;

	assert_int_equal(agent_volume_unlock(f, v), 0);
	(void)snprintf(key, sizeof(key), "%s/keys/%s", f->config, v->cfg->slots[0].kms + strlen("local:"));
	assert_int_equal(lstat(key, &st), 0);
	assert_int_equal(st.st_uid, AGENT_FIXTURE_UID);
	assert_int_equal(as_uid(AGENT_FIXTURE_UID, try_unlock, f, v), 0);
	assert_int_equal(as_uid(AGENT_FIXTURE_UID, try_trust, f, v), EXIT_CODE_DENIED);
	assert_int_equal(as_uid(STRANGER, try_unlock, f, v), EXIT_CODE_DENIED);
	assert_int_equal(as_uid(0, try_trust, f, v), 0);
	/* a key file of somebody else is not its key, even root's */
	assert_int_equal(chown(key, 0, 0), 0);
	agent_volume_refused(f, v, PROTO_CLASS_AUTH, 12, "may not read");
	agent_volume_free(v);
}

static int flood(struct agent_fixture *f, struct agent_volume *v)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int i, sock, open_now = 0, socks[200];
	char c;

	(void)v;
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->socket);
	for (i = 0; i < 200; i++) {
		sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (connect(sock, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
			return 1;
		socks[i] = sock;
	}
	(void)usleep(500000);
	for (i = 0; i < 200; i++)
		if (recv(socks[i], &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
			open_now++;
	return open_now > 16 ? 2 : 0;
}

static void a_strangers_connections_are_few_and_short(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);

	assert_int_equal(as_uid(STRANGER, flood, f, v), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void more_connections_than_the_limit_are_closed_and_the_rest_served(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct rlimit lim = { 4096, 4096 };
	static int socks[1100];
	unsigned i;

	if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
		skip();
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->socket);
	for (i = 0; i < 1100; i++) {
		socks[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_true(socks[i] >= 0);
		assert_int_equal(connect(socks[i], (const struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	assert_int_equal(agent_volume_unlock(f, v), 0); /* an old connection goes on */
	for (i = 0; i < 1100; i++)
		(void)close(socks[i]);
	/* until the agent has seen that they left, one more is still one too many */
	client_free(f->c);
	f->c = client_new(f->socket);
	for (i = 0; i < 500 && client_connect(f->c) < 0; i++)
		(void)poll(NULL, 0, 20);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

/* It must neither spin nor fill the journal, go on for those who are there, and accept again by itself. */
static void without_descriptors_accepting_rests_and_is_taken_up_again(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct client *late = client_new(f->socket);
	struct rlimit lim = { 3, 4096 }; /* the standard streams */
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (getenv("COFFER_TEST_VERBOSE"))
		skip();
	assert_true(sock >= 0);
	assert_int_equal(prlimit(f->pid, RLIMIT_NOFILE, &lim, NULL), 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->socket);
	assert_int_equal(connect(sock, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	for (unsigned i = 0; i < 3000 && agent_fixture_said(f, "cannot accept") == 0; i++)
		(void)poll(NULL, 0, 20);
	(void)poll(NULL, 0, 2500);
	assert_int_equal(agent_fixture_said(f, "cannot accept"), 1);
	lim.rlim_cur = 4096;
	assert_int_equal(prlimit(f->pid, RLIMIT_NOFILE, &lim, NULL), 0);
	assert_int_equal(client_connect(late), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(agent_fixture_said(f, "cannot accept"), 1);
	(void)close(sock);
	client_free(late);
	agent_volume_free(v);
}

static void a_connection_in_another_process_is_closed(void **state)
{
	struct agent_fixture *f = *state;
	int sock = agent_fixture_raw(f), status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)agent_fixture_send(sock, "{\"v\":1,\"id\":9,\"op\":\"status\"}", -1);
		_exit(agent_fixture_recv(sock, buf, sizeof(buf), 5000, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ended(sock);
}

/* --- keys on their way --- */

static void a_key_is_handed_over_once_and_wiped_behind_the_descriptor(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_request *req = calloc(1, sizeof(*req));
	int sock = agent_fixture_raw(f), sealed, fd = -1;
	struct secret *root = NULL;
	char *text = NULL;
	void *map;

	req->id = 5;
	req->op = PROTO_OP_UNLOCK;
	req->instance = v->instance;
	(void)strcpy(req->purpose, "t");
	assert_int_equal(proto_request_put(req, &text), 0);
	assert_int_equal(packet_seal(v->config, v->config_len, &sealed), 0);
	assert_int_equal(agent_fixture_send(sock, text, sealed), 0);
	assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, &fd) > 0);
	assert_true(fd >= 0);
	assert_int_equal(secret_from_fd(fd, KEY_LEN, &root), 0);
	assert_true(secret_equal(secret_bytes(root), secret_bytes(v->root), KEY_LEN));
	assert_int_equal(agent_fixture_send(sock, text, sealed), 0); /* no second key before the acknowledgement */
	answered(sock, "\"class\":\"BUSY\"");
	assert_int_equal(agent_fixture_send(sock, "{\"v\":1,\"id\":6,\"op\":\"ack\",\"of\":4}", -1), 0);
	answered(sock, "\"class\":\"BADREQ\"");
	assert_int_equal(agent_fixture_send(sock, "{\"v\":1,\"id\":7,\"op\":\"ack\",\"of\":5}", -1), 0);
	answered(sock, "\"id\":7,\"ok\":true");
	assert_int_equal(agent_fixture_send(sock, "{\"v\":1,\"id\":8,\"op\":\"ack\",\"of\":5}", -1), 0);
	answered(sock, "\"class\":\"BADREQ\"");
	map = mmap(NULL, KEY_LEN, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED && fcntl(fd, F_GET_SEALS) < 0) { /* memfd_secret: wiped for everybody */
		static const uint8_t zero[KEY_LEN];

		assert_memory_equal(map, zero, KEY_LEN);
	}
	(void)close(fd);
	(void)close(sealed);
	(void)close(sock);
	secret_free(root);
	free(text);
	free(req);
	agent_volume_free(v);
}

static void a_key_that_is_not_acknowledged_costs_the_connection(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_request *req = calloc(1, sizeof(*req));
	int sock = agent_fixture_raw(f), sealed, fd = -1;
	char *text = NULL;

	req->id = 5;
	req->op = PROTO_OP_UNLOCK;
	req->instance = v->instance;
	(void)strcpy(req->purpose, "t");
	assert_int_equal(proto_request_put(req, &text), 0);
	assert_int_equal(packet_seal(v->config, v->config_len, &sealed), 0);
	assert_int_equal(agent_fixture_send(sock, text, sealed), 0);
	assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, &fd) > 0);
	ended(sock);
	(void)close(fd);
	(void)close(sealed);
	free(text);
	free(req);
	agent_volume_free(v);
}

/* --- two agents --- */

static void a_second_agent_is_refused(void **state)
{
	struct agent_fixture *f = *state;
	char other[128];

	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	assert_int_equal(agent_fixture_run(f->config, other, f->socket), EXIT_CODE_BUSY);
	assert_int_equal(agent_fixture_run(f->config, f->state, other), EXIT_CODE_BUSY);
	agent_fixture_connect(f);
}

static void what_is_no_socket_is_not_replaced(void **state)
{
	struct agent_fixture *f = *state;
	char file[128], other[128];
	struct stat st;
	int fd;

	(void)snprintf(file, sizeof(file), "%s/file", f->dir);
	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_not_equal(agent_fixture_run(f->config, other, file), 0);
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(garbage_is_refused_and_ends_the_connection_at_the_eighth),
		TEST(random_packets_do_not_end_the_agent),
		TEST(a_packet_beyond_64_kib_ends_the_connection),
		TEST(nothing_is_served_before_hello),
		TEST(a_config_must_come_in_a_sealed_memory_file),
		TEST(many_descriptors_in_a_packet_end_the_connection_and_stay_nowhere),
		TEST(another_user_is_denied_everything),
		cmocka_unit_test_setup_teardown(an_agent_of_its_own_user_serves_root_and_that_user,
						agent_fixture_setup_user, agent_fixture_teardown),
		TEST(a_strangers_connections_are_few_and_short),
		TEST(more_connections_than_the_limit_are_closed_and_the_rest_served),
		TEST(without_descriptors_accepting_rests_and_is_taken_up_again),
		TEST(a_connection_in_another_process_is_closed),
		TEST(a_key_is_handed_over_once_and_wiped_behind_the_descriptor),
		TEST(a_key_that_is_not_acknowledged_costs_the_connection),
		TEST(a_second_agent_is_refused),
		TEST(what_is_no_socket_is_not_replaced),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
