/* names.c: a scenario of operations on names, in which one lower call fails (torture.h).
 *
 * What is promised (docs/internals.md, DESIGN section 5, L3 and L7): a name shows what it was or what it becomes, in the order of the operations; behind an
 * fsync of a file its name and content are durable, behind one of a directory all names in it; a rename over a file shows the old file or the whole new one;
 * what was fsynced and not removed is to be found under some name. Of an interrupted operation at most the link of a long name stays, which means nothing.
 *
 * Objects are known by their lower inode numbers, which simfs never uses twice. */
#include "tests/torture/names.h"

#include "fs/check.h"
#include "fs/dir.h"
#include "fs/file.h"
#include "fs/remove.h"
#include "fs/rename.h"
#include "fs/volume_impl.h"
#include "tests/config_fixture.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

#define NAMES_LOG_BLOCKS 640u
#define CONTENT_LEN 5000u
#define OBJECTS 16
#define SLOTS 24
#define SEEN 24
#define ROOT 0                   /* object 0 is the root directory */
#define NONE (-1)
#define STRAY (-2)

enum verb { V_CREATE, V_MKDIR, V_SYMLINK, V_WRITE, V_LINK, V_RENAME, V_EXCHANGE, V_UNLINK, V_RMDIR, V_FSYNC, V_FSYNCDIR };

struct step {
	enum verb verb;
	const char *path, *path2; /* "a", or "d/a" where d is a directory of the root */
};

static char long1[256], long2[256], in_d1[300], in_d2[300], in_e1[300];

static const struct step steps[] = {
	{ V_CREATE, "f1", NULL }, { V_WRITE, "f1", NULL }, { V_FSYNC, "f1", NULL },
	{ V_MKDIR, "d", NULL }, { V_FSYNCDIR, "", NULL },
	{ V_CREATE, in_d1, NULL }, { V_WRITE, in_d1, NULL }, { V_FSYNC, in_d1, NULL },
	{ V_SYMLINK, "s", NULL }, { V_LINK, "f1", "d/h" },
	{ V_CREATE, "f2", NULL }, { V_WRITE, "f2", NULL }, { V_RENAME, "f2", "f1" },
	{ V_CREATE, in_d2, NULL }, { V_WRITE, in_d2, NULL }, { V_FSYNC, in_d2, NULL }, { V_RENAME, in_d2, in_d1 },
	{ V_CREATE, "x", NULL }, { V_WRITE, "x", NULL }, { V_EXCHANGE, "x", in_d1 },
	{ V_FSYNCDIR, "", NULL }, { V_FSYNCDIR, "d", NULL },
	{ V_UNLINK, "s", NULL }, { V_MKDIR, "d2", NULL }, { V_CREATE, "d2/y", NULL }, { V_UNLINK, "d2/y", NULL }, { V_RMDIR, "d2", NULL },
	{ V_UNLINK, "d/h", NULL }, { V_RENAME, "d", "e" }, { V_WRITE, in_e1, NULL }, { V_FSYNC, in_e1, NULL }, { V_UNLINK, in_e1, NULL }, { V_FSYNCDIR, "e", NULL },
};
#define NSTEPS (sizeof(steps) / sizeof(steps[0]))

struct object {
	uint64_t ino;
	mode_t type;
	unsigned version;        /* of the content; 0: empty */
	unsigned acked;          /* content that is durable at least */
	bool kept;               /* durable under some name, and not removed since */
};

/* A name in a directory, and what it showed since it was last durable. */
struct slot {
	int dir;
	const char *name;
	int seen[SEEN];
	unsigned least[SEEN];    /* version that the object shows there at least */
	unsigned n, from;
	unsigned stray;          /* a creation here failed behind this one: what it made and removed may be seen in its place; 0: none */
};

struct names {
	struct simfs *fs;
	struct volume *v;
	struct object o[OBJECTS];
	unsigned objects;
	struct slot s[SLOTS];
	unsigned slots, events;
	bool failed;             /* some operation did */
};

static const uint8_t uuid[UUID_LEN] = { 0x70, 0x27 };
static uint8_t *config;
static size_t config_len;

