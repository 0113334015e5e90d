/* policy.h: what `coffer policy` was told and found, and the providers whose words it speaks. */
#ifndef COFFER_TOOLS_POLICY_H
#define COFFER_TOOLS_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#define POLICY_ITEMS_MAX 256
#define POLICY_TEXT_MAX 512
/* What keys, buckets, prefixes and identities are made of: nothing that a shell, JSON, HCL or CEL would understand. */
#define POLICY_PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@+=,/-"

/* A key, or a store. Texts are of POLICY_PLAIN, but that a key's may end in a star. */
struct policy_item {
	char text[POLICY_TEXT_MAX];     /* behind the scheme: the key (its last part may be *, for any), or BUCKET[/PREFIX] */
	char endpoint[POLICY_TEXT_MAX]; /* of a store; may be empty */
	char region[POLICY_TEXT_MAX];
	bool lock;                      /* object-lock= */
};

/* Of whose keys of a store: credentials= of volumes.d, prune-credentials=, or one pair for both. */
enum policy_who { POLICY_ALL, POLICY_BACKUP, POLICY_PRUNE, POLICY_TWICE /* no answer */ };

/* Texts that nobody said are empty. */
struct policy_found {
	const char *tenant;
	const char *trust;           /* --trust: whose assuming of the role is asked for; NULL: not that */
	bool host;                   /* --host: what the host's own identity needs */
	enum policy_who who;
	char mount[POLICY_TEXT_MAX]; /* [kms] of the tenant */
	char ns[POLICY_TEXT_MAX];
	char role_arn[POLICY_TEXT_MAX];
	char external_id[POLICY_TEXT_MAX];
	size_t count;
	struct policy_item *items;   /* room for POLICY_ITEMS_MAX */
};

struct policy_kind {
	const char *name, *scheme;
	bool store;                  /* items are stores of volumes.d, not keys of tenants.d */
	/* Has the text the parts that print will take? */
	bool (*fits)(const char *text);
	void (*print)(const struct policy_found *f);
};

/* NULL: there is none of that name. */
const struct policy_kind *policy_kind(const char *name);

#endif
