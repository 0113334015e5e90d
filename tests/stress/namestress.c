/* namestress.c: several processes make, move, exchange, link and remove names in shared directories.
 *
 *   namestress DIR [-p PROCESSES] [-n OPERATIONS-EACH] [-s SEED] [-r] [-v PROCESS]
 *
 * Each process has names of its own, so what it sees depends on the seed alone: it folds each result into a hash, and two directories in which the
 * same was done must print the same lines (a plain directory is the model of a mount). -v prints one process's operations, to find the first that
 * differs. With -r all fight over the same names: results are free, but none may be an error that names cannot explain, nothing may hang, and
 * at the end each entry is there, and has as many links as there are names of it.
 *
 * Exit status: 0, 1 wrong, 2 could not be run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARED_DIRS 6
#define NAMES 24
#define PROCESSES_MAX 64
#define HANG_SECONDS 120
#define PATH_ROOM 2048
#define INODES_MAX 65536

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static unsigned processes = 4, seed = 1;
static unsigned long operations = 10000;
static bool racy;
static int verbose = -1;

static struct result {
	uint64_t hash;
	unsigned long good, done;
} *results;

struct run {
	unsigned process;
	uint64_t rng;
	struct result *result;
	bool wrong;
};

static uint64_t next(struct run *r)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng >> 11;
}

static unsigned below(struct run *r, unsigned n)
{
	return (unsigned)(next(r) % n);
}

static void fold(struct run *r, uint64_t v)
{
	r->result->hash = (r->result->hash ^ v) * 0x100000001b3ull;
}

/* A name of a process: some short, some that take the long form below, some as long as a name can be. */
static void name_of(char *out, unsigned process, unsigned k)
{
	static const unsigned lengths[] = { 0, 0, 40, 97, 180, 255 };
	unsigned len = lengths[k % 6];
	int n = sprintf(out, "%c%u-%u-", 'a' + (int)(k % 26), process, k);

	if (len > (unsigned)n) {
		memset(out + n, 'x', len - (unsigned)n);
		out[len] = '\0';
	}
}

static void shared_dir(char *out, unsigned k)
{
	if (k % 3 == 2) {
		memset(out, 'S', 254);
		out[254] = (char)('0' + k);
		out[255] = '\0';
	} else {
		(void)sprintf(out, "shared%u", k);
	}
}

/* A path: in a shared directory, or one or two levels of the process's own names below it. */
static void random_path(struct run *r, char *out)
{
	unsigned owner = racy ? 0 : r->process, depth = below(r, 8) < 5 ? 1 : 1 + below(r, 3);
	char name[256];

	shared_dir(out, below(r, SHARED_DIRS));
	while (depth-- > 0) {
		name_of(name, owner, below(r, NAMES));
		strcat(out, "/");
		strcat(out, name);
	}
}

/* What names can explain when somebody else changes them, too. */
static bool explained(int e)
{
	static const int fine[] = { 0, ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, ELOOP, EPERM, ENXIO };
	size_t k;

	for (k = 0; k < sizeof(fine) / sizeof(fine[0]); k++) {
		if (e == fine[k])
			return true;
	}
	return false;
}

static void look(struct run *r, const char *path)
{
	char target[PATH_ROOM];
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) < 0)
		return;
	fold(r, st.st_mode);
	fold(r, st.st_nlink);
	if (!S_ISDIR(st.st_mode))
		fold(r, (uint64_t)st.st_size);
	if (!S_ISLNK(st.st_mode))
		return;
	n = readlink(path, target, sizeof(target));
	while (n > 0)
		fold(r, (uint64_t)target[--n]);
}

static int make_file(struct run *r, const char *path, int flags)
{
	char text[64];
	int fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW | flags, 0600 + below(r, 64));
	int n, e = 0;

	if (fd < 0)
		return errno;
	n = sprintf(text, "%u", below(r, 1000));
	if (below(r, 2) && write(fd, text, (size_t)n) != n)
		e = errno == EPIPE || errno == EAGAIN ? 0 : errno;
	(void)close(fd);
	return e;
}

static int list(struct run *r, const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	uint64_t sum = 0;

	if (!d)
		return errno;
	errno = 0;
	while ((e = readdir(d))) {
		const char *c;
		uint64_t h = 1;

		if (e->d_name[0] == '.')
			continue;
		for (c = e->d_name; *c; c++)
			h = (h ^ (uint64_t)*c) * 0x100000001b3ull;
		sum += h; /* in any order */
	}
	fold(r, sum);
	(void)closedir(d);
	return errno;
}

static const char *const op_names[] = { "create", "excl", "mkdir", "mkdir", "unlink", "unlink", "rmdir", "rename", "rename", "noreplace", "exchange", "exchange", "link",
	"symlink", "mkfifo", "stat", "list", "chmod", "truncate", "utime" };

static int operate(struct run *r, unsigned op, const char *a, const char *b)
{
	int x = 0;

	switch (op) {
	case 0:
		return make_file(r, a, 0);
	case 1:
		return make_file(r, a, O_EXCL);
	case 2:
	case 3:
		x = mkdir(a, 0755);
		break;
	case 4:
	case 5:
		x = unlink(a);
		break;
	case 6:
		x = rmdir(a);
		break;
	case 7:
	case 8:
		x = rename(a, b);
		break;
	case 9:
		x = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE);
		break;
	case 10:
	case 11:
		x = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
		break;
	case 12:
		x = link(a, b);
		break;
	case 13:
		x = symlink(a + below(r, 9), b);
		break;
	case 14:
		x = mkfifo(a, 0640);
		break;
	case 15:
		look(r, a);
		look(r, b);
		break;
	case 16:
		return list(r, a);
	case 17:
		x = chmod(a, 0700 + below(r, 64));
		break;
	case 18:
		x = truncate(a, (off_t)below(r, 5000));
		break;
	default:
		x = utimensat(AT_FDCWD, a, NULL, AT_SYMLINK_NOFOLLOW);
	}
	return x < 0 ? errno : 0;
}

