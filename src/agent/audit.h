/* audit.h: the record of who got which key when (docs/protocol.md, "Audit log"). One JSON object a line, each with a sequence
 * number and the SHA-256 of the line before it, so that an edit, a gap or a swap shows. */
#ifndef COFFER_AGENT_AUDIT_H
#define COFFER_AGENT_AUDIT_H

#include "agent/peer.h"
#include "agent/proto.h"

struct audit;

/* What happened; members left NULL or 0 are left out. */
struct audit_event {
	const char *what;                   /* start, init, pin, trust, unlock, deny, … */
	const struct peer *peer;
	const uint8_t *uuid;                /* UUID_LEN bytes */
	const char *tenant;
	const char *key_uri;
	const char *rule;                   /* of the policy */
	const char *purpose;
	const char *mountpoint;
	const char *class;
	const char *object;
	const char *detail;
	uint64_t count;
};

/* Open audit.log below dirfd, making it if it is not there, and find the chain's end. -EUCLEAN: what is there is no audit log. */
int audit_open(int dirfd, struct audit **ret_a) must_check;
void audit_free(struct audit *a);

/* Append and flush; on any failure nothing may be unlocked. A line half written by a failure is closed off by the next. */
int audit_append(struct audit *a, const struct audit_event *e) must_check;

/* The same for refusals, at most AUDIT_REFUSALS a minute so that nobody can fill the disk; the rest is counted and the count stands
 * in the next line written. */
#define AUDIT_REFUSALS 60
int audit_append_refusal(struct audit *a, const struct audit_event *e) must_check;

#endif
