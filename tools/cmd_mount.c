/* cmd_mount.c: mounting: get the key, open the volume, serve it. The roof carries the secret from the agent's tower to the volume's.
 *
 * In the background (the default) the parent waits for one byte: the child's exit code. It is 0 only when the mount answers. The child forks before it
 * connects, because the agent knows a peer by its process. A failure before that byte is told by the child on the standard error both share. */
#include "tools/cmd.h"
#include "tools/mount_hand.h"
#include "tools/mount_link.h"
#include "tools/mount_restart.h"

#include "base/fileio.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/priv.h"
#include "fs/ops.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define BLOCKS_PER_MIB 256u

/* ---- what the volume tells */

static void on_seen(void *ctx, const struct vio_seen *seen)
{
	struct mounting *m = ctx;

	struct proto_seen s = { .config_version = m->seen.config_version, .stamp_limit = seen->stamp_limit };

	memcpy(s.generation, seen->generation, sizeof(s.generation));
	if (m->link) {
		client_mount_seen(m->link, &s);
		return;
	}
	m->seen = s;
	m->have_seen = true;
}

static void on_event(void *ctx, enum vio_event ev, const char *text)
{
	struct mounting *m = ctx;
	enum proto_kind kind = ev == VIO_EVENT_INTEGRITY ? PROTO_KIND_INTEGRITY : PROTO_KIND_REPLAY;

	if (ev != VIO_EVENT_RESERVE)
		log_err("%s: %s", m->path, text);
	if (ev != VIO_EVENT_INTEGRITY && ev != VIO_EVENT_UNLINKED && ev != VIO_EVENT_QUARANTINE)
		return;
	pthread_mutex_lock(&m->early_m);
	if (m->link) {
		client_mount_report(m->link, kind, "file", text);
	} else if (m->nearly < MOUNT_EARLY_MAX) {
		m->early[m->nearly].kind = kind;
		(void)snprintf(m->early[m->nearly++].text, sizeof(m->early[0].text), "%s", text);
	}
	pthread_mutex_unlock(&m->early_m);
}

static void on_step(void *ctx)
{
	struct mounting *m = ctx;

	mount_watch_step(m->watch);
}

static int start_link(struct mounting *m, const struct client_mount_info *info)
{
	int r;

	pthread_mutex_lock(&m->early_m);
	r = client_mount_start(&m->c, info, &mount_link_ops, m, &m->link);
	for (size_t i = 0; r >= 0 && i < m->nearly; i++)
		client_mount_report(m->link, m->early[i].kind, "file", m->early[i].text);
	pthread_mutex_unlock(&m->early_m);
	return r;
}

/* ---- serving */

static struct ops *stop_ops; /* for the signal handler alone */

static void on_signal(int sig)
{
	(void)sig;
	if (stop_ops)
		ops_stop(stop_ops);
}

static void on_restart(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (stop_ops && info->si_code == SI_QUEUE)
		ops_ask_restart(stop_ops, (uint32_t)info->si_value.sival_int);
}

