/* agent_fixture.h: a real agent in a directory of its own, and volumes for it (their coffer.volume; no data). */
#ifndef AGENT_FIXTURE_H
#define AGENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/types.h>

#include "agent/client.h"

struct agent_fixture {
	char dir[64], config[96], state[96], socket[96];
	pid_t pid; /* of the running agent, 0: none */
	uid_t uid; /* it runs as */
	struct client *c;
};

struct agent_volume {
	struct proto_instance instance;
	struct volume_config *cfg;
	struct secret *root;
	uint8_t *config;
	size_t config_len;
};

/* cmocka's setup and teardown: an agent runs and f->c is connected; teardown checks that it ends with status 0. */
int agent_fixture_setup(void **state);
/* The same, the agent under a user of its own. */
int agent_fixture_setup_user(void **state);
#define AGENT_FIXTURE_UID 54320
int agent_fixture_teardown(void **state);

void agent_fixture_start(struct agent_fixture *f);
/* Its exit status, -signal when a signal ended it. */
int agent_fixture_stop(struct agent_fixture *f, int sig);
/* Start a second one with these directories; its exit status. */
int agent_fixture_run(const char *config, const char *state, const char *socket);
void agent_fixture_connect(struct agent_fixture *f);
/* How often the agent has said this on standard error. */
unsigned agent_fixture_said(struct agent_fixture *f, const char *text);

/* init and pin; the volume's uuid is random, its instance made up. kms may be NULL. */
struct agent_volume *agent_volume_new(struct agent_fixture *f, const char *tenant, const char *kms);
/* With two keys. */
struct agent_volume *agent_volume_new2(struct agent_fixture *f, const char *tenant, const char *first, const char *second);
/* second may be NULL; with a slot of this recovery key behind them. */
struct agent_volume *agent_volume_new_recovery(struct agent_fixture *f, const char *tenant, const char *first, const char *second,
					       const struct secret *recovery);
/* Only init: nothing is pinned. */
struct agent_volume *agent_volume_init(struct agent_fixture *f, const char *tenant, const char *kms);
int agent_volume_pin(struct agent_fixture *f, struct agent_volume *v);
/* Serialise v->cfg anew under v->root: what somebody with the key could have written. */
void agent_volume_rewrite(struct agent_volume *v);
void agent_volume_free(struct agent_volume *v);

/* Unlock and compare the key with v->root; 0 or the -errno. */
int agent_volume_unlock(struct agent_fixture *f, struct agent_volume *v);
/* The same, which must be refused in this class and exit code with this text in the message. */
void agent_volume_refused(struct agent_fixture *f, struct agent_volume *v, enum proto_class class, int exit_code,
			  const char *text);

/* The audit log's text, malloc'ed. */
char *agent_fixture_audit(struct agent_fixture *f);
/* How often that text is in it. */
unsigned agent_fixture_audited(struct agent_fixture *f, const char *text);
/* Write tenants.d/TENANT.conf; let the agent read its rules again, and wait until they are in force. */
void agent_fixture_rules(struct agent_fixture *f, const char *tenant, const char *text);
void agent_fixture_reload(struct agent_fixture *f);
/* A connection without the client library, hello said. */
int agent_fixture_raw(struct agent_fixture *f);
/* Send a packet and receive one; its length, 0 at the end, -1 when nothing came within ms. */
int agent_fixture_send(int sock, const char *text, int fd);
int agent_fixture_recv(int sock, char *buf, size_t size, int ms, int *ret_fd);

#endif
