/* request.h: what the handlers of request.c, request_key.c and request_mount.c share. Each handler is, visibly in this order:
 * who asks (peer_check, before it is called), may they (request_allowed), is it what this host believes (the pin), act, record, answer.
 * The record is durable before a key leaves: no audit, no unlock. */
#ifndef COFFER_AGENT_REQUEST_H
#define COFFER_AGENT_REQUEST_H

#include "agent/agent.h"
#include "agent/pins.h"

struct call {
	struct agent *a;
	struct conn *c;
	const struct proto_request *req;
	int fd;                   /* what came with the request, or -1 */
	struct proto_reply *reply;
	int reply_fd;             /* what goes with the answer, or -1; stays the connection's */
	bool later;               /* a relay answers */
	uint64_t row;             /* of request_record_key: the answer waits until it is durable; 0: it does not */
	bool row_of_volume;       /* … and the key is one of a volume's, req->instance */
	char row_tenant[TENANT_LEN_MAX + 1];
};

/* OK or DENIED, and then audited. tenant: whose data it is about; NULL when that is not known yet, and then the handler asks again, or when it is
 * about none. The volume is the one that the request names. */
enum proto_class request_allowed(struct call *k, const char *tenant);
/* The same for a volume that the request does not name; uuid: UUID_LEN bytes, NULL: none. */
enum proto_class request_allowed_for(struct call *k, const char *tenant, const uint8_t *uuid);
/* May the tenant's volumes have these keys (kms= of its rules)? OK, or DENIED and audited. Recovery keys are no matter of kms=: request_recovery_allowed
 * is asked where one is made or used, so that forbidding them takes no other key away. */
enum proto_class request_keys_allowed(struct call *k, const char *tenant, size_t count, const char (*kms)[KMS_URI_MAX + 1]);
/* recovery= of its rules: OK, or DENIED and audited. */
enum proto_class request_recovery_allowed(struct call *k, const char *tenant);
/* May the pin of the request's instance, if there is one, be replaced by one for this tenant? OK, or DENIED and audited. */
enum proto_class request_pin_taken(struct call *k, const char *tenant);
/* Append to the audit log: OK or AUDIT. */
enum proto_class request_record(struct call *k, const struct audit_event *e);
/* The same for a key that request_later_answer hands over: it waits for the row there, and the loop does not. */
enum proto_class request_record_key(struct call *k, const struct audit_event *e);
/* What the key service said goes into the row; kms may be NULL. What e points to is in kms. */
void request_record_kms(struct audit_event *e, const struct kms_error *kms);
/* A refusal worth a line, which changes nothing about what is answered. */
void request_record_refusal(struct call *k, const char *what, const char *tenant, enum proto_class class, const struct kms_error *kms);
/* The pin of the request's instance: OK, UNTRUSTED or INTERNAL. */
enum proto_class request_pin_find(struct call *k, struct pin *pin);
/* The same, and then whether the peer may do this for the pin's tenant. */
enum proto_class request_pin_allowed(struct call *k, struct pin *pin);
enum proto_class request_pin_keep(struct call *k, const struct pin *pin);
/* Is this the instance that was unlocked, pinned or registered here? */
bool request_mount_bound(const struct call *k, const struct proto_instance *in);
/* Whose events this connection may send from now on. */
void request_bind(struct call *k);

/* An answer that has to wait for a thread, while the connection may go away. */
struct request_later;
/* From a handler: from here on the connection has an init or unlock under way, and request_later_answer must be called. NULL: out of memory. */
struct request_later *request_later_new(struct call *k);
/* On the loop: when the peer is still there, fn goes on with the call, whose class and reply are then sent. Frees l. */
void request_later_answer(struct agent *a, struct request_later *l, enum proto_class (*fn)(struct call *k, const void *arg), const void *arg);
/* request_held.c: keep the answer, and the key beside it, until the row of k is durable; takes the reply over. Without memory the connection ends. */
void request_held_keep(struct call *k);
/* It does not come to that. */
void request_later_free(struct call *k, struct request_later *l);

/* What came beside the request: parsed, and of the instance's uuid. malloc'ed. */
enum proto_class request_key_config(struct call *k, uint8_t **ret_p, size_t *ret_len, struct volume_config **ret_cfg);
/* BUSY while a key is on its way to this connection, or asked for. */
enum proto_class request_key_free_hands(struct call *k);
/* The key, or a secret of another length, goes beside the answer. */
enum proto_class request_key_hand_over(struct call *k, const struct secret *root);
/* A verified copy of coffer.volume, for the day when that file is lost, and for probes. */
void request_key_config_keep(struct call *k, const uint8_t *p, size_t len);

/* request_key.c: whatever handles keys or decides whose they are. */
enum proto_class request_key_init(struct call *k);
enum proto_class request_key_pin(struct call *k);
enum proto_class request_key_ack(struct call *k);
enum proto_class request_key_trust(struct call *k);

/* request_keys.c */
/* The recovery key that came beside the request, and the URI of its slot. BADREQ: it is none. */
enum proto_class request_keys_brought(struct call *k, struct secret **ret_key, char ret_uri[static KMS_RECOVERY_URI_MAX]);
enum proto_class request_keys_tell(struct call *k);

/* request_unlock.c */
enum proto_class request_unlock_start(struct call *k);

/* request_backup.c */
enum proto_class request_backup_sign(struct call *k);
/* request_done.c */
enum proto_class request_done(struct call *k);

/* request_audit.c */
enum proto_class request_audit(struct call *k);

/* request_recover.c */
enum proto_class request_recover_start(struct call *k);

/* request_seal.c */
enum proto_class request_seal_start(struct call *k);
enum proto_class request_seal_unseal(struct call *k);

/* request_lock.c: an operator's locks. */
enum proto_class request_lock_lock(struct call *k);
enum proto_class request_lock_unlock(struct call *k);
/* OK, or LOCKED and who locked it, when, why and how it is undone. uuid NULL: only the tenant's. */
enum proto_class request_lock_check(struct call *k, const uint8_t *uuid, const char *tenant);

/* request_mount.c: mounts, and what is asked of them. */
enum proto_class request_mount_register(struct call *k);
enum proto_class request_mount_event(struct call *k);
enum proto_class request_mount_status(struct call *k);
enum proto_class request_mount_sync(struct call *k);
enum proto_class request_mount_freeze(struct call *k);
enum proto_class request_mount_thaw(struct call *k);
enum proto_class request_mount_backup_tag(struct call *k);

#endif
