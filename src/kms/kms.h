/* kms.h: wrapping and unwrapping of a volume's key-encryption key (KEK), whoever holds the key above it
 * (docs/protocol.md, "Keys"). A provider sees 32-byte KEKs only, never the root key. What follows from an error class
 * is decided by the agent, not here.
 *
 * Only the agent links this floor. Nothing here is believed because a volume says it: callers compare the URI with a
 * pin first (kms_uri_equal), and the context is computed from the pin, not taken from a slot. */
#ifndef COFFER_KMS_KMS_H
#define COFFER_KMS_KMS_H

#include "base/err.h"
#include "base/meter.h"
#include "base/secret.h"
#include "crypt/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMS_URI_LEN_MAX 512
#define KMS_COMPONENTS_MAX 16
#define KMS_WRAPPED_MAX 8192
#define KMS_VERSION_LEN_MAX 256
#define KMS_MESSAGE_MAX 256
#define KMS_LOCAL_NAME_MAX 128
#define KMS_CALL_MS 15000

/* What a provider's refusal means; the text of each is its name without KMS_. */
enum kms_class {
	KMS_OK,
	KMS_REVOKED,   /* the key is disabled, destroyed or gone: a definite answer */
	KMS_DENIED,    /* the key's owner does not let us use it: a definite answer */
	KMS_AUTH,      /* our own credential is refused or unusable */
	KMS_TRANSIENT, /* no answer: network, time-out, server trouble */
	KMS_THROTTLED, /* too many requests */
	KMS_CORRUPT,   /* the wrapped KEK does not open: damaged, or for another context */
	KMS_BADREQ,    /* the provider did not understand us */
	KMS_CONFIG,    /* host configuration: unknown provider, unusable key file, no endpoint */
	KMS_CLASSES,
};

/* A key URI taken apart. Comparison is component by component, never by prefix. */
struct kms_uri {
	char scheme[16];
	bool hierarchical;                          /* scheme://, not scheme: */
	size_t component_count;
	uint16_t component_at[KMS_COMPONENTS_MAX];  /* offsets into text: a struct kms_uri may be copied */
	char text[KMS_URI_LEN_MAX + 1];             /* separators replaced by NUL */
};

/* What a wrapped KEK is bound to. */
struct kms_context {
	const char *tenant;
	const uint8_t *uuid; /* UUID_LEN bytes */
};

/* How a call ended. Of a call that succeeded everything but class (KMS_OK) and message is filled, too: it is what the audit log says of it. Zeroed by
 * kms_prepare, kms_wrap and kms_unwrap. */
struct kms_error {
	enum kms_class class;
	bool alarm;                    /* somebody must look: a certificate, TLS, an answer that is none */
	char message[KMS_MESSAGE_MAX]; /* for people; says which key, never key bytes */
	int http_status;               /* of the last answer; 0: there was none */
	unsigned attempts;             /* requests for this operation; logging in is not counted */
	uint32_t latency_ms;           /* of the last one */
	char code[64];                 /* the provider's own words */
	char request_id[81];           /* joins our log with the provider's (docs/kms.md) */
	char credential[128];          /* which one was used: its kind and public name, never itself */
};

/* How a tenant's KMS is reached: [kms] of tenants.d/NAME.conf. Texts; empty: not said. Nothing of it ever comes from a volume. */
#define KMS_CONF_TEXT_MAX 512
struct kms_conf {
	char tenant[65];
	char credentials[KMS_CONF_TEXT_MAX]; /* auto, env, file:PATH, imds, pod, web */
	char role_arn[KMS_CONF_TEXT_MAX];
	char external_id[KMS_CONF_TEXT_MAX];
	char region[64];
	char endpoint[KMS_CONF_TEXT_MAX];
	char ca_file[KMS_CONF_TEXT_MAX];
	char proxy[KMS_CONF_TEXT_MAX];
	char auth[KMS_CONF_TEXT_MAX];        /* how to log in; the provider's words */
	char ns[KMS_CONF_TEXT_MAX];          /* namespace= */
	char mount[KMS_CONF_TEXT_MAX];
};

/* What the host's configuration gives the providers. Read by several threads at once; it must outlive the call. */
struct kms_host {
	const struct kms_conf *conf; /* NULL: nothing is said for this tenant */
	const struct secret *recovery; /* a recovery key that somebody brought for this one call, or NULL */
	int key_dirfd;   /* the directory of local: keys, or -1 */
	uid_t key_owner; /* who must own its files */
	uint64_t deadline_ms; /* of CLOCK_BOOTTIME; 0: KMS_CALL_MS from now */
};

