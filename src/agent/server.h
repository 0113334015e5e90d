/* server.h: the agent as a running service. */
#ifndef COFFER_AGENT_SERVER_H
#define COFFER_AGENT_SERVER_H

#include "agent/agent.h"

/* Take the state directory, the audit log and the socket: everything that can be refused is refused here, and nothing is served yet.
 * -EBUSY: another agent serves this socket or this state. Logs. */
int server_open(const struct agent_options *options, struct agent **ret_a) must_check;
/* Serve until SIGTERM or SIGINT. Logs. */
int server_run(struct agent *a) must_check;
/* Wipes, closes, removes the socket it made. NULL is fine. */
void server_free(struct agent *a);
DEFINE_AUTO(struct agent, server_free)
#define AUTO_AGENT AUTO(server_free_p)

#endif
