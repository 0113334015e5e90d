/* test_agent_policy.c: tenants.d in a running agent, with peers of real uids: who gets which key, who sees which mount, and new rules at SIGHUP. */
#include "agent_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fileio.h"
#include "format/volume_config.h"

#define ACME 54321
#define OTHER 54322
#define ADMIN 54323
#define OUT_OF_TIME_MS 60000

static const char rules_acme[] = "[tenant]\nkms=local:acme\n[allow]\nuser=54321\noperations=unlock\n"
				 "[allow op]\nuser=54323\noperations=admin\n";
static const char rules_other[] = "[allow]\nuser=54322\noperations=unlock\n";

/* In a process of that uid; its exit status: what fn returned. */
static int as(uid_t uid, int (*fn)(struct agent_fixture *f, void *arg), struct agent_fixture *f, void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct agent_fixture own = *f;

		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(125);
		own.c = client_new(f->socket);
		if (!own.c || client_connect(own.c) < 0)
			_exit(124);
		_exit(fn(&own, arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* 0, or the exit code of the refusal. */
static int unlock(struct agent_fixture *f, void *arg)
{
	return agent_volume_unlock(f, arg) == 0 ? 0 : client_error(f->c)->exit_code;
}

struct volumes {
	struct agent_volume *acme, *other, *free;
};

static struct volumes volumes_make(struct agent_fixture *f)
{
	struct volumes v = { .acme = agent_volume_new(f, "acme", "local:acme"), .other = agent_volume_new(f, "other", NULL),
			     .free = agent_volume_new(f, "free", NULL) };

	agent_fixture_rules(f, "acme", rules_acme);
	agent_fixture_rules(f, "other", rules_other);
	agent_fixture_reload(f);
	return v;
}

static void volumes_free(struct volumes *v)
{
	agent_volume_free(v->acme);
	agent_volume_free(v->other);
	agent_volume_free(v->free);
}

static void each_tenant_has_its_own_key_only(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	const struct {
		uid_t uid;
		struct agent_volume *v;
		int code;
	} rows[] = {
		{ ACME, v.acme, 0 },   { ACME, v.other, 11 },  { ACME, v.free, 11 },  { OTHER, v.acme, 11 }, { OTHER, v.other, 0 },
		{ OTHER, v.free, 11 }, { ADMIN, v.acme, 11 },  { ADMIN, v.other, 11 }, { 0, v.acme, 11 },     { 0, v.other, 11 },
		{ 0, v.free, 0 },      { 54399, v.acme, 11 },  { 65534, v.acme, 11 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = as(rows[i].uid, unlock, f, rows[i].v);

		if (code != rows[i].code)
			fail_msg("row %zu: exit code %d, not %d", i, code, rows[i].code);
	}
	assert_true(agent_fixture_audited(f, "\"policy_id\":\"rules\"") >= 2);
	volumes_free(&v);
}

/* --- status --- */

static int sees_text(struct agent_fixture *f, const char *text)
{
	AUTO_FREE char *json = NULL;

	if (client_status(f->c, &json) < 0)
		return -1;
	return strstr(json, text) != NULL;
}

/* Bit 0: acme's mount, bit 1: other's. */
static int sees(struct agent_fixture *f, void *arg)
{
	int acme = sees_text(f, "\"tenant\":\"acme\"");

	(void)arg;
	return acme < 0 ? client_error(f->c)->exit_code : acme + 2 * sees_text(f, "\"tenant\":\"other\"");
}

struct mounted {
	struct agent_volume *v;
	const char *mountpoint;
	const struct client_mount_ops *ops;
	int go, up; /* pipes: told when to end; tells when registered */
};

static const struct client_mount_ops no_ops = { .stats = NULL };

static int say_yes(void *arg)
{
	(void)arg;
	return 0;
}

/* Whatever it is asked to do is done, it says. */
static const struct client_mount_ops liar_ops = { .sync = say_yes, .freeze = say_yes };

static int mount_until_told(struct agent_fixture *f, void *arg)
{
	struct mounted *m = arg;
	struct client_mount_info info = { .instance = m->v->instance, .volume = "v", .source = "/v", .mountpoint = m->mountpoint };
	struct pollfd p = { .fd = m->go, .events = POLLIN };
	struct client_mount *link;

	if (agent_volume_unlock(f, m->v) < 0 || client_mount_start(&f->c, &info, m->ops, NULL, &link) < 0)
		return 1;
	if (write(m->up, "1", 1) != 1)
		return 2;
	(void)poll(&p, 1, OUT_OF_TIME_MS);
	client_mount_stop(link);
	return 0;
}

/* A process of that uid which has v mounted, as far as the agent can tell; mount_end ends it. */
static pid_t mount_fork_with(struct agent_fixture *f, uid_t uid, struct agent_volume *v, const char *mountpoint,
			     const struct client_mount_ops *ops, int *ret_go)
{
	int go[2], up[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct mounted m = { .v = v, .mountpoint = mountpoint, .ops = ops, .go = go[0], .up = up[1] };

		(void)close(go[1]);
		(void)close(up[0]);
		_exit(as(uid, mount_until_told, f, &m));
	}
	(void)close(go[0]);
	(void)close(up[1]);
	assert_int_equal(read(up[0], &c, 1), 1);
	(void)close(up[0]);
	*ret_go = go[1];
	return pid;
}

static pid_t mount_fork(struct agent_fixture *f, uid_t uid, struct agent_volume *v, const char *mountpoint, int *ret_go)
{
	return mount_fork_with(f, uid, v, mountpoint, &no_ops, ret_go);
}

static void mount_end(pid_t pid, int go)
{
	int status;

	assert_int_equal(write(go, "1", 1), 1);
	(void)close(go);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int freeze(struct agent_fixture *f, void *arg)
{
	return client_freeze(f->c, arg, -1) == 0 ? 0 : client_error(f->c)->exit_code;
}

static int sync_it(struct agent_fixture *f, void *arg)
{
	return client_sync(f->c, arg, -1) == 0 ? 0 : client_error(f->c)->exit_code;
}

/* As one who has looked whose mount it is. */
static int sync_roots(struct agent_fixture *f, void *arg)
{
	return client_sync(f->c, arg, 0) == 0 ? 0 : client_error(f->c)->exit_code;
}

static int sync_acmes(struct agent_fixture *f, void *arg)
{
	return client_sync(f->c, arg, ACME) == 0 ? 0 : client_error(f->c)->exit_code;
}

static int freeze_acmes(struct agent_fixture *f, void *arg)
{
	return client_freeze(f->c, arg, ACME) == 0 ? 0 : client_error(f->c)->exit_code;
}

static void each_tenant_sees_its_own_mounts_only(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	int go_acme, go_other;
	pid_t acme = mount_fork(f, ACME, v.acme, "/mnt/acme", &go_acme);
	pid_t other = mount_fork(f, OTHER, v.other, "/mnt/other", &go_other);

	assert_int_equal(as(0, sees, f, NULL), 3);
	assert_int_equal(as(ACME, sees, f, NULL), 1);
	assert_int_equal(as(ADMIN, sees, f, NULL), 1);
	assert_int_equal(as(OTHER, sees, f, NULL), 2);
	assert_int_equal(as(54399, sees, f, NULL), 11);
	assert_int_equal(as(OTHER, sync_it, f, (void *)(uintptr_t) "/mnt/acme"), 11);
	assert_int_equal(as(OTHER, freeze, f, (void *)(uintptr_t) "/mnt/acme"), 11);
	assert_int_equal(as(ACME, freeze, f, (void *)(uintptr_t) "/mnt/acme"), 11);
	/* These reach the mount, which supports neither. */
	assert_int_not_equal(as(ADMIN, freeze, f, (void *)(uintptr_t) "/mnt/acme"), 11);
	assert_int_not_equal(as(ACME, sync_it, f, (void *)(uintptr_t) "/mnt/acme"), 11);
	/* A tenant that loses its rules keeps its mount, and gets no key. */
	agent_fixture_rules(f, "other", "[allow]\nuser=0\nunit=none.service\noperations=unlock\n");
	agent_fixture_reload(f);
	assert_int_equal(as(OTHER, unlock, f, v.other), 11);
	assert_int_equal(as(0, sees, f, NULL), 3);
	mount_end(acme, go_acme);
	mount_end(other, go_other);
	volumes_free(&v);
}

/* A mount point is what a peer says, and a tenant may say another's. */
static void nobody_answers_for_the_mount_point_of_another(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	struct agent_volume *own = agent_volume_new(f, "root", NULL);
	int go_root, go_acme, go_liar;
	pid_t root = mount_fork(f, 0, own, "/mnt/root", &go_root);
	pid_t acme = mount_fork(f, ACME, v.acme, "/mnt/acme", &go_acme);
	pid_t liar = mount_fork_with(f, OTHER, v.other, "/mnt/root", &liar_ops, &go_liar);

	assert_int_equal(as(0, sync_it, f, (void *)(uintptr_t) "/mnt/root"), 5); /* root's own is asked, which cannot */
	mount_end(liar, go_liar);
	liar = mount_fork_with(f, OTHER, v.other, "/mnt/acme", &liar_ops, &go_liar);
	assert_int_equal(as(0, sync_it, f, (void *)(uintptr_t) "/mnt/acme"), 14); /* nobody is believed */
	assert_int_equal(as(0, freeze, f, (void *)(uintptr_t) "/mnt/acme"), 14);
	assert_int_equal(as(0, sync_acmes, f, (void *)(uintptr_t) "/mnt/acme"), 5); /* but the one whose mount the kernel says it is */
	assert_int_equal(as(0, freeze_acmes, f, (void *)(uintptr_t) "/mnt/acme"), 5);
	mount_end(liar, go_liar);
	assert_int_equal(as(0, sync_it, f, (void *)(uintptr_t) "/mnt/acme"), 5);
	mount_end(acme, go_acme);
	mount_end(root, go_root);
	/* The true mounts have lost their lines, or the agent has just begun: a liar who is alone is not believed either. */
	liar = mount_fork_with(f, OTHER, v.other, "/mnt/root", &liar_ops, &go_liar);
	assert_int_equal(as(0, sync_roots, f, (void *)(uintptr_t) "/mnt/root"), 14);
	mount_end(liar, go_liar);
	agent_volume_free(own);
	volumes_free(&v);
}

/* --- tags of backups --- */

static int tag_it(void *arg, const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN])
{
	(void)arg;
	if (strstr(statement, "\n9\n")) /* of which it says that it did not hold still */
		return -EPERM;
	memset(ret_tag, 0x5a, BACKUP_TAG_LEN);
	return 0;
}

static int check_it(void *arg, const char *statement, const uint8_t tag[static BACKUP_TAG_LEN])
{
	(void)arg;
	(void)statement;
	return tag[0] == 0x5a ? 0 : -EKEYREJECTED;
}

static const struct client_mount_ops tagging_ops = { .backup_tag = tag_it, .backup_check = check_it };

struct tagging {
	const struct agent_volume *about;
	const char *mountpoint;
	int serial;
	uint8_t look; /* at a tag of this byte, instead of having one made; 0: not */
};

static int tag(struct agent_fixture *f, void *arg)
{
	const struct tagging *t = arg;
	char text[BACKUP_STATEMENT_MAX], uuid[33];
	uint8_t got[BACKUP_TAG_LEN], want[BACKUP_TAG_LEN];

	volume_config_uuid_text(t->about->instance.uuid, uuid);
	(void)snprintf(text, sizeof(text), "coffer-backup 1\n%s\n%d\n\n%064d\n2026-01-02T03:04:05Z\n%064d\n", uuid, t->serial, 1, 2);
	memset(want, t->look ? t->look : 0x5a, sizeof(want));
	if (t->look)
		return client_backup_check(f->c, t->mountpoint, -1, text, want) < 0 ? client_error(f->c)->exit_code : 0;
	if (client_backup_tag(f->c, t->mountpoint, -1, text, got) < 0)
		return client_error(f->c)->exit_code;
	return memcmp(got, want, sizeof(got)) == 0 ? 0 : 99;
}

static void a_mount_tags_for_administrators_and_of_its_own_volume_alone(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	struct tagging own = { v.acme, "/mnt/acme", 7, 0 }, foreign = { v.other, "/mnt/acme", 7, 0 }, unheld = { v.acme, "/mnt/acme", 9, 0 };
	struct tagging cannot = { v.other, "/mnt/other", 7, 0 }, nowhere = { v.acme, "/mnt/none", 7, 0 };
	struct tagging fits = { v.acme, "/mnt/acme", 7, 0x5a }, fits_not = { v.acme, "/mnt/acme", 7, 0x5b };
	int go, go_other;
	pid_t acme = mount_fork_with(f, ACME, v.acme, "/mnt/acme", &tagging_ops, &go);
	pid_t other = mount_fork(f, OTHER, v.other, "/mnt/other", &go_other);

	assert_int_equal(as(ADMIN, tag, f, &own), 0);
	assert_int_equal(as(0, tag, f, &own), 0);
	assert_int_equal(as(ACME, tag, f, &own), 11); /* whose mount it is: that is another right */
	assert_int_equal(as(OTHER, tag, f, &own), 11);
	assert_int_equal(as(54399, tag, f, &own), 11);
	assert_int_equal(agent_fixture_audited(f, "\"backup.tag\""), 2);
	assert_int_equal(as(0, tag, f, &foreign), 1);
	assert_int_equal(as(0, tag, f, &nowhere), 14);
	assert_int_equal(agent_fixture_audited(f, "\"backup.tag\""), 2);
	assert_int_equal(as(0, tag, f, &unheld), 11); /* the mount says no */
	assert_int_equal(as(0, tag, f, &cannot), 5);
	assert_int_equal(agent_fixture_audited(f, "\"backup.tag\""), 4);
	/* A look at one is on nobody's record, and told to the same. */
	assert_int_equal(as(ADMIN, tag, f, &fits), 0);
	assert_int_equal(as(0, tag, f, &fits_not), 7);
	assert_int_equal(as(OTHER, tag, f, &fits), 11);
	assert_int_equal(agent_fixture_audited(f, "\"backup.tag\""), 4);
	mount_end(acme, go);
	mount_end(other, go_other);
	volumes_free(&v);
}

/* --- the audit log --- */

/* What it is told of arg's rows: 0 when each line is of that tenant, and there are some; 99 when not; else the exit code of the refusal. */
static int reads(struct agent_fixture *f, void *arg)
{
	const char *tenant = arg, *line;
	char member[64];
	uint64_t next = 0;
	unsigned rows = 0;

	(void)snprintf(member, sizeof(member), "\"tenant\":\"%s\"", tenant);
	do {
		AUTO_FREE char *text = NULL;
		size_t len;

		if (client_audit(f->c, tenant, 0, next, &text, &len, &next) < 0)
			return client_error(f->c)->exit_code;
		for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), rows++)
			if (!strstr(line, member) || !strstr(line, "\"hash\""))
				return 99;
	} while (next);
	return rows > 0 ? 0 : 99;
}

static void a_tenant_reads_its_own_rows_and_nobody_elses(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	char acme[] = "acme", other[] = "other", free_[] = "free";
	const struct {
		uid_t uid;
		char *tenant;
		int code;
	} rows[] = {
		{ ADMIN, acme, 0 },   { ADMIN, other, 11 }, { ADMIN, free_, 11 }, { ACME, acme, 11 },  { ACME, other, 11 }, { OTHER, other, 0 },
		{ OTHER, acme, 11 },  { OTHER, free_, 11 }, { 0, acme, 0 },       { 0, other, 0 },     { 0, free_, 0 },     { 54399, acme, 11 },
		{ 65534, acme, 11 },
	};
	size_t i;

	agent_fixture_rules(f, "other", "[allow]\nuser=54322\noperations=unlock,audit\n");
	agent_fixture_reload(f);
	assert_int_equal(as(ACME, unlock, f, v.acme), 0);
	assert_int_equal(as(OTHER, unlock, f, v.other), 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = as(rows[i].uid, reads, f, rows[i].tenant);

		if (code != rows[i].code)
			fail_msg("row %zu: exit code %d, not %d", i, code, rows[i].code);
	}
	assert_int_equal(agent_fixture_audited(f, "\"event\":\"audit.read\""), 5);
	volumes_free(&v);
}

/* --- keys of the rules, pins of others --- */

static void a_key_that_no_kms_line_names_is_refused(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	uint8_t uuid[UUID_LEN] = { 9 };
	AUTO_FREE struct key_slot *slots = calloc(SLOTS_MAX, sizeof(*slots));
	struct secret *root = NULL;
	const char *kms = "local:acme2";
	size_t count;

	assert_non_null(slots);
	assert_int_equal(client_init(f->c, uuid, "acme", &kms, 1, NULL, slots, &count, &root), -EPERM);
	assert_non_null(strstr(client_error(f->c)->message, "no kms= of tenant acme allows local:acme2"));
	assert_int_equal(client_init(f->c, uuid, "acme", NULL, 0, NULL, slots, &count, &root), -EPERM);
	kms = "local:acme";
	assert_int_equal(client_init(f->c, uuid, "acme", &kms, 1, NULL, slots, &count, &root), 0);
	secret_free(root);
	assert_int_equal(as(ACME, unlock, f, v.acme), 0);
	agent_fixture_rules(f, "acme", "[tenant]\nkms=local:newer\n[allow]\nuser=54321\noperations=unlock\n");
	agent_fixture_reload(f);
	assert_int_equal(as(ACME, unlock, f, v.acme), 11);
	assert_int_equal(agent_fixture_audited(f, "\"policy_id\":\"kms\""), 3);
	volumes_free(&v);
}

static int trust(struct agent_fixture *f, void *arg)
{
	struct agent_volume *v = arg;
	struct client_trusted t;

	return client_trust(f->c, v->config, v->config_len, &v->instance, false, &t) == 0 ? 0 : client_error(f->c)->exit_code;
}

static void an_operator_of_one_tenant_cannot_take_anothers_pin(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	struct agent_volume claim = *v.acme;

	assert_int_equal(as(ADMIN, trust, f, v.acme), 0);
	assert_int_equal(as(ADMIN, trust, f, v.other), 11);
	assert_int_equal(as(ACME, trust, f, v.acme), 11);
	/* acme's own coffer.volume, said to stand where other's does. */
	claim.instance = v.other->instance;
	assert_int_not_equal(as(ADMIN, trust, f, &claim), 0);
	assert_int_equal(as(OTHER, unlock, f, v.other), 0);
	volumes_free(&v);
}

static int lock_tenant(struct agent_fixture *f, void *arg)
{
	uint64_t mounts;

	return client_lock(f->c, arg, NULL, "test", &mounts) == 0 ? 0 : client_error(f->c)->exit_code;
}

static int lock_volume(struct agent_fixture *f, void *arg)
{
	const struct agent_volume *v = arg;
	uint64_t mounts;

	return client_lock(f->c, NULL, v->instance.uuid, "test", &mounts) == 0 ? 0 : client_error(f->c)->exit_code;
}

static void an_operator_locks_its_own_tenant_only(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);

	assert_int_equal(as(ADMIN, lock_tenant, f, (void *)(uintptr_t) "other"), 11);
	assert_int_equal(as(ACME, lock_tenant, f, (void *)(uintptr_t) "acme"), 11);
	/* By uuid, which its maker chose, it could mean another tenant's. */
	assert_int_equal(as(ADMIN, lock_volume, f, v.acme), 11);
	assert_int_equal(as(OTHER, unlock, f, v.other), 0);
	assert_int_equal(as(ACME, unlock, f, v.acme), 0);
	assert_int_equal(as(ADMIN, lock_tenant, f, (void *)(uintptr_t) "acme"), 0);
	assert_int_equal(as(ACME, unlock, f, v.acme), 12);
	assert_int_equal(as(0, lock_volume, f, v.other), 0);
	assert_int_equal(as(OTHER, unlock, f, v.other), 12);
	volumes_free(&v);
}

/* --- peers --- */

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fileio_write_full(fd, text, strlen(text));

	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* Root of a user namespace of its own: to the agent still who made it. 99: this host forbids such namespaces. */
static int unlock_as_namespace_root(struct agent_fixture *f, void *arg)
{
	char map[32];

	(void)snprintf(map, sizeof(map), "0 %ld 1", (long)getuid());
	(void)prctl(PR_SET_DUMPABLE, 1); /* else its /proc files are not its own after the change of uid */
	if (unshare(CLONE_NEWUSER) < 0 || file_write("/proc/self/uid_map", map) < 0)
		return 99;
	if (getuid() != 0)
		return 98;
	agent_fixture_connect(f);
	return unlock(f, arg);
}

static void root_of_a_namespace_is_who_made_it(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	int code = as(OTHER, unlock_as_namespace_root, f, v.acme);

	if (code == 99) {
		volumes_free(&v);
		skip();
	}
	assert_int_equal(code, 11);
	assert_int_equal(as(OTHER, unlock_as_namespace_root, f, v.free), 11);
	assert_int_equal(as(OTHER, unlock_as_namespace_root, f, v.other), 0);
	volumes_free(&v);
}

/* f->c belongs to a process of ACME; its socket is used from a process of another user. */
static int lend(struct agent_fixture *f, void *arg)
{
	int sock = agent_fixture_raw(f), status;
	char buf[1024];
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		_exit(agent_fixture_send(sock, "{\"v\":1,\"id\":2,\"op\":\"status\"}", -1) < 0 ||
		      agent_fixture_recv(sock, buf, sizeof(buf), OUT_OF_TIME_MS, NULL) != 0);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static void a_lent_connection_is_closed(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);

	assert_int_equal(as(ACME, lend, f, NULL), 0);
	assert_int_equal(agent_fixture_said(f, "used by pid"), 1);
	volumes_free(&v);
}

/* --- reload --- */

static void a_bad_file_is_refused_whole(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);

	agent_fixture_rules(f, "acme", "[allow]\nuser=54322\noperations=unlock\n"); /* good, and before the bad one */
	agent_fixture_rules(f, "other", "[allow]\nuser=54321\noperations=unlock\ncolour=red\n");
	agent_fixture_reload(f);
	assert_int_equal(agent_fixture_said(f, "tenants.d/other.conf:4: "), 1);
	assert_int_equal(agent_fixture_said(f, "the rules before stay"), 1);
	assert_int_equal(as(ACME, unlock, f, v.acme), 0);
	assert_int_equal(as(OTHER, unlock, f, v.acme), 11);
	assert_int_equal(as(OTHER, unlock, f, v.other), 0);
	agent_fixture_rules(f, "other", rules_other);
	agent_fixture_reload(f);
	assert_int_equal(as(ACME, unlock, f, v.acme), 11);
	assert_int_equal(as(OTHER, unlock, f, v.acme), 0);
	volumes_free(&v);
}

