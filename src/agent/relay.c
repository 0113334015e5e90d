/* relay.c: what one client asks and a mount must answer: status, sync, freeze, thaw and backup-tag. The asker waits, the loop goes on; an answer, the
 * mount's end or a deadline closes the relay. Authority was decided before (request.c): a mount is never asked by anybody but us. */
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/lease_run.h"
#include "agent/packet.h"
#include "base/clock.h"
#include "base/json.h"

enum relay_kind { RELAY_STATUS, RELAY_SYNC };

struct relay {
	struct relay *next;
	enum relay_kind kind;
	struct conn *asker;
	int64_t id;             /* of the request to answer */
	struct conn *mount;     /* sync: who was asked */
	int64_t event_id;       /* sync: with which event */
	enum proto_op op;       /* sync: sync, freeze, thaw or backup-tag */
	uint64_t deadline_ms;
};

static int relay_new(struct agent *a, struct conn *c, enum relay_kind kind, int64_t id, unsigned ms,
		     struct relay **ret_relay)
{
	struct relay *relay;

	if (a->relay_count >= AGENT_RELAYS_MAX || c->relays >= AGENT_RELAYS_PER_CONNECTION)
		return -ENOSPC;
	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	relay->kind = kind;
	relay->asker = c;
	relay->id = id;
	relay->deadline_ms = clock_boot_ms() + ms;
	relay->next = a->relays;
	a->relays = relay;
	a->relay_count++;
	c->relays++;
	*ret_relay = relay;
	return 0;
}

static void relay_end(struct agent *a, struct relay *relay)
{
	struct relay **at;

	for (at = &a->relays; *at != relay; at = &(*at)->next)
		;
	*at = relay->next;
	a->relay_count--;
	relay->asker->relays--;
	free(relay);
}

/* --- status --- */

/* Of what metrics have, two sums. */
static int detail_put(struct json *o, const struct proto_detail *d)
{
	uint64_t n = 0;
	int r;

	for (unsigned i = 0; i < METER_OPS; i++)
		n += meter_sum_count(&d->ops[i]);
	r = proto_u64_put(o, "operations", n);
	return r < 0 ? r : proto_u64_put(o, "commits", d->commits);
}

static int mount_put(const struct agent *a, struct json *mounts, const struct conn *c)
{
	AUTO_JSON struct json *o = json_new_object();
	const struct mount *m = c->mount;
	struct proto_stats stats = m->stats;
	char uuid[33];
	int r;

	if (!m->has_stats) {
		stats.read_only = m->said->read_only;
		memcpy(stats.since, m->since, sizeof(stats.since));
	}
	volume_config_uuid_text(c->instance.uuid, uuid);
	r = json_put_str(o, "volume", m->said->volume);
	if (r >= 0)
		r = json_put_str(o, "uuid", uuid);
	if (r >= 0)
		r = json_put_str(o, "tenant", m->tenant);
	if (r >= 0)
		r = json_put_str(o, "source", m->said->source);
	if (r >= 0)
		r = json_put_str(o, "mountpoint", m->said->mountpoint);
	if (r >= 0)
		r = json_put_int(o, "pid", c->peer.pid);
	if (r >= 0)
		r = json_put_str(o, "state", m->has_stats ? stats.state : "ready");
	if (r >= 0)
		r = json_put_bool(o, "answering", m->stats_id == 0);
	if (r >= 0)
		r = proto_stats_put(o, &stats);
	if (r >= 0 && stats.has_detail)
		r = detail_put(o, &stats.detail);
	if (r >= 0)
		r = lease_run_put(a, o, c);
	if (r >= 0)
		r = json_put_null(o, "rekey");
	if (r < 0)
		return r;
	return json_append(mounts, take_ptr(o));
}

