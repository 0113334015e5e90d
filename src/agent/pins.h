/* pins.h: what this host believes about volumes, on disk (docs/protocol.md, "State"). One instance (uuid, root handle,
 * filesystem id) is one file of JSON, replaced atomically and durably, beside the last verified copy of its coffer.volume. */
#ifndef COFFER_AGENT_PINS_H
#define COFFER_AGENT_PINS_H

#include "agent/proto.h"

struct pin {
	struct proto_instance instance;
	char tenant[TENANT_LEN_MAX + 1];
	size_t kms_count;
	char kms[SLOTS_MAX][KMS_URI_MAX + 1];
	char created[TIME_TEXT_MAX];
	char key_uri[KMS_URI_MAX + 1]; /* the slot that opened last; may be empty */
	struct proto_seen seen;
	int64_t done_s[PROTO_DONES];   /* when each was done last, seconds since 1970; 0: never heard of */
	bool scratch;                  /* goes with the connection that asked for it */
};

/* -ENOENT: not pinned; -EUCLEAN: the file is no pin of this instance. */
int pins_load(int dirfd, const struct proto_instance *instance, struct pin *ret_pin) must_check;
/* Is this uuid pinned for any other instance? */
int pins_has_other(int dirfd, const struct proto_instance *instance, bool *ret_other) must_check;
/* The instances of a uuid that are pinned, but for scratch ones: at most PINS_INSTANCES_MAX, malloc'ed. */
#define PINS_INSTANCES_MAX 64
int pins_instances(int dirfd, const uint8_t uuid[static UUID_LEN], struct proto_instance **ret_list, size_t *ret_n) must_check;
int pins_store(int dirfd, const struct pin *pin) must_check;
/* Remove what pins_store and pins_store_config wrote, if the pin is a scratch one; any other stays. */
int pins_forget_scratch(int dirfd, const struct proto_instance *instance) must_check;
/* All scratch pins: those of an agent that was killed. */
int pins_sweep_scratch(int dirfd) must_check;
/* Keep a verified coffer.volume; writes only when it differs from what is kept. */
int pins_store_config(int dirfd, const struct proto_instance *instance, const void *p, size_t len) must_check;
/* The copy, malloc'ed. -ENOENT: there is none. */
int pins_load_config(int dirfd, const struct proto_instance *instance, uint8_t **ret_p, size_t *ret_len) must_check;

#endif
