/* audit.c: rows under a hash chain (docs/protocol.md, "Audit log").
 *
 * A row is one write(2) and takes effect when it is flushed: what a caller was told has failed may stand in the log all the same, never the other way
 * round. Whatever failed before is mended first, in this order: a torn line is closed off (audit_torn.c), then a file that could not be flushed is left for
 * another (audit_rotate.c): its pages may be lost without another error, and a new file's are not. */
#include "agent/audit_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "agent/packet.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"

#define NS 1000000000LL
#define JUMP_NS (2 * NS)        /* a real-time clock that moves by so much more or less than the time since boot was set */

struct stamp {
	int64_t ts_ns, mono_ns;
};

void audit_conf_default(struct audit_conf *conf)
{
	*conf = (struct audit_conf){ .required = true,
				     .retain_ms = 400ULL * 24 * 3600 * 1000,
				     .rotate_bytes = 64 << 20,
				     .rotate_ms = 7ULL * 24 * 3600 * 1000 };
}

static int dir_open(struct audit *a, int state_dirfd)
{
	const char *dir = a->conf.dir[0] ? a->conf.dir : ".";
	int r;

	r = a->conf.dir[0] ? fileio_mkdirs(dir, 0700) : 0;
	if (r < 0)
		return r;
	a->dirfd = openat(state_dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->dirfd < 0)
		return -errno;
	return flock(a->dirfd, LOCK_EX | LOCK_NB) < 0 ? -EBUSY : 0;
}

int audit_open(int state_dirfd, const struct audit_conf *conf, const char *version, struct audit **ret_a)
{
	struct audit *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->dirfd = a->pos.fd = -1;
	a->conf = *conf;
	(void)snprintf(a->version, sizeof(a->version), "%s", version);
	r = dir_open(a, state_dirfd);
	if (r < 0)
		r = log_ret(r, "audit log: %s", a->conf.dir[0] ? a->conf.dir : "the state directory");
	if (r >= 0)
		r = audit_host_boot_id(a->boot_id);
	if (r >= 0)
		r = audit_rotate_start(a, state_dirfd);
	if (r < 0) {
		a->pos.next_seq = 0; /* nothing to anchor */
		audit_free(a);
		return r;
	}
	*ret_a = a;
	return 0;
}

/* Counts of the minute that ends; below. */
static void suppressed_put(struct audit *a);

void audit_free(struct audit *a)
{
	if (!a)
		return;
	audit_thread_stop(a);
	if (a->pos.next_seq) {
		suppressed_put(a);
		audit_anchor_make(a);
	}
	auto_close_p(&a->pos.fd);
	auto_close_p(&a->dirfd);
	secret_free(a->seed);
	free(a);
}

bool audit_configure(struct audit *a, const struct audit_conf *conf)
{
	struct audit_conf now = *conf;
	bool stays = strcmp(now.dir, a->conf.dir) == 0;

	memcpy(now.dir, a->conf.dir, sizeof(now.dir));
	a->conf = now;
	return stays;
}

