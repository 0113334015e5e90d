/* replay_volume.c: replay_volume KEYFILE DIR [check|repair|keep]: bring home what the log of a volume holds, as a mount does, and begin a new
 * generation (keep: do not, as if cut right before). Says in one line what was done. Exit: 0, or 8 when the volume is refused. */
#include "io/replay.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fileio.h"
#include "format/volume_config.h"

static int ring_open(int dirfd, const char *keyfile, struct key_ring **ret_ring)
{
	AUTO_FREE struct volume_config *c = calloc(1, sizeof(*c));
	AUTO_FREE uint8_t *key = NULL, *conf = NULL;
	AUTO_SECRET struct secret *root = NULL;
	size_t key_len, conf_len;
	char what[128];
	int r;

	r = c ? fileio_read_at(AT_FDCWD, keyfile, 64, &key, &key_len) : -ENOMEM;
	if (r == 0)
		r = secret_new_copy(key, key_len, &root);
	if (r == 0)
		r = fileio_read_at(dirfd, NAME_VOLUME, VOLUME_CONFIG_MAX, &conf, &conf_len);
	if (r == 0)
		r = volume_config_parse(conf, conf_len, c, what);
	return r < 0 ? r : volume_config_verify(conf, conf_len, c, root, ret_ring);
}

static void on_event(void *ctx, enum vio_event ev, const char *text)
{
	(void)ctx;
	fprintf(stderr, "event %d: %s\n", (int)ev, text);
}

static int replay(const struct vio_params *p, const char *mode)
{
	bool check = strcmp(mode, "check") == 0;
	struct lower *l = lower_real();
	struct replay_result res;
	struct state *s;
	struct stat st;
	int fd, r;

	r = state_open(l, p->root_fd, p->ring, check, 0, &s);
	if (r < 0)
		return r;
	fd = lower_open_regular(l, p->root_fd, NAME_LOG, check ? O_RDONLY : O_RDWR, 0, &st);
	r = fd < 0 ? fd : replay_run(p, s, fd, strcmp(mode, "repair") == 0, check, &res);
	if (r == 0 && !check && strcmp(mode, "keep") != 0)
		r = state_new_generation(s, 0, res.head, res.sequence);
	if (r == 0)
		printf("head %llu sequence %llu transactions %llu files %llu unlinked %llu quarantined %llu\n",
		       (unsigned long long)res.head, (unsigned long long)res.sequence,
		       (unsigned long long)res.transactions, (unsigned long long)res.files,
		       (unsigned long long)res.unlinked, (unsigned long long)res.quarantined);
	lower_close(l, fd < 0 ? -1 : fd);
	state_close(s);
	return r;
}

int main(int argc, char **argv)
{
	struct vio_params p = { .lower = lower_real(), .cb.event = on_event };
	AUTO_KEY_RING struct key_ring *ring = NULL;
	AUTO_CLOSE int dirfd = -1;
	int r;

	if (argc < 3)
		return EXIT_CODE_USAGE;
	dirfd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dirfd < 0 ? -errno : ring_open(dirfd, argv[1], &ring);
	if (r == 0) {
		p.root_fd = dirfd;
		p.ring = ring;
		r = replay(&p, argc > 3 ? argv[3] : "");
	}
	if (r < 0)
		fprintf(stderr, "replay_volume: %s: %s\n", argv[2], err_text(r));
	return r < 0 ? EXIT_CODE_DAMAGE : EXIT_CODE_OK;
}
