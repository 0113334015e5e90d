/* listen.h: the agent's socket. */
#ifndef COFFER_AGENT_LISTEN_H
#define COFFER_AGENT_LISTEN_H

#include "base/err.h"

#include <sys/types.h>

/* Make path a listening SOCK_SEQPACKET socket that everybody may connect to (who may ask what is policy's). The directory is
 * made (0755) when it is not there. A socket left by a dead agent is replaced; -EBUSY: a live one answers, or another agent starts.
 * *ret_lock_fd is held for as long as the socket is ours. */
int listen_bind(const char *path, int *ret_fd, int *ret_lock_fd) must_check;
/* The same for a SOCK_STREAM socket of that mode beside the one above, whose lock keeps others away. */
int listen_stream(const char *path, mode_t mode, int *ret_fd) must_check;
/* A socket handed over by the service manager: -EINVAL when it is no listening socket of that type. Sets what we need on it. */
int listen_adopt(int fd, int type) must_check;

#endif
