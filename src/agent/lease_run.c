/* lease_run.c: from the pure machine to the world and back. Every action of the machine passes act(), every change of state passes report(). */
#include "agent/lease_run.h"

#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "agent/packet.h"
#include "agent/request.h"
#include "agent/unwrap.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"

#define PROBE_ROW_MS (5 * 60 * 1000)     /* probes are told by number */

static const struct lease_conf *conf_of(const struct agent *a, const struct conn *c)
{
	return &tenants_find(a->tenants, c->mount->tenant)->lease;
}

static uint32_t random_number(void)
{
	uint32_t n = 0;

	if (secret_random(&n, sizeof(n)) < 0)
		n = (uint32_t)clock_boot_ms(); /* it spreads probes, no more */
	return n;
}

/* --- what is told --- */

static void record(struct agent *a, const struct conn *c, const char *what, uint64_t stale_for_s)
{
	const struct mount *m = c->mount;
	struct audit_event e = { .what = what, .uuid = c->instance.uuid, .tenant = m->tenant, .key_uri = m->key_uri,
				 .mountpoint = m->said->mountpoint, .stale_for_s = stale_for_s,
				 .class = m->lease.class == KMS_OK ? NULL : kms_class_text(m->lease.class),
				 .detail = m->lease_reason[0] ? m->lease_reason : NULL };

	request_record_kms(&e, &m->lease_kms);
	audit_note(a->audit, &e);
}

static const char *row_of(enum lease_state from, const struct lease *l)
{
	switch (l->state) {
	case LEASE_STALE:
		return "key.stale_begin";
	case LEASE_SUSPECT:
		return "key.suspect";
	case LEASE_LOCKED:
		return l->class == KMS_REVOKED || l->class == KMS_DENIED ? "key.revoked_seen" : NULL;
	default:
		return from == LEASE_STALE || from == LEASE_SUSPECT ? "key.stale_end" : NULL;
	}
}

static void report(struct agent *a, struct conn *c, uint64_t now)
{
	struct mount *m = c->mount;
	enum lease_state from = m->lease_said;
	const char *what;

	if (m->lease.state == from)
		return;
	if (m->lease.state == LEASE_ACTIVE)
		m->lease_reason[0] = '\0';
	what = row_of(from, &m->lease);
	if (m->lease.state == LEASE_ACTIVE)
		log_info("%s: lease ACTIVE", m->said->mountpoint);
	else
		log_warning("%s: lease %s: %s %s", m->said->mountpoint, lease_state_text(m->lease.state),
			    m->lease.class == KMS_OK ? "" : kms_class_text(m->lease.class), m->lease_reason);
	if (what)
		record(a, c, what, from == LEASE_STALE ? (now - m->lease_said_ms) / 1000 : 0);
	m->lease_said = m->lease.state;
	m->lease_said_ms = now;
	request_time_text(m->lease_since);
}

static void lock_reason(const struct mount *m, char ret_text[static PROTO_MESSAGE_MAX])
{
	const char *why = "no answer for longer than max-stale";

	if (m->lease.class == KMS_REVOKED)
		why = "the key was revoked";
	else if (m->lease.class == KMS_DENIED)
		why = "the key's owner refuses it to this host";
	else if (m->lease.class == KMS_AUTH)
		why = "our own credential was refused for too long";
	(void)snprintf(ret_text, PROTO_MESSAGE_MAX, "%s: %.400s", why, m->lease_reason);
}

/* --- probes --- */

static void act(struct agent *a, struct conn *c, unsigned actions, uint64_t now);

static void answers_take(struct conn *c, const struct opener_answers *answers, uint64_t now)
{
	struct mount *m = c->mount;
	unsigned i;

	m->lease_kms = answers->kms;
	m->lease.nslots = answers->count < LEASE_SLOTS_MAX ? answers->count : LEASE_SLOTS_MAX;
	for (i = 0; i < m->lease.nslots; i++)
		if (answers->slot[i].asked)
			lease_answer(&m->lease, now, i, answers->slot[i].class);
	if (answers->message[0])
		memcpy(m->lease_reason, answers->message, sizeof(m->lease_reason));
}

static void probe_over(struct agent *a, struct conn *c, const struct opener_answers *answers)
{
	uint64_t now = clock_boot_ms();

	answers_take(c, answers, now);
	act(a, c, lease_probed(&c->mount->lease, conf_of(a, c), now, random_number()), now);
}

