/* cmd_backup_drill.c: backup drill: can this backup be used? Proved by using it.
 *
 *	restore into scratch -> trust that as long as this lasts -> fsck -> mount -> a command of the user -> unmount -> tell the agent
 *
 * What is written to scratch is ciphertext, as everywhere. fsck and mount are this program, started again, so that what is drilled is what is used. The pin of scratch
 * goes with the connection that is kept meanwhile (docs/protocol.md, trust), the directory whatever happens short of SIGKILL. */
#include "tools/cmd_backup.h"
#include "tools/cmd_spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"

#define SCRATCH_PARENT "/var/tmp"
#define SIGNER_MAX 128

struct drilling {
	const struct cmd_global *g;
	const char *check;             /* a command, or NULL */
	const char *parent;            /* --scratch */
	char *scratch, *volume, *mnt;  /* a directory of ours, and in it */
	bool mounted;
	struct client *c;              /* its pin */
	struct restore_counts counts;
	char signer[SIGNER_MAX];
	struct cmd_backup_key key;     /* by which its tag is */
	double seconds;
};

/* ---- scratch */

static int make_scratch(struct drilling *d)
{
	AUTO_FREE char *parent = realpath(d->parent, NULL);

	if (!parent || asprintf(&d->scratch, "%s/coffer-drill-XXXXXX", parent) < 0)
		return cmd_fail(cmd_exit_of(-errno), d->parent, "no scratch directory: %s", err_text(-errno));
	if (!mkdtemp(d->scratch)) {
		free(take_ptr(d->scratch));
		return cmd_fail(cmd_exit_of(-errno), d->parent, "no scratch directory: %s", err_text(-errno));
	}
	if (asprintf(&d->volume, "%s/volume", d->scratch) < 0 || asprintf(&d->mnt, "%s/mnt", d->scratch) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, d->parent, "out of memory");
	return mkdir(d->mnt, 0700) < 0 ? cmd_fail(cmd_exit_of(-errno), d->mnt, "cannot be made: %s", err_text(-errno)) : 0;
}

/* A directory that a restore made may have no rights for its owner. */
static int open_dir_of_ours(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0700, 0) == 0)
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Never into what is mounted there. */
static int remove_tree(int dirfd, const char *name, dev_t dev)
{
	int fd = open_dir_of_ours(dirfd, name), r = 0;
	struct dirent *e;
	struct stat st;
	DIR *dir;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || st.st_dev != dev || fchmod(fd, 0700) < 0) {
		(void)close(fd);
		return -EBUSY;
	}
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || unlinkat(fd, e->d_name, 0) == 0)
			continue;
		r = errno == EISDIR || errno == EPERM ? remove_tree(fd, e->d_name, dev) : -errno;
	}
	(void)closedir(dir);
	return r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : r;
}

/* The first failure counts. */
static int put_back(struct drilling *d, int r)
{
	struct stat st;
	int e;

	if (d->mounted) {
		e = cmd_spawn_self(d->g, "umount", d->mnt, NULL);
		r = r ? r : e;
		if (e != 0)
			(void)!cmd_unmount(d->mnt, d->mnt, d->volume, MNT_DETACH);
	}
	client_free(take_ptr(d->c));
	e = d->scratch ? stat(d->scratch, &st) < 0 ? -errno : remove_tree(AT_FDCWD, d->scratch, st.st_dev) : 0;
	if (e < 0)
		e = cmd_fail(EXIT_CODE_OTHER, d->scratch, "is left behind: %s", err_text(e));
	free(d->scratch);
	free(d->volume);
	free(d->mnt);
	return r ? r : e;
}

/* ---- the drill */

/* The agent has opened what the snapshot says of its keys, so it is looked at whether the snapshot is theirs. One without a tag is told; one with another's is no backup. */
static int authentic(struct drilling *d, const struct cmd_volume *v, const struct cmd_backup_snapshot *s)
{
	bool ok;
	int r;

	if (!s->manifest.has_tag)
		return 0;
	r = cmd_backup_authentic_with(d->c, d->volume, v, s, &d->key, &ok);
	return r ? r : ok ? 0 : cmd_backup_not_authentic(s, &d->key);
}

static int trust(struct drilling *d, const struct cmd_backup_snapshot *s)
{
	AUTO_CMD_VOLUME struct cmd_volume v = CMD_VOLUME_INIT;
	int r = cmd_volume_open(d->volume, &v);

	if (r != 0)
		return r;
	d->c = client_new(d->g->agent);
	if (!d->c)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, d->volume, "out of memory");
	if (client_connect(d->c) < 0)
		return cmd_agent_fail(d->c, "agent");
	return client_trust_scratch(d->c, v.config, v.config_len, &v.instance) < 0 ? cmd_agent_fail(d->c, d->volume) : authentic(d, &v, s);
}

