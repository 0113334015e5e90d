/* cmd_inspect.c: inspect: what stands in the clear in a backing file, coffer.state, coffer.log or coffer.volume. By form alone: without the key nothing of it is
 * authentic, and nothing secret is in it. Wrapped keys are left out all the same. */
#include "tools/cmd.h"

#include "base/fileio.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "format/log_record.h"
#include "format/volume_config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HEX_MAX 65

struct inspect {
	const struct cmd_global *g;
	const char *path;
	int fd;
	uint64_t size;
	bool blocks;             /* each entry, too */
	uint64_t malformed;
	uint8_t *buf;            /* GROUP_LOWER */
};

/* One line: the object as JSON, or its members as "key value" in a row. Consumes o. */
static int emit(struct inspect *s, struct json *o)
{
	AUTO_JSON struct json *v = o;
	AUTO_FREE char *text = NULL;
	bool quoted = false;

	if (!v || json_dump(v, &text) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->path, "out of memory");
	if (s->g->json) {
		(void)puts(text);
		return 0;
	}
	for (const char *p = text; *p; p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted || !strchr("{}:,", *p))
			(void)putchar(*p);
		else if (*p == ':')
			(void)putchar('=');
		else if (*p == ',')
			(void)putchar(' ');
	}
	(void)putchar('\n');
	return 0;
}

/* ---- backing files */

static int put_seal(struct json *o, const char *stamp, const char *tag, const struct seal *seal)
{
	char text[HEX_MAX];
	int r;

	text_hex(seal->tag, TAG_LEN, text);
	r = json_put_int(o, stamp, (int64_t)seal->stamp);
	return r < 0 ? r : json_put_str(o, tag, text);
}

static int put_shape(struct json *o, const struct file_shape *shape)
{
	char text[32];
	struct json *gaps = json_new_array();
	int r;

	for (uint32_t i = 0; i < shape->gap_count; i++) {
		(void)snprintf(text, sizeof(text), "%u+%u", shape->gaps[i].first, shape->gaps[i].count);
		if (json_append_str(gaps, text) < 0)
			break;
	}
	r = json_put_int(o, "size", (int64_t)shape->size);
	if (r == 0)
		r = json_put_int(o, "alloc_groups", shape->alloc_groups);
	if (r < 0) {
		json_free(gaps);
		return r;
	}
	return json_put_json(o, "gaps", gaps);
}

static struct json *header_json(const struct group_header *h)
{
	struct json *o = json_new_object();
	char id[HEX_MAX];
	int r;

	text_hex(h->file_id, FILE_ID_LEN, id);
	r = json_put_int(o, "group", h->group);
	if (r == 0)
		r = json_put_bool(o, "damaged", h->flags & GROUP_FLAG_DAMAGED);
	if (r == 0)
		r = json_put_int(o, "epoch", h->epoch);
	if (r == 0)
		r = json_put_str(o, "file_id", id);
	if (r == 0 && h->group == 0)
		r = put_shape(o, &h->shape);
	if (r == 0)
		r = put_seal(o, "entries_stamp", "entries_tag", &h->entries);
	if (r == 0)
		r = put_seal(o, "header_stamp", "header_tag", &h->header);
	if (r < 0) {
		json_free(o);
		return NULL;
	}
	return o;
}

static int emit_block(struct inspect *s, uint64_t block, const struct entry *e, const char *sum)
{
	struct json *o = json_new_object();
	char tag[HEX_MAX];
	int r;

	text_hex(e->tag, TAG_LEN, tag);
	r = json_put_int(o, "block", (int64_t)block);
	if (r == 0)
		r = json_put_int(o, "stamp", (int64_t)e->stamp);
	if (r == 0)
		r = json_put_str(o, "tag", tag);
	if (r == 0)
		r = json_put_int(o, "sum", e->sum);
	if (r == 0)
		r = json_put_str(o, "content", sum);
	if (r < 0) {
		json_free(o);
		o = NULL;
	}
	return emit(s, o);
}

struct tally {
	uint64_t data, holes, bad, missing, malformed;
};

