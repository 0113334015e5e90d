/* name.h: names in a lower directory: directory ids (coffer.dir), encrypted entries, the links of long names (docs/format.md section 6). */
#ifndef COFFER_FS_NAME_H
#define COFFER_FS_NAME_H

#include "fs/inode.h"

/* coffer.dir as it lies in a directory. -ENOENT: none; -EUCLEAN: not an id of this volume's names epoch. */
int name_read_id(struct volume *v, int dirfd, uint8_t ret_id[static DIR_ID_LEN]) must_check;
/* 1: nothing at all is in it, 0: something is. */
int name_dir_is_empty(struct volume *v, int dirfd) must_check;

/* What a plain name is called below. */
struct name {
	char full[LOWER_NAME_FULL_MAX + 1];
	size_t full_len;
	bool is_long;
	char entry[LOWER_NAME_LEN_MAX + 1]; /* the lower entry */
	char link[LOWER_NAME_LEN_MAX + 1];  /* is_long: the coffer.name link beside it */
};

/* The id of a directory. -ENOENT: it has none and is empty. -EIO: not empty without an id, or the link is malformed. dirfd is the directory's. */
int name_dir_id(struct volume *v, struct inode *dir, int dirfd, uint8_t ret_id[static DIR_ID_LEN]) must_check;
/* The same, but an empty directory gets one. */
int name_dir_id_make(struct volume *v, struct inode *dir, int dirfd, uint8_t ret_id[static DIR_ID_LEN]) must_check;
/* A directory made just now has no id and needs no look. */
void name_dir_is_new(struct volume *v, struct inode *dir);
/* Its coffer.dir was removed, or put back. */
void name_dir_id_forget(struct volume *v, struct inode *dir);

/* -ENAMETOOLONG, -EINVAL (nothing that can be a name). */
int name_encrypt(struct volume *v, const uint8_t id[static DIR_ID_LEN], const char *plain, struct name *ret_n) must_check;
/* Is this one of ours that never shows (coffer.dir, coffer.name.…, in the root coffer.*)? */
bool name_is_hidden(const char *entry);
/* The plain name of a lower entry; ret_plain has PLAIN_NAME_MAX + 1 bytes. -EBADMSG: it does not decrypt, or its link does not fit. */
int name_decrypt(struct volume *v, const uint8_t id[static DIR_ID_LEN], int dirfd, const char *entry, char *ret_plain,
		 size_t *ret_len) must_check;

/* How the kernel knows an inode: its parent's number and its plain name there, as it is now. -ENOENT: no name is known, or it does not decrypt. */
int name_of_inode(struct volume *v, struct inode *i, uint64_t *ret_parent, char ret_plain[static PLAIN_NAME_MAX + 1], size_t *ret_len) must_check;

/* Before a long entry is made: its link. ret_made: it was not there before. Nothing to do for others. */
int name_link_make(struct volume *v, struct inode *dir, int dirfd, const struct name *n, bool *ret_made) must_check;
/* The entry is gone (or was never made): remove the link. Failing is harmless. */
void name_link_remove(struct volume *v, int dirfd, const struct name *n);

/* Count an entry that does not decrypt, and say so once a directory. */
void name_undecryptable(struct volume *v, struct inode *dir);

/* Make the names that lead to a directory or file durable (L7): each ancestor in which links were made that are not yet durable, and with
 * parent the direct parent. name_sync_new: with the parent, and the inode no longer counts as new; also as a callback of the I/O floor. */
int name_sync(struct volume *v, struct inode *i, bool parent) must_check;
int name_sync_new(struct volume *v, struct inode *i) must_check;
int name_sync_owner(void *ctx, void *owner);

#endif
