/* store_impl.h: between store.c and the kinds of stores. */
#ifndef COFFER_BACKUP_STORE_IMPL_H
#define COFFER_BACKUP_STORE_IMPL_H

#include "backup/store.h"
#include "backup/store_rate.h"
#include "base/lock.h"

/* Names and sizes were checked; err is never NULL. */
struct store_ops {
	void (*close)(struct store *s);
	int (*put)(struct store *s, const char *name, const void *data, size_t len, unsigned flags, struct store_error *err);
	int (*get)(struct store *s, const char *name, uint64_t off, size_t max, void **ret_data, size_t *ret_len, struct store_error *err);
	int (*head)(struct store *s, const char *name, uint64_t *ret_size, struct store_error *err);
	int (*list)(struct store *s, const char *prefix, store_each *each, void *arg, struct store_error *err);
	int (*delete)(struct store *s, const char *name, struct store_error *err);
	int (*excl_check)(struct store *s, struct store_error *err);
	int (*sweep)(struct store *s, uint64_t age_s, uint64_t *ret_n, struct store_error *err);
	/* Asked only when locks is true; NULL: such a store has none, and is not opened with it. */
	int (*lock_check)(struct store *s, struct store_error *err);
	int (*lock_until)(struct store *s, const char *name, int64_t *ret_until, struct store_error *err);
	int (*lock_extend)(struct store *s, const char *name, struct store_error *err);
	int (*drop)(struct store *s, const char *name, int64_t *ret_until, struct store_error *err);
};

/* What each kind has in front. */
struct store {
	const struct store_ops *ops;
	char *label;
	bool locks;              /* object lock is in the conf */
	struct lock m;
	struct store_rate up, down; /* lock: m */
};

/* ops and more are filled in by store.c when the maker returns 0. rest: what follows the scheme's "://". */
int store_file_new(const char *rest, const struct store_conf *conf, struct store **ret_s, struct store_error *err) must_check;
int store_s3_new(const char *rest, const struct store_conf *conf, struct store **ret_s, struct store_error *err) must_check;

/* store_file_list.c, for store_file.c. */
#define STORE_FILE_TMP ".put-"
int store_file_root(struct store *s);
int store_file_list(struct store *s, const char *prefix, store_each *each, void *arg, struct store_error *err) must_check;
int store_file_sweep(struct store *s, uint64_t age_s, uint64_t *ret_n, struct store_error *err) must_check;

/* Wait until n more bytes may go out, or come in. */
void store_up(struct store *s, uint64_t n);
void store_down(struct store *s, uint64_t n);

/* Writes the message and returns r. */
int store_fail(struct store_error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