static int check(struct drilling *d)
{
	int r = cmd_spawn_shell(d->check, d->mnt, cmd_backup_stopped);

	if (r == -EINTR)
		return cmd_fail(EXIT_CODE_INTERRUPTED, "--check", "interrupted");
	if (r < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, "--check", "cannot be started: %s", err_text(r));
	return r ? cmd_fail(EXIT_CODE_DAMAGE, "--check", "the command ended with %d", r) : 0;
}

static int not_stopped(void)
{
	return cmd_backup_stopped() ? cmd_fail(EXIT_CODE_INTERRUPTED, "drill", "interrupted") : 0;
}

static int drill(struct drilling *d, const struct cmd_backup_args *a, const struct cmd_backup_snapshot *s)
{
	int r;

	r = make_scratch(d);
	if (r == 0)
		r = cmd_restore_snapshot(d->g, a, s, d->volume, &d->counts, &d->key);
	if (r == 0)
		r = trust(d, s);
	if (r == 0)
		r = cmd_spawn_self(d->g, "fsck", d->volume, NULL);
	if (r == 0)
		r = not_stopped();
	if (r == 0) {
		r = cmd_spawn_self(d->g, "mount", d->volume, d->mnt);
		d->mounted = r == 0;
	}
	if (r == 0)
		r = not_stopped();
	return r == 0 && d->check ? check(d) : r;
}

static int report(const struct drilling *d, const struct cmd_backup_snapshot *s)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;

	if (!d->g->json && !d->g->quiet)
		(void)printf("%s: restored, %llu entries; fsck found nothing; mounted%s; %.1f s; %s, %s\n", s->name, (unsigned long long)d->counts.files,
			     d->check ? ", and the check passed" : "", d->seconds, d->signer, s->manifest.has_tag ? "authentic: tagged with the key that opens it" : cmd_backup_tagged(&s->manifest));
	if (!d->g->json)
		return 0;
	o = json_new_object();
	if (json_put_str(o, "snapshot", s->name) < 0 || json_put_str(o, "uuid", s->repo.uuid_text) < 0 ||
	    json_put_int(o, "files", (int64_t)d->counts.files) < 0 || json_put_int(o, "bytes", (int64_t)d->counts.bytes) < 0 ||
	    json_put_bool(o, "checked", d->check) < 0 || json_put_int(o, "ms", (int64_t)(d->seconds * 1000)) < 0 ||
	    json_put_str(o, "signature", d->signer) < 0 || json_put_str(o, "tag", s->manifest.has_tag ? "fits" : "none") < 0 || json_dump(o, &text) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->name, "out of memory");
	(void)puts(text);
	return 0;
}

/* What is this command's alone out of argv; the rest is for cmd_backup_args. */
static int arguments(struct drilling *d, int *argc, char **argv)
{
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		const char **to = strcmp(argv[i], "--check") == 0 ? &d->check : strcmp(argv[i], "--scratch") == 0 ? &d->parent : NULL;

		if (!to)
			argv[n++] = argv[i];
		else if (++i == *argc)
			return cmd_usage("backup", "%s: needs a value", argv[i - 1]);
		else
			*to = argv[i];
	}
	argv[n] = NULL;
	*argc = n;
	return 0;
}

int cmd_backup_drill(const struct cmd_global *g, int argc, char **argv)
{
	struct drilling d = { .g = g, .parent = SCRATCH_PARENT };
	struct cmd_backup_snapshot s = { 0 };
	struct cmd_backup_args a = { 0 };
	uint64_t start = clock_boot_ms();
	char detail[REPO_SNAPSHOT_MAX + 16];
	int r;

	r = arguments(&d, &argc, argv);
	if (r == 0)
		r = cmd_backup_args(&a, "backup", CMD_BACKUP_VOLUME | CMD_BACKUP_SIGNER, argc, argv);
	if (r == 0 && (a.n < 1 || a.n > 2))
		r = cmd_usage("backup", "drill needs STORE or NAME [SNAPSHOT]");
	if (r == 0)
		r = cmd_descriptors(a.arg[0]);
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], a.n == 2 ? a.arg[1] : "latest", &s);
	if (r == 0)
		r = cmd_backup_trusted(&a, &s, sizeof(d.signer), d.signer);
	cmd_backup_signals();
	if (r == 0)
		r = put_back(&d, drill(&d, &a, &s));
	d.seconds = (double)(clock_boot_ms() - start) / 1000;
	if (r == 0) {
		(void)snprintf(detail, sizeof(detail), "drill %s", s.name);
		cmd_done_uuid(g, s.name, s.repo.uuid, PROTO_DONE_VERIFY, detail);
		r = report(&d, &s);
	}
	cmd_backup_close(&s);
	cmd_backup_args_done(&a);
	return r;
}
