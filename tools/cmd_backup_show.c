/* cmd_backup_show.c: backup list and show: what a store has, without any key. What a store says is shown as what it is, somebody's word: with the key that
 * signed it, or as not signed. */
#include "tools/cmd_backup.h"
#include "tools/progress.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define SIGNER_MAX 128

/* ---- list */

static int list_line(const struct cmd_global *g, const struct repo *r, const char *name, const struct manifest *m)
{
	AUTO_JSON struct json *o = NULL;
	AUTO_FREE char *text = NULL;
	char bytes[PROGRESS_SIZE_MAX], signer[SIGNER_MAX];
	bool forged = cmd_backup_signer(m, sizeof(signer), signer) < 0;

	if (!g->json) {
		progress_size(m->bytes, bytes);
		(void)printf("%s %s  %s  %llu entries  %s  %s, %s%s\n", r->uuid_text, name, m->time, (unsigned long long)m->entries, bytes,
			     forged ? "SIGNATURE DOES NOT FIT" : signer, cmd_backup_tagged(m), m->problems ? "  with damage" : "");
		return forged ? EXIT_CODE_DAMAGE : 0;
	}
	o = json_new_object();
	if (json_put_str(o, "uuid", r->uuid_text) < 0 || json_put_str(o, "snapshot", name) < 0 || json_put_str(o, "time", m->time) < 0 ||
	    json_put_int(o, "serial", (int64_t)m->serial) < 0 || json_put_int(o, "entries", (int64_t)m->entries) < 0 ||
	    json_put_int(o, "bytes", (int64_t)m->bytes) < 0 || json_put_int(o, "problems", (int64_t)m->problems) < 0 ||
	    json_put_str(o, "signature", forged ? "does not fit" : signer) < 0 || json_put_bool(o, "tagged", m->has_tag) < 0 || json_dump(o, &text) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, name, "out of memory");
	(void)puts(text);
	return forged ? EXIT_CODE_DAMAGE : 0;
}

static int list_volume(const struct cmd_global *g, const struct repo *r)
{
	AUTO_FREE struct repo_snapshot *list = NULL;
	uint8_t hash[RECORD_HASH_LEN];
	struct store_error err = { 0 };
	int e, bad = 0;
	size_t n;

	e = repo_snapshots(r, &list, &n, &err);
	if (e < 0)
		return cmd_backup_fail(r->uuid_text, e, &err);
	for (size_t i = 0; i < n; i++) {
		AUTO_MANIFEST struct manifest m = { 0 };

		e = repo_manifest(r, list[i].name, &m, hash, &err);
		e = e < 0 ? cmd_backup_fail(list[i].name, e, &err) : list_line(g, r, list[i].name, &m);
		bad = e ? e : bad;
	}
	return bad;
}

int cmd_backup_list(const struct cmd_global *g, int argc, char **argv)
{
	AUTO(store_close_p) struct store *store = NULL;
	AUTO_FREE uint8_t (*uuids)[UUID_LEN] = NULL;
	struct store_error err = { 0 };
	struct cmd_backup_args a;
	const char *uri = NULL;
	struct repo repo;
	size_t n = 0;
	int r, e;

	r = cmd_backup_args(&a, "backup", CMD_BACKUP_VOLUME, argc, argv);
	if (r == 0 && a.n != 1)
		r = cmd_usage("backup", "list needs STORE or NAME");
	if (r == 0)
		r = cmd_backup_named(g, &a, a.arg[0], &uri);
	if (r == 0)
		r = cmd_backup_store(g, &a, uri, &store);
	e = r == 0 ? repo_volumes(store, &uuids, &n, &err) : 0;
	if (e < 0)
		r = cmd_backup_fail(uri, e, &err);
	for (size_t i = 0; i < n; i++) {
		repo_open(&repo, store, uuids[i]);
		if (a.volume && strncmp(repo.uuid_text, a.volume, strlen(a.volume)) != 0)
			continue;
		e = list_volume(g, &repo);
		r = e ? e : r;
	}
	cmd_backup_args_done(&a);
	return r;
}

/* ---- show */

static int show_json(const struct cmd_backup_snapshot *s, const char *signer)
{
	AUTO_JSON struct json *o = json_new_object();
	const struct manifest *m = &s->manifest;
	AUTO_FREE char *text = NULL;
	char previous[2 * RECORD_HASH_LEN + 1] = "", root[2 * RECORD_HASH_LEN + 1];

	if (m->has_previous)
		text_hex(m->previous, RECORD_HASH_LEN, previous);
	text_hex(m->root, RECORD_HASH_LEN, root);
	if (json_put_str(o, "uuid", s->repo.uuid_text) < 0 || json_put_str(o, "snapshot", s->name) < 0 || json_put_str(o, "time", m->time) < 0 ||
	    json_put_int(o, "serial", (int64_t)m->serial) < 0 || json_put_str(o, "previous", previous) < 0 || json_put_str(o, "way", m->way) < 0 ||
	    json_put_bool(o, "clean", m->clean) < 0 || json_put_int(o, "frozen_ms", (int64_t)m->frozen_ms) < 0 ||
	    json_put_int(o, "rounds", (int64_t)m->rounds) < 0 || json_put_int(o, "entries", (int64_t)m->entries) < 0 ||
	    json_put_int(o, "bytes", (int64_t)m->bytes) < 0 || json_put_int(o, "problems", (int64_t)m->problems) < 0 || json_put_str(o, "root", root) < 0 ||
	    json_put_str(o, "signature", signer) < 0 || json_put_bool(o, "tagged", m->has_tag) < 0 || json_dump(o, &text) < 0)
		return cmd_fail(EXIT_CODE_NO_RESOURCE, s->name, "out of memory");
	(void)puts(text);
	return 0;
}

static int show(const struct cmd_global *g, const struct cmd_backup_snapshot *s)
{
	const struct manifest *m = &s->manifest;
	char signer[SIGNER_MAX] = "does not fit", bytes[PROGRESS_SIZE_MAX];
	bool forged = cmd_backup_signer(m, sizeof(signer), signer) < 0;
	int r = 0;

	progress_size(m->bytes, bytes);
	if (g->json)
		r = show_json(s, signer);
	else
		(void)printf("volume     %s\nsnapshot   %s\ntime       %s\nserial     %llu\nway        %s, %s%s\nrounds     %llu, mount held still for %llu ms\n"
			     "entries    %llu\nbytes      %s\ndamage     %llu\nsignature  %s\ntag        %s\n", s->repo.uuid_text, s->name, m->time,
			     (unsigned long long)m->serial, m->way, m->clean ? "log empty" : "with its log", "", (unsigned long long)m->rounds,
			     (unsigned long long)m->frozen_ms, (unsigned long long)m->entries, bytes, (unsigned long long)m->problems, signer, cmd_backup_tagged(m));
	return r ? r : forged ? EXIT_CODE_DAMAGE : 0;
}

int cmd_backup_show(const struct cmd_global *g, int argc, char **argv)
{
	struct cmd_backup_snapshot s = { 0 };
	struct cmd_backup_args a;
	int r;

	r = cmd_backup_args(&a, "backup", CMD_BACKUP_VOLUME, argc, argv);
	if (r == 0 && (a.n < 1 || a.n > 2))
		r = cmd_usage("backup", "show needs STORE or NAME [SNAPSHOT]");
	if (r == 0)
		r = cmd_backup_open(g, &a, a.arg[0], a.n == 2 ? a.arg[1] : "latest", &s);
	if (r == 0)
		r = show(g, &s);
	cmd_backup_close(&s);
	cmd_backup_args_done(&a);
	return r;
}
