/* test_agent_keys.c: a real agent, what it hands a key over for and what it does not. */
#include "agent_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/audit_walk.h"
#include "base/json.h"

static char *path_in(const char *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static char *path_in(const char *dir, const char *fmt, ...)
{
	static char path[512];
	va_list ap;
	int n = snprintf(path, sizeof(path), "%s/", dir);

	va_start(ap, fmt);
	(void)vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
	va_end(ap);
	return path;
}

static void a_new_volume_unlocks_with_the_key_it_was_made_with(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct stat st;
	char uuid[33];

	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_fixture_connect(f);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	volume_config_uuid_text(v->instance.uuid, uuid);
	assert_int_equal(lstat(path_in(f->config, "keys/acme-%.12s", uuid), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_size, KEY_LEN);
	agent_volume_free(v);
}

static void a_named_key_is_made_once_and_then_shared(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *a = agent_volume_new(f, "acme", "local:shared");
	struct agent_volume *b = agent_volume_new(f, "acme", "local:shared");

	assert_int_equal(agent_volume_unlock(f, a), 0);
	assert_int_equal(agent_volume_unlock(f, b), 0);
	assert_string_equal(a->cfg->slots[0].kms, "local:shared");
	assert_memory_not_equal(secret_bytes(a->root), secret_bytes(b->root), KEY_LEN);
	agent_volume_free(a);
	agent_volume_free(b);
}

static void an_unpinned_volume_is_not_unlocked_until_it_is_trusted(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_init(f, "acme", NULL);
	struct client_trusted t;

	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "coffer trust");
	assert_int_equal(client_trust(f->c, v->config, v->config_len, &v->instance, false, &t), 0);
	assert_false(t.known);
	assert_false(t.other_instance);
	assert_string_equal(t.tenant, "acme");
	assert_int_equal(t.kms_count, 1);
	assert_string_equal(t.kms[0], v->cfg->slots[0].kms);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void a_copy_needs_its_own_trust(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_instance original = v->instance;
	struct client_trusted t;

	v->instance.handle[3] ^= 1;
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "copy or restore");
	v->instance = original;
	v->instance.fsid++;
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "copy or restore");
	v->instance = original;
	v->instance.handle_type++;
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "copy or restore");
	assert_int_equal(client_trust(f->c, v->config, v->config_len, &v->instance, false, &t), 0);
	assert_true(t.other_instance);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	v->instance = original;
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void a_config_that_names_another_tenant_is_refused(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);

	(void)strcpy(v->cfg->tenant, "acme2");
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "acme2");
	agent_volume_free(v);
}

static void a_slot_that_points_at_another_key_is_refused(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *other = agent_volume_new(f, "beta", "local:beta");
	struct agent_volume *v = agent_volume_new(f, "acme", "local:acme");

	(void)strcpy(v->cfg->slots[0].kms, "local:beta");
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "pinned");
	(void)strcpy(v->cfg->slots[0].kms, "local:acme2");
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "pinned");
	/* the pinned name over the other's wrapped key */
	v->cfg->slots[0] = other->cfg->slots[0];
	(void)strcpy(v->cfg->slots[0].kms, "local:acme");
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "does not open");
	agent_volume_free(v);
	agent_volume_free(other);
}

static void a_changed_slot_or_config_is_refused(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	uint8_t *at;

	v->cfg->slots[0].sealed_root[20] ^= 1;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "sealed root");
	v->cfg->slots[0].sealed_root[20] ^= 1;
	v->cfg->slots[0].commitment[0] ^= 1;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "commitment");
	v->cfg->slots[0].commitment[0] ^= 1;
	v->cfg->slots[0].wrapped_kek[30] ^= 1;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "wrapped key");
	v->cfg->slots[0].wrapped_kek[30] ^= 1;
	agent_volume_rewrite(v);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	at = memmem(v->config, v->config_len, "2026-01-01", 10);
	assert_non_null(at);
	at[3] = '7';
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "authentication code");
	v->config_len = 10;
	agent_volume_refused(f, v, PROTO_CLASS_NOT_VOLUME, 4, "malformed");
	agent_volume_free(v);
}

static void a_retired_slot_is_not_tried(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);

	v->cfg->slots[0].active = false;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "pinned");
	agent_volume_free(v);
}

