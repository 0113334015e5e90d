/* fileio.h: whole-file reads and writes for small files of the host (configuration, keys, pins) and
 * descriptors that must be moved completely. Not the data path of a volume: that is io/lower.h. */
#ifndef COFFER_BASE_FILEIO_H
#define COFFER_BASE_FILEIO_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read or write all of len bytes, over EINTR and short counts; read: -ENODATA at a premature end of file. */
int fileio_read_full(int fd, void *p, size_t len) must_check;
int fileio_write_full(int fd, const void *p, size_t len) must_check;

/* Read the regular file name below dirfd (O_NOFOLLOW|O_NONBLOCK, fstat before use) of at most max bytes;
 * a NUL stands behind the ret_len bytes. -EFBIG larger, -EUCLEAN not a regular file. Caller frees. */
int fileio_read_at(int dirfd, const char *name, size_t max, uint8_t **ret_buf, size_t *ret_len) must_check;

/* Replace name below dirfd by len bytes, atomically and durably: write NAME.tmp, fsync, rename, fsync dirfd. */
int fileio_replace_at(int dirfd, const char *name, const void *p, size_t len, mode_t mode) must_check;

/* The first line of a file of /proc or /sys, without its end and cut to size, which counts the NUL. False: there is none. */
bool fileio_first_line(const char *path, char *ret_text, size_t size) must_check;

/* mkdir -p with mode for what is made; -ENOTDIR, -errno. */
int fileio_mkdirs(const char *path, mode_t mode) must_check;

#endif