/* It could not even be asked: on this host something is wrong, which must not be a way to keep a key for ever. */
static void probe_failed(struct agent *a, struct conn *c, enum kms_class class, const char *why)
{
	struct opener_answers answers = { .count = c->mount->lease.nslots ? c->mount->lease.nslots : 1 };
	unsigned i;

	for (i = 0; i < answers.count; i++) {
		answers.slot[i].asked = true;
		answers.slot[i].class = class;
	}
	(void)snprintf(answers.message, sizeof(answers.message), "%s", why);
	probe_over(a, c, &answers);
}

struct probe {
	uint64_t serial;
};

static void probe_done(struct agent *a, void *arg, const struct unwrap_result *result)
{
	struct probe *p = arg;
	struct conn *c = server_conn(a, p->serial);

	free(p);
	if (!c || !c->mount || result->class == PROTO_CLASS_INTERNAL)
		return;
	if (result->answers->count == 0)
		probe_failed(a, c, KMS_CONFIG, "no slot of coffer.volume has a key pinned on this host");
	else
		probe_over(a, c, result->answers);
}

/* Pin and copy of coffer.volume as they are now. */
static int volume_load(const struct agent *a, const struct conn *c, struct pin *pin, struct volume_config **ret_cfg)
{
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	char message[PROTO_MESSAGE_MAX];
	size_t len;
	int r;

	r = pins_load(a->pins_dirfd, &c->instance, pin);
	if (r >= 0)
		r = pins_load_config(a->pins_dirfd, &c->instance, &bytes, &len);
	if (r >= 0 && opener_parse(bytes, len, message, &cfg) != PROTO_CLASS_OK)
		r = -EUCLEAN;
	if (r < 0)
		return r;
	*ret_cfg = take_ptr(cfg);
	return 0;
}

static void probe_start(struct agent *a, struct conn *c)
{
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE struct pin *pin = calloc(1, sizeof(*pin));
	struct probe *p = malloc(sizeof(*p));
	uint32_t must = 0;
	int r = pin && p ? volume_load(a, c, pin, &cfg) : -ENOMEM;

	for (unsigned i = 0; i < c->mount->lease.nslots; i++)
		must |= (uint32_t)lease_asks(&c->mount->lease, i, true) << i;
	if (r >= 0) {
		p->serial = c->serial;
		r = unwrap_probe(a, pin, &cfg, must, probe_done, p);
		if (r >= 0) {
			c->mount->probes++;
			return;
		}
	}
	free(p);
	probe_failed(a, c, r == -ENOENT || r == -EUCLEAN ? KMS_CONFIG : KMS_TRANSIENT,
		     r == -ENOENT || r == -EUCLEAN ? "the agent has no pin, or no copy of coffer.volume, that could be asked about" :
						     "the agent lacks memory or threads");
}

/* --- the machine's actions --- */

static void act(struct agent *a, struct conn *c, unsigned actions, uint64_t now)
{
	char reason[PROTO_MESSAGE_MAX];

	report(a, c, now);
	if (actions & LEASE_LOCK) {
		lock_reason(c->mount, reason);
		request_lock_mount(a, c, reason);
	}
	if (actions & LEASE_UNLOCK)
		request_lock_open_mount(a, c);
	if (actions & LEASE_PROBE)
		probe_start(a, c);
}

void lease_run_begin(struct agent *a, struct conn *c, bool fresh, bool operator_locked)
{
	AUTO_FREE struct volume_config *cfg = NULL;
	AUTO_FREE struct pin *pin = calloc(1, sizeof(*pin));
	uint64_t now = clock_boot_ms();
	struct mount *m = c->mount;
	unsigned n = 1;

	if (pin && volume_load(a, c, pin, &cfg) >= 0)
		n = opener_slots(pin, cfg);
	/* The lock of an operator is told by who knows his words. */
	(void)!lease_begin(&m->lease, conf_of(a, c), now, n ? n : 1, m->said->locked, fresh, operator_locked, random_number());
	m->lease_said = m->lease.state;
	m->lease_said_ms = m->probes_ms = now;
	request_time_text(m->lease_since);
}

static void probes_row(struct agent *a, struct conn *c, uint64_t now)
{
	struct mount *m = c->mount;
	struct audit_event e = { .what = "key.probe", .uuid = c->instance.uuid, .tenant = m->tenant, .key_uri = m->key_uri,
				 .mountpoint = m->said->mountpoint, .count = m->probes };

	if (m->probes == 0 || now - m->probes_ms < PROBE_ROW_MS)
		return;
	audit_note(a->audit, &e);
	m->probes = 0;
	m->probes_ms = now;
}

