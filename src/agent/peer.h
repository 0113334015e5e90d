/* peer.h: who is at the other end of a connection, by the kernel's word. */
#ifndef COFFER_AGENT_PEER_H
#define COFFER_AGENT_PEER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PEER_UNIT_MAX 256

struct peer {
	pid_t pid;
	uid_t uid;
	int pidfd;                 /* pins the process: its number cannot mean another one unnoticed */
	uint64_t start_time;       /* of the process, clock ticks since boot */
	char unit[PEER_UNIT_MAX];  /* system unit; empty: none */
};

/* Find out at accept. -ESRCH: it has gone already; -EPERM: it cannot be known. On failure nothing is held. */
int peer_identify(int sock, struct peer *ret_p) must_check;
/* Is it still that process? -ESRCH no. Asked again before each key. */
int peer_check(const struct peer *p) must_check;
/* Are its users ours: is it in our user namespace, as far as the kernel's map tells? uid 0 of another one may be the host's root's number, with none of his rights. */
bool peer_shares_users(const struct peer *p) must_check;
void peer_done(struct peer *p);

#endif