/* ---- volumes */

static struct secret *root_key(void)
{
	uint8_t bytes[KEY_LEN] = { 9 };
	struct secret *s;

	if (secret_new_copy(bytes, sizeof(bytes), &s) < 0)
		abort();
	return s;
}

static void make_config(void)
{
	static struct volume_config c;
	struct secret *root = root_key();

	config_fixture_fill(&c, uuid);
	if (key_ring_create(root, c.uuid, c.key_ring, &c.key_ring_len) < 0 || volume_config_put(&c, root, &config, &config_len) < 0)
		abort();
	secret_free(root);
}

static void on_event(void *ctx, enum vio_event ev, const char *text)
{
	struct names *w = ctx;

	(void)text;
	w->events += ev == VIO_EVENT_INTEGRITY || ev == VIO_EVENT_QUARANTINE;
}

static int mount(struct names *w, struct lower *l)
{
	struct volume_options o = { .no_threads = true, .lock_wait_ms = 1, .unsafe_backing = true, .dirty_bytes = 4 << 20, .cache_bytes = 1 << 20 };
	struct volume_events e = { .ctx = w, .event = on_event };
	char holder[VOLUME_HOLDER_MAX];
	struct secret *root = root_key();

	return volume_open(l, simfs_open_root(w->fs), config, config_len, &root, &o, &e, holder, &w->v);
}

struct simfs *names_base(void)
{
	struct simfs_params sp = { .seed = 3, .mode = SIMFS_EXT4 };
	struct volume_options o = { .unsafe_backing = true, .dirty_bytes = 4 << 20 };
	struct simfs *fs = simfs_new(&sp);
	struct secret *root = root_key();
	int fd = simfs_open_root(fs);

	make_config();
	memset(long1, 'l', 255);
	memset(long2, 'm', 255);
	(void)snprintf(in_d1, sizeof(in_d1), "d/%s", long1);
	(void)snprintf(in_d2, sizeof(in_d2), "d/%s", long2);
	(void)snprintf(in_e1, sizeof(in_e1), "e/%s", long1);
	if (volume_create(simfs_lower(fs), fd, config, config_len, &root, NAMES_LOG_BLOCKS, &o) < 0)
		abort();
	simfs_close_all(fs);
	simfs_sync(fs);
	return fs;
}

/* ---- looking */

static void let_go(struct names *w, struct inode *i)
{
	if (i == w->v->root)
		return;
	inode_forget(w->v, i->id, 1);
	inode_put(w->v, i);
}

/* A file whose header cannot be read is found, too, so that it can be removed: -EIO here, with its attributes. */
static int find(struct names *w, struct inode *dir, const char *name, struct inode **ret_i, struct inode_attr *ret_a)
{
	struct dir_result d;
	int r = dir_lookup(w->v, dir, name, &d);

	if (r < 0)
		return r;
	*ret_a = d.attr;
	if (d.bad) {
		let_go(w, d.inode);
		return -EIO;
	}
	*ret_i = d.inode;
	return 0;
}

/* The directory of a path and the last name in it. */
static int parent_of(struct names *w, const char *path, struct inode **ret_dir, const char **ret_name)
{
	const char *slash = strchr(path, '/');
	struct inode_attr a;
	char dir[8];

	*ret_name = slash ? slash + 1 : path;
	*ret_dir = w->v->root;
	if (!slash)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return find(w, w->v->root, dir, ret_dir, &a);
}

static int object_of(const struct names *w, uint64_t ino)
{
	for (unsigned i = 0; i < w->objects; i++)
		if (w->o[i].ino == ino)
			return (int)i;
	return NONE;
}

static void content(int object, unsigned version, uint8_t *ret_p)
{
	for (unsigned i = 0; i < CONTENT_LEN; i++)
		ret_p[i] = (uint8_t)(1 + object * 31 + version * 7 + i % 11);
}

