/* audit_journal.c: rows that an operator alarms on, told to the journal as well, with fields (docs/operations.md, "The journal"). What is said here is in the audit
 * log already, or could not be written there: a journal that is away loses nothing. */
#include "agent/audit_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "format/volume_config.h"

#define VALUE_MAX 512

/* An id stays what it is as long as its event means the same. */
static const struct {
	const char *what, *id;
	enum log_level level; /* of one that went well */
} events[] = {
	{ "key.lock", "d154f4325ac24b068d4ab8eb8ff209c2", LOG_LEVEL_WARNING },
	{ "key.unlock", "a9832155ab244b6a8671ef7740f32468", LOG_LEVEL_INFO },
	{ "key.unwrap", "f59fc75b0baf42a483ac8563d918f047", LOG_LEVEL_INFO },
	{ "key.recovery", "deb3fa2123894804b0bc1e22126d73ad", LOG_LEVEL_WARNING },
	{ "key.revoked_seen", "9a201b289a4b41fa86f599c29f258c7e", LOG_LEVEL_ERR },
	{ "key.suspect", "68b11d0cc9ae4844879dac7b161f0f36", LOG_LEVEL_WARNING },
	{ "key.stale_begin", "4610015b94364e758bc2c24c142bb6b7", LOG_LEVEL_WARNING },
	{ "key.stale_end", "97ce5c5b841a4a3dae18dfbbff386697", LOG_LEVEL_INFO },
	{ "operator.lock", "01a90ddef5c943428ca8ceecc5b556e2", LOG_LEVEL_WARNING },
	{ "operator.unlock", "c8d12b2e2d9f47ceaf98bb3f9c8c6e4f", LOG_LEVEL_INFO },
	{ "peer.denied", "6bbef5b2ffba412f82549cdef81514ad", LOG_LEVEL_WARNING },
	{ "volume.older", "696c5fa38e444ade8a56ae8ae8e4e174", LOG_LEVEL_ERR },
	{ "mount.integrity", "2a569590f8fe43048f8952db3422980a", LOG_LEVEL_ERR },
	{ "mount.replay", "77bb8937d22a4b19a520510b8600eeaf", LOG_LEVEL_WARNING },
	{ "scrub", "8e6e362d916b4993acd4ef47663ad5c4", LOG_LEVEL_INFO },
	{ "backup", "799ee85dd9084e108fcf5b73d74f8d5d", LOG_LEVEL_INFO },
	{ "backup.verify", "5270ad009aad42cdb090c5522950de54", LOG_LEVEL_INFO },
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

struct values {
	struct journal_field fields[JOURNAL_FIELDS_MAX];
	size_t count;
	char text[JOURNAL_FIELDS_MAX][VALUE_MAX];
};

static void add(struct values *v, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	(void)text_escape(value, strlen(value), v->text[v->count], VALUE_MAX);
	v->fields[v->count] = (struct journal_field){ name, v->text[v->count] };
	v->count++;
}

static void add_peer(struct values *v, const struct peer *p)
{
	char uid[24];

	(void)snprintf(uid, sizeof(uid), "%llu", (unsigned long long)p->uid);
	add(v, "COFFER_PEER_UID", uid);
	add(v, "COFFER_PEER_UNIT", p->unit);
}

static void tell(size_t at, const struct audit_event *e)
{
	const char *outcome = e->outcome ? e->outcome : "ok", *why = e->reason && e->reason[0] ? e->reason : e->detail;
	AUTO_FREE struct values *v = calloc(1, sizeof(*v));
	enum log_level level = events[at].level;
	char uuid[33] = "";

	if (!v)
		return;
	if (strcmp(outcome, "ok") != 0 && level > LOG_LEVEL_WARNING)
		level = LOG_LEVEL_WARNING;
	if (e->uuid)
		volume_config_uuid_text(e->uuid, uuid);
	add(v, "MESSAGE_ID", events[at].id);
	add(v, "COFFER_EVENT", e->what);
	add(v, "COFFER_OUTCOME", outcome);
	add(v, "COFFER_VOLUME", uuid);
	add(v, "COFFER_TENANT", e->tenant);
	add(v, "COFFER_CLASS", e->class);
	add(v, "COFFER_REASON", why);
	add(v, "COFFER_MOUNTPOINT", e->mountpoint);
	add(v, "COFFER_KEY", e->key_uri);
	if (e->peer)
		add_peer(v, e->peer);
	log_fields(level, v->fields, v->count, "%s: %s%s%s%s%s", e->what, outcome, e->mountpoint ? ": " : "", e->mountpoint ? e->mountpoint : "",
		   why && why[0] ? ": " : "", why && why[0] ? why : "");
}

void audit_journal(const struct audit_event *e)
{
	if (!log_is_journal())
		return; /* the lines beside it are for people */
	for (size_t i = 0; i < EVENTS; i++)
		if (strcmp(events[i].what, e->what) == 0)
			tell(i, e);
}