/* A connection made before is judged by what holds when it asks. */
static int unlock_twice(struct agent_fixture *f, void *arg)
{
	struct mounted *m = arg;
	char c;
	int first = unlock(f, m->v);

	if (first != 0 || write(m->up, "1", 1) != 1 || read(m->go, &c, 1) != 1)
		return 96;
	return unlock(f, m->v);
}

static void a_connection_is_judged_by_the_rules_of_now(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	int go[2], up[2], status;
	pid_t pid;
	char c;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct mounted m = { .v = v.acme, .go = go[0], .up = up[1] };

		_exit(as(ACME, unlock_twice, f, &m));
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	agent_fixture_rules(f, "acme", "[allow]\nuser=54322\noperations=unlock\n[allow 2]\nuser=54321\noperations=seal\n");
	agent_fixture_reload(f);
	assert_int_equal(write(go[1], "1", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 11);
	(void)close(go[0]);
	(void)close(go[1]);
	(void)close(up[0]);
	(void)close(up[1]);
	volumes_free(&v);
}

static int unlock_often(struct agent_fixture *f, void *arg)
{
	int i, code = 0;

	for (i = 0; i < 100 && code == 0; i++)
		code = unlock(f, arg);
	return code;
}

static void nobody_notices_a_reload_that_changes_nothing(void **state)
{
	struct agent_fixture *f = *state;
	struct volumes v = volumes_make(f);
	pid_t pid = fork();
	int status, n = 0;
	pid_t ended;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(as(ACME, unlock_often, f, v.acme));
	do {
		agent_fixture_reload(f);
		n++;
		ended = waitpid(pid, &status, WNOHANG);
	} while (ended == 0);
	assert_int_equal(ended, pid);
	assert_int_equal(status, 0);
	assert_true(n > 0);
	volumes_free(&v);
}

/* --- start --- */

static void a_bad_file_keeps_an_agent_from_starting(void **state)
{
	struct agent_fixture *f = *state;
	char path[160], state_dir[128], socket_path[160];

	(void)snprintf(state_dir, sizeof(state_dir), "%s2", f->state);
	(void)snprintf(socket_path, sizeof(socket_path), "%s2", f->socket);
	agent_fixture_rules(f, "acme", "[allow]\nuser=no-such-user-here\noperations=unlock\n");
	assert_int_equal(agent_fixture_run(f->config, state_dir, socket_path), 3);
	agent_fixture_rules(f, "acme", rules_acme);
	agent_fixture_rules(f, ".hidden", "nonsense");
	agent_fixture_rules(f, "two words", rules_acme);
	assert_int_equal(agent_fixture_run(f->config, state_dir, socket_path), 3);
	(void)snprintf(path, sizeof(path), "%s/tenants.d/two words.conf", f->config);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/tenants.d/acme.conf", f->config);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(agent_fixture_run(f->config, state_dir, socket_path), 3);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, OTHER, 0), 0);
	assert_int_equal(agent_fixture_run(f->config, state_dir, socket_path), 3);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_tenant_has_its_own_key_only),
		TEST(each_tenant_sees_its_own_mounts_only),
		TEST(nobody_answers_for_the_mount_point_of_another),
		TEST(a_mount_tags_for_administrators_and_of_its_own_volume_alone),
		TEST(a_tenant_reads_its_own_rows_and_nobody_elses),
		TEST(a_key_that_no_kms_line_names_is_refused),
		TEST(an_operator_of_one_tenant_cannot_take_anothers_pin),
		TEST(an_operator_locks_its_own_tenant_only),
		TEST(root_of_a_namespace_is_who_made_it),
		TEST(a_lent_connection_is_closed),
		TEST(a_bad_file_is_refused_whole),
		TEST(a_connection_is_judged_by_the_rules_of_now),
		TEST(nobody_notices_a_reload_that_changes_nothing),
		TEST(a_bad_file_keeps_an_agent_from_starting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
