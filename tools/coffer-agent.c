/* coffer-agent.c: the agent's main: options, hardening, configuration, background, then agent/server.h. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/client.h"
#include "agent/server.h"
#include "base/err.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/secret.h"
#include "crypt/keys.h"

#define CONFIG_DIR_DEFAULT "/etc/coffer"
#define STATE_DIR_DEFAULT "/var/lib/coffer"
#define DESCRIPTORS 4096
#define MEMLOCK_NEED (64 * 1024 * 1024) /* TLS connections to key services, a dozen at once, and their authorities */

static const char usage[] =
	"usage: coffer-agent [--foreground] [--config DIR] [--state DIR] [--socket PATH]\n"
	"\n"
	"Holds the keys of this host's volumes and hands them to the mounts that may have them.\n"
	"\n"
	"  --foreground    stay in the foreground and log to standard error\n"
	"  --config DIR    configuration and key directory (" CONFIG_DIR_DEFAULT ")\n"
	"  --state DIR     pins and audit log (" STATE_DIR_DEFAULT ")\n"
	"  --socket PATH   socket to serve (" CLIENT_SOCKET_DEFAULT ")\n"
	"  --help          this text\n"
	"  --version       one line\n";

struct settings {
	struct agent_options options;
	bool foreground;
};

/* 0 go on, 1 done, -EINVAL usage. */
static int options_parse(int argc, char **argv, struct settings *s)
{
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' },  { "config", required_argument, NULL, 'c' },
		{ "state", required_argument, NULL, 's' }, { "socket", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },	   { "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'f':
			s->foreground = true;
			break;
		case 'c':
			s->options.config_dir = optarg;
			break;
		case 's':
			s->options.state_dir = optarg;
			break;
		case 'S':
			s->options.socket_path = optarg;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return 1;
		case 'v':
			(void)puts("coffer-agent " PACKAGE_VERSION);
			return 1;
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

/* The directory of local: keys, if it can be made; without it each local: key says so. */
static int key_dir_make(const char *config_dir)
{
	AUTO_FREE char *path = NULL;
	int r;

	if (asprintf(&path, "%s/keys", config_dir) < 0)
		return -ENOMEM;
	r = fileio_mkdirs(config_dir, 0755);
	if (r >= 0)
		r = fileio_mkdirs(path, 0700);
	if (r < 0)
		log_warning("%s: %s; there are no local: keys", path, err_text(r));
	return 0;
}

static int harden(void)
{
	struct rlimit lim;
	int r;

	r = secret_harden_process();
	if (r < 0)
		return log_ret(r, "cannot forbid core dumps");
	if (getrlimit(RLIMIT_MEMLOCK, &lim) == 0 && lim.rlim_cur < MEMLOCK_NEED && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &lim);
	}
	r = keys_openssl_heap_init();
	if (r < 0)
		return log_ret(r, "no locked memory for keys; raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the unit)");
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < DESCRIPTORS) {
		lim.rlim_cur = lim.rlim_max < DESCRIPTORS ? lim.rlim_max : DESCRIPTORS;
		(void)setrlimit(RLIMIT_NOFILE, &lim);
	}
	(void)umask(0022); /* each file of ours is made with its mode; only the socket's directory is for all */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a full audit log is an error, not our end */
	return 0;
}

/* Leave the terminal: from here on the log is syslog's. */
static int stdio_leave(void)
{
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return -errno;
	log_to_syslog();
	return 0;
}

static int exit_code(int r)
{
	switch (r) {
	case 0:
		return EXIT_CODE_OK;
	case -EBUSY:
		return EXIT_CODE_BUSY;
	case -EBADMSG: /* tenants_load */
		return EXIT_CODE_CONFIG;
	case -ENOMEM:
	case -EMFILE:
	case -ENOSPC:
		return EXIT_CODE_NO_RESOURCE;
	default:
		return EXIT_CODE_OTHER;
	}
}

