/* agent_fixture.c: see agent_fixture.h. The agent's binary is $COFFER_AGENT_BIN, else ./coffer-agent of the build directory. */
#include "agent_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/audit_files.h"
#include "agent/packet.h"
#include "base/fileio.h"

static const char *binary(void)
{
	const char *bin = getenv("COFFER_AGENT_BIN");

	return bin ? bin : "./coffer-agent";
}

static pid_t spawn(uid_t uid, const char *config, const char *state, const char *socket_path)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (uid && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
		_exit(125);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!getenv("COFFER_TEST_VERBOSE")) {
		char said[128];
		int fd;

		(void)snprintf(said, sizeof(said), "%s.said", state);
		fd = open(said, O_WRONLY | O_CREAT | O_APPEND, 0600);
		(void)dup2(fd >= 0 ? fd : open("/dev/null", O_WRONLY), 2);
	}
	(void)execl(binary(), binary(), "--foreground", "--config", config, "--state", state, "--socket", socket_path,
		    (char *)NULL);
	_exit(126);
}

static int reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int agent_fixture_run(const char *config, const char *state, const char *socket_path)
{
	return reap(spawn(0, config, state, socket_path));
}

static void pause_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

void agent_fixture_start(struct agent_fixture *f)
{
	struct client *c = client_new(f->socket);
	int i, r = -1;

	f->pid = spawn(f->uid, f->config, f->state, f->socket);
	for (i = 0; i < 1000 && r < 0; i++) {
		r = client_connect(c);
		if (r < 0)
			pause_ms(20);
		assert_int_equal(waitpid(f->pid, NULL, WNOHANG), 0);
	}
	assert_int_equal(r, 0);
	client_free(c);
}

int agent_fixture_stop(struct agent_fixture *f, int sig)
{
	int r;

	assert_int_equal(kill(f->pid, sig), 0);
	r = reap(f->pid);
	f->pid = 0;
	return r;
}

void agent_fixture_connect(struct agent_fixture *f)
{
	client_free(f->c);
	f->c = client_new(f->socket);
	assert_non_null(f->c);
	assert_int_equal(client_connect(f->c), 0);
}

