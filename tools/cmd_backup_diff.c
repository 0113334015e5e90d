/* cmd_backup_diff.c: backup diff: which backing entries two snapshots do not have in common. Names are ciphertext; coffer path has the clear ones. */
#include "tools/cmd_backup.h"

#include "base/json.h"
#include "crypt/digest.h"
#include "format/layout.h"

#include <stdio.h>
#include <string.h>

/* One entry: where it is, and a chained hash of all that its records say but the numbers of other entries. */
struct row {
	char *path;
	uint8_t what[DIGEST_SHA256_LEN];
};

struct table {
	struct row *rows;
	size_t n, max;
	size_t dirs[RECORD_DEPTH_MAX + 1]; /* rows of the open directories */
};

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->rows[i].path);
	free(t->rows);
	free(t);
}
DEFINE_AUTO(struct table, table_free)

static int mix(struct row *row, struct record_buf *b)
{
	int r;

	r = record_buf_add(b, row->what, sizeof(row->what));
	return r < 0 ? r : digest_sha256(b->p, b->len, row->what);
}

static int on_entry(void *ctx, uint64_t no, unsigned depth, const struct record_entry *e)
{
	AUTO_RECORD_BUF struct record_buf b = { 0 };
	struct record_entry same = *e;
	struct table *t = ctx;
	struct row *row;

	if (t->n == t->max) {
		size_t max = t->max ? t->max * 2 : 1024;
		void *more = reallocarray(t->rows, max, sizeof(*t->rows));

		if (!more)
			return -ENOMEM;
		t->rows = more;
		t->max = max;
	}
	row = &t->rows[t->n];
	*row = (struct row){ 0 };
	if (asprintf(&row->path, "%s%s%s", no > 0 && depth > 0 ? t->rows[t->dirs[depth]].path : "", no > 0 && depth > 0 ? "/" : "", no > 0 ? e->name : ".") < 0)
		return -ENOMEM;
	if (e->type == RECORD_DIR)
		t->dirs[no > 0 ? depth + 1 : 0] = t->n;
	t->n++;
	same.parent = 0;
	if (e->type == RECORD_LINK)
		same.number = 0;
	return record_put_entry(&b, &same) < 0 ? -ENOMEM : mix(row, &b);
}

/* Content is what is in the pieces, wherever they lie. */
static int on_pieces(void *ctx, const struct record_piece *pieces, size_t n)
{
	struct table *t = ctx;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		AUTO_RECORD_BUF struct record_buf b = { 0 };
		uint8_t at[8];

		layout_put64(at, pieces[i].off);
		r = record_buf_add(&b, at, sizeof(at));
		if (r == 0)
			r = record_buf_add(&b, pieces[i].hash, RECORD_HASH_LEN);
		if (r == 0)
			r = mix(&t->rows[t->n - 1], &b);
	}
	return r;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->path, ((const struct row *)b)->path);
}

static int load(const struct cmd_backup_snapshot *s, struct table **ret_t)
{
	AUTO(table_free_p) struct table *t = calloc(1, sizeof(*t));
	struct snapshot_walk w = { .ctx = t, .entry = on_entry, .pieces = on_pieces };
	struct store_error err = { 0 };
	int r;

	r = t ? snapshot_walk(&s->repo, &s->manifest, &w, &err) : -ENOMEM;
	if (r < 0)
		return cmd_backup_fail(s->name, r, &err);
	qsort(t->rows, t->n, sizeof(*t->rows), by_path);
	*ret_t = take_ptr(t);
	return 0;
}

static void tell(const struct cmd_global *g, char what, const char *path)
{
	/* A path is of the characters that record.h allows. */
	(void)printf(g->json ? "{\"change\":\"%c\",\"backing_path\":\"%s\"}\n" : "%c %s\n", what, path);
}

static void compare(const struct cmd_global *g, const struct table *a, const struct table *b)
{
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) {
		int c = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->rows[i].path, b->rows[k].path);

		if (c < 0)
			tell(g, '-', a->rows[i++].path);
		else if (c > 0)
			tell(g, '+', b->rows[k++].path);
		else if (memcmp(a->rows[i++].what, b->rows[k++].what, DIGEST_SHA256_LEN) != 0)
			tell(g, 'M', b->rows[k - 1].path);
	}
}

int cmd_backup_diff(const struct cmd_global *g, int argc, char **argv)
{
	AUTO(table_free_p) struct table *from = NULL, *to = NULL;
	struct cmd_backup_snapshot s = { 0 }, t = { 0 };
	struct cmd_backup_args a;
	int r;

	r = cmd_backup_args(&a, "backup", CMD_BACKUP_VOLUME, argc, argv);
	if (r == 0 && (a.n < 2 || a.n > 3))
		r = cmd_usage("backup", "diff needs STORE or NAME, SNAPSHOT [SNAPSHOT]");
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], a.arg[1], &s);
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], a.n == 3 ? a.arg[2] : "latest", &t);
	if (r == 0)
		r = load(&s, &from);
	if (r == 0)
		r = load(&t, &to);
	if (r == 0)
		compare(g, from, to);
	cmd_backup_close(&s);
	cmd_backup_close(&t);
	cmd_backup_args_done(&a);
	return r;
}
