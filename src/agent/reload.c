/* reload.c: new rules for a running agent (SIGHUP). A mount keeps its key: rules say who gets one, leases how long it is kept. */
#include "agent/agent.h"

#include <stdio.h>
#include <string.h>

#include "agent/agent_conf.h"
#include "agent/metrics.h"
#include "base/log.h"
#include "base/text.h"
#include "crypt/digest.h"

static void record(struct agent *a, const char *outcome, const char *hash)
{
	struct audit_event e = { .what = "policy.load", .outcome = outcome, .config_hash = hash };

	audit_note(a->audit, &e);
}

/* Over both: what an agent does is decided by coffer.conf as well. */
static const char *config_hash(const struct agent *a, char ret_hex[static 2 * DIGEST_SHA256_LEN + 1])
{
	uint8_t hash[DIGEST_SHA256_LEN];
	char both[140];
	int n;

	if (!*tenants_hash(a->tenants) && !*a->conf_hash)
		return NULL;
	n = snprintf(both, sizeof(both), "%s\n%s\n", tenants_hash(a->tenants), a->conf_hash);
	if (digest_sha256(both, (size_t)n, hash) < 0)
		return NULL;
	text_hex(hash, sizeof(hash), ret_hex);
	return ret_hex;
}

/* Strangers are counted and watched: who was one may be none now, and the other way round. A mount stays connected, whatever it may ask next. */
static void admit_again(struct agent *a, struct conn *c)
{
	const struct policy_peer who = request_who(c);
	bool admitted = c->mount || policy_admits(&a->policy, a->tenants, &who);

	if (admitted == c->admitted)
		return;
	if (admitted)
		a->stranger_count--;
	else
		a->stranger_count++;
	c->admitted = admitted;
}

int reload_first(struct agent *a)
{
	return tenants_load(a->options.config_dir, &a->tenants);
}

void reload_record(struct agent *a)
{
	char hex[2 * DIGEST_SHA256_LEN + 1];

	record(a, "ok", config_hash(a, hex));
}

void reload(struct agent *a)
{
	struct tenants *next = NULL;
	struct agent_conf conf;
	struct conn *c;
	int r;

	r = agent_conf_load(a->options.config_dir, &conf);
	if (r >= 0)
		r = tenants_load(a->options.config_dir, &next);
	if (r < 0) {
		log_err("reload refused: the rules before stay in force");
		record(a, "refused", NULL);
		return;
	}
	log_set_level(conf.log_level);
	memcpy(a->conf_hash, conf.hash, sizeof(a->conf_hash));
	if (!audit_configure(a->audit, &conf.audit))
		log_warning("coffer.conf: [audit] dir= has changed: the log stays where it is until coffer-agent is started again");
	metrics_configure(&a->metrics, a, &conf.metrics);
	tenants_unref(a->tenants);
	a->tenants = next;
	for (c = a->conns; c; c = c->next)
		admit_again(a, c);
	reload_record(a);
	log_info("rules loaded again");
}
