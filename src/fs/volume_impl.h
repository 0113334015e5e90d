/* volume_impl.h: the body of struct volume, for src/fs alone. */
#ifndef COFFER_FS_VOLUME_IMPL_H
#define COFFER_FS_VOLUME_IMPL_H

#include "base/lock.h"
#include "fs/inode.h"
#include "fs/volume.h"
#include "io/lower_ro.h"

struct volume {
	struct lower *lower;     /* as given, or around it ro */
	struct lower_ro ro;      /* of a read-only volume */
	int root_fd;
	int lock_fd;
	dev_t dev;               /* of the root: entries on another device are refused */
	struct key_ring *ring;
	const struct name_keys *names; /* of ring */
	struct vio *vio;
	struct volume_options options;
	struct volume_events events;
	pthread_mutex_t watch_m; /* held while watch is called */
	void (*watch)(void *ctx, uint64_t id);
	void *watch_ctx;
	struct volume_info info;
	bool handles;            /* inodes can be opened by handle */
	size_t files_max, dirs_max, batch_max; /* shares of the descriptors we may have */

	/* Guards the table, all inodes and all below. Never held across a call of lower, vio or libfuse. */
	struct lock lock;
	pthread_cond_t changed;  /* some inode's file_state */
	struct inode_table table;
	struct inode *root;
	struct inode_link files; /* LRU of iofiles without users; the oldest is files.next */
	struct inode_link dirs;  /* LRU of directory descriptors without users */
	size_t file_count, dir_count;
	uint64_t file_closes;    /* iofiles ever closed */
	uint64_t undecryptable;
	uint64_t due[INODE_DUE_BITS / 64]; /* inode.c */
};

#endif