static void a_config_larger_than_a_packet_is_taken_whole(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	size_t i;

	for (i = 1; i < SLOTS_MAX; i++) {
		v->cfg->slots[i] = v->cfg->slots[0];
		v->cfg->slots[i].active = false;
		v->cfg->slots[i].wrapped_kek_len = WRAPPED_KEK_MAX;
	}
	v->cfg->slot_count = SLOTS_MAX;
	agent_volume_rewrite(v);
	assert_true(v->config_len > 2 * PROTO_PACKET_MAX);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void an_older_config_is_refused_until_trusted_as_older(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct client_trusted t;

	v->cfg->config_version = 4;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_OLDER, 23, "trust --older");
	assert_int_equal(client_trust(f->c, v->config, v->config_len, &v->instance, false, &t), 0);
	assert_true(t.known);
	agent_volume_refused(f, v, PROTO_CLASS_OLDER, 23, "trust --older");
	assert_int_equal(client_trust(f->c, v->config, v->config_len, &v->instance, true, &t), 0);
	assert_true(t.seen.older_ok);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void a_scratch_volume_is_trusted_as_long_as_its_connection(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct proto_instance original = v->instance;

	assert_int_equal(client_trust_scratch(f->c, v->config, v->config_len, &v->instance), -EEXIST);
	v->instance.handle[3] ^= 1;
	assert_int_equal(client_trust_scratch(f->c, v->config, v->config_len, &v->instance), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(agent_fixture_audited(f, "until the connection ends"), 1);
	v->instance.handle[3] ^= 2;
	assert_int_equal(client_trust_scratch(f->c, v->config, v->config_len, &v->instance), -EPROTO);
	v->instance.handle[3] ^= 2;
	agent_fixture_connect(f);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "copy or restore");
	assert_int_equal(client_trust_scratch(f->c, v->config, v->config_len, &v->instance), 0);
	(void)agent_fixture_stop(f, SIGKILL);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "copy or restore");
	v->instance = original;
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void pin_takes_only_what_was_made_on_this_connection(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_init(f, "acme", NULL);

	v->cfg->slots[0].sealed_root[0] ^= 1;
	agent_volume_rewrite(v);
	assert_int_equal(agent_volume_pin(f, v), -EPERM);
	assert_int_equal(client_error(f->c)->class, PROTO_CLASS_UNTRUSTED);
	v->cfg->slots[0].sealed_root[0] ^= 1;
	agent_volume_rewrite(v);
	agent_fixture_connect(f);
	assert_int_equal(agent_volume_pin(f, v), -EPERM);
	agent_volume_refused(f, v, PROTO_CLASS_UNTRUSTED, 11, "trust");
	agent_volume_free(v);
}

static void defects_of_the_key_file_have_their_exit_codes(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", "local:k");
	char key[512], aside[512];
	int fd;

	(void)snprintf(key, sizeof(key), "%s/keys/k", f->config);
	(void)snprintf(aside, sizeof(aside), "%s/keys/aside", f->config);
	assert_int_equal(chmod(key, 0644), 0);
	agent_volume_refused(f, v, PROTO_CLASS_CONFIG, 3, "0600");
	assert_int_equal(chmod(key, 0600), 0);
	assert_int_equal(rename(key, aside), 0);
	agent_volume_refused(f, v, PROTO_CLASS_REVOKED, 12, "gone");
	assert_int_equal(symlink("aside", key), 0);
	agent_volume_refused(f, v, PROTO_CLASS_CONFIG, 3, "symbolic link");
	assert_int_equal(unlink(key), 0);
	fd = open(key, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 31), 31);
	agent_volume_refused(f, v, PROTO_CLASS_CONFIG, 3, "32");
	assert_int_equal(write(fd, "x", 1), 1);
	(void)close(fd);
	agent_volume_refused(f, v, PROTO_CLASS_CORRUPT, 7, "does not open");
	assert_int_equal(rename(aside, key), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void bad_key_uris_are_refused_at_init(void **state)
{
	struct agent_fixture *f = *state;
	static const struct {
		const char *uri;
		enum proto_class class;
	} bad[] = {
		{ "local:../../etc/x", PROTO_CLASS_CONFIG },
		{ "local:.x", PROTO_CLASS_CONFIG },
		{ "nonsense", PROTO_CLASS_CONFIG },
		{ "kmip://kms.example:5696/1", PROTO_CLASS_UNSUPPORTED },
	};
	struct key_slot *slots = calloc(SLOTS_MAX, sizeof(*slots));
	const uint8_t uuid[UUID_LEN] = { 7 };
	struct secret *root = NULL;
	size_t i, n;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(client_init(f->c, uuid, "acme", &bad[i].uri, 1, NULL, slots, &n, &root) < 0);
		assert_int_equal(client_error(f->c)->class, bad[i].class);
		assert_null(root);
	}
	assert_true(client_init(f->c, uuid, "..", NULL, 0, NULL, slots, &n, &root) < 0);
	free(slots);
}

static void pins_and_what_was_seen_outlive_the_agent(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);

	assert_int_equal(agent_fixture_stop(f, SIGKILL), -SIGKILL);
	agent_fixture_start(f); /* over the dead one's socket */
	agent_fixture_connect(f);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	v->cfg->config_version = 4;
	agent_volume_rewrite(v);
	agent_volume_refused(f, v, PROTO_CLASS_OLDER, 23, "older");
	agent_volume_free(v);
}

