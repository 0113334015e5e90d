/* secret.h: memory for key bytes. A struct secret lives in memfd_secret(2) memory where the kernel has it,
 * else in locked memory that is left out of core dumps; between two guard pages; wiped when freed.
 * What wiping cannot do: copies in registers, in spilled stack slots of callees, in CPU caches.
 * Nothing here prints, and a struct secret is never copied by value. Thread safe but for one object at a time. */
#ifndef COFFER_BASE_SECRET_H
#define COFFER_BASE_SECRET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_LEN_MAX (1u << 20) /* a credential */

struct secret;

/* len zeroed bytes, 1..SECRET_LEN_MAX. -EINVAL, -ENOMEM (also when RLIMIT_MEMLOCK is too small). */
int secret_new(size_t len, struct secret **ret_s) must_check;
/* A secret holding len bytes copied from p; the caller wipes its own copy. */
int secret_new_copy(const void *p, size_t len, struct secret **ret_s) must_check;
/* Wipes and frees; NULL is fine. */
void secret_free(struct secret *s);
DEFINE_AUTO(struct secret, secret_free)
#define AUTO_SECRET AUTO(secret_free_p)

uint8_t *secret_bytes(struct secret *s);
const uint8_t *secret_bytes_const(const struct secret *s);
size_t secret_len(const struct secret *s);

/* Wipe memory in a way the compiler keeps (OPENSSL_cleanse semantics); p may be NULL when n is 0. */
void secret_wipe(void *p, size_t n);
/* Wipe what calls that have returned left on this thread's stack, as far down as ours go (SECRET_STACK_LEN). */
#define SECRET_STACK_LEN (256u << 10)
void secret_wipe_stack(void);
/* Leave this thread's stack out of core dumps: calls keep copies of keys there while they are at work. */
void secret_hide_stack(void);
/* Constant-time comparison; sizes are equal by contract. */
bool secret_equal(const void *a, const void *b, size_t n) must_check;
/* n bytes of getrandom(2), retried over EINTR; -errno when the kernel has none. */
int secret_random(void *p, size_t n) must_check;

/* A descriptor of len bytes that hold the secret: memfd_secret(2), or a sealed memfd in locked memory, for a
 * one-time hand-over over a unix socket. The caller closes it. */
int secret_to_fd(const struct secret *s, int *ret_fd) must_check;
/* Map such a descriptor of exactly len bytes, copy into a new secret, unmap. Does not close fd.
 * -EPROTO when its size or seals do not fit. (secretmem cannot be read(2).) */
int secret_from_fd(int fd, size_t len, struct secret **ret_s) must_check;

/* Process-wide hardening, called once at start by every program: not dumpable (PR_SET_DUMPABLE 0),
 * RLIMIT_CORE 0. -errno. */
int secret_harden_process(void) must_check;

#endif
