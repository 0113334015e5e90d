/* metrics_text.c: Prometheus's text format, version 0.0.4. A name is told once with all its samples, so each is a pass over the mounts. What is not known (a mount that has
 * not answered, as many seconds as a lease would have) has no sample rather than a wrong one. */
#include "agent/metrics.h"

#include <stdio.h>
#include <string.h>

/* ---- one line */

static void family(FILE *f, const char *name, const char *type, const char *help)
{
	(void)fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value, escaped; control characters, which no name should have, become '?'. */
static void value(FILE *f, const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c == '\\' || *c == '"')
			(void)fputc('\\', f);
		(void)fputc((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c, f);
	}
}

static void label(FILE *f, const char *name, const char *text)
{
	(void)fprintf(f, "%s=\"", name);
	value(f, text);
	(void)fputc('"', f);
}

/* NAME{volume="V",MORE="TEXT"} */
static void series(FILE *f, const char *name, const char *volume, const char *more, const char *text)
{
	(void)fprintf(f, "%s{", name);
	if (volume)
		label(f, "volume", volume);
	if (volume && more)
		(void)fputc(',', f);
	if (more)
		label(f, more, text);
	(void)fputs("} ", f);
}

static void seconds(FILE *f, uint64_t ns)
{
	(void)fprintf(f, "%llu.%09llu\n", (unsigned long long)(ns / 1000000000u), (unsigned long long)(ns % 1000000000u));
}

/* One histogram; key and text are its labels. */
static void histogram(FILE *f, const char *name, const char *volume, const char *more, const char *text, const struct meter_sum *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < METER_BUCKETS; i++) {
		n += s->count[i];
		(void)fprintf(f, "%s_bucket{", name);
		if (volume) {
			label(f, "volume", volume);
			(void)fputc(',', f);
		}
		if (more) {
			label(f, more, text);
			(void)fputc(',', f);
		}
		if (i < METER_BOUNDS)
			(void)fprintf(f, "le=\"%g\"} %llu\n", meter_bound_us[i] / 1e6, (unsigned long long)n);
		else
			(void)fprintf(f, "le=\"+Inf\"} %llu\n", (unsigned long long)n);
	}
	(void)fprintf(f, "%s_sum", name);
	series(f, "", volume, more, text);
	seconds(f, s->sum_ns);
	(void)fprintf(f, "%s_count", name);
	series(f, "", volume, more, text);
	(void)fprintf(f, "%llu\n", (unsigned long long)n);
}

/* ---- mounts */

static void mounts_number(FILE *f, const struct metrics_view *v, const char *name, const char *type, const char *help,
			  uint64_t (*get)(const struct metrics_mount *m), bool (*has)(const struct metrics_mount *m))
{
	family(f, name, type, help);
	for (size_t i = 0; i < v->nmounts; i++) {
		if (!has(&v->mounts[i]))
			continue;
		series(f, name, v->mounts[i].volume, NULL, NULL);
		(void)fprintf(f, "%llu\n", (unsigned long long)get(&v->mounts[i]));
	}
}

static bool has_any(const struct metrics_mount *m)
{
	(void)m;
	return true;
}

static bool has_stats(const struct metrics_mount *m)
{
	return m->has_stats;
}

static bool has_detail(const struct metrics_mount *m)
{
	return m->has_stats && m->stats->has_detail;
}

#define GET(name, expression)                                   \
	static uint64_t name(const struct metrics_mount *m)     \
	{                                                       \
		return expression;                              \
	}
GET(get_ready, m->ready)
GET(get_read, m->stats->read_bytes)
GET(get_write, m->stats->write_bytes)
GET(get_log_size, m->stats->log_size_bytes)
GET(get_log_used, m->stats->log_used_bytes)
GET(get_dirty, m->stats->dirty_bytes)
GET(get_replayed, m->stats->replayed_transactions)
GET(get_commits, m->stats->detail.commits)
GET(get_reserve, m->stats->detail.reserve_whole)
#undef GET

/* There is no rekey in this version. */
static uint64_t get_rekey(const struct metrics_mount *m)
{
	(void)m;
	return 0;
}

