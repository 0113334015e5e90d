/* manifest.h: a snapshot's manifest (docs/backup.md section 2): its one line and its JSON, and what is signed and tagged of it. Pure. What is parsed comes from a store and
 * is hostile until its signature says otherwise; even then only its form was looked at. */
#ifndef COFFER_BACKUP_MANIFEST_H
#define COFFER_BACKUP_MANIFEST_H

#include "backup/record.h"
#include "crypt/backup_tag.h"
#include "crypt/sign.h"
#include "format/volume_config.h"

#define MANIFEST_MAX (8u << 20)
#define MANIFEST_LISTS_MAX 16384u
#define MANIFEST_WAY_MAX 16
#define MANIFEST_STATEMENT_MAX BACKUP_STATEMENT_MAX

struct manifest_list {
	uint8_t hash[RECORD_HASH_LEN];
	uint32_t len, records;
};

struct manifest {
	uint8_t uuid[UUID_LEN];
	uint64_t serial;
	bool has_previous;
	uint8_t previous[RECORD_HASH_LEN];
	char time[TIME_TEXT_MAX];
	char way[MANIFEST_WAY_MAX];
	bool clean;
	uint64_t frozen_ms, rounds, problems, entries, bytes;
	uint8_t root[RECORD_HASH_LEN];
	struct manifest_list *lists;     /* malloc'ed */
	size_t nlists;
	bool is_signed;                  /* it carries a signature; whether that fits is manifest_check_signature's */
	uint8_t public_key[SIGN_PUBLIC_LEN], signature[SIGN_LEN];
	bool has_tag;                    /* by the volume's key; whether it fits is manifest_check_tag's */
	uint8_t tag[BACKUP_TAG_LEN];
	uint8_t json_hash[RECORD_HASH_LEN];
};

void manifest_done(struct manifest *m);
#define AUTO_MANIFEST __attribute__((cleanup(manifest_done)))

/* The JSON alone, and json_hash; -EINVAL: beyond a limit. */
int manifest_put_json(struct manifest *m, char **ret_json) must_check;
/* What stands in the store: the line, then json. */
int manifest_put(const struct manifest *m, const char *json, char **ret_text, size_t *ret_len) must_check;
/* -EUCLEAN, -EFBIG, -EOPNOTSUPP (another format). */
int manifest_parse(const void *p, size_t len, struct manifest *ret_m) must_check;
/* The text that is signed and tagged. */
int manifest_statement(const struct manifest *m, char ret_text[static MANIFEST_STATEMENT_MAX]) must_check;
/* 0: by public_key; -EBADMSG; -ENOENT: not signed. */
int manifest_check_signature(const struct manifest *m) must_check;
/* 0: by the volume whose root key this is; -EBADMSG: not; -ENOENT: it has no tag. */
int manifest_check_tag(const struct manifest *m, const struct secret *root) must_check;

#endif