/* The whole log is verified with its own anchors; returns the number of rows. */
static uint64_t chain_check(struct agent_fixture *f)
{
	AUTO_AUDIT_CHAIN struct audit_chain *c = NULL;
	struct audit_lines *anchors = malloc(sizeof(*anchors));
	AUTO_CLOSE int dirfd = open(f->state, O_RDONLY | O_DIRECTORY);
	AUTO_CLOSE int fd = openat(dirfd, AUDIT_FILES_ANCHORS, O_RDONLY);
	int r;

	assert_non_null(anchors);
	audit_lines_init(anchors, fd);
	assert_int_equal(audit_chain_new(NULL, fd >= 0 ? audit_walk_anchor : NULL, anchors, &c), 0);
	r = audit_walk_dir(c, dirfd, "", NULL, NULL);
	if (r >= 0)
		r = audit_chain_end(c);
	if (r < 0)
		fail_msg("row %llu: %s", (unsigned long long)audit_chain_report(c)->seq, audit_chain_report(c)->why);
	free(anchors);
	return audit_chain_report(c)->rows;
}

static void the_audit_log_is_an_unbroken_chain_over_a_restart(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	char *text;

	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(agent_fixture_stop(f, SIGKILL), -SIGKILL);
	agent_fixture_start(f);
	agent_fixture_connect(f);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_true(chain_check(f) >= 7);
	text = agent_fixture_audit(f);
	assert_non_null(strstr(text, "\"event\":\"key.generate\""));
	assert_non_null(strstr(text, "\"event\":\"volume.pin\""));
	assert_non_null(strstr(text, "\"event\":\"key.unwrap\""));
	free(text);
	agent_volume_free(v);
}

static void without_an_audit_log_nothing_is_unlocked(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct rlimit none = { 0, RLIM_INFINITY }, old;

	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &none, &old), 0);
	agent_volume_refused(f, v, PROTO_CLASS_AUDIT, 21, "audit log");
	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &old, NULL), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	agent_volume_free(v);
}

static void conf_write(struct agent_fixture *f, const char *text)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/coffer.conf", f->config);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

/* config_hash of the newest policy.load; "": it has none. */
static void loaded_hash(struct agent_fixture *f, char ret_hash[static 65])
{
	char *text = agent_fixture_audit(f), *at = text, *row = NULL;

	while ((at = strstr(at, "\"event\":\"policy.load\"")))
		row = at++;
	assert_non_null(row);
	while (row > text && row[-1] != '\n')
		row--;
	row[strcspn(row, "\n")] = '\0';
	at = strstr(row, "\"config_hash\":\"");
	ret_hash[0] = '\0';
	if (at)
		(void)snprintf(ret_hash, 65, "%.64s", at + 15);
	free(text);
}

static void coffer_conf_is_part_of_what_a_load_hashes(void **state)
{
	struct agent_fixture *f = *state;
	char none[65], rules[65], both[65], other[65];

	loaded_hash(f, none);
	agent_fixture_rules(f, "acme", "[tenant]\n");
	agent_fixture_reload(f);
	loaded_hash(f, rules);
	conf_write(f, "[agent]\nlog-level=info\n");
	agent_fixture_reload(f);
	loaded_hash(f, both);
	conf_write(f, "[agent]\nlog-level=warning\n");
	agent_fixture_reload(f);
	loaded_hash(f, other);
	assert_string_equal(none, "");
	assert_int_equal(strlen(rules), 64);
	assert_string_not_equal(rules, both);
	assert_string_not_equal(both, other);
}

