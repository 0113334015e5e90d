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

/* Unwrap an active slot whose URI the pin names, under the pin's tenant; check the commitment and the MAC of the bytes. Slots that no pin
 * names are never tried. The next slot is tried only when the one before gave no answer (TRANSIENT, THROTTLED). */
enum proto_class opener_open(const struct kms_host *host, const struct pin *pin, const struct volume_config *cfg,
			     const uint8_t *p, size_t len, char message[static PROTO_MESSAGE_MAX],
			     struct opened *ret_opened);

/* New KEKs and a new root key, wrapped under each of the keys. */
enum proto_class opener_make(const struct kms_host *host, const char *tenant, const uint8_t uuid[static UUID_LEN],
			     size_t kms_count, const char (*kms)[KMS_URI_MAX + 1],
			     char message[static PROTO_MESSAGE_MAX], struct key_slot *ret_slots,
			     struct secret **ret_root);

enum proto_class opener_class(enum kms_class c);

#endif
