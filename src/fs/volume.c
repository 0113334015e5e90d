/* volume.c: opening and closing a volume (volume.h). The order of opening: the key proves right, the backing filesystem is fit, the lock is ours,
 * then the I/O floor replays; nothing is written before the lock is held. */
#include "fs/volume.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fs/backing.h"
#include "fs/dirfd.h"
#include "fs/live.h"
#include "fs/name.h"
#include "fs/reopen.h"
#include "fs/volume_impl.h"
#include "io/freeze.h"

#define LIMIT_FALLBACK 1024
#define CLOSE_ROUNDS 3
#define BATCH_MIN 4
#define BATCH_MAX 256

/* ---- configuration */

int volume_open_config(const uint8_t *config, size_t len, const struct secret *root, struct volume_info *ret_info,
		       struct key_ring **ret_ring)
{
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	char what[128] = "";
	int r;

	if (!c)
		return -ENOMEM;
	r = volume_config_parse(config, len, c, what);
	if (r == -EOPNOTSUPP)
		log_err(NAME_VOLUME ": not supported: %s", what);
	if (r < 0)
		return r == -EOPNOTSUPP ? r : log_ret(r, NAME_VOLUME);
	r = volume_config_verify(config, len, c, root, ret_ring);
	if (r < 0)
		return log_ret(r, NAME_VOLUME);
	memcpy(ret_info->uuid, c->uuid, UUID_LEN);
	memcpy(ret_info->tenant, c->tenant, sizeof(ret_info->tenant));
	ret_info->config_version = c->config_version;
	ret_info->epoch = c->epoch;
	ret_info->read_only = c->read_only_only;
	return 0;
}

/* ---- callbacks of the I/O floor */

static void on_seen(void *ctx, const struct vio_seen *seen)
{
	struct volume *v = ctx;

	volume_note_seen(v, seen);
	if (v->events.seen)
		v->events.seen(v->events.ctx, seen);
}

static void on_event(void *ctx, enum vio_event ev, const char *text)
{
	struct volume *v = ctx;

	if (v->events.event)
		v->events.event(v->events.ctx, ev, text);
}

static void on_step(void *ctx)
{
	struct volume *v = ctx;

	if (v->events.step)
		v->events.step(v->events.ctx);
}

void volume_fill_params(struct volume *v, struct vio_params *p)
{
	const struct volume_options *o = &v->options;

	*p = (struct vio_params){
		.lower = v->lower,
		.root_fd = v->root_fd,
		.ring = v->ring,
		.cb = { .ctx = v, .reopen = reopen_owner, .sync_names = name_sync_owner, .home_written = live_home_written,
			.idle = live_idle, .seen = on_seen, .event = on_event, .step = on_step },
		.backing = o->backing,
		.cache_bytes = o->cache_bytes,
		.dirty_bytes = o->dirty_bytes,
		.commit_seconds = o->commit_seconds,
		.log_blocks = o->log_blocks,
		.read_only = v->info.read_only,
		.no_threads = o->no_threads,
		.min_stamp_limit = o->min_stamp_limit,
		.accept_older = o->accept_older,
		.accept_log_loss = o->accept_log_loss,
		.remake_state = o->remake_state,
		.rules_off = o->rules_off,
		.gather_log_fd = o->gather_log_fd,
	};
	memcpy(p->seen_generation, o->seen_generation, GENERATION_LEN);
}

/* ---- creating */

static int not_empty(void *arg, const struct lower_dirent *e)
{
	(void)arg;
	return strcmp(e->name, "lost+found") == 0 ? 0 : -ENOTEMPTY;
}

/* Can it do what names need? */
static int probe_links(struct lower *l, int root_fd)
{
	int r;

	r = l->ops->symlinkat(l, "probe", root_fd, DIR_LINK);
	if (r == 0)
		r = l->ops->unlinkat(l, root_fd, DIR_LINK, 0);
	if (r == -EPERM || r == -EOPNOTSUPP || r == -ENOSYS) {
		log_err("the backing filesystem is not fit for a volume: it has no symbolic links");
		return -EMEDIUMTYPE;
	}
	return r;
}

