/* scrub.c: the walk and the requests in flight (scrub.h).
 *
 * A file's first chunk is asked for as soon as it is met, the others when that has told its shape; so small files overlap with each other, and a large one
 * with itself. Chunks complete in any order: nothing about a chunk depends on another but for the shape. */
#include "fs/scrub_impl.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "crypt/namecrypt.h"

#define DEPTH 16u                /* requests in flight: 16 MiB */
#define OPEN_MAX 24u             /* files */
#define DIRS_MAX 4096u
#define BATCH 256
#define AGAIN_MAX 64u            /* rounds over the same files */
#define FSCK_DIR "lost+found"            /* in the root of an ext4 that is all the volume's */

/* ---- files */

static void file_free(struct scrub *s, struct scrub_file *f)
{
	lower_close(s->l, f->fd);
	free(f->path);
	free(f);
}

static bool file_ended(const struct scrub_file *f)
{
	return f->first_sent && f->in_flight == 0 && (f->over || (f->known && f->next_group >= f->shape.alloc_groups));
}

/* Close those at the front that have ended. */
static int retire(struct scrub *s)
{
	struct scrub_file **at = &s->files, *f;
	int r = 0;

	while ((f = *at) && r == 0) {
		if (!file_ended(f)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		if (!*at)
			s->files_end = at;
		s->open_files--;
		s->counts.files += !f->again;
		r = scrub_tell(s, f);
		file_free(s, f);
	}
	return r;
}

/* ---- requests */

static struct scrub_slot *free_slot(struct scrub *s)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (!s->slots[i].f)
			return &s->slots[i];
	return NULL;
}

/* The next groups of f to read: true, and *ret_no, *ret_n. */
static bool next_chunk(struct scrub_file *f, uint32_t *ret_no, unsigned *ret_n)
{
	if (!f->first_sent) {
		*ret_no = 0;
		*ret_n = SCRUB_CHUNK_GROUPS;
		f->first_sent = true;
		return true;
	}
	if (!f->known || f->over)
		return false;
	while (f->next_group < f->shape.alloc_groups && !group_exists(&f->shape, (uint32_t)f->next_group))
		f->next_group++;
	if (f->next_group >= f->shape.alloc_groups)
		return false;
	*ret_no = (uint32_t)f->next_group;
	*ret_n = f->next_group + 1 < f->shape.alloc_groups && group_exists(&f->shape, *ret_no + 1) ? SCRUB_CHUNK_GROUPS : 1;
	f->next_group += *ret_n;
	return true;
}

