/* drill.h: what `coffer drill` can see of a mount from outside: whether anything of it can still be read. */
#ifndef COFFER_TOOLS_DRILL_H
#define COFFER_TOOLS_DRILL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DRILL_FILE "drill.data"
#define DRILL_WRITTEN "drill.written"
#define DRILL_BYTES (1u << 20)

/* One file that is read and mapped, and a process that writes another one, fsync by fsync. */
struct drill {
	const char *dir;      /* the mount point */
	int fd;               /* of DRILL_FILE, open since before the lock; -1: none */
	void *map;            /* of it; NULL: none */
	pid_t writer;         /* 0: none */
	uint64_t *acked;      /* shared with the writer: how many writes were acknowledged */
};

/* Make the files, read them in, start the writer. -errno; then, too, drill_end. */
int drill_begin(const char *dir, struct drill *ret_d) must_check;
/* Does read(2), by a new name and by the old descriptor, still give the content? 0 no, with ENOKEY; 1 yes; -errno something else. */
int drill_reads(const struct drill *d) must_check;
/* How many pages of the mapping the kernel still holds (mincore(2)); -errno. */
long drill_resident(const struct drill *d) must_check;
/* Does a process that touches the mapping end in SIGBUS? -errno. */
int drill_mapping_ends(const struct drill *d) must_check;
/* Wait for the writer, who ends at the first refusal: 0 that was ENOKEY, else -errno; -ETIMEDOUT it still writes after ms. */
int drill_writer_ends(struct drill *d, unsigned ms) must_check;
/* Once it is open again: 0 each write that was acknowledged is there, -EIO not, -errno. */
int drill_written(const struct drill *d) must_check;
/* Ends the writer, closes, removes the files where that is possible. */
void drill_end(struct drill *d);

#endif
