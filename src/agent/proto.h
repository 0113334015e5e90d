/* proto.h: the messages between agent and clients as structs, and their bytes (docs/protocol.md is the mirror of this
 * file). Pure: bytes in, bytes or -errno out. One JSON object a packet. Requests are read strictly (an unknown member is
 * refused); answers leniently (a newer agent may say more). Key bytes and whole configs never stand in a message: they
 * travel as descriptors beside it. */
#ifndef COFFER_AGENT_PROTO_H
#define COFFER_AGENT_PROTO_H

#include "base/err.h"
#include "base/meter.h"
#include "crypt/backup_tag.h"
#include "crypt/credential.h"
#include "crypt/sign.h"
#include "format/volume_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_VERSION 1
#define PROTO_PACKET_MAX 65536
#define PROTO_MESSAGE_MAX 512
#define PROTO_PATH_MAX 4096
#define PROTO_HANDLE_MAX 128
#define PROTO_GENERATION_LEN 16
#define PROTO_DETAIL_MAX 512
#define PROTO_TEXT_MAX 64
#define PROTO_REASON_MAX 200
#define PROTO_CREDENTIAL_MAX 128
#define PROTO_KMS_MAX 8
#define PROTO_STATUS_MAX (16 * 1024 * 1024)

struct json;

enum proto_op {
	PROTO_OP_HELLO,
	PROTO_OP_INIT,
	PROTO_OP_PIN,
	PROTO_OP_UNLOCK,
	PROTO_OP_ACK,
	PROTO_OP_TRUST,
	PROTO_OP_REGISTER,
	PROTO_OP_EVENT,
	PROTO_OP_STATUS,
	PROTO_OP_SYNC,
	PROTO_OP_FREEZE,
	PROTO_OP_THAW,
	PROTO_OP_LOCK,
	PROTO_OP_UNLOCK_TENANT,
	PROTO_OP_KEYS,
	PROTO_OP_RECOVER,
	PROTO_OP_SEAL,
	PROTO_OP_UNSEAL,
	PROTO_OP_DONE,
	PROTO_OP_AUDIT,
	PROTO_OP_BACKUP_SIGN,
	PROTO_OP_BACKUP_TAG,
	PROTO_OPS,
};

/* Pushed on a registered mount; it answers with the same id. */
enum proto_push {
	PROTO_PUSH_LOCK,
	PROTO_PUSH_UNLOCK,
	PROTO_PUSH_SYNC,
	PROTO_PUSH_FREEZE,
	PROTO_PUSH_THAW,
	PROTO_PUSH_STATS,
	PROTO_PUSH_BACKUP_TAG,
	PROTO_PUSHES,
};

/* Kinds of `event`. */
enum proto_kind {
	PROTO_KIND_SEEN,      /* durable in the volume since: config version, log generation, stamp limit */
	PROTO_KIND_INTEGRITY, /* something on disk did not verify */
	PROTO_KIND_OLDER,     /* the mount refused its volume as older than last seen */
	PROTO_KIND_REPLAY,    /* replay dropped or quarantined something */
	PROTO_KIND_DRILL,     /* `coffer drill` has locked this volume and opened it again */
	PROTO_KINDS,
};

/* What `done` says was done with a volume, whole and without a finding. */
enum proto_done { PROTO_DONE_SCRUB, PROTO_DONE_BACKUP, PROTO_DONE_VERIFY, PROTO_DONES };

