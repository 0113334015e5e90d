/* lease_run.h: what drives the leases (lease.h) of the mounts that are registered: probes on threads, events to mounts, rows in the audit log. Loop's thread only. */
#ifndef COFFER_AGENT_LEASE_RUN_H
#define COFFER_AGENT_LEASE_RUN_H

#include "agent/agent.h"
#include "agent/opener.h"

struct json;

/* c has registered. fresh: its key was unwrapped on this connection just now. */
void lease_run_begin(struct agent *a, struct conn *c, bool fresh, bool operator_locked);
void lease_run_tick(struct agent *a, uint64_t now_ms);

/* An operator's word. lease_run_open: the mount is asked to open at once, which is a real unwrap. */
void lease_run_operator_lock(struct conn *c);
void lease_run_open(struct conn *c);
/* The mount has, or has not, opened again. */
void lease_run_unlocked(struct agent *a, struct conn *c, bool ok);

/* A mount that is locked asked for its key, and its slots said this: may it have it? */
bool lease_run_may_open(struct agent *a, struct conn *c, const struct opener_answers *answers);
/* Somebody's unlock of this volume was refused by its key's owner: its mounts ask at once. */
void lease_run_refused(struct agent *a, const uint8_t uuid[static UUID_LEN], enum proto_class class);

/* A descriptor that is readable when CLOCK_REALTIME was set, and what to do then: everything is asked again. */
int lease_run_clock_open(int *ret_fd) must_check;
void lease_run_clock_jumped(struct agent *a, int fd);

/* `lease` of coffer status --json. */
int lease_run_put(const struct agent *a, struct json *o, const struct conn *c) must_check;

#endif
