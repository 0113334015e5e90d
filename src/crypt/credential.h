/* credential.h: a sealed credential: a secret of a tenant as a file that may lie anywhere (docs/format.md section 9, docs/crypto.md C19 to C21).
 * Its head says in clear whose it is, its name and version, and carries the tenant's credential key wrapped by the tenant's KMS, so that the file alone
 * opens on any host whose agent may use that KMS key. Nothing of the head is believed before the secret has opened. Pure but for salt and IV; thread safe. */
#ifndef COFFER_CRYPT_CREDENTIAL_H
#define COFFER_CRYPT_CREDENTIAL_H

#include "crypt/keys.h"

#include <stddef.h>
#include <stdint.h>

#define CREDENTIAL_MAGIC "cofferSC"
#define CREDENTIAL_FORMAT 1
#define CREDENTIAL_MAX (1024u * 1024) /* bytes of a secret; systemd allows no more */
#define CREDENTIAL_NAME_MAX 64
#define CREDENTIAL_URI_MAX 512
#define CREDENTIAL_KEY_VERSION_MAX 256
#define CREDENTIAL_WRAPPED_MAX 8192
#define CREDENTIAL_ID_LEN 16          /* UUID_LEN: to the KMS a credential key is a volume of its own */
#define CREDENTIAL_SALT_LEN 32
#define CREDENTIAL_FIXED_LEN 104      /* of the head, before its five texts */
#define CREDENTIAL_HEAD_MAX \
	(CREDENTIAL_FIXED_LEN + 5 * 2 + 2 * CREDENTIAL_NAME_MAX + CREDENTIAL_URI_MAX + CREDENTIAL_KEY_VERSION_MAX + CREDENTIAL_WRAPPED_MAX)
#define CREDENTIAL_EXTRA 28           /* iv and tag */
#define CREDENTIAL_FILE_MAX (CREDENTIAL_HEAD_MAX + CREDENTIAL_EXTRA + CREDENTIAL_MAX)

/* A tenant's credential key as a KMS has wrapped it. */
struct credential_key {
	uint8_t id[CREDENTIAL_ID_LEN];                     /* random; what the wrapping is bound to, beside the tenant */
	char uri[CREDENTIAL_URI_MAX + 1];
	char version[CREDENTIAL_KEY_VERSION_MAX + 1];      /* of the KMS's key; may be empty */
	uint8_t wrapped[CREDENTIAL_WRAPPED_MAX];
	size_t wrapped_len;
};

struct credential {
	char tenant[CREDENTIAL_NAME_MAX + 1], name[CREDENTIAL_NAME_MAX + 1];
	uint64_t version;                                  /* of the secret, from 1; a newer one is higher */
	struct credential_key key;
	uint8_t salt[CREDENTIAL_SALT_LEN];
	uint8_t commitment[COMMITMENT_LEN];
	size_t head_len, plain_len;                        /* of the file that was parsed */
};

/* The head. -EUCLEAN: not a sealed credential, or malformed; -EOPNOTSUPP: of a later format. */
int credential_parse(const uint8_t *p, size_t len, struct credential *ret_c) must_check;

/* c has tenant, name, version and key; the rest is set. The file, malloc'ed. -EINVAL: a member out of its limits, or an empty or too long secret. */
int credential_seal(const struct secret *key, struct credential *c, const struct secret *plain, uint8_t **ret_file, size_t *ret_len) must_check;

/* The head of c, whatever is in it, as credential_seal wrote it; its length. */
size_t credential_head_put(const struct credential *c, uint8_t ret_p[static CREDENTIAL_HEAD_MAX]);

/* Of the bytes that c was parsed from. -EKEYREJECTED: the key is another, or a byte was changed. */
int credential_open(const struct secret *key, const struct credential *c, const uint8_t *file, size_t len, struct secret **ret_plain) must_check;

#endif