/* The program before this one may have kept them waiting. */
static int catch_signals(struct ops *o)
{
	struct sigaction sa = { .sa_handler = on_signal }, restart = { .sa_sigaction = on_restart, .sa_flags = SA_SIGINFO };
	sigset_t set;

	stop_ops = o;
	(void)sigemptyset(&sa.sa_mask);
	if (sigaction(SIGTERM, &sa, NULL) < 0 || sigaction(SIGINT, &sa, NULL) < 0 || sigaction(SIGHUP, &sa, NULL) < 0)
		return -errno;
	sa.sa_handler = SIG_IGN;
	(void)sigemptyset(&restart.sa_mask);
	if (sigaction(SIGPIPE, &sa, NULL) < 0 || sigaction(MOUNT_RESTART_SIGNAL, &restart, NULL) < 0)
		return -errno;
	mount_hand_signals(&set);
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* False: nobody waits any more. */
static bool tell_parent(struct mounting *m, int code)
{
	uint8_t b = (uint8_t)code;
	bool told = true;

	if (m->ready_fd < 0)
		return true;
	if (write(m->ready_fd, &b, 1) != 1) {
		log_warning("the waiting parent is gone");
		told = false;
	}
	auto_close_p(&m->ready_fd);
	m->ready_fd = -1;
	return told;
}

/* From here on nobody reads our standard streams. */
static void leave_terminal(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)dup2(fd, STDIN_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	(void)close(fd);
	log_to_syslog();
}

static void on_ready(void *ctx, struct ops *o)
{
	struct mounting *m = ctx;
	struct client_mount_info info = {
		.volume = m->name, .source = m->path, .mountpoint = m->mountpoint, .read_only = m->o.read_only, .instance = m->instance,
	};
	int r;

	m->ops = o;
	(void)log_release(NULL, 0);
	r = start_link(m, &info);
	if (r < 0) {
		/* Nobody could ever lock it. */
		log_err("%s: no link to the agent: %s; unmounting", m->mountpoint, err_text(r));
		ops_stop(o);
		return;
	}
	if (!client_mount_linked(m->link))
		log_warning("%s: the agent does not list this mount now; asking again", m->mountpoint);
	if (m->have_seen)
		client_mount_seen(m->link, &m->seen);
	if (!tell_parent(m, 0)) {
		ops_stop(o); /* interrupted: a mount that was not reported must not be left behind */
		return;
	}
	log_set_level(LOG_LEVEL_INFO); /* a command says what is wrong; a mount also says that it is well again: unlocked, linked, in another program */
	mounting_tell(m->o.read_only ? "serving read-only" : "serving", m->mountpoint);
	mount_watch_serving(m->watch);
	mount_hand_ready(m);
	notify_ready();
	if (!m->foreground)
		leave_terminal();
}

static int mount_fail(const struct mounting *m, int r)
{
	char why[CMD_WHY_MAX] = "";

	(void)log_release(why, sizeof(why));
	switch (r) {
	case -ENODEV:
		return cmd_fail(EXIT_CODE_HOST_LACKS, "/dev/fuse", "cannot be used: load the fuse module, or let this host have the device");
	case -ENOTEMPTY:
		return cmd_fail(EXIT_CODE_MOUNT_POINT, m->mountpoint, "not empty: what is in it would be hidden; mount on an empty directory");
	default:
		return cmd_fail(EXIT_CODE_MOUNT_POINT, m->mountpoint, "unfit as a mount point: %s", err_text(r));
	}
}

static int serve(struct mounting *m)
{
	struct ops_params p = {
		.volume = m->volume, .mountpoint = m->mountpoint, .source = m->path, .threads = m->o.threads, .fuse_uring = m->o.fuse_uring,
		.allow_other = m->o.allow_other < 0 ? geteuid() == 0 : m->o.allow_other > 0, .dev = m->o.dev, .suid = m->o.suid,
		.noexec = m->o.noexec, .ctx = m, .ready = on_ready, .restart = mount_restart, .hand = m->hand ? &m->hand->ops : NULL,
	};
	struct ops *o;
	int r;

	r = ops_mount(&p, &o);
	if (r < 0)
		return mount_fail(m, r);
	r = catch_signals(o);
	if (r == 0)
		r = ops_serve(o);
	(void)log_release(NULL, 0);
	notify_stopping();
	mounting_tell("bringing everything home:", m->path);
	mount_watch_end(take_ptr(m->watch));
	stop_ops = NULL;
	client_mount_stop(take_ptr(m->link));
	m->ops = NULL;
	ops_unmounted(o);
	return r < 0 ? cmd_fail(EXIT_CODE_OTHER, m->mountpoint, "stopped: %s", err_text(r)) : 0;
}

static int open_volume(struct mounting *m)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	AUTO_SECRET struct secret *root = NULL;
	char holder[VOLUME_HOLDER_MAX] = "";
	struct volume_events e = { .ctx = m, .seen = on_seen, .event = on_event, .step = on_step };
	struct client_unlocked u;
	char uuid[33];
	struct volume_options o = {
		.read_only = m->o.read_only, .dev = m->o.dev, .unsafe_backing = m->o.unsafe_backing, .backing = m->o.backing,
		.cache_bytes = m->o.cache_bytes, .dirty_bytes = m->o.dirty_bytes, .commit_seconds = m->o.commit_seconds,
		.log_blocks = m->o.log_mib * BLOCKS_PER_MIB, .gather_log_fd = m->o.gather_log_fd,
	};
	int r;

	r = cmd_volume_open(m->path, &v);
	if (r == 0)
		r = m->hand ? mount_hand_unlock(m, &v, &u, &root) : cmd_unlock(m->g, m->path, "mount", &v, &m->c, &u, &root);
	if (r != 0)
		return r;
	m->instance = v.instance;
	volume_config_uuid_text(v.parsed->uuid, uuid);
	log_set_volume(uuid, u.tenant);
	m->seen.config_version = v.parsed->config_version;
	o.min_stamp_limit = u.seen.stamp_limit;
	memcpy(o.seen_generation, u.seen.generation, GENERATION_LEN);
	o.accept_older = u.seen.older_ok;
	if (m->hand)
		mount_hand_options(m, &o);
	r = volume_open(lower_real(), take_fd(&v.root_fd), v.config, v.config_len, &root, &o, &e, holder, &m->volume);
	if (r == -ESTALE)
		r = client_report(m->c, PROTO_KIND_OLDER, "state", "older than this host has seen", 1) < 0 ? -ESTALE : r;
	if (r < 0)
		return cmd_open_fail(m->path, r, holder);
	r = m->hand ? mount_hand_take(m) : 0;
	return r < 0 ? cmd_fail(cmd_exit_of(r), m->path, "cannot go on with this mount: %s", err_text(r)) : 0;
}

