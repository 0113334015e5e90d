/* test_pick.c: which entries of a snapshot a plain path means, and a restore of these: whichever call fails, what is there afterwards is no volume or all of it, and the
 * next one goes on. Whole runs are tests/sh/77-restore-paths.sh. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backup/merkle.h"
#include "backup/restore.h"
#include "base/log.h"
#include "crypt/digest.h"
#include "format/layout.h"

/* ---- calls that fail */

static _Atomic long countdown = -1; /* calls until one fails; -1: none does */
static _Atomic bool failed;

static bool fails(void)
{
	long n = countdown;

	while (n >= 0 && !atomic_compare_exchange_weak(&countdown, &n, n - 1))
		;
	if (n != 0)
		return false;
	failed = true;
	errno = EIO;
	return true;
}

#define WRAP(type, name, bad, params, args)                                   \
	type __wrap_##name params;                                            \
	type __real_##name params;                                            \
	type __wrap_##name params                                             \
	{                                                                     \
		return fails() ? (bad) : __real_##name args;                  \
	}

WRAP(void *, malloc, NULL, (size_t n), (n))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, NULL, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, NULL, (void *p, size_t n, size_t size), (p, n, size))
WRAP(char *, strdup, NULL, (const char *s), (s))
WRAP(char *, strndup, NULL, (const char *s, size_t n), (s, n))
WRAP(ssize_t, pread, -1, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pwrite, -1, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, mkdirat, -1, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(int, linkat, -1, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
WRAP(int, symlinkat, -1, (const char *to, int dir, const char *path), (to, dir, path))
WRAP(int, mknodat, -1, (int dir, const char *path, mode_t mode, dev_t dev), (dir, path, mode, dev))
WRAP(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, unlinkat, -1, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchown, -1, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, ftruncate, -1, (int fd, off_t len), (fd, len))
WRAP(int, futimens, -1, (int fd, const struct timespec times[2]), (fd, times))

/* Nothing is to survive a power cut here. */
#define WRAP_SYNC(name)                                                       \
	int __wrap_##name(int fd);                                            \
	int __wrap_##name(int fd)                                             \
	{                                                                     \
		return fd < 0 || fails() ? -1 : 0;                            \
	}

WRAP_SYNC(fsync)
WRAP_SYNC(syncfs)

int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return fails() ? -1 : __real_openat(dir, path, flags, mode);
}

/* ---- a snapshot, record by record */

static struct {
	char dir[64];
	struct store *store;
	struct repo repo;
	struct manifest m;
	struct manifest_list list;
	struct record_buf records;
	struct merkle merkle;
	uint32_t n;
	struct key_ring *ring;
	uint8_t ids[8][DIR_ID_LEN];
} s;

static void add_record(const struct record_buf *b)
{
	assert_int_equal(record_list_add(&s.records, b->p, b->len), 0);
	assert_int_equal(merkle_add(&s.merkle, b->p, b->len), 0);
	s.n++;
}

static uint64_t add(const struct record_entry *e)
{
	AUTO_RECORD_BUF struct record_buf b = { 0 };

	assert_int_equal(record_put_entry(&b, e), 0);
	add_record(&b);
	return s.m.entries++;
}

static const char *name_of(unsigned id, const char *plain, bool link)
{
	static char entry[LOWER_NAME_LEN_MAX + 1], beside[LOWER_NAME_LEN_MAX + 1];
	char full[LOWER_NAME_FULL_MAX + 1];
	size_t len;

	assert_int_equal(namecrypt_encrypt(key_ring_names(s.ring), s.ids[id], plain, strlen(plain), full, &len), 0);
	assert_int_equal(namecrypt_entry(full, len, entry, beside), 0);
	return link ? beside : entry;
}

static struct record_entry entry(enum record_type type, uint64_t parent, const char *name)
{
	struct record_entry e = { .type = type, .parent = parent, .mode = type == RECORD_DIR ? 0750 : 0640, .uid = getuid(), .gid = getgid(), .mtime_s = 981173106 };

	memcpy(e.name, name, strlen(name) + 1);
	return e;
}

static uint64_t dir(uint64_t parent, const char *name)
{
	struct record_entry e = entry(RECORD_DIR, parent, name);

	return add(&e);
}

static uint64_t symlink_to(uint64_t parent, const char *name, const char *target)
{
	struct record_entry e = entry(RECORD_SYMLINK, parent, name);

	memcpy(e.target, target, strlen(target) + 1);
	return add(&e);
}

static uint64_t id_of(uint64_t parent, unsigned id)
{
	char target[DIR_LINK_TARGET_MAX];

	assert_int_equal(namecrypt_dir_link_put(s.ids[id], key_ring_names_epoch(s.ring), target), 0);
	return symlink_to(parent, DIR_LINK, target);
}

/* A file of one piece: this text. */
static uint64_t file(uint64_t parent, const char *name, unsigned flags, const char *text)
{
	struct record_piece piece = { .len = (uint32_t)strlen(text) };
	struct record_entry e = entry(RECORD_FILE, parent, name);
	AUTO_RECORD_BUF struct record_buf b = { 0 };
	uint64_t no;

	e.flags = flags;
	e.size = piece.len;
	e.number = piece.len > 0;
	no = add(&e);
	if (piece.len == 0)
		return no;
	assert_int_equal(digest_sha256(text, piece.len, piece.hash), 0);
	assert_int_equal(repo_put(&s.repo, REPO_SEGMENT, piece.hash, text, piece.len, NULL), 0);
	assert_int_equal(record_put_pieces(&b, &piece, 1), 0);
	add_record(&b);
	s.m.bytes += piece.len;
	return no;
}

static uint64_t other_name(uint64_t parent, const char *name, uint64_t of)
{
	struct record_entry e = entry(RECORD_LINK, parent, name);

	e.number = of;
	return add(&e);
}

static void begin(void)
{
	struct record_entry root = entry(RECORD_DIR, 0, "");

	record_buf_done(&s.records);
	s.m = (struct manifest){ .lists = &s.list, .nlists = 1 };
	memcpy(s.m.uuid, s.repo.uuid, UUID_LEN);
	s.merkle = (struct merkle){ 0 };
	s.n = 0;
	assert_int_equal(record_list_begin(&s.records), 0);
	(void)add(&root);
}

static void end(void)
{
	record_list_end(&s.records, s.n);
	s.list = (struct manifest_list){ .len = (uint32_t)s.records.len, .records = s.n };
	assert_int_equal(digest_sha256(s.records.p, s.records.len, s.list.hash), 0);
	assert_int_equal(repo_put(&s.repo, REPO_LIST, s.list.hash, s.records.p, s.records.len, NULL), 0);
	assert_int_equal(merkle_root(&s.merkle, s.m.root), 0);
}

#define LONG "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* The numbers of the entries, for the rows below:
 *  0 /  1 coffer.log  2 coffer.quarantine: 3 .tombstone  4 .entry  5 coffer.state  6 coffer.volume
 *  7 a: 8 id  9 f, with other names  10 g  11 sub: 12 id  13 h is f  14 i, with another name
 * 15 LONG: 16 id  17 f is f  18 j is i  19 LONG's link  20 l, a symbolic link  21 lost, without its id: 22 something  23 empty  24 z */
static void tree(void)
{
	uint64_t at, in, f, i;
	struct record_entry log;

	begin();
	log = entry(RECORD_FILE, 0, NAME_LOG);
	log.flags = RECORD_FLAG_SPACE;
	log.size = 8192;
	(void)add(&log);
	at = dir(0, NAME_QUARANTINE);
	(void)file(at, "0011.tombstone", 0, "");
	(void)file(at, "12.entry", 0, "much");
	(void)file(0, NAME_STATE, 0, "state");
	(void)file(0, NAME_VOLUME, 0, "volume");
	at = dir(0, name_of(0, "a", false));
	(void)id_of(at, 1);
	f = file(at, name_of(1, "f", false), RECORD_FLAG_LINKED, "content of f");
	(void)file(at, name_of(1, "g", false), 0, "content of g");
	in = dir(at, name_of(1, "sub", false));
	(void)id_of(in, 2);
	(void)other_name(in, name_of(2, "h", false), f);
	i = file(in, name_of(2, "i", false), RECORD_FLAG_LINKED, "content of i");
	at = dir(0, name_of(0, LONG, false));
	(void)id_of(at, 3);
	(void)other_name(at, name_of(3, "f", false), f);
	(void)other_name(at, name_of(3, "j", false), i);
	(void)symlink_to(0, name_of(0, LONG, true), "full-name");
	(void)symlink_to(0, name_of(0, "l", false), "target");
	at = dir(0, name_of(0, "lost", false));
	(void)file(at, name_of(4, "something", false), 0, "lost");
	(void)dir(0, name_of(0, "empty", false));
	(void)file(0, name_of(0, "z", false), 0, "content of z");
	end();
}

/* ---- picking */

static int pick_them(const char *const *paths, struct pick **ret_p)
{
	struct snapshot_spool spool = { .fd = -1 };
	struct store_error err = { 0 };
	int fd = open(s.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	assert_true(fd >= 0);
	snapshot_spool_init(&spool, fd, &s.m);
	r = pick_new(ret_p);
	for (size_t i = 0; paths[i] && r == 0; i++)
		r = pick_add(*ret_p, paths[i]);
	if (r == 0)
		r = pick_survey(*ret_p, &s.repo, &s.m, &spool, &err);
	if (r == 0)
		r = pick_resolve(*ret_p, key_ring_names(s.ring), key_ring_names_epoch(s.ring));
	if (r == 0)
		r = pick_find(*ret_p, &s.repo, &s.m, &spool, &err);
	snapshot_spool_done(&spool);
	(void)close(fd);
	return r;
}

#define PATHS_MAX 4

static void a_path_means_its_entry_and_what_that_needs(void **state)
{
	static const struct {
		const char *paths[PATHS_MAX];
		int r;
		const char *bad, *picked; /* A: all, c: its content */
	} rows[] = {
		/*                       0123456789012345678901234 */
		{ { "z" },         0, "", "AAAA.AA.................A" },
		{ { "/a//./g" },   0, "", "AAAA.AAAA.A.............." },
		{ { "a/f" },       0, "", "AAAA.AAAAA..............." },
		{ { "a/sub/h" },   0, "", "AAAA.AAAAc.AAA..........." },
		{ { "a/sub/i" },   0, "", "AAAA.AAAA..AA.A.........." },
		{ { "a/sub/" },    0, "", "AAAA.AAAAc.AAAA.........." },
		{ { "a" },         0, "", "AAAA.AAAAAAAAAA.........." },
		{ { LONG "/j" },   0, "", "AAAA.AA.......cAA.AA....." },
		{ { LONG },        0, "", "AAAA.AA..c....cAAAAA....." },
		{ { LONG, "a/f" }, 0, "", "AAAA.AAAAA....cAAAAA....." },
		{ { "a/sub/i", "a", "a/sub/." }, 0, "", "AAAA.AAAAAAAAAA.........." },
		{ { "l", "empty", "lost" }, 0, "", "AAAA.AA.............AAAA." },
		{ { "z", "none" }, -ENOENT, "none", "" },
		{ { "a/none/of/it" }, -ENOENT, "a/none/of/it", "" },
		{ { "empty/x", "none" }, -ENOENT, "empty/x", "" },
		{ { NAME_LOG },    -ENOENT, NAME_LOG, "" },
		{ { "a/g/x" },     -ENOTDIR, "a/g/x", "" },
		{ { "l/x" },       -ENOTDIR, "l/x", "" },
		{ { "z/" },        -ENOTDIR, "z/", "" },
		{ { "a/sub/h/." }, -ENOTDIR, "a/sub/h/.", "" },
		{ { "z", "lost/something" }, -EUCLEAN, "lost/something", "" },
		{ { "a/../z" },    -EINVAL, "", "" },
		{ { ".." },        -EINVAL, "", "" },
		{ { "//" },        -EISDIR, "", "" },
		{ { "" },          -EISDIR, "", "" },
		{ { LONG LONG LONG }, -ENAMETOOLONG, "", "" },
	};

	(void)state;
	tree();
	assert_int_equal(s.m.entries, 25);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *paths[PATHS_MAX + 1] = { 0 };
		AUTO_PICK struct pick *p = NULL;
		char got[26] = "";

		memcpy(paths, rows[i].paths, sizeof(rows[i].paths));
		assert_int_equal(pick_them(paths, &p), rows[i].r);
		assert_string_equal(pick_bad(p) ? pick_bad(p) : "", rows[i].bad);
		for (uint64_t no = 0; no < 25 && rows[i].r == 0; no++)
			got[no] = pick_what(p, no) == PICK_ALL ? 'A' : pick_what(p, no) == PICK_CONTENT ? 'c' : '.';
		assert_string_equal(got, rows[i].picked);
	}
}

/* As well as it can be known before: what restore will write. */
static void what_is_picked_is_counted(void **state)
{
	static const char *const paths[] = { LONG "/j", "a/g", NULL };
	AUTO_PICK struct pick *p = NULL;
	AUTO_FREE uint8_t *config = NULL;
	char id[PICK_ID_MAX], again[PICK_ID_MAX];
	struct store_error err = { 0 };
	size_t len;

	(void)state;
	tree();
	assert_int_equal(pick_them(paths, &p), 0);
	assert_int_equal(pick_bytes(p), strlen("statevolumecontent of icontent of g"));
	assert_int_equal(pick_entries(p), 14);
	assert_int_equal(pick_config(p, &s.repo, &config, &len, &err), 0);
	assert_int_equal(len, strlen("volume"));
	assert_memory_equal(config, "volume", len);
	assert_int_equal(pick_id(p, id), 0);
	assert_int_equal(pick_id(p, again), 0);
	assert_string_equal(id, again);
	pick_free(take_ptr(p));
	assert_int_equal(pick_them(paths + 1, &p), 0);
	assert_int_equal(pick_id(p, again), 0);
	assert_string_not_equal(id, again);
}

/* What was kept of the lists is held against their hashes, too. */
static void lists_that_rot_while_they_are_kept_are_fetched_again(void **state)
{
	struct snapshot_spool spool = { .fd = -1 };
	AUTO_PICK struct pick *p = NULL;
	struct store_error err = { 0 };
	AUTO_CLOSE int fd = open(s.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	tree();
	snapshot_spool_init(&spool, fd, &s.m);
	assert_int_equal(pick_new(&p), 0);
	assert_int_equal(pick_add(p, "a/g"), 0);
	assert_int_equal(pick_survey(p, &s.repo, &s.m, &spool, &err), 0);
	assert_int_equal(pick_resolve(p, key_ring_names(s.ring), key_ring_names_epoch(s.ring)), 0);
	if (spool.fd >= 0) { /* some filesystems have no file without a name */
		assert_int_equal(spool.end, 1 + s.list.len);
		assert_int_equal(pwrite(spool.fd, "\1\2\3\4", 4, 400), 4);
	}
	assert_int_equal(pick_find(p, &s.repo, &s.m, &spool, &err), 0);
	assert_int_equal(pick_what(p, 10), PICK_ALL);
	snapshot_spool_done(&spool);
}

static void paths_have_a_maximum(void **state)
{
	AUTO_PICK struct pick *p = NULL;

	(void)state;
	assert_int_equal(pick_new(&p), 0);
	for (unsigned i = 0; i < PICK_PATHS_MAX; i++)
		assert_int_equal(pick_add(p, "x"), 0);
	assert_int_equal(pick_add(p, "x"), -E2BIG);
}

/* ---- snapshots that lie */

static void ids_that_are_none_lead_nowhere(void **state)
{
	static const char *const paths[] = { "a/g", NULL };
	char bad[] = "00112233445566778899aabbccddeeff.7";

	(void)state;
	for (int row = 0; row < 4; row++) {
		AUTO_PICK struct pick *p = NULL;
		uint64_t at;

		begin();
		(void)file(0, NAME_VOLUME, 0, "volume");
		at = dir(0, name_of(0, "a", false));
		if (row == 0)
			(void)symlink_to(at, DIR_LINK, bad); /* of another epoch */
		else if (row == 1)
			(void)symlink_to(at, DIR_LINK, "whatever");
		else if (row == 2)
			(void)file(at, DIR_LINK, 0, "a file");
		else
			(void)id_of(at, 2); /* another directory's */
		(void)file(at, name_of(1, "g", false), 0, "content");
		end();
		assert_int_equal(pick_them(paths, &p), row == 3 ? -ENOENT : -EUCLEAN);
		assert_string_equal(pick_bad(p), "a/g");
	}
}

static void a_name_of_what_has_no_other_names_is_refused(void **state)
{
	static const char *const paths[] = { "a", NULL };

	(void)state;
	for (int row = 0; row < 2; row++) {
		AUTO_PICK struct pick *p = NULL;
		uint64_t to;

		begin();
		to = row ? dir(0, name_of(0, "d", false)) : file(0, name_of(0, "z", false), 0, "content");
		(void)other_name(0, name_of(0, "a", false), to);
		end();
		assert_int_equal(pick_them(paths, &p), -EUCLEAN);
		assert_null(pick_bad(p));
	}
}

static void a_snapshot_without_a_whole_config_is_refused(void **state)
{
	static const char *const paths[] = { "z", NULL };

	(void)state;
	for (int row = 0; row < 4; row++) {
		AUTO_PICK struct pick *p = NULL;
		AUTO_FREE uint8_t *config = NULL;
		struct store_error err = { 0 };
		char name[REPO_NAME_MAX];
		uint8_t hash[RECORD_HASH_LEN];
		size_t len;

		begin();
		if (row == 0)
			(void)symlink_to(0, NAME_VOLUME, "elsewhere");
		else if (row == 1)
			(void)file(dir(0, name_of(0, "d", false)), NAME_VOLUME, 0, "deeper");
		else
			(void)file(0, NAME_VOLUME, 0, "volume");
		(void)file(0, name_of(0, "z", false), 0, "content");
		end();
		assert_int_equal(digest_sha256("volume", 6, hash), 0);
		repo_object_name(&s.repo, REPO_SEGMENT, hash, name);
		if (row == 2)
			assert_int_equal(store_put(s.store, name, "vomule", 6, 0, NULL), 0);
		else if (row == 3)
			assert_int_equal(store_delete(s.store, name, NULL), 0);
		assert_int_equal(pick_them(paths, &p), 0);
		assert_int_equal(pick_config(p, &s.repo, &config, &len, &err), row == 2 ? -EBADMSG : row == 3 ? -ENOENT : -EUCLEAN);
		assert_true(err.message[0]);
	}
}

/* ---- restoring */

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list_into(int dirfd, const char *path, struct record_buf *out)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n;
	struct dirent **list;
	char line[600], text[256];

	assert_true(fd >= 0);
	n = scandirat(fd, ".", &list, NULL, compare_names);
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		struct stat st;
		ssize_t len = 0;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
			if (S_ISLNK(st.st_mode)) {
				len = readlinkat(fd, name, text, sizeof(text));
			} else if (S_ISREG(st.st_mode) && st.st_size < 256) {
				int f = openat(fd, name, O_RDONLY | O_CLOEXEC);

				len = read(f, text, sizeof(text));
				(void)close(f);
			}
			assert_true(len >= 0);
			(void)snprintf(line, sizeof(line), "%s/%s %o %u %lld %lld %.*s\n", path, name, st.st_mode, S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink,
				       S_ISDIR(st.st_mode) ? 0 : (long long)st.st_size, strncmp(name, "coffer.", 7) == 0 ? 0 : (long long)st.st_mtime, (int)len, text);
			assert_int_equal(record_buf_add(out, line, strlen(line)), 0);
			if (S_ISDIR(st.st_mode))
				list_into(fd, name, out);
		}
		free(list[i]);
	}
	free(list);
	(void)close(fd);
}

