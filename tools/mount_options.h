/* mount_options.h: the text behind -o (coffer(1), INTERFACE "-o"). Pure. */
#ifndef COFFER_TOOLS_MOUNT_OPTIONS_H
#define COFFER_TOOLS_MOUNT_OPTIONS_H

#include "base/err.h"
#include "io/vio.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNT_OPTIONS_MAX 4096
#define MOUNT_AGENT_MAX 108

struct mount_options {
	bool read_only, dev, suid, noexec, unsafe_backing, fuse_uring;
	bool sloppy;             /* words that nobody knows are passed over */
	int allow_other;         /* -1: not said */
	unsigned threads, commit_seconds;
	size_t cache_bytes, dirty_bytes;
	uint64_t log_mib;        /* 0: not said */
	enum vio_backing backing;
	char agent[MOUNT_AGENT_MAX];
	int gather_log_fd;       /* test builds: an inherited descriptor (io/gather_log.h); else 0 */
};

void mount_options_init(struct mount_options *o);
/* Read a comma list into o ("\\," is a comma in a word); a later word wins. -EINVAL, and why (128 bytes) says which word and what is wrong. Words that mount(8) and systemd add are
 * accepted and ignored. A value is repeated in why only behind a word that is known. */
int mount_options_parse(const char *text, struct mount_options *o, char why[static 128]) must_check;

#endif