static void infos(FILE *f, const struct metrics_view *v)
{
	family(f, "coffer_build_info", "gauge", "Version of the agent.");
	series(f, "coffer_build_info", NULL, "version", v->version);
	(void)fputs("1\n", f);
	family(f, "coffer_mount_info", "gauge", "A mount that is linked to the agent.");
	for (size_t i = 0; i < v->nmounts; i++) {
		(void)fputs("coffer_mount_info{", f);
		label(f, "volume", v->mounts[i].volume);
		(void)fputc(',', f);
		label(f, "tenant", v->mounts[i].tenant);
		(void)fputc(',', f);
		label(f, "uuid", v->mounts[i].uuid);
		(void)fputs("} 1\n", f);
	}
}

static void operations(FILE *f, const struct metrics_view *v)
{
	family(f, "coffer_op_duration_seconds", "histogram", "Requests of the kernel, from being taken up to being answered.");
	for (size_t i = 0; i < v->nmounts; i++)
		for (unsigned op = 0; op < METER_OPS && has_detail(&v->mounts[i]); op++)
			histogram(f, "coffer_op_duration_seconds", v->mounts[i].volume, "op", meter_op_text((enum meter_op)op),
				  &v->mounts[i].stats->detail.ops[op]);
	family(f, "coffer_integrity_failures_total", "counter", "What did not verify, each time it was met.");
	for (size_t i = 0; i < v->nmounts; i++)
		for (unsigned k = 0; k < METER_KINDS && has_detail(&v->mounts[i]); k++) {
			series(f, "coffer_integrity_failures_total", v->mounts[i].volume, "kind", meter_kind_text((enum meter_kind)k));
			(void)fprintf(f, "%llu\n", (unsigned long long)v->mounts[i].stats->detail.integrity[k]);
		}
}

static void commits(FILE *f, const struct metrics_view *v)
{
	mounts_number(f, v, "coffer_commits_total", "counter", "Transactions written to the log.", get_commits, has_detail);
	family(f, "coffer_commit_duration_seconds", "histogram", "Transactions, from gathered to durable.");
	for (size_t i = 0; i < v->nmounts; i++)
		if (has_detail(&v->mounts[i]))
			histogram(f, "coffer_commit_duration_seconds", v->mounts[i].volume, NULL, NULL, &v->mounts[i].stats->detail.commit);
	family(f, "coffer_checkpoint_duration_seconds", "histogram", "Checkpoints: bringing home what is committed.");
	for (size_t i = 0; i < v->nmounts; i++)
		if (has_detail(&v->mounts[i]))
			histogram(f, "coffer_checkpoint_duration_seconds", v->mounts[i].volume, NULL, NULL,
				  &v->mounts[i].stats->detail.checkpoint);
}

static void leases(FILE *f, const struct metrics_view *v)
{
	family(f, "coffer_lease_state", "gauge", "1 for the state that the mount's lease is in.");
	for (size_t i = 0; i < v->nmounts; i++)
		for (unsigned s = 0; s < LEASE_STATES; s++) {
			series(f, "coffer_lease_state", v->mounts[i].volume, "state", lease_state_text((enum lease_state)s));
			(void)fprintf(f, "%d\n", v->mounts[i].lease == (enum lease_state)s);
		}
	family(f, "coffer_lease_remaining_seconds", "gauge",
	       "Until the mount locks if its key service goes on like this; no sample while all is well, 0 when locked.");
	for (size_t i = 0; i < v->nmounts; i++) {
		if (!v->mounts[i].lease_ends)
			continue;
		series(f, "coffer_lease_remaining_seconds", v->mounts[i].volume, NULL, NULL);
		seconds(f, v->mounts[i].lease_left_ms * 1000000u);
	}
}

/* No sample: it has never been done, as far as this host knows. */
static void done(FILE *f, const struct metrics_view *v)
{
	static const struct {
		const char *name, *help;
	} of[PROTO_DONES] = {
		[PROTO_DONE_SCRUB] = { "coffer_scrub_last_success_timestamp_seconds", "When a scrub found nothing." },
		[PROTO_DONE_BACKUP] = { "coffer_backup_last_success_timestamp_seconds", "When a backup was whole." },
		[PROTO_DONE_VERIFY] = { "coffer_backup_verified_timestamp_seconds", "When a backup was read back, and found whole." },
	};

	for (unsigned k = 0; k < PROTO_DONES; k++) {
		family(f, of[k].name, "gauge", of[k].help);
		for (size_t i = 0; i < v->nmounts; i++) {
			if (!v->mounts[i].done_s[k])
				continue;
			series(f, of[k].name, v->mounts[i].volume, NULL, NULL);
			(void)fprintf(f, "%lld\n", (long long)v->mounts[i].done_s[k]);
		}
	}
}

