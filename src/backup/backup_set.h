/* backup_set.h: what a run knows to be in the store: hashes of objects, and where a piece lies in a pack. Lookups by hash; not thread safe. */
#ifndef COFFER_BACKUP_BACKUP_SET_H
#define COFFER_BACKUP_BACKUP_SET_H

#include "backup/record.h"

struct backup_set_item {
	uint8_t hash[RECORD_HASH_LEN];
	bool used;
	uint32_t at;                     /* of a piece: where in pack */
	uint32_t pack;                   /* of a piece: number in packs */
};

/* Begins as zeros. */
struct backup_set {
	struct backup_set_item *tab;
	size_t n, size;
};

void backup_set_done(struct backup_set *s);
/* NULL: not in it. Valid until the next add. */
struct backup_set_item *backup_set_find(const struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN]);
/* What is there already stays. -ENOMEM. ret_item may be NULL. */
int backup_set_add(struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN], struct backup_set_item **ret_item) must_check;

#endif
