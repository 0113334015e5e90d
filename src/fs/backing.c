/* backing.c: what a volume needs of the filesystem below (DESIGN, "Backing filesystem"), and the one-writer lock (coffer.lock). */
#include "fs/backing.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/log.h"

#ifndef EXFAT_SUPER_MAGIC
#define EXFAT_SUPER_MAGIC 0x2011BAB0
#endif

#define LOCK_POLL_MS 50
#define MOUNTINFO_LINE_MAX 4096
#define BOOT_ID_LEN 36

/* ---- filesystem */

/* Type and options of the mount that the device belongs to, out of /proc/self/mountinfo: "… MAJ:MIN … - TYPE SOURCE OPTIONS". */
static int mount_of(dev_t dev, char *ret_type, size_t type_max, char *ret_options, size_t options_max)
{
	AUTO_FREE char *line = NULL;
	char want[32];
	size_t cap = 0;
	FILE *f;
	int r = -ENOENT;

	f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return -errno;
	(void)snprintf(want, sizeof(want), " %u:%u ", major(dev), minor(dev));
	while (getline(&line, &cap, f) > 0) {
		const char *tail = strstr(line, " - ");

		if (!strstr(line, want) || !tail)
			continue;
		if (strlen(tail) >= MOUNTINFO_LINE_MAX)
			continue;
		tail += 3;
		(void)snprintf(ret_type, type_max, "%.*s", (int)strcspn(tail, " "), tail);
		tail += strcspn(tail, " ");
		tail += strspn(tail, " ");
		tail += strcspn(tail, " "); /* the source */
		tail += strspn(tail, " ");
		(void)snprintf(ret_options, options_max, "%.*s", (int)strcspn(tail, " \n"), tail);
		r = 0;
	}
	(void)fclose(f);
	return r;
}

static const char *ext_problem(struct lower *l, int root_fd)
{
	char type[64], options[1024];
	struct stat st;

	if (!l->real || l->ops->fstat(l, root_fd, &st) < 0)
		return NULL;
	if (mount_of(st.st_dev, type, sizeof(type), options, sizeof(options)) < 0)
		return NULL;
	if (strcmp(type, "ext2") == 0)
		return "ext2 has no journal";
	if (strstr(options, "data=writeback"))
		return "it is mounted with data=writeback";
	return NULL;
}

int backing_check(struct lower *l, int root_fd, bool unsafe)
{
	const char *problem = NULL;
	uint64_t fsid, magic;
	struct statvfs st;
	bool links = true;
	int r;

	r = l->ops->statfs(l, root_fd, &st, &fsid, &magic);
	if (r < 0)
		return log_ret(r, "the volume's directory");
	switch (magic) {
	case MSDOS_SUPER_MAGIC:
	case EXFAT_SUPER_MAGIC:
		links = false;
		problem = "FAT has no symbolic links";
		break;
	case EXT4_SUPER_MAGIC:
		problem = ext_problem(l, root_fd);
		break;
	case TMPFS_MAGIC:
		problem = l->real ? "tmpfs is memory" : NULL;
		break;
	default:
		break;
	}
	if (!problem)
		return 0;
	if (links && unsafe) {
		log_warning("the backing filesystem cannot keep what was fsynced through a power cut (%s); going on", problem);
		return 0;
	}
	log_err("the backing filesystem is not fit for a volume: %s%s", problem, links ? "; unsafe-backing takes it all the same" : "");
	return -EMEDIUMTYPE;
}

/* ---- lock */

void backing_boot_id(char *ret_id, size_t max)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	(void)snprintf(ret_id, max, "unknown");
	if (!f)
		return;
	if (!fgets(ret_id, (int)max, f))
		(void)snprintf(ret_id, max, "unknown");
	(void)fclose(f);
	ret_id[strcspn(ret_id, "\n")] = '\0';
}

/* docs/format.md section 2. */
int backing_say(struct lower *l, int fd, const char *line)
{
	char host[65], id[BOOT_ID_LEN + 2], text[BACKING_LOCK_MAX];
	int len, r;

	if (gethostname(host, sizeof(host)) < 0)
		(void)snprintf(host, sizeof(host), "unknown");
	host[sizeof(host) - 1] = '\0';
	backing_boot_id(id, sizeof(id));
	len = snprintf(text, sizeof(text), "host %s boot %s pid %ld\n%s", host, id, (long)getpid(), line);
	if (len >= (int)sizeof(text))
		return -ENAMETOOLONG;
	r = l->ops->ftruncate(l, fd, 0);
	if (r == 0)
		r = lower_pwrite(l, fd, text, (size_t)len, 0, false);
	return r;
}

