/* doctor_host.c: kernel, memory, limits and clock of this host, tried where trying is harmless. What only makes things slower, or takes a second line of defence away, is a
 * warning; what keeps a mount from working at all is a failure. */
#include "tools/doctor.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include "base/fileio.h"
#include "crypt/keys.h"
#include "fs/ops.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define DESCRIPTORS_NEED 256
#define DESCRIPTORS_WANT 4096
#define MEMLOCK_WANT (16u << 20)

/* ---- kernel */

static void kernel(struct doctor *d)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		doctor_row(d, "kernel", DOCTOR_WARN, NULL, "does not say its version");
		return;
	}
	if (major < 6 || (major == 6 && minor < 1))
		doctor_row(d, "kernel", DOCTOR_WARN, "Linux 6.1 and later are tested", "Linux %s", u.release);
	else
		doctor_row(d, "kernel", DOCTOR_OK, NULL, "Linux %s%s", u.release,
			   major > 6 || minor >= 16 ? "" : "; holes are found from 6.16 on, before all of a file counts as data");
}

static void fuse(struct doctor *d)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), offered = ops_uring_offered();

	if (fd < 0)
		doctor_row(d, "/dev/fuse", DOCTOR_FAIL, errno == ENOENT ? "modprobe fuse; in a container, pass the device in" : "let this user have it",
			   "cannot be opened: %s", strerror(errno));
	else
		doctor_row(d, "/dev/fuse", DOCTOR_OK, NULL, "opens");
	if (fd >= 0)
		(void)close(fd);
	if (geteuid() != 0 && access("/usr/bin/fusermount3", X_OK) < 0 && access("/bin/fusermount3", X_OK) < 0)
		doctor_row(d, "fusermount3", DOCTOR_FAIL, "install the package fuse3", "is not there, and only root mounts without it");
	if (offered >= 0)
		doctor_row(d, "fuse over io_uring", DOCTOR_OK, NULL, "%s; mounts with fuse-uring use it",
			   offered ? "offered" : "the kernel has it, and its parameter fuse.enable_uring is off");
	else
		doctor_row(d, "fuse over io_uring", DOCTOR_OK, NULL, "the kernel does not have it; mounts with fuse-uring do without");
}

static void uring(struct doctor *d)
{
	struct io_uring_params p = { 0 };
	long fd = syscall(SYS_io_uring_setup, 4, &p);

	if (fd < 0)
		doctor_row(d, "io_uring", DOCTOR_WARN, "sysctl kernel.io_uring_disabled=0, or let the container call it",
			   "cannot be used: %s; reads and writes in bulk go by plain calls, slower", strerror(errno));
	else
		doctor_row(d, "io_uring", DOCTOR_OK, NULL, "works");
	if (fd >= 0)
		(void)close((int)fd);
}

static void secret_memory(struct doctor *d)
{
	long fd = syscall(SYS_memfd_secret, 0);

	if (fd < 0)
		doctor_row(d, "memfd_secret", DOCTOR_WARN, "boot with secretmem.enable=1 (Linux 5.14 and later)",
			   "%s; keys are in locked memory instead, which the kernel itself can read", strerror(errno));
	else
		doctor_row(d, "memfd_secret", DOCTOR_OK, NULL, "works: keys are in memory that not even the kernel maps");
	if (fd >= 0)
		(void)close((int)fd);
}

static void peer_pidfd(struct doctor *d)
{
	int pair[2], fd = -1;
	socklen_t len = sizeof(fd);

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	if (getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0) {
		doctor_row(d, "peer pidfd", DOCTOR_OK, NULL, "works: the agent knows its peers beyond reuse of their pids");
		(void)close(fd);
	} else {
		doctor_row(d, "peer pidfd", DOCTOR_OK, NULL, "Linux before 6.5: the agent knows its peers by pid and start time");
	}
	(void)close(pair[0]);
	(void)close(pair[1]);
}

static void processor(struct doctor *d)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	bool aes = false, says = false;
	size_t max = 0;

	while (f && !aes && getline(&line, &max, f) > 0) {
		if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0)
			continue;
		says = true;
		aes = strstr(line, " aes ") || strstr(line, " aes\n");
	}
	free(line);
	if (f)
		(void)fclose(f);
	if (!says)
		return;
	doctor_row(d, "AES in hardware", aes ? DOCTOR_OK : DOCTOR_WARN, "give the virtual machine the host's processor model",
		   aes ? "the processor has it" : "not there: coffer bench says how much that costs");
}

/* ---- memory that may reach a disk */

