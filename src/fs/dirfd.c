/* dirfd.c: the LRU of directory descriptors (dirfd.h). A descriptor with users is in no list and is never closed. Two threads that open the
 * same directory at once both succeed; the later one closes its own. */
#include "fs/dirfd.h"

#include "fs/reopen.h"
#include "fs/volume_impl.h"

/* With the lock: take the oldest idle descriptor out, -1: none. */
static int take_oldest(struct volume *v)
{
	struct inode_link *l = v->dirs.next;
	struct inode *i;
	int fd;

	if (l == &v->dirs)
		return -1;
	i = (struct inode *)(void *)((char *)l - offsetof(struct inode, dirfd_lru));
	inode_link_remove(l);
	fd = i->dirfd;
	i->dirfd = -1;
	v->dir_count--;
	return fd;
}

static void use(struct inode *dir)
{
	dir->dirfd_users++;
	inode_link_remove(&dir->dirfd_lru);
}

/* Give the directory fd unless it has one; what is too much is returned in ret_close. The directory's descriptor. */
static int install(struct volume *v, struct inode *dir, int fd, int ret_close[2])
{
	WITH_LOCK(&v->lock);

	if (dir->dirfd >= 0) {
		ret_close[0] = fd;
	} else {
		dir->dirfd = fd;
		v->dir_count++;
		if (v->dir_count > v->dirs_max)
			ret_close[1] = take_oldest(v);
	}
	use(dir);
	return dir->dirfd;
}

int dirfd_get(struct volume *v, struct inode *dir, int *ret_fd)
{
	int excess[2] = { -1, -1 };
	int fd = -1, r;

	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	lock_take(&v->lock);
	if (dir->dirfd >= 0) {
		use(dir);
		*ret_fd = dir->dirfd;
		lock_drop(&v->lock);
		return 0;
	}
	lock_drop(&v->lock);

	r = reopen_inode(v, dir, O_RDONLY | O_DIRECTORY, &fd);
	if (r < 0)
		return r;
	*ret_fd = install(v, dir, fd, excess);
	lower_close(v->lower, excess[0]);
	lower_close(v->lower, excess[1]);
	return 0;
}

void dirfd_put(struct volume *v, struct inode *dir)
{
	WITH_LOCK(&v->lock);

	assert(dir->dirfd_users > 0);
	if (--dir->dirfd_users == 0 && dir->pin_fd < 0)
		inode_link_push(&v->dirs, &dir->dirfd_lru);
}

int dirfd_own(struct volume *v, struct inode *dir, int *ret_fd)
{
	int fd, r;

	r = dirfd_get(v, dir, &fd);
	if (r < 0)
		return r;
	r = reopen_at(v, fd, ".", O_RDONLY | O_DIRECTORY, 0, ret_fd);
	dirfd_put(v, dir);
	return r;
}

bool dirfd_shrink(struct volume *v)
{
	size_t n, closed = 0;

	lock_take(&v->lock);
	n = v->dir_count / 2 + 1;
	lock_drop(&v->lock);
	for (; n > 0; n--) {
		int fd;

		lock_take(&v->lock);
		fd = take_oldest(v);
		lock_drop(&v->lock);
		if (fd < 0)
			break;
		lower_close(v->lower, fd);
		closed++;
	}
	return closed > 0;
}
