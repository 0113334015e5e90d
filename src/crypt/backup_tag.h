/* backup_tag.h: what the volume's key says of a backup (docs/backup.md section 2): HMAC-SHA-256 over its statement, under a key that makes nothing else. Pure. */
#ifndef COFFER_CRYPT_BACKUP_TAG_H
#define COFFER_CRYPT_BACKUP_TAG_H

#include "crypt/backup_statement.h"
#include "crypt/keys.h"

#define BACKUP_TAG_LEN 32

/* -EINVAL: the text is no statement about the volume of that uuid, and nothing is made of it. */
int backup_tag_make(const struct key_backup *key, const uint8_t uuid[static UUID_LEN], const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN]) must_check;
/* Is the tag of that statement by this key? -EBADMSG: no; -EINVAL as above. */
int backup_tag_fits(const struct key_backup *key, const uint8_t uuid[static UUID_LEN], const char *statement, const uint8_t tag[static BACKUP_TAG_LEN]) must_check;
/* The same, by the volume whose root key this is. */
int backup_tag_check(const struct secret *root, const uint8_t uuid[static UUID_LEN], const char *statement, const uint8_t tag[static BACKUP_TAG_LEN]) must_check;

#endif