/* One tenant's process learns nothing of another tenant's mounts, not even that they are there. */
static bool may_see(const struct agent *a, const struct conn *asker, const struct conn *mount)
{
	const struct policy_object about = { .tenant = mount->mount->tenant, .uuid = mount->instance.uuid };
	const struct policy_peer who = request_who(asker);

	return policy_decide(&a->policy, a->tenants, &who, PROTO_OP_STATUS, &about).allow;
}

static int status_text(const struct agent *a, const struct conn *asker, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	AUTO_JSON struct json *self = json_new_object();
	AUTO_JSON struct json *mounts = json_new_array();
	const struct conn *c;
	int r;

	r = json_put_bool(self, "reachable", true);
	if (r >= 0)
		r = json_put_int(self, "pid", getpid());
	if (r >= 0)
		r = json_put_str(self, "version", a->options.version);
	for (c = a->conns; c && r >= 0; c = c->next)
		if (c->mount && !c->dead && may_see(a, asker, c))
			r = mount_put(a, mounts, c);
	if (r >= 0)
		r = json_put_int(o, "version", 1);
	if (r >= 0)
		r = json_put_json(o, "agent", take_ptr(self));
	if (r >= 0)
		r = json_put_json(o, "mounts", take_ptr(mounts));
	if (r < 0)
		return r;
	return json_dump(o, ret_text);
}

static void status_answer(struct agent *a, struct relay *relay)
{
	struct proto_reply reply = { .id = relay->id, .op = PROTO_OP_STATUS };
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	int r;

	r = status_text(a, relay->asker, &text);
	if (r >= 0)
		r = packet_seal(text, strlen(text), &fd);
	if (r < 0)
		reply.class = request_refuse(&reply, PROTO_CLASS_RESOURCE, "status: %s", strerror(-r));
	server_reply(a, relay->asker, &reply, fd);
	relay_end(a, relay);
}

bool relay_stats_outstanding(const struct agent *a)
{
	const struct conn *c;

	for (c = a->conns; c; c = c->next)
		if (c->mount && !c->dead && c->mount->stats_id)
			return true;
	return false;
}

static void status_answer_all(struct agent *a, bool only_due, uint64_t now_ms)
{
	struct relay *relay, *next;

	for (relay = a->relays; relay; relay = next) {
		next = relay->next;
		if (relay->kind == RELAY_STATUS && (!only_due || relay->deadline_ms <= now_ms))
			status_answer(a, relay);
	}
}

void relay_stats_ask(struct agent *a)
{
	struct proto_event ev = { .push = PROTO_PUSH_STATS, .wants_detail = true };
	struct conn *m;

	for (m = a->conns; m; m = m->next) {
		if (!m->mount || m->dead || m->mount->stats_id)
			continue;
		ev.id = ++a->next_event_id;
		m->mount->stats_id = ev.id;
		server_push(a, m, &ev);
	}
}

int relay_status(struct agent *a, struct conn *c, int64_t id)
{
	struct relay *relay;
	int r;

	r = relay_new(a, c, RELAY_STATUS, id, AGENT_STATS_MS, &relay);
	if (r < 0)
		return r;
	relay_stats_ask(a);
	if (!relay_stats_outstanding(a))
		status_answer(a, relay);
	return 0;
}

/* --- sync --- */

static void sync_answer(struct agent *a, struct relay *relay, enum proto_class class, const char *message, const uint8_t *tag)
{
	struct proto_reply reply = { .id = relay->id, .op = relay->op, .class = class };

	if (tag)
		memcpy(reply.tag, tag, sizeof(reply.tag));
	(void)snprintf(reply.message, sizeof(reply.message), "%s", message);
	server_reply(a, relay->asker, &reply, -1);
	relay_end(a, relay);
}

/* The newest mount there is the one that is seen there: lists begin with the newest connection. But where a mount is, is what its process says, and a tenant may
 * say another's place: the asker tells whose mount he sees there, by the kernel's word. One who cannot tell (mounter -1) gets root's before anybody's, and
 * when several others claim a place, none of them. */
struct conn *relay_mount_at(struct agent *a, const char *mountpoint, int64_t mounter)
{
	struct conn *m, *found = NULL;
	bool disputed = false;

