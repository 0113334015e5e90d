/* credname.h: what systemd binds its end of a connection to when LoadCredential= names a socket (src/core/exec-credential.c there): an abstract address of the form
 * HEX/unit/UNIT/ID, HEX 1 to 16 lower-case digits. Anybody can bind such a name: it is a claim, compared with the kernel's word on the peer. Pure. */
#ifndef COFFER_AGENT_CREDNAME_H
#define COFFER_AGENT_CREDNAME_H

#include "agent/peer.h"
#include "crypt/credential.h"

#include <sys/socket.h>
#include <sys/un.h>

struct credname {
	char unit[PEER_UNIT_MAX];
	char id[CREDENTIAL_NAME_MAX + 1];
};

/* Of an address as getpeername(2) gives it. -EUCLEAN: it is none of systemd's for a unit's credential. */
int credname_parse(const struct sockaddr_un *sa, socklen_t len, struct credname *ret_n) must_check;

#endif