/* Before the agent is asked, which knows a peer by its user, and before there are threads. */
static int give_up_privileges(const struct mounting *m)
{
	int r = priv_for_mount(m->user, m->o.dev);

	if (r < 0 && m->user)
		return cmd_fail(r == -ENOENT ? EXIT_CODE_CONFIG : EXIT_CODE_DENIED, m->name, "cannot become user=%s: %s", m->user,
				r == -ENOENT ? "there is no such user" : err_text(r));
	return r < 0 ? cmd_fail(cmd_exit_of(r), m->name, "cannot give up privileges: %s", err_text(r)) : 0;
}

/* Only for a unit's main process; before there is a key. */
static int start_watch(struct mounting *m)
{
	int r = m->foreground ? mount_watch_start(m->mountpoint, &m->watch) : 0;

	mounting_tell("opening, and replaying what was not brought home:", m->path);
	return r < 0 ? cmd_fail(cmd_exit_of(r), m->name, "no process to watch the mount: %s", err_text(r)) : 0;
}

static int mount_child(struct mounting *m)
{
	int r, rc;

	mem_init();
	m->since = time(NULL);
	if (m->hand)
		mount_watch_left(m->hand->head.watcher);
	if (m->hand && !m->foreground)
		log_to_syslog();
	r = cmd_descriptors(m->path);
	if (r == 0)
		r = cmd_lock_heap();
	if (r == 0)
		r = give_up_privileges(m);
	if (r == 0)
		r = start_watch(m);
	if (r == 0)
		r = open_volume(m);
	priv_opened();
	if (r == 0)
		r = serve(m);
	if (m->volume) {
		rc = volume_close(take_ptr(m->volume));
		if (r == 0 && rc < 0)
			r = cmd_fail(cmd_exit_of(rc), m->path, "not closed cleanly: %s", err_text(rc));
	}
	client_free(take_ptr(m->c));
	mount_watch_end(take_ptr(m->watch));
	(void)tell_parent(m, r);
	return r;
}

static int in_background(struct mounting *m)
{
	int p[2], status;
	uint8_t code;
	ssize_t n;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return cmd_fail(cmd_exit_of(-errno), m->mountpoint, "no pipe: %s", err_text(-errno));
	pid = fork();
	if (pid < 0) {
		(void)close(p[0]);
		(void)close(p[1]);
		return cmd_fail(cmd_exit_of(-errno), m->mountpoint, "no process: %s", err_text(-errno));
	}
	if (pid == 0) {
		(void)close(p[0]);
		(void)setsid();
		if (chdir("/") < 0)
			log_warning("/: %s; this directory stays in use", err_text(-errno));
		m->ready_fd = p[1];
		exit(mount_child(m));
	}
	(void)close(p[1]);
	do
		n = read(p[0], &code, 1);
	while (n < 0 && errno == EINTR);
	(void)close(p[0]);
	if (n == 1)
		return code;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status);
	return cmd_fail(EXIT_CODE_OTHER, m->mountpoint, "the mount process died before the mount answered; see the journal");
}

/* ---- arguments */

