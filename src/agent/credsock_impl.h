/* credsock_impl.h: what credsock.c (sockets) and credsock_load.c (who gets what) share. */
#ifndef COFFER_AGENT_CREDSOCK_IMPL_H
#define COFFER_AGENT_CREDSOCK_IMPL_H

#include "agent/credname.h"
#include "agent/credsock.h"

enum load_state { LOAD_FILE, LOAD_KEY, LOAD_WRITE };

struct load {
	struct load *next;
	enum load_state state;
	int fd;                         /* -1: ended, but held */
	bool held;                      /* by a thread or credkeys.c, which comes back to it */
	struct peer peer;
	struct credname name;
	char tenant[TENANT_LEN_MAX + 1];
	uint8_t *file;
	size_t file_len;
	struct credential *cred;
	struct secret *plain;           /* NULL in WRITE: refused */
	size_t at;                      /* how much is written */
	uint64_t deadline_ms;
};

struct credsock {
	int listen_fd, epoll_fd;
	char *path;                     /* ours to remove, or NULL */
	struct load *loads;
	size_t count;
	uint64_t accept_ms;             /* not watched until then; UINT64_MAX: until there is room; 0: it is */
	bool leaving;
};

/* credsock.c: write the secret, or, without one, what stands for "no". l may be gone when it returns. */
void credsock_answer(struct agent *a, struct load *l);

/* credsock_load.c: someone has connected; it ends in credsock_answer, now or later. */
void credsock_load_begin(struct agent *a, struct load *l);
void credsock_load_free(struct load *l);
/* Instead of whatever it waits for: no. l may be gone when it returns. */
void credsock_refuse(struct agent *a, struct load *l, const char *what, enum proto_class class, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
