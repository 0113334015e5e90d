/* Runs a script of one file on simfs and says how many states a cut leaves, and which: test_simfs_model.py compares that with
 * tests/model/lower.py. A cell of the model is the first sector of a block here, so that a truncate frees single cells. Script:
 *   w CELL VALUE   t FIRST END (free these cells)   f (flush)   ? (say) */
#include "../lib/simfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CELLS 12u

static int say(void *arg, struct simfs **cut)
{
	struct lower *l = simfs_lower(*cut);
	int root = simfs_open_root(*cut), fd = l->ops->openat(l, root, "f", O_RDONLY, 0);
	uint8_t b[512];

	(void)arg;
	for (unsigned c = 0; c < CELLS; c++) {
		if (lower_pread_full(l, fd, b, sizeof(b), c * 4096ull) < 0)
			return -1;
		(void)printf("%u%c", b[0], c + 1 < CELLS ? ',' : '\n');
	}
	return 0;
}

static int step(struct simfs *fs, int fd, const char *line)
{
	struct lower *l = simfs_lower(fs);
	struct simfs_rng rng = { 1 };
	unsigned a, b;
	uint8_t p[512];

	if (sscanf(line, "w %u %u", &a, &b) == 2) {
		memset(p, (int)b, sizeof(p));
		return lower_pwrite(l, fd, p, sizeof(p), a * 4096ull, false);
	}
	if (sscanf(line, "t %u %u", &a, &b) == 2)
		return l->ops->fallocate(l, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, a * 4096ull, (b - a) * 4096ull);
	if (*line == 'f')
		return l->ops->fdatasync(l, fd);
	(void)printf("%llu\n", (unsigned long long)simfs_cut_count(fs));
	return simfs_cut_all(fs, 1000000, &rng, say, NULL);
}

int main(void)
{
	struct simfs *fs = simfs_new(&(struct simfs_params){ .seed = 1 });
	struct lower *l = simfs_lower(fs);
	int fd = l->ops->openat(l, simfs_open_root(fs), "f", O_RDWR | O_CREAT, 0600), r;
	char line[64];

	r = l->ops->ftruncate(l, fd, CELLS * 4096);
	simfs_sync(fs);
	while (r >= 0 && fgets(line, sizeof(line), stdin))
		r = step(fs, fd, line);
	simfs_free(fs);
	return r < 0;
}
