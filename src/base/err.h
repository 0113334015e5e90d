/* err.h: the one error convention, and the attributes that make clean-up automatic.
 *
 * Functions return 0 (or a count) on success and -errno on failure. The meanings of the less usual
 * numbers are fixed (STYLE E2); a new meaning is a new line here and in coffer(1):
 *
 *   EBADMSG      a tag does not match: changed behind our back, or rotten   (a mount says EIO)
 *   EUCLEAN      authentic or not, the structure is malformed               (a mount says EIO)
 *   EKEYREJECTED wrong key
 *   ENOKEY       locked, for whatever reason
 *   EPERM        policy
 *   EPROTO       the agent or the KMS spoke nonsense
 *   ETIMEDOUT    a deadline passed
 *   EOPNOTSUPP   an unknown feature bit, algorithm or format version
 *   ESTALE       older than what this host has seen; or not the inode it was
 *   EXDEV        a copy: the volume is not the instance this host knows
 */
#ifndef COFFER_BASE_ERR_H
#define COFFER_BASE_ERR_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define must_check __attribute__((warn_unused_result))

/* Text for -errno (or errno), with the meanings above; static or thread-local storage. */
const char *err_text(int r);

/* Exit codes of coffer(1); never renumbered (coffer(1)). */
enum coffer_exit {
	EXIT_CODE_OK = 0,
	EXIT_CODE_OTHER = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_CONFIG = 3,
	EXIT_CODE_NOT_A_VOLUME = 4,
	EXIT_CODE_UNSUPPORTED = 5,
	EXIT_CODE_IN_USE = 6,
	EXIT_CODE_WRONG_KEY = 7,
	EXIT_CODE_DAMAGE = 8,
	EXIT_CODE_REPAIRED = 9,
	EXIT_CODE_AGENT_UNREACHABLE = 10,
	EXIT_CODE_DENIED = 11,
	EXIT_CODE_KMS_REFUSED = 12,
	EXIT_CODE_KMS_UNREACHABLE = 13,
	EXIT_CODE_MOUNT_POINT = 14,
	EXIT_CODE_HOST_LACKS = 15,
	EXIT_CODE_NO_RESOURCE = 16,
	EXIT_CODE_EXISTS = 17,
	EXIT_CODE_NOT_FOUND = 18,
	EXIT_CODE_BUSY = 19,
	EXIT_CODE_INTERRUPTED = 20,
	EXIT_CODE_AUDIT_BROKEN = 21,
	EXIT_CODE_STORE = 22,
	EXIT_CODE_OLDER = 23,
};

/* Clean-up by attribute: declare, initialise at once (NULL, -1), never free by hand. */
static inline void auto_free_p(void *p)
{
	free(*(void **)p);
}

static inline void auto_close_p(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define AUTO_FREE __attribute__((cleanup(auto_free_p)))
#define AUTO_CLOSE __attribute__((cleanup(auto_close_p)))
#define AUTO(fn) __attribute__((cleanup(fn)))

/* DEFINE_AUTO(struct foo, foo_free) makes foo_free_p() for AUTO(foo_free_p). */
#define DEFINE_AUTO(type, fn)                    \
	static inline void fn##_p(type **p)      \
	{                                        \
		if (*p)                          \
			fn(*p);                  \
	}

/* Hand ownership over visibly: *ret_p = take_ptr(p). */
#define take_ptr(p)                              \
	({                                       \
		typeof(p) *take_ptr_at = &(p);   \
		typeof(p) take_ptr_v = *take_ptr_at; \
		*take_ptr_at = NULL;             \
		take_ptr_v;                      \
	})

static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#endif
