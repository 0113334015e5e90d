/* proto_event.c: events that the agent pushes on a mount, and their answers (docs/protocol.md, "Events"). Pure. */
#include "agent/proto.h"

#include <string.h>

#include "base/json.h"

static int log_parse(const struct json *v, struct proto_stats *s)
{
	static const char *const known[] = { "size_bytes", "used_bytes", "last_commit_age_ms", NULL };
	const struct json *log;
	int r;

	r = json_get_object(v, "log", &log);
	if (r < 0)
		return r;
	if (json_unknown_key(log, known))
		return -EUCLEAN;
	r = proto_u64_parse(log, "size_bytes", &s->log_size_bytes);
	if (r >= 0)
		r = proto_u64_parse(log, "used_bytes", &s->log_used_bytes);
	if (r >= 0)
		r = proto_u64_parse(log, "last_commit_age_ms", &s->last_commit_age_ms);
	return r;
}

static bool state_ok(const char *text)
{
	static const char *const states[] = { "ready", "recovering", "draining", "failed" };
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(text, states[i]) == 0)
			return true;
	return false;
}

static int stats_parse(const struct json *o, struct proto_stats *ret_s)
{
	static const char *const known[] = { "state",	    "read_only",	  "locked",	"since",
					     "log",	    "dirty_bytes",	  "read_bytes",
					     "write_bytes", "integrity_failures", "replayed_transactions",
					     "detail",	    NULL };
	struct proto_stats s = { 0 };
	const struct json *v;
	int r;

	r = json_get_object(o, "stats", &v);
	if (r < 0)
		return r;
	if (json_unknown_key(v, known))
		return -EUCLEAN;
	r = proto_str_parse(v, "state", sizeof(s.state), s.state);
	if (r >= 0 && !state_ok(s.state))
		r = -EUCLEAN;
	if (r >= 0)
		r = json_get_bool(v, "read_only", &s.read_only);
	if (r >= 0)
		r = json_get_bool(v, "locked", &s.locked);
	if (r == -ENOENT)
		r = 0; /* a mount of before */
	if (r >= 0)
		r = proto_str_parse(v, "since", sizeof(s.since), s.since);
	if (r >= 0)
		r = log_parse(v, &s);
	if (r >= 0)
		r = proto_u64_parse(v, "dirty_bytes", &s.dirty_bytes);
	if (r >= 0)
		r = proto_u64_parse(v, "read_bytes", &s.read_bytes);
	if (r >= 0)
		r = proto_u64_parse(v, "write_bytes", &s.write_bytes);
	if (r >= 0)
		r = proto_u64_parse(v, "integrity_failures", &s.integrity_failures);
	if (r >= 0)
		r = proto_u64_parse(v, "replayed_transactions", &s.replayed_transactions);
	if (r >= 0) {
		r = proto_detail_parse(v, &s.detail);
		s.has_detail = r >= 0;
		r = r == -ENOENT ? 0 : r;
	}
	if (r < 0)
		return -EUCLEAN;
	*ret_s = s;
	return 0;
}

static int stats_put(struct json *o, const struct proto_stats *s)
{
	AUTO_JSON struct json *v = json_new_object();
	int r;

	if (!state_ok(s->state))
		return -EINVAL;
	r = json_put_str(v, "state", s->state);
	if (r >= 0)
		r = proto_stats_put(v, s);
	if (r >= 0 && s->has_detail)
		r = proto_detail_put(v, &s->detail);
	if (r < 0)
		return r;
	return json_put_json(o, "stats", take_ptr(v));
}

int proto_stats_put(struct json *o, const struct proto_stats *s)
{
	AUTO_JSON struct json *log = json_new_object();
	int r;

	r = json_put_bool(o, "read_only", s->read_only);
	if (r >= 0)
		r = json_put_bool(o, "locked", s->locked);
	if (r >= 0)
		r = json_put_str(o, "since", s->since);
	if (r >= 0)
		r = proto_u64_put(log, "size_bytes", s->log_size_bytes);
	if (r >= 0)
		r = proto_u64_put(log, "used_bytes", s->log_used_bytes);
	if (r >= 0)
		r = proto_u64_put(log, "last_commit_age_ms", s->last_commit_age_ms);
	if (r >= 0)
		r = json_put_json(o, "log", take_ptr(log));
	if (r >= 0)
		r = proto_u64_put(o, "dirty_bytes", s->dirty_bytes);
	if (r >= 0)
		r = proto_u64_put(o, "read_bytes", s->read_bytes);
	if (r >= 0)
		r = proto_u64_put(o, "write_bytes", s->write_bytes);
	if (r >= 0)
		r = proto_u64_put(o, "integrity_failures", s->integrity_failures);
	if (r >= 0)
		r = proto_u64_put(o, "replayed_transactions", s->replayed_transactions);
	return r;
}

