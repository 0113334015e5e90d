/* backup_clone.c: where the backing filesystem lets files share blocks (XFS, btrfs), what a mounted volume's last round would read while the mount holds still is
 * cloned, and read when the mount is at work again (docs/backup.md section 4).
 *
 * A clone is a file without a name (O_TMPFILE) on the backing filesystem: nobody sees it in the volume's directory, whose times stay, and nothing is left of it when we
 * are killed. While it is there, what the mount overwrites needs new space; so there must be plenty, and each goes as soon as it is read. Whatever does not work
 * here is no failure: then files are read while the mount holds still, as elsewhere. */
#include "backup/backup_impl.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define CLONE _IOW(0x94, 9, int) /* FICLONE; <linux/fs.h> has a BLOCK_SIZE of its own */
#define SPARE (1ull << 30)       /* besides as much again as has been cloned */
#define SHARE 2                  /* of the descriptors we may have */

static bool has_space(const struct backup *b, uint64_t size)
{
	struct statvfs s;
	uint64_t free_bytes;

	return fstatvfs(b->p->root_fd, &s) == 0 && !__builtin_mul_overflow((uint64_t)s.f_bavail, (uint64_t)s.f_frsize, &free_bytes) && size < free_bytes / 4 &&
	       free_bytes > SPARE + 2 * (b->clone_bytes + size);
}

static int clone_of(const struct backup *b, int fd, uint64_t size)
{
	int to = openat(b->p->root_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC | (size >= BACKUP_DIRECT_FROM ? O_DIRECT : 0), 0600);

	if (to >= 0 && ioctl(to, CLONE, fd) < 0) {
		(void)close(to);
		return -1;
	}
	return to;
}

void backup_clone_begin(struct backup *b)
{
	struct rlimit rl;

	b->clones_max = getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY ? (unsigned)(rl.rlim_cur / SHARE) : 0;
	atomic_store(&b->cloning, true);
}

int backup_clone(struct backup *b, int fd, uint64_t size)
{
	int to = -1;

	if (!atomic_load(&b->cloning))
		return -1;
	if (atomic_load(&b->nclones) < b->clones_max && has_space(b, size))
		to = clone_of(b, fd, size);
	if (to < 0) {
		atomic_store(&b->cloning, false); /* of a round all, or those before this one */
		return -1;
	}
	atomic_fetch_add(&b->nclones, 1);
	b->clone_bytes += size;
	b->cloned++;
	return to;
}

void backup_clone_close(struct backup *b, int fd)
{
	if (fd < 0)
		return;
	(void)close(fd);
	atomic_fetch_sub(&b->nclones, 1);
}
