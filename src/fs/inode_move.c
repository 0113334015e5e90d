/* inode_move.c: inodes whose names change below just now (inode.h). */
#include "fs/inode.h"

#include "fs/volume_impl.h"

struct inode *inode_move_begin(struct volume *v, uint64_t ino)
{
	struct inode *i;
	WITH_LOCK(&v->lock);

	i = inode_of_ino(v, ino);
	if (i) {
		i->refs++;
		i->moving++;
	}
	return i;
}

void inode_move_end(struct volume *v, struct inode *i)
{
	if (!i)
		return;
	lock_take(&v->lock);
	i->moving--;
	pthread_cond_broadcast(&v->moved);
	lock_drop(&v->lock);
	inode_put(v, i);
}

bool inode_has_moved(struct volume *v, const struct inode *i, uint32_t renames)
{
	WITH_LOCK(&v->lock);

	while (i->moving > 0 && i->renames == renames)
		lock_wait(&v->lock, &v->moved);
	return i->renames != renames;
}
