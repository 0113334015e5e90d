/* coffer-generator.c: a generator of systemd.generator(7): what units cannot know of a volume by its name alone, from volumes.d.
 *
 *   coffer@NAME.service.d/50-volume.conf          Slice=coffer-TENANT.slice (with tenant=); the source and the way to the mount point must be there
 *   coffer-backup@NAME.service.d/50-volume.conf   the same slice; the source and a file:// store must be there, and that may be written to
 *   coffer-prune@NAME.service.d/50-volume.conf    the same for what takes old snapshots away
 *   coffer-scrub@NAME.service.d/50-volume.conf    the same slice, and the source
 *   coffer-backup@NAME.timer.d/50-volume.conf     OnCalendar= (with schedule=)
 *
 * Runs at boot and at each daemon-reload, before there is anything: so it reads its directory, writes into the one it is given, and nothing else. A file with a
 * fault is told and passed over; its unit then says so, too. Values are quoted: nothing in volumes.d can become another line of a unit. */
#include "base/err.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/volume_conf.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOLUMES_DIR "/etc/coffer/volumes.d"
#define TEXT_MAX 16384
#define DROP_IN "50-volume.conf"

struct text {
	char buf[TEXT_MAX];
	size_t len;
	bool cut;
};

static void add(struct text *t, const char *s, size_t n)
{
	if (n >= sizeof(t->buf) - t->len) {
		t->cut = true;
		return;
	}
	memcpy(t->buf + t->len, s, n);
	t->len += n;
}

static void add_text(struct text *t, const char *s)
{
	add(t, s, strlen(s));
}

/* One word of a unit file, whatever is in s: systemd.syntax(7), "Quoting", and specifiers. */
static void add_quoted(struct text *t, const char *s)
{
	add_text(t, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			add_text(t, "\\");
		if (*s == '%')
			add_text(t, "%");
		add(t, s, 1);
	}
	add_text(t, "\"");
}

/* In the name of a unit a dash of ours is no step down. */
static void add_escaped(struct text *t, const char *s)
{
	for (; *s; s++)
		if (*s == '-')
			add_text(t, "\\x2d");
		else
			add(t, s, 1);
}

/* Can it stand behind the @ of a unit? */
static bool is_instance(const char *name)
{
	return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")] == '\0' && strlen(name) < 200;
}