static int mount_point(struct mounting *m, const char *dir)
{
	struct stat st;
	int r;

	m->mountpoint = realpath(dir, NULL);
	if (!m->mountpoint || stat(m->mountpoint, &st) < 0)
		return errno == ENOTCONN ? cmd_fail(EXIT_CODE_MOUNT_POINT, dir, "unfit as a mount point: the mount that is there has died; "
						    "take it away: coffer umount %s", dir) :
					   cmd_fail(EXIT_CODE_MOUNT_POINT, dir, "unfit as a mount point: %s", err_text(-errno));
	if (!S_ISDIR(st.st_mode))
		return cmd_fail(EXIT_CODE_MOUNT_POINT, dir, "unfit as a mount point: not a directory");
	log_hold();
	r = ops_check(m->mountpoint, false);
	return r < 0 ? mount_fail(m, r) : 0;
}

/* What is to be mounted, where and how: from the arguments and, for a name, from volumes.d. */
static int mount_what(struct mounting *m, const char *volume, const char *dir, struct volume_conf *conf)
{
	AUTO_FREE char *path = NULL;
	char why[128];
	int r;

	m->name = volume;
	r = m->hand && strchr(volume, '/') ? 0 : cmd_volume_find(m->g, volume, conf, &path);
	if (r == 0 && conf->options && mount_options_parse(conf->options, &m->o, why) < 0)
		r = cmd_fail(EXIT_CODE_CONFIG, volume, "options=: %s", why);
	if (r != 0)
		return r;
	for (size_t i = 0; i < m->ngiven; i++) /* they win over options= */
		if (mount_options_parse(m->given[i], &m->o, why) < 0)
			return cmd_usage("mount", "%s", why);
	if (m->hand)
		return mount_hand_what(m, dir, conf, path);
	if (!dir)
		dir = conf->mountpoint;
	if (!dir)
		return cmd_usage("mount", "needs a MOUNTPOINT (or mountpoint= in volumes.d)");
	m->path = realpath(path, NULL);
	if (!m->path)
		return cmd_fail(cmd_exit_of(-errno), path, "cannot be opened: %s", err_text(-errno));
	m->user = conf->user;
	if (m->user && m->o.allow_other > 0)
		return cmd_usage("mount", "allow_other: a mount with user= serves that user alone");
	return mount_point(m, dir);
}

int mounting_run(struct mounting *m, const char *volume, const char *dir)
{
	AUTO_VOLUME_CONF struct volume_conf conf = { 0 };
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	struct cmd_global g = *m->g;
	int r;

	r = mount_hand_load(m);
	if (r == 0)
		r = mount_what(m, volume, dir, &conf);
	if (r != 0)
		return r;
	if (m->fake)
		return cmd_volume_open(m->path, &v);
	if (m->o.agent[0])
		g.agent = m->o.agent;
	m->g = &g;
	if (mount_restart_prepare(m) < 0)
		log_warning("%s: how it was started cannot be remembered, so it cannot be restarted", m->path);
	if (m->hand && m->hand->head.kind == HAND_ASK)
		return mount_hand_ask(m);
	return m->foreground || m->hand ? mount_child(m) : in_background(m);
}

void mounting_tell(const char *state, const char *about)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s %s", state, about);
	notify_status(text);
}

void mounting_done(struct mounting *m)
{
	mount_hand_done(m);
	mount_restart_done(m);
	free(m->path);
	free(m->mountpoint);
}

int cmd_mount(const struct cmd_global *g, int argc, char **argv)
{
	struct mounting m = MOUNTING_INIT(g);
	const char *volume = NULL, *dir = NULL;
	int r;

	mount_options_init(&m.o);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
			if (m.ngiven == MOUNT_GIVEN_MAX)
				return cmd_usage("mount", "-o: at most %d times", MOUNT_GIVEN_MAX);
			m.given[m.ngiven++] = argv[++i];
		} else if (strcmp(argv[i], "--foreground") == 0) {
			m.foreground = true;
		} else if (argv[i][0] == '-' || dir) {
			return cmd_usage("mount", "%s: not understood", argv[i]);
		} else if (volume) {
			dir = argv[i];
		} else {
			volume = argv[i];
		}
	}
	if (!volume)
		return cmd_usage("mount", "needs VOLUME and MOUNTPOINT");
	r = mounting_run(&m, volume, dir);
	mounting_done(&m);
	return r;
}
