/* cmd_restart.c: restart: let a mount go on in the program that is installed now. The mount's process is found by coffer.lock, which names it and which it holds; it is
 * asked by a signal with a number, and answers with that number in coffer.lock. So neither the agent nor the mount itself, which stands still meanwhile, is needed. */
#include "tools/cmd.h"
#include "tools/mount_hand.h"

#include "base/clock.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/backing.h"

#define POLL_MS 10
#define AGAIN_MS 2000u
#define WAIT_MS 900000u

struct asking {
	const char *name;
	struct cmd_holder h;
	int pidfd;
	pid_t pid;
	uint32_t token;
};

/* A program without this signal's handler would be ended by it. */
static bool hears(pid_t pid)
{
	char path[64], line[256];
	unsigned long long caught = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigCgt: %llx", &caught) == 1)
			break;
	if (f)
		(void)fclose(f);
	return caught >> (MOUNT_RESTART_SIGNAL - 1) & 1;
}

/* Who holds it, on this host and in this boot? coffer.lock is looked at again behind pidfd_open, so it is still that process. */
static int find_process(struct asking *a)
{
	char now[BACKING_LOCK_MAX], boot[64], id[64];
	short type;
	long pid;

	if (a->h.fd < 0 || !a->h.writes || sscanf(a->h.text, "host %*s boot %63s pid %ld", boot, &pid) != 2 || pid <= 1)
		return cmd_fail(EXIT_CODE_UNSUPPORTED, a->name, "a read-only mount cannot be restarted: unmount, and mount again");
	backing_boot_id(id, sizeof(id));
	if (strcmp(id, boot) != 0)
		return cmd_fail(EXIT_CODE_IN_USE, a->name, "served by another host");
	a->pid = (pid_t)pid;
	a->pidfd = (int)syscall(SYS_pidfd_open, a->pid, 0);
	if (a->pidfd < 0 || cmd_holder_read(&a->h, &type, now) < 0 || type == F_UNLCK || strcmp(now, a->h.text) != 0)
		return cmd_fail(EXIT_CODE_OTHER, a->name, "its process is not seen from here");
	if (!hears(a->pid))
		return cmd_fail(EXIT_CODE_UNSUPPORTED, a->name, "its program is of a version that cannot be restarted: unmount, and mount again");
	return 0;
}

static int ask(struct asking *a)
{
	siginfo_t info = { .si_signo = MOUNT_RESTART_SIGNAL, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = (int)a->token;
	if (syscall(SYS_pidfd_send_signal, a->pidfd, MOUNT_RESTART_SIGNAL, &info, 0) == 0)
		return 0;
	return cmd_fail(errno == EPERM ? EXIT_CODE_DENIED : EXIT_CODE_OTHER, a->name, "its process cannot be asked: %s", err_text(-errno));
}

/* NULL: there is none yet. */
static const char *answer(const struct asking *a, char *text)
{
	char want[32];
	char *line = strchr(text, '\n');

	(void)snprintf(want, sizeof(want), BACKING_RESTART "%08x ", a->token);
	if (!line || strncmp(line + 1, want, strlen(want)) != 0 || !strchr(line + 1, '\n'))
		return NULL;
	line += 1 + strlen(want);
	line[strcspn(line, "\n")] = '\0';
	text_mask(line);
	return line;
}

static int await(struct asking *a)
{
	uint64_t end = clock_boot_ms() + WAIT_MS, again = clock_boot_ms() + AGAIN_MS;
	char text[BACKING_LOCK_MAX];
	const char *said;
	short type;
	int r;

	while (clock_boot_ms() < end) {
		if (cmd_holder_read(&a->h, &type, text) == 0) {
			said = answer(a, text);
			if (said && strcmp(said, "done") == 0)
				return 0;
			if (said)
				return cmd_fail(EXIT_CODE_OTHER, a->name, "not restarted, it goes on as it was: %s",
						strncmp(said, "refused: ", 9) == 0 ? said + 9 : said);
			if (type == F_UNLCK)
				return cmd_fail(EXIT_CODE_OTHER, a->name, "the mount has ended; its process, or the journal, says why");
			/* Ours may have been asked of a program that has gone since, by somebody else's restart. Asked twice is answered once. */
			if (clock_boot_ms() >= again && hears(a->pid)) {
				again = clock_boot_ms() + AGAIN_MS;
				r = ask(a);
				if (r != 0)
					return r;
			}
		}
		clock_pause_ms(POLL_MS);
	}
	return cmd_fail(EXIT_CODE_BUSY, a->name, "no answer");
}

int cmd_restart(const struct cmd_global *g, int argc, char **argv)
{
	AUTO_FREE char *dir = NULL, *source = NULL;
	struct asking a = { .pidfd = -1 };
	int r;

	if (argc != 2)
		return cmd_usage("restart", "needs one MOUNTPOINT or NAME");
	a.name = argv[1];
	r = cmd_mount_find(g, argv[1], &dir, &source);
	if (r != 0)
		return r;
	r = cmd_holder_open(source, &a.h);
	r = r < 0 ? cmd_fail(cmd_exit_of(r), a.name, NAME_LOCK ": %s", err_text(r)) : find_process(&a);
	if (r == 0 && secret_random(&a.token, sizeof(a.token)) < 0)
		r = cmd_fail(EXIT_CODE_OTHER, a.name, "no random number");
	a.token |= 1; /* 0 is nobody's */
	if (r == 0)
		r = ask(&a);
	if (r == 0)
		r = await(&a);
	auto_close_p(&a.pidfd);
	auto_close_p(&a.h.fd);
	return r;
}