/* Which version a file shows; -errno, -EPROTO a mixture. */
static int version_of(struct names *w, struct inode *i, int object)
{
	static uint8_t have[4 * BLOCK_SIZE] __attribute__((aligned(BLOCK_SIZE)));
	uint8_t want[CONTENT_LEN];
	ssize_t n = file_read(w->v, i, have, 2 * BLOCK_SIZE, 0);

	if (n <= 0)
		return (int)n;
	for (unsigned v = 1; v <= w->o[object].version; v++) {
		content(object, v, want);
		if (n == CONTENT_LEN && memcmp(have, want, CONTENT_LEN) == 0)
			return (int)v;
	}
	return -EPROTO;
}

/* ---- the model */

static struct slot *slot_of(struct names *w, int dir, const char *name)
{
	for (unsigned i = 0; i < w->slots; i++)
		if (w->s[i].dir == dir && strcmp(w->s[i].name, name) == 0)
			return &w->s[i];
	assert(w->slots < SLOTS);
	w->s[w->slots] = (struct slot){ .dir = dir, .name = name, .seen = { NONE }, .n = 1 };
	return &w->s[w->slots++];
}

static int shown(const struct slot *s)
{
	return s->seen[s->n - 1];
}

static void shows(struct slot *s, int object, unsigned least)
{
	assert(s->n < SEEN);
	s->seen[s->n] = object;
	s->least[s->n++] = least;
}

static void durable(struct names *w, struct slot *s)
{
	s->from = s->n - 1;
	if (shown(s) != NONE)
		w->o[shown(s)].kept = true;
}

/* Removed, or about to be: whether it is found any more is open. */
static void may_go(struct names *w, int object)
{
	if (object != NONE)
		w->o[object].kept = false;
}

static int dir_of(struct names *w, const char *path)
{
	const char *slash = strchr(path, '/');
	char dir[8];

	if (!slash)
		return ROOT;
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	for (unsigned i = 0; i < w->slots; i++)
		if (w->s[i].dir == ROOT && strcmp(w->s[i].name, dir) == 0)
			return shown(&w->s[i]);
	return NONE;
}

static struct slot *slot_at(struct names *w, const char *path)
{
	const char *slash = strchr(path, '/');
	int dir = dir_of(w, path);

	return dir == NONE ? NULL : slot_of(w, dir, slash ? slash + 1 : path);
}

/* The test looks around: nothing fails meanwhile. */
static void pause_faults(bool paused)
{
	fault_pause(t.fault, paused);
	world_own += paused ? 1 : -1u;
}

/* What the name shows now, with nothing failing; an inode that is not known yet is the object being made. */
static int look(struct names *w, const char *path, mode_t making)
{
	struct inode *dir, *i = NULL;
	struct inode_attr a = { 0 };
	const char *name;
	int r, object = NONE;

	r = parent_of(w, path, &dir, &name);
	if (r < 0)
		return NONE;
	r = find(w, dir, name, &i, &a);
	if (a.ino) {
		object = object_of(w, a.ino);
		if (object == NONE && making) {
			assert(w->objects < OBJECTS);
			object = (int)w->objects++;
			w->o[object] = (struct object){ .ino = a.ino, .type = making };
		}
		if (r == 0)
			let_go(w, i);
	}
	let_go(w, dir);
	return object;
}

/* ---- steps */

static const struct dir_caller me = { 0, 0 };

static int do_made(struct names *w, const struct step *s, struct inode *dir, const char *name)
{
	struct dir_result d;
	int r;

	if (s->verb == V_CREATE)
		r = dir_create(w->v, dir, name, 0644, me, &d);
	else if (s->verb == V_MKDIR)
		r = dir_mkdir(w->v, dir, name, 0755, me, &d);
	else
		r = dir_symlink(w->v, dir, name, "where it leads", me, &d);
	if (r == 0)
		let_go(w, d.inode);
	return r;
}