struct kms_wrapped {
	uint8_t bytes[KMS_WRAPPED_MAX];
	size_t len;
	char key_version[KMS_VERSION_LEN_MAX + 1];
};

/* A provider. Each function fills err and returns -errno of its class (kms_class_errno) on failure. */
struct kms_ops {
	const char *scheme;
	/* Only the form of the components behind the scheme; pure. -EINVAL. */
	int (*check)(const struct kms_uri *uri);
	/* May make the key where the provider owns it (local:), at init only. */
	int (*prepare)(const struct kms_host *host, const struct kms_uri *uri, struct kms_error *err);
	int (*wrap)(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
		    const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped);
	int (*unwrap)(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
		      const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err, struct secret **ret_kek);
};

/* The providers; no kms_*.c has a header of its own. */
extern const struct kms_ops kms_local;
extern const struct kms_ops kms_aws;
extern const struct kms_ops kms_vault;
extern const struct kms_ops kms_gcp;
extern const struct kms_ops kms_azure;
extern const struct kms_ops kms_recovery;
#if COFFER_TEST_HOOKS
extern const struct kms_ops kms_failing;
#endif

/* Take a URI apart: "scheme:component" or "scheme://component/component…"; components are 1..128 characters of
 * A-Z a-z 0-9 . _ : @ + = - and are neither "." nor "..". -EINVAL malformed, -EOPNOTSUPP no such provider in this build. Pure. */
int kms_uri_parse(const char *text, struct kms_uri *ret_uri) must_check;
/* The text of component i, NULL behind the last. */
const char *kms_uri_component(const struct kms_uri *uri, size_t i);
/* Same scheme, same number of components, each byte for byte equal. Pure. */
bool kms_uri_equal(const struct kms_uri *a, const struct kms_uri *b) must_check;
/* The same for two texts; false when either does not parse. */
bool kms_uri_text_equal(const char *a, const char *b) must_check;

/* What a provider binds a wrapped KEK to, where it can: "coffer/1" NUL lp(tenant) lp(uuid) lp("root"), lp = 16 bits of length, little-endian, and the
 * bytes. -EINVAL: the tenant's name is too long. Pure. */
#define KMS_CONTEXT_MAX (9 + 2 + 64 + 2 + 16 + 2 + 4)
int kms_context_put(const struct kms_context *ctx, uint8_t ret_p[static KMS_CONTEXT_MAX], size_t *ret_len) must_check;

/* recovery:ID. Such a slot opens only with the recovery key at hand, never by itself. */
#define KMS_RECOVERY_URI_MAX (sizeof("recovery:") + 2 * RECOVERY_ID_LEN)
void kms_recovery_uri(const uint8_t id[static RECOVERY_ID_LEN], char ret_text[static KMS_RECOVERY_URI_MAX]);
bool kms_uri_is_recovery(const struct kms_uri *uri);

/* These three may be called by several threads at once, and wait for the network: not from an event loop.
 * Make ready for a first wrap: a `local:` key that is absent is made (never overwritten). */
int kms_prepare(const struct kms_host *host, const struct kms_uri *uri, struct kms_error *err) must_check;
int kms_wrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
	     const struct secret *kek, struct kms_error *err, struct kms_wrapped *ret_wrapped) must_check;
/* A KEK of another length than KEY_LEN is an error here, so callers may rely on it. */
int kms_unwrap(const struct kms_host *host, const struct kms_uri *uri, const struct kms_context *ctx,
	       const uint8_t *wrapped, size_t wrapped_len, struct kms_error *err, struct secret **ret_kek) must_check;

/* What was asked of each provider since the process began: kms_wrap and kms_unwrap, by how they ended after all their tries, and how long they took. Any thread. */
#define KMS_COUNTS_MAX 8
struct kms_count {
	const char *provider;
	uint64_t ended[KMS_CLASSES];
	struct meter_sum time;
};
size_t kms_counts(struct kms_count ret_counts[static KMS_COUNTS_MAX]);

const char *kms_class_text(enum kms_class c);
/* The -errno a class is reported with: REVOKED and DENIED are -ENOKEY. */
int kms_class_errno(enum kms_class c);
/* Fill err and return the class's -errno. For providers. */
int kms_fail(struct kms_error *err, enum kms_class c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