static int submit(struct scrub *s, struct scrub_slot *slot, struct scrub_file *f, uint32_t no, unsigned n)
{
	uint64_t off = layout_group_off(no), len = n * (uint64_t)GROUP_LOWER;

	/* Not beyond the end, so that one request is one read. */
	if (off + len > f->size)
		len = off < f->size ? (f->size - off + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE : BLOCK_SIZE;
	slot->f = f;
	slot->group = no;
	slot->iov = (struct iovec){ slot->buf, len };
	slot->req = (struct ioq_req){ .op = IOQ_READ, .fd = f->fd, .iov = &slot->iov, .iovcnt = 1, .off = off, .user = slot };
	f->in_flight++;
	return ioq_submit(s->q, &slot->req);
}

static int submit_all(struct scrub *s)
{
	struct scrub_slot *slot = free_slot(s);
	struct scrub_file *f;
	uint32_t no;
	unsigned n;
	int r = 0;

	for (f = s->files; f && slot && r == 0; f = f->next) {
		while (slot && r == 0 && next_chunk(f, &no, &n)) {
			r = submit(s, slot, f, no, n);
			slot = free_slot(s);
		}
	}
	return r;
}

static int unreadable(struct scrub *s, struct scrub_file *f, uint32_t group, int error)
{
	int r;

	if (error == -ENOMEM)
		return error;
	if (group == 0)
		f->known = f->over = true;
	r = scrub_problem(s, f, SCRUB_IO, group, error);
	return r < 0 || s->certain ? r : scrub_suspect_add(s, f, group);
}

/* The groups of a read, one by one. */
static int check_singly(struct scrub *s, struct scrub_slot *slot, int fd)
{
	struct scrub_file *f = slot->f;
	int r = 0;

	for (unsigned i = 0; i < SCRUB_CHUNK_GROUPS && r == 0; i++) {
		uint32_t group = slot->group + i;
		ssize_t n;

		if (i > 0 && (f->over || !f->known || !group_exists(&f->shape, group)))
			break;
		n = lower_pread(s->l, fd, slot->buf, GROUP_LOWER, layout_group_off(group));
		s->counts.bytes += n > 0 ? (uint64_t)n : 0;
		r = n < 0 ? unreadable(s, f, group, (int)n) : scrub_check_groups(s, f, group, 1, slot->buf, (size_t)n);
	}
	return r;
}

/* A read that failed, again: without O_DIRECT if that was why; so that a bad sector hides no more than its group, and what passes nothing. */
static int check_again(struct scrub *s, struct scrub_slot *slot)
{
	int fd, r;

	if (slot->req.result != -EINVAL || !slot->f->direct)
		return check_singly(s, slot, slot->f->fd);
	fd = s->l->ops->reopen(s->l, slot->f->fd, O_RDONLY);
	if (fd < 0)
		return unreadable(s, slot->f, slot->group, fd);
	r = check_singly(s, slot, fd);
	lower_close(s->l, fd);
	return r;
}

static int complete(struct scrub *s)
{
	struct ioq_req *req = ioq_wait(s->q);
	struct scrub_slot *slot;
	struct scrub_file *f;
	int r;

	if (!req)
		return 0;
	slot = req->user;
	f = slot->f;
	if (req->result < 0) {
		r = check_again(s, slot);
	} else {
		s->counts.bytes += (uint64_t)req->result;
		r = scrub_check_groups(s, f, slot->group, SCRUB_CHUNK_GROUPS, slot->buf, (size_t)req->result);
	}
	if (slot->group == 0)
		f->next_group = SCRUB_CHUNK_GROUPS;
	slot->f = NULL;
	f->in_flight--;
	if (r == 0 && s->p->progress && !s->p->progress(s->p->ctx, &s->counts))
		r = -EINTR;
	return r;
}

/* Until fewer than max files are open. */
static int pump(struct scrub *s, unsigned max)
{
	int r = 0;

	while (r == 0 && s->open_files > 0) {
		r = submit_all(s);
		if (r == 0)
			r = retire(s);
		if (r < 0 || s->open_files < max)
			break;
		r = complete(s);
		if (r == 0)
			r = retire(s);
	}
	return r;
}

/* ---- the walk */

struct batch {
	struct {
		uint8_t type;
		char name[LOWER_NAME_LEN_MAX + 1];
	} e[BATCH];
	size_t n;
	int64_t next;
	bool more;
};

static int collect(void *arg, const struct lower_dirent *e)
{
	struct batch *b = arg;
	size_t len = strlen(e->name);

	if (b->n == BATCH) {
		b->more = true;
		return 1;
	}
	b->next = e->off;
	if (len > LOWER_NAME_LEN_MAX || (strncmp(e->name, "coffer.", 7) == 0 && strncmp(e->name, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) != 0))
		return 0;
	/* Encrypted names have no dot; what has one, but for long names, is not ours. */
	if (strchr(e->name, '.') && strncmp(e->name, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) != 0)
		return 0;
	b->e[b->n].type = e->type;
	memcpy(b->e[b->n++].name, e->name, len + 1);
	return 0;
}

static int fail_path(struct scrub *s, char *path, int error)
{
	struct scrub_file f = { .path = path };
	bool certain = s->certain;
	int r;

	if (error == -ENOMEM)
		return error;
	if (error == -ENOENT)
		return 0; /* gone meanwhile */
	s->certain = true;
	r = scrub_problem(s, &f, SCRUB_IO, 0, error);
	s->certain = certain;
	return r < 0 ? r : scrub_tell(s, &f);
}

/* fd: the file, or why it could not be opened. Consumed. */
static int add_open(struct scrub *s, int fd, bool direct, bool again, char *path)
{
	struct scrub_file *f = calloc(1, sizeof(*f));
	struct stat st;
	int r;

	if (!f) {
		lower_close(s->l, fd < 0 ? -1 : fd);
		return -ENOMEM;
	}
	f->direct = direct;
	f->again = again;
	f->fd = fd < 0 ? -1 : fd;
	r = fd < 0 ? fd : s->l->ops->fstat(s->l, fd, &st);
	f->path = r == 0 ? strdup(path) : NULL;
	if (r < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || !f->path) {
		s->counts.files += r == 0 && !again;
		r = r < 0 ? fail_path(s, path, r) : f->path ? 0 : -ENOMEM;
		file_free(s, f);
		return r;
	}
	f->size = (uint64_t)st.st_size;
	f->ino = st.st_ino;
	*s->files_end = f;
	s->files_end = &f->next;
	s->open_files++;
	return pump(s, OPEN_MAX);
}

static int add_file(struct scrub *s, int dirfd, const char *name, char *path)
{
	int fd = s->l->ops->openat(s->l, dirfd, name, O_RDONLY | O_DIRECT, 0);
	bool direct = fd >= 0;

	if (fd == -EINVAL)
		fd = s->l->ops->openat(s->l, dirfd, name, O_RDONLY, 0);
	return add_open(s, fd, direct, false, path);
}

static int walk(struct scrub *s, int dirfd, char *path, size_t len, dev_t dev, unsigned depth);

static int walk_entry(struct scrub *s, int dirfd, uint8_t type, const char *name, char *path, size_t len, dev_t dev, unsigned depth)
{
	size_t add = strlen(name) + (len > 0), i = len;
	struct stat st;
	int fd, r;

	if (len + add + 1 > SCRUB_PATH_MAX || (depth == 0 && strcmp(name, FSCK_DIR) == 0))
		return 0;
	if (len > 0)
		path[i++] = '/';
	memcpy(path + i, name, strlen(name) + 1);
	r = s->l->ops->fstatat(s->l, dirfd, name, &st);
	if (r < 0 || st.st_dev != dev)
		return r < 0 ? fail_path(s, path, r) : 0;
	(void)type;
	if (S_ISREG(st.st_mode))
		return add_file(s, dirfd, name, path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (depth == DIRS_MAX)
		return fail_path(s, path, -ENAMETOOLONG);
	fd = s->l->ops->openat(s->l, dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fail_path(s, path, fd);
	r = walk(s, fd, path, len + add, dev, depth + 1);
	lower_close(s->l, fd);
	return r;
}

static int walk(struct scrub *s, int dirfd, char *path, size_t len, dev_t dev, unsigned depth)
{
	AUTO_FREE struct batch *b = malloc(sizeof(*b));
	int64_t off = 0;
	int r;

	if (!b)
		return -ENOMEM;
	do {
		b->n = 0;
		b->more = false;
		b->next = off;
		r = s->l->ops->readdir(s->l, dirfd, off, collect, b);
		path[len] = '\0';
		if (r < 0)
			return fail_path(s, path, r);
		for (size_t i = 0; i < b->n && r == 0; i++)
			r = walk_entry(s, dirfd, b->e[i].type, b->e[i].name, path, len, dev, depth);
		off = b->next;
	} while (b->more && r == 0);
	return r;
}

/* ---- all of it */

static int open_log(struct scrub *s)
{
	struct scrub_file f = { .path = (char[]){ NAME_LOG } };
	struct scrub_log_info info;
	int r;

	if (s->p->live)
		return 0;
	r = scrub_log_open(s->l, s->root_fd, &s->log, &info);
	if (r < 0)
		return log_ret(r, NAME_STATE " or " NAME_LOG);
	if (info.missing == 0)
		return 0;
	r = scrub_problem(s, &f, SCRUB_LOG, info.missing, 0);
	return r < 0 ? r : scrub_tell(s, &f);
}

static int init(struct scrub *s)
{
	s->slots = calloc(DEPTH, sizeof(*s->slots));
	if (!s->slots || posix_memalign((void **)&s->bufs, BLOCK_SIZE, DEPTH * (size_t)SCRUB_CHUNK_LEN) != 0)
		return -ENOMEM;
	for (unsigned i = 0; i < DEPTH; i++)
		s->slots[i].buf = s->bufs + i * (size_t)SCRUB_CHUNK_LEN;
	return ioq_new(s->l, DEPTH, &s->q);
}

static void done(struct scrub *s)
{
	struct scrub_file *f;

	while (s->q && ioq_wait(s->q)) /* what is in flight writes into our buffers */
		;
	ioq_free(s->q);
	while ((f = s->files)) {
		s->files = f->next;
		file_free(s, f);
	}
	scrub_suspect_done(s);
	scrub_log_close(s->log);
	free(s->slots);
	free(s->bufs);
}

/* Files whose first group could not be read, or not understood, until the mount held still. */
static int walk_again(struct scrub *s)
{
	AUTO_FREE char **list = s->again;
	size_t n = s->nagain;
	bool direct;
	int r = 0;

	s->again = NULL;
	s->nagain = s->again_max = 0;
	for (size_t i = 0; i < n; i++) {
		int fd = r == 0 ? scrub_open(s, list[i], &direct) : -ECANCELED;

		if (r == 0)
			r = add_open(s, fd, fd >= 0 && direct, true, list[i]);
		free(list[i]);
	}
	return r < 0 ? r : pump(s, 0);
}

static int settle(struct scrub *s)
{
	int r = scrub_suspect_settle(s);

	for (unsigned n = 0; r == 0 && s->nagain > 0; n++) {
		if (n == AGAIN_MAX)
			return -ETIMEDOUT;
		r = walk_again(s);
		if (r == 0)
			r = scrub_suspect_settle(s);
	}
	return r;
}

int scrub_run(struct lower *l, int root_fd, const struct scrub_params *p, struct scrub_counts *ret_c)
{
	struct scrub s = { .l = l, .root_fd = root_fd, .p = p, .certain = !p->live };
	AUTO_FREE char *path = malloc(SCRUB_PATH_MAX);
	struct stat st;
	int r;

	s.files_end = &s.files;
	r = path ? init(&s) : -ENOMEM;
	if (r == 0)
		r = open_log(&s);
	if (r == 0)
		r = l->ops->fstat(l, root_fd, &st);
	if (r == 0)
		r = walk(&s, root_fd, path, 0, st.st_dev, 0);
	if (r == 0)
		r = pump(&s, 0);
	if (r == 0)
		r = settle(&s);
	done(&s);
	if (r == 0)
		*ret_c = s.counts;
	return r;
}

const char *scrub_kind_text(enum scrub_kind kind)
{
	switch (kind) {
	case SCRUB_BLOCK:
		return "the block's checksum does not fit";
	case SCRUB_GROUP:
		return "the group's metadata is malformed";
	case SCRUB_HEADER:
		return "the header is malformed or missing";
	case SCRUB_SHORT:
		return "the file ends before the block";
	case SCRUB_IO:
		return "the backing filesystem failed";
	case SCRUB_LOG:
		return "an acknowledged transaction is missing";
	}
	return "unknown";
}