static int do_file(struct names *w, const struct step *s, struct inode *dir, const char *name)
{
	uint8_t p[CONTENT_LEN];
	struct inode_attr a;
	struct inode *i;
	int r, object;
	ssize_t n;

	r = find(w, dir, name, &i, &a);
	if (r < 0)
		return r;
	object = object_of(w, a.ino);
	if (object == NONE) {
		r = -EUCLEAN;
	} else if (s->verb == V_FSYNC) {
		unsigned version = w->o[object].version;

		r = file_fsync(w->v, i, false);
		if (r == 0)
			w->o[object].acked = version;
	} else {
		content(object, w->o[object].version + 1, p);
		n = file_write(w->v, i, p, sizeof(p), 0, false);
		w->o[object].version += n == sizeof(p);
		r = n < 0 ? (int)n : 0;
	}
	let_go(w, i);
	return r;
}

static int do_two(struct names *w, const struct step *s, struct inode *dir, const char *name)
{
	struct inode *dir2, *i;
	struct inode_attr a;
	struct dir_result d;
	const char *name2;
	int r;

	r = parent_of(w, s->path2, &dir2, &name2);
	if (r < 0)
		return r;
	if (s->verb == V_LINK) {
		r = find(w, dir, name, &i, &a);
		if (r == 0) {
			r = dir_link(w->v, i, dir2, name2, &d);
			if (r == 0)
				let_go(w, d.inode);
			let_go(w, i);
		}
	} else {
		r = rename_entry(w->v, dir, name, dir2, name2, s->verb == V_EXCHANGE ? RENAME_EXCHANGE : 0);
	}
	let_go(w, dir2);
	return r;
}

static int do_step(struct names *w, const struct step *s)
{
	struct inode *dir, *i;
	struct inode_attr a;
	const char *name;
	int r;

	if (s->verb == V_FSYNCDIR) {
		if (!s->path[0])
			return file_fsyncdir(w->v, w->v->root);
		r = find(w, w->v->root, s->path, &i, &a);
		if (r < 0)
			return r;
		r = file_fsyncdir(w->v, i);
		let_go(w, i);
		return r;
	}
	r = parent_of(w, s->path, &dir, &name);
	if (r < 0)
		return r;
	if (s->verb == V_CREATE || s->verb == V_MKDIR || s->verb == V_SYMLINK)
		r = do_made(w, s, dir, name);
	else if (s->verb == V_WRITE || s->verb == V_FSYNC)
		r = do_file(w, s, dir, name);
	else if (s->verb == V_UNLINK)
		r = remove_file(w->v, dir, name);
	else if (s->verb == V_RMDIR)
		r = remove_dir(w->v, dir, name);
	else
		r = do_two(w, s, dir, name);
	let_go(w, dir);
	return r;
}

/* A name after a step, whatever the step said: while nothing fails. */
static void settle(struct names *w, const char *path, mode_t making, unsigned least)
{
	struct slot *s = slot_at(w, path);
	int object;

	if (!s)
		return;
	object = look(w, path, making);
	if (object != shown(s))
		shows(s, object, least);
}

/* What a step promises is known before, so that a cut inside it is judged with it. */
static void before(struct names *w, const struct step *s)
{
	struct slot *one, *two;

	if (s->verb == V_FSYNCDIR)
		return;
	one = slot_at(w, s->path);
	two = s->path2 ? slot_at(w, s->path2) : NULL;
	if (s->verb == V_UNLINK || s->verb == V_RMDIR)
		may_go(w, one ? shown(one) : NONE);
	if (s->verb == V_RENAME && two)
		may_go(w, shown(two));
}