void lease_run_tick(struct agent *a, uint64_t now_ms)
{
	struct conn *c;

	for (c = a->conns; c; c = c->next) {
		if (!c->mount || c->dead)
			continue;
		act(a, c, lease_tick(&c->mount->lease, conf_of(a, c), now_ms), now_ms);
		probes_row(a, c, now_ms);
	}
}

void lease_run_operator_lock(struct conn *c)
{
	(void)!lease_operator_lock(&c->mount->lease, clock_boot_ms()); /* the event is on its way */
	c->mount->lease_said = LEASE_LOCKED;
	request_time_text(c->mount->lease_since);
}

void lease_run_open(struct conn *c)
{
	uint64_t now = clock_boot_ms();

	lease_operator_unlock(&c->mount->lease, now);
	lease_opening(&c->mount->lease);
}

void lease_run_unlocked(struct agent *a, struct conn *c, bool ok)
{
	uint64_t now = clock_boot_ms();

	act(a, c, lease_unlocked(&c->mount->lease, conf_of(a, c), now, ok), now);
}

bool lease_run_may_open(struct agent *a, struct conn *c, const struct opener_answers *answers)
{
	uint64_t now = clock_boot_ms();
	struct lease *l = &c->mount->lease;

	c->mount->lease_kms = answers->kms;
	/* Only what was asked counts, and the number of slots is what it was: this is an unwrap, not a probe. */
	for (unsigned i = 0; i < l->nslots && i < answers->count; i++)
		if (answers->slot[i].asked)
			lease_answer(l, now, i, answers->slot[i].class);
	return lease_may_open(l, conf_of(a, c), now);
}

void lease_run_refused(struct agent *a, const uint8_t uuid[static UUID_LEN], enum proto_class class)
{
	uint64_t now = clock_boot_ms();
	struct conn *c;

	if (class != PROTO_CLASS_REVOKED && class != PROTO_CLASS_KMS_DENIED)
		return;
	for (c = a->conns; c; c = c->next)
		if (c->mount && !c->dead && c->mount->lease.state != LEASE_LOCKED && memcmp(c->instance.uuid, uuid, UUID_LEN) == 0)
			lease_probe_now(&c->mount->lease, now);
}

/* --- the clock --- */

static int clock_arm(int fd)
{
	const struct itimerspec far = { .it_value = { .tv_sec = (time_t)1 << 40 } };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0 ? -errno : 0;
}

int lease_run_clock_open(int *ret_fd)
{
	AUTO_CLOSE int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = clock_arm(fd);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

void lease_run_clock_jumped(struct agent *a, int fd)
{
	uint64_t n, now = clock_boot_ms();
	struct conn *c;

	if (read(fd, &n, sizeof(n)) >= 0 || errno != ECANCELED)
		return;
	if (clock_arm(fd) < 0)
		log_warning("timerfd: %s; jumps of the clock go unnoticed", strerror(errno));
	log_info("the clock was set, or the machine was suspended: asking for every key again");
	for (c = a->conns; c; c = c->next)
		if (c->mount && !c->dead)
			lease_probe_now(&c->mount->lease, now);
}

/* --- status --- */

static int locks_at_put(const struct agent *a, struct json *v, const struct conn *c)
{
	uint64_t at = lease_locks_at_ms(&c->mount->lease, conf_of(a, c)), now = clock_boot_ms();
	char text[TIME_TEXT_MAX];

	if (at == 0 || text_time(time(NULL) + (time_t)((at > now ? at - now : 0) / 1000), sizeof(text), text) < 0)
		return json_put_null(v, "locks_at");
	return json_put_str(v, "locks_at", text);
}

int lease_run_put(const struct agent *a, struct json *o, const struct conn *c)
{
	AUTO_JSON struct json *v = json_new_object();
	const struct mount *m = c->mount;
	int r;

	r = json_put_str(v, "state", m->locked ? "LOCKED" : lease_state_text(m->lease.state));
	if (r >= 0)
		r = json_put_str(v, "reason", m->locked ? m->locked_reason : m->lease_reason);
	if (r >= 0)
		r = json_put_str(v, "since", m->locked ? m->locked_since : m->lease_since);
	if (r >= 0)
		r = locks_at_put(a, v, c);
	if (r >= 0)
		r = json_put_str(v, "key_uri", m->key_uri);
	if (r < 0)
		return r;
	return json_put_json(o, "lease", take_ptr(v));
}
