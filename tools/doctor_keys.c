/* doctor_keys.c: the agent, its mounts, and the key service of a volume. The service is asked in earnest: by the agent, with its credential, over its TLS (1.3 and nothing older),
 * for this volume's key; what comes is wiped (doctor_tls.c looks at the TLS itself). That stands in the audit log as any unlock does, with purpose "doctor". */
#include "tools/doctor.h"
#include "tools/status_view.h"

#include "base/clock.h"
#include "crypt/keys.h"

#include <stdio.h>
#include <string.h>

#define LOG_FULL_PERCENT 80

static void mount_row(struct doctor *d, const struct json *m)
{
	char place[STATUS_TEXT_MAX], text[STATUS_TEXT_MAX], lease[STATUS_TEXT_MAX], reason[STATUS_TEXT_MAX];
	enum status_colour c, lc;
	const char *state = status_state(m, text, &c);

	(void)status_text(m, "mountpoint", place);
	(void)status_lease(m, lease, &lc);
	(void)status_text(status_part(m, "lease"), "reason", reason);
	if (status_number(m, "integrity_failures"))
		doctor_row(d, "mount", DOCTOR_FAIL, "the journal names the files; coffer umount, coffer fsck",
			   "%.200s: %llu times something did not verify", place, (unsigned long long)status_number(m, "integrity_failures"));
	else if (strcmp(state, "ready") != 0)
		doctor_row(d, "mount", c == STATUS_BAD ? DOCTOR_FAIL : DOCTOR_WARN, "coffer status and the journal say more", "%.200s: %s", place, state);
	else if (lc != STATUS_GOOD)
		doctor_row(d, "mount", DOCTOR_WARN, "see \"Leases\" in docs/operations.md", "%.200s: its lease is %s: %.200s", place, lease, reason);
	else if (status_log_percent(m) > LOG_FULL_PERCENT)
		doctor_row(d, "mount", DOCTOR_WARN, "look at the disk below; mount with a larger log-size=", "%.200s: the log is %u %% full", place,
			   status_log_percent(m));
	else
		doctor_row(d, "mount", DOCTOR_OK, NULL, "%.200s: ready, lease ACTIVE, log %u %% full", place, status_log_percent(m));
}

void doctor_agent(struct doctor *d)
{
	AUTO_CLIENT struct client *c = client_new(d->g->agent);
	AUTO_JSON struct json *o = NULL;
	const struct json *mounts;

	if (!c || client_connect(c) < 0) {
		doctor_row(d, "agent", DOCTOR_FAIL, "systemctl start coffer-agent", "%s", c ? client_error(c)->message : "out of memory");
		return;
	}
	doctor_row(d, "agent", strcmp(client_agent_version(c), PACKAGE_VERSION) == 0 ? DOCTOR_OK : DOCTOR_WARN,
		   "systemctl restart coffer-agent: mounts go on", "version %s, pid %d%s", client_agent_version(c), client_agent_pid(c),
		   strcmp(client_agent_version(c), PACKAGE_VERSION) == 0 ? "" : "; this command is of version " PACKAGE_VERSION);
	if (status_ask(c, &o) != 0 || json_get_array(o, "mounts", &mounts) < 0)
		return; /* told */
	for (size_t i = 0; i < json_array_len(mounts); i++)
		mount_row(d, json_array_at(mounts, i));
}

static void refused(struct doctor *d, const struct client *c)
{
	const struct client_error *e = client_error(c);
	const char *advice = "docs/kms.md and docs/operations.md have a line for each answer";

	if (e->class == PROTO_CLASS_UNTRUSTED)
		advice = "if this is the right volume: coffer trust VOLUME";
	else if (e->class == PROTO_CLASS_LOCKED)
		advice = "coffer unlock, when the reason is gone";
	doctor_row(d, "key service", DOCTOR_FAIL, advice, "%s", e->message);
}

void doctor_key(struct doctor *d, const struct doctor_target *t)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLIENT struct client *c = client_new(d->g->agent);
	AUTO_SECRET struct secret *root = NULL;
	AUTO_KEY_RING struct key_ring *ring = NULL;
	struct client_unlocked u = { 0 };
	uint64_t began, took;
	bool local;
	int r;

	if (cmd_volume_open(t->source, &v) != 0) {
		doctor_row(d, "volume", DOCTOR_FAIL, NULL, "%s is no volume that can be opened", t->source);
		return;
	}
	if (!c || client_connect(c) < 0) {
		doctor_tls(d, NULL, &v);
		return; /* the agent has its row */
	}
	doctor_tls(d, c, &v);
	began = clock_boot_ms();
	r = client_unlock(c, "doctor", v.config, v.config_len, &v.instance, &u, &root);
	took = clock_boot_ms() - began;
	if (r < 0) {
		refused(d, c);
		return;
	}
	local = strncmp(u.key_uri, "local:", 6) == 0;
	doctor_row(d, "key service", local ? DOCTOR_WARN : DOCTOR_OK, "for production: a key in a KMS or Vault (docs/kms.md)",
		   local ? "%s gives the key, in %llu ms: a file on this host" : "%s gives the key, in %llu ms", u.key_uri, (unsigned long long)took);
	if (!local)
		doctor_row(d, "credential", u.credential[0] ? DOCTOR_OK : DOCTOR_WARN, "the agent is of an older version: restart it", "%s",
			   u.credential[0] ? u.credential : "the agent does not say which it used");
	r = volume_config_verify(v.config, v.config_len, v.parsed, root, &ring);
	doctor_row(d, "coffer.volume", r == 0 ? DOCTOR_OK : DOCTOR_FAIL, "the agent has a copy: coffer keys import",
		   r == 0 ? "fits the key, version %llu" : "does not fit the key, version %llu", (unsigned long long)v.parsed->config_version);
}