/* Why a request was refused. The table in proto.c gives each its wire text, errno and exit code. */
enum proto_class {
	PROTO_CLASS_OK,
	PROTO_CLASS_DENIED,      /* by policy */
	PROTO_CLASS_UNTRUSTED,   /* no pin, or not what the pin says */
	PROTO_CLASS_OLDER,       /* older than this host has seen */
	PROTO_CLASS_REVOKED,     /* KMS_REVOKED */
	PROTO_CLASS_KMS_DENIED,  /* KMS_DENIED; "DENIED" with ENOKEY on the wire */
	PROTO_CLASS_LOCKED,      /* by an operator, until he unlocks */
	PROTO_CLASS_AUTH,
	PROTO_CLASS_TRANSIENT,
	PROTO_CLASS_THROTTLED,
	PROTO_CLASS_CORRUPT,     /* key, slot or config MAC does not fit */
	PROTO_CLASS_BADREQ,
	PROTO_CLASS_CONFIG,
	PROTO_CLASS_NOT_VOLUME,
	PROTO_CLASS_UNSUPPORTED,
	PROTO_CLASS_EXISTS,
	PROTO_CLASS_NOT_MOUNTED,
	PROTO_CLASS_BUSY,
	PROTO_CLASS_AUDIT,       /* the audit log cannot be written: nothing new is unlocked */
	PROTO_CLASS_RESOURCE,
	PROTO_CLASS_INTERNAL,
	PROTO_CLASSES,
};

/* Which directory a volume is: a copy or a restore has the same uuid and is another instance. */
struct proto_instance {
	uint8_t uuid[UUID_LEN];
	uint16_t handle_type;    /* of the volume root, name_to_handle_at(2); handle_len 0: the filesystem has none */
	uint16_t handle_len;
	uint8_t handle[PROTO_HANDLE_MAX];
	uint64_t fsid;
};

bool proto_instance_equal(const struct proto_instance *a, const struct proto_instance *b);

/* How new a volume was, as this host's agent last heard; all zero: never. */
struct proto_seen {
	uint64_t config_version;
	uint64_t stamp_limit;
	uint8_t generation[PROTO_GENERATION_LEN];
	bool older_ok;           /* trust --older was said; cleared by the next seen */
};

/* What only metrics want to know. */
struct proto_detail {
	uint64_t commits;
	bool reserve_whole;
	uint64_t integrity[METER_KINDS];
	struct meter_sum ops[METER_OPS], commit, checkpoint;
};

/* What a mount says about itself (answer to `stats`); the agent adds the rest of `coffer status --json`. */
struct proto_stats {
	char state[16];          /* ready, recovering, draining, failed */
	bool read_only;
	bool locked;
	char since[TIME_TEXT_MAX];
	uint64_t log_size_bytes, log_used_bytes, last_commit_age_ms;
	uint64_t dirty_bytes, read_bytes, write_bytes;
	uint64_t integrity_failures, replayed_transactions;
	bool has_detail;
	struct proto_detail detail;
};

struct proto_request {
	int64_t id;
	enum proto_op op;
	char tenant[TENANT_LEN_MAX + 1];            /* init; lock, unlock-tenant: or empty, then it is about a volume */
	uint8_t uuid[UUID_LEN];                     /* init; lock, unlock-tenant without tenant */
	char reason[PROTO_REASON_MAX];              /* lock: one line, may be empty */
	size_t kms_count;                           /* init; 0: a fresh local: key */
	char kms[PROTO_KMS_MAX][KMS_URI_MAX + 1];
	struct proto_instance instance;             /* pin, unlock, trust, register, keys, recover */
	char purpose[PROTO_TEXT_MAX];               /* unlock: mount, fsck, … (for the audit log) */
	char statement[BACKUP_STATEMENT_MAX];       /* backup-sign, backup-tag: what is signed or tagged (crypt/backup_statement.h) */
	bool has_tag;                               /* backup-tag: is it this one? Then none is made */
	uint8_t tag[BACKUP_TAG_LEN];
	int64_t of;                                 /* ack: id of the init or unlock */
	bool older;                                 /* trust */
	bool scratch;                               /* trust: only as long as this connection */
	char volume[PROTO_PATH_MAX];                /* register: as the user named it */
	char source[PROTO_PATH_MAX];                /* register: the volume's directory */
	char mountpoint[PROTO_PATH_MAX];            /* register, sync, freeze, thaw, backup-tag */
	int64_t mounter;                            /* sync: uid that serves it, by the asker's mountinfo; -1: not said */
	bool read_only;                             /* register */
	bool locked;                                /* register: the mount has no keys now */
	enum proto_kind kind;                       /* event */
	enum proto_done done;                       /* done; with instance and detail */
	struct proto_seen seen;                     /* event seen */
	char object[PROTO_TEXT_MAX];                /* other events: file, directory, state, log, … */
	char detail[PROTO_DETAIL_MAX];              /* … one line; names of the backing directory only */
	uint64_t count;
	char name[CREDENTIAL_NAME_MAX + 1];         /* seal, unseal: of the credential */
	uint64_t version;                           /* seal: 0, the next one */
	uint64_t size;                              /* seal: bytes of the secret beside it */
	uint64_t since_ns;                          /* audit: nanoseconds since 1970 */
	uint64_t from_seq;                          /* audit: the first row that is wanted */
};