int audit_dir(const struct audit *a)
{
	int fd = openat(a->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool audit_required(const struct audit *a)
{
	return a->conf.required;
}

static int clock_ns(clockid_t clock, int64_t *ret_ns)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return -errno;
	*ret_ns = (int64_t)ts.tv_sec * NS + ts.tv_nsec;
	return 0;
}

static int stamp_put(const struct audit *a, const char *event, const struct stamp *st, struct json *o)
{
	char ts[AUDIT_TIME_LEN];
	int r;

	audit_row_time(st->ts_ns, ts);
	r = json_put_int(o, "seq", (int64_t)a->pos.next_seq);
	if (r >= 0)
		r = json_put_str(o, "ts", ts);
	if (r >= 0)
		r = json_put_int(o, "mono_ns", st->mono_ns);
	if (r >= 0)
		r = json_put_str(o, "boot_id", a->boot_id);
	if (r >= 0)
		r = json_put_str(o, "host_id", a->host_id);
	if (r >= 0)
		r = json_put_str(o, "agent_version", a->version);
	if (r >= 0)
		r = json_put_str(o, "event", event);
	return r;
}

static int row_write(struct audit *a, const char *event, const struct stamp *st, struct json *o)
{
	struct audit_pos *p = &a->pos;
	uint8_t hash[AUDIT_HASH_LEN];
	AUTO_FREE char *line = NULL;
	size_t len;
	ssize_t n;
	int r;

	r = stamp_put(a, event, st, o);
	if (r >= 0)
		r = audit_row_put(o, p->hash, hash, &line);
	if (r < 0)
		return r;
	len = strlen(line);
	line[len] = '\n'; /* over the NUL: no string any more */
	n = write(p->fd, line, len + 1);
	if (n != (ssize_t)(len + 1)) {
		p->torn = true;
		return n < 0 ? -errno : -EIO;
	}
	memcpy(p->hash, hash, sizeof(hash));
	memcpy(p->last_boot_id, a->boot_id, sizeof(p->last_boot_id));
	p->next_seq++;
	p->size += len + 1;
	p->last_ts_ns = st->ts_ns;
	p->last_mono_ns = st->mono_ns;
	if (!p->begun_ns)
		p->begun_ns = st->ts_ns;
	if (a->rows_since_anchor++ == 0)
		a->anchor_ms = clock_boot_ms();
	return 0;
}

/* How much the real-time clock was set since the last row; 0: as far as can be told it was not. A clock that is disciplined may drift by a thousandth. */
static int64_t jump_of(const struct audit *a, const struct stamp *st)
{
	const struct audit_pos *p = &a->pos;
	int64_t real = st->ts_ns - p->last_ts_ns, since, off;

	if (p->next_seq <= 1)
		return 0;
	if (strcmp(p->last_boot_id, a->boot_id) != 0)
		return real < 0 ? real : 0;
	since = st->mono_ns - p->last_mono_ns;
	off = real - since;
	if (real < 0 || off > JUMP_NS + since / 1000 || off < -JUMP_NS - since / 1000)
		return off ? off : -1;
	return 0;
}

static int jump_put(struct audit *a, const struct stamp *st, int64_t off_ns)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	r = json_put_int(o, "step_ms", off_ns / 1000000);
	if (r >= 0)
		r = json_put_str(o, "outcome", "ok");
	return r < 0 ? r : row_write(a, "clock.jump", st, o);
}

int audit_row_append(struct audit *a, const char *event, struct json *o)
{
	struct stamp st;
	int64_t off;
	int r;

	r = clock_ns(CLOCK_REALTIME, &st.ts_ns);
	if (r >= 0)
		r = clock_ns(CLOCK_BOOTTIME, &st.mono_ns);
	if (r < 0)
		return r;
	off = jump_of(a, &st);
	/* A file's first row stays its first, and an anchor stays behind what it signs: the row behind them tells. */
	if (off && (!a->pos.begun_ns || strcmp(event, "audit.anchor") == 0)) {
		st.ts_ns = a->pos.last_ts_ns;
		st.mono_ns = strcmp(a->pos.last_boot_id, a->boot_id) == 0 ? a->pos.last_mono_ns : st.mono_ns;
	} else if (off) {
		r = jump_put(a, &st, off);
		if (r < 0)
			return r;
	}
	return row_write(a, event, &st, o);
}

int audit_flush(struct audit *a)
{
	if (fdatasync(a->pos.fd) == 0) {
		a->flushed_seq = a->pos.next_seq - 1;
		return 0;
	}
	a->pos.leave = true;
	a->lost_seq = a->pos.next_seq - 1;
	return -errno;
}

