/* repo.h: what lies in a store and how it is called (docs/backup.md section 1). Whatever comes back has the hash that its name says, or is refused (-EBADMSG).
 * Errors are the store's (store.h), with its message, besides those that are said. Thread safe, but for repo_open. */
#ifndef COFFER_BACKUP_REPO_H
#define COFFER_BACKUP_REPO_H

#include "backup/manifest.h"
#include "backup/store.h"

#define REPO_NAME_MAX 128
#define REPO_SNAPSHOT_MAX 64             /* TIME-ID */
#define REPO_SNAPSHOTS_MAX 100000u
#define REPO_VOLUMES_MAX 10000u

enum repo_kind { REPO_SEGMENT, REPO_PACK, REPO_LIST };

struct repo {
	struct store *store;             /* borrowed */
	uint8_t uuid[UUID_LEN];
	char uuid_text[2 * UUID_LEN + 1];
};

struct repo_snapshot {
	char name[REPO_SNAPSHOT_MAX];
	uint64_t size;
};

void repo_open(struct repo *r, struct store *store, const uint8_t uuid[static UUID_LEN]);
/* The largest object of a kind. */
size_t repo_object_max(enum repo_kind kind);
void repo_object_name(const struct repo *r, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], char ret_name[static REPO_NAME_MAX]);
/* All objects of a kind, as store_list. */
int repo_list(const struct repo *r, enum repo_kind kind, store_each *fn, void *arg, struct store_error *err) must_check;
/* The hash in the name of an object of that kind; false: it has no such name. */
bool repo_object_hash(const struct repo *r, enum repo_kind kind, const char *name, uint8_t ret_hash[static RECORD_HASH_LEN]);

int repo_put(const struct repo *r, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], const void *p, size_t len, struct store_error *err) must_check;
/* The whole object. -ENOENT, -EBADMSG. Caller frees. */
int repo_get(const struct repo *r, enum repo_kind kind, const uint8_t hash[static RECORD_HASH_LEN], uint8_t **ret_p, size_t *ret_len,
	     struct store_error *err) must_check;
/* One piece, out of a pack no more than it; it has the hash that its record says. The same errors. */
int repo_get_piece(const struct repo *r, const struct record_piece *e, uint8_t **ret_p, struct store_error *err) must_check;

/* The volumes that have backups in a store. malloc'ed. -EFBIG. */
int repo_volumes(struct store *s, uint8_t (**ret_uuids)[UUID_LEN], size_t *ret_n, struct store_error *err) must_check;
/* Oldest first. malloc'ed. */
int repo_snapshots(const struct repo *r, struct repo_snapshot **ret_list, size_t *ret_n, struct store_error *err) must_check;
/* A snapshot's manifest; ret_hash is that of its bytes. -ENOENT; -EBADMSG: its name says another hash, or it is another volume's; -EUCLEAN. */
int repo_manifest(const struct repo *r, const char *snapshot, struct manifest *ret_m, uint8_t ret_hash[static RECORD_HASH_LEN], struct store_error *err) must_check;
/* Put it, last of all; ret_name is the snapshot's name. */
int repo_manifest_put(const struct repo *r, const struct manifest *m, const char *json, char ret_name[static REPO_SNAPSHOT_MAX],
		      uint8_t ret_hash[static RECORD_HASH_LEN], struct store_error *err) must_check;
/* The volume is one that repo_volumes finds. */
int repo_volume_put(const struct repo *r, struct store_error *err) must_check;

#endif