static int put(const char *out, const char *unit, const char *name, const char *suffix, const struct text *t)
{
	char dir[PATH_MAX], path[PATH_MAX];
	AUTO_CLOSE int fd = -1;

	if (t->cut || snprintf(dir, sizeof(dir), "%s/%s%s%s.d", out, unit, name, suffix) >= (int)sizeof(dir) ||
	    snprintf(path, sizeof(path), "%.4000s/" DROP_IN, dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return fileio_write_full(fd, t->buf, t->len);
}

static void begin(struct text *t, const char *name)
{
	t->len = 0;
	t->cut = false;
	add_text(t, "# By coffer-generator, from " VOLUMES_DIR "/");
	add_text(t, name);
	add_text(t, ".conf\n");
}

static void add_slice(struct text *t, const struct volume_conf *c)
{
	if (!c->tenant)
		return;
	add_text(t, "Slice=coffer-");
	add_escaped(t, c->tenant);
	add_text(t, ".slice\n");
}

static int put_mount(const char *out, const char *name, const struct volume_conf *c, struct text *t)
{
	AUTO_FREE char *parent = c->mountpoint ? strdup(c->mountpoint) : NULL;

	begin(t, name);
	add_text(t, "[Unit]\nRequiresMountsFor=");
	add_quoted(t, c->source);
	if (parent) {
		for (size_t n = strlen(parent); n > 1 && parent[n - 1] == '/'; n--)
			parent[n - 1] = '\0';
		*(strrchr(parent, '/') + 1) = '\0';
		add_text(t, "\nRequiresMountsFor=");
		add_quoted(t, parent);
	}
	add_text(t, "\n[Service]\n");
	add_slice(t, c);
	return put(out, "coffer@", name, ".service", t);
}

/* The slice, and what must be there and may be written to, of a unit that uses the store. */
static void begin_store(struct text *t, const char *name, const struct volume_conf *c)
{
	const char *dir = c->store && strncmp(c->store, "file://", 7) == 0 ? c->store + 7 : NULL;

	begin(t, name);
	add_text(t, "[Unit]\nRequiresMountsFor=");
	add_quoted(t, c->source);
	if (dir) {
		add_text(t, "\nRequiresMountsFor=");
		add_quoted(t, dir);
	}
	add_text(t, "\n[Service]\n");
	add_slice(t, c);
	if (dir) { /* one that is not there is told by the program; systemd would say no more than "NAMESPACE" */
		add_text(t, "ReadWritePaths=-");
		add_quoted(t, dir);
		add_text(t, "\n");
	}
}

static int put_backup(const char *out, const char *name, const struct volume_conf *c, struct text *t)
{
	begin_store(t, name, c);
	return put(out, "coffer-backup@", name, ".service", t);
}

static int put_prune(const char *out, const char *name, const struct volume_conf *c, struct text *t)
{
	begin_store(t, name, c);
	return put(out, "coffer-prune@", name, ".service", t);
}

static int put_scrub(const char *out, const char *name, const struct volume_conf *c, struct text *t)
{
	begin(t, name);
	add_text(t, "[Unit]\nRequiresMountsFor=");
	add_quoted(t, c->source);
	add_text(t, "\n[Service]\n");
	add_slice(t, c);
	return put(out, "coffer-scrub@", name, ".service", t);
}

static int put_timer(const char *out, const char *name, const struct volume_conf *c, struct text *t)
{
	if (!c->schedule)
		return 0;
	begin(t, name);
	add_text(t, "[Timer]\nOnCalendar=\nOnCalendar=");
	add_text(t, c->schedule);
	add_text(t, "\n");
	return put(out, "coffer-backup@", name, ".timer", t);
}

static int one_file(const char *out, int dirfd, const char *file, struct text *t)
{
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };
	AUTO_FREE uint8_t *p = NULL;
	struct ini_error error = { 0 };
	char name[NAME_MAX + 1] = "";
	size_t len;
	int r;

	memcpy(name, file, strlen(file) - strlen(".conf"));
	if (!volume_conf_name_ok(name) || !is_instance(name)) {
		log_warning("%s/%s: its name cannot be a unit's; passed over", VOLUMES_DIR, file);
		return 0;
	}
	r = fileio_read_at(dirfd, file, INI_BYTES_MAX, &p, &len);
	if (r == 0)
		r = volume_conf_parse(p, len, &c, &error);
	if (r == -EUCLEAN)
		log_err("%s/%s:%u: %s", VOLUMES_DIR, file, error.line, error.text);
	else if (r < 0)
		log_err("%s/%s: %s", VOLUMES_DIR, file, err_text(r));
	if (r == 0)
		r = put_mount(out, name, &c, t);
	if (r == 0)
		r = put_backup(out, name, &c, t);
	if (r == 0)
		r = put_prune(out, name, &c, t);
	if (r == 0)
		r = put_scrub(out, name, &c, t);
	return r == 0 ? put_timer(out, name, &c, t) : r;
}

static bool is_conf(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".conf") == 0;
}

int main(int argc, char **argv)
{
	AUTO_FREE struct text *t = calloc(1, sizeof(*t));
	struct dirent *e;
	bool failed = false;
	DIR *d;
	int r;

	log_set_ident("coffer-generator");
	if (argc < 2 || !t) {
		log_err("usage: coffer-generator DIR [EARLY-DIR LATE-DIR]; systemd calls it");
		return 1;
	}
	if (!isatty(STDERR_FILENO))
		log_to_syslog(); /* our standard error is PID 1's */
	(void)umask(022);
	d = opendir(VOLUMES_DIR);
	if (!d)
		return 0; /* no volumes */
	for (e = readdir(d); e; e = readdir(d)) {
		if (!is_conf(e->d_name))
			continue;
		r = one_file(argv[1], dirfd(d), e->d_name, t);
		if (r < 0 && r != -EUCLEAN)
			log_err("%s/%s: no drop-ins: %s", VOLUMES_DIR, e->d_name, err_text(r));
		failed = failed || r < 0;
	}
	(void)closedir(d);
	return failed;
}
