/* opener.h: from the bytes of a coffer.volume and a pin to the root key. The answers are classes of the protocol, and
 * message (PROTO_MESSAGE_MAX bytes) says the rest. */
#ifndef COFFER_AGENT_OPENER_H
#define COFFER_AGENT_OPENER_H

#include "agent/pins.h"
#include "kms/kms.h"

struct opened {
	struct secret *root;                 /* the caller's */
	char key_uri[KMS_URI_MAX + 1];
	uint8_t commitment[COMMITMENT_LEN];
};

/* Parse bytes that a peer handed over; believes nothing. malloc'ed. */
enum proto_class opener_parse(const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
			      struct volume_config **ret_cfg);

/* What the pinned active slots of a volume said, in their order. */
struct opener_answers {
	unsigned count;
	struct {
		bool asked;
		enum kms_class class;
	} slot[SLOTS_MAX];
	char message[PROTO_MESSAGE_MAX]; /* of the last that gave no key */
	struct kms_error kms;            /* of the last that was asked, also when it gave the key: for the audit log */
};

/* How many slots that is; those of recovery keys do not count, because nobody can ask them. */
unsigned opener_slots(const struct pin *pin, const struct volume_config *cfg);
/* Really unwrap, and check what comes as opener_open does, but give nothing back. asks(arg, slot, had_good) decides which are asked. */
void opener_probe(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
		  bool (*asks)(const void *arg, unsigned slot, bool had_good), const void *arg, struct opener_answers *ret_answers);

/* Unwrap an active slot whose URI the pin names, under the pin's tenant; check the commitment and the MAC of the bytes. Slots that no pin
 * names are never tried, nor those of recovery keys. The next slot is tried only when the one before gave no answer (TRANSIENT, THROTTLED). */
enum proto_class opener_open(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
			     const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
			     struct opener_answers *ret_answers, struct opened *ret_opened);

/* The KEK of a recovery key's slot, as a host keeps it for a while after somebody brought the key. */
struct opener_kept {
	char uri[KMS_URI_MAX + 1];
	struct secret *kek;
};

/* opener_open; then, when no slot gave its key and none said no (REVOKED, DENIED; all are asked), the slot of the kept KEK. */
enum proto_class opener_open_kept(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
				  const uint8_t *p, size_t len, const struct opener_kept *kept, char message[static PROTO_MESSAGE_MAX],
				  struct opener_answers *ret_answers, struct opened *ret_opened);
/* With host->recovery at hand: the KEK of its slot under the same conditions, when that opens these bytes; ret_kept->kek is the caller's. NULL, and OK: another
 * slot opens, ret_kept->uri, so it is not needed. */
enum proto_class opener_recover(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
				const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
				struct opener_answers *ret_answers, struct opener_kept *ret_kept);

/* New KEKs and a new root key, wrapped under each of the keys. */
enum proto_class opener_make(const struct kms_host *host, const char *tenant, const uint8_t uuid[static UUID_LEN],
			     size_t kms_count, const char (*kms)[KMS_URI_MAX + 1],
			     char message[static PROTO_MESSAGE_MAX], struct key_slot *ret_slots,
			     struct secret **ret_root);

enum proto_class opener_class(enum kms_class c);

#endif