struct proto_reply {
	int64_t id;
	enum proto_class class;                     /* PROTO_CLASS_OK: ok */
	char message[PROTO_MESSAGE_MAX];            /* of a failure */
	char version[PROTO_TEXT_MAX];               /* hello */
	int64_t pid;                                /* hello */
	char tenant[TENANT_LEN_MAX + 1];            /* unlock, trust, keys */
	size_t slot_count;                          /* init */
	struct key_slot *slots;                     /* init; malloc'ed, proto_reply_done */
	char key_uri[KMS_URI_MAX + 1];              /* unlock, recover: the slot that opened; keys: the one that did last */
	uint8_t commitment[COMMITMENT_LEN];         /* unlock */
	char credential[PROTO_CREDENTIAL_MAX];      /* unlock: which one opened it: its kind and public name; may be empty */
	struct proto_seen seen;                     /* unlock, trust, keys */
	size_t kms_count;                           /* trust, keys */
	char kms[SLOTS_MAX][KMS_URI_MAX + 1];
	uint64_t agent_grace_ms;                    /* register: how long the mount may go on without an agent; 0: it was not told */
	uint64_t mounts;                            /* lock, unlock-tenant: how many were told, and obeyed */
	uint64_t kept_ms;                           /* recover: how long the recovery key's KEK is kept; 0: it was not needed */
	uint64_t credential_version;                /* seal, unseal */
	uint8_t public_key[SIGN_PUBLIC_LEN];        /* backup-sign: this host's, for backups */
	uint8_t signature[SIGN_LEN];                /* backup-sign */
	uint8_t tag[BACKUP_TAG_LEN];                /* backup-tag */
	uint64_t size;                              /* unseal: bytes of the secret beside it */
	uint64_t next_seq;                          /* audit: where to go on; 0: these were the last */
	bool known;                                 /* trust: this instance was pinned before */
	bool other_instance;                        /* trust: the same uuid is pinned elsewhere too */
	enum proto_op op;                           /* of the request: which members there are */
};

/* An event pushed on a mount, or (done) its answer. */
struct proto_event {
	int64_t id;
	enum proto_push push;
	bool done;
	enum proto_class class;                     /* done */
	char message[PROTO_MESSAGE_MAX];
	char reason[PROTO_MESSAGE_MAX];             /* pushed: lock */
	bool wants_detail;                          /* pushed: stats */
	char statement[BACKUP_STATEMENT_MAX];       /* pushed: backup-tag */
	bool has_stats;                             /* done, stats */
	struct proto_stats stats;
	bool has_tag;                               /* done, backup-tag; pushed: is it this one? */
	uint8_t tag[BACKUP_TAG_LEN];
};

enum proto_type { PROTO_TYPE_REQUEST, PROTO_TYPE_EVENT_DONE };

/* What a client sent: a request, or the answer to an event; only that struct is filled. -EUCLEAN not such a message, -EFBIG, -EOPNOTSUPP another
 * protocol version. *id is the message's id where one can be read, else 0, so that the refusal can be matched; why says what is wrong. */