/* Overlays of several filesystems give files other device numbers than directories; then nothing tells a file from one that was planted. */
static int one_device(struct lower *l, int root_fd, int fd)
{
	struct stat dir, file;
	int r;

	r = l->ops->fstat(l, root_fd, &dir);
	if (r == 0)
		r = l->ops->fstat(l, fd, &file);
	if (r == 0 && dir.st_dev != file.st_dev) {
		log_err("the backing filesystem is not fit for a volume: its files and directories have different device numbers (overlayfs?)");
		r = -EMEDIUMTYPE;
	}
	return r;
}

/* Made with the volume: a read-only mount, which makes nothing, wants it. */
static int make_lock(struct lower *l, int root_fd)
{
	int fd, r;

	fd = l->ops->openat(l, root_fd, NAME_LOCK, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = one_device(l, root_fd, fd);
	lower_close(l, fd);
	if (r < 0)
		(void)l->ops->unlinkat(l, root_fd, NAME_LOCK, 0);
	return r;
}

static int write_config(struct lower *l, int root_fd, const uint8_t *config, size_t len)
{
	int fd, r;

	fd = l->ops->openat(l, root_fd, NAME_VOLUME, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = lower_pwrite(l, fd, config, len, 0, false);
	if (r >= 0)
		r = l->ops->fsync(l, fd);
	lower_close(l, fd);
	if (r == 0)
		r = l->ops->fsync(l, root_fd);
	if (r < 0)
		(void)l->ops->unlinkat(l, root_fd, NAME_VOLUME, 0);
	return r;
}

int volume_create(struct lower *l, int root_fd, const uint8_t *config, size_t len, struct secret **root, uint64_t log_blocks,
		  const struct volume_options *o)
{
	static const char *const made[] = { NAME_LOG, NAME_STATE, NAME_RESERVE, NAME_LOCK };
	AUTO_SECRET struct secret *key = take_ptr(*root);
	AUTO_KEY_RING struct key_ring *ring = NULL;
	struct volume_info info;
	struct vio_params p = { .lower = l, .root_fd = root_fd };
	struct stat st;
	int r;

	if (l->ops->fstatat(l, root_fd, NAME_VOLUME, &st) == 0)
		return -EEXIST;
	r = l->ops->readdir(l, root_fd, 0, not_empty, NULL);
	if (r == 0)
		r = backing_check(l, root_fd, o->unsafe_backing);
	if (r < 0)
		return r;
	r = volume_open_config(config, len, key, &info, &ring);
	if (r == 0)
		r = probe_links(l, root_fd);
	if (r == 0)
		r = make_lock(l, root_fd);
	if (r < 0)
		return r;
	p.ring = ring;
	p.dirty_bytes = o->dirty_bytes;
	r = vio_format(&p, log_blocks);
	if (r == 0)
		r = write_config(l, root_fd, config, len);
	/* The directory was empty, so what is there is ours. */
	for (size_t i = 0; r < 0 && i < sizeof(made) / sizeof(made[0]); i++)
		(void)l->ops->unlinkat(l, root_fd, made[i], 0);
	return r;
}

/* ---- opening */

static void limits(struct volume *v)
{
	struct rlimit rl;
	size_t n = LIMIT_FALLBACK;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
		n = (size_t)rl.rlim_cur;
	v->files_max = n / 4 < LIVE_FILES_MAX ? n / 4 : LIVE_FILES_MAX;
	v->dirs_max = n / 8 < DIRFD_MAX ? n / 8 : DIRFD_MAX;
	/* Each of the workers may list at once. */
	v->batch_max = n / 64 < BATCH_MIN ? BATCH_MIN : n / 64 > BATCH_MAX ? BATCH_MAX : n / 64;
}

static int make_root(struct volume *v)
{
	struct inode_attr a;
	struct stat st;
	int r;

	r = v->lower->ops->fstat(v->lower, v->root_fd, &st);
	if (r < 0)
		return r;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	v->dev = st.st_dev;
	inode_attr_from(&st, (uint64_t)st.st_size, &a);
	return inode_remember(v, NULL, NULL, &a, false, 0, &v->root);
}

/* Is opening by handle allowed to us here, and does it find what it should? */
static bool probe_handles(struct volume *v)
{
	struct lower_handle h;
	struct stat st;
	int fd, r;

	if (v->lower->ops->name_to_handle(v->lower, v->root_fd, &h) < 0)
		return false;
	fd = v->lower->ops->open_by_handle(v->lower, v->root_fd, &h, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return false;
	r = v->lower->ops->fstat(v->lower, fd, &st);
	lower_close(v->lower, fd);
	return r == 0 && st.st_ino == v->root->ino && st.st_dev == v->dev;
}

static void volume_free(struct volume *v)
{
	if (!v)
		return;
	inode_drop_all(v);
	inode_table_done(&v->table);
	lower_close(v->lower, v->lock_fd);
	lower_close(v->lower, v->root_fd);
	key_ring_free(v->ring);
	pthread_cond_destroy(&v->changed);
	pthread_cond_destroy(&v->moved);
	pthread_cond_destroy(&v->pins_closed);
	lock_done(&v->lock);
	pthread_mutex_destroy(&v->watch_m);
	pthread_mutex_destroy(&v->vio_m);
	pthread_cond_destroy(&v->vio_cond);
	still_done(&v->still);
	free(v);
}

static struct volume *volume_new(struct lower *l, int root_fd, const struct volume_options *o, const struct volume_events *e)
{
	struct volume *v = calloc(1, sizeof(*v));

	if (!v) {
		lower_close(l, root_fd);
		lower_close(l, o->lock_fd > 0 ? o->lock_fd : -1);
		return NULL;
	}
	v->lower = l;
	v->root_fd = root_fd;
	v->lock_fd = o->lock_fd > 0 ? o->lock_fd : -1;
	v->options = *o;
	v->opened_s = time(NULL);
	if (e)
		v->events = *e;
	lock_init(&v->lock, LOCK_RANK_FS);
	pthread_mutex_init(&v->watch_m, NULL);
	pthread_mutex_init(&v->vio_m, NULL);
	pthread_cond_init(&v->vio_cond, NULL);
	still_init(&v->still);
	pthread_cond_init(&v->changed, NULL);
	pthread_cond_init(&v->moved, NULL);
	pthread_cond_init(&v->pins_closed, NULL);
	inode_link_init(&v->files);
	inode_link_init(&v->dirs);
	limits(v);
	return v;
}

/* From here on nothing below can be changed through this volume, whatever else is forgotten. */
static int bar_writing(struct volume *v)
{
	int fd;

	lower_ro_init(&v->ro, v->lower);
	v->lower = &v->ro.l;
	fd = v->lower->ops->openat(v->lower, v->root_fd, ".", O_RDONLY | O_DIRECTORY, 0); /* anew, for its access time */
	if (fd < 0)
		return fd;
	lower_close(v->lower, v->root_fd);
	v->root_fd = fd;
	return 0;
}

static int open_parts(struct volume *v, const uint8_t *config, size_t len, const struct secret *key, char *ret_holder)
{
	unsigned wait_ms = v->options.lock_wait_ms ? v->options.lock_wait_ms : VOLUME_LOCK_WAIT_MS;
	struct vio_params p;
	int r;

	r = inode_table_init(&v->table);
	if (r == 0)
		r = volume_open_config(config, len, key, &v->info, &v->ring);
	if (r < 0)
		return r;
	v->names = key_ring_names(v->ring);
	if (v->info.read_only && !v->options.read_only)
		log_warning("the volume has a feature that allows read-only mounts alone");
	v->info.read_only |= v->options.read_only;
	r = v->info.read_only ? bar_writing(v) : 0;
	if (r < 0)
		return log_ret(r, "the volume's directory");
	r = backing_check(v->lower, v->root_fd, v->options.unsafe_backing);
	if (r < 0)
		return r;
	if (v->lock_fd >= 0)
		r = backing_lock_kept(v->lower, v->root_fd, v->info.read_only, v->lock_fd);
	else
		r = backing_lock(v->lower, v->root_fd, v->info.read_only, wait_ms, ret_holder, VOLUME_HOLDER_MAX, &v->lock_fd);
	if (r == -EBUSY)
		log_err("the volume is in use: %s", ret_holder);
	if (r < 0)
		return r == -EBUSY ? r : log_ret(r, NAME_LOCK);
	r = one_device(v->lower, v->root_fd, v->lock_fd);
	if (r < 0)
		return r;
	r = make_root(v);
	if (r < 0)
		return log_ret(r, "the volume's directory");
	v->handles = probe_handles(v);
	volume_fill_params(v, &p);
	r = vio_open(&p, &v->vio);
	vio_forget_thread(); /* whoever opens a volume need not be the one who uses it */
	return r;
}

int volume_open(struct lower *l, int root_fd, const uint8_t *config, size_t len, struct secret **root, const struct volume_options *o,
		const struct volume_events *e, char *ret_holder, struct volume **ret_v)
{
	AUTO_SECRET struct secret *key = take_ptr(*root);
	struct volume *v;
	int r;

	v = volume_new(l, root_fd, o, e);
	if (!v)
		return -ENOMEM;
	r = open_parts(v, config, len, key, ret_holder);
	if (r < 0) {
		volume_free(v);
		return r;
	}
	*ret_v = v;
	return 0;
}

/* ---- closing */

/* Bring everything home so that the iofiles can be closed. */
static int settle(struct volume *v)
{
	int round, r = 0;

	for (round = 0; round < CLOSE_ROUNDS; round++) {
		if (!v->info.read_only) {
			r = vio_sync(v->vio);
			if (r == 0)
				r = vio_checkpoint(v->vio);
		}
		if (r == -ENOMEM)
			continue; /* of a moment, perhaps: nothing has changed */
		if (r < 0)
			return r;
		r = live_close_all(v, false);
		if (r == 0)
			return 0;
	}
	return r;
}

int volume_rest(struct volume *v)
{
	int r;

	still_end(&v->still);
	r = freeze_end(v->vio);
	if (r == 0 || r == -ETIMEDOUT) /* nobody came to end it */
		r = settle(v);
	if (r < 0) {
		/* What is committed is in the log and comes home at the next mount. */
		log_err("the volume could not be brought to rest: %s", err_text(r));
		if (live_close_all(v, true) < 0)
			log_err("files are left open");
	}
	return r;
}

int volume_close(struct volume *v)
{
	int r;

	if (!v)
		return 0;
	r = v->locked ? v->lock_error : volume_rest(v);
	if (v->locked)
		; /* it came to rest then, or never will */
	else if (r < 0)
		vio_abandon(take_ptr(v->vio)); /* closing would take the log away from the files that were just dropped */
	else
		r = vio_close(take_ptr(v->vio));
	if (!v->info.read_only && backing_say_rest(v->lower, v->lock_fd, r) < 0)
		log_warning(NAME_LOCK ": cannot say how the volume was left");
	volume_free(v);
	return r;
}

/* ---- while it is open */

void volume_info(const struct volume *v, struct volume_info *ret_i)
{
	*ret_i = v->info;
}

void volume_watch(struct volume *v, void (*fn)(void *ctx, uint64_t id), void *ctx)
{
	pthread_mutex_lock(&v->watch_m);
	v->watch = fn;
	v->watch_ctx = ctx;
	pthread_mutex_unlock(&v->watch_m);
}

void volume_count(struct volume *v, enum meter_kind kind)
{
	atomic_fetch_add_explicit(&v->integrity[kind], 1, memory_order_relaxed);
}

void volume_stats(struct volume *v, struct volume_stats *ret_s)
{
	struct volume_stats s = { 0 };

	volume_io_stats(v, &s.io);
	lock_take(&v->lock);
	s.undecryptable = v->undecryptable;
	for (unsigned k = 0; k < METER_KINDS; k++)
		s.integrity[k] = s.io.integrity[k] + atomic_load_explicit(&v->integrity[k], memory_order_relaxed);
	s.inodes = v->table.count;
	s.files = v->file_count;
	s.dirs = v->dir_count;
	lock_drop(&v->lock);
	*ret_s = s;
}
