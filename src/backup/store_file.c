/* store_file.c: a store that is a directory.
 *
 *	put           a file without a name (O_TMPFILE) is written and synced, then linked: link(2) takes no name that is taken (STORE_EXCL)
 *	put, replace  the same, but linked under .put-RANDOM and renamed
 *	              then the directory is synced; directories on the way were made, and synced into their parents, before
 *	no O_TMPFILE  (NFS, some FUSE) the file is .put-RANDOM from the start
 *
 * So under a name there is an object or nothing, whole, whatever is killed or loses power when; what may be left over has a '.' in front, which no name
 * has, and store_sweep removes it. Everything is reached from the root's descriptor by openat2(2), below it and through no symbolic link: who may
 * write into the directory cannot make us read or write elsewhere.
 *
 * Whether a directory is durable is asked once in a process: whoever made it, perhaps another process a moment ago, may not have come to its sync yet. */
#include "backup/store_impl.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/bulk.h"
#include "base/text.h"

#define TMP_NAME_MAX (sizeof(STORE_FILE_TMP) + 16)
#define KNOWN 1024

struct file_store {
	struct store s;
	int root;
	char *known[KNOWN]; /* lock: s.m; directories that are durable, each at the place its hash says */
};

static struct file_store *of(struct store *s)
{
	return (struct file_store *)s;
}

static int fail(struct store_error *err, const char *name, const char *what, int r)
{
	if (r == -ELOOP || r == -EXDEV || r == -ENOTDIR || r == -EISDIR)
		return store_fail(err, -EUCLEAN, "%s: %s: a link, or a directory and an object of one name", name, what);
	return store_fail(err, r, "%s: %s: %s", name, what, err_text(r));
}

static int open_below(int dir, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NOCTTY),
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* --- directories --- */

static size_t place(const char *dir)
{
	size_t h = 5381;

	while (*dir)
		h = h * 33 + (unsigned char)*dir++;
	return h % KNOWN;
}

static bool is_known(struct file_store *f, const char *dir)
{
	WITH_LOCK(&f->s.m);
	const char *known = f->known[place(dir)];

	return known && strcmp(known, dir) == 0;
}

/* No memory: it is asked again. */
static void make_known(struct file_store *f, const char *dir)
{
	char *copy = strdup(dir);
	WITH_LOCK(&f->s.m);
	char **known = &f->known[place(dir)];

	free(*known);
	*known = copy;
}

/* Make the directories of a path below the root that are missing, and each one durable in its parent. path is cut up, and whole again at the end. */
static int make_dirs(struct file_store *f, char *path, int *ret_fd)
{
	AUTO_CLOSE int at = open_below(f->root, ".", O_RDONLY | O_DIRECTORY);
	char *from = path, *end;
	int r = at < 0 ? at : 0;

	while (r == 0 && from) {
		int next;

		end = strchr(from, '/');
		if (end)
			*end = '\0';
		if (mkdirat(at, from, 0700) < 0 && errno != EEXIST)
			r = -errno;
		else if (fsync(at) < 0)
			r = -errno;
		next = r < 0 ? r : open_below(at, from, O_RDONLY | O_DIRECTORY);
		if (end)
			*end = '/';
		from = end ? end + 1 : NULL;
		if (next < 0)
			return next;
		(void)close(at);
		at = next;
	}
	if (r == 0)
		*ret_fd = take_fd(&at);
	return r;
}

/* The directory of a name, and the last component. make: also when it is not there yet; then it is durable. */
static int open_dir(struct file_store *f, const char *name, bool make, const char **ret_last, int *ret_fd)
{
	const char *slash = strrchr(name, '/');
	char path[STORE_NAME_MAX + 1] = ".";
	int fd, r;

	*ret_last = slash ? slash + 1 : name;
	if (slash) {
		memcpy(path, name, (size_t)(slash - name));
		path[slash - name] = '\0';
	}
	if (!make || !slash || is_known(f, path)) {
		fd = open_below(f->root, path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0)
			*ret_fd = fd;
		if (fd != -ENOENT || !make)
			return fd < 0 ? fd : 0;
	}
	r = make_dirs(f, path, ret_fd);
	if (r == 0)
		make_known(f, path);
	return r;
}

