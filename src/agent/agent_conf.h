/* agent_conf.h: coffer.conf, the agent's own settings (coffer.conf(5)). A file that is not there says nothing; one with a fault is refused whole. */
#ifndef COFFER_AGENT_AGENT_CONF_H
#define COFFER_AGENT_AGENT_CONF_H

#include "agent/audit.h"
#include "agent/metrics.h"
#include "base/ini.h"
#include "base/log.h"

struct agent_conf {
	enum log_level log_level;
	struct metrics_conf metrics;
	struct audit_conf audit;
	char hash[65];       /* SHA-256 of the file's bytes, in hexadecimal; empty: there is none. Filled by agent_conf_load */
};

/* Pure. -EUCLEAN with *ret_error filled, -ENOMEM. */
int agent_conf_parse(const void *p, size_t len, struct agent_conf *ret_conf, struct ini_error *ret_error) must_check;
/* CONFIG_DIR/coffer.conf. Logs what is wrong; -EBADMSG then, or -ENOMEM. */
int agent_conf_load(const char *config_dir, struct agent_conf *ret_conf) must_check;

#endif
