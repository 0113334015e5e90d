/* notify.h: the door to libsystemd: readiness, sockets handed over, the system unit of a process. Built without
 * libsystemd, or run without systemd, nothing is announced and nobody is in a unit. */
#ifndef COFFER_BASE_NOTIFY_H
#define COFFER_BASE_NOTIFY_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* READY=1, STATUS=text, STOPPING=1. Errors do not matter: who waits has a time-out. */
void notify_ready(void);
void notify_status(const char *text);
void notify_stopping(void);
/* RELOADING=1: until notify_ready(). */
void notify_reloading(void);
/* EXTEND_TIMEOUT_USEC=: what starts or stops is given this long from now on. False: nobody listens. */
bool notify_extend(unsigned seconds);
/* Does the manager want to hear from this process, and how often? False: no. The caller says notify_alive() well before that. */
bool notify_watched(uint64_t *ret_usec);
void notify_alive(void);

/* The sockets of socket activation: how many, and their descriptors; -ENOENT when none was handed over, -EINVAL when more than
 * max were. Takes the variables out of the environment. */
int notify_listen_fds(int *ret_fds, size_t max) must_check;

/* The *system* unit that pid runs in, by systemd's own parser: never a unit of a user's manager. -ENOENT none,
 * -ENAMETOOLONG, -EOPNOTSUPP built without libsystemd. Check afterwards that pid is still the process that is meant. */
int notify_unit_of_pid(pid_t pid, char *ret_unit, size_t size) must_check;

#endif
