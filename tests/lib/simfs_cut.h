/* simfs_cut.h: what the files of tests/lib/simfs_cut*.c share. */
#ifndef COFFER_TESTS_LIB_SIMFS_CUT_H
#define COFFER_TESTS_LIB_SIMFS_CUT_H

#include "simfs_impl.h"

struct cut_version {
	const uint8_t *b;        /* 512 bytes; NULL: zeros */
	uint64_t end;            /* the file must reach this far to show it; 0: the old one */
	uint64_t size;           /* and may be this long */
};

struct cut_cand {
	uint64_t sector;
	uint32_t first, n;       /* in version[] */
	uint32_t newest;
};

/* The candidates of a file for one k. */
struct cut_table {
	struct sim_map *base;    /* NULL: not made yet */
	uint64_t size;
	struct cut_cand *cand;
	size_t ncand, cand_cap;
	struct cut_version *version;
	size_t nversion, version_cap;
	uint64_t count;
};

struct cut_written {
	uint64_t sector;
	uint32_t op;
};

struct cut_file {
	const struct sim_inode *i;
	size_t njournal;
	struct cut_written *written; /* by sector, then op */
	size_t nwritten;
	struct cut_table *table;     /* njournal + 1 */
	/* the choice */
	size_t k;
	uint32_t *pick;
	size_t pick_cap;
	bool full_size;
};

struct cutter {
	struct simfs *fs;
	struct cut_file *file;
	size_t n;
	size_t names;            /* the choice: so many operations on names survive */
};

struct cutter *cutter_new(struct simfs *fs);
void cutter_free(struct cutter *c);
/* The candidates of a file if k ops of its journal survive. */
struct cut_table *cutter_table(struct cut_file *f, size_t k);
/* The state that has been chosen. */
struct simfs *cutter_make(struct cutter *c, uint64_t seed);

static inline uint64_t mul_sat(uint64_t a, uint64_t b)
{
	return __builtin_mul_overflow(a, b, &a) ? UINT64_MAX : a;
}

static inline uint64_t add_sat(uint64_t a, uint64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

#endif