static void after(struct names *w, const struct step *s, int r)
{
	static const mode_t types[] = { [V_CREATE] = S_IFREG, [V_MKDIR] = S_IFDIR, [V_SYMLINK] = S_IFLNK };
	struct slot *one = s->verb == V_FSYNCDIR ? NULL : slot_at(w, s->path);
	int object = one ? shown(one) : NONE;
	unsigned least = (s->verb == V_RENAME || s->verb == V_EXCHANGE) && object != NONE ? w->o[object].version : 0;

	if (s->verb == V_FSYNC && r == 0) {
		for (unsigned i = 0; i < w->slots; i++)
			if (object != NONE && shown(&w->s[i]) == object)
				durable(w, &w->s[i]);
		return;
	}
	if (s->verb == V_FSYNCDIR) {
		int dir = s->path[0] ? shown(slot_at(w, s->path)) : ROOT;

		for (unsigned i = 0; i < w->slots && r == 0; i++)
			if (w->s[i].dir == dir)
				durable(w, &w->s[i]);
		return;
	}
	if (s->verb == V_WRITE || s->verb == V_FSYNC)
		return;
	pause_faults(true);
	if (r < 0 && s->verb <= V_SYMLINK && one)
		one->stray = one->n;
	settle(w, s->path, s->verb <= V_SYMLINK ? types[s->verb] : 0, 0);
	if (s->path2) {
		struct slot *two = slot_at(w, s->path2);
		unsigned n = two ? two->n : 0;

		settle(w, s->path2, 0, 0);
		/* over an existing file: it was committed first */
		if (two && two->n > n && two->seen[n - 1] != NONE)
			two->least[n] = least;
	}
	pause_faults(false);
}

/* ---- what is left */

static void on_problem(void *ctx, const struct check_problem *p)
{
	const struct check_problem **first = ctx;
	static struct check_problem copy;

	if (p->harmless || *first)
		return;
	copy = *p;
	*first = &copy;
}

static bool check_fsck(struct names *w, const char *where)
{
	const struct check_problem *first = NULL;
	struct check_params p = { .ctx = &first, .problem = on_problem };
	struct check_counts c;
	int r = check_run(w->v, &p, &c);

	if (r < 0)
		return torture_wrong(where, "fsck cannot go on");
	return first ? torture_wrong(where, check_kind_text(first->kind)) : true;
}

static bool check_slot(struct names *w, const struct names *m, const struct slot *s, struct inode *dir, bool found[OBJECTS], const char *where)
{
	struct inode *i = NULL;
	struct inode_attr a;
	char text[120];
	int object = NONE, version = 0, r;
	bool ok = false;

	r = dir ? find(w, dir, s->name, &i, &a) : -ENOENT;
	if (r < 0 && r != -ENOENT) {
		(void)snprintf(text, sizeof(text), "%.8s: %s", s->name, err_text(r));
		return torture_wrong(where, text);
	}
	if (r == 0) {
		object = object_of(m, a.ino);
		if (object != NONE && S_ISREG(m->o[object].type))
			version = version_of(w, i, object);
	}
	if (r == 0 && object == NONE && s->stray > s->from) {
		ok = !S_ISREG(a.mode) || a.size == 0;
		object = ok ? STRAY : NONE;
	}
	for (unsigned k = s->from; k < s->n && !ok; k++)
		ok = s->seen[k] == object && version >= (int)s->least[k];
	if (object >= 0) {
		found[object] = true;
		ok = ok && version >= (int)m->o[object].acked;
	}
	(void)snprintf(text, sizeof(text), "%.8s shows object %d, version %d%s", s->name, object, version, r == 0 && object == NONE ? ", which nobody made" : "");
	if (i)
		let_go(w, i);
	return ok && !(r == 0 && object == NONE) ? true : torture_wrong(where, text);
}

/* m: the model; w: what was mounted. */
static bool check_names(struct names *w, const struct names *m, const char *where)
{
	bool found[OBJECTS] = { [ROOT] = true }, ok = true;
	struct inode *dir[OBJECTS] = { [ROOT] = w->v->root };
	struct inode_attr a;
	char text[60];

	memcpy(w->o, m->o, sizeof(w->o));
	w->objects = m->objects;
	for (unsigned k = 0; k < m->slots; k++) { /* directories first */
		struct inode *i;

		if (m->s[k].dir != ROOT || find(w, w->v->root, m->s[k].name, &i, &a) < 0)
			continue;
		if (S_ISDIR(a.mode) && object_of(m, a.ino) > ROOT && !dir[object_of(m, a.ino)])
			dir[object_of(m, a.ino)] = i;
		else
			let_go(w, i);
	}
	for (unsigned k = 0; k < m->slots && ok; k++)
		ok = check_slot(w, m, &m->s[k], dir[m->s[k].dir], found, where);
	for (unsigned o = 0; o < m->objects && ok; o++)
		if (m->o[o].kept && !found[o]) {
			(void)snprintf(text, sizeof(text), "object %u, which was durable, is gone", o);
			ok = torture_wrong(where, text);
		}
	for (unsigned o = 1; o < OBJECTS; o++)
		if (dir[o])
			let_go(w, dir[o]);
	return ok && (w->events == 0 || torture_wrong(where, "integrity events"));
}

