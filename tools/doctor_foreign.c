/* doctor_foreign.c: what in a volume's directory is not of the volume: files that somebody, or a database that was started on the wrong path, has put there in plain. By name and
 * form alone, without the key: an encrypted name is b64url of 16 bytes and a multiple of 32, a file is empty or begins with a header, a directory has its link. */
#include "tools/doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "crypt/namecrypt.h"
#include "format/group.h"

#define ENTRIES_MAX 200000u      /* then it is enough: fsck looks at all */
#define DEPTH_MAX 64u
#define TOLD_MAX 5u
#define PATH_LEN_MAX 4096u
#define SIV_LEN 16
#define PAD 32

struct looking {
	struct doctor *d;
	uint64_t entries, foreign;
	dev_t dev;
	char path[PATH_LEN_MAX];
};

static void tell(struct looking *k, const char *what)
{
	if (k->foreign++ < TOLD_MAX)
		doctor_row(k->d, "foreign", DOCTOR_FAIL,
			   "if it is data: it is NOT encrypted. Copy it into the mount, then shred it here; fsck --repair takes the rest away",
			   "%s: %s", k->path, what);
}

static bool name_has_form(const char *name)
{
	uint8_t raw[LOWER_NAME_LEN_MAX];
	size_t len = strlen(name);
	ssize_t n;

	if (strncmp(name, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) == 0)
		return len == sizeof(LONG_PREFIX) - 1 + NAME_HASH_LEN;
	n = namecrypt_b64url_decode(name, len, raw, sizeof(raw));
	return n >= SIV_LEN + PAD && (n - SIV_LEN) % PAD == 0;
}

static void look_file(struct looking *k, int dirfd, const char *name, const struct stat *st)
{
	AUTO_CLOSE int fd = -1;
	uint8_t p[HEADER_LEN];
	struct group_header h;
	static const uint8_t zeros[HEADER_LEN];

	if (st->st_size == 0)
		return;
	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return; /* cannot be looked at, or gone meanwhile */
	if (pread(fd, p, sizeof(p), 0) != (ssize_t)sizeof(p) || (memcmp(p, zeros, sizeof(p)) != 0 && group_header_parse(p, &h) == -EUCLEAN))
		tell(k, "a file without a header of ours");
}

static void look_dir(struct looking *k, int fd, size_t len, unsigned depth);

static void look_entry(struct looking *k, int dirfd, const char *name, size_t len, unsigned depth)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != k->dev)
		return;
	if (!name_has_form(name))
		tell(k, S_ISDIR(st.st_mode) ? "a directory whose name is not encrypted" : "a file whose name is not encrypted");
	else if (S_ISREG(st.st_mode))
		look_file(k, dirfd, name, &st);
	else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			look_dir(k, fd, len, depth + 1);
	}
}

/* Consumes fd. */
static void look_dir(struct looking *k, int fd, size_t len, unsigned depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	bool has_link = false, has_any = false;

	if (!dir) {
		(void)close(fd);
		return;
	}
	while ((e = readdir(dir)) && k->entries < ENTRIES_MAX) {
		int n;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || (depth == 0 && strcmp(e->d_name, "lost+found") == 0))
			continue;
		has_link = has_link || strcmp(e->d_name, DIR_LINK) == 0;
		if (strncmp(e->d_name, "coffer.", 7) == 0 && strncmp(e->d_name, LONG_PREFIX, sizeof(LONG_PREFIX) - 1) != 0)
			continue;
		has_any = true;
		k->entries++;
		n = snprintf(k->path + len, sizeof(k->path) - len, "/%s", e->d_name);
		if (n > 0 && (size_t)n < sizeof(k->path) - len)
			look_entry(k, dirfd(dir), e->d_name, len + (size_t)n, depth);
		k->path[len] = '\0';
	}
	(void)closedir(dir);
	if (has_any && !has_link && depth > 0)
		tell(k, "a directory without coffer.dir");
}

void doctor_foreign(struct doctor *d, const struct doctor_target *t, int root_fd)
{
	struct looking k = { .d = d };
	struct stat st;
	size_t len = strlen(t->source);
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || len >= sizeof(k.path)) {
		if (fd >= 0)
			(void)close(fd);
		doctor_row(d, "foreign", DOCTOR_WARN, "run it as root", "%s cannot be looked at", t->source);
		return;
	}
	k.dev = st.st_dev;
	memcpy(k.path, t->source, len + 1);
	look_dir(&k, fd, len, 0);
	if (k.foreign > TOLD_MAX)
		doctor_row(d, "foreign", DOCTOR_FAIL, NULL, "and %llu more", (unsigned long long)(k.foreign - TOLD_MAX));
	if (k.foreign == 0)
		doctor_row(d, "foreign", DOCTOR_OK, NULL, "nothing in the volume's directory but what is encrypted (%llu entries looked at%s)",
			   (unsigned long long)k.entries, k.entries == ENTRIES_MAX ? ", not all" : "");
}