static int entries(struct inspect *s, uint32_t group, size_t len, struct tally *t)
{
	for (unsigned k = 0; k < GROUP_BLOCKS; k++) {
		size_t at = (k + 1) * (size_t)BLOCK_SIZE;
		const char *what = "fits";
		struct entry e;
		int r;

		if (group_entry_parse(s->buf + HEADER_LEN + (size_t)k * ENTRY_LEN, &e) < 0) {
			t->malformed++;
			continue;
		}
		if (group_entry_is_hole(&e)) {
			t->holes++;
			continue;
		}
		t->data++;
		if (at + BLOCK_SIZE > len) {
			t->missing++;
			what = "missing";
		} else if (hash_sum32(s->buf + at, BLOCK_SIZE) != e.sum) {
			t->bad++;
			what = "differs";
		}
		r = s->blocks ? emit_block(s, (uint64_t)group * GROUP_BLOCKS + k, &e, what) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

static int malformed(struct inspect *s, const char *what, uint64_t number, int why)
{
	struct json *o = json_new_object();

	s->malformed++;
	if (json_put_int(o, what, (int64_t)number) < 0 || json_put_str(o, "malformed", err_text(why)) < 0) {
		json_free(o);
		o = NULL;
	}
	return emit(s, o);
}

static int emit_group(struct inspect *s, const struct group_header *h, const struct tally *t)
{
	struct json *o = header_json(h);

	if (json_put_int(o, "blocks", (int64_t)t->data) < 0 || json_put_int(o, "holes", (int64_t)t->holes) < 0 ||
	    json_put_int(o, "sums_differ", (int64_t)t->bad) < 0 || json_put_int(o, "missing", (int64_t)t->missing) < 0 ||
	    json_put_int(o, "malformed_entries", (int64_t)t->malformed) < 0) {
		json_free(o);
		o = NULL;
	}
	return emit(s, o);
}

static int one_group(struct inspect *s, uint32_t no)
{
	struct group_header h;
	struct tally t = { 0 };
	ssize_t n;
	int r;

	n = pread(s->fd, s->buf, GROUP_LOWER, (off_t)layout_group_off(no));
	if (n < 0)
		return cmd_fail(cmd_exit_of(-errno), s->path, "group %u: %s", no, err_text(-errno));
	memset(s->buf + n, 0, GROUP_LOWER - (size_t)n);
	if (layout_is_zero(s->buf, BLOCK_SIZE)) /* a gap, or a file without a header */
		return no == 0 ? malformed(s, "group", 0, -ENODATA) : 0;
	r = group_header_parse(s->buf, &h);
	if (r == 0 && h.group != no)
		r = -EUCLEAN;
	if (r < 0)
		return malformed(s, "group", no, r);
	r = entries(s, no, (size_t)n, &t);
	return r ? r : emit_group(s, &h, &t);
}

static int backing_file(struct inspect *s)
{
	uint64_t groups = (s->size + GROUP_LOWER - 1) / GROUP_LOWER;
	int r = 0;

	if (s->size == 0 && !s->g->json && !s->g->quiet)
		(void)puts("an empty file");
	for (uint64_t no = 0; no < groups && no < GROUPS_MAX && r == 0; no++) {
		off_t data = lseek(s->fd, (off_t)layout_group_off((uint32_t)no), SEEK_DATA);

		if (data < 0 && errno == ENXIO)
			break;
		if (data > 0 && (uint64_t)data / GROUP_LOWER > no)
			no = (uint64_t)data / GROUP_LOWER; /* holes below: gaps, mostly */
		r = one_group(s, (uint32_t)no);
	}
	return r;
}

/* ---- coffer.state */

static struct json *state_json(unsigned slot, const struct volume_state *v)
{
	struct json *o = json_new_object();
	char generation[HEX_MAX], fsid[HEX_MAX];
	int r;

	text_hex(v->generation, GENERATION_LEN, generation);
	(void)snprintf(fsid, sizeof(fsid), "%016llx", (unsigned long long)v->fsid);
	r = json_put_int(o, "slot", slot);
	if (r == 0)
		r = json_put_int(o, "serial", (int64_t)v->serial);
	if (r == 0)
		r = json_put_int(o, "stamp_limit", (int64_t)v->stamp_limit);
	if (r == 0)
		r = json_put_str(o, "generation", generation);
	if (r == 0)
		r = json_put_int(o, "log_blocks", (int64_t)v->log_blocks);
	if (r == 0)
		r = json_put_int(o, "tail", (int64_t)v->tail);
	if (r == 0)
		r = json_put_int(o, "tail_sequence", (int64_t)v->tail_sequence);
	if (r == 0)
		r = json_put_int(o, "durable", (int64_t)v->durable);
	if (r == 0)
		r = json_put_bool(o, "clean", v->flags & STATE_FLAG_CLEAN);
	if (r == 0)
		r = json_put_int(o, "root_handle_len", v->root_handle.len);
	if (r == 0)
		r = json_put_str(o, "fsid", fsid);
	if (r < 0) {
		json_free(o);
		return NULL;
	}
	return o;
}

static int state_file(struct inspect *s)
{
	struct volume_state v;
	int r = 0, why;

	for (unsigned slot = 0; slot < STATE_SLOTS && r == 0; slot++) {
		memset(s->buf, 0, STATE_SLOT_LEN);
		if (pread(s->fd, s->buf, STATE_SLOT_LEN, (off_t)slot * STATE_SLOT_LEN) < 0)
			return cmd_fail(cmd_exit_of(-errno), s->path, "slot %u: %s", slot, err_text(-errno));
		why = volume_state_parse(s->buf, &v);
		r = why < 0 ? malformed(s, "slot", slot, why) : emit(s, state_json(slot, &v));
	}
	return r;
}

/* ---- coffer.log */

static int desc_json(struct inspect *s, uint64_t index, const struct log_desc *d)
{
	AUTO_FREE struct log_file *f = malloc(sizeof(*f));
	AUTO_FREE struct log_group *g = malloc(sizeof(*g));
	struct json *o = json_new_object();
	struct log_cursor c = { 0 };
	uint64_t files = 0, groups = 0;
	char generation[HEX_MAX];
	int kind = LOG_KIND_END;

	while (f && g && (kind = log_desc_next(d, &c, f, g)) > LOG_KIND_END) {
		files += kind == LOG_KIND_FILE;
		groups += kind == LOG_KIND_GROUP;
	}
	s->malformed += kind < 0;
	text_hex(d->generation, GENERATION_LEN, generation);
	if (!f || !g || json_put_int(o, "index", (int64_t)index) < 0 || json_put_str(o, "generation", generation) < 0 ||
	    json_put_int(o, "sequence", (int64_t)d->sequence) < 0 || json_put_int(o, "part", d->part) < 0 || json_put_bool(o, "last", d->last) < 0 ||
	    json_put_int(o, "durable", (int64_t)d->durable) < 0 || json_put_int(o, "stamp", (int64_t)d->stamp) < 0 ||
	    json_put_int(o, "files", (int64_t)files) < 0 || json_put_int(o, "groups", (int64_t)groups) < 0 ||
	    json_put_int(o, "data_blocks", d->data_blocks) < 0 || json_put_bool(o, "malformed_records", kind < 0) < 0) {
		json_free(o);
		o = NULL;
	}
	return emit(s, o);
}

static int log_file(struct inspect *s)
{
	AUTO_FREE struct log_desc *d = malloc(sizeof(*d));
	uint64_t at, i;
	ssize_t n;
	int r = 0;

	if (!d)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->path, "out of memory");
	for (at = 0; at < s->size / BLOCK_SIZE && r == 0; at += GROUP_BLOCKS) {
		n = pread(s->fd, s->buf, GROUP_BLOCKS * BLOCK_SIZE, (off_t)(at * BLOCK_SIZE));
		if (n < 0)
			return cmd_fail(cmd_exit_of(-errno), s->path, "block %llu: %s", (unsigned long long)at, err_text(-errno));
		for (i = 0; i < (uint64_t)n / BLOCK_SIZE && r == 0; i++)
			if (log_desc_parse(s->buf + i * BLOCK_SIZE, d) == 0)
				r = desc_json(s, at + i, d);
	}
	return r;
}

/* ---- which it is */

static int volume_file(struct inspect *s, const char *path)
{
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_FREE uint8_t *p = NULL;
	struct json *o;
	char what[128], uuid[33];
	size_t len;
	int r;

	r = c ? fileio_read_at(AT_FDCWD, path, VOLUME_CONFIG_MAX, &p, &len) : -ENOMEM;
	if (r == 0)
		r = volume_config_parse(p, len, c, what);
	if (r < 0)
		return cmd_fail(r == -EUCLEAN ? EXIT_CODE_NOT_A_VOLUME : cmd_exit_of(r), path, "not understood: %s", err_text(r));
	volume_config_uuid_text(c->uuid, uuid);
	o = json_new_object();
	if (json_put_str(o, "uuid", uuid) < 0 || json_put_str(o, "tenant", c->tenant) < 0 || json_put_str(o, "created", c->created) < 0 ||
	    json_put_int(o, "config_version", (int64_t)c->config_version) < 0 || json_put_int(o, "epoch", c->epoch) < 0 ||
	    json_put_int(o, "slots", (int64_t)c->slot_count) < 0 || json_put_int(o, "key_ring_bytes", (int64_t)c->key_ring_len) < 0) {
		json_free(o);
		o = NULL;
	}
	r = emit(s, o);
	for (size_t i = 0; i < c->slot_count && r == 0; i++) {
		o = json_new_object();
		if (json_put_int(o, "key_slot", (int64_t)i) < 0 || json_put_str(o, "kms", c->slots[i].kms) < 0 ||
		    json_put_str(o, "key_version", c->slots[i].key_version) < 0 || json_put_str(o, "created", c->slots[i].created) < 0 ||
		    json_put_bool(o, "active", c->slots[i].active) < 0) {
			json_free(o);
			o = NULL;
		}
		r = emit(s, o);
	}
	return r;
}

static int inspect(struct inspect *s)
{
	const char *base = strrchr(s->path, '/');
	uint8_t magic[14] = { 0 };
	struct stat st;
	int r;

	base = base ? base + 1 : s->path;
	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return cmd_fail(EXIT_CODE_USAGE, s->path, "not a regular file");
	s->size = (uint64_t)st.st_size;
	if (pread(s->fd, magic, sizeof(magic), 0) < 0)
		return cmd_fail(cmd_exit_of(-errno), s->path, "cannot be read: %s", err_text(-errno));
	if (posix_memalign((void **)&s->buf, BLOCK_SIZE, GROUP_LOWER) != 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->path, "out of memory");
	if (memcmp(magic, "coffer-volume ", sizeof(magic)) == 0)
		r = volume_file(s, s->path);
	else if (memcmp(magic, "CFRS", 4) == 0 || strcmp(base, NAME_STATE) == 0)
		r = state_file(s);
	else if (memcmp(magic, "CFRL", 4) == 0 || strcmp(base, NAME_LOG) == 0)
		r = log_file(s);
	else
		r = backing_file(s);
	free(s->buf);
	return r ? r : s->malformed ? EXIT_CODE_DAMAGE : 0;
}

int cmd_inspect(const struct cmd_global *g, int argc, char **argv)
{
	struct inspect s = { .g = g, .fd = -1 };
	int r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--blocks") == 0)
			s.blocks = true;
		else if (argv[i][0] == '-' || s.path)
			return cmd_usage("inspect", "%s: not understood", argv[i]);
		else
			s.path = argv[i];
	}
	if (!s.path)
		return cmd_usage("inspect", "needs one FILE");
	s.fd = open(s.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (s.fd < 0)
		return cmd_fail(cmd_exit_of(-errno), s.path, "cannot be opened: %s", err_text(-errno));
	r = inspect(&s);
	(void)close(s.fd);
	return r;
}
