/* backup_dir.c: directories of the walk that files in them still wait in: each has a name and keeps the one around it, so that a path is put together when somebody is told of it. */
#include "backup/backup_impl.h"

#include <fcntl.h>
#include <string.h>

static void free_dir(struct backup_dir *d)
{
	if (d->fd >= 0)
		(void)close(d->fd);
	free(d->name);
	free(d);
}

int backup_dir_new(struct backup *b, int fd, struct backup_dir *parent, const char *name, struct backup_dir **ret_d)
{
	struct backup_dir *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = d->fd < 0 ? -errno : 0;
	d->name = r == 0 ? strdup(name) : NULL;
	if (!d->name) {
		free_dir(d);
		return r < 0 ? r : -ENOMEM;
	}
	d->refs = 1;
	d->parent = parent;
	if (parent)
		backup_dir_ref(b, parent);
	*ret_d = d;
	return 0;
}

void backup_dir_ref(struct backup *b, struct backup_dir *d)
{
	WITH_LOCK(&b->pool.m);
	d->refs++;
}

static bool was_last(struct backup *b, struct backup_dir *d)
{
	WITH_LOCK(&b->pool.m);
	return --d->refs == 0;
}

void backup_dir_unref(struct backup *b, struct backup_dir *d)
{
	while (d && was_last(b, d)) {
		struct backup_dir *parent = d->parent;

		free_dir(d);
		d = parent;
	}
}

char *backup_item_path(const struct backup_item *item)
{
	size_t len = strlen(item->name), n;
	const struct backup_dir *d;
	char *path, *at;

	for (d = item->dir; d && d->parent; d = d->parent)
		len += strlen(d->name) + 1;
	path = malloc(len + 1);
	if (!path)
		return NULL;
	at = path + len - strlen(item->name);
	memcpy(at, item->name, strlen(item->name) + 1);
	for (d = item->dir; d && d->parent; d = d->parent) {
		n = strlen(d->name);
		*--at = '/';
		at -= n;
		memcpy(at, d->name, n);
	}
	return path;
}
