/* backup_tag.c: see backup_tag.h. The form of the text is looked at here, at the one place where the key is used, so that no caller can have anything else tagged. */
#include "crypt/backup_tag.h"

#include <string.h>

#include "base/text.h"
#include "crypt/hmac.h"

_Static_assert(BACKUP_TAG_LEN == HMAC_SHA256_LEN, "docs/backup.md says so");

static void key_backup_wipe(struct key_backup *k)
{
	keys_wipe(k);
}

int backup_tag_make(const struct key_backup *key, const uint8_t uuid[static UUID_LEN], const char *statement, uint8_t ret_tag[static BACKUP_TAG_LEN])
{
	char text[2 * UUID_LEN + 1];

	text_hex(uuid, UUID_LEN, text);
	if (!backup_statement_ok(statement, text))
		return -EINVAL;
	return hmac_sha256(key->k, sizeof(key->k), statement, strlen(statement), ret_tag);
}

int backup_tag_fits(const struct key_backup *key, const uint8_t uuid[static UUID_LEN], const char *statement, const uint8_t tag[static BACKUP_TAG_LEN])
{
	uint8_t own[BACKUP_TAG_LEN];
	int r;

	r = backup_tag_make(key, uuid, statement, own);
	if (r < 0)
		return r;
	return secret_equal(own, tag, BACKUP_TAG_LEN) ? 0 : -EBADMSG;
}

int backup_tag_check(const struct secret *root, const uint8_t uuid[static UUID_LEN], const char *statement, const uint8_t tag[static BACKUP_TAG_LEN])
{
	__attribute__((cleanup(key_backup_wipe))) struct key_backup key = { { 0 } };
	int r;

	r = keys_backup(root, uuid, &key);
	return r < 0 ? r : backup_tag_fits(&key, uuid, statement, tag);
}