int proto_request_parse(const void *p, size_t len, enum proto_type *ret_type, struct proto_request *req,
			struct proto_event *ev, int64_t *id, char why[static 128]) must_check;
/* malloc'ed text without line feed; -EINVAL a field out of its limits, -EMSGSIZE beyond PROTO_PACKET_MAX. All _put alike. */
int proto_request_put(const struct proto_request *req, char **ret_text) must_check;

/* What the agent sent: a pushed event, or the answer to a request of op expect. Members that op does not have stay zero.
 * Caller: proto_reply_done. -EUCLEAN, -EFBIG. */
int proto_reply_parse(const void *p, size_t len, enum proto_op expect, struct proto_reply *reply,
		      struct proto_event *ev, bool *ret_is_event) must_check;
int proto_reply_put(const struct proto_reply *reply, char **ret_text) must_check;
void proto_reply_done(struct proto_reply *reply);

/* A pushed event or the answer to one, out of the object it came in. -EUCLEAN. */
int proto_event_parse(const struct json *o, struct proto_event *ret_ev) must_check;
int proto_event_put(const struct proto_event *ev, char **ret_text) must_check;
/* `detail` of stats, both ways. -EUCLEAN. */
int proto_detail_parse(const struct json *o, struct proto_detail *ret_d) must_check;
int proto_detail_put(struct json *o, const struct proto_detail *d) must_check;
/* The members of s but `state` and `detail`, into o: also what `coffer status --json` has of them. */
int proto_stats_put(struct json *o, const struct proto_stats *s) must_check;

const char *proto_op_text(enum proto_op op);
const char *proto_push_text(enum proto_push p);
const char *proto_kind_text(enum proto_kind k);
const char *proto_done_text(enum proto_done d);
/* Fill message, which goes to people; returns class. */
enum proto_class proto_class_say(char message[static PROTO_MESSAGE_MAX], enum proto_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *proto_class_text(enum proto_class c);
const char *proto_class_errno_text(enum proto_class c);
/* PROTO_CLASS_INTERNAL for a pair that is not in the table. */
enum proto_class proto_class_parse(const char *text, const char *errno_text);
/* The enum's value, -ENOENT. */
int proto_op_parse(const char *text) must_check;
int proto_push_parse(const char *text) must_check;
int proto_kind_parse(const char *text) must_check;
int proto_done_parse(const char *text) must_check;
int proto_class_errno(enum proto_class c);          /* -errno; 0 for OK */
enum coffer_exit proto_class_exit(enum proto_class c);

/* The text forms of shared members, both ways; -EUCLEAN, -EINVAL. */
int proto_instance_parse(const struct json *o, const char *key, struct proto_instance *ret_i) must_check;
int proto_instance_put(struct json *o, const char *key, const struct proto_instance *i) must_check;
int proto_seen_parse(const struct json *o, const char *key, struct proto_seen *ret_s) must_check;
int proto_seen_put(struct json *o, const char *key, const struct proto_seen *s) must_check;
/* A counter of 0..INT64_MAX. */
int proto_u64_parse(const struct json *o, const char *key, uint64_t *ret_n) must_check;
int proto_u64_put(struct json *o, const char *key, uint64_t n) must_check;
/* A string of at most max - 1 bytes, copied. */
int proto_str_parse(const struct json *o, const char *key, size_t max, char *ret_text) must_check;
/* A member of the hexadecimal digits of n bytes. */
int proto_hex_parse(const struct json *o, const char *key, size_t n, uint8_t *ret_p) must_check;
int proto_hex_put(struct json *o, const char *key, size_t n, const uint8_t *p) must_check; /* n at most 64 */

/* Is now older than seen? By config version, stamp limit or the stamp in the generation; a generation of the same stamp with other
 * random bytes is another history, and older too. older_ok is not looked at. */
bool proto_seen_is_older(const struct proto_seen *now, const struct proto_seen *seen) must_check;

#endif