unsigned agent_fixture_said(struct agent_fixture *f, const char *text)
{
	AUTO_FREE uint8_t *p = NULL;
	char path[128];
	const char *at;
	unsigned n = 0;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s.said", f->state);
	assert_int_equal(fileio_read_at(AT_FDCWD, path, 1 << 20, &p, &len), 0);
	for (at = (const char *)p; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static int setup_as(void **state, uid_t uid)
{
	struct agent_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->uid = uid;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/coffer-agent-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0); /* strangers must reach the socket */
	assert_int_equal(chown(f->dir, uid, uid), 0);
	(void)snprintf(f->config, sizeof(f->config), "%s/etc", f->dir);
	(void)snprintf(f->state, sizeof(f->state), "%s/lib", f->dir);
	(void)snprintf(f->socket, sizeof(f->socket), "%s/run/agent.sock", f->dir);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	*state = f;
	return 0;
}

int agent_fixture_setup(void **state)
{
	return setup_as(state, 0);
}

int agent_fixture_setup_user(void **state)
{
	return setup_as(state, AGENT_FIXTURE_UID);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int agent_fixture_teardown(void **state)
{
	struct agent_fixture *f = *state;

	client_free(f->c);
	if (f->pid)
		assert_int_equal(agent_fixture_stop(f, SIGTERM), 0);
	assert_int_equal(nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

/* --- volumes --- */

static void config_fill(struct agent_volume *v, const char *tenant, size_t slot_count)
{
	struct volume_config *cfg = v->cfg;

	memcpy(cfg->uuid, v->instance.uuid, UUID_LEN);
	(void)snprintf(cfg->tenant, sizeof(cfg->tenant), "%s", tenant);
	(void)snprintf(cfg->created, sizeof(cfg->created), "2026-01-01T00:00:00Z");
	cfg->config_version = 5;
	cfg->epoch = 1;
	cfg->slot_count = slot_count;
	assert_int_equal(key_ring_create(v->root, cfg->uuid, cfg->key_ring, &cfg->key_ring_len), 0);
}

static struct agent_volume *volume_init(struct agent_fixture *f, const char *tenant, const char *const *kms, size_t kms_count,
					const struct secret *recovery)
{
	struct agent_volume *v = calloc(1, sizeof(*v));
	size_t count = 0;

	assert_non_null(v);
	v->cfg = calloc(1, sizeof(*v->cfg));
	assert_non_null(v->cfg);
	assert_int_equal(secret_random(v->instance.uuid, UUID_LEN), 0);
	v->instance.handle_type = 1;
	v->instance.handle_len = 8;
	assert_int_equal(secret_random(v->instance.handle, 8), 0);
	v->instance.fsid = UINT64_C(0xfedcba9876543210);
	assert_int_equal(client_init(f->c, v->instance.uuid, tenant, kms, kms_count, recovery, v->cfg->slots, &count, &v->root), 0);
	config_fill(v, tenant, count);
	agent_volume_rewrite(v);
	return v;
}

struct agent_volume *agent_volume_init(struct agent_fixture *f, const char *tenant, const char *kms)
{
	return volume_init(f, tenant, &kms, kms ? 1 : 0, NULL);
}

int agent_volume_pin(struct agent_fixture *f, struct agent_volume *v)
{
	return client_pin(f->c, v->config, v->config_len, &v->instance);
}

struct agent_volume *agent_volume_new(struct agent_fixture *f, const char *tenant, const char *kms)
{
	struct agent_volume *v = agent_volume_init(f, tenant, kms);

	assert_int_equal(agent_volume_pin(f, v), 0);
	return v;
}

struct agent_volume *agent_volume_new2(struct agent_fixture *f, const char *tenant, const char *first, const char *second)
{
	return agent_volume_new_recovery(f, tenant, first, second, NULL);
}

struct agent_volume *agent_volume_new_recovery(struct agent_fixture *f, const char *tenant, const char *first, const char *second,
					       const struct secret *recovery)
{
	const char *const kms[] = { first, second };
	struct agent_volume *v = volume_init(f, tenant, kms, second ? 2 : 1, recovery);

	assert_int_equal(agent_volume_pin(f, v), 0);
	return v;
}

void agent_volume_rewrite(struct agent_volume *v)
{
	free(v->config);
	v->config = NULL;
	assert_int_equal(volume_config_put(v->cfg, v->root, &v->config, &v->config_len), 0);
}

void agent_volume_free(struct agent_volume *v)
{
	secret_free(v->root);
	free(v->cfg);
	free(v->config);
	free(v);
}

int agent_volume_unlock(struct agent_fixture *f, struct agent_volume *v)
{
	struct client_unlocked unlocked;
	struct secret *root = NULL;
	int r;

	r = client_unlock(f->c, "test", v->config, v->config_len, &v->instance, &unlocked, &root);
	if (r >= 0)
		assert_true(secret_equal(secret_bytes(root), secret_bytes(v->root), KEY_LEN));
	else
		assert_null(root);
	secret_free(root);
	return r;
}

void agent_volume_refused(struct agent_fixture *f, struct agent_volume *v, enum proto_class class, int exit_code,
			  const char *text)
{
	const struct client_error *e = client_error(f->c);

	assert_int_equal(agent_volume_unlock(f, v), proto_class_errno(class));
	assert_int_equal(e->class, class);
	assert_int_equal(e->exit_code, exit_code);
	if (!strstr(e->message, text))
		fail_msg("message \"%s\" lacks \"%s\"", e->message, text);
}

char *agent_fixture_audit(struct agent_fixture *f)
{
	char name[AUDIT_FILE_LEN];
	uint8_t *p = NULL;
	size_t len;
	int fd = open(f->state, O_RDONLY | O_DIRECTORY), r;

	assert_true(fd >= 0);
	audit_files_name(1, name);
	do
		r = fileio_read_at(fd, name, 16 << 20, &p, &len);
	while (r == -EAGAIN); /* it grew meanwhile */
	assert_int_equal(r, 0);
	(void)close(fd);
	return (char *)p;
}

/* --- without the client library --- */

int agent_fixture_send(int sock, const char *text, int fd)
{
	return packet_send(sock, text, fd);
}

int agent_fixture_recv(int sock, char *buf, size_t size, int ms, int *ret_fd)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct packet_from from;
	int fd = -1, r;

	if (poll(&p, 1, ms) != 1)
		return -1;
	r = packet_recv(sock, buf, size - 1, true, &fd, &from);
	if (r == -ECONNRESET || r == -EPIPE)
		r = 0;
	if (r >= 0)
		buf[r] = '\0';
	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		(void)close(fd);
	return r;
}

int agent_fixture_raw(struct agent_fixture *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char buf[1024];
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(sock >= 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->socket);
	assert_int_equal(connect(sock, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(packet_send(sock, "{\"v\":1,\"id\":1,\"op\":\"hello\"}", -1), 0);
	assert_true(agent_fixture_recv(sock, buf, sizeof(buf), 5000, NULL) > 0);
	assert_non_null(strstr(buf, "\"ok\":true"));
	return sock;
}

void agent_fixture_rules(struct agent_fixture *f, const char *tenant, const char *text)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/tenants.d", f->config);
	assert_int_equal(fileio_mkdirs(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/tenants.d/%s.conf", f->config, tenant);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fileio_write_full(fd, text, strlen(text)), 0);
	(void)close(fd);
}

unsigned agent_fixture_audited(struct agent_fixture *f, const char *text)
{
	AUTO_FREE char *log = agent_fixture_audit(f);
	const char *at = log;
	unsigned n = 0;

	for (; (at = strstr(at, text)); at++)
		n++;
	return n;
}

void agent_fixture_reload(struct agent_fixture *f)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	unsigned before = agent_fixture_audited(f, "policy.load"), ms;

	assert_int_equal(kill(f->pid, SIGHUP), 0);
	for (ms = 0; agent_fixture_audited(f, "policy.load") == before; ms += 20) {
		if (ms >= 60000)
			fail_msg("no policy.load in the audit log");
		(void)nanosleep(&pause, NULL);
	}
}