/* --- put --- */

/* A file that is being written. tmp: its name, empty while it has none. */
struct putting {
	int dir, fd;
	char tmp[TMP_NAME_MAX];
};

static int tmp_name(char ret_tmp[static TMP_NAME_MAX])
{
	uint8_t random[8];
	int r = secret_random(random, sizeof(random));

	if (r < 0)
		return r;
	memcpy(ret_tmp, STORE_FILE_TMP, sizeof(STORE_FILE_TMP));
	text_hex(random, sizeof(random), ret_tmp + sizeof(STORE_FILE_TMP) - 1);
	return 0;
}

static int tmp_open(struct putting *p)
{
	int r;

	p->fd = openat(p->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0400);
	if (p->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)
		return -errno;
	r = tmp_name(p->tmp);
	if (r < 0)
		return r;
	p->fd = openat(p->dir, p->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (p->fd >= 0)
		return 0;
	p->tmp[0] = '\0';
	return -errno;
}

static int link_to(const struct putting *p, const char *name)
{
	char path[40];

	if (p->tmp[0])
		return linkat(p->dir, p->tmp, p->dir, name, 0) < 0 ? -errno : 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	return linkat(AT_FDCWD, path, p->dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int put_new(struct putting *p, const char *name)
{
	int r = link_to(p, name);

	if (r < 0 || !p->tmp[0])
		return r;
	(void)unlinkat(p->dir, p->tmp, 0); /* else it is left over, which harms nobody */
	p->tmp[0] = '\0';
	return 0;
}

static int put_over(struct putting *p, const char *name)
{
	char tmp[TMP_NAME_MAX];
	int r;

	if (!p->tmp[0]) {
		r = tmp_name(tmp);
		if (r == 0)
			r = link_to(p, tmp);
		if (r < 0)
			return r;
		memcpy(p->tmp, tmp, sizeof(tmp));
	}
	if (renameat(p->dir, p->tmp, p->dir, name) < 0)
		return -errno;
	p->tmp[0] = '\0';
	return 0;
}

static int put_bytes(struct putting *p, const char *name, const void *data, size_t len, unsigned flags)
{
	int r = tmp_open(p);

	if (r == 0)
		r = bulk_write_at(p->fd, data, len, 0);
	if (r == 0 && fsync(p->fd) < 0)
		r = -errno;
	if (r == 0)
		r = flags & STORE_EXCL ? put_new(p, name) : put_over(p, name);
	if (r == 0 && fsync(p->dir) < 0)
		r = -errno;
	if (p->tmp[0])
		(void)unlinkat(p->dir, p->tmp, 0);
	return r;
}

static int file_put(struct store *s, const char *name, const void *data, size_t len, unsigned flags, struct store_error *err)
{
	struct putting p = { .dir = -1, .fd = -1 };
	const char *last;
	struct stat st;
	int r;

	r = open_dir(of(s), name, true, &last, &p.dir);
	if (r < 0)
		return fail(err, name, "not put", r);
	if ((flags & STORE_EXCL) && fstatat(p.dir, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
		r = S_ISREG(st.st_mode) ? -EEXIST : -EISDIR;
	if (r == 0) {
		store_up(s, len);
		r = put_bytes(&p, last, data, len, flags);
	}
	/* Who linked it may not have come to its sync yet, and the caller now counts on the object. */
	if (r == -EEXIST && fsync(p.dir) < 0)
		r = -errno;
	auto_close_p(&p.fd);
	auto_close_p(&p.dir);
	return r < 0 ? fail(err, name, "not put", r) : 0;
}

/* --- get, head, delete --- */

static int open_object(struct file_store *f, const char *name, int *ret_fd, struct stat *ret_st)
{
	AUTO_CLOSE int fd = open_below(f->root, name, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fd;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -EISDIR;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int read_range(int fd, uint64_t off, uint8_t *p, size_t *len)
{
	size_t at = 0;
	ssize_t n;

	while (at < *len) {
		n = pread(fd, p + at, *len - at, (off_t)(off + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*len = at;
	return 0;
}

static int file_get(struct store *s, const char *name, uint64_t off, size_t max, void **ret_data, size_t *ret_len, struct store_error *err)
{
	AUTO_CLOSE int fd = -1;
	AUTO_FREE uint8_t *data = NULL;
	struct stat st;
	uint64_t size;
	size_t len;
	int r;

	r = open_object(of(s), name, &fd, &st);
	if (r < 0)
		return fail(err, name, "not got", r);
	size = (uint64_t)st.st_size;
	len = off >= size ? 0 : size - off < max ? (size_t)(size - off) : max;
	data = malloc(len ? len : 1);
	if (!data)
		return fail(err, name, "not got", -ENOMEM);
	store_down(s, len);
	r = read_range(fd, off, data, &len);
	if (r < 0)
		return fail(err, name, "not got", r);
	*ret_data = take_ptr(data);
	*ret_len = len;
	return 0;
}

static int file_head(struct store *s, const char *name, uint64_t *ret_size, struct store_error *err)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int r = open_object(of(s), name, &fd, &st);

	if (r < 0)
		return fail(err, name, "not found", r);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int file_delete(struct store *s, const char *name, struct store_error *err)
{
	AUTO_CLOSE int dir = -1;
	const char *last;
	int r = open_dir(of(s), name, false, &last, &dir);

	if (r == 0 && unlinkat(dir, last, 0) < 0)
		r = -errno;
	return r < 0 && r != -ENOENT ? fail(err, name, "not deleted", r) : 0;
}

static int file_excl_check(struct store *s, struct store_error *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void file_close(struct store *s)
{
	struct file_store *f = of(s);
	size_t i;

	for (i = 0; i < KNOWN; i++)
		free(f->known[i]);
	(void)close(f->root);
	free(f);
}

static const struct store_ops file_ops = {
	.close = file_close,
	.put = file_put,
	.get = file_get,
	.head = file_head,
	.list = store_file_list,
	.delete = file_delete,
	.excl_check = file_excl_check,
	.sweep = store_file_sweep,
};

int store_file_root(struct store *s)
{
	return of(s)->root;
}

int store_file_new(const char *rest, const struct store_conf *conf, struct store **ret_s, struct store_error *err)
{
	AUTO_FREE struct file_store *f = NULL;
	AUTO_FREE char *label = NULL;
	AUTO_CLOSE int root = -1;
	int probe;

	(void)conf;
	if (rest[0] != '/')
		return store_fail(err, -EINVAL, "file://%.200s: the path of a directory begins with /", rest);
	f = calloc(1, sizeof(*f));
	if (!f || asprintf(&label, "file://%s", rest) < 0) {
		label = NULL;
		return store_fail(err, -ENOMEM, "file://%.200s: %s", rest, err_text(-ENOMEM));
	}
	root = open(rest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return store_fail(err, -errno, "%.300s: %s%s", label, err_text(-errno), errno == ENOENT ? "; the directory must exist" : "");
	probe = open_below(root, ".", O_RDONLY | O_DIRECTORY);
	if (probe < 0)
		return store_fail(err, probe, "%.300s: openat2: %s", label, err_text(probe));
	(void)close(probe);
	f->root = take_fd(&root);
	f->s.ops = &file_ops;
	f->s.label = take_ptr(label);
	*ret_s = &take_ptr(f)->s;
	return 0;
}