/* ---- the agent */

static void services(FILE *f, const struct metrics_view *v)
{
	family(f, "coffer_kms_requests_total", "counter", "Wraps and unwraps by key services since the agent started, by how they ended.");
	for (size_t i = 0; i < v->nkms; i++)
		for (unsigned c = 0; c < KMS_CLASSES; c++) {
			(void)fputs("coffer_kms_requests_total{", f);
			label(f, "provider", v->kms[i].provider);
			(void)fputc(',', f);
			label(f, "class", kms_class_text((enum kms_class)c));
			(void)fprintf(f, "} %llu\n", (unsigned long long)v->kms[i].ended[c]);
		}
	family(f, "coffer_kms_request_duration_seconds", "histogram", "How long they took, with all tries.");
	for (size_t i = 0; i < v->nkms; i++)
		histogram(f, "coffer_kms_request_duration_seconds", NULL, "provider", v->kms[i].provider, &v->kms[i].time);
}

static void process(FILE *f, const struct metrics_view *v)
{
	family(f, "process_cpu_seconds_total", "counter", "CPU time of the agent.");
	(void)fputs("process_cpu_seconds_total ", f);
	seconds(f, v->cpu_ns);
	if (v->resident_bytes) {
		family(f, "process_resident_memory_bytes", "gauge", "Memory of the agent.");
		(void)fprintf(f, "process_resident_memory_bytes %llu\n", (unsigned long long)v->resident_bytes);
	}
	if (v->start_s) {
		family(f, "process_start_time_seconds", "gauge", "When the agent started.");
		(void)fprintf(f, "process_start_time_seconds %llu\n", (unsigned long long)v->start_s);
	}
}

int metrics_text(const struct metrics_view *v, char **ret_text, size_t *ret_len)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	infos(f, v);
	mounts_number(f, v, "coffer_mount_ready", "gauge", "1: the mount serves and is not locked.", get_ready, has_any);
	mounts_number(f, v, "coffer_read_bytes_total", "counter", "Content read.", get_read, has_stats);
	mounts_number(f, v, "coffer_write_bytes_total", "counter", "Content written.", get_write, has_stats);
	operations(f, v);
	mounts_number(f, v, "coffer_log_size_bytes", "gauge", "Size of the log.", get_log_size, has_stats);
	mounts_number(f, v, "coffer_log_used_bytes", "gauge", "Of it, committed and not home.", get_log_used, has_stats);
	commits(f, v);
	mounts_number(f, v, "coffer_replayed_transactions_total", "counter", "Transactions replayed when the volume was opened.", get_replayed,
		      has_stats);
	mounts_number(f, v, "coffer_dirty_bytes", "gauge", "In memory and not home.", get_dirty, has_stats);
	mounts_number(f, v, "coffer_reserve_whole", "gauge", "1: the ballast for a full disk is whole.", get_reserve, has_detail);
	mounts_number(f, v, "coffer_rekey_remaining_bytes", "gauge", "To be encrypted again with the newest epoch.", get_rekey, has_stats);
	leases(f, v);
	done(f, v);
	services(f, v);
	process(f, v);
	if (ferror(f)) {
		(void)fclose(f);
		return -ENOMEM;
	}
	if (fclose(f) != 0)
		return -ENOMEM;
	*ret_text = take_ptr(text);
	*ret_len = len;
	return 0;
}

void metrics_label(const char *said, const char *uuid, char ret_label[static METRICS_LABEL_MAX])
{
	size_t n = strlen(said);
	bool is_name = n > 0 && n < 64 && !strchr(said, '/');

	(void)snprintf(ret_label, METRICS_LABEL_MAX, "%s", is_name ? said : uuid);
}
