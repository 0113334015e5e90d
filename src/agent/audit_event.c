/* audit_event.c: the members of a row that tell what happened. Text comes from clients and from providers: what is no UTF-8 or has control
 * characters is escaped, so that a row has but one form (audit_row.c). */
#include "agent/audit_impl.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "format/volume_config.h"

#define TEXT_MAX 5120 /* a path, escaped or not, is cut here: a row has room for two */

static bool is_plain(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return text_is_utf8(text, len);
}

static int text_put(struct json *o, const char *key, const char *text)
{
	char buf[TEXT_MAX];
	size_t len;

	if (!text || !text[0])
		return 0;
	len = strlen(text);
	if (len < sizeof(buf) && is_plain(text, len))
		return json_put_str(o, key, text);
	(void)text_escape(text, len, buf, sizeof(buf));
	return json_put_str(o, key, buf);
}

static int number_put(struct json *o, const char *key, uint64_t n)
{
	return n ? proto_u64_put(o, key, n > INT64_MAX ? INT64_MAX : n) : 0;
}

static int peer_put(struct json *o, const struct peer *p)
{
	AUTO_JSON struct json *v = json_new_object();
	int r;

	r = json_put_int(v, "uid", (int64_t)p->uid);
	if (r >= 0 && p->pid > 0)
		r = json_put_int(v, "pid", p->pid);
	if (r >= 0)
		r = number_put(v, "starttime", p->start_time);
	if (r >= 0)
		r = text_put(v, "unit", p->unit);
	if (r < 0)
		return r;
	return json_put_json(o, "peer", take_ptr(v));
}

/* The key URI's scheme is the provider's name. */
static int provider_put(struct json *o, const struct audit_event *e)
{
	size_t n = e->key_uri ? strcspn(e->key_uri, ":") : 0;
	char scheme[16];

	if (e->provider || n == 0 || n >= sizeof(scheme))
		return text_put(o, "provider", e->provider);
	memcpy(scheme, e->key_uri, n);
	scheme[n] = '\0';
	return text_put(o, "provider", scheme);
}

static int texts_put(struct json *o, const struct audit_event *e)
{
	const struct {
		const char *key, *text;
	} texts[] = {
		{ "outcome", e->outcome ? e->outcome : "ok" },
		{ "tenant", e->tenant },
		{ "purpose", e->purpose },
		{ "key_uri", e->key_uri },
		{ "key_version", e->key_version },
		{ "endpoint_host", e->endpoint_host },
		{ "req_id", e->req_id },
		{ "credential_source", e->credential_source },
		{ "cache", e->cache },
		{ "config_hash", e->config_hash },
		{ "policy_id", e->rule },
		{ "class", e->class },
		{ "mountpoint", e->mountpoint },
		{ "object", e->object },
		{ "detail", e->detail },
		{ "reason", e->reason },
	};
	size_t i;
	int r = 0;

	for (i = 0; r >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = text_put(o, texts[i].key, texts[i].text);
	return r;
}

static int numbers_put(struct json *o, const struct audit_event *e)
{
	int r;

	r = number_put(o, "count", e->count);
	if (r >= 0 && e->http > 0)
		r = number_put(o, "http", (uint64_t)e->http);
	if (r >= 0)
		r = number_put(o, "attempt", e->attempt);
	if (r >= 0)
		r = number_put(o, "latency_ms", e->latency_ms);
	if (r >= 0)
		r = number_put(o, "stale_for_s", e->stale_for_s);
	return r;
}

int audit_event_put(struct json *o, const struct audit_event *e)
{
	char uuid[33];
	int r;

	r = texts_put(o, e);
	if (r >= 0)
		r = provider_put(o, e);
	if (r >= 0)
		r = numbers_put(o, e);
	if (r >= 0 && e->uuid) {
		volume_config_uuid_text(e->uuid, uuid);
		r = json_put_str(o, "volume", uuid);
	}
	if (r >= 0 && e->peer)
		r = peer_put(o, e->peer);
	return r;
}