static int tag_parse(const struct json *o, struct proto_event *ev)
{
	int r = proto_hex_parse(o, "tag", BACKUP_TAG_LEN, ev->tag);

	ev->has_tag = r >= 0;
	return r < 0 && r != -ENOENT ? -EUCLEAN : 0;
}

static int done_parse(const struct json *o, struct proto_event *ev)
{
	static const char *const known[] = { "v",     "id",    "event",	  "ok", "class",
					     "errno", "message", "stats", "tag", NULL };
	const char *class, *number;
	bool ok;
	int r;

	if (json_unknown_key(o, known))
		return -EUCLEAN;
	r = json_get_bool(o, "ok", &ok);
	if (r < 0)
		return -EUCLEAN;
	ev->done = true;
	if (!ok) {
		if (json_get_str(o, "class", &class) < 0 || json_get_str(o, "errno", &number) < 0)
			return -EUCLEAN;
		ev->class = proto_class_parse(class, number);
		r = proto_str_parse(o, "message", sizeof(ev->message), ev->message);
		return r < 0 ? -EUCLEAN : 0;
	}
	r = stats_parse(o, &ev->stats);
	if (r < 0 && r != -ENOENT)
		return -EUCLEAN;
	ev->has_stats = r >= 0;
	return tag_parse(o, ev);
}

int proto_event_parse(const struct json *o, struct proto_event *ret_ev)
{
	struct proto_event ev = { 0 };
	const char *text;
	bool ok;
	int push, r;

	if (json_get_int(o, "id", &ev.id) < 0 || ev.id < 1)
		return -EUCLEAN;
	if (json_get_str(o, "event", &text) < 0)
		return -EUCLEAN;
	push = proto_push_parse(text);
	if (push < 0)
		return -EUCLEAN;
	ev.push = (enum proto_push)push;
	if (json_get_bool(o, "ok", &ok) != -ENOENT) {
		r = done_parse(o, &ev);
		if (r < 0)
			return r;
	} else {
		r = proto_str_parse(o, "reason", sizeof(ev.reason), ev.reason);
		if (r < 0 && r != -ENOENT)
			return -EUCLEAN;
		r = json_get_bool(o, "detail", &ev.wants_detail);
		if (r < 0 && r != -ENOENT)
			return -EUCLEAN;
		r = proto_str_parse(o, "statement", sizeof(ev.statement), ev.statement);
		if (r < 0 && r != -ENOENT)
			return -EUCLEAN;
		r = tag_parse(o, &ev);
		if (r < 0)
			return r;
	}
	*ret_ev = ev;
	return 0;
}

static int done_put(struct json *o, const struct proto_event *ev)
{
	int r;

	r = json_put_bool(o, "ok", ev->class == PROTO_CLASS_OK);
	if (r < 0)
		return r;
	if (ev->class == PROTO_CLASS_OK) {
		r = ev->has_stats ? stats_put(o, &ev->stats) : 0;
		return r >= 0 && ev->has_tag ? proto_hex_put(o, "tag", BACKUP_TAG_LEN, ev->tag) : r;
	}
	r = json_put_str(o, "class", proto_class_text(ev->class));
	if (r >= 0)
		r = json_put_str(o, "errno", proto_class_errno_text(ev->class));
	if (r >= 0)
		r = json_put_str(o, "message", ev->message);
	return r;
}

int proto_event_put(const struct proto_event *ev, char **ret_text)
{
	AUTO_JSON struct json *o = json_new_object();
	int r;

	if ((unsigned int)ev->push >= PROTO_PUSHES || ev->id < 1)
		return -EINVAL;
	r = json_put_int(o, "v", PROTO_VERSION);
	if (r >= 0)
		r = json_put_str(o, "event", proto_push_text(ev->push));
	if (r >= 0)
		r = json_put_int(o, "id", ev->id);
	if (r >= 0 && ev->done)
		r = done_put(o, ev);
	else if (r >= 0 && ev->reason[0])
		r = json_put_str(o, "reason", ev->reason);
	if (r >= 0 && !ev->done && ev->wants_detail)
		r = json_put_bool(o, "detail", true);
	if (r >= 0 && !ev->done && ev->statement[0])
		r = json_put_str(o, "statement", ev->statement);
	if (r >= 0 && !ev->done && ev->has_tag)
		r = proto_hex_put(o, "tag", BACKUP_TAG_LEN, ev->tag);
	if (r < 0)
		return r;
	return json_dump(o, ret_text);
}
