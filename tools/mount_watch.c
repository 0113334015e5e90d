/* mount_watch.c: see mount_watch.h.
 *
 * Why a process: whoever asks a mount that hangs hangs with it, and cannot be killed. A thread would keep /dev/fuse open then, so that not even SIGKILL would
 * end the mount. This process holds nothing; when systemd has killed the mount the kernel ends the connection, and with it our question.
 *
 *   opening   replay went on since we looked    EXTEND_TIMEOUT_USEC
 *   serving   the root's attributes came        WATCHDOG=1          any answer counts, ENOKEY of a locked mount is one
 *             the connection is gone            nothing
 * It tells a thread of the mount, which tells systemd: so only the main process of the unit need be listened to. The page both share has two numbers, and each
 * is written by the mount alone. */
#include "tools/mount_watch.h"

#include "base/notify.h"
#include "base/priv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXTEND_SECONDS 120u
#define TICK_MS 5000
#define STEPS_A_WATCHDOG 4
#define REAP_TRIES 2000

struct shared {
	atomic_uint steps;
	atomic_bool serving;
};

enum { WORD_STEP = 's', WORD_ALIVE = 'a' };

struct mount_watch {
	struct shared *shared;
	pid_t pid;
};

static bool answers(const char *mountpoint)
{
	struct statx st;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_MODE, &st) == 0)
		return true;
	return errno != ENOTCONN && errno != ECONNABORTED && errno != EINTR;
}

static void watch(const struct shared *s, const char *mountpoint, bool watched, int tick_ms, pid_t mount, int tell)
{
	unsigned seen = 0, now;
	char word;

	while (getppid() == mount) {
		now = atomic_load(&s->steps);
		word = 0;
		if (!atomic_load(&s->serving))
			word = now != seen ? WORD_STEP : 0;
		else if (!watched)
			return;
		else if (answers(mountpoint))
			word = WORD_ALIVE;
		seen = now;
		if (word && write(tell, &word, 1) != 1)
			return;
		(void)poll(NULL, 0, tick_ms);
	}
}

static void be_nothing(int keep)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "coffer-watch");
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_IGN); /* of a terminal: the mount's business */
	if (keep > 3)
		(void)close_range(3, (unsigned)keep - 1, 0);
	(void)close_range((unsigned)keep + 1, ~0u, 0);
	priv_thread();
}

/* Ends with the other process, and is waited for by nobody. */
static void *relay(void *arg)
{
	AUTO_FREE int *ear = arg;
	AUTO_CLOSE int fd = *ear;
	char word;

	priv_thread();
	while (read(fd, &word, 1) == 1) {
		if (word == WORD_ALIVE)
			notify_alive();
		else
			(void)notify_extend(EXTEND_SECONDS);
	}
	return NULL;
}

static int start_relay(int ear)
{
	pthread_attr_t attr;
	pthread_t thread;
	int *arg = malloc(sizeof(*arg)), r = arg ? pthread_attr_init(&attr) : ENOMEM;

	if (r == 0) {
		*arg = ear;
		(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, relay, arg);
		(void)pthread_attr_destroy(&attr);
	}
	if (r != 0)
		free(arg);
	return -r;
}

/* The process, and what it tells by: a descriptor, or -errno. */
static int start_watcher(struct mount_watch *w, const char *mountpoint, bool watched, int tick_ms)
{
	pid_t self = getpid();
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	w->pid = fork();
	if (w->pid == 0) {
		be_nothing(p[1]);
		watch(w->shared, mountpoint, watched, tick_ms, self, p[1]);
		_exit(0);
	}
	(void)close(p[1]);
	if (w->pid > 0)
		return p[0];
	(void)close(p[0]);
	return -EAGAIN;
}

int mount_watch_start(const char *mountpoint, struct mount_watch **ret_w)
{
	struct mount_watch *w;
	uint64_t usec = 0;
	bool watched = notify_watched(&usec);
	int tick_ms = TICK_MS, r;

	*ret_w = NULL;
	if (!notify_extend(EXTEND_SECONDS))
		return 0;
	if (watched && usec / 1000 / STEPS_A_WATCHDOG < TICK_MS)
		tick_ms = (int)(usec / 1000 / STEPS_A_WATCHDOG) + 1;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED) {
		free(w);
		return -ENOMEM;
	}
	r = start_watcher(w, mountpoint, watched, tick_ms);
	if (r >= 0) {
		int ear = r;

		r = start_relay(ear);
		if (r < 0)
			(void)close(ear);
	}
	if (r < 0) {
		mount_watch_end(w);
		return r;
	}
	*ret_w = w;
	return 0;
}

void mount_watch_step(struct mount_watch *w)
{
	if (w)
		atomic_fetch_add(&w->shared->steps, 1);
}

void mount_watch_serving(struct mount_watch *w)
{
	if (w)
		atomic_store(&w->shared->serving, true);
}

int mount_watch_pid(const struct mount_watch *w)
{
	return w ? (int)w->pid : 0;
}

void mount_watch_left(int pid)
{
	if (pid > 1 && getpid() != pid && waitpid(pid, NULL, WNOHANG) == 0) /* so it is our child, and lives */
		(void)kill(pid, SIGKILL);
}

/* It may have been asking the mount, so it has ended only when that was answered. */
void mount_watch_reap(int pid)
{
	for (int tries = 0; pid > 1 && tries < REAP_TRIES && waitpid(pid, NULL, WNOHANG) == 0; tries++)
		(void)poll(NULL, 0, 1);
}

void mount_watch_end(struct mount_watch *w)
{
	if (!w)
		return;
	if (w->pid > 0)
		(void)kill(w->pid, SIGKILL); /* not awaited: it may be asking the mount that is ending; init does, or we have gone before */
	(void)munmap(w->shared, sizeof(*w->shared));
	free(w);
}