static void step(struct run *r)
{
	unsigned op = below(r, sizeof(op_names) / sizeof(op_names[0]));
	char a[PATH_ROOM], b[PATH_ROOM];
	int e;

	random_path(r, a);
	random_path(r, b);
	e = operate(r, op, a, b);
	fold(r, (uint64_t)e);
	look(r, a);
	look(r, b);
	r->result->done++;
	r->result->good += e == 0;
	if (verbose == (int)r->process)
		(void)printf("%lu %s %s %s: %s %016llx\n", r->result->done, op_names[op], a, b, strerror(e), (unsigned long long)r->result->hash);
	if (racy && !explained(e)) {
		(void)printf("not ok - process %u, operation %lu: %s %s %s: %s\n", r->process, r->result->done, op_names[op], a, b, strerror(e));
		r->wrong = true;
	}
}

static void be_process(unsigned process)
{
	struct run r = { .process = process, .rng = (seed * 1000003ull + process) * 0x9e3779b97f4a7c15ull + 1, .result = &results[process] };
	unsigned long k;

	(void)signal(SIGPIPE, SIG_IGN);
	for (k = 0; k < operations && !r.wrong; k++) {
		if (k % 1024 == 0)
			(void)alarm(HANG_SECONDS);
		step(&r);
	}
	(void)fflush(stdout);
	_exit(r.wrong);
}

/* ---- afterwards */

static struct seen {
	ino_t ino;
	nlink_t links, found;
} seen[INODES_MAX];
static size_t seen_count;

static bool count_name(const struct stat *st)
{
	size_t k;

	for (k = 0; k < seen_count && seen[k].ino != st->st_ino; k++)
		;
	if (k == INODES_MAX)
		return false;
	if (k == seen_count)
		seen[seen_count++] = (struct seen){ .ino = st->st_ino, .links = st->st_nlink };
	seen[k].found++;
	return true;
}

/* Everything in dir, whose name below the top is path: is it there, and are the link counts true? */
static bool walk(int dirfd, const char *path)
{
	nlink_t subdirs = 0;
	struct stat st;
	struct dirent *e;
	bool ok = true;
	DIR *d = fdopendir(dirfd);

	if (!d || fstat(dirfd, &st) < 0)
		return false;
	while ((e = readdir(d))) {
		struct stat s;
		int fd;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd, e->d_name, &s, AT_SYMLINK_NOFOLLOW) < 0) {
			(void)printf("not ok - %s/%s is listed, but: %s\n", path, e->d_name, strerror(errno));
			ok = false;
			continue;
		}
		if (!S_ISDIR(s.st_mode)) {
			ok &= count_name(&s);
			continue;
		}
		subdirs++;
		fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY);
		ok &= fd >= 0 && walk(fd, e->d_name);
	}
	if (st.st_nlink != subdirs + 2) {
		(void)printf("not ok - %s has %lu links and %lu directories\n", path, (unsigned long)st.st_nlink, (unsigned long)subdirs);
		ok = false;
	}
	(void)closedir(d);
	return ok;
}

static bool check_tree(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);
	bool ok = fd >= 0 && walk(fd, ".");
	size_t k;

	for (k = 0; k < seen_count; k++) {
		if (seen[k].links == seen[k].found)
			continue;
		(void)printf("not ok - an inode with %lu links has %lu names\n", (unsigned long)seen[k].links, (unsigned long)seen[k].found);
		ok = false;
	}
	return ok;
}

static bool arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "p:n:s:rv:")) != -1) {
		if (c == 'p')
			processes = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'n')
			operations = strtoul(optarg, NULL, 10);
		else if (c == 's')
			seed = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			racy = true;
		else if (c == 'v')
			verbose = (int)strtol(optarg, NULL, 10);
		else
			return false;
	}
	return optind == argc - 1 && processes > 0 && processes <= PROCESSES_MAX && chdir(argv[optind]) == 0;
}

int main(int argc, char **argv)
{
	char name[300];
	unsigned k;
	int status, bad = 0;

	if (!arguments(argc, argv)) {
		(void)fprintf(stderr, "usage: namestress DIR [-p PROCESSES] [-n OPERATIONS-EACH] [-s SEED] [-r] [-v PROCESS]\n");
		return 2;
	}
	results = mmap(NULL, PROCESSES_MAX * sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		return 2;
	(void)umask(022);
	for (k = 0; k < SHARED_DIRS; k++) {
		shared_dir(name, k);
		if (mkdir(name, 0755) < 0 && errno != EEXIST)
			return 2;
	}
	for (k = 0; k < processes; k++) {
		pid_t pid = fork();

		if (pid < 0)
			return 2;
		if (pid == 0)
			be_process(k);
	}
	for (k = 0; k < processes; k++) {
		if (wait(&status) < 0 || status == 0)
			continue;
		bad = 1;
		if (WIFSIGNALED(status))
			(void)printf("not ok - a process ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
	}
	for (k = 0; k < processes && !racy; k++)
		(void)printf("process %u: %lu operations, %lu good, %016llx\n", k, results[k].done, results[k].good, (unsigned long long)results[k].hash);
	return check_tree() ? bad : 1;
}
