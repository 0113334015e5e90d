/* mount_hand.c: see mount_hand.h. Nothing here may touch the mount point before the mount is served: that would wait for ourselves. */
#include "tools/mount_hand.h"

#include "base/clock.h"
#include "base/env.h"
#include "base/log.h"
#include "base/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define AWAY_MS 60000u
#define AGAIN_MS 200
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int bad(const char *why)
{
	return cmd_fail(EXIT_CODE_OTHER, "restart", "what was handed over cannot be used: %s", why);
}

static int map_state(struct mount_hand *h)
{
	struct stat st;
	void *p;

	if (fcntl(h->fd, F_SETFD, FD_CLOEXEC) < 0 || fstat(h->fd, &st) < 0)
		return -errno;
	if ((fcntl(h->fd, F_GET_SEALS) & SEALS) != SEALS || st.st_size <= 0 || (uint64_t)st.st_size > HAND_BYTES_MAX)
		return -EUCLEAN;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, h->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	h->map = p;
	h->len = (size_t)st.st_size;
	return 0;
}

static int parse_state(struct mount_hand *h)
{
	int r;

	h->in = (struct hand_in){ .p = h->map, .len = h->len };
	r = hand_get_head(&h->in, &h->head);
	if (r < 0)
		return r;
	h->seeks = calloc(h->head.seeks + 1, sizeof(*h->seeks));
	if (!h->seeks)
		return -ENOMEM;
	for (uint32_t k = 0; r == 0 && k < h->head.seeks; k++)
		r = hand_get_seek(&h->in, &h->seeks[k]);
	h->ops = (struct ops_hand){ .head = &h->head, .seeks = h->seeks };
	return r;
}

int mount_hand_load(struct mounting *m)
{
	const char *text = env_get(ENV_COFFER_HANDOVER);
	struct mount_hand *h;
	unsigned fd;
	char more;
	int r;

	if (!text)
		return 0;
	if (sscanf(text, "%u%c", &fd, &more) != 1 || fd <= STDERR_FILENO)
		return bad("no descriptor");
	h = m->hand = calloc(1, sizeof(*h));
	if (!h)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "restart", "out of memory");
	env_drop(ENV_COFFER_HANDOVER);
	h->fd = (int)fd;
	r = map_state(h);
	if (r == 0)
		r = parse_state(h);
	if (r == -EOPNOTSUPP)
		return bad("it is of a version that this program does not know");
	return r < 0 ? bad(err_text(r)) : 0;
}

void mount_hand_done(struct mounting *m)
{
	struct mount_hand *h = take_ptr(m->hand);

	if (!h)
		return;
	if (h->map)
		(void)munmap((void *)(uintptr_t)h->map, h->len);
	auto_close_p(&h->fd);
	free(h->seeks);
	free(h);
}

/* ---- what volumes.d says now */

static int changed(const struct mounting *m, const char *what)
{
	return cmd_fail(EXIT_CODE_CONFIG, m->name, "%s has changed since it was mounted: unmount, and mount again", what);
}

int mount_hand_what(struct mounting *m, const char *dir, const struct volume_conf *conf, const char *path)
{
	const struct hand_head *h = &m->hand->head;
	AUTO_FREE char *at = NULL;

	m->path = strdup(h->path);
	m->mountpoint = strdup(h->mountpoint);
	if (!m->path || !m->mountpoint)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, m->name, "out of memory");
	m->user = conf->user;
	if (m->o.read_only != h->read_only)
		return changed(m, "whether it is read-only");
	if (h->kind != HAND_ASK || strchr(m->name, '/'))
		return 0; /* given as paths, perhaps from another directory than we are in */
	at = realpath(path, NULL);
	if (!at || strcmp(at, m->path) != 0)
		return changed(m, "source=");
	free(take_ptr(at));
	at = dir || !conf->mountpoint ? NULL : realpath(conf->mountpoint, NULL);
	if (at && strcmp(at, m->mountpoint) != 0)
		return changed(m, "mountpoint=");
	return 0;
}

int mount_hand_ask(struct mounting *m)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_CLIENT struct client *c = NULL;
	AUTO_SECRET struct secret *root = NULL;
	struct client_unlocked u;
	int r;

	if (ops_hand_same(&m->hand->head) < 0)
		return cmd_fail(EXIT_CODE_UNSUPPORTED, m->name, "the kernel was promised something that this program, or its libfuse, would not promise");
	r = cmd_lock_heap();
	if (r == 0)
		r = cmd_volume_open(m->path, &v);
	if (r != 0)
		return r;
	if (memcmp(v.instance.uuid, m->hand->head.uuid, UUID_LEN) != 0)
		return changed(m, "the volume there");
	return cmd_unlock(m->g, m->path, "mount", &v, &c, &u, &root);
}

int mount_hand_unlock(struct mounting *m, const struct cmd_volume *v, struct client_unlocked *ret_u, struct secret **ret_root)
{
	uint64_t end = clock_boot_ms() + AWAY_MS;
	int r;

	r = cmd_unlock(m->g, m->path, "mount", v, &m->c, ret_u, ret_root);
	while ((r == EXIT_CODE_AGENT_UNREACHABLE || r == EXIT_CODE_KMS_UNREACHABLE) && clock_boot_ms() < end) {
		notify_alive();
		(void)poll(NULL, 0, AGAIN_MS);
		r = cmd_unlock(m->g, m->path, "mount", v, &m->c, ret_u, ret_root);
	}
	return r;
}

void mount_hand_options(struct mounting *m, struct volume_options *o)
{
	const struct hand_head *h = &m->hand->head;

	o->lock_fd = h->lock_fd;
	if (h->told.stamp_limit > o->min_stamp_limit) {
		o->min_stamp_limit = h->told.stamp_limit;
		memcpy(o->seen_generation, h->told.generation, GENERATION_LEN);
		o->accept_older = false;
	}
}

int mount_hand_take(struct mounting *m)
{
	return volume_hand_take(m->volume, &m->hand->head, &m->hand->in);
}

void mount_hand_ready(struct mounting *m)
{
	if (!m->hand)
		return;
	m->restarted = m->hand->head.token;
	if (volume_hand_say(m->volume, m->hand->head.token, NULL) < 0)
		log_warning("%s: cannot say in " NAME_LOCK " that it goes on", m->path);
	log_info("%s: goes on in another program (coffer " PACKAGE_VERSION ")", m->mountpoint);
	mount_watch_reap(m->hand->head.watcher);
	mount_hand_done(m);
}

void mount_hand_signals(sigset_t *ret_set)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, MOUNT_RESTART_SIGNAL };

	(void)sigemptyset(ret_set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaddset(ret_set, signals[i]);
}
