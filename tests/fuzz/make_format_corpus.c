/* make_format_corpus.c: writes the seeds of fuzz_group, fuzz_volume_state, fuzz_log_record and fuzz_volume_config, made by the
 * codecs themselves from fixed numbers. Usage: make_format_corpus CORPUS, the directory tests/fuzz/corpus of the source tree. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "format_fixture.h"

static const char *corpus;

static void seed(const char *target, const char *name, const void *p, size_t len)
{
	AUTO_CLOSE int fd = -1;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", corpus, target);
	fixture_must(mkdir(path, 0777) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/%s/%s", corpus, target, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	fixture_must(fd >= 0 && fileio_write_full(fd, p, len) == 0);
}

static void groups(struct fixture_rng *rng)
{
	struct group_header h = { .epoch = FIXTURE_EPOCH, .shape.alloc_groups = 1, .entries.stamp = 1, .header.stamp = 2 };
	uint8_t p[BLOCK_SIZE] = { 0 };
	char name[32];
	unsigned i;

	group_header_put(&h, p);
	fixture_must(fixture_retag_group(p));
	seed("group", "empty", p, sizeof(p));
	seed("group", "header", p, HEADER_LEN);
	for (i = 0; i < 4; i++) {
		fixture_group(rng, i % 2 ? 1 + i : 0, p);
		snprintf(name, sizeof(name), "random%u", i);
		seed("group", name, p, sizeof(p));
	}
	memset(p, 0, sizeof(p));
	seed("group", "zero", p, sizeof(p));
}

static void states(struct fixture_rng *rng)
{
	uint8_t p[STATE_SLOT_LEN];
	struct volume_state s;
	char name[32];
	unsigned i;

	for (i = 0; i < 4; i++) {
		fixture_state(rng, &s);
		fixture_must(volume_state_seal(fixture_bc(), fixture_ring(), &s, i % 2, i, p) == 0);
		snprintf(name, sizeof(name), "slot%u", i);
		seed("volume_state", name, p, sizeof(p));
		snprintf(name, sizeof(name), "sector%u", i);
		seed("volume_state", name, p, SECTOR_SIZE);
	}
}

static void descs(struct fixture_rng *rng)
{
	uint8_t p[BLOCK_SIZE];
	static struct log_desc d;
	char name[32];
	unsigned i;

	for (i = 0; i < 6; i++) {
		fixture_desc(rng, i * i, &d);
		fixture_must(log_desc_seal(fixture_bc(), fixture_ring(), &d, p) == 0);
		snprintf(name, sizeof(name), "groups%u", i * i);
		seed("log_record", name, p, sizeof(p));
		snprintf(name, sizeof(name), "short%u", i * i);
		seed("log_record", name, p, 80u + d.record_bytes);
	}
}

static void configs(struct fixture_rng *rng)
{
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_SECRET struct secret *root = fixture_root_secret();
	static const char later[] = "coffer-volume 2 1 0000000000000000000000000000000000000000000000000000000000000000\n{}\n";
	unsigned i;

	fixture_must(c != NULL);
	for (i = 1; i <= 3; i++) {
		AUTO_FREE uint8_t *p = NULL;
		char name[32];
		size_t len, k;

		fixture_config(rng, i, c);
		for (k = 0; k < i; k++)
			c->slots[k].wrapped_kek_len = 60;
		fixture_must(volume_config_put(c, root, &p, &len) == 0);
		snprintf(name, sizeof(name), "slots%u", i);
		seed("volume_config", name, p, len);
	}
	seed("volume_config", "later", later, sizeof(later) - 1);
}

int main(int argc, char **argv)
{
	struct fixture_rng rng = { 42 };

	if (argc != 2)
		return 2;
	corpus = argv[1];
	groups(&rng);
	states(&rng);
	descs(&rng);
	configs(&rng);
	return 0;
}