/* dm-crypt names its devices so. */
static bool is_encrypted(const char *device)
{
	char path[128], uuid[64];
	struct stat st;

	if (stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/uuid", major(st.st_rdev), minor(st.st_rdev));
	return fileio_first_line(path, uuid, sizeof(uuid)) && strncmp(uuid, "CRYPT-", 6) == 0;
}

static void swap(struct doctor *d)
{
	FILE *f = fopen("/proc/swaps", "re");
	char device[1024], *line = NULL;
	unsigned all = 0, open = 0;
	size_t max = 0;

	while (f && getline(&line, &max, f) > 0) {
		if (sscanf(line, "%1023s", device) != 1 || device[0] != '/')
			continue;
		all++;
		if (strncmp(device, "/dev/zram", 9) == 0 || is_encrypted(device))
			continue;
		open++;
		doctor_row(d, "swap", DOCTOR_WARN, "encrypt it (crypttab: swap with a random key), or swapoff",
			   "%s is not encrypted: keys never go there, but what databases have in memory may", device);
	}
	free(line);
	if (f)
		(void)fclose(f);
	if (open == 0)
		doctor_row(d, "swap", DOCTOR_OK, NULL, all ? "all of it is encrypted, or in memory" : "there is none");
}

static void core_dumps(struct doctor *d)
{
	char text[256];
	struct rlimit lim = { .rlim_cur = RLIM_INFINITY };

	(void)prlimit(getppid(), RLIMIT_CORE, NULL, &lim); /* ours is 0 by now */
	if (!fileio_first_line("/proc/sys/kernel/core_pattern", text, sizeof(text)))
		return;
	if (text[0] == '|' && strstr(text, "/false"))
		doctor_row(d, "core dumps", DOCTOR_OK, NULL, "are thrown away");
	else if (text[0] == '|')
		doctor_row(d, "core dumps", DOCTOR_WARN, "systemd-coredump: Storage=none in coredump.conf; or LimitCORE=0 in the database's unit",
			   "go to %.100s: coffer dumps nothing, but a database's dump holds its plain text", text + 1);
	else if (lim.rlim_cur == 0)
		doctor_row(d, "core dumps", DOCTOR_OK, NULL, "are off where this runs (ulimit -c); a unit of a database may differ");
	else
		doctor_row(d, "core dumps", DOCTOR_WARN, "sysctl kernel.core_pattern='|/bin/false', or LimitCORE=0 in the database's unit",
			   "are files (%.100s): coffer dumps nothing, but a database's dump holds its plain text", text[0] ? text : "core");
}

/* ---- limits */

static void locked_memory(struct doctor *d)
{
	struct rlimit lim = { 0 };
	int r = keys_openssl_heap_init(); /* what every other command does first */

	(void)getrlimit(RLIMIT_MEMLOCK, &lim);
	if (r < 0)
		doctor_row(d, "RLIMIT_MEMLOCK", DOCTOR_FAIL, "raise it: ulimit -l, LimitMEMLOCK= in a unit, limits.conf",
			   "memory for keys cannot be locked: %s; the limit is %llu KiB", err_text(r), (unsigned long long)lim.rlim_cur / 1024);
	else if (geteuid() != 0 && lim.rlim_max < MEMLOCK_WANT)
		doctor_row(d, "RLIMIT_MEMLOCK", DOCTOR_WARN, "raise it: ulimit -l, LimitMEMLOCK= in a unit, limits.conf",
			   "%llu KiB are enough for one volume with few files", (unsigned long long)lim.rlim_max / 1024);
	else
		doctor_row(d, "RLIMIT_MEMLOCK", DOCTOR_OK, NULL, "memory for keys can be locked");
}

static void descriptors(struct doctor *d)
{
	const char *advice = "raise it: ulimit -Hn, LimitNOFILE= in a unit, limits.conf";
	struct rlimit lim = { 0 };

	(void)getrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_max < DESCRIPTORS_NEED)
		doctor_row(d, "RLIMIT_NOFILE", DOCTOR_FAIL, advice, "%llu descriptors at most; a mount needs %d", (unsigned long long)lim.rlim_max,
			   DESCRIPTORS_NEED);
	else if (lim.rlim_max < DESCRIPTORS_WANT)
		doctor_row(d, "RLIMIT_NOFILE", DOCTOR_WARN, advice, "%llu descriptors at most: files are opened again and again below",
			   (unsigned long long)lim.rlim_max);
	else
		doctor_row(d, "RLIMIT_NOFILE", DOCTOR_OK, NULL, "up to %llu descriptors", (unsigned long long)lim.rlim_max);
}

/* ---- time */

static void clock_row(struct doctor *d)
{
	struct timex t = { 0 };
	int r = adjtimex(&t);

	if (r < 0)
		doctor_row(d, "clock", DOCTOR_WARN, NULL, "cannot be asked: %s", strerror(errno));
	else if (r == TIME_ERROR || (t.status & STA_UNSYNC))
		doctor_row(d, "clock", DOCTOR_WARN, "run chrony or systemd-timesyncd",
			   "nothing keeps it right: signatures of requests, certificates and the times of the audit log depend on it");
	else
		doctor_row(d, "clock", DOCTOR_OK, NULL, "is kept right, to about %ld ms", t.maxerror / 1000);
}

void doctor_host(struct doctor *d)
{
	kernel(d);
	fuse(d);
	uring(d);
	secret_memory(d);
	peer_pidfd(d);
	processor(d);
	swap(d);
	core_dumps(d);
	locked_memory(d);
	descriptors(d);
	clock_row(d);
}