/* And it can be used: one more file. */
static bool check_use(struct names *w, const char *where)
{
	const struct step more[] = { { V_CREATE, "more", NULL }, { V_WRITE, "more", NULL }, { V_FSYNC, "more", NULL }, { V_UNLINK, "more", NULL } };
	int r = 0;

	for (size_t k = 0; k < sizeof(more) / sizeof(more[0]) && r == 0; k++) {
		r = do_step(w, &more[k]);
		(void)look(w, "more", S_IFREG);
	}
	return r == 0 || torture_wrong(where, err_text(r));
}

static bool check_left(struct simfs *fs, const struct names *m, const char *where)
{
	struct names w = { .fs = fs };
	bool ok;
	int r;

	t.n.states++;
	r = mount(&w, simfs_lower(fs));
	if (r < 0) {
		simfs_free(fs);
		return torture_wrong(where, err_text(r));
	}
	ok = check_fsck(&w, where) && check_names(&w, m, where) && check_use(&w, where);
	r = volume_close(w.v);
	simfs_free(fs);
	return ok && (r == 0 || torture_wrong(where, err_text(r)));
}

static bool check_ends(const struct names *w)
{
	struct simfs *killed = simfs_clone(w->fs);

	simfs_close_all(killed);
	return check_left(killed, w, "names after SIGKILL") && check_left(simfs_cut(w->fs, &t.rng, SIMFS_OLD), w, "names after a cut") &&
	       check_left(simfs_cut(w->fs, &t.rng, SIMFS_RANDOM), w, "names after a cut");
}

static bool legal(const struct names *w, int r)
{
	return torture_is_legal(r) || (w->failed && (r == -ENOENT || r == -EEXIST || r == -ENOTEMPTY));
}

static bool run_steps(struct names *w)
{
	char text[40];
	bool ok = true;

	for (size_t i = 0; i < NSTEPS && ok; i++) {
		int r;

		before(w, &steps[i]);
		r = do_step(w, &steps[i]);
		if (r < 0 && !legal(w, r)) {
			(void)snprintf(text, sizeof(text), "step %zu", i + 1);
			return torture_wrong(text, err_text(r));
		}
		t.n.told += r < 0;
		w->failed |= r < 0;
		after(w, &steps[i], r);
		/* and the power fails on the way: behind another step in each run */
		pause_faults(true);
		ok = i != t.at * 7 % NSTEPS || (check_left(simfs_cut(w->fs, &t.rng, SIMFS_OLD), w, "names after a cut on the way") &&
						check_left(simfs_cut(w->fs, &t.rng, SIMFS_RANDOM), w, "names after a cut on the way"));
		pause_faults(false);
	}
	return ok;
}

bool names_run(void *arg, uint64_t n, bool *ret_happened)
{
	struct names *w = calloc(1, sizeof(*w));
	struct inode_attr a;
	bool ok;
	int r;

	assert(w);
	w->fs = simfs_clone(arg);
	if (mount(w, torture_wrap(simfs_lower(w->fs))) < 0 || dir_attr(w->v, w->v->root, &a) < 0)
		abort();
	w->o[w->objects++] = (struct object){ .ino = a.ino, .type = S_IFDIR };
	torture_arm(n);
	ok = run_steps(w);
	*ret_happened = torture_lift();
	t.n.read_only += vio_is_read_only(w->v->vio);
	ok = ok && check_ends(w);
	r = volume_close(w->v);
	if (ok && r < 0 && r != -EROFS && r != -EBUSY)
		ok = torture_wrong("leaving behind the fault", err_text(r));
	ok = ok && check_ends(w);
	simfs_free(w->fs);
	free(w);
	return ok;
}