/* Whoever waits for the last holder's verdict may look only when we are there already: it is handed on. */
static int say_who_after(struct lower *l, int fd)
{
	char old[BACKING_LOCK_MAX] = "", line[BACKING_LOCK_MAX] = "";
	const char *pid, *verdict;
	ssize_t n;

	n = lower_pread(l, fd, old, sizeof(old) - 1, 0);
	if (n < 0)
		return (int)n;
	pid = strstr(old, " pid ");
	verdict = strchr(old, '\n');
	if (pid && verdict && pid < verdict && strncmp(verdict + 1, BACKING_BEFORE, strlen(BACKING_BEFORE)) != 0)
		(void)snprintf(line, sizeof(line), BACKING_BEFORE "%ld %.*s\n", strtol(pid + 5, NULL, 10),
			       (int)(strcspn(verdict + 1, "\n") % BACKING_VERDICT_MAX), verdict + 1);
	return backing_say(l, fd, line);
}

int backing_say_rest(struct lower *l, int lock_fd, int err)
{
	char line[BACKING_VERDICT_MAX];

	if (err < 0)
		(void)snprintf(line, sizeof(line), BACKING_NOT_AT_REST "%s\n", err_text(err));
	return backing_say(l, lock_fd, err < 0 ? line : BACKING_AT_REST "\n");
}

static void read_holder(struct lower *l, int fd, char *ret_holder, size_t max)
{
	ssize_t n, k;

	n = lower_pread(l, fd, ret_holder, max - 1, 0);
	if (n < 0)
		n = 0;
	ret_holder[n] = '\0';
	ret_holder[strcspn(ret_holder, "\n")] = '\0';
	for (k = 0; ret_holder[k]; k++) {
		if ((unsigned char)ret_holder[k] < ' ' || (unsigned char)ret_holder[k] > '~')
			ret_holder[k] = '?';
	}
	if (ret_holder[0] == '\0')
		(void)snprintf(ret_holder, max, "unknown holder");
}

/* Is what keeps us from the lock somebody who only reads? He wrote nothing, so coffer.lock names the last writer. */
static bool held_by_readers(struct lower *l, int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return l->real && fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type == F_RDLCK;
}

/* Has the process the file open? As far as we may know. */
static bool has_open(const char *pid, const struct stat *st)
{
	char path[64];
	struct dirent *e;
	struct stat s;
	bool has = false;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	d = opendir(path);
	while (d && !has && (e = readdir(d)))
		has = fstatat(dirfd(d), e->d_name, &s, 0) == 0 && s.st_dev == st->st_dev && s.st_ino == st->st_ino;
	if (d)
		(void)closedir(d);
	return has;
}

/* An OFD lock names no process, so those are looked for that have coffer.lock open. */
static void name_readers(struct lower *l, int fd, char *ret_holder, size_t max)
{
	size_t len = (size_t)snprintf(ret_holder, max, "mounted read-only, or looked at by fsck,");
	const char *sep = " by pid ";
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (l->ops->fstat(l, fd, &st) < 0)
		return;
	d = opendir("/proc");
	while (d && (e = readdir(d))) {
		if (strspn(e->d_name, "0123456789") != strlen(e->d_name) || strtol(e->d_name, NULL, 10) == getpid() ||
		    !has_open(e->d_name, &st))
			continue;
		if (len + strlen(sep) + strlen(e->d_name) >= max)
			break;
		len += (size_t)snprintf(ret_holder + len, max - len, "%s%s", sep, e->d_name);
		sep = ", ";
	}
	if (d)
		(void)closedir(d);
}

static int wait_lock(struct lower *l, int fd, bool exclusive, unsigned wait_ms)
{
	unsigned waited;
	int r;

	r = l->ops->lock(l, fd, exclusive);
	for (waited = 0; r == -EAGAIN && waited < wait_ms; waited += LOCK_POLL_MS) {
		clock_pause_ms(LOCK_POLL_MS);
		r = l->ops->lock(l, fd, exclusive);
	}
	return r;
}

int backing_lock(struct lower *l, int root_fd, bool read_only, unsigned wait_ms, char *ret_holder, size_t max, int *ret_fd)
{
	int flags = read_only ? O_RDONLY : O_RDWR | O_CREAT;
	struct stat st;
	int fd, r;

	fd = lower_open_regular(l, root_fd, NAME_LOCK, flags, 0600, &st);
	if (fd < 0)
		return fd;
	r = wait_lock(l, fd, !read_only, wait_ms);
	if (r == -EAGAIN) {
		if (!read_only && held_by_readers(l, fd))
			name_readers(l, fd, ret_holder, max);
		else
			read_holder(l, fd, ret_holder, max);
		r = -EBUSY;
	}
	if (r == 0 && !read_only)
		r = say_who_after(l, fd);
	if (r < 0) {
		lower_close(l, fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int backing_lock_kept(struct lower *l, int root_fd, bool read_only, int fd)
{
	struct stat st, there;
	int r;

	r = l->ops->fstat(l, fd, &st);
	if (r == 0)
		r = l->ops->fstatat(l, root_fd, NAME_LOCK, &there);
	if (r < 0)
		return r;
	if (st.st_ino != there.st_ino || st.st_dev != there.st_dev)
		return -ESTALE;
	return l->ops->lock(l, fd, !read_only); /* it is the same open file, so this finds what is there */
}
