/* tamper.h: the tamper tests: images of a volume on a simulated disk are changed behind the
 * volume's back, mounted and read. What may be read is decided here from docs/threat-model.md (what
 * reads do not notice) and from the bytes alone: a group reads as at the state whose metadata block
 * lies there, or is EIO. */
#ifndef COFFER_TESTS_TAMPER_H
#define COFFER_TESTS_TAMPER_H

#include "format/log_record.h"
#include "tests/crash/crash.h"

#define B            4096ull
#define G            (128ull * 4096)
#define GL           (129ull * 4096) /* a group in the lower file */
#define LOG          NAMES           /* index of coffer.log in an image */
#define STATE        (NAMES + 1)
#define FILES        (NAMES + 2)
#define VERSIONS_MAX 32
#define CLONED       8 /* commits of the clone */
#define LOWER_MAX    (8ull << 20)
#define DONORS       5

/* What the three files hold in plain at one commit. */
struct version {
	uint64_t seq;
	uint64_t size[NAMES];
	uint8_t *plain[NAMES];
};

/* A volume on disk; v: what its files, at home, are (NULL: of another volume). */
struct image {
	struct simfs *fs; /* only of what is mounted */
	uint8_t *raw[FILES];
	uint64_t len[FILES];
	const struct version *v;
};

struct scene {
	struct image clean, unclean;
	struct image donor[DONORS]; /* two older states, a clone that went its own way, another
				       volume, what is at home while the log is not empty */
	struct version versions[VERSIONS_MAX], cloned[CLONED];
	unsigned nversions;
};

/* What a mount of a changed image gave. */
struct result {
	int refused; /* -errno, or 0 */
	struct {
		bool there;
		int open_r; /* -errno of opening it */
		uint64_t size;
		uint8_t *plain; /* SIZE_MAX_MODEL bytes */
		uint8_t *bad;   /* one byte a block: -errno of reading it, positive */
		bool any_bad;
	} f[NAMES];
	unsigned events;
	int strange; /* an error that is none of the clear ones */
	uint64_t stamp_limit;
};

const char *file_name(unsigned i);
void scene_make(struct scene *s, uint64_t seed, const uint8_t *const *foreign,
		const uint64_t *foreign_len);
void scene_free(struct scene *s);
/* Copy what is below VOLUME_DIR. */
void image_take(struct image *im, struct simfs *fs, const struct version *v);
void image_drop(struct image *im);
/* Lower file i of fs becomes these bytes. */
void image_put(struct simfs *fs, unsigned i, const uint8_t *old, uint64_t old_len, const uint8_t *p,
	       uint64_t len);

/* Mount what is on fs, read every block of every file; leave: 0 as after SIGKILL, 1 unmount. fs
 * stays. */
void mount_and_read(struct simfs *fs, uint64_t min_stamp_limit, bool accept_older, bool leave,
		    struct result *ret);
void result_done(struct result *r);
/* Blocks that were read are v's, and the size is. */
bool reads_as(const struct result *r, unsigned i, const struct version *v);
bool reads_whole(const struct result *r, unsigned i, const struct version *v);
/* Does group g of what was read of file i agree with v's of file `of`, where it was read? */
bool group_reads_as(const struct result *r, unsigned i, uint64_t g, const struct version *v,
		    unsigned of);
bool group_is_zero(const struct version *v, unsigned i, uint64_t g);
/* The highest sequence that something intact calls durable. */
uint64_t vouched_for(const uint8_t *state, uint64_t state_len, const uint8_t *log,
		     uint64_t log_len);

/* What the slots say: stamps from there on were never reserved. 0: no slot is valid. */
uint64_t limit_of(const uint8_t *state, uint64_t state_len);
/* The stamp of a header, as the bytes say; 0: there is none. */
uint64_t header_stamp(const uint8_t *p);

/* Changes of an image: of one structure or a few. */
struct change {
	const struct scene *s;
	const struct image *im;
	bool unclean;
	struct simfs_rng rng;
	uint8_t *raw[FILES]; /* of what is touched */
	uint64_t len[FILES];
	bool touched[FILES];
	bool older_state; /* something of an older state or log was put back */
	char text[240];
};

/* By c->rng; c->s, im, unclean are set, all else is zero. The caller frees raw. */
void change_make(struct change *c);
bool all_zero(const uint8_t *p, uint64_t len);

int named_cases(uint64_t seed);

#endif