	for (m = a->conns; m; m = m->next) {
		if (!m->mount || m->dead || strcmp(m->mount->said->mountpoint, mountpoint) != 0 || (mounter >= 0 && m->peer.uid != (uid_t)mounter))
			continue;
		if (m->peer.uid == 0)
			return m;
		disputed = disputed || (found && found->peer.uid != m->peer.uid);
		if (!found)
			found = m;
	}
	return disputed ? NULL : found;
}

int relay_sync(struct agent *a, struct conn *c, const struct proto_request *req, enum proto_push push, struct conn *mount)
{
	struct proto_event ev = { .push = push };
	struct relay *relay;
	int r;

	if (!mount)
		return -ENOTCONN;
	r = relay_new(a, c, RELAY_SYNC, req->id, AGENT_SYNC_MS, &relay);
	if (r < 0)
		return r;
	ev.id = ++a->next_event_id;
	memcpy(ev.statement, req->statement, sizeof(ev.statement)); /* this and the next: of backup-tag alone */
	ev.has_tag = req->has_tag;
	memcpy(ev.tag, req->tag, sizeof(ev.tag));
	relay->op = req->op;
	relay->mount = mount;
	relay->event_id = ev.id;
	server_push(a, mount, &ev);
	return 0;
}

/* --- answers and ends --- */

static void sync_done(struct agent *a, struct conn *c, const struct proto_event *ev)
{
	struct relay *relay;

	for (relay = a->relays; relay; relay = relay->next) {
		if (relay->kind != RELAY_SYNC || relay->mount != c || relay->event_id != ev->id)
			continue;
		if (ev->class == PROTO_CLASS_OK && relay->op == PROTO_OP_BACKUP_TAG && !ev->has_tag)
			sync_answer(a, relay, PROTO_CLASS_INTERNAL, "the mount has answered without a tag", NULL);
		else
			sync_answer(a, relay, ev->class, ev->message, ev->has_tag ? ev->tag : NULL);
		return;
	}
}

void relay_event_done(struct agent *a, struct conn *c, const struct proto_event *ev)
{
	if (!c->mount)
		return;
	request_lock_event_done(a, c, ev);
	if (ev->push == PROTO_PUSH_SYNC || ev->push == PROTO_PUSH_FREEZE || ev->push == PROTO_PUSH_THAW || ev->push == PROTO_PUSH_BACKUP_TAG)
		sync_done(a, c, ev);
	if (ev->push != PROTO_PUSH_STATS || ev->id != c->mount->stats_id)
		return;
	c->mount->stats_id = 0;
	if (ev->class == PROTO_CLASS_OK && ev->has_stats) {
		c->mount->stats = ev->stats;
		c->mount->has_stats = true;
	}
	if (!relay_stats_outstanding(a))
		status_answer_all(a, false, 0);
}

void relay_tick(struct agent *a, uint64_t now_ms)
{
	struct relay *relay, *next;

	status_answer_all(a, true, now_ms);
	for (relay = a->relays; relay; relay = next) {
		next = relay->next;
		if (relay->kind == RELAY_SYNC && relay->deadline_ms <= now_ms)
			sync_answer(a, relay, PROTO_CLASS_BUSY, "the mount has not finished within an hour", NULL);
	}
}

void relay_forget(struct agent *a, struct conn *c)
{
	struct relay *relay, *next;

	for (relay = a->relays; relay; relay = next) {
		next = relay->next;
		if (relay->asker == c)
			relay_end(a, relay);
		else if (relay->kind == RELAY_SYNC && relay->mount == c)
			sync_answer(a, relay, PROTO_CLASS_NOT_MOUNTED, "the mount has gone away", NULL);
	}
	if (c->mount && !relay_stats_outstanding(a))
		status_answer_all(a, false, 0);
}

void relay_free_all(struct agent *a)
{
	while (a->relays)
		relay_end(a, a->relays);
}
