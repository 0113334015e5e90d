/* priv.c: capabilities by the system calls: libc's other calls of this kind (setresuid) tell all threads, these only their own. */
#include "base/priv.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define BIT(cap) (UINT64_C(1) << (cap))
#define SERVING                                                                                                       \
	(BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH))
#define MOUNTING BIT(CAP_SYS_ADMIN)
#define LOOKING BIT(CAP_SYS_PTRACE)

struct caps {
	uint64_t effective, permitted;
};

static int caps_get(struct caps *ret_c)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	ret_c->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	ret_c->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	return 0;
}

/* Inheritable becomes empty, and ambient with it. */
static int caps_set(const struct caps *c)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .effective = (uint32_t)c->effective, .permitted = (uint32_t)c->permitted },
		{ .effective = (uint32_t)(c->effective >> 32), .permitted = (uint32_t)(c->permitted >> 32) },
	};

	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

/* The limit never bound who has IPC_LOCK, so it is lifted for what comes after; where that is not allowed IPC_LOCK stays. */
static uint64_t lift_memlock(const struct caps *c)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	if (!(c->permitted & BIT(CAP_IPC_LOCK)) || setrlimit(RLIMIT_MEMLOCK, &none) == 0)
		return 0;
	return BIT(CAP_IPC_LOCK);
}

/* *ret_other: somebody else than we were. */
static int become(const char *user, bool *ret_other)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errno ? -errno : -ENOENT;
	*ret_other = pw->pw_uid != geteuid();
	if (!*ret_other)
		return 0;
	if (initgroups(user, pw->pw_gid) < 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int priv_for_mount(const char *user, bool devices)
{
	bool other = false;
	struct caps c;
	uint64_t keep;
	int r;

	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0); /* reclaim must not wait for us; needs SYS_RESOURCE; threads have it from here */
	r = caps_get(&c);
	if (r < 0)
		return r;
	keep = lift_memlock(&c);
	r = user ? become(user, &other) : 0;
	if (r < 0)
		return r;
	if (!other)
		keep |= SERVING | LOOKING | (devices ? BIT(CAP_MKNOD) : 0);
	/* As root, what is executed would get back what the bounding set has. Who has to mount by fusermount3 needs that. */
	if (c.permitted & MOUNTING && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	c.effective = c.permitted & keep;
	c.permitted &= keep | MOUNTING;
	return caps_set(&c);
}

static void give_up(uint64_t what)
{
	struct caps c;

	if (caps_get(&c) < 0)
		return;
	c.effective &= ~what;
	c.permitted &= ~what;
	(void)caps_set(&c); /* giving up is always allowed */
}

void priv_opened(void)
{
	give_up(LOOKING);
}

void priv_mounting(bool on)
{
	struct caps c;

	if (caps_get(&c) < 0)
		return;
	c.effective = on ? c.effective | (c.permitted & MOUNTING) : c.effective & ~MOUNTING;
	(void)caps_set(&c); /* the mount(2) that follows tells */
}

/* What is not root's needs to be ambient, which it can only be where it is inheritable. */
bool priv_hand_on(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0 || !(d[0].permitted & MOUNTING))
		return false;
	for (unsigned k = 0; k < 2; k++)
		d[k].inheritable = d[k].permitted;
	if (syscall(SYS_capset, &h, d) < 0)
		return false;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (d[cap / 32].permitted >> cap % 32 & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return false;
	return true;
}

void priv_thread_ending(void)
{
	give_up(LOOKING);
}

void priv_thread(void)
{
	give_up(MOUNTING | LOOKING);
}
