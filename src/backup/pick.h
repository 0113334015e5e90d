/* pick.h: which entries of a snapshot a few plain paths mean (docs/backup.md section 5). A snapshot has names as ciphertext, so the paths are encrypted, component by
 * component, under the ids of the directories they lead through, and looked for. Nothing plain leaves memory, and the key is needed for the second step alone:
 *
 *	pick_survey()    all records: the directories, their ids, coffer.volume
 *	pick_resolve()   with the keys of the volume of pick_config()
 *	pick_find()      all records again: which entries
 *
 * An entry that is picked comes with all that is in it, and with what its path needs: the directories above, their ids, the links of long names; and with what a
 * volume needs: coffer.volume, coffer.state, coffer.log. A file under a later one of its names comes with the content that stands at its first. */
#ifndef COFFER_BACKUP_PICK_H
#define COFFER_BACKUP_PICK_H

#include "backup/snapshot.h"
#include "crypt/namecrypt.h"

#define PICK_PATHS_MAX 4096u
#define PICK_ID_MAX 33                   /* 32 digits */

struct pick;

int pick_new(struct pick **ret_p) must_check;
void pick_free(struct pick *p);
DEFINE_AUTO(struct pick, pick_free)
#define AUTO_PICK AUTO(pick_free_p)

/* A path from the volume's root on, with or without a slash in front; what ends with one must be a directory. -EINVAL: it has a `..` in it; -EISDIR: it is the whole
 * volume; -ENAMETOOLONG; -E2BIG: too many. */
int pick_add(struct pick *p, const char *path) must_check;

/* Errors are those of snapshot_walk. */
int pick_survey(struct pick *p, const struct repo *r, const struct manifest *m, struct snapshot_spool *spool, struct store_error *err) must_check;
/* The bytes of coffer.volume, behind pick_survey. Caller frees. -EUCLEAN, -EBADMSG. */
int pick_config(const struct pick *p, const struct repo *r, uint8_t **ret_config, size_t *ret_len, struct store_error *err) must_check;
/* -EUCLEAN: a directory on the way has entries and no id of this volume (pick_bad says whose path). */
int pick_resolve(struct pick *p, const struct name_keys *names, uint16_t names_epoch) must_check;
/* -ENOENT, -ENOTDIR without a message: pick_bad() is not there, or leads through something else than directories. */
int pick_find(struct pick *p, const struct repo *r, const struct manifest *m, struct snapshot_spool *spool, struct store_error *err) must_check;
/* The path that the last one failed for, as it was given; NULL: none. */
const char *pick_bad(const struct pick *p);

/* Behind pick_find. What is wanted of the entry of a number: nothing, all, its content for other names that come. */
enum pick_what { PICK_NOT, PICK_ALL, PICK_CONTENT };
enum pick_what pick_what(const struct pick *p, uint64_t no);
/* The numbers of the latter. */
size_t pick_contents(const struct pick *p, const uint64_t **ret_nos);
uint64_t pick_entries(const struct pick *p);
uint64_t pick_bytes(const struct pick *p);
/* Is so much of a pack wanted that it is better had whole? */
bool pick_whole_pack(const struct pick *p, const uint8_t hash[static RECORD_HASH_LEN]);
/* The same for the same entries of a snapshot, and says nothing of their names. */
int pick_id(const struct pick *p, char ret_id[static PICK_ID_MAX]) must_check;

#endif
