/* credsock.h: credentials.sock, which systemd's LoadCredential= reads (docs/protocol.md, "The credential socket"): a unit gets the secrets that [credential] sections
 * give it, when it starts. Whoever connects says nothing: who it is, is the kernel's word, and which credential it wants stands in its address, which counts only if
 * that word agrees. The agent opens the file that its rules name, never one that a peer names.
 *
 * A refusal must make the unit fail, and the end of a connection would not: systemd takes it for an empty credential (a local socket has no reset that we could send).
 * So a refused connection gets one byte more than a credential may have, zeros, which systemd refuses. Loop's thread only. */
#ifndef COFFER_AGENT_CREDSOCK_H
#define COFFER_AGENT_CREDSOCK_H

#include "agent/agent.h"

#define CREDSOCK_NAME "credentials.sock"
#define CREDSOCK_CONNECTIONS_MAX 256      /* more wait to be accepted */
#define CREDSOCK_MS 60000                 /* until the answer is there; systemd's own patience with a starting unit is 90 s */
#define CREDSOCK_WRITE_MS 60000           /* until it is taken */
#define CREDSOCK_LEAVE_MS 2000            /* when the agent ends: for answers under way */

struct credsock;

/* Serve options.cred_listen_fd, or make the socket beside the agent's. An agent without it is an agent: logs, and a->credsock stays NULL. */
void credsock_open(struct agent *a);
/* Whatever there is to do; NULL is fine. */
void credsock_run(struct agent *a);
/* Who waits is refused. Before the threads of a->jobs are waited for; nothing is accepted from here on. */
void credsock_leave(struct agent *a);
void credsock_free(struct agent *a);

#endif
