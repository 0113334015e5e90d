/* audit.h: the record of who got which key when (docs/protocol.md, "Audit log"). One JSON object a line under a hash chain, so that an edit, a gap or a
 * swap shows; its end is signed every minute and told to somebody else, so that a cut shows, too. */
#ifndef COFFER_AGENT_AUDIT_H
#define COFFER_AGENT_AUDIT_H

#include "agent/peer.h"
#include "agent/proto.h"

#include <stdbool.h>
#include <stdint.h>

struct audit;

/* [audit] of coffer.conf. Everything has a default: audit_conf_default. */
struct audit_conf {
	char dir[4096];          /* dir=: where the log's files are; empty: the state directory */
	char anchor_file[4096];  /* anchor-file=: empty: audit.anchors beside the log's files */
	bool required;           /* required=: nothing new is unlocked while the log cannot be written */
	uint64_t retain_ms;      /* retain=: files whose newest row is older are removed; 0: never */
	uint64_t rotate_bytes;   /* a file that has grown so large is followed by another one … */
	uint64_t rotate_ms;      /* … or that was begun so long ago */
};
void audit_conf_default(struct audit_conf *conf);

/* What happened; members left NULL or 0 are left out. Names of events are in docs/protocol.md, "Audit log": key.unwrap, key.lock, peer.denied, … */
struct audit_event {
	const char *what;
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
	const char *outcome;                /* ok (also when NULL), refused, failed */
	const char *reason;                 /* why it was done: an operator's word, "probe refused", … */
	const char *key_version;
	const char *provider;               /* of the key: local, vault, … */
	const char *endpoint_host;
	const char *req_id;                 /* the provider's, so that both logs can be joined */
	const char *credential_source;      /* env, file, approle, …; never the secret */
	const char *cache;                  /* hit, miss, stale */
	const char *config_hash;            /* of the rules that were loaded: policy.load */
	int http;                           /* status of the provider's answer */
	unsigned attempt;
	uint64_t latency_ms;
	uint64_t stale_for_s;
};

/* Find the log's end, or begin it, in conf->dir or below state_dirfd, where the host key is. One at a time for a directory. All of this is for one
 * thread, the agent's loop. Logs.
 * -EUCLEAN: what is there is no audit log; -EKEYREJECTED: it is of another host key; -EBUSY: another agent has it. */
int audit_open(int state_dirfd, const struct audit_conf *conf, const char *version, struct audit **ret_a) must_check;
/* With a last anchor. NULL is fine. */
void audit_free(struct audit *a);
/* A descriptor of its own of the directory that has the files, for a reader on another thread; -errno. */
int audit_dir(const struct audit *a) must_check;
/* New values of [audit]; dir stays until the next start: false when it is another one. */
bool audit_configure(struct audit *a, const struct audit_conf *conf);
/* required=: does a failure to append forbid what was to be recorded? */
bool audit_required(const struct audit *a);

/* Append and flush; on any failure nothing may be unlocked. What a failure left half written is closed off by the next. */
int audit_append(struct audit *a, const struct audit_event *e) must_check;

/* For a loop that must not wait for a disk: from audit_thread_start on a thread flushes, and the loop calls audit_kick when it is through with what there was, audit_reap when audit_fd is
 * readable. Until then (and in tests) whoever appends flushes. */
int audit_thread_start(struct audit *a) must_check;
int audit_fd(const struct audit *a);
void audit_kick(struct audit *a);
void audit_reap(struct audit *a);
/* Append; *ret_seq: which row it is. Nothing may be unlocked by it before audit_fate says that it is durable; once it is lost it never will be. Rows reach their fate in order. */
int audit_append_later(struct audit *a, const struct audit_event *e, uint64_t *ret_seq) must_check;
enum audit_fate { AUDIT_PENDING, AUDIT_DURABLE, AUDIT_LOST };
enum audit_fate audit_fate(const struct audit *a, uint64_t seq);

/* The same for refusals and what else a peer can cause at will: not flushed before the next anchor, and at most AUDIT_REFUSALS a minute for a uid, so that
 * nobody can fill the disk or hide another's; the rest is counted and the count becomes a peer.suppressed row. */
#define AUDIT_REFUSALS 30
int audit_append_refusal(struct audit *a, const struct audit_event *e) must_check;

/* Both, for what has happened, or is refused, whether or not it can be recorded: a failure is logged. Where there is a thread the row is durable a flush later. */
void audit_note(struct audit *a, const struct audit_event *e);
void audit_note_refusal(struct audit *a, const struct audit_event *e);

/* Now and then, at least every few seconds: anchors and counts that are due. */
void audit_tick(struct audit *a);

#endif