/* Mend what failed, and begin another file when it is time. */
static int make_ready(struct audit *a)
{
	int r = 0;

	if (a->pos.torn)
		r = audit_torn_close(a);
	if (r < 0 || !audit_rotate_due(a))
		return r;
	r = audit_rotate_next(a);
	if (r >= 0) {
		a->rotate_fails = false;
		return 0;
	}
	if (a->pos.leave)
		return r;
	if (!a->rotate_fails)
		log_err("audit log: no further file can be begun: %s; going on in %s", err_text(r), a->pos.file);
	a->rotate_fails = true;
	return 0;
}

static int event_append(struct audit *a, const struct audit_event *e)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	r = make_ready(a);
	if (r >= 0)
		r = audit_event_put(o, e);
	if (r >= 0)
		r = audit_row_append(a, e->what, o);
	audit_journal(e);
	return r;
}

static void anchor_due(struct audit *a)
{
	if (a->flusher)
		a->anchor_wanted = true;
	else
		audit_anchor_make(a);
}

static int event_appended(struct audit *a, int r)
{
	if (r >= 0 && a->rows_since_anchor >= AUDIT_ANCHOR_ROWS)
		anchor_due(a);
	return r;
}

int audit_append(struct audit *a, const struct audit_event *e)
{
	int r;

	r = event_append(a, e);
	return event_appended(a, r < 0 ? r : audit_flush(a));
}

int audit_append_later(struct audit *a, const struct audit_event *e, uint64_t *ret_seq)
{
	int r;

	r = event_append(a, e);
	if (r >= 0)
		*ret_seq = a->pos.next_seq - 1;
	if (r >= 0 && !a->flusher)
		r = audit_flush(a);
	return event_appended(a, r);
}

/* --- what peers can cause at will --- */

static struct audit_refuser *refuser_of(struct audit *a, uid_t uid)
{
	size_t i;

	for (i = 0; i < a->refuser_count; i++)
		if (a->refusers[i].uid == uid)
			return &a->refusers[i];
	if (a->refuser_count < AUDIT_REFUSERS)
		a->refusers[a->refuser_count++].uid = uid;
	return &a->refusers[i]; /* its own, or the one behind the last for all others */
}

/* The minute is over: one row for each uid that was cut off. */
static void suppressed_put(struct audit *a)
{
	size_t i;
	int r;

	for (i = 0; i <= AUDIT_REFUSERS; i++) {
		const struct peer peer = { .uid = a->refusers[i].uid };
		const struct audit_event e = { .what = "peer.suppressed", .outcome = "refused", .count = a->refusers[i].suppressed,
					       .peer = i < AUDIT_REFUSERS ? &peer : NULL };

		if (!e.count)
			continue;
		r = event_append(a, &e);
		if (r < 0)
			log_err("audit log: %llu refusals were not recorded: %s", (unsigned long long)e.count, err_text(r));
	}
	memset(a->refusers, 0, sizeof(a->refusers));
	a->refuser_count = 0;
}

static void minute_turn(struct audit *a)
{
	uint64_t minute = clock_boot_ms() / 60000;

	if (minute == a->minute)
		return;
	suppressed_put(a);
	a->minute = minute;
}

int audit_append_refusal(struct audit *a, const struct audit_event *e)
{
	struct audit_refuser *f;

	minute_turn(a);
	f = refuser_of(a, e->peer ? e->peer->uid : (uid_t)-1);
	if (f->rows >= AUDIT_REFUSALS) {
		f->suppressed++;
		return 0;
	}
	f->rows++;
	return event_appended(a, event_append(a, e));
}

static void unrecorded(int r)
{
	if (r < 0)
		log_err("audit log: cannot append: %s", err_text(r));
}

void audit_note(struct audit *a, const struct audit_event *e)
{
	unrecorded(a->flusher ? event_appended(a, event_append(a, e)) : audit_append(a, e));
}

void audit_note_refusal(struct audit *a, const struct audit_event *e)
{
	unrecorded(audit_append_refusal(a, e));
}

void audit_tick(struct audit *a)
{
	minute_turn(a);
	if (a->rows_since_anchor && clock_boot_ms() - a->anchor_ms >= AUDIT_ANCHOR_MS)
		anchor_due(a);
}
