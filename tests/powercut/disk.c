/* disk.c: a disk in a file that notes what is written to it, and what it would hold if the power had failed at some moment.
 *
 *   disk serve IMAGE LOG MOUNTPOINT    a FUSE filesystem with one file, "disk", which is IMAGE; runs until it is unmounted
 *   disk cut IMAGE LOG LENGTH SEED     bring IMAGE, a copy from before, to what a disk may hold that lost its power when LOG had LENGTH bytes
 *
 * A loop device on "disk" makes block requests of it: writes, and a flush as an fsync. Each is in LOG before it is answered, so whoever looks at the length of
 * LOG when something was promised knows that the promise rests on the bytes before. Behind a cut, what was written before the last flush is there; of each
 * later write all, nothing, or some of its sectors, as the seed decides: a disk with a cache may keep any of them, in any order. (A sector of 512 bytes is
 * whole; of several writes to one place the disk cannot keep an older one over a newer one that it also has.) An odd SEED moves the cut to just before
 * the next flush, where most is at stake.
 *
 * Exit status: 0, 2 could not be run. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/disk"
#define SECTOR 512u
#define WRITE_MAX (1u << 20)

struct record {
	uint64_t off;
	uint64_t len; /* 0: a flush */
};

static int image_fd, log_fd;

static int whole(ssize_t n, size_t want)
{
	return n >= 0 && (size_t)n == want ? 0 : -EIO;
}

/* ---- serve; one thread, so the log has an order */

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0700;
		st->st_nlink = 2;
		return 0;
	}
	if (strcmp(path, NAME) != 0)
		return -ENOENT;
	return fstat(image_fd, st) < 0 ? -errno : 0;
}

static int on_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	(void)path;
	(void)off;
	(void)fi;
	(void)flags;
	return fill(buf, &NAME[1], NULL, 0, 0) ? -ENOMEM : 0;
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
	(void)fi;
	return strcmp(path, NAME) == 0 ? 0 : -ENOENT;
}

static int on_read(const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
	ssize_t n = pread(image_fd, buf, len, off);

	(void)path;
	(void)fi;
	return n < 0 ? -errno : (int)n;
}

static int note(uint64_t off, const void *buf, size_t len)
{
	const struct record r = { off, len };

	if (whole(write(log_fd, &r, sizeof(r)), sizeof(r)) < 0)
		return -EIO;
	return len == 0 ? 0 : whole(write(log_fd, buf, len), len);
}

static int on_write(const char *path, const char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	if (len == 0 || len > WRITE_MAX)
		return len == 0 ? 0 : -EINVAL;
	if (note((uint64_t)off, buf, len) < 0 || whole(pwrite(image_fd, buf, len, off), len) < 0)
		return -EIO;
	return (int)len;
}

static int on_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	(void)path;
	(void)datasync;
	(void)fi;
	return note(0, NULL, 0);
}

static int serve(const char *image, const char *log, char *mountpoint)
{
	static const struct fuse_operations ops = {
		.getattr = on_getattr, .readdir = on_readdir, .open = on_open, .read = on_read, .write = on_write, .fsync = on_fsync,
	};
	char name[] = "disk", foreground[] = "-f", single[] = "-s";
	char *args[] = { name, foreground, single, mountpoint, NULL };

	image_fd = open(image, O_RDWR | O_CLOEXEC);
	log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (image_fd < 0 || log_fd < 0) {
		perror(image_fd < 0 ? image : log);
		return 2;
	}
	return fuse_main(4, args, &ops, NULL) == 0 ? 0 : 2;
}

/* ---- cut */

static uint64_t rng;

static unsigned below(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)((rng >> 11) % n);
}

/* What the disk kept of a write that no flush followed. */
static int keep_some(const uint8_t *data, const struct record *r, unsigned long *kept)
{
	unsigned how = below(4); /* a quarter of them whole, a quarter not at all, the others in part */
	uint64_t k, n = (r->len + SECTOR - 1) / SECTOR;

	for (k = 0; k < n; k++) {
		size_t at = k * SECTOR, len = r->len - at < SECTOR ? r->len - at : SECTOR;

		if (how == 1 || (how > 1 && below(2) == 0))
			continue;
		if (whole(pwrite(image_fd, data + at, len, (off_t)(r->off + at)), len) < 0)
			return -EIO;
		++*kept;
	}
	return 0;
}

/* The places behind the last flush, and behind the last record that is whole, or the last before the next flush: ret_end. */
static int find_flush(uint64_t length, bool next, uint64_t *ret_flush, uint64_t *ret_end)
{
	struct record r;
	uint64_t at = 0;

	*ret_flush = 0;
	for (;;) {
		ssize_t n = pread(log_fd, &r, sizeof(r), (off_t)at);

		if (n == 0)
			break;
		if (whole(n, sizeof(r)) < 0 || r.len > WRITE_MAX)
			return -EIO;
		if (at + sizeof(r) + r.len > length && (!next || r.len == 0))
			break;
		at += sizeof(r) + r.len;
		if (r.len == 0)
			*ret_flush = at;
	}
	*ret_end = at;
	return 0;
}

static int cut(const char *image, const char *log, uint64_t length, uint64_t seed)
{
	static uint8_t data[WRITE_MAX];
	uint64_t at = 0, flush, end;
	unsigned long writes = 0, late = 0, kept = 0;
	struct record r;

	rng = seed * 0x9e3779b97f4a7c15ull + 1;
	image_fd = open(image, O_RDWR | O_CLOEXEC);
	log_fd = open(log, O_RDONLY | O_CLOEXEC);
	if (image_fd < 0 || log_fd < 0 || find_flush(length, seed % 2 == 1, &flush, &end) < 0)
		return 2;
	while (at < end) {
		if (whole(pread(log_fd, &r, sizeof(r), (off_t)at), sizeof(r)) < 0 ||
		    whole(pread(log_fd, data, r.len, (off_t)(at + sizeof(r))), r.len) < 0)
			return 2;
		if (r.len > 0 && at < flush) {
			if (whole(pwrite(image_fd, data, r.len, (off_t)r.off), r.len) < 0)
				return 2;
			writes++;
		} else if (r.len > 0) {
			if (keep_some(data, &r, &kept) < 0)
				return 2;
			late++;
		}
		at += sizeof(r) + r.len;
	}
	(void)printf("%lu writes before the last flush, %lu behind it, of which %lu sectors are kept\n", writes, late, kept);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], argv[4]);
	if (argc == 6 && strcmp(argv[1], "cut") == 0)
		return cut(argv[2], argv[3], strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
	(void)fprintf(stderr, "usage: disk serve IMAGE LOG MOUNTPOINT | disk cut IMAGE LOG LENGTH SEED\n");
	return 2;
}
