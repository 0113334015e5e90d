/* backup_fixture.h: a directory with a volume's few files, and a store beside it, for tests of whole backups in one process. For one test program each. */
#ifndef COFFER_TESTS_BACKUP_FIXTURE_H
#define COFFER_TESTS_BACKUP_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup.h"
#include "base/fileio.h"
#include "format/layout.h"
#include "format/volume_state.h"

static char dir_path[64];        /* $D, for system(3) */
static int root_fd = -1;         /* the volume: dir_path/v */
static struct store *store;      /* dir_path/store */
static struct store_error err;

static int backup_setup(void **state)
{
	static const uint8_t zeros[(size_t)STATE_SLOTS * STATE_SLOT_LEN];
	char path[96];

	(void)state;
	(void)snprintf(dir_path, sizeof(dir_path), "/tmp/coffer-test-backup.XXXXXX");
	if (!mkdtemp(dir_path) || setenv("D", dir_path, 1) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/v", dir_path);
	if (mkdir(path, 0700) < 0)
		return -1;
	root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0 || fileio_replace_at(root_fd, NAME_STATE, zeros, sizeof(zeros), 0600) < 0 ||
	    fileio_replace_at(root_fd, NAME_VOLUME, "a volume", 8, 0600) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/store", dir_path);
	if (mkdir(path, 0700) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "file://%s/store", dir_path);
	return store_open(path, NULL, &store, &err);
}

static int backup_teardown(void **state)
{
	(void)state;
	store_close(store);
	store = NULL;
	(void)close(root_fd);
	return system("rm -rf \"$D\"");
}

#endif
