/* mount_restart.c: see mount_restart.h. Ask first, then stop: whatever can say no is asked while the mount still serves.
 *
 *   1 the key, for ourselves: should a later step fail, the volume is opened again here
 *   2 the program that stands where ours was started from: does it understand, would it promise the kernel the same, does the agent give it the key
 *   3 commit; then hold, so that requests wait in the kernel; everything to rest, the keys given up
 *   4 the state into a sealed memfd, the descriptors inheritable, execute
 *
 * What fails before 3 leaves the mount untouched. What fails behind it is undone with the key of 1. If the volume does not come to rest, or does not open again, the
 * connection ends as in a crash: everything that was committed is in the log. */
#include "tools/mount_restart.h"

#include "base/clock.h"
#include "base/env.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/priv.h"
#include "base/text.h"
#include "tools/mount_hand.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define COMMAND_LINE_MAX (128u << 10)
#define ASK_MS 120000u
#define WHY_MAX 256
#define CHILD_FD 3 /* in the program that is only asked */

/* ---- how we were started */

int mount_restart_prepare(struct mounting *m)
{
	char program[PATH_MAX];
	uint8_t *text;
	size_t len = 0, k = 0;
	ssize_t n;
	int r;

	n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (n < 0)
		return -errno;
	program[n] = '\0';
	r = fileio_read_at(AT_FDCWD, "/proc/self/cmdline", COMMAND_LINE_MAX, &text, &len);
	if (r < 0)
		return r;
	m->command_line = (char *)text;
	m->program = strdup(program);
	m->argv = calloc(len + 2, sizeof(*m->argv));
	if (!m->program || !m->argv)
		return -ENOMEM;
	for (size_t at = 0; at < len; at += strlen(m->command_line + at) + 1)
		m->argv[k++] = m->command_line + at;
	return k > 0 ? 0 : -ENOENT;
}

void mount_restart_done(struct mounting *m)
{
	free(m->program);
	free(m->argv);
	free(m->command_line);
}

/* ---- the state */

struct leaving {
	struct mounting *m;
	struct ops *o;
	uint32_t token;
	enum hand_kind kind;
	struct hand_head head;
	struct cmd_volume v;
	struct secret *root;
	char why[WHY_MAX];
};

static int refuse(struct leaving *l, int r, const char *what)
{
	(void)snprintf(l->why, sizeof(l->why), "%s: %s", what, err_text(r));
	return r;
}

static void fill_head(struct leaving *l)
{
	struct hand_head *h = &l->head;

	*h = (struct hand_head){ .kind = l->kind, .token = l->token, .watcher = mount_watch_pid(l->m->watch) };
	volume_hand_head(l->m->volume, h);
	ops_hand_head(l->o, h);
	(void)snprintf(h->path, sizeof(h->path), "%s", l->m->path);
	(void)snprintf(h->mountpoint, sizeof(h->mountpoint), "%s", l->m->mountpoint);
	if (l->kind == HAND_ASK) {
		h->inodes = h->seeks = 0;
		h->fuse_fd = h->deep_fd = h->lock_fd = -1;
	}
}

static int fill(struct leaving *l, struct hand_out *out)
{
	hand_put_head(out, &l->head);
	if (l->kind == HAND_TAKE) {
		ops_hand_seeks(l->o, out);
		volume_hand_put(l->m->volume, out);
	}
	return hand_close(out);
}

/* Allocated before it is written: memory that is not there is an error, not a signal. */
static int write_state(struct leaving *l, int fd, uint64_t len)
{
	struct hand_out out = { .max = len };
	void *p;
	int r;

	if (fallocate(fd, 0, 0, (off_t)len) < 0)
		return -errno;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	out.p = p;
	r = fill(l, &out);
	(void)munmap(p, len);
	if (r == 0 && out.len != len)
		r = -EUCLEAN;
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r;
}