static void remove_all(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n;
	struct dirent **list;

	assert_true(fd >= 0);
	n = scandirat(fd, ".", &list, NULL, NULL);
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && unlinkat(fd, name, 0) < 0) {
			remove_all(fd, name);
			assert_int_equal(unlinkat(fd, name, AT_REMOVEDIR), 0);
		}
		free(list[i]);
	}
	free(list);
	(void)close(fd);
}

static int restore_into(int fd, const struct pick *p)
{
	struct restore_params params = { .repo = &s.repo, .m = &s.m, .snapshot = "20260102T030405Z-0123456789abcdef", .pick = p, .root_fd = fd, .suid = true, .threads = 1 };
	struct restore_counts counts;
	struct store_error err;
	int r;

	r = restore_prepare(fd, &s.repo, params.snapshot, p, &params.resume);
	return r < 0 ? r : restore_run(&params, &counts, &err);
}

static int into(char ret_path[static 96])
{
	int fd;

	(void)snprintf(ret_path, 96, "%s/into", s.dir);
	assert_true(mkdir(ret_path, 0700) == 0 || errno == EEXIST);
	fd = open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void a_part_is_restored_and_says_so(void **state)
{
	static const char *const paths[] = { LONG "/j", "a/sub/h", "l", NULL }, *const others[] = { "z", NULL };
	AUTO_RECORD_BUF struct record_buf list = { 0 };
	AUTO_PICK struct pick *p = NULL, *other = NULL;
	char path[96], of[REPO_SNAPSHOT_MAX];
	AUTO_CLOSE int fd = into(path);

	(void)state;
	tree();
	assert_int_equal(pick_them(paths, &p), 0);
	assert_int_equal(pick_them(others, &other), 0);
	assert_int_equal(restore_partial_of(fd, of), 0);
	assert_string_equal(of, "");
	assert_int_equal(restore_is_fit(fd), 0);
	assert_int_equal(restore_into(fd, p), 0);
	assert_int_equal(restore_partial_of(fd, of), 0);
	assert_string_equal(of, "20260102T030405Z-0123456789abcdef");
	assert_int_equal(restore_is_fit(fd), -ENOTEMPTY);
	assert_int_equal(restore_into(fd, other), -ENOTEMPTY);
	list_into(fd, ".", &list);
	assert_int_equal(record_buf_add(&list, "", 1), 0);
	assert_non_null(strstr((char *)list.p, " 100640 1 12 981173106 content of f\n")); /* under its other name, alone */
	assert_non_null(strstr((char *)list.p, " 100640 1 12 981173106 content of i\n"));
	assert_null(strstr((char *)list.p, "content of g"));
	assert_null(strstr((char *)list.p, "content of z"));
	assert_null(strstr((char *)list.p, RESTORE_MARKER));
	remove_all(fd, ".");
}

static void an_unfinished_restore_is_of_its_paths_alone(void **state)
{
	static const char *const paths[] = { "a", NULL }, *const others[] = { "a/sub", NULL };
	AUTO_PICK struct pick *p = NULL, *other = NULL;
	char path[96];
	AUTO_CLOSE int fd = into(path);
	bool resume;

	(void)state;
	tree();
	assert_int_equal(pick_them(paths, &p), 0);
	assert_int_equal(pick_them(others, &other), 0);
	assert_int_equal(restore_prepare(fd, &s.repo, "S", p, &resume), 0);
	assert_false(resume);
	assert_int_equal(restore_is_fit(fd), 0);
	assert_int_equal(restore_prepare(fd, &s.repo, "S", other, &resume), -ENOTEMPTY);
	assert_int_equal(restore_prepare(fd, &s.repo, "S", NULL, &resume), -ENOTEMPTY);
	assert_int_equal(restore_prepare(fd, &s.repo, "T", p, &resume), -ENOTEMPTY);
	assert_int_equal(restore_prepare(fd, &s.repo, "S", p, &resume), 0);
	assert_true(resume);
	remove_all(fd, ".");
}

static void a_mark_that_is_none_of_ours_still_marks(void **state)
{
	static const char *const marks[] = { "", "\n", "coffer-partial 1 ", "coffer-partial 2 00112233445566778899aabbccddeeff S\n", "coffer-partial 1 00112233445566778899aabbccddeeff S",
					     "coffer-partial 1 00112233445566778899aabbccddeeff \n", "coffer-partial 1 00112233445566778899aabbccddeeff \033[m\n",
					     "coffer-partial 1 00112233445566778899aabbccddeeff ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss\n" };
	char path[96], of[REPO_SNAPSHOT_MAX];
	AUTO_CLOSE int fd = into(path);

	(void)state;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		int f = openat(fd, RESTORE_PARTIAL, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(write(f, marks[i], strlen(marks[i])), strlen(marks[i]));
		(void)close(f);
		assert_int_equal(restore_partial_of(fd, of), 0);
		assert_string_equal(of, "?");
	}
	assert_int_equal(unlinkat(fd, RESTORE_PARTIAL, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", fd, RESTORE_PARTIAL), 0);
	assert_true(restore_partial_of(fd, of) < 0 || strcmp(of, "?") == 0);
	remove_all(fd, ".");
}

/* ---- each call fails once */

static void whichever_call_fails_nothing_else_is_picked(void **state)
{
	static const char *const paths[] = { LONG, "a/sub/i", "z", NULL };
	AUTO_PICK struct pick *good = NULL;
	char id[PICK_ID_MAX], again[PICK_ID_MAX];
	unsigned refused = 0;
	long n = 0;

	(void)state;
	tree();
	assert_int_equal(pick_them(paths, &good), 0);
	assert_int_equal(pick_id(good, id), 0);
	do {
		AUTO_PICK struct pick *p = NULL;
		int r;

		failed = false;
		countdown = n++;
		r = pick_them(paths, &p);
		countdown = -1;
		assert_true(r == 0 || failed);
		refused += r < 0;
		if (r < 0)
			continue; /* r == 0 though one failed: lists that could not be kept */
		assert_int_equal(pick_id(p, again), 0);
		assert_string_equal(id, again);
	} while (failed);
	assert_true(refused > 20);
}

static void whichever_call_fails_the_next_restore_goes_on(void **state)
{
	static const char *const paths[] = { LONG "/j", "a/sub", "l", "empty", NULL };
	AUTO_RECORD_BUF struct record_buf good = { 0 };
	AUTO_PICK struct pick *p = NULL;
	char path[96], why[256];
	AUTO_CLOSE int fd = into(path);
	unsigned refused = 0;
	long n = 0;
	bool was;

	(void)state;
	tree();
	assert_int_equal(pick_them(paths, &p), 0);
	assert_int_equal(restore_into(fd, p), 0);
	list_into(fd, ".", &good);
	do {
		AUTO_RECORD_BUF struct record_buf list = { 0 };
		int r;

		remove_all(fd, ".");
		failed = false;
		log_hold();
		countdown = n++;
		r = restore_into(fd, p);
		countdown = -1;
		(void)log_release(why, sizeof(why));
		was = failed;
		assert_true(r == 0 || was);
		refused += r < 0;
		if (r < 0 && (faccessat(fd, NAME_VOLUME, F_OK, 0) < 0 || faccessat(fd, RESTORE_MARKER, F_OK, 0) == 0))
			assert_int_equal(restore_into(fd, p), 0);
		list_into(fd, ".", &list);
		assert_int_equal(list.len, good.len);
		assert_memory_equal(list.p, good.p, good.len);
	} while (was);
	assert_true(refused > 60);
	remove_all(fd, ".");
}

/* ---- the fixture */

static int setup(void **state)
{
	static const uint8_t uuid[UUID_LEN] = { 7, 7 };
	AUTO_SECRET struct secret *root = NULL;
	uint8_t sealed[KEY_RING_LEN_MAX];
	AUTO_FREE char *path = NULL, *uri = NULL;
	size_t len;

	(void)state;
	memcpy(s.dir, "test-pick-XXXXXX", sizeof("test-pick-XXXXXX"));
	assert_non_null(mkdtemp(s.dir));
	path = realpath(s.dir, NULL);
	assert_true(path && asprintf(&uri, "file://%s", path) > 0);
	assert_int_equal(store_open(uri, NULL, &s.store, NULL), 0);
	repo_open(&s.repo, s.store, uuid);
	assert_int_equal(secret_new(KEY_LEN, &root), 0);
	assert_int_equal(secret_random(secret_bytes(root), KEY_LEN), 0);
	assert_int_equal(key_ring_create(root, uuid, sealed, &len), 0);
	assert_int_equal(key_ring_open(root, uuid, sealed, len, &s.ring), 0);
	for (uint8_t i = 1; i < 8; i++)
		memset(s.ids[i], i, DIR_ID_LEN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	record_buf_done(&s.records);
	key_ring_free(s.ring);
	store_close(s.store);
	remove_all(AT_FDCWD, s.dir);
	return rmdir(s.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_means_its_entry_and_what_that_needs),
		cmocka_unit_test(what_is_picked_is_counted),
		cmocka_unit_test(lists_that_rot_while_they_are_kept_are_fetched_again),
		cmocka_unit_test(paths_have_a_maximum),
		cmocka_unit_test(ids_that_are_none_lead_nowhere),
		cmocka_unit_test(a_name_of_what_has_no_other_names_is_refused),
		cmocka_unit_test(a_snapshot_without_a_whole_config_is_refused),
		cmocka_unit_test(a_part_is_restored_and_says_so),
		cmocka_unit_test(an_unfinished_restore_is_of_its_paths_alone),
		cmocka_unit_test(a_mark_that_is_none_of_ours_still_marks),
		cmocka_unit_test(whichever_call_fails_nothing_else_is_picked),
		cmocka_unit_test(whichever_call_fails_the_next_restore_goes_on),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