static void with_required_no_it_unlocks_without_an_audit_log(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	struct rlimit none = { 0, RLIM_INFINITY }, old;

	/* No more room in the log, but for a memory file of one page. */
	conf_write(f, "[audit]\nrequired=no\n");
	agent_fixture_reload(f);
	while (none.rlim_cur < 16384) {
		char *log = agent_fixture_audit(f);

		none.rlim_cur = strlen(log);
		free(log);
		assert_int_equal(agent_volume_unlock(f, v), 0);
	}
	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &none, &old), 0);
	assert_int_equal(agent_volume_unlock(f, v), 0);
	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &old, NULL), 0);
	assert_true(agent_fixture_said(f, "going on without") >= 1);
	conf_write(f, "[audit]\nrequired=yes\n");
	agent_fixture_reload(f);
	none.rlim_cur = 16384;
	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &none, NULL), 0);
	agent_volume_refused(f, v, PROTO_CLASS_AUDIT, 21, "audit log");
	assert_int_equal(prlimit(f->pid, RLIMIT_FSIZE, &old, NULL), 0);
	agent_volume_free(v);
}

/* Anchors go to the new file, and it verifies the log. */
static void an_anchor_file_can_be_named_while_it_runs(void **state)
{
	struct agent_fixture *f = *state;
	char path[160], conf[256], command[400];

	(void)snprintf(path, sizeof(path), "%s/anchors", f->dir);
	(void)snprintf(conf, sizeof(conf), "[audit]\nanchor-file=%s\n", path);
	assert_int_not_equal(access(path, F_OK), 0);
	conf_write(f, conf);
	agent_fixture_reload(f);
	assert_int_equal(agent_fixture_stop(f, SIGTERM), 0); /* which writes a last anchor */
	agent_fixture_start(f);
	(void)snprintf(command, sizeof(command), "grep -q '\"signature\"\\|sig' %s", path);
	assert_int_equal(system(command), 0);
}

static void the_agents_state_holds_no_key(void **state)
{
	struct agent_fixture *f = *state;
	struct agent_volume *v = agent_volume_new(f, "acme", NULL);
	static char buf[65536];
	char command[512];
	ssize_t n;
	int fd;

	assert_int_equal(agent_volume_unlock(f, v), 0);
	(void)snprintf(command, sizeof(command), "test -z \"$(find %s -perm /077 ! -type l -print -quit)\"", f->state);
	assert_int_equal(system(command), 0);
	(void)snprintf(command, sizeof(command), "cat %s/audit.log %s/volumes/* > %s/all", f->state, f->state, f->dir);
	assert_int_equal(system(command), 0);
	fd = open(path_in(f->dir, "all"), O_RDONLY);
	n = read(fd, buf, sizeof(buf));
	assert_true(n > 0);
	assert_null(memmem(buf, (size_t)n, secret_bytes(v->root), KEY_LEN));
	(void)close(fd);
	agent_volume_free(v);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, agent_fixture_setup, agent_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_volume_unlocks_with_the_key_it_was_made_with),
		TEST(a_named_key_is_made_once_and_then_shared),
		TEST(an_unpinned_volume_is_not_unlocked_until_it_is_trusted),
		TEST(a_copy_needs_its_own_trust),
		TEST(a_config_that_names_another_tenant_is_refused),
		TEST(a_slot_that_points_at_another_key_is_refused),
		TEST(a_changed_slot_or_config_is_refused),
		TEST(a_retired_slot_is_not_tried),
		TEST(a_config_larger_than_a_packet_is_taken_whole),
		TEST(an_older_config_is_refused_until_trusted_as_older),
		TEST(a_scratch_volume_is_trusted_as_long_as_its_connection),
		TEST(pin_takes_only_what_was_made_on_this_connection),
		TEST(defects_of_the_key_file_have_their_exit_codes),
		TEST(bad_key_uris_are_refused_at_init),
		TEST(pins_and_what_was_seen_outlive_the_agent),
		TEST(the_audit_log_is_an_unbroken_chain_over_a_restart),
		TEST(without_an_audit_log_nothing_is_unlocked),
		TEST(with_required_no_it_unlocks_without_an_audit_log),
		TEST(coffer_conf_is_part_of_what_a_load_hashes),
		TEST(an_anchor_file_can_be_named_while_it_runs),
		TEST(the_agents_state_holds_no_key),
	};

	if (geteuid() != 0)
		return 77; /* the policy without tenants.d is for root */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
