/* packet.h: one packet over the agent's socket, with at most one descriptor beside it, and the sealed memory files that
 * carry what is too large or too secret for a message. Used by both sides. */
#ifndef COFFER_AGENT_PACKET_H
#define COFFER_AGENT_PACKET_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct packet_from {
	bool known;   /* the kernel told who sent this packet */
	pid_t pid;
	uid_t uid;
};

/* Send text (without its NUL) and, when fd >= 0, that descriptor. fd stays the caller's. -EAGAIN the peer does not read,
 * -EPIPE, -ECONNRESET gone. */
int packet_send(int sock, const char *text, int fd) must_check;

/* Receive one packet into buf of size bytes. 0 at the end of the connection, else the length. A packet that is longer: -EMSGSIZE.
 * want_fd false: descriptors are dropped by the kernel, unseen. More than one descriptor, or another control message: -EPROTO, all
 * are closed. *ret_fd is -1 or the caller's to close. */
int packet_recv(int sock, void *buf, size_t size, bool want_fd, int *ret_fd, struct packet_from *ret_from) must_check;

/* Wait until sock may be read (or written), at most until deadline_ms of clock_boot_ms(): 0, -ETIMEDOUT, -errno. */
int packet_wait(int sock, bool writing, uint64_t deadline_ms) must_check;

/* A memory file of these bytes that nobody can change any more. */
int packet_seal(const void *p, size_t len, int *ret_fd) must_check;
/* Read one: -EPROTO when it is anything else than a wholly sealed memory file of at most max bytes. A descriptor that could
 * make us wait (a file of a hostile filesystem) is found out before its filesystem is asked anything. */
int packet_read_sealed(int fd, size_t max, uint8_t **ret_p, size_t *ret_len) must_check;

/* Take over the len bytes of a descriptor of secret_to_fd, and wipe them there. -EPROTO when it is no such thing; like packet_read_sealed it asks no foreign
 * filesystem to find out. Does not close it. */
int packet_read_secret(int fd, size_t len, struct secret **ret_s) must_check;

/* Wipe the len bytes behind a descriptor of secret_to_fd, for everybody who has it open still. Where the memory is sealed against
 * that it goes when the last descriptor is closed. */
void packet_wipe_secret(int fd, size_t len);

#endif