static int make_state(struct leaving *l, enum hand_kind kind, int *ret_fd)
{
	AUTO_CLOSE int fd = memfd_create("coffer-restart", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct hand_out count = { 0 };
	int r;

	if (fd < 0)
		return -errno;
	l->kind = kind;
	fill_head(l);
	r = fill(l, &count);
	if (r == 0)
		r = write_state(l, fd, count.len);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/* ---- asking */

static int take_key(struct leaving *l)
{
	AUTO_CLIENT struct client *c = NULL;
	struct client_unlocked u;
	int r;

	r = cmd_volume_open(l->m->path, &l->v);
	if (r == 0)
		r = cmd_unlock(l->m->g, l->m->path, "mount", &l->v, &c, &u, &l->root);
	if (r != 0)
		(void)snprintf(l->why, sizeof(l->why), "the agent does not give its key; the journal says why");
	return r != 0 ? -ENOKEY : 0;
}

/* The last line of what it said is the reason. */
static void keep_reason(struct leaving *l, char *said)
{
	size_t len = strlen(said);
	char *line;

	while (len > 0 && said[len - 1] == '\n')
		said[--len] = '\0';
	line = strrchr(said, '\n');
	line = line ? line + 1 : said;
	if (strncmp(line, "coffer: ", 8) == 0)
		line += 8;
	text_mask(line);
	(void)snprintf(l->why, sizeof(l->why), "%.250s", *line ? line : "the program that is there now cannot go on with this mount");
}

/* What it says until it closes its end; the tail, if it is much. */
static void listen_to(int fd, uint64_t end, char *said, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_boot_ms();

		if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
			break;
		if (len > size / 2) {
			memmove(said, said + len - size / 2, size / 2);
			len = size / 2;
		}
		n = read(fd, said + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	said[len] = '\0';
}

static int wait_child(pid_t pid, uint64_t end)
{
	int status = 0;
	pid_t p = waitpid(pid, &status, WNOHANG);

	while (p == 0 && clock_boot_ms() < end) {
		(void)poll(NULL, 0, 1);
		p = waitpid(pid, &status, WNOHANG);
	}
	if (p == 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return -ETIMEDOUT;
	}
	return p == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

static int start_child(struct leaving *l, int state, int said, pid_t *ret_pid)
{
	AUTO_FREE char **env = env_with(ENV_COFFER_HANDOVER, "3");
	posix_spawn_file_actions_t fa;
	int r;

	_Static_assert(CHILD_FD == 3, "as the variable says");
	if (!env || posix_spawn_file_actions_init(&fa) != 0)
		return -ENOMEM;
	r = posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&fa, said, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&fa, said, STDERR_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&fa, state, CHILD_FD);
	if (r == 0)
		r = posix_spawn(ret_pid, l->m->program, &fa, NULL, l->m->argv, env);
	(void)posix_spawn_file_actions_destroy(&fa);
	return -r;
}

static int ask_program(struct leaving *l)
{
	AUTO_CLOSE int state = -1;
	AUTO_CLOSE int ear = -1;
	uint64_t end = clock_boot_ms() + ASK_MS;
	char said[2048];
	pid_t pid = -1;
	int p[2], r;

	r = make_state(l, HAND_ASK, &state);
	if (r < 0)
		return refuse(l, r, "no memory for its state");
	if (pipe2(p, O_CLOEXEC) < 0)
		return refuse(l, -errno, "no pipe");
	ear = p[0];
	r = start_child(l, state, p[1], &pid);
	(void)close(p[1]);
	if (r < 0)
		return refuse(l, r, l->m->program);
	listen_to(ear, end, said, sizeof(said));
	r = wait_child(pid, end);
	if (r == -ETIMEDOUT)
		return refuse(l, r, l->m->program);
	if (r < 0)
		keep_reason(l, said);
	return r;
}

/* ---- going */

static void stop_signals(bool on)
{
	sigset_t set;

	mount_hand_signals(&set);
	(void)pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static int inherit(struct leaving *l, int state, bool on)
{
	int r;

	if (fcntl(state, F_SETFD, on ? 0 : FD_CLOEXEC) < 0)
		return -errno;
	r = ops_hand_fds(l->o, on);
	return r == 0 ? volume_hand_fds(l->m->volume, on) : r;
}

/* Returns only if it did not work. */
static int execute(struct leaving *l)
{
	AUTO_CLOSE int state = -1;
	AUTO_FREE char **env = NULL;
	char fd[16];
	int r;

	r = make_state(l, HAND_TAKE, &state);
	if (r < 0)
		return refuse(l, r, "no memory for its state");
	(void)snprintf(fd, sizeof(fd), "%d", state);
	env = env_with(ENV_COFFER_HANDOVER, fd);
	if (!env)
		return refuse(l, -ENOMEM, "no memory for its state");
	stop_signals(true);
	/* One that came before would be forgotten; one that comes from here on waits for the next program. */
	r = ops_is_stopping(l->o) ? -ESHUTDOWN : inherit(l, state, true);
	if (r == 0) {
		notify_alive();
		(void)execve(l->m->program, l->m->argv, env);
		r = -errno;
	}
	(void)!inherit(l, state, false);
	stop_signals(false);
	return refuse(l, r, l->m->program);
}

/* < 0: it goes on here. > 0: it cannot go on at all. */
static int go(struct leaving *l)
{
	int r, back;

	if (volume_sync(l->m->volume) < 0)
		return refuse(l, -EIO, "the commit failed");
	notify_alive();
	r = ops_hold(l->o);
	if (r < 0)
		return refuse(l, r, r == -ENOKEY ? "it is locked" : "its requests do not come to an end");
	r = volume_lock(l->m->volume);
	if (r == 0) {
		r = execute(l);
		back = volume_unlock(l->m->volume, l->v.config, l->v.config_len, &l->root);
		if (back == 0) {
			ops_resume(l->o);
			return r;
		}
		r = back;
	}
	log_err("%s: restart: %s; the mount ends now, what was committed is in the log", l->m->mountpoint, err_text(r));
	ops_hold_failed(l->o, r);
	return 1;
}

void mount_restart(void *ctx, struct ops *o, uint32_t token)
{
	struct mounting *m = ctx;
	AUTO_FREE struct leaving *l = calloc(1, sizeof(*l));
	int r;

	if (!l || token == m->restarted)
		return; /* who waits for an answer asks again, and may have been answered meanwhile */
	m->restarted = token;
	*l = (struct leaving){ .m = m, .o = o, .token = token, .v = CMD_VOLUME_INIT };
	notify_reloading();
	mounting_tell("restarting", m->mountpoint);
	if (!m->program)
		r = refuse(l, -ENOENT, "it is not known how it was started");
	else if (ops_by_uring(o))
		r = refuse(l, -EOPNOTSUPP, "mounted with fuse-uring: unmount it, and mount it again");
	else
		r = priv_hand_on() ? 0 : refuse(l, -EPERM, "mounted by fusermount3");
	if (r == 0)
		r = take_key(l);
	if (r == 0)
		r = ask_program(l);
	if (r == 0)
		r = go(l);
	if (r < 0) {
		log_warning("%s: not restarted, it goes on as it was: %s", m->mountpoint, l->why);
		if (volume_hand_say(m->volume, token, l->why) < 0)
			log_warning("%s: cannot say so in " NAME_LOCK, m->path);
		mounting_tell("serving", m->mountpoint);
		notify_ready();
	}
	secret_free(take_ptr(l->root));
	cmd_volume_done(&l->v);
}