/* ready_fd: told one byte when the socket accepts, or -1. Logs. */
static int serve(const struct settings *s, int ready_fd)
{
	AUTO_AGENT struct agent *a = NULL;
	int r;

	r = key_dir_make(s->options.config_dir);
	if (r >= 0)
		r = server_open(&s->options, &a);
	if (r < 0)
		return r;
	if (ready_fd >= 0) {
		r = stdio_leave();
		if (r >= 0)
			r = fileio_write_full(ready_fd, "1", 1);
		if (r < 0)
			return log_ret(r, "cannot go into the background");
		(void)close(ready_fd);
	}
	log_info("serving %s", s->options.listen_fd >= 0 ? "the socket handed over" : s->options.socket_path);
	notify_ready();
	return server_run(a);
}

/* The child serves; the parent leaves when it is ready, or with its exit code. */
static int background(const struct settings *s)
{
	int pipe_fds[2], status;
	char c;
	pid_t pid;
	ssize_t n;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return log_ret(-errno, "pipe");
	pid = fork();
	if (pid < 0)
		return log_ret(-errno, "fork");
	if (pid == 0) {
		(void)close(pipe_fds[0]);
		(void)setsid();
		if (chdir("/") < 0)
			_exit(EXIT_CODE_OTHER);
		_exit(exit_code(serve(s, pipe_fds[1])));
	}
	(void)close(pipe_fds[1]);
	do
		n = read(pipe_fds[0], &c, 1);
	while (n < 0 && errno == EINTR);
	(void)close(pipe_fds[0]);
	if (n == 1)
		return 0;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	return log_ret(-EIO, "the agent ended before it served");
}

/* What the service manager hands over: the agent's socket and that of credentials, told apart by their type. */
static int sockets_take(struct agent_options *options)
{
	int fds[2], n, type;
	socklen_t len;

	n = notify_listen_fds(fds, 2);
	for (int i = 0; i < n; i++) {
		int *fd;

		len = sizeof(type);
		if (getsockopt(fds[i], SOL_SOCKET, SO_TYPE, &type, &len) < 0)
			return -errno;
		fd = type == SOCK_STREAM ? &options->cred_listen_fd : &options->listen_fd;
		if (*fd >= 0)
			return -EINVAL;
		*fd = fds[i];
	}
	return n == -ENOENT ? 0 : n;
}

/* Relative paths mean the directory we were started in; the background has another one. */
static int path_absolute(const char **path)
{
	char *cwd, *whole;
	int n;

	if ((*path)[0] == '/')
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return -errno;
	n = asprintf(&whole, "%s/%s", cwd, *path);
	free(cwd);
	if (n < 0)
		return -ENOMEM;
	*path = whole; /* lives as long as the process */
	return 0;
}

int main(int argc, char **argv)
{
	struct settings s = { .options = { .config_dir = CONFIG_DIR_DEFAULT,
					   .state_dir = STATE_DIR_DEFAULT,
					   .socket_path = CLIENT_SOCKET_DEFAULT,
					   .listen_fd = -1,
					   .cred_listen_fd = -1,
					   .version = PACKAGE_VERSION } };
	int r;

	log_set_ident("coffer-agent");
	r = options_parse(argc, argv, &s);
	if (r < 0) {
		(void)fputs(usage, stderr);
		return EXIT_CODE_USAGE;
	}
	if (r > 0)
		return EXIT_CODE_OK;
	r = harden();
	if (r >= 0)
		r = path_absolute(&s.options.config_dir);
	if (r >= 0)
		r = path_absolute(&s.options.state_dir);
	if (r >= 0)
		r = path_absolute(&s.options.socket_path);
	if (r < 0)
		return exit_code(r);
	r = sockets_take(&s.options);
	if (r < 0)
		return exit_code(log_ret(r, "socket activation"));
	return exit_code(s.foreground ? serve(&s, -1) : background(&s));
}
