/* io_fixture.h: a volume's I/O over a real directory of its own, for tests of src/io that need no filesystem above: keys, directory, files by number.
 * A test puts struct io_fixture first into its own struct, so that state and context are one pointer. */
#ifndef COFFER_TESTS_IO_FIXTURE_H
#define COFFER_TESTS_IO_FIXTURE_H

#include "io/vio.h"

#include "base/secret.h"
#include "crypt/keys.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define IO_FIXTURE_FILES 80
#define IO_FIXTURE_LOG_BLOCKS 4096u

struct io_fixture {
	char dir[64];
	int root;
	struct secret *root_key;
	struct key_ring *ring;
	struct vio *v;
	struct iofile *f[IO_FIXTURE_FILES];
	char name[IO_FIXTURE_FILES][16];
};

/* Make the directory and the keys; the volume is the test's to format and open. */
__attribute__((unused)) static void io_fixture_init(struct io_fixture *x)
{
	static const uint8_t uuid[UUID_LEN] = { 4, 5, 6 };
	uint8_t ring[KEY_RING_LEN_MAX];
	size_t len;

	strcpy(x->dir, "io-test-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	x->root = open(x->dir, O_RDONLY | O_DIRECTORY);
	assert_true(x->root >= 0);
	assert_int_equal(secret_new(32, &x->root_key), 0);
	assert_int_equal(secret_random(secret_bytes(x->root_key), 32), 0);
	assert_int_equal(key_ring_create(x->root_key, uuid, ring, &len), 0);
	assert_int_equal(key_ring_open(x->root_key, uuid, ring, len, &x->ring), 0);
}

/* The process dies: nothing more reaches the directory. */
__attribute__((unused)) static void io_fixture_crash(struct io_fixture *x)
{
	for (int i = 0; i < IO_FIXTURE_FILES; i++) {
		if (x->f[i])
			iofile_discard(x->f[i]);
		x->f[i] = NULL;
	}
	vio_abandon(x->v);
	x->v = NULL;
}

__attribute__((unused)) static void io_fixture_done(struct io_fixture *x)
{
	struct dirent *e;
	DIR *d;

	if (x->v)
		io_fixture_crash(x);
	key_ring_free(x->ring);
	secret_free(x->root_key);
	d = opendir(x->dir);
	while ((e = readdir(d)))
		(void)unlinkat(x->root, e->d_name, 0);
	(void)closedir(d);
	(void)close(x->root);
	(void)rmdir(x->dir);
}

/* File number i, opened; made when it is not there. */
__attribute__((unused)) static struct iofile *io_fixture_file(struct io_fixture *x, int i)
{
	struct stat st;
	bool created;
	int fd;

	if (x->f[i])
		return x->f[i];
	(void)snprintf(x->name[i], sizeof(x->name[i]), "f%d", i);
	created = faccessat(x->root, x->name[i], F_OK, 0) < 0;
	fd = openat(x->root, x->name[i], O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(iofile_open(x->v, fd, &st, x->name[i], created, &x->f[i]), 0);
	return x->f[i];
}

/* vio's callback: names are what file() gave as owners. */
__attribute__((unused)) static int io_fixture_reopen(void *ctx, void *owner, int flags)
{
	struct io_fixture *x = ctx;

	return lower_real()->ops->openat(lower_real(), x->root, owner, flags, 0);
}

#endif
